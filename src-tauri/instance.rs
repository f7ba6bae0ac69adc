//! One app for one folder of data: a second start brings the first one's window, and hands its deep link over.
//!
//! With a folder of one's own (`AIKIT_DATA`) that is so on Linux, where the name that the starts find each other by can be
//! chosen; elsewhere such starts do not look for each other. In any case the folder itself is locked (`desk.lock`), so a
//! second app on the same data ends with a message.

use std::env;
use std::sync::Arc;

use desk::Desk;
use tauri::plugin::TauriPlugin;
use tauri::{AppHandle, Manager, Wry};
use tauri_plugin_deep_link::DeepLinkExt;

use crate::window;

/// What finds the first start; `None` where a folder of one's own cannot be told apart.
pub(crate) fn single() -> Option<TauriPlugin<Wry>> {
    // Deep links come by `listen`, from the first start and from all others.
    let single = tauri_plugin_single_instance::Builder::new().callback(|app, _, _| window::show(app));
    match env::var_os("AIKIT_DATA") {
        None => Some(single.build()),
        #[cfg(target_os = "linux")]
        Some(folder) => Some(single.dbus_id(name_of(&folder)).build()),
        #[cfg(not(target_os = "linux"))]
        Some(_) => None,
    }
}

/// A name on the session bus for a folder.
#[cfg(target_os = "linux")]
fn name_of(folder: &std::ffi::OsStr) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    format!("com.aikit.partners.data{:016x}", hasher.finish())
}

/// Opens what this start was given, and from now on what later starts and the system give.
pub(crate) fn listen(app: &AppHandle) {
    let handle = app.clone();
    app.deep_link().on_open_url(move |event| open(&handle, event.urls().iter().map(|url| url.as_str())));
    if let Ok(Some(urls)) = app.deep_link().get_current() {
        open(app, urls.iter().map(|url| url.as_str()));
    }
}

/// Opens a page for each link that is one; the rest is nobody's.
fn open<'a>(app: &AppHandle, links: impl Iterator<Item = &'a str>) {
    let Some(desk) = app.try_state::<Arc<Desk>>() else { return };
    if links.filter(|link| desk.open_link(link)).count() > 0 {
        window::show(app);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn each_folder_has_a_name_of_its_own() {
        let name = |folder: &str| name_of(folder.as_ref());
        assert_eq!(name("/tmp/a"), name("/tmp/a"));
        assert_ne!(name("/tmp/a"), name("/tmp/b"));
        let elements: Vec<String> = name("/tmp/é ß/..").split('.').map(str::to_owned).collect();
        let fits =
            |e: &String| e.chars().all(|c| c.is_ascii_alphanumeric()) && !e.starts_with(|c: char| c.is_ascii_digit());
        assert!(elements.iter().all(fits), "{elements:?}");
    }
}
