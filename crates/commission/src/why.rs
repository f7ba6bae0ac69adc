//! Why a line is what it is (docs/rules.md §9): typed parts, and the sentence that they make. They decide nothing;
//! digests leave them out, so that they may be worded better at any time.

use std::fmt;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::calendar::{Day, Quarter};
use crate::line::{Draft, Paid, Source};
use crate::money::{format_minor, percent_text};
use crate::statement::{Flag, LineKind, LineStatus, Reason};
use crate::terms::VolumeScope;

/// Everything that the sentence on a line says, part by part, for whoever lays it out in another way. Displayed, it is
/// the sentence. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Why {
    /// What earned the amount or took it back.
    pub origin: Origin,
    /// What became of it.
    pub vesting: Vesting,
}

/// What earned an amount or took it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Origin {
    /// A share of what a client paid.
    Share {
        /// The rate as a fraction, in JSON a decimal string such as `0.20`.
        #[cfg_attr(feature = "ts", ts(type = "string"))]
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        rate: Decimal,
        /// Whether it is the rate of a platinum partner.
        platinum: bool,
        /// What it is a share of.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        basis_minor: i64,
        /// The whole invoice; more than the basis where the end of the first year splits it.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        invoice_minor: i64,
        /// The referral.
        client: String,
        /// When the client paid.
        paid_at: DateTime<Utc>,
        /// Which rule gave the rate.
        rule: ShareRule,
    },
    /// The one-time bonus for a large annual contract.
    HighValue {
        /// The bonus.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        bonus_minor: i64,
        /// The price of the contract.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        annual_minor: i64,
        /// The referral.
        client: String,
        /// When the client paid.
        paid_at: DateTime<Utc>,
    },
    /// Money of an invoice went back, and with it a part of a line.
    Returned {
        /// What sort of line lost it.
        of: LineKind,
        /// The amount of that line.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        earned_minor: i64,
        /// What it lost this time, above zero.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        taken_minor: i64,
        /// What went back to the client this time.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        returned_minor: i64,
        /// What is said to have gone back this time; more than `returned_minor` where not so much was left of the
        /// invoice.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        said_minor: i64,
        /// The whole invoice.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        invoice_minor: i64,
        /// The referral.
        client: String,
        /// When the client had paid.
        paid_at: DateTime<Utc>,
        /// When the money went back.
        returned_at: DateTime<Utc>,
        /// How it went back.
        by: ReturnedBy,
    },
    /// A person added or took it.
    Adjusted {
        /// Below zero where it was taken.
        #[cfg_attr(feature = "ts", ts(type = "number"))]
        amount_minor: i64,
        /// When.
        at: DateTime<Utc>,
        /// In that person's words.
        reason: String,
    },
}

/// Which rule gave a rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ShareRule {
    /// The invoice is for the first year.
    FirstYear {
        /// The month of tenure, from 1.
        month: u32,
        /// How many months the first year has.
        of_months: u32,
    },
    /// The invoice is for the time after it.
    Recurring {
        /// The month of tenure, from 1.
        month: u32,
    },
    /// Enough clients qualified in a quarter.
    Volume {
        /// The quarter, such as `2026-Q1`.
        quarter: String,
        /// Whether the client first paid in it, or merely this invoice was paid in it.
        scope: VolumeScope,
        /// How many clients were needed.
        needed: u32,
    },
}

/// How money went back to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ReturnedBy {
    /// We refunded it.
    Refund,
    /// The client's bank took it.
    LostDispute,
}

/// Whether and when a line vests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Vesting {
    /// Never: the referral was rejected.
    Void,
    /// Never: the client left too early.
    Forfeited {
        /// When it left.
        left_at: DateTime<Utc>,
        /// For how many days it would have had to be paying.
        days: u32,
    },
    /// It is held until a person has reviewed the referral.
    UnderReview {
        /// What is to be reviewed.
        flags: Vec<Flag>,
    },
    /// It is held while the payment is disputed.
    Disputed,
    /// When the client has been paying for long enough.
    AfterPaying {
        /// That instant.
        vests_at: DateTime<Utc>,
        /// Whether it has passed.
        vested: bool,
        /// For how many days the client must have been paying.
        days: u32,
        /// Whether they are counted from its return, the client having left before.
        returned: bool,
    },
    /// When it was earned, because the client had been paying for long enough before.
    AtOnce {
        /// That instant.
        vests_at: DateTime<Utc>,
        /// Whether it has passed.
        vested: bool,
        /// For how many days the client must have been paying.
        days: u32,
    },
    /// What was taken back counts from this instant on.
    CountsFrom {
        /// That instant.
        vests_at: DateTime<Utc>,
    },
    /// What a person added or took counts from when it was said.
    ByHand,
}

