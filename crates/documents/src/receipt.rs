//! The receipt of one payout: a PDF that says who paid whom, how much, by which transfer, and what it is made of.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _, Utc};
use commission::{Line, LineKind, format_minor};
use krilla::embed::{AssociationKind, EmbeddedFile, MimeType};
use krilla::metadata::{self, Metadata};
use serde::{Deserialize, Serialize};
use wire::PayoutDetail;

use crate::DocumentError;
use crate::paper::{Heads, Ink, Length, Paper, Role, Style, Typeface, points};
use crate::sources::{File, Sources};

/// Who pays, as documents name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payer {
    /// Name of the company.
    pub name: String,
    /// Its postal address, line by line.
    pub address: Vec<String>,
    /// Where questions about a payout go.
    pub email: Option<String>,
}

impl Default for Payer {
    fn default() -> Self {
        Payer { name: "AIKit".into(), address: Vec::new(), email: None }
    }
}

/// Name of the attachment with the receipt itself.
pub const STATEMENT: &str = "statement.json";

/// The form of the receipts that [`pdf`] makes. Whoever changes what stands on their pages counts on, so that `verify` does
/// not take an older receipt for a changed one.
pub const FORM: u32 = 1;

/// A payout that arrived at Stripe. As JSON it is the `statement.json` that the PDF carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// [`FORM`], as it was when the receipt was made.
    pub form: u32,
    /// [`commission::RULES_VERSION`], as it was when the receipt was made.
    pub rules: String,
    /// The number of the last fact that the run knew of.
    pub cut: i64,
    /// Who paid.
    pub payer: Payer,
    /// The payout, the agency and the lines. Carried + lines = the amount, in minor units.
    #[serde(flatten)]
    pub detail: PayoutDetail,
    /// Stripe's transfer, `tr_…`.
    pub transfer: String,
    /// When Stripe made it.
    pub paid_at: DateTime<Utc>,
    /// The connected account that it went to, `acct_…`.
    pub account: String,
    /// What came back of it since, in minor units: a transfer that was reversed at Stripe, whole or in part. Not below zero.
    pub reversed_minor: i64,
    /// ISO 4217, as it is written: `usd`.
    pub currency: String,
    /// Real money; otherwise the document says on every page that it is a test.
    pub live: bool,
    /// What clients are called, by id of the referral; where one is missing, its id is shown.
    pub clients: BTreeMap<String, String>,
    /// What the agency says to clients when it recommends the product; may be empty.
    pub disclosure: String,
    /// US Letter instead of A4.
    pub letter: bool,
}

const MARGIN: Length = points(56);
/// Where the text of a page ends, from its lower edge.
const FOOT: Length = points(64);
const DATES: Length = points(72);
const AMOUNTS: Length = points(92);

const fn style(size: Length, bold: bool, ink: Ink) -> Style {
    Style { size, bold, tight: false, ink }
}
const TITLE: Style = style(points(11), true, Ink::Dark);
const NAME: Style = style(points(15), true, Ink::Dark);
const AMOUNT: Style = Style { tight: true, ..style(points(32), true, Ink::Accent) };
const HEADING: Style = style(points(11), true, Ink::Dark);
const TEXT: Style = style(950, false, Ink::Dark);
const STRONG: Style = style(950, true, Ink::Dark);
const LABEL: Style = style(950, false, Ink::Soft);
const SMALL: Style = style(points(8), false, Ink::Soft);
const SMALL_STRONG: Style = style(points(8), true, Ink::Soft);
const LEADING: Length = points(13);
const SMALL_LEADING: Length = points(11);

