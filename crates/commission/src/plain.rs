//! A journal line as nearly all are written: one flat object of strings without escapes and of whole numbers. Whatever is
//! written in another way is left to `serde_json`, which also says what is wrong with it.

use std::borrow::Cow;

use crate::raw_fact::{RawFact, Slot};

/// The longest number that is read here; it fits 64 bits for sure.
const MOST_DIGITS: usize = 18;

/// Reads a line if it is plain.
pub(crate) fn read(json: &str) -> Option<RawFact<'_>> {
    // Neither escapes nor what no string may have, so that a string ends at the next quote.
    if json.bytes().fold(false, |odd, byte| odd | (byte == b'\\') | (byte < b' ')) {
        return None;
    }
    let mut line = Plain { json, at: 0 };
    let mut fact = RawFact::default();
    line.expect(b'{')?;
    loop {
        let key = line.text()?;
        line.expect(b':')?;
        let value = line.value()?;
        if let Some(slot) = fact.slot(key) {
            // A field that is given twice is an error.
            if !matches!(slot, Slot::Absent) {
                return None;
            }
            *slot = value;
        }
        match line.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (line.at == json.len()).then_some(fact)
}

/// A line, and how far it was read.
struct Plain<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Plain<'a> {
    /// The next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.json.as_bytes().get(self.at)?;
            self.at += 1;
            if byte != b' ' {
                return Some(byte);
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    /// A string, from before its first quote.
    fn text(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        self.rest_of_text()
    }

    fn rest_of_text(&mut self) -> Option<&'a str> {
        let start = self.at;
        let length = self.json.as_bytes().get(start..)?.iter().position(|byte| *byte == b'"')?;
        self.at = start + length + 1;
        self.json.get(start..start + length)
    }

    fn value(&mut self) -> Option<Slot<'a>> {
        match self.next()? {
            b'"' => Some(Slot::Text(Cow::Borrowed(self.rest_of_text()?))),
            b'-' => Some(Slot::Integer(-self.digits()?)),
            _ => {
                self.at -= 1;
                Some(Slot::Integer(self.digits()?))
            }
        }
    }

    /// A whole number that begins with no 0; not even 0 itself, of which there is one with a sign that is no integer.
    fn digits(&mut self) -> Option<i64> {
        let rest = self.json.as_bytes().get(self.at..)?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > MOST_DIGITS || rest[0] == b'0' || matches!(rest.get(digits)?, b'.' | b'e' | b'E') {
            return None;
        }
        self.at += digits;
        Some(rest[..digits].iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;
    use crate::raw_fact::RawFact;

    const LINES: [&str; 3] = [
        r#"{"id":"f_1","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"in_1","subscription":"sub","amount_minor":4900}"#,
        r#"{"id": "f_2", "amount_minor": -12, "unknown": "é", "type": "adjustment_made", "partner": "P", "reason": "so"}"#,
        r#"{"type":"partner_joined","name":"a","website":"b","country":"US","other":1}"#,
    ];
    const ODD: [&str; 16] = [
        "\"",
        "\\",
        ",",
        ":",
        "}",
        "{",
        "0",
        "-",
        "1",
        "e",
        ".",
        " ",
        "\t",
        "null",
        r#","id":"x""#,
        "123456789012345678",
    ];

    #[test]
    fn what_programs_write_is_plain() {
        assert!(LINES.iter().all(|line| read(line).is_some()));
    }

    proptest! {
        /// However a line is damaged, what is read here is what `serde_json` reads.
        #[test]
        fn a_plain_line_is_read_as_any_other(
            line in prop::sample::select(&LINES[..]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize, prop::sample::select(&ODD[..])), 0..4),
        ) {
            let mut line: Vec<char> = line.chars().collect();
            for (at, gone, odd) in changes {
                let at = at.index(line.len());
                let end = line.len().min(at + gone);
                line.splice(at..end, odd.chars());
            }
            let line: String = line.into_iter().collect();
            if let Some(fact) = read(&line) {
                let same = serde_json::from_str::<RawFact>(&line);
                prop_assert_eq!(same.ok(), Some(fact), "{}", line);
            }
        }
    }
}
