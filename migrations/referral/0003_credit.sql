-- The audit chain: every decision of a person, a key or the system (docs/audit.md). Entries are only ever added.
CREATE TABLE audit (
    n       INTEGER PRIMARY KEY,                      -- 1, 2, 3, … without a gap
    at_ms   INTEGER NOT NULL,
    actor   TEXT NOT NULL,                            -- a person's id, key:…, operator or system
    role    TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,                            -- what it is about, {kind}:{id}
    before  TEXT,                                     -- JSON
    after   TEXT,                                     -- JSON
    reason  TEXT,
    hash    TEXT NOT NULL UNIQUE                      -- SHA-256 over the hash before and this entry
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject, n);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit chain is only added to'); END;
CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit chain is only added to'); END;
