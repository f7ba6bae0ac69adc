//! The clock: it only moves forward, and everything that is due on the way happens in order of time.
//!
//! The clock is stored, in whole seconds. Each instant at which something is due is one transaction, and
//! its events are delivered before the next instant begins, so that whoever receives them and asks the
//! stand-in back finds the state of that instant. A live clock follows real time from where it was set.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::{
    app::App,
    bank, calls, connect,
    error::ApiError,
    form::Form,
    host,
    store::{Cause, Tx},
    subscriptions, webhooks,
};

/// What a move of the clock did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Events that happened on the way.
    pub(crate) events: i64,
    /// Those of them that were received.
    pub(crate) delivered: i64,
    /// Those that their receiver has not taken; they are retried with backoff.
    pub(crate) failed: i64,
}

/// An instant as RFC 3339.
pub(crate) fn rfc3339(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Reads RFC 3339 into seconds.
pub(crate) fn parse_rfc3339(text: &str) -> Result<i64, ApiError> {
    let parsed = DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc).timestamp());
    parsed.map_err(|error| {
        let message =
            format!("`now` must be an RFC 3339 instant such as 2026-03-01T00:00:00Z; '{text}' is not: {error}.");
        ApiError::parameter("parameter_invalid", "now", message)
    })
}

/// `GET /_clock`.
pub(crate) fn reading(tx: &Tx<'_>) -> Result<Value, ApiError> {
    Ok(json!({ "now": rfc3339(tx.now), "live": tx.meta("live")?.is_some() }))
}

/// `POST /_clock {"now"?, "live"?}`.
pub(crate) async fn set(app: &App, wanted: &Value) -> Result<Value, ApiError> {
    let _walking = app.walking.lock().await;
    let target = match &wanted["now"] {
        Value::Null => None,
        Value::String(text) => Some(parse_rfc3339(text)?),
        _ => return Err(ApiError::parameter("parameter_invalid", "now", "`now` must be a text in RFC 3339.")),
    };
    let now = app.now()?;
    let target = target.unwrap_or(now);
    if target < now {
        let message =
            format!("The clock moves forward only: it is {}, and {} is before that.", rfc3339(now), rfc3339(target));
        return Err(ApiError::parameter("parameter_invalid", "now", message));
    }
    let walked = walk(app, target).await?;
    let reading = app.transact(&Cause::default(), |tx| {
        match wanted["live"].as_bool() {
            Some(true) => tx.set_meta("live", &format!("{} {}", tx.now, host::now_ms()))?,
            Some(false) => drop(tx.sql.execute("DELETE FROM meta WHERE name = 'live'", [])?),
            // A live clock that was set forward goes on from there.
            None if tx.meta("live")?.is_some() => tx.set_meta("live", &format!("{} {}", tx.now, host::now_ms()))?,
            None => {}
        }
        reading(tx)
    })?;
    Ok(json!({
        "now": reading["now"], "live": reading["live"],
        "events": walked.events, "delivered": walked.delivered, "failed": walked.failed,
    }))
}

/// Moves the clock to `target`, instant by instant. Whoever calls holds `walking`.
async fn walk(app: &App, target: i64) -> Result<Walked, ApiError> {
    webhooks::deliver(app).await?;
    let first = app.transact(&Cause::default(), |tx| webhooks::last_event(tx))?;
    loop {
        let more = app.transact(&Cause::default(), |tx| match tx.next_due(target)? {
            Some(at) => {
                tx.set_now(at.max(tx.now))?;
                while let Some((kind, object)) = tx.take_due()? {
                    come_due(tx, &kind, &object)?;
                }
                Ok(true)
            }
            None => {
                tx.set_now(target)?;
                calls::forget_old_keys(tx)?;
                Ok(false)
            }
        })?;
        webhooks::deliver(app).await?;
        if !more {
            break;
        }
    }
    app.transact(&Cause::default(), |tx| webhooks::since(tx, first))
}

fn come_due(tx: &Tx<'_>, kind: &str, object: &str) -> Result<(), ApiError> {
    match kind {
        "subscription" => subscriptions::come_due(tx, object),
        "payout" => bank::pay_out(tx, object),
        "refusal" => bank::refuse(tx, object),
        "sent" => bank::arrive(tx, object),
        "settle" => tx.settle(object),
        "late_transfer" => {
            let late = Form::parse(object.as_bytes()).and_then(|form| connect::create_transfer(tx, &form));
            if let Err(refused) = late {
                tracing::info!(reason = refused.message, "a late transfer was refused");
            }
            Ok(())
        }
        unknown => Err(ApiError::internal(format!("The clock does not know how to do '{unknown}'."))),
    }
}

/// Lets a live clock follow real time; runs until the process ends.
pub(crate) async fn run_live(app: Arc<App>) {
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Ok(_walking) = app.walking.try_lock() else { continue };
        let target = app.transact(&Cause::default(), |tx| Ok(live_target(tx)?.filter(|target| *target > tx.now)));
        let walked = match target {
            Ok(Some(target)) => walk(&app, target).await.map(|_| ()),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = walked {
            tracing::error!(reason = error.message, "the live clock stands still");
        }
    }
}

/// Where a live clock should be: where it was set, plus the real time since.
fn live_target(tx: &Tx<'_>) -> Result<Option<i64>, ApiError> {
    let anchor = tx.meta("live")?.unwrap_or_default();
    let parsed = anchor.split_once(' ').and_then(|(from, at_ms)| Some((from.parse().ok()?, at_ms.parse().ok()?)));
    Ok(parsed.map(|(from, at_ms): (i64, i64)| from + (host::now_ms() - at_ms).max(0) / 1000))
}
