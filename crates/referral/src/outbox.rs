//! Webhooks to AIKit (docs/webhooks.md): events are delivered to each endpoint at least once, signed, in no promised
//! order, and tried again for three days.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac as _};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use wire::{DeliveryState, WebhookDeliveries, WebhookDelivery};

use crate::audit::{self, Actor, Entry};
use crate::auth::{Finance, Staff};
use crate::db::Stmt;
use crate::error::{ApiError, Params, Segment, conflict, not_found};
use crate::ports::{HttpRequest, WebhookEndpoint};
use crate::tokens::{at, ms};
use crate::{App, sql};

/// Every type of event (docs/webhooks.md says what each carries).
pub const EVENT_TYPES: [&str; 10] = [
    "partner.joined",
    "partner.suspended",
    "partner.reinstated",
    "referral.created",
    "referral.moved",
    "referral.cleared",
    "referral.rejected",
    "referral.reopened",
    "commission.earned",
    "payout.paid",
];

/// How long an endpoint may take to answer.
const TIMEOUT_S: u32 = 10;
/// Deliveries to one endpoint in one go.
const AT_ONCE: u32 = 50;
const PAGE: u32 = 100;
/// Pauses after the first, second, … try, in seconds; the last one repeats.
const PAUSES_S: [i64; 7] = [10, 60, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600];
/// From the first try to the last.
const GIVE_UP_MS: i64 = 3 * 24 * 60 * 60 * 1000;

/// When to try next after `tries` tries, the first of them at `first_ms`; `None` when three days are over.
pub(crate) fn next_try(first_ms: i64, tries: i64, now_ms: i64) -> Option<i64> {
    let n = usize::try_from(tries.max(1) - 1).unwrap_or(usize::MAX).min(PAUSES_S.len() - 1);
    let next = now_ms.saturating_add(PAUSES_S.get(n).copied().unwrap_or(60) * 1000);
    (next.saturating_sub(first_ms) <= GIVE_UP_MS).then_some(next)
}

/// `t=…,v1=…[,v1=…]`: HMAC-SHA256 over `t.body` under each of the endpoint's secrets, as Stripe does it.
pub(crate) fn sign(secrets: &[String], now: DateTime<Utc>, body: &str) -> String {
    let t = now.timestamp();
    let mut header = format!("t={t}");
    for secret in secrets {
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
            mac.update(format!("{t}.").as_bytes());
            mac.update(body.as_bytes());
            header += &format!(",v1={}", hex::encode(mac.finalize().into_bytes()));
        }
    }
    header
}

/// An event and its deliveries to all who want it, for the batch that finds the occasion. Comes once, by its id.
pub(crate) fn event(app: &App, kind: &'static str, about: &str, at: DateTime<Utc>, data: Value) -> Vec<Stmt> {
    let id = format!("{kind}:{about}");
    let body = json!({
        "id": id,
        "type": kind,
        "created": at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "livemode": app.config.live,
        "data": data,
    });
    let wants = |e: &&WebhookEndpoint| e.events.is_empty() || e.events.iter().any(|wanted| wanted == kind);
    let endpoints: Vec<&str> = app.config.webhooks.iter().filter(wants).map(|e| e.name.as_str()).collect();
    let now = ms(app.host.now());
    vec![
        sql!(
            "INSERT INTO event (id, type, at_ms, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
            &id,
            kind,
            ms(at),
            body.to_string(),
        ),
        sql!(
            "INSERT INTO webhook_delivery (event, endpoint, first_ms, due_ms) SELECT ?1, value, ?3, ?3 FROM json_each(?2) WHERE true
             ON CONFLICT (event, endpoint) DO NOTHING",
            &id,
            json!(endpoints).to_string(),
            now,
        ),
    ]
}

