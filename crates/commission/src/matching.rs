//! From a heap of facts to partners with their referrals (docs/rules.md §2): which facts count, in which order, what
//! each points at, and which of several claims to one business key wins.
//!
//! A kind of fact is matched only after the kinds that it can point at, so arrival order has no say.

use std::cell::RefCell;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hashbrown::{HashMap, HashSet};

use crate::evaluate::EvaluateError;
use crate::fact::{Fact, FactBody, Outcome};
use crate::index::Index;
use crate::journal::conflicting_ids;
use crate::model::{Adjustment, Invoice, Matched, Partner, Payout, Price, Referral, Step, Subscription, moment};
use crate::possible::check;
use crate::statement::{Decision, Missing, Unmatched};

/// To whom a fact belongs. A referral's partner is known only when all corrections are.
#[derive(Clone, Copy)]
enum Lead {
    Partner(usize),
    Referral(usize),
}

/// The facts that count, by what they are about, each list in order.
#[derive(Default)]
struct Sorted<'a> {
    joined: Vec<&'a Fact>,
    standings: Vec<&'a Fact>,
    created: Vec<&'a Fact>,
    decisions: Vec<&'a Fact>,
    moves: Vec<&'a Fact>,
    starts: Vec<&'a Fact>,
    changes: Vec<&'a Fact>,
    cancels: Vec<&'a Fact>,
    invoices: Vec<&'a Fact>,
    refunds: Vec<&'a Fact>,
    failures: Vec<&'a Fact>,
    disputes: Vec<&'a Fact>,
    closings: Vec<&'a Fact>,
    adjustments: Vec<&'a Fact>,
    payouts: Vec<&'a Fact>,
    reversals: Vec<&'a Fact>,
}

/// Whether all facts are possible and no two contradict each other.
fn check_all(facts: &[Fact]) -> Result<(), EvaluateError> {
    for fact in facts {
        check(fact).map_err(|error| EvaluateError::Fact { id: fact.id.clone(), error })?;
    }
    if let Some((_, second)) = conflicting_ids(facts) {
        return Err(EvaluateError::ConflictingFacts { id: facts[second].id.clone() });
    }
    Ok(())
}

/// Puts the facts before `as_of` in order, each once.
fn sort(facts: &[Fact], as_of: DateTime<Utc>) -> Sorted<'_> {
    let mut counting: Vec<&Fact> = facts.iter().filter(|fact| fact.at < as_of).collect();
    counting.sort_by_key(|fact| moment(fact));
    counting.dedup_by_key(|fact| moment(fact));
    let mut sorted = Sorted::default();
    for fact in counting {
        let list = match fact.body {
            FactBody::PartnerJoined { .. } => &mut sorted.joined,
            FactBody::PartnerSuspended { .. } | FactBody::PartnerReinstated { .. } => &mut sorted.standings,
            FactBody::ReferralCreated { .. } => &mut sorted.created,
            FactBody::ReferralCleared { .. } | FactBody::ReferralRejected { .. } => &mut sorted.decisions,
            FactBody::ReferralMoved { .. } => &mut sorted.moves,
            FactBody::SubscriptionStarted { .. } => &mut sorted.starts,
            FactBody::SubscriptionChanged { .. } => &mut sorted.changes,
            FactBody::SubscriptionCanceled { .. } => &mut sorted.cancels,
            FactBody::InvoicePaid { .. } => &mut sorted.invoices,
            FactBody::InvoiceRefunded { .. } => &mut sorted.refunds,
            FactBody::RefundFailed { .. } => &mut sorted.failures,
            FactBody::DisputeOpened { .. } => &mut sorted.disputes,
            FactBody::DisputeClosed { .. } => &mut sorted.closings,
            FactBody::AdjustmentMade { .. } => &mut sorted.adjustments,
            FactBody::PayoutPaid { .. } => &mut sorted.payouts,
            FactBody::PayoutReversed { .. } => &mut sorted.reversals,
        };
        list.push(fact);
    }
    sorted
}

