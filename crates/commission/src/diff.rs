//! What differs between two evaluations, line by line, and why.
//!
//! The comparison goes from the earlier evaluation to the later one in three steps: the other terms, then the facts that
//! the earlier one did not have although they had happened (and those that are gone), then the time between. Each step
//! is evaluated, so what a step changed is known and not guessed, and the amounts of the causes add up.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::calendar::Day;
use crate::cause::{Because, Happenings, is_decision, only_vested};
use crate::digest::{hash_drafts, line_hash, lines_digest_of};
use crate::effects::Effect;
use crate::evaluate::{Account, EvaluateError, Program};
use crate::fact::{Fact, FactBody};
use crate::line::Draft;
use crate::money::format_minor;
use crate::statement::{Line, LineKind, LineStatus, Summary};
use crate::terms::TermsBook;

/// Everything that an evaluation is made from. Two evaluations of one journal at two cuts have the facts up to each cut,
/// as two slices of one list; two journals may be anything.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The facts, in any order.
    pub facts: &'a [Fact],
    /// The terms.
    pub terms: &'a TermsBook,
    /// Only facts before this instant count.
    pub as_of: DateTime<Utc>,
}

/// Why two evaluations cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// One of them cannot be made.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// The earlier one is the later one.
    #[error("the earlier statement is as of {before}, which is after {after}; exchange them")]
    Backwards {
        /// The instant of the earlier one.
        before: DateTime<Utc>,
        /// The instant of the later one.
        after: DateTime<Utc>,
    },
}

/// What differs in one partner's statement. Opening + earned − reversed = closing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatementDiff {
    /// The partner's code.
    pub partner: String,
    /// The earlier statement; absent when the partner had not joined.
    pub before: Option<Summary>,
    /// The later statement; absent when the partner's facts are gone.
    pub after: Option<Summary>,
    /// The vested lines before, in minor units.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub opening_minor: i64,
    /// What vested since: the sum of the differences of vested amounts that are above zero.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub earned_minor: i64,
    /// What was taken back since: the sum of those below zero, without its sign.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub reversed_minor: i64,
    /// The vested lines after.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub closing_minor: i64,
    /// The digest of all lines before, see [`crate::digest`].
    pub lines_digest_before: String,
    /// That of all lines after.
    pub lines_digest_after: String,
    /// In the order of the later statement, lines that are gone where they were.
    pub differences: Vec<Difference>,
}

/// What differs in one line. Displayed, it is the sentence of `why`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// What became of the line.
    pub change: Change,
    /// The line before; absent when it is new.
    pub before: Option<Line>,
    /// The line after; absent when it is gone.
    pub after: Option<Line>,
    /// By how much its amount differs, whatever its status, in minor units.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub amount_minor: i64,
    /// By how much its vested amount differs: what the books get.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub vested_minor: i64,
    /// What led to it, in the order of the comparison; their amounts add up.
    pub causes: Vec<Cause>,
    /// The whole of it in a sentence.
    pub why: String,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Change {
    /// It was not there before.
    New,
    /// Its amount, its status, its vesting or another figure is another.
    Changed,
    /// It is not there any more.
    Gone,
}

impl Change {
    /// The name of the change in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

/// One of the steps that led from a line before to the line after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cause {
    /// What it was.
    pub because: Because,
    /// What it did to the amount, in minor units.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub amount_minor: i64,
    /// What it did to the vested amount, in minor units.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub vested_minor: i64,
}

impl Difference {
    /// The line as it is, or as it was.
    pub fn line(&self) -> Option<&Line> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// The steps from the earlier evaluation to the later one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Terms,
    Facts,
    Time,
}

/// Two evaluations side by side, matched once, from which each partner's differences are made. Partners do not depend
/// on each other, so threads may share one.
pub struct Comparison<'a> {
    /// The earlier evaluation, and after each step another one; steps that change nothing are left out.
    programs: Vec<Program<'a>>,
    steps: Vec<Step>,
    late: Happenings<'a>,
    meanwhile: Happenings<'a>,
}

