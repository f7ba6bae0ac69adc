//! How near a partner is to the next tiers, and what reaching them is worth: the difference between two evaluations of
//! the same payments, once with the threshold reached and once without.

use chrono::{DateTime, Utc};

use crate::calendar::Quarter;
use crate::evaluate::{Account, EvaluateError};
use crate::line::{Case, drafts};
use crate::model::{Invoice, Referral, Subscription};
use crate::money::monthly;
use crate::statement::{PlatinumProgress, Progress, VolumeProgress};
use crate::streak::{Streak, Streaks};
use crate::tiers::{Supposed, Tiers, client_status};

impl Account<'_> {
    /// How near the next tiers are at `as_of`, under the terms in force then.
    pub(crate) fn progress(&self) -> Result<Progress, EvaluateError> {
        let too_large =
            || EvaluateError::TooLarge { what: format!("the annual price of partner `{}`", self.partner.id) };
        let terms = self.terms();
        let quarter = Quarter::of(self.as_of);
        let with_volume = |reached_at| Supposed { quarter: Some((quarter, reached_at)), platinum: None };
        let with_platinum = |since| Supposed { quarter: None, platinum: Some(since) };
        let years = self.years_of_payments()?;
        let mut tiers = self.tiers.clone();
        let mut worth = |reached: Supposed, missed: Supposed| {
            let [reached, missed] = [reached, missed].map(|supposed| {
                tiers.suppose(supposed);
                self.earned_by(&years, &tiers)
            });
            monthly(reached? - missed?).ok_or_else(too_large)
        };
        Ok(Progress {
            volume: VolumeProgress {
                quarter: quarter.to_string(),
                ends_on: quarter.last_day(),
                qualified: self.tiers.qualifying_in(quarter),
                needed: terms.volume.referrals_needed,
                reached_at: self.tiers.quarter_reached(quarter, terms),
                worth_minor_per_month: worth(with_volume(Some(self.as_of)), with_volume(None))?,
            },
            platinum: PlatinumProgress {
                since: self.tiers.platinum_since(terms),
                referrals: self.tiers.qualifying,
                referrals_needed: terms.platinum.referrals_needed,
                arr_minor: i64::try_from(self.tiers.annual_minor).map_err(|_| too_large())?,
                arr_minor_needed: terms.platinum.arr_minor_needed,
                worth_minor_per_month: worth(with_platinum(Some(self.as_of)), with_platinum(None))?,
            },
        })
    }

    /// For each eligible referral with live subscriptions, by position: itself with a single payment at `as_of`, of what
    /// its subscriptions cost a year. Its standing and the thresholds stay those of what was really paid.
    fn years_of_payments(&self) -> Result<Vec<(usize, Referral<'_>)>, EvaluateError> {
        let mut years = Vec::new();
        for (index, referral) in self.referrals.iter().enumerate().filter(|(index, _)| self.standings[*index].eligible)
        {
            let (_, annual_minor) = client_status(referral, self.as_of);
            if annual_minor != 0 {
                let amount_minor = i64::try_from(annual_minor).map_err(|_| EvaluateError::TooLarge {
                    what: format!("the annual price of referral `{}`", referral.id),
                })?;
                years.push((index, with_one_payment(referral, self.as_of, amount_minor)));
            }
        }
        Ok(years)
    }

    /// What these payments earn, in minor units.
    fn earned_by(&self, years: &[(usize, Referral)], tiers: &Tiers) -> Result<i128, EvaluateError> {
        let (as_of, streak) = (self.as_of, Streak { started_at: self.as_of, ended_at: None });
        let streaks = Streaks { all: vec![streak], of_invoice: vec![0] };
        let mut lines = Vec::new();
        for (index, referral) in years {
            let standing = &self.standings[*index];
            drafts(Case { referral, standing, streaks: &streaks, tiers, as_of }, &mut lines)?;
        }
        Ok(lines.iter().map(|line| i128::from(line.amount_minor)).sum())
    }
}

fn with_one_payment<'a>(referral: &Referral<'a>, at: DateTime<Utc>, amount_minor: i64) -> Referral<'a> {
    let invoice = Invoice {
        id: "",
        moment: (at, 0),
        subscription: 0,
        amount_minor,
        period_start: None,
        period_end: None,
        steps: Vec::new(),
        disputed: false,
    };
    // Without a price it earns no high-value bonus, which no threshold changes.
    let subscription = Subscription { id: "", started: (at, 0), prices: Vec::new(), canceled: None };
    Referral { subscriptions: vec![subscription], invoices: vec![invoice], ..*referral }
}
