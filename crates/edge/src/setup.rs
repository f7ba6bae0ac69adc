//! The API out of the Worker's environment: the same configuration as the server's, by variables and secrets.

use std::sync::Arc;

use referral::App;
use referral::settings::{self, File};
use worker::Env;

use crate::d1::D1;
use crate::host::{EdgeHost, HttpMail, Network};

/// The API for one event: what an event opens ends with it.
///
/// # Errors
/// A sentence about what of the environment cannot be used.
pub(crate) async fn app(env: &Env) -> Result<(App, Arc<EdgeHost>), String> {
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
    let host = Arc::new(EdgeHost::default());
    if demo {
        host.follow(&config.stripe_api).await.map_err(|e| format!("the Stripe stand-in does not answer: {e}"))?;
    }
    let mail = Arc::new(HttpMail { provider, from });
    let app = App::new(Arc::new(D1::of(env, "DB")?), Arc::new(Network), mail, host.clone(), Arc::new(config));
    Ok((app, host))
}
