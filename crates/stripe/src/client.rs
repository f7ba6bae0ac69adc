//! One pooled connection to Stripe: keys, timeouts, error classes and the audit of what was said.

use std::fmt::Display;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use stripe_client_core::{CustomizedStripeRequest, StripeClient, StripeClientErr, StripeMethod};

use crate::clock::Deadline;

const API_BASE: &str = "https://api.stripe.com/";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(25);
/// A page of a hundred transfers is about a quarter of a megabyte.
const BODY_LIMIT: usize = 8 << 20;

/// Stripe over one pooled HTTP client. Cloning it shares the pool.
///
/// Invariants: nothing is repeated and no redirect is followed; a POST without an idempotency key is not sent; the API
/// key is in no error, no log and no `Debug`.
#[derive(Clone)]
pub struct StripeHttp {
    base: Url,
    key: SecretString,
    live: bool,
    total_timeout: Duration,
    http: reqwest::Client,
    audit: Arc<dyn Audit>,
}

/// Why a client cannot be made from what was given.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not a secret or restricted key.
    #[error(
        "The Stripe API key must begin with sk_test_, sk_live_, rk_test_ or rk_live_. A restricted key (rk_) is best."
    )]
    KeyShape,
    /// The key holds a character that no header may hold.
    #[error("The Stripe API key holds a character that no key has. Copy it again, without spaces or line breaks.")]
    KeyCharacters,
    /// A base address that is neither Stripe nor this computer.
    #[error(
        "STRIPE_API_BASE is {given:?}, but only an address of this computer, such as http://127.0.0.1:12111, is accepted."
    )]
    NotLoopback {
        /// What was given.
        given: String,
    },
    /// A live key must not be shown to a stand-in.
    #[error("STRIPE_API_BASE points to this computer, and the key is a live one. Use a test key there.")]
    LiveKeyOnLoopback,
    /// The address of the Referral API cannot be used.
    #[error("The Referral API's address is {given:?}. It must begin with https://, or with http:// on this computer.")]
    ApiAddress {
        /// What was given.
        given: String,
    },
    /// The HTTP client cannot be made.
    #[error("The HTTP client cannot be started: {0}.")]
    Http(String),
}

/// Why a call to Stripe gave nothing to use, sorted by what it means for the money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    /// No byte of the request's body left this computer.
    #[error("Nothing was sent to Stripe: {reason}.")]
    NotSent {
        /// What was in the way.
        reason: String,
    },
    /// The answer did not arrive; for a POST, what it asked for may have happened.
    #[error("No answer came from Stripe: {reason}.")]
    Lost {
        /// What was in the way.
        reason: String,
    },
    /// An answer arrived that cannot be read; for a POST, what it asked for may have happened.
    #[error("Stripe's answer cannot be read: {reason}.")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// 401.
    #[error("Stripe did not accept the API key. Check that it is complete, not revoked, and of the right account.")]
    Unauthorized,
    /// 409 or 429.
    #[error("Stripe is busy ({status}). Try again later.")]
    Busy {
        /// The status.
        status: u16,
    },
    /// `idempotency_error`: the idempotency key was used with other parameters.
    #[error("Stripe knows the idempotency key with other parameters: {message}")]
    KeyMisused {
        /// Stripe's message.
        message: String,
    },
    /// 400, 402, 403 or 404, said by Stripe.
    #[error("Stripe refused it ({status}, {code}): {message}")]
    Refused {
        /// The status.
        status: u16,
        /// Stripe's error code, or its type where it has none.
        code: String,
        /// Stripe's message.
        message: String,
    },
    /// 5xx; for a POST, what it asked for may still be carried out.
    #[error("Stripe had a fault of its own ({status}).")]
    Server {
        /// The status.
        status: u16,
    },
}

impl StripeClientErr for StripeError {
    fn deserialize_err(msg: impl Display) -> Self {
        StripeError::Unreadable { reason: msg.to_string() }
    }
}

