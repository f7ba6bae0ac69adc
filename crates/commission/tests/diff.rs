//! The difference of two evaluations: that it adds up and leads from one to the other, on any pair of random journals;
//! and what it says of the cases that people ask about.

#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

mod random;
#[expect(dead_code, reason = "The expectations of a scenario are checked with its ledger.")]
mod scenario;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commission::digest::{line_digest, lines_digest};
use commission::{
    Because, CompareError, Comparison, Difference, Fact, Line, LineStatus, Side, StatementDiff, TermsBook, evaluate,
};
use proptest::prelude::*;
use random::{as_of, book, config, day, journal};

fn side<'a>(facts: &'a [Fact], terms: &'a TermsBook, as_of: DateTime<Utc>) -> Side<'a> {
    Side { facts, terms, as_of }
}

fn diffs(before: Side, after: Side) -> Vec<StatementDiff> {
    let comparison = Comparison::new(before, after).unwrap();
    comparison.partners().into_iter().map(|partner| comparison.of(partner).unwrap()).collect()
}

/// The lines of each partner.
fn lines(of: Side) -> BTreeMap<String, Vec<Line>> {
    let statements = evaluate(of.facts, of.terms, of.as_of).unwrap().statements;
    statements.into_iter().map(|statement| (statement.partner, statement.lines)).collect()
}

/// Lines by id. What they say in words may become another without any difference.
fn digests<'a>(lines: impl IntoIterator<Item = &'a Line>) -> BTreeMap<&'a str, String> {
    lines.into_iter().map(|line| (line.id.as_str(), line_digest(line))).collect()
}

/// The lines before with the differences applied to them.
fn applied<'a>(before: &'a [Line], differences: &'a [Difference]) -> BTreeMap<&'a str, String> {
    let mut lines = digests(before);
    for difference in differences {
        let old = lines.remove(difference.line().unwrap().id.as_str());
        assert_eq!(old, difference.before.as_ref().map(line_digest));
        lines.extend(digests(&difference.after));
    }
    lines
}

/// What follows from the parts of a difference follows.
fn assert_difference(difference: &Difference) {
    let Difference { change, before, after, amount_minor, vested_minor, causes, why } = difference;
    let expected = [(false, true), (true, true), (true, false)][*change as usize];
    assert_eq!((before.is_some(), after.is_some()), expected);
    assert_eq!(causes.iter().map(|cause| cause.amount_minor).sum::<i64>(), *amount_minor, "{why}");
    assert_eq!(causes.iter().map(|cause| cause.vested_minor).sum::<i64>(), *vested_minor, "{why}");
    assert!(!causes.is_empty() && *why == difference.to_string() && !why.is_empty());
    for cause in causes {
        let named = cause.because.facts();
        assert!(named.is_sorted());
        match &cause.because {
            Because::Terms => assert!(named.is_empty()),
            Because::TimePassed => assert_eq!(cause.amount_minor, 0, "{why}"),
            _ => assert!(!named.is_empty(), "no fact is named: {difference:#?}"),
        }
    }
}

/// Totals, books and lines agree with both statements.
fn assert_foots(diff: &StatementDiff) {
    let totals = |of: &Option<commission::Summary>| of.as_ref().map(|summary| summary.totals).unwrap_or_default();
    let (before, after) = (totals(&diff.before), totals(&diff.after));
    let mut by_status: BTreeMap<LineStatus, i64> = BTreeMap::new();
    for difference in &diff.differences {
        assert_difference(difference);
        for (line, sign) in [(&difference.before, -1), (&difference.after, 1)] {
            if let Some(line) = line {
                *by_status.entry(line.status).or_default() += sign * line.amount_minor;
            }
        }
    }
    let of = |status| by_status.get(&status).copied().unwrap_or(0);
    assert_eq!(after.vested - before.vested, of(LineStatus::Vested));
    assert_eq!(after.pending - before.pending, of(LineStatus::Pending));
    assert_eq!(after.held - before.held, of(LineStatus::Held));
    assert_eq!(after.forfeited - before.forfeited, of(LineStatus::Forfeited));
    assert_eq!(after.void - before.void, of(LineStatus::Void));
    assert_eq!((diff.opening_minor, diff.closing_minor), (before.vested, after.vested));
    assert_eq!(diff.opening_minor + diff.earned_minor - diff.reversed_minor, diff.closing_minor);
}

