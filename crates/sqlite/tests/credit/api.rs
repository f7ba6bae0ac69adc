//! The real router on a SQLite file with D1's limits; the clock, the randomness and the mailbox are the test's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::BodyExt as _;
use referral::db::{BoxFut, Db, Stmt};
use referral::ports::{Config, Host, Http, HttpRequest, HttpResponse, Letter, Mail};
use referral::{Actor, App};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use url::Url;

use crate::database::database;
use wire::Role;

/// A browser's name for itself.
const PERSON: &str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0";

/// A visitor's cookies.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) code: Option<String>,
    pub(crate) click: Option<String>,
}

/// Randomness that is the same in every run, and a clock that the test moves.
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

/// No Stripe here: what these tests are about does not call it.
struct Offline;

impl Http for Offline {
    fn send(&self, _: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        Box::pin(async { Err("there is no network".into()) })
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

    /// Status and code of a refusal; every refusal says something.
    pub(crate) fn refused(self) -> (u16, String) {
        let body = self.json();
        let (code, message) = (body["code"].as_str(), body["message"].as_str().unwrap_or_default());
        assert!(!self.status.is_success() && !message.is_empty(), "{self:?}");
        (self.status.as_u16(), code.unwrap_or_default().to_owned())
    }

    pub(crate) fn location(&self) -> String {
        self.headers.get(header::LOCATION).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// The value of a cookie that was set.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.headers.get_all(header::SET_COOKIE).iter().map(|v| v.to_str().unwrap());
        let mut values = lines.filter_map(|l| l.strip_prefix(name)?.strip_prefix('=')?.split(';').next());
        values.next().map(str::to_owned)
    }
}

/// One API with an empty database.
pub(crate) struct Api {
    pub(crate) app: App,
    pub(crate) db: Arc<dyn Db>,
    router: Router,
    host: Arc<TestHost>,
    mail: Arc<Mailbox>,
}

impl Api {
    pub(crate) fn new() -> Api {
        let db = database();
        let host = Arc::new(TestHost { now: Mutex::new(at("2026-03-01T09:00:00Z")), drawn: AtomicU64::new(0) });
        let mail = Arc::new(Mailbox::default());
        let config = Config {
            public_url: Url::parse("https://partners.aikit.example/").unwrap(),
            site: Url::parse("https://aikit.example/").unwrap(),
            more_sites: vec![Url::parse("https://docs.aikit.example/").unwrap()],
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
            oidc: None,
            email_codes: true,
            cors_origins: Vec::new(),
            webhooks: Vec::new(),
        };
        let app = App::new(db.clone(), Arc::new(Offline), mail.clone(), host.clone(), Arc::new(config));
        Api { router: referral::router(app.clone()), app, db, host, mail }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.host.now()
    }

