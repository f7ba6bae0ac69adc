-- A draft in the making: computed a slice of agencies at a time, so that each step fits what a host allows at once, and
-- continued where it stopped.
CREATE TABLE drafting (
    id       TEXT PRIMARY KEY,
    period   TEXT NOT NULL,
    run      TEXT NOT NULL,
    version  INTEGER NOT NULL,                        -- of the run, once this is its draft
    as_of    TEXT NOT NULL,
    cut      INTEGER NOT NULL,                        -- facts with seq <= cut
    place    TEXT NOT NULL DEFAULT '',                -- agencies up to this code are done
    unasked  INTEGER NOT NULL,                        -- 1: the month ended; 0: a person asked and waits for it
    begun_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE drafting_row (
    drafting TEXT NOT NULL REFERENCES drafting (id) ON DELETE CASCADE,
    partner  TEXT NOT NULL,
    paid     INTEGER NOT NULL,                        -- 1: a row of run_item, 0: one of run_not_paid
    body     TEXT NOT NULL,                           -- its columns, JSON
    PRIMARY KEY (drafting, partner)
) STRICT, WITHOUT ROWID;

-- The text of a seal in parts, each of which fits a row of D1.
CREATE TABLE seal_part (
    run  TEXT NOT NULL REFERENCES run (id),
    n    INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;
INSERT INTO seal_part (run, n, text) SELECT id, 1, seal FROM run WHERE seal IS NOT NULL;
UPDATE run SET seal = NULL WHERE seal IS NOT NULL;
ALTER TABLE run DROP COLUMN seal;

-- Who reads the inbox: one at a time, of all that share the database. Whoever takes it over fences off whoever had it.
CREATE TABLE inbox_reader (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    n        INTEGER NOT NULL DEFAULT 0,              -- of this reader; every next one has a higher
    until_ms INTEGER NOT NULL DEFAULT 0               -- from then on it is free
) STRICT;
INSERT INTO inbox_reader (one) VALUES (1);
