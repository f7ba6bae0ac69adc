//! `diff`: what differs between the statements of two instants, of two journals, or under two books of terms.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use commission::{
    Comparison, Difference, Fact, Line, LineStatus, Side, StatementDiff, Summary, Tier, Totals, format_minor,
    parse_time,
};
use documents::sheet::{decimal, guarded, writer};

use super::{BUFFER, is_broken_pipe, page, read_journal, read_terms_or_default, source_name};

/// Options of `diff`.
#[derive(Args)]
pub(crate) struct Diff {
    /// The journal of the later statements (JSONL); `-` for standard input.
    #[arg(long, value_name = "FILE|-")]
    journal: PathBuf,
    /// The instant of the later statements: only facts before it count.
    #[arg(long, value_name = "TIME")]
    as_of: String,
    /// The terms of the later statements (TOML); the program's default terms without it.
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
    /// The instant of the earlier statements.
    #[arg(long, value_name = "TIME")]
    before_as_of: String,
    /// The journal of the earlier statements, such as `journal --cut` wrote it; the same journal without it.
    #[arg(long, value_name = "FILE|-")]
    before_journal: Option<PathBuf>,
    /// The terms of the earlier statements; the same terms without it.
    #[arg(long, value_name = "FILE")]
    before_terms: Option<PathBuf>,
    /// Only this partner.
    #[arg(long, value_name = "CODE")]
    partner: Option<String>,
    /// What to write: `text` is to be read, `csv` has a row for each line that differs.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Text,
    Csv,
}

/// Writes the differences. An error is one line, whatever a journal has in it.
pub(crate) fn run(options: &Diff) -> anyhow::Result<()> {
    match write_differences(options) {
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other.map_err(|error| anyhow!(page::one_line(&format!("{error:#}")))),
    }
}

fn write_differences(options: &Diff) -> anyhow::Result<()> {
    let time = |name: &str, text: &str| parse_time(text).map_err(|message| anyhow!("--{name} {message}"));
    let as_of = time("as-of", &options.as_of)?;
    let before_as_of = time("before-as-of", &options.before_as_of)?;
    let stdin = Path::new("-");
    if options.journal == stdin && options.before_journal.as_deref() == Some(stdin) {
        bail!("standard input can be one of the journals, not both; name a file for the other");
    }
    let terms = read_terms_or_default(options.terms.as_deref())?;
    let before_terms = options.before_terms.as_deref().map(|path| read_terms_or_default(Some(path))).transpose()?;
    let facts = facts(&options.journal)?;
    let before_facts = options.before_journal.as_deref().map(self::facts).transpose()?;
    let before = Side {
        facts: before_facts.as_deref().unwrap_or(&facts),
        terms: before_terms.as_ref().unwrap_or(&terms),
        as_of: before_as_of,
    };
    let comparison = Comparison::new(before, Side { facts: &facts, terms: &terms, as_of })?;
    let mut partners = comparison.partners();
    if let Some(code) = &options.partner {
        partners.retain(|partner| partner == code);
        if partners.is_empty() {
            bail!("no partner `{code}` joined before {}; check the code", options.as_of);
        }
    }
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let mut written = Written::default();
    if options.format == Format::Csv {
        let mut head = Vec::new();
        writer(&mut head).write_record(COLUMNS)?;
        out.write_all(&head)?;
    }
    for partner in partners {
        let diff = comparison.of(partner)?;
        if options.partner.is_some() || differs(&diff) {
            written.add(&diff);
            match options.format {
                Format::Json => {
                    out.write_all(if written.partners == 1 { b"[\n" } else { b",\n" })?;
                    serde_json::to_writer(&mut out, &diff)?;
                }
                Format::Text => {
                    out.write_all(if written.partners == 1 { b"" } else { b"\n\n" })?;
                    out.write_all(text(&diff, before_as_of, as_of).as_bytes())?;
                }
                Format::Csv => write_rows(&mut out, &diff)?,
            }
        }
    }
    match options.format {
        Format::Json => out.write_all(if written.partners == 0 { b"[]\n" } else { b"\n]\n" })?,
        Format::Text => out.write_all(written.text(before_as_of, as_of).as_bytes())?,
        Format::Csv => {}
    }
    Ok(out.flush()?)
}

