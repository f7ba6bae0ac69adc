//! The API on a database in memory, with a clock, randomness and a Stripe that the test holds.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::BodyExt as _;
use referral::db::{BoxFut, Db, Stmt};
use referral::ports::{Config, Host, Http, HttpRequest, HttpResponse, Letter, Mail};
use referral::{App, sql};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::Url;

pub(crate) mod database;

use database::database;

pub(crate) const ACCOUNT_SECRET: &str = "whsec_account";
pub(crate) const CONNECT_SECRET: &str = "whsec_connect";

/// A clock that stands still, and bytes that come in order.
pub(crate) struct Still {
    now: Mutex<DateTime<Utc>>,
    pub(crate) drawn: Mutex<u64>,
}

impl Host for Still {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random(&self, into: &mut [u8]) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in into {
            *drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (*drawn >> 33) as u8;
        }
    }

    fn later(&self, work: BoxFut<'static, ()>) {
        futures::executor::block_on(tokio::task::unconstrained(work));
    }
}

/// Stripe as the test wants it: answers by path and query, and what was asked.
#[derive(Default)]
pub(crate) struct Stripe {
    pub(crate) answers: Mutex<BTreeMap<String, (u16, Value)>>,
    pub(crate) asked: Mutex<Vec<String>>,
    /// Idempotency keys, in the order in which they came.
    pub(crate) keys: Mutex<Vec<String>>,
    /// Connected accounts that were asked about as themselves.
    pub(crate) accounts: Mutex<Vec<String>>,
    pub(crate) letters: Mutex<Vec<(String, String, String)>>,
    /// What happens while the next question is being answered.
    pub(crate) meanwhile: Mutex<Option<BoxFut<'static, ()>>>,
}

impl Stripe {
    pub(crate) fn will_answer(&self, path: &str, status: u16, body: Value) {
        self.answers.lock().unwrap().insert(path.into(), (status, body));
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn answer(&self, url: &Url) -> Result<HttpResponse, String> {
        let path = url.path().to_owned();
        let whole = url.query().map_or(path.clone(), |q| format!("{path}?{q}"));
        self.asked.lock().unwrap().push(whole.clone());
        let answers = self.answers.lock().unwrap();
        let found = answers.get(&whole).or_else(|| answers.get(&path));
        let (status, body) = found.cloned().ok_or("no connection")?;
        Ok(HttpResponse { status, body: body.to_string() })
    }
}

impl Http for Stripe {
    fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        Box::pin(async move {
            let meanwhile = self.meanwhile.lock().unwrap().take();
            if let Some(meanwhile) = meanwhile {
                meanwhile.await;
            }
            let header = |wanted: &str| request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            self.keys.lock().unwrap().extend(header("idempotency-key").map(|(_, key)| key.clone()));
            self.accounts.lock().unwrap().extend(header("stripe-account").map(|(_, account)| account.clone()));
            self.answer(&request.url)
        })
    }
}

impl Mail for Stripe {
    fn post(&self, letter: Letter) -> BoxFut<'_, Result<(), String>> {
        self.letters.lock().unwrap().push((letter.to, letter.subject, letter.text));
        Box::pin(async { Ok(()) })
    }
}

/// An API of its own.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) stripe: Arc<Stripe>,
    pub(crate) still: Arc<Still>,
    router: axum::Router,
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

impl World {
    pub(crate) fn new() -> World {
        World::with(|_| {})
    }

