//! The receipt as a reader of PDF sees it.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[path = "common/mod.rs"]
mod common;

use documents::receipt::pdf;
use proptest::prelude::*;

use common::{amounts_of, line, receipt, text_of};

#[test]
fn a_receipt_says_all_of_it_and_adds_up() {
    let receipt = receipt(3);
    let bytes = pdf(&receipt).unwrap();
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
    assert_eq!(bytes, pdf(&receipt).unwrap(), "the same receipt is the same bytes");
    if let Ok(path) = std::env::var("KEEP_PDF") {
        std::fs::write(path, &bytes).unwrap();
    }
}

#[test]
fn lines_that_do_not_add_up_are_no_receipt() {
    let mut receipt = receipt(3);
    receipt.detail.carried_minor += 1;
    let refused = pdf(&receipt).unwrap_err().to_string();
    assert!(refused.contains("2026-10.1:PARTNER_7K3M9QXD"), "{refused}");
}

#[test]
fn a_long_receipt_has_its_columns_on_every_page_and_each_amount_once() {
    let receipt = receipt(140);
    let bytes = pdf(&receipt).unwrap();
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
        let text = text_of(&pdf(&receipt).unwrap());
        assert!(text.contains("PARTNER_7K3M9QXD"), "{text}");
        let left_out = name.chars().any(|c| !c.is_ascii() && c != '\u{202e}');
        assert_eq!(text.contains("were left out"), left_out, "{name}: {text}");
    }
    let mut receipt = receipt(1);
    receipt.detail.partner.name = "W".repeat(400);
    receipt.payer.address = vec!["Ж".repeat(400); 20];
    receipt.detail.lines[0].why = format!("{} {}", "x".repeat(9_000), "long words and short ones ".repeat(400));
    assert!(pdf(&receipt).is_ok());
}

#[test]
fn the_attachment_is_the_receipt_as_json() {
    let receipt = receipt(2);
    let document = lopdf::Document::load_mem(&pdf(&receipt).unwrap()).unwrap();
    let found = document.objects.values().filter_map(|object| object.as_stream().ok()).find_map(|stream| {
        let bytes = stream.decompressed_content().unwrap_or_else(|_| stream.content.clone());
        serde_json::from_slice::<serde_json::Value>(&bytes).ok().filter(|json| json.is_object())
    });
    let json = found.unwrap();
    assert_eq!(json, serde_json::to_value(&receipt).unwrap());
    assert_eq!(json["lines"].as_array().unwrap().len(), 2);
    assert_eq!(json["payout"]["digest"], receipt.detail.payout.digest.as_str());
}

#[test]
fn every_letter_of_the_typeface_can_stand_in_a_receipt() {
    let letters: String = ('\0'..='\u{ffff}').collect();
    let mut receipt = receipt(1);
    receipt.detail.lines[0].why.clone_from(&letters);
    receipt.payer.name.clone_from(&letters);
    receipt.detail.partner.name = letters;
    let bytes = pdf(&receipt);
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
        let bytes = pdf(&receipt);
        prop_assert!(bytes.is_ok(), "{:?}", bytes.err());
    }
}
