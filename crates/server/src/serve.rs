//! `serve`: the router on a port, beside the files of the web dashboard.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use clap::Args;
use referral::App;
use referral::ports::Host as _;
use sqlite::{Profile, Sqlite};
use tower_http::compression::CompressionLayer;
use tower_http::services::{ServeDir, ServeFile};
use wire::Role;

use crate::host::{Network, SystemHost};
use crate::mail::Outgoing;
use crate::{background, config, listen};

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

/// How long the duties in the background may take to end.
const END_WITHIN: Duration = Duration::from_secs(30);

/// AIKit's own people in a demo.
const DEMO_PEOPLE: [(&str, Role); 2] =
    [("finance@aikit.example", Role::Finance), ("partners@aikit.example", Role::Staff)];

pub(crate) fn secret(name: &str) -> Option<String> {
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
) -> anyhow::Result<(App, Arc<SystemHost>, Arc<Network>)> {
    let db = open(data, config.demo)?;
    let host = Arc::new(SystemHost::new());
    let network = Arc::new(Network::new()?);
    let mail = Outgoing::new(data, secret("SMTP_URL").as_deref(), mail_from)?;
    let app = App::new(Arc::new(db), network.clone(), Arc::new(mail), host.clone(), Arc::new(config));
    Ok((app, host, network))
}

/// The API's use cases without a port, for commands.
pub(crate) fn offline_app(data: &Path) -> anyhow::Result<App> {
    let file = config::read(None)?;
    let from = file.mail_from.clone();
    Ok(app(data, config::build(file, 0, false, |_| None)?, &from)?.0)
}

/// The same with the server's own configuration and secrets, of a database that is there already.
pub(crate) fn configured_app(data: &Path, config: Option<&Path>) -> anyhow::Result<App> {
    existing_app(data)?;
    let file = config::read(config)?;
    let from = file.mail_from.clone();
    Ok(app(data, config::build(file, 0, false, secret)?, &from)?.0)
}

/// Copies the database of one folder into a new one, also while it is in use.
pub(crate) fn copy_database(data: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    Ok(sqlite::backup(&data.join("referral.db"), &to.join("referral.db"))?)
}

/// The API's use cases on a database that is there already: looking at nothing by mistake must not look like success.
pub(crate) fn existing_app(data: &Path) -> anyhow::Result<App> {
    let file = data.join("referral.db");
    anyhow::ensure!(file.is_file(), "there is no database {}; check --data", file.display());
    offline_app(data)
}

pub(crate) async fn serve(options: Serve) -> anyhow::Result<()> {
    let file = config::read(options.config.as_deref())?;
    let (from, proxies, limits) = (file.mail_from.clone(), file.proxies, file.limits);
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
    let (app, host, network) = app(&options.data, config, &from)?;
    if options.demo {
        let clock =
            network.stand_in_clock(&app.config.stripe_api).await.context("the Stripe stand-in does not answer")?;
        host.follow(&clock);
        for (email, role) in DEMO_PEOPLE {
            match referral::add_person(&app, &referral::Actor::System, email, role).await {
                Ok(_) => {}
                Err(known) if known.code == wire::ErrorCode::Conflict => {}
                Err(other) => return Err(other.into()),
            }
        }
    }
    // A newer program may read what failed; a key may have been given since.
    let again = app.clone();
    host.later(Box::pin(async move {
        if let Err(error) = referral::retry_events(&again, None).await {
            tracing::warn!(%error, "events that failed are still waiting");
        }
    }));

    let stripe_api = app.config.stripe_api.clone();
    let follow = options.demo.then(|| Arc::new(Follow { host: host.clone(), network, stripe_api }));
    let duties = background::start(&app, follow.clone());
    let mut router = referral::router(app.clone());
    if let Some(follow) = follow {
        router = router.layer(middleware::from_fn_with_state(follow, follow_clock));
    }
    let router = match &options.ui {
        None => router,
        Some(ui) => with_dashboard(router, ui)?,
    };
    let router = router.layer(CompressionLayer::new());

    println!("listening on http://{}", listener.local_addr()?);
    listen::serve(listener, router, limits, proxies, stop()).await;
    app.intake.end();
    host.end(END_WITHIN).await;
    duties.end(END_WITHIN).await;
    // Closing moves what is in the write-ahead log into the database itself.
    drop(app);
    Ok(())
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
                || matches!(path, "/healthz" | "/openapi.json" | "/pixel.gif");
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

/// The stand-in's clock, which is a demo's.
pub(crate) struct Follow {
    host: Arc<SystemHost>,
    network: Arc<Network>,
    stripe_api: url::Url,
}

impl Follow {
    /// From now on the time is what the stand-in says.
    pub(crate) async fn look(&self) -> anyhow::Result<()> {
        self.host.follow(&self.network.stand_in_clock(&self.stripe_api).await?);
        Ok(())
    }
}

/// In a demo the time is the stand-in's, asked before each request: its history is walked on a moved clock.
async fn follow_clock(State(follow): State<Arc<Follow>>, request: Request, next: Next) -> Response {
    match follow.look().await {
        Ok(()) => next.run(request).await,
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
}
