//! The threads that hold the connections: one writes, some read.
//!
//! **Group commit.** Batches that wait at the same moment are written in one transaction, so that they share one wait for
//! the disk. Each is a savepoint of its own: one whose guard does not hold fails alone. Each is answered after the commit,
//! so what was answered is on disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use referral::db::{DbError, Rows, Stmt, Val};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, TransactionBehavior, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use crate::Profile;

/// Jobs that may wait; whoever comes then waits for a place.
const QUEUE: usize = 1024;
/// Most batches of one transaction: how long the first of them may wait for the last.
const GROUP: usize = 256;

type Answer = Result<Vec<Rows>, DbError>;

/// Statements that are done together or not at all, and who asked.
struct Job {
    stmts: Vec<Stmt>,
    answer: oneshot::Sender<Answer>,
}

/// The threads and their queues.
pub(crate) struct Threads {
    /// To the writer, and to whichever reader is free.
    queues: Option<(mpsc::Sender<Job>, mpsc::Sender<Job>)>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a thread for each connection. Without readers the writer reads as well.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(mut writer: Connection, readers: Vec<Connection>, profile: Profile) -> std::io::Result<Self> {
        let (write, mut writes) = mpsc::channel(QUEUE);
        let (mut read, reads) = mpsc::channel::<Job>(QUEUE);
        if readers.is_empty() {
            read = write.clone();
        }
        let mut handles = vec![Builder::new().name("sqlite-write".into()).spawn(move || {
            let mut group = Vec::with_capacity(GROUP);
            while writes.blocking_recv_many(&mut group, GROUP) > 0 {
                write_group(&mut writer, &mut group, profile);
            }
        })?];
        let reads = Arc::new(Mutex::new(reads));
        for reader in readers {
            let reads = reads.clone();
            handles.push(Builder::new().name("sqlite-read".into()).spawn(move || {
                // One waits at the queue, the others for its place there.
                let next = || reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                while let Some(Job { stmts, answer }) = next() {
                    answer.send(run_all(&reader, &stmts, profile)).ok();
                }
            })?);
        }
        Ok(Threads { queues: Some((write, read)), handles })
    }

    /// All or nothing, in order; on disk when this answers.
    pub(crate) async fn write(&self, stmts: Vec<Stmt>) -> Answer {
        ask(self.queues.as_ref().map(|(write, _)| write), stmts).await
    }

    /// What only reads; it sees everything that was answered before it was asked.
    pub(crate) async fn read(&self, stmts: Vec<Stmt>) -> Answer {
        ask(self.queues.as_ref().map(|(_, read)| read), stmts).await
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Without a sender each thread does what was asked, and ends.
        self.queues = None;
        for handle in self.handles.drain(..) {
            handle.join().ok();
        }
    }
}

async fn ask(queue: Option<&mpsc::Sender<Job>>, stmts: Vec<Stmt>) -> Answer {
    let ended = || DbError::Failed("its thread has ended".into());
    let (answer, answered) = oneshot::channel();
    queue.ok_or_else(ended)?.send(Job { stmts, answer }).await.map_err(|_| ended())?;
    answered.await.unwrap_or_else(|_| Err(ended()))
}

/// Writes the batches of a group and answers each.
fn write_group(connection: &mut Connection, group: &mut Vec<Job>, profile: Profile) {
    let answers = write_together(connection, group, profile).unwrap_or_else(|_| {
        // Nothing of it was done: a full disk, for one, takes back the whole transaction. The batch that brings it about
        // must fail alone.
        let alone = |job| write_together(connection, std::slice::from_ref(job), profile);
        group.iter().map(alone).map(|answer| answer.and_then(|mut only| only.pop().unwrap_or(Ok(Vec::new())))).collect()
    });
    for (job, answer) in group.drain(..).zip(answers) {
        job.answer.send(answer).ok();
    }
}

/// One transaction of several batches: what each is answered.
///
/// # Errors
/// The transaction as a whole did not come about, and nothing of any batch was done.
fn write_together(connection: &mut Connection, group: &[Job], profile: Profile) -> Result<Vec<Answer>, DbError> {
    let mut transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        // Somebody else's lock: no batch would fare better alone.
        Err(error) => return Ok(vec![Err(failed(error)); group.len()]),
    };
    let mut answers = Vec::with_capacity(group.len());
    for job in group {
        let savepoint = transaction.savepoint().map_err(failed)?;
        let answer = run_all(&savepoint, &job.stmts, profile);
        // Unless it is committed, its end takes it back.
        if answer.is_ok() { savepoint.commit() } else { savepoint.finish() }.map_err(failed)?;
        answers.push(answer);
    }
    transaction.commit().map_err(failed)?;
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
                (Job { stmts, answer }, answered)
            })
            .unzip();
        write_group(connection, &mut group, Profile::Native);
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
