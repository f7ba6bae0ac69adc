//! `POST /v1/runs`: the draft of a month. It fixes `as_of` and `cut`, and can be computed again until it is sealed.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::{DraftRun, ErrorCode, Run, RunState};

use crate::audit::{self, Actor, Entry};
use crate::auth::Finance;
use crate::db::{DbError, Stmt, guard};
use crate::error::{ApiError, Body, changed, conflict, invalid};
use crate::run_decide::{Standing, Verdict, as_of, month};
use crate::tokens::ms;
use crate::{App, inbox, journal, posting, runs, sql};

/// Rows written by one statement.
const CHUNK: usize = 500;

#[derive(Deserialize)]
struct Agency {
    code: String,
    account: Option<String>,
    transfers: String,
    accepted: i64,
    open: i64,
}

#[derive(Serialize)]
struct Item {
    id: String,
    partner: String,
    amount_minor: i64,
    destination: String,
    digest: String,
    tier: &'static str,
    lines: usize,
}

#[derive(Serialize)]
struct NotPaid {
    partner: String,
    balance_minor: i64,
    waiting_minor: i64,
    reason: wire::NotPaidReason,
}

pub(crate) async fn draft(
    Finance(account): Finance,
    State(app): State<App>,
    Body(asked): Body<DraftRun>,
) -> Result<(StatusCode, Json<Run>), ApiError> {
    let (by, mut tries) = (Actor::from(account), 0);
    let id = loop {
        // Whoever asks wants the newest figures: a draft that another made meanwhile is computed again.
        match compute(&app, &by, &asked.period, |_, _| Some(Vec::new())).await {
            Err(error) if error.code == ErrorCode::Changed && tries < 3 => tries += 1,
            done => break done?,
        }
    };
    let id = id.ok_or_else(|| conflict("There is nothing to draft."))?;
    Ok((StatusCode::CREATED, Json(runs::load(&app, &id).await?)))
}

/// What a draft comes to, before it is written.
pub(crate) struct Figures {
    /// Who is paid.
    pub paid: usize,
    /// Who has something due and cannot be paid it.
    pub waiting: usize,
    /// What is paid, in minor units.
    pub total_minor: i64,
}

/// Drafts the run of a month, or computes its draft again. Answers its id. `beside` says what else the batch writes, or
/// that nothing is to be written at all.
pub(crate) async fn compute(
    app: &App,
    by: &Actor,
    period: &str,
    beside: impl FnOnce(&str, &Figures) -> Option<Vec<Stmt>> + Send,
) -> Result<Option<String>, ApiError> {
    let now = app.host.now();
    let as_of = as_of(period).ok_or_else(|| invalid(format!("«{period}» is not a month: write it as 2026-10.")))?;
    if as_of > now {
        return Err(invalid(format!(
            "{period} has not ended yet: its run can be drafted from {} on.",
            as_of.format("%-d %B %Y")
        )));
    }
    let existing = runs::heads(app).await?;
    let mine = existing.iter().find(|r| r.period == period);
    // A seal that was begun and did not end may be begun anew from a draft.
    if let Some(run) = mine.filter(|r| !matches!(r.state, RunState::Draft | RunState::Sealing)) {
        return Err(conflict(format!(
            "The run of {period} is {}: it cannot be drafted again.",
            runs::state_name(run.state)
        )));
    }
    if let Some(later) = existing.iter().find(|r| r.as_of > as_of && r.posted.is_some()) {
        return Err(conflict(format!(
            "{} is closed already, so {period} cannot be any more: what is due from it is in the next run.",
            later.period
        )));
    }
    let run = mine.map_or_else(|| format!("{period}.1"), |r| r.run.clone());
    let version = mine.map_or(1, |r| r.version + 1);

    inbox::read_now(app).await;
    let cut = journal::head(app).await?;
    let recorded = journal::recorded(app, None, Some(cut)).await?;
    let base = posting::base(app, as_of, None).await?;
    let comparison = base.comparison(app, &recorded, as_of)?;
    let agencies = agencies(app, &run, now).await?;
    let agencies: HashMap<&str, &Agency> = agencies.iter().map(|a| (a.code.as_str(), a)).collect();
    let paid = journal::paid_ever(&recorded.facts);
    let minimum_minor = app.config.terms.in_force(as_of).minimum_payout_minor;

    let (mut items, mut not_paid) = (Vec::new(), Vec::new());
    // Statements are made one at a time: what stays in memory is the journal.
    let program = comparison.later();
    for position in 0..program.len() {
        let statement = program.summary(position).map_err(|error| journal::not_computed(&error))?;
        let Some(agency) = agencies.get(statement.partner.as_str()) else { continue };
        let paid_ever_minor = paid.get(statement.partner.as_str()).copied().unwrap_or(0);
        let lines = match statement.totals.vested == paid_ever_minor {
            true => program.statement(position).map_err(|error| journal::not_computed(&error))?.lines,
            false => Vec::new(),
        };
        let standing = Standing {
            totals: statement.totals,
            suspended: statement.suspended,
            lines: &lines,
            paid_ever_minor,
            open_item: agency.open > 0,
            terms_accepted: agency.accepted > 0,
            minimum_minor,
            has_account: agency.account.is_some(),
            transfers_active: agency.transfers == "active",
        };
        match standing.verdict() {
            Verdict::Nothing => {}
            Verdict::Not(reason) => not_paid.push(NotPaid {
                balance_minor: standing.balance_minor(),
                waiting_minor: standing.waiting_minor(),
                partner: statement.partner,
                reason,
            }),
            Verdict::Pay(amount_minor) => {
                let diff = base.difference(app, &comparison, &statement.partner).await?;
                items.push(Item {
                    id: format!("{run}:{}", statement.partner),
                    amount_minor,
                    destination: agency.account.clone().unwrap_or_default(),
                    tier: if statement.tier == commission::Tier::Platinum { "platinum" } else { "standard" },
                    lines: posting::entries(&diff).len(),
                    partner: statement.partner,
                    digest: statement.digest,
                });
            }
        }
    }
    let figures = Figures {
        paid: items.len(),
        waiting: not_paid.iter().filter(|n| n.balance_minor > 0).count(),
        total_minor: items.iter().map(|i| i.amount_minor).sum(),
    };
    let Some(beside) = beside(&run, &figures) else { return Ok(None) };
    let entry = Entry::new(by, "run.drafted", format!("run:{run}"))
        .after(json!({ "version": version, "cut": cut, "total_minor": figures.total_minor, "paid": figures.paid }));
    write(app, entry, &run, period, version, as_of, cut, &items, &not_paid, beside).await?;
    tracing::info!(run, items = items.len(), not_paid = not_paid.len(), cut, "run drafted");
    Ok(Some(run))
}

