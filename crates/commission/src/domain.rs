//! Which company a website or an e-mail domain belongs to, for the self-referral flag (docs/rules.md §3).

use std::collections::HashSet;
use std::sync::LazyLock;

use url::{Host, ParseError, Url};

/// See the head of the file for its origin and licence.
static FREE_MAIL: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("free_mail.txt").lines().filter(|line| !line.starts_with('#')).collect());

/// Whether everybody can have an address at this domain, so that two addresses there say nothing about each other.
pub fn is_free_mail(domain: &str) -> bool {
    FREE_MAIL.contains(domain)
}

/// The host of a website as a WHATWG URL parser returns it, `https://` being put before one that has no scheme.
/// `None` for what has no host, or an IP address for one.
pub fn website_host(website: &str) -> Option<String> {
    // What a URL parser itself would strip from both ends.
    let website = website.trim_matches(|char| char <= ' ');
    // A name with a port, such as `agency.com:8080`, also parses, as a scheme without a host.
    let url = match Url::parse(website) {
        Ok(url) if url.has_host() => url,
        Ok(_) | Err(ParseError::RelativeUrlWithoutBase) => Url::parse(&format!("https://{website}")).ok()?,
        Err(_) => return None,
    };
    match url.host()? {
        Host::Domain(domain) => Some(domain.to_owned()),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// The registrable domain of a bare domain by the public suffix list, in lower case and without a trailing dot.
/// `None` for a public suffix, a single label, an empty label or an IP address in any notation.
pub fn registrable_domain(domain: &str) -> Option<String> {
    let domain = domain.to_ascii_lowercase();
    let domain = domain.strip_suffix('.').unwrap_or(&domain);
    if domain.split('.').any(str::is_empty) || is_ip_address(domain) {
        return None;
    }
    psl::domain_str(domain).map(str::to_owned)
}

/// A URL parser also takes `127.1` and `0x7f000001` for addresses, and refuses what merely ends like one.
fn is_ip_address(domain: &str) -> bool {
    let last = domain.rsplit('.').next().unwrap_or(domain);
    let ends_in_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    ends_in_number || domain.starts_with('[') || domain.contains(':')
}

/// The registrable domain of a website, unless it is a free-mail domain: what a client's domain is compared with.
pub(crate) fn company_domain(website: &str) -> Option<String> {
    registrable_domain(&website_host(website)?).filter(|domain| !is_free_mail(domain))
}

/// Whether the registrable domain of a bare domain is this one. Most that it is not end otherwise, which is seen without
/// the list.
pub(crate) fn is_of_company(domain: &str, company: &str) -> bool {
    let bytes = domain.strip_suffix('.').unwrap_or(domain).as_bytes();
    let end = bytes.len().checked_sub(company.len()).map(|start| &bytes[start..]);
    end.is_some_and(|end| end.eq_ignore_ascii_case(company.as_bytes()))
        && registrable_domain(domain).is_some_and(|own| own == company)
}

#[cfg(test)]
mod tests {
    use super::{company_domain, is_free_mail, registrable_domain, website_host};

    #[test]
    fn hosts_are_what_a_url_parser_returns() {
        for (website, host) in [
            ("agency.com", Some("agency.com")),
            ("  HTTPS://WWW.Agency.COM/a?b#c ", Some("www.agency.com")),
            ("agency.com:8080/path", Some("agency.com")),
            ("//agency.com", Some("agency.com")),
            ("https:agency.com", Some("agency.com")),
            ("http://user:secret@agency.com:81", Some("agency.com")),
            ("https://bücher.example", Some("xn--bcher-kva.example")),
            ("https://agency.com./", Some("agency.com.")),
            ("http://127.0.0.1", None),
            ("http://0x7f.1", None),
            ("2130706433", None),
            ("http://[::1]/", None),
            ("", None),
            ("https://", None),
            ("not a host", None),
        ] {
            assert_eq!(website_host(website).as_deref(), host, "{website}");
        }
    }

    #[test]
    fn registrable_domains_follow_the_public_suffix_list() {
        for (domain, registrable) in [
            ("agency.com", Some("agency.com")),
            ("Mail.Agency.Co.UK.", Some("agency.co.uk")),
            ("a.b.agency.github.io", Some("agency.github.io")),
            ("agency.unknown-suffix", Some("agency.unknown-suffix")),
            ("co.uk", None),
            ("github.io", None),
            ("com", None),
            ("localhost", None),
            ("agency..com", None),
            (".agency.com", None),
            ("agency.com..", None),
            ("", None),
            (".", None),
            ("127.0.0.1", None),
            ("127.1", None),
            ("0x7f.1", None),
            ("1.2.3.0xff", None),
            ("[::1]", None),
        ] {
            assert_eq!(registrable_domain(domain).as_deref(), registrable, "{domain}");
        }
    }

    #[test]
    fn free_mail_is_no_company() {
        assert!(is_free_mail("gmail.com") && is_free_mail("yahoo.co.uk") && !is_free_mail("# Licence"));
        assert_eq!(company_domain("https://mail.gmail.com"), None);
        assert_eq!(company_domain("www.agency.com").as_deref(), Some("agency.com"));
    }
}
