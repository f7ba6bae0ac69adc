//! The product as it runs: the Stripe stand-in, the API and the payout executor, as real processes on loopback.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::api::Api;
use crate::dice::Dice;
use crate::process::{Process, Start, run};
use crate::stripe_side::StripeSide;

/// How long a process may take until it answers.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder for everything that it writes.
    pub data: PathBuf,
    /// Port of the API; a free one, if absent.
    pub port: Option<u16>,
    /// Folder of the built pages; without it the API serves none.
    pub ui: Option<PathBuf>,
    /// What the stand-in's clock says when the folder is new.
    pub now: DateTime<Utc>,
}

/// The running processes. Dropping it stops them all.
#[derive(Debug)]
pub struct World {
    config: Config,
    port: u16,
    programs: PathBuf,
    keys: Keys,
    settings: Option<PathBuf>,
    env: Vec<(&'static str, String)>,
    between: Option<Between>,
    /// The only events of Stripe's that the API is told of; all, if absent.
    told: Option<&'static [&'static str]>,
    // In the order in which they are stopped: who asks before who answers.
    executor: Option<Process>,
    server: Option<Process>,
    stand_in: Process,
    stripe: StripeSide,
}

/// Addresses that the programs are given in place of each other's own.
#[derive(Clone, Debug)]
pub struct Between {
    /// For the executor and the stand-in's webhooks.
    pub api: String,
    /// For the executor and the API.
    pub stripe: String,
}

/// Keys that the API issued to the processes around it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Keys {
    server: String,
    executor: String,
}

impl World {
    /// Starts the stand-in, the API and the executor, and waits until they answer.
    ///
    /// # Errors
    /// A program is missing, a port is taken, or a process ends early; the message carries its last output.
    pub async fn start(config: Config) -> Result<Self> {
        for folder in ["stripe", "api", "logs"] {
            let folder = config.data.join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
        }
        let programs = programs_folder()?;
        let port = match config.port {
            Some(port) => port,
            None => free_port()?,
        };
        let stripe_port = free_port()?;
        let keys = keys(&config.data, &programs)?;
        let mut stand_in = Process::start(Start {
            name: "stripe",
            program: &programs.join("fake-stripe"),
            args: stand_in_args(&config, stripe_port),
            env: Vec::new(),
            logs: &config.data.join("logs"),
        })?;
        let stripe = StripeSide::new(&format!("http://127.0.0.1:{stripe_port}"))?;
        ready(&mut stand_in, &stripe.url("/_clock")).await?;
        let mut world = Self {
            config,
            port,
            programs,
            keys,
            settings: None,
            env: Vec::new(),
            between: None,
            told: None,
            executor: None,
            server: None,
            stand_in,
            stripe,
        };
        world.start_api().await?;
        world.start_executor()?;
        Ok(world)
    }

    /// Address of the API for programs, without a slash at its end.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The same for people's browsers, as the API itself names it in links.
    pub fn web_address(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// A client of the API that holds the key of AIKit's backend.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn api(&self) -> Result<Api> {
        Api::new(&self.address(), Some(self.keys.server.clone()))
    }

    /// The key of AIKit's backend.
    pub fn server_key(&self) -> &str {
        &self.keys.server
    }

    /// The key of the program that sends payouts.
    pub fn executor_key(&self) -> &str {
        &self.keys.executor
    }

    /// The stand-in.
    pub fn stripe(&self) -> &StripeSide {
        &self.stripe
    }

