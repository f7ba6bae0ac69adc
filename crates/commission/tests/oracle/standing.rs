//! What a partner reaches, and what of its referrals is under review (docs/rules.md §3, §4).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use commission::{Decision, Flag, Terms, TermsBook};

use crate::calendar::{calendar_month, quarter};
use crate::domains::same_company;
use crate::referral::{Referral, terms_at};

/// A partner's referrals, and which of them qualify when.
pub(crate) struct Standing<'r, 'a> {
    pub(crate) referrals: Vec<&'r Referral<'a>>,
    /// The flags of each referral.
    flags: Vec<Vec<Flag>>,
    /// At every fact time, in order.
    pub(crate) history: Vec<Reached>,
}

/// What a partner has after all facts of an instant.
pub(crate) struct Reached {
    pub(crate) at: DateTime<Utc>,
    /// The indices of the referrals that qualify.
    pub(crate) qualifying: BTreeSet<usize>,
    /// The price for a year of their live subscriptions.
    pub(crate) annual_minor: i128,
}

/// Works out the standing of a partner with this website; `times` are all fact times.
pub(crate) fn standing<'r, 'a>(
    referrals: Vec<&'r Referral<'a>>,
    website: &str,
    book: &TermsBook,
    times: &BTreeSet<DateTime<Utc>>,
) -> Standing<'r, 'a> {
    let flags = referrals.iter().map(|referral| flags(referral, &referrals, website, book)).collect();
    let mut standing = Standing { referrals, flags, history: Vec::new() };
    standing.history = times.iter().map(|at| standing.reached(*at)).collect();
    standing
}

fn flags(referral: &Referral, all: &[&Referral], website: &str, book: &TermsBook) -> Vec<Flag> {
    let month = calendar_month(referral.signed_up_at);
    let in_month = all.iter().filter(|other| calendar_month(other.signed_up_at) == month).count();
    let limit = terms_at(book, referral.signed_up_at).burst_per_month;
    let mut flags = Vec::new();
    if referral.email_domain.is_some_and(|domain| same_company(website, domain)) {
        flags.push(Flag::SelfReferral);
    }
    if in_month > limit as usize {
        flags.push(Flag::Burst);
    }
    flags
}

impl Standing<'_, '_> {
    pub(crate) fn flags(&self, index: usize) -> &[Flag] {
        &self.flags[index]
    }

    /// Flagged, and nobody has decided yet.
    pub(crate) fn is_under_review(&self, index: usize) -> bool {
        !self.flags[index].is_empty() && self.referrals[index].decision.is_none()
    }

    pub(crate) fn is_eligible(&self, index: usize) -> bool {
        let referral = self.referrals[index];
        let is_rejected = referral.decision == Some(Decision::Rejected);
        referral.first_payment().is_some() && !is_rejected && !self.is_under_review(index)
    }

    fn qualifies(&self, index: usize, t: DateTime<Utc>) -> bool {
        let referral = self.referrals[index];
        let has_paid = referral.first_payment().is_some_and(|invoice| invoice.paid.0 <= t);
        self.is_eligible(index) && has_paid && referral.kept_until(t) > 0
    }

    fn reached(&self, at: DateTime<Utc>) -> Reached {
        let all = 0..self.referrals.len();
        let qualifying: BTreeSet<usize> = all.filter(|index| self.qualifies(*index, at)).collect();
        let annual_minor = qualifying.iter().map(|index| self.referrals[*index].annual_price_at(at)).sum();
        Reached { at, qualifying, annual_minor }
    }

    /// From when on the partner is platinum under these terms.
    pub(crate) fn platinum_since(&self, terms: &Terms) -> Option<DateTime<Utc>> {
        let is_platinum = |reached: &&Reached| {
            reached.qualifying.len() >= terms.platinum.referrals_needed as usize
                || reached.annual_minor >= i128::from(terms.platinum.arr_minor_needed)
        };
        self.history.iter().find(is_platinum).map(|reached| reached.at)
    }

    /// When the quarter that `at` lies in is reached under these terms.
    pub(crate) fn quarter_reached(&self, at: DateTime<Utc>, terms: &Terms) -> Option<DateTime<Utc>> {
        let needed = terms.volume.referrals_needed as usize;
        self.history.iter().find(|reached| self.qualify_in_quarter(reached, at) >= needed).map(|reached| reached.at)
    }

    /// How many of those that qualify first paid in the quarter that `at` lies in.
    pub(crate) fn qualify_in_quarter(&self, reached: &Reached, at: DateTime<Utc>) -> usize {
        let is_of_quarter = |index: &&usize| {
            let first = self.referrals[**index].first_payment();
            first.is_some_and(|invoice| quarter(invoice.paid.0) == quarter(at))
        };
        reached.qualifying.iter().filter(is_of_quarter).count()
    }
}
