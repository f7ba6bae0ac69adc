//! What may be in a resource and its file; pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use partner::read_uuid;
use sha2::{Digest, Sha256};
use url::Url;
use wire::{RESOURCE_FILE_BYTES, RESOURCE_PART_BYTES, ResourceKind, UploadPart};

const TITLE: usize = 120;
const SUMMARY: usize = 300;
const TEXT: usize = 20_000;
const LINK: usize = 2_000;
const NAME: usize = 120;

/// Everything of a resource but its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub kind: ResourceKind,
    pub title: String,
    pub summary: String,
    pub text: String,
    pub link: Option<String>,
}

/// The name of a kind in the database.
pub(crate) fn kind_name(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Material => "material",
        ResourceKind::CaseStudy => "case_study",
        ResourceKind::EmailTemplate => "email_template",
        ResourceKind::BestPractice => "best_practice",
    }
}

/// A character that changes what its neighbours look like, or is not seen at all.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn line(given: &str, most: usize, what: &str) -> Result<String, String> {
    let line = given.trim();
    if line.chars().count() > most || line.chars().any(is_hidden) {
        return Err(format!("{what} is one line of at most {most} characters, without hidden ones."));
    }
    Ok(line.to_owned())
}

impl Content {
    /// Reads what somebody wrote.
    ///
    /// # Errors
    /// What of it cannot be, in words.
    pub(crate) fn read(
        kind: ResourceKind,
        title: &str,
        summary: &str,
        text: &str,
        link: Option<&str>,
    ) -> Result<Content, String> {
        let title = line(title, TITLE, "A title")?;
        if title.is_empty() {
            return Err("Give the resource a title.".into());
        }
        let summary = line(summary, SUMMARY, "A summary")?;
        let text = text.replace("\r\n", "\n").trim().to_owned();
        if text.chars().count() > TEXT || text.chars().any(|c| is_hidden(c) && c != '\n' && c != '\t') {
            return Err("A text has at most 20,000 characters, in lines, without hidden ones.".into());
        }
        let link = link.map(str::trim).filter(|link| !link.is_empty()).map(read_link).transpose()?;
        Ok(Content { kind, title, summary, text, link })
    }

    /// Why agencies cannot be shown this yet.
    pub(crate) fn lacks(&self, has_file: bool) -> Option<&'static str> {
        match self.kind {
            ResourceKind::EmailTemplate if self.text.is_empty() => {
                Some("An e-mail template needs its text: write it before it is published.")
            }
            _ if self.text.is_empty() && self.link.is_none() && !has_file => Some(
                "There is nothing in this resource yet: write a text, or add a file or a link, before it is published.",
            ),
            _ => None,
        }
    }
}

fn read_link(given: &str) -> Result<String, String> {
    let plain = |url: &Url| {
        url.scheme() == "https" && url.host_str().is_some() && url.username().is_empty() && url.password().is_none()
    };
    Url::parse(given)
        .ok()
        .filter(|url| plain(url) && url.as_str().len() <= LINK && !given.chars().any(is_hidden))
        .map(String::from)
        .ok_or_else(|| "A link is an address that begins with https:// and has no name or password in it.".into())
}

/// What a file is, by the end of its name: nothing that a browser would run.
const MIMES: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("txt", "text/plain; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("zip", "application/zip"),
];

/// The MIME type of a file of that name.
pub(crate) fn mime(name: &str) -> Option<&'static str> {
    let (stem, end) = name.rsplit_once('.')?;
    let end = end.to_ascii_lowercase();
    MIMES.iter().find(|(one, _)| *one == end && !stem.is_empty()).map(|(_, mime)| *mime)
}

/// Whether bytes begin as files of that type do.
fn is_such(mime: &str, bytes: &[u8]) -> bool {
    match mime {
        "application/pdf" => bytes.starts_with(b"%PDF-"),
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/jpeg" => bytes.starts_with(b"\xff\xd8\xff"),
        "image/webp" => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        text if text.starts_with("text/") => std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')),
        // Office's files are archives.
        _ => bytes.starts_with(b"PK\x03\x04"),
    }
}

/// One part of a file, read.
#[derive(Debug)]
pub(crate) struct Part {
    pub upload: String,
    pub name: String,
    pub mime: &'static str,
    pub bytes: u32,
    pub sha256: String,
    pub part: u32,
    /// The file ends with it.
    pub is_last: bool,
}

impl Part {
    /// Reads a part as it came.
    ///
    /// # Errors
    /// What of it cannot be, in words.
    pub(crate) fn read(given: &UploadPart) -> Result<Part, String> {
        let upload = read_uuid(&given.upload).ok_or("The upload's id must be a UUID.")?;
        let name = line(&given.name, NAME, "A file's name")?;
        if name.starts_with('.') || name.contains(['/', '\\', ':', '"', '<', '>', '|', '?', '*']) {
            return Err("A file's name has no folders in it and none of : \" < > | ? *, and begins with no dot.".into());
        }
        let mime = mime(&name).ok_or(
            "Only files that end in .pdf, .png, .jpg, .webp, .txt, .csv, .docx, .pptx, .xlsx or .zip are kept here.",
        )?;
        if !(1..=RESOURCE_FILE_BYTES).contains(&given.bytes) {
            return Err("A file has at most 1.5 MB here. Put a larger one somewhere else and give its link.".into());
        }
        let sha256 = given.sha256.to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("Say the file's SHA-256 in hex.".into());
        }
        let before = given.part.checked_mul(RESOURCE_PART_BYTES).filter(|before| *before < given.bytes);
        let left = given.bytes - before.ok_or("The file has no such part.")?;
        let here = usize::try_from(left.min(RESOURCE_PART_BYTES)).unwrap_or_default();
        // Each part is a text of its own, and there is one way to write it.
        match STANDARD.decode(&given.data) {
            Ok(bytes) if bytes.len() == here => {}
            Ok(bytes) => return Err(format!("Part {} has {} bytes and must have {here}.", given.part, bytes.len())),
            Err(_) => return Err(format!("Part {} is not base64.", given.part)),
        }
        let is_last = left <= RESOURCE_PART_BYTES;
        Ok(Part { upload, name, mime, bytes: given.bytes, sha256, part: given.part, is_last })
    }

    /// Holds all parts together against what was announced.
    ///
    /// # Errors
    /// Why this is not that file.
    pub(crate) fn accept(&self, parts: &[String]) -> Result<(), String> {
        let bytes = joined(parts).filter(|bytes| u32::try_from(bytes.len()).is_ok_and(|length| length == self.bytes));
        let arrived = bytes.filter(|bytes| hex::encode(Sha256::digest(bytes)) == self.sha256);
        let bytes = arrived.ok_or("The file did not arrive as it was sent. Send it again.")?;
        if !is_such(self.mime, &bytes) {
            return Err(format!("«{}» is not what its name says. Save it in that form and send it again.", self.name));
        }
        Ok(())
    }
}

