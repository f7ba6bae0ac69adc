//! What an agency may have of a journal: enough to compute its statement itself, and nothing of anybody else's.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

mod random;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use commission::{EvaluateError, Fact, FactBody, Missing, Statement, evaluate, own_facts, parse_fact};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use random::{as_of, book, config, day, journal};

/// Random journals in which referrals are moved to and fro, also to partners that never joined.
fn journal_with_moves() -> impl Strategy<Value = Vec<Fact>> {
    let moves = prop::collection::vec((0u8..9, 0u8..4, 0u64..900), 0..12);
    (journal(), moves).prop_map(|(mut facts, moves)| {
        for (index, (referral, partner, at)) in moves.into_iter().enumerate() {
            let (referral, partner) = (format!("r{referral}"), format!("P{partner}"));
            let body = FactBody::ReferralMoved { referral, partner, reason: "Staff only.".to_owned() };
            facts.push(Fact { id: format!("m{index:02}"), at: day(at), body });
        }
        for fact in &mut facts {
            if let FactBody::ReferralCleared { reason, .. }
            | FactBody::ReferralRejected { reason, .. }
            | FactBody::ReferralReopened { reason, .. } = &mut fact.body
            {
                *reason = Some("Staff only.".to_owned());
            }
        }
        facts
    })
}

/// The partner that a fact names.
fn named(fact: &Fact) -> Option<&str> {
    match &fact.body {
        FactBody::PartnerJoined { partner, .. }
        | FactBody::PartnerSuspended { partner }
        | FactBody::PartnerReinstated { partner }
        | FactBody::ReferralCreated { partner, .. }
        | FactBody::ReferralMoved { partner, .. }
        | FactBody::AdjustmentMade { partner, .. }
        | FactBody::PayoutPaid { partner, .. } => Some(partner),
        _ => None,
    }
}

/// The referral that a fact names.
fn referral(fact: &Fact) -> Option<&str> {
    match &fact.body {
        FactBody::ReferralCreated { referral, .. }
        | FactBody::ReferralCleared { referral, .. }
        | FactBody::ReferralRejected { referral, .. }
        | FactBody::ReferralReopened { referral, .. }
        | FactBody::ReferralMoved { referral, .. }
        | FactBody::SubscriptionStarted { referral, .. } => Some(referral),
        _ => None,
    }
}

/// Whom a statement itself names as unknown.
fn unknown(statement: &Statement, kind: Missing) -> BTreeSet<&str> {
    let of_kind = statement.unmatched.iter().filter(|fact| fact.missing == kind);
    of_kind.map(|fact| fact.missing_id.as_str()).collect()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn its_own_facts_give_an_agency_its_whole_statement(facts in journal_with_moves(), book in book(), as_of in as_of()) {
        for statement in evaluate(&facts, &book, as_of).unwrap().statements {
            let own = own_facts(&facts, &statement.partner, as_of).unwrap();
            let alone = evaluate(&own, &book, as_of).unwrap();
            prop_assert_eq!(&alone.statements, &vec![statement]);
            prop_assert_eq!(alone.unmatched, vec![]);
        }
    }

    #[test]
    fn its_own_facts_tell_of_nobody_else(facts in journal_with_moves(), book in book(), as_of in as_of()) {
        for statement in evaluate(&facts, &book, as_of).unwrap().statements {
            let own = own_facts(&facts, &statement.partner, as_of).unwrap();
            let (nobody, nothing) = (unknown(&statement, Missing::Partner), unknown(&statement, Missing::Referral));
            for fact in &own {
                let line = serde_json::to_string(fact).unwrap();
                prop_assert!(named(fact).is_none_or(|name| name == statement.partner || nobody.contains(name)), "{line}");
                let is_own = |id: &str| statement.referrals.iter().any(|known| known.referral == id);
                prop_assert!(referral(fact).is_none_or(|id| is_own(id) || nothing.contains(id)), "{line}");
                prop_assert!(!line.contains("Staff only."), "{line}");
                prop_assert!(fact.at < as_of);
                prop_assert_eq!(&parse_fact(&line).unwrap().unwrap(), fact);
            }
        }
    }

    #[test]
    fn the_order_of_a_journal_is_not_in_what_an_agency_has(
        (facts, shuffled) in journal_with_moves().prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        as_of in as_of(),
    ) {
        let own = own_facts(&facts, "P0", as_of).unwrap();
        prop_assert_eq!(&own_facts(&shuffled, "P0", as_of).unwrap(), &own);
        prop_assert_eq!(&own_facts(&own, "P0", as_of).unwrap(), &own, "reducing it again leaves all of it");
    }
}