/// Two evaluations of one program: most facts are in both, some only in one, under two instants and often one book.
#[derive(Debug, Clone)]
struct Pair {
    facts: Vec<Fact>,
    /// How many of them the earlier one has, and from where on the later one has them.
    known: usize,
    gone: usize,
    books: [TermsBook; 2],
    at: [DateTime<Utc>; 2],
}

impl Pair {
    fn before(&self) -> Side<'_> {
        side(&self.facts[..self.known], &self.books[0], self.at[0])
    }

    fn after(&self) -> Side<'_> {
        side(&self.facts[self.gone..], &self.books[1], self.at[1])
    }
}

fn pair() -> impl Strategy<Value = Pair> {
    let gone = prop_oneof![4 => Just(0usize), 1 => 0usize..8];
    (journal().prop_shuffle(), any::<prop::sample::Index>(), gone, [book(), book()], 0u8..4, [as_of(), as_of()])
        .prop_map(|(facts, known, gone, [first, second], other_terms, mut at)| {
            at.sort();
            let books = [first.clone(), if other_terms == 0 { second } else { first }];
            let (known, gone) = (known.index(facts.len() + 1), gone.min(facts.len()));
            Pair { facts, known, gone, books, at }
        })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn differences_foot_and_lead_from_the_lines_before_to_the_lines_after(pair in pair()) {
        let (before, after) = (lines(pair.before()), lines(pair.after()));
        let diffs = diffs(pair.before(), pair.after());
        let partners: Vec<&String> = diffs.iter().map(|diff| &diff.partner).collect();
        prop_assert!(before.keys().chain(after.keys()).all(|partner| partners.contains(&partner)));
        for diff in &diffs {
            assert_foots(diff);
            let [before, after] =
                [&before, &after].map(|side| side.get(&diff.partner).map(Vec::as_slice).unwrap_or_default());
            prop_assert_eq!(applied(before, &diff.differences), digests(after));
        }
    }

    #[test]
    fn nothing_differs_from_itself_whatever_the_order(
        (facts, shuffled) in journal().prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        book in book(),
        as_of in as_of(),
    ) {
        let (before, after) = (side(&facts, &book, as_of), side(&shuffled, &book, as_of));
        for diff in diffs(before, after) {
            prop_assert_eq!(diff.differences, []);
            prop_assert_eq!(&diff.before, &diff.after);
            prop_assert_eq!(diff.earned_minor + diff.reversed_minor, 0);
        }
    }

    #[test]
    fn the_order_of_facts_does_not_matter(
        (pair, before, after) in pair().prop_flat_map(|pair| {
            let (before, after) = (pair.before().facts.to_vec(), pair.after().facts.to_vec());
            (Just(pair), Just(before).prop_shuffle(), Just(after).prop_shuffle())
        }),
    ) {
        let one = diffs(pair.before(), pair.after());
        let other = diffs(side(&before, &pair.books[0], pair.at[0]), side(&after, &pair.books[1], pair.at[1]));
        prop_assert_eq!(one, other);
    }

    /// A fact that is named as a cause counts on one side and not on the other, in the way that is said of it.
    #[test]
    fn only_facts_by_which_the_sides_differ_are_named(pair in pair()) {
        let (before, after) = (pair.before(), pair.after());
        // What points at something unknown has no effect, also where it leads to a partner.
        let effective = |side: Side| -> Vec<String> {
            let unmatched = evaluate(side.facts, side.terms, side.as_of).unwrap().unmatched;
            let counts = |fact: &&Fact| fact.at < side.as_of && unmatched.iter().all(|of_none| of_none.id != fact.id);
            side.facts.iter().filter(counts).map(|fact| fact.id.clone()).collect()
        };
        let (effective_before, effective_after) = (effective(before), effective(after));
        let counts = |side: Side, id: &str| side.facts.iter().any(|fact| fact.id == id && fact.at < side.as_of);
        for diff in diffs(before, after) {
            for cause in diff.differences.iter().flat_map(|difference| &difference.causes) {
                for fact in cause.because.facts() {
                    let (was, is) = (counts(before, &fact.id), counts(after, &fact.id));
                    let expected = match cause.because {
                        Because::Withdrawn { .. } => (true, false),
                        _ => (false, true),
                    };
                    prop_assert_eq!((was, is), expected, "{:?}", cause);
                    let side = if was { &effective_before } else { &effective_after };
                    prop_assert!(side.contains(&fact.id), "{:?}", cause);
                    let is_late = fact.at < before.as_of;
                    let says_late = matches!(cause.because, Because::ArrivedLate { .. } | Because::Withdrawn { .. });
                    prop_assert_eq!(is_late, says_late);
                }
            }
        }
    }

    #[test]
    fn stored_lines_stand_for_computed_ones(pair in pair()) {
        let comparison = Comparison::new(pair.before(), pair.after()).unwrap();
        let (before, after) = (lines(pair.before()), lines(pair.after()));
        for partner in comparison.partners() {
            let stored = before.get(partner).cloned().unwrap_or_default();
            let (computed, against) = (comparison.of(partner).unwrap(), comparison.of_stored(partner, &stored).unwrap());
            prop_assert_eq!(&computed.differences, &against.differences);
            prop_assert_eq!(&computed.lines_digest_before, &lines_digest(&stored));
            prop_assert_eq!(&computed.lines_digest_before, &against.lines_digest_before);
            prop_assert_eq!(&computed.lines_digest_after, &against.lines_digest_after);
            let after = after.get(partner).cloned().unwrap_or_default();
            prop_assert_eq!(&computed.lines_digest_after, &lines_digest(&after));
        }
    }
}

