//! Sign-in, sessions, roles and keys: the real router on a SQLite file with D1's limits.
#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

mod api;
mod at_the_door;
#[path = "../common/cases.rs"]
mod cases;
#[path = "../common/database.rs"]
mod database;
mod issuer;
mod oidc;
mod roles;
mod sessions;
