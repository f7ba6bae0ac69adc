//! What is compared: everything that docs/rules.md gives a value to, in a form that both sides can be brought into.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write};

use chrono::{DateTime, Utc};
use commission::{
    Decision, Evaluation, Flag, Line, LineKind, LineStatus, ReferralState, Statement, Tier, Totals, Unmatched,
};
use rust_decimal::Decimal;

/// The answer to a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) partners: BTreeMap<String, PartnerAnswer>,
    /// The ids of the unmatched facts that lead to no partner.
    pub(crate) unmatched: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartnerAnswer {
    pub(crate) tier: Tier,
    pub(crate) platinum_since: Option<DateTime<Utc>>,
    pub(crate) suspended: bool,
    pub(crate) terms: String,
    pub(crate) totals: Totals,
    /// In any order that is the same on both sides.
    pub(crate) lines: Vec<LineAnswer>,
    pub(crate) unmatched: BTreeSet<String>,
    pub(crate) referrals: BTreeMap<String, ReferralAnswer>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LineAnswer {
    pub(crate) earned_at: DateTime<Utc>,
    pub(crate) kind: LineKind,
    pub(crate) referral: Option<String>,
    pub(crate) invoice: Option<String>,
    pub(crate) amount_minor: i64,
    pub(crate) basis_minor: i64,
    pub(crate) rate: Option<Decimal>,
    pub(crate) rule: String,
    pub(crate) terms: Option<String>,
    pub(crate) tenure_month: Option<u32>,
    pub(crate) status: LineStatus,
    pub(crate) reason: Option<&'static str>,
    pub(crate) vests_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReferralAnswer {
    pub(crate) flags: Vec<Flag>,
    pub(crate) decision: Option<Decision>,
    pub(crate) under_review: bool,
    pub(crate) first_payment_at: Option<DateTime<Utc>>,
    pub(crate) clock: Option<DateTime<Utc>>,
    pub(crate) turns_recurring_at: Option<DateTime<Utc>>,
    pub(crate) eligible: bool,
    pub(crate) terms: String,
}

/// The engine's answer.
pub(crate) fn of_engine(evaluation: &Evaluation) -> Answer {
    let partners = evaluation.statements.iter().map(|statement| (statement.partner.clone(), of_statement(statement)));
    Answer { partners: partners.collect(), unmatched: ids(&evaluation.unmatched) }
}

fn of_statement(statement: &Statement) -> PartnerAnswer {
    let mut lines: Vec<LineAnswer> = statement.lines.iter().map(of_line).collect();
    lines.sort();
    PartnerAnswer {
        tier: statement.tier,
        platinum_since: statement.progress.platinum.since,
        suspended: statement.suspended,
        terms: statement.terms.clone(),
        totals: statement.totals,
        lines,
        unmatched: ids(&statement.unmatched),
        referrals: statement.referrals.iter().map(|state| (state.referral.clone(), of_referral(state))).collect(),
    }
}

fn ids(unmatched: &[Unmatched]) -> BTreeSet<String> {
    unmatched.iter().map(|fact| fact.id.clone()).collect()
}

fn of_line(line: &Line) -> LineAnswer {
    LineAnswer {
        earned_at: line.earned_at,
        kind: line.kind,
        referral: line.referral.clone(),
        invoice: line.invoice.clone(),
        amount_minor: line.amount_minor,
        basis_minor: line.basis_minor,
        rate: line.rate.as_deref().map(decimal),
        rule: line.rule.clone(),
        // The rules say of no terms version that it prices an adjustment.
        terms: (line.kind != LineKind::Adjustment).then(|| line.terms.clone()),
        tenure_month: line.tenure_month,
        status: line.status,
        reason: line.reason.map(commission::Reason::as_str),
        vests_at: line.vests_at,
    }
}

#[expect(clippy::panic, reason = "A rate that is no number fails the test.")]
fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|error| panic!("`{text}` is no rate: {error}"))
}

fn of_referral(state: &ReferralState) -> ReferralAnswer {
    ReferralAnswer {
        flags: state.flags.clone(),
        decision: state.decision,
        under_review: state.under_review,
        first_payment_at: state.first_payment_at,
        clock: state.clock,
        turns_recurring_at: state.turns_recurring_at,
        eligible: state.eligible,
        terms: state.terms.clone(),
    }
}

/// Where two answers differ, one difference a line; empty where they agree.
pub(crate) fn difference(rules: &Result<Answer, String>, engine: &Result<Answer, String>) -> String {
    let mut out = String::new();
    match (rules, engine) {
        (Err(_), Err(_)) => {}
        (Ok(rules), Ok(engine)) => answers(&mut out, rules, engine),
        (rules, engine) => value(&mut out, "refused", &rules.as_ref().err(), &engine.as_ref().err()),
    }
    out
}

fn answers(out: &mut String, rules: &Answer, engine: &Answer) {
    value(out, "unmatched beside", &rules.unmatched, &engine.unmatched);
    let codes: BTreeSet<&String> = rules.partners.keys().chain(engine.partners.keys()).collect();
    for code in codes {
        match (rules.partners.get(code), engine.partners.get(code)) {
            (Some(rules), Some(engine)) => partners(out, code, rules, engine),
            (rules, engine) => value(out, &format!("{code} is a partner"), &rules.is_some(), &engine.is_some()),
        }
    }
}

fn partners(out: &mut String, code: &str, rules: &PartnerAnswer, engine: &PartnerAnswer) {
    value(out, &format!("{code} tier"), &rules.tier, &engine.tier);
    value(out, &format!("{code} platinum since"), &rules.platinum_since, &engine.platinum_since);
    value(out, &format!("{code} suspended"), &rules.suspended, &engine.suspended);
    value(out, &format!("{code} terms"), &rules.terms, &engine.terms);
    value(out, &format!("{code} unmatched"), &rules.unmatched, &engine.unmatched);
    let referrals: BTreeSet<&String> = rules.referrals.keys().chain(engine.referrals.keys()).collect();
    for referral in referrals {
        let name = format!("{code} referral {referral}");
        value(out, &name, &rules.referrals.get(referral), &engine.referrals.get(referral));
    }
    lines(out, code, "only the rules give", &rules.lines, &engine.lines);
    lines(out, code, "only the engine gives", &engine.lines, &rules.lines);
    value(out, &format!("{code} totals"), &rules.totals, &engine.totals);
}

/// The lines of one side that the other has not, or has fewer times.
#[expect(clippy::unwrap_used, reason = "Writing to a string cannot fail.")]
fn lines(out: &mut String, code: &str, what: &str, these: &[LineAnswer], others: &[LineAnswer]) {
    let mut others = others.to_vec();
    for line in these {
        match others.iter().position(|other| other == line) {
            Some(index) => drop(others.swap_remove(index)),
            None => writeln!(out, "{code} {what}: {line:?}").unwrap(),
        }
    }
}

#[expect(clippy::unwrap_used, reason = "Writing to a string cannot fail.")]
fn value<T: PartialEq + Debug>(out: &mut String, what: &str, rules: &T, engine: &T) {
    if rules != engine {
        writeln!(out, "{what}:\n    rules:  {rules:?}\n    engine: {engine:?}").unwrap();
    }
}
