//! `./dev bench api`: clicks beside a web server that only redirects, webhooks beside the bare insertion of their rows.
//!
//! The server is the product's own, in a process of its own; whoever asks is another process.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rusqlite::{Connection, params};
use sqlite::{Profile, Sqlite};

use crate::measure::{Figure, Row, table};
use crate::webhooks::{self, SECRET};

/// Agencies whose links are followed.
const PARTNERS: usize = 1_000;
/// Their clients, who pay.
pub(crate) const CLIENTS: usize = 10_000;
/// Connections that ask at once.
const CONNECTIONS: usize = 64;
/// Seconds of one run.
const SECONDS: u64 = 5;
/// Webhooks of one run.
const EVENTS: usize = 30_000;
/// Figures are times of so many requests.
pub(crate) const REQUESTS: u32 = 10_000;

/// Ends with the bench.
pub(crate) struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // By the signal that ends it in order: one that is killed leaves its workers behind.
        Command::new("kill").arg(self.0.id().to_string()).status().ok();
        self.0.wait().ok();
    }
}

/// Prints the table.
pub(crate) fn api(folder: &Path, programs: &Path, runs: usize) -> anyhow::Result<()> {
    let data = folder.join("api");
    fs::remove_dir_all(&data).ok();
    fs::create_dir_all(&data)?;
    let codes = agencies(&data.join("referral.db"))?;
    let script = data.join("visitors.lua");
    fs::write(&script, visitors(&codes))?;
    let (ours, floor) = (free_port()?, free_port()?);
    let server = serve(programs, &data, ours)?;
    let nginx = redirect(&data, floor)?;

    let mut clicks = Vec::new();
    for _ in 0..=runs {
        clicks.push((follow(&script, floor, CONNECTIONS)?, follow(&script, ours, CONNECTIONS)?));
    }
    drop(nginx);
    let answered: u64 = clicks.iter().map(|(_, ours)| ours.answered).sum();
    // A click is on disk within a second of its answer.
    std::thread::sleep(Duration::from_secs(1));
    let database = Connection::open(data.join("referral.db"))?;
    let stored: i64 = database.query_row("SELECT count(*) FROM click WHERE kind = 'person'", [], |row| row.get(0))?;
    ensure!(stored.cast_unsigned() >= answered, "{answered} clicks were answered, {stored} are stored");

    let mut intake = Vec::new();
    for run in 0..=runs {
        let bare =
            spent(Command::new(std::env::current_exe()?).arg("inserts").arg(copy(&data, run)?).args(counted(run)))?;
        let sent =
            spent(Command::new(std::env::current_exe()?).arg("webhooks").arg(ours.to_string()).args(counted(run)))?;
        intake.push((bare, sent));
    }
    let stored: i64 = database.query_row("SELECT count(*) FROM inbox", [], |row| row.get(0))?;
    ensure!(usize::try_from(stored)? == EVENTS * (runs + 1), "{stored} events are stored");
    drop(server);

    let (floor, ours): (Vec<_>, Vec<_>) = clicks.into_iter().skip(1).map(|(f, o)| (f.each, o.each)).unzip();
    let (bare, sent): (Vec<_>, Vec<_>) = intake.into_iter().skip(1).unzip();
    let rows = [
        Row {
            what: format!("{REQUESTS} × /r/CODE stored, beside nginx's bare 302"),
            floor: Figure::of(&floor, |t| *t),
            ours: Figure::of(&ours, |t| *t),
            goal: (200, "at most 2 ×"),
        },
        Row {
            what: format!("{EVENTS} webhooks, beside bare inserts"),
            floor: Figure::of(&bare, |t| *t),
            ours: Figure::of(&sent, |t| *t),
            goal: (200, "at most 2 ×"),
        },
    ];
    print!("{}", table(&rows));
    Ok(())
}

fn counted(run: usize) -> [String; 3] {
    [format!("run{run}"), EVENTS.to_string(), CONNECTIONS.to_string()]
}

/// The codes of agencies in a new database of the product, which has clients of theirs as well.
pub(crate) fn agencies(path: &Path) -> anyhow::Result<Vec<String>> {
    drop(Sqlite::open(path, Profile::Native)?);
    let mut database = Connection::open(path)?;
    let transaction = database.transaction()?;
    let codes: Vec<String> = (0..PARTNERS).map(|n| format!("PARTNER_{n:08}")).collect();
    for code in &codes {
        transaction.execute(
            "INSERT INTO partner (code, name, email, website, country, joined_ms)
             VALUES (?1, ?1, ?1 || '@agency.example', 'https://agency.example/', 'US', 0)",
            params![code],
        )?;
        transaction.execute(
            "INSERT INTO fact (id, partner, body) VALUES ('partner_joined:' || ?1, ?1, json_object('id', 'partner_joined:' || ?1,
             'type', 'partner_joined', 'at', '2026-01-01T00:00:00Z', 'partner', ?1, 'name', ?1, 'website', 'https://agency.example/'))",
            params![code],
        )?;
    }
    for n in 0..CLIENTS {
        transaction.execute(
            "INSERT INTO referral (id, partner, email, signed_up_ms, rule)
             VALUES ('r_' || ?1, ?2, ?1 || '@client.example', 0, 'cookie')",
            params![n.to_string(), codes.get(n % PARTNERS)],
        )?;
        transaction.execute(
            "INSERT INTO subscription (id, referral) VALUES ('sub_' || ?1, 'r_' || ?1)",
            params![n.to_string()],
        )?;
    }
    transaction.commit()?;
    Ok(codes)
}

