//! Random journals that draw from few ids, so that facts collide, repeat, contradict each other and point at nothing.

use chrono::{DateTime, Days, TimeDelta, Utc};
use commission::{Fact, FactBody, Interval, Outcome, Terms, TermsBook, VolumeScope};
use proptest::prelude::*;

/// How many cases each property is tried on; `PROPERTY_CASES` says another number. A failure prints its smallest journal,
/// which then becomes a golden scenario; so nothing is persisted.
const CASES: u32 = 500;

pub(crate) fn config() -> ProptestConfig {
    config_of(CASES)
}

/// The same for properties that take longer, with their own number of cases.
pub(crate) fn config_of(cases: u32) -> ProptestConfig {
    let cases = std::env::var("PROPERTY_CASES").map_or(cases, |text| text.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn day(number: u64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Days::new(20_454 + number)
}

/// An instant of two and a half years; often one that another fact has too.
fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (0u64..900, prop_oneof![4 => Just(0i64), 1 => 0i64..86_400_000_000_000])
        .prop_map(|(number, nanos)| day(number) + TimeDelta::nanoseconds(nanos))
}

fn id(prefix: &'static str, count: u8) -> impl Strategy<Value = String> {
    (0..count).prop_map(move |number| format!("{prefix}{number}"))
}

/// Mostly a plausible price, sometimes a few cents, sometimes a large contract.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 1_000i64..80_000, 2 => 1i64..50, 2 => 400_000i64..6_000_000]
}

/// Half of the time all of whatever it is.
fn returned() -> impl Strategy<Value = i64> {
    prop_oneof![amount(), Just(6_000_000)]
}

fn interval() -> impl Strategy<Value = Interval> {
    prop_oneof![Just(Interval::Month), Just(Interval::Year)]
}

fn domain() -> impl Strategy<Value = String> {
    prop_oneof![Just("agency.com"), Just("www.client.co.uk"), Just("gmail.com"), Just("127.1"), Just("com")]
        .prop_map(str::to_owned)
}

fn partner() -> impl Strategy<Value = String> {
    id("P", 3)
}

fn referral() -> impl Strategy<Value = String> {
    id("r", 8)
}

fn subscription() -> impl Strategy<Value = String> {
    id("s", 9)
}

fn invoice() -> impl Strategy<Value = String> {
    id("i", 24)
}

fn body() -> impl Strategy<Value = FactBody> {
    let reason = || prop::option::of(Just("seen".to_owned()));
    let partners = prop_oneof![
        6 => (partner(), domain(), prop::option::of(Just("US".to_owned()))).prop_map(|(partner, website, country)| {
            FactBody::PartnerJoined { partner, name: "An agency".to_owned(), website, country }
        }),
        1 => partner().prop_map(|partner| FactBody::PartnerSuspended { partner }),
        1 => partner().prop_map(|partner| FactBody::PartnerReinstated { partner }),
    ];
    let referrals = prop_oneof![
        8 => (referral(), partner(), prop::option::of(domain())).prop_map(|(referral, partner, client_email_domain)| {
            FactBody::ReferralCreated { referral, partner, client_email_domain }
        }),
        1 => (referral(), reason()).prop_map(|(referral, reason)| FactBody::ReferralCleared { referral, reason }),
        1 => (referral(), reason()).prop_map(|(referral, reason)| FactBody::ReferralRejected { referral, reason }),
        1 => (referral(), reason()).prop_map(|(referral, reason)| FactBody::ReferralReopened { referral, reason }),
        1 => (referral(), partner()).prop_map(|(referral, partner)| {
            FactBody::ReferralMoved { referral, partner, reason: "a mistake".to_owned() }
        }),
    ];
    let subscriptions = prop_oneof![
        8 => (subscription(), referral(), interval(), amount()).prop_map(
            |(subscription, referral, interval, amount_minor)| {
                FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor }
            }
        ),
        2 => (subscription(), interval(), amount()).prop_map(|(subscription, interval, amount_minor)| {
            FactBody::SubscriptionChanged { subscription, interval, amount_minor }
        }),
        2 => subscription().prop_map(|subscription| FactBody::SubscriptionCanceled { subscription }),
    ];
    let period = prop::option::of((0u64..900, 1u64..400));
    let invoices = (invoice(), subscription(), prop_oneof![9 => amount(), 1 => Just(0)], period).prop_map(
        |(invoice, subscription, amount_minor, period)| FactBody::InvoicePaid {
            invoice,
            subscription,
            amount_minor,
            period_start: period.filter(|(_, days)| days % 5 > 0).map(|(start, _)| day(start)),
            period_end: period.filter(|(_, days)| days % 7 > 0).map(|(start, days)| day(start + days)),
        },
    );
    let money_back = prop_oneof![
        6 => (invoice(), returned(), prop::option::of(id("re", 6))).prop_map(|(invoice, amount_minor, refund)| {
            FactBody::InvoiceRefunded { invoice, amount_minor, refund }
        }),
        1 => id("re", 6).prop_map(|refund| FactBody::RefundFailed { refund }),
        2 => (id("d", 6), invoice(), returned()).prop_map(|(dispute, invoice, amount_minor)| {
            FactBody::DisputeOpened { dispute, invoice, amount_minor }
        }),
        2 => (id("d", 6), any::<bool>()).prop_map(|(dispute, won)| {
            FactBody::DisputeClosed { dispute, outcome: if won { Outcome::Won } else { Outcome::Lost } }
        }),
    ];
    let payments = prop_oneof![
        (partner(), -9_000i64..9_000).prop_map(|(partner, amount_minor)| {
            FactBody::AdjustmentMade { partner, amount_minor, reason: "a thank-you".to_owned() }
        }),
        (id("po", 6), partner(), amount()).prop_map(|(payout, partner, amount_minor)| FactBody::PayoutPaid {
            payout,
            partner,
            amount_minor
        }),
        (id("po", 6), prop::option::of(amount()))
            .prop_map(|(payout, amount_minor)| FactBody::PayoutReversed { payout, amount_minor }),
    ];
    prop_oneof![
        3 => partners,
        8 => referrals,
        8 => subscriptions,
        12 => invoices,
        14 => money_back,
        3 => payments,
    ]
}

