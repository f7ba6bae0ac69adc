//! Runs as finance sees them: the list, one run, its statements; seal, approve, send.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use commission::format_minor;
use payout::{GRANT_H, Seal, SealedItem, SealedNotPaid};
use serde::Deserialize;
use serde_json::json;
use wire::{
    Account, Approval, ApproveRun, GrantState, NotPaid, NotPaidReason, PartnerName, Payout, PayoutDetail, PayoutState,
    Run, RunItem, RunProgress, RunState, RunSummary, SealRun, SendRun,
};

use crate::audit::{self, Entry};
use crate::auth::{Finance, FreshFinance, Staff};
use crate::db::{DbError, Stmt, guard};
use crate::error::{ApiError, Body, Segment, changed, conflict, forbidden, invalid, not_found, unavailable};
use crate::run_decide::{carried_minor, in_words};
use crate::tokens::{self, at, ms};
use crate::{App, journal, lock, posting, sql};

/// Bytes of a seal that stand in one row, at most.
const SEAL_PART: usize = 1_000_000;

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
    pub sealed_by: Option<String>,
    pub done_ms: Option<i64>,
    /// The version of the seal whose posting counts.
    pub posted: Option<i64>,
    pub items: u32,
    pub not_paid: u32,
    pub paid_minor: i64,
}

const HEADS: &str = "SELECT r.id, r.period, r.as_of, r.cut, r.state, r.version, r.run_hash, r.total_minor, r.drafted_ms, r.sealed_by, r.done_ms, r.posted,
    (SELECT count(*) FROM run_item i WHERE i.run = r.id) AS items,
    (SELECT count(*) FROM run_not_paid n WHERE n.run = r.id) AS not_paid,
    (SELECT coalesce(sum(i.amount_minor), 0) FROM run_item i WHERE i.run = r.id AND i.state = 'paid') AS paid_minor
    FROM run r ORDER BY r.as_of DESC";

impl Head {
    fn summary(&self) -> RunSummary {
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

async fn head(app: &App, run: &str) -> Result<(Head, Option<Head>), ApiError> {
    let all = heads(app).await?;
    let mine = all.iter().find(|r| r.run == run).cloned().ok_or_else(|| not_found("There is no such run."))?;
    let previous = all.into_iter().filter(|r| r.as_of < mine.as_of).max_by_key(|r| r.as_of);
    Ok((mine, previous))
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
    }
    let (head, previous) = head(app, run).await?;
    let items: Vec<RunItem> = app
        .db
        .query(sql!(
            "SELECT i.id AS item, i.partner, p.name, i.tier, i.amount_minor, b.amount_minor AS previous_minor, i.lines, i.destination,
                    i.digest, i.state, i.transfer, i.problem
             FROM run_item i JOIN partner p ON p.code = i.partner
             LEFT JOIN run_item b ON b.run = ?2 AND b.partner = i.partner
             WHERE i.run = ?1 ORDER BY i.amount_minor DESC, i.partner",
            run,
            previous.as_ref().map(|p| p.run.as_str()),
        ))
        .await?
        .all()?;
    let not_paid: Vec<NotPaidRow> = app
        .db
        .query(sql!(
            "SELECT n.partner, p.name, n.balance_minor, n.waiting_minor, n.reason FROM run_not_paid n JOIN partner p ON p.code = n.partner
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
            "SELECT expires_ms, seen_ms FROM send_grant WHERE run = ?1 AND expires_ms > ?2 ORDER BY expires_ms DESC LIMIT 1",
            run,
            ms(app.host.now()),
        ))
        .await?
        .first()?;
    Ok(Run {
        previous_total_minor: previous.map(|p| p.total_minor),
        progress: progress(&items),
        approvals_needed: app.config.approvals_needed,
        items,
        not_paid: not_paid
            .into_iter()
            .map(|n| NotPaid {
                text: in_words(n.reason, n.balance_minor, Some(&n.name)),
                partner: n.partner,
                name: n.name,
                balance_minor: n.balance_minor,
                waiting_minor: n.waiting_minor,
                reason: n.reason,
            })
            .collect(),
        approvals: approvals.into_iter().map(|a| Approval { by: a.email, at: at(a.at_ms) }).collect(),
        grant: grant
            .filter(|_| head.state == RunState::Sending)
            .map(|g| GrantState { expires_at: at(g.expires_ms), executor_seen_at: g.seen_ms.map(at) }),
        summary: head.summary(),
    })
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
    let detail = detail(&app, &item, None).await?;
    if item.strip_prefix(&run).is_some_and(|rest| rest.starts_with(':')) {
        Ok(Json(detail))
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
            "SELECT i.id, r.period, i.amount_minor, i.state, i.transfer, i.paid_at, i.digest, i.partner, p.name, i.run, r.as_of, r.cut
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
        }
    }
}

