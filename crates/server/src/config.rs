//! What the operator configures: one TOML file, and the environment for secrets.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use commission::TermsBook;
use referral::ports::{Config, Oidc};
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
    /// What the sign-in button calls the issuer (`OIDC_ISSUER`).
    issuer_name: String,
    /// Sign-in by e-mail code. On where there is no issuer; off where there is one, unless this says otherwise.
    email_codes: Option<bool>,
    /// Sites whose pages may post the join form and load the pixel; AIKit's site, if absent.
    cors_origins: Option<Vec<Url>>,
    /// Proxies in front of this server: the caller's address is that many places from the right of `X-Forwarded-For`.
    pub(crate) proxies: usize,
}

impl Default for File {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a constant address")]
        let site = Url::parse("https://aikit.example/").expect("a constant address");
        File {
            public_url: None,
            site,
            cookie_domain: None,
            cookie_http_only: false,
            platform_country: "US".into(),
            currency: "usd".into(),
            live: false,
            approvals: 1,
            terms: None,
            mail_from: "AIKit Partners <partners@aikit.example>".into(),
            issuer_name: "AIKit".into(),
            email_codes: None,
            cors_origins: None,
            proxies: 0,
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

/// The issuer of OpenID Connect, if one is configured.
fn oidc(name: String, secret: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Oidc>> {
    let (issuer, client_id) = match (secret("OIDC_ISSUER"), secret("OIDC_CLIENT_ID")) {
        (None, None) => return Ok(None),
        (Some(issuer), Some(client_id)) => (issuer, client_id),
        (Some(_), None) => bail!("OIDC_ISSUER needs OIDC_CLIENT_ID beside it: what this API is called there"),
        (None, Some(_)) => bail!("OIDC_CLIENT_ID needs OIDC_ISSUER beside it: who vouches for people"),
    };
    let url = Url::parse(&issuer).with_context(|| format!("OIDC_ISSUER «{issuer}» is not an address"))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        bail!("OIDC_ISSUER must be https (or http on this machine), not {url}");
    }
    if url.query().is_some() || url.fragment().is_some() {
        bail!("OIDC_ISSUER is an address without «?» and «#», to the letter as the issuer writes it");
    }
    Ok(Some(Oidc { issuer, client_id, client_secret: secret("OIDC_CLIENT_SECRET"), name }))
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
    let oidc = oidc(file.issuer_name, &secret)?;
    Ok(Config {
        email_codes: file.email_codes.unwrap_or(oidc.is_none()),
        oidc,
        cors_origins: file.cors_origins.unwrap_or_else(|| vec![file.site.clone()]),
        public_url,
        site: file.site,
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
    fn an_issuer_is_whole_and_safe_and_turns_codes_off() {
        let with = |issuer: Option<&'static str>, client: Option<&'static str>| {
            move |name: &str| match name {
                "OIDC_ISSUER" => issuer.map(String::from),
                "OIDC_CLIENT_ID" => client.map(String::from),
                _ => None,
            }
        };
        let built = build(File::default(), 1, false, with(Some("https://id.aikit.example"), Some("partners"))).unwrap();
        assert!(built.oidc.is_some_and(|o| o.issuer == "https://id.aikit.example") && !built.email_codes);
        let both = File { email_codes: Some(true), ..File::default() };
        assert!(build(both, 1, false, with(Some("http://127.0.0.1:3000"), Some("x"))).unwrap().email_codes);
        assert!(build(File::default(), 1, false, with(None, None)).unwrap().email_codes);
        for (issuer, client) in [
            (Some("https://id.aikit.example"), None),
            (None, Some("x")),
            (Some("http://id.aikit.example"), Some("x")),
            (Some("id.aikit.example"), Some("x")),
            (Some("https://id.aikit.example/?x=1"), Some("x")),
        ] {
            assert!(build(File::default(), 1, false, with(issuer, client)).is_err(), "{issuer:?}");
        }
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let error = toml::from_str::<File>("cookie_domian = 'x'").unwrap_err().to_string();
        assert!(error.contains("cookie_domian"), "{error}");
    }
}
