//! The inbox as staff and operators see it: what came, where it stands, and what it waits for. Never a body.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use wire::{InboxEvent, InboxPage, InboxQuery};

use crate::auth::Staff;
use crate::error::{ApiError, Params, invalid};
use crate::tokens::at;
use crate::{App, sql};

/// Events on a page.
const PAGE: u32 = 100;

const STATES: [&str; 5] = ["received", "done", "waiting", "ignored", "failed"];

/// `GET /v1/inbox?state=failed`.
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Params(asked): Params<InboxQuery>,
) -> Result<Json<InboxPage>, ApiError> {
    inbox_events(&app, &asked).await.map(Json)
}

/// A page of the inbox, the newest first.
///
/// # Errors
/// An unknown state or cursor; the database's.
pub async fn inbox_events(app: &App, asked: &InboxQuery) -> Result<InboxPage, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        #[serde(rename = "type")]
        kind: String,
        received_ms: i64,
        state: String,
        waits_for: Option<String>,
        note: Option<String>,
    }
    if let Some(state) = asked.state.as_deref().filter(|s| !STATES.contains(s)) {
        return Err(invalid(format!("«{state}» is not a state: ask for one of {}.", STATES.join(", "))));
    }
    let bad_cursor = || invalid("The cursor is not one that this list gave.");
    let (before_ms, before_id) = match &asked.cursor {
        None => (i64::MAX >> 11, String::new()),
        Some(cursor) => {
            let (ms, id) = cursor.split_once('.').ok_or_else(bad_cursor)?;
            (ms.parse().ok().filter(|ms| (0..1 << 52).contains(ms)).ok_or_else(bad_cursor)?, id.to_owned())
        }
    };
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT id, type, received_ms, state, note,
                (SELECT group_concat(name, ' ') FROM inbox_wait w WHERE w.event = inbox.id) AS waits_for
             FROM inbox WHERE (?1 IS NULL OR state = ?1) AND (received_ms < ?2 OR (received_ms = ?2 AND id < ?3))
             ORDER BY received_ms DESC, id DESC LIMIT CAST(?4 AS INTEGER)",
            asked.state.as_deref(),
            before_ms,
            before_id,
            PAGE + 1,
        ))
        .await?
        .all()?;
    let more = rows.len() > PAGE as usize;
    let events: Vec<InboxEvent> = rows
        .into_iter()
        .take(PAGE as usize)
        .map(|r| InboxEvent {
            event: r.id,
            kind: r.kind,
            received_at: at(r.received_ms),
            state: r.state,
            waits_for: r.waits_for.map(|w| w.split(' ').map(Into::into).collect()).unwrap_or_default(),
            note: r.note,
        })
        .collect();
    let next = events.last().filter(|_| more).map(|e| format!("{}.{}", e.received_at.timestamp_millis(), e.event));
    Ok(InboxPage { events, next })
}

/// Reads events again: the named ones, or all that failed or wait for an answer of Stripe. Answers how many there were.
///
/// # Errors
/// The database's, or Stripe's.
pub async fn retry_events(app: &App, event: Option<&str>) -> Result<u64, ApiError> {
    let asked = app
        .db
        .query(sql!(
            "UPDATE inbox SET state = 'received' WHERE (?1 IS NOT NULL AND id = ?1 AND state IN ('failed', 'waiting', 'ignored'))
                OR (?1 IS NULL AND (state = 'failed' OR (state = 'waiting' AND id IN
                    (SELECT event FROM inbox_wait WHERE name GLOB 'rate:*' OR name GLOB 'lines:*' OR name GLOB 'bank:*'))))",
            event,
        ))
        .await?
        .changes;
    super::process_received(app).await?;
    Ok(asked)
}
