//! Files: sent in parts, checked as a whole, taken away as they came.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{House, uuid};

const PART: usize = 150_000;

/// What is sent of a file, part by part.
fn parts(upload: usize, version: u32, name: &str, bytes: &[u8]) -> Vec<Value> {
    let sha256 = hex::encode(Sha256::digest(bytes));
    let part = |(n, chunk): (usize, &[u8])| {
        json!({"upload": uuid(upload), "version": version, "name": name, "bytes": bytes.len(), "sha256": sha256, "part": n,
            "data": STANDARD.encode(chunk)})
    };
    bytes.chunks(PART).enumerate().map(part).collect()
}

/// A PDF by its first bytes, of a length.
fn pdf(length: usize, fill: u8) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    bytes.resize(length, fill);
    bytes
}

impl House {
    async fn sent(&self, n: usize, parts: &[Value]) -> Value {
        let mut answer = Value::Null;
        for part in parts {
            answer = self.done(&format!("/{}/file", uuid(n)), part.clone()).await;
        }
        answer
    }

    async fn fetch(&self, who: &str, n: usize) -> (StatusCode, String, String, Vec<u8>) {
        let request = Request::get(format!("/v1/resources/{}/file", uuid(n)))
            .header(header::AUTHORIZATION, format!("Bearer {who}"));
        let (head, body) = self.world.answer(request.body(Body::empty()).unwrap()).await.into_parts();
        let text = |name| head.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        if head.status == StatusCode::OK {
            assert_eq!(text(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        }
        let kind = text(header::CONTENT_TYPE);
        (head.status, kind, text(header::CONTENT_DISPOSITION), body.collect().await.unwrap().to_bytes().to_vec())
    }

    async fn kept(&self) -> usize {
        self.world.rows("SELECT part FROM resource_part").await.len()
    }
}

#[tokio::test]
async fn the_largest_file_comes_back_as_it_was_sent() {
    let house = House::new().await;
    house.write(0, "Slides").await;
    let whole = pdf(1_500_000, b'x');
    let sent = parts(10, 1, "Folien für Kunden.pdf", &whole);
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|part| part.to_string().len() < referral::BODY_LIMIT));
    let half = house.sent(0, &sent[..9]).await;
    assert_eq!((&half["file"], &half["version"]), (&Value::Null, &json!(1)));
    let there = house.sent(0, &sent[9..]).await;
    let file = json!({"name": "Folien für Kunden.pdf", "mime": "application/pdf", "bytes": 1_500_000});
    assert_eq!((&there["file"], &there["version"]), (&file, &json!(2)));
    // The answer to the last part was lost: it is sent again, and nothing is done twice.
    assert_eq!(house.sent(0, &sent[9..]).await, there);
    assert_eq!(house.decisions().await, ["resource.created", "resource.file_added"]);

    // Whoever keeps them has it before agencies do.
    assert_eq!(house.fetch(&house.owner, 0).await.0, StatusCode::NOT_FOUND);
    assert_eq!(house.fetch(&house.admin, 0).await.0, StatusCode::OK);
    let finance = house.world.session("finance@aikit.example").await;
    assert_eq!(house.fetch(&finance, 0).await.0, StatusCode::FORBIDDEN);
    house.publish(0, 2, true).await;
    let (status, kind, disposition, bytes) = house.fetch(&house.owner, 0).await;
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/pdf"));
    assert_eq!(disposition, "attachment; filename=\"Folien-f-r-Kunden.pdf\"");
    assert!(bytes == whole);
    // Lists stay light.
    let (_, list) = house.world.call("GET", "/v1/resources", &house.owner, Value::Null).await;
    assert!(list.to_string().len() < 1_000);
}

#[tokio::test]
async fn another_file_takes_its_place_and_leaves_nothing_behind() {
    let house = House::new().await;
    house.write(0, "Slides").await;
    house.sent(0, &parts(10, 1, "a.pdf", &pdf(400_000, b'a'))).await;
    assert_eq!(house.kept().await, 3);
    // One that does not end, and one that takes its place; meanwhile the old one is served.
    house.sent(0, &parts(11, 2, "b.pdf", &pdf(400_000, b'b'))[..2]).await;
    assert_eq!(house.fetch(&house.staff, 0).await.3, pdf(400_000, b'a'));
    let third = parts(12, 2, "c.txt", b"short");
    assert_eq!(house.sent(0, &third).await["file"]["mime"], "text/plain; charset=utf-8");
    assert_eq!(house.kept().await, 1);
    assert_eq!(house.fetch(&house.staff, 0).await.3, b"short");
    // What was begun before is over.
    let late = &parts(11, 2, "b.pdf", &pdf(400_000, b'b'))[2];
    assert_eq!(house.refused(&format!("/{}/file", uuid(0)), late.clone()).await.0, "changed");
    house.done(&format!("/{}/file/remove", uuid(0)), json!({"version": 3})).await;
    assert_eq!((house.kept().await, house.fetch(&house.staff, 0).await.0), (0, StatusCode::NOT_FOUND));
    // A file goes with its resource.
    house.sent(0, &parts(13, 4, "d.txt", b"short")).await;
    house.done(&format!("/{}/delete", uuid(0)), json!({"version": 5})).await;
    assert_eq!(house.kept().await, 0);
}

