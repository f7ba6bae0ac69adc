//! `statements`: every partner's statement out of a journal, on standard output.
//!
//! The journal is read line by line and its text is not kept, so that memory holds the facts alone. All cores read it,
//! then compute and render a block of partners at a time; blocks are written in the order of partners.

mod diff;
pub(crate) mod page;
mod reading;
pub(crate) mod sheet;

use std::fs;
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::num::NonZero;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use commission::{Excess, Journal, Program, TermsBook, Unmatched, parse_time};

pub(crate) use diff::{Diff, run as run_diff};

/// Partners that a core renders at once; at most two such blocks a core wait to be written.
const BLOCK: usize = 32;
/// Bytes written to standard output at once.
const BUFFER: usize = 256 * 1024;
/// Whoever watches is told after so many lines.
const TOLD_LINES: usize = 50_000;

/// Options of `statements`.
#[derive(Args)]
pub(crate) struct Statements {
    /// The journal (JSONL); `-` for standard input.
    #[arg(long, value_name = "FILE|-")]
    journal: PathBuf,
    /// Facts before this instant count: 2026-11-01T00:00:00Z for what October closes with.
    #[arg(long, value_name = "TIME")]
    as_of: String,
    /// The terms (TOML); the program's default terms without it.
    #[arg(long, value_name = "FILE")]
    terms: Option<PathBuf>,
    /// Only this partner.
    #[arg(long, value_name = "CODE")]
    partner: Option<String>,
    /// What to write: `summary` is `json` without lines, `text` is to be read, `csv` has a row for each line.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Summary,
    Text,
    Csv,
}

/// Writes the statements. An error is one line, whatever the journal has in it.
pub(crate) fn run(options: &Statements) -> anyhow::Result<()> {
    match write_statements(options) {
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other.map_err(|error| anyhow!(page::one_line(&format!("{error:#}")))),
    }
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn write_statements(options: &Statements) -> anyhow::Result<()> {
    let as_of = parse_time(&options.as_of).map_err(|message| anyhow!("--as-of {message}"))?;
    let terms = read_terms_or_default(options.terms.as_deref())?;
    let name = source_name(&options.journal);
    let journal = read_journal(&options.journal).with_context(|| name.clone())?;
    let program = Program::of_journal(&journal, &terms, as_of);
    let everybody = options.partner.is_none();
    let wanted = match &options.partner {
        None => 0..program.len(),
        Some(code) => match program.position(code) {
            Some(position) => position..position + 1,
            None => bail!("{name}: no partner `{code}` joined before {}; check the code", options.as_of),
        },
    };
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    write_head(&mut out, options.format, wanted.is_empty(), as_of)?;
    let mut excess: Vec<Excess> = Vec::new();
    blocks_in_order(
        wanted.clone(),
        |block| {
            let (mut rendered, mut found) = (Vec::new(), Vec::new());
            for position in block {
                let is_first = position == wanted.start;
                render(&mut rendered, options.format, &program, position, &terms, is_first)
                    .with_context(|| name.clone())?;
                if options.format != Format::Text {
                    found.extend(program.excess(position));
                }
            }
            Ok((rendered, found))
        },
        |(rendered, found)| {
            excess.extend(found);
            Ok(out.write_all(&rendered)?)
        },
    )?;
    let astray = if everybody { program.unmatched() } else { &[] };
    write_tail(&mut out, options.format, astray)?;
    out.flush()?;
    if options.format != Format::Text {
        let astray = (!astray.is_empty()).then(|| page::astray_in_short(astray));
        let excess = (!excess.is_empty()).then(|| page::excess_in_short(&excess));
        astray.iter().chain(&excess).for_each(|note| eprintln!("{}", page::one_line(note)));
    }
    // The process ends here: the system takes its memory back at once, and fact by fact would take a while.
    std::mem::forget(program);
    std::mem::forget(journal);
    Ok(())
}

/// What comes before the first statement.
fn write_head(out: &mut impl Write, format: Format, is_empty: bool, as_of: DateTime<Utc>) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Summary => out.write_all(b"[")?,
        Format::Text if is_empty => writeln!(out, "No partner had joined before {}.", page::instant(as_of))?,
        Format::Text => {}
        Format::Csv => out.write_all(&sheet::header()?)?,
    }
    Ok(())
}

