//! The shell around one API call: key, idempotency, faults, headers.
//!
//! The first answer under an `Idempotency-Key` is committed together with what it did, so a kill at any
//! instant leaves both or neither. Faults break the answer on its way, as a network or an overloaded
//! server would.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    api::{Call, carry_out},
    app::{App, lock},
    error::ApiError,
    faults::{self, Fault},
    form::Form,
    link::Line,
    store::{API_VERSION, Cause, Tx},
};

/// The first 24 hours of a key, by the stand-in's clock.
const KEY_LIFE_S: i64 = 86_400;

/// The largest body that is read.
const BODY_BYTES: usize = 1 << 20;

struct Answer {
    status: u16,
    body: String,
    /// The request that was answered first, for a replay.
    replay_of: Option<String>,
}

/// Every `/v1/…` request.
pub(crate) async fn v1(
    State(app): State<Arc<App>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let request_id = app.request_id();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES).await else {
        let error =
            ApiError::parameter("parameter_invalid", "", "The body could not be read, or is larger than 1 MiB.");
        return respond(Answer { status: 413, body: error.body().to_string(), replay_of: None }, None, request_id);
    };
    let path = parts.uri.path().trim_start_matches("/v1/").to_owned();
    let query = parts.uri.query().unwrap_or_default();
    let (answer, fault) = answer(&app, parts.method.as_str(), &path, query, &parts.headers, &body, &request_id).await;
    let answer =
        answer.unwrap_or_else(|error| Answer { status: error.status, body: error.body().to_string(), replay_of: None });
    app.wake.notify_one();
    app.said(|| {
        let (form, answered) = (String::from_utf8_lossy(&body), serde_json::from_str::<Value>(&answer.body).ok());
        json!({ "method": parts.method.as_str(), "path": path, "query": query, "form": form, "status": answer.status, "body": answered })
    });
    tracing::info!(method = %parts.method, path, status = answer.status, request_id, "answered");
    if fault.as_ref().is_some_and(Fault::drops) {
        line.cut();
    }
    respond(answer, fault, request_id)
}

fn respond(answer: Answer, fault: Option<Fault>, request_id: String) -> Response {
    let mut body = answer.body;
    let status =
        axum::http::StatusCode::from_u16(answer.status).unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    if fault.is_some_and(|fault| fault.kind == "decode_garbage") {
        body.retain(|letter| letter.is_ascii());
        body.truncate(body.len() / 2);
        body.push_str("\u{fffd}<html>502 Bad Gateway</html>");
    }
    let mut response = (status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("stripe-version", HeaderValue::from_static(API_VERSION));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert("request-id", value);
    }
    if let Some(value) = answer.replay_of.and_then(|first| HeaderValue::from_str(&first).ok()) {
        headers.insert("original-request", value);
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    if answer.status == 429 {
        headers.insert("stripe-rate-limited-reason", HeaderValue::from_static("endpoint-rate"));
    }
    if answer.status >= 500 || answer.status == 409 {
        headers.insert("stripe-should-retry", HeaderValue::from_static("true"));
    }
    response
}

async fn answer(
    app: &App,
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
    request_id: &str,
) -> (Result<Answer, ApiError>, Option<Fault>) {
    let begun = begin(method, path, query, headers, body);
    let (call, key) = match begun {
        Ok(begun) => begun,
        Err(error) => return (Err(error), None),
    };
    let _held = match key.as_ref().map(|key| InFlight::hold(app, key)).transpose() {
        Ok(held) => held,
        Err(error) => return (Err(error), None),
    };
    let cause = Cause { request_id: Some(request_id.to_owned()), idempotency_key: key.clone() };
    let digest = hex::encode(Sha256::digest(format!("{method} {path} {} {}", call.account, canonical(query, body))));
    let mut fault: Option<Fault> = None;
    let done = app.transact(&cause, |tx| {
        if let Some(replayed) = key.as_ref().map(|key| replay(tx, key, &digest)).transpose()?.flatten() {
            return Ok(replayed);
        }
        fault = faults::take(tx, &call)?;
        let outcome = execute(tx, &call, fault.as_ref(), body)?;
        if let (Some(key), true) = (&key, outcome.1) {
            remember(tx, key, &digest, request_id, &outcome.0)?;
        }
        Ok(outcome.0)
    });
    // The key stays in flight while a fault delays the answer.
    if let Some(fault) = fault.as_ref().filter(|fault| fault.delay_ms > 0) {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms.into())).await;
    }
    (done, fault)
}

