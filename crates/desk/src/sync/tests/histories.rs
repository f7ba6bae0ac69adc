//! Random histories: two computers of one agency and the real API, with crashes, lost replies, deliveries that come twice,
//! writes between pages, referrals that move, records that are forgotten, and databases that are turned back.
//!
//! What must hold: a copy is always a state of the database that existed; in the end every copy is the database; what was done
//! was done once; no link is lost, but for those that a restored backup does not have.

mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use referral::sql;
use serde_json::{Value, json};
use wire::{Account, Mutation, PartnerName, Pushing, Role};

use super::town::{Backup, OTHER, OURS, Town};
use crate::clock::uuid_v7;
use crate::sync::copy::Design;
use crate::sync::keeper::{Keeper, UNTRUSTED};
use crate::sync::outbox::Act;
use crate::sync::pages::answer;
use crate::sync::proof::VerifiedState;
use crate::sync::pull::Trouble;

use line::Line;
pub(super) use line::at_once;

/// A design that is to be found out, or the one of the product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) copy: Design,
    /// The API does not look whether it remembers all that went since.
    pub(super) no_floor: bool,
    /// Nor whether it is the database that the copy is of.
    pub(super) no_epoch: bool,
    /// Each sending of an act is another act.
    pub(super) no_mutation_id: bool,
}

/// Random numbers that are the same each time (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `sides`.
    pub(super) fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(sides).unwrap()).unwrap()
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

type Records = BTreeMap<(String, String), String>;

/// What the links must be, by who did what when.
#[derive(Clone, Default)]
struct Model {
    /// Campaign, and whether it is out of the list.
    links: BTreeMap<String, (String, bool)>,
    /// Acts that were done or refused, and when, as long as the API remembers.
    settled: BTreeMap<String, DateTime<Utc>>,
    referrals: Vec<String>,
}

struct World<'a> {
    town: &'a Town,
    dice: Mutex<Dice>,
    model: Mutex<Model>,
    backups: Mutex<Vec<(Backup, Model)>>,
    /// Links that a restored backup does not have.
    lost: Mutex<BTreeSet<String>>,
    folder: PathBuf,
    variant: Variant,
    ids: Mutex<u64>,
}

/// One computer.
struct Device {
    number: usize,
    keeper: Arc<Keeper>,
}

fn account() -> Account {
    Account {
        user: "ours".into(),
        email: "o@ours.example".into(),
        role: Role::Owner,
        partner: Some(PartnerName { code: OURS.into(), name: "ours".into() }),
        auth_at: DateTime::UNIX_EPOCH,
    }
}

pub(super) fn open(folder: &Path, number: usize, now: DateTime<Utc>, design: Design) -> Arc<Keeper> {
    let (copy, outbox) = (folder.join(format!("copy-{number}.db")), folder.join(format!("outbox-{number}.db")));
    let keeper = Keeper::open("api ours", &account(), Some(&copy), &outbox, now).unwrap();
    if let Some(copy) = keeper.copy.lock().unwrap().as_mut() {
        copy.design = design;
    }
    Arc::new(keeper)
}

