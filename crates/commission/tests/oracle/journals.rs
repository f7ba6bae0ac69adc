//! Random journals in which interesting things happen often: most clients behave at first, then everything that can
//! happen to them does, at instants that many facts share.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use commission::{Fact, FactBody, Interval, MAX_AMOUNT_MINOR, Outcome, TermsBook};

use crate::calendar::add_months;
use crate::damage;
use crate::domains::{EMAIL_DOMAINS, WEBSITES};
use crate::random::Random;
use crate::versions;

/// A journal, a book of terms and an instant: everything that an answer depends on.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) facts: Vec<Fact>,
    pub(crate) book: TermsBook,
    pub(crate) as_of: DateTime<Utc>,
}

/// What a journal is mainly about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// A few clients with everything that can happen to them, under low thresholds.
    Lives,
    /// Ten or eleven sign-ups in one month, under the default terms.
    Burst,
    /// Four, five or six first payments in one quarter, under the default terms.
    Quarter,
    /// Nineteen to twenty-one clients, under the default terms.
    Crowd,
    /// Subscriptions of $50,000 a year, or a cent more or less, under the default terms.
    Revenue,
    /// The largest amounts that are allowed.
    Fortune,
}

/// A journal in the making.
pub(crate) struct Draft<'r> {
    pub(crate) random: &'r mut Random,
    pub(crate) facts: Vec<(DateTime<Utc>, FactBody)>,
    pub(crate) theme: Theme,
    /// Where the journal begins.
    pub(crate) base: DateTime<Utc>,
    /// The instants that facts like to share.
    pub(crate) instants: Vec<DateTime<Utc>>,
    partners: i64,
    /// How many of each there are: referrals, subscriptions, invoices, refunds, disputes, payouts.
    counts: [i64; 6],
}

/// Draws a case.
pub(crate) fn case(random: &mut Random) -> Case {
    let theme = match random.between(1, 100) {
        1..=64 => Theme::Lives,
        65..=70 => Theme::Burst,
        71..=78 => Theme::Quarter,
        79..=86 => Theme::Crowd,
        87..=95 => Theme::Revenue,
        _ => Theme::Fortune,
    };
    let base = base(random);
    let instants = instants(random, base);
    let mut draft = Draft { random, facts: Vec::new(), theme, base, instants, partners: 1, counts: [0; 6] };
    draft.partners();
    draft.clients();
    draft.payments();
    let book = versions::book(&mut draft);
    for _ in 0..draft.random.between(0, 6) {
        damage::retime_one(&mut draft);
        damage::add_a_stranger(&mut draft);
    }
    if draft.random.chance(25) {
        damage::lose_some(&mut draft);
    }
    let facts = damage::facts(&mut draft);
    let as_of = as_of(draft.random, &facts, &draft.instants, &book);
    Case { facts, book, as_of }
}

/// The first day of a journal: mostly of these years, close to a leap day, sometimes of long ago or far ahead.
fn base(random: &mut Random) -> DateTime<Utc> {
    let (year, month, day) = match random.between(1, 20) {
        1..=6 => (2026, 1, 1),
        7..=10 => (2023, 12, 20),
        11..=13 => (2027, 11, 30),
        14..=15 => (2024, 2, 29),
        16 => (1899, 12, 31),
        17 => (1600, 2, 1),
        18 => (4, 2, 28),
        19 => (9990, 2, 28),
        _ => (2025, i64_to_u32(random.between(1, 12)), i64_to_u32(random.between(1, 28))),
    };
    date(year, month, day)
}

fn instants(random: &mut Random, base: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let span = random.pick(&[40, 200, 500]);
    let mut instants = Vec::new();
    for _ in 0..random.between(3, 6) {
        let at = base + TimeDelta::days(random.between(0, span));
        let next_month = add_months(at - Days::new(u64::from(chrono::Datelike::day0(&at))), 1);
        instants.push(match random.between(1, 8) {
            1 => next_month - TimeDelta::nanoseconds(1),
            2 => next_month,
            3 => next_month - TimeDelta::days(1),
            4 => at + TimeDelta::nanoseconds(random.between(0, 86_399_999_999_999)),
            5 => at + TimeDelta::milliseconds(random.between(1, 999)),
            _ => at,
        });
    }
    instants
}

