//! The journal: facts are stored once, in the order of recording, and evaluated by the engine.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use commission::{
    ClientStatus, EvaluateError, Evaluation, Fact, FactBody, Journal, JournalReader, Statement, Tier, evaluate,
    parse_fact,
};
use serde::Deserialize;
use serde_json::json;

use crate::App;
use crate::db::{Stmt, Val};
use crate::error::{ApiError, unavailable};
use crate::sql;

/// Facts are read in pages of this many.
const PAGE: u32 = 5_000;

/// Stores a fact about a partner or a referral. A repeated id changes nothing.
pub(crate) fn insert(fact: &Fact) -> Result<Stmt, ApiError> {
    let (partner, referral) = match &fact.body {
        FactBody::PartnerJoined { partner, .. }
        | FactBody::PartnerSuspended { partner }
        | FactBody::PartnerReinstated { partner }
        | FactBody::AdjustmentMade { partner, .. }
        | FactBody::PayoutPaid { partner, .. } => (Some(partner.as_str()), None),
        FactBody::ReferralCreated { referral, .. }
        | FactBody::ReferralCleared { referral, .. }
        | FactBody::ReferralRejected { referral, .. }
        | FactBody::ReferralReopened { referral, .. }
        | FactBody::ReferralMoved { referral, .. }
        | FactBody::SubscriptionStarted { referral, .. } => (None, Some(referral.as_str())),
        _ => (None, None),
    };
    insert_of(fact, partner, referral)
}

/// Stores a fact about something of a referral: a subscription, an invoice, a refund, a dispute.
pub(crate) fn insert_for(fact: &Fact, referral: &str) -> Result<Stmt, ApiError> {
    insert_of(fact, None, Some(referral))
}

/// Stores a fact about a partner or a referral with a person's reason, where its type has no field for one: readers
/// ignore it, and whoever looks at the journal sees it.
pub(crate) fn insert_because(fact: &Fact, reason: Option<&str>) -> Result<Stmt, ApiError> {
    let mut stmt = insert(fact)?;
    if let (Some(reason), Some(Val::Text(body))) = (reason, stmt.params.last_mut())
        && let Ok(mut value) = serde_json::from_str::<serde_json::Value>(body)
    {
        value["reason"] = reason.into();
        *body = value.to_string();
    }
    Ok(stmt)
}

/// Stores a fact about a payout of a partner.
pub(crate) fn insert_for_partner(fact: &Fact, partner: &str) -> Result<Stmt, ApiError> {
    insert_of(fact, Some(partner), None)
}

fn insert_of(fact: &Fact, partner: Option<&str>, referral: Option<&str>) -> Result<Stmt, ApiError> {
    let body = serde_json::to_string(fact).map_err(|error| {
        tracing::error!(%error, id = %fact.id, "a fact cannot be written");
        unavailable("This could not be recorded. Nothing was changed.")
    })?;
    Ok(sql!(
        "INSERT INTO fact (id, partner, referral, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
        &fact.id,
        partner,
        referral,
        body,
    ))
}

#[derive(Deserialize)]
struct Row<'a> {
    seq: i64,
    body: &'a str,
}

/// Facts in the order of recording.
pub(crate) struct Recorded {
    pub facts: Vec<Fact>,
    /// The number of each.
    numbers: Vec<i64>,
}

impl Recorded {
    /// Those that were recorded up to a number.
    pub(crate) fn up_to(&self, cut: i64) -> &[Fact] {
        &self.facts[..self.numbers.partition_point(|number| *number <= cut)]
    }
}

pub(crate) fn unreadable(seq: i64, error: &dyn std::error::Error) -> ApiError {
    tracing::error!(seq, %error, "a stored fact cannot be read");
    unavailable("The journal has a line that cannot be read; nothing is computed from it until that is solved.")
}