    pub(crate) fn wait(&self, time: TimeDelta) {
        *self.host.now.lock().unwrap() += time;
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// A GET with a bearer, which may be empty.
    pub(crate) async fn get(&self, bearer: &str, path: &str) -> Answer {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// A POST of JSON with a bearer.
    pub(crate) async fn post(&self, bearer: &str, path: &str, body: Value) -> Answer {
        self.raw(Method::POST, bearer, path, body.to_string()).await
    }

    pub(crate) async fn raw(&self, method: Method, bearer: &str, path: &str, body: String) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// A person's browser goes to an address of ours and keeps the cookies.
    pub(crate) async fn visit(&self, path: &str, browser: &mut Browser) -> Answer {
        self.visit_as(path, browser, &[("user-agent", PERSON)]).await
    }

    pub(crate) async fn visit_as(&self, path: &str, browser: &mut Browser, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let (Some(code), Some(click)) = (&browser.code, &browser.click) {
            request = request.header(header::COOKIE, format!("ref={code}; ref_click={click}"));
        }
        let answer = self.send(request.body(Body::empty()).unwrap()).await;
        if let (Some(code), Some(click)) = (answer.cookie("ref"), answer.cookie("ref_click")) {
            *browser = Browser { code: Some(code), click: Some(click) };
        }
        answer
    }

    /// AIKit's backend reports a sign-up of `customer`, whose address is at `{customer}.example` and whose Stripe customer
    /// is `cus_{customer}`.
    pub(crate) async fn sign_up(&self, key: &str, customer: &str, browser: &Browser) -> Value {
        let form = json!({"customer_id": customer, "email": format!("it@{customer}.example"), "ref": browser.code,
            "click_id": browser.click, "stripe_customer_id": format!("cus_{customer}")});
        self.post(key, "/v1/signups", form).await.ok()
    }

    /// Stripe tells something, properly signed.
    pub(crate) async fn stripe(&self, kind: &str, object: Value) {
        let (id, t) = (self.drawn("evt"), self.now().timestamp());
        let event =
            json!({"id": id, "type": kind, "created": t, "livemode": false, "data": {"object": object}}).to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(b"whsec_account").unwrap();
        mac.update(format!("{t}.{event}").as_bytes());
        let signature = format!("t={t},v1={}", hex::encode(mac.finalize().into_bytes()));
        let request = Request::post("/v1/webhooks/stripe/account").header("stripe-signature", signature);
        self.send(request.body(Body::from(event)).unwrap()).await.ok();
    }

    /// The customer subscribes at $500 a month and pays the first invoice.
    pub(crate) async fn pays(&self, customer: &str) {
        let (now, cus) = (self.now().timestamp(), format!("cus_{customer}"));
        let price = json!({"unit_amount": 50_000, "recurring": {"interval": "month"}});
        let subscription = json!({"id": format!("sub_{customer}"), "customer": cus, "start_date": now, "items": {"data": [{"price": price, "quantity": 1}]}});
        self.stripe("customer.subscription.created", subscription).await;
        let line = json!({"amount": 50_000, "parent": {"type": "subscription_item_details"}, "period": {"start": now, "end": now + 2_592_000}});
        let invoice = json!({"id": self.drawn("in"), "customer": cus, "currency": "usd", "amount_paid": 50_000, "total": 50_000,
            "parent": {"subscription_details": {"subscription": format!("sub_{customer}")}}, "lines": {"data": [line]}});
        self.stripe("invoice.paid", invoice).await;
    }

    fn drawn(&self, prefix: &str) -> String {
        format!("{prefix}_{}", self.host.drawn.fetch_add(1, Ordering::Relaxed))
    }

    /// Signs in by e-mail code; answers the access token.
    pub(crate) async fn sign_in(&self, email: &str) -> String {
        self.wait(TimeDelta::minutes(3));
        self.post("", "/v1/auth/codes", json!({"email": email})).await.ok();
        let mail = self.mail.0.lock().unwrap().pop_back().unwrap();
        assert_eq!(mail.0, email);
        let code = mail.1.split(' ').next().unwrap().to_owned();
        let session = self.post("", "/v1/auth/sessions", json!({"email": email, "code": code, "keep": "token"})).await;
        session.ok()["access_token"].as_str().unwrap().to_owned()
    }

    /// One of AIKit's own people, signed in.
    pub(crate) async fn colleague(&self, role: Role) -> String {
        let email = format!("{role:?}@aikit.example").to_lowercase();
        match referral::add_person(&self.app, &Actor::Operator, &email, role).await {
            Ok(_) => {}
            Err(known) => assert_eq!(known.code, wire::ErrorCode::Conflict),
        }
        self.sign_in(&email).await
    }

    /// An agency joins; answers its code. Its owner is `owner@{domain}`.
    pub(crate) async fn join(&self, domain: &str) -> String {
        let terms = self.get("", "/v1/terms/current").await.ok();
        let form = json!({"agency_name": format!("Agency {domain}"), "email": format!("owner@{domain}"),
            "website": format!("https://www.{domain}/"), "country": "US", "accept_terms": terms["version"]});
        self.post("", "/v1/partners", form).await.ok()["partner_code"].as_str().unwrap().to_owned()
    }

    /// A key of AIKit's backend.
    pub(crate) async fn server_key(&self) -> String {
        referral::issue_key(&self.app, &Actor::Operator, wire::KeyKind::Server, "test").await.unwrap().secret
    }

    /// Rows of a query, as JSON.
    pub(crate) async fn rows(&self, sql: &'static str) -> Value {
        let rows = self.db.query(Stmt { sql: sql.into(), params: Vec::new() }).await.unwrap();
        Value::Array(rows.all().unwrap())
    }
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}
