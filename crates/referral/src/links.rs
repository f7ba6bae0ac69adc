//! Referral links: where they lead, and the agency's list of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use url::Url;
use wire::{CreateLink, Link, UpdateLink};

pub(crate) use utm::Utm;

use crate::auth::Partner;
use crate::error::{ApiError, Body, Params, Segment, conflict, invalid, not_found};
use crate::ports::Config;
use crate::tokens::{at, ms, read_uuid};
use crate::{App, limits, sql};

const CAMPAIGN_LENGTH: usize = 80;
const UTM_LENGTH: usize = 120;

mod utm {
    use super::*;

    /// UTM parameters as stored and passed on.
    #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, Deserialize)]
    pub(crate) struct Utm(BTreeMap<String, String>);

    const NAMES: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term"];

    impl Utm {
        pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
            self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
        }

        /// Takes over the UTM parameters of a query.
        pub(crate) fn overlay(&mut self, query: &BTreeMap<String, String>) {
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
}

/// The page that a link leads to: a path on the site, or the whole address of a page on another of AIKit's sites, and
/// nowhere else; with `ref` and UTM.
///
/// # Errors
/// A path that is none, or that would leave the sites.
pub(crate) fn destination(config: &Config, path: &str, utm: &Utm, code: &str) -> Result<Url, ApiError> {
    let refused = || {
        invalid(format!(
            "«{}» is not a page on {}. Write a path that begins with one «/», for example /pricing.",
            path.chars().take(100).collect::<String>(),
            config.site.host_str().unwrap_or("the site")
        ))
    };
    let sites = std::iter::once(&config.site).chain(&config.more_sites);
    let (site, rest) = sites
        .clone()
        .find_map(|site| Some((site, path.strip_prefix(&site.origin().ascii_serialization())?)))
        .unwrap_or((&config.site, path));
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
pub(crate) fn share_url(public: &Url, name: &str, link: Option<&str>) -> String {
    let mut url = public.clone();
    url.set_path(&format!("/r/{name}"));
    url.set_query(link.map(|l| format!("l={l}")).as_deref());
    url.into()
}

#[derive(Deserialize)]
struct Row {
    id: String,
    partner: String,
    slug: Option<String>,
    archived_ms: Option<i64>,
    campaign: String,
    path: String,
    utm: String,
    created_ms: i64,
    clicks: u32,
    signups: u32,
}

impl Row {
    fn link(self, public: &Url) -> Link {
        let utm: Utm = serde_json::from_str(&self.utm).unwrap_or_default();
        Link {
            url: share_url(public, self.slug.as_ref().unwrap_or(&self.partner), Some(&self.id)),
            archived: self.archived_ms.is_some(),
            id: self.id,
            campaign: self.campaign,
            path: self.path,
            utm: utm.into(),
            created_at: at(self.created_ms),
            clicks: self.clicks,
            signups: self.signups,
        }
    }
}

async fn load(app: &App, partner: &Partner, id: Option<&str>, archived: bool) -> Result<Vec<Link>, ApiError> {
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT l.id, l.partner, l.campaign, l.path, l.utm, l.created_ms, l.archived_ms,
                (SELECT s.slug FROM partner_slug s WHERE s.partner = l.partner AND s.ended_ms IS NULL) AS slug,
                (SELECT count(*) FROM click c WHERE c.link = l.id AND c.partner = l.partner AND c.kind = 'person') AS clicks,
                (SELECT count(*) FROM click c JOIN referral r ON r.click = c.id WHERE c.link = l.id AND r.partner = l.partner) AS signups
             FROM link l WHERE l.partner = ?1 AND (l.id = ?2 OR (?2 IS NULL AND (l.archived_ms IS NOT NULL) = ?3))
             ORDER BY l.created_ms DESC, l.id LIMIT 1000",
            &partner.code,
            id,
            archived,
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(|r| r.link(&app.config.public_url)).collect())
}

/// Which links.
#[derive(Deserialize, utoipa::IntoParams)]
pub(crate) struct Asked {
    #[serde(default)]
    archived: bool,
}

/// `GET /v1/links`; with `?archived=true` those that were put out of the list.
pub(crate) async fn list(
    State(app): State<App>,
    partner: Partner,
    Params(asked): Params<Asked>,
) -> Result<Json<Vec<Link>>, ApiError> {
    load(&app, &partner, None, asked.archived).await.map(Json)
}

fn read_campaign(given: &str) -> Result<&str, ApiError> {
    let campaign = given.trim();
    if campaign.chars().count() > CAMPAIGN_LENGTH || campaign.chars().any(char::is_control) {
        return Err(invalid(format!("A campaign name is one line of at most {CAMPAIGN_LENGTH} characters.")));
    }
    Ok(campaign)
}

/// `POST /v1/links`: the id is the caller's, so the same call twice makes one link.
pub(crate) async fn create(
    State(app): State<App>,
    partner: Partner,
    Body(given): Body<CreateLink>,
) -> Result<(StatusCode, Json<Link>), ApiError> {
    let id = read_uuid(&given.id).ok_or_else(|| invalid("The link's id must be a UUID."))?;
    let campaign = read_campaign(&given.campaign)?;
    let utm = Utm::from(given.utm);
    if let Some((name, _)) = utm.pairs().find(|(_, v)| v.chars().count() > UTM_LENGTH) {
        return Err(invalid(format!("{name} has at most {UTM_LENGTH} characters.")));
    }
    destination(&app.config, &given.path, &utm, &partner.code)?;
    limits::LINKS_BY_PARTNER.check(&app, &partner.code).await?;
    let added = app
        .db
        .query(sql!(
            "INSERT INTO link (id, partner, campaign, path, utm, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
            &id,
            &partner.code,
            campaign,
            &given.path,
            serde_json::to_string(&utm).unwrap_or_else(|_| "{}".into()),
            ms(app.host.now()),
        ))
        .await?;
    let link = load(&app, &partner, Some(&id), false).await?.pop();
    let status = if added.changes == 1 { StatusCode::CREATED } else { StatusCode::OK };
    link.map(|l| (status, Json(l))).ok_or_else(|| conflict("This id is taken. Make a new one and try again."))
}

/// `POST /v1/links/{link}`: rename or archive. What was shared goes on working.
pub(crate) async fn update(
    State(app): State<App>,
    partner: Partner,
    Segment(link): Segment,
    Body(given): Body<UpdateLink>,
) -> Result<Json<Link>, ApiError> {
    let campaign = given.campaign.as_deref().map(read_campaign).transpose()?;
    let id = read_uuid(&link).unwrap_or_default();
    app.db
        .query(sql!(
            "UPDATE link SET campaign = coalesce(?3, campaign),
                archived_ms = CASE WHEN ?4 IS NULL THEN archived_ms WHEN ?4 = 0 THEN NULL ELSE coalesce(archived_ms, CAST(?5 AS INTEGER)) END
             WHERE id = ?1 AND partner = ?2",
            &id,
            &partner.code,
            campaign,
            given.archived,
            ms(app.host.now()),
        ))
        .await?;
    let link = load(&app, &partner, Some(&id), false).await?.pop();
    link.map(Json).ok_or_else(|| not_found("There is no such link."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn config() -> Config {
        let mut config = crate::ports::tests::config();
        config.more_sites = vec![Url::parse("https://docs.aikit.example/").unwrap()];
        config
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_site(path in "(https://docs\\.aikit\\.example)?(/|//|\\\\|https:|javascript:|%2f|%5c|%25|@|\\.\\.|[a-z]|\\PC){0,12}") {
            if let Ok(url) = destination(&config(), &path, &Utm::default(), "PARTNER_00000000") {
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
        let url = destination(&config(), "/pricing?plan=pro&ref=OTHER", &utm, "PARTNER_1").unwrap();
        assert_eq!(
            url.as_str(),
            "https://aikit.example/pricing?plan=pro&ref=PARTNER_1&utm_campaign=spring+sale&utm_source=mail&utm_term=a%26b"
        );
        let docs = destination(&config(), "https://docs.aikit.example/start", &Utm::default(), "PARTNER_1").unwrap();
        assert_eq!(docs.as_str(), "https://docs.aikit.example/start?ref=PARTNER_1");
        for bad in ["//evil.example", "/\\evil.example", "https://evil.example", "/%2f%2fevil", "/a@b", "pricing", ""] {
            assert!(destination(&config(), bad, &Utm::default(), "P").is_err(), "{bad}");
        }
    }
}
