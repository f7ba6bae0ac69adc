//! Which addresses the app opens in the person's browser. Pure.

use url::Url;
use wire::{ErrorBody, ErrorCode};

use crate::config::is_loopback;

/// The address to hand to the browser, normalised, when it may be opened: `https`, or `http` at the very API that the
/// app talks to, where that runs on this computer. No user names, no white space, no control characters.
pub(crate) fn may_open(api: &Url, given: &str) -> Result<Url, ErrorBody> {
    let refuse = |why: &str| {
        let message = format!("This address was not opened, because {why}: {}", shown(given));
        Err(ErrorBody::new(ErrorCode::Forbidden, message))
    };
    if given.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return refuse("it holds characters that an address may not have");
    }
    let Ok(url) = Url::parse(given) else {
        return refuse("it is not a whole address");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it names a user, which hides where it leads");
    }
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http"
            if is_loopback(&url) && is_loopback(api) && url.port_or_known_default() == api.port_or_known_default() =>
        {
            Ok(url)
        }
        "http" => refuse("it is not encrypted (only https addresses are opened)"),
        _ => refuse("only https addresses are opened"),
    }
}

/// The beginning of an address without control characters, for a message.
fn shown(given: &str) -> String {
    let mut text: String = given.chars().filter(|c| !c.is_control()).take(80).collect();
    if given.chars().count() > 80 {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn api() -> Url {
        Url::parse("http://127.0.0.1:8787").expect("a literal")
    }

    #[test]
    fn https_and_the_local_api_open() {
        for good in [
            "https://connect.stripe.com/setup/e/acct_1/x?y=1#z",
            "https://aikit.example/r/PARTNER_7QK2M9XR",
            "http://127.0.0.1:8787/onboard/abc",
            "http://localhost:8787/onboard/abc",
        ] {
            assert_eq!(may_open(&api(), good).map(|u| u.to_string()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn the_rest_is_refused_with_its_reason() {
        for (bad, why) in [
            ("http://127.0.0.1:22/", "not encrypted"),
            ("http://example.com/", "not encrypted"),
            ("http://127.0.0.1.example.com:8787/", "not encrypted"),
            ("https://connect.stripe.com@evil.example/", "names a user"),
            ("https://a.example\\@evil.example/", "characters"),
            ("java\nscript:alert(1)", "characters"),
            ("javascript:alert(1)", "only https"),
            ("file:///etc/passwd", "only https"),
            ("data:text/html,x", "only https"),
            ("smb://evil.example/share", "only https"),
            ("aikit-partners://open/run/1", "only https"),
            ("--help", "not a whole address"),
            ("//evil.example", "not a whole address"),
            (" https://a.example", "characters"),
            ("", "not a whole address"),
        ] {
            let error = may_open(&api(), bad).err().unwrap_or_else(|| panic!("{bad} was opened"));
            assert!(error.message.contains(why), "{bad}: {}", error.message);
        }
    }

    #[test]
    fn a_remote_api_opens_no_local_address() {
        let remote = Url::parse("https://partners.example.com").expect("a literal");
        assert!(may_open(&remote, "http://127.0.0.1:443/").is_err());
    }

    proptest! {
        #[test]
        fn whatever_opens_is_https_or_the_local_api(given in prop_oneof![
            any::<String>(),
            "(https?|HTTP|file|javascript|data|ssh)?:?/{0,3}[a-z0-9.@:%\\[\\]\\\\#?/-]{0,30}",
            "http://(127\\.0\\.0\\.1|localhost|\\[::1\\]|0|2130706433)(:[0-9]{1,5})?/?",
        ]) {
            if let Ok(url) = may_open(&api(), &given) {
                prop_assert!(url.username().is_empty() && url.password().is_none());
                prop_assert!(url.as_str().chars().all(|c| !c.is_control() && !c.is_whitespace()));
                prop_assert!(!url.as_str().starts_with('-'));
                prop_assert!(
                    url.scheme() == "https"
                        || (url.scheme() == "http" && is_loopback(&url) && url.port() == Some(8787)),
                    "{}", url
                );
            }
        }
    }
}
