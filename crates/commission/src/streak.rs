//! Streaks of paying, which decide when commission vests (docs/rules.md §5).

use chrono::{DateTime, Duration, Utc};

use crate::model::{Moment, Referral};

/// A time during which a client keeps paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Streak {
    /// When its first invoice was paid.
    pub(crate) started_at: DateTime<Utc>,
    /// When the client left, if it did.
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

impl Streak {
    /// When a streak vests that lasts for so many times 24 hours. Saturates at the end of chrono's years.
    pub(crate) fn vesting_instant(&self, vesting_days: u32) -> DateTime<Utc> {
        let wait = Duration::seconds(i64::from(vesting_days) * 86_400);
        self.started_at.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The streak as it was known at an instant, which is excluded.
    pub(crate) fn known_at(self, as_of: DateTime<Utc>) -> Self {
        Self { ended_at: self.ended_at.filter(|ended_at| *ended_at < as_of), ..self }
    }

    /// Whether the client left before the streak vested.
    pub(crate) fn is_forfeited(&self, vesting_days: u32) -> bool {
        self.ended_at.is_some_and(|ended_at| ended_at < self.vesting_instant(vesting_days))
    }
}

/// All streaks of a referral, and which of them each of its invoices belongs to.
pub(crate) struct Streaks {
    pub(crate) all: Vec<Streak>,
    /// By the position of the invoice in the referral.
    pub(crate) of_invoice: Vec<usize>,
}

/// Where a subscription stands; one that is canceled never becomes active again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Active,
    Canceled,
}

enum Event {
    Start(usize),
    Cancel(usize),
    Invoice(usize),
}

/// Walks a referral's starts, cancellations and invoices in order.
pub(crate) fn streaks(referral: &Referral) -> Streaks {
    let mut events: Vec<(Moment, Event)> = Vec::with_capacity(referral.invoices.len() + 2);
    for (index, subscription) in referral.subscriptions.iter().enumerate() {
        events.push((subscription.started, Event::Start(index)));
        events.extend(subscription.canceled.map(|canceled| (canceled, Event::Cancel(index))));
    }
    events.extend(referral.invoices.iter().enumerate().map(|(index, invoice)| (invoice.moment, Event::Invoice(index))));
    events.sort_by_key(|(moment, _)| *moment);

    let mut all: Vec<Streak> = Vec::new();
    let mut of_invoice = Vec::with_capacity(referral.invoices.len());
    let mut open = false;
    let mut phases = vec![Phase::Before; referral.subscriptions.len()];
    for ((at, _), event) in events {
        match event {
            Event::Start(index) => {
                if phases[index] == Phase::Before {
                    phases[index] = Phase::Active;
                }
            }
            Event::Cancel(index) => {
                phases[index] = Phase::Canceled;
                let is_active = phases.contains(&Phase::Active);
                if let (true, false, Some(streak)) = (open, is_active, all.last_mut()) {
                    streak.ended_at = Some(at);
                    open = false;
                }
            }
            Event::Invoice(index) => {
                let late = phases[referral.invoices[index].subscription as usize] == Phase::Canceled;
                if !open && !late {
                    all.push(Streak { started_at: at, ended_at: None });
                    open = true;
                } else if !open && all.is_empty() {
                    all.push(Streak { started_at: at, ended_at: Some(at) });
                }
                of_invoice.push(all.len() - 1);
            }
        }
    }
    Streaks { all, of_invoice }
}
