-- What was done and is not in the copy yet (docs/sync.md): one file for each account of an API, never thrown away.

CREATE TABLE outbox (
  n       INTEGER PRIMARY KEY AUTOINCREMENT,
  mid     TEXT NOT NULL UNIQUE, -- UUID of the act.
  name    TEXT NOT NULL,        -- Name of the call.
  args    TEXT NOT NULL,        -- Its arguments, JSON.
  made_at TEXT NOT NULL,        -- By the clock of this computer, RFC 3339 in UTC.
  state   TEXT NOT NULL CHECK (state IN ('pending', 'rejected')),
  error   TEXT,                 -- Why it will never be done, JSON.
  hash    TEXT NOT NULL         -- Of all that: a damaged act must not become another one.
) STRICT;

PRAGMA user_version = 1;
