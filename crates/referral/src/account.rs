//! An agency's connected account at Stripe: how it is made and set up, and how it is left for another.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use chrono::TimeDelta;
use partner::{connected_account, is_payable};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use wire::{ConnectedAccount, OnboardingLink, ReplaceAccount};

use crate::audit::{self, Entry};
use crate::auth::Partner;
use crate::db::{Stmt, guard};
use crate::error::{ApiError, Body, Segment, conflict, not_found, read_reason, unavailable};
use crate::members::{FreshOwner, Owner};
use crate::ports::{Config, HttpRequest};
use crate::tokens::{self, ms};
use crate::{App, inbox, notices, sql, sync_rows};

/// For this long after it has left its Stripe account an agency is not paid, so that it can notice what it did not do.
const REST: TimeDelta = TimeDelta::hours(72);

/// How long an onboarding address is good.
pub(crate) const ONBOARDING_GOOD: TimeDelta = TimeDelta::days(7);

/// Makes an address good.
pub(crate) fn onboarding_token(token: &str, partner: &str, expires_ms: i64) -> Stmt {
    sql!(
        "INSERT INTO onboarding_token (hash, partner, expires_ms) VALUES (?1, ?2, ?3)",
        tokens::hash(token),
        partner,
        expires_ms
    )
}

/// An address that leads on to Stripe.
pub(crate) fn onboarding_url(config: &Config, token: &str) -> String {
    let mut url = config.public_url.clone();
    url.set_path(&format!("/onboard/{token}"));
    url.into()
}

/// `POST /v1/onboarding`: a fresh address for the signed-in owner.
pub(crate) async fn onboarding_link(owner: Owner, State(app): State<App>) -> Result<Json<OnboardingLink>, ApiError> {
    let token = tokens::secret(&*app.host, "aik_onb");
    app.db.query(onboarding_token(&token, &owner.agency.code, ms(app.host.now() + ONBOARDING_GOOD))).await?;
    Ok(Json(OnboardingLink { url: onboarding_url(&app.config, &token) }))
}

#[derive(Deserialize)]
struct Agency {
    code: String,
    name: String,
    email: String,
    website: String,
    country: String,
    account: Option<String>,
    account_n: i64,
}

/// `GET /onboard/{token}`: creates or resumes the account and goes on to a fresh Stripe link, which is never stored.
/// Stripe comes back to this same address, with `?back=done` or `?back=again`.
pub(crate) async fn onboard(
    State(app): State<App>,
    Segment(token): Segment,
    axum::extract::RawQuery(query): axum::extract::RawQuery,
) -> Result<Response, ApiError> {
    let agency: Option<Agency> = app
        .db
        .query(sql!(
            "SELECT p.code, p.name, p.email, p.website, p.country, p.account, p.account_n FROM onboarding_token t
             JOIN partner p ON p.code = t.partner WHERE t.hash = ?1 AND t.expires_ms > ?2",
            tokens::hash(&token),
            ms(app.host.now()),
        ))
        .await?
        .first()?;
    let agency = agency
        .ok_or_else(|| not_found("This address has expired. Sign in, and continue the set-up from your overview."))?;
    if query.as_deref() == Some("back=done") {
        return Ok(Html(DONE).into_response());
    }
    if !is_payable(&agency.country) {
        return Err(conflict(format!(
            "Stripe cannot pay out to {} yet. Your commission is kept until it can.",
            agency.country
        )));
    }
    let account = match agency.account.clone() {
        Some(account) => account,
        None => create_account(&app, &agency).await?,
    };
    let back = |how: &str| format!("{}?back={how}", onboarding_url(&app.config, &token));
    let form = vec![
        ("account".into(), account),
        ("type".into(), "account_onboarding".into()),
        ("refresh_url".into(), back("again")),
        ("return_url".into(), back("done")),
    ];
    let link: StripeLink = stripe(&app, "/v1/account_links", tokens::id(&*app.host, "lnk"), form).await?;
    let target =
        Url::parse(&link.url).map_err(|_| unavailable("Stripe gave an address that cannot be used. Try again."))?;
    Ok((StatusCode::FOUND, [(header::LOCATION, target.to_string())]).into_response())
}

const DONE: &str = "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'><title>AIKit Partners</title>\
<body style='font:16px/1.5 system-ui;max-width:32rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark'>\
<h1 style='font-size:1.4rem'>Thank you, that is all for now</h1><p>Stripe tells us when your account can be paid; it usually takes a minute. \
You can close this page and go back to AIKit Partners.</p>";

#[derive(Deserialize)]
struct StripeAccount {
    id: String,
}

#[derive(Deserialize)]
struct StripeLink {
    url: String,
}

