//! `POST /v1/signups`: what a sign-up says of its origin is looked up, decided, and kept with every touch.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use commission::{Fact, FactBody};
use serde::Deserialize;
use serde_json::json;
use wire::{SignUp, SignedUp};

use crate::attribution::{Rule, Source, Touch, WINDOW, decide};
use crate::auth::{ServerKey, read_email};
use crate::db::{DbError, Stmt, guard};
use crate::error::{ApiError, Body, conflict, invalid};
use crate::slug::likeness;
use crate::tokens::{self, at, ms, read_partner_code, read_uuid};
use crate::{App, inbox, journal, limits, promotion, sql};

/// Clicks of one browser that are looked at, the newest first.
const CHAIN: u32 = 50;

/// A customer that becomes a referral.
pub(crate) struct Credit<'a> {
    pub referral: &'a str,
    pub partner: &'a str,
    pub email: &'a str,
    pub signed_up_at: DateTime<Utc>,
    pub click: Option<&'a str>,
    pub rule: Rule,
    /// Why, where a person decided it.
    pub reason: Option<&'a str>,
}

impl Credit<'_> {
    /// The referral and its fact.
    pub(crate) fn statements(&self) -> Result<Vec<Stmt>, ApiError> {
        let domain = self.email.split_once('@').map(|(_, domain)| domain.to_owned());
        let body = FactBody::ReferralCreated {
            referral: self.referral.into(),
            partner: self.partner.into(),
            client_email_domain: domain,
        };
        let fact = Fact { id: format!("referral_created:{}", self.referral), at: self.signed_up_at, body };
        Ok(vec![
            sql!(
                "INSERT INTO referral (id, partner, email, signed_up_ms, click, rule) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                self.referral,
                self.partner,
                self.email,
                ms(self.signed_up_at),
                self.click,
                self.rule.name(),
            ),
            journal::insert_because(&fact, self.reason)?,
        ])
    }
}

/// Keeps touches as evidence, numbered from `from` on; `decided` is the place of the one that decided.
pub(crate) fn keep_touches(customer: &str, from: usize, touches: &[Touch], decided: Option<usize>) -> Stmt {
    let rows: Vec<serde_json::Value> = touches
        .iter()
        .enumerate()
        .map(|(n, t)| {
            json!({"n": from + n, "at_ms": t.at.map(ms), "source": t.source.name(), "partner": t.partner, "click": t.click,
                "given": t.given, "counts": i64::from(t.counts), "decided": i64::from(decided == Some(n))})
        })
        .collect();
    sql!(
        "INSERT INTO touch (customer, n, at_ms, source, partner, click, given, counts, decided)
         SELECT ?1, value->>'n', value->>'at_ms', value->>'source', value->>'partner', value->>'click', value->>'given',
                value->>'counts', value->>'decided' FROM json_each(?2)",
        customer,
        serde_json::Value::Array(rows).to_string(),
    )
}