/// Mostly after everything, otherwise on the edge of something.
fn as_of(random: &mut Random, facts: &[Fact], instants: &[DateTime<Utc>], book: &TermsBook) -> DateTime<Utc> {
    let edge = TimeDelta::nanoseconds(random.between(-1, 1));
    let Some(last) = facts.iter().map(|fact| fact.at).max() else { return instants[0] };
    let one = facts[random.index(facts.len())].at;
    match random.between(1, 10) {
        1 | 2 => last + TimeDelta::days(100),
        3..=5 => last + TimeDelta::nanoseconds(random.pick(&[1, 3_600_000_000_000])),
        6 => one + edge,
        7..=9 => {
            let paid = facts.iter().filter(|fact| matches!(fact.body, FactBody::InvoicePaid { .. }));
            let paid: Vec<DateTime<Utc>> = paid.map(|fact| fact.at).collect();
            let since = if paid.is_empty() { one } else { random.pick(&paid) };
            since + TimeDelta::days(random.pick(book.versions()).vesting_days.into()) + edge
        }
        _ => random.pick(instants),
    }
}

#[expect(clippy::expect_used, reason = "Every date here is written by hand or small.")]
fn date(year: i32, month: u32, day: u32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(year, month, day).expect("the day exists").and_time(chrono::NaiveTime::MIN).and_utc()
}

#[expect(clippy::expect_used, reason = "It is a month or a day of the month.")]
fn i64_to_u32(number: i64) -> u32 {
    u32::try_from(number).expect("it is small")
}

