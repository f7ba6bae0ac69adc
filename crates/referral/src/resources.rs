//! What AIKit gives agencies to work with: written, put in order and published by its partner team, seen by every agency.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use partner::{ResourceRow, read_uuid};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wire::{Account, ChangeResource, CreateResource, OrderResources, PublishResource, Resource, ResourceVersion};

use crate::audit::{self, Entry};
use crate::auth::{Editor, Librarian, Partner};
use crate::db::{Stmt, guard};
use crate::error::{ApiError, Body, Segment, changed, conflict, invalid, not_found, unavailable};
use crate::resource_form::{Content, kind_name};
use crate::tokens::ms;
use crate::{App, sql};

/// How many there are at most: it is one list, which people read.
const MOST: usize = 500;

/// A resource as the lists and copies have it ([`ResourceRow`]), by what follows.
macro_rules! bodies {
    ($which:literal) => {
        concat!(
            "SELECT r.id, json_object('id', r.id, 'kind', r.kind, 'title', r.title, 'summary', r.summary, 'text', r.text, 'link', r.link,
                'file', json(CASE WHEN r.upload IS NOT NULL THEN json_object('name', r.file_name, 'mime', r.file_mime, 'bytes', r.file_bytes) END),
                'place', r.place, 'changed_ms', r.changed_ms, 'published_ms', r.published_ms, 'version', r.version) AS body
             FROM resource r WHERE ",
            $which,
            " ORDER BY r.place, r.id"
        )
    };
}

/// Those of a JSON list of ids that agencies see, as rows of their copies.
pub(crate) fn published_bodies(ids: &str) -> Stmt {
    sql!(bodies!("r.published_ms IS NOT NULL AND r.id IN (SELECT value FROM json_each(?1))"), ids)
}

async fn rows(app: &App, stmt: Stmt) -> Result<Vec<ResourceRow>, ApiError> {
    #[derive(Deserialize)]
    struct Made {
        body: String,
    }
    let made: Vec<Made> = app.db.query(stmt).await?.all()?;
    let read: Result<Vec<ResourceRow>, _> = made.iter().map(|row| serde_json::from_str(&row.body)).collect();
    read.map_err(|error| {
        tracing::error!(%error, "a stored resource has another form");
        unavailable("A resource cannot be read. Nothing was changed.")
    })
}

async fn everything(app: &App) -> Result<Vec<ResourceRow>, ApiError> {
    rows(app, sql!(bodies!("true"))).await
}

fn shown(rows: Vec<ResourceRow>) -> Json<Vec<Resource>> {
    Json(rows.into_iter().map(ResourceRow::shown).collect())
}

/// The resource of an id.
pub(crate) async fn one(app: &App, id: &str) -> Result<ResourceRow, ApiError> {
    let found = match read_uuid(id) {
        Some(id) => rows(app, sql!(bodies!("r.id = ?1"), id)).await?.pop(),
        None => None,
    };
    found.ok_or_else(|| not_found("There is no such resource."))
}

/// The resource of an id, as long as it is what was looked at.
pub(crate) async fn looked_at(app: &App, id: &str, version: u32) -> Result<ResourceRow, ApiError> {
    let row = one(app, id).await?;
    if row.version != version {
        return Err(changed(
            "Somebody has changed this resource meanwhile. Look at it again, then repeat your change.",
        ));
    }
    Ok(row)
}

/// Fails a batch unless the resource is still what was looked at.
pub(crate) fn still(row: &ResourceRow) -> Stmt {
    guard("EXISTS (SELECT 1 FROM resource WHERE id = ?1 AND version = ?2)", vec![(&row.id).into(), row.version.into()])
}

pub(crate) fn content(row: &ResourceRow) -> Content {
    Content {
        kind: row.kind,
        title: row.title.clone(),
        summary: row.summary.clone(),
        text: row.text.clone(),
        link: row.link.clone(),
    }
}

