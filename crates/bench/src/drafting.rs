//! The monthly run: drafted by the product, and by the loop that it replaces.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use chrono::{DateTime, Utc};
use referral::App;
use referral::db::BoxFut;
use referral::ports::{Config, Host, Http, HttpRequest, HttpResponse, Letter, Mail};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};
use sqlite::{Profile, Sqlite};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;
use url::Url;

/// The month that is drafted.
pub(crate) const PERIOD: &str = "2027-12";
/// Who drafts it.
pub(crate) const FINANCE: &str = "u_finance";

/// Nothing outside is asked or told while the month is drafted.
struct Alone;

impl Http for Alone {
    fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        Box::pin(async move { Err(format!("{} is not called here", request.url)) })
    }
}

impl Mail for Alone {
    fn post(&self, letter: Letter) -> BoxFut<'_, Result<(), String>> {
        Box::pin(async move { Err(format!("nothing is sent to {} here", letter.to)) })
    }
}

impl Host for Alone {
    fn now(&self) -> DateTime<Utc> {
        // 2028-01-02, when the month is over.
        DateTime::from_timestamp(1_830_384_000, 0).unwrap_or_default()
    }
    fn random(&self, into: &mut [u8]) {
        into.fill(7);
    }
    fn later(&self, work: BoxFut<'static, ()>) {
        tokio::spawn(work);
    }
}

pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(1).build()?)
}

pub(crate) fn app(database: &Path) -> anyhow::Result<App> {
    let here = Url::parse("http://127.0.0.1:1/")?;
    let config = Config {
        public_url: here.clone(),
        site: here.clone(),
        more_sites: Vec::new(),
        cookie_domain: None,
        cookie_http_only: false,
        terms: referral::default_terms()?,
        platform_country: "US".to_owned(),
        currency: "usd".to_owned(),
        live: false,
        approvals_needed: 1,
        demo: true,
        payer: Default::default(),
        accounts: Default::default(),
        stripe_api: here,
        stripe_connect_key: String::new(),
        stripe_read_key: String::new(),
        webhook_secret_account: String::new(),
        webhook_secret_connect: String::new(),
        oidc: None,
        email_codes: false,
        cors_origins: Vec::new(),
        webhooks: Vec::new(),
    };
    let db = Arc::new(Sqlite::open(database, Profile::Native)?);
    Ok(App::new(db, Arc::new(Alone), Arc::new(Alone), Arc::new(Alone), Arc::new(config)))
}

/// Somebody of finance who is signed in, and the API that is asked.
pub(crate) struct Finance {
    router: Router,
    token: String,
}

impl Finance {
    pub(crate) async fn of(database: &Path) -> anyhow::Result<Finance> {
        // What signed in before has the same tokens.
        Connection::open(database)?.execute_batch("DELETE FROM access_token; DELETE FROM session;")?;
        let mut finance = Finance { router: referral::router(app(database)?), token: String::new() };
        let session = finance.ask("/v1/demo/sessions", json!({"person": FINANCE, "keep": "token"})).await?;
        session["access_token"].as_str().context("no token")?.clone_into(&mut finance.token);
        Ok(finance)
    }

    async fn ask(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Body::from(body.to_string()))?;
        let answer = self.router.clone().oneshot(request).await?;
        let status = answer.status();
        let body: Value = serde_json::from_slice(&to_bytes(answer.into_body(), usize::MAX).await?)?;
        ensure!(status.is_success(), "{path}: {status} {body}");
        Ok(body)
    }

    pub(crate) async fn draft(&self) -> anyhow::Result<Value> {
        self.ask("/v1/runs", json!({"period": PERIOD})).await
    }

    /// A deed on a run as it was seen last.
    pub(crate) async fn deed(&self, run: &Value, deed: &str) -> anyhow::Result<Value> {
        let it = &run["summary"];
        let id = it["run"].as_str().context("no run")?;
        let form = json!({"version": it["version"], "run_hash": it["run_hash"], "typed_total_minor": it["total_minor"], "reason": "The bench"});
        self.ask(&format!("/v1/runs/{id}/{deed}"), form).await
    }
}

