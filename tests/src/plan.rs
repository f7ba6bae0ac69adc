//! From the story's tables to a list of acts in order of time. Pure: the same day gives the same list.

use chrono::{DateTime, Datelike, TimeDelta, Utc, Weekday};

use crate::calendar::{Frame, Month, When};
use crate::dice::Dice;
use crate::story::{AGENCIES, Agency, CLIENTS, Client, Outcome, Price, Twist, Way};

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 60 * MINUTE_S;
const DAY_S: i64 = 24 * HOUR_S;

/// Who follows a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// A person with this browser.
    Person(&'static str),
    /// A program that says so.
    Bot(&'static str),
    /// A browser that fetches ahead, before anybody clicked.
    Prefetch(&'static str),
}

/// Somebody follows a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click {
    /// Whose link.
    pub agency: usize,
    /// The link of which campaign; the main link without one.
    pub campaign: Option<usize>,
    /// Who.
    pub visitor: Visitor,
    /// The client who will sign up from this browser.
    pub client: Option<usize>,
}

/// What is done in one act. Numbers are places in the story's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// An agency fills in the form.
    Join(usize),
    /// It goes through Stripe's onboarding, or leaves it half-way.
    Onboard(usize),
    /// It makes the link of that campaign.
    MakeLink(usize, usize),
    /// Somebody follows an agency's link.
    Click(Click),
    /// A client signs up.
    SignUp(usize),
    /// A client subscribes.
    Subscribe(usize, Price),
    /// A client moves to another price.
    Move(usize, Price),
    /// A client cancels.
    Cancel(usize),
    /// A client's newest invoice is refunded: this much, or all.
    Refund(usize, Option<i64>),
    /// A client's newest invoice is disputed.
    OpenDispute(usize),
    /// That dispute ends.
    CloseDispute(usize, Outcome),
    /// Finance drafts the run of a month.
    Draft(Month),
    /// Finance seals, approves and sends it.
    Pay(Month),
}

/// A deed and its instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub deed: Deed,
}

/// The whole story, ready to be walked.
#[derive(Clone, Debug)]
pub struct Plan {
    /// First instant.
    pub starts_at: DateTime<Utc>,
    /// Last instant.
    pub ends_at: DateTime<Utc>,
    /// What happens in between, in order of time.
    pub acts: Vec<Act>,
}

/// Plans the story that ends at `now`.
pub fn plan(now: DateTime<Utc>) -> Plan {
    let frame = Frame::ending(now);
    let mut acts = Vec::new();
    for (number, agency) in AGENCIES.iter().enumerate() {
        let mut scene = Scene { frame: &frame, dice: Dice::of(agency.key), acts: &mut acts };
        scene.agency(number, agency);
    }
    for (number, client) in CLIENTS.iter().enumerate() {
        let mut scene = Scene { frame: &frame, dice: Dice::of(client.email), acts: &mut acts };
        scene.client(number, client);
    }
    acts.retain(|act| act.at < frame.today);
    acts.extend(runs(&frame, now));
    acts.sort_by_key(|act| act.at);
    Plan { starts_at: frame.first.start(), ends_at: now, acts }
}

/// Months from the first until somebody's commission has vested.
const VESTING_MONTHS: i32 = 2;

/// The newest ended month is drafted and waits; those before it are paid, from the first with something vested on.
fn runs(frame: &Frame, now: DateTime<Utc>) -> Vec<Act> {
    let newest = frame.running.plus(-1);
    let mut acts = Vec::new();
    let mut period = frame.first.plus(VESTING_MONTHS);
    while period <= newest {
        let drafted_at = period.plus(1).start() + TimeDelta::seconds(6 * HOUR_S + 5 * MINUTE_S);
        acts.push(Act { at: drafted_at.min(now), deed: Deed::Draft(period) });
        if period < newest {
            let paid_at = period.plus(1).day(2) + TimeDelta::seconds(9 * HOUR_S + 41 * MINUTE_S);
            acts.push(Act { at: paid_at, deed: Deed::Pay(period) });
        }
        period = period.plus(1);
    }
    acts
}

/// Place of an agency in the table.
fn agency_number(key: &str) -> Option<usize> {
    AGENCIES.iter().position(|agency| agency.key == key)
}

/// When an agency fills in the form.
fn joined_at(frame: &Frame, agency: &Agency) -> DateTime<Utc> {
    frame.at(agency.joined, office_hour(&mut Dice::of(agency.name)))
}

/// When all links of an agency stand.
fn links_stand_at(frame: &Frame, agency: &Agency) -> DateTime<Utc> {
    joined_at(frame, agency) + TimeDelta::seconds(26 * HOUR_S)
}

/// A second of the day between 08:00 and 17:30.
fn office_hour(dice: &mut Dice) -> u32 {
    dice.between(8 * 3_600, 17 * 3_600 + 1_800)
}

/// The acts around one agency or one client.
struct Scene<'a> {
    frame: &'a Frame,
    dice: Dice,
    acts: &'a mut Vec<Act>,
}

