//! The program a slice of agencies at a time, so that what is computed of all of them fits the memory and the limits of any
//! host. An agency's statement comes out of the facts that lead to it alone, so slices change no figure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commission::Comparison;
use serde::Deserialize;

use crate::error::ApiError;
use crate::journal::{self, Recorded};
use crate::posting::{self, Base};
use crate::{App, sql};

/// Agencies of a slice, at most.
const AGENCIES: usize = 400;
/// Their referrals, at most, unless one agency alone has more.
const REFERRALS: i64 = 3_000;
/// Agencies whose differences are in memory at once.
pub(crate) const AT_ONCE: usize = 100;

/// Some agencies with everything that their statements are computed from.
pub(crate) struct Slice {
    /// Their codes, in order.
    pub partners: Vec<String>,
    recorded: Recorded,
    /// What was posted of them.
    pub base: Base,
}

/// The agencies that come after a code, with the facts recorded up to `cut` and what was posted before `as_of`. `None` after
/// the last.
pub(crate) async fn after(app: &App, code: &str, as_of: DateTime<Utc>, cut: i64) -> Result<Option<Slice>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        code: String,
        referrals: i64,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT p.code, (SELECT count(*) FROM referral r WHERE r.partner = p.code) AS referrals
             FROM partner p WHERE p.code > ?1 ORDER BY p.code LIMIT ?2",
            code,
            AGENCIES as i64,
        ))
        .await?
        .all()?;
    let mut referrals = 0;
    let fits = rows.iter().take_while(|row| {
        referrals += row.referrals;
        referrals <= REFERRALS
    });
    let count = fits.count().max(1);
    let partners: Vec<String> = rows.into_iter().take(count).map(|row| row.code).collect();
    if partners.is_empty() {
        return Ok(None);
    }
    let codes: Vec<&str> = partners.iter().map(String::as_str).collect();
    let recorded = journal::recorded(app, Some(&codes), Some(cut)).await?;
    let base = posting::base(app, as_of, &codes).await?;
    Ok(Some(Slice { partners, recorded, base }))
}

impl Slice {
    /// What was posted of them beside what is recorded, at `as_of`.
    pub(crate) fn comparison<'a>(&'a self, app: &'a App, as_of: DateTime<Utc>) -> Result<Comparison<'a>, ApiError> {
        self.base.comparison(app, &self.recorded, as_of)
    }

    /// Everything paid to each of them and not reversed, whenever it was paid.
    pub(crate) fn paid_ever(&self) -> BTreeMap<&str, i64> {
        partner::paid_ever(&self.recorded.facts)
    }
}
