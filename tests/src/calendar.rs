//! Months, and the moments of a story that is told up to an arbitrary day.

use std::fmt;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, Utc};

/// A calendar month in UTC. Displays as `2026-10`, the name of the run that closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(NaiveDate);

impl Month {
    /// The month in which an instant lies.
    pub fn of(at: DateTime<Utc>) -> Self {
        let day = at.date_naive();
        Self(day.with_day(1).unwrap_or(day))
    }

    /// The month that many months later; earlier, if negative.
    pub fn plus(self, months: i32) -> Self {
        let step = Months::new(months.unsigned_abs());
        let moved = if months < 0 { self.0.checked_sub_months(step) } else { self.0.checked_add_months(step) };
        Self(moved.unwrap_or(self.0))
    }

    /// Its first instant.
    pub fn start(self) -> DateTime<Utc> {
        self.0.and_time(NaiveTime::MIN).and_utc()
    }

    /// Midnight of a day of this month, counted from 1.
    pub fn day(self, day: u32) -> DateTime<Utc> {
        self.start() + Days::new(u64::from(day.saturating_sub(1)))
    }

    /// The first month of its quarter.
    pub fn quarter(self) -> Self {
        self.plus(-i32::try_from(self.0.month0() % 3).unwrap_or_default())
    }

    /// Whole months from `earlier` to this one.
    pub fn since(self, earlier: Self) -> i32 {
        let months = |month: Self| month.0.year() * 12 + i32::try_from(month.0.month0()).unwrap_or_default();
        months(self) - months(earlier)
    }

    /// In words: `October 2026`.
    pub fn in_words(self) -> String {
        self.0.format("%B %Y").to_string()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

/// A day of the story, said so that the story holds on whatever day it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A day (from 1) of a month of the story (from 0). The months 0 to 8 are three whole quarters; 9 begins the
    /// running one, which may not have come as far as this day.
    Story(i32, u32),
    /// A day (from 1) of the month that lies so many months before the running one.
    Back(i32, u32),
    /// So many days before the day on which the story ends.
    Ago(u64),
}

/// The frame of a story: where it starts and ends.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Midnight of the day on which the story ends: nobody acts at or after it, so that the same day tells the same.
    pub today: DateTime<Utc>,
    /// The month in which the story ends.
    pub running: Month,
    /// Its first month: the quarter that began nine months before the running one.
    pub first: Month,
}

impl Frame {
    /// The frame of a story that ends at `now`.
    pub fn ending(now: DateTime<Utc>) -> Self {
        let running = Month::of(now);
        Self { today: now.date_naive().and_time(NaiveTime::MIN).and_utc(), running, first: running.quarter().plus(-9) }
    }

    /// The instant `seconds` after the midnight of a day.
    pub fn at(&self, when: When, seconds: u32) -> DateTime<Utc> {
        let midnight = match when {
            When::Story(month, day) => self.first.plus(month).day(day),
            When::Back(months, day) => self.running.plus(-months).day(day),
            When::Ago(days) => self.today - Days::new(days),
        };
        midnight + TimeDelta::seconds(i64::from(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_starts_with_a_quarter_nine_to_twelve_months_before() {
        let mut day = NaiveDate::from_ymd_opt(2023, 1, 1).unwrap();
        while day < NaiveDate::from_ymd_opt(2028, 3, 1).unwrap() {
            let now = day.and_hms_opt(23, 59, 59).unwrap().and_utc();
            let frame = Frame::ending(now);
            assert_eq!(frame.first, frame.first.quarter(), "{now}");
            let months = frame.running.since(frame.first);
            assert!((9..=11).contains(&months), "{now}: {months}");
            assert_eq!(frame.first.plus(months), frame.running);
            assert!(frame.today <= now && frame.running.start() <= frame.today);
            day = day.succ_opt().unwrap();
        }
    }

    #[test]
    fn months_say_their_names() {
        let month = Month::of("2024-02-29T12:00:00Z".parse().unwrap());
        assert_eq!((month.to_string(), month.in_words()), ("2024-02".to_owned(), "February 2024".to_owned()));
        assert_eq!(month.plus(-14).to_string(), "2022-12");
        assert_eq!(month.plus(-14).quarter().to_string(), "2022-10");
        assert_eq!(month.day(29).to_string(), "2024-02-29 00:00:00 UTC");
    }
}
