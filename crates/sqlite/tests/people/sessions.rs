//! Sessions as their holders see them, and against a model over any history of two holders.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::Role;

use crate::api::{Api, text};

async fn refresh(api: &Api, token: &str) -> Result<Value, (u16, String)> {
    let answer = api.post("/v1/auth/refresh", json!({"refresh_token": token})).send().await;
    if answer.status.is_success() { Ok(answer.ok()) } else { Err(answer.refused()) }
}

async fn is_in(api: &Api, access: &str) -> bool {
    api.get("/v1/auth/sessions").bearer(access).send().await.status.is_success()
}

const ENDED: (u16, &str) = (401, "signed_out");

fn ended(result: Result<Value, (u16, String)>) {
    let (status, code) = result.unwrap_err();
    assert_eq!((status, code.as_str()), ENDED);
}

/// What a step of a history does.
#[derive(Clone, Debug)]
enum Step {
    /// A holder renews with the newest token that it knows; its answer may be lost on the way.
    Renew { thief: bool, lost: bool },
    /// A holder uses an old token once more: counted from its newest.
    Replay { thief: bool, back: usize },
    /// The thief copies what the owner holds.
    Copy,
    /// Time passes.
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<bool>(), prop::bool::weighted(0.3)).prop_map(|(thief, lost)| Step::Renew { thief, lost }),
        2 => (any::<bool>(), 0_usize..4).prop_map(|(thief, back)| Step::Replay { thief, back }),
        1 => Just(Step::Copy),
        3 => prop_oneof![Just(1), Just(30), Just(59), Just(60), Just(61), Just(600), Just(86_400), Just(1_209_600)]
            .prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..40)
}