/// Carries the call out under its fault: the answer, and whether its key remembers it.
fn execute(tx: &Tx<'_>, call: &Call, fault: Option<&Fault>, body: &Bytes) -> Result<(Answer, bool), ApiError> {
    let plain = |status: u16, body: Value| Answer { status, body: body.to_string(), replay_of: None };
    let failed = |error: ApiError| (plain(error.status, error.body()), error.stored);
    let broken = || ApiError::internal("An unknown error occurred. It may or may not have been carried out.");
    match fault.map(|fault| fault.kind.as_str()) {
        Some("rate_limit") => return Ok(failed(ApiError::rate_limit())),
        Some("error_500_before") => return Ok(failed(broken())),
        Some("drop_before") => return Ok((plain(500, broken().body()), false)),
        Some("late_execution") => {
            tx.schedule("late_transfer", &String::from_utf8_lossy(body), tx.now + 60)?;
            return Ok(failed(broken()));
        }
        Some("list_lag") => {
            let empty = json!({ "object": "list", "url": format!("/v1/{}", call.path), "has_more": false, "data": [] });
            return Ok((plain(200, empty), false));
        }
        _ => {}
    }
    // What a refused call may have begun is undone; only its answer stays.
    tx.sql.execute_batch("SAVEPOINT call")?;
    let outcome = match carry_out(tx, call) {
        Ok(_) if fault.is_some_and(|fault| fault.kind == "error_500_after") => failed(broken()),
        Ok(object) => (plain(200, object), true),
        Err(error) => {
            tx.sql.execute_batch("ROLLBACK TO call")?;
            failed(error)
        }
    };
    tx.sql.execute_batch("RELEASE call")?;
    Ok(outcome)
}

/// Everything that is checked before an idempotency key matters.
fn begin(
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(Call, Option<String>), ApiError> {
    authorize(headers)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let key = header("idempotency-key").filter(|key| method == "POST" && !key.is_empty());
    if key.as_ref().is_some_and(|key| key.len() > 255) {
        let message = "Idempotency keys can have up to 255 characters.";
        return Err(ApiError::parameter("parameter_invalid", "Idempotency-Key", message));
    }
    let form = Form::parse(if method == "GET" || body.is_empty() { query.as_bytes() } else { body })?;
    let account = header("stripe-account").unwrap_or_default();
    Ok((Call { method: method.to_owned(), path: path.to_owned(), form, account }, key))
}

/// Any test key as a bearer token; a live key is refused by name.
fn authorize(headers: &HeaderMap) -> Result<(), ApiError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match given.strip_prefix("Bearer ") {
        // A key that was rolled.
        Some(key) if key.ends_with("_invalid") => {
            Err(ApiError::unauthorized("Invalid API Key provided. It ends in `_invalid`."))
        }
        Some(key) if key.starts_with("sk_test_") || key.starts_with("rk_test_") => Ok(()),
        Some(key) if key.starts_with("sk_live_") || key.starts_with("rk_live_") => Err(ApiError::unauthorized(
            "The stand-in takes test keys only: this request carried a live key, which must not leave its place. Use `sk_test_…` or `rk_test_…`.",
        )),
        Some(_) => Err(ApiError::unauthorized("Invalid API Key provided. Use `Bearer sk_test_…` or `rk_test_…`.")),
        None => Err(ApiError::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer sk_test_…').",
        )),
    }
}

fn canonical(query: &str, body: &Bytes) -> String {
    let text = if body.is_empty() { query.to_owned() } else { String::from_utf8_lossy(body).into_owned() };
    let mut pairs: Vec<&str> = text.split('&').collect();
    pairs.sort_unstable();
    pairs.join("&")
}

/// The stored answer of a key that is younger than a day; an older one is forgotten and executes again.
fn replay(tx: &Tx<'_>, key: &str, digest: &str) -> Result<Option<Answer>, ApiError> {
    tx.sql
        .prepare_cached("DELETE FROM idempotency WHERE key = ?1 AND created <= ?2")?
        .execute(params![key, tx.now - KEY_LIFE_S])?;
    let mut statement =
        tx.sql.prepare_cached("SELECT request, request_id, status, body FROM idempotency WHERE key = ?1")?;
    let row = statement.query_row([key], |row| {
        let answer = Answer { replay_of: row.get(1)?, status: row.get(2)?, body: row.get(3)? };
        Ok((row.get::<_, String>(0)?, answer))
    });
    match row.optional()? {
        Some((request, _)) if request != digest => Err(ApiError::key_reused(key)),
        row => Ok(row.map(|(_, answer)| answer)),
    }
}

fn remember(tx: &Tx<'_>, key: &str, digest: &str, request_id: &str, answer: &Answer) -> Result<(), ApiError> {
    let mut statement = tx.sql.prepare_cached("INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    statement.execute(params![key, tx.now, digest, request_id, answer.status, answer.body])?;
    Ok(())
}

/// Holds a key while its request is being carried out.
struct InFlight<'a> {
    app: &'a App,
    key: String,
}

impl<'a> InFlight<'a> {
    fn hold(app: &'a App, key: &str) -> Result<Self, ApiError> {
        if lock(&app.in_flight).insert(key.to_owned()) {
            Ok(Self { app, key: key.to_owned() })
        } else {
            Err(ApiError::key_in_use(key))
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        lock(&self.app.in_flight).remove(&self.key);
    }
}

/// Prunes the keys that are older than a day.
pub(crate) fn forget_old_keys(tx: &Tx<'_>) -> Result<(), ApiError> {
    tx.sql.execute("DELETE FROM idempotency WHERE created <= ?1", [tx.now - KEY_LIFE_S])?;
    Ok(())
}
