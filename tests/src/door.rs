//! A door between two programs: what one asks of the other goes through it unchanged, and one exchange can be held at a
//! named moment, while somebody dies.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, Method, Request, Response, header, request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Headers that are about one connection and not about what is asked.
const OF_A_CONNECTION: [HeaderName; 3] = [header::CONNECTION, header::HOST, header::TRANSFER_ENCODING];

type Body = UnsyncBoxBody<Bytes, anyhow::Error>;

/// A kind of exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it is called.
    pub name: &'static str,
    /// `GET`, `POST`.
    pub method: &'static str,
    /// The path, in which `*` is one segment; what follows a `?` is the name of a parameter that must be there.
    pub path: &'static str,
}

impl Call {
    /// Whether a request is of this kind.
    pub fn is(&self, method: &Method, path: &str, query: &str) -> bool {
        let (wanted, parameter) = self.path.split_once('?').unwrap_or((self.path, ""));
        let named = |pair: &str| pair.split('=').next() == Some(parameter);
        let mut segments = path.split('/');
        method.as_str() == self.method
            && wanted.split('/').all(|w| segments.next().is_some_and(|s| w == "*" || w == s))
            && segments.next().is_none()
            && (parameter.is_empty() || query.split('&').any(named))
    }
}

/// Where an exchange is held. What is held is never answered: its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It was asked, and is not passed on.
    Before,
    /// It was passed on just now, and is being worked on.
    Amid,
    /// It was carried out, and nothing of its answer is given.
    After,
    /// It was carried out, and half of its answer was given.
    Half,
}

impl Moment {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::Amid => "amid",
            Moment::After => "after",
            Moment::Half => "half answered",
        }
    }
}

/// The door itself. It closes when it is dropped.
#[derive(Debug)]
pub struct Door {
    address: String,
    behind: Arc<Behind>,
    listening: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Behind {
    to: String,
    http: reqwest::Client,
    trap: Mutex<Option<Trap>>,
}

#[derive(Debug)]
struct Trap {
    call: Call,
    moment: Moment,
    reached: oneshot::Sender<()>,
    held: oneshot::Receiver<()>,
}

impl Trap {
    /// Says that it is reached, and waits until it is let go.
    async fn hold(self) {
        // Nobody waits for it any more: it goes at once.
        if self.reached.send(()).is_ok() {
            let _let_go = self.held.await;
        }
    }
}

/// An exchange that is waited for or held. Dropping it lets it go.
#[derive(Debug)]
pub struct Caught {
    reached: oneshot::Receiver<()>,
    _hold: oneshot::Sender<()>,
}

impl Caught {
    /// Waits until the exchange is held, but no longer than this; answers whether it is.
    pub async fn reached(&mut self, within: Duration) -> bool {
        tokio::time::timeout(within, &mut self.reached).await.is_ok_and(|reached| reached.is_ok())
    }
}

impl Door {
    /// A door to the program at an address.
    ///
    /// # Errors
    /// There is no free port, or the HTTP client cannot be made.
    pub async fn to(address: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port for a door")?;
        let own = format!("http://{}", listener.local_addr()?);
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let behind = Arc::new(Behind { to: address.trim_end_matches('/').to_owned(), http, trap: Mutex::default() });
        let listening = tokio::spawn(listen(listener, behind.clone()));
        Ok(Self { address: own, behind, listening })
    }

    /// Its address, without a slash at its end.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Holds the next exchange of a kind at a moment.
    pub fn catch(&self, call: Call, moment: Moment) -> Caught {
        let (reached_at, reached) = oneshot::channel();
        let (hold, held) = oneshot::channel();
        *self.behind.trap.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Trap { call, moment, reached: reached_at, held });
        Caught { reached, _hold: hold }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: TcpListener, behind: Arc<Behind>) {
    // A listener on loopback fails only when this program has too many open files; the test then says what is missing.
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, behind.clone()));
    }
}

async fn serve(stream: TcpStream, behind: Arc<Behind>) {
    let _delay = stream.set_nodelay(true);
    let service = service_fn(|request| pass(&behind, request));
    // An error ends the connection without an answer, which is what a dead program looks like.
    let _ended = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Passes one exchange on, or holds it.
async fn pass(behind: &Behind, request: Request<Incoming>) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let trap = behind.trap(&head);
    let moment = trap.as_ref().map(|trap| trap.moment);
    let (http, passed) = (behind.http.clone(), behind.passed(head, body)?);
    let asked = async move { http.execute(passed).await };
    match (trap, moment) {
        (Some(trap), Some(Moment::Before)) => {
            trap.hold().await;
            Err(anyhow!("held before it was passed on"))
        }
        (Some(trap), Some(Moment::Amid)) => {
            tokio::spawn(asked);
            tokio::task::yield_now().await;
            trap.hold().await;
            Err(anyhow!("held in the midst of it"))
        }
        (Some(trap), Some(Moment::After)) => {
            tokio::spawn(whole(asked)).await??;
            trap.hold().await;
            Err(anyhow!("held before it was answered"))
        }
        (Some(trap), _) => {
            let (head, body) = tokio::spawn(whole(asked)).await??.into_parts();
            let half = body.slice(..body.len() / 2);
            let rest = stream::once(async move {
                trap.hold().await;
                Err(anyhow!("held in the midst of its answer"))
            });
            let frames = stream::once(async move { Ok(Frame::data(half)) }).chain(rest);
            Ok(Response::from_parts(head, StreamBody::new(frames).boxed_unsync()))
        }
        (None, _) => Ok(whole(asked).await?.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync())),
    }
}

impl Behind {
    /// The trap, if this exchange is the one that it waits for.
    fn trap(&self, head: &request::Parts) -> Option<Trap> {
        let mut trap = self.trap.lock().unwrap_or_else(PoisonError::into_inner);
        trap.take_if(|trap| trap.call.is(&head.method, head.uri.path(), head.uri.query().unwrap_or_default()))
    }

    /// The request as the other program gets it.
    fn passed(&self, head: request::Parts, body: Bytes) -> Result<reqwest::Request> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = self.http.request(head.method, format!("{}{path}", self.to));
        Ok(request.headers(of_the_message(head.headers)).body(body).build()?)
    }
}

fn of_the_message(mut headers: HeaderMap) -> HeaderMap {
    for name in &OF_A_CONNECTION {
        headers.remove(name);
    }
    headers
}

/// An answer, read to its end.
async fn whole(asked: impl Future<Output = reqwest::Result<reqwest::Response>>) -> Result<Response<Bytes>> {
    let answer = asked.await?;
    let mut response = Response::builder().status(answer.status()).body(Bytes::new())?;
    *response.headers_mut() = of_the_message(answer.headers().clone());
    *response.body_mut() = answer.bytes().await?;
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_method_path_and_parameter() {
        let is = |path: &'static str, asked: &str, query: &str| {
            Call { name: "", method: "GET", path }.is(&Method::GET, asked, query)
        };
        assert!(is("/v1/runs/*/claims", "/v1/runs/2026-03.1/claims", ""));
        assert!(!is("/v1/runs/*/claims", "/v1/runs/2026-03.1", ""));
        assert!(!is("/v1/runs", "/v1/runs/2026-03.1", ""));
        assert!(is("/v1/transfers?transfer_group", "/v1/transfers", "limit=100&transfer_group=a"));
        assert!(!is("/v1/transfers?transfer_group", "/v1/transfers", "limit=100"));
        assert!(!Call { name: "", method: "POST", path: "/v1/runs" }.is(&Method::GET, "/v1/runs", ""));
    }
}
