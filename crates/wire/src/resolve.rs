use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::PayoutState;
pub use payout::Outcome;

/// `GET /v1/items/{item}/check` and `POST …/look`: what is known of one payment of a sealed run.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ItemCheck {
    /// Id of the item.
    pub item: String,
    /// Where it stands.
    pub state: PayoutState,
    /// What was said against it last.
    pub problem: Option<String>,
    /// What was approved, in minor units.
    pub amount_minor: i64,
    /// The connected account that was approved.
    pub destination: String,
    /// Stripe's transfer, once paid.
    pub transfer: Option<String>,
    /// Every attempt, the oldest first.
    pub attempts: Vec<ItemAttempt>,
    /// Until when Stripe may still carry out what was sent; `null` where nothing was.
    pub quarantine_until: Option<DateTime<Utc>>,
    /// When the server or finance last looked at Stripe.
    pub looked_at: Option<DateTime<Utc>>,
    /// Why nobody may say yet that it was not paid, and what to do; `null` where one may.
    pub not_yet: Option<String>,
    /// What Stripe lists for it, where this answers a look.
    pub listed: Option<Vec<ListedTransfer>>,
    /// What people said of it, the oldest first.
    pub decisions: Vec<ItemDecision>,
    /// How many must say the same.
    pub decisions_needed: u32,
}

/// One attempt to pay.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ItemAttempt {
    /// From 1.
    pub n: u32,
    /// Its idempotency key: how Stripe's log finds it.
    pub key: String,
    /// When it was first about to be sent.
    pub first_sent_at: DateTime<Utc>,
    /// When it was last about to be sent.
    pub last_sent_at: DateTime<Utc>,
    /// What came of it, as far as it is known.
    pub outcome: Option<Outcome>,
}

/// A transfer in Stripe's list of an item.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ListedTransfer {
    /// `tr_…`.
    pub transfer: String,
    /// When Stripe made it.
    pub created: DateTime<Utc>,
    /// Minor units.
    pub amount_minor: i64,
    /// Of which reversed.
    pub reversed_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Connected account.
    pub destination: String,
}

/// What one person said of a payment that was with a person.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ItemDecision {
    /// What.
    pub resolution: ItemResolution,
    /// Of one found: the transfer.
    pub transfer: Option<String>,
    /// Address of who said so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
    /// It was said of what stands now: it counts.
    pub counts: bool,
}

/// How a payment that is with a person goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ItemResolution {
    /// This transfer pays it.
    Found,
    /// It was not paid: a new attempt, with a key of its own.
    Again,
    /// It was not paid, and is not paid by this run: it is due again.
    Void,
}

impl ItemResolution {
    /// The name in the database and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ItemResolution::Found => "found",
            ItemResolution::Again => "again",
            ItemResolution::Void => "void",
        }
    }
}

/// `POST /v1/items/{item}/resolution`: needs a fresh sign-in, and as many people as an approval.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ResolveItem {
    /// How it goes on.
    pub resolution: ItemResolution,
    /// Of one found: `tr_…`.
    #[serde(default)]
    pub transfer: Option<String>,
    /// Why, in 1 to 500 characters.
    pub reason: String,
}
