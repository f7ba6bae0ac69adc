//! The door for a window: one command in, one answer or one error out.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;
use wire::{Account, Call, ErrorBody, ErrorCode, Method};

use crate::account::KnownAccounts;
use crate::api::{Answered, Api, Away, Failure};
use crate::cache::{Cache, Key};
use crate::clock;
use crate::config::{Config, StartError};
use crate::files;
use crate::keychain::{Keychain, SecretStore};
use crate::links::may_open;
use crate::manners::{Events, EventsAfter, Manners, Settings, StartAtLogin};
use crate::menu::{Command, Event, Standing};
use crate::money::{KeepMoneyKey, Money, MoneyKey, SendHere, SendingHere};
use crate::natives::{
    self, HostInfo, Nothing, OpenUrl, SaveFile, SaveOwnFile, SavedFile, SignIn, SignInAtIssuer, SignInDemo, SignOut,
};
use crate::notify::News;
use crate::prefs::Preferences;
use crate::request::{Request, canonical};
use crate::session::{Pass, Sessions, cannot_act, cannot_read};
use crate::sync::{Accounts, Keeper, SessionRemote, UNTRUSTED, answer, is_of_copy, keep_fresh};

/// Runs that finance can read without a network, the newest ones.
const RUNS_AHEAD: usize = 3;
const BETWEEN_LOOKS_AHEAD: Duration = Duration::from_secs(5 * 60);

/// Shows an address in the person's browser; an error says why not, in a few words.
pub type Opener = Box<dyn Fn(&Url) -> Result<(), String> + Send + Sync>;

/// Where a person wants a file; `None` when they want none after all.
pub type SavePath<'a> = Pin<Box<dyn Future<Output = Option<PathBuf>> + Send + 'a>>;

/// What a window has around it. The answers of `()` are those of a place that has none of it.
pub trait Shell: Send + Sync + 'static {
    /// There is a tray now.
    fn has_tray(&self) -> bool {
        false
    }
    /// The app starts with the computer; `None` where that cannot be told.
    fn at_login(&self) -> Option<bool> {
        None
    }
    /// Lets the app start with the computer, or not; an error says why not, in a few words.
    fn set_at_login(&self, _on: bool) -> Result<(), String> {
        Err("it cannot be told to".to_owned())
    }
    /// Asks the person where to save a file of that name; `None` where nobody can be asked.
    fn ask_where(&self, _name: &str) -> Option<SavePath<'_>> {
        None
    }
}

impl Shell for () {}

/// What the shell around the desk offers.
pub struct Host {
    /// Version of the app.
    pub version: String,
    /// The way to the browser.
    pub open: Opener,
    /// Where files are saved that the person takes away, when they are not asked.
    pub downloads: PathBuf,
    /// What the window has around it.
    pub shell: Arc<dyn Shell>,
}

/// The answer of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// As the API gave it.
    pub data: Value,
    /// The API's own time of it.
    pub as_of: DateTime<Utc>,
    /// It is a copy from an earlier day or minute, because the API is out of reach.
    pub saved: bool,
}

/// The desktop app behind its window.
pub struct Desk {
    pub(crate) sessions: Arc<Sessions>,
    money: Money,
    manners: Manners,
    host: Host,
    /// Held for as long as the app runs.
    _lock: File,
}

impl Desk {
    /// Takes the data folder, which is made when needed, and opens the saved answers. Nothing is sent yet.
    ///
    /// Fails when another window has the folder, and when its files cannot be used.
    pub fn open(config: Config, host: Host, secrets: Arc<dyn SecretStore>) -> Result<Self, StartError> {
        let lock = lock(&config.data)?;
        let cache = Cache::open(&config.data, clock::now())?;
        let known = KnownAccounts::in_folder(&config.data);
        let accounts = Accounts::in_folder(&config.data);
        let api = Api::new(config.clone())?;
        let sessions = Arc::new(Sessions::new(api, Keychain::new(secrets), cache, accounts, known));
        let manners = Manners::new(&config, Arc::clone(&sessions), Arc::clone(&host.shell));
        let money = Money::new(Arc::clone(&sessions), config.stripe);
        Ok(Self { sessions, money, manners, host, _lock: lock })
    }

