//! Events on their way out: signed, in order, retried with backoff until they are received.
//!
//! The signature's `t` is the stand-in's clock at the moment of sending, not real time, so that a receiver
//! that lives on the same clock accepts it: `Stripe-Signature: t=<seconds>,v1=<HMAC-SHA256 of "t.body">`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Url;
use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    app::App,
    clock::Walked,
    error::ApiError,
    host,
    store::{Cause, Tx},
};

/// Failures in a row after which an endpoint is left alone until the next pass.
const GIVE_UP_AFTER: u32 = 3;

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where events are posted to; on loopback only.
    pub url: String,
    /// The signing secret, as given: `whsec_…` is part of it.
    pub secret: String,
    /// The event types that are wanted; absent or `*` means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled_events: Option<Vec<String>>,
}

impl Endpoint {
    fn wants(&self, kind: &str) -> bool {
        self.enabled_events.as_ref().is_none_or(|wanted| wanted.iter().any(|name| name == "*" || name == kind))
    }

    /// Refuses an address that is not on this machine.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let url = Url::parse(&self.url).map_err(|error| {
            let message = format!("The webhook address '{}' cannot be read: {error}.", self.url);
            ApiError::parameter("url_invalid", "url", message)
        })?;
        let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if url.scheme() == "http" && loopback && !self.secret.is_empty() {
            return Ok(());
        }
        let message = format!(
            "The stand-in sends events to this machine only and signs them: '{}' must be http on 127.0.0.1, with a secret.",
            self.url
        );
        Err(ApiError::parameter("url_invalid", "url", message))
    }
}

/// Sets the receivers that are given: `{"account": {url, secret, enabled_events?}, "connect": {…}}`; null
/// unsets one. What is pending is sent to a new receiver at once.
pub(crate) fn configure(tx: &Tx<'_>, wanted: &Value) -> Result<Value, ApiError> {
    for name in ["account", "connect"] {
        match wanted.get(name) {
            None => {}
            Some(Value::Null) => {
                tx.sql.execute("DELETE FROM meta WHERE name = ?1", [format!("webhook_{name}")])?;
            }
            Some(value) => {
                let endpoint: Endpoint = serde_json::from_value(value.clone()).map_err(|error| {
                    let message = format!("The webhook '{name}' wants url and secret: {error}.");
                    ApiError::parameter("parameter_invalid", name, message)
                })?;
                endpoint.check()?;
                tx.set_meta(&format!("webhook_{name}"), &serde_json::to_string(&endpoint)?)?;
                tx.sql
                    .execute("UPDATE events SET retry_at_ms = 0 WHERE endpoint = ?1 AND state = 'pending'", [name])?;
            }
        }
    }
    let shown = |name| {
        Ok::<_, ApiError>(
            endpoint(tx, name)?.map(|found| json!({ "url": found.url, "enabled_events": found.enabled_events })),
        )
    };
    Ok(json!({ "account": shown("account")?, "connect": shown("connect")? }))
}

