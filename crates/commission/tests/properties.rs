//! What must hold of every journal, whatever is in it. Random journals draw from few ids, so that facts collide,
//! repeat, contradict each other and point at nothing.

#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Days, TimeDelta, Utc};
use commission::digest::{line_digest, statement_digest};
use commission::{
    Evaluation, Fact, FactBody, Interval, LineKind, LineStatus, MAX_AMOUNT_MINOR, Outcome, Reason, Statement, Terms,
    TermsBook, VolumeScope, evaluate, facts_by_partner, parse_fact, read_journal, set_digest,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// A failure prints its smallest journal, which then becomes a golden scenario; so nothing is persisted.
const CASES: u32 = 500;

fn day(number: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Days::new(20_454 + number)
}

/// An instant of two and a half years; often one that another fact has too.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (0u64..900, prop_oneof![4 => Just(0i64), 1 => 0i64..86_400_000_000_000])
        .prop_map(|(number, nanos)| day(number) + TimeDelta::nanoseconds(nanos))
}

fn id(prefix: &'static str, count: u8) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |number| format!("{prefix}{number}"))
}

/// Mostly a plausible price, sometimes a few cents, sometimes a large contract.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 1_000i64..80_000, 2 => 1i64..50, 2 => 400_000i64..6_000_000]
}

/// Half of the time all of whatever it is.
fn returned() -> impl Strategy<Value = i64> {
    prop_oneof![amount(), Just(6_000_000)]
}

fn interval() -> impl Strategy<Value = Interval> {
    prop_oneof![Just(Interval::Month), Just(Interval::Year)]
}

fn domain() -> impl Strategy<Value = String> {
    prop_oneof![Just("agency.com"), Just("www.client.co.uk"), Just("gmail.com"), Just("127.1"), Just("com")]
        .prop_map(str::to_owned)
}

fn partner() -> impl Strategy<Value = String> {
    id("P", 3)
}

fn referral() -> impl Strategy<Value = String> {
    id("r", 8)
}

fn subscription() -> impl Strategy<Value = String> {
    id("s", 9)
}

fn invoice() -> impl Strategy<Value = String> {
    id("i", 24)
}

