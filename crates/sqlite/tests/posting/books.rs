//! One API on a database of its own, with agencies, finance, and facts that are recorded by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::{DateTime, Months, TimeDelta, Utc};
use commission::digest::{line_digest, lines_digest};
use commission::{Fact, FactBody, Line, TermsBook, evaluate, parse_fact};
use http_body_util::BodyExt as _;
use referral::db::{BoxFut, Db, Rows, Stmt};
use referral::ports::{Config, Host, Http, HttpRequest, HttpResponse, Letter, Mail};
use referral::{App, sql};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use url::Url;

use crate::database::database;

/// Time and randomness of the test.
pub(crate) struct TestHost {
    pub(crate) now: Mutex<DateTime<Utc>>,
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

/// Nothing here leaves the machine.
struct Offline;

impl Http for Offline {
    fn send(&self, _: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        Box::pin(async { Err("there is no network".into()) })
    }
}

impl Mail for Offline {
    fn post(&self, _: Letter) -> BoxFut<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// One API on a database of its own, with a person of finance and agencies that can be paid.
pub(crate) struct Books {
    pub(crate) db: Arc<dyn Db>,
    pub(crate) host: Arc<TestHost>,
    pub(crate) app: App,
    router: Router,
    terms: TermsBook,
    /// How many must approve a run.
    approvals: u32,
    /// The agency that all facts are of.
    owner: String,
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn app(db: &Arc<dyn Db>, host: &Arc<TestHost>, terms: TermsBook, approvals_needed: u32) -> App {
    let config = Config {
        public_url: Url::parse("https://partners.aikit.example/").unwrap(),
        site: Url::parse("https://aikit.example/").unwrap(),
        more_sites: Vec::new(),
        cookie_domain: None,
        cookie_http_only: true,
        terms,
        platform_country: "US".into(),
        currency: "usd".into(),
        live: false,
        approvals_needed,
        demo: true,
        payer: Default::default(),
        accounts: Default::default(),
        stripe_api: Url::parse("http://127.0.0.1:9/").unwrap(),
        stripe_connect_key: String::new(),
        stripe_read_key: String::new(),
        webhook_secret_account: String::new(),
        webhook_secret_connect: String::new(),
        oidc: None,
        email_codes: false,
        cors_origins: Vec::new(),
        webhooks: Vec::new(),
    };
    let offline = Arc::new(Offline);
    App::new(db.clone(), offline.clone(), offline, host.clone(), Arc::new(config))
}

impl Books {
    pub(crate) async fn open(partners: &[&str], terms: TermsBook) -> Books {
        Books::with(partners, terms, 1).await
    }

    /// The same where so many must approve.
    pub(crate) async fn with(partners: &[&str], terms: TermsBook, approvals: u32) -> Books {
        let db = database();
        let host = Arc::new(TestHost { now: Mutex::new(at("2026-01-01T00:00:00Z")), drawn: AtomicU64::new(0) });
        let app = app(&db, &host, terms.clone(), approvals);
        let books = Books {
            router: referral::router(app.clone()),
            app,
            db,
            host,
            terms,
            approvals,
            owner: partners[0].to_owned(),
        };
        books
            .sql(sql!("INSERT INTO person (id, email, role, added_ms) VALUES ('u', 'f@aikit.example', 'finance', 0)"))
            .await;
        for partner in partners {
            books
                .sql(sql!(
                    "INSERT INTO partner (code, name, email, website, country, joined_ms, account, transfers)
                     VALUES (?1, ?1, ?1 || '@agency.example', 'agency.example', 'US', 0, 'acct_' || ?1, 'active')",
                    *partner
                ))
                .await;
        }
        books.accept(&books.terms).await;
        books
    }

    pub(crate) async fn accept(&self, terms: &TermsBook) {
        for version in terms.versions() {
            self.sql(sql!(
                "INSERT INTO terms_acceptance (partner, version, at_ms) SELECT code, ?1, 0 FROM partner WHERE true ON CONFLICT DO NOTHING",
                &version.id
            ))
            .await;
        }
    }

    /// The same database behind an API with other terms.
    pub(crate) async fn other_terms(&mut self, terms: TermsBook) {
        self.app = app(&self.db, &self.host, terms.clone(), self.approvals);
        self.router = referral::router(self.app.clone());
        self.accept(&terms).await;
        self.terms = terms;
    }

    pub(crate) async fn sql(&self, stmt: Stmt) -> Rows {
        self.db.query(stmt).await.unwrap()
    }

    pub(crate) async fn rows(&self, text: &'static str) -> Vec<Value> {
        self.sql(Stmt { sql: text.into(), params: Vec::new() }).await.all().unwrap()
    }

