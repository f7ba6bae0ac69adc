//! Time and chance, as far as the sender needs them. Waiting and pacing use tokio's clock, which tests can pause.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

/// What the sender asks of its host.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> DateTime<Utc>;
    /// An arbitrary number, to spread repeated calls.
    fn random(&self) -> u64;
}

/// The clock of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place of the crate that asks the system")]
    fn now(&self) -> DateTime<Utc> {
        std::time::SystemTime::now().into()
    }

    fn random(&self) -> u64 {
        RandomState::new().build_hasher().finish()
    }
}

/// The instant after which a request may no longer be put on its way.
///
/// Two clocks watch it. The monotonic one cannot be set, but on most systems it stands still while the computer sleeps;
/// the time of day goes on. Whichever passes first counts: the error is always on the side of not sending.
#[derive(Clone)]
pub struct Deadline {
    at: Instant,
    at_time_of_day: DateTime<Utc>,
    clock: Arc<dyn Clock>,
}

impl Deadline {
    /// The deadline this long from now.
    pub fn after(wait: Duration, clock: Arc<dyn Clock>) -> Deadline {
        let span = TimeDelta::from_std(wait).unwrap_or(TimeDelta::zero());
        Deadline { at: Instant::now() + wait, at_time_of_day: clock.now() + span, clock }
    }

    /// It is too late to send.
    pub fn has_passed(&self) -> bool {
        Instant::now() >= self.at || self.clock.now() >= self.at_time_of_day
    }
}

impl std::fmt::Debug for Deadline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deadline").field("at_time_of_day", &self.at_time_of_day).finish_non_exhaustive()
    }
}

/// How long to wait before try number `round` (from 1): doubled every time, at most `longest`, and somewhere in the
/// upper half of that, so that callers that failed together do not come back together.
pub(crate) fn backoff(first: Duration, longest: Duration, round: u32, random: u64) -> Duration {
    let full = first.saturating_mul(1_u32.checked_shl(round.saturating_sub(1)).unwrap_or(u32::MAX)).min(longest);
    let half_ms = u64::try_from(full.as_millis() / 2).unwrap_or(u64::MAX);
    full / 2 + Duration::from_millis(random % half_ms.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Set(std::sync::Mutex<DateTime<Utc>>);

    impl Clock for Set {
        fn now(&self) -> DateTime<Utc> {
            *self.0.lock().unwrap()
        }

        fn random(&self) -> u64 {
            0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn either_clock_ends_the_time_to_send() {
        let clock = Arc::new(Set(std::sync::Mutex::new(DateTime::UNIX_EPOCH)));
        let deadline = || Deadline::after(Duration::from_secs(30), clock.clone());

        let slept = deadline();
        *clock.0.lock().unwrap() += TimeDelta::seconds(29);
        assert!(!slept.has_passed());
        *clock.0.lock().unwrap() += TimeDelta::seconds(1);
        assert!(slept.has_passed(), "the computer slept: only the time of day went on");

        let set_back = deadline();
        *clock.0.lock().unwrap() -= TimeDelta::hours(1);
        tokio::time::advance(Duration::from_secs(30)).await;
        assert!(set_back.has_passed(), "the time of day was set back: only the monotonic clock went on");
    }

    #[test]
    fn backoff_doubles_spreads_and_ends() {
        let (first, longest) = (Duration::from_millis(500), Duration::from_secs(30));
        for (round, full_ms) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (40, 30_000), (u32::MAX, 30_000)] {
            for random in [0, 1, 7_919, u64::MAX] {
                let wait = backoff(first, longest, round, random).as_millis();
                assert!((full_ms / 2..=full_ms).contains(&wait), "round {round}: {wait} ms");
            }
        }
    }
}
