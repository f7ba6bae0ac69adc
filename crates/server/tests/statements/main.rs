//! `aikit-partners-server statements` as an operator runs it: the program itself, its two streams and its exit code.

#![expect(clippy::unwrap_used, clippy::panic, reason = "What fails here fails the test.")]

mod explained;
mod refusals;
mod shapes;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Runs `statements` with a journal on its standard input.
fn statements(journal: &[u8], options: &[&str]) -> Output {
    run(journal, &[&["--journal", "-"], options].concat())
}

/// Runs `statements` with these options alone.
fn run(input: &[u8], options: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aikit-partners-server"))
        .arg("statements")
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its options reads nothing, and what is written to it is lost.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// What a program that succeeded has written.
fn written(output: Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    String::from_utf8(output.stdout).unwrap()
}
