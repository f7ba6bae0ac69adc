//! The records of payouts held against Stripe: every transfer of a time, what each took from the balance, and what is
//! recorded. Once a day by itself, and whenever finance asks (docs/payouts.md).
//!
//! What Stripe has and the records lack is recorded by the same decision as an executor's look (`payout::step`). Two
//! transfers for one payout lock all payouts.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use commission::format_minor;
use payout::{Booked, Comparison, Event, Finding, Recorded, Transfer};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::{Mismatch, Reconcile, Reconciliation, ReconciliationFinding};

use crate::audit::{self, Actor, Entry};
use crate::auth::{Finance, Staff};
use crate::db::Stmt;
use crate::error::{ApiError, Body, invalid, unavailable};
use crate::notices::{self, Notice};
use crate::tokens::{self, at, ms};
use crate::{App, lock, run_record, sql, transfers};

/// What the daily one looks at.
const DAYS: u32 = 40;
/// The longest time that a page may ask for.
const MOST_DAYS: u32 = 400;
/// Findings that are kept of one reconciliation.
const KEPT: usize = 200;
/// Reconciliations that are listed.
const LISTED: i64 = 30;
/// Ids in one statement.
const IDS: usize = 2_000;

/// `GET /v1/reconciliations`: the newest first.
pub(crate) async fn list(_: Staff, State(app): State<App>) -> Result<Json<Vec<Reconciliation>>, ApiError> {
    let rows = app.db.query(sql!(
        "SELECT r.*, p.email FROM reconciliation r LEFT JOIN person p ON p.id = r.person ORDER BY r.at_ms DESC, r.rowid DESC LIMIT ?1",
        LISTED
    ));
    rows.await?.all::<Row>()?.into_iter().map(Row::shown).collect::<Result<_, _>>().map(Json)
}

/// `POST /v1/reconciliations`.
pub(crate) async fn now(
    Finance(account): Finance,
    State(app): State<App>,
    Body(asked): Body<Reconcile>,
) -> Result<Json<Reconciliation>, ApiError> {
    if !(1..=MOST_DAYS).contains(&asked.days) {
        return Err(invalid(format!("Ask for 1 to {MOST_DAYS} days of transfers.")));
    }
    reconcile(&app, &account.into(), Some(asked.days)).await.map(Json)
}

/// The daily reconciliation, where it is due and there is anything to reconcile. Answers whether it was made.
///
/// # Errors
/// Stripe's or the database's; it is due again at the next look.
pub async fn reconcile_daily(app: &App) -> Result<bool, ApiError> {
    #[derive(Deserialize)]
    struct Due {
        due: u8,
    }
    if app.config.stripe_read_key.is_empty() {
        return Ok(false);
    }
    let due = sql!(
        "SELECT EXISTS (SELECT 1 FROM run_item WHERE sealed = 1) AND NOT EXISTS (SELECT 1 FROM reconciliation WHERE at_ms > ?1) AS due",
        ms(app.host.now() - TimeDelta::days(1)),
    );
    let due: Option<Due> = app.db.query(due).await?.first()?;
    if due.is_none_or(|row| row.due == 0) {
        return Ok(false);
    }
    reconcile(app, &Actor::System, Some(DAYS)).await.map(|_| true)
}

/// Holds the records against the transfers that Stripe made in the last so many days, or ever.
///
/// # Errors
/// Without a key that may read transfers; Stripe's; the database's. Nothing is kept then.
pub async fn reconcile(app: &App, by: &Actor, days: Option<u32>) -> Result<Reconciliation, ApiError> {
    let since = days.map(|days| app.host.now() - TimeDelta::days(days.into()));
    // The records are read after the lists, so that nothing that was made in between seems to be missing at Stripe.
    let since_s = since.map(|since| since.timestamp().to_string());
    let since_s = since_s.as_deref().map(|since| ("created[gte]", since));
    let transfers = transfers::all(app, since_s.as_slice()).await?;
    let of_transfers: Vec<_> = [("type", "transfer")].into_iter().chain(since_s).collect();
    let booked: Vec<Taken> = transfers::listed(app, "balance_transactions", &of_transfers).await?;
    let booked: Vec<Booked> =
        booked.into_iter().map(|entry| Booked { transfer: entry.source, amount_minor: entry.amount }).collect();
    let compare = async || -> Result<Comparison, ApiError> {
        let recorded = recorded(app, since, &transfers).await?;
        Ok(payout::reconcile(&recorded, &transfers, &booked, app.host.now()))
    };
    let mut all = compare().await?;
    let mut settled = 0;
    for finding in all.findings.iter().filter(|f| f.mismatch == Mismatch::NotRecorded) {
        let its_own = transfers.iter().filter(|t| t.item.as_ref() == Some(&finding.item)).cloned().collect();
        let seen = Event::Observed { transfers: its_own, now: app.host.now() };
        match run_record::learn(app, &finding.item, &seen).await {
            Ok((_, after, _)) => settled += u32::from(after.state == payout::State::Paid),
            // An executor was quicker.
            Err(error) if error.code == wire::ErrorCode::Changed => {}
            Err(other) => return Err(other),
        }
    }
    if settled > 0 {
        all = compare().await?;
    }
    if let Some(double) = all.findings.iter().find(|f| f.mismatch == Mismatch::Double) {
        let reason = format!("Stripe has more than one transfer for {}: {}.", double.item, double.transfers.join(", "));
        lock::lock_payouts(app, &Actor::System, &reason).await?;
    }
    keep(app, by, since, settled, &all).await
}

