//! A journal out of a file, each core reading a part of it, or out of standard input. What a line says is the engine's.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek as _, SeekFrom};
use std::num::NonZero;
use std::path::Path;
use std::thread;

use commission::{Journal, JournalError, JournalReader};

/// Bytes read from a file at once.
const BUFFER: usize = 256 * 1024;
/// Smaller files are read by one core.
const SMALLEST_PART: u64 = 1024 * 1024;
/// Lines after which a reader tells how far it is.
const STRIDE: usize = 4096;

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file itself.
    #[error(transparent)]
    File(#[from] io::Error),
    /// What it says.
    #[error(transparent)]
    Line(#[from] JournalError),
}

/// Reads a stream to its end. `tell` hears of each further few thousand lines. No text is kept.
pub(crate) fn read_stream(source: impl BufRead, tell: impl Fn(usize)) -> Result<Journal, ReadError> {
    let mut reader = JournalReader::new();
    read_lines(source, u64::MAX, &mut reader, tell)?;
    Ok(reader.finish()?)
}

/// Reads a file on all cores; what is no regular file, such as a pipe, as a stream.
pub(crate) fn read_file(path: &Path, tell: impl Fn(usize) + Sync) -> Result<Journal, ReadError> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    match (about.len() / SMALLEST_PART).min(cores) {
        2.. if about.is_file() => read_parts(path, about.len(), (about.len() / SMALLEST_PART).min(cores), tell),
        _ => read_stream(BufReader::with_capacity(BUFFER, file), tell),
    }
}

fn read_parts(path: &Path, size: u64, parts: u64, tell: impl Fn(usize) + Sync) -> Result<Journal, ReadError> {
    let tell = &tell;
    let read_parts: Vec<io::Result<JournalReader>> = thread::scope(|scope| {
        let readers: Vec<_> = (0..parts)
            .map(|part| {
                // What is written meanwhile belongs to the last part.
                let end = if part + 1 == parts { u64::MAX } else { size * (part + 1) / parts };
                scope.spawn(move || read_part(path, size * part / parts, end, tell))
            })
            .collect();
        let died = |_| Err(io::Error::other("a thread that read it has died"));
        readers.into_iter().map(|reader| reader.join().unwrap_or_else(died)).collect()
    });
    let mut journal = JournalReader::new();
    for part in read_parts {
        journal.append(part?);
    }
    Ok(journal.finish()?)
}

/// Reads the lines that begin between two places of a file.
fn read_part(path: &Path, start: u64, end: u64, tell: impl Fn(usize)) -> io::Result<JournalReader> {
    let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
    if start == 0 {
        let mut reader = JournalReader::new();
        read_lines(file, end, &mut reader, tell)?;
        return Ok(reader);
    }
    // The line that the byte before belongs to is another part's, even if it ends just there.
    file.seek(SeekFrom::Start(start - 1))?;
    let first = start - 1 + file.skip_until(b'\n')? as u64;
    let mut reader = JournalReader::of_later_part();
    read_lines(file, end.saturating_sub(first), &mut reader, tell)?;
    Ok(reader)
}

/// Reads the lines that begin within so many bytes, or up to one that cannot be read.
fn read_lines(
    mut source: impl BufRead,
    bytes: u64,
    reader: &mut JournalReader,
    tell: impl Fn(usize),
) -> io::Result<()> {
    let (mut line, mut at) = (Vec::new(), 0);
    for number in 1_usize.. {
        line.clear();
        if at >= bytes || source.read_until(b'\n', &mut line)? == 0 || !reader.push_line(&line) {
            break;
        }
        at += line.len() as u64;
        if number.is_multiple_of(STRIDE) {
            tell(STRIDE);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOINED: &str = r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"A","website":"a.example"}"#;

    fn in_parts(text: &str, parts: u64) -> Result<Vec<commission::Fact>, String> {
        let folder = std::env::temp_dir().join(format!("aikit-reading-{}-{parts}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("journal.jsonl");
        std::fs::write(&path, text).unwrap();
        let read = read_parts(&path, text.len() as u64, parts, |_| {});
        std::fs::remove_dir_all(&folder).unwrap();
        read.map(Journal::into_facts).map_err(|error| error.to_string())
    }

    /// Wherever a file is cut for the cores, it is accepted or refused as the engine's own reader does it whole.
    #[test]
    fn parts_of_a_file_say_what_the_whole_says() {
        let other = JOINED.replace("\"P\"", "\"Q\"");
        let second = JOINED.replace("\"a\"", "\"b\"");
        for lines in [
            vec![],
            vec![JOINED],
            vec![JOINED, "", "  ", JOINED, &second, ""],
            vec!["", JOINED, &other],
            vec![JOINED, &second, &other, "{"],
            vec![JOINED, "{", &other],
            vec![JOINED, "[]", "{"],
            vec![&second, JOINED, r#"{"id":"b","amount_minor":1e999}"#],
        ] {
            for (start, end) in [("", "\n"), ("\u{feff}", "\n"), ("", "\r\n")] {
                let text = format!("{start}{}", lines.join(end));
                let whole = commission::read_journal(&text).map_err(|error| error.to_string());
                let stream = read_stream(text.as_bytes(), |_| {}).map(Journal::into_facts);
                assert_eq!(stream.map_err(|error| error.to_string()), whole, "{text}");
                for parts in [1, 2, 3, 7, 50] {
                    assert_eq!(in_parts(&text, parts), whole, "{parts} parts of {text}");
                }
            }
        }
    }
}
