-- The copy of an agency's records (docs/sync.md): one file for each account of an API, disposable.

-- Where the copy stands, as JSON, with a hash of it: a damaged instant would be a wrong figure as much as a damaged amount.
CREATE TABLE meta (
  n    INTEGER PRIMARY KEY CHECK (n = 1),
  body TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;

-- The records of one moment that existed.
CREATE TABLE row (
  kind TEXT NOT NULL,
  id   TEXT NOT NULL,
  body TEXT, -- JSON, byte for byte as it came.
  PRIMARY KEY (kind, id)
) STRICT;

-- What a pull that has not ended brought. NULL is a record that is gone.
CREATE TABLE staging (
  kind TEXT NOT NULL,
  id   TEXT NOT NULL,
  body TEXT,
  PRIMARY KEY (kind, id)
) STRICT;

PRAGMA user_version = 1;
