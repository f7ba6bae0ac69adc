//! What was done on this computer and is not in the copy yet: a file that is never thrown away.
//!
//! An act is on disk, and safe from a power cut, before anybody is told that it was done. It leaves when its effect is in the
//! copy, or when the person has seen why it was refused.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use partner::row_hash;
use rusqlite::{Connection, Row, params};
use serde_json::Value;
use wire::{ErrorBody, ErrorCode, Mutation};

use super::store::{self, Durability, Found};
use crate::config::StartError;

/// Every migration, the oldest first. Forward only.
const MIGRATIONS: [&str; 1] = [include_str!("../../../../migrations/desk/outbox_0001.sql")];
/// Acts that are sent at once.
pub(crate) const MOST: usize = 50;

/// An act.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Act {
    pub(crate) mid: String,
    /// Name of the call.
    pub(crate) name: String,
    /// Arguments of the call, those of its path included.
    pub(crate) args: Value,
    /// By the clock of this computer: for the list, and for nothing else.
    pub(crate) made_at: DateTime<Utc>,
    /// Why it will never be done.
    pub(crate) refused: Option<ErrorBody>,
}

impl Act {
    /// As it is sent.
    pub(crate) fn mutation(&self) -> Mutation {
        Mutation { mid: self.mid.clone(), name: self.name.clone(), args: self.args.clone() }
    }

    /// An argument that is a text.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.args.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// The file.
pub(crate) struct Outbox {
    connection: Connection,
}

impl Outbox {
    /// Opens the file at `path`, or begins one. A damaged one is kept under a name with the time `now`, which is answered too,
    /// and what can be read of it is taken over.
    pub(crate) fn open(path: &Path, now: DateTime<Utc>) -> Result<(Self, Option<PathBuf>), StartError> {
        store::check_sqlite(path)?;
        let files = |problem: String| StartError::Files { path: path.to_owned(), problem };
        if let Some(connection) = try_open(path).map_err(|e| files(e.to_string()))? {
            let outbox = Self { connection };
            match outbox.all() {
                Ok(_) => return Ok((outbox, None)),
                Err(error) if store::is_damage(&error) => {}
                Err(error) => return Err(files(error.to_string())),
            }
        }
        let aside = store::set_aside(path, now).map_err(|e| files(e.to_string()))?;
        let connection = try_open(path).map_err(|e| files(e.to_string()))?;
        let outbox =
            Self { connection: connection.ok_or_else(|| files("it is damaged as soon as it is made".into()))? };
        for act in salvage(&aside) {
            outbox.put(&act).map_err(|e| files(e.to_string()))?;
        }
        Ok((outbox, Some(aside)))
    }

    /// Writes an act down. It is on disk when this is answered. The same act twice is one.
    pub(crate) fn put(&self, act: &Act) -> rusqlite::Result<()> {
        let made_at = act.made_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (state, error) = stored(act.refused.as_ref());
        let args = act.args.to_string();
        let hash = seal([&act.mid, &act.name, &args, &made_at, state, error.as_deref().unwrap_or_default()]);
        let sql =
            "INSERT INTO outbox (mid, name, args, made_at, state, error, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                   ON CONFLICT (mid) DO NOTHING";
        let row = params![act.mid, act.name, args, made_at, state, error, hash];
        self.connection.prepare_cached(sql)?.execute(row).map(drop)
    }

    /// All that is in it, in the order in which it was done.
    pub(crate) fn all(&self) -> rusqlite::Result<Vec<Act>> {
        let sql = "SELECT mid, name, args, made_at, state, error, hash FROM outbox ORDER BY n";
        self.connection.prepare_cached(sql)?.query_map([], act)?.collect()
    }

    /// One act; none where it is done, or was dismissed.
    pub(crate) fn find(&self, mid: &str) -> rusqlite::Result<Option<Act>> {
        Ok(self.all()?.into_iter().find(|act| act.mid == mid))
    }

    /// Keeps an act that will never be done for the person to see.
    pub(crate) fn refuse(&self, mid: &str, error: &ErrorBody) -> rusqlite::Result<()> {
        let Some(act) = self.find(mid)? else { return Ok(()) };
        let act = Act { refused: Some(error.clone()), ..act };
        let made_at = act.made_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let (state, error) = stored(act.refused.as_ref());
        let args = act.args.to_string();
        let hash = seal([&act.mid, &act.name, &args, &made_at, state, error.as_deref().unwrap_or_default()]);
        let sql = "UPDATE outbox SET args = ?2, made_at = ?3, state = ?4, error = ?5, hash = ?6 WHERE mid = ?1";
        let row = params![mid, args, made_at, state, error, hash];
        self.connection.prepare_cached(sql)?.execute(row).map(drop)
    }

