//! `POST /v1/runs`: the draft of a month. It fixes `as_of` and `cut`, is computed a slice of agencies at a time, and can be
//! computed again until it is sealed.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::{DraftRun, ErrorCode, NotPaidReason, Run, RunState};

use crate::audit::{self, Actor, Entry};
use crate::auth::Finance;
use crate::db::{DbError, Stmt, guard};
use crate::error::{ApiError, Body, changed, conflict, invalid, unavailable};
use crate::run_decide::{Parts, recovered_in};
use crate::slices::{self, Slice};
use crate::tokens::{self, ms};
use crate::{App, inbox, journal, posting, runs, sql};
use partner::{Standing, Verdict, as_of};

/// How long a draft that nobody waits for may be left before it is begun anew, so that its facts are not old.
const GOES_ON: TimeDelta = TimeDelta::hours(1);

#[derive(Deserialize)]
struct Agency {
    code: String,
    account: Option<String>,
    transfers: String,
    rests: i64,
    accepted: i64,
    open: i64,
    held_out: i64,
}

/// What is decided of one agency, as it is kept until all are.
#[derive(Serialize)]
struct Row {
    partner: String,
    paid: u8,
    body: Decided,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Decided {
    Item(Item),
    NotPaid {
        balance_minor: i64,
        waiting_minor: i64,
        reason: NotPaidReason,
        #[serde(skip_serializing_if = "Option::is_none")]
        recovered_in: Option<String>,
        /// What it would be paid, were it not held out.
        #[serde(skip_serializing_if = "Option::is_none")]
        item: Option<Item>,
    },
}

/// Columns of `run_item`.
#[derive(Serialize)]
struct Item {
    amount_minor: i64,
    waiting_minor: i64,
    destination: String,
    digest: String,
    tier: &'static str,
    lines: usize,
    parts: Parts,
    #[serde(skip)]
    held_out: bool,
}

impl From<Item> for Decided {
    fn from(item: Item) -> Self {
        if item.held_out {
            Decided::NotPaid {
                balance_minor: item.amount_minor,
                waiting_minor: item.waiting_minor,
                reason: NotPaidReason::HeldOut,
                recovered_in: None,
                item: Some(item),
            }
        } else {
            Decided::Item(item)
        }
    }
}

pub(crate) async fn draft(
    Finance(account): Finance,
    State(app): State<App>,
    Body(asked): Body<DraftRun>,
) -> Result<(StatusCode, Json<Run>), ApiError> {
    let (by, mut tries) = (Actor::from(account), 0);
    let id = loop {
        // Whoever asks wants the newest figures: a draft that another made meanwhile is computed again.
        match whole(&app, &by, &asked.period).await {
            Err(error) if error.code == ErrorCode::Changed && tries < 3 => tries += 1,
            done => break done?,
        }
    };
    Ok((StatusCode::CREATED, Json(runs::load(&app, &id).await?)))
}

/// Drafts a month in one go. Answers the id of its run.
async fn whole(app: &App, by: &Actor, period: &str) -> Result<String, ApiError> {
    let mut drafting = begin(app, period, false).await?;
    while step(app, &mut drafting).await? {}
    finish(app, by, &drafting, |_| Some(Vec::new())).await?;
    Ok(drafting.run)
}

/// What a draft comes to, before it is written.
#[derive(Deserialize)]
pub(crate) struct Figures {
    /// Who is paid.
    pub paid: u32,
    /// Who has something due and cannot be paid it.
    pub waiting: u32,
    /// What is paid, in minor units.
    pub total_minor: i64,
}

/// A draft in the making.
#[derive(Deserialize)]
pub(crate) struct Drafting {
    id: String,
    period: String,
    /// The run that it is the draft of.
    pub run: String,
    version: u32,
    as_of: DateTime<Utc>,
    cut: i64,
    /// Agencies up to this code are done.
    place: String,
}

/// Begins the draft of a month. One that nobody waits for goes on where it was left, unless that was long ago.
pub(crate) async fn begin(app: &App, period: &str, unasked: bool) -> Result<Drafting, ApiError> {
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
    if let Some(run) = mine.filter(|_| unasked) {
        // Somebody has drafted it, and may be looking at it.
        return Err(conflict(format!("The run of {period} is {} already.", runs::state_name(run.state))));
    }
    if let Some(later) = existing.iter().find(|r| r.as_of > as_of && r.posted.is_some()) {
        return Err(conflict(format!(
            "{} is closed already, so {period} cannot be any more: what is due from it is in the next run.",
            later.period
        )));
    }
    let run = match mine {
        Some(run) => run.run.clone(),
        None => next_id(app, period).await?,
    };
    let version = mine.map_or(1, |r| r.version + 1);
    if unasked {
        let left = sql!(
            "SELECT id, period, run, version, as_of, cut, place FROM drafting
             WHERE run = ?1 AND version = ?2 AND unasked = 1 AND begun_ms > ?3 ORDER BY begun_ms DESC LIMIT 1",
            &run,
            version,
            ms(now - GOES_ON),
        );
        if let Some(left) = app.db.query(left).await?.first()? {
            return Ok(left);
        }
    }
    inbox::read_now(app).await;
    let cut = journal::head(app).await?;
    let id = tokens::id(&*app.host, "drafting");
    let drafting = Drafting { id, period: period.to_owned(), run, version, as_of, cut, place: String::new() };
    app.db
        .batch(vec![
            sql!("DELETE FROM drafting WHERE begun_ms <= ?1", ms(now - GOES_ON)),
            sql!(
                "INSERT INTO drafting (id, period, run, version, as_of, cut, unasked, begun_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                &drafting.id,
                period,
                &drafting.run,
                version,
                as_of.to_rfc3339_opts(SecondsFormat::AutoSi, true),
                cut,
                unasked,
                ms(now),
            ),
        ])
        .await?;
    Ok(drafting)
}

/// The id of the next run of a month: numbers of those that were given up are not used again.
async fn next_id(app: &App, period: &str) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Given {
        up: u32,
    }
    let given = sql!("SELECT count(*) AS up FROM run_discarded WHERE period = ?1", period);
    let given: Option<Given> = app.db.query(given).await?.first()?;
    Ok(format!("{period}.{}", given.map_or(0, |given| given.up) + 1))
}

