//! The copy of an agency's records on this computer: one disposable SQLite file.
//!
//! Pages of a pull go to `staging`. Only when the last is there, and what the copy would then be adds up to what the API says,
//! it becomes the copy, in one transaction with where it stands. What is read is read whole and added up again, so that a file
//! that was damaged shows nothing instead of something wrong.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use partner::{SCHEMA, Slice, SliceError, Sum, row_hash};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use wire::{PullQuery, Pulled, SyncHead};

use super::store::{self, Durability, Found};
use crate::config::StartError;

const TABLES: &str = include_str!("../../../../migrations/desk/copy_0001.sql");
/// The `user_version` that [`TABLES`] ends with.
const VERSION: i64 = 1;
/// Rows of a page that are asked for.
const PAGE_ROWS: u32 = 2_000;
/// Memory for pages of the file, in KiB: random ids are put in order in it.
const CACHE_KIB: i64 = 65_536;

/// Why nothing can be said of a copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The file is not what was written: it is set aside, and the copy made anew.
    #[error("the copy is damaged: {0}")]
    Damaged(String),
    /// The computer: a full disk, missing rights.
    #[error("the copy cannot be used: {0}")]
    Files(String),
}

impl From<rusqlite::Error> for CopyError {
    fn from(error: rusqlite::Error) -> Self {
        if store::is_damage(&error) { Self::Damaged(error.to_string()) } else { Self::Files(error.to_string()) }
    }
}

impl From<SliceError> for CopyError {
    fn from(error: SliceError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Where a copy stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// The copy; none before the first pull has ended.
    pub(crate) copy: Option<Stand>,
    /// A pull that has not ended.
    pub(crate) staged: Option<Staged>,
    /// Twice in a row what came did not add up: nothing is shown.
    #[serde(default)]
    pub(crate) distrusted: bool,
    /// Form of the rows.
    schema: u32,
}

/// The moment that a copy is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stand {
    pub(crate) epoch: String,
    pub(crate) cursor: i64,
    /// By the API's clock.
    pub(crate) as_of: DateTime<Utc>,
    pub(crate) rows: i64,
    sum: Sum,
}

impl Stand {
    /// Another moment may be of the same records: then nothing changed in between.
    pub(crate) fn is_of_the_same_records(&self, other: &Stand) -> bool {
        (&self.epoch, self.cursor, self.sum) == (&other.epoch, other.cursor, other.sum)
    }
}

/// How far a pull has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Staged {
    /// It brings all rows, and not only what changed.
    pub(crate) whole: bool,
    epoch: String,
    start: i64,
    next: i64,
    /// Rows that have come.
    pub(crate) come: i64,
    /// Rows that the whole copy will have, as it looks now.
    pub(crate) of: i64,
}

/// What became of the pages of a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// They are the copy now; so many rows changed.
    Swapped(usize),
    /// They do not add up to what the API says. They are thrown away, and the copy is what it was.
    Mismatch,
}

/// How a copy is kept in tests that must find out that it is kept wrongly.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Design {
    /// Each page is shown as soon as it has come; so there is nothing that it could add up to.
    pub(crate) page_by_page: bool,
    /// Nothing is added up.
    pub(crate) without_sum: bool,
}

/// The file.
pub(crate) struct Copy {
    connection: Connection,
    path: PathBuf,
    meta: Meta,
    #[cfg(test)]
    pub(crate) design: Design,
}

impl Copy {
    /// Opens the file at `path`, or begins one. One of another version makes way for a new one, which is built beside it; a
    /// damaged one is set aside under a name with the time `now`, which is answered too.
    pub(crate) fn open(path: &Path, now: DateTime<Utc>) -> Result<(Self, Option<PathBuf>), StartError> {
        store::check_sqlite(path)?;
        let files = |problem: String| StartError::Files { path: path.to_owned(), problem };
        match Self::try_open(path) {
            Ok(copy) => Ok((copy, None)),
            Err(CopyError::Files(problem)) => Err(files(problem)),
            Err(CopyError::Damaged(_)) => {
                let aside = store::set_aside(path, now).map_err(|e| files(e.to_string()))?;
                let copy = Self::try_open(path).map_err(|e| files(e.to_string()))?;
                Ok((copy, Some(aside)))
            }
        }
    }

