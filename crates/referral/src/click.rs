//! `GET /r/{code}` and `GET /pixel.gif`: a click is recorded, the cookie is set, the visitor goes on.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::Deserialize;
use url::Url;

use crate::attribution::{WINDOW, known_partner};
use crate::db::Stmt;
use crate::error::ApiError;
use crate::links::{Utm, destination};
use crate::ports::Config;
use crate::tokens::{ms, read_uuid, uuid};
use crate::{App, sql};

/// A transparent GIF of one pixel.
const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\0\0\0!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

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

fn record(id: &str, partner: &str, link: Option<String>, at_ms: i64, kind: &str, given: &str) -> Stmt {
    let given: String = given.chars().take(80).collect();
    sql!(
        "INSERT INTO click (id, partner, link, at_ms, kind, given) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        id,
        partner,
        link,
        at_ms,
        kind,
        given,
    )
}

/// Redirects to the link's page, or the site's home page; an unknown code gets no cookie.
pub(crate) async fn follow(
    State(app): State<App>,
    Path(given): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    #[derive(Deserialize)]
    struct LinkRow {
        path: String,
        utm: String,
    }
    let Some(partner) = known_partner(&app, Some(&given)).await? else {
        return Ok(go(&app.config.site, AppendHeaders(Vec::new())));
    };
    let link = query.get("l").and_then(|l| read_uuid(l));
    let known: Option<LinkRow> = match &link {
        None => None,
        Some(id) => app
            .db
            .query(sql!("SELECT path, utm FROM link WHERE id = ?1 AND partner = ?2", id, &partner))
            .await?
            .first()?,
    };
    let path = query.get("to").or(known.as_ref().map(|k| &k.path)).map_or("/", String::as_str);
    let mut utm: Utm = known.as_ref().and_then(|k| serde_json::from_str(&k.utm).ok()).unwrap_or_default();
    utm.overlay(&query);
    let target = destination(&app.config.site, path, &utm, &partner).unwrap_or_else(|_| app.config.site.clone());
    let click = uuid(&*app.host);
    app.db.query(record(&click, &partner, link, ms(app.host.now()), kind(&method, &headers), &given)).await?;
    Ok(go(&target, cookies(&app.config, &partner, &click)))
}

fn go(target: &Url, cookies: Cookies) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, target.as_str())], cookies).into_response()
}

/// `?ref=CODE` on any page of the site: the same click, the same cookie, an image that nobody sees.
pub(crate) async fn pixel(
    State(app): State<App>,
    Query(query): Query<BTreeMap<String, String>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let given = query.get("ref").map_or("", String::as_str);
    let mut set = AppendHeaders(Vec::new());
    if let Some(partner) = known_partner(&app, Some(given)).await? {
        let click = uuid(&*app.host);
        app.db.query(record(&click, &partner, None, ms(app.host.now()), kind(&method, &headers), given)).await?;
        set = cookies(&app.config, &partner, &click);
    }
    let never_kept = [(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store, max-age=0")];
    Ok((never_kept, set, PIXEL).into_response())
}
