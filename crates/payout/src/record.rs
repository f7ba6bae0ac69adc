use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{Effect, QUARANTINE_H, REPLAY_WINDOW_H, SealedItem};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(rename = "PayoutState"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = PayoutState))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is on its way.
    Queued,
    /// An intent is recorded and its answer awaited.
    Sending,
    /// It was sent and the outcome is not known.
    Unknown,
    /// A person must look; never sent from here.
    Review,
    /// Stripe has the transfer.
    Paid,
    /// Closed without a payment.
    Void,
}

impl State {
    /// Nothing more will happen to it.
    pub fn is_final(self) -> bool {
        matches!(self, State::Paid | State::Void)
    }

    /// The name in the database and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Unknown => "unknown",
            State::Review => "review",
            State::Paid => "paid",
            State::Void => "void",
        }
    }
}

/// The record of one payment, as the API keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was approved.
    pub item: SealedItem,
    /// `test` or `live`.
    pub environment: String,
    /// What the transfer is called at Stripe.
    pub description: String,
    /// Where it stands.
    pub state: State,
    /// Every attempt, the oldest first.
    pub attempts: Vec<Attempt>,
    /// Stripe's transfer, once paid.
    pub transfer: Option<String>,
    /// When Stripe made it.
    pub paid_at: Option<DateTime<Utc>>,
    /// What Stripe or a check last said against it.
    pub problem: Option<String>,
    /// Not handed out until the problem is solved.
    pub held: bool,
    /// Looks at Stripe after the quarantine that found nothing; `None` until there is one.
    pub nothing: Option<Nothing>,
}

/// Since when nothing of a payment is found at Stripe, by looks after its quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nothing {
    /// The first of these looks.
    pub since: DateTime<Utc>,
    /// The newest.
    pub last: DateTime<Utc>,
}

/// One attempt: a key, frozen parameters, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub n: i64,
    /// First send.
    pub first_sent_at: DateTime<Utc>,
    /// Newest send.
    pub last_sent_at: DateTime<Utc>,
    /// What came of it, as far as it is known.
    pub outcome: Option<Outcome>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Stripe has the transfer.
    Accepted,
    /// A definite refusal: nothing moved for this key, and nothing ever will.
    Refused,
    /// No usable answer; the same key may be sent again within the window.
    Lost,
    /// A 5xx: it may still be carried out, and its key replays the failure.
    ServerError,
}

/// Parameters of a transfer; frozen with the seal, so that every resend of an attempt is the same request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransferParams {
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Connected account.
    pub destination: String,
    /// `aikit:{environment}:{item}`: how a transfer is found again.
    pub transfer_group: String,
    /// Shown in Stripe's dashboard.
    pub description: String,
    /// `metadata.item`.
    pub item: String,
}

/// A transfer as Stripe shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transfer {
    /// `tr_…`.
    pub id: String,
    /// When Stripe made it.
    pub created: DateTime<Utc>,
    /// Minor units.
    pub amount_minor: i64,
    /// Of which reversed.
    pub amount_reversed_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Connected account.
    pub destination: String,
    /// `metadata.item`.
    pub item: Option<String>,
}

impl Record {
    /// A payment that nothing was done about yet.
    pub fn new(item: SealedItem, environment: String, description: String) -> Record {
        Record {
            item,
            environment,
            description,
            state: State::Queued,
            attempts: Vec::new(),
            transfer: None,
            paid_at: None,
            problem: None,
            held: false,
            nothing: None,
        }
    }

    /// The request of every attempt of this item.
    pub fn params(&self) -> TransferParams {
        TransferParams {
            amount_minor: self.item.amount_minor,
            currency: self.item.currency.clone(),
            destination: self.item.destination.clone(),
            transfer_group: format!("aikit:{}:{}", self.environment, self.item.item),
            description: self.description.clone(),
            item: self.item.item.clone(),
        }
    }

    /// Idempotency key of an attempt.
    pub fn key(&self, attempt: i64) -> String {
        format!("aikit-{}-po-{}-{attempt}", self.environment, self.item.item)
    }

    pub(crate) fn is_ours(&self, t: &Transfer) -> bool {
        t.item.as_deref() == Some(&self.item.item)
            && t.amount_minor == self.item.amount_minor
            && t.currency == self.item.currency
            && t.destination == self.item.destination
            && t.amount_reversed_minor == 0
    }

    /// Until when a request of it may still be carried out; `None` where nothing was recorded as sent.
    pub fn quarantine_until(&self) -> Option<DateTime<Utc>> {
        self.attempts.iter().map(|a| a.last_sent_at).max().map(|sent| sent + TimeDelta::hours(QUARANTINE_H))
    }

    /// A look found nothing.
    pub(crate) fn found_nothing(&mut self, now: DateTime<Utc>) {
        if self.quarantine_until().is_none_or(|until| now >= until) {
            let since = self.nothing.map_or(now, |nothing| nothing.since);
            self.nothing = Some(Nothing { since, last: now });
        }
    }

    /// The attempt to send next, if nothing of this item is at Stripe.
    pub(crate) fn next_attempt(&self, now: DateTime<Utc>) -> Option<i64> {
        let last = self.attempts.last();
        match self.state {
            State::Queued => Some(last.map_or(1, |a| a.n + 1)),
            State::Sending | State::Unknown => last
                .filter(|a| a.outcome != Some(Outcome::ServerError))
                .filter(|a| now - a.first_sent_at < TimeDelta::hours(REPLAY_WINDOW_H))
                .map(|a| a.n),
            State::Review | State::Paid | State::Void => None,
        }
    }

    pub(crate) fn settle(mut self, transfer: &Transfer) -> (Record, Vec<Effect>) {
        self.state = State::Paid;
        self.transfer = Some(transfer.id.clone());
        self.paid_at = Some(transfer.created);
        self.problem = None;
        let effect = Effect::PostPaid { transfer: transfer.id.clone(), at: transfer.created };
        (self, vec![effect])
    }

    pub(crate) fn review(mut self, problem: String) -> Record {
        self.state = State::Review;
        self.problem = Some(problem);
        self
    }
}
