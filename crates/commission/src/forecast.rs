//! The coming months of a partner: a journal that goes on as [`Assumptions`] say, evaluated by the very code that makes
//! statements. There is no second formula for money here.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};

use crate::assumptions::{Assumptions, refused};
use crate::calendar::{Quarter, add_months};
use crate::effects::facts_by_partner;
use crate::evaluate::{Account, EvaluateError, Program};
use crate::fact::Fact;
use crate::future::{Calendar, Future};
use crate::line::Draft;
use crate::money::monthly;
use crate::statement::{ClientStatus, LineKind, LineStatus, Tier, Totals};
use crate::terms::TermsBook;
use crate::tiers::client_status;

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForecastError {
    /// An assumption is impossible.
    #[error("field `{field}` {message}")]
    Assumption {
        /// The path of the field, such as `plans[0].share`.
        field: String,
        /// What is wrong with it and what was expected, as the rest of a sentence that begins with the field.
        message: String,
    },
    /// Nobody of that code has joined.
    #[error("no partner `{code}` joined before the forecast begins; check the code")]
    UnknownPartner {
        /// The code.
        code: String,
    },
    /// The journal cannot be evaluated.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
}

/// The coming months of one partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Forecast {
    /// The partner's code.
    pub partner: String,
    /// What is known before this instant is known; the rest is assumed.
    pub as_of: DateTime<Utc>,
    /// What is assumed.
    pub assumptions: Assumptions,
    /// The tier at `as_of`, under the terms in force then.
    pub tier: Tier,
    /// The totals at `as_of`.
    pub opening: Totals,
    /// What is paid at `as_of` itself, in minor units: `opening.payable` when that is the first instant of a month.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub due_now_minor: i64,
    /// One for each month, in order.
    pub months: Vec<ForecastMonth>,
    /// The sums over all months.
    pub totals: ForecastTotals,
    /// What all of it was computed from: the partner's facts before `as_of`, then those that are assumed. A statement of
    /// this journal at the end of a month says what the forecast says of it. Not part of the JSON.
    #[serde(skip)]
    pub journal: Vec<Fact>,
}

/// What a month brings, in minor units. What was neither vested nor lost before, and what is earned, is at the end of the
/// month vested, pending, held or forfeited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForecastMonth {
    /// The first instant: that of the month, or `as_of` within the first.
    pub from: DateTime<Utc>,
    /// The first instant that is no longer part of it.
    pub until: DateTime<Utc>,
    /// The lines that are earned in it and not lost at its end.
    pub earned: Earned,
    /// What was earned before it and is lost in it, because clients leave early.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub forfeited_minor: i64,
    /// What vests in it.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub vested_minor: i64,
    /// What is pending at its end.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub pending_minor: i64,
    /// What is held at its end.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub held_minor: i64,
    /// What has vested and was not paid, at its end and before its payout; below zero it is a debt.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub balance_minor: i64,
    /// What is payable at its end, and supposed to be paid then.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub payout_minor: i64,
    /// Clients at its end that have paid and have a live subscription, rejected ones left out.
    pub active_clients: u32,
    /// What the live subscriptions of these clients cost a month.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub mrr_minor: i64,
    /// The tier at its end, under the terms in force then.
    pub tier: Tier,
    /// The quarter that it lies in, such as `2026-Q4`.
    pub quarter: String,
    /// Whether the volume bonus of that quarter is reached at its end.
    pub quarter_reached: bool,
}

/// What is earned, by its kind, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Earned {
    /// Shares of payments of a client's first year.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub first_year_minor: i64,
    /// Shares of later payments.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub recurring_minor: i64,
    /// What reached quarters add.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub volume_bonus_minor: i64,
    /// Bonuses for large annual contracts.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub high_value_bonus_minor: i64,
    /// What earlier refunds take back of it; never above zero.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub reversal_minor: i64,
    /// All of it.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub total_minor: i64,
}

impl Earned {
    /// Of sums by kind; `None` when one does not fit. Nobody is assumed to make an adjustment.
    fn of(sums: &BTreeMap<LineKind, i128>) -> Option<Self> {
        let of_kind = |kind| i64::try_from(sums.get(&kind).copied().unwrap_or(0)).ok();
        Some(Self {
            first_year_minor: of_kind(LineKind::FirstYear)?,
            recurring_minor: of_kind(LineKind::Recurring)?,
            volume_bonus_minor: of_kind(LineKind::VolumeBonus)?,
            high_value_bonus_minor: of_kind(LineKind::HighValueBonus)?,
            reversal_minor: of_kind(LineKind::Reversal)?,
            total_minor: i64::try_from(sums.values().sum::<i128>()).ok()?,
        })
    }
}

