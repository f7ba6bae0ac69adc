//! The journal is the outbox. Facts are written in the batch of the change that they tell of, so whoever follows them by
//! number misses nothing: here they become events for AIKit and messages to agencies, each once.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use commission::{Fact, FactBody, Line, LineKind, LineStatus, Statement, parse_fact};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::db::{Stmt, guard};
use crate::error::ApiError;
use crate::outbox::event;
use crate::{App, journal, notices, sql};

/// Facts that are followed in one go.
const AT_ONCE: u32 = 200;

#[derive(Deserialize)]
struct Row {
    seq: i64,
    body: String,
    referral: Option<String>,
}

/// Follows the journal for one page. Answers how many facts it was; 0 when it has caught up.
///
/// # Errors
/// The database's, or a statement that cannot be computed. The same facts are then followed at the next look.
pub async fn follow_journal(app: &App) -> Result<usize, ApiError> {
    #[derive(Deserialize)]
    struct Place {
        seq: i64,
    }
    let place: Option<Place> = app.db.query(sql!("SELECT seq FROM follower")).await?.first()?;
    let place = place.map_or(0, |p| p.seq);
    let rows: Vec<Row> = app
        .db
        .query(sql!("SELECT seq, body, referral FROM fact WHERE seq > ?1 ORDER BY seq LIMIT ?2", place, AT_ONCE))
        .await?
        .all()?;
    let Some(last) = rows.last().map(|r| r.seq) else { return Ok(0) };
    let mut batch = vec![
        guard("EXISTS (SELECT 1 FROM follower WHERE seq = ?1)", vec![place.into()]),
        sql!("UPDATE follower SET seq = ?1", last),
    ];
    let mut paid = Vec::new();
    for row in &rows {
        // A line that cannot be read stops statements, not events.
        let Ok(Some(fact)) = parse_fact(&row.body) else { continue };
        match &fact.body {
            FactBody::InvoicePaid { invoice, .. } => {
                if let Some(referral) = &row.referral {
                    paid.push((invoice.clone(), referral.clone(), fact.at));
                }
            }
            _ => batch.extend(told(app, &fact).await?),
        }
    }
    batch.extend(earned(app, &paid, last).await?);
    app.db.batch(batch).await?;
    Ok(rows.len())
}

/// What is told of a fact by itself.
async fn told(app: &App, fact: &Fact) -> Result<Vec<Stmt>, ApiError> {
    let tell = |kind, about: &str, data: Value| event(app, kind, about, fact.at, data);
    Ok(match &fact.body {
        FactBody::PartnerJoined { partner, name, website, country } => {
            let data = json!({ "partner": partner, "name": name, "website": website, "country": country });
            let mut batch = tell("partner.joined", partner, data);
            let notice = notices::joined(app, partner, name);
            batch.extend(notices::people_of(app, partner).await?.iter().map(|person| notice.to(app, person)));
            batch
        }
        FactBody::PartnerSuspended { partner } => tell("partner.suspended", &fact.id, json!({ "partner": partner })),
        FactBody::PartnerReinstated { partner } => tell("partner.reinstated", &fact.id, json!({ "partner": partner })),
        FactBody::ReferralCreated { referral, partner, .. } => {
            let customer = customer_of(app, referral).await?;
            let data = json!({ "referral": referral, "partner": partner, "customer": customer });
            tell("referral.created", referral, data)
        }
        FactBody::ReferralMoved { referral, partner, .. } => {
            tell("referral.moved", &fact.id, json!({ "referral": referral, "partner": partner }))
        }
        FactBody::ReferralCleared { referral, .. } => {
            tell("referral.cleared", &fact.id, json!({ "referral": referral }))
        }
        FactBody::ReferralRejected { referral, .. } => {
            tell("referral.rejected", &fact.id, json!({ "referral": referral }))
        }
        FactBody::ReferralReopened { referral, .. } => {
            tell("referral.reopened", &fact.id, json!({ "referral": referral }))
        }
        FactBody::PayoutPaid { payout, partner, amount_minor } => {
            payout_paid(app, payout, partner, *amount_minor, fact.at).await?
        }
        _ => Vec::new(),
    })
}

/// AIKit's own name of the client.
async fn customer_of(app: &App, referral: &str) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Customer {
        id: String,
    }
    let row: Option<Customer> = app
        .db
        .query(sql!("SELECT id FROM customer WHERE referral = ?1 ORDER BY at_ms LIMIT 1", referral))
        .await?
        .first()?;
    Ok(row.map(|r| r.id))
}

