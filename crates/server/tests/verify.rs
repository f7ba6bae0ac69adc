//! `verify`, as an agency runs it on receipts of the real API.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[expect(dead_code, reason = "Receipts are all that is asked of these books.")]
#[path = "../../sqlite/tests/posting/books.rs"]
mod books;
#[path = "../../sqlite/tests/common/cases.rs"]
mod cases;
#[path = "../../sqlite/tests/common/database.rs"]
mod database;
#[expect(dead_code, reason = "Only journals are drawn here.")]
#[path = "../../commission/tests/random/mod.rs"]
mod random;

use std::path::PathBuf;
use std::process::Command;

use chrono::{Datelike as _, Months};
use commission::{Fact, FactBody, TermsBook};
use proptest::prelude::*;
use referral::db::Stmt;
use referral::sql;
use serde_json::Value;

use books::{AGENCY, Books, at};
use cases::cases;

/// Another agency, whose client was this one's all along; and one of this agency's clients that was the other's.
const OTHERS: [&str; 8] = [
    r#"{"id":"jq","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"OTHER","name":"Other People","website":"others.example"}"#,
    r#"{"id":"r3","at":"2026-01-06T00:00:00Z","type":"referral_created","referral":"r3","partner":"OTHER"}"#,
    r#"{"id":"s3","at":"2026-01-06T00:00:00Z","type":"subscription_started","subscription":"s3","referral":"r3","interval":"month","amount_minor":20000}"#,
    r#"{"id":"i9","at":"2026-01-06T00:00:00Z","type":"invoice_paid","invoice":"i9","subscription":"s3","amount_minor":20000}"#,
    r#"{"id":"m3","at":"2026-01-20T00:00:00Z","type":"referral_moved","referral":"r3","partner":"P","reason":"Other People said so."}"#,
    r#"{"id":"r4","at":"2026-01-07T00:00:00Z","type":"referral_created","referral":"moved_away","partner":"P"}"#,
    r#"{"id":"m4","at":"2026-01-21T00:00:00Z","type":"referral_moved","referral":"moved_away","partner":"OTHER","reason":"Theirs."}"#,
    r#"{"id":"c1","at":"2026-01-22T00:00:00Z","type":"referral_cleared","referral":"r1","reason":"The owner's brother."}"#,
];

/// What came late to the books of March: a payment, a refund, a rejection, and a client that is another's.
const LATE: [&str; 5] = [
    r#"{"id":"i4","at":"2026-03-05T00:00:00Z","type":"invoice_paid","invoice":"i4","subscription":"s1","amount_minor":50000}"#,
    r#"{"id":"re1","at":"2026-03-20T00:00:00Z","type":"invoice_refunded","invoice":"i1","amount_minor":25000}"#,
    r#"{"id":"no2","at":"2026-04-10T00:00:00Z","type":"referral_rejected","referral":"r2","reason":"Nobody's client."}"#,
    r#"{"id":"i5","at":"2026-04-05T00:00:00Z","type":"invoice_paid","invoice":"i5","subscription":"s1","amount_minor":50000}"#,
    r#"{"id":"m5","at":"2026-04-11T00:00:00Z","type":"referral_moved","referral":"r3","partner":"OTHER","reason":"Theirs after all."}"#,
];

struct Answer {
    code: Option<i32>,
    said: String,
    error: String,
}

/// A receipt in a file, which goes with the test.
struct Saved(PathBuf);

