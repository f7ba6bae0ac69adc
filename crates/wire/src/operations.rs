//! What runs by itself and who is told of it: preferences of people, deliveries to AIKit, the brake on payouts, health.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// `GET /v1/preferences` and `POST /v1/preferences`: which e-mail a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preferences {
    /// The welcome, and the first commission.
    pub milestones: bool,
    /// A payout was sent.
    pub payouts: bool,
    /// Something that keeps the agency from being paid. Cannot be switched off: a change that says `false` is refused.
    #[serde(default = "yes")]
    pub action_needed: bool,
}

fn yes() -> bool {
    true
}

/// One event on its way to one endpoint, in `GET /v1/webhook-deliveries`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WebhookDelivery {
    /// Number of the delivery.
    pub delivery: i64,
    /// Id of the event.
    pub event: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name of the endpoint.
    pub endpoint: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u32,
    /// When it is tried next.
    pub due_at: Option<DateTime<Utc>>,
    /// When it was taken.
    pub delivered_at: Option<DateTime<Utc>>,
    /// HTTP status of the last try, where something answered.
    pub last_status: Option<u16>,
    /// What went wrong at the last try.
    pub last_note: Option<String>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its next try.
    Due,
    /// Answered with a 2xx.
    Delivered,
    /// Given up after three days; can be sent again.
    Failed,
}

/// Query of `GET /v1/webhook-deliveries`: a page, the newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema, utoipa::IntoParams)]
pub struct WebhookDeliveries {
    /// Only those that stand so.
    pub state: Option<DeliveryState>,
    /// Only those of this endpoint.
    pub endpoint: Option<String>,
    /// Only deliveries with a smaller number: the last one of the page before.
    pub before: Option<i64>,
}

/// `GET /v1/payouts-lock`: the brake on payouts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct PayoutLock {
    /// Nothing is claimed and no intent is recorded.
    pub locked: bool,
    /// Id of the lock.
    pub lock: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// The admin who agreed to lift it.
    pub admin: Option<String>,
    /// The person of finance who agreed to lift it.
    pub finance: Option<String>,
}

/// `POST /v1/payouts-lock/lock`: needs a fresh sign-in of finance or an admin.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct LockPayouts {
    /// Why, for those who must lift it.
    pub reason: String,
}

/// `POST /v1/payouts-lock/unlock`: one of the two consents. Needs a fresh sign-in of finance or an admin.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct UnlockPayouts {
    /// The lock that was looked at.
    pub lock: String,
    /// Why it may be lifted.
    pub reason: String,
}

/// `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`; a database that cannot be written answers 503 instead.
    pub status: String,
    /// Version of the program.
    pub version: String,
    /// Events of Stripe that are stored and not processed yet.
    pub inbox: Lag,
    /// Deliveries to AIKit whose time has come.
    pub webhooks: Lag,
    /// E-mail whose time has come.
    pub mail: Lag,
    /// Payouts are locked.
    pub payouts_locked: bool,
}

/// How far something is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Lag {
    /// How many wait.
    pub waiting: u32,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_s: i64,
}
