//! A SQLite file of the app's own: opened, looked at before anything is trusted, and set aside when it is damaged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode};

use crate::config::StartError;

/// SQLite before this could lose what a checkpoint was writing (3.51.3 mended it).
const OLDEST_SQLITE: i32 = 3_051_003;

/// How much a file must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// A crash of the app. It can be made again after a power cut.
    App,
    /// A power cut too.
    Power,
}

/// What was found at a path.
pub(crate) enum Found {
    /// A file of ours, or none so far: then it is empty.
    Version(Connection, i64),
    /// Something that cannot be read as a database.
    Damaged(String),
}

/// Opens a file and looks through it. Nothing of it is changed.
pub(crate) fn look(path: &Path, durability: Durability) -> rusqlite::Result<Found> {
    match try_look(path, durability) {
        Err(error) if is_damage(&error) => Ok(Found::Damaged(error.to_string())),
        other => other,
    }
}

fn try_look(path: &Path, durability: Durability) -> rusqlite::Result<Found> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(2))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 {
        let said: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if said != "ok" {
            return Ok(Found::Damaged(said));
        }
        if version == 0 {
            return Ok(Found::Damaged("it is another program's".into()));
        }
    } else if version != 0 {
        return Ok(Found::Damaged("its tables are gone".into()));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if durability == Durability::Power { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(Found::Version(connection, version))
}

/// Not the computer's trouble, such as a full disk, but the file's.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            // An unknown error is a table or a column that is not there; a file that says that it is of a newer format
            // can only be read.
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::TypeMismatch
                | ErrorCode::ConstraintViolation
                | ErrorCode::ReadOnly
                | ErrorCode::Unknown
        ),
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}

/// The SQLite that is built in is one that is safe.
pub(crate) fn check_sqlite(path: &Path) -> Result<(), StartError> {
    if rusqlite::version_number() >= OLDEST_SQLITE {
        return Ok(());
    }
    let problem = format!("SQLite {} is too old for them", rusqlite::version());
    Err(StartError::Files { path: path.to_owned(), problem })
}

/// The files of a database, its own last.
pub(crate) fn parts(path: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", ""].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    })
}

/// Deletes a database. One that is not there is deleted already.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    for part in parts(path) {
        match std::fs::remove_file(part) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What the names of files that were set aside begin with, beside `path`.
pub(crate) fn aside_prefix(path: &Path) -> String {
    format!("{}-set-aside-", path.file_stem().unwrap_or_default().to_string_lossy())
}

/// Renames a database and its log; answers the new name. A name that is taken is not taken again.
pub(crate) fn set_aside(path: &Path, now: DateTime<Utc>) -> std::io::Result<PathBuf> {
    let name = format!("{}{}", aside_prefix(path), now.format("%Y%m%dT%H%M%S%3fZ"));
    let free = (0..).map(|n| path.with_file_name(if n == 0 { format!("{name}.db") } else { format!("{name}-{n}.db") }));
    let aside = free.into_iter().find(|to| !to.exists()).unwrap_or_else(|| path.with_extension("aside"));
    for (from, to) in parts(path).iter().zip(parts(&aside)) {
        match std::fs::rename(from, to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// Databases in a folder whose names begin like this, their logs left out.
pub(crate) fn beginning_with(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|e| {
        let name = e.file_name().to_string_lossy().into_owned();
        name.starts_with(prefix) && name.ends_with(".db")
    });
    ours.map(|e| e.path()).collect()
}