/// Matches all facts before `as_of`.
pub(crate) fn matched(facts: &[Fact], as_of: DateTime<Utc>) -> Result<Matched<'_>, EvaluateError> {
    check_all(facts)?;
    Ok(matched_unchecked(facts, as_of))
}

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
    check_all(facts)?;
    let notes = RefCell::new(Vec::new());
    let mut matcher = Matcher::new(|fact, lead| {
        if wanted(fact) {
            notes.borrow_mut().push((fact, lead));
        }
    });
    matcher.run(&sort(facts, as_of));
    // What points at something unknown may lead to a partner too, and has no effect.
    let missed: HashSet<&str> = matcher.unmatched.iter().map(|(_, fact)| fact.id.as_str()).collect();
    let effect = |(fact, lead): (&'a Fact, Lead)| Effect {
        fact,
        partner: matcher.partners[owner_of(lead, &matcher.referrals)].id,
        referral: match lead {
            Lead::Partner(_) => None,
            Lead::Referral(referral) => Some(matcher.referrals[referral].id),
        },
    };
    let noted = notes.take().into_iter().filter(|(fact, _)| !missed.contains(fact.id.as_str()));
    let mut effects: Vec<Effect> = noted.map(effect).collect();
    drop(missed); // It borrows from what is finished next.
    // Of several corrections of a credit the last one has the effect.
    for referral in &matcher.referrals {
        let partner = matcher.partners[referral.owner].id;
        let decided = referral.last_move.filter(|fact| wanted(fact));
        effects.extend(decided.map(|fact| Effect { fact, partner, referral: Some(referral.id) }));
    }
    Ok((matcher.finish(), effects))
}

/// The same for facts that are known to be possible and not to contradict each other.
pub(crate) fn matched_unchecked(facts: &[Fact], as_of: DateTime<Utc>) -> Matched<'_> {
    let mut matcher = Matcher::new(|_, _| {});
    matcher.run(&sort(facts, as_of));
    matcher.finish()
}

/// The facts that each partner's statement at `as_of` depends on, by partner and in order: a journal of them alone
/// gives that partner the same statement. Where a referral was moved, the new partner's list has the `partner_joined`
/// of the partner that it was first credited to, without which its creation would point at somebody unknown.
pub fn facts_by_partner(facts: &[Fact], as_of: DateTime<Utc>) -> Result<BTreeMap<&str, Vec<&Fact>>, EvaluateError> {
    check_all(facts)?;
    let mut notes = Vec::new();
    let mut matcher = Matcher::new(|fact, lead| notes.push((fact, lead)));
    matcher.run(&sort(facts, as_of));
    let Matcher { partners, referrals, .. } = matcher;
    let mut lists: Vec<Vec<&Fact>> = partners.iter().map(|_| Vec::new()).collect();
    for (fact, lead) in notes {
        lists[owner_of(lead, &referrals)].push(fact);
    }
    for referral in &referrals {
        if referral.first_owner != referral.owner {
            lists[referral.owner].push(partners[referral.first_owner].joined);
            lists[referral.owner].extend(referral.last_move);
        }
    }
    let lists = partners.iter().zip(lists).map(|(partner, mut list)| {
        list.sort_by_key(|fact| moment(fact));
        list.dedup_by_key(|fact| moment(fact));
        (partner.id, list)
    });
    Ok(lists.collect())
}

fn owner_of(lead: Lead, referrals: &[Referral]) -> usize {
    match lead {
        Lead::Partner(partner) => partner,
        Lead::Referral(referral) => referrals[referral].owner,
    }
}

