//! Sign-in by one click as one of the demo's people: exists under `serve --demo` alone.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use wire::{DemoPerson, Role, StartDemoSession};

use super::people::{PersonRow, person_by_id};
use super::session::{self, Opening};
use crate::error::{ApiError, Body, invalid};
use crate::{App, journal, sql};

/// `GET /v1/demo/people`.
pub(crate) async fn people(State(app): State<App>) -> Result<Json<Vec<DemoPerson>>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(flatten)]
        person: PersonRow,
        account: Option<String>,
        transfers: Option<String>,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT p.id, p.email, p.role, p.partner, a.name AS partner_name, a.account, a.transfers
             FROM person p LEFT JOIN partner a ON a.code = p.partner
             WHERE p.role IN ('owner', 'finance', 'staff') AND p.removed_ms IS NULL
             ORDER BY p.role = 'owner', p.role, a.joined_ms, p.id"
        ))
        .await?
        .all()?;
    let evaluation = journal::evaluate_all(&app, partner::until(app.host.now()), None).await?;
    let people = rows
        .into_iter()
        .map(|row| {
            let statement = evaluation.statements.iter().find(|s| Some(&s.partner) == row.person.partner.as_ref());
            let about = match statement {
                None if row.person.role == Role::Staff => "Writes what agencies work with.".into(),
                None if row.person.partner.is_none() => "Reviews, approves and sends the month's payouts.".into(),
                None => "Has just joined.".into(),
                Some(s) => journal::in_short(s, row.account.is_some(), row.transfers.as_deref() == Some("active")),
            };
            let team = if row.person.role == Role::Staff { "AIKit Partner team" } else { "AIKit Finance" };
            let name = row.person.partner_name.clone().unwrap_or_else(|| team.into());
            DemoPerson { person: row.person.id, name, role: row.person.role, about }
        })
        .collect();
    Ok(Json(people))
}

/// `POST /v1/demo/sessions`.
pub(crate) async fn start_session(
    State(app): State<App>,
    headers: HeaderMap,
    Body(asked): Body<StartDemoSession>,
) -> Result<Response, ApiError> {
    let person = person_by_id(&app, &asked.person).await?;
    let person = person.ok_or_else(|| invalid("The demo has no such person. Ask for its people first."))?;
    let (auth_at, agent) = (app.host.now(), session::agent(&headers));
    let replaces = session::session_of(&app, &headers).await?;
    let tokens = session::open(&app, Opening { person, auth_at, replaces, agent: &agent }).await?;
    Ok(tokens.answer(&app.config, asked.keep))
}
