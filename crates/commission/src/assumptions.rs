//! What a forecast takes for granted about the coming months.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::MAX_AMOUNT_MINOR;
use crate::fact::Interval;
use crate::forecast::ForecastError;

/// The longest forecast, in months.
const MOST_MONTHS: u32 = 60;
/// The most clients that may be assumed to come in a month. Together with the months it bounds the work.
const MOST_NEW_CLIENTS: u32 = 200;
/// The most plans of a mix.
const MOST_PLANS: usize = 20;
/// The longest trial, in days.
const MOST_TRIAL_DAYS: u32 = 366;
/// Parts of a whole that a share or a rate is counted in: six decimals.
pub(crate) const WHOLE: u32 = 1_000_000;

/// How the coming months are supposed to go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Assumptions {
    /// How many clients sign up a month, with at most three decimals: 1.5 is three in two months.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub new_clients_per_month: Decimal,
    /// What the new clients subscribe to. May be empty when there are none.
    pub plans: Vec<Plan>,
    /// The share of the clients with a payment due that leave instead, counted by the month: 0.02 is 2 %. A client that
    /// pays by the year stays to the end of it. Everybody's first payment is made.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub monthly_churn: Decimal,
    /// How many times 24 hours a subscription is free before its first payment.
    pub trial_days: u32,
    /// How many calendar months to look ahead, that of `as_of` included.
    pub months: u32,
}

/// A plan of the mix that new clients choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Plan {
    /// How often it is paid.
    pub interval: Interval,
    /// Its price per interval, in minor units.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub amount_minor: i64,
    /// The share of the new clients that choose it, as a fraction with at most six decimals. All shares add up to 1.
    #[cfg_attr(feature = "ts", ts(type = "string"))]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub share: Decimal,
}

/// Nothing new and nobody leaves, for two years.
impl Default for Assumptions {
    fn default() -> Self {
        Self {
            new_clients_per_month: Decimal::ZERO,
            plans: Vec::new(),
            monthly_churn: Decimal::ZERO,
            trial_days: 0,
            months: 24,
        }
    }
}

/// Reads `month:50000:0.7`: the interval, the price in minor units, and the share.
impl FromStr for Plan {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is no plan such as month:50000:0.7");
        let [interval, amount, share] = *text.split(':').collect::<Vec<_>>() else { return Err(malformed()) };
        let interval = match interval {
            "month" => Interval::Month,
            "year" => Interval::Year,
            other => return Err(format!("`{other}` is no interval; it is `month` or `year`")),
        };
        let amount_minor =
            amount.parse().map_err(|_| format!("`{amount}` is no price in minor units, such as 50000 for $500.00"))?;
        let share = Decimal::from_str_exact(share).map_err(|_| format!("`{share}` is no share, such as 0.7"))?;
        Ok(Self { interval, amount_minor, share })
    }
}

/// Assumptions that are possible, in whole numbers.
pub(crate) struct Checked<'a> {
    /// New clients in a thousand months.
    pub(crate) clients_per_1000_months: u32,
    pub(crate) plans: &'a [Plan],
    /// The share of each plan, in parts of [`WHOLE`].
    pub(crate) shares: Vec<u32>,
    /// In parts of [`WHOLE`].
    pub(crate) churn: u32,
    pub(crate) trial_days: u32,
    pub(crate) months: u32,
}

impl Assumptions {
    /// Refuses what cannot be; the error names the field.
    pub(crate) fn check(&self) -> Result<Checked<'_>, ForecastError> {
        let Self { new_clients_per_month, plans, monthly_churn, trial_days, months } = self;
        let clients_per_1000_months = scaled(*new_clients_per_month, 1_000, MOST_NEW_CLIENTS).ok_or_else(|| {
            let expected = format!("must be from 0 to {MOST_NEW_CLIENTS} with at most three decimals");
            refused("new_clients_per_month", format!("{expected}, not {new_clients_per_month}"))
        })?;
        let churn = scaled(*monthly_churn, WHOLE, 1).ok_or_else(|| {
            refused("monthly_churn", format!("must be from 0 to 1 with at most six decimals, not {monthly_churn}"))
        })?;
        if *trial_days > MOST_TRIAL_DAYS {
            return Err(refused("trial_days", format!("must be at most {MOST_TRIAL_DAYS}, not {trial_days}")));
        }
        if !(1..=MOST_MONTHS).contains(months) {
            return Err(refused("months", format!("must be from 1 to {MOST_MONTHS}, not {months}")));
        }
        if plans.is_empty() && clients_per_1000_months > 0 {
            return Err(refused("plans", "must name at least one plan that new clients choose"));
        }
        if plans.len() > MOST_PLANS {
            return Err(refused("plans", format!("must be at most {MOST_PLANS}, not {}", plans.len())));
        }
        let shares =
            plans.iter().enumerate().map(|(index, plan)| check_plan(index, plan)).collect::<Result<Vec<_>, _>>()?;
        if !plans.is_empty() && shares.iter().sum::<u32>() != WHOLE {
            let sum: Decimal = plans.iter().map(|plan| plan.share).sum();
            return Err(refused("plans", format!("must have shares that add up to 1, not to {}", sum.normalize())));
        }
        Ok(Checked { clients_per_1000_months, plans, shares, churn, trial_days: *trial_days, months: *months })
    }
}

fn check_plan(index: usize, plan: &Plan) -> Result<u32, ForecastError> {
    if !(1..=MAX_AMOUNT_MINOR).contains(&plan.amount_minor) {
        let message = format!("must be from 1 to {MAX_AMOUNT_MINOR} minor units, not {}", plan.amount_minor);
        return Err(refused(&format!("plans[{index}].amount_minor"), message));
    }
    scaled(plan.share, WHOLE, 1).filter(|share| *share > 0).ok_or_else(|| {
        let message = format!("must be above 0 and at most 1 with at most six decimals, not {}", plan.share);
        refused(&format!("plans[{index}].share"), message)
    })
}

pub(crate) fn refused(field: &str, message: impl Into<String>) -> ForecastError {
    ForecastError::Assumption { field: field.to_owned(), message: message.into() }
}

/// `value × parts`, when that is a whole number and `value` from 0 to `most`.
fn scaled(value: Decimal, parts: u32, most: u32) -> Option<u32> {
    let in_range = value >= Decimal::ZERO && value <= Decimal::from(most);
    let scaled = value.checked_mul(Decimal::from(parts)).filter(|scaled| in_range && scaled.is_integer())?;
    u32::try_from(scaled.normalize().mantissa()).ok()
}
