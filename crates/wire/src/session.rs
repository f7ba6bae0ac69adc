use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Owner of an agency: its links, earnings, payouts, onboarding and terms.
    Owner,
    /// Member of an agency: its links, earnings and payouts.
    Member,
    /// Staff: all partners, reviews, adjustments.
    Staff,
    /// Finance: all partners and runs.
    Finance,
    /// Admin: people, keys, terms; never approves or sends.
    Admin,
    /// Auditor: sees everything and may do nothing.
    Auditor,
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Account {
    /// Id of the person.
    pub user: String,
    /// Address that signed in.
    pub email: String,
    /// What the person may do.
    pub role: Role,
    /// The agency, for owners and members.
    pub partner: Option<PartnerName>,
    /// When the person last proved who they are.
    pub auth_at: DateTime<Utc>,
}

/// An agency as it is named everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct PartnerName {
    /// Partner code, `PARTNER_XXXXXXXX`.
    pub code: String,
    /// Agency name.
    pub name: String,
}

/// `POST /v1/auth/codes`: send a sign-in code. The answer is the same for unknown addresses.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct RequestCode {
    /// Address of the person.
    pub email: String,
}

/// The code is on its way, if the address is known.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct CodeRequested {
    /// Seconds for which the code is good.
    pub expires_in_s: u32,
}

/// Where the refresh token is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// A browser: an HttpOnly cookie, out of the page's reach.
    Cookie,
    /// A program that has a keychain: in the answer's body.
    Token,
}

/// `POST /v1/auth/sessions`: exchange a code for a session.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct StartSession {
    /// Address of the person.
    pub email: String,
    /// The six digits.
    pub code: String,
    /// Where the refresh token is kept.
    pub keep: Keep,
}

/// `POST /v1/demo/sessions`: sign in as one of the demo's people. Exists under `serve --demo` alone.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct StartDemoSession {
    /// Id from `GET /v1/demo/people`.
    pub person: String,
    /// Where the refresh token is kept.
    pub keep: Keep,
}

/// `POST /v1/auth/refresh`: rotate. Browsers send the cookie and no token.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct RefreshSession {
    /// The refresh token of a program.
    pub refresh_token: Option<String>,
}

/// A session: a short access token and, for programs, the token that renews it.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct Session {
    /// Goes into `Authorization: Bearer`.
    pub access_token: String,
    /// Seconds until it ends.
    pub access_expires_in_s: u32,
    /// The next refresh token; absent when it went into a cookie.
    pub refresh_token: Option<String>,
    /// Who is signed in.
    pub account: Account,
}

/// One of the demo's people.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct DemoPerson {
    /// Id for `start_demo_session`.
    pub person: String,
    /// Agency or department.
    pub name: String,
    /// Role of this person.
    pub role: Role,
    /// What there is to see, in a few words.
    pub about: String,
}
