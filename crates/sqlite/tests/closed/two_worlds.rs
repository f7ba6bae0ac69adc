//! Two worlds that differ in what another agency did, and in nothing else: what an agency is answered is the same to the byte.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::TimeDelta;
use http_body_util::BodyExt as _;
use referral::{Actor, sql};
use serde_json::{Value, json};
use wire::{KeyKind, Role};

use crate::common::World;
use crate::document::document;
use crate::matrix::{may, operations};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What is drawn from here on depends on nothing that was drawn before.
fn draw_from(world: &World, seed: u64) {
    *world.still.drawn.lock().unwrap() = seed;
}

/// An agency that does things.
struct Agency {
    name: &'static str,
    code: String,
    owner: String,
    dice: Dice,
    done: u64,
    referrals: Vec<String>,
    links: Vec<String>,
}

impl Agency {
    async fn join(world: &World, name: &'static str, seed: u64) -> Agency {
        draw_from(world, seed);
        let code = world.join(&format!("{name}.example"), &format!("acct_{name}")).await;
        world.run(sql!("UPDATE partner SET transfers = 'active' WHERE code = ?1", &code)).await;
        let owner = world.session(&format!("owner@{name}.example")).await;
        Agency { name, code, owner, dice: Dice(seed), done: 0, referrals: Vec::new(), links: Vec::new() }
    }

    /// One thing that an agency or its clients do.
    async fn step(&mut self, world: &World, server: &str) {
        self.done += 1;
        let (n, name, code) = (self.done, self.name, self.code.clone());
        // Ids are random; here they must be the same in both worlds, whoever drew in between.
        draw_from(world, self.dice.below(1 << 30) + (u64::from(name == "second") << 40));
        let at = world.app.host.now().timestamp();
        self.owner = world.session(&format!("owner@{name}.example")).await;
        match self.dice.below(7) {
            0 => {
                let id = format!("{n:08}-0000-4000-8000-{:012}", u8::from(name == "second"));
                let link = json!({"id": id, "campaign": format!("No. {n}"), "path": "/pricing"});
                self.ok(world, "/v1/links", &self.owner, link).await;
                self.links.push(id);
            }
            1 => {
                let agent = if self.dice.below(4) == 0 { "a bot" } else { "Mozilla/5.0" };
                let visit = Request::get(format!("/r/{code}")).header(header::USER_AGENT, agent);
                assert_eq!(world.answer(visit.body(Body::empty()).unwrap()).await.status(), StatusCode::FOUND);
            }
            2 => {
                let member = json!({"email": format!("m{n}@{name}.example")});
                self.ok(world, "/v1/members", &self.owner, member).await;
            }
            _ => {
                let domain =
                    if self.dice.below(5) == 0 { format!("{name}.example") } else { format!("c{n}.of-{name}.example") };
                let client = json!({"customer_id": format!("{name}{n}"), "email": format!("it@{domain}"),
                    "partner_code": code, "stripe_customer_id": format!("cus_{name}_{n}")});
                let signed = self.ok(world, "/v1/signups", server, client).await;
                self.referrals.push(signed["referral_id"].as_str().unwrap().into());
                let amount = 5_000 + self.dice.below(200_000);
                let (sub, invoice) = (format!("sub_{name}_{n}"), format!("in_{name}_{n}"));
                let subscription = json!({"id": sub, "customer": format!("cus_{name}_{n}"), "status": "active", "currency": "usd",
                    "start_date": at, "latest_invoice": invoice,
                    "items": {"data": [{"quantity": 1, "price": {"unit_amount": amount, "recurring": {"interval": "month"}}}]}});
                let paid = json!({"id": invoice, "customer": format!("cus_{name}_{n}"), "currency": "usd", "amount_paid": amount,
                    "total": amount, "status_transitions": {"paid_at": at}, "parent": {"subscription_details": {"subscription": sub}},
                    "lines": {"has_more": false, "data": [{"amount": amount, "period": {"start": at, "end": at + 2_592_000},
                        "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription": sub}}}]}});
                let events = [("customer.subscription.created", subscription), ("invoice.paid", paid)];
                for (kind, object) in events.into_iter().take(1 + usize::try_from(self.dice.below(2)).unwrap()) {
                    let event = json!({"id": format!("evt_{kind}_{name}_{n}"), "object": "event", "livemode": false, "type": kind,
                        "created": at, "data": {"object": object}});
                    assert_eq!(world.event(&event).await.0, StatusCode::OK);
                }
            }
        }
    }

    async fn ok(&self, world: &World, path: &str, token: &str, body: Value) -> Value {
        let (status, answer) = world.call("POST", path, token, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }
}

