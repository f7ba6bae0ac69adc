//! The facts of the coming months, as [`Assumptions`](crate::Assumptions) have them: what is live goes on, clients come
//! and leave. There is no chance in it: the same partner and the same assumptions make the same facts, and a longer
//! future begins with the shorter one.

use chrono::{DateTime, Duration, Utc};

use crate::MAX_AMOUNT_MINOR;
use crate::assumptions::{Checked, WHOLE};
use crate::calendar::{add_months, month_number, whole_months};
use crate::evaluate::Account;
use crate::fact::{Fact, FactBody, Interval};
use crate::model::{Invoice, Referral, Subscription};

/// The calendar months of a forecast.
pub(crate) struct Calendar {
    pub(crate) as_of: DateTime<Utc>,
    /// The beginning of each month, that of `as_of` first, and the end of the last.
    pub(crate) bounds: Vec<DateTime<Utc>>,
}

impl Calendar {
    pub(crate) fn end(&self) -> DateTime<Utc> {
        self.bounds.last().copied().unwrap_or(self.as_of)
    }
}

/// When the payments of a subscription are due.
struct Schedule {
    anchor: DateTime<Utc>,
    /// Months from the anchor to the first payment that is still to come.
    first: u32,
    step: u32,
    amount_minor: i64,
    /// Whether the client has paid before.
    has_paid: bool,
}

/// Makes facts one after the other.
pub(crate) struct Future<'a> {
    checked: &'a Checked<'a>,
    calendar: &'a Calendar,
    /// What all assumed ids begin with, and no known one.
    prefix: String,
    /// The share of clients that are still there after so many months, in parts of 2⁶⁴.
    staying: Vec<u128>,
    pub(crate) facts: Vec<Fact>,
}

impl<'a> Future<'a> {
    /// An empty future. `known` are the partner's facts so far.
    pub(crate) fn new(checked: &'a Checked<'a>, calendar: &'a Calendar, known: &[Fact]) -> Self {
        let mut prefix = "assumed".to_owned();
        let known: Vec<String> = known.iter().map(|fact| serde_json::to_string(fact).unwrap_or_default()).collect();
        while known.iter().any(|fact| fact.contains(&prefix)) {
            prefix.push('+');
        }
        let mut staying = vec![1_u128 << 64];
        for month in 0..checked.months as usize + 12 {
            staying.push(staying[month] * u128::from(WHOLE - checked.churn) / u128::from(WHOLE));
        }
        Self { checked, calendar, prefix, staying, facts: Vec::new() }
    }

    /// What is live goes on at its price.
    pub(crate) fn go_on(&mut self, account: &Account) {
        let as_of = account.as_of;
        let live = |referral: &Referral| referral.subscriptions.iter().any(|subscription| subscription.is_live(as_of));
        let going = account.referrals.iter().filter(|referral| live(referral));
        for (index, referral) in (0_u64..).zip(going) {
            let of_referral = (0_u32..).zip(&referral.subscriptions);
            for (position, subscription) in of_referral.filter(|(_, subscription)| subscription.is_live(as_of)) {
                let paid: Vec<_> =
                    referral.invoices.iter().filter(|invoice| invoice.subscription == position).collect();
                if let Some(schedule) = self.schedule(subscription, &paid) {
                    self.pay(subscription.id, &schedule, index);
                }
            }
        }
    }

    /// New clients come. Were they many, a person would look at them and find them right, so nobody is held for a burst.
    pub(crate) fn grow(&mut self, account: &Account) {
        if self.checked.clients_per_1000_months == 0 {
            return;
        }
        let (as_of, this_month) = (account.as_of, month_number(account.as_of));
        for (referral, standing) in account.referrals.iter().zip(&account.standings) {
            let is_recent = month_number(referral.signed_up_at) == this_month;
            if is_recent && standing.flags.is_empty() && referral.decision.is_none() {
                self.clear(as_of, referral.id);
            }
        }
        let mut chosen = vec![0_u64; self.checked.plans.len()];
        for index in 0_u64.. {
            let Some(at) = self.sign_up(index) else { break };
            let Some(plan) = self.next_plan(index, &mut chosen) else { break };
            let [referral, subscription] =
                ["client", "subscription"].map(|what| format!("{}-{what}-{}", self.prefix, index + 1));
            let created = FactBody::ReferralCreated {
                referral: referral.clone(),
                partner: account.partner.id.to_owned(),
                client_email_domain: None,
            };
            self.push(at, &format!("created-{}", index + 1), created);
            self.clear(at, &referral);
            let plan = &self.checked.plans[plan];
            let (interval, amount_minor) = (plan.interval, plan.amount_minor);
            let started =
                FactBody::SubscriptionStarted { subscription: subscription.clone(), referral, interval, amount_minor };
            self.push(at, &format!("started-{}", index + 1), started);
            let anchor = at + self.trial();
            let schedule = Schedule { anchor, first: 0, step: months_of(interval), amount_minor, has_paid: false };
            self.pay(&subscription, &schedule, index);
        }
    }

    /// The partner is paid.
    pub(crate) fn pay_out(&mut self, at: DateTime<Utc>, partner: &str, amount_minor: i64) {
        // A fact holds no more; whoever is owed that much is paid in parts.
        let mut left = amount_minor;
        for part in 0.. {
            let amount_minor = left.min(MAX_AMOUNT_MINOR);
            if amount_minor <= 0 {
                break;
            }
            let name = format!("payout-{}-{part}", at.format("%Y-%m-%d"));
            let payout = format!("{}-{name}", self.prefix);
            self.push(at, &name, FactBody::PayoutPaid { payout, partner: partner.to_owned(), amount_minor });
            left -= amount_minor;
        }
    }

