"""Cedar's own syntax tree as plain tuples: the class's name, then its fields. So it can be matched and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from bedplate.access.cedar.evaluate import engine
from bedplate.access.cedar.model import NotOurs

Tree = Any
"""A tuple `(class, field, …)`, a tuple of trees, or a leaf: str, int, bool, None."""
ANY: Tree = ("ScopeAny",)
_LEAVES = (str, int, bool, type(None))


@dataclass(frozen=True)
class Parsed:
    """One policy. `clauses` are the expressions of its `when` clauses."""

    id: str
    where: str
    effect: str
    principal: Tree
    action: Tree
    resource: Tree
    clauses: tuple[Tree, ...]

    def refuse(self, what: str) -> NoReturn:
        """Raises NotOurs with the policy's place."""
        raise NotOurs(f"policy {self.id!r}{f' ({self.where})' if self.where else ''}: {what}")


def parse(text: str) -> list[Parsed]:
    """The policies of a text, in their order. Raises NotOurs for syntax that no compiled policy has."""
    try:
        found = engine().policies_to_pst(text)
    except ValueError as error:
        raise NotOurs(f"the text cannot be parsed: {error}") from error
    if found.templates or found.template_links:
        raise NotOurs(f"policy {next(iter(found.templates), '?')!r}: a template")
    return [_parsed(found.static_policies[f"policy{n}"]) for n in range(len(found.static_policies))]


def _parsed(policy: Any) -> Parsed:
    annotations, clauses = dict(policy.annotations), plain(policy.clauses)
    head = (plain(policy.principal), plain(policy.action), plain(policy.resource))
    id, where = annotations.pop("id", policy.id), annotations.pop("where", "")
    found = Parsed(id, where, policy.effect, *head, tuple(expression for _, expression in clauses))
    if annotations or {"id", "where"} - set(policy.annotations):
        found.refuse("annotations other than `@id` and `@where`")
    if any(kind != "When" for kind, _ in clauses):
        found.refuse("an `unless`")
    return found


def same(found: list[Parsed], again: list[Parsed]) -> None:
    """Raises NotOurs at the first policy that differs; the order of policies says nothing."""
    wanted = set(again)
    for policy in found:
        if policy not in wanted:
            policy.refuse("it demands what no scope says")
    if len(found) != len(again):
        raise NotOurs("a policy stands there twice, or one is missing")


def plain(node: Any) -> Tree:
    """A node of the tree, and all below it, as tuples."""
    kind = type(node)
    if kind in _LEAVES:
        return node
    if kind is tuple:
        return tuple([plain(part) for part in node])
    if isinstance(node, Mapping):
        return tuple((name, plain(value)) for name, value in sorted(node.items()))
    return (kind.__name__, *[plain(getattr(node, name)) for name in kind.__match_args__])


def chain(op: str, tree: Tree) -> list[Tree]:
    """What a tree of `and` or `or` joins, from left to right."""
    match tree:
        case ("BinaryOp", str(found), left, right) if found == op:
            return [*chain(op, left), *chain(op, right)]
    return [tree]


def attribute(tree: Tree) -> tuple[str, ...] | None:
    """The names of `context.a.b`, without `context`; None for another expression."""
    names: list[str] = []
    while True:
        match tree:
            case ("GetAttr", base, str(name)):
                names.append(name)
                tree = base
            case ("Var", "context"):
                return tuple(reversed(names))
            case _:
                return None


def guarded(tree: Tree) -> tuple[str, ...] | None:
    """The names of `context.a has b`, without `context`; None for another expression."""
    match tree:
        case ("HasAttr", base, (str(name),)):
            found = attribute(base)
            return None if found is None else (*found, name)
    return None


def text_of(tree: Tree) -> str | None:
    """The text of a string literal."""
    match tree:
        case ("StringLit", str(text)):
            return text
    return None


def glob_of(pattern: Tree) -> str | None:
    """The pattern of a `like`, None where it has a star that is no wildcard."""
    parts = ["*" if part == ("Wildcard",) else part[1] for part in pattern]
    literal = any(part == ("Char", "*") for part in pattern)
    return None if literal else "".join(parts)
