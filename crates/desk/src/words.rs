//! Amounts and months as words, for what is shown outside of the pages. Pure.

/// `$1,284.50`; a negative amount has its sign in front.
pub(crate) fn money(minor: i64) -> String {
    let (whole, cents) = (minor.unsigned_abs() / 100, minor.unsigned_abs() % 100);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if minor < 0 { "−" } else { "" };
    format!("{sign}${grouped}.{cents:02}")
}

/// `October 2026` of `2026-10`; what is no month is no word of ours either.
pub(crate) fn month(period: &str) -> String {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let parsed = period.split_once('-').and_then(|(year, month)| {
        let month: usize = month.parse().ok()?;
        let year: u16 = year.parse().ok()?;
        Some(format!("{} {year}", NAMES.get(month.checked_sub(1)?)?))
    });
    parsed.unwrap_or_else(|| "a month".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_and_months_read_as_on_the_pages() {
        for (minor, text) in [
            (0, "$0.00"),
            (5, "$0.05"),
            (99_999, "$999.99"),
            (100_000, "$1,000.00"),
            (128_450, "$1,284.50"),
            (123_456_789, "$1,234,567.89"),
            (-1_200, "−$12.00"),
            (i64::MIN, "−$92,233,720,368,547,758.08"),
        ] {
            assert_eq!(money(minor), text);
        }
        for (period, text) in [
            ("2026-10", "October 2026"),
            ("2026-01", "January 2026"),
            ("2026-13", "a month"),
            ("2026-00", "a month"),
            ("<b>", "a month"),
        ] {
            assert_eq!(month(period), text);
        }
    }

    proptest! {
        #[test]
        fn an_amount_keeps_its_digits(minor in any::<i64>()) {
            let digits: String = money(minor).chars().filter(char::is_ascii_digit).collect();
            prop_assert_eq!(digits.parse::<u64>().ok(), Some(minor.unsigned_abs()));
        }
    }
}
