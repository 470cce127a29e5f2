-- One row while the stage is frozen: everything is denied.
CREATE TABLE freeze (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  since REAL NOT NULL,
  who TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT;
