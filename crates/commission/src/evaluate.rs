//! From a journal and terms to statements (docs/rules.md §2, §7).

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::digest::{draft_digest, set_digest_of};
use crate::effects::{Effect, matched_with_effects};
use crate::fact::Fact;
use crate::journal::{FactError, Journal};
use crate::line::{Case, Draft, adjustment_draft, drafts};
use crate::matching::{checked, matched, rows_of};
use crate::model::{Matched, Partner, Referral};
use crate::rows::Rows;
use crate::statement::{LineStatus, ReferralState, Statement, Summary, Tier, Totals, Unmatched};
use crate::streak::{Streaks, streaks};
use crate::terms::{Terms, TermsBook};
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
    let digests = statements.iter().map(|statement| (statement.partner.as_str(), statement.digest.as_str()));
    let digest = set_digest_of(digests).unwrap_or_default();
    Ok(Evaluation { as_of, digest, statements, unmatched: program.matched.unmatched })
}

/// Refunds and lost disputes that come to more than their invoice. Only what was paid counts as gone back
/// (docs/rules.md §6), so one of these facts, or another about the invoice, is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess<'a> {
    /// The referral.
    pub referral: &'a str,
    /// The invoice.
    pub invoice: &'a str,
    /// What was paid, in minor units.
    pub paid_minor: i64,
    /// What is said to have gone back, in minor units.
    pub said_minor: i128,
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
        let (rows, texts) = checked(facts)?;
        Ok(Self { matched: matched(Rows { rows: &rows, texts: &texts }, as_of), terms, as_of })
    }

    /// The same of a journal, whose facts need not be checked again.
    pub fn of_journal(journal: &'a Journal, terms: &'a TermsBook, as_of: DateTime<Utc>) -> Self {
        Self { matched: matched(Rows { rows: journal.rows(), texts: &journal.texts() }, as_of), terms, as_of }
    }

    /// The same of facts that are known to be possible and not to contradict each other.
    pub(crate) fn of_facts(facts: &'a [Fact], terms: &'a TermsBook, as_of: DateTime<Utc>) -> Self {
        let (rows, texts) = rows_of(facts);
        Self { matched: matched(Rows { rows: &rows, texts: &texts }, as_of), terms, as_of }
    }

    /// The same as [`Self::new`], with the effects of the facts that are wanted.
    pub(crate) fn with_effects(
        facts: &'a [Fact],
        terms: &'a TermsBook,
        as_of: DateTime<Utc>,
        wanted: impl Fn(&Fact) -> bool,
    ) -> Result<(Self, Vec<Effect<'a>>), EvaluateError> {
        let (matched, effects) = matched_with_effects(facts, as_of, wanted)?;
        Ok((Self { matched, terms, as_of }, effects))
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

    /// The invoices of the partner at a position of which more is said to have gone back than was ever paid. Panics for a
    /// position that is not below [`Self::len`].
    pub fn excess(&self, index: usize) -> Vec<Excess<'a>> {
        let partner = &self.matched.partners[index];
        let referrals = partner.referrals.iter().map(|&referral| &self.matched.referrals[referral]);
        let invoices = referrals.flat_map(|referral| referral.invoices.iter().map(|invoice| (referral.id, invoice)));
        let excess = invoices.filter_map(|(referral, invoice)| {
            let said_minor = invoice.steps.iter().map(|step| i128::from(step.amount_minor)).sum();
            let of = Excess { referral, invoice: invoice.id, paid_minor: invoice.amount_minor, said_minor };
            (said_minor > i128::from(invoice.amount_minor)).then_some(of)
        });
        excess.collect()
    }

    /// The statement of the partner at a position. Panics for a position that is not below [`Self::len`].
    pub fn statement(&self, index: usize) -> Result<Statement, EvaluateError> {
        let account = self.account(index);
        let (drafts, earned) = account.drafts()?;
        let summary = account.summary(&drafts)?;
        let referrals = account.states(&earned)?;
        Ok(Statement {
            partner: summary.partner,
            tier: summary.tier,
            suspended: summary.suspended,
            as_of: summary.as_of,
            terms: summary.terms,
            digest: summary.digest,
            totals: summary.totals,
            lines: drafts.iter().map(Draft::write_out).collect(),
            unmatched: summary.unmatched,
            progress: account.progress()?,
            referrals,
        })
    }

    /// The statement of the partner at a position without its lines, which are not even written. Panics for a position
    /// that is not below [`Self::len`].
    pub fn summary(&self, index: usize) -> Result<Summary, EvaluateError> {
        let account = self.account(index);
        let (drafts, _) = account.drafts()?;
        account.summary(&drafts)
    }

    /// The facts of this program, matched.
    pub(crate) fn matched(&self) -> &Matched<'a> {
        &self.matched
    }

    /// What the statement of the partner at a position is made from.
    pub(crate) fn account(&self, index: usize) -> Account<'_> {
        Account::new(&self.matched.partners[index], &self.matched.referrals, self.terms, self.as_of)
    }
}

/// One partner with everything that is known before any money is computed.
pub(crate) struct Account<'a> {
    pub(crate) partner: &'a Partner<'a>,
    pub(crate) referrals: Vec<&'a Referral<'a>>,
    /// In the order of `referrals`, as are the streaks.
    pub(crate) standings: Vec<Standing<'a>>,
    streaks: Vec<Streaks>,
    pub(crate) tiers: Tiers,
    pub(crate) book: &'a TermsBook,
    pub(crate) as_of: DateTime<Utc>,
}

