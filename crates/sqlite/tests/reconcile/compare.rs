use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::common::{World, at};
use crate::{lists, sending, transfer};

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
