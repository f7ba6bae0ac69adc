//! What an agency sees: its overview, clients and payouts, each computed by the engine out of its own facts.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Months, TimeDelta, Utc};
use commission::{ClientStatus, Line, LineKind, LineStatus, Reason, ReferralState, Statement, is_free_mail};
use serde::Deserialize;
use wire::{
    Client, ClientDetail, Estimate, Funnel, MonthEarned, NextPayout, NextStep, NextStepKind, NotPaidReason, Overview,
    PartnerName, Payout, PayoutDetail, PayoutState, Role, Touch,
};

use crate::account::{is_payable, not_payable};
use crate::auth::Partner;
use crate::error::{ApiError, Segment, not_found};
use crate::links::share_url;
use crate::run_decide::{Standing, Verdict, in_words, month, next_month};
use crate::runs::{self, PayoutRow};
use crate::tokens::{at, ms};
use crate::{App, journal, requirements, sql};

/// Months on the overview's chart.
const MONTHS: u32 = 12;
/// Days of the funnel.
const FUNNEL: TimeDelta = TimeDelta::days(90);

#[derive(Deserialize)]
struct Agency {
    name: String,
    slug: Option<String>,
    country: String,
    account: Option<String>,
    transfers: String,
    requirements: String,
    frozen_until_ms: Option<i64>,
    accepted: i64,
    open: i64,
    clicks: u32,
    signups: u32,
    links: u32,
}

/// `GET /v1/overview`.
pub(crate) async fn overview(State(app): State<App>, partner: Partner) -> Result<Json<Overview>, ApiError> {
    let now = app.host.now();
    let agency = agency(&app, &partner.code, now).await?;
    let facts = journal::partner_facts(&app, &partner.code, None).await?;
    let statement = journal::statement(&app, &facts, &partner.code, journal::until(now))?;
    let on = next_month(now);
    let then = journal::statement(&app, &facts, &partner.code, on)?;
    let terms = app.config.terms.in_force(now);
    let standing = Standing {
        totals: then.totals,
        suspended: then.suspended,
        lines: &then.lines,
        paid_ever_minor: journal::paid_ever(&facts).get(partner.code.as_str()).copied().unwrap_or(0),
        open_item: agency.open > 0,
        terms_accepted: agency.accepted > 0,
        minimum_minor: app.config.terms.in_force(on).minimum_payout_minor,
        has_account: agency.account.is_some(),
        transfers_active: agency.transfers == "active",
        rests: agency.frozen_until_ms.is_some_and(|until| until > ms(on)),
        held_out: false,
    };
    // A payment that is on its way is not due again.
    let due_minor = if standing.open_item { 0 } else { standing.balance_minor() };
    let why_not = match standing.verdict() {
        Verdict::Pay(_) => None,
        Verdict::Not(NotPaidReason::NoAccount) if !is_payable(&agency.country) => Some(not_payable(&agency.country)),
        Verdict::Not(reason) => Some(in_words(reason, standing.balance_minor(), None)),
        Verdict::Nothing => {
            Some("Nothing is due yet. Share your link: you earn when a client that you refer pays.".into())
        }
    };
    let last_payout = paid(&app, &partner.code).await?.into_iter().find(|p| p.state == PayoutState::Paid);
    let paying = statement.referrals.iter().filter(|r| r.status == ClientStatus::Active).count();
    Ok(Json(Overview {
        link_url: share_url(&app.config.public_url, agency.slug.as_ref().unwrap_or(&partner.code), None),
        disclosure: terms.disclosure.clone().unwrap_or_default(),
        tier: statement.tier,
        month: month(now),
        estimate: estimate(&statement.lines, now),
        next_payout: NextPayout { on: on.date_naive(), amount_minor: due_minor, why_not },
        last_payout,
        totals: statement.totals,
        volume: statement.progress.volume.clone(),
        volume_rate: terms.volume.bonus_rate.to_string(),
        platinum: statement.progress.platinum.clone(),
        months: months(&statement.lines, now),
        funnel: Funnel {
            clicks: agency.clicks,
            signups: agency.signups,
            paying: u32::try_from(paying).unwrap_or(u32::MAX),
        },
        action: next_step(&agency, partner.role, &statement),
        partner: PartnerName { code: partner.code, name: agency.name },
    }))
}

async fn agency(app: &App, code: &str, now: DateTime<Utc>) -> Result<Agency, ApiError> {
    let row: Option<Agency> = app
        .db
        .query(sql!(
            "SELECT p.name, p.country, p.account, p.transfers, p.requirements, p.frozen_until_ms,
                (SELECT s.slug FROM partner_slug s WHERE s.partner = p.code AND s.ended_ms IS NULL) AS slug,
                EXISTS (SELECT 1 FROM terms_acceptance t WHERE t.partner = p.code AND t.version = ?2) AS accepted,
                EXISTS (SELECT 1 FROM run_item i WHERE i.partner = p.code AND i.sealed = 1 AND i.state NOT IN ('paid', 'void')) AS open,
                (SELECT count(*) FROM click c WHERE c.partner = p.code AND c.kind = 'person' AND c.at_ms >= ?3) AS clicks,
                (SELECT count(*) FROM referral r WHERE r.partner = p.code AND r.signed_up_ms >= ?3) AS signups,
                (SELECT count(*) FROM link l WHERE l.partner = p.code) AS links
             FROM partner p WHERE p.code = ?1",
            code,
            &app.config.terms.in_force(now).id,
            ms(now - FUNNEL),
        ))
        .await?
        .first()?;
    row.ok_or_else(|| not_found("There is no such agency."))
}

