//! What an agency sees: its overview, clients and payouts. What they say is computed by `partner`, as in the desktop app.

use axum::Json;
use axum::extract::State;
use partner::{Overviewing, client_page, clients as clients_of, funnel_since, next_month, touches, until};
use serde::Deserialize;
use wire::{ClientDetail, ClientPage, ClientsQuery, Overview, Payout, PayoutDetail, PayoutState};

use crate::auth::Partner;
use crate::error::{ApiError, Params, Segment, not_found};
use crate::runs::{self, PayoutRow};
use crate::{App, journal, sql, sync_rows};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// `GET /v1/overview`.
pub(crate) async fn overview(State(app): State<App>, partner: Partner) -> Result<Json<Overview>, ApiError> {
    #[derive(Deserialize)]
    struct Counts {
        open: i64,
        clicks: u32,
        signups: u32,
        links: u32,
    }
    let now = app.host.now();
    let profile = sync_rows::profile(&app, &partner.code).await?;
    let since = funnel_since(now);
    let counts: Option<Counts> = app
        .db
        .query(sql!(
            "SELECT EXISTS (SELECT 1 FROM run_item WHERE partner = ?1 AND sealed = 1 AND state NOT IN ('paid', 'void')) AS open,
                (SELECT coalesce(sum(clicks), 0) FROM click_day d WHERE partner = ?1 AND day >= ?2
                    AND (link = '' OR EXISTS (SELECT 1 FROM link l WHERE l.id = d.link AND l.partner = d.partner))) AS clicks,
                (SELECT count(*) FROM referral WHERE partner = ?1 AND signed_up_ms >= ?3) AS signups,
                (SELECT count(*) FROM link WHERE partner = ?1) AS links",
            &partner.code,
            since,
            since * DAY_MS,
        ))
        .await?
        .first()?;
    let counts = counts.ok_or_else(|| not_found("There is no such agency."))?;
    let facts = journal::partner_facts(&app, &partner.code, None).await?;
    Ok(Json(partner::overview(Overviewing {
        profile: &profile,
        public_url: &app.config.public_url,
        terms: &app.config.terms,
        role: partner.role,
        facts: &facts,
        statement: &journal::statement(&app, &facts, &partner.code, until(now))?,
        then: &journal::statement(&app, &facts, &partner.code, next_month(now))?,
        open_item: counts.open > 0,
        clicks: counts.clicks,
        signups: counts.signups,
        links: counts.links,
        last_payout: paid(&app, &partner.code).await?.into_iter().find(|p| p.state == PayoutState::Paid),
        now,
    })))
}

/// `GET /v1/clients`.
pub(crate) async fn clients(
    State(app): State<App>,
    partner: Partner,
    Params(asked): Params<ClientsQuery>,
) -> Result<Json<ClientPage>, ApiError> {
    let now = app.host.now();
    let facts = journal::partner_facts(&app, &partner.code, None).await?;
    let statement = journal::statement(&app, &facts, &partner.code, until(now))?;
    Ok(Json(client_page(&statement, &app.config.terms, &asked, now)))
}

/// `GET /v1/clients/{referral}`.
pub(crate) async fn client(
    State(app): State<App>,
    partner: Partner,
    Segment(referral): Segment,
) -> Result<Json<ClientDetail>, ApiError> {
    #[derive(Deserialize)]
    struct Campaign {
        campaign: String,
    }
    let now = app.host.now();
    let facts = journal::partner_facts(&app, &partner.code, None).await?;
    let statement = journal::statement(&app, &facts, &partner.code, until(now))?;
    let found = statement.referrals.iter().find(|r| r.referral == referral);
    let client = found.and_then(|r| clients_of(&statement, &app.config.terms, &[r], now).pop());
    let client = client.ok_or_else(|| not_found("There is no such client."))?;
    let lines = statement.lines.into_iter().rev().filter(|l| l.referral.as_ref() == Some(&referral)).collect();
    let row = sync_rows::client(&app, &partner.code, &referral).await?;
    let link = row.as_ref().and_then(|row| row.link.as_ref());
    let link = sql!("SELECT campaign FROM link WHERE id = ?1 AND partner = ?2", link, &partner.code);
    let campaign = app.db.query(link).await?.first::<Campaign>()?.map(|c| c.campaign);
    let touches = row.map(|row| touches(&row, campaign.as_deref())).unwrap_or_default();
    Ok(Json(ClientDetail { client, lines, touches }))
}

/// The payouts of an agency, the newest first.
pub(crate) async fn paid(app: &App, partner: &str) -> Result<Vec<Payout>, ApiError> {
    let rows: Vec<PayoutRow> = app
        .db
        .query(sql!(
            "SELECT i.id, r.period, i.amount_minor, i.state, i.transfer, i.paid_at, i.digest,
                (SELECT bank FROM at_bank WHERE transfer = i.transfer) AS bank FROM run_item i JOIN run r ON r.id = i.run
             WHERE i.partner = ?1 AND i.sealed = 1 ORDER BY r.as_of DESC",
            partner,
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// `GET /v1/payouts`.
pub(crate) async fn payouts(State(app): State<App>, partner: Partner) -> Result<Json<Vec<Payout>>, ApiError> {
    paid(&app, &partner.code).await.map(Json)
}

/// `GET /v1/payouts/{item}`.
pub(crate) async fn payout(
    State(app): State<App>,
    partner: Partner,
    Segment(item): Segment,
) -> Result<Json<PayoutDetail>, ApiError> {
    runs::detail(&app, &item, Some(&partner.code)).await.map(Json)
}
