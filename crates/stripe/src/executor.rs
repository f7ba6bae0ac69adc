//! The program that holds the money key: sends one run, or every run that is granted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use wire::Grant;

use crate::clock::{Clock, backoff};
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::pass::{Means, Pass};
use crate::report::{Cancel, Progress, Report, Stop};
use crate::transfers::Transfers;

const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Between looks for grants, while the API does not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Sends runs: `L` keeps the records, `T` makes the transfers.
pub struct Executor<L, T> {
    means: Means<L, T>,
}

impl<L: Ledger, T: Transfers> Executor<L, T> {
    /// An executor of this name, which the records show.
    pub fn new(ledger: L, transfers: T, name: impl Into<String>, clock: Arc<dyn Clock>) -> Executor<L, T> {
        Executor { means: Means { ledger, transfers, name: name.into(), pace: Pace::default(), clock, account: None } }
    }

    /// Works at another pace.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Executor<L, T> {
        Executor { means: Means { pace, ..self.means } }
    }

    /// Sends from this Stripe account only (`acct_…`).
    #[must_use]
    pub fn from_account(self, account: Option<String>) -> Executor<L, T> {
        Executor { means: Means { account, ..self.means } }
    }

    /// One pass over a granted run: sends what may be sent, and says what it came to and why it ended early.
    ///
    /// Dropping the future is a crash, and as harmless as one.
    pub async fn run(&self, grant: &Grant, cancel: &Cancel, progress: impl Fn(Progress<'_>) + Send) -> Report {
        Pass::new(&self.means, grant, cancel).run(progress).await
    }

    /// Sends every run that is granted, until it is cancelled. It outlives restarts of the API.
    ///
    /// A grant whose run was stopped for good is left alone; to go on, the run is sent again with a new grant.
    pub async fn watch(&self, every: Duration, cancel: &Cancel, progress: impl Fn(Progress<'_>) + Send + Sync) {
        let mut stopped: HashMap<String, Stop> = HashMap::new();
        let mut failures = 0;
        while !cancel.is_cancelled() {
            let wait = match self.means.ledger.grants().await {
                Ok(grants) => {
                    if failures > 0 {
                        tracing::info!("The Referral API answers again.");
                    }
                    failures = 0;
                    stopped.retain(|id, _| grants.iter().any(|g| g.grant == *id));
                    for grant in &grants {
                        let before = stopped.get(&grant.grant);
                        if cancel.is_cancelled() || before.is_some_and(|stop| !stop.may_pass()) {
                            continue;
                        }
                        let now = self.run(grant, cancel, &progress).await.stopped;
                        if let Some(stop) = now.as_ref().filter(|now| Some(*now) != before) {
                            tracing::warn!(run = grant.run, "{stop}");
                        }
                        match now {
                            Some(stop) => stopped.insert(grant.grant.clone(), stop),
                            None => stopped.remove(&grant.grant),
                        };
                    }
                    every
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!("No grants can be read, and this is tried again until they can: {error}");
                    }
                    failures += 1;
                    backoff(FIRST_WAIT, LONGEST_WAIT, failures, self.means.clock.random())
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = cancel.cancelled() => {}
            }
        }
    }
}
