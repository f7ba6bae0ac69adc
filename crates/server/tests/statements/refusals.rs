//! Bad input: nothing is computed from it, the program ends with 2, and one line says which file, which line, which field.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::{run, statements, written};

const JOINED: &str =
    r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"A","website":"a.example"}"#;
const AS_OF: [&str; 2] = ["--as-of", "2026-06-01T00:00:00Z"];

/// Facts with a place for a value, `#`.
const AT: &str = r##"{"id":"b","at":#,"type":"partner_suspended","partner":"P"}"##;
const TYPE: &str = r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":#,"partner":"P"}"##;
const ID: &str = r##"{"id":#,"at":"2026-01-02T00:00:00Z","type":"partner_suspended","partner":"P"}"##;
const STARTED: &str = r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"subscription_started","subscription":"s","referral":"r","interval":"year","amount_minor":#}"##;
const INTERVAL: &str = r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"subscription_changed","subscription":"s","amount_minor":1,"interval":#}"##;
const PAID: &str = r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":#}"##;
const PERIOD: &str = r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":1,"period_start":"2026-01-02T00:00:00Z","period_end":#}"##;
const REFUNDED: &str =
    r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"invoice_refunded","invoice":"i","amount_minor":#}"##;
const DISPUTED: &str =
    r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"dispute_opened","dispute":"d","invoice":"i","amount_minor":#}"##;
const CLOSED: &str = r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"dispute_closed","dispute":"d","outcome":#}"##;
const ADJUSTED: &str =
    r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"adjustment_made","partner":"P","reason":"r","amount_minor":#}"##;
const PAYOUT: &str =
    r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"payout_paid","payout":"p","partner":"P","amount_minor":#}"##;
const REVERSED: &str =
    r##"{"id":"b","at":"2026-01-02T00:00:00Z","type":"payout_reversed","payout":"p","amount_minor":#}"##;

