//! Why a line differs between two evaluations: which facts did it, and how they came to count.
//!
//! How they came to count is known exactly, because the comparison goes from one evaluation to the other in steps. Which
//! of a step's facts did it follows from what about the line changed, and from what each fact is about.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::calendar::Day;
use crate::effects::Effect;
use crate::fact::{Fact, FactBody};
use crate::line::part;
use crate::model::moment;
use crate::statement::{Line, LineKind, LineStatus, Reason};

/// How a line came to differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Because {
    /// Other terms were applied, or the lines were computed by other rules.
    Terms,
    /// Facts were recorded late: they happened before the earlier instant, and the earlier evaluation did not have them.
    ArrivedLate {
        /// Those facts.
        facts: Vec<FactName>,
        /// Facts that the earlier evaluation had and the later one has not.
        instead_of: Vec<FactName>,
    },
    /// Facts that the earlier evaluation had are not there any more.
    Withdrawn {
        /// Those facts.
        facts: Vec<FactName>,
    },
    /// Somebody decided since: a review, a correction, a refund, a dispute, an adjustment.
    Decided {
        /// The decisions, and what else happened to the same effect.
        facts: Vec<FactName>,
    },
    /// Something happened since in the ordinary course: a payment, a cancellation.
    Happened {
        /// What happened.
        facts: Vec<FactName>,
    },
    /// Nothing but time has passed: it vested.
    TimePassed,
}

/// Names a fact of a journal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FactName {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Its id.
    pub id: String,
    /// Its type, as in the journal.
    #[serde(rename = "type")]
    pub fact_type: String,
}

impl From<&Fact> for FactName {
    fn from(fact: &Fact) -> Self {
        Self { at: fact.at, id: fact.id.clone(), fact_type: fact.body.type_name().to_owned() }
    }
}

impl Because {
    /// The facts that did it.
    pub fn facts(&self) -> &[FactName] {
        match self {
            Self::ArrivedLate { facts, .. }
            | Self::Withdrawn { facts }
            | Self::Decided { facts }
            | Self::Happened { facts } => facts,
            Self::Terms | Self::TimePassed => &[],
        }
    }
}

/// Facts by which two evaluations differ, by what they are about.
#[derive(Default)]
pub(crate) struct Happenings<'a> {
    all: Vec<Happening<'a>>,
    by_partner: HashMap<&'a str, Vec<usize>>,
    by_referral: HashMap<&'a str, Vec<usize>>,
    by_invoice: HashMap<&'a str, Vec<usize>>,
}

struct Happening<'a> {
    fact: &'a Fact,
    withdrawn: bool,
}

