//! What AIKit's partner team decides about a referral: whether it counts, and whom it is credited to.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use commission::{Decision, Fact};
use serde::Deserialize;
use serde_json::json;
use wire::{Account, Because, CreditCustomer, MoveReferral, Review};

use crate::attribution::{Rule, Source, Touch};
use crate::audit::{self, Entry};
use crate::auth::Reviewer;
use crate::db::{Stmt, guard};
use crate::error::{ApiError, Body, Segment, conflict, invalid, not_found, read_reason};
use crate::partners::Decisions;
use crate::review_queue::review;
use crate::signup::{Credit, keep_touches, known_partner};
use crate::tokens::{self, at};
use crate::{App, inbox, journal, promotion, sql};
use partner::deciding;

/// Whom a referral is credited to.
pub(crate) async fn owner(app: &App, referral: &str) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        partner: String,
    }
    let row: Option<Row> = app.db.query(sql!("SELECT partner FROM referral WHERE id = ?1", referral)).await?.first()?;
    row.map(|r| r.partner).ok_or_else(|| not_found("There is no such referral."))
}

/// What was decided about a referral of this agency, so that it is not decided again.
pub(crate) fn decision_of(
    app: &App,
    facts: &[Fact],
    partner: &str,
    referral: &str,
) -> Result<Option<Decision>, ApiError> {
    let statement = journal::statement(app, facts, partner, journal::until_recorded(app.host.now(), facts))?;
    Ok(statement.referrals.iter().find(|r| r.referral == referral).and_then(|r| r.decision))
}

/// `POST /v1/reviews/{referral}/clear`.
pub(crate) async fn clear(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(referral): Segment,
    Body(given): Body<Because>,
) -> Result<Json<Review>, ApiError> {
    settle(&app, account, &referral, Some(Decision::Cleared), &given.reason).await
}

/// `POST /v1/reviews/{referral}/reject`.
pub(crate) async fn reject(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(referral): Segment,
    Body(given): Body<Because>,
) -> Result<Json<Review>, ApiError> {
    settle(&app, account, &referral, Some(Decision::Rejected), &given.reason).await
}

/// `POST /v1/reviews/{referral}/reopen`: as if nobody had decided.
pub(crate) async fn reopen(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(referral): Segment,
    Body(given): Body<Because>,
) -> Result<Json<Review>, ApiError> {
    settle(&app, account, &referral, None, &given.reason).await
}

fn decision_name(decision: Option<Decision>) -> &'static str {
    match decision {
        None => "undecided",
        Some(Decision::Cleared) => "cleared",
        Some(Decision::Rejected) => "rejected",
    }
}

/// The facts that are decisions about a referral.
const DECISIONS: &str = "referral = ?1 AND (id LIKE 'referral_cleared:%' OR id LIKE 'referral_rejected:%' OR id LIKE 'referral_reopened:%')";

/// A later decision takes the place of an earlier one: every decision can be taken back.
async fn settle(
    app: &App,
    account: Account,
    referral: &str,
    decision: Option<Decision>,
    reason: &str,
) -> Result<Json<Review>, ApiError> {
    let (before, reason) = (review(app, referral).await?, read_reason(reason)?);
    if before.decision == decision {
        return Err(conflict(format!("This referral is {} already.", decision_name(decision))));
    }
    let decisions = decisions(app, referral).await?;
    let (name, action) = match decision {
        Some(Decision::Cleared) => ("referral_cleared", "referral.cleared"),
        Some(Decision::Rejected) => ("referral_rejected", "referral.rejected"),
        None => ("referral_reopened", "referral.reopened"),
    };
    let fact = Fact {
        id: format!("{name}:{referral}:{}", decisions.n + 1),
        at: decisions.next_at(app.host.now()),
        body: deciding(referral, decision, Some(reason)),
    };
    let as_before = format!("(SELECT count(*) FROM fact WHERE {DECISIONS}) = ?2");
    let batch = vec![guard(&as_before, vec![referral.into(), decisions.n.into()]), journal::insert(&fact)?];
    let entry = Entry::new(&account.into(), action, format!("referral:{referral}"))
        .before(json!({"decision": decision_name(before.decision), "flags": before.flags}))
        .after(json!({"decision": decision_name(decision)}))
        .reason(reason);
    audit::write(app, batch, &[entry]).await?;
    review(app, referral).await.map(Json)
}

async fn decisions(app: &App, referral: &str) -> Result<Decisions, ApiError> {
    let text = format!("SELECT body->>'at' AS at FROM fact WHERE {DECISIONS}");
    Decisions::of(&app.db.query(Stmt { sql: Cow::Owned(text), params: vec![referral.into()] }).await?)
}