/// A fact, the value in it, the field to be named, and a part of what must be said of it.
const BAD_VALUES: &[(&str, &str, &str, &str)] = &[
    // What is no number.
    (PAID, "NaN", "amount_minor", "is not"),
    (PAID, "nan", "amount_minor", "is not"),
    (PAID, "Infinity", "amount_minor", "is not"),
    (PAID, "-Infinity", "amount_minor", "is not"),
    (PAID, "1e999", "amount_minor", "is not"),
    (PAID, "0x10", "amount_minor", "is not"),
    (PAID, "1_000", "amount_minor", "is not"),
    (PAID, "007", "amount_minor", "is not"),
    (PAID, "+5", "amount_minor", "is not"),
    (PAID, "$5.00", "amount_minor", "is not"),
    (PAID, "\"NaN\"", "amount_minor", "not a string"),
    (PAID, "\"500\"", "amount_minor", "not a string"),
    (PAID, "\"\"", "amount_minor", "not a string"),
    (PAID, "true", "amount_minor", "not true or false"),
    (PAID, "[5]", "amount_minor", "not a list"),
    (PAID, "{\"amount\":5}", "amount_minor", "not an object"),
    (PAID, "null", "amount_minor", "missing"),
    // What is no whole number, or a huge one.
    (PAID, "5.0", "amount_minor", "whole number"),
    (PAID, "5e2", "amount_minor", "whole number"),
    (PAID, "0.1", "amount_minor", "whole number"),
    (PAID, "9000000000000001", "amount_minor", "at most 9000000000000000"),
    (PAID, "9223372036854775807", "amount_minor", "at most 9000000000000000"),
    (PAID, "9223372036854775808", "amount_minor", "whole number"),
    (PAID, "18446744073709551616", "amount_minor", "whole number"),
    (PAID, "99999999999999999999999999999999999999999", "amount_minor", "whole number"),
    (REFUNDED, "9000000000000001", "amount_minor", "at most"),
    (DISPUTED, "9000000000000001", "amount_minor", "at most"),
    (PAYOUT, "9000000000000001", "amount_minor", "at most"),
    (REVERSED, "9000000000000001", "amount_minor", "at most"),
    (STARTED, "9000000000000001", "amount_minor", "at most"),
    (ADJUSTED, "-9000000000000001", "amount_minor", "at most"),
    (ADJUSTED, "-9223372036854775808", "amount_minor", "at most"),
    (ADJUSTED, "9000000000000001", "amount_minor", "at most"),
    // Negative where nothing may be, and nothing where something must be.
    (PAID, "-1", "amount_minor", "not be negative"),
    (STARTED, "-1", "amount_minor", "not be negative"),
    (REFUNDED, "-1", "amount_minor", "above zero"),
    (REFUNDED, "0", "amount_minor", "above zero"),
    (DISPUTED, "-1", "amount_minor", "above zero"),
    (DISPUTED, "0", "amount_minor", "above zero"),
    (PAYOUT, "-1", "amount_minor", "above zero"),
    (PAYOUT, "0", "amount_minor", "above zero"),
    (REVERSED, "-1", "amount_minor", "above zero"),
    (REVERSED, "0", "amount_minor", "above zero"),
    // Wrong zones, and times that do not exist.
    (AT, "\"2026-01-02T00:00:00+02:00\"", "at", "UTC"),
    (AT, "\"2026-01-02T00:00:00-00:00\"", "at", "UTC"),
    (AT, "\"2026-01-02T00:00:00+0000\"", "at", "UTC"),
    (AT, "\"2026-01-02T00:00:00\"", "at", "UTC"),
    (AT, "\"2026-01-02T00:00:00 Europe/Berlin\"", "at", "UTC"),
    (AT, "\"2026-01-02T00:00:00.Z\"", "at", "RFC 3339"),
    (AT, "\"2026-01-02 00:00:00Z\"", "at", "RFC 3339"),
    (AT, "\"2026-01-02\"", "at", "RFC 3339"),
    (AT, "\"Friday\"", "at", "RFC 3339"),
    (AT, "\"\"", "at", "RFC 3339"),
    (AT, "1767312000", "at", "not a number"),
    (AT, "\"2026-01-02T00:00:00.0000000001Z\"", "at", "nine"),
    (AT, "\"2026-06-30T23:59:60Z\"", "at", "leap second"),
    (AT, "\"2026-02-29T00:00:00Z\"", "at", "exist"),
    (AT, "\"2026-13-01T00:00:00Z\"", "at", "exist"),
    (AT, "\"2026-01-02T24:00:00Z\"", "at", "exist"),
    (AT, "\"+12026-01-02T00:00:00Z\"", "at", "RFC 3339"),
    (AT, "null", "at", "missing"),
    (PERIOD, "\"2026-01-02T00:00:00Z\"", "period_end", "later than"),
    (PERIOD, "\"2026-01-01T23:59:59.999999999Z\"", "period_end", "later than"),
    (PERIOD, "\"2026-02-02T00:00:00+01:00\"", "period_end", "UTC"),
    // Words that mean nothing.
    (TYPE, "\"payout_lost\"", "type", "unknown"),
    (TYPE, "\"Partner_Suspended\"", "type", "unknown"),
    (TYPE, "\"\"", "type", "unknown"),
    (TYPE, "\"a\\nb\\u001b[2J\\u202e\"", "type", "unknown"),
    (TYPE, "7", "type", "not a number"),
    (TYPE, "null", "type", "missing"),
    (INTERVAL, "\"week\"", "interval", "`month` or `year`"),
    (CLOSED, "\"draw\"", "outcome", "`won` or `lost`"),
    // Ids.
    (ID, "\"\"", "id", "empty"),
    (ID, "null", "id", "missing"),
    (ID, "5", "id", "not a number"),
    (ID, "\"b\",\"id\":\"c\"", "id", "twice"),
    (ID, "\"a\"", "id", "line 1"),
];

