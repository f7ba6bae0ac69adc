//! The audit chain: every decision of a person, a key or the system, each entry bound to the one before it.
//!
//! h(n) = SHA-256(h(n−1) ‖ entry), in the form of docs/audit.md. An entry is part of the batch of its decision, behind a
//! guard on the chain's end: either both are written or neither, and two writers cannot fork the chain.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wire::{Account, AuditEntry, AuditHead, AuditPage, AuditQuery};

use crate::auth::{Staff, role_name};
use crate::db::{DbError, Rows, Stmt, guard};
use crate::error::{ApiError, Params};
use crate::tokens::{at, ms};
use crate::{App, sql};

/// How often a decision is written again because somebody else's entry came first.
const TRIES: u32 = 256;
/// Entries on a page of `GET /v1/audit`, and in a step of [`verify`].
const PAGE: u32 = 100;
const STEP: u32 = 1_000;

/// Who decides.
#[derive(Clone, Debug)]
pub enum Actor {
    /// Somebody who is signed in.
    Person(Account),
    /// A program; the name of its key.
    Key(String),
    /// Whoever has the machine, at the operator's commands.
    Operator,
    /// The program by itself.
    System,
}

impl Actor {
    /// Name and role, as the chain keeps them: an id and never an address, so that a person can be erased.
    fn names(&self) -> (&str, &str) {
        match self {
            Actor::Person(account) => (&account.user, role_name(account.role)),
            Actor::Key(name) => (name, "key"),
            Actor::Operator => ("operator", "operator"),
            Actor::System => ("system", "system"),
        }
    }

    /// The person's id, where it is one.
    pub(crate) fn person(&self) -> Option<&str> {
        match self {
            Actor::Person(account) => Some(&account.user),
            Actor::Key(_) | Actor::Operator | Actor::System => None,
        }
    }
}

impl From<Account> for Actor {
    fn from(account: Account) -> Self {
        Actor::Person(account)
    }
}

/// One decision, before it has a number.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    actor: String,
    role: String,
    action: &'static str,
    subject: String,
    before: Option<Value>,
    after: Option<Value>,
    reason: Option<String>,
}

impl Entry {
    /// `actor` did `action` (`run.sealed`) to `subject` (`run:2026-10.1`).
    pub(crate) fn new(actor: &Actor, action: &'static str, subject: String) -> Entry {
        let (actor, role) = actor.names();
        Entry { actor: actor.into(), role: role.into(), action, subject, before: None, after: None, reason: None }
    }

    /// What it was before.
    pub(crate) fn before(self, before: Value) -> Entry {
        Entry { before: Some(before), ..self }
    }

    /// What it is from now on.
    pub(crate) fn after(self, after: Value) -> Entry {
        Entry { after: Some(after), ..self }
    }

    /// Why.
    pub(crate) fn reason(self, reason: &str) -> Entry {
        Entry { reason: Some(reason.into()), ..self }
    }

    fn numbered(&self, head: &AuditHead, at_ms: i64) -> Row {
        let text = |v: &Option<Value>| v.as_ref().map(Value::to_string);
        let mut row = Row {
            n: head.n + 1,
            at_ms,
            actor: self.actor.clone(),
            role: self.role.clone(),
            action: self.action.into(),
            subject: self.subject.clone(),
            before: text(&self.before),
            after: text(&self.after),
            reason: self.reason.clone(),
            hash: String::new(),
            email: None,
        };
        row.hash = row.hash_after(&head.hash);
        row
    }
}

/// An entry as it is stored.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    n: i64,
    at_ms: i64,
    actor: String,
    role: String,
    action: String,
    subject: String,
    before: Option<String>,
    after: Option<String>,
    reason: Option<String>,
    hash: String,
    #[serde(default)]
    email: Option<String>,
}

impl Row {
    /// SHA-256 over the hash before, in hex, and the entry's canonical form: a JSON array of its stored values.
    fn hash_after(&self, previous: &str) -> String {
        let canonical = json!([
            self.n,
            self.at_ms,
            self.actor,
            self.role,
            self.action,
            self.subject,
            self.before,
            self.after,
            self.reason
        ]);
        hex::encode(Sha256::new().chain_update(previous).chain_update(canonical.to_string()).finalize())
    }

