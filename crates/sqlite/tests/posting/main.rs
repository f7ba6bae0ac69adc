//! What runs post, over HTTP against the real router on SQLite with D1's limits: months that are closed one after the
//! other while facts come late, and while finance changes its mind.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

mod books;
#[path = "../common/cases.rs"]
mod cases;
#[path = "../common/database.rs"]
mod database;
mod documents;
#[expect(dead_code, reason = "Only journals are drawn here.")]
#[path = "../../../commission/tests/random/mod.rs"]
mod random;
mod turns;

use std::collections::BTreeMap;

use chrono::{Datelike as _, Months};
use commission::{Fact, FactBody, TermsBook};
use proptest::prelude::*;
use referral::db::Stmt;
use referral::sql;
use serde_json::{Value, json};

use books::{AGENCY, Books, at};
use cases::cases;
use turns::Turn;

fn month(number: u32) -> String {
    let first = at("2026-01-01T00:00:00Z") + Months::new(number);
    format!("{:04}-{:02}", first.year(), first.month())
}

#[tokio::test]
async fn what_comes_late_is_in_the_next_month_and_the_closed_one_stays() {
    let books = Books::open(&["P"], TermsBook::default_book()).await;
    books.record_lines(&AGENCY).await;
    let march = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    let closed = books.detail(&march, &march["items"][0]).await;
    assert_eq!(closed["payout"]["amount_minor"], 26_000);
    assert_eq!(
        books.told(&march).await,
        [
            "10000 20 % of $500.00 paid on 5 Feb 2026 by client r1 (month 2 of 12); vested 6 Mar 2026, 60 days after its first payment.",
            "6000 20 % of $300.00 paid on 8 Jan 2026 by client r2 (month 1 of 12); vested 9 Mar 2026, 60 days after its first payment.",
            "10000 20 % of $500.00 paid on 5 Jan 2026 by client r1 (month 1 of 12); vested 6 Mar 2026, 60 days after its first payment.",
        ]
    );
    books.assert_posted().await;
    let posted = books.posted().await;
    books.settle(&march, true).await;

    // A payment and a refund of March are recorded in April; the second client is rejected, and the first pays again.
    books
        .record_lines(&[
            r#"{"id":"i4","at":"2026-03-05T00:00:00Z","type":"invoice_paid","invoice":"i4","subscription":"s1","amount_minor":50000}"#,
            r#"{"id":"re1","at":"2026-03-20T00:00:00Z","type":"invoice_refunded","invoice":"i1","amount_minor":25000}"#,
            r#"{"id":"no2","at":"2026-04-10T00:00:00Z","type":"referral_rejected","referral":"r2"}"#,
            r#"{"id":"i5","at":"2026-04-05T00:00:00Z","type":"invoice_paid","invoice":"i5","subscription":"s1","amount_minor":50000}"#,
        ])
        .await;
    let draft = books.draft("2026-04").await.unwrap();
    let previewed = books.told(&draft).await;
    let april = books.seal(&draft).await.unwrap();
    let told = books.told(&april).await;
    assert_eq!(told, previewed, "a draft shows what its seal will post");
    assert_eq!(
        told,
        [
            "10000 20 % of $500.00 paid on 5 Apr 2026 by client r1 (month 4 of 12); vested at once, as the client had been paying for 60 days.",
            "-5000 The refund of 20 Mar 2026 (`re1`) arrived late: $250.00 of the $500.00 that client r1 paid on 5 Jan 2026 went back on 20 Mar 2026 (a refund), and with it $50.00 of the $100.00 first-year commission; it counts from 20 Mar 2026.",
            "10000 The payment of 5 Mar 2026 (`i4`) arrived late: 20 % of $500.00 paid on 5 Mar 2026 by client r1 (month 3 of 12); vested 6 Mar 2026, 60 days after its first payment.",
            "-6000 After the rejection after review of 10 Apr 2026 (`no2`): first-year commission on invoice i2 of client r2 (8 Jan 2026) is $60.00 as before, and void instead of vested.",
        ]
    );
    assert_eq!(april["items"][0]["amount_minor"], 9_000);
    assert_eq!(april["items"][0]["lines"], 4);
    let head = books
        .rows("SELECT opening_minor, earned_minor, reversed_minor, closing_minor FROM posting WHERE run = '2026-04.1'")
        .await;
    let expected =
        json!({"opening_minor": 26_000, "earned_minor": 20_000, "reversed_minor": 11_000, "closing_minor": 35_000});
    assert_eq!(head, [expected]);
    books.assert_posted().await;

    // The closed month is what it was: its page, and every row of it.
    let again = books.detail(&march, &march["items"][0]).await;
    assert_eq!((&again["lines"], &again["totals"]), (&closed["lines"], &closed["totals"]));
    let now = books.posted().await;
    assert!(posted.iter().all(|row| now.contains(row)));
    for attempt in [
        "UPDATE posting SET earned_minor = 0, closing_minor = opening_minor - reversed_minor",
        "UPDATE posting_line SET vested_minor = 0",
        "DELETE FROM posting",
        "DELETE FROM posting_line",
        "INSERT INTO posting_line SELECT run, version, partner, line || 'x', change, vested_minor, body, causes, why FROM posting_line",
    ] {
        let refused = books.db.query(Stmt { sql: attempt.into(), params: Vec::new() }).await;
        assert!(refused.is_err(), "{attempt}");
    }
    assert_eq!(books.posted().await, now);
}