/// One request and its answer, without secrets.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Idempotency key.
    pub key: Option<&'a str>,
    /// Status, if an answer came.
    pub status: Option<u16>,
    /// `Request-Id`, for Stripe's support.
    pub request_id: Option<&'a str>,
    /// `Idempotent-Replayed`: the answer is that of an earlier request with this key.
    pub replayed: bool,
    /// `Stripe-Rate-Limited-Reason`.
    pub rate_limited: Option<&'a str>,
    /// Body of the answer as it came, or what was in its way.
    pub body: &'a str,
}

/// Is told everything that was said. It must not block.
pub trait Audit: Send + Sync {
    /// One request was answered, or is given up.
    fn exchange(&self, exchange: &Exchange<'_>);
}

/// Writes exchanges to the log, at debug level.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAudit;

impl Audit for LogAudit {
    fn exchange(&self, e: &Exchange<'_>) {
        tracing::debug!(
            method = e.method,
            path = e.path,
            key = e.key,
            status = e.status,
            request_id = e.request_id,
            replayed = e.replayed,
            rate_limited = e.rate_limited,
            body = e.body,
            "stripe"
        );
    }
}

impl StripeHttp {
    /// A client for this key, at Stripe or, for demonstrations and tests, at a stand-in on this computer.
    ///
    /// # Errors
    /// A key that cannot be one, an `api_base` that is not on this computer, or a live key for a stand-in.
    pub fn new(key: SecretString, api_base: Option<&str>) -> Result<StripeHttp, ConfigError> {
        let live = is_live_key(key.expose_secret()).ok_or(ConfigError::KeyShape)?;
        let base = match api_base {
            None => Url::parse(API_BASE).map_err(|e| ConfigError::Http(e.to_string()))?,
            Some(given) => loopback(given).ok_or_else(|| ConfigError::NotLoopback { given: given.into() })?,
        };
        if live && api_base.is_some() {
            return Err(ConfigError::LiveKeyOnLoopback);
        }
        let headers = headers(&key)?;
        let mut http = pooled(CONNECT_TIMEOUT).default_headers(headers).https_only(api_base.is_none());
        if api_base.is_some() {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|e| ConfigError::Http(chain(&e)))?;
        Ok(StripeHttp { base, key, live, total_timeout: TOTAL_TIMEOUT, http, audit: Arc::new(LogAudit) })
    }

    /// Tells another audit.
    #[must_use]
    pub fn with_audit(self, audit: Arc<dyn Audit>) -> StripeHttp {
        StripeHttp { audit, ..self }
    }

    /// Waits less than the usual 25 s for a whole answer; never longer, because the lease on an item ends.
    #[must_use]
    pub fn with_total_timeout(self, timeout: Duration) -> StripeHttp {
        StripeHttp { total_timeout: timeout.min(TOTAL_TIMEOUT), ..self }
    }