#[test]
fn the_earlier_side_comes_first() {
    let book = TermsBook::default_book();
    let refused = Comparison::new(side(&[], &book, day(2)), side(&[], &book, day(1))).err();
    assert!(matches!(refused, Some(CompareError::Backwards { .. })));
}

/// The differences between two scenarios, the earlier one as of another instant.
fn compared(early: &str, late: &str, before: &str) -> Vec<StatementDiff> {
    let [early, late] = [early, late].map(|text| scenario::parse(text).unwrap_or_else(|error| panic!("{error}")));
    let before = side(&early.facts, &early.terms, scenario::time(before).unwrap());
    let diffs = diffs(before, side(&late.facts, &late.terms, late.as_of));
    diffs.iter().for_each(assert_foots);
    diffs
}

/// What is said of a scenario of which the lines after `later` are not known to the earlier side.
fn told(early: &str, later: &str, before: &str) -> Vec<String> {
    let mut told = Vec::new();
    for diff in compared(early, &format!("{early}{later}"), before) {
        told.extend(diff.differences.iter().map(|d| format!("{} {} {}", diff.partner, d.change.as_str(), d.why)));
    }
    told
}

/// Two agencies; r1 and r2 of P have paid twice and r3 of P once, all before May.
const KNOWN: &str = "as_of 2026-06-01
2026-01-01 join P site=agency.example
2026-01-01 join Q site=other.example
2026-01-05 client r1 P $500 x2
2026-01-06 client r2 P $500 x2
2026-04-07 client r3 P $500 x1
";

