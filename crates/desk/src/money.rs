//! The executor of this computer: it sends the runs that finance has released, with a key of Stripe's that stays in the
//! keychain. What may be sent, and that nothing is sent twice, is decided as for any other executor.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stripe::{Cancel, Executor, Ledger, LedgerError, Progress, Report, Stop, StripeHttp, SystemClock, Transfers as _};
use ts_rs::TS;
use wire::{
    ClaimItems, Claimed, ErrorBody, ErrorCode, Grant, Intent, Method, Observe, Observed, RecordIntent, Settle, Settled,
    StopSending,
};

use crate::api::Failure;
use crate::keychain::Keychain;
use crate::request::Request;
use crate::session::{Sessions, cannot_act, signed_out};

/// Between two passes over a run that is not done.
const BETWEEN_PASSES: Duration = Duration::from_secs(3);

/// The money key of this computer, as far as anybody may see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, TS)]
pub struct MoneyKey {
    /// There is one.
    pub present: bool,
    /// It moves real money.
    pub live: bool,
    /// The Stripe account that it belongs to, `acct_…`.
    pub account: Option<String>,
    /// Its last four characters.
    pub ends_with: Option<String>,
    /// It is in the keychain; else in memory only, until the app is closed.
    pub kept: bool,
}

/// Arguments of `keep_money_key`.
#[derive(Deserialize, TS)]
pub struct KeepMoneyKey {
    /// A restricted key of Stripe's, `rk_…`.
    pub key: String,
}

/// Arguments of `send_here`.
#[derive(Debug, Deserialize, TS)]
pub struct SendHere {
    /// Id of the run.
    pub run: String,
}

/// What this computer sends, or sent last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, TS)]
pub struct SendingHere {
    /// Id of the run.
    pub run: Option<String>,
    /// It is at work.
    pub at_work: bool,
    /// Payouts made or found since it began.
    pub paid: u32,
    /// Their sum, in minor units.
    pub paid_minor: i64,
    /// Of the pass that goes on, or was the last: not paid, for whatever reason.
    pub not_paid: u32,
    /// Why it ended, in a sentence.
    pub ended: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    key: String,
    account: String,
}

impl Kept {
    fn shown(&self, kept: bool) -> MoneyKey {
        let ends_with: String = self.key.chars().skip(self.key.chars().count().saturating_sub(4)).collect();
        MoneyKey {
            present: true,
            live: self.key.contains("_live_"),
            account: Some(self.account.clone()),
            ends_with: Some(ends_with),
            kept,
        }
    }

    /// As the keychain has it.
    fn secret(&self) -> SecretString {
        json!(self).to_string().into()
    }
}

/// The executor of this computer.
pub(crate) struct Money {
    sessions: Arc<Sessions>,
    /// A stand-in for Stripe on this computer, in demonstrations and tests.
    stripe: Option<String>,
    /// Where the keychain cannot be used, the key and whose it is.
    memory: Mutex<Option<(String, Kept)>>,
    work: Mutex<Option<(Cancel, Arc<Mutex<SendingHere>>)>>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(code: ErrorCode, message: impl Into<String>) -> ErrorBody {
    ErrorBody::new(code, message)
}

impl Money {
    pub(crate) fn new(sessions: Arc<Sessions>, stripe: Option<String>) -> Money {
        Money { sessions, stripe, memory: Mutex::new(None), work: Mutex::new(None) }
    }

    fn keychain(&self) -> &Keychain {
        &self.sessions.keychain
    }

    /// Under which name the key of whoever is signed in is kept.
    async fn name(&self) -> Result<String, ErrorBody> {
        let pass = self.sessions.pass().await.ok_or_else(signed_out)?;
        Ok(entry(&pass.name))
    }

    /// The key of whoever is signed in, and whether it is in the keychain.
    async fn find(&self) -> Result<Option<(Kept, bool)>, ErrorBody> {
        let name = self.name().await?;
        if let Some((_, kept)) = held(&self.memory).as_ref().filter(|(of, _)| *of == name) {
            return Ok(Some((kept.clone(), false)));
        }
        let secret = self.keychain().get(&name).await.ok().flatten();
        Ok(secret.and_then(|secret| serde_json::from_str(secret.expose_secret()).ok()).map(|kept| (kept, true)))
    }

