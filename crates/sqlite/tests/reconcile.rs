//! The records of payouts held against a Stripe that the test makes up.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[expect(dead_code, reason = "Shared with other tests of the API.")]
mod common;

use chrono::TimeDelta;
use referral::{Actor, sql};
use serde_json::{Value, json};

use common::{World, at};

/// Agencies A, B and C with a payout each in one sealed run that is being sent: A's is recorded as paid.
async fn sending() -> (World, String) {
    let world = World::new();
    let app = &world.app;
    referral::add_person(app, &Actor::Operator, "finance@aikit.example", wire::Role::Finance).await.unwrap();
    let finance = world.session("finance@aikit.example").await;
    world.run(sql!("INSERT INTO run (id, period, as_of, cut, state, version, run_hash, total_minor, drafted_ms) VALUES ('2026-05.1', '2026-05', '2026-06-01T00:00:00Z', 0, 'sending', 2, 'h', 600, 0)")).await;
    for (code, amount_minor, state) in [("A", 100_i64, "paid"), ("B", 200, "unknown"), ("C", 300, "queued")] {
        world
            .run(sql!(
                "INSERT INTO partner (code, name, email, website, country, joined_ms, account, transfers)
                 VALUES (?1, 'Agency ' || ?1, ?1 || '@agency.example', 'agency.example', 'US', 0, 'acct_' || ?1, 'active')",
                code
            ))
            .await;
        let is_paid = state == "paid";
        world
            .run(sql!(
                "INSERT INTO run_item (id, run, partner, amount_minor, currency, destination, digest, tier, lines, sealed, state, transfer, paid_at)
                 VALUES ('2026-05.1:' || ?1, '2026-05.1', ?1, CAST(?2 AS INTEGER), 'usd', 'acct_' || ?1, 'd', 'standard', 1, 1, ?3, ?4, ?5)",
                code,
                amount_minor,
                state,
                is_paid.then_some("tr_A"),
                is_paid.then_some("2026-05-31T12:00:00Z"),
            ))
            .await;
    }
    (world, finance)
}

/// A transfer as Stripe lists it.
fn transfer(id: &str, partner: &str, amount: i64) -> Value {
    let item = format!("2026-05.1:{partner}");
    json!({"id": id, "object": "transfer", "created": at("2026-05-31T12:00:00Z").timestamp(), "amount": amount, "amount_reversed": 0,
        "currency": "usd", "destination": format!("acct_{partner}"), "metadata": {"item": item}, "transfer_group": format!("aikit:test:{item}")})
}

/// Stripe lists these, and has booked each.
fn lists(world: &World, transfers: &[Value]) {
    let booked: Vec<Value> = transfers
        .iter()
        .map(|t| json!({"id": "txn", "source": t["id"], "amount": -t["amount"].as_i64().unwrap()}))
        .collect();
    world.stripe.will_answer("/v1/transfers", 200, json!({"has_more": false, "data": transfers}));
    world.stripe.will_answer("/v1/balance_transactions", 200, json!({"has_more": false, "data": booked}));
}

async fn reconcile(world: &World, finance: &str) -> Value {
    let (status, answer) = world.call("POST", "/v1/reconciliations", finance, json!({"days": 40})).await;
    assert!(status.is_success(), "{status} {answer}");
    answer
}