/// The single next step. Only an owner can accept terms and connect Stripe.
fn next_step(agency: &Agency, role: Role, statement: &Statement) -> Option<NextStep> {
    let step = |kind, title: &str, text: String| Some(NextStep { kind, title: title.into(), text });
    if statement.suspended {
        let text = "You keep earning, and what you earned is kept, but nothing is paid out until the suspension ends. Write to us if you do not know why.";
        return step(NextStepKind::Suspended, "Your agency is suspended", text.into());
    }
    if agency.accepted == 0 && role == Role::Owner {
        let text = "Your rates for clients you have referred stay as they are. Until you accept, commission is counted and not paid.";
        return step(NextStepKind::AcceptTerms, "The partner terms have changed", text.into());
    }
    if agency.transfers != "active" && role == Role::Owner && is_payable(&agency.country) {
        return match &agency.account {
            None => step(NextStepKind::Onboarding, "Connect Stripe to be paid", "Commission is already counted. It is paid out once your Stripe account is connected: about five minutes.".into()),
            Some(_) => {
                let names: Vec<String> = serde_json::from_str(&agency.requirements).unwrap_or_default();
                step(NextStepKind::Onboarding, "Finish your Stripe account", requirements::sentence(&names, 3))
            }
        };
    }
    let nothing_yet = agency.links == 0 && statement.referrals.is_empty();
    nothing_yet.then(|| NextStep {
        kind: NextStepKind::FirstLink,
        title: "Share your first link".into(),
        text: "Give it a campaign name, so that you can see which recommendation brought the client.".into(),
    })
}

/// What the lines earned in the month of `now` come to.
fn estimate(lines: &[Line], now: DateTime<Utc>) -> Estimate {
    let this_month = month(now);
    let mut e = Estimate::default();
    let (mut reviews, mut disputes) = (0_u32, 0_u32);
    for line in lines.iter().filter(|l| month(l.earned_at) == this_month) {
        match line.status {
            LineStatus::Vested => e.vested_minor += line.amount_minor,
            LineStatus::Pending => {
                e.pending_minor += line.amount_minor;
                e.pending_from = [e.pending_from, line.vests_at].into_iter().flatten().min();
            }
            LineStatus::Held => {
                e.held_minor += line.amount_minor;
                match line.reason {
                    Some(Reason::OpenDispute) => disputes += 1,
                    _ => reviews += 1,
                }
            }
            LineStatus::Forfeited | LineStatus::Void => {}
        }
    }
    e.total_minor = e.vested_minor + e.pending_minor + e.held_minor;
    e.held_reason = match (reviews, disputes) {
        (0, 0) => None,
        (_, 0) => Some("We are reviewing a referral.".into()),
        (0, _) => Some("A client's bank disputes a payment.".into()),
        _ => Some("We are reviewing a referral, and a client's bank disputes a payment.".into()),
    };
    e
}

/// The last twelve months, the oldest first, by the month in which a line was earned.
fn months(lines: &[Line], now: DateTime<Utc>) -> Vec<MonthEarned> {
    let names = (0..MONTHS).rev().filter_map(|back| now.date_naive().checked_sub_months(Months::new(back)));
    names
        .map(|day| {
            let mut m = MonthEarned {
                month: day.format("%Y-%m").to_string(),
                vested_minor: 0,
                pending_minor: 0,
                held_minor: 0,
                forfeited_minor: 0,
            };
            for line in lines.iter().filter(|l| month(l.earned_at) == m.month) {
                match line.status {
                    LineStatus::Vested => m.vested_minor += line.amount_minor,
                    LineStatus::Pending => m.pending_minor += line.amount_minor,
                    LineStatus::Held => m.held_minor += line.amount_minor,
                    LineStatus::Forfeited => m.forfeited_minor += line.amount_minor,
                    LineStatus::Void => {}
                }
            }
            m
        })
        .collect()
}

/// What a client is called: by its domain, unless that says nothing of it.
pub(crate) fn client_name(email_domain: Option<&str>, referral: &str) -> String {
    match email_domain {
        Some(domain) if !is_free_mail(domain) => domain.to_owned(),
        _ => format!("Client {}", referral.get(..8).unwrap_or(referral)),
    }
}

