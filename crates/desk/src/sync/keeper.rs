//! The copy and the outbox of one account, and one round after the other: push, pull, swap, compare.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use partner::{Evaluated, Slice};
use serde::Serialize;
use tokio::sync::Notify;
use ts_rs::TS;
use wire::{Account, ErrorBody, ErrorCode, Role};

use super::copy::{Copy, CopyError, Stand};
use super::outbox::{Act, Outbox};
use super::pages::what;
use super::proof::{Verified, VerifiedState, verify};
use super::pull::{Fresh, Remote, Trouble, pull, push, with};
use super::{blocking, held};
use crate::clock;
use crate::config::StartError;

/// How often what was sent is sent again because the copy was begun anew meanwhile.
const TURNS: u32 = 3;

/// How a copy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "snake_case")]
pub enum CopyStanding {
    /// There is none (yet).
    #[default]
    None,
    /// The first one is on its way.
    Syncing,
    /// It is there.
    Ready,
    /// It did not add up, twice: nothing of it is shown.
    Untrusted,
    /// The API needs a newer app to go on; what is there is shown.
    Outdated,
}

/// How far a copy is that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Progress {
    /// Records that have come.
    pub come: i64,
    /// Records that there will be, as it looks now.
    pub of: i64,
}

/// An act that the API has not been told yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct WaitingAct {
    /// Its id.
    pub mid: String,
    /// Name of the call.
    pub name: String,
    /// What it is, in words.
    pub what: String,
    /// When it was done, by the clock of this computer.
    pub made_at: DateTime<Utc>,
}

/// An act that will never be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct RejectedAct {
    /// Its id.
    pub mid: String,
    /// Name of the call.
    pub name: String,
    /// What it is, in words.
    pub what: String,
    /// Why, in words.
    pub error: String,
}

/// Answer of `copy_state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, TS)]
pub struct CopyState {
    /// How the copy is.
    pub state: CopyStanding,
    /// Of when it is, by the API's clock.
    pub as_of: Option<DateTime<Utc>>,
    /// Records in it.
    pub rows: i64,
    /// How far the next one is, while a whole one is on its way.
    pub progress: Option<Progress>,
    /// What waits to be sent, in order.
    pub pending: Vec<WaitingAct>,
    /// What was refused, until it is dismissed.
    pub rejected: Vec<RejectedAct>,
    /// Whether this computer comes to the same statement as the API.
    pub verified: Option<Verified>,
    /// Why the copy is not fresh, in a sentence.
    pub trouble: Option<String>,
}

/// What became of an act.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Its effect is at the API, and in the copy where there is one.
    Done,
    /// It will never be done.
    Refused(ErrorBody),
    /// It waits.
    Waiting,
}

#[derive(Default)]
struct State {
    at_work: bool,
    outdated: bool,
    trouble: Option<String>,
    verified: Option<Verified>,
    /// The copy has changed since it was compared.
    compared: bool,
}

/// The pages of a copy, and the copy that they are of.
struct View {
    stand: Stand,
    pages: Arc<Evaluated>,
}

/// One account's files.
pub(crate) struct Keeper {
    pub(crate) name: String,
    pub(crate) role: Role,
    of_agency: bool,
    pub(super) copy: Mutex<Option<Copy>>,
    pub(super) outbox: Mutex<Option<Outbox>>,
    /// Files that were damaged and are kept.
    asides: Mutex<Vec<PathBuf>>,
    view: Mutex<Option<View>>,
    state: Mutex<State>,
    /// One round at a time.
    gate: tokio::sync::Mutex<()>,
    cancelled: AtomicBool,
    asked: Notify,
}

