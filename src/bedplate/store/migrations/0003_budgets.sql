-- What was taken from budgets (`limit` of scopes). A row counts until its window is over. `ref` is the call it was for.
CREATE TABLE uses (
  budget TEXT NOT NULL,
  at REAL NOT NULL,
  until REAL NOT NULL,
  amount INTEGER NOT NULL,
  ref TEXT NOT NULL
) STRICT;
CREATE INDEX uses_by_budget ON uses (budget, until);
CREATE INDEX uses_by_ref ON uses (ref);
