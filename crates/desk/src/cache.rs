//! Saved answers: one disposable SQLite file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde_json::Value;

use crate::config::StartError;

const FILE: &str = "answers.db";
const SET_ASIDE: &str = "answers-set-aside-";
const SCHEMA: &str = include_str!("../../../migrations/desk/0001_cache.sql");
/// The `user_version` that [`SCHEMA`] ends with.
const SCHEMA_VERSION: i64 = 1;

/// An answer as it was saved.
pub(crate) struct Saved {
    pub(crate) data: Value,
    pub(crate) as_of: DateTime<Utc>,
}

/// The file of saved answers.
pub(crate) struct Cache {
    folder: PathBuf,
    connection: Mutex<Connection>,
    /// The file that did not fit and was set aside at start.
    pub(crate) set_aside: Option<PathBuf>,
}

impl Cache {
    /// Opens the file in `folder`. One that is damaged, or has another version than this app knows, is set aside under
    /// a name with the time `now`, and a new one is begun.
    pub(crate) fn open(folder: &Path, now: DateTime<Utc>) -> Result<Self, StartError> {
        let path = folder.join(FILE);
        let files = |problem: String| StartError::Files { path: path.clone(), problem };
        let (connection, set_aside) = match connect(&path).map_err(|e| files(e.to_string()))? {
            Some(connection) => (connection, None),
            None => {
                let aside = set_aside(folder, now).map_err(|e| files(e.to_string()))?;
                let connection = connect(&path).map_err(|e| files(e.to_string()))?;
                let connection = connection.ok_or_else(|| files("it is damaged as soon as it is made".into()))?;
                (connection, Some(aside))
            }
        };
        Ok(Self { folder: folder.to_owned(), connection: Mutex::new(connection), set_aside })
    }

    pub(crate) fn save(&self, key: &Key, answer: &Value, as_of: DateTime<Utc>) -> rusqlite::Result<()> {
        let sql = "INSERT INTO saved_answer (account, call, args, body, as_of) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT DO UPDATE SET body = excluded.body, as_of = excluded.as_of";
        let as_of = as_of.to_rfc3339_opts(SecondsFormat::Millis, true);
        let row = params![key.account, key.call, key.args, answer.to_string(), as_of];
        self.lock().prepare_cached(sql)?.execute(row).map(drop)
    }

    /// The saved answer; none when there is none or it cannot be read.
    pub(crate) fn find(&self, key: &Key) -> Option<Saved> {
        let sql = "SELECT body, as_of FROM saved_answer WHERE account = ?1 AND call = ?2 AND args = ?3";
        let row = self.lock().query_row(sql, params![key.account, key.call, key.args], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        let (body, as_of) = row.optional().ok()??;
        let as_of = DateTime::parse_from_rfc3339(&as_of).ok()?.to_utc();
        Some(Saved { data: serde_json::from_str(&body).ok()?, as_of })
    }

    /// Deletes one saved answer.
    pub(crate) fn drop_answer(&self, key: &Key) -> rusqlite::Result<()> {
        let sql = "DELETE FROM saved_answer WHERE account = ?1 AND call = ?2 AND args = ?3";
        self.lock().execute(sql, params![key.account, key.call, key.args]).map(drop)
    }

    /// Deletes all that was saved for an account, in a way that leaves none of it in the files.
    pub(crate) fn forget(&self, account: &str) -> rusqlite::Result<()> {
        self.remove_set_aside();
        self.delete("DELETE FROM saved_answer WHERE account = ?1", &[account])
    }

    /// Deletes what was saved at `origin` for all accounts but `account`.
    pub(crate) fn keep_only(&self, origin: &str, account: Option<&str>) -> rusqlite::Result<()> {
        if account.is_none() {
            self.remove_set_aside();
        }
        let sql = "DELETE FROM saved_answer WHERE substr(account, 1, length(?1) + 1) = ?1 || ' ' AND account <> ?2";
        self.delete(sql, &[origin, account.unwrap_or_default()])
    }

    fn delete(&self, sql: &str, names: &[&str]) -> rusqlite::Result<()> {
        let connection = self.lock();
        if connection.execute(sql, rusqlite::params_from_iter(names))? > 0 {
            // `secure_delete` clears the pages, and this the log that has them still.
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    /// Files that were set aside go with the first account that is forgotten: they cannot be asked whose answers they
    /// hold.
    fn remove_set_aside(&self) {
        for path in files_set_aside(&self.folder) {
            let _ = std::fs::remove_file(path);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer is saved under.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) account: String,
    pub(crate) call: &'static str,
    pub(crate) args: String,
}

/// A connection to a file that fits, or `None` when the file is damaged or of another version.
fn connect(path: &Path) -> rusqlite::Result<Option<Connection>> {
    match try_connect(path) {
        Err(error) if is_damage(&error) => Ok(None),
        other => other,
    }
}

fn try_connect(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    // Only looked at so far: a file that does not fit is kept as it is.
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let fits = match (version, tables) {
        (SCHEMA_VERSION, _) => {
            connection.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0))? == "ok"
        }
        (0, 0) => true,
        _ => false,
    };
    if !fits {
        return Ok(None);
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    if version == 0 {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?;
    }
    Ok(Some(connection))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames the file and its log; answers the new name.
fn set_aside(folder: &Path, now: DateTime<Utc>) -> std::io::Result<PathBuf> {
    let name = format!("{SET_ASIDE}{}.db", now.format("%Y%m%dT%H%M%S%3fZ"));
    for end in ["-wal", "-shm", ""] {
        match std::fs::rename(folder.join(format!("{FILE}{end}")), folder.join(format!("{name}{end}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(folder.join(name))
}

fn files_set_aside(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|e| e.file_name().to_string_lossy().starts_with(SET_ASIDE)).map(|e| e.path()).collect()
}