    pub(crate) async fn key(&self) -> Result<MoneyKey, ErrorBody> {
        Ok(self.find().await?.map(|(kept, in_keychain)| kept.shown(in_keychain)).unwrap_or_default())
    }

    fn client(&self, key: &str) -> Result<StripeHttp, ErrorBody> {
        StripeHttp::new(key.into(), self.stripe.as_deref()).map_err(|why| refused(ErrorCode::Invalid, why.to_string()))
    }

    /// Keeps a key that Stripe knows and that may do what sending needs.
    pub(crate) async fn keep(&self, given: KeepMoneyKey) -> Result<MoneyKey, ErrorBody> {
        let name = self.name().await?;
        let key = given.key.trim();
        if key.starts_with("sk_live_") {
            let message = "This is a secret key, which may do everything. Make a restricted key in Stripe's dashboard (transfers: write; balance and account: read) and give that.";
            return Err(refused(ErrorCode::Invalid, message));
        }
        let standing = self.client(key)?.standing("usd").await;
        let standing = standing.map_err(|why| {
            refused(
                ErrorCode::Invalid,
                format!("The key was not kept, because Stripe was asked with it and: {why} It needs transfers (write), balance and account (read)."),
            )
        })?;
        let kept = Kept { key: key.to_owned(), account: standing.account };
        let in_keychain = self.keychain().set(&name, &kept.secret()).await;
        *held(&self.memory) = (!in_keychain).then(|| (name, kept.clone()));
        Ok(kept.shown(in_keychain))
    }

    /// Forgets the key of whoever is signed in, and stops sending.
    pub(crate) async fn forget(&self) -> Result<MoneyKey, ErrorBody> {
        self.stop();
        if let Ok(name) = self.name().await {
            self.keychain().delete(&name).await;
        }
        *held(&self.memory) = None;
        Ok(MoneyKey::default())
    }

    pub(crate) fn sending(&self) -> SendingHere {
        held(&self.work).as_ref().map(|(_, told)| held(told).clone()).unwrap_or_default()
    }

    /// Ends after what is on its way.
    pub(crate) fn stop(&self) -> SendingHere {
        if let Some((cancel, _)) = &*held(&self.work) {
            cancel.cancel();
        }
        self.sending()
    }

    /// Begins to send a run, beside whatever the window does.
    pub(crate) async fn send(&self, what: SendHere) -> Result<SendingHere, ErrorBody> {
        let account = self.sessions.account().await.ok_or_else(signed_out)?;
        let whose = self.sessions.pass().await.ok_or_else(signed_out)?.name;
        let Some((kept, _)) = self.find().await? else {
            return Err(refused(ErrorCode::Conflict, "This computer has no key to send with. Give it one first."));
        };
        let stripe = self.client(&kept.key)?;
        let ledger = SessionLedger { sessions: Arc::clone(&self.sessions), whose };
        let mut work = held(&self.work);
        if work.as_ref().is_some_and(|(_, told)| held(told).at_work) {
            return Err(refused(ErrorCode::Conflict, "This computer is sending already."));
        }
        let begun = SendingHere { run: Some(what.run.clone()), at_work: true, ..SendingHere::default() };
        let (cancel, told) = (Cancel::new(), Arc::new(Mutex::new(begun.clone())));
        *work = Some((cancel.clone(), Arc::clone(&told)));
        let executor =
            Executor::new(ledger.clone(), stripe, format!("desktop of {}", account.email), Arc::new(SystemClock))
                .from_account(Some(kept.account));
        tokio::spawn(async move {
            let ended = passes(&executor, &ledger, &what.run, &cancel, &told).await;
            let mut told = held(&told);
            told.at_work = false;
            told.ended = Some(ended);
        });
        Ok(begun)
    }
}

/// The keychain's name of the key of an account.
pub(crate) fn entry(account: &str) -> String {
    format!("payouts {account}")
}

/// Passes over a run until nothing of it can be sent any more. Answers why that is so.
async fn passes(
    executor: &Executor<SessionLedger, StripeHttp>,
    ledger: &SessionLedger,
    run: &str,
    cancel: &Cancel,
    told: &Mutex<SendingHere>,
) -> String {
    let mut before = SendingHere::default();
    loop {
        let grant = match ledger.grants().await {
            Ok(grants) => grants.into_iter().find(|grant| grant.run == run),
            Err(why) => return why.to_string(),
        };
        let Some(grant) = grant else {
            return match before.paid {
                0 => "Nobody may send this run now: it is done, or finance must send it first.".into(),
                _ => "Everything is sent that can be sent.".into(),
            };
        };
        let progress = |progress: Progress<'_>| {
            if let Progress::Item { report, .. } = progress {
                tell(told, &before, report);
            }
        };
        let report = executor.run(&grant, cancel, progress).await;
        tell(told, &before, &report);
        match &report.stopped {
            Some(Stop::Cancelled) => return "Stopped on this computer. What was on its way is recorded.".into(),
            Some(why) => return why.to_string(),
            None if report == (Report { open: report.open, ..Report::default() }) => {
                return "Nothing more can be sent now: the rest waits for a person or for another program.".into();
            }
            None => before = held(told).clone(),
        }
        tokio::select! {
            () = tokio::time::sleep(BETWEEN_PASSES) => {}
            () = cancel.cancelled() => {}
        }
    }
}

