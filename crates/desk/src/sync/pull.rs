//! The protocol: push, then pull to the end, then swap (docs/sync.md).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use wire::{ErrorBody, ErrorCode, PullQuery, Pulled, Push, Pushed, Pushing, StatementProof};

use super::copy::{Copy, CopyError, Settled};
use super::outbox::{Act, MOST, Outbox};
use super::{blocking, held};
use crate::api::{Away, Failure};

/// How often a pull may be told to begin anew before it is given up for now.
const BEGINNINGS: u32 = 3;
/// How many pages in a row may bring nothing and promise more.
const EMPTY_PAGES: u32 = 50;

/// The API, as far as a copy needs it.
pub(crate) trait Remote: Send + Sync {
    /// `GET /v1/sync/pull`.
    fn pull(&self, asked: &PullQuery) -> impl Future<Output = Result<Pulled, Failure>> + Send;
    /// `POST /v1/sync/push`.
    fn push(&self, acts: &Push) -> impl Future<Output = Result<Pushed, Failure>> + Send;
}

/// Why a copy is not fresh.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The API is out of reach.
    Away(Away),
    /// It said no.
    Refused(ErrorBody),
    /// Twice in a row what came did not add up.
    Untrusted,
    /// The person stopped it.
    Cancelled,
    /// The account has left.
    Closed,
    /// The file.
    Copy(CopyError),
    /// The outbox.
    Outbox(rusqlite::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => Self::Refused(error),
            Failure::Away(away) => Self::Away(away),
        }
    }
}

impl From<CopyError> for Trouble {
    fn from(error: CopyError) -> Self {
        Self::Copy(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Outbox(error)
    }
}

/// What a pull to the end came to.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// Rows that changed.
    pub(crate) changed: usize,
    /// The copy was begun anew on the way.
    pub(crate) anew: bool,
    /// The API's own statement of these records, where it was asked for and nothing changed meanwhile.
    pub(crate) statement: Option<StatementProof>,
}

/// Sends what is to be sent, in order. Answers what the API has done, now or before: its effects are in what it says after this.
pub(crate) async fn push<R: Remote>(outbox: &Mutex<Option<Outbox>>, remote: &R) -> Result<Vec<Act>, Trouble> {
    let mut done: Vec<Act> = Vec::new();
    loop {
        let acts = blocking(|| with(outbox, |outbox| Ok(outbox.all()?)))?;
        let waiting = acts.into_iter().filter(|a| a.refused.is_none() && !done.iter().any(|d| d.mid == a.mid));
        let next: Vec<Act> = waiting.take(MOST).collect();
        if next.is_empty() {
            return Ok(done);
        }
        let sent = Push { mutations: next.iter().map(Act::mutation).collect() };
        let outcomes = remote.push(&sent).await?.outcomes;
        let whole = outcomes.len() >= next.len();
        for outcome in outcomes {
            let Some(act) = next.iter().find(|act| act.mid == outcome.mid()) else { continue };
            match outcome {
                Pushing::Applied { .. } | Pushing::Duplicate { .. } => done.push(act.clone()),
                Pushing::Rejected { error, .. } => {
                    blocking(|| with(outbox, |outbox| Ok(outbox.refuse(&act.mid, &error)?)))?;
                }
            }
        }
        // An act that could not be done now ends the list; it comes again, and those after it.
        if !whole {
            return Ok(done);
        }
    }
}

/// Pulls to the end and swaps.
pub(crate) async fn pull<R: Remote>(
    copy: &Mutex<Option<Copy>>,
    remote: &R,
    statement: bool,
    cancelled: &AtomicBool,
) -> Result<Fresh, Trouble> {
    let (mut beginnings, mut mismatches, mut empty) = (0, 0, 0);
    let mut fresh = Fresh::default();
    loop {
        if cancelled.load(Ordering::SeqCst) {
            return Err(Trouble::Cancelled);
        }
        let asked = with(copy, |copy| Ok(copy.query(statement)))?;
        let page = match remote.pull(&asked).await {
            Ok(page) => page,
            Err(Failure::Refused(error)) if error.code == ErrorCode::Reset && beginnings < BEGINNINGS => {
                (beginnings, fresh.anew) = (beginnings + 1, true);
                blocking(|| with(copy, |copy| Ok(copy.begin_anew()?)))?;
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        empty = if page.rows.is_empty() { empty + 1 } else { 0 };
        if page.more && empty > EMPTY_PAGES {
            let what = "it promises records and gives none".to_owned();
            return Err(Trouble::Away(Away { perhaps_sent: true, what, said: None }));
        }
        let settled = blocking(|| {
            with(copy, |copy| {
                copy.stage(&asked, &page)?;
                #[cfg(test)]
                if copy.design.page_by_page {
                    return Ok(Some(copy.settle(&page)?).filter(|_| !page.more));
                }
                Ok(if page.more { None } else { Some(copy.settle(&page)?) })
            })
        })?;
        match settled {
            None => {}
            Some(Settled::Swapped(changed)) => {
                (fresh.changed, fresh.statement) = (changed, page.statement);
                return Ok(fresh);
            }
            Some(Settled::Mismatch) => {
                (mismatches, fresh.anew) = (mismatches + 1, true);
                if mismatches > 1 {
                    blocking(|| with(copy, |copy| Ok(copy.distrust()?)))?;
                    return Err(Trouble::Untrusted);
                }
                blocking(|| with(copy, |copy| Ok(copy.begin_anew()?)))?;
            }
        }
    }
}

/// Works with a file unless the account has left.
pub(crate) fn with<T, A>(
    file: &Mutex<Option<T>>,
    work: impl FnOnce(&mut T) -> Result<A, Trouble>,
) -> Result<A, Trouble> {
    match &mut *held(file) {
        Some(file) => work(file),
        None => Err(Trouble::Closed),
    }
}
