//! The calls of an executor: the program that holds the money key. The records are the API's.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A send grant: the right to claim the items of one approved run.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// Id of the grant.
    pub grant: String,
    /// The run.
    pub run: String,
    /// The seal.
    pub run_hash: String,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
}

/// `POST /v1/runs/{run}/claims`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimItems {
    /// Id of the grant.
    pub grant: String,
    /// Name of the executor, for the record.
    pub executor: String,
    /// At most this many.
    pub limit: u32,
    /// The hash of a seal that this executor has and has recomputed, so that it need not be handed out again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_seal: Option<String>,
}

/// What a claim hands out: the seal, so that the executor can recompute its hash, and the items.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Claimed {
    /// The whole seal; `null` where the executor has it.
    pub seal: Option<payout::Seal>,
    /// The items that are this executor's for the length of the lease.
    pub items: Vec<ClaimedItem>,
    /// Items of the run that are not settled, the claimed ones included.
    pub open: u32,
    /// What those come to that were not sent yet, in minor units: so much must be in the balance.
    pub open_minor: i64,
}

/// `POST /v1/executor/grants/{grant}/stop`: nothing more can be sent under this grant, for a reason that finance must solve.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StopSending {
    /// Why, in 1 to 500 characters, for finance.
    pub reason: String,
}

/// An item under lease.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClaimedItem {
    /// Id of the item.
    pub item: String,
    /// Number of this lease; every later call carries it.
    pub fence: i64,
    /// Version of the item's record.
    pub version: i64,
}

/// `POST /v1/items/{item}/observations`: what Stripe lists under the item's transfer group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Observe {
    /// Id of the grant.
    pub grant: String,
    /// The lease.
    pub fence: i64,
    /// All transfers of the group, all pages.
    pub transfers: Vec<payout::Transfer>,
}

/// What to do with an item after looking.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Observed {
    /// It is settled: nothing to send.
    Settled,
    /// A person must look: nothing to send.
    Review,
    /// Record the intent of this attempt, then send it.
    Send {
        /// Number of the attempt.
        attempt: i64,
        /// Version of the item's record.
        version: i64,
    },
}

/// `POST /v1/items/{item}/intents`: record that the attempt is about to be sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordIntent {
    /// Id of the grant.
    pub grant: String,
    /// The lease.
    pub fence: i64,
    /// Version of the item's record.
    pub version: i64,
    /// Number of the attempt.
    pub attempt: i64,
}

/// A recorded intent: the key and the frozen parameters to send.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Intent {
    /// Number of the attempt.
    pub attempt: i64,
    /// Idempotency key, made by the API.
    pub key: String,
    /// The same parameters at every resend of this attempt.
    pub params: payout::TransferParams,
}

/// `POST /v1/items/{item}/settlements`: what Stripe answered. Idempotent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Settle {
    /// Number of the attempt.
    pub attempt: i64,
    /// The answer.
    pub answer: payout::Answer,
}

/// Where the item stands after a settlement.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Settled {
    /// State of the item.
    pub state: payout::State,
    /// The run must not go on (balance, credentials).
    pub stop: bool,
}
