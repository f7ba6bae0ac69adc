//! `export` and `import`: the whole database as text, for another machine or for D1, and back, compared table by table.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use sqlite::{DumpError, Table};

use crate::backup::{beside, into_new_folder, settle};

/// Options of `export`.
#[derive(Args)]
pub(crate) struct Export {
    /// Folder of the database, which may be in use.
    #[arg(long)]
    data: PathBuf,
    /// The file of SQL to make. It must not be there. Without it only what each table holds is printed.
    #[arg(long)]
    to: Option<PathBuf>,
}

/// Options of `import`.
#[derive(Args)]
pub(crate) struct Import {
    /// A file that `export` made, or `wrangler d1 export`.
    #[arg(long)]
    from: PathBuf,
    /// Folder of the database to be made. It must hold none.
    #[arg(long)]
    data: PathBuf,
}

/// A line for each table: the same lines are the same tables.
fn show(tables: &[Table]) {
    for table in tables {
        println!("{:<22} {:>9}  {}", table.name, table.rows, table.sha256);
    }
}

pub(crate) fn export(options: &Export) -> anyhow::Result<()> {
    let from = options.data.join("referral.db");
    ensure!(from.is_file(), "there is no database {}; check --data", from.display());
    let Some(to) = &options.to else {
        show(&sqlite::digests(&from)?);
        return Ok(());
    };
    ensure!(!to.exists(), "{} is there already; name another file", to.display());
    let partial = beside(to, ".partial");
    std::fs::remove_file(&partial).ok();
    let mut file = File::options();
    file.write(true).create_new(true);
    // It holds addresses of people.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    let file = file.open(&partial).with_context(|| format!("{} cannot be made", partial.display()))?;
    let mut writer = BufWriter::new(file);
    let tables = sqlite::export(&from, &mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()?;
    settle(&partial, to)?;
    show(&tables);
    eprintln!("{} holds the whole database. It is as secret as the database.", to.display());
    Ok(())
}

pub(crate) async fn import(options: &Import) -> anyhow::Result<()> {
    let file = || File::open(&options.from).with_context(|| format!("{} cannot be read", options.from.display()));
    let (mut reader, mut tables) = (BufReader::new(file()?), Vec::new());
    let is_ours = reader.fill_buf().is_ok_and(|begin| begin.starts_with(b"-- AIKit"));
    let epoch = into_new_folder(&options.data, |partial| {
        let made = if is_ours { sqlite::import(&mut reader, partial) } else { from_d1(&mut reader, partial) };
        tables = made.with_context(|| options.from.display().to_string())?;
        Ok(())
    })
    .await?;
    show(&tables);
    eprintln!(
        "{} is made, as {epoch}, and holds what the file says. Everybody must sign in again, and payouts are locked:\n\
         see that no other server writes to the old database, then an admin and one of finance unlock them.",
        options.data.join("referral.db").display()
    );
    Ok(())
}

/// Makes a database of what D1 wrote, by way of an export of our own, which is checked. Both stand beside it meanwhile.
fn from_d1(from: &mut dyn Read, into: &Path) -> Result<Vec<Table>, DumpError> {
    let (scratch, ours) = (beside(into, ".d1"), beside(into, ".sql"));
    let mut text = String::new();
    from.read_to_string(&mut text)?;
    sqlite::from_d1(&text, &scratch)?;
    let mut writer = BufWriter::new(File::create(&ours)?);
    sqlite::export(&scratch, &mut writer)?;
    writer.flush()?;
    sqlite::import(&mut BufReader::new(File::open(&ours)?), into)
}
