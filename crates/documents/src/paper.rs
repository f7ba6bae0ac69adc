//! Paper: texts and rules laid out in whole hundredths of a point, and drawn by krilla as a tagged, archivable PDF.
//!
//! A text is measured by the same advances by which it is drawn, and no shaping is done: the typeface has Latin, Greek and
//! Cyrillic, where a letter is a glyph. What it does not have is left out ([`Typeface::drawable`]).

use std::num::NonZeroU16;

use krilla::color::rgb;
use krilla::configure::{Accessibility, Archival, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::embed::EmbeddedFile;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, Node, SpanTag, TableHeaderScope, Tag, TagGroup, TagTree,
};
use krilla::text::{Font, GlyphId, KrillaGlyph};
use krilla::{Document, SerializeSettings};
use skrifa::MetadataProvider as _;
use skrifa::instance::{LocationRef, Size};
use skrifa::raw::FontRef;

use crate::DocumentError;

const REGULAR: &[u8] = include_bytes!("../fonts/regular.otf");
const SEMIBOLD: &[u8] = include_bytes!("../fonts/semibold.otf");

/// A length in hundredths of a point, from the upper left corner of the page.
pub(crate) type Length = i64;

/// So many points.
pub(crate) const fn points(n: i64) -> Length {
    n * 100
}

/// How dark something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// What is read first.
    Dark,
    /// What explains it.
    Soft,
    /// The colour of the product, for the one amount.
    Accent,
    /// Lines between things.
    Hair,
}

impl Ink {
    fn fill(self) -> Fill {
        let (red, green, blue) = match self {
            Ink::Dark => (0x17, 0x1a, 0x1f),
            Ink::Soft => (0x5a, 0x61, 0x6b),
            Ink::Accent => (0x0b, 0x6b, 0x4f),
            Ink::Hair => (0xd5, 0xd9, 0xde),
        };
        Fill { paint: rgb::Color::new(red, green, blue).into(), opacity: NormalizedF32::ONE, rule: FillRule::NonZero }
    }
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) size: Length,
    pub(crate) bold: bool,
    /// Large figures stand closer to each other.
    pub(crate) tight: bool,
    pub(crate) ink: Ink,
}

/// What a text is, for whoever has it read aloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The title of the document, or of a part of it: level 1 or 2, and what it says.
    Heading(u16, &'static str),
    /// A paragraph.
    Paragraph,
    /// A cell of a table, which is in that row of that table.
    Cell { table: u16, row: u32, heads: Option<Heads> },
}

/// What a cell is the header of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heads {
    Row,
    Column,
}

/// Something on a page.
enum Mark {
    /// A line of text whose baseline begins there. `part`: which part of the document it belongs to; none where it is
    /// decoration, such as a page number.
    Text { x: Length, y: Length, style: Style, text: String, part: Option<usize> },
    /// A filled box.
    Rule { x: Length, y: Length, width: Length, height: Length, ink: Ink },
}

/// Both weights, and what is known of their glyphs.
pub(crate) struct Typeface {
    regular: Face,
    semibold: Face,
}

struct Face {
    font: Font,
    raw: FontRef<'static>,
    units_per_em: i64,
}

impl Face {
    fn new(bytes: &'static [u8]) -> Option<Face> {
        let raw = FontRef::new(bytes).ok()?;
        let units_per_em = i64::from(raw.metrics(Size::unscaled(), LocationRef::default()).units_per_em);
        Some(Face { font: Font::new(bytes.into(), 0)?, raw, units_per_em })
    }

    /// The glyphs of a text and how wide each is, in units of the typeface.
    fn glyphs<'a>(&'a self, style: Style, text: &'a str) -> impl Iterator<Item = (usize, char, u32, i64)> + 'a {
        let (letters, widths) = (self.raw.charmap(), self.raw.glyph_metrics(Size::unscaled(), LocationRef::default()));
        let closer = if style.tight { self.units_per_em / 40 } else { 0 };
        text.char_indices().map(move |(at, letter)| {
            let glyph = letters.map(letter).unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "Advances are whole numbers of at most 16 bits.")]
            let width = widths.advance_width(glyph).unwrap_or_default() as i64;
            (at, letter, glyph.to_u32(), width - closer)
        })
    }
}

impl Typeface {
    pub(crate) fn new() -> Result<Typeface, DocumentError> {
        let face = |bytes| Face::new(bytes).ok_or_else(|| DocumentError::Format("the typeface cannot be read".into()));
        Ok(Typeface { regular: face(REGULAR)?, semibold: face(SEMIBOLD)? })
    }

    fn face(&self, style: Style) -> &Face {
        if style.bold { &self.semibold } else { &self.regular }
    }

    /// How wide a text is.
    pub(crate) fn width(&self, style: Style, text: &str) -> Length {
        let face = self.face(style);
        face.glyphs(style, text).map(|(.., width)| width).sum::<i64>() * style.size / face.units_per_em
    }

