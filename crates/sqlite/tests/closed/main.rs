//! The API as a stranger meets it: what it says of itself, whom it lets in, and what it does with what is not meant for it.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[path = "../common/mod.rs"]
mod common;
mod document;
mod matrix;
mod town;
