//! What can be taken away: receipts, runs for a spreadsheet, ledger exports; each adds up to what the API says elsewhere.

use std::collections::BTreeMap;
use std::io::Cursor;

use axum::http::{HeaderMap, StatusCode};
use calamine::{Data, Reader as _, Xlsx};
use commission::{Fact, FactBody, TermsBook, format_minor};
use referral::sql;
use serde_json::Value;

use crate::books::{AGENCY, Books};

fn id(run: &Value) -> &str {
    run["summary"]["run"].as_str().unwrap()
}

fn text_of(pdf: &[u8]) -> String {
    let document = lopdf::Document::load_mem(pdf).unwrap();
    let pages: Vec<u32> = document.get_pages().keys().copied().collect();
    document.extract_text(&pages).unwrap()
}

/// The name that a file is saved under.
fn name_of(headers: &HeaderMap) -> &str {
    let said = headers["content-disposition"].to_str().unwrap();
    said.strip_prefix("attachment; filename=\"").and_then(|rest| rest.strip_suffix('"')).unwrap()
}

fn rows(csv: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(csv).deserialize().map(Result::unwrap).collect()
}

fn minor(amount: &str) -> i64 {
    if amount.is_empty() { 0 } else { amount.replace('.', "").parse().unwrap() }
}

impl Books {
    /// March of one agency, sealed; and a token of finance's.
    async fn march() -> (Books, Value, String) {
        let books = Books::open(&["P", "Q"], TermsBook::default_book()).await;
        books.record_lines(&AGENCY).await;
        let march = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
        let finance = books.sign_in("u").await;
        (books, march, finance)
    }

    /// The same with everything paid, as Stripe made it.
    async fn paid(&self, run: &Value) {
        self.settle(run, true).await;
        let time = self.app.host.now().to_rfc3339();
        let made = "UPDATE run_item SET transfer = 'tr_of_' || id, paid_at = ?2 WHERE run = ?1";
        self.sql(sql!(made, id(run), time)).await;
    }

    /// The owner of an agency, signed in.
    async fn owner(&self, partner: &str) -> String {
        let owner = format!("o{partner}");
        self.sql(sql!(
            "INSERT INTO person (id, email, role, partner, added_ms) VALUES (?1, ?1 || '@agency.example', 'owner', ?2, 0)",
            &owner,
            partner
        ))
        .await;
        self.sign_in(&owner).await
    }

    async fn file(&self, bearer: &str, path: &str) -> (HeaderMap, Vec<u8>) {
        let (status, headers, bytes) = self.answer(bearer, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&bytes));
        (headers, bytes)
    }

    /// A month's ledger by agency. It foots, and so do its journals; a row for nothing is not there.
    pub(crate) async fn ledger(&self, run: &Value) -> BTreeMap<String, [i64; 5]> {
        let finance = self.sign_in("u").await;
        let path = |set: &str| format!("/v1/runs/{}/ledger.csv?set={set}", id(run));
        let (_, plain) = self.file(&finance, &path("plain")).await;
        let columns = ["opening", "earned", "reversed", "paid", "closing"];
        let ledger: BTreeMap<String, [i64; 5]> = rows(&plain)
            .iter()
            .map(|row| (row["partner"].clone(), columns.map(|column| minor(&row[column]))))
            .collect();
        for [opening, earned, reversed, paid, closing] in ledger.values() {
            assert_eq!(opening + earned - reversed - paid, *closing, "{ledger:?}");
        }
        let (_, quickbooks) = self.file(&finance, &path("quickbooks")).await;
        let sides = |column: &str| rows(&quickbooks).iter().map(|row| minor(&row[column])).sum::<i64>();
        assert_eq!(sides("*Debits"), sides("*Credits"));
        let (_, xero) = self.file(&finance, &path("xero")).await;
        assert_eq!(rows(&xero).iter().map(|row| minor(&row["*Amount"])).sum::<i64>(), 0);
        ledger
    }
}