/// `POST /v1/signups`: idempotent on the customer.
pub(crate) async fn sign_up(
    ServerKey(key): ServerKey,
    State(app): State<App>,
    Body(given): Body<SignUp>,
) -> Result<(StatusCode, Json<SignedUp>), ApiError> {
    let has_control = given.customer_id.chars().any(char::is_control);
    if given.customer_id.trim().is_empty() || given.customer_id.len() > 200 || has_control {
        return Err(invalid("customer_id must be AIKit's id of the customer, 1 to 200 characters."));
    }
    if given.stripe_customer_id.as_ref().is_some_and(|c| c.len() > 200) {
        return Err(invalid("stripe_customer_id has at most 200 characters."));
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
    let touches = touches(&app, &given, signed_up_at).await?;
    let decision = decide(&touches, signed_up_at);
    let mut batch = Vec::new();
    let mut answer = match &decision {
        Ok((n, rule)) => {
            let (id, touch) = (tokens::id(&*app.host, "r"), &touches[*n]);
            let credit = Credit {
                referral: &id,
                partner: &touch.partner,
                email: &email,
                signed_up_at,
                click: touch.click.as_deref(),
                rule: *rule,
                reason: None,
            };
            batch.extend(credit.statements()?);
            SignedUp { partner_code: Some(touch.partner.clone()), referral_id: Some(id), reason: None }
        }
        Err(reason) => SignedUp { referral_id: None, partner_code: None, reason: Some(reason.clone()) },
    };
    batch.push(sql!(
        "INSERT INTO customer (id, stripe_customer, referral, reason, at_ms, signed_up_ms, email) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &given.customer_id,
        stripe_customer(&given),
        answer.referral_id.as_deref(),
        answer.reason.as_deref(),
        ms(now),
        ms(signed_up_at),
        answer.reason.as_ref().map(|_| email.as_str()),
    ));
    batch.push(keep_touches(&given.customer_id, 1, &touches, decision.ok().map(|(n, _)| n)));
    // A Stripe customer that is credited from now on may have paid already: its events wait for it by name.
    let stripe = stripe_customer(&given);
    let names: Vec<String> =
        stripe.filter(|_| answer.referral_id.is_some()).into_iter().map(|c| format!("customer:{c}")).collect();
    match inbox::commit(&app, batch, &names).await {
        Ok(()) => {}
        // Somebody else recorded the same customer meanwhile: theirs is the answer.
        Err(DbError::Constraint(_)) => {
            return match recorded(&app, &given).await? {
                Some(known) => Ok((StatusCode::OK, Json(known))),
                None => Err(conflict(format!(
                    "The Stripe customer {} belongs to another sign-up.",
                    given.stripe_customer_id.unwrap_or_default()
                ))),
            };
        }
        Err(other) => return Err(other.into()),
    }
    if let Some(stripe) = stripe {
        // A code may have been redeemed, or turned out to be redeemed too late, since the touches were looked up.
        let (batch, names) = promotion::reconsider(&app, stripe, None, None).await?;
        inbox::commit(&app, batch, &names).await?;
        if let Some(row) = find(&app, &given.customer_id).await? {
            answer = row.answer();
        }
    }
    if let Some(id) = &answer.referral_id {
        tracing::info!(referral = %id, "sign-up credited");
    }
    let status = if answer.referral_id.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(answer)))
}

fn stripe_customer(given: &SignUp) -> Option<&str> {
    given.stripe_customer_id.as_deref().filter(|c| !c.is_empty())
}

#[derive(Deserialize)]
struct Recorded {
    referral: Option<String>,
    partner: Option<String>,
    reason: Option<String>,
    stripe_customer: Option<String>,
}

impl Recorded {
    fn answer(self) -> SignedUp {
        SignedUp { referral_id: self.referral, partner_code: self.partner, reason: self.reason }
    }
}

async fn find(app: &App, customer: &str) -> Result<Option<Recorded>, ApiError> {
    let query = sql!(
        "SELECT c.referral, r.partner, c.reason, c.stripe_customer FROM customer c
         LEFT JOIN referral r ON r.id = c.referral WHERE c.id = ?1",
        customer,
    );
    Ok(app.db.query(query).await?.first()?)
}

