//! Which facts count, and in which order (docs/rules.md §2).

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use crate::fact::{FactBody, Space};
use crate::model::Moment;
use crate::names::Lend;
use crate::rows::{Row, Rows};

/// A fact that counts.
#[derive(Clone, Copy)]
pub(crate) struct Counting<'r> {
    pub(crate) row: &'r Row,
    /// Where it is in the journal.
    pub(crate) position: u32,
    /// How many facts that count are before it in the order of times and ids.
    pub(crate) rank: u32,
}

impl Counting<'_> {
    pub(crate) fn moment(&self) -> Moment {
        (self.row.at, self.rank)
    }
}

/// What is matched together, after all that it can point at.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Joined,
    Standing,
    Created,
    Decision,
    Move,
    Start,
    Change,
    Cancel,
    Invoice,
    Refund,
    Failure,
    Dispute,
    Closing,
    Adjustment,
    Payout,
    Reversal,
}

impl Kind {
    const COUNT: usize = Self::Reversal as usize + 1;

    fn of<Text>(body: &FactBody<Text>) -> Self {
        match body {
            FactBody::PartnerJoined { .. } => Self::Joined,
            FactBody::PartnerSuspended { .. } | FactBody::PartnerReinstated { .. } => Self::Standing,
            FactBody::ReferralCreated { .. } => Self::Created,
            FactBody::ReferralCleared { .. }
            | FactBody::ReferralRejected { .. }
            | FactBody::ReferralReopened { .. } => Self::Decision,
            FactBody::ReferralMoved { .. } => Self::Move,
            FactBody::SubscriptionStarted { .. } => Self::Start,
            FactBody::SubscriptionChanged { .. } => Self::Change,
            FactBody::SubscriptionCanceled { .. } => Self::Cancel,
            FactBody::InvoicePaid { .. } => Self::Invoice,
            FactBody::InvoiceRefunded { .. } => Self::Refund,
            FactBody::RefundFailed { .. } => Self::Failure,
            FactBody::DisputeOpened { .. } => Self::Dispute,
            FactBody::DisputeClosed { .. } => Self::Closing,
            FactBody::AdjustmentMade { .. } => Self::Adjustment,
            FactBody::PayoutPaid { .. } => Self::Payout,
            FactBody::PayoutReversed { .. } => Self::Reversal,
        }
    }
}

/// The facts that count, by what they are about, each list in order.
pub(crate) struct Sorted<'r> {
    rows: &'r [Row],
    /// The position and the rank of each.
    lists: [Vec<(u32, u32)>; Kind::COUNT],
}

impl<'r> Sorted<'r> {
    /// Puts the facts before `as_of` in order, each once.
    pub(crate) fn new<'a, T: Lend<'a>>(facts: &Rows<'r, T>, as_of: DateTime<Utc>) -> Self {
        let rows = facts.rows;
        let mut order: Vec<(DateTime<Utc>, u32)> = Vec::with_capacity(rows.len());
        order.extend(rows.iter().map(|row| row.at).zip(0_u32..).filter(|(at, _)| *at < as_of));
        let id = |position: u32| rows[position as usize].id;
        let by_id = |a: u32, b: u32| match id(a) == id(b) {
            true => Ordering::Equal,
            false => facts.text(Space::Fact, id(a)).cmp(facts.text(Space::Fact, id(b))),
        };
        order.sort_by(|(at, a), (bt, b)| at.cmp(bt).then_with(|| by_id(*a, *b)));
        order.dedup_by(|(_, a), (_, b)| id(*a) == id(*b));
        let mut counts = [0_usize; Kind::COUNT];
        for row in rows {
            counts[Kind::of(&row.body) as usize] += 1;
        }
        let mut lists = counts.map(Vec::with_capacity);
        for ((_, position), rank) in order.into_iter().zip(0..) {
            lists[Kind::of(&rows[position as usize].body) as usize].push((position, rank));
        }
        Self { rows, lists }
    }

    /// The facts of a kind, in order.
    pub(crate) fn each(&self, kind: Kind) -> impl ExactSizeIterator<Item = Counting<'r>> {
        let rows = self.rows;
        self.lists[kind as usize].iter().map(move |&(position, rank)| Counting {
            row: &rows[position as usize],
            position,
            rank,
        })
    }
}
