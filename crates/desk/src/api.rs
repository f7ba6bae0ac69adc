//! The API over HTTP: one pooled client, and what an answer means.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_DISPOSITION, HeaderMap, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use wire::{AS_OF_HEADER, ErrorBody, ErrorCode, Keep, Method, Session};

use crate::config::{Config, StartError, is_loopback};
use crate::request::Request;

const CONNECT_TIMEOUT_S: u64 = 4;
/// No answer of the API comes near this; a larger one is not read.
const ANSWER_LIMIT_BYTES: usize = 16 << 20;

/// A success.
pub(crate) struct Answered {
    pub(crate) data: Value,
    /// The API's own time, when it said it.
    pub(crate) as_of: Option<DateTime<Utc>>,
    /// The file, when one was asked for.
    pub(crate) file: Option<Fetched>,
}

/// A file as it came.
pub(crate) struct Fetched {
    /// The name that the API gave it; fit for no file system yet.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Why there is no success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The API said no.
    Refused(ErrorBody),
    /// The API is out of reach, or its host says that it is.
    Away(Away),
}

/// The API is out of reach.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    /// Something may have reached it.
    pub(crate) perhaps_sent: bool,
    /// What was seen, in a few words.
    pub(crate) what: String,
    /// The API's own words, when it is there but cannot answer now.
    pub(crate) said: Option<ErrorBody>,
}

/// The API at one address.
pub(crate) struct Api {
    pub(crate) config: Config,
    http: reqwest::Client,
    /// For how long its last refusal asked not to be asked again, in seconds.
    retry_after_s: AtomicU64,
}

impl Api {
    pub(crate) fn new(config: Config) -> Result<Self, StartError> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S))
            // The API never redirects a call, so a redirect is somebody else's and must not be followed with a token.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("aikit-partners-desktop/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&config.api) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|e| StartError::Network(e.to_string()))?;
        Ok(Self { config, http, retry_after_s: AtomicU64::new(0) })
    }

    /// Sends one request, with a token when there is one. Never sends it twice.
    pub(crate) async fn send(&self, request: &Request, access: Option<&SecretString>) -> Result<Answered, Failure> {
        let mut builder = match request.method {
            Method::Get => self.http.get(request.url.clone()),
            Method::Post => self.http.post(request.url.clone()),
        };
        builder = builder.timeout(request.timeout);
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        if let Some(token) = access {
            builder = builder.bearer_auth(token.expose_secret());
        }
        let mut response = builder.send().await.map_err(|e| Failure::Away(out_of_reach(&e)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            self.retry_after_s.store(retry_after_s(&headers), Ordering::Relaxed);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| Failure::Away(out_of_reach(&e)))? {
            if body.len() + chunk.len() > ANSWER_LIMIT_BYTES {
                return Err(Failure::Away(not_ours("it answered more than 16 MiB")));
            }
            body.extend_from_slice(&chunk);
        }
        if request.is_file && status.is_success() {
            let file = Some(Fetched { name: file_name(&headers), bytes: body });
            return Ok(Answered { data: Value::Null, as_of: as_of(&headers), file });
        }
        read(status, as_of(&headers), &body)
    }

    pub(crate) async fn start_session(&self, email: &str, code: &str) -> Result<Session, Failure> {
        self.session("/v1/auth/sessions", json!({ "email": email, "code": code, "keep": Keep::Token })).await
    }

    pub(crate) async fn start_demo_session(&self, person: &str) -> Result<Session, Failure> {
        self.session("/v1/demo/sessions", json!({ "person": person, "keep": Keep::Token })).await
    }

    pub(crate) async fn redeem(&self, code: &str, verifier: &str) -> Result<Session, Failure> {
        self.session("/v1/auth/oidc/sessions", json!({ "code": code, "verifier": verifier })).await
    }

    pub(crate) async fn refresh(&self, token: &SecretString) -> Result<Session, Failure> {
        self.session("/v1/auth/refresh", json!({ "refresh_token": token.expose_secret() })).await
    }

    pub(crate) async fn end_session(&self, access: &SecretString) -> Result<(), Failure> {
        self.send(&Request::session(&self.config.api, "/v1/auth/end", json!({})), Some(access)).await.map(drop)
    }

    async fn session(&self, path: &str, body: Value) -> Result<Session, Failure> {
        let answered = self.send(&Request::session(&self.config.api, path, body), None).await?;
        // The parser's own message would quote the answer, and the answer holds tokens.
        serde_json::from_value(answered.data).map_err(|_| {
            let message =
                format!("{} answered a sign-in in a form that this app does not know. Update the app.", self.name());
            Failure::Refused(ErrorBody::new(ErrorCode::Unavailable, message))
        })
    }

    /// For how long its last refusal asked not to be asked again by a program; a person may.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.retry_after_s.swap(0, Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// The API as a message names it.
    pub(crate) fn name(&self) -> String {
        format!("AIKit Partners at {}", self.config.origin())
    }
}

/// What an answer means.
fn read(status: StatusCode, as_of: Option<DateTime<Utc>>, body: &[u8]) -> Result<Answered, Failure> {
    if status.is_success() {
        if body.is_empty() {
            return Ok(Answered { data: Value::Null, as_of, file: None });
        }
        return match serde_json::from_slice(body) {
            Ok(data) => Ok(Answered { data, as_of, file: None }),
            Err(_) => Err(Failure::Away(not_ours("what answered there is not its API"))),
        };
    }
    let said: Option<ErrorBody> = serde_json::from_slice(body).ok();
    match status.as_u16() {
        502..=504 => {
            let what = format!("its host answered {}", status.as_u16());
            Err(Failure::Away(Away { perhaps_sent: true, what, said }))
        }
        300..=399 => Err(Failure::Away(not_ours("what answered there leads elsewhere"))),
        code => Err(Failure::Refused(said.unwrap_or_else(|| {
            let message = format!("AIKit Partners refused with status {code} and gave no reason. Try again later.");
            ErrorBody::new(code_of(code), message)
        }))),
    }
}

fn code_of(status: u16) -> ErrorCode {
    match status {
        401 => ErrorCode::SignedOut,
        403 => ErrorCode::Forbidden,
        404 => ErrorCode::NotFound,
        409 => ErrorCode::Conflict,
        429 => ErrorCode::TooMany,
        500.. => ErrorCode::Unavailable,
        _ => ErrorCode::Invalid,
    }
}

/// The name of a file, as the API says it.
fn file_name(headers: &HeaderMap) -> String {
    let said = headers.get(CONTENT_DISPOSITION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let quoted = said.split_once("filename=\"").and_then(|(_, rest)| rest.split_once('"'));
    quoted.map_or_else(|| "download".to_owned(), |(name, _)| name.to_owned())
}

/// `Retry-After` in seconds, an hour at most; 0 where it says nothing, or a date.
fn retry_after_s(headers: &HeaderMap) -> u64 {
    let said = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
    said.unwrap_or(0_u64).min(3_600)
}

fn as_of(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(AS_OF_HEADER)?.to_str().ok()?;
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

fn out_of_reach(error: &reqwest::Error) -> Away {
    let what = match (error.is_connect(), error.is_timeout()) {
        (true, true) => "no connection in time",
        (true, false) => "no connection",
        (false, true) => "no answer in time",
        (false, false) => "the connection broke",
    };
    Away { perhaps_sent: !error.is_connect(), what: what.to_owned(), said: None }
}

fn not_ours(what: &str) -> Away {
    Away { perhaps_sent: true, what: what.to_owned(), said: None }
}
