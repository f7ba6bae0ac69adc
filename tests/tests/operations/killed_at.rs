//! The real server and the real executor are killed at named points of what they say to each other and to Stripe, one after
//! the other, in a few months of one world: afterwards everybody is paid once, to the cent.
//!
//! A point is a call, a moment of it, and who dies then. None of them leaves a payment that needs a person.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Months, TimeDelta, Utc};
use product_tests::door::{Call, Caught, Moment};
use product_tests::world::Between;
use product_tests::{Api, Door};
use serde_json::{Value, json};
use wire::{DraftRun, Reconcile, Reconciliation, Run, RunState};

use crate::stage::{Stage, at, until};

const AGENCIES: usize = 24;
/// What the client of an agency brings it a month.
const SHARE_MINOR: i64 = 10_000;
const BALANCE_MINOR: i64 = 1_000_000_000;
/// A point is looked for while so many payments of the run are open; the rest of it is left to whoever survived.
const ENOUGH: u32 = 8;
/// The end of a lease, and a little more.
const A_LEASE: TimeDelta = TimeDelta::minutes(3);
/// The clock stands still but for us: an executor that took leases again while its own ran out waits for their end.
const PATIENCE: Duration = Duration::from_secs(2);
const SOON: u32 = 10;
/// Points that must have been reached.
const AT_LEAST: usize = 30;

const fn get(name: &'static str, path: &'static str) -> Call {
    Call { name, method: "GET", path }
}

const fn post(name: &'static str, path: &'static str) -> Call {
    Call { name, method: "POST", path }
}

const GRANTS: Call = get("grants", "/v1/executor/grants");
const CLAIM: Call = post("claim", "/v1/runs/*/claims");
const OBSERVE: Call = post("observe", "/v1/items/*/observations");
const INTENT: Call = post("intent", "/v1/items/*/intents");
const SETTLE: Call = post("settle", "/v1/items/*/settlements");
const STOP: Call = post("stop", "/v1/executor/grants/*/stop");
const DRAFT: Call = post("draft", "/v1/runs");
const SEAL: Call = post("seal", "/v1/runs/*/seal");
const APPROVE: Call = post("approve", "/v1/runs/*/approve");
const SEND: Call = post("send", "/v1/runs/*/send");
const WEBHOOK: Call = post("webhook", "/v1/webhooks/stripe/account");
const ACCOUNT: Call = get("account", "/v1/account");
const BALANCE: Call = get("balance", "/v1/balance");
const LIST: Call = get("list of transfers", "/v1/transfers?transfer_group");
const TRANSFER: Call = post("transfer", "/v1/transfers");
const NEW_ACCOUNT: Call = post("new account", "/v1/accounts");
const BOOKED: Call = get("balance transactions", "/v1/balance_transactions");
/// What is asked of Stripe; everything else is asked of the API.
const OF_STRIPE: [Call; 6] = [ACCOUNT, BALANCE, LIST, TRANSFER, NEW_ACCOUNT, BOOKED];
/// What an executor asks once in a pass, in this order.
const OF_A_PASS: [Call; 4] = [GRANTS, CLAIM, ACCOUNT, BALANCE];
/// What it asks about each payment.
const OF_AN_ITEM: [Call; 5] = [LIST, OBSERVE, INTENT, TRANSFER, SETTLE];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    Executor,
    Server,
    Both,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    call: Call,
    moment: Moment,
    dies: Dies,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dies = match self.dies {
            Dies::Executor => "the executor dies",
            Dies::Server => "the server dies",
            Dies::Both => "both die",
        };
        write!(f, "{}, {}: {dies}", self.call.name, self.moment.name())
    }
}

/// The points while a run is sent.
fn while_sending() -> VecDeque<Point> {
    use Dies::{Both, Executor, Server};
    use Moment::{After, Amid, Before, Half};
    let deaths = [
        (Before, Executor),
        (Amid, Executor),
        (After, Executor),
        (Amid, Both),
        (After, Both),
        (Before, Server),
        (Amid, Server),
        (After, Server),
        (Half, Server),
    ];
    let calls = OF_A_PASS.into_iter().chain(OF_AN_ITEM);
    let all = calls.flat_map(|call| deaths.map(|(moment, dies)| Point { call, moment, dies }));
    let stops = [(Before, Executor), (Amid, Server), (After, Both)];
    all.chain(stops.map(|(moment, dies)| Point { call: STOP, moment, dies })).collect()
}

/// The world, the two doors in it, and what was reached so far.
struct Play {
    stage: Stage,
    api: Door,
    stripe: Door,
    /// What people's browsers ask, through the door.
    people: Api,
    now: DateTime<Utc>,
    agencies: u32,
    reached: Vec<String>,
}

