//! To whom a sign-up is credited: the latest touch within thirty days, whichever way it came. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// From the touch to the sign-up.
pub(crate) const WINDOW: TimeDelta = TimeDelta::days(30);

/// How a touch came to be known. Of two touches at one instant the later kind in this list decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The cookie or the `ref` parameter, as AIKit's backend says it.
    Ref,
    /// Our own record of a click.
    Click,
    /// The client redeemed a promotion code of the agency at Stripe.
    PromotionCode,
    /// The client named the agency; as late as the sign-up itself.
    PartnerCode,
    /// A person at AIKit said so, with a reason.
    Staff,
}

impl Source {
    /// The source of that name.
    pub(crate) fn named(name: &str) -> Option<Source> {
        use Source::{Click, PartnerCode, PromotionCode, Ref, Staff};
        [Ref, Click, PromotionCode, PartnerCode, Staff].into_iter().find(|source| source.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Source::Ref => "ref",
            Source::Click => "click",
            Source::PromotionCode => "promotion_code",
            Source::PartnerCode => "partner_code",
            Source::Staff => "staff",
        }
    }
}

/// What decided a credit; kept as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The client named the agency.
    PartnerCode,
    /// The client redeemed its promotion code.
    PromotionCode,
    /// Our own record of the click.
    Click,
    /// The time of the click, as AIKit's backend says it.
    ClickedAt,
    /// The cookie's own age is trusted: it lives for thirty days.
    Cookie,
    /// A person at AIKit.
    Staff,
}

impl Rule {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rule::PartnerCode => "partner_code",
            Rule::PromotionCode => "promotion_code",
            Rule::Click => "click",
            Rule::ClickedAt => "clicked_at",
            Rule::Cookie => "cookie",
            Rule::Staff => "staff",
        }
    }
}

/// One thing that speaks for a partner, codes already read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    /// When; absent where only the cookie's own age speaks for it.
    pub at: Option<DateTime<Utc>>,
    pub source: Source,
    pub partner: String,
    /// Our record of it.
    pub click: Option<String>,
    /// The code or the reason as it was written.
    pub given: Option<String>,
    /// A person's. What programs fetch is evidence and decides nothing.
    pub counts: bool,
}

impl Touch {
    /// Whether it is near enough to the sign-up. A promotion code is redeemed at the checkout, which may follow it.
    fn is_within(&self, at: DateTime<Utc>, signed_up_at: DateTime<Utc>) -> bool {
        let age = signed_up_at - at;
        match self.source {
            Source::PromotionCode => age.abs() <= WINDOW,
            _ => age >= TimeDelta::zero() && age <= WINDOW,
        }
    }

    fn rule(&self) -> Rule {
        match (self.source, self.at) {
            (Source::Ref, None) => Rule::Cookie,
            (Source::Ref, Some(_)) => Rule::ClickedAt,
            (Source::Click, _) => Rule::Click,
            (Source::PromotionCode, _) => Rule::PromotionCode,
            (Source::PartnerCode, _) => Rule::PartnerCode,
            (Source::Staff, _) => Rule::Staff,
        }
    }
}

/// Which of the touches decides, and by which rule; or why nobody is credited. The order of the touches is nothing.
pub(crate) fn decide(touches: &[Touch], signed_up_at: DateTime<Utc>) -> Result<(usize, Rule), String> {
    let counting = || touches.iter().enumerate().filter(|(_, t)| t.counts);
    // What has a time is known better than what has none.
    let timed = counting()
        .filter(|(_, t)| t.at.is_some_and(|at| t.is_within(at, signed_up_at)))
        .max_by_key(|(_, t)| (t.at, t.source, &t.partner, &t.click));
    // A cookie whose click is known is as old as that click.
    let is_past = |partner: &str| {
        let past = |t: &Touch| t.at.is_some_and(|at| !t.is_within(at, signed_up_at));
        touches.iter().any(|t| t.partner == partner && t.source != Source::PromotionCode && past(t))
    };
    let untimed = || {
        counting().filter(|(_, t)| t.at.is_none() && !is_past(&t.partner)).max_by_key(|(_, t)| (t.source, &t.partner))
    };
    if let Some((n, touch)) = timed.or_else(untimed) {
        return Ok((n, touch.rule()));
    }
    Err(match (touches.is_empty(), counting().filter_map(|(_, t)| t.at).max()) {
        (true, _) => "it names no partner",
        (false, Some(at)) if at > signed_up_at => "the click was after the sign-up",
        (false, Some(_)) => "the click was more than 30 days before",
        (false, None) => "the click was a program's, not a person's",
    }
    .into())
}

