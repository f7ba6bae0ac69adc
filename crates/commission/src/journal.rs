//! Reading facts, strictly: an error names the line and the field, and nothing is computed from a journal that is
//! partly unreadable (docs/rules.md §1).

use std::borrow::Cow;
use std::str::Utf8Error;

use chrono::{DateTime, NaiveDate, Utc};

use crate::fact::{Fact, Space};
use crate::names::{Block, Texts as _};
use crate::plain;
use crate::raw_fact::RawFact;
use crate::rows::{Builder, Conflict, Row};

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

/// A fact has at most three texts of one kind, and each has a number of 32 bits.
const MOST_FACTS: usize = 1 << 30;

/// Reads one journal line; a blank one is `None`. Unknown fields are ignored and `null` means absent.
pub fn parse_fact(json: &str) -> Result<Option<Fact>, FactError> {
    Ok(parse_borrowed(json)?.map(|fact| fact.map(|_, text| text.as_ref().to_owned())))
}

/// The same without making a copy of the texts.
fn parse_borrowed(json: &str) -> Result<Option<Fact<Cow<'_, str>>>, FactError> {
    let json = json.trim_ascii();
    if json.is_empty() {
        return Ok(None);
    }
    // A derived struct would also read a JSON array, field by field.
    if !json.starts_with('{') {
        return Err(FactError { field: None, message: "is not a JSON object".to_owned() });
    }
    let raw = match plain::read(json) {
        Some(raw) => raw,
        None => serde_json::from_str::<RawFact>(json).map_err(|error| json_error(json, &error))?,
    };
    raw.into_fact().map(Some)
}

/// Reads a whole journal (JSONL). A byte order mark and Windows line ends are tolerated. The first bad line ends it;
/// so does a second fact that has the id of an earlier one and other content.
pub fn read_journal(text: &str) -> Result<Vec<Fact>, JournalError> {
    let mut reader = JournalReader::new();
    for line in text.split('\n') {
        if !reader.push_line(line.as_bytes()) {
            break;
        }
    }
    reader.finish().map(Journal::into_facts)
}

/// Facts that were all read and found possible, and of which no two have one id and different content. Evaluation need
/// not look again. Each text is kept once, which is much smaller than a list of facts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Journal {
    rows: Vec<Row>,
    texts: [Block; Space::COUNT],
}

impl Journal {
    /// The facts with texts of their own, in the order of their lines.
    pub fn into_facts(self) -> Vec<Fact> {
        let text = |space: Space, number: &u32| self.texts[space as usize].text(*number).to_owned();
        self.rows.iter().map(|row| row.map(text)).collect()
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The texts behind the numbers of the rows, by their kind.
    pub(crate) fn texts(&self) -> [&Block; Space::COUNT] {
        self.texts.each_ref()
    }
}

/// Reads a journal line by line, for whoever does not want its text in memory; and in parts, for whoever has several
/// threads.
///
/// ```
/// # use commission::JournalReader;
/// let line = br#"{"id":"f1","at":"2026-01-01T00:00:00Z","type":"partner_suspended","partner":"P"}"#;
/// let (mut first, mut rest) = (JournalReader::new(), JournalReader::of_later_part());
/// first.push_line(line);
/// rest.push_line(b"");
/// rest.push_line(b"nonsense");
/// first.append(rest);
/// assert_eq!(first.finish().unwrap_err().line, 3);
/// ```
#[derive(Debug, Default)]
pub struct JournalReader {
    facts: Builder<Block>,
    /// The numbers of blank lines, without which the line of each fact is known.
    blanks: Vec<usize>,
    lines: usize,
    failure: Option<JournalError>,
    is_later_part: bool,
}

impl JournalReader {
    /// Reads from the first line of a journal on, which may begin with a byte order mark.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads lines from the middle of a journal, to be appended to what reads the lines before.
    pub fn of_later_part() -> Self {
        Self { is_later_part: true, ..Self::default() }
    }

