-- How a run is turned back, held, paused and closed; and what its amounts are made of.

-- Whom finance holds out of a run although it could be paid. It stays so while the draft is computed again.
CREATE TABLE run_hold (
    run     TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    partner TEXT NOT NULL REFERENCES partner (code),
    reason  TEXT NOT NULL,
    person  TEXT NOT NULL REFERENCES person (id),
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (run, partner)
) STRICT, WITHOUT ROWID;

-- Who changed the run last. Where two must approve, none of these is one of them.
ALTER TABLE run ADD COLUMN drafted_by TEXT;
ALTER TABLE run ADD COLUMN held_by TEXT;
-- Who closed it with payouts unsent and why, in a sentence.
ALTER TABLE run ADD COLUMN closed TEXT;

ALTER TABLE run_item ADD COLUMN parts TEXT;           -- what the amount is made of, by cause, JSON
ALTER TABLE run_item ADD COLUMN waiting_minor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run_not_paid ADD COLUMN recovered_in TEXT;  -- of a debt: the month by which what waits covers it
ALTER TABLE run_not_paid ADD COLUMN item TEXT;        -- of one held out: what it would be paid, columns of run_item as JSON

-- Who or what ended a grant before its time, in a sentence.
ALTER TABLE send_grant ADD COLUMN ended TEXT;

-- Seals that are no more, so that whoever looked at one can be told what is different.
CREATE TABLE seal_was (
    run      TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    run_hash TEXT NOT NULL,
    n        INTEGER NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (run, run_hash, n)
) STRICT, WITHOUT ROWID;

-- Runs that were given up. The number of the next run of the month follows theirs.
CREATE TABLE run_discarded (
    run    TEXT PRIMARY KEY,
    period TEXT NOT NULL,
    person TEXT NOT NULL REFERENCES person (id),
    at_ms  INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX run_discarded_by_period ON run_discarded (period);
