//! A matched journal: who has which referrals, with which subscriptions and invoices. Only facts that count are in it.

use chrono::{DateTime, Utc};

use crate::fact::{Fact, Interval};
use crate::statement::{Decision, Unmatched};

/// The place of a fact among those that count: its time, and how many are before it in the order of times and ids.
pub(crate) type Moment = (DateTime<Utc>, u32);

/// What facts are ordered by: the time, then the id as bytes.
pub(crate) fn moment(fact: &Fact) -> (DateTime<Utc>, &str) {
    (fact.at, &fact.id)
}

/// Every fact that counts, put where it belongs.
pub(crate) struct Matched<'a> {
    /// In the order of their ids.
    pub(crate) partners: Vec<Partner<'a>>,
    /// In the order of their sign-ups; partners refer to them by position.
    pub(crate) referrals: Vec<Referral<'a>>,
    /// What leads to no partner.
    pub(crate) unmatched: Vec<Unmatched>,
}

pub(crate) struct Partner<'a> {
    pub(crate) id: &'a str,
    pub(crate) website: &'a str,
    pub(crate) suspended: bool,
    pub(crate) referrals: Vec<usize>,
    pub(crate) adjustments: Vec<Adjustment<'a>>,
    pub(crate) payouts: Vec<Payout>,
    pub(crate) unmatched: Vec<Unmatched>,
    /// The position of the fact by which it joined.
    pub(crate) joined: u32,
}

pub(crate) struct Adjustment<'a> {
    /// The id of its fact.
    pub(crate) id: &'a str,
    pub(crate) at: DateTime<Utc>,
    pub(crate) amount_minor: i64,
    pub(crate) reason: &'a str,
}

pub(crate) struct Payout {
    pub(crate) amount_minor: i64,
    /// Not capped yet; `i128`, because reversals add up.
    pub(crate) reversed_minor: i128,
}

pub(crate) struct Referral<'a> {
    pub(crate) id: &'a str,
    pub(crate) signed_up_at: DateTime<Utc>,
    pub(crate) client_email_domain: Option<&'a str>,
    pub(crate) decision: Option<Decision>,
    pub(crate) subscriptions: Vec<Subscription<'a>>,
    /// In the order of their moments; none has an amount of 0.
    pub(crate) invoices: Vec<Invoice<'a>>,
    /// The position of the partner that it is credited to.
    pub(crate) owner: usize,
    /// The position of the partner that it was credited to at first.
    pub(crate) first_owner: usize,
    /// The position of the correction that decided.
    pub(crate) last_move: Option<u32>,
}

pub(crate) struct Subscription<'a> {
    pub(crate) id: &'a str,
    pub(crate) started: Moment,
    /// The price from its start on and after each change, in order.
    pub(crate) prices: Vec<Price>,
    pub(crate) canceled: Option<Moment>,
}

#[derive(Clone, Copy)]
pub(crate) struct Price {
    pub(crate) from: DateTime<Utc>,
    pub(crate) interval: Interval,
    pub(crate) amount_minor: i64,
}

impl Subscription<'_> {
    /// The latest start or change at or before an instant.
    pub(crate) fn price_at(&self, at: DateTime<Utc>) -> Option<Price> {
        let begun = self.prices.partition_point(|price| price.from <= at);
        begun.checked_sub(1).map(|last| self.prices[last])
    }

    /// The latest start or change before an instant.
    pub(crate) fn price_before(&self, as_of: DateTime<Utc>) -> Option<Price> {
        let begun = self.prices.partition_point(|price| price.from < as_of);
        begun.checked_sub(1).map(|last| self.prices[last])
    }

    /// Whether it has started before an instant and was not canceled before it.
    pub(crate) fn is_live(&self, as_of: DateTime<Utc>) -> bool {
        self.started.0 < as_of && self.canceled.is_none_or(|(at, _)| at >= as_of)
    }
}

pub(crate) struct Invoice<'a> {
    pub(crate) id: &'a str,
    pub(crate) moment: Moment,
    /// The position of its subscription in the referral.
    pub(crate) subscription: u32,
    pub(crate) amount_minor: i64,
    pub(crate) period_start: Option<DateTime<Utc>>,
    pub(crate) period_end: Option<DateTime<Utc>>,
    /// Refunds and lost disputes, in order.
    pub(crate) steps: Vec<Step<'a>>,
    pub(crate) disputed: bool,
}

impl Invoice<'_> {
    /// What its share, its turn and its month of tenure are reckoned from.
    pub(crate) fn starts_at(&self) -> DateTime<Utc> {
        self.period_start.unwrap_or(self.moment.0)
    }
}

/// Money of an invoice that went back.
pub(crate) struct Step<'a> {
    /// The id of its fact.
    pub(crate) id: &'a str,
    pub(crate) moment: Moment,
    pub(crate) amount_minor: i64,
    pub(crate) dispute: bool,
}
