//! A statement's lines for a spreadsheet: CSV (RFC 4180), a row for each line, none of which is a formula.

use std::borrow::Cow;

use chrono::SecondsFormat;
use commission::{Line, Statement};
use csv::{Terminator, Writer, WriterBuilder};

/// Names of the columns. Amounts are in whole currency units with two decimals.
const COLUMNS: [&str; 16] = [
    "partner",
    "line",
    "earned_at",
    "kind",
    "client",
    "invoice",
    "amount",
    "basis",
    "rate",
    "rule",
    "terms",
    "tenure_month",
    "status",
    "reason",
    "vests_at",
    "why",
];

/// The first row.
pub(super) fn header() -> csv::Result<Vec<u8>> {
    let mut into = Vec::new();
    writer(&mut into).write_record(COLUMNS)?;
    Ok(into)
}

/// The rows of a statement, in its order.
pub(super) fn rows(into: &mut Vec<u8>, statement: &Statement) -> csv::Result<()> {
    let mut writer = writer(into);
    statement.lines.iter().try_for_each(|line| writer.write_record(cells(&statement.partner, line)))?;
    Ok(writer.flush()?)
}

/// Writes rows as RFC 4180 has them.
pub(crate) fn writer(into: &mut Vec<u8>) -> Writer<&mut Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(into)
}

fn cells<'a>(partner: &'a str, line: &'a Line) -> [String; COLUMNS.len()] {
    let time = |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let text = |text: &'a str| guarded(text).into_owned();
    [
        text(partner),
        text(&line.id),
        time(line.earned_at),
        line.kind.as_str().to_owned(),
        text(line.referral.as_deref().unwrap_or_default()),
        text(line.invoice.as_deref().unwrap_or_default()),
        decimal(line.amount_minor),
        decimal(line.basis_minor),
        line.rate.clone().unwrap_or_default(),
        text(&line.rule),
        text(&line.terms),
        line.tenure_month.map(|month| month.to_string()).unwrap_or_default(),
        line.status.as_str().to_owned(),
        line.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        line.vests_at.map(time).unwrap_or_default(),
        text(&line.why),
    ]
}

/// An amount such as `-1234.50`.
pub(crate) fn decimal(amount_minor: i64) -> String {
    let magnitude = amount_minor.unsigned_abs();
    format!("{}{}.{:02}", if amount_minor < 0 { "-" } else { "" }, magnitude / 100, magnitude % 100)
}

/// A text that a spreadsheet would take for a formula gets an apostrophe before it. A plain number is none.
pub(crate) fn guarded(text: &str) -> Cow<'_, str> {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if is_formula && !is_plain_number(text) { format!("'{text}").into() } else { text.into() }
}

fn is_plain_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    digits(whole) && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::{decimal, guarded};

    #[test]
    fn formulas_are_guarded_and_numbers_are_not() {
        for formula in ["=1+1", "+1", "-1+1", "-", "--1", "-1.", "-.5", "@SUM(A1)", "\t=1", "\r=1", "＝1", "-1e5"] {
            assert_eq!(guarded(formula), format!("'{formula}"));
        }
        for plain in ["", "r_8K2", "-12", "-12.50", "0.20", " =1", "a=1", "20 % of $500.00"] {
            assert_eq!(guarded(plain), plain);
        }
    }

    #[test]
    fn amounts_have_two_decimals() {
        assert_eq!(
            [0, 5, -5, 123_450, -100, i64::MIN].map(decimal),
            ["0.00", "0.05", "-0.05", "1234.50", "-1.00", "-92233720368547758.08"]
        );
    }
}
