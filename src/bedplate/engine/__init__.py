"""Deploying: a Pulumi program and a registry of resource types become steps and state.

Goes in: a program (a function that registers resources with the Pulumi SDK), a registry of resource types, a stack's
folder. Comes out: `Outcome` with its steps, and a state that is a Pulumi deployment (version 3). It knows neither our
resource types, nor access, nor the manifest. Importing this package imports no Pulumi.

`program` runs it · `monitor` answers the SDK, with `transforms`, `callbacks`, `hooks`, `functions` · `requests` makes
`goals` of what it asks for · `deployment` takes them, `deciding` finds the step of each (`dependents`, `providing`,
`taking`, `aliases`) · `packages` has the types, `origins` says where they come from, `assets` are contents ·
`admission` and `targets` say which steps are wanted · `operations` carries them out, on the threads of `running` ·
`ordering` deletes · `refreshing` looks for drift · `interrupts` is Ctrl-C · `pending` settles what a dead run left ·
`state`, `journal`, `storage`, `lock` and `secrets` keep it.
"""

from bedplate.engine.api import (
    Engine,
    Event,
    EventSink,
    Options,
    Outcome,
    Program,
    ProgramRef,
    Registry,
    StackRef,
    Step,
    Update,
)
from bedplate.engine.diffing import default_preview, diff_properties
from bedplate.engine.embedded import EmbeddedEngine
from bedplate.engine.provider import (
    UNKNOWN,
    Checked,
    CheckFailure,
    Created,
    Diff,
    DiffKind,
    Properties,
    ReadResult,
    Resource,
)

__all__ = [
    "UNKNOWN",
    "CheckFailure",
    "Checked",
    "Created",
    "Diff",
    "DiffKind",
    "EmbeddedEngine",
    "Engine",
    "Event",
    "EventSink",
    "Options",
    "Outcome",
    "Program",
    "ProgramRef",
    "Properties",
    "ReadResult",
    "Registry",
    "Resource",
    "StackRef",
    "Step",
    "Update",
    "default_preview",
    "diff_properties",
]