impl<'a> Comparison<'a> {
    /// Matches both sides; the work that grows with the whole journal.
    ///
    /// # Errors
    /// A side cannot be evaluated, or the earlier one has the later instant.
    pub fn new(before: Side<'a>, after: Side<'a>) -> Result<Self, CompareError> {
        if before.as_of > after.as_of {
            return Err(CompareError::Backwards { before: before.as_of, after: after.as_of });
        }
        let arrived = missing(after.facts, before.facts, before.as_of);
        let gone = missing(before.facts, after.facts, before.as_of);
        let is_of = |list: &HashMap<&str, &Fact>, fact: &Fact| list.get(fact.id.as_str()).is_some_and(|f| *f == fact);
        let mut steps = Vec::new();
        let (first, mut went) =
            Program::with_effects(before.facts, before.terms, before.as_of, |fact| is_of(&gone, fact))?;
        let mut programs = vec![first];
        if before.terms != after.terms {
            programs.push(Program::new(before.facts, after.terms, before.as_of)?);
            steps.push(Step::Terms);
        }
        let (mut late, mut meanwhile) = (Happenings::default(), Happenings::default());
        if !(arrived.is_empty() && gone.is_empty()) {
            let (next, mut came) =
                Program::with_effects(after.facts, after.terms, before.as_of, |fact| is_of(&arrived, fact))?;
            if let Some(last) = programs.last() {
                add_other_owners(&mut came, last);
            }
            add_other_owners(&mut went, &next);
            late.add(&came, after.facts, false);
            late.add(&went, before.facts, true);
            programs.push(next);
            steps.push(Step::Facts);
        }
        if before.as_of != after.as_of {
            let since = before.as_of;
            let (next, mut came) =
                Program::with_effects(after.facts, after.terms, after.as_of, |fact| fact.at >= since)?;
            if let Some(last) = programs.last() {
                add_other_owners(&mut came, last);
            }
            meanwhile.add(&came, after.facts, false);
            programs.push(next);
            steps.push(Step::Time);
        }
        Ok(Self { programs, steps, late, meanwhile })
    }

