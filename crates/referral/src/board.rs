//! What agencies are searched, filtered and put in order by, kept as a row each. The figures are the engine's; they are computed
//! anew for an agency when a fact about it was recorded, when time alone changes them, and when terms or rules are others.
//! Nothing is paid by them, and a page about one agency never reads them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use commission::{Fact, LineStatus, RULES_VERSION, Statement, evaluate};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::db::{DbError, guard};
use crate::error::ApiError;
use crate::tokens::ms;
use crate::{App, journal, sql};
use partner::plain;

/// Agencies that are computed at once, at most.
const AGENCIES: u32 = 400;
/// Their referrals, at most, unless one agency alone has more.
const REFERRALS: i64 = 3_000;

/// A row, before it has its words.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    partner: String,
    /// Of the mark that it is computed for.
    n: i64,
    name: String,
    words: String,
    balance_minor: i64,
    waiting_minor: i64,
    referrals: usize,
    under_review: usize,
    turns_ms: Option<i64>,
}

/// The figures of an agency: everything but its words.
fn figures(statement: &Statement, paid_minor: i64, later: Option<DateTime<Utc>>) -> Row {
    let pending = statement.lines.iter().filter(|l| l.status == LineStatus::Pending).filter_map(|l| l.vests_at).min();
    let totals = statement.totals;
    Row {
        partner: statement.partner.clone(),
        n: 0,
        name: String::new(),
        words: String::new(),
        balance_minor: totals.vested.saturating_sub(paid_minor),
        waiting_minor: totals.held.saturating_add(totals.pending),
        referrals: statement.referrals.len(),
        under_review: statement.referrals.iter().filter(|r| r.under_review).count(),
        turns_ms: [pending, later].into_iter().flatten().min().map(ms),
    }
}

#[derive(Debug, Deserialize)]
struct Head {
    seq: i64,
    rules: String,
    newest: i64,
    due: i64,
    turned: i64,
}

/// What every figure depends on beside the facts.
fn rules(app: &App) -> String {
    let terms = format!("{RULES_VERSION}\n{:?}", app.config.terms);
    hex::encode(Sha256::digest(terms))
}

/// Computes what is due, in at most so many slices. Answers how many agencies are left.
///
/// # Errors
/// The database's, or a journal that cannot be evaluated. What is not done then is due at the next look.
pub async fn keep_board(app: &App, slices: usize) -> Result<u32, ApiError> {
    let mut due = mark(app).await?;
    for _ in 0..slices {
        if due == 0 {
            break;
        }
        slice(app).await?;
        due = mark(app).await?;
    }
    Ok(u32::try_from(due).unwrap_or(u32::MAX))
}

/// Marks the agencies that facts were recorded about since the last look, and those whose time has come. Answers how many are
/// marked.
async fn mark(app: &App) -> Result<i64, ApiError> {
    let now = ms(app.host.now());
    let head: Option<Head> = app
        .db
        .query(sql!(
            "SELECT h.seq, h.rules, coalesce((SELECT max(seq) FROM fact), 0) AS newest, (SELECT count(*) FROM board_due) AS due,
                (SELECT count(*) FROM board b WHERE b.turns_ms <= ?1 AND b.partner NOT IN (SELECT partner FROM board_due)) AS turned
             FROM board_head h",
            now,
        ))
        .await?
        .first()?;
    let Some(head) = head else { return Ok(0) };
    let rules = rules(app);
    if head.newest == head.seq && head.turned == 0 && head.rules == rules {
        return Ok(head.due);
    }
    let as_before = guard(
        "EXISTS (SELECT 1 FROM board_head WHERE seq = ?1 AND rules = ?2)",
        vec![head.seq.into(), (&head.rules).into()],
    );
    let marks = if head.rules == rules {
        sql!(
            "INSERT INTO board_due (partner)
             SELECT partner FROM fact WHERE seq > ?1 AND seq <= ?2 AND partner IS NOT NULL
             UNION SELECT r.partner FROM fact f JOIN referral r ON r.id = f.referral WHERE f.seq > ?1 AND f.seq <= ?2
             UNION SELECT w.partner FROM fact f JOIN referral_was w ON w.referral = f.referral WHERE f.seq > ?1 AND f.seq <= ?2
             UNION SELECT partner FROM board WHERE turns_ms <= ?3
             ON CONFLICT DO UPDATE SET n = n + 1",
            head.seq,
            head.newest,
            now,
        )
    } else {
        sql!("INSERT INTO board_due (partner) SELECT code FROM partner WHERE true ON CONFLICT DO UPDATE SET n = n + 1")
    };
    let there = sql!("UPDATE board_head SET seq = ?1, rules = ?2", head.newest, &rules);
    let count = sql!("SELECT count(*) AS due FROM board_due");
    #[derive(Deserialize)]
    struct Due {
        due: i64,
    }
    match app.db.batch(vec![as_before, marks, there, count]).await {
        Ok(rows) => Ok(rows.last().map(|rows| rows.first::<Due>()).transpose()?.flatten().map_or(0, |d| d.due)),
        // Somebody else has marked them.
        Err(DbError::Constraint(_)) => Ok(head.due.max(1)),
        Err(other) => Err(other.into()),
    }
}

