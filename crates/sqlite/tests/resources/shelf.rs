//! Writing, changing, publishing and ordering.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{House, uuid};

#[tokio::test]
async fn agencies_see_what_is_published_in_the_order_that_was_chosen() {
    let house = House::new().await;
    for (n, title) in ["first", "second", "third"].into_iter().enumerate() {
        house.write(n, title).await;
    }
    assert_eq!(house.seen().await, [] as [&str; 0]);
    assert_eq!(house.titles(&house.staff, "/v1/resources/all").await, ["first", "second", "third"]);
    house.publish(0, 1, true).await;
    let third = house.publish(2, 1, true).await;
    assert_eq!(third["version"], 2);
    assert_eq!(house.seen().await, ["first", "third"]);
    // A version of its own is not changed by the order, so that whoever edits one of them can go on.
    let all = house.done("/order", json!({"order": [uuid(2), uuid(1), uuid(0)]})).await;
    assert_eq!((&all[0]["title"], &all[0]["version"]), (&json!("third"), &json!(2)));
    assert_eq!(house.seen().await, ["third", "first"]);
    assert_eq!(house.titles(&house.admin, "/v1/resources/all").await, ["third", "second", "first"]);
    // A new one comes last.
    house.write(3, "fourth").await;
    house.publish(3, 1, true).await;
    house.publish(2, 2, false).await;
    assert_eq!(house.seen().await, ["first", "fourth"]);
    let left = house.done(&format!("/{}/delete", uuid(0)), json!({"version": 2})).await;
    assert_eq!(left.as_array().unwrap().len(), 3);
    assert_eq!(house.seen().await, ["fourth"]);
    let decisions = house.decisions().await;
    assert_eq!(
        decisions[..6],
        [
            "resource.created",
            "resource.created",
            "resource.created",
            "resource.published",
            "resource.published",
            "resources.ordered"
        ]
    );
    assert_eq!(decisions[6..], ["resource.created", "resource.published", "resource.unpublished", "resource.deleted"]);
    referral::verify_audit(&house.world.app, None).await.unwrap();
}

#[tokio::test]
async fn an_order_names_every_resource_once() {
    let house = House::new().await;
    for n in 0..3 {
        house.write(n, &format!("No. {n}")).await;
    }
    let order = async |ids: Vec<String>| house.refused("/order", json!({ "order": ids })).await.0;
    assert_eq!(order(vec![uuid(0), uuid(1)]).await, "changed");
    assert_eq!(order(vec![uuid(0), uuid(1), uuid(2), uuid(3)]).await, "changed");
    assert_eq!(order(vec![uuid(0), uuid(1), uuid(1)]).await, "invalid");
    assert_eq!(order(vec![uuid(0), uuid(1), uuid(2), uuid(2)]).await, "invalid");
    assert_eq!(order(vec![uuid(0), uuid(1), "x' OR 1=1 --".into()]).await, "invalid");
    assert_eq!(house.titles(&house.staff, "/v1/resources/all").await, ["No. 0", "No. 1", "No. 2"]);
    // The order as it is decides nothing.
    house.done("/order", json!({"order": [uuid(0), uuid(1), uuid(2)]})).await;
    assert_eq!(house.decisions().await.len(), 3);
}

#[tokio::test]
async fn a_change_of_what_somebody_else_changed_is_refused() {
    let house = House::new().await;
    house.write(0, "A case").await;
    let path = format!("/{}", uuid(0));
    let change = |version: u32, title: &str| json!({"version": version, "kind": "case_study", "title": title, "text": "It went well."});
    assert_eq!(house.done(&path, change(1, "Another")).await["version"], 2);
    assert_eq!(house.refused(&path, change(1, "Mine")).await.0, "changed");
    for (end, body) in [
        ("/publish", json!({"version": 1, "published": true})),
        ("/delete", json!({"version": 1})),
        ("/file/remove", json!({"version": 1})),
    ] {
        assert_eq!(house.refused(&format!("{path}{end}"), body).await.0, "changed", "{end}");
    }
    assert_eq!(house.titles(&house.staff, "/v1/resources/all").await, ["Another"]);
    // Saying the same again is no change.
    assert_eq!(house.done(&path, change(2, "Another")).await["version"], 2);
    assert_eq!(house.decisions().await, ["resource.created", "resource.changed"]);
}