/// The key is of this partner's account of this number, so that a lost answer finds the same account again.
async fn create_account(app: &App, agency: &Agency) -> Result<String, ApiError> {
    let mut form: Vec<(String, String)> = [
        ("type", "express"),
        ("country", &agency.country),
        ("email", &agency.email),
        ("business_type", "company"),
        ("business_profile[name]", &agency.name),
        ("business_profile[url]", &agency.website),
        ("capabilities[transfers][requested]", "true"),
        ("metadata[partner]", &agency.code),
    ]
    .map(|(k, v)| (k.to_string(), v.to_string()))
    .into();
    if agency.country != app.config.platform_country {
        form.push(("tos_acceptance[service_agreement]".into(), "recipient".into()));
    }
    let mut key = format!("aikit-{}-account-{}", app.config.environment(), agency.code);
    if agency.account_n > 0 {
        key.push_str(&format!("-{}", agency.account_n));
    }
    let account: StripeAccount = stripe(app, "/v1/accounts", key, form).await?;
    let keep = sql!(
        "UPDATE partner SET account = ?2, transfers = 'inactive' WHERE code = ?1 AND account IS NULL",
        &agency.code,
        &account.id,
    );
    // Stripe may have told about the account before its answer came.
    inbox::commit(app, vec![keep], &[format!("account:{}", account.id)]).await?;
    Ok(account.id)
}

async fn stripe<T: serde::de::DeserializeOwned>(
    app: &App,
    path: &str,
    idempotency_key: String,
    form: Vec<(String, String)>,
) -> Result<T, ApiError> {
    let down =
        || unavailable("Stripe could not be reached just now. Your agency is registered; continue in a few minutes.");
    let mut url = app.config.stripe_api.clone();
    url.set_path(path);
    let request = HttpRequest::form(url, &app.config.stripe_connect_key, idempotency_key, &form);
    let response = app.http.send(request).await.map_err(|reason| {
        tracing::warn!(%reason, path, "stripe");
        down()
    })?;
    if response.status == 409 || response.status == 429 {
        return Err(unavailable("Stripe is still busy with your last click. Try again in a few seconds."));
    }
    if response.status / 100 != 2 {
        tracing::warn!(status = response.status, path, "stripe refused");
        return Err(down());
    }
    serde_json::from_str(&response.body).map_err(|error| {
        tracing::warn!(%error, path, "stripe's answer cannot be read");
        down()
    })
}

/// `GET /v1/stripe-account`.
pub(crate) async fn show(State(app): State<App>, partner: Partner) -> Result<Json<ConnectedAccount>, ApiError> {
    shown(&app, &partner.code).await.map(Json)
}

async fn shown(app: &App, partner: &str) -> Result<ConnectedAccount, ApiError> {
    Ok(connected_account(&sync_rows::profile(app, partner).await?, app.host.now()))
}

/// `POST /v1/stripe-account/replace`: the agency leaves its account for another, and is not paid for three days.
pub(crate) async fn replace(
    FreshOwner(owner): FreshOwner,
    State(app): State<App>,
    Body(asked): Body<ReplaceAccount>,
) -> Result<Json<ConnectedAccount>, ApiError> {
    let reason = read_reason(&asked.reason)?;
    let code = &owner.agency.code;
    let now = app.host.now();
    let before = shown(&app, code).await?;
    let Some(left) = before.account else {
        return Err(conflict("There is no Stripe account yet that could be replaced. Connect one."));
    };
    if let Some(until) = before.rests_until {
        return Err(conflict(format!(
            "The Stripe account was replaced a short time ago. It can be replaced again after {}.",
            until.format("%-d %B %Y, %H:%M UTC")
        )));
    }
    let until = now + REST;
    let decision = vec![
        guard("EXISTS (SELECT 1 FROM partner WHERE code = ?1 AND account = ?2)", vec![code.into(), (&left).into()]),
        sql!(
            "INSERT INTO account_left (account, partner, person, left_ms) VALUES (?1, ?2, ?3, ?4)",
            &left,
            code,
            &owner.account.user,
            ms(now),
        ),
        sql!(
            "UPDATE partner SET account = NULL, transfers = 'none', payouts_enabled = 0, requirements = '[]', transfers_event_s = 0,
                account_event_s = 0, account_n = account_n + 1, frozen_until_ms = ?2 WHERE code = ?1",
            code,
            ms(until),
        ),
    ];
    let told = notices::account_left(&app, code, &left, &owner.account.email, now, until);
    let messages = notices::people_of(&app, code).await?;
    let decision = decision.into_iter().chain(messages.iter().map(|person| told.to(&app, person))).collect();
    let entry = Entry::new(&owner.account.clone().into(), "partner.account_replaced", format!("partner:{code}"))
        .before(json!({ "account": left }))
        .after(json!({ "account": null, "rests_until": until }))
        .reason(reason);
    audit::write(&app, decision, &[entry]).await?;
    tracing::warn!(partner = code, by = %owner.account.user, "an agency left its Stripe account");
    shown(&app, code).await.map(Json)
}
