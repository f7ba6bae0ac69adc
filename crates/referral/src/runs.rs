//! Runs as finance sees them: the list, one run, its statements.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use wire::{
    Approval, AtBank, AtBankState, GrantState, NotPaid, NotPaidReason, PartnerName, Payout, PayoutDetail, PayoutState,
    Run, RunDifference, RunItem, RunProgress, RunState, RunSummary,
};

use crate::auth::Staff;
use crate::error::{ApiError, Segment, not_found};
use crate::run_decide::{carried_minor, recovery};
use crate::tokens::at;
use crate::{App, journal, notes, posting, sql};
use partner::in_words;

/// A run's own row.
#[derive(Clone, Deserialize)]
pub(crate) struct Head {
    #[serde(rename = "id")]
    pub run: String,
    pub period: String,
    pub as_of: DateTime<Utc>,
    pub cut: i64,
    pub state: RunState,
    pub version: u32,
    pub run_hash: Option<String>,
    pub total_minor: i64,
    pub drafted_ms: i64,
    pub drafted_by: Option<String>,
    pub held_by: Option<String>,
    pub sealed_by: Option<String>,
    pub closed: Option<String>,
    pub done_ms: Option<i64>,
    /// The version of the seal whose posting counts.
    pub posted: Option<i64>,
    pub items: u32,
    pub not_paid: u32,
    pub paid_minor: i64,
    /// Above zero: a transfer was recorded as about to be sent, or found.
    pub begun: u8,
}

const HEADS: &str = "SELECT r.id, r.period, r.as_of, r.cut, r.state, r.version, r.run_hash, r.total_minor, r.drafted_ms, r.drafted_by, r.held_by, r.sealed_by,
    r.closed, r.done_ms, r.posted,
    (SELECT count(*) FROM run_item i WHERE i.run = r.id) AS items,
    (SELECT count(*) FROM run_not_paid n WHERE n.run = r.id) AS not_paid,
    (SELECT coalesce(sum(i.amount_minor), 0) FROM run_item i WHERE i.run = r.id AND i.state = 'paid') AS paid_minor,
    EXISTS (SELECT 1 FROM run_item i WHERE i.run = r.id
            AND (i.state <> 'queued' OR EXISTS (SELECT 1 FROM attempt a WHERE a.item = i.id))) AS begun
    FROM run r ORDER BY r.as_of DESC";

impl Head {
    /// What it posts counts: its month is closed.
    pub(crate) fn is_posted(&self) -> bool {
        self.posted.is_some() && !matches!(self.state, RunState::Draft | RunState::Sealing)
    }

    pub(crate) fn summary(&self) -> RunSummary {
        RunSummary {
            run: self.run.clone(),
            period: self.period.clone(),
            as_of: self.as_of,
            state: self.state,
            version: self.version,
            run_hash: self.run_hash.clone(),
            total_minor: self.total_minor,
            items: self.items,
            not_paid: self.not_paid,
            paid_minor: self.paid_minor,
            drafted_at: at(self.drafted_ms),
            done_at: self.done_ms.map(at),
        }
    }
}

/// Every run, the newest first. One a month: a page of them is years.
pub(crate) async fn heads(app: &App) -> Result<Vec<Head>, ApiError> {
    Ok(app.db.query(sql!(HEADS)).await?.all()?)
}

/// A state in a sentence.
pub(crate) fn state_name(state: RunState) -> &'static str {
    match state {
        RunState::Draft => "a draft",
        RunState::Sealing => "being sealed",
        RunState::Sealed => "sealed",
        RunState::Approved => "approved",
        RunState::Sending => "being sent",
        RunState::Done => "done",
    }
}

/// One run and the one before it.
async fn head_and_previous(app: &App, run: &str) -> Result<(Head, Option<Head>), ApiError> {
    let all = heads(app).await?;
    let Some(mine) = all.iter().find(|r| r.run == run).cloned() else { return Err(no_such_run(app, run).await?) };
    let previous = all.into_iter().filter(|r| r.as_of < mine.as_of).max_by_key(|r| r.as_of);
    Ok((mine, previous))
}

