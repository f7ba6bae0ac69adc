//! What a person chose for this computer: a small file beside the saved answers. It outlives a sign-out.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::files;

/// The idle minutes after which AIKit's own people may let the window lock itself.
const LOCK_AFTER_MIN: std::ops::RangeInclusive<u32> = 1..=60;

/// What can be chosen on this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(default)]
pub struct Preferences {
    /// Tell when a payout was sent.
    pub payout_sent: bool,
    /// Tell when the bank sent one back.
    pub bank_refused: bool,
    /// Tell when a run is drafted.
    pub run_ready: bool,
    /// Tell when a client waits for a review.
    pub review_needed: bool,
    /// Closing the window leaves the app in the tray, where there is one.
    pub keep_in_tray: bool,
    /// The window stays out of the way at each start.
    pub start_minimised: bool,
    /// Minutes without anybody at the window after which it locks itself, for AIKit's own people.
    pub lock_after_min: u32,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            payout_sent: true,
            bank_refused: true,
            run_ready: true,
            review_needed: true,
            keep_in_tray: false,
            start_minimised: false,
            lock_after_min: 15,
        }
    }
}

impl Preferences {
    /// The same with nothing in it that may not be chosen.
    fn within_reason(self) -> Self {
        let lock_after_min = self.lock_after_min.clamp(*LOCK_AFTER_MIN.start(), *LOCK_AFTER_MIN.end());
        Self { lock_after_min, ..self }
    }
}

/// The file `preferences.json`.
pub(crate) struct Chosen {
    path: PathBuf,
    now: Mutex<Preferences>,
}

impl Chosen {
    /// What was chosen before; a file that is missing or cannot be read counts as nothing chosen.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let path = folder.join("preferences.json");
        let read: Option<Preferences> = std::fs::read(&path).ok().and_then(|b| serde_json::from_slice(&b).ok());
        Self { path, now: Mutex::new(read.unwrap_or_default().within_reason()) }
    }

    pub(crate) fn get(&self) -> Preferences {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a choice. It holds until the app ends even where it cannot be written.
    pub(crate) fn set(&self, chosen: Preferences) -> std::io::Result<()> {
        let chosen = chosen.within_reason();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.clone_from(&chosen);
        files::replace(&self.path, &serde_json::to_vec_pretty(&chosen)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_outlives_the_app_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = Chosen::in_folder(folder.path());
        assert_eq!(chosen.get(), Preferences::default());
        chosen.set(Preferences { bank_refused: false, lock_after_min: 5, ..Preferences::default() }).unwrap();
        let again = Chosen::in_folder(folder.path()).get();
        assert_eq!((again.bank_refused, again.payout_sent, again.lock_after_min), (false, true, 5));

        // A file of an older app says less; one of a newer app says more.
        std::fs::write(folder.path().join("preferences.json"), r#"{"run_ready":false,"hat":"red"}"#).unwrap();
        let older = Chosen::in_folder(folder.path()).get();
        assert_eq!(older, Preferences { run_ready: false, ..Preferences::default() });
        std::fs::write(folder.path().join("preferences.json"), b"\xff{").unwrap();
        assert_eq!(Chosen::in_folder(folder.path()).get(), Preferences::default());
    }

    #[test]
    fn the_lock_cannot_be_chosen_away() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = Chosen::in_folder(folder.path());
        for (given, kept) in [(0, 1), (1, 1), (60, 60), (u32::MAX, 60)] {
            chosen.set(Preferences { lock_after_min: given, ..Preferences::default() }).unwrap();
            assert_eq!(chosen.get().lock_after_min, kept);
        }
        std::fs::write(folder.path().join("preferences.json"), r#"{"lock_after_min":4000000}"#).unwrap();
        assert_eq!(Chosen::in_folder(folder.path()).get().lock_after_min, 60);
    }
}
