//! Sign-in by a code that comes by e-mail: one use, ten minutes, five tries.
//!
//! An address that nobody here has gets the same answer after the same statements, and no e-mail.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::TimeDelta;
use serde::Deserialize;
use wire::{CodeRequested, RequestCode, SignInMethods, StartSession};

use super::people::{person_by_email, read_email};
use super::session::{self, Opening};
use crate::error::{ApiError, Body, forbidden, signed_out};
use crate::limits::{self, Network};
use crate::tokens::{self, ms};
use crate::{App, sql};

const GOOD: TimeDelta = TimeDelta::minutes(10);
const TRIES: u32 = 5;

/// `GET /v1/auth/methods`.
pub(crate) async fn methods(State(app): State<App>) -> Json<SignInMethods> {
    let issuer = app.config.oidc.as_ref().map(|o| o.name.clone());
    Json(SignInMethods { email_codes: app.config.email_codes, issuer })
}

fn allowed(app: &App) -> Result<(), ApiError> {
    match &app.config.oidc {
        _ if app.config.email_codes => Ok(()),
        Some(issuer) => Err(forbidden(format!("Codes are not sent here: sign in with {}.", issuer.name))),
        None => Err(forbidden("Codes are not sent here.")),
    }
}

/// `POST /v1/auth/codes`.
pub(crate) async fn request(
    network: Network,
    State(app): State<App>,
    Body(asked): Body<RequestCode>,
) -> Result<Json<CodeRequested>, ApiError> {
    allowed(&app)?;
    let email = read_email(&asked.email)?;
    limits::CODES_BY_CALLER.check(&app, network.as_str()).await?;
    limits::CODES_BY_ADDRESS.check(&app, &email).await?;
    let now = app.host.now();
    let (code, stored) = tokens::signin_code(&*app.host, &email);
    app.db
        .query(sql!(
            "INSERT INTO signin_code (email, hash, expires_ms, tries_left, sent_ms) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (email) DO UPDATE SET hash = excluded.hash, expires_ms = excluded.expires_ms,
                 tries_left = excluded.tries_left, sent_ms = excluded.sent_ms",
            &email,
            stored,
            ms(now + GOOD),
            TRIES,
            ms(now),
        ))
        .await?;
    // Behind the answer, which must not take longer where there is somebody to write to.
    if person_by_email(&app, &email).await?.is_some() {
        let mail = app.mail.clone();
        app.host.later(Box::pin(async move {
            let text = format!(
                "Your sign-in code for AIKit Partners is\n\n    {code}\n\nIt is good for ten minutes and for one sign-in. \
                 If you did not ask for it, nobody can sign in without it: ignore this message.\n"
            );
            if let Err(reason) = mail.send(email, format!("{code} is your AIKit Partners code"), text).await {
                tracing::error!(%reason, "a sign-in code was not sent");
            }
        }));
    }
    Ok(Json(CodeRequested { expires_in_s: GOOD.num_seconds() as u32 }))
}

/// `POST /v1/auth/sessions`.
pub(crate) async fn start_session(
    network: Network,
    State(app): State<App>,
    headers: HeaderMap,
    Body(asked): Body<StartSession>,
) -> Result<Response, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        hash: String,
    }
    allowed(&app)?;
    let email = read_email(&asked.email)?;
    limits::TRIES_BY_CALLER.check(&app, network.as_str()).await?;
    let wrong = || signed_out("That code is not right, or it has expired. Check it, or ask for a new one.");
    let digits: String = asked.code.chars().filter(char::is_ascii_digit).take(16).collect();
    // Taking a try and reading the code are one statement: two requests at once cannot share a try.
    let row: Option<Row> = app
        .db
        .query(sql!(
            "UPDATE signin_code SET tries_left = tries_left - 1 WHERE email = ?1 AND expires_ms > ?2 AND tries_left > 0 RETURNING hash",
            &email,
            ms(app.host.now()),
        ))
        .await?
        .first()?;
    let stored = tokens::hash_signin_code(&email, &digits);
    let right = row.is_some_and(|r| tokens::same(&r.hash, &stored));
    let spent = right
        && app.db.query(sql!("DELETE FROM signin_code WHERE email = ?1 AND hash = ?2", &email, &stored)).await?.changes
            == 1;
    if !spent {
        return Err(wrong());
    }
    let person = person_by_email(&app, &email).await?.ok_or_else(wrong)?;
    let (auth_at, agent) = (app.host.now(), session::agent(&headers));
    let replaces = session::session_of(&app, &headers).await?;
    let tokens = session::open(&app, Opening { person, auth_at, replaces, agent: &agent }).await?;
    Ok(tokens.answer(&app.config, asked.keep))
}
