//! AIKit is told what happens.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::DateTime;
use serde_json::{Value, json};
use wire::{Role, WebhookDelivery};

use crate::receiver::{Came, Does, Receiver, is_signed};
use crate::stage::{Stage, until};

pub(crate) const SECRET: &str = "whsec_receiver_0123456789abcdef";
const OLD_SECRET: &str = "whsec_receiver_before_it_was_rotated";

#[tokio::test]
async fn aikit_is_told_everything_however_its_endpoint_behaves() -> Result<()> {
    let mut stage = Stage::set("told").await?;
    // A redirect counts as a failure and is not followed; of two endpoints one is always well.
    let faults = [Does::Fail, Does::Redirect, Does::Reset, Does::TakeAndReset, Does::Hang, Does::Fail];
    let (faulty, well) = (Receiver::open(&faults).await?, Receiver::open(&[]).await?);
    let settings = format!(
        "[[webhooks]]\nname = 'faulty'\nurl = 'http://{}/hook'\n\n[[webhooks]]\nname = 'well'\nurl = 'http://{}/'\nevents = ['payout.paid', 'referral.created']\n",
        faulty.address, well.address
    );
    let env = vec![
        ("WEBHOOK_SECRET_FAULTY", SECRET.to_owned()),
        ("WEBHOOK_SECRET_FAULTY_OLD", OLD_SECRET.to_owned()),
        ("WEBHOOK_SECRET_WELL", "whsec_another_0123456789abcdef".to_owned()),
    ];
    stage.world.configure(&settings, env).await?;
    let joined = stage.join("Northlight Studio", "owner@northlight.example").await?;
    let referral = stage.client(&joined.partner_code, "it@harbourpine.example").await?;
    stage.clock("2026-04-01T06:00:00Z").await?;
    let approved = stage.approve("2026-03").await?;
    stage.send(&approved).await?;
    stage.paid(&approved).await?;

    // Each fault costs a try; the clock moves on to the next ones.
    let mut minutes = 0;
    let payout = format!("payout.paid:{}", approved.items[0].item);
    let finance = loop {
        let finance = stage.finance().await?;
        let left: Vec<WebhookDelivery> = stage.get(Some(&finance), "/v1/webhook-deliveries?state=due").await?;
        if left.is_empty() && faulty.taken().contains_key(&payout) {
            break finance;
        }
        ensure!(minutes < 120, "{left:?}");
        minutes += 1;
        stage.clock(&format!("2026-04-01T{:02}:{:02}:00Z", 6 + minutes / 60, minutes % 60)).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let taken = faulty.taken();
    let ids: BTreeSet<&str> = taken.keys().map(String::as_str).collect();
    let invoices: BTreeSet<&str> = ids.iter().copied().filter(|id| id.starts_with("commission.earned:in_")).collect();
    ensure!(invoices.len() == 3, "{ids:?}");
    let others: Vec<&str> = ids.difference(&invoices).copied().collect();
    let (created, partner) =
        (format!("referral.created:{referral}"), format!("partner.joined:{}", joined.partner_code));
    ensure!(others == [partner.as_str(), payout.as_str(), created.as_str()], "{others:?}");
    // Only where an answer was lost did one come twice.
    let lost = faulty.came().iter().filter(|(does, _)| *does == Does::TakeAndReset).count();
    ensure!(taken.values().map(|(n, _)| n - 1).sum::<usize>() == lost && lost == 1, "{taken:?}");
    ensure!(faulty.came().len() == 6 + faults.len(), "every fault was met: {}", faulty.came().len());
    let (_, event) = &taken[&payout];
    ensure!(
        event["data"]["amount_minor"] == 30_000 && event["data"]["partner"] == json!(joined.partner_code),
        "{event}"
    );
    ensure!(event["data"]["transfer"].as_str().is_some_and(|t| t.starts_with("tr_")) && event["livemode"] == false);
    let (_, event) = &taken[created.as_str()];
    ensure!(event["data"]["customer"] == "aikit-it-harbourpine.example", "{event}");
    let (_, earned) = &taken[*invoices.first().unwrap()];
    ensure!(earned["data"]["amount_minor"] == 10_000 && earned["data"]["lines"][0]["why"].is_string(), "{earned}");
    // Signed for both secrets, by nobody else's, and with a time.
    for (_, came) in faulty.came() {
        let now = DateTime::from_timestamp(came.signature[2..].split(',').next().unwrap().parse()?, 0).unwrap();
        ensure!(is_signed(&came, SECRET, now) && is_signed(&came, OLD_SECRET, now), "{}", came.signature);
        ensure!(!is_signed(&came, "whsec_another_0123456789abcdef", now));
        ensure!(!is_signed(&Came { body: came.body.replace("partner", "Partner"), ..came.clone() }, SECRET, now));
    }
    // The other endpoint was not held up, and was told what it asked for.
    let told: Vec<String> = well.taken().into_keys().collect();
    ensure!(told == [payout.as_str(), created.as_str()], "{told:?}");

    // The log says how each went, and sends again.
    let log: Vec<WebhookDelivery> = stage.get(Some(&finance), "/v1/webhook-deliveries?endpoint=faulty").await?;
    ensure!(
        log.len() == 6 && log.iter().any(|d| d.attempts > 1) && log.iter().all(|d| d.delivered_at.is_some()),
        "{log:?}"
    );
    let one = log.iter().find(|d| d.event == payout).context("not in the log")?;
    let _due: Value =
        stage.post(Some(&finance), &format!("/v1/webhook-deliveries/{}/resend", one.delivery), &json!({})).await?;
    until("the second delivery", async || Ok((faulty.taken()[&payout].0 >= 2).then_some(()))).await?;
    let data = stage.world.api_data().to_string_lossy().into_owned();
    let listed = stage.world.operator(&["webhooks", "list", "--data", &data])?;
    ensure!(listed.contains(&payout) && listed.contains("delivered"), "{listed}");
    // An agency is no staff.
    let owner = stage.person(Role::Owner, "Northlight").await?;
    ensure!(stage.get::<Value>(Some(&owner), "/v1/webhook-deliveries").await.is_err());
    Ok(())
}
