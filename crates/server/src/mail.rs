//! E-mail: through a server (`SMTP_URL`), or as files in a folder where none is configured.

use std::path::Path;

use anyhow::Context as _;
use lettre::message::Mailbox;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::{AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use referral::db::BoxFut;
use referral::ports::{Letter, Mail};

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

    /// Whether the mail server answers; files always do.
    pub(crate) async fn reachable(&self) -> Result<(), String> {
        match &self.transport {
            Transport::Files(_) => Ok(()),
            Transport::Smtp(smtp) => match smtp.test_connection().await {
                Ok(true) => Ok(()),
                Ok(false) => Err("the mail server does not greet us".into()),
                Err(error) => Err(why(&error)),
            },
        }
    }
}

/// Why a mail server did not take it. Never its own words: they repeat addresses.
fn why(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("the mail server refused it ({code})"),
        None if error.is_timeout() => "the mail server did not answer in time".into(),
        None if error.is_tls() => "the mail server's certificate or TLS was not accepted".into(),
        None => "the mail server could not be reached".into(),
    }
}

/// A header of a message that the library has no type for.
fn header(name: &str, value: String) -> Result<HeaderValue, String> {
    let name = HeaderName::new_from_ascii(name.into()).map_err(|_| "a header cannot be written".to_string())?;
    Ok(HeaderValue::new(name, value))
}

fn message(from: &Mailbox, letter: Letter) -> Result<Message, String> {
    let to = letter.to.parse().map_err(|_| "the address cannot be written to".to_string())?;
    let mut message = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(letter.subject)
        .message_id(letter.message_id)
        .header(ContentType::TEXT_PLAIN);
    if let Some(url) = letter.unsubscribe {
        message = message
            .raw_header(header("List-Unsubscribe", format!("<{url}>"))?)
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".into())?);
    }
    message.body(letter.text).map_err(|_| "the message cannot be written".to_string())
}

impl Mail for Outgoing {
    fn post(&self, letter: Letter) -> BoxFut<'_, Result<(), String>> {
        Box::pin(async move {
            let message = message(&self.from, letter)?;
            match &self.transport {
                Transport::Smtp(smtp) => smtp.send(message).await.map(drop).map_err(|e| why(&e)),
                Transport::Files(files) => {
                    files.send(message).await.map(drop).map_err(|_| "the outbox cannot be written".into())
                }
            }
        })
    }
}
