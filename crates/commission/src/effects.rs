//! Which facts have an effect, and on whom.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hashbrown::HashSet;

use crate::evaluate::EvaluateError;
use crate::fact::Fact;
use crate::matching::{Lead, Matcher, checked, owner_of};
use crate::model::{Matched, moment};
use crate::rows::Rows;

/// A fact that has an effect, and to whom it belongs: a partner by code and, where it is about one, a referral.
#[derive(Clone, Copy)]
pub(crate) struct Effect<'a> {
    pub(crate) fact: &'a Fact,
    pub(crate) partner: &'a str,
    pub(crate) referral: Option<&'a str>,
}

/// Matches all facts before `as_of` and tells the effects of those that are `wanted`.
pub(crate) fn matched_with_effects<'a>(
    facts: &'a [Fact],
    as_of: DateTime<Utc>,
    wanted: impl Fn(&Fact) -> bool,
) -> Result<(Matched<'a>, Vec<Effect<'a>>), EvaluateError> {
    let (rows, texts) = checked(facts)?;
    let fact_at = |position: u32| &facts[position as usize];
    let notes = RefCell::new(Vec::new());
    let note = |position, lead| {
        if wanted(fact_at(position)) {
            notes.borrow_mut().push((position, lead));
        }
    };
    let matcher = Matcher::of(Rows { rows: &rows, texts: &texts }, as_of, note);
    // What points at something unknown may lead to a partner too, and has no effect.
    let missed: HashSet<u32> = matcher.missed().collect();
    let effect = |(position, lead): (u32, Lead)| Effect {
        fact: fact_at(position),
        partner: matcher.partners[owner_of(lead, &matcher.referrals)].id,
        referral: match lead {
            Lead::Partner(_) => None,
            Lead::Referral(referral) => Some(matcher.referrals[referral].id),
        },
    };
    let noted = notes.take().into_iter().filter(|(position, _)| !missed.contains(position));
    let mut effects: Vec<Effect> = noted.map(effect).collect();
    // Of several corrections of a credit the last one has the effect.
    for referral in &matcher.referrals {
        let partner = matcher.partners[referral.owner].id;
        let decided = referral.last_move.map(fact_at).filter(|fact| wanted(fact));
        effects.extend(decided.map(|fact| Effect { fact, partner, referral: Some(referral.id) }));
    }
    Ok((matcher.finish(), effects))
}

/// The facts that each partner's statement at `as_of` depends on, by partner and in order: a journal of them alone
/// gives that partner the same statement. Where a referral was moved, the new partner's list has the `partner_joined`
/// of the partner that it was first credited to, without which its creation would point at somebody unknown.
pub fn facts_by_partner(facts: &[Fact], as_of: DateTime<Utc>) -> Result<BTreeMap<&str, Vec<&Fact>>, EvaluateError> {
    let (rows, texts) = checked(facts)?;
    let mut notes = Vec::new();
    let matcher =
        Matcher::of(Rows { rows: &rows, texts: &texts }, as_of, |position, lead| notes.push((position, lead)));
    let Matcher { partners, referrals, .. } = matcher;
    let mut lists: Vec<Vec<u32>> = partners.iter().map(|_| Vec::new()).collect();
    for (position, lead) in notes {
        lists[owner_of(lead, &referrals)].push(position);
    }
    for referral in &referrals {
        if referral.first_owner != referral.owner {
            lists[referral.owner].push(partners[referral.first_owner].joined);
            lists[referral.owner].extend(referral.last_move);
        }
    }
    let lists = partners.iter().zip(lists).map(|(partner, positions)| {
        let mut list: Vec<&Fact> = positions.into_iter().map(|position| &facts[position as usize]).collect();
        list.sort_by_key(|fact| moment(fact));
        list.dedup_by_key(|fact| moment(fact));
        (partner.id, list)
    });
    Ok(lists.collect())
}
