//! One journal line, field by field: which fields a type has and of which JSON kind each is (docs/rules.md §1).

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::fact::{Fact, FactBody, Interval, Outcome};
use crate::journal::{FactError, parse_time};
use crate::possible::check;

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fact = RawFact::deserialize(deserializer)?.into_fact().map_err(serde::de::Error::custom)?;
        Ok(fact.map(|_, text| text.as_ref().to_owned()))
    }
}

/// A value of any JSON kind. Reading it never fails, so that a wrong kind becomes an error that names its field, and
/// only where the field belongs to the type of the fact.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Slot<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Integer(i64),
    Other(&'static str),
}

impl<'de: 'a, 'a> Deserialize<'de> for Slot<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SlotVisitor)
    }
}

struct SlotVisitor;

impl<'de> Visitor<'de> for SlotVisitor {
    type Value = Slot<'de>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Slot::Absent)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Slot::Other("true or false"))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Slot::Integer(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Slot::Other("a number out of range"), Slot::Integer))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Slot::Other("a number with a fraction, an exponent or too many digits"))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Slot::Text(Cow::Borrowed(value)))
    }
    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Slot::Text(Cow::Owned(value.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Slot::Other("a list"))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Slot::Other("an object"))
    }
}

impl<'a> Slot<'a> {
    fn text(self, field: &str) -> Result<Option<Cow<'a, str>>, FactError> {
        let kind = match self {
            Self::Absent => return Ok(None),
            Self::Text(text) => return Ok(Some(text)),
            Self::Integer(_) => "a number",
            Self::Other(kind) => kind,
        };
        Err(FactError::new(field, format!("must be a string, not {kind}")))
    }

    fn required_text(self, field: &str) -> Result<Cow<'a, str>, FactError> {
        self.text(field)?.ok_or_else(|| FactError::new(field, "is missing"))
    }

    fn optional_integer(self, field: &str) -> Result<Option<i64>, FactError> {
        let kind = match self {
            Self::Absent => return Ok(None),
            Self::Integer(value) => return Ok(Some(value)),
            Self::Text(_) => "a string",
            Self::Other(kind) => kind,
        };
        Err(FactError::new(field, format!("must be a whole number of minor units, not {kind}")))
    }

    fn integer(self, field: &str) -> Result<i64, FactError> {
        self.optional_integer(field)?.ok_or_else(|| FactError::new(field, "is missing"))
    }

    fn optional_time(self, field: &str) -> Result<Option<DateTime<Utc>>, FactError> {
        self.text(field)?.map(|text| parse_time(&text).map_err(|message| FactError::new(field, message))).transpose()
    }

    /// One of a few words, each with its meaning.
    fn word<T: Copy>(self, field: &str, words: [(&str, T); 2]) -> Result<T, FactError> {
        let text = self.text(field)?.ok_or_else(|| FactError::new(field, "is missing"))?;
        let found = words.iter().find(|(word, _)| *word == text).map(|&(_, meaning)| meaning);
        found
            .ok_or_else(|| FactError::new(field, format!("must be `{}` or `{}`, not `{text}`", words[0].0, words[1].0)))
    }
}

/// Every field of every type, unread.
#[derive(serde::Deserialize)]
#[serde(default)]
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RawFact<'a> {
    #[serde(borrow)]
    id: Slot<'a>,
    #[serde(borrow)]
    at: Slot<'a>,
    #[serde(borrow, rename = "type")]
    kind: Slot<'a>,
    #[serde(borrow)]
    partner: Slot<'a>,
    #[serde(borrow)]
    name: Slot<'a>,
    #[serde(borrow)]
    website: Slot<'a>,
    #[serde(borrow)]
    country: Slot<'a>,
    #[serde(borrow)]
    referral: Slot<'a>,
    #[serde(borrow)]
    client_email_domain: Slot<'a>,
    #[serde(borrow)]
    reason: Slot<'a>,
    #[serde(borrow)]
    subscription: Slot<'a>,
    #[serde(borrow)]
    interval: Slot<'a>,
    #[serde(borrow)]
    amount_minor: Slot<'a>,
    #[serde(borrow)]
    invoice: Slot<'a>,
    #[serde(borrow)]
    period_start: Slot<'a>,
    #[serde(borrow)]
    period_end: Slot<'a>,
    #[serde(borrow)]
    refund: Slot<'a>,
    #[serde(borrow)]
    dispute: Slot<'a>,
    #[serde(borrow)]
    outcome: Slot<'a>,
    #[serde(borrow)]
    payout: Slot<'a>,
}

