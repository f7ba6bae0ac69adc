//! Random books of terms: the default numbers where a journal is made for them, low thresholds elsewhere.

use chrono::{DateTime, TimeDelta, Utc};
use commission::{Terms, TermsBook, VolumeScope};
use rust_decimal::Decimal;

use crate::journals::{Draft, Theme};

/// One to three versions, some of which begin at an instant of the journal or after all of it.
#[expect(clippy::expect_used, reason = "The numbers below are possible.")]
pub(crate) fn book(draft: &mut Draft) -> TermsBook {
    let is_low = match draft.theme {
        Theme::Lives => draft.random.chance(85),
        Theme::Fortune => draft.random.chance(50),
        Theme::Burst | Theme::Quarter | Theme::Crowd | Theme::Revenue => false,
    };
    let from = if draft.random.chance(60) { draft.base } else { draft.shared() };
    let mut versions = vec![if is_low { low(draft, from) } else { Terms { from, ..Terms::default() } }];
    versions[0].minimum_payout_minor = draft.random.pick(&[0, 0, 1, 2_000, 50_000]);
    for number in 1..draft.random.pick(&[1, 1, 2, 3]) {
        let mut next = versions[0].clone();
        next.id = format!("later-{number}");
        next.from = match draft.random.between(1, 3) {
            1 => draft.shared(),
            2 => draft.base + TimeDelta::days(draft.random.between(1, 300)),
            _ => draft.facts[draft.random.index(draft.facts.len())].0,
        };
        deviate(draft, &mut next);
        // Two versions cannot begin together.
        if versions.iter().all(|version| version.from != next.from) {
            versions.push(next);
        }
    }
    TermsBook::new(versions).expect("every number is possible")
}

/// Terms that a few clients reach, with shares that seldom come out even.
fn low(draft: &mut Draft, from: DateTime<Utc>) -> Terms {
    let random = &mut *draft.random;
    let mut terms = Terms {
        from,
        first_year_months: random.pick(&[0, 1, 1, 2, 6, 12, 12]),
        vesting_days: random.pick(&[0, 1, 30, 60, 60]),
        burst_per_month: random.pick(&[0, 1, 2, 10, 10, 10]),
        ..Terms::default()
    };
    terms.volume.referrals_needed = random.pick(&[1, 1, 2, 2, 3]);
    terms.platinum.referrals_needed = random.pick(&[1, 2, 3, 4, 20]);
    terms.platinum.arr_minor_needed = random.pick(&[1, 500_000, 1_000_000, 5_000_000, 5_000_000]);
    terms.high_value.annual_minor_needed = random.pick(&[0, 1_000, 500_000, 500_000, 500_000]);
    terms.high_value.bonus_minor = random.pick(&[50_000, 50_000, 1, 0]);
    if random.chance(40) {
        terms.first_year_rate = random.pick(&[share(333_333, 6), share(5, 1), share(1, 0), share(25, 3)]);
        terms.recurring_rate = random.pick(&[share(5, 1), share(0, 0), share(125, 3), share(1, 6)]);
    }
    scope(draft, &mut terms);
    terms
}

fn share(mantissa: i64, decimals: u32) -> Decimal {
    Decimal::new(mantissa, decimals)
}

fn scope(draft: &mut Draft, terms: &mut Terms) {
    if draft.random.chance(35) {
        terms.volume.scope = VolumeScope::InvoicesOfQuarter;
    }
}

/// Makes a later version differ in a few of its numbers.
fn deviate(draft: &mut Draft, terms: &mut Terms) {
    scope(draft, terms);
    let random = &mut *draft.random;
    for _ in 0..random.between(1, 4) {
        match random.between(1, 8) {
            1 => terms.first_year_rate = share(random.between(0, 100), 2),
            2 => terms.platinum.recurring_rate = share(random.between(0, 1_000), 3),
            3 => terms.volume.bonus_rate = share(random.between(0, 20), 2),
            4 => terms.volume.referrals_needed = terms.volume.referrals_needed.saturating_sub(1).max(1),
            5 => terms.platinum.referrals_needed += 1,
            6 => terms.burst_per_month = random.pick(&[0, 9, 11]),
            7 => terms.minimum_payout_minor = random.pick(&[0, 10_000]),
            _ => terms.vesting_days = random.pick(&[0, 90]),
        }
    }
}
