//! What crosses the network and the IPC: requests, answers, error codes, and the table of calls.
//!
//! Invariant: no decision is taken here. A type in this crate says what a value is and in which unit;
//! who may see it and how it comes about is the Referral API's business.
//!
//! Amounts are integers in minor units of the program's settlement currency. Instants are RFC 3339 in UTC.

mod audit;
mod calls;
mod executor;
mod finance;
mod intake;
mod operations;
mod partner;
mod people;
mod reconcile;
mod resolve;
mod resources;
mod session;
mod staff;
mod sync;

pub use audit::*;
pub use calls::{CALLS, Call, DOWNLOADS, Method, Nothing, typescript};
pub use executor::*;
pub use finance::*;
pub use intake::*;
pub use operations::*;
pub use partner::*;
pub use payout::State as PayoutState;
pub use people::*;
pub use reconcile::*;
pub use resolve::*;
pub use resources::*;
pub use session::*;
pub use staff::*;
pub use sync::*;

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Header of every answer: the API's own time when it was computed (RFC 3339). A copy that is shown later carries it on.
pub const AS_OF_HEADER: &str = "aikit-as-of";

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ErrorBody {
    /// What a program may branch on.
    pub code: ErrorCode,
    /// What happened, to what, and what to do, for the person who reads it.
    pub message: String,
    /// For an approval of a seal that is no more: what is different now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub diff: Option<Box<SealDiff>>,
}

impl ErrorBody {
    /// A refusal in words.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody { code, message: message.into(), diff: None }
    }
}

/// Why a call was refused. A variant exists only where someone branches on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request cannot be read, or a field has a value that it may not have.
    Invalid,
    /// No session, or one that has ended: sign in again.
    SignedOut,
    /// The act needs a sign-in that is at most five minutes old.
    StepUp,
    /// The role may not do this.
    Forbidden,
    /// There is no such thing, or it is somebody else's.
    NotFound,
    /// What the caller saw has changed meanwhile: look again.
    Changed,
    /// The state of the thing does not allow it, or it exists already.
    Conflict,
    /// Too many tries; wait.
    TooMany,
    /// The API could not do it now; nothing is known to be wrong with the request.
    Unavailable,
    /// The copy on this computer cannot go on from where it is: begin it anew.
    Reset,
    /// The app is too old for this API: update it.
    Outdated,
    /// The API could not be reached (made by the client, never by the API).
    Offline,
}
