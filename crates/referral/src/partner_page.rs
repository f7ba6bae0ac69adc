//! One agency as AIKit's own people see it: where it stands, its clients, links and payouts, and what a decision would change.

use axum::Json;
use axum::extract::State;
use commission::{EvaluateError, Fact, FactBody};
use partner::{Ground, Profile, Verdict, client_page, connected_account, in_words, until};
use wire::{
    ClientPage, ClientsQuery, DecisionOutcome, Effect, EffectQuery, Footing, Link, LinksQuery, Outcomes,
    PartnerStanding, Payout,
};

use crate::auth::Staff;
use crate::error::{ApiError, Params, Segment, invalid, not_found};
use crate::partner_list::{self, Row};
use crate::tokens::ms;
use crate::{App, join, journal, links, pages, partners, reviews, sql, sync_rows};

/// An agency with everything that its figures are made of.
struct Known {
    row: Row,
    profile: Profile,
    facts: Vec<Fact>,
}

impl Known {
    async fn load(app: &App, code: &str) -> Result<Known, ApiError> {
        let row = known(app, code).await?;
        let profile = sync_rows::profile(app, &row.code).await?;
        let facts = journal::partner_facts(app, &row.code, None).await?;
        Ok(Known { row, profile, facts })
    }

    fn footing(&self, app: &App, fact: Option<FactBody>) -> Result<Footing, ApiError> {
        let ground = Ground {
            profile: &self.profile,
            terms: &app.config.terms,
            facts: &self.facts,
            open_item: self.row.open > 0,
            now: app.host.now(),
        };
        ground.footing(fact).map_err(|error: EvaluateError| journal::not_computed(&error))
    }
}

/// The agency of that code, or that there is none.
pub(crate) async fn known(app: &App, code: &str) -> Result<Row, ApiError> {
    let row = partner_list::find(app, code).await?;
    row.ok_or_else(|| not_found("There is no such partner."))
}

/// `GET /v1/partners/{partner}`.
pub(crate) async fn one(
    _: Staff,
    State(app): State<App>,
    Segment(code): Segment,
) -> Result<Json<PartnerStanding>, ApiError> {
    standing(&app, &code).await.map(Json)
}

/// Where an agency stands.
pub(crate) async fn standing(app: &App, code: &str) -> Result<PartnerStanding, ApiError> {
    let known = Known::load(app, code).await?;
    let now = app.host.now();
    let statement = journal::statement(app, &known.facts, code, journal::until_recorded(now, &known.facts))?;
    let standing = partner::Standing {
        totals: statement.totals,
        suspended: statement.suspended,
        lines: &statement.lines,
        paid_ever_minor: partner::paid_ever(&known.facts).get(code).copied().unwrap_or(0),
        open_item: known.row.open > 0,
        terms_accepted: known.row.accepted > 0,
        minimum_minor: app.config.terms.in_force(now).minimum_payout_minor,
        has_account: known.row.has_account != 0,
        transfers_active: known.row.transfers == "active",
        rests: known.row.frozen_until_ms.is_some_and(|until| until > ms(now)),
        held_out: false,
    };
    let balance_minor = standing.balance_minor();
    let why_not = match standing.verdict() {
        Verdict::Pay(_) => None,
        Verdict::Not(reason) => Some(in_words(reason, balance_minor, Some(&known.row.name))),
        Verdict::Nothing => Some("Nothing is due.".into()),
    };
    let waiting_minor = standing.waiting_minor();
    let codes = sql!("SELECT id, code FROM promotion_code WHERE partner = ?1 ORDER BY added_ms, id LIMIT 100", code);
    let under_review = statement.referrals.iter().filter(|r| r.under_review).count();
    let under_review = u32::try_from(under_review).unwrap_or(u32::MAX);
    let next_payout = known.footing(app, None)?.next_payout;
    let account = connected_account(&known.profile, now);
    // The row says what was just computed, and not what is kept for lists.
    let mut partner = known.row.partner();
    (partner.balance_minor, partner.waiting_minor) = (Some(balance_minor), Some(waiting_minor));
    partner.under_review = under_review;
    Ok(PartnerStanding {
        tier: statement.tier,
        balance_minor,
        why_not,
        next_payout,
        terms_accepted: partner.terms_accepted,
        accepted: join::accepted(app, code).await?,
        account,
        under_review,
        promotion_codes: app.db.query(codes).await?.all()?,
        totals: statement.totals,
        partner,
    })
}

/// `GET /v1/partners/{partner}/effect`.
pub(crate) async fn effect(
    _: Staff,
    State(app): State<App>,
    Segment(code): Segment,
    Params(asked): Params<EffectQuery>,
) -> Result<Json<Effect>, ApiError> {
    let known = Known::load(&app, &code).await?;
    let partner = code.clone();
    let body = match (asked.suspended, asked.amount_minor) {
        (Some(true), None) => FactBody::PartnerSuspended { partner },
        (Some(false), None) => FactBody::PartnerReinstated { partner },
        (None, Some(amount_minor)) => {
            partners::read_adjustment(amount_minor)?;
            FactBody::AdjustmentMade { partner, amount_minor, reason: "A question.".into() }
        }
        _ => return Err(invalid("Ask for one of two: suspended=true or false, or amount_minor.")),
    };
    Ok(Json(Effect { now: known.footing(&app, None)?, then: known.footing(&app, Some(body))? }))
}

/// `GET /v1/referrals/{referral}/decisions`.
pub(crate) async fn outcomes(
    _: Staff,
    State(app): State<App>,
    Segment(referral): Segment,
) -> Result<Json<Outcomes>, ApiError> {
    let known = Known::load(&app, &reviews::owner(&app, &referral).await?).await?;
    let present = reviews::decision_of(&app, &known.facts, &known.row.code, &referral)?;
    let mut outcomes = Vec::new();
    for decision in [Some(commission::Decision::Cleared), Some(commission::Decision::Rejected), None] {
        if decision != present {
            let then = known.footing(&app, Some(partner::deciding(&referral, decision, None)))?;
            outcomes.push(DecisionOutcome { decision, then });
        }
    }
    Ok(Json(Outcomes { now: known.footing(&app, None)?, outcomes }))
}

/// `GET /v1/partners/{partner}/referrals`.
pub(crate) async fn referrals(
    _: Staff,
    State(app): State<App>,
    Segment(code): Segment,
    Params(asked): Params<ClientsQuery>,
) -> Result<Json<ClientPage>, ApiError> {
    known(&app, &code).await?;
    let now = app.host.now();
    let facts = journal::partner_facts(&app, &code, None).await?;
    let statement = journal::statement(&app, &facts, &code, until(now))?;
    Ok(Json(client_page(&statement, &app.config.terms, &asked, now)))
}

/// `GET /v1/partners/{partner}/links`.
pub(crate) async fn links(
    _: Staff,
    State(app): State<App>,
    Segment(code): Segment,
    Params(asked): Params<LinksQuery>,
) -> Result<Json<Vec<Link>>, ApiError> {
    known(&app, &code).await?;
    links::load(&app, &code, None, asked.archived).await.map(Json)
}

/// `GET /v1/partners/{partner}/payouts`.
pub(crate) async fn payouts(
    _: Staff,
    State(app): State<App>,
    Segment(code): Segment,
) -> Result<Json<Vec<Payout>>, ApiError> {
    known(&app, &code).await?;
    pages::paid(&app, &code).await.map(Json)
}