fn facts(path: &Path) -> anyhow::Result<Vec<Fact>> {
    Ok(read_journal(path).with_context(|| source_name(path))?.into_facts())
}

/// Whether anything differs but the instant.
fn differs(diff: &StatementDiff) -> bool {
    let figures = |summary: &Summary| (summary.totals, summary.tier, summary.suspended, summary.unmatched.clone());
    !diff.differences.is_empty() || diff.before.as_ref().map(figures) != diff.after.as_ref().map(figures)
}

/// What was written so far, over all partners.
#[derive(Default)]
struct Written {
    partners: usize,
    lines: usize,
    sums: [i128; 4],
}

impl Written {
    fn add(&mut self, diff: &StatementDiff) {
        self.partners += 1;
        self.lines += diff.differences.len();
        let books = [diff.opening_minor, diff.earned_minor, -diff.reversed_minor, diff.closing_minor];
        self.sums.iter_mut().zip(books).for_each(|(sum, minor)| *sum += i128::from(minor));
    }

    /// The end of the text: nothing after a single partner.
    fn text(&self, before: DateTime<Utc>, after: DateTime<Utc>) -> String {
        let mut text = String::new();
        match self.partners {
            0 => {
                let (before, after) = (page::instant(before), page::instant(after));
                page::push(&mut text, &format!("Nothing differs between {before} and {after}."));
            }
            1 => {}
            count => {
                page::push(&mut text, &format!("\n\n{count} partners, {} lines that differ", self.lines));
                page::push(&mut text, &"═".repeat(page::WIDTH));
                push_books(&mut text, self.sums);
            }
        }
        text
    }
}

/// The page of one partner.
fn text(diff: &StatementDiff, before: DateTime<Utc>, after: DateTime<Utc>) -> String {
    let mut page = String::new();
    let partner = page::printable(&diff.partner);
    let (from, to) = (page::instant(before), page::instant(after));
    page::push(&mut page, &format!("{partner}{}  ·  from {from} to {to}", standing(diff)));
    page::push(&mut page, &"═".repeat(page::WIDTH));
    if diff.differences.is_empty() {
        page::push(&mut page, "No line differs.");
    } else {
        let sum = |minor: fn(&Difference) -> i64| {
            page::format_total(diff.differences.iter().map(|difference| i128::from(minor(difference))).sum())
        };
        let (amount, vested) = (sum(|difference| difference.amount_minor), sum(|difference| difference.vested_minor));
        page::table(
            &mut page,
            ["Date", "Kind", "Client", "Change", "Status", "Amount", "Vested"],
            &[5, 6],
            diff.differences
                .iter()
                .filter_map(|difference| Some((row(difference)?, difference.why.as_str())))
                .collect(),
            ["", "all", "", "", "", &amount, &vested],
        );
    }
    page.push('\n');
    let books = [diff.opening_minor, diff.earned_minor, -diff.reversed_minor, diff.closing_minor];
    push_books(&mut page, books.map(i128::from));
    page.push('\n');
    push_totals(&mut page, diff);
    page
}

/// Tier and suspension, where they changed.
fn standing(diff: &StatementDiff) -> String {
    let (Some(before), Some(after)) = (&diff.before, &diff.after) else {
        return if diff.before.is_none() { "  ·  new".to_owned() } else { "  ·  gone".to_owned() };
    };
    let tier = match (before.tier, after.tier) {
        (Tier::Standard, Tier::Platinum) => "  ·  now Platinum",
        (Tier::Platinum, Tier::Standard) => "  ·  not Platinum any more",
        _ => "",
    };
    let suspended = match (before.suspended, after.suspended) {
        (false, true) => "  ·  now suspended",
        (true, false) => "  ·  reinstated",
        _ => "",
    };
    format!("{tier}{suspended}")
}

fn row(difference: &Difference) -> Option<[String; 7]> {
    let line = difference.line()?;
    let status = |line: &Option<Line>| line.as_ref().map(|line| line.status);
    Some([
        page::day(line.earned_at),
        page::kind(line.kind).to_owned(),
        page::shortened(&page::printable(line.referral.as_deref().unwrap_or("–"))),
        difference.change.as_str().to_owned(),
        became(status(&difference.before), status(&difference.after)),
        format_minor(difference.amount_minor),
        format_minor(difference.vested_minor),
    ])
}

