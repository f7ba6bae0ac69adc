//! The month runs itself, and a lock stops its payouts.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use wire::{DraftRun, ErrorCode, Health, PayoutLock, Role, Run, RunState};

use crate::stage::{Stage, refusal};

#[tokio::test]
async fn each_month_is_drafted_once_whatever_restarts_and_finance_is_told() -> Result<()> {
    let mut stage = Stage::set("month").await?;
    let joined = stage.join("Northlight Studio", "owner@northlight.example").await?;
    stage.client(&joined.partner_code, "it@harbourpine.example").await?;
    let data = stage.world.api_data().to_string_lossy().into_owned();
    stage.world.operator(&["staff", "add", "--data", &data, "--role", "finance", "gone@aikit.example"])?;
    stage.world.operator(&["staff", "remove", "--data", &data, "gone@aikit.example"])?;
    stage.clock("2026-03-31T23:59:59Z").await?;
    // Months with nothing due make no run; the one that has not ended is not due.
    ensure!(stage.runs().await?.is_empty());
    stage.clock("2026-04-01T00:00:00Z").await?;
    let march = stage.run_of("2026-03").await?;
    ensure!((march.state, march.version, march.total_minor) == (RunState::Draft, 1, 30_000), "{march:?}");
    let mail = stage.mail_with("finance@aikit.example", "March 2026 is drafted").await?;
    ensure!(mail.contains("$300.00 for 1 agency"), "{mail}");
    // Down over two ends of a month, and killed rather than stopped.
    for round in 0..3 {
        stage.world.kill_api();
        if round == 0 {
            stage.clock("2026-06-01T06:00:00Z").await?;
        }
        stage.world.start_api().await?;
        stage.run_of("2026-05").await?;
    }
    let runs = stage.runs().await?;
    let all: Vec<(&str, u32)> = runs.iter().map(|r| (r.period.as_str(), r.version)).collect();
    ensure!(all == [("2026-05", 1), ("2026-04", 1), ("2026-03", 1)], "{all:?}");
    for month in ["March", "April", "May"] {
        stage.mail_with("finance@aikit.example", &format!("{month} 2026 is drafted")).await?;
        let n = stage.mail().iter().filter(|m| m.contains(&format!("Subject: {month} 2026 is drafted"))).count();
        ensure!(n == 1, "{n} messages about {month}");
    }
    ensure!(!stage.mail().iter().any(|m| m.contains("gone@aikit.example")), "who was removed is told nothing");
    // Whoever drafts by hand gets the newest figures, and the scheduler leaves that alone.
    let finance = stage.finance().await?;
    let again: Run = stage.api.call(Some(&finance), "draft_run", &DraftRun { period: "2026-05".into() }).await?;
    ensure!(again.summary.version == 2);
    Ok(())
}

