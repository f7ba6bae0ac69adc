//! How the app behaves among the others on a computer: one window, links of its own, its place, a tray, a lock.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fantoccini::Locator;
use serde_json::{Value, json};

use crate::cable::Cable;
use crate::computer::Computer;
use crate::screen::MAIN;
use crate::shelf::Shelf;
use crate::{agency_that_earned, person_of};
use wire::Role;

/// What the dialog that asks where to save is called.
const DIALOG: &str = "Save";
/// What somebody would put into a page, a mail or a terminal.
const HOSTILE: &[&str] = &[
    "aikit-partners://open/run/../../settings",
    "aikit-partners://open/run/2026-10.1/approve",
    "aikit-partners://open/sign-in",
    "aikit-partners://open/settings?set=1",
    "aikit-partners://open/payout/%2e%2e%2fsettings",
    "aikit-partners://open/payout/x'><script>alert(1)</script>",
    "aikit-partners://send/run/2026-10.1",
    "aikit-partners://user:secret@open/settings",
    "aikit-partners:settings",
    "javascript:location.hash='#/settings'",
    "https://example.com/#/settings",
    "file:///etc/passwd",
    "--remote-debugging-port=9222",
    "",
];

#[tokio::test]
async fn a_second_start_hands_its_link_to_the_first_and_a_hostile_one_leads_nowhere() -> Result<()> {
    let (agency, estimate_minor) = agency_that_earned().await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    // A link that starts the app waits until somebody is signed in.
    let window = computer.open_window_with(&["aikit-partners://open/links"]).await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.is_at("#/links").await?;
    window.find(Locator::XPath("//button[contains(., 'Make a link')]")).await?;

    computer.hand_over(&["aikit-partners://open/payouts"])?;
    window.is_at("#/payouts").await?;
    computer.hand_over(&[])?;
    for link in HOSTILE {
        computer.hand_over(&[link])?;
    }
    computer.hand_over(&["aikit-partners://open/clients", "aikit-partners://open/settings"])?;
    // What comes after them has come through, and none of them has: each would have been a step of the history.
    let before = window.page.execute("return history.length", vec![]).await?;
    computer.hand_over(&["aikit-partners://open/overview"])?;
    window.is_at("#/overview").await?;
    window.shows_estimate(estimate_minor).await?;
    let steps = window.page.execute("return [history.length, document.title, location.href]", vec![]).await?;
    ensure!(steps[0].as_u64() == before.as_u64().map(|n| n + 1), "hostile links led somewhere: {before} to {steps}");

    // A page that is opened by a link does nothing: a run's link asks nothing of the API but to read.
    computer.hand_over(&["aikit-partners://open/run/2026-10.1"])?;
    window.is_at("#/runs/2026-10.1").await?;
    window.shows(Locator::Css("main"), "leads to no page of yours").await?;

    // Another folder of data is another app.
    let mut other = computer.start_again(&["aikit-partners://open/settings"], "other")?;
    crate::computer::await_or(
        || std::path::Path::new(&computer.folder.path("other/desk.lock")).exists().then_some(()),
        || "a start with data of its own does not come up".into(),
    )?;
    ensure!(other.ended().is_none(), "a start with data of its own has ended: {}", other.last_output());
    window.is_at("#/runs/2026-10.1").await?;
    drop(other);
    window.close(&computer).await
}