async fn agencies(app: &App, run: &str, now: DateTime<Utc>) -> Result<Vec<Agency>, ApiError> {
    let version = &app.config.terms.in_force(now).id;
    let rows = app
        .db
        .query(sql!(
            "SELECT p.code, p.account, p.transfers,
                EXISTS (SELECT 1 FROM terms_acceptance t WHERE t.partner = p.code AND t.version = ?1) AS accepted,
                EXISTS (SELECT 1 FROM run_item i WHERE i.partner = p.code AND i.run <> ?2 AND i.sealed = 1
                        AND i.state NOT IN ('paid', 'void')) AS open
             FROM partner p",
            version,
            run,
        ))
        .await?;
    Ok(rows.all()?)
}

#[expect(clippy::too_many_arguments, reason = "the columns of a run, each once")]
async fn write(
    app: &App,
    entry: Entry,
    run: &str,
    period: &str,
    version: u32,
    as_of: DateTime<Utc>,
    cut: i64,
    items: &[Item],
    not_paid: &[NotPaid],
    beside: Vec<Stmt>,
) -> Result<(), ApiError> {
    let total: i64 = items.iter().map(|i| i.amount_minor).sum();
    let mut batch: Vec<Stmt> = vec![
        // Nobody drafted it, or sealed it, meanwhile.
        guard(
            "NOT EXISTS (SELECT 1 FROM run WHERE period = ?1 AND (state NOT IN ('draft', 'sealing') OR version <> ?2))",
            vec![period.into(), (version - 1).into()],
        ),
        sql!("DELETE FROM run_item WHERE run = ?1", run),
        sql!("DELETE FROM run_not_paid WHERE run = ?1", run),
        sql!("DELETE FROM posting WHERE run = ?1", run),
        sql!(
            "INSERT INTO run (id, period, as_of, cut, state, version, total_minor, drafted_ms) VALUES (?1, ?2, ?3, ?4, 'draft', ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET state = 'draft', posted = NULL, as_of = excluded.as_of, cut = excluded.cut, version = excluded.version,
                total_minor = excluded.total_minor, drafted_ms = excluded.drafted_ms",
            run,
            period,
            as_of.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            cut,
            version,
            total,
            ms(app.host.now()),
        ),
    ];
    for chunk in items.chunks(CHUNK) {
        batch.push(sql!(
            "INSERT INTO run_item (id, run, partner, amount_minor, currency, destination, digest, tier, lines)
             SELECT value->>'id', ?2, value->>'partner', value->>'amount_minor', ?3, value->>'destination', value->>'digest',
                    value->>'tier', value->>'lines' FROM json_each(?1)",
            json!(chunk).to_string(),
            run,
            &app.config.currency,
        ));
    }
    for chunk in not_paid.chunks(CHUNK) {
        batch.push(sql!(
            "INSERT INTO run_not_paid (run, partner, balance_minor, waiting_minor, reason)
             SELECT ?2, value->>'partner', value->>'balance_minor', value->>'waiting_minor', value->>'reason' FROM json_each(?1)",
            json!(chunk).to_string(),
            run,
        ));
    }
    batch.extend(beside);
    match audit::write(app, batch, &[entry]).await {
        Ok(_) => Ok(()),
        Err(DbError::Constraint(_)) => {
            Err(changed(format!("The run of {} has changed meanwhile: load it again.", month(as_of))))
        }
        Err(other) => Err(other.into()),
    }
}
