//! What must not change what a journal comes to: the order of its facts, saying some of them again, and what its things
//! are called. Each journal is evaluated under both scopes of the volume bonus.

use std::collections::BTreeMap;

use commission::digest::statement_digest;
use commission::{Evaluation, Fact, FactBody, Statement, TermsBook, VolumeScope, evaluate, set_digest};

use crate::journals;
use crate::random::Random;
use crate::setting;

const JOURNALS: u64 = 500;

#[test]
fn shuffled_repeated_and_renamed_journals_come_to_the_same() {
    let (count, seed) = (setting("METAMORPHIC_JOURNALS", JOURNALS), setting("ORACLE_SEED", 1));
    let (mut compared, mut with_bonus) = (0, BTreeMap::new());
    for number in 0..count {
        let random = &mut Random::new(seed.wrapping_add(1_000_003), number);
        let case = journals::case(random);
        for scope in [VolumeScope::ReferralsOfQuarter, VolumeScope::InvoicesOfQuarter] {
            let book = with_scope(&case.book, scope);
            // A journal that is refused is refused in every order; the order decides only which fact is blamed.
            let told = evaluate(&case.facts, &book, case.as_of);
            let disordered = evaluate(&disordered(random, &case.facts), &book, case.as_of);
            let renamed_facts: Vec<Fact> = case.facts.iter().map(renamed_fact).collect();
            let renamed = evaluate(&renamed_facts, &book, case.as_of);
            let Ok(told) = told else {
                assert!(disordered.is_err() && renamed.is_err(), "journal {number} is refused in one order only");
                continue;
            };
            assert_eq!(disordered.as_ref(), Ok(&told), "journal {number}, {scope:?}: order or repetition matters");
            assert_renamed(&told, &renamed.unwrap(), &format!("journal {number}, {scope:?}"));
            compared += 1;
            let has_bonus = told.statements.iter().flat_map(|of| &of.lines).any(|line| line.rule == "volume_bonus");
            *with_bonus.entry(format!("{scope:?}")).or_insert(0) += u64::from(has_bonus);
        }
    }
    println!("{compared} evaluations of {count} journals, with a volume bonus: {with_bonus:?}");
    assert!(count < JOURNALS || (compared > count && with_bonus.values().all(|count| *count >= 20)), "{with_bonus:?}");
}

fn with_scope(book: &TermsBook, scope: VolumeScope) -> TermsBook {
    let mut versions = book.versions().to_vec();
    versions.iter_mut().for_each(|terms| terms.volume.scope = scope);
    TermsBook::new(versions).unwrap()
}

/// The facts in another order, some of them twice or more often.
fn disordered(random: &mut Random, facts: &[Fact]) -> Vec<Fact> {
    let mut facts = facts.to_vec();
    for _ in 0..random.between(0, 8).min(i64::try_from(facts.len()).unwrap()) {
        facts.push(random.pick(&facts));
    }
    random.shuffle(&mut facts);
    facts
}

/// Another name for a thing: it turns the order of names around, and has the characters that a line's id must escape.
fn renamed(id: &str) -> String {
    let turned: String = id.bytes().map(|byte| char::from(b'~' - (byte - b' '))).collect();
    format!("{turned}:%é")
}

/// Ids of facts decide between facts of one instant, so their order stays.
fn renamed_fact(fact: &Fact) -> Fact {
    let mut fact = fact.clone();
    fact.id = format!("another:{}", fact.id);
    let ids = match &mut fact.body {
        FactBody::PartnerJoined { partner, name, .. } => {
            name.push('!');
            vec![partner]
        }
        FactBody::PartnerSuspended { partner }
        | FactBody::PartnerReinstated { partner }
        | FactBody::AdjustmentMade { partner, .. } => vec![partner],
        FactBody::ReferralCreated { referral, partner, .. } | FactBody::ReferralMoved { referral, partner, .. } => {
            vec![referral, partner]
        }
        FactBody::ReferralCleared { referral, .. }
        | FactBody::ReferralRejected { referral, .. }
        | FactBody::ReferralReopened { referral, .. } => vec![referral],
        FactBody::SubscriptionStarted { subscription, referral, .. } => vec![subscription, referral],
        FactBody::SubscriptionChanged { subscription, .. } | FactBody::SubscriptionCanceled { subscription } => {
            vec![subscription]
        }
        FactBody::InvoicePaid { invoice, subscription, .. } => vec![invoice, subscription],
        FactBody::InvoiceRefunded { invoice, refund, .. } => [invoice].into_iter().chain(refund).collect(),
        FactBody::RefundFailed { refund } => vec![refund],
        FactBody::DisputeOpened { dispute, invoice, .. } => vec![dispute, invoice],
        FactBody::DisputeClosed { dispute, .. } => vec![dispute],
        FactBody::PayoutPaid { payout, partner, .. } => vec![payout, partner],
        FactBody::PayoutReversed { payout, .. } => vec![payout],
    };
    ids.into_iter().for_each(|id| *id = renamed(id));
    fact
}

/// The evaluation of the renamed journal is the first one with its names changed, digests included.
fn assert_renamed(told: &Evaluation, of_renamed: &Evaluation, journal: &str) {
    let mut expected: Vec<Statement> = told.statements.iter().map(renamed_statement).collect();
    expected.sort_by(|a, b| a.partner.cmp(&b.partner));
    for (expected, found) in expected.iter().zip(&of_renamed.statements) {
        let words = |statement: &Statement| -> Vec<(String, i64, String)> {
            let lines = statement.lines.iter();
            lines.map(|line| (line.id.clone(), line.amount_minor, line.status.as_str().to_owned())).collect()
        };
        assert_eq!(words(expected), words(found), "{journal}");
        assert_eq!(expected.totals, found.totals, "{journal}");
        assert_eq!(statement_digest(expected), found.digest, "{journal}");
    }
    assert_eq!(set_digest(&expected), of_renamed.digest, "{journal}");
    let unmatched = |evaluation: &Evaluation| evaluation.unmatched.len();
    assert_eq!(unmatched(told), unmatched(of_renamed), "{journal}");
}

fn renamed_statement(statement: &Statement) -> Statement {
    let mut statement = statement.clone();
    statement.partner = renamed(&statement.partner);
    for line in &mut statement.lines {
        line.referral = line.referral.as_deref().map(renamed);
        line.invoice = line.invoice.as_deref().map(renamed);
        line.id = renamed_line(&line.id);
    }
    statement.lines.sort_by(|a, b| (a.earned_at, a.kind, &a.id).cmp(&(b.earned_at, b.kind, &b.id)));
    for fact in &mut statement.unmatched {
        fact.id = format!("another:{}", fact.id);
        fact.missing_id = renamed(&fact.missing_id);
    }
    statement
}

/// A line is called by its kind, what it is about and, where it takes something back, the fact that does so.
fn renamed_line(id: &str) -> String {
    let escaped = |id: String| id.replace('%', "%25").replace(':', "%3A");
    let thing = |id: &str| escaped(renamed(id));
    let fact = |id: &str| escaped(format!("another:{id}"));
    match id.split(':').collect::<Vec<_>>()[..] {
        ["adjustment", by] => format!("adjustment:{}", fact(by)),
        ["reversal", of, referral, invoice, by] => {
            format!("reversal:{of}:{}:{}:{}", thing(referral), thing(invoice), fact(by))
        }
        [kind, referral, invoice] => format!("{kind}:{}:{}", thing(referral), thing(invoice)),
        _ => panic!("`{id}` is no id of a line"),
    }
}
