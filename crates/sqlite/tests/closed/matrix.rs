//! Every operation × every caller × every kind of id. The operations are those of `/openapi.json`: one that is new changes the
//! table, and the test fails until somebody has looked at its row (`UPDATE=1` writes the table anew).

use std::fmt::Write as _;

use axum::http::StatusCode;
use serde_json::Value;

use crate::document::document;
use crate::town::{CALLERS, IDS, Town};

/// `GET /v1/links/{link}` and what the document says of it.
pub(crate) fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((format!("{} {path}", method.to_uppercase()), operation.clone()));
        }
    }
    all
}

/// Whether the document lets a caller in.
pub(crate) fn may(operation: &Value, caller: &str) -> bool {
    let access = &operation["x-access"];
    match caller {
        _ if access.is_null() => true,
        "server" | "executor" => access["key"] == caller,
        role => access["roles"].as_array().is_some_and(|roles| roles.iter().any(|r| r == role)),
    }
}

#[tokio::test]
async fn every_operation_lets_in_whom_the_table_says() {
    let first = Town::new().await;
    let all = operations(&document(&first.world).await);
    let mut table = format!("{:<52} {:<9}", "operation", "id");
    for caller in CALLERS {
        let _ = write!(table, " {caller:>8}");
    }
    table.push('\n');
    for (name, operation) in &all {
        // What one caller does may change what the next one finds; no operation finds what another has done.
        let town = Town::new().await;
        let (method, template) = name.split_once(' ').unwrap();
        let kinds: &[&str] = if template.contains('{') { &IDS } else { &["–"] };
        for kind in kinds {
            let Some(path) = town.path(template, kind) else { continue };
            let _ = write!(table, "{name:<52} {kind:<9}");
            // Those who may not come first: what they are answered must not be due to what the others did.
            let mut order = CALLERS;
            order.sort_by_key(|caller| may(operation, caller));
            let mut answers = [0; CALLERS.len()];
            for caller in order {
                let (status, _, body) = town.ask(caller, method, &path, &town.body(name)).await;
                answers[CALLERS.iter().position(|c| *c == caller).unwrap()] = status.as_u16();
                let about = format!("{caller}: {name} ({kind}): {status} {body}");
                let out = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
                // The document says who is let in. What proves itself in another way refuses those who do not.
                let proves_itself = name.contains("/v1/auth/") || name.ends_with("/claims");
                assert!(may(operation, caller) != out || proves_itself, "{about}");
                assert!(status.as_u16() < 500 || status == StatusCode::SERVICE_UNAVAILABLE, "{about}");
                assert!(!out || serde_json::from_str::<wire::ErrorBody>(&body).is_ok(), "{about}");
            }
            for status in answers {
                let _ = write!(table, " {status:>8}");
            }
            table.push('\n');
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/closed/matrix.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap_or_default();
    let (old, new): (Vec<&str>, Vec<&str>) = (known.lines().collect(), table.lines().collect());
    let changed: Vec<&&str> = new.iter().filter(|line| !old.contains(line)).collect();
    let gone: Vec<&&str> = old.iter().filter(|line| !new.contains(line)).collect();
    assert!(
        known == table,
        "the table has not these rows:\n{changed:#?}\nand still these:\n{gone:#?}\nLook at them, then UPDATE=1"
    );
}

#[tokio::test]
async fn what_is_another_agencys_does_not_exist() {
    let town = Town::new().await;
    for (name, _) in operations(&document(&town.world).await) {
        let (method, template) = name.split_once(' ').unwrap();
        let (Some(foreign), Some(missing)) = (town.path(template, "foreign"), town.path(template, "missing")) else {
            continue;
        };
        // The two that are about agencies as such, for everybody.
        if !template.contains('{') || template == "/r/{code}" {
            continue;
        }
        for caller in ["stranger", "owner", "member"] {
            let (status, head, body) = town.ask(caller, method, &foreign, &town.body(&name)).await;
            let other = town.ask(caller, method, &missing, &town.body(&name)).await;
            assert!(status.is_client_error(), "{caller}: {name}: {status} {body}");
            assert_eq!((status, head, body), other, "{caller}: {name}");
        }
    }
}
