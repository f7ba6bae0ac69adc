//! From a heap of facts to partners with their referrals (docs/rules.md §2): what each fact points at, and which of
//! several claims to one business key wins.
//!
//! A kind of fact is matched only after the kinds that it can point at, so arrival order has no say.

use chrono::{DateTime, Utc};

use crate::evaluate::EvaluateError;
use crate::fact::{Fact, FactBody, Outcome, Space};
use crate::model::{Adjustment, Invoice, Matched, Partner, Payout, Price, Referral, Step, Subscription};
use crate::names::{Lend, Texts};
use crate::order::{Counting, Kind, Sorted};
use crate::possible::check;
use crate::rows::{Builder, Row, Rows};
use crate::statement::{Decision, Missing, Unmatched};

/// To whom a fact belongs. A referral's partner is known only when all corrections are.
#[derive(Clone, Copy)]
pub(crate) enum Lead {
    Partner(usize),
    Referral(usize),
}

pub(crate) fn owner_of(lead: Lead, referrals: &[Referral]) -> usize {
    match lead {
        Lead::Partner(partner) => partner,
        Lead::Referral(referral) => referrals[referral].owner,
    }
}

/// Rows and the texts behind their numbers, by kind.
pub(crate) type Borrowed<'a> = (Vec<Row>, [Vec<&'a str>; Space::COUNT]);

/// Rows of facts that need not be checked.
pub(crate) fn rows_of(facts: &[Fact]) -> Borrowed<'_> {
    build(facts).finish()
}

/// Rows of facts, if all are possible and no two contradict each other.
pub(crate) fn checked(facts: &[Fact]) -> Result<Borrowed<'_>, EvaluateError> {
    for fact in facts {
        check(fact).map_err(|error| EvaluateError::Fact { id: fact.id.clone(), error })?;
    }
    let rows = build(facts);
    match rows.conflict {
        Some(conflict) => Err(EvaluateError::ConflictingFacts { id: facts[conflict.later].id.clone() }),
        None => Ok(rows.finish()),
    }
}

fn build(facts: &[Fact]) -> Builder<Vec<&str>> {
    let mut rows = Builder::default();
    rows.rows.reserve(facts.len());
    facts.iter().for_each(|fact| rows.push(fact));
    rows
}

