//! Golden scenarios: `tests/golden/*.txt`, an input, a line `----`, and the whole ledger that the engine makes of it.
//!
//! `UPDATE=1 cargo test -p commission --test golden` rewrites the ledgers. It never touches the `expect` lines, which
//! were worked out by hand from docs/rules.md and must hold either way.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

mod scenario;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use commission::{
    Evaluation, Excess, Fact, Line, LineKind, Program, Progress, ReferralState, Statement, Summary, Tier, Unmatched,
    evaluate, facts_by_partner, format_minor, set_digest_of_summaries,
};
use scenario::Scenario;

const SEPARATOR: &str = "----\n";

#[test]
fn every_scenario_gives_its_ledger() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 60, "only {} scenarios in {}", paths.len(), folder.display());
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = String::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let (input, golden) = text.split_once(SEPARATOR).unwrap_or((&text, ""));
        let name = path.file_name().unwrap().to_string_lossy();
        match run(input) {
            Err(error) => writeln!(failures, "{name}: {error}").unwrap(),
            Ok(ledger) if update => {
                let input = format!("{}\n\n", input.trim_end());
                std::fs::write(&path, format!("{input}{SEPARATOR}{ledger}")).unwrap();
            }
            Ok(ledger) if ledger != golden => {
                let differs = ledger.lines().zip(golden.lines()).find(|(now, then)| now != then);
                let (now, then) = differs.unwrap_or(("a ledger of another length", "the golden one"));
                writeln!(failures, "{name}: the ledger differs, first in\n  now:  {now}\n  then: {then}").unwrap();
            }
            Ok(_) => {}
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

fn run(input: &str) -> Result<String, String> {
    let scenario = scenario::parse(input)?;
    let evaluation = evaluate(&scenario.facts, &scenario.terms, scenario.as_of).map_err(|error| error.to_string())?;
    if scenario.expectations.is_empty() {
        return Err("no `expect` line".to_owned());
    }
    for expectation in &scenario.expectations {
        let (subject, expected) = expectation.rsplit_once(' ').ok_or("an `expect` line needs a value")?;
        let found = look_up(&evaluation, subject).ok_or_else(|| format!("nothing is called `{subject}`"))?;
        if found != expected {
            return Err(format!("expected {subject} {expected}, found {found}"));
        }
    }
    let program = Program::new(&scenario.facts, &scenario.terms, scenario.as_of).map_err(|error| error.to_string())?;
    assert_one_at_a_time(&program, &evaluation);
    assert_own_facts_are_enough(&scenario, &evaluation);
    Ok(ledger(&scenario, &evaluation, &program))
}

/// A partner's own facts alone give it the same statement.
fn assert_own_facts_are_enough(scenario: &Scenario, evaluation: &Evaluation) {
    let lists = facts_by_partner(&scenario.facts, scenario.as_of).unwrap();
    assert_eq!(lists.len(), evaluation.statements.len());
    for statement in &evaluation.statements {
        let own: Vec<Fact> = lists[statement.partner.as_str()].iter().map(|fact| (*fact).clone()).collect();
        let alone = evaluate(&own, &scenario.terms, scenario.as_of).unwrap();
        assert!(alone.statements.contains(statement), "{} differs alone", statement.partner);
    }
}

/// What is said of one partner at a time, with lines or without, is what is said of all at once.
fn assert_one_at_a_time(program: &Program, evaluation: &Evaluation) {
    let summaries: Vec<Summary> = (0..program.len()).map(|index| program.summary(index).unwrap()).collect();
    assert_eq!(program.is_empty(), evaluation.statements.is_empty());
    assert_eq!(summaries.len(), evaluation.statements.len());
    for (index, (statement, summary)) in evaluation.statements.iter().zip(&summaries).enumerate() {
        assert_eq!(program.partner(index), Some(statement.partner.as_str()));
        assert_eq!(program.position(&statement.partner), Some(index));
        assert_eq!(&program.statement(index).unwrap(), statement);
        let mut without_lines = serde_json::to_value(statement).unwrap();
        without_lines.as_object_mut().unwrap().remove("lines");
        assert_eq!(serde_json::to_value(summary).unwrap(), without_lines);
    }
    assert_eq!((program.partner(program.len()), program.position("nobody")), (None, None));
    assert_eq!(program.unmatched(), evaluation.unmatched);
    assert_eq!(set_digest_of_summaries(&summaries).as_deref(), Some(evaluation.digest.as_str()));
}

/// What an `expect` line asks about, in the same words as it is written.
fn look_up(evaluation: &Evaluation, subject: &str) -> Option<String> {
    let words: Vec<&str> = subject.split(' ').collect();
    if subject == "unmatched" {
        return Some(evaluation.unmatched.len().to_string());
    }
    if let Some(statement) = evaluation.statements.iter().find(|statement| statement.partner == words[0]) {
        return about_partner(statement, &words[1..]);
    }
    let statements = || evaluation.statements.iter();
    if let Some(referral) = statements().flat_map(|statement| &statement.referrals).find(|r| r.referral == words[0]) {
        return about_referral(referral, &words[1..]);
    }
    let line = statements().flat_map(|statement| &statement.lines).find(|line| line.id == words[0])?;
    about_line(line, &words[1..])
}

fn about_partner(statement: &Statement, words: &[&str]) -> Option<String> {
    let totals = &statement.totals;
    let of_kind = |kind: &str| {
        let kind = kind.to_owned();
        statement.lines.iter().filter(move |line| line.kind.as_str() == kind || line.rule == kind)
    };
    let money = match *words {
        ["pending"] => totals.pending,
        ["vested"] => totals.vested,
        ["held"] => totals.held,
        ["forfeited"] => totals.forfeited,
        ["void"] => totals.void,
        ["paid"] => totals.paid,
        ["balance"] => totals.balance,
        ["payable"] => totals.payable,
        ["sum", kind] => of_kind(kind).map(|line| line.amount_minor).sum(),
        ["worth"] => statement.progress.volume.worth_minor_per_month,
        ["platinum_worth"] => statement.progress.platinum.worth_minor_per_month,
        ["arr"] => statement.progress.platinum.arr_minor,
        ["tier"] => return Some(if statement.tier == Tier::Platinum { "platinum" } else { "standard" }.to_owned()),
        ["lines"] => return Some(statement.lines.len().to_string()),
        ["unmatched"] => return Some(statement.unmatched.len().to_string()),
        ["count", kind] => return Some(of_kind(kind).count().to_string()),
        ["qualifying"] => return Some(statement.progress.platinum.referrals.to_string()),
        ["qualified"] => return Some(statement.progress.volume.qualified.to_string()),
        ["platinum_since"] => return Some(day(statement.progress.platinum.since)),
        ["reached"] => return Some(day(statement.progress.volume.reached_at)),
        _ => return None,
    };
    Some(format_minor(money))
}

fn about_referral(referral: &ReferralState, words: &[&str]) -> Option<String> {
    Some(match *words {
        ["earned"] => format_minor(referral.earned_minor),
        ["annual"] => format_minor(referral.annual_price_minor),
        ["status"] => name(&referral.status),
        ["eligible"] => referral.eligible.to_string(),
        ["review"] => referral.under_review.to_string(),
        ["flags"] if referral.flags.is_empty() => "none".to_owned(),
        ["flags"] => referral.flags.iter().map(name).collect::<Vec<_>>().join(","),
        ["turn"] => day(referral.turns_recurring_at),
        ["vests"] => day(referral.streak_vests_at),
        ["month"] => referral.tenure_month.map_or_else(|| "none".to_owned(), |month| month.to_string()),
        ["terms"] => referral.terms.clone(),
        _ => return None,
    })
}

fn about_line(line: &Line, words: &[&str]) -> Option<String> {
    Some(match *words {
        ["amount"] => format_minor(line.amount_minor),
        ["basis"] => format_minor(line.basis_minor),
        ["rate"] => line.rate.clone().unwrap_or_else(|| "none".to_owned()),
        ["status"] => line.status.as_str().to_owned(),
        ["earned"] => day(Some(line.earned_at)),
        ["vests"] => day(line.vests_at),
        ["month"] => line.tenure_month?.to_string(),
        ["terms"] => line.terms.clone(),
        _ => return None,
    })
}

fn name<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap().trim_matches('"').to_owned()
}

