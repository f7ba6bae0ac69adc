//! The real server is killed at random instants under load, and started again: what it answered is there, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use product_tests::dice::Dice;
use product_tests::{Api, Browser};
use serde_json::json;
use wire::{Health, Session, SignUp};

use crate::stage::{PERSON, Stage, until};

/// A click is on disk within this time of its answer.
const SOON: Duration = Duration::from_secs(1);

/// What was asked of the server, in one kind of request.
#[derive(Default)]
struct Asked {
    /// The number of the next one; one that was not answered is asked again under its old number.
    next: Mutex<(u32, Vec<u32>)>,
    answered: Mutex<Vec<u32>>,
}

impl Asked {
    fn take(&self) -> u32 {
        let mut next = self.next.lock().unwrap();
        next.1.pop().unwrap_or_else(|| {
            next.0 += 1;
            next.0
        })
    }

    fn is(&self, number: u32, answered: bool) {
        if answered {
            self.answered.lock().unwrap().push(number);
        } else {
            self.next.lock().unwrap().1.push(number);
        }
    }

    fn answered(&self) -> Vec<u32> {
        self.answered.lock().unwrap().clone()
    }
}

/// Everybody who asks.
struct Load {
    api: Api,
    owner: Session,
    code: String,
    secret: String,
    now_s: i64,
    webhooks: Asked,
    signups: Asked,
    links: Asked,
    /// Ids of clicks, and when they were answered.
    clicks: Mutex<Vec<(String, Instant)>>,
    stop: AtomicBool,
}

impl Load {
    async fn webhook(&self, n: u32) -> Result<()> {
        let subscription = json!({"id": format!("sub_k{n}"), "customer": format!("cus_k{n}"), "status": "active", "currency": "usd",
            "start_date": self.now_s, "items": {"data": [{"quantity": 1, "price": {"unit_amount": 9_900, "recurring": {"interval": "month"}}}]}});
        let event = json!({"id": format!("evt_k{n}"), "object": "event", "type": "customer.subscription.created", "livemode": false,
            "created": self.now_s, "data": {"object": subscription}})
        .to_string();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(format!("{}.{event}", self.now_s).as_bytes());
        let signature = format!("t={},v1={}", self.now_s, hex::encode(mac.finalize().into_bytes()));
        let url = self.api.url("/v1/webhooks/stripe/account");
        let answer = self.api.http().post(url).header("stripe-signature", signature).body(event).send().await?;
        let status = answer.status();
        ensure!(status == 200, "{status}: {}", answer.text().await?);
        Ok(())
    }

    async fn sign_up(&self, n: u32) -> Result<()> {
        let form = SignUp {
            customer_id: format!("k{n}"),
            email: format!("it@k{n}.example"),
            partner_code: Some(self.code.clone()),
            stripe_customer_id: Some(format!("cus_k{n}")),
            ..SignUp::default()
        };
        self.api.sign_up(&form).await?.referral_id.context("nobody is credited").map(drop)
    }

    async fn link(&self, n: u32) -> Result<()> {
        let form = json!({"id": link_id(n), "campaign": format!("No. {n}"), "path": "/"});
        self.api.call::<wire::Link>(Some(&self.owner), "create_link", &form).await.map(drop)
    }

    async fn click(&self) -> Result<()> {
        let mut browser = Browser::default();
        self.api.click(&self.api.url(&format!("/r/{}", self.code)), PERSON, &mut browser).await?;
        let id = browser.cookie("ref_click").context("no cookie")?.to_owned();
        self.clicks.lock().unwrap().push((id, Instant::now()));
        Ok(())
    }

