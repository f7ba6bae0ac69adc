//! Payments whose outcome is with a person.

use chrono::TimeDelta;
use referral::{Actor, sql};
use serde_json::{Value, json};

use crate::common::{World, at};
use crate::{lists, sending_in, transfer};

const B: &str = "2026-05.1:B";

/// B was sent just now and answered by a 500: a person must look.
async fn with_a_person() -> (World, String) {
    with_a_person_in(World::new()).await
}

async fn with_a_person_in(world: World) -> (World, String) {
    let (world, finance) = sending_in(world).await;
    let sent = at("2026-06-01T00:00:00Z").timestamp_millis();
    world.run(sql!("INSERT INTO attempt (item, n, first_sent_ms, last_sent_ms, outcome) VALUES (?1, 1, ?2, ?2, 'server_error')", B, sent)).await;
    lists(&world, &[]);
    (world, finance)
}

async fn look(world: &World, finance: &str) -> Value {
    let (status, answer) = world.call("POST", &format!("/v1/items/{B}/look"), finance, Value::Null).await;
    assert!(status.is_success(), "{status} {answer}");
    answer
}

async fn resolve(world: &World, finance: &str, body: Value) -> (u16, Value) {
    let mut body = body;
    body["reason"] = json!("Stripe's log shows it.");
    let (status, answer) = world.call("POST", &format!("/v1/items/{B}/resolution"), finance, body).await;
    (status.as_u16(), answer)
}

async fn item(world: &World) -> Value {
    world.rows("SELECT state, transfer, held, problem FROM run_item WHERE partner = 'B'").await.remove(0)
}

async fn facts(world: &World, of: &'static str) -> usize {
    let all = world.rows("SELECT id FROM fact").await;
    all.iter().filter(|fact| fact["id"].as_str().unwrap().starts_with(of)).count()
}

/// Two looks an hour apart, after four days.
async fn looked_twice(world: &World, email: &str) -> String {
    world.pass(TimeDelta::hours(96));
    let finance = world.session(email).await;
    look(world, &finance).await;
    world.pass(TimeDelta::minutes(61));
    let finance = world.session(email).await;
    look(world, &finance).await;
    finance
}

#[tokio::test]
async fn a_person_says_that_it_was_not_paid_after_four_days_and_two_looks() {
    let (world, finance) = with_a_person().await;
    assert_eq!(look(&world, &finance).await["state"], "review");
    for resolution in ["again", "void"] {
        let (status, answer) = resolve(&world, &finance, json!({ "resolution": resolution })).await;
        assert_eq!(status, 409);
        assert!(
            answer["message"].as_str().unwrap().starts_with("Until 5 June 2026, 00:00 UTC Stripe may still"),
            "{answer}"
        );
    }
    world.pass(TimeDelta::hours(96));
    let finance = world.session("finance@aikit.example").await;
    let once = look(&world, &finance).await;
    assert_eq!(
        once["not_yet"],
        "Stripe had no transfer of it once. Look again after 5 June 2026, 01:00 UTC: it takes two looks."
    );
    world.pass(TimeDelta::minutes(61));
    let finance = world.session("finance@aikit.example").await;
    // The decision itself looks.
    let (status, after) = resolve(&world, &finance, json!({"resolution": "again"})).await;
    assert_eq!(
        (status, &after["state"], &after["decisions"][0]["by"]),
        (200, &json!("queued"), &json!("finance@aikit.example")),
        "{after}"
    );
    assert_eq!(item(&world).await, json!({"state": "queued", "transfer": null, "held": 0, "problem": null}));
    let entry = world.rows("SELECT action, reason FROM audit ORDER BY n DESC LIMIT 1").await;
    assert_eq!(entry, [json!({"action": "payout.resolved", "reason": "Stripe's log shows it."})]);
    // It is decided: nothing is with a person any more.
    let (status, answer) = resolve(&world, &finance, json!({"resolution": "again"})).await;
    assert!(status == 409 && answer["message"].as_str().unwrap().contains("is queued"), "{answer}");
}

