//! The desk with the real API, which goes away and comes back.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends where it stands")]

#[expect(dead_code, reason = "The keychain and the folder are used, the small API is not.")]
mod common;
#[path = "common/program.rs"]
mod program;

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use common::Drawer;
use desk::{Config, Desk, Host};
use program::{Offline, config, draw};
use referral::db::{BoxFut, Db, Stmt};
use referral::ports;
use referral::{App, sql};
use serde_json::{Value, json};
use url::Url;
use wire::{ErrorBody, ErrorCode};

const OURS: &str = "PARTNER_00RS0000";
const LINK: &str = "019ca6b1-dc00-7000-8000-000000000001";
const OTHERS_LINK: &str = "019ca6b1-dc00-7000-8000-0000000000ff";

/// A clock that stands still, so that live and saved pages are of one instant.
struct Still(Mutex<u64>);

impl ports::Host for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_600)
    }

    fn random(&self, into: &mut [u8]) {
        draw(&mut self.0.lock().expect("drawn"), into);
    }

    fn later(&self, work: BoxFut<'static, ()>) {
        tokio::spawn(work);
    }
}

/// The API on a port, and a computer.
struct Bench {
    router: axum::Router,
    port: u16,
    running: Option<tokio::runtime::Runtime>,
    folder: tempfile::TempDir,
    drawer: Drawer,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let db = sqlite::Sqlite::open(&folder.path().join("api.db"), sqlite::Profile::Native).expect("a database");
        for stmt in people() {
            db.query(stmt).await.expect("an insert");
        }
        let (offline, still) = (Arc::new(Offline), Arc::new(Still(Mutex::new(0))));
        let app = App::new(Arc::new(db), offline.clone(), offline, still, Arc::new(config()));
        let router = referral::router(app);
        let mut bench = Self { router, port: 0, running: None, folder, drawer: Drawer::default() };
        bench.come_back();
        bench
    }

    fn come_back(&mut self) {
        let listener = std::net::TcpListener::bind(("127.0.0.1", self.port)).expect("the port is ours");
        listener.set_nonblocking(true).expect("a fresh socket");
        self.port = listener.local_addr().expect("a bound socket").port();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread");
        let router = self.router.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            axum::serve(listener, router).await
        });
        self.running = Some(runtime);
    }

    fn go_away(&mut self) {
        let Some(runtime) = self.running.take() else { return };
        runtime.shutdown_background();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            std::thread::yield_now();
        }
    }

    fn desk(&self) -> Desk {
        let api = format!("http://127.0.0.1:{}", self.port);
        let config = Config::new(Some(&api), self.data().to_owned()).expect("a good address");
        let open = Box::new(|_: &Url| Ok(()));
        let host = Host { version: "1".into(), open, downloads: self.folder.path().to_owned(), shell: Arc::new(()) };
        Desk::open(config, host, Arc::new(self.drawer.clone())).expect("the app starts")
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.go_away();
    }
}

