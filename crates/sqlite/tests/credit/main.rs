//! Attribution, staff's decisions and the audit chain, over HTTP against the real router on SQLite with D1's limits.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[expect(dead_code, reason = "The audit chain needs a part of it.")]
mod api;
mod audit;