pub(crate) fn fact() -> impl Strategy<Value = Fact> {
    (instant(), body()).prop_map(|(at, body)| Fact { id: "f".to_owned(), at, body })
}

/// A client that signs up, subscribes and pays up to three invoices.
fn client(number: usize) -> impl Strategy<Value = Vec<Fact>> {
    let sign_up = prop_oneof![1 => 3u64..9, 1 => 0u64..600];
    let partner = prop_oneof![2 => Just("P0".to_owned()), 1 => partner()];
    let invoices = prop::collection::vec((1u64..200, prop::option::of(20u64..400)), 0..4);
    (sign_up, partner, prop::option::weighted(0.3, domain()), interval(), amount(), invoices).prop_map(
        move |(mut at, partner, client_email_domain, interval, amount_minor, invoices)| {
            let (referral, subscription) = (format!("r{number}"), format!("s{number}"));
            let fact = |at, body| Fact { id: String::new(), at: day(at), body };
            let created = FactBody::ReferralCreated { referral: referral.clone(), partner, client_email_domain };
            let subscription_id = subscription.clone();
            let started = FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor };
            let mut facts = vec![fact(at, created), fact(at, started)];
            for (index, (wait, period)) in invoices.into_iter().enumerate() {
                at += wait / if index == 0 { 20 } else { 1 };
                let paid = FactBody::InvoicePaid {
                    invoice: format!("i{}", number * 3 + index),
                    subscription: subscription_id.clone(),
                    amount_minor,
                    period_start: period.map(|_| day(at)),
                    period_end: period.map(|days| day(at + days)),
                };
                facts.push(fact(at, paid));
            }
            facts
        },
    )
}

/// Two or three partners with up to eight clients that behave, and among them anything at all.
pub(crate) fn journal() -> impl Strategy<Value = Vec<Fact>> {
    let joined = |(number, website): (usize, String)| Fact {
        id: String::new(),
        at: day(0),
        body: FactBody::PartnerJoined {
            partner: format!("P{number}"),
            name: "An agency".to_owned(),
            website,
            country: None,
        },
    };
    let partners = prop::collection::vec(domain(), 2..4);
    let clients: Vec<_> = (0..8).map(client).collect();
    (partners, clients, 0usize..9, prop::collection::vec(fact(), 0..60)).prop_map(
        move |(partners, clients, count, noise)| {
            let mut facts: Vec<Fact> = partners.into_iter().enumerate().map(joined).collect();
            facts.extend(clients.into_iter().take(count).flatten());
            facts.extend(noise);
            let total = facts.len();
            // 127 is prime and larger than any total, so this is a permutation: the order of ids is not that of the list.
            for (index, fact) in facts.iter_mut().enumerate() {
                fact.id = format!("f{:03}", index * 127 % total);
            }
            facts
        },
    )
}

/// Low thresholds, so that small journals reach them, and two versions.
pub(crate) fn book() -> impl Strategy<Value = TermsBook> {
    (1u32..4, 1u32..6, any::<bool>(), 0u32..90, 0u32..14, 2u32..9).prop_map(
        |(volume, platinum, by_invoice, vesting_days, first_year_months, burst_per_month)| {
            let mut first = Terms { vesting_days, first_year_months, burst_per_month, ..Terms::default() };
            first.volume.referrals_needed = volume;
            first.platinum.referrals_needed = platinum;
            let mut second = Terms { id: "2027".to_owned(), from: day(365), vesting_days: 60, ..first.clone() };
            second.platinum.referrals_needed = platinum + 1;
            second.minimum_payout_minor = 2_000;
            if by_invoice {
                second.volume.scope = VolumeScope::InvoicesOfQuarter;
            }
            TermsBook::new(vec![first, second]).unwrap()
        },
    )
}

pub(crate) fn as_of() -> impl Strategy<Value = DateTime<Utc>> {
    (50u64..1_000).prop_map(day)
}
