//! A draft is frozen under its hash, and approved by that hash.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use commission::format_minor;
use payout::{Seal, SealedItem, SealedNotPaid};
use serde::Deserialize;
use serde_json::json;
use wire::{Account, ApproveRun, Run, RunState, SealChange, SealDiff, SealRun};

use crate::audit::{self, Entry};
use crate::auth::{Finance, FreshFinance};
use crate::db::{DbError, Stmt, guard};
use crate::error::{ApiError, Body, Segment, changed, conflict, forbidden, invalid, unavailable};
use crate::runs::{self, Head};
use crate::tokens::ms;
use crate::{App, posting, sql};

/// Bytes of a seal that stand in one row, at most.
const SEAL_PART: usize = 1_000_000;
/// Partners that a difference between two seals names.
const CHANGES: usize = 100;

/// `POST /v1/runs/{run}/seal`: freezes what was looked at. Refused when a payout was recorded since the draft.
pub(crate) async fn seal(
    Finance(account): Finance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<SealRun>,
) -> Result<Json<Run>, ApiError> {
    let head = runs::head(&app, &run).await?;
    // A seal that was begun and did not end is begun anew.
    if !matches!(head.state, RunState::Draft | RunState::Sealing) {
        return Err(conflict(format!(
            "The run of {} is {}: only a draft can be sealed.",
            head.period,
            runs::state_name(head.state)
        )));
    }
    if head.version != asked.version {
        return Err(changed("The draft has been computed again since you looked at it. Look at it again."));
    }
    if head.items == 0 {
        return Err(conflict("Nobody is due in this run: there is nothing to seal."));
    }
    let version = head.version + 1;
    let begun = app.db.batch(vec![
        guard(
            "EXISTS (SELECT 1 FROM run WHERE id = ?1 AND state IN ('draft', 'sealing') AND version = ?2)",
            vec![(&run).into(), head.version.into()],
        ),
        no_payout_since(head.cut),
        guard(
            "NOT EXISTS (SELECT 1 FROM posted_run p JOIN run r ON r.id = ?1 WHERE p.as_of >= r.as_of)",
            vec![(&run).into()],
        ),
        sql!("UPDATE run SET state = 'sealing', version = ?2 WHERE id = ?1", &run, version),
    ]);
    begun.await.map_err(not_sealed)?;
    match freeze(&app, &head, version, &account).await {
        Ok(hash) => tracing::info!(run, hash, by = %account.user, "run sealed"),
        Err(error) => {
            // What was written so far does not count; the draft can be looked at again.
            app.db
                .batch(vec![
                    sql!("DELETE FROM posting WHERE run = ?1 AND version = ?2 AND EXISTS (SELECT 1 FROM run WHERE id = ?1 AND state = 'sealing')", &run, version),
                    sql!("UPDATE run SET state = 'draft' WHERE id = ?1 AND state = 'sealing' AND version = ?2", &run, version),
                ])
                .await?;
            return Err(error);
        }
    }
    runs::load(&app, &run).await.map(Json)
}

/// Writes the posting of a run, then the seal with its hash, last of all. Answers the hash.
async fn freeze(app: &App, head: &Head, version: u32, by: &Account) -> Result<String, ApiError> {
    let seal = build_seal(app, head).await?;
    let items = seal.items.iter().map(|item| (item.partner.clone(), item.digest.clone())).collect();
    let mut batch = posting::write(app, head, version, &items).await?;
    let text =
        serde_json::to_string(&seal).map_err(|_| unavailable("The seal cannot be written. Nothing was changed."))?;
    let hash = seal.run_hash();
    batch.extend([
        no_payout_since(head.cut),
        sql!("UPDATE run_item SET sealed = 1 WHERE run = ?1", &head.run),
        sql!(
            "UPDATE run SET state = 'sealed', run_hash = ?2, sealed_by = ?3 WHERE id = ?1",
            &head.run,
            &hash,
            &by.user,
        ),
        sql!("DELETE FROM seal_part WHERE run = ?1", &head.run),
    ]);
    for (n, part) in parts(&text).enumerate() {
        batch.push(sql!("INSERT INTO seal_part (run, n, text) VALUES (?1, ?2, ?3)", &head.run, n as i64, part));
    }
    let entry = Entry::new(&by.clone().into(), "run.sealed", format!("run:{}", head.run))
        .before(json!({"state": "draft", "version": head.version}))
        .after(json!({"state": "sealed", "version": version, "run_hash": hash, "total_minor": head.total_minor, "items": head.items}));
    audit::write(app, batch, &[entry]).await.map_err(not_sealed)?;
    Ok(hash)
}