    fn insert(self) -> Stmt {
        sql!(
            "INSERT INTO audit (n, at_ms, actor, role, action, subject, before, after, reason, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            self.n,
            self.at_ms,
            self.actor,
            self.role,
            self.action,
            self.subject,
            self.before,
            self.after,
            self.reason,
            self.hash,
        )
    }

    fn entry(self) -> AuditEntry {
        let value = |text: Option<String>| text.map(|t| serde_json::from_str(&t).unwrap_or(Value::String(t)));
        AuditEntry {
            n: self.n,
            at: at(self.at_ms),
            actor: self.actor,
            email: self.email,
            role: self.role,
            action: self.action,
            subject: self.subject,
            before: value(self.before),
            after: value(self.after),
            reason: self.reason,
            hash: self.hash,
        }
    }
}

/// Statements that add entries behind `head`, and fail their batch when the chain ends elsewhere meanwhile. For a batch
/// that is written by its own means; [`write`] is the usual way.
pub(crate) fn append(head: &AuditHead, at: DateTime<Utc>, entries: &[Entry]) -> Vec<Stmt> {
    let mut head = head.clone();
    let mut batch =
        vec![guard("coalesce((SELECT hash FROM audit ORDER BY n DESC LIMIT 1), '') = ?1", vec![(&head.hash).into()])];
    for entry in entries {
        let row = entry.numbered(&head, ms(at));
        head = AuditHead { n: row.n, hash: row.hash.clone() };
        batch.push(row.insert());
    }
    batch
}

/// Writes a decision with its entries as one batch, and answers what the decision's statements answered. Where another
/// decision got in between, it is written again behind that one; the decision's own guards say whether it still holds.
///
/// # Errors
/// The batch's. A guard of the decision itself is not tried again.
pub(crate) async fn write(app: &App, decision: Vec<Stmt>, entries: &[Entry]) -> Result<Vec<Rows>, DbError> {
    let mut before = head(app).await?;
    let mut tries = TRIES;
    loop {
        let mut batch = decision.clone();
        batch.extend(append(&before, app.host.now(), entries));
        match app.db.batch(batch).await {
            Ok(mut rows) => {
                rows.truncate(decision.len());
                return Ok(rows);
            }
            Err(DbError::Constraint(why)) => {
                let now = head(app).await?;
                if now == before || tries == 0 {
                    return Err(DbError::Constraint(why));
                }
                (before, tries) = (now, tries - 1);
            }
            Err(other) => return Err(other),
        }
    }
}

/// Where the chain ends.
pub(crate) async fn head(app: &App) -> Result<AuditHead, DbError> {
    Ok(app.db.query(sql!("SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1")).await?.first()?.unwrap_or_default())
}

/// `GET /v1/audit`.
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Params(asked): Params<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT a.n, a.at_ms, a.actor, a.role, a.action, a.subject, a.before, a.after, a.reason, a.hash, p.email
             FROM audit a LEFT JOIN person p ON p.id = a.actor
             WHERE (?1 IS NULL OR a.n < ?1) AND (?2 IS NULL OR a.subject = ?2) ORDER BY a.n DESC LIMIT ?3",
            asked.before,
            asked.subject,
            PAGE,
        ))
        .await?
        .all()?;
    let next = rows.last().map(|r| r.n).filter(|n| rows.len() == PAGE as usize && *n > 1);
    Ok(Json(AuditPage { head: head(&app).await?, entries: rows.into_iter().map(Row::entry).collect(), next }))
}