impl Draft<'_> {
    pub(crate) fn push(&mut self, at: DateTime<Utc>, body: FactBody) {
        self.facts.push((at, body));
    }

    fn count(&mut self, sort: usize, prefix: &str) -> String {
        self.counts[sort] += 1;
        format!("{prefix}{}", self.counts[sort])
    }

    /// One of the shared instants.
    pub(crate) fn shared(&mut self) -> DateTime<Utc> {
        self.random.pick(&self.instants)
    }

    /// Something like `at`: the same, a shared instant, or up to `days` later.
    fn around(&mut self, at: DateTime<Utc>, days: i64) -> DateTime<Utc> {
        match self.random.between(1, 10) {
            1..=3 => at,
            4..=5 => self.shared(),
            6 => at + TimeDelta::nanoseconds(self.random.between(-2, 2)),
            _ => at + TimeDelta::days(self.random.between(0, days)),
        }
    }

    fn partner(&mut self) -> String {
        let number = self.random.between(1, self.partners);
        format!("P{number}")
    }

    fn partners(&mut self) {
        self.partners = self.random.pick(&[1, 1, 2, 2, 3]);
        for number in 1..=self.partners {
            let website = if self.random.chance(50) { WEBSITES[0].0 } else { self.random.pick(&WEBSITES).0 };
            let country = self.random.chance(50).then(|| "US".to_owned());
            let at = self.around(self.base, 10);
            let (partner, name) = (format!("P{number}"), "An agency".to_owned());
            self.push(at, FactBody::PartnerJoined { partner, name, website: website.to_owned(), country });
        }
    }

    fn clients(&mut self) {
        match self.theme {
            Theme::Lives => (0..self.random.between(1, 5)).for_each(|_| self.life()),
            Theme::Fortune => (0..self.random.between(1, 3)).for_each(|_| self.life()),
            Theme::Burst => self.crowd_of([10, 11, 12], [0, 1, 1]),
            Theme::Quarter => self.crowd_of([4, 5, 6], [1, 2, 3]),
            Theme::Crowd => self.crowd_of([20, 20, 21], [1, 1, 2]),
            Theme::Revenue => self.revenue(),
        }
    }

    /// Clients of one partner that sign up close to each other; a few of them lead a life besides.
    fn crowd_of(&mut self, sizes: [i64; 3], invoices: [i64; 3]) {
        let day = self.shared();
        let (spread, together) = if self.theme == Theme::Crowd { (300, 10) } else { (8, 30) };
        for _ in 0..self.random.pick(&sizes) {
            let at =
                if self.random.chance(together) { day } else { day + TimeDelta::days(self.random.between(0, spread)) };
            let referral = self.refer(at, "P1".to_owned());
            if self.random.chance(97) {
                let amount = self.random.pick(&[1_000, 9_999, 19_900]);
                let subscription = self.start(at, &referral, Interval::Month, amount);
                let count = self.random.pick(&invoices);
                self.invoices(&subscription, at, Interval::Month, amount, count);
            }
            if self.random.chance(5) {
                self.decide(&referral, at);
            }
        }
        if self.random.chance(60) {
            self.life();
        }
    }

    /// Subscriptions of one partner that come to exactly, or almost, $50,000 a year.
    fn revenue(&mut self) {
        let mut left = 5_000_000 + self.random.pick(&[-1, 0, 0, 0, 1]);
        for _ in 0..self.random.between(0, 3) {
            let at = self.shared();
            let referral = self.refer(at, "P1".to_owned());
            let (interval, amount, annual) = match self.random.between(100_000, 900_000) {
                amount if amount % 2 == 0 => (Interval::Year, amount, amount),
                amount => (Interval::Month, amount / 12, amount / 12 * 12),
            };
            left -= annual;
            let start = self.around(at, 20);
            let subscription = self.start(start, &referral, interval, amount);
            self.invoices(&subscription, start, interval, amount, 1);
        }
        let at = self.shared();
        let referral = self.refer(at, "P1".to_owned());
        let price = if self.random.chance(40) { 100 } else { left };
        let subscription = self.start(at, &referral, Interval::Year, price);
        self.invoices(&subscription, at, Interval::Year, price, 2);
        if price != left {
            let at = self.around(at, 30);
            let (interval, amount_minor) = (Interval::Year, left);
            self.push(at, FactBody::SubscriptionChanged { subscription, interval, amount_minor });
        }
        if self.random.chance(60) {
            self.life();
        }
    }

    /// A client to whom everything may happen.
    fn life(&mut self) {
        let signed_up = self.around(self.base, 120);
        let partner = self.partner();
        let referral = self.refer(signed_up, partner);
        let mut start = self.around(signed_up, 20);
        for _ in 0..self.random.pick(&[1, 1, 1, 2, 2, 3]) {
            let interval = self.random.pick(&[Interval::Month, Interval::Year]);
            let amount = self.price(interval);
            let subscription = self.start(start, &referral, interval, amount);
            let count = self.random.pick(&[0, 1, 2, 2, 3, 4, 5]);
            let last = self.invoices(&subscription, start, interval, amount, count);
            for _ in 0..self.random.pick(&[0, 0, 1, 2]) {
                self.change(&subscription, start, last);
            }
            if self.random.chance(40) {
                start = self.cancel(&subscription, start, last);
            }
        }
        if self.random.chance(20) {
            self.decide(&referral, start);
        }
        for _ in 0..self.random.pick(&[0, 0, 0, 1, 2]) {
            let (at, partner) = (self.around(signed_up, 90), self.partner());
            let referral = referral.clone();
            self.push(at, FactBody::ReferralMoved { referral, partner, reason: "a mistake".to_owned() });
        }
    }

    fn price(&mut self, interval: Interval) -> i64 {
        if self.theme == Theme::Fortune {
            return MAX_AMOUNT_MINOR - self.random.between(0, 2);
        }
        match (self.random.between(1, 10), interval) {
            (1..=3, Interval::Year) => 500_000 + self.random.pick(&[-1, 0, 0, 100_000]),
            (4, _) => 0,
            (5..=6, _) => self.random.between(1, 60),
            _ => self.random.between(100, 90_000),
        }
    }

    fn refer(&mut self, at: DateTime<Utc>, partner: String) -> String {
        let domain = match self.random.between(1, 3) {
            1 => "client.example",
            2 => EMAIL_DOMAINS[0].0,
            _ => self.random.pick(&EMAIL_DOMAINS).0,
        };
        let chance = if self.theme == Theme::Lives { 40 } else { 8 };
        let client_email_domain = self.random.chance(chance).then(|| domain.to_owned());
        let referral = self.count(0, "r");
        self.push(at, FactBody::ReferralCreated { referral: referral.clone(), partner, client_email_domain });
        referral
    }

    fn start(&mut self, at: DateTime<Utc>, referral: &str, interval: Interval, amount_minor: i64) -> String {
        let (subscription, referral) = (self.count(1, "s"), referral.to_owned());
        let body =
            FactBody::SubscriptionStarted { subscription: subscription.clone(), referral, interval, amount_minor };
        self.push(at, body);
        subscription
    }

    /// Decisions of a person, the last of which counts.
    fn decide(&mut self, referral: &str, at: DateTime<Utc>) {
        for _ in 0..self.random.pick(&[1, 1, 2, 3]) {
            let (at, referral) = (self.around(at, 60), referral.to_owned());
            let reason = self.random.chance(50).then(|| "seen".to_owned());
            let body = match self.random.between(1, 10) {
                1..=6 => FactBody::ReferralCleared { referral, reason },
                7..=9 => FactBody::ReferralRejected { referral, reason },
                _ => FactBody::ReferralReopened { referral, reason },
            };
            self.push(at, body);
        }
    }

    fn change(&mut self, subscription: &str, start: DateTime<Utc>, last: DateTime<Utc>) {
        let from = self.random.pick(&[start, last]);
        let at = self.around(from, 40);
        let interval = self.random.pick(&[Interval::Month, Interval::Year]);
        let (subscription, amount_minor) = (subscription.to_owned(), self.price(interval));
        self.push(at, FactBody::SubscriptionChanged { subscription, interval, amount_minor });
    }

    /// The end of a subscription, often about when its commission would vest; tells when the client may return.
    fn cancel(&mut self, subscription: &str, start: DateTime<Utc>, last: DateTime<Utc>) -> DateTime<Utc> {
        let days = self.random.pick(&[0, 1, 30, 60]);
        let at = match self.random.between(1, 4) {
            1 => start + TimeDelta::days(days) + TimeDelta::nanoseconds(self.random.between(-1, 1)),
            2 => self.around(start, 70),
            _ => self.around(last, 40),
        };
        self.push(at, FactBody::SubscriptionCanceled { subscription: subscription.to_owned() });
        at + TimeDelta::days(self.random.pick(&[0, 3, 200]))
    }

    /// Invoices from `from` on, and what comes back of them; tells when the last was paid.
    fn invoices(
        &mut self,
        subscription: &str,
        from: DateTime<Utc>,
        interval: Interval,
        price: i64,
        count: i64,
    ) -> DateTime<Utc> {
        let months = if interval == Interval::Year { 12 } else { self.random.pick(&[1, 1, 1, 6]) };
        let mut at = from;
        for index in 0..count {
            let start = add_months(from, months * i64_to_u32(index));
            at = if self.random.chance(75) { start } else { self.around(start, 10) };
            let amount_minor = match self.random.between(1, 10) {
                1 => 0,
                2 => self.price(interval),
                _ => price,
            };
            let end = add_months(start, months);
            let (period_start, period_end) = match self.random.between(1, 10) {
                1..=4 => (None, None),
                5..=7 => (Some(start), Some(end)),
                8 => (Some(start), None),
                9 => (None, Some(end)),
                _ => self.odd_period(at, from),
            };
            let (invoice, subscription) = (self.count(2, "i"), subscription.to_owned());
            let body = FactBody::InvoicePaid {
                invoice: invoice.clone(),
                subscription,
                amount_minor,
                period_start,
                period_end,
            };
            self.push(at, body);
            let chance = if matches!(self.theme, Theme::Lives | Theme::Fortune) { 30 } else { 6 };
            if self.random.chance(chance) {
                self.money_back(&invoice, at, amount_minor);
            }
        }
        at
    }

    /// A period that has little to do with when the invoice was paid, or one within seconds of when the first year of
    /// a client that paid first at `clock` may be over.
    fn odd_period(
        &mut self,
        at: DateTime<Utc>,
        clock: DateTime<Utc>,
    ) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let start = if self.random.chance(50) {
            let turn = add_months(clock, self.random.pick(&[1, 2, 6, 12, 12]));
            turn - TimeDelta::nanoseconds(self.random.between(0, 1_500_000_000))
        } else {
            at + TimeDelta::days(self.random.between(-400, 60))
        };
        let length = match self.random.between(1, 4) {
            1 | 2 => TimeDelta::nanoseconds(self.random.between(1, 2_500_000_000)),
            3 => TimeDelta::seconds(self.random.between(1, 90_000_000)),
            _ => TimeDelta::days(self.random.between(1, 800)),
        };
        (Some(start), Some(start + length))
    }

    fn money_back(&mut self, invoice: &str, paid: DateTime<Utc>, amount: i64) {
        for _ in 0..self.random.pick(&[1, 1, 2, 3]) {
            let at = if self.random.chance(15) {
                paid - TimeDelta::days(self.random.between(0, 40))
            } else {
                self.around(paid, 80)
            };
            let part = match self.random.between(1, 6) {
                1 | 2 => amount,
                3 => amount / 2,
                4 => amount / 3 + 1,
                5 => (amount + 1).min(MAX_AMOUNT_MINOR),
                _ => self.random.between(1, 50_000),
            };
            let (invoice, amount_minor) = (invoice.to_owned(), part.max(1));
            if self.random.chance(60) {
                let refund = self.random.chance(60).then(|| self.count(3, "re"));
                self.push(at, FactBody::InvoiceRefunded { invoice, amount_minor, refund: refund.clone() });
                if let Some(refund) = refund.filter(|_| self.random.chance(25)) {
                    let at = self.around(at, 30);
                    self.push(at, FactBody::RefundFailed { refund });
                }
            } else {
                let dispute = self.count(4, "d");
                self.push(at, FactBody::DisputeOpened { dispute: dispute.clone(), invoice, amount_minor });
                for _ in 0..self.random.pick(&[0, 1, 1, 1, 2]) {
                    let (dispute, at) = (dispute.clone(), self.around(at, 60));
                    let outcome = self.random.pick(&[Outcome::Won, Outcome::Lost]);
                    self.push(at, FactBody::DisputeClosed { dispute, outcome });
                }
            }
        }
    }

    /// What is between us and the partners.
    fn payments(&mut self) {
        for _ in 0..self.random.pick(&[0, 0, 1, 3]) {
            let (at, partner) = (self.around(self.base, 200), self.partner());
            let amount_minor = self.random.between(-9_000, 9_000);
            self.push(at, FactBody::AdjustmentMade { partner, amount_minor, reason: "a correction".to_owned() });
        }
        for _ in 0..self.random.pick(&[0, 0, 1, 2]) {
            let (at, partner, payout) = (self.around(self.base, 200), self.partner(), self.count(5, "po"));
            let amount_minor = self.random.between(1, 20_000);
            self.push(at, FactBody::PayoutPaid { payout: payout.clone(), partner, amount_minor });
            for _ in 0..self.random.pick(&[0, 0, 1, 2]) {
                let (at, payout) = (self.around(at, 30), payout.clone());
                let part = self.random.between(1, amount_minor);
                let amount_minor = self.random.chance(75).then_some(part);
                self.push(at, FactBody::PayoutReversed { payout, amount_minor });
            }
        }
        for _ in 0..self.random.pick(&[0, 0, 0, 0, 1, 2]) {
            let (at, partner) = (self.around(self.base, 200), self.partner());
            let body = if self.random.chance(70) {
                FactBody::PartnerSuspended { partner }
            } else {
                FactBody::PartnerReinstated { partner }
            };
            self.push(at, body);
        }
    }
}
