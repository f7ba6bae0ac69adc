//! For how long a client was paying, and when its commission vests (docs/rules.md §5).

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::referral::{Moment, Referral};

/// A time of uninterrupted paying.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streak {
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) vests_at: DateTime<Utc>,
    /// Whether an invoice joined it after its end.
    pub(crate) is_joined_late: bool,
}

impl Streak {
    /// It ended before it could vest.
    pub(crate) fn is_forfeited(&self) -> bool {
        self.end.is_some_and(|end| end < self.vests_at)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event<'r> {
    Canceled,
    Paid { invoice: &'r str, subscription: &'r str },
}

/// The streak of each invoice of a referral, by the invoice's id.
pub(crate) fn streaks<'r>(referral: &'r Referral) -> BTreeMap<&'r str, Streak> {
    let canceled = referral.subscriptions.iter().filter_map(|subscription| subscription.canceled);
    let paid = referral
        .invoices
        .iter()
        .map(|invoice| (invoice.paid, Event::Paid { invoice: invoice.id, subscription: invoice.subscription }));
    let mut events: Vec<(Moment, Event)> = canceled.map(|at| (at, Event::Canceled)).chain(paid).collect();
    events.sort();

    let mut streaks: Vec<Streak> = Vec::new();
    let mut streak_of: BTreeMap<&str, usize> = BTreeMap::new();
    let begin = |at, end| {
        let vests_at = at + TimeDelta::hours(24 * i64::from(referral.terms.vesting_days));
        Streak { start: at, end, vests_at, is_joined_late: false }
    };
    for (now, event) in events {
        let has_open = streaks.last().is_some_and(|streak| streak.end.is_none());
        match event {
            Event::Canceled => {
                if let Some(last) = streaks.last_mut().filter(|_| has_open && !is_active(referral, now)) {
                    last.end = Some(now.0);
                }
            }
            Event::Paid { invoice, subscription } => {
                match streaks.last_mut() {
                    _ if has_open => {}
                    Some(last) if is_canceled(referral, subscription, now) => last.is_joined_late = true,
                    None if is_canceled(referral, subscription, now) => streaks.push(begin(now.0, Some(now.0))),
                    _ => streaks.push(begin(now.0, None)),
                }
                streak_of.insert(invoice, streaks.len() - 1);
            }
        }
    }
    streak_of.into_iter().map(|(invoice, index)| (invoice, streaks[index])).collect()
}

/// Whether the referral has an active subscription after the fact at `now`.
fn is_active(referral: &Referral, now: Moment) -> bool {
    referral
        .subscriptions
        .iter()
        .any(|subscription| subscription.started <= now && subscription.canceled.is_none_or(|canceled| canceled > now))
}

fn is_canceled(referral: &Referral, subscription: &str, now: Moment) -> bool {
    let canceled = referral.subscription(subscription).and_then(|subscription| subscription.canceled);
    canceled.is_some_and(|canceled| canceled <= now)
}
