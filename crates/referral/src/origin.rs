//! Which pages may ask a browser to act here.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

use crate::App;
use crate::error::forbidden;
use crate::ports::Config;

/// An origin of the operator's list, as a browser writes it.
fn listed(config: &Config, origin: &str) -> bool {
    config.cors_origins.iter().any(|url| url.origin().ascii_serialization() == origin)
}

/// Our own pages: the address from outside, and without https whatever address the browser used to get here.
fn is_own(config: &Config, headers: &HeaderMap, origin: &str) -> bool {
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    origin == config.public_url.origin().ascii_serialization()
        || (!config.secure_cookies() && origin == format!("http://{host}"))
}

/// A browser names the page that makes it act. Programs name none; a page that is not ours is refused before anything
/// else happens, whatever it would have proved. The join form alone is open to the configured sites, and to everybody the end
/// of a kind of e-mail: its link proves itself, and a mail program may follow it from a page of its own (RFC 8058).
pub(crate) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if let Some(origin) = request.headers().get(header::ORIGIN).filter(|_| !reads) {
        let origin = origin.to_str().unwrap_or_default();
        let open = match request.uri().path() {
            "/v1/partners" => listed(&app.config, origin),
            "/v1/unsubscribe" => true,
            _ => false,
        };
        if !open && !is_own(&app.config, request.headers(), origin) {
            return forbidden("A page of another site may not do this. Open AIKit Partners itself and do it there.")
                .into_response();
        }
    }
    next.run(request).await
}

/// What the configured sites may read: answers without cookies for the join form, with them for the pixel.
pub(crate) fn cors(config: &Config, credentials: bool) -> CorsLayer {
    let origins: Vec<HeaderValue> = config
        .cors_origins
        .iter()
        .filter_map(|url| HeaderValue::from_str(&url.origin().ascii_serialization()).ok())
        .collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .allow_credentials(if credentials { AllowCredentials::yes() } else { AllowCredentials::default() })
        .max_age(std::time::Duration::from_secs(3600))
}
