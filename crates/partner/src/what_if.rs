//! How an agency's next months would go if they went on as the last ones did. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use commission::{Assumptions, Decision, Fact, FactBody, Interval, Plan, ReferralState, Statement};
use rust_decimal::Decimal;

/// What counts as the last months.
const LOOKED_AT: TimeDelta = TimeDelta::days(182);
const MONTHS: u32 = 6;
/// Plans of the mix: the rest is too rare to say anything.
const MOST_PLANS: usize = 4;
/// What is assumed where nothing is known yet: the price that most agencies sell.
const FIRST_PLAN: Plan = Plan { interval: Interval::Month, amount_minor: 50_000, share: Decimal::ONE };

/// What the last half year suggests: how many clients come a month, what they subscribe to, and how many leave. An agency
/// without any is asked about one client a month.
pub fn usual(facts: &[Fact], statement: &Statement, now: DateTime<Utc>) -> Assumptions {
    let since = now - LOOKED_AT;
    let own: BTreeMap<&str, &ReferralState> = statement.referrals.iter().map(|r| (r.referral.as_str(), r)).collect();
    let counts = |r: &&ReferralState| r.decision != Some(Decision::Rejected);
    let new = own.values().filter(|r| counts(r) && r.signed_up_at >= since).count();
    let started = facts.iter().filter_map(|fact| match &fact.body {
        FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor } => {
            let is_own = *amount_minor > 0 && own.get(referral.as_str()).is_some_and(counts);
            is_own.then_some((subscription.as_str(), (*interval, *amount_minor)))
        }
        _ => None,
    });
    let subscriptions: BTreeMap<&str, (Interval, i64)> = started.collect();
    let went = |fact: &&Fact| match &fact.body {
        FactBody::SubscriptionCanceled { subscription } => {
            fact.at >= since && subscriptions.contains_key(subscription.as_str())
        }
        _ => false,
    };
    let gone = u32::try_from(facts.iter().filter(went).count()).unwrap_or(u32::MAX / 32);
    let plans = mix(subscriptions.into_values());
    let live = own.values().filter(|r| r.annual_price_minor > 0).count();
    let clients = u32::try_from(new).unwrap_or(u32::MAX);
    Assumptions {
        new_clients_per_month: match own.is_empty() {
            true => Decimal::ONE,
            false => thousandths(clients, MONTHS, 200_000),
        },
        plans: if plans.is_empty() { vec![FIRST_PLAN] } else { plans },
        // Whoever left within the half year was there for half of it.
        monthly_churn: thousandths(gone * 2, MONTHS * (2 * u32::try_from(live).unwrap_or(u32::MAX / 32) + gone), 1_000),
        ..Assumptions::default()
    }
}

/// `n / of` in thousandths, at most so many of them; nothing of nothing.
fn thousandths(n: u32, of: u32, most: u64) -> Decimal {
    let parts = (u64::from(n) * 1_000).checked_div(u64::from(of)).unwrap_or(0).min(most);
    Decimal::new(i64::try_from(parts).unwrap_or(0), 3).normalize()
}

/// The commonest plans and their shares, which add up to 1.
fn mix(subscriptions: impl Iterator<Item = (Interval, i64)>) -> Vec<Plan> {
    let mut counts: BTreeMap<(u8, i64), u64> = BTreeMap::new();
    for (interval, amount_minor) in subscriptions {
        *counts.entry((u8::from(interval == Interval::Year), amount_minor)).or_default() += 1;
    }
    let mut common: Vec<((u8, i64), u64)> = counts.into_iter().collect();
    common.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    common.truncate(MOST_PLANS);
    let all: u64 = common.iter().map(|(_, count)| count).sum();
    // Whole hundredths, of which each has at least one; what is left over is the commonest's.
    let share = |count: u64| (count * 100).checked_div(all).unwrap_or(0).max(1);
    let others: u64 = common.iter().skip(1).map(|(_, count)| share(*count)).sum();
    let shares = common.iter().enumerate().map(|(n, (_, count))| if n == 0 { 100 - others } else { share(*count) });
    let hundredths = |share: u64| Decimal::new(i64::try_from(share).unwrap_or(0), 2).normalize();
    let plans = common.iter().zip(shares).map(|(((yearly, amount_minor), _), share)| Plan {
        interval: if *yearly == 1 { Interval::Year } else { Interval::Month },
        amount_minor: *amount_minor,
        share: hundredths(share),
    });
    plans.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_add_up_to_one(plans in prop::collection::vec((any::<bool>(), 1_i64..9), 0..60)) {
            let interval = |yearly| if yearly { Interval::Year } else { Interval::Month };
            let mix = mix(plans.iter().map(|(yearly, amount_minor)| (interval(*yearly), *amount_minor)));
            prop_assert!(mix.len() <= MOST_PLANS && mix.is_empty() == plans.is_empty());
            prop_assert!(mix.iter().all(|plan| plan.share > Decimal::ZERO));
            prop_assert!(mix.is_empty() || mix.iter().map(|plan| plan.share).sum::<Decimal>() == Decimal::ONE);
        }
    }

    #[test]
    fn thousandths_are_exact_and_bounded() {
        assert_eq!(thousandths(9, 6, 200_000).to_string(), "1.5");
        assert_eq!(thousandths(0, 0, 1_000), Decimal::ZERO);
        assert_eq!(thousandths(7, 6, 1_000), Decimal::ONE);
    }
}
