//! Who may do what about people and keys, and what is written down of it.

use chrono::TimeDelta;
use referral::{Actor, verify_audit};
use serde_json::{Value, json};
use wire::{KeyKind, Role};

use crate::api::{Api, text};

/// Everything about people and keys that changes something, for a person and a key that exist.
fn acts(person: &str, key: &str) -> Vec<(String, Value)> {
    vec![
        ("/v1/people".into(), json!({"email": "new@aikit.example", "role": "auditor"})),
        (format!("/v1/people/{person}/role"), json!({"role": "auditor"})),
        (format!("/v1/people/{person}/remove"), json!({})),
        ("/v1/keys".into(), json!({"kind": "server", "label": "x"})),
        (format!("/v1/keys/{key}/revoke"), json!({})),
    ]
}

#[tokio::test]
async fn an_admin_alone_changes_people_and_keys_and_only_freshly_proved() {
    let api = Api::new();
    api.join("northlight.example").await;
    let person = api.add("somebody@aikit.example", Role::Staff).await;
    let key = referral::issue_key(&api.app, &Actor::Operator, KeyKind::Server, "backend").await.unwrap();
    let owner = text(&api.sign_in("owner@northlight.example").await, "access_token");
    let mut others = vec![("owner", owner), ("nobody", String::new()), ("server key", key.secret.clone())];
    for role in [Role::Staff, Role::Finance, Role::Auditor] {
        others.push(("own", api.colleague(&format!("{role:?}@aikit.example").to_lowercase(), role).await));
    }
    let before = verify_audit(&api.app, None).await.unwrap();
    for (who, token) in &others {
        for (path, body) in acts(&person, &key.key.key) {
            let (status, code) = api.post(&path, body).bearer(token).send().await.refused();
            let signed_out = matches!(*who, "nobody" | "server key");
            let wanted = if signed_out { (401, "signed_out") } else { (403, "forbidden") };
            assert_eq!((status, code.as_str()), wanted, "{who} {path}");
        }
    }
    // An admin, six minutes after signing in.
    let admin = api.colleague("root@aikit.example", Role::Admin).await;
    api.wait(TimeDelta::minutes(6));
    for (path, body) in acts(&person, &key.key.key) {
        assert_eq!(api.post(&path, body).bearer(&admin).send().await.refused(), (403, "step_up".into()), "{path}");
    }
    assert_eq!(verify_audit(&api.app, None).await.unwrap().n, before.n + 1, "a refusal is no decision");
    // And at once: each act, its entry, and a chain that holds.
    let admin = text(&api.sign_in("root@aikit.example").await, "access_token");
    for (path, body) in acts(&person, &key.key.key) {
        let answer = api.post(&path, body).bearer(&admin).send().await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
    }
    verify_audit(&api.app, None).await.unwrap();
    let done = api.rows("SELECT action, subject FROM audit ORDER BY n DESC LIMIT 5").await;
    let actions: Vec<&str> = done.as_array().unwrap().iter().map(|r| r["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["key.revoked", "key.issued", "person.removed", "person.role_changed", "person.added"]);
    assert!(!done.to_string().contains('@'), "the chain holds ids and no addresses");
}

#[tokio::test]
async fn overseers_read_people_and_keys_and_see_no_secret() {
    let api = Api::new();
    let key = referral::issue_key(&api.app, &Actor::Operator, KeyKind::Executor, "the office").await.unwrap();
    let admin = api.colleague("root@aikit.example", Role::Admin).await;
    let auditor = api.colleague("audit@aikit.example", Role::Auditor).await;
    let staff = api.colleague("staff@aikit.example", Role::Staff).await;
    for path in ["/v1/people", "/v1/keys"] {
        for token in [&admin, &auditor] {
            let answer = api.get(path).bearer(token).send().await;
            assert!(answer.status.is_success() && !answer.text.contains(&key.secret), "{path}");
        }
        assert_eq!(api.get(path).bearer(&staff).send().await.refused().0, 403);
    }
    let listed = api.get("/v1/keys").bearer(&admin).send().await.ok();
    let shown = (listed[0]["kind"].as_str(), listed[0]["label"].as_str(), listed[0]["hint"].as_str());
    assert_eq!(shown, (Some("executor"), Some("the office"), Some(&key.secret[..12])));
    let stored = api.rows("SELECT * FROM api_key").await.to_string();
    assert!(!stored.contains(&key.secret), "a key is stored as its hash");
}

#[tokio::test]
async fn whoever_is_removed_is_out_at_once_and_may_come_back_under_the_same_id() {
    let api = Api::new();
    let admin = api.colleague("root@aikit.example", Role::Admin).await;
    let id = api.add("finance@aikit.example", Role::Finance).await;
    let session = api.sign_in("finance@aikit.example").await;
    let (access, refresh) = (text(&session, "access_token"), text(&session, "refresh_token"));
    assert!(api.get("/v1/runs").bearer(&access).send().await.status.is_success());
    let admin_again = text(&api.sign_in("root@aikit.example").await, "access_token");
    assert!(
        api.post(&format!("/v1/people/{id}/remove"), json!({})).bearer(&admin_again).send().await.status.is_success()
    );
    assert_eq!(api.get("/v1/runs").bearer(&access).send().await.refused().0, 401);
    assert_eq!(api.post("/v1/auth/refresh", json!({"refresh_token": refresh})).send().await.refused().0, 401);
    // A code goes nowhere, and the answer does not tell.
    let mails = api.mails();
    api.post("/v1/auth/codes", json!({"email": "finance@aikit.example"})).send().await.ok();
    assert_eq!(api.mails(), mails);
    assert_eq!(api.add("finance@aikit.example", Role::Auditor).await, id);
    let back = api.sign_in("finance@aikit.example").await;
    assert_eq!(back["account"]["role"], "auditor");
    drop(admin);
}

#[tokio::test]
async fn whoever_is_removed_is_told_nothing_more_and_their_word_no_longer_counts() {
    let api = Api::new();
    api.add("finance@aikit.example", Role::Finance).await;
    let finance = text(&api.sign_in("finance@aikit.example").await, "access_token");
    referral::lock_payouts(&api.app, &Actor::Operator, "A drill").await.unwrap();
    let agree = async |token: &str| {
        let lock = api.get("/v1/payouts-lock").bearer(token).send().await.ok();
        let asked = json!({"lock": lock["lock"], "reason": "The drill is over"});
        api.post("/v1/payouts-lock/unlock", asked).bearer(token).send().await.ok()
    };
    assert_eq!(agree(&finance).await["finance"], "finance@aikit.example");
    api.rows(
        "INSERT INTO message (key, person, kind, subject, text, made_ms, due_ms)
         SELECT 'run_drafted:2026-10:' || id, id, 'finance', 'October 2026 is drafted', 'It waits for you.', 0, 0
         FROM person WHERE email = 'finance@aikit.example' RETURNING id",
    )
    .await;
    referral::remove_person(&api.app, &Actor::Operator, "finance@aikit.example").await.unwrap();
    let mails = api.mails();
    assert_eq!(referral::send_messages(&api.app).await.unwrap(), 0);
    assert_eq!(api.mails(), mails);
    assert_eq!(api.rows("SELECT state, text FROM message").await, json!([{"state": "failed", "text": ""}]));
    // The admin's word is the only one that is left, and stays one when the admin becomes finance.
    let root = api.add("root@aikit.example", Role::Admin).await;
    let still = agree(&text(&api.sign_in("root@aikit.example").await, "access_token")).await;
    assert_eq!(
        (&still["locked"], &still["finance"], &still["admin"]),
        (&json!(true), &Value::Null, &json!("root@aikit.example"))
    );
    let other = api.colleague("other@aikit.example", Role::Admin).await;
    let role = api.post(&format!("/v1/people/{root}/role"), json!({"role": "finance"})).bearer(&other).send().await;
    assert!(role.status.is_success(), "{role:?}");
    let twice = agree(&text(&api.sign_in("root@aikit.example").await, "access_token")).await;
    assert_eq!((&twice["locked"], &twice["admin"]), (&json!(true), &Value::Null), "nobody is two people");
    let other = text(&api.sign_in("other@aikit.example").await, "access_token");
    assert_eq!(agree(&other).await["locked"], false);
}

#[tokio::test]
async fn nobody_changes_their_own_rights_and_one_admin_stays() {
    let api = Api::new();
    let one = api.add("one@aikit.example", Role::Admin).await;
    let token = text(&api.sign_in("one@aikit.example").await, "access_token");
    let act = async |token: &str, id: &str, what: &str, body: Value| {
        let answer = api.post(&format!("/v1/people/{id}/{what}"), body).bearer(token).send().await;
        if answer.status.is_success() { (answer.status.as_u16(), String::new()) } else { answer.refused() }
    };
    assert_eq!(act(&token, &one, "role", json!({"role": "finance"})).await, (409, "conflict".into()));
    assert_eq!(act(&token, &one, "remove", json!({})).await.0, 409);
    let two = api.add("two@aikit.example", Role::Admin).await;
    let second = text(&api.sign_in("two@aikit.example").await, "access_token");
    let first = text(&api.sign_in("one@aikit.example").await, "access_token");
    // Both at once: one of them stays.
    let both =
        tokio::join!(act(&first, &two, "remove", json!({})), act(&second, &one, "role", json!({"role": "auditor"})));
    let admins = api.rows("SELECT count(*) AS n FROM person WHERE role = 'admin' AND removed_ms IS NULL").await;
    assert_eq!(admins[0]["n"], 1, "{both:?}");
    // Whoever has the machine may take the last one away.
    let left = api.rows("SELECT email FROM person WHERE role = 'admin' AND removed_ms IS NULL").await;
    referral::remove_person(&api.app, &Actor::Operator, left[0]["email"].as_str().unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_agencys_people_are_not_aikits_affair() {
    let api = Api::new();
    api.join("northlight.example").await;
    let owner = text(&api.sign_in("owner@northlight.example").await["account"], "user");
    let admin = api.colleague("root@aikit.example", Role::Admin).await;
    for (path, body, wanted) in [
        (format!("/v1/people/{owner}/remove"), json!({}), 404),
        (format!("/v1/people/{owner}/role"), json!({"role": "admin"}), 404),
        ("/v1/people".into(), json!({"email": "owner@northlight.example", "role": "admin"}), 409),
        ("/v1/people".into(), json!({"email": "x@aikit.example", "role": "owner"}), 400),
        ("/v1/people".into(), json!({"email": "x@aikit.example", "role": "root"}), 400),
        ("/v1/people".into(), json!({"email": "<b>@x", "role": "staff"}), 400),
        ("/v1/people".into(), json!({"email": "'; DROP TABLE person; --", "role": "staff"}), 400),
        ("/v1/people".into(), json!({"email": ["x@aikit.example"], "role": "staff"}), 400),
        ("/v1/people/u_missing/remove".into(), json!({}), 404),
        ("/v1/keys".into(), json!({"kind": "money", "label": ""}), 400),
        ("/v1/keys".into(), json!({"kind": "server", "label": "x".repeat(81)}), 400),
        ("/v1/keys".into(), json!({"kind": "server", "label": "a\u{0}b"}), 400),
        ("/v1/keys/key_missing/revoke".into(), json!({}), 404),
    ] {
        assert_eq!(api.post(&path, body.clone()).bearer(&admin).send().await.refused().0, wanted, "{path} {body}");
    }
}

#[tokio::test]
async fn a_key_opens_what_its_kind_says_until_it_is_revoked() {
    let api = Api::new();
    let issue = |kind| referral::issue_key(&api.app, &Actor::Operator, kind, "");
    let (server, executor) = (issue(KeyKind::Server).await.unwrap(), issue(KeyKind::Executor).await.unwrap());
    let signup = || json!({"customer_id": "c1", "email": "it@client.example"});
    let sign_up = async |secret: &str| api.post("/v1/signups", signup()).bearer(secret).send().await.status.as_u16();
    let grants = async |secret: &str| api.get("/v1/executor/grants").bearer(secret).send().await.status.as_u16();
    assert_eq!((sign_up(&server.secret).await, grants(&server.secret).await), (200, 401));
    assert_eq!((sign_up(&executor.secret).await, grants(&executor.secret).await), (401, 200));
    // One character off is no key, whatever its checksum says.
    for (n, _) in server.secret.char_indices() {
        let mut bent = server.secret.clone().into_bytes();
        bent[n] = if bent[n] == b'A' { b'B' } else { b'A' };
        assert_eq!(sign_up(std::str::from_utf8(&bent).unwrap()).await, 401, "{n}");
    }
    referral::revoke_key(&api.app, &Actor::Operator, &server.key.key).await.unwrap();
    assert_eq!(sign_up(&server.secret).await, 401);
    assert!(referral::revoke_key(&api.app, &Actor::Operator, &server.key.key).await.is_err(), "once");
}
