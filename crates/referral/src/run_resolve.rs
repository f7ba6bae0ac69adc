//! Payments whose outcome is not known: the server looks at Stripe again and again, and people decide about what stays open
//! (docs/payouts.md). What may be decided says `payout::step`.

use axum::Json;
use axum::extract::State;
use chrono::TimeDelta;
use payout::{Event, Record, Resolution, State as ItemState, Transfer, step};
use serde::Deserialize;
use serde_json::json;
use wire::{Account, ItemAttempt, ItemCheck, ItemDecision, ItemResolution, ListedTransfer, ResolveItem};

use crate::audit::{self, Entry};
use crate::auth::{Finance, FreshFinance, Staff};
use crate::db::Stmt;
use crate::error::{ApiError, Body, Segment, conflict, invalid, read_reason};
use crate::notices::{self, Notice};
use crate::run_record::{self, Loaded};
use crate::tokens::{at, ms};
use crate::{App, inbox, sql, transfers};

/// The server looks at what is open no more often than this.
const BETWEEN_LOOKS: TimeDelta = TimeDelta::hours(1);
/// Looks of the server in one go.
const AT_ONCE: u32 = 20;

/// `GET /v1/items/{item}/check`.
pub(crate) async fn check(
    _: Staff,
    State(app): State<App>,
    Segment(item): Segment,
) -> Result<Json<ItemCheck>, ApiError> {
    shown(&app, &item, None).await.map(Json)
}

/// `POST /v1/items/{item}/look`: asks Stripe now, and records what that says.
pub(crate) async fn look(
    _: Finance,
    State(app): State<App>,
    Segment(item): Segment,
) -> Result<Json<ItemCheck>, ApiError> {
    let (_, listed) = look_at(&app, &item).await?;
    shown(&app, &item, Some(listed)).await.map(Json)
}

/// What Stripe lists of an item now, and the record as that leaves it.
async fn look_at(app: &App, item: &str) -> Result<(Record, Vec<Transfer>), ApiError> {
    let group = run_record::load(app, item).await?.record.params().transfer_group;
    let listed = transfers::all(app, &[("transfer_group", &group)]).await?;
    let now = app.host.now();
    let (_, record, _) = run_record::learn(app, item, &Event::Observed { transfers: listed.clone(), now }).await?;
    app.db.query(sql!("UPDATE run_item SET looked_ms = ?2 WHERE id = ?1", item, ms(now))).await?;
    Ok((record, listed))
}

/// Looks at every payment that was sent an hour ago or longer and is not settled, each once an hour, and tells finance once
/// of each that is with a person. Answers how many were looked at.
///
/// # Errors
/// Stripe's or the database's; what was not looked at is due at the next look.
pub async fn look_at_unsettled(app: &App) -> Result<usize, ApiError> {
    #[derive(Deserialize)]
    struct Open {
        id: String,
    }
    if app.config.stripe_read_key.is_empty() {
        return Ok(0);
    }
    let before = ms(app.host.now() - BETWEEN_LOOKS);
    let open: Vec<Open> = app
        .db
        .query(sql!(
            "SELECT i.id FROM run_item i WHERE i.sealed = 1 AND i.state IN ('sending', 'unknown', 'review') AND coalesce(i.looked_ms, 0) <= ?1
             AND coalesce((SELECT max(a.last_sent_ms) FROM attempt a WHERE a.item = i.id), 0) <= ?1
             ORDER BY coalesce(i.looked_ms, 0), i.id LIMIT ?2",
            before,
            AT_ONCE,
        ))
        .await?
        .all()?;
    for Open { id } in &open {
        let (record, _) = look_at(app, id).await?;
        if record.state == ItemState::Review {
            tell(app, &record).await?;
        }
    }
    Ok(open.len())
}

