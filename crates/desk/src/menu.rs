//! The app's menu and its tray: what is in them for whom. Pure; the shell shows them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use wire::{Account, Role};

use crate::deep::Place;
use crate::words::{money, month};

/// What a menu, the tray or a key can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Show a page.
    Page(&'static str),
    /// Put the agency's main link on the clipboard.
    CopyLink,
    /// Show the sheet of keys.
    Keys,
    /// Lock the window.
    Lock,
}

/// A line of a menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MenuItem {
    /// What it does.
    pub command: Command,
    /// Name of the command, for the way through the menu and back: [`command_of`].
    pub id: &'static str,
    /// What it says.
    pub text: &'static str,
    /// Its keys, as the toolkit writes them; `CmdOrCtrl` is ⌘ on a Mac.
    pub keys: Option<&'static str>,
}

const fn item(command: Command, id: &'static str, text: &'static str, keys: Option<&'static str>) -> MenuItem {
    MenuItem { command, id, text, keys }
}

const OVERVIEW: MenuItem = item(Command::Page("overview"), "overview", "Overview", Some("CmdOrCtrl+1"));
const LINKS: MenuItem = item(Command::Page("links"), "links", "Links", Some("CmdOrCtrl+2"));
const CLIENTS: MenuItem = item(Command::Page("clients"), "clients", "Clients", Some("CmdOrCtrl+3"));
const WHAT_IF: MenuItem = item(Command::Page("what-if"), "what-if", "What-if", Some("CmdOrCtrl+4"));
const PAYOUTS: MenuItem = item(Command::Page("payouts"), "payouts", "Payouts", Some("CmdOrCtrl+5"));
const RESOURCES: MenuItem = item(Command::Page("resources"), "resources", "Resources", Some("CmdOrCtrl+6"));
const RUNS: MenuItem = item(Command::Page("runs"), "runs", "Runs", Some("CmdOrCtrl+1"));
const REVIEWS: MenuItem = item(Command::Page("reviews"), "reviews", "Reviews", Some("CmdOrCtrl+2"));
const PARTNERS: MenuItem = item(Command::Page("partners"), "partners", "Partners", Some("CmdOrCtrl+3"));
const RECONCILIATION: MenuItem =
    item(Command::Page("reconciliation"), "reconciliation", "Reconciliation", Some("CmdOrCtrl+4"));
const MATERIAL: MenuItem = item(Command::Page("material"), "material", "Material", Some("CmdOrCtrl+5"));
/// The page of this computer's settings.
pub const SETTINGS: MenuItem = item(Command::Page("settings"), "settings", "Settings …", Some("CmdOrCtrl+,"));
/// The agency's main link.
pub const COPY_LINK: MenuItem = item(Command::CopyLink, "copy_link", "Copy my link", Some("CmdOrCtrl+Shift+C"));
/// The sheet of keys.
pub const KEYS: MenuItem = item(Command::Keys, "keys", "Keys", Some("CmdOrCtrl+/"));
const LOCK: MenuItem = item(Command::Lock, "lock", "Lock the window", Some("CmdOrCtrl+Shift+L"));

/// The pages of an agency, and those of AIKit's own people; beside them, for whoever keeps it, the material.
const PAGES: [MenuItem; 6] = [OVERVIEW, LINKS, CLIENTS, WHAT_IF, PAYOUTS, RESOURCES];
const PAGES_OF_OURS: [MenuItem; 4] = [RUNS, REVIEWS, PARTNERS, RECONCILIATION];

/// The command of a menu item that was chosen.
pub fn command_of(id: &str) -> Option<Command> {
    let pages = PAGES.into_iter().chain(PAGES_OF_OURS).chain([MATERIAL]);
    pages.chain([SETTINGS, COPY_LINK, KEYS, LOCK]).find(|item| item.id == id).map(|item| item.command)
}

/// What the tray takes from an agency's overview.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Glance {
    /// The running month.
    pub(crate) month: String,
    /// The main link.
    pub(crate) link_url: String,
    pub(crate) estimate: Estimate,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Estimate {
    pub(crate) total_minor: i64,
}