/// The bytes of all parts.
pub(crate) fn joined(parts: &[String]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(STANDARD.decode(part).ok()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, bytes: u32, part: u32, content: &[u8]) -> UploadPart {
        UploadPart {
            upload: "00000000-0000-4000-8000-000000000000".into(),
            version: 1,
            name: name.into(),
            bytes,
            sha256: "0".repeat(64),
            part,
            data: STANDARD.encode(content),
        }
    }

    #[test]
    fn a_name_says_what_a_file_is_and_hides_nothing() {
        for name in ["one pager.pdf", "LOGO.PNG", "Präsentation 2026.pptx", "a.b.zip"] {
            assert!(Part::read(&part(name, 1, 0, b"x")).is_ok(), "{name}");
        }
        for name in [
            "",
            "pdf",
            ".pdf",
            "logo.svg",
            "page.html",
            "run.pdf.exe",
            "../../etc/passwd.txt",
            "..\\x.txt",
            "C:x.txt",
            "x\u{202e}fdp.exe.pdf",
            "a\r\nSet-Cookie: x.txt",
            "a\0.txt",
            "\".txt",
        ] {
            assert!(Part::read(&part(name, 1, 0, b"x")).is_err(), "{name:?}");
        }
        assert!(Part::read(&part(&format!("{}.txt", "x".repeat(117)), 1, 0, b"x")).is_err());
    }

    #[test]
    fn every_part_has_the_length_that_is_left_for_it() {
        let whole = vec![b'x'; 150_000];
        assert!(!Part::read(&part("a.txt", 150_001, 0, &whole)).unwrap().is_last);
        assert!(Part::read(&part("a.txt", 150_001, 1, b"x")).unwrap().is_last);
        assert!(Part::read(&part("a.txt", 150_000, 0, &whole)).unwrap().is_last);
        assert!(Part::read(&part("a.txt", 1_500_000, 9, &whole)).unwrap().is_last);
        for (bytes, n, content) in [
            (150_000, 1, &b""[..]),
            (150_000, 0, &whole[1..]),
            (0, 0, b""),
            (1_500_001, 0, &whole),
            (1, u32::MAX, b"x"),
            (10, 0, b"too long for it"),
        ] {
            assert!(Part::read(&part("a.txt", bytes, n, content)).is_err(), "{bytes} {n}");
        }
    }

    #[test]
    fn a_file_is_what_its_name_says() {
        let html = b"<html><script>alert(1)</script>";
        for name in ["a.pdf", "a.png", "a.jpg", "a.webp", "a.docx", "a.pptx", "a.xlsx", "a.zip"] {
            assert!(!is_such(mime(name).unwrap(), html), "{name}");
            assert!(!is_such(mime(name).unwrap(), b""), "{name}");
        }
        assert!(is_such(mime("a.pdf").unwrap(), b"%PDF-1.7 ..."));
        assert!(is_such(mime("a.webp").unwrap(), b"RIFF\0\0\0\0WEBPVP8 "));
        assert!(is_such(mime("a.docx").unwrap(), b"PK\x03\x04..."));
        assert!(is_such(mime("a.csv").unwrap(), "Größe;2".as_bytes()));
        assert!(!is_such(mime("a.csv").unwrap(), b"MZ\x90\0\x03"));
    }

    #[test]
    fn links_lead_to_https_and_nowhere_else() {
        let read = |link: &str| Content::read(ResourceKind::Material, "T", "", "", Some(link)).map(|c| c.link);
        assert_eq!(read(" https://aikit.example/a b "), Ok(Some("https://aikit.example/a%20b".into())));
        assert_eq!(read("  "), Ok(None));
        for link in
            ["http://x.example", "javascript:alert(1)", "https://", "https://a:b@x.example", "file:///etc", "x.example"]
        {
            assert!(read(link).is_err(), "{link}");
        }
    }

    #[test]
    fn an_empty_resource_is_not_for_agencies() {
        let of = |kind, text: &str, link| Content::read(kind, "T", "", text, link).unwrap();
        assert!(of(ResourceKind::Material, "", None).lacks(false).is_some());
        assert!(of(ResourceKind::Material, "", None).lacks(true).is_none());
        assert!(of(ResourceKind::CaseStudy, "", Some("https://x.example")).lacks(false).is_none());
        assert!(of(ResourceKind::EmailTemplate, "", Some("https://x.example")).lacks(true).is_some());
        assert!(of(ResourceKind::EmailTemplate, "Hello", None).lacks(false).is_none());
    }
}
