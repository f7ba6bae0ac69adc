//! Money that moves exactly once, as pure decisions: no clock, no I/O, no SQL.
//!
//! [`Seal`] is what finance approves and [`Seal::run_hash`] its name. [`step`] takes the record of one payment and what
//! was learned, and says what the record becomes. The API stores what it says under a guard; the executor does what it
//! is told. Nothing else may decide about a payment.

mod reconcile;
mod record;
mod resolve;
mod seal;
mod step;

pub use reconcile::{Booked, Comparison, Finding, Mismatch, Recorded, reconcile};
pub use record::{Attempt, Nothing, Outcome, Record, State, Transfer, TransferParams};
pub use resolve::Resolution;
pub use seal::{Changed, Seal, SealedItem, SealedNotPaid};
pub use step::{Answer, Decision, Effect, Event, Refusal, step};

/// For this long after the first send, Stripe is trusted to replay an idempotency key instead of paying again (hours).
pub const REPLAY_WINDOW_H: i64 = 20;
/// From before the intent is recorded, the request must be on its way within this time (seconds).
pub const SEND_DEADLINE_S: u64 = 30;
/// Length of a lease on an item (seconds).
pub const LEASE_S: i64 = 120;
/// Length of a send grant (hours).
pub const GRANT_H: i64 = 8;
/// For this long after the last send, Stripe may still carry a request out, or its lists leave a transfer out (hours).
pub const QUARANTINE_H: i64 = 96;
/// Two looks that say that nothing was paid are so far apart, at least (hours).
pub const LOOKS_APART_H: i64 = 1;
