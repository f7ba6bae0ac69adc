//! What can be taken away as a file: receipts, a run for a spreadsheet, the ledger export. `documents` makes them; this loads.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use commission::{Fact, FactBody, RULES_VERSION, own_facts, parse_fact};
use documents::DocumentError;
use documents::ledger::{Ledger, Roll, Standing};
use documents::receipt::{FORM, Receipt};
use documents::sources::Sources;
use serde::Deserialize;
use serde_json::json;
use wire::{LedgerExport, LedgerSet, PayoutDetail, PayoutState};

use crate::auth::{Partner, Staff};
use crate::error::{ApiError, Params, Segment, conflict, not_found, unavailable};
use crate::runs::{self, Head};
use crate::{App, journal, posting, sql};

pub(crate) const PDF: &str = "application/pdf";
pub(crate) const CSV: &str = "text/csv; charset=utf-8";
pub(crate) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// A file to save under a name. Of the name only what every system takes is kept.
pub(crate) fn file(kind: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, bytes).into_response()
}

fn cannot_be_made(error: DocumentError) -> ApiError {
    tracing::error!(%error, "a document cannot be made");
    unavailable(format!("This file cannot be made: {error}."))
}

/// `GET /v1/payouts/{item}/receipt.pdf`: of the agency's own payout.
pub(crate) async fn own_receipt(
    State(app): State<App>,
    partner: Partner,
    Segment(item): Segment,
) -> Result<Response, ApiError> {
    receipt(&app, runs::detail(&app, &item, Some(&partner.code)).await?).await
}

/// `GET /v1/runs/{run}/items/{item}/receipt.pdf`.
pub(crate) async fn run_receipt(
    _: Staff,
    State(app): State<App>,
    Segment((run, item)): Segment<(String, String)>,
) -> Result<Response, ApiError> {
    receipt(&app, runs::in_run(&app, &run, &item).await?).await
}

/// Why there is no receipt yet, or none at all.
fn no_receipt(state: PayoutState) -> ApiError {
    conflict(match state {
        PayoutState::Void => {
            "This payout was closed without a payment, so there is no receipt. What was due is in a later payout."
        }
        _ => "This payout has not been paid yet. Its receipt is here as soon as Stripe has made the transfer.",
    })
}

async fn receipt(app: &App, mut detail: PayoutDetail) -> Result<Response, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        destination: String,
        currency: String,
        cut: i64,
    }
    let (PayoutState::Paid, Some(transfer), Some(paid_at)) =
        (detail.payout.state, detail.payout.transfer.clone(), detail.payout.paid_at)
    else {
        return Err(no_receipt(detail.payout.state));
    };
    // As they happened: what is owed is told from the beginning.
    detail.lines.reverse();
    // When it reaches the bank is up to Stripe, and changes after the receipt was saved.
    detail.payout.bank = None;
    let row = sql!(
        "SELECT i.destination, i.currency, r.cut FROM run_item i JOIN run r ON r.id = i.run WHERE i.id = ?1",
        &detail.payout.item
    );
    let row: Option<Row> = app.db.query(row).await?.first()?;
    let row = row.ok_or_else(|| not_found("There is no such payout."))?;
    let name = format!("receipt-{}-{}.pdf", detail.payout.period, detail.partner.code);
    let config = &app.config;
    let sources = sources(app, &detail, row.cut).await?;
    let receipt = Receipt {
        form: FORM,
        rules: RULES_VERSION.to_owned(),
        cut: row.cut,
        payer: config.payer.clone(),
        clients: clients(app, &detail).await?,
        reversed_minor: reversed_minor(&payout_facts(app, Some(&detail.partner.code), i64::MAX).await?, &detail),
        disclosure: config.terms.in_force(detail.as_of).disclosure.clone().unwrap_or_default(),
        transfer,
        paid_at,
        account: row.destination,
        currency: row.currency,
        live: config.live,
        letter: matches!(config.platform_country.as_str(), "US" | "CA"),
        detail,
    };
    Ok(file(PDF, &name, documents::receipt::pdf(&receipt, &sources).map_err(cannot_be_made)?))
}

