//! What a payment of a run is made of, and when a debt is recovered. Pure.

use chrono::Months;
use commission::{Line, LineKind, LineStatus};
use partner::{as_of, month};
use serde::Serialize;

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
    use chrono::DateTime;

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
}