/// A text in parts of which each fits a row of D1.
fn parts(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (part, rest) = text.split_at(text.floor_char_boundary(SEAL_PART));
        text = rest;
        (!part.is_empty()).then_some(part)
    })
}

/// Fails a batch when a payout was recorded since the facts up to `cut`.
fn no_payout_since(cut: i64) -> Stmt {
    guard(
        "NOT EXISTS (SELECT 1 FROM fact WHERE seq > ?1 AND (id LIKE 'payout_paid:%' OR id LIKE 'payout_reversed:%'))",
        vec![cut.into()],
    )
}

fn not_sealed(error: DbError) -> ApiError {
    match error {
        DbError::Constraint(_) => changed(
            "A payout was recorded, or another run was sealed, since this draft was computed. Compute the draft again, look at it, then seal it.",
        ),
        other => other.into(),
    }
}

async fn build_seal(app: &App, head: &Head) -> Result<Seal, ApiError> {
    let items: Vec<SealedItem> = app
        .db
        .query(sql!(
            "SELECT id AS item, partner, amount_minor, currency, destination, digest FROM run_item WHERE run = ?1 ORDER BY id",
            &head.run,
        ))
        .await?
        .all()?;
    let not_paid: Vec<SealedNotPaid> = app
        .db
        .query(sql!("SELECT partner, reason FROM run_not_paid WHERE run = ?1 ORDER BY partner", &head.run))
        .await?
        .all()?;
    Ok(Seal {
        environment: app.config.environment().into(),
        run: head.run.clone(),
        period: head.period.clone(),
        as_of: head.as_of,
        cut: head.cut,
        terms: app.config.terms.versions().iter().map(|t| t.id.clone()).collect(),
        items,
        not_paid,
    })
}

/// `POST /v1/runs/{run}/approve`: binds to the seal that was seen, with its total typed.
pub(crate) async fn approve(
    FreshFinance(account): FreshFinance,
    State(app): State<App>,
    Segment(run): Segment,
    Body(asked): Body<ApproveRun>,
) -> Result<Json<Run>, ApiError> {
    let head = runs::head(&app, &run).await?;
    if head.run_hash.as_ref() != Some(&asked.run_hash)
        || (head.state == RunState::Sealed && head.version != asked.version)
    {
        return Err(another_seal(&app, &head, &asked.run_hash).await?);
    }
    if head.state != RunState::Sealed {
        return Err(conflict(format!(
            "The run of {} is {}: only a sealed run can be approved.",
            head.period,
            runs::state_name(head.state)
        )));
    }
    if asked.typed_total_minor != head.total_minor {
        let (typed, total) = (format_minor(asked.typed_total_minor), format_minor(head.total_minor));
        return Err(invalid(format!("You typed {typed}, the run comes to {total}. Nothing was approved.")));
    }
    let hands =
        [(&head.sealed_by, "sealed"), (&head.held_by, "last held a partner out of"), (&head.drafted_by, "computed")];
    let mine = hands.into_iter().find(|(person, _)| person.as_ref() == Some(&account.user));
    if let Some((_, did)) = mine.filter(|_| app.config.approvals_needed > 1) {
        return Err(forbidden(format!("You {did} this run, so others must approve it.")));
    }
    let entry = Entry::new(&account.clone().into(), "run.approved", format!("run:{run}"))
        .after(json!({"run_hash": asked.run_hash, "version": asked.version, "total_minor": asked.typed_total_minor}));
    audit::write(
        &app,
        vec![
            guard(
                "EXISTS (SELECT 1 FROM run WHERE id = ?1 AND state = 'sealed' AND version = ?2 AND run_hash = ?3)",
                vec![(&run).into(), asked.version.into(), (&asked.run_hash).into()],
            ),
            sql!(
                "INSERT INTO approval (run, run_hash, person, at_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                &run,
                &asked.run_hash,
                &account.user,
                ms(app.host.now()),
            ),
            sql!(
                "UPDATE run SET state = 'approved' WHERE id = ?1
                 AND (SELECT count(*) FROM approval a WHERE a.run = ?1 AND a.run_hash = ?2) >= CAST(?3 AS INTEGER)",
                &run,
                &asked.run_hash,
                app.config.approvals_needed,
            ),
        ],
        &[entry],
    )
    .await?;
    tracing::info!(run, by = %account.user, "run approved");
    runs::load(&app, &run).await.map(Json)
}

