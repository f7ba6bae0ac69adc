//! A database as text: SQL that SQLite and D1 run, and a digest of each table, by which two databases are compared.
//!
//! ```sql
//! -- AIKit Partners database, export 1, migrations 7
//! INSERT INTO "partner" ("code", …) VALUES ('PARTNER_…', …), …;
//! -- table partner 12 3b0c…     rows, and the SHA-256 of them as JSON arrays, a line each, in their order
//! -- end
//! ```
//!
//! A statement is one line and at most 100 kB long, which is what D1 takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::path::Path;

use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, TransactionBehavior};
use sha2::{Digest as _, Sha256};

use crate::{OpenError, Profile, Sqlite, connect, known_migrations, look_at};

/// Bytes of a statement from which on it takes no further row.
const STATEMENT: usize = 50_000;
/// Bytes of texts that are written at once. Quotes may double them.
const PIECE: usize = 40_000;
/// Bytes of a text that is never cut: names that others point at, states that are checked.
const SHORT: usize = 1_000;
/// Lines that are run. Whatever else a file holds does not belong there.
const RUN: [&str; 5] = ["INSERT INTO ", "UPDATE ", "DELETE FROM ", "DROP TRIGGER ", "CREATE TRIGGER "];

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of its rows in hex: each a JSON array of its values and a line feed, in the order they were added.
    pub sha256: String,
}

/// Why a database was not written as text, or not made of one.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite refused something.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The text cannot be read or written.
    #[error("the file cannot be read or written: {0}")]
    File(#[from] std::io::Error),
    /// A line of the text.
    #[error("line {line} {why}")]
    Line {
        /// Which line, from 1 on.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The database and the program, or the text and the program, are of different versions.
    #[error(
        "it has had {found} migrations and this program knows {known}: use the program that it belongs to, or let `serve` bring it up to date first"
    )]
    Version {
        /// Migrations that it has had.
        found: usize,
        /// Migrations that the program knows.
        known: usize,
    },
    /// What was made is not what the text says.
    #[error("{0}")]
    Differs(String),
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL, in one line and without a NUL: what would break it is put there by `replace`.
fn literal(text: &str) -> String {
    let mut inside = text.replace('\'', "''");
    let mut sql = String::new();
    let mut around = String::new();
    for (c, short, number) in [('\n', "~n", 10), ('\r', "~r", 13), ('\0', "~0", 0)] {
        if inside.contains(c) {
            let longer = (0..).map(|n| format!("~{number}.{n}~"));
            let unused = std::iter::once(short.to_owned()).chain(longer).find(|token| !inside.contains(token));
            let token = unused.unwrap_or_default();
            inside = inside.replace(c, &token);
            sql.insert_str(0, "replace(");
            let _infallible = write!(around, ",'{token}',char({number}))");
        }
    }
    sql + "'" + &inside + "'" + &around
}

/// The beginning of a text as SQL, for `room` bytes of it, and the rest.
fn first_of(text: &str, room: usize) -> (String, &str) {
    let (mut piece, mut rest) = text.split_at(text.floor_char_boundary(room));
    let mut sql = literal(piece);
    // Quotes and line feeds may double it; whatever takes more is rare, and is cut shorter.
    while sql.len() > 2 * room + 100 {
        (piece, rest) = text.split_at(text.floor_char_boundary(piece.len() / 2));
        sql = literal(piece);
    }
    (sql, rest)
}

struct Shape {
    name: String,
    columns: Vec<String>,
    /// What orders its rows as they were added.
    order: String,
    /// The columns of its key, where it has no numbers of rows.
    key: Vec<String>,
}

fn texts(connection: &Connection, sql: &str, of: &str) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map([of], |row| row.get(0))?.collect()
}

