//! The table of the app's own commands: what a window can ask for that is not a call of the API.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::{Config, TS};
use wire::{Account, ErrorBody, ErrorCode};

use crate::desk::Desk;
use crate::manners::{Events, EventsAfter, Settings, StartAtLogin};
use crate::menu::Event;
use crate::money::{KeepMoneyKey, MoneyKey, SendHere, SendingHere};
use crate::prefs::Preferences;
use crate::sync::{
    CopyStanding, CopyState, LineDifference, Progress, RejectedAct, Verified, VerifiedState, WaitingAct,
};

/// One of the app's own commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native {
    /// Name, as the page says it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
}

macro_rules! natives {
    ($( #[doc = $doc:literal] $name:ident ($args:ty) -> $answer:ty = $run:ident; )*) => {
        /// Every command of the app's own.
        pub const NATIVES: &[Native] = &[ $( Native { name: stringify!($name), doc: $doc.trim_ascii() }, )* ];

        /// Runs the command of that name; `None` when there is none.
        pub(crate) async fn dispatch(desk: &Desk, cmd: &str, args: &Value) -> Option<Result<Value, ErrorBody>> {
            match cmd {
                $( stringify!($name) => Some(async {
                    let answer: $answer = desk.$run(from_value::<$args>(cmd, args)?).await?;
                    to_value(&answer)
                }.await), )*
                _ => None,
            }
        }

        fn signatures(config: &Config) -> Vec<(String, String)> {
            vec![ $( (<$args as TS>::name(config), <$answer as TS>::name(config)), )* ]
        }
    };
}

natives! {
    /// Who is signed in; the account as it was last seen when the API is out of reach.
    resume(Nothing) -> Option<Account> = resume;
    /// Sign in with the code that came by e-mail.
    sign_in(SignIn) -> Account = sign_in;
    /// Sign in as one of the demo's people.
    sign_in_demo(SignInDemo) -> Account = sign_in_demo;
    /// Sign in at the issuer, in the person's browser; answers when the person is back.
    sign_in_at_issuer(SignInAtIssuer) -> Account = sign_in_at_issuer;
    /// Give up waiting for the browser.
    stop_waiting(Nothing) -> () = stop_waiting;
    /// Sign out, and delete what was saved for the account. Refused while acts wait to be sent, unless they are discarded.
    sign_out(SignOut) -> () = sign_out;
    /// How the copy of the records on this computer is, and what waits to be sent.
    copy_state(Nothing) -> CopyState = copy_state;
    /// Send what waits and make the copy fresh, now; answers when that is done.
    sync_now(Nothing) -> CopyState = sync_now;
    /// The window is looked at again: make the copy fresh beside it.
    focused(Nothing) -> () = focused;
    /// Stop the copy that is on its way; the next goes on from there.
    cancel_sync(Nothing) -> CopyState = cancel_sync;
    /// Take an act off the list that was refused.
    dismiss_act(DismissAct) -> CopyState = dismiss_act;
    /// The lines in which this computer and the API differ.
    statement_differences(Nothing) -> Vec<LineDifference> = statement_differences;
    /// Save a file of the API's where the person wants it.
    save(SaveFile) -> SavedFile = save;
    /// Save a file that the page made in the person's folder of downloads.
    save_own(SaveOwnFile) -> SavedFile = save_own;
    /// Show an address in the browser.
    open(OpenUrl) -> () = open_url;
    /// What the person should know about this computer, such as a keychain that is missing.
    banner(Nothing) -> Option<String> = banner;
    /// The key with which this computer sends payouts, as far as anybody may see it.
    money_key(Nothing) -> MoneyKey = money_key;
    /// Keep a key in the keychain, once Stripe has been asked with it.
    keep_money_key(KeepMoneyKey) -> MoneyKey = keep_money_key;
    /// Forget it.
    forget_money_key(Nothing) -> MoneyKey = forget_money_key;
    /// Send a run from this computer.
    send_here(SendHere) -> SendingHere = send_here;
    /// What this computer sends, or sent last.
    sending_here(Nothing) -> SendingHere = sending_here;
    /// Stop sending, after what is on its way.
    stop_sending(Nothing) -> SendingHere = stop_sending;
    /// What was chosen on this computer, and what can be.
    preferences(Nothing) -> Settings = settings;
    /// Choose.
    set_preferences(Preferences) -> Settings = choose;
    /// Let the app start with the computer, or not.
    start_at_login(StartAtLogin) -> Settings = start_at_login;
    /// What happened outside of the page since it asked last; waits for something, for up to 25 seconds.
    events(EventsAfter) -> Events = events;
    /// Somebody is at the window.
    active(Nothing) -> () = active;
    /// Whether whoever is signed in must prove themselves before the window shows anything.
    locked(Nothing) -> bool = locked;
    /// What app this is.
    host(Nothing) -> HostInfo = host;
}

/// No arguments.
#[derive(Debug, Default, Deserialize, TS)]
pub(crate) struct Nothing {}

/// Arguments of `sign_in`.
#[derive(Deserialize, TS)]
pub struct SignIn {
    /// Address of the person.
    pub email: String,
    /// The six digits.
    pub code: String,
}

/// Arguments of `sign_in_demo`.
#[derive(Debug, Deserialize, TS)]
pub struct SignInDemo {
    /// Id from the call `demo_people`.
    pub person: String,
}

/// Arguments of `sign_in_at_issuer`.
#[derive(Debug, Deserialize, TS)]
pub struct SignInAtIssuer {
    /// The person who is signed in proves it once more.
    pub confirm: bool,
}

/// Arguments of `sign_out`.
#[derive(Debug, Default, Deserialize, TS)]
pub struct SignOut {
    /// What was not sent is lost.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub discard: bool,
}

/// Arguments of `dismiss_act`.
#[derive(Debug, Deserialize, TS)]
pub struct DismissAct {
    /// Id of the act.
    pub mid: String,
}

/// Arguments of `open`.
#[derive(Debug, Deserialize, TS)]
pub struct OpenUrl {
    /// A whole address.
    pub url: String,
}

/// Arguments of `save`.
#[derive(Debug, Deserialize, TS)]
pub struct SaveFile {
    /// Name of the file in the table of downloads.
    pub file: String,
    /// Arguments of that entry.
    #[ts(type = "object")]
    pub args: Value,
}

/// Arguments of `save_own`.
#[derive(Debug, Deserialize, TS)]
pub struct SaveOwnFile {
    /// What it is to be called; of it only what every system takes is kept.
    pub name: String,
    /// What is in it, in base64.
    pub base64: String,
}

/// Answer of `save` and `save_own`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct SavedFile {
    /// Where it is now; `null` when the person wanted no file after all.
    pub path: Option<String>,
}

