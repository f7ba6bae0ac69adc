//! Malformed journals: whatever stands in a line, it is read or refused by its number, and nothing panics.

use std::panic::catch_unwind;

use commission::{Fact, JournalReader, TermsBook, parse_fact, parse_time};

use crate::journals;
use crate::random::Random;
use crate::setting;

const LINES: u64 = 50_000;

/// What somebody who wants to hurt a reader of JSON would put into it.
const HOSTILE: [&str; 34] = [
    "NaN",
    "-Infinity",
    "1e999",
    "-0",
    "0.1",
    "9000000000000001",
    "-9223372036854775809",
    "99999999999999999999999",
    "null",
    "true",
    "[]",
    "{}",
    "[[[[[[[[[[",
    "{\"a\":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\x",
    "\u{feff}",
    "\u{202e}",
    "\u{10ffff}",
    "\r",
    "\t",
    "\0",
    ",",
    ":",
    "}",
    "}{",
    "\"id\":\"a\",",
    "\"2026-02-30T00:00:00Z\"",
    "\"2026-01-01T00:00:60Z\"",
    "\"2026-01-01T00:00:00+14:00\"",
    "\"\"",
];

#[test]
fn a_malformed_line_is_read_or_refused_and_nothing_panics() {
    let (count, seed) = (setting("MALFORMED_LINES", LINES), setting("ORACLE_SEED", 1));
    let random = &mut Random::new(seed, u64::MAX);
    let (mut read, mut refused, mut lines) = (0_u64, 0_u64, Vec::new());
    for number in 0..count {
        if lines.is_empty() {
            lines = journals::case(random).facts.iter().map(|fact| serde_json::to_vec(fact).unwrap()).collect();
            lines.extend((lines.len()..4).map(|_| Vec::new()));
        }
        let other = random.pick(&lines);
        let mut line = lines.pop().unwrap();
        for _ in 0..random.pick(&[1, 1, 1, 2, 4]) {
            damage(random, &mut line, &other);
        }
        let outcome = catch_unwind(|| check(&line));
        match outcome.unwrap_or_else(|_| panic!("line {number} panics: {:?}", String::from_utf8_lossy(&line))) {
            true => read += 1,
            false => refused += 1,
        }
    }
    println!("{count} malformed lines: {read} read, {refused} refused");
    assert!(count < LINES || (read > count / 50 && refused > count / 4), "{read} read, {refused} refused");
}

/// Changes a line in one of the ways in which lines break.
fn damage(random: &mut Random, line: &mut Vec<u8>, other: &[u8]) {
    let at = random.index(line.len() + 1);
    let end = (at + random.index(12)).min(line.len());
    match random.between(1, 9) {
        1 if at < line.len() => line[at] = u8::try_from(random.between(0, 255)).unwrap(),
        2 if at < line.len() => line[at] ^= 1 << random.between(0, 7),
        3 => line.truncate(at),
        4 => drop(line.drain(at..end)),
        5 => {
            let again = line[at..end].to_vec();
            line.splice(at..at, again);
        }
        6 => {
            let from = random.index(other.len() + 1);
            line.splice(at..end, other[from..].iter().copied());
        }
        7 | 8 => {
            // In the place of a value, which is where a value of the wrong kind does its harm.
            let colons: Vec<usize> = (0..line.len()).filter(|index| line[*index] == b':').collect();
            let from = if colons.is_empty() { at } else { random.pick(&colons) + 1 };
            let rest =
                line[from..].iter().position(|byte| matches!(byte, b',' | b'}')).map_or(line.len(), |n| from + n);
            line.splice(from..rest, random.pick(&HOSTILE).bytes());
        }
        _ => drop(line.splice(at..at, random.pick(&HOSTILE).bytes())),
    }
}

/// Whether the line is a fact or blank. What is read can be written, and read again as the same.
fn check(line: &[u8]) -> bool {
    let mut reader = JournalReader::new();
    reader.push_line(b"");
    reader.push_line(line);
    let journal = match reader.finish() {
        Ok(journal) => journal,
        Err(error) => {
            let text = error.to_string();
            assert!(error.line == 2 && text.starts_with("line 2: ") && !error.message.is_empty(), "{text}");
            return false;
        }
    };
    for fact in journal.into_facts() {
        let written = serde_json::to_string(&fact).unwrap();
        assert_eq!(parse_fact(&written).unwrap().as_ref(), Some(&fact));
        commission::evaluate(std::slice::from_ref::<Fact>(&fact), &TermsBook::default_book(), fact.at).unwrap();
    }
    if let Ok(text) = std::str::from_utf8(line) {
        let _ = parse_time(text);
    }
    true
}
