//! A small API on loopback that can go away and come back, and a keychain in a drawer.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path as UrlPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use desk::{Config, Desk, Host, SecretStore, Shell, StartError, StoreFault};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Part of every token; it must never be seen outside of headers, bodies of the session calls, and the keychain.
pub(crate) const CANARY: &str = "kanarienvogel";
/// The API's time, which is not this computer's.
pub(crate) const AS_OF: &str = "2026-11-22T10:42:00.000Z";

/// What the API knows, and what was asked of it.
#[derive(Default)]
pub(crate) struct Books {
    made: u32,
    /// Person by access token.
    pub(crate) access: HashMap<String, String>,
    /// Person by refresh token.
    pub(crate) refresh: HashMap<String, String>,
    /// `METHOD path` of every request that arrived.
    pub(crate) asked: Vec<String>,
    /// Answered to everything, in place of the truth.
    pub(crate) outage: Option<StatusCode>,
    /// A client that the API no longer shows.
    pub(crate) gone: Option<String>,
    /// The program that began a sign-in at the issuer: port, state, challenge.
    pub(crate) program: Option<Value>,
    /// Refreshing answers something that is not a session.
    pub(crate) garbled_refresh: bool,
    /// What the other paths answer to whoever is signed in.
    pub(crate) answers: HashMap<&'static str, Value>,
}

impl Books {
    pub(crate) fn count(&self, asked: &str) -> usize {
        self.asked.iter().filter(|a| *a == asked).count()
    }

    fn session(&mut self, person: &str) -> Value {
        self.made += 1;
        let (access, refresh) = (format!("acc_{CANARY}_{}", self.made), format!("ref_{CANARY}_{}", self.made));
        self.access.insert(access.clone(), person.to_owned());
        self.refresh.insert(refresh.clone(), person.to_owned());
        let role = match person {
            "finn" => "finance",
            "stan" => "staff",
            _ => "owner",
        };
        json!({
            "access_token": access, "access_expires_in_s": 600, "refresh_token": refresh,
            "account": { "user": person, "email": format!("{person}@agency.example"), "role": role, "partner": null, "auth_at": AS_OF },
        })
    }
}

type Shared = Arc<Mutex<Books>>;

/// The API, while it runs.
pub(crate) struct SmallApi {
    pub(crate) books: Shared,
    pub(crate) port: u16,
    running: Option<tokio::runtime::Runtime>,
}

impl SmallApi {
    pub(crate) fn start() -> Self {
        let mut api = Self { books: Shared::default(), port: 0, running: None };
        api.come_back();
        api
    }

    /// Serves again, at the same port as before.
    pub(crate) fn come_back(&mut self) {
        let listener = std::net::TcpListener::bind(("127.0.0.1", self.port)).expect("the port is ours");
        listener.set_nonblocking(true).expect("a fresh socket");
        self.port = listener.local_addr().expect("a bound socket").port();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread");
        let router = router(Arc::clone(&self.books));
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
            axum::serve(listener, router).await
        });
        self.running = Some(runtime);
    }

    /// Ends with all its connections.
    pub(crate) fn go_away(&mut self) {
        let Some(runtime) = self.running.take() else { return };
        runtime.shutdown_background();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            std::thread::yield_now();
        }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("no test panics with the books open")
    }
}

impl Drop for SmallApi {
    fn drop(&mut self) {
        self.go_away();
    }
}

fn router(books: Shared) -> Router {
    Router::new()
        .route("/v1/auth/sessions", post(code_session))
        .route("/v1/demo/sessions", post(demo_session))
        .route("/v1/auth/oidc", post(begin))
        .route("/v1/auth/oidc/sessions", post(redeem))
        .route("/v1/auth/refresh", post(refresh))
        .route("/v1/auth/end", post(end))
        .route("/v1/demo/people", get(async || live(json!([{ "person": "ann" }]))))
        .route("/v1/overview", get(overview))
        .route("/v1/links", post(link))
        .route("/v1/clients/{referral}", get(client))
        .route("/v1/payouts/{item}/receipt.pdf", get(receipt))
        .fallback(other)
        .layer(middleware::from_fn_with_state(Arc::clone(&books), record))
        .with_state(books)
}

