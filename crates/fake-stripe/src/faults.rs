//! Named faults that wait for the next call they apply to, and then break it once.

use rusqlite::{OptionalExtension, params};
use serde_json::{Value, json};

use crate::{api::Call, error::ApiError, store::Tx};

/// Faults of `POST /v1/transfers`.
const TRANSFER: [&str; 8] = [
    "error_500_after",
    "error_500_before",
    "drop_after",
    "drop_before",
    "rate_limit",
    "decode_garbage",
    "delay",
    "late_execution",
];

/// Faults of `GET /v1/transfers`.
const TRANSFER_LIST: [&str; 2] = ["list_lag", "rate_limit"];

/// A fault that has met its call.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// Its name.
    pub(crate) kind: String,
    /// How long the answer is kept back, in milliseconds.
    pub(crate) delay_ms: u32,
}

impl Fault {
    /// Whether the connection is cut instead of an answer.
    pub(crate) fn drops(&self) -> bool {
        self.kind.starts_with("drop_")
    }
}

/// Takes the oldest fault that waits for this call.
pub(crate) fn take(tx: &Tx<'_>, call: &Call) -> Result<Option<Fault>, ApiError> {
    let target = match (call.method.as_str(), call.path.trim_matches('/')) {
        ("POST", "transfers") => "next_transfer",
        ("GET", "transfers") => "next_transfer_list",
        _ => return Ok(None),
    };
    let mut statement = tx.sql.prepare_cached(
        "DELETE FROM faults WHERE seq = (SELECT min(seq) FROM faults WHERE target = ?1) RETURNING kind, delay_ms",
    )?;
    let fault = statement.query_row([target], |row| Ok(Fault { kind: row.get(0)?, delay_ms: row.get(1)? }));
    Ok(fault.optional()?)
}

/// Queues what a control request asks for: `next_transfer` or `next_transfer_list`, `count`, `delay_ms`;
/// `clear` empties the queue first.
pub(crate) fn queue(tx: &Tx<'_>, wanted: &Value) -> Result<Value, ApiError> {
    if wanted["clear"] == json!(true) {
        tx.sql.execute("DELETE FROM faults", [])?;
    }
    let delay_ms = wanted["delay_ms"].as_i64().unwrap_or_default().clamp(0, 120_000);
    let count = wanted["count"].as_i64().unwrap_or(1).clamp(1, 10_000);
    let mut named = wanted["clear"] == json!(true);
    for (target, known) in [("next_transfer", TRANSFER.as_slice()), ("next_transfer_list", TRANSFER_LIST.as_slice())] {
        let kinds = match &wanted[target] {
            Value::String(kind) => vec![kind.clone()],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => continue,
        };
        named = true;
        for kind in kinds {
            if !known.contains(&kind.as_str()) {
                let message = format!("The fault '{kind}' is unknown for {target}; known are: {}.", known.join(", "));
                return Err(ApiError::parameter("parameter_invalid", target, message));
            }
            for _ in 0..count {
                let sql = "INSERT INTO faults (target, kind, delay_ms) VALUES (?1, ?2, ?3)";
                tx.sql.execute(sql, params![target, kind, delay_ms])?;
            }
        }
    }
    if !named {
        let message = "Name a fault under `next_transfer` or `next_transfer_list`, or send `clear`.";
        return Err(ApiError::parameter("parameter_missing", "next_transfer", message));
    }
    waiting(tx)
}

/// The faults that wait, oldest first.
pub(crate) fn waiting(tx: &Tx<'_>) -> Result<Value, ApiError> {
    let mut statement = tx.sql.prepare_cached("SELECT target, kind, delay_ms FROM faults ORDER BY seq")?;
    let rows = statement.query_map([], |row| {
        let (target, kind, delay_ms): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(json!({ "target": target, "kind": kind, "delay_ms": delay_ms }))
    })?;
    Ok(json!({ "waiting": rows.collect::<rusqlite::Result<Vec<Value>>>()? }))
}
