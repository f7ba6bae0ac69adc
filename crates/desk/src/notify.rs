//! What is news: from what was known and what the API says now to what a person is told. Pure.
//!
//! Nothing that somebody else wrote is in a notification: it is shown on a screen that may be locked, by a program that
//! may read it as markup. It says an amount only to the agency that gets it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wire::{AtBankState, Payout, PayoutState, RunState, RunSummary};

use crate::deep;
use crate::prefs::Preferences;
use crate::words::{money, month};

/// More of a kind than this are told in one sentence.
const APART: usize = 3;

/// What a notification is about; each kind can be turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A payout was sent.
    PayoutSent,
    /// The bank sent a payout back.
    BankRefused,
    /// A run is drafted.
    RunReady,
    /// A client waits for a review.
    ReviewNeeded,
}

impl Kind {
    /// The person wants to be told of it on this computer.
    fn wanted(self, by: &Preferences) -> bool {
        match self {
            Kind::PayoutSent => by.payout_sent,
            Kind::BankRefused => by.bank_refused,
            Kind::RunReady => by.run_ready,
            Kind::ReviewNeeded => by.review_needed,
        }
    }
}

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What it is about.
    pub kind: Kind,
    /// Its title.
    pub title: &'static str,
    /// What happened, and to what.
    pub text: String,
    /// The deep link that shows more.
    pub link: String,
}

/// What was told, or was there when nobody had looked before. It is kept with the saved answers of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Known {
    /// By item, how far each payout was; `None` before the first look.
    payouts: Option<BTreeMap<String, KnownPayout>>,
    /// Runs whose draft was seen.
    drafts: Option<BTreeSet<String>>,
    /// Referrals that waited for a review.
    reviews: Option<BTreeSet<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KnownPayout {
    paid: bool,
    /// Stripe's payouts that the bank refused: a new try may be refused again.
    refused: BTreeSet<String>,
}

impl Known {
    /// What is news of an agency's payouts, which is then known.
    pub(crate) fn payouts(&mut self, now: &[Payout]) -> Vec<News> {
        let before = self.payouts.take();
        let (mut sent, mut refused, mut after) = (Vec::new(), Vec::new(), BTreeMap::new());
        for payout in now {
            let known = before.as_ref().and_then(|all| all.get(&payout.item));
            let mut mark = known.cloned().unwrap_or_default();
            if payout.state == PayoutState::Paid && !mark.paid {
                mark.paid = true;
                sent.push(payout);
            }
            if let Some(bank) = payout.bank.as_ref().filter(|bank| bank.state == AtBankState::Refused)
                && mark.refused.insert(bank.payout.clone())
            {
                refused.push(payout);
            }
            after.insert(payout.item.clone(), mark);
        }
        self.payouts = Some(after);
        if before.is_none() {
            return Vec::new();
        }
        let many = |kind, title, all: &[&Payout], one: fn(&Payout) -> String, more: &str| {
            told(kind, title, all, |p| (one(p), deep::link("payout", &p.item)), more, "payouts")
        };
        let mut news = many(
            Kind::PayoutSent,
            "Payout sent",
            &sent,
            |p| format!("{} for {} was sent to your Stripe account.", money(p.amount_minor), month(&p.period)),
            "payouts were sent to your Stripe account.",
        );
        news.extend(many(
            Kind::BankRefused,
            "Your bank sent a payout back",
            &refused,
            |p| {
                format!(
                    "{} for {} is in your Stripe account again. See what to do.",
                    money(p.amount_minor),
                    month(&p.period)
                )
            },
            "payouts were sent back by your bank. See what to do.",
        ));
        news
    }

    /// What is news of the runs, for finance.
    pub(crate) fn runs(&mut self, now: &[RunSummary]) -> Vec<News> {
        let before = self.drafts.take();
        let mut after = before.clone().unwrap_or_default();
        // A run that was unsealed is a draft again, which whoever did it knows.
        let drafts: Vec<&RunSummary> =
            now.iter().filter(|run| run.state == RunState::Draft && after.insert(run.run.clone())).collect();
        after.retain(|known| now.iter().any(|run| run.run == *known));
        self.drafts = Some(after);
        if before.is_none() {
            return Vec::new();
        }
        let one = |run: &&RunSummary| {
            (format!("{} is drafted and waits for you.", month(&run.period)), deep::link("run", &run.run))
        };
        told(Kind::RunReady, "Run ready", &drafts, one, "runs are drafted and wait for you.", "runs")
    }

