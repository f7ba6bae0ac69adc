//! The rules of docs/rules.md written a second time, slowly and from their text alone, and compared with the engine on
//! random journals, field by field.
//!
//! `ORACLE_JOURNALS` says on how many journals (2,000 without it) and `ORACLE_SEED` which ones (1 without it); a long
//! run is `ORACLE_JOURNALS=20000 ORACLE_SEED=7 cargo test -p commission --test oracle -- --nocapture`. Journal `n` of a
//! seed is always the same, however many there are. Where the answers differ, the smallest journal on which they still
//! do is printed as it would be read, with the terms and the differences.
//!
//! The same journals, disordered and renamed, must come to the same (`METAMORPHIC_JOURNALS`, 500 without it); their
//! lines, damaged, must be read or refused (`MALFORMED_LINES`, 50,000 without it). `./dev soak engine` runs all three long.

#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

#[path = "oracle/answer.rs"]
mod answer;
#[path = "oracle/calendar.rs"]
mod calendar;
#[path = "oracle/coverage.rs"]
mod coverage;
#[path = "oracle/damage.rs"]
mod damage;
#[path = "oracle/domains.rs"]
mod domains;
#[path = "oracle/journals.rs"]
mod journals;
#[path = "oracle/known.rs"]
mod known;
#[path = "oracle/malformed.rs"]
mod malformed;
#[path = "oracle/metamorphic.rs"]
mod metamorphic;
#[path = "oracle/random.rs"]
mod random;
#[path = "oracle/referral.rs"]
mod referral;
#[path = "oracle/rules.rs"]
mod rules;
#[path = "oracle/seen.rs"]
mod seen;
#[path = "oracle/smallest.rs"]
mod smallest;
#[path = "oracle/standing.rs"]
mod standing;
#[path = "oracle/streaks.rs"]
mod streaks;
#[path = "oracle/versions.rs"]
mod versions;
#[path = "oracle/webassembly.rs"]
mod webassembly;

use std::fmt::Write;
use std::panic::catch_unwind;

use answer::{Answer, difference, of_engine};
use coverage::Coverage;
use journals::Case;
use random::Random;

/// So many journals reach everything that `coverage` asks for; it is not asked of fewer.
const JOURNALS: u64 = 2_000;

const FAILURES_SHOWN: usize = 5;

const PANICKED: &str = "the engine panicked";

/// What the engine says; that it panicked is an answer too, so that such a journal is made small like any other.
fn engine(case: &Case) -> Result<Answer, String> {
    let evaluated = catch_unwind(|| commission::evaluate(&case.facts, &case.book, case.as_of));
    match evaluated {
        Ok(Ok(evaluation)) => Ok(of_engine(&evaluation)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(PANICKED.to_owned()),
    }
}

/// What the rules say.
fn rules(case: &Case) -> Result<Answer, String> {
    rules::answer(&case.facts, &case.book, case.as_of)
}

/// Where the two answers differ; empty where they agree.
fn differs(case: &Case, rules: &Result<Answer, String>) -> String {
    match engine(case) {
        Err(error) if error == PANICKED => error,
        engine => difference(rules, &engine),
    }
}

fn print(case: &Case) -> String {
    let mut out = String::new();
    for fact in &case.facts {
        writeln!(out, "{}", serde_json::to_string(fact).unwrap()).unwrap();
    }
    let as_of = case.as_of.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    writeln!(out, "as_of {as_of}\n{}", case.book.to_toml()).unwrap();
    out
}

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn the_engine_follows_the_rules_on_random_journals() {
    let (count, seed) = (setting("ORACLE_JOURNALS", JOURNALS), setting("ORACLE_SEED", 1));
    println!("{count} journals of seed {seed}");
    let (mut failures, mut coverage) = (Vec::new(), Coverage::default());
    for number in 0..count {
        let case = journals::case(&mut Random::new(seed, number));
        let rules = rules(&case);
        coverage.add(&case, &rules);
        if !differs(&case, &rules).is_empty() {
            failures.push(format!("Journal {number} of seed {seed}:\n{}", explain(case)));
        }
        if failures.len() == FAILURES_SHOWN {
            break;
        }
    }
    assert!(failures.is_empty(), "The engine and the rules differ.\n{}", failures.join("\n"));
    println!("{}", coverage.table());
    let missing = coverage.missing();
    assert!(count < JOURNALS || missing.is_empty(), "no journal of seed {seed} has: {}", missing.join("; "));
}

/// The smallest journal on which the answers still differ, and how.
fn explain(case: Case) -> String {
    let small = smallest::smallest(case, |case| !differs(case, &rules(case)).is_empty());
    print(&small) + &differs(&small, &rules(&small))
}
