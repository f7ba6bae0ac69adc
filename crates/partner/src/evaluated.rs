//! An agency's records with what the engine makes of them at one instant: each page costs no further evaluation.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use commission::{Assumptions, Forecast, ForecastError, Statement, forecast};
use wire::{
    ClientDetail, ClientPage, ClientsQuery, ConnectedAccount, CurrentTerms, Link, Overview, Payout, PayoutDetail,
    Resource, Role, Slug,
};

use crate::client_page::client_page;
use crate::pages::until;
use crate::slice::{Slice, SliceError};
use crate::standing::next_month;
use crate::what_if::usual;

/// The pages of an agency as of one instant.
#[derive(Clone, Debug)]
pub struct Evaluated {
    slice: Arc<Slice>,
    now: DateTime<Utc>,
    statement: Statement,
    then: Statement,
}

impl Evaluated {
    /// Evaluates the records as of `now`.
    ///
    /// # Errors
    /// The facts cannot be evaluated, or do not say that the agency joined.
    pub fn new(slice: Arc<Slice>, now: DateTime<Utc>) -> Result<Self, SliceError> {
        let (statement, then) = (slice.statement(until(now))?, slice.statement(next_month(now))?);
        Ok(Self { slice, now, statement, then })
    }

    /// The records.
    pub fn slice(&self) -> &Arc<Slice> {
        &self.slice
    }

    /// The instant.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The statement of that instant.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Its first page.
    pub fn overview(&self, role: Role) -> Overview {
        self.slice.overview_of(role, self.now, &self.statement, &self.then)
    }

    /// Its links, the newest first.
    pub fn links(&self, archived: bool) -> Vec<Link> {
        self.slice.links(archived)
    }

    /// Some of its clients.
    pub fn clients(&self, asked: &ClientsQuery) -> ClientPage {
        client_page(&self.statement, &self.slice.terms, asked, self.now)
    }

    /// One of them, with the reason of every cent.
    pub fn client(&self, referral: &str) -> Option<ClientDetail> {
        self.slice.client_of(referral, &self.statement, self.now)
    }

    /// How the coming months would go if they went on as the last ones did.
    pub fn usual(&self) -> Assumptions {
        usual(&self.slice.facts, &self.statement, self.now)
    }

    /// The coming months, if they go like this.
    ///
    /// # Errors
    /// An assumption is impossible.
    pub fn what_if(&self, assumptions: &Assumptions) -> Result<Forecast, ForecastError> {
        let slice = &self.slice;
        forecast(&slice.facts, &slice.terms, until(self.now), &slice.profile.code, assumptions)
    }

    /// What the program gives to its agencies, in order.
    pub fn resources(&self) -> Vec<Resource> {
        self.slice.resources()
    }

    /// Its payouts, the newest first.
    pub fn payouts(&self) -> Vec<Payout> {
        self.slice.payouts()
    }

    /// One of them.
    pub fn payout(&self, item: &str) -> Option<&PayoutDetail> {
        self.slice.payout(item)
    }

    /// Where its payouts go.
    pub fn connected_account(&self) -> ConnectedAccount {
        self.slice.connected_account(self.now)
    }

    /// Its own name in its links.
    pub fn slug(&self) -> Slug {
        Slug { slug: self.slice.profile.slug.clone() }
    }

    /// The terms in force.
    pub fn current_terms(&self) -> CurrentTerms {
        let terms = self.slice.terms.in_force(self.now);
        CurrentTerms {
            version: terms.id.clone(),
            from: terms.from,
            text: terms.agreement.clone().unwrap_or_default(),
            disclosure: terms.disclosure.clone().unwrap_or_default(),
        }
    }
}