#[tokio::test]
async fn a_lock_stops_payouts_until_an_admin_and_finance_agree() -> Result<()> {
    let stage = Stage::set("lock").await?;
    let joined = stage.join("Northlight Studio", "owner@northlight.example").await?;
    stage.client(&joined.partner_code, "it@harbourpine.example").await?;
    stage.clock("2026-04-01T06:00:00Z").await?;
    let approved = stage.approve("2026-03").await?;
    let data = stage.world.api_data().to_string_lossy().into_owned();
    // On the machine, without a session.
    let said = stage.world.operator(&["payouts", "lock", "--data", &data, "--reason", "A drill"])?;
    ensure!(said.contains("locked"), "{said}");
    let (code, text) = refusal(stage.send(&approved).await);
    ensure!(code == ErrorCode::Conflict && text.contains("A drill.") && text.contains("An admin"), "{text}");
    let healthz: Health = stage.get(None, "/healthz").await?;
    ensure!(healthz.payouts_locked);
    // Finance alone does not lift it, however often; neither does an owner or an auditor.
    let (finance, owner) = (stage.finance().await?, stage.person(Role::Owner, "Northlight").await?);
    let lock: PayoutLock = stage.get(Some(&finance), "/v1/payouts-lock").await?;
    let ask = json!({ "lock": lock.lock, "reason": "The drill is over" });
    for _ in 0..2 {
        let still: PayoutLock = stage.post(Some(&finance), "/v1/payouts-lock/unlock", &ask).await?;
        ensure!(still.locked && still.finance.is_some() && still.admin.is_none(), "{still:?}");
    }
    let auditor = stage.colleague("auditor").await?;
    for stranger in [Some(&owner), Some(&auditor), None] {
        let refused = stage.post::<PayoutLock>(stranger, "/v1/payouts-lock/unlock", &ask).await;
        ensure!(refused.is_err_and(|e| e.to_string().starts_with("40")));
    }
    ensure!(refusal(stage.send(&approved).await).0 == ErrorCode::Conflict);
    let admin = stage.colleague("admin").await?;
    let lifted: PayoutLock = stage.post(Some(&admin), "/v1/payouts-lock/unlock", &ask).await?;
    ensure!(!lifted.locked, "{lifted:?}");
    // The consents were for that lock: they do not lift another one.
    let again: PayoutLock =
        stage.post(Some(&finance), "/v1/payouts-lock/lock", &json!({ "reason": "Another drill" })).await?;
    ensure!(again.locked && again.lock != lock.lock && again.finance.is_none(), "{again:?}");
    ensure!(stage.post::<PayoutLock>(Some(&admin), "/v1/payouts-lock/unlock", &ask).await.is_err());
    let ask = json!({ "lock": again.lock, "reason": "Over" });
    stage.post::<PayoutLock>(Some(&finance), "/v1/payouts-lock/unlock", &ask).await?;
    ensure!(!stage.post::<PayoutLock>(Some(&admin), "/v1/payouts-lock/unlock", &ask).await?.locked);
    stage.send(&approved).await?;
    stage.paid(&approved).await?;
    let audited = stage.world.operator(&["audit", "verify", "--data", &data])?;
    ensure!(audited.contains(':'), "{audited}");
    Ok(())
}

#[tokio::test]
async fn a_lock_in_the_middle_of_a_run_stops_its_executor() -> Result<()> {
    let mut stage = Stage::set("lockrun").await?;
    stage.world.kill_executor();
    let joined = stage.join("Northlight Studio", "owner@northlight.example").await?;
    stage.client(&joined.partner_code, "it@harbourpine.example").await?;
    stage.clock("2026-04-01T06:00:00Z").await?;
    let approved = stage.approve("2026-03").await?;
    stage.send(&approved).await?;
    let finance = stage.finance().await?;
    let lock: PayoutLock =
        stage.post(Some(&finance), "/v1/payouts-lock/lock", &json!({ "reason": "Something is odd" })).await?;
    stage.world.start_executor()?;
    // Grants ended with the lock; an executor that held one before is refused by name.
    let keys: Value = serde_json::from_slice(&std::fs::read(stage.world.api_data().join("demo-keys.json"))?)?;
    let executor = keys["executor"].as_str().context("no key")?;
    let claim = json!({ "grant": "grant_of_before", "executor": "late", "limit": 10 });
    let path = format!("/v1/runs/{}/claims", approved.summary.run);
    let refused = stage.api.http().post(stage.api.url(&path)).bearer_auth(executor).json(&claim).send().await?;
    ensure!(refused.status() == 409, "{}", refused.status());
    ensure!(refused.text().await?.contains("Something is odd."));
    let admin = stage.colleague("admin").await?;
    let ask = json!({ "lock": lock.lock, "reason": "It was a mistake" });
    let transfers = stage.world.stripe().get("transfers", &[]).await?;
    ensure!(transfers["data"] == json!([]), "nothing left while it was locked: {transfers}");
    stage.post::<PayoutLock>(Some(&finance), "/v1/payouts-lock/unlock", &ask).await?;
    stage.post::<PayoutLock>(Some(&admin), "/v1/payouts-lock/unlock", &ask).await?;
    let transfers = stage.world.stripe().get("transfers", &[]).await?;
    ensure!(transfers["data"] == json!([]), "unlocking sends nothing by itself: {transfers}");
    stage.send(&approved).await?;
    stage.paid(&approved).await
}
