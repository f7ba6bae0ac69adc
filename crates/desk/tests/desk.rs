//! The desk against a small API that goes away and comes back.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends where it stands")]

mod common;

use common::{AS_OF, Bench, CANARY, files};
use desk::{Desk, NATIVES, StartError};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::{ErrorBody, ErrorCode};

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
    let account = ask(desk, "sign_in_demo", json!({ "person": person })).await;
    assert_eq!(account["user"], person);
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed_once_for_all_calls_at_once() {
    let bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    bench.api.books().access.clear();
    let answers = tokio::join!(
        ask(&desk, "overview", json!({})),
        ask(&desk, "overview", json!({})),
        ask(&desk, "client", json!({ "referral": "r_1" })),
        ask(&desk, "create_link", json!({ "id": "l_1" })),
    );
    for answer in [&answers.0, &answers.1, &answers.2, &answers.3] {
        assert_eq!((&answer["saved"], &answer["as_of"]), (&json!(false), &json!("2026-11-22T10:42:00Z")));
    }
    assert_eq!(answers.3["data"]["made"], json!({ "id": "l_1" }));
    assert_eq!(bench.api.books().count("POST /v1/auth/refresh"), 1);
    assert_eq!(bench.api.books().count("POST /v1/links"), 2, "refused with the old token, done with the new one");
}

#[tokio::test]
async fn a_file_is_saved_among_the_downloads_and_nowhere_else() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    bench.api.books().access.clear();
    let save = json!({ "file": "receipt", "args": { "item": "2026-10.1:P" } });
    let saved = ask(&desk, "save", save.clone()).await;
    let path = bench.downloads().join("-receipt-2026-10.1-P.pdf");
    assert_eq!(saved["path"], path.display().to_string());
    assert_eq!(std::fs::read(&path).expect("the file"), b"%PDF of ann");
    let again = ask(&desk, "save", save.clone()).await;
    assert_eq!(again["path"], bench.downloads().join("-receipt-2026-10.1-P (2).pdf").display().to_string());

    let open = json!({ "file": "receipt", "args": { "item": "open" } });
    assert_eq!(refusal(&desk, "save", open).await.code, ErrorCode::Conflict);
    assert_eq!(refusal(&desk, "save", json!({ "file": "overview", "args": {} })).await.code, ErrorCode::NotFound);
    bench.api.go_away();
    assert_eq!(refusal(&desk, "save", save).await.code, ErrorCode::Offline);
    assert_eq!(std::fs::read_dir(bench.downloads()).expect("the folder").count(), 2);
}

#[tokio::test]
async fn what_a_page_made_is_saved_without_the_api_and_within_the_folder() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    bench.api.go_away();
    let file = json!({ "name": "../QR Spring.svg", "base64": "PHN2Zy8+" });
    let saved = ask(&desk, "save_own", file).await;
    let path = bench.downloads().join("-QR-Spring.svg");
    assert_eq!(saved["path"], path.display().to_string());
    assert_eq!(std::fs::read(&path).expect("the file"), b"<svg/>");

    let broken = json!({ "name": "QR.svg", "base64": "PHN2Zy8" });
    assert_eq!(refusal(&desk, "save_own", broken).await.code, ErrorCode::Invalid);
    assert_eq!(std::fs::read_dir(bench.downloads()).expect("the folder").count(), 1);
}

