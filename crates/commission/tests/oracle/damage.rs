//! What goes wrong with journals: facts that are said twice, at odd times, about things that nobody knows.

use commission::{Fact, FactBody, Interval, Outcome};

use crate::journals::Draft;
use crate::known::key;

/// Moves one fact to an instant of another.
pub(crate) fn retime_one(draft: &mut Draft) {
    if draft.random.chance(40) {
        let at = if draft.random.chance(50) { draft.shared() } else { any_fact(draft).0 };
        let index = draft.random.index(draft.facts.len());
        draft.facts[index].0 = at;
    }
}

fn any_fact(draft: &mut Draft) -> (chrono::DateTime<chrono::Utc>, FactBody) {
    let index = draft.random.index(draft.facts.len());
    draft.facts[index].clone()
}

/// Adds a fact of any type whose ids are drawn from few, so that it hits something, contradicts it or hits nothing.
pub(crate) fn add_a_stranger(draft: &mut Draft) {
    if !draft.random.chance(60) {
        return;
    }
    let at = if draft.random.chance(50) { draft.shared() } else { any_fact(draft).0 };
    let random = &mut *draft.random;
    let mut id = |prefix: &str, count: i64| format!("{prefix}{}", random.between(1, count));
    let (partner, referral, subscription) = (id("P", 4), id("r", 6), id("s", 8));
    let (invoice, refund, dispute, payout) = (id("i", 14), id("re", 3), id("d", 3), id("po", 3));
    let interval = random.pick(&[Interval::Month, Interval::Year]);
    let amount_minor = random.pick(&[1, 50, 1_000, 77_777, 600_000]);
    let reason = "a stranger".to_owned();
    let body = match random.between(1, 19) {
        1 => {
            let (name, website) = ("Another".to_owned(), "outlook.com".to_owned());
            FactBody::PartnerJoined { partner, name, website, country: None }
        }
        2 => FactBody::PartnerSuspended { partner },
        3 => FactBody::PartnerReinstated { partner },
        4 => FactBody::ReferralCreated { referral, partner, client_email_domain: None },
        5 => FactBody::ReferralCleared { referral, reason: None },
        6 => FactBody::ReferralRejected { referral, reason: None },
        7 => FactBody::ReferralMoved { referral, partner, reason },
        8 => FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor },
        9 => FactBody::SubscriptionChanged { subscription, interval, amount_minor },
        10 => FactBody::SubscriptionCanceled { subscription },
        11 => FactBody::InvoicePaid { invoice, subscription, amount_minor, period_start: None, period_end: None },
        12 => FactBody::InvoiceRefunded { invoice, amount_minor, refund: Some(refund) },
        13 => FactBody::RefundFailed { refund },
        14 => FactBody::DisputeOpened { dispute, invoice, amount_minor },
        15 => FactBody::DisputeClosed { dispute, outcome: random.pick(&[Outcome::Won, Outcome::Lost]) },
        16 => FactBody::AdjustmentMade { partner, amount_minor: -amount_minor, reason },
        17 => FactBody::PayoutPaid { payout, partner, amount_minor },
        18 => FactBody::ReferralReopened { referral, reason: None },
        _ => FactBody::PayoutReversed { payout, amount_minor: None },
    };
    draft.push(at, body);
}

/// Leaves out one or two facts; what points at them is then unmatched.
pub(crate) fn lose_some(draft: &mut Draft) {
    for _ in 0..draft.random.between(1, 2).min(i64::from(draft.facts.len() > 4) * 2) {
        let index = draft.random.index(draft.facts.len());
        draft.facts.remove(index);
    }
}

/// The facts under ids whose order is not that of the list, some of them said twice, all of them shuffled.
pub(crate) fn facts(draft: &mut Draft) -> Vec<Fact> {
    say_again_differently(draft);
    let mut names: Vec<String> = (0..draft.facts.len()).map(|number| format!("f{number:03}")).collect();
    draft.random.shuffle(&mut names);
    let named = std::mem::take(&mut draft.facts).into_iter().zip(names);
    let mut facts: Vec<Fact> = named.map(|((at, body), id)| Fact { id, at, body }).collect();
    if draft.random.chance(40) {
        for _ in 0..draft.random.between(1, 4) {
            facts.push(draft.random.pick(&facts));
        }
    }
    if draft.random.chance(2) {
        contradict(draft, &mut facts);
    }
    draft.random.shuffle(&mut facts);
    facts
}

/// Claims a few business keys a second time, with another content and at another time or the same.
fn say_again_differently(draft: &mut Draft) {
    if !draft.random.chance(50) {
        return;
    }
    for _ in 0..draft.random.between(1, 4) {
        let (at, mut body) = any_fact(draft);
        if key(&body).is_none() {
            continue;
        }
        let others: Vec<FactBody> = draft.facts.iter().map(|(_, other)| other.clone()).collect();
        let other = draft.random.pick(&others);
        match (&mut body, other) {
            (FactBody::ReferralCreated { partner, .. }, FactBody::PartnerJoined { partner: other, .. })
            | (FactBody::PayoutPaid { partner, .. }, FactBody::PartnerJoined { partner: other, .. }) => {
                *partner = other
            }
            (FactBody::SubscriptionStarted { referral, .. }, FactBody::ReferralCreated { referral: other, .. }) => {
                *referral = other
            }
            (FactBody::InvoicePaid { subscription, .. }, FactBody::SubscriptionStarted { subscription: other, .. }) => {
                *subscription = other
            }
            (
                FactBody::InvoiceRefunded { invoice, .. } | FactBody::DisputeOpened { invoice, .. },
                FactBody::InvoicePaid { invoice: other, .. },
            ) => *invoice = other,
            (FactBody::DisputeClosed { outcome, .. }, _) => *outcome = Outcome::Lost,
            (FactBody::PartnerJoined { website, .. }, _) => *website = "outlook.com".to_owned(),
            (FactBody::InvoicePaid { amount_minor, .. }, _) => *amount_minor = (*amount_minor - 1).max(0),
            _ => {}
        }
        let at = match draft.random.between(1, 3) {
            1 => at,
            2 => draft.shared(),
            _ => any_fact(draft).0,
        };
        draft.push(at, body);
    }
}

/// Gives one id two contents, which makes the whole journal unreadable.
fn contradict(draft: &mut Draft, facts: &mut Vec<Fact>) {
    let mut fact = draft.random.pick(facts);
    fact.at = draft.shared() + chrono::TimeDelta::nanoseconds(7);
    facts.push(fact);
}
