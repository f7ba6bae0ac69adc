//! What a newcomer is to find in the story, whatever the day: computed by the engine from the plan alone, with a till in
//! place of Stripe.

use std::collections::BTreeMap;

use chrono::{DateTime, Months, TimeDelta, Utc};
use commission::{Evaluation, Fact, FactBody, Flag, LineKind, LineStatus, Statement, TermsBook, Tier, evaluate};

use crate::calendar::Month;
use crate::plan::{Deed, Plan, plan};
use crate::story::{AGENCIES, Account, CLIENTS, Interval, Outcome, Price, Way};

/// A journal that grows in order of time.
#[derive(Default)]
struct Till {
    facts: Vec<Fact>,
    open: BTreeMap<usize, Paying>,
    newest: BTreeMap<usize, (String, i64)>,
}

struct Paying {
    first_at: DateTime<Utc>,
    paid: u32,
    price: Price,
}

impl Till {
    fn add(&mut self, at: DateTime<Utc>, id: String, body: FactBody) {
        self.facts.push(Fact { id, at, body });
    }

    /// Collects every invoice that is due at or before an instant.
    fn collect(&mut self, until: DateTime<Utc>) {
        let mut due = Vec::new();
        for (client, paying) in &mut self.open {
            let months = if paying.price.interval == Interval::Year { 12 } else { 1 };
            let at = |count: u32| paying.first_at + Months::new(count * months);
            while at(paying.paid) <= until {
                due.push((*client, paying.paid, at(paying.paid), at(paying.paid + 1), paying.price.amount_minor));
                paying.paid += 1;
            }
        }
        for (client, count, start, end, amount_minor) in due {
            let invoice = format!("in_{client}_{count}");
            self.newest.insert(client, (invoice.clone(), amount_minor));
            let body = FactBody::InvoicePaid {
                invoice: invoice.clone(),
                subscription: format!("sub_{client}"),
                amount_minor,
                period_start: Some(start),
                period_end: Some(end),
            };
            self.add(start, invoice, body);
        }
    }

    fn act(&mut self, at: DateTime<Utc>, deed: Deed) {
        self.collect(at);
        match deed {
            Deed::Join(number) => {
                let agency = &AGENCIES[number];
                let body = FactBody::PartnerJoined {
                    partner: agency.key.to_owned(),
                    name: agency.name.to_owned(),
                    website: format!("https://www.{}", agency.domain()),
                    country: Some(agency.country.to_owned()),
                };
                self.add(at, format!("join_{number}"), body);
            }
            Deed::SignUp(client) if CLIENTS[client].way != Way::TooLate => {
                let domain = CLIENTS[client].email.split_once('@').unwrap().1;
                let body = FactBody::ReferralCreated {
                    referral: format!("r_{client}"),
                    partner: CLIENTS[client].agency.to_owned(),
                    client_email_domain: Some(domain.to_owned()),
                };
                self.add(at, format!("r_{client}"), body);
            }
            Deed::Subscribe(client, price) if CLIENTS[client].way != Way::TooLate => {
                let trial = TimeDelta::days(i64::from(CLIENTS[client].trial_days()));
                self.open.insert(client, Paying { first_at: at + trial, paid: 0, price });
                let body = FactBody::SubscriptionStarted {
                    subscription: format!("sub_{client}"),
                    referral: format!("r_{client}"),
                    interval: interval(price),
                    amount_minor: price.amount_minor,
                };
                self.add(at, format!("sub_{client}"), body);
                self.collect(at);
            }
            Deed::Move(client, price) => {
                self.open.get_mut(&client).unwrap().price = price;
                let body = FactBody::SubscriptionChanged {
                    subscription: format!("sub_{client}"),
                    interval: interval(price),
                    amount_minor: price.amount_minor,
                };
                self.add(at, format!("move_{client}"), body);
            }
            Deed::Cancel(client) => {
                self.open.remove(&client);
                let body = FactBody::SubscriptionCanceled { subscription: format!("sub_{client}") };
                self.add(at, format!("cancel_{client}"), body);
            }
            Deed::Refund(client, amount_minor) => {
                let (invoice, paid_minor) = self.newest[&client].clone();
                let amount_minor = amount_minor.unwrap_or(paid_minor);
                self.add(at, format!("re_{client}"), FactBody::InvoiceRefunded { invoice, amount_minor, refund: None });
            }
            Deed::OpenDispute(client) => {
                let (invoice, amount_minor) = self.newest[&client].clone();
                let body = FactBody::DisputeOpened { dispute: format!("dp_{client}"), invoice, amount_minor };
                self.add(at, format!("dp_{client}"), body);
            }
            Deed::CloseDispute(client, outcome) => {
                let outcome = match outcome {
                    Outcome::Won => commission::Outcome::Won,
                    Outcome::Lost => commission::Outcome::Lost,
                };
                let body = FactBody::DisputeClosed { dispute: format!("dp_{client}"), outcome };
                self.add(at, format!("dp_{client}_closed"), body);
            }
            Deed::Pay(period) => {
                for statement in self.evaluate(period.plus(1).start()).statements {
                    let agency = AGENCIES.iter().find(|agency| agency.key == statement.partner).unwrap();
                    if agency.account == Account::Finished && statement.totals.payable > 0 {
                        let payout = format!("{period}:{}", agency.key);
                        let partner = agency.key.to_owned();
                        let amount_minor = statement.totals.payable;
                        self.add(at, payout.clone(), FactBody::PayoutPaid { payout, partner, amount_minor });
                    }
                }
            }
            _ => {}
        }
    }

