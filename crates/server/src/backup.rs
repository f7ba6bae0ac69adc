//! `backup` and `restore`: the whole database as one file, taken while it is in use; and back, with payouts locked.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use crate::serve;

/// Options of `backup`.
#[derive(Args)]
pub(crate) struct Backup {
    /// Folder of the database, which may be in use.
    #[arg(long)]
    data: PathBuf,
    /// The file to make. It must not be there.
    #[arg(long)]
    to: PathBuf,
}

/// Options of `restore`.
#[derive(Args)]
pub(crate) struct Restore {
    /// A file that `backup` made.
    #[arg(long)]
    from: PathBuf,
    /// Folder of the database to be made. It must hold none.
    #[arg(long)]
    data: PathBuf,
}

/// A name beside `file`, so that renaming is one step and a half-made file is never taken for a whole one.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    file.with_file_name(name)
}

/// Renames without writing over anything, and makes the new name last.
pub(crate) fn settle(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::hard_link(from, to).with_context(|| format!("{} cannot be made", to.display()))?;
    std::fs::remove_file(from).with_context(|| format!("{} cannot be removed", from.display()))?;
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)
        .and_then(|f| f.sync_all())
        .with_context(|| format!("{} was not settled", folder.display()))
}

fn sound(path: &Path) -> anyhow::Result<()> {
    let checked = sqlite::check(path)?;
    if let Some(first) = checked.damage.first() {
        bail!("{} is damaged: {first}", path.display());
    }
    Ok(())
}

pub(crate) fn backup(options: &Backup) -> anyhow::Result<()> {
    let from = options.data.join("referral.db");
    ensure!(from.is_file(), "there is no database {}; check --data", from.display());
    ensure!(!options.to.exists(), "{} is there already; name another file", options.to.display());
    let partial = beside(&options.to, ".partial");
    std::fs::remove_file(&partial).ok();
    sqlite::backup(&from, &partial)?;
    sound(&partial).context("the copy was not kept")?;
    settle(&partial, &options.to)?;
    let bytes = std::fs::metadata(&options.to)?.len();
    println!("{} holds the whole database, {} kB, checked.", options.to.display(), bytes.div_ceil(1024));
    Ok(())
}

pub(crate) async fn restore(options: &Restore) -> anyhow::Result<()> {
    sound(&options.from)?;
    let epoch = into_new_folder(&options.data, |partial| Ok(sqlite::backup(&options.from, partial)?)).await?;
    println!(
        "{} is restored, as {epoch}. Everybody must sign in again, and payouts are locked:\n\
         compare it with Stripe, then an admin and one of finance unlock them (aikit-partners-server payouts unlock).",
        options.data.join("referral.db").display()
    );
    Ok(())
}

/// Makes the database of a folder that has none, and marks it as one that was restored. Answers its epoch.
///
/// It is made in a folder of its own, so that what breaks off leaves nothing that a server would open.
pub(crate) async fn into_new_folder(
    data: &Path,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let to = data.join("referral.db");
    for there in ["referral.db", "referral.db-wal"].map(|name| data.join(name)) {
        ensure!(!there.exists(), "{} is there: stop the server and move it away first", there.display());
    }
    std::fs::create_dir_all(data).with_context(|| format!("the folder {} cannot be made", data.display()))?;
    let scratch = data.join("restoring");
    std::fs::remove_dir_all(&scratch).ok();
    std::fs::create_dir(&scratch).with_context(|| format!("{} cannot be made", scratch.display()))?;
    let partial = scratch.join("referral.db");
    let made = make(&partial);
    if made.is_err() {
        std::fs::remove_dir_all(&scratch).ok();
    }
    made?;
    let epoch = {
        let app = serve::offline_app(&scratch)?;
        referral::begin_restored(&app).await.context("the restored database cannot be marked")?
    };
    // Closing it has moved everything into the one file that is renamed.
    ensure!(!scratch.join("referral.db-wal").exists(), "{} was not closed", partial.display());
    sound(&partial)?;
    std::fs::File::open(&partial)?.sync_all()?;
    settle(&partial, &to)?;
    std::fs::remove_dir_all(&scratch).ok();
    Ok(epoch)
}
