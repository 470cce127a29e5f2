"""Cedar policies of the form that this compiler writes, read back as scopes. Anything else is refused with its place.

What was read is compiled again and its tree compared with the tree that was read, whole, and so is the schema. So no
clause can be overlooked or half understood: a policy is what its scopes compile to, or it is refused.
"""

from __future__ import annotations

import json

from bedplate.access.artefacts import Remainder
from bedplate.access.cedar.agentcore import Projection, projected
from bedplate.access.cedar.agentread import read_projection
from bedplate.access.cedar.clauses import Reader
from bedplate.access.cedar.emit import NAMESPACE, compile
from bedplate.access.cedar.model import NotOurs, Policies
from bedplate.access.cedar.normal import normal
from bedplate.access.cedar.reading import texts_of
from bedplate.access.cedar.trees import ANY, Parsed, chain, parse, same
from bedplate.access.model import Ask, Grant, Never, ScopeSet
from bedplate.problems import BedplateError, Problem

_File = tuple[str, list[Parsed]]


def read(policies: Policies) -> ScopeSet:
    """The scopes that policies of the profile `gateway` were compiled from, in normal form.

    Only the texts and the schema are read. Raises BedplateError: BP844 without cedarpy, BP845 for another form.
    """
    return read_texts(policies.text("permit", "never"), policies.text("ask", "never"), policies.schema)


def read_texts(permit: str, ask: str, schema: str) -> ScopeSet:
    """As `read`, of the three files."""
    try:
        permits, asks, document = parse(permit), parse(ask), json.loads(schema)
        found = _scopes(permits, asks, Reader(NAMESPACE, document))
        _recompiled(found, (permit, permits), (ask, asks), schema)
    except (NotOurs, ValueError) as error:
        raise refused(error) from error
    return found


def refused(error: Exception) -> BedplateError:
    """BP845 with the place that the error names."""
    return BedplateError(Problem("BP845", f"Cedar policies are not of the form that Bedplate writes: {error}"))


def _scopes(permits: list[Parsed], asks: list[Parsed], reader: Reader) -> ScopeSet:
    nevers = [_never(policy) for policy in permits if policy.effect == "forbid"]
    by_id = [{p.id: p for p in policies if p.effect == "permit"} for policies in (permits, asks)]
    ids = sorted({*by_id[0], *by_id[1]})
    return ScopeSet(tuple(_grant(by_id[0].get(id), by_id[1].get(id), reader) for id in ids), tuple(nevers))


def _grant(permit: Parsed | None, ask: Parsed | None, reader: Reader) -> Grant:
    """A grant of its policy in each set. What the permit demands beyond the ask is where nobody is asked."""
    base = ask or permit
    assert base is not None
    tool, verb = reader.action(base)
    pattern, only, conditions = "*", None, []
    for clause in base.clauses:
        terms = chain("and", clause)
        if (globs := texts_of(("object",), terms)) is not None and len(globs) == 1:
            pattern = globs[0]
        elif (names := reader.only(terms)) is not None:
            only = names
        else:
            conditions.append(reader.required(base, terms))
    asking = None
    if ask and permit:
        more = permit.clauses[len(ask.clauses) :]
        asking = Ask(tuple(reader.unasked(permit, chain("and", clause)) for clause in more))
    elif ask:
        asking = Ask(always=True)
    return Grant(base.id, tool, verb, pattern, base.where, tuple(conditions), only, asking)


def _never(policy: Parsed) -> Never:
    match policy:
        case Parsed(principal=principal, action=action, resource=resource, clauses=(clause,)):
            globs = texts_of(("operation",), chain("and", clause))
            if (principal, action, resource) == (ANY, ANY, ANY) and globs is not None and len(globs) == 1:
                return Never(globs[0], policy.where)
    return policy.refuse("a `forbid` that is not of one pattern of operations")


def _recompiled(found: ScopeSet, permit: _File, ask: _File, schema: str) -> None:
    """Raises NotOurs where the scopes that were read compile to anything else than what was read."""
    try:
        again = compile(found)
    except BedplateError as error:
        raise NotOurs(str(error)) from error
    for (text, parsed), recompiled in ((permit, again.text("permit", "never")), (ask, again.text("ask", "never"))):
        if text != recompiled:  # another layout at most
            same(parsed, parse(recompiled))
    if json.loads(again.schema) != json.loads(schema):
        raise NotOurs("the schema is not that of the policies")


def validate(scopes: ScopeSet, policies: Policies) -> tuple[Remainder, ...]:
    """Show that compiled policies say what the scopes say; the answer is what they leave out, as listed with them.

    Raises BedplateError: BP845 where they cannot be read, BP846 where they differ.
    """
    if policies.profile == "agentcore":
        wanted: ScopeSet | Projection = projected(scopes, normal(scopes))[0]
        found: ScopeSet | Projection = _read_projection(policies)
    else:
        wanted, found = normal(scopes), read(policies)
    if wanted != found:
        summary = f"the compiled policies differ from the scopes: {_difference(wanted, found)}"
        raise BedplateError(Problem("BP846", summary))
    return policies.remainder


def _read_projection(policies: Policies) -> Projection:
    try:
        return read_projection(policies)
    except (NotOurs, ValueError) as error:
        raise refused(error) from error


def _difference(wanted: ScopeSet | Projection, found: ScopeSet | Projection) -> str:
    missing = [x for x in (*wanted.grants, *wanted.never) if x not in (*found.grants, *found.never)]
    more = [x for x in (*found.grants, *found.never) if x not in (*wanted.grants, *wanted.never)]
    return f"{missing[:1]} became {more[:1]}"