/// What the rule says of a family, written down without a database.
struct Model {
    /// All tokens, the oldest first.
    family: Vec<String>,
    spent_at: Option<DateTime<Utc>>,
    expires: DateTime<Utc>,
    over: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Says {
    New,
    Same(String),
    No,
}

impl Model {
    fn present(&mut self, token: &str, now: DateTime<Utc>) -> Says {
        if self.over || now >= self.expires {
            return Says::No;
        }
        match self.family.iter().rev().position(|t| t == token) {
            Some(0) => {
                self.spent_at = Some(now);
                self.expires = now + TimeDelta::days(14);
                Says::New
            }
            Some(1) if self.spent_at.is_some_and(|at| now - at <= TimeDelta::seconds(60)) => {
                Says::Same(self.family[self.family.len() - 1].clone())
            }
            _ => {
                self.over = true;
                Says::No
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::cases::cases(96), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_two_holders_goes_as_the_rule_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let api = Api::new();
            api.join("northlight.example").await;
            let session = api.sign_in("owner@northlight.example").await;
            let first = text(&session, "refresh_token");
            let mut access = text(&session, "access_token");
            let mut model = Model {
                family: vec![first.clone()],
                spent_at: None,
                expires: api.now() + TimeDelta::days(14),
                over: false,
            };
            // What the owner and the thief hold, the oldest first.
            let mut held = [vec![first], Vec::new()];
            for step in steps {
                let (who, token, lost) = match step {
                    Step::Wait(seconds) => {
                        api.wait(TimeDelta::seconds(seconds));
                        continue;
                    }
                    Step::Copy => {
                        held[1] = held[0].clone();
                        continue;
                    }
                    Step::Renew { thief, lost } => (usize::from(thief), held[usize::from(thief)].last(), lost),
                    Step::Replay { thief, back } => {
                        (usize::from(thief), held[usize::from(thief)].iter().rev().nth(back), true)
                    }
                };
                let Some(token) = token.cloned() else { continue };
                let says = model.present(&token, api.now());
                let mut fresh = false;
                match (says, refresh(&api, &token).await) {
                    (Says::No, Err((401, _))) => {}
                    (Says::New, Ok(renewed)) => {
                        let next = text(&renewed, "refresh_token");
                        prop_assert!(!model.family.contains(&next));
                        model.family.push(next.clone());
                        access = text(&renewed, "access_token");
                        fresh = true;
                        if !lost { held[who].push(next); }
                    }
                    (Says::Same(known), Ok(renewed)) => {
                        prop_assert_eq!(&known, &text(&renewed, "refresh_token"));
                        access = text(&renewed, "access_token");
                        fresh = true;
                        if !lost { held[who].push(known); }
                    }
                    (says, answered) => prop_assert!(false, "{says:?} but {answered:?}"),
                }
                // Whoever is out is out with everything that was issued.
                let inside = is_in(&api, &access).await;
                prop_assert!(if fresh { inside } else { !inside || !model.over }, "{inside}");
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn two_renewals_at_one_instant_get_one_successor() {
    let api = Api::new();
    api.join("northlight.example").await;
    let token = text(&api.sign_in("owner@northlight.example").await, "refresh_token");
    let both = futures::future::join_all((0..8).map(|_| refresh(&api, &token))).await;
    let next: Vec<String> = both.into_iter().map(|r| text(&r.unwrap(), "refresh_token")).collect();
    assert!(next.iter().all(|t| *t == next[0]) && next[0] != token);
    // Whichever answer came last, it goes on; and the first use of it closes the door behind.
    refresh(&api, &next[3]).await.unwrap();
    ended(refresh(&api, &token).await);
    ended(refresh(&api, &next[0]).await);
}

#[tokio::test]
async fn a_working_day_of_staff_ends_and_a_partner_idles_two_weeks() {
    let api = Api::new();
    api.join("northlight.example").await;
    api.add("finance@aikit.example", Role::Finance).await;
    let mut token = text(&api.sign_in("finance@aikit.example").await, "refresh_token");
    for _ in 0..7 {
        api.wait(TimeDelta::hours(1));
        token = text(&refresh(&api, &token).await.unwrap(), "refresh_token");
    }
    api.wait(TimeDelta::minutes(55));
    let last = refresh(&api, &token).await.unwrap();
    assert_eq!(last["access_expires_in_s"], 300, "an access token does not outlive its session");
    api.wait(TimeDelta::minutes(5));
    ended(refresh(&api, &text(&last, "refresh_token")).await);
    assert!(!is_in(&api, &text(&last, "access_token")).await);

    let mut token = text(&api.sign_in("owner@northlight.example").await, "refresh_token");
    for _ in 0..5 {
        api.wait(TimeDelta::days(13));
        token = text(&refresh(&api, &token).await.unwrap(), "refresh_token");
    }
    api.wait(TimeDelta::days(14));
    ended(refresh(&api, &token).await);
}

#[tokio::test]
async fn people_see_and_end_their_own_sessions_alone() {
    let api = Api::new();
    for domain in ["northlight.example", "harbour.example"] {
        api.join(domain).await;
    }
    let phone = text(&api.sign_in("owner@northlight.example").await, "access_token");
    let desk = text(&api.sign_in("owner@northlight.example").await, "access_token");
    let stranger = text(&api.sign_in("owner@harbour.example").await, "access_token");
    let list = api.get("/v1/auth/sessions").bearer(&desk).send().await.ok();
    let list = list.as_array().unwrap().clone();
    assert_eq!(list.iter().map(|s| s["current"].as_bool().unwrap()).collect::<Vec<_>>(), [true, false]);
    let other = text(&list[1], "session");
    let end = format!("/v1/auth/sessions/{other}/end");
    assert_eq!(api.post(&end, json!({})).bearer(&stranger).send().await.refused().0, 404);
    assert!(is_in(&api, &phone).await);
    assert!(api.post(&end, json!({})).bearer(&desk).send().await.status.is_success());
    assert!(!is_in(&api, &phone).await && is_in(&api, &desk).await);
    assert_eq!(api.post(&end, json!({})).bearer(&desk).send().await.refused().0, 404, "ended once");
}

#[tokio::test]
async fn a_new_sign_in_takes_the_place_of_the_one_that_asked_for_it() {
    let api = Api::new();
    api.add("finance@aikit.example", Role::Finance).await;
    let old = text(&api.sign_in("finance@aikit.example").await, "access_token");
    api.wait(TimeDelta::minutes(6));
    api.post("/v1/auth/codes", json!({"email": "finance@aikit.example"})).send().await.ok();
    let body = json!({"email": "finance@aikit.example", "code": api.code("finance@aikit.example"), "keep": "token"});
    let new = text(&api.post("/v1/auth/sessions", body).bearer(&old).send().await.ok(), "access_token");
    assert!(!is_in(&api, &old).await && is_in(&api, &new).await);
}

#[tokio::test]
async fn signing_out_ends_the_session_of_a_cookie_and_of_a_token() {
    let api = Api::new();
    api.join("northlight.example").await;
    let email = "owner@northlight.example";
    api.post("/v1/auth/codes", json!({"email": email})).send().await.ok();
    let body = json!({"email": email, "code": api.code(email), "keep": "cookie"});
    let answer = api.post("/v1/auth/sessions", body).send().await;
    let (line, value) = answer.cookie("__Host-aikit_refresh").unwrap();
    for part in ["; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(line.contains(part), "{line}");
    }
    let session = answer.ok();
    assert_eq!(session["refresh_token"], Value::Null, "a page never sees it");
    let cookie = format!("other=1; __Host-aikit_refresh={value}");
    let renewed = api.post("/v1/auth/refresh", json!({})).header("cookie", &cookie).send().await;
    let (_, next) = renewed.cookie("__Host-aikit_refresh").unwrap();
    let access = text(&renewed.ok(), "access_token");
    // An access token that ran out does not keep anybody from signing out: the cookie says which session.
    let cookie = format!("__Host-aikit_refresh={next}");
    let gone = api.post("/v1/auth/end", json!({})).header("cookie", &cookie).send().await;
    assert!(gone.status.is_success() && gone.cookie("__Host-aikit_refresh").unwrap().0.contains("Max-Age=0"));
    assert!(!is_in(&api, &access).await);
    ended(refresh(&api, &next).await);
}
