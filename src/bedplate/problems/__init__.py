"""The one error type of Bedplate, its stable codes, and the exit codes of the command line.

Goes in: nothing of Bedplate. Comes out: `Problem` (a value), `BedplateError` (raised with one or many problems), the
catalogue that `bedplate explain CODE` reads, and `ExitCode`. It prints nothing and imports no other bedplate package.

Codes by area: BP0xx the manifest as written · BP1xx what the manifest means (references, scopes, stages) ·
BP2xx engine and state · BP3xx local target, processes, sandbox · BP4xx gateway, tools, models, agent ·
BP5xx evals · BP6xx traces · BP7xx command line, secrets, skills. Each area's codes stand in `codes/<area>.yaml`.
"""

from bedplate.problems.catalogue import CodeEntry, catalogue, explain
from bedplate.problems.model import BedplateError, ExitCode, Problem, Severity, Where, worst_exit

__all__ = [
    "BedplateError",
    "CodeEntry",
    "ExitCode",
    "Problem",
    "Severity",
    "Where",
    "catalogue",
    "explain",
    "worst_exit",
]