/// Matches all facts before `as_of`.
pub(crate) fn matched<'a, T: Lend<'a> + Texts>(facts: Rows<'_, T>, as_of: DateTime<Utc>) -> Matched<'a> {
    Matcher::of(facts, as_of, |_, _| {}).finish()
}

/// The referral of a subscription or an invoice, and the position in it. No memory holds more of them than 32 bits count.
type Place = (u32, u32);

/// Where an invoice that counts is among all facts, and which subscription of its referral it is for.
#[derive(Clone, Copy, Default)]
struct Paid {
    position: u32,
    rank: u32,
    subscription: u32,
}

/// What has been matched so far. `note` hears of every fact that leads to a partner, by its position.
pub(crate) struct Matcher<'r, 'a, T, N> {
    facts: Rows<'r, T>,
    pub(crate) partners: Vec<Partner<'a>>,
    pub(crate) referrals: Vec<Referral<'a>>,
    /// With the position of the fact.
    unmatched: Vec<(Option<Lead>, u32, Unmatched)>,
    partner_of: Of<usize>,
    referral_of: Of<usize>,
    subscription_of: Of<Place>,
    invoice_of: Of<Place>,
    note: N,
}

/// What belongs to each text of a kind, by its number.
struct Of<V>(Vec<Option<V>>);

impl<V: Copy> Of<V> {
    fn with_room(texts: usize) -> Self {
        Self(vec![None; texts])
    }
    fn get(&self, number: u32) -> Option<V> {
        self.0[number as usize]
    }
    /// Sets what has not been set before, and tells whether it did.
    fn claim(&mut self, number: u32, value: V) -> bool {
        let slot = &mut self.0[number as usize];
        let is_first = slot.is_none();
        slot.get_or_insert(value);
        is_first
    }
}

impl<'r, 'a, T: Lend<'a> + Texts, N: FnMut(u32, Lead)> Matcher<'r, 'a, T, N> {
    /// Matches all facts before `as_of`.
    pub(crate) fn of(facts: Rows<'r, T>, as_of: DateTime<Utc>, note: N) -> Self {
        let sorted = Sorted::new(&facts, as_of);
        let count = |space: Space| facts.texts[space as usize].count();
        let mut matcher = Self {
            partners: Vec::new(),
            referrals: Vec::with_capacity(sorted.each(Kind::Created).len()),
            unmatched: Vec::new(),
            partner_of: Of::with_room(count(Space::Partner)),
            referral_of: Of::with_room(count(Space::Referral)),
            subscription_of: Of::with_room(count(Space::Subscription)),
            invoice_of: Of::with_room(count(Space::Invoice)),
            note,
            facts,
        };
        matcher.match_partners(&sorted);
        matcher.match_referrals(&sorted);
        matcher.match_subscriptions(&sorted);
        matcher.match_invoices(&sorted);
        matcher.match_money_back(&sorted);
        matcher.match_payments(&sorted);
        matcher
    }

    /// The positions of the facts that point at something unknown.
    pub(crate) fn missed(&self) -> impl Iterator<Item = u32> {
        self.unmatched.iter().map(|(_, position, _)| *position)
    }

    fn text(&self, space: Space, number: u32) -> &'a str {
        self.facts.text(space, number)
    }

    fn miss(&mut self, fact: Counting, missing: Missing, number: u32, lead: Option<Lead>) {
        let unmatched = Unmatched {
            id: self.text(Space::Fact, fact.row.id).to_owned(),
            at: fact.row.at,
            fact_type: fact.row.body.type_name().to_owned(),
            missing,
            missing_id: self.text(space_of(missing), number).to_owned(),
        };
        self.unmatched.push((lead, fact.position, unmatched));
        if let Some(lead) = lead {
            (self.note)(fact.position, lead);
        }
    }

    fn match_partners(&mut self, sorted: &Sorted) {
        let mut firsts = Vec::with_capacity(sorted.each(Kind::Joined).len());
        let mut seen = Of::with_room(self.facts.texts[Space::Partner as usize].count());
        for fact in sorted.each(Kind::Joined) {
            let FactBody::PartnerJoined { partner, website, .. } = fact.row.body else { continue };
            if seen.claim(partner, ()) {
                firsts.push((self.text(Space::Partner, partner), partner, website, fact.position));
            }
        }
        firsts.sort_unstable();
        for (index, (id, partner, website, joined)) in firsts.into_iter().enumerate() {
            self.partner_of.claim(partner, index);
            (self.note)(joined, Lead::Partner(index));
            self.partners.push(Partner {
                id,
                website: self.text(Space::Words, website),
                suspended: false,
                referrals: Vec::new(),
                adjustments: Vec::new(),
                payouts: Vec::new(),
                unmatched: Vec::new(),
                joined,
            });
        }
        for fact in sorted.each(Kind::Standing) {
            let (partner, suspended) = match fact.row.body {
                FactBody::PartnerSuspended { partner } => (partner, true),
                FactBody::PartnerReinstated { partner } => (partner, false),
                _ => continue,
            };
            match self.partner_of.get(partner) {
                None => self.miss(fact, Missing::Partner, partner, None),
                Some(index) => {
                    (self.note)(fact.position, Lead::Partner(index));
                    self.partners[index].suspended = suspended;
                }
            }
        }
    }

    fn match_referrals(&mut self, sorted: &Sorted) {
        for fact in sorted.each(Kind::Created) {
            let FactBody::ReferralCreated { referral, partner, client_email_domain } = fact.row.body else { continue };
            let Some(owner) = self.partner_of.get(partner) else {
                self.miss(fact, Missing::Partner, partner, None);
                continue;
            };
            let index = self.referrals.len();
            if !self.referral_of.claim(referral, index) {
                continue;
            }
            (self.note)(fact.position, Lead::Referral(index));
            self.referrals.push(Referral {
                id: self.text(Space::Referral, referral),
                signed_up_at: fact.row.at,
                client_email_domain: client_email_domain.map(|domain| self.text(Space::Words, domain)),
                decision: None,
                subscriptions: Vec::new(),
                invoices: Vec::new(),
                owner,
                first_owner: owner,
                last_move: None,
            });
        }
        for fact in sorted.each(Kind::Decision) {
            let (referral, decision) = match fact.row.body {
                FactBody::ReferralCleared { referral, .. } => (referral, Some(Decision::Cleared)),
                FactBody::ReferralRejected { referral, .. } => (referral, Some(Decision::Rejected)),
                FactBody::ReferralReopened { referral, .. } => (referral, None),
                _ => continue,
            };
            match self.referral_of.get(referral) {
                None => self.miss(fact, Missing::Referral, referral, None),
                Some(index) => {
                    (self.note)(fact.position, Lead::Referral(index));
                    self.referrals[index].decision = decision;
                }
            }
        }
        for fact in sorted.each(Kind::Move) {
            let FactBody::ReferralMoved { referral, partner, .. } = fact.row.body else { continue };
            match (self.referral_of.get(referral), self.partner_of.get(partner)) {
                (None, owner) => self.miss(fact, Missing::Referral, referral, owner.map(Lead::Partner)),
                (Some(index), None) => self.miss(fact, Missing::Partner, partner, Some(Lead::Referral(index))),
                (Some(index), Some(owner)) => {
                    self.referrals[index].owner = owner;
                    self.referrals[index].last_move = Some(fact.position);
                }
            }
        }
    }

    fn match_subscriptions(&mut self, sorted: &Sorted) {
        for fact in sorted.each(Kind::Start) {
            let FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor } = fact.row.body else {
                continue;
            };
            let Some(index) = self.referral_of.get(referral) else {
                self.miss(fact, Missing::Referral, referral, None);
                continue;
            };
            let subscriptions = &mut self.referrals[index].subscriptions;
            let place = (narrow(index), narrow(subscriptions.len()));
            if !self.subscription_of.claim(subscription, place) {
                continue;
            }
            subscriptions.push(Subscription {
                id: self.facts.text(Space::Subscription, subscription),
                started: fact.moment(),
                prices: vec![Price { from: fact.row.at, interval, amount_minor }],
                canceled: None,
            });
            (self.note)(fact.position, Lead::Referral(index));
        }
        for fact in sorted.each(Kind::Change) {
            let FactBody::SubscriptionChanged { subscription, interval, amount_minor } = fact.row.body else {
                continue;
            };
            let Some((index, position)) = self.subscription_of.get(subscription) else {
                self.miss(fact, Missing::Subscription, subscription, None);
                continue;
            };
            let subscription = &mut self.referrals[index as usize].subscriptions[position as usize];
            if fact.moment() > subscription.started {
                subscription.prices.push(Price { from: fact.row.at, interval, amount_minor });
                (self.note)(fact.position, Lead::Referral(index as usize));
            }
        }
        for fact in sorted.each(Kind::Cancel) {
            let FactBody::SubscriptionCanceled { subscription } = fact.row.body else { continue };
            let Some((index, position)) = self.subscription_of.get(subscription) else {
                self.miss(fact, Missing::Subscription, subscription, None);
                continue;
            };
            let subscription = &mut self.referrals[index as usize].subscriptions[position as usize];
            if subscription.canceled.is_none() {
                subscription.canceled = Some(fact.moment());
                (self.note)(fact.position, Lead::Referral(index as usize));
            }
        }
    }

    fn match_invoices(&mut self, sorted: &Sorted) {
        let mut paid = Vec::with_capacity(sorted.each(Kind::Invoice).len());
        let mut counts = vec![0_u32; self.referrals.len()];
        for fact in sorted.each(Kind::Invoice) {
            let FactBody::InvoicePaid { invoice, subscription, amount_minor, .. } = fact.row.body else { continue };
            let Some((index, position)) = self.subscription_of.get(subscription) else {
                self.miss(fact, Missing::Subscription, subscription, None);
                continue;
            };
            if amount_minor != 0 && self.invoice_of.claim(invoice, (index, counts[index as usize])) {
                counts[index as usize] += 1;
                paid.push((index, Paid { position: fact.position, rank: fact.rank, subscription: position }));
                (self.note)(fact.position, Lead::Referral(index as usize));
            }
        }
        self.place_invoices(paid, &counts);
    }

    /// Puts the invoices into their referrals, partner by partner, so that those that are read together lie together.
    fn place_invoices(&mut self, paid: Vec<(u32, Paid)>, counts: &[u32]) {
        let mut ends: Vec<usize> = Vec::with_capacity(counts.len());
        for count in counts {
            ends.push(ends.last().copied().unwrap_or(0) + *count as usize);
        }
        // Where the next invoice of each referral goes.
        let mut next: Vec<usize> = ends.iter().zip(counts).map(|(end, count)| end - *count as usize).collect();
        let mut by_referral = vec![Paid::default(); paid.len()];
        for (index, invoice) in paid {
            let next = &mut next[index as usize];
            by_referral[*next] = invoice;
            *next += 1;
        }
        let mut by_owner: Vec<usize> = (0..self.referrals.len()).collect();
        by_owner.sort_by_key(|&index| self.referrals[index].owner);
        for index in by_owner {
            let own = &by_referral[ends[index] - counts[index] as usize..ends[index]];
            let mut invoices = Vec::with_capacity(own.len());
            invoices.extend(own.iter().filter_map(|paid| self.invoice(paid)));
            self.referrals[index].invoices = invoices;
        }
    }

    fn invoice(&self, paid: &Paid) -> Option<Invoice<'a>> {
        let row = &self.facts.rows[paid.position as usize];
        let FactBody::InvoicePaid { invoice, amount_minor, period_start, period_end, .. } = row.body else {
            return None;
        };
        Some(Invoice {
            id: self.text(Space::Invoice, invoice),
            moment: (row.at, paid.rank),
            subscription: paid.subscription,
            amount_minor,
            period_start,
            period_end,
            steps: Vec::new(),
            disputed: false,
        })
    }

    fn match_money_back(&mut self, sorted: &Sorted<'r>) {
        let mut steps = Vec::new();
        self.match_refunds(sorted, &mut steps);
        self.match_disputes(sorted, &mut steps);
        steps.sort_by_key(|(_, fact, ..)| fact.rank);
        for ((index, position), fact, amount_minor, dispute) in steps {
            let id = self.text(Space::Fact, fact.row.id);
            let step = Step { id, moment: fact.moment(), amount_minor, dispute };
            self.referrals[index as usize].invoices[position as usize].steps.push(step);
        }
    }

    fn match_refunds(&mut self, sorted: &Sorted<'r>, steps: &mut Vec<Back<'r>>) {
        let mut refunds = Vec::new();
        let room = self.facts.texts[Space::Refund as usize].count();
        let (mut refund_of, mut failed) = (Of::with_room(room), Of::with_room(room));
        for fact in sorted.each(Kind::Refund) {
            let FactBody::InvoiceRefunded { invoice, amount_minor, refund } = fact.row.body else { continue };
            let Some(place) = self.invoice_of.get(invoice) else {
                self.miss(fact, Missing::Invoice, invoice, None);
                continue;
            };
            if refund.is_none_or(|refund| refund_of.claim(refund, place)) {
                (self.note)(fact.position, Lead::Referral(place.0 as usize));
                refunds.push((refund, (place, fact, amount_minor, false)));
            }
        }
        for fact in sorted.each(Kind::Failure) {
            let FactBody::RefundFailed { refund } = fact.row.body else { continue };
            match refund_of.get(refund) {
                None => self.miss(fact, Missing::Refund, refund, None),
                Some((index, _)) => {
                    (self.note)(fact.position, Lead::Referral(index as usize));
                    failed.claim(refund, ());
                }
            }
        }
        let stands = |refund: Option<u32>| refund.is_none_or(|refund| failed.get(refund).is_none());
        steps.extend(refunds.into_iter().filter(|(refund, _)| stands(*refund)).map(|(_, back)| back));
    }

    fn match_disputes(&mut self, sorted: &Sorted<'r>, steps: &mut Vec<Back<'r>>) {
        let room = self.facts.texts[Space::Dispute as usize].count();
        let (mut dispute_of, mut closed) = (Of::with_room(room), Of::with_room(room));
        for fact in sorted.each(Kind::Dispute) {
            let FactBody::DisputeOpened { dispute, invoice, amount_minor } = fact.row.body else { continue };
            let Some(place) = self.invoice_of.get(invoice) else {
                self.miss(fact, Missing::Invoice, invoice, None);
                continue;
            };
            if dispute_of.claim(dispute, (place, amount_minor)) {
                (self.note)(fact.position, Lead::Referral(place.0 as usize));
            }
        }
        for fact in sorted.each(Kind::Closing) {
            let FactBody::DisputeClosed { dispute, outcome } = fact.row.body else { continue };
            let Some((place, amount_minor)) = dispute_of.get(dispute) else {
                self.miss(fact, Missing::Dispute, dispute, None);
                continue;
            };
            if !closed.claim(dispute, ()) {
                continue;
            }
            (self.note)(fact.position, Lead::Referral(place.0 as usize));
            if outcome == Outcome::Lost {
                steps.push((place, fact, amount_minor, true));
            }
        }
        for (opened, closed) in dispute_of.0.iter().zip(&closed.0) {
            if let (Some(((index, position), _)), None) = (opened, closed) {
                self.referrals[*index as usize].invoices[*position as usize].disputed = true;
            }
        }
    }

    fn match_payments(&mut self, sorted: &Sorted) {
        for fact in sorted.each(Kind::Adjustment) {
            let FactBody::AdjustmentMade { partner, amount_minor, reason } = fact.row.body else { continue };
            match self.partner_of.get(partner) {
                None => self.miss(fact, Missing::Partner, partner, None),
                Some(index) => {
                    (self.note)(fact.position, Lead::Partner(index));
                    let (id, reason) = (self.text(Space::Fact, fact.row.id), self.text(Space::Words, reason));
                    self.partners[index].adjustments.push(Adjustment { id, at: fact.row.at, amount_minor, reason });
                }
            }
        }
        let mut payout_of = Of::with_room(self.facts.texts[Space::Payout as usize].count());
        for fact in sorted.each(Kind::Payout) {
            let FactBody::PayoutPaid { payout, partner, amount_minor } = fact.row.body else { continue };
            let Some(index) = self.partner_of.get(partner) else {
                self.miss(fact, Missing::Partner, partner, None);
                continue;
            };
            let payouts = &mut self.partners[index].payouts;
            if payout_of.claim(payout, (index, payouts.len())) {
                payouts.push(Payout { amount_minor, reversed_minor: 0 });
                (self.note)(fact.position, Lead::Partner(index));
            }
        }
        for fact in sorted.each(Kind::Reversal) {
            let FactBody::PayoutReversed { payout, amount_minor } = fact.row.body else { continue };
            let Some((index, position)) = payout_of.get(payout) else {
                self.miss(fact, Missing::Payout, payout, None);
                continue;
            };
            let payout: &mut Payout = &mut self.partners[index].payouts[position];
            payout.reversed_minor += i128::from(amount_minor.unwrap_or(payout.amount_minor));
            (self.note)(fact.position, Lead::Partner(index));
        }
    }

    pub(crate) fn finish(self) -> Matched<'a> {
        let Self { mut partners, referrals, mut unmatched, .. } = self;
        for (index, referral) in referrals.iter().enumerate() {
            partners[referral.owner].referrals.push(index);
        }
        unmatched.sort_by(|(.., a), (.., b)| (a.at, &a.id).cmp(&(b.at, &b.id)));
        let mut astray = Vec::new();
        for (lead, _, fact) in unmatched {
            match lead {
                Some(lead) => partners[owner_of(lead, &referrals)].unmatched.push(fact),
                None => astray.push(fact),
            }
        }
        Matched { partners, referrals, unmatched: astray }
    }
}

/// No memory holds more facts than 32 bits count.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

/// Money that went back: of which invoice, by which fact, how much, and whether a dispute was lost.
type Back<'r> = (Place, Counting<'r>, i64, bool);

fn space_of(missing: Missing) -> Space {
    match missing {
        Missing::Partner => Space::Partner,
        Missing::Referral => Space::Referral,
        Missing::Subscription => Space::Subscription,
        Missing::Invoice => Space::Invoice,
        Missing::Refund => Space::Refund,
        Missing::Dispute => Space::Dispute,
        Missing::Payout => Space::Payout,
    }
}
