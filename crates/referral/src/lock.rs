//! The brake on payouts (docs/operating.md): while it is on, nothing is claimed and no intent is recorded. Anybody of
//! finance and any admin may put it on; taking it off needs one of each. A restored database begins with it on.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use wire::{Account, LockPayouts, PayoutLock, Role, UnlockPayouts};

use crate::audit::{self, Actor, Entry};
use crate::auth::{FRESH, Signed, Staff};
use crate::db::{Stmt, guard};
use crate::error::{ApiError, Body, conflict, forbidden, read_reason, step_up};
use crate::tokens::{self, at, ms};
use crate::{App, sql};

#[derive(Deserialize)]
struct Row {
    id: String,
    reason: String,
    locked_ms: i64,
    admin: Option<String>,
    finance: Option<String>,
}

/// The lock that is on.
async fn current(app: &App) -> Result<Option<Row>, ApiError> {
    let rows = app.db.query(sql!(
        "SELECT l.id, l.reason, l.locked_ms,
            (SELECT p.email FROM payout_lock_consent c JOIN person p ON p.id = c.person
             WHERE c.lock = l.id AND c.role = 'admin' AND p.role = c.role AND p.removed_ms IS NULL) AS admin,
            (SELECT p.email FROM payout_lock_consent c JOIN person p ON p.id = c.person
             WHERE c.lock = l.id AND c.role = 'finance' AND p.role = c.role AND p.removed_ms IS NULL) AS finance
         FROM payout_lock l WHERE l.lifted_ms IS NULL"
    ));
    Ok(rows.await?.first()?)
}

fn shown(row: Option<Row>) -> PayoutLock {
    match row {
        None => PayoutLock::default(),
        Some(r) => PayoutLock {
            locked: true,
            lock: Some(r.id),
            reason: Some(r.reason),
            since: Some(at(r.locked_ms)),
            admin: r.admin,
            finance: r.finance,
        },
    }
}

/// Fails its batch while payouts are locked.
pub(crate) fn unlocked() -> Stmt {
    guard("NOT EXISTS (SELECT 1 FROM payout_lock WHERE lifted_ms IS NULL)", Vec::new())
}

/// Refuses, with the reason, while payouts are locked. A batch that acts on it holds [`unlocked`] too.
pub(crate) async fn refuse_locked(app: &App) -> Result<(), ApiError> {
    match current(app).await? {
        None => Ok(()),
        Some(lock) => Err(conflict(format!(
            "Payouts are locked since {}: {} An admin and one of finance must unlock them.",
            at(lock.locked_ms).format("%-d %B %Y, %H:%M UTC"),
            lock.reason
        ))),
    }
}

/// Puts the lock on, where it is off.
///
/// # Errors
/// An empty reason, or the database's.
pub async fn lock_payouts(app: &App, by: &Actor, reason: &str) -> Result<(), ApiError> {
    let (reason, id) = (sentence(reason)?, tokens::id(&*app.host, "lock"));
    let now = ms(app.host.now());
    let decision = vec![
        guard("NOT EXISTS (SELECT 1 FROM payout_lock WHERE lifted_ms IS NULL)", Vec::new()),
        sql!("INSERT INTO payout_lock (id, reason, locked_ms) VALUES (?1, ?2, ?3)", &id, &reason, now),
        // Finance looks again before it sends.
        sql!(
            "UPDATE send_grant SET expires_ms = ?1, ended = ?2 WHERE expires_ms > ?1",
            now,
            format!("Payouts were locked: {reason}"),
        ),
    ];
    let entry = Entry::new(by, "payouts.locked", format!("payout_lock:{id}")).reason(&reason);
    match audit::write(app, decision, &[entry]).await {
        Ok(_) => tracing::warn!(lock = id, "payouts are locked"),
        Err(known) if known.is_guard() => {}
        Err(other) => return Err(other.into()),
    }
    Ok(())
}

/// A reason as a sentence, for the message that goes on after it.
fn sentence(reason: &str) -> Result<String, ApiError> {
    let reason = read_reason(reason)?;
    Ok(if reason.ends_with(['.', '!', '?']) { reason.to_owned() } else { format!("{reason}.") })
}

