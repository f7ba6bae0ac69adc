//! From invoices to lines: rates, bonuses, reversals and the status of each (docs/rules.md §4 to §7). Lines are drafted
//! first and written out only where somebody reads them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::calendar::Quarter;
use crate::evaluate::EvaluateError;
use crate::fact::Interval;
use crate::model::{Adjustment, Invoice, Referral, Step};
use crate::money::{at_rate, rate_text, share};
use crate::statement::{Line, LineKind, LineStatus, Reason};
use crate::streak::{Streak, Streaks};
use crate::terms::{Terms, VolumeScope};
use crate::tiers::{Standing, Tiers};
use crate::why;

/// One referral with everything that its lines depend on.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) referral: &'a Referral<'a>,
    pub(crate) standing: &'a Standing<'a>,
    pub(crate) streaks: &'a Streaks,
    pub(crate) tiers: &'a Tiers,
    pub(crate) as_of: DateTime<Utc>,
}

/// Something that an invoice earns, before refunds and before anybody asks when it vests.
struct Grant {
    kind: LineKind,
    rule: &'static str,
    rate: Option<Decimal>,
    basis_minor: i64,
    amount_minor: i64,
    earned_at: DateTime<Utc>,
}

/// A line before it is written out: all figures, no text. A summary needs no more.
#[derive(Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) kind: LineKind,
    pub(crate) amount_minor: i64,
    pub(crate) basis_minor: i64,
    pub(crate) rate: Option<Decimal>,
    pub(crate) rule: &'static str,
    pub(crate) terms: &'a Terms,
    pub(crate) earned_at: DateTime<Utc>,
    pub(crate) fate: Fate,
}

/// What a line is about.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Paid(Paid<'a>),
    Adjustment(&'a Adjustment<'a>),
}

/// A payment, with what is the same for all lines of its invoice; and for a reversal what took it back.
#[derive(Clone, Copy)]
pub(crate) struct Paid<'a> {
    pub(crate) case: Case<'a>,
    pub(crate) invoice: &'a Invoice<'a>,
    pub(crate) tenure_month: u32,
    pub(crate) streak: Streak,
    /// Whether the client had left before this streak began.
    pub(crate) returned: bool,
    pub(crate) taken: Option<Taken<'a>>,
}

/// What takes a part of a line back.
#[derive(Clone, Copy)]
pub(crate) struct Taken<'a> {
    pub(crate) of: LineKind,
    pub(crate) earned_minor: i64,
    pub(crate) step: &'a Step<'a>,
}

/// What became of a line.
#[derive(Clone, Copy)]
pub(crate) struct Fate {
    pub(crate) status: LineStatus,
    pub(crate) reason: Option<Reason>,
    pub(crate) vests_at: Option<DateTime<Utc>>,
}

impl Draft<'_> {
    /// Writes the id of the line: what it is about, joined with colons.
    pub(crate) fn write_id(&self, id: &mut String) {
        match &self.source {
            Source::Adjustment(adjustment) => push_parts(id, &["adjustment", adjustment.id]),
            Source::Paid(Paid { case, invoice, taken: None, .. }) => {
                push_parts(id, &[self.kind.as_str(), case.referral.id, invoice.id]);
            }
            Source::Paid(Paid { case, invoice, taken: Some(taken), .. }) => {
                let parts = [self.kind.as_str(), taken.of.as_str(), case.referral.id, invoice.id, taken.step.id];
                push_parts(id, &parts);
            }
        }
    }

    pub(crate) fn id(&self) -> String {
        let mut id = String::with_capacity(48);
        self.write_id(&mut id);
        id
    }

    /// The status that the line has in a statement of an earlier instant at which it had been earned.
    pub(crate) fn status_at(&self, as_of: DateTime<Utc>) -> LineStatus {
        self.paid().map_or(self.fate.status, |paid| fate(paid, self.earned_at, as_of).status)
    }

    pub(crate) fn paid(&self) -> Option<&Paid<'_>> {
        match &self.source {
            Source::Paid(paid) => Some(paid),
            Source::Adjustment(_) => None,
        }
    }

    /// The line with all its text.
    pub(crate) fn write_out(&self) -> Line {
        let why = why::why(self);
        let paid = self.paid();
        Line {
            id: self.id(),
            kind: self.kind,
            referral: paid.map(|paid| paid.case.referral.id.to_owned()),
            invoice: paid.map(|paid| paid.invoice.id.to_owned()),
            amount_minor: self.amount_minor,
            basis_minor: self.basis_minor,
            rate: self.rate.map(rate_text),
            rule: self.rule.to_owned(),
            terms: self.terms.id.clone(),
            tenure_month: paid.map(|paid| paid.tenure_month),
            reason: self.fate.reason,
            status: self.fate.status,
            earned_at: self.earned_at,
            vests_at: self.fate.vests_at,
            why: why.to_string(),
            parts: Some(why),
        }
    }
}

