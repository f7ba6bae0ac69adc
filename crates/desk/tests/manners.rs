//! What the desk does beside the pages, against a small API: news, menu and tray, deep links, and the lock.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends where it stands")]

#[expect(dead_code, reason = "the other tests of the desk use the rest")]
mod common;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use common::{AS_OF, Bench};
use desk::{COPY_LINK, Desk, Kind, NATIVES, SavePath, Shell};
use serde_json::{Value, json};
use wire::{CALLS, ErrorBody, ErrorCode};

async fn ask(desk: &Desk, cmd: &str, args: Value) -> Value {
    desk.dispatch(cmd, args).await.unwrap_or_else(|e| panic!("{cmd}: {}", e.message))
}

async fn refusal(desk: &Desk, cmd: &str, args: Value) -> ErrorBody {
    match desk.dispatch(cmd, args).await {
        Ok(answer) => panic!("{cmd} answered {answer}"),
        Err(error) => error,
    }
}

async fn sign_in(desk: &Desk, person: &str) {
    assert_eq!(ask(desk, "sign_in_demo", json!({ "person": person })).await["user"], person);
}

fn payout(item: &str, state: &str) -> Value {
    json!({ "item": item, "period": "2026-10", "amount_minor": 128_450, "state": state, "transfer": null,
            "paid_at": null, "digest": "", "bank": null })
}

fn run(id: &str, state: &str) -> Value {
    json!({ "run": id, "period": "2026-10", "as_of": AS_OF, "state": state, "version": 1, "run_hash": null,
            "total_minor": 7, "items": 1, "not_paid": 0, "paid_minor": 0, "drafted_at": AS_OF, "done_at": null })
}

fn answers(bench: &Bench, path: &'static str, answer: Value) {
    bench.api.books().answers.insert(path, answer);
}

#[tokio::test]
async fn a_payout_that_was_sent_is_told_once_over_a_restart_and_without_the_network() {
    let mut bench = Bench::new();
    answers(&bench, "/v1/payouts", json!([payout("2026-09.1:P", "paid")]));
    let desk = bench.desk();
    assert_eq!(desk.look().await, [], "nobody is signed in");
    sign_in(&desk, "ann").await;
    assert_eq!(desk.look().await, [], "what is there at the first look is no news");

    answers(&bench, "/v1/payouts", json!([payout("2026-10.1:P", "sending"), payout("2026-09.1:P", "paid")]));
    assert_eq!(desk.look().await, []);
    drop(desk);
    // It is paid while the app is closed, and told at the next start that reaches the API.
    answers(&bench, "/v1/payouts", json!([payout("2026-10.1:P", "paid"), payout("2026-09.1:P", "paid")]));
    bench.api.go_away();
    let desk = bench.desk();
    ask(&desk, "resume", json!({})).await;
    assert_eq!(desk.look().await, []);
    bench.api.come_back();
    let news = desk.look().await;
    assert_eq!((news.len(), news[0].kind), (1, Kind::PayoutSent));
    assert_eq!(news[0].text, "$1,284.50 for October 2026 was sent to your Stripe account.");
    assert!(desk.open_link(&news[0].link));
    assert_eq!(desk.look().await, []);

    // Signed out, what was told is forgotten with the rest; another person's first look is a first look.
    ask(&desk, "sign_out", json!({})).await;
    assert!(bench.files_with("2026-10.1:P").is_empty());
    sign_in(&desk, "bob").await;
    assert_eq!(desk.look().await, []);
}

#[tokio::test]
async fn each_role_is_told_of_what_it_decides_and_a_kind_can_be_turned_off() {
    let bench = Bench::new();
    let desk = bench.desk();
    answers(&bench, "/v1/runs", json!([]));
    answers(&bench, "/v1/reviews", json!([]));
    sign_in(&desk, "finn").await;
    desk.look().await;
    answers(&bench, "/v1/runs", json!([run("2026-10.1", "draft")]));
    let news = desk.look().await;
    assert_eq!(
        (news.len(), news[0].kind, news[0].link.as_str()),
        (1, Kind::RunReady, "aikit-partners://open/run/2026-10.1")
    );

    let mut chosen = ask(&desk, "preferences", json!({})).await["chosen"].clone();
    chosen["run_ready"] = json!(false);
    ask(&desk, "set_preferences", chosen).await;
    answers(&bench, "/v1/runs", json!([run("2026-11.1", "draft"), run("2026-10.1", "draft")]));
    assert_eq!(desk.look().await, []);
    assert_eq!(bench.api.books().count("GET /v1/reviews"), 0, "that list is staff's");

    sign_in(&desk, "stan").await;
    for _ in 0..20 {
        desk.look().await;
    }
    assert_eq!(bench.api.books().count("GET /v1/reviews"), 2, "the server computes much for it");
    assert_eq!(bench.api.books().count("GET /v1/payouts"), 0);
}