impl Keeper {
    /// Opens the files; `copy` is where the copy of an agency is.
    pub(crate) fn open(
        name: &str,
        account: &Account,
        copy: Option<&Path>,
        outbox: &Path,
        now: DateTime<Utc>,
    ) -> Result<Self, StartError> {
        let (outbox, aside) = Outbox::open(outbox, now)?;
        let copy_file = copy.map(|path| Copy::open(path, now)).transpose()?.map(|(copy, _)| copy);
        Ok(Self {
            name: name.to_owned(),
            role: account.role,
            of_agency: copy.is_some(),
            copy: Mutex::new(copy_file),
            outbox: Mutex::new(Some(outbox)),
            asides: Mutex::new(aside.into_iter().collect()),
            view: Mutex::default(),
            state: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
            cancelled: AtomicBool::new(false),
            asked: Notify::new(),
        })
    }

    /// It has a copy, and not only an outbox.
    pub(crate) fn of_agency(&self) -> bool {
        self.of_agency
    }

    /// Lets go of the files. What is under way ends.
    pub(crate) fn close(&self) {
        drop(held(&self.copy).take());
        drop(held(&self.outbox).take());
        *held(&self.view) = None;
        self.asked.notify_one();
    }

    /// The account has left.
    pub(crate) fn is_closed(&self) -> bool {
        held(&self.outbox).is_none()
    }

    /// Asks for a round now.
    pub(crate) fn ask(&self) {
        self.asked.notify_one();
    }

    /// The last round did not come to its end.
    pub(crate) fn was_away(&self) -> bool {
        held(&self.state).trouble.is_some()
    }

    /// Waits until somebody asks.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Ends the pull that is under way. What has come is kept, and the next goes on from there.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Sends what waits, pulls to the end, and swaps. Waits for a round that is under way.
    pub(crate) async fn round<R: Remote>(&self, remote: &R) -> Result<(), Trouble> {
        let _turn = self.gate.lock().await;
        self.cancelled.store(false, Ordering::SeqCst);
        held(&self.state).at_work = true;
        let done = self.work(remote).await;
        let mut state = held(&self.state);
        state.at_work = false;
        state.outdated = matches!(&done, Err(Trouble::Refused(error)) if error.code == ErrorCode::Outdated);
        state.trouble = done.as_ref().err().and_then(in_words);
        done
    }

    async fn work<R: Remote>(&self, remote: &R) -> Result<(), Trouble> {
        for _ in 0..TURNS {
            // An act that is refused for the moment does not keep the figures old.
            let (sent, refused) = match push(&self.outbox, remote).await {
                Ok(sent) => (sent, None),
                Err(Trouble::Refused(error)) if error.code != ErrorCode::SignedOut => (Vec::new(), Some(error)),
                Err(other) => return Err(other),
            };
            if self.of_agency {
                let fresh = self.fresh(remote, false).await?;
                // What was sent may be of the time before that other database: it is sent once more.
                if fresh.anew && !sent.is_empty() {
                    continue;
                }
                self.compare(remote).await?;
            }
            blocking(|| self.forget_done(&sent))?;
            return refused.map_or(Ok(()), |error| Err(Trouble::Refused(error)));
        }
        Ok(())
    }

    /// A pull to the end. A file that turns out to be damaged is set aside and made anew, once.
    async fn fresh<R: Remote>(&self, remote: &R, statement: bool) -> Result<Fresh, Trouble> {
        let mut pulled = pull(&self.copy, remote, statement, &self.cancelled).await;
        if let Err(Trouble::Copy(CopyError::Damaged(_))) = pulled {
            blocking(|| self.replace_copy());
            pulled =
                pull(&self.copy, remote, statement, &self.cancelled).await.map(|fresh| Fresh { anew: true, ..fresh });
        }
        let fresh = pulled?;
        let mut state = held(&self.state);
        state.compared &= fresh.changed == 0 && !fresh.anew;
        Ok(fresh)
    }

    /// Compares the statement with the API's, where the copy has changed since the last time.
    async fn compare<R: Remote>(&self, remote: &R) -> Result<(), Trouble> {
        if held(&self.state).compared {
            return Ok(());
        }
        // One that changes while it is asked for is compared in the next round.
        let Some(said) = self.fresh(remote, true).await?.statement else { return Ok(()) };
        let verified = blocking(|| -> Result<_, CopyError> {
            let slice = self.slice()?;
            Ok(slice.map(|(_, slice)| verify(&slice, &said)))
        })?;
        // What happens in the very millisecond of the comparison may be on one side of it only: a mismatch is looked at again.
        let differs = verified.as_ref().is_some_and(|v| v.state == VerifiedState::Mismatch);
        let mut state = held(&self.state);
        (state.verified, state.compared) = (verified, !differs);
        Ok(())
    }

