//! What is measured around the engine: parsing alone, reading columns alone, and evaluating what SQLite has stored.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use commission::{Fact, Program, TermsBook, parse_time, set_digest_of_summaries};
use rusqlite::Connection;

use crate::{AS_OF, drafting};

/// The floor of a journal: every line becomes a fact, which is dropped.
pub(crate) fn parse(path: &str) -> anyhow::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        black_box(serde_json::from_str::<Fact>(&line)?);
        line.clear();
    }
    Ok(())
}

/// The floor of a database: a sum of the amounts, and every column that the evaluation reads.
pub(crate) fn columns(path: &str) -> anyhow::Result<()> {
    let database = Connection::open(path)?;
    let sum: i64 = database.query_row("SELECT sum(body->>'amount_minor') FROM fact", [], |row| row.get(0))?;
    let mut statement = database.prepare("SELECT seq, body FROM fact ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        black_box(row.get::<_, i64>(0)?);
        read += row.get_ref(1)?.as_str()?.len();
    }
    println!("{sum} {read}");
    Ok(())
}

/// The stored journal, page by page as the API reads it, and everybody's summary.
pub(crate) fn evaluate(path: &Path) -> anyhow::Result<()> {
    let app = drafting::app(path)?;
    let read = async { referral::stored_journal(&app, referral::journal_head(&app).await?).await };
    let journal = drafting::runtime()?.block_on(read).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let terms = TermsBook::default_book();
    let as_of = parse_time(AS_OF).map_err(anyhow::Error::msg)?;
    let program = Program::of_journal(&journal, &terms, as_of);
    let summaries = (0..program.len()).map(|partner| program.summary(partner)).collect::<Result<Vec<_>, _>>()?;
    println!("{} {}", summaries.len(), set_digest_of_summaries(&summaries).unwrap_or_default());
    Ok(())
}
