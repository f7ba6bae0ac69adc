//! The executor's calls: claim, observe, intent, settle. Every decision is `payout::step`'s; every write is guarded by
//! the item's fence and version, so that two executors, or one that slept, cannot act on the same record.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use commission::{Fact, FactBody};
use payout::{Attempt, Decision, Effect, Event, LEASE_S, Outcome, Record, Seal, SealedItem, State as ItemState, step};
use serde::Deserialize;
use wire::{
    ClaimItems, Claimed, ClaimedItem, Grant, Intent, Observe, Observed, RecordIntent, Settle, Settled, StopSending,
};

use crate::auth::ExecutorKey;
use crate::db::{Stmt, Val, guard};
use crate::error::{ApiError, Body, Segment, changed, conflict, forbidden, not_found, read_reason, unavailable};
use crate::tokens::{at, ms};
use crate::{App, journal, lock, run_turn, sql};

#[derive(Deserialize)]
struct GrantRow {
    id: String,
    run: String,
    run_hash: String,
    expires_ms: i64,
}

impl From<GrantRow> for Grant {
    fn from(r: GrantRow) -> Self {
        Grant { grant: r.id, run: r.run, run_hash: r.run_hash, expires_at: at(r.expires_ms) }
    }
}

/// `GET /v1/executor/grants`: the newest good grant of every run that is being sent.
pub(crate) async fn grants(_: ExecutorKey, State(app): State<App>) -> Result<Json<Vec<Grant>>, ApiError> {
    let rows: Vec<GrantRow> = app
        .db
        .query(sql!(
            "SELECT g.id, g.run, g.run_hash, max(g.expires_ms) AS expires_ms FROM send_grant g
             JOIN run r ON r.id = g.run AND r.run_hash = g.run_hash AND r.state = 'sending'
             WHERE g.expires_ms > ?1 GROUP BY g.run",
            ms(app.host.now()),
        ))
        .await?
        .all()?;
    Ok(Json(rows.into_iter().map(Into::into).collect()))
}

/// A grant that is good now, for this run.
async fn good_grant(app: &App, grant: &str, run: &str) -> Result<(), ApiError> {
    let rows = app
        .db
        .query(sql!(
            "SELECT 1 AS good FROM send_grant g JOIN run r ON r.id = g.run AND r.run_hash = g.run_hash AND r.state = 'sending'
             WHERE g.id = ?1 AND g.run = ?2 AND g.expires_ms > ?3",
            grant,
            run,
            ms(app.host.now()),
        ))
        .await?;
    let good: Option<serde_json::Value> = rows.first()?;
    good.map(|_| ()).ok_or_else(|| {
        forbidden("This send grant has ended or is not for this run. Ask finance to send the run again.")
    })
}

/// `POST /v1/runs/{run}/claims`: items under a lease, each with a new fence.
pub(crate) async fn claim(
    _: ExecutorKey,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<ClaimItems>,
) -> Result<Json<Claimed>, ApiError> {
    #[derive(Deserialize)]
    struct Open {
        open: u32,
        open_minor: i64,
    }
    #[derive(Deserialize)]
    struct Part {
        text: String,
    }
    lock::refuse_locked(&app).await?;
    good_grant(&app, &asked.grant, &run).await?;
    let now = app.host.now();
    let answers = app
        .db
        .batch(vec![
            lock::unlocked(),
            sql!("UPDATE send_grant SET seen_ms = ?2 WHERE id = ?1", &asked.grant, ms(now)),
            sql!(
                "UPDATE run_item SET fence = fence + 1, lease_owner = ?2, lease_until_ms = ?3 WHERE id IN (
                    SELECT id FROM run_item WHERE run = ?1 AND sealed = 1 AND held = 0 AND state IN ('queued', 'sending', 'unknown')
                    AND lease_until_ms <= ?4 ORDER BY id LIMIT ?5)
                 RETURNING id AS item, fence, version",
                &run,
                &asked.executor,
                ms(now + TimeDelta::seconds(LEASE_S)),
                ms(now),
                asked.limit.min(100),
            ),
            sql!(
                "SELECT count(*) AS open, coalesce(sum(CASE state WHEN 'queued' THEN amount_minor END), 0) AS open_minor
                 FROM run_item WHERE run = ?1 AND held = 0 AND state IN ('queued', 'sending', 'unknown')",
                &run,
            ),
            sql!("SELECT text FROM seal_part WHERE run = ?1 ORDER BY n", &run),
        ])
        .await?;
    let [_, _, items, open, seal] = answers.as_slice() else {
        return Err(unavailable("The claim was not answered in full. Try again."));
    };
    let items: Vec<ClaimedItem> = items.all()?;
    let Open { open, open_minor } = open.first()?.unwrap_or(Open { open: 0, open_minor: 0 });
    let text: String = seal.all::<Part>()?.into_iter().map(|part| part.text).collect();
    let seal: Seal = serde_json::from_str(&text).map_err(|_| unavailable("The seal of this run cannot be read."))?;
    Ok(Json(Claimed { seal, items, open, open_minor }))
}