    /// Forgets what was sent and is in the copy now.
    fn forget_done(&self, sent: &[Act]) -> Result<(), Trouble> {
        for act in sent {
            // A database that was turned back without a word does not have the link: it is sent again.
            let missing = self.of_agency && act.name == "create_link" && {
                let id = act.text("id").to_ascii_lowercase();
                with(&self.copy, |copy| Ok(copy.body("link", &id)?))?.is_none()
            };
            if !missing {
                with(&self.outbox, |outbox| Ok(outbox.take(&act.mid)?))?;
            }
        }
        Ok(())
    }

    fn replace_copy(&self) {
        let mut copy = held(&self.copy);
        let Some(old) = copy.take() else { return };
        match old.replace(clock::now()) {
            Ok((new, _)) => *copy = Some(new),
            Err(error) => held(&self.state).trouble = Some(error.to_string()),
        }
        *held(&self.view) = None;
    }

    /// The records and of when they are. Those that are kept in memory, where the copy is still the same.
    fn slice(&self) -> Result<Option<(Stand, Arc<Slice>)>, CopyError> {
        let copy = held(&self.copy);
        let Some(copy) = copy.as_ref() else { return Ok(None) };
        let meta = copy.meta();
        let Some(stand) = meta.copy.clone().filter(|_| !meta.distrusted) else { return Ok(None) };
        let kept = held(&self.view)
            .as_ref()
            .filter(|v| v.stand.is_of_the_same_records(&stand))
            .map(|v| Arc::clone(v.pages.slice()));
        if let Some(slice) = kept {
            return Ok(Some((stand, slice)));
        }
        Ok(copy.slice()?.map(|slice| (stand, Arc::new(slice))))
    }

    /// The pages of the copy, as of its own time. None where there is no copy, or none that may be shown.
    pub(crate) fn pages(&self) -> Option<Arc<Evaluated>> {
        let made = blocking(|| -> Result<_, CopyError> {
            let Some((stand, slice)) = self.slice()? else { return Ok(None) };
            if let Some(view) = held(&self.view).as_ref().filter(|view| view.stand == stand) {
                return Ok(Some(Arc::clone(&view.pages)));
            }
            let pages = Arc::new(Evaluated::new(slice, stand.as_of)?);
            *held(&self.view) = Some(View { stand, pages: Arc::clone(&pages) });
            Ok(Some(pages))
        });
        match made {
            Ok(pages) => pages,
            Err(CopyError::Damaged(_)) => {
                blocking(|| self.replace_copy());
                self.ask();
                None
            }
            Err(error) => {
                held(&self.state).trouble = Some(error.to_string());
                None
            }
        }
    }

    /// A copy is there that must not be shown.
    pub(crate) fn is_untrusted(&self) -> bool {
        held(&self.copy).as_ref().is_some_and(|copy| copy.meta().distrusted)
    }

    /// Writes an act down.
    pub(crate) fn put(&self, act: &Act) -> Result<(), Trouble> {
        blocking(|| with(&self.outbox, |outbox| Ok(outbox.put(act)?)))
    }

    /// What became of it.
    pub(crate) fn outcome(&self, mid: &str) -> Result<Outcome, Trouble> {
        let found = with(&self.outbox, |outbox| Ok(outbox.find(mid)?))?;
        Ok(match found.map(|act| act.refused) {
            None => Outcome::Done,
            Some(None) => Outcome::Waiting,
            Some(Some(error)) => Outcome::Refused(error),
        })
    }

    /// Forgets an act that was refused.
    pub(crate) fn dismiss(&self, mid: &str) -> Result<(), Trouble> {
        with(&self.outbox, |outbox| Ok(outbox.dismiss(mid)?))
    }