impl<'a> Happenings<'a> {
    /// Adds the effects of facts that came, or of facts that went. `journal` is where they are from.
    pub(crate) fn add(&mut self, effects: &[Effect<'a>], journal: &'a [Fact], withdrawn: bool) {
        let invoices = Invoices::of(effects, journal);
        for effect in effects {
            let index = self.all.len();
            let Effect { fact, partner, referral } = *effect;
            let invoice = invoices.of_fact(fact);
            self.all.push(Happening { fact, withdrawn });
            if let Some(invoice) = invoice {
                self.by_invoice.entry(invoice).or_default().push(index);
            }
            self.by_partner.entry(partner).or_default().push(index);
            if let Some(referral) = referral {
                self.by_referral.entry(referral).or_default().push(index);
            }
        }
    }

    /// The facts that changed a line of a partner, in order: those that came, and those that went.
    pub(crate) fn behind(&self, partner: &str, from: Option<&Line>, to: Option<&Line>) -> [Vec<FactName>; 2] {
        let mut named: Vec<&Happening> = Vec::new();
        for aspect in aspects(from, to) {
            named.extend(self.behind_aspect(aspect, partner, from, to));
        }
        named.sort_by_key(|happening| (happening.withdrawn, moment(happening.fact)));
        named.dedup_by_key(|happening| (happening.withdrawn, moment(happening.fact)));
        [false, true].map(|withdrawn| {
            named
                .iter()
                .filter(|happening| happening.withdrawn == withdrawn)
                .map(|happening| happening.fact.into())
                .collect()
        })
    }

    /// The nearest facts that can change this about a line: first those about what the line is about, then those of the
    /// client, then those of the partner, which can move a threshold.
    fn behind_aspect(
        &self,
        aspect: Aspect,
        partner: &str,
        from: Option<&Line>,
        to: Option<&Line>,
    ) -> Vec<&Happening<'a>> {
        use FactBody as F;
        let Some(line) = to.or(from) else { return Vec::new() };
        let look_up = |index: Option<&Vec<usize>>| -> Vec<&Happening> {
            index.into_iter().flatten().map(|&index| &self.all[index]).collect()
        };
        let invoice = look_up(line.invoice.as_deref().and_then(|invoice| self.by_invoice.get(invoice)));
        let client = look_up(line.referral.as_deref().and_then(|referral| self.by_referral.get(referral)));
        let partner = look_up(self.by_partner.get(partner));
        let own = |body: &F, fact: &Fact| match (body, line.kind) {
            (F::AdjustmentMade { .. }, LineKind::Adjustment) => ends_with(&line.id, &fact.id),
            (F::InvoiceRefunded { .. } | F::DisputeClosed { .. }, LineKind::Reversal) => ends_with(&line.id, &fact.id),
            (F::InvoicePaid { .. }, kind) => kind != LineKind::Reversal,
            _ => false,
        };
        let own = |fact: &Fact| own(&fact.body, fact);
        // A bonus on an older invoice is earned at the very instant of what reached the quarter.
        let reached = |fact: &Fact| line.kind == LineKind::VolumeBonus && fact.at == line.earned_at && paid(fact);
        let nearest: &[Ring] = match aspect {
            Aspect::Presence if line.kind == LineKind::Adjustment => &[(&partner, &own)],
            Aspect::Presence | Aspect::Amount => &[
                (&invoice, &own),
                (&client, &moved),
                (&invoice, &any),
                (&partner, &reached),
                (&client, &subscribed),
                (&partner, &corrected),
                (&partner, &paid),
            ],
            Aspect::Rejection | Aspect::Review => &[(&client, &decided), (&client, &moved)],
            Aspect::Dispute => &[(&invoice, &disputed), (&invoice, &any)],
            Aspect::Leaving => &[(&client, &left), (&client, &subscribed)],
            Aspect::Vesting => &[(&invoice, &own), (&client, &subscribed)],
        };
        let further: [Ring; 2] = [(&client, &any), (&partner, &counts)];
        let found = nearest.iter().chain(&further).map(|(ring, wanted)| {
            ring.iter().copied().filter(|happening| wanted(happening.fact)).collect::<Vec<&Happening>>()
        });
        // What a line depends on may have been claimed for somebody else, by a fact that leads there.
        let claims = || self.all.iter().filter(|happening| claims(happening.fact)).collect();
        found.into_iter().find(|found| !found.is_empty()).unwrap_or_else(claims)
    }
}

/// Facts about something, and which of them are looked for.
type Ring<'r, 's, 'a> = (&'r [&'s Happening<'a>], &'r dyn Fn(&Fact) -> bool);

fn any(_: &Fact) -> bool {
    true
}

fn moved(fact: &Fact) -> bool {
    matches!(fact.body, FactBody::ReferralMoved { .. })
}

fn decided(fact: &Fact) -> bool {
    matches!(
        fact.body,
        FactBody::ReferralCleared { .. } | FactBody::ReferralRejected { .. } | FactBody::ReferralReopened { .. }
    )
}

fn corrected(fact: &Fact) -> bool {
    moved(fact) || decided(fact)
}

fn disputed(fact: &Fact) -> bool {
    matches!(fact.body, FactBody::DisputeOpened { .. } | FactBody::DisputeClosed { .. })
}