    /// What of a text can be drawn, in one line of words, and whether that is all of it.
    pub(crate) fn drawable(&self, text: &str) -> (String, bool) {
        let letters = self.regular.raw.charmap();
        let (mut drawn, mut whole) = (String::with_capacity(text.len()), true);
        for letter in text.chars() {
            match letter {
                _ if letter.is_whitespace() || letter.is_control() => drawn.push(' '),
                // What only says how others are to be drawn: joiners, directions, variants.
                '\u{ad}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' => {}
                _ if letters.map(letter).is_some() => drawn.push(letter),
                _ => whole = false,
            }
        }
        (drawn.split_whitespace().collect::<Vec<_>>().join(" "), whole)
    }

    /// Breaks a text that can be drawn into lines of at most that width, at spaces, and within a word that is wider.
    pub(crate) fn wrap(&self, style: Style, text: &str, width: Length) -> Vec<String> {
        let (mut lines, mut line) = (Vec::new(), String::new());
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if self.width(style, &longer) <= width {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            for letter in word.chars() {
                line.push(letter);
                if self.width(style, &line) > width && line.chars().count() > 1 {
                    line.pop();
                    lines.push(std::mem::replace(&mut line, letter.to_string()));
                }
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }
}

/// Pages that are being laid out.
pub(crate) struct Paper<'t> {
    pub(crate) typeface: &'t Typeface,
    pub(crate) width: Length,
    pub(crate) height: Length,
    pages: Vec<Vec<Mark>>,
    parts: Vec<Role>,
}

impl<'t> Paper<'t> {
    /// Letter where they use it, A4 elsewhere.
    pub(crate) fn new(typeface: &'t Typeface, letter: bool) -> Paper<'t> {
        let (width, height) = if letter { (points(612), points(792)) } else { (59_528, 84_189) };
        Paper { typeface, width, height, pages: vec![Vec::new()], parts: Vec::new() }
    }

    /// How many pages there are.
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }

    pub(crate) fn new_page(&mut self) {
        self.pages.push(Vec::new());
    }

    /// Begins a part of the document; texts are drawn as belonging to it.
    pub(crate) fn part(&mut self, role: Role) -> usize {
        self.parts.push(role);
        self.parts.len() - 1
    }

    fn mark(&mut self, page: Option<usize>, mark: Mark) {
        let page = page.unwrap_or(self.pages.len() - 1);
        if let Some(marks) = self.pages.get_mut(page) {
            marks.push(mark);
        }
    }

    /// A line of text on the newest page; its baseline begins at `x`, `y`.
    pub(crate) fn text(&mut self, (x, y): (Length, Length), style: Style, text: &str, part: Option<usize>) {
        self.mark(None, Mark::Text { x, y, style, text: text.to_owned(), part });
    }

    /// The same, ending at `right`.
    pub(crate) fn text_to(&mut self, (right, y): (Length, Length), style: Style, text: &str, part: Option<usize>) {
        let x = right - self.typeface.width(style, text);
        self.text((x, y), style, text, part);
    }

    /// A hairline, or a bar, on the newest page.
    pub(crate) fn rule(&mut self, (x, y): (Length, Length), width: Length, height: Length, ink: Ink) {
        self.mark(None, Mark::Rule { x, y, width, height, ink });
    }

    /// A text at the foot of a page, which is no part of the document.
    pub(crate) fn foot(&mut self, page: usize, (x, y): (Length, Length), style: Style, text: String) {
        self.mark(Some(page), Mark::Text { x, y, style, text, part: None });
    }

    /// The headings, for the list beside the pages.
    fn outline(&self) -> Outline {
        let mut outline = Outline::new();
        for (number, marks) in self.pages.iter().enumerate() {
            for mark in marks {
                if let Mark::Text { x, y, part: Some(part), .. } = mark
                    && let Some(Role::Heading(_, title)) = self.parts.get(*part)
                {
                    let place = XyzDestination::new(number, Point::from_xy(on_paper(*x), on_paper(*y)));
                    outline.push_child(OutlineNode::new((*title).to_owned(), place));
                }
            }
        }
        outline
    }