/// Delivers what is due to one endpoint, the oldest first. Answers how many were taken. Where nothing answers at all the
/// others are left for later too.
///
/// # Errors
/// The database's. A delivery that is not taken is tried again for three days.
pub async fn deliver(app: &App, endpoint: &WebhookEndpoint) -> Result<usize, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: i64,
        attempts: i64,
        first_ms: i64,
        body: String,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT d.id, d.attempts, d.first_ms, e.body FROM webhook_delivery d JOIN event e ON e.id = d.event
             WHERE d.endpoint = ?1 AND d.state = 'due' AND d.due_ms <= ?2 ORDER BY d.due_ms, d.id LIMIT ?3",
            &endpoint.name,
            ms(app.host.now()),
            AT_ONCE,
        ))
        .await?
        .all()?;
    let mut delivered = 0;
    for row in rows {
        let now = app.host.now();
        let next = next_try(row.first_ms, row.attempts + 1, ms(now));
        // The try is on record before it is made: a crash does not forget it, and a second server does not make it too.
        let taken = app
            .db
            .query(sql!(
                "UPDATE webhook_delivery SET attempts = attempts + 1, due_ms = ?3 WHERE id = ?1 AND attempts = ?2 AND state = 'due'",
                row.id,
                row.attempts,
                next.unwrap_or(ms(now)),
            ))
            .await?;
        if taken.changes == 0 {
            continue;
        }
        let request = HttpRequest {
            method: Method::POST,
            url: endpoint.url.clone(),
            headers: vec![
                ("content-type", "application/json".into()),
                ("user-agent", "AIKit-Partners-Webhook/1".into()),
                ("aikit-signature", sign(&endpoint.secrets, now, &row.body)),
            ],
            body: row.body,
            reach: endpoint.reach,
            timeout_s: TIMEOUT_S,
        };
        let answer = app.http.send(request).await;
        let (status, note) = match &answer {
            Ok(answer) if answer.status / 100 == 2 => (Some(answer.status), None),
            Ok(answer) => (Some(answer.status), Some(format!("answered {}", answer.status))),
            Err(reason) => (None, Some(reason.clone())),
        };
        let took = note.is_none();
        app.db
            .batch(vec![
                sql!(
                    "INSERT INTO webhook_attempt (delivery, n, at_ms, status, note) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (delivery, n) DO NOTHING",
                    row.id,
                    row.attempts + 1,
                    ms(now),
                    status.map(u32::from),
                    note.as_deref(),
                ),
                sql!(
                    "UPDATE webhook_delivery SET state = CASE WHEN ?2 = 1 THEN 'delivered' WHEN ?3 = 1 THEN 'failed' ELSE state END,
                        answered_ms = CASE WHEN ?2 = 1 THEN ?4 ELSE answered_ms END WHERE id = ?1",
                    row.id,
                    took,
                    next.is_none(),
                    ms(now),
                ),
            ])
            .await?;
        if let Some(note) = note {
            tracing::warn!(
                endpoint = endpoint.name,
                delivery = row.id,
                note,
                last = next.is_none(),
                "a webhook was not taken"
            );
        }
        delivered += usize::from(took);
        if answer.is_err() {
            break;
        }
    }
    Ok(delivered)
}

/// Forgets deliveries, and the events that nobody waits for any more, after ninety days.
///
/// # Errors
/// The database's.
pub async fn forget_old_deliveries(app: &App) -> Result<(), ApiError> {
    let before = ms(app.host.now()) - 90 * 24 * 60 * 60 * 1000;
    app.db
        .batch(vec![
            sql!(
                "DELETE FROM webhook_attempt WHERE delivery IN (SELECT id FROM webhook_delivery WHERE state <> 'due' AND first_ms < ?1)",
                before
            ),
            sql!("DELETE FROM webhook_delivery WHERE state <> 'due' AND first_ms < ?1", before),
            sql!(
                "DELETE FROM event WHERE at_ms < ?1 AND NOT EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.event = event.id)",
                before
            ),
        ])
        .await?;
    Ok(())
}

#[derive(Deserialize)]
struct DeliveryRow {
    id: i64,
    event: String,
    #[serde(rename = "type")]
    kind: String,
    endpoint: String,
    state: DeliveryState,
    attempts: u32,
    due_ms: i64,
    answered_ms: Option<i64>,
    status: Option<u16>,
    note: Option<String>,
}

