//! The clock, delivery, restarts.
#![expect(clippy::unwrap_used, reason = "test support: a failed step is a failed test")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Bench, Folder, Receiver, id};

#[tokio::test]
async fn the_clock_moves_forward_only_and_may_run() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    assert_eq!(bench.get("/_clock").await, json!({ "now": "2026-01-01T00:00:00Z", "live": false }));
    let (status, error) = bench.try_control("/_clock", json!({ "now": "2025-12-31T23:59:59Z" })).await;
    assert_eq!(status, 400);
    assert!(error["error"]["message"].as_str().unwrap().contains("forward only"));
    assert_eq!(bench.try_control("/_clock", json!({ "now": "tomorrow" })).await.0, 400);
    bench.control("/_clock", json!({ "now": "2026-01-01T00:00:10Z", "live": true })).await;
    tokio::time::sleep(Duration::from_millis(2_600)).await;
    let live = bench.control("/_clock", json!({ "live": false })).await;
    let now = live["now"].as_str().unwrap().to_owned();
    assert!(("2026-01-01T00:00:12Z".."2026-01-01T00:00:30Z").contains(&now.as_str()), "{now}");
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(bench.get("/_clock").await["now"], json!(now));
}

#[tokio::test]
async fn events_wait_for_their_receiver_and_are_sent_again_when_refused() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let customer = bench.customer().await;
    bench.subscribe(&customer, 5_000, "month", "").await;
    let kept = bench.get("/_control/events").await;
    assert_eq!(kept["total"], kept["pending"]);
    let receiver = Receiver::start().await;
    receiver.refuse(1);
    bench.deliver_to(&receiver).await;
    let total = usize::try_from(kept["total"].as_i64().unwrap()).unwrap();
    assert_eq!(receiver.events().len(), total - 1, "one was refused, the others came");
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if receiver.events().len() == total {
            break;
        }
    }
    let mut kinds = receiver.kinds();
    assert_eq!(kinds.len(), total);
    assert_eq!(kinds.last().map(String::as_str), Some("customer.created"), "the refused one came last");
    kinds.rotate_right(1);
    let listed: Vec<String> = kept["events"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|kept| kept["event"]["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, listed);
    receiver.refuse(u32::MAX);
    let walked = bench.clock("2026-02-01T00:00:00Z").await;
    assert!(walked["events"].as_i64() > Some(0) && walked["failed"] == walked["events"], "{walked}");
    receiver.refuse(0);
    let event = receiver.events()[0].event.clone();
    bench.control("/_control/redeliver", json!({ "event": event["id"] })).await;
    let twice = receiver.events().iter().filter(|received| received.event == event).count();
    assert_eq!(twice, 2, "the same event a second time");
    let (status, _) = bench
        .try_control("/_control/webhooks", json!({ "account": { "url": "https://example.com", "secret": "x" } }))
        .await;
    assert_eq!(status, 400, "events do not leave this machine");
}

/// Seventy subscriptions for nine months is what a demo walks; every event is received.
#[tokio::test]
async fn nine_months_take_seconds() {
    let started = std::time::Instant::now();
    let events = history(70, "2026-10-01T00:00:00Z").await;
    let took = started.elapsed();
    assert!(events.len() > 3_500, "{} events", events.len());
    assert!(took < Duration::from_secs(120), "the history took {took:?} in a debug build");
}

#[tokio::test]
async fn the_same_calls_give_the_same_history() {
    let first = history(8, "2026-04-01T00:00:00Z").await;
    assert!(first.len() > 150 && first == history(8, "2026-04-01T00:00:00Z").await);
}

/// Every event that so many subscriptions cause until an instant, as received.
async fn history(subscriptions: i64, until: &str) -> Vec<Value> {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let receiver = Receiver::start().await;
    bench.deliver_to(&receiver).await;
    for number in 0..subscriptions {
        let customer = bench.customer().await;
        bench.subscribe(&customer, 10_000 + number, "month", "").await;
        if number % 3 == 0 {
            bench.clock(&format!("2026-01-{:02}T00:00:00Z", 1 + number / 3)).await;
        }
    }
    let walked = bench.clock(until).await;
    assert_eq!((&walked["delivered"], &walked["failed"]), (&walked["events"], &json!(0)));
    receiver.events().into_iter().map(|received| received.event).collect()
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn run(data: &Path, port: &str, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-stripe"));
    command.args(["--port", port, "--data"]).arg(data).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ready(data: &Path, more: &[&str]) -> (Process, Bench) {
    let mut child = run(data, "0", more);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let base = line.trim().strip_prefix("fake-stripe listens on ").unwrap().to_owned();
    (Process(child), Bench::at(base))
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_answered() {
    let folder = Folder::new();
    let (process, bench) = ready(&folder.data(), &["--now", "2026-01-01T00:00:00Z"]);
    let account = bench.payable_account().await;
    bench.control("/_control/balance", json!({ "available_minor": 1_000 })).await;
    let customer = bench.customer().await;
    bench.subscribe(&customer, 5_000, "month", "").await;
    let form = format!("amount=100&currency=usd&destination={account}");
    let first = bench.call("POST", "/v1/transfers", &form, Some("k")).await;
    drop(process);
    let (_process, bench) = ready(&folder.data(), &["--now", "2030-01-01T00:00:00Z"]);
    assert_eq!(bench.get("/_clock").await["now"], "2026-01-01T00:00:00Z", "a state keeps its own clock");
    let again = bench.call("POST", "/v1/transfers", &form, Some("k")).await;
    assert_eq!((again.replayed(), again.body), (true, first.body));
    assert_eq!(bench.get("/v1/balance").await["available"][0]["amount"], 900);
    let walked = bench.clock("2026-03-15T00:00:00Z").await;
    assert!(walked["events"].as_i64().unwrap() > 0);
    let invoices = bench.get(&format!("/v1/invoices?customer={customer}")).await;
    assert_eq!(invoices["data"].as_array().unwrap().len(), 3);
    let receiver = Receiver::start().await;
    bench.deliver_to(&receiver).await;
    let kept = bench.get("/_control/events?limit=10000").await;
    assert_eq!(receiver.events().len(), kept["events"].as_array().unwrap().len());
    assert_eq!(id(&receiver.events()[0].event), id(&kept["events"].as_array().unwrap().last().unwrap()["event"]));
}

/// A walk that is killed in the middle, several times, makes the history of a walk that is not.
#[tokio::test]
async fn a_walk_that_is_killed_goes_on_where_it_was() {
    let mut histories = Vec::new();
    for kills in [0, 6] {
        let folder = Folder::new();
        let (mut process, mut bench) = ready(&folder.data(), &["--now", "2026-01-01T00:00:00Z"]);
        for amount in 0..6 {
            let customer = bench.customer().await;
            bench.subscribe(&customer, 5_000 + amount, "week", "").await;
            bench.clock(&format!("2026-01-01T{amount:02}:30:00Z")).await;
        }
        for kill in 0..kills {
            let walk = bench.http.post(format!("{}/_clock", bench.base)).body(r#"{"now":"2026-09-01T00:00:00Z"}"#);
            let cut = tokio::time::timeout(Duration::from_millis(20 + 15 * kill), walk.send()).await;
            assert!(cut.is_err() || kill > 0, "the walk was still under way when it was killed");
            drop(process);
            (process, bench) = ready(&folder.data(), &[]);
        }
        bench.clock("2026-09-01T00:00:00Z").await;
        let kept = bench.get("/_control/events?limit=10000").await;
        let balance = bench.get("/v1/balance").await;
        histories.push((kept["events"].clone(), balance));
        drop(process);
    }
    assert!(histories[0].0.as_array().unwrap().len() > 1_000);
    assert!(histories[0] == histories[1], "no event is lost, doubled or changed");
}

#[test]
fn a_used_port_is_said_clearly() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&folder.data(), &port, &[]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains(&port) && message.contains("--port"), "{message}");
}
