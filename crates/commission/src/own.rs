//! The facts that may be given to one agency: enough for its own statement, and nothing that tells of another agency.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::effects::facts_by_partner;
use crate::evaluate::EvaluateError;
use crate::fact::{Fact, FactBody};

/// The facts before `as_of` that a partner's statement depends on, in order, as that partner may have them: a journal of
/// them alone gives it the same statement, word for word. Whoever wants all of a journal says `DateTime::<Utc>::MAX_UTC`.
///
/// A referral that was moved away leaves nothing. One that was moved here is written as if it had been this partner's from
/// its sign-up on, which is what a correction means (docs/rules.md §2). Why a person cleared, rejected or moved a referral is
/// left out; the reason of an adjustment is what its line says, and stays. A correction without effect, because it names a
/// referral or a partner that nobody knows, is named in the statement and therefore stays too, without its reason.
///
/// # Errors
/// A fact is impossible, or two have one id and different content.
pub fn own_facts(facts: &[Fact], partner: &str, as_of: DateTime<Utc>) -> Result<Vec<Fact>, EvaluateError> {
    let mut lists = facts_by_partner(facts, as_of)?;
    let list = lists.remove(partner).unwrap_or_default();
    let is_known = |other: &str| other == partner || lists.contains_key(other);
    let created = list.iter().filter_map(|fact| match &fact.body {
        FactBody::ReferralCreated { referral, .. } => Some(referral.as_str()),
        _ => None,
    });
    let created: HashSet<&str> = created.collect();
    let wanted = |fact: &&&Fact| match &fact.body {
        FactBody::PartnerJoined { partner: joined, .. } => joined == partner,
        FactBody::ReferralMoved { referral, partner: to, .. } => !(created.contains(referral.as_str()) && is_known(to)),
        _ => true,
    };
    Ok(list.iter().filter(wanted).map(|fact| told(fact, partner)).collect())
}

/// A fact of a partner as it is told to it: without what a person wrote about it, and with a referral as if it had always been
/// this partner's.
pub fn told(fact: &Fact, partner: &str) -> Fact {
    let mut fact = fact.clone();
    match &mut fact.body {
        FactBody::ReferralCreated { partner: first, .. } => partner.clone_into(first),
        FactBody::ReferralCleared { reason, .. }
        | FactBody::ReferralRejected { reason, .. }
        | FactBody::ReferralReopened { reason, .. } => *reason = None,
        FactBody::ReferralMoved { reason, .. } => reason.clear(),
        _ => {}
    }
    fact
}