/// Refuses what was meant for another seal than there is now, with the difference between the two.
pub(crate) async fn another_seal(app: &App, head: &Head, looked_at: &str) -> Result<ApiError, ApiError> {
    let again = "Look at it again.";
    let what = match (head.state, &head.run_hash) {
        (RunState::Draft, _) => "is a draft again",
        (RunState::Sealing, _) => "is being sealed anew",
        (_, Some(hash)) if hash == looked_at => "has been made a draft and sealed as it was",
        _ => "has been sealed anew",
    };
    let begun = format!("The run of {} {what} since you looked at it.", head.period);
    let Some(diff) = diff(app, head, looked_at).await? else { return Ok(changed(format!("{begun} {again}"))) };
    let totals = match diff.total_after_minor == diff.total_before_minor {
        true => format!("It comes to {} as before", format_minor(diff.total_after_minor)),
        false => {
            let (before, after) = (format_minor(diff.total_before_minor), format_minor(diff.total_after_minor));
            format!("It comes to {after} instead of {before}")
        }
    };
    let partners = match diff.changes.len() + diff.more as usize {
        0 => "nothing else is different".to_owned(),
        1 => "one partner differs".to_owned(),
        n => format!("{n} partners differ"),
    };
    Ok(ApiError { diff: Some(Box::new(diff)), ..changed(format!("{begun} {totals}; {partners}. {again}")) })
}

/// How a seal that is no more differs from what a run is now; `None` where that seal is not known.
async fn diff(app: &App, head: &Head, looked_at: &str) -> Result<Option<SealDiff>, ApiError> {
    #[derive(Deserialize)]
    struct Part {
        text: String,
    }
    #[derive(Deserialize)]
    struct Named {
        code: String,
        name: String,
    }
    let now = build_seal(app, head).await?;
    let then = if head.run_hash.as_deref() == Some(looked_at) {
        now.clone()
    } else {
        let parts = sql!("SELECT text FROM seal_was WHERE run = ?1 AND run_hash = ?2 ORDER BY n", &head.run, looked_at);
        let text: String = app.db.query(parts).await?.all::<Part>()?.into_iter().map(|part| part.text).collect();
        if text.is_empty() {
            return Ok(None);
        }
        serde_json::from_str::<Seal>(&text).map_err(|_| unavailable("The seal that you looked at cannot be read."))?
    };
    let changes = then.changes(&now);
    let partners: Vec<&str> = changes.iter().take(CHANGES).map(|change| change.partner).collect();
    let names = sql!(
        "SELECT code, name FROM partner WHERE code IN (SELECT value FROM json_each(?1))",
        json!(partners).to_string()
    );
    let names: BTreeMap<String, String> =
        app.db.query(names).await?.all::<Named>()?.into_iter().map(|row| (row.code, row.name)).collect();
    let amount = |item: Option<&SealedItem>| item.map(|item| item.amount_minor);
    let mut shown: Vec<SealChange> = changes
        .iter()
        .take(CHANGES)
        .map(|change| SealChange {
            partner: change.partner.to_owned(),
            name: names.get(change.partner).cloned().unwrap_or_default(),
            before_minor: amount(change.before),
            after_minor: amount(change.after),
            other_account: change.before.zip(change.after).is_some_and(|(b, a)| b.destination != a.destination),
        })
        .collect();
    shown.sort_by(|a, b| (&a.name, &a.partner).cmp(&(&b.name, &b.partner)));
    let total = |seal: &Seal| seal.items.iter().fold(0_i64, |sum, item| sum.saturating_add(item.amount_minor));
    Ok(Some(SealDiff {
        from: looked_at.to_owned(),
        to: head.run_hash.clone(),
        total_before_minor: total(&then),
        total_after_minor: total(&now),
        more: u32::try_from(changes.len() - shown.len()).unwrap_or(u32::MAX),
        changes: shown,
    }))
}