fn client_of(app: &App, r: &ReferralState, statement: &Statement, now: DateTime<Utc>) -> Client {
    let of_client = |l: &&Line| l.referral.as_ref() == Some(&r.referral);
    let earns = |l: &&Line| matches!(l.status, LineStatus::Vested | LineStatus::Pending | LineStatus::Held);
    let of_rate = |l: &&Line| matches!(l.kind, LineKind::FirstYear | LineKind::Recurring);
    let rates = statement.lines.iter().filter(of_client).filter(of_rate);
    let this_month = month(now);
    Client {
        referral: r.referral.clone(),
        name: client_name(r.client_email_domain.as_deref(), &r.referral),
        signed_up_at: r.signed_up_at,
        status: r.status,
        annual_price_minor: r.annual_price_minor,
        tenure_month: r.tenure_month,
        first_year_months: app
            .config
            .terms
            .versions()
            .iter()
            .find(|t| t.id == r.terms)
            .map_or(0, |t| t.first_year_months),
        rate: rates.max_by_key(|l| l.earned_at).and_then(|l| l.rate.clone()),
        turns_recurring_at: r.turns_recurring_at,
        vests_at: r.streak_vests_at,
        flags: r.flags.clone(),
        under_review: r.under_review,
        this_month_minor: statement
            .lines
            .iter()
            .filter(of_client)
            .filter(earns)
            .filter(|l| month(l.earned_at) == this_month)
            .map(|l| l.amount_minor)
            .sum(),
        earned_minor: r.earned_minor,
    }
}

/// `GET /v1/clients`.
pub(crate) async fn clients(State(app): State<App>, partner: Partner) -> Result<Json<Vec<Client>>, ApiError> {
    let now = app.host.now();
    let facts = journal::partner_facts(&app, &partner.code, None).await?;
    let statement = journal::statement(&app, &facts, &partner.code, journal::until(now))?;
    Ok(Json(statement.referrals.iter().rev().map(|r| client_of(&app, r, &statement, now)).collect()))
}

/// `GET /v1/clients/{referral}`.
pub(crate) async fn client(
    State(app): State<App>,
    partner: Partner,
    Segment(referral): Segment,
) -> Result<Json<ClientDetail>, ApiError> {
    let now = app.host.now();
    let facts = journal::partner_facts(&app, &partner.code, None).await?;
    let statement = journal::statement(&app, &facts, &partner.code, journal::until(now))?;
    let found = statement.referrals.iter().find(|r| r.referral == referral);
    let client =
        found.map(|r| client_of(&app, r, &statement, now)).ok_or_else(|| not_found("There is no such client."))?;
    let lines = statement.lines.iter().rev().filter(|l| l.referral.as_ref() == Some(&referral)).cloned().collect();
    Ok(Json(ClientDetail { client, lines, touches: touches(&app, &partner.code, &referral).await? }))
}

async fn touches(app: &App, partner: &str, referral: &str) -> Result<Vec<Touch>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        signed_up_ms: i64,
        rule: String,
        click_ms: Option<i64>,
        link: Option<String>,
        campaign: Option<String>,
    }
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT r.signed_up_ms, r.rule, c.at_ms AS click_ms, c.link, l.campaign FROM referral r
             LEFT JOIN click c ON c.id = r.click LEFT JOIN link l ON l.id = c.link
             WHERE r.id = ?1 AND r.partner = ?2",
            referral,
            partner,
        ))
        .await?
        .first()?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let mut touches = Vec::new();
    if let Some(clicked) = row.click_ms {
        let what = match (row.campaign.filter(|c| !c.is_empty()), row.link) {
            (Some(campaign), _) => format!("Clicked your link «{campaign}»."),
            (None, Some(_)) => "Clicked one of your links.".into(),
            (None, None) => "Clicked your link.".into(),
        };
        touches.push(Touch { at: at(clicked), what });
    }
    let by = match row.rule.as_str() {
        "partner_code" => "Signed up and named your code.",
        "promotion_code" => "Signed up; redeemed your promotion code.",
        "staff" => "Signed up; AIKit's partner team credited it to you.",
        "cookie" => "Signed up with your link's cookie, which lives for 30 days.",
        _ => "Signed up within 30 days of the click.",
    };
    touches.push(Touch { at: at(row.signed_up_ms), what: by.into() });
    Ok(touches)
}

async fn paid(app: &App, partner: &str) -> Result<Vec<Payout>, ApiError> {
    let rows: Vec<PayoutRow> = app
        .db
        .query(sql!(
            "SELECT i.id, r.period, i.amount_minor, i.state, i.transfer, i.paid_at, i.digest,
                (SELECT bank FROM at_bank WHERE transfer = i.transfer) AS bank FROM run_item i JOIN run r ON r.id = i.run
             WHERE i.partner = ?1 AND i.sealed = 1 ORDER BY r.as_of DESC",
            partner,
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// `GET /v1/payouts`.
pub(crate) async fn payouts(State(app): State<App>, partner: Partner) -> Result<Json<Vec<Payout>>, ApiError> {
    paid(&app, &partner.code).await.map(Json)
}

/// `GET /v1/payouts/{item}`.
pub(crate) async fn payout(
    State(app): State<App>,
    partner: Partner,
    Segment(item): Segment,
) -> Result<Json<PayoutDetail>, ApiError> {
    runs::detail(&app, &item, Some(&partner.code)).await.map(Json)
}
