//! What the operator configures, for any host: one text in TOML, and secrets by name.

use std::net::IpAddr;

use crate::ports::{Config, Oidc, Reach, WebhookEndpoint};
use anyhow::{Context as _, bail};
use commission::TermsBook;
use documents::ledger::Accounts;
use documents::receipt::Payer;
use serde::Deserialize;
use url::Url;

/// `aikit-partners.toml`. Every field has a default that is right for a trial on one machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
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
    pub terms: Option<std::path::PathBuf>,
    /// What the terms file says, as the host has read it.
    #[serde(skip)]
    pub terms_text: Option<String>,
    /// Sender of e-mail.
    pub mail_from: String,
    /// What the sign-in button calls the issuer (`OIDC_ISSUER`).
    issuer_name: String,
    /// Sign-in by e-mail code. On where there is no issuer; off where there is one, unless this says otherwise.
    email_codes: Option<bool>,
    /// Sites whose pages may post the join form and load the pixel; AIKit's site, if absent.
    cors_origins: Option<Vec<Url>>,
    /// Proxies in front of this server, the last one on this machine or a private network: the caller's address is that
    /// many places from the right of `X-Forwarded-For`.
    pub proxies: usize,
    /// Who is told what happens (docs/webhooks.md).
    webhooks: Vec<Webhook>,
    /// What one client may take up.
    pub limits: Limits,
    /// `[payer]`: who pays, as receipts name it.
    payer: Payer,
    /// `[accounts]`: what the books call the accounts of the ledger export.
    accounts: Accounts,
}

/// `[[webhooks]]`: an address of AIKit. Its secret is `WEBHOOK_SECRET_{NAME}`, and for a while the one before it
/// `WEBHOOK_SECRET_{NAME}_OLD`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhook {
    /// A name in lower case, for the log of deliveries.
    name: String,
    /// https, or http on loopback.
    url: Url,
    /// Types of events; all, where it is left out.
    #[serde(default)]
    events: Vec<String>,
    /// It may be on a private network.
    #[serde(default)]
    private: bool,
}

/// `[limits]`: what one client may take up.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once.
    pub connections: u32,
    /// Connections at once of one network address; our own proxy (`proxies`) is not counted.
    pub connections_per_address: u32,
    /// Requests in a second of one network address, over time.
    pub requests_per_second: u32,
    /// Requests that one network address may make at once.
    pub burst: u32,
    /// How long a client may take to send a request's head, in seconds; also how long an idle connection is kept.
    pub head_timeout_s: u32,
    /// How long it may take to send a request's body, in seconds.
    pub body_timeout_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 2_048,
            connections_per_address: 128,
            requests_per_second: 50,
            burst: 200,
            head_timeout_s: 20,
            body_timeout_s: 30,
        }
    }
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
            terms_text: None,
            mail_from: "AIKit Partners <partners@aikit.example>".into(),
            issuer_name: "AIKit".into(),
            email_codes: None,
            cors_origins: None,
            proxies: 0,
            webhooks: Vec::new(),
            limits: Limits::default(),
            payer: Payer::default(),
            accounts: Accounts::default(),
        }
    }
}

/// Loopback: this machine and no other.
pub fn is_loopback(url: &Url) -> bool {
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
pub fn build(file: File, port: u16, demo: bool, secret: impl Fn(&str) -> Option<String>) -> anyhow::Result<Config> {
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
    let terms = match (&file.terms_text, &file.terms) {
        (Some(text), path) => TermsBook::from_toml(text).with_context(|| {
            format!("the terms {}cannot be used", path.as_ref().map_or(String::new(), |p| format!("{} ", p.display())))
        })?,
        (None, Some(path)) => bail!("the terms {} were not read", path.display()),
        (None, None) => crate::default_terms()?,
    };
    let webhooks = file.webhooks.into_iter().map(|w| endpoint(w, &secret)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some((first, _)) =
        webhooks.iter().enumerate().find(|(n, w)| webhooks.iter().take(*n).any(|o| o.name == w.name))
    {
        bail!("two [[webhooks]] are named «{}»", webhooks.get(first).map_or("", |w| w.name.as_str()));
    }
    let limits = [
        file.limits.connections,
        file.limits.connections_per_address,
        file.limits.requests_per_second,
        file.limits.burst,
    ];
    if limits.contains(&0) || file.limits.head_timeout_s == 0 || file.limits.body_timeout_s == 0 {
        bail!("[limits] has a 0: nobody could ask anything");
    }
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
        more_sites: file.more_sites,
        cookie_domain: file.cookie_domain,
        cookie_http_only: file.cookie_http_only,
        terms,
        platform_country: file.platform_country,
        currency: file.currency,
        live: file.live,
        approvals_needed: file.approvals,
        demo,
        payer: file.payer,
        accounts: file.accounts,
        stripe_api,
        stripe_connect_key: secret("STRIPE_CONNECT_KEY").unwrap_or_default(),
        stripe_read_key: secret("STRIPE_READ_KEY").unwrap_or_default(),
        webhook_secret_account: secret("STRIPE_WEBHOOK_SECRET_ACCOUNT").unwrap_or_default(),
        webhook_secret_connect: secret("STRIPE_WEBHOOK_SECRET_CONNECT").unwrap_or_default(),
        webhooks,
    })
}

