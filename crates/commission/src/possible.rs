//! Which values a fact can have (docs/rules.md §1).

use chrono::{DateTime, Datelike, Utc};

use crate::MAX_AMOUNT_MINOR;
use crate::fact::{Fact, FactBody};
use crate::journal::FactError;

/// Whether the values of a fact are possible (docs/rules.md §1). Evaluation asks again, because a fact can also be
/// made in Rust.
pub(crate) fn check<Text: AsRef<str>>(fact: &Fact<Text>) -> Result<(), FactError> {
    present("id", &fact.id)?;
    whole_second_clock("at", fact.at)?;
    match &fact.body {
        FactBody::PartnerJoined { partner, country, .. } => {
            present("partner", partner)?;
            match country.as_ref().map(AsRef::as_ref) {
                Some(code) if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                    Err(FactError::new("country", format!("must be two capital letters such as US, not `{code}`")))
                }
                _ => Ok(()),
            }
        }
        FactBody::PartnerSuspended { partner } | FactBody::PartnerReinstated { partner } => present("partner", partner),
        FactBody::ReferralCreated { referral, partner, .. } | FactBody::ReferralMoved { referral, partner, .. } => {
            present("referral", referral)?;
            present("partner", partner)
        }
        FactBody::ReferralCleared { referral, .. }
        | FactBody::ReferralRejected { referral, .. }
        | FactBody::ReferralReopened { referral, .. } => present("referral", referral),
        FactBody::SubscriptionStarted { subscription, referral, amount_minor, .. } => {
            present("subscription", subscription)?;
            present("referral", referral)?;
            not_negative(*amount_minor)
        }
        FactBody::SubscriptionChanged { subscription, amount_minor, .. } => {
            present("subscription", subscription)?;
            not_negative(*amount_minor)
        }
        FactBody::SubscriptionCanceled { subscription } => present("subscription", subscription),
        FactBody::InvoicePaid { invoice, subscription, amount_minor, period_start, period_end } => {
            present("invoice", invoice)?;
            present("subscription", subscription)?;
            not_negative(*amount_minor)?;
            for (field, time) in [("period_start", period_start), ("period_end", period_end)] {
                time.map_or(Ok(()), |time| whole_second_clock(field, time))?;
            }
            match (period_start, period_end) {
                (Some(start), Some(end)) if end <= start => {
                    Err(FactError::new("period_end", "must be later than `period_start`"))
                }
                _ => Ok(()),
            }
        }
        FactBody::InvoiceRefunded { invoice, amount_minor, refund } => {
            present("invoice", invoice)?;
            refund.as_ref().map_or(Ok(()), |refund| present("refund", refund))?;
            above_zero(*amount_minor)
        }
        FactBody::RefundFailed { refund } => present("refund", refund),
        FactBody::DisputeOpened { dispute, invoice, amount_minor } => {
            present("dispute", dispute)?;
            present("invoice", invoice)?;
            above_zero(*amount_minor)
        }
        FactBody::DisputeClosed { dispute, .. } => present("dispute", dispute),
        FactBody::AdjustmentMade { partner, amount_minor, .. } => {
            present("partner", partner)?;
            in_range(*amount_minor)
        }
        FactBody::PayoutPaid { payout, partner, amount_minor } => {
            present("payout", payout)?;
            present("partner", partner)?;
            above_zero(*amount_minor)
        }
        FactBody::PayoutReversed { payout, amount_minor } => {
            present("payout", payout)?;
            amount_minor.map_or(Ok(()), above_zero)
        }
    }
}

fn present(field: &str, id: &impl AsRef<str>) -> Result<(), FactError> {
    if id.as_ref().is_empty() { Err(FactError::new(field, "must not be empty")) } else { Ok(()) }
}

/// A journal's years have four digits, and chrono writes a leap second as a fraction of more than one second.
fn whole_second_clock(field: &str, time: DateTime<Utc>) -> Result<(), FactError> {
    if !(0..=9999).contains(&time.naive_utc().year()) || time.timestamp_subsec_nanos() >= 1_000_000_000 {
        return Err(FactError::new(field, format!("must be a time of the years 0000 to 9999, not `{time}`")));
    }
    Ok(())
}

fn in_range(amount_minor: i64) -> Result<(), FactError> {
    if amount_minor.unsigned_abs() > MAX_AMOUNT_MINOR.unsigned_abs() {
        return Err(FactError::new("amount_minor", format!("must be at most {MAX_AMOUNT_MINOR}, not {amount_minor}")));
    }
    Ok(())
}

fn not_negative(amount_minor: i64) -> Result<(), FactError> {
    if amount_minor < 0 {
        return Err(FactError::new("amount_minor", format!("must not be negative, and {amount_minor} is")));
    }
    in_range(amount_minor)
}

fn above_zero(amount_minor: i64) -> Result<(), FactError> {
    if amount_minor <= 0 {
        return Err(FactError::new("amount_minor", format!("must be above zero, not {amount_minor}")));
    }
    in_range(amount_minor)
}
