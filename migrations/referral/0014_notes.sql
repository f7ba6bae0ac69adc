-- What finance writes beside a run, for itself.
CREATE TABLE run_note (
    id     TEXT PRIMARY KEY,                          -- UUID made by whoever wrote it
    run    TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    person TEXT NOT NULL REFERENCES person (id),
    at_ms  INTEGER NOT NULL,
    text   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX run_note_by_run ON run_note (run, at_ms);
CREATE TRIGGER run_note_stays BEFORE UPDATE ON run_note BEGIN SELECT raise(ABORT, 'a note is never edited'); END;