/// `POST /v1/runs/{run}/seal`: freezes what was looked at. Refused when a payout was recorded since the draft.
pub(crate) async fn seal(
    Finance(account): Finance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<SealRun>,
) -> Result<Json<Run>, ApiError> {
    let (head, _) = head(&app, &run).await?;
    // A seal that was begun and did not end is begun anew.
    if !matches!(head.state, RunState::Draft | RunState::Sealing) {
        return Err(conflict(format!(
            "The run of {} is {}: only a draft can be sealed.",
            head.period,
            state_name(head.state)
        )));
    }
    if head.version != asked.version {
        return Err(changed("The draft has been computed again since you looked at it. Look at it again."));
    }
    if head.items == 0 {
        return Err(conflict("Nobody is due in this run: there is nothing to seal."));
    }
    let version = head.version + 1;
    let begun = app.db.batch(vec![
        guard(
            "EXISTS (SELECT 1 FROM run WHERE id = ?1 AND state IN ('draft', 'sealing') AND version = ?2)",
            vec![(&run).into(), head.version.into()],
        ),
        no_payout_since(head.cut),
        guard(
            "NOT EXISTS (SELECT 1 FROM posted_run p JOIN run r ON r.id = ?1 WHERE p.as_of >= r.as_of)",
            vec![(&run).into()],
        ),
        sql!("UPDATE run SET state = 'sealing', version = ?2 WHERE id = ?1", &run, version),
    ]);
    begun.await.map_err(not_sealed)?;
    match freeze(&app, &head, version, &account).await {
        Ok(hash) => tracing::info!(run, hash, by = %account.user, "run sealed"),
        Err(error) => {
            // What was written so far does not count; the draft can be looked at again.
            app.db
                .batch(vec![
                    sql!("DELETE FROM posting WHERE run = ?1 AND version = ?2 AND EXISTS (SELECT 1 FROM run WHERE id = ?1 AND state = 'sealing')", &run, version),
                    sql!("UPDATE run SET state = 'draft' WHERE id = ?1 AND state = 'sealing' AND version = ?2", &run, version),
                ])
                .await?;
            return Err(error);
        }
    }
    load(&app, &run).await.map(Json)
}

/// Writes the posting of a run, then the seal with its hash, last of all. Answers the hash.
async fn freeze(app: &App, head: &Head, version: u32, by: &Account) -> Result<String, ApiError> {
    let seal = build_seal(app, head).await?;
    let items = seal.items.iter().map(|item| (item.partner.clone(), item.digest.clone())).collect();
    let mut batch = posting::write(app, head, version, &items).await?;
    let text =
        serde_json::to_string(&seal).map_err(|_| unavailable("The seal cannot be written. Nothing was changed."))?;
    let hash = seal.run_hash();
    batch.extend([
        no_payout_since(head.cut),
        sql!("UPDATE run_item SET sealed = 1 WHERE run = ?1", &head.run),
        sql!(
            "UPDATE run SET state = 'sealed', run_hash = ?2, sealed_by = ?3 WHERE id = ?1",
            &head.run,
            &hash,
            &by.user,
        ),
        sql!("DELETE FROM seal_part WHERE run = ?1", &head.run),
    ]);
    for (n, part) in parts(&text).enumerate() {
        batch.push(sql!("INSERT INTO seal_part (run, n, text) VALUES (?1, ?2, ?3)", &head.run, n as i64, part));
    }
    let entry = Entry::new(&by.clone().into(), "run.sealed", format!("run:{}", head.run))
        .before(json!({"state": "draft", "version": head.version}))
        .after(json!({"state": "sealed", "version": version, "run_hash": hash, "total_minor": head.total_minor, "items": head.items}));
    audit::write(app, batch, &[entry]).await.map_err(not_sealed)?;
    Ok(hash)
}

/// A text in parts of which each fits a row of D1.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (part, rest) = text.split_at(text.floor_char_boundary(SEAL_PART));
        text = rest;
        (!part.is_empty()).then_some(part)
    })
}

/// Fails a batch when a payout was recorded since the facts up to `cut`.
fn no_payout_since(cut: i64) -> Stmt {
    guard(
        "NOT EXISTS (SELECT 1 FROM fact WHERE seq > ?1 AND (id LIKE 'payout_paid:%' OR id LIKE 'payout_reversed:%'))",
        vec![cut.into()],
    )
}

fn not_sealed(error: DbError) -> ApiError {
    match error {
        DbError::Constraint(_) => changed(
            "A payout was recorded, or another run was sealed, since this draft was computed. Compute the draft again, look at it, then seal it.",
        ),
        other => other.into(),
    }
}

