//! What `statements` writes: JSON, its summary, a page to read, and rows for a spreadsheet.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{statements, written};

/// A journal with every kind and every status of line, in which whoever can choose a text has chosen a formula or a
/// command to a terminal.
const JOURNAL: &str = r#"
{"id":"01","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"Q","name":"Q","website":"q.example"}
{"id":"02","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"=P","name":"P","website":"p.example"}
{"id":"03","at":"2026-01-05T00:00:00Z","type":"referral_created","referral":"@kept","partner":"=P"}
{"id":"04","at":"2026-01-05T00:00:00Z","type":"subscription_started","subscription":"s1","referral":"@kept","interval":"year","amount_minor":600000}
{"id":"05","at":"2026-01-05T00:00:00Z","type":"invoice_paid","invoice":"-2+3","subscription":"s1","amount_minor":600000}
{"id":"06","at":"2026-02-01T00:00:00Z","type":"invoice_refunded","invoice":"-2+3","amount_minor":700000}
{"id":"07","at":"2026-02-05T00:00:00Z","type":"invoice_paid","invoice":"disputed","subscription":"s1","amount_minor":10000,"period_start":"2027-02-05T00:00:00Z"}
{"id":"08","at":"2026-02-06T00:00:00Z","type":"dispute_opened","dispute":"d","invoice":"disputed","amount_minor":10000}
{"id":"10","at":"2026-01-06T00:00:00Z","type":"referral_created","referral":"+left\u001b[2J","partner":"=P"}
{"id":"11","at":"2026-01-06T00:00:00Z","type":"subscription_started","subscription":"s2","referral":"+left\u001b[2J","interval":"month","amount_minor":10000}
{"id":"12","at":"2026-01-06T00:00:00Z","type":"invoice_paid","invoice":"in,2","subscription":"s2","amount_minor":10000}
{"id":"13","at":"2026-01-07T00:00:00Z","type":"subscription_canceled","subscription":"s2"}
{"id":"20","at":"2026-01-07T00:00:00Z","type":"referral_created","referral":"\tnever","partner":"=P"}
{"id":"21","at":"2026-01-07T00:00:00Z","type":"subscription_started","subscription":"s3","referral":"\tnever","interval":"month","amount_minor":10000}
{"id":"22","at":"2026-01-07T00:00:00Z","type":"invoice_paid","invoice":"in\"3","subscription":"s3","amount_minor":10000}
{"id":"23","at":"2026-01-08T00:00:00Z","type":"referral_rejected","referral":"\tnever"}
{"id":"30","at":"2026-06-01T00:00:00Z","type":"referral_created","referral":"new","partner":"=P"}
{"id":"31","at":"2026-06-01T00:00:00Z","type":"subscription_started","subscription":"s4","referral":"new","interval":"month","amount_minor":10000}
{"id":"32","at":"2026-06-01T00:00:00Z","type":"invoice_paid","invoice":"in4","subscription":"s4","amount_minor":10000}
{"id":"40","at":"2026-06-02T00:00:00Z","type":"adjustment_made","partner":"=P","amount_minor":-1234,"reason":"=HYPERLINK(\"http://evil.example\")"}
{"id":"41","at":"2026-06-03T00:00:00Z","type":"payout_paid","payout":"po","partner":"=P","amount_minor":100}
{"id":"42","at":"2026-06-03T00:00:00Z","type":"partner_suspended","partner":"Q"}
{"id":"43","at":"2026-06-04T00:00:00Z","type":"referral_moved","referral":"nobody","partner":"Q","reason":"r"}
{"id":"44","at":"2026-06-04T00:00:00Z","type":"refund_failed","refund":"re_0"}
"#;

const AS_OF: [&str; 2] = ["--as-of", "2026-07-01T00:00:00Z"];

fn all(format: &str) -> String {
    written(statements(JOURNAL.as_bytes(), &[AS_OF[0], AS_OF[1], "--format", format]))
}

fn json(format: &str) -> Vec<Value> {
    serde_json::from_str(&all(format)).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn json_is_an_array_of_statements_by_partner() {
    let statements = json("json");
    let partners: Vec<&Value> = statements.iter().map(|statement| &statement["partner"]).collect();
    assert_eq!(partners, ["=P", "Q"]);
    let of_statement = ["partner", "tier", "suspended", "as_of", "terms", "digest", "totals", "lines", "unmatched"];
    let of_totals = ["pending", "vested", "held", "forfeited", "void", "paid", "balance", "payable"];
    let of_line = [
        "id",
        "kind",
        "referral",
        "invoice",
        "amount_minor",
        "basis_minor",
        "rate",
        "rule",
        "terms",
        "tenure_month",
        "reason",
        "status",
        "earned_at",
        "vests_at",
        "why",
    ];
    for statement in &statements {
        assert_eq!(keys(statement), of_statement.into());
        assert_eq!(keys(&statement["totals"]), of_totals.into());
        assert_eq!(statement["tier"], "standard");
        assert_eq!(statement["as_of"], "2026-07-01T00:00:00Z");
        assert_eq!(statement["suspended"], statement["partner"] == "Q");
        assert_eq!(statement["digest"].as_str().unwrap().len(), 64);
        statement["lines"].as_array().unwrap().iter().for_each(|line| assert_eq!(keys(line), of_line.into()));
    }
    let (mut kinds, mut statuses) = (BTreeSet::new(), BTreeSet::new());
    for line in statements[0]["lines"].as_array().unwrap() {
        let text = |field: &str| line[field].as_str().unwrap();
        kinds.insert(text("kind"));
        statuses.insert(text("status"));
        assert_eq!(line["vests_at"].is_null(), matches!(text("status"), "void" | "forfeited"), "{line}");
        assert_eq!(line["rate"].is_null(), matches!(text("rule"), "high_value_bonus" | "adjustment"), "{line}");
        assert!(line["rate"].as_str().is_none_or(|rate| rate == "0.20" || rate == "0.10"), "{line}");
        assert!(line["amount_minor"].is_i64() && line["basis_minor"].is_i64(), "{line}");
    }
    assert_eq!(kinds, ["first_year", "recurring", "high_value_bonus", "reversal", "adjustment"].into());
    assert_eq!(statuses, ["void", "forfeited", "held", "pending", "vested"].into());
    assert_eq!(statements[1]["unmatched"][0]["id"], "43");
    assert_eq!(keys(&statements[1]["unmatched"][0]), ["id", "at", "type", "missing", "missing_id"].into());
}

#[test]
fn a_summary_is_the_json_without_its_lines() {
    let mut statements = json("json");
    for statement in &mut statements {
        statement.as_object_mut().unwrap().remove("lines").unwrap();
    }
    assert_eq!(json("summary"), statements);
}

#[test]
fn one_partner_alone_has_the_same_statement() {
    for format in ["json", "summary"] {
        for statement in json(format) {
            let partner = statement["partner"].as_str().unwrap();
            let options = [AS_OF[0], AS_OF[1], "--format", format, "--partner", partner];
            let alone = written(statements(JOURNAL.as_bytes(), &options));
            assert_eq!(serde_json::from_str::<Value>(&alone).unwrap(), Value::Array(vec![statement]));
        }
    }
}

#[test]
fn no_cell_of_a_spreadsheet_is_a_formula() {
    let text = all("csv");
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count(), "a row ends in CRLF");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let statements = json("json");
    let lines: Vec<&Value> = statements.iter().flat_map(|statement| statement["lines"].as_array().unwrap()).collect();
    assert_eq!(rows.len(), lines.len());
    let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let mut guarded = 0;
    for (row, line) in rows.iter().zip(lines) {
        for cell in row {
            let is_number = cell.parse::<f64>().is_ok();
            assert!(is_number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?} is a formula");
        }
        for (name, field) in [("client", "referral"), ("invoice", "invoice"), ("why", "why"), ("line", "id")] {
            let (cell, value) = (&row[column(name)], line[field].as_str().unwrap_or_default());
            assert!(cell == value || cell.strip_prefix('\'') == Some(value), "{cell:?} for {value:?}");
            guarded += usize::from(cell != value);
        }
        let cents: String = row[column("amount")].replace('.', "");
        assert_eq!(cents.parse::<i64>().unwrap(), line["amount_minor"].as_i64().unwrap());
    }
    assert!(guarded >= 5, "only {guarded} texts were formulas");
}

#[test]
fn a_page_commands_no_terminal() {
    let page = all("text");
    assert!(page.contains("=P  ·  Standard  ·  as of 1 Jul 2026, 00:00 UTC  ·  terms 2026-01"), "{page}");
    assert!(page.contains("Q  ·  Standard, suspended"), "{page}");
    assert!(page.contains("+left\\u{1b}[2J"), "{page}");
    assert!(!page.contains(|char: char| char.is_control() && char != '\n'), "{page}");
    assert!(page.contains("referral_moved `43`: the referral `nobody` is unknown"), "{page}");
    assert!(page.contains("lead to no partner and count nowhere:\n  2026-06-04 refund_failed `44`"), "{page}");
}

/// A refund of more than its invoice takes what there is, and is reported in the line, on the page and beside the data.
#[test]
fn what_goes_back_beyond_its_invoice_is_capped_and_reported() {
    let said = "invoice `-2+3` of client `@kept`: $7,000.00 of $6,000.00";
    let page = all("text");
    assert!(page.contains(&format!("only what was paid counts:\n  {said}\n")), "{page}");
    for format in ["json", "summary", "csv"] {
        let output = statements(JOURNAL.as_bytes(), &[AS_OF[0], AS_OF[1], "--format", format]);
        let beside = String::from_utf8(output.stderr).unwrap();
        let [astray, excess] = beside.lines().collect::<Vec<_>>()[..] else { panic!("not two lines: {beside}") };
        assert!(astray.contains("refund_failed `44`") && excess.ends_with(said), "{beside}");
    }
    let statements = json("json");
    let lines = statements[0]["lines"].as_array().unwrap();
    let taken: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "reversal").collect();
    assert_eq!(taken.iter().map(|line| line["amount_minor"].as_i64().unwrap()).sum::<i64>(), -(120_000 + 50_000));
    for line in taken {
        assert_eq!(line["basis_minor"], 600_000);
        assert!(line["why"].as_str().unwrap().contains("(a refund of $7,000.00, more than was left)"), "{line}");
    }
}

#[test]
fn a_journal_without_partners_gives_empty_answers() {
    for journal in ["", "\n", "\u{feff}", "\u{feff}\r\n\r\n"] {
        let write = |format| written(statements(journal.as_bytes(), &[AS_OF[0], AS_OF[1], "--format", format]));
        for format in ["json", "summary"] {
            assert_eq!(serde_json::from_str::<Vec<Value>>(&write(format)).unwrap(), Vec::<Value>::new());
        }
        assert_eq!(write("text"), "No partner had joined before 1 Jul 2026, 00:00 UTC.\n");
        assert_eq!(write("csv").lines().count(), 1, "the names of the columns alone");
    }
}