/// Where a chain is broken first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// A number is not there.
    #[error("the audit chain is broken: entry {0} is missing")]
    Missing(i64),
    /// An entry is not what was hashed, or it stands behind another one than it did.
    #[error("the audit chain is broken at entry {0}: its hash is not that of its content and the entry before it")]
    Altered(i64),
    /// The chain has another end than the one that was kept.
    #[error("the audit chain is not the one that was kept: entry {n} has the hash {found}, the kept head says {kept}")]
    OtherHead {
        /// Number of the kept head.
        n: i64,
        /// What the chain has.
        found: String,
        /// What was kept.
        kept: String,
    },
    /// It cannot be read.
    #[error("the audit chain cannot be read: {0}")]
    Unreadable(#[from] DbError),
}

/// Walks the whole chain and recomputes every hash; with a head that was kept earlier, also that the chain still leads
/// through it. Answers the present head.
///
/// # Errors
/// The first broken entry.
pub async fn verify(app: &App, kept: Option<&AuditHead>) -> Result<AuditHead, AuditError> {
    let mut head = AuditHead::default();
    loop {
        let rows: Vec<Row> = app
            .db
            .query(sql!(
                "SELECT n, at_ms, actor, role, action, subject, before, after, reason, hash FROM audit
                 WHERE n > ?1 ORDER BY n LIMIT ?2",
                head.n,
                STEP,
            ))
            .await?
            .all()?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            head = follows(&head, row)?;
            if let Some(kept) = kept.filter(|k| k.n == head.n && k.hash != head.hash) {
                return Err(AuditError::OtherHead { n: kept.n, found: head.hash, kept: kept.hash.clone() });
            }
        }
    }
    match kept {
        Some(kept) if kept.n > head.n => Err(AuditError::Missing(head.n + 1)),
        _ => Ok(head),
    }
}

/// The head behind `row`, if `row` is what follows `head`.
fn follows(head: &AuditHead, row: Row) -> Result<AuditHead, AuditError> {
    if row.n != head.n + 1 {
        return Err(AuditError::Missing(head.n + 1));
    }
    if row.hash_after(&head.hash) != row.hash {
        return Err(AuditError::Altered(row.n));
    }
    Ok(AuditHead { n: row.n, hash: row.hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<Row> {
        let mut head = AuditHead::default();
        (0..5)
            .map(|n| {
                let entry = Entry::new(&Actor::Operator, "key.issued", format!("key:{n}"))
                    .before(json!(null))
                    .after(json!({"kind": "server", "n": n}))
                    .reason("«x»\n\"y\"");
                let row = entry.numbered(&head, 1_000 + n);
                head = AuditHead { n: row.n, hash: row.hash.clone() };
                row
            })
            .collect()
    }

    fn walk(rows: Vec<Row>) -> Result<AuditHead, AuditError> {
        rows.into_iter().try_fold(AuditHead::default(), |head, row| follows(&head, row))
    }

    #[test]
    fn every_change_of_a_chain_is_found_where_it_begins() {
        assert_eq!(walk(chain()).map(|h| h.n), Ok(5));
        type Change = fn(&mut Row);
        let changes: [Change; 10] = [
            |r| r.at_ms += 1,
            |r| r.actor.push('x'),
            |r| r.role = "admin".into(),
            |r| r.action = "key.revoked".into(),
            |r| r.subject = "key:9".into(),
            |r| r.before = None,
            |r| r.after = Some("{}".into()),
            |r| r.reason = None,
            // What moves from one field to its neighbour is another entry.
            |r| (r.action, r.subject) = (format!("{}k", r.action), "ey:2".into()),
            |r| r.hash = "0".repeat(64),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut rows = chain();
            change(&mut rows[2]);
            assert_eq!(walk(rows), Err(AuditError::Altered(3)), "change {n}");
        }
        let mut gap = chain();
        gap.remove(1);
        assert_eq!(walk(gap), Err(AuditError::Missing(2)));
        let mut swapped = chain();
        swapped.swap(1, 2);
        assert!(walk(swapped).is_err());
        // Hashed anew by whoever changed it, the next entry gives it away.
        let mut forged = chain();
        forged[2].reason = None;
        forged[2].hash = forged[2].hash_after(&chain()[1].hash);
        assert_eq!(walk(forged), Err(AuditError::Altered(4)));
    }
}