fn left(fact: &Fact) -> bool {
    matches!(fact.body, FactBody::SubscriptionCanceled { .. })
}

fn paid(fact: &Fact) -> bool {
    matches!(fact.body, FactBody::InvoicePaid { .. })
}

/// Whether a fact gives something to somebody, from whom nobody can claim it any more.
fn claims(fact: &Fact) -> bool {
    use FactBody as F;
    let gives = matches!(fact.body, F::PartnerJoined { .. } | F::ReferralCreated { .. });
    gives || matches!(fact.body, F::SubscriptionStarted { .. } | F::InvoicePaid { .. })
}

fn subscribed(fact: &Fact) -> bool {
    let priced = matches!(fact.body, FactBody::SubscriptionStarted { .. } | FactBody::SubscriptionChanged { .. });
    priced || left(fact) || paid(fact)
}

/// Whether a fact can change a line.
fn counts(fact: &Fact) -> bool {
    use FactBody as F;
    let standing = matches!(fact.body, F::PartnerSuspended { .. } | F::PartnerReinstated { .. });
    !standing && !matches!(fact.body, F::PayoutPaid { .. } | F::PayoutReversed { .. })
}

/// What about a line changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aspect {
    /// It is new, or gone.
    Presence,
    /// Its amount, and what the amount is made from.
    Amount,
    /// Whether its referral is rejected.
    Rejection,
    /// Whether its client left too early.
    Leaving,
    /// Whether its referral is under review.
    Review,
    /// Whether its invoice is disputed.
    Dispute,
    /// When it vests.
    Vesting,
}

fn aspects(from: Option<&Line>, to: Option<&Line>) -> Vec<Aspect> {
    let (Some(from), Some(to)) = (from, to) else { return vec![Aspect::Presence] };
    let figures = |line: &Line| (line.amount_minor, line.basis_minor, line.tenure_month, line.earned_at);
    let sources = |line: &Line| (line.rate.clone(), line.rule.clone(), line.terms.clone());
    let mut aspects = Vec::new();
    if figures(from) != figures(to) || sources(from) != sources(to) {
        aspects.push(Aspect::Amount);
    }
    // A status without a reason follows from the time alone.
    if from.reason != to.reason {
        let reasons = [from.reason, to.reason];
        let of_reason = [
            (Reason::Rejected, Aspect::Rejection),
            (Reason::LeftEarly, Aspect::Leaving),
            (Reason::UnderReview, Aspect::Review),
            (Reason::OpenDispute, Aspect::Dispute),
        ];
        let changed = of_reason.into_iter().filter(|(reason, _)| reasons.contains(&Some(*reason)));
        aspects.extend(changed.map(|(_, aspect)| aspect));
    }
    let lives = |line: &Line| line.vests_at.is_some();
    if from.vests_at != to.vests_at && lives(from) && lives(to) {
        aspects.push(Aspect::Vesting);
    }
    aspects
}

/// Whether nothing but time changed a line.
pub(crate) fn only_vested(from: Option<&Line>, to: Option<&Line>) -> bool {
    let statuses = from.zip(to).map(|(from, to)| (from.status, to.status));
    statuses == Some((LineStatus::Pending, LineStatus::Vested)) && aspects(from, to).is_empty()
}

/// Whether a person's decision, not the ordinary course, is behind a fact: also that of a bank.
pub(crate) fn is_decision(fact_type: &str) -> bool {
    matches!(
        fact_type,
        "referral_cleared"
            | "referral_rejected"
            | "referral_reopened"
            | "referral_moved"
            | "invoice_refunded"
            | "refund_failed"
            | "dispute_opened"
            | "dispute_closed"
            | "adjustment_made"
    )
}

/// Whether the last part of a line's id names a fact.
fn ends_with(line: &str, fact: &str) -> bool {
    line.rsplit(':').next() == Some(&*part(fact))
}

/// Which invoices the disputes and refunds are about that a later fact names by their own id.
struct Invoices<'a>(HashMap<(bool, &'a str), Option<&'a Fact>>);

