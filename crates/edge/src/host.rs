//! What the Workers runtime knows and nothing else asks: the time, randomness, and others over the network.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use referral::db::BoxFut;
use referral::ports::{Host, Http, HttpRequest, HttpResponse, Letter, Mail, Reach, is_inside};
use serde::Deserialize;
use serde_json::json;
use url::Url;
use worker::send::SendFuture;
use worker::{AbortController, Delay, Fetch, Headers, Request, RequestInit, RequestRedirect};

/// The time, as the runtime or a stand-in says it, and what nobody waits for.
#[derive(Default)]
pub(crate) struct EdgeHost {
    moved: Mutex<Moved>,
    later: Mutex<Vec<BoxFut<'static, ()>>>,
}

#[derive(Clone, Copy)]
enum Moved {
    By(TimeDelta),
    To(DateTime<Utc>),
}

impl Default for Moved {
    fn default() -> Self {
        Moved::By(TimeDelta::zero())
    }
}

#[expect(clippy::disallowed_methods, reason = "this host's one place that asks for the time")]
fn runtime_now() -> DateTime<Utc> {
    Utc::now()
}

/// `GET /_clock` of the Stripe stand-in.
#[derive(Deserialize)]
struct StandInClock {
    now: DateTime<Utc>,
    live: bool,
}

impl EdgeHost {
    /// From now on the time is what the stand-in of a demo says.
    pub(crate) async fn follow(&self, stripe_api: &Url) -> Result<(), String> {
        let mut url = stripe_api.clone();
        url.set_path("/_clock");
        let answer = Network.send(HttpRequest::read(url, "")).await?;
        let clock: StandInClock = serde_json::from_str(&answer.body).map_err(|e| e.to_string())?;
        let moved = if clock.live { Moved::By(clock.now - runtime_now()) } else { Moved::To(clock.now) };
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = moved;
        Ok(())
    }

    /// What was left for later, to be waited for by the event that left it.
    pub(crate) fn left(&self) -> Vec<BoxFut<'static, ()>> {
        std::mem::take(&mut *self.later.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Host for EdgeHost {
    fn now(&self) -> DateTime<Utc> {
        match *self.moved.lock().unwrap_or_else(PoisonError::into_inner) {
            Moved::By(offset) => runtime_now() + offset,
            Moved::To(instant) => instant,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this host's one place that asks for randomness")]
    #[expect(clippy::expect_used, reason = "a runtime without randomness cannot make secrets: nothing may go on")]
    fn random(&self, into: &mut [u8]) {
        getrandom::fill(into).expect("the runtime has no randomness");
    }

    fn later(&self, work: BoxFut<'static, ()>) {
        self.later.lock().unwrap_or_else(PoisonError::into_inner).push(work);
    }
}

/// Outgoing calls by the runtime's `fetch`, which reaches public addresses alone once it is deployed.
pub(crate) struct Network;

impl Http for Network {
    fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        Box::pin(SendFuture::new(async move {
            if request.reach == Reach::Public && is_inside(&request.url) {
                return Err("its address is not public".into());
            }
            let limit = Duration::from_secs(request.timeout_s.into());
            let unfit = |_| "the request cannot be made".to_string();
            let headers = Headers::new();
            for (name, value) in &request.headers {
                headers.append(name, value).map_err(unfit)?;
            }
            let mut init = RequestInit::new();
            init.with_method(worker::Method::from(request.method.to_string()))
                .with_headers(headers)
                .with_redirect(RequestRedirect::Manual);
            if !request.body.is_empty() {
                init.with_body(Some(request.body.into()));
            }
            let sent = Request::new_with_init(request.url.as_str(), &init).map_err(unfit)?;
            let controller = AbortController::default();
            let signal = controller.signal();
            // Never the error's own text: it may carry the address with its parameters.
            let answer = async {
                let mut answer =
                    Fetch::Request(sent).send_with_signal(&signal).await.map_err(|_| "no connection".to_string())?;
                let status = answer.status_code();
                let body = answer.text().await.map_err(|_| "the answer broke off, or is not text".to_string())?;
                Ok(HttpResponse { status, body })
            };
            let answer = std::pin::pin!(answer);
            let late = std::pin::pin!(Delay::from(limit));
            match futures::future::select(answer, late).await {
                futures::future::Either::Left((answer, _)) => answer,
                futures::future::Either::Right(_) => {
                    controller.abort();
                    Err("no answer in time".into())
                }
            }
        }))
    }
}

/// E-mail by a provider's HTTP interface, in the form of Resend (`POST /emails`), which others also take.
pub(crate) struct HttpMail {
    /// Where to, and its key; none where no provider is configured.
    pub provider: Option<(Url, String)>,
    /// Sender.
    pub from: String,
}

impl Mail for HttpMail {
    fn post(&self, letter: Letter) -> BoxFut<'_, Result<(), String>> {
        Box::pin(async move {
            let Some((url, key)) = &self.provider else {
                return Err("no provider of e-mail is configured: MAIL_API_URL and MAIL_API_KEY name it".into());
            };
            let mut headers = serde_json::Map::new();
            if let Some(id) = &letter.message_id {
                headers.insert("Message-ID".into(), json!(id));
            }
            if let Some(url) = &letter.unsubscribe {
                headers.insert("List-Unsubscribe".into(), json!(format!("<{url}>")));
                headers.insert("List-Unsubscribe-Post".into(), json!("List-Unsubscribe=One-Click"));
            }
            let body = json!({ "from": self.from, "to": [letter.to], "subject": letter.subject, "text": letter.text,
                               "headers": headers });
            let mut request = HttpRequest::read(url.clone(), key);
            request.method = http::Method::POST;
            request.headers.push(("content-type", "application/json".into()));
            if let Some(id) = letter.message_id {
                request.headers.push(("idempotency-key", id));
            }
            request.body = body.to_string();
            match Network.send(request).await?.status {
                200..=299 => Ok(()),
                status => Err(format!("the provider of e-mail answered {status}")),
            }
        })
    }
}
