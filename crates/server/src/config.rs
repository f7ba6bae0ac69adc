//! What the operator configures: one TOML file, and the environment for secrets.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use commission::TermsBook;
use referral::ports::Config;
use serde::Deserialize;
use url::Url;

/// `aikit-partners.toml`. Every field has a default that is right for a trial on one machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    /// Where the API is reached from outside.
    public_url: Option<Url>,
    /// AIKit's site: links lead to a path on it.
    site: Url,
    /// Further sites that a link may lead to by its whole address, for example the documentation's.
    more_sites: Vec<Url>,
    /// `Domain` of the `ref` cookie.
    cookie_domain: Option<String>,
    /// The sign-up form reads the cookie on the server.
    cookie_http_only: bool,
    /// Country of the platform's Stripe account.
    platform_country: String,
    /// Settlement currency.
    currency: String,
    /// Live money.
    live: bool,
    /// How many people must approve a run: 1 or 2.
    approvals: u32,
    /// A terms file; the built-in terms without one.
    terms: Option<std::path::PathBuf>,
    /// Sender of e-mail.
    pub(crate) mail_from: String,
}

impl Default for File {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a constant address")]
        let site = Url::parse("https://aikit.example/").expect("a constant address");
        File {
            public_url: None,
            site,
            more_sites: Vec::new(),
            cookie_domain: None,
            cookie_http_only: false,
            platform_country: "US".into(),
            currency: "usd".into(),
            live: false,
            approvals: 1,
            terms: None,
            mail_from: "AIKit Partners <partners@aikit.example>".into(),
        }
    }
}

/// Reads the file, if there is one.
pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<File> {
    let Some(path) = path else { return Ok(File::default()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the configuration {} cannot be used", path.display()))
}

/// Loopback: this machine and no other.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(url::Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

/// The API's configuration out of the file, the environment and the command line.
pub(crate) fn build(
    file: File,
    port: u16,
    demo: bool,
    secret: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Config> {
    let stripe_api = match secret("STRIPE_API_BASE") {
        None => Url::parse("https://api.stripe.com/")?,
        Some(text) => {
            let url = Url::parse(&text).with_context(|| format!("STRIPE_API_BASE «{text}» is not an address"))?;
            if !is_loopback(&url) {
                bail!("STRIPE_API_BASE may name a stand-in on this machine alone (http://127.0.0.1:…), not {url}");
            }
            url
        }
    };
    if demo && !is_loopback(&stripe_api) {
        bail!(
            "--demo signs anybody in: it needs a Stripe stand-in on this machine (STRIPE_API_BASE=http://127.0.0.1:…)"
        );
    }
    if demo && file.live {
        bail!("--demo and live money do not go together");
    }
    if !(1..=2).contains(&file.approvals) {
        bail!("approvals is {}: a run is approved by 1 or 2 people", file.approvals);
    }
    let terms = match &file.terms {
        None => referral::default_terms()?,
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the terms {} cannot be read", path.display()))?;
            TermsBook::from_toml(&text).with_context(|| format!("the terms {} cannot be used", path.display()))?
        }
    };
    let public_url = match file.public_url {
        Some(url) => url,
        None => Url::parse(&format!("http://localhost:{port}/"))?,
    };
    Ok(Config {
        public_url,
        site: file.site,
        more_sites: file.more_sites,
        cookie_domain: file.cookie_domain,
        cookie_http_only: file.cookie_http_only,
        terms,
        platform_country: file.platform_country,
        currency: file.currency,
        live: file.live,
        approvals_needed: file.approvals,
        demo,
        stripe_api,
        stripe_connect_key: secret("STRIPE_CONNECT_KEY").unwrap_or_default(),
        stripe_read_key: secret("STRIPE_READ_KEY").unwrap_or_default(),
        webhook_secret_account: secret("STRIPE_WEBHOOK_SECRET_ACCOUNT").unwrap_or_default(),
        webhook_secret_connect: secret("STRIPE_WEBHOOK_SECRET_CONNECT").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_for_a_stand_in_on_this_machine() {
        let with = |base: Option<&'static str>| {
            move |name: &str| (name == "STRIPE_API_BASE").then_some(base).flatten().map(String::from)
        };
        assert!(build(File::default(), 1, true, with(Some("http://127.0.0.1:9/"))).is_ok());
        for refused in [
            None,
            Some("https://api.stripe.com/"),
            Some("http://10.0.0.1/"),
            Some("http://127.0.0.1.evil.example/"),
            Some("x"),
        ] {
            assert!(build(File::default(), 1, true, with(refused)).is_err(), "{refused:?}");
        }
        assert!(build(File { live: true, ..File::default() }, 1, true, with(Some("http://[::1]:9/"))).is_err());
        assert!(build(File { approvals: 3, ..File::default() }, 1, false, with(None)).is_err());
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let error = toml::from_str::<File>("cookie_domian = 'x'").unwrap_err().to_string();
        assert!(error.contains("cookie_domian"), "{error}");
    }
}
