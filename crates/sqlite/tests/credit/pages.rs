//! The pages of AIKit's partner team: what a decision would change, what waits, and all agencies in a list.

use chrono::TimeDelta;
use referral::db::Val;
use referral::sql;
use serde_json::{Value, json};
use wire::Role;

use crate::api::{Api, Browser};
use crate::attribution::assert_same_for_everybody;

fn because(reason: &str) -> Value {
    json!({"reason": reason})
}

/// A client with an address of its own; answers the referral.
async fn client(api: &Api, key: &str, partner: &str, name: &str, email: &str) -> String {
    let form = json!({"customer_id": name, "email": email, "partner_code": partner, "stripe_customer_id": format!("cus_{name}")});
    api.post(key, "/v1/signups", form).await.ok()["referral_id"].as_str().unwrap().to_owned()
}

/// The figures of an agency, of its own page.
async fn footing(api: &Api, staff: &str, partner: &str) -> Value {
    let told = api.get(staff, &format!("/v1/partners/{partner}")).await.ok();
    json!({"totals": told["totals"], "balance_minor": told["balance_minor"], "next_payout": told["next_payout"]})
}

#[tokio::test]
async fn what_a_decision_changes_is_said_before_it_and_is_so_after_it() {
    let api = Api::new();
    let code = api.join("a.example").await;
    let key = api.server_key().await;
    let own = client(&api, &key, &code, "own", "boss@shop.a.example").await;
    client(&api, &key, &code, "honest", "it@honest.example").await;
    for name in ["own", "honest"] {
        api.pays(name).await;
    }
    api.wait(TimeDelta::days(70));
    let staff = api.colleague(Role::Staff).await;
    let asked = format!("/v1/referrals/{own}/decisions");
    let decide = async |what: &str| {
        let answer = api.post(&staff, &format!("/v1/reviews/{own}/{what}"), because("So it is.")).await;
        answer.ok()["decision"].clone()
    };
    let mut present = Value::Null;
    for (what, decision) in [
        ("clear", json!("cleared")),
        ("reject", json!("rejected")),
        ("reopen", Value::Null),
        ("reject", json!("rejected")),
        ("clear", json!("cleared")),
        ("reopen", Value::Null),
    ] {
        let outcomes = api.get(&staff, &asked).await.ok();
        assert_eq!(outcomes["now"], footing(&api, &staff, &code).await, "{what}");
        let all = outcomes["outcomes"].as_array().unwrap();
        assert!(all.iter().all(|o| o["decision"] != present), "what is so already is no choice: {outcomes}");
        let shown = all.iter().find(|o| o["decision"] == decision).unwrap()["then"].clone();
        assert_eq!(decide(what).await, decision);
        assert_eq!(footing(&api, &staff, &code).await, shown, "{what}");
        present = decision;
    }
    // Two clients of $500 at 20 %, one of which is held again.
    let now = footing(&api, &staff, &code).await;
    assert_eq!((now["totals"]["held"].as_i64(), now["totals"]["vested"].as_i64()), (Some(10_000), Some(10_000)));
    assert_eq!(api.post(&staff, &format!("/v1/reviews/{own}/reopen"), because("x")).await.refused().0, 409);
    let review = api.get(&staff, &format!("/v1/reviews/{own}")).await.ok();
    assert_eq!((review["under_review"].as_bool(), review["decision"].clone()), (Some(true), Value::Null));
    let past: Vec<&str> = review["decided"].as_array().unwrap().iter().map(|d| d["action"].as_str().unwrap()).collect();
    assert_eq!(past[..3], ["referral.reopened", "referral.cleared", "referral.rejected"]);
    assert_eq!(review["decided"][0]["email"], "staff@aikit.example");
    // At once, on a clock that stands still.
    assert_eq!(api.get(&staff, "/v1/reviews-waiting").await.ok(), json!({"referrals": 1, "agencies": 1}));
    assert_same_for_everybody(&api).await;

    // The same of the agency itself.
    let before = footing(&api, &staff, &code).await;
    for (query, path, body) in [
        ("suspended=true", "suspend", because("x")),
        (
            "amount_minor=-15000",
            "adjustments",
            json!({"id": "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11", "amount_minor": -15_000, "reason": "x"}),
        ),
        ("suspended=false", "reinstate", because("x")),
    ] {
        let effect = api.get(&staff, &format!("/v1/partners/{code}/effect?{query}")).await.ok();
        assert_eq!(effect["now"], footing(&api, &staff, &code).await, "{query}");
        api.post(&staff, &format!("/v1/partners/{code}/{path}"), body).await.ok();
        assert_eq!(effect["then"], footing(&api, &staff, &code).await, "{query}");
    }
    assert_eq!(
        before["balance_minor"].as_i64().map(|b| b - 15_000),
        footing(&api, &staff, &code).await["balance_minor"].as_i64()
    );
    for query in ["", "suspended=true&amount_minor=1", "amount_minor=0", "amount_minor=100000001"] {
        let refused = api.get(&staff, &format!("/v1/partners/{code}/effect?{query}")).await.refused();
        assert_eq!(refused, (400, "invalid".into()), "{query}");
    }
}

