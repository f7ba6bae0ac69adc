//! Sign-in at a real OpenID Connect provider, with the real server and the desktop app's own code: a person in a browser
//! is a client that follows redirects, keeps cookies and fills in the provider's form.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use desk::{Config, Desk, Host, SecretStore, StoreFault};
use product_tests::process::{Process, Start, run};
use product_tests::world::programs_folder;
use reqwest::{Client, Response, StatusCode, Url, header};
use serde_json::{Value, json};

const FINANCE: &str = "finance@aikit.example";

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

/// Waits until an address answers.
async fn ready(process: &mut Process, url: &str) -> Result<()> {
    let began = Instant::now();
    while !client().get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
        if let Some(status) = process.ended() {
            bail!("{} ended ({status}): {}", process.name(), process.last_output());
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "{} is silent: {}", process.name(), process.last_output());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(())
}

/// The provider and the API that trusts it.
struct Stage {
    folder: PathBuf,
    issuer_port: u16,
    algorithm: &'static str,
    secret: Option<&'static str>,
    here: String,
    provider: Option<Process>,
    server: Option<Process>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server.take();
        self.provider.take();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

impl Stage {
    async fn set(name: &str, algorithm: &'static str, secret: Option<&'static str>) -> Result<Stage> {
        let folder = std::env::temp_dir().join(format!("aikit-oidc-{name}-{}", std::process::id()));
        let (port, issuer_port) = (free_port(), free_port());
        let here = format!("http://localhost:{port}");
        let mut stage = Stage { folder, issuer_port, algorithm, secret, here, provider: None, server: None };
        stage.start_provider().await?;
        let (data, logs) = (stage.folder.join("data"), stage.folder.join("logs"));
        let program = programs_folder()?.join("aikit-partners-server");
        let data = data.to_string_lossy().into_owned();
        run(&program, &["staff", "add", "--data", &data, "--role", "finance", FINANCE], &[])?;
        run(&program, &["staff", "add", "--data", &data, "--role", "auditor", "unverified@aikit.example"], &[])?;
        let mut env = vec![("OIDC_ISSUER", stage.issuer()), ("OIDC_CLIENT_ID", "partners".to_owned())];
        env.extend(secret.map(|s| ("OIDC_CLIENT_SECRET", s.to_owned())));
        let args = ["serve", "--data", &data, "--port", &port.to_string()].map(str::to_owned).to_vec();
        let mut server = Process::start(Start { name: "api", program: &program, args, env, logs: &logs })?;
        ready(&mut server, &format!("{}/healthz", stage.here)).await?;
        stage.server = Some(server);
        Ok(stage)
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.issuer_port)
    }