/// One run.
pub(crate) async fn head(app: &App, run: &str) -> Result<Head, ApiError> {
    head_and_previous(app, run).await.map(|(mine, _)| mine)
}

/// Why there is no such run: perhaps it was given up.
async fn no_such_run(app: &App, run: &str) -> Result<ApiError, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        email: String,
        at_ms: i64,
        reason: String,
    }
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT p.email, d.at_ms, d.reason FROM run_discarded d JOIN person p ON p.id = d.person WHERE d.run = ?1",
            run
        ))
        .await?
        .first()?;
    Ok(not_found(match row {
        None => "There is no such run.".to_owned(),
        Some(row) => format!(
            "This run was given up by {} on {}: {}",
            row.email,
            at(row.at_ms).format("%-d %B %Y, %H:%M UTC"),
            row.reason
        ),
    }))
}

/// `GET /v1/runs`.
pub(crate) async fn list(_: Staff, State(app): State<App>) -> Result<Json<Vec<RunSummary>>, ApiError> {
    Ok(Json(heads(&app).await?.iter().map(Head::summary).collect()))
}

/// `GET /v1/runs/{run}`.
pub(crate) async fn one(_: Staff, State(app): State<App>, Segment(run): Segment) -> Result<Json<Run>, ApiError> {
    load(&app, &run).await.map(Json)
}

/// One run with everything on its page.
pub(crate) async fn load(app: &App, run: &str) -> Result<Run, ApiError> {
    #[derive(Deserialize)]
    struct NotPaidRow {
        partner: String,
        name: String,
        balance_minor: i64,
        waiting_minor: i64,
        reason: NotPaidReason,
        recovered_in: Option<String>,
        held_by: Option<String>,
        held_why: Option<String>,
    }
    #[derive(Deserialize)]
    struct ApprovalRow {
        email: String,
        at_ms: i64,
    }
    #[derive(Deserialize)]
    struct GrantRow {
        expires_ms: i64,
        seen_ms: Option<i64>,
        ended: Option<String>,
    }
    let (head, previous) = head_and_previous(app, run).await?;
    let before = previous.as_ref().map(|p| p.run.as_str());
    let items: Vec<RunItem> = app
        .db
        .query(sql!(
            "SELECT i.id AS item, i.partner, p.name, i.tier, i.amount_minor, b.amount_minor AS previous_minor, i.lines, i.destination,
                    i.digest, i.state, i.transfer, i.problem
             FROM run_item i JOIN partner p ON p.code = i.partner
             LEFT JOIN run_item b ON b.run = ?2 AND b.partner = i.partner
             WHERE i.run = ?1 ORDER BY i.amount_minor DESC, i.partner",
            run,
            before,
        ))
        .await?
        .all()?;
    let not_paid: Vec<NotPaidRow> = app
        .db
        .query(sql!(
            "SELECT n.partner, p.name, n.balance_minor, n.waiting_minor, n.reason, n.recovered_in, q.email AS held_by, h.reason AS held_why
             FROM run_not_paid n JOIN partner p ON p.code = n.partner
             LEFT JOIN run_hold h ON h.run = n.run AND h.partner = n.partner LEFT JOIN person q ON q.id = h.person
             WHERE n.run = ?1 ORDER BY n.balance_minor DESC, n.partner",
            run,
        ))
        .await?
        .all()?;
    let approvals: Vec<ApprovalRow> = app
        .db
        .query(sql!(
            "SELECT p.email, a.at_ms FROM approval a JOIN person p ON p.id = a.person JOIN run r ON r.id = a.run AND r.run_hash = a.run_hash
             WHERE a.run = ?1 ORDER BY a.at_ms",
            run,
        ))
        .await?
        .all()?;
    let grant: Option<GrantRow> = app
        .db
        .query(sql!(
            "SELECT expires_ms, seen_ms, ended FROM send_grant WHERE run = ?1 ORDER BY rowid DESC LIMIT 1",
            run
        ))
        .await?
        .first()?;
    let grant = grant.filter(|_| head.state == RunState::Sending);
    let now = app.host.now();
    let difference = match before {
        Some(before) => difference(app, run, before).await?,
        None => Vec::new(),
    };
    Ok(Run {
        previous_total_minor: previous.map(|p| p.total_minor),
        progress: progress(&items),
        approvals_needed: app.config.approvals_needed,
        items,
        not_paid: not_paid
            .into_iter()
            .map(|n| NotPaid {
                text: match (n.reason, n.held_by, n.held_why) {
                    (NotPaidReason::HeldOut, Some(by), Some(why)) => format!("Held out by {by}: {why}"),
                    (NotPaidReason::Debt, ..) => {
                        let debt = in_words(NotPaidReason::Debt, n.balance_minor, Some(&n.name));
                        format!("{debt} {}", recovery(n.recovered_in.as_deref()))
                    }
                    (reason, ..) => in_words(reason, n.balance_minor, Some(&n.name)),
                },
                recovered_in: n.recovered_in,
                partner: n.partner,
                name: n.name,
                balance_minor: n.balance_minor,
                waiting_minor: n.waiting_minor,
                reason: n.reason,
            })
            .collect(),
        approvals: approvals.into_iter().map(|a| Approval { by: a.email, at: at(a.at_ms) }).collect(),
        halted: grant.as_ref().and_then(|g| g.ended.clone()),
        grant: grant
            .filter(|g| at(g.expires_ms) > now)
            .map(|g| GrantState { expires_at: at(g.expires_ms), executor_seen_at: g.seen_ms.map(at) }),
        difference,
        begun: head.begun > 0,
        closed: head.closed.clone(),
        notes: notes::of(app, run).await?,
        summary: head.summary(),
    })
}

