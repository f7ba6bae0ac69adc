//! From invoices to lines: rates, bonuses, reversals and the status of each (docs/rules.md §4 to §7).

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::calendar::Quarter;
use crate::evaluate::EvaluateError;
use crate::fact::Interval;
use crate::model::{Adjustment, Invoice, Referral};
use crate::money::{at_rate, rate_text, share};
use crate::statement::{Line, LineKind, LineStatus, Reason};
use crate::streak::{Streak, Streaks};
use crate::terms::{Terms, VolumeScope};
use crate::tiers::{Standing, Tiers};
use crate::why;

/// One referral with everything that its lines depend on.
pub(crate) struct Case<'a> {
    pub(crate) referral: &'a Referral<'a>,
    pub(crate) standing: &'a Standing<'a>,
    pub(crate) streaks: &'a Streaks,
    pub(crate) tiers: &'a Tiers,
    pub(crate) as_of: DateTime<Utc>,
}

/// Something that an invoice earns, before refunds and before anybody asks when it vests.
pub(crate) struct Grant {
    pub(crate) kind: LineKind,
    pub(crate) rule: &'static str,
    pub(crate) rate: Option<Decimal>,
    pub(crate) basis_minor: i64,
    pub(crate) amount_minor: i64,
    pub(crate) earned_at: DateTime<Utc>,
}

/// What is the same for all lines of an invoice.
pub(crate) struct Setting<'a> {
    pub(crate) case: &'a Case<'a>,
    pub(crate) invoice: &'a Invoice<'a>,
    pub(crate) tenure_month: u32,
    pub(crate) streak: Streak,
    /// Whether the client had left before this streak began.
    pub(crate) returned: bool,
}

/// What became of a line.
pub(crate) struct Fate {
    pub(crate) status: LineStatus,
    pub(crate) reason: Option<Reason>,
    pub(crate) vests_at: Option<DateTime<Utc>>,
}

/// All lines of a referral, invoice by invoice.
pub(crate) fn lines(case: &Case, out: &mut Vec<Line>) -> Result<(), EvaluateError> {
    let (Some(clock_turn), platinum_since) = (case.standing.turn, case.tiers.platinum_since(case.standing.terms))
    else {
        return Ok(());
    };
    let high_value = high_value_invoice(case.referral, case.standing.terms);
    for (index, invoice) in case.referral.invoices.iter().enumerate() {
        let streak = case.streaks.of_invoice[index];
        let setting = Setting {
            case,
            invoice,
            tenure_month: case.standing.tenure_month(invoice.starts_at()).unwrap_or(1),
            streak: case.streaks.all[streak],
            returned: streak > 0,
        };
        let platinum = platinum_since.is_some_and(|since| invoice.moment.0 >= since);
        let too_large = || EvaluateError::TooLarge { what: format!("the commission on invoice `{}`", invoice.id) };
        let mut grants = base_grants(invoice, clock_turn, case.standing.terms, platinum).ok_or_else(too_large)?;
        if !platinum {
            grants.extend(volume_grant(case, invoice).map_err(|()| too_large())?);
        }
        if high_value == Some(index) {
            grants.extend(high_value_grant(case.referral, invoice, case.standing.terms));
        }
        for grant in grants.iter().filter(|grant| grant.amount_minor != 0) {
            out.push(line(&setting, grant));
            push_reversals(&setting, grant, out).ok_or_else(too_large)?;
        }
    }
    Ok(())
}