#[tokio::test]
async fn what_is_not_paid_by_this_run_says_why_and_ends_it_when_it_is_the_last() {
    let (world, _) = with_a_person().await;
    world.run(sql!("DELETE FROM run_item WHERE partner = 'C'")).await;
    let finance = looked_twice(&world, "finance@aikit.example").await;
    let (status, after) = resolve(&world, &finance, json!({"resolution": "void"})).await;
    assert_eq!((status, &after["state"]), (200, &json!("void")), "{after}");
    let problem = "Not paid by this run, says finance@aikit.example on 5 June 2026, 01:01 UTC: Stripe's log shows it.";
    assert_eq!(item(&world).await["problem"], problem);
    assert_eq!(world.rows("SELECT state FROM run").await, [json!({"state": "done"})]);
    assert_eq!(facts(&world, "payout_paid:").await, 0);
}

#[tokio::test]
async fn a_found_transfer_is_read_at_stripe_and_must_be_what_was_approved() {
    let (world, finance) = with_a_person().await;
    look(&world, &finance).await;
    let by_hand = |amount: i64| {
        json!({"id": "tr_hand", "created": at("2026-06-02T00:00:00Z").timestamp(), "amount": amount, "amount_reversed": 0,
        "currency": "usd", "destination": "acct_B", "metadata": {}, "transfer_group": null})
    };
    let found = |id: &str| json!({"resolution": "found", "transfer": id});
    for (id, answer, says) in [
        ("tr_hand", by_hand(199), "its amount is not what was approved"),
        ("tr_A", transfer("tr_A", "A", 200), "it is for another payment"),
        ("po_1", json!({}), "tr_…"),
        ("tr_../../accounts", json!({}), "tr_…"),
    ] {
        world.stripe.will_answer(&format!("/v1/transfers/{id}"), 200, answer);
        let (status, answer) = resolve(&world, &finance, found(id)).await;
        assert!(
            (status == 409 || status == 400) && answer["message"].as_str().unwrap().contains(says),
            "{id}: {answer}"
        );
    }
    assert_eq!(resolve(&world, &finance, json!({"resolution": "found"})).await.0, 400);
    assert_eq!(item(&world).await["state"], "review");
    world.stripe.will_answer("/v1/transfers/tr_hand", 200, by_hand(200));
    let (status, after) = resolve(&world, &finance, found("tr_hand")).await;
    assert_eq!((status, &after["state"], &after["transfer"]), (200, &json!("paid"), &json!("tr_hand")), "{after}");
    assert_eq!(facts(&world, "payout_paid:").await, 1);
    // The reconciliation knows it by its id, although it does not say which payment it is for.
    lists(&world, &[transfer("tr_A", "A", 100), by_hand(200)]);
    let (_, it) = world.call("POST", "/v1/reconciliations", &finance, json!({"days": 40})).await;
    assert_eq!((&it["found"], &it["recorded_minor"], &it["others"]), (&json!(0), &json!(300), &json!(0)), "{it}");
}

#[tokio::test]
async fn a_transfer_that_appears_late_is_recorded_instead_of_the_decision() {
    let (world, _) = with_a_person().await;
    let finance = looked_twice(&world, "finance@aikit.example").await;
    lists(&world, &[transfer("tr_B", "B", 200)]);
    let (status, answer) = resolve(&world, &finance, json!({"resolution": "again"})).await;
    assert_eq!(
        (status, &answer["message"]),
        (409, &json!("Stripe has paid it meanwhile, by tr_B. It is recorded as paid."))
    );
    assert_eq!(item(&world).await["state"], "paid");
}

#[tokio::test]
async fn where_two_must_approve_two_must_say_the_same() {
    let (world, _) = with_a_person_in(World::with(|config| config.approvals_needed = 2)).await;
    referral::add_person(&world.app, &Actor::Operator, "second@aikit.example", wire::Role::Finance).await.unwrap();
    let first = looked_twice(&world, "finance@aikit.example").await;
    let second = world.session("second@aikit.example").await;
    let again = json!({"resolution": "again"});
    for (who, body, state) in [
        (&first, &again, "review"),
        // Nobody is two people.
        (&first, &again, "review"),
        (&second, &json!({"resolution": "void"}), "review"),
        (&second, &again, "queued"),
    ] {
        let (status, after) = resolve(&world, who, body.clone()).await;
        assert_eq!((status, &after["state"]), (200, &json!(state)), "{after}");
    }
    let entries = world.rows("SELECT action FROM audit WHERE action LIKE 'payout.%' ORDER BY n").await;
    let of = |action: &str| entries.iter().filter(|e| e["action"] == action).count();
    assert_eq!((of("payout.resolution_proposed"), of("payout.resolved")), (3, 1));
}