impl<'a> RawFact<'a> {
    /// The field of a name.
    pub(crate) fn slot(&mut self, name: &str) -> Option<&mut Slot<'a>> {
        Some(match name {
            "id" => &mut self.id,
            "at" => &mut self.at,
            "type" => &mut self.kind,
            "partner" => &mut self.partner,
            "name" => &mut self.name,
            "website" => &mut self.website,
            "country" => &mut self.country,
            "referral" => &mut self.referral,
            "client_email_domain" => &mut self.client_email_domain,
            "reason" => &mut self.reason,
            "subscription" => &mut self.subscription,
            "interval" => &mut self.interval,
            "amount_minor" => &mut self.amount_minor,
            "invoice" => &mut self.invoice,
            "period_start" => &mut self.period_start,
            "period_end" => &mut self.period_end,
            "refund" => &mut self.refund,
            "dispute" => &mut self.dispute,
            "outcome" => &mut self.outcome,
            "payout" => &mut self.payout,
            _ => return None,
        })
    }

    /// The fact, if every field that its type has is there, of the right kind and possible.
    pub(crate) fn into_fact(self) -> Result<Fact<Cow<'a, str>>, FactError> {
        let missing = |field: &str| FactError::new(field, "is missing");
        let id = self.id.required_text("id")?;
        let at = self.at.optional_time("at")?.ok_or_else(|| missing("at"))?;
        let kind = self.kind.text("type")?.ok_or_else(|| missing("type"))?;
        let intervals = [("month", Interval::Month), ("year", Interval::Year)];
        let body = match &*kind {
            "partner_joined" => FactBody::PartnerJoined {
                partner: self.partner.required_text("partner")?,
                name: self.name.required_text("name")?,
                website: self.website.required_text("website")?,
                country: self.country.text("country")?,
            },
            "partner_suspended" => FactBody::PartnerSuspended { partner: self.partner.required_text("partner")? },
            "partner_reinstated" => FactBody::PartnerReinstated { partner: self.partner.required_text("partner")? },
            "referral_created" => FactBody::ReferralCreated {
                referral: self.referral.required_text("referral")?,
                partner: self.partner.required_text("partner")?,
                client_email_domain: self.client_email_domain.text("client_email_domain")?,
            },
            "referral_cleared" => FactBody::ReferralCleared {
                referral: self.referral.required_text("referral")?,
                reason: self.reason.text("reason")?,
            },
            "referral_rejected" => FactBody::ReferralRejected {
                referral: self.referral.required_text("referral")?,
                reason: self.reason.text("reason")?,
            },
            "referral_reopened" => FactBody::ReferralReopened {
                referral: self.referral.required_text("referral")?,
                reason: self.reason.text("reason")?,
            },
            "referral_moved" => FactBody::ReferralMoved {
                referral: self.referral.required_text("referral")?,
                partner: self.partner.required_text("partner")?,
                reason: self.reason.required_text("reason")?,
            },
            "subscription_started" => FactBody::SubscriptionStarted {
                subscription: self.subscription.required_text("subscription")?,
                referral: self.referral.required_text("referral")?,
                interval: self.interval.word("interval", intervals)?,
                amount_minor: self.amount_minor.integer("amount_minor")?,
            },
            "subscription_changed" => FactBody::SubscriptionChanged {
                subscription: self.subscription.required_text("subscription")?,
                interval: self.interval.word("interval", intervals)?,
                amount_minor: self.amount_minor.integer("amount_minor")?,
            },
            "subscription_canceled" => {
                FactBody::SubscriptionCanceled { subscription: self.subscription.required_text("subscription")? }
            }
            "invoice_paid" => FactBody::InvoicePaid {
                invoice: self.invoice.required_text("invoice")?,
                subscription: self.subscription.required_text("subscription")?,
                amount_minor: self.amount_minor.integer("amount_minor")?,
                period_start: self.period_start.optional_time("period_start")?,
                period_end: self.period_end.optional_time("period_end")?,
            },
            "invoice_refunded" => FactBody::InvoiceRefunded {
                invoice: self.invoice.required_text("invoice")?,
                amount_minor: self.amount_minor.integer("amount_minor")?,
                refund: self.refund.text("refund")?,
            },
            "refund_failed" => FactBody::RefundFailed { refund: self.refund.required_text("refund")? },
            "dispute_opened" => FactBody::DisputeOpened {
                dispute: self.dispute.required_text("dispute")?,
                invoice: self.invoice.required_text("invoice")?,
                amount_minor: self.amount_minor.integer("amount_minor")?,
            },
            "dispute_closed" => FactBody::DisputeClosed {
                dispute: self.dispute.required_text("dispute")?,
                outcome: self.outcome.word("outcome", [("won", Outcome::Won), ("lost", Outcome::Lost)])?,
            },
            "adjustment_made" => FactBody::AdjustmentMade {
                partner: self.partner.required_text("partner")?,
                amount_minor: self.amount_minor.integer("amount_minor")?,
                reason: self.reason.required_text("reason")?,
            },
            "payout_paid" => FactBody::PayoutPaid {
                payout: self.payout.required_text("payout")?,
                partner: self.partner.required_text("partner")?,
                amount_minor: self.amount_minor.integer("amount_minor")?,
            },
            "payout_reversed" => FactBody::PayoutReversed {
                payout: self.payout.required_text("payout")?,
                amount_minor: self.amount_minor.optional_integer("amount_minor")?,
            },
            _ => return Err(FactError::new("type", format!("`{kind}` is unknown"))),
        };
        let fact = Fact { id, at, body };
        check(&fact)?;
        Ok(fact)
    }
}
