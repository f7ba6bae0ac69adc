//! A receipt beside what the engine of this computer makes of the facts that it carries. Pure.

use std::collections::{BTreeMap, BTreeSet};

use commission::digest::line_digest;
use commission::{EvaluateError, Line, Program, RULES_VERSION, Statement, Totals, format_minor};
use documents::receipt::Receipt;
use serde::Serialize;

use super::reading::Told;
use crate::statements::page::format_total;

/// What was computed, and in what it differs from the receipt.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    /// The digest of the statement, as it is computed here.
    pub(crate) digest: String,
    /// The amount that is due, as it is computed here.
    pub(crate) amount_minor: i64,
    /// Facts that it was computed from.
    pub(crate) facts: usize,
    /// What earlier runs had posted, in minor units.
    pub(crate) posted_minor: i128,
    /// What had been paid before and did not come back, in minor units.
    pub(crate) paid_minor: i64,
    /// In what the receipt differs. It is verified when this is empty.
    pub(crate) differences: Vec<Differs>,
}

/// One thing of which the receipt says something else than this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Differs {
    /// What it is about.
    pub(crate) what: String,
    /// What the receipt says.
    pub(crate) said: String,
    /// What this computer computes.
    pub(crate) computed: String,
}

/// Why nothing can be compared. Each completes a sentence that begins with the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Incomparable {
    #[error("was computed by other rules ({0}) than this program has ({RULES_VERSION}); use the version that made it")]
    OtherRules(String),
    #[error("carries facts that nothing can be computed from: {0}")]
    NotComputed(#[from] EvaluateError),
    #[error("carries no fact by which `{0}` joined the program, so there is no statement to compare")]
    NoAgency(String),
}

impl Differs {
    fn new(what: impl Into<String>, said: impl Into<String>, computed: impl Into<String>) -> Differs {
        Differs { what: what.into(), said: said.into(), computed: computed.into() }
    }
}

/// Computes the statement of a receipt and what its payout follows from it, and compares all of it.
pub(crate) fn check(told: &Told) -> Result<Checked, Incomparable> {
    let Told { receipt, sources } = told;
    let detail = &receipt.detail;
    if receipt.rules != RULES_VERSION {
        return Err(Incomparable::OtherRules(receipt.rules.clone()));
    }
    let partner = detail.partner.code.as_str();
    let program = Program::new(&sources.facts, &sources.terms, detail.as_of)?;
    let position = program.position(partner).ok_or_else(|| Incomparable::NoAgency(partner.to_owned()))?;
    let statement = program.statement(position)?;
    let paid_minor = partner::paid_ever(&sources.facts).get(partner).copied().unwrap_or(0);
    let amount_minor = statement.totals.vested.saturating_sub(paid_minor);

    let mut differences = Vec::new();
    let mut compare = |what: &str, said: &str, computed: &str| {
        if said != computed {
            differences.push(Differs::new(what, said, computed));
        }
    };
    compare("Amount", &format_minor(detail.payout.amount_minor), &format_minor(amount_minor));
    let [totals, computed] = [detail.totals, statement.totals].map(named);
    for ((name, said), (_, computed)) in totals.into_iter().zip(computed) {
        compare(&format!("All {name}"), &format_minor(said), &format_minor(computed));
    }
    let sum: i128 = detail.lines.iter().map(|line| i128::from(line.amount_minor)).sum();
    let parts = sum + i128::from(detail.carried_minor);
    compare("Carried and lines", &format_total(parts), &format_minor(detail.payout.amount_minor));
    differences.extend(lines(receipt, &statement, &sources.posted));
    if detail.payout.digest != statement.digest {
        differences.push(Differs::new("Statement digest", &detail.payout.digest, &statement.digest));
    }
    Ok(Checked {
        digest: statement.digest,
        amount_minor,
        facts: sources.facts.len(),
        posted_minor: sources.posted.values().map(|minor| i128::from(*minor)).sum(),
        paid_minor,
        differences,
    })
}

