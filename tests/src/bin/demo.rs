//! `aikit-demo`: the whole product on this computer, with a history of nine to twelve months behind it.

use std::fs::{self, File, TryLockError};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use clap::Parser;
use product_tests::api::Api;
use product_tests::calendar::Month;
use product_tests::history::{MonthTold, Told, walk};
use product_tests::plan::plan;
use product_tests::process::{Process, Start};
use product_tests::world::{Config, World, port_is_free};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use wire::{NotPaidReason, Role, Run, RunState, RunSummary};

/// AIKit Partners on this computer: the API, the dashboard, a stand-in for Stripe, and believable data.
#[derive(Debug, Parser)]
struct Args {
    /// Folder for the demo's data; made if it is not there.
    #[arg(long)]
    data: PathBuf,
    /// Port of the API and the dashboard.
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Forget the data of an earlier demo and start anew.
    #[arg(long)]
    fresh: bool,
    /// The desktop app to open beside it, where there is a display.
    #[arg(long)]
    window: Option<PathBuf>,
    /// Folder of the built pages.
    #[arg(long)]
    ui: Option<PathBuf>,
    /// The instant at which the story ends (RFC 3339); now, if absent.
    #[arg(long)]
    now: Option<DateTime<Utc>>,
}

/// What the folder says about itself.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    /// Where its story ends.
    story_ends_at: DateTime<Utc>,
    /// False while the story is being walked; a walk that was interrupted starts anew.
    complete: bool,
}

const MARKER: &str = "demo.json";
const LOCK: &str = "demo.lock";
/// The folders that the demo makes, and the only ones that it ever removes.
const FOLDERS: [&str; 4] = ["api", "stripe", "desk", "logs"];

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match demo(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::from(2)
        }
    }
}

