-- What is with a person: looks at Stripe, and what people decide.

-- Looks after the quarantine that found nothing; NULL while there is none.
ALTER TABLE run_item ADD COLUMN nothing_since_ms INTEGER;
ALTER TABLE run_item ADD COLUMN nothing_last_ms INTEGER;
-- The newest look of the server or of finance, whatever it found.
ALTER TABLE run_item ADD COLUMN looked_ms INTEGER;

-- What each person said of a payment that was with a person. It counts while no further attempt was recorded.
CREATE TABLE resolution (
    item       TEXT NOT NULL REFERENCES run_item (id),
    attempt    INTEGER NOT NULL,                      -- attempts recorded when it was said
    person     TEXT NOT NULL REFERENCES person (id),
    resolution TEXT NOT NULL CHECK (resolution IN ('found', 'again', 'void')),
    transfer   TEXT,                                  -- of one found
    reason     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (item, attempt, person)
) STRICT, WITHOUT ROWID;
