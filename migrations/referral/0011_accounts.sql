-- Connected accounts that were left for others.

ALTER TABLE partner ADD COLUMN account_n INTEGER NOT NULL DEFAULT 0;  -- accounts that were left before this one
ALTER TABLE partner ADD COLUMN frozen_until_ms INTEGER;               -- nothing is paid before, since an account was left

CREATE TABLE account_left (
    account TEXT PRIMARY KEY,
    partner TEXT NOT NULL REFERENCES partner (code),
    person  TEXT NOT NULL REFERENCES person (id),
    left_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
