//! What finance does with a run beside sealing and approving it: it holds partners out, sends, pauses, turns back, gives
//! up, closes.
//!
//! Until the first transfer was recorded as about to be sent, or found, a run can be turned back ([`not_begun`]). From then
//! on it goes on, or is closed: then what was never sent is due again.

use axum::Json;
use axum::extract::State;
use chrono::TimeDelta;
use payout::GRANT_H;
use serde::Deserialize;
use serde_json::json;
use wire::{Account, CloseRun, HoldPartner, PayoutState, ReleasePartner, Run, RunState, RunSummary, SendRun, TurnBack};

use crate::audit::{self, Entry};
use crate::auth::{Finance, FreshFinance};
use crate::db::{Stmt, guard};
use crate::deed::Deed;
use crate::error::{ApiError, Body, Segment, changed, conflict, not_found, read_reason};
use crate::run_seal::another_seal;
use crate::runs::{self, Head};
use crate::tokens::{self, ms};
use crate::{App, lock, run_send, sql};

/// Ends every good grant of a run, and says why.
pub(crate) fn end_grants(app: &App, run: &str, why: &str) -> Stmt {
    sql!(
        "UPDATE send_grant SET expires_ms = ?2, ended = ?3 WHERE run = ?1 AND expires_ms > ?2",
        run,
        ms(app.host.now()),
        why,
    )
}

/// Fails a batch unless the run stands at this version in one of these states.
fn still(head: &Head, states: &str) -> Stmt {
    guard(
        "EXISTS (SELECT 1 FROM run WHERE id = ?1 AND version = ?2 AND state IN (SELECT value FROM json_each(?3)))",
        vec![(&head.run).into(), head.version.into(), states.into()],
    )
}

/// Fails a batch when a transfer of the run was recorded as about to be sent, or found; or when a later month was posted
/// on top of it.
fn not_begun(head: &Head) -> [Stmt; 2] {
    [
        guard(
            "NOT EXISTS (SELECT 1 FROM run_item i WHERE i.run = ?1
                         AND (i.state <> 'queued' OR EXISTS (SELECT 1 FROM attempt a WHERE a.item = i.id)))",
            vec![(&head.run).into()],
        ),
        guard(
            "NOT EXISTS (SELECT 1 FROM posted_run p JOIN run r ON r.id = ?1 WHERE p.as_of > r.as_of)",
            vec![(&head.run).into()],
        ),
    ]
}

/// The run as it was looked at, in a state in which it can be turned back.
async fn to_turn_back(app: &App, run: &str, asked: &TurnBack, deed: &str) -> Result<Head, ApiError> {
    let head = runs::head(app, run).await?;
    if head.version != asked.version {
        return Err(changed(format!(
            "The run of {} has changed since you looked at it. Look at it again.",
            head.period
        )));
    }
    if head.state == RunState::Done {
        return Err(conflict(format!("The run of {} is done: it cannot be {deed}.", head.period)));
    }
    if head.begun > 0 {
        return Err(conflict(format!(
            "The run of {} has been begun: a transfer was recorded as about to be sent. It cannot be {deed} any more; pause it, or close it.",
            head.period
        )));
    }
    if head.posted.is_some() {
        let later = runs::heads(app).await?.into_iter().rfind(|r| r.as_of > head.as_of && r.posted.is_some());
        if let Some(later) = later {
            return Err(conflict(format!(
                "{} was sealed after {}, on top of it. Unseal {} first.",
                later.period, head.period, later.period
            )));
        }
    }
    Ok(head)
}

/// A draft as it was looked at.
async fn draft_at(app: &App, run: &str, version: u32) -> Result<Head, ApiError> {
    let head = runs::head(app, run).await?;
    if head.state != RunState::Draft {
        return Err(conflict(format!(
            "The run of {} is {}: who is paid can be changed in a draft only.",
            head.period,
            runs::state_name(head.state)
        )));
    }
    if head.version != version {
        return Err(changed("The draft has changed since you looked at it. Look at it again."));
    }
    Ok(head)
}

/// The draft has another version now, and another total.
fn another_version(head: &Head, by: &Account) -> Stmt {
    sql!(
        "UPDATE run SET version = version + 1, held_by = ?2,
            total_minor = (SELECT coalesce(sum(amount_minor), 0) FROM run_item WHERE run = ?1) WHERE id = ?1",
        &head.run,
        &by.user,
    )
}

/// `POST /v1/runs/{run}/holds`.
pub(crate) async fn hold(
    Finance(account): Finance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<HoldPartner>,
) -> Result<Json<Run>, ApiError> {
    holding(&app, &account, &run, &asked).await?.done(&app).await?;
    tracing::info!(run, partner = asked.partner, by = %account.user, "partner held out");
    runs::load(&app, &run).await.map(Json)
}

