//! SQLite as the Referral API's database.
//!
//! Invariant: nothing here knows a table. The SQL is `referral`'s; the migrations are `migrations/referral`, the same
//! files that D1 gets.

mod dump;
mod glances;
mod threads;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use referral::db::{BoxFut, Db, DbError, Rows, Stmt};
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::time::Instant;

use glances::Glances;
use threads::Threads;

pub use dump::{DumpError, Table, digests, export, from_d1, import};

/// Every migration, the oldest first. Forward only.
const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_init", include_str!("../../../migrations/referral/0001_init.sql")),
    ("0002_posting", include_str!("../../../migrations/referral/0002_posting.sql")),
    ("0003_credit", include_str!("../../../migrations/referral/0003_credit.sql")),
    ("0004_intake", include_str!("../../../migrations/referral/0004_intake.sql")),
    ("0005_people", include_str!("../../../migrations/referral/0005_people.sql")),
    ("0006_operations", include_str!("../../../migrations/referral/0006_operations.sql")),
    ("0007_shared", include_str!("../../../migrations/referral/0007_shared.sql")),
    ("0008_turns", include_str!("../../../migrations/referral/0008_turns.sql")),
    ("0009_reconciliation", include_str!("../../../migrations/referral/0009_reconciliation.sql")),
    ("0010_resolution", include_str!("../../../migrations/referral/0010_resolution.sql")),
    ("0011_accounts", include_str!("../../../migrations/referral/0011_accounts.sql")),
    ("0012_bank", include_str!("../../../migrations/referral/0012_bank.sql")),
    ("0013_sync", include_str!("../../../migrations/referral/0013_sync.sql")),
    ("0014_notes", include_str!("../../../migrations/referral/0014_notes.sql")),
    ("0015_resources", include_str!("../../../migrations/referral/0015_resources.sql")),
    ("0016_board", include_str!("../../../migrations/referral/0016_board.sql")),
];

/// Connections that read, beside the one that writes: a long look at all agencies must not hold up a click.
const READERS: usize = 3;

/// How SQLite behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As itself.
    Native,
    /// As D1 does: its limits, and integers bound as REAL. For tests: what passes here passes there.
    D1,
}

/// One database file. The last clone that goes waits for what was asked, and closes it.
#[derive(Clone)]
pub struct Sqlite {
    threads: Arc<Threads>,
    glances: Arc<Glances>,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder.
    #[error("the database {path} cannot be opened: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// A newer program has written it.
    #[error("the database {path} is of version {found}; this program knows {known}. Install the newer program.")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest that this program knows.
        known: usize,
    },
    /// A migration failed; nothing of it was done.
    #[error("the migration {name} failed on {path}: {reason}")]
    Migration {
        /// Which migration.
        name: &'static str,
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
}

impl Sqlite {
    /// Opens or creates a database file and brings it up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, profile: Profile) -> Result<Self, OpenError> {
        let file = |e: rusqlite::Error| OpenError::File { path: path.into(), reason: e.to_string() };
        // The writer first: it makes the file and brings it up to date.
        let mut writer = connect(path).map_err(file)?;
        migrate(&mut writer, path)?;
        // One in memory belongs to its connection alone.
        let readers = if path == Path::new(":memory:") { 0 } else { READERS };
        let readers = (0..readers).map(|_| {
            let reader = connect(path)?;
            reader.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -16384;")?;
            Ok(reader)
        });
        let readers = readers.collect::<rusqlite::Result<Vec<_>>>().map_err(file)?;
        for connection in readers.iter().chain([&writer]) {
            connection.set_prepared_statement_cache_capacity(256);
            if profile == Profile::D1 {
                limit_as_d1(connection).map_err(file)?;
            }
        }
        let threads = Threads::start(writer, readers, profile)
            .map_err(|e| OpenError::File { path: path.into(), reason: e.to_string() })?;
        Ok(Sqlite { threads: Arc::new(threads), glances: Arc::default() })
    }
}

/// Every commit is on disk when it is answered (`synchronous = FULL`).
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA cache_size = -65536;",
    )?;
    Ok(connection)
}

fn limit_as_d1(connection: &Connection) -> rusqlite::Result<()> {
    let limits = [
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
        (Limit::SQLITE_LIMIT_COLUMN, 100),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 5),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
        (Limit::SQLITE_LIMIT_LENGTH, 2_000_000),
    ];
    limits.into_iter().try_for_each(|(limit, value)| connection.set_limit(limit, value).map(drop))
}

