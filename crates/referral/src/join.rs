//! An agency joins, accepts the terms, and is led on to Stripe.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use chrono::TimeDelta;
use commission::{Fact, FactBody};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use wire::{AcceptTerms, AcceptedTerms, CurrentTerms, JoinPartner, Joined, OnboardingLink};

use crate::audit::{self, Entry};
use crate::auth::{Partner, read_email};
use crate::db::DbError;
use crate::error::{ApiError, Body, Segment, changed, conflict, invalid, not_found, unavailable};
use crate::limits::{self, Network};
use crate::members::Owner;
use crate::ports::{Config, HttpRequest};
use crate::tokens::{self, at, ms};
use crate::{App, inbox, journal, sql};

/// How long an onboarding address is good.
const ONBOARDING_GOOD: TimeDelta = TimeDelta::days(7);

/// Where Stripe pays out to from a platform there (self-serve cross-border payouts: US, UK, EEA, CA, CH).
const PAYABLE: [&str; 34] = [
    "US", "GB", "CA", "CH", "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IS", "IE",
    "IT", "LV", "LI", "LT", "LU", "MT", "NL", "NO", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
];

/// Whether Stripe can pay out to a country.
pub(crate) fn is_payable(country: &str) -> bool {
    PAYABLE.contains(&country)
}

/// What an agency is told where it cannot.
pub(crate) fn not_payable(country: &str) -> String {
    format!(
        "You can refer and earn from {country}, but Stripe cannot pay out to it yet: your balance waits until it can."
    )
}

/// `GET /v1/terms/current`.
pub(crate) async fn current_terms(State(app): State<App>) -> Json<CurrentTerms> {
    let terms = app.config.terms.in_force(app.host.now());
    Json(CurrentTerms {
        version: terms.id.clone(),
        from: terms.from,
        text: terms.agreement.clone().unwrap_or_default(),
        disclosure: terms.disclosure.clone().unwrap_or_default(),
    })
}

/// `POST /v1/terms/accept`: the terms in force, and no others. Accepting them twice is accepting them once.
pub(crate) async fn accept_terms(
    owner: Owner,
    State(app): State<App>,
    Body(given): Body<AcceptTerms>,
) -> Result<Json<Vec<AcceptedTerms>>, ApiError> {
    let now = app.host.now();
    let terms = app.config.terms.in_force(now);
    if given.version != terms.id {
        return Err(changed(format!(
            "The terms in force are {}, not «{}». Read them, and accept that version.",
            terms.id, given.version
        )));
    }
    let code = &owner.agency.code;
    if !accepted(&app, code).await?.iter().any(|a| a.version == terms.id) {
        let accept = sql!(
            "INSERT INTO terms_acceptance (partner, version, at_ms, person) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (partner, version) DO NOTHING",
            code,
            &terms.id,
            ms(now),
            &owner.account.user,
        );
        let entry = Entry::new(&owner.account.clone().into(), "terms.accepted", format!("partner:{code}"))
            .after(json!({"version": terms.id}));
        audit::write(&app, vec![accept], &[entry]).await?;
    }
    accepted(&app, code).await.map(Json)
}

/// `GET /v1/terms/accepted`: what the agency has accepted, the newest first.
pub(crate) async fn accepted_terms(
    State(app): State<App>,
    partner: Partner,
) -> Result<Json<Vec<AcceptedTerms>>, ApiError> {
    accepted(&app, &partner.code).await.map(Json)
}

async fn accepted(app: &App, partner: &str) -> Result<Vec<AcceptedTerms>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        version: String,
        at_ms: i64,
        person: Option<String>,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT version, at_ms, person FROM terms_acceptance WHERE partner = ?1 ORDER BY at_ms DESC, version DESC",
            partner
        ))
        .await?
        .all()?;
    let one = |r: Row| AcceptedTerms { version: r.version, accepted_at: at(r.at_ms), person: r.person };
    Ok(rows.into_iter().map(one).collect())
}

