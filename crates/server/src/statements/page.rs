//! A statement as a person reads it: who, every line with its reason, and totals that foot.

use std::fmt::Write as _;

use chrono::{DateTime, Timelike as _, Utc};
use commission::{Excess, Line, LineKind, Statement, Tier, Totals, Unmatched, format_minor};

/// Columns of a page. A longer sentence is wrapped.
pub(crate) const WIDTH: usize = 120;
/// A reason is never squeezed into fewer columns than this, whatever stands before it.
const LEAST_WHY: usize = 40;
/// A longer client id is shortened in its column; the reason has all of it.
const MOST_CLIENT: usize = 16;
/// An error is cut after this many characters: it may quote what somebody put into a field.
const MOST_ERROR: usize = 600;

/// The page of one statement. `minimum_minor` is the smallest payout, in minor units.
pub(super) fn statement(statement: &Statement, excess: &[Excess], minimum_minor: i64) -> String {
    let mut page = String::new();
    let tier = if statement.tier == Tier::Platinum { "Platinum" } else { "Standard" };
    let suspended = if statement.suspended { ", suspended" } else { "" };
    let partner = printable(&statement.partner);
    let terms = printable(&statement.terms);
    let as_of = instant(statement.as_of);
    push(&mut page, &format!("{partner}  ·  {tier}{suspended}  ·  as of {as_of}  ·  terms {terms}"));
    push(&mut page, &"═".repeat(WIDTH));
    if statement.lines.is_empty() {
        push(&mut page, "Nothing has been earned.");
    } else {
        push_table(&mut page, &statement.lines);
    }
    page.push('\n');
    push_totals(&mut page, statement, minimum_minor);
    if !statement.unmatched.is_empty() {
        page.push('\n');
        push(&mut page, "Without effect, because something is missing:");
        statement.unmatched.iter().for_each(|fact| push(&mut page, &format!("  {}", unmatched(fact))));
    }
    if !excess.is_empty() {
        page.push('\n');
        push(&mut page, "More is said to have gone back than was paid, and only what was paid counts:");
        excess.iter().for_each(|of| push(&mut page, &format!("  {}", beyond(of))));
    }
    page.push('\n');
    push(&mut page, &format!("Digest {}", statement.digest));
    page
}

/// The facts that lead to no partner, after all pages; nothing when there are none.
pub(super) fn astray(facts: &[Unmatched]) -> String {
    let mut text = String::new();
    if !facts.is_empty() {
        push(&mut text, "\n\nThese facts lead to no partner and count nowhere:");
        facts.iter().for_each(|fact| push(&mut text, &format!("  {}", unmatched(fact))));
    }
    text
}

/// The same in one line, for where there are no pages. There must be one.
pub(super) fn astray_in_short(facts: &[Unmatched]) -> String {
    let first = facts.first().map(unmatched).unwrap_or_default();
    match facts.len() {
        1 => format!("One fact leads to no partner and counts nowhere: {first}"),
        count => format!("{count} facts lead to no partner and count nowhere. The first is {first}"),
    }
}

/// The invoices of which more is said to have gone back than was paid, in one line. There must be one.
pub(super) fn excess_in_short(all: &[Excess]) -> String {
    let first = all.first().map(beyond).unwrap_or_default();
    match all.len() {
        1 => format!("More is said to have gone back than was paid, and only what was paid counts: {first}"),
        count => format!(
            "Of {count} invoices more is said to have gone back than was paid, and only what was paid counts. The first is {first}"
        ),
    }
}

fn beyond(excess: &Excess) -> String {
    let Excess { referral, invoice, paid_minor, said_minor } = excess;
    let (paid, said) = (format_minor(*paid_minor), format_total(*said_minor));
    printable(&format!("invoice `{invoice}` of client `{referral}`: {said} of {paid}"))
}

fn unmatched(fact: &Unmatched) -> String {
    let Unmatched { id, at, fact_type, missing, missing_id } = fact;
    let text = format!("{} {fact_type} `{id}`: the {} `{missing_id}` is unknown", day(*at), missing.as_str());
    printable(&text)
}

/// An instant such as `1 Nov 2026, 00:00 UTC`, with as many digits as it has.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    let clock = match (at.second(), at.nanosecond()) {
        (0, 0) => "%H:%M",
        (_, 0) => "%H:%M:%S",
        _ => "%H:%M:%S%.f",
    };
    at.format(&format!("%-d %b %Y, {clock} UTC")).to_string()
}

