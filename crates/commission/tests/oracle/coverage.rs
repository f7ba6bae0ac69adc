//! What the journals must reach: an agreement about journals in which nothing happens would prove little.

use std::collections::BTreeMap;

use crate::answer::Answer;
use crate::journals::Case;
use crate::seen::seen;

/// How many journals had each thing.
#[derive(Default)]
pub(crate) struct Coverage {
    journals: BTreeMap<String, u32>,
}

const FACT_TYPES: [&str; 19] = [
    "partner_joined",
    "partner_suspended",
    "partner_reinstated",
    "referral_created",
    "referral_cleared",
    "referral_rejected",
    "referral_reopened",
    "referral_moved",
    "subscription_started",
    "subscription_changed",
    "subscription_canceled",
    "invoice_paid",
    "invoice_refunded",
    "refund_failed",
    "dispute_opened",
    "dispute_closed",
    "adjustment_made",
    "payout_paid",
    "payout_reversed",
];

const KEYS: [&str; 9] =
    ["partner", "referral", "subscription", "cancellation", "invoice", "refund", "dispute", "closing", "payout"];

const RULES: [&str; 6] =
    ["first_year", "recurring", "platinum_first_year", "platinum_recurring", "volume_bonus", "high_value_bonus"];

const KINDS: [&str; 5] = ["first_year", "recurring", "volume_bonus", "high_value_bonus", "reversal"];

const STATUSES: [&str; 5] = ["void", "forfeited", "held", "pending", "vested"];

/// Everything else that must occur, in the words with which it is seen.
const CASES: [&str; 73] = [
    "a journal is refused",
    "a fact is said twice",
    "a journal of long ago",
    "a journal of a far year",
    "an invoice of 0",
    "a change before its start",
    "a change at the instant of its start, before it",
    "a change at the instant of its start, after it",
    "a cancellation before its start",
    "an invoice before its start",
    "an adjustment is vested",
    "tier platinum",
    "tier standard",
    "suspended with a balance",
    "below the minimum payout",
    "payable",
    "a balance below 0",
    "lines under several terms",
    "terms before the first version",
    "a line as large as a share of the largest amount",
    "reason rejected",
    "reason left_early",
    "reason under_review",
    "reason open_dispute",
    "a line vests at as_of",
    "a line has vested for a nanosecond",
    "a self-referral",
    "a burst",
    "a month one below the burst limit of 10",
    "a month at the burst limit of 10",
    "a month one above the burst limit of 10",
    "a flag settled by clearing",
    "a flag settled by rejecting",
    "a self-referral through a move",
    "a move to another partner with lines",
    "a move back",
    "a move before the sign-up",
    "a clock on 29 February",
    "a turn in a shorter month",
    "a split invoice",
    "a split within a second of the turn",
    "a split with a part of a second",
    "a period across the turn of less than a second",
    "a period before the clock",
    "a month of tenure after the twelfth",
    "a share that ends in a half",
    "a high-value bonus on a later invoice",
    "a high-value bonus after a change",
    "a return before its invoice",
    "a return before its volume bonus is earned",
    "returns beyond the invoice",
    "a refund that failed",
    "a dispute won",
    "a dispute lost",
    "a dispute open",
    "a dispute closed before it was opened",
    "a refund and a lost dispute of one invoice",
    "a streak that ends at once",
    "a streak joined after its end",
    "a streak that ends just before it vests",
    "a streak that ends as it vests",
    "a client that returns",
    "a volume bonus earned later than paid",
    "a volume bonus of the quarter's referrals",
    "a volume bonus of the quarter's invoices",
    "a volume bonus on a recurring invoice",
    "a reached quarter at platinum rates",
    "a client that qualified and does no more",
    "a payout reversed beyond itself",
    "a payout reversed in part",
    "a partner that is platinum since another time under other terms",
    "an invoice at the instant of platinum",
    "platinum kept below its thresholds",
];

/// The edges of the default thresholds, each met exactly, by one too few and by one too many.
const EDGES: [&str; 8] = [
    "four of five referrals of a quarter",
    "five of five referrals of a quarter",
    "six of five referrals of a quarter",
    "nineteen of twenty referrals",
    "twenty of twenty referrals",
    "$49,999.99 of $50,000 a year",
    "$50,000.00 of $50,000 a year",
    "$50,000.01 of $50,000 a year",
];

impl Coverage {
    /// Counts what a case and its answer have.
    pub(crate) fn add(&mut self, case: &Case, answer: &Result<Answer, String>) {
        for what in seen(case, answer) {
            *self.journals.entry(what).or_default() += 1;
        }
    }

    /// Everything that should occur and did so in no journal.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut expected: Vec<String> = CASES.iter().chain(&EDGES).map(|case| (*case).to_owned()).collect();
        for fact in FACT_TYPES {
            expected.push(format!("effective {fact}"));
            if fact != "partner_joined" {
                expected.push(format!("unmatched {fact}"));
            }
        }
        expected.extend(KEYS.map(|key| format!("second claim of a {key}")));
        expected.extend(RULES.iter().flat_map(|rule| [format!("rule {rule}"), format!("reversal of {rule}")]));
        expected.extend(KINDS.iter().flat_map(|kind| STATUSES.map(|status| format!("{kind} is {status}"))));
        // A rejected referral is not eligible, so it has no bonus that could be void.
        expected.retain(|what| what != "volume_bonus is void");
        expected.into_iter().filter(|what| !self.journals.contains_key(what)).collect()
    }

    /// How many journals had each thing, the rarest first.
    pub(crate) fn table(&self) -> String {
        let mut rows: Vec<_> = self.journals.iter().map(|(what, count)| (count, what)).collect();
        rows.sort();
        rows.iter().map(|(count, what)| format!("{count:>7}  {what}\n")).collect()
    }
}
