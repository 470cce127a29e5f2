"""Release: what `plan`, `up` and `destroy` do with a project and a stage.

Goes in: a manifest file and a stage's name. Comes out: `Plan`, `Release`, `Status` as values. It joins the blueprint,
the stage's program, an engine and the providers, and prints nothing.
"""

from bedplate.release.deploy import Release, make_plan, up
from bedplate.release.plan import AccessDelta, Change, Detail, Plan
from bedplate.release.target import Target, open_target

__all__ = [
    "AccessDelta",
    "Change",
    "Detail",
    "Plan",
    "Release",
    "Target",
    "make_plan",
    "open_target",
    "up",
]
