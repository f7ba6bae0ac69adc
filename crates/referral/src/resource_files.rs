//! Files of resources: sent in parts, each within the limit of a request, and kept in base64 beside the resource.
//!
//! A part is written once, and only behind the one before it; part 0 forgets an upload that did not end. So a resource has its
//! file and at most one more, and what was checked is what is kept.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use wire::{Resource, ResourceVersion, UploadPart};

use crate::auth::{Editor, Reader};
use crate::db::guard;
use crate::error::{ApiError, Body, Segment, invalid, not_found, unavailable};
use crate::resource_form::{Part, joined, mime};
use crate::resources::{content, entry, looked_at, one, stays_shown, still};
use crate::tokens::ms;
use crate::{App, audit, downloads, sql};

/// The parts of an upload, in order.
async fn parts(app: &App, resource: &str, upload: &str) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        data: String,
    }
    let rows =
        sql!("SELECT data FROM resource_part WHERE resource = ?1 AND upload = ?2 ORDER BY part", resource, upload);
    let rows: Vec<Row> = app.db.query(rows).await?.all()?;
    Ok(rows.into_iter().map(|row| row.data).collect())
}

/// Which upload is the file of a resource.
async fn current(app: &App, resource: &str) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        upload: Option<String>,
    }
    let row: Option<Row> = app.db.query(sql!("SELECT upload FROM resource WHERE id = ?1", resource)).await?.first()?;
    Ok(row.and_then(|row| row.upload))
}

/// `POST /v1/resources/{resource}/file`.
pub(crate) async fn upload(
    Editor(account): Editor,
    State(app): State<App>,
    Segment(id): Segment,
    Body(given): Body<UploadPart>,
) -> Result<Json<Resource>, ApiError> {
    let part = Part::read(&given).map_err(invalid)?;
    let row = one(&app, &id).await?;
    if current(&app, &row.id).await?.as_ref() == Some(&part.upload) {
        // Sent again, as after an answer that was lost.
        return Ok(Json(row.shown()));
    }
    let row = looked_at(&app, &row.id, given.version).await?;
    let mut batch = vec![still(&row)];
    if part.part == 0 {
        batch.push(sql!(
            "DELETE FROM resource_part WHERE resource = ?1 AND upload <> ?2
                AND upload <> coalesce((SELECT upload FROM resource WHERE id = ?1), '')",
            &row.id,
            &part.upload,
        ));
    } else {
        batch.push(guard(
            "EXISTS (SELECT 1 FROM resource_part WHERE resource = ?1 AND upload = ?2 AND part = CAST(?3 AS INTEGER) - 1)",
            vec![(&row.id).into(), (&part.upload).into(), part.part.into()],
        ));
    }
    batch.push(sql!(
        "INSERT INTO resource_part (resource, upload, part, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        &row.id,
        &part.upload,
        part.part,
        &given.data,
    ));
    batch.push(guard(
        "EXISTS (SELECT 1 FROM resource_part WHERE resource = ?1 AND upload = ?2 AND part = ?3 AND data = ?4)",
        vec![(&row.id).into(), (&part.upload).into(), part.part.into(), (&given.data).into()],
    ));
    app.db.batch(batch).await?;
    if !part.is_last {
        return Ok(Json(row.shown()));
    }
    if let Err(why) = part.accept(&parts(&app, &row.id, &part.upload).await?) {
        let forget = sql!(
            "DELETE FROM resource_part WHERE resource = ?1 AND upload = ?2
                AND NOT EXISTS (SELECT 1 FROM resource WHERE id = ?1 AND upload = ?2)",
            &row.id,
            &part.upload
        );
        app.db.query(forget).await?;
        return Err(invalid(why));
    }
    let batch = vec![
        still(&row),
        // Not forgotten by another upload meanwhile.
        guard(
            "EXISTS (SELECT 1 FROM resource_part WHERE resource = ?1 AND upload = ?2 AND part = ?3)",
            vec![(&row.id).into(), (&part.upload).into(), part.part.into()],
        ),
        sql!(
            "UPDATE resource SET upload = ?2, file_name = ?3, file_mime = ?4, file_bytes = ?5, changed_ms = ?6, version = version + 1
             WHERE id = ?1",
            &row.id,
            &part.upload,
            &part.name,
            part.mime,
            part.bytes,
            ms(app.host.now()),
        ),
        sql!("DELETE FROM resource_part WHERE resource = ?1 AND upload <> ?2", &row.id, &part.upload),
    ];
    let entry = entry(account, "resource.file_added", &row.id)
        .before(json!({ "file": row.file }))
        .after(json!({"file": {"name": part.name, "mime": part.mime, "bytes": part.bytes, "sha256": part.sha256}}));
    audit::write(&app, batch, &[entry]).await?;
    Ok(Json(one(&app, &row.id).await?.shown()))
}

/// `POST /v1/resources/{resource}/file/remove`.
pub(crate) async fn remove(
    Editor(account): Editor,
    State(app): State<App>,
    Segment(id): Segment,
    Body(given): Body<ResourceVersion>,
) -> Result<Json<Resource>, ApiError> {
    let row = looked_at(&app, &id, given.version).await?;
    if row.file.is_none() {
        return Ok(Json(row.shown()));
    }
    stays_shown(&row, &content(&row), false)?;
    let batch = vec![
        still(&row),
        sql!(
            "UPDATE resource SET upload = NULL, file_name = NULL, file_mime = NULL, file_bytes = NULL, changed_ms = ?2,
                version = version + 1 WHERE id = ?1",
            &row.id,
            ms(app.host.now()),
        ),
        sql!("DELETE FROM resource_part WHERE resource = ?1", &row.id),
    ];
    let entry = entry(account, "resource.file_removed", &row.id).before(json!({ "file": row.file }));
    audit::write(&app, batch, &[entry]).await?;
    Ok(Json(one(&app, &row.id).await?.shown()))
}

/// `GET /v1/resources/{resource}/file`: to be saved and never shown in a page of ours.
pub(crate) async fn download(
    reader: Reader,
    State(app): State<App>,
    Segment(id): Segment,
) -> Result<Response, ApiError> {
    let unknown = || not_found("There is no such file.");
    let row = one(&app, &id)
        .await
        .map_err(|error| if error.code == wire::ErrorCode::NotFound { unknown() } else { error })?;
    if matches!(reader, Reader::Agency) && row.published_ms.is_none() {
        return Err(unknown());
    }
    let (Some(file), Some(upload)) = (row.file, current(&app, &row.id).await?) else { return Err(unknown()) };
    let whole = joined(&parts(&app, &row.id, &upload).await?);
    let whole = whole.filter(|bytes| u32::try_from(bytes.len()).is_ok_and(|length| length == file.bytes));
    let bytes = whole.ok_or_else(|| {
        tracing::error!(resource = row.id, "the file of a resource is not whole");
        unavailable("This file cannot be read just now. Try again in a moment.")
    })?;
    Ok(downloads::file(mime(&file.name).unwrap_or("application/octet-stream"), &file.name, bytes))
}
