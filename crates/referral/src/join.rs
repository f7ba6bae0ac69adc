//! An agency joins and accepts the terms.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use commission::{Fact, FactBody};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use wire::{AcceptTerms, AcceptedTerms, CurrentTerms, JoinPartner, Joined};

use partner::{is_payable, not_payable};

use crate::account::{ONBOARDING_GOOD, onboarding_token, onboarding_url};
use crate::audit::{self, Entry};
use crate::auth::{Partner, read_email};
use crate::db::DbError;
use crate::error::{ApiError, Body, changed, conflict, invalid};
use crate::limits::{self, Network};
use crate::members::Owner;
use crate::tokens::{self, at, ms};
use crate::{App, journal, sql};

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

/// The versions that an agency has accepted, the newest first.
pub(crate) async fn accepted(app: &App, partner: &str) -> Result<Vec<AcceptedTerms>, ApiError> {
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
