-- One history for SQLite and D1. Times are milliseconds since 1970 in UTC unless the name says otherwise; amounts are
-- minor units; rates and money are never REAL.

-- A guard statement inserts 0 here when what it relies on no longer holds; the CHECK then fails the whole batch.
CREATE TABLE guard (holds INTEGER NOT NULL CHECK (holds = 1)) STRICT;

CREATE TABLE partner (
    code            TEXT PRIMARY KEY,
    name            TEXT NOT NULL,
    email           TEXT NOT NULL UNIQUE,
    website         TEXT NOT NULL,
    country         TEXT NOT NULL,
    joined_ms       INTEGER NOT NULL,
    suspended       INTEGER NOT NULL DEFAULT 0,
    account         TEXT UNIQUE,                      -- acct_…
    transfers       TEXT NOT NULL DEFAULT 'none',     -- none | inactive | pending | active, as Stripe reports it
    payouts_enabled INTEGER NOT NULL DEFAULT 0,
    requirements    TEXT NOT NULL DEFAULT '[]',       -- Stripe's names of what is due, JSON
    account_event_s INTEGER NOT NULL DEFAULT 0        -- newest account event seen, so that an old one changes nothing
) STRICT;

CREATE TABLE terms_acceptance (
    partner TEXT NOT NULL REFERENCES partner (code),
    version TEXT NOT NULL,
    at_ms   INTEGER NOT NULL,
    PRIMARY KEY (partner, version)
) STRICT;

CREATE TABLE person (
    id       TEXT PRIMARY KEY,
    email    TEXT NOT NULL UNIQUE,
    role     TEXT NOT NULL CHECK (role IN ('owner', 'member', 'staff', 'finance', 'admin', 'auditor')),
    partner  TEXT REFERENCES partner (code),
    added_ms INTEGER NOT NULL,
    CHECK ((partner IS NOT NULL) = (role IN ('owner', 'member')))
) STRICT;

CREATE TABLE signin_code (
    email      TEXT PRIMARY KEY,
    hash       TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    tries_left INTEGER NOT NULL,
    sent_ms    INTEGER NOT NULL
) STRICT;

-- Tokens are kept as SHA-256 alone.
CREATE TABLE session (
    id                 TEXT PRIMARY KEY,
    person             TEXT NOT NULL REFERENCES person (id),
    refresh_hash       TEXT NOT NULL UNIQUE,
    spent_hash         TEXT,                          -- the refresh token before this one
    spent_ms           INTEGER,
    refresh_expires_ms INTEGER NOT NULL,
    auth_ms            INTEGER NOT NULL,              -- when the person last proved who they are
    ended_ms           INTEGER
) STRICT;
CREATE INDEX session_by_spent ON session (spent_hash) WHERE spent_hash IS NOT NULL;

CREATE TABLE access_token (
    hash       TEXT PRIMARY KEY,
    session    TEXT NOT NULL REFERENCES session (id),
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
    hash       TEXT PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('server', 'executor')),
    label      TEXT NOT NULL,
    issued_ms  INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT;

