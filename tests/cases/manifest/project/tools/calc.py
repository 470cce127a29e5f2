"""A tool of the test project. Nothing imports it; it is only parsed."""

raise RuntimeError("this file is parsed, never imported")


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def other() -> None:
    """Do nothing."""
