//! Where an agency stands in money, and where it would stand after a decision that nobody has taken yet: the engine says it
//! of its journal with one more fact. Pure.

use chrono::{DateTime, Utc};
use commission::{Decision, EvaluateError, Fact, FactBody, Statement, TermsBook, evaluate};
use wire::{Footing, NextPayout, NotPaidReason};

use crate::pages::until;
use crate::slice::Profile;
use crate::standing::{Standing, Verdict, in_words, is_payable, next_month, not_payable, paid_ever};

/// After every id of a journal, so that among facts of one instant it is the last.
const HYPOTHETICAL: &str = "\u{10ffff}";

/// An agency with everything that its payouts depend on.
pub struct Ground<'a> {
    /// The agency.
    pub profile: &'a Profile,
    /// All versions.
    pub terms: &'a TermsBook,
    /// Its journal.
    pub facts: &'a [Fact],
    /// A sealed payment of it is neither paid nor void.
    pub open_item: bool,
    /// The time.
    pub now: DateTime<Utc>,
}

/// The fact of a decision about a referral; without one, that the last decision is taken back.
pub fn deciding(referral: &str, decision: Option<Decision>, reason: Option<&str>) -> FactBody {
    let (referral, reason) = (referral.to_owned(), reason.map(str::to_owned));
    match decision {
        Some(Decision::Cleared) => FactBody::ReferralCleared { referral, reason },
        Some(Decision::Rejected) => FactBody::ReferralRejected { referral, reason },
        None => FactBody::ReferralReopened { referral, reason },
    }
}

