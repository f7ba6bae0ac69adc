//! The copy that an agency's app keeps, over the real API: after every pull it is what the database holds, and the pages that
//! are computed of it are the API's.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[path = "../common/cases.rs"]
mod cases;
#[expect(dead_code, reason = "Not every test asks for all of it.")]
#[path = "../common/mod.rs"]
mod common;
mod copy;
mod life;
mod push;

use std::collections::BTreeSet;

use axum::http::StatusCode;
use chrono::TimeDelta;
use proptest::prelude::*;
use referral::db::Stmt;
use referral::sql;
use serde_json::{Value, json};

use cases::cases;
use copy::Copy;
use life::{Life, Shelf, Step, step};

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(60), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_is_what_the_database_holds(steps in prop::collection::vec((step(), 0_u8..4, 1_u32..40), 1..25)) {
        block(async {
            let mut life = Life::begin().await;
            let mut copies = [Copy::default(), Copy::default()];
            for (step, who, limit) in steps {
                life.step(&step).await;
                // Now one of them looks, now both, now none.
                for (n, copy) in copies.iter_mut().enumerate().filter(|(n, _)| usize::from(who) == *n || who == 3) {
                    copy.pull(&life, n, limit).await;
                    copy.is_what_a_new_one_is(&life, n).await;
                }
            }
            for (n, copy) in copies.iter_mut().enumerate() {
                copy.pull(&life, n, 1_000).await;
                copy.is_what_a_new_one_is(&life, n).await;
                copy.shows_what_the_api_shows(&life, n).await;
            }
        });
    }
}

/// Something of every kind that happens to a record.
fn everything() -> Vec<Step> {
    vec![
        Step::Adjust { agency: 0, amount_minor: 5_000 },
        Step::Click { agency: 0, link: Some(4), bot: false },
        Step::Link { agency: 0, n: 4 },
        Step::Click { agency: 0, link: Some(5), bot: false },
        Step::Rename { link: 0, archive: true },
        Step::SignUp { agency: 0, n: 0, own: false },
        Step::Pay { client: 0, amount_minor: 9_000 },
        Step::Refund { client: 0 },
        Step::ReadAnew { client: 0 },
        Step::Move { client: 0, to: 1 },
        Step::Move { client: 0, to: 0 },
        Step::Slug { agency: 0 },
        Step::Slug { agency: 0 },
        Step::SlugGone { agency: 0 },
        Step::Account { agency: 0, lacks: true },
        Step::Account { agency: 0, lacks: false },
        Step::Terms { agency: 0 },
        Step::Wait { days: 40 },
        Step::Seal,
        Step::Unseal,
        Step::Seal,
        Step::Discard,
        Step::Seal,
        Step::Paid,
        Step::Bank { fails: false },
        Step::Bank { fails: true },
        Step::BankGone,
        Step::Name { agency: 0 },
        Step::Resource { n: 0, what: Shelf::Write },
        Step::Resource { n: 0, what: Shelf::Publish { on: true } },
        Step::Resource { n: 0, what: Shelf::Change },
        Step::Resource { n: 0, what: Shelf::Write },
        Step::Resource { n: 0, what: Shelf::File },
        Step::Resource { n: 0, what: Shelf::Turn },
        Step::Resource { n: 1, what: Shelf::Publish { on: false } },
        Step::Resource { n: 1, what: Shelf::Publish { on: true } },
        Step::Resource { n: 1, what: Shelf::Delete },
    ]
}

/// Each trigger is needed: without it a copy stays behind somewhere in a history in which everything happens.
#[tokio::test]
async fn a_mark_that_is_missing_is_found_out() {
    let triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'sync_%'";
    let triggers = Life::begin().await.world.rows(triggers).await;
    assert!(triggers.len() > 10, "{triggers:?}");
    // D1 has the same triggers, and takes minutes for all of them.
    let most = if std::env::var_os("AIKIT_D1").is_some() { 1 } else { usize::MAX };
    let names = triggers.iter().filter_map(|trigger| trigger["name"].as_str()).take(most);
    for without in [None].into_iter().chain(names.map(Some)) {
        let mut life = Life::begin().await;
        if let Some(name) = without {
            life.world.run(Stmt { sql: format!("DROP TRIGGER {name}").into(), params: Vec::new() }).await;
        }
        let mut copy = Copy::default();
        let (mut stayed_behind, mut had) = (false, BTreeSet::new());
        for step in everything() {
            life.step(&step).await;
            copy.pull(&life, 0, 1_000).await;
            stayed_behind |= !copy.equals_a_new_one(&life, 0).await;
            had.extend(copy.rows.keys().map(|(kind, _)| kind.clone()));
        }
        // Clicks are counted by theirs: without it there are none, in no copy.
        let uncounted = without == Some("sync_click");
        assert_eq!(stayed_behind, without.is_some() && !uncounted, "without {without:?}");
        // A resource is published by a change.
        let fewer = uncounted || without == Some("sync_resource");
        assert_eq!(had.len(), partner::Kind::ALL.len() - usize::from(fewer), "without {without:?} there are {had:?}");
    }
}

