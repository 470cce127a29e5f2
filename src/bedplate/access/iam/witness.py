"""Makes a request that a person recognises out of an action and the values that a search found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product

from bedplate.access.iam import known
from bedplate.access.iam.clauses import CALLER, RESOURCE, Solution
from bedplate.access.iam.document import Caller, Pattern, Request, Rules, Variable, Wild
from bedplate.access.iam.keys import Absent
from bedplate.access.iam.search import Model
from bedplate.access.iam.texts import Text
from bedplate.access.iam.tokens import is_variable, variable_of

_TRIES = 60
_PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank", "grace")
_LETTERS = "qwzkjvx"


def lifelike(action: str, model: Model, rules: tuple[Rules, ...], shows: Callable[[Request], bool]) -> Request | None:
    """The most lifelike request of the model that `shows` what it should; None if not even the barest one does."""
    for given in _variables(model):
        barest = _request(action, model, given)
        if not shows(barest):
            continue
        for resource in islice(_resources(action, rules, barest), _TRIES):
            better = Request(action, resource, barest.context, barest.caller)
            if resource == barest.resource or shows(better):
                return better
        return barest
    return None


def _variables(model: Model) -> Iterator[dict[Variable, str | None]]:
    """Values for the policy variables in the model: words that people have, then single letters; None: not there."""
    names = dict.fromkeys(variable_of(ch) for text in _texts(model) for ch in text if is_variable(ch))
    taken = {variable: _value_of(model, variable) for variable in names}
    words, letters = iter(_PEOPLE), iter(_LETTERS)
    usual = {
        v: next((w for w in known.liked_values(v.key, plain=False) if w not in taken.values()), None) for v in names
    }
    yield {v: taken[v] or usual[v] or next(words, v.key) for v in names}
    yield {v: taken[v] or next(letters, v.key) for v in names}
    if any(v.default is not None for v in names):
        yield {v: taken[v] or (None if v.default is not None else v.key) for v in names}


def _value_of(model: Model, variable: Variable) -> str | None:
    """What the search already found for the key of a variable."""
    value = model.get(variable.key)
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], tuple):
        return "".join(value[0]) if all(len(ch) == 1 for ch in value[0]) else None
    return None


def _texts(model: Model) -> Iterator[Text]:
    for name, value in model.items():
        if name == RESOURCE and isinstance(value, tuple):
            yield tuple(str(ch) for ch in value)
        elif isinstance(value, tuple):
            yield from (tuple(text) for text in value)


def _request(action: str, model: Model, given: dict[Variable, str | None]) -> Request:
    context: dict[str, tuple[str, ...]] = {}
    for name, value in model.items():
        if name not in (RESOURCE, CALLER) and isinstance(value, tuple):
            context[name] = tuple(_spelled(text, given) for text in value)
    for variable, value_ in given.items():
        if value_ is not None:
            context.setdefault(variable.key, (value_,))
    caller = model.get(CALLER)
    return Request(
        action,
        _spelled(_resource(model.get(RESOURCE)), given) or known.liked_resources(action)[0],
        tuple(sorted(context.items())),
        caller if isinstance(caller, Caller) else None,
    )


def _resource(value: Solution | None) -> Text:
    return tuple(str(ch) for ch in value) if isinstance(value, tuple) else ()


def _spelled(text: object, given: dict[Variable, str | None]) -> str:
    assert isinstance(text, tuple)
    return "".join(_filled(variable_of(ch), given) if is_variable(ch) else ch for ch in text)


def _filled(variable: Variable, given: dict[Variable, str | None]) -> str:
    value = given.get(variable)
    return value if value is not None else variable.default or ""


def _resources(action: str, rules: tuple[Rules, ...], barest: Request) -> Iterator[str]:
    """ARNs that the action is often asked for, then those that the policies name, filled in with words."""
    yield from known.liked_resources(action)
    context = dict(barest.context)
    for pattern in dict.fromkeys(
        p for side in rules for layer in side.layers for policy in layer for s in policy.statements
        for p in s.resources or ()
    ):  # fmt: skip
        if pattern.text != "*":
            yield from islice(_filled_in(pattern, context), 8)


def _filled_in(pattern: Pattern, context: dict[str, tuple[str, ...]]) -> Iterator[str]:
    choices: list[tuple[str, ...]] = []
    colons = 0
    for part in pattern.parts:
        match part:
            case str():
                choices.append((part,))
                colons += part.count(":")
            case Wild.RUN:
                choices.append(known.liked_words(colons))
            case Wild.ONE:
                choices.append(("1", "a"))
            case Variable():
                choices.append(context.get(part.key, (part.default or "",))[:1])
    return ("".join(chosen) for chosen in product(*choices))


def absent(value: Solution) -> bool:
    """Whether the search left a key out of the request."""
    return isinstance(value, Absent)
