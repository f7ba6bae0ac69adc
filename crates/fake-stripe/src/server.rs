//! Starting the stand-in: state, routes, background work.

use std::{
    fmt,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    app::App,
    calls, clock, control, host,
    link::{Line, Loopback},
    onboarding,
    store::{self, Cause},
    webhooks::{self, Endpoint},
};

/// How the stand-in starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// The SQLite file of the state; made when absent.
    pub data: PathBuf,
    /// Receives the platform's events; `None` keeps what the state remembers.
    pub account_webhook: Option<Endpoint>,
    /// Receives the connected accounts' events; `None` keeps what the state remembers.
    pub connect_webhook: Option<Endpoint>,
    /// The first instant of a new state, RFC 3339; real time when `None`. A state that exists keeps its own.
    pub now: Option<String>,
    /// Ids of a new state follow from it, so that the same history gives the same ids.
    pub seed: u64,
    /// A folder into which everything that is asked, answered and delivered is written, a file of JSON lines for each run.
    pub exchanges: Option<PathBuf>,
}

/// Why the stand-in did not start.
#[derive(Debug)]
pub enum StartError {
    /// Another process listens on the port.
    PortUsed(u16),
    /// Anything else, in a sentence.
    Other(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::PortUsed(port) => write!(
                formatter,
                "Port {port} on 127.0.0.1 is in use by another program. Stop that program, or choose another port with --port."
            ),
            StartError::Other(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for StartError {}

/// The stand-in, listening.
#[derive(Debug)]
pub struct Standin {
    address: SocketAddr,
    listener: TcpListener,
    app: Arc<App>,
}

impl fmt::Debug for App {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("App").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Opens the state and binds the port; requests are answered once [`Standin::serve`] runs.
///
/// # Errors
/// When the port is taken, the state cannot be opened, or an option is not usable.
pub async fn start(options: Options) -> Result<Standin, StartError> {
    let other = |what: &str| {
        let what = what.to_owned();
        move |error: &dyn fmt::Display| StartError::Other(format!("{what}: {error}."))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            StartError::PortUsed(options.port)
        } else {
            other(&format!("Port {} on 127.0.0.1 cannot be opened", options.port))(&error)
        }
    })?;
    let address = listener.local_addr().map_err(|error| other("The port has no address")(&error))?;
    let connection = store::open(&options.data)
        .map_err(|error| other(&format!("The state in {} cannot be opened", options.data.display()))(&error))?;
    let now = match &options.now {
        Some(text) => clock::parse_rfc3339(text).map_err(|error| StartError::Other(error.message))?,
        None => host::now_ms() / 1000,
    };
    for (name, value) in [("now", now.to_string()), ("seed", options.seed.to_string())] {
        connection
            .execute("INSERT OR IGNORE INTO meta VALUES (?1, ?2)", [name, &value])
            .map_err(|error| other("The state cannot be written")(&error))?;
    }
    let sql = "INSERT INTO meta VALUES ('boots', '1') ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value";
    let boot: String = connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(|error| other("The state cannot be written")(&error))?;
    let exchanges = options.exchanges.as_deref().map(|folder| {
        std::fs::create_dir_all(folder)?;
        let name = format!("{}-{}.jsonl", std::process::id(), address.port());
        std::fs::File::options().create(true).append(true).open(folder.join(name))
    });
    let exchanges = exchanges.transpose().map_err(|error| other("Exchanges cannot be written down")(&error))?;
    let app = App::new(connection, format!("http://{address}"), boot, exchanges)
        .map_err(|error| other("The stand-in cannot use its state")(&error))?;
    let mut wanted = json!({});
    for (name, endpoint) in [("account", &options.account_webhook), ("connect", &options.connect_webhook)] {
        if let Some(endpoint) = endpoint {
            wanted[name] = json!(endpoint);
        }
    }
    app.transact(&Cause::default(), |tx| webhooks::configure(tx, &wanted))
        .map_err(|error| StartError::Other(error.message))?;
    Ok(Standin { address, listener, app: Arc::new(app) })
}

impl Standin {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` is ready.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let delivery = tokio::spawn(webhooks::run_delivery(Arc::clone(&self.app)));
        let live = tokio::spawn(clock::run_live(Arc::clone(&self.app)));
        let service = router(self.app).into_make_service_with_connect_info::<Line>();
        let served = axum::serve(Loopback(self.listener), service).with_graceful_shutdown(stop).await;
        delivery.abort();
        live.abort();
        served
    }
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v1/{*path}", any(calls::v1))
        .route("/_clock", get(control::get_clock).post(control::set_clock))
        .route("/_health", get(control::health))
        .route("/_control/disputes", post(control::open_dispute))
        .route("/_control/disputes/{id}/close", post(control::close_dispute))
        .route("/_control/refunds/{id}/fail", post(control::fail_refund))
        .route("/_control/balance", post(control::set_balance))
        .route("/_control/rates", post(control::set_rate))
        .route("/_control/accounts/{id}", post(control::steer_account))
        .route("/_control/accounts/{id}/onboard", post(control::onboard))
        .route("/_control/webhooks", post(control::set_webhooks))
        .route("/_control/faults", get(control::waiting_faults).post(control::queue_faults))
        .route("/_control/events", get(control::events))
        .route("/_control/redeliver", post(control::redeliver))
        .route("/setup/e/{account}/{token}", get(onboarding::open).post(onboarding::finish))
        .fallback(control::nothing_here)
        .layer(axum::middleware::from_fn(only_loopback))
        .with_state(app)
}

/// Refuses requests that a web page elsewhere directs here under a name of its own.
async fn only_loopback(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if name == "127.0.0.1" || name == "localhost" {
        return next.run(request).await;
    }
    let message = "The stand-in answers requests to 127.0.0.1 and localhost only.";
    (StatusCode::MISDIRECTED_REQUEST, message).into_response()
}
