//! The record of one payment as it is stored: read, and written as `payout::step` left it. Every write is guarded by the
//! item's fence and version, so that two executors, or one that slept, cannot act on the same record.

use chrono::{DateTime, SecondsFormat, Utc};
use commission::{Fact, FactBody};
use payout::{Attempt, Effect, Event, Nothing, Outcome, Record, Refusal, SealedItem, State as ItemState, step};
use serde::Deserialize;
use wire::ErrorCode;

use crate::db::{Stmt, Val, guard};
use crate::error::{ApiError, conflict, not_found, unavailable};
use crate::tokens::{at, ms};
use crate::{App, inbox, journal, sql};

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
    nothing_since_ms: Option<i64>,
    nothing_last_ms: Option<i64>,
    version: i64,
    fence: i64,
}

/// The record of a payment, and what a change of it is guarded by.
pub(crate) struct Loaded {
    pub record: Record,
    pub run: String,
    pub version: i64,
    pub fence: i64,
}

/// The record of a sealed payment.
pub(crate) async fn load(app: &App, item: &str) -> Result<Loaded, ApiError> {
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
                        i.transfer, i.paid_at, i.problem, i.nothing_since_ms, i.nothing_last_ms, i.version, i.fence
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
        nothing: row
            .nothing_since_ms
            .zip(row.nothing_last_ms)
            .map(|(since, last)| Nothing { since: at(since), last: at(last) }),
    };
    Ok(Loaded { record, run: row.run, version: row.version, fence: row.fence })
}

/// What stores a record as `step` left it, guarded by the fence and version that it was loaded at: its attempts, the fact of a
/// payment, the run's end. And the names that events may have waited for.
pub(crate) fn change(
    app: &App,
    loaded: &Loaded,
    after: &Record,
    effects: &[Effect],
) -> Result<(Vec<Stmt>, Vec<String>), ApiError> {
    let item = &after.item.item;
    let now = ms(app.host.now());
    let mut batch: Vec<Stmt> = vec![
        guard(
            "EXISTS (SELECT 1 FROM run_item WHERE id = ?1 AND fence = ?2 AND version = ?3)",
            vec![item.into(), loaded.fence.into(), loaded.version.into()],
        ),
        sql!(
            "UPDATE run_item SET state = ?2, held = ?3, transfer = ?4, paid_at = ?5, problem = ?6, version = version + 1,
                nothing_since_ms = ?7, nothing_last_ms = ?8 WHERE id = ?1",
            item,
            after.state.name(),
            after.held,
            after.transfer.as_deref(),
            after.paid_at.map(|t| t.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            after.problem.as_deref(),
            after.nothing.map(|nothing| ms(nothing.since)),
            after.nothing.map(|nothing| ms(nothing.last)),
        ),
    ];
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
        // What is open is found among what is open of all runs (`one_open_item`): by its run, each payment would go through all
        // that were paid before it.
        batch.push(sql!(
            "UPDATE run SET state = 'done', done_ms = ?2 WHERE id = ?1 AND state = 'sending'
             AND NOT EXISTS (SELECT 1 FROM run_item WHERE +run = ?1 AND sealed = 1 AND state NOT IN ('paid', 'void'))",
            &loaded.run,
            now,
        ));
    }
    let names = if after.state.is_final() { vec![format!("payout:{item}")] } else { Vec::new() };
    Ok((batch, names))
}

/// Stores a record as `step` left it, in one guarded batch. `beside` is written with it, or nothing is.
pub(crate) async fn store(
    app: &App,
    loaded: &Loaded,
    after: &Record,
    effects: &[Effect],
    beside: Vec<Stmt>,
) -> Result<(), ApiError> {
    let (mut batch, names) = change(app, loaded, after, effects)?;
    batch.extend(beside);
    inbox::commit(app, batch, &names).await.map_err(Into::into)
}

/// Ends the lease on an item: whoever claims next may have it.
pub(crate) fn free(item: &str) -> Stmt {
    sql!("UPDATE run_item SET lease_until_ms = 0 WHERE id = ?1", item)
}

/// What was learned of an item by somebody who needs no lease for it: nothing is sent by it. Answers the run, the record as
/// it is then, and what is to be done beside.
pub(crate) async fn learn(app: &App, item: &str, event: &Event) -> Result<(String, Record, Vec<Effect>), ApiError> {
    let mut tries = 0;
    loop {
        let loaded = load(app, item).await?;
        let (after, effects, _) = step(&loaded.record, event.clone()).map_err(refused)?;
        if after == loaded.record {
            return Ok((loaded.run, after, effects));
        }
        // An executor may be at work on what somebody else only looked at.
        let freed = if matches!(event, Event::Answered { .. }) || after.state.is_final() {
            vec![free(item)]
        } else {
            Vec::new()
        };
        match store(app, &loaded, &after, &effects, freed).await {
            // Somebody else has learned something of it at the same moment.
            Err(error) if error.code == ErrorCode::Changed && tries < 8 => tries += 1,
            done => return done.map(|()| (loaded.run, after, effects)),
        }
    }
}

/// What cannot happen to a record, to whoever wanted it to.
pub(crate) fn refused(refusal: Refusal) -> ApiError {
    let text = refusal.to_string();
    conflict(if text.ends_with('.') { text } else { format!("{text}.") })
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Refused => "refused",
        Outcome::Lost => "lost",
        Outcome::ServerError => "server_error",
    }
}
