//! `aikit-partners-server`: the Referral API on SQLite with the web dashboard, and the operator's commands.

mod audit;
mod background;
mod backup;
mod config;
mod doctor;
mod export;
mod forecast;
mod host;
mod inbox;
mod journal;
mod listen;
mod logs;
mod mail;
mod payout_lock;
mod payouts;
mod people;
mod serve;
mod statements;
mod verify;
mod webhooks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "aikit-partners-server",
    version,
    about = "The AIKit partner-referral API on SQLite, and the operator's commands."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How lines of the log look; RUST_LOG says how many there are.
    #[arg(long, global = true, value_enum, default_value_t, env = "AIKIT_LOG_FORMAT")]
    log_format: logs::LogFormat,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and the web dashboard on one port.
    Serve(serve::Serve),
    /// Send approved runs: the program that holds the money key (STRIPE_PAYOUT_KEY).
    Payouts {
        #[command(subcommand)]
        command: payouts::Payouts,
    },
    /// Look whether everything is as it must be, and say what to do where it is not.
    Doctor(doctor::Doctor),
    /// Copy the whole database into a file, while it is in use.
    Backup(backup::Backup),
    /// Make a database out of a backup, with payouts locked.
    Restore(backup::Restore),
    /// Write the whole database as text (SQL), or say what each of its tables holds.
    Export(export::Export),
    /// Make a database out of such a text, with payouts locked.
    Import(export::Import),
    /// What AIKit was told by webhook.
    Webhooks {
        #[command(subcommand)]
        command: webhooks::Webhooks,
    },
    /// Compute every partner's statement from a journal.
    Statements(statements::Statements),
    /// Say what differs between the statements of two instants, journals or terms, line by line, and why.
    Diff(statements::Diff),
    /// Compute what the coming months bring a partner, if they go as supposed.
    Forecast(forecast::Options),
    /// Say whether a payout receipt (PDF) follows from the facts that it carries.
    Verify(verify::Verify),
    /// Write the stored facts as a journal, and the terms beside it.
    Journal(journal::Journal),
    /// The audit chain.
    Audit {
        #[command(subcommand)]
        command: audit::Audit,
    },
    /// Stripe's events: list them, try them again, read them all again.
    Inbox {
        #[command(subcommand)]
        command: inbox::Inbox,
    },
    /// Keys of programs.
    Key {
        #[command(subcommand)]
        command: people::Key,
    },
    /// AIKit's own people.
    Staff {
        #[command(subcommand)]
        command: people::Staff,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    logs::begin(cli.log_format);
    match run(cli.command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("aikit-partners-server: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs a command: 0 when all is well, 1 when what was looked at is not as it must be, and 2 for an error.
async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Serve(options) => serve::serve(options).await,
        Command::Payouts { command } => payouts::run(command).await,
        Command::Doctor(options) => doctor::run(&options).await,
        Command::Backup(options) => backup::backup(&options),
        Command::Restore(options) => backup::restore(&options).await,
        Command::Export(options) => export::export(&options),
        Command::Import(options) => export::import(&options).await,
        Command::Webhooks { command } => webhooks::run(command).await,
        Command::Statements(options) => statements::run(&options),
        Command::Diff(options) => statements::run_diff(&options),
        Command::Forecast(options) => forecast::run(&options),
        Command::Verify(options) => return verify::run(&options),
        Command::Journal(options) => journal::run(options).await,
        Command::Inbox { command } => inbox::run(command).await,
        Command::Audit { command } => audit::run(command).await,
        Command::Key { command } => people::key(command).await,
        Command::Staff { command } => people::staff(command).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}
