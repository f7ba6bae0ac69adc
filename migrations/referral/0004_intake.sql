-- What an event waits for: one row a name, since a refund may be known by its payment intent, its charge or its invoice.
CREATE TABLE inbox_wait (
    name  TEXT NOT NULL,                              -- customer:… | subscription:… | payment:… | invoice:… | account:… | rate:… | lines:…
    event TEXT NOT NULL REFERENCES inbox (id),
    PRIMARY KEY (name, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_wait_by_event ON inbox_wait (event);
INSERT INTO inbox_wait (name, event) SELECT waits_for, id FROM inbox WHERE state = 'waiting' AND waits_for IS NOT NULL;
DROP INDEX inbox_waiting;
ALTER TABLE inbox DROP COLUMN waits_for;
ALTER TABLE inbox ADD COLUMN reduced INTEGER NOT NULL DEFAULT 0; -- the body holds only what is read of it
CREATE INDEX inbox_by_state ON inbox (state, received_ms);
CREATE INDEX inbox_to_reduce ON inbox (received_ms) WHERE reduced = 0;

-- What was read from Stripe because an event does not carry it; kept, so that reading the inbox again needs no network.
CREATE TABLE stripe_answer (
    name TEXT PRIMARY KEY,                            -- rate:in_… | rate:sub_… | lines:in_…
    body TEXT NOT NULL
) STRICT;

-- What each event says is in its body; the price of a subscription is in the journal.
ALTER TABLE subscription DROP COLUMN interval;
ALTER TABLE subscription DROP COLUMN amount_minor;

-- An invoice, as refunds and disputes need it: what was collected with tax and everything, in its own currency.
DROP TABLE invoice;
CREATE TABLE invoice (
    id         TEXT PRIMARY KEY,                      -- in_…
    referral   TEXT NOT NULL REFERENCES referral (id),
    paid_minor INTEGER NOT NULL
) STRICT;

-- What of it counts, for each subscription, in the program's currency. `part` is the invoice's name in the journal.
CREATE TABLE invoice_part (
    invoice      TEXT NOT NULL REFERENCES invoice (id),
    part         TEXT NOT NULL,                       -- in_… | in_…/sub_…
    subscription TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (invoice, part)
) STRICT;
-- Both are made of events: paid invoices are read again. Their facts keep their names, so none is doubled.
UPDATE inbox SET state = 'received' WHERE type = 'invoice.paid' AND state = 'done';

-- Referral ids that Stripe's customers and checkouts carry; the customer's own row comes first.
CREATE TABLE stripe_client (
    customer TEXT NOT NULL,                           -- cus_…
    source   TEXT NOT NULL CHECK (source IN ('customer', 'checkout')),
    referral TEXT NOT NULL,
    PRIMARY KEY (customer, source)
) STRICT;

-- Newest event that spoke of the transfers capability: two kinds of events do.
ALTER TABLE partner ADD COLUMN transfers_event_s INTEGER NOT NULL DEFAULT 0;
-- Who accepted; the agreement and the disclosure are one version.
ALTER TABLE terms_acceptance ADD COLUMN person TEXT;