/// What leads from the run before to a run. The partners that both pay are compared cause by cause.
async fn difference(app: &App, run: &str, before: &str) -> Result<Vec<RunDifference>, ApiError> {
    let mut rows: Vec<RunDifference> = app
        .db
        .query(sql!(
            "SELECT 'newly_paid' AS cause, coalesce(sum(i.amount_minor), 0) AS amount_minor, count(*) AS partners FROM run_item i
             WHERE i.run = ?1 AND NOT EXISTS (SELECT 1 FROM run_item b WHERE b.run = ?2 AND b.partner = i.partner)
             UNION ALL
             SELECT 'no_longer_paid', coalesce(-sum(b.amount_minor), 0), count(*) FROM run_item b
             WHERE b.run = ?2 AND NOT EXISTS (SELECT 1 FROM run_item i WHERE i.run = ?1 AND i.partner = b.partner)
             UNION ALL
             SELECT cause, sum(by_minor), sum(by_minor <> 0) FROM
                (SELECT c.value AS cause,
                        coalesce(i.parts->>c.value, CASE c.value WHEN 'carried' THEN i.amount_minor ELSE 0 END)
                        - coalesce(b.parts->>c.value, CASE c.value WHEN 'carried' THEN b.amount_minor ELSE 0 END) AS by_minor
                 FROM run_item i JOIN run_item b ON b.run = ?2 AND b.partner = i.partner
                 JOIN json_each('[\"commission\",\"bonus\",\"adjustment\",\"reversed\",\"carried\"]') c WHERE i.run = ?1)
             GROUP BY cause",
            run,
            before,
        ))
        .await?
        .all()?;
    rows.retain(|row| row.amount_minor != 0);
    rows.sort_by_key(|row| row.cause);
    Ok(rows)
}

fn progress(items: &[RunItem]) -> RunProgress {
    let mut progress = RunProgress::default();
    for item in items {
        let counter = match item.state {
            PayoutState::Queued => &mut progress.queued,
            PayoutState::Sending => &mut progress.sending,
            PayoutState::Unknown => &mut progress.unknown,
            PayoutState::Review => &mut progress.review,
            PayoutState::Paid => &mut progress.paid,
            PayoutState::Void => &mut progress.void,
        };
        *counter += 1;
    }
    progress
}

/// `GET /v1/runs/{run}/items/{item}`.
pub(crate) async fn statement(
    _: Staff,
    State(app): State<App>,
    Segment((run, item)): Segment<(String, String)>,
) -> Result<Json<PayoutDetail>, ApiError> {
    in_run(&app, &run, &item).await.map(Json)
}

