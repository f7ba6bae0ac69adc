//! Stripe's objects as JSON documents: templates with every field, readers, and small arithmetic on amounts.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// Every template by Stripe's object name; the file says where they come from.
static TEMPLATES: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("templates.json")).unwrap_or_default());

/// A fresh object of a kind with every field that Stripe gives it.
pub(crate) fn template(kind: &str, id: &str, created: i64) -> Value {
    let mut object = TEMPLATES.get(kind).cloned().unwrap_or_else(|| json!({}));
    object["id"] = json!(id);
    object["object"] = json!(kind);
    if object.get("created").is_some() {
        object["created"] = json!(created);
    }
    object
}

/// Writes several fields at once.
pub(crate) fn set(object: &mut Value, fields: Value) {
    if let (Value::Object(object), Value::Object(fields)) = (object, fields) {
        object.extend(fields);
    }
}

/// The text at a JSON pointer, empty when there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer, 0 when there is none.
pub(crate) fn int(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// The whole number at a JSON pointer, where there is one.
pub(crate) fn maybe_int(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The truth at a JSON pointer, false when there is none.
pub(crate) fn flag(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or_default()
}

/// The list at a JSON pointer, empty when there is none.
pub(crate) fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A list object with all of its items.
pub(crate) fn list(url: String, data: Vec<Value>) -> Value {
    json!({ "object": "list", "url": url, "has_more": false, "data": data })
}

/// The top-level fields that changed, with their former values: an event's `previous_attributes`.
pub(crate) fn differences(before: &Value, after: &Value) -> Value {
    let before = before.as_object().cloned().unwrap_or_default();
    let changed = before.into_iter().filter(|(name, value)| after.get(name) != Some(value));
    Value::Object(changed.collect())
}

/// `amount` × `numerator` ÷ `denominator`, rounded half away from zero, saturating.
pub(crate) fn share(amount: i64, numerator: i64, denominator: i64) -> i64 {
    if denominator <= 0 {
        return 0;
    }
    let product = i128::from(amount) * i128::from(numerator);
    let half = i128::from(denominator) / 2 * product.signum();
    let rounded = (product + half) / i128::from(denominator);
    i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
}

/// Reads a percentage such as `25`, `8.25` into millionths of the whole; `None` outside 0–100 or with
/// more than four decimals.
pub(crate) fn percent_ppm(percent: &str) -> Option<i64> {
    let (whole, decimals) = percent.split_once('.').unwrap_or((percent, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || decimals.len() > 4 || !digits(whole) || !digits(decimals) {
        return None;
    }
    let ppm: i64 = format!("{whole}{decimals:0<4}").parse().ok()?;
    (0..=1_000_000).contains(&ppm).then_some(ppm)
}

/// Millionths as the decimal number that Stripe prints.
pub(crate) fn decimal_ppm(ppm: i64) -> Value {
    serde_json::from_str(&format!("{}.{:06}", ppm / 1_000_000, ppm % 1_000_000)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_and_shares_are_exact() {
        assert_eq!(percent_ppm("25"), Some(250_000));
        assert_eq!(percent_ppm("8.25"), Some(82_500));
        assert_eq!(percent_ppm("100"), Some(1_000_000));
        for bad in ["", "101", "-1", "1.23456", "x", "1.", "."] {
            assert_eq!(percent_ppm(bad).is_some(), bad == "1.", "{bad}");
        }
        assert_eq!(share(999, 500_000, 1_000_000), 500);
        assert_eq!(share(-999, 500_000, 1_000_000), -500);
        assert_eq!(share(1, 1, 3), 0);
        assert_eq!(share(i64::MAX, i64::MAX, 1), i64::MAX);
    }

    #[test]
    fn every_template_is_there() {
        for kind in ["account", "invoice", "transfer", "subscription", "charge", "dispute", "balance_transaction"] {
            assert!(template(kind, "x", 1).as_object().is_some_and(|object| object.len() > 8), "{kind}");
        }
    }
}
