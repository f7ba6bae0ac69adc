//! What the product does by itself, and what an operator does with it, against the real processes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

mod described;
mod desktop_sends;
mod executors;
mod killed;
mod killed_at;
mod mail;
mod month;
mod operating;
mod receiver;
mod sandbox;
mod stage;
mod webhooks;
