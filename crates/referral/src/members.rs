//! The people of an agency: its owner invites members, lets them go, and hands the agency over.
//!
//! A member makes links and reads everything; onboarding, terms and people are the owner's.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde_json::json;
use wire::{Account, InviteMember, Member, PartnerName, Role};

use crate::audit::{self, Entry};
use crate::auth::{FRESH, Partner, Signed, read_email};
use crate::db::{DbError, Stmt, guard};
use crate::error::{ApiError, Body, Segment, conflict, forbidden, not_found, step_up};
use crate::tokens::{self, at, ms};
use crate::{App, sql};

/// People of one agency.
const MOST: u32 = 50;

/// The owner of an agency.
pub(crate) struct Owner {
    pub account: Account,
    pub agency: PartnerName,
}

/// The owner, with a sign-in that is at most five minutes old.
pub(crate) struct FreshOwner(pub Owner);

impl FromRequestParts<App> for Owner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Signed(account) = Signed::from_request_parts(parts, app).await?;
        match (&account.partner, account.role) {
            (Some(agency), Role::Owner) => Ok(Owner { agency: agency.clone(), account }),
            (Some(_), _) => Err(forbidden("Only the owner of the agency does this.")),
            (None, _) => Err(forbidden("This belongs to agencies. You are signed in as AIKit staff.")),
        }
    }
}

impl FromRequestParts<App> for FreshOwner {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let owner = Owner::from_request_parts(parts, app).await?;
        if app.host.now() - owner.account.auth_at > FRESH { Err(step_up()) } else { Ok(FreshOwner(owner)) }
    }
}

/// `GET /v1/members`: the owner first, then the members by the day they came.
pub(crate) async fn list(State(app): State<App>, partner: Partner) -> Result<Json<Vec<Member>>, ApiError> {
    people(&app, &partner.code).await.map(Json)
}

async fn people(app: &App, partner: &str) -> Result<Vec<Member>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        email: String,
        role: Role,
        added_ms: i64,
        signed_in_ms: Option<i64>,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT p.id, p.email, p.role, p.added_ms,
                (SELECT max(s.auth_ms) FROM session s WHERE s.person = p.id) AS signed_in_ms
             FROM person p WHERE p.partner = ?1 ORDER BY p.role = 'owner' DESC, p.added_ms, p.id",
            partner,
        ))
        .await?
        .all()?;
    let member = |r: Row| Member {
        person: r.id,
        email: r.email,
        role: r.role,
        added_at: at(r.added_ms),
        signed_in_at: r.signed_in_ms.map(at),
    };
    Ok(rows.into_iter().map(member).collect())
}

/// `POST /v1/members`: invites somebody by e-mail. The invitation is that they may sign in from now on.
pub(crate) async fn invite(
    FreshOwner(owner): FreshOwner,
    State(app): State<App>,
    Body(given): Body<InviteMember>,
) -> Result<(StatusCode, Json<Member>), ApiError> {
    let email = read_email(&given.email)?;
    let (person, now) = (tokens::id(&*app.host, "u"), app.host.now());
    let code = &owner.agency.code;
    let room =
        guard("(SELECT count(*) FROM person WHERE partner = ?1) < CAST(?2 AS INTEGER)", vec![code.into(), MOST.into()]);
    let add = sql!(
        "INSERT INTO person (id, email, role, partner, added_ms) VALUES (?1, ?2, 'member', ?3, ?4)",
        &person,
        &email,
        code,
        ms(now),
    );
    let entry = Entry::new(&owner.account.clone().into(), "member.invited", format!("person:{person}"))
        .after(json!({"partner": code, "role": "member"}));
    match audit::write(&app, vec![room, still_owner(&owner), add], &[entry]).await {
        Ok(_) => {}
        Err(full) if full.is_guard() => {
            return Err(conflict(format!("An agency has at most {MOST} people. Remove somebody who has left first.")));
        }
        Err(DbError::Constraint(_)) => {
            return Err(conflict(format!("{email} signs in here already, for this agency or for another one.")));
        }
        Err(other) => return Err(other.into()),
    }
    let text = format!(
        "{} has added you to {} on AIKit Partners: you can make links, and see clients, earnings and payouts.\n\n\
         Sign in with this address, {email}, at\n\n    {}\n\nIf you do not know {}, ignore this message; nothing happens.\n",
        owner.account.email, owner.agency.name, app.config.public_url, owner.agency.name,
    );
    let subject = format!("{} works with AIKit Partners", owner.agency.name);
    if let Err(reason) = app.mail.send(email.clone(), subject, text).await {
        // The invitation holds without its letter, and can be sent again by removing and inviting.
        tracing::error!(%reason, "an invitation was not sent");
    }
    let member = Member { person, email, role: Role::Member, added_at: now, signed_in_at: None };
    Ok((StatusCode::CREATED, Json(member)))
}

