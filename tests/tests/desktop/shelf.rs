//! What a desktop shows besides windows: a tray. This one is for a test, on the session bus of its computer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use zbus::blocking::{Connection, Proxy, connection};
use zbus::message::Header;
use zbus::zvariant::{OwnedValue, Value};

use crate::computer::await_or;

/// An entry of a tray menu: id, properties, entries below it.
type Layout = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

/// A tray that shows icons.
pub(crate) struct Shelf {
    bus: Connection,
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

impl Shelf {
    /// Puts the tray on a bus.
    pub(crate) fn on(address: &str) -> Result<Self> {
        let icons = Arc::new(Mutex::new(Vec::new()));
        let watcher = Watcher { icons: Arc::clone(&icons) };
        let bus = connection::Builder::address(address)?
            .serve_at("/StatusNotifierWatcher", watcher)?
            .name("org.kde.StatusNotifierWatcher")?
            .build()?;
        Ok(Self { bus, icons })
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
