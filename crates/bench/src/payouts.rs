//! `./dev bench payouts`: a run is sent by the executor, first at its own pace and then as fast as it goes.
//!
//! The API and the stand-in for Stripe are the real programs, and the executor is a process as well.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rusqlite::Connection;
use serde_json::{Value, json};
use stripe::{Cancel, Executor, HttpLedger, Ledger as _, Outcome, Pace, Progress, StripeHttp, SystemClock};

use crate::api::{Running, free_port, serve};
use crate::drafting::Finance;
use crate::measure::{Figure, Row, so_far, table};
use crate::{database, drafting, journal};

const STRIPE_KEY: &str = "sk_test_bench";
/// Faster than anything that is measured here.
const UNLIMITED: Pace = Pace { per_s: 1_000, in_flight: 16 };

/// Prints the table: so many of the run at the executor's own pace, and the rest of it at none.
pub(crate) fn payouts(folder: &Path, programs: &Path, agencies: usize, paced: u32) -> anyhow::Result<()> {
    let data = folder.join("payouts");
    fs::remove_dir_all(&data).ok();
    fs::create_dir_all(&data)?;
    let database = data.join("referral.db");
    let lines = data.join("journal.jsonl");
    journal::write(&lines, agencies * 10, agencies)?;
    database::write(&database, &lines)?;
    database::only_one_month_is_due(&database)?;

    let stripe_port = free_port()?;
    let mut stand_in = Command::new(programs.join("fake-stripe"));
    stand_in.args(["--now", "2028-01-02T00:00:00Z", "--port", &stripe_port.to_string(), "--data"]);
    let stand_in = Running(stand_in.arg(data.join("stripe.db")).stdout(Stdio::null()).spawn()?);
    drafting::runtime()?.block_on(released(&database, &mut Line::to(stripe_port)?))?;
    let key = Command::new(programs.join("aikit-partners-server"))
        .args(["key", "issue", "--kind", "executor", "--data"])
        .arg(&data)
        .output()?;
    let key = String::from_utf8(key.stdout)?.lines().last().context("no key")?.trim().to_owned();
    let port = free_port()?;
    let server = serve(programs, &data, port)?;

    let (ours, own) = (Pace::default(), std::env::current_exe()?);
    let send = |pace: Pace, most: u32| -> anyhow::Result<Sent> {
        let before = [so_far(server.0.id()).0, so_far(stand_in.0.id()).0];
        let address = |port: u16| format!("http://127.0.0.1:{port}");
        let mut command = Command::new(&own);
        command.args(["send", &address(port), &address(stripe_port), &key]);
        let out = command.args([pace.per_s, pace.in_flight, most].map(|n| n.to_string())).output()?;
        let said = String::from_utf8(out.stdout)?;
        ensure!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
        let numbers: Vec<u64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [micros, paid, cpu_micros, memory] = numbers[..] else { anyhow::bail!("the executor says {said}") };
        let after = [so_far(server.0.id()).0, so_far(stand_in.0.id()).0];
        Ok(Sent {
            paid: u32::try_from(paid)?,
            wall: Duration::from_micros(micros),
            executor: Duration::from_micros(cpu_micros),
            memory,
            server: after[0].saturating_sub(before[0]),
            stand_in: after[1].saturating_sub(before[1]),
        })
    };
    let slow = send(ours, paced)?;
    let mut rows = vec![slow.row("at the executor's pace, beside the pace", ours, (105, "at most 1.05 ×"))];
    let mut all = vec![slow];
    if paced < u32::MAX {
        // What was claimed and not begun is claimed again at once.
        Connection::open(&database)?.execute("UPDATE run_item SET lease_until_ms = 0", [])?;
        let fast = send(UNLIMITED, u32::MAX)?;
        rows.push(fast.row("at no pace, beside the pace", ours, (0, "none; shown beside")));
        all.push(fast);
    }
    print!("{}", table(&rows));
    for sent in &all {
        println!("{}", sent.text());
    }
    let (_, memory) = so_far(server.0.id());
    println!("peak memory of the server: {} MB", memory / 1_000_000);
    let left: i64 =
        Connection::open(&database)?
            .query_row("SELECT count(*) FROM run_item WHERE state <> 'paid'", [], |row| row.get(0))?;
    ensure!(left == 0, "{left} were not paid");
    Ok(())
}

/// What sending cost, in time on the wall and of processors.
struct Sent {
    paid: u32,
    wall: Duration,
    executor: Duration,
    /// Of the executor, in bytes.
    memory: u64,
    server: Duration,
    stand_in: Duration,
}

