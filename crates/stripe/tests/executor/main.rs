//! The executor against a ledger and a Stripe that fail in every way that is known.

#[cfg(test)]
mod every_history;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod world;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use faults::Fault;
use payout::{Answer, State, Transfer};
use proptest::prelude::*;
use stripe::{Cancel, Executor, LedgerError, Outcome, Progress, Report, Standing, Stop, StripeError};
use tokio::time::{Instant, advance, sleep};
use wire::{ClaimedItem, ErrorCode, Intent};
use world::{World, WorldClock};

fn executor(world: &World) -> Executor<World, World> {
    executor_ahead(world, TimeDelta::zero())
}

/// One on a computer whose clock is wrong.
fn executor_ahead(world: &World, ahead: TimeDelta) -> Executor<World, World> {
    Executor::new(world.clone(), world.clone(), "finance-1", Arc::new(WorldClock { world: world.clone(), ahead }))
}

async fn pass(world: &World) -> Report {
    executor(world).run(&world.grant(), &Cancel::new(), |_| {}).await
}

/// A pass that may end by a planned crash.
async fn pass_or_crash(world: &World) {
    pass_or_crash_ahead(world, TimeDelta::zero()).await;
}

async fn pass_or_crash_ahead(world: &World, ahead: TimeDelta) {
    let (executor, grant, cancel) = (executor_ahead(world, ahead), world.grant(), Cancel::new());
    tokio::select! {
        _ = executor.run(&grant, &cancel, |_| {}) => {}
        () = world.crashed.notified() => {}
    }
}

fn transfer(amount_minor: i64) -> Transfer {
    Transfer {
        id: "tr_x".into(),
        created: chrono::DateTime::UNIX_EPOCH,
        amount_minor,
        amount_reversed_minor: 0,
        currency: "usd".into(),
        destination: "acct_0".into(),
        item: Some(World::item(0)),
    }
}

fn refusal(code: &str) -> Answer {
    Answer::Refused { code: code.into(), message: "No.".into() }
}

#[tokio::test(start_paused = true)]
async fn pays_every_item_once_and_tells_about_it() {
    let world = World::new(20);
    let told = Mutex::new((0, 0, 0));
    let report = executor(&world)
        .run(&world.grant(), &Cancel::new(), |progress| {
            let mut told = told.lock().unwrap();
            match progress {
                Progress::Started { .. } => told.0 += 1,
                Progress::Item { outcome, .. } => told.1 += u32::from(outcome == Outcome::Paid),
                Progress::Finished { .. } => told.2 += 1,
            }
        })
        .await;
    let amount_minor = world.lock().seal.total_minor() as i64;
    assert_eq!(report, Report { paid: 20, amount_minor, open: 20, ..Report::default() });
    assert_eq!(*told.lock().unwrap(), (1, 20, 1));
    assert_eq!((world.creates(), world.broken()), (20, None));

    assert_eq!(pass(&world).await, Report::default(), "a second pass finds nothing to do");
    assert_eq!(world.creates(), 20);
}

