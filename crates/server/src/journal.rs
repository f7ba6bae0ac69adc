//! `journal`: the stored facts as JSONL on standard output, so that `statements` reproduces what the API says.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{config, serve};

/// What `--with-terms` writes.
const TERMS_FILE: &str = "terms.toml";

/// Options of `journal`.
#[derive(Args)]
pub(crate) struct Journal {
    /// Folder of the database.
    #[arg(long)]
    data: PathBuf,
    /// Only the facts that lead to this partner.
    #[arg(long, value_name = "CODE")]
    partner: Option<String>,
    /// Only the facts recorded up to this number, as a run fixes it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    cut: Option<i64>,
    /// Write the terms in force to `terms.toml` in this folder.
    #[arg(long, value_name = "DIR")]
    with_terms: Option<PathBuf>,
    /// Configuration file (TOML) that the API is served with: it may name other terms.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// Facts go to standard output; how many they are, and the number of the last one recorded, to standard error.
pub(crate) async fn run(options: Journal) -> anyhow::Result<()> {
    // Opening makes what is not there, and an empty journal would hide a mistyped folder.
    if !options.data.join("referral.db").is_file() {
        bail!("{} has no database (referral.db); name the folder that `serve --data` uses", options.data.display());
    }
    if let Some(folder) = &options.with_terms {
        let file = config::read(options.config.as_deref())?;
        write_terms(folder, &config::build(file, 0, false, |_| None)?.terms.to_toml())?;
    }
    let app = serve::offline_app(&options.data)?;
    let head = referral::journal_head(&app).await?;
    let cut = options.cut.unwrap_or(head);
    if cut > head {
        bail!("--cut {cut} lies beyond the journal, whose last fact has the number {head}");
    }
    let partner = options.partner.as_deref();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let (mut written, mut after) = (0, 0);
    while let Some(page) = referral::journal_page(&app, partner, after, cut).await? {
        written += page.lines.len();
        after = page.last;
        let lines = page.lines.iter().try_for_each(|line| writeln!(out, "{line}"));
        match lines.and_then(|()| out.flush()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            other => other.context("the journal cannot be written")?,
        }
    }
    if let (0, Some(partner)) = (written, partner) {
        bail!("no fact up to number {cut} leads to a partner `{partner}`; check the code");
    }
    eprintln!("{written} facts, up to number {cut}.");
    Ok(())
}

/// Never over a file that says something else: it may be the one that an operator edits.
fn write_terms(folder: &Path, text: &str) -> anyhow::Result<()> {
    let file = folder.join(TERMS_FILE);
    match fs::read_to_string(&file) {
        Ok(known) if known == text => return Ok(()),
        Ok(_) => bail!("{} exists and holds other terms; name another folder", file.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
    }
    fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
}
