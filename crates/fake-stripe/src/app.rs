//! What every handler shares: the state, the clock, one pooled client, and the locks between them.

use std::{
    collections::HashSet,
    fs::File,
    io::Write as _,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    error::ApiError,
    store::{Cause, Tx, letters},
};

/// The stand-in while it runs.
pub(crate) struct App {
    connection: Mutex<Connection>,
    /// Idempotency keys of the requests that are being carried out.
    pub(crate) in_flight: Mutex<HashSet<String>>,
    /// Held by whoever moves the clock.
    pub(crate) walking: tokio::sync::Mutex<()>,
    /// Held by whoever delivers events, so that they leave in order.
    pub(crate) delivering: tokio::sync::Mutex<()>,
    /// Wakes the background delivery.
    pub(crate) wake: Notify,
    /// One keep-alive client for every delivery.
    pub(crate) client: reqwest::Client,
    /// The stand-in's own address.
    pub(crate) base_url: String,
    seed: String,
    requests: AtomicU64,
    boot: String,
    /// Where everything that is said is written, a line of JSON each.
    exchanges: Option<Mutex<File>>,
}

impl App {
    /// Wraps an opened state. `boot` differs between runs, so that request ids do not repeat.
    pub(crate) fn new(
        connection: Connection,
        base_url: String,
        boot: String,
        exchanges: Option<File>,
    ) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(10))
            .build()
            .map_err(|error| format!("the client for webhooks cannot be made: {error}"))?;
        let seed = connection
            .query_row("SELECT value FROM meta WHERE name = 'seed'", [], |row| row.get(0))
            .map_err(|error| format!("it has no seed: {error}"))?;
        Ok(Self {
            connection: Mutex::new(connection),
            in_flight: Mutex::default(),
            walking: tokio::sync::Mutex::new(()),
            delivering: tokio::sync::Mutex::new(()),
            wake: Notify::new(),
            client,
            base_url,
            seed,
            requests: AtomicU64::new(0),
            boot,
            exchanges: exchanges.map(Mutex::new),
        })
    }

    /// Writes down what was said, where that is wanted.
    pub(crate) fn said(&self, what: impl FnOnce() -> Value) {
        let Some(file) = &self.exchanges else { return };
        let line = format!("{}\n", what());
        if let Err(error) = lock(file).write_all(line.as_bytes()) {
            tracing::warn!(%error, "an exchange could not be written down");
        }
    }

    /// A fresh `Request-Id`.
    pub(crate) fn request_id(&self) -> String {
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("req_{}", letters(&format!("{}/{}/{count}", self.seed, self.boot), 14))
    }

    /// Runs one transaction. It is committed when `work` succeeds and leaves no trace otherwise.
    pub(crate) fn transact<T>(
        &self,
        cause: &Cause,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut connection = lock(&self.connection);
        let transaction = connection.transaction()?;
        let now = stored_now(&transaction)?;
        let mut tx = Tx { sql: &transaction, now, cause, seed: &self.seed, base_url: &self.base_url };
        let done = work(&mut tx)?;
        transaction.commit()?;
        Ok(done)
    }

    /// The stand-in's instant, in seconds since 1970.
    pub(crate) fn now(&self) -> Result<i64, ApiError> {
        Ok(stored_now(&lock(&self.connection))?)
    }
}

/// A state that a panicking request left behind is still whole: every change is one transaction.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stored_now(connection: &Connection) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached("SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'now'")?;
    statement.query_row([], |row| row.get(0))
}
