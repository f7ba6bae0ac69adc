//! What Stripe passes on to an agency's bank.

use referral::sql;
use serde_json::{Value, json};

use crate::common::{World, at};
use crate::sending;

/// A payout of A's account to its bank, as an event tells of it, so many hours after A was paid.
async fn told(world: &World, kind: &str, id: &str, hours: i64, more: Value) -> String {
    let paid = at("2026-05-31T12:00:00Z").timestamp();
    let event = format!("evt_{kind}_{id}_{hours}");
    let mut payout = json!({"id": id, "object": "payout", "amount": 100, "currency": "usd", "automatic": true, "created": paid + 3_600,
        "arrival_date": paid + 172_800, "status": kind, "failure_code": null, "reconciliation_status": "completed"});
    payout.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let about = json!({"id": event, "type": format!("payout.{}", if kind == "in_transit" { "created" } else { kind }), "account": "acct_A",
        "created": paid + hours * 3_600, "livemode": false, "data": {"object": payout}});
    let (status, answer) = world.event(&about).await;
    assert!(status.is_success(), "{answer}");
    referral::read_stored(&world.app).await;
    event
}

/// Stripe says that a payout contains A's transfer.
fn contains(world: &World, payout: &str, transfers: &[&str]) {
    let data: Vec<Value> = transfers
        .iter()
        .map(|t| json!({"id": format!("txn_{t}"), "type": "payment", "source": {"id": "py_1", "source_transfer": t}}))
        .collect();
    let own = json!({"id": "txn_po", "type": "payout", "source": {"id": payout, "object": "payout"}});
    let all: Vec<Value> = data.into_iter().chain([own]).collect();
    let path = format!("/v1/balance_transactions?limit=100&payout={payout}&expand%5B%5D=data.source");
    world.stripe.will_answer(&path, 200, json!({"has_more": false, "data": all}));
}

async fn bank(world: &World, finance: &str) -> Value {
    let (status, answer) = world.call("GET", "/v1/runs/2026-05.1/items/2026-05.1:A", finance, Value::Null).await;
    assert!(status.is_success(), "{answer}");
    answer["payout"]["bank"].clone()
}

/// A is somebody who gets mail.
async fn with_an_owner() -> (World, String) {
    let (world, finance) = sending().await;
    world
        .run(sql!(
            "INSERT INTO person (id, email, role, partner, added_ms) VALUES ('u_A', 'owner@a.example', 'owner', 'A', 0)"
        ))
        .await;
    (world, finance)
}

#[tokio::test]
async fn a_payout_reaches_the_bank_or_is_refused_and_is_never_paid_again_by_us() {
    let (world, finance) = with_an_owner().await;
    assert_eq!(bank(&world, &finance).await, Value::Null);
    contains(&world, "po_1", &["tr_A", "tr_of_somebody"]);
    told(&world, "in_transit", "po_1", 1, json!({})).await;
    assert_eq!(
        bank(&world, &finance).await,
        json!({"state": "on_the_way", "arrives": "2026-06-02T12:00:00Z", "payout": "po_1", "text": null})
    );
    told(&world, "failed", "po_1", 60, json!({"failure_code": "account_closed"})).await;
    // Stripe may deliver what happened before after what came of it.
    told(&world, "paid", "po_1", 48, json!({})).await;
    let refused = bank(&world, &finance).await;
    assert_eq!(refused["state"], "refused");
    assert!(refused["text"].as_str().unwrap().contains("the bank account has been closed"), "{refused}");
    referral::send_messages(&world.app).await.unwrap();
    let letters = world.stripe.letters.lock().unwrap().clone();
    assert_eq!((letters.len(), letters[0].1.as_str()), (1, "Your bank refused $1.00"));
    let item = world.rows("SELECT state FROM run_item WHERE partner = 'A'").await;
    assert_eq!((item, world.rows("SELECT id FROM fact").await.len()), (vec![json!({"state": "paid"})], 0));

    // The account is corrected, and Stripe sends it again: what came back of the first is an entry of the second.
    let back = json!({"id": "txn_back", "type": "payout_failure", "source": {"id": "po_1", "object": "payout"}});
    let path = "/v1/balance_transactions?limit=100&payout=po_2&expand%5B%5D=data.source";
    world.stripe.will_answer(path, 200, json!({"has_more": false, "data": [back]}));
    told(&world, "paid", "po_2", 200, json!({"created": at("2026-06-08T00:00:00Z").timestamp()})).await;
    assert_eq!(bank(&world, &finance).await["state"], "reached");
    // What a payout contains is asked once, of the agency's own account.
    let asked = world.stripe.asked().into_iter().filter(|path| path.contains("payout=po_1")).count();
    assert_eq!(asked, 2, "for itself, and for the one after it");
    assert!(world.stripe.accounts.lock().unwrap().iter().all(|account| account == "acct_A"));

    // Read again from the inbox, without Stripe, it is the same.
    let before = world.rows("SELECT * FROM at_bank ORDER BY transfer").await;
    world.stripe.answers.lock().unwrap().clear();
    referral::forget_replayable(&world.app).await.unwrap();
    referral::process_received(&world.app).await.unwrap();
    assert_eq!(world.rows("SELECT * FROM at_bank ORDER BY transfer").await, before);
}

#[tokio::test]
async fn what_stripe_does_not_say_is_not_made_up() {
    let (world, finance) = with_an_owner().await;
    contains(&world, "po_1", &["tr_A"]);
    for more in [json!({"automatic": false}), json!({"reconciliation_status": "in_progress"})] {
        let event = told(&world, "paid", "po_1", 2 + i64::from(more["automatic"] == false), more).await;
        let states = world.rows("SELECT id, state FROM inbox WHERE state = 'ignored'").await;
        assert!(states.iter().any(|row| row["id"] == json!(event)), "{states:?}");
    }
    assert_eq!(bank(&world, &finance).await, Value::Null);
    // Where Stripe cannot be asked, it waits, and is read again when somebody says so.
    world.stripe.will_answer("/v1/balance_transactions?limit=100&payout=po_9&expand%5B%5D=data.source", 403, json!({}));
    told(&world, "paid", "po_9", 5, json!({})).await;
    let waits = world.rows("SELECT name FROM inbox_wait").await;
    assert_eq!(waits, [json!({"name": "bank:po_9"})]);
    contains(&world, "po_9", &["tr_A"]);
    referral::retry_events(&world.app, None).await.unwrap();
    assert_eq!(bank(&world, &finance).await["payout"], "po_9");
}