/// What has been matched so far. `note` hears of every fact that leads to a partner.
struct Matcher<'a, N> {
    partners: Vec<Partner<'a>>,
    referrals: Vec<Referral<'a>>,
    unmatched: Vec<(Option<Lead>, Unmatched)>,
    partner_of: HashMap<&'a str, usize>,
    referral_of: HashMap<&'a str, usize>,
    /// The referral of a subscription, and the position in it.
    subscription_of: HashMap<&'a str, (usize, usize)>,
    invoices: Invoices<'a>,
    note: N,
}

/// Where each invoice that counts is.
struct Invoices<'a> {
    index: Index,
    places: Vec<Place<'a>>,
}

/// The referral of an invoice, its position in it, and that of its subscription.
struct Place<'a> {
    fact: &'a Fact,
    referral: u32,
    position: u32,
    subscription: u32,
}

impl<'a> Invoices<'a> {
    fn with_capacity(invoices: usize) -> Self {
        Self { index: Index::with_capacity(invoices), places: Vec::with_capacity(invoices) }
    }

    fn id_at(places: &[Place<'a>], at: u32) -> &'a str {
        match &places[at as usize].fact.body {
            FactBody::InvoicePaid { invoice, .. } => invoice,
            _ => "",
        }
    }

    /// Notes where an invoice is, unless its id was claimed before.
    fn claim(&mut self, id: &str, place: Place<'a>) -> bool {
        let Self { index, places } = self;
        // No memory holds more facts than 32 bits count.
        let next = u32::try_from(places.len()).unwrap_or(u32::MAX);
        let is_first = index.claim(id, next, |at| Self::id_at(places, at)).is_none();
        if is_first {
            places.push(place);
        }
        is_first
    }

    /// The referral of an invoice, and the position in it.
    fn find(&self, id: &str) -> Option<(usize, usize)> {
        let place = &self.places[self.index.get(id, |at| Self::id_at(&self.places, at))? as usize];
        Some((place.referral as usize, place.position as usize))
    }
}

impl<'a, N: FnMut(&'a Fact, Lead)> Matcher<'a, N> {
    fn new(note: N) -> Self {
        Self {
            partners: Vec::new(),
            referrals: Vec::new(),
            unmatched: Vec::new(),
            partner_of: HashMap::new(),
            referral_of: HashMap::new(),
            subscription_of: HashMap::new(),
            invoices: Invoices::with_capacity(0),
            note,
        }
    }

    fn run(&mut self, sorted: &Sorted<'a>) {
        self.match_partners(sorted);
        self.match_referrals(sorted);
        self.match_subscriptions(sorted);
        self.match_invoices(sorted);
        self.match_money_back(sorted);
        self.match_payments(sorted);
        for referral in &mut self.referrals {
            for invoice in &mut referral.invoices {
                invoice.steps.sort_by_key(|step| step.moment);
            }
        }
    }

    fn miss(&mut self, fact: &'a Fact, missing: Missing, missing_id: &str, lead: Option<Lead>) {
        let fact_type = fact.body.type_name().to_owned();
        let missing_id = missing_id.to_owned();
        self.unmatched.push((lead, Unmatched { id: fact.id.clone(), at: fact.at, fact_type, missing, missing_id }));
        if let Some(lead) = lead {
            (self.note)(fact, lead);
        }
    }

    fn match_partners(&mut self, sorted: &Sorted<'a>) {
        let mut firsts = Vec::with_capacity(sorted.joined.len());
        let mut seen = HashSet::with_capacity(sorted.joined.len());
        for &fact in &sorted.joined {
            let FactBody::PartnerJoined { partner, website, .. } = &fact.body else { continue };
            if seen.insert(&**partner) {
                firsts.push((&**partner, &**website, fact));
            }
        }
        firsts.sort_by_key(|(partner, ..)| *partner);
        for (index, (id, website, joined)) in firsts.into_iter().enumerate() {
            self.partner_of.insert(id, index);
            (self.note)(joined, Lead::Partner(index));
            self.partners.push(Partner {
                id,
                website,
                suspended: false,
                referrals: Vec::new(),
                adjustments: Vec::new(),
                payouts: Vec::new(),
                unmatched: Vec::new(),
                joined,
            });
        }
        for &fact in &sorted.standings {
            let (partner, suspended) = match &fact.body {
                FactBody::PartnerSuspended { partner } => (partner, true),
                FactBody::PartnerReinstated { partner } => (partner, false),
                _ => continue,
            };
            match self.partner_of.get(&**partner) {
                None => self.miss(fact, Missing::Partner, partner, None),
                Some(&index) => {
                    (self.note)(fact, Lead::Partner(index));
                    self.partners[index].suspended = suspended;
                }
            }
        }
    }

