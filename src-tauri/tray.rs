//! The tray: this month's figure and the link, where the desktop has a tray.

use std::sync::atomic::{AtomicBool, Ordering};

use desk::{COPY_LINK, Standing};
use tauri::menu::MenuBuilder;
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Manager, Wry};

use crate::menu;

const ID: &str = "tray";

/// Whether something on this desktop shows tray icons, as far as was seen last.
struct Seen(AtomicBool);

/// Whether the app is in a tray now.
pub(crate) fn is_there(app: &AppHandle) -> bool {
    app.tray_by_id(ID).is_some() && app.try_state::<Seen>().is_some_and(|seen| seen.0.load(Ordering::SeqCst))
}

/// Looks for a tray, and goes into it. Without one the app is as it is without.
pub(crate) fn set_up(app: &AppHandle) {
    app.manage(Seen(AtomicBool::new(false)));
    seen(app, has_host());
}

/// Looks again: the program that shows the tray may have come later, or gone.
pub(crate) async fn look_again(app: &AppHandle) {
    // A desktop that does not answer must hold up nobody but this look.
    let host = tauri::async_runtime::spawn_blocking(has_host).await.unwrap_or(false);
    seen(app, host);
}

fn seen(app: &AppHandle, host: bool) {
    if host && app.tray_by_id(ID).is_none() && build(app).is_err() {
        return;
    }
    if let Some(seen) = app.try_state::<Seen>() {
        seen.0.store(host, Ordering::SeqCst);
    }
}

fn build(app: &AppHandle) -> tauri::Result<TrayIcon<Wry>> {
    let mut builder = TrayIconBuilder::with_id(ID).tooltip("AIKit Partners");
    if let Some(icon) = app.default_window_icon() {
        builder = builder.icon(icon.clone());
    }
    let tray = builder.build(app)?;
    fill(app, &tray, &Standing::default())?;
    Ok(tray)
}

/// Shows what stands.
pub(crate) fn show(app: &AppHandle, standing: &Standing) -> tauri::Result<()> {
    app.tray_by_id(ID).map_or(Ok(()), |tray| fill(app, &tray, standing))
}

fn fill(app: &AppHandle, tray: &TrayIcon<Wry>, standing: &Standing) -> tauri::Result<()> {
    let mut builder = MenuBuilder::new(app);
    if let Some(figure) = &standing.figure {
        builder = builder.item(&menu::item(app, "overview", figure, None)?);
    }
    if standing.link {
        builder = builder.item(&menu::item(app, COPY_LINK.id, COPY_LINK.text, None)?).separator();
    }
    let builder = builder.item(&menu::item(app, menu::SHOW, "Open AIKit Partners", None)?);
    tray.set_menu(Some(builder.item(&menu::quit(app)?).build()?))?;
    tray.set_tooltip(Some(standing.figure.as_deref().unwrap_or("AIKit Partners")))
}

/// On Linux a program of the desktop shows tray icons, and announces itself on the session bus.
#[cfg(target_os = "linux")]
fn has_host() -> bool {
    use std::time::Duration;

    let ask = || -> zbus::Result<bool> {
        let bus = zbus::blocking::connection::Builder::session()?.method_timeout(Duration::from_secs(1)).build()?;
        let watcher = "org.kde.StatusNotifierWatcher";
        let proxy = zbus::blocking::Proxy::new(&bus, watcher, "/StatusNotifierWatcher", watcher)?;
        proxy.get_property("IsStatusNotifierHostRegistered")
    };
    ask().unwrap_or(false)
}

#[cfg(not(target_os = "linux"))]
fn has_host() -> bool {
    true
}
