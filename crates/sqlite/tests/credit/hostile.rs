//! What comes from outside and is not as it should be: every answer is an answer, and nothing that is stored is executed.

use axum::body::Body;
use axum::http::{Method, Request, header};
use chrono::TimeDelta;
use serde_json::{Value, json};
use wire::Role;

use crate::api::{Api, Browser};

const UUID: &str = "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11";

/// Ways off the site.
const ELSEWHERE: [&str; 52] = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\\/evil.example",
    "https://evil.example",
    "http://evil.example/",
    "HTTPS://EVIL.EXAMPLE",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "ftp://evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>1</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "evil.example",
    "@evil.example",
    "/@evil.example",
    ":@evil.example",
    ".evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/%2f/evil.example",
    "/%2F%2Fevil.example",
    "/%2f%2fevil.example",
    "/%252f%252fevil.example",
    "/%25252f%25252fevil.example",
    "/%5cevil.example",
    "/%5c%5cevil.example",
    "/%255cevil.example",
    "/\tevil.example",
    "/\t/evil.example",
    "/%09/evil.example",
    "/\n/evil.example",
    "/%0a/evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/\r\nSet-Cookie: a=b",
    "/%00/evil.example",
    "/ /evil.example",
    "/%20/evil.example",
    "/\u{2028}/evil.example",
    "/x%40evil.example",
    "https://aikit.example@evil.example/",
    "https://aikit.example.evil.example/",
    "https://aikit.example:443@evil.example/",
    "https://docs.aikit.example.evil.example/",
    "/?next=https://evil.example",
];

/// What would hurt if it were read as anything but text.
const NASTY: [&str; 14] = [
    "'; DROP TABLE partner; --",
    "\" OR 1=1 --",
    "') UNION SELECT hash FROM api_key --",
    "?1",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "{{7*7}}${7*7}",
    "%s%n%x",
    "../../etc/passwd",
    "=HYPERLINK(\"https://evil.example\")",
    "\u{202e}gnp.exe",
    "𝕏\u{0301}\u{fffd}",
    "\\u0000\\",
];

