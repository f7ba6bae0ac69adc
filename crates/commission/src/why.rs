//! The sentence on every line (docs/rules.md §9). It repeats typed fields in words and decides nothing; digests leave
//! it out, so that it may be worded better at any time.

use std::fmt::Write;

use crate::calendar::{Day, Quarter};
use crate::line::{Fate, Grant, Setting};
use crate::model::{Adjustment, Step};
use crate::money::{format_minor, percent_text};
use crate::statement::{Flag, LineKind, LineStatus, Reason};
use crate::terms::VolumeScope;

/// Why a client's payment earned something, and what became of it.
pub(crate) fn grant(setting: &Setting, grant: &Grant, fate: &Fate) -> String {
    let mut text = String::with_capacity(160);
    // Writing to a string cannot fail.
    let _ = write_grant(&mut text, setting, grant).and_then(|()| write_fate(&mut text, setting, fate));
    text
}

/// Why something was taken back.
pub(crate) fn reversal(
    setting: &Setting,
    grant: &Grant,
    step: &Step,
    returned_minor: i64,
    amount_minor: i64,
    fate: &Fate,
) -> String {
    let what = match grant.kind {
        LineKind::VolumeBonus => "volume bonus",
        LineKind::HighValueBonus => "high-value bonus",
        LineKind::Recurring => "recurring commission",
        _ => "first-year commission",
    };
    let mut text = format!(
        "{} of the {} that client {} paid on {} went back on {} ({}), and with it {} of the {} {what}",
        format_minor(returned_minor),
        format_minor(setting.invoice.amount_minor),
        setting.case.referral.id,
        Day(setting.invoice.moment.0),
        Day(step.moment.0),
        if step.dispute { "a lost dispute" } else { "a refund" },
        format_minor(-amount_minor),
        format_minor(grant.amount_minor),
    );
    let _ = match (fate.reason, fate.vests_at) {
        (None, Some(vests_at)) => write!(text, "; it counts from {}.", Day(vests_at)),
        _ => write_fate(&mut text, setting, fate),
    };
    text
}

/// What a person added or took.
pub(crate) fn adjustment(adjustment: &Adjustment) -> String {
    let verb = if adjustment.amount_minor < 0 { "taken" } else { "added" };
    let amount = format_minor(adjustment.amount_minor).replace('-', "");
    format!("{amount} {verb} by hand on {}: {}", Day(adjustment.moment.0), adjustment.reason)
}

fn write_grant(text: &mut String, setting: &Setting, grant: &Grant) -> std::fmt::Result {
    let Setting { case, invoice, tenure_month, .. } = setting;
    let client = case.referral.id;
    let day = Day(invoice.moment.0);
    let basis = format_minor(grant.basis_minor);
    if grant.kind == LineKind::HighValueBonus {
        let amount = format_minor(grant.amount_minor);
        return write!(
            text,
            "{amount} once for client {client}, which on {day} paid for an annual subscription of {basis}"
        );
    }
    text.push_str(&grant.rate.map(percent_text).unwrap_or_default());
    if grant.rule.starts_with("platinum") {
        text.push_str(" (platinum)");
    }
    if grant.kind == LineKind::VolumeBonus {
        text.push_str(" more");
    }
    write!(text, " of {basis}")?;
    let is_part = grant.basis_minor != invoice.amount_minor;
    match (is_part, grant.kind) {
        (false, _) => {}
        (true, LineKind::FirstYear) => write!(text, ", the first-year part of {}", format_minor(invoice.amount_minor))?,
        (true, _) => write!(text, ", the part of {} after the first year,", format_minor(invoice.amount_minor))?,
    }
    write!(text, " paid on {day} by client {client} ")?;
    match grant.kind {
        LineKind::FirstYear => write!(text, "(month {tenure_month} of {})", case.standing.terms.first_year_months),
        LineKind::Recurring if is_part => write!(text, "(month {tenure_month})"),
        LineKind::Recurring => write!(text, "(month {tenure_month}, after the first year)"),
        _ => {
            let first_payment_at = case.standing.first_payment_at.unwrap_or(invoice.moment.0);
            let (quarter, how) = match case.standing.terms.volume.scope {
                VolumeScope::ReferralsOfQuarter => (Quarter::of(first_payment_at), "first paid in"),
                VolumeScope::InvoicesOfQuarter => (Quarter::of(invoice.moment.0), "paid in"),
            };
            let needed = case.standing.terms.volume.referrals_needed;
            write!(text, "({how} {quarter}, which {needed} or more qualifying referrals reached)")
        }
    }
}

fn write_fate(text: &mut String, setting: &Setting, fate: &Fate) -> std::fmt::Result {
    let Setting { case, invoice, streak, returned, .. } = setting;
    let days = case.standing.terms.vesting_days;
    match (fate.reason, fate.vests_at) {
        (Some(Reason::Rejected), _) => text.push_str("; void, because the referral was rejected after review"),
        (Some(Reason::LeftEarly), _) => {
            let left = Day(streak.ended_at.unwrap_or(invoice.moment.0));
            write!(text, "; forfeited, because the client left on {left}, before it had been paying for {days} days")?;
        }
        (Some(Reason::UnderReview), _) => {
            let flags: Vec<&str> = case.standing.flags.iter().map(|flag| flag_text(*flag)).collect();
            write!(text, "; held until a person has reviewed the referral ({})", flags.join(" and "))?;
        }
        (Some(Reason::OpenDispute), _) => text.push_str("; held while the client's payment is disputed"),
        (None, None) => {}
        (None, Some(vests_at)) => {
            let vests = if fate.status == LineStatus::Vested { "vested" } else { "vests" };
            if vests_at > streak.vesting_instant(days) {
                write!(text, "; {vests} at once, as the client had been paying for {days} days")?;
            } else {
                let since = if *returned { "payment after it came back" } else { "payment" };
                write!(text, "; {vests} {}, {days} days after its first {since}", Day(vests_at))?;
            }
        }
    }
    text.push('.');
    Ok(())
}

fn flag_text(flag: Flag) -> &'static str {
    match flag {
        Flag::SelfReferral => "its domain is the partner's own",
        Flag::Burst => "very many sign-ups in that month",
    }
}