/// The partner that staff names: by its code or slug, as people write it.
async fn named(app: &App, given: &str) -> Result<String, ApiError> {
    let partner = known_partner(app, Some(given)).await?;
    partner.ok_or_else(|| invalid(format!("«{}» is no partner's code.", given.chars().take(60).collect::<String>())))
}

/// `POST /v1/referrals/{referral}/move`: everything about it belongs to the other partner, from its sign-up on.
pub(crate) async fn move_referral(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(referral): Segment,
    Body(given): Body<MoveReferral>,
) -> Result<Json<Review>, ApiError> {
    let (from, reason) = (owner(&app, &referral).await?, read_reason(&given.reason)?);
    let to = named(&app, &given.partner).await?;
    if from == to {
        return Err(conflict(format!("This referral is {to}'s already.")));
    }
    let moves = Decisions::moves_of(&app, &referral).await?;
    let now = app.host.now();
    let mut batch = promotion::moved(&referral, &from, &to, Rule::Staff, moves.next_at(now), moves.n + 1, reason)?;
    if let Some(customer) = customer_of(&app, &referral).await? {
        batch.extend(decided_by_staff(&customer.id, customer.touches, &to, reason, now));
    }
    let entry = Entry::new(&account.into(), "referral.moved", format!("referral:{referral}"))
        .before(json!({"partner": from}))
        .after(json!({"partner": to}))
        .reason(reason);
    audit::write(&app, batch, &[entry]).await?;
    tracing::info!(referral, "a referral was moved");
    review(&app, &referral).await.map(Json)
}

#[derive(Deserialize)]
struct CustomerRow {
    id: String,
    touches: usize,
}

async fn customer_of(app: &App, referral: &str) -> Result<Option<CustomerRow>, ApiError> {
    let query = sql!(
        "SELECT c.id, (SELECT count(*) FROM touch t WHERE t.customer = c.id) AS touches FROM customer c WHERE c.referral = ?1 LIMIT 1",
        referral,
    );
    Ok(app.db.query(query).await?.first()?)
}

/// A person's word is evidence like every other touch, and from now on it is the one that decided.
fn decided_by_staff(customer: &str, touches: usize, partner: &str, reason: &str, now: DateTime<Utc>) -> [Stmt; 2] {
    let touch = Touch {
        at: Some(now),
        source: Source::Staff,
        partner: partner.to_owned(),
        click: None,
        given: Some(reason.to_owned()),
        counts: true,
    };
    [
        sql!("UPDATE touch SET decided = 0 WHERE customer = ?1", customer),
        keep_touches(customer, touches + 1, &[touch], Some(0)),
    ]
}

/// `POST /v1/credits`: a customer whom nobody was credited for, with everything that it has paid since its sign-up.
pub(crate) async fn credit_customer(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Body(given): Body<CreditCustomer>,
) -> Result<(StatusCode, Json<Review>), ApiError> {
    #[derive(Deserialize)]
    struct Row {
        referral: Option<String>,
        stripe_customer: Option<String>,
        signed_up_ms: i64,
        email: Option<String>,
        reason: Option<String>,
        touches: usize,
    }
    let reason = read_reason(&given.reason)?;
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT referral, stripe_customer, coalesce(signed_up_ms, at_ms) AS signed_up_ms, email, reason,
                (SELECT count(*) FROM touch t WHERE t.customer = c.id) AS touches FROM customer c WHERE id = ?1",
            &given.customer_id,
        ))
        .await?
        .first()?;
    let row = row.ok_or_else(|| not_found("No sign-up of such a customer was reported."))?;
    if let Some(referral) = row.referral {
        return Err(conflict(format!(
            "This customer is credited already, as the referral {referral}: move it instead."
        )));
    }
    let email =
        row.email.ok_or_else(|| conflict("The address of this sign-up is not kept any more: report it again."))?;
    let partner = named(&app, &given.partner).await?;
    let referral = tokens::id(&*app.host, "r");
    let credit = Credit {
        referral: &referral,
        partner: &partner,
        email: &email,
        signed_up_at: at(row.signed_up_ms),
        click: None,
        rule: Rule::Staff,
        reason: Some(reason),
    };
    let mut batch = promotion::credited(&given.customer_id, &credit)?;
    batch.extend(decided_by_staff(&given.customer_id, row.touches, &partner, reason, app.host.now()));
    let entry = Entry::new(&account.into(), "referral.credited", format!("referral:{referral}"))
        .before(json!({"partner": null, "reason": row.reason}))
        .after(json!({"partner": partner, "customer": given.customer_id}))
        .reason(reason);
    // What the client has paid until now waits for it by name.
    let names: Vec<String> = row.stripe_customer.into_iter().map(|c| format!("customer:{c}")).collect();
    batch.extend(inbox::known(&names));
    audit::write(&app, batch, &[entry]).await?;
    inbox::read_now(&app).await;
    Ok((StatusCode::CREATED, Json(review(&app, &referral).await?)))
}