fn escaped(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

#[tokio::test]
async fn no_link_leads_off_aikits_sites() {
    let api = Api::new();
    let code = api.join("halcyon.example").await;
    let owner = api.sign_in("owner@halcyon.example").await;
    for to in ELSEWHERE {
        let answer = api.visit(&format!("/r/{code}?to={}", escaped(to)), &mut Browser::default()).await;
        let lands = answer.location();
        assert_eq!((answer.status.as_u16(), lands.as_str()), (302, "https://aikit.example/"), "{to}");
        assert_eq!(answer.cookie("ref"), Some(code.clone()), "the click still credits");
        let link = json!({"id": UUID, "campaign": "", "path": to, "utm": {}});
        assert_eq!(api.post(&owner, "/v1/links", link).await.refused(), (400, "invalid".into()), "{to}");
    }
    // Whatever is in an address stays within its place.
    for nasty in NASTY {
        let path = format!("/r/{code}?utm_source={0}&utm_term={0}&l={0}&{0}={0}", escaped(nasty));
        let lands = api.visit(&path, &mut Browser::default()).await.location();
        assert!(lands.starts_with("https://aikit.example/?ref=") && lands.is_ascii(), "{nasty}: {lands}");
        assert!(!lands.contains(['<', '>', '"', '\'', ' ']), "{nasty}: {lands}");
    }
}

#[tokio::test]
async fn hostile_headers_and_addresses_get_an_answer() {
    let api = Api::new();
    let code = api.join("halcyon.example").await;
    let long = "x".repeat(60_000);
    let cookies = [
        "ref",
        "ref=",
        "=;=;=",
        "ref_click=",
        "ref_click=x",
        "ref=../..; ref_click=' OR 1=1",
        &format!("ref_click={long}"),
        &format!("ref_click={UUID}"),
        "ref_click=0197B3C2-7B60-7C3E-9A54-2F1F0C8D7E11; ref_click=x",
        "\u{e9}=\u{e9}",
    ];
    for cookie in cookies {
        for path in [format!("/r/{code}"), format!("/pixel.gif?ref={code}")] {
            let mut browser = Browser::default();
            let answer =
                api.visit_as(&path, &mut browser, &[("user-agent", "Firefox/140.0"), ("cookie", cookie)]).await;
            assert_eq!(answer.cookie("ref"), Some(code.clone()), "{path} {}", &cookie[..cookie.len().min(60)]);
        }
    }
    for agent in [long.as_str(), "\u{fffd}", "() { :; }; echo", "<script>", "\"'`;--"] {
        let answer = api.visit_as(&format!("/r/{code}"), &mut Browser::default(), &[("user-agent", agent)]).await;
        assert_eq!(answer.status.as_u16(), 302);
    }
    let bytes = Request::get(format!("/r/{code}"))
        .header(header::USER_AGENT, b"\xff\xfe".as_slice())
        .header(header::COOKIE, b"ref=\xff".as_slice());
    assert_eq!(api.send(bytes.body(Body::empty()).unwrap()).await.status.as_u16(), 302);
    // Addresses that are none, or huge: the home page, or a plain no.
    let huge = format!("/r/{code}?{}", (0..5_000).map(|n| format!("k{n}=v&")).collect::<String>());
    for path in [
        huge,
        format!("/r/{long}"),
        format!("/r/{code}?to=%ff%fe"),
        "/r/%ff".into(),
        "/r/%00".into(),
        "/r/".into(),
        format!("/r/{code}/x"),
        "/pixel.gif".into(),
        "/pixel.gif?ref=%ff&ref=2".into(),
        format!("/pixel.gif?ref={long}"),
        "/r/%2e%2e%2f".into(),
    ] {
        let answer = api.visit(&path, &mut Browser::default()).await;
        let status = answer.status.as_u16();
        assert!(matches!(status, 200 | 302 | 404), "{status} {}", &path[..path.len().min(60)]);
        if status == 302 {
            assert!(answer.location().starts_with("https://aikit.example/"), "{}", answer.location());
        }
    }
}

#[tokio::test]
async fn malformed_bodies_are_told_what_is_wrong() {
    let api = Api::new();
    let code = api.join("halcyon.example").await;
    let key = api.server_key().await;
    let form = json!({"customer_id": "client", "email": "it@client.example", "partner_code": code});
    let referral = api.post(&key, "/v1/signups", form).await.ok()["referral_id"].as_str().unwrap().to_owned();
    let (owner, staff) = (api.sign_in("owner@halcyon.example").await, api.colleague(Role::Staff).await);
    let endpoints = [
        (&key, "/v1/signups".to_owned()),
        (&owner, "/v1/links".into()),
        (&owner, format!("/v1/links/{UUID}")),
        (&owner, "/v1/slug".into()),
        (&staff, format!("/v1/partners/{code}/suspend")),
        (&staff, format!("/v1/partners/{code}/reinstate")),
        (&staff, format!("/v1/partners/{code}/adjustments")),
        (&staff, format!("/v1/partners/{code}/promotion-codes")),
        (&staff, format!("/v1/reviews/{referral}/clear")),
        (&staff, format!("/v1/reviews/{referral}/reject")),
        (&staff, format!("/v1/referrals/{referral}/move")),
        (&staff, "/v1/credits".into()),
    ];
    let before = api.rows("SELECT (SELECT count(*) FROM fact) AS facts, (SELECT count(*) FROM audit) AS entries").await;
    let deep = "[".repeat(10_000);
    for (token, path) in &endpoints {
        let bodies = [
            "",
            "{",
            "null",
            "[]",
            "\"x\"",
            "1e999",
            "{\"reason\": 1}",
            "{\"reason\": null, \"id\": {}}",
            "\u{feff}{}",
            &deep,
            "{\"reason\":\"\\ud800\"}",
            "{\"amount_minor\": 1.5, \"id\": \"x\", \"reason\": \"\"}",
            "{\"amount_minor\": 99999999999999999999, \"id\": \"x\", \"reason\": \"\"}",
            "{\"slug\": 5, \"campaign\": [], \"customer_id\": true}",
        ];
        for body in bodies {
            let answer = api.raw(Method::POST, token, path, body.into()).await;
            let (status, code) = answer.refused();
            // What says nothing at all is not wrong where every field may be absent: then the link is not there.
            let absent = path.starts_with("/v1/links/") && status == 404;
            assert!(absent || (status, code.as_str()) == (400, "invalid"), "{path} {body}: {status} {code}");
        }
        let large = format!("{{\"reason\": \"{}\"}}", "x".repeat(300_000));
        assert_eq!(api.raw(Method::POST, token, path, large).await.refused().0, 400, "{path}");
        let untyped = Request::post(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        assert_eq!(api.send(untyped.body(Body::from("{}")).unwrap()).await.refused().0, 400, "{path}");
    }
    for query in [
        "/v1/partners?suspended=perhaps",
        "/v1/reviews?decided=2",
        "/v1/audit?before=x",
        "/v1/audit?before=99999999999999999999",
    ] {
        assert_eq!(api.get(&staff, query).await.refused(), (400, "invalid".into()), "{query}");
    }
    assert_eq!(api.get(&owner, "/v1/links?archived=x").await.refused(), (400, "invalid".into()));
    let after = api.rows("SELECT (SELECT count(*) FROM fact) AS facts, (SELECT count(*) FROM audit) AS entries").await;
    assert_eq!(before, after, "nothing of it was recorded");
}

#[tokio::test]
async fn sql_and_html_are_text_in_every_field() {
    let api = Api::new();
    let code = api.join("halcyon.example").await;
    let key = api.server_key().await;
    for (n, nasty) in NASTY.into_iter().enumerate() {
        let owner = api.sign_in("owner@halcyon.example").await;
        let staff = api.colleague(Role::Staff).await;
        // As a name of something, it is the name of nothing.
        let segment = escaped(nasty);
        for path in
            [format!("/v1/partners/{segment}"), format!("/v1/reviews/{segment}"), format!("/v1/clients/{segment}")]
        {
            let token = if path.starts_with("/v1/clients") { &owner } else { &staff };
            assert_eq!(api.get(token, &path).await.refused(), (404, "not_found".into()), "{path}");
        }
        for path in ["partners/X/suspend", "reviews/X/clear", "referrals/X/move", "partners/X/adjustments"] {
            let body = json!({"reason": nasty, "partner": nasty, "id": UUID, "amount_minor": 1});
            let path = format!("/v1/{}", path.replace('X', &segment));
            assert_eq!(api.post(&staff, &path, body).await.refused(), (404, "not_found".into()), "{path}");
        }
        for query in ["partners?q", "audit?subject"] {
            let found = api.get(&staff, &format!("/v1/{query}={segment}")).await.ok();
            assert!(
                found["partners"].as_array().or(found["entries"].as_array()).unwrap().is_empty(),
                "{query} {nasty}"
            );
        }
        assert_eq!(api.get(&staff, &format!("/v1/reviews?partner={segment}")).await.ok(), json!([]), "{nasty}");
        // As what somebody says, it is kept and given back as it was said.
        let id = format!("0197b3c2-7b60-7c3e-9a54-{n:012x}");
        let link = json!({"id": id, "campaign": nasty, "path": "/", "utm": {"source": nasty, "term": nasty}});
        let made = api.post(&owner, "/v1/links", link).await.ok();
        assert_eq!((made["campaign"].as_str(), made["utm"]["term"].as_str()), (Some(nasty), Some(nasty)));
        let form = json!({"customer_id": nasty, "email": "it@client.example", "ref": nasty, "partner_code": nasty, "click_id": nasty,
            "stripe_customer_id": nasty});
        let signed_up = api.post(&key, "/v1/signups", form.clone()).await.ok();
        assert_eq!(
            (signed_up["referral_id"].clone(), api.post(&key, "/v1/signups", form).await.ok()),
            (Value::Null, signed_up)
        );
        let credit = json!({"customer_id": nasty, "partner": code, "reason": nasty});
        let review = api.post(&staff, "/v1/credits", credit).await.ok();
        assert_eq!(review["touches"][0]["given"], nasty);
        let adjustment = json!({"id": id, "amount_minor": 1, "reason": nasty});
        api.post(&staff, &format!("/v1/partners/{code}/adjustments"), adjustment).await.ok();
        let bad = json!({"id": nasty, "code": nasty});
        assert_eq!(api.post(&staff, &format!("/v1/partners/{code}/promotion-codes"), bad).await.refused().0, 400);
        assert_eq!(api.post(&owner, "/v1/slug", json!({"slug": nasty})).await.refused().0, 400, "{nasty}");
        let entry = &api.get(&staff, "/v1/audit").await.ok()["entries"][0];
        assert_eq!(entry["reason"], nasty);
        api.wait(TimeDelta::seconds(1));
    }
    let told =
        api.rows("SELECT (SELECT count(*) FROM partner) AS partners, (SELECT count(*) FROM link) AS links").await;
    assert_eq!(told, json!([{"partners": 1, "links": NASTY.len()}]));
    referral::verify_audit(&api.app, None).await.unwrap();
}
