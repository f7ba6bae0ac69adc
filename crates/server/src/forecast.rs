//! `forecast`: what the coming months bring a partner if they go as somebody supposes, on standard output.

mod page;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, ValueEnum};
use commission::{Assumptions, Forecast, ForecastError, ForecastMonth, Plan, Tier, forecast, parse_time};
use documents::sheet::{decimal, guarded, writer};
use rust_decimal::Decimal;

use crate::statements::page::one_line;
use crate::statements::{is_broken_pipe, read_journal, read_terms_or_default, source_name};

/// Options of `forecast`.
#[derive(Args)]
pub(crate) struct Options {
    /// The journal (JSONL); `-` for standard input.
    #[arg(long, value_name = "FILE|-")]
    journal: PathBuf,
    /// Where the forecast begins: facts before this instant count.
    #[arg(long, value_name = "TIME")]
    as_of: String,
    /// Whose months.
    #[arg(long, value_name = "CODE")]
    partner: String,
    /// The terms (TOML); the program's default terms without it.
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
    /// How many new clients sign up a month, such as 1.5.
    #[arg(long, value_name = "NUMBER", default_value = "0", allow_negative_numbers = true)]
    new_clients: Decimal,
    /// A plan that they choose: its interval, its price in minor units and the share of the clients, such as
    /// month:50000:0.7. May be repeated; the shares add up to 1.
    #[arg(long = "plan", value_name = "INTERVAL:PRICE:SHARE")]
    plans: Vec<Plan>,
    /// The share of the clients that leaves each month, such as 0.02 for 2 %.
    #[arg(long, value_name = "SHARE", default_value = "0", allow_negative_numbers = true)]
    churn: Decimal,
    /// How many days a subscription is free before its first payment.
    #[arg(long, value_name = "DAYS", default_value = "0", allow_negative_numbers = true)]
    trial_days: u32,
    /// How many calendar months.
    #[arg(long, value_name = "NUMBER", default_value = "24", allow_negative_numbers = true)]
    months: u32,
    /// What to write: `text` is to be read, `csv` has a row for each month, `journal` is the facts that the forecast
    /// is computed from, known and assumed, for `statements`.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Text,
    Csv,
    Journal,
}

/// Writes the forecast. An error is one line, whatever the journal has in it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    match write_forecast(options) {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other.map_err(|error| anyhow!(one_line(&format!("{error:#}")))),
    }
}

fn write_forecast(options: &Options) -> anyhow::Result<()> {
    let as_of = parse_time(&options.as_of).map_err(|message| anyhow!("--as-of {message}"))?;
    let terms = read_terms_or_default(options.terms.as_deref())?;
    let name = source_name(&options.journal);
    let facts = read_journal(&options.journal).with_context(|| name.clone())?.into_facts();
    let assumptions = Assumptions {
        new_clients_per_month: options.new_clients,
        plans: options.plans.clone(),
        monthly_churn: options.churn,
        trial_days: options.trial_days,
        months: options.months,
    };
    let forecast = forecast(&facts, &terms, as_of, &options.partner, &assumptions).map_err(|error| match error {
        ForecastError::Assumption { field, message } => anyhow!("{} {message}", option_of(&field)),
        other => anyhow!(other).context(name),
    })?;
    let mut out = BufWriter::new(io::stdout().lock());
    match options.format {
        Format::Text => out.write_all(page::forecast(&forecast).as_bytes())?,
        Format::Csv => out.write_all(&rows(&forecast)?)?,
        Format::Json => {
            serde_json::to_writer(&mut out, &forecast)?;
            writeln!(out)?;
        }
        Format::Journal => {
            for fact in &forecast.journal {
                serde_json::to_writer(&mut out, fact)?;
                writeln!(out)?;
            }
        }
    }
    Ok(out.flush()?)
}

/// An assumption by the name that it has on the command line.
fn option_of(field: &str) -> String {
    let plan = field.strip_prefix("plans[").and_then(|rest| rest.split_once("]."));
    match (field, plan) {
        (_, Some((index, field))) => {
            let number = index.parse::<usize>().map_or(0, |index| index + 1);
            let field = if field == "share" { "share" } else { "price" };
            format!("--plan number {number}: its {field}")
        }
        ("new_clients_per_month", _) => "--new-clients".to_owned(),
        ("plans", _) => "--plan".to_owned(),
        ("monthly_churn", _) => "--churn".to_owned(),
        (field, _) => format!("--{}", field.replace('_', "-")),
    }
}

/// Names of the columns. Amounts are in whole currency units with two decimals.
const COLUMNS: [&str; 20] = [
    "partner",
    "from",
    "until",
    "first_year",
    "recurring",
    "volume_bonus",
    "high_value_bonus",
    "reversal",
    "earned",
    "forfeited",
    "vested",
    "pending",
    "held",
    "balance",
    "payout",
    "active_clients",
    "mrr",
    "tier",
    "quarter",
    "quarter_reached",
];

/// The header and a row for each month.
fn rows(forecast: &Forecast) -> anyhow::Result<Vec<u8>> {
    let mut rows = Vec::new();
    let mut sheet = writer(&mut rows);
    sheet.write_record(COLUMNS)?;
    forecast.months.iter().try_for_each(|month| sheet.write_record(cells(&forecast.partner, month)))?;
    sheet.flush()?;
    drop(sheet);
    Ok(rows)
}

fn cells(partner: &str, month: &ForecastMonth) -> [String; COLUMNS.len()] {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let earned = &month.earned;
    [
        guarded(partner).into_owned(),
        time(month.from),
        time(month.until),
        decimal(earned.first_year_minor),
        decimal(earned.recurring_minor),
        decimal(earned.volume_bonus_minor),
        decimal(earned.high_value_bonus_minor),
        decimal(earned.reversal_minor),
        decimal(earned.total_minor),
        decimal(month.forfeited_minor),
        decimal(month.vested_minor),
        decimal(month.pending_minor),
        decimal(month.held_minor),
        decimal(month.balance_minor),
        decimal(month.payout_minor),
        month.active_clients.to_string(),
        decimal(month.mrr_minor),
        if month.tier == Tier::Platinum { "platinum" } else { "standard" }.to_owned(),
        month.quarter.clone(),
        month.quarter_reached.to_string(),
    ]
}
