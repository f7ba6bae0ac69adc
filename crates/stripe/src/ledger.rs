//! The record of a run, as the executor sees it: five calls, and the same calls over HTTP.

use std::future::Future;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, Url};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::{
    ClaimItems, Claimed, ErrorBody, ErrorCode, Grant, Intent, Observe, Observed, RecordIntent, Settle, Settled,
    StopSending,
};

use crate::client::{self, ConfigError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);

/// Who keeps the records: the Referral API, over HTTP or in the same process.
pub trait Ledger: Send + Sync {
    /// The grants that this executor may act on.
    ///
    /// # Errors
    /// If the ledger refused or could not be reached; so for every call.
    fn grants(&self) -> impl Future<Output = Result<Vec<Grant>, LedgerError>> + Send;

    /// Takes a lease on some items of a run.
    ///
    /// # Errors
    /// See [`Ledger::grants`].
    fn claim(&self, run: &str, claim: &ClaimItems) -> impl Future<Output = Result<Claimed, LedgerError>> + Send;

    /// Tells what Stripe lists for an item, and asks what to do.
    ///
    /// # Errors
    /// See [`Ledger::grants`].
    fn observe(&self, item: &str, seen: &Observe) -> impl Future<Output = Result<Observed, LedgerError>> + Send;

    /// Records that an attempt is about to be sent. After an error it is not certain that it is recorded.
    ///
    /// # Errors
    /// See [`Ledger::grants`].
    fn intent(&self, item: &str, intent: &RecordIntent) -> impl Future<Output = Result<Intent, LedgerError>> + Send;

    /// Records what Stripe answered. Idempotent.
    ///
    /// # Errors
    /// See [`Ledger::grants`].
    fn settle(&self, item: &str, settle: &Settle) -> impl Future<Output = Result<Settled, LedgerError>> + Send;

    /// Tells finance why nothing more can be sent under a grant, and ends it.
    ///
    /// # Errors
    /// See [`Ledger::grants`].
    fn stop(&self, grant: &str, stop: &StopSending) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// Why the ledger gave nothing to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It said why.
    #[error("{}", .0.message)]
    Refused(ErrorBody),
    /// No answer; what was asked may have happened.
    #[error("The Referral API did not answer: {reason}.")]
    Unreachable {
        /// What was in the way.
        reason: String,
    },
    /// An answer that cannot be read; what was asked may have happened.
    #[error(
        "The Referral API's answer cannot be read: {reason}. Check its address, and that its version fits this one."
    )]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

impl LedgerError {
    /// The same call may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            LedgerError::Refused(body) => {
                matches!(body.code, ErrorCode::TooMany | ErrorCode::Unavailable | ErrorCode::Offline)
            }
            LedgerError::Unreachable { .. } => true,
            LedgerError::Unreadable { .. } => false,
        }
    }

    /// Nothing that this executor asks will succeed.
    pub fn ends_run(&self) -> bool {
        match self {
            LedgerError::Refused(body) => {
                matches!(body.code, ErrorCode::SignedOut | ErrorCode::StepUp | ErrorCode::Forbidden)
            }
            LedgerError::Unreachable { .. } => false,
            LedgerError::Unreadable { .. } => true,
        }
    }
}

/// The Referral API over HTTP, with an executor's key.
#[derive(Clone)]
pub struct HttpLedger {
    base: Url,
    http: reqwest::Client,
}

impl HttpLedger {
    /// A ledger at this address.
    ///
    /// # Errors
    /// An address that is neither `https` nor on this computer, or a key that no header can hold.
    pub fn new(base: &str, key: &SecretString) -> Result<HttpLedger, ConfigError> {
        let secure = |url: &Url| url.scheme() == "https";
        let local = client::loopback(base);
        let http = client::pooled(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, client::bearer(key)?)]));
        let http = if local.is_some() { http.no_proxy() } else { http.https_only(true) };
        let base = local
            .or_else(|| client::directory(base).filter(secure))
            .ok_or_else(|| ConfigError::ApiAddress { given: base.into() })?;
        Ok(HttpLedger { base, http: http.build().map_err(|e| ConfigError::Http(e.to_string()))? })
    }

    /// The address of a call. Ids are single segments, whatever characters they hold.
    fn address(&self, segments: &[&str]) -> Result<Url, LedgerError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| LedgerError::Unreadable { reason: "its address cannot be a base".into() })?
            .pop_if_empty()
            .push("v1")
            .extend(segments);
        Ok(url)
    }

    async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<A, LedgerError> {
        let unreachable = |e: reqwest::Error| LedgerError::Unreachable { reason: client::reason(&e, TOTAL_TIMEOUT) };
        let mut request = self.http.request(method, self.address(segments)?);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            // What has nothing to say says it with an empty body.
            let body = if body.is_empty() { b"null".as_slice() } else { &body };
            return serde_json::from_slice(body).map_err(|e| LedgerError::Unreadable { reason: e.to_string() });
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(error) => Err(LedgerError::Refused(error)),
            // A gateway in between, while the API restarts.
            Err(_) if status.is_server_error() || status.as_u16() == 429 => {
                Err(LedgerError::Unreachable { reason: format!("status {status}") })
            }
            Err(_) => Err(LedgerError::Unreadable { reason: format!("status {status} without a reason") }),
        }
    }
}

const NO_BODY: Option<&()> = None;

impl Ledger for HttpLedger {
    async fn grants(&self) -> Result<Vec<Grant>, LedgerError> {
        self.call(Method::GET, &["executor", "grants"], NO_BODY).await
    }

    async fn claim(&self, run: &str, claim: &ClaimItems) -> Result<Claimed, LedgerError> {
        self.call(Method::POST, &["runs", run, "claims"], Some(claim)).await
    }

    async fn observe(&self, item: &str, seen: &Observe) -> Result<Observed, LedgerError> {
        self.call(Method::POST, &["items", item, "observations"], Some(seen)).await
    }

    async fn intent(&self, item: &str, intent: &RecordIntent) -> Result<Intent, LedgerError> {
        self.call(Method::POST, &["items", item, "intents"], Some(intent)).await
    }

    async fn settle(&self, item: &str, settle: &Settle) -> Result<Settled, LedgerError> {
        self.call(Method::POST, &["items", item, "settlements"], Some(settle)).await
    }

    async fn stop(&self, grant: &str, stop: &StopSending) -> Result<(), LedgerError> {
        self.call(Method::POST, &["executor", "grants", grant, "stop"], Some(stop)).await
    }
}

impl std::fmt::Debug for HttpLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpLedger").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}
