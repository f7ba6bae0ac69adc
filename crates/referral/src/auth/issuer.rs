//! The issuer over the network: its description of itself, its keys, and the exchange of a code for an ID token.
//!
//! What it publishes is kept in the database, so that a host without memory of its own asks no more often than another.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderName, HeaderValue, Method};
use openidconnect::core::{CoreClient, CoreClientAuthMethod, CoreJsonWebKeySet, CoreProviderMetadata};
use openidconnect::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret, OAuth2TokenResponse as _, PkceCodeVerifier,
    RedirectUrl,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::id_token::{self, Claims, Expected, Refused};
use crate::db::BoxFut;
use crate::error::{ApiError, unavailable};
use crate::ports::{Http, HttpRequest, Oidc, Reach};
use crate::tokens::ms;
use crate::{App, limits, sql};

/// How long a document is taken as it was read.
const CURRENT: TimeDelta = TimeDelta::hours(1);
/// How long it is taken while the issuer cannot be reached.
const STALE: TimeDelta = TimeDelta::days(1);
/// Bytes of a document.
const LENGTH: usize = 256 * 1024;

/// The issuer as it was configured and as it describes itself.
pub(crate) struct Issuer<'a> {
    app: &'a App,
    pub config: &'a Oidc,
    pub metadata: CoreProviderMetadata,
}

/// Why nobody was proved.
pub(crate) enum Failed {
    /// The issuer is out of reach or answers nonsense.
    Away(ApiError),
    /// What came back proves nothing.
    Refused(String),
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Failed::Away(error)
    }
}

/// https everywhere, and plain http on this machine alone.
fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.username().is_empty(),
        "http" => match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        },
        _ => false,
    }
}

fn away(name: &str, why: &dyn fmt::Display) -> ApiError {
    tracing::warn!(%why, "the issuer");
    unavailable(format!("{name} could not be asked just now. Try again in a minute."))
}

#[derive(Deserialize)]
struct Kept {
    body: String,
    fetched_ms: i64,
}

