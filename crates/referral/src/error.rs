//! Refusals and faults, as the caller reads them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::SecondsFormat;
use serde::de::DeserializeOwned;
use wire::{AS_OF_HEADER, ErrorBody, ErrorCode, SealDiff};

use crate::App;
use crate::db::DbError;

/// Why a call was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}: {message}", status(*code))]
pub struct ApiError {
    /// What a program may branch on.
    pub code: ErrorCode,
    /// For the person who reads it.
    pub message: String,
    /// When it may work again, in seconds: `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// What is different from what the caller looked at.
    pub diff: Option<Box<SealDiff>>,
}

fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Invalid => StatusCode::BAD_REQUEST,
        ErrorCode::SignedOut => StatusCode::UNAUTHORIZED,
        ErrorCode::StepUp | ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Changed | ErrorCode::Conflict | ErrorCode::Reset => StatusCode::CONFLICT,
        ErrorCode::Outdated => StatusCode::UPGRADE_REQUIRED,
        ErrorCode::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable | ErrorCode::Offline => StatusCode::SERVICE_UNAVAILABLE,
    }
}

macro_rules! constructors {
    ($($name:ident => $code:ident),*) => { $(
        pub(crate) fn $name(message: impl Into<String>) -> ApiError {
            ApiError { code: ErrorCode::$code, message: message.into(), retry_after_s: None, diff: None }
        }
    )* };
}
constructors!(
    invalid => Invalid, signed_out => SignedOut, forbidden => Forbidden, not_found => NotFound,
    changed => Changed, conflict => Conflict, unavailable => Unavailable
);

pub(crate) fn step_up() -> ApiError {
    let message =
        "This needs a sign-in that is at most five minutes old. Confirm that it is you, then repeat it.".into();
    ApiError { code: ErrorCode::StepUp, message, retry_after_s: None, diff: None }
}

pub(crate) fn too_many(message: impl Into<String>, retry_after_s: u32) -> ApiError {
    ApiError { code: ErrorCode::TooMany, message: message.into(), retry_after_s: Some(retry_after_s), diff: None }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        if error.is_guard() {
            return changed(
                "This has changed while you were looking at it. Load it again and repeat what you wanted to do.",
            );
        }
        tracing::error!(%error, "database");
        unavailable("The data could not be read or written just now. Nothing was changed; try again in a moment.")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { diff: self.diff, ..ErrorBody::new(self.code, short(&self.message, 1_000)) };
        let mut response = (status(self.code), Json(body)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A JSON body whose errors are ours: `{code, message}`, never the framework's plain text.
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        match Json::<T>::from_request(request, app).await {
            Ok(Json(value)) => Ok(Body(value)),
            Err(rejection) => Err(invalid(format!(
                "The request's JSON cannot be used: {}.",
                short(rejection.body_text().trim_end_matches('.'), 300)
            ))),
        }
    }
}

/// A body as it came.
pub(crate) struct Raw(pub Bytes);

impl FromRequest<App> for Raw {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let refused = |rejection: BytesRejection| {
            let message = format!("The body cannot be read: {}.", rejection.body_text().trim_end_matches('.'));
            (rejection.status(), Json(ErrorBody::new(ErrorCode::Invalid, message))).into_response()
        };
        Bytes::from_request(request, app).await.map(Raw).map_err(refused)
    }
}

/// A message often repeats what was given; it is to be read all the same.
fn short(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} …", &text[..end]),
    }
}

/// Query parameters whose errors are ours.
pub(crate) struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(value)) => Ok(Params(value)),
            Err(rejection) => Err(invalid(format!(
                "The address's query cannot be used: {}.",
                short(rejection.body_text().trim_end_matches('.'), 300)
            ))),
        }
    }
}

/// Parts of the path. What is not text is the name of nothing.
pub(crate) struct Segment<T = String>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Segment<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let found = Path::<T>::from_request_parts(parts, app).await;
        found.map(|Path(text)| Segment(text)).map_err(|_| not_found("There is nothing of this name."))
    }
}

/// A reason as it is kept: 1 to 500 characters, in lines.
pub(crate) fn read_reason(given: &str) -> Result<&str, ApiError> {
    let reason = given.trim();
    let odd = |c: char| c.is_control() && c != '\n';
    if reason.is_empty() || reason.chars().count() > 500 || reason.chars().any(odd) {
        return Err(invalid("Say why, in 1 to 500 characters: the reason is kept with the decision."));
    }
    Ok(reason)
}

pub(crate) async fn no_such_route() -> ApiError {
    not_found("There is nothing at this address.")
}

pub(crate) async fn wrong_method() -> Response {
    let body = ErrorBody::new(ErrorCode::NotFound, "There is nothing to do so at this address.");
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}

/// Every answer says when it was computed, is not kept by caches in between, and is read as what it says it is.
pub(crate) async fn stamp(State(app): State<App>, request: Request, next: Next) -> Response {
    let as_of = app.host.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    // The route and never the path: paths carry tokens.
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let method = request.method().clone();
    let mut response = next.run(request).await;
    tracing::debug!(%method, route, status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&as_of) {
        headers.insert(AS_OF_HEADER, value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
