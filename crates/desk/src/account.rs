//! Who was signed in on this computer: a small file beside the saved answers, without any secret.
//!
//! It is apart from the saved answers because those are thrown away whenever their file does not fit the app, and that
//! must not sign anyone out.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use wire::Account;

/// The file `signed_in.json`: the account per address of an API whose refresh token is in the keychain.
pub(crate) struct KnownAccounts {
    path: PathBuf,
}

impl KnownAccounts {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { path: folder.join("signed_in.json") }
    }

    /// The account that was signed in at `origin`.
    pub(crate) fn at(&self, origin: &str) -> Option<Account> {
        self.read().remove(origin)
    }

    /// Remembers the account at `origin`, or with `None` that there is none.
    pub(crate) fn set(&self, origin: &str, account: Option<&Account>) -> io::Result<()> {
        let mut all = self.read();
        match account {
            Some(account) => drop(all.insert(origin.to_owned(), account.clone())),
            None => drop(all.remove(origin)),
        }
        // Written beside and renamed, so that a reader sees the old file or the new one.
        let beside = self.path.with_extension("json.new");
        std::fs::write(&beside, serde_json::to_vec_pretty(&all)?)?;
        std::fs::rename(&beside, &self.path)
    }

    /// A file that is missing or cannot be read counts as empty: the person signs in again.
    fn read(&self) -> BTreeMap<String, Account> {
        std::fs::read(&self.path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }
}
