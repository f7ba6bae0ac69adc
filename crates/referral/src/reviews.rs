//! Referrals as AIKit's partner team sees them: the review queue with its evidence, and whom a client is credited to.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use commission::{Decision, Fact, FactBody, Flag, LineStatus, ReferralState, Statement};
use serde::Deserialize;
use serde_json::json;
use wire::{Account, Because, CreditCustomer, Evidence, MoveReferral, PartnerName, Review};

use crate::attribution::{Rule, Source, Touch};
use crate::audit::{self, Entry};
use crate::auth::{Reviewer, Staff};
use crate::db::guard;
use crate::error::{ApiError, Body, Params, Segment, conflict, invalid, not_found, read_reason};
use crate::partners::Decisions;
use crate::signup::{Credit, keep_touches, known_partner};
use crate::tokens::{self, at};
use crate::{App, inbox, journal, promotion, sql};
use partner::month;

/// Referrals that one answer of the queue holds.
const MOST: usize = 200;

/// Which part of the queue.
#[derive(Deserialize, utoipa::IntoParams)]
pub(crate) struct Asked {
    /// Those that are decided, and not those that wait.
    #[serde(default)]
    decided: bool,
}

/// `GET /v1/reviews`: flagged referrals, the oldest first; with `?decided=true` those that are decided, the newest first.
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Params(asked): Params<Asked>,
) -> Result<Json<Vec<Review>>, ApiError> {
    let evaluation = journal::evaluate_all(&app, partner::until(app.host.now()), None).await?;
    let mut found: Vec<(&Statement, &ReferralState)> = evaluation
        .statements
        .iter()
        .flat_map(|s| s.referrals.iter().map(move |r| (s, r)))
        .filter(|(_, r)| if asked.decided { r.decision.is_some() } else { r.under_review })
        .collect();
    found.sort_by(|(_, a), (_, b)| (a.signed_up_at, &a.referral).cmp(&(b.signed_up_at, &b.referral)));
    if asked.decided {
        found.reverse();
    }
    found.truncate(MOST);
    with_evidence(&app, &found).await.map(Json)
}

/// `GET /v1/reviews/{referral}`: any referral with its evidence, flagged or not.
pub(crate) async fn one(
    _: Staff,
    State(app): State<App>,
    Segment(referral): Segment,
) -> Result<Json<Review>, ApiError> {
    review(&app, &referral).await.map(Json)
}

async fn owner(app: &App, referral: &str) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        partner: String,
    }
    let row: Option<Row> = app.db.query(sql!("SELECT partner FROM referral WHERE id = ?1", referral)).await?.first()?;
    row.map(|r| r.partner).ok_or_else(|| not_found("There is no such referral."))
}

async fn review(app: &App, referral: &str) -> Result<Review, ApiError> {
    let partner = owner(app, referral).await?;
    let facts = journal::partner_facts(app, &partner, None).await?;
    let statement = journal::statement(app, &facts, &partner, journal::until_recorded(app.host.now(), &facts))?;
    let found: Vec<_> =
        statement.referrals.iter().filter(|r| r.referral == referral).map(|r| (&statement, r)).collect();
    let review = with_evidence(app, &found).await?.pop();
    review.ok_or_else(|| not_found("There is no such referral."))
}

async fn with_evidence(app: &App, found: &[(&Statement, &ReferralState)]) -> Result<Vec<Review>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        rule: String,
        name: String,
        website: String,
    }
    #[derive(Deserialize)]
    struct TouchRow {
        referral: String,
        at_ms: Option<i64>,
        source: String,
        partner: String,
        campaign: Option<String>,
        given: Option<String>,
        counts: i64,
        decided: i64,
    }
    let ids = json!(found.iter().map(|(_, r)| &r.referral).collect::<Vec<_>>()).to_string();
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT r.id, r.rule, p.name, p.website FROM referral r JOIN partner p ON p.code = r.partner
             WHERE r.id IN (SELECT value FROM json_each(?1))",
            &ids,
        ))
        .await?
        .all()?;
    let touches: Vec<TouchRow> = app
        .db
        .query(sql!(
            "SELECT u.referral, t.at_ms, t.source, t.partner, l.campaign, t.given, t.counts, t.decided
             FROM customer u JOIN touch t ON t.customer = u.id
             LEFT JOIN click c ON c.id = t.click LEFT JOIN link l ON l.id = c.link
             WHERE u.referral IN (SELECT value FROM json_each(?1)) ORDER BY t.at_ms IS NOT NULL, t.at_ms, t.n",
            &ids,
        ))
        .await?
        .all()?;
    let evidence = |t: &TouchRow| Evidence {
        at: t.at_ms.map(at),
        source: t.source.clone(),
        partner: t.partner.clone(),
        campaign: t.campaign.clone().filter(|c| !c.is_empty()),
        given: t.given.clone(),
        counts: t.counts != 0,
        decided: t.decided != 0,
    };
    let reviews = found.iter().filter_map(|(statement, r)| {
        let row = rows.iter().find(|row| row.id == r.referral)?;
        let held = statement
            .lines
            .iter()
            .filter(|l| l.referral.as_ref() == Some(&r.referral) && l.status == LineStatus::Held)
            .map(|l| l.amount_minor)
            .sum();
        Some(Review {
            referral: r.referral.clone(),
            partner: PartnerName { code: statement.partner.clone(), name: row.name.clone() },
            website: row.website.clone(),
            signed_up_at: r.signed_up_at,
            client_domain: r.client_email_domain.clone(),
            flags: r.flags.clone(),
            why: r.flags.iter().map(|flag| in_words(*flag, r, statement, &row.website)).collect(),
            under_review: r.under_review,
            decision: r.decision,
            held_minor: held,
            rule: row.rule.clone(),
            touches: touches.iter().filter(|t| t.referral == r.referral).map(evidence).collect(),
        })
    });
    Ok(reviews.collect())
}

