use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// `POST /v1/partners`: an agency joins.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct JoinPartner {
    /// Name of the agency, 1 to 200 characters.
    pub agency_name: String,
    /// Address of the owner; signs in with it.
    pub email: String,
    /// The agency's website.
    pub website: String,
    /// ISO 3166-1 alpha-2; fixed from here on.
    pub country: String,
    /// Version of the terms that were shown and accepted.
    pub accept_terms: String,
}

/// The agency has joined.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Joined {
    /// `PARTNER_XXXXXXXX`.
    pub partner_code: String,
    /// Our own one-time address that leads on to Stripe.
    pub onboarding_url: String,
    /// Said when the country cannot be paid yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub notice: Option<String>,
}

/// `GET /v1/terms/current`.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct CurrentTerms {
    /// Version to send as `accept_terms`.
    pub version: String,
    /// In force from.
    pub from: DateTime<Utc>,
    /// The agreement.
    pub text: String,
    /// What a partner says to clients, per the FTC's guides.
    pub disclosure: String,
}

/// `POST /v1/signups`: AIKit's backend reports a sign-up.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct SignUp {
    /// AIKit's id of the customer; the call is idempotent on it.
    pub customer_id: String,
    /// Business address of the customer.
    pub email: String,
    /// The cookie or the `ref` parameter.
    #[serde(default, rename = "ref")]
    pub ref_code: Option<String>,
    /// A partner code that was typed in: the latest touch.
    #[serde(default)]
    pub partner_code: Option<String>,
    /// Stripe's customer, where one exists already.
    #[serde(default)]
    pub stripe_customer_id: Option<String>,
    /// The `ref_click` cookie.
    #[serde(default)]
    pub click_id: Option<String>,
    /// When the click happened, where the caller knows.
    #[serde(default)]
    pub clicked_at: Option<DateTime<Utc>>,
    /// When the sign-up happened; now, if absent.
    #[serde(default)]
    pub signed_up_at: Option<DateTime<Utc>>,
}

/// Whom a sign-up was credited to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct SignedUp {
    /// Id of the referral; `null` when nobody is credited.
    pub referral_id: Option<String>,
    /// The partner that is credited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub partner_code: Option<String>,
    /// Why nobody is credited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub reason: Option<String>,
}

/// `GET /v1/inbox`: which of Stripe's events to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema, utoipa::IntoParams)]
pub struct InboxQuery {
    /// `received`, `done`, `waiting`, `ignored` or `failed`; all, if absent.
    #[serde(default)]
    pub state: Option<String>,
    /// `next` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A page of Stripe's events, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct InboxPage {
    /// The events.
    pub events: Vec<InboxEvent>,
    /// Cursor of the next page, when there is one.
    pub next: Option<String>,
}

/// One of Stripe's events, and where it stands. Its body is not shown: it is about people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct InboxEvent {
    /// `evt_…`.
    pub event: String,
    /// Stripe's name of what happened, `invoice.paid`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// `received`, `done`, `waiting`, `ignored` or `failed`.
    pub state: String,
    /// Names of what it waits for, `customer:cus_…`; the first that becomes known wakes it.
    pub waits_for: Vec<String>,
    /// Why it waits, is ignored or has failed, in words.
    pub note: Option<String>,
}