impl Drop for Saved {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

impl Saved {
    fn new(name: &str, bytes: &[u8]) -> Saved {
        let path = std::env::temp_dir().join(format!("aikit-verify-{name}-{}.pdf", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Saved(path)
    }

    fn verify(&self, options: &[&str]) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aikit-partners-server"));
        let output = command.arg("verify").arg(&self.0).args(options).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Answer { code: output.status.code(), said: text(&output.stdout), error: text(&output.stderr) }
    }
}

/// The receipt of a month's run, which is sealed and paid.
async fn receipt(books: &Books, period: &str) -> Vec<u8> {
    let run = books.seal(&books.draft(period).await.unwrap()).await.unwrap();
    books.settle(&run, true).await;
    paid(books, run["summary"]["run"].as_str().unwrap(), run["items"][0]["item"].as_str().unwrap()).await
}

/// The receipt of an item, of which Stripe has made the transfer now.
async fn paid(books: &Books, run: &str, item: &str) -> Vec<u8> {
    let time = books.app.host.now().to_rfc3339();
    books.sql(sql!("UPDATE run_item SET transfer = 'tr_of_' || id, paid_at = ?2 WHERE run = ?1", run, time)).await;
    download(books, run, item).await
}

async fn download(books: &Books, run: &str, item: &str) -> Vec<u8> {
    let finance = books.sign_in("u").await;
    let path = format!("/v1/runs/{run}/items/{item}/receipt.pdf");
    let (status, _, bytes) = books.answer(&finance, &path, None).await;
    assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&bytes));
    bytes
}