/// Computes some of those that are marked.
async fn slice(app: &App) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Due {
        partner: String,
        n: i64,
        name: Option<String>,
        words: Option<String>,
        referrals: i64,
    }
    let due: Vec<Due> = app
        .db
        .query(sql!(
            "SELECT d.partner, d.n, p.name, p.name || ' ' || p.email || ' ' || p.website || ' ' || p.code || ' '
                    || coalesce((SELECT s.slug FROM partner_slug s WHERE s.partner = p.code AND s.ended_ms IS NULL), '') AS words,
                (SELECT count(*) FROM referral r WHERE r.partner = d.partner) AS referrals
             FROM board_due d LEFT JOIN partner p ON p.code = d.partner ORDER BY d.partner LIMIT ?1",
            AGENCIES,
        ))
        .await?
        .all()?;
    let mut referrals = 0;
    let fits = due.iter().take_while(|row| {
        referrals += row.referrals;
        referrals <= REFERRALS
    });
    let count = fits.count().max(1).min(due.len());
    let due = &due[..count];
    if due.is_empty() {
        return Ok(());
    }
    let codes: Vec<&str> = due.iter().map(|d| d.partner.as_str()).collect();
    let facts = journal::recorded(app, Some(&codes), None).await?.facts;
    let mut rows = computed(app, &facts, &codes)?;
    for row in &mut rows {
        if let Some(of) = due.iter().find(|d| d.partner == row.partner) {
            row.n = of.n;
            row.name = plain(of.name.as_deref().unwrap_or_default());
            row.words = plain(of.words.as_deref().unwrap_or_default());
        }
    }
    let marks = json!(due.iter().map(|d| json!([d.partner, d.n])).collect::<Vec<_>>()).to_string();
    // Only while the mark is the one that was seen: whoever has marked it since computes it anew.
    let put = sql!(
        "INSERT INTO board (partner, name, words, balance_minor, waiting_minor, referrals, under_review, turns_ms)
         SELECT v.value->>'partner', v.value->>'name', v.value->>'words', v.value->>'balance_minor', v.value->>'waiting_minor',
                v.value->>'referrals', v.value->>'under_review', v.value->>'turns_ms'
         FROM json_each(?1) v JOIN board_due d ON d.partner = v.value->>'partner' AND d.n = v.value->>'n'
         WHERE true
         ON CONFLICT (partner) DO UPDATE SET name = excluded.name, words = excluded.words, balance_minor = excluded.balance_minor,
             waiting_minor = excluded.waiting_minor, referrals = excluded.referrals, under_review = excluded.under_review,
             turns_ms = excluded.turns_ms",
        json!(rows).to_string(),
    );
    let done =
        sql!("DELETE FROM board_due WHERE (partner, n) IN (SELECT value->>0, value->>1 FROM json_each(?1))", &marks);
    app.db.batch(vec![put, done]).await?;
    Ok(())
}

/// The rows of some agencies, out of the facts that lead to them.
fn computed(app: &App, facts: &[Fact], codes: &[&str]) -> Result<Vec<Row>, ApiError> {
    let as_of = journal::until_just_recorded(app.host.now(), facts);
    let evaluation = evaluate(facts, &app.config.terms, as_of).map_err(|error| journal::not_computed(&error))?;
    let paid: BTreeMap<&str, i64> = partner::paid_ever(facts);
    // What was recorded for a later instant counts from then on, whoever it is about.
    let later = facts.iter().map(|f| f.at).filter(|at| *at >= as_of).min();
    let asked: BTreeSet<&str> = codes.iter().copied().collect();
    let mine = evaluation.statements.iter().filter(|s| asked.contains(s.partner.as_str()));
    Ok(mine.map(|s| figures(s, paid.get(s.partner.as_str()).copied().unwrap_or(0), later)).collect())
}
