//! The Referral API on Cloudflare Workers: the router of `referral`, D1 as its database, and a trigger each minute for what
//! the embedded server does beside its requests. docs/edge.md says how it is deployed.
#![cfg(target_arch = "wasm32")]

mod d1;
mod host;
mod setup;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use referral::ports::Caller;
use referral::{ApiError, App};
use tower_service::Service as _;
use worker::{Context, Env, Headers, HttpRequest, Response, ScheduleContext, ScheduledEvent, event};

/// Longest body that is read, in bytes: above what the router takes, so that the router says so.
const BODY_LIMIT: usize = 2 * referral::BODY_LIMIT;
/// Slices of agencies of which a minute computes what lists are filtered by.
const BOARD_SLICES: usize = 4;

/// One request.
#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, ctx: Context) -> worker::Result<Response> {
    let mut api = match setup::api(&env).await {
        Ok(api) => api,
        Err(error) => return refused(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &error),
    };
    let (mut head, body) = request.into_parts();
    let Ok(body) = to_bytes(Body::new(body), BODY_LIMIT).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "invalid", "The body is too large.");
    };
    // The router sees what a server sees: a path, not an address.
    if let Some(path) = head.uri.path_and_query().cloned() {
        head.uri = path.into();
    }
    if let Some(address) = head.headers.get("cf-connecting-ip").and_then(|v| v.to_str().ok()?.parse().ok()) {
        head.extensions.insert(Caller(address));
    }
    let Ok(answer) = api.router.call(Request::from_parts(head, Body::from(body))).await;
    let (head, body) = answer.into_parts();
    // Whole, so that it goes out at once and with its length.
    let body = to_bytes(body, usize::MAX).await.map_err(|e| worker::Error::RustError(e.to_string()))?;
    for work in api.host.left() {
        ctx.wait_until(work);
    }
    let headers = Headers::new();
    for (name, value) in &head.headers {
        headers.append(name.as_str(), &String::from_utf8_lossy(value.as_bytes()))?;
    }
    // Where a status has no body, the runtime refuses an empty one.
    let answer = if body.is_empty() { Response::empty()? } else { Response::from_bytes(body.to_vec())? };
    Ok(answer.with_status(head.status.as_u16()).with_headers(headers))
}

fn refused(status: StatusCode, code: &str, message: &str) -> worker::Result<Response> {
    let body = serde_json::json!({ "code": code, "message": message });
    Ok(Response::from_json(&body)?.with_status(status.as_u16()))
}

/// Each minute: what others wait for. Once an hour: tidying.
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, _: ScheduleContext) {
    let setup::Api { app, host, draft_slices, .. } = match setup::api(&env).await {
        Ok(api) => api,
        Err(error) => return worker::console_error!("nothing was done this minute: {error}"),
    };
    said("stored events", referral::process_received(&app).await.map(drop));
    said("the month", referral::draft_due_months(&app, draft_slices).await.map(drop));
    said("the journal's followers", follow(&app).await);
    said("what agencies must do", referral::tell_what_is_needed(&app).await.map(drop));
    said("payments that are not settled", referral::look_at_unsettled(&app).await.map(drop));
    said("the daily reconciliation", referral::reconcile_daily(&app).await.map(drop));
    said("the board of agencies", referral::keep_board(&app, BOARD_SLICES).await.map(drop));
    said("e-mail", referral::send_messages(&app).await.map(drop));
    for endpoint in app.config.webhooks.clone() {
        said("webhooks", referral::deliver_webhooks(&app, &endpoint).await.map(drop));
    }
    let minute = chrono::DateTime::from_timestamp_millis(event.schedule() as i64).map(|t| t.timestamp() / 60 % 60);
    if minute == Some(0) {
        said("old events", referral::reduce_old(&app).await.map(drop));
        said("old deliveries", referral::forget_old_deliveries(&app).await);
        said("old copies", referral::forget_old_rows(&app).await);
    }
    for work in host.left() {
        work.await;
    }
}

async fn follow(app: &App) -> Result<(), ApiError> {
    while referral::follow_journal(app).await? > 0 {}
    Ok(())
}

/// One duty that fails does not keep the others from being done.
fn said(what: &str, done: Result<(), ApiError>) {
    if let Err(error) = done {
        worker::console_error!("{what}: tried again in a minute: {error}");
    }
}