fn body() -> impl Strategy<Value = FactBody> {
    let reason = || prop::option::of(Just("seen".to_owned()));
    let partners = prop_oneof![
        6 => (partner(), domain(), prop::option::of(Just("US".to_owned()))).prop_map(|(partner, website, country)| {
            FactBody::PartnerJoined { partner, name: "An agency".to_owned(), website, country }
        }),
        1 => partner().prop_map(|partner| FactBody::PartnerSuspended { partner }),
        1 => partner().prop_map(|partner| FactBody::PartnerReinstated { partner }),
    ];
    let referrals = prop_oneof![
        8 => (referral(), partner(), prop::option::of(domain())).prop_map(|(referral, partner, client_email_domain)| {
            FactBody::ReferralCreated { referral, partner, client_email_domain }
        }),
        1 => (referral(), reason()).prop_map(|(referral, reason)| FactBody::ReferralCleared { referral, reason }),
        1 => (referral(), reason()).prop_map(|(referral, reason)| FactBody::ReferralRejected { referral, reason }),
        1 => (referral(), partner()).prop_map(|(referral, partner)| {
            FactBody::ReferralMoved { referral, partner, reason: "a mistake".to_owned() }
        }),
    ];
    let subscriptions = prop_oneof![
        8 => (subscription(), referral(), interval(), amount()).prop_map(
            |(subscription, referral, interval, amount_minor)| {
                FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor }
            }
        ),
        2 => (subscription(), interval(), amount()).prop_map(|(subscription, interval, amount_minor)| {
            FactBody::SubscriptionChanged { subscription, interval, amount_minor }
        }),
        2 => subscription().prop_map(|subscription| FactBody::SubscriptionCanceled { subscription }),
    ];
    let period = prop::option::of((0u64..900, 1u64..400));
    let invoices = (invoice(), subscription(), prop_oneof![9 => amount(), 1 => Just(0)], period).prop_map(
        |(invoice, subscription, amount_minor, period)| FactBody::InvoicePaid {
            invoice,
            subscription,
            amount_minor,
            period_start: period.filter(|(_, days)| days % 5 > 0).map(|(start, _)| day(start)),
            period_end: period.filter(|(_, days)| days % 7 > 0).map(|(start, days)| day(start + days)),
        },
    );
    let money_back = prop_oneof![
        6 => (invoice(), returned(), prop::option::of(id("re", 6))).prop_map(|(invoice, amount_minor, refund)| {
            FactBody::InvoiceRefunded { invoice, amount_minor, refund }
        }),
        1 => id("re", 6).prop_map(|refund| FactBody::RefundFailed { refund }),
        2 => (id("d", 6), invoice(), returned()).prop_map(|(dispute, invoice, amount_minor)| {
            FactBody::DisputeOpened { dispute, invoice, amount_minor }
        }),
        2 => (id("d", 6), any::<bool>()).prop_map(|(dispute, won)| {
            FactBody::DisputeClosed { dispute, outcome: if won { Outcome::Won } else { Outcome::Lost } }
        }),
    ];
    let payments = prop_oneof![
        (partner(), -9_000i64..9_000).prop_map(|(partner, amount_minor)| {
            FactBody::AdjustmentMade { partner, amount_minor, reason: "a thank-you".to_owned() }
        }),
        (id("po", 6), partner(), amount()).prop_map(|(payout, partner, amount_minor)| FactBody::PayoutPaid {
            payout,
            partner,
            amount_minor
        }),
        (id("po", 6), prop::option::of(amount()))
            .prop_map(|(payout, amount_minor)| FactBody::PayoutReversed { payout, amount_minor }),
    ];
    prop_oneof![
        3 => partners,
        8 => referrals,
        8 => subscriptions,
        12 => invoices,
        14 => money_back,
        3 => payments,
    ]
}

fn fact() -> impl Strategy<Value = Fact> {
    (instant(), body()).prop_map(|(at, body)| Fact { id: "f".to_owned(), at, body })
}

/// A client that signs up, subscribes and pays up to three invoices.
fn client(number: usize) -> impl Strategy<Value = Vec<Fact>> {
    let sign_up = prop_oneof![1 => 3u64..9, 1 => 0u64..600];
    let partner = prop_oneof![2 => Just("P0".to_owned()), 1 => partner()];
    let invoices = prop::collection::vec((1u64..200, prop::option::of(20u64..400)), 0..4);
    (sign_up, partner, prop::option::weighted(0.3, domain()), interval(), amount(), invoices).prop_map(
        move |(mut at, partner, client_email_domain, interval, amount_minor, invoices)| {
            let (referral, subscription) = (format!("r{number}"), format!("s{number}"));
            let fact = |at, body| Fact { id: String::new(), at: day(at), body };
            let created = FactBody::ReferralCreated { referral: referral.clone(), partner, client_email_domain };
            let subscription_id = subscription.clone();
            let started = FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor };
            let mut facts = vec![fact(at, created), fact(at, started)];
            for (index, (wait, period)) in invoices.into_iter().enumerate() {
                at += wait / if index == 0 { 20 } else { 1 };
                let paid = FactBody::InvoicePaid {
                    invoice: format!("i{}", number * 3 + index),
                    subscription: subscription_id.clone(),
                    amount_minor,
                    period_start: period.map(|_| day(at)),
                    period_end: period.map(|days| day(at + days)),
                };
                facts.push(fact(at, paid));
            }
            facts
        },
    )
}