CREATE TABLE onboarding_token (
    hash       TEXT PRIMARY KEY,
    partner    TEXT NOT NULL REFERENCES partner (code),
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE link (
    id         TEXT PRIMARY KEY,
    partner    TEXT NOT NULL REFERENCES partner (code),
    campaign   TEXT NOT NULL,
    path       TEXT NOT NULL,
    utm        TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX link_by_partner ON link (partner, created_ms);

-- A click of a link that is not known yet keeps its id and is joined when the link arrives.
CREATE TABLE click (
    id      TEXT PRIMARY KEY,
    partner TEXT NOT NULL REFERENCES partner (code),
    link    TEXT,
    at_ms   INTEGER NOT NULL,
    kind    TEXT NOT NULL CHECK (kind IN ('person', 'bot', 'prefetch')),
    given   TEXT NOT NULL                             -- the code as it was given, for what forgiving reading mended
) STRICT;
CREATE INDEX click_by_partner ON click (partner, at_ms);
CREATE INDEX click_by_link ON click (link) WHERE link IS NOT NULL;

CREATE TABLE referral (
    id           TEXT PRIMARY KEY,
    partner      TEXT NOT NULL REFERENCES partner (code),
    email        TEXT NOT NULL,
    signed_up_ms INTEGER NOT NULL,
    click        TEXT,
    rule         TEXT NOT NULL                        -- what decided: partner_code | click | clicked_at | cookie
) STRICT;
CREATE INDEX referral_by_partner ON referral (partner, signed_up_ms);

-- Every customer that AIKit's backend reported, credited or not: sign-ups are idempotent on it.
CREATE TABLE customer (
    id              TEXT PRIMARY KEY,
    stripe_customer TEXT UNIQUE,
    referral        TEXT REFERENCES referral (id),
    reason          TEXT,
    at_ms           INTEGER NOT NULL
) STRICT;

-- The journal: what happened, in order of recording. Rows are never changed.
CREATE TABLE fact (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,
    partner  TEXT,                                    -- of a fact about a partner
    referral TEXT,                                    -- of a fact about a referral
    body     TEXT NOT NULL                            -- the line of the journal, JSON
) STRICT;
CREATE INDEX fact_by_partner ON fact (partner, seq) WHERE partner IS NOT NULL;
CREATE INDEX fact_by_referral ON fact (referral, seq) WHERE referral IS NOT NULL;

-- Raw webhooks, stored before anything else happens.
CREATE TABLE inbox (
    id          TEXT PRIMARY KEY,                     -- evt_…
    type        TEXT NOT NULL,
    received_ms INTEGER NOT NULL,
    body        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('received', 'done', 'waiting', 'ignored', 'failed')),
    waits_for   TEXT,                                 -- customer:… | subscription:… | payment:… | invoice:…
    note        TEXT
) STRICT;
CREATE INDEX inbox_waiting ON inbox (waits_for) WHERE waits_for IS NOT NULL;
CREATE INDEX inbox_received ON inbox (received_ms) WHERE state = 'received';

CREATE TABLE subscription (
    id           TEXT PRIMARY KEY,                    -- sub_…
    referral     TEXT NOT NULL REFERENCES referral (id),
    interval     TEXT NOT NULL,
    amount_minor INTEGER NOT NULL
) STRICT;

CREATE TABLE invoice (
    id           TEXT PRIMARY KEY,                    -- in_…
    referral     TEXT NOT NULL REFERENCES referral (id)
) STRICT;

-- Which invoice a payment intent or a charge paid.
CREATE TABLE payment (
    id      TEXT PRIMARY KEY,                         -- pi_… or ch_…
    invoice TEXT NOT NULL
) STRICT;

CREATE TABLE run (
    id            TEXT PRIMARY KEY,                   -- {period}.{n}
    period        TEXT NOT NULL,                      -- 2026-10
    as_of         TEXT NOT NULL,
    cut           INTEGER NOT NULL,                   -- facts with seq <= cut
    state         TEXT NOT NULL CHECK (state IN ('draft', 'sealing', 'sealed', 'approved', 'sending', 'done')),
    version       INTEGER NOT NULL,
    run_hash      TEXT,
    seal          TEXT,
    total_minor   INTEGER NOT NULL,
    drafted_ms    INTEGER NOT NULL,
    sealed_by     TEXT,
    done_ms       INTEGER
) STRICT;
CREATE UNIQUE INDEX run_by_period ON run (period);

CREATE TABLE run_item (
    id             TEXT PRIMARY KEY,                  -- {run}:{partner}
    run            TEXT NOT NULL REFERENCES run (id),
    partner        TEXT NOT NULL REFERENCES partner (code),
    amount_minor   INTEGER NOT NULL CHECK (amount_minor > 0),
    currency       TEXT NOT NULL,
    destination    TEXT NOT NULL,
    digest         TEXT NOT NULL,
    tier           TEXT NOT NULL,
    lines          INTEGER NOT NULL,
    sealed         INTEGER NOT NULL DEFAULT 0,
    state          TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'unknown', 'review', 'paid', 'void')),
    held           INTEGER NOT NULL DEFAULT 0,
    transfer       TEXT UNIQUE,
    paid_at        TEXT,
    problem        TEXT,
    version        INTEGER NOT NULL DEFAULT 1,
    fence          INTEGER NOT NULL DEFAULT 0,
    lease_owner    TEXT,
    lease_until_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX run_item_by_run ON run_item (run);
CREATE INDEX run_item_by_partner ON run_item (partner);
-- A partner has at most one open payment.
CREATE UNIQUE INDEX one_open_item ON run_item (partner) WHERE sealed = 1 AND state NOT IN ('paid', 'void');

CREATE TABLE run_not_paid (
    run           TEXT NOT NULL REFERENCES run (id),
    partner       TEXT NOT NULL REFERENCES partner (code),
    balance_minor INTEGER NOT NULL,
    waiting_minor INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    PRIMARY KEY (run, partner)
) STRICT;

CREATE TABLE attempt (
    item          TEXT NOT NULL REFERENCES run_item (id),
    n             INTEGER NOT NULL,
    first_sent_ms INTEGER NOT NULL,
    last_sent_ms  INTEGER NOT NULL,
    outcome       TEXT,
    PRIMARY KEY (item, n)
) STRICT;

CREATE TABLE approval (
    run      TEXT NOT NULL REFERENCES run (id),
    run_hash TEXT NOT NULL,
    person   TEXT NOT NULL REFERENCES person (id),
    at_ms    INTEGER NOT NULL,
    PRIMARY KEY (run, run_hash, person)
) STRICT;

CREATE TABLE send_grant (
    id         TEXT PRIMARY KEY,
    run        TEXT NOT NULL REFERENCES run (id),
    run_hash   TEXT NOT NULL,
    person     TEXT NOT NULL REFERENCES person (id),
    expires_ms INTEGER NOT NULL,
    seen_ms    INTEGER
) STRICT;
CREATE INDEX send_grant_by_run ON send_grant (run);
