//! `GET /healthz`: whether the database takes writes, and what is behind.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use wire::{Health, Lag};

use crate::error::ApiError;
use crate::tokens::ms;
use crate::{App, sql};

/// A write is tried at most this often, however often somebody asks.
const TRY_EVERY_MS: i64 = 5_000;

/// `GET /healthz`: 503 where the database cannot be written or read.
pub(crate) async fn healthz(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    health(&app).await.map(Json)
}

/// How the program is.
///
/// # Errors
/// The database cannot be written or read.
pub async fn health(app: &App) -> Result<Health, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        inbox: u32,
        inbox_ms: Option<i64>,
        webhooks: u32,
        webhooks_ms: Option<i64>,
        mail: u32,
        mail_ms: Option<i64>,
        locked: i64,
    }
    let now = ms(app.host.now());
    // Reads what is behind only after the write was taken. A clock that went back is tried too.
    app.db
        .query(sql!(
            "UPDATE program SET checked_ms = ?1 WHERE checked_ms <= ?2 OR checked_ms > ?1",
            now,
            now - TRY_EVERY_MS
        ))
        .await?;
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT (SELECT count(*) FROM inbox WHERE state = 'received') AS inbox,
                    (SELECT min(received_ms) FROM inbox WHERE state = 'received') AS inbox_ms,
                    (SELECT count(*) FROM webhook_delivery WHERE state = 'due' AND due_ms <= ?1) AS webhooks,
                    (SELECT min(due_ms) FROM webhook_delivery WHERE state = 'due' AND due_ms <= ?1) AS webhooks_ms,
                    (SELECT count(*) FROM message WHERE state = 'due' AND due_ms <= ?1) AS mail,
                    (SELECT min(due_ms) FROM message WHERE state = 'due' AND due_ms <= ?1) AS mail_ms,
                    EXISTS (SELECT 1 FROM payout_lock WHERE lifted_ms IS NULL) AS locked",
            now,
        ))
        .await?
        .first()?;
    let row = row.ok_or_else(|| crate::error::unavailable("The database did not answer."))?;
    let lag = |waiting, since: Option<i64>| Lag { waiting, oldest_s: since.map_or(0, |s| (now - s).max(0) / 1000) };
    Ok(Health {
        status: "ok".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        inbox: lag(row.inbox, row.inbox_ms),
        webhooks: lag(row.webhooks, row.webhooks_ms),
        mail: lag(row.mail, row.mail_ms),
        payouts_locked: row.locked != 0,
    })
}
