//! How the desktop app keeps a copy of an agency's records, and sends what was done without a network (docs/sync.md).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::{IntoParams, ToSchema};

use crate::ErrorBody;

/// Query of `GET /v1/sync/pull`: what changed after a cursor, or everything from cursor 0 on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
pub struct PullQuery {
    /// Epoch of the copy; none for a copy that is begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Rows with a number above this are asked for; 0 begins a whole copy.
    #[serde(default)]
    pub cursor: i64,
    /// `start` of the first page, on each page after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
    /// Form of the rows that the app understands.
    pub schema: u32,
    /// Rows of a page, 1 to 2,000; 1,000 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Compute the statement beside the last page.
    #[serde(default)]
    pub statement: bool,
}

/// Answer of `GET /v1/sync/pull`: a page of rows.
///
/// Refusals: 409 `reset`, where the copy cannot go on and must be begun anew; 426 `outdated`, where the app must be
/// updated first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pulled {
    /// Epoch of the database and whose records these are: a copy of another one is begun anew.
    pub epoch: String,
    /// The newest number when the first page was read; handed back with each page.
    pub start: i64,
    /// Rows in the order of their numbers.
    pub rows: Vec<SyncRow>,
    /// Cursor after these rows.
    pub next: i64,
    /// There are further rows. Only after the last page is the copy one that existed.
    pub more: bool,
    /// What the whole copy adds up to after the last page.
    pub head: SyncHead,
    /// The API's time of this page.
    pub as_of: DateTime<Utc>,
    /// The statement that the API computes from these same records, where it was asked for and nothing changed meanwhile.
    pub statement: Option<StatementProof>,
}

/// One row of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncRow {
    /// What it is: `fact`, `link`, ….
    pub kind: String,
    /// Its id among its kind.
    pub id: String,
    /// Its number; a row that changes takes a new one.
    pub seq: i64,
    /// JSON, to be kept byte for byte; `null` for a row that is gone.
    pub body: Option<String>,
}

/// What a copy adds up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncHead {
    /// The newest number.
    pub seq: i64,
    /// How many rows there are.
    pub rows: i64,
    /// Sum of a hash of each row, in four parts modulo 2³².
    pub sum: [u32; 4],
}

/// A statement as the API computes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct StatementProof {
    /// Facts before this instant count.
    pub as_of: DateTime<Utc>,
    /// Digest of the statement (docs/rules.md §9).
    pub digest: String,
    /// Engine and lists that it was computed with: digests are comparable at an equal value only.
    pub rules: String,
}

/// `POST /v1/sync/push`: what was done without a network, in order; at most 50 at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Push {
    /// Each is done once, however often it is sent.
    pub mutations: Vec<Mutation>,
}

/// One act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mutation {
    /// UUID made by the app: the act's own.
    pub mid: String,
    /// `create_link`, `update_link`, `add_note` or `set_hold`.
    pub name: String,
    /// Arguments of the call of that name, those of its path included.
    pub args: Value,
}

/// Answer of `POST /v1/sync/push`: an outcome for each act, in their order. An act that the API could not do now ends the list
/// before it: it is sent again, with those after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pushed {
    /// The outcomes.
    pub outcomes: Vec<Pushing>,
}

/// What became of an act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Pushing {
    /// It was done now.
    Applied {
        /// The act.
        mid: String,
    },
    /// It had been done before.
    Duplicate {
        /// The act.
        mid: String,
    },
    /// It will never be done; sent again, it is answered the same.
    Rejected {
        /// The act.
        mid: String,
        /// Why.
        error: ErrorBody,
    },
}

impl Pushing {
    /// The act that it is about.
    pub fn mid(&self) -> &str {
        match self {
            Pushing::Applied { mid } | Pushing::Duplicate { mid } | Pushing::Rejected { mid, .. } => mid,
        }
    }
}
