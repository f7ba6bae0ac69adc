//! The rules of docs/rules.md once more, as they are written there and as slowly as that may be: nothing is shared with
//! the engine but the types of facts, of terms and of amounts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use commission::{
    Decision, Fact, FactBody, Interval, LineKind, LineStatus, Terms, TermsBook, Tier, Totals, VolumeScope,
};
use rust_decimal::Decimal;

use crate::answer::{Answer, LineAnswer, PartnerAnswer, ReferralAnswer};
use crate::calendar::{whole_months, whole_seconds};
use crate::known::{Known, known, points_at};
use crate::referral::{Invoice, Referral, referrals, terms_at};
use crate::standing::{Standing, standing};
use crate::streaks::{Streak, streaks};

/// The answer to a journal, or why it is refused.
pub(crate) fn answer(facts: &[Fact], book: &TermsBook, as_of: DateTime<Utc>) -> Result<Answer, String> {
    let known = known(facts, as_of)?;
    let referrals = referrals(&known, book);
    let times: BTreeSet<DateTime<Utc>> = known.all.iter().map(|fact| fact.at).collect();
    let mut partners = BTreeMap::new();
    for fact in &known.effective {
        if let FactBody::PartnerJoined { partner, website, .. } = &fact.body {
            let own = referrals.iter().filter(|referral| referral.partner == partner).collect();
            let standing = standing(own, website, book, &times);
            partners.insert(partner.clone(), partner_answer(partner, &known, &standing, terms_at(book, as_of), as_of));
        }
    }
    let mut answer = Answer { partners, unmatched: BTreeSet::new() };
    for fact in &known.unmatched {
        let leads_to = leads_to(fact, &referrals).and_then(|partner| answer.partners.get_mut(partner));
        leads_to.map_or(&mut answer.unmatched, |partner| &mut partner.unmatched).insert(fact.id.clone());
    }
    Ok(answer)
}

/// The partner that an unmatched fact leads to: that of the known referral that it points at, or the one that it names.
fn leads_to<'f>(fact: &'f Fact, referrals: &'f [Referral]) -> Option<&'f str> {
    let things = points_at(&fact.body);
    let credited = |id| referrals.iter().find(|referral| referral.id == id).map(|referral| referral.partner);
    let through_referral = things.iter().find_map(|(sort, id)| (*sort == "referral").then(|| credited(*id)).flatten());
    through_referral.or_else(|| things.iter().find_map(|(sort, id)| (*sort == "partner").then_some(*id)))
}

fn partner_answer(
    partner: &str,
    known: &Known,
    standing: &Standing,
    today: &Terms,
    as_of: DateTime<Utc>,
) -> PartnerAnswer {
    let mut lines = adjustments(known, partner);
    for index in 0..standing.referrals.len() {
        lines.extend(lines_of_referral(standing, index, as_of));
    }
    lines.sort();
    let suspended = known.effective.iter().rev().find_map(|fact| match &fact.body {
        FactBody::PartnerSuspended { partner: of } if of == partner => Some(true),
        FactBody::PartnerReinstated { partner: of } if of == partner => Some(false),
        _ => None,
    });
    let suspended = suspended.unwrap_or(false);
    let platinum_since = standing.platinum_since(today);
    PartnerAnswer {
        tier: if platinum_since.is_some() { Tier::Platinum } else { Tier::Standard },
        platinum_since,
        suspended,
        terms: today.id.clone(),
        totals: totals(&lines, paid(known, partner), today.minimum_payout_minor, suspended),
        lines,
        unmatched: BTreeSet::new(),
        referrals: (0..standing.referrals.len()).map(|index| referral_answer(standing, index)).collect(),
    }
}

fn referral_answer(standing: &Standing, index: usize) -> (String, ReferralAnswer) {
    let referral = standing.referrals[index];
    let answer = ReferralAnswer {
        flags: standing.flags(index).to_vec(),
        decision: referral.decision,
        under_review: standing.is_under_review(index),
        first_payment_at: referral.first_payment().map(|invoice| invoice.paid.0),
        clock: referral.clock(),
        turns_recurring_at: referral.turn(),
        eligible: standing.is_eligible(index),
        terms: referral.terms.id.clone(),
    };
    (referral.id.to_owned(), answer)
}

/// Σ payouts, each less what of it was reversed and never below zero (§1, §7).
fn paid(known: &Known, of: &str) -> i64 {
    let payouts = known.effective.iter().filter_map(|fact| match &fact.body {
        FactBody::PayoutPaid { payout, partner, amount_minor } if partner == of => Some((payout, *amount_minor)),
        _ => None,
    });
    let kept = payouts.map(|(id, amount)| {
        let reversals = known.effective.iter().filter_map(|fact| match &fact.body {
            FactBody::PayoutReversed { payout, amount_minor } if payout == id => Some(amount_minor.unwrap_or(amount)),
            _ => None,
        });
        amount - amount.min(reversals.sum())
    });
    kept.sum()
}