async fn record(State(books): State<Shared>, request: Request, next: Next) -> Response {
    let outage = {
        let mut books = books.lock().expect("books");
        books.asked.push(format!("{} {}", request.method(), request.uri().path()));
        books.outage
    };
    match outage {
        Some(status) => (status, "<html>out of order</html>").into_response(),
        None => next.run(request).await,
    }
}

fn live(data: Value) -> Response {
    ([(wire::AS_OF_HEADER, AS_OF)], Json(data)).into_response()
}

fn refused(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({ "code": code, "message": "No." }))).into_response()
}

fn bearer(books: &Books, headers: &HeaderMap) -> Option<String> {
    let token = headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")?;
    books.access.get(token).cloned()
}

async fn code_session(State(books): State<Shared>, Json(body): Json<Value>) -> Response {
    match (body["code"].as_str(), body["email"].as_str(), body["keep"].as_str()) {
        (Some("123456"), Some(email), Some("token")) => {
            live(books.lock().expect("books").session(email.split('@').next().unwrap_or_default()))
        }
        _ => refused(StatusCode::UNAUTHORIZED, "signed_out"),
    }
}

async fn demo_session(State(books): State<Shared>, Json(body): Json<Value>) -> Response {
    live(books.lock().expect("books").session(body["person"].as_str().unwrap_or_default()))
}

async fn begin(State(books): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut books = books.lock().expect("books");
    if body["confirm"] == true && bearer(&books, &headers).is_none() {
        return refused(StatusCode::UNAUTHORIZED, "signed_out");
    }
    books.program = Some(body["program"].clone());
    let host = headers.get("host").and_then(|h| h.to_str().ok()).unwrap_or_default();
    live(json!({ "url": format!("http://{host}/v1/auth/oidc/go/{CANARY}"), "expires_in_s": 600 }))
}

async fn redeem(State(books): State<Shared>, Json(body): Json<Value>) -> Response {
    let mut books = books.lock().expect("books");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(body["verifier"].as_str().unwrap_or_default()));
    let program = books.program.take().unwrap_or_default();
    match body["code"].as_str().and_then(|code| code.strip_prefix("code_")) {
        Some(person) if program["challenge"] == challenge => live(books.session(person)),
        _ => refused(StatusCode::UNAUTHORIZED, "signed_out"),
    }
}

async fn refresh(State(books): State<Shared>, Json(body): Json<Value>) -> Response {
    let mut books = books.lock().expect("books");
    if books.garbled_refresh {
        return live(json!({ "access_token": [format!("acc_{CANARY}")], "refresh_token": format!("ref_{CANARY}") }));
    }
    match books.refresh.remove(body["refresh_token"].as_str().unwrap_or_default()) {
        Some(person) => live(books.session(&person)),
        None => refused(StatusCode::UNAUTHORIZED, "signed_out"),
    }
}

async fn end(State(books): State<Shared>, headers: HeaderMap) -> Response {
    let mut books = books.lock().expect("books");
    let Some(person) = bearer(&books, &headers) else {
        return refused(StatusCode::UNAUTHORIZED, "signed_out");
    };
    books.access.retain(|_, p| *p != person);
    books.refresh.retain(|_, p| *p != person);
    StatusCode::NO_CONTENT.into_response()
}

async fn overview(State(books): State<Shared>, headers: HeaderMap) -> Response {
    let books = books.lock().expect("books");
    match bearer(&books, &headers) {
        Some(_) if books.answers.contains_key("/v1/overview") => live(books.answers["/v1/overview"].clone()),
        Some(person) => live(json!({ "for": person, "estimate": { "total_minor": 1_284_050 } })),
        None => refused(StatusCode::UNAUTHORIZED, "signed_out"),
    }
}

async fn other(State(books): State<Shared>, headers: HeaderMap, request: Request) -> Response {
    let books = books.lock().expect("books");
    match (bearer(&books, &headers), books.answers.get(request.uri().path())) {
        (Some(_), Some(answer)) => live(answer.clone()),
        (Some(_), None) => refused(StatusCode::NOT_FOUND, "not_found"),
        (None, _) => refused(StatusCode::UNAUTHORIZED, "signed_out"),
    }
}

