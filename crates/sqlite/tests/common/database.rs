//! The database of a test: SQLite with D1's limits, or D1 itself, in workerd (`./dev test edge`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use referral::db::{BoxFut, Db, DbError, Rows, Stmt, Val};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlite::{Profile, Sqlite};

/// An empty database of its own, which ends with the test. `AIKIT_D1` is the address of `tests/edge/d1.mjs`.
pub(crate) fn database() -> Arc<dyn Db> {
    match std::env::var("AIKIT_D1") {
        Ok(address) => Arc::new(D1(Mutex::new(BufReader::new(TcpStream::connect(address).unwrap())))),
        Err(_) => Arc::new(Sqlite::open(Path::new(":memory:"), Profile::D1).unwrap()),
    }
}

/// A connection to a D1 database. It waits for each answer: whoever polls it gets it at once.
struct D1(Mutex<BufReader<TcpStream>>);

#[derive(Deserialize)]
struct Answers {
    #[serde(default)]
    answers: Vec<Answer>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    rows: Vec<Map<String, Value>>,
    changes: u64,
}

impl D1 {
    fn ask(&self, stmts: &[Stmt], whole: bool) -> Result<Vec<Rows>, DbError> {
        let value = |value: &Val| match value {
            Val::Null => Value::Null,
            Val::Int(number) => json!(number),
            Val::Text(text) => json!(text),
        };
        let all: Vec<Value> =
            stmts.iter().map(|stmt| json!([stmt.sql, stmt.params.iter().map(value).collect::<Vec<_>>()])).collect();
        let mut connection = self.0.lock().unwrap();
        let question = json!({ "all": all, "whole": whole }).to_string() + "\n";
        connection.get_mut().write_all(question.as_bytes()).unwrap();
        let mut line = String::new();
        connection.read_line(&mut line).unwrap();
        let answers: Answers = serde_json::from_str(&line).unwrap();
        match answers.error {
            Some(text) if text.contains("SQLITE_CONSTRAINT") => Err(DbError::Constraint(text)),
            Some(text) => Err(DbError::Failed(text)),
            None => Ok(answers.answers.into_iter().map(rows).collect()),
        }
    }
}

fn rows(answer: Answer) -> Rows {
    let columns: Vec<String> = answer.rows.first().map(|row| row.keys().cloned().collect()).unwrap_or_default();
    let value = |value: &Value| match value {
        Value::Null => Val::Null,
        Value::String(text) => Val::Text(text.clone()),
        number => Val::Int(number.as_i64().unwrap()),
    };
    let values = answer.rows.iter().flat_map(|row| columns.iter().map(|column| value(&row[column]))).collect();
    Rows { columns, values, changes: answer.changes }
}

impl Db for D1 {
    fn query(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>> {
        Box::pin(async move { Ok(self.ask(&[stmt], false)?.remove(0)) })
    }

    fn batch(&self, stmts: Vec<Stmt>) -> BoxFut<'_, Result<Vec<Rows>, DbError>> {
        Box::pin(async move { if stmts.is_empty() { Ok(Vec::new()) } else { self.ask(&stmts, true) } })
    }
}