    /// A world whose configuration is changed first.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> World {
        World::over(database(), change)
    }

    /// One over a database of the test's.
    pub(crate) fn over(db: Arc<dyn Db>, change: impl FnOnce(&mut Config)) -> World {
        let mut config = Config {
            public_url: Url::parse("http://localhost:8787/").unwrap(),
            site: Url::parse("https://aikit.example/").unwrap(),
            more_sites: Vec::new(),
            cookie_domain: None,
            cookie_http_only: false,
            terms: referral::default_terms().unwrap(),
            platform_country: "US".into(),
            currency: "usd".into(),
            live: false,
            approvals_needed: 1,
            demo: true,
            payer: Default::default(),
            accounts: Default::default(),
            stripe_api: Url::parse("http://127.0.0.1:1/").unwrap(),
            stripe_connect_key: "rk_test_connect".into(),
            stripe_read_key: "rk_test_read".into(),
            webhook_secret_account: ACCOUNT_SECRET.into(),
            webhook_secret_connect: CONNECT_SECRET.into(),
            oidc: None,
            email_codes: true,
            cors_origins: Vec::new(),
            webhooks: Vec::new(),
        };
        change(&mut config);
        let still = Arc::new(Still { now: Mutex::new(at("2026-06-01T00:00:00Z")), drawn: Mutex::new(1) });
        let stripe = Arc::new(Stripe::default());
        let app = App::new(db, stripe.clone(), stripe.clone(), still.clone(), Arc::new(config));
        World { router: referral::router(app.clone()), app, stripe, still }
    }

    pub(crate) fn pass(&self, time: TimeDelta) {
        *self.still.now.lock().unwrap() += time;
    }

    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.answer(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub(crate) async fn call(&self, method: &str, path: &str, bearer: &str, body: Value) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if !bearer.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        let body = if method == "GET" { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.body(body).unwrap()).await
    }

    /// Rows of a table, for a look at what is stored.
    pub(crate) async fn rows(&self, text: &'static str) -> Vec<Value> {
        self.app.db.query(sql!(text)).await.unwrap().all().unwrap()
    }

    pub(crate) async fn run(&self, stmt: Stmt) {
        self.app.db.query(stmt).await.unwrap();
    }

    /// Joins an agency and gives it an account; answers its code.
    pub(crate) async fn join(&self, domain: &str, account: &str) -> String {
        let (_, terms) = self.call("GET", "/v1/terms/current", "", Value::Null).await;
        let form = json!({"agency_name": domain, "email": format!("owner@{domain}"), "website": domain, "country": "US",
            "accept_terms": terms["version"]});
        let (status, joined) = self.call("POST", "/v1/partners", "", form).await;
        assert_eq!(status, StatusCode::CREATED, "{joined}");
        let code = joined["partner_code"].as_str().unwrap().to_owned();
        self.run(sql!("UPDATE partner SET account = ?2, transfers = 'inactive' WHERE code = ?1", &code, account)).await;
        code
    }

    /// A session of one of the people.
    pub(crate) async fn session(&self, email: &str) -> String {
        let people: Vec<Value> =
            self.app.db.query(sql!("SELECT id FROM person WHERE email = ?1", email)).await.unwrap().all().unwrap();
        let form = json!({"person": people[0]["id"], "keep": "token"});
        let (status, session) = self.call("POST", "/v1/demo/sessions", "", form).await;
        assert_eq!(status, StatusCode::OK, "{session}");
        session["access_token"].as_str().unwrap().to_owned()
    }

    /// An event as Stripe posts it.
    pub(crate) async fn event(&self, event: &Value) -> (StatusCode, Value) {
        let connect = event["account"].is_string()
            || matches!(event["type"].as_str(), Some("account.updated" | "capability.updated"));
        let (path, secret) = if connect { ("connect", CONNECT_SECRET) } else { ("account", ACCOUNT_SECRET) };
        let body = event.to_string();
        self.post(path, &signed(secret, self.app.host.now().timestamp(), &body), body).await
    }

    pub(crate) async fn post(&self, endpoint: &str, signature: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post(format!("/v1/webhooks/stripe/{endpoint}")).header("stripe-signature", signature);
        self.send(request.body(body.into()).unwrap()).await
    }
}

/// A signature header for a body at an instant.
pub(crate) fn signed(secret: &str, instant_s: i64, body: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{instant_s}.{body}").as_bytes());
    format!("t={instant_s},v1={}", hex::encode(mac.finalize().into_bytes()))
}
