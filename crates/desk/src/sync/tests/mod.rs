//! The copy and the outbox against the real API, in the same process.

mod damage;
mod histories;
#[path = "../../../tests/common/program.rs"]
mod program;
mod speed;
mod states;
mod town;

use std::sync::atomic::{AtomicU64, Ordering};

use histories::{Variant, history};
use town::Town;

use super::copy::Design;

/// Tries histories on all processors until one shows that the design is wrong; answers its number and what it showed.
fn first_wrong(variant: Variant, from: u64, count: u64) -> Option<(u64, String)> {
    let (next, found) = (AtomicU64::new(from), std::sync::Mutex::new(None));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let town = Town::new();
                while found.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    if let Err(what) = history(&town, seed, variant) {
                        *found.lock().unwrap() = Some((seed, what));
                    }
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// `AIKIT_SYNC_HISTORIES` is how many (`./dev soak sync`), `AIKIT_SYNC_FROM` with which the run begins.
#[test]
fn in_no_history_a_copy_is_wrong_or_an_act_is_lost_or_done_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (from, count) = (number("AIKIT_SYNC_FROM").unwrap_or(0), number("AIKIT_SYNC_HISTORIES").unwrap_or(2_000));
    let wrong = first_wrong(Variant::default(), from, count);
    assert!(wrong.is_none(), "history {}: {}", wrong.as_ref().unwrap().0, wrong.as_ref().unwrap().1);
}

#[test]
fn the_same_histories_find_out_designs_that_are_wrong() {
    let without_sum = Design { without_sum: true, ..Design::default() };
    let wrong = [
        ("page by page", Variant { copy: Design { page_by_page: true, ..Design::default() }, ..Variant::default() }),
        ("no sum", Variant { copy: without_sum, ..Variant::default() }),
        ("no floor", Variant { copy: without_sum, no_floor: true, ..Variant::default() }),
        ("no epoch", Variant { copy: without_sum, no_epoch: true, ..Variant::default() }),
        ("no mutation id", Variant { no_mutation_id: true, ..Variant::default() }),
    ];
    for (name, variant) in wrong {
        let found = first_wrong(variant, 0, 2_000);
        assert!(found.is_some(), "{name}: no history shows that it is wrong");
        eprintln!("{name}: history {} shows that it is wrong", found.map_or(0, |(seed, _)| seed));
    }
}
