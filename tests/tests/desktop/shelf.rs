//! What a desktop shows besides windows: a tray and notifications. These are for a test, on the session bus of its computer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use zbus::blocking::{Connection, Proxy, connection};
use zbus::message::Header;
use zbus::zvariant::{OwnedValue, Value};

use crate::computer::await_or;

/// An entry of a tray menu: id, properties, entries below it.
type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

/// Where the desktop's notifications are.
const NOTES: &str = "org.freedesktop.Notifications";
const NOTES_PATH: &str = "/org/freedesktop/Notifications";

/// A tray that shows icons, and a place for notifications.
pub(crate) struct Shelf {
    bus: Connection,
    /// Title and text of each notification; its number is its place, from 1 on.
    notes: Arc<Mutex<Vec<(String, String)>>>,
    /// Bus name and path of what is in it.
    icons: Arc<Mutex<Vec<(String, String)>>>,
}

/// An entry of a tray menu.
#[derive(Debug)]
struct Entry {
    id: i32,
    text: String,
}

struct Watcher {
    icons: Arc<Mutex<Vec<(String, String)>>>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: &str, #[zbus(header)] header: Header<'_>) {
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        self.icons.lock().unwrap_or_else(PoisonError::into_inner).push((sender, service.to_owned()));
    }

    fn register_status_notifier_host(&self, _service: &str) {}

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

struct Notes {
    shown: Arc<Mutex<Vec<(String, String)>>>,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notes {
    #[expect(clippy::too_many_arguments, reason = "as the desktop's specification has it")]
    fn notify(
        &self,
        _app: &str,
        _replaces: u32,
        _icon: &str,
        title: &str,
        text: &str,
        _actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _expires_ms: i32,
    ) -> u32 {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.push((title.to_owned(), text.to_owned()));
        u32::try_from(shown.len()).unwrap_or_default()
    }

    fn get_capabilities(&self) -> Vec<String> {
        ["actions", "body", "body-markup"].map(str::to_owned).to_vec()
    }

    fn get_server_information(&self) -> (String, String, String, String) {
        ("shelf".into(), "test".into(), "1".into(), "1.2".into())
    }

    fn close_notification(&self, _id: u32) {}
}

impl Shelf {
    /// Puts both on a bus.
    pub(crate) fn on(address: &str) -> Result<Self> {
        let (icons, notes) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let watcher = Watcher { icons: Arc::clone(&icons) };
        let bus = connection::Builder::address(address)?
            .serve_at("/StatusNotifierWatcher", watcher)?
            .serve_at(NOTES_PATH, Notes { shown: Arc::clone(&notes) })?
            .name("org.kde.StatusNotifierWatcher")?
            .name(NOTES)?
            .build()?;
        Ok(Self { bus, notes, icons })
    }

    /// Every notification so far.
    pub(crate) fn notes(&self) -> Vec<(String, String)> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a notification with that in its text, and clicks on it.
    pub(crate) fn click_note(&self, text: &str) -> Result<()> {
        let found = || self.notes().iter().position(|(_, shown)| shown.contains(text));
        let place = await_or(found, || format!("no notification says {text:?}: {:?}", self.notes()))?;
        let number = u32::try_from(place + 1)?;
        self.bus.emit_signal(None::<&str>, NOTES_PATH, NOTES, "ActionInvoked", &(number, "default"))?;
        Ok(())
    }

    fn menu(&self) -> Option<Proxy<'_>> {
        let (owner, path) = self.icons.lock().unwrap_or_else(PoisonError::into_inner).last()?.clone();
        let item = Proxy::new(&self.bus, owner.clone(), path, "org.kde.StatusNotifierItem").ok()?;
        let menu: zbus::zvariant::OwnedObjectPath = item.get_property("Menu").ok()?;
        Proxy::new(&self.bus, owner, menu, "com.canonical.dbusmenu").ok()
    }

    fn entries(&self) -> Option<Vec<Entry>> {
        let (_, layout): (u32, Layout) = self.menu()?.call("GetLayout", &(0_i32, -1_i32, Vec::<String>::new())).ok()?;
        let below = layout.2.into_iter().filter_map(|one| {
            let (id, properties, _): Layout = Value::from(one).downcast().ok()?;
            let text: String = Value::from(properties.get("label")?.try_clone().ok()?).downcast().ok()?;
            // An underscore marks a key.
            Some(Entry { id, text: text.replace('_', "") })
        });
        Some(below.collect())
    }

    /// Waits for an entry of the app's menu, and answers what it says.
    pub(crate) fn entry(&self, is: impl Fn(&str) -> bool) -> Result<String> {
        let found = || self.entries()?.into_iter().map(|entry| entry.text).find(|text| is(text));
        await_or(found, || format!("the tray has no such entry, but {:?}", self.entries()))
    }

    /// Chooses an entry. The app may make its menu anew meanwhile, with other numbers.
    pub(crate) fn choose(&self, is: impl Fn(&str) -> bool) -> Result<()> {
        let chosen = || {
            let entry = self.entries()?.into_iter().find(|entry| is(&entry.text))?;
            self.menu()?.call::<_, _, ()>("Event", &(entry.id, "clicked", Value::from(0_i32), 0_u32)).ok()
        };
        await_or(chosen, || format!("the tray has no such entry, but {:?}", self.entries()))
    }
}
