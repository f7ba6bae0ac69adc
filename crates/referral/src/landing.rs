//! A page for somebody whom a browser brought here and who has no page of ours open: a sentence or two, and a way on.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::Url;

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A page that says `text`; `on` is an address of ours and what the link to it says.
pub(crate) fn notice(status: StatusCode, title: &str, text: &str, on: Option<(&Url, &str)>) -> Response {
    let on = on.map_or_else(String::new, |(url, says)| {
        format!("<p><a href=\"{}\">{}</a></p>", escaped(url.as_str()), escaped(says))
    });
    page(status, title, &format!("<p>{}</p>{on}", escaped(text)))
}

/// A page of HTML that is ours; the title is text.
pub(crate) fn page(status: StatusCode, title: &str, html: &str) -> Response {
    let title = escaped(title);
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{title} · AIKit Partners</title>\
         <body style='font:16px/1.5 system-ui;max-width:32rem;margin:20vh auto;padding:0 1rem;color-scheme:light dark'>\
         <h1 style='font-size:1.4rem'>{title}</h1>{html}"
    );
    let mut response = (status, Html(html)).into_response();
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}