#[tokio::test]
async fn the_queue_has_its_evidence_and_is_filtered() {
    let api = Api::new();
    let (a, b) = (api.join("a.example").await, api.join("b.example").await);
    let key = api.server_key().await;
    let own = client(&api, &key, &a, "own", "boss@a.example").await;
    for n in 0..11 {
        client(&api, &key, &b, &format!("b{n}"), &format!("x{n}@{}.example", if n < 9 { "farm" } else { "other" }))
            .await;
    }
    api.pays("b0").await;
    let staff = api.colleague(Role::Staff).await;
    let count =
        async |query: &str| api.get(&staff, &format!("/v1/reviews{query}")).await.ok().as_array().unwrap().len();
    assert_eq!(count("").await, 12);
    assert_eq!(count("?flag=burst").await, 11);
    assert_eq!(count("?flag=self_referral").await, 1);
    assert_eq!(count(&format!("?partner={a}")).await, 1);
    assert_eq!(count("?partner=PARTNER_00000000").await, 0);
    assert_eq!(count("?decided=true").await, 0);
    assert_eq!(api.get(&staff, "/v1/reviews?flag=other").await.refused().0, 400);
    let one = api.get(&staff, &format!("/v1/reviews/{own}")).await.ok();
    assert_eq!(
        (one["client_email"].as_str(), one["partner_email"].as_str(), one["burst"].clone()),
        (Some("boss@a.example"), Some("owner@a.example"), Value::Null)
    );
    let flagged = api.get(&staff, "/v1/reviews?flag=burst").await.ok();
    assert_eq!(
        flagged[0]["burst"],
        json!({"month": "2026-03", "signups": 11, "paying": 1,
            "domains": [{"domain": "farm.example", "count": 9}, {"domain": "other.example", "count": 2}]})
    );
    // The newest decision first, and what was taken back is no decision.
    let first = flagged[3]["referral"].as_str().unwrap();
    for referral in [first, &own] {
        api.post(&staff, &format!("/v1/reviews/{referral}/clear"), because("Known to us.")).await.ok();
    }
    let decided = api.get(&staff, "/v1/reviews?decided=true").await.ok();
    assert_eq!((decided[0]["referral"].as_str(), decided[1]["referral"].as_str()), (Some(own.as_str()), Some(first)));
    assert_eq!((count("").await, count("?decided=true&flag=burst").await), (10, 1));
    api.post(&staff, &format!("/v1/reviews/{own}/reopen"), because("A slip of the finger.")).await.ok();
    assert_eq!((count("").await, count("?decided=true").await), (11, 1));
}

/// What the list says of every agency is what the agency's own page says.
async fn assert_the_board_is_right(api: &Api, staff: &str) {
    let page = api.get(staff, "/v1/partners?limit=200").await.ok();
    assert_eq!(page["behind"], 0);
    for row in page["partners"].as_array().unwrap() {
        let own = api.get(staff, &format!("/v1/partners/{}", row["code"].as_str().unwrap())).await.ok();
        assert_eq!(*row, own["partner"]);
    }
}

