//! A stateful stand-in for Stripe on loopback, for the demo and the tests only.
//!
//! It answers the part of Stripe's API that partner referrals need, in the shapes of version
//! `2026-09-30.endive`: customers, products, prices, coupons, tax rates, subscriptions, invoices and their
//! payments, invoices and credit notes by hand, payment intents by test card, charges, refunds, disputes, Express
//! accounts with their onboarding page, account links, balance, transfers, reversals, payouts, events, and the
//! money of a connected account as it sees it (`Stripe-Account`). Its state is one SQLite file and survives a kill
//! at any instant. It was written after Stripe's documentation and its published example objects, and has never
//! been compared with Stripe itself.
//!
//! # The clock
//! `GET /_clock` reads it, `POST /_clock {"now": "2026-03-01T00:00:00Z"}` moves it forward and
//! `{"live": true}` lets it run. Renewals, trial ends, cancellations and payouts on the way happen in order
//! of time, each event's `created` is its instant, and events are sent before the answer
//! `{"now", "live", "events", "delivered", "failed"}`. The `t` in `Stripe-Signature` is this clock too.
//! `POST /_clock` with the present instant sends what is pending. Otherwise the clock stands still.
//!
//! # Control
//! - `POST /_control/disputes {"invoice", "amount"?}`, `POST /_control/disputes/{id}/close {"outcome": "won" | "lost" | "warning_closed"}`
//! - `POST /_control/refunds/{id}/fail`
//! - `POST /_control/balance {"available_minor", "currency"?}`
//! - `POST /_control/rates {"currency", "rate_ppm"}`
//! - `POST /_control/accounts/{id} {"transfers"?, "payouts_enabled"?, "requirements"?, "refuse_payout"?, "refuse_after_days"?}`, `POST /_control/accounts/{id}/onboard`
//! - `POST /_control/webhooks {"account": {"url", "secret", "enabled_events"?}, "connect": {…}}`
//! - `POST /_control/faults {"next_transfer"?, "next_transfer_list"?, "count"?, "delay_ms"?, "clear"?}`, `GET /_control/faults`
//! - `GET /_control/events?limit=`, `POST /_control/redeliver {"event"}`, `GET /_health`
//!
//! Faults of the next transfer: `error_500_before` (not carried out), `error_500_after` (carried out),
//! `late_execution` (a 500, carried out when the clock next moves on), all three remembered under the
//! idempotency key; `drop_before` and `drop_after` (the connection ends without an answer), `rate_limit`,
//! `decode_garbage` (carried out, the answer is unreadable), `delay` (with `delay_ms`; the key stays in use
//! meanwhile). Of the next list of transfers: `list_lag` (empty), `rate_limit`.
//!
//! # What differs from Stripe
//! Every customer's card pays; the test cards that are known are those that pay. Nothing is changed on behalf of a
//! connected account, and each transfer has a payout of its own. An invoice by hand has neither discounts nor taxes
//! and moves on only when it is told to. Renewal invoices are paid at the period's start, without the hour of
//! drafting. Refunds and transfers move the balance at once; a charge becomes available after two days, and so does the payout of a transfer.

mod api;
mod app;
mod bank;
mod calendar;
mod calls;
mod catalog;
mod clock;
mod connect;
mod control;
mod credit_notes;
mod drafts;
mod error;
mod faults;
mod form;
mod host;
mod invoices;
mod link;
mod money_back;
mod objects;
mod onboarding;
mod payments;
mod server;
mod store;
mod subscriptions;
mod webhooks;

pub use server::{Options, Standin, StartError, start};
pub use webhooks::Endpoint;
