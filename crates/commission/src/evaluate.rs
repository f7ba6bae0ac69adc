//! From a journal and terms to statements (docs/rules.md §2, §7).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::calendar::Quarter;
use crate::digest::{set_digest, statement_digest};
use crate::fact::Fact;
use crate::journal::FactError;
use crate::line::{Case, adjustment_line, lines};
use crate::matching::matched;
use crate::model::{Matched, Partner, Referral};
use crate::money::monthly_at_rate;
use crate::statement::{
    Line, LineStatus, PlatinumProgress, Progress, ReferralState, Statement, Tier, Totals, Unmatched, VolumeProgress,
};
use crate::streak::{Streaks, streaks};
use crate::terms::{Terms, TermsBook, VolumeScope};
use crate::tiers::{Standing, Tiers, client_status, standings, tiers};

/// Why nothing was computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// A fact has a value that no journal line may have.
    #[error("fact `{id}`: {error}")]
    Fact {
        /// The fact.
        id: String,
        /// What is wrong with it.
        error: FactError,
    },
    /// Two facts have one id and different content.
    #[error("two different facts have the id `{id}`; correct one of them")]
    ConflictingFacts {
        /// The id.
        id: String,
    },
    /// An amount or a sum does not fit 64 bits.
    #[error("{what} is too large to compute; check the amounts of its facts")]
    TooLarge {
        /// Which amount.
        what: String,
    },
}

/// What everybody is owed at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Only facts before this instant count.
    pub as_of: DateTime<Utc>,
    /// The digest over all statements, see [`crate::digest`].
    pub digest: String,
    /// One for each partner, by code.
    pub statements: Vec<Statement>,
    /// Facts that point at something unknown and lead to no partner, in order.
    pub unmatched: Vec<Unmatched>,
}

/// Computes every partner's statement at `as_of`, from facts in any order.
///
/// Fails when a fact is impossible, when two facts share an id, or when a sum does not fit; a fact that points at
/// something unknown is no failure but reported as unmatched.
pub fn evaluate(facts: &[Fact], terms: &TermsBook, as_of: DateTime<Utc>) -> Result<Evaluation, EvaluateError> {
    let program = Program::new(facts, terms, as_of)?;
    let statements = (0..program.len()).map(|index| program.statement(index)).collect::<Result<Vec<_>, _>>()?;
    Ok(Evaluation { as_of, digest: set_digest(&statements), statements, unmatched: program.matched.unmatched })
}

/// A matched journal, from which statements are made one at a time: for whoever needs only some of them, or does not
/// want all lines in memory at once. Partners do not depend on each other, so threads may share one.
pub struct Program<'a> {
    matched: Matched<'a>,
    terms: &'a TermsBook,
    as_of: DateTime<Utc>,
}

impl<'a> Program<'a> {
    /// Matches the facts before `as_of`; the work that grows with the whole journal.
    pub fn new(facts: &'a [Fact], terms: &'a TermsBook, as_of: DateTime<Utc>) -> Result<Self, EvaluateError> {
        Ok(Self { matched: matched(facts, as_of)?, terms, as_of })
    }

    /// How many partners there are.
    pub fn len(&self) -> usize {
        self.matched.partners.len()
    }

    /// Whether nobody has joined.
    pub fn is_empty(&self) -> bool {
        self.matched.partners.is_empty()
    }

    /// The code of the partner at a position, in the order of codes.
    pub fn partner(&self, index: usize) -> Option<&'a str> {
        self.matched.partners.get(index).map(|partner| partner.id)
    }

    /// The position of a partner.
    pub fn position(&self, partner: &str) -> Option<usize> {
        self.matched.partners.binary_search_by(|other| other.id.cmp(partner)).ok()
    }

    /// Facts that point at something unknown and lead to no partner.
    pub fn unmatched(&self) -> &[Unmatched] {
        &self.matched.unmatched
    }

    /// The statement of the partner at a position. Panics for a position that is not below [`Self::len`].
    pub fn statement(&self, index: usize) -> Result<Statement, EvaluateError> {
        statement(&self.matched.partners[index], &self.matched.referrals, self.terms, self.as_of)
    }
}

fn statement(
    partner: &Partner,
    all_referrals: &[Referral],
    book: &TermsBook,
    as_of: DateTime<Utc>,
) -> Result<Statement, EvaluateError> {
    let terms = book.in_force(as_of);
    let referrals: Vec<&Referral> = partner.referrals.iter().map(|&index| &all_referrals[index]).collect();
    let standings = standings(partner, &referrals, book);
    let tiers = tiers(&referrals, &standings);

    let mut all_lines = Vec::new();
    let mut states = Vec::with_capacity(referrals.len());
    for (referral, standing) in referrals.iter().zip(&standings) {
        let streaks = streaks(referral);
        let first_line = all_lines.len();
        let case = Case { referral, standing, streaks: &streaks, tiers: &tiers, as_of };
        lines(&case, &mut all_lines)?;
        states.push(state(partner, &case, &all_lines[first_line..])?);
    }
    let adjustments = partner.adjustments.iter().filter(|adjustment| adjustment.amount_minor != 0);
    all_lines.extend(adjustments.map(|adjustment| adjustment_line(adjustment, book.in_force(adjustment.moment.0))));
    all_lines.sort_by(|a, b| (a.earned_at, a.kind, &a.id).cmp(&(b.earned_at, b.kind, &b.id)));

    let mut statement = Statement {
        partner: partner.id.to_owned(),
        tier: if tiers.platinum_since(terms).is_some() { Tier::Platinum } else { Tier::Standard },
        suspended: partner.suspended,
        as_of,
        terms: terms.id.clone(),
        digest: String::new(),
        totals: totals(partner, &all_lines, terms)?,
        lines: all_lines,
        unmatched: partner.unmatched.clone(),
        progress: progress(partner, &states, &standings, &tiers, terms, as_of)?,
        referrals: states,
    };
    statement.digest = statement_digest(&statement);
    Ok(statement)
}

