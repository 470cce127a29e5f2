"""Ceilings: what the agents of an organisation may do at most, in a file of its own that manifests name.

Goes in: the file's text. Comes out: `Ceiling` with the places of its parts, or every problem at once. What its scopes
mean for the tools of one agent is worked out in `bedplate.blueprint.ceiling`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationError

from bedplate.manifest.arguments import Conditions
from bedplate.manifest.errors import translate
from bedplate.manifest.fields import Line, Lines, Section
from bedplate.manifest.overlay import Source
from bedplate.manifest.scopes import Never, Scope
from bedplate.manifest.words import VERBS
from bedplate.manifest.yamltree import read
from bedplate.problems import BedplateError, Problem, Where

_VERB = "Objects that this verb may reach, as globs. One or a list."


class CeilingScope(Scope, Conditions):
    """What some tools may do at most."""

    verbs = VERBS

    tool: Line = Field(
        description="Tools that it is for, by name; `*` matches any text. Also `memory`, `state` and `sandbox`."
    )
    call: Lines | None = Field(default=None, description="Operations that may be called. One or a list of globs.")
    get: Lines | None = Field(default=None, description=f"URLs of GET, or tables. {_VERB}")
    post: Lines | None = Field(default=None, description=f"URLs of POST. {_VERB}")
    put: Lines | None = Field(default=None, description=f"URLs of PUT, or tables. {_VERB}")
    patch: Lines | None = Field(default=None, description=f"URLs of PATCH. {_VERB}")
    delete: Lines | None = Field(default=None, description=f"URLs of DELETE, tables or keys. {_VERB}")
    head: Lines | None = Field(default=None, description=f"URLs of HEAD. {_VERB}")
    options: Lines | None = Field(default=None, description=f"URLs of OPTIONS. {_VERB}")
    read: Lines | None = Field(default=None, description=f"Documents, keys, tables or paths. {_VERB}")
    insert: Lines | None = Field(default=None, description=f"Tables. {_VERB}")
    update: Lines | None = Field(default=None, description=f"Tables. {_VERB}")
    list_: Lines | None = Field(default=None, alias="list", description=f"Keys. {_VERB}")
    write: Lines | None = Field(default=None, description=f"Keys or paths. {_VERB}")
    query: Lines | None = Field(default=None, description=f"Tables. {_VERB}")


class Ceiling(Section):
    """What agents may do at most, whatever their manifests say."""

    api_version: Literal["bedplate.dev/v1"] = Field(description="Version of this format.")
    kind: Literal["Ceiling"] = Field(description="Always `Ceiling`.")
    allow: list[CeilingScope] = Field(default=[], description="What may be allowed; nothing else may.")
    never: list[Never] = Field(default=[], description="What every agent must be denied.")


@dataclass(frozen=True)
class WrittenCeiling:
    """A ceiling and where its parts are written."""

    ceiling: Ceiling
    source: Source


def read_ceiling(text: str, file: str) -> WrittenCeiling:
    """The ceiling in a file's text. Raises BedplateError with every problem of form (BP0xx, BP8xx)."""
    tree = read(text, file)
    source = Source(tree, tree.data, ceiling=True)
    if not isinstance(tree.data, dict):
        fix = "begin it with `kind: Ceiling`, then `allow:` with scopes"
        raise BedplateError(Problem("BP817", f"{file} is no ceiling", Where(file, 1, 1), fix=fix))
    try:
        ceiling = Ceiling.model_validate(tree.data)
    except ValidationError as error:
        raise BedplateError(*tree.problems, *translate(error, source, tree.unread)) from error
    if tree.problems:
        raise BedplateError(*tree.problems)
    return WrittenCeiling(ceiling, source)
