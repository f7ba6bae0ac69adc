//! Reading a journal line by line (docs/rules.md §1): the first line that cannot be read ends it and is named.

use std::collections::HashMap;
use std::io::{self, BufRead};

use commission::{Fact, FactError, JournalError, parse_fact};
use serde::de::IgnoredAny;

/// A journal that could be read.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Its facts, in the order of the file.
    pub(crate) facts: Vec<Fact>,
    /// The line of each, counted from 1.
    lines: Vec<usize>,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] io::Error),
    /// What it says.
    #[error(transparent)]
    Line(#[from] JournalError),
}

/// Reads a journal and tells after each fact how many there are. A byte order mark, Windows line ends and a missing last
/// line end are tolerated. No text is kept.
pub(crate) fn read(mut source: impl BufRead, mut tell: impl FnMut(usize)) -> Result<Journal, ReadError> {
    let mut journal = Journal { facts: Vec::new(), lines: Vec::new() };
    let mut buffer = Vec::new();
    for line in 1.. {
        buffer.clear();
        if source.read_until(b'\n', &mut buffer)? == 0 {
            break;
        }
        let bytes = if line == 1 { buffer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&buffer) } else { &buffer };
        match read_line(bytes) {
            Ok(None) => {}
            Ok(Some(fact)) => {
                journal.facts.push(fact);
                journal.lines.push(line);
                tell(journal.facts.len());
            }
            Err(FactError { field, message }) => {
                // Two facts with one id, on earlier lines, come first.
                let failure = JournalError { line, field, message };
                return Err(journal.conflict().unwrap_or(failure).into());
            }
        }
    }
    Ok(journal)
}

impl Journal {
    /// The first fact whose id an earlier one has with other content.
    pub(crate) fn conflict(&self) -> Option<JournalError> {
        let mut seen = HashMap::with_capacity(self.facts.len());
        self.facts.iter().enumerate().find_map(|(second, fact)| {
            let first = *seen.entry(fact.id.as_str()).or_insert(second);
            let message = || format!("`{}` was used on line {} for a different fact", fact.id, self.lines[first]);
            (self.facts[first] != *fact).then(|| JournalError {
                line: self.lines[second],
                field: Some("id".to_owned()),
                message: message(),
            })
        })
    }
}

fn read_line(bytes: &[u8]) -> Result<Option<Fact>, FactError> {
    let text = std::str::from_utf8(bytes).map_err(|error| FactError {
        field: None,
        message: format!("is not UTF-8 text (byte {} of the line)", error.valid_up_to() + 1),
    })?;
    parse_fact(text).map_err(|error| located(error, text))
}

/// Where the line is no JSON, as with NaN or an end in the middle, the field that the reader had come to is named.
fn located(error: FactError, line: &str) -> FactError {
    let json = line.trim_ascii();
    let Some(fault) = error.field.is_none().then(|| serde_json::from_str::<IgnoredAny>(json).err()).flatten() else {
        return error;
    };
    let field = field_at(json, fault.column());
    let place = format!(" at line 1 column {}", fault.column());
    let what = fault.to_string().replace(&place, &format!(" (column {})", fault.column()));
    let cut_off = if fault.is_eof() && !line.ends_with('\n') { "; the file seems to be cut off here" } else { "" };
    let not_json = if field.is_some() { "is not written as JSON" } else { "is not one JSON object" };
    FactError { field, message: format!("{not_json}: {what}{cut_off}") }
}

/// The last key of the outer object that begins before a column, counted in bytes from 1.
fn field_at(json: &str, column: usize) -> Option<String> {
    let bytes = json.as_bytes();
    let (mut depth, mut last_text, mut field) = (0_usize, None, None);
    let mut index = 0;
    while index < bytes.len().min(column) {
        match bytes[index] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 => field = last_text.take(),
            b'"' => {
                let from = index + 1;
                index = from;
                while index < bytes.len() && bytes[index] != b'"' {
                    index += if bytes[index] == b'\\' { 2 } else { 1 };
                }
                last_text = json.get(from..index);
            }
            _ => {}
        }
        index += 1;
    }
    field.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOINED: &str = r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"A","website":"a.example"}"#;

    fn told(text: &[u8]) -> Result<usize, String> {
        read(text, |_| {}).map(|journal| journal.facts.len()).map_err(|error| error.to_string())
    }

    /// Reading line by line accepts and refuses what the engine's own reader does, and blames the same line.
    #[test]
    fn it_agrees_with_the_reader_of_whole_journals() {
        let other = JOINED.replace("\"P\"", "\"Q\"");
        for lines in [
            vec![],
            vec![JOINED],
            vec![JOINED, "", "  ", JOINED],
            vec!["", JOINED, &other],
            vec![JOINED, &other, "{"],
            vec![JOINED, "{", &other],
            vec![JOINED, "[]"],
            vec![JOINED, r#"{"id":"b","at":"2026-01-01T00:00:00+02:00","type":"partner_suspended","partner":"P"}"#],
            vec![r#"{"id":"b","id":"c"}"#],
        ] {
            for end in ["\n", "\r\n"] {
                for start in ["", "\u{feff}"] {
                    let text = format!("{start}{}", lines.join(end));
                    let whole = commission::read_journal(&text);
                    match (read(text.as_bytes(), |_| {}), whole) {
                        (Ok(ours), Ok(facts)) => assert_eq!(ours.facts, facts, "{text}"),
                        (Err(ReadError::Line(ours)), Err(error)) => assert_eq!(ours.line, error.line, "{text}"),
                        (ours, whole) => panic!("{text}: {ours:?} against {whole:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_json_is_named_by_the_field_it_was_meant_for() {
        let table = [
            (
                r#"{"id":"b","amount_minor":NaN}"#,
                "line 2: field `amount_minor` is not written as JSON: expected value (column 26)",
            ),
            (r#"{"id":"b","amount_minor":-Infinity}"#, "line 2: field `amount_minor` is not"),
            (
                r#"{"id":"b","amount_minor":1e999}"#,
                "line 2: field `amount_minor` is not written as JSON: number out of range",
            ),
            (r#"{"id":"b","x":{"y":[1,"\"}"]},"at":'2026'}"#, "line 2: field `at` is not"),
            (
                r#"{"id":"b","at":"2026-0"#,
                "line 2: field `at` is not written as JSON: EOF while parsing a string (column 22); the file seems to be cut off here",
            ),
            (r#"{"id":"b","type":"partner_joi\"#, "line 2: field `type` is not"),
            (
                "{",
                "line 2: is not one JSON object: EOF while parsing an object (column 1); the file seems to be cut off here",
            ),
            ("null", "line 2: is not a JSON object"),
        ];
        for (line, expected) in table {
            let error = told(format!("{JOINED}\n{line}").as_bytes()).unwrap_err();
            assert!(error.starts_with(expected), "{line}\n{error}\n{expected}");
        }
        let error = told(b"\n\xff\xfe{\x00").unwrap_err();
        assert_eq!(error, "line 2: is not UTF-8 text (byte 1 of the line)");
    }
}