/// The table of answers: what one send comes to in the same pass, and how often it was sent.
#[tokio::test(start_paused = true)]
async fn every_answer_has_its_outcome() {
    let stripe = |reason: &str| Some(reason.to_string());
    let table = [
        (Answer::Accepted { transfer: transfer(1) }, State::Review, 1, None),
        (refusal("account_invalid"), State::Queued, 1, None),
        (refusal("balance_insufficient"), State::Queued, 1, stripe("balance")),
        (refusal("invalid_request_error"), State::Queued, 1, stripe("whoever is paid")),
        (Answer::Unauthorized, State::Unknown, 1, stripe("API key")),
        (Answer::KeyMisused, State::Review, 1, None),
        (Answer::Busy, State::Paid, 2, None),
        (Answer::Lost, State::Paid, 2, None),
        (Answer::ServerError { status: 500 }, State::Unknown, 1, None),
    ];
    for (answer, state, creates, stopped) in table {
        let world = World::new(1);
        world.plan("create", [Fault::Answer(answer.clone())]);
        let report = pass(&world).await;
        assert_eq!((world.state(0), world.creates()), (state, creates), "{answer:?}");
        let expected = match state {
            State::Paid => Report { paid: 1, amount_minor: 10_000, ..Report::default() },
            State::Review => Report { review: 1, ..Report::default() },
            State::Queued => Report { refused: 1, ..Report::default() },
            _ => Report { unknown: 1, ..Report::default() },
        };
        assert_eq!(Report { open: 0, stopped: None, ..report.clone() }, expected, "{answer:?}");
        match stopped {
            None => assert_eq!(report.stopped, None, "{answer:?}"),
            Some(word) => assert!(report.stopped.unwrap().to_string().contains(&word), "{answer:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_is_found_and_not_sent_again() {
    let world = World::new(1);
    world.plan("create", [Fault::LostAfter]);
    assert_eq!(pass(&world).await.paid, 1);
    assert_eq!(world.creates(), 1, "the second look found the transfer");
}

#[tokio::test(start_paused = true)]
async fn a_stop_spares_the_rest_of_the_run() {
    for answer in [Answer::Unauthorized, refusal("balance_insufficient")] {
        let world = World::new(500);
        world.plan("create", [Fault::Answer(answer)]);
        let report = pass(&world).await;
        assert!(matches!(report.stopped, Some(Stop::Stripe { .. })));
        assert!(world.creates() <= 12, "only what was on its way already: {}", world.creates());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_where_the_account_at_stripe_cannot_pay_the_run() {
    let standing = |available_minor, account: &str| {
        Ok(Standing { account: account.into(), available_minor, automatic_payouts: Some("daily".into()) })
    };
    let refused = StripeError::Refused { status: 403, code: "more_permissions_required".into(), message: "No.".into() };
    // Five items of $100.00 to $100.04.
    let table = [
        (
            standing(50_009, "acct_platform"),
            Some("$500.09 is available at Stripe, and the rest of this run needs $500.10"),
        ),
        (standing(50_010, "acct_other"), Some("The key is of the Stripe account acct_other")),
        (Err(refused), Some("cannot be looked at before the run is sent")),
        (Err(StripeError::Server { status: 500 }), None),
        (standing(50_010, "acct_platform"), None),
    ];
    for (standing, told) in table {
        let world = World::new(5);
        let needed: i64 = world.lock().entries.values().map(|e| e.record.item.amount_minor).sum();
        assert_eq!(needed, 50_010);
        world.lock().standing = standing.clone();
        let report = executor(&world)
            .from_account(Some("acct_platform".into()))
            .run(&world.grant(), &Cancel::new(), |_| {})
            .await;
        let reasons = world.lock().told.clone();
        match (told, standing) {
            (Some(told), _) => {
                assert!(reasons.len() == 1 && reasons[0].contains(told), "{reasons:?}");
                assert!(matches!(report.stopped, Some(Stop::NotReady { .. })), "{report:?}");
            }
            (None, Err(_)) => assert_eq!((report.stopped, reasons.len()), (Some(Stop::StripeSilent), 0)),
            (None, Ok(_)) => assert_eq!((report.paid, report.stopped), (5, None)),
        }
        let creates = if report.paid == 5 { 5 } else { 0 };
        assert_eq!(world.creates(), creates);
    }
    // What was sent already needs nothing more.
    let world = World::new(3);
    world.plan("create", [Fault::Answer(refusal("balance_insufficient"))]);
    pass(&world).await;
    let left: i64 = world
        .lock()
        .entries
        .values()
        .filter(|e| e.record.state == State::Queued)
        .map(|e| e.record.item.amount_minor)
        .sum();
    world.lock().standing =
        Ok(Standing { account: "acct_platform".into(), available_minor: left, automatic_payouts: None });
    // Finance has sent it again, and the leases of before have ended.
    world.lock().stopped = false;
    sleep(Duration::from_secs(150)).await;
    pass(&world).await;
    assert!((0..3).all(|n| world.state(n) == State::Paid));
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_leave_a_whole_run_to_a_person() {
    let world = World::new(200);
    world.plan("create", vec![Fault::Answer(Answer::ServerError { status: 503 }); 200]);
    let report = pass(&world).await;
    assert_eq!(report.stopped, Some(Stop::StripeSilent));
    assert!((12..=24).contains(&world.creates()), "{}", world.creates());
}

#[expect(clippy::unwrap_used, reason = "Without a seal the test has nothing to change.")]
fn seal(claimed: &mut wire::Claimed) -> &mut payout::Seal {
    claimed.seal.as_mut().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_seal_is_handed_out_once_in_a_pass_and_never_done_without() {
    let world = World::new(200);
    assert_eq!((pass(&world).await.paid, world.lock().seals), (200, 1));

    let world = World::new(3);
    world.lock().tamper_claim = Some(|c| c.seal = None);
    let report = pass(&world).await;
    assert!(matches!(report.stopped, Some(Stop::NotForHere { .. })), "{:?}", report.stopped);
    assert_eq!(world.lock().calls.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_approved_is_not_sent() {
    let claims: [fn(&mut wire::Claimed); 8] = [
        |c| seal(c).items[0].amount_minor += 1,
        |c| seal(c).items[0].destination = "acct_mine".into(),
        |c| drop(seal(c).items.pop()),
        |c| seal(c).not_paid.push(payout::SealedNotPaid { partner: "X".into(), reason: "held".into() }),
        |c| seal(c).environment = "live".into(),
        |c| seal(c).run = "run_2".into(),
        |c| seal(c).as_of += chrono::TimeDelta::seconds(1),
        |c| c.items.insert(0, ClaimedItem { item: "run_1:NOBODY".into(), fence: 1, version: 1 }),
    ];
    for (n, tamper) in claims.into_iter().enumerate() {
        let world = World::new(3);
        let grant = world.grant();
        world.lock().tamper_claim = Some(tamper);
        let report = executor(&world).run(&grant, &Cancel::new(), |_| {}).await;
        let right = match n {
            7 => matches!(report.stopped, Some(Stop::NotApproved { .. })),
            _ => matches!(report.stopped, Some(Stop::SealMismatch { .. })),
        };
        assert!(right, "claim {n}: {:?}", report.stopped);
        let inner = world.lock();
        assert_eq!((inner.calls.len(), inner.intents), (0, 0), "claim {n}: nothing is even looked at");
    }

    let intents: [fn(&mut Intent); 8] = [
        |i| i.params.amount_minor += 1,
        |i| i.params.currency = "eur".into(),
        |i| i.params.destination = "acct_mine".into(),
        |i| i.params.item = "run_1:P00001".into(),
        |i| i.params.transfer_group.push('x'),
        |i| i.attempt += 1,
        |i| i.key.push('x'),
        |i| i.key = i.key.replace("-1", "-2"),
    ];
    for (n, tamper) in intents.into_iter().enumerate() {
        let world = World::new(1);
        world.lock().tamper_intent = Some(tamper);
        let report = pass(&world).await;
        assert!(matches!(report.stopped, Some(Stop::NotApproved { .. })), "intent {n}: {:?}", report.stopped);
        assert_eq!((world.creates(), report.left), (0, 1), "intent {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_seal_that_does_not_fit_this_executor_is_not_sent() {
    let seals: [fn(&mut payout::Seal); 4] = [
        |s| s.environment = "live".into(),
        |s| s.run = "run_2".into(),
        |s| s.items[0].amount_minor = 0,
        |s| s.items[1] = s.items[0].clone(),
    ];
    for (n, change) in seals.into_iter().enumerate() {
        let world = World::new(3);
        change(&mut world.lock().seal);
        let report = pass(&world).await;
        assert!(matches!(report.stopped, Some(Stop::NotForHere { .. })), "seal {n}: {:?}", report.stopped);
        assert_eq!(world.lock().calls.len(), 0, "seal {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_intent_is_not_followed_by_a_send() {
    let world = World::new(1);
    world.lock().intent_latency = Duration::from_secs(31);
    let report = pass(&world).await;
    assert_eq!((world.creates(), report.paid, report.left), (0, 0, 1));
    assert!(world.lock().intents > 0);

    world.lock().intent_latency = Duration::ZERO;
    advance(Duration::from_secs(120)).await;
    assert_eq!(pass(&world).await.paid, 1, "the same attempt is sent by a later pass");
    assert_eq!(world.lock().entries[&World::item(0)].record.attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_is_not_certain_is_not_followed_by_a_send() {
    for fault in [Fault::LostBefore, Fault::LostAfter] {
        let world = World::new(1);
        world.plan("intent", [fault.clone()]);
        assert_eq!(pass(&world).await.paid, 1);
        let kinds: Vec<bool> = world.lock().calls.iter().map(|c| c.create).collect();
        assert_eq!((kinds, world.broken()), (vec![false, false, true], None), "{fault:?}: it looks again first");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_may_not_look_ends_the_run() {
    let world = World::new(50);
    world.plan("list", [Fault::Answer(Answer::Unauthorized)]);
    let report = pass(&world).await;
    assert!(matches!(report.stopped, Some(Stop::Stripe { .. })), "{report:?}");
    assert!(world.creates() <= 12, "{}", world.creates());
}

#[tokio::test(start_paused = true)]
async fn an_item_that_comes_back_at_once_waits_for_the_next_pass() {
    let world = World::new(150);
    world.lock().frees_settled = true;
    world.plan("create", vec![Fault::Answer(Answer::ServerError { status: 500 }); 2]);
    let report = pass(&world).await;
    assert_eq!((report.paid, report.unknown, report.review, world.creates()), (148, 2, 0, 150));
}

#[tokio::test(start_paused = true)]
async fn a_settlement_is_repeated_until_the_api_is_back() {
    let world = World::new(1);
    world.plan("settle", vec![Fault::LostBefore; 10]);
    assert_eq!(pass(&world).await, Report { paid: 1, amount_minor: 10_000, open: 1, ..Report::default() });
    assert_eq!(world.creates(), 1);
}

/// Every second holds at most 15 calls of a kind, at most 6 are in flight, and the pace itself is reached.
#[tokio::test(start_paused = true)]
async fn keeps_the_pace() {
    let world = World::new(600);
    world.lock().latency = Duration::from_millis(130);
    let begun = Instant::now();
    assert_eq!(pass(&world).await.paid, 600);
    let took = begun.elapsed();
    assert!(took <= Duration::from_secs(42), "600 items at 15 a second took {took:?}");
    let inner = world.lock();
    assert!(inner.most_in_flight <= 6);
    for create in [true, false] {
        let at: Vec<Instant> = inner.calls.iter().filter(|c| c.create == create).map(|c| c.at).collect();
        for sixteen in at.windows(16) {
            assert!(sixteen[15] - sixteen[0] >= Duration::from_secs(1), "16 calls within a second");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_stripe_has_six_calls_in_flight() {
    let world = World::new(100);
    world.lock().latency = Duration::from_secs(1);
    let begun = Instant::now();
    assert_eq!(pass(&world).await.paid, 100);
    assert_eq!(world.lock().most_in_flight, 6);
    assert!(begun.elapsed() <= Duration::from_secs(200 / 6 + 5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn slows_down_when_stripe_is_busy() {
    let world = World::new(300);
    world.plan("create", [Fault::None, Fault::None, Fault::Answer(Answer::Busy)]);
    assert_eq!(pass(&world).await.paid, 300);
    let inner = world.lock();
    let creates: Vec<Instant> = inner.calls.iter().filter(|c| c.create).map(|c| c.at).collect();
    let within = |from: u64, to: u64| {
        let since = |at: &Instant| (*at - creates[2]).as_secs();
        creates.iter().skip(3).filter(|at| (from..to).contains(&since(at))).count()
    };
    assert!(within(1, 5) <= 4 * 8, "half the pace for the first seconds: {}", within(1, 5));
    assert!(within(1, 5) >= 4 * 4, "but not none: {}", within(1, 5));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_between_items_and_leaves_none_half_sent() {
    let world = World::new(300);
    let cancel = Cancel::new();
    let (executor, grant) = (executor(&world), world.grant());
    let (report, ()) = tokio::join!(executor.run(&grant, &cancel, |_| {}), async {
        sleep(Duration::from_secs(4)).await;
        cancel.cancel();
    });
    assert_eq!(report.stopped, Some(Stop::Cancelled));
    assert!((30..=90).contains(&report.paid), "{report:?}");
    let sending = world.lock().entries.values().filter(|e| e.record.state == State::Sending).count();
    assert_eq!((sending, world.broken()), (0, None));

    advance(Duration::from_secs(120)).await;
    assert_eq!(pass(&world).await.paid + report.paid, 300);
}

#[tokio::test(start_paused = true)]
async fn watching_outlives_the_api_and_obeys_a_stop() {
    let world = World::new(4);
    let grant = world.grant();
    let away = || Err(LedgerError::Unreachable { reason: "it was planned".into() });
    world.lock().grants = vec![Ok(Vec::new()), away(), away(), away(), Ok(vec![grant.clone()])];
    let cancel = Cancel::new();
    let watching = tokio::spawn({
        let (executor, cancel) = (executor(&world), cancel.clone());
        async move { executor.watch(Duration::from_secs(5), &cancel, |_| {}).await }
    });
    sleep(Duration::from_secs(60)).await;
    assert_eq!((world.creates(), world.broken()), (4, None));
    cancel.cancel();
    watching.await.unwrap();

    let world = World::new(4);
    world.lock().grants = vec![Ok(vec![world.grant()])];
    world.lock().tamper_claim = Some(|c| seal(c).cut += 1);
    let cancel = Cancel::new();
    let finished = AtomicU32::new(0);
    let count = |progress: Progress<'_>| {
        if let Progress::Finished { .. } = progress {
            finished.fetch_add(1, Ordering::Relaxed);
        }
    };
    let executor = executor(&world);
    tokio::select! {
        () = executor.watch(Duration::from_secs(5), &cancel, count) => panic!("it must go on until it is cancelled"),
        () = sleep(Duration::from_secs(60)) => {}
    }
    assert_eq!(finished.into_inner(), 1, "a run that was stopped for good is not tried again and again");
    assert!(world.lock().grant_calls >= 10);
}

#[tokio::test(start_paused = true)]
async fn a_lost_right_ends_the_run_and_a_lost_item_does_not() {
    for (code, ends) in [(ErrorCode::SignedOut, true), (ErrorCode::Forbidden, true), (ErrorCode::Changed, false)] {
        let error = world::refused(code);
        assert_eq!((error.ends_run(), error.may_pass()), (ends, false), "{code:?}");
    }
    // Another executor takes the first item over while this one waits: its fence is too old.
    let world = World::new(2);
    world.lock().tamper_claim = Some(|c| c.items.iter_mut().take(1).for_each(|i| i.fence -= 1));
    let report = pass(&world).await;
    assert_eq!((report.paid, report.left, report.stopped), (1, 1, None));
}

fn any_fault() -> impl Strategy<Value = Fault> {
    let wait = (0_u64..40_000).prop_map(Duration::from_secs);
    prop_oneof![
        12 => Just(Fault::None),
        1 => Just(Fault::LostBefore),
        1 => Just(Fault::LostAfter),
        1 => Just(Fault::CrashBefore),
        1 => Just(Fault::CrashAfter),
        1 => Just(Fault::Lagging),
        1 => Just(Fault::NotSent),
        1 => Just(Fault::Answer(refusal("account_invalid"))),
        1 => Just(Fault::Answer(Answer::Busy)),
        1 => Just(Fault::Answer(Answer::Lost)),
        1 => Just(Fault::Answer(Answer::Unauthorized)),
        1 => Just(Fault::Answer(Answer::ServerError { status: 500 })),
        1 => wait.clone().prop_map(Fault::ServerErrorThenDone),
        1 => wait.prop_map(Fault::LostThenDone),
        1 => prop_oneof![Just(20_u64), Just(31), Just(121), Just(90_000)].prop_map(Duration::from_secs).prop_map(Fault::Frozen),
    ]
}

/// A pass, and how long nobody works after it.
#[derive(Clone, Debug)]
struct Day {
    faults: Vec<Fault>,
    /// How much the clock of the computer that sends is ahead, in seconds.
    ahead_s: i64,
    /// A second computer works at the same time.
    two: bool,
    gap_s: u64,
    /// Afterwards the database is restored to what it was at the begin of this day or of one before.
    back: Option<prop::sample::Index>,
}

fn any_day() -> impl Strategy<Value = Day> {
    let gap_s = prop_oneof![Just(1_u64), Just(130), Just(3_600 * 5), Just(3_600 * 19 + 3_590), Just(3_600 * 25)];
    let ahead_s = prop_oneof![3 => Just(0_i64), 1 => -100_000_i64..100_000];
    let back = prop_oneof![5 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    (prop::collection::vec(any_fault(), 0..40), ahead_s, any::<bool>(), gap_s, back)
        .prop_map(|(faults, ahead_s, two, gap_s, back)| Day { faults, ahead_s, two, gap_s, back })
}

/// Random histories: so many in each test run, a million in `./dev soak payouts`.
fn histories() -> u32 {
    std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever fails, whenever the process ends, and however long it is away: nobody is paid twice, nothing is recorded
    /// as paid that was not, and in the end every item is paid, at the latest when people have decided.
    #[test]
    fn never_twice_and_never_forgotten(days in prop::collection::vec(any_day(), 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let world = World::new(4);
            let mut backups = Vec::new();
            for day in days {
                backups.push(world.backup());
                world.lock().faults = day.faults.into();
                let ahead = TimeDelta::seconds(day.ahead_s);
                if day.two {
                    // The end of one may be taken for the end of the other, which then stands still until it is ended.
                    let both = async { tokio::join!(pass_or_crash_ahead(&world, ahead), pass_or_crash(&world)) };
                    let _ended = tokio::time::timeout(Duration::from_secs(100_000), both).await;
                } else {
                    pass_or_crash_ahead(&world, ahead).await;
                }
                prop_assert_eq!(world.broken(), None);
                advance(Duration::from_secs(day.gap_s)).await;
                people_solve_problems(&world);
                if let Some(back) = day.back {
                    world.restore(backups[back.index(backups.len())].clone());
                    // Payouts are locked until somebody has compared the database with Stripe.
                    advance(Duration::from_secs(40_000)).await;
                    world.catch_up(&mut world.lock());
                }
            }
            world.lock().faults.clear();
            for _ in 0..3 {
                advance(Duration::from_secs(60_000)).await;
                people_solve_problems(&world);
                world.catch_up(&mut world.lock());
                pass(&world).await;
                prop_assert_eq!(world.broken(), None);
            }
            for n in 0..4 {
                prop_assert!(matches!(world.state(n), State::Paid | State::Review), "{:?}", world.state(n));
            }
            people_decide(&world).await;
            prop_assert_eq!(world.broken(), None);
            for n in 0..4 {
                prop_assert_eq!(world.state(n), State::Paid);
            }
            Ok(())
        })?;
    }
}

/// Holds and stops are lifted, as they are when a partner has repaired an account or finance has topped up.
fn people_solve_problems(world: &World) {
    let mut inner = world.lock();
    inner.stopped = false;
    inner.entries.values_mut().for_each(|e| e.record.held = false);
}

/// Time goes on in quarters of an hour. Once an hour the server looks at what is with a person, and people say that it was
/// not paid as soon as they may; what they decide is sent. Ends long after the last of it.
async fn people_decide(world: &World) {
    let with_a_person = || {
        let inner = world.lock();
        let open = inner.entries.iter().filter(|(_, e)| e.record.state == State::Review);
        open.map(|(item, _)| item.clone()).collect::<Vec<_>>()
    };
    for quarter in 0..4 * 24 * 30 {
        let open = with_a_person();
        if open.is_empty() {
            break;
        }
        advance(Duration::from_secs(15 * 60)).await;
        if quarter % 4 == 0 {
            open.iter().for_each(|item| world.look(item));
        }
        let decided = open.iter().filter(|item| world.says_not_paid(item)).count();
        if decided > 0 {
            pass(world).await;
        }
    }
    advance(Duration::from_secs(200 * 3_600)).await;
    world.catch_up(&mut world.lock());
}
