"""A tool of the test project with arguments of every kind. Nothing imports it; it is only parsed."""

from datetime import datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any, Literal


def pay(
    amount: Decimal,
    currency: Literal["USD", "EUR"] = "EUR",
    count: int = 1,
    note: str = "",
    at: datetime | None = None,
    host: IPv4Address | None = None,
    tags: list[str] | None = None,
    sure: bool = False,
    other: Any = None,
) -> str:
    """Pay."""
    return f"{amount} {currency}"
