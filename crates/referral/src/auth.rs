//! Who asks: sessions of people, keys of programs, and the scope that follows from them.
//!
//! [`Partner`], [`Finance`] and the others can be made by authentication alone; every query that reads partner data
//! takes one of them.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::json;
use wire::{
    Account, CodeRequested, DemoPerson, Keep, PartnerName, RefreshSession, RequestCode, Role, Session,
    StartDemoSession, StartSession,
};

use crate::audit::{self, Actor, Entry};
use crate::db::{DbError, Rows};
use crate::error::{ApiError, Body, forbidden, invalid, signed_out, step_up, unavailable};
use crate::ports::Config;
use crate::tokens::{self, at, ms};
use crate::{App, db, journal, sql};

const ACCESS: TimeDelta = TimeDelta::minutes(10);
const REFRESH_PARTNER: TimeDelta = TimeDelta::days(14);
const REFRESH_STAFF: TimeDelta = TimeDelta::hours(8);
const REFRESH_GRACE: TimeDelta = TimeDelta::seconds(60);
const FRESH: TimeDelta = TimeDelta::minutes(5);
const CODE_GOOD: TimeDelta = TimeDelta::minutes(10);
const CODE_TRIES: u32 = 5;
const CODE_PAUSE: TimeDelta = TimeDelta::seconds(20);

/// A person with a session that has not ended.
pub(crate) struct Signed(pub Account);

/// An owner or member of an agency; holds its code.
pub(crate) struct Partner {
    pub code: String,
    pub role: Role,
}

/// Anybody who may see all partners and runs.
pub(crate) struct Staff;

/// Finance: may change runs.
pub(crate) struct Finance(pub Account);

/// Finance with a sign-in that is at most five minutes old.
pub(crate) struct FreshFinance(pub Account);

/// AIKit's backend.
pub(crate) struct ServerKey;

/// A program that sends approved runs.
pub(crate) struct ExecutorKey;

#[derive(Deserialize)]
struct PersonRow {
    id: String,
    email: String,
    role: Role,
    partner: Option<String>,
    partner_name: Option<String>,
}

impl PersonRow {
    fn account(self, auth_ms: i64) -> Account {
        let partner = match (self.partner, self.partner_name) {
            (Some(code), Some(name)) => Some(PartnerName { code, name }),
            _ => None,
        };
        Account { user: self.id, email: self.email, role: self.role, partner, auth_at: at(auth_ms) }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

impl FromRequestParts<App> for Signed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(flatten)]
            person: PersonRow,
            auth_ms: i64,
        }
        let ended = || signed_out("You are not signed in, or your session has ended. Sign in again.");
        let token = bearer(&parts.headers).filter(|t| tokens::is_well_formed(t)).ok_or_else(ended)?;
        let row: Option<Row> = app
            .db
            .query(sql!(
                "SELECT p.id, p.email, p.role, p.partner, a.name AS partner_name, s.auth_ms
                 FROM access_token t JOIN session s ON s.id = t.session JOIN person p ON p.id = s.person
                 LEFT JOIN partner a ON a.code = p.partner
                 WHERE t.hash = ?1 AND t.expires_ms > ?2 AND s.ended_ms IS NULL",
                tokens::hash(token),
                ms(app.host.now()),
            ))
            .await?
            .first()?;
        let row = row.ok_or_else(ended)?;
        Ok(Signed(row.person.account(row.auth_ms)))
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

impl FromRequestParts<App> for Staff {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Signed(account) = Signed::from_request_parts(parts, app).await?;
        match account.role {
            Role::Staff | Role::Finance | Role::Admin | Role::Auditor => Ok(Staff),
            Role::Owner | Role::Member => Err(forbidden("Only AIKit's own people may see this.")),
        }
    }
}

impl FromRequestParts<App> for Finance {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Signed(account) = Signed::from_request_parts(parts, app).await?;
        match account.role {
            Role::Finance => Ok(Finance(account)),
            _ => Err(forbidden("Only finance may change runs.")),
        }
    }
}

