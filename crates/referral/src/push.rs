//! `POST /v1/sync/push`: what was done in the desktop app without a network. Each act is done in one batch with the record
//! that it was done, so that it is done once, however often it comes (docs/sync.md).

use axum::Json;
use axum::extract::State;
use partner::read_uuid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use wire::{
    AddNote, CreateLink, ErrorBody, ErrorCode, HoldPartner, Mutation, Push, Pushed, Pushing, ReleasePartner, UpdateLink,
};

use crate::auth::Pusher;
use crate::db::{DbError, Stmt};
use crate::deed::Deed;
use crate::error::{ApiError, Body, forbidden, invalid};
use crate::tokens::ms;
use crate::{App, links, notes, run_turn, sql};

/// Acts of one push.
const MOST: usize = 50;
/// How often an act is tried again that another decision got in the way of.
const TRIES: usize = 3;

/// `POST /v1/sync/push`.
pub(crate) async fn push(
    who: Pusher,
    State(app): State<App>,
    Body(given): Body<Push>,
) -> Result<Json<Pushed>, ApiError> {
    if given.mutations.len() > MOST {
        return Err(invalid(format!("A push has at most {MOST} acts. Send the others after it.")));
    }
    let mut outcomes = Vec::with_capacity(given.mutations.len());
    for act in given.mutations {
        match one(&app, &who, act).await {
            Ok(outcome) => outcomes.push(outcome),
            // What was done is told; what was not comes again.
            Err(error) if outcomes.is_empty() => return Err(error),
            Err(error) => {
                tracing::info!(%error, done = outcomes.len(), "a push ended early");
                break;
            }
        }
    }
    Ok(Json(Pushed { outcomes }))
}

/// Does one act, or says that it will never be done. An error is of the moment: the act is sent again.
async fn one(app: &App, who: &Pusher, act: Mutation) -> Result<Pushing, ApiError> {
    let Some(mid) = read_uuid(&act.mid) else {
        let error = ErrorBody::new(ErrorCode::Invalid, "The id of an act must be a UUID.");
        return Ok(Pushing::Rejected { mid: act.mid, error });
    };
    let mut tries = TRIES;
    loop {
        if let Some(known) = known(app, who, &mid).await? {
            return Ok(match known {
                None => Pushing::Duplicate { mid },
                Some(error) => Pushing::Rejected { mid, error },
            });
        }
        let mut deed = match deed(app, who, &act).await {
            Ok(deed) => deed,
            Err(error) if is_final(error.code) => {
                let error = ErrorBody { code: error.code, message: error.message, diff: None };
                let refused = record(app, who, &mid, Some(json!(error).to_string()));
                match app.db.query(refused).await {
                    Ok(_) => return Ok(Pushing::Rejected { mid, error }),
                    Err(DbError::Constraint(_)) => continue,
                    Err(other) => return Err(other.into()),
                }
            }
            Err(error) => return Err(error),
        };
        deed.batch.push(record(app, who, &mid, None));
        match deed.done(app).await {
            Ok(_) => return Ok(Pushing::Applied { mid }),
            // The same act came twice at once, or the thing was changed meanwhile: the next look says which.
            Err(DbError::Constraint(_)) if tries > 0 => tries -= 1,
            Err(other) => return Err(other.into()),
        }
    }
}

/// Sent again, it would be refused again.
fn is_final(code: ErrorCode) -> bool {
    use ErrorCode as E;
    match code {
        E::Invalid | E::Forbidden | E::NotFound | E::Changed | E::Conflict => true,
        E::SignedOut | E::StepUp | E::TooMany | E::Unavailable | E::Reset | E::Outdated | E::Offline => false,
    }
}

/// What is recorded of an act: nothing, that it was done, or why it never will be.
async fn known(app: &App, who: &Pusher, mid: &str) -> Result<Option<Option<ErrorBody>>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        refused: Option<String>,
    }
    let row = sql!("SELECT refused FROM sync_mutation WHERE scope = ?1 AND mid = ?2", who.scope(), mid);
    let row: Option<Row> = app.db.query(row).await?.first()?;
    Ok(row.map(|row| row.refused.and_then(|error| serde_json::from_str(&error).ok())))
}

fn record(app: &App, who: &Pusher, mid: &str, refused: Option<String>) -> Stmt {
    sql!(
        "INSERT INTO sync_mutation (scope, mid, at_ms, refused) VALUES (?1, ?2, ?3, ?4)",
        who.scope(),
        mid,
        ms(app.host.now()),
        refused,
    )
}

/// What the act comes to.
async fn deed(app: &App, who: &Pusher, act: &Mutation) -> Result<Deed, ApiError> {
    let mut args = match &act.args {
        Value::Object(args) => args.clone(),
        _ => Map::new(),
    };
    match (act.name.as_str(), who) {
        ("create_link", Pusher::Agency(partner)) => {
            links::creating(app, partner, read::<CreateLink>(&act.name, args)?).await
        }
        ("update_link", Pusher::Agency(partner)) => {
            let link = taken(&mut args, "link");
            links::updating(app, partner, &link, &read::<UpdateLink>(&act.name, args)?).await
        }
        ("add_note", Pusher::Finance(account)) => {
            let run = taken(&mut args, "run");
            notes::adding(app, account, &run, &read::<AddNote>(&act.name, args)?).await
        }
        ("hold_partner", Pusher::Finance(account)) => {
            let run = taken(&mut args, "run");
            run_turn::holding(app, account, &run, &read::<HoldPartner>(&act.name, args)?).await
        }
        ("release_partner", Pusher::Finance(account)) => {
            let (run, partner) = (taken(&mut args, "run"), taken(&mut args, "partner"));
            run_turn::releasing(app, account, &run, &partner, &read::<ReleasePartner>(&act.name, args)?).await
        }
        ("create_link" | "update_link" | "add_note" | "hold_partner" | "release_partner", _) => {
            Err(forbidden("This is not for the role that you are signed in with."))
        }
        (other, _) => Err(invalid(format!("«{other}» is nothing that can be done without a network."))),
    }
}

/// An argument of the path.
fn taken(args: &mut Map<String, Value>, name: &str) -> String {
    match args.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    }
}

fn read<T: DeserializeOwned>(name: &str, args: Map<String, Value>) -> Result<T, ApiError> {
    serde_json::from_value(Value::Object(args)).map_err(|error| invalid(format!("«{name}» cannot be read: {error}.")))
}
