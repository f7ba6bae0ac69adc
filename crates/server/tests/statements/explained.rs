//! `docs/how-commission-is-computed.md`: every figure in it is what the program says.
//!
//! An example is a block of facts (```` ```jsonl as-of=TIME ````), perhaps one of terms (```` ```toml ````), and the block
//! that the program prints for them (```` ```text ````), which `UPDATE=1` rewrites. A table of its section that begins
//! with "As of" says what the totals are at other times; those figures were written by hand and are never rewritten.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Months, SecondsFormat, Utc};
use commission::{Terms, format_minor, parse_time};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{statements, written};

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/how-commission-is-computed.md")
}

fn page() -> String {
    std::fs::read_to_string(page_path()).unwrap()
}

/// A block between fences: the words of its first fence, and where its text is.
struct Block {
    info: String,
    text: Range<usize>,
}

/// A heading with everything up to the next one.
#[derive(Default)]
struct Section {
    heading: String,
    /// What stands outside blocks and tables.
    prose: String,
    blocks: Vec<Block>,
    /// Each with its rows, the head first.
    tables: Vec<Vec<Vec<String>>>,
}

fn sections(page: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let (mut open, mut at, mut in_table) = (None, 0, false);
    for line in page.split_inclusive('\n') {
        let end = at + line.len();
        let section = sections.last_mut().unwrap();
        match (line.trim_end().strip_prefix("```"), open.take()) {
            (Some(info), None) => open = Some(Block { info: info.to_owned(), text: end..end }),
            (Some(_), Some(block)) => section.blocks.push(Block { text: block.text.start..at, ..block }),
            (None, Some(block)) => open = Some(block),
            (None, None) if line.starts_with('#') => {
                let heading = line.trim_start_matches('#').trim().to_owned();
                sections.push(Section { heading, ..Section::default() });
            }
            (None, None) if line.starts_with('|') => {
                if !in_table {
                    section.tables.push(Vec::new());
                }
                let cells: Vec<String> =
                    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
                if !cells.iter().all(|cell| cell.chars().all(|char| char == '-')) {
                    section.tables.last_mut().unwrap().push(cells);
                }
            }
            (None, None) => section.prose += line,
        }
        in_table = line.starts_with('|');
        at = end;
    }
    assert!(open.is_none(), "the last block of the page has no end");
    sections
}

/// Facts, perhaps terms of their own, and what is printed for them.
struct Example<'a> {
    facts: &'a str,
    as_of: &'a str,
    terms: Option<PathBuf>,
    printed: Range<usize>,
}

impl Example<'_> {
    fn run(&self, as_of: &str, format: &str) -> String {
        let mut options = vec!["--as-of", as_of, "--format", format];
        if let Some(terms) = &self.terms {
            options.extend(["--terms", terms.to_str().unwrap()]);
        }
        written(statements(self.facts.as_bytes(), &options))
    }
}

/// The example of a section, if it has one.
fn example<'a>(page: &'a str, section: &'a Section) -> Option<Example<'a>> {
    let named = |name: &str| {
        let mut blocks = section.blocks.iter().filter(|block| block.info.split(' ').next() == Some(name));
        let block = blocks.next();
        assert!(blocks.next().is_none(), "{} has two blocks of {name}", section.heading);
        block
    };
    let (facts, printed) = match (named("jsonl"), named("text")) {
        (Some(facts), Some(printed)) => (facts, printed),
        (None, None) => return None,
        _ => panic!("{} has facts and nothing printed, or something printed and no facts", section.heading),
    };
    let terms = named("toml").map(|terms| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("terms-of-an-example.toml");
        std::fs::write(&path, &page[terms.text.clone()]).unwrap();
        path
    });
    let as_of = facts.info.split_once("as-of=").unwrap_or_else(|| panic!("no as-of= in {}", section.heading)).1;
    Some(Example { facts: &page[facts.text.clone()], as_of, terms, printed: printed.text.clone() })
}

/// The one statement of a JSON answer.
fn only_statement(json: &str) -> Value {
    match serde_json::from_str(json).unwrap() {
        Value::Array(mut all) if all.len() == 1 => all.remove(0),
        other => panic!("not one statement: {other}"),
    }
}

#[test]
fn every_example_prints_what_the_page_shows() {
    let page = page();
    let mut updated = page.clone();
    let sections = sections(&page);
    let examples: Vec<Example> = sections.iter().filter_map(|section| example(&page, section)).collect();
    assert!(examples.len() >= 7, "only {} examples", examples.len());
    for example in examples.iter().rev() {
        updated.replace_range(example.printed.clone(), &example.run(example.as_of, "text"));
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(page_path(), &updated).unwrap();
    } else if let Some((number, (shown, printed))) =
        page.lines().zip(updated.lines()).enumerate().find(|(_, (shown, printed))| shown != printed)
    {
        panic!("line {}:\n  the page shows:      {shown}\n  the program prints:  {printed}", number + 1);
    }
}