/// One `[[webhooks]]` with its secrets.
fn endpoint(given: Webhook, secret: impl Fn(&str) -> Option<String>) -> anyhow::Result<WebhookEndpoint> {
    let Webhook { name, url, events, private } = given;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
        bail!("the webhook name «{name}» must be 1 to 40 lower-case letters, digits and _");
    }
    if !(url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url)) || !url.username().is_empty() {
        bail!(
            "the webhook {name} leads to {}: it must be https, or http on this machine, without a user name",
            url.origin().ascii_serialization()
        );
    }
    if let Some(unknown) = events.iter().find(|e| !crate::EVENT_TYPES.contains(&e.as_str())) {
        bail!("the webhook {name} wants «{unknown}»; events are {}", crate::EVENT_TYPES.join(", "));
    }
    let variable = format!("WEBHOOK_SECRET_{}", name.to_uppercase());
    let secrets: Vec<String> = [secret(&variable), secret(&format!("{variable}_OLD"))].into_iter().flatten().collect();
    if secrets.iter().any(|s| s.len() < 24) || secrets.is_empty() {
        bail!("{variable} must hold at least 24 characters: it signs what the webhook {name} is sent");
    }
    let reach = if private || is_loopback(&url) { Reach::Anywhere } else { Reach::Public };
    Ok(WebhookEndpoint { name, url, events, secrets, reach })
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
    fn a_webhook_leads_out_by_https_and_has_a_secret() {
        let with = |text: &str, secret: &'static str| {
            let file: File = toml::from_str(text).unwrap();
            build(file, 1, false, move |name: &str| (name == "WEBHOOK_SECRET_CRM").then(|| secret.into()))
        };
        let good = "0123456789abcdef0123456789";
        let one = |url: &str| format!("[[webhooks]]\nname = 'crm'\nurl = '{url}'\n");
        let config = with(&one("https://hooks.aikit.example/partners"), good).unwrap();
        assert!(config.webhooks[0].reach == Reach::Public && config.webhooks[0].secrets == [good]);
        assert_eq!(with(&one("http://127.0.0.1:9/x"), good).unwrap().webhooks[0].reach, Reach::Anywhere);
        assert_eq!(
            with(&(one("https://10.0.0.1/") + "private = true"), good).unwrap().webhooks[0].reach,
            Reach::Anywhere
        );
        for refused in [
            one("http://hooks.aikit.example/"),
            one("http://127.0.0.1.evil.example/"),
            one("ftp://hooks.aikit.example/"),
            one("https://user:pw@hooks.aikit.example/"),
            one("https://a.example/") + "events = ['payout.payed']",
            one("https://a.example/") + &one("https://b.example/"),
            one("https://a.example/").replace("crm", "CRM"),
            one("https://a.example/").replace("crm", "other"),
            "[limits]\nconnections = 0".into(),
        ] {
            assert!(with(&refused, good).is_err(), "{refused}");
        }
        assert!(with(&one("https://a.example/"), "short").is_err());
    }

    #[test]
    fn documents_name_whom_the_file_names() {
        let text = "[payer]\nname = 'Example, Inc.'\naddress = ['1 Street', 'Town']\n[accounts]\nexpense_code = '400'";
        let config = build(toml::from_str(text).unwrap(), 1, false, |_| None).unwrap();
        assert_eq!((config.payer.name.as_str(), config.payer.address.len()), ("Example, Inc.", 2));
        assert_eq!((config.accounts.expense_code.as_str(), config.accounts.payable_code.as_str()), ("400", "2150"));
        assert_eq!(build(File::default(), 1, false, |_| None).unwrap().payer.name, "AIKit");
        assert!(toml::from_str::<File>("[payer]\nadress = []").is_err());
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let error = toml::from_str::<File>("cookie_domian = 'x'").unwrap_err().to_string();
        assert!(error.contains("cookie_domian"), "{error}");
    }
}
