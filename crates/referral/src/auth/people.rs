//! People: who may sign in, with which role. Agencies join by themselves; AIKit's own people are added by an admin, and
//! the first admin by the operator's command.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use wire::{Account, AddPerson, ChangeRole, PartnerName, Role, StaffPerson};

use super::scope::{FreshAdmin, Overseer};
use super::session;
use crate::audit::{self, Actor, Entry};
use crate::db::{self, DbError, Stmt, guard};
use crate::error::{ApiError, Body, Segment, conflict, invalid, not_found};
use crate::tokens::{self, at, ms};
use crate::{App, notices, sql};

/// A person as most questions need one.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PersonRow {
    pub id: String,
    pub email: String,
    pub role: Role,
    pub partner: Option<String>,
    pub partner_name: Option<String>,
}

impl PersonRow {
    /// The account of somebody who proved who they are at `auth_ms`.
    pub(crate) fn account(self, auth_ms: i64) -> Account {
        let partner = match (self.partner, self.partner_name) {
            (Some(code), Some(name)) => Some(PartnerName { code, name }),
            _ => None,
        };
        Account { user: self.id, email: self.email, role: self.role, partner, auth_at: at(auth_ms) }
    }
}

async fn person(app: &App, condition: &'static str, value: &str) -> Result<Option<PersonRow>, ApiError> {
    let text = format!(
        "SELECT p.id, p.email, p.role, p.partner, a.name AS partner_name
         FROM person p LEFT JOIN partner a ON a.code = p.partner WHERE {condition} AND p.removed_ms IS NULL"
    );
    Ok(app.db.query(db::Stmt { sql: text.into(), params: vec![value.into()] }).await?.first()?)
}

/// Somebody who may sign in, by id.
pub(crate) async fn person_by_id(app: &App, id: &str) -> Result<Option<PersonRow>, ApiError> {
    person(app, "p.id = ?1", id).await
}

/// Somebody who may sign in, by address.
pub(crate) async fn person_by_email(app: &App, email: &str) -> Result<Option<PersonRow>, ApiError> {
    person(app, "p.email = ?1", email).await
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
    let shown: String = given.trim().chars().filter(|c| !c.is_control()).take(80).collect();
    if fits { Ok(email) } else { Err(invalid(format!("«{shown}» is not an e-mail address."))) }
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

/// A role of AIKit's own people.
fn own_role(role: Role) -> Result<&'static str, ApiError> {
    match role {
        Role::Owner | Role::Member => {
            Err(invalid("Owners and members belong to agencies: an agency joins by the form and invites its members."))
        }
        own => Ok(role_name(own)),
    }
}

/// Lets somebody of AIKit sign in; somebody who was removed comes back under the old id. Answers the id.
///
/// # Errors
/// A role of an agency, an address that is none, or one that can sign in already.
pub async fn add_person(app: &App, by: &Actor, email: &str, role: Role) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    let (name, email, now) = (own_role(role)?, read_email(email)?, app.host.now());
    let removed: Option<Row> = app
        .db
        .query(sql!("SELECT id FROM person WHERE email = ?1 AND removed_ms IS NOT NULL AND partner IS NULL", &email))
        .await?
        .first()?;
    let (id, add) = match removed {
        Some(Row { id }) => {
            let back = sql!(
                "UPDATE person SET role = ?2, removed_ms = NULL, added_ms = ?3 WHERE id = ?1 AND removed_ms IS NOT NULL",
                &id,
                name,
                ms(now),
            );
            let still =
                guard("EXISTS (SELECT 1 FROM person WHERE id = ?1 AND removed_ms IS NOT NULL)", vec![(&id).into()]);
            (id, vec![still, back])
        }
        None => {
            let id = tokens::id(&*app.host, "u");
            let new = sql!(
                "INSERT INTO person (id, email, role, added_ms) VALUES (?1, ?2, ?3, ?4)",
                &id,
                &email,
                name,
                ms(now)
            );
            (id, vec![new])
        }
    };
    let entry = Entry::new(by, "person.added", format!("person:{id}")).after(json!({"role": name}));
    match audit::write(app, add, &[entry]).await {
        Ok(_) => Ok(id),
        Err(DbError::Constraint(_)) => Err(conflict(format!("{email} can sign in already."))),
        Err(other) => Err(other.into()),
    }
}

/// One of AIKit's own people, for a change; `id` may be the address.
async fn own_person(app: &App, id: &str) -> Result<PersonRow, ApiError> {
    let found = match id.contains('@') {
        true => person_by_email(app, &read_email(id)?).await?,
        false => person_by_id(app, id).await?,
    };
    found
        .filter(|p| p.partner.is_none())
        .ok_or_else(|| not_found("AIKit has no such person. Members of an agency are its owner's affair."))
}

/// The person still has the role that was seen.
fn unchanged(person: &PersonRow) -> Stmt {
    guard(
        "EXISTS (SELECT 1 FROM person WHERE id = ?1 AND role = ?2 AND removed_ms IS NULL)",
        vec![(&person.id).into(), role_name(person.role).into()],
    )
}

/// Refuses to take the last admin away, and answers the guard that holds it until the batch is written.
async fn an_admin_is_left(app: &App, person: &PersonRow) -> Result<Stmt, ApiError> {
    const OTHER: &str = "EXISTS (SELECT 1 FROM person WHERE role = 'admin' AND removed_ms IS NULL AND id <> ?1)";
    let other = db::Stmt { sql: format!("SELECT 1 AS found WHERE {OTHER}").into(), params: vec![(&person.id).into()] };
    if app.db.query(other).await?.first::<serde_json::Value>()?.is_none() {
        return Err(conflict(format!("{} is the last admin: make somebody else one first.", person.email)));
    }
    Ok(guard(OTHER, vec![(&person.id).into()]))
}