/// The properties prove little if nothing is ever moved between agencies.
#[test]
fn the_journals_move_referrals_both_ways() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..200 {
        let (facts, book, as_of) = (journal_with_moves(), book(), as_of()).new_tree(&mut runner).unwrap().current();
        let first = facts.iter().filter(|fact| fact.at < as_of).filter_map(|fact| match &fact.body {
            FactBody::ReferralCreated { referral, partner, .. } => Some((fact.at, &fact.id, referral, partner)),
            _ => None,
        });
        let first: Vec<_> = first.collect();
        for statement in evaluate(&facts, &book, as_of).unwrap().statements {
            for state in &statement.referrals {
                let sign_up = first.iter().filter(|(_, _, id, _)| **id == state.referral).min().unwrap();
                let pays = statement.lines.iter().any(|line| line.referral.as_ref() == Some(&state.referral));
                if *sign_up.3 != statement.partner && pays {
                    *seen.entry("moved here, with lines").or_default() += 1;
                }
            }
            for kind in [Missing::Partner, Missing::Referral] {
                *seen.entry(kind.as_str()).or_default() += u32::from(!unknown(&statement, kind).is_empty());
            }
        }
    }
    for what in ["moved here, with lines", "partner", "referral"] {
        assert!(seen.get(what).is_some_and(|count| *count >= 20), "{what} is rare: {seen:?}");
    }
}

fn at(fact: &str) -> Fact {
    parse_fact(fact).unwrap().unwrap()
}

#[test]
fn a_move_after_the_instant_has_not_happened_yet() {
    let facts = [
        at(
            r#"{"id":"1","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"A","name":"A","website":"a.com"}"#,
        ),
        at(
            r#"{"id":"2","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"B","name":"B","website":"b.com"}"#,
        ),
        at(r#"{"id":"3","at":"2026-01-02T00:00:00Z","type":"referral_created","referral":"r","partner":"A"}"#),
        at(
            r#"{"id":"4","at":"2026-02-01T00:00:00Z","type":"referral_moved","referral":"r","partner":"B","reason":"x"}"#,
        ),
    ];
    let of = |partner: &str, as_of: DateTime<Utc>| -> Vec<String> {
        own_facts(&facts, partner, as_of).unwrap().into_iter().map(|fact| fact.id).collect()
    };
    assert_eq!((of("A", facts[3].at), of("B", facts[3].at)), (vec!["1".into(), "3".into()], vec!["2".into()]));
    let end = DateTime::<Utc>::MAX_UTC;
    assert_eq!((of("A", end), of("B", end)), (vec!["1".into()], vec!["2".into(), "3".into()]));
    assert_eq!(of("nobody", end), Vec::<String>::new());
}

#[test]
fn contradicting_facts_are_refused() {
    let mut facts = vec![at(
        r#"{"id":"1","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"A","name":"A","website":"a.com"}"#,
    )];
    facts.push(Fact { at: day(3), ..facts[0].clone() });
    let refused = own_facts(&facts, "A", DateTime::<Utc>::MAX_UTC);
    assert_eq!(refused, Err(EvaluateError::ConflictingFacts { id: "1".to_owned() }));
}
