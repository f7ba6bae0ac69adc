//! Referral links: where they lead, and the agency's list of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use url::Url;
use wire::{CreateLink, Link};

pub(crate) use utm::Utm;

use crate::auth::Partner;
use crate::error::{ApiError, Body, conflict, invalid};
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
            let given = [("utm_source", u.source), ("utm_medium", u.medium), ("utm_campaign", u.campaign)];
            let kept = given.into_iter().filter_map(|(k, v)| Some((k.to_string(), v?.trim().to_string())));
            Utm(kept.filter(|(_, v)| !v.is_empty()).collect())
        }
    }

    impl From<Utm> for wire::Utm {
        fn from(mut u: Utm) -> Self {
            wire::Utm {
                source: u.0.remove("utm_source"),
                medium: u.0.remove("utm_medium"),
                campaign: u.0.remove("utm_campaign"),
            }
        }
    }
}

/// The page that a link leads to: a path on the site and nowhere else, with `ref` and UTM.
///
/// # Errors
/// A path that is none, or that would leave the site.
pub(crate) fn destination(site: &Url, path: &str, utm: &Utm, code: &str) -> Result<Url, ApiError> {
    let refused = || {
        invalid(format!(
            "«{path}» is not a path on {}. It begins with one «/», for example /pricing.",
            site.host_str().unwrap_or("the site")
        ))
    };
    let decoded = path.to_ascii_lowercase();
    let encoded_tricks = ["%2f%2f", "%5c", "%00", "%0d", "%0a", "%09", "%40"].iter().any(|t| decoded.contains(t));
    let shape = path.starts_with('/')
        && path.len() <= 500
        && !path.contains("//")
        && !path.contains(['\\', '@'])
        && !path.chars().any(|c| c.is_control() || c.is_whitespace());
    if !shape || encoded_tricks {
        return Err(refused());
    }
    let mut url = site.join(path).map_err(|_| refused())?;
    if url.origin() != site.origin() || !url.username().is_empty() || url.password().is_some() {
        return Err(refused());
    }
    let kept: Vec<(String, String)> =
        url.query_pairs().filter(|(k, _)| k != "ref").map(|(k, v)| (k.into(), v.into())).collect();
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("ref", code).extend_pairs(utm.pairs());
    Ok(url)
}

/// What an agency shares: works before it is known here, since the code alone credits.
pub(crate) fn share_url(public: &Url, code: &str, link: Option<&str>) -> String {
    let mut url = public.clone();
    url.set_path(&format!("/r/{code}"));
    url.set_query(link.map(|l| format!("l={l}")).as_deref());
    url.into()
}

#[derive(Deserialize)]
struct Row {
    id: String,
    partner: String,
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
            url: share_url(public, &self.partner, Some(&self.id)),
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

async fn load(app: &App, partner: &Partner, id: Option<&str>) -> Result<Vec<Link>, ApiError> {
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT l.id, l.partner, l.campaign, l.path, l.utm, l.created_ms,
                (SELECT count(*) FROM click c WHERE c.link = l.id AND c.partner = l.partner AND c.kind = 'person') AS clicks,
                (SELECT count(*) FROM click c JOIN referral r ON r.click = c.id WHERE c.link = l.id AND r.partner = l.partner) AS signups
             FROM link l WHERE l.partner = ?1 AND (?2 IS NULL OR l.id = ?2) ORDER BY l.created_ms DESC, l.id LIMIT 1000",
            &partner.code,
            id,
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(|r| r.link(&app.config.public_url)).collect())
}

/// `GET /v1/links`.
pub(crate) async fn list(State(app): State<App>, partner: Partner) -> Result<Json<Vec<Link>>, ApiError> {
    load(&app, &partner, None).await.map(Json)
}

/// `POST /v1/links`: the id is the caller's, so the same call twice makes one link.
pub(crate) async fn create(
    State(app): State<App>,
    partner: Partner,
    Body(given): Body<CreateLink>,
) -> Result<(StatusCode, Json<Link>), ApiError> {
    let id = read_uuid(&given.id).ok_or_else(|| invalid("The link's id must be a UUID."))?;
    let campaign = given.campaign.trim();
    if campaign.chars().count() > CAMPAIGN_LENGTH {
        return Err(invalid(format!("A campaign name has at most {CAMPAIGN_LENGTH} characters.")));
    }
    let utm = Utm::from(given.utm);
    if let Some((name, _)) = utm.pairs().find(|(_, v)| v.chars().count() > UTM_LENGTH) {
        return Err(invalid(format!("{name} has at most {UTM_LENGTH} characters.")));
    }
    destination(&app.config.site, &given.path, &utm, &partner.code)?;
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
    let link = load(&app, &partner, Some(&id)).await?.pop();
    let status = if added.changes == 1 { StatusCode::CREATED } else { StatusCode::OK };
    link.map(|l| (status, Json(l))).ok_or_else(|| conflict("This id is taken. Make a new one and try again."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn site() -> Url {
        Url::parse("https://aikit.example/").unwrap()
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_site(path in "(/|//|\\\\|https:|javascript:|%2f|%5c|@|\\.\\.|[a-z]|\\PC){0,12}") {
            if let Ok(url) = destination(&site(), &path, &Utm::default(), "PARTNER_00000000") {
                prop_assert_eq!(url.origin(), site().origin(), "{}", path);
                prop_assert!(url.username().is_empty());
            }
        }
    }

    #[test]
    fn a_deep_path_keeps_its_query_and_gains_ours() {
        let utm =
            Utm::from(wire::Utm { source: Some("mail".into()), medium: None, campaign: Some("spring sale".into()) });
        let url = destination(&site(), "/pricing?plan=pro&ref=OTHER", &utm, "PARTNER_1").unwrap();
        assert_eq!(
            url.as_str(),
            "https://aikit.example/pricing?plan=pro&ref=PARTNER_1&utm_campaign=spring+sale&utm_source=mail"
        );
        for bad in ["//evil.example", "/\\evil.example", "https://evil.example", "/%2f%2fevil", "/a@b", "pricing", ""] {
            assert!(destination(&site(), bad, &Utm::default(), "P").is_err(), "{bad}");
        }
    }
}
