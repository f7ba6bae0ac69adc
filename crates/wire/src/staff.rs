use chrono::{DateTime, Utc};
use commission::{Decision, Flag, Tier, Totals};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::PartnerName;

/// `GET /v1/partners`: a page of agencies, by name.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct PartnerPage {
    /// The agencies.
    pub partners: Vec<PartnerRow>,
    /// `after` of the next page; `null` on the last.
    pub next: Option<String>,
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
    /// Clients that are credited to it.
    pub referrals: u32,
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
    /// It has accepted the terms in force.
    pub terms_accepted: bool,
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

/// `GET /v1/reviews`: a referral that was flagged, with everything that is known about it.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Review {
    /// Id of the referral.
    pub referral: String,
    /// Whom it is credited to.
    pub partner: PartnerName,
    /// That agency's website.
    pub website: String,
    /// When the client signed up.
    pub signed_up_at: DateTime<Utc>,
    /// Domain of the client's address.
    pub client_domain: Option<String>,
    /// Why it was flagged.
    pub flags: Vec<Flag>,
    /// The same in words, with the figures.
    pub why: Vec<String>,
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