/// Makes the PDF, with everything that its figures follow from attached. The same receipt gives the same bytes.
///
/// A letter that the typeface does not have (it has Latin, Greek and Cyrillic) is left out, the agency's code stands beside
/// its name in any case, and the document says that the attachment has everything in full.
///
/// # Errors
/// [`DocumentError::DoesNotAddUp`] where the lines and what was carried are not the amount.
pub fn pdf(receipt: &Receipt, sources: &Sources) -> Result<Vec<u8>, DocumentError> {
    let detail = &receipt.detail;
    let parts_minor = lines_minor(&detail.lines) + i128::from(detail.carried_minor);
    let amount_minor = i128::from(detail.payout.amount_minor);
    if parts_minor != amount_minor {
        let what = format!("The receipt of {}", detail.payout.item);
        return Err(DocumentError::DoesNotAddUp { what, parts_minor, amount_minor });
    }
    let typeface = Typeface::new()?;
    let mut page = Writing::new(Paper::new(&typeface, receipt.letter));
    head(&mut page, receipt);
    facts(&mut page, receipt);
    table(&mut page, receipt);
    small_print(&mut page, receipt);
    feet(&mut page, receipt);
    let json = serde_json::to_vec_pretty(receipt).map_err(|error| DocumentError::Format(error.to_string()))?;
    let [facts, posted, terms] = sources.files()?;
    let statement = File {
        name: STATEMENT,
        mime_type: "application/json",
        description: "This receipt and its lines, for programs",
        bytes: json,
    };
    let attached = [statement, facts, posted, terms].map(|file| attachment(receipt, file));
    page.paper.print(about(receipt), attached)
}

fn lines_minor(lines: &[Line]) -> i128 {
    lines.iter().map(|line| i128::from(line.amount_minor)).sum()
}

/// `October 2026` of `2026-10`.
fn month(period: &str) -> String {
    let first = NaiveDate::parse_from_str(&format!("{period}-01"), "%Y-%m-%d");
    first.map_or_else(|_| period.to_owned(), |day| day.format("%B %Y").to_string())
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y, %H:%M UTC").to_string()
}

/// The sort of a line in words.
fn kind(kind: LineKind) -> &'static str {
    match kind {
        LineKind::FirstYear => "First year",
        LineKind::Recurring => "Recurring",
        LineKind::VolumeBonus => "Volume bonus",
        LineKind::HighValueBonus => "High-value bonus",
        LineKind::Reversal => "Reversal",
        LineKind::Adjustment => "Adjustment",
    }
}

/// A page that is being written from the top down.
struct Writing<'t> {
    paper: Paper<'t>,
    /// Where the next thing begins.
    y: Length,
    right: Length,
    bottom: Length,
    /// Every text so far was drawn whole.
    whole: bool,
    /// Tables so far.
    tables: u16,
}

