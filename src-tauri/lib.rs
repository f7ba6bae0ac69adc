//! The shell of the desktop app: a window, and the way from its page to the [`desk`]. All that the app knows and does is
//! there; this is the only code that names the window toolkit.
//!
//! Environment: `AIKIT_API` is the address of the API, `AIKIT_DATA` the folder of the app's files, `STRIPE_API_BASE` the address of
//! a stand-in for Stripe on this computer (test keys only).

mod ipc;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::{env, io};

use desk::{Config, Desk, Host, OsKeychain};
use tauri::webview::NewWindowResponse;
use tauri::{App, Manager, Url, WebviewWindowBuilder};
use tauri_plugin_window_state::StateFlags;

/// Shows the window and returns when it is closed. The error is for the person who started the app.
pub fn run() -> Result<(), Box<dyn Error>> {
    needs_a_display()?;
    let mut builder = tauri::Builder::default().invoke_handler(tauri::generate_handler![ipc::rpc]);
    // A driven window has the same size at every run.
    if env::var_os("TAURI_WEBVIEW_AUTOMATION").is_none() {
        let remembered = StateFlags::SIZE | StateFlags::POSITION | StateFlags::MAXIMIZED;
        builder = builder.plugin(tauri_plugin_window_state::Builder::new().with_state_flags(remembered).build());
    }
    let app = builder.build(tauri::generate_context!())?;
    // Before the window, so that a second start ends here with a plain message.
    app.manage(open_desk(&app)?);
    open_window(&app)?;
    app.run(|_, _| {});
    Ok(())
}

fn open_desk(app: &App) -> Result<Desk, Box<dyn Error>> {
    let data = match env::var_os("AIKIT_DATA") {
        Some(folder) => PathBuf::from(folder),
        None => app.path().app_local_data_dir()?,
    };
    let api = env::var("AIKIT_API").ok();
    let open = |url: &Url| tauri_plugin_opener::open_url(url.as_str(), None::<&str>).map_err(|e| e.to_string());
    // A desktop without a folder of downloads has a home.
    let downloads = app.path().download_dir().or_else(|_| app.path().home_dir())?;
    let host = Host { version: app.package_info().version.to_string(), open: Box::new(open), downloads };
    let config = Config::new(api.as_deref(), data)?.with_stripe(env::var("STRIPE_API_BASE").ok());
    Ok(Desk::open(config, host, Arc::new(OsKeychain))?)
}

/// The window of `tauri.conf.json`, which shows the app's own pages and nothing else.
fn open_window(app: &App) -> Result<(), Box<dyn Error>> {
    let config = app.config().app.windows.first().ok_or("tauri.conf.json describes no window.")?;
    let dev_url = app.config().build.dev_url.clone().filter(|_| tauri::is_dev());
    WebviewWindowBuilder::from_config(app.handle(), config)?
        .on_navigation(move |url| is_own_page(url, dev_url.as_ref()))
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()?;
    Ok(())
}

/// The address is one of the bundled pages, or of the development server while developing.
fn is_own_page(url: &Url, dev_url: Option<&Url>) -> bool {
    let bundled = match (url.scheme(), url.host_str()) {
        ("tauri", Some("localhost")) => true,
        // The form that the same address takes on Windows.
        ("http" | "https", Some("tauri.localhost")) => cfg!(windows),
        _ => false,
    };
    bundled || dev_url.is_some_and(|dev| dev.origin() == url.origin())
}

/// Says so when there is no display, where the toolkit would only give up.
fn needs_a_display() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        if !set("DISPLAY") && !set("WAYLAND_DISPLAY") {
            return Err(io::Error::other(
                "AIKit Partners needs a display for its window, and neither DISPLAY nor WAYLAND_DISPLAY is set. \
                 Start it from a desktop session, or use the web dashboard at the API's address.",
            ));
        }
        // A display that is named but not there ends the toolkit with a panic of its own words.
        std::panic::set_hook(Box::new(|panic| {
            let text = panic.to_string();
            if text.to_lowercase().contains("gtk") {
                let display = env::var("WAYLAND_DISPLAY").or(env::var("DISPLAY")).unwrap_or_default();
                eprintln!("AIKit Partners cannot open its window on the display {display}. Check that it is running.");
            } else {
                eprintln!("AIKit Partners has ended because of a fault of its own. Please report this: {text}");
            }
        }));
    }
    Ok(())
}
