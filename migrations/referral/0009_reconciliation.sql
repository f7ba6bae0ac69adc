-- The records of payouts as they were held against Stripe's transfers and its balance. Amounts are minor units.
CREATE TABLE reconciliation (
    id                TEXT PRIMARY KEY,
    at_ms             INTEGER NOT NULL,
    since_ms          INTEGER,                        -- transfers from then on; NULL: all
    person            TEXT REFERENCES person (id),    -- who asked; NULL: the daily one, or the operator's
    recorded_minor    INTEGER NOT NULL,
    transferred_minor INTEGER NOT NULL,
    booked_minor      INTEGER NOT NULL,
    transfers         INTEGER NOT NULL,
    others            INTEGER NOT NULL,
    too_new           INTEGER NOT NULL,
    settled           INTEGER NOT NULL,
    found             INTEGER NOT NULL,
    findings          TEXT NOT NULL                   -- the first of them, JSON
) STRICT;
CREATE INDEX reconciliation_by_age ON reconciliation (at_ms);
