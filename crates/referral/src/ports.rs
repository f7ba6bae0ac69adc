//! What a host gives to the API, beside its database.

use std::net::{IpAddr, Ipv4Addr};

use chrono::{DateTime, Utc};
use commission::TermsBook;
use documents::ledger::Accounts;
use documents::receipt::Payer;
use http::Method;
use url::Url;

use crate::db::BoxFut;

/// Clock and randomness. One file per host asks the system; everything else takes them as parameters.
pub trait Host: Send + Sync + 'static {
    /// The time.
    fn now(&self) -> DateTime<Utc>;

    /// Unpredictable bytes.
    fn random(&self, into: &mut [u8]);

    /// Do this without keeping anybody waiting for it: a task, or a Worker's `waitUntil`.
    fn later(&self, work: BoxFut<'static, ()>);
}

/// Network address of the caller, as the host knows it: an extension of each request. Limits count by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller(pub IpAddr);

/// An outgoing request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// GET, POST, ….
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers by name; several of one name are all sent.
    pub headers: Vec<(&'static str, String)>,
    /// Body; empty for none.
    pub body: String,
    /// Which addresses it may reach.
    pub reach: Reach,
    /// How long the whole of it may take, in seconds.
    pub timeout_s: u32,
}

/// Which network addresses a request may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Any: the operator named the host.
    Anywhere,
    /// Public ones, after the name was resolved: nothing inside the operator's own network.
    Public,
}

/// Whether an address names a place inside by its number. A name is for the host to resolve.
pub fn is_inside(url: &Url) -> bool {
    literal(url).is_some_and(|ip| !is_public(ip))
}

fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Domain(_) => None,
        url::Host::Ipv4(ip) => Some(ip.into()),
        url::Host::Ipv6(ip) => Some(ip.into()),
    }
}

/// An address that the whole internet has in common: not this machine, not a private network, nothing reserved.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(matches!(
                (a, b),
                (0 | 10 | 127, _) | (100, 64..=127) | (169, 254) | (172, 16..=31) | (192, 168) | (198, 18..=19)
            ) || matches!((a, b, c), (192, 0, 0 | 2) | (192, 88, 99) | (198, 51, 100) | (203, 0, 113))
                || a >= 224)
        }
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            let [high, low] = [b.to_be_bytes(), c.to_be_bytes()];
            match (a, b) {
                // Translated addresses lead where the address inside them leads.
                (0x2002, _) => is_public(Ipv4Addr::new(high[0], high[1], low[0], low[1]).into()),
                (0x2001, 0..=0x1ff | 0xdb8) => false,
                (0x2000..=0x3ffe, _) => true,
                _ => ip.to_ipv4_mapped().is_some_and(|inside| is_public(inside.into())),
            }
        }
    }
}

impl HttpRequest {
    /// A form by POST with a bearer key and an idempotency key, as Stripe takes it.
    pub fn form(url: Url, bearer: &str, idempotency_key: String, fields: &[(String, String)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = vec![
            ("authorization", format!("Bearer {bearer}")),
            ("idempotency-key", idempotency_key),
            ("content-type", "application/x-www-form-urlencoded".into()),
        ];
        HttpRequest { method: Method::POST, url, headers, body, reach: Reach::Anywhere, timeout_s: 25 }
    }

    /// Reads an address with a bearer key.
    pub fn read(url: Url, bearer: &str) -> Self {
        let headers = vec![("authorization", format!("Bearer {bearer}"))];
        HttpRequest { method: Method::GET, url, headers, body: String::new(), reach: Reach::Anywhere, timeout_s: 25 }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// Outgoing calls. Redirects are not followed: a 3xx is the answer.
pub trait Http: Send + Sync + 'static {
    /// Send it, with a time limit. `Err` is a sentence about why there is no answer; it names no address.
    fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>>;
}

/// A plain-text e-mail.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// Address.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
    /// Stays the same when it is sent again, so that a mailbox shows it once.
    pub message_id: Option<String>,
    /// Address that ends this kind of mail by one click (RFC 8058).
    pub unsubscribe: Option<Url>,
}

/// Outgoing e-mail.
pub trait Mail: Send + Sync + 'static {
    /// Hand it over. `Err` is a sentence about why it was not taken; it names no address.
    fn post(&self, letter: Letter) -> BoxFut<'_, Result<(), String>>;

    /// A text without more.
    fn send(&self, to: String, subject: String, text: String) -> BoxFut<'_, Result<(), String>> {
        self.post(Letter { to, subject, text, ..Letter::default() })
    }
}

/// An address of AIKit that is told what happens (docs/webhooks.md).
#[derive(Clone, Debug)]
pub struct WebhookEndpoint {
    /// Name in the configuration and in the log of deliveries.
    pub name: String,
    /// https, or http on loopback.
    pub url: Url,
    /// Types of events; all, where it is empty.
    pub events: Vec<String>,
    /// One secret, or two while one takes over from the other: each signs.
    pub secrets: Vec<String>,
    /// Which addresses its name may resolve to.
    pub reach: Reach,
}

/// An issuer of OpenID Connect that knows the people: discovery gives the rest.
#[derive(Clone)]
pub struct Oidc {
    /// Issuer as it names itself, to the letter; https, or http on loopback.
    pub issuer: String,
    /// This API at the issuer.
    pub client_id: String,
    /// Secret of a confidential client; none for a public one, which PKCE alone protects.
    pub client_secret: Option<String>,
    /// What the button calls it.
    pub name: String,
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
    /// Who pays, as receipts name it.
    pub payer: Payer,
    /// What the books call the accounts of the ledger export.
    pub accounts: Accounts,
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
    /// Who vouches for people.
    pub oidc: Option<Oidc>,
    /// People may sign in by a code that comes by e-mail.
    pub email_codes: bool,
    /// Origins beside our own whose pages may post the join form and load the pixel.
    pub cors_origins: Vec<Url>,
    /// Who is told what happens.
    pub webhooks: Vec<WebhookEndpoint>,
}

impl Config {
    /// Where links may lead to.
    pub fn sites(&self) -> partner::Sites {
        partner::Sites { site: self.site.clone(), more_sites: self.more_sites.clone() }
    }

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
mod tests {
    use super::*;

    #[test]
    fn public_is_what_the_whole_internet_shares() {
        for public in [
            "1.1.1.1",
            "93.184.215.14",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2002:0101:0101::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for inside in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "ff02::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
    }
}
