"""YAML text to plain data with the place of every key and value.

Goes in: text. Comes out: `Tree` (dicts, lists, scalars, places, and the problems found in them). It follows YAML
1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), so that `no`, `on` and `2024-01-01` are text. It
refuses what a reviewer cannot see through: duplicate keys, tags, merge keys, several documents.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from bedplate.problems import BedplateError, Problem, Where

Path = tuple[str | int, ...]
MAX_BYTES = 1024 * 1024
MAX_NODES = 20_000
MAX_DEPTH = 40
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} |\|{7} )", re.MULTILINE)


@dataclass(frozen=True)
class Tree:
    """A document with the places of its values and of its keys, by path, and what is wrong with it as YAML.

    `unread` are the paths of values that say something else than `data` holds (a tag, a merge key), `doubled` those of
    keys that are written twice, of which `data` holds the first.
    """

    data: Any
    values: Mapping[Path, Where]
    keys: Mapping[Path, Where]
    problems: tuple[Problem, ...] = ()
    unread: frozenset[Path] = frozenset()
    doubled: frozenset[Path] = frozenset()

    def where(self, path: Path, *, key: bool = False) -> Where:
        """The place of `path`, or of its nearest parent that is written."""
        if key and path in self.keys:
            return self.keys[path]
        while path not in self.values:
            path = path[:-1]
        return self.values[path]


@dataclass
class _Builder:
    """Walks composed nodes once; collects places and problems on the way."""

    filename: str
    values: dict[Path, Where] = field(default_factory=dict)
    keys: dict[Path, Where] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[Path] = field(default_factory=set)
    doubled: set[Path] = field(default_factory=set)
    count: int = 0
    open_nodes: set[int] = field(default_factory=set)

    def place(self, node: yaml.Node) -> Where:
        return Where(self.filename, node.start_mark.line + 1, node.start_mark.column + 1)

    def problem(self, code: str, summary: str, node: yaml.Node, fix: str) -> None:
        self.problems.append(Problem(code, summary, self.place(node), fix=fix))

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.values.setdefault(path, self.place(node))
        self.guard(node, path)
        self.open_nodes.add(id(node))
        try:
            match node:
                case yaml.MappingNode():
                    return self.mapping(node, path)
                case yaml.SequenceNode():
                    self.check_tag(node, {"seq"}, path)
                    return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
                case yaml.ScalarNode():
                    return self.scalar(node, path)
                case _:
                    raise TypeError(f"libyaml made a {type(node).__name__}")
        finally:
            self.open_nodes.discard(id(node))

    def guard(self, node: yaml.Node, path: Path) -> None:
        """Stop at what would not end: an alias inside its own anchor, or aliases that multiply."""
        self.count += 1
        if id(node) in self.open_nodes:
            self.stop(node, "an anchor contains an alias to itself")
        if self.count > MAX_NODES:
            self.stop(node, f"the document expands to more than {MAX_NODES:,} values")
        if len(path) > MAX_DEPTH:
            self.stop(node, f"aliases nest the document more than {MAX_DEPTH} levels deep")

    def stop(self, node: yaml.Node, summary: str) -> None:
        self.problem("BP004", summary, node, "write the values out instead of repeating them by aliases")
        raise BedplateError(*self.problems)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self.check_tag(node, {"map"}, path)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.key(key_node, path)
            if key is None:
                continue
            if key in result:
                first = self.keys[(*path, key)].line
                self.problem(
                    "BP003", f"`{key}` is written twice", key_node, f"remove one; the first is on line {first}"
                )
                self.doubled.add((*path, key))
                continue
            self.keys[(*path, key)] = self.place(key_node)
            result[key] = self.build(value_node, (*path, key))
        return result

    def key(self, node: yaml.Node, path: Path) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self.problem("BP005", "a key must be text, not a list or a mapping", node, "write a plain word as the key")
            return None
        if node.value == "<<" and node.tag == f"{_CORE}merge":
            self.problem("BP006", "merge keys (`<<`) are not read", node, "write the merged keys out where they apply")
            self.unread.add(path)
            return None
        if not node.style and not isinstance(_plain(node.value), str):
            self.problem("BP005", f"the key `{node.value}` is not text", node, f'write it in quotes: "{node.value}"')
            return None
        return str(node.value)

    def check_tag(self, node: yaml.Node, allowed: set[str], path: Path) -> None:
        if not (node.tag.startswith(_CORE) and node.tag.removeprefix(_CORE) in allowed):
            self.problem(
                "BP006", f"the tag `{_short(node.tag)}` is not read", node, "remove the tag and write the value plainly"
            )
            self.unread.add(path)

    def scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        self.check_tag(node, {"str", "int", "float", "bool", "null", "timestamp", "value", "merge"}, path)
        return _plain(node.value) if not node.style else node.value


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag


def _plain(text: str) -> Any:
    """A plain scalar by YAML 1.2's core schema. Infinity and not-a-number stay text: nothing here may be either.

    So does a number too large for a float, which would be infinity.
    """
    match text:
        case "" | "~" | "null" | "Null" | "NULL":
            return None
        case "true" | "True" | "TRUE":
            return True
        case "false" | "False" | "FALSE":
            return False
    if len(text) <= 40:
        if _INT.fullmatch(text):
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        if _FLOAT.fullmatch(text):
            number = float(text)
            return number if math.isfinite(number) else text
    return text


def endless(text: str) -> bool:
    """Whether a text is how YAML writes infinity, not-a-number, or a number too large for a float."""
    form = text.lower().lstrip("+-")
    return form in (".inf", ".nan") or bool(_FLOAT.fullmatch(text) and not math.isfinite(float(text)))


def read(text: str, filename: str) -> Tree:
    """Read one YAML document. Problems that leave a tree stand in it (BP003, BP005, BP006).

    Raises BedplateError for what leaves none (BP002 to BP008).
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise BedplateError(
            Problem("BP008", f"{filename} is larger than 1 MiB", Where(filename), fix="move long texts to files")
        )
    _refuse_conflicts(text, filename)
    node = _compose(text, filename)
    builder = _Builder(filename)
    data = builder.build(node, ())
    if () in builder.unread:
        raise BedplateError(*builder.problems)
    unread, doubled = frozenset(builder.unread), frozenset(builder.doubled)
    return Tree(data, builder.values, builder.keys, tuple(builder.problems), unread, doubled)


