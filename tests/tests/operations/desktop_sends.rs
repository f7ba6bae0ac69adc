//! Finance sends a run from its own computer, with a key that only its keychain has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, ensure};
use desk::{Config, Desk, ErrorBody, Host, SecretStore, StoreFault};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use wire::{Reconcile, Reconciliation, Role};

use crate::stage::{Stage, at, until};

const AGENCIES: usize = 5;
const KEY: &str = "rk_test_of_this_computer";

/// A keychain, or one that cannot be used.
#[derive(Default)]
struct Keychain {
    entries: Mutex<HashMap<String, String>>,
    broken: bool,
}

impl Keychain {
    fn usable(&self) -> Result<(), StoreFault> {
        if self.broken { Err(StoreFault("none is running".into())) } else { Ok(()) }
    }
}

impl SecretStore for Keychain {
    fn get(&self, name: &str) -> Result<Option<SecretString>, StoreFault> {
        self.usable()?;
        Ok(self.entries.lock().unwrap().get(name).map(|text| text.clone().into()))
    }

    fn set(&self, name: &str, secret: &SecretString) -> Result<(), StoreFault> {
        self.usable()?;
        self.entries.lock().unwrap().insert(name.into(), secret.expose_secret().into());
        Ok(())
    }

    fn delete(&self, name: &str) -> Result<(), StoreFault> {
        self.usable()?;
        self.entries.lock().unwrap().remove(name);
        Ok(())
    }
}

fn computer(stage: &Stage, name: &str, keychain: &Arc<Keychain>) -> Result<Desk> {
    let config = Config::new(Some(&stage.world.address()), stage.folder.join(name))?
        .with_stripe(Some(stage.world.stripe().url("")));
    let host = Host {
        version: "1.0.0".into(),
        open: Box::new(|_| Ok(())),
        downloads: stage.folder.clone(),
        shell: std::sync::Arc::new(()),
    };
    Ok(Desk::open(config, host, keychain.clone())?)
}

async fn ask(desk: &Desk, cmd: &str, args: Value) -> Result<Value, ErrorBody> {
    desk.dispatch(cmd, args).await
}

fn said(error: &ErrorBody) -> anyhow::Error {
    anyhow::anyhow!(error.message.clone())
}

async fn done(desk: &Desk) -> Result<Value> {
    until("this computer to end", async || {
        let sending = ask(desk, "sending_here", Value::Null).await.map_err(|e| said(&e))?;
        Ok((sending["at_work"] == false).then_some(sending))
    })
    .await
}

#[tokio::test]
async fn finance_sends_from_its_own_computer_with_the_key_of_its_keychain() -> Result<()> {
    let mut stage = Stage::set("desktop-sends").await?;
    stage.world.kill_executor();
    for n in 0..AGENCIES {
        let joined = stage.join(&format!("Agency {n}"), &format!("owner@agency{n}.example")).await?;
        stage.client(&joined.partner_code, &format!("it@client{n}.example")).await?;
    }
    stage.world.stripe().move_clock(at("2026-04-01T06:00:00Z")).await?;
    let approved = stage.approve("2026-03").await?;
    let run = json!({ "run": approved.summary.run });
    let people = stage.api.people().await?;
    let finance = people.iter().find(|p| p.role == Role::Finance).context("no finance")?;
    let keychain = Arc::new(Keychain::default());
    let desk = computer(&stage, "one", &keychain)?;

    // Nobody is signed in; then there is no key; then nothing may be sent.
    ensure!(ask(&desk, "money_key", Value::Null).await.is_err());
    let person = json!({ "person": finance.person });
    ask(&desk, "sign_in_demo", person.clone()).await.map_err(|e| said(&e))?;
    let refused = ask(&desk, "send_here", run.clone()).await.unwrap_err();
    ensure!(refused.message.contains("no key"), "{refused:?}");
    for (key, says) in [("hunter2", "key"), ("sk_live_of_everything", "restricted key"), ("rk_live_real_money", "")] {
        let refused = ask(&desk, "keep_money_key", json!({ "key": key })).await.unwrap_err();
        ensure!(refused.message.contains(says) && !refused.message.contains(key), "{refused:?}");
    }
    let key = ask(&desk, "keep_money_key", json!({ "key": KEY })).await.map_err(|e| said(&e))?;
    ensure!(
        key["present"] == true && key["kept"] == true && key["live"] == false && key["ends_with"] == "uter",
        "{key}"
    );
    ensure!(!key.to_string().contains(KEY), "the key itself is never shown");
    ask(&desk, "send_here", run.clone()).await.map_err(|e| said(&e))?;
    let idle = done(&desk).await?;
    ensure!(idle["paid"] == 0 && idle["ended"].as_str().is_some_and(|why| why.contains("Nobody may send")), "{idle}");

    stage.send(&approved).await?;
    ask(&desk, "send_here", run.clone()).await.map_err(|e| said(&e))?;
    let sent = done(&desk).await?;
    ensure!(sent["paid"] == AGENCIES && sent["paid_minor"] == approved.summary.total_minor, "{sent}");
    ensure!(sent["ended"] == "Everything is sent that can be sent.", "{sent}");
    stage.paid(&approved).await?;
    let session = stage.finance().await?;
    let it: Reconciliation = stage.api.call(Some(&session), "reconcile", &Reconcile { days: 400 }).await?;
    ensure!(it.found == 0 && it.recorded_minor == approved.summary.total_minor, "{it:?}");

    // It is there after a restart, and gone with the person.
    drop(desk);
    let desk = computer(&stage, "one", &keychain)?;
    ask(&desk, "resume", Value::Null).await.map_err(|e| said(&e))?;
    ensure!(ask(&desk, "money_key", Value::Null).await.map_err(|e| said(&e))? == key);
    ask(&desk, "sign_out", Value::Null).await.map_err(|e| said(&e))?;
    ensure!(keychain.entries.lock().unwrap().is_empty(), "nothing is left in the keychain");

    // Without a keychain it is in memory only, and an agency cannot send at all.
    let without = Arc::new(Keychain { broken: true, ..Keychain::default() });
    let desk = computer(&stage, "two", &without)?;
    ask(&desk, "sign_in_demo", person).await.map_err(|e| said(&e))?;
    let key = ask(&desk, "keep_money_key", json!({ "key": KEY })).await.map_err(|e| said(&e))?;
    ensure!(key["present"] == true && key["kept"] == false, "{key}");
    let agency = people.iter().find(|p| p.role == Role::Owner);
    let agency = match agency {
        Some(agency) => agency.clone(),
        None => stage.api.people().await?.into_iter().find(|p| p.role == Role::Owner).context("no owner")?,
    };
    ask(&desk, "sign_in_demo", json!({ "person": agency.person })).await.map_err(|e| said(&e))?;
    ensure!(
        ask(&desk, "money_key", Value::Null).await.map_err(|e| said(&e))?["present"] == false,
        "it is another person's"
    );
    ask(&desk, "keep_money_key", json!({ "key": KEY })).await.map_err(|e| said(&e))?;
    ask(&desk, "send_here", run).await.map_err(|e| said(&e))?;
    let refused = done(&desk).await?;
    ensure!(refused["ended"].as_str().is_some_and(|why| why.contains("Only finance")), "{refused}");
    Ok(())
}
