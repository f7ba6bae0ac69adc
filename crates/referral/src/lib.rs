//! The Referral API: routes, decisions and every SQL statement, for any host.
//!
//! A handler loads, calls a pure function that decides, and writes one batch. The world is seen through four ports:
//! [`db::Db`], [`ports::Http`], [`ports::Mail`] and [`ports::Host`]; nothing here asks a clock, a socket or a file.
//!
//! Invariant: this crate never moves money. Its Stripe key makes Express accounts and onboarding links, and no transfer.

pub mod db;
pub mod ports;

mod attribution;
mod audit;
mod auth;
mod click;
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
mod notices;
mod origin;
mod outbox;
mod pages;
mod partners;
mod posting;
mod promotion;
mod requirements;
mod reviews;
mod rows;
mod run_decide;
mod run_draft;
mod run_send;
mod runs;
mod schedule;
mod signup;
mod slug;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use commission::{TermsBook, TermsError};

pub use audit::{Actor, AuditError, verify as verify_audit};
pub use auth::keys::{issue_key, list_keys, revoke_key};
pub use auth::people::{add_person, remove_person};
pub use error::ApiError;
pub use follow::follow_journal;
pub use health::health;
pub use inbox::{forget_replayable, inbox_events, process_received, reduce_old, retry_events, stripe_facts};
pub use journal::{JournalPage, head as journal_head, journal_page, stored_journal};
pub use lock::{begin_restored, lock_payouts, payout_lock};
pub use notices::{send_messages, tell_what_is_needed};
pub use outbox::{EVENT_TYPES, deliver as deliver_webhooks, forget_old_deliveries, resend_webhook, webhook_deliveries};
pub use schedule::draft_due_months;

use db::Db;
use ports::{Config, Host, Http, Mail};

/// Everything a handler may use. Cheap to clone.
#[derive(Clone)]
pub struct App {
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
}

/// The terms that apply where the operator gives none: numbers, agreement and disclosure.
pub fn default_terms() -> Result<TermsBook, TermsError> {
    TermsBook::from_toml(include_str!("terms.toml"))
}

/// Largest request body, in bytes; webhooks have the same limit.
pub const BODY_LIMIT: usize = 256 * 1024;

/// All routes of the API.
pub fn router(app: App) -> Router {
    let demo = if app.config.demo {
        Router::new()
            .route("/v1/demo/people", get(auth::demo::people))
            .route("/v1/demo/sessions", post(auth::demo::start_session))
    } else {
        Router::new()
    };
    // The two that pages of other sites may use.
    let pixel = Router::new().route("/pixel.gif", get(click::pixel)).layer(origin::cors(&app.config, true));
    let form = Router::new()
        .route("/v1/terms/current", get(join::current_terms))
        .route("/v1/partners", get(partners::list).post(join::join))
        .layer(origin::cors(&app.config, false));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/r/{code}", get(click::follow))
        .route("/onboard/{token}", get(join::onboard))
        .route("/v1/signups", post(signup::sign_up))
        .route("/v1/webhooks/stripe/account", post(inbox::account))
        .route("/v1/webhooks/stripe/connect", post(inbox::connect))
        .route("/v1/auth/methods", get(auth::codes::methods))
        .route("/v1/auth/codes", post(auth::codes::request))
        .route("/v1/auth/sessions", get(auth::session::list).post(auth::codes::start_session))
        .route("/v1/auth/sessions/{session}/end", post(auth::session::end_one))
        .route("/v1/auth/oidc", post(auth::oidc::begin))
        .route("/v1/auth/oidc/go/{state}", get(auth::oidc::go))
        .route("/v1/auth/oidc/callback", get(auth::oidc::callback))
        .route("/v1/auth/oidc/sessions", post(auth::oidc::redeem))
        .route("/v1/auth/refresh", post(auth::session::refresh))
        .route("/v1/auth/end", post(auth::session::end))
        .route("/v1/people", get(auth::people::list).post(auth::people::add))
        .route("/v1/people/{person}/role", post(auth::people::set_role))
        .route("/v1/people/{person}/remove", post(auth::people::remove))
        .route("/v1/keys", get(auth::keys::list).post(auth::keys::issue))
        .route("/v1/keys/{key}/revoke", post(auth::keys::revoke))
        .route("/v1/terms/accept", post(join::accept_terms))
        .route("/v1/terms/accepted", get(join::accepted_terms))
        .route("/v1/members", get(members::list).post(members::invite))
        .route("/v1/members/{person}/remove", post(members::remove))
        .route("/v1/members/{person}/owner", post(members::hand_over))
        .route("/v1/partners/{partner}", get(partners::one))
        .route("/v1/partners/{partner}/suspend", post(partners::suspend))
        .route("/v1/partners/{partner}/reinstate", post(partners::reinstate))
        .route("/v1/partners/{partner}/adjustments", post(partners::adjust))
        .route("/v1/partners/{partner}/promotion-codes", post(partners::add_promotion_code))
        .route("/v1/reviews", get(reviews::list))
        .route("/v1/reviews/{referral}", get(reviews::one))
        .route("/v1/reviews/{referral}/clear", post(reviews::clear))
        .route("/v1/reviews/{referral}/reject", post(reviews::reject))
        .route("/v1/referrals/{referral}/move", post(reviews::move_referral))
        .route("/v1/credits", post(reviews::credit_customer))
        .route("/v1/inbox", get(inbox::list))
        .route("/v1/overview", get(pages::overview))
        .route("/v1/onboarding", post(join::onboarding_link))
        .route("/v1/links", get(links::list).post(links::create))
        .route("/v1/links/{link}", post(links::update))
        .route("/v1/slug", get(slug::get).post(slug::set))
        .route("/v1/clients", get(pages::clients))
        .route("/v1/clients/{referral}", get(pages::client))
        .route("/v1/payouts", get(pages::payouts))
        .route("/v1/payouts/{item}", get(pages::payout))
        .route("/v1/runs", get(runs::list).post(run_draft::draft))
        .route("/v1/runs/{run}", get(runs::one))
        .route("/v1/runs/{run}/items/{item}", get(runs::statement))
        .route("/v1/runs/{run}/seal", post(runs::seal))
        .route("/v1/runs/{run}/approve", post(runs::approve))
        .route("/v1/runs/{run}/send", post(runs::send))
        .route("/v1/audit", get(audit::list))
        .route("/v1/executor/grants", get(run_send::grants))
        .route("/v1/runs/{run}/claims", post(run_send::claim))
        .route("/v1/items/{item}/observations", post(run_send::observe))
        .route("/v1/items/{item}/intents", post(run_send::intent))
        .route("/v1/items/{item}/settlements", post(run_send::settle))
        .route("/v1/preferences", get(notices::preferences).post(notices::set_preferences))
        .route("/v1/unsubscribe", get(notices::ask_unsubscribe).post(notices::unsubscribe))
        .route("/v1/webhook-deliveries", get(outbox::list))
        .route("/v1/webhook-deliveries/{delivery}/resend", post(outbox::resend))
        .route("/v1/payouts-lock", get(lock::show))
        .route("/v1/payouts-lock/lock", post(lock::lock))
        .route("/v1/payouts-lock/unlock", post(lock::unlock))
        .merge(pixel)
        .merge(form)
        .merge(demo)
        .fallback(error::no_such_route)
        .layer(middleware::from_fn_with_state(app.clone(), origin::check))
        .layer(middleware::from_fn_with_state(app.clone(), error::stamp))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
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
