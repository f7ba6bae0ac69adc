use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::{IntoParams, ToSchema};

/// One entry of the audit chain: who decided what, when, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct AuditEntry {
    /// Its number: 1, 2, 3, … without a gap.
    pub n: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Id of a person, `key:…`, `operator` or `system`.
    pub actor: String,
    /// Address of the person, while the person is known.
    pub email: Option<String>,
    /// The actor's role at that time.
    pub role: String,
    /// What was done, `run.approved`.
    pub action: String,
    /// To what, `run:2026-10.1`.
    pub subject: String,
    /// What it was before, where the decision changed something.
    #[ts(type = "unknown")]
    pub before: Option<serde_json::Value>,
    /// What it is from then on.
    #[ts(type = "unknown")]
    pub after: Option<serde_json::Value>,
    /// Why, in the words of whoever decided.
    pub reason: Option<String>,
    /// SHA-256 over the hash of the entry before and this entry, in hex.
    pub hash: String,
}

/// Where the chain ends. Kept somewhere else, it shows later that nothing before it was changed or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AuditHead {
    /// Number of the newest entry; 0 for an empty chain.
    pub n: i64,
    /// Its hash; empty for an empty chain.
    pub hash: String,
}

/// `GET /v1/audit`: which page of the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema, IntoParams)]
pub struct AuditQuery {
    /// Entries with a smaller number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub before: Option<i64>,
    /// Only those about this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub subject: Option<String>,
}

/// `GET /v1/audit`: a page of the chain, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct AuditPage {
    /// Where the chain ended when this was read.
    pub head: AuditHead,
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// `before` of the next page; `null` on the last.
    pub next: Option<i64>,
}