    /// The later evaluation.
    pub fn later(&self) -> &Program<'a> {
        // There is one evaluation more than there are steps.
        &self.programs[self.steps.len()]
    }

    /// Whoever has a statement on either side, by code.
    pub fn partners(&self) -> Vec<&'a str> {
        let (first, last) = (self.programs.first(), self.programs.last());
        let codes = [first, last].into_iter().flatten();
        let mut partners: Vec<&str> =
            codes.flat_map(|program| (0..program.len()).filter_map(|index| program.partner(index))).collect();
        partners.sort_unstable();
        partners.dedup();
        partners
    }

    /// What differs for a partner. For one that nobody knows, nothing does.
    ///
    /// # Errors
    /// An amount or a sum does not fit 64 bits.
    pub fn of(&self, partner: &str) -> Result<StatementDiff, EvaluateError> {
        self.compare(partner, None)
    }

    /// The same against lines that were stored, which are what counts before, whatever is computed for that instant now.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_stored(&self, partner: &str, lines: &[Line]) -> Result<StatementDiff, EvaluateError> {
        self.compare(partner, Some(lines))
    }

    fn compare(&self, partner: &str, stored: Option<&[Line]>) -> Result<StatementDiff, EvaluateError> {
        let accounts: Vec<Option<Account>> = self
            .programs
            .iter()
            .map(|program| program.position(partner).map(|position| program.account(position)))
            .collect();
        let mut stages = Vec::with_capacity(accounts.len() + 1);
        stages.extend(stored.map(|lines| Stage { lines: Lines::Stored(lines), summary: None }));
        for account in &accounts {
            stages.push(match account {
                None => Stage { lines: Lines::Stored(&[]), summary: None },
                Some(account) => {
                    let (drafts, _) = account.drafts()?;
                    Stage { summary: Some(account.summary(&drafts)?), lines: Lines::Drafts(drafts) }
                }
            });
        }
        let steps = stored.map(|_| Step::Terms).into_iter().chain(self.steps.iter().copied()).collect::<Vec<_>>();
        let indexes: Vec<Index> = stages.iter().map(|stage| stage.lines.index()).collect();
        let (Some(first), Some(last)) = (indexes.first(), indexes.last()) else {
            return Err(EvaluateError::TooLarge { what: "the comparison".to_owned() });
        };
        let mut differing: Vec<&str> = Vec::new();
        differing.extend(last.of.iter().filter(|(id, entry)| !first.has(id, entry)).map(|(id, _)| id.as_str()));
        differing.extend(first.of.keys().filter(|id| !last.of.contains_key(*id)).map(String::as_str));
        let at = |stage: usize, id: &str| indexes[stage].of.get(id).map(|(at, _)| stages[stage].lines.write_out(*at));
        let mut differences = Vec::with_capacity(differing.len());
        for id in differing {
            let mut causes = Vec::new();
            for (step, kind) in steps.iter().enumerate() {
                if indexes[step].of.get(id).map(|e| e.1) != indexes[step + 1].of.get(id).map(|e| e.1) {
                    let (from, to) = (at(step, id), at(step + 1, id));
                    causes.push(self.cause(*kind, partner, from.as_ref(), to.as_ref())?);
                }
            }
            differences.push(difference(at(0, id), at(stages.len() - 1, id), causes)?);
        }
        differences.sort_by(|a, b| place(a).cmp(&place(b)));
        let lines_digest = |index: &Index| lines_digest_of(index.in_order().iter());
        let (lines_digest_before, lines_digest_after) = (lines_digest(first), lines_digest(last));
        let opening_minor = vested_sum(partner, &stages[0].lines)?;
        let closing_minor = vested_sum(partner, &stages[stages.len() - 1].lines)?;
        let sum = |part: fn(i128) -> i128| {
            let parts = differences.iter().map(|difference| part(difference.vested_minor.into()));
            fit(parts.sum(), || format!("what changed for partner `{partner}`"))
        };
        Ok(StatementDiff {
            partner: partner.to_owned(),
            opening_minor,
            earned_minor: sum(|minor| minor.max(0))?,
            reversed_minor: sum(|minor| (-minor).max(0))?,
            closing_minor,
            lines_digest_before,
            lines_digest_after,
            before: stages.first().and_then(|stage| stage.summary.clone()),
            after: stages.pop().and_then(|stage| stage.summary),
            differences,
        })
    }

    fn cause(&self, step: Step, partner: &str, from: Option<&Line>, to: Option<&Line>) -> Result<Cause, EvaluateError> {
        let because = match step {
            Step::Terms => Because::Terms,
            Step::Facts => match self.late.behind(partner, from, to) {
                [facts, gone] if facts.is_empty() => Because::Withdrawn { facts: gone },
                [facts, instead_of] => Because::ArrivedLate { facts, instead_of },
            },
            Step::Time if only_vested(from, to) => Because::TimePassed,
            Step::Time => {
                let [facts, _] = self.meanwhile.behind(partner, from, to);
                match facts.iter().any(|fact| is_decision(&fact.fact_type)) {
                    true => Because::Decided { facts },
                    false => Because::Happened { facts },
                }
            }
        };
        let (amount_minor, vested_minor) = by_how_much(from, to)?;
        Ok(Cause { because, amount_minor, vested_minor })
    }
}

/// A correction of a credit matters to the partner that loses the referral too.
fn add_other_owners<'a>(effects: &mut Vec<Effect<'a>>, other: &Program<'a>) {
    let owner = |referral: &str| {
        let matched = other.matched();
        let index = matched.referrals.iter().position(|known| known.id == referral)?;
        matched.partners.iter().find(|partner| partner.referrals.contains(&index)).map(|partner| partner.id)
    };
    let moved = effects.iter().filter(|effect| matches!(effect.fact.body, FactBody::ReferralMoved { .. }));
    let others = moved.filter_map(|effect| {
        let partner = owner(effect.referral?).filter(|partner| *partner != effect.partner)?;
        Some(Effect { partner, ..*effect })
    });
    let others: Vec<Effect> = others.collect();
    effects.extend(others);
}