async fn payout_paid(
    app: &App,
    payout: &str,
    partner: &str,
    amount_minor: i64,
    paid_at: DateTime<Utc>,
) -> Result<Vec<Stmt>, ApiError> {
    #[derive(Deserialize)]
    struct Item {
        transfer: Option<String>,
        period: String,
        as_of: DateTime<Utc>,
    }
    let item: Option<Item> = app
        .db
        .query(sql!(
            "SELECT i.transfer, r.period, r.as_of FROM run_item i JOIN run r ON r.id = i.run WHERE i.id = ?1",
            payout
        ))
        .await?
        .first()?;
    let data = json!({
        "payout": payout,
        "partner": partner,
        "amount_minor": amount_minor,
        "currency": app.config.currency,
        "period": item.as_ref().map(|i| i.period.as_str()),
        "transfer": item.as_ref().and_then(|i| i.transfer.as_deref()),
    });
    let mut batch = event(app, "payout.paid", payout, paid_at, data);
    if let Some(item) = item {
        let month = notices::month_before(item.as_of);
        let notice = notices::payout_sent(app, payout, amount_minor, &month, item.transfer.as_deref());
        batch.extend(notices::people_of(app, partner).await?.iter().map(|person| notice.to(app, person)));
    }
    Ok(batch)
}

fn counts(line: &Line) -> bool {
    line.kind != LineKind::Reversal && !matches!(line.status, LineStatus::Void | LineStatus::Forfeited)
}

/// What clients' payments earned, as the engine says it with the facts up to `cut`: one event for each payment, and a
/// message about an agency's first one.
async fn earned(app: &App, paid: &[(String, String, DateTime<Utc>)], cut: i64) -> Result<Vec<Stmt>, ApiError> {
    let mut batch = Vec::new();
    if paid.is_empty() {
        return Ok(batch);
    }
    let referrals: BTreeSet<&str> = paid.iter().map(|(_, referral, _)| referral.as_str()).collect();
    #[derive(Deserialize)]
    struct Owner {
        partner: String,
    }
    let partners: Vec<Owner> = app
        .db
        .query(sql!(
            "SELECT DISTINCT partner FROM referral WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY partner",
            json!(referrals).to_string(),
        ))
        .await?
        .all()?;
    for Owner { partner } in partners {
        let facts = journal::partner_facts(app, &partner, Some(cut)).await?;
        let statement = journal::statement(app, &facts, &partner, partner::until(app.host.now()))?;
        for (invoice, referral, at) in paid {
            let lines: Vec<&Line> =
                statement.lines.iter().filter(|l| counts(l) && l.invoice.as_ref() == Some(invoice)).collect();
            if lines.is_empty() {
                continue;
            }
            batch.extend(commission_earned(app, &statement, invoice, referral, *at, &lines));
        }
        if let Some(notice) = first_commission(app, &statement, paid) {
            batch.extend(notices::people_of(app, &partner).await?.iter().map(|person| notice.to(app, person)));
        }
    }
    Ok(batch)
}

fn commission_earned(
    app: &App,
    statement: &Statement,
    invoice: &str,
    referral: &str,
    at: DateTime<Utc>,
    lines: &[&Line],
) -> Vec<Stmt> {
    let amount_minor = lines.iter().fold(0_i64, |sum, l| sum.saturating_add(l.amount_minor));
    let lines: Vec<Value> = lines
        .iter()
        .map(|l| {
            json!({
                "id": l.id, "kind": l.kind, "amount_minor": l.amount_minor, "rate": l.rate, "status": l.status,
                "vests_at": l.vests_at, "why": l.why,
            })
        })
        .collect();
    let data = json!({
        "partner": statement.partner, "referral": referral, "invoice": invoice, "amount_minor": amount_minor,
        "currency": app.config.currency, "lines": lines,
    });
    event(app, "commission.earned", invoice, at, data)
}

/// The message about the first commission, if the first line of all is one of these payments.
fn first_commission(
    app: &App,
    statement: &Statement,
    paid: &[(String, String, DateTime<Utc>)],
) -> Option<notices::Notice> {
    let first = statement.lines.iter().find(|l| l.kind != LineKind::Reversal && l.invoice.is_some())?;
    let new = paid.iter().any(|(invoice, ..)| first.invoice.as_ref() == Some(invoice));
    (new && counts(first) && first.amount_minor > 0)
        .then(|| notices::first_commission(app, &statement.partner, first.amount_minor, &first.why))
}