#[tokio::test]
async fn the_window_comes_back_as_large_as_it_was() -> Result<()> {
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let size = "return [innerWidth, innerHeight]";
    let window = computer.open_window().await?;
    window.find(Locator::Css("button[data-person]")).await?;
    let first = window.page.execute(size, vec![]).await?;
    window.page.set_window_size(900, 640).await?;
    let smaller = {
        let mut seen = first.clone();
        for _ in 0..100 {
            seen = window.page.execute(size, vec![]).await?;
            if seen != first {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        seen
    };
    ensure!(smaller != first, "the window cannot be made smaller than {first}");
    window.close_as_a_person(&computer).await?;
    let window = computer.open_window().await?;
    window.find(Locator::Css("button[data-person]")).await?;
    let again = window.page.execute(size, vec![]).await?;
    ensure!(again == smaller, "the window was {smaller} and came back as {again}");
    window.close(&computer).await
}

#[tokio::test]
async fn finance_proves_who_it_is_before_a_window_shows_anything_that_nobody_was_at() -> Result<()> {
    let finance = person_of(Role::Finance).await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{finance}']"))).await?;
    window.find(Locator::Css("main table")).await?;
    window.close(&computer).await?;

    // A quick restart asks nothing; the next start is long after anybody was there.
    let window = computer.open_window().await?;
    window.find(Locator::Css("main table")).await?;
    window.close(&computer).await?;
    std::fs::write(computer.folder.path("data/last_sign.json"), "\"2026-01-01T00:00:00Z\"")?;

    let window = computer.open_window_with(&["aikit-partners://open/runs"]).await?;
    let locked = Locator::Css("[data-testid=locked]");
    window.find(locked).await?;
    let text = window.find(Locator::Css("body")).await?.text().await?;
    ensure!(!text.contains('$') && !text.contains("Runs"), "a locked window shows {text}");
    for (cmd, args) in
        [("runs", json!({})), ("money_key", json!({})), ("save", json!({ "file": "run_csv", "args": {} }))]
    {
        let answer = window.rpc(cmd, args).await?;
        ensure!(answer["failed"].to_string().contains("window is locked"), "{cmd}: {answer}");
    }
    window.page.refresh().await?;
    window.click(Locator::Css("[data-testid=locked] .primary")).await?;
    window.find(Locator::Css("main table")).await?;
    window.close(&computer).await
}

#[tokio::test]
async fn the_tray_has_the_figure_and_the_link_and_keeps_a_window_that_is_closed() -> Result<()> {
    let (agency, estimate_minor) = agency_that_earned().await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;

    // Without a tray the app is as it is, and says so.
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.shows_estimate(estimate_minor).await?;
    computer.hand_over(&["aikit-partners://open/settings"])?;
    window.shows(Locator::Css("section[aria-label=Window]"), "shows no tray").await?;
    window.close(&computer).await?;

    let shelf = Shelf::on(&computer.bus()?)?;
    let window = computer.open_window().await?;
    window.shows_estimate(estimate_minor).await?;
    let digits = estimate_minor.to_string();
    let figure =
        shelf.entry(|text| text.chars().filter(char::is_ascii_digit).collect::<String>().ends_with(&digits))?;
    ensure!(figure.contains("so far"), "{figure}");

    shelf.choose(|text| text == "Copy my link")?;
    window.shows(Locator::Css("[data-sonner-toaster]"), "Your link is copied").await?;

    // The person chooses to keep the app in the tray, and closes the window.
    computer.hand_over(&["aikit-partners://open/settings"])?;
    window.click(Locator::XPath("//label[contains(., 'Stay in the tray')]")).await?;
    kept(&computer, "keep_in_tray").await?;
    let screen = computer.screen()?;
    screen.shows(MAIN, true)?;
    screen.close_window()?;
    screen.shows(MAIN, false)?;
    shelf.choose(|text| text == figure)?;
    screen.shows(MAIN, true)?;
    window.is_at("#/overview").await?;
    shelf.choose(|text| text.starts_with("Quit"))?;
    computer.app_has_ended()?;

    // Started out of the way it is in the tray alone, until somebody asks for it.
    let mut away = computer.start_again(&["--minimised"], "data")?;
    shelf.entry(|text| text.contains("so far"))?;
    screen.shows(MAIN, false)?;
    shelf.choose(|text| text.starts_with("Open"))?;
    screen.shows(MAIN, true)?;
    ensure!(away.ended().is_none(), "the app has ended: {}", away.last_output());
    Ok(())
}

#[tokio::test]
async fn the_menu_has_the_pages_under_keys_and_finance_locks_by_one() -> Result<()> {
    const CTRL: u32 = 0xffe3;
    const SHIFT: u32 = 0xffe1;
    let key = |key: char| u32::from(key);
    let (agency, _) = agency_that_earned().await?;
    let finance = person_of(Role::Finance).await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.find(crate::ESTIMATE).await?;
    let screen = computer.screen()?;
    for (keys, address) in [
        ([CTRL, key('3')], "#/clients"),
        ([CTRL, key('5')], "#/payouts"),
        ([CTRL, key(',')], "#/settings"),
        ([CTRL, key('1')], "#/overview"),
    ] {
        screen.press(MAIN, &keys)?;
        window.is_at(address).await?;
    }
    screen.press(MAIN, &[CTRL, SHIFT, key('c')])?;
    window.shows(Locator::Css("[data-sonner-toaster]"), "Your link is copied").await?;

    window.click(Locator::Css("button[title^='Sign out']")).await?;
    window.click(Locator::Css(&format!("button[data-person='{finance}']"))).await?;
    window.find(Locator::Css("main table")).await?;
    screen.press(MAIN, &[CTRL, key('4')])?;
    window.is_at("#/reconciliation").await?;
    screen.press(MAIN, &[CTRL, SHIFT, key('l')])?;
    window.find(Locator::Css("[data-testid=locked]")).await?;
    window.close(&computer).await
}

#[tokio::test]
async fn a_file_is_saved_where_the_dialog_says() -> Result<()> {
    const ENTER: u32 = 0xff0d;
    const ESCAPE: u32 = 0xff1b;
    let (agency, _) = agency_that_earned().await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.find(crate::ESTIMATE).await?;
    let payouts: Value =
        serde_json::from_str(window.rpc("payouts", json!({})).await?["came"].as_str().context("none")?)?;
    let paid = payouts["data"].as_array().and_then(|all| all.iter().find(|p| p["state"] == "paid"));
    let item = &paid.context("the agency was never paid")?["item"];
    for (key, saves) in [(ESCAPE, false), (ENTER, true)] {
        let args = json!({ "file": "receipt", "args": { "item": item } });
        let screen = computer.screen()?;
        let person = tokio::task::spawn_blocking(move || screen.answer(DIALOG, key));
        // The dialog waits for its person, and the page for the dialog.
        let (answer, pressed) = tokio::join!(window.rpc("save", args), person);
        pressed??;
        let answer: Value = serde_json::from_str(answer?["came"].as_str().context("the file was not saved")?)?;
        match answer["path"].as_str() {
            None => ensure!(!saves, "nothing was saved"),
            Some(path) => ensure!(saves && std::fs::read(path)?.starts_with(b"%PDF"), "{path} is not the receipt"),
        }
    }
    window.close(&computer).await
}

#[tokio::test]
async fn a_payout_that_is_news_is_a_notification_and_a_click_leads_to_it() -> Result<()> {
    let (agency, _) = agency_that_earned().await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let shelf = Shelf::on(&computer.bus()?)?;
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    let told = || told(&computer);
    let before = crate::computer::await_or(|| told().ok(), || "the app has looked for no news".into())?;
    window.close(&computer).await?;
    ensure!(shelf.notes().is_empty(), "what was there before is no news: {:?}", shelf.notes());

    // As if the newest payout had been sent while the app was closed.
    let item = before["payouts"].as_object().and_then(|all| all.keys().max()).context("the agency has no payout")?;
    let mut earlier = before.clone();
    earlier["payouts"][item]["paid"] = json!(false);
    rusqlite::Connection::open(computer.folder.path("data/answers.db"))?
        .execute("UPDATE saved_answer SET body = ?1 WHERE call = '(told)'", [earlier.to_string()])?;
    let window = computer.open_window().await?;
    window.find(crate::ESTIMATE).await?;
    shelf.click_note("was sent to your Stripe account")?;
    window.is_at(&format!("#/payouts/{item}")).await?;
    ensure!(shelf.notes().len() == 1 && shelf.notes()[0].0 == "Payout sent", "{:?}", shelf.notes());
    ensure!(told()? == before, "what was told is not known");
    window.close(&computer).await
}

/// What the app knows to have told, for whoever is signed in.
fn told(computer: &Computer) -> Result<Value> {
    let file = rusqlite::Connection::open(computer.folder.path("data/answers.db"))?;
    let body: String = file.query_row("SELECT body FROM saved_answer WHERE call = '(told)'", [], |row| row.get(0))?;
    Ok(serde_json::from_str(&body)?)
}

/// Waits until a choice is on disk.
async fn kept(computer: &Computer, name: &str) -> Result<()> {
    let file = computer.folder.path("data/preferences.json");
    crate::computer::await_or(
        || {
            let chosen: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
            chosen[name].as_bool().filter(|on| *on).map(drop)
        },
        || format!("{name} was not kept"),
    )
    .context("in the settings")
}
