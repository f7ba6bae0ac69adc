//! `./dev bench`: the engine, the monthly run and the API, each beside a floor that is measured in the same run.
//!
//! Every figure is a process of its own, so that its time and its memory are its own too. A floor and what stands on it
//! take turns; the table has the median of each, and the least and the most. Nothing here is a test.

mod api;
mod database;
mod drafting;
mod edge;
mod journal;
mod measure;
mod payouts;
mod webhooks;
mod work;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use measure::{Figure, Row, Spent};

/// The instant that everything is evaluated at.
const AS_OF: &str = "2028-01-01T00:00:00Z";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["engine", folder, programs, python, runs, facts] => {
            let (runs, facts) = (runs.parse().context("RUNS")?, facts.parse().context("FACTS")?);
            engine(Path::new(folder), Path::new(programs), Path::new(python), runs, facts)
        }
        ["api", folder, programs, runs] => {
            api::api(Path::new(folder), Path::new(programs), runs.parse().context("RUNS")?)
        }
        ["edge", folder, programs, engine, runs] => {
            edge::edge(Path::new(folder), Path::new(programs), Path::new(engine), runs.parse().context("RUNS")?)
        }
        ["payouts", folder, programs, agencies, paced] => {
            let paced = if paced == "whole" { u32::MAX } else { paced.parse().context("PACED")? };
            payouts::payouts(Path::new(folder), Path::new(programs), agencies.parse().context("AGENCIES")?, paced)
        }
        ["send", api, stripe, key, per_s, in_flight, most] => {
            let pace = stripe::Pace { per_s: per_s.parse()?, in_flight: in_flight.parse()? };
            payouts::send(api, stripe, key, pace, most.parse()?)
        }
        ["webhooks", port, run, n, connections] => webhooks::send(port.parse()?, run, n.parse()?, connections.parse()?),
        ["inserts", database, run, n, connections] => {
            api::inserts(Path::new(database), run, n.parse()?, connections.parse()?)
        }
        ["parse", journal] => work::parse(journal),
        ["evaluate", database] => work::evaluate(Path::new(database)),
        ["columns", database] => work::columns(database),
        ["draft", database] => drafting::draft(Path::new(database)),
        ["seal", database] => drafting::seal(Path::new(database)),
        ["rows", database] => drafting::rows(database),
        ["month", database, facts] => month(Path::new(database), facts.parse().context("FACTS")?),
        ["seed", database, partners] => drafting::seed(database, partners.parse()?),
        _ => bail!(
            "usage: aikit-bench engine FOLDER PROGRAMS PYTHON RUNS FACTS, api FOLDER PROGRAMS RUNS, payouts FOLDER PROGRAMS AGENCIES PACED|whole, or edge FOLDER PROGRAMS SCRIPT RUNS; ./dev bench gives them"
        ),
    }
}