/// Computes the next slice of a draft and keeps it. Answers whether there was one.
pub(crate) async fn step(app: &App, drafting: &mut Drafting) -> Result<bool, ApiError> {
    let Some(slice) = slices::after(app, &drafting.place, drafting.as_of, drafting.cut).await? else {
        return Ok(false);
    };
    let rows = decide(app, drafting, &slice).await?;
    let place = slice.partners.last().cloned().unwrap_or_default();
    let batch = vec![
        // Nobody else goes on with it, and nobody ended it.
        guard(
            "EXISTS (SELECT 1 FROM drafting WHERE id = ?1 AND place = ?2)",
            vec![(&drafting.id).into(), (&drafting.place).into()],
        ),
        sql!(
            "INSERT INTO drafting_row (drafting, partner, paid, body)
             SELECT ?2, value->>'partner', value->>'paid', value->'body' FROM json_each(?1)",
            json!(rows).to_string(),
            &drafting.id,
        ),
        sql!("UPDATE drafting SET place = ?2 WHERE id = ?1", &drafting.id, &place),
    ];
    app.db.batch(batch).await.map_err(|error| meanwhile(drafting, error))?;
    drafting.place = place;
    Ok(true)
}

/// Who of a slice is paid, how much, and why somebody is not.
async fn decide(app: &App, drafting: &Drafting, slice: &Slice) -> Result<Vec<Row>, ApiError> {
    let agencies = agencies(app, &drafting.run, &slice.partners).await?;
    let agencies: HashMap<&str, &Agency> = agencies.iter().map(|a| (a.code.as_str(), a)).collect();
    let paid = slice.paid_ever();
    let minimum_minor = app.config.terms.in_force(drafting.as_of).minimum_payout_minor;
    let comparison = slice.comparison(app, drafting.as_of)?;
    let program = comparison.later();
    let (mut rows, mut items) = (Vec::new(), BTreeMap::new());
    for partner in &slice.partners {
        let (Some(position), Some(agency)) = (program.position(partner), agencies.get(partner.as_str())) else {
            continue;
        };
        let statement = program.summary(position).map_err(|error| journal::not_computed(&error))?;
        let paid_ever_minor = paid.get(partner.as_str()).copied().unwrap_or(0);
        // Where something is due, its lines say nothing more.
        let lines = match statement.totals.vested <= paid_ever_minor {
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
            rests: agency.rests > 0,
            held_out: agency.held_out > 0,
        };
        let (balance_minor, waiting_minor) = (standing.balance_minor(), standing.waiting_minor());
        match standing.verdict() {
            Verdict::Nothing => {}
            Verdict::Not(reason) if reason != NotPaidReason::HeldOut => {
                let is_debt = reason == NotPaidReason::Debt;
                let recovered_in = is_debt.then(|| recovered_in(balance_minor.saturating_neg(), &lines)).flatten();
                let body = Decided::NotPaid { balance_minor, waiting_minor, reason, recovered_in, item: None };
                rows.push(Row { partner: partner.clone(), paid: 0, body });
            }
            Verdict::Pay(_) | Verdict::Not(_) => {
                items.insert(
                    partner.as_str(),
                    Item {
                        amount_minor: balance_minor,
                        waiting_minor,
                        held_out: standing.held_out,
                        parts: Parts::default(),
                        destination: agency.account.clone().unwrap_or_default(),
                        tier: if statement.tier == commission::Tier::Platinum { "platinum" } else { "standard" },
                        lines: 0,
                        digest: statement.digest,
                    },
                );
            }
        }
    }
    let due: Vec<&str> = items.keys().copied().collect();
    for bunch in due.chunks(slices::AT_ONCE) {
        for diff in slice.base.differences(app, &comparison, bunch).await? {
            if let Some(item) = items.get_mut(diff.partner.as_str()) {
                let lines = posting::entries(&diff);
                item.parts = Parts::of(item.amount_minor, &lines);
                item.lines = lines.len();
            }
        }
    }
    rows.extend(items.into_iter().map(|(partner, item)| Row {
        partner: partner.to_owned(),
        paid: u8::from(!item.held_out),
        body: item.into(),
    }));
    Ok(rows)
}