impl World<'_> {
    fn roll(&self, sides: usize) -> usize {
        self.dice.lock().unwrap().below(sides)
    }

    fn percent(&self, chance: usize) -> bool {
        self.dice.lock().unwrap().percent(chance)
    }

    fn uuid(&self) -> String {
        let mut ids = self.ids.lock().unwrap();
        *ids += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&ids.to_be_bytes());
        uuid_v7(self.town.now(), random)
    }

    fn some_link(&self) -> Option<String> {
        let links: Vec<String> = self.model.lock().unwrap().links.keys().cloned().collect();
        (!links.is_empty()).then(|| links[self.roll(links.len())].clone())
    }

    /// Somebody else does something.
    async fn write(&self) {
        // Two moves of one instant have no order.
        self.town.pass(TimeDelta::milliseconds(1));
        let now = self.town.now();
        let (ms, at) = (now.timestamp_millis(), now.to_rfc3339());
        match self.roll(8) {
            0 | 1 => {
                let link = self.some_link().filter(|_| self.percent(70));
                let insert = "INSERT INTO click (id, partner, link, at_ms, kind, given, previous) VALUES (?1, ?2, ?3, ?4, 'person', 'x', NULL)";
                self.town.sql(sql!(insert, self.uuid(), OURS, link, ms)).await;
            }
            2 => {
                let (id, campaign) = (self.uuid(), format!("web {}", self.roll(100)));
                let form = json!({"id": id, "campaign": campaign, "path": "/pricing", "utm": {}});
                self.town.ask("ours", "POST", "/v1/links", form).await.unwrap();
                self.model.lock().unwrap().links.insert(id, (campaign, false));
            }
            3 => {
                let Some(link) = self.some_link() else { return };
                let campaign = format!("web again {}", self.roll(100));
                let path = format!("/v1/links/{link}");
                self.town.ask("ours", "POST", &path, json!({ "campaign": campaign })).await.unwrap();
                self.model.lock().unwrap().links.get_mut(&link).unwrap().0 = campaign;
            }
            4 => {
                let id = self.uuid();
                let partner = if self.percent(80) { OURS } else { OTHER };
                let insert = "INSERT INTO referral (id, partner, email, signed_up_ms, click, rule) VALUES (?1, ?2, ?1 || '@c.example', ?3, NULL, 'partner_code')";
                self.town.sql(sql!(insert, &id, partner, ms)).await;
                self.fact(&id, json!({"id": format!("c-{id}"), "at": at, "type": "referral_created", "referral": id, "partner": partner})).await;
                self.fact(&id, json!({"id": format!("s-{id}"), "at": at, "type": "subscription_started", "subscription": format!("s-{id}"),
                    "referral": id, "interval": "month", "amount_minor": 50_000})).await;
                self.model.lock().unwrap().referrals.push(id);
            }
            5 => {
                let Some(id) = self.some_referral() else { return };
                let n = self.uuid();
                self.fact(&id, json!({"id": format!("i-{n}"), "at": at, "type": "invoice_paid", "invoice": n, "subscription": format!("s-{id}"),
                    "amount_minor": 50_000})).await;
            }
            6 => {
                let Some(id) = self.some_referral() else { return };
                let to = if self.percent(40) { OURS } else { OTHER };
                // As a correction of a credit does it.
                self.town
                    .sql(sql!("INSERT INTO referral_was (referral, partner) SELECT id, partner FROM referral WHERE id = ?1 ON CONFLICT DO NOTHING", &id))
                    .await;
                self.town.sql(sql!("UPDATE referral SET partner = ?2 WHERE id = ?1", &id, to)).await;
                self.fact(&id, json!({"id": format!("m-{}", self.uuid()), "at": at, "type": "referral_moved", "referral": id, "partner": to,
                    "reason": "The other agency brought it."})).await;
            }
            _ => {
                let (code, name) = (if self.percent(70) { OURS } else { OTHER }, format!("Agency {}", self.roll(100)));
                self.town.sql(sql!("UPDATE partner SET name = ?2 WHERE code = ?1", code, name)).await;
            }
        }
    }

    fn some_referral(&self) -> Option<String> {
        let referrals = self.model.lock().unwrap().referrals.clone();
        (!referrals.is_empty()).then(|| referrals[self.roll(referrals.len())].clone())
    }

    async fn fact(&self, referral: &str, body: Value) {
        let id = body["id"].as_str().unwrap();
        let insert = "INSERT INTO fact (id, referral, body) VALUES (?1, ?2, ?3)";
        self.town.sql(sql!(insert, id, referral, body.to_string())).await;
    }

    /// The database is turned back to a backup.
    async fn restore(&self, devices: &[Arc<Keeper>]) {
        let count = self.backups.lock().unwrap().len();
        if count == 0 {
            return;
        }
        let (backup, model) = self.backups.lock().unwrap().swap_remove(self.roll(count));
        self.town.restore(&backup, self.percent(50)).await;
        // What waits on a computer comes back.
        let waiting: BTreeSet<String> =
            devices.iter().flat_map(|d| d.acts()).map(|act| act.text("id").to_owned()).collect();
        let mut now = self.model.lock().unwrap();
        let gone = now.links.keys().filter(|id| !model.links.contains_key(*id) && !waiting.contains(*id));
        self.lost.lock().unwrap().extend(gone.cloned());
        *now = model;
    }

    /// What an act comes to, the first time that it is done.
    fn done(&self, act: &Mutation, outcome: &Pushing) {
        let mut model = self.model.lock().unwrap();
        let known = model.settled.insert(act.mid.clone(), self.town.now());
        if let Some(first) = known {
            model.settled.insert(act.mid.clone(), first);
        }
        if known.is_some() || matches!(outcome, Pushing::Rejected { .. }) {
            return;
        }
        let text = |name: &str| act.args[name].as_str().map(str::to_owned);
        match act.name.as_str() {
            "create_link" => {
                model.links.entry(text("id").unwrap()).or_insert((text("campaign").unwrap(), false));
            }
            _ => {
                let Some(link) = model.links.get_mut(&text("link").unwrap()) else { return };
                link.0 = text("campaign").unwrap_or_else(|| link.0.clone());
                link.1 = act.args["archived"].as_bool().unwrap_or(link.1);
            }
        }
    }
}