/// A balance transaction in Stripe's list.
#[derive(Deserialize)]
struct Taken {
    source: String,
    amount: i64,
}

/// What is recorded of every payment made since an instant, and of those that transfers name.
async fn recorded(app: &App, since: Option<DateTime<Utc>>, transfers: &[Transfer]) -> Result<Vec<Recorded>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        item: String,
        partner: String,
        amount_minor: i64,
        currency: String,
        destination: String,
        state: payout::State,
        transfer: Option<String>,
        paid_at: Option<DateTime<Utc>>,
    }
    #[derive(Deserialize)]
    struct Back {
        item: String,
        minor: Option<i64>,
    }
    let text = since.map(|since| since.to_rfc3339_opts(SecondsFormat::Secs, true)).unwrap_or_default();
    let mut rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT id AS item, partner, amount_minor, currency, destination, state, transfer, paid_at FROM run_item
             WHERE sealed = 1 AND state = 'paid' AND paid_at >= ?1",
            text,
        ))
        .await?
        .all()?;
    let known: BTreeSet<&str> = rows.iter().map(|row| row.item.as_str()).collect();
    let named: BTreeSet<&str> = transfers.iter().filter_map(|t| t.item.as_deref()).collect();
    let others: Vec<&str> = named.difference(&known).copied().collect();
    let mut more = Vec::new();
    for some in others.chunks(IDS) {
        let found = sql!(
            "SELECT id AS item, partner, amount_minor, currency, destination, state, transfer, paid_at FROM run_item
             WHERE sealed = 1 AND id IN (SELECT value FROM json_each(?1))",
            json!(some).to_string(),
        );
        more.extend(app.db.query(found).await?.all::<Row>()?);
    }
    rows.extend(more);
    let back = sql!(
        "SELECT body->>'payout' AS item, body->>'amount_minor' AS minor FROM fact
         WHERE id >= 'payout_reversed:' AND id < 'payout_reversed;'"
    );
    let mut reversed: BTreeMap<String, Option<i64>> = BTreeMap::new();
    for row in app.db.query(back).await?.all::<Back>()? {
        // Without an amount: the whole.
        let before = reversed.get(&row.item).copied().unwrap_or(Some(0));
        reversed.insert(row.item, before.zip(row.minor).map(|(sum, minor)| sum.saturating_add(minor)));
    }
    Ok(rows
        .into_iter()
        .map(|row| Recorded {
            reversed_minor: match reversed.get(&row.item) {
                None => 0,
                Some(None) => row.amount_minor,
                Some(Some(minor)) => (*minor).min(row.amount_minor),
            },
            item: row.item,
            partner: row.partner,
            amount_minor: row.amount_minor,
            currency: row.currency,
            destination: row.destination,
            state: row.state,
            transfer: row.transfer,
            paid_at: row.paid_at,
        })
        .collect())
}

#[derive(Deserialize)]
struct Row {
    id: String,
    at_ms: i64,
    since_ms: Option<i64>,
    email: Option<String>,
    recorded_minor: i64,
    transferred_minor: i64,
    booked_minor: i64,
    transfers: u32,
    others: u32,
    too_new: u32,
    settled: u32,
    found: u32,
    findings: String,
}

impl Row {
    fn shown(self) -> Result<Reconciliation, ApiError> {
        Ok(Reconciliation {
            findings: serde_json::from_str(&self.findings)
                .map_err(|_| unavailable("A reconciliation that was kept cannot be read."))?,
            reconciliation: self.id,
            at: at(self.at_ms),
            since: self.since_ms.map(at),
            by: self.email,
            recorded_minor: self.recorded_minor,
            transferred_minor: self.transferred_minor,
            booked_minor: self.booked_minor,
            transfers: self.transfers,
            others: self.others,
            too_new: self.too_new,
            settled: self.settled,
            found: self.found,
        })
    }
}

