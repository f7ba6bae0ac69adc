//! The desktop app without a window: session, saved answers, and the command table.
//!
//! A window asks through [`Desk::dispatch`] alone. A command is either a call of the API ([`wire::CALLS`]) or one of the
//! app's own ([`NATIVES`]). Tokens stay on this side: they are in memory, in the keychain of the computer, and in the
//! headers of requests, and never in an answer, an error or a file.
//!
//! What the app leaves on disk, in its data folder: `answers.db` (saved answers, disposable), `signed_in.json` (who was
//! signed in, without any secret) and `desk.lock` (held while a window is open).

mod account;
mod api;
mod cache;
mod clock;
mod config;
mod desk;
mod files;
mod keychain;
mod links;
mod loopback;
mod money;
mod natives;
mod request;
mod session;

pub use config::{Config, DEFAULT_API, StartError};
pub use desk::{Answer, Desk, Host, Opener};
pub use keychain::{OsKeychain, SecretStore, StoreFault};
pub use money::{KeepMoneyKey, MoneyKey, SendHere, SendingHere};
pub use natives::{
    HostInfo, NATIVES, Native, OpenUrl, SaveFile, SaveOwnFile, SavedFile, SignIn, SignInAtIssuer, SignInDemo,
    typescript,
};
pub use wire::ErrorBody;