/// `POST /v1/executor/grants/{grant}/stop`: finance sends again once the reason is solved.
pub(crate) async fn stop(
    _: ExecutorKey,
    State(app): State<App>,
    Segment(grant): Segment,
    Body(asked): Body<StopSending>,
) -> Result<StatusCode, ApiError> {
    #[derive(Deserialize)]
    struct Of {
        run: String,
    }
    let reason = read_reason(&asked.reason)?;
    let of: Option<Of> = app.db.query(sql!("SELECT run FROM send_grant WHERE id = ?1", &grant)).await?.first()?;
    let of = of.ok_or_else(|| not_found("There is no such send grant."))?;
    tracing::warn!(run = of.run, reason, "an executor stops the run");
    app.db.query(run_turn::end_grants(&app, &of.run, reason)).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct ItemRow {
    id: String,
    run: String,
    period: String,
    partner: String,
    amount_minor: i64,
    currency: String,
    destination: String,
    digest: String,
    state: ItemState,
    held: i64,
    transfer: Option<String>,
    paid_at: Option<DateTime<Utc>>,
    problem: Option<String>,
    version: i64,
    fence: i64,
}

struct Loaded {
    record: Record,
    run: String,
    version: i64,
    fence: i64,
}

async fn load(app: &App, item: &str) -> Result<Loaded, ApiError> {
    #[derive(Deserialize)]
    struct AttemptRow {
        n: i64,
        first_sent_ms: i64,
        last_sent_ms: i64,
        outcome: Option<Outcome>,
    }
    let answers = app
        .db
        .batch(vec![
            sql!(
                "SELECT i.id, i.run, r.period, i.partner, i.amount_minor, i.currency, i.destination, i.digest, i.state, i.held,
                        i.transfer, i.paid_at, i.problem, i.version, i.fence
                 FROM run_item i JOIN run r ON r.id = i.run WHERE i.id = ?1 AND i.sealed = 1",
                item,
            ),
            sql!("SELECT n, first_sent_ms, last_sent_ms, outcome FROM attempt WHERE item = ?1 ORDER BY n", item),
        ])
        .await?;
    let [row, attempts] = answers.as_slice() else {
        return Err(unavailable("The item was not read in full. Try again."));
    };
    let row: Option<ItemRow> = row.first()?;
    let row = row.ok_or_else(|| not_found("There is no such item."))?;
    let attempts: Vec<AttemptRow> = attempts.all()?;
    let attempt = |a: AttemptRow| Attempt {
        n: a.n,
        first_sent_at: at(a.first_sent_ms),
        last_sent_at: at(a.last_sent_ms),
        outcome: a.outcome,
    };
    let record = Record {
        description: format!("AIKit partner commission {} · {}", row.period, row.partner),
        item: SealedItem {
            item: row.id,
            partner: row.partner,
            amount_minor: row.amount_minor,
            currency: row.currency,
            destination: row.destination,
            digest: row.digest,
        },
        environment: app.config.environment().into(),
        state: row.state,
        attempts: attempts.into_iter().map(attempt).collect(),
        transfer: row.transfer,
        paid_at: row.paid_at,
        problem: row.problem,
        held: row.held != 0,
    };
    Ok(Loaded { record, run: row.run, version: row.version, fence: row.fence })
}

fn my_lease(loaded: &Loaded, fence: i64) -> Result<(), ApiError> {
    if loaded.fence == fence {
        Ok(())
    } else {
        Err(changed(format!("Another executor has claimed item {} meanwhile.", loaded.record.item.item)))
    }
}

/// One guarded batch: the record as `step` left it, its attempts, the fact of a payment, and the run's end.
async fn store(
    app: &App,
    loaded: &Loaded,
    after: &Record,
    effects: &[Effect],
    free_lease: bool,
    relies_on: Option<Stmt>,
) -> Result<(), ApiError> {
    let item = &after.item.item;
    let now = ms(app.host.now());
    let mut batch: Vec<Stmt> = vec![
        guard(
            "EXISTS (SELECT 1 FROM run_item WHERE id = ?1 AND fence = ?2 AND version = ?3)",
            vec![item.into(), loaded.fence.into(), loaded.version.into()],
        ),
        sql!(
            "UPDATE run_item SET state = ?2, held = ?3, transfer = ?4, paid_at = ?5, problem = ?6, version = version + 1,
                lease_until_ms = CASE WHEN ?7 = 1 THEN 0 ELSE lease_until_ms END WHERE id = ?1",
            item,
            after.state.name(),
            after.held,
            after.transfer.as_deref(),
            after.paid_at.map(|t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            after.problem.as_deref(),
            free_lease,
        ),
    ];
    batch.extend(relies_on);
    for a in after.attempts.iter().filter(|a| !loaded.record.attempts.contains(a)) {
        batch.push(sql!(
            "INSERT INTO attempt (item, n, first_sent_ms, last_sent_ms, outcome) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (item, n) DO UPDATE SET last_sent_ms = excluded.last_sent_ms, outcome = excluded.outcome",
            item,
            a.n,
            ms(a.first_sent_at),
            ms(a.last_sent_at),
            a.outcome.map_or(Val::Null, |o| outcome_name(o).into()),
        ));
    }
    for effect in effects {
        if let Effect::PostPaid { at, .. } = effect {
            let body = FactBody::PayoutPaid {
                payout: item.clone(),
                partner: after.item.partner.clone(),
                amount_minor: after.item.amount_minor,
            };
            batch.push(journal::insert(&Fact { id: format!("payout_paid:{item}"), at: *at, body })?);
        }
    }
    if after.state.is_final() {
        batch.push(sql!(
            "UPDATE run SET state = 'done', done_ms = ?2 WHERE id = ?1 AND state = 'sending'
             AND NOT EXISTS (SELECT 1 FROM run_item WHERE run = ?1 AND state NOT IN ('paid', 'void'))",
            &loaded.run,
            now,
        ));
    }
    app.db.batch(batch).await?;
    Ok(())
}

/// What Stripe's lists have of an item that is not recorded as paid. Nothing is sent by it, so no lease is needed. Answers
/// whether it is recorded as paid now.
pub(crate) async fn found(app: &App, item: &str, transfers: Vec<payout::Transfer>) -> Result<bool, ApiError> {
    let loaded = load(app, item).await?;
    let (after, effects, _) =
        step(&loaded.record, Event::Observed { transfers, now: app.host.now() }).map_err(refused)?;
    if after != loaded.record {
        store(app, &loaded, &after, &effects, after.state.is_final(), None).await?;
    }
    Ok(after.state == ItemState::Paid)
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Refused => "refused",
        Outcome::Lost => "lost",
        Outcome::ServerError => "server_error",
    }
}

fn refused(refusal: payout::Refusal) -> ApiError {
    conflict(format!("{refusal}."))
}

/// `POST /v1/items/{item}/observations`.
pub(crate) async fn observe(
    _: ExecutorKey,
    State(app): State<App>,
    Segment(item): Segment,
    Body(seen): Body<Observe>,
) -> Result<Json<Observed>, ApiError> {
    let loaded = load(&app, &item).await?;
    good_grant(&app, &seen.grant, &loaded.run).await?;
    my_lease(&loaded, seen.fence)?;
    let event = Event::Observed { transfers: seen.transfers, now: app.host.now() };
    let (after, effects, decision) = step(&loaded.record, event).map_err(refused)?;
    let mut version = loaded.version;
    if after != loaded.record {
        store(&app, &loaded, &after, &effects, after.state.is_final(), None).await?;
        version += 1;
    }
    Ok(Json(match decision {
        Decision::Settled | Decision::None => Observed::Settled,
        Decision::Review => Observed::Review,
        Decision::Send { attempt } => Observed::Send { attempt, version },
    }))
}

/// `POST /v1/items/{item}/intents`: committed before anything is sent.
pub(crate) async fn intent(
    _: ExecutorKey,
    State(app): State<App>,
    Segment(item): Segment,
    Body(asked): Body<RecordIntent>,
) -> Result<Json<Intent>, ApiError> {
    lock::refuse_locked(&app).await?;
    let loaded = load(&app, &item).await?;
    good_grant(&app, &asked.grant, &loaded.run).await?;
    my_lease(&loaded, asked.fence)?;
    if loaded.version != asked.version {
        return Err(changed(format!("Item {item} has changed since it was looked at.")));
    }
    let event = Event::Intent { attempt: asked.attempt, now: app.host.now() };
    let (after, effects, _) = step(&loaded.record, event).map_err(refused)?;
    store(&app, &loaded, &after, &effects, false, Some(lock::unlocked())).await?;
    Ok(Json(Intent { attempt: asked.attempt, key: after.key(asked.attempt), params: after.params() }))
}

/// `POST /v1/items/{item}/settlements`: by item and attempt, not by lease; also after the grant has ended.
pub(crate) async fn settle(
    _: ExecutorKey,
    State(app): State<App>,
    Segment(item): Segment,
    Body(said): Body<Settle>,
) -> Result<Json<Settled>, ApiError> {
    let loaded = load(&app, &item).await?;
    let event = Event::Answered { attempt: said.attempt, answer: said.answer };
    let (after, effects, _) = step(&loaded.record, event).map_err(refused)?;
    if after != loaded.record {
        store(&app, &loaded, &after, &effects, true, None).await?;
    }
    let stop = effects.iter().find_map(|effect| match effect {
        Effect::StopRun { reason } => Some(reason),
        Effect::PostPaid { .. } => None,
    });
    if let Some(reason) = stop {
        // No further item can succeed: finance sends again once the cause is solved.
        tracing::warn!(item, problem = after.problem, "the run is stopped");
        app.db.query(run_turn::end_grants(&app, &loaded.run, reason)).await?;
    }
    Ok(Json(Settled { state: after.state, stop: stop.is_some() }))
}
