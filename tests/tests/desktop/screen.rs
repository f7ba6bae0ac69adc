//! The screen of a computer: which windows are seen, and their closing as by the button of a window manager.

use anyhow::{Context as _, Result, ensure};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageData, ClientMessageEvent, ConnectionExt as _, EventMask, InputFocus, KEY_PRESS_EVENT,
    KEY_RELEASE_EVENT, MapState, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::computer::await_or;

/// What the app's window is called.
pub(crate) const MAIN: &str = "AIKit Partners";

/// A screen.
pub(crate) struct Screen {
    x: RustConnection,
    root: Window,
}

impl Screen {
    /// The screen of that name, `:99`.
    pub(crate) fn of(display: &str) -> Result<Self> {
        let (x, number) = x11rb::connect(Some(display))?;
        let root = x.setup().roots.get(number).context("the display has no screen")?.root;
        Ok(Self { x, root })
    }

    fn atom(&self, name: &str) -> Result<u32> {
        Ok(self.x.intern_atom(false, name.as_bytes())?.reply()?.atom)
    }

    /// The app's windows of that name, and whether each is seen.
    fn windows(&self, name: &str) -> Result<Vec<(Window, bool)>> {
        let mut found = Vec::new();
        for window in self.x.query_tree(self.root)?.reply()?.children {
            let title = self.x.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 64)?.reply()?.value;
            let attributes = self.x.get_window_attributes(window)?.reply()?;
            // Some of a toolkit's windows are never for anybody to see.
            let protocols = self.x.get_property(false, window, self.atom("WM_PROTOCOLS")?, AtomEnum::ATOM, 0, 8)?;
            if title == name.as_bytes() && !attributes.override_redirect && protocols.reply()?.value_len > 0 {
                found.push((window, attributes.map_state == MapState::VIEWABLE));
            }
        }
        Ok(found)
    }

    /// The one window of that name that is seen.
    fn window(&self, name: &str) -> Result<Window> {
        let seen: Vec<Window> =
            self.windows(name)?.into_iter().filter(|(_, seen)| *seen).map(|(window, _)| window).collect();
        ensure!(seen.len() == 1, "one window should be seen, and {} are", seen.len());
        Ok(seen[0])
    }

    /// Presses keys together in a window, by their names in X: 0xffe3 is Ctrl.
    pub(crate) fn press(&self, name: &str, keys: &[u32]) -> Result<()> {
        self.x.set_input_focus(InputFocus::PARENT, self.window(name)?, x11rb::CURRENT_TIME)?.check()?;
        let (least, most) = (self.x.setup().min_keycode, self.x.setup().max_keycode);
        let map = self.x.get_keyboard_mapping(least, most - least + 1)?.reply()?;
        let each = usize::from(map.keysyms_per_keycode);
        let code = |key: &u32| {
            let place = map.keysyms.iter().position(|known| known == key).context("the keyboard has no such key")?;
            Ok(least + u8::try_from(place / each)?)
        };
        let codes = keys.iter().map(code).collect::<Result<Vec<u8>>>()?;
        for code in &codes {
            self.x.xtest_fake_input(KEY_PRESS_EVENT, *code, 0, self.root, 0, 0, 0)?.check()?;
        }
        for code in codes.iter().rev() {
            self.x.xtest_fake_input(KEY_RELEASE_EVENT, *code, 0, self.root, 0, 0, 0)?.check()?;
        }
        Ok(())
    }

    /// Waits until a window of the app is seen, or none is.
    pub(crate) fn shows(&self, name: &str, shows: bool) -> Result<()> {
        let seen = || self.windows(name).ok()?.iter().any(|(_, seen)| *seen).eq(&shows).then_some(());
        await_or(seen, || {
            format!("a window {name:?} should{} be seen: {:?}", if shows { "" } else { " not" }, self.windows(name))
        })
    }

    /// Answers a dialog with a key. One that is not ready for it yet is asked again.
    pub(crate) fn answer(&self, name: &str, key: u32) -> Result<()> {
        self.shows(name, true)?;
        let mut tries = 0_u32;
        let gone = || {
            let seen = self.windows(name).ok()?.iter().any(|(_, seen)| *seen);
            // A dialog that goes meanwhile takes no key.
            if seen && tries.is_multiple_of(25) {
                let _gone = self.press(name, &[key]);
            }
            tries += 1;
            (!seen).then_some(())
        };
        await_or(gone, || format!("the dialog {name:?} takes no answer"))
    }

    /// Asks the app to close its window, as the button of a window manager does.
    pub(crate) fn close_window(&self) -> Result<()> {
        let window = self.window(MAIN)?;
        let (protocols, delete) = (self.atom("WM_PROTOCOLS")?, self.atom("WM_DELETE_WINDOW")?);
        let data = ClientMessageData::from([delete, x11rb::CURRENT_TIME, 0, 0, 0]);
        let message = ClientMessageEvent::new(32, window, protocols, data);
        self.x.send_event(false, window, EventMask::NO_EVENT, message)?.check()?;
        Ok(())
    }
}
