//! One process of the product: started in a group of its own, its output in a log, ended with everything it started.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a process may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);

/// Waits until its input ends, which happens when this program is gone in whatever way, and then ends the group `$1`.
const GUARD: &str = r#"read -r _; kill -TERM "-$1"; sleep 5; kill -KILL "-$1""#;

/// What a process is started with.
pub struct Start<'a> {
    /// What messages and the log call it.
    pub name: &'static str,
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, beside what it inherits.
    pub env: Vec<(&'static str, String)>,
    /// Folder of the log.
    pub logs: &'a Path,
}

/// A running process. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    guard: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// The program or the log cannot be opened.
    pub fn start(start: Start<'_>) -> Result<Self> {
        fs::create_dir_all(start.logs)
            .with_context(|| format!("the folder {} cannot be made", start.logs.display()))?;
        let log = start.logs.join(format!("{}.log", start.name));
        let out = File::options().create(true).append(true).open(&log);
        let out = out.with_context(|| format!("the log {} cannot be written", log.display()))?;
        let err = out.try_clone().with_context(|| format!("the log {} cannot be shared", log.display()))?;
        let mut child = command(start.program, &start.env)
            .args(&start.args)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("{} cannot be started from {}", start.name, start.program.display()))?;
        match guard(&child) {
            Ok(guard) => Ok(Self { name: start.name, child, guard, log }),
            Err(error) => {
                let _gone = kill_process_group(Pid::from_child(&child), Signal::KILL);
                child.wait()?;
                Err(error)
            }
        }
    }

    /// What messages call it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last lines that it wrote.
    pub fn last_output(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut last = VecDeque::new();
        for line in text.lines() {
            last.push_back(line);
            if last.len() > 12 {
                last.pop_front();
            }
        }
        let lines: Vec<&str> = last.into_iter().collect();
        format!("{}\n(all of it: {})", lines.join("\n"), self.log.display())
    }

    /// Asks it to end, and ends it if it does not.
    pub fn stop(mut self) {
        self.end(true);
    }

    /// Ends it at this instant, as a power cut would.
    pub fn kill(mut self) {
        self.end(false);
    }

    fn end(&mut self, politely: bool) {
        if self.ended().is_some() {
            return;
        }
        let group = Pid::from_child(&self.child);
        if politely && kill_process_group(group, Signal::TERM).is_ok() {
            let asked_at = Instant::now();
            while asked_at.elapsed() < GRACE {
                if self.ended().is_some() {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        // The group may have gone between the question and the signal; `wait` then says so at once.
        let _gone = kill_process_group(group, Signal::KILL);
        let _status = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(true);
        // Before its input closes with this value: there is nothing left to guard.
        let _gone = self.guard.kill();
        let _status = self.guard.wait();
    }
}

/// Starts what ends a process should this program be killed, so that nothing is left behind.
fn guard(child: &Child) -> Result<Child> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", GUARD, "guard", &child.id().to_string()]).process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().context("/bin/sh cannot be started")
}

/// Runs a command to its end and answers what it printed.
///
/// # Errors
/// It cannot be started or fails; the message carries what it said.
pub fn run<A: AsRef<OsStr>>(program: &Path, args: &[A], env: &[(&'static str, String)]) -> Result<String> {
    let output = command(program, env).args(args).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{} cannot be started", program.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        let args: Vec<_> = args.iter().map(|arg| arg.as_ref().to_string_lossy()).collect();
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        anyhow::bail!("`{} {}` failed ({}): {error}{said}", program.display(), args.join(" "), output.status);
    }
    Ok(said)
}

/// A command that talks to loopback without a proxy in between.
fn command(program: &Path, env: &[(&'static str, String)]) -> Command {
    let mut command = Command::new(program);
    command.env("NO_PROXY", "127.0.0.1,localhost").envs(env.iter().map(|(name, value)| (name, value)));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(logs: &Path) -> Process {
        let args = ["-c", "echo begun; exec sleep 600"].map(str::to_owned).to_vec();
        let start = Start { name: "sleeper", program: Path::new("/bin/sh"), args, env: Vec::new(), logs };
        let running = Process::start(start).unwrap();
        let begun = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            running.last_output().contains("begun")
        });
        assert!(begun);
        running
    }

    /// True once no process of the group is left, within a few seconds.
    fn goes(group: Pid) -> bool {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            rustix::process::test_kill_process_group(group).is_err()
        })
    }

    #[test]
    fn nothing_of_a_process_outlives_it_nor_us() {
        let logs = std::env::temp_dir().join(format!("process-{}", std::process::id()));
        let mut running = sleeper(&logs);
        let group = Pid::from_child(&running.child);
        assert!(running.ended().is_none() && rustix::process::test_kill_process_group(group).is_ok());
        drop(running);
        assert!(goes(group), "a dropped process runs on");

        let mut running = sleeper(&logs);
        let group = Pid::from_child(&running.child);
        // What the guard sees when this program is killed.
        drop(running.guard.stdin.take());
        let status = (0..500).find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            running.ended()
        });
        assert!(status.is_some() && goes(group), "the guard does not end what it guards");
        assert!(running.last_output().contains("begun"));
        drop(running);
        fs::remove_dir_all(logs).unwrap();
    }
}
