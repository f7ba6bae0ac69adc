//! Every history of one payment in which up to so many calls fail, in every way that is known, with the real executor and the
//! real decisions; and designs that are known to pay twice, which the same histories must find out.

use std::time::Duration;

use payout::State;
use tokio::runtime::{Builder, Runtime};
use tokio::time::advance;

use crate::faults::Chooser;
use crate::world::{Design, World};
use crate::{pass, pass_or_crash, people_decide, people_solve_problems};

/// Passes in which calls may fail; then come some in which none does.
const PASSES: usize = 3;
/// How long nobody works between two passes: at once, after the lease, and just before and after the window in which a key
/// is replayed.
const GAPS_S: [u64; 4] = [1, 130, 20 * 3_600 - 10, 25 * 3_600];

/// What a history came to.
enum End {
    Paid,
    /// Paid after people have decided.
    PaidByPeople,
    /// What must never be, in words.
    Broken(String),
}

async fn history(design: Design, chooser: Chooser) -> (End, Chooser) {
    let world = World::new(1);
    world.lock().design = design;
    world.lock().chooser = Some(chooser);
    let broken = |world: &World| world.broken().map(End::Broken);
    let take = |world: &World| world.lock().chooser.take().unwrap_or_default();
    for _ in 0..PASSES {
        pass_or_crash(&world).await;
        if let Some(end) = broken(&world) {
            return (end, take(&world));
        }
        let gap_s = match &mut world.lock().chooser {
            Some(chooser) if chooser.has_failed() => GAPS_S[chooser.choose(GAPS_S.len())],
            _ => GAPS_S[0],
        };
        advance(Duration::from_secs(gap_s)).await;
        people_solve_problems(&world);
        if world.state(0).is_final() {
            break;
        }
    }
    let chooser = take(&world);
    for _ in 0..3 {
        advance(Duration::from_secs(60_000)).await;
        people_solve_problems(&world);
        world.catch_up(&mut world.lock());
        pass(&world).await;
        if let Some(end) = broken(&world) {
            return (end, chooser);
        }
    }
    let with_a_person = world.state(0) == State::Review;
    people_decide(&world).await;
    let end = match (world.broken(), world.state(0)) {
        (Some(why), _) => End::Broken(why),
        (None, State::Paid) if with_a_person => End::PaidByPeople,
        (None, State::Paid) => End::Paid,
        (None, stuck) => End::Broken(format!("it is forgotten, as {stuck:?}")),
    };
    (end, chooser)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// How many histories there are, and how many of them end paid, paid after people have decided, and broken; the first of those stops it, where
/// none may be.
fn all(design: Design, most: usize) -> [usize; 4] {
    let (mut next, mut count) = (Some(Chooser::first(most)), [0; 4]);
    while let Some(chooser) = next {
        let (end, chooser) = runtime().block_on(history(design, chooser));
        count[0] += 1;
        count[match end {
            End::Paid => 1,
            End::PaidByPeople => 2,
            End::Broken(why) => {
                assert_ne!(design, Design::Ours, "{why}\nafter {chooser:?}");
                3
            }
        }] += 1;
        next = chooser.next();
    }
    count
}

/// Calls that fail: two in each test run, three in `./dev soak payouts`.
fn failures() -> usize {
    std::env::var("FAILURES").ok().map_or(2, |text| text.parse().unwrap())
}

#[test]
fn no_history_pays_twice_or_forgets() {
    let [histories, paid, people, broken] = all(Design::Ours, failures());
    println!("{histories} histories: {paid} paid, {people} after people have decided, {broken} broken");
    assert!(histories >= 50_000, "{histories}");
    assert!(paid > histories / 2 && people > 0 && broken == 0);
}

fn is_found_out(design: Design) {
    let [histories, _, _, broken] = all(design, 2);
    println!("{design:?}: {broken} of {histories} histories pay twice");
    assert!(broken > 0, "{design:?}");
}

#[test]
fn to_post_and_then_to_record_is_found_out() {
    is_found_out(Design::PostThenRecord);
}

#[test]
fn one_key_for_ever_is_found_out() {
    is_found_out(Design::OneKeyForEver);
}

#[test]
fn a_new_key_on_a_server_error_is_found_out() {
    is_found_out(Design::NewKeyOnServerError);
}

#[test]
fn a_decision_without_a_quarantine_is_found_out() {
    is_found_out(Design::NoQuarantine);
}