/// The later journal has these facts too. The earlier statement is as of 1 May, the later one as of 1 June.
#[test]
fn each_difference_says_what_led_to_it() {
    let table: [(&str, &[&str]); 12] = [
        ("", &[]),
        (
            "2026-05-07 paid i9 r3-s $500 id=x1",
            &[
                "P new 20 % of $500.00 paid on 7 May 2026 by client r3 (month 2 of 12); vests 6 Jun 2026, 60 days after its first payment.",
            ],
        ),
        (
            "2026-03-05 paid i9 r1-s $500 id=x1",
            &[
                "P new The payment of 5 Mar 2026 (`x1`) arrived late: 20 % of $500.00 paid on 5 Mar 2026 by client r1 (month 3 of 12); vested 6 Mar 2026, 60 days after its first payment.",
            ],
        ),
        (
            "2026-05-10 refund r1-1 $250 id=x1",
            &[
                "P new $250.00 of the $500.00 that client r1 paid on 5 Jan 2026 went back on 10 May 2026 (a refund), and with it $50.00 of the $100.00 first-year commission; it counts from 10 May 2026.",
            ],
        ),
        (
            "2026-04-10 refund r1-1 $250 id=x1",
            &[
                "P new The refund of 10 Apr 2026 (`x1`) arrived late: $250.00 of the $500.00 that client r1 paid on 5 Jan 2026 went back on 10 Apr 2026 (a refund), and with it $50.00 of the $100.00 first-year commission; it counts from 10 Apr 2026.",
            ],
        ),
        (
            "2026-05-10 dispute d1 r1-2 $500 id=x1",
            &[
                "P changed After the dispute of 10 May 2026 (`x1`): first-year commission on invoice r1-2 of client r1 (5 Feb 2026) is $100.00 as before, and held instead of vested.",
            ],
        ),
        (
            "2026-05-10 reject r1 id=x1",
            &[
                "P changed After the rejection after review of 10 May 2026 (`x1`): first-year commission on invoice r1-1 of client r1 (5 Jan 2026) is $100.00 as before, and void instead of vested.",
                "P changed After the rejection after review of 10 May 2026 (`x1`): first-year commission on invoice r1-2 of client r1 (5 Feb 2026) is $100.00 as before, and void instead of vested.",
            ],
        ),
        (
            "2026-05-10 cancel r3-s id=x1",
            &[
                "P changed After the cancellation of 10 May 2026 (`x1`): first-year commission on invoice r3-1 of client r3 (7 Apr 2026) is $100.00 as before, and forfeited instead of pending.",
            ],
        ),
        (
            "2026-05-10 move r3 Q id=x1",
            &[
                "P gone After the correction of the credit of 10 May 2026 (`x1`): first-year commission on invoice r3-1 of client r3 (7 Apr 2026) of $100.00 is taken off the statement; it was pending.",
                "Q new 20 % of $500.00 paid on 7 Apr 2026 by client r3 (month 1 of 12); vests 6 Jun 2026, 60 days after its first payment.",
            ],
        ),
        ("2026-05-10 adjust P -$20 a mistake id=x1", &["P new $20.00 taken by hand on 10 May 2026: a mistake"]),
        // The third client of January reaches a bonus of three, for the two that were there too.
        (
            "terms volume.referrals_needed = 3
2026-01-20 client r4 P $500 x1",
            &[
                "P new The payment of 20 Jan 2026 (`f0016`) arrived late: 20 % of $500.00 paid on 20 Jan 2026 by client r4 (month 1 of 12); vested 21 Mar 2026, 60 days after its first payment.",
                "P new The payment of 20 Jan 2026 (`f0016`) arrived late: 5 % more of $500.00 paid on 5 Jan 2026 by client r1 (first paid in 2026-Q1, which 3 or more qualifying referrals reached); vested 6 Mar 2026, 60 days after its first payment.",
                "P new The payment of 20 Jan 2026 (`f0016`) arrived late: 5 % more of $500.00 paid on 6 Jan 2026 by client r2 (first paid in 2026-Q1, which 3 or more qualifying referrals reached); vested 7 Mar 2026, 60 days after its first payment.",
                "P new The payment of 20 Jan 2026 (`f0016`) arrived late: 5 % more of $500.00 paid on 20 Jan 2026 by client r4 (first paid in 2026-Q1, which 3 or more qualifying referrals reached); vested 21 Mar 2026, 60 days after its first payment.",
                "P new The payment of 20 Jan 2026 (`f0016`) arrived late: 5 % more of $500.00 paid on 5 Feb 2026 by client r1 (first paid in 2026-Q1, which 3 or more qualifying referrals reached); vested 6 Mar 2026, 60 days after its first payment.",
                "P new The payment of 20 Jan 2026 (`f0016`) arrived late: 5 % more of $500.00 paid on 6 Feb 2026 by client r2 (first paid in 2026-Q1, which 3 or more qualifying referrals reached); vested 7 Mar 2026, 60 days after its first payment.",
            ],
        ),
        // It came late and went again: the lines are what they were.
        ("2026-03-01 refund r1-1 $100 refund=re1 id=x1\n2026-05-02 refund_failed re1 id=x2", &[]),
    ];
    for (later, expected) in table {
        assert_eq!(told(KNOWN, later, "2026-05-01"), expected, "{later}");
    }
}

/// As [`KNOWN`], with a client that is looked at because it has the website of its agency.
const FLAGGED: &str = "2026-01-20 client r4 P $500 x1 domain=agency.example\n";

