//! One API with an empty database. The clock, the randomness, the mailbox and the network are the test's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt as _;
use referral::db::{BoxFut, Db, Stmt};
use referral::ports::{Caller, Config, Host, Http, HttpRequest, HttpResponse, Letter, Mail, Oidc};
use referral::{Actor, App};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use url::Url;

use crate::database::database;
use wire::Role;

/// Where the API is reached.
pub(crate) const HERE: &str = "https://partners.aikit.example";

struct TestHost {
    now: Mutex<DateTime<Utc>>,
    drawn: AtomicU64,
}

impl Host for TestHost {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    fn random(&self, into: &mut [u8]) {
        for chunk in into.chunks_mut(32) {
            let block = Sha256::digest(self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn later(&self, work: BoxFut<'static, ()>) {
        futures::executor::block_on(tokio::task::unconstrained(work));
    }
}

#[derive(Default)]
struct Mailbox(Mutex<VecDeque<(String, String)>>);

impl Mail for Mailbox {
    fn post(&self, letter: Letter) -> BoxFut<'_, Result<(), String>> {
        self.0.lock().unwrap().push_back((letter.to, letter.subject));
        Box::pin(async { Ok(()) })
    }
}

/// What the network answers to a request.
pub(crate) type Network = Arc<dyn Fn(HttpRequest) -> Result<HttpResponse, String> + Send + Sync>;

struct Wire(Network);

impl Http for Wire {
    fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        let answer = (self.0)(request);
        Box::pin(async move { answer })
    }
}

/// What a call answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The body of a success.
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        self.json()
    }

    /// Status and code of a refusal; every refusal says something, and nothing of what it was given as a secret.
    pub(crate) fn refused(self) -> (u16, String) {
        let body = self.json();
        let (code, message) = (body["code"].as_str(), body["message"].as_str().unwrap_or_default());
        assert!(!self.status.is_success() && !message.is_empty() && !message.contains("aik_"), "{self:?}");
        (self.status.as_u16(), code.unwrap_or_default().to_owned())
    }

    pub(crate) fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |v| v.to_str().unwrap())
    }

    /// The line that sets a cookie, and its value.
    pub(crate) fn cookie(&self, name: &str) -> Option<(String, String)> {
        let mut lines = self.headers.get_all(header::SET_COOKIE).iter().map(|v| v.to_str().unwrap());
        let line = lines.find(|l| l.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))?;
        let value = line[name.len() + 1..].split(';').next()?;
        Some((line.to_owned(), value.to_owned()))
    }
}

/// A request in the making.
pub(crate) struct Ask<'a> {
    api: &'a Api,
    request: axum::http::request::Builder,
    body: Body,
}

impl Ask<'_> {
    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Comes from this network address.
    pub(crate) fn from(mut self, address: &str) -> Self {
        self.request = self.request.extension(Caller(address.parse().unwrap()));
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self.api.router.clone().oneshot(self.request.body(self.body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }
}

pub(crate) struct Api {
    pub(crate) app: App,
    db: Arc<dyn Db>,
    router: Router,
    host: Arc<TestHost>,
    mail: Arc<Mailbox>,
}

impl Api {
    /// People sign in by e-mail code.
    pub(crate) fn new() -> Api {
        Api::with(None, Arc::new(|_| Err("there is no network".into())))
    }

    /// People sign in at an issuer, which the network leads to.
    pub(crate) fn with(oidc: Option<Oidc>, network: Network) -> Api {
        let db = database();
        let began = DateTime::parse_from_rfc3339("2026-11-02T09:00:00Z").unwrap().to_utc();
        let host = Arc::new(TestHost { now: Mutex::new(began), drawn: AtomicU64::new(0) });
        let mail = Arc::new(Mailbox::default());
        let config = Config {
            public_url: Url::parse(HERE).unwrap(),
            site: Url::parse("https://aikit.example/").unwrap(),
            more_sites: Vec::new(),
            cookie_domain: Some("aikit.example".into()),
            cookie_http_only: true,
            terms: referral::default_terms().unwrap(),
            platform_country: "US".into(),
            currency: "usd".into(),
            live: false,
            approvals_needed: 1,
            demo: false,
            payer: Default::default(),
            accounts: Default::default(),
            stripe_api: Url::parse("http://127.0.0.1:9/").unwrap(),
            stripe_connect_key: String::new(),
            stripe_read_key: String::new(),
            webhook_secret_account: "whsec_account".into(),
            webhook_secret_connect: "whsec_connect".into(),
            email_codes: oidc.is_none(),
            oidc,
            cors_origins: vec![Url::parse("https://aikit.example/").unwrap()],
            webhooks: Vec::new(),
        };
        let http = Arc::new(Wire(network));
        let app = App::new(db.clone(), http, mail.clone(), host.clone(), Arc::new(config));
        Api { router: referral::router(app.clone()), app, db, host, mail }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.host.now()
    }

    pub(crate) fn wait(&self, time: TimeDelta) {
        *self.host.now.lock().unwrap() += time;
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        Ask { api: self, request: Request::get(path), body: Body::empty() }
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Ask<'_> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        Ask { api: self, request, body: Body::from(body.to_string()) }
    }

    pub(crate) fn preflight(&self, path: &str, origin: &str) -> Ask<'_> {
        let request = Request::options(path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        Ask { api: self, request, body: Body::empty() }
    }

    /// The newest code that was sent to an address.
    pub(crate) fn code(&self, email: &str) -> Option<String> {
        let mails = self.mail.0.lock().unwrap();
        let (_, subject) = mails.iter().rev().find(|(to, _)| to == email)?;
        subject.split(' ').next().map(str::to_owned)
    }

    pub(crate) fn mails(&self) -> usize {
        self.mail.0.lock().unwrap().len()
    }

    /// Signs in by e-mail code; answers the whole session.
    pub(crate) async fn sign_in(&self, email: &str) -> Value {
        self.wait(TimeDelta::minutes(3));
        self.post("/v1/auth/codes", json!({"email": email})).send().await.ok();
        let code = self.code(email).unwrap();
        let body = json!({"email": email, "code": code, "keep": "token"});
        self.post("/v1/auth/sessions", body).send().await.ok()
    }

    /// One of AIKit's own people.
    pub(crate) async fn add(&self, email: &str, role: Role) -> String {
        referral::add_person(&self.app, &Actor::Operator, email, role).await.unwrap()
    }

    /// The same, signed in: the access token.
    pub(crate) async fn colleague(&self, email: &str, role: Role) -> String {
        self.add(email, role).await;
        text(&self.sign_in(email).await, "access_token")
    }

    /// An agency joins; its owner is `owner@{domain}`.
    pub(crate) async fn join(&self, domain: &str) {
        self.join_form(domain).await.send().await.ok();
    }

    pub(crate) async fn join_form(&self, domain: &str) -> Ask<'_> {
        let terms = self.get("/v1/terms/current").send().await.ok();
        let form = json!({"agency_name": format!("Agency {domain}"), "email": format!("owner@{domain}"),
            "website": format!("https://www.{domain}/"), "country": "US", "accept_terms": terms["version"]});
        self.post("/v1/partners", form)
    }

    /// Rows of a query, as JSON.
    pub(crate) async fn rows(&self, sql: &'static str) -> Value {
        let rows = self.db.query(Stmt { sql: sql.into(), params: Vec::new() }).await.unwrap();
        Value::Array(rows.all().unwrap())
    }
}

/// A text field.
pub(crate) fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}")).to_owned()
}