#[tokio::test]
async fn a_paid_payout_has_a_receipt_that_adds_up_and_is_its_agencys_alone() {
    let (books, march, finance) = Books::march().await;
    let item = march["items"][0]["item"].as_str().unwrap();
    let (mine, others) =
        (format!("/v1/payouts/{item}/receipt.pdf"), format!("/v1/runs/{}/items/{item}/receipt.pdf", id(&march)));
    let (owner, stranger) = (books.owner("P").await, books.owner("Q").await);
    for (bearer, path) in [(&owner, &mine), (&finance, &others)] {
        let (status, said) = books.send(bearer, path, None).await.unwrap_err();
        let message = said["message"].as_str().unwrap();
        assert!(status == 409 && message.contains("has not been paid yet"), "{status} {message}");
    }
    books.paid(&march).await;
    let detail = books.detail(&march, &march["items"][0]).await;
    let (headers, pdf) = books.file(&owner, &mine).await;
    assert_eq!(
        (&headers["content-type"], name_of(&headers)),
        (&"application/pdf".parse().unwrap(), "receipt-2026-03-P.pdf")
    );
    let text = text_of(&pdf);
    let amounts = detail["lines"].as_array().unwrap().iter().map(|line| line["amount_minor"].as_i64().unwrap());
    for amount in amounts.clone().chain([amounts.sum(), detail["carried_minor"].as_i64().unwrap(), 26_000]) {
        assert!(text.contains(&format_minor(amount)), "{} is not in\n{text}", format_minor(amount));
    }
    for said in [
        item,
        &format!("tr_of_{item}"),
        "acct_P",
        "March 2026",
        detail["payout"]["digest"].as_str().unwrap(),
        "TEST, no money moved",
    ] {
        assert!(text.contains(said), "«{said}» is not in\n{text}");
    }
    assert_eq!(books.file(&finance, &others).await.1, pdf, "finance sees what the agency sees");
    assert_eq!(books.file(&owner, &mine).await.1, pdf, "and it is the same each time");
    for path in [&mine, &"/v1/payouts/2026-03.1:Z/receipt.pdf".to_owned()] {
        assert_eq!(books.send(&stranger, path, None).await.unwrap_err().0, 404);
    }
    assert_eq!(books.send(&stranger, &others, None).await.unwrap_err().0, 403);

    // Stripe takes half of it back: the receipt says so.
    let body = FactBody::PayoutReversed { payout: item.to_owned(), amount_minor: Some(13_000) };
    books.record(&[Fact { id: "payout_reversed:trr_1".into(), at: books.app.host.now(), body }]).await;
    let text = text_of(&books.file(&owner, &mine).await.1);
    assert!(text.contains("$130.00 of this came back"), "{text}");
}

#[tokio::test]
async fn a_payout_that_was_closed_says_that_it_has_no_receipt() {
    let (books, march, finance) = Books::march().await;
    books.settle(&march, false).await;
    let path = format!("/v1/runs/{}/items/{}/receipt.pdf", id(&march), march["items"][0]["item"].as_str().unwrap());
    let (status, said) = books.send(&finance, &path, None).await.unwrap_err();
    assert!(status == 409 && said["message"].as_str().unwrap().contains("closed without a payment"), "{said}");
}

#[tokio::test]
async fn names_that_mean_harm_are_names_in_every_file() {
    let long = "W".repeat(400);
    for name in ["=HYPERLINK(\"https://evil.example\")", "\u{202e}شركة", "🦀 & Söhne", &long] {
        let (books, march, finance) = Books::march().await;
        books.sql(sql!("UPDATE partner SET name = ?1 WHERE code = 'P'", name)).await;
        books.paid(&march).await;
        let item = march["items"][0]["item"].as_str().unwrap();
        let pdf = books.file(&finance, &format!("/v1/runs/{}/items/{item}/receipt.pdf", id(&march))).await.1;
        assert!(text_of(&pdf).contains(item));
        let table = rows(&books.file(&finance, &format!("/v1/runs/{}/export.csv", id(&march))).await.1);
        let guard = if name.starts_with('=') { "'" } else { "" };
        assert_eq!(table[0]["name"], format!("{guard}{name}"));
        let (headers, book) = books.file(&finance, &format!("/v1/runs/{}/export.xlsx", id(&march))).await;
        assert_eq!(name_of(&headers), "run-2026-03.1.xlsx");
        let mut book = Xlsx::new(Cursor::new(book)).unwrap();
        let sheet = book.worksheet_range("Payouts").unwrap();
        assert_eq!(sheet.get_value((1, 0)), Some(&Data::String(name.to_owned())));
        assert_eq!(sheet.get_value((1, 4)), Some(&Data::Float(260.0)));
        let ledger = rows(&books.file(&finance, &format!("/v1/runs/{}/ledger.csv", id(&march))).await.1);
        assert_eq!(ledger[0]["name"], format!("{guard}{name}"));
    }
}

