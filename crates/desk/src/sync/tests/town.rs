//! The real API in this process: the router on a database in memory that can be turned back, with a clock that the test holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use axum::body::Body;
use axum::http::{Request, header};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt as _;
use referral::db::{BoxFut, Db, DbError, Rows, Stmt, Val};
use referral::ports::Host;
use referral::{App, sql};
use rusqlite::types::{Value as Sqlite, ValueRef};
use rusqlite::{Connection, MAIN_DB, params_from_iter};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use wire::{ErrorBody, ErrorCode, PullQuery, Pulled, Push, Pushed};

use super::program::{Offline, config, draw};
use crate::api::{Away, Failure};

/// The agency whose app is tested, and one beside it.
pub(super) const OURS: &str = "PARTNER_0URS0000";
pub(super) const OTHER: &str = "PARTNER_0THER000";

/// Time and randomness of the test.
pub(super) struct Still {
    now: Mutex<DateTime<Utc>>,
    drawn: Mutex<u64>,
}

impl Host for Still {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    fn random(&self, into: &mut [u8]) {
        draw(&mut self.drawn.lock().unwrap(), into);
    }

    fn later(&self, mut work: BoxFut<'static, ()>) {
        let done =
            std::future::Future::poll(work.as_mut(), &mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(done.is_ready(), "nothing here waits");
    }
}

/// A database in memory. Each question is answered at once.
pub(super) struct Memory(Mutex<Connection>);

fn failed(error: rusqlite::Error) -> DbError {
    match &error {
        rusqlite::Error::SqliteFailure(e, _) if e.code == rusqlite::ErrorCode::ConstraintViolation => {
            DbError::Constraint(error.to_string())
        }
        _ => DbError::Failed(error.to_string()),
    }
}

fn ask(connection: &Connection, stmt: &Stmt) -> Result<Rows, DbError> {
    let before = connection.total_changes();
    let mut prepared = connection.prepare_cached(&stmt.sql).map_err(failed)?;
    let columns: Vec<String> = prepared.column_names().map(str::to_owned).collect();
    let bound = stmt.params.iter().map(|value| match value {
        Val::Null => Sqlite::Null,
        Val::Int(number) => Sqlite::Integer(*number),
        Val::Text(text) => Sqlite::Text(text.clone()),
    });
    let mut rows = prepared.query(params_from_iter(bound)).map_err(failed)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        for column in 0..columns.len() {
            values.push(match row.get_ref(column).map_err(failed)? {
                ValueRef::Null => Val::Null,
                ValueRef::Integer(number) => Val::Int(number),
                ValueRef::Text(text) => Val::Text(String::from_utf8_lossy(text).into_owned()),
                other => return Err(DbError::Shape(format!("{other:?}"))),
            });
        }
    }
    drop(rows);
    Ok(Rows { columns, values, changes: connection.total_changes() - before })
}

impl Db for Memory {
    fn query(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>> {
        let answer = ask(&self.0.lock().unwrap(), &stmt);
        Box::pin(async { answer })
    }

    fn batch(&self, stmts: Vec<Stmt>) -> BoxFut<'_, Result<Vec<Rows>, DbError>> {
        let connection = self.0.lock().unwrap();
        connection.execute_batch("BEGIN").unwrap();
        let answer: Result<Vec<Rows>, DbError> = stmts.iter().map(|stmt| ask(&connection, stmt)).collect();
        connection.execute_batch(if answer.is_ok() { "COMMIT" } else { "ROLLBACK" }).unwrap();
        drop(connection);
        Box::pin(async { answer })
    }
}

/// A database with everything that every history begins with, made by the product's own migrations.
fn beginning() -> &'static [u8] {
    static BEGINNING: OnceLock<Vec<u8>> = OnceLock::new();
    BEGINNING.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("town.db");
        drop(sqlite::Sqlite::open(&path, sqlite::Profile::Native).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "DELETE").unwrap();
        let terms = commission::TermsBook::default_book();
        for (code, name) in [(OURS, "ours"), (OTHER, "other")] {
            let joined = json!({"id": format!("partner_joined:{code}"), "at": "2026-01-01T00:00:00Z", "type": "partner_joined", "partner": code,
                "name": name, "website": format!("{name}.example")});
            connection
                .execute_batch(&format!(
                    "INSERT INTO partner (code, name, email, website, country, joined_ms, account, transfers)
                        VALUES ('{code}', '{name}', 'o@{name}.example', '{name}.example', 'US', 0, 'acct_{name}', 'active');
                     INSERT INTO person (id, email, role, partner, added_ms) VALUES ('{name}', 'o@{name}.example', 'owner', '{code}', 0);
                     INSERT INTO fact (id, partner, body) VALUES ('partner_joined:{code}', '{code}', '{joined}');"
                ))
                .unwrap();
            for version in terms.versions() {
                connection
                    .execute("INSERT INTO terms_acceptance (partner, version, at_ms) VALUES (?1, ?2, 0)", [code, &version.id])
                    .unwrap();
            }
        }
        connection
            .execute_batch("INSERT INTO person (id, email, role, added_ms) VALUES ('fin', 'f@aikit.example', 'finance', 0);")
            .unwrap();
        let mut connection = connection;
        connection.serialize(MAIN_DB).unwrap().to_vec()
    })
}

pub(super) fn first_day() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-03-01T00:00:00Z").unwrap().to_utc()
}

/// The API.
pub(super) struct Town {
    pub(super) app: App,
    db: Arc<Memory>,
    still: Arc<Still>,
    router: axum::Router,
    tokens: Mutex<BTreeMap<String, (String, DateTime<Utc>)>>,
}