/// A request to the issuer, whose host the operator named.
fn asked(method: Method, url: Url, headers: Vec<(&'static str, String)>, body: String) -> HttpRequest {
    HttpRequest { method, url, headers, body, reach: Reach::Anywhere, timeout_s: 25 }
}

async fn fetch(http: &dyn Http, url: &Url, bearer: Option<&str>) -> Result<String, String> {
    if !is_safe(url) {
        return Err(format!("{url} is not https"));
    }
    let mut headers = vec![("accept", "application/json".to_string())];
    headers.extend(bearer.map(|token| ("authorization", format!("Bearer {token}"))));
    let request = asked(Method::GET, url.clone(), headers, String::new());
    let response = http.send(request).await?;
    match response.status {
        200 if response.body.len() <= LENGTH => Ok(response.body),
        200 => Err(format!("{url} answered more than {LENGTH} bytes")),
        status => Err(format!("{url} answered {status}")),
    }
}

/// A document of the issuer: as it is kept while that is younger than `current`, else as it is now; as it was kept
/// where that cannot be read.
async fn document<T: DeserializeOwned>(
    app: &App,
    issuer: &Oidc,
    url: &Url,
    current: TimeDelta,
    fits: impl Fn(&T) -> Result<(), String>,
) -> Result<T, ApiError> {
    let read = |body: &str| -> Result<T, String> {
        let document: T = serde_json::from_str(body).map_err(|e| format!("{url} cannot be read: {e}"))?;
        fits(&document).map(|()| document)
    };
    let now: DateTime<Utc> = app.host.now();
    let kept: Option<Kept> = app
        .db
        .query(sql!("SELECT body, fetched_ms FROM issuer_document WHERE url = ?1", url.as_str()))
        .await?
        .first()?;
    let younger = |than: TimeDelta| kept.as_ref().filter(|k| k.fetched_ms > ms(now - than)).map(|k| read(&k.body));
    if let Some(Ok(document)) = younger(current) {
        return Ok(document);
    }
    let fetched = fetch(&*app.http, url, None).await.and_then(|body| read(&body).map(|document| (document, body)));
    match (fetched, younger(STALE)) {
        (Ok((document, body)), _) => {
            app.db
                .query(sql!(
                    "INSERT INTO issuer_document (url, body, fetched_ms) VALUES (?1, ?2, ?3)
                     ON CONFLICT (url) DO UPDATE SET body = excluded.body, fetched_ms = excluded.fetched_ms",
                    url.as_str(),
                    body,
                    ms(now),
                ))
                .await?;
            Ok(document)
        }
        (Err(why), Some(Ok(document))) => {
            tracing::warn!(%why, "the issuer's document is taken as it was kept");
            Ok(document)
        }
        (Err(why), _) => Err(away(&issuer.name, &why)),
    }
}

/// The issuer, by its discovery document, which must name it to the letter (OpenID Connect Discovery §4.3).
pub(crate) async fn discover<'a>(app: &'a App, config: &'a Oidc) -> Result<Issuer<'a>, ApiError> {
    let url = discovery(config).map_err(|e| away(&config.name, &e))?;
    let fits = |found: &CoreProviderMetadata| is_its_own(config, found);
    Ok(Issuer { app, config, metadata: document(app, config, &url, CURRENT, fits).await? })
}

fn discovery(config: &Oidc) -> Result<Url, String> {
    let text = format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
    Url::parse(&text).map_err(|e| format!("{text}: {e}"))
}

fn is_its_own(config: &Oidc, found: &CoreProviderMetadata) -> Result<(), String> {
    match found.issuer().as_str() {
        name if name == config.issuer => Ok(()),
        name => Err(format!("the issuer calls itself {name}, the configuration {}", config.issuer)),
    }
}

/// Asks an issuer for its description of itself and for its keys, and keeps nothing. Answers how many keys it signs with.
///
/// # Errors
/// A sentence about what is wrong with it.
pub async fn look_at_issuer(http: &dyn Http, config: &Oidc) -> Result<usize, String> {
    let read = |url: &Url, e: serde_json::Error| format!("{url} cannot be read: {e}");
    let url = discovery(config)?;
    let found: CoreProviderMetadata =
        serde_json::from_str(&fetch(http, &url, None).await?).map_err(|e| read(&url, e))?;
    is_its_own(config, &found)?;
    let url = found.jwks_uri().url();
    let keys: CoreJsonWebKeySet = serde_json::from_str(&fetch(http, url, None).await?).map_err(|e| read(url, e))?;
    match keys.keys().len() {
        0 => Err(format!("{url} has no key")),
        n => Ok(n),
    }
}

/// Our port, as the library asks for one.
struct Port<'a>(&'a App);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoAnswer(String);

impl<'c> AsyncHttpClient<'c> for Port<'_> {
    type Error = NoAnswer;
    type Future = BoxFut<'c, Result<openidconnect::HttpResponse, NoAnswer>>;

    fn call(&'c self, request: openidconnect::HttpRequest) -> Self::Future {
        Box::pin(async move {
            let no = |e: &dyn fmt::Display| NoAnswer(e.to_string());
            let (parts, body) = request.into_parts();
            let url = Url::parse(&parts.uri.to_string()).map_err(|e| no(&e))?;
            if !is_safe(&url) {
                return Err(NoAnswer("the token endpoint is not https".into()));
            }
            let named = [http::header::ACCEPT, http::header::AUTHORIZATION, http::header::CONTENT_TYPE];
            let header = |name: &HeaderName| parts.headers.get(name)?.to_str().ok().map(str::to_owned);
            let names = ["accept", "authorization", "content-type"];
            let headers = names.iter().zip(&named).filter_map(|(text, name)| Some((*text, header(name)?))).collect();
            let body = String::from_utf8(body).map_err(|e| no(&e))?;
            let answer = self.0.http.send(asked(parts.method, url, headers, body)).await;
            let answer = answer.map_err(NoAnswer)?;
            let json = HeaderValue::from_static("application/json");
            let response = http::Response::builder().status(answer.status).header(http::header::CONTENT_TYPE, json);
            response.body(answer.body.into_bytes()).map_err(|e| no(&e))
        })
    }
}

/// `GET userinfo_endpoint`.
#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    email: Option<String>,
    email_verified: Option<bool>,
}