    /// All that was done and is not in the copy, in order.
    pub(crate) fn acts(&self) -> Vec<Act> {
        with(&self.outbox, |outbox| Ok(outbox.all()?)).unwrap_or_default()
    }

    /// Acts that wait to be sent.
    pub(crate) fn unsent(&self) -> usize {
        self.acts().iter().filter(|act| act.refused.is_none()).count()
    }

    /// Acts that were refused and not dismissed.
    pub(crate) fn rejected(&self) -> usize {
        self.acts().iter().filter(|act| act.refused.is_some()).count()
    }

    /// An outbox that was damaged and is kept.
    pub(crate) fn aside(&self) -> Option<PathBuf> {
        held(&self.asides).first().filter(|path| path.exists()).cloned()
    }

    /// What a window shows of it.
    pub(crate) fn state(&self) -> CopyState {
        let meta = held(&self.copy).as_ref().map(|copy| copy.meta().clone()).unwrap_or_default();
        let acts = self.acts();
        let named = self.campaigns(&acts);
        let state = held(&self.state);
        let staged = meta.staged.as_ref().filter(|staged| staged.whole && staged.of > 0);
        let standing = match &meta.copy {
            _ if meta.distrusted => CopyStanding::Untrusted,
            _ if state.outdated => CopyStanding::Outdated,
            Some(_) => CopyStanding::Ready,
            None if state.at_work && self.of_agency => CopyStanding::Syncing,
            None => CopyStanding::None,
        };
        let waiting = |act: &Act| WaitingAct {
            mid: act.mid.clone(),
            name: act.name.clone(),
            what: what(act, &named),
            made_at: act.made_at,
        };
        let rejected = |act: &Act| {
            let error = act.refused.as_ref()?.message.clone();
            Some(RejectedAct { mid: act.mid.clone(), name: act.name.clone(), what: what(act, &named), error })
        };
        CopyState {
            state: standing,
            as_of: meta.copy.as_ref().map(|copy| copy.as_of),
            rows: meta.copy.as_ref().map_or(0, |copy| copy.rows),
            progress: staged.filter(|_| state.at_work).map(|s| Progress { come: s.come.min(s.of), of: s.of }),
            pending: acts.iter().filter(|act| act.refused.is_none()).map(waiting).collect(),
            rejected: acts.iter().filter_map(rejected).collect(),
            verified: state.verified.clone().filter(|_| meta.copy.is_some() && !meta.distrusted),
            trouble: state.trouble.clone(),
        }
    }

    /// What the links are called that acts are about.
    fn campaigns(&self, acts: &[Act]) -> Vec<(String, String)> {
        let copy = held(&self.copy);
        let Some(copy) = copy.as_ref() else { return Vec::new() };
        let ids = acts.iter().map(|act| act.text("link").to_ascii_lowercase()).filter(|id| !id.is_empty());
        ids.filter_map(|id| {
            let body = copy.body("link", &id).ok()??;
            let link: partner::LinkRow = serde_json::from_str(&body).ok()?;
            Some((id, link.campaign))
        })
        .collect()
    }
}

/// Trouble as the person reads it, where it is anything to read.
fn in_words(trouble: &Trouble) -> Option<String> {
    match trouble {
        Trouble::Closed | Trouble::Cancelled => None,
        Trouble::Away(away) => Some(format!("AIKit cannot be reached ({}).", away.what)),
        Trouble::Refused(error) => Some(error.message.clone()),
        Trouble::Untrusted => Some(UNTRUSTED.into()),
        Trouble::Copy(error) => Some(format!("The copy on this computer cannot be kept: {error}.")),
        Trouble::Outbox(error) => Some(format!("What was done cannot be kept on this computer: {error}.")),
    }
}

/// What is said in the place of figures that do not add up.
pub(crate) const UNTRUSTED: &str = "The copy of your figures on this computer did not add up to what AIKit has, twice in a row, so it is hidden. It is made anew as soon as AIKit can be reached; if this goes on, tell us.";