    fn push(&mut self, at: DateTime<Utc>, name: &str, body: FactBody) {
        self.facts.push(Fact { id: format!("{}-{name}", self.prefix), at, body });
    }

    fn clear(&mut self, at: DateTime<Utc>, referral: &str) {
        let body = FactBody::ReferralCleared { referral: referral.to_owned(), reason: None };
        self.push(at, &format!("cleared-{referral}"), body);
    }

    fn trial(&self) -> Duration {
        Duration::seconds(i64::from(self.checked.trial_days) * 86_400)
    }

    /// When a live subscription pays next: it keeps the rhythm of its payments, and in its trial pays when that is over. What
    /// is overdue is not expected any more.
    fn schedule(&self, subscription: &Subscription, paid: &[&Invoice]) -> Option<Schedule> {
        let as_of = self.calendar.as_of;
        let price = subscription.price_before(as_of).filter(|price| price.amount_minor != 0)?;
        let (step, amount_minor) = (months_of(price.interval), price.amount_minor);
        let (Some(earliest), Some(latest)) = (paid.first(), paid.last()) else {
            let anchor = (subscription.started.0 + self.trial()).max(as_of);
            return Some(Schedule { anchor, first: 0, step, amount_minor, has_paid: false });
        };
        let (earliest, latest, latest_at) = (earliest.starts_at(), latest.starts_at(), latest.moment.0);
        // From the first payment on, where the last is in line with it: the 31st comes back after a February.
        let between = u32::try_from(month_number(latest) - month_number(earliest)).unwrap_or(0);
        let in_line = add_months(earliest, between) == Some(latest);
        let (anchor, between) = if in_line { (earliest, between) } else { (latest, 0) };
        // A price that was changed since begins when what was paid is over.
        let mut first = between + subscription.price_at(latest_at).map_or(step, |price| months_of(price.interval));
        first += whole_months(anchor, as_of).saturating_sub(first).div_ceil(step) * step;
        if add_months(anchor, first)? < as_of {
            first += step;
        }
        Some(Schedule { anchor, first, step, amount_minor, has_paid: true })
    }

    /// The payments of a subscription, until it is canceled or the future ends. Equal clients have different lots.
    fn pay(&mut self, subscription: &str, schedule: &Schedule, client: u64) {
        for payment in 0.. {
            let due = |payment| add_months(schedule.anchor, schedule.first + payment * schedule.step);
            let Some((at, period_end)) = due(payment).zip(due(payment + 1)) else { break };
            if at >= self.calendar.end() {
                break;
            }
            let renewals = payment + u32::from(schedule.has_paid);
            let staying = self.staying[(renewals * schedule.step) as usize];
            if staying <= u128::from(lot(client)) {
                let canceled = FactBody::SubscriptionCanceled { subscription: subscription.to_owned() };
                self.push(at, &format!("canceled-{subscription}"), canceled);
                break;
            }
            let name = format!("paid-{payment}-{subscription}");
            let paid = FactBody::InvoicePaid {
                invoice: format!("{}-{name}", self.prefix),
                subscription: subscription.to_owned(),
                amount_minor: schedule.amount_minor,
                period_start: Some(at),
                period_end: Some(period_end),
            };
            self.push(at, &name, paid);
        }
    }

    /// When the new client of an index signs up, if that is before the end: clients come evenly, the first after half the
    /// time that lies between two. Months count as equally long.
    fn sign_up(&self, index: u64) -> Option<DateTime<Utc>> {
        let Calendar { as_of, bounds } = self.calendar;
        let seconds = |month: usize| Some(i128::from((*bounds.get(month + 1)? - *bounds.get(month)?).num_seconds()));
        let (rate, first_month) = (i128::from(self.checked.clients_per_1000_months), seconds(0)?);
        let passed = i128::from((*as_of - bounds[0]).num_seconds());
        // Months since the first bound, as a fraction.
        let months = passed * 2 * rate + (2 * i128::from(index) + 1) * 1_000 * first_month;
        let whole = 2 * rate * first_month;
        let month = usize::try_from(months / whole).ok()?;
        let into = months % whole * seconds(month)? / whole;
        Some((bounds[month] + Duration::seconds(i64::try_from(into).ok()?)).max(*as_of))
    }

    /// The plan that is furthest behind its share. `chosen` counts what each was chosen so far.
    fn next_plan(&self, index: u64, chosen: &mut [u64]) -> Option<usize> {
        let behind = |plan: usize| {
            let due = (index + 1) * u64::from(self.checked.shares[plan]);
            i128::from(due) - i128::from(chosen[plan] * u64::from(WHOLE))
        };
        // Of several the first.
        let plan = (0..chosen.len()).rev().max_by_key(|plan| behind(*plan))?;
        chosen[plan] += 1;
        Some(plan)
    }
}

fn months_of(interval: Interval) -> u32 {
    match interval {
        Interval::Month => 1,
        Interval::Year => 12,
    }
}

/// The lot of a client, evenly spread over 64 bits: it leaves when the share of those who stay has sunk to its lot. Steps
/// of the golden ratio stay spread whichever clients one picks, and nobody's lot depends on how many others there are.
fn lot(client: u64) -> u64 {
    const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;
    client.wrapping_mul(GOLDEN_RATIO).wrapping_add(1 << 63)
}