/// Everything that the first agency is answered, where the second one lives as `other` says.
async fn told(seed: u64, other: u64) -> Vec<(String, StatusCode, HeaderMap, String)> {
    let world = World::new();
    draw_from(&world, seed);
    let server = referral::issue_key(&world.app, &Actor::Operator, KeyKind::Server, "").await.unwrap().secret;
    for (email, role) in [("finance@aikit.example", Role::Finance), ("staff@aikit.example", Role::Staff)] {
        referral::add_person(&world.app, &Actor::Operator, email, role).await.unwrap();
    }
    let mut first = Agency::join(&world, "first", seed).await;
    let mut second = Agency::join(&world, "second", other + (1 << 50)).await;
    for _ in 0..6 {
        first.step(&world, &server).await;
        for _ in 0..second.dice.below(4) {
            second.step(&world, &server).await;
        }
        world.pass(TimeDelta::days(5));
    }
    // The second one may be suspended; the month is drafted and sealed for both.
    world.pass(TimeDelta::days(100));
    draw_from(&world, seed + 2);
    let staff = world.session("staff@aikit.example").await;
    if second.dice.below(3) == 0 {
        let path = format!("/v1/partners/{}/suspend", second.code);
        second.ok(&world, &path, &staff, json!({"reason": "It must be so."})).await;
    }
    let resource = "70000000-0000-4000-8000-000000000000";
    let new = json!({"id": resource, "kind": "best_practice", "title": "How others do it", "text": "Well."});
    first.ok(&world, "/v1/resources", &staff, new).await;
    let publish = json!({"version": 1, "published": true});
    first.ok(&world, &format!("/v1/resources/{resource}/publish"), &staff, publish).await;
    draw_from(&world, seed + 3);
    let finance = world.session("finance@aikit.example").await;
    let run = first.ok(&world, "/v1/runs", &finance, json!({"period": "2026-09"})).await;
    let (id, version) = (run["summary"]["run"].as_str().unwrap(), &run["summary"]["version"]);
    // Where nobody is due there is nothing to seal.
    let (status, _) = world.call("POST", &format!("/v1/runs/{id}/seal"), &finance, json!({"version": version})).await;
    assert!(status.is_success() || status == StatusCode::CONFLICT);

    draw_from(&world, seed + 4);
    let token = world.session("owner@first.example").await;
    let mine = world
        .rows("SELECT i.id FROM run_item i JOIN partner p ON p.code = i.partner WHERE p.email = 'owner@first.example'")
        .await;
    let item = mine.first().map_or(Value::Null, |row| row["id"].clone());
    let mut all = Vec::new();
    for (name, operation) in operations(&document(&world).await) {
        let (method, template) = name.split_once(' ').unwrap();
        if method != "GET" || operation["x-access"].is_null() || !may(&operation, "owner") {
            continue;
        }
        let ids: Vec<&str> = match template.split(['{', '}']).nth(1) {
            None => vec![""],
            Some("referral") => first.referrals.iter().map(String::as_str).chain(["r_nobody"]).collect(),
            Some("item") => item.as_str().into_iter().chain(["nothing"]).collect(),
            Some("resource") => vec![resource],
            Some(other) => panic!("an id for {{{other}}} is needed"),
        };
        for id in ids {
            let path = template.split_once('{').map_or(template.to_owned(), |(before, _)| format!("{before}{id}"));
            all.push(ask(&world, Request::get(&path), &token, Value::Null).await);
        }
    }
    // What it does is answered alike too.
    draw_from(&world, seed + 5);
    for (path, body) in [
        ("/v1/links".to_owned(), json!({"id": "99999999-0000-4000-8000-000000000000", "campaign": "", "path": "/"})),
        (format!("/v1/links/{}", first.links.first().map_or("x", String::as_str)), json!({"archived": true})),
        ("/v1/members".to_owned(), json!({"email": "one-more@first.example"})),
        ("/v1/slug".to_owned(), json!({"slug": "the-first"})),
        ("/v1/onboarding".to_owned(), json!({})),
    ] {
        all.push(ask(&world, Request::post(&path), &token, body).await);
    }
    all
}

async fn ask(
    world: &World,
    request: axum::http::request::Builder,
    token: &str,
    body: Value,
) -> (String, StatusCode, HeaderMap, String) {
    let request = request
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let path = request.uri().to_string();
    let (head, body) = world.answer(request).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (path, head.status, head.headers, String::from_utf8_lossy(&body).into_owned())
}

async fn pairs(from: u64, to: u64) {
    for seed in from..to {
        let (one, two) = (told(seed, seed * 2).await, told(seed, seed * 2 + 1).await);
        assert!(one.iter().filter(|answer| answer.1.is_success()).count() > 10, "{one:#?}");
        for (one, two) in one.iter().zip(&two) {
            assert_eq!(one, two, "seed {seed}");
        }
        assert_eq!(one.len(), two.len(), "seed {seed}");
    }
}

#[tokio::test]
async fn another_agency_cannot_be_noticed_1() {
    pairs(1, 51).await;
}

#[tokio::test]
async fn another_agency_cannot_be_noticed_2() {
    pairs(51, 101).await;
}

#[tokio::test]
async fn another_agency_cannot_be_noticed_3() {
    pairs(101, 151).await;
}

#[tokio::test]
async fn another_agency_cannot_be_noticed_4() {
    pairs(151, 201).await;
}

#[tokio::test]
async fn the_worlds_do_differ() {
    // What would show if the second agency's data reached the first: finance sees it.
    let world = World::new();
    let server = referral::issue_key(&world.app, &Actor::Operator, KeyKind::Server, "").await.unwrap().secret;
    let mut agency = Agency::join(&world, "second", 7).await;
    for _ in 0..12 {
        agency.step(&world, &server).await;
    }
    assert!(agency.referrals.len() > 2 && !agency.links.is_empty(), "an agency that does nothing proves nothing");
}
