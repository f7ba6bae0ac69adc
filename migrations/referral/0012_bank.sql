-- What Stripe passes on from connected accounts to their banks: read from events, and never a fact.

CREATE TABLE bank_payout (
    id           TEXT PRIMARY KEY,                    -- po_…
    account      TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,                    -- of its currency
    currency     TEXT NOT NULL,
    status       TEXT NOT NULL,                       -- pending | in_transit | paid | failed | canceled
    rank         INTEGER NOT NULL,                    -- of two events of one second, the further one counts
    arrives_ms   INTEGER NOT NULL,
    failure      TEXT,                                -- Stripe's code
    made_ms      INTEGER NOT NULL,
    event_s      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE bank_payout_transfer (
    payout   TEXT NOT NULL REFERENCES bank_payout (id),
    transfer TEXT NOT NULL,
    PRIMARY KEY (payout, transfer)
) STRICT, WITHOUT ROWID;
CREATE INDEX bank_payout_by_transfer ON bank_payout_transfer (transfer);

-- The newest payout to a bank of each transfer, as JSON.
CREATE VIEW at_bank AS
SELECT t.transfer, json_object('payout', b.id, 'status', b.status, 'arrives_ms', b.arrives_ms, 'failure', b.failure) AS bank
FROM bank_payout_transfer t JOIN bank_payout b ON b.id = t.payout
WHERE NOT EXISTS (SELECT 1 FROM bank_payout_transfer u JOIN bank_payout c ON c.id = u.payout
                  WHERE u.transfer = t.transfer AND (c.made_ms, c.id) > (b.made_ms, b.id));