#[tokio::test]
async fn the_tray_copies_the_link_of_whoever_is_signed_in() {
    let mut bench = Bench::new();
    let overview =
        json!({ "month": "2026-11", "link_url": "https://a.example/r/P", "estimate": { "total_minor": 128_450 } });
    answers(&bench, "/v1/overview", overview);
    answers(&bench, "/v1/payouts", json!([]));
    let desk = bench.desk();
    assert_eq!(desk.command(COPY_LINK.command).await, None);
    sign_in(&desk, "ann").await;
    desk.look().await;
    assert_eq!(desk.standing().await.figure.as_deref(), Some("November 2026: $1,284.50 so far"));
    // The page has saved the overview, so the next start has the figure without the network.
    ask(&desk, "overview", json!({})).await;
    drop(desk);
    bench.api.go_away();
    let desk = bench.desk();
    ask(&desk, "resume", json!({})).await;
    assert!(desk.standing().await.figure.is_some());
    assert_eq!(desk.command(COPY_LINK.command).await.as_deref(), Some("https://a.example/r/P"));
    sign_out(&desk).await;
    assert_eq!((desk.standing().await.figure, desk.command(COPY_LINK.command).await), (None, None));
}

async fn sign_out(desk: &Desk) {
    ask(desk, "sign_out", json!({})).await;
}

#[tokio::test]
async fn a_page_learns_what_happened_once_and_its_successor_the_rest() {
    let bench = Bench::new();
    let desk = Arc::new(bench.desk());
    assert!(desk.open_link("aikit-partners://open/payouts"));
    for hostile in ["aikit-partners://open/run/../settings", "aikit-partners://send/run/1", "javascript:alert(1)", ""] {
        assert!(!desk.open_link(hostile), "{hostile}");
    }
    let first = ask(&desk, "events", json!({ "after": 0 })).await;
    assert_eq!(first, json!({ "last": 1, "events": [{ "kind": "open", "address": "#/payouts" }] }));
    // A page that is loaded again has seen nothing, and gets what the one before did not confirm.
    assert_eq!(ask(&desk, "events", json!({ "after": 0 })).await, first);
    // Waiting ends when something happens.
    let waits = tokio::spawn({
        let desk = Arc::clone(&desk);
        async move { ask(&desk, "events", json!({ "after": 1 })).await }
    });
    tokio::task::yield_now().await;
    desk.say("Your link is copied.".into(), false);
    let next = waits.await.expect("an answer");
    assert_eq!(next, json!({ "last": 2, "events": [{ "kind": "say", "text": "Your link is copied.", "bad": false }] }));
    assert_eq!(ask(&desk, "events", json!({ "after": 0 })).await, next, "what was confirmed is gone");
}

/// Writes when somebody was last at the window, as an earlier start would have.
fn last_sign(bench: &Bench, ago: TimeDelta) {
    let file = bench.data().join("last_sign.json");
    let now: DateTime<Utc> = std::fs::metadata(&file).and_then(|m| m.modified()).expect("it was written").into();
    std::fs::write(&file, json!(now - ago).to_string()).expect("the file");
}

