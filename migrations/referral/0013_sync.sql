-- What the desktop app copies (docs/sync.md): for each agency that it is used by, its records as rows with numbers.
-- A change of a record marks it (sync_touch), in the batch that changes it; a pull makes rows of what is marked.

-- Clicks by people of each link and UTC day; the link may not be known yet, and is empty for the main one.
CREATE TABLE click_day (
    partner TEXT NOT NULL,
    link    TEXT NOT NULL,
    day     INTEGER NOT NULL,                         -- since 1970
    clicks  INTEGER NOT NULL,
    PRIMARY KEY (partner, link, day)
) STRICT, WITHOUT ROWID;
INSERT INTO click_day (partner, link, day, clicks)
    SELECT partner, coalesce(link, ''), at_ms / 86400000, count(*) FROM click WHERE kind = 'person' GROUP BY 1, 2, 3;

-- Whose records are copied. A scope that nobody pulls is forgotten, and copied anew when somebody does.
CREATE TABLE sync_scope (
    scope     TEXT PRIMARY KEY REFERENCES partner (code),
    seq       INTEGER NOT NULL,                       -- the newest number; they begin with the time at which it was first pulled, in ms
    floor     INTEGER NOT NULL,                       -- rows that went before this number are forgotten
    rows      INTEGER NOT NULL DEFAULT 0,
    sum       TEXT NOT NULL DEFAULT '[0,0,0,0]',
    pulled_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_row (
    scope   TEXT NOT NULL REFERENCES sync_scope (scope) ON DELETE CASCADE,
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    body    TEXT,                                     -- JSON; NULL where it is gone
    gone_ms INTEGER,
    PRIMARY KEY (scope, kind, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sync_row_by_seq ON sync_row (scope, seq);

CREATE TABLE sync_touch (
    scope TEXT NOT NULL REFERENCES sync_scope (scope) ON DELETE CASCADE,
    kind  TEXT NOT NULL,
    id    TEXT NOT NULL,
    n     INTEGER NOT NULL DEFAULT 1,                 -- how often: a row that was made of fewer is made again
    PRIMARY KEY (scope, kind, id)
) STRICT, WITHOUT ROWID;

-- What was done by acts of the app, so that each is done once.
CREATE TABLE sync_mutation (
    scope  TEXT NOT NULL,                             -- a partner's code, or a person of finance
    mid    TEXT NOT NULL,
    at_ms  INTEGER NOT NULL,
    refused TEXT,                                     -- why it will never be done, JSON
    PRIMARY KEY (scope, mid)
) STRICT, WITHOUT ROWID;
CREATE INDEX sync_mutation_by_age ON sync_mutation (at_ms);

CREATE TRIGGER sync_click AFTER INSERT ON click WHEN NEW.kind = 'person' BEGIN
    INSERT INTO click_day (partner, link, day, clicks) VALUES (NEW.partner, coalesce(NEW.link, ''), NEW.at_ms / 86400000, 1)
        ON CONFLICT DO UPDATE SET clicks = clicks + 1;
    INSERT INTO sync_touch (scope, kind, id)
        SELECT scope, 'clicks', coalesce(NEW.link, '') || '|' || (NEW.at_ms / 86400000) FROM sync_scope WHERE scope = NEW.partner
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER sync_fact AFTER INSERT ON fact BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT scope, 'fact', NEW.id FROM sync_scope
        WHERE scope IN (NEW.partner, (SELECT partner FROM referral WHERE id = NEW.referral))
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

-- Facts are only ever deleted where the events that they come from are read anew.
CREATE TRIGGER sync_fact_gone AFTER DELETE ON fact BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT scope, 'fact', OLD.id FROM sync_scope
        WHERE scope IN (OLD.partner, (SELECT partner FROM referral WHERE id = OLD.referral))
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER sync_referral AFTER INSERT ON referral BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT scope, 'client', NEW.id FROM sync_scope WHERE scope = NEW.partner
        UNION ALL SELECT scope, 'fact', f.id FROM sync_scope JOIN fact f ON f.referral = NEW.id WHERE scope = NEW.partner
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

-- Facts go with the referral from one agency to another.
CREATE TRIGGER sync_referral_changed AFTER UPDATE ON referral BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT scope, 'client', NEW.id FROM sync_scope WHERE scope IN (OLD.partner, NEW.partner)
        UNION ALL SELECT scope, 'fact', f.id FROM sync_scope JOIN fact f ON f.referral = NEW.id
                  WHERE OLD.partner <> NEW.partner AND scope IN (OLD.partner, NEW.partner)
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

-- Clicks of a link that is not known do not count; with the link they do.
CREATE TRIGGER sync_link AFTER INSERT ON link BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT scope, 'link', NEW.id FROM sync_scope WHERE scope = NEW.partner
        UNION ALL SELECT scope, 'clicks', d.link || '|' || d.day FROM sync_scope JOIN click_day d ON d.partner = NEW.partner AND d.link = NEW.id
                  WHERE scope = NEW.partner
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_link_changed AFTER UPDATE ON link BEGIN
    INSERT INTO sync_touch (scope, kind, id) SELECT scope, 'link', NEW.id FROM sync_scope WHERE scope = NEW.partner
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER sync_partner AFTER UPDATE ON partner BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT scope, 'profile', '' FROM sync_scope WHERE scope = NEW.code
        UNION ALL SELECT scope, 'payout', i.id FROM sync_scope JOIN run_item i ON i.partner = NEW.code
                  WHERE OLD.name <> NEW.name AND scope = NEW.code
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_slug AFTER INSERT ON partner_slug BEGIN
    INSERT INTO sync_touch (scope, kind, id) SELECT scope, 'profile', '' FROM sync_scope WHERE scope = NEW.partner
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_slug_changed AFTER UPDATE ON partner_slug BEGIN
    INSERT INTO sync_touch (scope, kind, id) SELECT scope, 'profile', '' FROM sync_scope WHERE scope = NEW.partner
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_terms AFTER INSERT ON terms_acceptance BEGIN
    INSERT INTO sync_touch (scope, kind, id) SELECT scope, 'profile', '' FROM sync_scope WHERE scope = NEW.partner
        ON CONFLICT DO UPDATE SET n = n + 1;
END;

-- A payout is shown once its run is sealed; a sealed one is deleted only after its run was turned back.
CREATE TRIGGER sync_item AFTER UPDATE ON run_item BEGIN
    INSERT INTO sync_touch (scope, kind, id) SELECT scope, 'payout', NEW.id FROM sync_scope WHERE scope = NEW.partner
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_run AFTER UPDATE OF state, posted, as_of ON run BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT s.scope, 'payout', i.id FROM run_item i JOIN sync_scope s ON s.scope = i.partner WHERE i.run = NEW.id
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_bank AFTER INSERT ON bank_payout_transfer BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT s.scope, 'payout', i.id FROM run_item i JOIN sync_scope s ON s.scope = i.partner WHERE i.transfer = NEW.transfer
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_bank_gone AFTER DELETE ON bank_payout_transfer BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT s.scope, 'payout', i.id FROM run_item i JOIN sync_scope s ON s.scope = i.partner WHERE i.transfer = OLD.transfer
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER sync_bank_changed AFTER UPDATE ON bank_payout BEGIN
    INSERT INTO sync_touch (scope, kind, id)
        SELECT s.scope, 'payout', i.id FROM bank_payout_transfer t JOIN run_item i ON i.transfer = t.transfer
            JOIN sync_scope s ON s.scope = i.partner WHERE t.payout = NEW.id
        ON CONFLICT DO UPDATE SET n = n + 1;
END;