/// Every table, those first that others point at.
fn shapes(connection: &Connection) -> rusqlite::Result<Vec<Shape>> {
    const TABLES: &str =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name <> 'd1_migrations' AND ?1 = '' ORDER BY name";
    let mut left = texts(connection, TABLES, "")?;
    let mut ordered: Vec<Shape> = Vec::new();
    while !left.is_empty() {
        let before = left.len();
        for name in std::mem::take(&mut left) {
            let points_at = texts(connection, "SELECT \"table\" FROM pragma_foreign_key_list(?1)", &name)?;
            if points_at.iter().all(|other| *other == name || ordered.iter().any(|shape| shape.name == *other)) {
                let columns = texts(connection, "SELECT name FROM pragma_table_info(?1) ORDER BY cid", &name)?;
                let key = texts(connection, "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk", &name)?;
                let without_rowid =
                    texts(connection, "SELECT name FROM pragma_table_list WHERE name = ?1 AND wr = 1", &name)?;
                let (order, key) = match without_rowid.is_empty() {
                    true => ("rowid".to_owned(), Vec::new()),
                    false => (key.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", "), key),
                };
                ordered.push(Shape { name, columns, order, key });
            } else {
                left.push(name);
            }
        }
        if left.len() == before {
            return Err(rusqlite::Error::InvalidParameterName(format!(
                "tables point at each other: {}",
                left.join(", ")
            )));
        }
    }
    Ok(ordered)
}