impl Play {
    async fn set(name: &str) -> Result<Play> {
        let mut stage = Stage::set(name).await?;
        let (api, stripe) = (Door::to(&stage.world.address()).await?, Door::to(&stage.world.stripe().url("")).await?);
        stage.world.put_between(Between { api: api.address(), stripe: stripe.address() }).await?;
        stage.world.stripe().set_balance(BALANCE_MINOR).await?;
        let people = Api::new(&api.address(), None)?;
        let now = at("2026-01-05T10:00:00Z");
        Ok(Play { stage, api, stripe, people, now, agencies: 0, reached: Vec::new() })
    }

    /// An agency with a client; where a moment is given, the server dies then, while it makes the agency's account.
    async fn join(&mut self, moment: Option<Moment>) -> Result<()> {
        let n = self.agencies;
        let joined = self.stage.fill_in(&format!("Agency {n:02}"), &format!("owner@agency{n}.example")).await?;
        let (api, url) = (self.stage.api.clone(), joined.onboarding_url.clone());
        if let Some(moment) = moment {
            let asked = async move { api.follow(&url).await };
            ensure!(self.server_dies(NEW_ACCOUNT, moment, asked).await?.is_err(), "a page of the dead");
        }
        let page = self.stage.api.follow(&joined.onboarding_url).await?;
        self.stage.world.stripe().onboard(&page, true).await?.context("it leads nowhere")?;
        self.stage.client(&joined.partner_code, &format!("it@client{n}.example")).await?;
        self.agencies += 1;
        Ok(())
    }

    fn catch(&self, point: Point) -> Caught {
        let door = if OF_STRIPE.contains(&point.call) { &self.stripe } else { &self.api };
        door.catch(point.call, point.moment)
    }

    /// Waits for a point, kills who dies there, and starts the server again.
    async fn kill(&mut self, point: Point, mut caught: Caught) -> Result<()> {
        let mut waits = 0;
        while !caught.reached(PATIENCE).await {
            waits += 1;
            ensure!(waits < SOON, "{point}: not reached");
            self.move_clock(self.now + A_LEASE).await?;
        }
        if point.dies != Dies::Server {
            self.stage.world.kill_executor();
        }
        if point.dies != Dies::Executor {
            self.stage.world.kill_api();
        }
        drop(caught);
        self.stage.world.start_api().await?;
        self.reached.push(point.to_string());
        Ok(())
    }

    /// The server dies at a moment of what somebody asks, who is told nothing then.
    async fn server_dies<T: Send + 'static>(
        &mut self,
        call: Call,
        moment: Moment,
        asked: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<Result<T>> {
        let point = Point { call, moment, dies: Dies::Server };
        let caught = self.catch(point);
        let asked = tokio::spawn(asked);
        self.kill(point, caught).await?;
        Ok(asked.await?)
    }

    async fn move_clock(&mut self, now: DateTime<Utc>) -> Result<()> {
        self.now = now;
        self.stage.world.stripe().move_clock(now).await
    }

    async fn run(&self, run: &str) -> Result<Run> {
        self.stage.api.call(Some(&self.stage.finance().await?), "run", &json!({ "run": run })).await
    }

