//! When the next round is.

use std::sync::Arc;
use std::time::Duration;

use super::keeper::Keeper;
use super::pull::{Remote, Trouble};
use crate::clock;

/// Between two rounds while all goes well.
const LIVE: Duration = Duration::from_secs(60);
/// The longest first wait after a failure; it doubles from one to the next.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// How long to wait after so many failures in a row (at least one), with `random` anything: a random part of a span that doubles
/// each time, so that many apps do not come back at once; and not before the API said.
pub(crate) fn wait_after(failures: u32, random: u64, asked: Option<Duration>) -> Duration {
    let span = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    let most = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let part = Duration::from_millis(random % (most + 1));
    asked.map_or(part, |asked| asked.saturating_add(part))
}

/// Does one round after the other until the account leaves: at once, when somebody asks, and each minute.
pub(crate) async fn keep_fresh<R: Remote>(
    keeper: Arc<Keeper>,
    remote: R,
    asked_to_wait: impl Fn() -> Option<Duration>,
) {
    let mut failures: u32 = 0;
    loop {
        let wait = match keeper.round(&remote).await {
            Ok(()) => {
                failures = 0;
                LIVE
            }
            Err(Trouble::Closed) => return,
            // The person stops it, and starts it again.
            Err(Trouble::Cancelled) => LONGEST_WAIT,
            Err(_) => {
                failures = failures.saturating_add(1);
                wait_after(failures, clock::random(), asked_to_wait())
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = keeper.asked() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_wait_grows_to_five_minutes_and_is_never_before_what_the_api_asked(
            failures in 1_u32..200, random in any::<u64>(), asked in proptest::option::of(0_u64..1_000),
        ) {
            let asked = asked.map(Duration::from_secs);
            let wait = wait_after(failures, random, asked);
            let span = Duration::from_secs(1 << (failures.min(10) - 1)).min(LONGEST_WAIT);
            prop_assert!(wait >= asked.unwrap_or_default());
            prop_assert!(wait <= asked.unwrap_or_default() + span, "{wait:?} of {span:?}");
        }
    }

    #[test]
    fn every_part_of_the_span_is_drawn() {
        let drawn: Vec<u128> = (0..1_000_u64).map(|n| wait_after(5, n * 7_919, None).as_millis()).collect();
        let (least, most) = (drawn.iter().min().copied(), drawn.iter().max().copied());
        assert!(least < Some(500) && most > Some(15_500), "{least:?} to {most:?} of 16 s");
    }
}