/// The first-year and the recurring share of an invoice; both when the turn splits its period.
fn base_grants(invoice: &Invoice, turn: DateTime<Utc>, terms: &Terms, platinum: bool) -> Option<Vec<Grant>> {
    let first_year_basis = first_year_part(invoice, turn)?;
    let (first_year, recurring) = if platinum {
        (("platinum_first_year", terms.platinum.first_year_rate), ("platinum_recurring", terms.platinum.recurring_rate))
    } else {
        (("first_year", terms.first_year_rate), ("recurring", terms.recurring_rate))
    };
    [
        (LineKind::FirstYear, first_year, first_year_basis),
        (LineKind::Recurring, recurring, invoice.amount_minor - first_year_basis),
    ]
    .into_iter()
    .map(|(kind, (rule, rate), basis_minor)| {
        let amount_minor = at_rate(basis_minor, rate)?;
        Some(Grant { kind, rule, rate: Some(rate), basis_minor, amount_minor, earned_at: invoice.moment.0 })
    })
    .collect()
}

/// The part of an invoice that pays for time before the turn.
fn first_year_part(invoice: &Invoice, turn: DateTime<Utc>) -> Option<i64> {
    let start = invoice.starts_at();
    if start >= turn {
        return Some(0);
    }
    match invoice.period_end {
        Some(end) if end > turn => match (end - start).num_seconds() {
            0 => Some(invoice.amount_minor),
            period_s => share(invoice.amount_minor, (turn - start).num_seconds().into(), period_s.into()),
        },
        _ => Some(invoice.amount_minor),
    }
}

/// The volume bonus of an invoice at standard rates, if there is one; the only failure is an overflow.
fn volume_grant(case: &Case, invoice: &Invoice) -> Result<Option<Grant>, ()> {
    let Standing { terms, eligible: true, first_payment_at: Some(first_payment_at), .. } = case.standing else {
        return Ok(None);
    };
    let quarter = match terms.volume.scope {
        VolumeScope::ReferralsOfQuarter => Quarter::of(*first_payment_at),
        VolumeScope::InvoicesOfQuarter => Quarter::of(invoice.moment.0),
    };
    let Some(reached_at) = case.tiers.quarter_reached(quarter, terms) else { return Ok(None) };
    let rate = terms.volume.bonus_rate;
    Ok(Some(Grant {
        kind: LineKind::VolumeBonus,
        rule: "volume_bonus",
        rate: Some(rate),
        basis_minor: invoice.amount_minor,
        amount_minor: at_rate(invoice.amount_minor, rate).ok_or(())?,
        earned_at: invoice.moment.0.max(reached_at),
    }))
}

/// The position of the invoice that earns the high-value bonus.
fn high_value_invoice(referral: &Referral, terms: &Terms) -> Option<usize> {
    referral.invoices.iter().position(|invoice| {
        referral.subscriptions[invoice.subscription].price_at(invoice.moment.0).is_some_and(|price| {
            price.interval == Interval::Year && price.amount_minor >= terms.high_value.annual_minor_needed
        })
    })
}

fn high_value_grant(referral: &Referral, invoice: &Invoice, terms: &Terms) -> Option<Grant> {
    let price = referral.subscriptions[invoice.subscription].price_at(invoice.moment.0)?;
    Some(Grant {
        kind: LineKind::HighValueBonus,
        rule: "high_value_bonus",
        rate: None,
        basis_minor: price.amount_minor,
        amount_minor: terms.high_value.bonus_minor,
        earned_at: invoice.moment.0,
    })
}

fn line(setting: &Setting, grant: &Grant) -> Line {
    let Setting { case, invoice, .. } = setting;
    let fate = fate(setting, grant.earned_at);
    Line {
        id: line_id(&[grant.kind.as_str(), case.referral.id, invoice.id]),
        kind: grant.kind,
        referral: Some(case.referral.id.to_owned()),
        invoice: Some(invoice.id.to_owned()),
        amount_minor: grant.amount_minor,
        basis_minor: grant.basis_minor,
        rate: grant.rate.map(rate_text),
        rule: grant.rule.to_owned(),
        terms: case.standing.terms.id.clone(),
        tenure_month: Some(setting.tenure_month),
        why: why::grant(setting, grant, &fate),
        reason: fate.reason,
        status: fate.status,
        earned_at: grant.earned_at,
        vests_at: fate.vests_at,
    }
}