/// The statement that reads the next facts after number `after`: all of them, or those that lead to some partners. A referral
/// that was moved leads to every partner that it was ever credited to, and says by its facts whose it is at a given cut;
/// the engine needs to know all of them for that. The plus keeps SQLite from going through all facts in their order.
fn page(partners: Option<&[&str]>, after: i64, cut: i64) -> Stmt {
    match partners {
        None => sql!("SELECT seq, body FROM fact WHERE seq > ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3", after, cut, PAGE),
        Some(partners) => sql!(
            "WITH these AS (SELECT value AS code FROM json_each(?1)),
                  mine AS (SELECT id FROM referral WHERE partner IN these UNION SELECT referral FROM referral_was WHERE partner IN these),
                  others AS (SELECT w.partner AS a, r.partner AS b FROM referral_was w JOIN referral r ON r.id = w.referral
                             WHERE w.referral IN mine)
             SELECT seq, body FROM fact WHERE +seq > ?2 AND +seq <= ?3 AND (partner IN these OR referral IN mine
                OR id IN (SELECT 'partner_joined:' || a FROM others UNION SELECT 'partner_joined:' || b FROM others))
             ORDER BY seq LIMIT ?4",
            json!(partners).to_string(),
            after,
            cut,
            PAGE,
        ),
    }
}

/// All facts up to `cut`, or those of them that lead to some partners.
pub(crate) async fn recorded(app: &App, partners: Option<&[&str]>, cut: Option<i64>) -> Result<Recorded, ApiError> {
    let (journal, numbers) = numbered(app, partners, cut).await?;
    Ok(Recorded { facts: journal.into_facts(), numbers })
}

/// The same as a journal, which was checked once, and the number of each fact.
async fn numbered(app: &App, partners: Option<&[&str]>, cut: Option<i64>) -> Result<(Journal, Vec<i64>), ApiError> {
    let cut = cut.unwrap_or(i64::MAX >> 11);
    let (mut reader, mut numbers) = (JournalReader::new(), Vec::new());
    loop {
        let after = numbers.last().copied().unwrap_or(0);
        let answer = app.db.query(page(partners, after, cut)).await?;
        let rows: Vec<Row> = answer.all()?;
        for row in &rows {
            numbers.push(row.seq);
            if !reader.push_line(row.body.as_bytes()) {
                break;
            }
        }
        if rows.last().is_none_or(|row| numbers.last() != Some(&row.seq)) {
            let last = numbers.last().copied().unwrap_or(0);
            let journal = reader.finish().map_err(|error| unreadable(last, &error))?;
            return Ok((journal, numbers));
        }
    }
}

/// Consecutive facts as they are stored.
#[derive(Debug)]
pub struct JournalPage {
    /// One JSON object each, in the order of recording (docs/rules.md §1).
    pub lines: Vec<String>,
    /// Number of the last of them: the next page begins after it.
    pub last: i64,
}

/// The next page of the stored journal: facts with a number above `after` and at most `cut`, of everybody or those that
/// lead to one partner, exactly the ones that its statement is computed from. `None` when there are no more. Nothing is
/// parsed, so that a line that cannot be read still comes out and can be looked at.
///
/// # Errors
/// The database cannot be read.
pub async fn journal_page(
    app: &App,
    partner: Option<&str>,
    after: i64,
    cut: i64,
) -> Result<Option<JournalPage>, ApiError> {
    let answer = app.db.query(page(partner.as_ref().map(std::slice::from_ref), after, cut)).await?;
    let rows: Vec<Row> = answer.all()?;
    let last = rows.last().map(|row| row.seq);
    Ok(last.map(|last| JournalPage { lines: rows.into_iter().map(|row| row.body.to_owned()).collect(), last }))
}

/// Number of the newest fact; 0 for an empty journal.
///
/// # Errors
/// The database cannot be read.
pub async fn head(app: &App) -> Result<i64, ApiError> {
    #[derive(Deserialize)]
    struct Head {
        seq: Option<i64>,
    }
    let head: Option<Head> = app.db.query(sql!("SELECT max(seq) AS seq FROM fact")).await?.first()?;
    Ok(head.and_then(|h| h.seq).unwrap_or(0))
}

/// Everybody's facts up to number `cut`, read and checked once, for whoever evaluates all partners.
///
/// # Errors
/// The database cannot be read, or a fact in it.
pub async fn stored_journal(app: &App, cut: i64) -> Result<Journal, ApiError> {
    Ok(numbered(app, None, Some(cut)).await?.0)
}

/// The fact of that id.
pub(crate) async fn find(app: &App, id: &str) -> Result<Option<Fact>, ApiError> {
    let rows = app.db.query(sql!("SELECT seq, body FROM fact WHERE id = ?1", id)).await?;
    let Some(row) = rows.first::<Row>()? else { return Ok(None) };
    parse_fact(row.body).map_err(|error| unreadable(row.seq, &error))
}

