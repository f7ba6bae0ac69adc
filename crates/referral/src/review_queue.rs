//! The review queue: referrals that the engine flagged, with everything that is known about them.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use commission::{ClientStatus, Flag, LineStatus, ReferralState, Statement, evaluate};
use serde::Deserialize;
use serde_json::json;
use wire::{Burst, DomainCount, Evidence, PartnerName, PastDecision, Review, ReviewsQuery, ReviewsWaiting};

use crate::auth::Staff;
use crate::error::{ApiError, Params, Segment, not_found};
use crate::tokens::at;
use crate::{App, board, journal, reviews, sql};
use partner::month;

/// Referrals that one answer of the queue holds.
const MOST: usize = 200;
/// Slices of agencies that are computed before the queue is answered. While more are due, all agencies are looked at.
const SLICES: usize = 2;
/// Agencies whose journals are evaluated at once.
const AT_ONCE: usize = 200;
/// Domains of a burst that are named.
const DOMAINS: usize = 8;

/// `GET /v1/reviews-waiting`.
pub(crate) async fn waiting(_: Staff, State(app): State<App>) -> Result<Json<ReviewsWaiting>, ApiError> {
    board::keep_board(&app, SLICES).await?;
    let rows = app.db.query(sql!(
        "SELECT coalesce(sum(under_review), 0) AS referrals, count(*) AS agencies FROM board WHERE under_review > 0"
    ));
    #[derive(Deserialize)]
    struct Row {
        referrals: u32,
        agencies: u32,
    }
    let row: Option<Row> = rows.await?.first()?;
    let (referrals, agencies) = row.map_or((0, 0), |r| (r.referrals, r.agencies));
    Ok(Json(ReviewsWaiting { referrals, agencies }))
}

/// `GET /v1/reviews`: flagged referrals, the oldest first; with `?decided=true` those that are decided, those of the newest
/// decision first.
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Params(asked): Params<ReviewsQuery>,
) -> Result<Json<Vec<Review>>, ApiError> {
    let decided = if asked.decided { Some(newest_decisions(&app, asked.partner.as_deref()).await?) } else { None };
    let agencies = match (&decided, &asked.partner) {
        (_, Some(partner)) => Some(vec![partner.clone()]),
        (Some(decided), None) => Some(decided.agencies.iter().cloned().collect()),
        (None, None) => to_review(&app).await?,
    };
    let statements = statements(&app, agencies).await?;
    let wanted = |r: &ReferralState| {
        asked.flag.is_none_or(|flag| r.flags.contains(&flag))
            && match &decided {
                Some(decided) => r.decision.is_some() && decided.order.contains_key(&r.referral),
                None => r.under_review,
            }
    };
    let mut found: Vec<(&Statement, &ReferralState)> =
        statements.iter().flat_map(|s| s.referrals.iter().map(move |r| (s, r))).filter(|(_, r)| wanted(r)).collect();
    match &decided {
        Some(decided) => found.sort_by_key(|(_, r)| decided.order.get(&r.referral).copied()),
        None => found.sort_by(|(_, a), (_, b)| (a.signed_up_at, &a.referral).cmp(&(b.signed_up_at, &b.referral))),
    }
    found.truncate(MOST);
    with_evidence(&app, &found).await.map(Json)
}

/// Decided referrals, the newest decision first.
struct Decided {
    /// Place of each.
    order: BTreeMap<String, usize>,
    agencies: BTreeSet<String>,
}

async fn newest_decisions(app: &App, partner: Option<&str>) -> Result<Decided, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        partner: String,
    }
    // Three stretches of the index by id: of the facts that are decisions, and no others.
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT r.id, r.partner FROM referral r JOIN (
                SELECT referral, max(seq) AS seq FROM (
                    SELECT referral, seq FROM fact WHERE id >= 'referral_cleared:' AND id < 'referral_cleared;'
                    UNION ALL SELECT referral, seq FROM fact WHERE id >= 'referral_rejected:' AND id < 'referral_rejected;')
                GROUP BY referral) d ON d.referral = r.id
             WHERE ?1 IS NULL OR r.partner = ?1 ORDER BY d.seq DESC LIMIT 1000",
            partner,
        ))
        .await?
        .all()?;
    let agencies = rows.iter().map(|row| row.partner.clone()).collect();
    Ok(Decided { order: rows.into_iter().enumerate().map(|(n, row)| (row.id, n)).collect(), agencies })
}

