//! Websites and e-mail domains of the journals, each with its registrable domain as the public suffix list gives it.
//! The answers were written by hand, so that the engine's own reading of hosts is checked too (docs/rules.md §3).

/// The website of a partner and its registrable domain.
pub(crate) const WEBSITES: [(&str, Option<&str>); 20] = [
    ("agency.com", Some("agency.com")),
    ("https://www.agency.com/about?x=1#top", Some("agency.com")),
    ("HTTP://Agency.COM./", Some("agency.com")),
    ("http://user@agency.com:8080/", Some("agency.com")),
    ("https://shop.agency.co.uk", Some("agency.co.uk")),
    ("agency.github.io", Some("agency.github.io")),
    ("https://m\u{fc}nchen.de/", Some("xn--mnchen-3ya.de")),
    ("agency.internal", Some("agency.internal")),
    ("www.ck", Some("www.ck")),
    ("a.agency.foo.ck", Some("agency.foo.ck")),
    ("https://mail.gmail.com", Some("gmail.com")),
    ("outlook.com", Some("outlook.com")),
    ("co.uk", None),
    ("foo.ck", None),
    ("localhost", None),
    ("192.168.0.1", None),
    ("127.1", None),
    ("http://0x7f.1/", None),
    ("https://[::1]/", None),
    ("agency..com", None),
];

/// The domain of a client's e-mail address and its registrable domain.
pub(crate) const EMAIL_DOMAINS: [(&str, Option<&str>); 18] = [
    ("agency.com", Some("agency.com")),
    ("Mail.Agency.Com.", Some("agency.com")),
    ("agency.co.uk", Some("agency.co.uk")),
    ("agency.uk", Some("agency.uk")),
    ("agency.github.io", Some("agency.github.io")),
    ("other.github.io", Some("other.github.io")),
    ("xn--mnchen-3ya.de", Some("xn--mnchen-3ya.de")),
    ("sales.agency.internal", Some("agency.internal")),
    ("www.ck", Some("www.ck")),
    ("b.agency.foo.ck", Some("agency.foo.ck")),
    ("gmail.com", Some("gmail.com")),
    ("outlook.com", Some("outlook.com")),
    ("client.example", Some("client.example")),
    ("co.uk", None),
    ("foo.ck", None),
    ("127.1", None),
    ("agency..com", None),
    ("agency.com..", None),
];

/// Those of the registrable domains above where anybody can have an address.
const FREE_MAIL: [&str; 2] = ["gmail.com", "outlook.com"];

/// Whether a client with this e-mail domain looks like the company behind this website.
pub(crate) fn same_company(website: &str, email_domain: &str) -> bool {
    match (look_up(&WEBSITES, website), look_up(&EMAIL_DOMAINS, email_domain)) {
        (Some(ours), Some(theirs)) => ours == theirs && !FREE_MAIL.contains(&ours),
        _ => false,
    }
}

#[expect(clippy::expect_used, reason = "The journals draw from the tables.")]
fn look_up(table: &[(&str, Option<&'static str>)], text: &str) -> Option<&'static str> {
    table.iter().find(|(written, _)| *written == text).expect("the text is in the table").1
}