impl<'a> Invoices<'a> {
    fn of(effects: &[Effect<'a>], journal: &'a [Fact]) -> Self {
        let asked = effects.iter().filter_map(|effect| match &effect.fact.body {
            FactBody::DisputeClosed { dispute, .. } => Some(((true, dispute.as_str()), None)),
            FactBody::RefundFailed { refund } => Some(((false, refund.as_str()), None)),
            _ => None,
        });
        let mut first: HashMap<(bool, &str), Option<&Fact>> = asked.collect();
        let journal = if first.is_empty() { &[] } else { journal };
        for fact in journal {
            let key = match &fact.body {
                FactBody::DisputeOpened { dispute, .. } => (true, dispute.as_str()),
                FactBody::InvoiceRefunded { refund: Some(refund), .. } => (false, refund.as_str()),
                _ => continue,
            };
            if let Some(known) = first.get_mut(&key) {
                *known = known.iter().copied().chain([fact]).min_by_key(|fact| moment(fact));
            }
        }
        Self(first)
    }

    fn of_fact(&self, fact: &'a Fact) -> Option<&'a str> {
        let named_by = |key| self.0.get(&key).copied().flatten();
        let said = match &fact.body {
            FactBody::DisputeClosed { dispute, .. } => named_by((true, dispute.as_str()))?,
            FactBody::RefundFailed { refund } => named_by((false, refund.as_str()))?,
            _ => fact,
        };
        match &said.body {
            FactBody::InvoicePaid { invoice, .. }
            | FactBody::InvoiceRefunded { invoice, .. }
            | FactBody::DisputeOpened { invoice, .. } => Some(invoice),
            _ => None,
        }
    }
}

/// Facts are named up to this many; of more, their number is said.
const MOST_NAMED: usize = 3;

/// Writes facts as a person would say them.
struct Names<'a>(&'a [FactName]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        for (index, fact) in self.0.iter().take(MOST_NAMED).enumerate() {
            let between = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " and ",
                _ => ", ",
            };
            write!(out, "{between}the {} of {} (`{}`)", noun(&fact.fact_type), Day(fact.at), fact.id)?;
        }
        match self.0.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(out, " and {more} more"),
        }
    }
}

fn noun(fact_type: &str) -> &str {
    match fact_type {
        "partner_joined" => "agency's joining",
        "partner_suspended" => "suspension",
        "partner_reinstated" => "reinstatement",
        "referral_created" => "sign-up",
        "referral_cleared" => "clearance after review",
        "referral_rejected" => "rejection after review",
        "referral_reopened" => "decision taken back",
        "referral_moved" => "correction of the credit",
        "subscription_started" => "subscription's start",
        "subscription_changed" => "subscription's change",
        "subscription_canceled" => "cancellation",
        "invoice_paid" => "payment",
        "invoice_refunded" => "refund",
        "refund_failed" => "failure of a refund",
        "dispute_opened" => "dispute",
        "dispute_closed" => "bank's decision",
        "adjustment_made" => "adjustment",
        "payout_paid" => "payout",
        "payout_reversed" => "payout's reversal",
        other => other,
    }
}

/// A clause that begins a sentence in the middle: "the refund of 3 Mar 2026 (`f9`) arrived late".
impl fmt::Display for Because {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Terms => out.write_str("other terms apply"),
            Self::ArrivedLate { facts, instead_of } => {
                write!(out, "{} arrived late", Names(facts))?;
                if instead_of.is_empty() { Ok(()) } else { write!(out, ", in place of {}", Names(instead_of)) }
            }
            Self::Withdrawn { facts } => {
                let verb = if facts.len() == 1 { "is" } else { "are" };
                write!(out, "{} {verb} no longer in the journal", Names(facts))
            }
            Self::Decided { facts } | Self::Happened { facts } => write!(out, "after {}", Names(facts)),
            Self::TimePassed => out.write_str("time has passed"),
        }
    }
}