/// What the database is made of, or its triggers alone: the SQL of each by name.
fn schema(connection: &Connection, kind: &str) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut select = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND (type = ?1 OR ?1 = '') ORDER BY name",
    )?;
    let one_line = |row: &Row| -> rusqlite::Result<(String, String)> {
        let sql: String = row.get(1)?;
        Ok((row.get(0)?, sql.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    select.query_map([kind], one_line)?.collect()
}

/// Goes through the rows of a table in their order; answers what it holds.
fn walk(
    connection: &Connection,
    shape: &Shape,
    mut each: impl FnMut(&[ValueRef<'_>]) -> Result<(), DumpError>,
) -> Result<Table, DumpError> {
    let columns = shape.columns.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(", ");
    let mut select =
        connection.prepare(&format!("SELECT {columns} FROM {} ORDER BY {}", quoted(&shape.name), shape.order))?;
    let (mut all, mut n, mut rows) = (Sha256::new(), 0, select.query([])?);
    while let Some(row) = rows.next()? {
        let values = (0..shape.columns.len()).map(|column| row.get_ref(column)).collect::<Result<Vec<_>, _>>()?;
        let mut canonical = Vec::with_capacity(values.len());
        for value in &values {
            canonical.push(match value {
                ValueRef::Null => serde_json::Value::Null,
                ValueRef::Integer(number) => (*number).into(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
                ValueRef::Real(_) | ValueRef::Blob(_) => {
                    return Err(DumpError::Differs(format!(
                        "a value of {} is neither an integer nor text",
                        shape.name
                    )));
                }
            });
        }
        all.update(serde_json::Value::from(canonical).to_string());
        all.update("\n");
        n += 1;
        each(&values)?;
    }
    Ok(Table { name: shape.name.clone(), rows: n, sha256: hex::encode(all.finalize()) })
}

/// What every table of a database holds, which may be in use.
///
/// # Errors
/// See [`DumpError`].
pub fn digests(path: &Path) -> Result<Vec<Table>, DumpError> {
    let mut connection = look_at(path).map_err(|e| OpenError::File { path: path.into(), reason: e.to_string() })?;
    let snapshot = connection.transaction()?;
    shapes(&snapshot)?.iter().map(|shape| walk(&snapshot, shape, |_| Ok(()))).collect()
}

/// Writes a database, which may be in use, as text as of one instant. It must have had every migration.
///
/// # Errors
/// See [`DumpError`].
pub fn export(from: &Path, to: &mut dyn Write) -> Result<Vec<Table>, DumpError> {
    let mut connection = look_at(from).map_err(|e| OpenError::File { path: from.into(), reason: e.to_string() })?;
    let snapshot = connection.transaction()?;
    let (found, known) =
        (snapshot.pragma_query_value(None, "user_version", |r| r.get::<_, u32>(0))? as usize, known_migrations());
    if found != known {
        return Err(DumpError::Version { found, known });
    }
    let (shapes, triggers) = (shapes(&snapshot)?, schema(&snapshot, "trigger")?);
    writeln!(to, "-- AIKit Partners database, export 1, migrations {known}")?;
    for name in triggers.keys() {
        writeln!(to, "DROP TRIGGER {};", quoted(name))?;
    }
    for shape in shapes.iter().rev() {
        writeln!(to, "DELETE FROM {};", quoted(&shape.name))?;
    }
    let mut tables = Vec::with_capacity(shapes.len());
    for shape in &shapes {
        let table = write_rows(&snapshot, shape, to)?;
        writeln!(to, "-- table {} {} {}", table.name, table.rows, table.sha256)?;
        tables.push(table);
    }
    // Numbers that were given once are not given again.
    let mut select = snapshot.prepare("SELECT name, seq FROM sqlite_sequence ORDER BY name")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (name, last) = (literal(&row.get::<_, String>(0)?), row.get::<_, i64>(1)?);
        writeln!(to, "DELETE FROM sqlite_sequence WHERE name = {name};")?;
        writeln!(to, "INSERT INTO sqlite_sequence (name, seq) VALUES ({name}, {last});")?;
    }
    for sql in triggers.values() {
        writeln!(to, "{sql};")?;
    }
    writeln!(to, "-- end")?;
    Ok(tables)
}

fn write_rows(connection: &Connection, shape: &Shape, to: &mut dyn Write) -> Result<Table, DumpError> {
    let (name, columns) = (quoted(&shape.name), shape.columns.iter().map(|c| quoted(c)).collect::<Vec<_>>());
    let head = format!("INSERT INTO {name} ({}) VALUES ", columns.join(", "));
    let mut statement = String::new();
    let end = |statement: &mut String, to: &mut dyn Write| -> std::io::Result<()> {
        if !statement.is_empty() {
            writeln!(to, "{head}{statement};")?;
            statement.clear();
        }
        Ok(())
    };
    let table = walk(connection, shape, |values| {
        let (mut row, mut more, mut room) = (Vec::with_capacity(values.len()), Vec::new(), PIECE);
        for (column, value) in columns.iter().zip(values) {
            row.push(match value {
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Text(text) => {
                    let text = String::from_utf8_lossy(text);
                    let (first, mut rest) = first_of(&text, room.max(SHORT));
                    room = room.saturating_sub(text.len() - rest.len());
                    while !rest.is_empty() {
                        let (piece, later) = first_of(rest, PIECE);
                        more.push((column, piece));
                        rest = later;
                    }
                    first
                }
                _ => "NULL".to_owned(),
            });
        }
        let written = row;
        let row = format!("({})", written.join(", "));
        if !statement.is_empty() && statement.len() + row.len() > STATEMENT {
            end(&mut statement, to)?;
        }
        statement.push_str(if statement.is_empty() { "" } else { ", " });
        statement.push_str(&row);
        if !more.is_empty() {
            end(&mut statement, to)?;
        }
        if more.is_empty() {
            return Ok(());
        }
        // Rows are written in their order, so the newest is the one with the greatest number.
        let mut this = format!("rowid = (SELECT max(rowid) FROM {name})");
        if !shape.key.is_empty() {
            if shape.key.iter().any(|key| more.iter().any(|(column, _)| **column == quoted(key))) {
                return Err(DumpError::Differs(format!("a key of {} is too long for a statement", shape.name)));
            }
            let keyed = shape.columns.iter().zip(&written).filter(|(column, _)| shape.key.contains(column));
            this =
                keyed.map(|(column, value)| format!("{} = {value}", quoted(column))).collect::<Vec<_>>().join(" AND ");
        }
        for (column, piece) in more {
            writeln!(to, "UPDATE {name} SET {column} = {column} || {piece} WHERE {this};")?;
        }
        Ok(())
    })?;
    end(&mut statement, to)?;
    Ok(table)
}

/// Makes a database at `into`, which must not be there, of what `wrangler d1 export` wrote: the whole of a D1 database as SQL.
/// It is only as good as that file: [`export`] and [`import`] of it check the rest.
///
/// # Errors
/// See [`DumpError`].
pub fn from_d1(from: &str, into: &Path) -> Result<(), DumpError> {
    let connection = Connection::open(into)?;
    // Nothing of the file reaches another database.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.execute_batch(&format!("BEGIN; {from}; COMMIT;"))?;
    let applied = "SELECT count(*) FROM d1_migrations";
    let applied: u32 = connection.query_row(applied, [], |row| row.get(0)).map_err(|_| {
        DumpError::Differs(
            "the file is not of a D1 database of the API: it names no migrations that were applied".into(),
        )
    })?;
    // D1's own tables.
    for name in texts(&connection, "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE ?1", "_cf_%")? {
        connection.execute_batch(&format!("DROP TABLE {}", quoted(&name)))?;
    }
    connection.execute_batch("DROP TABLE d1_migrations")?;
    connection.pragma_update(None, "user_version", applied)?;
    Ok(())
}

/// Makes a new database of text that [`export`] wrote, and looks whether every table holds what the text says. Where
/// something is wrong the file is left behind without a row of it.
///
/// # Errors
/// See [`DumpError`].
pub fn import(from: &mut dyn BufRead, into: &Path) -> Result<Vec<Table>, DumpError> {
    drop(Sqlite::open(into, Profile::Native)?);
    let mut connection = connect(into)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let stood = schema(&transaction, "")?;
    let (mut says, mut ended) = (Vec::new(), false);
    for (n, line) in from.lines().enumerate() {
        let (text, line) = (line?, n + 1);
        let wrong = |why: &str| DumpError::Line { line, why: why.into() };
        if ended {
            return Err(wrong("comes after the end"));
        }
        if line == 1 {
            let found =
                text.strip_prefix("-- AIKit Partners database, export 1, migrations ").and_then(|n| n.parse().ok());
            let found = found.ok_or_else(|| wrong("is not the first line of an export"))?;
            if found != known_migrations() {
                return Err(DumpError::Version { found, known: known_migrations() });
            }
        } else if text == "-- end" {
            ended = true;
        } else if let Some(table) = text.strip_prefix("-- table ") {
            let read = |text: &str| {
                let (name, rest) = text.split_once(' ')?;
                let (rows, sha256) = rest.split_once(' ')?;
                Some(Table { name: name.into(), rows: rows.parse().ok()?, sha256: sha256.into() })
            };
            says.push(read(table).ok_or_else(|| wrong("does not say what a table holds"))?);
        } else if RUN.iter().any(|begin| text.starts_with(begin)) {
            transaction.execute_batch(&text).map_err(|e| wrong(&format!("is refused: {e}")))?;
        } else {
            return Err(wrong("is not one that an export has"));
        }
    }
    if !ended {
        return Err(DumpError::Differs("the file is cut off: its last line is not `-- end`".into()));
    }
    if schema(&transaction, "")? != stood {
        return Err(DumpError::Differs("the file changes what the database is made of".into()));
    }
    let mut tables = Vec::new();
    for shape in shapes(&transaction)? {
        tables.push(walk(&transaction, &shape, |_| Ok(()))?);
    }
    if let Some(other) = tables.iter().find(|table| !says.contains(table)) {
        return Err(DumpError::Differs(format!("{} is not as the file says: it has {} rows", other.name, other.rows)));
    }
    if tables.len() != says.len() {
        return Err(DumpError::Differs("the file tells of tables that are not there".into()));
    }
    let dangling = texts(&transaction, "SELECT \"table\" FROM pragma_foreign_key_check WHERE ?1 = '' LIMIT 1", "")?;
    if let Some(name) = dangling.first() {
        return Err(DumpError::Differs(format!("a row of {name} points at nothing")));
    }
    transaction.commit()?;
    Ok(tables)
}