/// What each refund and lost dispute takes of a line, so that the total lost is right after every step.
fn push_reversals(setting: &Setting, grant: &Grant, out: &mut Vec<Line>) -> Option<()> {
    let Setting { case, invoice, .. } = setting;
    let (mut returned, mut lost) = (0, 0);
    for step in &invoice.steps {
        let before = returned;
        // Both are at most the largest amount of a fact, so the sum fits.
        returned = (returned + step.amount_minor).min(invoice.amount_minor);
        let lost_before = lost;
        lost = match grant.kind {
            LineKind::HighValueBonus if returned < invoice.amount_minor => 0,
            LineKind::HighValueBonus => grant.amount_minor,
            _ => share(grant.amount_minor, returned.into(), invoice.amount_minor.into())?,
        };
        if lost == lost_before {
            continue;
        }
        let earned_at = step.moment.0.max(grant.earned_at);
        let fate = fate(setting, earned_at);
        let (amount_minor, basis_minor) = (lost_before - lost, returned - before);
        out.push(Line {
            id: line_id(&["reversal", grant.kind.as_str(), case.referral.id, invoice.id, step.moment.1]),
            kind: LineKind::Reversal,
            referral: Some(case.referral.id.to_owned()),
            invoice: Some(invoice.id.to_owned()),
            amount_minor,
            basis_minor,
            rate: grant.rate.map(rate_text),
            rule: grant.rule.to_owned(),
            terms: case.standing.terms.id.clone(),
            tenure_month: Some(setting.tenure_month),
            why: why::reversal(setting, grant, step, basis_minor, amount_minor, &fate),
            reason: fate.reason,
            status: fate.status,
            earned_at,
            vests_at: fate.vests_at,
        });
    }
    Some(())
}

/// The status of a line that was earned, or taken back, at an instant: the first that applies.
fn fate(setting: &Setting, earned_at: DateTime<Utc>) -> Fate {
    let Setting { case, invoice, streak, .. } = setting;
    let days = case.standing.terms.vesting_days;
    let vests_at = streak.vesting_instant(days).max(earned_at);
    let (status, reason) = if case.standing.rejected {
        (LineStatus::Void, Some(Reason::Rejected))
    } else if streak.is_forfeited(days) {
        (LineStatus::Forfeited, Some(Reason::LeftEarly))
    } else if case.standing.under_review {
        (LineStatus::Held, Some(Reason::UnderReview))
    } else if invoice.disputed {
        (LineStatus::Held, Some(Reason::OpenDispute))
    } else if vests_at < case.as_of {
        (LineStatus::Vested, None)
    } else {
        (LineStatus::Pending, None)
    };
    let never = matches!(status, LineStatus::Void | LineStatus::Forfeited);
    Fate { status, reason, vests_at: (!never).then_some(vests_at) }
}

/// The line of an adjustment, which vests at once.
pub(crate) fn adjustment_line(adjustment: &Adjustment, terms: &Terms) -> Line {
    let (at, fact) = adjustment.moment;
    Line {
        id: line_id(&["adjustment", fact]),
        kind: LineKind::Adjustment,
        referral: None,
        invoice: None,
        amount_minor: adjustment.amount_minor,
        basis_minor: adjustment.amount_minor,
        rate: None,
        rule: "adjustment".to_owned(),
        terms: terms.id.clone(),
        tenure_month: None,
        reason: None,
        status: LineStatus::Vested,
        earned_at: at,
        vests_at: Some(at),
        why: why::adjustment(adjustment),
    }
}

/// Joins the parts of a line id with colons; a colon or a percent sign within a part is percent-encoded, so that two
/// lines never share an id.
fn line_id(parts: &[&str]) -> String {
    let mut id = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            id.push(':');
        }
        if part.contains([':', '%']) {
            id.push_str(&part.replace('%', "%25").replace(':', "%3A"));
        } else {
            id.push_str(part);
        }
    }
    id
}