    /// What is news of the referrals under review, for staff.
    pub(crate) fn reviews(&mut self, now: &[String]) -> Vec<News> {
        let before = self.reviews.take();
        let fresh: Vec<&String> =
            now.iter().filter(|one| before.as_ref().is_none_or(|known| !known.contains(*one))).collect();
        self.reviews = Some(now.iter().cloned().collect());
        if before.is_none() {
            return Vec::new();
        }
        let text = match fresh.len() {
            0 => return Vec::new(),
            1 => "A client waits for a review.".to_owned(),
            count => format!("{count} clients wait for a review."),
        };
        let link = format!("{}://open/reviews", deep::SCHEME);
        vec![News { kind: Kind::ReviewNeeded, title: "Review needed", text, link }]
    }
}

/// Those that the person wants to be told on this computer.
pub(crate) fn wanted(mut news: Vec<News>, by: &Preferences) -> Vec<News> {
    news.retain(|one| one.kind.wanted(by));
    news
}

/// Each apart while there are few, and one sentence for many.
fn told<T>(
    kind: Kind,
    title: &'static str,
    all: &[T],
    one: impl Fn(&T) -> (String, String),
    more: &str,
    page: &str,
) -> Vec<News> {
    if all.len() > APART {
        let link = format!("{}://open/{page}", deep::SCHEME);
        return vec![News { kind, title, text: format!("{} {more}", all.len()), link }];
    }
    let news = all.iter().map(|it| {
        let (text, link) = one(it);
        News { kind, title, text, link }
    });
    news.collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;
    use wire::AtBank;

    use super::*;

    fn time() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn payout(item: &str, state: PayoutState, refused: Option<&str>) -> Payout {
        let bank = refused.map(|payout| AtBank {
            state: AtBankState::Refused,
            arrives: time(),
            payout: payout.into(),
            text: Some("<b>Ring +1 900 555 0100</b>".into()),
        });
        Payout {
            item: item.into(),
            period: "2026-10".into(),
            amount_minor: 128_450,
            state,
            transfer: None,
            paid_at: None,
            digest: String::new(),
            bank,
        }
    }

    fn run(id: &str, state: RunState) -> RunSummary {
        RunSummary {
            run: id.into(),
            period: "2026-10".into(),
            as_of: time(),
            state,
            version: 1,
            run_hash: None,
            total_minor: 7,
            items: 1,
            not_paid: 0,
            paid_minor: 0,
            drafted_at: time(),
            done_at: None,
        }
    }

    fn texts(news: &[News]) -> Vec<&str> {
        news.iter().map(|one| one.text.as_str()).collect()
    }

    #[test]
    fn an_agency_is_told_once_that_it_was_paid_and_that_its_bank_refused() {
        let mut known = Known::default();
        let old = payout("2026-09.1:P", PayoutState::Paid, None);
        assert_eq!(known.payouts(std::slice::from_ref(&old)), [], "what was there before the first look is no news");
        assert_eq!(known.payouts(&[payout("2026-10.1:P", PayoutState::Sending, None), old.clone()]), []);

        let paid = [payout("2026-10.1:P", PayoutState::Paid, None), old.clone()];
        let news = known.payouts(&paid);
        assert_eq!(texts(&news), ["$1,284.50 for October 2026 was sent to your Stripe account."]);
        assert_eq!(news[0].link, "aikit-partners://open/payout/2026-10.1:P");
        assert_eq!(known.payouts(&paid), []);

        let refused = [payout("2026-10.1:P", PayoutState::Paid, Some("po_1")), old.clone()];
        let news = known.payouts(&refused);
        assert_eq!(texts(&news), ["$1,284.50 for October 2026 is in your Stripe account again. See what to do."]);
        assert_eq!(known.payouts(&refused), []);
        let again = [payout("2026-10.1:P", PayoutState::Paid, Some("po_2")), old];
        assert_eq!(known.payouts(&again).len(), 1, "the second try was refused too");
    }

    #[test]
    fn finance_is_told_of_a_draft_and_not_of_one_that_came_back() {
        let mut known = Known::default();
        assert_eq!(known.runs(&[run("2026-09.1", RunState::Done)]), []);
        let news = known.runs(&[run("2026-10.1", RunState::Draft), run("2026-09.1", RunState::Done)]);
        assert_eq!(texts(&news), ["October 2026 is drafted and waits for you."]);
        for state in [RunState::Draft, RunState::Sealed, RunState::Draft] {
            assert_eq!(known.runs(&[run("2026-10.1", state)]), [], "{state:?}");
        }
        assert_eq!(known.runs(&[run("2026-10.2", RunState::Draft)]).len(), 1, "the month was drafted anew");
    }

    #[test]
    fn staff_is_told_of_reviews_as_a_number() {
        let mut known = Known::default();
        let waiting = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(known.reviews(&waiting(&["r_1"])), []);
        assert_eq!(texts(&known.reviews(&waiting(&["r_1", "r_2"]))), ["A client waits for a review."]);
        assert_eq!(texts(&known.reviews(&waiting(&["r_3", "r_4"]))), ["2 clients wait for a review."]);
        assert_eq!(known.reviews(&waiting(&[])), []);
    }

    #[test]
    fn many_at_once_are_one_notification() {
        let mut known = Known { payouts: Some(BTreeMap::new()), ..Known::default() };
        let many: Vec<Payout> = (0..4).map(|n| payout(&format!("2026-10.{n}:P"), PayoutState::Paid, None)).collect();
        let news = known.payouts(&many);
        assert_eq!(texts(&news), ["4 payouts were sent to your Stripe account."]);
        assert_eq!(news[0].link, "aikit-partners://open/payouts");
    }

    #[test]
    fn each_kind_can_be_turned_off() {
        let all = [Kind::PayoutSent, Kind::BankRefused, Kind::RunReady, Kind::ReviewNeeded];
        let news = || all.map(|kind| News { kind, title: "", text: String::new(), link: String::new() }).to_vec();
        let kinds = |by: Preferences| wanted(news(), &by).iter().map(|n| n.kind).collect::<Vec<_>>();
        let on = Preferences::default();
        assert_eq!(kinds(on.clone()), all);
        assert_eq!(kinds(Preferences { payout_sent: false, ..on.clone() }), all[1..]);
        assert_eq!(kinds(Preferences { bank_refused: false, ..on.clone() }), [all[0], all[2], all[3]]);
        assert_eq!(kinds(Preferences { run_ready: false, ..on.clone() }), [all[0], all[1], all[3]]);
        assert_eq!(kinds(Preferences { review_needed: false, ..on }), all[..3]);
    }

    proptest! {
        /// Whatever the API says, in whatever order, and however often the app is started in between: no payout is told
        /// twice while the API shows it, nothing is told of the first look, and no word of others is repeated.
        #[test]
        fn nothing_is_told_twice(looks in prop::collection::vec(prop::collection::vec((0_u8..4, 0_u8..6, prop::option::of(0_u8..3)), 4), 1..12)) {
            let mut known = Known::default();
            let mut told = BTreeSet::new();
            for (nth, look) in looks.into_iter().enumerate() {
                let states = [PayoutState::Queued, PayoutState::Sending, PayoutState::Unknown, PayoutState::Review, PayoutState::Paid, PayoutState::Void];
                let now: Vec<Payout> = look.iter().enumerate().map(|(i, (_, state, refused))| {
                    let refused = refused.map(|n| format!("po_{n}"));
                    payout(&format!("item{i}"), states[usize::from(*state)], refused.as_deref())
                }).collect();
                // As it is kept over a restart.
                known = serde_json::from_str(&serde_json::to_string(&known).expect("text")).expect("the same");
                let news = known.payouts(&now);
                prop_assert!(nth > 0 || news.is_empty());
                for one in news.iter().filter(|one| one.kind == Kind::PayoutSent && one.link.contains("/payout/")) {
                    prop_assert!(told.insert(one.link.clone()), "{} was told twice", one.link);
                }
                prop_assert!(news.iter().all(|one| !one.text.contains("Ring") && !one.text.contains('<')));
                prop_assert!(news.iter().all(|one| deep::Place::of_link(&one.link).is_some()));
                prop_assert_eq!(known.payouts(&now), vec![]);
            }
        }
    }
}
