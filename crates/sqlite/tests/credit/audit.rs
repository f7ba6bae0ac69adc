//! The chain of decisions.

use futures::future::join_all;
use referral::{Actor, AuditError, issue_key, verify_audit};
use wire::{AuditHead, Role};

use crate::api::Api;

#[tokio::test]
async fn decisions_at_once_make_one_chain_and_none_is_lost() {
    let api = Api::new();
    let keys = (0..64).map(|_| issue_key(&api.app, &Actor::Operator, wire::KeyKind::Server, "at once"));
    let issued: Vec<String> = join_all(keys).await.into_iter().map(|key| key.unwrap().secret).collect();
    let head = verify_audit(&api.app, None).await.unwrap();
    assert_eq!(head.n, issued.len() as i64);
    let twice = "SELECT count(*) AS n FROM (SELECT subject FROM audit GROUP BY subject HAVING count(*) > 1)";
    assert_eq!(api.rows(twice).await[0]["n"], 0);
    // What is refused leaves no entry.
    let taken = referral::add_person(&api.app, &Actor::Operator, "a@aikit.example", Role::Auditor);
    taken.await.unwrap();
    referral::add_person(&api.app, &Actor::Operator, "a@aikit.example", Role::Admin).await.unwrap_err();
    assert_eq!(verify_audit(&api.app, None).await.unwrap().n, head.n + 1);
}

#[tokio::test]
async fn whoever_may_write_to_the_database_is_found_out() {
    let api = Api::new();
    for _ in 0..5 {
        issue_key(&api.app, &Actor::Operator, wire::KeyKind::Server, "x").await.unwrap();
    }
    let kept = verify_audit(&api.app, None).await.unwrap();
    let run = async |sql: &'static str| api.db.query(referral::sql!(sql)).await;
    for refused in ["UPDATE audit SET reason = 'x' WHERE n = 3", "DELETE FROM audit WHERE n = 5"] {
        run(refused).await.unwrap_err();
    }
    run("DROP TRIGGER audit_is_not_changed").await.unwrap();
    run("DROP TRIGGER audit_is_not_shortened").await.unwrap();
    run("DELETE FROM audit WHERE n = 5").await.unwrap();
    assert_eq!(verify_audit(&api.app, None).await.unwrap().n, 4, "a shorter chain is a chain");
    assert_eq!(verify_audit(&api.app, Some(&kept)).await, Err(AuditError::Missing(5)), "but not the one that was kept");
    issue_key(&api.app, &Actor::Operator, wire::KeyKind::Server, "another").await.unwrap();
    assert!(matches!(verify_audit(&api.app, Some(&kept)).await, Err(AuditError::OtherHead { n: 5, .. })));
    run("UPDATE audit SET reason = 'x' WHERE n = 3").await.unwrap();
    let broken = verify_audit(&api.app, None).await.unwrap_err();
    assert_eq!(broken, AuditError::Altered(3));
    assert!(broken.to_string().contains("entry 3"));
    run("DELETE FROM audit WHERE n = 2").await.unwrap();
    assert_eq!(verify_audit(&api.app, None).await, Err(AuditError::Missing(2)));
}

#[tokio::test]
async fn the_chain_is_read_by_aikits_own_people_page_by_page() {
    let api = Api::new();
    let auditor = api.colleague(Role::Auditor).await;
    for _ in 0..120 {
        issue_key(&api.app, &Actor::Operator, wire::KeyKind::Server, "x").await.unwrap();
    }
    let first = api.get(&auditor, "/v1/audit").await.ok();
    let numbers = |page: &serde_json::Value| -> Vec<i64> {
        page["entries"].as_array().unwrap().iter().map(|e| e["n"].as_i64().unwrap()).collect()
    };
    assert_eq!(numbers(&first), (22..=121).rev().collect::<Vec<_>>());
    let head: AuditHead = serde_json::from_value(first["head"].clone()).unwrap();
    assert_eq!(head, verify_audit(&api.app, None).await.unwrap());
    let second = api.get(&auditor, &format!("/v1/audit?before={}", first["next"])).await.ok();
    assert_eq!(numbers(&second), (1..=21).rev().collect::<Vec<_>>());
    assert!(second["next"].is_null());
    let one = second["entries"].as_array().unwrap().last().unwrap();
    assert_eq!((one["action"].as_str(), one["after"]["role"].as_str()), (Some("person.added"), Some("auditor")));
    let about = api.get(&auditor, &format!("/v1/audit?subject={}", one["subject"].as_str().unwrap())).await.ok();
    assert_eq!(numbers(&about), [1]);
    api.join("halcyon.example").await;
    let owner = api.sign_in("owner@halcyon.example").await;
    assert_eq!(api.get(&owner, "/v1/audit").await.refused(), (403, "forbidden".into()));
    assert_eq!(api.get("", "/v1/audit").await.refused().0, 401);
}
