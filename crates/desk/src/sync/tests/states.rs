//! A copy that cannot be trusted, one that is too old, and one that is stopped on its way.

use std::sync::atomic::{AtomicU32, Ordering};

use wire::{ErrorBody, ErrorCode, PullQuery, Pulled, Push, Pushed};

use super::histories::{at_once, open, records_of};
use super::town::Town;
use crate::api::Failure;
use crate::sync::copy::Design;
use crate::sync::keeper::{CopyStanding, Keeper, Progress};
use crate::sync::proof::VerifiedState;
use crate::sync::pull::{Remote, Trouble};

/// The API, with something wrong about its answers.
struct Odd<'a, F> {
    town: &'a Town,
    pulls: AtomicU32,
    change: F,
}

impl<F: Fn(u32, &mut PullQuery, Result<Pulled, Failure>) -> Result<Pulled, Failure> + Send + Sync> Remote
    for Odd<'_, F>
{
    async fn pull(&self, asked: &PullQuery) -> Result<Pulled, Failure> {
        let mut asked = PullQuery { limit: Some(2), ..asked.clone() };
        let page = self.town.pull("ours", &asked).await;
        (self.change)(self.pulls.fetch_add(1, Ordering::SeqCst), &mut asked, page)
    }

    async fn push(&self, acts: &Push) -> Result<Pushed, Failure> {
        self.town.push("ours", acts).await
    }
}

fn round(
    keeper: &Keeper,
    town: &Town,
    change: impl Fn(u32, &mut PullQuery, Result<Pulled, Failure>) -> Result<Pulled, Failure> + Send + Sync,
) -> Result<(), Trouble> {
    at_once(keeper.round(&Odd { town, pulls: AtomicU32::new(0), change })).unwrap()
}

fn begun() -> (Town, tempfile::TempDir, std::sync::Arc<Keeper>) {
    let (town, folder) = (Town::new(), tempfile::tempdir().unwrap());
    let keeper = open(folder.path(), 0, town.now(), Design::default());
    (town, folder, keeper)
}

#[test]
fn what_does_not_add_up_twice_is_hidden_until_it_does() {
    let (town, folder, keeper) = begun();
    round(&keeper, &town, |_, _, page| page).unwrap();
    let wrong = |_: u32, _: &mut PullQuery, page: Result<Pulled, Failure>| {
        page.map(|mut page| {
            page.head.sum[0] ^= 1;
            page
        })
    };
    assert!(matches!(round(&keeper, &town, wrong), Err(Trouble::Untrusted)));
    assert!(keeper.is_untrusted() && keeper.pages().is_none());
    let state = keeper.state();
    assert_eq!((state.state, state.verified), (CopyStanding::Untrusted, None));
    assert!(state.trouble.is_some_and(|why| why.contains("did not add up")));
    // It is not forgotten by a start.
    keeper.close();
    let keeper = open(folder.path(), 0, town.now(), Design::default());
    assert!(keeper.is_untrusted() && keeper.pages().is_none());
    round(&keeper, &town, |_, _, page| page).unwrap();
    assert!(keeper.pages().is_some());
    assert_eq!(keeper.state().state, CopyStanding::Ready);
}

#[test]
fn what_does_not_add_up_once_is_pulled_whole_and_nobody_notices() {
    let (town, _folder, keeper) = begun();
    round(&keeper, &town, |_, _, page| page).unwrap();
    let wrong_once = |n: u32, _: &mut PullQuery, page: Result<Pulled, Failure>| {
        page.map(|mut page| {
            page.head.rows += i64::from(n == 0);
            page
        })
    };
    round(&keeper, &town, wrong_once).unwrap();
    assert_eq!(keeper.state().state, CopyStanding::Ready);
}

#[test]
fn an_app_that_is_too_old_shows_what_it_has() {
    let (town, _folder, keeper) = begun();
    round(&keeper, &town, |_, _, page| page).unwrap();
    let outdated = |_: u32, _: &mut PullQuery, _: Result<Pulled, Failure>| -> Result<Pulled, Failure> {
        Err(Failure::Refused(ErrorBody::new(ErrorCode::Outdated, "This app is too old.")))
    };
    assert!(matches!(round(&keeper, &town, outdated), Err(Trouble::Refused(_))));
    assert_eq!(keeper.state().state, CopyStanding::Outdated);
    assert!(keeper.pages().is_some());
}

#[test]
fn a_statement_that_differs_is_shown_as_such_and_other_rules_are_not_compared() {
    let (town, _folder, keeper) = begun();
    let said = |change: fn(&mut wire::StatementProof)| {
        move |_: u32, _: &mut PullQuery, page: Result<Pulled, Failure>| {
            page.map(|mut page| {
                page.statement.iter_mut().for_each(change);
                page
            })
        }
    };
    round(&keeper, &town, said(|proof| proof.digest.push('x'))).unwrap();
    assert_eq!(keeper.state().verified.map(|v| v.state), Some(VerifiedState::Mismatch));
    round(&keeper, &town, said(|proof| proof.rules.push('2'))).unwrap();
    assert_eq!(keeper.state().verified.map(|v| v.state), Some(VerifiedState::Incomparable));
}

#[test]
fn a_copy_that_was_stopped_goes_on_where_it_was_and_shows_nothing_before_its_end() {
    let (town, folder, keeper) = begun();
    let stop = |n: u32, _: &mut PullQuery, page: Result<Pulled, Failure>| {
        if n == 0 {
            keeper.cancel();
        }
        page
    };
    assert!(matches!(round(&keeper, &town, stop), Err(Trouble::Cancelled)));
    assert!(records_of(&keeper).is_none() && keeper.pages().is_none());
    keeper.close();
    let keeper = open(folder.path(), 0, town.now(), Design::default());
    let on = |n: u32, asked: &mut PullQuery, page: Result<Pulled, Failure>| {
        assert!(n > 0 || asked.cursor > 0, "it begins with the first row again");
        let progress = keeper.state().progress;
        assert!(progress.is_none_or(|Progress { come, of }| come <= of));
        page
    };
    round(&keeper, &town, on).unwrap();
    let (records, _) = at_once(town.records("ours")).unwrap();
    assert_eq!(records_of(&keeper).unwrap().1, records);
}
