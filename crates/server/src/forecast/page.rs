//! A forecast as a person reads it: what is supposed, a row and a bar for each month, sums, and what is reached when.

use chrono::{Datelike as _, Timelike as _};
use commission::{Assumptions, Forecast, ForecastMonth, Interval, Plan, Tier, format_minor};
use rust_decimal::Decimal;

use crate::statements::page::{WIDTH, instant, printable, push, push_wrapped};

/// Columns of the longest bar.
const BAR: usize = 24;

/// The page of a forecast.
pub(super) fn forecast(forecast: &Forecast) -> String {
    let mut page = String::new();
    let tier = if forecast.tier == Tier::Platinum { "Platinum" } else { "Standard" };
    let months = counted(forecast.months.len(), "month");
    let head = format!("{}  ·  {tier}  ·  {months} from {}", printable(&forecast.partner), instant(forecast.as_of));
    push(&mut page, &head);
    push(&mut page, &"═".repeat(WIDTH));
    push_wrapped(&mut page, &supposed(&forecast.assumptions));
    page.push('\n');
    push_table(&mut page, forecast);
    push_remarks(&mut page, forecast);
    page
}

/// What is assumed, in sentences.
fn supposed(assumptions: &Assumptions) -> String {
    let Assumptions { new_clients_per_month: new_clients, plans, monthly_churn, trial_days, .. } = assumptions;
    let coming = if new_clients.is_zero() {
        "nobody new comes".to_owned()
    } else {
        let clients = if *new_clients == Decimal::ONE { "client comes" } else { "clients come" };
        let plans = match &plans[..] {
            [only] => price(only),
            several => several
                .iter()
                .map(|plan| format!("{} {}", percent(plan.share), price(plan)))
                .collect::<Vec<_>>()
                .join(", "),
        };
        format!("{} new {clients} a month ({plans})", new_clients.normalize())
    };
    let leaving = if monthly_churn.is_zero() {
        "nobody leaves".to_owned()
    } else {
        format!("{} of the clients leave each month", percent(*monthly_churn))
    };
    let trial = match trial_days {
        0 => String::new(),
        days => format!(", the first payment is made {} after the sign-up", counted(*days as usize, "day")),
    };
    format!("If {coming}, {leaving}{trial}, and what is live goes on at its price:")
}

fn price(plan: &Plan) -> String {
    let interval = if plan.interval == Interval::Month { "month" } else { "year" };
    format!("at {} a {interval}", format_minor(plan.amount_minor))
}

