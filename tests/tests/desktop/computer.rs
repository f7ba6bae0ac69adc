//! A computer as a person has it: a display, a keychain, the app and its window.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use product_tests::process::{Process, Start};
use serde_json::{Value, json};

use crate::ESTIMATE;
use crate::cable::Cable;
use crate::screen::Screen;

/// How long anything on the screen may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the environment must say.
pub(crate) fn given(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set; run this with `./dev test`"))
}

/// A computer with a display, a keychain and the app: what a person has.
pub(crate) struct Computer {
    // In the order in which they end.
    driver: Process,
    env: Vec<(&'static str, String)>,
    _display: Option<Process>,
    driver_port: u16,
    pub(crate) folder: Folder,
}

impl Computer {
    pub(crate) fn set_up(cable: &Cable) -> Result<Self> {
        // Nothing listens there, and no key may reach Stripe from a test.
        Self::set_up_with(cable, "http://127.0.0.1:9")
    }

    /// One whose app finds a stand-in for Stripe.
    pub(crate) fn set_up_with(cable: &Cable, stripe: &str) -> Result<Self> {
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
            "printf '%s' \"$DBUS_SESSION_BUS_ADDRESS\" > '{}' && printf '\\n' | '{}' --unlock --components=secrets > /dev/null && exec '{}' --port={driver_port}",
            folder.path("bus"),
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
            ("STRIPE_API_BASE", stripe.into()),
        ];
        let args = ["--", "sh", "-c", &script].map(String::from).to_vec();
        let start = Start { name: "driver", program: &bus, args, env: env.clone(), logs: &folder.0.join("logs") };
        let mut driver = Process::start(start)?;
        await_or(
            || TcpStream::connect(("127.0.0.1", driver_port)).ok(),
            || format!("WebKitWebDriver does not answer ({:?}): {}", driver.ended(), driver.last_output()),
        )?;
        Ok(Self { driver, env, _display: display, driver_port, folder })
    }

    /// Starts the app.
    pub(crate) async fn open_window(&self) -> Result<Window> {
        self.open_window_with(&[]).await
    }

    /// Starts the app with arguments.
    pub(crate) async fn open_window_with(&self, args: &[&str]) -> Result<Window> {
        self.open_program(&given("AIKIT_APP_BIN")?, args).await
    }

    /// Starts a program with a window.
    pub(crate) async fn open_program(&self, program: &str, args: &[&str]) -> Result<Window> {
        let Value::Object(capabilities) = json!({ "webkitgtk:browserOptions": { "binary": program, "args": args } })
        else {
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

    /// Starts the app once more beside what runs, as a menu or a link of the desktop would, with its data in `data`.
    pub(crate) fn start_again(&self, args: &[&str], data: &str) -> Result<Process> {
        let mut env = self.env.clone();
        env.push(("DBUS_SESSION_BUS_ADDRESS", self.bus()?));
        env.push(("AIKIT_DATA", self.folder.path(data)));
        env.retain(|(name, _)| *name != "TAURI_WEBVIEW_AUTOMATION");
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (program, logs) = (PathBuf::from(given("AIKIT_APP_BIN")?), self.folder.0.join("logs"));
        Process::start(Start { name: "start", program: &program, args, env, logs: &logs })
    }

    /// Starts the app once more, and waits until that start has ended because there is one already.
    pub(crate) fn hand_over(&self, args: &[&str]) -> Result<()> {
        let mut start = self.start_again(args, "data")?;
        let ended = await_or(|| start.ended(), || format!("the start with {args:?} goes on beside the first"))?;
        ensure!(ended.success(), "the start with {args:?} ended with {ended}: {}", start.last_output());
        Ok(())
    }

    /// Waits until the app has let go of its data.
    pub(crate) fn app_has_ended(&self) -> Result<()> {
        let lock = File::open(self.folder.0.join("data").join("desk.lock"))?;
        await_or(|| lock.try_lock().ok(), || "the app is still there after its window was closed".into())
    }

    /// What the person sees.
    pub(crate) fn screen(&self) -> Result<Screen> {
        let display = self.env.iter().find(|(name, _)| *name == "DISPLAY").context("the computer has a display")?;
        Screen::of(&display.1)
    }

    /// Address of the session bus.
    pub(crate) fn bus(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path("bus"))?)
    }