pub(super) fn records_of(keeper: &Keeper) -> Option<(DateTime<Utc>, Records)> {
    let copy = keeper.copy.lock().unwrap();
    let copy = copy.as_ref().unwrap();
    let stand = copy.meta().copy.clone().filter(|_| !copy.meta().distrusted)?;
    let rows = copy.rows().unwrap().into_iter().map(|(kind, id, body)| ((kind, id), body)).collect();
    Some((stand.as_of, rows))
}

/// One round of a computer. What it shows afterwards must be what it showed before, or a state of the database.
fn round(world: &World, devices: &mut [Device], which: usize, bad: bool) -> Result<bool, String> {
    let keepers: Vec<Arc<Keeper>> = devices.iter().map(|d| Arc::clone(&d.keeper)).collect();
    let line = Line { world, devices: keepers, bad, states: Mutex::default() };
    let keeper = Arc::clone(&devices[which].keeper);
    let before = records_of(&keeper);
    let ended = at_once(keeper.round(&line));
    if ended.is_none() {
        // The computer starts again; the files are as they are.
        let (number, design) = (devices[which].number, world.variant.copy);
        keeper.close();
        devices[which].keeper = open(&world.folder, number, world.town.now(), design);
    }
    let after = records_of(&devices[which].keeper);
    if after != before {
        let (as_of, records) = after.ok_or("a copy is gone")?;
        let states = line.states.lock().unwrap();
        let state =
            states.iter().find(|(at, _)| *at == as_of).ok_or("a copy is of a moment at which nothing was answered")?;
        if state.1 != records {
            return Err(difference("a copy shows a state that never existed", &records, &state.1));
        }
    }
    match ended {
        Some(Err(Trouble::Untrusted)) => Err(UNTRUSTED.into()),
        Some(Err(trouble @ (Trouble::Copy(_) | Trouble::Outbox(_)))) => Err(format!("{trouble:?}")),
        Some(Ok(())) => Ok(true),
        _ => Ok(false),
    }
}

fn difference(what: &str, ours: &Records, theirs: &Records) -> String {
    let only = |a: &Records, b: &Records| -> Vec<String> {
        a.iter().filter(|(id, body)| b.get(*id) != Some(*body)).map(|(id, body)| format!("{id:?} {body}")).collect()
    };
    format!("{what}: only here {:#?}, only there {:#?}", only(ours, theirs), only(theirs, ours))
}

