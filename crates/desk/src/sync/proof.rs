//! "Verified on this computer": the statement that is computed here from the copy, beside the API's own.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use commission::Line;
use partner::Slice;
use serde::Serialize;
use serde_json::json;
use ts_rs::TS;
use wire::{Client, ClientDetail, StatementProof};

/// What the comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum VerifiedState {
    /// Both come to the same statement, to the cent and to the word.
    Verified,
    /// They do not.
    Mismatch,
    /// The API computes by other rules than this app knows: update the app.
    Incomparable,
}

/// Whether this computer comes to the same statement as the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Verified {
    /// What the comparison came to.
    pub state: VerifiedState,
    /// Of which instant the statements are, by the API's clock.
    pub as_of: DateTime<Utc>,
}

/// A line that is here or there, but not both; or a client that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct LineDifference {
    /// The referral that it is about.
    pub referral: String,
    /// What the client is called.
    pub client: String,
    /// What this computer comes to, in a sentence; absent where it comes to nothing.
    pub here: Option<String>,
    /// What the API comes to.
    pub there: Option<String>,
}

/// Compares the statement of the copy with what the API says.
pub(crate) fn verify(slice: &Slice, said: &StatementProof) -> Verified {
    let state = if said.rules != commission::RULES_VERSION {
        VerifiedState::Incomparable
    } else {
        match slice.proof(said.as_of) {
            Ok(ours) if ours.digest == said.digest => VerifiedState::Verified,
            _ => VerifiedState::Mismatch,
        }
    };
    Verified { state, as_of: said.as_of }
}

/// Clients that are not the same here and there, by their referral.
pub(crate) fn clients_that_differ(here: &[Client], there: &[Client]) -> Vec<String> {
    let by_id = |clients: &[Client]| -> BTreeMap<String, String> {
        clients.iter().map(|c| (c.referral.clone(), json!(c).to_string())).collect()
    };
    let (ours, theirs) = (by_id(here), by_id(there));
    let all = ours.keys().chain(theirs.keys().filter(|id| !ours.contains_key(*id)));
    all.filter(|id| ours.get(*id) != theirs.get(*id)).cloned().collect()
}

/// The lines of a client that are only here or only there.
pub(crate) fn lines_that_differ(
    referral: &str,
    here: Option<&ClientDetail>,
    there: Option<&ClientDetail>,
) -> Vec<LineDifference> {
    let name = here.or(there).map(|d| d.client.name.clone()).unwrap_or_default();
    let by_id = |detail: Option<&ClientDetail>| -> BTreeMap<String, (String, String)> {
        let lines = detail.into_iter().flat_map(|d| &d.lines);
        lines.map(|line| (line.id.clone(), (json!(line).to_string(), in_words(line)))).collect()
    };
    let (ours, theirs) = (by_id(here), by_id(there));
    let all: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let differ = all.into_iter().map(|id| (ours.get(id), theirs.get(id)));
    let differ = differ.filter(|(here, there)| here.map(|(json, _)| json) != there.map(|(json, _)| json));
    let words = |side: Option<&(String, String)>| side.map(|(_, words)| words.clone());
    differ
        .map(|(here, there)| LineDifference {
            referral: referral.to_owned(),
            client: name.clone(),
            here: words(here),
            there: words(there),
        })
        .collect()
}

fn in_words(line: &Line) -> String {
    format!("{}: {}", commission::format_minor(line.amount_minor), line.why)
}
