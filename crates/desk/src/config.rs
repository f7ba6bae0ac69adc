//! Where the API is and where files go.

use std::path::PathBuf;

use url::{Host, Url};

/// Address of the API when `AIKIT_API` says nothing: the embedded server on this computer.
pub const DEFAULT_API: &str = "http://127.0.0.1:8787";

/// Settings of one run of the app.
#[derive(Clone, Debug)]
pub struct Config {
    /// Origin of the API.
    pub(crate) api: Url,
    /// Folder of the app's files.
    pub(crate) data: PathBuf,
    /// A stand-in for Stripe on this computer, where payouts are sent to it and not to Stripe.
    pub(crate) stripe: Option<String>,
}

/// Why the app cannot start, for the person at the computer.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address of the API cannot be used.
    #[error("AIKIT_API is `{given}`, which {problem}. Give an address such as https://partners.example.com.")]
    Address {
        /// What was given.
        given: String,
        /// What is wrong with it, to follow "which".
        problem: &'static str,
    },
    /// Another window has the data folder.
    #[error("AIKit Partners is already open with the data in {}. Use that window, or close it first.", .0.display())]
    AlreadyOpen(PathBuf),
    /// A file or folder cannot be used.
    #[error("AIKit Partners cannot use {}: {problem}. Check the folder's rights and the free space.", .path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// What the system or the database said.
        problem: String,
    },
    /// The network client cannot be made.
    #[error("AIKit Partners cannot set up its network client: {0}.")]
    Network(String),
}

impl Config {
    /// Settings with the API at `api` (or [`DEFAULT_API`]) and files in the folder `data`, which is made when needed.
    ///
    /// The address is an origin without a path: `https`, or `http` on this very computer.
    pub fn new(api: Option<&str>, data: PathBuf) -> Result<Self, StartError> {
        let given = api.unwrap_or(DEFAULT_API).trim();
        let refuse = |problem| StartError::Address { given: without_password(given), problem };
        let url = Url::parse(given).map_err(|_| refuse("is not an address"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("names a user or a password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("has more than scheme, host and port"));
        }
        match url.scheme() {
            "https" => Ok(Self { api: url, data, stripe: None }),
            "http" if is_loopback(&url) => Ok(Self { api: url, data, stripe: None }),
            "http" => Err(refuse("would send a sign-in over the network unencrypted; it must begin with https")),
            _ => Err(refuse("is neither https nor http")),
        }
    }

    /// Sends payouts to a stand-in for Stripe on this computer, with test keys only.
    #[must_use]
    pub fn with_stripe(self, stripe: Option<String>) -> Self {
        Self { stripe, ..self }
    }

    /// The address as text, without a slash at its end.
    pub(crate) fn origin(&self) -> String {
        self.api.as_str().trim_end_matches('/').to_owned()
    }
}

/// The address leads to this very computer.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// An address as it may be shown.
fn without_password(given: &str) -> String {
    given.rsplit_once('@').map_or_else(|| given.to_owned(), |(_, rest)| format!("…@{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_loopback_and_nothing_more() {
        for good in ["https://partners.example.com", "http://127.0.0.1:8787/", "http://[::1]:1", "http://localhost:80"]
        {
            assert!(Config::new(Some(good), PathBuf::new()).is_ok(), "{good}");
        }
        for bad in [
            "partners.example.com",
            "http://partners.example.com",
            "http://127.0.0.1.example.com",
            "https://a.example/api",
            "https://a.example?x=1",
            "https://me:secret@a.example",
            "ftp://127.0.0.1",
            "",
        ] {
            let error = Config::new(Some(bad), PathBuf::new()).err().map(|e| e.to_string());
            let error = error.unwrap_or_else(|| panic!("{bad} was accepted"));
            assert!(error.contains("AIKIT_API") && !error.contains("secret"), "{error}");
        }
    }
}