/// For each difference the line and the facts that are named, where others might be taken for them. `KNOWN` and the
/// lines of the first column are known on 1 May, those of the second on 1 June.
#[test]
fn the_nearest_facts_are_named() {
    let table: [(&str, &str, &[&str]); 22] = [
        // A payment, a refund, an adjustment: its own line.
        (
            "",
            "2026-05-05 paid i8 r1-s $500 id=x1\n2026-05-06 paid i9 r2-s $500 id=x2",
            &["P new first_year:r1:i8: happened x1", "P new first_year:r2:i9: happened x2"],
        ),
        (
            "",
            "2026-05-10 refund r1-1 $100 id=x1\n2026-05-11 refund r1-1 $150 id=x2",
            &["P new reversal:first_year:r1:r1-1:x1: decided x1", "P new reversal:first_year:r1:r1-1:x2: decided x2"],
        ),
        (
            "",
            "2026-05-10 adjust P $5 a id=x1\n2026-05-11 adjust P $6 b id=x2",
            &["P new adjustment:x1: decided x1", "P new adjustment:x2: decided x2"],
        ),
        // A refund that failed, or a bank's decision, is about the invoice that was named before.
        (
            "2026-04-10 refund r1-1 $250 refund=re1\n2026-04-11 refund r1-2 $250 refund=re2\n",
            "2026-05-10 refund_failed re1 id=x1\n2026-05-11 paid i8 r1-s $500 id=x2",
            &["P gone reversal:first_year:r1:r1-1:f0014: decided x1", "P new first_year:r1:i8: happened x2"],
        ),
        (
            "2026-04-10 dispute d1 r1-2 $500\n",
            "2026-05-10 won d1 id=x1\n2026-05-11 paid i8 r1-s $500 id=x2",
            &["P changed first_year:r1:r1-2: decided x1", "P new first_year:r1:i8: happened x2"],
        ),
        (
            "2026-04-12 dispute d1 r2-2 $500\n2026-04-10 dispute d1 r1-2 $500\n",
            "2026-05-10 won d1 id=x1\n2026-05-11 paid i8 r1-s $500 id=x2",
            &["P changed first_year:r1:r1-2: decided x1", "P new first_year:r1:i8: happened x2"],
        ),
        (
            "2026-04-10 dispute d1 r1-2 $500\n",
            "2026-05-10 lost d1 id=x1\n2026-05-11 paid i8 r1-s $500 id=x2",
            &[
                "P changed first_year:r1:r1-2: decided x1",
                "P new reversal:first_year:r1:r1-2:x1: decided x1",
                "P new first_year:r1:i8: happened x2",
            ],
        ),
        // A correction, not what else the client did.
        (
            "",
            "2026-05-05 paid i9 r3-s $500 id=x2\n2026-05-10 move r3 Q id=x1",
            &[
                "P gone first_year:r3:r3-1: decided x1",
                "Q new first_year:r3:r3-1: decided x1",
                "Q new first_year:r3:i9: happened x2",
            ],
        ),
        (
            "",
            "2026-05-10 reject r1 id=x1\n2026-05-11 paid i8 r1-s $500 id=x2",
            &[
                "P changed first_year:r1:r1-1: decided x1",
                "P changed first_year:r1:r1-2: decided x1",
                "P new first_year:r1:i8: happened x2",
            ],
        ),
        (
            FLAGGED,
            "2026-05-10 clear r4 id=x1\n2026-05-11 paid i8 r4-s $500 id=x2",
            &["P changed first_year:r4:r4-1: decided x1", "P new first_year:r4:i8: happened x2"],
        ),
        // A quarter that is reached by a correction, not by a payment.
        (
            "terms volume.referrals_needed = 3\n2026-01-20 client r4 P $500 x1 domain=agency.example\n",
            "2026-05-05 paid i9 r3-s $500 id=x2\n2026-05-10 clear r4 id=x1",
            &[
                "P changed first_year:r4:r4-1: decided x1",
                "P new volume_bonus:r1:r1-1: decided x1",
                "P new volume_bonus:r2:r2-1: decided x1",
                "P new volume_bonus:r4:r4-1: decided x1",
                "P new volume_bonus:r1:r1-2: decided x1",
                "P new volume_bonus:r2:r2-2: decided x1",
                "P new first_year:r3:i9: happened x2",
            ],
        ),
        (
            "terms volume.referrals_needed = 3\n2026-01-20 client r4 Q $500 x1\n",
            "2026-05-05 paid i9 r3-s $500 id=x2\n2026-05-10 move r4 P id=x1",
            &[
                "P new first_year:r4:r4-1: decided x1",
                "P new volume_bonus:r1:r1-1: decided x1",
                "P new volume_bonus:r2:r2-1: decided x1",
                "P new volume_bonus:r4:r4-1: decided x1",
                "P new volume_bonus:r1:r1-2: decided x1",
                "P new volume_bonus:r2:r2-2: decided x1",
                "P new first_year:r3:i9: happened x2",
                "Q gone first_year:r4:r4-1: decided x1",
            ],
        ),
        // A client that left, or did not after all.
        (
            "",
            "2026-05-10 cancel r3-s id=x1\n2026-05-11 change r3-s month $600 id=x2",
            &["P changed first_year:r3:r3-1: happened x1"],
        ),
        (
            "2026-04-20 cancel r3-s\n",
            "2026-02-07 paid i9 r3-s $500 id=x1\n2026-04-21 clear r3 id=x2",
            &["P new first_year:r3:i9: arrived_late x1", "P changed first_year:r3:r3-1: arrived_late x1"],
        ),
        (
            "2026-04-20 cancel r3-s\n",
            "2026-04-10 start r3-t r3 month $500 id=x1\n2026-04-21 clear r3 id=x2",
            &["P changed first_year:r3:r3-1: arrived_late x1"],
        ),
        // A streak that ends earlier makes the next one vest later.
        (
            TWO_SUBSCRIPTIONS,
            "2026-03-15 cancel r4-s id=x1\n2026-03-16 clear r4 id=x2",
            &["P changed first_year:r4:i2: arrived_late x1 time_passed"],
        ),
        // A subscription that somebody else started before.
        (
            "",
            "2026-01-03 refer r4 Q id=x1\n2026-01-04 start r1-s r4 month $500 id=x2\n2026-03-03 adjust Q $5 z id=x3",
            &[
                "P gone first_year:r1:r1-1: arrived_late x1 x2",
                "P gone first_year:r1:r1-2: arrived_late x1 x2",
                "Q new first_year:r4:r1-1: arrived_late x2",
                "Q new first_year:r4:r1-2: arrived_late x2",
                "Q new adjustment:x3: arrived_late x3",
            ],
        ),
        // An agency's joining, not its standing or its payouts.
        (
            "2026-02-01 client r4 R $500 x1\n",
            "2026-01-01 join R id=x1\n2026-01-01 join S id=x2\n2026-02-02 suspend R id=x3\n2026-02-03 payout p1 R $5 id=x4\n2026-02-04 reinstate R id=x5",
            &["R new first_year:r4:r4-1: arrived_late x1"],
        ),
        // A quarter that is reached by a payment, not by another one of the same client.
        (
            "terms volume.referrals_needed = 3\n",
            "2026-03-20 refer r5 P id=x1\n2026-03-20 start r5-s r5 month $500 id=x2\n2026-03-20 paid i5 r5-s $500 id=x3\n2026-04-01 paid i6 r5-s $500 id=x4\n2026-02-20 change r2-s month $600 id=x5",
            &[
                "P new first_year:r5:i5: arrived_late x3 time_passed",
                "P new volume_bonus:r1:r1-1: arrived_late x3",
                "P new volume_bonus:r1:r1-2: arrived_late x3",
                "P new volume_bonus:r2:r2-1: arrived_late x3",
                "P new volume_bonus:r2:r2-2: arrived_late x3",
                "P new volume_bonus:r5:i5: arrived_late x3 time_passed",
                "P new first_year:r5:i6: arrived_late x4 time_passed",
                "P new volume_bonus:r5:i6: arrived_late x4 time_passed",
            ],
        ),
        // A quarter that was reached before, and a bonus that vests at the same time.
        (
            "terms volume.referrals_needed = 4\n2026-01-20 client r4 P $500 x1 domain=agency.example\n2026-03-05 client r5 P $500 x1\n2026-03-25 client r6 P $500 x1\n",
            "2026-05-10 clear r4 id=x1",
            &[
                "P changed first_year:r4:r4-1: decided x1",
                "P changed first_year:r5:r5-1: time_passed",
                "P changed volume_bonus:r1:r1-1: decided x1",
                "P changed volume_bonus:r1:r1-2: decided x1",
                "P changed volume_bonus:r2:r2-1: decided x1",
                "P changed volume_bonus:r2:r2-2: decided x1",
                "P new volume_bonus:r4:r4-1: decided x1",
                "P changed volume_bonus:r5:r5-1: decided x1",
                "P changed first_year:r6:r6-1: time_passed",
                "P changed volume_bonus:r6:r6-1: time_passed",
            ],
        ),
        // A dispute, not a refund of the same payment.
        (
            "",
            "2026-05-10 dispute d1 r1-2 $500 id=x1\n2026-05-11 refund r1-2 $100 id=x2",
            &["P changed first_year:r1:r1-2: decided x1", "P new reversal:first_year:r1:r1-2:x2: decided x2"],
        ),
        // A client that another agency gets, and with it the quarter is not reached any more.
        (
            "terms volume.referrals_needed = 3\n2026-01-02 client r0 Q $500 x1\n2026-01-20 client r4 P $500 x1\n",
            "2026-05-05 paid i9 r3-s $500 id=x2\n2026-05-10 move r4 Q id=x1",
            &[
                "P gone first_year:r4:r4-1: decided x1",
                "P gone volume_bonus:r1:r1-1: decided x1",
                "P gone volume_bonus:r2:r2-1: decided x1",
                "P gone volume_bonus:r4:r4-1: decided x1",
                "P gone volume_bonus:r1:r1-2: decided x1",
                "P gone volume_bonus:r2:r2-2: decided x1",
                "P new first_year:r3:i9: happened x2",
                "Q new first_year:r4:r4-1: decided x1",
            ],
        ),
    ];
    for (early, later, expected) in table {
        let known = format!("{KNOWN}{early}");
        assert_eq!(named(&known, &format!("{known}{later}")), expected, "{early}{later}");
    }
}

