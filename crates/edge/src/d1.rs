//! D1 as the database of the API. Knows no table.
//!
//! What is asked without a session goes to the primary: money, approvals, everything but a glance. A glance may be answered
//! by the nearest replica, in a session that begins where the last one of this isolate ended, so that it never sees less
//! than one before it.

use std::sync::{Mutex, PoisonError};

use referral::db::{BoxFut, Db, DbError, Rows, Stmt, Val};
use serde_json::Value;
use worker::js_sys::{Array, JSON, Reflect};
use worker::send::{SendFuture, SendWrapper};
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::wasm_bindgen_futures::JsFuture;
use worker::worker_sys::types::{D1Database, D1PreparedStatement};

/// The D1 database of a binding.
pub(crate) struct D1 {
    database: SendWrapper<D1Database>,
    /// How much of the database the last glance has seen.
    bookmark: Mutex<Option<String>>,
}

/// Where the first session of an isolate begins: wherever the nearest replica is.
const ANYWHERE: &str = "first-unconstrained";

impl D1 {
    /// The binding of a name, as wrangler.toml has it.
    pub(crate) fn of(env: &worker::Env, name: &str) -> Result<Self, String> {
        let binding = Reflect::get(env, &name.into()).map_err(|_| format!("the binding {name} is not there"))?;
        if binding.is_undefined() {
            return Err(format!("the binding {name} is not there: wrangler.toml names the D1 database"));
        }
        Ok(D1 { database: SendWrapper::new(binding.unchecked_into()), bookmark: Mutex::default() })
    }

    fn prepared(&self, stmt: &Stmt) -> Result<D1PreparedStatement, DbError> {
        bound(self.database.prepare(&stmt.sql), stmt)
    }

    async fn look(&self, stmt: &Stmt) -> Result<Rows, DbError> {
        let known = self.bookmark.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let session = self.database.with_session(Some(known.as_deref().unwrap_or(ANYWHERE))).map_err(failed)?;
        let prepared = bound(session.session_prepare(&stmt.sql), stmt)?;
        let answer = JsFuture::from(prepared.all().map_err(failed)?).await.map_err(failed)?;
        if let Ok(Some(seen)) = session.get_bookmark() {
            *self.bookmark.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        rows(&answer)
    }
}

fn bound(prepared: Result<D1PreparedStatement, JsValue>, stmt: &Stmt) -> Result<D1PreparedStatement, DbError> {
    prepared.map_err(failed)?.bind(stmt.params.iter().map(to_js).collect::<Array>()).map_err(failed)
}

impl Db for D1 {
    fn query(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>> {
        Box::pin(SendFuture::new(async move {
            let answer = JsFuture::from(self.prepared(&stmt)?.all().map_err(failed)?).await.map_err(failed)?;
            rows(&answer)
        }))
    }

    fn glance(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>> {
        Box::pin(SendFuture::new(async move {
            let found = self.look(&stmt).await?;
            // A replica may not have it yet.
            if found.values.is_empty() { self.query(stmt).await } else { Ok(found) }
        }))
    }

    fn batch(&self, stmts: Vec<Stmt>) -> BoxFut<'_, Result<Vec<Rows>, DbError>> {
        Box::pin(SendFuture::new(async move {
            if stmts.is_empty() {
                return Ok(Vec::new());
            }
            let prepared = Array::new();
            for stmt in &stmts {
                prepared.push(self.prepared(stmt)?.as_ref());
            }
            let answers = JsFuture::from(self.database.batch(prepared).map_err(failed)?).await.map_err(failed)?;
            Array::from(&answers).iter().map(|answer| rows(&answer)).collect()
        }))
    }
}

/// D1 takes every number as REAL; within ±2^53 none is changed by that.
#[expect(clippy::cast_precision_loss, reason = "Val::Int is within 2^53")]
fn to_js(value: &Val) -> JsValue {
    match value {
        Val::Null => JsValue::NULL,
        Val::Int(number) => JsValue::from_f64(*number as f64),
        Val::Text(text) => JsValue::from_str(text),
    }
}

/// One answer, over JSON: a single text crosses from JavaScript instead of every value.
fn rows(answer: &JsValue) -> Result<Rows, DbError> {
    let shape = |what: &str| DbError::Shape(format!("D1 answered {what}"));
    let field =
        |of: &JsValue, name: &str| Reflect::get(of, &name.into()).map_err(|_| shape(&format!("without {name}")));
    let text = JSON::stringify(&field(answer, "results")?).map_err(|_| shape("what is no JSON"))?;
    let found: Vec<serde_json::Map<String, Value>> =
        serde_json::from_str(&String::from(text)).map_err(|e| shape(&e.to_string()))?;
    let changes = field(&field(answer, "meta")?, "changes")?.as_f64().unwrap_or_default();
    let columns: Vec<String> = found.first().map(|row| row.keys().cloned().collect()).unwrap_or_default();
    let mut values = Vec::with_capacity(found.len() * columns.len());
    for mut row in found {
        for column in &columns {
            values.push(match row.remove(column) {
                Some(Value::Null) => Val::Null,
                Some(Value::String(text)) => Val::Text(text),
                Some(Value::Number(number)) => {
                    Val::Int(number.as_i64().ok_or_else(|| shape(&format!("{number} for {column}")))?)
                }
                _ => return Err(shape(&format!("another kind of value for {column}"))),
            });
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of rows")]
    Ok(Rows { columns, values, changes: changes as u64 })
}

fn failed(error: JsValue) -> DbError {
    let text = Reflect::get(&error, &"message".into()).ok().and_then(|m| m.as_string());
    let text = text.unwrap_or_else(|| format!("{error:?}"));
    if text.contains("SQLITE_CONSTRAINT") || text.contains("constraint failed") {
        DbError::Constraint(text)
    } else {
        DbError::Failed(text)
    }
}