impl Scene<'_> {
    fn add(&mut self, at: DateTime<Utc>, deed: Deed) {
        self.acts.push(Act { at, deed });
    }

    fn day(&mut self, when: When) -> DateTime<Utc> {
        let second = office_hour(&mut self.dice);
        self.frame.at(when, second)
    }

    fn seconds(&mut self, low: i64, high: i64) -> TimeDelta {
        let (low, high) = (u32::try_from(low).unwrap_or_default(), u32::try_from(high).unwrap_or_default());
        TimeDelta::seconds(i64::from(self.dice.between(low, high)))
    }

    fn agency(&mut self, number: usize, agency: &Agency) {
        let joined_at = joined_at(self.frame, agency);
        self.add(joined_at, Deed::Join(number));
        if agency.account != crate::story::Account::None {
            let at = joined_at + self.seconds(4 * MINUTE_S, 40 * MINUTE_S);
            self.add(at, Deed::Onboard(number));
        }
        for campaign in 0..agency.campaigns.len() {
            let at = joined_at + self.seconds(HOUR_S, 25 * HOUR_S);
            self.add(at, Deed::MakeLink(number, campaign));
        }
        let mut month = Month::of(joined_at);
        while month <= self.frame.running {
            let usual = agency.clicks_per_month;
            for _ in 0..self.dice.between(usual * 3 / 4, usual * 5 / 4) {
                self.passer_by(number, agency, month);
            }
            month = month.plus(1);
        }
    }

    /// A click that leads to nothing.
    fn passer_by(&mut self, number: usize, agency: &Agency, month: Month) {
        let mut at = self.some_time(month);
        if matches!(at.weekday(), Weekday::Sat | Weekday::Sun) {
            at = self.some_time(month); // Weekends are quieter, not silent.
        }
        let visitor = match self.dice.between(1, 100) {
            1..=13 => Visitor::Bot(self.dice.pick(BOTS)),
            14..=17 => Visitor::Prefetch(self.dice.pick(BROWSERS)),
            _ => Visitor::Person(self.dice.pick(BROWSERS)),
        };
        let campaigns = u32::try_from(agency.campaigns.len()).unwrap_or_default();
        let campaign = self.dice.between(0, campaigns) as usize;
        let campaign = (campaign < agency.campaigns.len()).then_some(campaign);
        if at > links_stand_at(self.frame, agency) {
            self.add(at, Deed::Click(Click { agency: number, campaign, visitor, client: None }));
        }
    }

    fn some_time(&mut self, month: Month) -> DateTime<Utc> {
        let days = u32::try_from((month.plus(1).start() - month.start()).num_days()).unwrap_or(28);
        month.day(self.dice.between(1, days)) + self.seconds(6 * HOUR_S, 22 * HOUR_S)
    }

    fn client(&mut self, number: usize, client: &Client) {
        let Some(agency) = agency_number(client.agency) else { return };
        let signs_up_at = self.day(client.signs_up);
        let browser = Visitor::Person(self.dice.pick(BROWSERS));
        let stand_at = links_stand_at(self.frame, &AGENCIES[agency]);
        let click = |at: DateTime<Utc>, agency: usize, campaign: Option<usize>| Act {
            at,
            deed: Deed::Click(Click { agency, campaign, visitor: browser, client: Some(number) }),
        };
        let before = match client.way {
            Way::TooLate => self.seconds(33 * DAY_S, 36 * DAY_S),
            _ if self.dice.percent(60) => self.seconds(3 * MINUTE_S, 90 * MINUTE_S),
            _ => self.seconds(DAY_S, 20 * DAY_S),
        };
        let clicked_at = (signs_up_at - before).max(stand_at + TimeDelta::seconds(MINUTE_S));
        match client.way {
            Way::Code => {}
            Way::MainLink => self.acts.push(click(clicked_at, agency, None)),
            Way::Campaign(campaign) => self.acts.push(click(clicked_at, agency, Some(campaign))),
            Way::TooLate => self.acts.push(click(clicked_at, agency, Some(0))),
            Way::AfterTouchOf(other) => {
                if let Some(other) = agency_number(other) {
                    self.acts.push(click(clicked_at - TimeDelta::seconds(2 * DAY_S), other, Some(0)));
                }
                self.acts.push(click(clicked_at, agency, Some(0)));
            }
        }
        self.add(signs_up_at, Deed::SignUp(number));

        let Some(price) = client.price else { return };
        let subscribes_at = signs_up_at + self.seconds(6 * MINUTE_S, 52 * HOUR_S);
        self.add(subscribes_at, Deed::Subscribe(number, price));
        for twist in client.twists {
            match *twist {
                Twist::Trial(_) => {}
                Twist::Cancels(days) => {
                    let at = subscribes_at + TimeDelta::seconds(i64::from(days) * DAY_S) + self.seconds(0, 5 * HOUR_S);
                    self.add(at, Deed::Cancel(number));
                }
                Twist::Moves(when, price) => {
                    let at = self.day(when);
                    if let Some(price) = price {
                        self.add(at, Deed::Move(number, price));
                    }
                }
                Twist::Refund(when, amount_minor) => {
                    let at = self.day(when);
                    self.add(at, Deed::Refund(number, amount_minor));
                }
                Twist::Dispute(when) => {
                    let at = self.day(when);
                    self.add(at, Deed::OpenDispute(number));
                }
                Twist::DisputeEnds(when, outcome) => {
                    let at = self.day(when);
                    self.add(at, Deed::CloseDispute(number, outcome));
                }
            }
        }
    }
}

const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
];

const BOTS: &[&str] = &[
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
];

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