#[test]
fn every_table_of_totals_holds() {
    let page = page();
    let mut checked = 0;
    for section in &sections(&page) {
        let tables = section.tables.iter().filter(|table| table[0][0] == "As of");
        for (table, example) in tables.map(|table| (table, example(&page, section).unwrap())) {
            for row in &table[1..] {
                let as_of = format!("{}T00:00:00Z", row[0]);
                let totals = only_statement(&example.run(&as_of, "summary"))["totals"].clone();
                for (name, shown) in table[0].iter().zip(row).skip(1) {
                    let found = format_minor(totals[name.to_lowercase()].as_i64().unwrap());
                    assert_eq!(&found, shown, "{}: {name} as of {}", section.heading, row[0]);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked >= 30, "only {checked} figures");
}

/// An amount in the words around an example is one that the example has.
#[test]
fn every_amount_that_is_told_is_printed_or_in_a_table() {
    let page = page();
    let mut checked = 0;
    for section in &sections(&page) {
        let Some(example) = example(&page, section) else { continue };
        let tables = section.tables.iter().flatten().flatten().map(|cell| cell.as_str());
        let shown = tables.chain([&page[example.printed.clone()]]).collect::<Vec<_>>().join(" ");
        for amount in amounts(&section.prose) {
            let amount = if amount.contains('.') { amount } else { amount + ".00" };
            assert!(amounts(&shown).contains(&amount), "{}: {amount} is nowhere in the example", section.heading);
            checked += 1;
        }
    }
    assert!(checked >= 10, "only {checked} amounts");
}

/// A day and how many clients sign up and pay first on it.
type Group = (&'static str, u32);

/// What clients earn an agency in each month of their tenure, in minor units: the first `of` clients, of as many as there
/// are, each paying `price_minor` every month for two years.
fn by_month(groups: &[Group], price_minor: i64, of: usize) -> BTreeMap<u64, i64> {
    let lines = lines(groups, price_minor, "month", 24);
    let counted: Vec<String> = (0..of).map(|client| format!("client{client}")).collect();
    let mut sums = BTreeMap::new();
    for line in &lines {
        if counted.iter().any(|client| line["referral"] == client.as_str()) {
            *sums.entry(line["tenure_month"].as_u64().unwrap()).or_default() += line["amount_minor"].as_i64().unwrap();
        }
    }
    sums
}

/// The lines of an agency's statement after three years.
fn lines(groups: &[Group], price_minor: i64, interval: &str, invoices: u32) -> Vec<Value> {
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut facts = vec![
        json!({"at": "2026-01-01T00:00:00Z", "type": "partner_joined", "partner": "P", "name": "An agency", "website": "agency.example"}),
    ];
    let mut clients = 0..;
    for (day, count) in groups {
        let at = parse_time(&format!("{day}T09:00:00Z")).unwrap();
        for client in clients.by_ref().take(usize::try_from(*count).unwrap()) {
            let (referral, subscription) = (format!("client{client}"), format!("subscription{client}"));
            facts.push(json!({"at": text(at), "type": "referral_created", "referral": referral, "partner": "P"}));
            facts.push(json!({"at": text(at), "type": "subscription_started", "subscription": subscription,
                "referral": referral, "interval": interval, "amount_minor": price_minor}));
            for month in 0..invoices {
                let at = at + Months::new(month);
                facts.push(json!({"at": text(at), "type": "invoice_paid", "invoice": format!("{referral}-{month}"),
                    "subscription": subscription, "amount_minor": price_minor}));
            }
        }
    }
    let mut journal = String::new();
    for (number, mut fact) in facts.into_iter().enumerate() {
        fact["id"] = format!("f{number:04}").into();
        journal += &format!("{fact}\n");
    }
    let json = written(statements(journal.as_bytes(), &["--as-of", "2029-01-01T00:00:00Z"]));
    only_statement(&json)["lines"].as_array().unwrap().clone()
}

const ONE: &[Group] = &[("2026-01-05", 1)];
const ONE_QUARTER: &[Group] = &[("2026-01-05", 5)];
/// In two months, because more than ten sign-ups in one would be held for a review.
const TWENTY: &[Group] = &[("2026-01-05", 10), ("2026-02-05", 10)];

/// A month of the first year and one of the second, each after everything that the clients reach.
const FIRST: u64 = 6;
const SECOND: u64 = 18;

/// The row of a table whose first cell is this.
fn row<'a>(sections: &'a [Section], heading: &str, name: &str) -> &'a [String] {
    let section = sections.iter().find(|section| section.heading == heading);
    let rows = section.unwrap_or_else(|| panic!("no section {heading}")).tables.iter().flatten();
    rows.into_iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no row {name} in {heading}"))
}

/// The amounts in a text.
fn amounts(text: &str) -> Vec<String> {
    let is_of_amount = |char: char| char == '$' || char == ',' || char == '.' || char.is_ascii_digit();
    let words = text.split(|char| !is_of_amount(char)).filter(|word| word.starts_with('$'));
    words.map(|word| word.trim_end_matches(['.', ',']).to_owned()).collect()
}

fn dollars(amounts_minor: &[i64]) -> Vec<String> {
    amounts_minor.iter().map(|minor| format_minor(*minor)).collect()
}

#[test]
fn what_a_client_earns_is_what_the_rates_give() {
    let page = page();
    let sections = sections(&page);
    let row = |name| row(&sections, "What you earn", name);
    let (alone, in_quarter) = (by_month(ONE, 50_000, 1), by_month(ONE_QUARTER, 50_000, 1));
    let platinum = by_month(TWENTY, 50_000, 1);
    let annual = lines(ONE, 500_000, "year", 1);
    let of_kind = |kind| annual.iter().find(|line| line["kind"] == kind).unwrap()["amount_minor"].as_i64().unwrap();
    let shown = [
        ("First year", vec![alone[&FIRST]]),
        ("Recurring", vec![alone[&SECOND]]),
        ("Volume bonus", vec![in_quarter[&FIRST], in_quarter[&SECOND]]),
        ("Platinum", vec![platinum[&FIRST], platinum[&SECOND]]),
    ];
    for (name, expected) in shown {
        assert_eq!(amounts(&row(name)[3]), dollars(&expected), "{name}");
    }
    let expected = [dollars(&[of_kind("high_value_bonus"), of_kind("first_year")]), vec!["$5,000".to_owned()]].concat();
    assert_eq!(amounts(&row("High-value bonus")[3]), expected);

    let terms = Terms::default();
    let percent = |rate: Decimal| format!("{} %", (rate * Decimal::ONE_HUNDRED).normalize());
    let whole = |minor: i64| format_minor(minor).trim_end_matches(".00").to_owned();
    let stated = [
        ("First year", vec![percent(terms.first_year_rate), format!("first {} months", terms.first_year_months)]),
        ("Recurring", vec![percent(terms.recurring_rate)]),
        (
            "Volume bonus",
            vec![percent(terms.volume.bonus_rate), format!("{} of your clients", terms.volume.referrals_needed)],
        ),
        ("High-value bonus", vec![whole(terms.high_value.bonus_minor), whole(terms.high_value.annual_minor_needed)]),
        (
            "Platinum",
            vec![
                format!("{} in the first year", percent(terms.platinum.first_year_rate)),
                format!("{} after it", percent(terms.platinum.recurring_rate)),
                format!("{} of your clients", terms.platinum.referrals_needed),
                whole(terms.platinum.arr_minor_needed),
            ],
        ),
    ];
    for (name, parts) in stated {
        let stated = format!("{} | {}", row(name)[1], row(name)[2]);
        parts.iter().for_each(|part| assert!(stated.contains(part), "{name}: {part} is not in {stated}"));
    }
}

#[test]
fn the_three_agencies_earn_what_the_page_says() {
    let page = page();
    let sections = sections(&page);
    let agencies: [(&str, &[Group]); 3] = [
        ("Small", &[("2026-01-05", 3)]),
        ("Mid-tier, with the volume bonus", &[("2026-01-05", 8)]),
        ("Top, platinum", TWENTY),
    ];
    for (name, groups) in agencies {
        let row = row(&sections, "Three agencies", name);
        let count: u32 = groups.iter().map(|(_, count)| count).sum();
        assert_eq!((&row[1], &row[2]), (&count.to_string(), &format_minor(50_000)), "{name}");
        let earned = by_month(groups, 50_000, usize::try_from(count).unwrap());
        assert_eq!(row[3..], dollars(&[earned[&FIRST], earned[&SECOND]]), "{name}");
    }
}

#[test]
fn no_rule_gives_the_figure_of_the_example_that_cannot_hold() {
    let page = page();
    let sections = sections(&page);
    let cases: [(&str, &[Group]); 3] = [
        ("the recurring rate alone", &[("2026-01-05", 4), ("2026-04-05", 4)]),
        ("the recurring rate and the volume bonus", &[("2026-01-05", 8)]),
        ("the platinum rate", TWENTY),
    ];
    for (name, groups) in cases {
        let earned = by_month(groups, 50_000, 8)[&SECOND];
        let row = row(&sections, "The one example that cannot hold", name);
        assert_eq!(row[1..], dollars(&[earned]), "{name}");
        assert_ne!(earned, 50_000, "{name} gives what cannot hold");
    }
}
