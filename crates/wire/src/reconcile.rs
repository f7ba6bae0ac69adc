use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

pub use payout::Mismatch;

/// `POST /v1/reconciliations`: hold the records against Stripe now.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Reconcile {
    /// Transfers of so many days, 1 to 400.
    pub days: u32,
}

/// The records of payouts beside Stripe's transfers and its balance. Amounts are minor units.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Reconciliation {
    /// Its id.
    pub reconciliation: String,
    /// When it was made.
    pub at: DateTime<Utc>,
    /// Transfers from this instant on; `null` for all.
    pub since: Option<DateTime<Utc>>,
    /// Who asked for it; `null` for the daily one.
    pub by: Option<String>,
    /// What the records say was paid and not reversed.
    pub recorded_minor: i64,
    /// What Stripe's transfers say.
    pub transferred_minor: i64,
    /// What those transfers took from the balance, before reversals.
    pub booked_minor: i64,
    /// Transfers of this program.
    pub transfers: u32,
    /// Transfers of the same Stripe account that are for no payout.
    pub others: u32,
    /// Payouts that are so new that Stripe's lists may leave them out; not in the sums.
    pub too_new: u32,
    /// Payouts whose transfer was found by this, and which are recorded as paid since.
    pub settled: u32,
    /// Payouts that are not explained.
    pub found: u32,
    /// They, the worst first; the first two hundred.
    pub findings: Vec<ReconciliationFinding>,
}

/// A payout that the records and Stripe disagree about.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ReconciliationFinding {
    /// What is wrong.
    pub mismatch: Mismatch,
    /// Id of the payout's item.
    pub item: String,
    /// Partner code, where the item is known.
    pub partner: Option<String>,
    /// Agency name.
    pub name: Option<String>,
    /// Its transfers at Stripe, or the one that was recorded.
    pub transfers: Vec<String>,
    /// What the records say was paid and not reversed.
    pub recorded_minor: i64,
    /// What Stripe's transfers say.
    pub transferred_minor: i64,
    /// The same in words, with what to do.
    pub text: String,
}
