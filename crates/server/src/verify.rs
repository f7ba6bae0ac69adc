//! `verify`: whether a receipt follows from the facts that it carries, as the engine of this computer finds.
//!
//! The statement is computed anew, and with what was posted and paid before it gives the lines and the amount. The pages are
//! made anew as well, so that what a person reads is what was computed.

mod check;
mod reading;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use commission::format_minor;
use documents::receipt::pdf;
use serde::Serialize;

use crate::statements::page;
use check::{Checked, Differs, check};
use reading::{MOST_FILE, Told};

/// Differences that are shown to a person; `--json` has them all.
const MOST_SHOWN: usize = 40;

/// Options of `verify`.
#[derive(Args)]
pub(crate) struct Verify {
    /// The receipt (PDF).
    file: PathBuf,
    /// Say it for programs.
    #[arg(long)]
    json: bool,
}

/// What is known of the pages beside the attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Pages {
    /// The file is, to the byte, the one that this program makes of the attachments.
    SameBytes,
    /// Another version of the libraries made it; its pages have the same text.
    SameText,
    /// They say something else.
    Differ,
}

/// A receipt that could be compared.
#[derive(Debug)]
struct Verified {
    told: Told,
    checked: Checked,
    pages: Pages,
}

impl Verified {
    fn is_verified(&self) -> bool {
        self.checked.differences.is_empty()
    }
}

/// Says whether the receipt is right: 0 when it is, 1 when it is not. What cannot be compared is an error.
pub(crate) fn run(options: &Verify) -> anyhow::Result<ExitCode> {
    let name = options.file.display();
    let said = read_file(&options.file).and_then(|bytes| verify(&bytes));
    let verified = said.map_err(|error| anyhow!(page::one_line(&format!("{name} {error:#}"))))?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&for_programs(&verified))?);
    } else {
        print!("{}", in_words(&verified));
    }
    Ok(ExitCode::from(u8::from(!verified.is_verified())))
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| anyhow!("cannot be opened: {error}"))?;
    file.take(MOST_FILE + 1).read_to_end(&mut bytes).map_err(|error| anyhow!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MOST_FILE {
        bail!("is larger than {} MiB, which no receipt is", MOST_FILE >> 20);
    }
    Ok(bytes)
}

/// Compares a receipt with what is computed of it. An error completes a sentence that begins with the file.
fn verify(bytes: &[u8]) -> anyhow::Result<Verified> {
    let told = reading::receipt(bytes)?;
    let mut checked = check(&told)?;
    // Parts that do not add up are a difference already, and make no pages.
    let again = pdf(&told.receipt, &told.sources).ok();
    let pages = match again {
        Some(again) if again == bytes => Pages::SameBytes,
        Some(again) => {
            let (said, made) = (reading::text(bytes)?, reading::text(&again)?);
            checked.differences.extend(other_words(&said, &made));
            if said == made { Pages::SameText } else { Pages::Differ }
        }
        None if checked.differences.is_empty() => bail!("carries a statement of which no receipt can be made"),
        None => Pages::Differ,
    };
    Ok(Verified { told, checked, pages })
}

/// The first line in which the text of the pages is not what the attachments make.
fn other_words(said: &str, made: &str) -> Option<Differs> {
    if said == made {
        return None;
    }
    let (mut said, mut made) = (said.lines(), made.lines());
    loop {
        match (said.next(), made.next()) {
            (Some(one), Some(other)) if one == other => {}
            (None, None) => {
                let text = "their text, which ends its lines otherwise".to_owned();
                return Some(Differs { what: "The pages".to_owned(), said: text.clone(), computed: text });
            }
            (one, other) => {
                let [said, computed] = [one, other].map(|line| line.unwrap_or("nothing more").trim_end().to_owned());
                return Some(Differs { what: "The pages".to_owned(), said, computed });
            }
        }
    }
}

/// The answer as JSON.
fn for_programs(verified: &Verified) -> serde_json::Value {
    let Verified { told, checked, pages } = verified;
    let detail = &told.receipt.detail;
    serde_json::json!({
        "verified": verified.is_verified(),
        "receipt": detail.payout.item,
        "partner": detail.partner.code,
        "name": detail.partner.name,
        "period": detail.payout.period,
        "as_of": detail.as_of,
        "cut": told.receipt.cut,
        "rules": told.receipt.rules,
        "transfer": told.receipt.transfer,
        "lines": detail.lines.len(),
        "said": { "digest": detail.payout.digest, "amount_minor": detail.payout.amount_minor },
        "computed": checked,
        "pages": pages,
    })
}

/// The answer in words.
fn in_words(verified: &Verified) -> String {
    let Verified { told, checked, .. } = verified;
    let detail = &told.receipt.detail;
    let whose =
        format!("the statement of {} ({}) for {}", detail.partner.name, detail.partner.code, detail.payout.period);
    let facts = counted(checked.facts, "fact");
    let mut text = String::new();
    if verified.is_verified() {
        let lines = counted(detail.lines.len(), "line");
        let follow = if detail.lines.len() == 1 { "the line" } else { &format!("the {lines}") };
        let said = format!(
            "Verified: {whose}, computed again from {facts}, has digest {}, and {follow} and the amount {} of this receipt follow \
             from it, with {} that earlier runs had posted and {} that had been paid.",
            checked.digest,
            format_minor(checked.amount_minor),
            page::format_total(checked.posted_minor),
            format_minor(checked.paid_minor),
        );
        page::push_wrapped(&mut text, &page::printable(&said));
        let pages = match verified.pages {
            Pages::SameBytes => "The file is, to the byte, the one that this program makes of its attachments.",
            _ => {
                "Its pages have the text that this program makes of its attachments; the file itself was written otherwise."
            }
        };
        let transfer = format!("{pages} That the transfer {} was made is for Stripe to say.", told.receipt.transfer);
        page::push_wrapped(&mut text, &page::printable(&transfer));
        return text;
    }
    let said = format!("NOT verified: {whose}, computed again from {facts}, is not what this receipt says.");
    page::push_wrapped(&mut text, &page::printable(&said));
    page::push(&mut text, "");
    push_differences(&mut text, &checked.differences);
    page::push(&mut text, "");
    page::push_wrapped(
        &mut text,
        "Either the file or a fact was changed since the run was sealed, or its terms were. Download the receipt again; if that \
         one differs too, ask whoever pays, with this list.",
    );
    text
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A row for each difference; a long one over three lines.
fn push_differences(text: &mut String, differences: &[Differs]) {
    let shown = &differences[..differences.len().min(MOST_SHOWN)];
    let rows: Vec<[String; 3]> = [["", "The receipt says", "This computer computes"].map(str::to_owned)]
        .into_iter()
        .chain(shown.iter().map(|row| [&row.what, &row.said, &row.computed].map(|cell| page::one_line(cell))))
        .collect();
    let fits = |cell: &String| cell.chars().count() <= 44;
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| row.iter().all(fits)).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let [first, second] = [width(0), width(1)];
    for row in &rows {
        let [what, said, computed] = row;
        if row.iter().all(fits) {
            page::push(text, &format!("{what:first$}  {said:second$}  {computed}"));
        } else {
            page::push(text, what);
            page::push(text, &format!("  the receipt says        {said}"));
            page::push(text, &format!("  this computer computes  {computed}"));
        }
    }
    match differences.len() - shown.len() {
        0 => {}
        more => page::push(text, &format!("and {} more; --json has them all", counted(more, "difference"))),
    }
}
