//! Keys of programs: a prefix that scanners know, a checksum, and SHA-256 at rest. What a key opens follows from its kind.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use wire::{ApiKey, IssueKey, IssuedKey, KeyKind};

use super::scope::{FreshAdmin, Overseer};
use crate::audit::{self, Actor, Entry};
use crate::db::guard;
use crate::error::{ApiError, Body, Segment, invalid, not_found};
use crate::tokens::{self, at, ms};
use crate::{App, sql};

/// Characters of a key that are shown later: its prefix and four more.
const HINT_LENGTH: usize = 12;
const LABEL_LENGTH: usize = 80;

#[derive(Deserialize)]
struct Row {
    id: String,
    kind: KeyKind,
    label: String,
    hint: String,
    issued_ms: i64,
    revoked_ms: Option<i64>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        ApiKey {
            key: row.id,
            kind: row.kind,
            label: row.label,
            hint: row.hint,
            issued_at: at(row.issued_ms),
            revoked_at: row.revoked_ms.map(at),
        }
    }
}

/// Issues a key. It is shown once.
///
/// # Errors
/// A label that is too long or has control characters.
pub async fn issue_key(app: &App, by: &Actor, kind: KeyKind, label: &str) -> Result<IssuedKey, ApiError> {
    let label = label.trim();
    if label.chars().count() > LABEL_LENGTH || label.chars().any(char::is_control) {
        return Err(invalid(format!("A label has at most {LABEL_LENGTH} characters, and no control characters.")));
    }
    let prefix = match kind {
        KeyKind::Server => "aik_srv",
        KeyKind::Executor => "aik_exe",
    };
    let (secret, now) = (tokens::secret(&*app.host, prefix), app.host.now());
    let hash = tokens::hash(&secret);
    let id = format!("key_{}", hash.get(..16).unwrap_or_default());
    let hint: String = secret.chars().take(HINT_LENGTH).collect();
    let issue = sql!(
        "INSERT INTO api_key (hash, id, kind, label, hint, issued_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        hash,
        &id,
        kind.name(),
        label,
        &hint,
        ms(now),
    );
    let entry = Entry::new(by, "key.issued", format!("key:{id}")).after(json!({"kind": kind.name(), "label": label}));
    audit::write(app, vec![issue], &[entry]).await?;
    let row = Row { id, kind, label: label.into(), hint, issued_ms: ms(now), revoked_ms: None };
    Ok(IssuedKey { secret, key: row.into() })
}

/// All keys, the newest first.
///
/// # Errors
/// The database.
pub async fn list_keys(app: &App) -> Result<Vec<ApiKey>, ApiError> {
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT id, kind, label, hint, issued_ms, revoked_ms FROM api_key ORDER BY issued_ms DESC, id LIMIT 1000"
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// Revokes a key, at once and for good.
///
/// # Errors
/// There is no such key, or it was revoked before.
pub async fn revoke_key(app: &App, by: &Actor, id: &str) -> Result<(), ApiError> {
    let gone = || not_found("There is no such key, or it was revoked before. `key list` shows them.");
    let kept = list_keys(app).await?.into_iter().find(|k| k.key == id && k.revoked_at.is_none()).ok_or_else(gone)?;
    let batch = vec![
        guard("EXISTS (SELECT 1 FROM api_key WHERE id = ?1 AND revoked_ms IS NULL)", vec![id.into()]),
        sql!("UPDATE api_key SET revoked_ms = ?2 WHERE id = ?1", id, ms(app.host.now())),
    ];
    let entry = Entry::new(by, "key.revoked", format!("key:{id}"))
        .before(json!({"kind": kept.kind.name(), "label": kept.label}));
    match audit::write(app, batch, &[entry]).await {
        Err(error) if error.is_guard() => Err(gone()),
        other => Ok(other.map(drop)?),
    }
}

/// `GET /v1/keys`.
pub(crate) async fn list(_: Overseer, State(app): State<App>) -> Result<Json<Vec<ApiKey>>, ApiError> {
    Ok(Json(list_keys(&app).await?))
}

/// `POST /v1/keys`.
pub(crate) async fn issue(
    FreshAdmin(account): FreshAdmin,
    State(app): State<App>,
    Body(asked): Body<IssueKey>,
) -> Result<(StatusCode, Json<IssuedKey>), ApiError> {
    Ok((StatusCode::CREATED, Json(issue_key(&app, &account.into(), asked.kind, &asked.label).await?)))
}

/// `POST /v1/keys/{key}/revoke`.
pub(crate) async fn revoke(
    FreshAdmin(account): FreshAdmin,
    State(app): State<App>,
    Segment(key): Segment,
) -> Result<StatusCode, ApiError> {
    revoke_key(&app, &account.into(), &key).await?;
    Ok(StatusCode::NO_CONTENT)
}