/// Makes what was computed the draft of its month. `beside` says what else the batch writes, or that nothing is to be
/// written at all. Answers whether there is a draft now.
pub(crate) async fn finish(
    app: &App,
    by: &Actor,
    drafting: &Drafting,
    beside: impl FnOnce(&Figures) -> Option<Vec<Stmt>> + Send,
) -> Result<bool, ApiError> {
    let Drafting { id, period, run, version, as_of, cut, place } = drafting;
    let figures = sql!(
        "SELECT coalesce(sum(paid), 0) AS paid, coalesce(sum(CASE paid WHEN 1 THEN body->>'amount_minor' END), 0) AS total_minor,
                coalesce(sum(CASE paid WHEN 0 THEN body->>'balance_minor' > 0 END), 0) AS waiting
         FROM drafting_row WHERE drafting = ?1",
        id,
    );
    let figures: Option<Figures> = app.db.query(figures).await?.first()?;
    let figures = figures.ok_or_else(|| unavailable("The draft cannot be added up. Try again."))?;
    let Some(beside) = beside(&figures) else {
        app.db.query(sql!("DELETE FROM drafting WHERE id = ?1", id)).await?;
        return Ok(false);
    };
    let mut batch: Vec<Stmt> = vec![
        // Nobody drafted it, or sealed it, meanwhile.
        guard(
            "NOT EXISTS (SELECT 1 FROM run WHERE period = ?1 AND (state NOT IN ('draft', 'sealing') OR version <> ?2))
             AND EXISTS (SELECT 1 FROM drafting WHERE id = ?3 AND place = ?4)",
            vec![period.into(), (version - 1).into(), id.into(), place.into()],
        ),
        sql!("DELETE FROM run_item WHERE run = ?1", run),
        sql!("DELETE FROM run_not_paid WHERE run = ?1", run),
        sql!("DELETE FROM posting WHERE run = ?1", run),
        sql!(
            "INSERT INTO run (id, period, as_of, cut, state, version, total_minor, drafted_ms, drafted_by)
             VALUES (?1, ?2, ?3, ?4, 'draft', ?5, ?6, ?7, ?8)
             ON CONFLICT (id) DO UPDATE SET state = 'draft', posted = NULL, as_of = excluded.as_of, cut = excluded.cut, version = excluded.version,
                total_minor = excluded.total_minor, drafted_ms = excluded.drafted_ms, drafted_by = excluded.drafted_by",
            run,
            period,
            as_of.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            *cut,
            *version,
            figures.total_minor,
            ms(app.host.now()),
            by.person(),
        ),
        sql!(
            "INSERT INTO run_item (id, run, partner, currency, amount_minor, waiting_minor, destination, digest, tier, lines, parts)
             SELECT ?2 || ':' || partner, ?2, partner, ?3, body->>'amount_minor', body->>'waiting_minor', body->>'destination',
                    body->>'digest', body->>'tier', body->>'lines', body->'parts' FROM drafting_row WHERE drafting = ?1 AND paid = 1",
            id,
            run,
            &app.config.currency,
        ),
        sql!(
            "INSERT INTO run_not_paid (run, partner, balance_minor, waiting_minor, reason, recovered_in, item)
             SELECT ?2, partner, body->>'balance_minor', body->>'waiting_minor', body->>'reason', body->>'recovered_in', body->'item'
             FROM drafting_row WHERE drafting = ?1 AND paid = 0",
            id,
            run,
        ),
        // Whatever else was being drafted of this month comes too late.
        sql!("DELETE FROM drafting WHERE run = ?1", run),
    ];
    batch.extend(beside);
    let entry = Entry::new(by, "run.drafted", format!("run:{run}"))
        .after(json!({ "version": version, "cut": cut, "total_minor": figures.total_minor, "paid": figures.paid }));
    audit::write(app, batch, &[entry]).await.map_err(|error| meanwhile(drafting, error))?;
    tracing::info!(run, items = figures.paid, cut, "run drafted");
    Ok(true)
}