/// The sentences about facts that arrived late, are gone, or came in place of others. `KNOWN` and the lines of the first
/// column are in the earlier journal, `KNOWN` and those of the second in the later one.
#[test]
fn facts_that_came_and_went_are_told_apart() {
    let left = "2026-04-20 cancel r3-s id=y\n";
    let start = format!("{left}2026-04-10 start r3-t r3 month $500 id=x1\n");
    let change = |day: u32| format!("2026-04-{day} change r3-t month $500 id=x{}\n", day - 9);
    let [one, two, three] = [11, 12, 13].map(change);
    let paid = |amount: &str, id: &str| format!("2026-03-05 paid i9 r1-s {amount} id={id}\n");
    let table = [
        (
            left.into(),
            start.clone(),
            "The subscription's start of 10 Apr 2026 (`x1`) arrived late: first-year commission on invoice r3-1 of client r3 (7 Apr 2026) is $100.00 as before, and pending instead of forfeited.",
        ),
        (
            left.into(),
            format!("{start}{one}"),
            "The subscription's start of 10 Apr 2026 (`x1`) and the subscription's change of 11 Apr 2026 (`x2`) arrived late: first-year commission on invoice r3-1 of client r3 (7 Apr 2026) is $100.00 as before, and pending instead of forfeited.",
        ),
        (
            left.into(),
            format!("{start}{one}{two}"),
            "The subscription's start of 10 Apr 2026 (`x1`), the subscription's change of 11 Apr 2026 (`x2`) and the subscription's change of 12 Apr 2026 (`x3`) arrived late: first-year commission on invoice r3-1 of client r3 (7 Apr 2026) is $100.00 as before, and pending instead of forfeited.",
        ),
        (
            left.into(),
            format!("{start}{one}{two}{three}"),
            "The subscription's start of 10 Apr 2026 (`x1`), the subscription's change of 11 Apr 2026 (`x2`), the subscription's change of 12 Apr 2026 (`x3`) and 1 more arrived late: first-year commission on invoice r3-1 of client r3 (7 Apr 2026) is $100.00 as before, and pending instead of forfeited.",
        ),
        (
            start.clone(),
            left.into(),
            "The subscription's start of 10 Apr 2026 (`x1`) is no longer in the journal: first-year commission on invoice r3-1 of client r3 (7 Apr 2026) is $100.00 as before, and forfeited instead of pending.",
        ),
        (
            format!("{start}{one}"),
            left.into(),
            "The subscription's start of 10 Apr 2026 (`x1`) and the subscription's change of 11 Apr 2026 (`x2`) are no longer in the journal: first-year commission on invoice r3-1 of client r3 (7 Apr 2026) is $100.00 as before, and forfeited instead of pending.",
        ),
        (
            paid("$500", "x1"),
            paid("$600", "x2"),
            "The payment of 5 Mar 2026 (`x2`) arrived late, in place of the payment of 5 Mar 2026 (`x1`): first-year commission on invoice i9 of client r1 (5 Mar 2026) is $120.00 instead of $100.00.",
        ),
        (
            paid("$500", "x1"),
            paid("$500.01", "x2"),
            "The payment of 5 Mar 2026 (`x2`) arrived late, in place of the payment of 5 Mar 2026 (`x1`): first-year commission on invoice i9 of client r1 (5 Mar 2026) is $100.00 as before; how it is reckoned changed.",
        ),
        (
            TWO_SUBSCRIPTIONS.into(),
            format!("{TWO_SUBSCRIPTIONS}2026-03-15 cancel r4-s id=x1\n"),
            "The cancellation of 15 Mar 2026 (`x1`) arrived late, and time has passed: first-year commission on invoice i2 of client r4 (25 Mar 2026) is $100.00 as before; it vests on 24 May 2026 instead of 25 Mar 2026.",
        ),
    ];
    for (early, late, expected) in table {
        let diffs = compared(&format!("{KNOWN}{early}"), &format!("{KNOWN}{late}"), "2026-05-01");
        let told: Vec<&str> = diffs.iter().flat_map(|diff| &diff.differences).map(|d| d.why.as_str()).collect();
        assert!(told.contains(&expected), "expected {expected}, found {told:#?}");
    }
}