/// The same once it is known when the client first paid: a promotion code that was redeemed later takes it from nobody.
/// Where nobody else has a claim, the first such code decides.
pub(crate) fn decide_again(
    touches: &[Touch],
    signed_up_at: DateTime<Utc>,
    first_paid: Option<DateTime<Utc>>,
) -> Option<(usize, Rule)> {
    let is_late = |t: &Touch| t.source == Source::PromotionCode && first_paid.is_some_and(|paid| t.at > Some(paid));
    let mut in_time = touches.to_vec();
    in_time.iter_mut().for_each(|t| t.counts &= !is_late(t));
    let first_late = || {
        let near = |t: &Touch| t.counts && is_late(t) && t.at.is_some_and(|at| t.is_within(at, signed_up_at));
        let late = touches.iter().enumerate().filter(|(_, t)| near(t));
        late.min_by_key(|(_, t)| (t.at, &t.partner)).map(|(n, t)| (n, t.rule()))
    };
    decide(&in_time, signed_up_at).ok().or_else(first_late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(n: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(1000 + n)
    }

    fn touch(source: Source, partner: &str, at: Option<i64>) -> Touch {
        Touch { at: at.map(day), source, partner: partner.into(), click: None, given: None, counts: true }
    }

    /// touches -> who and why, for a sign-up on day 0.
    #[test]
    fn the_latest_touch_within_thirty_days_is_credited() {
        use Source::{Click, PartnerCode, PromotionCode, Ref};
        let bot = |at| Touch { counts: false, ..touch(Click, "BOT", Some(at)) };
        let (too_old, after) = ("the click was more than 30 days before", "the click was after the sign-up");
        let click = |at| touch(Click, "CLICK", Some(at));
        let cookie = || touch(Ref, "COOKIE", None);
        let table = [
            (vec![], Err("it names no partner")),
            (vec![touch(PartnerCode, "TYPED", Some(0)), click(-1)], Ok(("TYPED", Rule::PartnerCode))),
            (vec![click(-1), cookie()], Ok(("CLICK", Rule::Click))),
            (vec![click(-30)], Ok(("CLICK", Rule::Click))),
            (vec![click(-31)], Err(too_old)),
            (vec![click(-31), touch(Ref, "CLICK", None)], Err(too_old)),
            // Another partner's cookie is another touch, and speaks for its own age.
            (vec![click(-31), cookie()], Ok(("COOKIE", Rule::Cookie))),
            (vec![click(1)], Err(after)),
            (vec![click(-9), touch(Ref, "PARAM", Some(-2))], Ok(("PARAM", Rule::ClickedAt))),
            (vec![click(-2), touch(Ref, "PARAM", Some(-9))], Ok(("CLICK", Rule::Click))),
            (vec![touch(Ref, "PARAM", Some(-40))], Err(too_old)),
            (vec![cookie()], Ok(("COOKIE", Rule::Cookie))),
            (vec![bot(-1)], Err("the click was a program's, not a person's")),
            (vec![bot(-1), click(-20)], Ok(("CLICK", Rule::Click))),
            (vec![click(-1), touch(PromotionCode, "COUPON", Some(2))], Ok(("COUPON", Rule::PromotionCode))),
            (vec![click(-1), touch(PromotionCode, "COUPON", Some(-2))], Ok(("CLICK", Rule::Click))),
            (vec![touch(PromotionCode, "COUPON", Some(31))], Err(after)),
            (
                vec![touch(PromotionCode, "COUPON", Some(0)), touch(PartnerCode, "TYPED", Some(0))],
                Ok(("TYPED", Rule::PartnerCode)),
            ),
        ];
        for (touches, expected) in table {
            let got = decide(&touches, day(0));
            let got = got.as_ref().map(|(n, rule)| (touches[*n].partner.as_str(), *rule)).map_err(String::as_str);
            assert_eq!(got, expected, "{touches:?}");
        }
    }

    /// touches and the day of the first payment -> who, for a sign-up on day 0.
    #[test]
    fn a_code_that_was_redeemed_after_the_first_payment_takes_a_client_from_nobody() {
        let click = || touch(Source::Click, "CLICK", Some(-1));
        let code = |partner, at| touch(Source::PromotionCode, partner, Some(at));
        let cookie = || touch(Source::Ref, "COOKIE", None);
        for (touches, first_paid, expected) in [
            (vec![click(), code("CODE", 2)], None, Some("CODE")),
            (vec![click(), code("CODE", 2)], Some(2), Some("CODE")),
            (vec![click(), code("CODE", 2)], Some(1), Some("CLICK")),
            (vec![click(), code("CODE", 2), code("LATE", 4)], Some(3), Some("CODE")),
            (vec![cookie(), code("LATE", 4)], Some(3), Some("COOKIE")),
            (vec![cookie(), code("COOKIE", 50)], Some(3), Some("COOKIE")),
            (vec![code("LATE", 4), code("LATER", 5)], None, Some("LATER")),
            (vec![code("LATE", 4), code("LATER", 5)], Some(3), Some("LATE")),
            (vec![code("CODE", 2), code("LATE", 4)], Some(3), Some("CODE")),
            (vec![code("FAR", 31)], Some(3), None),
            (vec![], Some(3), None),
        ] {
            let got = decide_again(&touches, day(0), first_paid.map(day));
            assert_eq!(got.map(|(n, _)| touches[n].partner.as_str()), expected, "{touches:?} {first_paid:?}");
        }
    }

    fn any_touch() -> impl Strategy<Value = Touch> {
        let source =
            prop_oneof![Just(Source::Ref), Just(Source::Click), Just(Source::PromotionCode), Just(Source::PartnerCode)];
        (source, "[AB]", -40..10_i64, any::<bool>(), 0..4_u8).prop_map(|(source, partner, at, counts, timed)| Touch {
            counts,
            at: (timed > 0 || source != Source::Ref).then(|| day(if source == Source::PartnerCode { 0 } else { at })),
            ..touch(source, &partner, None)
        })
    }

    proptest! {
        #[test]
        fn the_latest_counting_touch_decides_whatever_the_order_of_arrival(
            touches in proptest::collection::vec(any_touch(), 0..12),
            turns in proptest::collection::vec(any::<proptest::sample::Index>(), 12),
        ) {
            let mut shuffled = touches.clone();
            for (n, turn) in turns.iter().enumerate().take(touches.len()) {
                shuffled.swap(n, turn.index(touches.len()));
            }
            let got = |list: &[Touch]| decide(list, day(0)).map(|(n, rule)| (list[n].clone(), rule));
            prop_assert_eq!(got(&touches), got(&shuffled));

            let near = |t: &&Touch| t.counts && t.at.is_some_and(|at| {
                let days = (day(0) - at).num_days();
                days <= 30 && (days >= 0 || (t.source == Source::PromotionCode && days >= -30))
            });
            if let Some(latest) = touches.iter().filter(near).filter_map(|t| t.at).max() {
                let (winner, _) = got(&touches).unwrap();
                prop_assert_eq!(winner.at, Some(latest));
                prop_assert!(winner.counts);
            }
        }
    }
}