#[tokio::test]
async fn saved_answers_show_while_the_api_is_away() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    let live = ask(&desk, "overview", json!({})).await;
    assert_eq!(live["saved"], false);

    bench.api.go_away();
    let saved = ask(&desk, "overview", Value::Null).await;
    assert_eq!((&saved["data"], &saved["as_of"]), (&live["data"], &live["as_of"]));
    assert_eq!(saved["saved"], true);
    let unseen = refusal(&desk, "client", json!({ "referral": "r_1" })).await;
    assert_eq!(unseen.code, ErrorCode::Offline);
    assert!(unseen.message.contains("no saved copy"), "{}", unseen.message);
    let act = refusal(&desk, "create_link", json!({ "id": "l_1" })).await;
    assert_eq!(act.code, ErrorCode::Offline);
    assert!(act.message.contains("Nothing was sent"), "{}", act.message);

    bench.api.come_back();
    assert_eq!(ask(&desk, "overview", json!({})).await["saved"], false);
    assert_eq!(bench.api.books().count("POST /v1/links"), 0, "an act is never queued");

    for status in [502, 503, 504] {
        bench.api.books().outage = Some(axum::http::StatusCode::from_u16(status).expect("a status"));
        assert_eq!(ask(&desk, "overview", json!({})).await["saved"], true, "{status}");
        let act = refusal(&desk, "create_link", json!({ "id": "l_1" })).await;
        assert!(act.code == ErrorCode::Offline && act.message.contains("not known"), "{}", act.message);
    }
    // Something in between that answers in the API's place is as good as no answer.
    bench.api.books().outage = Some(axum::http::StatusCode::OK);
    assert_eq!(ask(&desk, "overview", json!({})).await["saved"], true);
    bench.api.books().outage = Some(axum::http::StatusCode::FOUND);
    assert_eq!(ask(&desk, "overview", json!({})).await["saved"], true);
    // A fault of the API itself is no absence.
    bench.api.books().outage = Some(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(refusal(&desk, "overview", json!({})).await.code, ErrorCode::Unavailable);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_not_called_unsent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut bench = Bench::new();
    bench.api.go_away();
    bench.api.port = listener.local_addr().expect("a bound socket").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Reads the request, then hangs up.
            stream.readable().await.expect("a request");
            let _ = stream.try_read(&mut [0; 4096]);
        }
    });
    let act = refusal(&bench.desk(), "create_link", json!({ "id": "l_1" })).await;
    assert_eq!(act.code, ErrorCode::Offline);
    assert!(act.message.contains("not known: look again"), "{}", act.message);
}

#[tokio::test]
async fn an_api_that_hangs_holds_up_a_page_once_and_not_once_per_call() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    ask(&desk, "overview", json!({})).await;
    drop(desk);
    bench.api.go_away();
    let desk = bench.desk();
    assert_eq!(ask(&desk, "resume", json!({})).await["user"], "ann");
    // It takes connections and never answers.
    let _listener = std::net::TcpListener::bind(("127.0.0.1", bench.api.port)).expect("the port is free");
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let read = || ask(&desk, "overview", json!({}));
    for answer in <[Value; 4]>::from(tokio::join!(read(), read(), read(), read())) {
        assert_eq!(answer["saved"], true);
    }
    let waited_s = begun.elapsed().as_secs();
    assert!((1..=11).contains(&waited_s), "{waited_s}");
}

#[tokio::test]
async fn what_the_api_refuses_now_does_not_come_back_offline() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    ask(&desk, "client", json!({ "referral": "r_1" })).await;
    bench.api.books().gone = Some("r_1".into());
    assert_eq!(refusal(&desk, "client", json!({ "referral": "r_1" })).await.code, ErrorCode::NotFound);
    bench.api.go_away();
    assert_eq!(refusal(&desk, "client", json!({ "referral": "r_1" })).await.code, ErrorCode::Offline);
}

#[tokio::test]
async fn the_next_start_is_signed_in_with_the_network_and_without() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    assert_eq!(ask(&desk, "resume", Value::Null).await, Value::Null);
    let account = ask(&desk, "sign_in", json!({ "email": "ann@agency.example", "code": "123456" })).await;
    let page = ask(&desk, "client", json!({ "referral": "a/../b?x#\u{e9}" })).await;
    assert_eq!(page["data"]["referral"], "a/../b?x#\u{e9}");
    drop(desk);

    let desk = bench.desk();
    assert_eq!(ask(&desk, "resume", json!({})).await, account);
    assert_eq!(ask(&desk, "resume", json!({})).await, account, "a page that reloads");
    assert_eq!(bench.api.books().count("POST /v1/auth/refresh"), 1);
    drop(desk);

    bench.api.go_away();
    let desk = bench.desk();
    assert_eq!(ask(&desk, "resume", json!({})).await, account);
    assert_eq!(ask(&desk, "client", json!({ "referral": "a/../b?x#\u{e9}" })).await["saved"], true);
    bench.api.come_back();
    assert_eq!(ask(&desk, "overview", json!({})).await["saved"], false, "renewed as soon as the API is back");
    assert_eq!(ask(&desk, "banner", json!({})).await, Value::Null);
}

