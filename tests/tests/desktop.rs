//! The desktop app as a person meets it: the real window, driven by WebDriver, against a running demo.
//!
//! `AIKIT_APP_BIN` is the app, built with the feature `custom-protocol`; `AIKIT_API` is the demo's address. `./dev test`
//! makes both. The window talks to the API through a cable that the test can pull out.

use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use product_tests::Api;
use product_tests::process::{Process, Start};
use serde_json::{Value, json};
use wire::{DemoPerson, Role};

/// How long anything on the screen may take.
const PATIENCE: Duration = Duration::from_secs(20);
const ESTIMATE: Locator<'_> = Locator::Css("[data-testid=estimate-total]");
const AS_OF: Locator<'_> = Locator::Css("[data-testid=as-of]");

#[tokio::test]
async fn an_agency_sees_its_figures_with_the_network_and_without() -> Result<()> {
    let (agency, estimate_minor) = agency_that_earned().await?;
    let mut cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;

    // One click, and the figure is the API's.
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.shows_estimate(estimate_minor).await?;
    window.shows(AS_OF, "Live").await?;
    window.click(Locator::Css("a[href='#/links']")).await?;
    let make_a_link = Locator::XPath("//button[contains(., 'Make a link')]");
    window.find(make_a_link).await?;

    // Without the network the pages show what was saved, and an act says what it needs.
    cable.pull_out();
    window.page.refresh().await?;
    window.click(make_a_link).await?;
    window.click(Locator::XPath("//form//button[contains(., 'Make the link')]")).await?;
    window.shows(Locator::Css("form [role=alert]"), "needs the network").await?;
    window.page.execute("location.hash = '#/overview'", vec![]).await?;
    window.shows(AS_OF, "Saved copy").await?;
    window.shows_estimate(estimate_minor).await?;

    // The network is back, and the page finds that out by itself.
    cable.plug_in()?;
    window.shows(AS_OF, "Live").await?;

    // The app is closed and started again without the network: the keychain and the saved copies carry it.
    window.close(&computer).await?;
    cable.pull_out();
    let window = computer.open_window().await?;
    window.shows_estimate(estimate_minor).await?;
    window.shows(AS_OF, "Saved copy").await?;
    cable.plug_in()?;
    window.page.refresh().await?;
    window.shows(AS_OF, "Live").await?;
    window.shows_estimate(estimate_minor).await?;

    // Signed out, nothing is left of it.
    ensure!(!computer.files_with("estimate")?.is_empty(), "the overview was not saved");
    window.click(Locator::Css("button[title^='Sign out']")).await?;
    window.find(Locator::Css("button[data-person]")).await?;
    let left = computer.files_with("estimate")?;
    ensure!(left.is_empty(), "signing out left figures in {left:?}");
    window.close(&computer).await
}

#[tokio::test]
async fn the_page_reaches_nothing_but_the_app() -> Result<()> {
    let (agency, estimate_minor) = agency_that_earned().await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.shows_estimate(estimate_minor).await?;
    let home = window.page.current_url().await?;

    let kept =
        "return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, Object.keys(window)])";
    let kept = window.page.execute(kept, vec![]).await?.to_string();
    ensure!(!kept.contains("aik_"), "the page holds a token: {kept}");
    ensure!(!kept.contains("__TAURI__"), "the page has the toolkit's whole interface: {kept}");

    // Even a request whose answer the page may not read is not sent.
    let fetched = window.tries("fetch(arguments[0], { mode: 'no-cors' })", &cable.address()).await?;
    ensure!(fetched["failed"].is_string(), "the page itself can reach the network: {fetched}");
    let internals = "window.__TAURI_INTERNALS__.invoke(arguments[0], arguments[0] === 'rpc' ? { cmd: 'open', args: { url: 'file:///etc/passwd' } } : {})";
    for command in
        ["plugin:event|emit", "plugin:window|close", "plugin:opener|open_url", "plugin:path|resolve_directory"]
    {
        let answer = window.tries(internals, command).await?;
        ensure!(answer["failed"].to_string().contains("not allowed"), "{command}: {answer}");
    }
    let opened = window.tries(internals, "rpc").await?;
    ensure!(opened["failed"].to_string().contains("only https addresses are opened"), "{opened}");

    for leave in [
        "location.href = 'https://example.com/'",
        "window.open('https://example.com/')",
        "location.href = 'data:text/html,gone'",
        "document.body.insertAdjacentHTML('beforeend', '<a id=out href=\"https://example.com/\">x</a>'); document.getElementById('out').click()",
    ] {
        window.page.execute(leave, vec![]).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = window.page.current_url().await?;
        ensure!((now.scheme(), now.host()) == (home.scheme(), home.host()), "`{leave}` led to {now}");
        ensure!(window.page.windows().await?.len() == 1, "`{leave}` opened a window");
    }
    window.shows_estimate(estimate_minor).await?;
    window.close(&computer).await
}

