//! The lock of a window that nobody is at: AIKit's own people see every agency's figures, and finance pays them.
//!
//! The window is locked by time alone: when the last sign of a person is too long ago, whether the app ran meanwhile or
//! not. Proving who one is makes a new sign; moving the mouse over a locked window does not. The time of the last sign is
//! in a file, so that ending the app is no way around the lock.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::files;

/// A clock may be set back by this much without anybody meaning anything by it.
const SLACK: TimeDelta = TimeDelta::minutes(1);

/// Whether a window is locked whose last sign of a person is that old. Without one it is locked, and also when the sign
/// is from a time that has not come yet. Pure.
fn is_locked(last: Option<DateTime<Utc>>, now: DateTime<Utc>, after_min: u32) -> bool {
    last.is_none_or(|last| now - last >= TimeDelta::minutes(i64::from(after_min)) || last - now > SLACK)
}

/// The last sign of a person, in the file `last_sign.json`.
pub(crate) struct Idle {
    path: PathBuf,
    last: Mutex<Option<DateTime<Utc>>>,
}

impl Idle {
    /// The sign as it was written last; a file that cannot be read is none.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let path = folder.join("last_sign.json");
        let last = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path, last: Mutex::new(last) }
    }

    /// Whether the window is locked now. Once it is, it stays so, whatever the clock says later.
    pub(crate) fn is_locked(&self, now: DateTime<Utc>, after_min: u32) -> bool {
        let mut last = self.held();
        if !is_locked(*last, now, after_min) {
            return false;
        }
        if last.take().is_some() {
            self.write(None);
        }
        true
    }

    /// Somebody is at the window. A locked one takes no notice.
    pub(crate) fn sign(&self, now: DateTime<Utc>, after_min: u32) {
        let mut last = self.held();
        if !is_locked(*last, now, after_min) {
            *last = Some(now);
            self.write(*last);
        }
    }

    /// Somebody has proved who they are.
    pub(crate) fn proved(&self, now: DateTime<Utc>) {
        let mut last = self.held();
        *last = Some(now);
        self.write(*last);
    }

    /// Locks the window now.
    pub(crate) fn lock(&self) {
        *self.held() = None;
        self.write(None);
    }

    /// How long until the window is locked if nobody comes.
    pub(crate) fn left(&self, now: DateTime<Utc>, after_min: u32) -> TimeDelta {
        let after = TimeDelta::minutes(i64::from(after_min));
        self.held().map_or(TimeDelta::zero(), |last| (after - (now - last)).clamp(TimeDelta::zero(), after))
    }

    /// A sign that could not be written is missing at the next start, which then begins locked.
    fn write(&self, last: Option<DateTime<Utc>>) {
        let _ = serde_json::to_vec(&last).map(|bytes| files::replace(&self.path, &bytes));
    }

    fn held(&self) -> MutexGuard<'_, Option<DateTime<Utc>>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    #[test]
    fn a_window_is_locked_when_nobody_was_at_it_and_no_movement_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let idle = Idle::in_folder(folder.path());
        assert!(idle.is_locked(at(0), 15), "nobody has proved anything yet");
        idle.proved(at(0));
        assert!(!idle.is_locked(at(899), 15));
        idle.sign(at(800), 15);
        assert_eq!(idle.left(at(860), 15), TimeDelta::seconds(840));
        assert!(!idle.is_locked(at(1_699), 15));
        assert!(idle.is_locked(at(1_700), 15));
        idle.sign(at(1_701), 15);
        assert!(idle.is_locked(at(1_701), 15), "a movement is no proof");
        assert!(idle.is_locked(at(900), 60), "neither is a clock that was set back, or another choice of minutes");
        idle.proved(at(1_800));
        assert!(!idle.is_locked(at(1_801), 15));
        idle.lock();
        assert!(idle.is_locked(at(1_801), 15));
    }

    #[test]
    fn ending_the_app_does_not_open_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        Idle::in_folder(folder.path()).proved(at(0));
        assert!(!Idle::in_folder(folder.path()).is_locked(at(60), 15), "a quick restart asks nothing");
        assert!(Idle::in_folder(folder.path()).is_locked(at(900), 15));
        assert!(Idle::in_folder(folder.path()).is_locked(at(60), 15), "locked is locked, also for the next start");

        Idle::in_folder(folder.path()).proved(at(10_000));
        assert!(Idle::in_folder(folder.path()).is_locked(at(0), 15), "a sign from a time to come is none");
        std::fs::write(folder.path().join("last_sign.json"), "no time").unwrap();
        assert!(Idle::in_folder(folder.path()).is_locked(at(10_001), 15));
    }

    proptest! {
        /// Whatever is done to it: between two proofs, a window that was locked once is locked for good.
        #[test]
        fn only_a_proof_opens(steps in prop::collection::vec((0_u8..4, -100_i64..2_000, 1_u32..60), 1..40)) {
            let folder = tempfile::tempdir().unwrap();
            let mut idle = Idle::in_folder(folder.path());
            let (mut clock, mut locked) = (0, true);
            for (what, by, after_min) in steps {
                clock += by;
                match what {
                    0 => { idle.proved(at(clock)); locked = false; }
                    1 => idle.sign(at(clock), after_min),
                    2 => idle = Idle::in_folder(folder.path()),
                    _ => {}
                }
                let says = idle.is_locked(at(clock), after_min);
                prop_assert!(says || !locked, "opened without a proof");
                locked = says;
            }
        }
    }
}
