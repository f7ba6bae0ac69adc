//! What is known of each referral: its subscriptions, its invoices and what came back of them (docs/rules.md §3, §6).

use chrono::{DateTime, Utc};
use commission::{Decision, Fact, FactBody, Interval, Outcome, Terms, TermsBook};

use crate::calendar::add_months;
use crate::known::Known;

/// A place in the order of all facts: its time, then the bytes of its id.
pub(crate) type Moment<'a> = (DateTime<Utc>, &'a [u8]);

pub(crate) fn moment(fact: &Fact) -> Moment<'_> {
    (fact.at, fact.id.as_bytes())
}

/// A client and everything about it.
pub(crate) struct Referral<'a> {
    pub(crate) id: &'a str,
    /// The partner that it is credited to in the end.
    pub(crate) partner: &'a str,
    pub(crate) signed_up_at: DateTime<Utc>,
    pub(crate) email_domain: Option<&'a str>,
    pub(crate) decision: Option<Decision>,
    pub(crate) terms: &'a Terms,
    pub(crate) subscriptions: Vec<Subscription<'a>>,
    /// In order.
    pub(crate) invoices: Vec<Invoice<'a>>,
}

/// A subscription that was started.
pub(crate) struct Subscription<'a> {
    pub(crate) id: &'a str,
    pub(crate) started: Moment<'a>,
    pub(crate) canceled: Option<Moment<'a>>,
    /// The start and the changes after it, in order.
    pub(crate) prices: Vec<(DateTime<Utc>, Interval, i64)>,
}

/// An invoice that counts.
pub(crate) struct Invoice<'a> {
    pub(crate) id: &'a str,
    pub(crate) paid: Moment<'a>,
    pub(crate) subscription: &'a str,
    pub(crate) amount_minor: i64,
    pub(crate) period_start: Option<DateTime<Utc>>,
    pub(crate) period_end: Option<DateTime<Utc>>,
    /// Refunds and lost disputes, in order and not capped.
    pub(crate) returns: Vec<Return<'a>>,
    pub(crate) is_disputed: bool,
}

/// Money of an invoice that went back: a refund, or a lost dispute at its closing.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Return<'a> {
    pub(crate) moment: Moment<'a>,
    pub(crate) amount_minor: i64,
    pub(crate) is_dispute: bool,
}

impl Invoice<'_> {
    /// When it begins to pay for something.
    pub(crate) fn start(&self) -> DateTime<Utc> {
        self.period_start.unwrap_or(self.paid.0)
    }

    /// What went back of it up to `t`, capped at its amount.
    pub(crate) fn returned_until(&self, t: DateTime<Utc>) -> i64 {
        let returns = self.returns.iter().filter(|step| step.moment.0 <= t);
        self.amount_minor.min(returns.map(|step| step.amount_minor).sum())
    }
}

impl Subscription<'_> {
    /// The latest price at or before `t`.
    pub(crate) fn price_at(&self, t: DateTime<Utc>) -> Option<(Interval, i64)> {
        let price = self.prices.iter().rfind(|(at, _, _)| *at <= t)?;
        Some((price.1, price.2))
    }

    /// Whether it has started and is not canceled at `t`.
    pub(crate) fn is_live_at(&self, t: DateTime<Utc>) -> bool {
        self.started.0 <= t && self.canceled.is_none_or(|(at, _)| at > t)
    }

    /// What a year costs at `t`; 0 where it is not live.
    pub(crate) fn annual_price_at(&self, t: DateTime<Utc>) -> i128 {
        match self.price_at(t) {
            Some((Interval::Month, amount)) if self.is_live_at(t) => i128::from(amount) * 12,
            Some((Interval::Year, amount)) if self.is_live_at(t) => i128::from(amount),
            _ => 0,
        }
    }
}

impl<'a> Referral<'a> {
    pub(crate) fn first_payment(&self) -> Option<&Invoice<'a>> {
        self.invoices.first()
    }

    /// From when its months are counted.
    pub(crate) fn clock(&self) -> Option<DateTime<Utc>> {
        self.first_payment().map(Invoice::start)
    }

    /// When its first year is over.
    pub(crate) fn turn(&self) -> Option<DateTime<Utc>> {
        self.clock().map(|clock| add_months(clock, self.terms.first_year_months))
    }

    /// The money kept up to `t`.
    pub(crate) fn kept_until(&self, t: DateTime<Utc>) -> i128 {
        let paid = self.invoices.iter().filter(|invoice| invoice.paid.0 <= t);
        paid.map(|invoice| i128::from(invoice.amount_minor - invoice.returned_until(t))).sum()
    }

    /// The price of its live subscriptions for a year at `t`.
    pub(crate) fn annual_price_at(&self, t: DateTime<Utc>) -> i128 {
        self.subscriptions.iter().map(|subscription| subscription.annual_price_at(t)).sum()
    }

    pub(crate) fn subscription(&self, id: &str) -> Option<&Subscription<'a>> {
        self.subscriptions.iter().find(|subscription| subscription.id == id)
    }
}