    /// Starts the provider, with new keys, in the place of one that runs.
    async fn start_provider(&mut self) -> Result<()> {
        if let Some(running) = self.provider.take() {
            running.kill();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc/provider.mjs");
        ensure!(script.with_file_name("node_modules").is_dir(), "the provider's packages are missing: run ./dev setup");
        let mut args = vec![script.display().to_string(), self.issuer_port.to_string()];
        args.extend([format!("{}/v1/auth/oidc/callback", self.here), self.algorithm.to_owned()]);
        args.extend(self.secret.map(str::to_owned));
        let logs = self.folder.join("logs");
        let mut provider =
            Process::start(Start { name: "provider", program: Path::new("node"), args, env: Vec::new(), logs: &logs })?;
        ready(&mut provider, &format!("{}/.well-known/openid-configuration", self.issuer())).await?;
        self.provider = Some(provider);
        Ok(())
    }

    fn logs(&self) -> String {
        ["provider", "api"]
            .map(|name| std::fs::read_to_string(self.folder.join(format!("logs/{name}.log"))).unwrap_or_default())
            .join("\n")
    }
}

/// A browser: cookies by host and port, one redirect after the other.
struct Person {
    http: Client,
    cookies: BTreeMap<(String, String), String>,
    /// Where the browser has been.
    been: Vec<String>,
}

fn site(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

impl Person {
    fn new() -> Person {
        Person { http: client(), cookies: BTreeMap::new(), been: Vec::new() }
    }

    async fn ask(&mut self, url: &Url, form: Option<&[(&str, &str)]>) -> Result<Response> {
        self.been.push(url.to_string());
        let mut request = match form {
            Some(form) => self.http.post(url.clone()).form(form),
            None => self.http.get(url.clone()),
        };
        let here = site(url);
        let mine = self.cookies.iter().filter(|((at, _), _)| *at == here);
        let pairs: Vec<String> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
        if !pairs.is_empty() {
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        let answer = request.send().await?;
        self.take(&here, &answer);
        Ok(answer)
    }

    fn take(&mut self, here: &str, answer: &Response) {
        for line in answer.headers().get_all(header::SET_COOKIE).iter().filter_map(|v| v.to_str().ok()) {
            let pair = line.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                let key = (here.to_owned(), name.to_owned());
                if value.is_empty() {
                    self.cookies.remove(&key)
                } else {
                    self.cookies.insert(key, value.to_owned())
                };
            }
        }
    }

    /// Goes to an address and wherever it leads, filling in the provider's forms as `login`, until a page that is none of
    /// the provider's. Answers it and where it is.
    async fn go(&mut self, from: &str, login: &str, issuer: &str) -> Result<(Url, StatusCode, String)> {
        let mut url = Url::parse(from)?;
        let mut form: Option<Vec<(&str, &str)>> = None;
        for _ in 0..20 {
            let answer = self.ask(&url, form.take().as_deref()).await?;
            if let Some(to) = answer.headers().get(header::LOCATION).filter(|_| answer.status().is_redirection()) {
                url = url.join(to.to_str()?)?;
                continue;
            }
            let (status, text) = (answer.status(), answer.text().await?);
            if !url.as_str().starts_with(issuer) {
                return Ok((url, status, text));
            }
            let action = text.split("action=\"").nth(1).and_then(|rest| rest.split('"').next());
            let action = action.with_context(|| format!("no form at {url}: {text}"))?;
            form = Some(match text.contains("name=\"login\"") {
                true => vec![("prompt", "login"), ("login", login), ("password", "x")],
                false => vec![("prompt", "consent")],
            });
            url = url.join(action)?;
        }
        bail!("it leads nowhere: {:?}", self.been)
    }

    /// What the sign-in page does: begins, and follows the address that the API gives.
    async fn sign_in(
        &mut self,
        stage: &Stage,
        body: Value,
        bearer: &str,
        login: &str,
    ) -> Result<(Url, StatusCode, String)> {
        let url = Url::parse(&format!("{}/v1/auth/oidc", stage.here))?;
        let request = self.http.post(url.clone()).header(header::ORIGIN, &stage.here).bearer_auth(bearer).json(&body);
        let answer = request.send().await?;
        self.take(&site(&url), &answer);
        let begun: Value = answer.json().await?;
        let led_to = begun["url"].as_str().with_context(|| begun.to_string())?.to_owned();
        self.go(&led_to, login, &stage.issuer()).await
    }

    /// What the page does next: a session out of its cookie.
    async fn session(&mut self, stage: &Stage) -> Result<Value> {
        let url = Url::parse(&format!("{}/v1/auth/refresh", stage.here))?;
        let cookie = self.cookies.get(&(site(&url), "aikit_refresh".into())).context("no session")?;
        let request = self.http.post(url.clone()).header(header::COOKIE, format!("aikit_refresh={cookie}"));
        let answer = request.json(&json!({})).send().await?;
        self.take(&site(&url), &answer);
        Ok(answer.json().await?)
    }
}

#[tokio::test]
async fn a_browser_signs_in_confirms_and_outlives_new_keys() -> Result<()> {
    let mut stage = Stage::set("browser", "RS256", None).await?;
    let methods: Value = client().get(format!("{}/v1/auth/methods", stage.here)).send().await?.json().await?;
    ensure!(methods == json!({"email_codes": false, "issuer": "AIKit"}), "{methods}");
    let mut person = Person::new();
    let (at, ..) = person.sign_in(&stage, json!({"return_to": "#/runs"}), "", FINANCE).await?;
    ensure!(at.as_str() == format!("{}/#/runs", stage.here), "{at}: {}", stage.logs());
    let session = person.session(&stage).await?;
    ensure!(session["account"]["email"] == FINANCE && session["account"]["role"] == "finance", "{session}");
    let first = session["access_token"].as_str().context("no token")?.to_owned();

    // The way back is walked once.
    let callback = person.been.iter().find(|url| url.contains("/callback?")).context("no callback")?.clone();
    let (_, status, text) = person.go(&callback, FINANCE, &stage.issuer()).await?;
    ensure!(status == StatusCode::UNAUTHORIZED && text.contains("used already"), "{status} {text}");

    // A confirmation asks for the form again, although the provider knows the browser.
    let forms = |person: &Person| person.been.iter().filter(|url| url.contains("/interaction/")).count();
    let before = forms(&person);
    let (at, ..) =
        person.sign_in(&stage, json!({"confirm": true, "return_to": "#/confirmed"}), &first, FINANCE).await?;
    ensure!(at.as_str().ends_with("/#/confirmed") && forms(&person) > before, "{at}: {}", stage.logs());
    let confirmed = person.session(&stage).await?;
    let auth = |session: &Value| session["account"]["auth_at"].as_str().unwrap_or_default().to_owned();
    ensure!(auth(&confirmed) >= auth(&session), "{} {}", auth(&confirmed), auth(&session));
    let old = client().get(format!("{}/v1/auth/sessions", stage.here)).bearer_auth(&first).send().await?;
    ensure!(old.status() == StatusCode::UNAUTHORIZED, "the session before it is over");

    // New keys at the provider, and another browser.
    stage.start_provider().await?;
    let mut other = Person::new();
    let (at, _, text) = other.sign_in(&stage, json!({}), "", FINANCE).await?;
    ensure!(at.as_str() == format!("{}/", stage.here), "{at} {text}: {}", stage.logs());
    ensure!(other.session(&stage).await?["account"]["email"] == FINANCE);
    Ok(())
}

#[tokio::test]
async fn strangers_are_told_what_to_do() -> Result<()> {
    let stage = Stage::set("strangers", "ES256", Some("a-secret-between-two-programs")).await?;
    for (login, says) in [
        ("nobody@agency.example", "Nobody is known here as nobody@agency.example"),
        ("unverified@aikit.example", "has not verified your e-mail address"),
    ] {
        let mut person = Person::new();
        let (at, status, text) = person.sign_in(&stage, json!({}), "", login).await?;
        ensure!(status == StatusCode::FORBIDDEN && text.contains(says), "{at} {status} {text}: {}", stage.logs());
        ensure!(person.session(&stage).await.is_err());
    }
    // A confidential client gets in as well.
    let mut person = Person::new();
    let (at, _, text) = person.sign_in(&stage, json!({}), "", FINANCE).await?;
    ensure!(at.as_str() == format!("{}/", stage.here), "{at} {text}: {}", stage.logs());
    Ok(())
}

/// A keychain in a drawer.
#[derive(Clone, Default)]
struct Drawer(Arc<Mutex<BTreeMap<String, secrecy::SecretString>>>);

impl SecretStore for Drawer {
    fn get(&self, name: &str) -> Result<Option<secrecy::SecretString>, StoreFault> {
        Ok(self.0.lock().unwrap().get(name).cloned())
    }
    fn set(&self, name: &str, secret: &secrecy::SecretString) -> Result<(), StoreFault> {
        self.0.lock().unwrap().insert(name.to_owned(), secret.clone());
        Ok(())
    }
    fn delete(&self, name: &str) -> Result<(), StoreFault> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }
}

#[tokio::test]
async fn the_desktop_signs_in_through_the_persons_browser() -> Result<()> {
    let stage = Stage::set("desktop", "ES256", None).await?;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel::<String>();
    let open = Box::new(move |url: &Url| tell.send(url.to_string()).map_err(|e| e.to_string()));
    let config = Config::new(Some(&stage.here), stage.folder.join("desk"))?;
    let desk = Desk::open(
        config,
        Host { version: "1".into(), open, downloads: stage.folder.join("downloads"), shell: Arc::new(()) },
        Arc::new(Drawer::default()),
    )?;
    let ask = async |cmd: &str, args: Value| desk.dispatch(cmd, args).await.map_err(|e| anyhow::anyhow!(e.message));
    let mut browsers = [Person::new(), Person::new()];
    for (confirm, login, wanted) in
        [(false, FINANCE, true), (true, FINANCE, true), (true, "nobody@agency.example", false)]
    {
        let person = &mut browsers[usize::from(!wanted)];
        let walk = async {
            let url = told.recv().await.context("no address")?;
            let walked = person.go(&url, login, &stage.issuer()).await;
            if walked.is_err() {
                // Nobody will come back.
                ask("stop_waiting", json!({})).await?;
            }
            walked
        };
        let (account, page) = tokio::join!(ask("sign_in_at_issuer", json!({ "confirm": confirm })), walk);
        let (at, _, text) = page?;
        ensure!(at.host_str() == Some("127.0.0.1") && at.path() == "/", "{at}");
        match (account, wanted) {
            (Ok(account), true) => {
                ensure!(account["email"] == FINANCE && text.contains("You are signed in"), "{account}")
            }
            (Err(error), false) => ensure!(error.to_string().contains("Nobody is known here"), "{error}"),
            (other, _) => bail!("{other:?}: {}", stage.logs()),
        }
    }
    let runs = ask("runs", json!({})).await?;
    ensure!(runs["data"] == json!([]), "{runs}");
    ask("sign_out", json!({})).await?;
    Ok(())
}