/// Two or three partners with up to eight clients that behave, and among them anything at all.
fn journal() -> impl Strategy<Value = Vec<Fact>> {
    let joined = |(number, website): (usize, String)| Fact {
        id: String::new(),
        at: day(0),
        body: FactBody::PartnerJoined {
            partner: format!("P{number}"),
            name: "An agency".to_owned(),
            website,
            country: None,
        },
    };
    let partners = prop::collection::vec(domain(), 2..4);
    let clients: Vec<_> = (0..8).map(client).collect();
    (partners, clients, 0usize..9, prop::collection::vec(fact(), 0..60)).prop_map(
        move |(partners, clients, count, noise)| {
            let mut facts: Vec<Fact> = partners.into_iter().enumerate().map(joined).collect();
            facts.extend(clients.into_iter().take(count).flatten());
            facts.extend(noise);
            let total = facts.len();
            // 127 is prime and larger than any total, so this is a permutation: the order of ids is not that of the list.
            for (index, fact) in facts.iter_mut().enumerate() {
                fact.id = format!("f{:03}", index * 127 % total);
            }
            facts
        },
    )
}

/// Low thresholds, so that small journals reach them, and two versions.
fn book() -> impl Strategy<Value = TermsBook> {
    (1u32..4, 1u32..6, any::<bool>(), 0u32..90, 0u32..14, 2u32..9).prop_map(
        |(volume, platinum, by_invoice, vesting_days, first_year_months, burst_per_month)| {
            let mut first = Terms { vesting_days, first_year_months, burst_per_month, ..Terms::default() };
            first.volume.referrals_needed = volume;
            first.platinum.referrals_needed = platinum;
            let mut second = Terms { id: "2027".to_owned(), from: day(365), vesting_days: 60, ..first.clone() };
            second.platinum.referrals_needed = platinum + 1;
            second.minimum_payout_minor = 2_000;
            if by_invoice {
                second.volume.scope = VolumeScope::InvoicesOfQuarter;
            }
            TermsBook::new(vec![first, second]).unwrap()
        },
    )
}

fn as_of() -> impl Strategy<Value = DateTime<Utc>> {
    (50u64..1_000).prop_map(day)
}

fn run(facts: &[Fact], book: &TermsBook, as_of: DateTime<Utc>) -> Evaluation {
    evaluate(facts, book, as_of).unwrap()
}

/// Each total is the sum of its lines, and what follows from the totals follows.
fn assert_foots(statement: &Statement) {
    let mut sums: BTreeMap<LineStatus, i64> = BTreeMap::new();
    for line in &statement.lines {
        *sums.entry(line.status).or_default() += line.amount_minor;
    }
    let totals = statement.totals;
    let of = |status| sums.get(&status).copied().unwrap_or(0);
    assert_eq!(totals.pending, of(LineStatus::Pending));
    assert_eq!(totals.vested, of(LineStatus::Vested));
    assert_eq!(totals.held, of(LineStatus::Held));
    assert_eq!(totals.forfeited, of(LineStatus::Forfeited));
    assert_eq!(totals.void, of(LineStatus::Void));
    assert_eq!(totals.balance, totals.vested - totals.paid);
    assert!(totals.paid >= 0);
    assert!(totals.payable == 0 || (totals.payable == totals.balance && !statement.suspended));
    let earned: i64 = statement.referrals.iter().map(|referral| referral.earned_minor).sum();
    let adjusted = statement.lines.iter().filter(|line| line.kind == LineKind::Adjustment);
    let adjusted: i64 = adjusted.map(|line| line.amount_minor).sum();
    assert_eq!(earned + adjusted, totals.vested + totals.pending + totals.held);
}