/// Every referral that is known.
pub(crate) fn referrals<'a>(known: &Known<'a>, book: &'a TermsBook) -> Vec<Referral<'a>> {
    let created = known.effective.iter().filter_map(|fact| match &fact.body {
        FactBody::ReferralCreated { referral, partner, client_email_domain } => Some(Referral {
            id: referral,
            partner: last_move(known, referral).unwrap_or(partner),
            signed_up_at: fact.at,
            email_domain: client_email_domain.as_deref(),
            decision: decision(known, referral),
            terms: terms_at(book, fact.at),
            subscriptions: subscriptions(known, referral),
            invoices: invoices(known, referral),
        }),
        _ => None,
    });
    created.collect()
}

/// The latest version that has begun at `at`, or the first of all.
#[expect(clippy::expect_used, reason = "A book has at least one version.")]
pub(crate) fn terms_at(book: &TermsBook, at: DateTime<Utc>) -> &Terms {
    let begun = book.versions().iter().filter(|terms| terms.from <= at).max_by_key(|terms| terms.from);
    begun.or_else(|| book.versions().iter().min_by_key(|terms| terms.from)).expect("a book has a version")
}

fn last_move<'a>(known: &Known<'a>, of: &str) -> Option<&'a str> {
    let moves = known.effective.iter().rev().find_map(|fact| match &fact.body {
        FactBody::ReferralMoved { referral, partner, .. } if referral == of => Some(partner),
        _ => None,
    });
    moves.map(String::as_str)
}

fn decision(known: &Known, of: &str) -> Option<Decision> {
    let last = known.effective.iter().rev().find_map(|fact| match &fact.body {
        FactBody::ReferralCleared { referral, .. } if referral == of => Some(Some(Decision::Cleared)),
        FactBody::ReferralRejected { referral, .. } if referral == of => Some(Some(Decision::Rejected)),
        FactBody::ReferralReopened { referral, .. } if referral == of => Some(None),
        _ => None,
    });
    last.flatten()
}

fn subscriptions<'a>(known: &Known<'a>, of: &str) -> Vec<Subscription<'a>> {
    let started = known.effective.iter().copied().filter_map(|start| match &start.body {
        FactBody::SubscriptionStarted { subscription: id, referral, .. } if referral == of => Some(Subscription {
            id,
            started: moment(start),
            canceled: known.effective.iter().find_map(|fact| match &fact.body {
                FactBody::SubscriptionCanceled { subscription } if subscription == id => Some(moment(fact)),
                _ => None,
            }),
            prices: prices(known, id, moment(start)),
        }),
        _ => None,
    });
    started.collect()
}

/// The start and the changes of a subscription; a change that precedes the start is ignored.
fn prices(known: &Known, of: &str, started: Moment) -> Vec<(DateTime<Utc>, Interval, i64)> {
    let from_start = known.effective.iter().filter(|fact| moment(fact) >= started);
    let prices = from_start.filter_map(|fact| match &fact.body {
        FactBody::SubscriptionStarted { subscription, interval, amount_minor, .. }
        | FactBody::SubscriptionChanged { subscription, interval, amount_minor }
            if subscription == of =>
        {
            Some((fact.at, *interval, *amount_minor))
        }
        _ => None,
    });
    prices.collect()
}

fn invoices<'a>(known: &Known<'a>, of: &str) -> Vec<Invoice<'a>> {
    let is_of_referral = |subscription: &str| {
        known.effective.iter().any(|fact| {
            matches!(&fact.body, FactBody::SubscriptionStarted { subscription: id, referral, .. }
                if id == subscription && referral == of)
        })
    };
    let paid = known.effective.iter().copied().filter_map(|fact| match &fact.body {
        FactBody::InvoicePaid { invoice, subscription, amount_minor, period_start, period_end }
            if is_of_referral(subscription) =>
        {
            let (returns, is_disputed) = returns(known, invoice);
            Some(Invoice {
                id: invoice,
                paid: moment(fact),
                subscription,
                amount_minor: *amount_minor,
                period_start: *period_start,
                period_end: *period_end,
                returns,
                is_disputed,
            })
        }
        _ => None,
    });
    paid.collect()
}

/// The refunds that did not fail and the lost disputes of an invoice, and whether one of its disputes is open.
fn returns<'a>(known: &Known<'a>, of: &str) -> (Vec<Return<'a>>, bool) {
    let has_failed = |id: &str| {
        known.effective.iter().any(|fact| matches!(&fact.body, FactBody::RefundFailed { refund } if refund == id))
    };
    let closing = |id: &str| {
        known.effective.iter().copied().find_map(|fact| match &fact.body {
            FactBody::DisputeClosed { dispute, outcome } if dispute == id => Some((moment(fact), *outcome)),
            _ => None,
        })
    };
    let (mut returns, mut is_disputed) = (Vec::new(), false);
    for fact in known.effective.iter().copied() {
        match &fact.body {
            FactBody::InvoiceRefunded { invoice, amount_minor, refund }
                if invoice == of && !refund.as_deref().is_some_and(has_failed) =>
            {
                returns.push(Return { moment: moment(fact), amount_minor: *amount_minor, is_dispute: false });
            }
            FactBody::DisputeOpened { dispute, invoice, amount_minor } if invoice == of => match closing(dispute) {
                Some((moment, Outcome::Lost)) => {
                    returns.push(Return { moment, amount_minor: *amount_minor, is_dispute: true });
                }
                Some((_, Outcome::Won)) => {}
                None => is_disputed = true,
            },
            _ => {}
        }
    }
    returns.sort();
    (returns, is_disputed)
}