/// Something is done on a computer.
fn act(world: &World, device: &Device, made: &mut BTreeMap<String, String>) {
    let known: Vec<String> =
        device.keeper.acts().iter().map(|a| a.text("id").to_owned()).filter(|id| !id.is_empty()).collect();
    let link = if known.is_empty() || world.percent(50) {
        world.some_link()
    } else {
        Some(known[world.roll(known.len())].clone())
    };
    let (name, args) = match (world.roll(3), link) {
        (1, Some(link)) => ("update_link", json!({ "link": link, "campaign": format!("desk {}", world.roll(1_000)) })),
        (2, Some(link)) => ("update_link", json!({ "link": link, "archived": world.percent(60) })),
        _ => {
            let id = world.uuid();
            let campaign = format!("made {}", world.roll(1_000));
            ("create_link", json!({ "id": id, "campaign": campaign, "path": "/pricing", "utm": { "source": "desk" } }))
        }
    };
    let act = Act { mid: world.uuid(), name: name.into(), args, made_at: world.town.now(), refused: None };
    device.keeper.put(&act).unwrap();
    if name == "create_link" {
        made.insert(act.text("id").to_owned(), act.mid);
    }
}

/// One history. The error says what should never have been.
pub(super) fn history(town: &Town, seed: u64, variant: Variant) -> Result<(), String> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    town.begin_again();
    let world = World {
        town,
        dice: Mutex::new(Dice::new(seed)),
        model: Mutex::default(),
        backups: Mutex::default(),
        lost: Mutex::default(),
        folder: folder.path().to_owned(),
        variant,
        ids: Mutex::new(0),
    };
    let now = world.town.now();
    let mut devices: Vec<Device> =
        (0..2).map(|number| Device { number, keeper: open(&world.folder, number, now, variant.copy) }).collect();
    let mut made = BTreeMap::new();
    let turns_back = world.percent(40);
    for _ in 0..4 + world.roll(9) {
        let which = world.roll(2);
        match world.roll(12) {
            0..3 => at_once(world.write()).ok_or("a write waits")?,
            3..5 => act(&world, &devices[which], &mut made),
            5..9 => drop(round(&world, &mut devices, which, true)?),
            9 => world.town.pass(TimeDelta::minutes(i64::try_from(1 + world.roll(200)).unwrap())),
            10 if turns_back && world.percent(60) => {
                let model = world.model.lock().unwrap().clone();
                world.backups.lock().unwrap().push((world.town.backup(), model));
            }
            10 if turns_back => {
                let keepers: Vec<_> = devices.iter().map(|d| Arc::clone(&d.keeper)).collect();
                at_once(world.restore(&keepers)).ok_or("a restore waits")?;
                // Others go on with what is there.
                for _ in 0..world.roll(12) {
                    at_once(world.write()).ok_or("a write waits")?;
                }
            }
            _ => long_absence(&world, &mut devices, which)?,
        }
    }
    settle(&world, &mut devices)?;
    check_the_end(&world, &devices, &made)?;
    // Pages of the copy are the API's own of the same moment: of the last round.
    if seed.is_multiple_of(3) { same_pages(&world, &devices[1].keeper) } else { Ok(()) }
}

/// A computer is not used for months, while the other one is and the API forgets what went.
fn long_absence(world: &World, devices: &mut [Device], which: usize) -> Result<(), String> {
    for _ in 0..3 {
        at_once(world.write()).ok_or("a write waits")?;
    }
    round(world, devices, 1 - which, false)?;
    world.town.pass(TimeDelta::days(40 + i64::try_from(world.roll(80)).unwrap()));
    round(world, devices, 1 - which, false)?;
    at_once(referral::forget_old_rows(&world.town.app)).ok_or("forgetting waits")?.map_err(|e| e.to_string())?;
    // An act that comes again after a quarter of a year is another one.
    let remembered = world.town.now() - TimeDelta::days(90);
    world.model.lock().unwrap().settled.retain(|_, at| *at >= remembered);
    round(world, devices, which, true).map(drop)
}