/// What a payout follows from, as far as it may be given to its agency: nothing that tells of another one, and no reason that
/// a person of AIKit's wrote for others.
async fn sources(app: &App, detail: &PayoutDetail, cut: i64) -> Result<Sources, ApiError> {
    let (partner, as_of) = (detail.partner.code.as_str(), detail.as_of);
    let recorded = journal::partner_facts(app, partner, Some(cut)).await?;
    let own = own_facts(&recorded, partner, as_of).map_err(|error| journal::not_computed(&error))?;
    // A run subtracts what was paid, whenever that was, and of a payout that is said twice it takes what was recorded first.
    let payouts = journal::payouts_of(&recorded, partner).into_iter().cloned();
    let mut told: HashMap<String, Fact> = own.into_iter().chain(payouts).map(|fact| (fact.id.clone(), fact)).collect();
    let facts = recorded.iter().filter_map(|fact| told.remove(&fact.id)).collect();
    let posted = posting::vested_before(app, partner, as_of).await?;
    Ok(Sources::new(facts, &app.config.terms, as_of, posted))
}

/// What the clients of a payout's lines are called, by referral.
async fn clients(app: &App, detail: &PayoutDetail) -> Result<BTreeMap<String, String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        email: String,
    }
    let ids: Vec<&str> = detail.lines.iter().filter_map(|line| line.referral.as_deref()).collect();
    let rows =
        sql!("SELECT id, email FROM referral WHERE id IN (SELECT value FROM json_each(?1))", json!(ids).to_string());
    let rows: Vec<Row> = app.db.query(rows).await?.all()?;
    let named = rows.into_iter().map(|row| {
        let domain = row.email.rsplit_once('@').map(|(_, domain)| domain);
        (row.id.clone(), partner::client_name(domain, &row.id))
    });
    Ok(named.collect())
}

/// What of a payout came back after it was paid.
fn reversed_minor(facts: &[(i64, Fact)], detail: &PayoutDetail) -> i64 {
    let mine = |fact: &&Fact| match &fact.body {
        FactBody::PayoutPaid { payout, .. } | FactBody::PayoutReversed { payout, .. } => *payout == detail.payout.item,
        _ => false,
    };
    let facts: Vec<Fact> = facts.iter().map(|(_, fact)| fact).filter(mine).cloned().collect();
    let left = partner::paid_ever(&facts).get(detail.partner.code.as_str()).copied();
    left.map_or(0, |left| detail.payout.amount_minor.saturating_sub(left))
}

/// `GET /v1/runs/{run}/export.csv`.
pub(crate) async fn run_csv(_: Staff, State(app): State<App>, Segment(run): Segment) -> Result<Response, ApiError> {
    let run = runs::load(&app, &run).await?;
    let bytes = documents::run_book::csv(&run, &app.config.currency).map_err(cannot_be_made)?;
    Ok(file(CSV, &format!("run-{}.csv", run.summary.run), bytes))
}

/// `GET /v1/runs/{run}/export.xlsx`.
pub(crate) async fn run_xlsx(_: Staff, State(app): State<App>, Segment(run): Segment) -> Result<Response, ApiError> {
    let run = runs::load(&app, &run).await?;
    let bytes = documents::run_book::xlsx(&run, &app.config.currency).map_err(cannot_be_made)?;
    Ok(file(XLSX, &format!("run-{}.xlsx", run.summary.run), bytes))
}

/// `GET /v1/runs/{run}/ledger.csv`: of a month that is closed, which it is once its run is sealed.
pub(crate) async fn run_ledger(
    _: Staff,
    State(app): State<App>,
    Segment(run): Segment,
    Params(asked): Params<LedgerExport>,
) -> Result<Response, ApiError> {
    let head = runs::head(&app, &run).await?;
    let ledger = ledger(&app, &head).await?;
    let (set, suffix) = match asked.set.unwrap_or_default() {
        LedgerSet::Plain => (LedgerSet::Plain, ""),
        LedgerSet::Quickbooks => (LedgerSet::Quickbooks, "-quickbooks"),
        LedgerSet::Xero => (LedgerSet::Xero, "-xero"),
    };
    let bytes = ledger.csv(set, &app.config.accounts).map_err(cannot_be_made)?;
    Ok(file(CSV, &format!("ledger-{}{suffix}.csv", head.period), bytes))
}

/// What of an agency was posted: all that had vested, and what the run changed.
#[derive(Deserialize)]
struct Posted {
    partner: String,
    vested_minor: i64,
    earned_minor: i64,
    reversed_minor: i64,
}