/// What the audit chain keeps of it: of a long text its digest.
fn kept(content: &Content) -> Value {
    json!({"kind": content.kind, "title": content.title, "summary": content.summary, "link": content.link,
        "text_sha256": hex::encode(Sha256::digest(&content.text))})
}

/// A decision about a resource, before it has an outcome.
pub(crate) fn entry(by: Account, action: &'static str, id: &str) -> Entry {
    Entry::new(&by.into(), action, format!("resource:{id}"))
}

/// `GET /v1/resources`.
pub(crate) async fn list(_: Partner, State(app): State<App>) -> Result<Json<Vec<Resource>>, ApiError> {
    rows(&app, sql!(bodies!("r.published_ms IS NOT NULL"))).await.map(shown)
}

/// `GET /v1/resources/all`.
pub(crate) async fn all(_: Librarian, State(app): State<App>) -> Result<Json<Vec<Resource>>, ApiError> {
    everything(&app).await.map(shown)
}

/// `POST /v1/resources`: the id is the caller's, so the same call twice makes one resource.
pub(crate) async fn create(
    Editor(account): Editor,
    State(app): State<App>,
    Body(given): Body<CreateResource>,
) -> Result<(StatusCode, Json<Resource>), ApiError> {
    let id = read_uuid(&given.id).ok_or_else(|| invalid("The resource's id must be a UUID."))?;
    let new = Content::read(given.kind, &given.title, &given.summary, &given.text, given.link.as_deref());
    let new = new.map_err(invalid)?;
    let there = everything(&app).await?;
    if let Some(row) = there.iter().find(|row| row.id == id) {
        return match row.version {
            1 if content(row) == new => Ok((StatusCode::OK, Json(row.clone().shown()))),
            _ => Err(conflict("This id is taken. Make a new one and try again.")),
        };
    }
    if there.len() >= MOST {
        return Err(conflict("There are 500 resources, which is as many as one list holds. Delete one that is old."));
    }
    let insert = sql!(
        "INSERT INTO resource (id, kind, title, summary, text, link, place, created_ms, changed_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(place), 0) + 1 FROM resource), ?7, ?7)",
        &id,
        kind_name(new.kind),
        &new.title,
        &new.summary,
        &new.text,
        new.link.as_deref(),
        ms(app.host.now()),
    );
    let free = guard("NOT EXISTS (SELECT 1 FROM resource WHERE id = ?1)", vec![(&id).into()]);
    let entry = entry(account, "resource.created", &id).after(kept(&new));
    audit::write(&app, vec![free, insert], &[entry]).await?;
    Ok((StatusCode::CREATED, Json(one(&app, &id).await?.shown())))
}

/// `POST /v1/resources/{resource}`.
pub(crate) async fn change(
    Editor(account): Editor,
    State(app): State<App>,
    Segment(id): Segment,
    Body(given): Body<ChangeResource>,
) -> Result<Json<Resource>, ApiError> {
    let new = Content::read(given.kind, &given.title, &given.summary, &given.text, given.link.as_deref());
    let new = new.map_err(invalid)?;
    let row = looked_at(&app, &id, given.version).await?;
    let old = content(&row);
    if old == new {
        return Ok(Json(row.shown()));
    }
    stays_shown(&row, &new, row.file.is_some())?;
    let update = sql!(
        "UPDATE resource SET kind = ?2, title = ?3, summary = ?4, text = ?5, link = ?6, changed_ms = ?7, version = version + 1 WHERE id = ?1",
        &row.id,
        kind_name(new.kind),
        &new.title,
        &new.summary,
        &new.text,
        new.link.as_deref(),
        ms(app.host.now()),
    );
    let entry = entry(account, "resource.changed", &row.id).before(kept(&old)).after(kept(&new));
    audit::write(&app, vec![still(&row), update], &[entry]).await?;
    Ok(Json(one(&app, &row.id).await?.shown()))
}

