//! The database port: SQL text in, rows out. Every statement of the product is written once, in this crate.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

pub use crate::rows::Rows;

/// A boxed future, so that ports are object safe and handlers are not generic.
pub type BoxFut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A value to bind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Val {
    /// NULL.
    Null,
    /// An integer within ±2^53. D1 binds it as REAL: compare it with INTEGER columns or `CAST` it.
    Int(i64),
    /// Text.
    Text(String),
}

impl From<i64> for Val {
    fn from(v: i64) -> Self {
        Val::Int(v)
    }
}
impl From<u32> for Val {
    fn from(v: u32) -> Self {
        Val::Int(v.into())
    }
}
impl From<bool> for Val {
    fn from(v: bool) -> Self {
        Val::Int(v.into())
    }
}
impl From<&str> for Val {
    fn from(v: &str) -> Self {
        Val::Text(v.into())
    }
}
impl From<String> for Val {
    fn from(v: String) -> Self {
        Val::Text(v)
    }
}
impl From<&String> for Val {
    fn from(v: &String) -> Self {
        Val::Text(v.clone())
    }
}
impl<T: Into<Val>> From<Option<T>> for Val {
    fn from(v: Option<T>) -> Self {
        v.map_or(Val::Null, Into::into)
    }
}

/// One statement: at most 100 parameters and 100 kB of text, no `BEGIN` (D1's limits).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stmt {
    /// SQL text.
    pub sql: Cow<'static, str>,
    /// Values of `?1`, `?2`, ….
    pub params: Vec<Val>,
}

/// `sql!("… ?1 …", a, b)`: a statement with its values.
#[macro_export]
macro_rules! sql {
    ($text:expr $(, $value:expr)* $(,)?) => {
        $crate::db::Stmt { sql: ::std::borrow::Cow::Borrowed($text), params: vec![$($crate::db::Val::from($value)),*] }
    };
}

/// Why the database did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DbError {
    /// A constraint refused it: a guard, a unique key, a reference. Nothing of the batch was done.
    #[error("a constraint refused it: {0}")]
    Constraint(String),
    /// A row does not have the expected columns.
    #[error("a row has another shape than expected: {0}")]
    Shape(String),
    /// Anything else: the file, the disk, the network.
    #[error("the database failed: {0}")]
    Failed(String),
}

impl DbError {
    /// A guard statement of the batch did not hold.
    pub fn is_guard(&self) -> bool {
        matches!(self, DbError::Constraint(text) if text.contains("holds = 1") || text.contains("guard"))
    }
}

/// The database of a host.
pub trait Db: Send + Sync + 'static {
    /// One statement by itself.
    fn query(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>>;

    /// A statement that only reads and whose answer may be a second old. What nobody finds is looked for each time.
    fn glance(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>> {
        self.query(stmt)
    }

    /// A statement that writes, is on disk within a second of the answer, and is seen by every [`Db::query`] and
    /// [`Db::batch`] that is asked after it. That it was refused nobody is told: it must be one that cannot be.
    fn soon(&self, stmt: Stmt) -> BoxFut<'_, Result<(), DbError>> {
        Box::pin(async move { self.query(stmt).await.map(drop) })
    }

    /// All or nothing, in order. There is no interactive transaction: what a batch relies on is a [`guard`] in it.
    fn batch(&self, stmts: Vec<Stmt>) -> BoxFut<'_, Result<Vec<Rows>, DbError>>;
}

/// A statement that fails its batch unless `condition`, an SQL expression over `params`, holds.
pub fn guard(condition: &str, params: Vec<Val>) -> Stmt {
    Stmt { sql: Cow::Owned(format!("INSERT INTO guard (holds) SELECT 0 WHERE NOT ({condition})")), params }
}
