//! Stripe's webhooks: verified, stored raw, and only then read. What an event needs and does not find yet it waits for.

mod decide;
mod fetch;
mod keep;
mod view;

use std::collections::VecDeque;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::db::{DbError, Rows, Stmt};
use crate::error::{ApiError, Raw, invalid};
use crate::tokens::ms;
use crate::{App, sql};

pub use keep::{forget_replayable, reduce_old, stripe_facts};
pub(crate) use view::list;
pub use view::{inbox_events, retry_events};

use decide::{Outcome, decide};

/// How far a signature's time may be from ours.
const TOLERANCE: TimeDelta = TimeDelta::seconds(300);

/// Checks `Stripe-Signature: t=…,v1=…[,v1=…]`: HMAC-SHA256 over `t.body`; any `v1` may match (a secret that is rotated).
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn verify(header: &str, body: &[u8], secret: &str, now: DateTime<Utc>) -> Result<(), &'static str> {
    let field = |name: &'static str| {
        header.split(',').filter_map(move |part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let t = field("t").next().ok_or("it has no time")?;
    let sent = t.parse().ok().and_then(|s| DateTime::from_timestamp(s, 0)).ok_or("its time cannot be read")?;
    if (now - sent).abs() > TOLERANCE {
        return Err("its time is more than five minutes from ours");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| "no secret is configured")?;
    mac.update(t.as_bytes());
    mac.update(b".");
    mac.update(body);
    let right = field("v1").filter_map(|v| hex::decode(v).ok()).any(|v| mac.clone().verify_slice(&v).is_ok());
    if right { Ok(()) } else { Err("it does not match the body") }
}

