//! Properties of the planned story, on days that are awkward.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Timelike};

use super::*;
use crate::story::Account;

/// Each last and first second of three years' months, a few odd days, and every 11th day in between.
fn nows() -> Vec<DateTime<Utc>> {
    let mut nows: Vec<DateTime<Utc>> = [
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:01Z",
        "2026-03-31T23:59:59Z",
        "2024-02-29T12:00:00Z",
        "2026-11-22T11:30:00Z",
    ]
    .iter()
    .map(|now| now.parse().unwrap())
    .collect();
    let mut day = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap();
    while day < NaiveDate::from_ymd_opt(2027, 1, 5).unwrap() {
        let midnight = day.and_hms_opt(0, 0, 0).unwrap().and_utc();
        if midnight.day0() == 0 {
            nows.extend([midnight - TimeDelta::seconds(1), midnight]);
        }
        nows.push(midnight + TimeDelta::seconds(45_296));
        day = day.checked_add_days(chrono::Days::new(11)).unwrap();
    }
    nows
}

fn first(plan: &Plan, wanted: impl Fn(&Deed) -> bool) -> Option<DateTime<Utc>> {
    plan.acts.iter().find(|act| wanted(&act.deed)).map(|act| act.at)
}

#[test]
fn acts_are_in_order_and_within_the_story() {
    for now in nows() {
        let plan = plan(now);
        assert!(plan.acts.is_sorted_by_key(|act| act.at), "{now}");
        assert!(plan.acts.iter().all(|act| plan.starts_at < act.at && act.at <= now), "{now}");
        assert!(plan.acts.iter().all(|act| act.at.nanosecond() == 0), "{now}");
        let clicks = plan.acts.iter().filter(|act| matches!(act.deed, Deed::Click(_))).count();
        assert!((400..900).contains(&clicks), "{now}: {clicks} clicks");
    }
}

#[test]
fn the_same_day_tells_the_same_story() {
    let day = |time: &str| {
        let mut acts = plan(format!("2026-11-01T{time}Z").parse().unwrap()).acts;
        acts.retain(|act| !matches!(act.deed, Deed::Draft(_)));
        acts
    };
    assert_eq!(day("00:00:00"), day("23:59:59"));
}

#[test]
fn every_agency_joins_once_and_before_all_that_it_does() {
    for now in nows() {
        let plan = plan(now);
        let mut joined = vec![None; AGENCIES.len()];
        let mut made = BTreeMap::new();
        for act in &plan.acts {
            match act.deed {
                Deed::Join(agency) => assert_eq!(joined[agency].replace(act.at), None, "{now}"),
                Deed::Onboard(agency) => {
                    assert!(joined[agency].is_some_and(|at| at < act.at), "{now}");
                    assert_ne!(AGENCIES[agency].account, Account::None);
                }
                Deed::MakeLink(agency, campaign) => {
                    assert!(joined[agency].is_some_and(|at| at < act.at), "{now}");
                    assert_eq!(made.insert((agency, campaign), act.at), None, "{now}");
                }
                Deed::Click(Click { agency, campaign: Some(campaign), .. }) => {
                    assert!(made.get(&(agency, campaign)).is_some_and(|at| *at < act.at), "{now}: {act:?}");
                }
                Deed::Click(Click { agency, campaign: None, .. }) => assert!(joined[agency].is_some(), "{now}"),
                _ => {}
            }
        }
        assert!(joined.iter().all(Option::is_some), "{now}");
    }
}

