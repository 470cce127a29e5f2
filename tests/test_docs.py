"""The documentation says what is true: pages that are generated are current, and every command in them exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from bedplate.cli.main import app
from bedplate.cli.reference import commands_page, errors_page
from bedplate.cli.schemas import schemas
from bedplate.problems import catalogue

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", *ROOT.glob("src/bedplate/skills/bundle/*/SKILL.md")])


def commands_in(text: str) -> set[str]:
    """Lines of code blocks and inline code that call bedplate."""
    blocks = re.findall(r"```(?:bash)?\n(.*?)```", text, re.DOTALL)
    lines = [line.split(" #")[0] for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(bedplate [^`]+)`", text.replace("\n", " "))
    return {line.strip() for line in lines if line.strip().startswith("bedplate ")}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_in_a_page_exists(page: Path) -> None:
    """Each command that a page shows parses: the command and its options exist."""
    for line in commands_in(page.read_text()):
        words = shlex.split(line)[1:]
        if any(word in {"COMMAND", "[OPTIONS]", "…"} for word in words) or line.endswith("[OPTIONS]"):
            continue
        command: Any = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            if words[0].startswith("--"):
                break
            assert words[0] in command.commands, f"{page.name}: no command in `{line}`"
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in getattr(parameter, "opts", [])}
        for word in words:
            if re.match(r"--?[a-z]", word):
                assert word.split("=")[0] in known | {"--help"}, f"{page.name}: no option {word} in `{line}`"


def test_reference_pages_are_current() -> None:
    """docs/commands.md and docs/errors.md are what the code says now (`make docs`)."""
    assert (ROOT / "docs/commands.md").read_text() == commands_page()
    assert (ROOT / "docs/errors.md").read_text() == errors_page()


def test_schemas_are_current() -> None:
    """docs/schema holds the schema of each document that commands print, as the code has it now (`make docs`)."""
    for name, text in schemas().items():
        assert (ROOT / "docs/schema" / name).read_text() == text, name


def test_every_code_in_the_source_is_explained() -> None:
    """A code that can be printed has an entry, and an entry belongs to a code that can be printed."""
    used: set[str] = set()
    for folder in ("src", "providers", "stacks"):
        for file in (ROOT / folder).rglob("*.py"):
            used |= set(re.findall(r"\bBP\d{3}\b", file.read_text()))
    assert used - set(catalogue()) == set()
    assert set(catalogue()) - used == set()


def test_every_page_links_to_pages_that_exist() -> None:
    """Relative links of the documentation lead somewhere."""
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} → {target}"