/// The facts before an instant that another journal does not have, by id.
fn missing<'a>(of: &'a [Fact], from: &[Fact], before: DateTime<Utc>) -> HashMap<&'a str, &'a Fact> {
    // What both begin with is mostly all of one of them.
    let same = of.iter().zip(from).take_while(|(a, b)| std::ptr::eq(*a, *b) || a == b).count();
    let rest = of[same..].iter().filter(|fact| fact.at < before);
    let mut missing: HashMap<&str, &Fact> = rest.map(|fact| (fact.id.as_str(), fact)).collect();
    if !missing.is_empty() {
        for fact in from {
            if missing.get(fact.id.as_str()).is_some_and(|other| *other == fact) {
                missing.remove(fact.id.as_str());
            }
        }
    }
    missing
}

/// The lines of a partner at one point of the comparison.
struct Stage<'a> {
    lines: Lines<'a>,
    summary: Option<Summary>,
}

/// Lines that were computed, which are written out only where they differ, or lines that were stored.
enum Lines<'a> {
    Drafts(Vec<Draft<'a>>),
    Stored(&'a [Line]),
}

/// Where each line is, by id, and its digest.
struct Index {
    of: HashMap<String, (usize, [u8; 32])>,
}

impl Index {
    fn has(&self, id: &str, entry: &(usize, [u8; 32])) -> bool {
        self.of.get(id).is_some_and(|mine| mine.1 == entry.1)
    }

    fn in_order(&self) -> Vec<[u8; 32]> {
        let mut entries: Vec<(usize, [u8; 32])> = self.of.values().copied().collect();
        entries.sort_unstable_by_key(|(at, _)| *at);
        entries.into_iter().map(|(_, hash)| hash).collect()
    }
}

impl Lines<'_> {
    fn index(&self) -> Index {
        let mut of = HashMap::new();
        match self {
            Self::Drafts(drafts) => {
                of.reserve(drafts.len());
                hash_drafts(drafts, |id, hash| {
                    of.insert(id.to_owned(), (of.len(), hash));
                });
            }
            Self::Stored(lines) => {
                of.extend(lines.iter().enumerate().map(|(at, line)| (line.id.clone(), (at, line_hash(line)))));
            }
        }
        Index { of }
    }

    fn write_out(&self, at: usize) -> Line {
        match self {
            Self::Drafts(drafts) => drafts[at].write_out(),
            Self::Stored(lines) => lines[at].clone(),
        }
    }

    fn amounts(&self) -> Vec<(LineStatus, i64)> {
        match self {
            Self::Drafts(drafts) => drafts.iter().map(|draft| (draft.fate.status, draft.amount_minor)).collect(),
            Self::Stored(lines) => lines.iter().map(|line| (line.status, line.amount_minor)).collect(),
        }
    }
}

fn fit(sum: i128, what: impl FnOnce() -> String) -> Result<i64, EvaluateError> {
    i64::try_from(sum).map_err(|_| EvaluateError::TooLarge { what: what() })
}

fn vested_sum(partner: &str, lines: &Lines) -> Result<i64, EvaluateError> {
    let amounts = lines.amounts();
    let vested = amounts.iter().filter(|(status, _)| *status == LineStatus::Vested);
    fit(vested.map(|(_, minor)| i128::from(*minor)).sum(), || format!("`vested` of partner `{partner}`"))
}

/// By how much the amount and the vested amount of a line differ.
fn by_how_much(from: Option<&Line>, to: Option<&Line>) -> Result<(i64, i64), EvaluateError> {
    let what = || format!("the difference of line `{}`", to.or(from).map(|line| line.id.as_str()).unwrap_or_default());
    let amount = |line: Option<&Line>| line.map_or(0, |line| i128::from(line.amount_minor));
    let vested = |line: Option<&Line>| amount(line.filter(|line| line.status == LineStatus::Vested));
    Ok((fit(amount(to) - amount(from), what)?, fit(vested(to) - vested(from), what)?))
}

