-- What runs by itself: the month, what is told to others, and the brake on payouts.

-- What this database knows about itself; one row.
CREATE TABLE program (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    secret        TEXT,                               -- signs links in e-mail; made when it is first needed
    restore_epoch TEXT,                               -- another one after each restore
    checked_ms    INTEGER NOT NULL DEFAULT 0          -- when a write was last tried for /healthz
) STRICT;
INSERT INTO program (one) VALUES (1);

-- Months that the scheduler has looked at; without a run where nothing was due.
CREATE TABLE month_closed (
    period TEXT PRIMARY KEY,                          -- 2026-10
    run    TEXT,                                      -- stays looked at when finance discards the run
    at_ms  INTEGER NOT NULL
) STRICT;

-- While a lock is not lifted nothing is claimed and no intent is recorded. Lifting needs both roles.
CREATE TABLE payout_lock (
    id        TEXT PRIMARY KEY,
    reason    TEXT NOT NULL,                          -- who locked it is in the audit chain
    locked_ms INTEGER NOT NULL,
    lifted_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX one_payout_lock ON payout_lock ((lifted_ms IS NULL)) WHERE lifted_ms IS NULL;

CREATE TABLE payout_lock_consent (
    lock   TEXT NOT NULL REFERENCES payout_lock (id),
    role   TEXT NOT NULL CHECK (role IN ('admin', 'finance')),
    person TEXT NOT NULL REFERENCES person (id),
    at_ms  INTEGER NOT NULL,
    PRIMARY KEY (lock, role)
) STRICT;

-- The journal is the outbox: how far it has been turned into events and messages. What was there before is not told.
CREATE TABLE follower (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO follower (one, seq) SELECT 1, coalesce(max(seq), 0) FROM fact;

-- What AIKit is told. The id is made of what it is about, so that it stays the same whatever is restored.
CREATE TABLE event (
    seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    id    TEXT NOT NULL UNIQUE,                       -- payout.paid:2026-10.1:PARTNER_…
    type  TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body  TEXT NOT NULL                               -- the bytes that are sent
) STRICT;

CREATE TABLE webhook_delivery (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    event       TEXT NOT NULL REFERENCES event (id),
    endpoint    TEXT NOT NULL,                        -- its name in the configuration
    state       TEXT NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'delivered', 'failed')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    first_ms    INTEGER NOT NULL,                     -- tries end three days after it
    due_ms      INTEGER NOT NULL,
    answered_ms INTEGER,
    UNIQUE (event, endpoint)
) STRICT;
CREATE INDEX webhook_delivery_due ON webhook_delivery (endpoint, due_ms) WHERE state = 'due';

CREATE TABLE webhook_attempt (
    delivery INTEGER NOT NULL REFERENCES webhook_delivery (id),
    n        INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,
    status   INTEGER,                                 -- absent while nothing has answered
    note     TEXT,
    PRIMARY KEY (delivery, n)
) STRICT;

-- E-mail to people, each sent once. The text goes when it has been sent.
CREATE TABLE message (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    key      TEXT NOT NULL UNIQUE,                    -- what it is about, and who reads it
    person   TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    kind     TEXT NOT NULL CHECK (kind IN ('milestones', 'payouts', 'action_needed', 'finance')),
    subject  TEXT NOT NULL,
    text     TEXT NOT NULL,
    state    TEXT NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    made_ms  INTEGER NOT NULL,
    due_ms   INTEGER NOT NULL,
    sent_ms  INTEGER,
    note     TEXT
) STRICT;
CREATE INDEX message_due ON message (due_ms) WHERE state = 'due';
CREATE INDEX message_by_person ON message (person, kind, made_ms);

-- What a person does not want to read. Action needed cannot be switched off.
CREATE TABLE message_off (
    person TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    kind   TEXT NOT NULL CHECK (kind IN ('milestones', 'payouts')),
    PRIMARY KEY (person, kind)
) STRICT;
