//! Stripe's intake over HTTP, against the real router on SQLite with D1's limits.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

mod common;

use axum::http::StatusCode;
use chrono::TimeDelta;
use common::{ACCOUNT_SECRET, CONNECT_SECRET, World, signed};
use referral::Actor;
use serde_json::{Value, json};

/// 1 June 2026.
const T0: i64 = 1_780_272_000;
const DAY: i64 = 86_400;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.roll() >> 16).unwrap() % n
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn amount(&mut self) -> i64 {
        1 + i64::try_from(self.below(90_000)).unwrap()
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for n in (1..list.len()).rev() {
            list.swap(n, self.below(n + 1));
        }
    }
}

/// One client's events, in the order in which they happened.
struct Story<'a> {
    dice: &'a mut Dice,
    events: Vec<Value>,
    at: i64,
    n: usize,
    client: usize,
    currency: &'static str,
}

impl Story<'_> {
    fn say(&mut self, kind: &str, object: Value, previous: Option<Value>) {
        self.n += 1;
        self.at += 60;
        let mut data = json!({"object": object});
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        self.events.push(json!({"id": format!("evt_{}_{}", self.client, self.n), "object": "event", "livemode": false,
            "type": kind, "created": self.at, "data": data}));
    }

    fn subscription(&self, id: &str, status: &str, amount: i64, latest_invoice: &str) -> Value {
        json!({"id": id, "customer": format!("cus_{}", self.client), "status": status, "currency": self.currency,
            "start_date": T0 + DAY, "latest_invoice": latest_invoice,
            "items": {"data": [{"quantity": 1, "price": {"unit_amount": amount, "recurring": {"interval": "month"}}}]}})
    }

    /// An invoice over some subscriptions, with tax, partly from a balance; then what goes back of it.
    fn invoice(&mut self, n: usize, subscriptions: &[&str], amount: i64) {
        let id = format!("in_{}_{n}", self.client);
        let tax = if self.dice.chance(50) { amount / 5 } else { 0 };
        let lines: Vec<Value> = subscriptions
            .iter()
            .map(|s| {
                json!({"amount": amount, "period": {"start": self.at, "end": self.at + 30 * DAY},
                    "taxes": [{"amount": tax, "tax_behavior": "exclusive"}],
                    "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription": s}}})
            })
            .collect();
        let total = (amount + tax) * i64::try_from(subscriptions.len()).unwrap();
        let paid = if self.dice.chance(20) { total - total / 3 } else { total };
        let payment = format!("pi_{}_{n}", self.client);
        let invoice = json!({"id": id, "customer": format!("cus_{}", self.client), "currency": self.currency,
            "amount_paid": paid, "total": total, "status_transitions": {"paid_at": self.at},
            "parent": {"subscription_details": {"subscription": subscriptions[0]}}, "lines": {"data": lines, "has_more": false}});
        self.say("invoice.paid", invoice, None);
        self.say("invoice_payment.paid", json!({"invoice": id, "payment": {"payment_intent": payment}}), None);
        let about = json!({"payment_intent": payment, "charge": format!("ch_{}_{n}", self.client)});
        let about = |more: Value| {
            let mut object = about.as_object().unwrap().clone();
            object.extend(more.as_object().unwrap().clone());
            Value::Object(object)
        };
        let mut left = paid;
        for r in 0..self.dice.below(3) {
            let back = if self.dice.chance(40) { left } else { left / 2 };
            if back <= 0 {
                continue;
            }
            left -= back;
            let refund = json!({"id": format!("re_{}_{n}_{r}", self.client), "amount": back, "status": "succeeded", "created": self.at});
            self.say("refund.created", about(refund.clone()), None);
            let listed = json!({"id": format!("ch_{}_{n}", self.client), "payment_intent": payment, "refunds": {"data": [refund]}});
            self.say("charge.refunded", listed, None);
            if self.dice.chance(25) {
                let mut failed = refund;
                failed["status"] = json!("failed");
                self.say("refund.updated", about(failed.clone()), None);
                self.say("refund.failed", about(failed), None);
            }
        }
        if self.dice.chance(25) {
            let dispute = format!("dp_{}_{n}", self.client);
            let opened = json!({"id": dispute, "amount": left.max(1), "created": self.at, "status": "needs_response"});
            self.say("charge.dispute.created", about(opened), None);
            if self.dice.chance(70) {
                let status = if self.dice.chance(50) { "won" } else { "lost" };
                self.say(
                    "charge.dispute.closed",
                    about(json!({"id": dispute, "amount": left.max(1), "status": status})),
                    None,
                );
            }
        }
    }

    fn tell(mut self) -> Vec<Value> {
        let (one, two) = (format!("sub_{}_1", self.client), format!("sub_{}_2", self.client));
        let first = format!("in_{}_0", self.client);
        let mut amount = self.dice.amount();
        let incomplete = self.dice.chance(30);
        let status = if incomplete { "incomplete" } else { "active" };
        self.say("customer.subscription.created", self.subscription(&one, status, amount, &first), None);
        if incomplete {
            let active = self.subscription(&one, "active", amount, &first);
            self.say("customer.subscription.updated", active, Some(json!({"status": "incomplete"})));
        }
        let several = self.dice.chance(30);
        if several {
            self.say("customer.subscription.created", self.subscription(&two, "active", amount, &first), None);
        }
        for n in 0..1 + self.dice.below(3) {
            let subscriptions = if several { vec![one.as_str(), two.as_str()] } else { vec![one.as_str()] };
            self.invoice(n, &subscriptions, amount);
            if self.dice.chance(30) {
                let before = self.subscription(&one, "active", amount, &first)["items"].clone();
                amount = self.dice.amount();
                let now = self.subscription(&one, "active", amount, &format!("in_{}_{n}", self.client));
                self.say("customer.subscription.updated", now, Some(json!({"items": before})));
            }
            self.at += 30 * DAY;
        }
        if self.dice.chance(30) {
            self.say(
                "customer.subscription.deleted",
                json!({"id": one, "status": "canceled", "ended_at": self.at}),
                None,
            );
        }
        if self.dice.chance(20) {
            self.say("radar.early_fraud_warning.created", json!({"id": "issfr_1"}), None);
        }
        self.events
    }
}