#[tokio::test]
async fn months_are_closed_in_order_and_a_seal_that_did_not_end_posts_nothing() {
    let books = Books::open(&["P"], TermsBook::default_book()).await;
    books.record_lines(&AGENCY).await;
    let march = books.draft("2026-03").await.unwrap();
    let april = books.draft("2026-04").await.unwrap();

    // A seal of March was begun, wrote something, and ended with the power.
    books.sql(sql!("UPDATE run SET state = 'sealing', version = 2 WHERE id = '2026-03.1'")).await;
    books
        .sql(sql!(
            "INSERT INTO posting (run, version, partner, digest, totals, lines_digest, opening_minor, earned_minor, reversed_minor, closing_minor)
             VALUES ('2026-03.1', 2, 'P', 'x', '{}', 'x', 0, 1, 0, 1)"
        ))
        .await;
    assert_eq!(books.seal(&march).await.unwrap_err().0, 409, "what was looked at is not what is there");
    assert!(books.posted().await.is_empty());
    let march = books.call("/v1/runs/2026-03.1", None).await.unwrap();
    assert_eq!(march["summary"]["state"], "sealing");
    let march = books.seal(&march).await.unwrap();
    assert_eq!(march["summary"]["state"], "sealed");
    books.assert_posted().await;
    books.settle(&march, false).await;

    // April was drafted before that; what it posts follows March all the same.
    let april = books.seal(&april).await.unwrap();
    books.assert_posted().await;
    let (status, said) = books.draft("2026-02").await.unwrap_err();
    assert!(status == 409 && said.contains("2026-04 is closed already"), "{said}");
    assert!(books.told(&april).await.is_empty(), "what was not paid in March is carried");
}

#[tokio::test]
async fn other_terms_change_the_next_month_and_no_closed_one() {
    let mut books = Books::open(&["P"], TermsBook::default_book()).await;
    books.record_lines(&AGENCY).await;
    let march = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    books.settle(&march, true).await;
    let posted = books.posted().await;
    assert_eq!(books.draft("2026-04").await.unwrap()["items"], json!([]), "nothing is new in April");
    let thanks = r#"{"id":"a1","at":"2026-04-10T00:00:00Z","type":"adjustment_made","partner":"P","amount_minor":100,"reason":"a thank-you"}"#;
    books.record_lines(&[thanks]).await;
    let draft = books.draft("2026-04").await.unwrap();

    let text = TermsBook::default_book().to_toml();
    let other = text.replacen("first_year_rate = \"0.20\"", "first_year_rate = \"0.30\"", 1);
    assert_ne!(text, other);
    books.other_terms(TermsBook::from_toml(&other).unwrap()).await;
    let (status, said) = books.seal(&draft).await.unwrap_err();
    assert!(status == 409 && said.contains("under other terms"), "{said}");
    let april = books.seal(&books.draft("2026-04").await.unwrap()).await.unwrap();
    let told = books.told(&april).await;
    assert_eq!(told.len(), 4);
    assert_eq!(told[0], "100 $1.00 added by hand on 10 Apr 2026: a thank-you");
    assert_eq!(
        told[1],
        "5000 Other terms apply: first-year commission on invoice i3 of client r1 (5 Feb 2026) is $150.00 instead of $100.00."
    );
    books.assert_posted().await;
    let now = books.posted().await;
    assert!(posted.iter().all(|row| now.contains(row)));
}