async fn link(State(books): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    match bearer(&books.lock().expect("books"), &headers) {
        Some(_) => live(json!({ "made": body })),
        None => refused(StatusCode::UNAUTHORIZED, "signed_out"),
    }
}

async fn client(State(books): State<Shared>, headers: HeaderMap, UrlPath(referral): UrlPath<String>) -> Response {
    let books = books.lock().expect("books");
    match bearer(&books, &headers) {
        Some(_) if books.gone.as_ref() == Some(&referral) => refused(StatusCode::NOT_FOUND, "not_found"),
        Some(person) => live(json!({ "for": person, "referral": referral })),
        None => refused(StatusCode::UNAUTHORIZED, "signed_out"),
    }
}

/// A file named like one that is to leave its folder; of a payout that is not paid there is none.
async fn receipt(State(books): State<Shared>, headers: HeaderMap, UrlPath(item): UrlPath<String>) -> Response {
    match bearer(&books.lock().expect("books"), &headers) {
        Some(_) if item == "open" => refused(StatusCode::CONFLICT, "conflict"),
        Some(person) => {
            let name = [(header::CONTENT_DISPOSITION, format!("attachment; filename=\"../receipt-{item}.pdf\""))];
            (name, format!("%PDF of {person}")).into_response()
        }
        None => refused(StatusCode::UNAUTHORIZED, "signed_out"),
    }
}

/// A keychain that outlives a desk.
#[derive(Clone, Default)]
pub(crate) struct Drawer {
    pub(crate) entries: Arc<Mutex<HashMap<String, String>>>,
    /// Every call fails with this.
    pub(crate) fault: Arc<Mutex<Option<String>>>,
}

impl Drawer {
    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.lock().expect("drawer").keys().cloned().collect()
    }

    fn open(&self) -> Result<MutexGuard<'_, HashMap<String, String>>, StoreFault> {
        match &*self.fault.lock().expect("drawer") {
            Some(fault) => Err(StoreFault(fault.clone())),
            None => Ok(self.entries.lock().expect("drawer")),
        }
    }
}

impl SecretStore for Drawer {
    fn get(&self, name: &str) -> Result<Option<SecretString>, StoreFault> {
        Ok(self.open()?.get(name).map(|s| s.clone().into()))
    }
    fn set(&self, name: &str, secret: &SecretString) -> Result<(), StoreFault> {
        self.open()?.insert(name.to_owned(), secret.expose_secret().to_owned());
        Ok(())
    }
    fn delete(&self, name: &str) -> Result<(), StoreFault> {
        self.open()?.remove(name);
        Ok(())
    }
}

/// An API, a computer with a keychain and a data folder, and the addresses that were opened in its browser.
pub(crate) struct Bench {
    pub(crate) api: SmallApi,
    pub(crate) drawer: Drawer,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) opened: Arc<Mutex<Vec<String>>>,
    pub(crate) around: Arc<dyn Shell>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { api: SmallApi::start(), drawer: Drawer::default(), folder, opened: Arc::default(), around: Arc::new(()) }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }

    /// Starts the app.
    pub(crate) fn desk(&self) -> Desk {
        self.try_desk().expect("the app starts")
    }

    pub(crate) fn try_desk(&self) -> Result<Desk, StartError> {
        let config = Config::new(Some(&format!("http://127.0.0.1:{}", self.api.port)), self.data())?;
        let opened = Arc::clone(&self.opened);
        let open = Box::new(move |url: &url::Url| {
            opened.lock().map_err(|e| e.to_string())?.push(url.to_string());
            Ok(())
        });
        Desk::open(
            config,
            Host { version: "1.2.3".into(), open, downloads: self.downloads(), shell: Arc::clone(&self.around) },
            Arc::new(self.drawer.clone()),
        )
    }

    /// The files of the data folder that hold `needle`.
    pub(crate) fn files_with(&self, needle: &str) -> Vec<PathBuf> {
        let mut found = files(&self.data());
        found.retain(|path| {
            let bytes = std::fs::read(path).expect("a readable file");
            bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
        });
        found
    }
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect()
}