    /// Does what a page asks: one of the app's own commands ([`crate::NATIVES`]), which answers as it declares, or a
    /// call of the API ([`wire::CALLS`]), which answers an [`Answer`].
    pub async fn dispatch(&self, cmd: &str, args: Value) -> Result<Value, ErrorBody> {
        self.manners.admit(cmd).await?;
        if let Some(answer) = natives::dispatch(self, cmd, &args).await {
            return answer;
        }
        let Some(call) = Call::find(cmd) else {
            let message = format!("The page asked for `{cmd}`, which this app does not know. Update the app.");
            return Err(ErrorBody::new(ErrorCode::NotFound, message));
        };
        natives::to_value(&self.call(call, &args).await?)
    }

    async fn call(&self, call: &'static Call, args: &Value) -> Result<Answer, ErrorBody> {
        match call.method {
            Method::Get => self.read_call(call, args).await,
            Method::Post => {
                let request = Request::of(&self.sessions.api.config.api, call, args)?;
                if let Some(answer) = self.act(call, args).await {
                    return answer;
                }
                match self.sessions.send(&request, self.sessions.pass().await.as_ref()).await {
                    Ok(answered) => Ok(live(answered)),
                    Err(Failure::Refused(error)) => Err(error),
                    // A forecast changes nothing: it is computed here.
                    Err(Failure::Away(away)) if is_of_copy(call.name) => self.read_here(call, args, &away).await,
                    Err(Failure::Away(away)) => Err(cannot_act(&self.sessions.api, away)),
                }
            }
        }
    }