impl Db for Sqlite {
    fn query(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>> {
        Box::pin(async move {
            if !is_select(&stmt.sql) {
                return only(self.threads.write(vec![stmt]).await?);
            }
            self.threads.settle().await?;
            only(self.threads.read(vec![stmt]).await?)
        })
    }

    fn glance(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>> {
        Box::pin(async move {
            if let Some(rows) = self.glances.known(&stmt) {
                return Ok(rows);
            }
            let asked = Instant::now();
            let rows = only(self.threads.read(vec![stmt.clone()]).await?)?;
            self.glances.keep(stmt, asked, &rows);
            Ok(rows)
        })
    }

    fn soon(&self, stmt: Stmt) -> BoxFut<'_, Result<(), DbError>> {
        Box::pin(self.threads.write_soon(stmt))
    }

    fn batch(&self, stmts: Vec<Stmt>) -> BoxFut<'_, Result<Vec<Rows>, DbError>> {
        Box::pin(self.threads.write(stmts))
    }
}

fn only(mut rows: Vec<Rows>) -> Result<Rows, DbError> {
    rows.pop().ok_or_else(|| DbError::Failed("a statement had no answer".into()))
}

/// What only reads need not wait for the writer. A `WITH` may lead on to either, and goes to the writer.
fn is_select(sql: &str) -> bool {
    sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"))
}

/// What a database file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Migrations that it has had.
    pub version: usize,
    /// What is damaged, as SQLite says it; empty for a sound file.
    pub damage: Vec<String>,
}

/// Migrations that this program knows.
pub const fn known_migrations() -> usize {
    MIGRATIONS.len()
}

/// Version of SQLite.
pub fn library_version() -> &'static str {
    rusqlite::version()
}

/// A connection that makes nothing and changes nothing: the file must be there, and stays of its version.
fn look_at(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 5000;")?;
    Ok(connection)
}

/// Looks whether a database file is sound (`quick_check` and references). It may be in use.
///
/// # Errors
/// It is not there, or no database.
pub fn check(path: &Path) -> Result<Checked, OpenError> {
    let run = || -> rusqlite::Result<Checked> {
        let connection = look_at(path)?;
        let version = connection.pragma_query_value(None, "user_version", |r| r.get::<_, u32>(0))? as usize;
        let mut damage = Vec::new();
        connection.pragma_query(None, "quick_check", |row| {
            damage.push(row.get::<_, String>(0)?);
            Ok(())
        })?;
        damage.retain(|said| said != "ok");
        connection.pragma_query(None, "foreign_key_check", |row| {
            damage.push(format!("a row of {} points at nothing", row.get::<_, String>(0)?));
            Ok(())
        })?;
        Ok(Checked { version, damage })
    };
    run().map_err(|e| OpenError::File { path: path.into(), reason: e.to_string() })
}

