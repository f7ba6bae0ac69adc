//! The end of a sign-in that went through the browser: a port of this computer that waits for it to come back (RFC 8252).

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;
use wire::{ErrorBody, ErrorCode};

use crate::clock;

/// How long a person may take in the browser.
const WAIT: Duration = Duration::from_secs(10 * 60);
/// How long a connection may take to say what it wants: a browser opens some that it never uses.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const HEAD_LIMIT_BYTES: usize = 8 * 1024;

/// A port that is open, and what the browser must bring to it.
pub(crate) struct Loopback {
    listener: TcpListener,
    port: u16,
    state: String,
    /// Shown to the API alone, with the code that the browser brings.
    pub(crate) verifier: String,
}

impl Loopback {
    pub(crate) async fn open() -> Result<Self, ErrorBody> {
        let failed = |why: std::io::Error| unavailable(format!("No port of this computer could be opened ({why})."));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let secret = || clock::secret().ok_or_else(|| unavailable("This computer gives no randomness.".into()));
        Ok(Self { listener, port, state: secret()?, verifier: secret()? })
    }

    /// What the API is told about this program.
    pub(crate) fn program(&self) -> Value {
        json!({ "port": self.port, "state": self.state, "challenge": clock::challenge(&self.verifier) })
    }

    /// The code that the browser brings. Whatever else knocks is turned away.
    pub(crate) async fn code(&self) -> Result<String, ErrorBody> {
        let arrived = async {
            loop {
                let Ok((mut stream, _)) = self.listener.accept().await else { continue };
                let Ok(Some(head)) = tokio::time::timeout(HEAD_TIMEOUT, head(&mut stream)).await else { continue };
                let brought = read(&head, &self.state);
                let (status, text) = match &brought {
                    Some(Ok(_)) => ("200 OK", "You are signed in. Close this page and go back to AIKit Partners."),
                    Some(Err(_)) => ("200 OK", "You are not signed in. AIKit Partners says why; close this page."),
                    None => ("404 Not Found", "There is nothing at this address."),
                };
                // The page may be closed already; what it brought counts all the same.
                let _ = answer(&mut stream, status, text).await;
                if let Some(brought) = brought {
                    return brought;
                }
            }
        };
        let late = || unavailable("Nobody came back from the browser within ten minutes. Begin again.".into());
        let brought = tokio::time::timeout(WAIT, arrived).await.map_err(|_| late())?;
        brought.map_err(|message| ErrorBody::new(ErrorCode::SignedOut, message))
    }
}

fn unavailable(message: String) -> ErrorBody {
    ErrorBody::new(ErrorCode::Unavailable, message)
}

/// The first line of a request; `None` when there is none within the limit.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut part = [0; 1024];
    while !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = stream.read(&mut part).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(part.get(..n)?);
        if bytes.len() > HEAD_LIMIT_BYTES {
            return None;
        }
    }
    String::from_utf8(bytes).ok()?.lines().next().map(str::to_owned)
}

/// What a request brings: a code, or why there is none; `None` when it is not the browser that was sent out. Pure.
fn read(line: &str, state: &str) -> Option<Result<String, String>> {
    let path = line.strip_prefix("GET ")?.split(' ').next()?;
    let url = Url::parse("http://127.0.0.1").ok()?.join(path).ok()?;
    let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if url.host_str() != Some("127.0.0.1") || url.path() != "/" || value("state").as_deref() != Some(state) {
        return None;
    }
    match (value("code"), value("error")) {
        (Some(code), None) => Some(Ok(code)),
        (None, Some(why)) => Some(Err(why.chars().filter(|c| !c.is_control()).take(400).collect())),
        _ => None,
    }
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) -> std::io::Result<()> {
    let page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>AIKit Partners</title><body style='font:16px/1.5 system-ui;max-width:32rem;margin:20vh auto;\
         padding:0 1rem;color-scheme:light dark'><p>{text}</p>"
    );
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'\r\n\
         referrer-policy: no-referrer\r\nconnection: close\r\n\r\n{page}",
        page.len()
    );
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_browser_that_was_sent_out_is_heard() {
        let heard = |line: &str| read(line, "s3cret");
        assert_eq!(heard("GET /?state=s3cret&code=abc HTTP/1.1"), Some(Ok("abc".into())));
        assert_eq!(heard("GET /?state=s3cret&error=Not%20you. HTTP/1.1"), Some(Err("Not you.".into())));
        for other in [
            "GET /favicon.ico HTTP/1.1",
            "GET /?state=other&code=abc HTTP/1.1",
            "GET /?code=abc HTTP/1.1",
            "GET /?state=s3cret HTTP/1.1",
            "GET /?state=s3cret&code=a&error=b HTTP/1.1",
            "GET //evil.example/?state=s3cret&code=abc HTTP/1.1",
            "GET /x?state=s3cret&code=abc HTTP/1.1",
            "POST /?state=s3cret&code=abc HTTP/1.1",
            "",
        ] {
            assert_eq!(heard(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_knocks_is_turned_away(line in prop_oneof![any::<String>(), "GET /[?&=a-z%/0-9]{0,60} HTTP/1.1"]) {
            prop_assert_eq!(read(&line, "0123456789abcdef0123456789"), None);
        }
    }
}
