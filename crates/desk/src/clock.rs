//! The only place of the desktop app that asks the system for the time and for randomness.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

/// Now, by the clock of this computer. It names files and stands in for an answer's time where the API gave none; it
/// never decides what is owed or when.
#[expect(clippy::disallowed_methods, reason = "the host's clock file")]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// 256 unpredictable bits in 43 characters, as PKCE wants a verifier (RFC 7636 §4.1).
#[expect(clippy::disallowed_methods, reason = "the host's clock file")]
pub(crate) fn secret() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What a verifier is announced as (S256).
pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}