/// A guard that did not hold is another who was quicker.
fn meanwhile(drafting: &Drafting, error: DbError) -> ApiError {
    match error {
        DbError::Constraint(_) => {
            changed(format!("The run of {} has changed meanwhile: load it again.", drafting.period))
        }
        other => other.into(),
    }
}

/// The agencies of a slice as they stand now.
async fn agencies(app: &App, run: &str, partners: &[String]) -> Result<Vec<Agency>, ApiError> {
    let version = &app.config.terms.in_force(app.host.now()).id;
    let rows = app
        .db
        .query(sql!(
            "SELECT p.code, p.account, p.transfers, coalesce(p.frozen_until_ms, 0) > ?4 AS rests,
                EXISTS (SELECT 1 FROM terms_acceptance t WHERE t.partner = p.code AND t.version = ?1) AS accepted,
                EXISTS (SELECT 1 FROM run_hold h WHERE h.partner = p.code AND h.run = ?2) AS held_out,
                EXISTS (SELECT 1 FROM run_item i WHERE i.partner = p.code AND i.run <> ?2 AND i.sealed = 1
                        AND i.state NOT IN ('paid', 'void')) AS open
             FROM partner p WHERE p.code IN (SELECT value FROM json_each(?3))",
            version,
            run,
            json!(partners).to_string(),
            ms(app.host.now()),
        ))
        .await?;
    Ok(rows.all()?)
}
