//! A receipt out of a PDF: its attachments and the text of its pages. The file may be anything at all.

use std::collections::BTreeMap;

use documents::receipt::{FORM, Receipt, STATEMENT};
use documents::sources::{FACTS, POSTED, Sources, TERMS};
use lopdf::{Document, LoadOptions, Object};
use serde::Deserialize;

/// The largest file that is read, in bytes.
pub(crate) const MOST_FILE: u64 = 32 << 20;
/// The largest attachment, and the most text of one page, in bytes: a small file can inflate without end.
const MOST_INFLATED: usize = 32 << 20;
/// Files that a PDF attaches, at most; a receipt has four.
const MOST_ATTACHED: usize = 16;

/// What a receipt says, and what it says that it follows from.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) receipt: Receipt,
    pub(crate) sources: Sources,
}

/// Why a file cannot be verified. Each completes a sentence that begins with the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("is no PDF that can be read ({0}); download the receipt again")]
    NotPdf(lopdf::Error),
    #[error("is no payout receipt: it carries no {STATEMENT}")]
    NoReceipt,
    #[error(
        "is a receipt without the facts that it follows from, as older versions made them; download it again \
         (Payouts, the payout, Receipt) and verify that one"
    )]
    NoFacts,
    #[error("is a receipt of form {0}, and this program knows form {FORM}; use the program's version that made it")]
    OtherForm(u32),
    #[error("is damaged: {0}; download the receipt again")]
    Damaged(String),
}

/// Reads a receipt. What is not read to its very end is not read.
pub(crate) fn receipt(pdf: &[u8]) -> Result<Told, Unreadable> {
    #[derive(Deserialize)]
    struct Form {
        form: Option<u32>,
    }
    let files = attachments(&document(pdf)?)?;
    let statement = files.get(STATEMENT).ok_or(Unreadable::NoReceipt)?;
    let not_json = |error: serde_json::Error| Unreadable::Damaged(format!("{STATEMENT}: {error}"));
    let Form { form } = serde_json::from_slice(statement).map_err(not_json)?;
    let [facts, terms, posted] = [FACTS, TERMS, POSTED].map(|name| files.get(name));
    let (Some(form), Some(facts), Some(terms), Some(posted)) = (form, facts, terms, posted) else {
        return Err(Unreadable::NoFacts);
    };
    if form != FORM {
        return Err(Unreadable::OtherForm(form));
    }
    let receipt = serde_json::from_slice(statement).map_err(not_json)?;
    let sources = Sources::read(facts, terms, posted).map_err(Unreadable::Damaged)?;
    Ok(Told { receipt, sources })
}

/// The text of all pages, line by line.
pub(crate) fn text(pdf: &[u8]) -> Result<String, Unreadable> {
    let document = document(pdf)?;
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    document.extract_text_with_limit(&pages, MOST_INFLATED).map_err(Unreadable::NotPdf)
}

fn document(pdf: &[u8]) -> Result<Document, Unreadable> {
    let options = LoadOptions { strict: true, max_decompressed_size: Some(MOST_INFLATED), ..LoadOptions::default() };
    Document::load_mem_with_options(pdf, options).map_err(Unreadable::NotPdf)
}

/// The attachments that the catalogue names.
fn attachments(document: &Document) -> Result<BTreeMap<String, Vec<u8>>, Unreadable> {
    let Ok(list) = document.catalog().and_then(|catalog| catalog.get_deref(b"AF", document)) else {
        return Ok(BTreeMap::new());
    };
    let list = list.as_array().map_err(Unreadable::NotPdf)?;
    if list.len() > MOST_ATTACHED {
        return Err(Unreadable::Damaged(format!("it carries {} files", list.len())));
    }
    let mut files = BTreeMap::new();
    for file in list {
        let (name, bytes) = attachment(document, file)?;
        if files.insert(name.clone(), bytes).is_some() {
            return Err(Unreadable::Damaged(format!("it carries two files of the name {name}")));
        }
    }
    Ok(files)
}

fn attachment(document: &Document, file: &Object) -> Result<(String, Vec<u8>), Unreadable> {
    let damaged = |error: lopdf::Error| Unreadable::Damaged(format!("an attachment cannot be read ({error})"));
    let read = || {
        let file = document.dereference(file)?.1.as_dict()?;
        let name = String::from_utf8_lossy(file.get_deref(b"F", document)?.as_str()?).into_owned();
        let stream = file.get_deref(b"EF", document)?.as_dict()?.get_deref(b"F", document)?.as_stream()?;
        let size = stream.dict.get_deref(b"Params", document)?.as_dict()?.get_deref(b"Size", document)?.as_i64()?;
        Ok((name, stream.decompressed_content_with_limit(MOST_INFLATED)?, size))
    };
    let (name, bytes, size) = read().map_err(damaged)?;
    // The library gives what it could inflate of a damaged stream.
    if i64::try_from(bytes.len()) != Ok(size) {
        return Err(Unreadable::Damaged(format!("{name} has {} bytes and should have {size}", bytes.len())));
    }
    Ok((name, bytes))
}