fn named(totals: Totals) -> [(&'static str, i64); 8] {
    let Totals { pending, vested, held, forfeited, void, paid, balance, payable } = totals;
    [
        ("vested", vested),
        ("pending", pending),
        ("held", held),
        ("forfeited", forfeited),
        ("void", void),
        ("paid", paid),
        ("balance", balance),
        ("payable", payable),
    ]
}

/// The lines of a receipt are those of which another amount has vested than was posted before, each with the difference.
fn lines(receipt: &Receipt, statement: &Statement, posted: &BTreeMap<String, i64>) -> Vec<Differs> {
    let now: BTreeMap<&str, &Line> = statement.lines.iter().map(|line| (line.id.as_str(), line)).collect();
    let mut said: BTreeMap<&str, &Line> = BTreeMap::new();
    let mut differences = Vec::new();
    for line in &receipt.detail.lines {
        if said.insert(&line.id, line).is_some() {
            differences.push(Differs::new(&line.id, "two lines", "one line at most"));
        }
    }
    let ids: BTreeSet<&str> = now.keys().chain(said.keys()).copied().chain(posted.keys().map(String::as_str)).collect();
    for id in ids {
        let line = now.get(id).copied();
        let before = posted.get(id).copied().unwrap_or(0);
        let vested = line.filter(|line| line.status == commission::LineStatus::Vested);
        let by = i128::from(vested.map_or(0, |line| line.amount_minor)) - i128::from(before);
        differences.extend(one_line(id, said.get(id).copied(), line, by));
    }
    differences
}

/// A line of the receipt beside the line of the statement, of which `by` more has vested than was posted.
fn one_line(id: &str, said: Option<&Line>, line: Option<&Line>, by: i128) -> Option<Differs> {
    let Some(said) = said else {
        return (by != 0).then(|| Differs::new(id, "no such line", sentence(by, line)));
    };
    if by != i128::from(said.amount_minor) || by == 0 {
        let computed = if by == 0 { "no such line".to_owned() } else { sentence(by, line) };
        return Some(Differs::new(id, sentence(said.amount_minor.into(), Some(said)), computed));
    }
    // A line that is not in the statement any more is taken back as it was; its amount is all that can be computed.
    let line = line?;
    let expected = Line { amount_minor: said.amount_minor, ..line.clone() };
    if line_digest(&expected) == line_digest(said) {
        return None;
    }
    let [was, is] = [said, &expected].map(figures);
    let differing = was.into_iter().zip(is).filter(|(was, is)| was != is);
    let (was, is): (Vec<String>, Vec<String>) = differing.unzip();
    Some(Differs::new(id, was.join(", "), is.join(", ")))
}

/// A line in a few words, with the amount that counts of it.
fn sentence(by: i128, line: Option<&Line>) -> String {
    let Some(line) = line else { return format!("{}, not in the statement any more", format_total(by)) };
    let share = line.rate.as_ref().map(|rate| format!(", {rate} of {}", format_minor(line.basis_minor)));
    let month = line.tenure_month.map(|month| format!(", month {month}")).unwrap_or_default();
    format!("{}{}{month}, {}", format_total(by), share.unwrap_or_default(), line.status.as_str())
}

/// Everything that a line's digest holds but its id and its amount.
fn figures(line: &Line) -> [String; 12] {
    let text = |name: &str, value: Option<&str>| format!("{name} {}", value.unwrap_or("none"));
    let time = |name: &str, at: Option<chrono::DateTime<chrono::Utc>>| {
        format!("{name} {}", at.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339()))
    };
    [
        text("kind", Some(line.kind.as_str())),
        text("client", line.referral.as_deref()),
        text("invoice", line.invoice.as_deref()),
        format!("of {}", format_minor(line.basis_minor)),
        text("rate", line.rate.as_deref()),
        text("rule", Some(&line.rule)),
        text("terms", Some(&line.terms)),
        format!("month {:?}", line.tenure_month),
        text("reason", line.reason.map(commission::Reason::as_str)),
        text("status", Some(line.status.as_str())),
        time("earned", Some(line.earned_at)),
        time("vests", line.vests_at),
    ]
}