fn tell(told: &Mutex<SendingHere>, before: &SendingHere, report: &Report) {
    let mut told = held(told);
    told.paid = before.paid.saturating_add(report.paid);
    told.paid_minor = before.paid_minor.saturating_add(report.amount_minor);
    told.not_paid = report.review + report.refused + report.unknown + report.left;
}

/// The API's records, with the session of whoever began to send.
#[derive(Clone)]
struct SessionLedger {
    sessions: Arc<Sessions>,
    /// Name of the account; another one's session is not used.
    whose: String,
}

impl SessionLedger {
    async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        body: Option<Value>,
    ) -> Result<A, LedgerError> {
        let pass = self.sessions.pass().await.filter(|pass| pass.name == self.whose);
        let pass = pass.ok_or_else(|| LedgerError::Refused(signed_out()))?;
        let request = Request::record(&self.sessions.api.config.api, method, segments, body);
        match self.sessions.send(&request, Some(&pass)).await {
            Ok(answered) => serde_json::from_value(answered.data)
                .map_err(|error| LedgerError::Unreadable { reason: error.to_string() }),
            Err(Failure::Refused(error)) => Err(LedgerError::Refused(error)),
            Err(Failure::Away(away)) => match away.said.clone() {
                Some(said) => Err(LedgerError::Refused(said)),
                None => Err(LedgerError::Unreachable { reason: cannot_act(&self.sessions.api, away).message }),
            },
        }
    }

    fn post<A: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &impl Serialize,
    ) -> impl Future<Output = Result<A, LedgerError>> {
        self.call(Method::Post, segments, Some(json!(body)))
    }
}

impl Ledger for SessionLedger {
    async fn grants(&self) -> Result<Vec<Grant>, LedgerError> {
        self.call(Method::Get, &["executor", "grants"], None).await
    }

    async fn claim(&self, run: &str, claim: &ClaimItems) -> Result<Claimed, LedgerError> {
        self.post(&["runs", run, "claims"], claim).await
    }

    async fn observe(&self, item: &str, seen: &Observe) -> Result<Observed, LedgerError> {
        self.post(&["items", item, "observations"], seen).await
    }

    async fn intent(&self, item: &str, intent: &RecordIntent) -> Result<Intent, LedgerError> {
        self.post(&["items", item, "intents"], intent).await
    }

    async fn settle(&self, item: &str, settle: &Settle) -> Result<Settled, LedgerError> {
        self.post(&["items", item, "settlements"], settle).await
    }

    async fn stop(&self, grant: &str, stop: &StopSending) -> Result<(), LedgerError> {
        self.post(&["executor", "grants", grant, "stop"], stop).await
    }
}