/// What was answered for this customer before. A Stripe customer that comes later is added, with what it redeemed.
async fn recorded(app: &App, given: &SignUp) -> Result<Option<SignedUp>, ApiError> {
    let Some(mut row) = find(app, &given.customer_id).await? else { return Ok(None) };
    if let (None, Some(stripe)) = (&row.stripe_customer, stripe_customer(given)) {
        let mut batch = vec![
            guard(
                "EXISTS (SELECT 1 FROM customer WHERE id = ?1 AND stripe_customer IS NULL)",
                vec![(&given.customer_id).into()],
            ),
            sql!("UPDATE customer SET stripe_customer = ?2 WHERE id = ?1", &given.customer_id, stripe),
        ];
        let (credit, _) = promotion::reconsider(app, stripe, Some(&given.customer_id), None).await?;
        batch.extend(credit);
        let added = inbox::commit(app, batch, &[format!("customer:{stripe}")]).await;
        row = find(app, &given.customer_id).await?.unwrap_or(row);
        match added {
            Ok(()) => {}
            // Somebody else added it meanwhile.
            Err(DbError::Constraint(_)) if row.stripe_customer.as_deref() == Some(stripe) => {}
            Err(DbError::Constraint(_)) => {
                return Err(conflict(format!("The Stripe customer {stripe} belongs to another sign-up.")));
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(Some(row.answer()))
}

/// Looks up everything that a sign-up names: partners that exist, the clicks of its browser, promotion codes.
async fn touches(app: &App, given: &SignUp, signed_up_at: DateTime<Utc>) -> Result<Vec<Touch>, ApiError> {
    let short = |text: &str| text.chars().take(80).collect::<String>();
    let mut touches = match given.click_id.as_deref().and_then(read_uuid) {
        Some(id) => chain(app, &id, signed_up_at).await?,
        None => Vec::new(),
    };
    if let Some(code) = given.ref_code.as_deref()
        && let Some(partner) = known_partner(app, Some(code)).await?
        // The cookie of the newest click is that click.
        && !touches.first().is_some_and(|newest| newest.counts && newest.partner == partner)
    {
        let (at, given) = (given.clicked_at, Some(short(code)));
        touches.push(Touch { at, source: Source::Ref, partner, click: None, given, counts: true });
    }
    if let Some(code) = given.partner_code.as_deref().filter(|c| !c.trim().is_empty()) {
        match known_partner(app, Some(code)).await? {
            Some(partner) => touches.push(Touch {
                at: Some(signed_up_at),
                source: Source::PartnerCode,
                partner,
                click: None,
                given: Some(short(code)),
                counts: true,
            }),
            None => tracing::info!(given = short(code), "a sign-up names a partner code that nobody has"),
        }
    }
    if let Some(stripe) = stripe_customer(given) {
        touches.extend(promotion::redeemed_by(app, stripe).await?);
    }
    Ok(touches)
}

/// The clicks of a browser from one back, the newest first, as far as they are within the window, and one beyond.
async fn chain(app: &App, click: &str, signed_up_at: DateTime<Utc>) -> Result<Vec<Touch>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        partner: String,
        at_ms: i64,
        kind: String,
        given: String,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "WITH RECURSIVE chain (id, partner, at_ms, kind, given, previous, n) AS (
                SELECT id, partner, at_ms, kind, given, previous, 1 FROM click WHERE id = ?1
                UNION ALL
                SELECT c.id, c.partner, c.at_ms, c.kind, c.given, c.previous, chain.n + 1 FROM chain
                JOIN click c ON c.id = chain.previous WHERE chain.n < ?2 AND chain.at_ms >= ?3)
             SELECT id, partner, at_ms, kind, given FROM chain ORDER BY n",
            click,
            CHAIN,
            ms(signed_up_at - WINDOW),
        ))
        .await?
        .all()?;
    let touch = |r: Row| Touch {
        at: Some(at(r.at_ms)),
        source: Source::Click,
        partner: r.partner,
        click: Some(r.id),
        given: Some(r.given),
        counts: r.kind == "person",
    };
    Ok(rows.into_iter().map(touch).collect())
}

/// The partner that a code or a slug means, however it was written.
pub(crate) async fn known_partner(app: &App, given: Option<&str>) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        code: String,
    }
    let Some(given) = given.filter(|g| g.len() <= 200) else { return Ok(None) };
    let query = sql!(
        "SELECT code FROM partner WHERE code = ?1 OR code = (SELECT partner FROM partner_slug WHERE likeness = ?2)
         ORDER BY code = ?1 DESC LIMIT 1",
        read_partner_code(given),
        likeness(given),
    );
    Ok(app.db.glance(query).await?.first::<Row>()?.map(|r| r.code))
}
