//! `/openapi.json`.

use axum::http::StatusCode;
use serde_json::Value;

use crate::common::World;

/// What the API says of itself.
pub(crate) async fn document(world: &World) -> Value {
    let (status, body) = world.call("GET", "/openapi.json", "", Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    body
}

#[tokio::test]
async fn the_document_in_docs_is_what_the_api_serves() {
    let world = World::with(|config| config.demo = false);
    let served = serde_json::to_string_pretty(&document(&world).await).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &served).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == served, "docs/openapi.json is stale: run ./dev gen");
}

#[tokio::test]
async fn every_operation_says_what_it_does_and_what_it_answers() {
    let document = document(&World::new()).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.keys().any(|status| status.starts_with('2') || status.starts_with('3')), "{name}");
        }
    }
    // Every schema that is named is there.
    let text = document.to_string();
    for name in text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}