/// All facts up to `cut`.
pub(crate) async fn all_facts(app: &App, cut: Option<i64>) -> Result<Vec<Fact>, ApiError> {
    Ok(recorded(app, None, cut).await?.facts)
}

/// The facts that lead to one partner, up to `cut`.
pub(crate) async fn partner_facts(app: &App, partner: &str, cut: Option<i64>) -> Result<Vec<Fact>, ApiError> {
    Ok(recorded(app, Some(&[partner]), cut).await?.facts)
}

fn run_engine(app: &App, facts: &[Fact], as_of: DateTime<Utc>) -> Result<Evaluation, ApiError> {
    evaluate(facts, &app.config.terms, as_of).map_err(|error| not_computed(&error))
}

/// The answer where the engine gives none.
pub(crate) fn not_computed(error: &EvaluateError) -> ApiError {
    tracing::error!(%error, "the journal cannot be evaluated");
    unavailable(format!("The statement cannot be computed: {error}."))
}

/// `as_of` of a page that shows a decision right after it was made: two decisions of one instant lie a millisecond apart,
/// and both should count.
pub(crate) fn until_recorded(now: DateTime<Utc>, facts: &[Fact]) -> DateTime<Utc> {
    partner::until(facts.iter().map(|f| f.at).max().map_or(now, |last| last.max(now)))
}

/// Decisions of one instant lie this far ahead of the clock at most, and clocks of two servers this far apart.
const AHEAD: TimeDelta = TimeDelta::seconds(2);

/// The same for a list of agencies: what was recorded a moment ahead of the clock counts, and what is dated far ahead of it, of
/// one agency, does not carry the others along.
pub(crate) fn until_just_recorded(now: DateTime<Utc>, facts: &[Fact]) -> DateTime<Utc> {
    let ahead = facts.iter().map(|f| f.at).filter(|at| *at <= now + AHEAD).max();
    partner::until(ahead.map_or(now, |last| last.max(now)))
}

/// Every partner's statement.
pub(crate) async fn evaluate_all(app: &App, as_of: DateTime<Utc>, cut: Option<i64>) -> Result<Evaluation, ApiError> {
    run_engine(app, &all_facts(app, cut).await?, as_of)
}

/// One partner's statement at `as_of`, out of its facts.
pub(crate) fn statement(app: &App, facts: &[Fact], partner: &str, as_of: DateTime<Utc>) -> Result<Statement, ApiError> {
    let evaluation = run_engine(app, facts, as_of)?;
    evaluation.statements.into_iter().find(|s| s.partner == partner).ok_or_else(|| {
        tracing::error!(partner, "a partner without a statement");
        unavailable("The statement of this agency cannot be computed yet.")
    })
}

/// The facts about payouts of a partner, whenever they were made.
pub(crate) fn payouts_of<'a>(facts: &'a [Fact], partner: &str) -> Vec<&'a Fact> {
    let paid = facts.iter().filter_map(|fact| match &fact.body {
        FactBody::PayoutPaid { payout, partner: to, .. } if to == partner => Some(payout.as_str()),
        _ => None,
    });
    let own: HashSet<&str> = paid.collect();
    let is_own = |fact: &&Fact| match &fact.body {
        FactBody::PayoutPaid { partner: to, .. } => to == partner,
        FactBody::PayoutReversed { payout, .. } => own.contains(payout.as_str()),
        _ => false,
    };
    facts.iter().filter(is_own).collect()
}

/// An agency in a few words, for the demo's list of people.
pub(crate) fn in_short(statement: &Statement, has_account: bool, can_be_paid: bool) -> String {
    let clients = statement.referrals.iter().filter(|r| r.status == ClientStatus::Active).count();
    let tier = match statement.tier {
        Tier::Platinum => "Platinum",
        Tier::Standard if statement.lines.iter().any(|l| l.kind == commission::LineKind::VolumeBonus) => "Volume bonus",
        Tier::Standard => "Standard",
    };
    let account = match (has_account, can_be_paid) {
        (_, true) => "",
        (true, false) => ", Stripe account unfinished",
        (false, false) => ", no Stripe account",
    };
    let clients = match clients {
        0 => "no paying clients yet".to_string(),
        1 => "1 paying client".to_string(),
        n => format!("{n} paying clients"),
    };
    format!("{tier}, {clients}{account}")
}
