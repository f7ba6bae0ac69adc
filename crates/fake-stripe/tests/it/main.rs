//! Drives the stand-in over HTTP, as the product and its tests do.

mod billing;
mod by_hand;
mod faults;
mod money;
mod support;
mod types;
mod walk;
