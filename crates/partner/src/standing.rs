//! Whether an agency is paid, how much, and why not. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Months, NaiveDate, NaiveTime, Utc};
use commission::{Fact, FactBody, Line, LineStatus, Reason, Totals, format_minor};
use wire::NotPaidReason;

/// What a run knows about one partner.
pub struct Standing<'a> {
    /// The totals of its statement at the run's `as_of` and `cut`.
    pub totals: Totals,
    /// It earns and is not paid.
    pub suspended: bool,
    /// The lines of that statement, which matter only when nothing is due.
    pub lines: &'a [Line],
    /// Every payout that was not reversed, whatever its date.
    pub paid_ever_minor: i64,
    /// A payment of another sealed run is neither paid nor void.
    pub open_item: bool,
    /// The terms in force are accepted.
    pub terms_accepted: bool,
    /// Smallest payout under the terms in force.
    pub minimum_minor: i64,
    /// There is a connected account.
    pub has_account: bool,
    /// Stripe's transfers capability is active.
    pub transfers_active: bool,
    /// It left its account for another a short time ago.
    pub rests: bool,
    /// Finance holds it out of the run.
    pub held_out: bool,
}

/// What a run does about one partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Pay this much, above zero.
    Pay(i64),
    /// Do not, for the first condition that is not met.
    Not(NotPaidReason),
    /// Nothing is due and nothing waits.
    Nothing,
}

impl Standing<'_> {
    /// Vested and not paid.
    pub fn balance_minor(&self) -> i64 {
        self.totals.vested.saturating_sub(self.paid_ever_minor)
    }

    /// Held or pending.
    pub fn waiting_minor(&self) -> i64 {
        self.totals.held.saturating_add(self.totals.pending)
    }

    /// The decision.
    pub fn verdict(&self) -> Verdict {
        use NotPaidReason as Why;
        let balance = self.balance_minor();
        let held_for = |reason| self.lines.iter().any(|l| l.status == LineStatus::Held && l.reason == Some(reason));
        let first_unmet = if balance < 0 {
            Why::Debt
        } else if balance == 0 && held_for(Reason::UnderReview) {
            Why::UnderReview
        } else if balance == 0 && held_for(Reason::OpenDispute) {
            Why::Held
        } else if balance == 0 && self.totals.pending != 0 {
            Why::Pending
        } else if balance == 0 {
            return Verdict::Nothing;
        } else if self.suspended {
            Why::Suspended
        } else if balance < self.minimum_minor {
            Why::BelowMinimum
        } else if self.open_item {
            Why::OpenItem
        } else if !self.terms_accepted {
            Why::TermsNotAccepted
        } else if !self.has_account {
            Why::NoAccount
        } else if !self.transfers_active {
            Why::TransfersInactive
        } else if self.rests {
            Why::AccountReplaced
        } else if self.held_out {
            Why::HeldOut
        } else {
            return Verdict::Pay(balance);
        };
        Verdict::Not(first_unmet)
    }
}

/// The condition in words: for finance (`name` is the agency's) or for the agency itself (`name` is absent).
pub fn in_words(reason: NotPaidReason, balance_minor: i64, name: Option<&str>) -> String {
    let amount = format_minor(balance_minor.saturating_abs());
    let (who, whose) = match name {
        Some(name) => (name.to_string(), "its"),
        None => ("You".into(), "your"),
    };
    let s = if name.is_some() { "s" } else { "" };
    match reason {
        NotPaidReason::Suspended => format!("{who} earn{s} but cannot be paid while {whose} account is suspended."),
        NotPaidReason::Debt => format!(
            "{amount} that was paid has come back since, by refunds or disputes. It is recovered from the next commission."
        ),
        NotPaidReason::UnderReview => "A referral waits for our review; its commission is held until then.".into(),
        NotPaidReason::Held => {
            "A client's bank disputes a payment; its commission is held until the bank decides.".into()
        }
        NotPaidReason::Pending => {
            "Nothing has vested yet: commission vests once a client has been paying for 60 days.".into()
        }
        NotPaidReason::BelowMinimum => {
            format!("{amount} is below the minimum payout and is carried to the next month.")
        }
        NotPaidReason::OpenItem => "A payout of an earlier month is still being settled.".into(),
        NotPaidReason::TermsNotAccepted => format!("{who} must accept the current terms before the next payout."),
        NotPaidReason::NoAccount => format!("{amount} waits: {whose} Stripe account is not connected yet."),
        NotPaidReason::TransfersInactive => {
            format!("{amount} waits: Stripe still needs something before {whose} account can receive transfers.")
        }
        NotPaidReason::AccountReplaced => {
            format!("{amount} waits: {whose} Stripe account was replaced, and nothing is paid for 72 hours after that.")
        }
        NotPaidReason::HeldOut => format!("{amount} is held out of this run by finance."),
    }
}

/// First instant of the month after `period` (`2026-10`), in UTC: facts before it belong to the period.
pub fn as_of(period: &str) -> Option<DateTime<Utc>> {
    let well_formed = period.len() == 7 && period.is_ascii();
    let first = NaiveDate::parse_from_str(&format!("{period}-01"), "%Y-%m-%d").ok().filter(|_| well_formed)?;
    Some(first.checked_add_months(Months::new(1))?.and_time(NaiveTime::MIN).and_utc())
}

