//! From a call and its arguments to a request. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;
use wire::{Call, ErrorBody, ErrorCode, Method};

/// Within this a page is shown, from the API or from what was saved.
const READ_TIMEOUT_S: u64 = 10;
/// A record is answered soon, or the item waits for the next pass.
const RECORD_TIMEOUT_S: u64 = 15;
/// An act may take its time, because giving it up leaves open whether it was done.
const ACT_TIMEOUT_S: u64 = 30;

/// A request as it travels. Not `Debug`: a body may hold a token.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// JSON body of a POST.
    pub(crate) body: Option<Value>,
    /// From the first byte sent to the last one read.
    pub(crate) timeout: Duration,
    /// What is answered is a file and no JSON.
    pub(crate) is_file: bool,
}

impl Request {
    /// A POST of the session to a fixed path.
    pub(crate) fn session(api: &Url, path: &str, body: Value) -> Self {
        let mut url = api.clone();
        url.set_path(path);
        let timeout = Duration::from_secs(READ_TIMEOUT_S);
        Self { method: Method::Post, url, body: Some(body), timeout, is_file: false }
    }

    /// The request of a file: as of a call, and it may take as long as an act.
    pub(crate) fn of_file(api: &Url, download: &Call, args: &Value) -> Result<Self, ErrorBody> {
        let timeout = Duration::from_secs(ACT_TIMEOUT_S);
        Ok(Self { is_file: true, timeout, ..Self::of(api, download, args)? })
    }

    /// A call of an executor about the records of a run. Ids are single segments, whatever characters they hold.
    pub(crate) fn record(api: &Url, method: Method, segments: &[&str], body: Option<Value>) -> Self {
        let mut url = api.clone();
        // An origin can be a base.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1").extend(segments);
        }
        Self { method, url, body, timeout: Duration::from_secs(RECORD_TIMEOUT_S), is_file: false }
    }

    /// The request of `call` with `args`: an object, or null for none. Path parameters are taken out by name; the rest
    /// is the query of a GET or the body of a POST.
    ///
    /// Refuses what cannot be a single segment of a path and what cannot be said in a query.
    pub(crate) fn of(api: &Url, call: &Call, args: &Value) -> Result<Self, ErrorBody> {
        let mut rest = match args {
            Value::Null => Map::new(),
            Value::Object(map) => map.clone(),
            _ => return Err(invalid(call, "arguments that are not an object")),
        };
        let mut path = String::new();
        for part in call.path.split('/').skip(1) {
            path.push('/');
            match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
                None => path.push_str(part),
                Some(name) => path.push_str(&segment(call, name, rest.remove(name))?),
            }
        }
        let mut url = api.clone();
        url.set_path(&path);
        let (body, timeout_s) = match call.method {
            Method::Post => (Some(Value::Object(rest)), ACT_TIMEOUT_S),
            Method::Get => {
                let pairs = query(call, rest)?;
                if !pairs.is_empty() {
                    url.query_pairs_mut().extend_pairs(pairs);
                }
                (None, READ_TIMEOUT_S)
            }
        };
        Ok(Self { method: call.method, url, body, timeout: Duration::from_secs(timeout_s), is_file: false })
    }
}

/// One path segment with every byte but letters, digits, `-`, `_`, `.` and `~` percent-encoded.
fn segment(call: &Call, name: &str, value: Option<Value>) -> Result<String, ErrorBody> {
    let Some(Value::String(id)) = value else {
        return Err(invalid(call, &format!("no `{name}`")));
    };
    // A dot segment would climb out of the path however it is encoded.
    if id.is_empty() || id == "." || id == ".." {
        return Err(invalid(call, &format!("a `{name}` that cannot be an id")));
    }
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    Ok(out)
}

fn query(call: &Call, args: Map<String, Value>) -> Result<Vec<(String, String)>, ErrorBody> {
    let mut pairs = Vec::new();
    for (name, value) in args {
        let value = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(invalid(call, &format!("a `{name}` that is not a single value")));
            }
        };
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn invalid(call: &Call, with: &str) -> ErrorBody {
    ErrorBody::new(ErrorCode::Invalid, format!("The page asked for `{}` with {with}.", call.name))
}

