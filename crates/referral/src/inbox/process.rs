//! Reading what the inbox has stored, beside those who store it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use super::decide::{Outcome, decide};
use crate::db::{DbError, Rows, Stmt};
use crate::error::ApiError;
use crate::tokens::ms;
use crate::{App, sql};

/// How long one is taken to be reading who does not say so again.
const LEASE: TimeDelta = TimeDelta::seconds(30);

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
struct Wished<'a>(&'a AtomicUsize);

impl Drop for Wished<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Reads what is stored, for whoever goes on with what it comes to: another who reads it leaves the rest to this one.
pub(crate) async fn read_now(app: &App) {
    said(read(app, true).await);
}

fn said(read: Result<usize, ApiError>) {
    if let Err(error) = read {
        tracing::error!(%error, "events wait to be processed again");
    }
}

/// Reads what is stored, some time. If somebody does so already, they go on until this wish is fulfilled too.
pub async fn read_stored(app: &App) {
    let wished = &app.intake.wished;
    if wished.fetch_add(1, Ordering::AcqRel) > 0 {
        return;
    }
    let reader = Wished(wished);
    loop {
        let seen = wished.load(Ordering::Acquire);
        said(read(app, false).await);
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

/// One who reads the inbox: of all that share the database, the only one. What two events of a client come to together is
/// decided with both known, so a batch of one who was taken over from is refused.
struct Reader {
    n: i64,
}

impl Reader {
    /// Begins to read, unless somebody does so already and is not to be taken over from.
    async fn begins(app: &App, take_over: bool) -> Result<Option<Reader>, DbError> {
        #[derive(Deserialize)]
        struct Row {
            n: i64,
        }
        let now = app.host.now();
        // A clock that went back since makes nobody wait for longer than a lease.
        let begun = sql!(
            "UPDATE inbox_reader SET n = n + 1, until_ms = ?1 WHERE until_ms <= ?2 OR until_ms > ?1 OR ?3 = 1 RETURNING n",
            ms(now + LEASE),
            ms(now),
            take_over,
        );
        Ok(app.db.query(begun).await?.first()?.map(|Row { n }| Reader { n }))
    }

    /// Goes on, unless somebody took over.
    async fn goes_on(&self, app: &App) -> Result<bool, DbError> {
        let until = ms(app.host.now() + LEASE);
        Ok(app.db.query(sql!("UPDATE inbox_reader SET until_ms = ?2 WHERE n = ?1", self.n, until)).await?.changes > 0)
    }

    async fn is_fenced_off(&self, app: &App) -> Result<bool, DbError> {
        let mine = sql!("SELECT 1 AS mine FROM inbox_reader WHERE n = ?1", self.n);
        Ok(app.db.query(mine).await?.first::<Value>()?.is_none())
    }

    /// Fails a batch of one who was taken over from.
    fn fence(&self) -> Stmt {
        sql!("INSERT INTO guard (holds) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM inbox_reader WHERE n = ?1)", self.n)
    }

    /// Ends reading. Answers whether something was stored after row `n` by somebody who has seen that it was read.
    async fn ends(&self, app: &App, n: i64) -> Result<bool, DbError> {
        let answers = app.db.batch(vec![
            sql!("UPDATE inbox_reader SET until_ms = 0 WHERE n = ?1", self.n),
            sql!("SELECT 1 AS more FROM inbox WHERE state = 'received' AND rowid > ?1 LIMIT 1", n),
        ]);
        let answers = answers.await?;
        Ok(answers.get(1).map(Rows::first::<Value>).transpose()?.flatten().is_some())
    }
}

/// Processes what is stored and not yet read, the first that came first, unless somebody does so already. Answers how many
/// there were.
///
/// # Errors
/// The database's, or Stripe's where something must be asked.
pub async fn process_received(app: &App) -> Result<usize, ApiError> {
    read(app, false).await
}

/// The same, also where somebody is taken to be reading: for one who begins, after another who may have been killed, and for
/// one who has the database to himself.
///
/// # Errors
/// As [`process_received`].
pub async fn take_over_inbox(app: &App) -> Result<usize, ApiError> {
    read(app, true).await
}

async fn read(app: &App, take_over: bool) -> Result<usize, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        received_ms: i64,
        n: i64,
        #[serde(flatten)]
        stored: Stored,
    }
    let (mut n, mut after, mut newest, mut failed) = (0, (0, 0), 0, None);
    let mut reader: Option<Reader> = None;
    let mut renewed = app.host.now();
    loop {
        let wished = app.intake.wished.load(Ordering::Acquire);
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
        let Some(last) = rows.last() else {
            // More was stored since the look began: it is read in one go.
            if !take_over && reader.is_some() && app.intake.wished.load(Ordering::Acquire) > wished {
                continue;
            }
            match &reader {
                Some(reader) if reader.ends(app, newest).await? => after = (0, 0),
                _ => break,
            }
            if failed.is_some() {
                break;
            }
            reader = None;
            continue;
        };
        let Some(me) = &reader else {
            renewed = app.host.now();
            reader = Reader::begins(app, take_over).await?;
            if reader.is_none() {
                break;
            }
            // What another has read meanwhile is not read again.
            continue;
        };
        if app.host.now() - renewed > LEASE / 3 {
            renewed = app.host.now();
            if !me.goes_on(app).await? {
                break;
            }
        }
        after = (last.received_ms, last.n);
        newest = rows.iter().map(|row| row.n).fold(newest, i64::max);
        n += rows.len();
        for event in parsed(rows.into_iter().map(|row| row.stored)) {
            if app.intake.ended.load(Ordering::Acquire) {
                me.ends(app, newest).await?;
                return failed.map_or(Ok(n), Err);
            }
            // One event that cannot be decided now must not keep the others waiting.
            match process(app, me, event).await {
                Ok(true) => {}
                Ok(false) => return failed.map_or(Ok(n), Err),
                Err(error) => failed = Some(error),
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
    if !write(app, batch, names).await?.is_empty() {
        read_now(app).await;
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

/// Reads an event, and those that it wakes. Answers whether the reader still is the one who reads.
async fn process(app: &App, reader: &Reader, event: (String, Value)) -> Result<bool, ApiError> {
    let (mut queue, mut refused) = (VecDeque::from([event]), 0);
    let fenced = |mut batch: Vec<Stmt>| {
        batch.insert(0, reader.fence());
        batch
    };
    while let Some((id, event)) = queue.pop_front() {
        let done = match decide(app, &event).await? {
            Outcome::Do(mut batch, names) => {
                batch.extend(mark(&id, "done", None));
                write(app, fenced(batch), &names).await
            }
            Outcome::Learn(keep, names) => match write(app, fenced(keep), &names).await {
                Ok(woken) => {
                    queue.extend(woken);
                    queue.push_front((id, event));
                    continue;
                }
                failed => failed,
            },
            Outcome::Wait(names, note) => match app.db.batch(fenced(waits_for(&id, &names))).await {
                Ok(_) => {
                    // What it waits for may have come between the look and the mark; then nobody will wake it.
                    let waits = match decide(app, &event).await? {
                        Outcome::Wait(same, _) if same == names => is_waiting(app, &id, note.as_deref()).await?,
                        _ => false,
                    };
                    if !waits {
                        queue.push_front((id, event));
                    }
                    continue;
                }
                Err(error) => Err(error),
            },
            Outcome::Ignore(why) => write(app, fenced(mark(&id, "ignored", Some(&why))), &[]).await,
            Outcome::Fail(why) => {
                tracing::warn!(event = %id, %why, "an event cannot be used");
                write(app, fenced(mark(&id, "failed", Some(&why))), &[]).await
            }
        };
        match done {
            Ok(woken) => queue.extend(woken),
            Err(error @ DbError::Constraint(_)) => {
                if reader.is_fenced_off(app).await? {
                    return Ok(false);
                }
                // Something else of the same client was written first: with what that has changed, it is decided again.
                refused += 1;
                if refused > REFUSALS {
                    return Err(error.into());
                }
                queue.push_front((id, event));
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(true)
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
