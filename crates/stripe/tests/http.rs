//! The client against a loopback server that answers what it is told to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::DateTime;
use payout::{Answer, Transfer, TransferParams};
use secrecy::SecretString;
use serde_json::{Value, json};
use stripe::{
    Audit, ConfigError, Deadline, Exchange, HttpLedger, Ledger, LedgerError, NotSent, StripeError, StripeHttp,
    SystemClock, Transfers,
};
use tokio::net::TcpListener;
use wire::{ErrorCode, Observe, Observed};

const KEY: &str = "rk_test_51SecretSecretSecret";
const ITEM: &str = "run_1:P00001";

/// What the server says next.
#[derive(Clone)]
struct Say {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
}

/// What the server heard.
#[derive(Clone, Debug)]
struct Heard {
    from: SocketAddr,
    method: String,
    path: String,
    headers: HeaderMap,
    body: String,
}

#[derive(Clone, Default)]
struct Server {
    says: Arc<Mutex<VecDeque<Say>>>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

fn say(status: u16, body: impl ToString) -> Say {
    Say { status, headers: vec![("request-id", "req_1".into())], body: body.to_string(), after: Duration::ZERO }
}

#[cfg(test)]
impl Server {
    async fn start(says: impl IntoIterator<Item = Say>) -> (Server, String) {
        let server = Server::default();
        server.says.lock().unwrap().extend(says);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(server.clone());
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (server, address)
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }
}

async fn answer(
    State(server): State<Server>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, StatusCode> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.map_err(|_| StatusCode::BAD_REQUEST)?;
    let (method, path) = (parts.method.to_string(), parts.uri.to_string());
    let body = String::from_utf8_lossy(&body).into_owned();
    let say = {
        let mut heard = server.heard.lock().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        heard.push(Heard { from, method, path, headers: parts.headers, body });
        server.says.lock().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.pop_front()
    };
    let say = say.ok_or(StatusCode::IM_A_TEAPOT)?;
    tokio::time::sleep(say.after).await;
    let mut response = Response::builder().status(say.status);
    for (name, value) in say.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(say.body)).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
fn client(address: &str) -> StripeHttp {
    StripeHttp::new(SecretString::from(KEY), Some(address)).unwrap()
}

fn params() -> TransferParams {
    TransferParams {
        amount_minor: 12_300,
        currency: "usd".into(),
        destination: "acct_1".into(),
        transfer_group: format!("aikit:test:{ITEM}"),
        description: "AIKit partner commission 2026-10".into(),
        item: ITEM.into(),
    }
}

fn transfer_json(id: &str) -> Value {
    json!({
        "id": id, "object": "transfer", "amount": 12_300, "amount_reversed": 0, "balance_transaction": "txn_1",
        "created": 1_790_000_000, "currency": "usd", "description": "AIKit partner commission 2026-10",
        "destination": "acct_1", "destination_payment": "py_1", "livemode": false, "metadata": {"item": ITEM},
        "reversals": {"object": "list", "data": [], "has_more": false, "url": format!("/v1/transfers/{id}/reversals")},
        "reversed": false, "source_transaction": null, "source_type": "card", "transfer_group": "g"
    })
}

fn transfer(id: &str) -> Transfer {
    Transfer {
        id: id.into(),
        created: DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default(),
        amount_minor: 12_300,
        amount_reversed_minor: 0,
        currency: "usd".into(),
        destination: "acct_1".into(),
        item: Some(ITEM.into()),
    }
}

fn problem(kind: &str, code: Option<&str>, message: &str) -> Value {
    json!({"error": {"type": kind, "code": code, "message": message}})
}

fn in_30_s() -> Deadline {
    Deadline::after(Duration::from_secs(30), Arc::new(SystemClock))
}

async fn create(stripe: &StripeHttp) -> Result<Answer, NotSent> {
    stripe.create(&params(), "aikit-test-po-run_1:P00001-1", &in_30_s()).await
}

fn refused(code: &str, message: &str) -> Answer {
    Answer::Refused { code: code.into(), message: message.into() }
}

#[tokio::test]
async fn one_connection_and_the_right_request() {
    let page = |has_more, ids: &[&str]| {
        let data: Vec<Value> = ids.iter().map(|id| transfer_json(id)).collect();
        say(200, json!({"object": "list", "data": data, "has_more": has_more, "url": "/v1/transfers"}))
    };
    let balance = json!({"object": "balance", "livemode": false, "pending": [], "available": [
        {"amount": 700, "currency": "usd"}, {"amount": 5, "currency": "eur"}, {"amount": 77, "currency": "usd"}]});
    let accepted = || say(200, transfer_json("tr_1"));
    let says = [accepted(), accepted(), page(true, &["tr_1", "tr_2"]), page(false, &["tr_3"]), say(200, balance)];
    let (server, address) = Server::start(says).await;
    let stripe = client(&address);

    assert_eq!(create(&stripe).await, Ok(Answer::Accepted { transfer: transfer("tr_1") }));
    assert_eq!(create(&stripe).await, Ok(Answer::Accepted { transfer: transfer("tr_1") }));
    let listed = stripe.list(&params().transfer_group).await.unwrap();
    assert_eq!(listed, ["tr_1", "tr_2", "tr_3"].map(transfer));
    assert_eq!(stripe.available_minor("usd").await, Ok(777));

    let heard = server.heard();
    assert_eq!(heard.len(), 5);
    assert!(heard.iter().all(|h| h.from == heard[0].from), "one connection for all: {heard:?}");
    let first = &heard[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/v1/transfers"));
    assert_eq!(first.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(first.headers["idempotency-key"], "aikit-test-po-run_1:P00001-1");
    assert_eq!(first.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(first.headers["content-length"], first.body.len().to_string().as_str());
    assert!(first.headers["stripe-version"].to_str().unwrap().starts_with("2026-"));
    let form: Vec<(String, String)> =
        reqwest::Url::parse(&format!("http://x/?{}", first.body)).unwrap().query_pairs().into_owned().collect();
    let mut sent: Vec<(&str, &str)> = form.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    sent.sort_unstable();
    let expected = [
        ("amount", "12300"),
        ("currency", "usd"),
        ("description", "AIKit partner commission 2026-10"),
        ("destination", "acct_1"),
        ("metadata[item]", ITEM),
        ("transfer_group", "aikit:test:run_1:P00001"),
    ];
    assert_eq!(sent, expected);
    assert_eq!(heard[0].body, heard[1].body, "a resend is the same request to the byte");
    assert!(heard[2].path.contains("limit=100") && !heard[2].path.contains("starting_after"), "{}", heard[2].path);
    assert!(heard[3].path.contains("starting_after=tr_2"), "{}", heard[3].path);
    assert!(heard[2].headers.get("idempotency-key").is_none());
}

/// The table of answers. Each is said once and asked for once: whatever a header invites to, nothing is repeated.
#[tokio::test]
async fn every_answer_has_its_class() {
    let html = "<html><body>Bad gateway</body></html>";
    let api = |code: Option<&str>| problem("invalid_request_error", code, "No.");
    let idempotency = |code: Option<&str>| problem("idempotency_error", code, "Other parameters.");
    let table = [
        (say(502, html), Answer::ServerError { status: 502 }),
        (say(500, problem("api_error", None, "Sorry.")), Answer::ServerError { status: 500 }),
        (say(503, api(Some("account_invalid"))), Answer::ServerError { status: 503 }),
        (say(200, html), Answer::Lost),
        (say(200, ""), Answer::Lost),
        (say(200, json!({"id": "tr_1", "object": "transfer"})), Answer::Lost),
        (say(200, problem("api_error", None, "Hm.")), Answer::Lost),
        (say(302, ""), Answer::Lost),
        (say(400, idempotency(None)), Answer::KeyMisused),
        (say(400, api(Some("balance_insufficient"))), refused("balance_insufficient", "No.")),
        (say(400, api(None)), refused("invalid_request_error", "No.")),
        (say(402, api(Some("card_declined"))), refused("card_declined", "No.")),
        (say(403, api(Some("account_invalid"))), refused("account_invalid", "No.")),
        (say(404, api(Some("resource_missing"))), refused("resource_missing", "No.")),
        (say(400, html), Answer::Lost),
        (say(403, html), Answer::Lost),
        (say(404, "{}"), Answer::Lost),
        (say(408, html), Answer::Lost),
        (say(424, api(None)), Answer::Lost),
        (say(401, problem("invalid_request_error", None, "No such key.")), Answer::Unauthorized),
        (say(401, html), Answer::Unauthorized),
        (say(409, idempotency(Some("idempotency_key_in_use"))), Answer::Busy),
        (say(429, problem("invalid_request_error", Some("rate_limit"), "Slower.")), Answer::Busy),
        (say(429, html), Answer::Busy),
    ];
    for (mut said, expected) in table {
        let shown = format!("{} {}", said.status, said.body);
        said.headers.extend([
            ("retry-after", "0".to_string()),
            ("stripe-should-retry", "true".to_string()),
            ("location", "/v1/transfers".to_string()),
        ]);
        let (server, address) = Server::start([said]).await;
        assert_eq!(create(&client(&address)).await, Ok(expected), "{shown}");
        assert_eq!(server.heard().len(), 1, "{shown}");
    }
}

#[tokio::test]
async fn no_answer_is_lost_and_no_request_is_not_sent() {
    let late = Say { after: Duration::from_secs(5), ..say(200, transfer_json("tr_1")) };
    let (server, address) = Server::start([late]).await;
    let stripe = client(&address).with_total_timeout(Duration::from_millis(300));
    assert_eq!(create(&stripe).await, Ok(Answer::Lost), "a timeout");
    assert_eq!(server.heard().len(), 1);

    let cut = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stripe = client(&format!("http://{}", cut.local_addr().unwrap()));
    let cutting = tokio::spawn(async move {
        for answer in ["", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"id\":"] {
            let (socket, _) = cut.accept().await.unwrap();
            let mut buffer = [0; 4_096];
            let mut read = 0;
            while !buffer[..read].ends_with(b"P00001") {
                socket.readable().await.unwrap();
                read += socket.try_read(&mut buffer[read..]).unwrap_or(0);
            }
            socket.try_write(answer.as_bytes()).unwrap();
        }
        cut
    });
    assert_eq!(create(&stripe).await, Ok(Answer::Lost), "a connection that ends without an answer");
    assert_eq!(create(&stripe).await, Ok(Answer::Lost), "a connection that ends within the answer");

    drop(cutting.await.unwrap());
    let nobody = create(&stripe).await.unwrap_err();
    assert!(nobody.reason.contains("could not be opened"), "{nobody}");
}

#[tokio::test]
async fn after_the_deadline_nothing_is_written() {
    let (server, address) = Server::start([say(200, transfer_json("tr_1"))]).await;
    let stripe = client(&address);
    let passed = Deadline::after(Duration::ZERO, Arc::new(SystemClock));
    let not_sent = stripe.create(&params(), "aikit-1", &passed).await.unwrap_err();
    assert!(not_sent.reason.contains("too late"), "{not_sent}");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(server.heard().iter().filter(|h| !h.body.is_empty()).count(), 0);

    for key in ["", "a\nb", &"k".repeat(256)] {
        assert!(stripe.create(&params(), key, &in_30_s()).await.is_err(), "{key:?} is no key");
    }
    assert_eq!(create(&stripe).await, Ok(Answer::Accepted { transfer: transfer("tr_1") }));
}

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Audit for Told {
    fn exchange(&self, exchange: &Exchange<'_>) {
        if let Ok(mut told) = self.0.lock() {
            told.push(format!("{exchange:?}"));
        }
    }
}

#[tokio::test]
async fn the_key_is_shown_to_nobody() {
    let echo = format!("The provided key '{KEY}' does not have the required permissions");
    let replay = Say {
        headers: vec![("request-id", "req_7".into()), ("idempotent-replayed", "true".into())],
        ..say(400, problem("idempotency_error", None, &echo))
    };
    let (_server, address) = Server::start([say(403, problem("invalid_request_error", None, &echo)), replay]).await;
    let told = Arc::new(Told::default());
    let stripe = client(&address).with_audit(told.clone());
    let refused = create(&stripe).await.unwrap();
    let misused = stripe.list("g").await.unwrap_err();
    assert!(matches!(misused, StripeError::KeyMisused { .. }));
    let told = told.0.lock().unwrap().join("\n");
    for shown in [format!("{refused:?}"), format!("{misused:?} {misused}"), format!("{stripe:?}"), told.clone()] {
        assert!(!shown.contains("Secret"), "{shown}");
    }
    for part in ["POST", "v1/transfers", "aikit-test-po-", "403", "400", "req_1", "req_7", "replayed: true", "[key]"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let ledger = HttpLedger::new(&address, &SecretString::from("executor-Secret")).unwrap();
    assert!(!format!("{ledger:?}").contains("Secret"));
}

#[test]
fn only_stripe_and_this_computer_are_addresses() {
    let new = |key: &str, base: Option<&str>| StripeHttp::new(SecretString::from(key), base);
    for base in [None, Some("http://127.0.0.1:1"), Some("http://[::1]:1/x"), Some("http://localhost:1/")] {
        assert!(!new(KEY, base).unwrap().is_live(), "{base:?}");
    }
    assert!(new("sk_live_1", None).unwrap().is_live());
    let elsewhere = [
        "https://api.stripe.com.example/",
        "http://127.0.0.1@stripe.example/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://localhost.example/",
        "file:///127.0.0.1",
        "127.0.0.1:1",
        "",
    ];
    for base in elsewhere {
        let refused = new(KEY, Some(base)).unwrap_err();
        assert!(matches!(refused, ConfigError::NotLoopback { .. }), "{base}: {refused}");
        assert!(HttpLedger::new(base, &SecretString::from("k")).is_err() || base.starts_with("https://"), "{base}");
    }
    assert!(matches!(new("sk_live_1", Some("http://127.0.0.1:1")), Err(ConfigError::LiveKeyOnLoopback)));
    for key in ["", "pk_test_1", "sk_1", "sk_test_", "sk_prod_1", " sk_test_1"] {
        assert!(matches!(new(key, None), Err(ConfigError::KeyShape)), "{key:?}");
    }
    assert!(matches!(new("sk_test_1\n", None), Err(ConfigError::KeyCharacters)));
}

#[tokio::test]
async fn the_ledger_over_http() {
    let refusal = json!({"code": "changed", "message": "The item was changed. Look again."});
    let says = [
        say(200, json!({"do": "send", "attempt": 2, "version": 5})),
        say(409, refusal),
        say(502, "<html>"),
        say(404, "<html>"),
        say(200, "{}"),
    ];
    let (server, address) = Server::start(says).await;
    let ledger = HttpLedger::new(&format!("{address}/api"), &SecretString::from("executor-key")).unwrap();
    let seen = Observe { grant: "g".into(), fence: 3, transfers: vec![transfer("tr_1")] };
    let item = "run 1/../x:P?1#%";

    let send = ledger.observe(item, &seen).await.unwrap();
    assert!(matches!(send, Observed::Send { attempt: 2, version: 5 }));
    let heard = &server.heard()[0];
    assert_eq!(heard.path, "/api/v1/items/run%201%2F..%2Fx:P%3F1%23%25/observations");
    assert_eq!(heard.headers["authorization"], "Bearer executor-key");
    let sent: Observe = serde_json::from_str(&heard.body).unwrap();
    assert_eq!((sent.fence, sent.transfers), (3, seen.transfers.clone()));

    let refused = ledger.observe(item, &seen).await.unwrap_err();
    assert_eq!(refused.to_string(), "The item was changed. Look again.");
    assert!(matches!(&refused, LedgerError::Refused(body) if body.code == ErrorCode::Changed));
    assert!(matches!(ledger.observe(item, &seen).await, Err(LedgerError::Unreachable { .. })));
    assert!(matches!(ledger.observe(item, &seen).await, Err(LedgerError::Unreadable { .. })));
    assert!(matches!(ledger.observe(item, &seen).await, Err(LedgerError::Unreadable { .. })));
}
