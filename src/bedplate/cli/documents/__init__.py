"""The documents that commands print with `--json`, as types; `schemas` makes their JSON Schemas from these.

Loaded for the documentation and by tests only: it imports what commands import when they run. A document is frozen once
it is released: what changes its meaning gets another version.
"""

from bedplate.cli.documents import access, evals, project, records, releases, review, stages, state

DOCUMENTS: tuple[type, ...] = tuple(
    found
    for module in (project, access, releases, records, review, stages, state, evals)
    for name, found in vars(module).items()
    if name.endswith("Document")
)
"""Every class whose name ends so. A command that prints one has a case in tests/cases/cli/documents.yaml."""
