//! Digests: the same figures give the same digest on every machine (docs/rules.md §9).
//!
//! A digest is SHA-256 over a canonical form, written in lower-case hexadecimal. Anybody can compute it from a
//! statement's JSON. The form is made of these pieces, with nothing between them:
//!
//! - an *integer* is 8 bytes, two's complement, little-endian; a count or a length is an integer; false and true are
//!   the integers 0 and 1;
//! - a *text* is its length in bytes as an integer, then its UTF-8 bytes; a value of an enumeration is the text that
//!   JSON shows, such as `first_year`;
//! - a *time* is the whole seconds since 1970-01-01T00:00:00Z, rounded down, then the nanoseconds within that second,
//!   both integers;
//! - an *optional* value is the integer 0 when it is absent, else the integer 1 and the value.
//!
//! **Line**: the text `line`, then `id`, `kind`, optional `referral`, optional `invoice`, `amount_minor`,
//! `basis_minor`, optional `rate` (the text), `rule`, `terms`, optional `tenure_month`, optional `reason`, `status`,
//! `earned_at`, optional `vests_at`. Not `why`.
//!
//! **Statement**: the text `statement`, then `partner`, `tier`, `suspended`, `as_of`, `terms`; of the totals `pending`,
//! `vested`, `held`, `forfeited`, `void`, `paid`, `balance`, `payable`; the number of lines and for each, in the order
//! of the statement, the 32 bytes of its digest; the number of unmatched facts and for each `id`, `at`, `type`,
//! `missing`, `missing_id`. Not the partner's name, which a statement does not have.
//!
//! **Lines**: the text `lines`, the number of lines and for each, in the order of the statement, the 32 bytes of its
//! digest. Unlike that of the statement it stays the same while nothing happens.
//!
//! **Set**: the text `set`, the number of statements, then for each, by partner as UTF-8 bytes, `partner` and the 32
//! bytes of its digest.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::line::Draft;
use crate::money::rate_text;
use crate::statement::{Line, LineKind, LineStatus, Reason, Statement, Summary, Tier, Totals, Unmatched};

/// The canonical form, as it is being written.
#[derive(Default)]
struct Form(Vec<u8>);

impl Form {
    fn of(what: &str) -> Self {
        let mut form = Self::default();
        form.text(what);
        form
    }
    fn integer(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn count(&mut self, count: usize) {
        self.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }
    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes(text.as_bytes());
    }
    fn time(&mut self, time: DateTime<Utc>) {
        self.integer(time.timestamp());
        self.integer(time.timestamp_subsec_nanos().into());
    }
    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.integer(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

/// The digest of a line.
pub fn line_digest(line: &Line) -> String {
    hex::encode(line_hash(line))
}

/// The digest of a statement, computed anew: equal to its `digest` unless something was changed.
pub fn statement_digest(statement: &Statement) -> String {
    hex::encode(hash_statement(statement))
}

/// The digest of a set of statements, in any order, computed anew from all their lines.
pub fn set_digest(statements: &[Statement]) -> String {
    let set = statements.iter().map(|statement| (statement.partner.as_str(), hash_statement(statement)));
    hex::encode(hash_set(set.collect()))
}

/// The digest of the set of statements that these summaries are of, in any order. It relies on the digest of each,
/// which nobody can check without the lines; `None` when one is no digest at all.
pub fn set_digest_of_summaries(summaries: &[Summary]) -> Option<String> {
    let digests = summaries.iter().map(|summary| (summary.partner.as_str(), summary.digest.as_str()));
    set_digest_of(digests)
}

/// The digest of a set of statements whose own digests are known.
pub(crate) fn set_digest_of<'a>(digests: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let read = |(partner, digest): (&'a str, &str)| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digest, &mut bytes).ok()?;
        Some((partner, bytes))
    };
    Some(hex::encode(hash_set(digests.map(read).collect::<Option<Vec<_>>>()?)))
}

/// The digest of a statement whose lines are not written out.
pub(crate) fn draft_digest(summary: &Summary, drafts: &[Draft]) -> String {
    let mut head = statement_head(summary.into());
    head.count(drafts.len());
    hash_drafts(drafts, |_, hash| head.bytes(&hash));
    push_unmatched(&mut head, &summary.unmatched);
    hex::encode(head.hash())
}

/// The digest of the lines of a statement, in its order.
pub fn lines_digest(lines: &[Line]) -> String {
    let hashes: Vec<[u8; 32]> = lines.iter().map(line_hash).collect();
    lines_digest_of(hashes.iter())
}

/// The same of lines that have these digests.
pub(crate) fn lines_digest_of<'a>(lines: impl ExactSizeIterator<Item = &'a [u8; 32]>) -> String {
    let mut form = Form::of("lines");
    form.count(lines.len());
    lines.for_each(|hash| form.bytes(hash));
    hex::encode(form.hash())
}

/// The digest of a line, in bytes.
pub(crate) fn line_hash(line: &Line) -> [u8; 32] {
    hash_line(&mut Form::default(), &LineFields::of(line))
}

