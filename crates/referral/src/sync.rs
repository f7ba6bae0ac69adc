//! `GET /v1/sync/pull`: an agency's records as numbered rows, for the copy that its desktop app keeps (docs/sync.md).
//!
//! Triggers mark a record in the batch that changes it. A pull first makes rows of what is marked, [`publish`]: it reads the
//! marks, then the records, and writes rows, numbers, sums and the removal of the marks in one batch. A record that changes
//! in between is marked once more, and its mark stays. So where no mark is left, the rows are the records as they are at that
//! moment; only then a page is the last.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use chrono::TimeDelta;
use partner::{Kind, SCHEMA, Sum, row_hash};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::{ErrorCode, PullQuery, Pulled, StatementProof, SyncHead, SyncRow};

use crate::auth::Partner;
use crate::db::{DbError, Stmt, guard};
use crate::error::{ApiError, Params, not_found, unavailable};
use crate::tokens::ms;
use crate::{App, journal, sql, sync_rows};

/// Marks that are made rows of at once.
const BUNCH: usize = 500;
/// Bunches of one pull: then it answers, and the next page goes on.
const BUNCHES: usize = 8;
/// Bytes of the rows of one statement, about, which D1 takes.
const CHUNK_BYTES: usize = 400_000;
/// Rows of a page.
const LIMIT: u32 = 1_000;
const MOST: u32 = 2_000;
/// Bytes of a page, about: the rows of payouts are long.
const PAGE_BYTES: usize = 2_000_000;
/// A copy that was not fresh for so long is begun anew.
const REMEMBERED: TimeDelta = TimeDelta::days(90);

/// Where the copy of a scope stands.
#[derive(Debug, Deserialize)]
struct Scope {
    seq: i64,
    floor: i64,
    rows: i64,
    sum: String,
    /// Marked records that are no rows yet.
    marks: i64,
    epoch: String,
}

impl Scope {
    fn sum(&self) -> Result<Sum, ApiError> {
        serde_json::from_str(&self.sum).map_err(|error| {
            tracing::error!(%error, "the sum of a copy cannot be read");
            unavailable("The copy of your records cannot be made now.")
        })
    }
}

fn scope_of(partner: &str) -> Stmt {
    sql!(
        "SELECT s.seq, s.floor, s.rows, s.sum, (SELECT count(*) FROM sync_touch t WHERE t.scope = s.scope) AS marks,
            coalesce((SELECT restore_epoch FROM program), 'first') || '.' || s.scope AS epoch
         FROM sync_scope s WHERE s.scope = ?1",
        partner
    )
}

fn reset(message: &str) -> ApiError {
    ApiError { code: ErrorCode::Reset, message: message.into(), retry_after_s: None, diff: None }
}

