//! What runs post, over HTTP against the real router on SQLite with D1's limits: months that are closed one after the
//! other while facts come late.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[path = "common/cases.rs"]
mod cases;
#[path = "common/database.rs"]
mod database;
#[expect(dead_code, reason = "Only journals are drawn here.")]
#[path = "../../commission/tests/random/mod.rs"]
mod random;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use chrono::{DateTime, Datelike as _, Months, TimeDelta, Utc};
use commission::digest::{line_digest, lines_digest};
use commission::{Fact, FactBody, Line, TermsBook, evaluate, parse_fact};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use referral::db::{BoxFut, Db, Rows, Stmt};
use referral::ports::{Config, Host, Http, HttpRequest, HttpResponse, Letter, Mail};
use referral::{App, sql};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;
use url::Url;

use cases::cases;
use database::database;

/// Time and randomness of the test.
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
struct Books {
    db: Arc<dyn Db>,
    host: Arc<TestHost>,
    router: Router,
    terms: TermsBook,
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn router(db: &Arc<dyn Db>, host: &Arc<TestHost>, terms: TermsBook) -> Router {
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
        approvals_needed: 1,
        demo: true,
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
    referral::router(App::new(db.clone(), offline.clone(), offline, host.clone(), Arc::new(config)))
}

impl Books {
    async fn open(partners: &[&str], terms: TermsBook) -> Books {
        let db = database();
        let host = Arc::new(TestHost { now: Mutex::new(at("2026-01-01T00:00:00Z")), drawn: AtomicU64::new(0) });
        let books = Books { router: router(&db, &host, terms.clone()), db, host, terms };
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

    async fn accept(&self, terms: &TermsBook) {
        for version in terms.versions() {
            self.sql(sql!(
                "INSERT INTO terms_acceptance (partner, version, at_ms) SELECT code, ?1, 0 FROM partner WHERE true ON CONFLICT DO NOTHING",
                &version.id
            ))
            .await;
        }
    }

    /// The same database behind an API with other terms.
    async fn other_terms(&mut self, terms: TermsBook) {
        self.router = router(&self.db, &self.host, terms.clone());
        self.accept(&terms).await;
        self.terms = terms;
    }

    async fn sql(&self, stmt: Stmt) -> Rows {
        self.db.query(stmt).await.unwrap()
    }

    async fn rows(&self, text: &'static str) -> Vec<Value> {
        self.sql(Stmt { sql: text.into(), params: Vec::new() }).await.all().unwrap()
    }

    /// Records facts, in this order, as facts of one agency that owns all of them.
    async fn record(&self, facts: &[Fact]) {
        for fact in facts {
            let text = serde_json::to_string(fact).unwrap();
            self.sql(sql!("INSERT INTO fact (id, partner, body) VALUES (?1, 'P', ?2)", &fact.id, text)).await;
        }
    }

    async fn record_lines(&self, lines: &[&str]) {
        let facts: Vec<Fact> = lines.iter().map(|line| parse_fact(line).unwrap().unwrap()).collect();
        self.record(&facts).await;
    }

    async fn call(&self, path: &str, body: Option<Value>) -> Result<Value, (u16, String)> {
        let signed_in = self.send("", "/v1/demo/sessions", Some(json!({"person": "u", "keep": "token"}))).await;
        self.send(signed_in.unwrap()["access_token"].as_str().unwrap(), path, body).await
    }

    async fn send(&self, bearer: &str, path: &str, body: Option<Value>) -> Result<Value, (u16, String)> {
        let request = Request::builder()
            .method(if body.is_some() { "POST" } else { "GET" })
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {bearer}"))
            .header(header::CONTENT_TYPE, "application/json");
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let said: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            Ok(said)
        } else {
            Err((status.as_u16(), said["message"].as_str().unwrap_or_default().to_owned()))
        }
    }

    /// Drafts a month six hours after it has ended.
    async fn draft(&self, period: &str) -> Result<Value, (u16, String)> {
        let first = at(&format!("{period}-01T00:00:00Z"));
        *self.host.now.lock().unwrap() = first + Months::new(1) + TimeDelta::hours(6);
        self.call("/v1/runs", Some(json!({ "period": period }))).await
    }

