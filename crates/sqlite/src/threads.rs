//! The threads that hold the connections: one writes, some read.
//!
//! **Group commit.** Batches that wait at the same moment are written in one transaction, so that they share one wait for
//! the disk. Each is a savepoint of its own: one whose guard does not hold fails alone. Each is answered after the commit,
//! so what was answered is on disk.
//!
//! **Soon.** A statement that may be written a little later waits for the next group, or for [`SOON`] if none comes. Whoever
//! reads or writes after it waits for it first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use referral::db::{DbError, Rows, Stmt, Val};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, TransactionBehavior, params_from_iter};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::Profile;

/// Jobs that may wait; whoever comes then waits for a place.
const QUEUE: usize = 1024;
/// Most batches of one transaction: how long the first of them may wait for the last.
const GROUP: usize = 256;
/// How long a statement may wait that is to be written soon. The commit itself comes on top, and a second is the promise.
const SOON: Duration = Duration::from_millis(200);
/// Most of them; whoever comes then waits until they are written.
const MOST_SOON: usize = 10_000;

type Answer = Result<Vec<Rows>, DbError>;

/// Statements that are done together or not at all, and who asked. Without one, a sign that something is to be written soon.
struct Job {
    stmts: Vec<Stmt>,
    answer: Option<oneshot::Sender<Answer>>,
}

/// What is to be written soon.
#[derive(Default)]
struct Later {
    waiting: Mutex<Vec<Stmt>>,
    /// Those that wait and those that are being written.
    open: AtomicUsize,
}

impl Later {
    fn waiting(&self) -> MutexGuard<'_, Vec<Stmt>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads and their queues.
pub(crate) struct Threads {
    /// To the writer, and to whichever reader is free.
    queues: Option<(mpsc::Sender<Job>, mpsc::Sender<Job>)>,
    later: Arc<Later>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a thread for each connection. Without readers the writer reads as well.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(mut writer: Connection, readers: Vec<Connection>, profile: Profile) -> std::io::Result<Self> {
        let (write, writes) = mpsc::channel(QUEUE);
        let (mut read, reads) = mpsc::channel::<Job>(QUEUE);
        if readers.is_empty() {
            read = write.clone();
        }
        let later = Arc::new(Later::default());
        let mut handles = Vec::new();
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let soon = later.clone();
        handles.push(Builder::new().name("sqlite-write".into()).spawn(move || {
            clock.block_on(write_groups(writes, &soon, |stmts, group| write_group(&mut writer, stmts, group, profile)));
        })?);
        let reads = Arc::new(Mutex::new(reads));
        for reader in readers {
            let reads = reads.clone();
            handles.push(Builder::new().name("sqlite-read".into()).spawn(move || {
                // One waits at the queue, the others for its place there.
                let next = || reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                while let Some(Job { stmts, answer }) = next() {
                    let rows = run_all(&reader, &stmts, profile);
                    answer.map(|answer| answer.send(rows));
                }
            })?);
        }
        Ok(Threads { queues: Some((write, read)), later, handles })
    }

    /// All or nothing, in order; on disk when this answers.
    pub(crate) async fn write(&self, stmts: Vec<Stmt>) -> Answer {
        ask(self.queues.as_ref().map(|(write, _)| write), stmts).await
    }

    /// What only reads; it sees everything that was answered before it was asked, but what is written soon.
    pub(crate) async fn read(&self, stmts: Vec<Stmt>) -> Answer {
        ask(self.queues.as_ref().map(|(_, read)| read), stmts).await
    }

    /// Waits until what is to be written soon is written.
    pub(crate) async fn settle(&self) -> Result<(), DbError> {
        match self.later.open.load(Ordering::Acquire) {
            0 => Ok(()),
            _ => self.write(Vec::new()).await.map(drop),
        }
    }