/// Facts of three years are recorded in any order while months are closed, and while finance holds partners out, unseals and
/// gives runs up.
#[test]
fn postings_add_up_to_the_lines_whatever_comes_when() {
    let months = prop::collection::vec((1u32..5, any::<prop::sample::Index>(), any::<bool>(), turns::turns()), 3..9);
    let config = ProptestConfig { cases: cases(24), failure_persistence: None, ..ProptestConfig::default() };
    let closed = std::cell::Cell::new(0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(config);
    // Where a database is slow there are few cases, and by chance nothing is due in any of them.
    for _ in 0..20 {
        let all =
            runner.run(&(random::journal().prop_shuffle(), random::book(), &months), |(mut facts, book, months)| {
                // Nothing is due before anybody has joined.
                facts.sort_by_key(|fact| !matches!(fact.body, FactBody::PartnerJoined { .. }));
                closed.set(closed.get() + runtime.block_on(close_months(facts, book, months)));
                Ok(())
            });
        all.unwrap();
        if closed.get() >= cases(24) {
            return;
        }
    }
    panic!("{} months were closed", closed.get());
}

/// Closes months while facts are recorded. Answers how many were.
async fn close_months(
    facts: Vec<Fact>,
    book: TermsBook,
    months: Vec<(u32, prop::sample::Index, bool, Vec<Turn>)>,
) -> u32 {
    let books = Books::open(&["P0", "P1", "P2"], book).await;
    let (mut number, mut recorded, mut details, mut closed) = (3, 0, Vec::new(), 0);
    let mut ledgers: Vec<(Value, BTreeMap<String, [i64; 5]>)> = Vec::new();
    for (wait, share, paid, turns) in months {
        number += wait;
        let until = recorded + share.index(facts.len() - recorded + 1);
        books.record(&facts[recorded..until]).await;
        recorded = until;
        let draft = books.draft(&month(number)).await.unwrap();
        let before = books.posted().await;
        let draft = books.turn(draft, &turns).await;
        assert_eq!(books.posted().await, before, "what is not sealed posts nothing");
        if draft["items"].as_array().unwrap().is_empty() {
            continue;
        }
        let run = books.seal(&draft).await.unwrap();
        books.assert_posted().await;
        let after = books.posted().await;
        assert!(before.iter().all(|row| after.contains(row)), "a closed month changed");
        for item in run["items"].as_array().unwrap() {
            details.push((run.clone(), item.clone(), books.detail(&run, item).await));
        }
        turns::assert_difference(&run);
        let ledger = books.ledger(&run).await;
        let owed_before = ledgers.last().map_or(0, |(_, before)| before[""][4]);
        assert_eq!(ledger[""][0], owed_before, "a month's ledger begins where the one before ended");
        ledgers.push((run.clone(), ledger));
        books.settle(&run, paid).await;
        closed += 1;
    }
    for (run, ledger) in ledgers {
        assert_eq!(books.ledger(&run).await, ledger, "the ledger of a closed month changed");
    }
    for (run, item, then) in details {
        let now = books.detail(&run, &item).await;
        assert_eq!((&now["lines"], &now["totals"]), (&then["lines"], &then["totals"]));
    }
    closed
}