/// What an account says while it is set up, several times within a second.
fn account_events(dice: &mut Dice) -> Vec<Value> {
    let mut events = Vec::new();
    let mut due = vec!["external_account", "company.tax_id", "tos_acceptance.date"];
    for n in 0..4 {
        let created = T0 + n / 2;
        let transfers = if due.is_empty() { "active" } else { "inactive" };
        let account = json!({"id": "acct_1", "capabilities": {"transfers": transfers}, "payouts_enabled": due.is_empty(),
            "requirements": {"currently_due": due}});
        events.push(json!({"id": format!("evt_a_{n}"), "type": "account.updated", "created": created, "livemode": false, "data": {"object": account}}));
        due.pop();
    }
    if dice.chance(50) {
        let capability = json!({"id": "transfers", "account": "acct_1", "status": "inactive"});
        events.push(json!({"id": "evt_a_9", "type": "capability.updated", "created": T0 + 9, "livemode": false, "data": {"object": capability}}));
    }
    events
}

/// An agency and what its clients' Stripe would answer about payments in euros.
async fn world(clients: usize) -> World {
    let world = World::new();
    world.join("agency.example", "acct_1").await;
    for client in 0..clients {
        for n in 0..3 {
            let charge = json!({"data": [{"amount": 1_000, "balance_transaction": {"amount": 1_084, "currency": "usd", "exchange_rate": 1.084}}]});
            let query = format!("payment_intent=pi_{client}_{n}&limit=100&expand%5B%5D=data.balance_transaction");
            world.stripe.will_answer(&format!("/v1/charges?{query}"), 200, charge);
            let payments = json!({"data": [{"payment": {"payment_intent": format!("pi_{client}_{n}")}}]});
            let query = format!("invoice=in_{client}_{n}&status=paid&limit=100");
            world.stripe.will_answer(&format!("/v1/invoice_payments?{query}"), 200, payments);
        }
    }
    world
}

async fn sign_up(world: &World, key: &str, client: usize, code: &str) {
    let form = json!({"customer_id": format!("c{client}"), "email": format!("it@client{client}.example"), "partner_code": code,
        "stripe_customer_id": format!("cus_{client}"), "signed_up_at": "2026-05-31T00:00:00Z"});
    let (status, answer) = world.call("POST", "/v1/signups", key, form).await;
    assert_eq!(status, StatusCode::CREATED, "{answer}");
}

/// Everything that events lead to, as text.
async fn state(world: &World) -> String {
    let mut all = Vec::new();
    for text in [
        "SELECT id, partner, referral, body FROM fact ORDER BY id",
        "SELECT transfers, payouts_enabled, requirements FROM partner",
        "SELECT id, state, note FROM inbox ORDER BY id",
        "SELECT name, event FROM inbox_wait ORDER BY name, event",
        "SELECT id, referral FROM subscription ORDER BY id",
        "SELECT id, referral, paid_minor FROM invoice ORDER BY id",
        "SELECT part, subscription, amount_minor FROM invoice_part ORDER BY part",
        "SELECT id, invoice FROM payment ORDER BY id",
        "SELECT name, body FROM stripe_answer ORDER BY name",
    ] {
        all.extend(world.rows(text).await.into_iter().map(|row| row.to_string()));
    }
    all.join("\n")
}