/// The agencies with something to review; `None`, for all, while the board is behind.
async fn to_review(app: &App) -> Result<Option<Vec<String>>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        partner: String,
    }
    if board::keep_board(app, SLICES).await? > 0 {
        return Ok(None);
    }
    let rows = app.db.query(sql!("SELECT partner FROM board WHERE under_review > 0 ORDER BY partner")).await?;
    Ok(Some(rows.all::<Row>()?.into_iter().map(|row| row.partner).collect()))
}

/// The statements of some agencies, or of all, as they are now.
async fn statements(app: &App, agencies: Option<Vec<String>>) -> Result<Vec<Statement>, ApiError> {
    let Some(agencies) = agencies else {
        return Ok(journal::evaluate_all(app, partner::until(app.host.now()), None).await?.statements);
    };
    let mut all = Vec::new();
    for some in agencies.chunks(AT_ONCE) {
        let codes: Vec<&str> = some.iter().map(String::as_str).collect();
        let facts = journal::recorded(app, Some(&codes), None).await?.facts;
        let as_of = journal::until_just_recorded(app.host.now(), &facts);
        let evaluation = evaluate(&facts, &app.config.terms, as_of).map_err(|error| journal::not_computed(&error))?;
        all.extend(evaluation.statements.into_iter().filter(|s| some.contains(&s.partner)));
    }
    Ok(all)
}

/// `GET /v1/reviews/{referral}`: any referral with its evidence, flagged or not.
pub(crate) async fn one(
    _: Staff,
    State(app): State<App>,
    Segment(referral): Segment,
) -> Result<Json<Review>, ApiError> {
    review(&app, &referral).await.map(Json)
}

/// A referral with its evidence.
pub(crate) async fn review(app: &App, referral: &str) -> Result<Review, ApiError> {
    let partner = reviews::owner(app, referral).await?;
    let facts = journal::partner_facts(app, &partner, None).await?;
    let statement = journal::statement(app, &facts, &partner, journal::until_recorded(app.host.now(), &facts))?;
    let found: Vec<_> =
        statement.referrals.iter().filter(|r| r.referral == referral).map(|r| (&statement, r)).collect();
    let review = with_evidence(app, &found).await?.pop();
    review.ok_or_else(|| not_found("There is no such referral."))
}

