"""YAML and JSON read with the place of every value, so that a problem can name its line and column.

Text goes in, `Spot` comes out; BedplateError (BP502) where the text is not well-formed or is too deep or too large.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Never

from bedplate.problems import BedplateError, Problem, Where

_CORE = "tag:yaml.org,2002:"
MAX_DEPTH = 60
MAX_VALUES = 1_000_000
"""Bounds of one file. YAML aliases count each time they are used, so a small file cannot unfold into a huge one."""


@dataclass(frozen=True)
class Spot:
    """A value and where it stands. `value` is a scalar, a list of Spots or a dict of Spots.

    `source` is a scalar's text as written (`4.50` stays `4.50`); `key` is the place of the key it stands under.
    """

    value: Any
    line: int
    column: int
    source: str | None = None
    key: tuple[int, int] | None = None

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {name: spot.plain() for name, spot in self.value.items()}
        if isinstance(self.value, list):
            return [spot.plain() for spot in self.value]
        return self.value


def malformed(file: str, line: int, column: int, what: str) -> Never:
    """Raises BP502 for a file that is not well-formed."""
    raise BedplateError(
        Problem(
            "BP502",
            f"{file} is not well-formed: {what}",
            where=Where(file, line, column),
            fix="Mend the line; `bedplate explain BP502` lists the usual slips.",
        )
    )


def read_yaml(text: str, file: str) -> Spot:
    """The one document of a YAML file."""
    import yaml

    loader_type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_depth(text, loader_type, file)
        loader = loader_type(text)
        node = loader.get_single_node()
        return _Yaml(loader, file).read(node, 0) if node is not None else Spot(None, 1, 1)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        return malformed(file, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0, str(what))


def _refuse_depth(text: str, loader_type: Any, file: str) -> None:
    """Refuses nesting beyond MAX_DEPTH before nodes are composed: the C composer recurses and would end the process."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=loader_type):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            mark: Any = event.start_mark
            malformed(file, mark.line + 1, mark.column + 1, "values stand too deep inside each other")


class _Yaml:
    """Turns composed nodes into Spots."""

    def __init__(self, loader: Any, file: str) -> None:
        self._loader = loader
        self._file = file
        self._values = 0

    def read(self, node: Any, depth: int, key: tuple[int, int] | None = None) -> Spot:
        import yaml

        self._values += 1
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            malformed(self._file, line, column, "values stand too deep inside each other, or there are too many")
        if isinstance(node, yaml.CollectionNode) and node.tag not in (f"{_CORE}map", f"{_CORE}seq"):
            malformed(self._file, line, column, f"the tag `{node.tag}` is not read here")
        match node:
            case yaml.MappingNode():
                return Spot(self._mapping(node, depth), line, column, key=key)
            case yaml.SequenceNode():
                return Spot([self.read(item, depth + 1) for item in node.value], line, column, key=key)
            case _:
                return Spot(self._scalar(node, line, column), line, column, node.value, key)

    def _mapping(self, node: Any, depth: int) -> dict[str, Spot]:
        import yaml

        entries: dict[str, Spot] = {}
        for name, value in node.value:
            place = (name.start_mark.line + 1, name.start_mark.column + 1)
            if not isinstance(name, yaml.ScalarNode):
                malformed(self._file, *place, "a key must be text")
            if name.value in entries:
                malformed(self._file, *place, f"the key `{name.value}` stands there twice")
            entries[name.value] = self.read(value, depth + 1, place)
        return entries

    def _scalar(self, node: Any, line: int, column: int) -> Any:
        kind = node.tag.removeprefix(_CORE)
        if kind in ("str", "timestamp"):
            return node.value
        if kind in ("null", "bool", "int", "float"):
            try:
                return self._loader.construct_object(node)
            except ValueError:
                malformed(self._file, line, column, f"`{node.value}` is not a number")
        malformed(self._file, line, column, f"the tag `{node.tag}` is not read here")


def read_json(text: str, file: str, line: int = 1) -> Spot:
    """One JSON value that fills `text`, whose first line is line `line` of the file."""
    reader = _Json(text, file, line)
    try:
        spot, end = reader.read(reader.skip(0), 0)
    except json.JSONDecodeError as error:
        reader.fail(error.pos, error.msg)
    except ValueError as error:
        reader.fail(0, str(error))
    if reader.skip(end) != len(text):
        reader.fail(reader.skip(end), "something follows the value")
    return spot


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


class _Json:
    """A reader of JSON that keeps places; numbers, literals and strings are read by the standard library."""

    def __init__(self, text: str, file: str, line: int) -> None:
        self._text, self._file, self._line = text, file, line
        self._decoder = json.JSONDecoder(parse_constant=_no_constant)
        self._seen, self._seen_line, self._line_start = 0, line, 0

    def place(self, at: int) -> tuple[int, int]:
        """Line and column of a position; asked for in rising order, so each line break is counted once."""
        if at < self._seen:
            self._seen, self._seen_line, self._line_start = 0, self._line, 0
        self._seen_line += self._text.count("\n", self._seen, at)
        newline = self._text.rfind("\n", self._seen, at)
        self._line_start = newline + 1 if newline >= 0 else self._line_start
        self._seen = at
        return self._seen_line, at - self._line_start + 1

    def fail(self, at: int, what: str) -> Never:
        malformed(self._file, *self.place(at), what)

    def skip(self, at: int) -> int:
        while at < len(self._text) and self._text[at] in " \t\r\n":
            at += 1
        return at

    def read(self, at: int, depth: int, key: tuple[int, int] | None = None) -> tuple[Spot, int]:
        if depth > MAX_DEPTH:
            self.fail(at, "values stand too deep inside each other")
        place = self.place(at)
        opening = self._text[at : at + 1]
        if opening == "{":
            entries, end = self._object(at + 1, depth)
            return Spot(entries, *place, key=key), end
        if opening == "[":
            items, end = self._array(at + 1, depth)
            return Spot(items, *place, key=key), end
        value, end = self._decoder.raw_decode(self._text, at)
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            self.fail(at, "half of a surrogate pair stands alone")
        return Spot(value, *place, value if isinstance(value, str) else self._text[at:end], key), end

    def _array(self, at: int, depth: int) -> tuple[list[Spot], int]:
        items: list[Spot] = []
        at = self.skip(at)
        if self._text[at : at + 1] == "]":
            return items, at + 1
        while True:
            spot, at = self.read(self.skip(at), depth + 1)
            items.append(spot)
            at, done = self._next(at, "]")
            if done:
                return items, at

    def _object(self, at: int, depth: int) -> tuple[dict[str, Spot], int]:
        entries: dict[str, Spot] = {}
        at = self.skip(at)
        if self._text[at : at + 1] == "}":
            return entries, at + 1
        while True:
            at = self.skip(at)
            place = self.place(at)
            if self._text[at : at + 1] != '"':
                self.fail(at, "a key in double quotes is missing")
            name, at = scanstring(self._text, at + 1, True)
            if name in entries:
                malformed(self._file, *place, f"the key `{name}` stands there twice")
            at = self.skip(at)
            if self._text[at : at + 1] != ":":
                self.fail(at, "a colon is missing")
            entries[name], at = self.read(self.skip(at + 1), depth + 1, place)
            at, done = self._next(at, "}")
            if done:
                return entries, at

    def _next(self, at: int, closing: str) -> tuple[int, bool]:
        at = self.skip(at)
        character = self._text[at : at + 1]
        if character not in (",", closing) or not character:
            self.fail(at, f"a comma or `{closing}` is missing")
        return at + 1, character == closing
