//! Finance pays a month from its own computer, in the real window.

use anyhow::{Context as _, Result, ensure};
use fantoccini::Locator;
use wire::{Role, Run, RunState};

use crate::cable::Cable;
use crate::computer::{Computer, Window};
use crate::stage::{Stage, at};

const SENDING: Locator<'_> = Locator::Css("section[aria-label='Send from this computer']");
const KEY: &str = "rk_test_of_finance_computer";

fn button(says: &str) -> String {
    format!("//button[contains(normalize-space(.), '{says}')]")
}

async fn press(window: &Window, says: &str) -> Result<()> {
    window.click(Locator::XPath(&button(says))).await.with_context(|| format!("the button «{says}»"))
}

#[tokio::test]
async fn finance_approves_and_sends_with_the_key_of_its_keychain() -> Result<()> {
    let mut stage = Stage::set("desktop-pays").await?;
    // The window sends, and nobody else.
    stage.world.kill_executor();
    for n in 0..3 {
        let joined = stage.join(&format!("Agency {n}"), &format!("owner@agency{n}.example")).await?;
        stage.client(&joined.partner_code, &format!("it@client{n}.example")).await?;
    }
    stage.world.stripe().move_clock(at("2026-04-01T06:00:00Z")).await?;
    let draft = stage.run_of("2026-03").await?;
    let people = stage.api.people().await?;
    let finance = people.iter().find(|p| p.role == Role::Finance).context("no finance")?;
    let cable = Cable::to(&stage.world.address())?;
    let computer = Computer::set_up_with(&cable, &stage.world.stripe().url(""))?;

    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", finance.person))).await?;
    window.click(Locator::Css(&format!("a[href='#/runs/{}']", draft.run))).await?;
    press(&window, "Seal").await?;
    press(&window, "Approve").await?;
    let total = window.find(Locator::Css("[data-testid=approve-total]")).await?.text().await?;
    let amount = total.trim_start_matches('$').to_owned();
    window.find(Locator::Css("#typed")).await?.send_keys(&amount).await?;
    window.click(Locator::XPath("//form//button[normalize-space(.) = 'Approve']")).await?;
    press(&window, "Send 3 payouts").await?;
    window.find(Locator::Css("input[type=password]")).await?.send_keys(KEY).await?;
    press(&window, "Keep the key").await?;

    // It is in the keychain, which a restart shows.
    window.shows(SENDING, "With the key that ends in").await?;
    window.close(&computer).await?;
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("a[href='#/runs/{}']", draft.run))).await?;
    window.shows(SENDING, "With the key that ends in").await?;
    press(&window, "Send here").await?;

    let path = serde_json::json!({ "run": draft.run });
    let run: Run = stage.api.call(Some(&stage.finance().await?), "run", &path).await?;
    stage.paid(&run).await?;
    let run: Run = stage.api.call(Some(&stage.finance().await?), "run", &path).await?;
    ensure!((run.summary.state, run.progress.paid) == (RunState::Done, 3), "{:?}", run.progress);
    window.shows(Locator::Css("main"), "Paid").await?;
    let kept = computer.files_with(KEY)?;
    ensure!(kept.is_empty(), "the key is in {kept:?}");
    window.close(&computer).await
}
