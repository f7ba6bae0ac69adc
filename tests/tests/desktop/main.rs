//! The desktop app as a person meets it: the real window, driven by WebDriver, against a running demo.
//!
//! `AIKIT_APP_BIN` is the app, built with the feature `custom-protocol`; `AIKIT_API` is the demo's address. `./dev test`
//! makes both. The window talks to the API through a cable that the test can pull out.

mod cable;
mod computer;
mod manners;
mod pays;
mod screen;
mod secrets;
mod shelf;
mod speed;
#[expect(dead_code, clippy::unwrap_used, clippy::panic, reason = "The scenarios of the product use all of it.")]
#[path = "../operations/stage.rs"]
mod stage;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cable::Cable;
use computer::{Computer, given};
use fantoccini::Locator;
use product_tests::plan::Visitor;
use product_tests::{Api, Browser};
use serde_json::Value;
use wire::{DemoPerson, Role};

const ESTIMATE: Locator<'_> = Locator::Css("[data-testid=estimate-total]");
const COPY_STATE: Locator<'_> = Locator::Css("[data-testid=copy-state]");
const NEW_LINK: Locator<'_> = Locator::Css("[data-testid=new-link]");
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0";
const AS_OF: Locator<'_> = Locator::Css("[data-testid=as-of]");

#[tokio::test]
async fn an_agency_sees_its_figures_with_the_network_and_without() -> Result<()> {
    let (agency, estimate_minor) = agency_that_earned().await?;
    let mut cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;

    // One click, and the figure is the API's.
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.shows_estimate(estimate_minor).await?;
    window.shows(AS_OF, "Live").await?;
    window.click(Locator::Css("a[href='#/links']")).await?;
    let make_a_link = Locator::XPath("//button[contains(., 'Make a link')]");
    window.find(make_a_link).await?;

    // The copy is made, and the app has computed from it what the API did.
    window.shows(COPY_STATE, "Verified here").await?;

    // Without the network the pages show what is kept, a link can be made, and it works at once.
    cable.pull_out();
    window.page.refresh().await?;
    window.click(make_a_link).await?;
    let campaign = format!("On a train {}", std::process::id());
    window.find(Locator::Css("form input[maxlength='80']")).await?.send_keys(&campaign).await?;
    window.click(Locator::XPath("//form//button[contains(., 'Make the link')]")).await?;
    let link = window.find(NEW_LINK).await?.attr("title").await?.context("the new link has no address")?;
    window.shows(Locator::Css("main"), "Not sent yet").await?;
    window.shows(COPY_STATE, "1 change to be sent").await?;
    let api = Api::new(&given("AIKIT_API")?, None)?;
    let clicked = api.click(&link, Visitor::Person(BROWSER), &mut Browser::default()).await?;
    ensure!(clicked.contains("utm_campaign="), "the link leads to {clicked}");
    window.page.execute("location.hash = '#/overview'", vec![]).await?;
    window.shows(AS_OF, "Saved copy").await?;
    window.shows_estimate(estimate_minor).await?;

    // The network is back, and the page finds that out by itself.
    cable.plug_in()?;
    window.comes_to_show(AS_OF, "Live").await?;
    // Nobody has pressed anything, and the link has arrived, once, with the click that came before it.
    window.comes_to_show(COPY_STATE, "Verified here").await?;
    let session = api.sign_in(&agency.person).await?;
    let links: Vec<wire::Link> = api.call(Some(&session), "links", &Value::Null).await?;
    let arrived: Vec<&wire::Link> = links.iter().filter(|link| link.campaign == campaign).collect();
    ensure!(matches!(arrived[..], [link] if link.clicks == 1), "{arrived:?}");

    // The app is closed and started again without the network: the keychain and the saved copies carry it.
    window.close(&computer).await?;
    cable.pull_out();
    let window = computer.open_window().await?;
    window.shows_estimate(estimate_minor).await?;
    window.shows(AS_OF, "Saved copy").await?;
    cable.plug_in()?;
    window.page.refresh().await?;
    window.shows(AS_OF, "Live").await?;
    window.shows_estimate(estimate_minor).await?;

    // Signed out, nothing is left of it.
    ensure!(!computer.files_with("estimate")?.is_empty(), "the overview was not saved");
    window.click(Locator::Css("button[title^='Sign out']")).await?;
    window.find(Locator::Css("button[data-person]")).await?;
    let left = computer.files_with("estimate")?;
    ensure!(left.is_empty(), "signing out left figures in {left:?}");
    window.close(&computer).await
}

