//! Files that were damaged on disk: no figure of them is ever wrong, and what was done is kept.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::{Value, json};
use wire::{PullQuery, Pulled, Push, Pushed, Role};

use super::histories::{Dice, at_once, open, records_of};
use super::town::{OURS, Town};
use crate::api::Failure;
use crate::sync::copy::{Copy, Design};
use crate::sync::keeper::{CopyStanding, Keeper};
use crate::sync::outbox::{Act, Outbox};
use crate::sync::pages::answer;
use crate::sync::pull::Remote;
use crate::sync::store::beginning_with;

/// The API without any trouble.
struct Good<'a>(&'a Town);

impl Remote for Good<'_> {
    async fn pull(&self, asked: &PullQuery) -> Result<Pulled, Failure> {
        self.0.pull("ours", asked).await
    }

    async fn push(&self, acts: &Push) -> Result<Pushed, Failure> {
        self.0.push("ours", acts).await
    }
}

/// An agency with enough records that a file has many pages.
async fn fill(town: &Town) {
    use referral::sql;
    let ms = town.now().timestamp_millis();
    for n in 0..60 {
        let (id, at) = (format!("r{n}"), town.now().to_rfc3339());
        let insert = "INSERT INTO referral (id, partner, email, signed_up_ms, click, rule) VALUES (?1, ?2, 'a@c.example', ?3, NULL, 'partner_code')";
        town.sql(sql!(insert, &id, OURS, ms)).await;
        for fact in [
            json!({"id": format!("c{n}"), "at": at, "type": "referral_created", "referral": id, "partner": OURS}),
            json!({"id": format!("s{n}"), "at": at, "type": "subscription_started", "subscription": format!("s{n}"), "referral": id,
                "interval": "month", "amount_minor": 50_000}),
            json!({"id": format!("i{n}"), "at": at, "type": "invoice_paid", "invoice": format!("i{n}"), "subscription": format!("s{n}"),
                "amount_minor": 50_000}),
        ] {
            let insert = "INSERT INTO fact (id, referral, body) VALUES (?1, ?2, ?3)";
            town.sql(sql!(insert, fact["id"].as_str().unwrap(), &id, fact.to_string())).await;
        }
    }
    town.pass(chrono::TimeDelta::hours(1));
}

fn link(n: usize) -> Act {
    let id = format!("019ca6b1-dc00-7000-8000-0000000001{n:02}");
    Act {
        mid: format!("019ca6b1-dc00-7000-8000-0000000002{n:02}"),
        name: "create_link".into(),
        args: json!({ "id": id, "campaign": format!("offline {n}"), "path": "/pricing", "utm": {} }),
        made_at: chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(i64::try_from(n).unwrap()),
        refused: None,
    }
}

fn shown(keeper: &Keeper) -> Option<Vec<Value>> {
    let pages = keeper.pages()?;
    let calls = ["overview", "links", "clients", "payouts", "stripe_account", "slug", "current_terms"];
    Some(calls.iter().map(|call| answer(&pages, &[], Role::Owner, call, &json!({})).unwrap().unwrap()).collect())
}

