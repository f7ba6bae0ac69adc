//! Who is signed in: two tokens in memory, the renewing one in the keychain as well.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::sync::{RwLock, watch};
use wire::{Account, ErrorBody, ErrorCode, SignInBegun};

use crate::account::KnownAccounts;
use crate::api::{Answered, Api, Away, Failure};
use crate::cache::{Cache, Key};
use crate::keychain::Keychain;
use crate::loopback::Loopback;
use crate::request::Request;
use crate::sync::Accounts;

struct SignedIn {
    account: Account,
    /// Missing until the first renewal after a start.
    access: Option<SecretString>,
    refresh: SecretString,
}

/// The right to send a request for one person.
pub(crate) struct Pass {
    /// Name of the account, under which its answers are saved.
    pub(crate) name: String,
    access: Option<SecretString>,
}

impl Pass {
    fn has(&self, access: &SecretString) -> bool {
        self.access.as_ref().is_some_and(|own| own.expose_secret() == access.expose_secret())
    }
}

/// The session at the API. What was saved for a person lives and dies with it.
pub(crate) struct Sessions {
    pub(crate) api: Api,
    pub(crate) keychain: Keychain,
    pub(crate) cache: Cache,
    /// Copies and outboxes.
    pub(crate) accounts: Accounts,
    known: KnownAccounts,
    current: RwLock<Option<SignedIn>>,
    /// One sign-in, renewal or sign-out at a time: a token that renews may be used once. It holds why the last renewal
    /// did not reach the API.
    gate: tokio::sync::Mutex<Option<Away>>,
    /// How many renewals have been tried.
    renewals: AtomicU64,
    /// Trouble with files, for the banner.
    trouble: Mutex<Option<String>>,
    /// Counts what ends the wait for a browser.
    turn: watch::Sender<u32>,
}

impl Sessions {
    pub(crate) fn new(api: Api, keychain: Keychain, cache: Cache, accounts: Accounts, known: KnownAccounts) -> Self {
        let (current, gate, renewals, trouble, turn) = Default::default();
        Self { api, keychain, cache, accounts, known, current, gate, renewals, trouble, turn }
    }

    /// The account that is signed in, after a look into the keychain at the first call. When the API is out of reach it
    /// is the account as it was last seen, so that its saved pages show.
    pub(crate) async fn resume(&self) -> Option<Account> {
        let _gate = self.gate.lock().await;
        if let Some(account) = self.account().await {
            return Some(account);
        }
        let origin = self.api.config.origin();
        let known = self.known.at(&origin);
        let name = known.as_ref().map(|account| self.name_of(account));
        self.note(self.cache.keep_only(&origin, name.as_deref()));
        self.note(self.accounts.keep_only(&origin, name.as_deref()));
        let (account, name) = (known?, name?);
        let refresh = match self.keychain.get(&name).await {
            Ok(Some(token)) => token,
            Ok(None) => {
                self.forget(&account, false).await;
                return None;
            }
            // The keychain may be back at the next start, so nothing is forgotten.
            Err(_) => return None,
        };
        *self.current.write().await = Some(SignedIn { account, access: None, refresh });
        // Whether it worked or not: what counts is whether the session is still there.
        let _ = self.renew(&Pass { name, access: None }).await;
        self.account().await
    }

    /// Signs in with the code that was sent to `email`.
    pub(crate) async fn sign_in(&self, email: &str, code: &str) -> Result<Account, Failure> {
        let _gate = self.gate.lock().await;
        let session = self.api.start_session(email, code).await?;
        self.begin(session).await
    }

    /// Signs in at the issuer: `show` opens the address in the person's browser, which comes back to a port of this
    /// computer. A later call takes the place of one that still waits.
    pub(crate) async fn sign_in_at_issuer(
        &self,
        confirm: bool,
        show: impl FnOnce(String) -> Result<(), ErrorBody>,
    ) -> Result<Account, Failure> {
        self.stop_waiting();
        let mut turn = self.turn.subscribe();
        let loopback = Loopback::open().await.map_err(Failure::Refused)?;
        let body = json!({ "confirm": confirm, "program": loopback.program() });
        let begin = Request::session(&self.api.config.api, "/v1/auth/oidc", body);
        let begun = self.send(&begin, self.pass().await.as_ref()).await?.data;
        let begun: SignInBegun = serde_json::from_value(begun).map_err(|_| Failure::Refused(self.strange()))?;
        show(begun.url).map_err(Failure::Refused)?;
        let code = tokio::select! {
            code = loopback.code() => code.map_err(Failure::Refused)?,
            _ = turn.changed() => {
                let message = "The sign-in in the browser was given up.";
                return Err(Failure::Refused(ErrorBody::new(ErrorCode::SignedOut, message)));
            }
        };
        let _gate = self.gate.lock().await;
        let session = self.api.redeem(&code, &loopback.verifier).await?;
        self.begin(session).await
    }

