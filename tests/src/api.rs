//! The Referral API as its callers see it: a browser, AIKit's backend, a signed-in window.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use reqwest::{Method, RequestBuilder, StatusCode, header, redirect::Policy};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::plan::Visitor;
use wire::{Call, DemoPerson, ErrorBody, JoinPartner, Joined, Keep, Session, SignUp, SignedUp, StartDemoSession};

/// A refusal of the API. Errors of this module can be downcast to it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what} was refused ({status}): {}", body.message)]
pub struct Refusal {
    /// What was asked.
    pub what: String,
    /// HTTP status.
    pub status: StatusCode,
    /// What the API says.
    pub body: ErrorBody,
}

/// A client of the API. Follows no redirect; keeps no cookies but those of a [`Browser`].
#[derive(Clone, Debug)]
pub struct Api {
    address: String,
    http: reqwest::Client,
    server_key: Option<String>,
}

/// The cookies of one visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Takes the cookies of an answer; one with `Max-Age=0` goes.
    fn take(&mut self, answer: &reqwest::Response) {
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let Ok(line) = line.to_str() else { continue };
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let Some((name, value)) = pair.split_once('=') else { continue };
            let gone = attributes.split(';').any(|part| part.trim().eq_ignore_ascii_case("max-age=0"));
            if gone {
                self.cookies.remove(name.trim());
            } else {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }

    fn header(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}

impl Api {
    /// A client of the API at an address; `server_key` is for sign-ups.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(address: &str, server_key: Option<String>) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(30));
        Ok(Self { address: address.trim_end_matches('/').to_owned(), http: http.build()?, server_key })
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The HTTP client, for what has no method here.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// An agency joins.
    ///
    /// # Errors
    /// The API cannot be reached or refuses.
    pub async fn join(&self, form: &JoinPartner) -> Result<Joined> {
        self.answer("joining", self.http.post(self.url("/v1/partners")).json(form)).await
    }

    /// AIKit's backend reports a sign-up.
    ///
    /// # Errors
    /// The API cannot be reached or refuses, or this client has no server key.
    pub async fn sign_up(&self, form: &SignUp) -> Result<SignedUp> {
        let key = self.server_key.as_deref().context("a sign-up needs a server key")?;
        self.answer("the sign-up", self.http.post(self.url("/v1/signups")).bearer_auth(key).json(form)).await
    }

    /// A visitor follows a link, which takes the cookies of `browser` along and leaves new ones. Answers where it leads.
    ///
    /// # Errors
    /// The API cannot be reached or does not redirect.
    pub async fn click(&self, link: &str, visitor: Visitor, browser: &mut Browser) -> Result<String> {
        let (agent, ahead) = match visitor {
            Visitor::Person(agent) | Visitor::Bot(agent) => (agent, false),
            Visitor::Prefetch(agent) => (agent, true),
        };
        let mut request = self.http.get(link).header(header::USER_AGENT, agent);
        if ahead {
            request = request.header("Sec-Purpose", "prefetch");
        }
        if !browser.cookies.is_empty() {
            request = request.header(header::COOKIE, browser.header());
        }
        let answer = request.send().await.with_context(|| format!("{link} cannot be reached"))?;
        browser.take(&answer);
        leads_to(&answer).with_context(|| format!("{link} answered {}", answer.status()))
    }

    /// The address that a redirect leads to.
    ///
    /// # Errors
    /// It cannot be reached or does not redirect.
    pub async fn follow(&self, url: &str) -> Result<String> {
        let answer = self.http.get(url).send().await.with_context(|| format!("{url} cannot be reached"))?;
        leads_to(&answer).with_context(|| format!("{url} answered {}", answer.status()))
    }

    /// The demo's people.
    ///
    /// # Errors
    /// The API cannot be reached or is no demo.
    pub async fn people(&self) -> Result<Vec<DemoPerson>> {
        self.call(None, "demo_people", &Value::Null).await
    }

    /// Signs in as one of the demo's people.
    ///
    /// # Errors
    /// The API cannot be reached or knows no such person.
    pub async fn sign_in(&self, person: &str) -> Result<Session> {
        let form = StartDemoSession { person: person.to_owned(), keep: Keep::Token };
        self.answer("signing in", self.http.post(self.url("/v1/demo/sessions")).json(&form)).await
    }

    /// Any call of the table, with its arguments by name.
    ///
    /// # Errors
    /// There is no such call, an argument of its path is missing, the API cannot be reached, or it refuses.
    pub async fn call<T: DeserializeOwned>(
        &self,
        session: Option<&Session>,
        name: &str,
        args: &impl Serialize,
    ) -> Result<T> {
        let call = Call::find(name).with_context(|| format!("there is no call {name:?}"))?;
        let mut args = match serde_json::to_value(args)? {
            Value::Object(args) => args,
            Value::Null => Map::new(),
            other => return Err(anyhow!("the arguments of {name} must be an object, not {other}")),
        };
        let mut path = call.path.to_owned();
        for param in call.path_params() {
            let value = args.remove(param).and_then(|value| value.as_str().map(str::to_owned));
            let value = value.with_context(|| format!("{name} needs the argument {param:?}"))?;
            path = path.replace(&format!("{{{param}}}"), &path_segment(&value));
        }
        let request = match call.method {
            wire::Method::Get => self.http.request(Method::GET, self.url(&path)).query(&args),
            wire::Method::Post => self.http.request(Method::POST, self.url(&path)).json(&args),
        };
        let request = match session {
            Some(session) => request.bearer_auth(&session.access_token),
            None => request,
        };
        self.answer(name, request).await
    }

    async fn answer<T: DeserializeOwned>(&self, what: &str, request: RequestBuilder) -> Result<T> {
        let answer = request.send().await.with_context(|| format!("{what}: the API cannot be reached"))?;
        let status = answer.status();
        let body = answer.bytes().await.with_context(|| format!("{what}: the answer broke off"))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .with_context(|| format!("{what}: the answer has another shape: {}", String::from_utf8_lossy(&body)));
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(body) => Err(Refusal { what: what.to_owned(), status, body }.into()),
            Err(_) => Err(anyhow!("{what} failed ({status}): {}", String::from_utf8_lossy(&body))),
        }
    }
}

fn leads_to(answer: &reqwest::Response) -> Option<String> {
    let location = answer.headers().get(header::LOCATION).filter(|_| answer.status().is_redirection())?;
    Some(location.to_str().ok()?.to_owned())
}

/// Everything but letters, digits and `-._~` as `%XX`.
fn path_segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_segment_of_a_path() {
        assert_eq!(path_segment("run-1:PARTNER_7K3M9QXD/../é"), "run-1%3APARTNER_7K3M9QXD%2F..%2F%C3%A9");
    }

    #[test]
    fn a_browser_keeps_the_newest_cookie_and_drops_what_ends() {
        let answer = |lines: &[&str]| {
            let mut answer = http::Response::builder();
            for line in lines {
                answer = answer.header("set-cookie", *line);
            }
            reqwest::Response::from(answer.body("").unwrap())
        };
        let mut browser = Browser::default();
        browser.take(&answer(&["ref=A; Max-Age=2592000; Path=/", "ref_click=1"]));
        browser.take(&answer(&["ref=B; Path=/; SameSite=Lax"]));
        assert_eq!((browser.cookie("ref"), browser.cookie("ref_click")), (Some("B"), Some("1")));
        assert_eq!(browser.header(), "ref=B; ref_click=1");
        browser.take(&answer(&["ref=; Max-Age=0"]));
        assert_eq!(browser.cookie("ref"), None);
    }
}
