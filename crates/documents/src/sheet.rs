//! What every table for a spreadsheet has in common: CSV (RFC 4180), amounts with two decimals, and no text that is a formula.

use std::borrow::Cow;

use csv::{Terminator, Writer, WriterBuilder};

/// Writes rows as RFC 4180 has them.
pub fn writer(into: &mut Vec<u8>) -> Writer<&mut Vec<u8>> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(into)
}

/// A whole table: the names of its columns, and its rows.
///
/// # Errors
/// Only where the writer runs out of memory, or a row has another number of cells than the first.
pub fn table<R: IntoIterator<Item = C>, C: AsRef<[u8]>>(
    columns: &[&str],
    rows: impl IntoIterator<Item = R>,
) -> csv::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = writer(&mut bytes);
    writer.write_record(columns)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.flush()?;
    drop(writer);
    Ok(bytes)
}

/// An amount in minor units such as `-1234.50`.
pub fn decimal(amount_minor: i64) -> String {
    let magnitude = amount_minor.unsigned_abs();
    format!("{}{}.{:02}", if amount_minor < 0 { "-" } else { "" }, magnitude / 100, magnitude % 100)
}

/// A text that a spreadsheet would take for a formula gets an apostrophe before it. A plain number is none.
pub fn guarded(text: &str) -> Cow<'_, str> {
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