/// The network is good, and nobody does anything.
fn settle(world: &World, devices: &mut [Device]) -> Result<(), String> {
    for _ in 0..2 {
        for which in 0..devices.len() {
            if !round(world, devices, which, false)? {
                return Err("a round fails with a good network".into());
            }
        }
    }
    Ok(())
}

fn check_the_end(world: &World, devices: &[Device], made: &BTreeMap<String, String>) -> Result<(), String> {
    let (records, _) = at_once(world.town.records("ours")).ok_or("a pull waits")?;
    let mut refused = BTreeSet::new();
    for device in devices {
        let (_, copy) = records_of(&device.keeper).ok_or("there is no copy in the end")?;
        if copy != records {
            return Err(difference("a copy is not the database in the end", &copy, &records));
        }
        let state = device.keeper.state();
        if state.verified.as_ref().map(|v| v.state) != Some(VerifiedState::Verified) {
            return Err(format!(
                "the statement is not verified: {:?}, {:?}",
                state.verified,
                same_pages(world, &device.keeper)
            ));
        }
        if !state.pending.is_empty() {
            return Err(format!("acts are not sent in the end: {:?}", state.pending));
        }
        refused.extend(device.keeper.acts().into_iter().map(|act| act.mid));
    }
    let there = at_once(world.town.sql(sql!(
        "SELECT id, campaign, archived_ms IS NOT NULL AS archived FROM link WHERE partner = ?1 ORDER BY id",
        OURS
    )));
    let there: BTreeMap<String, (String, bool)> = there
        .ok_or("a query waits")?
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            (text("id"), (text("campaign"), row["archived"] == 1))
        })
        .collect();
    let model = world.model.lock().unwrap();
    if there != model.links {
        return Err(format!("what was done was not done once: {there:#?} instead of {:#?}", model.links));
    }
    let lost = world.lost.lock().unwrap();
    for (id, mid) in made {
        if !there.contains_key(id) && !lost.contains(id) && !refused.contains(mid) {
            return Err(format!("the link {id} is lost"));
        }
    }
    Ok(())
}

fn same_pages(world: &World, keeper: &Keeper) -> Result<(), String> {
    let pages = keeper.pages().ok_or("a copy shows no pages")?;
    let mut calls = vec![
        ("overview", json!({}), "/v1/overview".to_owned()),
        ("links", json!({}), "/v1/links".into()),
        ("links", json!({ "archived": true }), "/v1/links?archived=true".into()),
        (
            "clients",
            json!({ "sort": "earned", "ascending": true, "limit": 3 }),
            "/v1/clients?sort=earned&ascending=true&limit=3".into(),
        ),
        ("suggested_what_if", json!({}), "/v1/what-if".into()),
        ("payouts", json!({}), "/v1/payouts".into()),
        ("stripe_account", json!({}), "/v1/stripe-account".into()),
        ("slug", json!({}), "/v1/slug".into()),
        ("current_terms", json!({}), "/v1/terms/current".into()),
    ];
    let all = pages.clients(&wire::ClientsQuery::default()).rows;
    let some: Vec<String> = all.into_iter().map(|c| c.referral).take(2).collect();
    calls.extend(some.into_iter().map(|id| ("client", json!({ "referral": id }), format!("/v1/clients/{id}"))));
    for (call, args, path) in calls {
        let ours =
            answer(&pages, &[], Role::Owner, call, &args).ok_or("a call has no answer")?.map_err(|e| e.message)?;
        let theirs = at_once(world.town.ask("ours", "GET", &path, Value::Null)).ok_or("a question waits")?;
        let theirs = theirs.map_err(|e| format!("{path}: {e:?}"))?;
        if ours != theirs {
            return Err(format!("{path}: the copy says {ours:#}, the API {theirs:#}"));
        }
    }
    Ok(())
}
