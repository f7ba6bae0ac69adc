//! What events about connected accounts and their money come to.

use commission::{Fact, FactBody};
use payout::{Event, step};
use serde::Deserialize;
use serde_json::json;

use super::decide::{Outcome, wait_for};
use super::fetch::{self, Fetched};
use crate::db::Stmt;
use crate::error::ApiError;
use crate::events::{BankPayout, Reversed};
use crate::tokens::ms;
use crate::{App, journal, notices, run_record, sql};

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// The newest event decides; of one second, the one that says more can be done: an account is being set up then.
pub(super) fn transfers_of(account: &str, status: &str, created_s: i64) -> Stmt {
    let rank = |s: &str| match s {
        "active" => 2_i64,
        "pending" => 1,
        _ => 0,
    };
    sql!(
        "UPDATE partner SET transfers = ?2, transfers_event_s = ?3 WHERE account = ?1 AND (transfers_event_s < ?3
            OR (transfers_event_s = ?3 AND CASE transfers WHEN 'active' THEN 2 WHEN 'pending' THEN 1 ELSE 0 END < ?4))",
        account,
        status,
        created_s,
        rank(status),
    )
}

/// The same for what the bank needs: fewer requirements are more.
pub(super) fn bank_of(account: &str, payouts_enabled: bool, requirements: &[String], created_s: i64) -> Stmt {
    sql!(
        "UPDATE partner SET payouts_enabled = ?2, requirements = ?3, account_event_s = ?4
         WHERE account = ?1 AND (account_event_s < ?4 OR (account_event_s = ?4 AND (payouts_enabled < ?2
            OR (payouts_enabled = ?2 AND (json_array_length(requirements) > json_array_length(?3)
            OR (json_array_length(requirements) = json_array_length(?3) AND requirements > ?3))))))",
        account,
        payouts_enabled,
        json!(requirements).to_string(),
        created_s,
    )
}

/// An account speaks before we have read the answer that made it.
pub(super) async fn about_account(app: &App, account: &str, batch: Vec<Stmt>) -> Result<Outcome, ApiError> {
    let known: Option<Id> =
        app.db.query(sql!("SELECT code AS id FROM partner WHERE account = ?1", account)).await?.first()?;
    if known.is_some() {
        return Ok(Outcome::Do(batch, Vec::new()));
    }
    let left: Option<Id> =
        app.db.query(sql!("SELECT partner AS id FROM account_left WHERE account = ?1", account)).await?.first()?;
    Ok(match left {
        Some(Id { id }) => Outcome::Ignore(format!("{id} has left this account for another")),
        None => wait_for(format!("account:{account}")),
    })
}

/// A transfer settles the payment that it is for, if nobody has recorded it yet.
pub(super) async fn transferred(app: &App, item: &str, transfer: payout::Transfer) -> Result<Outcome, ApiError> {
    let loaded = match run_record::load(app, item).await {
        Ok(loaded) => loaded,
        Err(error) if error.code == wire::ErrorCode::NotFound => {
            return Ok(Outcome::Ignore(format!("no sealed run has the item {item}")));
        }
        Err(error) => return Err(error),
    };
    let (after, effects, _) = step(&loaded.record, Event::Told { transfer }).map_err(run_record::refused)?;
    if after == loaded.record {
        return Ok(Outcome::Ignore("it tells nothing new of the payment".into()));
    }
    let (batch, names) = run_record::change(app, &loaded, &after, &effects)?;
    Ok(Outcome::Do(batch, names))
}

/// Money comes back of the transfer that pays a payment. Whether it does is known once the payment is settled: one of two
/// that Stripe made for it may be reversed as one too many.
pub(super) async fn reversed(app: &App, back: Reversed) -> Result<Outcome, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        partner: String,
        transfer: Option<String>,
        state: payout::State,
    }
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT id, partner, transfer, state FROM run_item WHERE transfer = ?1 OR id = ?2 ORDER BY transfer = ?1 DESC LIMIT 1",
            &back.transfer,
            back.item.as_deref(),
        ))
        .await?
        .first()?;
    let Some(row) = row else {
        return Ok(Outcome::Ignore("no run has a payment that it was for".into()));
    };
    if back.amount_minor <= 0 {
        return Ok(Outcome::Ignore("nothing was reversed".into()));
    }
    if row.transfer.as_ref() != Some(&back.transfer) {
        return Ok(match row.state.is_final() {
            true => Outcome::Ignore(format!("{} is not what pays {}", back.transfer, row.id)),
            false => wait_for(format!("payout:{}", row.id)),
        });
    }
    let body = FactBody::PayoutReversed { payout: row.id, amount_minor: Some(back.amount_minor) };
    let fact = Fact { id: format!("payout_reversed:{}", back.reversal), at: back.at, body };
    Ok(Outcome::Do(vec![journal::insert_for_partner(&fact, &row.partner)?], Vec::new()))
}

/// Of two events of one second about a payout to a bank, the one that is further on.
fn rank(status: &str) -> i64 {
    match status {
        "failed" | "canceled" => 3,
        "paid" => 2,
        "in_transit" => 1,
        _ => 0,
    }
}

/// What Stripe passes on to an agency's bank: which transfers it contains, and what became of it. It never makes a fact.
pub(super) async fn bank_payout(app: &App, payout: &BankPayout) -> Result<Outcome, ApiError> {
    let partner: Option<Id> = app
        .db
        .query(sql!(
            "SELECT code AS id FROM partner WHERE account = ?1 UNION SELECT partner FROM account_left WHERE account = ?1",
            &payout.account
        ))
        .await?
        .first()?;
    let Some(Id { id: partner }) = partner else { return Ok(wait_for(format!("account:{}", payout.account))) };
    let transfers = match fetch::paid_out(app, &payout.account, &payout.id).await? {
        Fetched::Kept(transfers) => transfers,
        Fetched::New(keep) => return Ok(Outcome::Learn(keep, vec![format!("bank:{}", payout.id)])),
        Fetched::Not(why) => return Ok(Outcome::Wait(vec![format!("bank:{}", payout.id)], Some(why))),
    };
    if transfers.is_empty() {
        return Ok(Outcome::Ignore("it contains no transfer".into()));
    }
    let mut batch = vec![
        sql!(
            "INSERT INTO bank_payout (id, account, amount_minor, currency, status, rank, arrives_ms, failure, made_ms, event_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO UPDATE SET status = excluded.status, rank = excluded.rank, arrives_ms = excluded.arrives_ms,
                failure = excluded.failure, event_s = excluded.event_s
             WHERE (bank_payout.event_s, bank_payout.rank) < (excluded.event_s, excluded.rank)",
            &payout.id,
            &payout.account,
            payout.amount_minor,
            &payout.currency,
            &payout.status,
            rank(&payout.status),
            ms(payout.arrives),
            payout.failure.as_deref(),
            ms(payout.made),
            payout.event.timestamp(),
        ),
        sql!(
            "INSERT INTO bank_payout_transfer (payout, transfer) SELECT ?1, value FROM json_each(?2) WHERE true ON CONFLICT DO NOTHING",
            &payout.id,
            json!(transfers).to_string(),
        ),
    ];
    if payout.status == "failed" {
        let notice = notices::bank_refused(app, payout);
        batch.extend(notices::people_of(app, &partner).await?.iter().map(|person| notice.to(app, person)));
    }
    Ok(Outcome::Do(batch, Vec::new()))
}