#[tokio::test]
async fn ledgers_foot_across_a_payout_a_reversal_a_debt_and_a_run_that_was_closed() {
    let (books, march, _) = Books::march().await;
    // What March earned is paid on the first of April, which is April's.
    let first = [("P".to_owned(), [0, 26_000, 0, 0, 26_000]), (String::new(), [0, 26_000, 0, 0, 26_000])];
    assert_eq!(books.ledger(&march).await, BTreeMap::from(first.clone()));
    books.paid(&march).await;

    // Most of it is taken back: a debt. Another agency is given something, so that there is somebody to pay.
    books
        .record_lines(&[
            r#"{"id":"jq","at":"2026-04-01T00:00:00Z","type":"partner_joined","partner":"Q","name":"Q","website":"agency.example"}"#,
            r#"{"id":"aq","at":"2026-04-02T00:00:00Z","type":"adjustment_made","partner":"Q","amount_minor":700,"reason":"a thank-you"}"#,
            r#"{"id":"re1","at":"2026-04-10T00:00:00Z","type":"invoice_refunded","invoice":"i1","amount_minor":50000}"#,
            r#"{"id":"re3","at":"2026-04-10T00:00:00Z","type":"invoice_refunded","invoice":"i3","amount_minor":50000}"#,
        ])
        .await;
    let draft = books.draft("2026-04").await.unwrap();
    let path = format!("/v1/runs/{}/ledger.csv", id(&draft));
    let (status, said) = books.call(&path, None).await.unwrap_err();
    assert!(status == 409 && said.contains("a draft"), "{said}");
    let april = books.seal(&draft).await.unwrap();
    let ledger = books.ledger(&april).await;
    assert_eq!((ledger["P"], ledger["Q"]), ([26_000, 0, 20_000, 26_000, -20_000], [0, 700, 0, 0, 700]));

    // Stripe takes the transfer back: what was paid is owed again.
    let payout = march["items"][0]["item"].as_str().unwrap().to_owned();
    let back = FactBody::PayoutReversed { payout, amount_minor: None };
    let at = books.app.host.now();
    books.record(&[Fact { id: "payout_reversed:trr_1".into(), at, body: back }]).await;
    let may = books.seal(&books.draft("2026-05").await.unwrap()).await.unwrap();
    assert_eq!(books.ledger(&may).await["P"], [-20_000, 0, 0, -26_000, 6_000]);
    // Finance closes the run without paying it: nothing of that is in the ledger.
    let before = books.ledger(&may).await;
    books.settle(&may, false).await;
    assert_eq!(books.ledger(&may).await, before);

    // A transfer of April becomes known in June: in June's, and the closed months are what they were.
    let paid = FactBody::PayoutPaid { payout: "late".into(), partner: "P".into(), amount_minor: 100 };
    books.record(&[Fact { id: "payout_paid:late".into(), at, body: paid }]).await;
    let june = books.draft("2026-06").await.unwrap();
    let june = books.seal(&june).await.unwrap();
    assert_eq!(books.ledger(&june).await["P"], [6_000, 0, 0, 100, 5_900]);
    assert_eq!(books.ledger(&may).await, before);
    assert_eq!(books.ledger(&march).await, BTreeMap::from(first));
    let refused = books.call(&format!("/v1/runs/{}/ledger.csv?set=sage", id(&may)), None).await.unwrap_err();
    assert_eq!(refused.0, 400, "{}", refused.1);
}
