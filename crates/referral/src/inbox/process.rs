//! Reading what the inbox has stored, beside those who store it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::{Value, json};

use super::decide::{Outcome, decide};
use crate::db::{DbError, Rows, Stmt};
use crate::error::ApiError;
use crate::{App, sql};

/// How often a batch may find that another was written since it was decided; then it is left for the next look.
const REFUSALS: usize = 8;

/// Who reads what the inbox has stored.
#[derive(Debug, Default)]
pub struct Intake {
    /// Wishes to read since somebody began to; none while nobody reads.
    wished: AtomicUsize,
    ended: AtomicBool,
}

impl Intake {
    /// The program ends: what is stored and not yet read is for the next one.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// Whoever is cut off reads no more.
struct Reader<'a>(&'a AtomicUsize);

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Reads what is stored, for whoever goes on with what it comes to.
pub(crate) async fn read_now(app: &App) {
    if let Err(error) = process_received(app).await {
        tracing::error!(%error, "events wait to be processed again");
    }
}

/// Reads what is stored, some time. If somebody of this program does so already, they go on until this wish is fulfilled too.
pub async fn read_stored(app: &App) {
    let wished = &app.intake.wished;
    if wished.fetch_add(1, Ordering::AcqRel) > 0 {
        return;
    }
    let reader = Reader(wished);
    loop {
        let seen = wished.load(Ordering::Acquire);
        read_now(app).await;
        if wished.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            // Another may have begun by now.
            std::mem::forget(reader);
            return;
        }
    }
}

#[derive(Deserialize)]
struct Stored {
    id: String,
    body: String,
}

fn parsed(rows: impl IntoIterator<Item = Stored>) -> impl Iterator<Item = (String, Value)> {
    rows.into_iter().map(|r| (r.id, serde_json::from_str(&r.body).unwrap_or(Value::Null)))
}

/// Processes what is stored and not yet read, the first that came first. Answers how many there were.
///
/// # Errors
/// The database's, or Stripe's where something must be asked.
pub async fn process_received(app: &App) -> Result<usize, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        received_ms: i64,
        n: i64,
        #[serde(flatten)]
        stored: Stored,
    }
    let (mut n, mut after, mut failed) = (0, (0, 0), None);
    loop {
        let rows: Vec<Row> = app
            .db
            .query(sql!(
                "SELECT received_ms, rowid AS n, id, body FROM inbox
                 WHERE state = 'received' AND (received_ms, rowid) > (?1, ?2) ORDER BY received_ms, rowid LIMIT 100",
                after.0,
                after.1,
            ))
            .await?
            .all()?;
        let Some(last) = rows.last() else { break };
        after = (last.received_ms, last.n);
        n += rows.len();
        // One after the other: what two events of a client come to together is decided with both known.
        for event in parsed(rows.into_iter().map(|row| row.stored)) {
            if app.intake.ended.load(Ordering::Acquire) {
                return failed.map_or(Ok(n), Err);
            }
            // One event that cannot be decided now must not keep the others waiting.
            if let Err(error) = process(app, VecDeque::from([event])).await {
                failed = Some(error);
            }
        }
    }
    failed.map_or(Ok(n), Err)
}

/// For the batch that makes names known: the events that waited for one of them are to be read again. Where [`commit`] does
/// not write the batch, [`read_now`] comes after it.
pub(crate) fn known(names: &[String]) -> Vec<Stmt> {
    if names.is_empty() {
        return Vec::new();
    }
    let names = json!(names).to_string();
    vec![
        sql!(
            "UPDATE inbox SET state = 'received' WHERE state = 'waiting' AND id IN
                (SELECT event FROM inbox_wait WHERE name IN (SELECT value FROM json_each(?1))) RETURNING id, body",
            &names,
        ),
        sql!(
            "DELETE FROM inbox_wait WHERE event IN
                (SELECT event FROM inbox_wait WHERE name IN (SELECT value FROM json_each(?1)))",
            &names,
        ),
    ]
}