impl FromRequestParts<App> for FreshFinance {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Finance(account) = Finance::from_request_parts(parts, app).await?;
        if app.host.now() - account.auth_at > FRESH { Err(step_up()) } else { Ok(FreshFinance(account)) }
    }
}

async fn key(parts: &Parts, app: &App, kind: &'static str) -> Result<(), ApiError> {
    let refused =
        || signed_out(format!("This call needs a {kind} key that has not been revoked, as «Authorization: Bearer …»."));
    let secret = bearer(&parts.headers).filter(|t| tokens::is_well_formed(t)).ok_or_else(refused)?;
    let found: Rows = app
        .db
        .query(sql!(
            "SELECT 1 AS found FROM api_key WHERE hash = ?1 AND kind = ?2 AND revoked_ms IS NULL",
            tokens::hash(secret),
            kind,
        ))
        .await?;
    found.first::<serde_json::Value>()?.map(|_| ()).ok_or_else(refused)
}

impl FromRequestParts<App> for ServerKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        key(parts, app, "server").await.map(|()| ServerKey)
    }
}

impl FromRequestParts<App> for ExecutorKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        key(parts, app, "executor").await.map(|()| ExecutorKey)
    }
}

/// An address as it is compared: trimmed, in lower case, with one `@` and a dot behind it.
pub(crate) fn read_email(given: &str) -> Result<String, ApiError> {
    let email = given.trim().to_lowercase();
    let fits = email.len() <= 254
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.contains('@')
                && domain.split('.').count() > 1
                && domain.split('.').all(|l| !l.is_empty())
        });
    if fits { Ok(email) } else { Err(invalid(format!("«{}» is not an e-mail address.", given.trim()))) }
}

/// `POST /v1/auth/codes`. The answer is the same whether the address is known or not.
pub(crate) async fn request_code(
    State(app): State<App>,
    Body(asked): Body<RequestCode>,
) -> Result<Json<CodeRequested>, ApiError> {
    let email = read_email(&asked.email)?;
    let now = app.host.now();
    let (code, stored) = tokens::signin_code(&*app.host, &email);
    let known = app
        .db
        .query(sql!(
            "INSERT INTO signin_code (email, hash, expires_ms, tries_left, sent_ms)
             SELECT email, ?2, ?3, ?4, ?5 FROM person WHERE email = ?1
             ON CONFLICT (email) DO UPDATE SET hash = excluded.hash, expires_ms = excluded.expires_ms,
                 tries_left = excluded.tries_left, sent_ms = excluded.sent_ms
             WHERE signin_code.sent_ms <= ?6",
            &email,
            stored,
            ms(now + CODE_GOOD),
            CODE_TRIES,
            ms(now),
            ms(now - CODE_PAUSE),
        ))
        .await?;
    if known.changes > 0 {
        let text = format!(
            "Your sign-in code for AIKit Partners is\n\n    {code}\n\nIt is good for ten minutes and for one sign-in. \
             If you did not ask for it, nobody can sign in without it: ignore this message.\n"
        );
        if let Err(reason) = app.mail.send(email, format!("{code} is your AIKit Partners code"), text).await {
            tracing::error!(%reason, "a sign-in code was not sent");
            return Err(unavailable("The code could not be sent just now. Try again in a minute."));
        }
    }
    Ok(Json(CodeRequested { expires_in_s: CODE_GOOD.num_seconds() as u32 }))
}

