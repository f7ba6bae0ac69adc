//! Errors in Stripe's shape, and whether an idempotency key remembers them.

use serde_json::{Value, json};

/// What an API call ends with when it does not succeed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ApiError {
    /// HTTP status.
    pub(crate) status: u16,
    /// Stripe's `type`, such as `invalid_request_error`.
    pub(crate) kind: &'static str,
    /// Stripe's `code`, where it has one.
    pub(crate) code: Option<&'static str>,
    /// What happened, to what, and what to do.
    pub(crate) message: String,
    /// The parameter at fault, in bracket syntax.
    pub(crate) param: Option<String>,
    /// True when the execution had begun: an idempotency key then replays this answer.
    /// Refused parameters, 401, 409 and 429 are never stored.
    pub(crate) stored: bool,
}

impl ApiError {
    fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, code, message: message.into(), param: None, stored: false }
    }

    /// A parameter that cannot be read or is not acceptable whatever the state is.
    pub(crate) fn parameter(code: &'static str, param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(400, "invalid_request_error", Some(code), message) }
    }

    /// A well-formed request which the present state refuses.
    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self { stored: true, ..Self::new(400, "invalid_request_error", Some(code), message) }
    }

    /// A refusal that names the parameter at fault.
    pub(crate) fn about(self, param: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// An object that a path names and that does not exist.
    pub(crate) fn no_such(kind: &str, id: &str) -> Self {
        let message = format!("No such {}: '{id}'", kind.replace('_', " "));
        Self {
            stored: true,
            param: Some("id".to_owned()),
            ..Self::new(404, "invalid_request_error", Some("resource_missing"), message)
        }
    }

    /// An object that a parameter names and that does not exist.
    pub(crate) fn no_such_param(kind: &str, id: &str, param: &str) -> Self {
        Self { status: 400, param: Some(param.to_owned()), ..Self::no_such(kind, id) }
    }

    /// No such address.
    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). The stand-in knows the part of Stripe that its documentation lists."
        );
        Self::new(404, "invalid_request_error", None, message)
    }

    /// No usable key.
    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(401, "invalid_request_error", None, message)
    }

    /// The same idempotency key was used for another request.
    pub(crate) fn key_reused(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."
        );
        Self::new(400, "idempotency_error", None, message)
    }

    /// The same idempotency key is being used at this moment.
    pub(crate) fn key_in_use(key: &str) -> Self {
        let message = format!(
            "There is currently another in-progress request using this Idempotent Key (that probably means you submitted twice, and the other request is still going through): {key}. Please try again later."
        );
        Self::new(409, "invalid_request_error", Some("idempotency_key_in_use"), message)
    }

    /// Too many requests.
    pub(crate) fn rate_limit() -> Self {
        let message = "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits.";
        Self::new(429, "invalid_request_error", Some("rate_limit"), message)
    }

    /// A failure on the server's side.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { stored: true, ..Self::new(500, "api_error", None, message) }
    }

    /// The answer's body.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({ "type": self.kind, "message": self.message });
        if let Some(code) = self.code {
            error["code"] = json!(code);
            error["doc_url"] = json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")));
        }
        if let Some(param) = &self.param {
            error["param"] = json!(param);
        }
        json!({ "error": error })
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        // Nothing was committed, so the key must not remember this one.
        Self { stored: false, ..Self::internal(format!("The stand-in's database refused: {error}.")) }
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self { stored: false, ..Self::internal(format!("A stored object cannot be read: {error}.")) }
    }
}