    async fn seal(&self, draft: &Value) -> Result<Value, (u16, String)> {
        let (run, version) = (draft["summary"]["run"].as_str().unwrap(), &draft["summary"]["version"]);
        self.call(&format!("/v1/runs/{run}/seal"), Some(json!({ "version": version }))).await
    }

    /// Every item of a run is paid, or closed without a payment.
    async fn settle(&self, run: &Value, paid: bool) {
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
    async fn detail(&self, run: &Value, item: &Value) -> Value {
        let (run, item) = (run["summary"]["run"].as_str().unwrap(), item["item"].as_str().unwrap());
        let detail = self.call(&format!("/v1/runs/{run}/items/{item}"), None).await.unwrap();
        let lines: i64 = detail["lines"].as_array().unwrap().iter().map(|l| l["amount_minor"].as_i64().unwrap()).sum();
        let sum = detail["carried_minor"].as_i64().unwrap() + lines;
        assert_eq!(sum, detail["payout"]["amount_minor"].as_i64().unwrap(), "a payout foots: {detail}");
        detail
    }

    /// The words of each line of a run's payout, with the amount by which it differs.
    async fn told(&self, run: &Value) -> Vec<String> {
        let detail = self.detail(run, &run["items"][0]).await;
        let lines = detail["lines"].as_array().unwrap().iter();
        lines.map(|l| format!("{} {}", l["amount_minor"], l["why"].as_str().unwrap())).collect()
    }

    /// Everything that counts as posted: heads, then lines.
    async fn posted(&self) -> Vec<Value> {
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
    async fn assert_posted(&self) {
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

fn month(number: u32) -> String {
    let first = at("2026-01-01T00:00:00Z") + Months::new(number);
    format!("{:04}-{:02}", first.year(), first.month())
}

const AGENCY: [&str; 8] = [
    r#"{"id":"j","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"P","website":"agency.example"}"#,
    r#"{"id":"r1","at":"2026-01-05T00:00:00Z","type":"referral_created","referral":"r1","partner":"P"}"#,
    r#"{"id":"s1","at":"2026-01-05T00:00:00Z","type":"subscription_started","subscription":"s1","referral":"r1","interval":"month","amount_minor":50000}"#,
    r#"{"id":"i1","at":"2026-01-05T00:00:00Z","type":"invoice_paid","invoice":"i1","subscription":"s1","amount_minor":50000}"#,
    r#"{"id":"r2","at":"2026-01-08T00:00:00Z","type":"referral_created","referral":"r2","partner":"P"}"#,
    r#"{"id":"s2","at":"2026-01-08T00:00:00Z","type":"subscription_started","subscription":"s2","referral":"r2","interval":"month","amount_minor":30000}"#,
    r#"{"id":"i2","at":"2026-01-08T00:00:00Z","type":"invoice_paid","invoice":"i2","subscription":"s2","amount_minor":30000}"#,
    r#"{"id":"i3","at":"2026-02-05T00:00:00Z","type":"invoice_paid","invoice":"i3","subscription":"s1","amount_minor":50000}"#,
];

#[tokio::test]
async fn what_comes_late_is_in_the_next_month_and_the_closed_one_stays() {
    let books = Books::open(&["P"], TermsBook::default_book()).await;
    books.record_lines(&AGENCY).await;
    let march = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    let closed = books.detail(&march, &march["items"][0]).await;
    assert_eq!(closed["payout"]["amount_minor"], 26_000);
    assert_eq!(
        books.told(&march).await,
        [
            "10000 20 % of $500.00 paid on 5 Feb 2026 by client r1 (month 2 of 12); vested 6 Mar 2026, 60 days after its first payment.",
            "6000 20 % of $300.00 paid on 8 Jan 2026 by client r2 (month 1 of 12); vested 9 Mar 2026, 60 days after its first payment.",
            "10000 20 % of $500.00 paid on 5 Jan 2026 by client r1 (month 1 of 12); vested 6 Mar 2026, 60 days after its first payment.",
        ]
    );
    books.assert_posted().await;
    let posted = books.posted().await;
    books.settle(&march, true).await;

    // A payment and a refund of March are recorded in April; the second client is rejected, and the first pays again.
    books
        .record_lines(&[
            r#"{"id":"i4","at":"2026-03-05T00:00:00Z","type":"invoice_paid","invoice":"i4","subscription":"s1","amount_minor":50000}"#,
            r#"{"id":"re1","at":"2026-03-20T00:00:00Z","type":"invoice_refunded","invoice":"i1","amount_minor":25000}"#,
            r#"{"id":"no2","at":"2026-04-10T00:00:00Z","type":"referral_rejected","referral":"r2"}"#,
            r#"{"id":"i5","at":"2026-04-05T00:00:00Z","type":"invoice_paid","invoice":"i5","subscription":"s1","amount_minor":50000}"#,
        ])
        .await;
    let draft = books.draft("2026-04").await.unwrap();
    let previewed = books.told(&draft).await;
    let april = books.seal(&draft).await.unwrap();
    let told = books.told(&april).await;
    assert_eq!(told, previewed, "a draft shows what its seal will post");
    assert_eq!(
        told,
        [
            "10000 20 % of $500.00 paid on 5 Apr 2026 by client r1 (month 4 of 12); vested at once, as the client had been paying for 60 days.",
            "-5000 The refund of 20 Mar 2026 (`re1`) arrived late: $250.00 of the $500.00 that client r1 paid on 5 Jan 2026 went back on 20 Mar 2026 (a refund), and with it $50.00 of the $100.00 first-year commission; it counts from 20 Mar 2026.",
            "10000 The payment of 5 Mar 2026 (`i4`) arrived late: 20 % of $500.00 paid on 5 Mar 2026 by client r1 (month 3 of 12); vested 6 Mar 2026, 60 days after its first payment.",
            "-6000 After the rejection after review of 10 Apr 2026 (`no2`): first-year commission on invoice i2 of client r2 (8 Jan 2026) is $60.00 as before, and void instead of vested.",
        ]
    );
    assert_eq!(april["items"][0]["amount_minor"], 9_000);
    assert_eq!(april["items"][0]["lines"], 4);
    let head = books
        .rows("SELECT opening_minor, earned_minor, reversed_minor, closing_minor FROM posting WHERE run = '2026-04.1'")
        .await;
    let expected =
        json!({"opening_minor": 26_000, "earned_minor": 20_000, "reversed_minor": 11_000, "closing_minor": 35_000});
    assert_eq!(head, [expected]);
    books.assert_posted().await;

    // The closed month is what it was: its page, and every row of it.
    let again = books.detail(&march, &march["items"][0]).await;
    assert_eq!((&again["lines"], &again["totals"]), (&closed["lines"], &closed["totals"]));
    let now = books.posted().await;
    assert!(posted.iter().all(|row| now.contains(row)));
    for attempt in [
        "UPDATE posting SET earned_minor = 0, closing_minor = opening_minor - reversed_minor",
        "UPDATE posting_line SET vested_minor = 0",
        "DELETE FROM posting",
        "DELETE FROM posting_line",
        "INSERT INTO posting_line SELECT run, version, partner, line || 'x', change, vested_minor, body, causes, why FROM posting_line",
    ] {
        let refused = books.db.query(Stmt { sql: attempt.into(), params: Vec::new() }).await;
        assert!(refused.is_err(), "{attempt}");
    }
    assert_eq!(books.posted().await, now);
}

#[tokio::test]
async fn months_are_closed_in_order_and_a_seal_that_did_not_end_posts_nothing() {
    let books = Books::open(&["P"], TermsBook::default_book()).await;
    books.record_lines(&AGENCY).await;
    let march = books.draft("2026-03").await.unwrap();
    let april = books.draft("2026-04").await.unwrap();

    // A seal of March was begun, wrote something, and ended with the power.
    books.sql(sql!("UPDATE run SET state = 'sealing', version = 2 WHERE id = '2026-03.1'")).await;
    books
        .sql(sql!(
            "INSERT INTO posting (run, version, partner, digest, totals, lines_digest, opening_minor, earned_minor, reversed_minor, closing_minor)
             VALUES ('2026-03.1', 2, 'P', 'x', '{}', 'x', 0, 1, 0, 1)"
        ))
        .await;
    assert_eq!(books.seal(&march).await.unwrap_err().0, 409, "what was looked at is not what is there");
    assert!(books.posted().await.is_empty());
    let march = books.call("/v1/runs/2026-03.1", None).await.unwrap();
    assert_eq!(march["summary"]["state"], "sealing");
    let march = books.seal(&march).await.unwrap();
    assert_eq!(march["summary"]["state"], "sealed");
    books.assert_posted().await;
    books.settle(&march, false).await;

    // April was drafted before that; what it posts follows March all the same.
    let april = books.seal(&april).await.unwrap();
    books.assert_posted().await;
    let (status, said) = books.draft("2026-02").await.unwrap_err();
    assert!(status == 409 && said.contains("2026-04 is closed already"), "{said}");
    assert!(books.told(&april).await.is_empty(), "what was not paid in March is carried");
}

#[tokio::test]
async fn other_terms_change_the_next_month_and_no_closed_one() {
    let mut books = Books::open(&["P"], TermsBook::default_book()).await;
    books.record_lines(&AGENCY).await;
    let march = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    books.settle(&march, true).await;
    let posted = books.posted().await;
    assert_eq!(books.draft("2026-04").await.unwrap()["items"], json!([]), "nothing is new in April");
    let thanks = r#"{"id":"a1","at":"2026-04-10T00:00:00Z","type":"adjustment_made","partner":"P","amount_minor":100,"reason":"a thank-you"}"#;
    books.record_lines(&[thanks]).await;
    let draft = books.draft("2026-04").await.unwrap();

    let text = TermsBook::default_book().to_toml();
    let other = text.replacen("first_year_rate = \"0.20\"", "first_year_rate = \"0.30\"", 1);
    assert_ne!(text, other);
    books.other_terms(TermsBook::from_toml(&other).unwrap()).await;
    let (status, said) = books.seal(&draft).await.unwrap_err();
    assert!(status == 409 && said.contains("under other terms"), "{said}");
    let april = books.seal(&books.draft("2026-04").await.unwrap()).await.unwrap();
    let told = books.told(&april).await;
    assert_eq!(told.len(), 4);
    assert_eq!(told[0], "100 $1.00 added by hand on 10 Apr 2026: a thank-you");
    assert_eq!(
        told[1],
        "5000 Other terms apply: first-year commission on invoice i3 of client r1 (5 Feb 2026) is $150.00 instead of $100.00."
    );
    books.assert_posted().await;
    let now = books.posted().await;
    assert!(posted.iter().all(|row| now.contains(row)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), failure_persistence: None, ..ProptestConfig::default() })]

    /// Facts of three years are recorded in any order while months are closed.
    #[test]
    fn postings_add_up_to_the_lines_whatever_comes_when(
        facts in random::journal().prop_shuffle(),
        book in random::book(),
        months in prop::collection::vec((1u32..5, any::<prop::sample::Index>(), any::<bool>()), 3..9),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            // Nothing is due before anybody has joined.
            let mut facts = facts;
            facts.sort_by_key(|fact| !matches!(fact.body, FactBody::PartnerJoined { .. }));
            let books = Books::open(&["P0", "P1", "P2"], book).await;
            let (mut number, mut recorded, mut details) = (3, 0, Vec::new());
            for (wait, share, paid) in months {
                number += wait;
                let until = recorded + share.index(facts.len() - recorded + 1);
                books.record(&facts[recorded..until]).await;
                recorded = until;
                let draft = books.draft(&month(number)).await.unwrap();
                if draft["items"].as_array().unwrap().is_empty() {
                    continue;
                }
                let before = books.posted().await;
                let run = books.seal(&draft).await.unwrap();
                books.assert_posted().await;
                let after = books.posted().await;
                assert!(before.iter().all(|row| after.contains(row)), "a closed month changed");
                for item in run["items"].as_array().unwrap() {
                    details.push((run.clone(), item.clone(), books.detail(&run, item).await));
                }
                books.settle(&run, paid).await;
            }
            for (run, item, then) in details {
                let now = books.detail(&run, &item).await;
                assert_eq!((&now["lines"], &now["totals"]), (&then["lines"], &then["totals"]));
            }
        });
    }
}