#[tokio::test]
async fn a_copy_that_cannot_go_on_is_told_so() {
    let mut life = Life::begin().await;
    for n in 0..4 {
        life.step(&Step::Link { agency: 0, n }).await;
    }
    let mut copy = Copy::default();
    copy.pull(&life, 0, 3).await;
    let pull = |cursor: i64, epoch: String| format!("/v1/sync/pull?schema=1&cursor={cursor}&epoch={epoch}");
    let refused = |answer: (StatusCode, Value), code: &str| assert_eq!(answer.1["code"], code, "{answer:?}");
    refused(life.ask(0, "GET", &pull(copy.cursor, "another".into()), Value::Null).await, "reset");
    refused(life.ask(0, "GET", &pull(copy.cursor + 1, copy.epoch.clone()), Value::Null).await, "reset");
    refused(life.ask(1, "GET", &pull(1, copy.epoch.clone()), Value::Null).await, "reset");
    refused(life.ask(0, "GET", "/v1/sync/pull?schema=0&cursor=0", Value::Null).await, "outdated");
    refused(life.ask(0, "GET", "/v1/sync/pull?cursor=0", Value::Null).await, "invalid");

    // What went is remembered for a quarter of a year: a payout that was unsealed, and the copy that slept.
    life.step(&Step::Adjust { agency: 0, amount_minor: 5_000 }).await;
    life.step(&Step::Wait { days: 40 }).await;
    life.step(&Step::Seal).await;
    copy.pull(&life, 0, 1_000).await;
    assert!(copy.rows.keys().any(|(kind, _)| kind == "payout"));
    let slept = copy.clone();
    life.step(&Step::Unseal).await;
    copy.pull(&life, 0, 1_000).await;
    life.world.pass(TimeDelta::days(91));
    life.sign_in_again().await;
    copy.pull(&life, 0, 1_000).await;
    referral::forget_old_rows(&life.world.app).await.unwrap();
    refused(life.ask(0, "GET", &pull(slept.cursor, slept.epoch.clone()), Value::Null).await, "reset");
    copy.pull(&life, 0, 1_000).await;
    copy.is_what_a_new_one_is(&life, 0).await;

    // A restored database has an epoch of its own.
    referral::begin_restored(&life.world.app).await.unwrap();
    life.sign_in_again().await;
    refused(life.ask(0, "GET", &pull(copy.cursor, copy.epoch.clone()), Value::Null).await, "reset");
}

#[tokio::test]
async fn nobody_pulls_what_is_forgotten() {
    let life = Life::begin().await;
    let mut copy = Copy::default();
    copy.pull(&life, 0, 1_000).await;
    life.world.pass(TimeDelta::days(91));
    referral::forget_old_rows(&life.world.app).await.unwrap();
    assert_eq!(life.world.rows("SELECT scope FROM sync_scope").await, [] as [Value; 0]);
    assert_eq!(life.world.rows("SELECT kind FROM sync_row").await, [] as [Value; 0]);
    // Whoever comes back begins anew, whatever its cursor was.
    let mut life = life;
    life.sign_in_again().await;
    let path = format!("/v1/sync/pull?schema=1&cursor={}&epoch={}", copy.cursor, copy.epoch);
    let (status, answer) = life.ask(0, "GET", &path, Value::Null).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("reset")), "{answer}");
    life.world.run(sql!("DELETE FROM sync_scope")).await;
    // Nothing is marked for nobody.
    life.world.run(sql!("UPDATE partner SET name = 'Another'")).await;
    assert_eq!(life.world.rows("SELECT kind FROM sync_touch").await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_copy_tells_nothing_of_others_and_nothing_that_people_wrote() {
    let mut life = Life::begin().await;
    for n in 0..6 {
        life.step(&Step::SignUp { agency: n % 2, n, own: false }).await;
    }
    for step in [
        Step::Move { client: 0, to: 1 },
        Step::Move { client: 1, to: 0 },
        Step::Decide { client: 2, clear: true },
        Step::Decide { client: 3, clear: false },
    ] {
        life.step(&step).await;
    }
    for n in 0..2 {
        let mut copy = Copy::default();
        copy.pull(&life, n, 1_000).await;
        let all = json!(copy.rows.values().collect::<Vec<_>>()).to_string();
        let other = &life.agencies[1 - n];
        for secret in [other.code.as_str(), other.name, life::REASON, "staff@"] {
            assert!(!all.contains(secret), "the copy of {} tells «{secret}»: {all}", life.agencies[n].name);
        }
        copy.shows_what_the_api_shows(&life, n).await;
    }
}