    /// Starts the API and waits until it answers. Does nothing while it runs.
    ///
    /// # Errors
    /// It ends early or does not answer in time.
    pub async fn start_api(&mut self) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let api = self.config.data.join("api");
        let mut env = self.stripe_env("connect", "STRIPE_CONNECT_KEY");
        env.extend([
            ("STRIPE_READ_KEY", test_key(&self.config.data, "rk", "read")),
            ("STRIPE_WEBHOOK_SECRET_ACCOUNT", webhook_secret(&self.config.data, "account")),
            ("STRIPE_WEBHOOK_SECRET_CONNECT", webhook_secret(&self.config.data, "connect")),
        ]);
        env.extend(self.env.iter().cloned());
        if let Some(ui) = &self.config.ui {
            env.push(("AIKIT_UI_DIR", ui.display().to_string()));
        }
        let (program, mut args) = host(&self.programs);
        args.extend(words(&["serve", "--demo", "--data", &api.to_string_lossy(), "--port", &self.port.to_string()]));
        env.push(("AIKIT_SERVER", self.programs.join("aikit-partners-server").display().to_string()));
        if let Some(settings) = &self.settings {
            args.extend(words(&["--config", &settings.to_string_lossy()]));
        }
        let mut server =
            Process::start(Start { name: "api", program: &program, args, env, logs: &self.config.data.join("logs") })?;
        ready(&mut server, &format!("{}/healthz", self.address())).await?;
        self.server = Some(server);
        // Told only now, so that no webhook finds a closed door; what happened before is delivered at once.
        let endpoint = |name: &str| {
            let url = format!("{}/v1/webhooks/stripe/{name}", self.asked_at());
            json!({ "url": url, "secret": webhook_secret(&self.config.data, name), "enabled_events": self.told.unwrap_or(&["*"]) })
        };
        let endpoints = json!({ "account": endpoint("account"), "connect": endpoint("connect") });
        self.stripe.control("webhooks", &endpoints).await?;
        Ok(())
    }

    /// From its next start on the API is told of no other events of Stripe's than these.
    pub fn tell_only(&mut self, events: &'static [&'static str]) {
        self.told = Some(events);
    }

    /// Starts the API again with a configuration file and an environment of its own.
    ///
    /// # Errors
    /// The file cannot be written, or the API does not come up.
    pub async fn configure(&mut self, settings: &str, env: Vec<(&'static str, String)>) -> Result<()> {
        let file = self.config.data.join("aikit-partners.toml");
        fs::write(&file, settings).with_context(|| format!("{} cannot be written", file.display()))?;
        (self.settings, self.env) = (Some(file), env);
        self.stop_api();
        self.start_api().await
    }

    /// Starts the API again, and lets the programs reach each other through something that stands between them.
    ///
    /// # Errors
    /// The API does not come up.
    pub async fn put_between(&mut self, between: Between) -> Result<()> {
        self.between = Some(between);
        self.kill_executor();
        self.stop_api();
        self.start_api().await
    }

    /// Folder of the API's database.
    pub fn api_data(&self) -> PathBuf {
        self.config.data.join("api")
    }

    /// What Stripe signs events to one of the two endpoints with, `account` or `connect`.
    pub fn webhook_secret(&self, endpoint: &str) -> String {
        webhook_secret(&self.config.data, endpoint)
    }

    /// The number of the API's process.
    pub fn api_pid(&self) -> Option<u32> {
        self.server.as_ref().map(Process::id)
    }

    /// Runs a command of the operator's program to its end and answers what it printed.
    ///
    /// # Errors
    /// It fails; the message carries what it said.
    pub fn operator(&self, args: &[&str]) -> Result<String> {
        run(&self.programs.join("aikit-partners-server"), args, &[])
    }

    /// Asks the API to end and waits for it.
    pub fn stop_api(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }

    /// Ends the API in the middle of whatever it does.
    pub fn kill_api(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    /// Starts the payout executor. Does nothing while it runs.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_executor(&mut self) -> Result<()> {
        if self.executor.is_some() {
            return Ok(());
        }
        self.executor = Some(self.spawn_executor("executor")?);
        Ok(())
    }

    /// An executor of this name that the caller keeps.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn_executor(&self, name: &'static str) -> Result<Process> {
        let mut env = self.stripe_env("payout", "STRIPE_PAYOUT_KEY");
        env.push(("AIKIT_EXECUTOR_KEY", self.keys.executor.clone()));
        Process::start(Start {
            name,
            program: &self.programs.join("aikit-partners-server"),
            args: words(&["payouts", "run", "--api", &self.asked_at(), "--watch", "--name", name]),
            env,
            logs: &self.config.data.join("logs"),
        })
    }

    /// Whether an executor was started and not ended since.
    pub fn has_executor(&self) -> bool {
        self.executor.is_some()
    }

    /// Ends the executor in the middle of whatever it does.
    pub fn kill_executor(&mut self) {
        if let Some(executor) = self.executor.take() {
            executor.kill();
        }
    }

    /// The first process that ended although nobody asked it to: its name, and its last words.
    pub fn fallen(&mut self) -> Option<(&'static str, String)> {
        let others = [self.server.as_mut(), self.executor.as_mut()].into_iter().flatten();
        let mut all = others.chain([&mut self.stand_in]);
        all.find_map(|process| {
            process.ended().map(|status| (process.name(), format!("{status}: {}", process.last_output())))
        })
    }

    /// Where the programs around the API ask it.
    fn asked_at(&self) -> String {
        self.between.as_ref().map_or_else(|| self.address(), |between| between.api.clone())
    }

    fn stripe_env(&self, key: &str, variable: &'static str) -> Vec<(&'static str, String)> {
        let stripe = self.between.as_ref().map_or_else(|| self.stripe.url(""), |between| between.stripe.clone());
        vec![("STRIPE_API_BASE", stripe), (variable, test_key(&self.config.data, "sk", key))]
    }
}

