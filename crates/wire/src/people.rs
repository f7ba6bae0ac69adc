use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::Role;

/// `GET /v1/auth/methods`: how people sign in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct SignInMethods {
    /// By a code that comes by e-mail.
    pub email_codes: bool,
    /// Name of the issuer that vouches for people (OpenID Connect), where one is configured.
    pub issuer: Option<String>,
}

/// `POST /v1/auth/oidc`: begin a sign-in at the issuer.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct BeginSignIn {
    /// The page to come back to, `#/runs/2026-10.1`; the first page without it.
    pub return_to: Option<String>,
    /// A confirmation: the issuer asks again, and the same person must come back.
    #[serde(default)]
    pub confirm: bool,
    /// A program on the person's own machine, which the browser is sent back to.
    pub program: Option<ProgramSignIn>,
}

/// A program that waits on loopback for the browser to come back (RFC 8252).
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ProgramSignIn {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Comes back unchanged, so that the program knows its own.
    pub state: String,
    /// PKCE: SHA-256 of the verifier, in base64url without padding.
    pub challenge: String,
}

/// Where the person's browser goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct SignInBegun {
    /// An address of this API, which leads on to the issuer.
    pub url: String,
    /// Seconds for which it is good.
    pub expires_in_s: u32,
}

/// `POST /v1/auth/oidc/sessions`: a program exchanges what the browser brought for a session.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct RedeemSignIn {
    /// The code.
    pub code: String,
    /// PKCE: what the challenge was made of.
    pub verifier: String,
}

/// One of a person's own sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct OpenSession {
    /// Id.
    pub session: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was last renewed.
    pub used_at: DateTime<Utc>,
    /// When the person last proved who they are.
    pub auth_at: DateTime<Utc>,
    /// What the browser or program calls itself.
    pub agent: String,
    /// It is the one that asks.
    pub current: bool,
}

/// One of AIKit's own people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct StaffPerson {
    /// Id.
    pub person: String,
    /// Address.
    pub email: String,
    /// What the person may do.
    pub role: Role,
    /// Since when.
    pub added_at: DateTime<Utc>,
    /// The last sign-in or renewal.
    pub seen_at: Option<DateTime<Utc>>,
}

/// `POST /v1/people`: let one of AIKit's own people sign in.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct AddPerson {
    /// Address.
    pub email: String,
    /// What the person may do: staff, finance, admin or auditor.
    pub role: Role,
}

/// `POST /v1/people/{person}/role`.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ChangeRole {
    /// Staff, finance, admin or auditor.
    pub role: Role,
}

/// What a key opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// AIKit's backend: sign-ups.
    Server,
    /// A program that sends approved runs.
    Executor,
}

impl KeyKind {
    /// The name, as it travels and is stored.
    pub fn name(self) -> &'static str {
        match self {
            KeyKind::Server => "server",
            KeyKind::Executor => "executor",
        }
    }
}

/// A key of a program, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ApiKey {
    /// Id.
    pub key: String,
    /// What it opens.
    pub kind: KeyKind,
    /// What it is for.
    pub label: String,
    /// How the key begins.
    pub hint: String,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// `POST /v1/keys`.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct IssueKey {
    /// What it opens.
    pub kind: KeyKind,
    /// What it is for.
    pub label: String,
}

/// A key, the one time that it is shown.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct IssuedKey {
    /// The key itself.
    pub secret: String,
    /// How it is listed.
    pub key: ApiKey,
}
