//! To whom a sign-up is credited: last touch within thirty days, an explicit code being the latest touch.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use commission::{Fact, FactBody};
use serde::Deserialize;
use wire::{SignUp, SignedUp};

use crate::auth::{ServerKey, read_email};
use crate::error::{ApiError, Body, invalid};
use crate::tokens::{self, at, ms, read_partner_code, read_uuid};
use crate::{App, db, inbox, journal, limits, sql};

/// From the click to the sign-up.
pub(crate) const WINDOW: TimeDelta = TimeDelta::days(30);

/// What decided a credit; kept as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The client named the agency.
    PartnerCode,
    /// Our own record of the click.
    Click,
    /// The time of the click, as AIKit's backend says it.
    ClickedAt,
    /// The cookie's own age is trusted: it lives for thirty days.
    Cookie,
}

impl Rule {
    fn name(self) -> &'static str {
        match self {
            Rule::PartnerCode => "partner_code",
            Rule::Click => "click",
            Rule::ClickedAt => "clicked_at",
            Rule::Cookie => "cookie",
        }
    }
}

/// A click as we recorded it.
#[derive(Clone, Debug)]
pub(crate) struct KnownClick {
    pub partner: String,
    pub at: DateTime<Utc>,
}

/// What a sign-up says of its origin, codes already read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub partner_code: Option<String>,
    pub ref_code: Option<String>,
    pub click: Option<KnownClick>,
    pub clicked_at: Option<DateTime<Utc>>,
}

/// The partner to credit and why, or why nobody is.
pub(crate) fn credit(origin: &Origin, signed_up_at: DateTime<Utc>) -> Result<(String, Rule), String> {
    let within = |t: DateTime<Utc>| t <= signed_up_at && signed_up_at - t <= WINDOW;
    let too_old = |t: DateTime<Utc>| {
        if t > signed_up_at {
            "the click was after the sign-up".to_string()
        } else {
            "the click was more than 30 days before".into()
        }
    };
    if let Some(code) = &origin.partner_code {
        return Ok((code.clone(), Rule::PartnerCode));
    }
    match (&origin.click, origin.clicked_at, &origin.ref_code) {
        (Some(click), ..) if within(click.at) => Ok((click.partner.clone(), Rule::Click)),
        (Some(click), ..) => Err(too_old(click.at)),
        (None, Some(t), Some(code)) if within(t) => Ok((code.clone(), Rule::ClickedAt)),
        (None, Some(t), Some(_)) => Err(too_old(t)),
        (None, None, Some(code)) => Ok((code.clone(), Rule::Cookie)),
        (None, _, None) => Err("it names no partner".into()),
    }
}

/// `POST /v1/signups`: idempotent on the customer.
pub(crate) async fn sign_up(
    ServerKey(key): ServerKey,
    State(app): State<App>,
    Body(given): Body<SignUp>,
) -> Result<(StatusCode, Json<SignedUp>), ApiError> {
    if given.customer_id.trim().is_empty() || given.customer_id.len() > 200 {
        return Err(invalid("customer_id must be AIKit's id of the customer, 1 to 200 characters."));
    }
    let email = read_email(&given.email)?;
    let now = app.host.now();
    let signed_up_at = given.signed_up_at.unwrap_or(now);
    if signed_up_at > now + TimeDelta::minutes(5) {
        return Err(invalid("signed_up_at lies in the future."));
    }
    if let Some(known) = recorded(&app, &given).await? {
        return Ok((StatusCode::OK, Json(known)));
    }
    limits::SIGNUPS_BY_KEY.check(&app, &key).await?;
    let origin = read_origin(&app, &given).await?;
    let (referral, answer) = match credit(&origin, signed_up_at) {
        Ok((partner, rule)) => {
            let id = tokens::id(&*app.host, "r");
            let answer = SignedUp { referral_id: Some(id.clone()), partner_code: Some(partner.clone()), reason: None };
            (Some((id, partner, rule)), answer)
        }
        Err(reason) => (None, SignedUp { referral_id: None, partner_code: None, reason: Some(reason) }),
    };
    let mut batch = Vec::new();
    if let Some((id, partner, rule)) = &referral {
        let domain = email.split_once('@').map(|(_, domain)| domain.to_owned());
        let body =
            FactBody::ReferralCreated { referral: id.clone(), partner: partner.clone(), client_email_domain: domain };
        batch.push(sql!(
            "INSERT INTO referral (id, partner, email, signed_up_ms, click, rule) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            id,
            partner,
            &email,
            ms(signed_up_at),
            given.click_id.as_deref().and_then(read_uuid),
            rule.name(),
        ));
        batch.push(journal::insert(&Fact { id: format!("referral_created:{id}"), at: signed_up_at, body })?);
    }
    batch.push(sql!(
        "INSERT INTO customer (id, stripe_customer, referral, reason, at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        &given.customer_id,
        given.stripe_customer_id.as_deref().filter(|c| !c.is_empty()),
        referral.as_ref().map(|(id, ..)| id.as_str()),
        answer.reason.as_deref(),
        ms(now),
    ));
    match app.db.batch(batch).await {
        Ok(_) => {}
        // Somebody else recorded the same customer meanwhile: theirs is the answer.
        Err(db::DbError::Constraint(_)) => {
            return match recorded(&app, &given).await? {
                Some(known) => Ok((StatusCode::OK, Json(known))),
                None => Err(crate::error::conflict(format!(
                    "The Stripe customer {} belongs to another sign-up.",
                    given.stripe_customer_id.unwrap_or_default()
                ))),
            };
        }
        Err(other) => return Err(other.into()),
    }
    if let (Some((id, ..)), Some(stripe)) = (&referral, &given.stripe_customer_id) {
        tracing::info!(referral = %id, "sign-up credited");
        inbox::wake(&app, vec![format!("customer:{stripe}")]).await?;
    }
    let status = if referral.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(answer)))
}

