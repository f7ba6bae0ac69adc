//! What the system knows and nothing else asks: the time, randomness, and Stripe over the network.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use referral::db::BoxFut;
use referral::ports::{Host, Http, HttpRequest, HttpResponse};
use serde::Deserialize;
use url::Url;

/// The time, as the system or a stand-in says it.
pub(crate) struct SystemHost {
    /// How far the stand-in's clock is from the system's, and whether it stands still at an instant.
    moved: Mutex<Moved>,
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
        SystemHost { moved: Mutex::new(Moved::By(TimeDelta::zero())) }
    }

    /// From now on the time is that of a stand-in's clock.
    pub(crate) fn follow(&self, clock: &StandInClock) {
        let moved = if clock.live { Moved::By(clock.now - system_now()) } else { Moved::To(clock.now) };
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = moved;
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
        tokio::spawn(work);
    }
}

/// `GET /_clock` of the Stripe stand-in.
#[derive(Deserialize)]
pub(crate) struct StandInClock {
    pub now: DateTime<Utc>,
    pub live: bool,
}

/// No honest answer comes near this; a longer one is not read to its end.
const ANSWER_LIMIT_BYTES: usize = 2 << 20;

/// Outgoing calls over one pooled client.
pub(crate) struct Network(reqwest::Client);

impl Network {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(25))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Network(client))
    }

    /// The stand-in's clock.
    pub(crate) async fn stand_in_clock(&self, stripe_api: &Url) -> anyhow::Result<StandInClock> {
        let mut url = stripe_api.clone();
        url.set_path("/_clock");
        Ok(self.0.get(url).send().await?.error_for_status()?.json().await?)
    }
}

impl Http for Network {
    fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        Box::pin(async move {
            let mut asking = self.0.request(request.method, request.url).body(request.body);
            for (name, value) in request.headers {
                asking = asking.header(name, value);
            }
            let sent = asking.send().await;
            // Never the error's own text: it may carry the address with its parameters.
            let mut answer =
                sent.map_err(|e| if e.is_timeout() { "no answer in time" } else { "no connection" }.to_string())?;
            let status = answer.status().as_u16();
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|_| "the answer broke off".to_string())? {
                if body.len() + chunk.len() > ANSWER_LIMIT_BYTES {
                    return Err("the answer is too long".into());
                }
                body.extend_from_slice(&chunk);
            }
            let body = String::from_utf8(body).map_err(|_| "the answer is not text".to_string())?;
            Ok(HttpResponse { status, body })
        })
    }
}