    /// Reads from the API; from the copy, or from what was saved, when that is out of reach.
    async fn read(&self, call: &'static Call, request: &Request, args: &Value) -> Result<Answer, ErrorBody> {
        match fetch(&self.sessions, call, request, args).await {
            Ok(answered) => {
                // The API is back: what waits is sent now, and not when its turn comes.
                if let Some(keeper) = self.keeper().filter(|keeper| keeper.was_away()) {
                    keeper.ask();
                }
                Ok(self.with_pending(call, args, live(answered)))
            }
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Away(away)) => self.read_here(call, args, &away).await,
        }
    }

    /// Answers without the API.
    async fn read_here(&self, call: &'static Call, args: &Value, away: &Away) -> Result<Answer, ErrorBody> {
        let keeper = self.keeper().filter(|keeper| keeper.of_agency() && is_of_copy(call.name));
        if let Some(answer) = keeper.and_then(|keeper| from_copy(&keeper, call, args)) {
            return answer;
        }
        self.read_saved(call, args).await.ok_or_else(|| cannot_read(&self.sessions.api, away))
    }

    /// The answer that was saved for whoever is signed in.
    pub(crate) async fn read_saved(&self, call: &'static Call, args: &Value) -> Option<Answer> {
        let saved = self.sessions.cache.find(&saved_as(&self.sessions.pass().await?, call, args))?;
        Some(Answer { data: saved.data, as_of: saved.as_of, saved: true })
    }

    /// As [`Self::read`].
    pub(crate) async fn read_call(&self, call: &'static Call, args: &Value) -> Result<Answer, ErrorBody> {
        let request = Request::of(&self.sessions.api.config.api, call, args)?;
        self.read(call, &request, args).await
    }

    /// The files of whoever is signed in.
    pub(crate) fn keeper(&self) -> Option<Arc<Keeper>> {
        self.sessions.accounts.current()
    }

    /// Opens the page of a deep link; false when it is none of this app's, and then nothing happens.
    pub fn open_link(&self, link: &str) -> bool {
        self.manners.open_link(link)
    }

    /// Does what was chosen in a menu. An answer is for the clipboard.
    pub async fn command(&self, command: Command) -> Option<String> {
        self.manners.command(command).await
    }

    /// Shows a sentence in the page for a moment.
    pub fn say(&self, text: String, bad: bool) {
        self.manners.push(Event::Say { text, bad });
    }

    /// What stands in the menu and the tray.
    pub async fn standing(&self) -> Standing {
        self.manners.standing().await
    }

    /// Looks at the API for news; none without it.
    pub async fn look(&self) -> Vec<News> {
        self.manners.look().await
    }

    /// Waits until it is time to look again, and to show anew what stands.
    pub async fn rest(&self) {
        self.manners.rest().await;
    }

    /// What was chosen on this computer.
    pub fn preferences(&self) -> Preferences {
        self.manners.settings().chosen
    }

    pub(crate) async fn settings(&self, _: Nothing) -> Result<Settings, ErrorBody> {
        Ok(self.manners.settings())
    }

    pub(crate) async fn choose(&self, chosen: Preferences) -> Result<Settings, ErrorBody> {
        self.manners.choose(chosen)
    }

    pub(crate) async fn start_at_login(&self, what: StartAtLogin) -> Result<Settings, ErrorBody> {
        self.manners.start_at_login(what.on)
    }

    pub(crate) async fn events(&self, asked: EventsAfter) -> Result<Events, ErrorBody> {
        Ok(self.manners.events(asked.after).await)
    }

    pub(crate) async fn active(&self, _: Nothing) -> Result<(), ErrorBody> {
        self.manners.active();
        Ok(())
    }

    pub(crate) async fn locked(&self, _: Nothing) -> Result<bool, ErrorBody> {
        Ok(self.manners.is_locked().await)
    }

    pub(crate) async fn resume(&self, _: Nothing) -> Result<Option<Account>, ErrorBody> {
        let account = self.sessions.resume().await;
        if let Some(account) = &account {
            self.enter(account);
        }
        self.manners.resumed();
        Ok(account)
    }

    /// Opens the copy and the outbox of an account, and keeps them fresh from now on.
    fn enter(&self, account: &Account) {
        let name = self.sessions.name_of(account);
        let keeper = match self.sessions.accounts.enter(&name, account, clock::now()) {
            Ok(Some((keeper, true))) => keeper,
            Ok(_) => return,
            // The app works without them, online.
            Err(error) => return self.sessions.note::<StartError>(Err(error)),
        };
        let remote = SessionRemote { sessions: Arc::clone(&self.sessions), whose: name };
        if !keeper.of_agency() {
            tokio::spawn(read_ahead(Arc::clone(&self.sessions), Arc::clone(&keeper)));
        }
        let sessions = Arc::clone(&self.sessions);
        tokio::spawn(keep_fresh(keeper, remote, move || sessions.api.retry_after()));
    }

    pub(crate) async fn sign_in(&self, by: SignIn) -> Result<Account, ErrorBody> {
        self.signed_in(self.sessions.sign_in(&by.email, &by.code).await)
    }

    pub(crate) async fn sign_in_demo(&self, by: SignInDemo) -> Result<Account, ErrorBody> {
        self.signed_in(self.sessions.sign_in_demo(&by.person).await)
    }

    pub(crate) async fn sign_in_at_issuer(&self, by: SignInAtIssuer) -> Result<Account, ErrorBody> {
        let show = |url: String| self.show(&url);
        self.signed_in(self.sessions.sign_in_at_issuer(by.confirm, show).await)
    }

    pub(crate) async fn stop_waiting(&self, _: Nothing) -> Result<(), ErrorBody> {
        self.sessions.stop_waiting();
        Ok(())
    }

    fn signed_in(&self, result: Result<Account, Failure>) -> Result<Account, ErrorBody> {
        let account = result.map_err(|failure| match failure {
            Failure::Refused(error) => error,
            Failure::Away(away) => cannot_act(&self.sessions.api, away),
        })?;
        self.manners.proved();
        self.enter(&account);
        Ok(account)
    }

    pub(crate) async fn money_key(&self, _: Nothing) -> Result<MoneyKey, ErrorBody> {
        self.money.key().await
    }

    pub(crate) async fn keep_money_key(&self, given: KeepMoneyKey) -> Result<MoneyKey, ErrorBody> {
        self.money.keep(given).await
    }

    pub(crate) async fn forget_money_key(&self, _: Nothing) -> Result<MoneyKey, ErrorBody> {
        self.money.forget().await
    }

    pub(crate) async fn send_here(&self, what: SendHere) -> Result<SendingHere, ErrorBody> {
        self.money.send(what).await
    }

    pub(crate) async fn sending_here(&self, _: Nothing) -> Result<SendingHere, ErrorBody> {
        Ok(self.money.sending())
    }

    pub(crate) async fn stop_sending(&self, _: Nothing) -> Result<SendingHere, ErrorBody> {
        Ok(self.money.stop())
    }

    pub(crate) async fn sign_out(&self, how: SignOut) -> Result<(), ErrorBody> {
        let unsent = self.keeper().map_or(0, |keeper| keeper.unsent());
        if unsent > 0 && !how.discard {
            return Err(ErrorBody::new(ErrorCode::Conflict, not_sent_yet(unsent)));
        }
        // The money key goes with the person.
        self.money.forget().await?;
        self.sessions.sign_out(how.discard).await;
        self.manners.left();
        Ok(())
    }

    pub(crate) async fn save(&self, what: SaveFile) -> Result<SavedFile, ErrorBody> {
        let Some(download) = Call::find_download(&what.file) else {
            let message =
                format!("The page asked for the file `{}`, which this app does not know. Update the app.", what.file);
            return Err(ErrorBody::new(ErrorCode::NotFound, message));
        };
        let request = Request::of_file(&self.sessions.api.config.api, download, &what.args)?;
        let answered = match self.sessions.send(&request, self.sessions.pass().await.as_ref()).await {
            Ok(answered) => answered,
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Away(away)) => return Err(cannot_read(&self.sessions.api, &away)),
        };
        let file = answered.file.ok_or_else(|| ErrorBody::new(ErrorCode::Unavailable, "The API gave no file."))?;
        self.take_away(&file.name, &file.bytes).await
    }

    pub(crate) async fn save_own(&self, what: SaveOwnFile) -> Result<SavedFile, ErrorBody> {
        let bytes = STANDARD.decode(&what.base64).map_err(|_| {
            ErrorBody::new(ErrorCode::Invalid, "The page gave a file that cannot be read. Nothing was saved.")
        })?;
        self.take_away(&what.name, &bytes).await
    }

    async fn take_away(&self, name: &str, bytes: &[u8]) -> Result<SavedFile, ErrorBody> {
        let name = files::plain(name);
        let saved = match self.host.shell.ask_where(&name) {
            None => files::save(&self.host.downloads, &name, bytes),
            Some(chosen) => match chosen.await {
                // The dialog has asked before it lets a file be written over.
                Some(path) => files::replace(&path, bytes).map(|()| path),
                None => return Ok(SavedFile { path: None }),
            },
        };
        let path = saved.map_err(|error| {
            let message = format!(
                "The file {name} could not be saved ({error}). Choose another folder, or check the free space."
            );
            ErrorBody::new(ErrorCode::Unavailable, message)
        })?;
        Ok(SavedFile { path: Some(path.display().to_string()) })
    }

    pub(crate) async fn open_url(&self, what: OpenUrl) -> Result<(), ErrorBody> {
        self.show(&what.url)
    }

    fn show(&self, given: &str) -> Result<(), ErrorBody> {
        let url = may_open(&self.sessions.api.config.api, given)?;
        (self.host.open)(&url).map_err(|why| {
            let message = format!("No browser could be opened ({why}). Copy the address and open it yourself: {url}");
            ErrorBody::new(ErrorCode::Unavailable, message)
        })
    }

    pub(crate) async fn banner(&self, _: Nothing) -> Result<Option<String>, ErrorBody> {
        self.sessions.keychain.probe().await;
        let keychain = self.sessions.keychain.fault().map(|why| {
            format!("A sign-in is kept for this session only: the keychain of this computer cannot be used ({why}).")
        });
        let aside = self.sessions.cache.set_aside.as_ref().filter(|path| path.exists()).map(|path| {
            format!(
                "The saved copies could not be read and were set aside as {}; pages are saved again as you open them.",
                path.display()
            )
        });
        let trouble = self.sessions.trouble().map(|what| {
            format!("Pages cannot be saved on this computer ({what}). Check the free space and the rights of the data folder.")
        });
        let outbox = self.keeper().and_then(|keeper| keeper.aside()).map(|path| {
            format!(
                "The list of what was not sent yet was damaged. What could be read of it is still there; the file is kept as {}.",
                path.display()
            )
        });
        let lines: Vec<String> = [keychain, aside, outbox, trouble].into_iter().flatten().collect();
        Ok((!lines.is_empty()).then(|| lines.join(" ")))
    }

    pub(crate) async fn host(&self, _: Nothing) -> Result<HostInfo, ErrorBody> {
        Ok(HostInfo { version: self.host.version.clone(), api: self.sessions.api.config.origin() })
    }
}