    fn match_referrals(&mut self, sorted: &Sorted<'a>) {
        for &fact in &sorted.created {
            let FactBody::ReferralCreated { referral, partner, client_email_domain } = &fact.body else { continue };
            let Some(&owner) = self.partner_of.get(&**partner) else {
                self.miss(fact, Missing::Partner, partner, None);
                continue;
            };
            if self.referral_of.contains_key(&**referral) {
                continue;
            }
            let index = self.referrals.len();
            self.referral_of.insert(referral, index);
            (self.note)(fact, Lead::Referral(index));
            self.referrals.push(Referral {
                id: referral,
                signed_up_at: fact.at,
                client_email_domain: client_email_domain.as_deref(),
                decision: None,
                subscriptions: Vec::new(),
                invoices: Vec::new(),
                owner,
                first_owner: owner,
                last_move: None,
            });
        }
        for &fact in &sorted.decisions {
            let (referral, decision) = match &fact.body {
                FactBody::ReferralCleared { referral, .. } => (referral, Decision::Cleared),
                FactBody::ReferralRejected { referral, .. } => (referral, Decision::Rejected),
                _ => continue,
            };
            match self.referral_of.get(&**referral) {
                None => self.miss(fact, Missing::Referral, referral, None),
                Some(&index) => {
                    (self.note)(fact, Lead::Referral(index));
                    self.referrals[index].decision = Some(decision);
                }
            }
        }
        for &fact in &sorted.moves {
            let FactBody::ReferralMoved { referral, partner, .. } = &fact.body else { continue };
            match (self.referral_of.get(&**referral).copied(), self.partner_of.get(&**partner).copied()) {
                (None, owner) => self.miss(fact, Missing::Referral, referral, owner.map(Lead::Partner)),
                (Some(index), None) => self.miss(fact, Missing::Partner, partner, Some(Lead::Referral(index))),
                (Some(index), Some(owner)) => {
                    self.referrals[index].owner = owner;
                    self.referrals[index].last_move = Some(fact);
                }
            }
        }
    }