impl<'t> Writing<'t> {
    fn new(paper: Paper<'t>) -> Writing<'t> {
        let (right, bottom) = (paper.width - MARGIN, paper.height - FOOT);
        Writing { paper, y: MARGIN, right, bottom, whole: true, tables: 0 }
    }

    /// What of a text can be drawn, and remembers whether something cannot.
    fn drawable(&mut self, text: &str) -> String {
        let (drawn, whole) = self.paper.typeface.drawable(text);
        self.whole &= whole;
        drawn
    }

    /// A part of the document in lines of at most that width, from `x` down; moves below it.
    fn block(&mut self, role: Role, x: Length, width: Length, style: Style, leading: Length, text: &str) {
        let text = self.drawable(text);
        let part = self.paper.part(role);
        self.lines(part, x, style, leading, &self.paper.typeface.wrap(style, &text, width));
    }

    fn lines(&mut self, part: usize, x: Length, style: Style, leading: Length, lines: &[String]) {
        for (n, line) in lines.iter().enumerate() {
            self.room(leading);
            // Whoever has it read aloud hears words, not the ends of lines.
            let text = if n + 1 < lines.len() { format!("{line} ") } else { line.clone() };
            self.paper.text((x, self.y + style.size), style, &text, Some(part));
            self.y += leading;
        }
    }

    /// Goes on a new page where so much does not fit on this one.
    fn room(&mut self, height: Length) -> bool {
        let turns = self.y + height > self.bottom && self.y > MARGIN;
        if turns {
            self.paper.new_page();
            self.y = MARGIN;
        }
        turns
    }
}

/// Who paid, and to whom how much.
fn head(page: &mut Writing<'_>, receipt: &Receipt) {
    let half = (page.right - MARGIN) * 3 / 5;
    let title = "Payout receipt";
    let part = page.paper.part(Role::Heading(1, title));
    page.paper.text_to((page.right, page.y + TITLE.size), TITLE, title, Some(part));
    page.block(Role::Paragraph, MARGIN, half, TITLE, points(15), &receipt.payer.name);
    for line in receipt.payer.address.iter().chain(&receipt.payer.email).take(8) {
        page.block(Role::Paragraph, MARGIN, half, SMALL, SMALL_LEADING, line);
    }
    page.y += points(12);
    page.paper.rule((MARGIN, page.y), page.right - MARGIN, 75, Ink::Hair);
    page.y += points(20);

    let partner = &receipt.detail.partner;
    page.block(Role::Paragraph, MARGIN, half, SMALL, points(13), "Paid to");
    let width = page.right - MARGIN;
    page.block(Role::Paragraph, MARGIN, width, NAME, points(19), &partner.name);
    page.block(Role::Paragraph, MARGIN, width, LABEL, LEADING, &partner.code);
    page.y += points(16);
    let amount = format_minor(receipt.detail.payout.amount_minor);
    page.block(Role::Paragraph, MARGIN, width, AMOUNT, points(40), &amount);
    let what = format!(
        "{}, for {}, paid on {}",
        receipt.currency.to_uppercase(),
        month(&receipt.detail.payout.period),
        receipt.paid_at.format("%-d %B %Y")
    );
    page.block(Role::Paragraph, MARGIN, width, LABEL, LEADING, &what);
    if receipt.reversed_minor != 0 {
        let reversed = format_minor(receipt.reversed_minor);
        let text = format!("{reversed} of this came back: Stripe has reversed the transfer. It is due again.");
        page.block(Role::Paragraph, MARGIN, width, STRONG, LEADING, &text);
    }
    page.y += points(18);
}

/// What identifies the payout, at Stripe and here.
fn facts(page: &mut Writing<'_>, receipt: &Receipt) {
    let payout = &receipt.detail.payout;
    let counts = format!("everything recorded before {}", moment(receipt.detail.as_of));
    let paid = moment(receipt.paid_at);
    let rows = [
        ("Receipt", payout.item.as_str()),
        ("Paid", &paid),
        ("Stripe transfer", &receipt.transfer),
        ("To account", &receipt.account),
        ("Counts", &counts),
        ("Statement digest", &payout.digest),
    ];
    page.tables += 1;
    for (row, (name, value)) in (0..).zip(rows) {
        let cell = |heads| Role::Cell { table: page.tables, row, heads };
        let (name_role, value_role) = (cell(Some(Heads::Row)), cell(None));
        let y = page.y;
        page.block(name_role, MARGIN, points(100), LABEL, LEADING, name);
        page.y = y;
        let indent = points(104);
        // A digest is long and read by nobody aloud; it should stand on one line.
        let style = if value.len() > 60 { Style { size: points(8), ..TEXT } } else { TEXT };
        page.block(value_role, MARGIN + indent, page.right - MARGIN - indent, style, LEADING, value);
        page.y += points(3);
    }
    page.y += points(14);
}

/// The names of the columns. Those on later pages repeat the first ones, and are not read aloud again.
fn columns(page: &mut Writing<'_>, first: bool) {
    let y = page.y + SMALL_STRONG.size;
    let name = |page: &mut Writing<'_>, text: &str, x: Option<Length>| {
        let role = Role::Cell { table: page.tables, row: 0, heads: Some(Heads::Column) };
        let part = first.then(|| page.paper.part(role));
        match x {
            Some(x) => page.paper.text((x, y), SMALL_STRONG, text, part),
            None => page.paper.text_to((page.right, y), SMALL_STRONG, text, part),
        }
    };
    name(page, "Earned (UTC)", Some(MARGIN));
    name(page, "What and why", Some(MARGIN + DATES));
    name(page, "Amount", None);
    page.y += points(13);
    page.paper.rule((MARGIN, page.y), page.right - MARGIN, 75, Ink::Soft);
    page.y += points(6);
}

