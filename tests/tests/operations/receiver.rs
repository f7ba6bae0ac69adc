//! An endpoint of AIKit that misbehaves as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Take,
    Fail,
    Redirect,
    Reset,
    Hang,
    /// Takes it, and the answer is lost.
    TakeAndReset,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) signature: String,
    pub(crate) body: String,
}

/// An endpoint of AIKit on loopback that misbehaves as it is told, and then behaves.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    came: Arc<Mutex<Vec<(Does, Came)>>>,
}

impl Receiver {
    pub(crate) async fn open(does: &[Does]) -> Result<Receiver> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let does: Arc<Mutex<VecDeque<Does>>> = Arc::new(Mutex::new(does.iter().copied().collect()));
        let came = Arc::new(Mutex::new(Vec::new()));
        let receiver = Receiver { address, came: Arc::clone(&came) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (does, came) = (Arc::clone(&does), Arc::clone(&came));
                tokio::spawn(async move { Receiver::one(stream, &does, &came).await });
            }
        });
        Ok(receiver)
    }

    async fn one(
        mut stream: tokio::net::TcpStream,
        does: &Mutex<VecDeque<Does>>,
        came: &Mutex<Vec<(Does, Came)>>,
    ) -> Result<()> {
        let mut seen = Vec::new();
        let (head, body) = loop {
            let mut part = [0; 4096];
            let n = stream.read(&mut part).await?;
            ensure!(n > 0, "it ended early");
            seen.extend_from_slice(&part[..n]);
            let text = String::from_utf8_lossy(&seen).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = header(head, "content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        };
        let signature = header(&head, "aikit-signature").unwrap_or_default();
        let does = does.lock().unwrap().pop_front().unwrap_or(Does::Take);
        came.lock().unwrap().push((does, Came { signature, body }));
        let answer = match does {
            Does::Take => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
            Does::Fail => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Does::Redirect => {
                "HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            }
            Does::Reset | Does::TakeAndReset => return Ok(()),
            Does::Hang => {
                // Until the other side has had enough.
                return Ok(stream.read_exact(&mut [0; 1]).await.map(drop)?);
            }
        };
        stream.write_all(answer.as_bytes()).await?;
        Ok(stream.shutdown().await?)
    }

    pub(crate) fn came(&self) -> Vec<(Does, Came)> {
        self.came.lock().unwrap().clone()
    }

    /// What was taken, by event id: how often, and the event.
    pub(crate) fn taken(&self) -> BTreeMap<String, (usize, Value)> {
        let mut taken = BTreeMap::new();
        for (_, came) in self.came().iter().filter(|(does, _)| matches!(does, Does::Take | Does::TakeAndReset)) {
            let event: Value = serde_json::from_str(&came.body).unwrap();
            let id = event["id"].as_str().unwrap().to_owned();
            taken.entry(id).or_insert((0, event)).0 += 1;
        }
        taken
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// The check of docs/webhooks.md, written from there.
pub(crate) fn is_signed(came: &Came, secret: &str, now: DateTime<Utc>) -> bool {
    let parts: Vec<(&str, &str)> = came.signature.split(',').filter_map(|part| part.split_once('=')).collect();
    let Some(t) = parts.iter().find(|(name, _)| *name == "t").map(|(_, t)| *t) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{t}.{}", came.body).as_bytes());
    let fresh = t.parse().is_ok_and(|t: i64| (now.timestamp() - t).abs() <= 300);
    fresh
        && parts
            .iter()
            .any(|(name, v1)| *name == "v1" && hex::decode(v1).is_ok_and(|v1| mac.clone().verify_slice(&v1).is_ok()))
}