/// Two agencies and finance; one agency has a client that pays.
fn people() -> Vec<Stmt> {
    let mut all = Vec::new();
    for (code, name) in [(OURS, "ours"), ("PARTNER_0THER000", "other")] {
        let joined = json!({"id": format!("partner_joined:{code}"), "at": "2026-01-01T00:00:00Z", "type": "partner_joined", "partner": code,
            "name": name, "website": format!("{name}.example")});
        all.push(sql!(
            "INSERT INTO partner (code, name, email, website, country, joined_ms, account, transfers)
             VALUES (?1, ?2, ?2 || '@a.example', ?2 || '.example', 'US', 0, 'acct_' || ?2, 'active')",
            code,
            name
        ));
        all.push(sql!(
            "INSERT INTO person (id, email, role, partner, added_ms) VALUES (?1, ?1 || '@a.example', 'owner', ?2, 0)",
            name,
            code
        ));
        all.push(sql!(
            "INSERT INTO fact (id, partner, body) VALUES (?1, ?2, ?3)",
            format!("partner_joined:{code}"),
            code,
            joined.to_string()
        ));
    }
    all.push(sql!("INSERT INTO person (id, email, role, added_ms) VALUES ('fin', 'f@aikit.example', 'finance', 0)"));
    all.push(sql!("INSERT INTO link (id, partner, campaign, path, utm, created_ms) VALUES (?1, 'PARTNER_0THER000', 'theirs', '/', '{}', 0)", OTHERS_LINK));
    all.push(sql!("INSERT INTO referral (id, partner, email, signed_up_ms, click, rule) VALUES ('r1', ?1, 'a@c.example', 1772000000000, NULL, 'partner_code')", OURS));
    for body in [
        json!({"id": "c1", "at": "2026-03-01T00:00:00Z", "type": "referral_created", "referral": "r1", "partner": OURS}),
        json!({"id": "s1", "at": "2026-03-01T00:00:00Z", "type": "subscription_started", "subscription": "s1", "referral": "r1",
            "interval": "month", "amount_minor": 50_000}),
        json!({"id": "i1", "at": "2026-03-01T00:00:00Z", "type": "invoice_paid", "invoice": "i1", "subscription": "s1", "amount_minor": 50_000}),
    ] {
        let id = body["id"].as_str().unwrap_or_default().to_owned();
        all.push(sql!("INSERT INTO fact (id, referral, body) VALUES (?1, 'r1', ?2)", id, body.to_string()));
    }
    all
}

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
    ask(desk, "sign_in_demo", json!({ "person": person })).await;
    ask(desk, "sync_now", json!({})).await;
}

fn has_file(folder: &Path, beginning: &str) -> bool {
    let mut entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry"));
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with(beginning))
}

fn new_link(id: &str) -> Value {
    json!({ "id": id, "campaign": "Spring", "path": "/pricing", "utm": { "source": "mail", "medium": null, "campaign": "a b" } })
}