fn totals(lines: &[LineAnswer], paid: i64, minimum_payout_minor: i64, suspended: bool) -> Totals {
    let sum = |status| lines.iter().filter(|line| line.status == status).map(|line| line.amount_minor).sum();
    let vested: i64 = sum(LineStatus::Vested);
    let balance = vested - paid;
    let is_payable = balance > 0 && balance >= minimum_payout_minor && !suspended;
    Totals {
        pending: sum(LineStatus::Pending),
        vested,
        held: sum(LineStatus::Held),
        forfeited: sum(LineStatus::Forfeited),
        void: sum(LineStatus::Void),
        paid,
        balance,
        payable: if is_payable { balance } else { 0 },
    }
}

fn adjustments(known: &Known, of: &str) -> Vec<LineAnswer> {
    let made = known.effective.iter().filter_map(|fact| match &fact.body {
        FactBody::AdjustmentMade { partner, amount_minor, .. } if partner == of && *amount_minor != 0 => {
            Some(LineAnswer {
                earned_at: fact.at,
                kind: LineKind::Adjustment,
                referral: None,
                invoice: None,
                amount_minor: *amount_minor,
                basis_minor: *amount_minor,
                rate: None,
                rule: "adjustment".to_owned(),
                terms: None,
                tenure_month: None,
                status: LineStatus::Vested,
                reason: None,
                vests_at: Some(fact.at),
            })
        }
        _ => None,
    });
    made.collect()
}

/// A share of an invoice, before anything is known of its standing.
struct Earned {
    kind: LineKind,
    rule: &'static str,
    basis_minor: i64,
    rate: Option<Decimal>,
    amount_minor: i64,
    earned_at: DateTime<Utc>,
}

fn lines_of_referral(standing: &Standing, index: usize, as_of: DateTime<Utc>) -> Vec<LineAnswer> {
    let referral = standing.referrals[index];
    let streaks = streaks(referral);
    let mut lines = Vec::new();
    for invoice in &referral.invoices {
        let mut earned = base(standing, referral, invoice);
        earned.extend(volume_bonus(standing, index, invoice));
        earned.extend(high_value_bonus(referral, invoice));
        for earned in earned.into_iter().filter(|earned| earned.amount_minor != 0) {
            let standing = (standing, index, invoice, &streaks[invoice.id], as_of);
            lines.push(line(standing, &earned, earned.kind, earned.amount_minor, earned.basis_minor, earned.earned_at));
            for (at, lost_minor, returned_minor) in lost(invoice, &earned) {
                let dated = at.max(earned.earned_at);
                lines.push(line(standing, &earned, LineKind::Reversal, -lost_minor, returned_minor, dated));
            }
        }
    }
    lines
}

/// The share of the invoice under its rate, in two parts where it is split at the turn (§4).
fn base(standing: &Standing, referral: &Referral, invoice: &Invoice) -> Vec<Earned> {
    let (first_year_minor, recurring_minor) = split(referral, invoice);
    let terms = referral.terms;
    let is_platinum = standing.platinum_since(terms).is_some_and(|since| invoice.paid.0 >= since);
    let (first_year, recurring) = if is_platinum {
        (("platinum_first_year", terms.platinum.first_year_rate), ("platinum_recurring", terms.platinum.recurring_rate))
    } else {
        (("first_year", terms.first_year_rate), ("recurring", terms.recurring_rate))
    };
    let part = |kind, (rule, rate): (&'static str, Decimal), basis_minor| Earned {
        kind,
        rule,
        basis_minor,
        rate: Some(rate),
        amount_minor: share(basis_minor, rate),
        earned_at: invoice.paid.0,
    };
    vec![part(LineKind::FirstYear, first_year, first_year_minor), part(LineKind::Recurring, recurring, recurring_minor)]
}

/// What of the invoice is first-year, and what is recurring.
fn split(referral: &Referral, invoice: &Invoice) -> (i64, i64) {
    let (start, amount) = (invoice.start(), invoice.amount_minor);
    let Some(turn) = referral.turn() else { return (amount, 0) };
    if start >= turn {
        return (0, amount);
    }
    match invoice.period_end {
        Some(end) if end > turn && whole_seconds(start, end) >= 1 => {
            let first_year = rounded(i128::from(amount) * whole_seconds(start, turn), whole_seconds(start, end));
            (first_year, amount - first_year)
        }
        _ => (amount, 0),
    }
}