/// What a decision of the owner relies on: the agency has not been handed over meanwhile.
fn still_owner(owner: &Owner) -> Stmt {
    guard(
        "EXISTS (SELECT 1 FROM person WHERE id = ?1 AND partner = ?2 AND role = 'owner')",
        vec![(&owner.account.user).into(), (&owner.agency.code).into()],
    )
}

async fn member_of(app: &App, owner: &Owner, person: &str) -> Result<Member, ApiError> {
    let people = people(app, &owner.agency.code).await?;
    people.into_iter().find(|m| m.person == person).ok_or_else(|| not_found("There is no such member."))
}

/// `POST /v1/members/{person}/remove`: its sessions end at once.
pub(crate) async fn remove(
    FreshOwner(owner): FreshOwner,
    State(app): State<App>,
    Segment(person): Segment,
) -> Result<Json<Vec<Member>>, ApiError> {
    let member = member_of(&app, &owner, &person).await?;
    if member.role == Role::Owner {
        return Err(conflict("An agency needs an owner. Hand it over to a member first, who can then remove you."));
    }
    let decision = vec![
        still_owner(&owner),
        guard(
            "EXISTS (SELECT 1 FROM person WHERE id = ?1 AND role = 'member' AND partner = ?2)",
            vec![(&person).into(), (&owner.agency.code).into()],
        ),
        sql!("DELETE FROM access_token WHERE session IN (SELECT id FROM session WHERE person = ?1)", &person),
        sql!("DELETE FROM session WHERE person = ?1", &person),
        sql!("DELETE FROM signin_code WHERE email = ?1", &member.email),
        sql!("DELETE FROM person WHERE id = ?1", &person),
    ];
    let entry = Entry::new(&owner.account.clone().into(), "member.removed", format!("person:{person}"))
        .before(json!({"partner": owner.agency.code, "role": "member"}));
    audit::write(&app, decision, &[entry]).await?;
    people(&app, &owner.agency.code).await.map(Json)
}

/// `POST /v1/members/{person}/owner`: hands the agency over. The owner becomes a member.
pub(crate) async fn hand_over(
    FreshOwner(owner): FreshOwner,
    State(app): State<App>,
    Segment(person): Segment,
) -> Result<Json<Vec<Member>>, ApiError> {
    let member = member_of(&app, &owner, &person).await?;
    if member.role == Role::Owner {
        return Err(conflict("You are the owner already."));
    }
    let code = &owner.agency.code;
    let decision = vec![
        still_owner(&owner),
        guard(
            "EXISTS (SELECT 1 FROM person WHERE id = ?1 AND role = 'member' AND partner = ?2)",
            vec![(&person).into(), code.into()],
        ),
        sql!("UPDATE person SET role = 'member' WHERE id = ?1", &owner.account.user),
        sql!("UPDATE person SET role = 'owner' WHERE id = ?1", &person),
        // Letters about the agency go to its owner.
        sql!("UPDATE partner SET email = ?2 WHERE code = ?1", code, &member.email),
    ];
    let entry = Entry::new(&owner.account.clone().into(), "agency.handed_over", format!("partner:{code}"))
        .before(json!({"owner": owner.account.user}))
        .after(json!({"owner": person}));
    audit::write(&app, decision, &[entry]).await?;
    people(&app, code).await.map(Json)
}