/// Whether the API runs on the edge here (`AIKIT_HOST=edge`): in workerd with D1 instead of the embedded server on SQLite.
pub fn on_the_edge() -> bool {
    std::env::var_os("AIKIT_HOST").is_some_and(|host| host == "edge")
}

/// The program that serves the API, and its first arguments. Both take the same options and the same environment.
fn host(programs: &Path) -> (PathBuf, Vec<String>) {
    if !on_the_edge() {
        return (programs.join("aikit-partners-server"), Vec::new());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("edge").join("serve.mjs");
    ("node".into(), vec![script.display().to_string()])
}

/// The folder of the product's programs: `AIKIT_BIN_DIR`, or where this one lies.
///
/// # Errors
/// This program's own place cannot be found.
pub fn programs_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("AIKIT_BIN_DIR") {
        return Ok(folder.into());
    }
    let own = std::env::current_exe().context("the place of this program is not known; set AIKIT_BIN_DIR")?;
    let folder = own.parent().unwrap_or(Path::new("."));
    // Cargo keeps test programs one folder below the others.
    Ok(if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }.to_owned())
}

/// True when nobody listens on a port of this computer.
///
/// # Errors
/// The port cannot be tried, for another reason than that it is in use.
pub fn port_is_free(port: u16) -> Result<bool> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(false),
        Err(error) => Err(error).with_context(|| format!("port {port} cannot be opened")),
    }
}

/// A port that nobody has: below those that outgoing connections are given, and looked for from another place by each
/// process, so that worlds that start at once do not take it from each other.
fn free_port() -> Result<u16> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(37);
    let free = (0..COUNT).find_map(|_| {
        let n = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + n).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    });
    free.context("no free port can be found")
}

fn stand_in_args(config: &Config, stripe_port: u16) -> Vec<String> {
    let state = config.data.join("stripe").join("state.db");
    let now = config.now.to_rfc3339_opts(SecondsFormat::Secs, true);
    words(&["--port", &stripe_port.to_string(), "--data", &state.to_string_lossy(), "--now", &now])
}

/// The keys of this data folder: issued once, then kept beside the data, for the owner's eyes only.
fn keys(data: &Path, programs: &Path) -> Result<Keys> {
    let file = data.join("api").join("demo-keys.json");
    if let Ok(text) = fs::read_to_string(&file) {
        return serde_json::from_str(&text).with_context(|| format!("{} is damaged; start afresh", file.display()));
    }
    let issue = |kind: &str| -> Result<String> {
        let api = data.join("api");
        let args = words(&["key", "issue", "--data", &api.to_string_lossy(), "--kind", kind]);
        let said = run(&programs.join("aikit-partners-server"), &args, &[])?;
        let key = said.lines().next_back().map(str::trim).unwrap_or_default().to_owned();
        if key.is_empty() {
            bail!("`key issue --kind {kind}` printed no key");
        }
        Ok(key)
    };
    let keys = Keys { server: issue("server")?, executor: issue("executor")? };
    let mut options = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let mut out = options.open(&file).with_context(|| format!("{} cannot be written", file.display()))?;
    out.write_all(&serde_json::to_vec(&keys)?)?;
    Ok(keys)
}

/// A key in the shape of Stripe's test keys. It opens nothing but the stand-in, so it may follow from the folder's name.
fn test_key(data: &Path, prefix: &str, name: &str) -> String {
    format!("{prefix}_test_{name}{}", Dice::of(&format!("{name} {}", data.display())).hex(24))
}

fn webhook_secret(data: &Path, endpoint: &str) -> String {
    format!("whsec_{endpoint}{}", Dice::of(&format!("webhook {endpoint} {}", data.display())).hex(32))
}

/// Waits until an address answers, or says why it never will.
async fn ready(process: &mut Process, url: &str) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    let started_at = Instant::now();
    loop {
        if let Some(status) = process.ended() {
            bail!("{} ended at once ({status}). It said:\n{}", process.name(), process.last_output());
        }
        if http.get(url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if started_at.elapsed() > READY_TIMEOUT {
            let waited_s = READY_TIMEOUT.as_secs();
            bail!("{} did not answer within {waited_s} s. It said:\n{}", process.name(), process.last_output());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
