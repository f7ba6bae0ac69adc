//! The only place of the desktop app that asks the system for the time.

use chrono::{DateTime, Utc};

/// Now, by the clock of this computer. It names files and stands in for an answer's time where the API gave none; it
/// never decides what is owed or when.
#[expect(clippy::disallowed_methods, reason = "the host's clock file")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
