//! Sign-in, sessions, roles and keys: the real router on a SQLite file with D1's limits.
#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

mod api;
mod at_the_door;
mod issuer;
mod oidc;
mod roles;
mod sessions;