    /// Finance does something with a run, and the server dies at a moment of it. It was done where it was carried out, it was
    /// not where it was never passed on, and asking once more is right in any case.
    async fn deed(
        &mut self,
        (call, name): (Call, &'static str),
        moment: Moment,
        run: &str,
        to: RunState,
        form: impl Fn(&Run) -> Value,
    ) -> Result<Run> {
        let before = self.run(run).await?;
        let (people, finance, args) = (self.people.clone(), self.stage.finance().await?, form(&before));
        let asked = async move { people.call::<Value>(Some(&finance), name, &args).await };
        let said = self.server_dies(call, moment, asked).await?;
        ensure!(said.is_err(), "{name} was answered by the dead");
        let after = self.run(run).await?;
        let (was, is) = (before.summary.state, after.summary.state);
        match moment {
            Moment::Before => ensure!(is == was, "{name} was not passed on, and the run is {is:?}"),
            Moment::After | Moment::Half => ensure!(is == to, "{name} was carried out, and the run is {is:?}"),
            Moment::Amid => {}
        }
        if is == to {
            return Ok(after);
        }
        self.stage.api.call(Some(&self.stage.finance().await?), name, &form(&after)).await
    }

    /// The month ends. Its run is drafted, sealed, approved and sent, and the server dies in each of them.
    async fn month(&mut self, moment: Moment, expected_minor: i64) -> Result<Run> {
        let period = self.now.format("%Y-%m").to_string();
        let first = self.now.date_naive().format("%Y-%m-01T06:00:00Z").to_string();
        self.now = at(&first) + Months::new(1);
        let (stripe, now) = (self.stage.world.stripe().clone(), self.now);
        self.server_dies(WEBHOOK, moment, async move { stripe.move_clock(now).await }).await??;
        until("every event is received", async || {
            Ok((self.stage.world.stripe().events().await?.pending == 0).then_some(()))
        })
        .await?;
        // A month whose events come late has no draft yet, or one without them: finance drafts it.
        let (people, form) = (self.people.clone(), DraftRun { period });
        let (finance, asked) = (self.stage.finance().await?, form.clone());
        let asked = async move { people.call::<Value>(Some(&finance), "draft_run", &asked).await };
        ensure!(self.server_dies(DRAFT, moment, asked).await?.is_err(), "draft_run was answered by the dead");
        let finance = self.stage.finance().await?;
        let run: Run = self.stage.api.call(Some(&finance), "draft_run", &form).await?;
        ensure!(run.summary.total_minor == expected_minor, "{:?} instead of {expected_minor}", run.summary);
        let drafted = run.summary.run;
        let seal = |run: &Run| json!({ "run": run.summary.run, "version": run.summary.version });
        self.deed((SEAL, "seal_run"), moment, &drafted, RunState::Sealed, seal).await?;
        let approve = |run: &Run| {
            let it = &run.summary;
            json!({ "run": it.run, "run_hash": it.run_hash, "version": it.version, "typed_total_minor": it.total_minor })
        };
        self.deed((APPROVE, "approve_run"), moment, &drafted, RunState::Approved, approve).await?;
        let send = |run: &Run| json!({ "run": run.summary.run, "run_hash": run.summary.run_hash });
        let run = self.deed((SEND, "send_run"), moment, &drafted, RunState::Sending, send).await?;
        ensure!(run.summary.items == self.agencies && run.summary.total_minor == expected_minor, "{run:?}");
        Ok(run)
    }

    /// Kills at a point while a run is sent, and goes on after the leases of the dead.
    async fn strike(&mut self, point: Point, run: &Run) -> Result<()> {
        if !OF_AN_ITEM.contains(&point.call) {
            // What is asked once in a pass is asked by a new executor at once.
            self.stage.world.kill_executor();
        }
        if point.call == STOP {
            self.stage.world.stripe().set_balance(0).await?;
        }
        let caught = self.catch(point);
        self.stage.world.start_executor()?;
        self.kill(point, caught).await?;
        if point.call == STOP {
            self.stage.world.stripe().set_balance(BALANCE_MINOR).await?;
            self.stage.send(run).await?;
        }
        self.move_clock(self.now + A_LEASE).await
    }

    /// The run is sent to its end by whoever lives, and nothing of it has to wait for a person.
    async fn finish(&mut self, run: &Run) -> Result<()> {
        self.stage.world.start_executor()?;
        let mut looks = 0;
        let after = loop {
            let after = self.run(&run.summary.run).await?;
            ensure!(after.progress.review == 0, "a person must look: {:?}", after.progress);
            if after.summary.state == RunState::Done {
                break after;
            }
            looks += 1;
            ensure!(looks < 400, "not paid to the end: {:?}", after.progress);
            tokio::time::sleep(Duration::from_millis(50)).await;
            if looks % 40 == 0 {
                self.move_clock(self.now + A_LEASE).await?;
            }
        };
        self.stage.world.kill_executor();
        let paid = (after.progress.paid, after.summary.paid_minor);
        ensure!(paid == (self.agencies, run.summary.total_minor), "{after:?}");
        Ok(())
    }

    /// What Stripe transferred for each payment.
    async fn transferred(&self) -> Result<BTreeMap<String, Vec<i64>>> {
        let (mut all, mut last) = (BTreeMap::<String, Vec<i64>>::new(), String::new());
        loop {
            let mut query = vec![("limit", "100")];
            query.extend((!last.is_empty()).then_some(("starting_after", last.as_str())));
            let page = self.stage.world.stripe().get("transfers", &query).await?;
            for transfer in page["data"].as_array().context("no list")? {
                let item = transfer["metadata"]["item"].as_str().context("a transfer for nothing")?;
                let amount = transfer["amount"].as_i64().context("no amount")?;
                all.entry(item.to_owned()).or_default().push(amount);
            }
            let id = page["data"].as_array().and_then(|data| data.last()?["id"].as_str().map(str::to_owned));
            match id.filter(|_| page["has_more"] == json!(true)) {
                Some(id) => last = id,
                None => return Ok(all),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_every_named_point_the_product_pays_everybody_once() -> Result<()> {
    let mut play = Play::set("killed-at").await?;
    let moments = [Moment::Before, Moment::Amid, Moment::After, Moment::Half];
    for n in 0..AGENCIES {
        play.join(moments.get(n).copied()).await?;
    }
    let mut moments = moments.into_iter().cycle();
    // The first run is March's; the clients pay for it on the fifth.
    play.move_clock(at("2026-03-01T06:00:00Z")).await?;
    let mut rest = while_sending();
    let (agencies, mut months) = (i64::from(play.agencies), 0);
    while months < 4 || !rest.is_empty() {
        let share = if months == 0 { 3 * SHARE_MINOR } else { SHARE_MINOR };
        let run = play.month(moments.next().context("no moment")?, agencies * share).await?;
        while let Some(point) = rest.front().copied() {
            if play.run(&run.summary.run).await?.progress.paid + ENOUGH > play.agencies {
                break;
            }
            play.strike(point, &run).await?;
            rest.pop_front();
        }
        play.finish(&run).await?;
        months += 1;
    }
    for moment in [Moment::Before, Moment::Amid, Moment::After] {
        let (api, finance) = (play.stage.api.clone(), play.stage.finance().await?);
        let asked = async move { api.call::<Value>(Some(&finance), "reconcile", &Reconcile { days: 400 }).await };
        play.server_dies(BOOKED, moment, asked).await?.ok();
    }

    let total = agencies * SHARE_MINOR * (months + 2);
    let finance = play.stage.finance().await?;
    let it: Reconciliation = play.stage.api.call(Some(&finance), "reconcile", &Reconcile { days: 400 }).await?;
    ensure!(it.found == 0 && it.others == 0 && i64::from(it.transfers) == agencies * months, "{it:?}");
    ensure!([it.recorded_minor, it.transferred_minor, it.booked_minor] == [total; 3], "{it:?} instead of {total}");
    let transferred = play.transferred().await?;
    play.stage.world.stop_api();
    let database = rusqlite::Connection::open(play.stage.world.api_data().join("referral.db"))?;
    let mut items = database.prepare(
        "SELECT i.id, i.amount_minor, i.state, (SELECT body->>'amount_minor' FROM fact WHERE id = 'payout_paid:' || i.id)
         FROM run_item i",
    )?;
    let mut items_seen = 0;
    let mut rows = items.query([])?;
    while let Some(row) = rows.next()? {
        let (item, amount, state): (String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let posted: Option<i64> = row.get(3)?;
        // Nothing waits for a person, either.
        ensure!(state == "paid" && posted == Some(amount), "{item} is {state}: {posted:?} of {amount}");
        let there = transferred.get(&item);
        ensure!(there.is_some_and(|amounts| amounts[..] == [amount]), "{item}: {there:?} of {amount}");
        items_seen += 1;
    }
    ensure!(items_seen == transferred.len(), "{items_seen} payments, {} transfers", transferred.len());
    let whole: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    ensure!(whole == "ok", "{whole}");
    let data = play.stage.world.api_data();
    play.stage.world.operator(&["audit", "verify", "--data", &data.to_string_lossy()])?;

    println!("{}", play.reached.join("\n"));
    println!("killed at {} points in {months} months", play.reached.len());
    for point in while_sending() {
        ensure!(play.reached.contains(&point.to_string()), "{point}: not reached");
    }
    let different: BTreeSet<&String> = play.reached.iter().collect();
    ensure!(different.len() >= AT_LEAST, "{} points", different.len());
    Ok(())
}

/// Both die when Stripe has made the transfer; what is known of it afterwards.
async fn a_transfer_of_which_nobody_heard(name: &str, webhooks: bool) -> Result<()> {
    let mut play = Play::set(name).await?;
    play.join(None).await?;
    play.move_clock(at("2026-03-01T06:00:00Z")).await?;
    let run = play.month(Moment::Before, 3 * SHARE_MINOR).await?;
    if !webhooks {
        play.stage.world.tell_only(&["invoice.paid"]);
    }
    play.strike(Point { call: TRANSFER, moment: Moment::After, dies: Dies::Both }, &run).await?;
    // Stripe has forgotten the key, and the grant has ended.
    play.move_clock(play.now + TimeDelta::hours(30)).await?;
    if !webhooks {
        // The server may look before an executor does.
        let sent = play.stage.send(&run).await;
        if play.run(&run.summary.run).await?.summary.state != RunState::Done {
            sent?;
        }
    }
    play.finish(&run).await?;
    let transferred: Vec<Vec<i64>> = play.transferred().await?.into_values().collect();
    ensure!(transferred == [[3 * SHARE_MINOR]], "{transferred:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_of_which_nobody_heard_is_found_when_its_key_is_forgotten() -> Result<()> {
    a_transfer_of_which_nobody_heard("killed-late", false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_of_which_nobody_heard_is_told_by_stripe() -> Result<()> {
    a_transfer_of_which_nobody_heard("killed-told", true).await
}
