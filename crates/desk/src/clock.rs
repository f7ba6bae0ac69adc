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

/// A number that nobody can foresee; without any randomness of the system, one that is at least not the same each time.
#[expect(clippy::disallowed_methods, reason = "the host's clock file")]
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(Utc::now().timestamp_subsec_nanos()))
}

/// A new UUID of version 7 (RFC 9562 §5.7): `None` where the system has no randomness.
#[expect(clippy::disallowed_methods, reason = "the host's clock file")]
pub(crate) fn new_uuid() -> Option<String> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).ok()?;
    Some(uuid_v7(Utc::now(), bytes))
}

/// The UUID of version 7 of an instant and random bytes.
pub(crate) fn uuid_v7(at: DateTime<Utc>, random: [u8; 10]) -> String {
    let ms = at.timestamp_millis().to_be_bytes();
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&ms[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
