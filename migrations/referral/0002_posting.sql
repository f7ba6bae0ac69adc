-- What sealing a run posts: for each partner the lines that differ from what was posted before, so that a closed month
-- never changes and a fact that came late is in the next one. The postings of a partner add up to its lines.

-- The version of the seal whose posting counts. One that was begun and given up stays without effect.
ALTER TABLE run ADD COLUMN posted INTEGER;

-- The runs whose postings count.
CREATE VIEW posted_run AS
    SELECT id, as_of, cut, posted FROM run WHERE posted IS NOT NULL AND state NOT IN ('draft', 'sealing');

CREATE TABLE posting (
    run            TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    version        INTEGER NOT NULL,                  -- of the run, once it is sealed
    partner        TEXT NOT NULL,
    digest         TEXT NOT NULL,                     -- of the statement
    totals         TEXT NOT NULL,                     -- of the statement, JSON
    lines_digest   TEXT NOT NULL,                     -- of all its lines, which stays the same while nothing happens
    opening_minor  INTEGER NOT NULL,                  -- vested when the partner was last posted
    earned_minor   INTEGER NOT NULL,                  -- differences above zero
    reversed_minor INTEGER NOT NULL,                  -- differences below zero, without their sign
    closing_minor  INTEGER NOT NULL,                  -- vested in this statement
    PRIMARY KEY (run, version, partner),
    CHECK (opening_minor + earned_minor - reversed_minor = closing_minor)
) STRICT, WITHOUT ROWID;

CREATE TABLE posting_line (
    run          TEXT NOT NULL,
    version      INTEGER NOT NULL,
    partner      TEXT NOT NULL,
    line         TEXT NOT NULL,
    change       TEXT NOT NULL CHECK (change IN ('new', 'changed', 'gone')),
    vested_minor INTEGER NOT NULL,                    -- by how much its vested amount differs
    body         TEXT NOT NULL,                       -- the line as it is, or as it was before it went, JSON
    causes       TEXT NOT NULL,                       -- what led to the difference, JSON
    why          TEXT,                                -- the difference in words, where the line's own do not say it
    PRIMARY KEY (run, version, partner, line),
    FOREIGN KEY (run, version, partner) REFERENCES posting (run, version, partner) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TRIGGER posting_stays BEFORE UPDATE ON posting BEGIN SELECT raise(ABORT, 'a posting is never edited'); END;
CREATE TRIGGER posting_line_stays BEFORE UPDATE ON posting_line BEGIN SELECT raise(ABORT, 'a posting is never edited'); END;
CREATE TRIGGER posting_counts BEFORE DELETE ON posting
    WHEN EXISTS (SELECT 1 FROM posted_run r WHERE r.id = OLD.run AND r.posted = OLD.version)
    BEGIN SELECT raise(ABORT, 'a posting that counts is never deleted'); END;
CREATE TRIGGER posting_line_counts BEFORE DELETE ON posting_line
    WHEN EXISTS (SELECT 1 FROM posted_run r WHERE r.id = OLD.run AND r.posted = OLD.version)
    BEGIN SELECT raise(ABORT, 'a posting that counts is never deleted'); END;
CREATE TRIGGER posting_line_is_not_added_later BEFORE INSERT ON posting_line
    WHEN EXISTS (SELECT 1 FROM posted_run r WHERE r.id = NEW.run AND r.posted = NEW.version)
    BEGIN SELECT raise(ABORT, 'a posting that counts is never added to'); END;