    fn try_open(path: &Path) -> Result<Self, CopyError> {
        let connection = match store::look(path, Durability::App)? {
            Found::Version(connection, VERSION) => connection,
            Found::Version(connection, 0) => {
                connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} COMMIT;"))?;
                connection
            }
            Found::Version(other, _) => {
                drop(other);
                build_beside(path)?
            }
            Found::Damaged(what) => return Err(CopyError::Damaged(what)),
        };
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        let mut copy = Self {
            connection,
            path: path.to_owned(),
            meta: Meta::default(),
            #[cfg(test)]
            design: Design::default(),
        };
        copy.meta = copy.read_meta()?;
        copy.connection.prepare_cached(OLD_BODY)?;
        copy.connection.prepare_cached(PUT_STAGED)?;
        if copy.meta.schema != SCHEMA {
            copy.begin_anew_of_schema()?;
        }
        Ok(copy)
    }

    /// Sets the file aside and begins another, while the app runs.
    pub(crate) fn replace(self, now: DateTime<Utc>) -> Result<(Self, Option<PathBuf>), StartError> {
        let path = self.path.clone();
        drop(self.connection);
        let aside = store::set_aside(&path, now)
            .map_err(|e| StartError::Files { path: path.clone(), problem: e.to_string() })?;
        let (copy, _) = Self::open(&path, now)?;
        Ok((copy, Some(aside)))
    }

    /// Where the copy stands.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    fn read_meta(&self) -> Result<Meta, CopyError> {
        let row = self.connection.query_row("SELECT body, hash FROM meta WHERE n = 1", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        let Some((body, hash)) = row.optional()? else {
            let some: i64 = self.connection.query_row("SELECT count(*) FROM row", [], |row| row.get(0))?;
            // Rows without a word on where they stand.
            return if some == 0 {
                Ok(Meta { schema: SCHEMA, ..Meta::default() })
            } else {
                Err(CopyError::Damaged("it does not say of when it is".into()))
            };
        };
        if seal(&body) != hash {
            return Err(CopyError::Damaged("where it stands is not what was written".into()));
        }
        serde_json::from_str(&body).map_err(|e| CopyError::Damaged(e.to_string()))
    }

    /// Writes where the copy stands, in the transaction that is open or by itself.
    fn write_meta(&mut self, meta: Meta) -> Result<(), CopyError> {
        let body = serde_json::to_string(&meta).map_err(|e| CopyError::Files(e.to_string()))?;
        self.connection
            .prepare_cached(
                "INSERT INTO meta (n, body, hash) VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE SET body = ?1, hash = ?2",
            )?
            .execute(params![body, seal(&body)])?;
        self.meta = meta;
        Ok(())
    }

    /// Does all of `change` or nothing; what is in memory goes along.
    fn whole<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T, CopyError>) -> Result<T, CopyError> {
        let before = self.meta.clone();
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = change(self).and_then(|done| {
            self.connection.execute_batch("COMMIT")?;
            Ok(done)
        });
        if done.is_err() {
            self.meta = before;
            // Some errors have ended the transaction already.
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("ROLLBACK")?;
            }
        }
        done
    }

    /// What to ask for next.
    pub(crate) fn query(&self, statement: bool) -> PullQuery {
        let (epoch, cursor, start) = match (&self.meta.staged, &self.meta.copy) {
            (Some(s), _) => (Some(s.epoch.clone()), s.next, Some(s.start)),
            (None, Some(copy)) if !self.meta.distrusted => (Some(copy.epoch.clone()), copy.cursor, None),
            _ => (None, 0, None),
        };
        let epoch = epoch.filter(|_| cursor > 0);
        PullQuery {
            epoch,
            cursor,
            start: start.filter(|_| cursor > 0),
            schema: SCHEMA,
            limit: Some(PAGE_ROWS),
            statement,
        }
    }

    /// Throws away what has come of a pull, so that the next begins with the first row.
    pub(crate) fn begin_anew(&mut self) -> Result<(), CopyError> {
        self.whole(|copy| {
            copy.connection.execute("DELETE FROM staging", [])?;
            let staged = Staged { whole: true, epoch: String::new(), start: 0, next: 0, come: 0, of: 0 };
            let meta = Meta { staged: Some(staged), ..copy.meta.clone() };
            copy.write_meta(meta)
        })
    }

    /// A copy in another form of rows is none.
    fn begin_anew_of_schema(&mut self) -> Result<(), CopyError> {
        self.whole(|copy| {
            copy.connection.execute_batch("DELETE FROM staging; DELETE FROM row;")?;
            copy.write_meta(Meta { schema: SCHEMA, ..Meta::default() })
        })
    }

    /// Keeps a page that answers [`Self::query`].
    pub(crate) fn stage(&mut self, asked: &PullQuery, page: &Pulled) -> Result<(), CopyError> {
        self.whole(|copy| {
            // A pull that begins with the first row brings a whole copy.
            let whole = asked.cursor == 0 || copy.meta.staged.as_ref().is_some_and(|s| s.whole);
            let come = match &copy.meta.staged {
                Some(staged) if asked.cursor > 0 => staged.come,
                _ => {
                    copy.connection.execute("DELETE FROM staging", [])?;
                    0
                }
            };
            {
                let mut put = copy.connection.prepare_cached(PUT_STAGED)?;
                let mut take = copy.connection.prepare_cached("DELETE FROM staging WHERE kind = ?1 AND id = ?2")?;
                for row in &page.rows {
                    if row.body.is_none() && whole {
                        take.execute(params![row.kind, row.id])?;
                    } else {
                        put.execute(params![row.kind, row.id, row.body])?;
                    }
                }
            }
            let come = come.saturating_add(i64::try_from(page.rows.len()).unwrap_or(i64::MAX));
            let (epoch, start, next) = (page.epoch.clone(), page.start, page.next);
            let staged = Staged { whole, epoch, start, next, come, of: page.head.rows };
            let meta = Meta { staged: Some(staged), ..copy.meta.clone() };
            copy.write_meta(meta)
        })
    }

    /// Makes what has come the copy, if it adds up to what the API says beside the last page.
    pub(crate) fn settle(&mut self, last: &Pulled) -> Result<Settled, CopyError> {
        self.whole(|copy| {
            let Some(staged) = copy.meta.staged.clone() else { return Ok(Settled::Mismatch) };
            let before = copy.meta.copy.as_ref().filter(|_| !staged.whole);
            let (rows, sum, changed) = copy.would_be(before)?;
            let head = SyncHead { seq: last.head.seq, rows, sum: sum.0 };
            if !copy.agrees(&head, &last.head) {
                copy.connection.execute("DELETE FROM staging", [])?;
                let meta = Meta { staged: None, ..copy.meta.clone() };
                copy.write_meta(meta)?;
                return Ok(Settled::Mismatch);
            }
            if staged.whole {
                copy.connection.execute_batch(SWAP_ALL)?;
            } else if changed > 0 {
                copy.connection.execute_batch(SWAP_CHANGED)?;
            }
            let stand = Stand { epoch: last.epoch.clone(), cursor: last.next, as_of: last.as_of, rows, sum };
            copy.write_meta(Meta { copy: Some(stand), staged: None, distrusted: false, schema: SCHEMA })?;
            Ok(Settled::Swapped(changed))
        })
    }

    /// What the copy would add up to with what is staged, from the bytes as they are on disk; and how many rows would change.
    fn would_be(&self, before: Option<&Stand>) -> Result<(i64, Sum, usize), CopyError> {
        let (mut rows, mut sum) = before.map_or((0, Sum::default()), |b| (b.rows, b.sum));
        let mut changed = 0;
        let mut staged = self.connection.prepare_cached("SELECT kind, id, body FROM staging")?;
        let mut old = self.connection.prepare_cached(OLD_BODY)?;
        let mut staged = staged.query([])?;
        while let Some(row) = staged.next()? {
            let (kind, id) = (row.get_ref(0)?.as_str().map_err(odd)?, row.get_ref(1)?.as_str().map_err(odd)?);
            let body = row.get_ref(2)?.as_str_or_null().map_err(odd)?;
            if before.is_some() {
                let was: Option<String> = old.query_row(params![kind, id], |row| row.get(0)).optional()?;
                if let Some(was) = was {
                    sum.remove(row_hash(kind, id, &was));
                    rows -= 1;
                }
            }
            if let Some(body) = body {
                sum.add(row_hash(kind, id, body));
                rows += 1;
            }
            changed += 1;
        }
        Ok((rows, sum, changed))
    }

    fn agrees(&self, ours: &SyncHead, said: &SyncHead) -> bool {
        #[cfg(test)]
        if self.design != Design::default() {
            return true;
        }
        ours == said
    }

    /// Nothing of the copy is shown until one has come that adds up.
    pub(crate) fn distrust(&mut self) -> Result<(), CopyError> {
        let meta = Meta { distrusted: true, staged: None, ..self.meta.clone() };
        self.whole(|copy| copy.write_meta(meta))
    }

    /// The records, if they are to the byte what was swapped in.
    pub(crate) fn slice(&self) -> Result<Option<Slice>, CopyError> {
        let Some(stand) = self.meta.copy.as_ref().filter(|_| !self.meta.distrusted) else { return Ok(None) };
        let rows = self.rows()?;
        let mut sum = Sum::default();
        rows.iter().for_each(|(kind, id, body)| sum.add(row_hash(kind, id, body)));
        let adds_up = sum == stand.sum && i64::try_from(rows.len()) == Ok(stand.rows);
        #[cfg(test)]
        let adds_up = adds_up || self.design != Design::default();
        if !adds_up || self.read_meta()? != self.meta {
            return Err(CopyError::Damaged("its records are not what was written".into()));
        }
        Ok(Some(Slice::read(rows.iter().map(|(kind, id, body)| (kind.as_str(), id.as_str(), body.as_str())))?))
    }

    /// Kind, id and body of each record.
    pub(crate) fn rows(&self) -> Result<Vec<(String, String, String)>, CopyError> {
        // In the order of the table: an index that was damaged leaves nothing out.
        let mut rows = self.connection.prepare_cached("SELECT kind, id, body FROM row NOT INDEXED")?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Whether there is a record of that name.
    pub(crate) fn body(&self, kind: &str, id: &str) -> Result<Option<String>, CopyError> {
        Ok(self.connection.prepare_cached(OLD_BODY)?.query_row(params![kind, id], |row| row.get(0)).optional()?)
    }
}

