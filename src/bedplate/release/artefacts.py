"""`access compile`: what the layers of a stage are given, compiled from its scopes and read back.

Goes in: a blueprint and a target. Comes out: `Compiled`. Every artefact that can be read back without its target is
shown equal to the scopes; SQL is read back from the database that it was applied to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from bedplate.access import ScopeSet
from bedplate.access.artefacts import Artefact, Compiled
from bedplate.blueprint.model import Blueprint, Ceiling
from bedplate.problems import BedplateError, ExitCode, Problem, Where
from bedplate.release.compiling import addresses, bounds, owners, place, processes

Target = Literal["cedar", "agentcore", "iam", "postgres", "egress", "sandbox", "container"]
TARGETS: tuple[Target, ...] = ("cedar", "agentcore", "iam", "postgres", "egress", "sandbox", "container")


def compiled(blueprint: Blueprint, target: str, gateway: str = "") -> Compiled:
    """The artefacts of one target. `gateway` is the id of AgentCore's gateway, `AGENT-STAGE` unless given.

    Raises BedplateError: BP701 (exit 64) for an unknown target, BP840 to BP854 for what a target cannot take, BP879
    where the stage lacks a field that it needs, BP880 where what is read back differs.
    """
    makers: dict[str, Callable[[], Compiled]] = {
        "cedar": lambda: _cedar(blueprint),
        "agentcore": lambda: _agentcore(blueprint, gateway),
        "iam": lambda: _iam(blueprint),
        "postgres": lambda: _postgres(blueprint),
        "egress": lambda: _egress(blueprint),
        "sandbox": lambda: _process(blueprint, "sandbox"),
        "container": lambda: _process(blueprint, "container"),
    }
    if target not in makers:
        problem = Problem("BP701", f"there is no target {target}", fix=f"one of {', '.join(TARGETS)}")
        raise BedplateError(problem, exit_code=ExitCode.USAGE)
    return makers[target]()


def _cedar(blueprint: Blueprint) -> Compiled:
    from bedplate.access.cedar import emit, evaluate, read

    scopes = _told_apart(blueprint.scopes)
    policies = emit.compile(scopes)
    evaluate.check(policies)
    read.validate(scopes, policies)
    return policies.compiled


def _told_apart(scopes: ScopeSet) -> ScopeSet:
    """With an id for each grant: a scope of several patterns is several grants of one id, policies have one each."""
    seen: Counter[str] = Counter()
    grants = []
    for grant in scopes.grants:
        seen[grant.id] += 1
        number = f"#{seen[grant.id]}" if seen[grant.id] > 1 else ""
        grants.append(replace(grant, id=f"{grant.id}{number}"))
    return replace(scopes, grants=tuple(grants))


def _agentcore(blueprint: Blueprint, gateway: str) -> Compiled:
    from bedplate.access.cedar import emit, evaluate, read

    _require_place(blueprint)
    name = gateway or f"{blueprint.name}-{blueprint.stage}"
    arn = f"arn:aws:bedrock-agentcore:{blueprint.region}:{blueprint.account}:gateway/{name}"
    scopes = _told_apart(blueprint.scopes)
    policies = emit.compile(scopes, "agentcore", gateway=arn)
    evaluate.check(policies)
    read.validate(scopes, policies)
    return policies.compiled


def _iam(blueprint: Blueprint) -> Compiled:
    from bedplate.access import roleread, roles

    _require_place(blueprint)
    there = place(blueprint)
    made = roles.compile(blueprint.scopes, there)
    own = [artefact for artefact in made.artefacts if artefact.name.endswith(".policy.json")]
    _require_equal(own, lambda artefact: roleread.validate(blueprint.scopes, there, artefact.text))
    return Compiled((*made.artefacts, *_boundary(blueprint.ceiling, blueprint)), made.remainder)


def _boundary(ceiling: Ceiling | None, blueprint: Blueprint) -> Sequence[Artefact]:
    from bedplate.access import roles

    return [roles.boundary(ceiling.scopes, place(blueprint))] if ceiling else []


def _postgres(blueprint: Blueprint) -> Compiled:
    from bedplate.access.postgres import emit

    made = [emit.compile(blueprint.scopes, owner) for owner in owners(blueprint)]
    artefacts = tuple(artefact for one in made for artefact in one.artefacts)
    return Compiled(artefacts, tuple(rest for one in made for rest in one.remainder))


def _egress(blueprint: Blueprint) -> Compiled:
    from bedplate.access import egress

    sends, known = processes(blueprint), addresses(blueprint)
    made = egress.compile(blueprint.scopes, sends, known)
    _require_equal(made.artefacts, lambda a: egress.validate(a.text, blueprint.scopes, sends, known))
    return made


def _process(blueprint: Blueprint, target: Literal["sandbox", "container"]) -> Compiled:
    from bedplate.access import sandbox

    limits = bounds(blueprint)
    made = sandbox.compile(blueprint.scopes, limits)
    settings = [a for a in made.artefacts if a.name.endswith(".jsonl")]
    _require_equal(settings, lambda artefact: sandbox.validate(blueprint.scopes, limits, artefact))
    return Compiled(tuple(a for a in made.artefacts if a.target == target), made.remainder)


def _require_place(blueprint: Blueprint) -> None:
    """Raises BP879 where the stage has no region or account."""
    lacking = [name for name in ("region", "account") if not getattr(blueprint, name)]
    if lacking:
        line = blueprint.lines.get(f"stages.{blueprint.stage}", 0)
        what = f"stage `{blueprint.stage}` has no {' and no '.join(f'`{name}`' for name in lacking)}"
        fix = 'give the stage `target: aws`, `region: eu-west-1` and `account: "111122223333"`, or choose it by --stage'
        raise BedplateError(Problem("BP879", what, Where(blueprint.model.where.rpartition(":")[0], line), fix=fix))


def _require_equal(artefacts: Iterable[Artefact], differences: Callable[[Artefact], Sequence[str]]) -> None:
    """Raises BP880 with every way in which what was compiled is not what the scopes say."""
    found = [(artefact.name, said) for artefact in artefacts for said in differences(artefact)]
    if found:
        raise BedplateError(*(Problem("BP880", f"{name} differs from the scopes: {said}") for name, said in found))
