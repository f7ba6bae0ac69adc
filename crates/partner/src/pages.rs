//! An agency's pages, each computed by the engine out of its own facts. Pure.

use chrono::{DateTime, Months, TimeDelta, Utc};
use commission::{ClientStatus, Fact, Line, LineStatus, Reason, Statement, TermsBook};
use url::Url;
use wire::{
    ConnectedAccount, Estimate, Funnel, MonthEarned, NextPayout, NextStep, NextStepKind, NotPaidReason, Overview,
    PartnerName, Payout, Role, Touch,
};

use crate::link::share_url;
use crate::requirements::sentence;
use crate::slice::{ClientRow, Profile, at};
use crate::standing::{Standing, Verdict, in_words, is_payable, month, next_month, not_payable, paid_ever};

/// Months on the overview's chart.
const MONTHS: u32 = 12;
/// Days of the funnel, today included.
const FUNNEL_DAYS: i64 = 90;

/// `as_of` of a page: facts before it count, and what was recorded in this very millisecond should.
pub fn until(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::milliseconds(1)
}

/// The day of an instant, counted from 1970 in UTC.
pub fn day_number(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(86_400)
}

/// First day of the overview's funnel.
pub fn funnel_since(now: DateTime<Utc>) -> i64 {
    day_number(now) - FUNNEL_DAYS + 1
}

/// What an agency's first page is computed from.
pub struct Overviewing<'a> {
    /// The agency.
    pub profile: &'a Profile,
    /// Where the API is reached from outside.
    pub public_url: &'a Url,
    /// All versions.
    pub terms: &'a TermsBook,
    /// Of whoever looks.
    pub role: Role,
    /// Its journal.
    pub facts: &'a [Fact],
    /// Its statement of now ([`until`]).
    pub statement: &'a Statement,
    /// Its statement of the first instant of the next month, as known now.
    pub then: &'a Statement,
    /// A sealed payment of it is neither paid nor void.
    pub open_item: bool,
    /// Clicks by people since [`funnel_since`].
    pub clicks: u32,
    /// Sign-ups since then.
    pub signups: u32,
    /// Links that it ever made.
    pub links: u32,
    /// The newest payout that was sent.
    pub last_payout: Option<Payout>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// An agency's first page.
pub fn overview(of: Overviewing<'_>) -> Overview {
    let (now, profile, statement) = (of.now, of.profile, of.statement);
    let on = next_month(now);
    let terms = of.terms.in_force(now);
    let accepted = profile.accepted.contains(&terms.id);
    let standing = Standing {
        totals: of.then.totals,
        suspended: of.then.suspended,
        lines: &of.then.lines,
        paid_ever_minor: paid_ever(of.facts).get(profile.code.as_str()).copied().unwrap_or(0),
        open_item: of.open_item,
        terms_accepted: accepted,
        minimum_minor: of.terms.in_force(on).minimum_payout_minor,
        has_account: profile.account.is_some(),
        transfers_active: profile.transfers == "active",
        rests: profile.frozen_until_ms.is_some_and(|until| until > on.timestamp_millis()),
        held_out: false,
    };
    // A payment that is on its way is not due again.
    let due_minor = if standing.open_item { 0 } else { standing.balance_minor() };
    let why_not = match standing.verdict() {
        Verdict::Pay(_) => None,
        Verdict::Not(NotPaidReason::NoAccount) if !is_payable(&profile.country) => Some(not_payable(&profile.country)),
        Verdict::Not(reason) => Some(in_words(reason, standing.balance_minor(), None)),
        Verdict::Nothing => {
            Some("Nothing is due yet. Share your link: you earn when a client that you refer pays.".into())
        }
    };
    let paying = statement.referrals.iter().filter(|r| r.status == ClientStatus::Active).count();
    Overview {
        link_url: share_url(of.public_url, profile.slug.as_ref().unwrap_or(&profile.code), None),
        disclosure: terms.disclosure.clone().unwrap_or_default(),
        tier: statement.tier,
        month: month(now),
        estimate: estimate(&statement.lines, now),
        next_payout: NextPayout { on: on.date_naive(), amount_minor: due_minor, why_not },
        totals: statement.totals,
        volume: statement.progress.volume.clone(),
        volume_rate: terms.volume.bonus_rate.to_string(),
        platinum: statement.progress.platinum.clone(),
        months: months(&statement.lines, now),
        funnel: Funnel { clicks: of.clicks, signups: of.signups, paying: u32::try_from(paying).unwrap_or(u32::MAX) },
        action: next_step(&of, accepted),
        partner: PartnerName { code: profile.code.clone(), name: profile.name.clone() },
        last_payout: of.last_payout,
    }
}

/// The single next step. Only an owner can accept terms and connect Stripe.
fn next_step(of: &Overviewing<'_>, accepted: bool) -> Option<NextStep> {
    let profile = of.profile;
    let step = |kind, title: &str, text: String| Some(NextStep { kind, title: title.into(), text });
    if of.statement.suspended {
        let text = "You keep earning, and what you earned is kept, but nothing is paid out until the suspension ends. Write to us if you do not know why.";
        return step(NextStepKind::Suspended, "Your agency is suspended", text.into());
    }
    if !accepted && of.role == Role::Owner {
        let text = "Your rates for clients you have referred stay as they are. Until you accept, commission is counted and not paid.";
        return step(NextStepKind::AcceptTerms, "The partner terms have changed", text.into());
    }
    if profile.transfers != "active" && of.role == Role::Owner && is_payable(&profile.country) {
        return match &profile.account {
            None => step(NextStepKind::Onboarding, "Connect Stripe to be paid", "Commission is already counted. It is paid out once your Stripe account is connected: about five minutes.".into()),
            Some(_) => step(NextStepKind::Onboarding, "Finish your Stripe account", sentence(&profile.requirements, 3)),
        };
    }
    let nothing_yet = of.links == 0 && of.statement.referrals.is_empty();
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

/// Where an agency's payouts go.
pub fn connected_account(profile: &Profile, now: DateTime<Utc>) -> ConnectedAccount {
    let needs = profile.account.is_some() && !profile.requirements.is_empty();
    ConnectedAccount {
        account: profile.account.clone(),
        transfers_active: profile.transfers == "active",
        reaches_bank: profile.payouts_enabled != 0,
        needs: needs.then(|| sentence(&profile.requirements, 3)),
        rests_until: profile.frozen_until_ms.map(at).filter(|until| *until > now),
    }
}

/// What led to the credit of a client, the oldest first; `campaign` is that of the link that was clicked.
pub fn touches(row: &ClientRow, campaign: Option<&str>) -> Vec<Touch> {
    let mut touches = Vec::new();
    if let Some(clicked) = row.click_ms {
        let what = match (campaign.filter(|c| !c.is_empty()), &row.link) {
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
    touches
}
