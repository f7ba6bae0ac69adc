//! A statement's lines for a spreadsheet: CSV (RFC 4180), a row for each line, none of which is a formula.

use chrono::SecondsFormat;
use commission::{Line, Statement};
use documents::sheet::{decimal, guarded, writer};

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
