//! The facts that a journal is made of (docs/rules.md §1).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One thing that happened. It serialises to the JSON object of a journal line, absent fields left out, and
/// deserialises under the same checks as [`crate::parse_fact`]. Its texts are its own, unless something else stands for
/// them: a part of a line that is being read, or the number under which a journal keeps a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fact<Text = String> {
    /// Unique in a journal. A fact that comes again with the same id and content counts once.
    pub id: Text,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub body: FactBody<Text>,
}

/// What happened, with the ids of everything it is about. Amounts are minor units of the settlement currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(missing_docs, reason = "The fields are named and explained once, in the table of docs/rules.md §1.")]
pub enum FactBody<Text = String> {
    /// An agency joined the program. `country` is ISO 3166-1 alpha-2.
    PartnerJoined {
        partner: Text,
        name: Text,
        website: Text,
        #[serde(skip_serializing_if = "Option::is_none")]
        country: Option<Text>,
    },
    /// From now on the partner earns but is not paid.
    PartnerSuspended { partner: Text },
    /// The partner is paid again.
    PartnerReinstated { partner: Text },
    /// A client signed up and is credited to the partner.
    ReferralCreated {
        referral: Text,
        partner: Text,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_email_domain: Option<Text>,
    },
    /// A person looked at the referral and found it right.
    ReferralCleared {
        referral: Text,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
    },
    /// A person looked at the referral and found that it should never have counted.
    ReferralRejected {
        referral: Text,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
    },
    /// The decision is taken back: the referral is as if nobody had decided about it.
    ReferralReopened {
        referral: Text,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<Text>,
    },
    /// The credit is corrected: everything about the referral belongs to this partner, from its sign-up on.
    ReferralMoved { referral: Text, partner: Text, reason: Text },
    /// A client's subscription began, at a price per interval.
    SubscriptionStarted { subscription: Text, referral: Text, interval: Interval, amount_minor: i64 },
    /// The price or the interval of a subscription changed.
    SubscriptionChanged { subscription: Text, interval: Interval, amount_minor: i64 },
    /// A subscription ended.
    SubscriptionCanceled { subscription: Text },
    /// Money was collected: after discounts and credits, without tax.
    InvoicePaid {
        invoice: Text,
        subscription: Text,
        amount_minor: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        period_start: Option<DateTime<Utc>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        period_end: Option<DateTime<Utc>>,
    },
    /// Money went back to the client. The amount is that of this refund alone.
    InvoiceRefunded {
        invoice: Text,
        amount_minor: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        refund: Option<Text>,
    },
    /// That refund never happened.
    RefundFailed { refund: Text },
    /// The client's bank asks for the money of an invoice.
    DisputeOpened { dispute: Text, invoice: Text, amount_minor: i64 },
    /// The bank decided.
    DisputeClosed { dispute: Text, outcome: Outcome },
    /// A person added or took an amount, which may be negative.
    AdjustmentMade { partner: Text, amount_minor: i64, reason: Text },
    /// The partner was paid.
    PayoutPaid { payout: Text, partner: Text, amount_minor: i64 },
    /// All of a payout, or the given part of it, came back.
    PayoutReversed {
        payout: Text,
        #[serde(skip_serializing_if = "Option::is_none")]
        amount_minor: Option<i64>,
    },
}

/// The kinds of texts in a fact. Two texts of different kinds are different things, even when they are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Fact,
    Partner,
    Referral,
    Subscription,
    Invoice,
    Refund,
    Dispute,
    Payout,
    /// Whatever names nothing.
    Words,
}

impl Space {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::Words as usize + 1;
}

impl<Text> Fact<Text> {
    /// The same fact with something else in the place of each text.
    pub(crate) fn map<'f, To>(&'f self, mut to: impl FnMut(Space, &'f Text) -> To) -> Fact<To> {
        Fact { id: to(Space::Fact, &self.id), at: self.at, body: self.body.map(to) }
    }
}

