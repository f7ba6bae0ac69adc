//! The host's clock: the only place that asks the system for the time.

/// Milliseconds of real time since 1970. It paces retries and a live clock, and never dates an object.
pub(crate) fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the host for the time")]
    chrono::Utc::now().timestamp_millis()
}
