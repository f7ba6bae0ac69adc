//! Attribution, staff's decisions and the audit chain, over HTTP against the real router on SQLite with D1's limits.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

mod api;
mod attribution;
mod audit;
#[path = "../common/database.rs"]
mod database;
mod hostile;
mod pages;
mod staff;
