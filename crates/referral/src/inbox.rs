//! Stripe's webhooks: verified, stored raw and answered, and only then read. What an event needs and does not find yet it
//! waits for.

mod connect;
mod decide;
mod fetch;
mod keep;
mod process;
mod view;

use std::borrow::Cow;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::error::{ApiError, Raw, invalid};
use crate::tokens::ms;
use crate::{App, sql};

pub(crate) use fetch::{pages, read};
pub use keep::{forget_replayable, reduce_old, stripe_facts};
pub use process::{Intake, process_received, read_stored, take_over_inbox};
pub(crate) use process::{commit, known, read_now};
pub(crate) use view::list;
pub use view::{inbox_events, retry_events};

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

/// What must be known of an event to store it. The rest is read from the inbox.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    livemode: Option<bool>,
}

async fn take_in(app: &App, headers: &HeaderMap, body: &Bytes, secret: &str) -> Result<Json<Value>, ApiError> {
    let now = app.host.now();
    let header = headers.get("stripe-signature").and_then(|v| v.to_str().ok());
    let header = header.ok_or_else(|| invalid("The Stripe-Signature header is missing."))?;
    verify(header, body, secret, now).map_err(|why| invalid(format!("The Stripe-Signature is not valid: {why}.")))?;
    let text = std::str::from_utf8(body).map_err(|_| invalid("The event is not UTF-8."))?;
    let head: Head = serde_json::from_str(text).map_err(|e| invalid(format!("The event cannot be read: {e}.")))?;
    let (Some(id), Some(kind)) = (head.id, head.kind) else {
        return Err(invalid("The event has no id or no type."));
    };
    if head.livemode != Some(app.config.live) {
        return Err(invalid(
            "The event's livemode is not this program's: check which of Stripe's endpoints leads here.",
        ));
    }
    let stored = app
        .db
        .query(sql!(
            "INSERT INTO inbox (id, type, received_ms, body, state) VALUES (?1, ?2, ?3, ?4, 'received') ON CONFLICT (id) DO NOTHING",
            id.as_ref(),
            kind.as_ref(),
            ms(now),
            text,
        ))
        .await?;
    if stored.changes == 0 {
        return Ok(Json(json!({"stored": true, "known": true})));
    }
    // From here on the event is ours: an error is our own affair and is tried again, not Stripe's.
    let reader = app.clone();
    app.host.later(Box::pin(async move { read_stored(&reader).await }));
    Ok(Json(json!({"stored": true})))
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
