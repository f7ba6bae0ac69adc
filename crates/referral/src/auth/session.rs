//! Sessions: how one begins, is renewed, is seen by its owner, and ends.
//!
//! A session is a family of refresh tokens, each made when the one before it was used. A token that was used before is
//! only good again for a minute and while its successor is unused, because an answer may have been lost; it then gets
//! the same successor once more. Any other use of it says that somebody has a copy, and ends the session.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use wire::{Account, Keep, OpenSession, RefreshSession, Role, Session};

use super::people::{PersonRow, person_by_id};
use super::scope::{OwnSession, bearer};
use crate::db::{Stmt, guard};
use crate::error::{ApiError, Body, Segment, not_found, signed_out};
use crate::ports::Config;
use crate::tokens::{self, at, ms};
use crate::{App, limits, sql};

const ACCESS: TimeDelta = TimeDelta::minutes(10);
/// Idle time after which a partner's session is over.
const PARTNER_IDLE: TimeDelta = TimeDelta::days(14);
/// A session of AIKit's own people ends that long after it began, used or not: a working day.
const STAFF_LIFE: TimeDelta = TimeDelta::hours(8);
/// How long a used token is good once more.
const GRACE: TimeDelta = TimeDelta::seconds(60);
/// How long used tokens and ended sessions are remembered.
const MEMORY: TimeDelta = TimeDelta::days(30);
/// Characters of a browser's own name that are kept.
const AGENT_LENGTH: usize = 160;

/// A session that has just begun or was just renewed: its tokens, which are nowhere else.
pub(crate) struct Tokens {
    access: String,
    refresh: String,
    /// How long the refresh token is good.
    life: TimeDelta,
    account: Account,
    access_life: TimeDelta,
}

/// What a new session is made of.
pub(crate) struct Opening<'a> {
    pub person: PersonRow,
    /// When the person proved who they are.
    pub auth_at: DateTime<Utc>,
    /// The session of the same person that this one replaces.
    pub replaces: Option<String>,
    /// `User-Agent` of whoever keeps it.
    pub agent: &'a str,
}

/// When the refresh token ends that is issued at `now` in a session that began at `started`.
fn refresh_expires(role: Role, started: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    match role {
        Role::Owner | Role::Member => now + PARTNER_IDLE,
        Role::Staff | Role::Finance | Role::Admin | Role::Auditor => started + STAFF_LIFE,
    }
}

fn access_token(access: &str, session: &str, expires: DateTime<Utc>) -> Stmt {
    sql!(
        "INSERT INTO access_token (hash, session, expires_ms) VALUES (?1, ?2, ?3)",
        tokens::hash(access),
        session,
        ms(expires)
    )
}

/// Ends a session.
pub(crate) fn ending(session: &str, now: DateTime<Utc>) -> Stmt {
    sql!("UPDATE session SET ended_ms = ?2 WHERE id = ?1 AND ended_ms IS NULL", session, ms(now))
}

/// Ends all sessions of a person.
pub(crate) fn ending_all(person: &str, now: DateTime<Utc>) -> Stmt {
    sql!("UPDATE session SET ended_ms = ?2 WHERE person = ?1 AND ended_ms IS NULL", person, ms(now))
}

/// What nobody can use any more, a little at each sign-in.
fn forgotten(now: DateTime<Utc>) -> Vec<Stmt> {
    vec![
        sql!("DELETE FROM access_token WHERE expires_ms < ?1", ms(now - TimeDelta::days(1))),
        sql!("DELETE FROM spent_token WHERE spent_ms < ?1", ms(now - MEMORY)),
        sql!("DELETE FROM signin_attempt WHERE expires_ms < ?1", ms(now)),
        sql!("DELETE FROM signin_code WHERE expires_ms < ?1", ms(now - TimeDelta::days(1))),
        limits::forget_full(ms(now)),
    ]
}