/// Lines that are nothing at all, and a part of what must be said.
const BAD_LINES: &[(&[u8], &str)] = &[
    (b"nonsense", "line 2: is not"),
    (b"null", "line 2: is not"),
    (b"[]", "line 2: is not"),
    (b"\"id\"", "line 2: is not"),
    (b"{", "line 2: is not"),
    (b"{\"id\":\"b\"} {\"id\":\"c\"}", "line 2: "),
    (b"# a comment", "line 2: is not"),
    (b"\x00", "line 2: is not"),
    (b"\xff\xfe{\x00}\x00", "line 2: is not UTF-8"),
    (b"{\"id\":\"\xc3\x28\"}", "line 2: is not UTF-8"),
    (b"\xef\xbb\xbf{}", "line 2: is not"),
    (b"{\"id\":\"b\",\"at\":\"2026-01-02T00:0", "line 2: field `at`"),
    (b"{\"id\":\"b\",\"at\":\"2026-01-02T00:00:00Z\",\"type\":\"invoice_paid\",\"amount_minor\":50", "line 2:"),
];

fn file(name: &str, content: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// The one line that the program says when it ends with 2 and writes nothing.
fn refusal(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "{said}");
    let line = said.strip_suffix('\n').unwrap_or_else(|| panic!("no whole line: {said}"));
    assert!(!line.is_empty() && !line.contains(char::is_control), "{said}");
    line.to_owned()
}

fn of_file(path: &Path) -> Output {
    run(b"", &["--journal", path.to_str().unwrap(), AS_OF[0], AS_OF[1]])
}

#[test]
fn a_bad_value_is_named_by_file_line_and_field() {
    for (number, (fact, value, field, part)) in BAD_VALUES.iter().enumerate() {
        let line = fact.replace('#', value);
        for (end, next) in [("\n", JOINED), ("\r\n", "nonsense that is never read")] {
            let name = format!("value-{number}.jsonl");
            let path = file(&name, [JOINED, &line, next].join(end).as_bytes());
            let said = refusal(&of_file(&path));
            let named = format!("{name}: line 2: field `{field}` ");
            assert!(said.contains(&named) && said.contains(part), "{line}\n{said}\n{named}… {part}");
        }
    }
}

#[test]
fn a_line_that_is_no_fact_is_named_by_file_and_line() {
    for (number, (line, part)) in BAD_LINES.iter().enumerate() {
        let name = format!("line-{number}.jsonl");
        let path = file(&name, &[JOINED.as_bytes(), b"\n", line].concat());
        let said = refusal(&of_file(&path));
        assert!(said.contains(&format!("{name}: {part}")), "{said}\n{part}");
    }
}

#[test]
fn a_journal_that_was_cut_off_is_refused_wherever_it_ends() {
    let journal = format!("{JOINED}\n{}", PAID.replace('#', "50000"));
    let second = JOINED.len() + 2;
    for end in second..journal.len() {
        let said = refusal(&statements(&journal.as_bytes()[..end], &AS_OF));
        assert!(said.contains("standard input: line 2: "), "{said}");
    }
    written(statements(journal.as_bytes(), &AS_OF));
}

#[test]
fn a_very_deep_or_long_line_is_refused_in_a_short_one() {
    for line in ["[".repeat(1_000_000), "{\"a\":".repeat(300_000), format!("{{\"id\":\"{}", "x".repeat(1_000_000))] {
        let said = refusal(&statements(line.as_bytes(), &AS_OF));
        assert!(said.contains("line 1: ") && said.chars().count() < 1_000, "{said}");
    }
}