/// What was answered for this customer before. A Stripe customer that comes later is added.
async fn recorded(app: &App, given: &SignUp) -> Result<Option<SignedUp>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        referral: Option<String>,
        partner: Option<String>,
        reason: Option<String>,
        stripe_customer: Option<String>,
    }
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT c.referral, r.partner, c.reason, c.stripe_customer FROM customer c
             LEFT JOIN referral r ON r.id = c.referral WHERE c.id = ?1",
            &given.customer_id,
        ))
        .await?
        .first()?;
    let Some(row) = row else { return Ok(None) };
    if let (None, Some(stripe)) = (&row.stripe_customer, given.stripe_customer_id.as_deref().filter(|c| !c.is_empty()))
    {
        let added = app
            .db
            .query(sql!(
                "UPDATE customer SET stripe_customer = ?2 WHERE id = ?1 AND stripe_customer IS NULL",
                &given.customer_id,
                stripe
            ))
            .await?;
        if added.changes == 1 {
            inbox::wake(app, vec![format!("customer:{stripe}")]).await?;
        }
    }
    Ok(Some(SignedUp { referral_id: row.referral, partner_code: row.partner, reason: row.reason }))
}

/// Looks up what a sign-up names: partners that exist, the click that was recorded.
async fn read_origin(app: &App, given: &SignUp) -> Result<Origin, ApiError> {
    #[derive(Deserialize)]
    struct Click {
        partner: String,
        at_ms: i64,
    }
    let click: Option<Click> = match given.click_id.as_deref().and_then(read_uuid) {
        None => None,
        Some(id) => app.db.query(sql!("SELECT partner, at_ms FROM click WHERE id = ?1", id)).await?.first()?,
    };
    Ok(Origin {
        partner_code: known_partner(app, given.partner_code.as_deref()).await?,
        ref_code: known_partner(app, given.ref_code.as_deref()).await?,
        click: click.map(|c| KnownClick { partner: c.partner, at: at(c.at_ms) }),
        clicked_at: given.clicked_at,
    })
}

/// The partner that a code means, however it was written.
pub(crate) async fn known_partner(app: &App, given: Option<&str>) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        code: String,
    }
    let Some(code) = given.and_then(read_partner_code) else { return Ok(None) };
    let row: Option<Row> = app.db.query(sql!("SELECT code FROM partner WHERE code = ?1", code)).await?.first()?;
    Ok(row.map(|r| r.code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(1000 + n)
    }

    /// origin -> who and why, for a sign-up on day 0.
    #[test]
    fn the_latest_touch_within_thirty_days_is_credited() {
        let click = |n| Some(KnownClick { partner: "CLICK".into(), at: day(n) });
        let code = |c: &str| Some(c.to_string());
        let table = [
            (Origin::default(), Err("it names no partner")),
            (
                Origin { partner_code: code("TYPED"), click: click(-1), ..Origin::default() },
                Ok(("TYPED", Rule::PartnerCode)),
            ),
            (Origin { click: click(-1), ref_code: code("COOKIE"), ..Origin::default() }, Ok(("CLICK", Rule::Click))),
            (Origin { click: click(-30), ..Origin::default() }, Ok(("CLICK", Rule::Click))),
            (
                Origin { click: click(-31), ref_code: code("COOKIE"), ..Origin::default() },
                Err("the click was more than 30 days before"),
            ),
            (Origin { click: click(1), ..Origin::default() }, Err("the click was after the sign-up")),
            (
                Origin { ref_code: code("COOKIE"), clicked_at: Some(day(-2)), ..Origin::default() },
                Ok(("COOKIE", Rule::ClickedAt)),
            ),
            (
                Origin { ref_code: code("COOKIE"), clicked_at: Some(day(-40)), ..Origin::default() },
                Err("the click was more than 30 days before"),
            ),
            (Origin { ref_code: code("COOKIE"), ..Origin::default() }, Ok(("COOKIE", Rule::Cookie))),
        ];
        for (origin, expected) in table {
            let got = credit(&origin, day(0));
            assert_eq!(got.as_ref().map(|(p, r)| (p.as_str(), *r)).map_err(String::as_str), expected, "{origin:?}");
        }
    }
}
