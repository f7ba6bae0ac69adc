//! Stripe's side of `./dev bench api`: signed events over many connections at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::api::CLIENTS;

/// The secret of the endpoint.
pub(crate) const SECRET: &str = "whsec_bench";
/// What happened.
pub(crate) const KIND: &str = "invoice.paid";

pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) body: String,
}

/// Paid invoices as Stripe tells of them, of subscriptions that it has told of before.
pub(crate) fn events(run: &str, n: usize) -> Vec<Event> {
    let event = |i: usize| {
        let number = format!("{run}_{i}");
        let body =
            include_str!("invoice_paid.json").replace("CLIENT", &(i % CLIENTS).to_string()).replace("NUMBER", &number);
        Event { id: format!("evt_{number}"), body }
    };
    (0..n).map(event).collect()
}

fn request(event: &Event, now_s: u64) -> anyhow::Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
    mac.update(format!("{now_s}.{}", event.body).as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    Ok(format!(
        "POST /v1/webhooks/stripe/account HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Stripe/1.0\r\nContent-Type: application/json\r\n\
         Stripe-Signature: t={now_s},v1={signature}\r\nContent-Length: {}\r\n\r\n{}",
        event.body.len(),
        event.body
    )
    .into_bytes())
}

/// Sends signed events, and prints in how many microseconds all of them were answered 200.
pub(crate) fn send(port: u16, run: &str, n: usize, connections: usize) -> anyhow::Result<()> {
    #[expect(clippy::disallowed_methods, reason = "Stripe signs the time of the wall.")]
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let requests: Vec<Vec<u8>> =
        events(run, n).iter().map(|event| request(event, now_s)).collect::<anyhow::Result<_>>()?;
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let begun = Instant::now();
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let (requests, next) = (requests.clone(), next.clone());
            all.spawn(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.set_nodelay(true)?;
                let mut buffer = vec![0; 4096];
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    stream.write_all(request).await?;
                    answered(&mut stream, &mut buffer).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = all.join_next().await {
            done??;
        }
        println!("{}", begun.elapsed().as_micros());
        anyhow::Ok(())
    })
}

/// Waits for one whole answer, which must be a 200.
async fn answered(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut had = 0;
    loop {
        let room = buffer.get_mut(had..).filter(|room| !room.is_empty()).context("the answer is too long")?;
        let n = stream.read(room).await?;
        ensure!(n > 0, "the server closed the connection");
        had += n;
        let text = std::str::from_utf8(&buffer[..had])?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.context("the answer has no length")? {
            ensure!(head.starts_with("HTTP/1.1 200"), "{text}");
            return Ok(());
        }
    }
}
