//! A run for a spreadsheet: as CSV, and as a workbook with a sheet of who is paid, one of who is not, and a summary.

use chrono::{DateTime, SecondsFormat, Utc};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Formula, Workbook, Worksheet, XlsxError};
use serde::Serialize;
use wire::{NotPaid, Run, RunItem};

use crate::DocumentError;
use crate::sheet::{decimal, guarded, table};

const COLUMNS: [&str; 15] = [
    "run", "period", "row", "partner", "name", "tier", "state", "amount", "balance", "waiting", "currency", "account",
    "transfer", "digest", "note",
];

/// A run as CSV: a row for each agency that is paid (`payout`) and for each that is not (`not_paid`).
///
/// # Errors
/// Only where it cannot be written.
pub fn csv(run: &Run, currency: &str) -> Result<Vec<u8>, DocumentError> {
    let currency = currency.to_uppercase();
    let head = |row: &str| [run.summary.run.clone(), run.summary.period.clone(), row.to_owned()];
    let text = |text: &str| guarded(text).into_owned();
    let paid = run.items.iter().map(|item| {
        let rest = [
            text(&item.partner),
            text(&item.name),
            word(&item.tier),
            word(&item.state),
            decimal(item.amount_minor),
            String::new(),
            String::new(),
            currency.clone(),
            text(&item.destination),
            text(item.transfer.as_deref().unwrap_or_default()),
            text(&item.digest),
            text(item.problem.as_deref().unwrap_or_default()),
        ];
        head("payout").into_iter().chain(rest).collect::<Vec<_>>()
    });
    let not_paid = run.not_paid.iter().map(|one| {
        let none = String::new;
        let rest = [
            text(&one.partner),
            text(&one.name),
            none(),
            word(&one.reason),
            none(),
            decimal(one.balance_minor),
            decimal(one.waiting_minor),
            currency.clone(),
            none(),
            none(),
            none(),
            text(&one.text),
        ];
        head("not_paid").into_iter().chain(rest).collect::<Vec<_>>()
    });
    table(&COLUMNS, paid.chain(not_paid)).map_err(|error| DocumentError::Format(error.to_string()))
}

/// A run as a workbook. The same run gives the same bytes.
///
/// # Errors
/// [`DocumentError::TooLarge`] for an amount that a spreadsheet cannot hold to the cent: more than 90 trillion.
pub fn xlsx(run: &Run, currency: &str) -> Result<Vec<u8>, DocumentError> {
    let mut book = Book { looks: Looks::new(), workbook: Workbook::new() };
    book.properties(run)?;
    book.payouts(&run.items, currency)?;
    book.not_paid(&run.not_paid, currency)?;
    book.summary(run, currency)?;
    Ok(book.workbook.save_to_buffer()?)
}

impl From<XlsxError> for DocumentError {
    fn from(error: XlsxError) -> Self {
        DocumentError::Format(error.to_string())
    }
}

/// A word of the API, such as `below_minimum`.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// An amount as a cell has it. The only place where money is a floating-point number: a spreadsheet has no other kind. Up to
/// 2^53 minor units the quotient is the number nearest to the amount in cents, so a spreadsheet shows and adds it to the cent.
#[expect(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    reason = "XLSX has no other numbers, and these are exact to the cent."
)]
fn cell(amount_minor: i64) -> Result<f64, DocumentError> {
    if amount_minor.unsigned_abs() > 1 << 53 {
        return Err(DocumentError::TooLarge { amount_minor });
    }
    Ok(amount_minor as f64 / 100.0)
}

/// The most characters that a cell takes.
const CELL_CHARACTERS: usize = 32_767;

fn short(text: &str) -> String {
    text.chars().take(CELL_CHARACTERS / 2).collect()
}

struct Looks {
    head: Format,
    head_right: Format,
    money: Format,
    total: Format,
    label: Format,
    title: Format,
    wrapped: Format,
}

