//! The copy of an agency's records on this computer, and what was done without a network (docs/sync.md).
//!
//! `copy` is the file of the copy and `outbox` that of the acts; `pull` is the protocol between them and the API; `keeper` holds
//! both for one account and does one round after the other; `pages` computes what the window shows out of the copy; `proof`
//! compares its statement with the API's; `rounds` says when the next round is; `accounts` has the files by account.

mod accounts;
mod copy;
mod keeper;
mod outbox;
mod pages;
mod proof;
mod pull;
mod remote;
mod rounds;
mod store;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Handle, RuntimeFlavor};

pub(crate) use accounts::Accounts;
pub use keeper::{CopyStanding, CopyState, Progress, RejectedAct, WaitingAct};
pub(crate) use keeper::{Keeper, Outcome, UNTRUSTED};
pub(crate) use outbox::Act;
pub(crate) use pages::{answer, archived, is_of_copy, made, new_link, with_pending};
pub use proof::{LineDifference, Verified, VerifiedState};
pub(crate) use proof::{clients_that_differ, lines_that_differ};
pub(crate) use pull::Trouble;
pub(crate) use remote::SessionRemote;
pub(crate) use rounds::keep_fresh;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Work with files, which may take a while: where other threads can go on meanwhile, they do.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