async fn ledger(app: &App, head: &Head) -> Result<Ledger, ApiError> {
    let posted = runs::heads(app).await?.into_iter().filter(Head::is_posted);
    let runs: Vec<Head> = posted.filter(|one| one.as_of <= head.as_of).collect();
    let [this, earlier @ ..] = &*runs else { return Err(not_closed(head)) };
    if this.run != head.run {
        return Err(not_closed(head));
    }
    let facts = payout_facts(app, None, this.cut).await?;
    let paid = |of: Option<&Head>| of.map(|of| paid_by(&facts, of)).unwrap_or_default();
    let (before, after) = (vested(app, earlier.first()).await?, vested(app, Some(this)).await?);
    let (paid_before, paid_after) = (paid(earlier.first()), paid(Some(this)));
    let names = names(app).await?;
    let partners: BTreeSet<&String> = before.keys().chain(after.keys()).chain(paid_after.keys()).collect();
    let mut rolls = Vec::new();
    for partner in partners {
        let name = names.get(partner).unwrap_or(partner);
        let standing = |vested: &BTreeMap<String, Posted>, paid: &BTreeMap<String, i64>| Standing {
            vested_minor: vested.get(partner).map_or(0, |posted| posted.vested_minor),
            paid_minor: paid.get(partner).copied().unwrap_or(0),
        };
        let (opening, closing) = (standing(&before, &paid_before), standing(&after, &paid_after));
        let moved = after.get(partner).map_or((0, 0), |posted| (posted.earned_minor, posted.reversed_minor));
        rolls.push(Roll::between((partner.clone(), name.clone()), opening, closing, moved).map_err(cannot_be_made)?);
    }
    Ledger::new(&head.period, head.as_of, &app.config.currency, rolls).map_err(cannot_be_made)
}

fn not_closed(head: &Head) -> ApiError {
    let state = runs::state_name(head.state);
    conflict(format!(
        "The run of {} is {state}, so its month is still open. Seal it, then export the ledger.",
        head.period
    ))
}

/// What had been posted of every agency when a run was, and what that run itself posted.
async fn vested(app: &App, run: Option<&Head>) -> Result<BTreeMap<String, Posted>, ApiError> {
    let Some(run) = run else { return Ok(BTreeMap::new()) };
    let rows: Vec<Posted> = app
        .db
        .query(sql!(
            "SELECT partner, closing_minor AS vested_minor, CASE run WHEN ?1 THEN earned_minor ELSE 0 END AS earned_minor,
                CASE run WHEN ?1 THEN reversed_minor ELSE 0 END AS reversed_minor FROM
                (SELECT p.partner, p.run, p.closing_minor, p.earned_minor, p.reversed_minor, max(r.as_of) FROM posted_run r
                 JOIN posting p ON p.run = r.id AND p.version = r.posted
                 WHERE r.as_of <= (SELECT as_of FROM run WHERE id = ?1) GROUP BY p.partner)",
            &run.run,
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(|row| (row.partner.clone(), row)).collect())
}

/// What of the payouts counts in a run's statements: those before its instant that it knew of. One that became known later is
/// in a later month, so that a closed month stays what it was.
fn paid_by(facts: &[(i64, Fact)], run: &Head) -> BTreeMap<String, i64> {
    let counts = |(number, fact): &&(i64, Fact)| *number <= run.cut && fact.at < run.as_of;
    let facts: Vec<Fact> = facts.iter().filter(counts).map(|(_, fact)| fact.clone()).collect();
    partner::paid_ever(&facts).into_iter().map(|(partner, minor)| (partner.to_owned(), minor)).collect()
}

/// Facts about payouts up to a number, each with its own: everybody's, or one agency's.
async fn payout_facts(app: &App, partner: Option<&str>, cut: i64) -> Result<Vec<(i64, Fact)>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        seq: i64,
        body: String,
    }
    let (mut facts, mut after) = (Vec::new(), 0);
    loop {
        let rows: Vec<Row> = app
            .db
            .query(sql!(
                "SELECT seq, body FROM fact WHERE seq > ?1 AND seq <= ?2 AND (?3 IS NULL OR partner = ?3)
                    AND (id LIKE 'payout_paid:%' OR id LIKE 'payout_reversed:%') ORDER BY seq LIMIT 5000",
                after,
                cut,
                partner,
            ))
            .await?
            .all()?;
        let Some(last) = rows.last() else { return Ok(facts) };
        after = last.seq;
        for row in rows {
            let fact = parse_fact(&row.body).map_err(|error| journal::unreadable(row.seq, &error))?;
            facts.extend(fact.map(|fact| (row.seq, fact)));
        }
    }
}

/// Every agency's name, by code.
async fn names(app: &App) -> Result<BTreeMap<String, String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        code: String,
        name: String,
    }
    let rows: Vec<Row> = app.db.query(sql!("SELECT code, name FROM partner")).await?.all()?;
    Ok(rows.into_iter().map(|row| (row.code, row.name)).collect())
}