enum Post {
    SignUp(usize),
    Good(Value),
    Forged(Value),
    Stale(Value),
}

/// What an attacker would like to be true: much more money, and under a name of its own.
fn twisted(event: &Value, n: usize) -> Value {
    let mut event = event.clone();
    event["id"] = json!(format!("evt_x_{n}"));
    if event["data"]["object"]["amount_paid"].is_i64() {
        event["data"]["object"]["id"] = json!(format!("in_x_{n}"));
        event["data"]["object"]["amount_paid"] = json!(100_000_000);
    }
    event
}

async fn one_history(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let clients = 1 + dice.below(2);
    let mut in_order: Vec<Value> = account_events(&mut dice);
    for client in 0..clients {
        let currency = if dice.chance(25) { "eur" } else { "usd" };
        let story = Story { dice: &mut dice, events: Vec::new(), at: T0 + DAY, n: 0, client, currency };
        in_order.extend(story.tell());
    }

    let straight = world(clients).await;
    let key = referral::issue_key(&straight.app, &Actor::Operator, "server", "").await.unwrap();
    let code = straight.rows("SELECT code FROM partner").await[0]["code"].as_str().unwrap().to_owned();
    for client in 0..clients {
        sign_up(&straight, &key, client, &code).await;
    }
    for event in &in_order {
        assert_eq!(straight.event(event).await.0, StatusCode::OK, "{event}");
    }
    let expected = state(&straight).await;

    let mut posts: Vec<Post> = Vec::new();
    for (n, event) in in_order.iter().enumerate() {
        posts.extend((0..1 + dice.below(5)).map(|_| Post::Good(event.clone())));
        if dice.chance(10) {
            posts.push(Post::Forged(twisted(event, n)));
        }
        if dice.chance(10) {
            posts.push(Post::Stale(twisted(event, n)));
        }
    }
    dice.shuffle(&mut posts);
    // Sign-ups draw ids, so their order among themselves is kept; they come anywhere between the events.
    let mut places: Vec<usize> = (0..clients).map(|_| dice.below(posts.len() + 1)).collect();
    places.sort_unstable();
    for (client, place) in places.into_iter().enumerate().rev() {
        posts.insert(place, Post::SignUp(client));
    }
    let crooked = world(clients).await;
    let key = referral::issue_key(&crooked.app, &Actor::Operator, "server", "").await.unwrap();
    let now = crooked.app.host.now().timestamp();
    for post in &posts {
        let status = match post {
            Post::SignUp(client) => {
                sign_up(&crooked, &key, *client, &code).await;
                continue;
            }
            Post::Good(event) => crooked.event(event).await.0,
            Post::Forged(event) => {
                let body = event.to_string();
                match dice.below(3) {
                    0 => crooked.post("account", &signed("whsec_guess", now, &body), body).await.0,
                    1 => crooked.post("account", &signed(CONNECT_SECRET, now, &body), body).await.0,
                    _ => crooked.post("account", &signed(ACCOUNT_SECRET, now, "{}"), body).await.0,
                }
            }
            Post::Stale(event) => {
                let body = event.to_string();
                crooked.post("account", &signed(ACCOUNT_SECRET, now - 301, &body), body).await.0
            }
        };
        let good = matches!(post, Post::Good(_));
        assert_eq!(status, if good { StatusCode::OK } else { StatusCode::BAD_REQUEST });
    }
    assert_eq!(state(&crooked).await, expected, "history {seed}: another order, another end");

    if !seed.is_multiple_of(4) {
        return;
    }
    // The whole inbox again, from the beginning; then with bodies that hold only what is read, and without the network.
    let facts = referral::stripe_facts(&crooked.app).await.unwrap();
    referral::forget_replayable(&crooked.app).await.unwrap();
    referral::process_received(&crooked.app).await.unwrap();
    assert_eq!(referral::stripe_facts(&crooked.app).await.unwrap(), facts, "history {seed}, replayed");
    crooked.pass(TimeDelta::days(91));
    crooked.stripe.answers.lock().unwrap().clear();
    assert_eq!(referral::reduce_old(&crooked.app).await.unwrap(), in_order.len());
    referral::forget_replayable(&crooked.app).await.unwrap();
    referral::process_received(&crooked.app).await.unwrap();
    assert_eq!(state(&crooked).await, expected, "history {seed}, reduced and replayed");
}

/// Shuffled, each one to five times, a tenth forged and a tenth stale beside them: the same end as in order.
async fn histories(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        one_history(seed).await;
    }
}

#[tokio::test]
async fn events_in_any_order_lead_to_the_same_journal_1() {
    histories(1..501).await;
}

#[tokio::test]
async fn events_in_any_order_lead_to_the_same_journal_2() {
    histories(501..1001).await;
}