    pub(crate) async fn write_soon(&self, stmt: Stmt) -> Result<(), DbError> {
        let before = {
            let mut waiting = self.later.waiting();
            self.later.open.fetch_add(1, Ordering::AcqRel);
            waiting.push(stmt);
            waiting.len() - 1
        };
        match before {
            0 => {
                let (write, _) = self.queues.as_ref().ok_or_else(ended)?;
                write.send(Job { stmts: Vec::new(), answer: None }).await.map_err(|_| ended())
            }
            MOST_SOON.. => self.settle().await,
            _ => Ok(()),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Without a sender each thread does what was asked, and ends. The writer, which came first, goes last: only a
        // connection that may write moves what is in the write-ahead log into the database when it closes.
        let Some((write, read)) = self.queues.take() else { return };
        drop(read);
        for reader in self.handles.drain(1..) {
            reader.join().ok();
        }
        drop(write);
        for writer in self.handles.drain(..) {
            writer.join().ok();
        }
    }
}

fn ended() -> DbError {
    DbError::Failed("its thread has ended".into())
}

async fn ask(queue: Option<&mpsc::Sender<Job>>, stmts: Vec<Stmt>) -> Answer {
    let (answer, answered) = oneshot::channel();
    queue.ok_or_else(ended)?.send(Job { stmts, answer: Some(answer) }).await.map_err(|_| ended())?;
    answered.await.unwrap_or_else(|_| Err(ended()))
}

/// Takes what waits, and what is to be written soon with it, until nobody can ask any more.
async fn write_groups(
    mut jobs: mpsc::Receiver<Job>,
    later: &Later,
    mut write: impl FnMut(&mut Vec<Stmt>, &mut Vec<Job>),
) {
    let (mut group, mut due) = (Vec::with_capacity(GROUP), None);
    loop {
        let came = match due {
            None => Some(jobs.recv_many(&mut group, GROUP).await),
            Some(due) => timeout_at(due, jobs.recv_many(&mut group, GROUP)).await.ok(),
        };
        let signs = group.len();
        group.retain(|job| job.answer.is_some());
        if came.is_some_and(|n| n > 0) && group.is_empty() {
            due = due.or_else(|| (signs > 0).then(|| Instant::now() + SOON));
            continue;
        }
        let mut stmts = std::mem::take(&mut *later.waiting());
        let n = stmts.len();
        if n > 0 || !group.is_empty() {
            write(&mut stmts, &mut group);
            later.open.fetch_sub(n - stmts.len(), Ordering::AcqRel);
        }
        due = (!stmts.is_empty()).then(|| Instant::now() + SOON);
        later.waiting().splice(0..0, stmts);
        if came == Some(0) {
            let left = later.waiting().len();
            if left > 0 {
                tracing::error!(left, "the database is locked at the end: what was to be written soon is lost");
            }
            return;
        }
    }
}

/// Why nothing of a transaction was done.
enum Undone {
    /// Somebody else holds the lock: nobody would fare better alone.
    Locked(DbError),
    /// It was taken back, by a full disk for one: the batch that brings that about must fail alone.
    Lost(DbError),
}

impl From<Undone> for DbError {
    fn from(undone: Undone) -> Self {
        let (Undone::Locked(error) | Undone::Lost(error)) = undone;
        error
    }
}

/// Writes the batches of a group and answers each. What was to be written soon and must wait on is left in `soon`.
fn write_group(connection: &mut Connection, soon: &mut Vec<Stmt>, group: &mut Vec<Job>, profile: Profile) {
    let together = match group.as_slice() {
        // One statement is a transaction by itself.
        [Job { stmts, .. }] if stmts.len() == 1 && soon.is_empty() => Ok(vec![run_all(connection, stmts, profile)]),
        several => write_together(connection, soon, several, profile),
    };
    let answers = match together {
        Ok(answers) => {
            soon.clear();
            answers
        }
        Err(Undone::Locked(error)) => vec![Err(error); group.len()],
        Err(Undone::Lost(_)) => {
            match write_together(connection, soon, &[], profile) {
                Err(Undone::Locked(_)) => {}
                Ok(_) => soon.clear(),
                Err(Undone::Lost(error)) => {
                    tracing::error!(%error, n = soon.len(), "what was to be written soon is lost");
                    soon.clear();
                }
            }
            let alone = |job| Ok(write_together(connection, &[], std::slice::from_ref(job), profile)?.pop());
            group.iter().map(alone).map(|answer| answer.and_then(|only| only.unwrap_or(Ok(Vec::new())))).collect()
        }
    };
    for (job, answer) in group.drain(..).zip(answers) {
        job.answer.map(|to| to.send(answer));
    }
}

/// One transaction of several batches: what each is answered.
///
/// # Errors
/// The transaction as a whole did not come about, and nothing of any batch was done.
fn write_together(
    connection: &mut Connection,
    soon: &[Stmt],
    group: &[Job],
    profile: Profile,
) -> Result<Vec<Answer>, Undone> {
    let lost = |error| Undone::Lost(failed(error));
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let mut transaction = begun.map_err(|error| Undone::Locked(failed(error)))?;
    let taken_back = || Undone::Lost(DbError::Failed("the transaction was taken back".into()));
    for stmt in soon {
        if let Err(error) = run(&transaction, stmt, profile) {
            tracing::error!(%error, "what was to be written soon was refused");
        }
        if transaction.is_autocommit() {
            return Err(taken_back());
        }
    }
    let mut answers = Vec::with_capacity(group.len());
    for job in group {
        let answer = if job.stmts.len() < 2 {
            // One statement is taken back as a whole by itself.
            run_all(&transaction, &job.stmts, profile)
        } else {
            let savepoint = transaction.savepoint().map_err(lost)?;
            let answer = run_all(&savepoint, &job.stmts, profile);
            // Unless it is committed, its end takes it back.
            if answer.is_ok() { savepoint.commit() } else { savepoint.finish() }.map_err(lost)?;
            answer
        };
        if transaction.is_autocommit() {
            return Err(taken_back());
        }
        answers.push(answer);
    }
    transaction.commit().map_err(lost)?;
    Ok(answers)
}

fn run_all(connection: &Connection, stmts: &[Stmt], profile: Profile) -> Answer {
    stmts.iter().map(|stmt| run(connection, stmt, profile)).collect()
}

fn failed(error: rusqlite::Error) -> DbError {
    match &error {
        rusqlite::Error::SqliteFailure(e, _) if e.code == ErrorCode::ConstraintViolation => {
            DbError::Constraint(error.to_string())
        }
        _ => DbError::Failed(error.to_string()),
    }
}

struct Bound<'a>(&'a Val, Profile);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Val::Null => ToSqlOutput::Owned(Value::Null),
            Val::Int(i) if self.1 == Profile::D1 => ToSqlOutput::Owned(Value::Real(*i as f64)),
            Val::Int(i) => ToSqlOutput::Owned(Value::Integer(*i)),
            Val::Text(t) => ToSqlOutput::Borrowed(ValueRef::Text(t.as_bytes())),
        })
    }
}

