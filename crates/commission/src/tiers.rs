//! Who counts, and since when a partner has which rates (docs/rules.md §3, §4).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hashbrown::HashMap;

use crate::calendar::{Quarter, add_months, month_number, whole_months};
use crate::domain::{company_domain, is_of_company};
use crate::model::{Invoice, Partner, Referral, Subscription};
use crate::statement::{ClientStatus, Decision, Flag};
use crate::terms::{Terms, TermsBook};

/// What is known about a referral before any money is computed.
pub(crate) struct Standing<'a> {
    pub(crate) terms: &'a Terms,
    pub(crate) flags: Vec<Flag>,
    pub(crate) under_review: bool,
    pub(crate) rejected: bool,
    pub(crate) eligible: bool,
    pub(crate) first_payment_at: Option<DateTime<Utc>>,
    pub(crate) clock: Option<DateTime<Utc>>,
    /// When the first year ends.
    pub(crate) turn: Option<DateTime<Utc>>,
}

impl Standing<'_> {
    /// The month of tenure that an instant lies in, from 1.
    pub(crate) fn tenure_month(&self, at: DateTime<Utc>) -> Option<u32> {
        self.clock.map(|clock| whole_months(clock, at) + 1)
    }
}

/// The standing of each of a partner's referrals, in the order of `referrals`.
pub(crate) fn standings<'t>(partner: &Partner, referrals: &[&Referral], book: &'t TermsBook) -> Vec<Standing<'t>> {
    let partner_domain = referrals
        .iter()
        .any(|referral| referral.client_email_domain.is_some())
        .then(|| company_domain(partner.website))
        .flatten();
    let mut created_in_month: HashMap<i32, u32> = HashMap::new();
    for referral in referrals {
        *created_in_month.entry(month_number(referral.signed_up_at)).or_default() += 1;
    }
    let standing = |referral: &&Referral| {
        let terms = book.in_force(referral.signed_up_at);
        let mut flags = Vec::new();
        if let (Some(domain), Some(company)) = (referral.client_email_domain, &partner_domain)
            && is_of_company(domain, company)
        {
            flags.push(Flag::SelfReferral);
        }
        if created_in_month[&month_number(referral.signed_up_at)] > terms.burst_per_month {
            flags.push(Flag::Burst);
        }
        let first = referral.invoices.first();
        let clock = first.map(Invoice::starts_at);
        let under_review = !flags.is_empty() && referral.decision.is_none();
        let rejected = referral.decision == Some(Decision::Rejected);
        Standing {
            terms,
            flags,
            under_review,
            rejected,
            eligible: first.is_some() && !under_review && !rejected,
            first_payment_at: first.map(|invoice| invoice.moment.0),
            clock,
            turn: clock.and_then(|clock| add_months(clock, terms.first_year_months)),
        }
    };
    referrals.iter().map(standing).collect()
}

/// Where the client stands at an instant, which is excluded, and the annualised price of its live subscriptions then.
pub(crate) fn client_status(referral: &Referral, as_of: DateTime<Utc>) -> (ClientStatus, i128) {
    let mut begun = referral.subscriptions.iter().filter(|subscription| subscription.started.0 < as_of).peekable();
    if begun.peek().is_none() {
        return (ClientStatus::SignedUp, 0);
    }
    let mut live = begun.filter(|subscription| subscription.is_live(as_of)).peekable();
    let has_paid = referral.invoices.first().is_some_and(|invoice| invoice.moment.0 < as_of);
    let status = match live.peek() {
        None => ClientStatus::Canceled,
        Some(_) if has_paid => ClientStatus::Active,
        Some(_) => ClientStatus::Trial,
    };
    let annual = live.filter_map(|subscription| subscription.price_before(as_of));
    (status, annual.map(|price| price.interval.annualised_minor(price.amount_minor)).sum())
}

/// When a quantity first reached each of its record levels.
#[derive(Clone, Default)]
struct Records(Vec<(i128, DateTime<Utc>)>);

impl Records {
    fn note(&mut self, level: i128, at: DateTime<Utc>) {
        if self.0.last().is_none_or(|&(record, _)| level > record) {
            self.0.push((level, at));
        }
    }

    fn first_reached(&self, needed: i128) -> Option<DateTime<Utc>> {
        let below = self.0.partition_point(|&(record, _)| record < needed);
        self.0.get(below).map(|&(_, at)| at)
    }
}

/// Thresholds that are taken as reached at an instant, or as never reached, whatever the facts say: for asking what
/// reaching them is worth.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Supposed {
    /// A quarter, and when it was reached.
    pub(crate) quarter: Option<(Quarter, Option<DateTime<Utc>>)>,
    /// Since when the partner is platinum.
    pub(crate) platinum: Option<Option<DateTime<Utc>>>,
}

/// The history of a partner's qualifying referrals. It knows no thresholds, so that each referral's own terms can be
/// asked about it.
#[derive(Clone, Default)]
pub(crate) struct Tiers {
    counts: Records,
    annual: Records,
    quarters: BTreeMap<Quarter, (u32, Records)>,
    /// How many referrals qualify now.
    pub(crate) qualifying: u32,
    /// The annualised price of their live subscriptions now.
    pub(crate) annual_minor: i128,
    supposed: Supposed,
}