impl<'a> Account<'a> {
    fn new(
        partner: &'a Partner<'a>,
        all_referrals: &'a [Referral<'a>],
        book: &'a TermsBook,
        as_of: DateTime<Utc>,
    ) -> Self {
        let referrals: Vec<&Referral> = partner.referrals.iter().map(|&index| &all_referrals[index]).collect();
        let standings = standings(partner, &referrals, book);
        let tiers = tiers(&referrals, &standings);
        let streaks = referrals.iter().map(|referral| streaks(referral)).collect();
        Self { partner, referrals, standings, streaks, tiers, book, as_of }
    }

    /// The terms in force at `as_of`.
    pub(crate) fn terms(&self) -> &'a Terms {
        self.book.in_force(self.as_of)
    }

    /// All lines in the order of a statement, and for each referral the sum of those that are not lost.
    pub(crate) fn drafts(&self) -> Result<(Vec<Draft<'_>>, Vec<i128>), EvaluateError> {
        let (all, earned) = self.unordered_drafts()?;
        // Drafts are large, so their places are sorted; and ids are only made where they decide.
        let mut order: Vec<_> = all.iter().map(|draft| (draft.earned_at, draft.kind)).zip(0..).collect();
        order.sort_by(|(a, at), (b, bt)| a.cmp(b).then_with(|| all[*at].id().cmp(&all[*bt].id())));
        Ok((order.into_iter().map(|(_, at): (_, usize)| all[at]).collect(), earned))
    }

    /// The same lines in any order.
    pub(crate) fn unordered_drafts(&self) -> Result<(Vec<Draft<'_>>, Vec<i128>), EvaluateError> {
        let mut all = Vec::new();
        let mut earned = Vec::with_capacity(self.referrals.len());
        for (index, referral) in self.referrals.iter().enumerate() {
            let first = all.len();
            let (standing, streaks) = (&self.standings[index], &self.streaks[index]);
            drafts(Case { referral, standing, streaks, tiers: &self.tiers, as_of: self.as_of }, &mut all)?;
            let kept = all[first..].iter().filter(|draft| {
                matches!(draft.fate.status, LineStatus::Vested | LineStatus::Pending | LineStatus::Held)
            });
            earned.push(kept.map(|draft| i128::from(draft.amount_minor)).sum());
        }
        let adjustments = self.partner.adjustments.iter().filter(|adjustment| adjustment.amount_minor != 0);
        all.extend(adjustments.map(|adjustment| adjustment_draft(adjustment, self.book.in_force(adjustment.at))));
        Ok((all, earned))
    }

    /// The figures over all lines, sealed.
    pub(crate) fn summary(&self, drafts: &[Draft]) -> Result<Summary, EvaluateError> {
        let terms = self.terms();
        let mut summary = Summary {
            partner: self.partner.id.to_owned(),
            tier: if self.tiers.platinum_since(terms).is_some() { Tier::Platinum } else { Tier::Standard },
            suspended: self.partner.suspended,
            as_of: self.as_of,
            terms: terms.id.clone(),
            digest: String::new(),
            totals: self.totals(drafts.iter().map(|draft| (draft.fate.status, draft.amount_minor.into())), 0, terms)?,
            unmatched: self.partner.unmatched.clone(),
        };
        summary.digest = draft_digest(&summary, drafts);
        Ok(summary)
    }

    fn states(&self, earned: &[i128]) -> Result<Vec<ReferralState>, EvaluateError> {
        let states = self.referrals.iter().enumerate();
        let state = |(index, referral): (usize, &&Referral)| {
            let (standing, streaks) = (&self.standings[index], &self.streaks[index]);
            state(self.partner, referral, standing, streaks, earned[index], self.as_of)
        };
        states.map(state).collect()
    }

    /// The sums of lines, each given by its status and its amount. `further_minor` is what the partner was paid beside
    /// its recorded payouts.
    pub(crate) fn totals(
        &self,
        lines: impl Iterator<Item = (LineStatus, i128)>,
        further_minor: i128,
        terms: &Terms,
    ) -> Result<Totals, EvaluateError> {
        let fit = |name: &str, sum: i128| {
            i64::try_from(sum)
                .map_err(|_| EvaluateError::TooLarge { what: format!("`{name}` of partner `{}`", self.partner.id) })
        };
        let mut sums = [0_i128; 5];
        for (status, amount_minor) in lines {
            sums[status as usize] += amount_minor;
        }
        let sum = |status: LineStatus| sums[status as usize];
        let paid = self.partner.payouts.iter().map(|payout| {
            let amount = i128::from(payout.amount_minor);
            amount - payout.reversed_minor.min(amount)
        });
        let paid = fit("paid", paid.sum::<i128>() + further_minor)?;
        let vested = fit("vested", sum(LineStatus::Vested))?;
        let balance = fit("balance", i128::from(vested) - i128::from(paid))?;
        // A minimum is never below zero, so neither is what reaches it.
        let is_payable = balance >= terms.minimum_payout_minor && !self.partner.suspended;
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
}

fn state(
    partner: &Partner,
    referral: &Referral,
    standing: &Standing,
    streaks: &Streaks,
    earned: i128,
    as_of: DateTime<Utc>,
) -> Result<ReferralState, EvaluateError> {
    let fit = |what: &str, sum: i128| {
        let what = || format!("the {what} of referral `{}`", referral.id);
        i64::try_from(sum).map_err(|_| EvaluateError::TooLarge { what: what() })
    };
    let (status, annual_price) = client_status(referral, as_of);
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
        tenure_month: standing.tenure_month(as_of),
        earned_minor: fit("commission", earned)?,
        terms: standing.terms.id.clone(),
    })
}

fn last_vesting(streaks: &Streaks, terms: &Terms) -> Option<DateTime<Utc>> {
    let days = terms.vesting_days;
    streaks.all.last().filter(|streak| !streak.is_forfeited(days)).map(|streak| streak.vesting_instant(days))
}