/// `GET /v1/sync/pull`.
pub(crate) async fn pull(
    State(app): State<App>,
    partner: Partner,
    Params(asked): Params<PullQuery>,
) -> Result<Json<Pulled>, ApiError> {
    if asked.schema < SCHEMA {
        let message = "This app is too old to keep a copy of these records. Update it; until then it works online.";
        return Err(ApiError { code: ErrorCode::Outdated, message: message.into(), retry_after_s: None, diff: None });
    }
    let partner = partner.code.as_str();
    begin(&app, partner).await?;
    for _ in 0..BUNCHES {
        if !publish(&app, partner).await? {
            break;
        }
    }
    let limit = asked.limit.unwrap_or(LIMIT).clamp(1, MOST);
    // One snapshot: the rows, and whether they are all.
    let page = sql!(
        "SELECT kind, id, seq, body FROM sync_row WHERE scope = ?1 AND seq > CAST(?2 AS INTEGER) ORDER BY seq LIMIT ?3",
        partner,
        asked.cursor,
        limit,
    );
    let read = app.db.batch(vec![scope_of(partner), page]).await?;
    let [scope, page] = read.as_slice() else { return Err(unavailable("The database gave half an answer.")) };
    let scope: Scope = scope.first()?.ok_or_else(|| not_found("There is no such agency."))?;
    can_go_on(&scope, &asked)?;
    let mut rows: Vec<SyncRow> = page.all()?;
    let whole = rows.len();
    let mut bytes = 0;
    rows.retain({
        let mut full = false;
        move |row: &SyncRow| {
            let keeps = !full;
            bytes += row.body.as_ref().map_or(0, String::len);
            full |= bytes > PAGE_BYTES;
            keeps
        }
    });
    let ends = rows.len() == whole && u32::try_from(whole).is_ok_and(|whole| whole < limit);
    let next = if ends { scope.seq } else { rows.last().map_or(asked.cursor, |row| row.seq) };
    let more = !ends || scope.marks > 0;
    let head = SyncHead { seq: scope.seq, rows: scope.rows, sum: scope.sum()?.0 };
    let statement = if asked.statement && !more { proof(&app, partner, scope.seq).await? } else { None };
    Ok(Json(Pulled {
        start: asked.start.filter(|_| asked.cursor > 0).unwrap_or(scope.seq),
        epoch: scope.epoch,
        rows,
        next,
        more,
        head,
        as_of: app.host.now(),
        statement,
    }))
}

/// Refuses a copy that is of something else, or older than what is remembered of rows that went.
fn can_go_on(scope: &Scope, asked: &PullQuery) -> Result<(), ApiError> {
    let known_from = if asked.cursor == 0 { return Ok(()) } else { asked.start.unwrap_or(asked.cursor) };
    if asked.epoch.as_ref() != Some(&scope.epoch) {
        return Err(reset("This copy is of another database, or of another agency: it is begun anew."));
    }
    if known_from.max(asked.cursor) > scope.seq {
        return Err(reset("This copy is ahead of the database: it is begun anew."));
    }
    if known_from < scope.floor {
        return Err(reset("This copy is older than what is remembered: it is begun anew."));
    }
    Ok(())
}