/// The explanation of a line.
pub(crate) fn why(draft: &Draft) -> Why {
    match &draft.source {
        Source::Adjustment(adjustment) => Why {
            origin: Origin::Adjusted {
                amount_minor: adjustment.amount_minor,
                at: adjustment.at,
                reason: adjustment.reason.to_owned(),
            },
            vesting: Vesting::ByHand,
        },
        Source::Paid(paid) => Why { origin: origin(draft, paid), vesting: vesting(draft, paid) },
    }
}

fn origin(draft: &Draft, paid: &Paid) -> Origin {
    let client = paid.case.referral.id.to_owned();
    let (paid_at, invoice_minor) = (paid.invoice.moment.0, paid.invoice.amount_minor);
    if let Some(taken) = &paid.taken {
        return Origin::Returned {
            of: taken.of,
            earned_minor: taken.earned_minor,
            taken_minor: -draft.amount_minor,
            returned_minor: draft.basis_minor,
            said_minor: taken.step.amount_minor,
            invoice_minor,
            client,
            paid_at,
            returned_at: taken.step.moment.0,
            by: if taken.step.dispute { ReturnedBy::LostDispute } else { ReturnedBy::Refund },
        };
    }
    let Some(rate) = draft.rate else {
        return Origin::HighValue { bonus_minor: draft.amount_minor, annual_minor: draft.basis_minor, client, paid_at };
    };
    let (terms, month) = (paid.case.standing.terms, paid.tenure_month);
    let rule = match draft.kind {
        LineKind::FirstYear => ShareRule::FirstYear { month, of_months: terms.first_year_months },
        LineKind::Recurring => ShareRule::Recurring { month },
        _ => {
            let decides_at = match terms.volume.scope {
                VolumeScope::ReferralsOfQuarter => paid.case.standing.first_payment_at.unwrap_or(paid_at),
                VolumeScope::InvoicesOfQuarter => paid_at,
            };
            ShareRule::Volume {
                quarter: Quarter::of(decides_at).to_string(),
                scope: terms.volume.scope,
                needed: terms.volume.referrals_needed,
            }
        }
    };
    let platinum = draft.rule.starts_with("platinum");
    Origin::Share { rate, platinum, basis_minor: draft.basis_minor, invoice_minor, client, paid_at, rule }
}

