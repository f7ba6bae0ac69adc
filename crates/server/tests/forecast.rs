//! `aikit-partners-server forecast` as an operator runs it: the program itself, its two streams and its exit code.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const PARTNER: &str = "PARTNER_NORTHLIGHT";
const AS_OF: &str = "2026-11-01T00:00:00Z";

/// An agency with one client at $500 a month since September.
const JOURNAL: &str = r#"
{"id":"1","at":"2026-09-01T00:00:00Z","type":"partner_joined","partner":"PARTNER_NORTHLIGHT","name":"Northlight Studio","website":"northlight.example"}
{"id":"2","at":"2026-09-10T08:00:00Z","type":"referral_created","referral":"alder","partner":"PARTNER_NORTHLIGHT"}
{"id":"3","at":"2026-09-10T09:30:00Z","type":"subscription_started","subscription":"s1","referral":"alder","interval":"month","amount_minor":50000}
{"id":"4","at":"2026-09-10T09:30:00Z","type":"invoice_paid","invoice":"in_1","subscription":"s1","amount_minor":50000}
{"id":"5","at":"2026-10-10T09:30:00Z","type":"invoice_paid","invoice":"in_2","subscription":"s1","amount_minor":50000}
"#;

/// Runs a command with a journal on its standard input.
fn run(command: &str, journal: &str, options: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aikit-partners-server"))
        .args([command, "--journal", "-"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its options reads nothing, and what is written to it is lost.
    let _ = child.stdin.take().unwrap().write_all(journal.as_bytes());
    child.wait_with_output().unwrap()
}

/// What a program that succeeded has written.
fn written(output: Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn forecast(journal: &str, further: &[&str]) -> Output {
    run("forecast", journal, &[&["--as-of", AS_OF, "--partner", PARTNER], further].concat())
}

/// The example of the page for partners: a block of facts (```` ```jsonl-forecast OPTIONS ````), and the block that the
/// program prints for them (```` ```text-forecast ````), which `UPDATE=1` rewrites.
#[test]
fn the_page_for_partners_shows_what_the_program_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-commission-is-computed.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once("```jsonl-forecast ").unwrap();
    let (options, rest) = rest.split_once('\n').unwrap();
    let (facts, rest) = rest.split_once("```\n").unwrap();
    let (between, rest) = rest.split_once("```text-forecast\n").unwrap();
    let (shown, tail) = rest.split_once("```\n").unwrap();
    let printed = written(run("forecast", facts, &options.split(' ').collect::<Vec<_>>()));
    if std::env::var_os("UPDATE").is_some() {
        let page =
            format!("{head}```jsonl-forecast {options}\n{facts}```\n{between}```text-forecast\n{printed}```\n{tail}");
        std::fs::write(&path, page).unwrap();
    } else {
        assert_eq!(shown, printed);
    }
}

/// `forecast --format journal | statements` says at the end of each month what the forecast says of it.
#[test]
fn a_forecast_can_be_checked_by_statements() {
    let growth = ["--new-clients", "1.5", "--plan", "month:50000:0.7", "--plan", "year:500000:0.3", "--churn", "0.05"];
    let with = |format| written(forecast(JOURNAL, &[&growth[..], &["--months", "9", "--format", format]].concat()));
    let json: Value = serde_json::from_str(&with("json")).unwrap();
    let journal = with("journal");
    let months = json["months"].as_array().unwrap();
    assert_eq!(months.len(), 9);
    for month in months {
        let until = month["until"].as_str().unwrap();
        let statements = written(run("statements", &journal, &["--as-of", until, "--format", "summary"]));
        let statements: Value = serde_json::from_str(&statements).unwrap();
        let totals = &statements[0]["totals"];
        assert_eq!(totals["payable"], month["payout_minor"], "{until}");
        assert_eq!(totals["pending"], month["pending_minor"], "{until}");
        assert_eq!(statements[0]["tier"], month["tier"], "{until}");
    }
    let rows = with("csv");
    let rows: Vec<Vec<&str>> = rows.lines().map(|row| row.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|head| *head == name).unwrap();
    for (row, month) in rows[1..].iter().zip(months) {
        assert_eq!(row[column("from")], month["from"].as_str().unwrap());
        let cents = row[column("payout")].replace('.', "");
        assert_eq!(cents.parse::<i64>().unwrap(), month["payout_minor"].as_i64().unwrap());
    }
    assert_eq!(rows.len(), 10);
}

#[test]
fn a_code_that_is_a_formula_is_guarded() {
    let journal = JOURNAL.replace(PARTNER, "=HYPERLINK");
    let csv = written(run("forecast", &journal, &["--as-of", AS_OF, "--partner", "=HYPERLINK", "--format", "csv"]));
    assert!(csv.lines().skip(1).all(|row| row.starts_with("'=HYPERLINK,")), "{csv}");
}

#[test]
fn what_cannot_be_is_refused_in_one_line_that_names_the_option() {
    let table: [(&[&str], &str); 14] = [
        (&["--new-clients", "-1"], "--new-clients must be from 0 to 200 with at most three decimals, not -1"),
        (&["--new-clients", "1000000000000"], "--new-clients must be from 0 to 200 with at most three decimals"),
        (&["--new-clients", "1"], "--plan must name at least one plan that new clients choose"),
        (&["--plan", "month:50000:0.7"], "--plan must have shares that add up to 1, not to 0.7"),
        (&["--plan", "month:0:1"], "--plan number 1: its price must be from 1 to 9000000000000000 minor units, not 0"),
        (
            &["--plan", "month:1:0.5", "--plan", "month:1:1.5"],
            "--plan number 2: its share must be above 0 and at most 1",
        ),
        (&["--churn", "1.5"], "--churn must be from 0 to 1 with at most six decimals, not 1.5"),
        (&["--churn", "-0.1"], "--churn must be from 0 to 1"),
        (&["--months", "0"], "--months must be from 1 to 60, not 0"),
        (&["--months", "4000000000"], "--months must be from 1 to 60"),
        (&["--trial-days", "4000"], "--trial-days must be at most 366, not 4000"),
        (&["--as-of", "9999-01-01T00:00:00Z"], "--as-of must be a time before the year 9900"),
        (&["--as-of", "tomorrow"], "--as-of must be an RFC 3339 time in UTC"),
        (
            &["--partner", "NOBODY"],
            "standard input: no partner `NOBODY` joined before the forecast begins; check the code",
        ),
    ];
    for (options, expected) in table {
        let mut all = vec!["--as-of", AS_OF, "--partner", PARTNER];
        if let Some(given) = all.iter().position(|option| *option == options[0]) {
            all.drain(given..given + 2);
        }
        all.extend(options);
        let output = run("forecast", JOURNAL, &all);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}: {complaint}");
        assert!(complaint.starts_with(&format!("aikit-partners-server: {expected}")), "{options:?}: {complaint}");
        assert_eq!((complaint.lines().count(), output.stdout.len()), (1, 0), "{complaint}");
    }
    for (option, value) in [("--churn", "NaN"), ("--new-clients", "1e400"), ("--plan", "week:1:1"), ("--months", "-1")]
    {
        let output = forecast(JOURNAL, &[option, value]);
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{option} {value}: {complaint}");
        assert!(complaint.contains(option) && complaint.contains(value), "{complaint}");
    }
    let broken = forecast(&format!("{JOURNAL}{{\"id\":\"6\""), &[]);
    let complaint = String::from_utf8(broken.stderr).unwrap();
    assert_eq!(broken.status.code(), Some(2), "{complaint}");
    assert!(complaint.starts_with("aikit-partners-server: standard input: line 7: "), "{complaint}");
}