/// A page of the log of deliveries, the newest first.
///
/// # Errors
/// The database's.
pub async fn webhook_deliveries(app: &App, asked: &WebhookDeliveries) -> Result<Vec<WebhookDelivery>, ApiError> {
    let state = asked.state.map(|s| match s {
        DeliveryState::Due => "due",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Failed => "failed",
    });
    let rows: Vec<DeliveryRow> = app
        .db
        .query(sql!(
            "SELECT d.id, d.event, e.type, d.endpoint, d.state, d.attempts, d.due_ms, d.answered_ms, a.status, a.note
             FROM webhook_delivery d JOIN event e ON e.id = d.event
             LEFT JOIN webhook_attempt a ON a.delivery = d.id AND a.n = d.attempts
             WHERE (?1 IS NULL OR d.state = ?1) AND (?2 IS NULL OR d.endpoint = ?2) AND (?3 IS NULL OR d.id < ?3)
             ORDER BY d.id DESC LIMIT ?4",
            state,
            asked.endpoint.as_deref(),
            asked.before,
            PAGE,
        ))
        .await?
        .all()?;
    Ok(rows
        .into_iter()
        .map(|r| WebhookDelivery {
            delivery: r.id,
            event: r.event,
            kind: r.kind,
            endpoint: r.endpoint,
            state: r.state,
            attempts: r.attempts,
            due_at: (r.state == DeliveryState::Due).then(|| at(r.due_ms)),
            delivered_at: r.answered_ms.map(at),
            last_status: r.status,
            last_note: r.note,
        })
        .collect())
}

/// Makes a delivery due again, whatever became of it; three days begin anew.
///
/// # Errors
/// There is no such delivery, or its endpoint is no longer configured.
pub async fn resend_webhook(app: &App, by: &Actor, delivery: i64) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Row {
        endpoint: String,
    }
    let row: Option<Row> =
        app.db.query(sql!("SELECT endpoint FROM webhook_delivery WHERE id = ?1", delivery)).await?.first()?;
    let row = row.ok_or_else(|| not_found("There is no such delivery."))?;
    if !app.config.webhooks.iter().any(|e| e.name == row.endpoint) {
        return Err(conflict(format!("The endpoint {} is no longer configured.", row.endpoint)));
    }
    let now = ms(app.host.now());
    let again = sql!(
        "UPDATE webhook_delivery SET state = 'due', first_ms = ?2, due_ms = ?2, answered_ms = NULL WHERE id = ?1",
        delivery,
        now,
    );
    let entry = Entry::new(by, "webhook.resent", format!("webhook_delivery:{delivery}"));
    audit::write(app, vec![again], &[entry]).await?;
    Ok(())
}

/// `GET /v1/webhook-deliveries`.
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Params(asked): Params<WebhookDeliveries>,
) -> Result<Json<Vec<WebhookDelivery>>, ApiError> {
    Ok(Json(webhook_deliveries(&app, &asked).await?))
}

/// `POST /v1/webhook-deliveries/{delivery}/resend`.
pub(crate) async fn resend(
    Finance(account): Finance,
    State(app): State<App>,
    Segment(delivery): Segment,
) -> Result<Json<Value>, ApiError> {
    let number = delivery.parse().map_err(|_| not_found("There is no such delivery."))?;
    resend_webhook(&app, &account.into(), number).await?;
    Ok(Json(json!({ "due": true })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tries_grow_apart_and_end_within_three_days(first in 0_i64..4_000_000_000_000, late in proptest::collection::vec(0_i64..60_000, 64)) {
            let (mut now, mut tries, mut pause) = (first, 1, 0);
            for late in late {
                let Some(next) = next_try(first, tries, now) else { break };
                prop_assert!(next - now >= pause && next - first <= GIVE_UP_MS);
                pause = next - now;
                now = next + late;
                tries += 1;
            }
            prop_assert!(next_try(first, tries, now).is_none(), "it ends");
            prop_assert!((10..16).contains(&tries) && now - first > GIVE_UP_MS - 10 * 3_600_000 - 60_000, "{tries}");
        }
    }

    #[test]
    fn a_signature_is_the_one_that_stripe_would_make() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let header = sign(&["whsec_new".into(), "whsec_old".into()], now, "{\"id\":\"x\"}");
        for secret in ["whsec_new", "whsec_old"] {
            assert_eq!(crate::inbox::verify(&header, b"{\"id\":\"x\"}", secret, now), Ok(()));
        }
        assert!(crate::inbox::verify(&header, b"{\"id\":\"y\"}", "whsec_new", now).is_err());
        assert!(crate::inbox::verify(&header, b"{\"id\":\"x\"}", "whsec_other", now).is_err());
    }
}
