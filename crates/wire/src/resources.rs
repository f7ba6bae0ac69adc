use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// Bytes that the file of a resource may have; what is larger is somewhere else, under a link.
pub const RESOURCE_FILE_BYTES: u32 = 1_500_000;

/// Bytes of each part of a file that is sent, but for the last.
pub const RESOURCE_PART_BYTES: u32 = 150_000;

/// What a resource is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// Slides, logos, one-pagers.
    Material,
    /// What AIKit did for somebody.
    CaseStudy,
    /// A text to send to clients.
    EmailTemplate,
    /// How others do it.
    BestPractice,
}

/// `GET /v1/resources`: something to work with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Resource {
    /// UUID.
    pub id: String,
    /// What it is for.
    pub kind: ResourceKind,
    /// Title.
    pub title: String,
    /// A sentence or two.
    pub summary: String,
    /// Paragraphs of plain text; may be empty. In an e-mail template `{link}` is the agency's link and `{agency}` its name.
    pub text: String,
    /// An https address of something larger.
    pub link: Option<String>,
    /// Its file.
    pub file: Option<ResourceFile>,
    /// When it was changed last.
    pub changed_at: DateTime<Utc>,
    /// Since when agencies see it.
    pub published_at: Option<DateTime<Utc>>,
    /// A change names it.
    pub version: u32,
}

/// The file of a resource, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ResourceFile {
    /// Name to save it under.
    pub name: String,
    /// What it is.
    pub mime: String,
    /// How long it is.
    pub bytes: u32,
}

/// `POST /v1/resources`: a new one, last in the order and not published. The id is the caller's (UUID), so that a repeated
/// call is one resource.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct CreateResource {
    /// UUID made by the caller.
    pub id: String,
    /// What it is for.
    pub kind: ResourceKind,
    /// Title, 1 to 120 characters.
    pub title: String,
    /// A sentence or two, at most 300 characters.
    #[serde(default)]
    pub summary: String,
    /// Paragraphs of plain text, at most 20,000 characters.
    #[serde(default)]
    pub text: String,
    /// An https address.
    pub link: Option<String>,
}

/// `POST /v1/resources/{resource}`: everything of it but its file.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ChangeResource {
    /// The version that was looked at.
    pub version: u32,
    /// What it is for.
    pub kind: ResourceKind,
    /// Title, 1 to 120 characters.
    pub title: String,
    /// A sentence or two, at most 300 characters.
    #[serde(default)]
    pub summary: String,
    /// Paragraphs of plain text, at most 20,000 characters.
    #[serde(default)]
    pub text: String,
    /// An https address.
    pub link: Option<String>,
}

/// `POST /v1/resources/{resource}/publish`.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct PublishResource {
    /// The version that was looked at.
    pub version: u32,
    /// Agencies see it from now on, or no longer.
    pub published: bool,
}

/// A decision about a resource that was looked at: its end, or that of its file.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ResourceVersion {
    /// The version that was looked at.
    pub version: u32,
}

/// `POST /v1/resources/order`.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct OrderResources {
    /// Every resource, once, in the order in which they are shown.
    pub order: Vec<String>,
}

/// `POST /v1/resources/{resource}/file`: one part of a file, beginning with part 0. The file is there once its last part is
/// and all of them are what was announced. A part that is sent again is the same part.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct UploadPart {
    /// UUID made by the caller, for all parts of a file.
    pub upload: String,
    /// The version of the resource that was looked at.
    pub version: u32,
    /// Name of the file; what it ends in says what it is.
    pub name: String,
    /// How long the whole file is: at most 1,500,000.
    pub bytes: u32,
    /// SHA-256 of the whole file, in hex.
    pub sha256: String,
    /// Number of this part. Each has 150,000 bytes, the last one what is left.
    pub part: u32,
    /// Its bytes in base64.
    pub data: String,
}
