//! E-mail: through a server (`SMTP_URL`), or as files in a folder where none is configured.

use std::path::Path;

use anyhow::Context as _;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use referral::db::BoxFut;
use referral::ports::Mail;

/// Where messages go.
pub(crate) struct Outgoing {
    from: Mailbox,
    transport: Transport,
}

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Files(AsyncFileTransport<Tokio1Executor>),
}

impl Outgoing {
    /// `smtp_url` as `smtps://user:password@host` or `smtp://…?tls=required`; without one, files in `data/outbox`.
    pub(crate) fn new(data: &Path, smtp_url: Option<&str>, from: &str) -> anyhow::Result<Self> {
        let from = from.parse().with_context(|| format!("the sender «{from}» is not an address"))?;
        let transport = match smtp_url {
            Some(url) => Transport::Smtp(
                AsyncSmtpTransport::<Tokio1Executor>::from_url(url).context("SMTP_URL cannot be used")?.build(),
            ),
            None => {
                let outbox = data.join("outbox");
                std::fs::create_dir_all(&outbox)
                    .with_context(|| format!("the folder {} cannot be made", outbox.display()))?;
                Transport::Files(AsyncFileTransport::new(outbox))
            }
        };
        Ok(Outgoing { from, transport })
    }
}

impl Mail for Outgoing {
    fn send(&self, to: String, subject: String, text: String) -> BoxFut<'_, Result<(), String>> {
        Box::pin(async move {
            let to = to.parse().map_err(|_| "the address cannot be written to".to_string())?;
            let message = Message::builder()
                .from(self.from.clone())
                .to(to)
                .subject(subject)
                .header(ContentType::TEXT_PLAIN)
                .body(text)
                .map_err(|e| e.to_string())?;
            match &self.transport {
                Transport::Smtp(smtp) => smtp.send(message).await.map(drop).map_err(|e| e.to_string()),
                Transport::Files(files) => files.send(message).await.map(drop).map_err(|e| e.to_string()),
            }
        })
    }
}