/// `POST /v1/auth/sessions`.
pub(crate) async fn start_session(
    State(app): State<App>,
    Body(asked): Body<StartSession>,
) -> Result<Response, ApiError> {
    let email = read_email(&asked.email)?;
    let digits: String = asked.code.chars().filter(char::is_ascii_digit).collect();
    #[derive(Deserialize)]
    struct Row {
        hash: String,
    }
    // Taking a try and reading the code are one statement: two requests at once cannot share a try.
    let row: Option<Row> = app
        .db
        .query(sql!(
            "UPDATE signin_code SET tries_left = tries_left - 1 WHERE email = ?1 AND expires_ms > ?2 AND tries_left > 0 RETURNING hash",
            &email,
            ms(app.host.now()),
        ))
        .await?
        .first()?;
    let stored = tokens::hash_signin_code(&email, &digits);
    let right = row.is_some_and(|r| tokens::same(&r.hash, &stored));
    let spent = right
        && app.db.query(sql!("DELETE FROM signin_code WHERE email = ?1 AND hash = ?2", &email, &stored)).await?.changes
            == 1;
    if !spent {
        return Err(signed_out("That code is not right, or it has expired. Check it, or ask for a new one."));
    }
    let person = person_by(&app, "p.email = ?1", &email).await?;
    let person = person.ok_or_else(|| signed_out("That code is not right, or it has expired. Ask for a new one."))?;
    open(&app, person, asked.keep).await
}

async fn person_by(app: &App, condition: &'static str, value: &str) -> Result<Option<PersonRow>, ApiError> {
    let text = format!(
        "SELECT p.id, p.email, p.role, p.partner, a.name AS partner_name
         FROM person p LEFT JOIN partner a ON a.code = p.partner WHERE {condition}"
    );
    Ok(app.db.query(db::Stmt { sql: text.into(), params: vec![value.into()] }).await?.first()?)
}

fn refresh_life(role: Role) -> TimeDelta {
    match role {
        Role::Owner | Role::Member => REFRESH_PARTNER,
        _ => REFRESH_STAFF,
    }
}

async fn open(app: &App, person: PersonRow, keep: Keep) -> Result<Response, ApiError> {
    let now = app.host.now();
    let (session, access, refresh) =
        (tokens::id(&*app.host, "ses"), tokens::secret(&*app.host, "aik_acc"), tokens::secret(&*app.host, "aik_ref"));
    let life = refresh_life(person.role);
    app.db
        .batch(vec![
            sql!(
                "INSERT INTO session (id, person, refresh_hash, refresh_expires_ms, auth_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                &session,
                &person.id,
                tokens::hash(&refresh),
                ms(now + life),
                ms(now),
            ),
            sql!(
                "INSERT INTO access_token (hash, session, expires_ms) VALUES (?1, ?2, ?3)",
                tokens::hash(&access),
                &session,
                ms(now + ACCESS),
            ),
            sql!("DELETE FROM access_token WHERE expires_ms < ?1", ms(now - TimeDelta::days(1))),
        ])
        .await?;
    Ok(answer(&app.config, access, refresh, life, person.account(ms(now)), keep))
}

fn answer(config: &Config, access: String, refresh: String, life: TimeDelta, account: Account, keep: Keep) -> Response {
    let mut session = Session {
        access_token: access,
        access_expires_in_s: ACCESS.num_seconds() as u32,
        refresh_token: None,
        account,
    };
    if keep == Keep::Token {
        session.refresh_token = Some(refresh);
        return Json(session).into_response();
    }
    let cookie = refresh_cookie(config, &refresh, life);
    ([(header::SET_COOKIE, cookie)], Json(session)).into_response()
}

/// `__Host-` cookies need https; a loopback address without it gets a plain name.
fn cookie_name(config: &Config) -> &'static str {
    if config.secure_cookies() { "__Host-aikit_refresh" } else { "aikit_refresh" }
}

