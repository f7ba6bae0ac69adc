-- What agencies are searched, filtered and put in order by: computed by the engine, kept beside them. Nothing is paid by it.
CREATE TABLE board (
    partner       TEXT PRIMARY KEY REFERENCES partner (code),
    name          TEXT NOT NULL,                      -- as it is put in order: without case and accents
    words         TEXT NOT NULL,                      -- where a search looks, in the same form
    balance_minor INTEGER NOT NULL,                   -- vested − paid
    waiting_minor INTEGER NOT NULL,                   -- pending + held
    referrals     INTEGER NOT NULL,
    under_review  INTEGER NOT NULL,
    turns_ms      INTEGER                             -- when time alone changes these figures next
) STRICT, WITHOUT ROWID;
CREATE INDEX board_by_name ON board (name, partner);
CREATE INDEX board_by_balance ON board (balance_minor, partner);
CREATE INDEX board_to_review ON board (under_review) WHERE under_review > 0;
CREATE INDEX board_turns ON board (turns_ms) WHERE turns_ms IS NOT NULL;
CREATE INDEX partner_suspended ON partner (code) WHERE suspended = 1;

-- Agencies of which something changed since their row was computed. A mark that came meanwhile has another n, and stays.
CREATE TABLE board_due (
    partner TEXT PRIMARY KEY,
    n       INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;
INSERT INTO board_due (partner) SELECT code FROM partner;

-- How far the journal was followed, under which terms and rules.
CREATE TABLE board_head (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    seq   INTEGER NOT NULL,
    rules TEXT NOT NULL
) STRICT;
INSERT INTO board_head (one, seq, rules) SELECT 1, coalesce(max(seq), 0), '' FROM fact;

CREATE TRIGGER board_partner AFTER UPDATE OF name, email, website ON partner BEGIN
    INSERT INTO board_due (partner) VALUES (NEW.code) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER board_slug AFTER INSERT ON partner_slug BEGIN
    INSERT INTO board_due (partner) VALUES (NEW.partner) ON CONFLICT DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER board_slug_changed AFTER UPDATE ON partner_slug BEGIN
    INSERT INTO board_due (partner) VALUES (NEW.partner) ON CONFLICT DO UPDATE SET n = n + 1;
END;
-- Facts are only ever deleted where the events that they come from are read anew.
CREATE TRIGGER board_fact_gone AFTER DELETE ON fact BEGIN
    INSERT INTO board_due (partner)
        SELECT partner FROM (SELECT OLD.partner AS partner UNION SELECT partner FROM referral WHERE id = OLD.referral
                             UNION SELECT partner FROM referral_was WHERE referral = OLD.referral)
        WHERE partner IS NOT NULL ON CONFLICT DO UPDATE SET n = n + 1;
END;
