//! The receipt as a reader of PDF sees it.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[path = "common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use commission::TermsBook;
use documents::receipt::{Receipt, STATEMENT, pdf};
use documents::sources::{FACTS, POSTED, Sources, TERMS};
use proptest::prelude::*;

use common::{amounts_of, line, receipt, sources, text_of};

#[test]
fn a_receipt_says_all_of_it_and_adds_up() {
    let receipt = receipt(3);
    let bytes = pdf(&receipt, &sources()).unwrap();
    let text = text_of(&bytes);
    for said in [
        "AIKit, Inc.",
        "1 Market Street",
        "Northwind Ágency Ωμέγα Волна",
        "PARTNER_7K3M9QXD",
        "October 2026",
        "3 November 2026, 09:14 UTC",
        "tr_1Q2w3E4r5T6y7U8i9O",
        "acct_1NorthWind",
        "sha256:",
        "Page 1 of 1",
        "Carried from before",
        "in_1",
    ] {
        assert!(text.contains(said), "«{said}» is not in\n{text}");
    }
    assert_eq!(amounts_of(&text).iter().filter(|&&a| a == receipt.detail.payout.amount_minor).count(), 2);
    assert_eq!(bytes, pdf(&receipt, &sources()).unwrap(), "the same receipt is the same bytes");
    if let Ok(path) = std::env::var("KEEP_PDF") {
        std::fs::write(path, &bytes).unwrap();
    }
}

#[test]
fn lines_that_do_not_add_up_are_no_receipt() {
    let mut receipt = receipt(3);
    receipt.detail.carried_minor += 1;
    let refused = pdf(&receipt, &sources()).unwrap_err().to_string();
    assert!(refused.contains("2026-10.1:PARTNER_7K3M9QXD"), "{refused}");
}

#[test]
fn a_long_receipt_has_its_columns_on_every_page_and_each_amount_once() {
    let receipt = receipt(140);
    let bytes = pdf(&receipt, &sources()).unwrap();
    if let Ok(path) = std::env::var("KEEP_LONG_PDF") {
        std::fs::write(path, &bytes).unwrap();
    }
    let document = lopdf::Document::load_mem(&bytes).unwrap();
    let pages: Vec<String> = document.get_pages().keys().map(|n| document.extract_text(&[*n]).unwrap()).collect();
    assert!(pages.len() > 5, "{} pages", pages.len());
    for (n, page) in pages.iter().enumerate() {
        assert!(page.contains(&format!("Page {} of {}", n + 1, pages.len())), "{page}");
        assert_eq!(page.contains("What and why"), page.contains("First year"), "page {}: {page}", n + 1);
    }
    let lines: i64 = receipt.detail.lines.iter().map(|line| line.amount_minor).sum();
    let sum: i64 = amounts_of(&pages.concat()).into_iter().sum();
    // Every line once, their sum, what was carried, and the amount twice.
    assert_eq!(sum, 2 * lines + receipt.detail.carried_minor + 2 * receipt.detail.payout.amount_minor);
}

#[test]
fn a_name_that_cannot_be_drawn_leaves_the_code_and_says_so() {
    for name in
        ["شركة الأفق", "株式会社ノースウィンド", "🦀🦀", "=HYPERLINK(\"https://evil.example\")", "\u{202e}gnp.exe", ""]
    {
        let mut receipt = receipt(1);
        receipt.detail.partner.name = name.into();
        let text = text_of(&pdf(&receipt, &sources()).unwrap());
        assert!(text.contains("PARTNER_7K3M9QXD"), "{text}");
        let left_out = name.chars().any(|c| !c.is_ascii() && c != '\u{202e}');
        assert_eq!(text.contains("were left out"), left_out, "{name}: {text}");
    }
    let mut receipt = receipt(1);
    receipt.detail.partner.name = "W".repeat(400);
    receipt.payer.address = vec!["Ж".repeat(400); 20];
    receipt.detail.lines[0].why = format!("{} {}", "x".repeat(9_000), "long words and short ones ".repeat(400));
    assert!(pdf(&receipt, &sources()).is_ok());
}

