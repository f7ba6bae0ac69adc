//! `serve`: the router on a port, beside the files of the web dashboard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use clap::Args;
use referral::App;
use referral::db::Db as _;
use referral::ports::Caller;
use referral::sql;
use sqlite::{Profile, Sqlite};
use tower_http::compression::CompressionLayer;
use tower_http::services::{ServeDir, ServeFile};
use wire::Role;

use crate::config;
use crate::host::{Network, SystemHost};
use crate::mail::Outgoing;

/// Options of `serve`.
#[derive(Args)]
pub(crate) struct Serve {
    /// Folder of the database; made if it is not there.
    #[arg(long)]
    data: PathBuf,
    /// Port.
    #[arg(long, default_value_t = 8787)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    address: Ipv4Addr,
    /// Configuration file (TOML).
    #[arg(long)]
    config: Option<PathBuf>,
    /// Folder of the built web dashboard.
    #[arg(long, env = "AIKIT_UI_DIR")]
    ui: Option<PathBuf>,
    /// Sign-in as anybody by one click, and the time of the Stripe stand-in's clock.
    #[arg(long)]
    demo: bool,
}

/// Between two looks for events that were stored and not processed.
const CATCH_UP: Duration = Duration::from_secs(30);

/// The address of finance in a demo.
const DEMO_FINANCE: &str = "finance@aikit.example";

fn secret(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// A demo keeps to D1's limits, so that whatever it shows also runs there.
fn open(data: &Path, demo: bool) -> anyhow::Result<Sqlite> {
    std::fs::create_dir_all(data).with_context(|| format!("the folder {} cannot be made", data.display()))?;
    Ok(Sqlite::open(&data.join("referral.db"), if demo { Profile::D1 } else { Profile::Native })?)
}

fn app(
    data: &Path,
    config: referral::ports::Config,
    mail_from: &str,
) -> anyhow::Result<(App, Arc<SystemHost>, Arc<Network>, Sqlite)> {
    let db = open(data, config.demo)?;
    let host = Arc::new(SystemHost::new());
    let network = Arc::new(Network::new()?);
    let mail = Outgoing::new(data, secret("SMTP_URL").as_deref(), mail_from)?;
    let app = App {
        db: Arc::new(db.clone()),
        http: network.clone(),
        mail: Arc::new(mail),
        host: host.clone(),
        config: Arc::new(config),
    };
    Ok((app, host, network, db))
}

/// The API's use cases without a port, for commands.
pub(crate) fn offline_app(data: &Path) -> anyhow::Result<App> {
    let file = config::read(None)?;
    let from = file.mail_from.clone();
    Ok(app(data, config::build(file, 0, false, |_| None)?, &from)?.0)
}

/// The same, of a database that is there already: looking at nothing by mistake must not look like success.
pub(crate) fn existing_app(data: &Path) -> anyhow::Result<App> {
    let file = data.join("referral.db");
    anyhow::ensure!(file.is_file(), "there is no database {}; check --data", file.display());
    offline_app(data)
}

pub(crate) async fn serve(options: Serve) -> anyhow::Result<()> {
    let file = config::read(options.config.as_deref())?;
    let (from, proxies) = (file.mail_from.clone(), file.proxies);
    let config = config::build(file, options.port, options.demo, secret)?;
    let missing: Vec<&str> = [
        ("STRIPE_CONNECT_KEY", &config.stripe_connect_key),
        ("STRIPE_WEBHOOK_SECRET_ACCOUNT", &config.webhook_secret_account),
        ("STRIPE_WEBHOOK_SECRET_CONNECT", &config.webhook_secret_connect),
    ]
    .iter()
    .filter(|(_, value)| value.is_empty())
    .map(|(name, _)| *name)
    .collect();
    if !missing.is_empty() {
        tracing::warn!("not set: {}. What needs them will say so.", missing.join(", "));
    }

    let address = SocketAddr::from((options.address, options.port));
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| {
        format!(
            "port {} of {} cannot be used: another program may have it. Choose another with --port",
            options.port, options.address
        )
    })?;
    let (app, host, network, db) = app(&options.data, config, &from)?;
    if options.demo {
        let clock =
            network.stand_in_clock(&app.config.stripe_api).await.context("the Stripe stand-in does not answer")?;
        host.follow(&clock);
        match referral::add_person(&app, &referral::Actor::System, DEMO_FINANCE, Role::Finance).await {
            Ok(_) => {}
            Err(known) if known.code == wire::ErrorCode::Conflict => {}
            Err(other) => return Err(other.into()),
        }
    }
    let left = referral::process_received(&app).await.context("stored events cannot be processed")?;
    if left > 0 {
        tracing::info!(left, "processed events that an earlier stop had left");
    }

    tokio::spawn(catch_up(app.clone()));

    let mut router = referral::router(app.clone());
    if options.demo {
        let follow = Follow { host, network, stripe_api: app.config.stripe_api.clone() };
        router = router.layer(middleware::from_fn_with_state(Arc::new(follow), follow_clock));
    }
    let router = match &options.ui {
        None => router,
        Some(ui) => with_dashboard(router, ui)?,
    };
    let router = router.layer(CompressionLayer::new());

    println!("listening on http://{}", listener.local_addr()?);
    let router = router.layer(middleware::from_fn_with_state(proxies, name_caller));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop()).await?;
    // Moves what is in the write-ahead log into the database itself.
    db.query(sql!("PRAGMA wal_checkpoint(TRUNCATE)")).await.ok();
    Ok(())
}