/// All lines of a referral, invoice by invoice.
pub(crate) fn drafts<'a>(case: Case<'a>, out: &mut Vec<Draft<'a>>) -> Result<(), EvaluateError> {
    let (Some(clock_turn), platinum_since) = (case.standing.turn, case.tiers.platinum_since(case.standing.terms))
    else {
        return Ok(());
    };
    let high_value = high_value_invoice(case.referral, case.standing.terms);
    for (index, invoice) in case.referral.invoices.iter().enumerate() {
        let streak = case.streaks.of_invoice[index];
        let paid = Paid {
            case,
            invoice,
            tenure_month: case.standing.tenure_month(invoice.starts_at()).unwrap_or(1),
            streak: case.streaks.all[streak],
            returned: streak > 0,
            taken: None,
        };
        let platinum = platinum_since.is_some_and(|since| invoice.moment.0 >= since);
        let too_large = || EvaluateError::TooLarge { what: format!("the commission on invoice `{}`", invoice.id) };
        let [first_year, recurring] =
            base_grants(invoice, clock_turn, case.standing.terms, platinum).ok_or_else(too_large)?;
        let volume = if platinum { None } else { volume_grant(&case, invoice).map_err(|()| too_large())? };
        let high_value = (high_value == Some(index))
            .then(|| high_value_grant(case.referral, invoice, case.standing.terms))
            .flatten();
        let grants = [Some(first_year), Some(recurring), volume, high_value];
        for grant in grants.iter().flatten().filter(|grant| grant.amount_minor != 0) {
            out.push(draft(paid, grant));
            push_reversals(paid, grant, out).ok_or_else(too_large)?;
        }
    }
    Ok(())
}

/// The first-year and the recurring share of an invoice; both when the turn splits its period.
fn base_grants(invoice: &Invoice, turn: DateTime<Utc>, terms: &Terms, platinum: bool) -> Option<[Grant; 2]> {
    let first_year_basis = first_year_part(invoice, turn)?;
    let (first_year, recurring) = if platinum {
        (("platinum_first_year", terms.platinum.first_year_rate), ("platinum_recurring", terms.platinum.recurring_rate))
    } else {
        (("first_year", terms.first_year_rate), ("recurring", terms.recurring_rate))
    };
    let grant = |kind, (rule, rate): (&'static str, Decimal), basis_minor| {
        let amount_minor = at_rate(basis_minor, rate)?;
        Some(Grant { kind, rule, rate: Some(rate), basis_minor, amount_minor, earned_at: invoice.moment.0 })
    };
    Some([
        grant(LineKind::FirstYear, first_year, first_year_basis)?,
        grant(LineKind::Recurring, recurring, invoice.amount_minor - first_year_basis)?,
    ])
}

/// The part of an invoice that pays for time before the turn.
fn first_year_part(invoice: &Invoice, turn: DateTime<Utc>) -> Option<i64> {
    let start = invoice.starts_at();
    if start >= turn {
        return Some(0);
    }
    let end = invoice.period_end.unwrap_or(start);
    match (end - start).num_seconds() {
        ..=0 => Some(invoice.amount_minor),
        period_s => share(invoice.amount_minor, (end.min(turn) - start).num_seconds().into(), period_s.into()),
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
        referral.subscriptions[invoice.subscription as usize].price_at(invoice.moment.0).is_some_and(|price| {
            price.interval == Interval::Year && price.amount_minor >= terms.high_value.annual_minor_needed
        })
    })
}

