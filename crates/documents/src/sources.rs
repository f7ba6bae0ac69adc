//! What the statement of a receipt is computed from, as the PDF carries it: whoever has the receipt can compute it again.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commission::{Fact, TermsBook, read_journal};
use serde::{Deserialize, Serialize};

use crate::DocumentError;

/// Name of the attachment with the agency's own facts, one JSON object a line (docs/rules.md §1).
pub const FACTS: &str = "facts.jsonl";
/// Name of the attachment with the terms.
pub const TERMS: &str = "terms.toml";
/// Name of the attachment with what had been posted before.
pub const POSTED: &str = "posted.jsonl";

/// Everything that a payout's lines follow from, beside the instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The agency's own facts ([`commission::own_facts`]) and all of its payouts, up to the cut of the run and in the
    /// order of recording.
    pub facts: Vec<Fact>,
    /// The terms that count.
    pub terms: TermsBook,
    /// What earlier runs had posted: the vested amount of each line, in minor units, by the line's id. None is 0.
    pub posted: BTreeMap<String, i64>,
}

/// A line of [`POSTED`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    line: String,
    vested_minor: i64,
}

/// A file to attach.
pub(crate) struct File {
    pub(crate) name: &'static str,
    pub(crate) mime_type: &'static str,
    pub(crate) description: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Sources {
    /// What a statement at `as_of` is computed from. Terms that came into force later have no say and are left out, so that
    /// the receipt of an old payout stays what it was when new terms are added.
    pub fn new(facts: Vec<Fact>, terms: &TermsBook, as_of: DateTime<Utc>, posted: BTreeMap<String, i64>) -> Sources {
        Sources { facts, terms: terms.until(as_of), posted }
    }

    pub(crate) fn files(&self) -> Result<[File; 3], DocumentError> {
        let posted = self.posted.iter().map(|(line, minor)| Posted { line: line.clone(), vested_minor: *minor });
        Ok([
            File {
                name: FACTS,
                mime_type: "application/jsonl",
                description: "The agency's facts that the statement is computed from",
                bytes: lines(self.facts.iter())?,
            },
            File {
                name: POSTED,
                mime_type: "application/jsonl",
                description: "What had been posted before, line by line",
                bytes: lines(posted)?,
            },
            File {
                name: TERMS,
                mime_type: "application/toml",
                description: "The terms that the statement is computed under",
                bytes: self.terms.to_toml().into_bytes(),
            },
        ])
    }

    /// Reads the three attachments.
    ///
    /// # Errors
    /// A sentence about the first that cannot be read.
    pub fn read(facts: &[u8], terms: &[u8], posted: &[u8]) -> Result<Sources, String> {
        let facts = read_journal(text(FACTS, facts)?).map_err(|error| format!("{FACTS}, {error}"))?;
        let terms = TermsBook::from_toml(text(TERMS, terms)?).map_err(|error| format!("{TERMS}: {error}"))?;
        let mut all = BTreeMap::new();
        for (number, row) in text(POSTED, posted)?.lines().enumerate() {
            let row: Posted =
                serde_json::from_str(row).map_err(|error| format!("{POSTED}, line {}: {error}", number + 1))?;
            if all.insert(row.line, row.vested_minor).is_some() {
                return Err(format!("{POSTED}, line {}: that line was named before", number + 1));
            }
        }
        Ok(Sources { facts, terms, posted: all })
    }
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8 text"))
}

/// One JSON object a line.
fn lines<T: Serialize>(rows: impl Iterator<Item = T>) -> Result<Vec<u8>, DocumentError> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, &row).map_err(|error| DocumentError::Format(error.to_string()))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}
