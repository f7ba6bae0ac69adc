//! Extractors: what a request may do, as authentication alone can say it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use chrono::TimeDelta;
use serde::Deserialize;
use wire::{Account, KeyKind, Role};

use super::people::PersonRow;
use crate::error::{ApiError, forbidden, signed_out, step_up};
use crate::tokens::{self, ms};
use crate::{App, sql};

/// How old a sign-in may be for what moves money or changes rights.
pub(crate) const FRESH: TimeDelta = TimeDelta::minutes(5);

/// A person with a session that has not ended.
pub(crate) struct Signed(pub Account);

/// The same, with the session.
pub(crate) struct OwnSession {
    pub account: Account,
    pub session: String,
}

/// An owner or member of an agency; holds its code.
pub(crate) struct Partner {
    pub code: String,
    pub role: Role,
}

/// Anybody who may see all partners and runs.
pub(crate) struct Staff;

/// Admins and auditors: see people and keys.
pub(crate) struct Overseer;

/// Finance: may change runs.
pub(crate) struct Finance(pub Account);

/// Finance with a sign-in that is at most five minutes old.
pub(crate) struct FreshFinance(pub Account);

/// An admin with a sign-in that is at most five minutes old: people, roles and keys.
pub(crate) struct FreshAdmin(pub Account);

/// AIKit's partner team with a sign-in that is at most five minutes old: decides about partners and referrals.
pub(crate) struct Reviewer(pub Account);

/// AIKit's partner team: keeps what agencies work with.
pub(crate) struct Editor(pub Account);

/// Who sees that before it is published.
pub(crate) struct Librarian;

/// Who may have a file of it: an agency one that is published, those who keep it all of them.
pub(crate) enum Reader {
    Agency,
    Librarian,
}

/// AIKit's backend; holds the id of its key.
pub(crate) struct ServerKey(pub String);

/// Who may send what was done without a network: an agency, or finance.
pub(crate) enum Pusher {
    Agency(Partner),
    Finance(Account),
}

impl Pusher {
    /// Whose acts these are: ids of acts are unique within it.
    pub(crate) fn scope(&self) -> &str {
        match self {
            Pusher::Agency(partner) => &partner.code,
            Pusher::Finance(account) => &account.user,
        }
    }
}

/// Who sends approved runs: a program with an executor's key, or finance's own app with the session of finance.
pub(crate) struct Executor;

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

impl FromRequestParts<App> for OwnSession {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(flatten)]
            person: PersonRow,
            session: String,
            auth_ms: i64,
        }
        let ended = || signed_out("You are not signed in, or your session has ended. Sign in again.");
        let token = bearer(&parts.headers).filter(|t| tokens::is_well_formed(t)).ok_or_else(ended)?;
        // Looked up by its hash: how long the index takes says nothing about a token that hashes to something else.
        let row: Option<Row> = app
            .db
            .query(sql!(
                "SELECT p.id, p.email, p.role, p.partner, a.name AS partner_name, s.id AS session, s.auth_ms
                 FROM access_token t JOIN session s ON s.id = t.session JOIN person p ON p.id = s.person
                 LEFT JOIN partner a ON a.code = p.partner
                 WHERE t.hash = ?1 AND t.expires_ms > ?2 AND s.ended_ms IS NULL AND p.removed_ms IS NULL",
                tokens::hash(token),
                ms(app.host.now()),
            ))
            .await?
            .first()?;
        let row = row.ok_or_else(ended)?;
        Ok(OwnSession { session: row.session, account: row.person.account(row.auth_ms) })
    }
}

impl FromRequestParts<App> for Signed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Ok(Signed(OwnSession::from_request_parts(parts, app).await?.account))
    }
}

impl FromRequestParts<App> for Partner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Signed(account) = Signed::from_request_parts(parts, app).await?;
        let role = account.role;
        match account.partner {
            Some(p) => Ok(Partner { code: p.code, role }),
            None => Err(forbidden("This belongs to agencies. You are signed in as AIKit staff.")),
        }
    }
}

impl FromRequestParts<App> for Pusher {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Signed(account) = Signed::from_request_parts(parts, app).await?;
        match (&account.partner, account.role) {
            (Some(p), role) => Ok(Pusher::Agency(Partner { code: p.code.clone(), role })),
            (None, Role::Finance) => Ok(Pusher::Finance(account)),
            (None, _) => Err(forbidden("Only agencies and finance work without a network.")),
        }
    }
}