/// A line's fields do not contradict each other.
fn assert_lines_are_consistent(statement: &Statement) {
    let mut ids = HashSet::new();
    for line in &statement.lines {
        assert!(ids.insert(&line.id), "two lines are called {}", line.id);
        assert_ne!(line.amount_minor, 0, "{}", line.id);
        assert!(line.earned_at < statement.as_of, "{} is from the future", line.id);
        assert!(line.why.ends_with('.') || line.kind == LineKind::Adjustment, "{}", line.why);
        match (line.kind, line.amount_minor) {
            (LineKind::Adjustment, _) => {}
            (LineKind::Reversal, amount) => assert!(amount < 0, "{}", line.id),
            (_, amount) => assert!(amount > 0, "{}", line.id),
        }
        let expected = match line.status {
            LineStatus::Void => vec![Some(Reason::Rejected)],
            LineStatus::Forfeited => vec![Some(Reason::LeftEarly)],
            LineStatus::Held => vec![Some(Reason::UnderReview), Some(Reason::OpenDispute)],
            LineStatus::Pending | LineStatus::Vested => vec![None],
        };
        assert!(expected.contains(&line.reason), "{}: {:?}", line.id, line.reason);
        match (line.status, line.vests_at) {
            (LineStatus::Void | LineStatus::Forfeited, vests_at) => assert_eq!(vests_at, None, "{}", line.id),
            (LineStatus::Vested, Some(at)) => assert!(at < statement.as_of && at >= line.earned_at, "{}", line.id),
            (LineStatus::Pending, Some(at)) => assert!(at >= statement.as_of, "{}", line.id),
            (LineStatus::Held, Some(at)) => assert!(at >= line.earned_at, "{}", line.id),
            (status, None) => panic!("{} is {status:?} and never vests", line.id),
        }
    }
}

