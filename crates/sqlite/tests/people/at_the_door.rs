//! Codes, limits, origins, and what is not well formed.

use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::Role;

use crate::api::{Api, HERE, text};

async fn try_code(api: &Api, email: &str, code: &str) -> u16 {
    let body = json!({"email": email, "code": code, "keep": "token"});
    api.post("/v1/auth/sessions", body).send().await.status.as_u16()
}

fn another(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

#[tokio::test]
async fn a_code_is_good_once_for_ten_minutes_and_five_tries() {
    let api = Api::new();
    let email = "finance@aikit.example";
    api.add(email, Role::Finance).await;
    let ask = async || {
        api.wait(TimeDelta::minutes(3));
        api.post("/v1/auth/codes", json!({"email": " Finance@AIKit.example "})).send().await.ok();
        api.code(email).unwrap()
    };
    let code = ask().await;
    assert_eq!(try_code(&api, email, &format!(" {} {}", &code[..3], &code[3..])).await, 200, "as people type it");
    assert_eq!(try_code(&api, email, &code).await, 401, "used");
    let code = ask().await;
    api.wait(TimeDelta::minutes(10));
    assert_eq!(try_code(&api, email, &code).await, 401, "too late");
    let code = ask().await;
    for _ in 0..5 {
        assert_eq!(try_code(&api, email, &another(&code)).await, 401);
    }
    assert_eq!(try_code(&api, email, &code).await, 401, "five tries were taken");
    let old = ask().await;
    let new = ask().await;
    assert_eq!(try_code(&api, email, &old).await, if old == new { 200 } else { 401 }, "the newest alone");
    // Another person's code is none.
    api.add("other@aikit.example", Role::Staff).await;
    let code = ask().await;
    assert_eq!(try_code(&api, "other@aikit.example", &code).await, 401);
    // Many at once: one session.
    let code = ask().await;
    let before = api.rows("SELECT count(*) AS n FROM session").await;
    let tries = futures::future::join_all((0..5).map(|_| try_code(&api, email, &code))).await;
    assert_eq!(tries.iter().filter(|s| **s == 200).count(), 1, "{tries:?}");
    let after = api.rows("SELECT count(*) AS n FROM session").await;
    assert_eq!(after[0]["n"].as_i64(), before[0]["n"].as_i64().map(|n| n + 1));
}

#[tokio::test]
async fn an_address_that_nobody_has_is_not_told_apart() {
    let api = Api::new();
    api.add("known@aikit.example", Role::Staff).await;
    let mut heard = Vec::new();
    for email in ["known@aikit.example", "unknown@aikit.example"] {
        let mut lines = Vec::new();
        for _ in 0..7 {
            let answer = api.post("/v1/auth/codes", json!({"email": email})).send().await;
            lines.push((answer.status, answer.text, answer.headers));
            let answer =
                api.post("/v1/auth/sessions", json!({"email": email, "code": "x", "keep": "token"})).send().await;
            lines.push((answer.status, answer.text, answer.headers));
        }
        heard.push(lines);
    }
    assert_eq!(heard[0], heard[1]);
    // And what is written for it is as much.
    let rows =
        api.rows("SELECT count(*) AS n, min(tries_left) AS least, max(tries_left) AS most FROM signin_code").await;
    assert_eq!((&rows[0]["n"], &rows[0]["least"]), (&json!(2), &rows[0]["most"]));
    assert!(api.mails() > 0 && api.code("unknown@aikit.example").is_none());
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_back() {
    let api = Api::new();
    let code = async |email: &str, from: &str| {
        let answer = api.post("/v1/auth/codes", json!({"email": email})).from(from).send().await;
        let wait = answer.headers.get("retry-after").map(|v| v.to_str().unwrap().parse::<i64>().unwrap());
        (answer.status.as_u16(), wait)
    };
    for n in 0..6 {
        assert_eq!(code("a@agency.example", &format!("198.51.100.{n}")).await.0, 200);
    }
    let (status, wait) = code("a@agency.example", "198.51.100.99").await;
    assert_eq!(status, 429);
    let wait = wait.unwrap();
    assert!((1..=181).contains(&wait), "{wait}");
    // The wait is exact: not a second before it is over, and then once.
    api.wait(TimeDelta::seconds(wait - 2));
    assert_eq!(code("a@agency.example", "198.51.100.99").await.0, 429);
    api.wait(TimeDelta::seconds(2));
    assert_eq!(code("a@agency.example", "198.51.100.99").await.0, 200);
    assert_eq!(code("a@agency.example", "198.51.100.99").await.0, 429);
    // A network that tries many addresses, and its neighbours in the same household, but nobody else.
    for n in 0..30 {
        assert_eq!(code(&format!("n{n}@agency.example"), &format!("2001:db8:0:1::{n:x}")).await.0, 200);
    }
    assert_eq!(code("n30@agency.example", "2001:db8:0:1:ffff::1").await.0, 429);
    assert_eq!(code("n30@agency.example", "2001:db8:0:2::1").await.0, 200);
    let said = api.post("/v1/auth/codes", json!({"email": "x@a.example"})).from("2001:db8:0:1::9").send().await;
    assert!(said.json()["message"].as_str().unwrap().contains("Try again in"), "{}", said.text);
    assert_eq!(said.refused().1, "too_many");
    // What counts no more is forgotten, and who it was is nowhere.
    let kept = api.rows("SELECT * FROM allowance").await.to_string();
    assert!(!kept.contains("2001:db8") && !kept.contains("agency.example"), "{kept}");
    api.wait(TimeDelta::days(1));
    api.add("staff@aikit.example", Role::Staff).await;
    api.sign_in("staff@aikit.example").await;
    assert!(api.rows("SELECT * FROM allowance").await.as_array().unwrap().len() <= 4);
}

#[tokio::test]
async fn joins_and_links_have_an_allowance_each() {
    let api = Api::new();
    for n in 0..30 {
        api.join_form(&format!("a{n}.example")).await.from("203.0.113.9").send().await.ok();
    }
    assert_eq!(api.join_form("a30.example").await.from("203.0.113.9").send().await.status.as_u16(), 429);
    api.join_form("a30.example").await.from("203.0.113.10").send().await.ok();
    let owner = text(&api.sign_in("owner@a1.example").await, "access_token");
    let other = text(&api.sign_in("owner@a2.example").await, "access_token");
    let link = async |token: &str, n: u32| {
        let id = format!("00000000-0000-4000-8000-{n:012}");
        let body = json!({"id": id, "campaign": "x", "path": "/pricing", "utm": {}});
        api.post("/v1/links", body).bearer(token).send().await.status.as_u16()
    };
    for n in 0..120 {
        assert_eq!(link(&owner, n).await, 201);
    }
    assert_eq!((link(&owner, 120).await, link(&other, 121).await), (429, 201));
}

#[tokio::test]
async fn a_page_of_another_site_cannot_act_and_the_join_form_can() {
    let api = Api::new();
    let posts =
        ["/v1/auth/refresh", "/v1/auth/end", "/v1/auth/codes", "/v1/auth/oidc", "/v1/links", "/v1/people", "/v1/runs"];
    for path in posts {
        for origin in [
            "https://evil.example",
            "null",
            "https://partners.aikit.example.evil.example",
            "http://partners.aikit.example",
            "",
        ] {
            let answer = api.post(path, json!({})).header("origin", origin).send().await;
            assert_eq!(answer.refused(), (403, "forbidden".into()), "{path} {origin}");
        }
        let own = api.post(path, json!({})).header("origin", HERE).send().await;
        assert_ne!(own.status.as_u16(), 403, "{path}");
        // The site may post the form and nothing else.
        let site = api.post(path, json!({})).header("origin", "https://aikit.example").send().await;
        assert_eq!(site.status.as_u16(), 403, "{path}");
        let preflight = api.preflight(path, "https://aikit.example").send().await;
        assert!(!preflight.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let ask = api.join_form("northlight.example").await.header("origin", "https://aikit.example");
    let answer = ask.send().await;
    assert_eq!(answer.status.as_u16(), 201);
    assert_eq!(answer.headers["access-control-allow-origin"], "https://aikit.example");
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    let preflight = api.preflight("/v1/partners", "https://aikit.example").send().await;
    assert_eq!(preflight.headers["access-control-allow-origin"], "https://aikit.example");
    assert_eq!(
        api.join_form("evil.example").await.header("origin", "https://evil.example").send().await.refused().0,
        403
    );
    let preflight = api.preflight("/v1/partners", "https://evil.example").send().await;
    assert!(!preflight.headers.contains_key("access-control-allow-origin"));
    let pixel = api.get("/pixel.gif?ref=x").header("origin", "https://aikit.example").send().await;
    assert_eq!(pixel.headers["access-control-allow-credentials"], "true");
}

#[tokio::test]
async fn malformed_tokens_and_bodies_are_refused_in_our_own_words() {
    let api = Api::new();
    let long = "A".repeat(100_000);
    let sql = "aik_acc_'; DROP TABLE session; --";
    for token in ["", "x", "aik_acc_", sql, &long, "aik_ref_00000000000000000000000000AAAA", "é"] {
        assert_eq!(api.get("/v1/overview").bearer(token).send().await.refused().0, 401, "{token:.40}");
        let refresh = api.post("/v1/auth/refresh", json!({"refresh_token": token})).send().await;
        assert_eq!(refresh.refused().0, 401, "{token:.40}");
        let cookie = format!("__Host-aikit_refresh={token}");
        assert_eq!(api.post("/v1/auth/refresh", json!({})).header("cookie", &cookie).send().await.refused().0, 401);
    }
    assert_eq!(api.get("/v1/overview").header("authorization", "Basic eDp5").send().await.refused().0, 401);
    for (path, body) in [
        ("/v1/auth/codes", json!({})),
        ("/v1/auth/codes", json!({"email": 7})),
        ("/v1/auth/codes", json!({"email": "no address"})),
        ("/v1/auth/codes", json!({"email": "a@b@c.example"})),
        ("/v1/auth/codes", json!({"email": format!("{long}@x.example")})),
        ("/v1/auth/codes", json!({"email": "a\r\nBcc: all@x.example"})),
        ("/v1/auth/sessions", json!({"email": "a@b.example", "code": 123456, "keep": "token"})),
        ("/v1/auth/sessions", json!({"email": "a@b.example", "code": "1", "keep": "jar"})),
        ("/v1/auth/refresh", json!([])),
    ] {
        let answer = api.post(path, body.clone()).send().await;
        assert!(answer.text.len() < 1_000, "what was sent does not come back whole");
        assert_eq!(answer.refused(), (400, "invalid".into()), "{path} {body:.60}");
    }
    let big = api.post("/v1/auth/codes", json!({"email": "x".repeat(300 * 1024)})).send().await;
    assert!(big.status.is_client_error());
    assert_eq!(api.rows("SELECT count(*) AS n FROM session").await[0]["n"], 0);
    // The methods say what there is.
    let methods = api.get("/v1/auth/methods").send().await.ok();
    assert_eq!(methods, json!({"email_codes": true, "issuer": null}));
    assert_eq!(api.post("/v1/auth/oidc", json!({})).send().await.refused().0, 404);
    let page = api.get("/v1/auth/oidc/callback?state=x&code=y").send().await;
    assert!(page.status.is_client_error() && page.text.contains("<!doctype html>"), "{page:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases::cases(48), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_makes_a_sign_in_fail_by_itself(
        path in prop_oneof![Just("codes"), Just("sessions"), Just("refresh"), Just("oidc"), Just("oidc/sessions")],
        field in "(email|code|keep|refresh_token|return_to|confirm|program|verifier)",
        value in prop_oneof![any::<String>().prop_map(Value::from), any::<i64>().prop_map(Value::from), Just(Value::Null)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let api = Api::new();
        let answer = runtime.block_on(api.post(&format!("/v1/auth/{path}"), json!({ field: value })).send());
        prop_assert!(!answer.status.is_server_error(), "{answer:?}");
    }
}