async fn demo(args: &Args) -> Result<()> {
    let mut end = End::listen()?;
    fs::create_dir_all(&args.data).with_context(|| format!("the folder {} cannot be made", args.data.display()))?;
    refuse_foreign(&args.data)?;
    let data = args.data.canonicalize().with_context(|| format!("{} cannot be opened", args.data.display()))?;
    let _lock = lock(&data)?;
    if !port_is_free(args.port)? {
        bail!("Port {} is used by another program. End that program, or choose another port with --port.", args.port);
    }
    let now = args.now.unwrap_or_else(real_now);
    let told = prepare(&data, now, args.fresh)?;
    let story_ends_at = told.as_ref().map_or(now, |marker| marker.story_ends_at);
    let config =
        Config { data: data.clone(), port: Some(args.port), ui: args.ui.clone(), now: plan(story_ends_at).starts_at };

    let mut world = tokio::select! {
        world = World::start(config) => world?,
        () = end.wanted() => return Ok(()),
    };
    match told {
        None => tokio::select! {
            walked = tell(&data, now, &world) => if let Err(error) = walked {
                let fallen = world.fallen().map(|(name, words)| format!("\n{name} ended: {words}")).unwrap_or_default();
                return Err(error.context(format!("The demo's history could not be told{fallen}")));
            },
            () = end.wanted() => {
                println!("\nEnding before the story is told; the next start tells it anew.");
                return Ok(());
            }
        },
        Some(_) => {
            let clock = world.stripe().clock().await?;
            world.stripe().run_clock(clock.now.max(now)).await?;
        }
    }
    println!("{}", summary(&world).await?);

    let mut window = open_window(args, &data, &world)?;
    loop {
        tokio::select! {
            () = end.wanted() => break,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
        if let Some((name, words)) = world.fallen() {
            bail!("{name} ended: {words}");
        }
        if window.as_mut().is_some_and(|window| window.ended().is_some()) {
            window = None;
            println!("The window is closed. The dashboard stays at {}; Ctrl-C ends the demo.", world.web_address());
        }
    }
    println!("\nEnding …");
    Ok(())
}

/// Makes one demo at a time the owner of a folder.
fn lock(data: &Path) -> Result<File> {
    let path = data.join(LOCK);
    let file = File::options().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("Another demo runs on {}. End it, or choose another folder with --data.", data.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{} cannot be locked", path.display())),
    }
}

/// Keeps the demo out of folders that hold something else.
fn refuse_foreign(data: &Path) -> Result<()> {
    if data.join(MARKER).exists() {
        return Ok(());
    }
    let entries = fs::read_dir(data).with_context(|| format!("{} cannot be read", data.display()))?;
    let foreign = entries.filter_map(Result::ok).map(|entry| entry.file_name()).find(|name| name != LOCK);
    match foreign {
        None => Ok(()),
        Some(name) => {
            bail!("{} holds {name:?}, which no demo made. Choose an empty folder with --data.", data.display())
        }
    }
}

/// What the folder holds: a finished story, or nothing (any more).
fn prepare(data: &Path, now: DateTime<Utc>, fresh: bool) -> Result<Option<Marker>> {
    // One that cannot be read was being written: its walk never began or never ended.
    let marker = fs::read(data.join(MARKER)).ok().and_then(|text| serde_json::from_slice::<Marker>(&text).ok());
    if let Some(marker) = marker.filter(|marker| marker.complete && !fresh) {
        return Ok(Some(marker));
    }
    mark(data, now, false)?;
    for folder in FOLDERS.map(|folder| data.join(folder)).iter().filter(|folder| folder.exists()) {
        fs::remove_dir_all(folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    Ok(None)
}

/// Walks the story and marks the folder.
async fn tell(data: &Path, now: DateTime<Utc>, world: &World) -> Result<()> {
    let started_at = Instant::now();
    let mut page = Page { rewrites: std::io::stdout().is_terminal() };
    let plan = plan(now);
    println!("Telling the story from {} to {}.", Month::of(plan.starts_at).in_words(), now.format("%-d %B %Y"));
    walk(&plan, &world.api()?, world.stripe(), &mut |told| page.write(&told)).await?;
    mark(data, now, true)?;
    println!("Told in {} s.", started_at.elapsed().as_secs());
    Ok(())
}

fn mark(data: &Path, story_ends_at: DateTime<Utc>, complete: bool) -> Result<()> {
    let path = data.join(MARKER);
    let text = serde_json::to_vec(&Marker { story_ends_at, complete })?;
    fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// The progress on the terminal.
struct Page {
    rewrites: bool,
}

impl Page {
    fn write(&mut self, told: &Told<'_>) {
        let text = match told {
            Told::Month(told) if self.rewrites => format!("\r\x1b[K{}\n", month_line(told)),
            Told::Month(told) => format!("{}\n", month_line(told)),
            Told::Step { done, total, month } if self.rewrites && done % 7 == 0 => {
                let full = done * 30 / (*total).max(1);
                format!("\r\x1b[K  {:<15} {}{}", month.in_words(), "━".repeat(full), "╌".repeat(30 - full))
            }
            Told::Step { .. } => return,
        };
        let mut out = std::io::stdout().lock();
        // A terminal that went away is no reason to end a story.
        let _unseen = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn month_line(told: &MonthTold) -> String {
    let MonthTold { joined, clicks, sign_ups, events, paid_minor, .. } = told;
    let mut line = format!(
        "  {:<15} {clicks:>4} clicks {sign_ups:>3} sign-ups {events:>5} events from Stripe",
        told.month.in_words()
    );
    if *joined > 0 {
        line.push_str(&format!(", {joined} {}", if *joined == 1 { "agency joined" } else { "agencies joined" }));
    }
    if *paid_minor > 0 {
        line.push_str(&format!(", {} paid out", dollars(*paid_minor)));
    }
    line
}

/// What a newcomer needs to know.
async fn summary(world: &World) -> Result<String> {
    let api = world.api()?;
    let people = api.people().await?;
    let mut text =
        format!("\nAIKit Partners runs at {}\n\nSign in there with one click, for example as\n", world.web_address());
    let (finance, owners): (Vec<_>, Vec<_>) = people
        .iter()
        .filter(|person| matches!(person.role, Role::Finance | Role::Owner))
        .partition(|person| person.role == Role::Finance);
    for person in owners.iter().take(3).chain(finance.iter().take(1)) {
        text.push_str(&format!("  {:<22} {}\n", person.name, person.about));
    }
    if let Some(person) = finance.first() {
        text.push_str(&format!("\n{}\n", waiting(&api, &person.person).await?));
    }
    text.push_str("\nCtrl-C ends all of it; the same command starts it again where it was.");
    Ok(text)
}

/// What waits for finance, in words.
async fn waiting(api: &Api, finance: &str) -> Result<String> {
    let session = api.sign_in(finance).await?;
    let runs: Vec<RunSummary> = api.call(Some(&session), "runs", &serde_json::Value::Null).await?;
    let Some(newest) = runs.first() else { return Ok("No month is drafted yet.".to_owned()) };
    let run: Run = api.call(Some(&session), "run", &serde_json::json!({ "run": newest.run })).await?;
    let month = newest
        .as_of
        .checked_sub_months(chrono::Months::new(1))
        .map_or(newest.period.clone(), |at| Month::of(at).in_words());
    let amount = format!("{} for {} partners", dollars(run.summary.total_minor), run.items.len());
    let no_account = run
        .not_paid
        .iter()
        .filter(|one| matches!(one.reason, NotPaidReason::NoAccount | NotPaidReason::TransfersInactive));
    let others = match no_account.count() {
        0 => String::new(),
        1 => " One agency cannot be paid until it finishes its Stripe account.".to_owned(),
        count => format!(" {count} agencies cannot be paid until they finish their Stripe accounts."),
    };
    Ok(match newest.state {
        RunState::Draft | RunState::Sealing => {
            format!("{month} is drafted: {amount} — seal, approve and send it.{others}")
        }
        RunState::Sealed => format!("{month} is sealed: {amount} — approve and send it.{others}"),
        RunState::Approved => format!("{month} is approved: {amount} — send it.{others}"),
        RunState::Sending => format!("{month} is being sent: {amount}.{others}"),
        RunState::Done => format!("{month} is paid: {amount}.{others}"),
    })
}

/// Whole cents as `$1,234.50`.
fn dollars(amount_minor: i64) -> String {
    let digits = (amount_minor.unsigned_abs() / 100).to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if amount_minor < 0 { "−" } else { "" };
    format!("{sign}${grouped}.{:02}", amount_minor.unsigned_abs() % 100)
}

/// Opens the desktop app, where one is given and there is a display.
fn open_window(args: &Args, data: &Path, world: &World) -> Result<Option<Process>> {
    let display =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some_and(|at| !at.is_empty()));
    let Some(program) = args.window.as_deref().filter(|_| display || cfg!(target_os = "macos")) else {
        return Ok(None);
    };
    let env = vec![("AIKIT_API", world.address()), ("AIKIT_DATA", data.join("desk").display().to_string())];
    Process::start(Start { name: "window", program, args: Vec::new(), env, logs: &data.join("logs") }).map(Some)
}

/// The wish to end: Ctrl-C, a polite kill, or a terminal that is closed.
struct End {
    signals: [tokio::signal::unix::Signal; 3],
}

impl End {
    fn listen() -> Result<Self> {
        let on = |kind| signal(kind).context("signals cannot be heard");
        Ok(Self { signals: [on(SignalKind::interrupt())?, on(SignalKind::terminate())?, on(SignalKind::hangup())?] })
    }

    async fn wanted(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The demo's only look at the computer's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the demo is a host: where the story ends is the real time, unless --now says otherwise"
)]
fn real_now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_grouped() {
        let texts: Vec<_> = [0, 5, 99_999, 100_000, -123_456_789].map(dollars).into();
        assert_eq!(texts, ["$0.00", "$0.05", "$999.99", "$1,000.00", "−$1,234,567.89"]);
    }
}
