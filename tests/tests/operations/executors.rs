//! Executors that are killed while they send.

use std::time::Duration;

use anyhow::{Result, ensure};
use chrono::TimeDelta;
use serde_json::json;
use wire::{Reconcile, Reconciliation, Run, RunState};

use crate::stage::{Stage, at};

const AGENCIES: usize = 24;
/// Rounds in which both executors are killed, at most; there is time for them within a grant.
const ROUNDS: u32 = 60;

#[tokio::test]
async fn two_executors_that_are_killed_again_and_again_pay_everybody_once() -> Result<()> {
    let mut stage = Stage::set("executors").await?;
    stage.world.kill_executor();
    for n in 0..AGENCIES {
        let joined = stage.join(&format!("Agency {n:02}"), &format!("owner@agency{n}.example")).await?;
        stage.client(&joined.partner_code, &format!("it@client{n}.example")).await?;
    }
    let mut now = at("2026-04-01T06:00:00Z");
    stage.world.stripe().move_clock(now).await?;
    let approved = stage.approve("2026-03").await?;
    ensure!(approved.items.len() == AGENCIES);
    stage.send(&approved).await?;
    let path = json!({ "run": approved.summary.run });
    let (mut kills, mut open_when_killed) = (0, 0);
    let run = loop {
        let executors = [stage.world.spawn_executor("one")?, stage.world.spawn_executor("two")?];
        // Early, late, and in the midst of it; later and later where the machine is slow.
        tokio::time::sleep(Duration::from_millis(u64::from(40 + kills * 53 % 300 + kills * 25))).await;
        executors.into_iter().for_each(product_tests::process::Process::kill);
        let run: Run = stage.api.call(Some(&stage.finance().await?), "run", &path).await?;
        if run.summary.state == RunState::Done {
            break run;
        }
        open_when_killed += run.progress.sending + run.progress.unknown;
        kills += 1;
        ensure!(kills < ROUNDS, "not done after {kills} rounds: {:?}", run.progress);
        // The leases of those who died end.
        now += TimeDelta::minutes(3);
        stage.world.stripe().move_clock(now).await?;
    };
    ensure!(
        run.progress.paid as usize == AGENCIES && run.summary.paid_minor == approved.summary.total_minor,
        "{run:?}"
    );
    ensure!(kills > 2, "killed {kills} times: too seldom to say anything");
    let finance = stage.finance().await?;
    let it: Reconciliation = stage.api.call(Some(&finance), "reconcile", &Reconcile { days: 400 }).await?;
    ensure!(it.found == 0 && it.transfers as usize == AGENCIES, "{it:?}");
    let total = approved.summary.total_minor;
    ensure!([it.recorded_minor, it.transferred_minor, it.booked_minor] == [total; 3], "{it:?}");
    println!("both killed {kills} times; {open_when_killed} payments were on their way then");
    Ok(())
}
