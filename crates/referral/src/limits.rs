//! How often something may be done, counted in the database, so that it holds for every process and every isolate.
//!
//! One row per limit and caller holds the instant at which its allowance is full again (GCRA): taking one unit and
//! refusing are the same guarded statement, and what remains to wait is exact.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;

use crate::db::Stmt;
use crate::error::{ApiError, too_many};
use crate::ports::Caller;
use crate::tokens::{self, ms};
use crate::{App, sql};

/// An allowance: `burst` at once, and one more every `every_ms`.
pub(crate) struct Limit {
    /// Name of the row.
    name: &'static str,
    burst: i64,
    every_ms: i64,
    /// What was done too often, as the sentence begins.
    what: &'static str,
}

const fn limit(name: &'static str, burst: i64, every_ms: i64, what: &'static str) -> Limit {
    Limit { name, burst, every_ms, what }
}

const MINUTE_MS: i64 = 60_000;

/// Sign-in codes to one address.
pub(crate) const CODES_BY_ADDRESS: Limit =
    limit("codes_by_address", 6, 3 * MINUTE_MS, "Too many codes were asked for at this address");
/// Sign-in codes from one network address.
pub(crate) const CODES_BY_CALLER: Limit =
    limit("codes_by_caller", 30, MINUTE_MS / 2, "Too many codes were asked for from this network");
/// Tries of codes, sign-ins begun and finished, from one network address.
pub(crate) const TRIES_BY_CALLER: Limit =
    limit("tries_by_caller", 60, MINUTE_MS / 6, "Too many sign-ins were tried from this network");
/// Agencies that join from one network address.
pub(crate) const JOINS_BY_CALLER: Limit =
    limit("joins_by_caller", 30, MINUTE_MS / 2, "Too many agencies joined from this network");
/// Sign-ups reported with one key.
pub(crate) const SIGNUPS_BY_KEY: Limit =
    limit("signups_by_key", 6_000, 10, "Too many sign-ups were reported with this key");
/// Links of one agency.
pub(crate) const LINKS_BY_PARTNER: Limit =
    limit("links_by_partner", 120, MINUTE_MS / 6, "Too many links were made by this agency");
/// Forecasts of one agency: each takes the engine some time.
pub(crate) const FORECASTS_BY_PARTNER: Limit =
    limit("forecasts_by_partner", 60, MINUTE_MS / 60, "Too many forecasts were asked for by this agency");

/// Looks for an issuer's new keys because one of that name was not among the known.
pub(crate) const LOOKS_FOR_KEYS: Limit = limit("looks_for_keys", 2, MINUTE_MS, "New keys were looked for too often");

/// Who asks, as limits count it: an IPv4 address, or the /64 of an IPv6 address, which is what one household has.
pub(crate) struct Network(String);

impl Network {
    fn of(address: IpAddr) -> Network {
        Network(match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
        })
    }

    /// Name in a limit.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromRequestParts<App> for Network {
    type Rejection = Infallible;

    /// A host that does not say who calls has all its callers share one allowance.
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let unknown = || Network("unknown".into());
        Ok(parts.extensions.get::<Caller>().map_or_else(unknown, |Caller(address)| Network::of(*address)))
    }
}

impl Limit {
    fn take(&self, whose: &str, now_ms: i64) -> Stmt {
        sql!(
            "INSERT INTO allowance (name, whose, full_ms) VALUES (?1, ?2, ?3 + ?4)
             ON CONFLICT (name, whose) DO UPDATE SET full_ms = max(full_ms, ?3) + ?4
             WHERE max(full_ms, ?3) + ?4 <= ?3 + ?4 * ?5",
            self.name,
            whose,
            now_ms,
            self.every_ms,
            self.burst,
        )
    }

    /// Seconds until one more is allowed, at least one.
    fn wait_s(&self, full_ms: i64, now_ms: i64) -> u32 {
        let wait_ms = full_ms + self.every_ms - self.burst * self.every_ms - now_ms;
        u32::try_from(wait_ms.max(1).div_euclid(1000) + 1).unwrap_or(u32::MAX)
    }

    /// Takes one unit of `whose` allowance. Who it is is kept as a hash, and for no longer than it counts.
    ///
    /// # Errors
    /// `too_many`, with the seconds to wait.
    pub(crate) async fn check(&self, app: &App, whose: &str) -> Result<(), ApiError> {
        #[derive(Deserialize)]
        struct Row {
            full_ms: i64,
        }
        let (whose, now_ms) = (tokens::hash(&format!("{}\n{whose}", self.name)), ms(app.host.now()));
        if app.db.query(self.take(&whose, now_ms)).await?.changes > 0 {
            return Ok(());
        }
        let row: Option<Row> = app
            .db
            .query(sql!("SELECT full_ms FROM allowance WHERE name = ?1 AND whose = ?2", self.name, &whose))
            .await?
            .first()?;
        let seconds = row.map_or(1, |r| self.wait_s(r.full_ms, now_ms));
        let wait =
            if seconds < 90 { format!("{seconds} seconds") } else { format!("{} minutes", seconds.div_ceil(60)) };
        Err(too_many(format!("{}. Try again in {wait}.", self.what), seconds))
    }
}

/// Drops the rows whose allowance is full again: they say nothing.
pub(crate) fn forget_full(now_ms: i64) -> Stmt {
    sql!("DELETE FROM allowance WHERE full_ms <= ?1", now_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_counts_once() {
        let of = |text: &str| Network::of(text.parse().unwrap()).0;
        assert_eq!(of("2001:db8:1:2:aaaa::1"), of("2001:db8:1:2:bbbb::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn the_wait_ends_when_one_more_fits() {
        let limit = limit("x", 3, 10_000, "x");
        // Full in 30 s with three taken: one is free again in 10 s.
        assert_eq!(limit.wait_s(30_000, 0), 11);
        assert_eq!(limit.wait_s(30_000, 9_999), 1);
    }
}