/// Makes an agency one whose records are copied, with everything marked.
async fn begin(app: &App, partner: &str) -> Result<(), ApiError> {
    let now = ms(app.host.now());
    // Once a day is often enough to know that somebody still pulls.
    let stays = sql!(
        "UPDATE sync_scope SET pulled_ms = ?2 WHERE scope = ?1 AND pulled_ms < CAST(?2 AS INTEGER) - 86400000",
        partner,
        now
    );
    #[derive(Deserialize)]
    struct There {
        stale: i64,
    }
    let there = sql!(
        "SELECT pulled_ms < CAST(?2 AS INTEGER) - 86400000 AS stale FROM sync_scope WHERE scope = ?1",
        partner,
        now
    );
    match app.db.query(there).await?.first::<There>()? {
        Some(There { stale: 0 }) => return Ok(()),
        Some(_) => return Ok(app.db.query(stays).await.map(drop)?),
        None => {}
    }
    // Numbers begin where no copy of an earlier time has come to: one that slept meanwhile is below the floor.
    let mut made =
        vec![sql!("INSERT INTO sync_scope (scope, seq, floor, pulled_ms) VALUES (?1, ?2, ?2, ?2)", partner, now)];
    made.extend(sync_rows::mark_all(partner));
    match app.db.batch(made).await {
        // Another pull was quicker.
        Ok(_) | Err(DbError::Constraint(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

#[derive(Deserialize)]
struct Mark {
    kind: String,
    id: String,
    n: i64,
}

#[derive(Deserialize)]
struct Old {
    kind: String,
    id: String,
    body: Option<String>,
}

/// Makes rows of the next marks. Answers whether there may be further ones.
///
/// What it relies on is that nobody else does so at the same time: the guard on the newest number makes one of two give way.
async fn publish(app: &App, partner: &str) -> Result<bool, ApiError> {
    let marks =
        sql!("SELECT kind, id, n FROM sync_touch WHERE scope = ?1 ORDER BY kind, id LIMIT ?2", partner, BUNCH as u32);
    let program = sql!("SELECT kind, id, body FROM sync_row WHERE scope = ?1 AND kind = 'program'", partner);
    let read = app.db.batch(vec![scope_of(partner), marks, program]).await?;
    let [scope, marks, program] = read.as_slice() else {
        return Err(unavailable("The database gave half an answer."));
    };
    let Some(scope): Option<Scope> = scope.first()? else { return Ok(false) };
    let mut marks: Vec<Mark> = marks.all()?;
    let further = marks.len() == BUNCH;
    // What the operator configures is not in the database: it is looked at each time.
    let told: Option<Old> = program.first()?;
    if told.and_then(|old| old.body).as_deref() != Some(&sync_rows::program(app)) {
        marks.push(Mark { kind: Kind::Program.name().into(), id: String::new(), n: 0 });
    }
    if marks.is_empty() {
        return Ok(false);
    }
    let changed = changed_rows(app, partner, &marks).await?;
    let (mut seq, mut rows, mut sum) = (scope.seq, scope.rows, scope.sum()?);
    let mut written: Vec<Value> = Vec::with_capacity(changed.len());
    for row in &changed {
        seq += 1;
        let hash = |body: &str| row_hash(row.kind.name(), row.id, body);
        if let Some(old) = &row.old {
            sum.remove(hash(old));
            rows -= 1;
        }
        if let Some(new) = &row.new {
            sum.add(hash(new));
            rows += 1;
        }
        written.push(json!([row.kind.name(), row.id, seq, row.new]));
    }
    let mut batch = vec![
        guard(
            "EXISTS (SELECT 1 FROM sync_scope WHERE scope = ?1 AND seq = ?2)",
            vec![partner.into(), scope.seq.into()],
        ),
        sql!(
            "UPDATE sync_scope SET seq = ?2, rows = ?3, sum = ?4 WHERE scope = ?1",
            partner,
            seq,
            rows,
            json!(sum).to_string()
        ),
    ];
    batch.extend(chunks(written, CHUNK_BYTES).into_iter().map(|chunk| {
        sql!(
            "INSERT INTO sync_row (scope, kind, id, seq, body, gone_ms)
             SELECT ?1, value->>0, value->>1, value->>2, value->>3, CASE WHEN value->>3 IS NULL THEN CAST(?3 AS INTEGER) END
             FROM json_each(?2) WHERE true
             ON CONFLICT DO UPDATE SET seq = excluded.seq, body = excluded.body, gone_ms = excluded.gone_ms",
            partner,
            chunk,
            ms(app.host.now()),
        )
    }));
    let made: Vec<Value> = marks.iter().map(|m| json!([m.kind, m.id, m.n])).collect();
    batch.push(sql!(
        "DELETE FROM sync_touch WHERE scope = ?1
            AND (kind, id, n) IN (SELECT value->>0, value->>1, value->>2 FROM json_each(?2))",
        partner,
        Value::from(made).to_string(),
    ));
    match app.db.batch(batch).await {
        Ok(_) => Ok(further),
        // Another pull was quicker: what it made is read with the page, and what is left is looked at again.
        Err(DbError::Constraint(_)) => Ok(true),
        Err(other) => Err(other.into()),
    }
}

/// A row that is another than it was.
struct Changed<'a> {
    kind: Kind,
    id: &'a str,
    old: Option<String>,
    new: Option<String>,
}

/// The rows among the marked ones that differ from what they were.
async fn changed_rows<'a>(app: &App, partner: &str, marks: &'a [Mark]) -> Result<Vec<Changed<'a>>, ApiError> {
    let names: Vec<Value> = marks.iter().map(|m| json!([m.kind, m.id])).collect();
    let old = sql!(
        "SELECT kind, id, body FROM sync_row WHERE scope = ?1
            AND (kind, id) IN (SELECT value->>0, value->>1 FROM json_each(?2)) AND body IS NOT NULL",
        partner,
        Value::from(names).to_string(),
    );
    let old: Vec<Old> = app.db.query(old).await?.all()?;
    let mut old: BTreeMap<(String, String), Option<String>> =
        old.into_iter().map(|row| ((row.kind, row.id), row.body)).collect();
    let mut changed = Vec::new();
    for kind in Kind::ALL {
        let ids: BTreeSet<&str> = marks.iter().filter(|m| m.kind == kind.name()).map(|m| m.id.as_str()).collect();
        if ids.is_empty() {
            continue;
        }
        let listed: Vec<&str> = ids.iter().copied().collect();
        let mut new = sync_rows::bodies(app, partner, kind, &listed).await?;
        for id in ids {
            let old = old.remove(&(kind.name().to_owned(), id.to_owned())).flatten();
            let new = new.remove(id);
            if old != new {
                changed.push(Changed { kind, id, old, new });
            }
        }
    }
    Ok(changed)
}

/// Lists of rows as JSON, none of which is longer than a statement may be; a row that is by itself is a list by itself.
fn chunks(rows: Vec<Value>, most: usize) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    let mut room = 0;
    for row in rows {
        let text = row.to_string();
        match chunks.last_mut().filter(|_| text.len() < room) {
            Some(chunk) => {
                chunk.push(',');
                chunk.push_str(&text);
                room -= text.len() + 1;
            }
            None => {
                if let Some(chunk) = chunks.last_mut() {
                    chunk.push(']');
                }
                room = most.saturating_sub(text.len() + 2);
                chunks.push(format!("[{text}"));
            }
        }
    }
    if let Some(chunk) = chunks.last_mut() {
        chunk.push(']');
    }
    chunks
}