#[derive(Deserialize)]
struct ReferralRow {
    id: String,
    rule: String,
    email: String,
    name: String,
    website: String,
    partner_email: String,
    joined_ms: i64,
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

impl TouchRow {
    fn evidence(&self) -> Evidence {
        Evidence {
            at: self.at_ms.map(at),
            source: self.source.clone(),
            partner: self.partner.clone(),
            campaign: self.campaign.clone().filter(|c| !c.is_empty()),
            given: self.given.clone(),
            counts: self.counts != 0,
            decided: self.decided != 0,
        }
    }
}

#[derive(Deserialize)]
struct DecisionRow {
    referral: String,
    at_ms: i64,
    action: String,
    email: Option<String>,
    reason: Option<String>,
}

async fn with_evidence(app: &App, found: &[(&Statement, &ReferralState)]) -> Result<Vec<Review>, ApiError> {
    let ids = json!(found.iter().map(|(_, r)| &r.referral).collect::<Vec<_>>()).to_string();
    let referrals = sql!(
        "SELECT r.id, r.rule, r.email, p.name, p.website, p.email AS partner_email, p.joined_ms
         FROM referral r JOIN partner p ON p.code = r.partner WHERE r.id IN (SELECT value FROM json_each(?1))",
        &ids,
    );
    let touches = sql!(
        "SELECT u.referral, t.at_ms, t.source, t.partner, l.campaign, t.given, t.counts, t.decided
         FROM customer u JOIN touch t ON t.customer = u.id
         LEFT JOIN click c ON c.id = t.click LEFT JOIN link l ON l.id = c.link
         WHERE u.referral IN (SELECT value FROM json_each(?1)) ORDER BY t.at_ms IS NOT NULL, t.at_ms, t.n",
        &ids,
    );
    let decisions = sql!(
        "SELECT substr(a.subject, 10) AS referral, a.at_ms, a.action, p.email, a.reason
         FROM audit a LEFT JOIN person p ON p.id = a.actor
         WHERE a.subject IN (SELECT 'referral:' || value FROM json_each(?1)) ORDER BY a.n DESC",
        &ids,
    );
    let read = app.db.batch(vec![referrals, touches, decisions]).await?;
    let [referrals, touches, decisions] = read.as_slice() else { return Ok(Vec::new()) };
    let (rows, touches, decisions): (Vec<ReferralRow>, Vec<TouchRow>, Vec<DecisionRow>) =
        (referrals.all()?, touches.all()?, decisions.all()?);
    let row_of: BTreeMap<&str, &ReferralRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let reviews = found.iter().filter_map(|(statement, r)| {
        let row = row_of.get(r.referral.as_str())?;
        let mut review = shown(statement, r, row);
        review.touches = touches.iter().filter(|t| t.referral == r.referral).map(TouchRow::evidence).collect();
        let past = |d: &DecisionRow| PastDecision {
            at: at(d.at_ms),
            action: d.action.clone(),
            email: d.email.clone(),
            reason: d.reason.clone(),
        };
        review.decided = decisions.iter().filter(|d| d.referral == r.referral).map(past).collect();
        Some(review)
    });
    Ok(reviews.collect())
}

/// What the engine and the records say of a referral.
fn shown(statement: &Statement, r: &ReferralState, row: &ReferralRow) -> Review {
    let of_it = statement.lines.iter().filter(|l| l.referral.as_ref() == Some(&r.referral));
    let held = of_it.filter(|l| l.status == LineStatus::Held).map(|l| l.amount_minor).sum();
    let burst = r.flags.contains(&Flag::Burst).then(|| burst(statement, r));
    Review {
        referral: r.referral.clone(),
        partner: PartnerName { code: statement.partner.clone(), name: row.name.clone() },
        website: row.website.clone(),
        partner_email: row.partner_email.clone(),
        partner_joined_at: at(row.joined_ms),
        signed_up_at: r.signed_up_at,
        client_domain: r.client_email_domain.clone(),
        client_email: Some(row.email.clone()).filter(|email| !email.is_empty()),
        status: r.status,
        annual_price_minor: r.annual_price_minor,
        first_paid_at: r.first_payment_at,
        flags: r.flags.clone(),
        why: r.flags.iter().map(|flag| in_words(*flag, r, burst.as_ref(), &row.website)).collect(),
        burst,
        under_review: r.under_review,
        decision: r.decision,
        held_minor: held,
        rule: row.rule.clone(),
        touches: Vec::new(),
        decided: Vec::new(),
    }
}

fn in_words(flag: Flag, referral: &ReferralState, burst: Option<&Burst>, website: &str) -> String {
    match flag {
        Flag::SelfReferral => format!(
            "The client's domain, {}, and the agency's website, {website}, belong to one company.",
            referral.client_email_domain.as_deref().unwrap_or_default()
        ),
        Flag::Burst => {
            let (n, name) = burst.map_or((0, ""), |burst| (burst.signups, burst.month.as_str()));
            format!("The agency brought {n} sign-ups in {name}.")
        }
    }
}

/// The month that a referral was flagged with.
fn burst(statement: &Statement, referral: &ReferralState) -> Burst {
    let name = month(referral.signed_up_at);
    let same: Vec<&ReferralState> = statement.referrals.iter().filter(|r| month(r.signed_up_at) == name).collect();
    let mut domains: BTreeMap<&str, u32> = BTreeMap::new();
    for domain in same.iter().filter_map(|r| r.client_email_domain.as_deref()) {
        *domains.entry(domain).or_default() += 1;
    }
    let mut domains: Vec<DomainCount> =
        domains.into_iter().map(|(domain, count)| DomainCount { domain: domain.to_owned(), count }).collect();
    domains.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.domain.cmp(&b.domain)));
    domains.truncate(DOMAINS);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let paying = same.iter().filter(|r| r.status == ClientStatus::Active).count();
    Burst { month: name, signups: count(same.len()), paying: count(paying), domains }
}