fn became(before: Option<LineStatus>, after: Option<LineStatus>) -> String {
    match (before, after) {
        (Some(before), Some(after)) if before != after => format!("{} → {}", before.as_str(), after.as_str()),
        (Some(before), None) => format!("{} → –", before.as_str()),
        (_, after) => after.map(LineStatus::as_str).unwrap_or_default().to_owned(),
    }
}

/// From what had vested before to what has vested now.
fn push_books(page: &mut String, sums: [i128; 4]) {
    let amounts = sums.map(page::format_total);
    let width = amounts.iter().map(|amount| amount.chars().count()).max().unwrap_or(0);
    let [before, earned, reversed, after] = amounts;
    for (name, amount) in [("Vested before", before), ("Earned", earned), ("Reversed", reversed)] {
        page::push(page, &format!("  {name:13}  {amount:>width$}"));
    }
    page::push(page, &format!("  {:13}  {}", "", "─".repeat(width)));
    page::push(page, &format!("  {:13}  {after:>width$}", "Vested now"));
}

/// Every total before and after, and by how much it differs.
fn push_totals(page: &mut String, diff: &StatementDiff) {
    let totals = |summary: &Option<Summary>| summary.as_ref().map(|summary| summary.totals).unwrap_or_default();
    let figures = |totals: Totals| {
        let Totals { pending, vested, held, forfeited, void, paid, balance, payable } = totals;
        [vested, pending, held, forfeited, void, paid, balance, payable]
    };
    let names = ["Vested", "Pending", "Held", "Forfeited", "Void", "Paid", "Balance", "Payable"];
    let (before, after) = (figures(totals(&diff.before)), figures(totals(&diff.after)));
    let mut rows = vec![[String::new(), "Before".to_owned(), "Now".to_owned(), "Difference".to_owned()]];
    for (index, name) in names.into_iter().enumerate() {
        let difference = page::format_total(i128::from(after[index]) - i128::from(before[index]));
        rows.push([name.to_owned(), format_minor(before[index]), format_minor(after[index]), difference]);
    }
    let width = rows.iter().flat_map(|row| &row[1..]).map(|cell| cell.chars().count()).max().unwrap_or(0);
    for [name, before, now, difference] in rows {
        page::push(page, &format!("  {name:9}  {before:>width$}  {now:>width$}  {difference:>width$}"));
    }
}

/// Names of the columns. Amounts are in whole currency units with two decimals.
const COLUMNS: [&str; 17] = [
    "partner",
    "line",
    "change",
    "earned_at",
    "kind",
    "client",
    "invoice",
    "amount_before",
    "amount_after",
    "amount_difference",
    "vested_difference",
    "status_before",
    "status_after",
    "vests_at_before",
    "vests_at_after",
    "facts",
    "why",
];

fn write_rows(out: &mut impl Write, diff: &StatementDiff) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    let mut writer = writer(&mut rows);
    for difference in &diff.differences {
        if let Some(line) = difference.line() {
            writer.write_record(cells(&diff.partner, line, difference))?;
        }
    }
    writer.flush()?;
    drop(writer);
    Ok(out.write_all(&rows)?)
}

fn cells(partner: &str, line: &Line, difference: &Difference) -> [String; COLUMNS.len()] {
    let Difference { change, before, after, amount_minor, vested_minor, causes, why } = difference;
    let text = |text: &str| guarded(text).into_owned();
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let amount = |line: &Option<Line>| line.as_ref().map(|line| decimal(line.amount_minor)).unwrap_or_default();
    let status = |line: &Option<Line>| line.as_ref().map(|line| line.status.as_str().to_owned()).unwrap_or_default();
    let vests = |line: &Option<Line>| line.as_ref().and_then(|line| line.vests_at).map(time).unwrap_or_default();
    let facts: Vec<&str> = causes.iter().flat_map(|cause| cause.because.facts()).map(|fact| fact.id.as_str()).collect();
    [
        text(partner),
        text(&line.id),
        change.as_str().to_owned(),
        time(line.earned_at),
        line.kind.as_str().to_owned(),
        text(line.referral.as_deref().unwrap_or_default()),
        text(line.invoice.as_deref().unwrap_or_default()),
        amount(before),
        amount(after),
        decimal(*amount_minor),
        decimal(*vested_minor),
        status(before),
        status(after),
        vests(before),
        vests(after),
        text(&facts.join(" ")),
        text(why),
    ]
}
