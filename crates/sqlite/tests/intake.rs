//! Stripe's intake over HTTP, against the real router on SQLite with D1's limits.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[path = "common/cases.rs"]
mod cases;
mod common;

use axum::http::StatusCode;
use cases::cases;
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

    /// The client redeems a code of either agency or of none, as one kind of event, or both, say.
    fn redeem(&mut self) {
        if !self.dice.chance(35) {
            return;
        }
        let (code, cus) = (format!("promo_{}", self.dice.below(3)), format!("cus_{}", self.client));
        let discount = json!({"id": format!("di_{}_{}", self.client, self.n), "customer": cus, "promotion_code": code, "start": self.at});
        let checkout = json!({"customer": cus, "created": self.at - 30, "discounts": [{"promotion_code": code}]});
        let both = self.dice.chance(30);
        if both || self.dice.chance(60) {
            self.say("customer.discount.created", discount, None);
        }
        if both || self.dice.chance(50) {
            self.say("checkout.session.completed", checkout, None);
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
        self.redeem();
        self.redeem();
        for n in 0..1 + self.dice.below(3) {
            let subscriptions = if several { vec![one.as_str(), two.as_str()] } else { vec![one.as_str()] };
            self.invoice(n, &subscriptions, amount);
            self.redeem();
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

/// Two agencies and what their clients' Stripe would answer about payments in euros; with the agencies' codes.
async fn world(clients: usize) -> (World, [String; 2]) {
    let world = World::new();
    let codes = [world.join("agency.example", "acct_1").await, world.join("other.example", "acct_2").await];
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
    (world, codes)
}

/// Each agency has a promotion code; `promo_2` is nobody's.
fn promotion_codes(codes: &[String]) -> impl Iterator<Item = Value> {
    codes.iter().enumerate().map(|(n, partner)| {
        let code = json!({"id": format!("promo_{n}"), "code": format!("CODE{n}"), "metadata": {"partner_code": partner}});
        json!({"id": format!("evt_p_{n}"), "type": "promotion_code.created", "created": T0, "livemode": false, "data": {"object": code}})
    })
}

async fn sign_up(world: &World, key: &str, client: usize, code: Option<&str>) {
    let form = json!({"customer_id": format!("c{client}"), "email": format!("it@client{client}.example"), "partner_code": code,
        "stripe_customer_id": format!("cus_{client}"), "signed_up_at": "2026-05-31T00:00:00Z"});
    let (status, answer) = world.call("POST", "/v1/signups", key, form).await;
    assert!(status.is_success(), "{answer}");
}

/// Everything that events lead to, as text. How often a client was moved is a matter of order, and where it ends is not.
async fn state(world: &World) -> String {
    let mut all = Vec::new();
    for text in [
        "SELECT id, partner, referral, body FROM fact
         WHERE id NOT GLOB 'referral_created:*' AND id NOT GLOB 'referral_moved:*' ORDER BY id",
        "SELECT id, partner, rule FROM referral ORDER BY id",
        "SELECT customer, at_ms, source, partner, given FROM touch WHERE decided = 1 ORDER BY customer",
        "SELECT promotion_code, stripe_customer, at_ms FROM redemption ORDER BY promotion_code, stripe_customer",
        "SELECT transfers, payouts_enabled, requirements FROM partner ORDER BY code",
        "SELECT id, state, note FROM inbox ORDER BY id",
        "SELECT name, event FROM inbox_wait ORDER BY name, event",
        "SELECT id, referral FROM subscription ORDER BY id",
        "SELECT id, referral, paid_minor FROM invoice ORDER BY id",
        "SELECT part, subscription, amount_minor FROM invoice_part ORDER BY part",
        "SELECT id, invoice FROM payment ORDER BY id",
        // Which invoice of a subscription was learned first is the one thing that order decides; here every event names its own.
        "SELECT name, body FROM stripe_answer WHERE name NOT GLOB 'rate:sub_*' ORDER BY name",
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

    let (straight, codes) = world(clients).await;
    in_order.splice(0..0, promotion_codes(&codes));
    let key = referral::issue_key(&straight.app, &Actor::Operator, wire::KeyKind::Server, "").await.unwrap().secret;
    // Ids are drawn when somebody is credited; so that they are the same, two clients are so at once.
    let named = clients > 1 || dice.chance(60);
    let code = named.then_some(codes[0].as_str());
    for client in 0..clients {
        sign_up(&straight, &key, client, code).await;
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
    let (crooked, _) = world(clients).await;
    let key = referral::issue_key(&crooked.app, &Actor::Operator, wire::KeyKind::Server, "").await.unwrap().secret;
    let now = crooked.app.host.now().timestamp();
    for post in &posts {
        let status = match post {
            Post::SignUp(client) => {
                sign_up(&crooked, &key, *client, code).await;
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
async fn histories(after: u64, count: u32) {
    for n in 1..=cases(count) {
        one_history(after + u64::from(n)).await;
    }
}

#[tokio::test]
async fn events_in_any_order_lead_to_the_same_journal_1() {
    histories(0, 500).await;
}

#[tokio::test]
async fn events_in_any_order_lead_to_the_same_journal_2() {
    histories(500, 500).await;
}

/// What Stripe would say of one paid invoice of `sub_1`, which `cus_1` has.
fn invoice_event(fields: Value) -> Value {
    let mut invoice = json!({"id": "in_1", "customer": "cus_1", "currency": "usd", "amount_paid": 11_900, "total": 11_900,
        "parent": {"subscription_details": {"subscription": "sub_1"}}, "lines": {"has_more": false, "data": [{"amount": 10_000,
            "taxes": [{"amount": 1_900, "tax_behavior": "exclusive"}],
            "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription": "sub_1"}}}]}});
    invoice.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event_of("evt_in_1", "invoice.paid", invoice)
}

fn event_of(id: &str, kind: &str, object: Value) -> Value {
    json!({"id": id, "type": kind, "created": T0, "livemode": false, "data": {"object": object}})
}

fn subscription_event(currency: &str) -> Value {
    let subscription = json!({"id": "sub_1", "customer": "cus_1", "status": "active", "currency": currency, "start_date": T0,
        "latest_invoice": "in_1", "items": {"data": [{"quantity": 1, "price": {"unit_amount": 10_000, "recurring": {"interval": "month"}}}]}});
    event_of("evt_sub_1", "customer.subscription.created", subscription)
}

/// A world with an agency, and a client of it that is `cus_1` at Stripe.
async fn with_client(change: impl FnOnce(&mut referral::ports::Config)) -> World {
    let world = World::with(change);
    let code = world.join("agency.example", "acct_1").await;
    let key = referral::issue_key(&world.app, &Actor::Operator, wire::KeyKind::Server, "").await.unwrap().secret;
    sign_up(&world, &key, 1, Some(&code)).await;
    world
}

async fn amounts(world: &World, kind: &'static str) -> Vec<(String, i64)> {
    let facts = referral::stripe_facts(&world.app).await.unwrap();
    let bodies = facts.iter().filter(|(id, _)| id.starts_with(kind));
    let read = bodies.map(|(id, body)| {
        let body: Value = serde_json::from_str(body).unwrap();
        (id.clone(), body["amount_minor"].as_i64().unwrap_or_default())
    });
    read.collect()
}

async fn inbox(world: &World, session: &str, query: &str) -> Vec<Value> {
    let (status, page) = world.call("GET", &format!("/v1/inbox{query}"), session, Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn refunds_take_back_the_share_without_tax_and_no_more_than_all() {
    let world = with_client(|_| {}).await;
    world.event(&subscription_event("usd")).await;
    let mut invoice = invoice_event(json!({}));
    invoice["data"]["object"]["payments"] = json!({"data": [{"payment": {"payment_intent": "pi_1"}}]});
    world.event(&invoice).await;
    // An old charge that lists three refunds of everything, and the newest once more by itself.
    let refund = |n: i64, amount: i64| json!({"id": format!("re_{n}"), "amount": amount, "created": T0 + n, "status": "succeeded", "payment_intent": "pi_1"});
    let listed = json!({"id": "ch_1", "payment_intent": "pi_1", "refunds": {"data": [refund(3, 3_967), refund(2, 3_967), refund(1, 3_966)]}});
    world.event(&event_of("evt_ch", "charge.refunded", listed)).await;
    world.event(&event_of("evt_re", "refund.created", refund(3, 3_967))).await;
    let shares = amounts(&world, "invoice_refunded:").await;
    let expected =
        [("invoice_refunded:re_1", 3_333), ("invoice_refunded:re_2", 3_334), ("invoice_refunded:re_3", 3_334)];
    assert_eq!(shares, expected.map(|(id, amount)| (id.to_string(), amount)));
    world.pass(TimeDelta::hours(1));
    let owner = world.session("owner@agency.example").await;
    let (_, clients) = world.call("GET", "/v1/clients", &owner, Value::Null).await;
    let path = format!("/v1/clients/{}", clients["rows"][0]["referral"].as_str().unwrap());
    let (_, client) = world.call("GET", &path, &owner, Value::Null).await;
    let lines: Vec<i64> =
        client["lines"].as_array().unwrap().iter().map(|l| l["amount_minor"].as_i64().unwrap()).collect();
    assert_eq!((lines.len(), lines.iter().sum::<i64>()), (4, 0), "{lines:?}: the whole line and three reversals of it");
}

#[tokio::test]
async fn a_refund_is_found_by_whatever_names_its_invoice() {
    for (refund, payment) in [
        (json!({"payment_intent": "pi_1", "charge": "ch_1"}), json!({"charge": "ch_1"})),
        (json!({"payment_intent": "pi_1", "charge": "ch_1"}), json!({"payment_intent": "pi_1"})),
        (json!({"charge": {"id": "ch_1"}}), json!({"charge": "ch_1"})),
        (json!({"charge": "ch_9", "invoice": "in_1"}), json!({})),
    ] {
        let world = with_client(|_| {}).await;
        let mut object = json!({"id": "re_1", "amount": 11_900, "status": "succeeded", "created": T0});
        object.as_object_mut().unwrap().extend(refund.as_object().unwrap().clone());
        world.event(&event_of("evt_re", "refund.created", object)).await;
        world.event(&invoice_event(payment.clone())).await;
        assert_eq!(amounts(&world, "invoice").await, [], "the invoice waits for its subscription");
        world.event(&subscription_event("usd")).await;
        let refunded = amounts(&world, "invoice_refunded:").await;
        assert_eq!(refunded, [("invoice_refunded:re_1".to_string(), 10_000)], "{refund} {payment}");
    }
}

#[tokio::test]
async fn another_currency_waits_until_stripe_says_its_rate() {
    let world = with_client(|config| config.stripe_read_key.clear()).await;
    referral::add_person(&world.app, &Actor::Operator, "staff@aikit.example", wire::Role::Staff).await.unwrap();
    let staff = world.session("staff@aikit.example").await;
    world.event(&subscription_event("eur")).await;
    world.event(&invoice_event(json!({"currency": "eur", "payment_intent": "pi_1"}))).await;
    assert!(referral::stripe_facts(&world.app).await.unwrap().is_empty());
    let waiting = inbox(&world, &staff, "?state=waiting").await;
    assert_eq!(waiting.len(), 2, "{waiting:?}");
    let note = |event: &str| waiting.iter().find(|w| w["event"] == event).unwrap()["note"].as_str().unwrap().to_owned();
    assert!(note("evt_in_1").contains("STRIPE_READ_KEY"), "{}", note("evt_in_1"));
    assert!(note("evt_sub_1").contains("the rate comes with the payment"), "{}", note("evt_sub_1"));
    assert!(waiting.iter().all(|w| w.get("body").is_none()), "bodies are about people");
    let owner = world.session("owner@agency.example").await;
    assert_eq!(world.call("GET", "/v1/inbox", &owner, Value::Null).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.call("GET", "/v1/inbox?state=odd", &staff, Value::Null).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.call("GET", "/v1/inbox?cursor=x", &staff, Value::Null).await.0, StatusCode::BAD_REQUEST);

    // The same with a key, where Stripe is down, then settles elsewhere, then answers.
    let world = with_client(|_| {}).await;
    let path = "/v1/charges?payment_intent=pi_1&limit=100&expand%5B%5D=data.balance_transaction";
    world.event(&subscription_event("eur")).await;
    world.event(&invoice_event(json!({"currency": "eur", "payment_intent": "pi_1"}))).await;
    let charge = |currency: &str| {
        json!({"data": [
            {"amount": 11_900, "balance_transaction": null},
            {"amount": 11_900, "balance_transaction": {"amount": 12_902, "currency": currency, "exchange_rate": 1.0842}},
        ]})
    };
    let states =
        |rows: Vec<Value>| rows.into_iter().map(|r| r["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let text = "SELECT state FROM inbox ORDER BY id";
    assert_eq!(states(world.rows(text).await), ["received", "waiting"], "a fault is tried again by itself");
    world.stripe.will_answer(path, 200, charge("gbp"));
    assert!(referral::process_received(&world.app).await.is_ok());
    assert_eq!(states(world.rows(text).await), ["waiting", "waiting"]);
    world.stripe.will_answer(path, 200, charge("usd"));
    assert_eq!(referral::retry_events(&world.app, None).await.unwrap(), 2);
    assert_eq!(states(world.rows(text).await), ["done", "done"]);
    assert_eq!(amounts(&world, "invoice_paid:").await, [("invoice_paid:in_1".to_string(), 10_842)]);
    assert_eq!(amounts(&world, "subscription_started:").await, [("subscription_started:sub_1".to_string(), 10_842)]);
    // A refund of everything takes back everything, at the rate of its invoice.
    let refund =
        json!({"id": "re_1", "amount": 11_900, "status": "succeeded", "payment_intent": "pi_1", "created": T0});
    world.event(&event_of("evt_re", "refund.created", refund)).await;
    assert_eq!(amounts(&world, "invoice_refunded:").await, [("invoice_refunded:re_1".to_string(), 10_842)]);
}

#[tokio::test]
async fn the_lines_beyond_the_tenth_are_read_from_stripe_once() {
    let world = with_client(|_| {}).await;
    world.event(&subscription_event("usd")).await;
    let line = |id: &str, amount: i64| {
        json!({"id": id, "amount": amount, "description": "Ann", "parent": {"type": "subscription_item_details",
        "subscription_item_details": {"subscription": "sub_1"}}})
    };
    let more = json!({"has_more": true, "data": [line("il_1", 4_000), line("il_2", 5_000)]});
    world.stripe.will_answer("/v1/invoices/in_1/lines?limit=100", 200, more);
    let rest = json!({"has_more": false, "data": [line("il_3", 2_900)]});
    world.stripe.will_answer("/v1/invoices/in_1/lines?limit=100&starting_after=il_2", 200, rest);
    let truncated = json!({"lines": {"has_more": true, "data": [line("il_1", 4_000)]}});
    world.event(&invoice_event(truncated)).await;
    assert_eq!(amounts(&world, "invoice_paid:").await, [("invoice_paid:in_1".to_string(), 11_900)]);
    assert_eq!(world.stripe.asked().len(), 2);
    referral::forget_replayable(&world.app).await.unwrap();
    referral::process_received(&world.app).await.unwrap();
    assert_eq!(amounts(&world, "invoice_paid:").await, [("invoice_paid:in_1".to_string(), 11_900)]);
    assert_eq!(world.stripe.asked().len(), 2, "kept, and without what it says of people");
    assert!(!world.rows("SELECT body FROM stripe_answer").await[0].to_string().contains("Ann"));
}

#[tokio::test]
async fn what_leads_to_a_client_may_come_last() {
    for (hint, rule) in [
        (
            json!({"type": "customer.created", "object": {"id": "cus_9", "metadata": {"referral_id": "R"}}}),
            "the customer's metadata",
        ),
        (
            json!({"type": "customer.updated", "object": {"id": "cus_9", "metadata": {"referral_id": "R"}}}),
            "the customer's metadata, later",
        ),
        (
            json!({"type": "checkout.session.completed", "object": {"customer": "cus_9", "client_reference_id": "R"}}),
            "the checkout",
        ),
    ] {
        let world = with_client(|_| {}).await;
        let referral = world.rows("SELECT id FROM referral").await[0]["id"].as_str().unwrap().to_owned();
        let mut subscription = subscription_event("usd");
        subscription["data"]["object"]["customer"] = json!("cus_9");
        world.event(&subscription).await;
        assert!(referral::stripe_facts(&world.app).await.unwrap().is_empty());
        let mut object = hint["object"].clone();
        let text = object.to_string().replace("\"R\"", &format!("\"{referral}\""));
        object = serde_json::from_str(&text).unwrap();
        world.event(&event_of("evt_hint", hint["type"].as_str().unwrap(), object)).await;
        assert_eq!(amounts(&world, "subscription_started:").await.len(), 1, "{rule}");
    }
}

/// Signature, body -> status. Nothing but a good one leaves a trace.
#[tokio::test]
async fn only_what_stripe_signed_just_now_is_stored() {
    let world = World::new();
    let now = world.app.host.now().timestamp();
    let body = subscription_event("usd").to_string();
    let good = |body: &str| signed(ACCOUNT_SECRET, now, body);
    let v1 = good(&body).split_once("v1=").unwrap().1.to_owned();
    let live = body.replace("\"livemode\":false", "\"livemode\":true");
    let huge =
        format!("{{\"id\":\"evt_1\",\"type\":\"x\",\"livemode\":false,\"fill\":\"{}\"}}", "x".repeat(256 * 1024));
    let deep = "[".repeat(10_000);
    for (name, signature, body, status) in [
        ("no signature", String::new(), body.clone(), 400),
        ("a signature of something else", good("{}"), body.clone(), 400),
        ("another secret", signed("whsec_guess", now, &body), body.clone(), 400),
        ("the other endpoint's secret", signed(CONNECT_SECRET, now, &body), body.clone(), 400),
        ("too old", signed(ACCOUNT_SECRET, now - 301, &body), body.clone(), 400),
        ("from the future", signed(ACCOUNT_SECRET, now + 301, &body), body.clone(), 400),
        ("another time than was signed", format!("t={},v1={v1}", now - 1), body.clone(), 400),
        ("an older scheme", format!("t={now},v0={v1}"), body.clone(), 400),
        ("half a signature", format!("t={now},v1={}", &v1[..32]), body.clone(), 400),
        ("no hex", format!("t={now},v1=zz{}", &v1[2..]), body.clone(), 400),
        ("a time that is none", format!("t=now,v1={v1}"), body.clone(), 400),
        ("nothing but commas", ",,,,".repeat(1_000), body.clone(), 400),
        ("not JSON", good("{"), "{".into(), 400),
        ("JSON without end", good(&deep), deep, 400),
        ("a list", good("[]"), "[]".into(), 400),
        ("no id", good(r#"{"type":"x","livemode":false}"#), r#"{"type":"x","livemode":false}"#.into(), 400),
        (
            "an id that is a number",
            good(r#"{"id":1,"type":"x","livemode":false}"#),
            r#"{"id":1,"type":"x","livemode":false}"#.into(),
            400,
        ),
        ("live money", good(&live), live, 400),
        ("no livemode", good(r#"{"id":"evt_1","type":"x"}"#), r#"{"id":"evt_1","type":"x"}"#.into(), 400),
        ("too large", good(&huge), huge, 413),
    ] {
        let (got, answer) = world.post("account", &signature, body).await;
        assert_eq!(got.as_u16(), status, "{name}: {answer}");
        assert!(world.rows("SELECT id FROM inbox").await.is_empty(), "{name}");
    }
    for (name, signature) in [
        ("as it should be", good(&body)),
        ("while a secret is rotated", format!("t={now},v1={},v1={v1}", "00".repeat(32))),
        ("five minutes ago", signed(ACCOUNT_SECRET, now - 300, &body)),
    ] {
        assert_eq!(world.post("account", &signature, body.clone()).await.0, StatusCode::OK, "{name}");
    }
    assert_eq!(world.rows("SELECT id FROM inbox").await.len(), 1, "and once");
    let unknown = event_of("evt_2", "some.new.type", json!({"x": 1}));
    assert_eq!(world.event(&unknown).await.0, StatusCode::OK);
    let unreadable = event_of("evt_3", "invoice.paid", json!({"id": "in_1"}));
    assert_eq!(world.event(&unreadable).await.0, StatusCode::OK, "signed by Stripe: it is ours to read");
    let rows = world.rows("SELECT id, state FROM inbox WHERE id <> 'evt_sub_1' ORDER BY id").await;
    let states: Vec<&str> = rows.iter().map(|r| r["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["ignored", "failed"]);
    world.pass(TimeDelta::days(91));
    referral::reduce_old(&world.app).await.unwrap();
    assert_eq!(world.rows("SELECT id FROM inbox WHERE reduced = 0").await.len(), 1, "what failed is kept whole");
}

/// An event that was stored and not read, because the process ended in between, is read by the next one.
#[tokio::test]
async fn what_a_crash_left_is_processed_and_woken() {
    let world = with_client(|_| {}).await;
    world.event(&invoice_event(json!({"payment_intent": "pi_1"}))).await;
    world
        .run(referral::sql!(
            "INSERT INTO inbox (id, type, received_ms, body, state) VALUES ('evt_sub_1', 'customer.subscription.created', 1, ?1, 'received')",
            subscription_event("usd").to_string(),
        ))
        .await;
    assert_eq!(referral::process_received(&world.app).await.unwrap(), 1);
    assert_eq!(amounts(&world, "invoice_paid:").await.len(), 1);
    assert!(world.rows("SELECT name FROM inbox_wait").await.is_empty());
}

const READER: &str = "SELECT n, until_ms FROM inbox_reader";

/// Another server, or another isolate, is taken to be reading.
fn another_reads(world: &World, for_s: i64) -> referral::db::Stmt {
    let until = (world.app.host.now() + TimeDelta::seconds(for_s)).timestamp_millis();
    referral::sql!("UPDATE inbox_reader SET n = n + 1, until_ms = ?1", until)
}

#[tokio::test]
async fn whoever_was_taken_over_from_writes_nothing() {
    let world = with_client(|_| {}).await;
    world.event(&subscription_event("usd")).await;
    let line = json!({"id": "il_1", "amount": 4_000, "parent": {"type": "subscription_item_details",
        "subscription_item_details": {"subscription": "sub_1"}}});
    let all = json!({"has_more": false, "data": [line]});
    world.stripe.will_answer("/v1/invoices/in_1/lines?limit=100", 200, all);
    let before = world.rows(READER).await[0]["n"].as_i64().unwrap();
    let (db, taken) = (world.app.db.clone(), another_reads(&world, 20));
    *world.stripe.meanwhile.lock().unwrap() = Some(Box::pin(async move { drop(db.query(taken).await.unwrap()) }));
    world.event(&invoice_event(json!({"lines": {"has_more": true, "data": []}}))).await;
    assert_eq!(world.rows("SELECT id FROM inbox WHERE state = 'received'").await.len(), 1);
    assert!(amounts(&world, "invoice_paid:").await.is_empty(), "it is for the other one to write");
    assert!(world.rows("SELECT body FROM stripe_answer").await.is_empty());
    assert_eq!(world.rows(READER).await[0]["n"], before + 2, "this one, and the other");

    assert_eq!(referral::process_received(&world.app).await.unwrap(), 0, "somebody reads");
    world.pass(TimeDelta::seconds(20));
    assert_eq!(referral::process_received(&world.app).await.unwrap(), 1, "who has not said so for long does not");
    assert_eq!(amounts(&world, "invoice_paid:").await, [("invoice_paid:in_1".to_string(), 4_000)]);
    assert_eq!(world.rows(READER).await[0]["until_ms"], 0);
}

#[tokio::test]
async fn a_draft_does_not_wait_for_another_reader() {
    let world = with_client(|_| {}).await;
    world.event(&subscription_event("usd")).await;
    world.run(another_reads(&world, 20)).await;
    world.event(&invoice_event(json!({}))).await;
    assert!(amounts(&world, "invoice_paid:").await.is_empty());
    world
        .run(referral::sql!(
            "INSERT INTO person (id, email, role, added_ms) VALUES ('u_f', 'f@aikit.example', 'finance', 0)"
        ))
        .await;
    let finance = world.session("f@aikit.example").await;
    let (status, run) = world.call("POST", "/v1/runs", &finance, json!({"period": "2026-05"})).await;
    assert_eq!(status, StatusCode::CREATED, "{run}");
    assert_eq!(amounts(&world, "invoice_paid:").await.len(), 1);
}
