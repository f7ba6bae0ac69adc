//! Who is paid by a run, how much, and why somebody is not. Pure.

use chrono::{DateTime, Months, NaiveDate, NaiveTime, Utc};
use commission::{Line, LineKind, LineStatus, Reason, Totals, format_minor};
use serde::Serialize;
use wire::NotPaidReason;

/// What a run knows about one partner.
pub(crate) struct Standing<'a> {
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
pub(crate) enum Verdict {
    /// Pay this much, above zero.
    Pay(i64),
    /// Do not, for the first condition that is not met.
    Not(NotPaidReason),
    /// Nothing is due and nothing waits.
    Nothing,
}

impl Standing<'_> {
    /// Vested and not paid.
    pub(crate) fn balance_minor(&self) -> i64 {
        self.totals.vested.saturating_sub(self.paid_ever_minor)
    }

    /// Held or pending.
    pub(crate) fn waiting_minor(&self) -> i64 {
        self.totals.held.saturating_add(self.totals.pending)
    }

    /// The decision.
    pub(crate) fn verdict(&self) -> Verdict {
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
pub(crate) fn in_words(reason: NotPaidReason, balance_minor: i64, name: Option<&str>) -> String {
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
pub(crate) fn as_of(period: &str) -> Option<DateTime<Utc>> {
    let well_formed = period.len() == 7 && period.is_ascii();
    let first = NaiveDate::parse_from_str(&format!("{period}-01"), "%Y-%m-%d").ok().filter(|_| well_formed)?;
    Some(first.checked_add_months(Months::new(1))?.and_time(NaiveTime::MIN).and_utc())
}

/// The month of an instant, `2026-10`.
pub(crate) fn month(at: DateTime<Utc>) -> String {
    at.format("%Y-%m").to_string()
}

/// First instant of the month that follows `now`.
pub(crate) fn next_month(now: DateTime<Utc>) -> DateTime<Utc> {
    as_of(&month(now)).unwrap_or(now)
}

/// What was carried into a payment: its amount less what its lines add to, and take from, what was posted before.
pub(crate) fn carried_minor(amount_minor: i64, lines: &[Line]) -> i64 {
    lines.iter().fold(amount_minor, |left, l| left.saturating_sub(l.amount_minor))
}

/// What the amount of a payment is made of, by cause, in minor units. Adds up to the amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Parts {
    /// Commission that vested since the posting before.
    pub commission: i64,
    /// Bonuses.
    pub bonus: i64,
    /// Amounts added by hand.
    pub adjustment: i64,
    /// Whatever was taken back: at most zero.
    pub reversed: i64,
    /// Carried into it: vested before and not paid, or a debt.
    pub carried: i64,
}

impl Parts {
    /// The parts of an amount, of which these lines are posted.
    pub(crate) fn of(amount_minor: i64, lines: &[Line]) -> Parts {
        let mut parts = Parts { carried: carried_minor(amount_minor, lines), ..Parts::default() };
        for line in lines {
            let part = match line.kind {
                _ if line.amount_minor < 0 => &mut parts.reversed,
                LineKind::FirstYear | LineKind::Recurring => &mut parts.commission,
                LineKind::VolumeBonus | LineKind::HighValueBonus => &mut parts.bonus,
                LineKind::Adjustment => &mut parts.adjustment,
                // A reversal that is less than it was.
                LineKind::Reversal => &mut parts.reversed,
            };
            *part = part.saturating_add(line.amount_minor);
        }
        parts
    }
}

/// The month whose run is the first in which what waits now covers a debt, above zero; `None` where it does not.
pub(crate) fn recovered_in(debt_minor: i64, lines: &[Line]) -> Option<String> {
    let pending = lines.iter().filter(|l| l.status == LineStatus::Pending);
    let mut vests: Vec<(String, i64)> = pending.filter_map(|l| Some((month(l.vests_at?), l.amount_minor))).collect();
    vests.sort();
    let mut left = debt_minor;
    vests.chunk_by(|a, b| a.0 == b.0).find_map(|of_month| {
        left = of_month.iter().fold(left, |left, (_, amount_minor)| left.saturating_sub(*amount_minor));
        let (period, _) = of_month.first()?;
        (left <= 0).then(|| period.clone())
    })
}

/// When a debt is recovered, in words.
pub(crate) fn recovery(recovered_in: Option<&str>) -> String {
    let month = recovered_in.and_then(|period| as_of(period)?.checked_sub_months(Months::new(1)));
    match month {
        Some(month) => format!("What waits now covers it in {}.", month.format("%B %Y")),
        None => "What waits now does not cover it.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            id: "l".into(),
            kind: LineKind::FirstYear,
            referral: None,
            invoice: None,
            amount_minor: 1,
            basis_minor: 1,
            rate: None,
            rule: "first_year".into(),
            terms: "2026-01".into(),
            tenure_month: None,
            reason: None,
            status: LineStatus::Vested,
            earned_at: DateTime::UNIX_EPOCH,
            vests_at: None,
            why: String::new(),
            parts: None,
        }
    }

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
    fn a_debt_is_recovered_in_the_first_month_whose_vesting_covers_it() {
        let line = |amount_minor, vests_at: Option<&str>, status| Line {
            amount_minor,
            vests_at: vests_at.map(|t| DateTime::parse_from_rfc3339(t).unwrap().to_utc()),
            status,
            ..line()
        };
        let lines = [
            line(700, Some("2026-12-05T00:00:00Z"), LineStatus::Pending),
            line(500, Some("2026-11-30T23:59:59Z"), LineStatus::Pending),
            line(-200, Some("2026-12-31T00:00:00Z"), LineStatus::Pending),
            // Nobody knows when, or whether, a held line vests.
            line(9_000, None, LineStatus::Held),
            line(9_000, Some("2026-11-01T00:00:00Z"), LineStatus::Vested),
        ];
        for (debt, month) in [
            (1, Some("2026-11")),
            (500, Some("2026-11")),
            (501, Some("2026-12")),
            (1_000, Some("2026-12")),
            (1_001, None),
        ] {
            assert_eq!(recovered_in(debt, &lines).as_deref(), month, "{debt}");
        }
        assert_eq!(recovery(Some("2026-11")), "What waits now covers it in November 2026.");
        assert_eq!(recovery(None), "What waits now does not cover it.");
    }

    #[test]
    fn the_parts_of_an_amount_add_up_to_it() {
        let of = |kind, amount_minor| Line { kind, amount_minor, ..line() };
        let lines = [
            of(LineKind::FirstYear, 1_000),
            of(LineKind::Recurring, -10),
            of(LineKind::VolumeBonus, 250),
            of(LineKind::Reversal, -300),
            of(LineKind::Reversal, 5),
            of(LineKind::Adjustment, 40),
        ];
        let parts = Parts::of(1_200, &lines);
        assert_eq!(parts, Parts { commission: 1_000, bonus: 250, adjustment: 40, reversed: -305, carried: 215 });
        assert_eq!(parts.commission + parts.bonus + parts.adjustment + parts.reversed + parts.carried, 1_200);
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