def _refuse_conflicts(text: str, filename: str) -> None:
    markers = list(_CONFLICT.finditer(text))
    if any(m.group().startswith(("<", ">")) for m in markers):
        line = text.count("\n", 0, markers[0].start()) + 1
        raise BedplateError(
            Problem(
                "BP007",
                f"{filename} holds a merge conflict that nobody resolved",
                Where(filename, line, 1),
                fix="keep one side and delete the lines that start with <<<<<<<, ======= and >>>>>>>",
            )
        )


def _refuse_depth(text: str, filename: str) -> None:
    """Stop before composing, which recurses in C and would end the process on a hundred thousand brackets."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                summary = f"the document is nested more than {MAX_DEPTH} levels deep"
                fix = "a manifest needs a few levels; look for brackets that are not closed"
                raise BedplateError(Problem("BP004", summary, _mark(filename, event.start_mark), fix=fix))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _compose(text: str, filename: str) -> yaml.Node:
    try:
        _refuse_depth(text, filename)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, UnicodeEncodeError) as error:
        raise BedplateError(_syntax(error, text, filename)) from error
    if node is None:
        fix = "start one with `bedplate init`"
        raise BedplateError(Problem("BP002", f"{filename} is empty", Where(filename, 1, 1), fix=fix))
    return node


def _syntax(error: Exception, text: str, filename: str) -> Problem:
    """The one problem of text that is no YAML, with the usual causes named."""
    mark, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    context, said = str(getattr(error, "context", "")), getattr(error, "problem", None) or "it cannot be read"
    lines = text.splitlines()
    at_fault = lines[mark.line] if mark and mark.line < len(lines) else ""
    where = _mark(filename, mark)
    if "single document" in context:
        fix = "keep one document: remove the line `---` and what belongs to another agent"
        return Problem("BP006", "the file holds more than one YAML document", where, fix=fix)
    if "\t" in at_fault[: len(at_fault) - len(at_fault.lstrip())] or "\\t" in str(error):
        fix = "indent with spaces; YAML does not allow tabs there"
        return Problem("BP002", "a tab is used for indentation", where, fix=fix)
    if "quoted scalar" in context and opened:
        fix = "close it, and mind that a quote of the same kind inside the text is doubled or escaped"
        return Problem(
            "BP002", "this is not valid YAML: a quote is opened here and not closed", _mark(filename, opened), fix=fix
        )
    return Problem("BP002", f"this is not valid YAML: {said}", where, fix=_syntax_fix(at_fault, context, opened))


def _mark(filename: str, mark: Any) -> Where:
    return Where(filename, mark.line + 1, mark.column + 1) if mark else Where(filename)


def _syntax_fix(at_fault: str, context: str, opened: yaml.Mark | None) -> str:
    if re.search(r"[:\[,-]\s*[*&!%@`]", at_fault):
        return 'put the value in quotes: one that starts with *, &, !, %, @ or ` has a meaning in YAML, e.g. read: "*"'
    if "flow" in context and opened:
        return f"a bracket is opened on line {opened.line + 1}: close it, and separate what is in it by commas"
    if re.search(r":\s*[^\"'{\[].*: ", at_fault):
        return "put the value in quotes: it contains a colon followed by a space"
    return "look at this line and the one before it: a quote, bracket or colon is missing, or the indentation is off"
