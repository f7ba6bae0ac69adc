//! `webhooks`: the log of what AIKit was told, and telling it again.

use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Subcommand, ValueEnum};
use wire::{DeliveryState, WebhookDeliveries};

use crate::serve;

/// Commands about webhooks to AIKit.
#[derive(Subcommand)]
pub(crate) enum Webhooks {
    /// The newest deliveries.
    List {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// Only those that stand so.
        #[arg(long, value_enum)]
        state: Option<State>,
        /// Only those with a smaller number.
        #[arg(long)]
        before: Option<i64>,
    },
    /// Deliver again, with three days of tries.
    Resend {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// Configuration file (TOML) that names the endpoints.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Numbers of the deliveries, as `list` shows them.
        #[arg(required = true)]
        deliveries: Vec<i64>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum State {
    Due,
    Delivered,
    Failed,
}

impl From<State> for DeliveryState {
    fn from(state: State) -> Self {
        match state {
            State::Due => DeliveryState::Due,
            State::Delivered => DeliveryState::Delivered,
            State::Failed => DeliveryState::Failed,
        }
    }
}

pub(crate) async fn run(command: Webhooks) -> anyhow::Result<()> {
    match command {
        Webhooks::List { data, state, before } => {
            let asked = WebhookDeliveries { state: state.map(Into::into), endpoint: None, before };
            let app = serve::existing_app(&data)?;
            let rows = referral::webhook_deliveries(&app, &asked).await?;
            if rows.is_empty() {
                println!("No deliveries.");
            }
            let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
            for d in rows {
                let fate = match (d.state, d.due_at, d.delivered_at) {
                    (_, _, Some(at)) => format!("delivered {}", time(at)),
                    (_, Some(at), _) => format!("due {}", time(at)),
                    _ => "failed".to_string(),
                };
                let note = d.last_note.map(|n| format!("  {n}")).unwrap_or_default();
                let tries = if d.attempts == 1 { "try" } else { "tries" };
                println!("{:>8}  {:<12} {:<48} {fate}, {} {tries}{note}", d.delivery, d.endpoint, d.event, d.attempts);
            }
        }
        Webhooks::Resend { data, config, deliveries } => {
            let app = serve::configured_app(&data, config.as_deref())?;
            for delivery in deliveries {
                let again = referral::resend_webhook(&app, &referral::Actor::Operator, delivery).await;
                again.map_err(|e| anyhow::anyhow!("{delivery}: {e}"))?;
                println!("{delivery} is due again; the running server delivers it.");
            }
        }
    }
    Ok(())
}
