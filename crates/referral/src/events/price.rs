//! What a subscription costs: one price per month or year, whatever its items are.

use commission::Interval;
use serde_json::Value;

use super::json::{id_of, items};

/// A price per interval, as listed: discounts, tax and usage are not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    pub interval: Interval,
    /// In `currency`.
    pub amount_minor: i64,
    /// ISO 4217, in lower case; the program's own where Stripe names none.
    pub currency: Option<String>,
    /// The invoice whose rate converts it, where the currency is another one.
    pub latest_invoice: Option<String>,
    /// Only the rate can have changed.
    pub restated: bool,
}

/// Amounts a year are added as fractions and rounded once.
#[derive(Clone, Copy)]
struct Fraction {
    numerator: i128,
    denominator: i128,
}

impl Fraction {
    fn plus(self, other: Fraction) -> Option<Fraction> {
        let numerator = self
            .numerator
            .checked_mul(other.denominator)?
            .checked_add(other.numerator.checked_mul(self.denominator)?)?;
        Some(Fraction { numerator, denominator: self.denominator.checked_mul(other.denominator)? }.reduced())
    }

    fn times(self, numerator: i128, denominator: i128) -> Option<Fraction> {
        let (numerator, denominator) =
            (self.numerator.checked_mul(numerator)?, self.denominator.checked_mul(denominator)?);
        Some(Fraction { numerator, denominator }.reduced())
    }

    fn reduced(self) -> Fraction {
        let (mut a, mut b) = (self.numerator.unsigned_abs(), self.denominator.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let divisor = i128::try_from(a.max(1)).unwrap_or(1);
        Fraction { numerator: self.numerator / divisor, denominator: self.denominator / divisor }
    }

    /// Half up; what is not above zero is nothing.
    fn rounded(self) -> Option<i64> {
        let twice = self.numerator.max(0).checked_mul(2)?.checked_add(self.denominator)?;
        i64::try_from(twice / self.denominator.checked_mul(2)?).ok().filter(|a| *a <= 9_000_000_000_000_000)
    }
}

impl Price {
    /// The price of a subscription.
    pub(super) fn of(subscription: &Value) -> Result<Price, String> {
        let items = subscription.pointer("/items").ok_or("items.data is missing")?;
        let (interval, amount_minor) = price(items)?;
        let currency = id_of(subscription, "/currency").or_else(|| id_of(items, "/data/0/price/currency"));
        Ok(Price {
            interval,
            amount_minor,
            currency: currency.map(|c| c.to_lowercase()),
            latest_invoice: id_of(subscription, "/latest_invoice"),
            restated: false,
        })
    }

    /// The price that other items of the same subscription would have.
    pub(super) fn of_items(items: &Value, now: &Price) -> Result<Price, String> {
        let (interval, amount_minor) = price(items)?;
        Ok(Price { interval, amount_minor, ..now.clone() })
    }
}

/// By the year where every item is paid by whole years, else by the month: a quarterly price is a third of itself.
fn price(list: &Value) -> Result<(Interval, i64), String> {
    let items = items(list, "/data");
    if items.is_empty() {
        return Err("items.data is missing".into());
    }
    let too_large = || "the price is too large to be money".to_string();
    let mut a_year = Fraction { numerator: 0, denominator: 1 };
    let mut yearly = true;
    for item in items {
        let price = item.pointer("/price").filter(|p| !p.is_null()).or_else(|| item.pointer("/plan"));
        let price = price.ok_or("an item has no price")?;
        let field = |new: &str, old: &str| price.pointer(new).or_else(|| price.pointer(old)).filter(|v| !v.is_null());
        let every = field("/recurring/interval", "/interval").and_then(Value::as_str).unwrap_or("none");
        let count = field("/recurring/interval_count", "/interval_count").and_then(Value::as_i64).unwrap_or(1);
        let a_year_has: i128 = match every {
            "day" => 365,
            "week" => 52,
            "month" => 12,
            "year" => 1,
            other => return Err(format!("the interval «{other}» is none of day, week, month and year")),
        };
        if !(1..=1_000).contains(&count) {
            return Err(format!("an interval of {count} {every}s cannot be"));
        }
        let metered = field("/recurring/usage_type", "/usage_type").and_then(Value::as_str) == Some("metered");
        let quantity = item.pointer("/quantity").and_then(Value::as_i64).unwrap_or(1);
        let unit = if metered { None } else { unit_amount(price) };
        let unit = unit.unwrap_or(Fraction { numerator: 0, denominator: 1 });
        let times = i128::from(quantity).checked_mul(a_year_has).ok_or_else(too_large)?;
        let amount = unit.times(times, i128::from(count)).ok_or_else(too_large)?;
        a_year = a_year.plus(amount).ok_or_else(too_large)?;
        yearly &= every == "year";
    }
    let (interval, amount) =
        if yearly { (Interval::Year, Some(a_year)) } else { (Interval::Month, a_year.times(1, 12)) };
    Ok((interval, amount.and_then(Fraction::rounded).ok_or_else(too_large)?))
}

/// Minor units, which may have decimals below one. Tiers have none.
fn unit_amount(price: &Value) -> Option<Fraction> {
    if let Some(whole) = price.pointer("/unit_amount").or_else(|| price.pointer("/amount")).and_then(Value::as_i64) {
        return Some(Fraction { numerator: whole.into(), denominator: 1 });
    }
    let text = price.pointer("/unit_amount_decimal").or_else(|| price.pointer("/amount_decimal"))?.as_str()?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.len() <= 15 && t.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) {
        return None;
    }
    let denominator = 10_i128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    Some(Fraction { numerator: format!("{whole}{decimals}").parse().ok()?, denominator }.reduced())
}
