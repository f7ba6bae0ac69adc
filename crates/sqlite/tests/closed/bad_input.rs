//! Every operation with everything that a body can be and should not: it is refused in words, and nothing is done.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::document::document;
use crate::matrix::{may, operations};
use crate::town::{CALLERS, Town};

/// What stands in the place of any value.
fn hostile() -> Vec<Value> {
    let text = |text: &str| Value::String(text.to_owned());
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(i64::MAX),
        json!(u64::MAX),
        serde_json::from_str("1e300").unwrap(),
        json!(0.5),
        json!([]),
        json!({}),
        json!([[[[[[[[1]]]]]]]]),
        text(""),
        text("NaN"),
        text("' OR 1=1; DROP TABLE partner; --"),
        text("<script>alert(1)</script>\"'"),
        text("//evil.example/%2e%2e\\@evil.example"),
        text("https://evil.example@aikit.example.evil.example/"),
        text("a\u{0}b\r\nSet-Cookie: x=y\u{202e}"),
        Value::String("ü€😀".repeat(20_000)),
    ]
}

/// Bodies that are not what the operation takes.
fn broken(good: &Value) -> Vec<String> {
    let mut all: Vec<String> =
        ["", "{", "null", "[]", "\"text\"", "NaN", "{\"a\":1,}", "\u{feff}{}", "{\"reason\":1e999}"]
            .map(String::from)
            .into();
    all.push("[".repeat(20_000));
    let fields: Vec<String> = good.as_object().unwrap_or(&Map::new()).keys().cloned().collect();
    for field in &fields {
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove(field);
        all.push(less.to_string());
        for value in hostile() {
            let mut other = good.clone();
            other[field] = value;
            all.push(other.to_string());
        }
    }
    // The same field twice.
    if let Some(field) = fields.first() {
        all.push(good.to_string().replacen('{', &format!("{{\"{field}\":0,"), 1));
    }
    all
}

/// Looks at one answer. What a hostile text may do is be kept as a text; then it comes back as JSON.
fn decent(about: &str, status: StatusCode, kind: &str, body: &str) {
    assert!(status.as_u16() < 500 || status == StatusCode::SERVICE_UNAVAILABLE, "{about}: {status} {body}");
    assert!(!body.contains("evil.example/") || kind.starts_with("application/json"), "{about}: {body}");
    if status.is_client_error() && !kind.starts_with("text/html") {
        let refusal: wire::ErrorBody =
            serde_json::from_str(body).unwrap_or_else(|e| panic!("{about}: {status} {e}: {body}"));
        assert!((10..=1_002).contains(&refusal.message.chars().count()), "{about}: {}", refusal.message);
    }
}

async fn sweep(part: usize) {
    let first = Town::new().await;
    let all = operations(&document(&first.world).await);
    for (name, operation) in all.iter().filter(|(name, _)| name.starts_with("POST")).skip(part).step_by(4) {
        let town = Town::new().await;
        let path =
            town.path(name.split_once(' ').unwrap().1, "own").unwrap_or_else(|| name[5..].replace(['{', '}'], ""));
        let caller = CALLERS.into_iter().rev().find(|caller| may(operation, caller)).unwrap();
        let mut bodies = broken(&town.body(name));
        bodies.push("x".repeat(referral::BODY_LIMIT + 1));
        for body in bodies {
            let shown: String = body.chars().take(200).collect();
            let request = Request::post(&path).header(header::CONTENT_TYPE, "application/json");
            let (status, head, answer) = town.send(caller, request.body(Body::from(body)).unwrap()).await;
            let kind = head.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            decent(&format!("{caller}: {name}: {shown}"), status, kind, &answer);
        }
    }
}

#[tokio::test]
async fn every_operation_survives_every_body_1() {
    sweep(0).await;
}

#[tokio::test]
async fn every_operation_survives_every_body_2() {
    sweep(1).await;
}

#[tokio::test]
async fn every_operation_survives_every_body_3() {
    sweep(2).await;
}

#[tokio::test]
async fn every_operation_survives_every_body_4() {
    sweep(3).await;
}

#[tokio::test]
async fn every_operation_survives_queries_paths_and_headers() {
    let town = Town::new().await;
    let hostile: Vec<String> =
        hostile().iter().filter_map(Value::as_str).map(percent).filter(|t| t.len() < 4_000).collect();
    for (name, operation) in operations(&document(&town.world).await) {
        let (method, template) = name.split_once(' ').unwrap();
        let caller = CALLERS.into_iter().rev().find(|caller| may(&operation, caller)).unwrap();
        let names: Vec<&str> =
            operation["parameters"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
        for text in &hostile {
            let mut path = template.to_owned();
            for part in &names {
                path = path.replace(&format!("{{{part}}}"), if text.is_empty() { "%20" } else { text });
            }
            let query: Vec<String> =
                names.iter().chain(&["cursor", "to", "ref"]).map(|part| format!("{part}={text}")).collect();
            let body = if method == "GET" { String::new() } else { town.body(&name).to_string() };
            let request = Request::builder()
                .method(method)
                .uri(format!("{path}?{}", query.join("&")))
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::COOKIE, format!("ref={text}; ref_click={text}; refresh={text}"))
                .header(header::USER_AGENT, text.as_str())
                .header("x-forwarded-for", text.as_str());
            let (status, head, answer) = town.send(caller, request.body(Body::from(body)).unwrap()).await;
            let kind = head.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
            decent(&format!("{caller}: {name}: {text}"), status, kind, &answer);
            // Nobody is led anywhere but to our own sites.
            if let Some(to) = head.get(header::LOCATION) {
                let to = url::Url::parse(to.to_str().unwrap()).unwrap();
                assert_eq!(to.host_str(), Some("aikit.example"), "{name}: {text}");
            }
            for cookie in head.get_all(header::SET_COOKIE) {
                assert!(!cookie.to_str().unwrap().contains("x=y"), "{name}: {text}");
            }
        }
    }
    let left = town.world.rows("SELECT count(*) AS n FROM partner").await;
    assert_eq!(left[0]["n"], 3, "nothing was dropped, and one joined with a good body");
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
