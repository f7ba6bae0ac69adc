//! Notes of finance beside a run: written once, never edited, seen by AIKit's own people alone.

use axum::Json;
use axum::extract::State;
use partner::read_uuid;
use serde::Deserialize;
use wire::{Account, AddNote, Run, RunNote};

use crate::auth::Finance;
use crate::db::guard;
use crate::deed::Deed;
use crate::error::{ApiError, Body, Segment, conflict, invalid, not_found, read_reason};
use crate::tokens::{at, ms};
use crate::{App, runs, sql};

/// `POST /v1/runs/{run}/notes`: the id is the caller's, so the same call twice writes one note.
pub(crate) async fn add(
    Finance(account): Finance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(note): Body<AddNote>,
) -> Result<Json<Run>, ApiError> {
    adding(&app, &account, &run, &note).await?.done(&app).await?;
    runs::load(&app, &run).await.map(Json)
}

/// The note, before it is written.
pub(crate) async fn adding(app: &App, by: &Account, run: &str, note: &AddNote) -> Result<Deed, ApiError> {
    #[derive(Deserialize)]
    struct Found {
        there: i64,
        taken: i64,
    }
    let id = read_uuid(&note.id).ok_or_else(|| invalid("The note's id must be a UUID."))?;
    let text = read_reason(&note.text)?;
    let found = sql!(
        "SELECT EXISTS (SELECT 1 FROM run WHERE id = ?1) AS there,
                EXISTS (SELECT 1 FROM run_note WHERE id = ?2 AND (run <> ?1 OR person <> ?3)) AS taken",
        run,
        &id,
        &by.user,
    );
    match app.db.query(found).await?.first()? {
        Some(Found { there: 0, .. }) | None => return Err(not_found("There is no such run.")),
        Some(Found { taken: 1.., .. }) => return Err(conflict("This id is taken. Make a new one and try again.")),
        Some(_) => {}
    }
    Ok(Deed::from(vec![
        sql!(
            "INSERT INTO run_note (id, run, person, at_ms, text) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO NOTHING",
            &id,
            run,
            &by.user,
            ms(app.host.now()),
            text,
        ),
        guard("EXISTS (SELECT 1 FROM run_note WHERE id = ?1 AND run = ?2)", vec![(&id).into(), run.into()]),
    ]))
}

/// The notes of a run, the oldest first.
pub(crate) async fn of(app: &App, run: &str) -> Result<Vec<RunNote>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        email: String,
        at_ms: i64,
        text: String,
    }
    let rows = sql!(
        "SELECT n.id, p.email, n.at_ms, n.text FROM run_note n JOIN person p ON p.id = n.person WHERE n.run = ?1 ORDER BY n.at_ms, n.id",
        run
    );
    let rows: Vec<Row> = app.db.query(rows).await?.all()?;
    Ok(rows.into_iter().map(|row| RunNote { id: row.id, by: row.email, at: at(row.at_ms), text: row.text }).collect())
}