fn in_words(flag: Flag, referral: &ReferralState, statement: &Statement, website: &str) -> String {
    match flag {
        Flag::SelfReferral => format!(
            "The client's domain, {}, and the agency's website, {website}, belong to one company.",
            referral.client_email_domain.as_deref().unwrap_or_default()
        ),
        Flag::Burst => {
            let name = month(referral.signed_up_at);
            let n = statement.referrals.iter().filter(|r| month(r.signed_up_at) == name).count();
            format!("The agency brought {n} sign-ups in {name}.")
        }
    }
}

/// `POST /v1/reviews/{referral}/clear`.
pub(crate) async fn clear(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(referral): Segment,
    Body(given): Body<Because>,
) -> Result<Json<Review>, ApiError> {
    settle(&app, account, &referral, Decision::Cleared, &given.reason).await
}

/// `POST /v1/reviews/{referral}/reject`.
pub(crate) async fn reject(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(referral): Segment,
    Body(given): Body<Because>,
) -> Result<Json<Review>, ApiError> {
    settle(&app, account, &referral, Decision::Rejected, &given.reason).await
}

fn decision_name(decision: Option<Decision>) -> &'static str {
    match decision {
        None => "undecided",
        Some(Decision::Cleared) => "cleared",
        Some(Decision::Rejected) => "rejected",
    }
}

/// A later decision takes the place of an earlier one: every decision can be taken back.
async fn settle(
    app: &App,
    account: Account,
    referral: &str,
    decision: Decision,
    reason: &str,
) -> Result<Json<Review>, ApiError> {
    let (before, reason) = (review(app, referral).await?, read_reason(reason)?);
    if before.decision == Some(decision) {
        return Err(conflict(format!("This referral is {} already.", decision_name(Some(decision)))));
    }
    let decisions = decisions(app, referral).await?;
    let (about, why) = (referral.to_owned(), Some(reason.to_owned()));
    let (name, action, body) = match decision {
        Decision::Cleared => {
            ("referral_cleared", "referral.cleared", FactBody::ReferralCleared { referral: about, reason: why })
        }
        Decision::Rejected => {
            ("referral_rejected", "referral.rejected", FactBody::ReferralRejected { referral: about, reason: why })
        }
    };
    let fact =
        Fact { id: format!("{name}:{referral}:{}", decisions.n + 1), at: decisions.next_at(app.host.now()), body };
    let batch = vec![
        guard(
            "(SELECT count(*) FROM fact WHERE referral = ?1 AND (id LIKE 'referral_cleared:%' OR id LIKE 'referral_rejected:%')) = ?2",
            vec![referral.into(), decisions.n.into()],
        ),
        journal::insert(&fact)?,
    ];
    let entry = Entry::new(&account.into(), action, format!("referral:{referral}"))
        .before(json!({"decision": decision_name(before.decision), "flags": before.flags}))
        .after(json!({"decision": decision_name(Some(decision))}))
        .reason(reason);
    audit::write(app, batch, &[entry]).await?;
    review(app, referral).await.map(Json)
}

async fn decisions(app: &App, referral: &str) -> Result<Decisions, ApiError> {
    let query = sql!(
        "SELECT body->>'at' AS at FROM fact
         WHERE referral = ?1 AND (id LIKE 'referral_cleared:%' OR id LIKE 'referral_rejected:%')",
        referral,
    );
    Decisions::of(&app.db.query(query).await?)
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
fn decided_by_staff(
    customer: &str,
    touches: usize,
    partner: &str,
    reason: &str,
    now: DateTime<Utc>,
) -> [crate::db::Stmt; 2] {
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