/// Keeps what came of it, and tells finance of what the daily one found.
async fn keep(
    app: &App,
    by: &Actor,
    since: Option<DateTime<Utc>>,
    settled: u32,
    all: &Comparison,
) -> Result<Reconciliation, ApiError> {
    let names = names(app, &all.findings).await?;
    let findings: Vec<ReconciliationFinding> =
        all.findings.iter().take(KEPT).map(|finding| shown(finding, &names)).collect();
    let found = u32::try_from(all.findings.len()).unwrap_or(u32::MAX);
    let id = tokens::id(&*app.host, "reconciliation");
    let mut batch: Vec<Stmt> = vec![sql!(
        "INSERT INTO reconciliation (id, at_ms, since_ms, person, recorded_minor, transferred_minor, booked_minor, transfers, others,
            too_new, settled, found, findings) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        &id,
        ms(app.host.now()),
        since.map(ms),
        by.person(),
        all.recorded_minor,
        all.transferred_minor,
        all.booked_minor,
        all.transfers,
        all.others,
        all.too_new,
        settled,
        found,
        json!(findings).to_string(),
    )];
    if let (Some(worst), Actor::System) = (findings.first(), by) {
        let notice = alarm(app, &id, found, worst);
        batch.extend(notices::finance(app).await?.iter().map(|person| notice.to(app, person)));
    }
    let entry = Entry::new(by, "payouts.reconciled", format!("reconciliation:{id}")).after(json!({
        "recorded_minor": all.recorded_minor, "transferred_minor": all.transferred_minor, "found": found, "settled": settled
    }));
    audit::write(app, batch, &[entry]).await?;
    tracing::info!(transfers = all.transfers, found, settled, "payouts reconciled");
    let kept =
        sql!("SELECT r.*, p.email FROM reconciliation r LEFT JOIN person p ON p.id = r.person WHERE r.id = ?1", &id);
    let kept: Option<Row> = app.db.query(kept).await?.first()?;
    kept.ok_or_else(|| unavailable("The reconciliation was made and cannot be read. Load it again."))?.shown()
}

/// What finance reads when the daily one finds something.
fn alarm(app: &App, id: &str, found: u32, worst: &ReconciliationFinding) -> Notice {
    let mut page = app.config.public_url.clone();
    page.set_path("/reconciliation");
    let payouts = if found == 1 { "A payout needs".to_owned() } else { format!("{found} payouts need") };
    Notice {
        key: format!("reconciliation:{id}"),
        kind: notices::Kind::Finance,
        subject: format!("{payouts} a look: Stripe and the records disagree"),
        text: format!("{}: {}\n\nAll of it:\n{page}\n", worst.name.as_ref().unwrap_or(&worst.item), worst.text),
    }
}

async fn names(app: &App, findings: &[Finding]) -> Result<BTreeMap<String, String>, ApiError> {
    #[derive(Deserialize, Serialize)]
    struct Named {
        code: String,
        name: String,
    }
    let codes: Vec<&str> = findings.iter().take(KEPT).filter_map(|f| f.partner.as_deref()).collect();
    let names = sql!(
        "SELECT code, name FROM partner WHERE code IN (SELECT value FROM json_each(?1))",
        json!(codes).to_string()
    );
    Ok(app.db.query(names).await?.all::<Named>()?.into_iter().map(|row| (row.code, row.name)).collect())
}

fn shown(finding: &Finding, names: &BTreeMap<String, String>) -> ReconciliationFinding {
    ReconciliationFinding {
        mismatch: finding.mismatch,
        item: finding.item.clone(),
        partner: finding.partner.clone(),
        name: finding.partner.as_ref().and_then(|code| names.get(code)).cloned(),
        transfers: finding.transfers.clone(),
        recorded_minor: finding.recorded_minor,
        transferred_minor: finding.transferred_minor,
        text: in_words(finding),
    }
}

/// A finding in a sentence, with what to do.
fn in_words(finding: &Finding) -> String {
    let (recorded, transferred) = (format_minor(finding.recorded_minor), format_minor(finding.transferred_minor));
    let transfers = finding.transfers.join(", ");
    match finding.mismatch {
        Mismatch::Double => format!(
            "Stripe made more than one transfer for it ({transfers}), {transferred} in all. Payouts are locked. Reverse the one too many at Stripe, find out how it came about, then unlock."
        ),
        Mismatch::NoRecord => format!(
            "Stripe made {transfers} ({transferred}) for an item that is in no sealed run here. Was a backup restored, or does another installation use this Stripe account?"
        ),
        Mismatch::NotRecorded => format!(
            "Stripe made {transfers} ({transferred}), and it could not be recorded as paid. Open the run and look at the payout before anything else is sent to this partner."
        ),
        Mismatch::NotListed => format!(
            "It is recorded as paid by {transfers} ({recorded}), and Stripe does not list that transfer. Look it up in Stripe's dashboard."
        ),
        Mismatch::Differs => format!(
            "What Stripe transferred ({transfers}, {transferred}) is not what was approved and recorded ({recorded}): the amount, the account or the transfer differs."
        ),
        Mismatch::Reversed => format!(
            "Stripe has reversed another part of {transfers} than is recorded here: {transferred} is left there, {recorded} here. Its webhook may be missing: resend it from Stripe's dashboard."
        ),
        Mismatch::Balance => format!(
            "What {transfers} took from the balance at Stripe is not its amount of {transferred}. Look at its balance transaction in Stripe's dashboard."
        ),
    }
}
