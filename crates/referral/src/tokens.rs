//! Codes, tokens and ids: how they are made from randomness, and how codes are read back.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ports::Host;

/// Crockford's base 32: no I, L, O or U, so that nothing looks like something else.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters after `PARTNER_`.
const CODE_LENGTH: usize = 8;
const CODE_PREFIX: &str = "PARTNER";

fn random<const N: usize>(host: &dyn Host) -> [u8; N] {
    let mut bytes = [0; N];
    host.random(&mut bytes);
    bytes
}

/// `n` characters of the alphabet; 256 is a multiple of 32, so every character is equally likely.
fn letters(bytes: &[u8]) -> String {
    bytes.iter().filter_map(|b| ALPHABET.get(usize::from(b % 32))).map(|c| char::from(*c)).collect()
}

/// A new partner code, `PARTNER_XXXXXXXX`.
pub(crate) fn partner_code(host: &dyn Host) -> String {
    format!("{CODE_PREFIX}_{}", letters(&random::<CODE_LENGTH>(host)))
}

/// Reads a partner code as people pass it on: any case, look-alikes, missing or stray punctuation, no prefix.
pub(crate) fn read_partner_code(given: &str) -> Option<String> {
    if given.len() > 200 {
        return None;
    }
    let plain: String = given.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    let suffix = match plain.strip_prefix(CODE_PREFIX) {
        Some(rest) if !rest.is_empty() => rest,
        _ => &plain,
    };
    let code: String = suffix
        .chars()
        .map(|c| match c {
            'O' => '0',
            'I' | 'L' => '1',
            'U' => 'V',
            other => other,
        })
        .collect();
    (code.len() == CODE_LENGTH).then(|| format!("{CODE_PREFIX}_{code}"))
}

/// A secret with a prefix that scanners know, 26 random characters, and a checksum of 4.
pub(crate) fn secret(host: &dyn Host, prefix: &str) -> String {
    let body = format!("{prefix}_{}", letters(&random::<26>(host)));
    let sum = checksum(&body);
    body + &sum
}

/// What a successor is made with: random, and nothing without the token that it is used on.
pub(crate) fn salt(host: &dyn Host) -> String {
    letters(&random::<26>(host))
}

/// The refresh token that takes the place of `token`: the same for the same salt.
pub(crate) fn successor(token: &str, salt: &str) -> String {
    let body = format!("aik_ref_{}", letters(&Sha256::digest(format!("{token}\n{salt}"))[..26]));
    let sum = checksum(&body);
    body + &sum
}

fn checksum(body: &str) -> String {
    letters(&Sha256::digest(body)[..4])
}

/// Whether the checksum of a secret is right: a mistyped one is told from a revoked one without the database.
pub(crate) fn is_well_formed(secret: &str) -> bool {
    secret.is_ascii()
        && (31..=64).contains(&secret.len())
        && secret.split_at_checked(secret.len() - 4).is_some_and(|(body, sum)| checksum(body) == sum)
}

/// What is stored of a secret.
pub(crate) fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// Six digits, and what is stored of them.
pub(crate) fn signin_code(host: &dyn Host, email: &str) -> (String, String) {
    let number = u64::from_be_bytes(random::<8>(host)) % 1_000_000;
    let code = format!("{number:06}");
    let stored = hash_signin_code(email, &code);
    (code, stored)
}

/// What is stored of a sign-in code: bound to its address.
pub(crate) fn hash_signin_code(email: &str, code: &str) -> String {
    hash(&format!("{email}\n{code}"))
}

/// Compares without telling by the time it takes.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// An id with a readable prefix, `r_8K2…`.
pub(crate) fn id(host: &dyn Host, prefix: &str) -> String {
    format!("{prefix}_{}", letters(&random::<16>(host)))
}

/// A UUID that begins with the time (version 7, RFC 9562 §5.7): rows that come together lie together. 74 bits are random.
pub(crate) fn uuid(host: &dyn Host) -> String {
    let mut b = random::<16>(host);
    b[..6].copy_from_slice(&ms(host.now()).to_be_bytes()[2..]);
    b[6] = (b[6] & 0x0f) | 0x70;
    b[8] = (b[8] & 0x3f) | 0x80;
    let h = hex::encode(b);
    format!("{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
}

/// A UUID in its canonical form, or nothing.
pub(crate) fn read_uuid(given: &str) -> Option<String> {
    let lower = given.to_ascii_lowercase();
    let shape = |(n, c): (usize, char)| if matches!(n, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() };
    (lower.len() == 36 && lower.chars().enumerate().all(shape)).then_some(lower)
}

/// Milliseconds, as times are stored.
pub(crate) fn ms(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

/// A stored time.
pub(crate) fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::BoxFut;
    use proptest::prelude::*;

    struct Fixed(DateTime<Utc>);
    impl Host for Fixed {
        fn now(&self) -> DateTime<Utc> {
            self.0
        }
        fn random(&self, into: &mut [u8]) {
            into.iter_mut().enumerate().for_each(|(n, b)| *b = (n as u8).wrapping_mul(37).wrapping_add(11));
        }
        fn later(&self, _: BoxFut<'static, ()>) {}
    }

    proptest! {
        #[test]
        fn a_code_survives_how_people_pass_it_on(bytes in any::<[u8; CODE_LENGTH]>(), noise in "[ .,!_-]{0,3}") {
            let code = format!("PARTNER_{}", letters(&bytes));
            let mangled = code.to_lowercase().replace('0', "o").replace('1', "l").replace('_', "-");
            for given in [code.clone(), mangled, format!("{noise}{code}{noise}"), code.replace("PARTNER_", "")] {
                prop_assert_eq!(read_partner_code(&given), Some(code.clone()), "{}", given);
            }
        }

        #[test]
        fn uuids_are_in_the_order_of_their_time(one in 0..1_i64 << 47, two in 0..1_i64 << 47) {
            let [a, b] = [one, two].map(|ms| uuid(&Fixed(at(ms))));
            prop_assert_eq!(read_uuid(&a), Some(a.clone()));
            prop_assert!(a[14..15] == *"7" && "89ab".contains(&a[19..20]), "{}", a);
            prop_assert_eq!(a.cmp(&b), one.cmp(&two));
        }

        #[test]
        fn reading_never_panics(given in "\\PC{0,300}") {
            let _ = (read_partner_code(&given), read_uuid(&given), is_well_formed(&given));
        }
    }

    #[test]
    fn a_mistyped_secret_is_seen() {
        let secret = secret(&Fixed(at(0)), "aik_srv");
        assert!(is_well_formed(&secret));
        assert!(!is_well_formed(&secret.replace('1', "2")));
    }
}