/// What comes after the last statement; `astray` are the facts that lead to no partner.
fn write_tail(out: &mut impl Write, format: Format, astray: &[Unmatched]) -> anyhow::Result<()> {
    match format {
        Format::Json | Format::Summary => out.write_all(b"\n]\n")?,
        Format::Text => out.write_all(page::astray(astray).as_bytes())?,
        Format::Csv => {}
    }
    Ok(())
}

/// Renders the statement of the partner at a position. Only a format that shows lines has them written out.
fn render(
    into: &mut Vec<u8>,
    format: Format,
    program: &Program,
    position: usize,
    terms: &TermsBook,
    is_first: bool,
) -> anyhow::Result<()> {
    let between: &[u8] = match format {
        Format::Json | Format::Summary if is_first => b"\n",
        Format::Json | Format::Summary => b",\n",
        Format::Text if !is_first => b"\n\n",
        Format::Text | Format::Csv => b"",
    };
    into.extend_from_slice(between);
    match format {
        Format::Json => serde_json::to_writer(into, &program.statement(position)?)?,
        Format::Summary => serde_json::to_writer(into, &program.summary(position)?)?,
        Format::Text => {
            let statement = program.statement(position)?;
            let minimum_minor = terms.in_force(statement.as_of).minimum_payout_minor;
            into.extend_from_slice(page::statement(&statement, &program.excess(position), minimum_minor).as_bytes());
        }
        Format::Csv => sheet::rows(into, &program.statement(position)?)?,
    }
    Ok(())
}

/// Makes the blocks of a range on all cores and takes them in order. No core runs far ahead of what was taken.
fn blocks_in_order<T: Send>(
    range: Range<usize>,
    make: impl Fn(Range<usize>) -> anyhow::Result<T> + Sync,
    mut take: impl FnMut(T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let blocks = range.len().div_ceil(BLOCK);
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(blocks);
    thread::scope(|scope| {
        let (make, range) = (&make, &range);
        let made: Vec<_> = (0..cores)
            .map(|core| {
                let (sender, receiver) = sync_channel(1);
                scope.spawn(move || {
                    for block in (core..blocks).step_by(cores) {
                        let from = range.start + block * BLOCK;
                        // Nobody takes any more when writing has failed.
                        if sender.send(make(from..range.end.min(from + BLOCK))).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        // A core that ends without its block has panicked, which the scope passes on.
        (0..blocks).map_while(|block| made[block % cores].recv().ok()).try_for_each(|block| take(block?))
    })
}

/// The terms of a file, or the program's default terms.
pub(crate) fn read_terms_or_default(path: Option<&Path>) -> anyhow::Result<TermsBook> {
    path.map_or_else(
        || Ok(TermsBook::default_book()),
        |path| read_terms(path).with_context(|| path.display().to_string()),
    )
}

fn read_terms(path: &Path) -> anyhow::Result<TermsBook> {
    refuse_folder(path)?;
    Ok(TermsBook::from_toml(&fs::read_to_string(path)?)?)
}

/// What a journal is called in an error.
pub(crate) fn source_name(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads the journal from a file, or from standard input when it is called `-`. Says how far it is where somebody
/// watches.
pub(crate) fn read_journal(path: &Path) -> anyhow::Result<Journal> {
    let watched = io::stderr().is_terminal();
    let read = AtomicUsize::new(0);
    let tell = |lines: usize| {
        let before = read.fetch_add(lines, Ordering::Relaxed);
        if watched && (before + lines) / TOLD_LINES > before / TOLD_LINES {
            eprint!("\r{} lines read", before + lines);
        }
    };
    let journal = match path {
        _ if is_stdin(path) => reading::read_stream(io::stdin().lock(), tell),
        path => {
            refuse_folder(path)?;
            reading::read_file(path, tell)
        }
    };
    if watched {
        eprint!("\r\x1b[K");
    }
    Ok(journal?)
}

/// Opening a folder works and reading it fails with a number.
fn refuse_folder(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() { bail!("is a folder; name a file in it") } else { Ok(()) }
}