#[tokio::test]
async fn parts_come_in_order_and_are_written_once() {
    let house = House::new().await;
    house.write(0, "Slides").await;
    let path = format!("/{}/file", uuid(0));
    let sent = parts(10, 1, "a.pdf", &pdf(300_001, b'a'));
    assert_eq!(house.refused(&path, sent[1].clone()).await.0, "changed", "there is no part 0");
    house.sent(0, &sent[..1]).await;
    house.sent(0, &sent[..1]).await;
    assert_eq!(house.refused(&path, sent[2].clone()).await.0, "changed", "there is no part 1");
    let other = parts(10, 1, "a.pdf", &pdf(300_001, b'b'));
    assert_eq!(house.refused(&path, other[0].clone()).await.0, "changed", "it is another part 0");
    house.sent(0, &sent[1..]).await;
    assert_eq!(house.fetch(&house.staff, 0).await.3, pdf(300_001, b'a'));
    // Somebody changed the resource while the file was on its way.
    let stale = parts(11, 1, "a.pdf", &pdf(10, b'a'));
    assert_eq!(house.refused(&path, stale[0].clone()).await.0, "changed");
    assert_eq!(house.refused(&format!("/{}/file", uuid(7)), stale[0].clone()).await.0, "not_found");
}

#[tokio::test]
async fn what_is_not_the_file_that_was_announced_is_forgotten() {
    let house = House::new().await;
    house.write(0, "Slides").await;
    let path = format!("/{}/file", uuid(0));
    let mut sent = parts(10, 1, "a.pdf", &pdf(200_000, b'a'));
    sent[1]["data"] = json!(STANDARD.encode(vec![b'b'; 50_000]));
    house.sent(0, &sent[..1]).await;
    let (code, message) = house.refused(&path, sent[1].clone()).await;
    assert_eq!(code, "invalid");
    assert!(message.contains("did not arrive as it was sent"), "{message}");
    assert_eq!(house.kept().await, 0);
    // A name that says something else than the bytes.
    for (name, bytes) in [
        ("page.pdf", &b"<html><script>alert(1)</script>"[..]),
        ("page.png", b"<svg onload=alert(1)>"),
        ("tool.txt", b"MZ\x90\x00"),
        ("table.xlsx", b"a,b,c"),
    ] {
        let (code, message) = house.refused(&path, parts(10, 1, name, bytes)[0].clone()).await;
        assert_eq!(code, "invalid");
        assert!(message.contains(name), "{message}");
        assert_eq!(house.kept().await, 0, "{name}");
    }
    house.sent(0, &parts(10, 1, "a.pdf", &pdf(200_000, b'a'))).await;
}

#[tokio::test]
async fn hostile_files_are_refused_before_anything_is_kept() {
    let house = House::new().await;
    house.write(0, "Slides").await;
    let path = format!("/{}/file", uuid(0));
    let good = parts(10, 1, "a.txt", b"x")[0].clone();
    for name in [
        "",
        "logo.svg",
        "page.html",
        "app.exe",
        "../a.txt",
        "a\\b.txt",
        ".txt",
        "a.txt\r\nX: y.txt",
        "\u{202e}txt.exe.txt",
    ] {
        let mut bad = good.clone();
        bad["name"] = json!(name);
        assert_eq!(house.refused(&path, bad).await.0, "invalid", "{name:?}");
    }
    for (field, value) in [
        ("bytes", json!(1_500_001)),
        ("bytes", json!(0)),
        ("bytes", json!(2)),
        ("part", json!(1)),
        ("part", json!(u32::MAX)),
        ("upload", json!("x")),
        ("sha256", json!("x")),
        ("data", json!("")),
        ("data", json!("not base64")),
        ("data", json!("eHg=")),
        // The same bytes, written in another way.
        ("data", json!("eB==")),
    ] {
        let mut bad = good.clone();
        bad[field] = value.clone();
        assert_eq!(house.refused(&path, bad).await.0, "invalid", "{field}: {value}");
    }
    let mut long = good;
    long["data"] = json!("x".repeat(referral::BODY_LIMIT));
    assert_eq!(house.post(&path, long).await.0, StatusCode::BAD_REQUEST);
    assert_eq!((house.kept().await, house.decisions().await.len()), (0, 1));
}
