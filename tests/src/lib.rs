//! The product as a whole: its processes on loopback, clients for its doors, and the demo's history.
//!
//! `calendar`, `dice`, `story` and `plan` are pure and say what happens when; `process`, `world`, `api` and `stripe_side`
//! are the real processes and their doors; `door` stands between two of them; `history` walks a plan through those doors.

pub mod api;
pub mod calendar;
pub mod dice;
pub mod door;
pub mod history;
pub mod plan;
pub mod process;
pub mod resources;
pub mod story;
#[cfg(test)]
mod story_tests;
pub mod stripe_side;
pub mod world;

pub use api::{Api, Browser, Refusal};
pub use door::Door;
pub use stripe_side::StripeSide;
pub use world::{Config, World};