    /// What the app and the driver wrote to their outputs.
    pub(crate) fn output(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.0.join("logs").join("driver.log"))?)
    }

    /// The files of this computer that hold a text, but for the keychain's own.
    pub(crate) fn files_anywhere_with(&self, text: &str) -> Result<Vec<PathBuf>> {
        let (mut found, mut folders) = (Vec::new(), vec![self.folder.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                if kind.is_dir() && entry.file_name() != "keyrings" {
                    folders.push(entry.path());
                } else if kind.is_file() && holds(&entry.path(), text)? {
                    found.push(entry.path());
                }
            }
        }
        Ok(found)
    }

    /// The files of the app that hold a text.
    pub(crate) fn files_with(&self, text: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.folder.path("data"))? {
            let path = entry?.path();
            if holds(&path, text)? {
                found.push(path);
            }
        }
        Ok(found)
    }
}

fn holds(path: &std::path::Path, text: &str) -> Result<bool> {
    Ok(std::fs::read(path)?.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// The app's window.
pub(crate) struct Window {
    pub(crate) page: Client,
}

impl Window {
    pub(crate) async fn find(&self, what: Locator<'_>) -> Result<Element> {
        let element = self.page.wait().at_most(PATIENCE).for_element(what).await;
        element.with_context(|| format!("{what:?} did not appear"))
    }

    pub(crate) async fn click(&self, what: Locator<'_>) -> Result<()> {
        Ok(self.find(what).await?.click().await?)
    }

    /// Waits until a part of the page holds a text.
    pub(crate) async fn shows(&self, what: Locator<'_>, text: &str) -> Result<()> {
        self.shows_within(PATIENCE, what, text).await
    }

    /// The same for what happens by itself: the app looks for the network at most half a minute apart.
    pub(crate) async fn comes_to_show(&self, what: Locator<'_>, text: &str) -> Result<()> {
        self.shows_within(PATIENCE * 3, what, text).await
    }

    async fn shows_within(&self, patience: Duration, what: Locator<'_>, text: &str) -> Result<()> {
        let mut seen = String::new();
        let begun = Instant::now();
        while begun.elapsed() < patience {
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

    pub(crate) async fn shows_estimate(&self, minor: i64) -> Result<()> {
        let text = self.find(ESTIMATE).await?.text().await?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        ensure!(digits.parse() == Ok(minor), "the page shows the estimate {text}, the API says {minor} minor units");
        Ok(())
    }

    /// Waits until the window is at a page.
    pub(crate) async fn is_at(&self, address: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let now = self.page.execute("return location.hash", vec![]).await?;
            if now == address {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "the window is at {now} and not at {address}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What the shell answers to a command of the page: `{came}` or `{failed}`, a text.
    pub(crate) async fn rpc(&self, cmd: &str, args: Value) -> Result<Value> {
        let argument = json!({ "cmd": cmd, "args": args }).to_string();
        self.tries("window.__TAURI_INTERNALS__.invoke('rpc', JSON.parse(arguments[0]))", &argument).await
    }

    /// Closes the window as a person does, and waits until the app has ended in its own time.
    pub(crate) async fn close_as_a_person(self, computer: &Computer) -> Result<()> {
        // Not by the driver, which gives an app no time to end.
        computer.screen()?.close_window()?;
        computer.app_has_ended()?;
        // The driver still believes that there is a window.
        let _gone = self.page.close().await;
        Ok(())
    }

    /// What an expression with one argument comes to in the page: `{came}` or `{failed}`, a text.
    pub(crate) async fn tries(&self, expression: &str, argument: &str) -> Result<Value> {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const words = (it) => typeof it === 'string' ? it : it instanceof Error ? String(it) : JSON.stringify(it) ?? '';
             Promise.resolve({expression}).then((it) => done({{ came: words(it) }}), (it) => done({{ failed: words(it) }}));"
        );
        Ok(self.page.execute_async(&script, vec![argument.into()]).await?)
    }

    /// Closes the window and waits until the app has let go of its data.
    pub(crate) async fn close(self, computer: &Computer) -> Result<()> {
        self.page.close().await?;
        computer.app_has_ended()
    }
}

/// A folder of this test's own, gone with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        // The port of a listener is nobody else's at this moment, and the process id makes it this run's.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let path = std::env::temp_dir().join(format!("aikit-partners-desktop-{}-{port}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).with_context(|| format!("the folder {} cannot be made", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// A display without a screen.
pub(crate) fn start_display(folder: &Folder) -> Result<(Option<Process>, String)> {
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
pub(crate) fn program(name: &str, package: &str) -> Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not installed; on Debian it is in the package {package}"))
}

/// Asks until there is an answer.
pub(crate) fn await_or<T>(mut ask: impl FnMut() -> Option<T>, problem: impl FnOnce() -> String) -> Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!(problem())
}
