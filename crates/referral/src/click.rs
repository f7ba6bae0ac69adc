//! `GET /r/{code}` and `GET /pixel.gif`: a click is recorded, the cookie is set, the visitor goes on.

use std::collections::BTreeMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use chrono::TimeDelta;
use serde::Deserialize;
use url::Url;

use crate::attribution::WINDOW;
use crate::auth::session::cookie;
use crate::db::Stmt;
use crate::error::ApiError;
use crate::ports::Config;
use crate::signup::known_partner;
use crate::tokens::{ms, read_partner_code, read_uuid, uuid};
use crate::{App, sql};
use partner::{Utm, destination};

/// A transparent GIF of one pixel.
const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// Within this time a page that loads the pixel belongs to the click that led to it.
const SAME_VISIT: TimeDelta = TimeDelta::minutes(30);

/// Who asks: only people count.
fn kind(method: &Method, headers: &HeaderMap) -> &'static str {
    let text =
        |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let purpose = text(HeaderName::from_static("purpose"))
        + &text(HeaderName::from_static("sec-purpose"))
        + &text(HeaderName::from_static("x-purpose"));
    let agent = text(header::USER_AGENT);
    const BOTS: [&str; 14] = [
        "bot",
        "crawl",
        "spider",
        "slurp",
        "preview",
        "facebookexternalhit",
        "whatsapp",
        "monitor",
        "curl/",
        "wget/",
        "python-requests",
        "headlesschrome",
        "lighthouse",
        "scanner",
    ];
    if purpose.contains("prefetch") || purpose.contains("preview") {
        "prefetch"
    } else if method == Method::HEAD || agent.is_empty() || BOTS.iter().any(|b| agent.contains(b)) {
        "bot"
    } else {
        "person"
    }
}

type Cookies = AppendHeaders<Vec<(HeaderName, HeaderValue)>>;

fn cookies(config: &Config, code: &str, click: &str) -> Cookies {
    let domain = config.cookie_domain.as_ref().map(|d| format!("; Domain={d}")).unwrap_or_default();
    let secure = if config.secure_cookies() { "; Secure" } else { "" };
    let http_only = if config.cookie_http_only { "; HttpOnly" } else { "" };
    let line = |name: &str, value: &str| {
        let text = format!(
            "{name}={value}; Max-Age={}; Path=/; SameSite=Lax{secure}{domain}{http_only}",
            WINDOW.num_seconds()
        );
        HeaderValue::from_str(&text).ok().map(|v| (header::SET_COOKIE, v))
    };
    AppendHeaders([line("ref", code), line("ref_click", click)].into_iter().flatten().collect())
}

/// A click before it has an id.
struct Click<'a> {
    partner: &'a str,
    link: Option<String>,
    kind: &'static str,
    /// The code as it was given.
    given: &'a str,
    /// The click before it in the same browser.
    previous: Option<String>,
}

impl Click<'_> {
    fn insert(&self, id: &str, at_ms: i64) -> Stmt {
        let given: String = self.given.chars().take(80).collect();
        sql!(
            "INSERT INTO click (id, partner, link, at_ms, kind, given, previous) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            id,
            self.partner,
            self.link.as_deref(),
            at_ms,
            self.kind,
            given,
            self.previous.as_deref(),
        )
    }

    /// On disk within a second of the answer. A program gets no cookie: what it fetches must not speak for the person behind it.
    async fn record(self, app: &App) -> Result<Cookies, ApiError> {
        let id = uuid(&*app.host);
        app.db.soon(self.insert(&id, ms(app.host.now()))).await?;
        if read_partner_code(self.given).as_deref() == Some(self.partner) && self.given != self.partner {
            tracing::info!(partner = self.partner, given = self.given, "a code was mended");
        }
        Ok(if self.kind == "person" { cookies(&app.config, self.partner, &id) } else { AppendHeaders(Vec::new()) })
    }
}