fn percent(share: Decimal) -> String {
    format!("{} %", share.checked_mul(Decimal::ONE_HUNDRED).unwrap_or_default().normalize())
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// The month, or the part of it that the forecast has.
fn name(month: &ForecastMonth) -> String {
    let whole = month.from.day() == 1 && month.from.num_seconds_from_midnight() == 0 && month.from.nanosecond() == 0;
    month.from.format(if whole { "%b %Y" } else { "from %-d %b %Y" }).to_string()
}

/// A column of figures: its head, the figure of a month, and the sum where there is one.
type Column = (&'static str, fn(&ForecastMonth) -> String, Option<i64>);

fn push_table(page: &mut String, forecast: &Forecast) {
    let totals = &forecast.totals;
    let mut columns: Vec<Column> = vec![
        ("Clients", |month| month.active_clients.to_string(), None),
        ("They pay", |month| format_minor(month.mrr_minor), None),
        ("Earned", |month| format_minor(month.earned.total_minor), Some(totals.earned.total_minor)),
        ("Lost", |month| format_minor(month.forfeited_minor), Some(totals.forfeited_minor)),
        ("Pending", |month| format_minor(month.pending_minor), None),
        ("Held", |month| format_minor(month.held_minor), None),
        ("Vested", |month| format_minor(month.vested_minor), Some(totals.vested_minor)),
        ("Payout", |month| format_minor(month.payout_minor), Some(totals.payouts_minor)),
    ];
    // What never happens takes no room.
    let has_losses = forecast.months.iter().any(|month| month.forfeited_minor != 0);
    let has_held = forecast.months.iter().any(|month| month.held_minor != 0);
    columns.retain(|(head, ..)| (*head != "Lost" || has_losses) && (*head != "Held" || has_held));

    let all = counted(forecast.months.len(), "month");
    let heads = columns.iter().map(|(head, ..)| (*head).to_owned());
    let sums = columns.iter().map(|(.., sum)| sum.map(format_minor).unwrap_or_default());
    let head: Vec<String> = std::iter::once("Month".to_owned()).chain(heads).collect();
    let foot: Vec<String> = std::iter::once(format!("All {all}")).chain(sums).collect();
    let row = |month: &ForecastMonth| -> Vec<String> {
        std::iter::once(name(month)).chain(columns.iter().map(|(_, cell, _)| cell(month))).collect()
    };
    let rows: Vec<Vec<String>> = forecast.months.iter().map(row).collect();
    let widest = |column: usize| {
        let cells = rows.iter().chain([&head, &foot]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(widest).collect();
    let most = forecast.months.iter().map(|month| month.earned.total_minor).max().unwrap_or(0);
    push(page, &format!("{}  Earned", aligned(&head, &widths)));
    push(page, &"─".repeat(WIDTH));
    for (index, (cells, month)) in rows.iter().zip(&forecast.months).enumerate() {
        if index > 0 && month.from.month() == 1 {
            page.push('\n');
        }
        push(page, &format!("{}  {}", aligned(cells, &widths), bar(month.earned.total_minor, most)));
    }
    push(page, &"─".repeat(WIDTH));
    push(page, &aligned(&foot, &widths));
}

/// Cells side by side: the first to the left, figures to the right.
fn aligned(cells: &[String], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths).enumerate();
    let aligned = cells.map(|(index, (cell, width))| match index {
        0 => format!("{cell:<width$}"),
        _ => format!("  {cell:>width$}"),
    });
    aligned.collect()
}

/// A bar of [`BAR`] columns for the most that any month earns, to an eighth of a column.
fn bar(minor: i64, most: i64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let (minor, most) = (i128::from(minor.max(0)), i128::from(most.max(1)));
    let eighths = usize::try_from(minor * 8 * BAR as i128 / most).unwrap_or(0);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// What is reached when, what is paid at once, and that nothing of it is promised.
fn push_remarks(page: &mut String, forecast: &Forecast) {
    page.push('\n');
    if forecast.due_now_minor > 0 {
        let due = format_minor(forecast.due_now_minor);
        push(page, &format!("{due} are due at once, from before, and are part of the payouts."));
    }
    let mut tier = forecast.tier;
    let mut quarter = "";
    for month in &forecast.months {
        // At platinum rates the bonus adds nothing.
        let adds = month.earned.volume_bonus_minor != 0 || month.tier == Tier::Standard;
        if month.quarter_reached && month.quarter != quarter && adds {
            quarter = &month.quarter;
            push(page, &format!("{}: the volume bonus of {quarter} is reached.", name(month)));
        }
        if month.tier != tier {
            tier = month.tier;
            let text = match tier {
                Tier::Platinum => "platinum is reached, and kept",
                Tier::Standard => "new terms ask more for platinum",
            };
            push(page, &format!("{}: {text}.", name(month)));
        }
    }
    push(page, "A supposition by the terms of today, and no promise.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_with_what_is_earned_and_never_beyond_their_column() {
        let mut before = 0;
        for minor in [-5, 0, 1, 99, 500, 999, 1_000] {
            let bar = bar(minor, 1_000);
            let columns = bar.chars().count();
            assert!(columns >= before && columns <= BAR, "{minor}: {bar}");
            before = columns;
        }
        assert_eq!(bar(1_000, 1_000), "█".repeat(BAR));
        assert_eq!(bar(500, 1_000), "█".repeat(BAR / 2));
        assert_eq!(bar(i64::MAX, i64::MAX).chars().count(), BAR);
        assert_eq!([bar(0, 0), bar(-1, 0), bar(i64::MIN, 1)], ["", "", ""]);
    }
}
