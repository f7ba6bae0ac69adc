use chrono::{DateTime, Utc};
use commission::{ClientStatus, Decision, Flag, Tier, Totals};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::{IntoParams, ToSchema};

use crate::{AcceptedTerms, ConnectedAccount, NextPayout, PartnerName};

/// `GET /v1/partners`: which agencies, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema, IntoParams)]
pub struct PartnersQuery {
    /// Words that must be in its name, address, website, code or own name; case, accents and dots do not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub q: Option<String>,
    /// Only those that are suspended, or only those that are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub suspended: Option<bool>,
    /// Only those that Stripe does not let receive transfers yet, or that have no account.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub no_account: bool,
    /// Only those that have not accepted the terms in force.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub terms_open: bool,
    /// Only those that were paid more than is theirs now.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub in_debt: bool,
    /// Only those with a referral that waits for review.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub to_review: bool,
    /// What they are put in order by; `name` where it is left out.
    #[serde(default)]
    #[ts(as = "Option<PartnerOrder>", optional)]
    #[param(inline)]
    pub sort: PartnerOrder,
    /// The largest, newest or last first, instead of the smallest.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub descending: bool,
    /// How many are left out at the beginning.
    #[serde(default)]
    #[ts(as = "Option<u32>", optional)]
    pub from: u32,
    /// How many rows at most: 50 where it is left out, never more than 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub limit: Option<u32>,
}

/// What agencies are put in order by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartnerOrder {
    /// Name.
    #[default]
    Name,
    /// When they joined.
    Joined,
    /// Clients that are credited to them.
    Referrals,
    /// Vested and not paid.
    Balance,
    /// Pending or held.
    Waiting,
    /// Referrals that wait for review.
    ToReview,
}

/// Some of the agencies.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct PartnerPage {
    /// All agencies.
    pub total: u32,
    /// Those of all that were asked for.
    pub found: u32,
    /// Agencies whose figures are being computed anew: what the list says of them may be old for a moment.
    pub behind: u32,
    /// Those of the found that were asked for.
    pub partners: Vec<PartnerRow>,
}

/// An agency in the list.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct PartnerRow {
    /// Partner code.
    pub code: String,
    /// Agency name.
    pub name: String,
    /// Address of the owner.
    pub email: String,
    /// Website.
    pub website: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Its own name in links.
    pub slug: Option<String>,
    /// When it joined.
    pub joined_at: DateTime<Utc>,
    /// It earns and is not paid.
    pub suspended: bool,
    /// It has a connected account.
    pub has_account: bool,
    /// Stripe lets that account receive transfers.
    pub transfers_active: bool,
    /// It has accepted the terms in force.
    pub terms_accepted: bool,
    /// Clients that are credited to it.
    pub referrals: u32,
    /// Vested and not paid; negative is a debt. `null` until it was computed.
    pub balance_minor: Option<i64>,
    /// Pending and held; `null` until it was computed.
    pub waiting_minor: Option<i64>,
    /// Referrals that wait for a decision.
    pub under_review: u32,
}

/// Where an agency stands in money at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Footing {
    /// Sums over all time, by status.
    pub totals: Totals,
    /// Vested and not paid, whenever it was paid; negative is a debt.
    pub balance_minor: i64,
    /// What would be paid next, as known now; 0 with the reason where nothing is.
    pub next_payout: NextPayout,
}

/// `GET /v1/partners/{partner}/effect`: which decision is thought of. Exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema, IntoParams)]
pub struct EffectQuery {
    /// To suspend the agency, or to reinstate it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub suspended: Option<bool>,
    /// To add this to its balance, or take it from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub amount_minor: Option<i64>,
}

/// What a decision about an agency would change. Nothing is changed by asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Effect {
    /// As it is.
    pub now: Footing,
    /// As it would be.
    pub then: Footing,
}

/// `GET /v1/referrals/{referral}/decisions`: what each decision about a referral would change for its agency. Nothing is
/// changed by asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Outcomes {
    /// As it is.
    pub now: Footing,
    /// After each decision that is not the one in force.
    pub outcomes: Vec<DecisionOutcome>,
}

/// What one decision would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct DecisionOutcome {
    /// The decision; `null` is to take the last one back.
    pub decision: Option<Decision>,
    /// As it would be.
    pub then: Footing,
}

/// `GET /v1/partners/{partner}`: an agency and where it stands.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct PartnerStanding {
    /// As in the list.
    pub partner: PartnerRow,
    /// Tier under the terms in force.
    pub tier: Tier,
    /// Sums over all time.
    pub totals: Totals,
    /// Vested and not paid; negative is a debt.
    pub balance_minor: i64,
    /// Why it would not be paid now, in words; absent when it would be.
    pub why_not: Option<String>,
    /// What is paid next, and why nothing is.
    pub next_payout: NextPayout,
    /// It has accepted the terms in force.
    pub terms_accepted: bool,
    /// Every version that it has accepted, the newest first.
    pub accepted: Vec<AcceptedTerms>,
    /// Where its payouts go.
    pub account: ConnectedAccount,
    /// Referrals that wait for a decision.
    pub under_review: u32,
    /// Its promotion codes at Stripe.
    pub promotion_codes: Vec<PromotionCode>,
}

