//! Reading facts, strictly: an error names the line and the field, and nothing is computed from a journal that is
//! partly unreadable (docs/rules.md §1).

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};

use crate::fact::Fact;
use crate::raw_fact::RawFact;

/// Why one fact cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .field.as_deref().map(|f| format!("field `{f}` ")).unwrap_or_default())]
pub struct FactError {
    /// The field at fault; absent when the text is not one JSON object.
    pub field: Option<String>,
    /// What is wrong with it and what was expected, as the rest of a sentence that begins with the field.
    pub message: String,
}

impl FactError {
    pub(crate) fn new(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), message: message.into() }
    }
}

/// Why a journal cannot be read: its first bad line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {}{message}", .field.as_deref().map(|f| format!("field `{f}` ")).unwrap_or_default())]
pub struct JournalError {
    /// The line, counted from 1.
    pub line: usize,
    /// The field at fault, where there is one.
    pub field: Option<String>,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Reads one journal line; a blank one is `None`. Unknown fields are ignored and `null` means absent.
pub fn parse_fact(json: &str) -> Result<Option<Fact>, FactError> {
    let json = json.trim_ascii();
    if json.is_empty() {
        return Ok(None);
    }
    // A derived struct would also read a JSON array, field by field.
    if !json.starts_with('{') {
        return Err(FactError { field: None, message: "is not a JSON object".to_owned() });
    }
    let raw: RawFact = serde_json::from_str(json).map_err(|error| json_error(&error))?;
    raw.into_fact().map(Some)
}

/// Reads a whole journal (JSONL). A byte order mark and Windows line ends are tolerated. The first bad line ends it;
/// so does a second fact that has the id of an earlier one and other content.
pub fn read_journal(text: &str) -> Result<Vec<Fact>, JournalError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut facts = Vec::new();
    let mut lines = Vec::new();
    let mut failure = None;
    for (index, line) in text.split('\n').enumerate() {
        match parse_fact(line) {
            Ok(Some(fact)) => {
                facts.push(fact);
                lines.push(index + 1);
            }
            Ok(None) => {}
            Err(error) => {
                failure = Some(JournalError { line: index + 1, field: error.field, message: error.message });
                break;
            }
        }
    }
    // Whatever conflicts here stands on an earlier line than the failure.
    if let Some((first, second)) = conflicting_ids(&facts) {
        return Err(JournalError {
            line: lines[second],
            field: Some("id".to_owned()),
            message: format!("`{}` was used on line {} for a different fact", facts[second].id, lines[first]),
        });
    }
    failure.map_or(Ok(facts), Err)
}

/// The first fact whose id an earlier one has with other content, as (earlier, later) positions.
pub(crate) fn conflicting_ids(facts: &[Fact]) -> Option<(usize, usize)> {
    let mut seen = HashMap::with_capacity(facts.len());
    facts.iter().enumerate().find_map(|(index, fact)| {
        let first = *seen.entry(fact.id.as_str()).or_insert(index);
        (first != index && facts[first] != *fact).then_some((first, index))
    })
}

/// Reads an RFC 3339 time in UTC (`Z` or `+00:00`), with at most nine fractional digits and no leap second. The error
/// completes a sentence that begins with what was read.
pub fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    let malformed = || format!("must be an RFC 3339 time in UTC such as 2026-02-11T09:30:00Z, not `{text}`");
    let bytes = text.as_bytes();
    let number = |from: usize, digits: usize| -> Result<u32, String> {
        let slice = bytes.get(from..from + digits).ok_or_else(malformed)?;
        slice.iter().try_fold(0u32, |sum, byte| match byte {
            b'0'..=b'9' => Ok(sum * 10 + u32::from(byte - b'0')),
            _ => Err(malformed()),
        })
    };
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| bytes.get(at) != Some(&byte)) || !matches!(bytes.get(10), Some(b'T' | b't'))
    {
        return Err(malformed());
    }
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let rest = &bytes[19..];
    let (nanos, zone) = match rest.strip_prefix(b".") {
        None => (0, rest),
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits > 9 {
                return Err(format!("must have at most nine fractional digits, not `{text}`"));
            }
            let scale = 10u32.pow(9 - u32::try_from(digits).map_err(|_| malformed())?);
            (if digits == 0 { Err(malformed()) } else { number(20, digits) }? * scale, &fraction[digits..])
        }
    };
    if !matches!(zone, b"Z" | b"z" | b"+00:00") {
        return Err(format!("must be in UTC (`Z` or `+00:00`), not `{text}`"));
    }
    if second == 60 {
        return Err(format!("must not be a leap second, as `{text}` is"));
    }
    let year = i32::try_from(number(0, 4)?).map_err(|_| malformed())?;
    NaiveDate::from_ymd_opt(year, number(5, 2)?, number(8, 2)?)
        .and_then(|day| day.and_hms_nano_opt(hour, minute, second, nanos))
        .map(|time| time.and_utc())
        .ok_or_else(|| format!("must be a day and time that exist, not `{text}`"))
}

fn json_error(error: &serde_json::Error) -> FactError {
    let text = error.to_string();
    match text.strip_prefix("duplicate field `").and_then(|rest| rest.split_once('`')) {
        Some((field, _)) => FactError::new(field, "is given twice"),
        None => FactError { field: None, message: format!("is not one JSON object: {text}") },
    }
}
