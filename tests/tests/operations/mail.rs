//! Agencies are written to.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use wire::{Overview, Preferences, Role};

use crate::stage::Stage;

#[tokio::test]
async fn an_agency_is_written_to_once_and_only_as_it_wants() -> Result<()> {
    let stage = Stage::set("mail").await?;
    let (email, code) =
        ("owner@northlight.example", stage.join("Northlight Studio", "owner@northlight.example").await?);
    let welcome = stage.mail_with(email, "Welcome to AIKit Partners, Northlight Studio").await?;
    ensure!(
        welcome.contains(&code.partner_code) && welcome.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    );
    stage.client(&code.partner_code, "it@harbourpine.example").await?;
    let other = stage.fill_in("Unconnected", "owner@unconnected.example").await?;
    stage.client(&other.partner_code, "it@kestrel.example").await?;
    let first = stage.mail_with(email, "Your first commission: $100.00").await?;
    stage.clock("2026-04-01T06:00:00Z").await?;
    let approved = stage.approve("2026-03").await?;
    stage.send(&approved).await?;
    stage.paid(&approved).await?;
    let sent = stage.mail_with(email, "$300.00 is on its way to you").await?;
    ensure!(sent.contains("March 2026") && sent.contains("tr_"), "{sent}");
    let firsts = stage.mail().into_iter().filter(|m| m.contains(email) && m.contains("first commission"));
    ensure!(firsts.count() == 1, "there is one first commission");

    // One click ends one kind; a changed link ends nothing.
    let link = first.lines().find_map(|l| l.strip_prefix("List-Unsubscribe: <")).context("no link")?;
    let path = &link.trim_end_matches('>')[link.find("/v1/").context("no path")?..];
    let forged = path.replace("kind=milestones", "kind=payouts");
    for refused in [forged.as_str(), &path[..path.len() - 2], "/v1/unsubscribe?person=u_1&kind=payouts&s="] {
        let answer = stage.api.http().post(stage.api.url(refused)).send().await?;
        ensure!(answer.status() == 404, "{refused}: {}", answer.status());
    }
    let owner = stage.person(Role::Owner, "Northlight").await?;
    let preferences: Preferences = stage.get(Some(&owner), "/v1/preferences").await?;
    ensure!(preferences == Preferences { milestones: true, payouts: true, action_needed: true });
    // Looking at it (mail scanners do) ends nothing either.
    let page = stage.api.http().get(stage.api.url(path)).send().await?;
    ensure!(page.status() == 200 && page.text().await?.contains("<form method=post>"));
    ensure!(stage.get::<Preferences>(Some(&owner), "/v1/preferences").await?.milestones);
    // A mail program on the web names its own page.
    let click = stage.api.http().post(stage.api.url(path)).header("origin", "https://mail.example");
    let done = click.body("List-Unsubscribe=One-Click").send().await?;
    ensure!(done.status() == 200);
    let preferences: Preferences = stage.get(Some(&owner), "/v1/preferences").await?;
    ensure!(preferences == Preferences { milestones: false, payouts: true, action_needed: true });
    let wanted = json!({ "milestones": true, "payouts": false });
    stage.post::<Preferences>(Some(&owner), "/v1/preferences", &wanted).await?;
    let refused = json!({ "milestones": true, "payouts": true, "action_needed": false });
    ensure!(stage.post::<Preferences>(Some(&owner), "/v1/preferences", &refused).await.is_err());
    stage.clock("2026-05-01T06:00:00Z").await?;
    let approved = stage.approve("2026-04").await?;
    stage.send(&approved).await?;
    stage.paid(&approved).await?;

    // The agency that never connected Stripe is told, once a run that it was due in has been paid without it.
    let told = stage.mail_with("owner@unconnected.example", "waits for you: one step is missing").await?;
    ensure!(told.contains("$400.00") && !told.contains("List-Unsubscribe"), "{told}");
    ensure!(!stage.mail().iter().any(|m| m.contains("$100.00 is on its way")), "payouts were switched off");
    let overview: Overview =
        stage.api.call(Some(&stage.person(Role::Owner, "Northlight").await?), "overview", &Value::Null).await?;
    ensure!(overview.totals.paid == 40_000, "and yet it was paid");
    Ok(())
}