/// A promotion code that credits a partner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct PromotionCode {
    /// Stripe's id, `promo_…`.
    pub id: String,
    /// What the client types.
    pub code: String,
}

/// A decision that needs a reason: suspend, reinstate, clear, reject.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Because {
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// `POST /v1/partners/{partner}/adjustments`. The id is the caller's (UUID), so that a repeated call is one adjustment.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Adjust {
    /// UUID made by the caller.
    pub id: String,
    /// What is added to the balance; negative takes from it.
    pub amount_minor: i64,
    /// Why, 1 to 500 characters; the partner reads it.
    pub reason: String,
}

/// `POST /v1/referrals/{referral}/move`: correct whom a client is credited to, from its sign-up on.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct MoveReferral {
    /// Code of the right partner.
    pub partner: String,
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// `POST /v1/credits`: credit a customer that nobody was credited for.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct CreditCustomer {
    /// AIKit's id of the customer, as its sign-up was reported.
    pub customer_id: String,
    /// Code of the partner.
    pub partner: String,
    /// Why, 1 to 500 characters.
    pub reason: String,
}

/// `GET /v1/reviews`: which referrals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema, IntoParams)]
pub struct ReviewsQuery {
    /// Those that are decided, and not those that wait.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub decided: bool,
    /// Only those with this flag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[param(inline)]
    pub flag: Option<Flag>,
    /// Only those of this agency, by its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub partner: Option<String>,
}

/// `GET /v1/reviews-waiting`: how much waits for a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReviewsWaiting {
    /// Referrals that wait.
    pub referrals: u32,
    /// Agencies that they are credited to.
    pub agencies: u32,
}

/// `GET /v1/reviews`: a referral that was flagged, with everything that is known about it.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Review {
    /// Id of the referral.
    pub referral: String,
    /// Whom it is credited to.
    pub partner: PartnerName,
    /// That agency's website.
    pub website: String,
    /// Address of that agency's owner.
    pub partner_email: String,
    /// When that agency joined.
    pub partner_joined_at: DateTime<Utc>,
    /// When the client signed up.
    pub signed_up_at: DateTime<Utc>,
    /// Domain of the client's address.
    pub client_domain: Option<String>,
    /// The client's address, while it is kept.
    pub client_email: Option<String>,
    /// Where the client stands.
    pub status: ClientStatus,
    /// Annualised price of its live subscriptions.
    pub annual_price_minor: i64,
    /// When it paid first.
    pub first_paid_at: Option<DateTime<Utc>>,
    /// Why it was flagged.
    pub flags: Vec<Flag>,
    /// The same in words, with the figures.
    pub why: Vec<String>,
    /// The other sign-ups of the month that were flagged with it, where there were too many.
    pub burst: Option<Burst>,
    /// It waits for a decision.
    pub under_review: bool,
    /// What was decided last.
    pub decision: Option<Decision>,
    /// What waits for the decision.
    pub held_minor: i64,
    /// What decided the credit.
    pub rule: String,
    /// Every touch that was known at the sign-up, the oldest first.
    pub touches: Vec<Evidence>,
    /// What people have decided about it, the newest first.
    pub decided: Vec<PastDecision>,
}

/// More sign-ups in a month than pass without a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Burst {
    /// The month, `2026-10`.
    pub month: String,
    /// Its sign-ups.
    pub signups: u32,
    /// How many of them are paying now.
    pub paying: u32,
    /// Domains of their addresses with how often each came, the most frequent first; at most eight.
    pub domains: Vec<DomainCount>,
}

/// A domain and how often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct DomainCount {
    /// The domain.
    pub domain: String,
    /// How often.
    pub count: u32,
}

/// A decision that somebody took about a referral.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct PastDecision {
    /// When.
    pub at: DateTime<Utc>,
    /// `referral.cleared`, `referral.rejected`, `referral.reopened`, `referral.moved` or `referral.credited`.
    pub action: String,
    /// Address of whoever decided, while the person is known.
    pub email: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// One touch of a client before its sign-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Evidence {
    /// When; `null` where only the cookie's own age speaks for it.
    pub at: Option<DateTime<Utc>>,
    /// `partner_code`, `promotion_code`, `click`, `ref` or `staff`.
    pub source: String,
    /// Whom it speaks for.
    pub partner: String,
    /// Campaign of the link that was clicked.
    pub campaign: Option<String>,
    /// The code or the reason as it was written.
    pub given: Option<String>,
    /// It can decide: a person's, not a program's.
    pub counts: bool,
    /// It decided.
    pub decided: bool,
}

/// `POST /v1/links/{link}`: rename or archive a link. What is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct UpdateLink {
    /// New campaign name.
    #[serde(default)]
    pub campaign: Option<String>,
    /// Out of the list, or back in it. An archived link still leads and credits.
    #[serde(default)]
    pub archived: Option<bool>,
}

/// `GET /v1/slug`: the agency's own name in its links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Slug {
    /// The name; `null` for none.
    pub slug: Option<String>,
}

/// `POST /v1/slug`: choose it, change it, or give it up.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct SetSlug {
    /// 3 to 40 letters, digits and single hyphens; empty to give it up.
    pub slug: String,
}