/// A client without a subscription for some days would have had two streaks.
const TWO_SUBSCRIPTIONS: &str = "2026-01-10 refer r4 P
2026-01-10 start r4-s r4 month $500
2026-01-10 paid i1 r4-s $500
2026-03-20 start r4-t r4 month $500
2026-03-25 paid i2 r4-t $500
";

/// The partner, the line, and its causes with the facts that are named.
fn named(early: &str, late: &str) -> Vec<String> {
    let mut named = Vec::new();
    for diff in compared(early, late, "2026-05-01") {
        for difference in &diff.differences {
            let mut text =
                format!("{} {} {}:", diff.partner, difference.change.as_str(), difference.line().unwrap().id);
            for cause in &difference.causes {
                let because = serde_json::to_value(&cause.because).unwrap();
                text.extend([" ", because["type"].as_str().unwrap()]);
                text.extend(cause.because.facts().iter().flat_map(|fact| [" ", &fact.id]));
            }
            named.push(text);
        }
    }
    named
}

#[test]
fn what_only_time_has_changed_says_so() {
    let expected = "P changed Vested since: 20 % of $500.00 paid on 7 Apr 2026 by client r3 (month 1 of 12); vested 6 Jun 2026, 60 days after its first payment.";
    assert_eq!(told(&KNOWN.replace("as_of 2026-06-01", "as_of 2026-07-01"), "", "2026-05-01"), [expected]);
}

#[test]
fn other_terms_are_told_from_what_happened() {
    let early = scenario::parse(KNOWN).unwrap();
    let later =
        scenario::parse(&format!("terms first_year_rate = \"0.30\"\n{KNOWN}2026-05-10 refund r1-1 $500 id=x1\n"))
            .unwrap();
    let before = side(&early.facts, &early.terms, scenario::time("2026-05-01").unwrap());
    let diffs = diffs(before, side(&later.facts, &later.terms, later.as_of));
    diffs.iter().for_each(assert_foots);
    let told: Vec<&str> = diffs[0].differences.iter().map(|difference| difference.why.as_str()).collect();
    assert_eq!(
        told[0],
        "Other terms apply: first-year commission on invoice r1-1 of client r1 (5 Jan 2026) is $150.00 instead of $100.00."
    );
    assert_eq!(told.len(), 6);
    assert!(told[5].starts_with("$500.00 of the $500.00 that client r1 paid"), "{}", told[5]);
    assert_eq!((diffs[0].earned_minor, diffs[0].reversed_minor), (20_000, 15_000));
}
