//! `fake-stripe`: runs the stand-in until it is stopped.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use clap::Parser;
use fake_stripe::{Endpoint, Options, start};

/// A stateful stand-in for Stripe on 127.0.0.1, for the demo and the tests only.
#[derive(Parser)]
#[command(name = "fake-stripe", version)]
struct Arguments {
    /// Port on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 12111)]
    port: u16,
    /// SQLite file of the state; made when absent.
    #[arg(long, default_value = "fake-stripe.sqlite")]
    data: PathBuf,
    /// Receives the platform's events; kept in the state.
    #[arg(long, requires = "account_secret")]
    account_webhook: Option<String>,
    /// Signing secret of --account-webhook.
    #[arg(long, env = "STRIPE_WEBHOOK_SECRET_ACCOUNT", hide_env_values = true)]
    account_secret: Option<String>,
    /// Receives the connected accounts' events; kept in the state.
    #[arg(long, requires = "connect_secret")]
    connect_webhook: Option<String>,
    /// Signing secret of --connect-webhook.
    #[arg(long, env = "STRIPE_WEBHOOK_SECRET_CONNECT", hide_env_values = true)]
    connect_secret: Option<String>,
    /// First instant of a new state, such as 2026-01-01T00:00:00Z; real time by default.
    #[arg(long)]
    now: Option<String>,
    /// Ids of a new state follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder into which everything that is asked, answered and delivered is written.
    #[arg(long, env = "FAKE_STRIPE_EXCHANGES")]
    exchanges: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let endpoint = |url: Option<String>, secret: Option<String>| {
        Some(Endpoint { url: url?, secret: secret?, enabled_events: None })
    };
    let options = Options {
        port: arguments.port,
        data: arguments.data,
        account_webhook: endpoint(arguments.account_webhook, arguments.account_secret),
        connect_webhook: endpoint(arguments.connect_webhook, arguments.connect_secret),
        now: arguments.now,
        seed: arguments.seed,
        exchanges: arguments.exchanges,
    };
    let standin = match start(options).await {
        Ok(standin) => standin,
        Err(error) => {
            eprintln!("fake-stripe: {error}");
            return ExitCode::from(2);
        }
    };
    let line = writeln!(std::io::stdout(), "fake-stripe listens on http://{}", standin.address());
    match line.and(standin.serve(interrupted()).await) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-stripe: it stopped because of the network: {error}.");
            ExitCode::FAILURE
        }
    }
}

/// Ready when the process is asked to end.
async fn interrupted() {
    let ended = tokio::signal::ctrl_c().await;
    if let Err(error) = ended {
        tracing::warn!(%error, "Ctrl-C cannot be watched; end the process by its id");
        std::future::pending::<()>().await;
    }
}