    /// One of several that ask until they are told to stop.
    async fn go_on(self: Arc<Self>, kind: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            let answered = match kind {
                0 => {
                    let n = self.webhooks.take();
                    let answered = self.webhook(n).await.is_ok();
                    self.webhooks.is(n, answered);
                    answered
                }
                1 => {
                    let n = self.signups.take();
                    let answered = self.sign_up(n).await.is_ok();
                    self.signups.is(n, answered);
                    answered
                }
                2 => {
                    let n = self.links.take();
                    let answered = self.link(n).await.is_ok();
                    self.links.is(n, answered);
                    answered
                }
                _ => self.click().await.is_ok(),
            };
            if !answered {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

fn link_id(n: u32) -> String {
    format!("{n:08}-0000-4000-8000-000000000000")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_outlives_a_kill_and_is_there_once() -> Result<()> {
    let kills: usize = std::env::var("KILLS").ok().map_or(Ok(20), |text| text.parse())?;
    let mut stage = Stage::set("killed").await?;
    stage.world.configure("[limits]\nrequests_per_second = 100000\nburst = 100000\n", Vec::new()).await?;
    let joined = stage.join("Northlight", "owner@northlight.example").await?;
    let owner = stage.person(wire::Role::Owner, "Northlight").await?;
    let load = Arc::new(Load {
        api: stage.world.api()?,
        owner,
        code: joined.partner_code,
        secret: stage.world.webhook_secret("account"),
        now_s: crate::stage::at("2026-01-05T10:00:00Z").timestamp(),
        webhooks: Asked::default(),
        signups: Asked::default(),
        links: Asked::default(),
        clicks: Mutex::default(),
        stop: AtomicBool::new(false),
    });
    let mut dice = Dice::of("kills");
    let mut clicks = BTreeSet::new();
    for round in 0..kills {
        load.stop.store(false, Ordering::Relaxed);
        let all: Vec<_> = (0..8).map(|n| tokio::spawn(load.clone().go_on(n % 4))).collect();
        // Mostly soon, and now and then so late that clicks have had their second.
        let most = if round % 4 == 0 { 1_600 } else { 300 };
        tokio::time::sleep(Duration::from_millis(u64::from(dice.between(20, most)))).await;
        stage.world.kill_api();
        let killed = Instant::now();
        load.stop.store(true, Ordering::Relaxed);
        for one in all {
            one.await?;
        }
        let answered = std::mem::take(&mut *load.clicks.lock().unwrap());
        clicks.extend(answered.into_iter().filter(|(_, at)| *at + SOON < killed).map(|(id, _)| id));
        stage.world.start_api().await?;
    }
    until("what was stored is read", async || {
        let health: Health = stage.get(None, "/healthz").await?;
        Ok((health.inbox.waiting == 0).then_some(()))
    })
    .await?;
    stage.world.stop_api();

    let database = rusqlite::Connection::open(stage.world.api_data().join("referral.db"))?;
    let counted = |sql: &str| -> Result<BTreeMap<String, usize>> {
        let mut all = BTreeMap::new();
        for text in database.prepare(sql)?.query_map([], |row| row.get::<_, String>(0))? {
            *all.entry(text?).or_default() += 1;
        }
        Ok(all)
    };
    let once = |all: &BTreeMap<String, usize>, id: String| -> Result<()> {
        ensure!(all.get(&id) == Some(&1), "{id} was answered and is there {:?} times", all.get(&id));
        Ok(())
    };
    let waiting = counted("SELECT id FROM inbox WHERE state = 'received'")?;
    ensure!(waiting.is_empty(), "every event was gone through: {waiting:?}");
    let (inbox, customers) = (counted("SELECT id FROM inbox")?, counted("SELECT id FROM customer")?);
    let (links, stored) = (counted("SELECT id FROM link")?, counted("SELECT id FROM click")?);
    let facts = counted("SELECT id FROM fact")?;
    let referrals = counted("SELECT json_extract(body, '$.referral') FROM fact WHERE id LIKE 'referral_created:%'")?;
    let (webhooks, signups) = (load.webhooks.answered(), BTreeSet::from_iter(load.signups.answered()));
    for n in &webhooks {
        once(&inbox, format!("evt_k{n}"))?;
        if signups.contains(n) {
            once(&facts, format!("subscription_started:sub_k{n}"))?;
        }
    }
    for n in &signups {
        once(&customers, format!("k{n}"))?;
    }
    ensure!(referrals.values().all(|times| *times == 1), "a referral was made twice");
    ensure!(referrals.len() == customers.len(), "each sign-up has one referral");
    for n in load.links.answered() {
        once(&links, link_id(n))?;
    }
    let lost = clicks.iter().filter(|id| !stored.contains_key(*id)).count();
    ensure!(lost == 0, "of {} clicks that were a second old {lost} are lost", clicks.len());
    ensure!(webhooks.len() > kills && signups.len() > kills && clicks.len() > kills, "there was no load to speak of");

    let data = stage.world.api_data();
    stage.world.operator(&["audit", "verify", "--data", &data.to_string_lossy()])?;
    stage.world.operator(&["inbox", "replay", "--data", &data.to_string_lossy()])?;
    eprintln!(
        "{kills} kills: {} webhooks, {} sign-ups, {} links, {} clicks that were a second old",
        webhooks.len(),
        signups.len(),
        load.links.answered().len(),
        clicks.len()
    );
    Ok(())
}