impl Sent {
    fn row(&self, how: &str, pace: Pace, goal: (u128, &'static str)) -> Row {
        let floor = Duration::from_secs(u64::from(self.paid)) / pace.per_s;
        Row {
            what: format!("{} transfers {how}", self.paid),
            floor: Figure::of(&[floor], |time| *time),
            ours: Figure::of(&[self.wall], |time| *time),
            goal,
        }
    }

    fn text(&self) -> String {
        let each = |time: Duration| time.as_micros() / u128::from(self.paid.max(1));
        format!(
            "each of {}: {} µs on the wall; of processors {} µs in the server, {} µs in the stand-in, {} µs in the executor, which has {} MB at most",
            self.paid,
            each(self.wall),
            each(self.server),
            each(self.stand_in),
            each(self.executor),
            self.memory / 1_000_000
        )
    }
}

/// A run that an executor may send, each payment to an account that the stand-in knows.
async fn released(path: &Path, stripe: &mut Line) -> anyhow::Result<()> {
    let finance = Finance::of(path).await?;
    finance.draft().await?;
    let mut database = Connection::open(path)?;
    let partners: Vec<String> = database
        .prepare("SELECT partner FROM run_item ORDER BY partner")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let accounts = database.transaction()?;
    for partner in &partners {
        let made = stripe.post("/v1/accounts", "application/x-www-form-urlencoded", ACCOUNT)?;
        let id = made["id"].as_str().context("no account")?;
        stripe.post(&format!("/_control/accounts/{id}/onboard"), "application/json", "{}")?;
        accounts.prepare_cached("UPDATE partner SET account = ?2 WHERE code = ?1")?.execute([partner.as_str(), id])?;
    }
    accounts.commit()?;
    let balance = json!({"available_minor": 100_000_000_000_i64}).to_string();
    stripe.post("/_control/balance", "application/json", &balance)?;
    let mut run = finance.draft().await?;
    for deed in ["seal", "approve", "send"] {
        run = finance.deed(&run, deed).await?;
    }
    Ok(())
}

const ACCOUNT: &str = "type=express&country=US&capabilities[transfers][requested]=true";

/// One connection to the stand-in.
struct Line(TcpStream);

impl Line {
    fn to(port: u16) -> anyhow::Result<Line> {
        let begun = Instant::now();
        loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Line(stream));
                }
                Err(error) => ensure!(begun.elapsed() < Duration::from_secs(10), "the stand-in did not start: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn post(&mut self, path: &str, kind: &str, body: &str) -> anyhow::Result<Value> {
        let length = body.len();
        self.0.write_all(
            format!(
                "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {STRIPE_KEY}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        )?;
        let (mut had, mut buffer) = (Vec::new(), [0; 16_384]);
        loop {
            let n = self.0.read(&mut buffer)?;
            ensure!(n > 0, "the stand-in closed the connection");
            had.extend_from_slice(&buffer[..n]);
            let text = std::str::from_utf8(&had)?;
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.context("the answer has no length")? {
                ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {text}");
                return Ok(serde_json::from_str(body)?);
            }
        }
    }
}

/// The executor: sends the run that is released, or so many of it. Prints the microseconds that it took, how many it paid,
/// its processor time in microseconds and its peak memory.
pub(crate) fn send(api: &str, base: &str, key: &str, pace: Pace, most: u32) -> anyhow::Result<()> {
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    rt.block_on(async {
        let ledger = HttpLedger::new(api, &key.to_owned().into())?;
        let grant = ledger.grants().await?.into_iter().next().context("no run is released")?;
        let stripe = StripeHttp::new(STRIPE_KEY.to_owned().into(), Some(base))?;
        let executor = Executor::new(ledger, stripe, "bench", Arc::new(SystemClock)).with_pace(pace);
        let (cancel, paid) = (Cancel::new(), AtomicU32::new(0));
        let begun = Instant::now();
        let report = executor
            .run(&grant, &cancel, |progress| {
                if let Progress::Item { outcome: Outcome::Paid, .. } = progress
                    && paid.fetch_add(1, Ordering::Relaxed) + 1 == most
                {
                    cancel.cancel();
                }
            })
            .await;
        let wall = begun.elapsed();
        let others = report.refused + report.review + report.unknown + report.settled_before;
        ensure!(others == 0 && (report.stopped.is_none() || most < u32::MAX), "{report:?}");
        let (cpu, memory) = so_far(std::process::id());
        println!("{} {} {} {memory}", wall.as_micros(), report.paid, cpu.as_micros());
        Ok(())
    })
}