#[tokio::test]
async fn signing_out_leaves_nothing_behind() {
    let mut bench = Bench::new();
    for away in [false, true] {
        let desk = bench.desk();
        sign_in(&desk, "ann").await;
        ask(&desk, "overview", json!({})).await;
        assert_eq!(bench.drawer.names().len(), 1);
        assert!(!bench.files_with("1284050").is_empty());
        if away {
            bench.api.go_away();
        }
        assert_eq!(ask(&desk, "sign_out", json!({})).await, Value::Null);
        assert_eq!(bench.drawer.names(), Vec::<String>::new());
        for trace in ["1284050", "ann"] {
            assert_eq!(bench.files_with(trace), Vec::<std::path::PathBuf>::new(), "{trace}");
        }
        assert_eq!(bench.api.books().refresh.is_empty(), !away, "ended at the API where that can be reached");
        assert_eq!(ask(&desk, "resume", json!({})).await, Value::Null);
        let error = refusal(&desk, "overview", json!({})).await;
        assert_eq!(error.code, if away { ErrorCode::Offline } else { ErrorCode::SignedOut });
        drop(desk);
    }
}

#[tokio::test]
async fn a_session_that_the_api_ended_takes_its_copies_along() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    ask(&desk, "overview", json!({})).await;
    bench.api.books().access.clear();
    bench.api.books().refresh.clear();
    assert_eq!(refusal(&desk, "overview", json!({})).await.code, ErrorCode::SignedOut);
    assert_eq!(bench.drawer.names(), Vec::<String>::new());
    assert_eq!(bench.files_with("1284050"), Vec::<std::path::PathBuf>::new());
    bench.api.go_away();
    assert_eq!(refusal(&desk, "overview", json!({})).await.code, ErrorCode::Offline);
    assert_eq!(ask(&desk, "resume", json!({})).await, Value::Null);
}

