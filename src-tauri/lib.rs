//! The shell of the desktop app: a window, what is around it, and the way from its page to the [`desk`]. All that the app
//! knows and decides is there; this is the only code that names the window toolkit.
//!
//! Environment: `AIKIT_API` is the address of the API, `AIKIT_DATA` the folder of the app's files, `STRIPE_API_BASE` the address of
//! a stand-in for Stripe on this computer (test keys only). Arguments: `--minimised` starts out of the way, and an address
//! `aikit-partners://open/…` opens that page.

mod around;
mod display;
mod instance;
mod ipc;
mod menu;
mod news;
mod tray;
mod window;

use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use desk::{Config, Desk, Host, OsKeychain};
use tauri::{App, Manager, Url};
use tauri_plugin_window_state::StateFlags;

/// Shows the window and returns when the app is ended. The error is for the person who started it.
pub fn run() -> Result<(), Box<dyn Error>> {
    display::is_needed()?;
    let mut builder = tauri::Builder::default().invoke_handler(tauri::generate_handler![ipc::rpc]);
    // Before all others, so that a second start ends before it does anything.
    if let Some(single) = instance::single() {
        builder = builder.plugin(single);
    }
    let remembered = StateFlags::SIZE | StateFlags::POSITION | StateFlags::MAXIMIZED;
    let app = builder
        .plugin(tauri_plugin_deep_link::init())
        .plugin(tauri_plugin_notification::init())
        .plugin(tauri_plugin_dialog::init())
        .plugin(tauri_plugin_autostart::Builder::new().arg(window::MINIMISED).build())
        .plugin(tauri_plugin_window_state::Builder::new().with_state_flags(remembered).build())
        .on_menu_event(|app, event| menu::chosen(app, event.id().as_ref()))
        .on_window_event(window::on_event)
        .build(tauri::generate_context!())?;
    // Before the window, so that a start with a folder in use ends here with a plain message.
    app.manage(Arc::new(open_desk(&app)?));
    tray::set_up(app.handle());
    window::open(&app)?;
    instance::listen(app.handle());
    news::listen(app.handle());
    app.run(|_app, _event| {
        #[cfg(target_os = "macos")]
        if let tauri::RunEvent::Reopen { .. } = _event {
            window::show(_app);
        }
    });
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
    let host = Host {
        version: app.package_info().version.to_string(),
        open: Box::new(open),
        downloads,
        shell: Arc::new(around::Around::new(app.handle())),
    };
    let config = Config::new(api.as_deref(), data)?.with_stripe(env::var("STRIPE_API_BASE").ok());
    Ok(Desk::open(config, host, Arc::new(OsKeychain))?)
}