impl Drop for Desk {
    /// What goes on beside the window ends with it.
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper() {
            keeper.close();
        }
    }
}

/// Reads from the API, and keeps what it says for when that is out of reach.
async fn fetch(sessions: &Sessions, call: &'static Call, request: &Request, args: &Value) -> Result<Answered, Failure> {
    let pass = sessions.pass().await;
    // Answers are saved for the person who asked, and for nobody when nobody is signed in.
    let key = pass.as_ref().map(|pass| saved_as(pass, call, args));
    let answered = sessions.send(request, pass.as_ref()).await;
    match (&answered, key) {
        // An answer that does not say of when it is may be shown, but not kept.
        (Ok(Answered { data, as_of: Some(as_of), .. }), Some(key)) => {
            sessions.change_saved(&key, |cache| cache.save(&key, data, *as_of)).await;
        }
        // What the person may not see any more must not come back when the network goes.
        (Err(Failure::Refused(error)), Some(key))
            if matches!(error.code, ErrorCode::Forbidden | ErrorCode::NotFound) =>
        {
            sessions.change_saved(&key, |cache| cache.drop_answer(&key)).await;
        }
        _ => {}
    }
    answered
}

fn saved_as(pass: &Pass, call: &'static Call, args: &Value) -> Key {
    Key { account: pass.name.clone(), call: call.name, args: canonical(args) }
}