impl Issuer<'_> {
    /// Where the person's browser goes.
    ///
    /// # Errors
    /// The issuer names an address that is not https.
    pub(crate) fn authorization_url(&self, redirect_uri: &Url, asked: &Asked<'_>) -> Result<Url, ApiError> {
        let mut url = self.metadata.authorization_endpoint().url().clone();
        if !is_safe(&url) {
            return Err(away(&self.config.name, &"its authorization endpoint is not https"));
        }
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", redirect_uri.as_str())
            .append_pair("scope", "openid email")
            .append_pair("state", asked.state)
            .append_pair("nonce", asked.nonce)
            .append_pair("code_challenge", &id_token::challenge(asked.verifier))
            .append_pair("code_challenge_method", "S256")
            // With max_age the issuer must say when the person signed in there (OpenID Connect Core §3.1.2.1).
            .append_pair("max_age", &asked.max_age_s.to_string());
        if asked.again {
            query.append_pair("prompt", "login");
        }
        drop(query);
        Ok(url)
    }

    /// Exchanges a code and says who it stands for.
    pub(crate) async fn prove(
        &self,
        code: String,
        verifier: String,
        redirect_uri: &Url,
        nonce: &str,
    ) -> Result<Claims, Failed> {
        let (app, config) = (self.app, self.config);
        // Basic, unless the issuer says that it takes the other alone.
        let methods = self.metadata.token_endpoint_auth_methods_supported();
        let basic = methods.is_none_or(|m| m.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let client = CoreClient::from_provider_metadata(
            self.metadata.clone(),
            ClientId::new(config.client_id.clone()),
            config.client_secret.clone().map(ClientSecret::new),
        )
        .set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody })
        .set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()));
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|e| away(&config.name, &e))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier));
        let port = Port(app);
        let answer = request.request_async(&port).await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(said) => {
                Failed::Refused(format!("the code was not taken: {}", said.error()))
            }
            openidconnect::RequestTokenError::Request(why) => Failed::Away(away(&config.name, &why)),
            // The parser's own message would quote the answer, and the answer holds tokens.
            openidconnect::RequestTokenError::Parse(..) => Failed::Refused("its answer is no ID token".into()),
            other => Failed::Away(away(&config.name, &other)),
        })?;
        let token = answer.extra_fields().id_token().ok_or_else(|| Failed::Refused("there is no ID token".into()))?;
        let mut claims = self.verified(&token.to_string(), nonce).await?;
        // The address may be at the userinfo endpoint alone (OpenID Connect Core §5.4).
        if let (None, Some(endpoint)) = (&claims.email, self.metadata.userinfo_endpoint()) {
            let access = answer.access_token().secret();
            let body = fetch(&*app.http, endpoint.url(), Some(access)).await.map_err(|e| away(&config.name, &e))?;
            let info: UserInfo = serde_json::from_str(&body).map_err(|e| away(&config.name, &e))?;
            if info.sub != claims.subject {
                return Err(Failed::Refused("userinfo speaks of somebody else".into()));
            }
            claims.email_verified = info.email_verified == Some(true);
            claims.email = info.email;
        }
        Ok(claims)
    }

    /// Keys are looked for once more when none fits, though not for everybody who makes up a name of one: the issuer may
    /// have new ones.
    async fn verified(&self, token: &str, nonce: &str) -> Result<Claims, Failed> {
        let Oidc { issuer, client_id, .. } = self.config;
        let expected = Expected { issuer, client_id, nonce, now: self.app.host.now() };
        let url = self.metadata.jwks_uri().url();
        let keys = async |current| document::<CoreJsonWebKeySet>(self.app, self.config, url, current, |_| Ok(())).await;
        let mut checked = id_token::verify(token, &keys(CURRENT).await?, &expected);
        if checked == Err(Refused::UnknownKey) && limits::LOOKS_FOR_KEYS.check(self.app, issuer).await.is_ok() {
            checked = id_token::verify(token, &keys(TimeDelta::zero()).await?, &expected);
        }
        checked.map_err(|refused| Failed::Refused(refused.to_string()))
    }
}

/// What a sign-in asks of the issuer.
pub(crate) struct Asked<'a> {
    pub state: &'a str,
    pub nonce: &'a str,
    pub verifier: &'a str,
    /// The oldest sign-in there that will do, in seconds.
    pub max_age_s: i64,
    /// Ask for the password again, whoever is signed in there.
    pub again: bool,
}
