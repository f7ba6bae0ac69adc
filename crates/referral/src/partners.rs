//! What AIKit's partner team decides about an agency: suspend, reinstate, adjust, its promotion codes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use commission::{Fact, FactBody, format_minor};
use serde::Deserialize;
use serde_json::json;
use wire::{Account, Adjust, Because, PartnerStanding, PromotionCode};

use crate::audit::{self, Entry};
use crate::auth::Reviewer;
use crate::db::{DbError, Rows, guard};
use crate::error::{ApiError, Body, Segment, conflict, invalid, read_reason};
use crate::partner_page::{known, standing};
use crate::tokens::read_uuid;
use crate::{App, inbox, journal, promotion, sql};

/// The largest adjustment, in minor units: more is a slip of the finger, or is made in two.
const LARGEST_MINOR: i64 = 100_000_000;

/// How often something was decided, and when last: the next decision has the next number and a later time, so that the
/// journal's order is the order of the decisions.
pub(crate) struct Decisions {
    pub n: i64,
    last: Option<DateTime<Utc>>,
}

impl Decisions {
    /// Out of the decisions' facts, as rows of `at`.
    pub(crate) fn of(rows: &Rows) -> Result<Decisions, ApiError> {
        #[derive(Deserialize)]
        struct Row {
            at: DateTime<Utc>,
        }
        let rows: Vec<Row> = rows.all()?;
        let n = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        Ok(Decisions { n, last: rows.iter().map(|r| r.at).max() })
    }

    /// How often a referral was moved.
    pub(crate) async fn moves_of(app: &App, referral: &str) -> Result<Decisions, ApiError> {
        let moves =
            sql!("SELECT body->>'at' AS at FROM fact WHERE referral = ?1 AND id LIKE 'referral_moved:%'", referral);
        Decisions::of(&app.db.query(moves).await?)
    }

    /// Time of the decision that is made now.
    pub(crate) fn next_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.last.map_or(now, |last| now.max(last + TimeDelta::milliseconds(1)))
    }
}

/// `POST /v1/partners/{partner}/suspend`: from now on it earns and is not paid.
pub(crate) async fn suspend(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(code): Segment,
    Body(given): Body<Because>,
) -> Result<Json<PartnerStanding>, ApiError> {
    set_suspended(&app, account, &code, true, &given.reason).await
}

/// `POST /v1/partners/{partner}/reinstate`: it is paid again.
pub(crate) async fn reinstate(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(code): Segment,
    Body(given): Body<Because>,
) -> Result<Json<PartnerStanding>, ApiError> {
    set_suspended(&app, account, &code, false, &given.reason).await
}

async fn set_suspended(
    app: &App,
    account: Account,
    code: &str,
    suspended: bool,
    reason: &str,
) -> Result<Json<PartnerStanding>, ApiError> {
    let (row, reason) = (known(app, code).await?, read_reason(reason)?);
    if (row.suspended != 0) == suspended {
        let state = if suspended { "suspended already" } else { "not suspended" };
        return Err(conflict(format!("{} is {state}.", row.name)));
    }
    let decisions = sql!(
        "SELECT body->>'at' AS at FROM fact
         WHERE partner = ?1 AND (id LIKE 'partner_suspended:%' OR id LIKE 'partner_reinstated:%')",
        code,
    );
    let decisions = Decisions::of(&app.db.query(decisions).await?)?;
    let partner = code.to_owned();
    let (name, action, body) = if suspended {
        ("partner_suspended", "partner.suspended", FactBody::PartnerSuspended { partner })
    } else {
        ("partner_reinstated", "partner.reinstated", FactBody::PartnerReinstated { partner })
    };
    let fact = Fact { id: format!("{name}:{code}:{}", decisions.n + 1), at: decisions.next_at(app.host.now()), body };
    let batch = vec![
        guard(
            "EXISTS (SELECT 1 FROM partner WHERE code = ?1 AND suspended = ?2)",
            vec![code.into(), (!suspended).into()],
        ),
        sql!("UPDATE partner SET suspended = ?2 WHERE code = ?1", code, suspended),
        journal::insert_because(&fact, Some(reason))?,
    ];
    let entry = Entry::new(&account.into(), action, format!("partner:{code}"))
        .before(json!({"suspended": !suspended}))
        .after(json!({"suspended": suspended}))
        .reason(reason);
    audit::write(app, batch, &[entry]).await?;
    standing(app, code).await.map(Json)
}

