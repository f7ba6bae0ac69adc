//! Billing periods on the calendar.

use chrono::{DateTime, Datelike as _, Months, TimeDelta, Utc};

use crate::error::ApiError;

/// Seconds of a day.
pub(crate) const DAY_S: i64 = 86_400;

/// The first boundary after `start` of the periods that are counted from `anchor`; instants in seconds.
pub(crate) fn boundary(anchor: i64, start: i64, interval: &str, count: i64) -> Result<i64, ApiError> {
    let fixed_s = match interval {
        "day" => DAY_S * count,
        "week" => 7 * DAY_S * count,
        _ => 0,
    };
    if fixed_s > 0 {
        return Ok(anchor + ((start - anchor).div_euclid(fixed_s) + 1) * fixed_s);
    }
    let months = if interval == "year" { 12 * count } else { count };
    let (from, to) = (instant(anchor)?, instant(start)?);
    let passed = i64::from(to.year() - from.year()) * 12 + i64::from(to.month()) - i64::from(from.month());
    let mut periods = (passed.div_euclid(months)).max(0);
    loop {
        let end = add_months(anchor, periods * months)?;
        if end > start {
            return Ok(end);
        }
        periods += 1;
    }
}

/// The same day some months later, or the last day of a shorter month.
pub(crate) fn add_months(instant_s: i64, months: i64) -> Result<i64, ApiError> {
    let months = u32::try_from(months).unwrap_or(u32::MAX);
    let moved = instant(instant_s)?.checked_add_months(Months::new(months));
    moved.map(|at| at.timestamp()).ok_or_else(|| ApiError::internal("The clock has left the calendar."))
}

fn instant(seconds: i64) -> Result<DateTime<Utc>, ApiError> {
    DateTime::from_timestamp(seconds, 0).ok_or_else(|| ApiError::internal("The clock has left the calendar."))
}

/// An instant as `16 Apr 2026`.
pub(crate) fn day(seconds: i64) -> String {
    let at = DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::seconds(seconds)).unwrap_or_default();
    at.format("%-d %b %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().unwrap().timestamp()
    }

    #[test]
    fn the_31st_stays_the_31st_and_a_leap_day_comes_back() {
        let anchor = at("2026-01-31T10:00:00Z");
        let mut start = anchor;
        let mut ends = Vec::new();
        for _ in 0..4 {
            start = boundary(anchor, start, "month", 1).unwrap();
            ends.push(instant(start).unwrap().date_naive().to_string());
        }
        assert_eq!(ends, ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]);
        let leap = at("2024-02-29T00:00:00Z");
        assert_eq!(boundary(leap, leap, "year", 1).unwrap(), at("2025-02-28T00:00:00Z"));
        assert_eq!(boundary(leap, at("2027-02-28T00:00:00Z"), "year", 1).unwrap(), at("2028-02-29T00:00:00Z"));
    }

    #[test]
    fn a_boundary_is_always_after_the_start_and_within_one_period() {
        for anchor_day in 0..40 {
            let anchor = at("2025-12-20T08:30:00Z") + anchor_day * DAY_S;
            for offset in 0..400 {
                let start = anchor + offset * DAY_S;
                for (interval, count, longest) in
                    [("month", 1, 31), ("month", 3, 92), ("year", 1, 366), ("week", 2, 14)]
                {
                    let end = boundary(anchor, start, interval, count).unwrap();
                    assert!(end > start && end - start <= longest * DAY_S, "{interval} {anchor_day} {offset}");
                }
            }
        }
    }
}