/// All attachments of a PDF.
fn attached(pdf: &[u8]) -> String {
    let document = lopdf::Document::load_mem(pdf).unwrap();
    let streams = document.objects.values().filter_map(|object| object.as_stream().ok());
    let is_file = |kind: &lopdf::Object| kind.as_name().is_ok_and(|name| name == b"EmbeddedFile");
    let files = streams.filter(|stream| stream.dict.get(b"Type").is_ok_and(is_file));
    files.map(|file| String::from_utf8(file.decompressed_content().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn receipts_of_the_api_are_verified_and_tell_of_nobody_else() {
    let books = Books::open(&["P"], TermsBook::default_book()).await;
    books.record_lines(&AGENCY).await;
    books.record_lines(&OTHERS).await;
    let march = receipt(&books, "2026-03").await;
    let saved = Saved::new("march", &march);
    let Answer { code, said, error } = saved.verify(&[]);
    assert_eq!((code, &*error), (Some(0), ""), "{said}");
    let said = said.replace('\n', " ");
    for part in [
        "Verified: the statement of P (P) for 2026-03, computed again from 12 facts, has digest ",
        "and the 4 lines and the amount $300.00 of this receipt follow from it",
        "to the byte",
    ] {
        assert!(said.contains(part), "«{part}» is not in {said}");
    }

    books.record_lines(&LATE).await;
    let april = receipt(&books, "2026-04").await;
    let saved = Saved::new("april", &april);
    let Answer { code, said, error } = saved.verify(&["--json"]);
    assert_eq!((code, &*error), (Some(0), ""), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["verified"], &said["lines"], &said["pages"]), (&true.into(), &5.into(), &"same_bytes".into()));
    assert_eq!(said["computed"]["amount_minor"], 5_000);
    assert_eq!((&said["computed"]["posted_minor"], &said["computed"]["paid_minor"]), (&30_000.into(), &30_000.into()));

    for (month, pdf) in [("March", &march), ("April", &april)] {
        let text = attached(pdf);
        for others in ["OTHER", "Other People", "others.example", "moved_away", "brother", "Nobody's", "Theirs"] {
            assert!(!text.contains(others), "«{others}» is in what {month}'s receipt carries:\n{text}");
        }
    }
    let facts = attached(&april);
    assert!(
        attached(&march).contains(r#""referral":"r3","partner":"P""#),
        "it is written as if it had always been its own"
    );
    assert!(!facts.contains(r#""subscription":"s3""#), "nothing is left of what was moved away");
}

#[tokio::test]
async fn a_fact_that_was_changed_after_the_payment_is_found_with_its_line() {
    let books = Books::open(&["P"], TermsBook::default_book()).await;
    books.record_lines(&AGENCY).await;
    let whole = receipt(&books, "2026-03").await;
    // Somebody who can write into the database makes a payment smaller than it was.
    for trigger in books.rows("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'fact'").await {
        let text = format!("DROP TRIGGER {}", trigger["name"].as_str().unwrap());
        books.sql(Stmt { sql: text.into(), params: Vec::new() }).await;
    }
    books.sql(sql!("UPDATE fact SET body = replace(body, '50000', '40000') WHERE id = 'i3'")).await;
    let changed = download(&books, "2026-03.1", "2026-03.1:P").await;
    assert_eq!(Saved::new("before", &whole).verify(&[]).code, Some(0));
    let saved = Saved::new("changed", &changed);
    let Answer { code, said, error } = saved.verify(&[]);
    assert_eq!((code, &*error), (Some(1), ""), "{said}");
    assert!(said.starts_with("NOT verified: the statement of P (P) for 2026-03"), "{said}");
    let row = said.lines().find(|line| line.starts_with("first_year:r1:i3")).unwrap();
    assert!(row.contains("$100.00, 0.20 of $500.00") && row.contains("$80.00, 0.20 of $400.00"), "{row}");
    assert!(said.contains("Statement digest"), "{said}");
    let said: Value = serde_json::from_str(&saved.verify(&["--json"]).said).unwrap();
    let differences = said["computed"]["differences"].as_array().unwrap();
    assert!(said["verified"] == false && differences.iter().any(|row| row["what"] == "first_year:r1:i3"), "{said}");
}

/// Facts of three years and three agencies are recorded in any order while months are closed: whatever comes late, goes back,
/// is moved or was paid, the receipt follows from what it carries.
#[test]
fn every_receipt_is_verified_whatever_comes_when() {
    let months = prop::collection::vec((1u32..5, any::<prop::sample::Index>()), 3..9);
    let config = ProptestConfig { cases: cases(16), failure_persistence: None, ..ProptestConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verified = std::cell::Cell::new(0);
    let all = proptest::test_runner::TestRunner::new(config).run(
        &(random::journal().prop_shuffle(), random::book(), months),
        |(mut facts, book, months)| {
            facts.sort_by_key(|fact| !matches!(fact.body, FactBody::PartnerJoined { .. }));
            facts.iter_mut().for_each(give_payouts_to_one);
            verified.set(verified.get() + runtime.block_on(close_months(&facts, book, months)));
            Ok(())
        },
    );
    all.unwrap();
    assert!(verified.get() >= cases(16), "{} receipts were verified", verified.get());
}

/// A payout is an item of a run, so it is never that of two agencies.
fn give_payouts_to_one(fact: &mut Fact) {
    match &mut fact.body {
        FactBody::PayoutPaid { payout, partner, .. } => payout.push_str(partner),
        FactBody::PayoutReversed { payout, .. } => payout.push_str("P0"),
        _ => {}
    }
}

/// Closes months while facts are recorded, and verifies the receipts of the first agency. Answers how many there were.
async fn close_months(facts: &[Fact], book: TermsBook, months: Vec<(u32, prop::sample::Index)>) -> u32 {
    let books = Books::open(&["P0", "P1", "P2"], book).await;
    let (mut number, mut recorded, mut verified) = (3, 0, 0);
    for (wait, share) in months {
        number += wait;
        let until = recorded + share.index(facts.len() - recorded + 1);
        books.record(&facts[recorded..until]).await;
        recorded = until;
        let first = at("2026-01-01T00:00:00Z") + Months::new(number);
        let draft = books.draft(&format!("{:04}-{:02}", first.year(), first.month())).await.unwrap();
        let items = draft["items"].as_array().unwrap();
        if items.is_empty() {
            continue;
        }
        let run = books.seal(&draft).await.unwrap();
        books.settle(&run, true).await;
        if let Some(item) = items.iter().find(|item| item["partner"] == "P0") {
            let (run, item) = (run["summary"]["run"].as_str().unwrap(), item["item"].as_str().unwrap());
            let saved = Saved::new("random", &paid(&books, run, item).await);
            let Answer { code, said, error } = saved.verify(&[]);
            assert_eq!(code, Some(0), "{said}{error}");
            verified += 1;
        }
    }
    verified
}

#[test]
fn what_is_no_receipt_is_an_error() {
    let Answer { code, said, error } = Saved::new("text", b"\x1b[2Jnot a PDF").verify(&[]);
    assert_eq!((code, &*said), (Some(2), ""));
    assert!(error.contains("is no PDF that can be read") && !error.contains('\x1b'), "{error}");
    let missing = Saved(PathBuf::from("/nowhere/receipt.pdf"));
    let Answer { code, error, .. } = missing.verify(&[]);
    assert!(code == Some(2) && error.contains("/nowhere/receipt.pdf cannot be opened"), "{error}");
}
