//! The API as a stranger meets it: what it says of itself, whom it lets in, and what it does with what is not meant for it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

mod bad_input;
#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "Nobody here holds Stripe's answers in hand.")]
mod common;
mod document;
mod matrix;
mod town;
mod two_worlds;