/// The statement of this very moment; `None` where the records have changed since the newest number was `seq`.
async fn proof(app: &App, partner: &str, seq: i64) -> Result<Option<StatementProof>, ApiError> {
    let facts = journal::partner_facts(app, partner, None).await?;
    let as_of = journal::until_recorded(app.host.now(), &facts);
    let statement = journal::statement(app, &facts, partner, as_of)?;
    let scope: Option<Scope> = app.db.query(scope_of(partner)).await?.first()?;
    let same = scope.is_some_and(|scope| scope.seq == seq && scope.marks == 0);
    Ok(same.then(|| StatementProof { as_of, digest: statement.digest, rules: commission::RULES_VERSION.into() }))
}

/// Forgets rows that went, and acts that were done, a quarter of a year ago; and copies that nobody has pulled since.
///
/// # Errors
/// The database's.
pub async fn forget_old_rows(app: &App) -> Result<(), ApiError> {
    let before = ms(app.host.now() - REMEMBERED);
    app.db
        .batch(vec![
            sql!(
                "UPDATE sync_scope SET floor = max(floor, coalesce((SELECT max(seq) FROM sync_row r
                    WHERE r.scope = sync_scope.scope AND r.gone_ms < ?1), 0))",
                before
            ),
            sql!("DELETE FROM sync_row WHERE gone_ms < ?1", before),
            sql!("DELETE FROM sync_mutation WHERE at_ms < ?1", before),
            sql!("DELETE FROM sync_scope WHERE pulled_ms < ?1", before),
        ])
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_hold_every_row_once_and_in_order(lengths in prop::collection::vec(0_usize..150, 0..12)) {
            let rows: Vec<Value> = lengths.iter().enumerate().map(|(n, length)| json!([n, "x".repeat(*length)])).collect();
            let chunks = chunks(rows.clone(), 200);
            let read: Vec<Value> = chunks.iter().flat_map(|c| serde_json::from_str::<Vec<Value>>(c).unwrap()).collect();
            prop_assert_eq!(read, rows);
            prop_assert!(chunks.iter().all(|c| c.len() <= 200));
        }
    }
}