fn refresh_cookie(config: &Config, value: &str, life: TimeDelta) -> HeaderValue {
    let secure = if config.secure_cookies() { "; Secure" } else { "" };
    let text = format!(
        "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}",
        cookie_name(config),
        life.num_seconds()
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
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

/// A cookie proves nothing about the page that sent it: the Origin, where there is one, must be ours.
fn same_origin(config: &Config, headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match headers.get(header::ORIGIN).map(|v| v.to_str().unwrap_or_default()) {
        None => Ok(()),
        Some(o) if o == config.public_url.origin().ascii_serialization() => Ok(()),
        Some(o) if !config.secure_cookies() && o == format!("http://{host}") => Ok(()),
        Some(_) => Err(forbidden("Another site may not use this session.")),
    }
}

/// `POST /v1/auth/refresh`: rotate. The token before the newest is taken for a minute more (a lost answer, two tabs);
/// after that its use says that it was copied, and the session ends.
pub(crate) async fn refresh(
    State(app): State<App>,
    headers: HeaderMap,
    Body(asked): Body<RefreshSession>,
) -> Result<Response, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        person: String,
        refresh_hash: String,
        refresh_expires_ms: i64,
        spent_ms: Option<i64>,
        auth_ms: i64,
    }
    let ended = || signed_out("Your session has ended. Sign in again.");
    let (token, keep) = match &asked.refresh_token {
        Some(token) => (token.as_str(), Keep::Token),
        None => {
            same_origin(&app.config, &headers)?;
            (cookie(&headers, cookie_name(&app.config)).ok_or_else(ended)?, Keep::Cookie)
        }
    };
    if !tokens::is_well_formed(token) {
        return Err(ended());
    }
    let (given, now) = (tokens::hash(token), app.host.now());
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT id, person, refresh_hash, refresh_expires_ms, spent_ms, auth_ms FROM session
             WHERE (refresh_hash = ?1 OR spent_hash = ?1) AND ended_ms IS NULL",
            &given,
        ))
        .await?
        .first()?;
    let row = row.filter(|r| r.refresh_expires_ms > ms(now)).ok_or_else(ended)?;
    let spent = row.refresh_hash != given;
    if spent && row.spent_ms.is_none_or(|s| s < ms(now - REFRESH_GRACE)) {
        app.db.query(sql!("UPDATE session SET ended_ms = ?2 WHERE id = ?1", &row.id, ms(now))).await?;
        return Err(ended());
    }
    let person = person_by(&app, "p.id = ?1", &row.person).await?.ok_or_else(ended)?;
    let (access, refresh) = (tokens::secret(&*app.host, "aik_acc"), tokens::secret(&*app.host, "aik_ref"));
    let life = refresh_life(person.role);
    app.db
        .batch(vec![
            // A repeated use of the spent token keeps it the spent one: its minute does not start again.
            db::guard(
                "EXISTS (SELECT 1 FROM session WHERE id = ?1 AND refresh_hash = ?2)",
                vec![(&row.id).into(), (&row.refresh_hash).into()],
            ),
            sql!(
                "UPDATE session SET spent_hash = ?2, spent_ms = CASE WHEN ?2 = refresh_hash THEN ?3 ELSE spent_ms END,
                     refresh_hash = ?4, refresh_expires_ms = ?5 WHERE id = ?1",
                &row.id,
                &given,
                ms(now),
                tokens::hash(&refresh),
                ms(now + life),
            ),
            sql!(
                "INSERT INTO access_token (hash, session, expires_ms) VALUES (?1, ?2, ?3)",
                tokens::hash(&access),
                &row.id,
                ms(now + ACCESS),
            ),
        ])
        .await?;
    Ok(answer(&app.config, access, refresh, life, person.account(row.auth_ms), keep))
}

/// `POST /v1/auth/end`: sign out. Ends the session of the bearer, or of the cookie.
pub(crate) async fn end(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    let now = ms(app.host.now());
    if let Some(token) = bearer(&headers) {
        app.db
            .query(sql!(
                "UPDATE session SET ended_ms = ?2 WHERE id = (SELECT session FROM access_token WHERE hash = ?1)",
                tokens::hash(token),
                now,
            ))
            .await?;
    }
    if let Some(token) = cookie(&headers, cookie_name(&app.config)) {
        same_origin(&app.config, &headers)?;
        app.db
            .query(sql!("UPDATE session SET ended_ms = ?2 WHERE refresh_hash = ?1", tokens::hash(token), now))
            .await?;
    }
    let gone = refresh_cookie(&app.config, "", TimeDelta::zero());
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, gone)]).into_response())
}

