-- Keys are fixed here: sessions (agent, user, id), facts (agent, user, id), state (session, key).
-- Times are Unix seconds. Migrations are only ever added; a published one is never edited.

CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  agent TEXT NOT NULL,
  user TEXT NOT NULL,
  created REAL NOT NULL,
  updated REAL NOT NULL,
  expires REAL NOT NULL
) STRICT;
CREATE INDEX sessions_by_person ON sessions (agent, user, updated);
CREATE INDEX sessions_by_expiry ON sessions (expires);

CREATE TABLE messages (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
  turn TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX messages_by_session ON messages (session, seq);

-- `erased` turns keep status, usage and digests; input, output, error, key, session and user are gone.
CREATE TABLE turns (
  id TEXT PRIMARY KEY,
  session TEXT NOT NULL,
  agent TEXT NOT NULL,
  user TEXT NOT NULL,
  input TEXT NOT NULL,
  idempotency_key TEXT,
  trace_id TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'completed', 'failed')),
  started REAL NOT NULL,
  finished REAL,
  attempt INTEGER NOT NULL,
  output TEXT,
  usage TEXT NOT NULL,
  error TEXT,
  build TEXT NOT NULL,
  behaviour TEXT NOT NULL,
  erased INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX turns_by_key ON turns (agent, user, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX turns_by_session ON turns (session);
CREATE INDEX turns_by_person ON turns (agent, user);
CREATE INDEX turns_unfinished ON turns (started) WHERE status IN ('queued', 'running');

CREATE TABLE calls (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  turn TEXT NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
  call_id TEXT NOT NULL,
  tool TEXT NOT NULL,
  operation TEXT NOT NULL,
  effect INTEGER NOT NULL,
  status TEXT NOT NULL,
  decision TEXT NOT NULL DEFAULT '',
  grant_id TEXT NOT NULL DEFAULT '',
  started REAL NOT NULL,
  finished REAL
) STRICT;
CREATE INDEX calls_by_turn ON calls (turn, seq);

CREATE TABLE facts (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  agent TEXT NOT NULL,
  user TEXT NOT NULL,
  text TEXT NOT NULL,
  subject TEXT,
  normal TEXT NOT NULL,
  created REAL NOT NULL,
  expires REAL NOT NULL,
  source_turn TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX facts_by_text ON facts (agent, user, normal);
CREATE INDEX facts_by_subject ON facts (agent, user, subject);
CREATE INDEX facts_by_expiry ON facts (expires);
CREATE VIRTUAL TABLE facts_words USING fts5 (text, content='facts', content_rowid='seq', tokenize='porter unicode61');
CREATE TRIGGER facts_added AFTER INSERT ON facts BEGIN
  INSERT INTO facts_words (rowid, text) VALUES (new.seq, new.text);
END;
CREATE TRIGGER facts_removed AFTER DELETE ON facts BEGIN
  INSERT INTO facts_words (facts_words, rowid, text) VALUES ('delete', old.seq, old.text);
END;

CREATE TABLE state (
  session TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  agent TEXT NOT NULL,
  version INTEGER NOT NULL,
  updated REAL NOT NULL,
  PRIMARY KEY (session, key)
) STRICT;

-- The audit trail. `content` (principal, reason, arguments) can be erased; the chain covers its salted hash only.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at REAL NOT NULL,
  kind TEXT NOT NULL,
  person TEXT NOT NULL,
  turn TEXT NOT NULL,
  tool TEXT NOT NULL,
  operation TEXT NOT NULL,
  effect TEXT NOT NULL,
  grant_id TEXT NOT NULL,
  content TEXT,
  salt BLOB,
  content_hash BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_by_person ON audit (person);
CREATE INDEX audit_by_turn ON audit (turn);

-- The salt of each person's pseudonym in the audit trail. Forgetting a person destroys it.
CREATE TABLE people (
  agent TEXT NOT NULL,
  user TEXT NOT NULL,
  salt BLOB NOT NULL,
  PRIMARY KEY (agent, user)
) STRICT;