async fn build_seal(app: &App, head: &Head) -> Result<Seal, ApiError> {
    let items: Vec<SealedItem> = app
        .db
        .query(sql!(
            "SELECT id AS item, partner, amount_minor, currency, destination, digest FROM run_item WHERE run = ?1 ORDER BY id",
            &head.run,
        ))
        .await?
        .all()?;
    let not_paid: Vec<SealedNotPaid> = app
        .db
        .query(sql!("SELECT partner, reason FROM run_not_paid WHERE run = ?1 ORDER BY partner", &head.run))
        .await?
        .all()?;
    Ok(Seal {
        environment: app.config.environment().into(),
        run: head.run.clone(),
        period: head.period.clone(),
        as_of: head.as_of,
        cut: head.cut,
        terms: app.config.terms.versions().iter().map(|t| t.id.clone()).collect(),
        items,
        not_paid,
    })
}

/// `POST /v1/runs/{run}/approve`: binds to the seal that was seen, with its total typed.
pub(crate) async fn approve(
    FreshFinance(account): FreshFinance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<ApproveRun>,
) -> Result<Json<Run>, ApiError> {
    let (head, _) = head(&app, &run).await?;
    if head.state != RunState::Sealed {
        return Err(conflict(format!(
            "The run of {} is {}: only a sealed run can be approved.",
            head.period,
            state_name(head.state)
        )));
    }
    if head.run_hash.as_ref() != Some(&asked.run_hash) || head.version != asked.version {
        return Err(changed(
            "This run has been sealed anew since you looked at it. Look at it again before you approve.",
        ));
    }
    if asked.typed_total_minor != head.total_minor {
        let (typed, total) = (format_minor(asked.typed_total_minor), format_minor(head.total_minor));
        return Err(invalid(format!("You typed {typed}, the run comes to {total}. Nothing was approved.")));
    }
    if app.config.approvals_needed > 1 && head.sealed_by.as_ref() == Some(&account.user) {
        return Err(forbidden("You sealed this run, so somebody else must approve it."));
    }
    let entry = Entry::new(&account.clone().into(), "run.approved", format!("run:{run}"))
        .after(json!({"run_hash": asked.run_hash, "version": asked.version, "total_minor": asked.typed_total_minor}));
    audit::write(
        &app,
        vec![
            guard(
                "EXISTS (SELECT 1 FROM run WHERE id = ?1 AND state = 'sealed' AND version = ?2 AND run_hash = ?3)",
                vec![(&run).into(), asked.version.into(), (&asked.run_hash).into()],
            ),
            sql!(
                "INSERT INTO approval (run, run_hash, person, at_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                &run,
                &asked.run_hash,
                &account.user,
                ms(app.host.now()),
            ),
            sql!(
                "UPDATE run SET state = 'approved' WHERE id = ?1
                 AND (SELECT count(*) FROM approval a WHERE a.run = ?1 AND a.run_hash = ?2) >= CAST(?3 AS INTEGER)",
                &run,
                &asked.run_hash,
                app.config.approvals_needed,
            ),
        ],
        &[entry],
    )
    .await?;
    tracing::info!(run, by = %account.user, "run approved");
    load(&app, &run).await.map(Json)
}

/// `POST /v1/runs/{run}/send`: a grant for whoever holds the money key.
pub(crate) async fn send(
    FreshFinance(account): FreshFinance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<SendRun>,
) -> Result<Json<Run>, ApiError> {
    let (head, _) = head(&app, &run).await?;
    if !matches!(head.state, RunState::Approved | RunState::Sending) {
        return Err(conflict(format!(
            "The run of {} is {}: only an approved run can be sent.",
            head.period,
            state_name(head.state)
        )));
    }
    if head.run_hash.as_ref() != Some(&asked.run_hash) {
        return Err(changed("This run has been sealed anew since you looked at it. Look at it again."));
    }
    lock::refuse_locked(&app).await?;
    let now = app.host.now();
    let (grant, expires_at) = (tokens::id(&*app.host, "grant"), now + TimeDelta::hours(GRANT_H));
    let entry = Entry::new(&account.clone().into(), "run.send_granted", format!("run:{run}"))
        .after(json!({"run_hash": asked.run_hash, "grant": grant, "expires_at": expires_at}));
    audit::write(
        &app,
        vec![
            lock::unlocked(),
            guard(
                "EXISTS (SELECT 1 FROM run WHERE id = ?1 AND state IN ('approved', 'sending') AND run_hash = ?2)",
                vec![(&run).into(), (&asked.run_hash).into()],
            ),
            sql!(
                "INSERT INTO send_grant (id, run, run_hash, person, expires_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                &grant,
                &run,
                &asked.run_hash,
                &account.user,
                ms(expires_at),
            ),
            // What was held for an account or a capability is tried again by a new grant.
            sql!("UPDATE run_item SET held = 0 WHERE run = ?1 AND state = 'queued'", &run),
            sql!("UPDATE run SET state = 'sending' WHERE id = ?1", &run),
        ],
        &[entry],
    )
    .await?;
    tracing::info!(run, by = %account.user, "send grant issued");
    load(&app, &run).await.map(Json)
}
