//! What a host gives to the API, beside its database.

use chrono::{DateTime, Utc};
use commission::TermsBook;
use url::Url;

use crate::db::BoxFut;

/// Clock and randomness. One file per host asks the system; everything else takes them as parameters.
pub trait Host: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> DateTime<Utc>;

    /// Unpredictable bytes.
    fn random(&self, into: &mut [u8]);
}

/// A request to Stripe.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Where to.
    pub url: Url,
    /// Bearer key.
    pub bearer: String,
    /// Idempotency key of a POST.
    pub idempotency_key: String,
    /// Fields of the form.
    pub form: Vec<(String, String)>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// Outgoing calls.
pub trait Http: Send + Sync + 'static {
    /// Send a form by POST. `Err` is a sentence about why there is no answer.
    fn post(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>>;

    /// Read an address. `Err` as above.
    fn get(&self, url: Url, bearer: String) -> BoxFut<'_, Result<HttpResponse, String>>;
}

/// Outgoing e-mail.
pub trait Mail: Send + Sync + 'static {
    /// Send a plain text. `Err` is a sentence about why it was not taken.
    fn send(&self, to: String, subject: String, text: String) -> BoxFut<'_, Result<(), String>>;
}

/// What the operator configured.
#[derive(Clone)]
pub struct Config {
    /// Where this API is reached from outside.
    pub public_url: Url,
    /// AIKit's site: links lead to a path on it.
    pub site: Url,
    /// Further sites of AIKit that a link may lead to by its whole address.
    pub more_sites: Vec<Url>,
    /// `Domain` of the `ref` cookie, where the API is on a subdomain of the site.
    pub cookie_domain: Option<String>,
    /// The sign-up form reads the cookie on the server.
    pub cookie_http_only: bool,
    /// Numbers, agreement and disclosure, by version.
    pub terms: TermsBook,
    /// Country of the platform's Stripe account.
    pub platform_country: String,
    /// Settlement currency, ISO 4217 in lower case.
    pub currency: String,
    /// Live money.
    pub live: bool,
    /// How many people must approve a seal.
    pub approvals_needed: u32,
    /// Sign-in as anybody by one click. Only with a Stripe stand-in on loopback.
    pub demo: bool,
    /// Stripe's API.
    pub stripe_api: Url,
    /// May create accounts and onboarding links.
    pub stripe_connect_key: String,
    /// May read invoices, charges and balance transactions; empty where nothing of that is needed.
    pub stripe_read_key: String,
    /// Secret of the account endpoint.
    pub webhook_secret_account: String,
    /// Secret of the connect endpoint.
    pub webhook_secret_connect: String,
}

impl Config {
    /// Which money: part of every key and transfer group.
    pub fn environment(&self) -> &'static str {
        if self.live { "live" } else { "test" }
    }

    /// Cookies are `Secure` wherever the API is reached by https.
    pub fn secure_cookies(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A configuration with nothing special.
    pub(crate) fn config() -> Config {
        let url = |text: &str| Url::parse(text).unwrap();
        Config {
            public_url: url("https://partners.aikit.example/"),
            site: url("https://aikit.example/"),
            more_sites: Vec::new(),
            cookie_domain: None,
            cookie_http_only: false,
            terms: crate::default_terms().unwrap(),
            platform_country: "US".into(),
            currency: "usd".into(),
            live: false,
            approvals_needed: 1,
            demo: false,
            stripe_api: url("http://127.0.0.1:9/"),
            stripe_connect_key: String::new(),
            stripe_read_key: String::new(),
            webhook_secret_account: String::new(),
            webhook_secret_connect: String::new(),
        }
    }
}