/// The lines, and that they add up.
fn table(page: &mut Writing<'_>, receipt: &Receipt) {
    let detail = &receipt.detail;
    page.room(points(90));
    let title = "What it is made of";
    page.block(Role::Heading(2, title), MARGIN, page.right - MARGIN, HEADING, points(20), title);
    page.tables += 1;
    columns(page, true);
    let mut row = 0;
    for line in &detail.lines {
        row += 1;
        one_line(page, receipt, line, row);
    }
    let debits = detail.lines.iter().filter(|line| line.amount_minor < 0).count();
    let count = match detail.lines.len() {
        0 => "No line vested since the statement before".to_owned(),
        1 => "1 line".to_owned(),
        n => format!("{n} lines"),
    };
    let taken_back = if debits > 0 { format!(", {debits} of them taken back") } else { String::new() };
    let carried = if detail.carried_minor < 0 { "Carried from before (a debt)" } else { "Carried from before" };
    let sums = [
        (format!("{count}{taken_back}"), lines_minor(&detail.lines), LABEL),
        (carried.to_owned(), i128::from(detail.carried_minor), LABEL),
        ("Paid".to_owned(), i128::from(detail.payout.amount_minor), STRONG),
    ];
    // The sums stay together, so that they can be added with one look.
    if page.room(points(62)) {
        columns(page, false);
    }
    for (name, sum_minor, style) in sums {
        row += 1;
        if style.bold {
            page.y += points(2);
            page.paper.rule((MARGIN + DATES, page.y), page.right - MARGIN - DATES, 75, Ink::Soft);
            page.y += points(5);
        }
        let part = page.paper.part(Role::Cell { table: page.tables, row, heads: Some(Heads::Row) });
        page.paper.text((MARGIN + DATES, page.y + style.size), style, &name, Some(part));
        let part = page.paper.part(Role::Cell { table: page.tables, row, heads: None });
        // Sums of `i64` that come to an `i64` with another: what does not fit was refused before.
        let amount = format_minor(i64::try_from(sum_minor).unwrap_or(i64::MAX));
        let amount_style = Style { ink: Ink::Dark, ..style };
        page.paper.text_to((page.right, page.y + style.size), amount_style, &amount, Some(part));
        page.y += points(15);
    }
    page.y += points(16);
}

