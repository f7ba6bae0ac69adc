//! How soon the app shows its first figures, and how much memory it keeps, beside a window with nothing in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fantoccini::Locator;

use crate::cable::Cable;
use crate::computer::{Computer, given};
use crate::{AS_OF, ESTIMATE, agency_that_earned};

/// How long a window is left alone before its memory is read.
const REST: Duration = Duration::from_secs(6);

#[tokio::test]
#[ignore = "It measures, and says nothing of right and wrong: ./dev bench desktop"]
async fn the_app_beside_an_empty_window() -> Result<()> {
    let runs: usize = given("AIKIT_RUNS")?.parse().context("AIKIT_RUNS")?;
    let (app, empty) = (given("AIKIT_APP_BIN")?, given("AIKIT_EMPTY_BIN")?);
    let (agency, _) = agency_that_earned().await?;
    let cable = Cable::to_the_api()?;
    let computer = Computer::set_up(&cable)?;
    let window = computer.open_window().await?;
    window.click(Locator::Css(&format!("button[data-person='{}']", agency.person))).await?;
    window.shows(AS_OF, "Live").await?;
    tokio::time::sleep(REST).await;
    window.close(&computer).await?;
    let mut times: BTreeMap<&str, Vec<u128>> = BTreeMap::new();
    let mut memory: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for _ in 0..runs {
        for (name, program) in [("empty", &empty), ("app", &app)] {
            let begun = Instant::now();
            let window = computer.open_program(program, &[]).await?;
            window.find(ESTIMATE).await?;
            times.entry(name).or_default().push(begun.elapsed().as_millis());
            tokio::time::sleep(REST).await;
            memory.entry(name).or_default().push(memory_kib(Path::new(program))?);
            window.page.close().await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    let time = |name| middle(&times[name]);
    let kib = |name| middle(&memory[name]);
    println!(
        "start to first figures   empty window {} ms, app {} ms: {}",
        time("empty"),
        time("app"),
        ratio(time("app"), time("empty"))
    );
    println!(
        "memory at rest           empty window {} MB, app {} MB: {}",
        kib("empty") / 1024,
        kib("app") / 1024,
        ratio(kib("app").into(), kib("empty").into())
    );
    Ok(())
}

fn middle<T: Ord + Copy>(of: &[T]) -> T {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// `1.32 ×`.
fn ratio(of: u128, to: u128) -> String {
    let hundredths = of * 100 / to.max(1);
    format!("{}.{:02} ×", hundredths / 100, hundredths % 100)
}

/// What a program and all that it has started keep in memory, shared pages divided among those that share them.
fn memory_kib(program: &Path) -> Result<u64> {
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    let mut family: Vec<u32> = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent =
            stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).and_then(|text| text.parse().ok());
        parents.insert(pid, parent.unwrap_or(0));
        if std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program) {
            family.push(pid);
        }
    }
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        let children = parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid);
        let children: Vec<u32> = children.filter(|pid| !family.contains(pid)).collect();
        family.extend(children);
        next += 1;
    }
    let of = |pid: &u32| {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    Ok(family.iter().filter_map(of).sum())
}