/// A website as people type it, with its scheme.
fn read_website(given: &str) -> Result<String, ApiError> {
    let text = given.trim();
    let refused = || invalid(format!("«{text}» is not a website's address."));
    let url = Url::parse(text).or_else(|_| Url::parse(&format!("https://{text}"))).map_err(|_| refused())?;
    let named = url.host_str().is_some_and(|h| h.contains('.'));
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && text.len() <= 300;
    if named && plain { Ok(url.into()) } else { Err(refused()) }
}

/// `POST /v1/partners`. The partner exists even where Stripe is down: onboarding is resumed later.
pub(crate) async fn join(
    network: Network,
    State(app): State<App>,
    Body(given): Body<JoinPartner>,
) -> Result<(StatusCode, Json<Joined>), ApiError> {
    let now = app.host.now();
    let terms = app.config.terms.in_force(now);
    let name = given.agency_name.trim();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(invalid("agency_name must have 1 to 200 characters."));
    }
    let email = read_email(&given.email)?;
    let website = read_website(&given.website)?;
    let country = given.country.trim().to_uppercase();
    if country.len() != 2 || !country.chars().all(|c| c.is_ascii_uppercase()) {
        return Err(invalid(format!(
            "«{}» is not a country: send the two letters of ISO 3166, for example US.",
            given.country
        )));
    }
    if given.accept_terms != terms.id {
        return Err(invalid(format!(
            "The terms in force are {}: show them, and send their version as accept_terms.",
            terms.id
        )));
    }
    limits::JOINS_BY_CALLER.check(&app, network.as_str()).await?;
    let code = tokens::partner_code(&*app.host);
    let person = tokens::id(&*app.host, "u");
    let token = tokens::secret(&*app.host, "aik_onb");
    let body = FactBody::PartnerJoined {
        partner: code.clone(),
        name: name.into(),
        website: website.clone(),
        country: Some(country.clone()),
    };
    let written = app
        .db
        .batch(vec![
            sql!(
                "INSERT INTO partner (code, name, email, website, country, joined_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                &code,
                name,
                &email,
                &website,
                &country,
                ms(now),
            ),
            sql!(
                "INSERT INTO person (id, email, role, partner, added_ms) VALUES (?1, ?2, 'owner', ?3, ?4)",
                &person,
                &email,
                &code,
                ms(now),
            ),
            sql!(
                "INSERT INTO terms_acceptance (partner, version, at_ms) VALUES (?1, ?2, ?3)",
                &code,
                &terms.id,
                ms(now)
            ),
            onboarding_token(&token, &code, ms(now + ONBOARDING_GOOD)),
            journal::insert(&Fact { id: format!("partner_joined:{code}"), at: now, body })?,
        ])
        .await;
    match written {
        Ok(_) => {}
        Err(DbError::Constraint(_)) => {
            return Err(conflict(format!("An agency with the address {email} has joined already. Sign in instead.")));
        }
        Err(other) => return Err(other.into()),
    }
    tracing::info!(partner = %code, "an agency joined");
    let notice = (!is_payable(&country)).then(|| not_payable(&country));
    Ok((
        StatusCode::CREATED,
        Json(Joined { partner_code: code, onboarding_url: onboarding_url(&app.config, &token), notice }),
    ))
}

fn onboarding_token(token: &str, partner: &str, expires_ms: i64) -> crate::db::Stmt {
    sql!(
        "INSERT INTO onboarding_token (hash, partner, expires_ms) VALUES (?1, ?2, ?3)",
        tokens::hash(token),
        partner,
        expires_ms
    )
}

fn onboarding_url(config: &Config, token: &str) -> String {
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
            "SELECT p.code, p.name, p.email, p.website, p.country, p.account FROM onboarding_token t
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

/// The key is the partner's, so that a lost answer finds the same account again.
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
    let key = format!("aikit-{}-account-{}", app.config.environment(), agency.code);
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