/// The month of an instant, `2026-10`.
pub fn month(at: DateTime<Utc>) -> String {
    at.format("%Y-%m").to_string()
}

/// First instant of the month that follows `now`.
pub fn next_month(now: DateTime<Utc>) -> DateTime<Utc> {
    as_of(&month(now)).unwrap_or(now)
}

/// Where Stripe pays out to from a platform there (self-serve cross-border payouts: US, UK, EEA, CA, CH).
const PAYABLE: [&str; 34] = [
    "US", "GB", "CA", "CH", "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IS", "IE",
    "IT", "LV", "LI", "LT", "LU", "MT", "NL", "NO", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
];

/// Whether Stripe can pay out to a country.
pub fn is_payable(country: &str) -> bool {
    PAYABLE.contains(&country)
}

/// What an agency is told where it cannot.
pub fn not_payable(country: &str) -> String {
    format!(
        "You can refer and earn from {country}, but Stripe cannot pay out to it yet: your balance waits until it can."
    )
}

/// Everything paid and not reversed by partner, whenever it was paid: what a run must subtract. A repeated payout counts
/// once, and reversals of a payout add up to it at most (docs/rules.md §1, §2).
pub fn paid_ever(facts: &[Fact]) -> BTreeMap<&str, i64> {
    let mut left_of: BTreeMap<&str, (&str, i64)> = BTreeMap::new();
    for fact in facts {
        if let FactBody::PayoutPaid { payout, partner, amount_minor } = &fact.body {
            left_of.entry(payout).or_insert((partner, *amount_minor));
        }
    }
    for fact in facts {
        if let FactBody::PayoutReversed { payout, amount_minor } = &fact.body
            && let Some((_, left)) = left_of.get_mut(payout.as_str())
        {
            *left = left.saturating_sub(amount_minor.unwrap_or(*left)).max(0);
        }
    }
    let mut paid = BTreeMap::new();
    for (partner, left) in left_of.into_values() {
        let sum: &mut i64 = paid.entry(partner).or_default();
        *sum = sum.saturating_add(left);
    }
    paid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unmet_condition_is_named() {
        let good = || Standing {
            totals: Totals { vested: 10_000, ..Totals::default() },
            suspended: false,
            lines: &[],
            paid_ever_minor: 4_000,
            open_item: false,
            terms_accepted: true,
            minimum_minor: 0,
            has_account: true,
            transfers_active: true,
            rests: false,
            held_out: false,
        };
        assert_eq!(good().verdict(), Verdict::Pay(6_000));
        let table = [
            (Standing { paid_ever_minor: 10_001, ..good() }, Verdict::Not(NotPaidReason::Debt)),
            (Standing { paid_ever_minor: 10_000, ..good() }, Verdict::Nothing),
            (Standing { suspended: true, minimum_minor: 6_001, ..good() }, Verdict::Not(NotPaidReason::Suspended)),
            (Standing { minimum_minor: 6_001, ..good() }, Verdict::Not(NotPaidReason::BelowMinimum)),
            (Standing { minimum_minor: 6_000, ..good() }, Verdict::Pay(6_000)),
            (Standing { open_item: true, terms_accepted: false, ..good() }, Verdict::Not(NotPaidReason::OpenItem)),
            (
                Standing { terms_accepted: false, has_account: false, ..good() },
                Verdict::Not(NotPaidReason::TermsNotAccepted),
            ),
            (
                Standing { has_account: false, transfers_active: false, ..good() },
                Verdict::Not(NotPaidReason::NoAccount),
            ),
            (
                Standing { transfers_active: false, rests: true, ..good() },
                Verdict::Not(NotPaidReason::TransfersInactive),
            ),
            (Standing { rests: true, held_out: true, ..good() }, Verdict::Not(NotPaidReason::AccountReplaced)),
            (Standing { held_out: true, ..good() }, Verdict::Not(NotPaidReason::HeldOut)),
        ];
        for (standing, verdict) in table {
            assert_eq!(standing.verdict(), verdict);
        }
        let waits = Totals { pending: 500, ..Totals::default() };
        let pending = Standing { totals: waits, paid_ever_minor: 0, ..good() };
        assert_eq!(pending.verdict(), Verdict::Not(NotPaidReason::Pending));
    }

    #[test]
    fn a_period_ends_where_the_next_month_begins() {
        assert_eq!(as_of("2026-10").unwrap().to_rfc3339(), "2026-11-01T00:00:00+00:00");
        assert_eq!(as_of("2026-12").unwrap().to_rfc3339(), "2027-01-01T00:00:00+00:00");
        for bad in ["2026-13", "2026-1", "26-10", "2026-10-01", "", "2026-+1"] {
            assert_eq!(as_of(bad), None, "{bad}");
        }
        let new_year = DateTime::parse_from_rfc3339("2026-12-31T23:59:59.999Z").unwrap().to_utc();
        assert_eq!(next_month(new_year).to_rfc3339(), "2027-01-01T00:00:00+00:00");
    }
}
