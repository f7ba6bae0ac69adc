//! Looking into an event: a field that is missing is named, one of another type is missing.

use chrono::{DateTime, Utc};
use serde_json::Value;

pub(super) fn text(object: &Value, field: &str) -> Result<String, String> {
    object
        .get(field)
        .and_then(Value::as_str)
        .filter(|t| !t.is_empty())
        .map(Into::into)
        .ok_or_else(|| format!("{field} is missing"))
}

pub(super) fn number(object: &Value, field: &str) -> Result<i64, String> {
    object.get(field).and_then(Value::as_i64).ok_or_else(|| format!("{field} is missing"))
}

pub(super) fn instant(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

pub(super) fn time(object: &Value, field: &str) -> Result<DateTime<Utc>, String> {
    object.get(field).and_then(Value::as_i64).and_then(instant).ok_or_else(|| format!("{field} is missing"))
}

/// An id, or the id of an expanded object.
pub(super) fn id_of(object: &Value, pointer: &str) -> Option<String> {
    let found = object.pointer(pointer)?;
    found.as_str().or_else(|| found.get("id")?.as_str()).filter(|t| !t.is_empty()).map(Into::into)
}

pub(super) fn ids(object: &Value, pointers: &[&str]) -> Vec<String> {
    pointers.iter().filter_map(|p| id_of(object, p)).collect()
}

/// The elements of a list; of what is none, none.
pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts of a list.
pub(super) fn list(object: &Value, pointer: &str) -> Vec<String> {
    items(object, pointer).iter().filter_map(Value::as_str).map(Into::into).collect()
}