/// The same of an item that is in that run.
pub(crate) async fn in_run(app: &App, run: &str, item: &str) -> Result<PayoutDetail, ApiError> {
    let detail = detail(app, item, None).await?;
    if item.strip_prefix(run).is_some_and(|rest| rest.starts_with(':')) {
        Ok(detail)
    } else {
        Err(not_found("There is no such payment in this run."))
    }
}

/// What a payment is made of. With a partner: only if it is that partner's, and sealed.
pub(crate) async fn detail(app: &App, item: &str, partner: Option<&str>) -> Result<PayoutDetail, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(flatten)]
        payout: PayoutRow,
        partner: String,
        name: String,
        run: String,
        as_of: DateTime<Utc>,
        cut: i64,
    }
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT i.id, r.period, i.amount_minor, i.state, i.transfer, i.paid_at, i.digest, (SELECT bank FROM at_bank WHERE transfer = i.transfer) AS bank, i.partner, p.name, i.run, r.as_of, r.cut
             FROM run_item i JOIN run r ON r.id = i.run JOIN partner p ON p.code = i.partner
             WHERE i.id = ?1 AND (?2 IS NULL OR (i.partner = ?2 AND i.sealed = 1))",
            item,
            partner,
        ))
        .await?
        .first()?;
    let row = row.ok_or_else(|| not_found("There is no such payout."))?;
    let (totals, lines) = match posting::posted(app, &row.run, &row.partner).await? {
        Some(posted) => posted,
        // Nothing is posted by a draft: this is what sealing it would post.
        None => {
            let mine = [row.partner.as_str()];
            let base = posting::base(app, row.as_of, &mine).await?;
            let recorded = journal::recorded(app, Some(&mine), Some(row.cut)).await?;
            let comparison = base.comparison(app, &recorded, row.as_of)?;
            let diff = base.differences(app, &comparison, &mine).await?.pop();
            let totals = diff.as_ref().and_then(|diff| diff.after.as_ref()).map(|after| after.totals);
            (totals.unwrap_or_default(), diff.as_ref().map(posting::entries).unwrap_or_default())
        }
    };
    Ok(PayoutDetail {
        carried_minor: carried_minor(row.payout.amount_minor, &lines),
        payout: row.payout.into(),
        partner: PartnerName { code: row.partner, name: row.name },
        as_of: row.as_of,
        lines,
        totals,
    })
}

/// A row of the view `at_bank`.
#[derive(Deserialize)]
struct BankRow {
    payout: String,
    status: String,
    arrives_ms: i64,
    failure: Option<String>,
}

impl From<BankRow> for AtBank {
    fn from(row: BankRow) -> Self {
        let state = match row.status.as_str() {
            "paid" => AtBankState::Reached,
            "failed" | "canceled" => AtBankState::Refused,
            _ => AtBankState::OnTheWay,
        };
        let refused = (state == AtBankState::Refused).then(|| partner::bank_refusal(row.failure.as_deref()));
        AtBank {
            state,
            arrives: at(row.arrives_ms),
            payout: row.payout,
            text: refused.map(|why| {
                format!("Not at the bank: {why}. The money is in the Stripe account; once the bank account is corrected there, Stripe sends it again.")
            }),
        }
    }
}

/// A payment as it is stored.
#[derive(Deserialize)]
pub(crate) struct PayoutRow {
    id: String,
    period: String,
    amount_minor: i64,
    state: PayoutState,
    transfer: Option<String>,
    paid_at: Option<DateTime<Utc>>,
    digest: String,
    bank: Option<String>,
}

impl From<PayoutRow> for Payout {
    fn from(r: PayoutRow) -> Self {
        Payout {
            item: r.id,
            period: r.period,
            amount_minor: r.amount_minor,
            state: r.state,
            transfer: r.transfer,
            paid_at: r.paid_at,
            digest: r.digest,
            bank: r.bank.and_then(|text| serde_json::from_str::<BankRow>(&text).ok()).map(Into::into),
        }
    }
}