#[test]
fn a_sign_up_follows_its_last_click_within_thirty_days_where_it_is_credited() {
    for now in nows() {
        let plan = plan(now);
        let mut touched: BTreeMap<usize, (DateTime<Utc>, usize)> = BTreeMap::new();
        for act in &plan.acts {
            match act.deed {
                Deed::Click(Click { client: Some(client), agency, .. }) => {
                    touched.insert(client, (act.at, agency));
                }
                Deed::SignUp(number) => {
                    let client = &CLIENTS[number];
                    let Some((clicked_at, agency)) = touched.get(&number) else {
                        assert_eq!(client.way, Way::Code, "{now}: {}", client.email);
                        continue;
                    };
                    let age = act.at - *clicked_at;
                    assert!(age > TimeDelta::zero(), "{now}: {}", client.email);
                    assert_eq!(age <= TimeDelta::days(30), client.way != Way::TooLate, "{now}: {}", client.email);
                    assert_eq!(AGENCIES[*agency].key, client.agency, "{now}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn what_happens_to_a_subscription_happens_in_its_life() {
    for now in nows() {
        let plan = plan(now);
        for (number, client) in CLIENTS.iter().enumerate() {
            let Some(start) = first(&plan, |deed| matches!(deed, Deed::Subscribe(n, _) if *n == number)) else {
                continue;
            };
            assert!(first(&plan, |deed| *deed == Deed::SignUp(number)).is_some_and(|at| at < start), "{now}");
            let cancelled = first(&plan, |deed| *deed == Deed::Cancel(number)).unwrap_or(DateTime::<Utc>::MAX_UTC);
            let disputed = first(&plan, |deed| *deed == Deed::OpenDispute(number));
            for act in &plan.acts {
                match act.deed {
                    Deed::Refund(n, _) | Deed::OpenDispute(n) | Deed::Move(n, _) if n == number => {
                        assert!(start < act.at && act.at < cancelled, "{now}: {}", client.email);
                    }
                    Deed::CloseDispute(n, _) if n == number => {
                        assert!(disputed.is_some_and(|at| at < act.at), "{now}: {}", client.email);
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn every_month_with_something_due_is_paid_and_the_newest_ended_one_waits() {
    for now in nows() {
        let plan = plan(now);
        let running = Month::of(now);
        let period = |act: &Act| if let Deed::Draft(period) = act.deed { Some(period) } else { None };
        let drafted: Vec<_> = plan.acts.iter().filter_map(period).collect();
        assert!(drafted.len() >= 3 && drafted.last() == Some(&running.plus(-1)), "{now}: {drafted:?}");
        assert!(drafted.windows(2).all(|pair| pair[1] == pair[0].plus(1)), "{now}: {drafted:?}");
        for act in &plan.acts {
            match act.deed {
                Deed::Draft(period) => assert_eq!(Month::of(act.at), period.plus(1), "{now}"),
                Deed::Pay(period) => {
                    assert!(period < running.plus(-1) && Month::of(act.at) == period.plus(1), "{now}");
                    assert!(first(&plan, |deed| *deed == Deed::Draft(period)).is_some_and(|at| at < act.at), "{now}");
                }
                _ => {}
            }
        }
        assert_eq!(plan.acts.iter().filter(|act| matches!(act.deed, Deed::Pay(_))).count(), drafted.len() - 1, "{now}");
    }
}

#[test]
fn one_agency_alone_brings_more_than_ten_clients_in_a_month() {
    for now in nows() {
        let mut signed_up: BTreeMap<(&str, Month), usize> = BTreeMap::new();
        for act in plan(now).acts {
            if let Deed::SignUp(number) = act.deed {
                *signed_up.entry((CLIENTS[number].agency, Month::of(act.at))).or_default() += 1;
            }
        }
        let bursts: Vec<_> = signed_up.iter().filter(|(_, count)| **count > 10).map(|(month, _)| *month).collect();
        assert_eq!(bursts, [("pixel-forge", Month::of(now).plus(-1))], "{now}");
    }
}

#[test]
fn the_tables_agree_with_each_other() {
    let mut keys: Vec<_> = AGENCIES.iter().map(|agency| agency.key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), AGENCIES.len(), "two agencies have one key");
    let mut emails: Vec<_> = CLIENTS.iter().map(|client| client.email).collect();
    emails.sort_unstable();
    emails.dedup();
    assert_eq!(emails.len(), CLIENTS.len(), "two clients have one address");
    for client in CLIENTS {
        let agency = agency_number(client.agency).unwrap_or_else(|| panic!("{} has no agency", client.email));
        if let Way::Campaign(campaign) = client.way {
            assert!(campaign < AGENCIES[agency].campaigns.len(), "{} came through no campaign", client.email);
        }
        if let Way::AfterTouchOf(other) = client.way {
            assert!(agency_number(other).is_some(), "{}", client.email);
        }
    }
}
