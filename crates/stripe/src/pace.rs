//! How fast Stripe is called: a rate for each endpoint, a number of calls in flight, and less of both when it is busy.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Six calls that are refused together are one sign of too high a pace, not six.
const ONE_SIGN: Duration = Duration::from_secs(1);
/// So long without a sign, the pace rises by one step.
const EASE_AFTER: Duration = Duration::from_secs(5);

/// The pace that is not exceeded. Stripe allows 25 calls a second for each endpoint, and in a sandbox 25 for all
/// together: a pace of 12 stays below that too, and a higher one is halved when Stripe says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Calls a second to one endpoint.
    pub per_s: u32,
    /// Calls at the same time.
    pub in_flight: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { per_s: 15, in_flight: 6 }
    }
}

/// An endpoint with a rate of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Endpoint {
    List,
    Create,
}

/// Hands out turns at a pace.
pub(crate) struct Pacer {
    state: Mutex<State>,
    freed: Notify,
}

/// The right to one call, until it is dropped.
pub(crate) struct Turn<'a>(&'a Pacer);

impl Pacer {
    pub(crate) fn new(ceiling: Pace) -> Pacer {
        Pacer { state: Mutex::new(State::new(ceiling, Instant::now())), freed: Notify::new() }
    }

    /// Waits until a call may begin.
    pub(crate) async fn turn(&self, endpoint: Endpoint) -> Turn<'_> {
        loop {
            // Made before the look, so that a turn that ends in between is not missed.
            let freed = self.freed.notified();
            let verdict = self.state().take(endpoint, Instant::now());
            match verdict {
                Verdict::Go => return Turn(self),
                Verdict::At(instant) => sleep_until(instant).await,
                Verdict::Full => freed.await,
            }
        }
    }

    /// Stripe said that it is too much.
    pub(crate) fn busy(&self) {
        self.state().halve(Instant::now());
    }

    /// Stripe answered.
    pub(crate) fn calm(&self) {
        self.state().ease(Instant::now());
        self.freed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
        self.0.freed.notify_waiters();
    }
}

enum Verdict {
    Go,
    At(Instant),
    Full,
}

struct State {
    ceiling: Pace,
    allowed: Pace,
    in_flight: u32,
    next_list: Instant,
    next_create: Instant,
    halved_at: Option<Instant>,
    changed_at: Instant,
}

impl State {
    fn new(ceiling: Pace, now: Instant) -> State {
        let ceiling = Pace { per_s: ceiling.per_s.max(1), in_flight: ceiling.in_flight.max(1) };
        State {
            ceiling,
            allowed: ceiling,
            in_flight: 0,
            next_list: now,
            next_create: now,
            halved_at: None,
            changed_at: now,
        }
    }

    /// Calls are spaced evenly, from when the one before really began: no second holds more than `per_s` of them.
    fn take(&mut self, endpoint: Endpoint, now: Instant) -> Verdict {
        if self.in_flight >= self.allowed.in_flight {
            return Verdict::Full;
        }
        let spacing = Duration::from_millis(1_000_u64.div_ceil(u64::from(self.allowed.per_s)));
        let next = match endpoint {
            Endpoint::List => &mut self.next_list,
            Endpoint::Create => &mut self.next_create,
        };
        if now < *next {
            return Verdict::At(*next);
        }
        *next = now + spacing;
        self.in_flight += 1;
        Verdict::Go
    }

    fn halve(&mut self, now: Instant) {
        if self.halved_at.is_some_and(|at| now - at < ONE_SIGN) {
            return;
        }
        self.allowed = Pace { per_s: (self.allowed.per_s / 2).max(1), in_flight: (self.allowed.in_flight / 2).max(1) };
        (self.halved_at, self.changed_at) = (Some(now), now);
    }

    fn ease(&mut self, now: Instant) {
        if self.allowed == self.ceiling || now - self.changed_at < EASE_AFTER {
            return;
        }
        self.allowed = Pace {
            per_s: (self.allowed.per_s + 1).min(self.ceiling.per_s),
            in_flight: (self.allowed.in_flight + 1).min(self.ceiling.in_flight),
        };
        self.changed_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_s: u32, in_flight: u32) -> Pace {
        Pace { per_s, in_flight }
    }

    #[tokio::test(start_paused = true)]
    async fn halved_once_for_one_sign_and_recovering_slowly() {
        let mut state = State::new(Pace::default(), Instant::now());
        let mut now = Instant::now();
        for _ in 0..6 {
            state.halve(now);
        }
        assert_eq!(state.allowed, pace(7, 3));
        now += ONE_SIGN;
        state.halve(now);
        assert_eq!(state.allowed, pace(3, 1));
        for _ in 0..9 {
            now += ONE_SIGN;
            state.halve(now);
        }
        assert_eq!(state.allowed, pace(1, 1));

        let mut steps = 0;
        while state.allowed != state.ceiling {
            state.ease(now);
            now += Duration::from_secs(1);
            steps += 1;
            assert!(steps < 1_000, "it never recovers");
        }
        assert!((70..=75).contains(&steps), "from 1 to 15 in steps of 5 s, not {steps} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_waits_for_a_free_place() {
        let pacer = Pacer::new(pace(1_000, 1));
        let first = pacer.turn(Endpoint::List).await;
        let (second, ()) = tokio::join!(
            async {
                let begun = Instant::now();
                drop(pacer.turn(Endpoint::Create).await);
                begun.elapsed()
            },
            async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                drop(first);
            }
        );
        assert_eq!(second, Duration::from_secs(3));
    }
}
