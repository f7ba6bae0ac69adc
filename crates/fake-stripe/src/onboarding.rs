//! The page behind an account link, where a person finishes onboarding.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use crate::{
    app::App,
    connect,
    error::ApiError,
    objects::{items, text},
    store::{Cause, Tx},
};

struct Link {
    expires_at: i64,
    return_url: String,
    refresh_url: String,
    state: String,
}

/// What a request on a link leads to.
enum Step {
    Page(String),
    Redirect(String),
    Missing,
}

/// `GET /setup/e/{account}/{token}`: the page, once; a used or expired link leads to the refresh address.
pub(crate) async fn open(State(app): State<Arc<App>>, Path((account, token)): Path<(String, String)>) -> Response {
    answer(app.transact(&Cause::default(), |tx| {
        let Some(link) = find(tx, &account, &token)? else { return Ok(Step::Missing) };
        if link.state != "fresh" || link.expires_at < tx.now {
            return Ok(Step::Redirect(link.refresh_url));
        }
        tx.sql.execute("UPDATE links SET state = 'opened' WHERE token = ?1", [&token])?;
        Ok(Step::Page(page(&tx.read("account", &account)?)))
    }))
}

/// `POST` on the same address: the person is done.
pub(crate) async fn finish(State(app): State<Arc<App>>, Path((account, token)): Path<(String, String)>) -> Response {
    let step = app.transact(&Cause::default(), |tx| {
        let Some(link) = find(tx, &account, &token)? else { return Ok(Step::Missing) };
        let expired = link.state == "fresh" && link.expires_at < tx.now;
        if link.state == "used" || expired {
            return Ok(Step::Redirect(link.refresh_url));
        }
        tx.sql.execute("UPDATE links SET state = 'used' WHERE token = ?1", [&token])?;
        connect::finish_onboarding(tx, &account)?;
        Ok(Step::Redirect(link.return_url))
    });
    app.wake.notify_one();
    answer(step)
}

fn find(tx: &Tx<'_>, account: &str, token: &str) -> Result<Option<Link>, ApiError> {
    let mut statement = tx.sql.prepare_cached(
        "SELECT expires_at, return_url, refresh_url, state FROM links WHERE token = ?1 AND account = ?2",
    )?;
    let link = statement.query_row(params![token, account], |row| {
        Ok(Link { expires_at: row.get(0)?, return_url: row.get(1)?, refresh_url: row.get(2)?, state: row.get(3)? })
    });
    Ok(link.optional()?)
}

fn answer(step: Result<Step, ApiError>) -> Response {
    let mut response = match step {
        Ok(Step::Page(html)) => Html(html).into_response(),
        Ok(Step::Redirect(url)) => Redirect::to(&url).into_response(),
        Ok(Step::Missing) => (StatusCode::NOT_FOUND, Html(MISSING)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.message).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        ),
    );
    response
}

const MISSING: &str = "<!doctype html><html lang=en><title>No such link</title><p>This onboarding link does not exist. Ask for a new one where you came from.</p></html>";

fn page(account: &Value) -> String {
    let name = match text(account, "/business_profile/name") {
        "" => text(account, "/email"),
        name => name,
    };
    let due = items(account, "/requirements/currently_due").iter().filter_map(Value::as_str);
    let list: String = due.map(|item| format!("<li>{}</li>", escape(&item.replace(['.', '_'], " ")))).collect();
    include_str!("onboarding.html")
        .replace("{name}", &escape(if name.is_empty() { "your business" } else { name }))
        .replace("{country}", &escape(text(account, "/country")))
        .replace("{account}", &escape(text(account, "/id")))
        .replace("{due}", &list)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