/// The account, if its role is one of these.
async fn one_of(parts: &mut Parts, app: &App, roles: &[Role], refusal: &str) -> Result<Account, ApiError> {
    let Signed(account) = Signed::from_request_parts(parts, app).await?;
    if roles.contains(&account.role) { Ok(account) } else { Err(forbidden(refusal)) }
}

/// The account, if it has proved who it is a moment ago.
fn fresh(app: &App, account: Account) -> Result<Account, ApiError> {
    if app.host.now() - account.auth_at > FRESH { Err(step_up()) } else { Ok(account) }
}

impl FromRequestParts<App> for Staff {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let roles = [Role::Staff, Role::Finance, Role::Admin, Role::Auditor];
        one_of(parts, app, &roles, "Only AIKit's own people may see this.").await.map(|_| Staff)
    }
}

impl FromRequestParts<App> for Overseer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let refusal = "Only admins and auditors may see people and keys.";
        one_of(parts, app, &[Role::Admin, Role::Auditor], refusal).await.map(|_| Overseer)
    }
}

impl FromRequestParts<App> for Finance {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        one_of(parts, app, &[Role::Finance], "Only finance may change runs.").await.map(Finance)
    }
}

impl FromRequestParts<App> for FreshFinance {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Finance(account) = Finance::from_request_parts(parts, app).await?;
        fresh(app, account).map(FreshFinance)
    }
}

impl FromRequestParts<App> for FreshAdmin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let refusal = "Only an admin may change people, roles and keys.";
        let account = one_of(parts, app, &[Role::Admin], refusal).await?;
        fresh(app, account).map(FreshAdmin)
    }
}

impl FromRequestParts<App> for Reviewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let refusal = "Only AIKit's partner team (the role staff) decides about partners and referrals.";
        let account = one_of(parts, app, &[Role::Staff], refusal).await?;
        fresh(app, account).map(Reviewer)
    }
}

impl FromRequestParts<App> for Editor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let refusal = "Only AIKit's partner team (the role staff) changes what agencies work with.";
        one_of(parts, app, &[Role::Staff], refusal).await.map(Editor)
    }
}

const LIBRARIANS: [Role; 2] = [Role::Staff, Role::Admin];
const NO_LIBRARIAN: &str = "Only AIKit's partner team and admins see what is not published.";

impl FromRequestParts<App> for Librarian {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        one_of(parts, app, &LIBRARIANS, NO_LIBRARIAN).await.map(|_| Librarian)
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Signed(account) = Signed::from_request_parts(parts, app).await?;
        match account.partner {
            Some(_) => Ok(Reader::Agency),
            None if LIBRARIANS.contains(&account.role) => Ok(Reader::Librarian),
            None => Err(forbidden(NO_LIBRARIAN)),
        }
    }
}

/// The id of the key that a program presents.
async fn key(parts: &Parts, app: &App, kind: KeyKind) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    let refused = || {
        signed_out(format!(
            "This call needs a {} key that has not been revoked, as «Authorization: Bearer …».",
            kind.name()
        ))
    };
    let secret = bearer(&parts.headers).filter(|t| tokens::is_well_formed(t)).ok_or_else(refused)?;
    let found: Option<Row> = app
        .db
        .query(sql!(
            "SELECT id FROM api_key WHERE hash = ?1 AND kind = ?2 AND revoked_ms IS NULL",
            tokens::hash(secret),
            kind.name(),
        ))
        .await?
        .first()?;
    found.map(|row| row.id).ok_or_else(refused)
}

impl FromRequestParts<App> for ServerKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        key(parts, app, KeyKind::Server).await.map(ServerKey)
    }
}

impl FromRequestParts<App> for Executor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match key(parts, app, KeyKind::Executor).await {
            Ok(_) => Ok(Executor),
            Err(refused) => match Signed::from_request_parts(parts, app).await {
                Ok(Signed(account)) if account.role == Role::Finance => Ok(Executor),
                Ok(_) => Err(forbidden("Only finance, and programs with an executor key, send runs.")),
                Err(_) => Err(refused),
            },
        }
    }
}