/// What holding a partner out comes to.
pub(crate) async fn holding(app: &App, account: &Account, run: &str, asked: &HoldPartner) -> Result<Deed, ApiError> {
    #[derive(Deserialize)]
    struct Paid {
        amount_minor: i64,
    }
    let reason = read_reason(&asked.reason)?;
    let head = draft_at(app, run, asked.version).await?;
    let paid = sql!("SELECT amount_minor FROM run_item WHERE run = ?1 AND partner = ?2", run, &asked.partner);
    let paid: Option<Paid> = app.db.query(paid).await?.first()?;
    let paid = paid.ok_or_else(|| not_found("This run does not pay that partner, so it cannot be held out of it."))?;
    let entry = Entry::new(&account.clone().into(), "run.partner_held", format!("run:{run}"))
        .after(json!({"partner": asked.partner, "amount_minor": paid.amount_minor, "version": head.version + 1}))
        .reason(reason);
    let batch = vec![
        still(&head, r#"["draft"]"#),
        sql!(
            "INSERT INTO run_hold (run, partner, reason, person, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            run,
            &asked.partner,
            reason,
            &account.user,
            ms(app.host.now()),
        ),
        sql!(
            "INSERT INTO run_not_paid (run, partner, balance_minor, waiting_minor, reason, item)
             SELECT run, partner, amount_minor, waiting_minor, 'held_out',
                    json_object('amount_minor', amount_minor, 'waiting_minor', waiting_minor, 'destination', destination, 'digest', digest,
                                'tier', tier, 'lines', lines, 'parts', json(parts))
             FROM run_item WHERE run = ?1 AND partner = ?2",
            run,
            &asked.partner,
        ),
        sql!("DELETE FROM run_item WHERE run = ?1 AND partner = ?2", run, &asked.partner),
        another_version(&head, account),
    ];
    Ok(Deed { batch, entry: Some(entry) })
}

/// `POST /v1/runs/{run}/holds/{partner}/release`.
pub(crate) async fn release(
    Finance(account): Finance,
    State(app): State<App>,
    Segment((run, partner)): Segment<(String, String)>,
    Body(asked): Body<ReleasePartner>,
) -> Result<Json<Run>, ApiError> {
    releasing(&app, &account, &run, &partner, &asked).await?.done(&app).await?;
    tracing::info!(run, partner, by = %account.user, "partner released");
    runs::load(&app, &run).await.map(Json)
}

/// What releasing a partner comes to.
pub(crate) async fn releasing(
    app: &App,
    account: &Account,
    run: &str,
    partner: &str,
    asked: &ReleasePartner,
) -> Result<Deed, ApiError> {
    #[derive(Deserialize)]
    struct Held {
        reason: String,
    }
    let head = draft_at(app, run, asked.version).await?;
    let held = sql!("SELECT reason FROM run_hold WHERE run = ?1 AND partner = ?2", run, partner);
    let held: Option<Held> = app.db.query(held).await?.first()?;
    let held = held.ok_or_else(|| not_found("That partner is not held out of this run."))?;
    let entry = Entry::new(&account.clone().into(), "run.partner_released", format!("run:{run}"))
        .before(json!({"partner": partner, "held_because": held.reason}))
        .after(json!({"partner": partner, "version": head.version + 1}));
    let batch = vec![
        still(&head, r#"["draft"]"#),
        sql!("DELETE FROM run_hold WHERE run = ?1 AND partner = ?2", run, partner),
        // Where another condition is not met meanwhile, it stays unpaid for that.
        sql!(
            "INSERT INTO run_item (id, run, partner, currency, amount_minor, waiting_minor, destination, digest, tier, lines, parts)
             SELECT run || ':' || partner, run, partner, ?3, item->>'amount_minor', item->>'waiting_minor', item->>'destination',
                    item->>'digest', item->>'tier', item->>'lines', item->'parts'
             FROM run_not_paid WHERE run = ?1 AND partner = ?2 AND reason = 'held_out'",
            run,
            partner,
            &app.config.currency,
        ),
        sql!("DELETE FROM run_not_paid WHERE run = ?1 AND partner = ?2 AND reason = 'held_out'", run, partner),
        another_version(&head, account),
    ];
    Ok(Deed { batch, entry: Some(entry) })
}

/// `POST /v1/runs/{run}/send`: a grant for whoever holds the money key.
pub(crate) async fn send(
    FreshFinance(account): FreshFinance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<SendRun>,
) -> Result<Json<Run>, ApiError> {
    let head = runs::head(&app, &run).await?;
    if head.run_hash.as_ref() != Some(&asked.run_hash) {
        return Err(another_seal(&app, &head, &asked.run_hash).await?);
    }
    if !matches!(head.state, RunState::Approved | RunState::Sending) {
        return Err(conflict(format!(
            "The run of {} is {}: only an approved run can be sent.",
            head.period,
            runs::state_name(head.state)
        )));
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
            sql!(
                "UPDATE run_item SET held = 0, problem = CASE WHEN problem LIKE 'Not sent: %' THEN NULL ELSE problem END
                 WHERE run = ?1 AND state = 'queued'",
                &run
            ),
            run_send::hold_unpayable(&run),
            sql!("UPDATE run SET state = 'sending' WHERE id = ?1", &run),
        ],
        &[entry],
    )
    .await?;
    tracing::info!(run, by = %account.user, "send grant issued");
    runs::load(&app, &run).await.map(Json)
}

/// `POST /v1/runs/{run}/pause`: no executor may begin another payment. One that is on its way is still recorded.
pub(crate) async fn pause(
    Finance(account): Finance,
    State(app): State<App>,
    Segment(run): Segment,
) -> Result<Json<Run>, ApiError> {
    let head = runs::head(&app, &run).await?;
    let now = app.host.now();
    let good = guard(
        "EXISTS (SELECT 1 FROM send_grant WHERE run = ?1 AND expires_ms > ?2)",
        vec![(&run).into(), ms(now).into()],
    );
    let why = format!("Paused by {} on {}.", account.email, now.format("%-d %B %Y, %H:%M UTC"));
    let entry = Entry::new(&account.clone().into(), "run.paused", format!("run:{run}"));
    match audit::write(&app, vec![good, end_grants(&app, &run, &why)], &[entry]).await {
        Err(error) if error.is_guard() => {
            return Err(conflict(format!(
                "Nobody may send the run of {} now: there is nothing to pause.",
                head.period
            )));
        }
        done => drop(done?),
    }
    tracing::info!(run, by = %account.user, "run paused");
    runs::load(&app, &run).await.map(Json)
}

/// `POST /v1/runs/{run}/unseal`: a draft again. What was approved is not approved any more, and nothing of it is posted.
pub(crate) async fn unseal(
    Finance(account): Finance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<TurnBack>,
) -> Result<Json<Run>, ApiError> {
    let reason = read_reason(&asked.reason)?;
    let head = to_turn_back(&app, &run, &asked, "unsealed").await?;
    if matches!(head.state, RunState::Draft | RunState::Sealing) {
        return Err(conflict(format!("The run of {} is not sealed.", head.period)));
    }
    let mut batch = vec![still(&head, r#"["sealed", "approved", "sending"]"#)];
    batch.extend(not_begun(&head));
    batch.extend([
        sql!(
            "INSERT INTO seal_was (run, run_hash, n, text) SELECT s.run, r.run_hash, s.n, s.text FROM seal_part s JOIN run r ON r.id = s.run
             WHERE s.run = ?1 ON CONFLICT DO NOTHING",
            &run,
        ),
        sql!("DELETE FROM seal_part WHERE run = ?1", &run),
        sql!("DELETE FROM approval WHERE run = ?1", &run),
        end_grants(&app, &run, "The run was unsealed."),
        // Whoever has claimed an item holds a fence that is no longer good.
        sql!(
            "UPDATE run_item SET sealed = 0, held = 0, fence = fence + 1, version = version + 1, lease_until_ms = 0 WHERE run = ?1",
            &run,
        ),
        sql!(
            "UPDATE run SET state = 'draft', posted = NULL, run_hash = NULL, sealed_by = NULL, version = version + 1 WHERE id = ?1",
            &run,
        ),
        sql!("DELETE FROM posting WHERE run = ?1", &run),
    ]);
    let entry = Entry::new(&account.clone().into(), "run.unsealed", format!("run:{run}"))
        .before(json!({"state": head.state, "version": head.version, "run_hash": head.run_hash, "total_minor": head.total_minor}))
        .after(json!({"state": "draft", "version": head.version + 1}))
        .reason(reason);
    audit::write(&app, batch, &[entry]).await?;
    tracing::info!(run, by = %account.user, "run unsealed");
    runs::load(&app, &run).await.map(Json)
}

/// `POST /v1/runs/{run}/discard`: the month is free again. That the run was there stays in the audit chain.
pub(crate) async fn discard(
    Finance(account): Finance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<TurnBack>,
) -> Result<Json<Vec<RunSummary>>, ApiError> {
    let reason = read_reason(&asked.reason)?;
    let head = to_turn_back(&app, &run, &asked, "given up").await?;
    let mut batch = vec![still(&head, r#"["draft", "sealing", "sealed", "approved", "sending"]"#)];
    batch.extend(not_begun(&head));
    batch.push(sql!("UPDATE run SET posted = NULL WHERE id = ?1", &run));
    batch.extend(
        [
            "DELETE FROM drafting WHERE run = ?1",
            "DELETE FROM posting WHERE run = ?1",
            "DELETE FROM seal_part WHERE run = ?1",
            "DELETE FROM approval WHERE run = ?1",
            "DELETE FROM send_grant WHERE run = ?1",
            "DELETE FROM run_not_paid WHERE run = ?1",
            "DELETE FROM run_item WHERE run = ?1",
            "DELETE FROM run WHERE id = ?1",
        ]
        .map(|delete| sql!(delete, &run)),
    );
    let now = ms(app.host.now());
    batch.extend([
        sql!(
            "INSERT INTO run_discarded (run, period, person, at_ms, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
            &run,
            &head.period,
            &account.user,
            now,
            reason,
        ),
        // It is drafted again when finance asks for it, and not before.
        sql!(
            "INSERT INTO month_closed (period, run, at_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            &head.period,
            &run,
            now,
        ),
    ]);
    let entry = Entry::new(&account.clone().into(), "run.discarded", format!("run:{run}"))
        .before(json!({"state": head.state, "version": head.version, "run_hash": head.run_hash, "total_minor": head.total_minor, "items": head.items}))
        .reason(reason);
    audit::write(&app, batch, &[entry]).await?;
    tracing::info!(run, by = %account.user, "run given up");
    Ok(Json(runs::heads(&app).await?.iter().map(Head::summary).collect()))
}

/// `POST /v1/runs/{run}/close`: what is still queued is not paid by this run and is due again. Refused while the outcome
/// of a payment is open.
pub(crate) async fn close(
    FreshFinance(account): FreshFinance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<CloseRun>,
) -> Result<Json<Run>, ApiError> {
    #[derive(Deserialize)]
    struct Of {
        state: PayoutState,
        items: u32,
    }
    let reason = read_reason(&asked.reason)?;
    let head = runs::head(&app, &run).await?;
    if head.run_hash.as_ref() != Some(&asked.run_hash) {
        return Err(another_seal(&app, &head, &asked.run_hash).await?);
    }
    if !matches!(head.state, RunState::Sealed | RunState::Approved | RunState::Sending) {
        return Err(conflict(format!(
            "The run of {} is {}: it cannot be closed.",
            head.period,
            runs::state_name(head.state)
        )));
    }
    let of = sql!("SELECT state, count(*) AS items FROM run_item WHERE run = ?1 GROUP BY state", &run);
    let of: Vec<Of> = app.db.query(of).await?.all()?;
    let count = |state| of.iter().find(|row| row.state == state).map_or(0, |row| row.items);
    let (queued, review) = (count(PayoutState::Queued), count(PayoutState::Review));
    let open = count(PayoutState::Sending) + count(PayoutState::Unknown) + review;
    if open > 0 {
        return Err(conflict(format!(
            "{open} of the payouts of {} may have been made ({review} of them wait for a person). A run can be closed when each is paid or was never sent.",
            head.period
        )));
    }
    let why = format!("Closed by {} on {}: {reason}", account.email, app.host.now().format("%-d %B %Y, %H:%M UTC"));
    let batch = vec![
        guard(
            "EXISTS (SELECT 1 FROM run WHERE id = ?1 AND run_hash = ?2 AND state IN ('sealed', 'approved', 'sending'))
             AND NOT EXISTS (SELECT 1 FROM run_item WHERE run = ?1 AND state IN ('sending', 'unknown', 'review'))",
            vec![(&run).into(), (&asked.run_hash).into()],
        ),
        end_grants(&app, &run, &why),
        sql!(
            "UPDATE run_item SET state = 'void', problem = ?2, fence = fence + 1, version = version + 1, lease_until_ms = 0
             WHERE run = ?1 AND state = 'queued'",
            &run,
            &why,
        ),
        sql!(
            "UPDATE run SET state = 'done', done_ms = ?2, closed = ?3 WHERE id = ?1",
            &run,
            ms(app.host.now()),
            &why,
        ),
    ];
    let entry = Entry::new(&account.clone().into(), "run.closed", format!("run:{run}"))
        .before(json!({"state": head.state}))
        .after(json!({"state": "done", "void": queued, "paid_minor": head.paid_minor}))
        .reason(reason);
    audit::write(&app, batch, &[entry]).await?;
    tracing::info!(run, by = %account.user, void = queued, "run closed");
    runs::load(&app, &run).await.map(Json)
}
