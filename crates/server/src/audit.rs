//! `audit`: the chain of decisions, walked and compared with a head that was kept elsewhere.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;
use wire::AuditHead;

use crate::serve;

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Recompute every hash; ends with 2 and names the first broken entry. Prints the head, to be kept elsewhere.
    Verify {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// A head that was printed before, `N:HASH`: the chain must still lead through it.
        #[arg(long, value_name = "N:HASH")]
        head: Option<Kept>,
    },
}

#[derive(Clone)]
pub(crate) struct Kept(AuditHead);

impl FromStr for Kept {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (n, hash) = text.trim().split_once(':').ok_or("write it as N:HASH")?;
        let n = n.parse().ok().filter(|n| *n > 0).ok_or("N must be the number of an entry")?;
        let whole = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if whole { Ok(Kept(AuditHead { n, hash: hash.to_lowercase() })) } else { Err("HASH must have 64 hex digits") }
    }
}

pub(crate) async fn run(command: Audit) -> anyhow::Result<()> {
    let Audit::Verify { data, head } = command;
    let app = serve::existing_app(&data)?;
    let end = referral::verify_audit(&app, head.as_ref().map(|k| &k.0)).await?;
    eprintln!("{} entries, none of them changed.", end.n);
    if end.n > 0 {
        println!("{}:{}", end.n, end.hash);
    }
    Ok(())
}
