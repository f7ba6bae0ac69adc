//! What the app does beside its pages: looks for news, passes on what was chosen in a menu or a link, and locks itself.
//!
//! The page learns of it by asking ([`Manners::events`]), in the way in which it asks for everything, and waits for the
//! answer. So the page needs no right to listen to the toolkit's events, and nothing is ever evaluated in it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use ts_rs::TS;
use wire::{Account, ErrorBody, ErrorCode, Method, Role};

use crate::cache::Key;
use crate::clock;
use crate::config::Config;
use crate::deep::Place;
use crate::desk::Shell;
use crate::idle::Idle;
use crate::menu::{Command, Event, Glance, Standing, is_ours, standing};
use crate::notify::{Known, News, wanted};
use crate::prefs::{Chosen, Preferences};
use crate::request::Request;
use crate::session::Sessions;

/// An answer to `events` comes by then, also when nothing happened.
const PATIENCE: Duration = Duration::from_secs(25);
/// Between two looks at the API.
const LOOK_EACH: Duration = Duration::from_secs(60);
/// Events that wait for a page; of more the oldest are forgotten.
const EVENTS_MOST: usize = 32;
/// The server computes every agency to list its reviews, so that list is asked for in one look of so many.
const REVIEWS_EACH: u32 = 10;
/// What is known is saved among the answers under this name, which is none of a call.
const KNOWN: &str = "(told)";

/// What a locked window may still ask for: the way to prove who one is, and the brake.
const WHILE_LOCKED: &[&str] = &[
    "resume",
    "sign_in",
    "sign_in_demo",
    "sign_in_at_issuer",
    "stop_waiting",
    "sign_out",
    "banner",
    "host",
    "locked",
    "active",
    "events",
    "stop_sending",
    "demo_people",
    "sign_in_methods",
    "request_code",
];

/// Answer of `preferences`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Settings {
    /// What was chosen on this computer.
    pub chosen: Preferences,
    /// There is a tray.
    pub tray: bool,
    /// The app starts with the computer; `null` where that cannot be told.
    pub at_login: Option<bool>,
}

/// Arguments of `start_at_login`.
#[derive(Debug, Deserialize, TS)]
pub struct StartAtLogin {
    /// It shall.
    pub on: bool,
}

/// Arguments of `events`.
#[derive(Debug, Deserialize, TS)]
pub struct EventsAfter {
    /// Number of the last event that the page has seen; 0 for a page that has seen none.
    pub after: u32,
}

/// Answer of `events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct Events {
    /// Number of the last of them; where there is none, the number that was asked with.
    pub last: u32,
    /// What happened, the oldest first.
    pub events: Vec<Event>,
}

#[derive(Default)]
struct Waiting {
    last: u32,
    events: VecDeque<(u32, Event)>,
}

/// What a look at the API brought.
struct Looked {
    account: String,
    glance: Glance,
}

/// A referral in the list of reviews.
#[derive(Deserialize)]
struct Flagged {
    referral: String,
}

