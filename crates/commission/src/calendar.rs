//! Calendar arithmetic in UTC (docs/rules.md §2.4).

use std::fmt;

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};

/// `time` so many calendar months later: the same day and time of day, clamped to the end of a shorter month. `None`
/// only beyond the years that chrono knows.
pub(crate) fn add_months(time: DateTime<Utc>, months: u32) -> Option<DateTime<Utc>> {
    // On naive times there is no offset to add and take away again.
    Some(time.naive_utc().checked_add_months(Months::new(months))?.and_utc())
}

/// The largest whole number of calendar months that fits between two instants; 0 when `to` is the earlier one.
pub(crate) fn whole_months(from: DateTime<Utc>, to: DateTime<Utc>) -> u32 {
    let months = u32::try_from(month_number(to) - month_number(from)).unwrap_or(0);
    match add_months(from, months) {
        Some(reached) if reached <= to => months,
        _ => months.saturating_sub(1),
    }
}

/// Twelve times the year, plus the month: equal for two instants of one calendar month, and one more for each month later.
pub(crate) fn month_number(time: DateTime<Utc>) -> i32 {
    let day = time.naive_utc();
    day.year() * 12 + day.month0().cast_signed()
}

/// A calendar quarter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quarter {
    /// The calendar year.
    pub year: i32,
    /// From 1 to 4.
    pub number: u32,
}

impl Quarter {
    /// The quarter that an instant lies in.
    pub fn of(time: DateTime<Utc>) -> Self {
        let day = time.naive_utc();
        Self { year: day.year(), number: day.month0() / 3 + 1 }
    }

    /// Its last day.
    pub fn last_day(self) -> NaiveDate {
        let day = if matches!(self.number, 1 | 4) { 31 } else { 30 };
        NaiveDate::from_ymd_opt(self.year, self.number * 3, day).unwrap_or_default()
    }
}

impl fmt::Display for Quarter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-Q{}", self.year, self.number)
    }
}

/// Writes a day as people read it, such as `11 Feb 2026`.
pub(crate) struct Day(pub(crate) DateTime<Utc>);

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = MONTHS.get(self.0.month0() as usize).copied().unwrap_or_default();
        write!(out, "{} {month} {:04}", self.0.day(), self.0.year())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;

    use super::{Quarter, add_months, month_number, whole_months};

    proptest! {
        #[test]
        fn whole_months_is_the_largest_number_that_fits(from_s in 0i64..4_000_000_000, later_s in 0i64..400_000_000) {
            let from = DateTime::from_timestamp(from_s, 0).unwrap();
            let to = from + TimeDelta::seconds(later_s);
            let months = whole_months(from, to);
            prop_assert!(add_months(from, months).unwrap() <= to);
            prop_assert!(add_months(from, months + 1).unwrap() > to);
            prop_assert_eq!(whole_months(to, from), 0);
        }

        #[test]
        fn each_month_later_has_the_next_number(from_s in 0i64..4_000_000_000, months in 0u32..400) {
            let from = DateTime::from_timestamp(from_s, 0).unwrap();
            let numbers = [from, add_months(from, months).unwrap()].map(month_number);
            prop_assert_eq!(numbers[1] - numbers[0], months.cast_signed());
        }

        #[test]
        fn the_last_day_of_a_quarter_is_its_own_and_the_next_day_is_not(at_s in 0i64..4_000_000_000) {
            let quarter = Quarter::of(DateTime::from_timestamp(at_s, 0).unwrap());
            let last = quarter.last_day().and_hms_opt(23, 59, 59).unwrap().and_utc();
            prop_assert_eq!(Quarter::of(last), quarter);
            prop_assert!(Quarter::of(last + TimeDelta::seconds(1)) > quarter);
        }
    }
}