/// Refuses what would leave agencies an empty resource.
pub(crate) fn stays_shown(row: &ResourceRow, content: &Content, has_file: bool) -> Result<(), ApiError> {
    match content.lacks(has_file).filter(|_| row.published_ms.is_some()) {
        Some(_) => {
            Err(conflict("Agencies see this resource, and there would be nothing left in it. Unpublish it first."))
        }
        None => Ok(()),
    }
}

/// `POST /v1/resources/{resource}/publish`.
pub(crate) async fn publish(
    Editor(account): Editor,
    State(app): State<App>,
    Segment(id): Segment,
    Body(given): Body<PublishResource>,
) -> Result<Json<Resource>, ApiError> {
    let row = looked_at(&app, &id, given.version).await?;
    if row.published_ms.is_some() == given.published {
        return Ok(Json(row.shown()));
    }
    if let Some(lacks) = content(&row).lacks(row.file.is_some()).filter(|_| given.published) {
        return Err(conflict(lacks));
    }
    let update = sql!(
        "UPDATE resource SET published_ms = CASE ?2 WHEN 1 THEN CAST(?3 AS INTEGER) END, version = version + 1 WHERE id = ?1",
        &row.id,
        given.published,
        ms(app.host.now()),
    );
    let action = if given.published { "resource.published" } else { "resource.unpublished" };
    audit::write(&app, vec![still(&row), update], &[entry(account, action, &row.id)]).await?;
    Ok(Json(one(&app, &row.id).await?.shown()))
}

/// `POST /v1/resources/order`.
pub(crate) async fn order(
    Editor(account): Editor,
    State(app): State<App>,
    Body(given): Body<OrderResources>,
) -> Result<Json<Vec<Resource>>, ApiError> {
    let order: Option<Vec<String>> = given.order.iter().map(|id| read_uuid(id)).collect();
    let order = order.ok_or_else(|| invalid("An order is a list of the ids of resources."))?;
    let unique: BTreeSet<&str> = order.iter().map(String::as_str).collect();
    if unique.len() != order.len() {
        return Err(invalid("A resource has one place in the order, not two."));
    }
    let there = everything(&app).await?;
    let before: Vec<&str> = there.iter().map(|row| row.id.as_str()).collect();
    if before.iter().copied().collect::<BTreeSet<_>>() != unique {
        return Err(changed(
            "A resource was added or deleted meanwhile. Look at the list again, then put it in order.",
        ));
    }
    if before == order {
        return Ok(shown(there));
    }
    let listed = json!(order).to_string();
    let all_of_them = guard(
        "(SELECT count(*) FROM resource) = json_array_length(?1)
            AND NOT EXISTS (SELECT 1 FROM resource WHERE id NOT IN (SELECT value FROM json_each(?1)))",
        vec![(&listed).into()],
    );
    // What stays where it was is not touched, so that no copy is told of it.
    let update = sql!(
        "UPDATE resource SET place = n.place FROM (SELECT value AS id, key + 1 AS place FROM json_each(?1)) n
         WHERE resource.id = n.id AND resource.place <> n.place",
        &listed,
    );
    let entry = Entry::new(&account.into(), "resources.ordered", "resources".into())
        .before(json!({ "order": before }))
        .after(json!({ "order": order }));
    audit::write(&app, vec![all_of_them, update], &[entry]).await?;
    everything(&app).await.map(shown)
}

/// `POST /v1/resources/{resource}/delete`: answers those that are left.
pub(crate) async fn delete(
    Editor(account): Editor,
    State(app): State<App>,
    Segment(id): Segment,
    Body(given): Body<ResourceVersion>,
) -> Result<Json<Vec<Resource>>, ApiError> {
    let row = looked_at(&app, &id, given.version).await?;
    let batch = vec![
        still(&row),
        sql!("DELETE FROM resource_part WHERE resource = ?1", &row.id),
        sql!("DELETE FROM resource WHERE id = ?1", &row.id),
    ];
    let entry = entry(account, "resource.deleted", &row.id).before(kept(&content(&row)));
    audit::write(&app, batch, &[entry]).await?;
    everything(&app).await.map(shown)
}
