//! Referral links: what may be one, and where it leads. Pure, so that a link made without a network is the one that the API
//! would have made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;
use wire::CreateLink;

const CAMPAIGN_LENGTH: usize = 80;
const UTM_LENGTH: usize = 120;

/// AIKit's sites: the pages that a link may lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sites {
    /// A link's path is one of this site.
    pub site: Url,
    /// Further sites, which a link names by its whole address.
    pub more_sites: Vec<Url>,
}

/// UTM parameters as stored and passed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Utm(BTreeMap<String, String>);

const NAMES: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"];

impl Utm {
    /// Those that say something, by their names in a query.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Takes over the UTM parameters of a query.
    pub fn overlay(&mut self, query: &BTreeMap<String, String>) {
        for name in NAMES {
            if let Some(value) = query.get(name).filter(|v| !v.is_empty() && v.chars().count() <= UTM_LENGTH) {
                self.0.insert(name.into(), value.clone());
            }
        }
    }
}

impl From<wire::Utm> for Utm {
    fn from(u: wire::Utm) -> Self {
        let given = NAMES.into_iter().zip([u.source, u.medium, u.campaign, u.content, u.term]);
        let kept = given.filter_map(|(k, v)| Some((k.to_string(), v?.trim().to_string())));
        Utm(kept.filter(|(_, v)| !v.is_empty()).collect())
    }
}

impl From<Utm> for wire::Utm {
    fn from(mut u: Utm) -> Self {
        wire::Utm {
            source: u.0.remove("utm_source"),
            medium: u.0.remove("utm_medium"),
            campaign: u.0.remove("utm_campaign"),
            content: u.0.remove("utm_content"),
            term: u.0.remove("utm_term"),
        }
    }
}

/// A link that may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// UUID in its canonical form.
    pub id: String,
    /// Campaign name, trimmed.
    pub campaign: String,
    /// As it was given.
    pub path: String,
    /// Those that say something.
    pub utm: Utm,
}

impl NewLink {
    /// Reads what an agency asks for.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn read(given: CreateLink, sites: &Sites, code: &str) -> Result<Self, String> {
        let id = read_uuid(&given.id).ok_or("The link's id must be a UUID.")?;
        let campaign = read_campaign(&given.campaign)?.to_owned();
        let utm = Utm::from(given.utm);
        if let Some((name, _)) = utm.pairs().find(|(_, v)| v.chars().count() > UTM_LENGTH) {
            return Err(format!("{name} has at most {UTM_LENGTH} characters."));
        }
        destination(sites, &given.path, &utm, code)?;
        Ok(NewLink { id, campaign, path: given.path, utm })
    }
}

/// A campaign name, trimmed.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn read_campaign(given: &str) -> Result<&str, String> {
    let campaign = given.trim();
    if campaign.chars().count() > CAMPAIGN_LENGTH || campaign.chars().any(char::is_control) {
        return Err(format!("A campaign name is one line of at most {CAMPAIGN_LENGTH} characters."));
    }
    Ok(campaign)
}

/// A UUID in its canonical form, or nothing.
pub fn read_uuid(given: &str) -> Option<String> {
    let lower = given.to_ascii_lowercase();
    let shape = |(n, c): (usize, char)| if matches!(n, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() };
    (lower.len() == 36 && lower.chars().enumerate().all(shape)).then_some(lower)
}

/// The page that a link leads to: a path on the site, or the whole address of a page on another of AIKit's sites, and
/// nowhere else; with `ref` and UTM.
///
/// # Errors
/// A path that is none, or that would leave the sites.
pub fn destination(sites: &Sites, path: &str, utm: &Utm, code: &str) -> Result<Url, String> {
    let refused = || {
        format!(
            "«{}» is not a page on {}. Write a path that begins with one «/», for example /pricing.",
            path.chars().take(100).collect::<String>(),
            sites.site.host_str().unwrap_or("the site")
        )
    };
    let all = std::iter::once(&sites.site).chain(&sites.more_sites);
    let (site, rest) = all
        .into_iter()
        .find_map(|site| Some((site, path.strip_prefix(&site.origin().ascii_serialization())?)))
        .unwrap_or((&sites.site, path));
    if path.len() > 500 || !is_plain_path(rest) {
        return Err(refused());
    }
    let mut url = site.join(rest).map_err(|_| refused())?;
    if url.origin() != site.origin() || !url.username().is_empty() || url.password().is_some() {
        return Err(refused());
    }
    let kept: Vec<(String, String)> =
        url.query_pairs().filter(|(k, _)| k != "ref").map(|(k, v)| (k.into(), v.into())).collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("ref", code).extend_pairs(utm.pairs());
    Ok(url)
}

/// A path that no browser reads as anything else, however often it is decoded: one `/` at its beginning, no `//`, `\`, `@`,
/// white space or control characters.
fn is_plain_path(path: &str) -> bool {
    let mut text = path.to_owned();
    for _ in 0..4 {
        let plain = text.starts_with('/')
            && !text.contains("//")
            && !text.contains(['\\', '@', '\u{fffd}'])
            && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if !plain {
            return false;
        }
        let decoded = percent_decoded(&text);
        if decoded == text {
            return true;
        }
        text = decoded;
    }
    false
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|_| first == b'%').and_then(|h| std::str::from_utf8(h).ok());
        match hex.filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What an agency shares, by its code or its slug: works before it is known here, since the name alone credits.
pub fn share_url(public: &Url, name: &str, link: Option<&str>) -> String {
    let mut url = public.clone();
    url.set_path(&format!("/r/{name}"));
    url.set_query(link.map(|l| format!("l={l}")).as_deref());
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sites() -> Sites {
        let url = |text| Url::parse(text).unwrap();
        Sites { site: url("https://aikit.example/"), more_sites: vec![url("https://docs.aikit.example/")] }
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_site(path in "(https://docs\\.aikit\\.example)?(/|//|\\\\|https:|javascript:|%2f|%5c|%25|@|\\.\\.|[a-z]|\\PC){0,12}") {
            if let Ok(url) = destination(&sites(), &path, &Utm::default(), "PARTNER_00000000") {
                let ours = ["https://aikit.example/", "https://docs.aikit.example/"];
                prop_assert!(ours.iter().any(|site| url.as_str().starts_with(site)), "{} leads to {}", path, url);
                prop_assert!(url.username().is_empty());
            }
        }
    }

    #[test]
    fn a_deep_path_keeps_its_query_and_gains_ours() {
        let utm = Utm::from(wire::Utm {
            source: Some("mail".into()),
            campaign: Some("spring sale".into()),
            term: Some("a&b".into()),
            ..wire::Utm::default()
        });
        let url = destination(&sites(), "/pricing?plan=pro&ref=OTHER", &utm, "PARTNER_1").unwrap();
        assert_eq!(
            url.as_str(),
            "https://aikit.example/pricing?plan=pro&ref=PARTNER_1&utm_campaign=spring+sale&utm_source=mail&utm_term=a%26b"
        );
        let docs = destination(&sites(), "https://docs.aikit.example/start", &Utm::default(), "PARTNER_1").unwrap();
        assert_eq!(docs.as_str(), "https://docs.aikit.example/start?ref=PARTNER_1");
        for bad in ["//evil.example", "/\\evil.example", "https://evil.example", "/%2f%2fevil", "/a@b", "pricing", ""] {
            assert!(destination(&sites(), bad, &Utm::default(), "P").is_err(), "{bad}");
        }
    }
}