    /// Forgets an act.
    pub(crate) fn take(&self, mid: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached("DELETE FROM outbox WHERE mid = ?1")?.execute([mid]).map(drop)
    }

    /// Forgets an act that was refused.
    pub(crate) fn dismiss(&self, mid: &str) -> rusqlite::Result<()> {
        let sql = "DELETE FROM outbox WHERE mid = ?1 AND state = 'rejected'";
        self.connection.prepare_cached(sql)?.execute([mid]).map(drop)
    }
}

/// A connection to a file of this app's version or an earlier one; none where it is damaged, or of a newer app.
fn try_open(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let (connection, version) = match store::look(path, Durability::Power)? {
        Found::Version(connection, version) => (connection, version),
        Found::Damaged(_) => return Ok(None),
    };
    let Some(missing) = usize::try_from(version).ok().and_then(|done| MIGRATIONS.get(done..)) else { return Ok(None) };
    for migration in missing {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {migration} COMMIT;"))?;
    }
    Ok(Some(connection))
}

/// An act's state as it is stored.
fn stored(refused: Option<&ErrorBody>) -> (&'static str, Option<String>) {
    match refused {
        None => ("pending", None),
        Some(error) => ("rejected", serde_json::to_string(error).ok()),
    }
}

/// Hash of what a row says.
fn seal(parts: [&str; 6]) -> String {
    let [mid, name, rest @ ..] = parts;
    let rest = serde_json::json!(rest).to_string();
    row_hash(name, mid, &rest).map(|part| format!("{part:08x}")).concat()
}

fn act(row: &Row<'_>) -> rusqlite::Result<Act> {
    let (mid, name): (String, String) = (row.get(0)?, row.get(1)?);
    let (args, made_at): (String, String) = (row.get(2)?, row.get(3)?);
    let (state, error): (String, Option<String>) = (row.get(4)?, row.get(5)?);
    let unreadable = |column, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
    };
    let written: String = row.get(6)?;
    if seal([&mid, &name, &args, &made_at, &state, error.as_deref().unwrap_or_default()]) != written {
        return Err(unreadable(6, "it is not what was written".into()));
    }
    let refused = (state == "rejected").then(|| {
        let error = error.and_then(|error| serde_json::from_str(&error).ok());
        error.unwrap_or_else(|| ErrorBody::new(ErrorCode::Invalid, "It was refused, and why cannot be read any more."))
    });
    Ok(Act {
        mid,
        name,
        args: serde_json::from_str(&args).map_err(|e| unreadable(2, e.into()))?,
        made_at: DateTime::parse_from_rfc3339(&made_at).map_err(|e| unreadable(3, e.into()))?.to_utc(),
        refused,
    })
}

/// What can be read of a damaged file, row by row. The file stays as it is.
fn salvage(path: &Path) -> Vec<Act> {
    // A copy of it is read, because reading recovers a log, and that writes.
    let beside = path.with_extension("reading");
    let copied = store::parts(path)
        .iter()
        .zip(store::parts(&beside))
        .all(|(from, to)| !from.exists() || std::fs::copy(from, to).is_ok());
    let mut acts = Vec::new();
    if copied && let Ok(connection) = Connection::open(&beside) {
        // Once as the table has them, and once backwards, so that a bad place in the middle hides as little as may be.
        for order in ["ASC", "DESC"] {
            let sql = format!(
                "SELECT mid, name, args, made_at, state, error, hash FROM outbox NOT INDEXED ORDER BY n {order}"
            );
            let Ok(mut select) = connection.prepare(&sql) else { continue };
            let Ok(mut rows) = select.query([]) else { continue };
            while let Ok(Some(row)) = rows.next() {
                if let Ok(act) = act(row)
                    && partner::read_uuid(&act.mid).is_some()
                    && !acts.iter().any(|a: &Act| a.mid == act.mid)
                {
                    acts.push(act);
                }
            }
        }
    }
    let _ = store::remove(&beside);
    acts.sort_by(|a, b| a.made_at.cmp(&b.made_at).then_with(|| a.mid.cmp(&b.mid)));
    acts
}
