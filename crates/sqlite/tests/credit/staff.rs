//! What AIKit's own people see and decide.

use chrono::TimeDelta;
use referral::verify_audit;
use serde_json::{Value, json};
use wire::Role;

use crate::api::{Api, Browser};
use crate::attribution::assert_same_for_everybody;

/// A referral of `partner`; answers its id.
async fn refer(api: &Api, key: &str, partner: &str, customer: &str) -> String {
    let mut browser = Browser::default();
    api.visit(&format!("/r/{partner}"), &mut browser).await;
    api.sign_up(key, customer, &browser).await["referral_id"].as_str().unwrap().to_owned()
}

fn because(reason: &str) -> Value {
    json!({"reason": reason})
}

#[tokio::test]
async fn partners_are_listed_searched_and_paged() {
    let api = Api::new();
    for n in 0..55 {
        api.join(&format!("agency{n:02}.example")).await;
        // No network joins faster than this for long.
        api.wait(TimeDelta::seconds(30));
    }
    let odd = api.join("odd-one.example").await;
    let auditor = api.colleague(Role::Auditor).await;
    let mut seen = Vec::new();
    for from in [0, 50, 100] {
        let page = api.get(&auditor, &format!("/v1/partners?from={from}")).await.ok();
        assert_eq!(
            (page["total"].as_u64(), page["found"].as_u64(), page["behind"].as_u64()),
            (Some(56), Some(56), Some(0))
        );
        seen.extend(page["partners"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()));
    }
    let mut sorted = seen.clone();
    sorted.sort_by_key(|name| name.to_lowercase());
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (56, &sorted));
    for (q, n) in [
        ("ODD-one", 1),
        ("agency0", 10),
        (odd.to_lowercase().as_str(), 1),
        ("owner@agency12", 1),
        ("12%20OWNER", 1),
        ("nobody", 0),
        ("%25", 0),
        ("'", 0),
    ] {
        let page = api.get(&auditor, &format!("/v1/partners?q={q}")).await.ok();
        assert_eq!((page["partners"].as_array().unwrap().len(), page["found"].as_u64()), (n, Some(n as u64)), "{q}");
    }
    assert_eq!(api.get(&auditor, "/v1/partners?suspended=true").await.ok()["partners"], json!([]));
    let one = api.get(&auditor, &format!("/v1/partners/{odd}")).await.ok();
    assert_eq!((one["partner"]["code"].as_str(), one["balance_minor"].as_i64()), (Some(odd.as_str()), Some(0)));
    assert_eq!(api.get(&auditor, "/v1/partners/PARTNER_00000000").await.refused(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_decision_needs_the_role_and_a_fresh_sign_in_and_a_reason() {
    let api = Api::new();
    let (a, b) = (api.join("a.example").await, api.join("b.example").await);
    let key = api.server_key().await;
    let referral = refer(&api, &key, &a, "client").await;
    let acts = [
        (format!("/v1/partners/{a}/suspend"), because("x")),
        (format!("/v1/partners/{a}/reinstate"), because("x")),
        (
            format!("/v1/partners/{a}/adjustments"),
            json!({"id": "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11", "amount_minor": 1, "reason": "x"}),
        ),
        (format!("/v1/partners/{a}/promotion-codes"), json!({"id": "promo_1", "code": "X"})),
        (format!("/v1/reviews/{referral}/clear"), because("x")),
        (format!("/v1/reviews/{referral}/reject"), because("x")),
        (format!("/v1/reviews/{referral}/reopen"), because("x")),
        (format!("/v1/referrals/{referral}/move"), json!({"partner": b, "reason": "x"})),
        ("/v1/credits".into(), json!({"customer_id": "client", "partner": b, "reason": "x"})),
    ];
    let looks = [
        "/v1/partners".into(),
        format!("/v1/partners/{a}"),
        format!("/v1/partners/{a}/effect?suspended=true"),
        format!("/v1/partners/{a}/referrals"),
        format!("/v1/partners/{a}/links"),
        format!("/v1/partners/{a}/payouts"),
        format!("/v1/referrals/{referral}/decisions"),
        "/v1/reviews-waiting".into(),
        "/v1/reviews".into(),
        format!("/v1/reviews/{referral}"),
        "/v1/audit".into(),
    ];
    let entries = verify_audit(&api.app, None).await.unwrap().n;
    let owner = api.sign_in("owner@a.example").await;
    let mut others = vec![(owner, false)];
    for role in [Role::Finance, Role::Admin, Role::Auditor] {
        others.push((api.colleague(role).await, true));
    }
    for (token, sees) in &others {
        for (path, body) in &acts {
            assert_eq!(api.post(token, path, body.clone()).await.refused(), (403, "forbidden".into()), "{path}");
        }
        for path in &looks {
            assert_eq!(api.get(token, path).await.status.is_success(), *sees, "{path}");
        }
    }
    for (path, body) in &acts {
        for nobody in ["", "aik_acc_WRONG", &key] {
            assert_eq!(api.post(nobody, path, body.clone()).await.refused(), (401, "signed_out".into()), "{path}");
        }
    }
    let staff = api.colleague(Role::Staff).await;
    api.wait(TimeDelta::minutes(5) + TimeDelta::seconds(1));
    for (path, body) in &acts {
        assert_eq!(api.post(&staff, path, body.clone()).await.refused(), (403, "step_up".into()), "{path}");
    }
    assert_eq!(verify_audit(&api.app, None).await.unwrap().n, entries + 4, "only the people who were added");
    // Fresh: what needs a reason has one, and what does not exist is not found.
    let staff = api.colleague(Role::Staff).await;
    for (path, mut body) in acts {
        let missing = path.replace(&a, "PARTNER_00000000").replace(&referral, "r_0000000000000000");
        if missing == path {
            body["customer_id"] = json!("nobody");
        }
        assert_eq!(api.post(&staff, &missing, body.clone()).await.refused(), (404, "not_found".into()), "{missing}");
        if body.get("reason").is_some() {
            for empty in ["", "  \n", &"x".repeat(501), "a\u{0}b"] {
                body["reason"] = json!(empty);
                assert_eq!(api.post(&staff, &path, body.clone()).await.refused(), (400, "invalid".into()), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn suspension_and_adjustments_are_facts_with_a_reason() {
    let api = Api::new();
    let code = api.join("a.example").await;
    let staff = api.colleague(Role::Staff).await;
    let (suspend, reinstate) = (format!("/v1/partners/{code}/suspend"), format!("/v1/partners/{code}/reinstate"));
    let state = async || {
        api.wait(TimeDelta::seconds(1));
        let rows = api.rows("SELECT suspended FROM partner").await[0]["suspended"].clone();
        let told = api.get(&staff, &format!("/v1/partners/{code}")).await.ok();
        assert_eq!(told["partner"]["suspended"].as_bool(), rows.as_i64().map(|s| s == 1));
        told
    };
    for n in 0..3 {
        api.post(&staff, &suspend, because("Self-referrals under another name.")).await.ok();
        assert_eq!(api.post(&staff, &suspend, because("again")).await.refused(), (409, "conflict".into()));
        // In the same instant of a clock that stands still, the later decision is still the later one.
        api.post(&staff, &reinstate, because(&format!("Explained, {n}."))).await.ok();
        assert_eq!(api.post(&staff, &reinstate, because("again")).await.refused(), (409, "conflict".into()));
        assert_eq!(state().await["partner"]["suspended"], false);
    }
    let adjust =
        |id: &str, amount: i64| json!({"id": id, "amount_minor": amount, "reason": "A month that was forgotten."});
    let (path, id) = (format!("/v1/partners/{code}/adjustments"), "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11");
    for _ in 0..3 {
        api.post(&staff, &path, adjust(id, -12_345)).await.ok();
    }
    assert_eq!(api.post(&staff, &path, adjust(id, 1)).await.refused(), (409, "conflict".into()));
    for (id, amount) in [(id, 0), (id, 100_000_001), (id, i64::MIN), ("x", 5)] {
        assert_eq!(api.post(&staff, &path, adjust(id, amount)).await.refused(), (400, "invalid".into()), "{amount}");
    }
    let told = state().await;
    assert_eq!((told["balance_minor"].as_i64(), told["totals"]["vested"].as_i64()), (Some(-12_345), Some(-12_345)));
    let facts = api.rows("SELECT body->>'type' AS type, body->>'reason' AS reason FROM fact ORDER BY seq").await;
    let types: Vec<_> = facts.as_array().unwrap().iter().map(|f| f["type"].as_str().unwrap()).collect();
    let pair = ["partner_suspended", "partner_reinstated"];
    assert_eq!(types, [&["partner_joined"][..], &pair, &pair, &pair, &["adjustment_made"]].concat());
    assert_eq!(facts[2]["reason"], "Explained, 0.");
    let audit =
        api.rows("SELECT action, reason, before, after FROM audit WHERE subject LIKE 'partner:%' ORDER BY n").await;
    assert_eq!(audit.as_array().unwrap().len(), 7);
    assert_eq!(audit[0]["before"], "{\"suspended\":false}");
}

#[tokio::test]
async fn a_review_shows_the_evidence_and_can_be_taken_back() {
    let api = Api::new();
    let code = api.join("a.example").await;
    let key = api.server_key().await;
    let own = {
        let form = json!({"customer_id": "own", "email": "boss@shop.a.example", "partner_code": code, "stripe_customer_id": "cus_own"});
        api.post(&key, "/v1/signups", form).await.ok()["referral_id"].as_str().unwrap().to_owned()
    };
    let honest = refer(&api, &key, &code, "honest").await;
    for customer in ["own", "honest"] {
        api.pays(customer).await;
    }
    let staff = api.colleague(Role::Staff).await;
    let queue = api.get(&staff, "/v1/reviews").await.ok();
    assert_eq!(queue.as_array().unwrap().len(), 1);
    let review = &queue[0];
    assert_eq!((review["referral"].as_str(), review["held_minor"].as_i64()), (Some(own.as_str()), Some(10_000)));
    assert_eq!((review["flags"].clone(), review["rule"].as_str()), (json!(["self_referral"]), Some("partner_code")));
    assert!(review["why"][0].as_str().unwrap().contains("shop.a.example"));
    assert_eq!(review["touches"][0]["given"], code.as_str());
    let act =
        async |what: &str, reason: &str| api.post(&staff, &format!("/v1/reviews/{own}/{what}"), because(reason)).await;
    assert_eq!(act("reject", "Their own shop.").await.ok()["decision"], "rejected");
    assert_eq!(act("reject", "Their own shop.").await.refused(), (409, "conflict".into()));
    api.wait(TimeDelta::seconds(1));
    assert_eq!(api.get(&staff, "/v1/reviews").await.ok(), json!([]));
    assert_eq!(api.get(&staff, "/v1/reviews?decided=true").await.ok()[0]["decision"], "rejected");
    act("clear", "It is another company.").await.ok();
    api.wait(TimeDelta::seconds(1));
    let told = api.get(&staff, &format!("/v1/partners/{code}")).await.ok();
    assert_eq!(told["totals"]["pending"].as_i64(), Some(20_000));
    // One can be rejected that no rule flagged.
    api.post(&staff, &format!("/v1/reviews/{honest}/reject"), because("A stolen card.")).await.ok();
    let audit = api.rows("SELECT action, before, reason FROM audit WHERE subject LIKE 'referral:%' ORDER BY n").await;
    assert_eq!(
        audit[1],
        json!({"action": "referral.cleared", "reason": "It is another company.",
        "before": "{\"decision\":\"rejected\",\"flags\":[\"self_referral\"]}"})
    );
    assert_same_for_everybody(&api).await;
}

#[tokio::test]
async fn a_burst_waits_for_review_with_its_figures() {
    let api = Api::new();
    let code = api.join("a.example").await;
    let key = api.server_key().await;
    for n in 0..11 {
        refer(&api, &key, &code, &format!("client{n}")).await;
    }
    let finance = api.colleague(Role::Finance).await;
    let queue = api.get(&finance, "/v1/reviews").await.ok();
    assert_eq!(queue.as_array().unwrap().len(), 11);
    assert_eq!(queue[0]["why"][0], "The agency brought 11 sign-ups in 2026-03.");
}

#[tokio::test]
async fn a_moved_client_belongs_to_the_other_partner_from_its_sign_up_on() {
    let api = Api::new();
    let (a, b, c) = (api.join("a.example").await, api.join("b.example").await, api.join("c.example").await);
    let key = api.server_key().await;
    let referral = refer(&api, &key, &a, "client").await;
    refer(&api, &key, &a, "stays").await;
    api.pays("client").await;
    api.pays("stays").await;
    let staff = api.colleague(Role::Staff).await;
    let path = format!("/v1/referrals/{referral}/move");
    let moved =
        async |to: &str| api.post(&staff, &path, json!({"partner": to, "reason": "They met at b's workshop."})).await;
    assert_eq!(moved(&a).await.refused(), (409, "conflict".into()));
    assert_eq!(moved("PARTNER_00000000").await.refused(), (400, "invalid".into()));
    // There and back and on, in one instant: the last one decides.
    for to in [&b, &a, &b.to_lowercase(), &c] {
        moved(to).await.ok();
    }
    api.wait(TimeDelta::seconds(1));
    for (partner, pending) in [(&a, 10_000), (&b, 0), (&c, 10_000)] {
        let told = api.get(&staff, &format!("/v1/partners/{partner}")).await.ok();
        assert_eq!(told["totals"]["pending"].as_i64(), Some(pending), "{partner}");
    }
    let review = api.get(&staff, &format!("/v1/reviews/{referral}")).await.ok();
    let last = review["touches"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (review["rule"].as_str(), last["source"].as_str(), last["decided"].as_bool()),
        (Some("staff"), Some("staff"), Some(true))
    );
    // What comes later from Stripe follows.
    api.pays("client").await;
    assert_same_for_everybody(&api).await;
    let owner = api.sign_in("owner@c.example").await;
    assert_eq!(api.get(&owner, &format!("/v1/clients/{referral}")).await.ok()["lines"].as_array().unwrap().len(), 2);
    let before = api.sign_in("owner@a.example").await;
    assert_eq!(api.get(&before, &format!("/v1/clients/{referral}")).await.refused(), (404, "not_found".into()));
    verify_audit(&api.app, None).await.unwrap();
}

#[tokio::test]
async fn a_late_credit_counts_what_was_paid_since_the_sign_up() {
    let api = Api::new();
    let code = api.join("a.example").await;
    let key = api.server_key().await;
    assert_eq!(api.sign_up(&key, "client", &Browser::default()).await["referral_id"], Value::Null);
    api.pays("client").await;
    api.wait(TimeDelta::days(3));
    let staff = api.colleague(Role::Staff).await;
    let form = json!({"customer_id": "client", "partner": code, "reason": "The cookie was lost on the phone."});
    let review = api.post(&staff, "/v1/credits", form.clone()).await.ok();
    assert_eq!(
        (review["signed_up_at"].as_str(), review["client_domain"].as_str()),
        (Some("2026-03-01T09:00:00Z"), Some("client.example"))
    );
    assert_eq!(api.post(&staff, "/v1/credits", form).await.refused(), (409, "conflict".into()));
    let told = api.get(&staff, &format!("/v1/partners/{code}")).await.ok();
    assert_eq!(told["totals"]["pending"].as_i64(), Some(10_000));
    let kept = api.rows("SELECT c.email, (SELECT body->>'reason' FROM fact WHERE id LIKE 'referral_created:%') AS reason FROM customer c").await;
    assert_eq!(kept, json!([{"email": null, "reason": "The cookie was lost on the phone."}]));
    assert_eq!(api.sign_up(&key, "client", &Browser::default()).await["partner_code"], code.as_str());
    assert_same_for_everybody(&api).await;
}
