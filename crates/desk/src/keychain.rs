//! The keychain of the computer, which may be absent, locked or stuck.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OnceCell, oneshot};

/// Name of the product in the keychain.
const SERVICE: &str = "aikit-partners";
/// Entry that is written and deleted at start: a keychain that is not set up answers "no entry" to every read.
const PROBE: &str = "probe";
const TIMEOUT: Duration = Duration::from_secs(5);

/// A store of small secrets by name. Calls may block.
pub trait SecretStore: Send + Sync + 'static {
    /// The secret of `name`, or `None` when there is none.
    fn get(&self, name: &str) -> Result<Option<SecretString>, StoreFault>;
    /// Keeps the secret under `name`, in place of an earlier one.
    fn set(&self, name: &str, secret: &SecretString) -> Result<(), StoreFault>;
    /// Forgets `name`; fine when there is none.
    fn delete(&self, name: &str) -> Result<(), StoreFault>;
}

/// Why a store cannot be used, in a few words without any secret.
#[derive(Clone, Debug)]
pub struct StoreFault(pub String);

/// The keychain of the operating system: Keychain, Credential Manager, Secret Service.
pub struct OsKeychain;

impl OsKeychain {
    fn entry(name: &str) -> Result<keyring::Entry, StoreFault> {
        keyring::Entry::new(SERVICE, name).map_err(|e| fault(&e))
    }
}

impl SecretStore for OsKeychain {
    fn get(&self, name: &str) -> Result<Option<SecretString>, StoreFault> {
        match Self::entry(name)?.get_password() {
            Ok(secret) => Ok(Some(secret.into())),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(fault(&error)),
        }
    }

    fn set(&self, name: &str, secret: &SecretString) -> Result<(), StoreFault> {
        Self::entry(name)?.set_password(secret.expose_secret()).map_err(|e| fault(&e))
    }

    fn delete(&self, name: &str) -> Result<(), StoreFault> {
        match Self::entry(name)?.delete_credential() {
            Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
            Err(error) => Err(fault(&error)),
        }
    }
}

/// The library's own messages may quote what was stored, so only the kind is told.
fn fault(error: &keyring::Error) -> StoreFault {
    let what = match error {
        keyring::Error::NoStorageAccess(_) => "it is locked or not set up",
        keyring::Error::NoDefaultStore | keyring::Error::PlatformFailure(_) => "none is running",
        _ => "it refused",
    };
    StoreFault(what.to_owned())
}

/// A store that is called off the async threads, never longer than five seconds, and never again after a fault.
pub(crate) struct Keychain {
    store: Arc<dyn SecretStore>,
    timeout: Duration,
    probed: OnceCell<()>,
    fault: Mutex<Option<String>>,
}

impl Keychain {
    pub(crate) fn new(store: Arc<dyn SecretStore>) -> Self {
        Self { store, timeout: TIMEOUT, probed: OnceCell::new(), fault: Mutex::new(None) }
    }

    /// Why the keychain is not used, once that is known.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The secret of `name`; an error when the keychain cannot be used.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<SecretString>, StoreFault> {
        self.probe().await;
        let name = name.to_owned();
        self.run(move |store| store.get(&name)).await
    }

    /// Keeps a secret; false when it is in memory only because the keychain cannot be used.
    pub(crate) async fn set(&self, name: &str, secret: &SecretString) -> bool {
        self.probe().await;
        let (name, secret) = (name.to_owned(), secret.clone());
        self.run(move |store| store.set(&name, &secret)).await.is_ok()
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.probe().await;
        let name = name.to_owned();
        // A fault is kept for the banner.
        let _ = self.run(move |store| store.delete(&name)).await;
    }

    /// Tries the keychain out, once.
    pub(crate) async fn probe(&self) {
        let probe = |store: &dyn SecretStore| {
            store.set(PROBE, &SecretString::from("1"))?;
            store.delete(PROBE)
        };
        self.probed.get_or_init(async || drop(self.run(probe).await)).await;
    }

    async fn run<T, F>(&self, call: F) -> Result<T, StoreFault>
    where
        T: Send + 'static,
        F: FnOnce(&dyn SecretStore) -> Result<T, StoreFault> + Send + 'static,
    {
        if let Some(fault) = self.fault() {
            return Err(StoreFault(fault));
        }
        let (answer, answered) = oneshot::channel();
        let store = Arc::clone(&self.store);
        // A thread of its own: one that never comes back must not keep the runtime from ending.
        let started = std::thread::Builder::new().name("keychain".into()).spawn(move || {
            let _ = answer.send(call(&*store));
        });
        let result = match started {
            Err(_) => Err(StoreFault("the system gave no thread for it".into())),
            Ok(_) => match tokio::time::timeout(self.timeout, answered).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(StoreFault("it broke off".into())),
                Err(_) => Err(StoreFault("it did not answer within 5 seconds".into())),
            },
        };
        if let Err(StoreFault(what)) = &result {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(what.clone());
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hangs for longer than anyone waits.
    struct Stuck;

    impl SecretStore for Stuck {
        fn get(&self, _: &str) -> Result<Option<SecretString>, StoreFault> {
            std::thread::park();
            Ok(None)
        }
        fn set(&self, _: &str, _: &SecretString) -> Result<(), StoreFault> {
            std::thread::park();
            Ok(())
        }
        fn delete(&self, _: &str) -> Result<(), StoreFault> {
            std::thread::park();
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_keychain_is_given_up_once_and_for_all() {
        let keychain = Keychain::new(Arc::new(Stuck));
        let begun = tokio::time::Instant::now();
        assert!(!keychain.set("a", &SecretString::from("x")).await);
        assert_eq!(begun.elapsed().as_secs(), 5);
        assert!(keychain.get("a").await.is_err());
        assert_eq!(begun.elapsed().as_secs(), 5, "a second call must not wait again");
        assert_eq!(keychain.fault().as_deref(), Some("it did not answer within 5 seconds"));
    }
}
