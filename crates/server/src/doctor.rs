//! `doctor`: looks whether everything is as it must be, without changing anything, and says what to do where it is not.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use referral::ports::{Config, Host as _, Http};
use url::Url;

use crate::host::{Network, SystemHost};
use crate::mail::Outgoing;
use crate::{config, serve};

/// Oldest SQLite whose write-ahead log is sound under every schedule of readers and checkpoints.
const SQLITE_AT_LEAST: [u32; 3] = [3, 51, 3];
/// Space that is little, and space that is too little, in bytes.
const SPACE_LITTLE: u64 = 2 << 30;
const SPACE_TOO_LITTLE: u64 = 200 << 20;
/// How far the clock may be from Stripe's, which refuses signatures beyond five minutes.
const CLOCK_OFF: TimeDelta = TimeDelta::seconds(30);

/// Options of `doctor`.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Folder of the database.
    #[arg(long)]
    data: PathBuf,
    /// Configuration file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Port that the API is served on.
    #[arg(long, default_value_t = 8787)]
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Good,
    Mind,
    Bad,
}

/// One line of the table.
#[derive(Debug)]
struct Finding {
    what: &'static str,
    mark: Mark,
    said: String,
    /// What to do; empty for what is good.
    todo: String,
}

fn good(what: &'static str, said: impl Into<String>) -> Finding {
    Finding { what, mark: Mark::Good, said: said.into(), todo: String::new() }
}
fn mind(what: &'static str, said: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { what, mark: Mark::Mind, said: said.into(), todo: todo.into() }
}
fn bad(what: &'static str, said: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { what, mark: Mark::Bad, said: said.into(), todo: todo.into() }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.mark {
            Mark::Good => "ok",
            Mark::Mind => "mind",
            Mark::Bad => "BAD",
        };
        write!(f, "{mark:<5} {:<18} {}", self.what, self.said)?;
        if !self.todo.is_empty() {
            write!(f, "\n{:<24} → {}", "", self.todo)?;
        }
        Ok(())
    }
}