    /// Ends the wait for a browser, if there is one.
    pub(crate) fn stop_waiting(&self) {
        self.turn.send_modify(|turn| *turn += 1);
    }

    fn strange(&self) -> ErrorBody {
        let message =
            format!("{} began a sign-in in a form that this app does not know. Update the app.", self.api.name());
        ErrorBody::new(ErrorCode::Unavailable, message)
    }

    /// Signs in as one of the demo's people.
    pub(crate) async fn sign_in_demo(&self, person: &str) -> Result<Account, Failure> {
        let _gate = self.gate.lock().await;
        let session = self.api.start_demo_session(person).await?;
        self.begin(session).await
    }

    /// Forgets the session, its token and all that was saved for it, then ends it at the API if that can be reached; if
    /// not, it ends there by itself. What was not sent goes too where it is to be `discard`ed.
    pub(crate) async fn sign_out(&self, discard: bool) {
        let _gate = self.gate.lock().await;
        let Some(ending) = self.current.write().await.take() else { return };
        self.forget(&ending.account, discard).await;
        self.end_at_api(ending).await;
    }

    /// The session as it is now, to send one request with; `None` when nobody is signed in.
    pub(crate) async fn pass(&self) -> Option<Pass> {
        let current = self.current.read().await;
        current.as_ref().map(|s| Pass { name: self.name_of(&s.account), access: s.access.clone() })
    }

    /// Sends a request, for the person of the pass if there is one. A token that has run out is renewed once.
    pub(crate) async fn send(&self, request: &Request, pass: Option<&Pass>) -> Result<Answered, Failure> {
        let Some(pass) = pass else {
            return self.api.send(request, None).await;
        };
        let access = match &pass.access {
            Some(access) => access.clone(),
            None => self.renewed(pass).await?,
        };
        match self.api.send(request, Some(&access)).await {
            Err(Failure::Refused(error)) if error.code == ErrorCode::SignedOut => {
                let access = self.renewed(&Pass { name: pass.name.clone(), access: Some(access) }).await?;
                self.api.send(request, Some(&access)).await
            }
            other => other,
        }
    }

    /// Who is signed in.
    pub(crate) async fn account(&self) -> Option<Account> {
        self.current.read().await.as_ref().map(|s| s.account.clone())
    }

    /// Changes what is saved under `key`, unless its person has signed out meanwhile.
    pub(crate) async fn change_saved(&self, key: &Key, change: impl FnOnce(&Cache) -> rusqlite::Result<()>) {
        // Signing out waits for this guard before it deletes.
        let current = self.current.read().await;
        if current.as_ref().is_some_and(|s| self.name_of(&s.account) == key.account) {
            self.note(change(&self.cache));
        }
    }

    /// What went wrong with files, if anything did.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An access token for the person of the pass that is not the pass's own.
    async fn renewed(&self, stale: &Pass) -> Result<SecretString, Failure> {
        let tried = self.renewals.load(Ordering::SeqCst);
        let mut gate = self.gate.lock().await;
        // A try that ended while this one waited speaks for it too; else many calls would wait one after the other.
        if let (Some(away), true) = (&*gate, self.renewals.load(Ordering::SeqCst) > tried) {
            return Err(Failure::Away(away.clone()));
        }
        let renewed = self.renew(stale).await;
        *gate = match &renewed {
            Err(Failure::Away(away)) => Some(away.clone()),
            _ => None,
        };
        self.renewals.fetch_add(1, Ordering::SeqCst);
        renewed
    }

