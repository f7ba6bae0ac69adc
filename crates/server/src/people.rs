//! `staff` and `key`: who may sign in, and which programs may call, for whoever has the machine.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use referral::Actor;
use wire::{KeyKind, Role};

use crate::serve::offline_app;

/// AIKit's own people.
#[derive(Subcommand)]
pub(crate) enum Staff {
    /// Let somebody sign in.
    Add {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// Address of the person.
        email: String,
        /// What the person may do.
        #[arg(long, value_enum)]
        role: StaffRole,
    },
    /// End somebody's access and all sessions. What the person approved stays on record.
    Remove {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// Address of the person.
        email: String,
    },
}

/// Roles of AIKit's own people.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum StaffRole {
    Staff,
    Finance,
    Admin,
    Auditor,
}

/// Keys of programs.
#[derive(Subcommand)]
pub(crate) enum Key {
    /// Issue a key. It is printed once and stored as a hash.
    Issue {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// For AIKit's backend, or for a program that sends runs.
        #[arg(long, value_enum)]
        kind: Kind,
        /// What it is for, for the list of keys.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Show all keys: id, kind, when issued and revoked, how the key begins, and what it is for.
    List {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
    },
    /// Revoke a key, at once and for good.
    Revoke {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// Id of the key, as `key list` shows it.
        key: String,
    },
}

/// What a key opens.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Server,
    Executor,
}

const WHEN: &str = "%-d %B %Y, %H:%M UTC";

pub(crate) async fn staff(command: Staff) -> anyhow::Result<()> {
    match command {
        Staff::Add { data, email, role } => {
            let app = offline_app(&data)?;
            let role = match role {
                StaffRole::Staff => Role::Staff,
                StaffRole::Finance => Role::Finance,
                StaffRole::Admin => Role::Admin,
                StaffRole::Auditor => Role::Auditor,
            };
            referral::add_person(&app, &Actor::Operator, &email, role).await.context("nobody was added")?;
            println!("{email} can sign in from {} on.", app.host.now().format(WHEN));
        }
        Staff::Remove { data, email } => {
            let app = offline_app(&data)?;
            let email = referral::remove_person(&app, &Actor::Operator, &email).await.context("nobody was removed")?;
            println!("{email} is signed out everywhere and cannot sign in any more.");
        }
    }
    Ok(())
}

pub(crate) async fn key(command: Key) -> anyhow::Result<()> {
    match command {
        Key::Issue { data, kind, label } => {
            let app = offline_app(&data)?;
            let kind = match kind {
                Kind::Server => KeyKind::Server,
                Kind::Executor => KeyKind::Executor,
            };
            let issued =
                referral::issue_key(&app, &Actor::Operator, kind, &label).await.context("the key was not issued")?;
            println!("{}", issued.secret);
        }
        Key::List { data } => {
            for key in referral::list_keys(&offline_app(&data)?).await? {
                let until = key.revoked_at.map_or_else(|| "good".into(), |at| format!("revoked {}", at.format(WHEN)));
                let (kind, issued) = (key.kind.name(), key.issued_at.format(WHEN));
                println!("{}  {kind:8}  issued {issued}  {until}  {}…  {}", key.key, key.hint, key.label);
            }
        }
        Key::Revoke { data, key } => {
            let app = offline_app(&data)?;
            referral::revoke_key(&app, &Actor::Operator, &key).await.context("nothing was revoked")?;
            println!("{key} opens nothing any more.");
        }
    }
    Ok(())
}
