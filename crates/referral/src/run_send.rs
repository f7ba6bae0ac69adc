//! The executor's calls: claim, observe, intent, settle. Every decision is `payout::step`'s; every write is guarded by
//! the item's fence and version, so that two executors, or one that slept, cannot act on the same record.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::TimeDelta;
use payout::{Decision, Effect, Event, LEASE_S, Seal, State as ItemState, step};
use serde::Deserialize;
use wire::{
    ClaimItems, Claimed, ClaimedItem, Grant, Intent, Observe, Observed, RecordIntent, Settle, Settled, StopSending,
};

use crate::auth::Executor;
use crate::db::{Stmt, guard};
use crate::error::{ApiError, Body, Segment, changed, forbidden, not_found, read_reason, unavailable};
use crate::run_record::{Loaded, free, load, refused, store};
use crate::tokens::{at, ms};
use crate::{App, lock, run_record, run_turn, sql};

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
pub(crate) async fn grants(_: Executor, State(app): State<App>) -> Result<Json<Vec<Grant>>, ApiError> {
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
    _: Executor,
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
            hold_unpayable(&run),
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
            // A grant is good for one seal, so what the executor has is still the run's.
            sql!(
                "SELECT text FROM seal_part WHERE run = ?1 AND NOT EXISTS (SELECT 1 FROM run WHERE id = ?1 AND run_hash = ?2) ORDER BY n",
                &run,
                asked.has_seal.as_deref(),
            ),
        ])
        .await?;
    let [_, _, _, items, open, seal] = answers.as_slice() else {
        return Err(unavailable("The claim was not answered in full. Try again."));
    };
    let items: Vec<ClaimedItem> = items.all()?;
    let Open { open, open_minor } = open.first()?.unwrap_or(Open { open: 0, open_minor: 0 });
    let text: String = seal.all::<Part>()?.into_iter().map(|part| part.text).collect();
    let seal: Option<Seal> = match (&asked.has_seal, text.as_str()) {
        (Some(_), "") => None,
        _ => Some(serde_json::from_str(&text).map_err(|_| unavailable("The seal of this run cannot be read."))?),
    };
    Ok(Json(Claimed { seal, items, open, open_minor }))
}

/// What is not sent, although it was approved, to whom that became impossible since: never another amount, only nobody. It is
/// tried again when finance sends the rest.
pub(crate) fn hold_unpayable(run: &str) -> Stmt {
    sql!(
        "UPDATE run_item SET held = 1, version = version + 1, problem = 'Not sent: ' || (SELECT CASE
            WHEN p.suspended = 1 THEN 'the agency is suspended.'
            WHEN p.account IS NOT run_item.destination THEN 'its Stripe account is not the one that was approved.'
            ELSE 'Stripe does not let its account receive transfers.' END
            FROM partner p WHERE p.code = run_item.partner) || ' Send the rest when that is solved, or close the run.'
         WHERE run = ?1 AND sealed = 1 AND state = 'queued' AND held = 0 AND NOT EXISTS
            (SELECT 1 FROM partner p WHERE p.code = run_item.partner AND p.suspended = 0 AND p.account IS run_item.destination
             AND p.transfers = 'active')",
        run,
    )
}

/// Fails a batch that would begin a payment to whom it became impossible a moment ago.
fn still_payable(item: &str) -> Stmt {
    guard(
        "EXISTS (SELECT 1 FROM run_item i JOIN partner p ON p.code = i.partner
                 WHERE i.id = ?1 AND p.suspended = 0 AND p.account IS i.destination AND p.transfers = 'active')",
        vec![item.into()],
    )
}

/// `POST /v1/executor/grants/{grant}/stop`: finance sends again once the reason is solved.
pub(crate) async fn stop(
    _: Executor,
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

fn my_lease(loaded: &Loaded, fence: i64) -> Result<(), ApiError> {
    if loaded.fence == fence {
        Ok(())
    } else {
        Err(changed(format!("Another executor has claimed item {} meanwhile.", loaded.record.item.item)))
    }
}

/// `POST /v1/items/{item}/observations`.
pub(crate) async fn observe(
    _: Executor,
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
        let freed = if after.state.is_final() { vec![free(&item)] } else { Vec::new() };
        store(&app, &loaded, &after, &effects, freed).await?;
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
    _: Executor,
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
    let mut relies_on = vec![lock::unlocked()];
    if loaded.record.state == ItemState::Queued {
        relies_on.push(still_payable(&item));
    }
    store(&app, &loaded, &after, &effects, relies_on).await?;
    Ok(Json(Intent { attempt: asked.attempt, key: after.key(asked.attempt), params: after.params() }))
}

/// `POST /v1/items/{item}/settlements`: by item and attempt, not by lease; also after the grant has ended.
pub(crate) async fn settle(
    _: Executor,
    State(app): State<App>,
    Segment(item): Segment,
    Body(said): Body<Settle>,
) -> Result<Json<Settled>, ApiError> {
    let event = Event::Answered { attempt: said.attempt, answer: said.answer };
    let (run, after, effects) = run_record::learn(&app, &item, &event).await?;
    let stop = effects.iter().find_map(|effect| match effect {
        Effect::StopRun { reason } => Some(reason),
        Effect::PostPaid { .. } => None,
    });
    if let Some(reason) = stop {
        // No further item can succeed: finance sends again once the cause is solved.
        tracing::warn!(item, problem = after.problem, "the run is stopped");
        app.db.query(run_turn::end_grants(&app, &run, reason)).await?;
    }
    Ok(Json(Settled { state: after.state, stop: stop.is_some() }))
}