    /// As [`Self::renewed`], with the gate already held.
    async fn renew(&self, stale: &Pass) -> Result<SecretString, Failure> {
        let (account, refresh) = match &*self.current.read().await {
            // Another person's session must not carry what this one asked for.
            Some(s) if self.name_of(&s.account) == stale.name => match &s.access {
                // Another call was faster.
                Some(access) if !stale.has(access) => return Ok(access.clone()),
                _ => (s.account.clone(), s.refresh.clone()),
            },
            _ => return Err(Failure::Refused(signed_out())),
        };
        match self.api.refresh(&refresh).await {
            Ok(session) => self.keep(session).await,
            // The API will not take this token at the next try either.
            Err(Failure::Refused(error)) if matches!(error.code, ErrorCode::SignedOut | ErrorCode::Invalid) => {
                *self.current.write().await = None;
                self.forget(&account, false).await;
                Err(Failure::Refused(signed_out()))
            }
            Err(failure) => Err(failure),
        }
    }

    /// A new sign-in takes the place of an earlier one; another person's leaves nothing behind.
    async fn begin(&self, session: wire::Session) -> Result<Account, Failure> {
        let account = session.account.clone();
        let other = self.current.write().await.take_if(|s| s.account.user != account.user);
        if let Some(other) = &other {
            self.forget(&other.account, false).await;
        }
        self.keep(session).await?;
        if let Some(other) = other {
            self.end_at_api(other).await;
        }
        Ok(account)
    }

    /// Stores the next token first, then uses the session. Answers its access token.
    async fn keep(&self, session: wire::Session) -> Result<SecretString, Failure> {
        let Some(refresh) = session.refresh_token.map(SecretString::from) else {
            let message =
                format!("{} gave a session without the token that renews it. Sign in again.", self.api.name());
            return Err(Failure::Refused(ErrorBody::new(ErrorCode::Unavailable, message)));
        };
        let (account, access) = (session.account, SecretString::from(session.access_token));
        let kept = self.keychain.set(&self.name_of(&account), &refresh).await;
        // Only an account whose token outlives this run is known at the next.
        self.note(self.known.set(&self.api.config.origin(), kept.then_some(&account)));
        *self.current.write().await = Some(SignedIn { account, access: Some(access.clone()), refresh });
        Ok(access)
    }

    /// Leaves nothing of an account on this computer, but for what was done and not sent, unless that is to be `discard`ed.
    async fn forget(&self, account: &Account, discard: bool) {
        let name = self.name_of(account);
        self.note(self.known.set(&self.api.config.origin(), None));
        self.note(self.cache.forget(&name));
        self.note(self.accounts.forget(&name, discard));
        self.keychain.delete(&name).await;
    }

    /// Tells the API that a session is over. It may be out of reach; then the session runs out there.
    async fn end_at_api(&self, ending: SignedIn) {
        if let Some(access) = &ending.access {
            match self.api.end_session(access).await {
                Err(Failure::Refused(error)) if error.code == ErrorCode::SignedOut => {}
                _ => return,
            }
        }
        if let Ok(session) = self.api.refresh(&ending.refresh).await {
            let _ = self.api.end_session(&SecretString::from(session.access_token)).await;
        }
    }

    /// The account's name in the keychain, among the saved answers, and of its copy.
    pub(crate) fn name_of(&self, account: &Account) -> String {
        format!("{} {}", self.api.config.origin(), account.user)
    }

    pub(crate) fn note<E: std::fmt::Display>(&self, result: Result<(), E>) {
        if let Err(error) = result {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
    }
}

/// For the person whose session is over.
pub(crate) fn signed_out() -> ErrorBody {
    ErrorBody::new(ErrorCode::SignedOut, "Your session has ended. Sign in again.")
}

/// What a person is told who asked to read a page that has no saved copy.
pub(crate) fn cannot_read(api: &Api, away: &Away) -> ErrorBody {
    let message = format!(
        "{} cannot be reached ({}), and there is no saved copy of this page yet. Check the network and try again.",
        api.name(),
        away.what
    );
    ErrorBody::new(ErrorCode::Offline, message)
}

/// What a person is told whose act found the API out of reach, where it is none of those that wait (`acts`).
pub(crate) fn cannot_act(api: &Api, away: Away) -> ErrorBody {
    if let Some(said) = away.said {
        return said;
    }
    let message = if away.perhaps_sent {
        format!(
            "The answer of {} got lost ({}). Whether it was done is not known: look again before you repeat it.",
            api.name(),
            away.what
        )
    } else {
        format!(
            "This needs the network: {} cannot be reached ({}). Nothing was sent. Try again when the connection is back.",
            api.name(),
            away.what
        )
    };
    ErrorBody::new(ErrorCode::Offline, message)
}