/// A day, with the time where it is not midnight.
fn day(time: Option<chrono::DateTime<chrono::Utc>>) -> String {
    let text = time.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
    text.map_or_else(|| "never".to_owned(), |text| text.trim_end_matches("T00:00:00Z").to_owned())
}

fn ledger(scenario: &Scenario, evaluation: &Evaluation, program: &Program) -> String {
    let mut out = String::new();
    for (index, statement) in evaluation.statements.iter().enumerate() {
        write_statement(&mut out, scenario, statement, &program.excess(index));
    }
    for fact in &evaluation.unmatched {
        write_unmatched(&mut out, fact);
    }
    out
}

fn write_statement(out: &mut String, scenario: &Scenario, statement: &Statement, excess: &[Excess]) {
    let totals = &statement.totals;
    let suspended = if statement.suspended { ", suspended" } else { "" };
    let tier = name(&statement.tier);
    let as_of = day(Some(statement.as_of));
    writeln!(out, "{} at {as_of}: {tier}{suspended}, terms {}", statement.partner, statement.terms).unwrap();
    let all = [
        ("pending", totals.pending),
        ("vested", totals.vested),
        ("held", totals.held),
        ("forfeited", totals.forfeited),
        ("void", totals.void),
        ("paid", totals.paid),
        ("balance", totals.balance),
        ("payable", totals.payable),
    ];
    let all: Vec<String> = all.iter().map(|(name, minor)| format!("{name} {}", format_minor(*minor))).collect();
    writeln!(out, "  {}", all.join(", ")).unwrap();
    if scenario.brief {
        write_sums(out, &statement.lines);
    } else {
        for line in &statement.lines {
            write_line(out, line);
        }
        for referral in &statement.referrals {
            write_referral(out, referral);
        }
    }
    write_progress(out, &statement.progress);
    for Excess { referral, invoice, paid_minor, said_minor } in excess {
        let said = format_minor(i64::try_from(*said_minor).unwrap());
        writeln!(out, "  beyond {invoice} of {referral}: {said} of {}", format_minor(*paid_minor)).unwrap();
    }
    for fact in &statement.unmatched {
        write_unmatched(out, fact);
    }
}

