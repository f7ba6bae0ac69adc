//! Deep links: an address of this app's own scheme opens a page, and never does anything. Pure.

use std::fmt;

/// The scheme of the app's own addresses.
pub const SCHEME: &str = "aikit-partners";
/// No id of the product comes near this.
const ID_MOST: usize = 80;

/// A page of the app, by its address there: `#/payouts/2026-10.1:PARTNER_7QK2M9XR`.
///
/// Invariant: it names a page that shows something. Nothing in it asks for an act, and it has no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

impl Place {
    /// A page without an id.
    pub(crate) fn page(name: &'static str) -> Self {
        Self(format!("#/{name}"))
    }

    /// The place of a deep link, `aikit-partners://open/<page>[/<id>]`; `None` for anything else.
    ///
    /// Nothing is decoded, trimmed or forgiven: what comes here was written by a program, or by somebody who tries what
    /// happens.
    pub fn of_link(link: &str) -> Option<Self> {
        let rest = link.strip_prefix(SCHEME)?.strip_prefix("://open/")?;
        let (page, id) = match rest.split_once('/') {
            None => (rest, None),
            Some((page, id)) => (page, Some(id)),
        };
        match (page, id) {
            ("overview", None) => Some(Self::page("overview")),
            ("links", None) => Some(Self::page("links")),
            ("clients", None) => Some(Self::page("clients")),
            ("what-if", None) => Some(Self::page("what-if")),
            ("payouts", None) => Some(Self::page("payouts")),
            ("resources", None) => Some(Self::page("resources")),
            ("runs", None) => Some(Self::page("runs")),
            ("reviews", None) => Some(Self::page("reviews")),
            ("partners", None) => Some(Self::page("partners")),
            ("reconciliation", None) => Some(Self::page("reconciliation")),
            ("settings", None) => Some(Self::page("settings")),
            ("client", Some(id)) if is_id(id) => Some(Self(format!("#/clients/{id}"))),
            ("payout", Some(id)) if is_id(id) => Some(Self(format!("#/payouts/{id}"))),
            ("run", Some(id)) if is_id(id) => Some(Self(format!("#/runs/{id}"))),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// The deep link of a thing, `link("payout", "2026-10.1:P")`.
pub(crate) fn link(page: &str, id: &str) -> String {
    format!("{SCHEME}://open/{page}/{id}")
}

/// Letters, digits and `_ - . :`, as in the product's ids; two dots are in none.
fn is_id(id: &str) -> bool {
    id.len() <= ID_MOST
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
        && !id.contains("..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_link_opens_its_page() {
        for (link, address) in [
            ("aikit-partners://open/overview", "#/overview"),
            ("aikit-partners://open/settings", "#/settings"),
            ("aikit-partners://open/client/r_8K2", "#/clients/r_8K2"),
            ("aikit-partners://open/payout/2026-10.1:PARTNER_7QK2M9XR", "#/payouts/2026-10.1:PARTNER_7QK2M9XR"),
            ("aikit-partners://open/run/2026-10.1", "#/runs/2026-10.1"),
            (
                "aikit-partners://open/run/0e8fd2a4-8a3f-4b0e-9d8d-3c8e6a9a7f10",
                "#/runs/0e8fd2a4-8a3f-4b0e-9d8d-3c8e6a9a7f10",
            ),
        ] {
            assert_eq!(Place::of_link(link).map(|p| p.to_string()), Some(address.to_owned()), "{link}");
        }
        assert_eq!(Place::of_link(&link("payout", "2026-10.1:P")), Some(Place("#/payouts/2026-10.1:P".into())));
    }

    /// What somebody would put into a page, a mail or a terminal.
    pub(super) const HOSTILE: &[&str] = &[
        "",
        "aikit-partners:",
        "aikit-partners://",
        "aikit-partners://open",
        "aikit-partners://open/",
        "aikit-partners://open/run",
        "aikit-partners://open/run/",
        "aikit-partners://open/run/..",
        "aikit-partners://open/run/../../settings",
        "aikit-partners://open/run/a..b",
        "aikit-partners://open/run/x/approve",
        "aikit-partners://open/run/x?send=1",
        "aikit-partners://open/run/x#/settings",
        "aikit-partners://open/run/%2e%2e",
        "aikit-partners://open/run/x\r\nSet-Cookie:a=b",
        "aikit-partners://open/run/x\0",
        "aikit-partners://open/run/\u{202e}x",
        "aikit-partners://open/run/x' onload='alert(1)",
        "aikit-partners://open/run/<script>",
        "aikit-partners://open/sign-in",
        "aikit-partners://open/join",
        "aikit-partners://open/confirmed",
        "aikit-partners://open/overview/",
        "aikit-partners://open/overview/x",
        "aikit-partners://open/OVERVIEW",
        "aikit-partners://OPEN/overview",
        "aikit-partners://send/run/2026-10.1",
        "aikit-partners://approve/2026-10.1",
        "aikit-partners://user@open/overview",
        "aikit-partners://open:80/overview",
        "aikit-partners:///open/overview",
        "aikit-partners:open/overview",
        " aikit-partners://open/overview",
        "aikit-partners://open/overview ",
        "AIKIT-PARTNERS://open/overview",
        "javascript:alert(1)",
        "https://example.com/aikit-partners://open/overview",
        "file:///etc/passwd",
        "--data=/tmp/x",
    ];

    #[test]
    fn whatever_else_is_said_opens_nothing() {
        for link in HOSTILE {
            assert_eq!(Place::of_link(link), None, "{link:?}");
        }
        assert_eq!(Place::of_link(&format!("aikit-partners://open/run/{}", "a".repeat(81))), None);
    }

    proptest! {
        #[test]
        fn what_opens_is_a_page_and_perhaps_an_id(link in prop_oneof![
            any::<String>(),
            "aikit-partners://open/(run|payout|client|overview|sign-in)/?[a-z0-9./%?#@:\\\\\\[\\] \n_-]{0,20}",
            "aikit-partners:/{0,3}[a-z]{0,6}/(run|runs)/.{0,8}",
        ]) {
            let Some(place) = Place::of_link(&link) else { return Ok(()) };
            let address = place.to_string();
            let segments: Vec<&str> = address.strip_prefix("#/").expect("an address of the pages").split('/').collect();
            prop_assert!(segments.len() <= 2, "{}", address);
            prop_assert!(["overview", "links", "clients", "what-if", "payouts", "resources", "runs", "reviews", "partners", "reconciliation", "settings"].contains(&segments[0]));
            prop_assert!(address[1..].chars().all(|c| c.is_ascii_alphanumeric() || "/_-.:".contains(c)), "{}", address);
            prop_assert!(!address.contains(".."));
            // What the app makes of it is what stands in it: nothing was decoded.
            prop_assert!(segments.len() == 1 || link.ends_with(segments[1]));
        }
    }
}
