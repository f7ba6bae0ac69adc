//! The Referral API: routes, decisions and every SQL statement, for any host.
//!
//! A handler loads, calls a pure function that decides, and writes one batch. The world is seen through four ports:
//! [`db::Db`], [`ports::Http`], [`ports::Mail`] and [`ports::Host`]; nothing here asks a clock, a socket or a file.
//!
//! Invariant: this crate never moves money. Its Stripe key makes Express accounts and onboarding links, and no transfer.

pub mod db;
pub mod ports;
pub mod settings;

mod account;
mod attribution;
mod audit;
mod auth;
mod board;
mod click;
mod deed;
mod describe;
mod downloads;
mod error;
mod events;
mod follow;
mod health;
mod inbox;
mod join;
mod journal;
mod landing;
mod limits;
mod links;
mod lock;
mod members;
mod notes;
mod notices;
mod origin;
mod outbox;
mod pages;
mod partner_list;
mod partner_page;
mod partners;
mod posting;
mod promotion;
mod push;
mod reconcile;
mod resource_files;
mod resource_form;
mod resources;
mod review_queue;
mod reviews;
mod routes;
mod rows;
mod run_decide;
mod run_draft;
mod run_record;
mod run_resolve;
mod run_seal;
mod run_send;
mod run_turn;
mod runs;
mod schedule;
mod signup;
mod slices;
mod slug;
mod sync;
mod sync_rows;
mod tokens;
mod transfers;
mod what_if;

use std::ops::Deref;
use std::sync::Arc;

use commission::{TermsBook, TermsError};

pub use audit::{Actor, AuditError, verify as verify_audit};
pub use auth::issuer::look_at_issuer;
pub use auth::keys::{issue_key, list_keys, revoke_key};
pub use auth::people::{add_person, remove_person};
pub use board::keep_board;
pub use error::ApiError;
pub use follow::follow_journal;
pub use health::health;
pub use inbox::{
    Intake, forget_replayable, inbox_events, process_received, read_stored, reduce_old, retry_events, stripe_facts,
    take_over_inbox,
};
pub use journal::{JournalPage, head as journal_head, journal_page, stored_journal};
pub use lock::{begin_restored, lock_payouts, payout_lock};
pub use notices::{send_messages, tell_what_is_needed};
pub use outbox::{EVENT_TYPES, deliver as deliver_webhooks, forget_old_deliveries, resend_webhook, webhook_deliveries};
pub use reconcile::{reconcile, reconcile_daily};
pub use routes::{BODY_LIMIT, router};
pub use run_resolve::look_at_unsettled;
pub use schedule::draft_due_months;
pub use sync::forget_old_rows;

use db::Db;
use ports::{Config, Host, Http, Mail};

/// Everything a handler may use. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What an [`App`] holds.
pub struct Parts {
    /// The database.
    pub db: Arc<dyn Db>,
    /// Calls to Stripe.
    pub http: Arc<dyn Http>,
    /// E-mail.
    pub mail: Arc<dyn Mail>,
    /// Clock and randomness.
    pub host: Arc<dyn Host>,
    /// What the operator configured.
    pub config: Arc<Config>,
    /// Who reads the events that Stripe has sent.
    pub intake: Intake,
}

impl App {
    /// The API over the ports of a host.
    pub fn new(
        db: Arc<dyn Db>,
        http: Arc<dyn Http>,
        mail: Arc<dyn Mail>,
        host: Arc<dyn Host>,
        config: Arc<Config>,
    ) -> Self {
        App(Arc::new(Parts { db, http, mail, host, config, intake: Intake::default() }))
    }
}

/// The terms that apply where the operator gives none: numbers, agreement and disclosure.
pub fn default_terms() -> Result<TermsBook, TermsError> {
    TermsBook::from_toml(include_str!("terms.toml"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_default_terms_have_the_numbers_of_the_rules() {
        let (ours, rules) = (super::default_terms().unwrap(), commission::TermsBook::default_book());
        let mut ours = ours.versions()[0].clone();
        assert!(ours.agreement.take().is_some_and(|text| text.contains("60 days")));
        assert!(ours.disclosure.take().is_some_and(|text| text.contains("commission")));
        let rules = rules.versions()[0].clone();
        ours.id.clone_from(&rules.id);
        ours.from = rules.from;
        assert_eq!(ours, rules);
    }
}