pub(crate) struct Manners {
    sessions: Arc<Sessions>,
    shell: Arc<dyn Shell>,
    chosen: Chosen,
    idle: Idle,
    waiting: Mutex<Waiting>,
    looked: Mutex<Option<Looked>>,
    looks: Mutex<u32>,
    /// Counts events.
    happened: watch::Sender<u32>,
    changed: Notify,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Manners {
    pub(crate) fn new(config: &Config, sessions: Arc<Sessions>, shell: Arc<dyn Shell>) -> Self {
        let (chosen, idle) = (Chosen::in_folder(&config.data), Idle::in_folder(&config.data));
        let (waiting, looked, looks, happened, changed) = Default::default();
        Self { sessions, shell, chosen, idle, waiting, looked, looks, happened, changed }
    }

    /// Lets a command of the page pass, unless the window is locked.
    pub(crate) async fn admit(&self, cmd: &str) -> Result<(), ErrorBody> {
        if WHILE_LOCKED.contains(&cmd) || !self.is_locked().await {
            return Ok(());
        }
        let message = "The window is locked, because nobody was at it for a while. Prove who you are to go on.";
        Err(ErrorBody::new(ErrorCode::StepUp, message))
    }

    /// Whether whoever is signed in must prove themselves before the window shows anything.
    pub(crate) async fn is_locked(&self) -> bool {
        let ours = self.sessions.account().await.is_some_and(|account| is_ours(&account));
        ours && self.idle.is_locked(clock::now(), self.chosen.get().lock_after_min)
    }

    pub(crate) fn active(&self) {
        self.idle.sign(clock::now(), self.chosen.get().lock_after_min);
    }

    /// Somebody signed in, or proved once more who they are.
    pub(crate) fn proved(&self) {
        self.idle.proved(clock::now());
        self.tell_shell();
    }

    /// The session from before is there again, or it is not.
    pub(crate) fn resumed(&self) {
        self.tell_shell();
    }

    /// Nobody is signed in any more.
    pub(crate) fn left(&self) {
        *held(&self.looked) = None;
        self.tell_shell();
    }

    fn tell_shell(&self) {
        self.changed.notify_one();
    }

    /// Waits until the shell should look again: after a while, or at once when somebody came or went.
    pub(crate) async fn rest(&self) {
        let _either = tokio::time::timeout(LOOK_EACH, self.changed.notified()).await;
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { chosen: self.chosen.get(), tray: self.shell.has_tray(), at_login: self.shell.at_login() }
    }

    pub(crate) fn choose(&self, chosen: Preferences) -> Result<Settings, ErrorBody> {
        self.chosen.set(chosen).map_err(|error| {
            let message = format!("This holds until the app is closed, because it could not be written ({error}).");
            ErrorBody::new(ErrorCode::Unavailable, message)
        })?;
        Ok(self.settings())
    }

    pub(crate) fn start_at_login(&self, on: bool) -> Result<Settings, ErrorBody> {
        self.shell.set_at_login(on).map_err(|why| {
            let message =
                format!("This computer did not take it ({why}). Its own settings have a list of what starts with it.");
            ErrorBody::new(ErrorCode::Unavailable, message)
        })?;
        Ok(self.settings())
    }

    /// Something happened that the page should know.
    pub(crate) fn push(&self, event: Event) {
        let mut waiting = held(&self.waiting);
        waiting.last = waiting.last.wrapping_add(1);
        let number = waiting.last;
        waiting.events.push_back((number, event));
        if waiting.events.len() > EVENTS_MOST {
            waiting.events.pop_front();
        }
        drop(waiting);
        self.happened.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// What happened since the page asked last; waits for something, but not for ever. What the page names as seen is
    /// forgotten, so a page that begins anew gets what its predecessor did not see.
    pub(crate) async fn events(&self, after: u32) -> Events {
        let mut happened = self.happened.subscribe();
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut was_locked = self.is_locked().await;
        loop {
            {
                let mut waiting = held(&self.waiting);
                waiting.events.retain(|(number, _)| *number > after);
                if let Some((last, _)) = waiting.events.back() {
                    let last = *last;
                    return Events { last, events: waiting.events.iter().map(|(_, event)| event.clone()).collect() };
                }
            }
            let left = self.idle.left(clock::now(), self.chosen.get().lock_after_min);
            let soon =
                if was_locked { PATIENCE } else { left.to_std().unwrap_or_default().max(Duration::from_millis(200)) };
            let wake = until.min(tokio::time::Instant::now() + soon);
            let timed_out = tokio::time::timeout_at(wake, happened.changed()).await.is_err();
            if !was_locked && self.is_locked().await {
                was_locked = true;
                self.push(Event::Locked);
                self.tell_shell();
            } else if timed_out && wake >= until {
                return Events { last: after, events: Vec::new() };
            }
        }
    }

    /// A deep link, from wherever it came. It opens its page, or it is none of ours and nothing happens.
    pub(crate) fn open_link(&self, link: &str) -> bool {
        let Some(place) = Place::of_link(link) else { return false };
        self.push(Event::open(&place));
        true
    }

    /// What a menu, the tray or a key asked for. The text is for the clipboard, which the shell has.
    pub(crate) async fn command(&self, command: Command) -> Option<String> {
        match command {
            Command::Page(page) => self.push(Event::open(&Place::page(page))),
            Command::Keys => self.push(Event::Keys),
            Command::Lock => {
                if self.sessions.account().await.is_some_and(|account| is_ours(&account)) {
                    self.idle.lock();
                    self.push(Event::Locked);
                    self.tell_shell();
                }
            }
            Command::CopyLink => {
                let link = self.glance().await.map(|glance| glance.link_url);
                if link.is_none() {
                    self.push(Event::Say { text: "Your link is not known yet.".into(), bad: true });
                }
                return link;
            }
        }
        None
    }

    /// What was last seen of the overview of whoever is signed in now.
    async fn glance(&self) -> Option<Glance> {
        let name = self.sessions.pass().await?.name;
        if let Some(looked) = held(&self.looked).as_ref().filter(|looked| looked.account == name) {
            return Some(looked.glance.clone());
        }
        let saved = self.sessions.cache.find(&Key { account: name, call: "overview", args: "{}".into() })?;
        serde_json::from_value(saved.data).ok()
    }

    /// What stands in the menu and the tray.
    pub(crate) async fn standing(&self) -> Standing {
        let account = self.sessions.account().await;
        standing(account.as_ref(), self.glance().await.as_ref(), self.is_locked().await)
    }

    /// Looks at the API for whoever is signed in, and answers what is news and wanted. Without the API nothing is.
    pub(crate) async fn look(&self) -> Vec<News> {
        let (Some(account), Some(pass)) = (self.sessions.account().await, self.sessions.pass().await) else {
            return Vec::new();
        };
        let key = Key { account: pass.name.clone(), call: KNOWN, args: "{}".into() };
        let before: Known = self
            .sessions
            .cache
            .find(&key)
            .and_then(|saved| serde_json::from_value(saved.data).ok())
            .unwrap_or_default();
        let mut known = before.clone();
        let news = self.news(&account, &pass.name, &mut known).await;
        if known != before
            && let Ok(data) = serde_json::to_value(&known)
        {
            self.sessions.change_saved(&key, |cache| cache.save(&key, &data, clock::now())).await;
        }
        wanted(news, &self.chosen.get())
    }

    async fn news(&self, account: &Account, name: &str, known: &mut Known) -> Vec<News> {
        match account.role {
            Role::Owner | Role::Member => {
                if let Some(glance) = self.ask::<Glance>(name, &["overview"]).await {
                    *held(&self.looked) = Some(Looked { account: name.to_owned(), glance });
                }
                self.ask::<Vec<wire::Payout>>(name, &["payouts"]).await.map(|now| known.payouts(&now))
            }
            Role::Finance => self.ask::<Vec<wire::RunSummary>>(name, &["runs"]).await.map(|now| known.runs(&now)),
            Role::Staff => {
                let nth = {
                    let mut looks = held(&self.looks);
                    *looks = looks.wrapping_add(1);
                    *looks
                };
                if nth % REVIEWS_EACH != 1 {
                    return Vec::new();
                }
                let now = self.ask::<Vec<Flagged>>(name, &["reviews"]).await;
                now.map(|now| {
                    let waiting: Vec<String> = now.into_iter().map(|flagged| flagged.referral).collect();
                    known.reviews(&waiting)
                })
            }
            Role::Admin | Role::Auditor => None,
        }
        .unwrap_or_default()
    }

    /// Asks the API for the account of that name; `None` when it is out of reach, refuses, or somebody else is signed in.
    async fn ask<T: DeserializeOwned>(&self, name: &str, path: &[&str]) -> Option<T> {
        let pass = self.sessions.pass().await.filter(|pass| pass.name == name)?;
        let request = Request::record(&self.sessions.api.config.api, Method::Get, path, None);
        let answered = self.sessions.send(&request, Some(&pass)).await.ok()?;
        serde_json::from_value(answered.data).ok()
    }
}