/// Arguments as text that is equal when they are: keys sorted, nulls left out, null for none.
pub(crate) fn canonical(args: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().filter(|(_, v)| !v.is_null()).collect();
                entries.sort_by_key(|(key, _)| key.as_str());
                Value::Object(entries.into_iter().map(|(key, v)| (key.clone(), sorted(v))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            other => other.clone(),
        }
    }
    match args {
        Value::Null => "{}".to_owned(),
        other => sorted(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TWO: Call = Call { name: "two", method: Method::Get, path: "/v1/runs/{run}/items/{item}", doc: "" };
    const ACT: Call = Call { name: "act", method: Method::Post, path: "/v1/runs/{run}/seal", doc: "" };

    fn api() -> Url {
        Url::parse("http://127.0.0.1:8787").expect("a literal")
    }

    fn decoded(segment: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = segment.bytes();
        while let Some(byte) = bytes.next() {
            if byte == b'%' {
                let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                let hex = std::str::from_utf8(&hex).expect("two hexadecimal digits");
                out.push(u8::from_str_radix(hex, 16).expect("two hexadecimal digits"));
            } else {
                out.push(byte);
            }
        }
        out
    }

    /// Ids as an attacker would write them, besides any string at all.
    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[./%\\\\?#@:2eEfF5cC \t\r\n;&=+]{1,12}",
            Just("../../auth/end".to_owned()),
            Just("%2e%2e".to_owned()),
            Just("..\t".to_owned()),
            Just("x?admin=1#f".to_owned()),
            Just("//evil.example/".to_owned()),
            Just("\u{202e}r_1\0".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn an_id_stays_one_segment_of_its_path(run in hostile(), item in hostile()) {
            match Request::of(&api(), &TWO, &json!({ "run": run, "item": item })) {
                Err(error) => {
                    prop_assert!([&run, &item].iter().any(|id| id.is_empty() || *id == "." || *id == ".."), "{}", error.message);
                }
                Ok(request) => {
                    // What the network sees is what a parser makes of the text.
                    let seen = Url::parse(request.url.as_str()).expect("an address parses again");
                    prop_assert_eq!(seen.host_str(), Some("127.0.0.1"));
                    prop_assert_eq!(seen.port(), Some(8787));
                    prop_assert_eq!(seen.query(), None);
                    prop_assert_eq!(seen.fragment(), None);
                    let segments: Vec<&str> = seen.path().split('/').collect();
                    prop_assert_eq!(segments.len(), 6);
                    prop_assert_eq!((segments[1], segments[2], segments[4]), ("v1", "runs", "items"));
                    prop_assert_eq!(decoded(segments[3]), run.as_bytes());
                    prop_assert_eq!(decoded(segments[5]), item.as_bytes());
                }
            }
        }

        #[test]
        fn a_query_says_what_it_was_given(key in any::<String>(), value in any::<String>()) {
            let get = Call { path: "/v1/links", ..TWO };
            let request = Request::of(&api(), &get, &json!({ key.clone(): value })).expect("a string is a single value");
            let pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, vec![(key, value)]);
            prop_assert_eq!(request.url.path(), "/v1/links");
        }
    }

    #[test]
    fn a_post_takes_its_path_out_of_the_body() {
        let request = Request::of(&api(), &ACT, &json!({ "run": "2026-10", "version": 3 })).expect("good arguments");
        assert_eq!(request.url.as_str(), "http://127.0.0.1:8787/v1/runs/2026-10/seal");
        assert_eq!(request.body, Some(json!({ "version": 3 })));
    }

    #[test]
    fn what_cannot_travel_is_refused_by_name() {
        let refused = |call: &Call, args| Request::of(&api(), call, &args).err().map(|e| e.message).unwrap_or_default();
        assert_eq!(refused(&ACT, json!({})), "The page asked for `act` with no `run`.");
        assert_eq!(refused(&ACT, json!({ "run": 7 })), "The page asked for `act` with no `run`.");
        assert_eq!(refused(&ACT, json!(["x"])), "The page asked for `act` with arguments that are not an object.");
        assert_eq!(
            refused(&ACT, json!({ "run": ".." })),
            "The page asked for `act` with a `run` that cannot be an id."
        );
        let nested = json!({ "run": "r", "item": "i", "filter": { "a": 1 } });
        assert_eq!(refused(&TWO, nested), "The page asked for `two` with a `filter` that is not a single value.");
    }

    #[test]
    fn equal_arguments_have_one_text() {
        assert_eq!(canonical(&json!({ "b": 1, "a": { "d": null, "c": [2] } })), r#"{"a":{"c":[2]},"b":1}"#);
        assert_eq!(canonical(&Value::Null), canonical(&json!({ "x": null })));
    }
}