/// The sums over all months, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ForecastTotals {
    /// What is earned.
    pub earned: Earned,
    /// What is lost of what was earned in an earlier month.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub forfeited_minor: i64,
    /// What vests.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub vested_minor: i64,
    /// What is paid, with what is paid at `as_of`.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub payouts_minor: i64,
}

/// Forecasts the months from `as_of` on for one partner, from facts in any order. Facts at or after `as_of` are checked
/// and do not count.
pub fn forecast(
    facts: &[Fact],
    terms: &TermsBook,
    as_of: DateTime<Utc>,
    partner: &str,
    assumptions: &Assumptions,
) -> Result<Forecast, ForecastError> {
    let checked = assumptions.check()?;
    let calendar = calendar(as_of, checked.months)?;
    let own = facts_by_partner(facts, as_of)?.remove(partner);
    let unknown = || ForecastError::UnknownPartner { code: partner.to_owned() };
    let mut journal: Vec<Fact> = own.ok_or_else(unknown)?.into_iter().cloned().collect();

    let mut future = Future::new(&checked, &calendar, &journal);
    {
        let today = Program::of_facts(&journal, terms, as_of);
        let account = today.account(today.position(partner).ok_or_else(unknown)?);
        future.go_on(&account);
        future.grow(&account);
    }
    let known = journal.len();
    journal.append(&mut future.facts);
    let mut forecast = evaluated(&journal, terms, &calendar, partner, assumptions)?;
    future.pay_out(as_of, partner, forecast.due_now_minor);
    for month in &forecast.months {
        future.pay_out(month.until, partner, month.payout_minor);
    }
    journal.append(&mut future.facts);
    journal[known..].sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    forecast.journal = journal;
    Ok(forecast)
}

/// The forecast of a journal in which nothing is paid out from `as_of` on; every payout is supposed here.
fn evaluated(
    journal: &[Fact],
    terms: &TermsBook,
    calendar: &Calendar,
    partner: &str,
    assumptions: &Assumptions,
) -> Result<Forecast, ForecastError> {
    let as_of = calendar.as_of;
    let program = Program::of_facts(journal, terms, calendar.end());
    let position =
        program.position(partner).ok_or_else(|| ForecastError::UnknownPartner { code: partner.to_owned() })?;
    let account = program.account(position);
    let (mut lines, _) = account.unordered_drafts()?;
    lines.sort_by_key(|line| line.earned_at);
    let mut outlook = Outlook::new(&account, &lines);
    outlook.advance(as_of);
    let (opening, tier) = (outlook.totals(0)?, outlook.tier());
    let due_now_minor = if calendar.bounds.first() == Some(&as_of) { opening.payable } else { 0 };
    let mut paid = i128::from(due_now_minor);
    let mut months = Vec::with_capacity(calendar.bounds.len());
    let mut before = opening;
    for bounds in calendar.bounds.windows(2) {
        let earned = outlook.advance(bounds[1]);
        let after = outlook.totals(paid)?;
        paid += i128::from(after.payable);
        months.push(outlook.month(bounds[0].max(as_of), earned, &before, &after)?);
        before = after;
    }
    Ok(Forecast {
        partner: partner.to_owned(),
        as_of,
        assumptions: assumptions.clone(),
        tier,
        opening,
        due_now_minor,
        totals: sums(&months, due_now_minor).ok_or_else(|| too_large(partner))?,
        months,
        journal: Vec::new(),
    })
}

/// The calendar months from that of `as_of` on.
fn calendar(as_of: DateTime<Utc>, months: u32) -> Result<Calendar, ForecastError> {
    let first = as_of.date_naive().with_day(1).and_then(|day| day.and_hms_opt(0, 0, 0)).map(|first| first.and_utc());
    let bounds: Option<Vec<_>> = first.and_then(|first| (0..=months).map(|month| add_months(first, month)).collect());
    // No fact may be later than that.
    let bounds = bounds.filter(|bounds| bounds.iter().all(|bound| bound.year() < 9_900));
    let bounds = bounds.ok_or_else(|| refused("as_of", "must be a time before the year 9900"))?;
    Ok(Calendar { as_of, bounds })
}

fn too_large(partner: &str) -> EvaluateError {
    EvaluateError::TooLarge { what: format!("the forecast of partner `{partner}`") }
}

/// The whole future, evaluated once at its end, and walked through from statement to statement. Nothing in it changes a line
/// that was earned before except that clients leave, so the end knows what every statement on the way says.
struct Outlook<'a> {
    account: &'a Account<'a>,
    /// By the time at which they are earned.
    lines: &'a [Draft<'a>],
    /// The instant of the statement that it stands at.
    at: DateTime<Utc>,
    /// How many lines are earned before it.
    earned: usize,
    /// Of these, by position, the ones that have not come to rest: pending and held ones.
    open: Vec<usize>,
    /// The sums of the others.
    settled: BTreeMap<LineStatus, i128>,
}