#[tokio::test]
async fn the_page_reaches_nothing_but_the_app() -> Result<()> {
    let (agency, estimate_minor) = agency_that_earned().await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.shows_estimate(estimate_minor).await?;
    let home = window.page.current_url().await?;

    let kept =
        "return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, Object.keys(window)])";
    let kept = window.page.execute(kept, vec![]).await?.to_string();
    ensure!(!kept.contains("aik_"), "the page holds a token: {kept}");
    ensure!(!kept.contains("__TAURI__"), "the page has the toolkit's whole interface: {kept}");

    // Even a request whose answer the page may not read is not sent.
    let fetched = window.tries("fetch(arguments[0], { mode: 'no-cors' })", &cable.address()).await?;
    ensure!(fetched["failed"].is_string(), "the page itself can reach the network: {fetched}");
    let internals = "window.__TAURI_INTERNALS__.invoke(arguments[0], arguments[0] === 'rpc' ? { cmd: 'open', args: { url: 'file:///etc/passwd' } } : {})";
    for command in [
        "plugin:event|emit",
        "plugin:event|listen",
        "plugin:window|close",
        "plugin:opener|open_url",
        "plugin:path|resolve_directory",
        "plugin:dialog|save",
        "plugin:notification|notify",
        "plugin:autostart|enable",
        "plugin:deep-link|get_current",
        "plugin:deep-link|register",
        "plugin:window-state|save_window_state",
        "plugin:menu|new",
        "plugin:tray|new",
    ] {
        let answer = window.tries(internals, command).await?;
        ensure!(answer["failed"].to_string().contains("not allowed"), "{command}: {answer}");
    }
    let opened = window.tries(internals, "rpc").await?;
    ensure!(opened["failed"].to_string().contains("only https addresses are opened"), "{opened}");

    for leave in [
        "location.href = 'https://example.com/'",
        "window.open('https://example.com/')",
        "location.href = 'data:text/html,gone'",
        "document.body.insertAdjacentHTML('beforeend', '<a id=out href=\"https://example.com/\">x</a>'); document.getElementById('out').click()",
    ] {
        window.page.execute(leave, vec![]).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = window.page.current_url().await?;
        ensure!((now.scheme(), now.host()) == (home.scheme(), home.host()), "`{leave}` led to {now}");
        ensure!(window.page.windows().await?.len() == 1, "`{leave}` opened a window");
    }
    window.shows_estimate(estimate_minor).await?;
    window.close(&computer).await
}

/// The agency whose estimate is the largest, and the estimate as the API says it.
async fn agency_that_earned() -> Result<(DemoPerson, i64)> {
    let api = Api::new(&given("AIKIT_API")?, None)?;
    let mut best: Option<(DemoPerson, i64)> = None;
    for person in api.people().await?.into_iter().filter(|p| p.role == Role::Owner) {
        let session = api.sign_in(&person.person).await?;
        let overview: Value = api.call(Some(&session), "overview", &Value::Null).await?;
        let total_minor = overview["estimate"]["total_minor"].as_i64().context("the overview has no estimate")?;
        if best.as_ref().is_none_or(|(_, most_minor)| total_minor > *most_minor) {
            best = Some((person, total_minor));
        }
    }
    let best = best.context("the demo has no agency")?;
    ensure!(best.1 > 0, "no agency of the demo has earned anything this month");
    Ok(best)
}

/// One of the demo's people in a role.
pub(crate) async fn person_of(role: Role) -> Result<String> {
    let people = Api::new(&given("AIKIT_API")?, None)?.people().await?;
    let person = people.into_iter().find(|p| p.role == role).with_context(|| format!("the demo has no {role:?}"))?;
    Ok(person.person)
}