    /// Records facts, in this order, as facts of the first agency: all are of one slice, so that all are read with it.
    pub(crate) async fn record(&self, facts: &[Fact]) {
        for fact in facts {
            let text = serde_json::to_string(fact).unwrap();
            self.sql(sql!("INSERT INTO fact (id, partner, body) VALUES (?1, ?2, ?3)", &fact.id, &self.owner, text))
                .await;
        }
    }

    pub(crate) async fn record_lines(&self, lines: &[&str]) {
        let facts: Vec<Fact> = lines.iter().map(|line| parse_fact(line).unwrap().unwrap()).collect();
        self.record(&facts).await;
    }

    pub(crate) async fn call(&self, path: &str, body: Option<Value>) -> Result<Value, (u16, String)> {
        self.call_as("u", path, body).await
    }

    /// What a person is answered who has just signed in.
    pub(crate) async fn call_as(&self, person: &str, path: &str, body: Option<Value>) -> Result<Value, (u16, String)> {
        let token = self.sign_in(person).await;
        self.send(&token, path, body)
            .await
            .map_err(|(status, said)| (status, said["message"].as_str().unwrap().to_owned()))
    }

    pub(crate) async fn sign_in(&self, person: &str) -> String {
        let signed_in = self.send("", "/v1/demo/sessions", Some(json!({"person": person, "keep": "token"}))).await;
        signed_in.unwrap()["access_token"].as_str().unwrap().to_owned()
    }

    /// What is answered, or the status and the refusal.
    pub(crate) async fn send(&self, bearer: &str, path: &str, body: Option<Value>) -> Result<Value, (u16, Value)> {
        let (status, _, bytes) = self.answer(bearer, path, body).await;
        let said: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() { Ok(said) } else { Err((status.as_u16(), said)) }
    }

