//! A stand-in in this process, a client for it, and a receiver of its events.
#![expect(clippy::unwrap_used, reason = "test support: a failed step is a failed test")]

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use fake_stripe::{Options, start};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

pub(crate) const SECRET: &str = "whsec_account";
pub(crate) const CONNECT_SECRET: &str = "whsec_connect";

static BENCHES: AtomicU32 = AtomicU32::new(0);

/// A folder of this test's own, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let count = BENCHES.fetch_add(1, Ordering::SeqCst);
        let path = std::env::temp_dir().join(format!("fake-stripe-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("state.sqlite")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed harms no later test.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What a call answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body.pointer("/error/code").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> &str {
        self.body.pointer("/error/type").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn replayed(&self) -> bool {
        self.headers.contains_key("idempotent-replayed")
    }
}

/// A client of one stand-in.
pub(crate) struct Bench {
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    _folder: Option<Folder>,
}

impl Bench {
    /// What a connected account itself sees.
    pub(crate) async fn of_account(&self, account: &str, path: &str) -> Value {
        self.request("GET", path).header("stripe-account", account).send().await.unwrap().json().await.unwrap()
    }

    /// A fresh stand-in in this process.
    pub(crate) async fn start(now: &str) -> Self {
        let folder = Folder::new();
        let options = Options {
            port: 0,
            data: folder.data(),
            account_webhook: None,
            connect_webhook: None,
            now: Some(now.to_owned()),
            seed: 1,
            exchanges: std::env::var_os("FAKE_STRIPE_EXCHANGES").map(PathBuf::from),
        };
        let standin = start(options).await.unwrap();
        let base = format!("http://{}", standin.address());
        tokio::spawn(standin.serve(std::future::pending()));
        Self { _folder: Some(folder), ..Self::at(base) }
    }

    /// A client of a stand-in that runs elsewhere.
    pub(crate) fn at(base: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { base, http, _folder: None }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.base);
        self.http.request(method.parse().unwrap(), url).bearer_auth("sk_test_bench")
    }

    pub(crate) async fn call(&self, method: &str, path: &str, form: &str, key: Option<&str>) -> Answer {
        let mut request = self.request(method, path);
        if method != "GET" {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.json().await.unwrap() }
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Value {
        let answer = self.call("POST", path, form, None).await;
        assert_eq!(answer.status, 200, "POST {path} {form}: {}", answer.body);
        answer.body
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.call("GET", path, "", None).await;
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.body);
        answer.body
    }

    pub(crate) async fn try_control(&self, path: &str, body: Value) -> (u16, Value) {
        let response = self.http.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_control(path, body.clone()).await;
        assert_eq!(status, 200, "POST {path} {body}: {answer}");
        answer
    }

    pub(crate) async fn clock(&self, now: &str) -> Value {
        self.control("/_clock", json!({ "now": now })).await
    }

    pub(crate) async fn deliver_to(&self, receiver: &Receiver) {
        let wanted = json!({
            "account": { "url": format!("{}/account", receiver.base), "secret": SECRET },
            "connect": { "url": format!("{}/connect", receiver.base), "secret": CONNECT_SECRET },
        });
        self.control("/_control/webhooks", wanted).await;
    }

    pub(crate) async fn customer(&self) -> String {
        id(&self.post("/v1/customers", "email=ada@client.example&name=Ada&metadata[referral_id]=r_1").await)
    }

    /// A monthly or yearly subscription; `more` is appended to the form.
    pub(crate) async fn subscribe(&self, customer: &str, unit_amount: i64, interval: &str, more: &str) -> Value {
        let product = id(&self.post("/v1/products", "name=Growth").await);
        let form = format!(
            "customer={customer}&items[0][price_data][currency]=usd&items[0][price_data][unit_amount]={unit_amount}\
             &items[0][price_data][recurring][interval]={interval}&items[0][price_data][product]={product}{more}"
        );
        self.post("/v1/subscriptions", &form).await
    }

    /// An account that can receive transfers.
    pub(crate) async fn payable_account(&self) -> String {
        let form = "type=express&country=US&email=ops@agency.example&capabilities[transfers][requested]=true";
        let account = id(&self.post("/v1/accounts", form).await);
        self.control(&format!("/_control/accounts/{account}/onboard"), json!({})).await;
        account
    }

    /// Available and pending cents of the platform.
    pub(crate) async fn cents(&self) -> (i64, i64) {
        let balance = self.get("/v1/balance").await;
        let of = |name: &str| balance[name][0]["amount"].as_i64().unwrap();
        (of("available"), of("pending"))
    }

    pub(crate) async fn transfers(&self) -> usize {
        self.get("/v1/transfers?limit=100").await["data"].as_array().unwrap().len()
    }
}

pub(crate) fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

/// One received event.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) door: String,
    pub(crate) event: Value,
}

impl Received {
    pub(crate) fn kind(&self) -> &str {
        self.event["type"].as_str().unwrap()
    }
}

#[derive(Clone, Default)]
struct Inbox {
    events: Arc<Mutex<Vec<Received>>>,
    refuse: Arc<AtomicU32>,
    bad: Arc<AtomicU32>,
}

/// Takes events at `/account` and `/connect`, checking each signature.
pub(crate) struct Receiver {
    pub(crate) base: String,
    inbox: Inbox,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let inbox = Inbox::default();
        let router = Router::new().route("/{door}", post(take)).with_state(inbox.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, inbox }
    }

    /// The next events are answered with 503, so many times.
    pub(crate) fn refuse(&self, times: u32) {
        self.inbox.refuse.store(times, Ordering::SeqCst);
    }

    /// Everything received so far, every signature checked.
    pub(crate) fn events(&self) -> Vec<Received> {
        assert_eq!(self.inbox.bad.load(Ordering::SeqCst), 0, "a signature was wrong");
        self.inbox.events.lock().unwrap().clone()
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.events().iter().map(|received| received.kind().to_owned()).collect()
    }

    pub(crate) fn of(&self, kind: &str) -> Vec<Value> {
        let of_kind = |received: Received| (received.kind() == kind).then_some(received.event);
        self.events().into_iter().filter_map(of_kind).collect()
    }
}

async fn take(
    State(inbox): State<Inbox>,
    axum::extract::Path(door): axum::extract::Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let secret = if door == "connect" { CONNECT_SECRET } else { SECRET };
    if !signed(headers["stripe-signature"].to_str().unwrap(), secret, &body) {
        inbox.bad.fetch_add(1, Ordering::SeqCst);
        return StatusCode::BAD_REQUEST;
    }
    if inbox.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let event = serde_json::from_slice(&body).unwrap();
    inbox.events.lock().unwrap().push(Received { door, event });
    StatusCode::OK
}

fn signed(header: &str, secret: &str, body: &[u8]) -> bool {
    let part = |name: &str| header.split(',').find_map(|part| part.strip_prefix(name)).unwrap().to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(part("t=").as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(&hex::decode(part("v1=")).unwrap()).is_ok()
}

/// Seconds of an RFC 3339 instant.
pub(crate) fn at(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp()
}