#[tokio::test]
async fn the_list_of_agencies_keeps_up_with_everything_that_changes_their_figures() {
    let api = Api::new();
    let (a, b, c) = (api.join("a.example").await, api.join("b.example").await, api.join("c.example").await);
    let key = api.server_key().await;
    let own = client(&api, &key, &a, "own", "boss@a.example").await;
    client(&api, &key, &a, "honest", "it@honest.example").await;
    for name in ["own", "honest"] {
        api.pays(name).await;
    }
    let staff = api.colleague(Role::Staff).await;
    assert_the_board_is_right(&api, &staff).await;
    let codes = async |query: &str| -> Vec<String> {
        let page = api.get(&staff, &format!("/v1/partners?{query}")).await.ok();
        let rows = page["partners"].as_array().unwrap();
        assert_eq!(page["found"].as_u64(), Some(rows.len() as u64), "{query}");
        rows.iter().map(|r| r["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes("to_review=true").await, [a.as_str()]);
    assert_eq!(codes("sort=waiting&descending=true").await[0], a);
    // Time alone: what was paid vests.
    api.wait(TimeDelta::days(70));
    let staff = api.colleague(Role::Staff).await;
    assert_the_board_is_right(&api, &staff).await;
    let codes = async |query: &str| -> Vec<String> {
        let page = api.get(&staff, &format!("/v1/partners?{query}")).await.ok();
        page["partners"].as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes("sort=balance&descending=true").await[0], a);
    // A decision, a move, a debt, a suspension, a name of its own.
    api.post(&staff, &format!("/v1/reviews/{own}/reject"), because("Its own.")).await.ok();
    api.wait(TimeDelta::seconds(1));
    assert_eq!(codes("to_review=true").await, [""; 0]);
    api.post(&staff, &format!("/v1/referrals/{own}/move"), json!({"partner": c, "reason": "So it is."})).await.ok();
    let debt = json!({"id": "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11", "amount_minor": -700, "reason": "Paid twice."});
    api.post(&staff, &format!("/v1/partners/{b}/adjustments"), debt).await.ok();
    api.post(&staff, &format!("/v1/partners/{b}/suspend"), because("x")).await.ok();
    let owner = api.sign_in("owner@c.example").await;
    api.post(&owner, "/v1/slug", json!({"slug": "caesar"})).await.ok();
    api.wait(TimeDelta::seconds(1));
    assert_the_board_is_right(&api, &staff).await;
    assert_eq!(codes("in_debt=true").await, [b.as_str()]);
    assert_eq!(codes("suspended=true").await, [b.as_str()]);
    assert_eq!(codes("suspended=false&q=CAE").await, [c.as_str()]);
    assert_eq!(codes("sort=balance").await, [b.as_str(), c.as_str(), a.as_str()]);
    assert_eq!(codes("no_account=true&sort=joined&descending=true").await.len(), 3);
    assert_eq!(codes("terms_open=true").await, [""; 0]);
    api.app.db.query(sql!("DELETE FROM terms_acceptance WHERE partner = ?1", &a)).await.unwrap();
    assert_eq!(codes("terms_open=true").await, [a.as_str()]);
    // Facts that are gone take their figures with them.
    api.app.db.query(sql!("DELETE FROM fact WHERE id LIKE 'adjustment_made:%'")).await.unwrap();
    assert_eq!(codes("in_debt=true").await, [""; 0]);
    assert_the_board_is_right(&api, &staff).await;
}

#[tokio::test]
async fn an_agencys_page_shows_what_it_has() {
    let api = Api::new();
    let (a, b) = (api.join("a.example").await, api.join("b.example").await);
    let key = api.server_key().await;
    client(&api, &key, &a, "one", "it@one.example").await;
    let mut browser = Browser::default();
    api.visit(&format!("/r/{a}"), &mut browser).await;
    let owner = api.sign_in("owner@a.example").await;
    let link = json!({"id": "6f1e7c1e-0000-4000-8000-000000000001", "campaign": "Spring", "path": "/", "utm": {}});
    api.post(&owner, "/v1/links", link).await.ok();
    let staff = api.colleague(Role::Staff).await;
    let told = api.get(&staff, &format!("/v1/partners/{a}")).await.ok();
    assert_eq!((told["terms_accepted"].as_bool(), told["accepted"].as_array().unwrap().len()), (Some(true), 1));
    assert_eq!(
        (told["account"]["account"].clone(), told["next_payout"]["amount_minor"].as_i64()),
        (Value::Null, Some(0))
    );
    for (path, own) in
        [("referrals?limit=10", "/v1/clients?limit=10"), ("links", "/v1/links"), ("payouts", "/v1/payouts")]
    {
        let seen = api.get(&staff, &format!("/v1/partners/{a}/{path}")).await.ok();
        assert_eq!(seen, api.get(&owner, own).await.ok(), "as the agency sees it: {path}");
    }
    assert_eq!(api.get(&staff, &format!("/v1/partners/{b}/links")).await.ok(), json!([]));
}

/// Only when it is asked for: 100,000 agencies take a while to make. Prints how long each question takes.
#[tokio::test]
#[ignore = "measures; run it in a release build"]
async fn the_list_of_a_hundred_thousand_agencies() {
    let api = Api::new();
    api.join("a.example").await;
    let many = json!((0..100_000).collect::<Vec<u32>>()).to_string();
    let fill = [
        "INSERT INTO partner (code, name, email, website, country, joined_ms, suspended)
         SELECT printf('PARTNER_%08d', value), 'Agency ' || (value * 7919 % 100000), 'o' || value || '@x.example', 'https://x' || value || '.example/',
                'US', value, value % 50 = 0 FROM json_each(?1)",
        "INSERT INTO terms_acceptance (partner, version, at_ms) SELECT printf('PARTNER_%08d', value), '2026-01', 1 FROM json_each(?1) WHERE value % 20 <> 0",
        "INSERT INTO fact (id, partner, body) SELECT 'partner_joined:' || printf('PARTNER_%08d', value), printf('PARTNER_%08d', value),
                json_object('id', 'partner_joined:' || printf('PARTNER_%08d', value), 'at', '2026-01-01T00:00:00Z', 'type', 'partner_joined',
                            'partner', printf('PARTNER_%08d', value), 'name', 'A', 'website', 'x.example') FROM json_each(?1)",
        "INSERT INTO fact (id, partner, body) SELECT 'adjustment_made:' || value, printf('PARTNER_%08d', value),
                json_object('id', 'adjustment_made:' || value, 'at', '2026-01-02T00:00:00Z', 'type', 'adjustment_made',
                            'partner', printf('PARTNER_%08d', value), 'amount_minor', value - 2000, 'reason', 'x') FROM json_each(?1) WHERE value <> 2000",
    ];
    for text in fill {
        let stmt = referral::db::Stmt { sql: text.into(), params: vec![Val::Text(many.clone())] };
        api.app.db.query(stmt).await.unwrap();
    }
    let begun = std::time::Instant::now();
    assert_eq!(referral::keep_board(&api.app, usize::MAX).await.unwrap(), 0);
    println!("the whole board: {:?}", begun.elapsed());
    let staff = api.colleague(Role::Staff).await;
    for query in [
        "",
        "?from=99900&limit=100",
        "?q=agency%20777",
        "?q=zzz",
        "?in_debt=true",
        "?suspended=true&terms_open=true",
        "?terms_open=true",
        "?no_account=true",
        "?to_review=true",
        "?sort=balance&descending=true&from=50000",
        "?sort=joined&from=50000",
        "?q=o5&sort=balance",
    ] {
        let mut took: Vec<_> = Vec::new();
        let mut found = Value::Null;
        for _ in 0..3 {
            let begun = std::time::Instant::now();
            found = api.get(&staff, &format!("/v1/partners{query}")).await.ok()["found"].clone();
            took.push(begun.elapsed());
        }
        println!("{query:<50} {found:>8} {:?}", took.iter().min().unwrap());
    }
}