    /// What is answered, whatever it is.
    pub(crate) async fn answer(
        &self,
        bearer: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::builder()
            .method(if body.is_some() { "POST" } else { "GET" })
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
            .header(header::CONTENT_TYPE, "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, bytes.into())
    }

    /// Drafts a month six hours after it has ended.
    pub(crate) async fn draft(&self, period: &str) -> Result<Value, (u16, String)> {
        let first = at(&format!("{period}-01T00:00:00Z"));
        *self.host.now.lock().unwrap() = first + Months::new(1) + TimeDelta::hours(6);
        self.call("/v1/runs", Some(json!({ "period": period }))).await
    }

    pub(crate) async fn seal(&self, draft: &Value) -> Result<Value, (u16, String)> {
        let (run, version) = (draft["summary"]["run"].as_str().unwrap(), &draft["summary"]["version"]);
        self.call(&format!("/v1/runs/{run}/seal"), Some(json!({ "version": version }))).await
    }

    /// Every item of a run is paid, or closed without a payment.
    pub(crate) async fn settle(&self, run: &Value, paid: bool) {
        for item in run["items"].as_array().unwrap() {
            let id = item["item"].as_str().unwrap().to_owned();
            let state = if paid { "paid" } else { "void" };
            self.sql(sql!("UPDATE run_item SET state = ?2 WHERE id = ?1", &id, state)).await;
            let partner = item["partner"].as_str().unwrap().to_owned();
            let amount_minor = item["amount_minor"].as_i64().unwrap();
            let body = FactBody::PayoutPaid { payout: id.clone(), partner, amount_minor };
            if paid {
                self.record(&[Fact { id: format!("payout_paid:{id}"), at: self.host.now(), body }]).await;
            }
        }
    }

    /// What a payout's page says.
    pub(crate) async fn detail(&self, run: &Value, item: &Value) -> Value {
        let (run, item) = (run["summary"]["run"].as_str().unwrap(), item["item"].as_str().unwrap());
        let detail = self.call(&format!("/v1/runs/{run}/items/{item}"), None).await.unwrap();
        let lines: i64 = detail["lines"].as_array().unwrap().iter().map(|l| l["amount_minor"].as_i64().unwrap()).sum();
        let sum = detail["carried_minor"].as_i64().unwrap() + lines;
        assert_eq!(sum, detail["payout"]["amount_minor"].as_i64().unwrap(), "a payout foots: {detail}");
        detail
    }

    /// The words of each line of a run's payout, with the amount by which it differs.
    pub(crate) async fn told(&self, run: &Value) -> Vec<String> {
        let detail = self.detail(run, &run["items"][0]).await;
        let lines = detail["lines"].as_array().unwrap().iter();
        lines.map(|l| format!("{} {}", l["amount_minor"], l["why"].as_str().unwrap())).collect()
    }

    /// Everything that counts as posted: heads, then lines.
    pub(crate) async fn posted(&self) -> Vec<Value> {
        let mut rows = self
            .rows(
                "SELECT p.* FROM posting p JOIN posted_run r ON r.id = p.run AND r.posted = p.version
                 ORDER BY r.as_of, p.partner",
            )
            .await;
        let lines = self.rows(
            "SELECT l.* FROM posting_line l JOIN posted_run r ON r.id = l.run AND r.posted = l.version
             ORDER BY r.as_of, l.partner, l.line",
        );
        rows.extend(lines.await);
        rows
    }

    /// The postings of each partner add up to its lines at the newest posted (`as_of`, `cut`), and its books balance.
    pub(crate) async fn assert_posted(&self) {
        let newest = self.rows("SELECT as_of, cut FROM posted_run ORDER BY as_of DESC LIMIT 1").await;
        let (as_of, cut) = (at(newest[0]["as_of"].as_str().unwrap()), newest[0]["cut"].as_i64().unwrap());
        let facts: Vec<Value> =
            self.sql(sql!("SELECT body FROM fact WHERE seq <= ?1 ORDER BY seq", cut)).await.all().unwrap();
        let facts: Vec<Fact> =
            facts.iter().map(|fact| parse_fact(fact["body"].as_str().unwrap()).unwrap().unwrap()).collect();
        let statements = evaluate(&facts, &self.terms, as_of).unwrap().statements;
        let mut lines = BTreeMap::<String, BTreeMap<String, Line>>::new();
        let mut vested = BTreeMap::<String, i64>::new();
        let mut last = BTreeMap::<String, Value>::new();
        for row in self.posted().await {
            let partner = row["partner"].as_str().unwrap().to_owned();
            if row["line"].is_null() {
                let before = last.insert(partner, row.clone()).map_or(0, |row| row["closing_minor"].as_i64().unwrap());
                assert_eq!(row["opening_minor"], before, "a posting opens where the one before closed");
                continue;
            }
            *vested.entry(partner.clone()).or_default() += row["vested_minor"].as_i64().unwrap();
            let (mine, id) = (lines.entry(partner).or_default(), row["line"].as_str().unwrap().to_owned());
            let body: Line = serde_json::from_str(row["body"].as_str().unwrap()).unwrap();
            match row["change"].as_str().unwrap() {
                "new" => assert!(mine.insert(id, body).is_none()),
                "changed" => assert!(mine.insert(id, body).is_some()),
                _ => assert!(mine.remove(&id).is_some()),
            }
        }
        for statement in &statements {
            let mine = lines.remove(&statement.partner).unwrap_or_default();
            let mine: BTreeMap<&String, String> = mine.iter().map(|(id, line)| (id, line_digest(line))).collect();
            let computed = statement.lines.iter().map(|line| (&line.id, line_digest(line)));
            assert_eq!(mine, computed.collect());
            assert_eq!(vested.get(&statement.partner).copied().unwrap_or(0), statement.totals.vested);
            if let Some(head) = last.get(&statement.partner) {
                assert_eq!(head["closing_minor"], statement.totals.vested);
                assert_eq!(head["lines_digest"], lines_digest(&statement.lines));
            }
        }
        assert!(lines.values().all(BTreeMap::is_empty), "lines of nobody are posted");
    }
}

/// An agency with two clients.
pub(crate) const AGENCY: [&str; 8] = [
    r#"{"id":"j","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"P","website":"agency.example"}"#,
    r#"{"id":"r1","at":"2026-01-05T00:00:00Z","type":"referral_created","referral":"r1","partner":"P"}"#,
    r#"{"id":"s1","at":"2026-01-05T00:00:00Z","type":"subscription_started","subscription":"s1","referral":"r1","interval":"month","amount_minor":50000}"#,
    r#"{"id":"i1","at":"2026-01-05T00:00:00Z","type":"invoice_paid","invoice":"i1","subscription":"s1","amount_minor":50000}"#,
    r#"{"id":"r2","at":"2026-01-08T00:00:00Z","type":"referral_created","referral":"r2","partner":"P"}"#,
    r#"{"id":"s2","at":"2026-01-08T00:00:00Z","type":"subscription_started","subscription":"s2","referral":"r2","interval":"month","amount_minor":30000}"#,
    r#"{"id":"i2","at":"2026-01-08T00:00:00Z","type":"invoice_paid","invoice":"i2","subscription":"s2","amount_minor":30000}"#,
    r#"{"id":"i3","at":"2026-02-05T00:00:00Z","type":"invoice_paid","invoice":"i3","subscription":"s1","amount_minor":50000}"#,
];