#[tokio::test]
async fn what_stripe_made_and_nobody_recorded_is_recorded_once() {
    let (world, finance) = sending().await;
    let elsewhere = json!({"id": "tr_x", "created": 0, "amount": 7, "amount_reversed": 0, "currency": "usd", "destination": "acct_A"});
    lists(&world, &[transfer("tr_A", "A", 100), transfer("tr_B", "B", 200), elsewhere]);
    for settled in [1, 0] {
        let it = reconcile(&world, &finance).await;
        assert_eq!((&it["settled"], &it["found"], &it["others"]), (&json!(settled), &json!(0), &json!(1)), "{it}");
        assert_eq!(
            (&it["recorded_minor"], &it["transferred_minor"], &it["booked_minor"]),
            (&json!(300), &json!(300), &json!(300))
        );
        assert_eq!(it["by"], "finance@aikit.example");
    }
    let facts = world.rows("SELECT id, body->>'at' AS at FROM fact WHERE id LIKE 'payout_paid:%'").await;
    assert_eq!(facts, [json!({"id": "payout_paid:2026-05.1:B", "at": "2026-05-31T12:00:00Z"})]);
    // What was asked of Stripe: forty days, by the key that can only read.
    let since = at("2026-06-01T00:00:00Z") - TimeDelta::days(40);
    assert!(world.stripe.asked().contains(&format!("/v1/transfers?limit=100&created%5Bgte%5D={}", since.timestamp())));
    let (_, all) = world.call("GET", "/v1/reconciliations", &finance, Value::Null).await;
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn two_transfers_for_one_payout_lock_all_payouts() {
    let (world, finance) = sending().await;
    lists(&world, &[transfer("tr_A", "A", 100), transfer("tr_A2", "A", 100)]);
    let it = reconcile(&world, &finance).await;
    assert_eq!((&it["found"], &it["findings"][0]["mismatch"]), (&json!(1), &json!("double")));
    assert_eq!(it["findings"][0]["name"], "Agency A");
    let (_, lock) = world.call("GET", "/v1/payouts-lock", &finance, Value::Null).await;
    assert_eq!(
        (&lock["locked"], &lock["reason"]),
        (&json!(true), &json!("Stripe has more than one transfer for 2026-05.1:A: tr_A, tr_A2."))
    );
    // B and C have no transfer, which says nothing: they are not paid.
    let items = world.rows("SELECT state FROM run_item ORDER BY id").await;
    assert_eq!(items, [json!({"state": "paid"}), json!({"state": "unknown"}), json!({"state": "queued"})]);
}

#[tokio::test]
async fn the_daily_one_tells_finance_what_it_found_and_comes_once_a_day() {
    let (world, _) = sending().await;
    lists(&world, &[]);
    assert!(referral::reconcile_daily(&world.app).await.unwrap());
    assert!(!referral::reconcile_daily(&world.app).await.unwrap());
    referral::send_messages(&world.app).await.unwrap();
    let letters = world.stripe.letters.lock().unwrap().clone();
    let (to, subject, text) = &letters[0];
    assert_eq!(
        (to.as_str(), subject.as_str()),
        ("finance@aikit.example", "A payout needs a look: Stripe and the records disagree")
    );
    assert!(
        text.contains("Agency A: It is recorded as paid by tr_A ($1.00), and Stripe does not list that transfer."),
        "{text}"
    );
    world.pass(TimeDelta::hours(25));
    lists(&world, &[transfer("tr_A", "A", 100)]);
    assert!(referral::reconcile_daily(&world.app).await.unwrap());
    referral::send_messages(&world.app).await.unwrap();
    assert_eq!(world.stripe.letters.lock().unwrap().len(), 1, "all is well, and nobody is told");
}

#[tokio::test]
async fn nothing_is_said_of_what_could_not_be_read() {
    let (world, finance) = sending().await;
    let asked = async |status, body| {
        world.stripe.will_answer("/v1/transfers", status, body);
        world.call("POST", "/v1/reconciliations", &finance, json!({"days": 40})).await
    };
    let (status, answer) = asked(403, json!({})).await;
    assert_eq!(status, 409, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("STRIPE_READ_KEY may not read this"), "{answer}");
    assert_eq!(asked(500, json!({})).await.0, 503);
    assert_eq!(asked(200, json!({"has_more": false, "data": [{"id": "tr_A"}]})).await.0, 503);
    assert_eq!(world.call("POST", "/v1/reconciliations", &finance, json!({"days": 0})).await.0, 400);
    assert!(world.rows("SELECT id FROM reconciliation").await.is_empty());
}