/// The address that limits count by: the peer's, or what the configured proxies say. What a caller itself writes into
/// `X-Forwarded-For` stands further left and is not looked at.
async fn name_caller(
    State(proxies): State<usize>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = forwarded(request.headers(), proxies).unwrap_or(peer.ip());
    request.extensions_mut().insert(Caller(caller));
    next.run(request).await
}

fn forwarded(headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok());
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let hop = hops.len().checked_sub(proxies.max(1)).filter(|_| proxies > 0)?;
    hops.get(hop)?.parse().ok()
}

/// The API answers what it knows; everything else is a file of the dashboard.
fn with_dashboard(api: axum::Router, ui: &Path) -> anyhow::Result<axum::Router> {
    let index = ui.join("index.html");
    if !index.is_file() {
        anyhow::bail!(
            "{} is not there: build the dashboard first (npm run build in ui/), or leave --ui out",
            index.display()
        );
    }
    let files = ServeDir::new(ui).fallback(ServeFile::new(index));
    let site = axum::Router::new().fallback_service(files).layer(middleware::from_fn(page_headers));
    Ok(axum::Router::new().fallback(move |request: Request| {
        let (api, site) = (api.clone(), site.clone());
        async move {
            let path = request.uri().path();
            let is_api = ["/v1/", "/r/", "/onboard/"].iter().any(|p| path.starts_with(p))
                || matches!(path, "/healthz" | "/pixel.gif");
            let router = if is_api { api } else { site };
            tower::ServiceExt::oneshot(router, request).await
        }
    }))
}

/// A page runs its own scripts and talks to its own API, nothing else. Hashed files are kept for ever, the page never.
async fn page_headers(request: Request, next: Next) -> Response {
    let hashed = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; \
                  connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let kept = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    response
}

/// An event is processed as soon as it is stored. One that a fault kept from it is tried again here.
async fn catch_up(app: App) {
    loop {
        tokio::time::sleep(CATCH_UP).await;
        if let Err(error) = referral::process_received(&app).await {
            tracing::error!(%error, "stored events wait to be processed");
        }
    }
}

struct Follow {
    host: Arc<SystemHost>,
    network: Arc<Network>,
    stripe_api: url::Url,
}

/// In a demo the time is the stand-in's, asked before each request: its history is walked on a moved clock.
async fn follow_clock(State(follow): State<Arc<Follow>>, request: Request, next: Next) -> Response {
    match follow.network.stand_in_clock(&follow.stripe_api).await {
        Ok(clock) => {
            follow.host.follow(&clock);
            next.run(request).await
        }
        Err(error) => {
            tracing::error!(%error, "the stand-in's clock");
            (StatusCode::SERVICE_UNAVAILABLE, "The Stripe stand-in of this demo does not answer. Start the demo again.")
                .into_response()
        }
    }
}

/// Ctrl-C or SIGTERM: requests under way are answered, then the server ends.
async fn stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
            interrupt.await.ok();
            return;
        };
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    interrupt.await.ok();
    // Whoever keeps a connection open must not keep the server up.
    tokio::spawn(async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        tracing::warn!("connections are still open after ten seconds: closing them");
        std::process::exit(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_cannot_name_itself() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 203.0.113.9, 10.0.0.1"));
        let seen = |proxies| forwarded(&headers, proxies).map(|ip| ip.to_string());
        assert_eq!(seen(0), None);
        assert_eq!(seen(1).as_deref(), Some("10.0.0.1"));
        assert_eq!(seen(2).as_deref(), Some("203.0.113.9"));
        assert_eq!(seen(9), None);
    }
}
