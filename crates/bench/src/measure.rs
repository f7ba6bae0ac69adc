//! What a process costs, and the table of it. Whole numbers only: microseconds and hundredths.

use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// Between two looks at a process.
const LOOK: Duration = Duration::from_millis(2);
/// Linux counts a process's time in hundredths of a second, on every machine that this runs on.
const TICK: Duration = Duration::from_millis(10);

/// What one process cost.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    /// From its start to its end.
    pub(crate) wall: Duration,
    /// On all cores together, in the program and in the kernel.
    pub(crate) cpu: Duration,
    /// In bytes.
    pub(crate) peak_memory: u64,
}

impl Spent {
    pub(crate) fn wall(&self) -> Duration {
        self.wall
    }
    pub(crate) fn cpu(&self) -> Duration {
        self.cpu
    }
}

/// Runs two commands in turns, after one turn that does not count.
pub(crate) fn in_turns(
    runs: usize,
    floor: impl Fn() -> Command,
    ours: impl Fn() -> Command,
) -> anyhow::Result<(Vec<Spent>, Vec<Spent>)> {
    let mut turns = Vec::new();
    for _ in 0..=runs {
        turns.push((spent(floor())?, spent(ours())?));
    }
    Ok(turns.into_iter().skip(1).unzip())
}

/// What a command costs.
pub(crate) fn spent(mut command: Command) -> anyhow::Result<Spent> {
    let begun = Instant::now();
    let name = format!("{command:?}");
    let mut child = command.stdout(Stdio::null()).spawn().with_context(|| name.clone())?;
    let (cpu, peak_memory) = watch(&child);
    let status = child.wait()?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(Spent { wall: begun.elapsed(), cpu, peak_memory })
}

/// The processor time that a running process has used, and its peak memory in bytes.
pub(crate) fn so_far(pid: u32) -> (Duration, u64) {
    look(pid).map_or((Duration::ZERO, 0), |(_, cpu, peak)| (cpu, peak))
}

/// Looks at a process until it has ended and only waits to be taken note of; its times are final then.
fn watch(child: &Child) -> (Duration, u64) {
    let mut peak_memory = 0;
    // Where there is no /proc, there is nothing to see.
    while let Some((ended, cpu, peak)) = look(child.id()) {
        if ended {
            return (cpu, peak_memory);
        }
        peak_memory = peak_memory.max(peak);
        thread::sleep(LOOK);
    }
    (Duration::ZERO, peak_memory)
}

/// Whether a process has ended, the time that it has used, and its peak memory so far.
fn look(pid: u32) -> Option<(bool, Duration, u64)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in brackets and may have spaces.
    let fields: Vec<&str> = line.rsplit_once(") ").map_or(Vec::new(), |(_, rest)| rest.split(' ').collect());
    let ticks = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u32>().ok()).sum::<u32>();
    let told = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak =
        told.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Some((fields.first() == Some(&"Z"), TICK * ticks, peak.unwrap_or(0) * 1024))
}

/// The median, the least and the most.
pub(crate) struct Figure {
    median: Duration,
    least: Duration,
    most: Duration,
}

impl Figure {
    pub(crate) fn of<T>(measured: &[T], by: impl Fn(&T) -> Duration) -> Self {
        let mut all: Vec<Duration> = measured.iter().map(by).collect();
        all.sort();
        let at = |index: usize| all.get(index).copied().unwrap_or_default();
        Self { median: at(all.len() / 2), least: at(0), most: at(all.len().saturating_sub(1)) }
    }

    pub(crate) fn text(&self) -> String {
        format!("{} s ({}–{})", seconds(self.median), seconds(self.least), seconds(self.most))
    }
}

fn seconds(time: Duration) -> String {
    let hundredths = time.as_millis() / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// One line of the table.
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) floor: Figure,
    pub(crate) ours: Figure,
    /// The most hundredths of the floor, and how that is said.
    pub(crate) goal: (u128, &'static str),
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut text =
        format!("{:<48} {:>26} {:>24} {:>9}  {:<18} {}\n", "what", "floor", "ours", "ratio", "goal", "reached");
    for Row { what, floor, ours, goal: (most, goal) } in rows {
        let hundredths = ours.median.as_micros() * 100 / floor.median.as_micros().max(1);
        let ratio = format!("{}.{:02} ×", hundredths / 100, hundredths % 100);
        let reached = match hundredths <= *most {
            _ if goal.starts_with("none") => "",
            true => "yes",
            false => "no",
        };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{what:<48} {:>26} {:>24} {ratio:>9}  {goal:<18} {reached}", floor.text(), ours.text());
    }
    text
}