    /// Whether the key moves real money.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Sends one request once. With a deadline, the body is not handed to the connection after it.
    pub(crate) async fn call(
        &self,
        request: CustomizedStripeRequest,
        deadline: Option<&Deadline>,
    ) -> Result<Bytes, StripeError> {
        let (request, config) = request.into_pieces();
        let key = config.request_strategy.and_then(|s| s.get_key()).map(|k| k.into_inner());
        let method = match request.method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        if method == Method::POST && key.is_none() {
            return Err(StripeError::NotSent {
                reason: "a request that changes something needs an idempotency key".into(),
            });
        }
        let path = match request.query.as_deref() {
            Some(query) if !query.is_empty() => format!("v1{}?{query}", request.path),
            _ => format!("v1{}", request.path),
        };
        let said = self.send(&method, &path, key.as_deref(), request.body, deadline).await;
        let (answer, headers, body) = match said {
            Ok((status, headers, body)) => (Ok(status), headers, body),
            Err(error) => {
                let body = error.to_string();
                (Err(error), HeaderMap::new(), Bytes::from(body))
            }
        };
        let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        self.audit.exchange(&Exchange {
            method: method.as_str(),
            path: &path,
            key: key.as_deref(),
            status: answer.as_ref().ok().copied(),
            request_id: header("request-id"),
            replayed: header("idempotent-replayed") == Some("true"),
            rate_limited: header("stripe-rate-limited-reason"),
            body: &self.redacted(&String::from_utf8_lossy(&body)),
        });
        match answer? {
            200..=299 => Ok(body),
            status => Err(self.error(status, &body)),
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        key: Option<&str>,
        body: Option<String>,
        deadline: Option<&Deadline>,
    ) -> Result<(u16, HeaderMap, Bytes), StripeError> {
        let not_sent = |reason: &str| StripeError::NotSent { reason: reason.into() };
        let url = self.base.join(path).map_err(|_| not_sent("the address of the request cannot be formed"))?;
        let mut request = self.http.request(method.clone(), url).timeout(self.total_timeout);
        if let Some(key) = key {
            let key = HeaderValue::from_str(key)
                .map_err(|_| not_sent("the idempotency key holds a character that no header may hold"))?;
            request = request.header(HeaderName::from_static("idempotency-key"), key);
        }
        let handed_over = Arc::new(AtomicBool::new(false));
        if let Some(body) = body {
            let body =
                OnTime { body: Some(body.into()), deadline: deadline.cloned(), handed_over: handed_over.clone() };
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(reqwest::Body::wrap(body));
        }
        let failed = |error: reqwest::Error| {
            let too_late = deadline.is_some_and(Deadline::has_passed);
            let reason = self.redacted(&reason(&error, self.total_timeout));
            match handed_over.load(Ordering::Acquire) {
                true => StripeError::Lost { reason },
                false if method == Method::GET => StripeError::Lost { reason },
                false if too_late => not_sent("it was too late when the connection was ready"),
                false => StripeError::NotSent { reason },
            }
        };
        let mut answer = request.send().await.map_err(failed)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let mut body = Vec::new();
        loop {
            match answer.chunk().await {
                Ok(None) => return Ok((status, headers, body.into())),
                Ok(Some(chunk)) if body.len() + chunk.len() <= BODY_LIMIT => body.extend_from_slice(&chunk),
                // The status says enough when it is not a success, and a half-read error is told from a whole one.
                _ if status >= 500 => return Ok((status, headers, Bytes::new())),
                Ok(Some(_)) => {
                    return Err(StripeError::Unreadable { reason: format!("it is over {BODY_LIMIT} bytes") });
                }
                Err(error) => {
                    return Err(StripeError::Lost { reason: self.redacted(&reason(&error, self.total_timeout)) });
                }
            }
        }
    }

    fn error(&self, status: u16, body: &[u8]) -> StripeError {
        match classify(status, body) {
            StripeError::Refused { status, code, message } => {
                StripeError::Refused { status, code: self.redacted(&code), message: self.redacted(&message) }
            }
            StripeError::KeyMisused { message } => StripeError::KeyMisused { message: self.redacted(&message) },
            other => other,
        }
    }

    /// The text without the API key, wherever it comes from.
    fn redacted(&self, text: &str) -> String {
        text.replace(self.key.expose_secret(), "[key]")
    }
}

impl StripeClient for StripeHttp {
    type Err = StripeError;