fn write_line(out: &mut String, line: &Line) {
    let month = line.tenure_month.map_or_else(String::new, |month| format!(" month {month}"));
    let rate = line.rate.as_deref().unwrap_or("-");
    let reason = line.reason.map_or_else(String::new, |reason| format!(" ({})", reason.as_str()));
    writeln!(
        out,
        "  {} {} {} = {rate} {} of {}{month}, terms {}, {}{reason}, vests {}\n      {}",
        day(Some(line.earned_at)),
        line.id,
        format_minor(line.amount_minor),
        line.rule,
        format_minor(line.basis_minor),
        line.terms,
        line.status.as_str(),
        day(line.vests_at),
        line.why,
    )
    .unwrap();
}

/// How many lines there are of each sort, and what they come to.
fn write_sums(out: &mut String, lines: &[Line]) {
    type Sort<'a> = (LineKind, &'a str, &'a str, &'a str);
    let mut sums: BTreeMap<Sort, (usize, i64)> = BTreeMap::new();
    for line in lines {
        let sort = (line.kind, line.rule.as_str(), line.rate.as_deref().unwrap_or("-"), line.status.as_str());
        let sum = sums.entry(sort).or_default();
        *sum = (sum.0 + 1, sum.1 + line.amount_minor);
    }
    for ((kind, rule, rate, status), (count, sum)) in sums {
        let kind = if kind == LineKind::Reversal { "reversal of " } else { "" };
        writeln!(out, "  {count} × {kind}{rule} at {rate}, {status}: {}", format_minor(sum)).unwrap();
    }
}

fn write_referral(out: &mut String, referral: &ReferralState) {
    let flags: Vec<String> = referral.flags.iter().map(name).collect();
    let decision = referral.decision.as_ref().map_or_else(|| "undecided".to_owned(), name);
    let eligible = if referral.eligible { "eligible" } else { "not eligible" };
    writeln!(
        out,
        "  {}: {}, {eligible}, flags [{}] {decision}, first paid {}, clock {}, recurring from {}, vests {}, month {}, {} a year, earned {}, terms {}",
        referral.referral,
        name(&referral.status),
        flags.join(" "),
        day(referral.first_payment_at),
        day(referral.clock),
        day(referral.turns_recurring_at),
        day(referral.streak_vests_at),
        referral.tenure_month.map_or_else(|| "-".to_owned(), |month| month.to_string()),
        format_minor(referral.annual_price_minor),
        format_minor(referral.earned_minor),
        referral.terms,
    )
    .unwrap();
}

fn write_progress(out: &mut String, progress: &Progress) {
    let (volume, platinum) = (&progress.volume, &progress.platinum);
    writeln!(
        out,
        "  {} (to {}): {} of {}, reached {}, worth {} a month; platinum: {} of {}, {} of {} a year, since {}",
        volume.quarter,
        volume.ends_on,
        volume.qualified,
        volume.needed,
        day(volume.reached_at),
        format_minor(volume.worth_minor_per_month),
        platinum.referrals,
        platinum.referrals_needed,
        format_minor(platinum.arr_minor),
        format_minor(platinum.arr_minor_needed),
        day(platinum.since),
    )
    .unwrap();
}

fn write_unmatched(out: &mut String, fact: &Unmatched) {
    let missing = name(&fact.missing);
    let at = day(Some(fact.at));
    writeln!(out, "  unmatched {} {} at {at}: no {missing} {}", fact.id, fact.fact_type, fact.missing_id).unwrap();
}