/// Finance hears once of each attempt whose outcome is with a person.
async fn tell(app: &App, record: &Record) -> Result<(), ApiError> {
    let item = &record.item.item;
    let mut page = app.config.public_url.clone();
    page.set_path(&format!("/runs/{}", item.split(':').next().unwrap_or_default()));
    let notice = Notice {
        key: format!("with_a_person:{item}:{}", record.attempts.len()),
        kind: notices::Kind::Finance,
        subject: format!("A payout needs a person: {}", record.item.partner),
        text: format!(
            "{item}: {}\n\nNothing of it is sent until one of finance decides. What is known, and what can be done:\n{page}\n",
            record.problem.as_deref().unwrap_or("its outcome is not known.")
        ),
    };
    let messages: Vec<Stmt> = notices::finance(app).await?.iter().map(|person| notice.to(app, person)).collect();
    if !messages.is_empty() {
        app.db.batch(messages).await?;
    }
    Ok(())
}

/// `POST /v1/items/{item}/resolution`: a person decides; where two must approve, the second who says the same does.
pub(crate) async fn resolve(
    FreshFinance(account): FreshFinance,
    State(app): State<App>,
    Segment(item): Segment,
    Body(asked): Body<ResolveItem>,
) -> Result<Json<ItemCheck>, ApiError> {
    let reason = read_reason(&asked.reason)?;
    let resolution = match (asked.resolution, &asked.transfer) {
        (ItemResolution::Found, Some(transfer)) => Resolution::Found(transfers::one(&app, transfer.trim()).await?),
        (ItemResolution::Found, None) => {
            return Err(invalid("Say which transfer pays it: tr_…, as Stripe's dashboard shows it."));
        }
        (ItemResolution::Again, _) => Resolution::Again,
        (ItemResolution::Void, _) => {
            let now = app.host.now().format("%-d %B %Y, %H:%M UTC");
            Resolution::Void(format!("Not paid by this run, says {} on {now}: {reason}", account.email))
        }
    };
    if !matches!(resolution, Resolution::Found(_)) {
        // What was true an hour ago need not be.
        let (record, _) = look_at(&app, &item).await?;
        if let Some(transfer) = record.transfer {
            return Err(conflict(format!("Stripe has paid it meanwhile, by {transfer}. It is recorded as paid.")));
        }
    }
    let transfer = match &resolution {
        Resolution::Found(transfer) => Some(transfer.id.clone()),
        Resolution::Again | Resolution::Void(_) => None,
    };
    let loaded = run_record::load(&app, &item).await?;
    let event = Event::Resolved { resolution };
    let (after, effects, _) = step(&loaded.record, event).map_err(run_record::refused)?;
    let transfer = transfer.as_deref();
    not_another_items(&app, &item, transfer).await?;
    let alike = said_alike(&app, &loaded, &account, asked.resolution, transfer).await?;
    let decided = alike + 1 >= app.config.approvals_needed;
    let to_store = if decided { &after } else { &loaded.record };
    let (mut batch, names) = run_record::change(&app, &loaded, to_store, if decided { &effects } else { &[] })?;
    batch.push(sql!(
        "INSERT INTO resolution (item, attempt, person, resolution, transfer, reason, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (item, attempt, person) DO UPDATE SET resolution = excluded.resolution, transfer = excluded.transfer,
            reason = excluded.reason, at_ms = excluded.at_ms",
        &item,
        attempts(&loaded.record),
        &account.user,
        asked.resolution.name(),
        transfer,
        reason,
        ms(app.host.now()),
    ));
    batch.extend(inbox::known(&names));
    let deed = if decided { "payout.resolved" } else { "payout.resolution_proposed" };
    let entry = Entry::new(&account.clone().into(), deed, format!("item:{item}"))
        .before(json!({"state": loaded.record.state, "problem": loaded.record.problem, "attempts": attempts(&loaded.record)}))
        .after(json!({"resolution": asked.resolution, "transfer": transfer, "state": to_store.state}))
        .reason(reason);
    audit::write(&app, batch, &[entry]).await?;
    if decided {
        inbox::read_now(&app).await;
    }
    tracing::info!(item, by = %account.user, resolution = asked.resolution.name(), decided, "a payment is resolved");
    shown(&app, &item, None).await.map(Json)
}

