//! Payments held against a Stripe that the test makes up.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[cfg(test)]
mod bank;
#[cfg(test)]
#[expect(dead_code, reason = "Shared with other tests of the API.")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(test)]
mod compare;
#[cfg(test)]
mod resolve;

use referral::{Actor, sql};
use serde_json::{Value, json};

use common::{World, at};

/// Agencies A, B and C with a payout each in one sealed run that is being sent: A's is recorded as paid.
async fn sending() -> (World, String) {
    sending_in(World::new()).await
}

/// The same in a world of the test's.
async fn sending_in(world: World) -> (World, String) {
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
