//! What the system knows and nothing else asks: the time, randomness, and Stripe over the network.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use referral::db::BoxFut;
use referral::ports::{Host, Http, HttpRequest, HttpResponse, Reach, is_inside, is_public};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::Deserialize;
use tokio::task::JoinSet;
use url::Url;

/// The time, as the system or a stand-in says it.
pub(crate) struct SystemHost {
    /// How far the stand-in's clock is from the system's, and whether it stands still at an instant.
    moved: Mutex<Moved>,
    /// What nobody waits for, until the end.
    later: Mutex<JoinSet<()>>,
}

#[derive(Clone, Copy)]
enum Moved {
    By(TimeDelta),
    To(DateTime<Utc>),
}

#[expect(clippy::disallowed_methods, reason = "the server's one place that asks the system's clock")]
fn system_now() -> DateTime<Utc> {
    Utc::now()
}

impl SystemHost {
    pub(crate) fn new() -> Self {
        SystemHost { moved: Mutex::new(Moved::By(TimeDelta::zero())), later: Mutex::default() }
    }

    /// From now on the time is that of a stand-in's clock.
    pub(crate) fn follow(&self, clock: &StandInClock) {
        let moved = if clock.live { Moved::By(clock.now - system_now()) } else { Moved::To(clock.now) };
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = moved;
    }
}

impl SystemHost {
    /// Lets what was left for later end.
    pub(crate) async fn end(&self, within: Duration) {
        let mut later = std::mem::take(&mut *self.later.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while later.join_next().await.is_some() {} };
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!("something that was left for later took too long and was cut off");
        }
    }
}

impl Host for SystemHost {
    fn now(&self) -> DateTime<Utc> {
        match *self.moved.lock().unwrap_or_else(PoisonError::into_inner) {
            Moved::By(offset) => system_now() + offset,
            Moved::To(instant) => instant,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the server's one place that asks for randomness")]
    #[expect(clippy::expect_used, reason = "a system without randomness cannot make secrets: nothing may go on")]
    fn random(&self, into: &mut [u8]) {
        getrandom::fill(into).expect("the system has no randomness");
    }

    fn later(&self, work: BoxFut<'static, ()>) {
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        while later.try_join_next().is_some() {}
        later.spawn(work);
    }
}

/// `GET /_clock` of the Stripe stand-in.
#[derive(Deserialize)]
pub(crate) struct StandInClock {
    pub now: DateTime<Utc>,
    pub live: bool,
}

/// Longest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// Outgoing calls over pooled clients.
pub(crate) struct Network {
    anywhere: reqwest::Client,
    /// Connects to public addresses alone, whatever a name resolves to at that moment.
    public: reqwest::Client,
}

impl Network {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let client = || {
            reqwest::Client::builder()
                .connect_timeout(Duration::from_secs(5))
                .redirect(reqwest::redirect::Policy::none())
        };
        let public = client().no_proxy().dns_resolver(std::sync::Arc::new(PublicNames)).build()?;
        Ok(Network { anywhere: client().build()?, public })
    }

    /// The stand-in's clock.
    pub(crate) async fn stand_in_clock(&self, stripe_api: &Url) -> anyhow::Result<StandInClock> {
        let mut url = stripe_api.clone();
        url.set_path("/_clock");
        Ok(self.anywhere.get(url).timeout(Duration::from_secs(25)).send().await?.error_for_status()?.json().await?)
    }
}

impl Http for Network {
    fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        Box::pin(async move {
            let client = match request.reach {
                Reach::Anywhere => &self.anywhere,
                // A literal address is never resolved, so it is looked at here.
                Reach::Public if is_inside(&request.url) => {
                    return Err("its address is not public".into());
                }
                Reach::Public => &self.public,
            };
            let limit = Duration::from_secs(request.timeout_s.into());
            let mut sent = client.request(request.method, request.url).timeout(limit);
            for (name, value) in request.headers {
                sent = sent.header(name, value);
            }
            // Never the error's own text: it may carry the address with its parameters.
            let mut answer = sent.body(request.body).send().await.map_err(|e| {
                let refused = std::iter::successors(std::error::Error::source(&e), |e| e.source())
                    .any(|e| e.downcast_ref::<NotPublic>().is_some());
                match (refused, e.is_timeout()) {
                    (true, _) => "its address is not public",
                    (_, true) => "no answer in time",
                    _ => "no connection",
                }
                .to_string()
            })?;
            let status = answer.status().as_u16();
            let mut body = Vec::new();
            while let Some(part) = answer.chunk().await.map_err(|_| "the answer broke off".to_string())? {
                body.extend_from_slice(&part);
                if body.len() > ANSWER_LIMIT {
                    return Err("the answer is too long".into());
                }
            }
            let body = String::from_utf8(body).map_err(|_| "the answer is not text".to_string())?;
            Ok(HttpResponse { status, body })
        })
    }
}

/// Resolves names, and knows no address that is not public.
struct PublicNames;

#[derive(Debug, thiserror::Error)]
#[error("its address is not public")]
struct NotPublic;

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One that is not public spoils the name: which of them is used is not ours to say.
            if found.iter().any(|address| !is_public(address.ip())) {
                return Err(NotPublic.into());
            }
            let found: Addrs = Box::new(found.into_iter());
            Ok(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_for_the_public_does_not_reach_inside() {
        let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = inside.local_addr().unwrap().port();
        let network = Network::new().unwrap();
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f.1"] {
            let request = HttpRequest {
                method: reqwest::Method::POST,
                url: format!("http://{host}:{port}/").parse().unwrap(),
                headers: Vec::new(),
                body: "x".into(),
                reach: Reach::Public,
                timeout_s: 5,
            };
            assert_eq!(network.send(request).await.unwrap_err(), "its address is not public", "{host}");
        }
        let knocked = tokio::time::timeout(Duration::from_millis(1), inside.accept()).await;
        assert!(knocked.is_err(), "nobody came");
    }
}