/// How a browser or program calls itself, as it is kept.
pub(crate) fn agent(headers: &HeaderMap) -> String {
    let text = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    text.chars().take(AGENT_LENGTH).collect()
}

/// Begins a session.
pub(crate) async fn open(app: &App, opening: Opening<'_>) -> Result<Tokens, ApiError> {
    let Opening { person, auth_at, replaces, agent } = opening;
    let now = app.host.now();
    let (session, access, refresh) =
        (tokens::id(&*app.host, "ses"), tokens::secret(&*app.host, "aik_acc"), tokens::secret(&*app.host, "aik_ref"));
    let expires = refresh_expires(person.role, now, now);
    let mut batch = vec![
        // Whoever was removed a moment ago does not come back in.
        guard("EXISTS (SELECT 1 FROM person WHERE id = ?1 AND removed_ms IS NULL)", vec![(&person.id).into()]),
        sql!(
            "INSERT INTO session (id, person, refresh_hash, refresh_expires_ms, auth_ms, started_ms, used_ms, agent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
            &session,
            &person.id,
            tokens::hash(&refresh),
            ms(expires),
            ms(auth_at),
            ms(now),
            agent,
        ),
        access_token(&access, &session, now + ACCESS),
    ];
    if let Some(old) = replaces {
        batch.push(sql!(
            "UPDATE session SET ended_ms = ?3 WHERE id = ?1 AND person = ?2 AND ended_ms IS NULL",
            old,
            &person.id,
            ms(now)
        ));
    }
    batch.extend(forgotten(now));
    app.db.batch(batch).await.map_err(|error| match error.is_guard() {
        true => signed_out("Your access was ended. If that is a mistake, ask an admin of AIKit Partners."),
        false => error.into(),
    })?;
    let account = person.account(ms(auth_at));
    Ok(Tokens { access, refresh, life: expires - now, account, access_life: ACCESS })
}

/// The session of the bearer, if there is one: a new sign-in of the same person takes its place.
pub(crate) async fn session_of(app: &App, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        session: String,
    }
    let Some(token) = bearer(headers).filter(|t| tokens::is_well_formed(t)) else { return Ok(None) };
    let row: Option<Row> =
        app.db.query(sql!("SELECT session FROM access_token WHERE hash = ?1", tokens::hash(token))).await?.first()?;
    Ok(row.map(|r| r.session))
}

impl Tokens {
    /// As the caller keeps it.
    pub(crate) fn answer(self, config: &Config, keep: Keep) -> Response {
        let cookie = self.cookie(config);
        let mut session = Session {
            access_token: self.access,
            access_expires_in_s: u32::try_from(self.access_life.num_seconds()).unwrap_or(0),
            refresh_token: None,
            account: self.account,
        };
        if keep == Keep::Token {
            session.refresh_token = Some(self.refresh);
            return Json(session).into_response();
        }
        ([(header::SET_COOKIE, cookie)], Json(session)).into_response()
    }

    /// The refresh token as a browser keeps it.
    pub(crate) fn cookie(&self, config: &Config) -> HeaderValue {
        own_cookie(config, REFRESH_COOKIE, &self.refresh, self.life, "Strict")
    }
}

const REFRESH_COOKIE: &str = "aikit_refresh";

/// `__Host-` cookies need https; a loopback address without it gets a plain name.
fn cookie_name(config: &Config, name: &str) -> String {
    if config.secure_cookies() { format!("__Host-{name}") } else { name.into() }
}