pub(super) fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

/// One line of text, whatever it quotes: control characters are written out and what is very long is cut.
pub(crate) fn one_line(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(MOST_ERROR) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What would move a terminal's cursor, or turn the direction of writing, is written out.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        let turns = matches!(char, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if char.is_control() || turns {
            safe.extend(char.escape_default());
        } else {
            safe.push(char);
        }
    }
    safe
}

/// Adds a line.
pub(crate) fn push(page: &mut String, line: &str) {
    page.push_str(line.trim_end_matches(' '));
    page.push('\n');
}

/// Adds sentences, over as many lines as they need.
pub(crate) fn push_wrapped(page: &mut String, text: &str) {
    wrapped(text, WIDTH).iter().for_each(|line| push(page, line));
}

pub(crate) fn kind(kind: LineKind) -> &'static str {
    match kind {
        LineKind::FirstYear => "first year",
        LineKind::Recurring => "recurring",
        LineKind::VolumeBonus => "volume",
        LineKind::HighValueBonus => "high value",
        LineKind::Reversal => "reversal",
        LineKind::Adjustment => "by hand",
    }
}

/// The cells of a row before the reason: day, kind, client, amount, status.
type Row = [String; 5];

fn row(line: &Line) -> Row {
    [
        day(line.earned_at),
        kind(line.kind).to_owned(),
        shortened(&printable(line.referral.as_deref().unwrap_or("–"))),
        format_minor(line.amount_minor),
        line.status.as_str().to_owned(),
    ]
}

/// The beginning and the end of an id, which is where ids differ.
pub(super) fn shortened(id: &str) -> String {
    let chars: Vec<char> = id.chars().collect();
    if chars.len() <= MOST_CLIENT {
        return id.to_owned();
    }
    let (head, tail) = (MOST_CLIENT / 2, MOST_CLIENT - MOST_CLIENT / 2 - 1);
    chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect()
}

fn push_table(page: &mut String, lines: &[Line]) {
    let all = format_total(lines.iter().map(|line| i128::from(line.amount_minor)).sum());
    table(
        page,
        ["Date", "Kind", "Client", "Amount", "Status"],
        &[3],
        lines.iter().map(|line| (row(line), line.why.as_str())).collect(),
        ["", "all lines", "", &all, ""],
    );
}

/// Rows with a head and a foot, and after the cells of each its reason in as many lines as it needs. Cells of the
/// columns in `right` are aligned to the right.
pub(super) fn table<const N: usize>(
    page: &mut String,
    head: [&str; N],
    right: &[usize],
    rows: Vec<([String; N], &str)>,
    foot: [&str; N],
) {
    let (head, foot) = (head.map(str::to_owned), foot.map(str::to_owned));
    let mut widths = [0; N];
    for cells in rows.iter().map(|(cells, _)| cells).chain([&head, &foot]) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let before_why: usize = widths.iter().map(|width| width + 2).sum();
    let why_width = WIDTH.saturating_sub(before_why).max(LEAST_WHY);
    push(page, &format!("{}Why", aligned(&head, &widths, right)));
    push(page, &"─".repeat(WIDTH));
    for (cells, why) in rows {
        let mut start = aligned(&cells, &widths, right);
        for part in wrapped(&printable(why), why_width) {
            push(page, &format!("{start}{part}"));
            start = " ".repeat(before_why);
        }
    }
    push(page, &"─".repeat(WIDTH));
    push(page, &aligned(&foot, &widths, right));
}

/// Cells side by side, two blanks after each.
fn aligned<const N: usize>(cells: &[String; N], widths: &[usize; N], right: &[usize]) -> String {
    let mut text = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        // Writing to a string cannot fail.
        let _ =
            if right.contains(&index) { write!(text, "{cell:>width$}  ") } else { write!(text, "{cell:<width$}  ") };
    }
    text
}

/// Breaks a sentence between words into parts of at most `width` characters; a longer word is broken itself. A
/// percent sign stays with its number. There is at least one part.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut used = 0;
    for word in text.replace(" %", "\u{a0}%").split(' ').filter(|word| !word.is_empty()) {
        let mut rest: Vec<char> = word.chars().collect();
        let fits = used + usize::from(used > 0) + rest.len() <= width;
        if !fits && used > 0 {
            parts.push(String::new());
            used = 0;
        }
        while rest.len() > width {
            let tail = rest.split_off(width);
            parts.extend([rest.into_iter().collect(), String::new()]);
            rest = tail;
        }
        if let Some(part) = parts.last_mut() {
            part.extend((used > 0).then_some(' ').into_iter().chain(rest.iter().copied()));
            used += usize::from(used > 0) + rest.len();
        }
    }
    parts.iter().filter(|part| !part.is_empty() || parts.len() == 1).map(|part| part.replace('\u{a0}', " ")).collect()
}

