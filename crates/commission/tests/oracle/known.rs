//! Which facts count, and which point at something unknown (docs/rules.md §2).

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Utc};
use commission::{Fact, FactBody};

/// A thing that facts point at: its sort and its id.
pub(crate) type Thing<'a> = (&'static str, &'a str);

/// The facts before `as_of`, each id once, in (`at`, `id`) order.
pub(crate) struct Known<'a> {
    /// Every one of them, whether it has an effect or not.
    pub(crate) all: Vec<&'a Fact>,
    /// Those that have an effect.
    pub(crate) effective: Vec<&'a Fact>,
    /// Those that point at something unknown.
    pub(crate) unmatched: Vec<&'a Fact>,
}

/// Sorts out the facts of a journal, or says why there are none: an id with two contents, or a year
/// that RFC 3339 does not have.
pub(crate) fn known(facts: &[Fact], as_of: DateTime<Utc>) -> Result<Known<'_>, String> {
    for fact in facts {
        if facts.iter().any(|other| other.id == fact.id && other != fact) {
            return Err(format!("{} has two contents", fact.id));
        }
        let period = match &fact.body {
            FactBody::InvoicePaid { period_start, period_end, .. } => [*period_start, *period_end],
            _ => [None, None],
        };
        if period.into_iter().flatten().chain([fact.at]).any(|time| !(0..=9_999).contains(&time.year())) {
            return Err(format!("{} has a time that a journal cannot say", fact.id));
        }
    }
    let mut all: Vec<&Fact> = facts.iter().filter(|fact| fact.at < as_of).collect();
    all.sort_by(|a, b| (a.at, a.id.as_bytes()).cmp(&(b.at, b.id.as_bytes())));
    all.dedup_by(|a, b| a.id == b.id);

    // What is known makes facts effective, and what is effective makes things known: repeated until nothing changes.
    let mut things: BTreeSet<Thing> = BTreeSet::new();
    loop {
        let effective = effective(&all, &things);
        let made: BTreeSet<Thing> = effective.iter().filter_map(|fact| makes_known(&fact.body)).collect();
        if made == things {
            let unmatched = all.iter().copied().filter(|fact| !is_matched(fact, &things)).collect();
            return Ok(Known { all, effective, unmatched });
        }
        things = made;
    }
}

fn is_matched(fact: &Fact, things: &BTreeSet<Thing>) -> bool {
    points_at(&fact.body).iter().all(|thing| things.contains(thing))
}

/// Of the facts that are matched and are not an invoice of 0, the first with each business key.
fn effective<'a>(all: &[&'a Fact], things: &BTreeSet<Thing>) -> Vec<&'a Fact> {
    let can_claim = |fact: &&Fact| {
        let is_empty_invoice = matches!(fact.body, FactBody::InvoicePaid { amount_minor: 0, .. });
        is_matched(fact, things) && !is_empty_invoice
    };
    let mut claimed = BTreeSet::new();
    all.iter().copied().filter(can_claim).filter(|fact| key(&fact.body).is_none_or(|key| claimed.insert(key))).collect()
}

/// The things that must be known for the fact to have an effect.
pub(crate) fn points_at(body: &FactBody) -> Vec<Thing<'_>> {
    match body {
        FactBody::PartnerJoined { .. } => vec![],
        FactBody::PartnerSuspended { partner }
        | FactBody::PartnerReinstated { partner }
        | FactBody::ReferralCreated { partner, .. }
        | FactBody::AdjustmentMade { partner, .. }
        | FactBody::PayoutPaid { partner, .. } => vec![("partner", partner)],
        FactBody::ReferralMoved { referral, partner, .. } => vec![("referral", referral), ("partner", partner)],
        FactBody::ReferralCleared { referral, .. }
        | FactBody::ReferralRejected { referral, .. }
        | FactBody::ReferralReopened { referral, .. }
        | FactBody::SubscriptionStarted { referral, .. } => vec![("referral", referral)],
        FactBody::SubscriptionChanged { subscription, .. }
        | FactBody::SubscriptionCanceled { subscription }
        | FactBody::InvoicePaid { subscription, .. } => vec![("subscription", subscription)],
        FactBody::InvoiceRefunded { invoice, .. } | FactBody::DisputeOpened { invoice, .. } => {
            vec![("invoice", invoice)]
        }
        FactBody::RefundFailed { refund } => vec![("refund", refund)],
        FactBody::DisputeClosed { dispute, .. } => vec![("dispute", dispute)],
        FactBody::PayoutReversed { payout, .. } => vec![("payout", payout)],
    }
}

/// The thing that the fact makes known when it has an effect.
fn makes_known(body: &FactBody) -> Option<Thing<'_>> {
    match body {
        FactBody::PartnerJoined { partner, .. } => Some(("partner", partner)),
        FactBody::ReferralCreated { referral, .. } => Some(("referral", referral)),
        FactBody::SubscriptionStarted { subscription, .. } => Some(("subscription", subscription)),
        FactBody::InvoicePaid { invoice, .. } => Some(("invoice", invoice)),
        FactBody::InvoiceRefunded { refund, .. } => refund.as_deref().map(|refund| ("refund", refund)),
        FactBody::DisputeOpened { dispute, .. } => Some(("dispute", dispute)),
        FactBody::PayoutPaid { payout, .. } => Some(("payout", payout)),
        _ => None,
    }
}

/// The business key that the fact claims: what it makes known, and the two ends that come once.
pub(crate) fn key(body: &FactBody) -> Option<Thing<'_>> {
    match body {
        FactBody::SubscriptionCanceled { subscription } => Some(("cancellation", subscription)),
        FactBody::DisputeClosed { dispute, .. } => Some(("closing", dispute)),
        _ => makes_known(body),
    }
}