/// Where a difference stands in a list.
fn place(difference: &Difference) -> Option<(DateTime<Utc>, LineKind, &str)> {
    difference.line().map(|line| (line.earned_at, line.kind, line.id.as_str()))
}

fn difference(before: Option<Line>, after: Option<Line>, causes: Vec<Cause>) -> Result<Difference, EvaluateError> {
    let (amount_minor, vested_minor) = by_how_much(before.as_ref(), after.as_ref())?;
    let change = match (&before, &after) {
        (None, _) => Change::New,
        (Some(_), Some(_)) => Change::Changed,
        (Some(_), None) => Change::Gone,
    };
    let mut difference = Difference { change, before, after, amount_minor, vested_minor, causes, why: String::new() };
    difference.why = difference.to_string();
    Ok(difference)
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let ordinary = |cause: &Cause| matches!(cause.because, Because::Decided { .. } | Because::Happened { .. });
        match (&self.before, &self.after) {
            // A line says itself what earned it or took it back.
            (None, Some(after)) if self.causes.iter().all(ordinary) => out.write_str(&after.why),
            (None, Some(after)) => write!(out, "{}: {}", Causes(&self.causes), after.why),
            // So does one that only time has changed.
            (Some(_), Some(after)) if self.causes.iter().all(|cause| cause.because == Because::TimePassed) => {
                write!(out, "Vested since: {}", after.why)
            }
            (Some(before), Some(after)) => {
                write!(out, "{}: {} {}", Causes(&self.causes), About(after), Became(before, after))
            }
            (Some(before), None) => {
                let amount = format_minor(before.amount_minor);
                write!(out, "{}: {} of {amount} is taken off the statement", Causes(&self.causes), About(before))?;
                let vested = before.status == LineStatus::Vested;
                if vested { out.write_str(".") } else { write!(out, "; it was {}.", before.status.as_str()) }
            }
            (None, None) => Ok(()),
        }
    }
}

/// The beginning of a sentence out of causes.
struct Causes<'a>(&'a [Cause]);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let clauses: Vec<String> = self.0.iter().map(|cause| cause.because.to_string()).collect();
        let text = clauses.join(", and ");
        let mut chars = text.chars();
        let first = chars.next().map(|first| first.to_ascii_uppercase());
        write!(out, "{}{}", first.map(String::from).unwrap_or_default(), chars.as_str())
    }
}

/// What a line is about, in the middle of a sentence.
struct About<'a>(&'a Line);

impl fmt::Display for About<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let line = self.0;
        out.write_str(match line.kind {
            LineKind::FirstYear => "first-year commission",
            LineKind::Recurring => "recurring commission",
            LineKind::VolumeBonus => "volume bonus",
            LineKind::HighValueBonus => "high-value bonus",
            LineKind::Reversal => "reversal",
            LineKind::Adjustment => "adjustment",
        })?;
        if let (Some(invoice), Some(client)) = (&line.invoice, &line.referral) {
            write!(out, " on invoice {invoice} of client {client}")?;
        }
        write!(out, " ({})", Day(line.earned_at))
    }
}

/// What a line was and what it is now.
struct Became<'a>(&'a Line, &'a Line);

impl fmt::Display for Became<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Self(before, after) = self;
        let (was, is) = (format_minor(before.amount_minor), format_minor(after.amount_minor));
        if was == is {
            write!(out, "is {is} as before")?;
        } else {
            write!(out, "is {is} instead of {was}")?;
        }
        let (status, vests_at) = (after.status.as_str(), after.vests_at);
        if before.status != after.status {
            write!(out, ", and {status} instead of {}", before.status.as_str())?;
        }
        match (before.vests_at, vests_at) {
            (Some(was), Some(is)) if was != is => write!(out, "; it vests on {} instead of {}", Day(is), Day(was))?,
            _ => {}
        }
        let figures = |line: &Line| (line.rate.clone(), line.rule.clone(), line.terms.clone(), line.basis_minor);
        if was == is && before.status == after.status && figures(before) != figures(after) {
            out.write_str("; how it is reckoned changed")?;
        }
        out.write_str(".")
    }
}
