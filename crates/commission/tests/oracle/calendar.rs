//! Calendar arithmetic in UTC, from the fields of a date alone (docs/rules.md §2.4).

use chrono::{DateTime, Datelike, NaiveDate, Utc};

/// The same day and time of day `months` later, or the last day of a shorter month.
#[expect(clippy::expect_used, reason = "A journal of the tests ends millennia before the calendar does.")]
pub(crate) fn add_months(time: DateTime<Utc>, months: u32) -> DateTime<Utc> {
    let count = i64::from(time.year()) * 12 + i64::from(time.month0()) + i64::from(months);
    let year = i32::try_from(count.div_euclid(12)).expect("the year is small");
    let month = u32::try_from(count.rem_euclid(12)).expect("a remainder of 12 is small") + 1;
    let day = time.day().min(days_in_month(year, month));
    NaiveDate::from_ymd_opt(year, month, day).expect("the day exists").and_time(time.time()).and_utc()
}

pub(crate) fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: i32) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

/// How many months can be added to `from` without passing `to`; 0 where `to` is earlier.
pub(crate) fn whole_months(from: DateTime<Utc>, to: DateTime<Utc>) -> u32 {
    let mut months = 0;
    while add_months(from, months + 1) <= to {
        months += 1;
    }
    months
}

/// The year, and the month in it from 1.
pub(crate) fn calendar_month(time: DateTime<Utc>) -> (i32, u32) {
    (time.year(), time.month())
}

/// The year, and the quarter in it from 0.
pub(crate) fn quarter(time: DateTime<Utc>) -> (i32, u32) {
    (time.year(), time.month0() / 3)
}

/// The difference in whole seconds; what is left of a second is dropped.
pub(crate) fn whole_seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> i128 {
    (nanoseconds(to) - nanoseconds(from)) / 1_000_000_000
}

fn nanoseconds(time: DateTime<Utc>) -> i128 {
    i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos())
}
