//! The window: what it may show, and what becomes of it when it is closed.

use std::env;
use std::error::Error;
use std::sync::Arc;

use desk::Desk;
use tauri::webview::NewWindowResponse;
use tauri::{App, AppHandle, Manager, Url, WebviewWindowBuilder, Window, WindowEvent};

use crate::tray;

const MAIN: &str = "main";
/// The argument that starts the app out of the way.
pub(crate) const MINIMISED: &str = "--minimised";

/// The window of `tauri.conf.json`, which shows the app's own pages and nothing else. Out of the way it is in the tray, or
/// minimised where there is none.
pub(crate) fn open(app: &App) -> Result<(), Box<dyn Error>> {
    let config = app.config().app.windows.first().ok_or("tauri.conf.json describes no window.")?;
    let dev_url = app.config().build.dev_url.clone().filter(|_| tauri::is_dev());
    let away = env::args_os().any(|arg| arg == MINIMISED) || app.state::<Arc<Desk>>().preferences().start_minimised;
    let in_tray = away && tray::is_there(app.handle());
    let window = WebviewWindowBuilder::from_config(app.handle(), config)?
        .visible(!in_tray)
        .on_navigation(move |url| is_own_page(url, dev_url.as_ref()))
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .build()?;
    if away && !in_tray {
        window.minimize()?;
    }
    Ok(())
}

/// Brings the window to the person.
pub(crate) fn show(app: &AppHandle) {
    let Some(window) = app.get_webview_window(MAIN) else { return };
    // A window manager may refuse each of these; there is nothing more to do then.
    let _ = window.show();
    let _ = window.unminimize();
    let _ = window.set_focus();
}

/// A window that is closed goes into the tray where there is one and the person chose so; else the app ends with it.
pub(crate) fn on_event(window: &Window, event: &WindowEvent) {
    let WindowEvent::CloseRequested { api, .. } = event else { return };
    let app = window.app_handle();
    let stays = app.try_state::<Arc<Desk>>().is_some_and(|desk| desk.preferences().keep_in_tray);
    if stays && tray::is_there(app) && window.hide().is_ok() {
        api.prevent_close();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_goes_to_its_own_pages_alone() {
        let dev = Url::parse("http://localhost:1420").unwrap();
        for (url, bundled, developing) in [
            ("tauri://localhost/index.html#/runs", true, true),
            ("http://localhost:1420/", false, true),
            ("http://localhost:1421/", false, false),
            ("https://localhost:1420/", false, false),
            ("tauri://evil.example/", false, false),
            ("tauri://localhost.evil.example/", false, false),
            ("https://tauri.localhost.evil.example/", false, false),
            ("https://example.com/", false, false),
            ("file:///etc/passwd", false, false),
            ("data:text/html,x", false, false),
            ("javascript:alert(1)", false, false),
            ("about:blank", false, false),
            ("blob:tauri://localhost/0e8f", false, false),
            ("aikit-partners://open/overview", false, false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_own_page(&url, None), bundled, "{url}");
            assert_eq!(is_own_page(&url, Some(&dev)), developing, "{url}");
        }
    }
}