/// Copies a database, which may be in use, into a new file as of one instant. Writers are not held up. The copy is on
/// disk when this answers; it is of the version of the original.
///
/// # Errors
/// The original is not there, or the copy exists or cannot be written.
pub fn backup(from: &Path, to: &Path) -> Result<(), OpenError> {
    let file = |path: &Path, reason: String| OpenError::File { path: path.into(), reason };
    // SQLite writes into an empty file that is there; this one is for its owner alone and belongs to nobody else.
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(to).map_err(|e| file(to, e.to_string()))?;
    let copied = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|original| {
            original.busy_timeout(Duration::from_secs(5))?;
            original.execute("VACUUM INTO ?1", [to.to_string_lossy()])
        })
        .map_err(|e| file(from, e.to_string()))
        // `VACUUM INTO` leaves the last step to us.
        .and_then(|_| File::open(to).and_then(|f| f.sync_all()).map_err(|e| file(to, e.to_string())));
    if copied.is_err() {
        std::fs::remove_file(to).ok();
    }
    copied
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let file = |e: rusqlite::Error| OpenError::File { path: path.into(), reason: e.to_string() };
    let found: usize =
        connection.pragma_query_value(None, "user_version", |r| r.get::<_, u32>(0)).map_err(file)? as usize;
    if found > MIGRATIONS.len() {
        return Err(OpenError::Newer { path: path.into(), found, known: MIGRATIONS.len() });
    }
    for (n, (name, text)) in MIGRATIONS.iter().enumerate().skip(found) {
        let run = |c: &mut Connection| -> rusqlite::Result<()> {
            let transaction = c.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(text)?;
            transaction.pragma_update(None, "user_version", n as u32 + 1)?;
            transaction.commit()
        };
        run(connection).map_err(|e| OpenError::Migration { name, path: path.into(), reason: e.to_string() })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use referral::db::guard;
    use referral::sql;

    fn open(profile: Profile) -> (tempdir::Dir, Sqlite) {
        let dir = tempdir::Dir::new();
        let db = Sqlite::open(&dir.0.join("t.db"), profile).unwrap();
        (dir, db)
    }

    /// A folder that goes with the test.
    mod tempdir {
        use std::path::PathBuf;
        use std::sync::atomic::{AtomicU32, Ordering};
        static N: AtomicU32 = AtomicU32::new(0);
        pub(super) struct Dir(pub(super) PathBuf);
        impl Dir {
            pub(super) fn new() -> Self {
                let n = N.fetch_add(1, Ordering::Relaxed);
                let path = std::env::temp_dir().join(format!("aikit-sqlite-{}-{n}", std::process::id()));
                std::fs::create_dir_all(&path).unwrap();
                Dir(path)
            }
        }
        impl Drop for Dir {
            fn drop(&mut self) {
                let _ = std::fs::remove_dir_all(&self.0);
            }
        }
    }

    fn key(hash: &str) -> Stmt {
        sql!("INSERT INTO api_key (hash, id, kind, label, issued_ms) VALUES (?1, ?1, 'server', 'x', ?2)", hash, 5_i64)
    }

    #[tokio::test]
    async fn a_guard_that_does_not_hold_undoes_the_batch() {
        for profile in [Profile::Native, Profile::D1] {
            let (_dir, db) = open(profile);
            let holds = |n: i64| guard("(SELECT count(*) FROM api_key) = ?1", vec![n.into()]);
            db.batch(vec![holds(0), key("a")]).await.unwrap();
            let refused = db.batch(vec![key("b"), holds(5), key("c")]).await.unwrap_err();
            assert!(refused.is_guard(), "{refused}");
            let left = db.query(sql!("SELECT hash, issued_ms FROM api_key")).await.unwrap();
            assert_eq!(left.values, ["a".into(), 5_i64.into()]);
            let taken = db.query(key("a")).await.unwrap_err();
            assert!(matches!(taken, DbError::Constraint(_)) && !taken.is_guard(), "{taken}");
        }
    }

    #[tokio::test]
    async fn the_d1_profile_has_its_limits() {
        let (_dir, db) = open(Profile::D1);
        let many = Stmt { sql: format!("SELECT {}", vec!["?"; 101].join("+")).into(), params: vec![1_i64.into(); 101] };
        assert!(db.query(many).await.is_err());
        assert!(db.query(sql!("SELECT ?1 / 2 AS half", 5_i64)).await.is_err(), "a bound integer is REAL there");
        let half = db.query(sql!("SELECT CAST(?1 AS INTEGER) / 2 AS half", 5_i64)).await.unwrap();
        assert_eq!((half.columns, half.values), (vec!["half".to_owned()], vec![2_i64.into()]));
    }

    #[tokio::test]
    async fn what_is_written_soon_is_seen_by_whoever_asks_later_and_outlives_the_end() {
        let (dir, db) = open(Profile::Native);
        let count = || sql!("SELECT count(*) AS n FROM api_key");
        db.soon(key("a")).await.unwrap();
        assert_eq!(db.query(count()).await.unwrap().values, [1_i64.into()]);
        db.soon(key("b")).await.unwrap();
        let holds = guard("(SELECT count(*) FROM api_key) = 2", Vec::new());
        db.batch(vec![holds, key("c")]).await.unwrap();
        // One that is refused takes no other with it.
        for hash in ["d", "a", "e"] {
            db.soon(key(hash)).await.unwrap();
        }
        drop(db);
        let again = Sqlite::open(&dir.0.join("t.db"), Profile::Native).unwrap();
        assert_eq!(again.glance(count()).await.unwrap().values, [5_i64.into()]);
    }

    #[tokio::test]
    async fn a_glance_sees_what_was_there_a_second_ago_and_at_once_what_is_new() {
        let (_dir, db) = open(Profile::Native);
        let label = || sql!("SELECT label FROM api_key WHERE id = 'a'");
        let glance = async || db.glance(label()).await.unwrap().values;
        assert!(glance().await.is_empty());
        db.query(key("a")).await.unwrap();
        assert_eq!(glance().await, ["x".into()]);
        let changed = std::time::Instant::now();
        db.query(sql!("UPDATE api_key SET label = 'y'")).await.unwrap();
        while glance().await != ["y".into()] {
            assert!(changed.elapsed().as_millis() < 1_500, "no older than a second");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(db.query(label()).await.unwrap().values, ["y".into()]);
    }

    #[test]
    fn a_newer_database_is_not_touched() {
        let (dir, db) = open(Profile::Native);
        drop(db);
        Connection::open(dir.0.join("t.db")).unwrap().pragma_update(None, "user_version", 999).unwrap();
        let refused = Sqlite::open(&dir.0.join("t.db"), Profile::Native).err().unwrap();
        assert!(refused.to_string().contains("Install the newer program"), "{refused}");
    }
}