fn run(connection: &Connection, stmt: &Stmt, profile: Profile) -> Result<Rows, DbError> {
    let before = connection.total_changes();
    let mut prepared = connection.prepare_cached(&stmt.sql).map_err(failed)?;
    let columns: Vec<String> = prepared.column_names().map(str::to_owned).collect();
    let mut rows = prepared.query(params_from_iter(stmt.params.iter().map(|v| Bound(v, profile)))).map_err(failed)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next().map_err(failed)? {
        for column in 0..columns.len() {
            values.push(match row.get_ref(column).map_err(failed)? {
                ValueRef::Null => Val::Null,
                ValueRef::Integer(number) => Val::Int(number),
                ValueRef::Text(text) => Val::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Real(_) | ValueRef::Blob(_) => {
                    return Err(DbError::Shape(format!("column {} is neither an integer nor text", column + 1)));
                }
            });
        }
    }
    drop(rows);
    Ok(Rows { columns, values, changes: connection.total_changes() - before })
}

#[cfg(test)]
mod tests {
    use super::*;
    use referral::db::guard;
    use referral::sql;

    fn memory() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE guard (holds INTEGER NOT NULL CHECK (holds = 1));
                 CREATE TABLE t (name TEXT PRIMARY KEY, text TEXT);",
            )
            .unwrap();
        connection
    }

    fn add(name: &str, length: usize) -> Vec<Stmt> {
        vec![sql!("INSERT INTO t VALUES (?1, ?2)", name, "x".repeat(length))]
    }

    /// Writes batches as one group: which were done, and the names that are there afterwards.
    fn write(connection: &mut Connection, batches: Vec<Vec<Stmt>>) -> (Vec<Answer>, Vec<String>) {
        let (mut group, answers): (Vec<Job>, Vec<_>) = batches
            .into_iter()
            .map(|stmts| {
                let (answer, answered) = oneshot::channel();
                (Job { stmts, answer: Some(answer) }, answered)
            })
            .unzip();
        write_group(connection, &mut Vec::new(), &mut group, Profile::Native);
        let names = connection
            .prepare("SELECT name FROM t ORDER BY name")
            .and_then(|mut select| select.query_map([], |row| row.get(0))?.collect())
            .unwrap();
        (answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect(), names)
    }

    #[test]
    fn a_batch_of_a_group_fails_alone_and_whole() {
        let refused = [add("b", 1), vec![guard("1 = 2", Vec::new())], add("c", 1)].concat();
        let (answers, names) = write(&mut memory(), vec![add("a", 1), refused, add("a", 2), add("d", 1)]);
        assert!(matches!(&answers[..], [Ok(_), Err(guard), Err(DbError::Constraint(_)), Ok(_)] if guard.is_guard()));
        assert_eq!(names, ["a", "d"], "the later ones see the earlier ones, and nothing of one that failed");
    }

    #[test]
    fn a_batch_that_takes_the_transaction_down_takes_no_other_with_it() {
        let mut connection = memory();
        connection.pragma_update(None, "max_page_count", 20).unwrap();
        let (answers, names) = write(&mut connection, vec![add("a", 10), add("b", 1_000_000), add("c", 10)]);
        assert!(matches!(&answers[..], [Ok(_), Err(DbError::Failed(_)), Ok(_)]), "{answers:?}");
        assert_eq!(names, ["a", "c"]);
    }
}