impl Tiers {
    /// From now on takes these thresholds as reached, or as not reached, and no others.
    pub(crate) fn suppose(&mut self, supposed: Supposed) {
        self.supposed = supposed;
    }

    /// From when on a partner is platinum under these terms.
    pub(crate) fn platinum_since(&self, terms: &Terms) -> Option<DateTime<Utc>> {
        if let Some(since) = self.supposed.platinum {
            return since;
        }
        let by_count = self.counts.first_reached(terms.platinum.referrals_needed.into());
        let by_price = self.annual.first_reached(terms.platinum.arr_minor_needed.into());
        by_count.into_iter().chain(by_price).min()
    }

    /// When a quarter was reached under these terms.
    pub(crate) fn quarter_reached(&self, quarter: Quarter, terms: &Terms) -> Option<DateTime<Utc>> {
        if let Some((_, reached_at)) = self.supposed.quarter.filter(|(supposed, _)| *supposed == quarter) {
            return reached_at;
        }
        let (_, records) = self.quarters.get(&quarter)?;
        records.first_reached(terms.volume.referrals_needed.into())
    }

    /// How many referrals of a quarter qualify now.
    pub(crate) fn qualifying_in(&self, quarter: Quarter) -> u32 {
        self.quarters.get(&quarter).map_or(0, |&(count, _)| count)
    }
}

/// A change of the money kept from a referral, or of its live annualised price.
struct Change {
    at: DateTime<Utc>,
    referral: usize,
    kept_minor: i128,
    annual_minor: i128,
}

/// What one referral adds to the partner's figures at an instant.
#[derive(Default)]
struct Counted {
    kept_minor: i128,
    live_annual_minor: i128,
    qualifies: bool,
    annual_minor: i128,
}

/// Walks through everything that happened to a partner's eligible referrals, instant by instant.
pub(crate) fn tiers(referrals: &[&Referral], standings: &[Standing]) -> Tiers {
    let mut changes = Vec::new();
    for (index, (referral, standing)) in referrals.iter().zip(standings).enumerate() {
        if standing.eligible {
            push_changes(&mut changes, index, referral);
        }
    }
    changes.sort_by_key(|change| change.at);

    let mut tiers = Tiers::default();
    let mut counted: Vec<Counted> = referrals.iter().map(|_| Counted::default()).collect();
    for instant in changes.chunk_by(|a, b| a.at == b.at) {
        for change in instant {
            counted[change.referral].kept_minor += change.kept_minor;
            counted[change.referral].live_annual_minor += change.annual_minor;
        }
        let at = instant[0].at;
        for change in instant {
            let referral = &mut counted[change.referral];
            let qualifies = referral.kept_minor > 0;
            let annual = if qualifies { referral.live_annual_minor } else { 0 };
            tiers.annual_minor += annual - referral.annual_minor;
            referral.annual_minor = annual;
            if qualifies != referral.qualifies {
                referral.qualifies = qualifies;
                let quarter = standings[change.referral].first_payment_at.map(Quarter::of);
                let of_quarter = quarter.map(|quarter| &mut tiers.quarters.entry(quarter).or_default().0);
                for count in of_quarter.into_iter().chain([&mut tiers.qualifying]) {
                    *count = if qualifies { *count + 1 } else { count.saturating_sub(1) };
                }
            }
        }
        tiers.counts.note(tiers.qualifying.into(), at);
        tiers.annual.note(tiers.annual_minor, at);
        for change in instant {
            if let Some(first) = standings[change.referral].first_payment_at
                && let Some((count, records)) = tiers.quarters.get_mut(&Quarter::of(first))
            {
                records.note((*count).into(), at);
            }
        }
    }
    tiers
}

fn push_changes(changes: &mut Vec<Change>, index: usize, referral: &Referral) {
    for invoice in &referral.invoices {
        let paid_at = invoice.moment.0;
        let amount = i128::from(invoice.amount_minor);
        changes.push(Change { at: paid_at, referral: index, kept_minor: amount, annual_minor: 0 });
        let mut returned = 0;
        for step in &invoice.steps {
            let before = returned;
            returned = (returned + i128::from(step.amount_minor)).min(amount);
            // Money cannot be missing before it was there.
            let at = step.moment.0.max(paid_at);
            changes.push(Change { at, referral: index, kept_minor: before - returned, annual_minor: 0 });
        }
    }
    for subscription in &referral.subscriptions {
        push_price_changes(changes, index, subscription);
    }
}

fn push_price_changes(changes: &mut Vec<Change>, referral: usize, subscription: &Subscription) {
    let end = subscription.canceled.map(|(at, _)| at);
    let is_live = |at: DateTime<Utc>| end.is_none_or(|end| at < end);
    let mut annual = 0;
    for price in subscription.prices.iter().filter(|price| is_live(price.from)) {
        let next = price.interval.annualised_minor(price.amount_minor);
        changes.push(Change { at: price.from, referral, kept_minor: 0, annual_minor: next - annual });
        annual = next;
    }
    if let Some(at) = end {
        changes.push(Change { at, referral, kept_minor: 0, annual_minor: -annual });
    }
}
