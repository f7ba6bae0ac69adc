//! What a pass over a run is told, and what it tells.

use std::sync::Arc;

use tokio::sync::watch;
use wire::Grant;

use crate::ledger::LedgerError;

/// So many failures in a row, of looks or of sends, are an outage. In one, every send would end with a person.
pub(crate) const SILENT_AFTER: u32 = 12;

/// Ends a pass early, between items. Clones are one switch.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<watch::Sender<bool>>);

/// What a pass over a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Items whose transfer was made or found in this pass.
    pub paid: u32,
    /// Their sum in minor units.
    pub amount_minor: i64,
    /// Items that had been settled before.
    pub settled_before: u32,
    /// Items that a person must look at.
    pub review: u32,
    /// Items that Stripe refused: nothing moved.
    pub refused: u32,
    /// Items that were sent and whose outcome is not known yet.
    pub unknown: u32,
    /// Items that were claimed and not sent in this pass.
    pub left: u32,
    /// Items of the run that were not settled when the pass began.
    pub open: u32,
    /// Why the pass ended before its last item.
    pub stopped: Option<Stop>,
}

/// What became of one item in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its transfer was made or found.
    Paid,
    /// It had been settled before.
    SettledBefore,
    /// A person must look.
    Review,
    /// Stripe refused it: nothing moved.
    Refused,
    /// It was sent, and the outcome is not known yet.
    Unknown,
    /// It was not sent.
    Left,
}

/// Why a pass ended before its last item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It was asked to.
    #[error("The run was paused.")]
    Cancelled,
    /// The items are not those that were approved.
    #[error(
        "Nothing more is sent: run {run} was approved as {granted}, but what the API handed out is {computed}. \
         Do not approve it again before the cause is known."
    )]
    SealMismatch {
        /// The run.
        run: String,
        /// Hash in the grant.
        granted: String,
        /// Hash of what was handed out.
        computed: String,
    },
    /// The seal is the approved one, but it cannot be sent by this executor.
    #[error("Run {run} cannot be sent from here: {reason}.")]
    NotForHere {
        /// The run.
        run: String,
        /// Why not.
        reason: String,
    },
    /// The API asked for something that was not approved.
    #[error("Nothing more is sent: the API's {what} of item {item} is not what was approved.")]
    NotApproved {
        /// The item.
        item: String,
        /// What differs.
        what: &'static str,
    },
    /// Nothing was sent: the account at Stripe is not as it must be. Finance was told.
    #[error("{reason}")]
    NotReady {
        /// Why not, and what to do.
        reason: String,
    },
    /// No further item can succeed at Stripe.
    #[error("{reason}")]
    Stripe {
        /// Why, in a sentence.
        reason: String,
    },
    /// Stripe gives no usable answers, to nothing that it is asked.
    #[error("Stripe has given no usable answer {SILENT_AFTER} times in a row. The run goes on when it answers again.")]
    StripeSilent,
    /// The ledger refused to go on, or could not be reached for long.
    #[error("{0}")]
    Ledger(LedgerError),
}

/// What a pass tells while it works.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// A run begins.
    Started {
        /// The grant.
        grant: &'a Grant,
    },
    /// An item is done, as far as this pass goes.
    Item {
        /// The item.
        item: &'a str,
        /// What became of it.
        outcome: Outcome,
        /// The pass so far.
        report: &'a Report,
    },
    /// The pass has ended.
    Finished {
        /// The grant.
        grant: &'a Grant,
        /// What it came to.
        report: &'a Report,
    },
}

impl Cancel {
    /// A switch that is off.
    pub fn new() -> Cancel {
        Cancel(Arc::new(watch::Sender::new(false)))
    }

    /// Ends the pass after the items that are being worked on.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// It was asked for.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked for.
    pub async fn cancelled(&self) {
        // It cannot fail: this switch holds the sender.
        let _ = self.0.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Cancel::new()
    }
}

impl Stop {
    /// The same grant may be tried again without anybody doing anything about it here.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Stop::Cancelled | Stop::StripeSilent | Stop::Ledger(_) => true,
            Stop::SealMismatch { .. }
            | Stop::NotForHere { .. }
            | Stop::NotApproved { .. }
            | Stop::NotReady { .. }
            | Stop::Stripe { .. } => false,
        }
    }
}

impl Report {
    pub(crate) fn count(&mut self, outcome: Outcome, amount_minor: i64) {
        let counter = match outcome {
            Outcome::Paid => {
                self.amount_minor = self.amount_minor.saturating_add(amount_minor);
                &mut self.paid
            }
            Outcome::SettledBefore => &mut self.settled_before,
            Outcome::Review => &mut self.review,
            Outcome::Refused => &mut self.refused,
            Outcome::Unknown => &mut self.unknown,
            Outcome::Left => &mut self.left,
        };
        *counter += 1;
    }
}
