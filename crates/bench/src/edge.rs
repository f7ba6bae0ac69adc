//! `./dev bench edge`: the worker in workerd with D1 beside the embedded server, and the engine as WebAssembly beside the
//! native one. What is measured is this computer's workerd; of a deployed worker's latency it says nothing.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use commission::{evaluate, read_journal};
use serde_json::json;

use crate::api::{self, Running};
use crate::journal;
use crate::measure::{Figure, Row, table};

/// Facts of the journal that is evaluated.
const FACTS: usize = 50_000;
const AS_OF: &str = "2028-01-01T00:00:00Z";

/// Prints the table. `engine` is the script that wasm-bindgen made.
pub(crate) fn edge(folder: &Path, programs: &Path, engine: &Path, runs: usize) -> anyhow::Result<()> {
    let folder = folder.join("edge");
    fs::remove_dir_all(&folder).ok();
    let (server, worker) = (folder.join("server"), folder.join("worker"));
    for data in [&server, &worker] {
        fs::create_dir_all(data)?;
    }
    let codes = api::agencies(&server.join("referral.db"))?;
    fs::copy(server.join("referral.db"), worker.join("referral.db"))?;
    let script = folder.join("visitors.lua");
    fs::write(&script, api::visitors(&codes))?;
    let ports = (api::free_port()?, api::free_port()?);
    let running = (api::serve(programs, &server, ports.0)?, serve(programs, &worker, ports.1)?);
    let mut rows = Vec::new();
    for (connections, what) in [(64, "/r/CODE over 64 connections"), (1, "/r/CODE over one connection")] {
        let mut both = Vec::new();
        for _ in 0..=runs {
            both.push((
                api::follow(&script, ports.0, connections)?.each,
                api::follow(&script, ports.1, connections)?.each,
            ));
        }
        let (floor, ours): (Vec<_>, Vec<_>) = both.into_iter().skip(1).unzip();
        rows.push(row(format!("{} × {what}, workerd with D1", api::REQUESTS), &floor, &ours));
    }
    drop(running);
    let (floor, ours) = engines(&folder, engine, runs)?;
    rows.push(row(format!("{FACTS} facts evaluated, WebAssembly in node"), &floor, &ours));
    print!("{}", table(&rows));
    println!("\nthe floor is the embedded server, and the native engine");
    Ok(())
}

fn row(what: String, floor: &[Duration], ours: &[Duration]) -> Row {
    Row { what, floor: Figure::of(floor, |t| *t), ours: Figure::of(ours, |t| *t), goal: (100, "none; shown beside") }
}

/// The worker as `./dev edge build --ship` makes it; its trigger stays quiet.
fn serve(programs: &Path, data: &Path, port: u16) -> anyhow::Result<Running> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/edge/serve.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg("serve").arg("--data").arg(data).args(["--port", &port.to_string(), "--every", "86400"]);
    command.env("AIKIT_SERVER", programs.join("aikit-partners-server"));
    let mut child = Running(command.stdout(Stdio::piped()).spawn()?);
    let out = child.0.stdout.take().context("the worker has no output")?;
    for line in BufReader::new(out).lines() {
        if line?.starts_with("listening on") {
            return Ok(child);
        }
    }
    bail!("the worker did not start")
}

/// Times of the native engine, and of the other, for the same journal from text to digest.
fn engines(folder: &Path, engine: &Path, runs: usize) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let file = folder.join("journal.jsonl");
    journal::write(&file, FACTS, FACTS / 50)?;
    let text = fs::read_to_string(file)?;
    let terms = referral::default_terms()?;
    let question = json!({ "journal": text, "terms": terms.to_toml(), "as_of": AS_OF }).to_string();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/edge/digests.mjs");
    let mut node =
        Running(Command::new("node").arg(script).arg(engine).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    let mut ask = node.0.stdin.take().context("node has no input")?;
    let mut answers = BufReader::new(node.0.stdout.take().context("node has no output")?).lines();
    let (mut native, mut there) = (Vec::new(), Vec::new());
    for _ in 0..=runs {
        let begun = Instant::now();
        let digest = evaluate(&read_journal(&text)?, &terms, AS_OF.parse()?)?.digest;
        native.push(begun.elapsed());
        let begun = Instant::now();
        writeln!(ask, "{question}")?;
        let answer: String = serde_json::from_str(&answers.next().context("no answer")??)?;
        there.push(begun.elapsed());
        ensure!(answer == digest, "the engine as WebAssembly says {answer}, the native one {digest}");
    }
    Ok((native.split_off(1), there.split_off(1)))
}
