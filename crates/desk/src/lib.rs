//! The desktop app without a window: session, saved answers, and the command table.
//!
//! A window asks through [`Desk::dispatch`] alone. A command is either a call of the API ([`wire::CALLS`]) or one of the
//! app's own ([`NATIVES`]). Tokens stay on this side: they are in memory, in the keychain of the computer, and in the
//! headers of requests, and never in an answer, an error or a file.
//!
//! What the app leaves on disk, in its data folder: `answers.db` (saved answers, disposable), `copy-….db` and `outbox-….db` for
//! each account (an agency's records, disposable; what was done and not sent yet, never disposable), `signed_in.json` (who was
//! signed in, without any secret), `preferences.json` (what was chosen on this computer), `last_sign.json` (when somebody
//! was last at the window) and `desk.lock` (held while a window is open).

mod account;
mod acts;
mod api;
mod cache;
mod clock;
mod config;
mod deep;
mod desk;
mod files;
mod idle;
mod keychain;
mod links;
mod loopback;
mod manners;
mod menu;
mod money;
mod natives;
mod notify;
mod prefs;
mod request;
mod session;
mod sync;
mod words;

pub use config::{Config, DEFAULT_API, StartError};
pub use deep::{Place, SCHEME};
pub use desk::{Answer, Desk, Host, Opener, SavePath, Shell};
pub use keychain::{OsKeychain, SecretStore, StoreFault};
pub use manners::{Events, EventsAfter, Settings, StartAtLogin};
pub use menu::{COPY_LINK, Command, Event, KEYS, MenuItem, SETTINGS, Standing, command_of};
pub use money::{KeepMoneyKey, MoneyKey, SendHere, SendingHere};
pub use natives::{
    DismissAct, HostInfo, NATIVES, Native, OpenUrl, SaveFile, SaveOwnFile, SavedFile, SignIn, SignInAtIssuer,
    SignInDemo, SignOut, typescript,
};
pub use notify::{Kind, News};
pub use prefs::Preferences;
pub use sync::{CopyStanding, CopyState, LineDifference, Progress, RejectedAct, Verified, VerifiedState, WaitingAct};
pub use wire::ErrorBody;
