//! Shares of amounts, rounded once, half away from zero (docs/rules.md §2.5).

use rust_decimal::Decimal;

/// `amount × part / whole`, rounded half away from zero. `whole` must be above zero and the factors within the limits
/// of a fact, so that the product fits; `None` otherwise.
pub(crate) fn share(amount_minor: i64, part: i128, whole: i128) -> Option<i64> {
    let product = i128::from(amount_minor).checked_mul(part)?;
    if whole <= 0 {
        return None;
    }
    let (magnitude, whole) = (product.unsigned_abs(), whole.unsigned_abs());
    // Half or more of the divisor rounds up in magnitude, which is away from zero.
    let rounded = match (u64::try_from(magnitude), u64::try_from(whole)) {
        // Nearly all amounts, for which processors have an instruction.
        (Ok(magnitude), Ok(whole)) => {
            u128::from(magnitude / whole) + u128::from(magnitude % whole >= whole.div_ceil(2))
        }
        _ => magnitude / whole + u128::from(magnitude % whole >= whole.div_ceil(2)),
    };
    i64::try_from(product.signum() * i128::try_from(rounded).ok()?).ok()
}

/// `amount × rate`, rounded half away from zero.
pub(crate) fn at_rate(amount_minor: i64, rate: Decimal) -> Option<i64> {
    share(amount_minor, rate.mantissa(), 10_i128.checked_pow(rate.scale())?)
}

/// A twelfth of a yearly amount, rounded half away from zero.
pub(crate) fn monthly(annual_minor: i128) -> Option<i64> {
    share(i64::try_from(annual_minor).ok()?, 1, 12)
}

/// A rate as lines carry it: a decimal string with at least two decimals and no needless zeros, such as `0.20`.
pub(crate) fn rate_text(rate: Decimal) -> String {
    let mut rate = rate.normalize();
    rate.rescale(rate.scale().max(2));
    rate.to_string()
}

/// A rate as people read it, such as `20 %` or `12.5 %`.
pub(crate) fn percent_text(rate: Decimal) -> String {
    match rate.checked_mul(Decimal::ONE_HUNDRED) {
        Some(percent) => format!("{} %", percent.normalize()),
        None => format!("{rate} as a fraction"),
    }
}

/// An amount as people read it, such as `-$1,234.50`.
pub fn format_minor(amount_minor: i64) -> String {
    let magnitude = amount_minor.unsigned_abs();
    let whole = (magnitude / 100).to_string();
    let mut text = String::with_capacity(whole.len() + whole.len() / 3 + 5);
    if amount_minor < 0 {
        text.push('-');
    }
    text.push('$');
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let cents = magnitude % 100;
    text.push('.');
    if cents < 10 {
        text.push('0');
    }
    text.push_str(&cents.to_string());
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::{at_rate, format_minor, percent_text, rate_text, share};
    use crate::MAX_AMOUNT_MINOR;

    proptest! {
        /// The rounded share is within half a unit of the exact one, and a tie is further from zero.
        #[test]
        fn shares_are_rounded_half_away_from_zero(
            amount in -MAX_AMOUNT_MINOR..=MAX_AMOUNT_MINOR,
            whole in prop_oneof![1..=MAX_AMOUNT_MINOR, 1..=20i64],
            part in 0..=MAX_AMOUNT_MINOR,
        ) {
            let (part, whole) = (i128::from(part % (whole + 1)), i128::from(whole));
            let exact = i128::from(amount) * part;
            let rounded = i128::from(share(amount, part, whole).unwrap());
            let off = 2 * (rounded * whole - exact);
            prop_assert!(off.abs() <= whole);
            prop_assert!(off.abs() < whole || rounded.abs() * whole > exact.abs());
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(share(i64::MAX, i128::MAX, 1), None);
        assert_eq!(share(1, 1, 0), None);
        assert_eq!(share(1, 1, -1), None);
        assert_eq!(at_rate(-1, Decimal::new(5, 1)), Some(-1));
    }

    #[test]
    fn figures_read_well() {
        let minor = [0, 5, -5, 99_999, 100_000, -123_456_789, i64::MIN];
        let text =
            ["$0.00", "$0.05", "-$0.05", "$999.99", "$1,000.00", "-$1,234,567.89", "-$92,233,720,368,547,758.08"];
        assert_eq!(minor.map(format_minor), text);
        let rates = [Decimal::new(2, 1), Decimal::new(20, 2), Decimal::new(12_500, 5), Decimal::ONE, Decimal::ZERO];
        assert_eq!(rates.map(rate_text), ["0.20", "0.20", "0.125", "1.00", "0.00"]);
        assert_eq!(rates.map(percent_text), ["20 %", "20 %", "12.5 %", "100 %", "0 %"]);
    }
}