#[tokio::test]
async fn without_a_network_every_page_is_the_one_that_the_api_showed() {
    let mut bench = Bench::new().await;
    let desk = bench.desk();
    sign_in(&desk, "ours").await;
    let assumptions = json!({ "new_clients_per_month": "1.5", "plans": [{ "interval": "month", "amount_minor": 50_000, "share": "1" }],
        "monthly_churn": "0.02", "trial_days": 14, "months": 12 });
    let calls = [
        ("overview", json!({})),
        ("links", json!({})),
        ("links", json!({ "archived": true })),
        ("clients", json!({ "find": null, "limit": 50 })),
        ("client", json!({ "referral": "r1" })),
        ("payouts", json!({})),
        ("stripe_account", json!({})),
        ("slug", json!({})),
        ("current_terms", json!({})),
        ("suggested_what_if", json!({})),
        ("what_if", assumptions),
    ];
    ask(&desk, "create_link", new_link(LINK)).await;
    let mut live = Vec::new();
    for (call, args) in &calls {
        live.push(ask(&desk, call, args.clone()).await);
    }
    let state = ask(&desk, "copy_state", json!({})).await;
    assert_eq!((&state["state"], &state["verified"]["state"]), (&json!("ready"), &json!("verified")), "{state}");
    // Nothing that was saved as an answer is needed for it.
    drop(desk);
    std::fs::remove_file(bench.data().join("answers.db")).expect("removed");
    bench.go_away();
    let desk = bench.desk();
    ask(&desk, "resume", json!({})).await;
    for ((call, args), live) in calls.iter().zip(&live) {
        let saved = ask(&desk, call, args.clone()).await;
        assert_eq!(saved["data"], live["data"], "{call}");
        assert_eq!((&saved["saved"], &live["saved"]), (&json!(true), &json!(false)), "{call}");
        assert_eq!(saved["as_of"], live["as_of"], "{call}");
    }
    assert_eq!(refusal(&desk, "client", json!({ "referral": "r2" })).await.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_link_that_is_made_without_a_network_waits_and_works_and_is_sent() {
    let mut bench = Bench::new().await;
    let desk = bench.desk();
    sign_in(&desk, "ours").await;
    bench.go_away();
    let made = ask(&desk, "create_link", new_link(LINK)).await;
    assert_eq!((&made["data"]["pending"], &made["saved"]), (&json!(true), &json!(true)), "{made}");
    let url = "https://partners.aikit.example/r/PARTNER_00RS0000?l=019ca6b1-dc00-7000-8000-000000000001&to=%2Fpricing&utm_campaign=a+b&utm_source=mail";
    assert_eq!(made["data"]["url"], url);
    let renamed = ask(&desk, "update_link", json!({ "link": LINK, "campaign": "Summer" })).await;
    assert_eq!(
        (&renamed["data"]["campaign"], &renamed["data"]["pending"]),
        (&json!("Summer"), &json!(true)),
        "{renamed}"
    );
    let error = refusal(&desk, "create_link", json!({ "id": "1", "campaign": "", "path": "/" })).await;
    assert_eq!(error.code, ErrorCode::Invalid, "{}", error.message);

    // The app ends, and what was done is still there.
    drop(desk);
    let desk = bench.desk();
    ask(&desk, "resume", json!({})).await;
    let links = ask(&desk, "links", json!({})).await;
    assert_eq!(links["data"][0]["campaign"], "Summer");
    let state = ask(&desk, "copy_state", json!({})).await;
    assert_eq!(state["pending"].as_array().map(Vec::len), Some(2), "{state}");
    let error = refusal(&desk, "sign_out", json!({})).await;
    assert!(error.code == ErrorCode::Conflict && error.message.contains("2 changes"), "{}", error.message);

    bench.come_back();
    let (path, _) = url.split_once("/r/").map(|(_, rest)| (format!("/r/{rest}"), ())).expect("a link");
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    let followed = http.get(format!("http://127.0.0.1:{}{path}", bench.port)).send().await.expect("an answer");
    let leads_to = followed.headers()["location"].to_str().expect("an address").to_owned();
    assert_eq!(leads_to, "https://aikit.example/pricing?ref=PARTNER_00RS0000&utm_campaign=a+b&utm_source=mail");

    let state = ask(&desk, "sync_now", json!({})).await;
    assert_eq!(state["pending"], json!([]), "{state}");
    let links = ask(&desk, "links", json!({})).await;
    assert_eq!((&links["saved"], &links["data"][0]["campaign"]), (&json!(false), &json!("Summer")));
    assert_eq!(links["data"][0].get("pending"), None);
    assert_eq!(links["data"].as_array().map(Vec::len), Some(1));
    ask(&desk, "sign_out", json!({})).await;
    assert!(!has_file(&bench.data(), "copy-") && !has_file(&bench.data(), "outbox-"));
}

#[tokio::test]
async fn with_a_network_an_act_is_done_at_once_and_a_refusal_is_shown_at_once() {
    let bench = Bench::new().await;
    let desk = bench.desk();
    sign_in(&desk, "ours").await;
    let made = ask(&desk, "create_link", new_link(LINK)).await;
    assert_eq!((made["data"].get("pending"), &made["saved"]), (None, &json!(false)), "{made}");
    let error = refusal(&desk, "create_link", new_link(OTHERS_LINK)).await;
    assert_eq!(error.code, ErrorCode::Conflict, "{}", error.message);
    let state = ask(&desk, "copy_state", json!({})).await;
    assert_eq!((&state["pending"], &state["rejected"]), (&json!([]), &json!([])), "{state}");
}

#[tokio::test]
async fn what_is_refused_later_stays_until_it_is_dismissed_and_holds_nothing_up() {
    let mut bench = Bench::new().await;
    let desk = bench.desk();
    sign_in(&desk, "ours").await;
    bench.go_away();
    ask(&desk, "create_link", new_link(OTHERS_LINK)).await;
    ask(&desk, "create_link", new_link(LINK)).await;
    bench.come_back();
    let state = ask(&desk, "sync_now", json!({})).await;
    assert_eq!(state["pending"], json!([]), "{state}");
    let rejected = &state["rejected"][0];
    assert!(rejected["error"].as_str().is_some_and(|why| why.contains("taken")), "{state}");
    assert_eq!(rejected["what"], "Make the link «Spring»");
    let links = ask(&desk, "links", json!({})).await;
    assert_eq!(links["data"].as_array().map(Vec::len), Some(1));
    let state = ask(&desk, "dismiss_act", json!({ "mid": rejected["mid"] })).await;
    assert_eq!(state["rejected"], json!([]));
}

#[tokio::test]
async fn what_was_not_sent_can_be_given_up_and_is_kept_when_the_session_ends() {
    let mut bench = Bench::new().await;
    let desk = bench.desk();
    sign_in(&desk, "ours").await;
    bench.go_away();
    ask(&desk, "create_link", new_link(LINK)).await;
    // The keychain loses the session: whoever signs in again finds what was done.
    drop(desk);
    bench.drawer.entries.lock().expect("drawer").clear();
    let desk = bench.desk();
    assert_eq!(ask(&desk, "resume", json!({})).await, Value::Null);
    assert!(!has_file(&bench.data(), "copy-") && has_file(&bench.data(), "outbox-"));
    bench.come_back();
    sign_in(&desk, "ours").await;
    let links = ask(&desk, "links", json!({})).await;
    assert_eq!((&links["data"][0]["id"], links["data"][0].get("pending")), (&json!(LINK), None), "{links}");

    bench.go_away();
    ask(&desk, "update_link", json!({ "link": LINK, "archived": true })).await;
    assert_eq!(ask(&desk, "links", json!({})).await["data"], json!([]));
    assert_eq!(ask(&desk, "links", json!({ "archived": true })).await["data"][0]["pending"], true);
    ask(&desk, "sign_out", json!({ "discard": true })).await;
    assert!(!has_file(&bench.data(), "copy-") && !has_file(&bench.data(), "outbox-"));
    bench.come_back();
    sign_in(&desk, "ours").await;
    assert_eq!(ask(&desk, "links", json!({})).await["data"][0]["archived"], false);
}

#[tokio::test]
async fn finance_reads_its_runs_and_writes_notes_without_a_network() {
    let mut bench = Bench::new().await;
    let desk = bench.desk();
    sign_in(&desk, "fin").await;
    let drafted = ask(&desk, "draft_run", json!({ "period": "2026-04" })).await;
    let run = drafted["data"]["summary"]["run"].as_str().expect("a run").to_owned();
    ask(&desk, "run", json!({ "run": run })).await;
    bench.go_away();
    let note = json!({ "run": run, "id": LINK, "text": "Ask them about April." });
    let answer = ask(&desk, "add_note", note).await;
    assert_eq!((&answer["saved"], &answer["data"]["summary"]["run"]), (&json!(true), &json!(run)));
    let state = ask(&desk, "copy_state", json!({})).await;
    assert_eq!(state["pending"][0]["what"], format!("Write a note beside run {run}"), "{state}");
    bench.come_back();
    let state = ask(&desk, "sync_now", json!({})).await;
    assert_eq!(state["pending"], json!([]), "{state}");
    let read = ask(&desk, "run", json!({ "run": run })).await;
    assert_eq!(read["data"]["notes"][0]["text"], "Ask them about April.");
    // With a network the answer is the run as it is then.
    let id = "019ca6b1-dc00-7000-8000-000000000002";
    let answer = ask(&desk, "add_note", json!({ "run": run, "id": id, "text": "Done." })).await;
    assert_eq!(answer["data"]["notes"].as_array().map(Vec::len), Some(2), "{answer}");
}