/// Flips bytes, fills a stretch, or cuts the end off.
fn damage(path: &Path, dice: &mut Dice) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = dice.below(bytes.len());
    match dice.below(6) {
        0 => bytes.truncate(at),
        1 => {
            let end = bytes.len().min(at + 1 + dice.below(6_000));
            bytes[at..end].fill(0);
        }
        2 => {
            let end = bytes.len().min(at + 1 + dice.below(600));
            bytes[at..end].iter_mut().for_each(|byte| *byte = u8::try_from(dice.below(256)).unwrap());
        }
        // What says of what form everything else is.
        3 => bytes[dice.below(120)] ^= 1 << dice.below(8),
        _ => bytes[at] ^= 1 << dice.below(8),
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_copy_shows_what_is_right_or_nothing_and_comes_back() {
    let (town, mut dice) = (Town::new(), Dice::new(7));
    at_once(fill(&town)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let keeper = open(folder.path(), 0, town.now(), Design::default());
    at_once(keeper.round(&Good(&town))).unwrap().unwrap();
    let right = shown(&keeper).unwrap();
    let (_, records) = records_of(&keeper).unwrap();
    keeper.close();
    let (mut refused, mut same) = (0, 0);
    for _ in 0..120 {
        let other = tempfile::tempdir().unwrap();
        for name in ["copy-0.db", "outbox-0.db"] {
            std::fs::copy(folder.path().join(name), other.path().join(name)).unwrap();
        }
        damage(&other.path().join("copy-0.db"), &mut dice);
        let keeper = open(other.path(), 0, town.now(), Design::default());
        match shown(&keeper) {
            Some(pages) => {
                assert_eq!(pages, right, "a damaged copy shows something else");
                same += 1;
            }
            None => {
                assert!(matches!(keeper.state().state, CopyStanding::None), "{:?}", keeper.state());
                refused += 1;
            }
        }
        // A change goes into whatever is there; or all of it comes anew.
        at_once(keeper.round(&Good(&town))).unwrap().unwrap();
        assert_eq!(records_of(&keeper).unwrap().1, records);
        assert_eq!(shown(&keeper).map(|pages| pages.len()), Some(right.len()));
    }
    assert!(refused > 20 && same > 10, "{refused} refused, {same} the same: the damage is no good test");
}

#[test]
fn a_damaged_outbox_is_kept_and_what_can_be_read_of_it_is_there() {
    let mut dice = Dice::new(11);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox.db");
    let acts: Vec<Act> = (0..40).map(link).collect();
    {
        let (outbox, _) = Outbox::open(&path, super::town::first_day()).unwrap();
        acts.iter().for_each(|act| outbox.put(act).unwrap());
    }
    let (mut aside, mut whole) = (0, 0);
    for _ in 0..80 {
        let other = tempfile::tempdir().unwrap();
        let copy = other.path().join("outbox.db");
        std::fs::copy(&path, &copy).unwrap();
        damage(&copy, &mut dice);
        let damaged = std::fs::read(&copy).unwrap();
        let (outbox, kept) = Outbox::open(&copy, super::town::first_day()).unwrap();
        let read = outbox.all().unwrap();
        assert!(read.iter().all(|act| acts.contains(act)), "a damaged act became another one");
        whole += usize::from(read.iter().filter(|act| acts.contains(act)).count() == acts.len());
        if let Some(kept) = kept {
            aside += 1;
            assert!(std::fs::read(kept).unwrap() == damaged, "the damaged file is not what it was");
        }
    }
    assert!(aside > 15, "{aside}: the damage is no good test");
    assert!(whole > 20, "only {whole} were read whole");
}

#[test]
fn a_file_of_another_version_makes_way_and_a_newer_outbox_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (copy, outbox) = (folder.path().join("copy.db"), folder.path().join("outbox.db"));
    Copy::open(&copy, super::town::first_day()).unwrap();
    Outbox::open(&outbox, super::town::first_day()).unwrap().0.put(&link(1)).unwrap();
    for path in [&copy, &outbox] {
        Connection::open(path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    }
    let (fresh, aside) = Copy::open(&copy, super::town::first_day()).unwrap();
    assert!(aside.is_none() && fresh.rows().unwrap().is_empty());
    assert_eq!(beginning_with(folder.path(), "copy").len(), 1);
    let (kept, aside) = Outbox::open(&outbox, super::town::first_day()).unwrap();
    assert!(aside.is_some_and(|path| path.exists()), "the file of a newer app is kept");
    assert_eq!(kept.all().unwrap(), [link(1)]);
}

#[test]
fn what_is_damaged_while_the_app_runs_is_seen_when_it_is_read() {
    let town = Town::new();
    let folder = tempfile::tempdir().unwrap();
    let keeper: Arc<Keeper> = open(folder.path(), 0, town.now(), Design::default());
    at_once(keeper.round(&Good(&town))).unwrap().unwrap();
    let other = Connection::open(folder.path().join("copy-0.db")).unwrap();
    other.execute("UPDATE row SET body = replace(body, 'ours', 'oops') WHERE kind = 'profile'", []).unwrap();
    // What was read before is in memory; a start reads anew.
    keeper.close();
    let keeper = open(folder.path(), 0, town.now(), Design::default());
    assert!(shown(&keeper).is_none(), "a profile that nobody wrote is shown");
    assert_eq!(beginning_with(folder.path(), "copy-0-set-aside-").len(), 1, "the damaged file is kept");
    at_once(keeper.round(&Good(&town))).unwrap().unwrap();
    assert!(shown(&keeper).is_some());
}