pub(crate) async fn run(options: &Doctor) -> anyhow::Result<()> {
    let mut findings = Vec::new();
    let file = config::read(options.config.as_deref()).and_then(|file| {
        let from = file.mail_from.clone();
        Ok((config::build(file, options.port, false, serve::secret)?, from))
    });
    match &file {
        Ok((config, from)) => {
            findings.push(good("configuration", options.config.as_deref().map_or("built-in defaults".into(), shown)));
            findings.extend(of_addresses(config));
            findings.extend(of_secrets(config, serve::secret));
            findings.push(of_mail(&options.data, from).await);
            findings.push(of_sign_in(config, &Network::new()?).await);
            findings.push(of_clock(&config.stripe_api, SystemHost::new().now()).await);
        }
        Err(error) => {
            findings.push(bad("configuration", format!("{error:#}"), "mend it; the server does not start with it"))
        }
    }
    findings.push(of_library(sqlite::library_version()));
    findings.push(of_space(&options.data));
    findings.extend(of_database(&options.data.join("referral.db")).await);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.iter().filter(|f| f.mark == Mark::Bad).count() {
        0 => Ok(()),
        1 => bail!("one thing must be mended"),
        n => bail!("{n} things must be mended"),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The cookie that credits a click is set by the API and read by the site: its domain must be above both.
fn of_addresses(config: &Config) -> Vec<Finding> {
    let (api, site) = (&config.public_url, &config.site);
    let mut findings = Vec::new();
    findings.push(if api.scheme() == "https" {
        good("public address", api.as_str())
    } else if config::is_loopback(api) {
        mind("public address", api.as_str(), "set public_url to the https address that partners use")
    } else {
        bad("public address", api.as_str(), "public_url must be https: sign-in and cookies travel over it")
    });
    let host = |url: &Url| url.host_str().unwrap_or_default().to_string();
    let (api, site) = (host(api), host(site));
    let below =
        |host: &str, domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    findings.push(match config.cookie_domain.as_deref().map(|d| d.trim_start_matches('.')) {
        Some(domain) if below(&api, domain) && below(&site, domain) && domain.contains('.') => {
            good("cookie domain", format!("{domain}, above {api} and {site}"))
        }
        Some(domain) => bad(
            "cookie domain",
            format!("{domain} is not above both {api} and {site}"),
            "set cookie_domain to the domain that the API and the site have in common; browsers drop the cookie otherwise",
        ),
        None if api == site => good("cookie domain", format!("the host itself, {api}")),
        None => mind(
            "cookie domain",
            format!("not set, and {site} is not {api}"),
            "set cookie_domain to the domain that both have in common, so that the site's sign-up form sees the cookie",
        ),
    });
    findings
}

/// Which keys and secrets are there, and of which kind.
fn of_secrets(config: &Config, secret: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mode = if config.live { "live" } else { "test" };
    let mut findings = Vec::new();
    let key = config.stripe_connect_key.as_str();
    findings.push(match key.split('_').collect::<Vec<_>>().as_slice() {
        [""] => bad("Stripe key", "STRIPE_CONNECT_KEY is not set", "agencies cannot connect their accounts without it"),
        ["rk", m, ..] if *m == mode => good("Stripe key", format!("restricted, {mode}")),
        ["sk", m, ..] if *m == mode => mind(
            "Stripe key",
            format!("a secret key, {mode}: it may do everything"),
            "make a restricted key that may write accounts and account links, and nothing else",
        ),
        ["rk" | "sk", m @ ("live" | "test"), ..] => bad(
            "Stripe key",
            format!("it is a {m} key, and live is {}", config.live),
            "take the key of the mode that the configuration says",
        ),
        _ => bad("Stripe key", "STRIPE_CONNECT_KEY is not a Stripe key", "it begins with rk_ or sk_"),
    });
    if secret("STRIPE_PAYOUT_KEY").is_some() {
        findings.push(bad(
            "money key",
            "STRIPE_PAYOUT_KEY is in this environment",
            "take it away: only `payouts run`, on the computer that sends, may have it",
        ));
    }
    for (what, variable, value) in [
        ("account webhook", "STRIPE_WEBHOOK_SECRET_ACCOUNT", &config.webhook_secret_account),
        ("connect webhook", "STRIPE_WEBHOOK_SECRET_CONNECT", &config.webhook_secret_connect),
    ] {
        findings.push(match value.as_str() {
            "" => bad(
                what,
                format!("{variable} is not set"),
                "no payment is heard of; copy it from the endpoint at Stripe",
            ),
            v if v.starts_with("whsec_") => good(what, "has its secret"),
            _ => bad(what, format!("{variable} is not a webhook secret"), "it begins with whsec_"),
        });
    }
    if !config.webhook_secret_account.is_empty() && config.webhook_secret_account == config.webhook_secret_connect {
        findings.push(bad("webhook secrets", "both are the same", "each of the two endpoints at Stripe has its own"));
    }
    findings.push(match config.webhooks.len() {
        0 => mind("webhooks to AIKit", "none", "name an endpoint under [[webhooks]] where AIKit wants to be told"),
        _ => good("webhooks to AIKit", config.webhooks.iter().map(|w| w.name.as_str()).collect::<Vec<_>>().join(", ")),
    });
    findings
}

async fn of_mail(data: &Path, from: &str) -> Finding {
    let Some(url) = serve::secret("SMTP_URL") else {
        let folder = data.join("outbox");
        return mind(
            "e-mail",
            format!("into files in {}", folder.display()),
            "set SMTP_URL: nobody can sign in by a code that is a file",
        );
    };
    match Outgoing::new(data, Some(&url), from) {
        Err(error) => bad("e-mail", format!("{error:#}"), "mend SMTP_URL or mail_from"),
        Ok(mail) => match mail.reachable().await {
            Ok(()) => good("e-mail", "the mail server answers"),
            Err(why) => bad("e-mail", why, "look at SMTP_URL, the network, and the mail server"),
        },
    }
}

/// Whoever vouches for people must answer, under the name that the configuration gives it.
async fn of_sign_in(config: &Config, http: &dyn Http) -> Finding {
    let Some(oidc) = &config.oidc else {
        return good("sign-in", "by a code that comes by e-mail");
    };
    match referral::look_at_issuer(http, oidc).await {
        Ok(1) => good("sign-in", format!("{} answers and has a key", oidc.issuer)),
        Ok(n) => good("sign-in", format!("{} answers and has {n} keys", oidc.issuer)),
        Err(why) => bad(
            "sign-in",
            format!("at {}: {why}", oidc.issuer),
            "look at OIDC_ISSUER, which must be the issuer's own name for itself to the letter, and at the network",
        ),
    }
}

async fn of_clock(stripe_api: &Url, now: DateTime<Utc>) -> Finding {
    let ask = async {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().ok()?;
        let answer = client.get(stripe_api.clone()).send().await.ok()?;
        let date = answer.headers().get("date")?.to_str().ok()?.to_string();
        DateTime::parse_from_rfc2822(&date).ok()
    };
    match ask.await {
        None => mind("clock", "Stripe could not be asked for the time", "look whether this machine reaches Stripe"),
        Some(theirs) => {
            let off = now - theirs.to_utc();
            if off.abs() <= CLOCK_OFF {
                good("clock", format!("{} s from Stripe's", off.num_seconds()))
            } else {
                bad(
                    "clock",
                    format!("{} s from Stripe's", off.num_seconds()),
                    "run a time service (chrony, systemd-timesyncd)",
                )
            }
        }
    }
}

fn of_library(version: &str) -> Finding {
    let numbers: Vec<u32> = version.split('.').filter_map(|n| n.parse().ok()).collect();
    if numbers.as_slice() >= SQLITE_AT_LEAST.as_slice() {
        good("SQLite", version)
    } else {
        let [a, b, c] = SQLITE_AT_LEAST;
        bad("SQLite", version, format!("{a}.{b}.{c} or newer is needed: build with the bundled SQLite"))
    }
}

fn of_space(data: &Path) -> Finding {
    let at = data.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(at) {
        Err(error) => mind("disk space", format!("cannot be read: {error}"), "look at the folder of --data"),
        Ok(fs) => {
            let free = fs.f_bavail.saturating_mul(fs.f_frsize);
            let said = format!("{} MB free", free >> 20);
            match free {
                f if f < SPACE_TOO_LITTLE => bad("disk space", said, "make room: a full disk takes no webhook"),
                f if f < SPACE_LITTLE => mind("disk space", said, "make room soon"),
                _ => good("disk space", said),
            }
        }
    }
}

async fn of_database(file: &Path) -> Vec<Finding> {
    if !file.is_file() {
        return vec![mind(
            "database",
            format!("{} is not there yet", file.display()),
            "`serve` makes it; check --data otherwise",
        )];
    }
    let checked = match sqlite::check(file) {
        Ok(checked) => checked,
        Err(error) => return vec![bad("database", error.to_string(), "restore the newest backup")],
    };
    let mut findings = vec![match checked.damage.first() {
        None => good("database", "sound"),
        Some(first) => bad("database", format!("damaged: {first}"), "stop the server and restore the newest backup"),
    }];
    let known = sqlite::known_migrations();
    findings.push(match checked.version {
        v if v == known => good("migrations", format!("all {known} done")),
        v if v < known => mind(
            "migrations",
            format!("{v} of {known} done"),
            "`serve` does the others when it starts: make a backup before",
        ),
        v => bad("migrations", format!("{v} done, this program knows {known}"), "install the newer program"),
    });
    // Opening it as the API does would do the migrations that are missing.
    if checked.version == known
        && checked.damage.is_empty()
        && let Some(app) = file.parent().and_then(|data| serve::offline_app(data).ok())
    {
        findings.push(match referral::payout_lock(&app).await {
            Ok(lock) if !lock.locked => good("payouts", "not locked"),
            Ok(lock) => mind(
                "payouts",
                format!("locked: {}", lock.reason.unwrap_or_default()),
                "`payouts status` says who must agree",
            ),
            Err(error) => bad("payouts", error.message, "look at the log"),
        });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use referral::db::BoxFut;
    use referral::ports::{HttpRequest, HttpResponse, Oidc};

    fn config(api: &str, cookie_domain: Option<&str>, key: &str, live: bool) -> Config {
        let file = format!(
            "public_url = '{api}'\nsite = 'https://www.aikit.example/'\nlive = {live}\n{}",
            cookie_domain.map(|d| format!("cookie_domain = '{d}'")).unwrap_or_default()
        );
        let key = key.to_string();
        config::build(toml::from_str(&file).unwrap(), 1, false, move |name| match name {
            "STRIPE_CONNECT_KEY" => Some(key.clone()),
            "STRIPE_WEBHOOK_SECRET_ACCOUNT" => Some("whsec_1".into()),
            _ => None,
        })
        .unwrap()
    }

    fn marks(findings: &[Finding]) -> Vec<Mark> {
        findings.iter().map(|f| f.mark).collect()
    }

    #[test]
    fn the_cookie_must_reach_the_site() {
        use Mark::{Bad, Good, Mind};
        for (api, domain, expected) in [
            ("https://partners.aikit.example/", Some("aikit.example"), [Good, Good]),
            ("https://partners.aikit.example/", Some(".aikit.example"), [Good, Good]),
            ("https://partners.aikit.example/", None, [Good, Mind]),
            ("https://www.aikit.example/", None, [Good, Good]),
            ("https://partners.notaikit.example/", Some("aikit.example"), [Good, Bad]),
            ("https://partners.aikit.example/", Some("kit.example"), [Good, Bad]),
            ("https://partners.aikit.example/", Some("example"), [Good, Bad]),
            ("http://partners.aikit.example/", Some("aikit.example"), [Bad, Good]),
            ("http://localhost:8787/", None, [Mind, Mind]),
        ] {
            assert_eq!(marks(&of_addresses(&config(api, domain, "", false))), expected, "{api} {domain:?}");
        }
    }

    #[test]
    fn a_key_must_be_of_the_right_mode_and_little_power() {
        let mark = |key: &str, live| of_secrets(&config("https://a.aikit.example/", None, key, live), |_| None)[0].mark;
        for (key, live, expected) in [
            ("rk_test_abc", false, Mark::Good),
            ("rk_live_abc", true, Mark::Good),
            ("sk_live_abc", true, Mark::Mind),
            ("rk_test_abc", true, Mark::Bad),
            ("rk_live_abc", false, Mark::Bad),
            ("pk_test_abc", false, Mark::Bad),
            ("", false, Mark::Bad),
        ] {
            assert_eq!(mark(key, live), expected, "{key} {live}");
        }
        let with_money =
            of_secrets(&config("https://a.aikit.example/", None, "rk_test_a", false), |_| Some("rk_test_b".into()));
        assert!(with_money.iter().any(|f| f.what == "money key" && f.mark == Mark::Bad));
        assert!(with_money.iter().any(|f| f.what == "connect webhook" && f.mark == Mark::Bad), "one secret is missing");
    }

    /// An issuer that answers by path.
    struct Issuer(&'static [(&'static str, &'static str)]);

    impl Http for Issuer {
        fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
            let found = self.0.iter().find(|(path, _)| *path == request.url.path());
            let answer = found.map(|(_, body)| HttpResponse { status: 200, body: (*body).into() });
            Box::pin(async move { answer.ok_or_else(|| "no connection".into()) })
        }
    }

    #[tokio::test]
    async fn the_issuer_must_answer_under_its_own_name() {
        const ABOUT: (&str, &str) = (
            "/.well-known/openid-configuration",
            r#"{"issuer": "https://id.aikit.example", "authorization_endpoint": "https://id.aikit.example/auth",
                "token_endpoint": "https://id.aikit.example/token", "jwks_uri": "https://id.aikit.example/keys",
                "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"]}"#,
        );
        const KEYS: (&str, &str) = ("/keys", r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "1"}]}"#);
        let look = async |name: &str, answers: &'static [(&str, &str)]| {
            let mut config = config("https://a.aikit.example/", None, "", false);
            let (issuer, name, client_id) = (name.to_string(), "AIKit".to_string(), "partners".to_string());
            config.oidc = Some(Oidc { issuer, client_id, client_secret: None, name });
            of_sign_in(&config, &Issuer(answers)).await
        };
        let named = "https://id.aikit.example";
        assert_eq!(look(named, &[ABOUT, KEYS]).await.mark, Mark::Good);
        for (name, answers, why) in [
            (named, [].as_slice(), "no connection"),
            (named, &[ABOUT], "no connection"),
            (named, &[ABOUT, ("/keys", r#"{"keys": []}"#)], "has no key"),
            (named, &[("/.well-known/openid-configuration", "<html>")], "cannot be read"),
            ("https://id.aikit.example/", &[ABOUT, KEYS], "calls itself https://id.aikit.example,"),
            ("http://id.aikit.example", &[ABOUT, KEYS], "is not https"),
        ] {
            let finding = look(name, answers).await;
            assert!(finding.mark == Mark::Bad && finding.said.contains(why), "{finding}");
        }
    }

    #[test]
    fn an_old_sqlite_is_refused() {
        for (version, expected) in [
            ("3.51.3", Mark::Good),
            ("3.52.0", Mark::Good),
            ("4.0.0", Mark::Good),
            ("3.51.2", Mark::Bad),
            ("3.9.9", Mark::Bad),
        ] {
            assert_eq!(of_library(version).mark, expected, "{version}");
        }
        assert_eq!(of_library(sqlite::library_version()).mark, Mark::Good);
    }
}
