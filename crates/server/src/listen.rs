//! Connections: how many, how fast, how long; and an end that answers everything that was accepted.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use referral::ports::Caller;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::timeout::RequestBodyDeadlineLayer;
use wire::{ErrorBody, ErrorCode};

use crate::config::Limits;
use referral::ports::is_public;

/// Longest head of a request, in bytes.
const HEAD_LIMIT: usize = 32 * 1024;
/// How long an end waits for what is being answered.
const END_WITHIN: Duration = Duration::from_secs(30);
/// After this many requests the addresses that have been quiet are forgotten.
const TIDY_EVERY: usize = 10_000;

/// Serves until `stop`, then answers what was accepted and ends. `proxies` of our own stand in front.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    proxies: usize,
    stop: impl Future<Output = ()>,
) {
    let router = router
        .layer(RequestBodyDeadlineLayer::new(seconds(limits.body_timeout_s)))
        .layer(middleware::from_fn_with_state(Arc::new(Rates::new(limits)), limit_rate))
        .layer(middleware::from_fn_with_state(proxies, name_caller));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(seconds(limits.head_timeout_s)).max_buf_size(HEAD_LIMIT);
    let doors = Doors::new(limits, proxies);
    let graceful = GracefulShutdown::new();
    let answer = |stream: TcpStream, peer: SocketAddr, place: Place| {
        let router = router.clone();
        let service = tower::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            tower::ServiceExt::oneshot(router.clone(), request)
        });
        stream.set_nodelay(true).ok();
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // What breaks off is the client's affair.
            connection.await.ok();
            drop(place);
        });
    };
    let mut stop = std::pin::pin!(stop);
    loop {
        let free = tokio::select! {
            free = doors.wait() => free,
            () = &mut stop => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(place) = doors.enter(peer.ip(), free) {
                    answer(stream, peer, place);
                }
            }
            Err(error) => {
                // Out of descriptors, for example: what is open goes on, and frees some.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // Who knocked before the end is let in.
    while let (Ok(Ok((stream, peer))), Some(free)) =
        (tokio::time::timeout(Duration::ZERO, listener.accept()).await, doors.try_wait())
    {
        if let Some(place) = doors.enter(peer.ip(), free) {
            answer(stream, peer, place);
        }
    }
    drop(listener);
    let open = graceful.count();
    tracing::info!(open, "ending: answering what was accepted");
    if tokio::time::timeout(END_WITHIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests took more than {} s and were cut off", END_WITHIN.as_secs());
    }
}

fn seconds(s: u32) -> Duration {
    Duration::from_secs(s.into())
}

/// One key for everybody who can choose among many addresses: IPv6 networks are counted by /64.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Places for connections.
struct Doors {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
    limits: Limits,
    proxies: usize,
}

/// A connection's place; free again when it is dropped.
struct Place {
    _one: OwnedSemaphorePermit,
    of: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Doors {
    fn new(limits: Limits, proxies: usize) -> Self {
        let all = Arc::new(Semaphore::new(limits.connections as usize));
        Doors { all, by_address: Arc::default(), limits, proxies }
    }

    async fn wait(&self) -> OwnedSemaphorePermit {
        #[expect(clippy::expect_used, reason = "the semaphore is never closed")]
        Arc::clone(&self.all).acquire_owned().await.expect("the semaphore is never closed")
    }

    fn try_wait(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.all).try_acquire_owned().ok()
    }

    /// A place, unless this address has its share. A proxy of our own speaks for everybody.
    fn enter(&self, ip: IpAddr, one: OwnedSemaphorePermit) -> Option<Place> {
        let of = network(ip);
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(of).or_insert(0);
        let our_proxy = self.proxies > 0 && !is_public(of);
        if *count >= self.limits.connections_per_address && !our_proxy {
            return None;
        }
        *count += 1;
        Some(Place { _one: one, of, by_address: Arc::clone(&self.by_address) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

/// Who asks: the peer; where it is a proxy of our own, whom the proxies name. What a caller itself writes into
/// `X-Forwarded-For` stands further left and is not looked at.
fn caller(peer: IpAddr, headers: &HeaderMap, proxies: usize) -> IpAddr {
    let peer = peer.to_canonical();
    if proxies == 0 || is_public(peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok());
    let named = lines.flat_map(|line| line.split(',')).collect::<Vec<_>>().into_iter().nth_back(proxies - 1);
    named.and_then(|address| address.trim().parse().ok()).map_or(peer, |ip: IpAddr| ip.to_canonical())
}

/// Every limit counts by the one caller that is named here.
async fn name_caller(State(proxies): State<usize>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let caller = caller(peer.ip(), request.headers(), proxies);
        request.extensions_mut().insert(Caller(caller));
    }
    next.run(request).await
}

/// How fast one address may ask.
struct Rates {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    seen: std::sync::atomic::AtomicUsize,
}

impl Rates {
    fn new(limits: Limits) -> Self {
        let one = NonZeroU32::MIN;
        let quota = Quota::per_second(NonZeroU32::new(limits.requests_per_second).unwrap_or(one))
            .allow_burst(NonZeroU32::new(limits.burst).unwrap_or(one));
        Rates {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            seen: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// `Err` with the seconds to wait.
    fn ask(&self, who: IpAddr) -> Result<(), u64> {
        if self.seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&who).map_err(|until| until.wait_time_from(self.clock.now()).as_secs() + 1)
    }
}

/// Stripe's webhooks are signed and must not be lost to a burst of their own, and this machine itself asks as it likes;
/// everything else is counted.
async fn limit_rate(State(rates): State<Arc<Rates>>, request: Request, next: Next) -> Response {
    let exempt = request.uri().path().starts_with("/v1/webhooks/");
    let caller = request.extensions().get::<Caller>().map(|caller| caller.0);
    let who = caller.filter(|ip| !exempt && !ip.is_loopback()).map(network);
    if let Some(wait_s) = who.and_then(|who| rates.ask(who).err()) {
        let message = format!("Too many requests from your network. Wait {wait_s} s, then go on more slowly.");
        let body = axum::Json(ErrorBody::new(ErrorCode::TooMany, message));
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, HeaderValue::from(wait_s))], body)
            .into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_others_have_theirs() {
        let doors = Doors::new(Limits { connections: 5, connections_per_address: 2, ..Limits::default() }, 0);
        let enter = |who: &str| doors.enter(ip(who), doors.try_wait().unwrap());
        let held = [enter("192.0.2.1"), enter("192.0.2.1")];
        assert!(held.iter().all(Option::is_some) && enter("192.0.2.1").is_none() && enter("192.0.2.2").is_some());
        let v6 = [enter("2001:db8::1"), enter("2001:db8::2")];
        assert!(v6.iter().all(Option::is_some) && enter("2001:db8::3").is_none(), "one network of IPv6 is one client");
        drop(held);
        assert!(enter("192.0.2.1").is_some());
        assert_eq!(doors.by_address.lock().unwrap().len(), 1, "who left is forgotten");
    }

    #[test]
    fn who_asks_is_the_peer_or_whom_our_own_proxies_name() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("6.6.6.6"));
        headers.append("x-forwarded-for", HeaderValue::from_static("198.51.100.7, ::ffff:203.0.113.9"));
        for (proxies, peer, expected) in [
            (0, "127.0.0.1", "127.0.0.1"),
            (1, "127.0.0.1", "203.0.113.9"),
            (1, "::ffff:10.88.0.1", "203.0.113.9"),
            (2, "10.88.0.1", "198.51.100.7"),
            (3, "10.88.0.1", "6.6.6.6"),
            (9, "10.88.0.1", "10.88.0.1"),
            (1, "1.1.1.1", "1.1.1.1"),
            (0, "1.1.1.1", "1.1.1.1"),
            (0, "10.88.0.1", "10.88.0.1"),
            (0, "::ffff:1.1.1.1", "1.1.1.1"),
        ] {
            assert_eq!(caller(ip(peer), &headers, proxies), ip(expected), "{proxies} {peer}");
        }
        assert_eq!(caller(ip("127.0.0.1"), &HeaderMap::new(), 1), ip("127.0.0.1"), "a proxy that names nobody");
        headers.append("x-forwarded-for", HeaderValue::from_static("a client"));
        assert_eq!(caller(ip("10.88.0.1"), &headers, 1), ip("10.88.0.1"), "or no address");
    }

    #[test]
    fn a_burst_passes_and_a_flood_waits() {
        let rates = Rates::new(Limits { requests_per_second: 1, burst: 3, ..Limits::default() });
        let answers: Vec<bool> = (0..6).map(|_| rates.ask(ip("192.0.2.1")).is_ok()).collect();
        assert_eq!(answers, [true, true, true, false, false, false]);
        assert!(rates.ask(ip("192.0.2.2")).is_ok());
        assert!(rates.ask(ip("192.0.2.1")).is_err_and(|wait_s| wait_s >= 1));
    }
}