/// Admin or finance, freshly signed in.
fn may(app: &App, account: &Account) -> Result<&'static str, ApiError> {
    let role = match account.role {
        Role::Admin => "admin",
        Role::Finance => "finance",
        _ => return Err(forbidden("Only admins and finance lock and unlock payouts.")),
    };
    if app.host.now() - account.auth_at > FRESH { Err(step_up()) } else { Ok(role) }
}

/// The lock as it stands.
///
/// # Errors
/// The database's.
pub async fn payout_lock(app: &App) -> Result<PayoutLock, ApiError> {
    Ok(shown(current(app).await?))
}

/// `GET /v1/payouts-lock`.
pub(crate) async fn show(_: Staff, State(app): State<App>) -> Result<Json<PayoutLock>, ApiError> {
    payout_lock(&app).await.map(Json)
}

/// `POST /v1/payouts-lock/lock`.
pub(crate) async fn lock(
    Signed(account): Signed,
    State(app): State<App>,
    Body(asked): Body<LockPayouts>,
) -> Result<Json<PayoutLock>, ApiError> {
    may(&app, &account)?;
    lock_payouts(&app, &account.into(), &asked.reason).await?;
    payout_lock(&app).await.map(Json)
}

/// `POST /v1/payouts-lock/unlock`: one of the two consents; the second lifts the lock.
pub(crate) async fn unlock(
    Signed(account): Signed,
    State(app): State<App>,
    Body(asked): Body<UnlockPayouts>,
) -> Result<Json<PayoutLock>, ApiError> {
    let role = may(&app, &account)?;
    let reason = sentence(&asked.reason)?;
    let now = ms(app.host.now());
    let lock = &asked.lock;
    let decision = vec![
        guard("EXISTS (SELECT 1 FROM payout_lock WHERE id = ?1 AND lifted_ms IS NULL)", vec![lock.into()]),
        sql!(
            "INSERT INTO payout_lock_consent (lock, role, person, at_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (lock, role) DO UPDATE SET person = excluded.person, at_ms = excluded.at_ms",
            lock,
            role,
            &account.user,
            now,
        ),
        // The word of somebody who was removed, or has another role by now, no longer counts.
        sql!(
            "UPDATE payout_lock SET lifted_ms = ?2 WHERE id = ?1 AND lifted_ms IS NULL
             AND (SELECT count(*) FROM payout_lock_consent c JOIN person p ON p.id = c.person
                  WHERE c.lock = ?1 AND p.role = c.role AND p.removed_ms IS NULL) = 2",
            lock,
            now,
        ),
    ];
    let entry = Entry::new(&account.into(), "payouts.unlock_agreed", format!("payout_lock:{lock}")).reason(&reason);
    audit::write(&app, decision, &[entry]).await?;
    tracing::warn!(lock, role, "agreed to unlock payouts");
    payout_lock(&app).await.map(Json)
}

/// What a database that was restored begins with: an epoch of its own, payouts locked, nobody signed in, and no message
/// that may have been sent already. Answers the epoch.
///
/// # Errors
/// The database's.
pub async fn begin_restored(app: &App) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Epoch {
        restore_epoch: Option<String>,
    }
    let before: Option<Epoch> = app.db.query(sql!("SELECT restore_epoch FROM program")).await?.first()?;
    let epoch = tokens::id(&*app.host, "epoch");
    let now = ms(app.host.now());
    let decision = vec![
        sql!("UPDATE program SET restore_epoch = ?1", &epoch),
        // Tokens that were spent after the backup would be good again.
        sql!("UPDATE session SET ended_ms = ?1 WHERE ended_ms IS NULL", now),
        sql!("DELETE FROM signin_code"),
        sql!("DELETE FROM signin_attempt"),
        sql!("UPDATE message SET state = 'failed', text = '', note = 'the database was restored' WHERE state = 'due'"),
    ];
    let entry = Entry::new(&Actor::Operator, "database.restored", format!("epoch:{epoch}"))
        .before(json!({ "restore_epoch": before.and_then(|b| b.restore_epoch) }));
    audit::write(app, decision, &[entry]).await?;
    let reason = "The database was restored from a backup. Compare it with Stripe before anything is sent.";
    lock_payouts(app, &Actor::Operator, reason).await?;
    Ok(epoch)
}
