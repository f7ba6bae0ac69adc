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

ALTER TABLE link ADD COLUMN archived_ms INTEGER;

-- The click before it in the same browser: together they are every touch of a visitor.
ALTER TABLE click ADD COLUMN previous TEXT;

-- What is needed to credit a customer later. The address is kept only while nobody is credited.
ALTER TABLE customer ADD COLUMN signed_up_ms INTEGER;
ALTER TABLE customer ADD COLUMN email TEXT;

-- Evidence of a credit: every touch that was known, and which one decided. Numbered in the order of recording.
CREATE TABLE touch (
    customer TEXT NOT NULL REFERENCES customer (id),
    n        INTEGER NOT NULL,
    at_ms    INTEGER,                                 -- NULL: the cookie's own age is trusted
    source   TEXT NOT NULL CHECK (source IN ('partner_code', 'promotion_code', 'click', 'ref', 'staff')),
    partner  TEXT NOT NULL REFERENCES partner (code),
    click    TEXT,
    given    TEXT,                                    -- the code or reason as it was written
    counts   INTEGER NOT NULL,
    decided  INTEGER NOT NULL,
    PRIMARY KEY (customer, n)
) STRICT;

-- Partners that a referral was credited to before it was moved: their statements of that time need its facts.
CREATE TABLE referral_was (
    referral TEXT NOT NULL REFERENCES referral (id),
    partner  TEXT NOT NULL REFERENCES partner (code),
    PRIMARY KEY (referral, partner)
) STRICT;
CREATE INDEX referral_was_of ON referral_was (partner);

-- A partner's own name in links. One that was given up still leads to its partner and is nobody else's.
CREATE TABLE partner_slug (
    likeness TEXT PRIMARY KEY,                        -- what it looks like: two slugs that look alike are one
    slug     TEXT NOT NULL,
    partner  TEXT NOT NULL REFERENCES partner (code),
    set_ms   INTEGER NOT NULL,
    ended_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX one_slug ON partner_slug (partner) WHERE ended_ms IS NULL;
CREATE INDEX partner_slug_by_partner ON partner_slug (partner);

-- Stripe's promotion codes that are a partner's, and who redeemed which. Either may be reported first.
CREATE TABLE promotion_code (
    id       TEXT PRIMARY KEY,                        -- promo_…
    code     TEXT NOT NULL,
    partner  TEXT NOT NULL REFERENCES partner (code),
    added_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX promotion_code_by_partner ON promotion_code (partner);
CREATE TABLE redemption (
    promotion_code  TEXT NOT NULL,
    stripe_customer TEXT NOT NULL,
    at_ms           INTEGER NOT NULL,
    PRIMARY KEY (promotion_code, stripe_customer)
) STRICT;
CREATE INDEX redemption_by_customer ON redemption (stripe_customer);