/// Who works for AIKit, and not for an agency.
pub(crate) fn is_ours(account: &Account) -> bool {
    !matches!(account.role, Role::Owner | Role::Member)
}

/// What stands in the menu and the tray at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The pages of whoever is signed in, and what else they can do.
    pub menu: Vec<MenuItem>,
    /// This month's figure, for an agency.
    pub figure: Option<String>,
    /// There is a link to copy.
    pub link: bool,
}

/// What is shown to whom; nothing of it in a window that is locked.
pub(crate) fn standing(account: Option<&Account>, glance: Option<&Glance>, locked: bool) -> Standing {
    let Some(account) = account.filter(|_| !locked) else { return Standing::default() };
    if is_ours(account) {
        let material = matches!(account.role, Role::Staff | Role::Admin).then_some(MATERIAL);
        let menu = PAGES_OF_OURS.into_iter().chain(material).chain([SETTINGS, LOCK]).collect();
        return Standing { menu, figure: None, link: false };
    }
    let figure = glance.map(|g| format!("{}: {} so far", month(&g.month), money(g.estimate.total_minor)));
    let menu = PAGES.into_iter().chain([COPY_LINK, SETTINGS]).collect();
    Standing { menu, figure, link: glance.is_some() }
}

/// What happened outside of the page that the page should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// Show a page.
    Open {
        /// Its address, `#/payouts`.
        address: String,
    },
    /// Show a sentence for a moment.
    Say {
        /// The sentence.
        text: String,
        /// It says what did not work.
        bad: bool,
    },
    /// Show the sheet of keys.
    Keys,
    /// The window is locked.
    Locked,
}

impl Event {
    pub(crate) fn open(place: &Place) -> Self {
        Event::Open { address: place.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(role: Role) -> Account {
        let auth_at = chrono::DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        Account { user: "u".into(), email: "u@x.example".into(), role, partner: None, auth_at }
    }

    #[test]
    fn a_menu_holds_what_its_person_may_see() {
        let menu = |role| {
            let ids: Vec<_> = standing(Some(&account(role)), None, false).menu.iter().map(|i| i.id).collect();
            ids.join(" ")
        };
        assert_eq!(menu(Role::Owner), "overview links clients what-if payouts resources copy_link settings");
        assert_eq!(menu(Role::Member), menu(Role::Owner));
        for ours in [Role::Finance, Role::Auditor] {
            assert_eq!(menu(ours), "runs reviews partners reconciliation settings lock");
        }
        for keeper in [Role::Staff, Role::Admin] {
            assert_eq!(menu(keeper), "runs reviews partners reconciliation material settings lock");
        }
        assert_eq!(standing(Some(&account(Role::Finance)), None, true), Standing::default());
        assert_eq!(standing(None, None, false), Standing::default());
    }

    #[test]
    fn the_tray_has_the_months_figure_for_whom_it_concerns() {
        let glance = Glance {
            month: "2026-11".into(),
            link_url: "https://a.example/r/PARTNER_7QK2M9XR".into(),
            estimate: Estimate { total_minor: 128_450 },
        };
        let shown = |role, locked| standing(Some(&account(role)), Some(&glance), locked);
        let figure = shown(Role::Owner, false);
        assert_eq!((figure.figure.as_deref(), figure.link), (Some("November 2026: $1,284.50 so far"), true));
        assert_eq!((shown(Role::Finance, false).figure, shown(Role::Finance, false).link), (None, false));
        assert_eq!(shown(Role::Finance, true), Standing::default());
    }

    #[test]
    fn keys_are_given_once_and_a_choice_finds_its_command() {
        for role in [Role::Owner, Role::Finance] {
            let mut menu = standing(Some(&account(role)), None, false).menu;
            menu.push(KEYS);
            let mut keys: Vec<_> = menu.iter().filter_map(|item| item.keys).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), menu.len());
            for item in menu {
                assert_eq!(command_of(item.id), Some(item.command));
            }
        }
        assert_eq!(command_of("approve"), None);
    }
}
