//! The facts that a journal is made of (docs/rules.md §1).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One thing that happened. It serialises to the JSON object of a journal line, absent fields left out, and
/// deserialises under the same checks as [`crate::parse_fact`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// Unique in a journal. A fact that comes again with the same id and content counts once.
    pub id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub body: FactBody,
}

/// What happened, with the ids of everything it is about. Amounts are minor units of the settlement currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "The fields are named and explained once, in the table of docs/rules.md §1.")]
pub enum FactBody {
    /// An agency joined the program. `country` is ISO 3166-1 alpha-2.
    PartnerJoined {
        partner: String,
        name: String,
        website: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        country: Option<String>,
    },
    /// From now on the partner earns but is not paid.
    PartnerSuspended { partner: String },
    /// The partner is paid again.
    PartnerReinstated { partner: String },
    /// A client signed up and is credited to the partner.
    ReferralCreated {
        referral: String,
        partner: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_email_domain: Option<String>,
    },
    /// A person looked at the referral and found it right.
    ReferralCleared {
        referral: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A person looked at the referral and found that it should never have counted.
    ReferralRejected {
        referral: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The credit is corrected: everything about the referral belongs to this partner, from its sign-up on.
    ReferralMoved { referral: String, partner: String, reason: String },
    /// A client's subscription began, at a price per interval.
    SubscriptionStarted { subscription: String, referral: String, interval: Interval, amount_minor: i64 },
    /// The price or the interval of a subscription changed.
    SubscriptionChanged { subscription: String, interval: Interval, amount_minor: i64 },
    /// A subscription ended.
    SubscriptionCanceled { subscription: String },
    /// Money was collected: after discounts and credits, without tax.
    InvoicePaid {
        invoice: String,
        subscription: String,
        amount_minor: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        period_start: Option<DateTime<Utc>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        period_end: Option<DateTime<Utc>>,
    },
    /// Money went back to the client. The amount is that of this refund alone.
    InvoiceRefunded {
        invoice: String,
        amount_minor: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        refund: Option<String>,
    },
    /// That refund never happened.
    RefundFailed { refund: String },
    /// The client's bank asks for the money of an invoice.
    DisputeOpened { dispute: String, invoice: String, amount_minor: i64 },
    /// The bank decided.
    DisputeClosed { dispute: String, outcome: Outcome },
    /// A person added or took an amount, which may be negative.
    AdjustmentMade { partner: String, amount_minor: i64, reason: String },
    /// The partner was paid.
    PayoutPaid { payout: String, partner: String, amount_minor: i64 },
    /// All of a payout, or the given part of it, came back.
    PayoutReversed {
        payout: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        amount_minor: Option<i64>,
    },
}

impl FactBody {
    /// The `type` of the fact, as a journal line spells it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::PartnerJoined { .. } => "partner_joined",
            Self::PartnerSuspended { .. } => "partner_suspended",
            Self::PartnerReinstated { .. } => "partner_reinstated",
            Self::ReferralCreated { .. } => "referral_created",
            Self::ReferralCleared { .. } => "referral_cleared",
            Self::ReferralRejected { .. } => "referral_rejected",
            Self::ReferralMoved { .. } => "referral_moved",
            Self::SubscriptionStarted { .. } => "subscription_started",
            Self::SubscriptionChanged { .. } => "subscription_changed",
            Self::SubscriptionCanceled { .. } => "subscription_canceled",
            Self::InvoicePaid { .. } => "invoice_paid",
            Self::InvoiceRefunded { .. } => "invoice_refunded",
            Self::RefundFailed { .. } => "refund_failed",
            Self::DisputeOpened { .. } => "dispute_opened",
            Self::DisputeClosed { .. } => "dispute_closed",
            Self::AdjustmentMade { .. } => "adjustment_made",
            Self::PayoutPaid { .. } => "payout_paid",
            Self::PayoutReversed { .. } => "payout_reversed",
        }
    }
}

/// How often a subscription is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum Interval {
    /// Every month.
    Month,
    /// Every year.
    Year,
}

impl Interval {
    /// A price per interval as a price per year. `i128`, so that it cannot overflow.
    pub fn annualised_minor(self, amount_minor: i64) -> i128 {
        match self {
            Self::Month => i128::from(amount_minor) * 12,
            Self::Year => i128::from(amount_minor),
        }
    }
}

/// How a dispute ended, seen from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The money stayed.
    Won,
    /// The money went back.
    Lost,
}
