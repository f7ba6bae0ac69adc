//! What the real API is given where it runs in the process of a test: no network, numbers that are the same each time, and a
//! program with nothing special.

use referral::db::BoxFut;
use referral::ports::{Config, Http, HttpRequest, HttpResponse, Letter, Mail};
use sha2::{Digest as _, Sha256};
use url::Url;

/// Fills with numbers that look random, and differ from what was drawn before.
pub(crate) fn draw(drawn: &mut u64, into: &mut [u8]) {
    for chunk in into.chunks_mut(32) {
        *drawn += 1;
        let block = Sha256::digest(drawn.to_be_bytes());
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
}

/// Nothing leaves the machine.
pub(crate) struct Offline;

impl Http for Offline {
    fn send(&self, _: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        Box::pin(async { Err("there is no network".into()) })
    }
}

impl Mail for Offline {
    fn post(&self, _: Letter) -> BoxFut<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }
}

/// The program.
pub(crate) fn config() -> Config {
    let url = |text| Url::parse(text).expect("an address");
    Config {
        public_url: url("https://partners.aikit.example/"),
        site: url("https://aikit.example/"),
        more_sites: Vec::new(),
        cookie_domain: None,
        cookie_http_only: true,
        terms: commission::TermsBook::default_book(),
        platform_country: "US".into(),
        currency: "usd".into(),
        live: false,
        approvals_needed: 1,
        demo: true,
        payer: Default::default(),
        accounts: Default::default(),
        stripe_api: url("http://127.0.0.1:9/"),
        stripe_connect_key: String::new(),
        stripe_read_key: String::new(),
        webhook_secret_account: String::new(),
        webhook_secret_connect: String::new(),
        oidc: None,
        email_codes: false,
        cors_origins: Vec::new(),
        webhooks: Vec::new(),
    }
}