/// An amount that can be added or taken in one go.
pub(crate) fn read_adjustment(amount_minor: i64) -> Result<(), ApiError> {
    if amount_minor == 0 || amount_minor.unsigned_abs() > LARGEST_MINOR.unsigned_abs() {
        let most = format_minor(LARGEST_MINOR);
        return Err(invalid(format!("An adjustment adds or takes something, and at most {most}.")));
    }
    Ok(())
}

/// `POST /v1/partners/{partner}/adjustments`: the id is the caller's, so the same call twice is one adjustment.
pub(crate) async fn adjust(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(code): Segment,
    Body(given): Body<Adjust>,
) -> Result<(StatusCode, Json<PartnerStanding>), ApiError> {
    known(&app, &code).await?;
    let id = read_uuid(&given.id).ok_or_else(|| invalid("The adjustment's id must be a UUID."))?;
    let reason = read_reason(&given.reason)?;
    read_adjustment(given.amount_minor)?;
    let body =
        FactBody::AdjustmentMade { partner: code.clone(), amount_minor: given.amount_minor, reason: reason.to_owned() };
    let fact = Fact { id: format!("adjustment_made:{id}"), at: app.host.now(), body };
    if let Some(before) = journal::find(&app, &fact.id).await? {
        return if before.body == fact.body {
            Ok((StatusCode::OK, Json(standing(&app, &code).await?)))
        } else {
            Err(conflict("This id belongs to another adjustment. Make a new one and try again."))
        };
    }
    let batch =
        vec![guard("NOT EXISTS (SELECT 1 FROM fact WHERE id = ?1)", vec![(&fact.id).into()]), journal::insert(&fact)?];
    let entry = Entry::new(&account.into(), "partner.adjusted", format!("partner:{code}"))
        .after(json!({"adjustment": id, "amount_minor": given.amount_minor}))
        .reason(reason);
    audit::write(&app, batch, &[entry]).await?;
    Ok((StatusCode::CREATED, Json(standing(&app, &code).await?)))
}

/// `POST /v1/partners/{partner}/promotion-codes`: whoever redeems it has named this partner.
pub(crate) async fn add_promotion_code(
    Reviewer(account): Reviewer,
    State(app): State<App>,
    Segment(partner): Segment,
    Body(given): Body<PromotionCode>,
) -> Result<(StatusCode, Json<PartnerStanding>), ApiError> {
    known(&app, &partner).await?;
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let (id, code) = (given.id.trim(), given.code.trim());
    if !id.starts_with("promo_") || !plain(id) || id.len() > 100 {
        return Err(invalid("The id is Stripe's id of the promotion code, promo_…."));
    }
    if code.is_empty() || code.len() > 100 || !plain(code) {
        return Err(invalid("The code is what the client types: 1 to 100 letters, digits and hyphens."));
    }
    let batch = vec![
        guard("NOT EXISTS (SELECT 1 FROM promotion_code WHERE id = ?1)", vec![id.into()]),
        promotion::keep(id, code, &partner, app.host.now()),
    ];
    let entry = Entry::new(&account.into(), "partner.promotion_code_added", format!("partner:{partner}"))
        .after(json!({"promotion_code": id, "code": code}));
    match audit::write(&app, batch, &[entry]).await {
        Ok(_) => {}
        // Said again, as after an answer that was lost: what follows from it may not have been done.
        Err(DbError::Constraint(_)) => {
            let known = promotion::kept(&app, id).await?;
            if !known.is_some_and(|known| known.partner == partner && known.code == code) {
                return Err(conflict(format!(
                    "The promotion code {id} is known already, of another partner or as another word."
                )));
            }
        }
        Err(other) => return Err(other.into()),
    }
    let (batch, names) = promotion::reconsider_all(&app, id).await?;
    inbox::commit(&app, batch, &names).await?;
    Ok((StatusCode::CREATED, Json(standing(&app, &partner).await?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_later_than_the_one_before_it() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        for (last, expected) in [
            (None, now),
            (Some(now - TimeDelta::days(1)), now),
            (Some(now), now + TimeDelta::milliseconds(1)),
            (Some(now + TimeDelta::seconds(2)), now + TimeDelta::milliseconds(2_001)),
        ] {
            assert_eq!(Decisions { n: 1, last }.next_at(now), expected);
        }
    }
}
