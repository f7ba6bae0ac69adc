//! Stripe through one pooled client, and the executor that sends a run of payouts.
//!
//! [`StripeHttp`] speaks to Stripe with the request builders and types of async-stripe, [`Ledger`] is the Referral API's
//! record of a run, and [`Executor`] walks from one to the other, item by item. It decides nothing about a payment:
//! `payout::step`, behind the ledger, does. What it owns is what only the sender can own: that the run is the approved
//! one, that an intent is recorded before anything is sent, that nothing is sent late, and the pace.
//!
//! Invariant: no call is repeated by a library. A transfer is sent again only through a new look at Stripe and a new
//! intent.

mod client;
mod clock;
mod executor;
mod ledger;
mod pace;
mod pass;
mod report;
mod transfers;

pub use client::{Audit, ConfigError, Exchange, LogAudit, StripeError, StripeHttp};
pub use clock::{Clock, Deadline, SystemClock};
pub use executor::Executor;
pub use ledger::{HttpLedger, Ledger, LedgerError};
pub use pace::Pace;
pub use report::{Cancel, Outcome, Progress, Report, Stop};
pub use transfers::{NotSent, Standing, Transfers};
