-- How people prove who they are, what their sessions are made of, and how often anybody may try.

-- Somebody who was removed stays as the one who approved and decided.
ALTER TABLE person ADD COLUMN removed_ms INTEGER;

-- Who an issuer of OpenID Connect says somebody is. Bound at the first sign-in by a verified address, and by the
-- subject from then on: an address may change hands, a subject does not.
CREATE TABLE person_identity (
    issuer    TEXT NOT NULL,
    subject   TEXT NOT NULL,
    person    TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    linked_ms INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject),
    UNIQUE (issuer, person)
) STRICT;

-- A sign-in at the issuer that is under way.
CREATE TABLE signin_attempt (
    state_hash    TEXT PRIMARY KEY,
    nonce         TEXT NOT NULL,
    verifier      TEXT NOT NULL,                      -- PKCE towards the issuer
    browser_hash  TEXT,                               -- of the cookie of the browser that began it; NULL for a program
    return_to     TEXT NOT NULL,                      -- a page of ours, `#/…`
    port          INTEGER,                            -- where a program listens on its own machine
    program_state TEXT,
    challenge     TEXT,                               -- PKCE of that program towards us
    person        TEXT REFERENCES person (id) ON DELETE CASCADE,        -- who must come back, for a confirmation
    session       TEXT REFERENCES session (id) ON DELETE CASCADE,       -- the session that the new one replaces
    code_hash     TEXT UNIQUE,                        -- what the program may redeem, once somebody has come back
    proved        TEXT REFERENCES person (id) ON DELETE CASCADE,
    auth_ms       INTEGER,
    expires_ms    INTEGER NOT NULL
) STRICT;

-- The issuer's description of itself and its keys, as last read.
CREATE TABLE issuer_document (
    url        TEXT PRIMARY KEY,
    body       TEXT NOT NULL,
    fetched_ms INTEGER NOT NULL
) STRICT;

-- A session is a family of refresh tokens: the newest (`refresh_hash`), the one before it (`spent_hash`), and all others.
ALTER TABLE session ADD COLUMN started_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN used_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN agent TEXT NOT NULL DEFAULT '';
-- Makes the newest token out of the one before it, for a minute: a repeated renewal gets the same answer.
ALTER TABLE session ADD COLUMN successor_salt TEXT;
CREATE INDEX session_by_person ON session (person);
CREATE TABLE spent_token (
    hash     TEXT PRIMARY KEY,
    session  TEXT NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    spent_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX spent_token_by_age ON spent_token (spent_ms);
CREATE INDEX access_token_by_session ON access_token (session);

ALTER TABLE api_key ADD COLUMN id TEXT;
ALTER TABLE api_key ADD COLUMN hint TEXT NOT NULL DEFAULT '';
UPDATE api_key SET id = 'key_' || substr(hash, 1, 16);
CREATE UNIQUE INDEX api_key_by_id ON api_key (id);

-- Allowances that are in use: when each is full again.
CREATE TABLE allowance (
    name    TEXT NOT NULL,
    whose   TEXT NOT NULL,                            -- SHA-256
    full_ms INTEGER NOT NULL,
    PRIMARY KEY (name, whose)
) STRICT;
CREATE INDEX allowance_by_age ON allowance (full_ms);
