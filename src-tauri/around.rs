//! What is around the window, as the desk asks for it.

use std::env;
use std::path::PathBuf;

use desk::{SavePath, Shell};
use tauri::{AppHandle, Manager};
use tauri_plugin_autostart::ManagerExt;
use tauri_plugin_dialog::DialogExt;

use crate::tray;

pub(crate) struct Around {
    app: AppHandle,
}

impl Around {
    pub(crate) fn new(app: &AppHandle) -> Self {
        Self { app: app.clone() }
    }
}

impl Shell for Around {
    fn has_tray(&self) -> bool {
        tray::is_there(&self.app)
    }

    fn at_login(&self) -> Option<bool> {
        // What starts with the computer starts without this environment, and would be another app than this one.
        if env::var_os("AIKIT_DATA").is_some() || env::var_os("AIKIT_API").is_some() {
            return None;
        }
        self.app.autolaunch().is_enabled().ok()
    }

    fn set_at_login(&self, on: bool) -> Result<(), String> {
        let autolaunch = self.app.autolaunch();
        if on { autolaunch.enable() } else { autolaunch.disable() }.map_err(|error| error.to_string())
    }

    fn ask_where(&self, name: &str) -> Option<SavePath<'_>> {
        let mut dialog = self.app.dialog().file().set_title("Save").set_file_name(name);
        if let Ok(folder) = self.app.path().download_dir() {
            dialog = dialog.set_directory(folder);
        }
        if let Some(window) = self.app.get_webview_window("main") {
            dialog = dialog.set_parent(&window);
        }
        let (answer, mut answered) = tauri::async_runtime::channel::<Option<PathBuf>>(1);
        dialog.save_file(move |chosen| {
            let _ = answer.try_send(chosen.and_then(|path| path.into_path().ok()));
        });
        Some(Box::pin(async move { answered.recv().await.flatten() }))
    }
}
