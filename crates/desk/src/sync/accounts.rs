//! The files of copies and outboxes, by account.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use wire::{Account, Role};

use super::keeper::Keeper;
use super::{held, store};
use crate::config::StartError;

/// The copies and outboxes of this computer. At most one account is signed in.
pub(crate) struct Accounts {
    folder: PathBuf,
    current: Mutex<Option<Arc<Keeper>>>,
}

impl Accounts {
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), current: Mutex::new(None) }
    }

    /// Opens the files of an account that is signed in. One that is open already stays; any other is closed.
    /// Answers it, and whether it was opened now.
    pub(crate) fn enter(
        &self,
        name: &str,
        account: &Account,
        now: DateTime<Utc>,
    ) -> Result<Option<(Arc<Keeper>, bool)>, StartError> {
        let mut current = held(&self.current);
        if let Some(keeper) = current.as_ref().filter(|k| k.name == name && k.role == account.role) {
            return Ok(Some((Arc::clone(keeper), false)));
        }
        if let Some(other) = current.take() {
            other.close();
        }
        let of_agency = account.partner.is_some();
        if !of_agency && account.role != Role::Finance {
            return Ok(None);
        }
        let copy = of_agency.then(|| self.copy_of(name));
        let keeper = Arc::new(Keeper::open(name, account, copy.as_deref(), &self.outbox_of(name), now)?);
        *current = Some(Arc::clone(&keeper));
        Ok(Some((keeper, true)))
    }

    /// The files of whoever is signed in.
    pub(crate) fn current(&self) -> Option<Arc<Keeper>> {
        held(&self.current).clone()
    }

    /// Closes an account's files and deletes its copy; the outbox too, where nothing is in it or it is to be `discard`ed.
    pub(crate) fn forget(&self, name: &str, discard: bool) -> std::io::Result<()> {
        let keeper = held(&self.current).take_if(|keeper| keeper.name == name);
        let empty = keeper.as_ref().is_some_and(|keeper| keeper.unsent() == 0 && keeper.rejected() == 0);
        if let Some(keeper) = keeper {
            keeper.close();
        }
        delete_with_asides(&self.folder, &self.copy_of(name))?;
        if empty || discard {
            delete_with_asides(&self.folder, &self.outbox_of(name))?;
        }
        Ok(())
    }

    /// Deletes the copies at `origin` of all accounts but `name`. What was not sent stays.
    pub(crate) fn keep_only(&self, origin: &str, name: Option<&str>) -> std::io::Result<()> {
        let own = name.map(|name| self.copy_of(name));
        let own = own.as_ref().and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned());
        for path in store::beginning_with(&self.folder, &format!("copy-{}-", short_hash(origin))) {
            let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if own.as_ref().is_none_or(|own| !file.starts_with(own.as_str())) {
                store::remove(&path)?;
            }
        }
        Ok(())
    }

    fn copy_of(&self, name: &str) -> PathBuf {
        self.folder.join(format!("copy-{}.db", id_of(name)))
    }

    fn outbox_of(&self, name: &str) -> PathBuf {
        self.folder.join(format!("outbox-{}.db", id_of(name)))
    }
}

/// An account in the name of a file, which shall not say whose it is: its origin's part first.
fn id_of(name: &str) -> String {
    let (origin, user) = name.split_once(' ').unwrap_or((name, ""));
    format!("{}-{}", short_hash(origin), short_hash(user))
}

fn short_hash(text: &str) -> String {
    hex::encode(Sha256::digest(text).get(..8).unwrap_or_default())
}

fn delete_with_asides(folder: &Path, path: &Path) -> std::io::Result<()> {
    for aside in store::beginning_with(folder, &store::aside_prefix(path)) {
        store::remove(&aside)?;
    }
    store::remove(&path.with_extension("db.new"))?;
    store::remove(path)
}