fn high_value_grant(referral: &Referral, invoice: &Invoice, terms: &Terms) -> Option<Grant> {
    let price = referral.subscriptions[invoice.subscription as usize].price_at(invoice.moment.0)?;
    Some(Grant {
        kind: LineKind::HighValueBonus,
        rule: "high_value_bonus",
        rate: None,
        basis_minor: price.amount_minor,
        amount_minor: terms.high_value.bonus_minor,
        earned_at: invoice.moment.0,
    })
}

fn draft<'a>(paid: Paid<'a>, grant: &Grant) -> Draft<'a> {
    Draft {
        source: Source::Paid(paid),
        kind: grant.kind,
        amount_minor: grant.amount_minor,
        basis_minor: grant.basis_minor,
        rate: grant.rate,
        rule: grant.rule,
        terms: paid.case.standing.terms,
        earned_at: grant.earned_at,
        fate: fate(&paid, grant.earned_at, paid.case.as_of),
    }
}

/// What each refund and lost dispute takes of a line, so that the total lost is right after every step.
fn push_reversals<'a>(paid: Paid<'a>, grant: &Grant, out: &mut Vec<Draft<'a>>) -> Option<()> {
    let Paid { case, invoice, .. } = paid;
    let (mut returned, mut lost) = (0, 0);
    for step in &invoice.steps {
        let before = returned;
        // Both are at most the largest amount of a fact, so the sum fits.
        returned = (returned + step.amount_minor).min(invoice.amount_minor);
        let lost_before = lost;
        lost = match grant.kind {
            LineKind::HighValueBonus if returned < invoice.amount_minor => 0,
            _ => share(grant.amount_minor, returned.into(), invoice.amount_minor.into())?,
        };
        if lost == lost_before {
            continue;
        }
        let earned_at = step.moment.0.max(grant.earned_at);
        let taken = Taken { of: grant.kind, earned_minor: grant.amount_minor, step };
        out.push(Draft {
            source: Source::Paid(Paid { taken: Some(taken), ..paid }),
            kind: LineKind::Reversal,
            amount_minor: lost_before - lost,
            basis_minor: returned - before,
            rate: grant.rate,
            rule: grant.rule,
            terms: case.standing.terms,
            earned_at,
            fate: fate(&paid, earned_at, case.as_of),
        });
    }
    Some(())
}

/// The status at `as_of` of a line that was earned, or taken back, at an instant: the first that applies.
fn fate(paid: &Paid, earned_at: DateTime<Utc>, as_of: DateTime<Utc>) -> Fate {
    let Paid { case, invoice, .. } = paid;
    let streak = paid.streak.known_at(as_of);
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
    } else if vests_at < as_of {
        (LineStatus::Vested, None)
    } else {
        (LineStatus::Pending, None)
    };
    let never = matches!(status, LineStatus::Void | LineStatus::Forfeited);
    Fate { status, reason, vests_at: (!never).then_some(vests_at) }
}

/// The line of an adjustment, which vests at once.
pub(crate) fn adjustment_draft<'a>(adjustment: &'a Adjustment<'a>, terms: &'a Terms) -> Draft<'a> {
    let at = adjustment.at;
    Draft {
        source: Source::Adjustment(adjustment),
        kind: LineKind::Adjustment,
        amount_minor: adjustment.amount_minor,
        basis_minor: adjustment.amount_minor,
        rate: None,
        rule: "adjustment",
        terms,
        earned_at: at,
        fate: Fate { status: LineStatus::Vested, reason: None, vests_at: Some(at) },
    }
}

/// Joins the parts of a line id with colons; a colon or a percent sign within a part is percent-encoded, so that two
/// lines never share an id.
fn push_parts(id: &mut String, parts: &[&str]) {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            id.push(':');
        }
        id.push_str(&self::part(part));
    }
}

/// A part as it stands in a line id.
pub(crate) fn part(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| matches!(byte, b':' | b'%')) {
        text.replace('%', "%25").replace(':', "%3A").into()
    } else {
        text.into()
    }
}