/// The agency whose estimate is the largest, and the estimate as the API says it.
async fn agency_that_earned() -> Result<(DemoPerson, i64)> {
    let api = Api::new(&given("AIKIT_API")?, None)?;
    let mut best: Option<(DemoPerson, i64)> = None;
    for person in api.people().await?.into_iter().filter(|p| p.role == Role::Owner) {
        let session = api.sign_in(&person.person).await?;
        let overview: Value = api.call(Some(&session), "overview", &Value::Null).await?;
        let total_minor = overview["estimate"]["total_minor"].as_i64().context("the overview has no estimate")?;
        if best.as_ref().is_none_or(|(_, most_minor)| total_minor > *most_minor) {
            best = Some((person, total_minor));
        }
    }
    let best = best.context("the demo has no agency")?;
    ensure!(best.1 > 0, "no agency of the demo has earned anything this month");
    Ok(best)
}

/// What the environment must say.
fn given(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; run this with `./dev test`"))
}

/// A computer with a display, a keychain and the app: what a person has.
struct Computer {
    // In the order in which they end.
    driver: Process,
    _display: Option<Process>,
    driver_port: u16,
    folder: Folder,
}

impl Computer {
    fn set_up(cable: &Cable) -> Result<Self> {
        let app = PathBuf::from(given("AIKIT_APP_BIN")?);
        ensure!(app.is_file(), "AIKIT_APP_BIN is {}, which is not there; run this with `./dev test`", app.display());
        let folder = Folder::new()?;
        let (display, display_name) = match std::env::var("DISPLAY") {
            Ok(name) if !name.is_empty() => (None, name),
            _ => start_display(&folder)?,
        };
        let driver_port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let bus = program("dbus-run-session", "dbus-daemon")?;
        let keyring = program("gnome-keyring-daemon", "gnome-keyring")?;
        let driver = program("WebKitWebDriver", "webkit2gtk-driver")?;
        // The keychain is a service on a session bus, so the driver and the app it starts live on a bus of their own.
        let script = format!(
            "printf '\\n' | '{}' --unlock --components=secrets > /dev/null && exec '{}' --port={driver_port}",
            keyring.display(),
            driver.display()
        );
        let env = vec![
            ("DISPLAY", display_name),
            ("GDK_BACKEND", "x11".into()),
            ("HOME", folder.path("")),
            ("XDG_RUNTIME_DIR", folder.path("")),
            ("XDG_DATA_HOME", folder.path("share")),
            ("XDG_CONFIG_HOME", folder.path("config")),
            ("XDG_CACHE_HOME", folder.path("cache")),
            ("TAURI_WEBVIEW_AUTOMATION", "true".into()),
            ("AIKIT_API", cable.address()),
            ("AIKIT_DATA", folder.path("data")),
        ];
        let args = ["--", "sh", "-c", &script].map(String::from).to_vec();
        let mut driver =
            Process::start(Start { name: "driver", program: &bus, args, env, logs: &folder.0.join("logs") })?;
        await_or(
            || TcpStream::connect(("127.0.0.1", driver_port)).ok(),
            || format!("WebKitWebDriver does not answer ({:?}): {}", driver.ended(), driver.last_output()),
        )?;
        Ok(Self { driver, _display: display, driver_port, folder })
    }

    /// Starts the app.
    async fn open_window(&self) -> Result<Window> {
        let app = given("AIKIT_APP_BIN")?;
        let Value::Object(capabilities) = json!({ "webkitgtk:browserOptions": { "binary": app, "args": [] } }) else {
            bail!("an object is an object");
        };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities);
        let address = format!("http://127.0.0.1:{}", self.driver_port);
        // The driver waits for ever for an app that ends at once.
        let session = tokio::time::timeout(PATIENCE, builder.connect(&address)).await;
        let page = session.with_context(|| format!("no window came up: {}", self.driver.last_output()))??;
        Ok(Window { page })
    }

    /// The files of the app that hold a text.
    fn files_with(&self, text: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.folder.path("data"))? {
            let path = entry?.path();
            if std::fs::read(&path)?.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path);
            }
        }
        Ok(found)
    }
}

/// The app's window.
struct Window {
    page: Client,
}

impl Window {
    async fn find(&self, what: Locator<'_>) -> Result<Element> {
        let element = self.page.wait().at_most(PATIENCE).for_element(what).await;
        element.with_context(|| format!("{what:?} did not appear"))
    }