/// Answer of `host`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
pub struct HostInfo {
    /// Version of the app.
    pub version: String,
    /// Address of the API.
    pub api: String,
}

fn from_value<T: DeserializeOwned>(cmd: &str, args: &Value) -> Result<T, ErrorBody> {
    let args = if args.is_null() { Value::Object(serde_json::Map::new()) } else { args.clone() };
    // The parser's own message would quote what was typed.
    serde_json::from_value(args).map_err(|_| {
        let message = format!("The page asked for `{cmd}` with arguments that it does not take.");
        ErrorBody::new(ErrorCode::Invalid, message)
    })
}

/// An answer as JSON.
pub(crate) fn to_value<T: Serialize>(answer: &T) -> Result<Value, ErrorBody> {
    serde_json::to_value(answer).map_err(|error| {
        let message = format!("The answer could not be passed on to the page: {error}.");
        ErrorBody::new(ErrorCode::Unavailable, message)
    })
}

/// The TypeScript of the table: the type `Natives`, arguments and answer by name. It takes `Account` from the module
/// `bindings`, which is the TypeScript of the calls.
pub fn typescript(bindings: &str) -> String {
    let config = Config::new().with_large_int("number");
    let mut out = format!(
        "// Generated from crates/desk by `./dev gen`. Do not edit.\n\nimport type {{ Account }} from '{bindings}';\n\n"
    );
    for declaration in [
        SignIn::decl(&config),
        SignInDemo::decl(&config),
        SignInAtIssuer::decl(&config),
        SignOut::decl(&config),
        CopyStanding::decl(&config),
        Progress::decl(&config),
        WaitingAct::decl(&config),
        RejectedAct::decl(&config),
        VerifiedState::decl(&config),
        Verified::decl(&config),
        CopyState::decl(&config),
        DismissAct::decl(&config),
        LineDifference::decl(&config),
        OpenUrl::decl(&config),
        SaveFile::decl(&config),
        SaveOwnFile::decl(&config),
        SavedFile::decl(&config),
        HostInfo::decl(&config),
        MoneyKey::decl(&config),
        KeepMoneyKey::decl(&config),
        SendHere::decl(&config),
        SendingHere::decl(&config),
        Preferences::decl(&config),
        Settings::decl(&config),
        StartAtLogin::decl(&config),
        EventsAfter::decl(&config),
        Event::decl(&config),
        Events::decl(&config),
    ] {
        let _ = writeln!(out, "export {declaration}\n");
    }
    out.push_str("/** Arguments and answer of every command of the desktop app's own. */\nexport type Natives = {\n");
    for (native, (args, answer)) in NATIVES.iter().zip(signatures(&config)) {
        let args = if args == "Nothing" { "Record<string, never>" } else { &args };
        let _ = writeln!(out, "  /** {} */\n  {}: {{ args: {args}; answer: {answer} }};", native.doc, native.name);
    }
    out.push_str("};\n");
    out
}