/// A sum of amounts that each fit; the sum itself may not.
pub(crate) fn format_total(sum: i128) -> String {
    i64::try_from(sum).map_or_else(|_| format!("{sum} cents"), format_minor)
}

/// Two columns that foot: the lines by status, and from what has vested to what is paid next.
fn push_totals(page: &mut String, statement: &Statement, minimum_minor: i64) {
    let Totals { pending, vested, held, forfeited, void, paid, balance, payable } = statement.totals;
    let by_status = [vested, pending, held, forfeited, void];
    let all = format_total(by_status.iter().map(|amount| i128::from(*amount)).sum());
    let [vested, pending, held, forfeited, void, balance, payable_text] =
        [vested, pending, held, forfeited, void, balance, payable].map(format_minor);
    let paid_text = if paid == 0 { format_minor(0) } else { format_total(-i128::from(paid)) };
    let left = [
        ("Vested", &*vested),
        ("Pending", &pending),
        ("Held", &held),
        ("Forfeited", &forfeited),
        ("Void", &void),
        ("", ""),
        ("All lines", &all),
    ];
    let right = [
        ("Vested", &*vested),
        ("Paid", &paid_text),
        ("", ""),
        ("Balance", &balance),
        ("", "\u{20}"),
        ("", "\u{20}"),
        ("Payable", &payable_text),
    ];
    let widest = |side: &[(&str, &str)]| side.iter().map(|(_, amount)| amount.chars().count()).max().unwrap_or(0);
    let (left_width, right_width) = (widest(&left), widest(&right));
    let cell = |(name, amount): (&str, &str), width: usize| match amount {
        "" => format!("{:9}  {:>width$}", "", "─".repeat(width)),
        _ => format!("{name:9}  {amount:>width$}"),
    };
    for (index, (a, b)) in left.into_iter().zip(right).enumerate() {
        let note = if index + 1 == left.len() { why_not_paid(statement, minimum_minor) } else { String::new() };
        push(page, &format!("  {}        {}{note}", cell(a, left_width), cell(b, right_width)));
    }
}

/// Why a balance that is not zero is not payable.
fn why_not_paid(statement: &Statement, minimum_minor: i64) -> String {
    match statement.totals.balance {
        _ if statement.totals.payable > 0 => String::new(),
        0 => String::new(),
        ..0 => "  a debt, set off against later commission".to_owned(),
        _ if statement.suspended => "  nothing is paid while the partner is suspended".to_owned(),
        _ => format!("  waits until the balance reaches {}", format_minor(minimum_minor)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_wrapped_between_words() {
        let text = "20 % of $500.00 paid on 11 Feb 2026 by client r_8K2 (month 1 of 12); vests 12 Apr 2026";
        for width in 1..100 {
            let parts = wrapped(text, width);
            assert!(parts.iter().all(|part| part.chars().count() <= width && !part.is_empty()), "{width}: {parts:?}");
            let blanks = |text: &str| text.replace(' ', "");
            assert_eq!(blanks(&parts.concat()), blanks(text));
            if width >= 12 {
                assert_eq!(parts.join(" "), text, "no word is broken");
                assert!(parts.iter().all(|part| !part.starts_with('%')));
            }
        }
        assert_eq!(wrapped("", 10), [""]);
    }

    #[test]
    fn nothing_that_a_journal_says_reaches_the_terminal_as_a_command() {
        assert_eq!(printable("a\u{1b}[2Jb\n\u{202e}é"), "a\\u{1b}[2Jb\\n\\u{202e}é");
        let long = one_line(&"x\n".repeat(10_000));
        assert!(long.chars().count() <= MOST_ERROR + 1 && !long.contains('\n') && long.ends_with('…'));
    }

    #[test]
    fn long_ids_keep_both_ends() {
        assert_eq!(shortened("r_8K2"), "r_8K2");
        assert_eq!(shortened("0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11"), "0197b3c2…c8d7e11");
    }
}