/// Tells the id and the digest of each line, in order, none of which is written out.
pub(crate) fn hash_drafts(drafts: &[Draft], mut tell: impl FnMut(&str, [u8; 32])) {
    let (mut form, mut id, mut rates) = (Form::default(), String::new(), Rates::default());
    for draft in drafts {
        id.clear();
        draft.write_id(&mut id);
        let paid = draft.paid();
        let fields = LineFields {
            id: &id,
            kind: draft.kind,
            referral: paid.map(|paid| paid.case.referral.id),
            invoice: paid.map(|paid| paid.invoice.id),
            amount_minor: draft.amount_minor,
            basis_minor: draft.basis_minor,
            rate: draft.rate.map(|rate| rates.text(rate)),
            rule: draft.rule,
            terms: &draft.terms.id,
            tenure_month: paid.map(|paid| paid.tenure_month),
            reason: draft.fate.reason,
            status: draft.fate.status,
            earned_at: draft.earned_at,
            vests_at: draft.fate.vests_at,
        };
        tell(&id, hash_line(&mut form, &fields));
    }
}

/// The few rates of a partner's lines, each written once.
#[derive(Default)]
struct Rates(Vec<(Decimal, String)>);

impl Rates {
    fn text(&mut self, rate: Decimal) -> &str {
        let index = self.0.iter().position(|(known, _)| *known == rate).unwrap_or_else(|| {
            self.0.push((rate, rate_text(rate)));
            self.0.len() - 1
        });
        &self.0[index].1
    }
}

/// What is hashed of a line, whether it is written out or not.
struct LineFields<'a> {
    id: &'a str,
    kind: LineKind,
    referral: Option<&'a str>,
    invoice: Option<&'a str>,
    amount_minor: i64,
    basis_minor: i64,
    rate: Option<&'a str>,
    rule: &'a str,
    terms: &'a str,
    tenure_month: Option<u32>,
    reason: Option<Reason>,
    status: LineStatus,
    earned_at: DateTime<Utc>,
    vests_at: Option<DateTime<Utc>>,
}

impl<'a> LineFields<'a> {
    fn of(line: &'a Line) -> Self {
        Self {
            id: &line.id,
            kind: line.kind,
            referral: line.referral.as_deref(),
            invoice: line.invoice.as_deref(),
            amount_minor: line.amount_minor,
            basis_minor: line.basis_minor,
            rate: line.rate.as_deref(),
            rule: &line.rule,
            terms: &line.terms,
            tenure_month: line.tenure_month,
            reason: line.reason,
            status: line.status,
            earned_at: line.earned_at,
            vests_at: line.vests_at,
        }
    }
}

/// Hashes a line in a form that is only there to be used again.
fn hash_line(form: &mut Form, line: &LineFields) -> [u8; 32] {
    form.0.clear();
    form.text("line");
    form.text(line.id);
    form.text(line.kind.as_str());
    form.optional(line.referral, Form::text);
    form.optional(line.invoice, Form::text);
    form.integer(line.amount_minor);
    form.integer(line.basis_minor);
    form.optional(line.rate, Form::text);
    form.text(line.rule);
    form.text(line.terms);
    form.optional(line.tenure_month, |form, month| form.integer(month.into()));
    form.optional(line.reason.map(Reason::as_str), Form::text);
    form.text(line.status.as_str());
    form.time(line.earned_at);
    form.optional(line.vests_at, Form::time);
    form.hash()
}

fn hash_statement(statement: &Statement) -> [u8; 32] {
    let mut form = statement_head(statement.into());
    form.count(statement.lines.len());
    let mut line_form = Form::default();
    for line in &statement.lines {
        form.bytes(&hash_line(&mut line_form, &LineFields::of(line)));
    }
    push_unmatched(&mut form, &statement.unmatched);
    form.hash()
}

fn hash_set(mut set: Vec<(&str, [u8; 32])>) -> [u8; 32] {
    set.sort_by_key(|(partner, _)| *partner);
    let mut form = Form::of("set");
    form.count(set.len());
    for (partner, hash) in set {
        form.text(partner);
        form.bytes(&hash);
    }
    form.hash()
}

/// What is hashed of a statement before its lines.
struct Head<'a> {
    partner: &'a str,
    tier: Tier,
    suspended: bool,
    as_of: DateTime<Utc>,
    terms: &'a str,
    totals: Totals,
}

impl<'a> From<&'a Statement> for Head<'a> {
    fn from(of: &'a Statement) -> Self {
        let Statement { tier, suspended, as_of, totals, .. } = *of;
        Self { partner: &of.partner, tier, suspended, as_of, terms: &of.terms, totals }
    }
}

impl<'a> From<&'a Summary> for Head<'a> {
    fn from(of: &'a Summary) -> Self {
        let Summary { tier, suspended, as_of, totals, .. } = *of;
        Self { partner: &of.partner, tier, suspended, as_of, terms: &of.terms, totals }
    }
}

fn statement_head(head: Head) -> Form {
    let mut form = Form::of("statement");
    form.text(head.partner);
    form.text(match head.tier {
        Tier::Standard => "standard",
        Tier::Platinum => "platinum",
    });
    form.integer(head.suspended.into());
    form.time(head.as_of);
    form.text(head.terms);
    let totals = head.totals;
    for total in [
        totals.pending,
        totals.vested,
        totals.held,
        totals.forfeited,
        totals.void,
        totals.paid,
        totals.balance,
        totals.payable,
    ] {
        form.integer(total);
    }
    form
}

fn push_unmatched(form: &mut Form, unmatched: &[Unmatched]) {
    form.count(unmatched.len());
    for fact in unmatched {
        form.text(&fact.id);
        form.time(fact.at);
        form.text(&fact.fact_type);
        form.text(fact.missing.as_str());
        form.text(&fact.missing_id);
    }
}
