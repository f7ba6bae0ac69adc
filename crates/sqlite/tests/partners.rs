//! A partner's account, terms and people, over HTTP against the real router on SQLite with D1's limits.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

mod common;

use axum::http::StatusCode;
use chrono::TimeDelta;
use common::{World, at};
use referral::{Actor, sql};
use serde_json::{Value, json};

async fn people(world: &World, session: &str) -> Vec<(String, String)> {
    let (status, list) = world.call("GET", "/v1/members", session, Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|m| (text(&m["email"]), text(&m["role"]))).collect()
}

async fn invite(world: &World, session: &str, email: &str) -> (StatusCode, Value) {
    world.call("POST", "/v1/members", session, json!({"email": email})).await
}

async fn action(world: &World, session: &str) -> Value {
    let (status, overview) = world.call("GET", "/v1/overview", session, Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{overview}");
    overview["action"].clone()
}

#[tokio::test]
async fn an_owner_invites_lets_go_and_hands_over() {
    let world = World::new();
    let code = world.join("agency.example", "acct_1").await;
    world.join("other.example", "acct_2").await;
    let owner = world.session("owner@agency.example").await;
    let stranger = world.session("owner@other.example").await;

    let (status, ann) = invite(&world, &owner, " Ann@Agency.example ").await;
    assert_eq!((status, &ann["role"]), (StatusCode::CREATED, &json!("member")), "{ann}");
    let letters = world.stripe.letters.lock().unwrap().clone();
    assert!(letters.iter().any(|(to, _, text)| to == "ann@agency.example" && text.contains("agency.example")));
    for (email, expected) in [
        ("ann@agency.example", StatusCode::CONFLICT),
        ("owner@other.example", StatusCode::CONFLICT),
        ("no address", StatusCode::BAD_REQUEST),
        ("<b>@x.example\r\nBcc: all@x.example", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(invite(&world, &owner, email).await.0, expected, "{email}");
    }
    let list = people(&world, &owner).await;
    assert_eq!(list[0], ("owner@agency.example".into(), "owner".into()));
    assert_eq!(list[1], ("ann@agency.example".into(), "member".into()));

    // A member reads and makes links; people, terms and onboarding are the owner's.
    let member = world.session("ann@agency.example").await;
    assert_eq!(people(&world, &member).await, list);
    let link = json!({"id": "6f1e7c1e-0000-4000-8000-000000000001", "campaign": "Ann", "path": "/", "utm": {}});
    let (status, answer) = world.call("POST", "/v1/links", &member, link).await;
    assert!(status.is_success(), "{status} {answer}");
    let person = ann["person"].as_str().unwrap();
    let (remove, hand_over) = (format!("/v1/members/{person}/remove"), format!("/v1/members/{person}/owner"));
    let terms = world.call("GET", "/v1/terms/current", "", Value::Null).await.1["version"].clone();
    for (path, body) in [
        ("/v1/members", json!({"email": "bob@agency.example"})),
        (remove.as_str(), json!({})),
        (hand_over.as_str(), json!({})),
        ("/v1/terms/accept", json!({"version": terms})),
        ("/v1/onboarding", json!({})),
    ] {
        let (status, answer) = world.call("POST", path, &member, body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {answer}");
    }
    // Somebody else's member does not exist.
    for path in [&remove, &hand_over] {
        assert_eq!(world.call("POST", path, &stranger, json!({})).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    // People are changed by whoever has just signed in.
    world.pass(TimeDelta::minutes(6));
    let (status, answer) = world.call("POST", &remove, &owner, json!({})).await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("step_up")));

    let owner = world.session("owner@agency.example").await;
    let me = world.rows("SELECT id FROM person WHERE email = 'owner@agency.example'").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        world.call("POST", &format!("/v1/members/{me}/remove"), &owner, json!({})).await.0,
        StatusCode::CONFLICT
    );
    assert_eq!(world.call("POST", &format!("/v1/members/{me}/owner"), &owner, json!({})).await.0, StatusCode::CONFLICT);
    assert_eq!(world.call("POST", &hand_over, &owner, json!({})).await.0, StatusCode::OK);
    assert_eq!(people(&world, &owner).await[0], ("ann@agency.example".into(), "owner".into()));
    assert_eq!(invite(&world, &owner, "bob@agency.example").await.0, StatusCode::FORBIDDEN, "at once");
    let contact = world.app.db.query(sql!("SELECT email FROM partner WHERE code = ?1", &code)).await.unwrap();
    let contact: Option<Value> = contact.first().unwrap();
    assert_eq!(contact, Some(json!({"email": "ann@agency.example"})), "letters go to the owner");

    let ann = world.session("ann@agency.example").await;
    let removed = world.call("POST", &format!("/v1/members/{me}/remove"), &ann, json!({})).await;
    assert_eq!(removed.0, StatusCode::OK, "{}", removed.1);
    assert_eq!(
        world.call("GET", "/v1/overview", &owner, Value::Null).await.0,
        StatusCode::UNAUTHORIZED,
        "its sessions end"
    );
    let actions = world.rows("SELECT action FROM audit ORDER BY n").await;
    let actions: Vec<&str> = actions.iter().map(|a| a["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["member.invited", "agency.handed_over", "member.removed"]);
    referral::verify_audit(&world.app, None).await.unwrap();
}

#[tokio::test]
async fn an_agency_has_at_most_fifty_people() {
    let world = World::new();
    world.join("agency.example", "acct_1").await;
    let owner = world.session("owner@agency.example").await;
    for n in 1..50 {
        assert_eq!(invite(&world, &owner, &format!("m{n}@agency.example")).await.0, StatusCode::CREATED);
    }
    let (status, answer) = invite(&world, &owner, "one-more@agency.example").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(answer["message"].as_str().unwrap().contains("at most 50"), "{answer}");
}

#[tokio::test]
async fn newer_terms_ask_again_and_are_accepted_by_the_owner_alone() {
    let first = referral::default_terms().unwrap().to_toml();
    let first_id = referral::default_terms().unwrap().versions()[0].id.clone();
    let later = first.replace(&format!("id = \"{first_id}\""), "id = \"2026-07\"");
    let from = later.lines().find(|l| l.starts_with("from = ")).unwrap().to_owned();
    let later = later.replace(&from, "from = \"2026-07-01T00:00:00Z\"");
    let book = commission_terms(&format!("{first}\n{later}"));
    let world = World::with(|config| config.terms = book);
    world.join("agency.example", "acct_1").await;
    world.run(sql!("UPDATE partner SET transfers = 'active'")).await;
    let owner = world.session("owner@agency.example").await;
    assert_eq!(action(&world, &owner).await["kind"], "first_link");
    world.pass(at("2026-07-02T00:00:00Z") - world.app.host.now());
    let owner = world.session("owner@agency.example").await;
    assert_eq!(action(&world, &owner).await["kind"], "accept_terms");
    let accept =
        async |version: &str| world.call("POST", "/v1/terms/accept", &owner, json!({"version": version})).await;
    for old in [first_id.as_str(), "", "2099-01"] {
        let (status, answer) = accept(old).await;
        assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("changed")), "{old}");
    }
    for _ in 0..2 {
        let (status, accepted) = accept("2026-07").await;
        assert_eq!(status, StatusCode::OK, "{accepted}");
        let versions: Vec<&str> = accepted.as_array().unwrap().iter().map(|a| a["version"].as_str().unwrap()).collect();
        assert_eq!(versions, ["2026-07", first_id.as_str()]);
        assert_eq!(accepted[0]["accepted_at"], "2026-07-02T00:00:00Z");
        assert!(accepted[0]["person"].is_string() && accepted[1]["person"].is_null());
    }
    assert_eq!(world.rows("SELECT n FROM audit WHERE action = 'terms.accepted'").await.len(), 1);
    assert_eq!(action(&world, &owner).await["kind"], "first_link");
    referral::add_person(&world.app, &Actor::Operator, "staff@aikit.example", wire::Role::Staff).await.unwrap();
    let staff = world.session("staff@aikit.example").await;
    let (status, _) = world.call("POST", "/v1/terms/accept", &staff, json!({"version": "2026-07"})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

fn commission_terms(text: &str) -> commission::TermsBook {
    commission::TermsBook::from_toml(text).unwrap()
}

#[tokio::test]
async fn an_account_tells_what_it_lacks_and_suspension_comes_first() {
    let world = World::new();
    let code = world.join("agency.example", "acct_1").await;
    let owner = world.session("owner@agency.example").await;
    let told = async |id: &str, created: i64, object: Value| {
        let kind = if object["id"] == "transfers" { "capability.updated" } else { "account.updated" };
        let event = json!({"id": id, "type": kind, "created": created, "livemode": false, "data": {"object": object}});
        assert_eq!(world.event(&event).await.0, StatusCode::OK);
    };
    let account = |transfers: &str, due: Value| json!({"id": "acct_1", "capabilities": {"transfers": transfers}, "requirements": {"currently_due": due}});
    told("evt_1", 100, account("inactive", json!(["external_account", "company.tax_id"]))).await;
    let step = action(&world, &owner).await;
    assert_eq!(step["text"], "Stripe still needs the bank account to pay to and your company's tax number.");
    told("evt_2", 200, json!({"id": "transfers", "account": "acct_1", "status": "active"})).await;
    assert_eq!(action(&world, &owner).await["kind"], "first_link");
    told("evt_0", 90, account("inactive", json!([]))).await;
    assert_eq!(action(&world, &owner).await["kind"], "first_link", "an old event changes nothing");
    told("evt_3", 300, account("inactive", json!(["person_1.verification.document"]))).await;
    let step = action(&world, &owner).await;
    assert_eq!(step["text"], "Stripe still needs an identity document of the person.");
    // Of an account that no answer has told us of yet, too.
    told("evt_9", 100, json!({"id": "acct_new", "capabilities": {"transfers": "active"}})).await;
    let waits = world.rows("SELECT name FROM inbox_wait").await;
    assert_eq!(waits, [json!({"name": "account:acct_new"})]);

    let suspended = json!({"id": "s", "at": "2026-05-31T00:00:00Z", "type": "partner_suspended", "partner": code});
    world.run(sql!("INSERT INTO fact (id, partner, body) VALUES ('s', ?1, ?2)", &code, suspended.to_string())).await;
    assert_eq!(action(&world, &owner).await["kind"], "suspended");
}

/// Joining and the way to Stripe, with Stripe down, busy, and twice at once.
#[tokio::test]
async fn joining_does_not_need_stripe_and_onboarding_is_resumed() {
    let world = World::new();
    let terms = world.call("GET", "/v1/terms/current", "", Value::Null).await.1["version"].clone();
    let form = |email: &str, country: &str| json!({"agency_name": "Ag<b>", "email": email, "website": "agency.example", "country": country, "accept_terms": terms});
    let (status, joined) = world.call("POST", "/v1/partners", "", form("a@agency.example", "DE")).await;
    assert_eq!(status, StatusCode::CREATED, "{joined}");
    let again = world.call("POST", "/v1/partners", "", form("A@agency.example", "DE")).await;
    assert_eq!(again.0, StatusCode::CONFLICT, "{}", again.1);
    let path = joined["onboarding_url"].as_str().unwrap().trim_start_matches("http://localhost:8787").to_owned();
    let open = async || {
        let request = axum::http::Request::get(&path).body(axum::body::Body::empty()).unwrap();
        world.send(request).await
    };
    assert_eq!(open().await.0, StatusCode::SERVICE_UNAVAILABLE, "Stripe is down");
    world.stripe.will_answer("/v1/accounts", 409, json!({"error": {"type": "idempotency_error"}}));
    let (status, busy) = open().await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(busy["message"].as_str().unwrap().contains("few seconds"), "{busy}");
    // Stripe tells of the account before its answer arrives.
    let early = json!({"id": "evt_1", "type": "account.updated", "created": 1, "livemode": false,
        "data": {"object": {"id": "acct_7", "capabilities": {"transfers": "pending"}}}});
    world.event(&early).await;
    world.stripe.will_answer("/v1/accounts", 200, json!({"id": "acct_7"}));
    assert_eq!(open().await.0, StatusCode::SERVICE_UNAVAILABLE, "the account is made, its link is not");
    world.stripe.will_answer("/v1/account_links", 200, json!({"url": "https://connect.stripe.com/setup/1"}));
    let (one, two) = (open().await, open().await);
    assert_eq!((one.0, two.0), (StatusCode::FOUND, StatusCode::FOUND));
    let made = world.stripe.asked().iter().filter(|p| *p == "/v1/accounts").count();
    assert_eq!(made, 3, "asked until there was one, and never again");
    let rows = world.rows("SELECT account, transfers FROM partner").await;
    assert_eq!(rows, [json!({"account": "acct_7", "transfers": "pending"})]);

    let (status, far) = world.call("POST", "/v1/partners", "", form("b@agency.example", "IN")).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(far["notice"].as_str().unwrap().contains("IN"), "{far}");
    let owner = world.session("b@agency.example").await;
    assert_ne!(action(&world, &owner).await["kind"], "onboarding", "it leads nowhere");
}

/// Whoever has taken an owner's sign-in over cannot lead the next payout elsewhere before somebody notices.
#[tokio::test]
async fn an_account_that_is_left_rests_payouts_and_tells_everybody() {
    let world = World::new();
    let code = world.join("agency.example", "acct_1").await;
    world.run(sql!("UPDATE partner SET transfers = 'active', payouts_enabled = 1 WHERE code = ?1", &code)).await;
    let owner = world.session("owner@agency.example").await;
    invite(&world, &owner, "ann@agency.example").await;
    let why = json!({"reason": "We have a company of our own now."});
    let replace = async |session: &str| world.call("POST", "/v1/stripe-account/replace", session, why.clone()).await;
    let member = world.session("ann@agency.example").await;
    assert_eq!(replace(&member).await.0, StatusCode::FORBIDDEN);
    let (_, seen) = world.call("GET", "/v1/stripe-account", &member, Value::Null).await;
    assert_eq!(
        seen,
        json!({"account": "acct_1", "transfers_active": true, "reaches_bank": true, "needs": null, "rests_until": null})
    );

    let (status, after) = replace(&owner).await;
    assert_eq!(status, StatusCode::OK, "{after}");
    assert_eq!((&after["account"], &after["rests_until"]), (&Value::Null, &json!("2026-06-04T00:00:00Z")));
    assert_eq!(action(&world, &owner).await["kind"], "onboarding");
    referral::send_messages(&world.app).await.unwrap();
    let letters = world.stripe.letters.lock().unwrap().clone();
    let mut told: Vec<&str> =
        letters.iter().filter(|(_, s, _)| s.contains("another Stripe account")).map(|(to, ..)| to.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["ann@agency.example", "owner@agency.example"]);

    // The new account is made anew at Stripe, and cannot be left at once.
    world.stripe.will_answer("/v1/accounts", 200, json!({"id": "acct_2"}));
    world.stripe.will_answer("/v1/account_links", 200, json!({"url": "https://connect.stripe.com/setup/1"}));
    let (_, link) = world.call("POST", "/v1/onboarding", &owner, Value::Null).await;
    let path = link["url"].as_str().unwrap().trim_start_matches("http://localhost:8787").to_owned();
    let request = axum::http::Request::get(&path).body(axum::body::Body::empty()).unwrap();
    assert_eq!(world.send(request).await.0, StatusCode::FOUND);
    assert_eq!(world.stripe.keys.lock().unwrap()[0], format!("aikit-test-account-{code}-1"));
    assert_eq!(replace(&owner).await.0, StatusCode::CONFLICT);
    let told = async |id: &str, account: &str| {
        let object = json!({"id": account, "capabilities": {"transfers": "active"}, "payouts_enabled": true});
        let event =
            json!({"id": id, "type": "account.updated", "created": 9, "livemode": false, "data": {"object": object}});
        assert_eq!(world.event(&event).await.0, StatusCode::OK);
    };
    told("evt_1", "acct_1").await;
    told("evt_2", "acct_2").await;
    let states = world.rows("SELECT state FROM inbox ORDER BY id").await;
    assert_eq!(states, [json!({"state": "ignored"}), json!({"state": "done"})]);
    let (_, seen) = world.call("GET", "/v1/stripe-account", &owner, Value::Null).await;
    assert_eq!((&seen["account"], &seen["transfers_active"]), (&json!("acct_2"), &json!(true)));

    let why_not = async |hours: i64| {
        world.pass(TimeDelta::hours(hours));
        referral::add_person(&world.app, &Actor::Operator, &format!("staff{hours}@aikit.example"), wire::Role::Staff)
            .await
            .unwrap();
        let staff = world.session(&format!("staff{hours}@aikit.example")).await;
        let (_, standing) = world.call("GET", &format!("/v1/partners/{code}"), &staff, Value::Null).await;
        assert_eq!(standing["partner"]["code"], json!(code), "{standing}");
        standing["why_not"].as_str().map(str::to_owned)
    };
    let adjusted = json!({"id": "adj", "at": "2026-06-01T00:00:00Z", "type": "adjustment_made", "partner": code, "amount_minor": 500, "reason": "A gift."});
    world.run(sql!("INSERT INTO fact (id, partner, body) VALUES ('adj', ?1, ?2)", &code, adjusted.to_string())).await;
    assert!(why_not(71).await.unwrap().contains("Stripe account was replaced"));
    assert_eq!(why_not(1).await, None);
}
