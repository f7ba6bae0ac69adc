//! What agencies work with: who keeps it, who sees it, in which order, and what a file may be.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[expect(dead_code, reason = "Not every test asks for all of it.")]
#[path = "../common/mod.rs"]
mod common;
mod files;
mod shelf;

use axum::http::StatusCode;
use referral::Actor;
use serde_json::{Value, json};
use wire::Role;

use common::World;

/// Somebody of each role.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) staff: String,
    pub(crate) admin: String,
    pub(crate) owner: String,
}

pub(crate) fn uuid(n: usize) -> String {
    format!("{n:08}-0000-4000-8000-000000000000")
}

impl House {
    pub(crate) async fn new() -> House {
        let world = World::new();
        for (name, role) in
            [("staff", Role::Staff), ("finance", Role::Finance), ("admin", Role::Admin), ("auditor", Role::Auditor)]
        {
            referral::add_person(&world.app, &Actor::Operator, &format!("{name}@aikit.example"), role).await.unwrap();
        }
        world.join("halcyon.example", "acct_1").await;
        let staff = world.session("staff@aikit.example").await;
        let admin = world.session("admin@aikit.example").await;
        let owner = world.session("owner@halcyon.example").await;
        House { world, staff, admin, owner }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.world.call("POST", &format!("/v1/resources{path}"), &self.staff, body).await
    }

    pub(crate) async fn done(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.post(path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// What is refused, and why.
    pub(crate) async fn refused(&self, path: &str, body: Value) -> (String, String) {
        let (status, answer) = self.post(path, body).await;
        assert!(status.is_client_error(), "{path}: {status} {answer}");
        (answer["code"].as_str().unwrap().into(), answer["message"].as_str().unwrap().into())
    }

    pub(crate) async fn write(&self, n: usize, title: &str) -> Value {
        self.done("", json!({"id": uuid(n), "kind": "case_study", "title": title, "text": "It went well."})).await
    }

    pub(crate) async fn publish(&self, n: usize, version: u32, published: bool) -> Value {
        self.done(&format!("/{}/publish", uuid(n)), json!({"version": version, "published": published})).await
    }

    /// Titles that somebody sees.
    pub(crate) async fn titles(&self, who: &str, path: &str) -> Vec<String> {
        let (status, answer) = self.world.call("GET", path, who, Value::Null).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer.as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn seen(&self) -> Vec<String> {
        self.titles(&self.owner, "/v1/resources").await
    }

    pub(crate) async fn decisions(&self) -> Vec<String> {
        let rows = "SELECT action FROM audit WHERE subject LIKE 'resource%' ORDER BY n";
        self.world.rows(rows).await.iter().map(|row| row["action"].as_str().unwrap().to_owned()).collect()
    }
}