    async fn click(&self, what: Locator<'_>) -> Result<()> {
        Ok(self.find(what).await?.click().await?)
    }

    /// Waits until a part of the page holds a text.
    async fn shows(&self, what: Locator<'_>, text: &str) -> Result<()> {
        let mut seen = String::new();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            // What is read may be replaced at that moment.
            if let Ok(element) = self.page.find(what).await {
                seen = element.text().await.unwrap_or_default();
            }
            if seen.contains(text) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "{what:?} shows {seen:?} and not {text:?}; the page: {}",
            self.find(Locator::Css("body")).await?.text().await?
        )
    }

    async fn shows_estimate(&self, minor: i64) -> Result<()> {
        let text = self.find(ESTIMATE).await?.text().await?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        ensure!(digits.parse() == Ok(minor), "the page shows the estimate {text}, the API says {minor} minor units");
        Ok(())
    }

    /// What an expression with one argument comes to in the page: `{came}` or `{failed}`, a text.
    async fn tries(&self, expression: &str, argument: &str) -> Result<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const words = (it) => typeof it === 'string' ? it : it instanceof Error ? String(it) : JSON.stringify(it) ?? '';
             Promise.resolve({expression}).then((it) => done({{ came: words(it) }}), (it) => done({{ failed: words(it) }}));"
        );
        Ok(self.page.execute_async(&script, vec![argument.into()]).await?)
    }

    /// Closes the window and waits until the app has let go of its data.
    async fn close(self, computer: &Computer) -> Result<()> {
        self.page.close().await?;
        let lock = File::open(computer.folder.0.join("data").join("desk.lock"))?;
        await_or(|| lock.try_lock().ok(), || "the app is still there after its window was closed".into())
    }
}

/// The way from the window to the API, which the test can pull out.
struct Cable {
    api: String,
    port: u16,
    plugged: Option<Plugged>,
}

struct Plugged {
    pulled: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: thread::JoinHandle<()>,
}

impl Cable {
    fn to_the_api() -> Result<Self> {
        let api = given("AIKIT_API")?;
        let api = api.trim_end_matches('/').strip_prefix("http://").context("AIKIT_API must begin with http://")?;
        let mut cable = Self { api: api.to_owned(), port: 0, plugged: None };
        cable.plug_in()?;
        Ok(cable)
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Listens, at the same port as before, and passes on what comes, both ways.
    fn plug_in(&mut self) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).context("the cable's port is taken")?;
        self.port = listener.local_addr()?.port();
        let (pulled, streams) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_pulled, open, api) = (Arc::clone(&pulled), Arc::clone(&streams), self.api.clone());
        let accepting = thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                if is_pulled.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(far) = TcpStream::connect(&api) else { continue };
                let mut open = open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { continue };
                    open.extend(from.try_clone());
                    thread::spawn(move || {
                        let _ended = io::copy(&mut from, &mut to);
                        let _gone = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        self.plugged = Some(Plugged { pulled, streams, accepting });
        Ok(())
    }

    fn pull_out(&mut self) {
        let Some(plugged) = self.plugged.take() else { return };
        plugged.pulled.store(true, Ordering::SeqCst);
        // Wakes the listener, which then goes.
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
        let _ended = plugged.accepting.join();
        for stream in plugged.streams.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.pull_out();
    }
}

/// A folder of this test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        // The port of a listener is nobody else's at this moment, and the process id makes it this run's.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let path = std::env::temp_dir().join(format!("aikit-partners-desktop-{}-{port}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).with_context(|| format!("the folder {} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// A display without a screen.
fn start_display(folder: &Folder) -> Result<(Option<Process>, String)> {
    let xvfb = program("Xvfb", "xvfb")?;
    // It chooses a free number and writes it.
    let args = ["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"].map(String::from).to_vec();
    let logs = folder.0.join("logs");
    let display = Process::start(Start { name: "display", program: &xvfb, args, env: vec![], logs: &logs })?;
    let number = || {
        let said = std::fs::read_to_string(logs.join("display.log")).ok()?;
        let line = said.lines().find(|line| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()))?;
        said.ends_with('\n').then(|| format!(":{line}"))
    };
    let name = await_or(number, || format!("Xvfb gives no display: {}", display.last_output()))?;
    Ok((Some(display), name))
}

/// The program of that name, or which Debian package has it.
fn program(name: &str, package: &str) -> Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not installed; on Debian it is in the package {package}"))
}

/// Asks until there is an answer.
fn await_or<T>(mut ask: impl FnMut() -> Option<T>, problem: impl FnOnce() -> String) -> Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!(problem())
}