#[test]
fn two_facts_with_one_id_are_refused_before_what_comes_later() {
    let other = JOINED.replace("\"P\"", "\"Q\"");
    let said = refusal(&statements(format!("{JOINED}\n\n{JOINED}\n{other}\nnonsense").as_bytes(), &AS_OF));
    assert!(said.contains("line 4: field `id` `a` was used on line 1 for a different fact"), "{said}");
    // A fact that lies in the future is read like any other.
    let later = JOINED.replace("2026-01-01", "2030-01-01");
    let said = refusal(&statements(format!("{later}\n{other}").as_bytes(), &AS_OF));
    assert!(said.contains("line 2: field `id`"), "{said}");
}

#[test]
fn sums_that_do_not_fit_are_refused_by_what_they_are_of() {
    let line = |number: u32| ADJUSTED.replace("\"b\"", &format!("\"b{number}\"")).replace('#', "9000000000000000");
    let journal: String =
        std::iter::once(JOINED.to_owned()).chain((0..1_100).map(line)).map(|line| line + "\n").collect();
    let output = statements(journal.as_bytes(), &AS_OF);
    assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).is_err(), "what was begun is no answer");
    let said = refusal(&Output { stdout: Vec::new(), ..output });
    assert!(said.contains("standard input: `vested` of partner `P` is too large"), "{said}");
}

#[test]
fn files_and_options_that_cannot_be_used_are_named() {
    let journal = file("good.jsonl", JOINED.as_bytes());
    let folder = journal.parent().unwrap().to_str().unwrap();
    let journal = journal.to_str().unwrap();
    let bad_terms = file("bad-terms.toml", b"[[terms]]\nid = \"x\"\nfrom = 7\n");
    let no_terms = file("no-terms.toml", b"");
    let missing = "/nowhere/journal.jsonl";
    let table: [(&[&str], &[&str]); 10] = [
        (&["--journal", folder], &[folder, "folder"]),
        (&["--journal", missing], &[missing, "No such file"]),
        (&["--journal", journal, "--terms", folder], &[folder, "folder"]),
        (&["--journal", journal, "--terms", missing], &[missing, "No such file"]),
        (&["--journal", journal, "--terms", bad_terms.to_str().unwrap()], &["bad-terms.toml: ", "line 3", "time"]),
        (&["--journal", journal, "--terms", no_terms.to_str().unwrap()], &["no-terms.toml: ", "[[terms]]"]),
        (&["--journal", journal, "--terms", journal], &["good.jsonl: ", "line 1"]),
        (&["--journal", journal, "--partner", "Q"], &["good.jsonl: ", "`Q`"]),
        (&["--journal", journal, "--as-of", "2026-06-01T00:00:00+02:00"], &["--as-of ", "UTC"]),
        (&["--journal", journal, "--as-of", "soon"], &["--as-of ", "RFC 3339"]),
    ];
    for (options, parts) in table {
        let as_of: &[&str] = if options.contains(&"--as-of") { &[] } else { &AS_OF };
        let said = refusal(&run(b"", &[options, as_of].concat()));
        parts.iter().for_each(|part| assert!(said.contains(part), "{options:?}\n{said}\n{part}"));
    }
}

#[test]
fn what_is_merely_unusual_is_read() {
    let suspended = AT.replace('#', "\"2026-01-02T00:00:00.000000001+00:00\"");
    let expected = written(statements(format!("{JOINED}\n{suspended}\n").as_bytes(), &AS_OF));
    assert!(expected.contains("\"suspended\":true"), "{expected}");
    for journal in [
        format!("{JOINED}\n{suspended}"),
        format!("\u{feff}{JOINED}\n{suspended}\n"),
        format!("\u{feff}{JOINED}\r\n{suspended}\r\n"),
        format!("\n\r\n  \t\n{JOINED}\n\n\n{suspended}\n   "),
        format!("{suspended}\n{JOINED}\n{suspended}\n{JOINED}"),
        format!("  {JOINED}\t\n{}", suspended.replace('}', ",\"seq\":7,\"note\":{\"by\":[null]}}")),
    ] {
        assert_eq!(written(statements(journal.as_bytes(), &AS_OF)), expected, "{journal}");
    }
}