/// Prints the table. The journal that is evaluated has a partner for fifty facts, the month that is drafted one for ten.
fn engine(folder: &Path, programs: &Path, python: &Path, runs: usize, facts: usize) -> anyhow::Result<()> {
    let folder = folder.join(format!("{facts}-facts"));
    std::fs::create_dir_all(&folder)?;
    let run_partners = facts / 10;
    let journal = made(folder.join("journal.jsonl"), |path| journal::write(path, facts, facts / 50))?;
    let small = made(folder.join("journal.db"), |path| database::write(path, &journal))?;
    let wide = made(folder.join("run.jsonl"), |path| journal::write(path, facts, run_partners))?;
    let large = made(folder.join("run.db"), |path| database::write(path, &wide))?;
    let indexed = made(folder.join("run-indexed.db"), |path| database::index_copy(&large, path))?;
    let me = std::env::current_exe()?;
    let mine = |words: &[&str], path: &Path| {
        let mut command = Command::new(&me);
        command.arg(words[0]).arg(path).args(&words[1..]);
        command
    };
    let statements = || {
        let mut command = Command::new(programs.join("aikit-partners-server"));
        command.args(["statements", "--format", "summary", "--as-of", AS_OF, "--journal"]).arg(&journal);
        command
    };
    let duckdb = || {
        let mut command = Command::new(python);
        command.arg("-c").arg(DUCKDB).arg(&journal);
        command
    };

    let mut rows = Vec::new();
    let (floor, ours) =
        measure::in_turns(runs, || on_one_core(mine(&["parse"], &journal)), || on_one_core(statements()))?;
    let file = std::fs::metadata(&journal)?.len();
    let memory = ours.iter().map(|spent| spent.peak_memory).max().unwrap_or(0);
    rows.push(Row {
        what: "summaries from JSONL, one core (CPU)".to_owned(),
        floor: Figure::of(&floor, Spent::cpu),
        ours: Figure::of(&ours, Spent::cpu),
        goal: (200, "at most 2 ×"),
    });
    if python.exists() {
        let (floor, ours) = measure::in_turns(runs, duckdb, statements)?;
        rows.push(Row {
            what: "the same, all cores, beside DuckDB".to_owned(),
            floor: Figure::of(&floor, Spent::wall),
            ours: Figure::of(&ours, Spent::wall),
            goal: (100, "at most 1 ×"),
        });
    }
    let (floor, ours) = measure::in_turns(runs, || mine(&["columns"], &small), || mine(&["evaluate"], &small))?;
    rows.push(Row {
        what: "summaries from SQLite (CPU)".to_owned(),
        floor: Figure::of(&floor, Spent::cpu),
        ours: Figure::of(&ours, Spent::cpu),
        goal: (300, "at most 3 ×"),
    });
    for (what, database, sample, goal) in [
        (format!("a month of {run_partners} partners, the loop as written"), &large, "20", (2, "at most 1/50")),
        ("the same, the loop with indexes added".to_owned(), &indexed, "2000", (100, "none; shown beside")),
    ] {
        let times = u32::try_from(run_partners)? / sample.parse::<u32>()?;
        let (floor, ours) =
            measure::in_turns(runs.min(3), || mine(&["seed", sample], database), || mine(&["draft"], &large))?;
        rows.push(Row {
            what,
            floor: Figure::of(&floor, |spent| spent.wall * times),
            ours: Figure::of(&ours, Spent::wall),
            goal,
        });
    }
    let mut months = Vec::new();
    for _ in 0..=runs.min(3) {
        // A sealed month is drafted anew, which takes its seal back.
        let (draft, seal) = (measure::spent(mine(&["draft"], &large))?, measure::spent(mine(&["seal"], &large))?);
        months.push((measure::spent(mine(&["rows"], &large))?, draft, seal));
    }
    months.remove(0);
    rows.push(Row {
        what: "the same, drafted and sealed".to_owned(),
        floor: Figure::of(&months, |(floor, _, _)| floor.wall),
        ours: Figure::of(&months, |(_, draft, seal)| draft.wall + seal.wall),
        goal: (0, "none; shown beside"),
    });
    print!("{}", measure::table(&rows));
    let megabytes = |bytes: u64| bytes / 1_000_000;
    println!("\npeak memory of `statements`: {} MB, the file has {} MB", megabytes(memory), megabytes(file));
    let most = |of: fn(&(Spent, Spent, Spent)) -> &Spent| months.iter().map(|m| of(m).peak_memory).max().unwrap_or(0);
    let seconds = |of: fn(&(Spent, Spent, Spent)) -> &Spent| Figure::of(&months, |m| of(m).wall).text();
    println!(
        "a month of {run_partners} partners: drafted in {} with {} MB, sealed in {} with {} MB, the database has {} MB",
        seconds(|m| &m.1),
        megabytes(most(|m| &m.1)),
        seconds(|m| &m.2),
        megabytes(most(|m| &m.2)),
        megabytes(std::fs::metadata(&large)?.len()),
    );
    Ok(())
}

/// A database in which one month is to be drafted, with a partner for ten facts.
fn month(database: &Path, facts: usize) -> anyhow::Result<()> {
    let wide = database.with_extension("jsonl");
    journal::write(&wide, facts, facts / 10)?;
    database::write(database, &wide)?;
    std::fs::remove_file(wide)?;
    database::only_one_month_is_due(database)
}

/// A file that is made once and kept; one that was begun and not finished does not count.
fn made(path: PathBuf, make: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    if !path.exists() {
        eprintln!("making {}", path.display());
        let unfinished = path.with_extension("unfinished");
        let _ = std::fs::remove_file(&unfinished);
        make(&unfinished)?;
        std::fs::rename(&unfinished, &path)?;
    }
    Ok(path)
}

fn on_one_core(command: Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", "0"]).arg(command.get_program()).args(command.get_args());
    pinned
}

/// A flat share of what each partner's clients paid, by a database that is good at nothing else but this.
const DUCKDB: &str = r"
import duckdb, sys
con = duckdb.connect()
con.execute('SET threads = 2')
rows = con.execute('''
    WITH fact AS MATERIALIZED (
        SELECT * FROM read_json(?, format = 'newline_delimited', columns = {
            type: 'VARCHAR', partner: 'VARCHAR', referral: 'VARCHAR', subscription: 'VARCHAR', amount_minor: 'BIGINT'}))
    SELECT r.partner, sum(i.amount_minor) * 20 // 100
    FROM fact i
    JOIN fact s ON s.type = 'subscription_started' AND s.subscription = i.subscription
    JOIN fact r ON r.type = 'referral_created' AND r.referral = s.referral
    WHERE i.type = 'invoice_paid' GROUP BY r.partner''', [sys.argv[1]]).fetchall()
assert rows
";