/// One line of the statement, with its reason.
fn one_line(page: &mut Writing<'_>, receipt: &Receipt, line: &Line, row: u32) {
    let width = page.right - MARGIN - DATES - AMOUNTS;
    let client = line.referral.as_ref().map(|id| receipt.clients.get(id).map_or(id.as_str(), String::as_str));
    let about = [client, line.invoice.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let (about, why) = (page.drawable(&about), page.drawable(&line.why));
    let typeface = page.paper.typeface;
    // Beside the kind where there is room, else below it.
    let beside = typeface.width(STRONG, kind(line.kind)) + points(8);
    let fits = typeface.width(SMALL, &about) <= width - beside;
    let below = if fits { Vec::new() } else { typeface.wrap(SMALL, &about, width) };
    let why = typeface.wrap(SMALL, &why, width);
    let lines = Length::try_from(below.len() + why.len()).unwrap_or_default();
    let height = LEADING + lines * SMALL_LEADING + points(6);
    // A row is not torn apart, unless it is longer than a page.
    if page.room(height.min(page.bottom - MARGIN - points(20))) {
        columns(page, false);
    }
    let role = Role::Cell { table: page.tables, row, heads: None };
    let [day, what, amount] = [0; 3].map(|_| page.paper.part(role));
    let (x, y) = (MARGIN + DATES, page.y + TEXT.size);
    page.paper.text((MARGIN, y), LABEL, &line.earned_at.format("%-d %b %Y").to_string(), Some(day));
    // Before the lines below, which may go on on another page.
    page.paper.text_to((page.right, y), TEXT, &format_minor(line.amount_minor), Some(amount));
    page.paper.text((x, y), STRONG, &format!("{} ", kind(line.kind)), Some(what));
    if fits {
        page.paper.text((x + beside, y), SMALL, &format!("{about} "), Some(what));
    }
    page.y += LEADING;
    for mut lines in [below, why] {
        if let Some(last) = lines.last_mut() {
            last.push(' ');
        }
        page.lines(what, x, SMALL, SMALL_LEADING, &lines);
    }
    page.y += points(2);
    page.paper.rule((MARGIN, page.y), page.right - MARGIN, 50, Ink::Hair);
    page.y += points(5);
}

/// What the document is, and what it is not.
fn small_print(page: &mut Writing<'_>, receipt: &Receipt) {
    let payer = &receipt.payer.name;
    let mut texts = vec![format!(
        "This receipt is for one transfer that {payer} made to the agency's Stripe account; when it reaches the bank is up to Stripe. \
         It is not a tax document. The digest is the same wherever the statement is computed. The attached statement.json holds this \
         receipt and its lines for programs. facts.jsonl, terms.toml and posted.jsonl are what its figures follow from: \
         “aikit-partners-server verify” computes them again on any computer, and compares."
    )];
    if !receipt.disclosure.is_empty() {
        texts.push(format!("Whoever recommends the product for a commission says so: “{}”", receipt.disclosure));
    }
    // Asked first: what is written below could not be drawn either.
    let drawable: Vec<String> = texts.iter().map(|text| page.drawable(text)).collect();
    let incomplete =
        "Some letters of this receipt are not in its typeface and were left out. They are in statement.json.";
    let texts = drawable.iter().map(String::as_str).chain((!page.whole).then_some(incomplete));
    for text in texts.collect::<Vec<_>>() {
        let height = page.paper.typeface.wrap(SMALL, text, page.right - MARGIN).len();
        page.room(SMALL_LEADING * Length::try_from(height).unwrap_or_default());
        page.block(Role::Paragraph, MARGIN, page.right - MARGIN, SMALL, SMALL_LEADING, text);
        page.y += points(4);
    }
}

/// Which receipt a page is of, and which page.
fn feet(page: &mut Writing<'_>, receipt: &Receipt) {
    let pages = page.paper.pages();
    let y = page.paper.height - points(36);
    let test = if receipt.live { "" } else { "TEST, no money moved · " };
    let (item, _) = page.paper.typeface.drawable(&format!("{test}Receipt {}", receipt.detail.payout.item));
    for n in 0..pages {
        page.paper.foot(n, (MARGIN, y), SMALL, item.clone());
        let number = format!("Page {} of {pages}", n + 1);
        let x = page.right - page.paper.typeface.width(SMALL, &number);
        page.paper.foot(n, (x, y), SMALL, number);
    }
}

fn about(receipt: &Receipt) -> Metadata {
    let detail = &receipt.detail;
    // An archivable document has no long strings beside its text.
    let short = |text: &str| text.chars().take(200).collect::<String>();
    Metadata::new()
        .title(format!("Payout receipt: {}, {}", short(&detail.partner.name), month(&detail.payout.period)))
        .description(format!("{} by transfer {}", format_minor(detail.payout.amount_minor), receipt.transfer))
        .authors(vec![short(&receipt.payer.name)])
        .creator("AIKit Partners".into())
        .language("en".into())
        .document_id(format!("{} {}", detail.payout.item, receipt.transfer))
        .creation_date(date(receipt.paid_at))
}

fn date(at: DateTime<Utc>) -> metadata::DateTime {
    let byte = |n: u32| u8::try_from(n).unwrap_or_default();
    metadata::DateTime::new(u16::try_from(at.year()).unwrap_or_default())
        .month(byte(at.month()))
        .day(byte(at.day()))
        .hour(byte(at.hour()))
        .minute(byte(at.minute()))
        .second(byte(at.second()))
        .utc_offset_hour(0)
}

fn attachment(receipt: &Receipt, file: File) -> EmbeddedFile {
    EmbeddedFile {
        path: file.name.into(),
        mime_type: MimeType::new(file.mime_type),
        description: Some(file.description.into()),
        association_kind: AssociationKind::Data,
        data: file.bytes.into(),
        modification_date: Some(date(receipt.paid_at)),
        compress: Some(true),
        location: None,
    }
}