#[tokio::test]
async fn the_same_call_twice_writes_one_resource() {
    let house = House::new().await;
    let new = json!({"id": uuid(0), "kind": "material", "title": " Slides ", "text": "One\r\ntwo", "link": "https://aikit.example/slides"});
    let (status, made) = house.post("", new.clone()).await;
    assert_eq!((status, &made["title"], &made["text"]), (StatusCode::CREATED, &json!("Slides"), &json!("One\ntwo")));
    assert_eq!(house.post("", new.clone()).await, (StatusCode::OK, made));
    let mut other = new;
    other["title"] = json!("Other slides");
    assert_eq!(house.refused("", other).await.0, "conflict");
    assert_eq!(house.decisions().await, ["resource.created"]);
}

#[tokio::test]
async fn an_empty_resource_is_not_published_and_a_published_one_is_not_emptied() {
    let house = House::new().await;
    house.done("", json!({"id": uuid(0), "kind": "material", "title": "Nothing yet"})).await;
    let path = format!("/{}", uuid(0));
    let (code, message) = house.refused(&format!("{path}/publish"), json!({"version": 1, "published": true})).await;
    assert_eq!(code, "conflict");
    assert!(message.contains("add a file or a link"), "{message}");
    let with = |version: u32, text: &str| json!({"version": version, "kind": "material", "title": "Now", "text": text});
    house.done(&path, with(1, "Something")).await;
    house.publish(0, 2, true).await;
    assert_eq!(house.refused(&path, with(3, " \n ")).await.0, "conflict");
    assert_eq!(house.seen().await, ["Now"]);
}

#[tokio::test]
async fn what_is_too_long_or_hides_something_is_refused() {
    let house = House::new().await;
    let good = json!({"id": uuid(0), "kind": "material", "title": "T", "summary": "s", "text": "x", "link": null});
    for (field, value) in [
        ("id", json!("1")),
        ("kind", json!("secret")),
        ("title", json!("")),
        ("title", json!("x".repeat(121))),
        ("title", json!("one\ntwo")),
        ("title", json!("gpj.\u{202e}exe")),
        ("summary", json!("x".repeat(301))),
        ("text", json!("x".repeat(20_001))),
        ("text", json!("a\u{0}b")),
        ("link", json!("http://aikit.example")),
        ("link", json!("javascript:alert(1)")),
        ("link", json!("https://me:secret@aikit.example")),
        ("link", json!(format!("https://aikit.example/{}", "x".repeat(2_000)))),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert_eq!(house.refused("", bad).await.0, "invalid", "{field}");
    }
    let mut long = good;
    (long["title"], long["text"]) = (json!("ü".repeat(120)), json!("ü".repeat(20_000)));
    house.done("", long).await;
}

#[tokio::test]
async fn only_the_partner_team_changes_anything_and_nobody_else_sees_a_draft() {
    let house = House::new().await;
    house.write(0, "A draft").await;
    let finance = house.world.session("finance@aikit.example").await;
    let auditor = house.world.session("auditor@aikit.example").await;
    let acts = [
        ("", json!({"id": uuid(1), "kind": "material", "title": "T"})),
        ("/order", json!({"order": [uuid(0)]})),
        (&format!("/{}", uuid(0)), json!({"version": 1, "kind": "material", "title": "T"})),
        (&format!("/{}/publish", uuid(0)), json!({"version": 1, "published": true})),
        (&format!("/{}/delete", uuid(0)), json!({"version": 1})),
        (&format!("/{}/file/remove", uuid(0)), json!({"version": 1})),
    ];
    for who in [&house.owner, &house.admin, &finance, &auditor] {
        for (path, body) in &acts {
            let (status, answer) = house.world.call("POST", &format!("/v1/resources{path}"), who, body.clone()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {answer}");
        }
    }
    for who in [&house.owner, &finance, &auditor] {
        let (status, _) = house.world.call("GET", "/v1/resources/all", who, Value::Null).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    assert_eq!(house.decisions().await, ["resource.created"]);
}