    async fn execute(&self, req: CustomizedStripeRequest) -> Result<Bytes, StripeError> {
        self.call(req, None).await
    }
}

impl std::fmt::Debug for StripeHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StripeHttp")
            .field("base", &self.base.as_str())
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}

/// A request body that the connection takes only while it is not too late.
///
/// The connection asks for it after it has been opened and the headers are in its buffer, immediately before it writes:
/// this is the last moment at which a transfer can be held back. Without its body a request asks for nothing, so as long
/// as the body was not handed over it is certain that nothing was sent.
struct OnTime {
    body: Option<Bytes>,
    deadline: Option<Deadline>,
    handed_over: Arc<AtomicBool>,
}

#[derive(Debug, thiserror::Error)]
#[error("it was too late to send it")]
struct TooLate;

impl http_body::Body for OnTime {
    type Data = Bytes;
    type Error = TooLate;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, TooLate>>> {
        let this = self.get_mut();
        if this.body.is_some() && this.deadline.as_ref().is_some_and(Deadline::has_passed) {
            return Poll::Ready(Some(Err(TooLate)));
        }
        Poll::Ready(this.body.take().map(|body| {
            this.handed_over.store(true, Ordering::Release);
            Ok(Frame::data(body))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |b| b.len() as u64))
    }
}

/// What an answer that is not a success means. A definite refusal must have been said by Stripe itself: a proxy's page
/// with the same status says nothing.
fn classify(status: u16, body: &[u8]) -> StripeError {
    #[derive(Deserialize)]
    struct Said {
        error: Problem,
    }
    #[derive(Deserialize)]
    struct Problem {
        r#type: String,
        code: Option<String>,
        #[serde(default)]
        message: String,
    }
    match status {
        401 => return StripeError::Unauthorized,
        409 | 429 => return StripeError::Busy { status },
        500.. => return StripeError::Server { status },
        _ => {}
    }
    match serde_json::from_slice::<Said>(body) {
        Ok(Said { error }) if error.r#type == "idempotency_error" => StripeError::KeyMisused { message: error.message },
        Ok(Said { error }) if matches!(status, 400 | 402 | 403 | 404) => {
            StripeError::Refused { status, code: error.code.unwrap_or(error.r#type), message: error.message }
        }
        _ => StripeError::Unreadable { reason: format!("status {status} without an error of Stripe's form") },
    }
}

/// One pooled client of the given connect timeout that repeats nothing and follows nothing.
pub(crate) fn pooled(connect_timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("aikit-partners/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .timeout(TOTAL_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .http1_only()
}

/// The address, with a slash at its end, if it is one of this computer.
pub(crate) fn loopback(given: &str) -> Option<Url> {
    let url = directory(given)?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    (local && matches!(url.scheme(), "http" | "https")).then_some(url)
}

/// The address with a slash at its end, so that paths are joined below it.
pub(crate) fn directory(given: &str) -> Option<Url> {
    let mut url = Url::parse(given.trim()).ok()?;
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

/// An `Authorization` header that is marked as a secret.
pub(crate) fn bearer(key: &SecretString) -> Result<HeaderValue, ConfigError> {
    let mut value =
        HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).map_err(|_| ConfigError::KeyCharacters)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What was in the way of a request, in words, without its address.
pub(crate) fn reason(error: &reqwest::Error, waited: Duration) -> String {
    if error.is_connect() {
        format!("the connection could not be opened ({})", chain(error))
    } else if error.is_timeout() {
        format!("it did not come within {} ms", waited.as_millis())
    } else {
        format!("the connection broke ({})", chain(error))
    }
}

fn headers(key: &SecretString) -> Result<HeaderMap, ConfigError> {
    let version =
        HeaderValue::from_str(stripe_client_core::VERSION.as_str()).map_err(|e| ConfigError::Http(e.to_string()))?;
    Ok(HeaderMap::from_iter([
        (reqwest::header::AUTHORIZATION, bearer(key)?),
        (HeaderName::from_static("stripe-version"), version),
    ]))
}

fn is_live_key(key: &str) -> Option<bool> {
    let rest = key.strip_prefix("sk_").or_else(|| key.strip_prefix("rk_"))?;
    match rest.split_once('_')? {
        (_, "") => None,
        ("test", _) => Some(false),
        ("live", _) => Some(true),
        _ => None,
    }
}

/// The innermost cause says the most; the outer ones repeat the address.
fn chain(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
