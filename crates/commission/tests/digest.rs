//! The canonical form of a digest, written a second time from its description alone, and over the JSON that everybody
//! gets, so that the description is known to be enough.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[expect(dead_code, reason = "The expectations of a scenario are checked with its ledger.")]
mod scenario;

use commission::digest::{line_digest, set_digest};
use commission::{Program, Summary, evaluate, parse_time, set_digest_of_summaries};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn integer(form: &mut Vec<u8>, value: i64) {
    form.extend(value.to_le_bytes());
}

fn text(form: &mut Vec<u8>, value: &Value) {
    let value = value.as_str().unwrap();
    integer(form, value.len().try_into().unwrap());
    form.extend(value.as_bytes());
}

fn time(form: &mut Vec<u8>, value: &Value) {
    let time = parse_time(value.as_str().unwrap()).unwrap();
    integer(form, time.timestamp());
    integer(form, time.timestamp_subsec_nanos().into());
}

fn optional(form: &mut Vec<u8>, value: &Value, write: fn(&mut Vec<u8>, &Value)) {
    integer(form, (!value.is_null()).into());
    if !value.is_null() {
        write(form, value);
    }
}

fn number(form: &mut Vec<u8>, value: &Value) {
    integer(form, value.as_i64().unwrap());
}

fn line(line: &Value) -> [u8; 32] {
    let mut form = Vec::new();
    text(&mut form, &"line".into());
    text(&mut form, &line["id"]);
    text(&mut form, &line["kind"]);
    optional(&mut form, &line["referral"], text);
    optional(&mut form, &line["invoice"], text);
    number(&mut form, &line["amount_minor"]);
    number(&mut form, &line["basis_minor"]);
    optional(&mut form, &line["rate"], text);
    text(&mut form, &line["rule"]);
    text(&mut form, &line["terms"]);
    optional(&mut form, &line["tenure_month"], number);
    optional(&mut form, &line["reason"], text);
    text(&mut form, &line["status"]);
    time(&mut form, &line["earned_at"]);
    optional(&mut form, &line["vests_at"], time);
    Sha256::digest(form).into()
}

fn statement(statement: &Value) -> [u8; 32] {
    let mut form = Vec::new();
    text(&mut form, &"statement".into());
    text(&mut form, &statement["partner"]);
    text(&mut form, &statement["tier"]);
    integer(&mut form, statement["suspended"].as_bool().unwrap().into());
    time(&mut form, &statement["as_of"]);
    text(&mut form, &statement["terms"]);
    for total in ["pending", "vested", "held", "forfeited", "void", "paid", "balance", "payable"] {
        number(&mut form, &statement["totals"][total]);
    }
    let lines = statement["lines"].as_array().unwrap();
    integer(&mut form, lines.len().try_into().unwrap());
    lines.iter().for_each(|value| form.extend(line(value)));
    let unmatched = statement["unmatched"].as_array().unwrap();
    integer(&mut form, unmatched.len().try_into().unwrap());
    for fact in unmatched {
        text(&mut form, &fact["id"]);
        time(&mut form, &fact["at"]);
        for field in ["type", "missing", "missing_id"] {
            text(&mut form, &fact[field]);
        }
    }
    Sha256::digest(form).into()
}

#[test]
fn a_digest_that_is_none_makes_no_digest_of_a_set() {
    let golden = include_str!("golden/digest_of_every_sort_of_line.txt");
    let scenario = scenario::parse(golden.split("----\n").next().unwrap()).unwrap();
    let program = Program::new(&scenario.facts, &scenario.terms, scenario.as_of).unwrap();
    let summary = program.summary(0).unwrap();
    for digest in ["", "35ac", &"g".repeat(64), &summary.digest[1..], &format!("{}00", summary.digest)] {
        let broken = Summary { digest: digest.to_owned(), ..summary.clone() };
        assert_eq!(set_digest_of_summaries(&[summary.clone(), broken]), None, "{digest}");
    }
}

#[test]
fn the_described_form_gives_the_same_digests() {
    let golden = include_str!("golden/digest_of_every_sort_of_line.txt");
    let scenario = scenario::parse(golden.split("----\n").next().unwrap()).unwrap();
    let evaluation = evaluate(&scenario.facts, &scenario.terms, scenario.as_of).unwrap();
    let statements = serde_json::to_value(&evaluation.statements).unwrap();
    let mut set = Vec::new();
    text(&mut set, &"set".into());
    integer(&mut set, evaluation.statements.len().try_into().unwrap());
    for (typed, json) in evaluation.statements.iter().zip(statements.as_array().unwrap()) {
        for (typed, json) in typed.lines.iter().zip(json["lines"].as_array().unwrap()) {
            assert_eq!(line_digest(typed), hex::encode(line(json)), "{}", typed.id);
        }
        assert_eq!(typed.digest, hex::encode(statement(json)));
        text(&mut set, &json["partner"]);
        set.extend(statement(json));
    }
    assert_eq!(set_digest(&evaluation.statements), hex::encode(Sha256::digest(set)));
    // Whoever changes this has changed what every stored digest means: a new RULES_VERSION is due.
    assert_eq!(evaluation.digest, "35acf5702f8324aca95a7014bd150f6ed0bb84792997a810efb46ee02747b85d");
}
