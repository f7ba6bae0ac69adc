//! Where this host has the operator's configuration from: files.

use std::path::Path;

use anyhow::Context as _;
pub(crate) use referral::settings::{File, Limits, build, is_loopback};

/// Reads the file, if there is one, and the terms that it names.
pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<File> {
    let Some(path) = path else { return Ok(File::default()) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
    let mut file: File =
        toml::from_str(&text).with_context(|| format!("the configuration {} cannot be used", path.display()))?;
    if let Some(terms) = &file.terms {
        let text =
            std::fs::read_to_string(terms).with_context(|| format!("the terms {} cannot be read", terms.display()))?;
        file.terms_text = Some(text);
    }
    Ok(file)
}