#[tokio::test]
async fn the_server_looks_by_itself_and_tells_finance_once() {
    let (world, _) = with_a_person().await;
    assert_eq!(referral::look_at_unsettled(&world.app).await.unwrap(), 0, "an executor may be at work on it");
    world.pass(TimeDelta::hours(1));
    for (hours, looked) in [(0, 1), (0, 0), (1, 1), (96, 1), (1, 1)] {
        world.pass(TimeDelta::hours(hours));
        assert_eq!(referral::look_at_unsettled(&world.app).await.unwrap(), looked, "{hours} hours later");
    }
    referral::send_messages(&world.app).await.unwrap();
    let letters = world.stripe.letters.lock().unwrap().clone();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(
        letters[0].1.contains("A payout needs a person: B") && letters[0].2.contains("/runs/2026-05.1"),
        "{letters:?}"
    );
    let finance = world.session("finance@aikit.example").await;
    let (_, check) = world.call("GET", &format!("/v1/items/{B}/check"), &finance, Value::Null).await;
    assert_eq!(
        (&check["not_yet"], &check["attempts"][0]["key"]),
        (&json!(null), &json!("aikit-test-po-2026-05.1:B-1"))
    );
    lists(&world, &[transfer("tr_B", "B", 200)]);
    world.pass(TimeDelta::hours(1));
    referral::look_at_unsettled(&world.app).await.unwrap();
    assert_eq!(item(&world).await["transfer"], "tr_B");
}

/// An event about a transfer, as Stripe's account endpoint gets it.
async fn told(world: &World, id: &str, kind: &str, transfer: Value) {
    let event = json!({"id": id, "type": kind, "created": at("2026-05-31T13:00:00Z").timestamp(), "livemode": false, "data": {"object": transfer}});
    let (status, answer) = world.event(&event).await;
    assert!(status.is_success(), "{answer}");
    referral::read_stored(&world.app).await;
}

#[tokio::test]
async fn stripe_tells_that_it_paid_and_nothing_else_is_believed() {
    let (world, _) = with_a_person().await;
    told(&world, "evt_1", "transfer.created", transfer("tr_B0", "B", 199)).await;
    assert_eq!(item(&world).await["state"], "unknown");
    told(&world, "evt_2", "transfer.created", transfer("tr_B", "B", 200)).await;
    assert_eq!(item(&world).await["transfer"], "tr_B");
    told(&world, "evt_3", "transfer.created", transfer("tr_B2", "B", 200)).await;
    assert_eq!((item(&world).await["transfer"].clone(), facts(&world, "payout_paid:").await), (json!("tr_B"), 1));
}

/// What Stripe took back of a transfer that pays nothing is no reversal of the payment: else it would be due again.
#[tokio::test]
async fn only_what_comes_back_of_the_transfer_that_pays_counts() {
    let (world, _) = with_a_person().await;
    let reversed = |id: &str, partner: &str| {
        let mut transfer = transfer(id, partner, if partner == "A" { 100 } else { 200 });
        transfer["amount_reversed"] = transfer["amount"].clone();
        transfer["reversals"] =
            json!({"data": [{"id": format!("trr_of_{id}"), "amount": transfer["amount"], "created": 0}]});
        transfer
    };
    told(&world, "evt_1", "transfer.reversed", reversed("tr_A2", "A")).await;
    told(&world, "evt_2", "transfer.reversed", reversed("tr_B", "B")).await;
    assert_eq!(facts(&world, "payout_reversed:").await, 0);
    let states = world.rows("SELECT id, state FROM inbox ORDER BY id").await;
    assert_eq!(states, [json!({"id": "evt_1", "state": "ignored"}), json!({"id": "evt_2", "state": "waiting"})]);
    told(&world, "evt_3", "transfer.reversed", reversed("tr_A", "A")).await;
    assert_eq!(facts(&world, "payout_reversed:").await, 1);
    // B turns out to be paid by the one that came back.
    told(&world, "evt_4", "transfer.created", transfer("tr_B", "B", 200)).await;
    assert_eq!(facts(&world, "payout_reversed:").await, 2);
}