/// A cookie for this host alone that no script can read.
pub(crate) fn own_cookie(config: &Config, name: &str, value: &str, life: TimeDelta, same_site: &str) -> HeaderValue {
    let secure = if config.secure_cookies() { "; Secure" } else { "" };
    let text = format!(
        "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite={same_site}{secure}",
        cookie_name(config, name),
        life.num_seconds().max(0)
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// The value of such a cookie.
pub(crate) fn read_own_cookie<'a>(config: &Config, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    cookie(headers, &cookie_name(config, name))
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// A session as a renewal finds it.
#[derive(Clone, Debug, Deserialize)]
struct Family {
    id: String,
    person: String,
    refresh_hash: String,
    spent_hash: Option<String>,
    spent_ms: Option<i64>,
    successor_salt: Option<String>,
    refresh_expires_ms: i64,
    started_ms: i64,
    auth_ms: i64,
    ended_ms: Option<i64>,
}

/// What the use of a refresh token means.
#[derive(Debug, PartialEq, Eq)]
enum Use {
    /// The newest: it is spent, and a successor made.
    Newest,
    /// The one before, once more: its successor again, which this salt makes.
    Again(String),
    /// Somebody has a copy.
    Copied,
    /// The session is over.
    Over,
}

impl Family {
    /// `given` is the hash of one of the family's tokens.
    fn judge(&self, given: &str, now: DateTime<Utc>) -> Use {
        if self.ended_ms.is_some() || self.refresh_expires_ms <= ms(now) {
            return Use::Over;
        }
        if tokens::same(&self.refresh_hash, given) {
            return Use::Newest;
        }
        // That the newest is unused follows: its use would have made it the spent one.
        let before = self.spent_hash.as_deref().is_some_and(|spent| tokens::same(spent, given));
        match (&self.successor_salt, self.spent_ms) {
            (Some(salt), Some(spent_ms)) if before && ms(now - GRACE) <= spent_ms => Use::Again(salt.clone()),
            _ => Use::Copied,
        }
    }
}

async fn family(app: &App, given: &str) -> Result<Option<Family>, ApiError> {
    Ok(app
        .db
        .query(sql!(
            "SELECT id, person, refresh_hash, spent_hash, spent_ms, successor_salt, refresh_expires_ms, started_ms, auth_ms, ended_ms
             FROM session WHERE refresh_hash = ?1 OR spent_hash = ?1 OR id = (SELECT session FROM spent_token WHERE hash = ?1)",
            given,
        ))
        .await?
        .first()?)
}

/// The statements that spend the newest token for the successor that `salt` makes of it.
fn spending(family: &Family, successor: &str, salt: &str, expires: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Stmt> {
    vec![
        guard(
            "EXISTS (SELECT 1 FROM session WHERE id = ?1 AND refresh_hash = ?2 AND ended_ms IS NULL)",
            vec![(&family.id).into(), (&family.refresh_hash).into()],
        ),
        sql!(
            "INSERT INTO spent_token (hash, session, spent_ms) SELECT spent_hash, id, spent_ms FROM session
             WHERE id = ?1 AND spent_hash IS NOT NULL",
            &family.id,
        ),
        sql!(
            "UPDATE session SET spent_hash = refresh_hash, spent_ms = ?2, refresh_hash = ?3, successor_salt = ?4,
                 refresh_expires_ms = ?5, used_ms = ?2 WHERE id = ?1",
            &family.id,
            ms(now),
            tokens::hash(successor),
            salt,
            ms(expires),
        ),
    ]
}

/// One renewal with a refresh token that is well formed.
async fn renew(app: &App, token: &str) -> Result<Tokens, ApiError> {
    let ended = || signed_out("Your session has ended. Sign in again.");
    let (given, now) = (tokens::hash(token), app.host.now());
    let family = family(app, &given).await?.ok_or_else(ended)?;
    let (salt, newest) = match family.judge(&given, now) {
        Use::Over => return Err(ended()),
        Use::Copied => {
            tracing::warn!(session = %family.id, "a used refresh token came again: the session is ended");
            app.db.query(ending(&family.id, now)).await?;
            return Err(ended());
        }
        Use::Newest => (tokens::salt(&*app.host), true),
        Use::Again(salt) => (salt, false),
    };
    let person = person_by_id(app, &family.person).await?.ok_or_else(ended)?;
    let (access, refresh) = (tokens::secret(&*app.host, "aik_acc"), tokens::successor(token, &salt));
    let expires = match newest {
        true => refresh_expires(person.role, at(family.started_ms), now),
        false => at(family.refresh_expires_ms),
    };
    let access_expires = (now + ACCESS).min(expires);
    let mut batch = match newest {
        true => spending(&family, &refresh, &salt, expires, now),
        false => vec![guard(
            "EXISTS (SELECT 1 FROM session WHERE id = ?1 AND refresh_hash = ?2 AND ended_ms IS NULL)",
            vec![(&family.id).into(), (&family.refresh_hash).into()],
        )],
    };
    batch.push(access_token(&access, &family.id, access_expires));
    app.db.batch(batch).await?;
    let account = person.account(family.auth_ms);
    Ok(Tokens { access, refresh, life: expires - now, account, access_life: access_expires - now })
}

/// `POST /v1/auth/refresh`: a new access token, and the next refresh token.
pub(crate) async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    Body(asked): Body<RefreshSession>,
) -> Result<Response, ApiError> {
    let ended = || signed_out("Your session has ended. Sign in again.");
    let (token, keep) = match &asked.refresh_token {
        Some(token) => (token.as_str(), Keep::Token),
        None => (read_own_cookie(&app.config, &headers, REFRESH_COOKIE).ok_or_else(ended)?, Keep::Cookie),
    };
    if !tokens::is_well_formed(token) {
        return Err(ended());
    }
    let renewed = match renew(&app, token).await {
        // Another use of the same token came first: this one is now a repeated use.
        Err(error) if error.code == wire::ErrorCode::Changed => renew(&app, token).await,
        other => other,
    };
    Ok(renewed?.answer(&app.config, keep))
}

/// `POST /v1/auth/end`: sign out. Ends the session of the bearer, and that of the cookie.
pub(crate) async fn end(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let now = app.host.now();
    if let Some(session) = session_of(&app, &headers).await? {
        app.db.query(ending(&session, now)).await?;
    }
    if let Some(token) = read_own_cookie(&app.config, &headers, REFRESH_COOKIE)
        && let Some(family) = family(&app, &tokens::hash(token)).await?
    {
        app.db.query(ending(&family.id, now)).await?;
    }
    let gone = own_cookie(&app.config, REFRESH_COOKIE, "", TimeDelta::zero(), "Strict");
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

/// `GET /v1/auth/sessions`: the person's own, the newest first.
pub(crate) async fn list(own: OwnSession, State(app): State<App>) -> Result<Json<Vec<OpenSession>>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        started_ms: i64,
        used_ms: i64,
        auth_ms: i64,
        agent: String,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT id, started_ms, used_ms, auth_ms, agent FROM session
             WHERE person = ?1 AND ended_ms IS NULL AND refresh_expires_ms > ?2 ORDER BY started_ms DESC, id LIMIT 200",
            &own.account.user,
            ms(app.host.now()),
        ))
        .await?
        .all()?;
    let open = rows.into_iter().map(|row| OpenSession {
        current: row.id == own.session,
        session: row.id,
        started_at: at(row.started_ms),
        used_at: at(row.used_ms),
        auth_at: at(row.auth_ms),
        agent: row.agent,
    });
    Ok(Json(open.collect()))
}

/// `POST /v1/auth/sessions/{session}/end`: one of the person's own.
pub(crate) async fn end_one(
    own: OwnSession,
    State(app): State<App>,
    Segment(session): Segment,
) -> Result<StatusCode, ApiError> {
    let ended = app
        .db
        .query(sql!(
            "UPDATE session SET ended_ms = ?3 WHERE id = ?1 AND person = ?2 AND ended_ms IS NULL",
            session,
            &own.account.user,
            ms(app.host.now()),
        ))
        .await?;
    if ended.changes == 0 { Err(not_found("You have no such session.")) } else { Ok(StatusCode::NO_CONTENT) }
}