impl Ground<'_> {
    /// Now, or with one more fact that happens after everything that is known.
    ///
    /// # Errors
    /// The engine's.
    pub fn footing(&self, fact: Option<FactBody>) -> Result<Footing, EvaluateError> {
        let last = self.facts.iter().map(|f| f.at).max().map_or(self.now, |last| last.max(self.now));
        // Now and then are looked at from one instant, so that what differs is the decision alone.
        let at = until(last);
        let mut facts = self.facts.to_vec();
        facts.extend(fact.map(|body| Fact { id: HYPOTHETICAL.into(), at, body }));
        let statement = self.statement(&facts, until(at))?;
        let then = self.statement(&facts, next_month(self.now).max(until(at)))?;
        let totals = statement.map(|s| s.totals).unwrap_or_default();
        let paid_minor = paid_ever(&facts).get(self.profile.code.as_str()).copied().unwrap_or(0);
        let next_payout = then.map(|then| self.next_payout(&then, paid_minor)).unwrap_or_else(|| self.nothing());
        Ok(Footing { totals, balance_minor: totals.vested.saturating_sub(paid_minor), next_payout })
    }

    fn statement(&self, facts: &[Fact], as_of: DateTime<Utc>) -> Result<Option<Statement>, EvaluateError> {
        let statements = evaluate(facts, self.terms, as_of)?.statements;
        Ok(statements.into_iter().find(|s| s.partner == self.profile.code))
    }

    fn nothing(&self) -> NextPayout {
        NextPayout { on: next_month(self.now).date_naive(), amount_minor: 0, why_not: Some("Nothing is due.".into()) }
    }

    fn next_payout(&self, then: &Statement, paid_ever_minor: i64) -> NextPayout {
        let (on, profile) = (next_month(self.now), self.profile);
        let standing = Standing {
            totals: then.totals,
            suspended: then.suspended,
            lines: &then.lines,
            paid_ever_minor,
            open_item: self.open_item,
            terms_accepted: profile.accepted.contains(&self.terms.in_force(self.now).id),
            minimum_minor: self.terms.in_force(on).minimum_payout_minor,
            has_account: profile.account.is_some(),
            transfers_active: profile.transfers == "active",
            rests: profile.frozen_until_ms.is_some_and(|until| until > on.timestamp_millis()),
            held_out: false,
        };
        let (amount_minor, why_not) = match standing.verdict() {
            Verdict::Pay(amount) => (amount, None),
            Verdict::Not(NotPaidReason::NoAccount) if !is_payable(&profile.country) => {
                (0, Some(not_payable(&profile.country)))
            }
            Verdict::Not(reason) => (0, Some(in_words(reason, standing.balance_minor(), Some(&profile.name)))),
            Verdict::Nothing => return self.nothing(),
        };
        NextPayout { on: on.date_naive(), amount_minor, why_not }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn day(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    fn profile() -> Profile {
        Profile {
            code: "P".into(),
            name: "An agency".into(),
            country: "US".into(),
            slug: None,
            account: Some("acct_1".into()),
            transfers: "active".into(),
            payouts_enabled: 1,
            requirements: Vec::new(),
            frozen_until_ms: None,
            accepted: vec!["2026-01".into()],
        }
    }

    /// A client of the agency's own domain that has paid three times, and an honest one.
    fn journal() -> Vec<Fact> {
        let lines = [
            r#"{"id":"1","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"An agency","website":"agency.com"}"#,
            r#"{"id":"2","at":"2026-01-05T00:00:00Z","type":"referral_created","referral":"own","partner":"P","client_email_domain":"agency.com"}"#,
            r#"{"id":"3","at":"2026-01-05T00:00:00Z","type":"subscription_started","subscription":"s1","referral":"own","interval":"month","amount_minor":50000}"#,
            r#"{"id":"4","at":"2026-01-05T00:00:00Z","type":"invoice_paid","invoice":"i1","subscription":"s1","amount_minor":50000}"#,
            r#"{"id":"5","at":"2026-03-20T00:00:00Z","type":"invoice_paid","invoice":"i2","subscription":"s1","amount_minor":50000}"#,
            r#"{"id":"6","at":"2026-02-05T00:00:00Z","type":"referral_created","referral":"honest","partner":"P"}"#,
            r#"{"id":"7","at":"2026-02-05T00:00:00Z","type":"subscription_started","subscription":"s2","referral":"honest","interval":"month","amount_minor":50000}"#,
            r#"{"id":"8","at":"2026-02-05T00:00:00Z","type":"invoice_paid","invoice":"i3","subscription":"s2","amount_minor":50000}"#,
        ];
        lines.iter().map(|line| commission::parse_fact(line).unwrap().unwrap()).collect()
    }

    fn footing(facts: &[Fact], now: DateTime<Utc>, fact: Option<FactBody>) -> Footing {
        let (profile, terms) = (profile(), TermsBook::default_book());
        Ground { profile: &profile, terms: &terms, facts, open_item: false, now }.footing(fact).unwrap()
    }

    #[test]
    fn a_decision_shows_what_it_releases_and_what_it_voids() {
        let (facts, now) = (journal(), day("2026-04-10T12:00:00Z"));
        let held = footing(&facts, now, None);
        assert_eq!((held.totals.held, held.totals.vested, held.next_payout.amount_minor), (20_000, 10_000, 10_000));
        let cleared = footing(&facts, now, Some(deciding("own", Some(Decision::Cleared), None)));
        assert_eq!((cleared.totals.held, cleared.balance_minor, cleared.next_payout.amount_minor), (0, 30_000, 30_000));
        let rejected = footing(&facts, now, Some(deciding("own", Some(Decision::Rejected), None)));
        assert_eq!((rejected.totals.void, rejected.totals.held, rejected.balance_minor), (20_000, 0, 10_000));
        // Nothing was decided yet, so taking it back changes nothing.
        assert_eq!(footing(&facts, now, Some(deciding("own", None, None))), held);
    }

    #[test]
    fn what_is_shown_before_a_decision_is_what_is_so_after_it() {
        let now = day("2026-04-10T12:00:00Z");
        let steps = [
            deciding("own", Some(Decision::Rejected), Some("Its own shop.")),
            deciding("own", Some(Decision::Cleared), None),
            FactBody::PartnerSuspended { partner: "P".into() },
            FactBody::AdjustmentMade { partner: "P".into(), amount_minor: -40_000, reason: "A mistake.".into() },
            deciding("own", None, None),
            FactBody::PartnerReinstated { partner: "P".into() },
        ];
        let mut facts = journal();
        for (n, body) in steps.into_iter().enumerate() {
            let shown = footing(&facts, now, Some(body.clone()));
            // Taken at the very instant of the last one, which is a millisecond later in the journal.
            let at = facts.iter().map(|f| f.at).max().unwrap().max(now) + TimeDelta::milliseconds(1);
            facts.push(Fact { id: format!("d{n}"), at, body });
            assert_eq!(footing(&facts, now, None), shown, "step {n}");
        }
    }

    #[test]
    fn a_suspended_agency_is_not_paid_and_keeps_what_it_earned() {
        let (facts, now) = (journal(), day("2026-04-10T12:00:00Z"));
        let then = footing(&facts, now, Some(FactBody::PartnerSuspended { partner: "P".into() }));
        assert_eq!((then.balance_minor, then.next_payout.amount_minor), (10_000, 0));
        assert!(then.next_payout.why_not.is_some_and(|why| why.contains("suspended")));
    }
}