/// `GET /v1/demo/people`.
pub(crate) async fn demo_people(State(app): State<App>) -> Result<Json<Vec<DemoPerson>>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(flatten)]
        person: PersonRow,
        account: Option<String>,
        transfers: Option<String>,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT p.id, p.email, p.role, p.partner, a.name AS partner_name, a.account, a.transfers
             FROM person p LEFT JOIN partner a ON a.code = p.partner WHERE p.role IN ('owner', 'finance')
             ORDER BY p.role = 'owner', a.joined_ms, p.id"
        ))
        .await?
        .all()?;
    let evaluation = journal::evaluate_all(&app, journal::until(app.host.now()), None).await?;
    let people = rows
        .into_iter()
        .map(|row| {
            let statement = evaluation.statements.iter().find(|s| Some(&s.partner) == row.person.partner.as_ref());
            let about = match statement {
                None if row.person.partner.is_none() => "Reviews, approves and sends the month's payouts.".into(),
                None => "Has just joined.".into(),
                Some(s) => journal::in_short(s, row.account.is_some(), row.transfers.as_deref() == Some("active")),
            };
            let name = row.person.partner_name.clone().unwrap_or_else(|| "AIKit Finance".into());
            DemoPerson { person: row.person.id, name, role: row.person.role, about }
        })
        .collect();
    Ok(Json(people))
}

/// `POST /v1/demo/sessions`: exists under `serve --demo` alone.
pub(crate) async fn start_demo_session(
    State(app): State<App>,
    Body(asked): Body<StartDemoSession>,
) -> Result<Response, ApiError> {
    let person = person_by(&app, "p.id = ?1", &asked.person).await?;
    let person = person.ok_or_else(|| invalid("The demo has no such person. Ask for its people first."))?;
    open(&app, person, asked.keep).await
}

/// A role as it is stored and said.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Member => "member",
        Role::Staff => "staff",
        Role::Finance => "finance",
        Role::Admin => "admin",
        Role::Auditor => "auditor",
    }
}

/// Adds one of AIKit's own people. Agencies join by themselves.
///
/// # Errors
/// A role of an agency, an address that is none, or one that is taken.
pub async fn add_person(app: &App, by: &Actor, email: &str, role: Role) -> Result<String, ApiError> {
    if matches!(role, Role::Owner | Role::Member) {
        return Err(invalid("Owners and members of agencies join by the form."));
    }
    let (id, email, name) = (tokens::id(&*app.host, "u"), read_email(email)?, role_name(role));
    let add = sql!(
        "INSERT INTO person (id, email, role, added_ms) VALUES (?1, ?2, ?3, ?4)",
        &id,
        &email,
        name,
        ms(app.host.now()),
    );
    let entry = Entry::new(by, "person.added", format!("person:{id}")).after(json!({"role": name}));
    match audit::write(app, vec![add], &[entry]).await {
        Ok(_) => Ok(id),
        Err(DbError::Constraint(_)) => Err(crate::error::conflict(format!("{email} can sign in already."))),
        Err(other) => Err(other.into()),
    }
}

/// Issues a key for AIKit's backend (`server`) or for a program that sends runs (`executor`). It is shown once.
///
/// # Errors
/// An unknown kind.
pub async fn issue_key(app: &App, by: &Actor, kind: &str, label: &str) -> Result<String, ApiError> {
    let prefix = match kind {
        "server" => "aik_srv",
        "executor" => "aik_exe",
        other => return Err(invalid(format!("There are no «{other}» keys: the kind is server or executor."))),
    };
    let secret = tokens::secret(&*app.host, prefix);
    let hash = tokens::hash(&secret);
    let entry = Entry::new(by, "key.issued", key_name(&hash)).after(json!({"kind": kind, "label": label}));
    let issue = sql!(
        "INSERT INTO api_key (hash, kind, label, issued_ms) VALUES (?1, ?2, ?3, ?4)",
        hash,
        kind,
        label,
        ms(app.host.now()),
    );
    audit::write(app, vec![issue], &[entry]).await?;
    Ok(secret)
}

/// A key as the audit chain names it: enough of its hash to find it, and nothing of the key.
pub(crate) fn key_name(hash: &str) -> String {
    format!("key:{}", hash.get(..16).unwrap_or(hash))
}