impl<Text> FactBody<Text> {
    /// The same with something else in the place of each text.
    fn map<'f, To>(&'f self, mut to: impl FnMut(Space, &'f Text) -> To) -> FactBody<To> {
        use FactBody as F;
        use Space as S;
        match self {
            F::PartnerJoined { partner, name, website, country } => F::PartnerJoined {
                partner: to(S::Partner, partner),
                name: to(S::Words, name),
                website: to(S::Words, website),
                country: country.as_ref().map(|country| to(S::Words, country)),
            },
            F::PartnerSuspended { partner } => F::PartnerSuspended { partner: to(S::Partner, partner) },
            F::PartnerReinstated { partner } => F::PartnerReinstated { partner: to(S::Partner, partner) },
            F::ReferralCreated { referral, partner, client_email_domain } => F::ReferralCreated {
                referral: to(S::Referral, referral),
                partner: to(S::Partner, partner),
                client_email_domain: client_email_domain.as_ref().map(|domain| to(S::Words, domain)),
            },
            F::ReferralCleared { referral, reason } => F::ReferralCleared {
                referral: to(S::Referral, referral),
                reason: reason.as_ref().map(|reason| to(S::Words, reason)),
            },
            F::ReferralRejected { referral, reason } => F::ReferralRejected {
                referral: to(S::Referral, referral),
                reason: reason.as_ref().map(|reason| to(S::Words, reason)),
            },
            F::ReferralReopened { referral, reason } => F::ReferralReopened {
                referral: to(S::Referral, referral),
                reason: reason.as_ref().map(|reason| to(S::Words, reason)),
            },
            F::ReferralMoved { referral, partner, reason } => F::ReferralMoved {
                referral: to(S::Referral, referral),
                partner: to(S::Partner, partner),
                reason: to(S::Words, reason),
            },
            &F::SubscriptionStarted { ref subscription, ref referral, interval, amount_minor } => {
                F::SubscriptionStarted {
                    subscription: to(S::Subscription, subscription),
                    referral: to(S::Referral, referral),
                    interval,
                    amount_minor,
                }
            }
            &F::SubscriptionChanged { ref subscription, interval, amount_minor } => {
                F::SubscriptionChanged { subscription: to(S::Subscription, subscription), interval, amount_minor }
            }
            F::SubscriptionCanceled { subscription } => {
                F::SubscriptionCanceled { subscription: to(S::Subscription, subscription) }
            }
            &F::InvoicePaid { ref invoice, ref subscription, amount_minor, period_start, period_end } => {
                F::InvoicePaid {
                    invoice: to(S::Invoice, invoice),
                    subscription: to(S::Subscription, subscription),
                    amount_minor,
                    period_start,
                    period_end,
                }
            }
            &F::InvoiceRefunded { ref invoice, amount_minor, ref refund } => F::InvoiceRefunded {
                invoice: to(S::Invoice, invoice),
                amount_minor,
                refund: refund.as_ref().map(|refund| to(S::Refund, refund)),
            },
            F::RefundFailed { refund } => F::RefundFailed { refund: to(S::Refund, refund) },
            &F::DisputeOpened { ref dispute, ref invoice, amount_minor } => {
                F::DisputeOpened { dispute: to(S::Dispute, dispute), invoice: to(S::Invoice, invoice), amount_minor }
            }
            &F::DisputeClosed { ref dispute, outcome } => {
                F::DisputeClosed { dispute: to(S::Dispute, dispute), outcome }
            }
            &F::AdjustmentMade { ref partner, amount_minor, ref reason } => {
                F::AdjustmentMade { partner: to(S::Partner, partner), amount_minor, reason: to(S::Words, reason) }
            }
            &F::PayoutPaid { ref payout, ref partner, amount_minor } => {
                F::PayoutPaid { payout: to(S::Payout, payout), partner: to(S::Partner, partner), amount_minor }
            }
            &F::PayoutReversed { ref payout, amount_minor } => {
                F::PayoutReversed { payout: to(S::Payout, payout), amount_minor }
            }
        }
    }

    /// The `type` of the fact, as a journal line spells it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::PartnerJoined { .. } => "partner_joined",
            Self::PartnerSuspended { .. } => "partner_suspended",
            Self::PartnerReinstated { .. } => "partner_reinstated",
            Self::ReferralCreated { .. } => "referral_created",
            Self::ReferralCleared { .. } => "referral_cleared",
            Self::ReferralRejected { .. } => "referral_rejected",
            Self::ReferralReopened { .. } => "referral_reopened",
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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