fn attempts(record: &Record) -> i64 {
    i64::try_from(record.attempts.len()).unwrap_or(i64::MAX)
}

/// Refuses a transfer that pays another item.
async fn not_another_items(app: &App, item: &str, transfer: Option<&str>) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Other {
        id: String,
    }
    let Some(transfer) = transfer else { return Ok(()) };
    let other = sql!("SELECT id FROM run_item WHERE transfer = ?1 AND id <> ?2", transfer, item);
    match app.db.query(other).await?.first::<Other>()? {
        None => Ok(()),
        Some(Other { id }) => Err(conflict(format!("{transfer} pays {id} already."))),
    }
}

/// How many others of finance have said the same of what stands now.
async fn said_alike(
    app: &App,
    loaded: &Loaded,
    account: &Account,
    resolution: ItemResolution,
    transfer: Option<&str>,
) -> Result<u32, ApiError> {
    #[derive(Deserialize)]
    struct Alike {
        n: u32,
    }
    let alike = sql!(
        "SELECT count(*) AS n FROM resolution d JOIN person p ON p.id = d.person WHERE d.item = ?1 AND d.attempt = ?2 AND d.person <> ?3
         AND d.resolution = ?4 AND d.transfer IS ?5 AND p.role = 'finance' AND p.removed_ms IS NULL",
        &loaded.record.item.item,
        attempts(&loaded.record),
        &account.user,
        resolution.name(),
        transfer,
    );
    Ok(app.db.query(alike).await?.first::<Alike>()?.map_or(0, |row| row.n))
}

async fn shown(app: &App, item: &str, listed: Option<Vec<Transfer>>) -> Result<ItemCheck, ApiError> {
    #[derive(Deserialize)]
    struct Looked {
        looked_ms: Option<i64>,
    }
    #[derive(Deserialize)]
    struct Said {
        attempt: i64,
        resolution: ItemResolution,
        transfer: Option<String>,
        email: String,
        reason: String,
        at_ms: i64,
    }
    let record = run_record::load(app, item).await?.record;
    let looked: Option<Looked> =
        app.db.query(sql!("SELECT looked_ms FROM run_item WHERE id = ?1", item)).await?.first()?;
    let said: Vec<Said> = app
        .db
        .query(sql!(
            "SELECT d.attempt, d.resolution, d.transfer, p.email, d.reason, d.at_ms FROM resolution d JOIN person p ON p.id = d.person
             WHERE d.item = ?1 ORDER BY d.at_ms, p.email",
            item,
        ))
        .await?
        .all()?;
    let with_a_person = record.state == ItemState::Review;
    Ok(ItemCheck {
        not_yet: if with_a_person { record.not_yet() } else { None },
        quarantine_until: record.quarantine_until(),
        looked_at: looked.and_then(|row| row.looked_ms).map(at),
        attempts: record
            .attempts
            .iter()
            .map(|a| ItemAttempt {
                n: u32::try_from(a.n).unwrap_or(u32::MAX),
                key: record.key(a.n),
                first_sent_at: a.first_sent_at,
                last_sent_at: a.last_sent_at,
                outcome: a.outcome,
            })
            .collect(),
        decisions: said
            .into_iter()
            .map(|d| ItemDecision {
                counts: with_a_person && d.attempt == attempts(&record),
                resolution: d.resolution,
                transfer: d.transfer,
                by: d.email,
                reason: d.reason,
                at: at(d.at_ms),
            })
            .collect(),
        decisions_needed: app.config.approvals_needed,
        listed: listed.map(|all| all.into_iter().map(listed_transfer).collect()),
        item: record.item.item,
        state: record.state,
        problem: record.problem,
        amount_minor: record.item.amount_minor,
        destination: record.item.destination,
        transfer: record.transfer,
    })
}

fn listed_transfer(t: Transfer) -> ListedTransfer {
    ListedTransfer {
        transfer: t.id,
        created: t.created,
        amount_minor: t.amount_minor,
        reversed_minor: t.amount_reversed_minor,
        currency: t.currency,
        destination: t.destination,
    }
}