/// Nobody changes their own rights.
fn may_change(by: &Actor, person: &PersonRow) -> Result<(), ApiError> {
    match by {
        Actor::Person(account) if account.user == person.id => {
            Err(conflict("Nobody changes their own role or removes themselves: ask another admin."))
        }
        _ => Ok(()),
    }
}

/// Ends somebody's access: all sessions, and what an issuer was bound to. What they approved stays theirs. The operator,
/// at the machine itself, may remove the last admin too.
///
/// # Errors
/// Nobody of that id or address, oneself, or the last admin.
pub async fn remove_person(app: &App, by: &Actor, id: &str) -> Result<String, ApiError> {
    let person = own_person(app, id).await?;
    may_change(by, &person)?;
    let now = app.host.now();
    let mut batch = vec![unchanged(&person)];
    if person.role == Role::Admin && !matches!(by, Actor::Operator) {
        batch.push(an_admin_is_left(app, &person).await?);
    }
    batch.extend([
        sql!("UPDATE person SET removed_ms = ?2 WHERE id = ?1", &person.id, ms(now)),
        sql!("DELETE FROM person_identity WHERE person = ?1", &person.id),
        session::ending_all(&person.id, now),
        notices::end_all(&person.id),
    ]);
    let entry = Entry::new(by, "person.removed", format!("person:{}", person.id))
        .before(json!({"role": role_name(person.role)}));
    audit::write(app, batch, &[entry]).await?;
    Ok(person.email)
}

/// Gives somebody another role. Their sessions end: a role is something one signs in with.
///
/// # Errors
/// Nobody of that id or address, a role of an agency, oneself, or the last admin.
async fn change_role(app: &App, by: &Actor, id: &str, role: Role) -> Result<(), ApiError> {
    let (name, person) = (own_role(role)?, own_person(app, id).await?);
    may_change(by, &person)?;
    if person.role == role {
        return Ok(());
    }
    let now = app.host.now();
    let mut batch = vec![unchanged(&person)];
    if person.role == Role::Admin {
        batch.push(an_admin_is_left(app, &person).await?);
    }
    batch.push(sql!("UPDATE person SET role = ?2 WHERE id = ?1", &person.id, name));
    batch.push(session::ending_all(&person.id, now));
    let entry = Entry::new(by, "person.role_changed", format!("person:{}", person.id))
        .before(json!({"role": role_name(person.role)}))
        .after(json!({"role": name}));
    audit::write(app, batch, &[entry]).await?;
    Ok(())
}

#[derive(Deserialize)]
struct ListRow {
    id: String,
    email: String,
    role: Role,
    added_ms: i64,
    seen_ms: Option<i64>,
}

impl From<ListRow> for StaffPerson {
    fn from(row: ListRow) -> Self {
        let seen_at: Option<DateTime<Utc>> = row.seen_ms.map(at);
        StaffPerson { person: row.id, email: row.email, role: row.role, added_at: at(row.added_ms), seen_at }
    }
}

async fn load(app: &App, id: Option<&str>) -> Result<Vec<StaffPerson>, ApiError> {
    let rows: Vec<ListRow> = app
        .db
        .query(sql!(
            "SELECT p.id, p.email, p.role, p.added_ms, (SELECT max(s.used_ms) FROM session s WHERE s.person = p.id) AS seen_ms
             FROM person p WHERE p.partner IS NULL AND p.removed_ms IS NULL AND (?1 IS NULL OR p.id = ?1)
             ORDER BY p.email LIMIT 1000",
            id,
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(StaffPerson::from).collect())
}

/// `GET /v1/people`.
pub(crate) async fn list(_: Overseer, State(app): State<App>) -> Result<Json<Vec<StaffPerson>>, ApiError> {
    Ok(Json(load(&app, None).await?))
}

async fn one(app: &App, id: &str) -> Result<Json<StaffPerson>, ApiError> {
    let found = load(app, Some(id)).await?.into_iter().next();
    found.map(Json).ok_or_else(|| not_found("AIKit has no such person."))
}

/// `POST /v1/people`.
pub(crate) async fn add(
    FreshAdmin(account): FreshAdmin,
    State(app): State<App>,
    Body(asked): Body<AddPerson>,
) -> Result<(StatusCode, Json<StaffPerson>), ApiError> {
    let id = add_person(&app, &account.into(), &asked.email, asked.role).await?;
    Ok((StatusCode::CREATED, one(&app, &id).await?))
}

/// `POST /v1/people/{person}/role`.
pub(crate) async fn set_role(
    FreshAdmin(account): FreshAdmin,
    State(app): State<App>,
    Segment(person): Segment,
    Body(asked): Body<ChangeRole>,
) -> Result<Json<StaffPerson>, ApiError> {
    change_role(&app, &account.into(), &person, asked.role).await?;
    one(&app, &person).await
}

/// `POST /v1/people/{person}/remove`.
pub(crate) async fn remove(
    FreshAdmin(account): FreshAdmin,
    State(app): State<App>,
    Segment(person): Segment,
) -> Result<StatusCode, ApiError> {
    remove_person(&app, &account.into(), &person).await?;
    Ok(StatusCode::NO_CONTENT)
}
