//! What was answered a moment ago, for whoever asks the same again: a link that many follow is looked up once a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use referral::db::{Rows, Stmt};
use tokio::time::Instant;

/// How old an answer may be.
const FRESH: Duration = Duration::from_secs(1);
/// Answers that are kept; then all of them are forgotten.
const MOST: usize = 10_000;

#[derive(Default)]
pub(crate) struct Glances(Mutex<HashMap<Stmt, (Instant, Rows)>>);

impl Glances {
    /// The answer, if it was given within the last second.
    pub(crate) fn known(&self, stmt: &Stmt) -> Option<Rows> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(stmt).filter(|(since, _)| since.elapsed() < FRESH).map(|(_, rows)| rows.clone())
    }

    /// Keeps an answer to what was asked at an instant. What is not there may come any moment, and is not kept.
    pub(crate) fn keep(&self, stmt: Stmt, asked: Instant, rows: &Rows) {
        if rows.values.is_empty() {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(stmt, (asked, rows.clone()));
    }
}