impl Looks {
    fn new() -> Looks {
        let head = Format::new()
            .set_bold()
            .set_background_color(0x00E8_F1EE)
            .set_border_bottom(rust_xlsxwriter::FormatBorder::Thin);
        let money = Format::new().set_num_format("#,##0.00;[Red]-#,##0.00");
        Looks {
            head_right: head.clone().set_align(FormatAlign::Right),
            head,
            total: money.clone().set_bold().set_border_top(rust_xlsxwriter::FormatBorder::Thin),
            money,
            label: Format::new().set_font_color(0x005A_616B).set_align(FormatAlign::Top),
            title: Format::new().set_bold().set_font_size(14),
            wrapped: Format::new().set_text_wrap().set_align(FormatAlign::Top),
        }
    }
}

/// A column: its name, how wide it is in characters, and whether it holds amounts.
type Column = (&'static str, u16, bool);

struct Book {
    looks: Looks,
    workbook: Workbook,
}

impl Book {
    fn properties(&mut self, run: &Run) -> Result<(), DocumentError> {
        let made = ExcelDateTime::from_timestamp(run.summary.drafted_at.timestamp())?;
        let properties = DocProperties::new()
            .set_title(format!("Payout run {}", run.summary.run))
            .set_author("AIKit Partners")
            .set_creation_datetime(&made);
        self.workbook.set_properties(&properties);
        Ok(())
    }

    fn sheet(&mut self, name: &str, columns: &[Column]) -> Result<&mut Worksheet, DocumentError> {
        let sheet = self.workbook.add_worksheet();
        sheet.set_name(name)?.set_freeze_panes(1, 0)?;
        for (at, (name, width, is_amount)) in (0..).zip(columns) {
            let look = if *is_amount { &self.looks.head_right } else { &self.looks.head };
            sheet.set_column_width(at, *width)?.write_string_with_format(0, at, *name, look)?;
        }
        Ok(sheet)
    }

    fn payouts(&mut self, items: &[RunItem], currency: &str) -> Result<(), DocumentError> {
        const COLUMNS: [Column; 10] = [
            ("Agency", 34, false),
            ("Code", 20, false),
            ("Tier", 10, false),
            ("State", 10, false),
            ("Amount", 16, true),
            ("Currency", 9, false),
            ("Stripe account", 24, false),
            ("Transfer", 30, false),
            ("Statement digest", 40, false),
            ("Note", 60, false),
        ];
        let (money, total) = (self.looks.money.clone(), self.looks.total.clone());
        let sheet = self.sheet("Payouts", &COLUMNS)?;
        for (row, item) in (1..).zip(items) {
            sheet
                .write_string(row, 0, short(&item.name))?
                .write_string(row, 1, &item.partner)?
                .write_string(row, 2, word(&item.tier))?
                .write_string(row, 3, word(&item.state))?
                .write_number_with_format(row, 4, cell(item.amount_minor)?, &money)?
                .write_string(row, 5, currency.to_uppercase())?
                .write_string(row, 6, &item.destination)?
                .write_string(row, 7, item.transfer.as_deref().unwrap_or_default())?
                .write_string(row, 8, &item.digest)?
                .write_string(row, 9, short(item.problem.as_deref().unwrap_or_default()))?;
        }
        let sum = sum(items.iter().map(|item| item.amount_minor))?;
        let last = below(items.len());
        let formula = total_of('E', items.len(), sum)?;
        sheet.write_string(last, 0, "Total")?.write_formula_with_format(last, 4, formula, &total)?;
        Ok(())
    }

    fn not_paid(&mut self, partners: &[NotPaid], currency: &str) -> Result<(), DocumentError> {
        const COLUMNS: [Column; 7] = [
            ("Agency", 34, false),
            ("Code", 20, false),
            ("Balance", 16, true),
            ("Waiting", 16, true),
            ("Currency", 9, false),
            ("Reason", 20, false),
            ("In words", 90, false),
        ];
        let (money, total) = (self.looks.money.clone(), self.looks.total.clone());
        let sheet = self.sheet("Not paid", &COLUMNS)?;
        for (row, one) in (1..).zip(partners) {
            sheet
                .write_string(row, 0, short(&one.name))?
                .write_string(row, 1, &one.partner)?
                .write_number_with_format(row, 2, cell(one.balance_minor)?, &money)?
                .write_number_with_format(row, 3, cell(one.waiting_minor)?, &money)?
                .write_string(row, 4, currency.to_uppercase())?
                .write_string(row, 5, word(&one.reason))?
                .write_string(row, 6, short(&one.text))?;
        }
        let last = below(partners.len());
        let balance = total_of('C', partners.len(), sum(partners.iter().map(|one| one.balance_minor))?)?;
        let waiting = total_of('D', partners.len(), sum(partners.iter().map(|one| one.waiting_minor))?)?;
        sheet
            .write_string(last, 0, "Total")?
            .write_formula_with_format(last, 2, balance, &total)?
            .write_formula_with_format(last, 3, waiting, &total)?;
        Ok(())
    }

    fn summary(&mut self, run: &Run, currency: &str) -> Result<(), DocumentError> {
        let summary = &run.summary;
        let (looks, sheet) = (&self.looks, self.workbook.add_worksheet());
        sheet.set_name("Summary")?.set_freeze_panes(1, 0)?;
        sheet.set_column_width(0, 22)?.set_column_width(1, 80)?;
        sheet.write_string_with_format(0, 0, format!("Payout run {}", summary.run), &looks.title)?;
        let mut rows = vec![
            ("Month", summary.period.clone()),
            ("Counts", format!("everything recorded before {}", time(summary.as_of))),
            ("State", word(&summary.state)),
            ("Seal", summary.run_hash.clone().unwrap_or_else(|| "not sealed".into())),
            ("Drafted", time(summary.drafted_at)),
            ("Done", summary.done_at.map(time).unwrap_or_else(|| "not yet".into())),
            ("Approvals needed", run.approvals_needed.to_string()),
        ];
        rows.extend(run.approvals.iter().map(|one| ("Approved", format!("{} at {}", one.by, time(one.at)))));
        rows.extend(run.closed.clone().map(|why| ("Closed", why)));
        rows.push(("Currency", currency.to_uppercase()));
        let mut row = 2;
        for (label, value) in rows {
            sheet.write_string_with_format(row, 0, label, &looks.label)?;
            sheet.write_string_with_format(row, 1, short(&value), &looks.wrapped)?;
            row += 1;
        }
        let amounts = run.items.iter().map(|item| item.amount_minor);
        let balances = run.not_paid.iter().map(|one| one.balance_minor);
        let (items, others) = (run.items.len(), run.not_paid.len());
        let paid = run.items.iter().filter(|item| item.state == wire::PayoutState::Paid).map(|item| item.amount_minor);
        let sums = [
            ("To pay", total_of_sheet("Payouts", 'E', items), sum(amounts)?),
            ("Paid so far", format!("=SUMIF(Payouts!D2:D{0},\"paid\",Payouts!E2:E{0})", items.max(1) + 1), sum(paid)?),
            ("Not paid", total_of_sheet("'Not paid'", 'C', others), sum(balances)?),
        ];
        let money = looks.money.clone().set_align(FormatAlign::Left);
        for (label, formula, sum_minor) in sums {
            let formula = Formula::new(formula).set_result(decimal(sum_minor));
            sheet.write_string_with_format(row, 0, label, &looks.label)?;
            sheet.write_formula_with_format(row, 1, formula, &money)?;
            row += 1;
        }
        Ok(())
    }
}

fn sum(amounts: impl Iterator<Item = i64>) -> Result<i64, DocumentError> {
    let sum: i128 = amounts.map(i128::from).sum();
    let sum = i64::try_from(sum).map_err(|_| DocumentError::TooLarge { amount_minor: i64::MAX })?;
    cell(sum).map(|_| sum)
}

/// The row below so many, and below the empty one where there are none: a sum is not part of itself.
fn below(rows: usize) -> u32 {
    u32::try_from(rows.max(1)).unwrap_or(u32::MAX).saturating_add(1)
}

/// A column's sum, with what it comes to for whoever does not compute it.
fn total_of(column: char, rows: usize, sum_minor: i64) -> Result<Formula, DocumentError> {
    cell(sum_minor)?;
    Ok(Formula::new(format!("=SUM({column}2:{column}{})", rows.max(1) + 1)).set_result(decimal(sum_minor)))
}

fn total_of_sheet(sheet: &str, column: char, rows: usize) -> String {
    format!("=SUM({sheet}!{column}2:{column}{})", rows.max(1) + 1)
}