#[tokio::test]
async fn a_window_that_nobody_was_at_is_locked_for_aikits_own_people() {
    let mut bench = Bench::new();
    answers(&bench, "/v1/runs", json!([run("2026-10.1", "draft")]));
    let desk = bench.desk();
    sign_in(&desk, "finn").await;
    assert_eq!(ask(&desk, "runs", json!({})).await["data"][0]["run"], "2026-10.1");
    drop(desk);
    last_sign(&bench, TimeDelta::minutes(16));

    let desk = bench.desk();
    assert_eq!(ask(&desk, "resume", json!({})).await["user"], "finn");
    assert_eq!(ask(&desk, "locked", json!({})).await, true);
    // Not one call of the API passes, with the network and without, and none of the app's own that shows or does anything.
    let free = ["demo_people", "sign_in_methods", "request_code"];
    for away in [false, true] {
        if away {
            bench.api.go_away();
        }
        for call in CALLS.iter().filter(|call| !free.contains(&call.name)) {
            assert_eq!(refusal(&desk, call.name, json!({})).await.code, ErrorCode::StepUp, "{}", call.name);
        }
        for native in [
            "save",
            "open",
            "money_key",
            "keep_money_key",
            "forget_money_key",
            "send_here",
            "sending_here",
            "preferences",
            "set_preferences",
            "start_at_login",
        ] {
            assert!(NATIVES.iter().any(|n| n.name == native));
            assert_eq!(refusal(&desk, native, json!({})).await.code, ErrorCode::StepUp, "{native}");
        }
    }
    bench.api.come_back();
    // The connection that broke meanwhile is noticed by the first to use it.
    let _noticed = desk.dispatch("demo_people", json!({})).await;
    assert!(desk.standing().await.menu.is_empty());
    // A movement is no proof, the brake works, and a sign-in opens.
    ask(&desk, "active", json!({})).await;
    assert_eq!(ask(&desk, "locked", json!({})).await, true);
    ask(&desk, "stop_sending", json!({})).await;
    sign_in(&desk, "finn").await;
    assert_eq!(ask(&desk, "locked", json!({})).await, false);
    assert_eq!(ask(&desk, "runs", json!({})).await["saved"], false);

    // An agency's window is not locked.
    sign_in(&desk, "ann").await;
    drop(desk);
    last_sign(&bench, TimeDelta::days(3));
    let desk = bench.desk();
    ask(&desk, "resume", json!({})).await;
    assert_eq!(ask(&desk, "locked", json!({})).await, false);
}

#[tokio::test]
async fn the_page_is_told_at_the_moment_when_its_window_locks() {
    let bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "finn").await;
    let mut chosen = ask(&desk, "preferences", json!({})).await["chosen"].clone();
    chosen["lock_after_min"] = json!(1);
    ask(&desk, "set_preferences", chosen).await;
    drop(desk);
    last_sign(&bench, TimeDelta::milliseconds(58_500));
    let desk = bench.desk();
    ask(&desk, "resume", json!({})).await;
    assert_eq!(ask(&desk, "locked", json!({})).await, false);
    let told = ask(&desk, "events", json!({ "after": 0 })).await;
    assert_eq!(told["events"], json!([{ "kind": "locked" }]));
    assert_eq!(ask(&desk, "locked", json!({})).await, true);
    // By hand too, at once.
    sign_in(&desk, "finn").await;
    desk.command(desk::command_of("lock").expect("the menu has it")).await;
    assert_eq!(ask(&desk, "locked", json!({})).await, true);
}

/// A person who is asked where to save.
struct Asked {
    answer: Option<PathBuf>,
    names: Mutex<Vec<String>>,
}

impl Shell for Asked {
    fn ask_where(&self, name: &str) -> Option<SavePath<'_>> {
        self.names.lock().expect("names").push(name.to_owned());
        let answer = self.answer.clone();
        Some(Box::pin(async move { answer }))
    }
}

#[tokio::test]
async fn a_file_goes_where_the_person_says_and_nowhere_when_they_do_not() {
    let mut bench = Bench::new();
    let path = bench.folder.path().join("taxes.pdf");
    for (answer, saved) in [(Some(path.clone()), json!(path.display().to_string())), (None, Value::Null)] {
        let asked = Arc::new(Asked { answer, names: Mutex::default() });
        bench.around = Arc::clone(&asked) as Arc<dyn Shell>;
        let desk = bench.desk();
        sign_in(&desk, "ann").await;
        let what = json!({ "file": "receipt", "args": { "item": "2026-10.1:P" } });
        assert_eq!(ask(&desk, "save", what).await["path"], saved);
        // The API's name climbs out of its folder; the dialog is given one that does not.
        assert_eq!(*asked.names.lock().expect("names"), ["-receipt-2026-10.1-P.pdf"]);
        assert!(!bench.downloads().exists());
    }
    assert_eq!(std::fs::read(&path).expect("the file"), b"%PDF of ann");
}
