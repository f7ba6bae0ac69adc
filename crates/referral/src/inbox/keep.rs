//! How long raw events are kept, and that they can be read again.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::events::reduce;
use crate::tokens::ms;
use crate::{App, sql};

/// After this, of an event's body only what is read of it is kept.
const WHOLE: TimeDelta = TimeDelta::days(90);

/// Reduces the bodies of events that came more than 90 days ago. One that cannot be read stays whole, for the person who
/// solves it. Answers how many were reduced.
///
/// # Errors
/// The database's.
pub async fn reduce_old(app: &App) -> Result<usize, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        body: String,
    }
    let until = ms(app.host.now() - WHOLE);
    let mut n = 0;
    loop {
        let rows: Vec<Row> = app
            .db
            .query(sql!(
                "SELECT id, body FROM inbox WHERE reduced = 0 AND received_ms <= ?1
                 AND state IN ('done', 'ignored', 'waiting') ORDER BY received_ms LIMIT 200",
                until,
            ))
            .await?
            .all()?;
        if rows.is_empty() {
            return Ok(n);
        }
        n += rows.len();
        let reduced: BTreeMap<String, String> = rows
            .into_iter()
            .map(|r| (r.id, reduce(&serde_json::from_str(&r.body).unwrap_or(Value::Null)).to_string()))
            .collect();
        app.db
            .query(sql!(
                "UPDATE inbox SET reduced = 1, body = r.value FROM json_each(?1) r WHERE inbox.id = r.key",
                json!(reduced).to_string(),
            ))
            .await?;
    }
}

/// The kinds of facts that come from events alone.
const OF_STRIPE: &str = r#"["subscription_started:","subscription_changed:","subscription_canceled:","invoice_paid:",
    "invoice_refunded:","refund_failed:","dispute_opened:","dispute_closed:","payout_reversed:"]"#;

/// The facts that came from Stripe's events, by id.
///
/// # Errors
/// The database's.
pub async fn stripe_facts(app: &App) -> Result<BTreeMap<String, String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        body: String,
    }
    let (mut facts, mut after) = (BTreeMap::new(), String::new());
    loop {
        let rows: Vec<Row> = app
            .db
            .query(sql!(
                "SELECT id, body FROM fact WHERE id > ?1 AND substr(id, 1, instr(id, ':')) IN (SELECT value FROM json_each(?2))
                 ORDER BY id LIMIT 5000",
                &after,
                OF_STRIPE,
            ))
            .await?
            .all()?;
        let Some(last) = rows.last() else { return Ok(facts) };
        after.clone_from(&last.id);
        facts.extend(rows.into_iter().map(|r| (r.id, r.body)));
    }
}

/// Forgets all that came from events, so that the whole inbox is read again. For a copy of the database: nothing that is
/// in use loses its journal.
///
/// # Errors
/// The database's.
pub async fn forget_replayable(app: &App) -> Result<(), ApiError> {
    app.db
        .batch(vec![
            sql!(
                "DELETE FROM fact WHERE substr(id, 1, instr(id, ':')) IN (SELECT value FROM json_each(?1))",
                OF_STRIPE
            ),
            sql!("DELETE FROM invoice_part"),
            sql!("DELETE FROM invoice"),
            sql!("DELETE FROM payment"),
            sql!("DELETE FROM subscription"),
            sql!("DELETE FROM stripe_client"),
            sql!("DELETE FROM redemption"),
            sql!("DELETE FROM bank_payout_transfer"),
            sql!("DELETE FROM bank_payout"),
            sql!("DELETE FROM inbox_wait"),
            sql!("UPDATE partner SET account_event_s = 0, transfers_event_s = 0"),
            sql!("UPDATE inbox SET state = 'received', note = NULL"),
        ])
        .await?;
    Ok(())
}