fn vesting(draft: &Draft, paid: &Paid) -> Vesting {
    let days = paid.case.standing.terms.vesting_days;
    let vests_at = draft.fate.vests_at.unwrap_or(draft.earned_at);
    let vested = draft.fate.status == LineStatus::Vested;
    match draft.fate.reason {
        Some(Reason::Rejected) => Vesting::Void,
        Some(Reason::LeftEarly) => {
            Vesting::Forfeited { left_at: paid.streak.ended_at.unwrap_or(paid.invoice.moment.0), days }
        }
        Some(Reason::UnderReview) => Vesting::UnderReview { flags: paid.case.standing.flags.clone() },
        Some(Reason::OpenDispute) => Vesting::Disputed,
        None if paid.taken.is_some() => Vesting::CountsFrom { vests_at },
        None if vests_at > paid.streak.vesting_instant(days) => Vesting::AtOnce { vests_at, vested, days },
        None => Vesting::AfterPaying { vests_at, vested, days, returned: paid.returned },
    }
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}{}", self.origin, self.vesting)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Share { rate, platinum, basis_minor, invoice_minor, client, paid_at, rule } => {
                let platinum = if *platinum { " (platinum)" } else { "" };
                let more = if matches!(rule, ShareRule::Volume { .. }) { " more" } else { "" };
                write!(out, "{}{platinum}{more} of {}", percent_text(*rate), format_minor(*basis_minor))?;
                let is_part = basis_minor != invoice_minor;
                let whole = format_minor(*invoice_minor);
                match rule {
                    _ if !is_part => {}
                    ShareRule::FirstYear { .. } => write!(out, ", the first-year part of {whole}")?,
                    _ => write!(out, ", the part of {whole} after the first year,")?,
                }
                write!(out, " paid on {} by client {client} ", Day(*paid_at))?;
                match rule {
                    ShareRule::FirstYear { month, of_months } => write!(out, "(month {month} of {of_months})"),
                    ShareRule::Recurring { month } if is_part => write!(out, "(month {month})"),
                    ShareRule::Recurring { month } => write!(out, "(month {month}, after the first year)"),
                    ShareRule::Volume { quarter, scope, needed } => {
                        let how = match scope {
                            VolumeScope::ReferralsOfQuarter => "first paid in",
                            VolumeScope::InvoicesOfQuarter => "paid in",
                        };
                        write!(out, "({how} {quarter}, which {needed} or more qualifying referrals reached)")
                    }
                }
            }
            Self::HighValue { bonus_minor, annual_minor, client, paid_at } => write!(
                out,
                "{} once for client {client}, which on {} paid for an annual subscription of {}",
                format_minor(*bonus_minor),
                Day(*paid_at),
                format_minor(*annual_minor),
            ),
            Self::Returned {
                of,
                earned_minor,
                taken_minor,
                returned_minor,
                said_minor,
                invoice_minor,
                client,
                paid_at,
                returned_at,
                by,
            } => {
                let what = match of {
                    LineKind::VolumeBonus => "volume bonus",
                    LineKind::HighValueBonus => "high-value bonus",
                    LineKind::Recurring => "recurring commission",
                    _ => "first-year commission",
                };
                let how = match by {
                    ReturnedBy::Refund => "a refund",
                    ReturnedBy::LostDispute => "a lost dispute",
                };
                let beyond = if said_minor > returned_minor {
                    format!(" of {}, more than was left", format_minor(*said_minor))
                } else {
                    String::new()
                };
                write!(
                    out,
                    "{} of the {} that client {client} paid on {} went back on {} ({how}{beyond}), and with it {} of the {} {what}",
                    format_minor(*returned_minor),
                    format_minor(*invoice_minor),
                    Day(*paid_at),
                    Day(*returned_at),
                    format_minor(*taken_minor),
                    format_minor(*earned_minor),
                )
            }
            Self::Adjusted { amount_minor, at, reason } => {
                let verb = if *amount_minor < 0 { "taken" } else { "added" };
                let amount = format_minor(*amount_minor).replace('-', "");
                write!(out, "{amount} {verb} by hand on {}: {reason}", Day(*at))
            }
        }
    }
}

impl fmt::Display for Vesting {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let verb = |vested: bool| if vested { "vested" } else { "vests" };
        match self {
            Self::Void => out.write_str("; void, because the referral was rejected after review."),
            Self::Forfeited { left_at, days } => {
                let left = Day(*left_at);
                write!(
                    out,
                    "; forfeited, because the client left on {left}, before it had been paying for {days} days."
                )
            }
            Self::UnderReview { flags } => {
                let flags: Vec<&str> = flags.iter().map(|flag| flag_text(*flag)).collect();
                write!(out, "; held until a person has reviewed the referral ({}).", flags.join(" and "))
            }
            Self::Disputed => out.write_str("; held while the client's payment is disputed."),
            Self::AfterPaying { vests_at, vested, days, returned } => {
                let since = if *returned { "payment after it came back" } else { "payment" };
                write!(out, "; {} {}, {days} days after its first {since}.", verb(*vested), Day(*vests_at))
            }
            Self::AtOnce { vested, days, .. } => {
                write!(out, "; {} at once, as the client had been paying for {days} days.", verb(*vested))
            }
            Self::CountsFrom { vests_at } => write!(out, "; it counts from {}.", Day(*vests_at)),
            Self::ByHand => Ok(()),
        }
    }
}

fn flag_text(flag: Flag) -> &'static str {
    match flag {
        Flag::SelfReferral => "its domain is the partner's own",
        Flag::Burst => "very many sign-ups in that month",
    }
}