fn previous(headers: &HeaderMap) -> Option<String> {
    cookie(headers, "ref_click").and_then(read_uuid)
}

#[derive(Deserialize)]
struct LinkRow {
    id: String,
    partner: String,
    path: String,
    utm: String,
}

/// The link that an address names: `/r/{code}?l={link}`, where it is that partner's, or `/r/{link}` by itself.
async fn link_of(app: &App, id: &str, partner: Option<&str>) -> Result<Option<LinkRow>, ApiError> {
    let query =
        sql!("SELECT id, partner, path, utm FROM link WHERE id = ?1 AND (?2 IS NULL OR partner = ?2)", id, partner,);
    Ok(app.db.glance(query).await?.first()?)
}

/// The query of an address that leads here: `l` (a link), `to` (a path), `ref` (a code) and `utm_*`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Asked(BTreeMap<String, String>);

/// Redirects to the link's page, or the site's home page; an unknown code gets no cookie.
pub(crate) async fn follow(
    State(app): State<App>,
    given: Result<Path<String>, PathRejection>,
    Query(Asked(query)): Query<Asked>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let given = given.map(|Path(given)| given).unwrap_or_default();
    let by_itself = read_uuid(given.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()));
    let (partner, link, known) = match by_itself {
        Some(id) => match link_of(&app, &id, None).await? {
            Some(known) => (known.partner.clone(), Some(known.id.clone()), Some(known)),
            None => return Ok(go(&app.config.site, AppendHeaders(Vec::new()))),
        },
        None => {
            let Some(partner) = known_partner(&app, Some(&given)).await? else {
                return Ok(go(&app.config.site, AppendHeaders(Vec::new())));
            };
            // A link that is not known yet keeps its id: it is joined to its clicks when it arrives.
            let link = query.get("l").and_then(|l| read_uuid(l));
            let known = match &link {
                Some(id) => link_of(&app, id, Some(&partner)).await?,
                None => None,
            };
            (partner, link, known)
        }
    };
    let path = query.get("to").or(known.as_ref().map(|k| &k.path)).map_or("/", String::as_str);
    let mut utm: Utm = known.as_ref().and_then(|k| serde_json::from_str(&k.utm).ok()).unwrap_or_default();
    utm.overlay(&query);
    let target = destination(&app.config.sites(), path, &utm, &partner).unwrap_or_else(|_| app.config.site.clone());
    let click =
        Click { partner: &partner, link, kind: kind(&method, &headers), given: &given, previous: previous(&headers) };
    Ok(go(&target, click.record(&app).await?))
}

fn go(target: &Url, cookies: Cookies) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, target.as_str())], cookies).into_response()
}

/// `?ref=CODE` on any page of the site: the same click, the same cookie, an image that nobody sees.
pub(crate) async fn pixel(
    State(app): State<App>,
    Query(Asked(query)): Query<Asked>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let given = query.get("ref").map_or("", String::as_str);
    let mut set = AppendHeaders(Vec::new());
    if let Some(partner) = known_partner(&app, Some(given)).await? {
        let previous = previous(&headers);
        // The page that a link leads to carries its `ref`: that is the same click, and it knows its link.
        if !has_just_clicked(&app, &partner, previous.as_deref()).await? {
            let kind = kind(&method, &headers);
            set = Click { partner: &partner, link: None, kind, given, previous }.record(&app).await?;
        }
    }
    let never_kept = [(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store, max-age=0")];
    Ok((never_kept, set, PIXEL).into_response())
}

async fn has_just_clicked(app: &App, partner: &str, click: Option<&str>) -> Result<bool, ApiError> {
    let Some(click) = click else { return Ok(false) };
    let rows = app
        .db
        .query(sql!(
            "SELECT 1 AS found FROM click WHERE id = ?1 AND partner = ?2 AND at_ms >= ?3",
            click,
            partner,
            ms(app.host.now() - SAME_VISIT),
        ))
        .await?;
    Ok(rows.first::<serde_json::Value>()?.is_some())
}