    /// The PDF: archivable with its attachment (PDF/A-3a) and readable aloud (PDF/UA-1), which krilla checks.
    ///
    /// # Errors
    /// Where the library finds that it is neither; no text can lead to that.
    pub(crate) fn print(
        self,
        metadata: Metadata,
        attached: impl IntoIterator<Item = EmbeddedFile>,
    ) -> Result<Vec<u8>, DocumentError> {
        let refused = |what: &str| DocumentError::Format(what.to_owned());
        let configuration = ConfigurationBuilder::new()
            .with_archival_validator(Archival::A3_A)
            .with_accessibility_validator(Accessibility::UA1)
            .finish()
            .map_err(|error| DocumentError::Format(format!("{error:?}")))?;
        let mut document = Document::new_with(SerializeSettings {
            configuration,
            enable_tagging: true,
            ..SerializeSettings::default()
        });
        let mut drawn: Vec<Vec<Identifier>> = self.parts.iter().map(|_| Vec::new()).collect();
        let page_size = PageSettings::from_wh(on_paper(self.width), on_paper(self.height));
        for marks in &self.pages {
            let mut page = document.start_page_with(page_size.clone().ok_or_else(|| refused("a page has no size"))?);
            let mut surface = page.surface();
            for mark in marks {
                if let Some((part, identifier)) = draw(&mut surface, self.typeface, mark)
                    && let Some(of_part) = drawn.get_mut(part)
                {
                    of_part.push(identifier);
                }
            }
            surface.finish();
            page.finish();
        }
        document.set_tag_tree(tags(&self.parts, drawn));
        document.set_outline(self.outline());
        document.set_metadata(metadata);
        for file in attached {
            document.embed_file(file).ok_or_else(|| refused("two attachments have one name"))?;
        }
        document.finish().map_err(|error| DocumentError::Format(format!("{error:?}")))
    }
}

/// A length as PDF has it, in points.
#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "A place on paper is no money.")]
fn on_paper(length: Length) -> f32 {
    length as f32 / 100.0
}

/// How wide a glyph is, as a part of the size of the text.
#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "A width on paper is no money.")]
fn of_em(units: i64, units_per_em: i64) -> f32 {
    units as f32 / units_per_em as f32
}

/// Draws a mark, and answers which part of the document it is of, and by which name the part knows it.
fn draw(surface: &mut Surface<'_>, typeface: &Typeface, mark: &Mark) -> Option<(usize, Identifier)> {
    let decoration = ContentTag::Artifact(Artifact::with_kind(ArtifactType::Layout));
    match mark {
        Mark::Text { x, y, style, text, part } => {
            let tag = if part.is_some() { ContentTag::Span(SpanTag::empty()) } else { decoration };
            let face = typeface.face(*style);
            let glyphs: Vec<KrillaGlyph> = face
                .glyphs(*style, text)
                .map(|(at, letter, glyph, width)| {
                    let width = of_em(width, face.units_per_em);
                    KrillaGlyph::new(GlyphId::new(glyph), width, 0.0, 0.0, 0.0, at..at + letter.len_utf8(), None)
                })
                .collect();
            let identifier = surface.start_tagged(tag);
            surface.set_fill(Some(style.ink.fill()));
            let start = Point::from_xy(on_paper(*x), on_paper(*y));
            surface.draw_glyphs(start, &glyphs, face.font.clone(), text, on_paper(style.size), false);
            surface.end_tagged();
            part.map(|part| (part, identifier))
        }
        Mark::Rule { x, y, width, height, ink } => {
            let mut path = PathBuilder::new();
            path.push_rect(Rect::from_xywh(on_paper(*x), on_paper(*y), on_paper(*width), on_paper(*height))?);
            surface.start_tagged(decoration);
            surface.set_fill(Some(ink.fill()));
            surface.draw_path(&path.finish()?);
            surface.end_tagged();
            None
        }
    }
}

/// The tree of the document's parts, in the order in which they were begun: cells in their rows, rows in their tables.
fn tags(parts: &[Role], drawn: Vec<Vec<Identifier>>) -> TagTree {
    let mut tree = TagTree::new();
    let mut table: Option<(u16, Vec<(u32, TagGroup)>)> = None;
    for (role, texts) in parts.iter().zip(drawn) {
        if texts.is_empty() {
            continue;
        }
        let texts: Vec<Node> = texts.into_iter().map(Node::Leaf).collect();
        if let Role::Cell { table: of, row, heads } = *role {
            let cell = match heads {
                None => TagGroup::with_children(Tag::TD, texts),
                Some(Heads::Row) => TagGroup::with_children(Tag::TH(TableHeaderScope::Row), texts),
                Some(Heads::Column) => TagGroup::with_children(Tag::TH(TableHeaderScope::Column), texts),
            };
            if table.as_ref().is_some_and(|(open, _)| *open != of) {
                close(&mut tree, table.take());
            }
            let (_, rows) = table.get_or_insert_with(|| (of, Vec::new()));
            match rows.last_mut() {
                Some((last, cells)) if *last == row => cells.push(cell),
                _ => rows.push((row, TagGroup::with_children(Tag::TR, vec![cell.into()]))),
            }
            continue;
        }
        close(&mut tree, table.take());
        tree.push(match *role {
            Role::Heading(level, title) => {
                let level = NonZeroU16::new(level).unwrap_or(NonZeroU16::MIN);
                TagGroup::with_children(Tag::Hn(level, Some(title.to_owned())), texts)
            }
            _ => TagGroup::with_children(Tag::P, texts),
        });
    }
    close(&mut tree, table);
    tree
}

fn close(tree: &mut TagTree, table: Option<(u16, Vec<(u32, TagGroup)>)>) {
    if let Some((_, rows)) = table {
        tree.push(TagGroup::with_children(Tag::Table, rows.into_iter().map(|(_, row)| row.into()).collect()));
    }
}
