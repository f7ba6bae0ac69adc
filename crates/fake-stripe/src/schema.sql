-- The stand-in's state. Every API call and every instant of the clock is one transaction.
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (prefix TEXT PRIMARY KEY, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Stripe's objects as they are answered; `account` is empty for the platform's own.
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    created INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS objects_listed ON objects (kind, account, created, seq);
CREATE INDEX IF NOT EXISTS transfers_by_group ON objects (json_extract(body, '$.transfer_group')) WHERE kind = 'transfer';
CREATE INDEX IF NOT EXISTS payments_by_invoice ON objects (json_extract(body, '$.invoice')) WHERE kind = 'invoice_payment';

-- Amounts in minor units, by account ('' is the platform) and currency.
CREATE TABLE IF NOT EXISTS balances (
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    available_minor INTEGER NOT NULL,
    pending_minor INTEGER NOT NULL,
    PRIMARY KEY (account, currency)
) STRICT, WITHOUT ROWID;

-- Balance transactions of connected accounts: the transfer that each is of, and the payout to a bank that contains it.
CREATE TABLE IF NOT EXISTS account_entries (
    entry TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    currency TEXT NOT NULL,
    transfer TEXT NOT NULL,
    payout TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entries_by_payout ON account_entries (payout);
CREATE INDEX IF NOT EXISTS entries_by_account ON account_entries (account, payout);

-- What the clock will do, in order of (at, seq). `at` is in seconds.
CREATE TABLE IF NOT EXISTS due (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    UNIQUE (kind, object)
) STRICT;
CREATE INDEX IF NOT EXISTS due_in_order ON due (at, seq);

-- Delivery of the events, which are objects too: their stored bytes are what is sent. `state` is pending,
-- delivered or skipped (its endpoint does not want the type).
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    endpoint TEXT NOT NULL,
    type TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    retry_at_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS events_pending ON events (seq) WHERE state = 'pending';

-- The first answer under each key, and the request that it answered.
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    request TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Onboarding pages: `state` is fresh, opened or used.
CREATE TABLE IF NOT EXISTS links (
    token TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    return_url TEXT NOT NULL,
    refresh_url TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'fresh'
) STRICT, WITHOUT ROWID;

-- Faults that wait for the next call they apply to.
CREATE TABLE IF NOT EXISTS faults (
    seq INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    delay_ms INTEGER NOT NULL
) STRICT;