/// No invoice loses more than it earned, and one of which all went back has earned nothing.
fn assert_reversals_are_bounded(statement: &Statement, facts: &[Fact]) {
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    let mut returned: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for line in &statement.lines {
        let Some(invoice) = line.invoice.as_deref() else { continue };
        *left.entry(invoice).or_default() += line.amount_minor;
        if line.kind == LineKind::Reversal {
            *returned.entry((invoice, line.rule.as_str())).or_default() += line.basis_minor;
        }
    }
    for (invoice, left) in left {
        assert!(left >= 0, "{invoice} has lost more than it earned");
        let largest = facts.iter().filter_map(|fact| match &fact.body {
            FactBody::InvoicePaid { invoice: id, amount_minor, .. } if id == invoice => Some(*amount_minor),
            _ => None,
        });
        let largest = largest.max().unwrap_or(0);
        for (key, returned) in returned.iter().filter(|((id, _), _)| *id == invoice) {
            assert!(*returned <= largest, "{key:?} lost {returned} of {largest}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repetition_do_not_matter(
        (facts, shuffled) in journal().prop_flat_map(|facts| {
            let twice: Vec<Fact> = facts.iter().chain(facts.iter().step_by(3)).cloned().collect();
            (Just(facts), Just(twice).prop_shuffle())
        }),
        book in book(),
        as_of in as_of(),
    ) {
        prop_assert_eq!(run(&facts, &book, as_of), run(&shuffled, &book, as_of));
    }

    #[test]
    fn statements_foot_and_lines_are_consistent(facts in journal(), book in book(), as_of in as_of()) {
        let evaluation = run(&facts, &book, as_of);
        for statement in &evaluation.statements {
            assert_foots(statement);
            assert_lines_are_consistent(statement);
            assert_reversals_are_bounded(statement, &facts);
        }
    }

    #[test]
    fn a_statement_depends_only_on_its_partners_facts(facts in journal(), book in book(), as_of in as_of()) {
        let evaluation = run(&facts, &book, as_of);
        let lists = facts_by_partner(&facts, as_of).unwrap();
        prop_assert_eq!(lists.len(), evaluation.statements.len());
        for statement in &evaluation.statements {
            let own: Vec<Fact> = lists[statement.partner.as_str()].iter().map(|fact| (*fact).clone()).collect();
            let alone = run(&own, &book, as_of);
            prop_assert!(alone.statements.contains(statement), "{} differs alone", statement.partner);
        }
    }

    #[test]
    fn the_future_does_not_matter(facts in journal(), book in book(), as_of in as_of()) {
        let past: Vec<Fact> = facts.iter().filter(|fact| fact.at < as_of).cloned().collect();
        prop_assert_eq!(run(&facts, &book, as_of), run(&past, &book, as_of));
    }

    #[test]
    fn names_do_not_reach_the_digest(facts in journal(), book in book(), as_of in as_of()) {
        let renamed = facts.iter().cloned().map(|mut fact| {
            match &mut fact.body {
                FactBody::PartnerJoined { name, .. } => *name = "Another name".to_owned(),
                FactBody::AdjustmentMade { reason, .. } | FactBody::ReferralMoved { reason, .. } => reason.push('!'),
                _ => {}
            }
            fact
        });
        let renamed: Vec<Fact> = renamed.collect();
        prop_assert_eq!(run(&facts, &book, as_of).digest, run(&renamed, &book, as_of).digest);
    }

    #[test]
    fn a_journal_survives_being_written_and_read(facts in journal()) {
        let text: String = facts.iter().map(|fact| serde_json::to_string(fact).unwrap() + "\r\n").collect();
        prop_assert_eq!(&read_journal(&format!("\u{feff}{text}\n")).unwrap(), &facts);
        for fact in &facts {
            let value = serde_json::to_value(fact).unwrap();
            prop_assert_eq!(&serde_json::from_value::<Fact>(value).unwrap(), fact);
        }
    }

    #[test]
    fn a_statement_can_be_checked_from_its_json(facts in journal(), book in book(), as_of in as_of()) {
        let evaluation = run(&facts, &book, as_of);
        let text = serde_json::to_string(&evaluation.statements).unwrap();
        let read: Vec<Statement> = serde_json::from_str(&text).unwrap();
        for statement in &read {
            prop_assert_eq!(&statement_digest(statement), &statement.digest);
        }
        prop_assert_eq!(set_digest(&read), evaluation.digest);
    }

    #[test]
    fn digests_notice_every_change_of_a_figure(facts in journal(), book in book(), as_of in as_of(), pick in any::<prop::sample::Index>()) {
        let statements = run(&facts, &book, as_of).statements;
        let lines: Vec<_> = statements.iter().flat_map(|statement| &statement.lines).collect();
        prop_assume!(!lines.is_empty());
        let line = pick.get(&lines);
        let digest = line_digest(line);
        let mut changed = (*line).clone();
        changed.why.clear();
        prop_assert_eq!(&line_digest(&changed), &digest);
        let changes: [fn(&mut commission::Line); 8] = [
            |line| line.amount_minor += 1,
            |line| line.basis_minor += 1,
            |line| line.id.push('x'),
            |line| line.rate = Some("0.99".to_owned()),
            |line| line.rule.push('x'),
            |line| line.terms.push('x'),
            |line| line.earned_at += TimeDelta::nanoseconds(1),
            |line| line.tenure_month = line.tenure_month.map_or(Some(0), |_| None),
        ];
        for change in changes {
            let mut changed = (*line).clone();
            change(&mut changed);
            prop_assert_ne!(&line_digest(&changed), &digest);
        }
    }

    #[test]
    fn extreme_amounts_never_panic(
        facts in journal(),
        factors in prop::collection::vec(any::<i64>(), 126),
        as_of in as_of(),
    ) {
        let extreme = facts.into_iter().zip(factors).map(|(mut fact, factor)| {
            let size = MAX_AMOUNT_MINOR - factor.rem_euclid(3);
            match &mut fact.body {
                FactBody::SubscriptionStarted { amount_minor, .. }
                | FactBody::SubscriptionChanged { amount_minor, .. }
                | FactBody::InvoicePaid { amount_minor, .. }
                | FactBody::InvoiceRefunded { amount_minor, .. }
                | FactBody::DisputeOpened { amount_minor, .. }
                | FactBody::PayoutPaid { amount_minor, .. } => *amount_minor = size,
                FactBody::AdjustmentMade { amount_minor, .. } => *amount_minor = if factor < 0 { -size } else { size },
                _ => {}
            }
            fact
        });
        let extreme: Vec<Fact> = extreme.collect();
        if let Ok(evaluation) = evaluate(&extreme, &TermsBook::default_book(), as_of) {
            evaluation.statements.iter().for_each(assert_foots);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = read_journal(&text);
        let _ = commission::parse_time(&text);
        let _ = TermsBook::from_toml(&text);
    }

    #[test]
    fn a_damaged_line_is_read_or_refused(fact in fact(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = serde_json::to_vec(&fact).unwrap();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(text) = String::from_utf8(bytes) {
            let _ = parse_fact(&text);
        }
    }

    #[test]
    fn a_wrong_field_is_named(fact in fact()) {
        let whole = serde_json::to_value(&fact).unwrap();
        for (field, value) in whole.as_object().unwrap() {
            let wrong = [serde_json::json!([]), serde_json::json!({}), serde_json::json!(true), serde_json::json!(0.5)];
            for wrong in wrong {
                let mut damaged = whole.clone();
                damaged[field] = wrong;
                let error = parse_fact(&damaged.to_string()).unwrap_err();
                prop_assert_eq!(error.field.as_deref(), Some(field.as_str()));
            }
            let mut null = whole.clone();
            null[field] = serde_json::Value::Null;
            let mut without = whole.clone();
            without.as_object_mut().unwrap().remove(field);
            for damaged in [null, without] {
                match parse_fact(&damaged.to_string()) {
                    Ok(_) => prop_assert!(is_optional(field, &fact.body), "{field} of {value} may be missing"),
                    Err(error) => {
                        prop_assert!(!is_optional(field, &fact.body));
                        prop_assert_eq!(error.field.as_deref(), Some(field.as_str()));
                    }
                }
            }
        }
    }
}

/// The fields that the table of the rules calls optional.
fn is_optional(field: &str, body: &FactBody) -> bool {
    match body {
        FactBody::PartnerJoined { .. } => field == "country",
        FactBody::ReferralCreated { .. } => field == "client_email_domain",
        FactBody::ReferralCleared { .. } | FactBody::ReferralRejected { .. } => field == "reason",
        FactBody::InvoicePaid { .. } => matches!(field, "period_start" | "period_end"),
        FactBody::InvoiceRefunded { .. } => field == "refund",
        FactBody::PayoutReversed { .. } => field == "amount_minor",
        _ => false,
    }
}

/// The other tests prove little if their journals never get anywhere.
#[test]
fn random_journals_reach_everything() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut see = |what: String| *seen.entry(what).or_default() += 1;
    for _ in 0..400 {
        let (facts, book, as_of) = (journal(), book(), as_of()).new_tree(&mut runner).unwrap().current();
        facts.iter().for_each(|fact| see(fact.body.type_name().to_owned()));
        for statement in run(&facts, &book, as_of).statements {
            see(format!("{:?}", statement.tier));
            statement.unmatched.iter().for_each(|fact| see(format!("unmatched, no {}", fact.missing.as_str())));
            for line in &statement.lines {
                let reversal = if line.kind == LineKind::Reversal { "reversal of " } else { "" };
                see(format!("{reversal}{}", line.rule));
                see(format!("{}{}", line.status.as_str(), line.reason.map_or("", |reason| reason.as_str())));
            }
            statement.referrals.iter().flat_map(|referral| &referral.flags).for_each(|flag| see(format!("{flag:?}")));
        }
    }
    let rules =
        ["first_year", "recurring", "platinum_first_year", "platinum_recurring", "volume_bonus", "high_value_bonus"];
    let mut expected: Vec<String> =
        rules.iter().flat_map(|rule| [(*rule).to_owned(), format!("reversal of {rule}")]).collect();
    let rest = [
        "adjustment",
        "voidrejected",
        "forfeitedleft_early",
        "heldunder_review",
        "heldopen_dispute",
        "pending",
        "vested",
        "Standard",
        "Platinum",
        "SelfReferral",
        "Burst",
        "unmatched, no referral",
        "unmatched, no partner",
        "referral_moved",
        "refund_failed",
        "payout_reversed",
    ];
    expected.extend(rest.map(str::to_owned));
    for what in expected {
        assert!(seen.get(&what).is_some_and(|count| *count >= 5), "{what} is rare: {seen:#?}");
    }
}