fn endpoint(tx: &Tx<'_>, name: &str) -> Result<Option<Endpoint>, ApiError> {
    let stored = tx.meta(&format!("webhook_{name}"))?;
    Ok(stored.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// The header for a body at an instant.
pub(crate) fn signature(secret: &str, instant_s: i64, body: &str) -> String {
    let signed = format!("{instant_s}.{body}");
    // HMAC takes a key of any length.
    let digest = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mut mac| {
        mac.update(signed.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    });
    format!("t={instant_s},v1={}", digest.unwrap_or_default())
}

struct Parcel {
    seq: i64,
    body: String,
    endpoint: Endpoint,
    now: i64,
    attempts: i64,
}

/// How many events are read and booked at once.
const BATCH: i64 = 100;

/// Sends what is pending and may be tried now, oldest first. What an endpoint that fails several times in
/// a row has not been sent stays for the next pass.
pub(crate) async fn deliver(app: &App) -> Result<(), ApiError> {
    let _delivering = app.delivering.lock().await;
    let started_ms = host::now_ms();
    let mut after = 0;
    let mut failures = HashMap::<String, u32>::new();
    loop {
        let parcels = app.transact(&Cause::default(), |tx| pending(tx, after, started_ms))?;
        let Some(last) = parcels.last() else { return Ok(()) };
        after = last.seq;
        let mut tried = Vec::new();
        for parcel in parcels {
            let failed = failures.entry(parcel.endpoint.url.clone()).or_default();
            if *failed < GIVE_UP_AFTER {
                let received = post(app, &parcel).await;
                *failed = if received { 0 } else { *failed + 1 };
                tried.push((parcel.seq, parcel.attempts, received));
            }
        }
        // An event is booked after it was received: a kill in between sends it twice, never not at all.
        app.transact(&Cause::default(), |tx| book(tx, &tried))?;
    }
}

/// The next events after `after` whose receivers are set and want them.
fn pending(tx: &Tx<'_>, after: i64, now_ms: i64) -> Result<Vec<Parcel>, ApiError> {
    let (account, connect) = (endpoint(tx, "account")?, endpoint(tx, "connect")?);
    let mut statement = tx.sql.prepare_cached(
        "SELECT e.seq, e.endpoint, e.type, o.body, e.attempts FROM events e JOIN objects o ON o.id = e.id
         WHERE e.state = 'pending' AND e.seq > ?1 AND e.retry_at_ms <= ?2
           AND ((e.endpoint = 'account' AND ?3) OR (e.endpoint = 'connect' AND ?4)) ORDER BY e.seq LIMIT ?5",
    )?;
    let mut rows = statement.query(params![after, now_ms, account.is_some(), connect.is_some(), BATCH])?;
    let mut parcels = Vec::new();
    let mut unwanted = Vec::new();
    while let Some(row) = rows.next()? {
        let (seq, name, kind): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let endpoint = if name == "connect" { &connect } else { &account };
        match endpoint {
            Some(endpoint) if endpoint.wants(&kind) => {
                let (body, endpoint) = (row.get(3)?, endpoint.clone());
                parcels.push(Parcel { seq, body, endpoint, now: tx.now, attempts: row.get(4)? });
            }
            _ => unwanted.push(seq),
        }
    }
    for seq in &unwanted {
        tx.sql.prepare_cached("UPDATE events SET state = 'skipped' WHERE seq = ?1")?.execute([seq])?;
    }
    if parcels.is_empty() && !unwanted.is_empty() { pending(tx, after, now_ms) } else { Ok(parcels) }
}

/// Books what was tried: `(seq, attempts before, received)`.
fn book(tx: &Tx<'_>, tried: &[(i64, i64, bool)]) -> Result<(), ApiError> {
    let sql = "UPDATE events SET state = ?2, attempts = attempts + 1, retry_at_ms = ?3 WHERE seq = ?1";
    let mut statement = tx.sql.prepare_cached(sql)?;
    for (seq, attempts, received) in tried {
        let wait_ms = (1_000_i64 << (*attempts).clamp(0, 6)).min(60_000);
        let state = if *received { "delivered" } else { "pending" };
        statement.execute(params![seq, state, if *received { 0 } else { host::now_ms() + wait_ms }])?;
    }
    Ok(())
}

async fn post(app: &App, parcel: &Parcel) -> bool {
    app.said(|| json!({ "event": serde_json::from_str::<Value>(&parcel.body).ok() }));
    let request = app
        .client
        .post(&parcel.endpoint.url)
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("stripe-signature", signature(&parcel.endpoint.secret, parcel.now, &parcel.body))
        .body(parcel.body.clone());
    match request.send().await {
        Ok(response) => {
            let status = response.status();
            // Reading the answer to its end keeps the connection for the next event.
            let read = response.bytes().await;
            if !status.is_success() {
                tracing::warn!(url = parcel.endpoint.url, %status, seq = parcel.seq, "an event was not received");
            }
            status.is_success() && read.is_ok()
        }
        Err(error) => {
            tracing::warn!(url = parcel.endpoint.url, %error, seq = parcel.seq, "an event could not be sent");
            false
        }
    }
}

/// Sends what API calls cause and retries what failed; runs until the process ends.
pub(crate) async fn run_delivery(app: Arc<App>) {
    loop {
        let woken = tokio::time::timeout(Duration::from_millis(500), app.wake.notified()).await;
        tracing::trace!(asked = woken.is_ok(), "looking for events to deliver");
        if let Err(error) = deliver(&app).await {
            tracing::error!(reason = error.message, "events could not be delivered");
        }
    }
}

/// The number of the newest event.
pub(crate) fn last_event(tx: &Tx<'_>) -> Result<i64, ApiError> {
    Ok(tx.sql.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))?)
}

