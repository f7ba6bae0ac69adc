//! What must hold of every journal, whatever is in it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

mod random;

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use commission::digest::{line_digest, statement_digest};
use commission::{
    Evaluation, Fact, FactBody, Journal, JournalReader, LineKind, LineStatus, MAX_AMOUNT_MINOR, Program, Reason,
    Statement, TermsBook, evaluate, facts_by_partner, parse_fact, read_journal, set_digest,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use random::{as_of, book, config, fact, journal};

/// Lines that are blank, malformed, marked, or a fact that contradicts another.
const ODD_LINES: [&str; 7] = [
    "",
    "  \r",
    "{",
    "\u{feff}",
    "\u{feff}{}",
    r#"{"id":"twice","at":"2026-01-01T00:00:00Z","type":"partner_suspended","partner":"P0"}"#,
    r#"{"id":"twice","at":"2026-01-01T00:00:00Z","type":"partner_suspended","partner":"P1"}"#,
];

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
    #![proptest_config(config())]

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
    fn terms_of_the_future_do_not_matter(facts in journal(), book in book(), as_of in as_of()) {
        prop_assert_eq!(run(&facts, &book, as_of), run(&facts, &book.until(as_of), as_of));
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

    /// Whatever is in the lines: blanks, one that is no fact, two facts with one id, a mark at the start or in the middle.
    #[test]
    fn a_journal_read_in_parts_is_the_journal_read_at_once(
        facts in journal(),
        odd in prop::collection::vec((any::<prop::sample::Index>(), 0..ODD_LINES.len()), 0..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut lines: Vec<String> = facts.iter().map(|fact| serde_json::to_string(fact).unwrap()).collect();
        for (at, kind) in odd {
            lines.insert(at.index(lines.len() + 1), ODD_LINES[kind].to_owned());
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(lines.len() + 1)).collect();
        cuts.extend([0, lines.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let read = |mut reader: JournalReader, lines: &[String]| {
            let _ = lines.iter().all(|line| reader.push_line(line.as_bytes()));
            reader
        };
        let whole = read(JournalReader::new(), &lines);
        let mut parts = read(JournalReader::new(), &lines[..cuts.get(1).copied().unwrap_or(0)]);
        for part in cuts.windows(2).skip(1) {
            parts.append(read(JournalReader::of_later_part(), &lines[part[0]..part[1]]));
        }
        let (whole, parts) = (whole.finish(), parts.finish());
        prop_assert_eq!(&whole, &parts);
        if let Ok(parts) = parts.map(Journal::into_facts) {
            prop_assert!(facts.iter().all(|fact| parts.contains(fact)));
        }
    }

    #[test]
    fn a_journal_is_worth_what_its_facts_are(facts in journal(), book in book(), as_of in as_of()) {
        let mut reader = JournalReader::new();
        for fact in &facts {
            prop_assert!(reader.push_line(serde_json::to_string(fact).unwrap().as_bytes()));
        }
        let journal = reader.finish().unwrap();
        let program = Program::of_journal(&journal, &book, as_of);
        let evaluation = run(&facts, &book, as_of);
        prop_assert_eq!(program.len(), evaluation.statements.len());
        for (index, statement) in evaluation.statements.iter().enumerate() {
            prop_assert_eq!(&program.statement(index).unwrap(), statement);
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
        FactBody::ReferralCleared { .. } | FactBody::ReferralRejected { .. } | FactBody::ReferralReopened { .. } => {
            field == "reason"
        }
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