/// Drafts the month through the API, signed in as finance; where it is sealed already, that is taken back before.
pub(crate) fn draft(database: &Path) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let finance = Finance::of(database).await?;
        if let Some(sealed) = as_it_is(database, "state = 'sealed'")? {
            finance.deed(&sealed, "unseal").await?;
        }
        let run = finance.draft().await?;
        println!("{} bytes of the run of {}", run.to_string().len(), run["summary"]["period"]);
        Ok(())
    })
}

/// Seals what was drafted.
pub(crate) fn seal(database: &Path) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let drafted = as_it_is(database, "state = 'draft'")?.context("nothing is drafted")?;
        let run = Finance::of(database).await?.deed(&drafted, "seal").await?;
        println!("{} of {}", run["summary"]["run_hash"], run["summary"]["period"]);
        Ok(())
    })
}

/// What is known of the month's run, where it is in a state.
fn as_it_is(database: &Path, state: &str) -> anyhow::Result<Option<Value>> {
    let sql = format!(
        "SELECT json_object('summary', json_object('run', id, 'version', version, 'run_hash', run_hash)) FROM run WHERE {state}"
    );
    let row: Option<String> = Connection::open(database)?.query_row(&sql, [], |row| row.get(0)).optional()?;
    Ok(row.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// The floor of a month that is drafted and sealed: the facts are read, and the rows of the run are copied by SQLite.
pub(crate) fn rows(database: &str) -> anyhow::Result<()> {
    let copy = format!("{database}-rows");
    let _ = std::fs::remove_file(&copy);
    crate::work::columns(database)?;
    let connection = Connection::open(database)?;
    connection.execute("ATTACH ?1 AS copy", [&copy])?;
    connection.execute_batch("PRAGMA copy.journal_mode = WAL; PRAGMA copy.synchronous = FULL; BEGIN;")?;
    for table in ["run_item", "run_not_paid", "posting", "seal_part"] {
        connection.execute_batch(&format!("CREATE TABLE copy.{table} AS SELECT * FROM main.{table};"))?;
    }
    connection.execute_batch("COMMIT;")?;
    drop(connection);
    for file in [copy.clone(), format!("{copy}-wal"), format!("{copy}-shm")] {
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

/// The loop of the first proposal, statement by statement, over the first so many partners: a query for each partner's
/// subscriptions, and a row for each payout, committed before the next. Its transfers are left out.
pub(crate) fn seed(database: &str, partners: usize) -> anyhow::Result<()> {
    let database = Connection::open(database)?;
    database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; DELETE FROM seed_payouts;")?;
    let codes = database
        .prepare("SELECT code FROM seed_partners WHERE status = 'active'")?
        .query_map([], |row| row.get(0))?
        .take(partners)
        .collect::<Result<Vec<String>, _>>()?;
    let mut paid = 0;
    for code in &codes {
        let mut query = database.prepare_cached(
            "SELECT c.*, s.amount, s.status FROM seed_customers c JOIN seed_subscriptions s
                 ON c.stripe_customer_id = s.customer_id
             WHERE c.referral_code = ? AND s.status = 'active'",
        )?;
        let amounts = query.query_map([code], |row| row.get::<_, i64>("amount"))?;
        let total = amounts.sum::<Result<i64, _>>()? / 5;
        if total > 0 {
            database.execute(
                "INSERT INTO seed_payouts (partner_code, amount, period_start, period_end, status) VALUES (?, ?, ?, ?, 'paid')",
                params![code, total, "2027-12-01", "2027-12-31"],
            )?;
            paid += 1;
        }
    }
    ensure!(codes.len() == partners, "{} partners", codes.len());
    if paid == 0 { Err(anyhow!("nobody was paid")) } else { Ok(()) }
}