/// What became of the events after one; an event without a receiver has not failed, it waits.
pub(crate) fn since(tx: &Tx<'_>, seq: i64) -> Result<Walked, ApiError> {
    let (account, connect) = (endpoint(tx, "account")?.is_some(), endpoint(tx, "connect")?.is_some());
    let sql = "SELECT count(*), coalesce(sum(state = 'delivered'), 0),
                      coalesce(sum(state = 'pending' AND ((endpoint = 'account' AND ?2) OR (endpoint = 'connect' AND ?3))), 0)
               FROM events WHERE seq > ?1";
    Ok(tx.sql.query_row(sql, params![seq, account, connect], |row| {
        Ok(Walked { events: row.get(0)?, delivered: row.get(1)?, failed: row.get(2)? })
    })?)
}

/// The newest events with their delivery, newest first.
pub(crate) fn history(tx: &Tx<'_>, limit: i64) -> Result<Value, ApiError> {
    let mut statement =
        tx.sql.prepare_cached("SELECT o.body, e.endpoint, e.state, e.attempts FROM events e JOIN objects o ON o.id = e.id ORDER BY e.seq DESC LIMIT ?1")?;
    let rows = statement.query_map([limit.clamp(1, 10_000)], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, i64>(3)?))
    })?;
    let mut events = Vec::new();
    for row in rows {
        let (body, endpoint, state, attempts) = row?;
        let event: Value = serde_json::from_str(&body)?;
        events.push(json!({ "event": event, "endpoint": endpoint, "state": state, "attempts": attempts }));
    }
    let sql = "SELECT count(*), coalesce(sum(state = 'pending'), 0) FROM events";
    let (total, pending): (i64, i64) = tx.sql.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(json!({ "total": total, "pending": pending, "events": events }))
}

/// Puts an event back in the queue, with the same bytes.
pub(crate) fn redeliver(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let changed = tx.sql.execute("UPDATE events SET state = 'pending', retry_at_ms = 0 WHERE id = ?1", [id])?;
    if changed == 0 {
        return Err(ApiError::no_such("event", id));
    }
    Ok(json!({ "event": id, "queued": true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_stripes() {
        // Computed independently with `openssl dgst -sha256 -hmac whsec_test`.
        assert_eq!(
            signature("whsec_test", 1_700_000_000, r#"{"id":"evt_1"}"#),
            "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925"
        );
    }

    #[test]
    fn events_stay_on_this_machine() {
        let endpoint = |url: &str| Endpoint { url: url.to_owned(), secret: "whsec_x".to_owned(), enabled_events: None };
        for good in ["http://127.0.0.1:1/x", "http://localhost:1/x", "http://[::1]:1/x"] {
            assert!(endpoint(good).check().is_ok(), "{good}");
        }
        for bad in ["https://example.com/x", "http://127.0.0.1.example.com/", "http://10.0.0.1/", "x", "file:///etc"] {
            assert!(endpoint(bad).check().is_err(), "{bad}");
        }
    }
}
