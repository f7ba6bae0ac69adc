//! The API out of the Worker's environment: the same configuration as the server's, by variables and secrets.

use std::cell::RefCell;
use std::sync::Arc;

use axum::Router;
use referral::App;
use referral::ports::Host as _;
use referral::settings::{self, File};
use worker::Env;

use crate::d1::D1;
use crate::host::{EdgeHost, HttpMail, Network};

/// The API of this isolate.
#[derive(Clone)]
pub(crate) struct Api {
    pub app: App,
    pub host: Arc<EdgeHost>,
    pub router: Router,
    /// Slices of agencies that one trigger drafts.
    pub draft_slices: usize,
}

/// A slice asks D1 some fifteen times, and an invocation of the paid plan may ask it a thousand times.
const DRAFT_SLICES: usize = 40;

thread_local! {
    /// Made once: a router of so many routes is too much for each request.
    static API: RefCell<Option<Api>> = const { RefCell::new(None) };
}

/// The API, made when the first event of the isolate comes.
///
/// # Errors
/// A sentence about what of the environment cannot be used.
pub(crate) async fn api(env: &Env) -> Result<Api, String> {
    let known = API.with_borrow(Clone::clone);
    let api = match known {
        Some(api) => api,
        None => {
            let api = made(env)?;
            API.set(Some(api.clone()));
            // An isolate that was cut off while it read has left the rest.
            let reader = api.app.clone();
            api.host.later(Box::pin(async move {
                if let Err(error) = referral::take_over_inbox(&reader).await {
                    worker::console_error!("stored events wait: {}", error.message);
                }
            }));
            api
        }
    };
    let config = &api.app.config;
    if config.demo {
        let followed = api.host.follow(&config.stripe_api).await;
        followed.map_err(|e| format!("the Stripe stand-in does not answer: {e}"))?;
    }
    Ok(api)
}

fn made(env: &Env) -> Result<Api, String> {
    let variable = |name: &str| env.var(name).ok().map(|v| v.to_string()).filter(|v| !v.is_empty());
    let mut file: File = match variable("AIKIT_CONFIG") {
        Some(text) => toml::from_str(&text).map_err(|e| format!("the variable AIKIT_CONFIG cannot be used: {e}"))?,
        None => File::default(),
    };
    file.terms_text = variable("AIKIT_TERMS");
    let demo = variable("AIKIT_DEMO").is_some();
    let from = file.mail_from.clone();
    let config = settings::build(file, 8787, demo, variable).map_err(|e| format!("{e:#}"))?;
    let provider = match (variable("MAIL_API_URL"), variable("MAIL_API_KEY")) {
        (Some(url), Some(key)) => Some((url.parse().map_err(|_| "MAIL_API_URL is not an address")?, key)),
        (None, None) => None,
        _ => return Err("MAIL_API_URL and MAIL_API_KEY belong together".into()),
    };
    let draft_slices = match variable("DRAFT_SLICES").map(|n| n.parse()) {
        None => DRAFT_SLICES,
        Some(Ok(n)) if n > 0 => n,
        Some(_) => {
            return Err("DRAFT_SLICES is a number above zero: slices of 400 agencies that one trigger drafts".into());
        }
    };
    let host = Arc::new(EdgeHost::default());
    let mail = Arc::new(HttpMail { provider, from });
    let app = App::new(Arc::new(D1::of(env, "DB")?), Arc::new(Network), mail, host.clone(), Arc::new(config));
    Ok(Api { router: referral::router(app.clone()), app, host, draft_slices })
}