    fn match_subscriptions(&mut self, sorted: &Sorted<'a>) {
        for &fact in &sorted.starts {
            let FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor } = &fact.body else {
                continue;
            };
            let Some(&index) = self.referral_of.get(&**referral) else {
                self.miss(fact, Missing::Referral, referral, None);
                continue;
            };
            if self.subscription_of.contains_key(&**subscription) {
                continue;
            }
            let subscriptions = &mut self.referrals[index].subscriptions;
            self.subscription_of.insert(subscription, (index, subscriptions.len()));
            let price = Price { from: fact.at, interval: *interval, amount_minor: *amount_minor };
            subscriptions.push(Subscription {
                id: subscription,
                started: moment(fact),
                prices: vec![price],
                canceled: None,
            });
            (self.note)(fact, Lead::Referral(index));
        }
        for &fact in &sorted.changes {
            let FactBody::SubscriptionChanged { subscription, interval, amount_minor } = &fact.body else { continue };
            let Some(&(index, position)) = self.subscription_of.get(&**subscription) else {
                self.miss(fact, Missing::Subscription, subscription, None);
                continue;
            };
            let subscription = &mut self.referrals[index].subscriptions[position];
            if moment(fact) > subscription.started {
                let price = Price { from: fact.at, interval: *interval, amount_minor: *amount_minor };
                subscription.prices.push(price);
                (self.note)(fact, Lead::Referral(index));
            }
        }
        for &fact in &sorted.cancels {
            let FactBody::SubscriptionCanceled { subscription } = &fact.body else { continue };
            let Some(&(index, position)) = self.subscription_of.get(&**subscription) else {
                self.miss(fact, Missing::Subscription, subscription, None);
                continue;
            };
            let subscription = &mut self.referrals[index].subscriptions[position];
            if subscription.canceled.is_none() {
                subscription.canceled = Some(moment(fact));
                (self.note)(fact, Lead::Referral(index));
            }
        }
    }

    fn match_invoices(&mut self, sorted: &Sorted<'a>) {
        self.invoices = Invoices::with_capacity(sorted.invoices.len());
        let mut counts = vec![0_u32; self.referrals.len()];
        for &fact in &sorted.invoices {
            let FactBody::InvoicePaid { invoice, subscription, amount_minor, .. } = &fact.body else { continue };
            let Some(&(index, position)) = self.subscription_of.get(&**subscription) else {
                self.miss(fact, Missing::Subscription, subscription, None);
                continue;
            };
            let (Ok(referral), Ok(subscription)) = (u32::try_from(index), u32::try_from(position)) else { continue };
            let place = Place { fact, referral, position: counts[index], subscription };
            if *amount_minor != 0 && self.invoices.claim(invoice, place) {
                counts[index] += 1;
                (self.note)(fact, Lead::Referral(index));
            }
        }
        self.place_invoices(&counts);
    }

    /// Puts the invoices into their referrals. Room for them is made partner by partner, so that those that are read
    /// together lie together.
    fn place_invoices(&mut self, counts: &[u32]) {
        let mut by_owner: Vec<usize> = (0..self.referrals.len()).collect();
        by_owner.sort_by_key(|&index| self.referrals[index].owner);
        for index in by_owner {
            self.referrals[index].invoices = Vec::with_capacity(counts[index] as usize);
        }
        for &Place { fact, referral, subscription, .. } in &self.invoices.places {
            let FactBody::InvoicePaid { invoice, amount_minor, period_start, period_end, .. } = &fact.body else {
                continue;
            };
            self.referrals[referral as usize].invoices.push(Invoice {
                id: invoice,
                moment: moment(fact),
                subscription,
                amount_minor: *amount_minor,
                period_start: *period_start,
                period_end: *period_end,
                steps: Vec::new(),
                disputed: false,
            });
        }
    }

    fn match_money_back(&mut self, sorted: &Sorted<'a>) {
        let mut refunds = Vec::new();
        let mut refund_of = HashMap::new();
        for &fact in &sorted.refunds {
            let FactBody::InvoiceRefunded { invoice, refund, .. } = &fact.body else { continue };
            let Some(place) = self.invoices.find(invoice) else {
                self.miss(fact, Missing::Invoice, invoice, None);
                continue;
            };
            if let Some(refund) = refund {
                if refund_of.contains_key(&**refund) {
                    continue;
                }
                refund_of.insert(&**refund, place);
            }
            (self.note)(fact, Lead::Referral(place.0));
            refunds.push((fact, place));
        }
        let mut failed = HashSet::new();
        for &fact in &sorted.failures {
            let FactBody::RefundFailed { refund } = &fact.body else { continue };
            match refund_of.get(&**refund) {
                None => self.miss(fact, Missing::Refund, refund, None),
                Some(&(index, _)) => {
                    (self.note)(fact, Lead::Referral(index));
                    failed.insert(&**refund);
                }
            }
        }
        for (fact, (index, position)) in refunds {
            let FactBody::InvoiceRefunded { amount_minor, refund, .. } = &fact.body else { continue };
            if !refund.as_deref().is_some_and(|refund| failed.contains(refund)) {
                let step = Step { moment: moment(fact), amount_minor: *amount_minor, dispute: false };
                self.referrals[index].invoices[position].steps.push(step);
            }
        }
        self.match_disputes(sorted);
    }

    fn match_disputes(&mut self, sorted: &Sorted<'a>) {
        let mut dispute_of = HashMap::new();
        for &fact in &sorted.disputes {
            let FactBody::DisputeOpened { dispute, invoice, amount_minor } = &fact.body else { continue };
            let Some(place) = self.invoices.find(invoice) else {
                self.miss(fact, Missing::Invoice, invoice, None);
                continue;
            };
            if !dispute_of.contains_key(&**dispute) {
                dispute_of.insert(&**dispute, (place, *amount_minor));
                (self.note)(fact, Lead::Referral(place.0));
            }
        }
        let mut closed = HashSet::new();
        for &fact in &sorted.closings {
            let FactBody::DisputeClosed { dispute, outcome } = &fact.body else { continue };
            let Some(&((index, position), amount_minor)) = dispute_of.get(&**dispute) else {
                self.miss(fact, Missing::Dispute, dispute, None);
                continue;
            };
            if !closed.insert(&**dispute) {
                continue;
            }
            (self.note)(fact, Lead::Referral(index));
            if *outcome == Outcome::Lost {
                let step = Step { moment: moment(fact), amount_minor, dispute: true };
                self.referrals[index].invoices[position].steps.push(step);
            }
        }
        for (dispute, ((index, position), _)) in dispute_of {
            if !closed.contains(dispute) {
                self.referrals[index].invoices[position].disputed = true;
            }
        }
    }

    fn match_payments(&mut self, sorted: &Sorted<'a>) {
        for &fact in &sorted.adjustments {
            let FactBody::AdjustmentMade { partner, amount_minor, reason } = &fact.body else { continue };
            match self.partner_of.get(&**partner) {
                None => self.miss(fact, Missing::Partner, partner, None),
                Some(&index) => {
                    (self.note)(fact, Lead::Partner(index));
                    let adjustment = Adjustment { moment: moment(fact), amount_minor: *amount_minor, reason };
                    self.partners[index].adjustments.push(adjustment);
                }
            }
        }
        let mut payout_of = HashMap::new();
        for &fact in &sorted.payouts {
            let FactBody::PayoutPaid { payout, partner, amount_minor } = &fact.body else { continue };
            let Some(&index) = self.partner_of.get(&**partner) else {
                self.miss(fact, Missing::Partner, partner, None);
                continue;
            };
            if payout_of.contains_key(&**payout) {
                continue;
            }
            let payouts = &mut self.partners[index].payouts;
            payout_of.insert(&**payout, (index, payouts.len()));
            payouts.push(Payout { amount_minor: *amount_minor, reversed_minor: 0 });
            (self.note)(fact, Lead::Partner(index));
        }
        for &fact in &sorted.reversals {
            let FactBody::PayoutReversed { payout, amount_minor } = &fact.body else { continue };
            let Some(&(index, position)) = payout_of.get(&**payout) else {
                self.miss(fact, Missing::Payout, payout, None);
                continue;
            };
            let payout = &mut self.partners[index].payouts[position];
            payout.reversed_minor += i128::from(amount_minor.unwrap_or(payout.amount_minor));
            (self.note)(fact, Lead::Partner(index));
        }
    }

    fn finish(self) -> Matched<'a> {
        let Self { mut partners, referrals, mut unmatched, .. } = self;
        for (index, referral) in referrals.iter().enumerate() {
            partners[referral.owner].referrals.push(index);
        }
        unmatched.sort_by(|(_, a), (_, b)| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let mut astray = Vec::new();
        for (lead, fact) in unmatched {
            match lead {
                Some(lead) => partners[owner_of(lead, &referrals)].unmatched.push(fact),
                None => astray.push(fact),
            }
        }
        Matched { partners, referrals, unmatched: astray }
    }
}
