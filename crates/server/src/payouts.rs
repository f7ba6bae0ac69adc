//! `payouts`: the brake on them, and `payouts run`, the executor. It holds the money key and asks the API, by its own key, what it may send.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use commission::format_minor;
use secrecy::SecretString;
use stripe::{Cancel, Executor, HttpLedger, Ledger as _, Outcome, Progress, Report, StripeHttp, SystemClock};
use wire::Reconciliation;

use crate::{payout_lock, serve};

/// Between two looks for something to send.
const POLL: Duration = Duration::from_secs(1);

/// Commands about payouts.
#[derive(Subcommand)]
pub(crate) enum Payouts {
    /// Send what finance has released.
    Run(Run),
    /// Hold the records against Stripe's transfers and its balance. Fails where they disagree.
    Reconcile(Reconcile),
    /// Whether payouts are locked, and who must agree to unlock them.
    Status {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
    },
    /// Lock payouts: nothing is claimed or sent from now on.
    Lock(payout_lock::Lock),
    /// Agree, as an admin or as one of finance, that payouts are unlocked; it needs one of each.
    Unlock(payout_lock::Unlock),
}

/// Options of `payouts run`.
#[derive(Args)]
pub(crate) struct Run {
    /// Address of the Referral API.
    #[arg(long, default_value = "http://127.0.0.1:8787")]
    api: String,
    /// Stay, and send every run that finance releases, until interrupted.
    #[arg(long)]
    watch: bool,
    /// Name of this executor in the records.
    #[arg(long, default_value = "headless")]
    name: String,
}

/// Options of `payouts reconcile`.
#[derive(Args)]
pub(crate) struct Reconcile {
    /// Folder of the database.
    #[arg(long)]
    data: PathBuf,
    /// The server's configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Transfers of so many days.
    #[arg(long, default_value_t = 40, conflicts_with = "all")]
    days: u32,
    /// Every transfer that there ever was.
    #[arg(long)]
    all: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

fn secret(name: &str, what: &str) -> anyhow::Result<SecretString> {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value.into()),
        _ => bail!("{name} is not set: it must hold {what}"),
    }
}

pub(crate) async fn run(command: Payouts) -> anyhow::Result<()> {
    match command {
        Payouts::Run(options) => send(options).await,
        Payouts::Reconcile(options) => reconcile(options).await,
        Payouts::Status { data } => payout_lock::status(&data).await,
        Payouts::Lock(options) => payout_lock::lock(options).await,
        Payouts::Unlock(options) => payout_lock::unlock(options).await,
    }
}

async fn reconcile(options: Reconcile) -> anyhow::Result<()> {
    let app = serve::configured_app(&options.data, options.config.as_deref())?;
    let days = (!options.all).then_some(options.days);
    let it =
        referral::reconcile(&app, &referral::Actor::Operator, days).await.map_err(|e| anyhow::anyhow!(e.message))?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&it)?);
    } else {
        print!("{}", page(&it));
    }
    match it.found {
        0 => Ok(()),
        1 => bail!("one payout is not explained"),
        n => bail!("{n} payouts are not explained"),
    }
}

/// A reconciliation as text.
fn page(it: &Reconciliation) -> String {
    let since = it.since.map_or("ever made".into(), |since| format!("since {}", since.format("%-d %B %Y, %H:%M UTC")));
    let amount = |minor| format!("{:>16}", format_minor(minor));
    let mut text = format!("Transfers {since}\n\n");
    for (what, minor) in [
        ("Recorded as paid, less what was reversed", it.recorded_minor),
        ("Stripe's transfers, less what was reversed", it.transferred_minor),
        ("Not explained", it.recorded_minor.saturating_sub(it.transferred_minor)),
        ("Taken from the balance by these transfers", it.booked_minor),
    ] {
        text += &format!("{what:<44}{}\n", amount(minor));
    }
    text += &format!("\n{} transfers for payouts, {} for something else", it.transfers, it.others);
    for (n, what) in [(it.settled, "found and recorded just now"), (it.too_new, "too new for Stripe's lists")] {
        if n > 0 {
            text += &format!(", {n} {what}");
        }
    }
    text += ".\n";
    for finding in &it.findings {
        let name = finding.name.as_ref().or(finding.partner.as_ref()).unwrap_or(&finding.item);
        text += &format!("\n{name} ({})\n  {}\n", finding.item, finding.text);
    }
    text
}

async fn send(options: Run) -> anyhow::Result<()> {
    let key = secret("AIKIT_EXECUTOR_KEY", "an executor key (aikit-partners-server key issue --kind executor)")?;
    let money = secret("STRIPE_PAYOUT_KEY", "the restricted Stripe key that may make transfers")?;
    let base = std::env::var("STRIPE_API_BASE").ok().filter(|b| !b.is_empty());
    let ledger = HttpLedger::new(&options.api, &key)?;
    let stripe = StripeHttp::new(money, base.as_deref())?;
    let account = std::env::var("STRIPE_ACCOUNT").ok().filter(|account| !account.is_empty());
    let cancel = Cancel::new();
    let on_interrupt = cancel.clone();
    tokio::spawn(async move {
        interrupted().await;
        tracing::info!("stopping after the items that are on their way");
        on_interrupt.cancel();
    });
    if options.watch {
        let executor = Executor::new(ledger, stripe, options.name, Arc::new(SystemClock)).from_account(account);
        executor.watch(POLL, &cancel, tell).await;
        return Ok(());
    }
    let grants = ledger.grants().await.context("the runs to send cannot be read")?;
    if grants.is_empty() {
        println!("There is nothing to send: no approved run has been released by finance.");
        return Ok(());
    }
    let executor = Executor::new(ledger, stripe, options.name, Arc::new(SystemClock)).from_account(account);
    for grant in &grants {
        let report = executor.run(grant, &cancel, tell).await;
        if let Some(stop) = report.stopped {
            bail!("run {} was not sent to its end. {stop}", grant.run);
        }
        if report.refused + report.review + report.unknown + report.left > 0 {
            bail!("run {}: {}", grant.run, in_words(&report));
        }
    }
    Ok(())
}

fn in_words(r: &Report) -> String {
    let paid = commission::format_minor(r.amount_minor);
    let mut text = format!("{} paid ({paid})", r.paid);
    let others = [
        (r.settled_before, "settled before"),
        (r.unknown, "not known yet"),
        (r.refused, "refused"),
        (r.review, "for a person to look at"),
        (r.left, "not sent"),
    ];
    for (n, what) in others.iter().filter(|(n, _)| *n > 0) {
        text += &format!(", {n} {what}");
    }
    text
}

/// A line that rewrites itself on a terminal; the log keeps the beginning, the end and what went wrong.
fn tell(progress: Progress<'_>) {
    let terminal = std::io::stderr().is_terminal();
    match progress {
        Progress::Started { grant } => tracing::info!(run = grant.run, "sending"),
        Progress::Item { item, outcome, report } => {
            if !matches!(outcome, Outcome::Paid | Outcome::SettledBefore) {
                tracing::warn!(item, ?outcome, "not paid in this pass");
            }
            if terminal {
                eprint!("\r{}   ", in_words(report));
                std::io::stderr().flush().ok();
            }
        }
        Progress::Finished { grant, report } => {
            if terminal {
                eprintln!();
            }
            tracing::info!(run = grant.run, "{}", in_words(report));
        }
    }
}

async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    tokio::signal::ctrl_c().await.ok();
}
