//! `audit`: the chain of decisions, walked and compared with a head that was kept elsewhere; and that head, signed.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, anyhow, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Subcommand;
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey};
use referral::ports::Host as _;
use wire::AuditHead;

use crate::host::SystemHost;
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
    /// The same, and sign the head, so that whoever has the public key can tell that it came from here.
    Sign {
        /// Folder of the database.
        #[arg(long)]
        data: PathBuf,
        /// Private key for Ed25519 (PEM, PKCS #8).
        #[arg(long)]
        key: PathBuf,
        /// The file to make; its signature comes beside it, as .sig. Neither must be there.
        #[arg(long)]
        to: PathBuf,
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
    match command {
        Audit::Verify { data, head } => verify(&data, head.as_ref()).await.map(drop),
        Audit::Sign { data, key, to } => sign(&data, &key, &to).await,
    }
}

async fn verify(data: &Path, head: Option<&Kept>) -> anyhow::Result<AuditHead> {
    let app = serve::existing_app(data)?;
    let end = referral::verify_audit(&app, head.map(|k| &k.0)).await?;
    eprintln!("{} entries, none of them changed.", end.n);
    if end.n > 0 {
        println!("{}:{}", end.n, end.hash);
    }
    Ok(end)
}

/// What is signed. Each line is a word and what it says; a later program may add lines behind these.
fn statement(head: &AuditHead, now: DateTime<Utc>) -> String {
    let now = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("what The end of the audit chain of AIKit Partners\nhead {}:{}\nsigned {now}\n", head.n, head.hash)
}

/// A chain is walked before its end is signed: nobody vouches for one that is broken.
async fn sign(data: &Path, key: &Path, to: &Path) -> anyhow::Result<()> {
    let pem = std::fs::read_to_string(key).with_context(|| format!("the key {} cannot be read", key.display()))?;
    let pair = SigningKey::from_pkcs8_pem(&pem).map_err(|_| {
        anyhow!(
            "{} is not a private key for Ed25519 in PEM: make one with `openssl genpkey -algorithm ed25519 -out {0}`",
            key.display()
        )
    })?;
    let signature = to.with_added_extension("sig");
    for file in [to, &signature] {
        ensure!(!file.exists(), "{} is there already; name another file", file.display());
    }
    let head = verify(data, None).await?;
    ensure!(head.n > 0, "the chain has no entry yet: there is nothing to sign");
    let text = statement(&head, SystemHost::new().now());
    // The signature first: a statement never lies there without one.
    let write = |file: &Path, bytes: &[u8]| {
        std::fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
    };
    write(&signature, &pair.sign(text.as_bytes()).to_bytes())?;
    write(to, text.as_bytes())?;
    eprintln!("Signed in {}, with the signature in {}.", to.display(), signature.display());
    Ok(())
}
