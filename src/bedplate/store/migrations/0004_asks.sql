-- Calls that wait for a person. `binding` is the SHA-256 of tool, operation, arguments and session: what is agreed to.
CREATE TABLE asks (
  id TEXT PRIMARY KEY,
  agent TEXT NOT NULL,
  user TEXT NOT NULL,
  session TEXT NOT NULL,
  turn TEXT NOT NULL,
  tool TEXT NOT NULL,
  operation TEXT NOT NULL,
  verb TEXT NOT NULL,
  object TEXT NOT NULL,
  arguments TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  line TEXT NOT NULL,
  binding TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'used')),
  created REAL NOT NULL,
  expires REAL NOT NULL,
  decided REAL,
  decider TEXT NOT NULL DEFAULT '',
  comment TEXT NOT NULL DEFAULT '',
  used REAL
) STRICT;
CREATE INDEX asks_by_binding ON asks (session, binding);
CREATE INDEX asks_by_person ON asks (agent, user);
