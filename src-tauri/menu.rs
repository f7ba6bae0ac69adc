//! The menu, and what happens when something in it or in the tray is chosen.

use std::sync::{Arc, Mutex, PoisonError};

use arboard::Clipboard;
use desk::{Command, Desk, MenuItem, Standing, command_of};
use tauri::menu::{IsMenuItem, Menu, MenuItemBuilder, Submenu, SubmenuBuilder};
use tauri::{AppHandle, Manager, Wry};

use crate::window;

const QUIT: &str = "quit";
/// The item that brings the window.
pub(crate) const SHOW: &str = "show";

/// Does what was chosen.
pub(crate) fn chosen(app: &AppHandle, id: &str) {
    match (id, command_of(id)) {
        (QUIT, _) => app.exit(0),
        (SHOW, _) => window::show(app),
        (_, Some(command)) => {
            if command != Command::CopyLink {
                window::show(app);
            }
            let app = app.clone();
            tauri::async_runtime::spawn(async move {
                let desk = Arc::clone(&app.state::<Arc<Desk>>());
                if let Some(text) = desk.command(command).await {
                    match copy(&app, text) {
                        Ok(()) => desk.say("Your link is copied.".to_owned(), false),
                        Err(why) => desk.say(format!("The clipboard cannot be used ({why})."), true),
                    }
                }
            });
        }
        _ => {}
    }
}

/// The clipboard, for as long as the app runs: on some systems what was copied is gone with whoever copied it.
#[derive(Default)]
struct Copied(Mutex<Option<Clipboard>>);

fn copy(app: &AppHandle, text: String) -> Result<(), String> {
    app.manage(Copied::default());
    let copied = app.state::<Copied>();
    let mut clipboard = copied.0.lock().unwrap_or_else(PoisonError::into_inner);
    if clipboard.is_none() {
        *clipboard = Some(Clipboard::new().map_err(|error| error.to_string())?);
    }
    clipboard.as_mut().map_or(Ok(()), |clipboard| clipboard.set_text(text).map_err(|error| error.to_string()))
}

/// An item of the desk's, or of the shell's own.
pub(crate) fn item(
    app: &AppHandle,
    id: &str,
    text: &str,
    keys: Option<&str>,
) -> tauri::Result<tauri::menu::MenuItem<Wry>> {
    let mut builder = MenuItemBuilder::with_id(id, text);
    if let Some(keys) = keys {
        builder = builder.accelerator(keys);
    }
    builder.build(app)
}

/// Ends the app.
pub(crate) fn quit(app: &AppHandle) -> tauri::Result<tauri::menu::MenuItem<Wry>> {
    item(app, QUIT, "Quit AIKit Partners", Some("CmdOrCtrl+Q"))
}

/// Shows the menu of whoever is signed in.
pub(crate) fn show(app: &AppHandle, standing: &Standing) -> tauri::Result<()> {
    let (pages, more): (Vec<&MenuItem>, Vec<&MenuItem>) =
        standing.menu.iter().partition(|item| matches!(item.command, Command::Page(_)) && item.id != desk::SETTINGS.id);
    let mut menus: Vec<Submenu<Wry>> = vec![submenu(app, "AIKit Partners", &more, Some(quit(app)?))?];
    // On a Mac the keys of a text field come from its menu; elsewhere the field has them.
    #[cfg(target_os = "macos")]
    menus.push(SubmenuBuilder::new(app, "Edit").undo().redo().separator().cut().copy().paste().select_all().build()?);
    if !pages.is_empty() {
        menus.push(submenu(app, "Go", &pages, None)?);
        menus.push(submenu(app, "Help", &[&desk::KEYS], None)?);
    }
    let menus: Vec<&dyn IsMenuItem<Wry>> = menus.iter().map(|menu| menu as &dyn IsMenuItem<Wry>).collect();
    app.set_menu(Menu::with_items(app, &menus)?)?;
    Ok(())
}

fn submenu(
    app: &AppHandle,
    title: &str,
    items: &[&MenuItem],
    last: Option<tauri::menu::MenuItem<Wry>>,
) -> tauri::Result<Submenu<Wry>> {
    let mut builder = SubmenuBuilder::new(app, title);
    for one in items {
        builder = builder.item(&item(app, one.id, one.text, one.keys)?);
    }
    if let Some(last) = last {
        if !items.is_empty() {
            builder = builder.separator();
        }
        builder = builder.item(&last);
    }
    builder.build()
}