const OLD_BODY: &str = "SELECT body FROM row WHERE kind = ?1 AND id = ?2";
const PUT_STAGED: &str =
    "INSERT INTO staging (kind, id, body) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET body = excluded.body";
/// Whole tables change places: nothing is written twice.
const SWAP_ALL: &str = "DROP TABLE row; ALTER TABLE staging RENAME TO row;
    CREATE TABLE staging (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT, PRIMARY KEY (kind, id)) STRICT;";
const SWAP_CHANGED: &str = "DELETE FROM row WHERE (kind, id) IN (SELECT kind, id FROM staging WHERE body IS NULL);
    INSERT INTO row (kind, id, body) SELECT kind, id, body FROM staging WHERE body IS NOT NULL
        ON CONFLICT DO UPDATE SET body = excluded.body;
    DELETE FROM staging;";

fn odd(error: rusqlite::types::FromSqlError) -> CopyError {
    CopyError::Damaged(error.to_string())
}

/// Of what is written beside the rows, so that damage is seen.
fn seal(body: &str) -> String {
    row_hash("meta", "", body).map(|part| format!("{part:08x}")).concat()
}

/// A new file in the place of one of another version: it is whole before it is there.
fn build_beside(path: &Path) -> Result<Connection, CopyError> {
    let files = |error: std::io::Error| CopyError::Files(error.to_string());
    let beside = path.with_extension("db.new");
    store::remove(&beside).map_err(files)?;
    let new = Connection::open(&beside)?;
    new.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} COMMIT;"))?;
    new.close().map_err(|(_, error)| error)?;
    store::remove(path).map_err(files)?;
    std::fs::rename(&beside, path).map_err(files)?;
    match store::look(path, Durability::App)? {
        Found::Version(connection, VERSION) => Ok(connection),
        _ => Err(CopyError::Files("a new file is not what was written".into())),
    }
}