fn volume_bonus(standing: &Standing, index: usize, invoice: &Invoice) -> Option<Earned> {
    let referral = standing.referrals[index];
    let terms = referral.terms;
    let paid_at = invoice.paid.0;
    let reached_at = match terms.volume.scope {
        _ if !standing.is_eligible(index) => None,
        VolumeScope::ReferralsOfQuarter => standing.quarter_reached(referral.first_payment()?.paid.0, terms),
        VolumeScope::InvoicesOfQuarter => standing.quarter_reached(paid_at, terms),
    };
    let is_platinum = standing.platinum_since(terms).is_some_and(|since| paid_at >= since);
    let rate = terms.volume.bonus_rate;
    reached_at.filter(|_| !is_platinum).map(|reached_at| Earned {
        kind: LineKind::VolumeBonus,
        rule: "volume_bonus",
        basis_minor: invoice.amount_minor,
        rate: Some(rate),
        amount_minor: share(invoice.amount_minor, rate),
        earned_at: paid_at.max(reached_at),
    })
}

/// The bonus for a large annual contract, on the first invoice of the referral that is paid on one.
fn high_value_bonus(referral: &Referral, invoice: &Invoice) -> Option<Earned> {
    let (first, price_minor) = referral.invoices.iter().find_map(|invoice| {
        let price = referral.subscription(invoice.subscription)?.price_at(invoice.paid.0);
        large_annual_price(price, referral.terms).map(|price_minor| (invoice, price_minor))
    })?;
    (first.id == invoice.id).then_some(Earned {
        kind: LineKind::HighValueBonus,
        rule: "high_value_bonus",
        basis_minor: price_minor,
        rate: None,
        amount_minor: referral.terms.high_value.bonus_minor,
        earned_at: invoice.paid.0,
    })
}

fn large_annual_price(price: Option<(Interval, i64)>, terms: &Terms) -> Option<i64> {
    match price {
        Some((Interval::Year, minor)) if minor >= terms.high_value.annual_minor_needed => Some(minor),
        _ => None,
    }
}

/// For each step that takes something of the line back: when, how much of the line, and how much of the invoice (§6).
fn lost(invoice: &Invoice, earned: &Earned) -> Vec<(DateTime<Utc>, i64, i64)> {
    let amount = invoice.amount_minor;
    let in_total = |returned_minor: i64| match earned.kind {
        LineKind::HighValueBonus if returned_minor == amount => earned.amount_minor,
        LineKind::HighValueBonus => 0,
        _ => rounded(i128::from(earned.amount_minor) * i128::from(returned_minor), i128::from(amount)),
    };
    let mut steps = Vec::new();
    let mut returned_before = 0;
    for step in &invoice.returns {
        let returned = amount.min(returned_before + step.amount_minor);
        let lost = in_total(returned) - in_total(returned_before);
        if lost != 0 {
            steps.push((step.moment.0, lost, returned - returned_before));
        }
        returned_before = returned;
    }
    steps
}

fn line(
    (standing, index, invoice, streak, as_of): (&Standing, usize, &Invoice, &Streak, DateTime<Utc>),
    earned: &Earned,
    kind: LineKind,
    amount_minor: i64,
    basis_minor: i64,
    earned_at: DateTime<Utc>,
) -> LineAnswer {
    let referral = standing.referrals[index];
    let vests_at = earned_at.max(streak.vests_at);
    let is_rejected = referral.decision == Some(Decision::Rejected);
    let (status, reason) = if is_rejected {
        (LineStatus::Void, Some("rejected"))
    } else if streak.is_forfeited() {
        (LineStatus::Forfeited, Some("left_early"))
    } else if standing.is_under_review(index) {
        (LineStatus::Held, Some("under_review"))
    } else if invoice.is_disputed {
        (LineStatus::Held, Some("open_dispute"))
    } else if vests_at >= as_of {
        (LineStatus::Pending, None)
    } else {
        (LineStatus::Vested, None)
    };
    let never_vests = matches!(status, LineStatus::Void | LineStatus::Forfeited);
    LineAnswer {
        earned_at,
        kind,
        referral: Some(referral.id.to_owned()),
        invoice: Some(invoice.id.to_owned()),
        amount_minor,
        basis_minor,
        rate: earned.rate,
        rule: earned.rule.to_owned(),
        terms: Some(referral.terms.id.clone()),
        tenure_month: referral.clock().map(|clock| 1 + whole_months(clock, invoice.start())),
        status,
        reason,
        vests_at: (!never_vests).then_some(vests_at),
    }
}

/// The share of an amount at a rate.
fn share(amount_minor: i64, rate: Decimal) -> i64 {
    rounded(i128::from(amount_minor) * rate.mantissa(), 10_i128.pow(rate.scale()))
}

/// The quotient of two numbers that are not negative, rounded half up. The largest numerator here is the square of the
/// largest amount, far below the range of `i128`.
#[expect(clippy::expect_used, reason = "A share of an amount is no larger than the amount.")]
fn rounded(numerator: i128, denominator: i128) -> i64 {
    i64::try_from((2 * numerator + denominator) / (2 * denominator)).expect("a share fits")
}