impl<'a> Outlook<'a> {
    fn new(account: &'a Account<'a>, lines: &'a [Draft<'a>]) -> Self {
        let at = DateTime::<Utc>::MIN_UTC;
        Self { account, lines, at, earned: 0, open: Vec::new(), settled: BTreeMap::new() }
    }

    /// Goes to the statement of a later instant. What was earned on the way and is not lost there, by kind.
    fn advance(&mut self, to: DateTime<Utc>) -> BTreeMap<LineKind, i128> {
        let before = self.earned;
        self.earned = self.lines.partition_point(|line| line.earned_at < to);
        self.at = to;
        let mut earned = BTreeMap::new();
        for position in std::mem::take(&mut self.open).into_iter().chain(before..self.earned) {
            let line = &self.lines[position];
            let (status, minor) = (line.status_at(to), i128::from(line.amount_minor));
            if matches!(status, LineStatus::Pending | LineStatus::Held) {
                self.open.push(position);
            } else {
                *self.settled.entry(status).or_default() += minor;
            }
            if position >= before && !matches!(status, LineStatus::Void | LineStatus::Forfeited) {
                *earned.entry(line.kind).or_default() += minor;
            }
        }
        earned
    }

    /// The totals of the statement, after assumed payouts.
    fn totals(&self, paid_minor: i128) -> Result<Totals, EvaluateError> {
        let open = self.open.iter().map(|position| &self.lines[*position]);
        let open = open.map(|line| (line.status_at(self.at), i128::from(line.amount_minor)));
        let settled = self.settled.iter().map(|(status, minor)| (*status, *minor));
        self.account.totals(settled.chain(open), paid_minor, self.account.book.in_force(self.at))
    }

    fn tier(&self) -> Tier {
        let since = self.account.tiers.platinum_since(self.account.book.in_force(self.at));
        if since.is_some_and(|since| since < self.at) { Tier::Platinum } else { Tier::Standard }
    }

    /// The month from an instant to the statement, between the totals of two statements.
    fn month(
        &self,
        from: DateTime<Utc>,
        earned: BTreeMap<LineKind, i128>,
        before: &Totals,
        after: &Totals,
    ) -> Result<ForecastMonth, EvaluateError> {
        let too_large = || too_large(self.account.partner.id);
        let kept = |totals: &Totals| [totals.vested, totals.pending, totals.held].map(i128::from).iter().sum::<i128>();
        let forfeited = kept(before) + earned.values().sum::<i128>() - kept(after);
        let (active_clients, annual) = self.active();
        let quarter = Quarter::of(from);
        let reached_at = self.account.tiers.quarter_reached(quarter, self.account.book.in_force(self.at));
        Ok(ForecastMonth {
            from,
            until: self.at,
            earned: Earned::of(&earned).ok_or_else(too_large)?,
            forfeited_minor: i64::try_from(forfeited).map_err(|_| too_large())?,
            vested_minor: after.vested.checked_sub(before.vested).ok_or_else(too_large)?,
            pending_minor: after.pending,
            held_minor: after.held,
            balance_minor: after.balance,
            payout_minor: after.payable,
            active_clients,
            mrr_minor: monthly(annual).ok_or_else(too_large)?,
            tier: self.tier(),
            quarter: quarter.to_string(),
            quarter_reached: reached_at.is_some_and(|reached_at| reached_at < self.at),
        })
    }

    /// How many clients are active at the statement, and what they pay a year.
    fn active(&self) -> (u32, i128) {
        let referrals = self.account.referrals.iter().zip(&self.account.standings);
        let active = referrals.filter(|(_, standing)| !standing.rejected).filter_map(|(referral, _)| {
            let (status, annual) = client_status(referral, self.at);
            (status == ClientStatus::Active).then_some(annual)
        });
        active.fold((0, 0), |(clients, sum), annual| (clients + 1, sum + annual))
    }
}

fn sums(months: &[ForecastMonth], due_now_minor: i64) -> Option<ForecastTotals> {
    let mut sums = ForecastTotals { payouts_minor: due_now_minor, ..ForecastTotals::default() };
    for month in months {
        let (sum, earned) = (&mut sums.earned, &month.earned);
        for (sum, minor) in [
            (&mut sum.first_year_minor, earned.first_year_minor),
            (&mut sum.recurring_minor, earned.recurring_minor),
            (&mut sum.volume_bonus_minor, earned.volume_bonus_minor),
            (&mut sum.high_value_bonus_minor, earned.high_value_bonus_minor),
            (&mut sum.reversal_minor, earned.reversal_minor),
            (&mut sum.total_minor, earned.total_minor),
            (&mut sums.forfeited_minor, month.forfeited_minor),
            (&mut sums.vested_minor, month.vested_minor),
            (&mut sums.payouts_minor, month.payout_minor),
        ] {
            *sum = sum.checked_add(minor)?;
        }
    }
    Some(sums)
}