#[tokio::test]
async fn two_people_never_see_each_others_pages() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    assert_eq!(ask(&desk, "overview", json!({})).await["data"]["for"], "ann");
    // The same person once more, to prove who it is: the copies stay.
    sign_in(&desk, "ann").await;
    assert!(!bench.files_with("1284050").is_empty());

    sign_in(&desk, "bob").await;
    assert_eq!(bench.files_with("1284050"), Vec::<std::path::PathBuf>::new());
    assert_eq!(bench.drawer.names().len(), 1);
    assert!(bench.api.books().refresh.values().all(|person| person == "bob"), "the earlier session has ended");
    bench.api.go_away();
    assert_eq!(refusal(&desk, "overview", json!({})).await.code, ErrorCode::Offline);
    bench.api.come_back();
    assert_eq!(ask(&desk, "overview", json!({})).await["data"]["for"], "bob");
    assert_eq!(bench.files_with("ann"), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn without_a_keychain_the_session_is_for_this_run_only() {
    let mut bench = Bench::new();
    *bench.drawer.fault.lock().expect("drawer") = Some("it is locked".into());
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    ask(&desk, "overview", json!({})).await;
    let banner = ask(&desk, "banner", json!({})).await;
    let banner = banner.as_str().expect("a banner");
    assert!(banner.contains("for this session only") && banner.contains("it is locked"), "{banner}");
    bench.api.go_away();
    assert_eq!(ask(&desk, "overview", json!({})).await["saved"], true, "within the run the copies show");
    drop(desk);
    *bench.drawer.fault.lock().expect("drawer") = None;
    let desk = bench.desk();
    assert_eq!(ask(&desk, "resume", json!({})).await, Value::Null);
    assert_eq!(bench.files_with("1284050"), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn a_keychain_that_lost_its_entry_signs_out() {
    let bench = Bench::new();
    let desk = bench.desk();
    sign_in(&desk, "ann").await;
    ask(&desk, "overview", json!({})).await;
    drop(desk);
    bench.drawer.entries.lock().expect("drawer").clear();
    assert_eq!(ask(&bench.desk(), "resume", json!({})).await, Value::Null);
    assert_eq!(bench.files_with("1284050"), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn a_file_of_copies_that_does_not_fit_is_set_aside_and_nobody_is_signed_out() {
    type Damage = fn(&std::path::Path);
    let damages: [(&str, Damage); 5] = [
        ("garbage", |path| std::fs::write(path, [0x5a; 9000]).expect("written")),
        ("cut short", |path| {
            let bytes = std::fs::read(path).expect("read");
            std::fs::write(path, &bytes[..bytes.len() / 2 + 100]).expect("written");
        }),
        ("a page overwritten", |path| {
            let mut bytes = std::fs::read(path).expect("read");
            bytes[4096..8192].fill(0xa5);
            std::fs::write(path, bytes).expect("written");
        }),
        ("of a newer app", |path| {
            let connection = rusqlite::Connection::open(path).expect("opened");
            connection.execute_batch("PRAGMA user_version = 2").expect("written");
        }),
        ("another program's", |path| {
            std::fs::remove_file(path).expect("removed");
            let connection = rusqlite::Connection::open(path).expect("opened");
            connection.execute_batch("CREATE TABLE recipe (name TEXT)").expect("written");
        }),
    ];
    for (what, damage) in damages {
        let mut bench = Bench::new();
        let desk = bench.desk();
        sign_in(&desk, "ann").await;
        ask(&desk, "overview", json!({})).await;
        drop(desk);
        damage(&bench.data().join("answers.db"));
        let damaged = std::fs::read(bench.data().join("answers.db")).expect("read");

        let desk = bench.desk();
        let aside = |name: &str| name.starts_with("answers-set-aside-") && name.ends_with(".db");
        let mut asides = files(&bench.data());
        asides.retain(|p| aside(&p.file_name().expect("a name").to_string_lossy()));
        assert_eq!(asides.len(), 1, "{what}");
        assert!(std::fs::read(&asides[0]).expect("read") == damaged, "{what}: the old file is kept as it was");
        assert_eq!(ask(&desk, "resume", json!({})).await["user"], "ann", "{what}");
        let banner = ask(&desk, "banner", json!({})).await;
        assert!(banner.as_str().is_some_and(|b| b.contains("set aside")), "{what}: {banner}");
        ask(&desk, "overview", json!({})).await;
        bench.api.go_away();
        assert_eq!(ask(&desk, "overview", json!({})).await["saved"], true, "{what}");
        ask(&desk, "sign_out", json!({})).await;
        assert_eq!(
            bench.files_with("1284050"),
            Vec::<std::path::PathBuf>::new(),
            "{what}: the file set aside goes too"
        );
        assert_eq!(ask(&desk, "banner", json!({})).await, Value::Null, "{what}");
    }
}

#[tokio::test]
async fn a_second_window_on_the_same_data_says_so() {
    let bench = Bench::new();
    let first = bench.desk();
    let error = bench.try_desk().err().expect("the folder is taken");
    assert!(matches!(&error, StartError::AlreadyOpen(folder) if *folder == bench.data()));
    assert!(error.to_string().contains("already open"), "{error}");
    drop(first);
    bench.desk();
}

#[tokio::test]
async fn tokens_stay_on_this_side() {
    let mut bench = Bench::new();
    let desk = bench.desk();
    let mut seen = Vec::new();
    let mut hear = async |desk: &Desk, cmd: &str, args: Value| {
        let heard = match desk.dispatch(cmd, args).await {
            Ok(answer) => answer.to_string(),
            Err(error) => serde_json::to_string(&error).expect("an error is JSON"),
        };
        seen.push(format!("{cmd}: {heard}"));
    };
    let everything = || {
        let natives = NATIVES.iter().map(|n| n.name).filter(|n| *n != "sign_out");
        let calls = wire::CALLS.iter().map(|c| c.name);
        let all: Vec<&str> = natives.chain(calls).collect();
        all
    };
    let args = json!({ "email": "ann@agency.example", "code": "123456", "person": "ann", "url": "https://a.example/",
        "referral": "r_1", "item": "2026-10:P", "run": "2026-10" });
    for cmd in everything() {
        hear(&desk, cmd, args.clone()).await;
    }
    bench.api.books().access.clear();
    bench.api.books().garbled_refresh = true;
    for cmd in everything().into_iter().filter(|c| !c.starts_with("sign_in")) {
        hear(&desk, cmd, args.clone()).await;
    }
    bench.api.books().garbled_refresh = false;
    hear(&desk, "overview", json!({})).await;
    bench.api.go_away();
    for cmd in everything() {
        hear(&desk, cmd, args.clone()).await;
    }
    hear(&desk, "sign_in", json!({ "email": "ann", "code": 7 })).await;
    drop(desk);
    for heard in &seen {
        assert!(!heard.contains(CANARY), "{heard}");
    }
    assert!(
        seen.iter().any(|h| h.contains("a form that this app does not know")),
        "the garbled answer was met: {seen:#?}"
    );
    assert_eq!(bench.files_with(CANARY), Vec::<std::path::PathBuf>::new());
    let kept = bench.drawer.entries.lock().expect("drawer").values().all(|token| token.contains(CANARY));
    assert!(kept && bench.drawer.names().len() == 1, "the keychain alone has the token");
}

#[tokio::test]
async fn addresses_open_in_the_browser_or_are_refused() {
    let bench = Bench::new();
    let desk = bench.desk();
    ask(&desk, "open", json!({ "url": "https://connect.stripe.com/setup/x" })).await;
    let error = refusal(&desk, "open", json!({ "url": "file:///etc/passwd" })).await;
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert_eq!(*bench.opened.lock().expect("addresses"), ["https://connect.stripe.com/setup/x"]);
    let host = ask(&desk, "host", Value::Null).await;
    assert_eq!(host, json!({ "version": "1.2.3", "api": format!("http://127.0.0.1:{}", bench.api.port) }));
}

#[tokio::test]
async fn a_wrong_code_is_the_apis_own_refusal() {
    let bench = Bench::new();
    let desk = bench.desk();
    let error = refusal(&desk, "sign_in", json!({ "email": "ann@agency.example", "code": "000000" })).await;
    assert_eq!(error, ErrorBody::new(ErrorCode::SignedOut, "No."));
    assert_eq!(bench.api.books().count("POST /v1/auth/refresh"), 0);
    assert_eq!(ask(&desk, "demo_people", json!({})).await["as_of"], json!(AS_OF.replace(".000", "")));
}

/// A person in the browser: waits for the address, then comes back to the program with these values.
async fn come_back(bench: &Bench, opened: usize, query: impl Fn(&str) -> String) -> String {
    while bench.opened.lock().expect("addresses").len() < opened {
        tokio::task::yield_now().await;
    }
    let program = bench.api.books().program.clone().expect("a program waits");
    let state = program["state"].as_str().expect("a state");
    let url = format!("http://127.0.0.1:{}/?{}", program["port"], query(state));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    http.get(url).send().await.expect("it listens").text().await.expect("a page")
}

#[tokio::test]
async fn a_sign_in_goes_through_the_browser_and_back() {
    let bench = Bench::new();
    let desk = bench.desk();
    let (account, page) = tokio::join!(ask(&desk, "sign_in_at_issuer", json!({ "confirm": false })), async {
        let stranger = come_back(&bench, 1, |_| "state=another&code=code_bob".into()).await;
        assert!(stranger.contains("nothing at this address"), "{stranger}");
        come_back(&bench, 1, |state| format!("state={state}&code=code_ann")).await
    });
    assert_eq!(account["user"], "ann");
    assert!(page.contains("You are signed in"), "{page}");
    let opened = bench.opened.lock().expect("addresses").clone();
    assert_eq!(opened, [format!("http://127.0.0.1:{}/v1/auth/oidc/go/{CANARY}", bench.api.port)]);
    assert_eq!(ask(&desk, "overview", json!({})).await["data"]["for"], "ann");

    // A confirmation is a new session of the same person; the copies stay.
    bench.api.books().access.clear();
    let (account, _) = tokio::join!(
        ask(&desk, "sign_in_at_issuer", json!({ "confirm": true })),
        come_back(&bench, 2, |state| format!("state={state}&code=code_ann"))
    );
    assert_eq!(account["user"], "ann");
    assert!(!bench.files_with("1284050").is_empty());
}

#[tokio::test]
async fn what_goes_wrong_in_the_browser_is_said_in_the_app() {
    let bench = Bench::new();
    let desk = bench.desk();
    let (error, page) = tokio::join!(
        refusal(&desk, "sign_in_at_issuer", json!({ "confirm": false })),
        come_back(&bench, 1, |state| format!("state={state}&error=Nobody+is+known+here+as+x."))
    );
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::SignedOut, "Nobody is known here as x."));
    assert!(page.contains("You are not signed in"), "{page}");
    // A code that was caught on the way is worth nothing without what its challenge was made of.
    let (error, _) = tokio::join!(refusal(&desk, "sign_in_at_issuer", json!({ "confirm": false })), async {
        let page = come_back(&bench, 2, |state| {
            let mut program = bench.api.books().program.clone().expect("a program waits");
            program["challenge"] = json!("of somebody else");
            bench.api.books().program = Some(program);
            format!("state={state}&code=code_ann")
        });
        page.await
    });
    assert_eq!(error.code, ErrorCode::SignedOut);
    // Giving up, and beginning anew, end the wait.
    let waiting = refusal(&desk, "sign_in_at_issuer", json!({ "confirm": false }));
    let (error, _) = tokio::join!(waiting, async {
        while bench.opened.lock().expect("addresses").len() < 3 {
            tokio::task::yield_now().await;
        }
        ask(&desk, "stop_waiting", json!({})).await
    });
    assert!(error.message.contains("given up"), "{}", error.message);
    let first = refusal(&desk, "sign_in_at_issuer", json!({ "confirm": false }));
    let second = async {
        while bench.opened.lock().expect("addresses").len() < 4 {
            tokio::task::yield_now().await;
        }
        let back = come_back(&bench, 5, |state| format!("state={state}&code=code_ann"));
        tokio::join!(ask(&desk, "sign_in_at_issuer", json!({ "confirm": false })), back).0
    };
    let (error, account) = tokio::join!(first, second);
    assert!(error.message.contains("given up") && account["user"] == "ann", "{}", error.message);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_command_that_does_not_exist_is_refused_and_nothing_is_sent(cmd in "[a-z_./]{0,16}", args in any::<String>()) {
        prop_assume!(wire::Call::find(&cmd).is_none() && NATIVES.iter().all(|n| n.name != cmd));
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Port 9 answers nothing; a command that got through would say that the API is out of reach.
        let config = desk::Config::new(Some("http://127.0.0.1:9"), folder.path().to_owned()).expect("a good address");
        let open = Box::new(|_: &url::Url| Err("no browser".into()));
        let host = desk::Host { version: String::new(), open, downloads: folder.path().to_owned(), shell: std::sync::Arc::new(()) };
        let desk = Desk::open(config, host, std::sync::Arc::new(common::Drawer::default())).expect("the app starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let error = runtime.block_on(desk.dispatch(&cmd, Value::String(args))).expect_err("there is no such command");
        prop_assert_eq!(error.code, ErrorCode::NotFound);
    }
}

#[test]
fn no_command_has_the_name_of_a_call() {
    for native in NATIVES {
        assert!(wire::Call::find(native.name).is_none(), "{}", native.name);
    }
}

#[test]
fn the_table_has_its_typescript() {
    let text = desk::typescript("./bindings");
    for native in NATIVES {
        assert!(text.contains(&format!("  {}: {{ args: ", native.name)), "{text}");
    }
    assert!(text.contains("resume: { args: Record<string, never>; answer: Account | null };"), "{text}");
    assert!(text.contains("sign_out: { args: SignOut; answer: null };"), "{text}");
    assert!(text.contains("export type OpenUrl = {"), "{text}");
}