/// What each connection of `wrk` asks for.
pub(crate) fn visitors(codes: &[String]) -> String {
    let mut text = String::from("local codes = {\n");
    for code in codes {
        let _ = writeln!(text, "  '{code}',");
    }
    text + "}\nwrk.headers['User-Agent'] = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'\n\
        request = function() return wrk.format('GET', '/r/' .. codes[math.random(#codes)]) end\n"
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

pub(crate) fn serve(programs: &Path, data: &Path, port: u16) -> anyhow::Result<Running> {
    let config = data.join("config.toml");
    // All requests come from one address.
    fs::write(&config, "[limits]\nrequests_per_second = 1000000\nburst = 1000000\nconnections_per_address = 1000\n")?;
    let mut command = Command::new(programs.join("aikit-partners-server"));
    command.arg("serve").arg("--data").arg(data).arg("--config").arg(&config).args(["--port", &port.to_string()]);
    command.env("STRIPE_WEBHOOK_SECRET_ACCOUNT", SECRET).env("RUST_LOG", "warn");
    let mut child = Running(command.stdout(Stdio::piped()).spawn()?);
    let out = child.0.stdout.take().context("the server has no output")?;
    for line in BufReader::new(out).lines() {
        if line?.starts_with("listening on") {
            return Ok(child);
        }
    }
    bail!("the server did not start")
}

fn redirect(data: &Path, port: u16) -> anyhow::Result<Running> {
    let data = fs::canonicalize(data)?;
    let file = data.join("nginx.conf");
    let at = data.display();
    fs::write(
        &file,
        format!(
            "daemon off; worker_processes auto; pid {at}/nginx.pid; error_log {at}/nginx.log;
             events {{ worker_connections 1024; }}
             http {{ access_log off; keepalive_requests 1000000000;
               server {{ listen 127.0.0.1:{port}; location / {{ return 302 https://aikit.example/; }} }} }}"
        ),
    )?;
    let nginx = Running(Command::new("nginx").arg("-p").arg(&data).arg("-c").arg(&file).stderr(Stdio::null()).spawn()?);
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(begun.elapsed() < Duration::from_secs(10), "nginx did not start; see {at}/nginx.log");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(nginx)
}

pub(crate) struct Followed {
    answered: u64,
    /// Time of [`REQUESTS`].
    pub each: Duration,
}

pub(crate) fn follow(script: &Path, port: u16, connections: usize) -> anyhow::Result<Followed> {
    let mut command = Command::new("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{SECONDS}s"), "-s"]).arg(script);
    let out = command.arg(format!("http://127.0.0.1:{port}")).output().context("wrk cannot be run")?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    ensure!(out.status.success() && !text.contains("Non-2xx"), "wrk says: {text}");
    // `123456 requests in 5.00s, …`
    let answered =
        text.split(" requests in ").next().and_then(|t| t.split_whitespace().last()).and_then(|n| n.parse().ok());
    let answered: u64 = answered.with_context(|| format!("wrk says: {text}"))?;
    let micros = Duration::from_secs(SECONDS).as_micros() * u128::from(REQUESTS) / u128::from(answered.max(1));
    Ok(Followed { answered, each: Duration::from_micros(u64::try_from(micros)?) })
}

/// The time that a process of ours says it took.
fn spent(command: &mut Command) -> anyhow::Result<Duration> {
    let out = command.stderr(Stdio::inherit()).output()?;
    ensure!(out.status.success(), "{command:?} ended with {}", out.status);
    Ok(Duration::from_micros(String::from_utf8(out.stdout)?.trim().parse()?))
}

/// A database of the product for the bare insertion.
fn copy(data: &Path, run: usize) -> anyhow::Result<PathBuf> {
    let path = data.join(format!("bare-{run}.db"));
    drop(Sqlite::open(&path, Profile::Native)?);
    Ok(path)
}

/// The rows of the inbox alone, as many in a transaction as there are connections.
pub(crate) fn inserts(path: &Path, run: &str, events: usize, connections: usize) -> anyhow::Result<()> {
    let events = webhooks::events(run, events);
    let mut database = Connection::open(path)?;
    database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    let begun = Instant::now();
    for group in events.chunks(connections) {
        let transaction = database.transaction()?;
        for event in group {
            transaction
                .prepare_cached(
                    "INSERT INTO inbox (id, type, received_ms, body, state) VALUES (?1, ?2, 0, ?3, 'received')",
                )?
                .execute(params![event.id, webhooks::KIND, event.body])?;
        }
        transaction.commit()?;
    }
    println!("{}", begun.elapsed().as_micros());
    Ok(())
}
