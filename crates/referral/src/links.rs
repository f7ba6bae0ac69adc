//! An agency's list of its links.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use partner::{LinkRow, NewLink, read_campaign, read_uuid};
use serde::Deserialize;
use url::Url;
use wire::{CreateLink, Link, LinksQuery, UpdateLink};

use crate::auth::Partner;
use crate::db::{Stmt, guard};
use crate::deed::Deed;
use crate::error::{ApiError, Body, Params, Segment, conflict, invalid, not_found};
use crate::tokens::ms;
use crate::{App, limits, sql};

#[derive(Deserialize)]
struct Row {
    id: String,
    partner: String,
    slug: Option<String>,
    archived_ms: Option<i64>,
    campaign: String,
    path: String,
    utm: String,
    created_ms: i64,
    clicks: u32,
    signups: u32,
}

impl Row {
    fn link(self, public: &Url) -> Link {
        let utm = serde_json::from_str(&self.utm).unwrap_or_default();
        let row = LinkRow {
            id: self.id,
            campaign: self.campaign,
            path: self.path,
            utm,
            created_ms: self.created_ms,
            archived_ms: self.archived_ms,
        };
        row.shown(public, self.slug.as_ref().unwrap_or(&self.partner), self.clicks, self.signups)
    }
}

/// Links of an agency: one, or those that are, or are not, archived.
pub(crate) async fn load(app: &App, partner: &str, id: Option<&str>, archived: bool) -> Result<Vec<Link>, ApiError> {
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT l.id, l.partner, l.campaign, l.path, l.utm, l.created_ms, l.archived_ms,
                (SELECT s.slug FROM partner_slug s WHERE s.partner = l.partner AND s.ended_ms IS NULL) AS slug,
                (SELECT coalesce(sum(d.clicks), 0) FROM click_day d WHERE d.partner = l.partner AND d.link = l.id) AS clicks,
                (SELECT count(*) FROM click c JOIN referral r ON r.click = c.id WHERE c.link = l.id AND c.partner = l.partner AND r.partner = l.partner) AS signups
             FROM link l WHERE l.partner = ?1 AND (l.id = ?2 OR (?2 IS NULL AND (l.archived_ms IS NOT NULL) = ?3))
             ORDER BY l.created_ms DESC, l.id LIMIT 1000",
            partner,
            id,
            archived,
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(|r| r.link(&app.config.public_url)).collect())
}

/// `GET /v1/links`; with `?archived=true` those that were put out of the list.
pub(crate) async fn list(
    State(app): State<App>,
    partner: Partner,
    Params(asked): Params<LinksQuery>,
) -> Result<Json<Vec<Link>>, ApiError> {
    load(&app, &partner.code, None, asked.archived).await.map(Json)
}

/// `POST /v1/links`: the id is the caller's, so the same call twice makes one link.
pub(crate) async fn create(
    State(app): State<App>,
    partner: Partner,
    Body(given): Body<CreateLink>,
) -> Result<(StatusCode, Json<Link>), ApiError> {
    let id = given.id.to_ascii_lowercase();
    let added = creating(&app, &partner, given).await?.done(&app).await?;
    let is_new = added.first().is_some_and(|rows| rows.changes > 0);
    let link = load(&app, &partner.code, Some(&id), false).await?.pop();
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    link.map(|l| (status, Json(l))).ok_or_else(taken)
}

fn taken() -> ApiError {
    conflict("This id is taken. Make a new one and try again.")
}

/// The link, before it is made.
pub(crate) async fn creating(app: &App, partner: &Partner, given: CreateLink) -> Result<Deed, ApiError> {
    let link = NewLink::read(given, &app.config.sites(), &partner.code).map_err(invalid)?;
    let other = sql!("SELECT id FROM link WHERE id = ?1 AND partner <> ?2", &link.id, &partner.code);
    if app.db.query(other).await?.first::<serde_json::Value>()?.is_some() {
        return Err(taken());
    }
    limits::LINKS_BY_PARTNER.check(app, &partner.code).await?;
    let insert = sql!(
        "INSERT INTO link (id, partner, campaign, path, utm, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
        &link.id,
        &partner.code,
        &link.campaign,
        &link.path,
        serde_json::to_string(&link.utm).unwrap_or_else(|_| "{}".into()),
        ms(app.host.now()),
    );
    Ok(Deed::from(vec![insert, is_own(&link.id, partner)]))
}

/// Fails a batch unless the link is the agency's.
fn is_own(id: &str, partner: &Partner) -> Stmt {
    guard("EXISTS (SELECT 1 FROM link WHERE id = ?1 AND partner = ?2)", vec![id.into(), (&partner.code).into()])
}

/// `POST /v1/links/{link}`: rename or archive. What was shared goes on working.
pub(crate) async fn update(
    State(app): State<App>,
    partner: Partner,
    Segment(link): Segment,
    Body(given): Body<UpdateLink>,
) -> Result<Json<Link>, ApiError> {
    updating(&app, &partner, &link, &given).await?.done(&app).await?;
    let link = load(&app, &partner.code, read_uuid(&link).as_deref(), false).await?.pop();
    link.map(Json).ok_or_else(unknown)
}

fn unknown() -> ApiError {
    not_found("There is no such link.")
}

/// The change of a link, before it is made.
pub(crate) async fn updating(app: &App, partner: &Partner, link: &str, given: &UpdateLink) -> Result<Deed, ApiError> {
    let campaign = given.campaign.as_deref().map(read_campaign).transpose().map_err(invalid)?;
    let id = read_uuid(link).ok_or_else(unknown)?;
    if load(app, &partner.code, Some(&id), false).await?.is_empty() {
        return Err(unknown());
    }
    let update = sql!(
        "UPDATE link SET campaign = coalesce(?3, campaign),
            archived_ms = CASE WHEN ?4 IS NULL THEN archived_ms WHEN ?4 = 0 THEN NULL ELSE coalesce(archived_ms, CAST(?5 AS INTEGER)) END
         WHERE id = ?1 AND partner = ?2",
        &id,
        &partner.code,
        campaign,
        given.archived,
        ms(app.host.now()),
    );
    Ok(Deed::from(vec![is_own(&id, partner), update]))
}