/// What the copy says to a call; `None` where there is no copy.
fn from_copy(keeper: &Keeper, call: &Call, args: &Value) -> Option<Result<Answer, ErrorBody>> {
    if keeper.is_untrusted() {
        return Some(Err(ErrorBody::new(ErrorCode::Offline, UNTRUSTED)));
    }
    let pages = keeper.pages()?;
    let answered = answer(&pages, &keeper.acts(), keeper.role, call.name, args)?;
    Some(answered.map(|data| Answer { data, as_of: pages.now(), saved: true }))
}

/// What finance reads most, so that it is there without a network: the runs, and the newest three of them.
async fn read_ahead(sessions: Arc<Sessions>, keeper: Arc<Keeper>) {
    while !keeper.is_closed() {
        if let Some(runs) = ahead(&sessions, "runs", &json!({})).await {
            let newest = runs.as_array().into_iter().flatten().filter_map(|run| run["run"].as_str()).take(RUNS_AHEAD);
            for run in newest {
                let _ = ahead(&sessions, "run", &json!({ "run": run })).await;
            }
        }
        tokio::time::sleep(BETWEEN_LOOKS_AHEAD).await;
    }
}

async fn ahead(sessions: &Sessions, call: &str, args: &Value) -> Option<Value> {
    let call = Call::find(call)?;
    let request = Request::of(&sessions.api.config.api, call, args).ok()?;
    fetch(sessions, call, &request, args).await.ok().map(|answered| answered.data)
}

/// For the person who is about to lose what was not sent.
fn not_sent_yet(unsent: usize) -> String {
    match unsent {
        1 => "1 change has not been sent yet. Send it first, or sign out and lose it.".into(),
        _ => format!("{unsent} changes have not been sent yet. Send them first, or sign out and lose them."),
    }
}

pub(crate) fn live(answered: Answered) -> Answer {
    Answer { data: answered.data, as_of: answered.as_of.unwrap_or_else(clock::now), saved: false }
}

/// Makes the folder, for this person alone, and takes its lock.
fn lock(folder: &Path) -> Result<File, StartError> {
    let files = |error: std::io::Error| StartError::Files { path: folder.to_owned(), problem: error.to_string() };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(files)?;
    let lock = File::create(folder.join("desk.lock")).map_err(files)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(std::fs::TryLockError::WouldBlock) => Err(StartError::AlreadyOpen(folder.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(files(error)),
    }
}