/// A moment of the database.
pub(super) struct Backup(Vec<u8>);

impl Town {
    pub(super) fn new() -> Town {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.set_prepared_statement_cache_capacity(256);
        let bytes = beginning();
        connection.deserialize_read_exact(MAIN_DB, bytes, bytes.len(), false).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = ON;").unwrap();
        let db = Arc::new(Memory(Mutex::new(connection)));
        let still = Arc::new(Still { now: Mutex::new(first_day()), drawn: Mutex::new(0) });
        let (offline, database): (_, Arc<dyn Db>) = (Arc::new(Offline), db.clone());
        let app = App::new(database, offline.clone(), offline, still.clone(), Arc::new(config()));
        Town { router: referral::router(app.clone()), app, db, still, tokens: Mutex::default() }
    }

    /// As it was in the beginning. To make another costs more than most histories.
    pub(super) fn begin_again(&self) {
        let bytes = beginning();
        self.db.0.lock().unwrap().deserialize_read_exact(MAIN_DB, bytes, bytes.len(), false).unwrap();
        *self.still.now.lock().unwrap() = first_day();
        *self.still.drawn.lock().unwrap() = 0;
        self.tokens.lock().unwrap().clear();
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.still.now()
    }

    pub(super) fn pass(&self, time: TimeDelta) {
        *self.still.now.lock().unwrap() += time;
    }

    pub(super) async fn sql(&self, stmt: Stmt) -> Vec<Value> {
        self.app.db.query(stmt).await.unwrap().all().unwrap()
    }

    pub(super) fn backup(&self) -> Backup {
        Backup(self.db.0.lock().unwrap().serialize(MAIN_DB).unwrap().to_vec())
    }

    /// Turns the database back. The clock goes on.
    pub(super) async fn restore(&self, backup: &Backup, new_epoch: bool) {
        let bytes: &[u8] = &backup.0;
        self.db.0.lock().unwrap().deserialize_read_exact(MAIN_DB, bytes, bytes.len(), false).unwrap();
        self.tokens.lock().unwrap().clear();
        if new_epoch {
            self.sql(sql!("UPDATE program SET restore_epoch = ?1", self.now().to_rfc3339())).await;
        }
    }

    async fn token(&self, person: &str) -> String {
        let known = self.tokens.lock().unwrap().get(person).cloned();
        if let Some((token, at)) = known.filter(|(_, at)| self.now() - *at < TimeDelta::minutes(8)) {
            assert!(at <= self.now());
            return token;
        }
        let asked = json!({"person": person, "keep": "token"}).to_string();
        let (status, session) = self.answer("POST", "/v1/demo/sessions", "", asked).await;
        assert_eq!(status, 200, "{session}");
        let token = session["access_token"].as_str().unwrap().to_owned();
        self.tokens.lock().unwrap().insert(person.to_owned(), (token.clone(), self.now()));
        token
    }

    async fn answer(&self, method: &str, path: &str, token: &str, body: String) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// What a person is answered.
    pub(super) async fn ask(&self, person: &str, method: &str, path: &str, body: Value) -> Result<Value, Failure> {
        let token = self.token(person).await;
        let body = if method == "GET" { String::new() } else { body.to_string() };
        match self.answer(method, path, &token, body).await {
            (200..=299, data) => Ok(data),
            (502..=504, said) => {
                let away =
                    Away { perhaps_sent: true, what: "its host".into(), said: serde_json::from_value(said).ok() };
                Err(Failure::Away(away))
            }
            (status, said) => Err(Failure::Refused(
                serde_json::from_value(said)
                    .unwrap_or_else(|e| ErrorBody::new(ErrorCode::Unavailable, format!("{status} {path}: {e}"))),
            )),
        }
    }

    pub(super) async fn pull(&self, person: &str, asked: &PullQuery) -> Result<Pulled, Failure> {
        let Value::Object(query) = json!(asked) else { panic!("a query is an object") };
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        let path = format!("/v1/sync/pull?{}", query.join("&").replace('+', "%2B"));
        Ok(serde_json::from_value(self.ask(person, "GET", &path, Value::Null).await?).unwrap())
    }

    pub(super) async fn push(&self, person: &str, acts: &Push) -> Result<Pushed, Failure> {
        Ok(serde_json::from_value(self.ask(person, "POST", "/v1/sync/push", json!(acts)).await?).unwrap())
    }

    /// The rows of an agency as they are numbered now: what somebody gets who has none.
    pub(super) async fn rows(&self, partner: &str) -> BTreeMap<(String, String), String> {
        let rows =
            self.sql(sql!("SELECT kind, id, body FROM sync_row WHERE scope = ?1 AND body IS NOT NULL", partner)).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        rows.iter().map(|row| ((text(&row["kind"]), text(&row["id"])), text(&row["body"]))).collect()
    }

    /// All records of an agency as the API gives them now to somebody who has none.
    pub(super) async fn records(&self, person: &str) -> (BTreeMap<(String, String), String>, Pulled) {
        let mut asked = PullQuery { schema: partner::SCHEMA, limit: Some(2_000), ..PullQuery::default() };
        let mut records = BTreeMap::new();
        loop {
            let page = self.pull(person, &asked).await.unwrap();
            for row in &page.rows {
                let id = (row.kind.clone(), row.id.clone());
                match &row.body {
                    Some(body) => drop(records.insert(id, body.clone())),
                    None => drop(records.remove(&id)),
                }
            }
            if !page.more {
                return (records, page);
            }
            asked = PullQuery { epoch: Some(page.epoch), cursor: page.next, start: Some(page.start), ..asked };
        }
    }
}
