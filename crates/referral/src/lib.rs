//! The Referral API: routes, decisions and every SQL statement, for any host.
//!
//! A handler loads, calls a pure function that decides, and writes one batch. The world is seen through four ports:
//! [`db::Db`], [`ports::Http`], [`ports::Mail`] and [`ports::Host`]; nothing here asks a clock, a socket or a file.
//!
//! Invariant: this crate never moves money. Its Stripe key makes Express accounts and onboarding links, and no transfer.

pub mod db;
pub mod ports;

mod attribution;
mod auth;
mod click;
mod error;
mod events;
mod inbox;
mod join;
mod journal;
mod links;
mod pages;
mod posting;
mod rows;
mod run_decide;
mod run_draft;
mod run_send;
mod runs;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use commission::{TermsBook, TermsError};

pub use auth::{add_person, issue_key};
pub use error::ApiError;
pub use inbox::process_received;
pub use journal::{JournalPage, head as journal_head, journal_page, stored_journal};

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
            .route("/v1/demo/people", get(auth::demo_people))
            .route("/v1/demo/sessions", post(auth::start_demo_session))
    } else {
        Router::new()
    };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/r/{code}", get(click::follow))
        .route("/pixel.gif", get(click::pixel))
        .route("/onboard/{token}", get(join::onboard))
        .route("/v1/terms/current", get(join::current_terms))
        .route("/v1/partners", post(join::join))
        .route("/v1/signups", post(attribution::sign_up))
        .route("/v1/webhooks/stripe/account", post(inbox::account))
        .route("/v1/webhooks/stripe/connect", post(inbox::connect))
        .route("/v1/auth/codes", post(auth::request_code))
        .route("/v1/auth/sessions", post(auth::start_session))
        .route("/v1/auth/refresh", post(auth::refresh))
        .route("/v1/auth/end", post(auth::end))
        .route("/v1/overview", get(pages::overview))
        .route("/v1/onboarding", post(join::onboarding_link))
        .route("/v1/links", get(links::list).post(links::create))
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
        .route("/v1/executor/grants", get(run_send::grants))
        .route("/v1/runs/{run}/claims", post(run_send::claim))
        .route("/v1/items/{item}/observations", post(run_send::observe))
        .route("/v1/items/{item}/intents", post(run_send::intent))
        .route("/v1/items/{item}/settlements", post(run_send::settle))
        .merge(demo)
        .fallback(error::no_such_route)
        .layer(middleware::from_fn_with_state(app.clone(), error::stamp))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
}

async fn healthz(axum::extract::State(app): axum::extract::State<App>) -> Result<&'static str, ApiError> {
    app.db.query(sql!("SELECT 1")).await?;
    Ok("ok")
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