    /// Reads the next line, with or without its line end. `false` once a line could not be read: no further one will
    /// be, and [`Self::finish`] says why.
    pub fn push_line(&mut self, line: &[u8]) -> bool {
        if self.failure.is_some() {
            return false;
        }
        let at_start = self.lines == 0 && !self.is_later_part;
        self.lines += 1;
        let line = if at_start { line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line) } else { line };
        let not_text = |error: Utf8Error| {
            let message = format!("is not UTF-8 text (byte {} of the line)", error.valid_up_to() + 1);
            FactError { field: None, message }
        };
        match std::str::from_utf8(line).map_err(not_text).and_then(parse_borrowed) {
            Ok(Some(_)) if self.facts.rows.len() >= MOST_FACTS => {
                let message = format!("is one too many: a journal has at most {MOST_FACTS} facts");
                self.failure = Some(JournalError { line: self.lines, field: None, message });
            }
            Ok(Some(fact)) => self.facts.push(&fact),
            Ok(None) => self.blanks.push(self.lines),
            Err(error) => {
                self.failure = Some(JournalError { line: self.lines, field: error.field, message: error.message });
            }
        }
        self.failure.is_none()
    }

    /// Goes on with the lines that another reader has read. Nothing more counts after a line that could not be read.
    pub fn append(&mut self, later: Self) {
        if self.failure.is_some() {
            return;
        }
        if self.facts.rows.is_empty() {
            self.facts = later.facts;
        } else {
            self.facts.append(&later.facts);
        }
        self.blanks.extend(later.blanks.iter().map(|line| line + self.lines));
        self.failure = later.failure.map(|error| JournalError { line: error.line + self.lines, ..error });
        self.lines += later.lines;
    }

    /// All facts, or the first bad line: one that cannot be read, or one with the id of an earlier one and other
    /// content.
    pub fn finish(self) -> Result<Journal, JournalError> {
        // Whatever conflicts here stands on an earlier line than the failure.
        let conflict =
            self.facts.conflict.map(|Conflict { earlier, later }| (self.line_of(earlier), self.line_of(later), later));
        let (rows, texts) = self.facts.finish();
        if let Some((first, line, later)) = conflict {
            let id = texts[Space::Fact as usize].text(rows[later].id);
            let message = format!("`{id}` was used on line {first} for a different fact");
            return Err(JournalError { line, field: Some("id".to_owned()), message });
        }
        self.failure.map_or(Ok(Journal { rows, texts }), Err)
    }

    fn line_of(&self, fact: usize) -> usize {
        self.blanks.iter().fold(fact + 1, |line, blank| if *blank <= line { line + 1 } else { line })
    }
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

/// Says where a text is no JSON, as with `NaN` or an end in the middle, by the field that was being read.
fn json_error(json: &str, error: &serde_json::Error) -> FactError {
    let text = error.to_string();
    if let Some((field, _)) = text.strip_prefix("duplicate field `").and_then(|rest| rest.split_once('`')) {
        return FactError::new(field, "is given twice");
    }
    let lines_before: usize = json.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let column = lines_before + error.column();
    let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
    let cut_off = if error.is_eof() { "; the line seems to be cut off here" } else { "" };
    let field = field_at(json, column);
    let not_json = if field.is_some() { "is not written as JSON" } else { "is not one JSON object" };
    FactError { field: field.map(str::to_owned), message: format!("{not_json}: {what} (column {column}){cut_off}") }
}

/// The field of the outer object whose value is being read after so many bytes.
fn field_at(json: &str, read: usize) -> Option<&str> {
    let bytes = &json.as_bytes()[..json.len().min(read)];
    let (mut depth, mut index) = (0_usize, 0);
    let (mut text, mut field) = (None, None);
    while let Some(byte) = bytes.get(index) {
        index += 1;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth <= 1 {
                    field = None;
                }
            }
            b':' if depth == 1 => field = text.take(),
            b',' if depth == 1 => field = None,
            b'"' => {
                let Some(length) = text_length(&bytes[index..]) else { break };
                if depth == 1 {
                    (text, field) = (json.get(index..index + length), None);
                }
                index += length + 1;
            }
            _ => {}
        }
    }
    field
}

/// How long a JSON string is, without its quotes, if it ends.
fn text_length(bytes: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    bytes.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    })
}
