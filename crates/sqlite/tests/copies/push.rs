//! What was done without a network, and is sent when there is one.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::life::{Life, Step};

fn mid(n: u32) -> String {
    format!("0190{n:04}-0000-7000-8000-000000000000")
}

fn create(n: u32, link: u32) -> Value {
    let id = format!("0191{link:04}-0000-7000-8000-000000000000");
    json!({"mid": mid(n), "name": "create_link", "args": {"id": id, "campaign": "on a train", "path": "/pricing"}})
}

async fn push(life: &Life, agency: usize, acts: &[Value]) -> Vec<Value> {
    let (status, answer) = life.ask(agency, "POST", "/v1/sync/push", json!({ "mutations": acts })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer["outcomes"].as_array().unwrap().clone()
}

fn outcomes(of: &[Value]) -> Vec<String> {
    let said = |o: &Value| {
        format!(
            "{}{}",
            o["outcome"].as_str().unwrap(),
            o["error"]["code"].as_str().map(|c| format!(" {c}")).unwrap_or_default()
        )
    };
    of.iter().map(said).collect()
}

#[tokio::test]
async fn an_act_is_done_once_however_often_it_comes() {
    let life = Life::begin().await;
    let archive = json!({"mid": mid(2), "name": "update_link", "args": {"link": "01910001-0000-7000-8000-000000000000", "archived": true}});
    let acts = [create(1, 1), archive, create(3, 2)];
    assert_eq!(outcomes(&push(&life, 0, &acts[..1]).await), ["applied"]);
    assert_eq!(outcomes(&push(&life, 0, &acts).await), ["duplicate", "applied", "applied"]);
    assert_eq!(outcomes(&push(&life, 0, &acts).await), ["duplicate"; 3]);
    let (_, links) = life.ask(0, "GET", "/v1/links", Value::Null).await;
    assert_eq!(links.as_array().unwrap().len(), 1);
    let (_, archived) = life.ask(0, "GET", "/v1/links?archived=true", Value::Null).await;
    assert_eq!(archived.as_array().unwrap().len(), 1);
    // The same act of another agency is another act; the same link is taken.
    assert_eq!(outcomes(&push(&life, 1, &[create(1, 3)]).await), ["applied"]);
    assert_eq!(outcomes(&push(&life, 1, &[create(4, 1)]).await), ["rejected conflict"]);
}

#[tokio::test]
async fn what_can_never_be_done_is_said_once_and_for_all_and_stops_nothing() {
    let life = Life::begin().await;
    let wrong = json!({"mid": mid(1), "name": "create_link", "args": {"id": "0191aaaa-0000-7000-8000-000000000000", "campaign": "", "path": "//evil.example"}});
    let nobody = json!({"mid": mid(2), "name": "update_link", "args": {"link": "01919999-0000-7000-8000-000000000000", "campaign": "x"}});
    let unknown = json!({"mid": mid(3), "name": "send_run", "args": {"run": "2026-05.1"}});
    let not_theirs = json!({"mid": mid(4), "name": "hold_partner", "args": {"run": "2026-05.1", "version": 1, "partner": "P", "reason": "x"}});
    let unreadable = json!({"mid": mid(5), "name": "create_link", "args": [1]});
    let nameless = json!({"mid": "6", "name": "create_link", "args": {}});
    let acts = [wrong, nobody, unknown, not_theirs, unreadable, nameless, create(7, 1)];
    let expected = [
        "rejected invalid",
        "rejected not_found",
        "rejected invalid",
        "rejected forbidden",
        "rejected invalid",
        "rejected invalid",
        "applied",
    ];
    let first = push(&life, 0, &acts).await;
    assert_eq!(outcomes(&first), expected);
    let again = push(&life, 0, &acts).await;
    assert_eq!(outcomes(&again)[..6], expected[..6]);
    assert_eq!(again[..6], first[..6], "it is answered in the same words");
    let (status, answer) = life.ask(0, "POST", "/v1/sync/push", json!({"mutations": vec![create(8, 8); 51]})).await;
    assert_eq!((status, answer["code"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid")));
}

#[tokio::test]
async fn finance_writes_notes_and_holds_and_an_old_version_is_refused() {
    let mut life = Life::begin().await;
    life.step(&Step::Adjust { agency: 0, amount_minor: 5_000 }).await;
    life.step(&Step::Adjust { agency: 1, amount_minor: 5_000 }).await;
    life.step(&Step::Wait { days: 40 }).await;
    let token = life.world.session("finance@aikit.example").await;
    let ask = async |method: &str, path: &str, body: Value| life.world.call(method, path, &token, body).await;
    let (_, draft) = ask("POST", "/v1/runs", json!({"period": "2026-06"})).await;
    let (run, version) = (draft["summary"]["run"].as_str().unwrap(), &draft["summary"]["version"]);
    assert_eq!(draft["items"].as_array().unwrap().len(), 2, "{draft}");
    let hold = |n: u32, agency: usize| {
        json!({"mid": mid(n), "name": "hold_partner",
            "args": {"run": run, "version": version, "partner": life.agencies[agency].code, "reason": "Asked for an invoice."}})
    };
    let note = json!({"mid": mid(3), "name": "add_note", "args": {"run": run, "id": mid(30), "text": "Called them on the train."}});
    let (status, answer) =
        ask("POST", "/v1/sync/push", json!({"mutations": [hold(1, 0), hold(2, 1), note, note]})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let said = outcomes(answer["outcomes"].as_array().unwrap());
    assert_eq!(said, ["applied", "rejected changed", "applied", "duplicate"]);
    let (_, now) = ask("GET", &format!("/v1/runs/{run}"), Value::Null).await;
    assert_eq!(
        (now["items"].as_array().unwrap().len(), now["not_paid"][0]["reason"].as_str()),
        (1, Some("held_out")),
        "{now}"
    );
    assert_eq!(
        (&now["notes"][0]["text"], &now["notes"][0]["by"]),
        (&json!("Called them on the train."), &json!("finance@aikit.example"))
    );
    // The same by hand, and a link is nothing for finance.
    let again = json!({"id": mid(30), "text": "Called them on the train."});
    let (status, now) = ask("POST", &format!("/v1/runs/{run}/notes"), again).await;
    assert_eq!((status, now["notes"].as_array().unwrap().len()), (StatusCode::OK, 1));
    let (_, answer) = ask("POST", "/v1/sync/push", json!({"mutations": [create(9, 9)]})).await;
    assert_eq!(outcomes(answer["outcomes"].as_array().unwrap()), ["rejected forbidden"]);
}