/// `POST /v1/webhooks/stripe/account`.
pub(crate) async fn account(
    State(app): State<App>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Value>, ApiError> {
    let secret = app.config.webhook_secret_account.clone();
    take_in(&app, &headers, &body, &secret).await
}

/// `POST /v1/webhooks/stripe/connect`.
pub(crate) async fn connect(
    State(app): State<App>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Value>, ApiError> {
    let secret = app.config.webhook_secret_connect.clone();
    take_in(&app, &headers, &body, &secret).await
}

async fn take_in(app: &App, headers: &HeaderMap, body: &Bytes, secret: &str) -> Result<Json<Value>, ApiError> {
    let now = app.host.now();
    let header = headers.get("stripe-signature").and_then(|v| v.to_str().ok());
    let header = header.ok_or_else(|| invalid("The Stripe-Signature header is missing."))?;
    verify(header, body, secret, now).map_err(|why| invalid(format!("The Stripe-Signature is not valid: {why}.")))?;
    let text = std::str::from_utf8(body).map_err(|_| invalid("The event is not UTF-8."))?;
    let event: Value = serde_json::from_str(text).map_err(|e| invalid(format!("The event is not JSON: {e}.")))?;
    let (Some(id), Some(kind)) = (event["id"].as_str().map(String::from), event["type"].as_str()) else {
        return Err(invalid("The event has no id or no type."));
    };
    if event["livemode"].as_bool() != Some(app.config.live) {
        return Err(invalid(
            "The event's livemode is not this program's: check which of Stripe's endpoints leads here.",
        ));
    }
    let stored = app
        .db
        .query(sql!(
            "INSERT INTO inbox (id, type, received_ms, body, state) VALUES (?1, ?2, ?3, ?4, 'received') ON CONFLICT (id) DO NOTHING",
            &id,
            kind,
            ms(now),
            text,
        ))
        .await?;
    if stored.changes == 0 {
        return Ok(Json(json!({"stored": true, "known": true})));
    }
    // From here on the event is ours: an error is our own affair and is tried again, not Stripe's.
    if let Err(error) = process(app, VecDeque::from([(id.clone(), event)])).await {
        tracing::error!(%error, event = id, "an event waits to be processed again");
    }
    Ok(Json(json!({"stored": true})))
}

#[derive(Deserialize)]
struct Stored {
    id: String,
    body: String,
}

fn parsed(rows: Vec<Stored>) -> impl Iterator<Item = (String, Value)> {
    rows.into_iter().map(|r| (r.id, serde_json::from_str(&r.body).unwrap_or(Value::Null)))
}

/// Processes what a crash or a fault left behind, and what was asked to be tried again. Answers how many there were.
///
/// # Errors
/// The database's, or Stripe's where something must be asked.
pub async fn process_received(app: &App) -> Result<usize, ApiError> {
    let (mut n, mut after, mut failed) = (0, String::new(), None);
    loop {
        let rows: Vec<Stored> = app
            .db
            .query(sql!(
                "SELECT id, body FROM inbox WHERE state = 'received' AND id > ?1 ORDER BY id LIMIT 200",
                &after
            ))
            .await?
            .all()?;
        let Some(last) = rows.last() else { break };
        after.clone_from(&last.id);
        n += rows.len();
        // One event that cannot be decided now must not keep the others waiting.
        for event in parsed(rows) {
            if let Err(error) = process(app, VecDeque::from([event])).await {
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(n), Err)
}

/// For the batch that makes names known: the events that waited for one of them are to be read again. Where [`commit`] does
/// not write the batch, [`read_woken`] comes after it.
pub(crate) fn known(names: &[String]) -> Vec<Stmt> {
    if names.is_empty() {
        return Vec::new();
    }
    let names = json!(names).to_string();
    vec![
        sql!(
            "UPDATE inbox SET state = 'received' WHERE state = 'waiting' AND id IN
                (SELECT event FROM inbox_wait WHERE name IN (SELECT value FROM json_each(?1))) RETURNING id, body",
            &names,
        ),
        sql!(
            "DELETE FROM inbox_wait WHERE event IN
                (SELECT event FROM inbox_wait WHERE name IN (SELECT value FROM json_each(?1)))",
            &names,
        ),
    ]
}

/// Writes a batch that makes names known, and reads the events that waited for them. What keeps an event from being
/// processed is not the caller's affair: it is stored, and tried again.
pub(crate) async fn commit(app: &App, batch: Vec<Stmt>, names: &[String]) -> Result<(), DbError> {
    let woken = write(app, batch, names).await?;
    if let Err(error) = process(app, woken).await {
        tracing::error!(%error, "events wait to be processed again");
    }
    Ok(())
}

/// Reads the events that a batch with [`known`] has woken.
pub(crate) async fn read_woken(app: &App) {
    if let Err(error) = process_received(app).await {
        tracing::error!(%error, "events wait to be processed again");
    }
}

/// Answers the events that the batch has woken.
async fn write(app: &App, mut batch: Vec<Stmt>, names: &[String]) -> Result<VecDeque<(String, Value)>, DbError> {
    let at = batch.len();
    batch.extend(known(names));
    if batch.is_empty() {
        return Ok(VecDeque::new());
    }
    let rows = app.db.batch(batch).await?;
    let woken = rows.get(at).map(Rows::all).transpose()?.unwrap_or_default();
    Ok(parsed(woken).collect())
}

async fn process(app: &App, mut queue: VecDeque<(String, Value)>) -> Result<(), ApiError> {
    while let Some((id, event)) = queue.pop_front() {
        let mut outcome = decide(app, &event).await?;
        if let Outcome::Wait(names, note) = &outcome {
            app.db.batch(mark(&id, "waiting", note.as_deref(), names)).await?;
            // What it waits for may have come between the look and the mark; then nobody will wake it.
            outcome = decide(app, &event).await?;
        }
        match outcome {
            Outcome::Do(mut batch, names) => {
                batch.extend(mark(&id, "done", None, &[]));
                queue.extend(write(app, batch, &names).await?);
            }
            Outcome::Learn(keep, names) => {
                queue.extend(write(app, keep, &names).await?);
                queue.push_front((id, event));
            }
            Outcome::Wait(names, note) => drop(app.db.batch(mark(&id, "waiting", note.as_deref(), &names)).await?),
            Outcome::Ignore(why) => drop(app.db.batch(mark(&id, "ignored", Some(&why), &[])).await?),
            Outcome::Fail(why) => {
                tracing::warn!(event = %id, %why, "an event cannot be used");
                app.db.batch(mark(&id, "failed", Some(&why), &[])).await?;
            }
        }
    }
    Ok(())
}

/// Where an event stands from now on.
fn mark(id: &str, state: &str, note: Option<&str>, waits_for: &[String]) -> Vec<Stmt> {
    let mut batch = vec![
        sql!("DELETE FROM inbox_wait WHERE event = ?1", id),
        sql!("UPDATE inbox SET state = ?2, note = ?3 WHERE id = ?1", id, state, note),
    ];
    if !waits_for.is_empty() {
        batch.push(sql!(
            "INSERT INTO inbox_wait (name, event) SELECT DISTINCT value, ?1 FROM json_each(?2)",
            id,
            json!(waits_for).to_string(),
        ));
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(t: i64, body: &[u8], secret: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{t}.").as_bytes());
        mac.update(body);
        hex::encode(mac.finalize().into_bytes())
    }

    #[test]
    fn a_signature_is_for_this_body_this_secret_and_now() {
        let (body, now) = (b"{\"id\":\"evt_1\"}".as_slice(), DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let t = now.timestamp();
        let good = sign(t, body, "whsec_a");
        assert_eq!(verify(&format!("t={t},v1={good}"), body, "whsec_a", now), Ok(()));
        assert_eq!(
            verify(&format!("t={t},v1={},v0=x, v1={good}", "00".repeat(32)), body, "whsec_a", now),
            Ok(()),
            "rotation"
        );
        let late = now + TOLERANCE + TimeDelta::seconds(1);
        for (header, body, secret, now, why) in [
            (format!("t={t},v1={good}"), b"{}".as_slice(), "whsec_a", now, "another body"),
            (format!("t={t},v1={good}"), body, "whsec_b", now, "another secret"),
            (format!("t={t},v1={good}"), body, "whsec_a", late, "too old"),
            (format!("t={},v1={good}", t + 1), body, "whsec_a", now, "another time"),
            (format!("v1={good}"), body, "whsec_a", now, "no time"),
            (format!("t={t}"), body, "whsec_a", now, "no signature"),
            (format!("t=x,v1={good}"), body, "whsec_a", now, "an unreadable time"),
            (format!("t=99999999999999999,v1={good}"), body, "whsec_a", now, "an impossible time"),
        ] {
            assert!(verify(&header, body, secret, now).is_err(), "{why}");
        }
    }
}