fn totals(partner: &Partner, lines: &[Line], terms: &Terms) -> Result<Totals, EvaluateError> {
    let fit = |name: &str, sum: i128| {
        i64::try_from(sum)
            .map_err(|_| EvaluateError::TooLarge { what: format!("`{name}` of partner `{}`", partner.id) })
    };
    let sum = |status: LineStatus| {
        lines.iter().filter(|line| line.status == status).map(|line| i128::from(line.amount_minor)).sum::<i128>()
    };
    let paid = partner.payouts.iter().map(|payout| {
        let amount = i128::from(payout.amount_minor);
        amount - payout.reversed_minor.min(amount)
    });
    let paid = fit("paid", paid.sum())?;
    let vested = fit("vested", sum(LineStatus::Vested))?;
    let balance = fit("balance", i128::from(vested) - i128::from(paid))?;
    let is_payable = balance > 0 && balance >= terms.minimum_payout_minor && !partner.suspended;
    Ok(Totals {
        pending: fit("pending", sum(LineStatus::Pending))?,
        vested,
        held: fit("held", sum(LineStatus::Held))?,
        forfeited: fit("forfeited", sum(LineStatus::Forfeited))?,
        void: fit("void", sum(LineStatus::Void))?,
        paid,
        balance,
        payable: if is_payable { balance } else { 0 },
    })
}

fn state(partner: &Partner, case: &Case, lines: &[Line]) -> Result<ReferralState, EvaluateError> {
    let Case { referral, standing, streaks, as_of, .. } = case;
    let fit = |what: &str, sum: i128| {
        let what = || format!("the {what} of referral `{}`", referral.id);
        i64::try_from(sum).map_err(|_| EvaluateError::TooLarge { what: what() })
    };
    let (status, annual_price) = client_status(referral);
    let earned = lines
        .iter()
        .filter(|line| matches!(line.status, LineStatus::Vested | LineStatus::Pending | LineStatus::Held))
        .map(|line| i128::from(line.amount_minor));
    Ok(ReferralState {
        referral: referral.id.to_owned(),
        partner: partner.id.to_owned(),
        signed_up_at: referral.signed_up_at,
        client_email_domain: referral.client_email_domain.map(str::to_owned),
        flags: standing.flags.clone(),
        decision: referral.decision,
        under_review: standing.under_review,
        first_payment_at: standing.first_payment_at,
        clock: standing.clock,
        turns_recurring_at: standing.turn,
        eligible: standing.eligible,
        streak_vests_at: last_vesting(streaks, standing.terms),
        status,
        annual_price_minor: fit("annual price", annual_price)?,
        tenure_month: standing.tenure_month(*as_of),
        earned_minor: fit("commission", earned.sum())?,
        terms: standing.terms.id.clone(),
    })
}

fn last_vesting(streaks: &Streaks, terms: &Terms) -> Option<DateTime<Utc>> {
    let days = terms.vesting_days;
    streaks.all.last().filter(|streak| !streak.is_forfeited(days)).map(|streak| streak.vesting_instant(days))
}

fn progress(
    partner: &Partner,
    states: &[ReferralState],
    standings: &[Standing],
    tiers: &Tiers,
    terms: &Terms,
    as_of: DateTime<Utc>,
) -> Result<Progress, EvaluateError> {
    let quarter = Quarter::of(as_of);
    let since = tiers.platinum_since(terms);
    let gets_bonus = |standing: &Standing| {
        standing.eligible
            && match terms.volume.scope {
                VolumeScope::ReferralsOfQuarter => standing.first_payment_at.map(Quarter::of) == Some(quarter),
                VolumeScope::InvoicesOfQuarter => true,
            }
    };
    let annual = states.iter().zip(standings).filter(|(_, standing)| gets_bonus(standing));
    let annual: i128 = annual.map(|(state, _)| i128::from(state.annual_price_minor)).sum();
    let too_large = || EvaluateError::TooLarge { what: format!("the annual price of partner `{}`", partner.id) };
    let annual = i64::try_from(annual).map_err(|_| too_large())?;
    Ok(Progress {
        volume: VolumeProgress {
            quarter: quarter.to_string(),
            ends_on: quarter.last_day(),
            qualified: tiers.qualifying_in(quarter),
            needed: terms.volume.referrals_needed,
            reached_at: tiers.quarter_reached(quarter, terms),
            worth_minor_per_month: match since {
                Some(_) => 0,
                None => monthly_at_rate(annual, terms.volume.bonus_rate).ok_or_else(too_large)?,
            },
        },
        platinum: PlatinumProgress {
            since,
            referrals: tiers.qualifying,
            referrals_needed: terms.platinum.referrals_needed,
            arr_minor: i64::try_from(tiers.annual_minor).map_err(|_| too_large())?,
            arr_minor_needed: terms.platinum.arr_minor_needed,
        },
    })
}