/// Writes a batch that makes names known, and reads the events that waited for them. What keeps an event from being
/// processed is not the caller's affair: it is stored, and tried again.
pub(crate) async fn commit(app: &App, batch: Vec<Stmt>, names: &[String]) -> Result<(), DbError> {
    let woken = write(app, batch, names).await?;
    if let Err(error) = process(app, woken).await {
        tracing::error!(%error, "events wait to be processed again");
    }
    Ok(())
}

/// Answers the events that the batch has woken.
async fn write(app: &App, mut batch: Vec<Stmt>, names: &[String]) -> Result<VecDeque<(String, Value)>, DbError> {
    let at = batch.len();
    batch.extend(known(names));
    if batch.is_empty() {
        return Ok(VecDeque::new());
    }
    let rows = app.db.batch(batch).await?;
    let woken = rows.get(at).map(Rows::all).transpose()?.unwrap_or_default();
    Ok(parsed(woken).collect())
}

async fn process(app: &App, mut queue: VecDeque<(String, Value)>) -> Result<(), ApiError> {
    let mut refused = 0;
    while let Some((id, event)) = queue.pop_front() {
        match decide(app, &event).await? {
            Outcome::Do(mut batch, names) => {
                batch.extend(mark(&id, "done", None));
                match write(app, batch, &names).await {
                    Ok(woken) => queue.extend(woken),
                    // Another event of the same client came first: with what that has changed, it is decided again.
                    Err(DbError::Constraint(_)) if refused < REFUSALS => {
                        refused += 1;
                        queue.push_front((id, event));
                    }
                    Err(other) => return Err(other.into()),
                }
            }
            Outcome::Learn(keep, names) => {
                queue.extend(write(app, keep, &names).await?);
                queue.push_front((id, event));
            }
            Outcome::Wait(names, note) => {
                app.db.batch(waits_for(&id, &names)).await?;
                // What it waits for may have come between the look and the mark; then nobody will wake it.
                let waits = match decide(app, &event).await? {
                    Outcome::Wait(same, _) if same == names => is_waiting(app, &id, note.as_deref()).await?,
                    _ => false,
                };
                if !waits {
                    queue.push_front((id, event));
                }
            }
            Outcome::Ignore(why) => drop(app.db.batch(mark(&id, "ignored", Some(&why))).await?),
            Outcome::Fail(why) => {
                tracing::warn!(event = %id, %why, "an event cannot be used");
                app.db.batch(mark(&id, "failed", Some(&why))).await?;
            }
        }
    }
    Ok(())
}

/// Where an event stands from now on.
fn mark(id: &str, state: &str, note: Option<&str>) -> Vec<Stmt> {
    vec![
        sql!("DELETE FROM inbox_wait WHERE event = ?1", id),
        sql!("UPDATE inbox SET state = ?2, note = ?3 WHERE id = ?1", id, state, note),
    ]
}

/// Whoever brings one of the names finds the event by it.
fn waits_for(id: &str, names: &[String]) -> Vec<Stmt> {
    let names = json!(names).to_string();
    vec![
        sql!("DELETE FROM inbox_wait WHERE event = ?1", id),
        sql!("INSERT INTO inbox_wait (name, event) SELECT DISTINCT value, ?1 FROM json_each(?2)", id, names),
    ]
}

/// From now on the event is left alone until it is woken; answers whether that is so. One that was woken meanwhile is not.
async fn is_waiting(app: &App, id: &str, note: Option<&str>) -> Result<bool, DbError> {
    let marked = sql!(
        "UPDATE inbox SET state = 'waiting', note = ?2
         WHERE id = ?1 AND EXISTS (SELECT 1 FROM inbox_wait WHERE event = ?1)",
        id,
        note,
    );
    Ok(app.db.query(marked).await?.changes > 0)
}
