//! `inbox`: Stripe's events as the operator sees them, tried again, and read again from the beginning.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use wire::InboxQuery;

use crate::serve;

#[derive(Subcommand)]
pub(crate) enum Inbox {
    /// List events, the newest first: when each came, where it stands, and why.
    List {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// received, done, waiting, ignored or failed; without it, all.
        #[arg(long)]
        state: Option<String>,
    },
    /// Try events again: one of them, or all that failed or wait for an answer of Stripe.
    Retry {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// Configuration file (TOML) that the API is served with.
        #[arg(long)]
        config: Option<PathBuf>,
        /// evt_…
        event: Option<String>,
    },
    /// Read the whole inbox again in a copy of the database, and compare the journal that comes of it. Changes nothing.
    Replay {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// Configuration file (TOML) that the API is served with.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

pub(crate) async fn run(command: Inbox) -> anyhow::Result<()> {
    match command {
        Inbox::List { data, state } => list(&data, state).await,
        Inbox::Retry { data, config, event } => {
            let app = serve::configured_app(&data, config.as_deref())?;
            let n = referral::retry_events(&app, event.as_deref()).await?;
            println!("{n} tried again; `inbox list --state failed` and `--state waiting` show what is left.");
            Ok(())
        }
        Inbox::Replay { data, config } => replay(&data, config.as_deref()).await,
    }
}

async fn list(data: &Path, state: Option<String>) -> anyhow::Result<()> {
    let app = serve::existing_app(data)?;
    let mut query = InboxQuery { state, cursor: None };
    loop {
        let page = referral::inbox_events(&app, &query).await?;
        for e in page.events {
            let mut why = e.note.unwrap_or_default();
            if !e.waits_for.is_empty() {
                why = format!("waits for {}  {why}", e.waits_for.join(" or "));
            }
            let at = e.received_at.format("%Y-%m-%d %H:%M:%S");
            println!("{at}  {:<8}  {}  {}  {}", e.state, e.event, e.kind, why.trim());
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return Ok(()),
        }
    }
}

/// The copy goes with the comparison.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("the copy {} is still there: {error}", self.0.display());
        }
    }
}

async fn replay(data: &Path, config: Option<&Path>) -> anyhow::Result<()> {
    let before = referral::stripe_facts(&serve::existing_app(data)?).await?;
    let copy = Copy(data.join(format!("replay-{}", std::process::id())));
    serve::copy_database(data, &copy.0).context("the database cannot be copied beside itself")?;
    let app = serve::configured_app(&copy.0, config)?;
    referral::forget_replayable(&app).await?;
    let read = referral::take_over_inbox(&app).await?;
    let after = referral::stripe_facts(&app).await?;
    drop(app);
    let differences = differences(&before, &after);
    for line in differences.iter().take(20) {
        eprintln!("{line}");
    }
    if !differences.is_empty() {
        bail!("{} of {} facts come out differently when the inbox is read again", differences.len(), before.len());
    }
    println!("{read} events read again: the same {} facts.", before.len());
    Ok(())
}

/// Facts that are missing, new or different, a line each.
fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let gone = before.iter().filter(|(id, _)| !after.contains_key(*id)).map(|(id, _)| format!("missing    {id}"));
    let other = after.iter().filter_map(|(id, body)| match before.get(id) {
        None => Some(format!("new        {id}")),
        Some(known) if known != body => Some(format!("different  {id}\n  was {known}\n  is  {body}")),
        Some(_) => None,
    });
    gone.chain(other).collect()
}
