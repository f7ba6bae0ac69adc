//! Partners as AIKit's own people see them, and what they decide about one: suspend, reinstate, adjust, its promotion codes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use commission::{Fact, FactBody, format_minor};
use serde::Deserialize;
use serde_json::json;
use wire::{Account, Adjust, Because, PartnerPage, PartnerRow, PartnerStanding, PromotionCode};

use crate::audit::{self, Entry};
use crate::auth::{Reviewer, Staff};
use crate::db::{DbError, Rows, guard};
use crate::error::{ApiError, Body, Params, Segment, conflict, invalid, not_found, read_reason};
use crate::tokens::{at, ms, read_partner_code, read_uuid};
use crate::{App, inbox, journal, promotion, sql};
use partner::{Standing, Verdict, in_words};

/// Agencies on a page.
const PAGE: usize = 50;
/// The largest adjustment, in minor units: more is a slip of the finger, or is made in two.
const LARGEST_MINOR: i64 = 100_000_000;

#[derive(Deserialize)]
struct Row {
    code: String,
    name: String,
    email: String,
    website: String,
    country: String,
    slug: Option<String>,
    joined_ms: i64,
    suspended: i64,
    has_account: i64,
    transfers: String,
    frozen_until_ms: Option<i64>,
    referrals: u32,
    accepted: i64,
    open: i64,
}

impl Row {
    fn partner(self) -> PartnerRow {
        PartnerRow {
            code: self.code,
            name: self.name,
            email: self.email,
            website: self.website,
            country: self.country,
            slug: self.slug,
            joined_at: at(self.joined_ms),
            suspended: self.suspended != 0,
            has_account: self.has_account != 0,
            transfers_active: self.transfers == "active",
            referrals: self.referrals,
        }
    }
}

/// Which partners.
#[derive(Default, Deserialize, utoipa::IntoParams)]
pub(crate) struct Asked {
    /// Part of a name, an address or a website; or a code, or a slug.
    q: Option<String>,
    suspended: Option<bool>,
    /// Code of the last one of the page before.
    after: Option<String>,
}

async fn load(app: &App, asked: &Asked, only: Option<&str>) -> Result<Vec<Row>, ApiError> {
    let words = asked.q.as_deref().map(|q| q.trim().to_lowercase()).filter(|q| !q.is_empty());
    let rows = app
        .db
        .query(sql!(
            "SELECT p.code, p.name, p.email, p.website, p.country, s.slug, p.joined_ms, p.suspended, p.account IS NOT NULL AS has_account,
                p.transfers, p.frozen_until_ms, (SELECT count(*) FROM referral r WHERE r.partner = p.code) AS referrals,
                EXISTS (SELECT 1 FROM terms_acceptance t WHERE t.partner = p.code AND t.version = ?6) AS accepted,
                EXISTS (SELECT 1 FROM run_item i WHERE i.partner = p.code AND i.sealed = 1 AND i.state NOT IN ('paid', 'void')) AS open
             FROM partner p LEFT JOIN partner_slug s ON s.partner = p.code AND s.ended_ms IS NULL
             WHERE (?1 IS NULL OR p.code = ?1)
               AND (?2 IS NULL OR instr(lower(p.name), ?2) OR instr(p.email, ?2) OR instr(lower(p.website), ?2) OR s.slug = ?2 OR p.code = ?3)
               AND (?4 IS NULL OR p.suspended = ?4)
               AND (?5 IS NULL OR (lower(p.name), p.code) > (SELECT lower(b.name), b.code FROM partner b WHERE b.code = ?5))
             ORDER BY lower(p.name), p.code LIMIT ?7",
            only,
            words.as_deref(),
            words.as_deref().and_then(read_partner_code),
            asked.suspended,
            asked.after.as_deref(),
            &app.config.terms.in_force(app.host.now()).id,
            PAGE as i64 + 1,
        ))
        .await?;
    Ok(rows.all()?)
}

async fn known(app: &App, code: &str) -> Result<Row, ApiError> {
    let row = load(app, &Asked::default(), Some(code)).await?.pop();
    row.ok_or_else(|| not_found("There is no such partner."))
}

/// `GET /v1/partners`.
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Params(asked): Params<Asked>,
) -> Result<Json<PartnerPage>, ApiError> {
    let mut rows = load(&app, &asked, None).await?;
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    let next = rows.last().filter(|_| more).map(|r| r.code.clone());
    Ok(Json(PartnerPage { partners: rows.into_iter().map(Row::partner).collect(), next }))
}

/// `GET /v1/partners/{partner}`.
pub(crate) async fn one(
    _: Staff,
    State(app): State<App>,
    Segment(code): Segment,
) -> Result<Json<PartnerStanding>, ApiError> {
    standing(&app, &code).await.map(Json)
}

async fn standing(app: &App, code: &str) -> Result<PartnerStanding, ApiError> {
    let row = known(app, code).await?;
    let now = app.host.now();
    let facts = journal::partner_facts(app, code, None).await?;
    let statement = journal::statement(app, &facts, code, journal::until_recorded(now, &facts))?;
    let standing = Standing {
        totals: statement.totals,
        suspended: statement.suspended,
        lines: &statement.lines,
        paid_ever_minor: partner::paid_ever(&facts).get(code).copied().unwrap_or(0),
        open_item: row.open > 0,
        terms_accepted: row.accepted > 0,
        minimum_minor: app.config.terms.in_force(now).minimum_payout_minor,
        has_account: row.has_account != 0,
        transfers_active: row.transfers == "active",
        rests: row.frozen_until_ms.is_some_and(|until| until > ms(now)),
        held_out: false,
    };
    let balance_minor = standing.balance_minor();
    let why_not = match standing.verdict() {
        Verdict::Pay(_) => None,
        Verdict::Not(reason) => Some(in_words(reason, balance_minor, Some(&row.name))),
        Verdict::Nothing => Some("Nothing is due.".into()),
    };
    let codes = sql!("SELECT id, code FROM promotion_code WHERE partner = ?1 ORDER BY added_ms, id LIMIT 100", code);
    let under_review = statement.referrals.iter().filter(|r| r.under_review).count();
    Ok(PartnerStanding {
        tier: statement.tier,
        balance_minor,
        why_not,
        terms_accepted: row.accepted > 0,
        under_review: u32::try_from(under_review).unwrap_or(u32::MAX),
        promotion_codes: app.db.query(codes).await?.all()?,
        totals: statement.totals,
        partner: row.partner(),
    })
}

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
    if given.amount_minor == 0 || given.amount_minor.unsigned_abs() > LARGEST_MINOR.unsigned_abs() {
        return Err(invalid(format!(
            "An adjustment adds or takes something, and at most {}.",
            format_minor(LARGEST_MINOR)
        )));
    }
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