    fn evaluate(&self, as_of: DateTime<Utc>) -> Evaluation {
        evaluate(&self.facts, &TermsBook::default_book(), as_of).unwrap()
    }
}

fn interval(price: Price) -> commission::Interval {
    match price.interval {
        Interval::Month => commission::Interval::Month,
        Interval::Year => commission::Interval::Year,
    }
}

fn live(plan: &Plan) -> Till {
    let mut till = Till::default();
    for act in &plan.acts {
        till.act(act.at, act.deed);
    }
    till.collect(plan.ends_at);
    till
}

fn of<'a>(evaluation: &'a Evaluation, key: &str) -> &'a Statement {
    evaluation.statements.iter().find(|statement| statement.partner == key).unwrap()
}

fn earns(statement: &Statement, kind: LineKind) -> bool {
    statement.lines.iter().any(|line| line.kind == kind && line.amount_minor > 0)
}

#[test]
fn the_newest_draft_shows_what_the_program_is_about() {
    let first: DateTime<Utc> = "2024-01-01T00:00:01Z".parse().unwrap();
    for day in (0..41).map(|step| first + TimeDelta::hours(step * (24 * 27 + 5))) {
        let till = live(&plan(day));
        let as_of = Month::of(day).start();
        let drafted = till.evaluate(as_of);
        assert_eq!(drafted.unmatched, [], "{day}");
        for statement in &drafted.statements {
            let platinum = statement.partner == "bureau-meridian";
            assert_eq!(statement.tier == Tier::Platinum, platinum, "{day}: {}", statement.partner);
        }
        for key in ["northlight-studio", "atelier-rivage"] {
            assert!(earns(of(&drafted, key), LineKind::VolumeBonus), "{day}: {key}");
        }
        for key in ["otter-vale", "cobalt-agentur", "kite-compass", "fathom-rowe"] {
            let statement = of(&drafted, key);
            assert!(!earns(statement, LineKind::VolumeBonus) && statement.totals.payable > 0, "{day}: {key}");
        }
        assert!(earns(of(&drafted, "bureau-meridian"), LineKind::HighValueBonus), "{day}");
        for key in ["otter-vale", "studio-halcyon", "fathom-rowe"] {
            assert!(of(&drafted, key).totals.forfeited > 0, "{day}: {key}");
        }
        let burst =
            of(&drafted, "pixel-forge").referrals.iter().filter(|referral| referral.flags.contains(&Flag::Burst));
        assert!(burst.count() > 10 && of(&drafted, "pixel-forge").totals.held > 0, "{day}");
        let own = |referral: &&commission::ReferralState| referral.flags.contains(&Flag::SelfReferral);
        assert_eq!(of(&drafted, "brightwater-labs").referrals.iter().filter(own).count(), 1, "{day}");
        assert!(of(&drafted, "brightwater-labs").totals.held > 0, "{day}");
        assert!(of(&drafted, "fathom-rowe").totals.held > 0, "{day}: the open dispute holds nothing");
        assert!(of(&drafted, "studio-halcyon").totals.balance < 0, "{day}: the lost dispute leaves no debt");
        for key in ["lumen-collective", "fieldnote-works"] {
            assert!(of(&drafted, key).totals.payable > 0, "{day}: {key} has nothing that waits for its account");
        }
        let due: i64 = drafted.statements.iter().map(|statement| statement.totals.payable).sum();
        assert!((300_000..1_500_000).contains(&due), "{day}: {due}");

        let now = till.evaluate(day);
        assert!(of(&now, "tamarind-digital").referrals.is_empty(), "{day}");
        let pending = |line: &commission::Line| line.status == LineStatus::Pending;
        assert!(now.statements.iter().filter(|s| s.lines.iter().any(pending)).count() >= 4, "{day}");
    }
}

#[test]
fn every_paid_run_pays_somebody_and_the_last_two_most_agencies() {
    for now in ["2026-01-01T00:00:00Z", "2024-02-29T12:00:00Z", "2026-03-31T23:59:59Z", "2026-11-22T11:30:00Z"] {
        let till = live(&plan(now.parse().unwrap()));
        let mut paid: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for fact in &till.facts {
            if let FactBody::PayoutPaid { payout, amount_minor, .. } = &fact.body {
                paid.entry(payout.split(':').next().unwrap()).or_default().push(*amount_minor);
            }
        }
        assert!(paid.len() >= 2, "{now}");
        assert!(
            paid.values().rev().take(2).all(|amounts| amounts.len() >= 6 && amounts.iter().all(|amount| *amount > 0)),
            "{now}: {paid:?}"
        );
    }
}