/// The attachments of a PDF by name, as its catalogue lists them.
fn attachments(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let document = lopdf::Document::load_mem(bytes).unwrap();
    let attached = document.catalog().unwrap().get(b"AF").unwrap().as_array().unwrap();
    let file = |reference: &lopdf::Object| {
        let file = document.dereference(reference).unwrap().1.as_dict().unwrap();
        let name = String::from_utf8(file.get(b"F").unwrap().as_str().unwrap().to_vec()).unwrap();
        let stream = file.get(b"EF").unwrap().as_dict().unwrap().get(b"F").unwrap();
        let stream = document.dereference(stream).unwrap().1.as_stream().unwrap();
        (name, stream.decompressed_content().unwrap())
    };
    attached.iter().map(file).collect()
}

#[test]
fn the_attachments_are_the_receipt_and_what_it_follows_from() {
    let (receipt, sources) = (receipt(2), sources());
    let attached = attachments(&pdf(&receipt, &sources).unwrap());
    let names: Vec<&str> = attached.keys().map(String::as_str).collect();
    assert_eq!(names, [FACTS, POSTED, STATEMENT, TERMS]);
    let json: serde_json::Value = serde_json::from_slice(&attached[STATEMENT]).unwrap();
    assert_eq!(json, serde_json::to_value(&receipt).unwrap());
    assert_eq!(json["lines"].as_array().unwrap().len(), 2);
    assert_eq!(json["payout"]["digest"], receipt.detail.payout.digest.as_str());
    let read: Receipt = serde_json::from_slice(&attached[STATEMENT]).unwrap();
    let again = Sources::read(&attached[FACTS], &attached[TERMS], &attached[POSTED]).unwrap();
    assert_eq!(again, sources);
    assert_eq!(pdf(&read, &again).unwrap(), pdf(&receipt, &sources).unwrap(), "they make the same document again");
}

#[test]
fn what_cannot_be_read_is_named() {
    let facts = br#"{"id":"f","at":"2026-01-01T00:00:00Z","type":"partner_suspended","partner":"P"}"#;
    let terms = TermsBook::default_book().to_toml().into_bytes();
    let posted = br#"{"line":"l","vested_minor":1}"#;
    assert!(Sources::read(facts, &terms, posted).is_ok());
    assert_eq!(Sources::read(b"\xff", &terms, posted).unwrap_err(), "facts.jsonl is not UTF-8 text");
    let twice = [&posted[..], b"\n", posted].concat();
    for (facts, terms, posted, said) in [
        (&b"\n{}"[..], &terms[..], &posted[..], "facts.jsonl, line 2: "),
        (facts, b"terms = 1", posted, "terms.toml: "),
        (facts, &terms, b"{}", "posted.jsonl, line 1: "),
        (facts, &terms, &twice, "posted.jsonl, line 2: that line was named before"),
    ] {
        let refused = Sources::read(facts, terms, posted).unwrap_err();
        assert!(refused.starts_with(said), "{refused}");
    }
}

#[test]
fn every_letter_of_the_typeface_can_stand_in_a_receipt() {
    let letters: String = ('\0'..='\u{ffff}').collect();
    let mut receipt = receipt(1);
    receipt.detail.lines[0].why.clone_from(&letters);
    receipt.payer.name.clone_from(&letters);
    receipt.detail.partner.name = letters;
    let bytes = pdf(&receipt, &sources());
    assert!(bytes.is_ok(), "{:?}", bytes.err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stands in names and reasons: there is a document, and the checks for archives pass.
    #[test]
    fn no_text_can_prevent_a_receipt(name in any::<String>(), why in "\\PC{0,400}|.{0,80}", invoice in any::<String>(), letter in any::<bool>()) {
        let mut receipt = receipt(1);
        receipt.letter = letter;
        receipt.detail.partner.name = name.clone();
        receipt.payer.name = name;
        receipt.detail.lines.push(line(1, 0, &invoice));
        receipt.detail.lines[0].why = why;
        let bytes = pdf(&receipt, &sources());
        prop_assert!(bytes.is_ok(), "{:?}", bytes.err());
    }
}
