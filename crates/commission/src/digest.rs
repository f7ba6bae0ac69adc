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
//! **Set**: the text `set`, the number of statements, then for each, by partner as UTF-8 bytes, `partner` and the 32
//! bytes of its digest.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::statement::{Line, Statement, Tier};

/// The canonical form, as it is being hashed.
struct Form(Sha256);

impl Form {
    fn of(what: &str) -> Self {
        Self(Sha256::new()).text(what)
    }
    fn integer(mut self, value: i64) -> Self {
        self.0.update(value.to_le_bytes());
        self
    }
    fn count(self, count: usize) -> Self {
        self.integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
    fn text(self, text: &str) -> Self {
        let mut form = self.count(text.len());
        form.0.update(text);
        form
    }
    fn time(self, time: DateTime<Utc>) -> Self {
        self.integer(time.timestamp()).integer(time.timestamp_subsec_nanos().into())
    }
    fn optional<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.integer(0),
            Some(value) => write(self.integer(1), value),
        }
    }
    fn bytes(mut self, bytes: &[u8; 32]) -> Self {
        self.0.update(bytes);
        self
    }
    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The digest of a line.
pub fn line_digest(line: &Line) -> String {
    hex::encode(hash_line(line))
}

/// The digest of a statement, computed anew: equal to its `digest` unless something was changed.
pub fn statement_digest(statement: &Statement) -> String {
    hex::encode(hash_statement(statement))
}

/// The digest of a set of statements, in any order.
pub fn set_digest(statements: &[Statement]) -> String {
    let mut sorted: Vec<&Statement> = statements.iter().collect();
    sorted.sort_by(|a, b| a.partner.cmp(&b.partner));
    let form = Form::of("set").count(sorted.len());
    let form =
        sorted.iter().fold(form, |form, statement| form.text(&statement.partner).bytes(&hash_statement(statement)));
    hex::encode(form.finish())
}

fn hash_line(line: &Line) -> [u8; 32] {
    Form::of("line")
        .text(&line.id)
        .text(line.kind.as_str())
        .optional(line.referral.as_deref(), Form::text)
        .optional(line.invoice.as_deref(), Form::text)
        .integer(line.amount_minor)
        .integer(line.basis_minor)
        .optional(line.rate.as_deref(), Form::text)
        .text(&line.rule)
        .text(&line.terms)
        .optional(line.tenure_month, |form, month| form.integer(month.into()))
        .optional(line.reason.map(|reason| reason.as_str()), Form::text)
        .text(line.status.as_str())
        .time(line.earned_at)
        .optional(line.vests_at, Form::time)
        .finish()
}

fn hash_statement(statement: &Statement) -> [u8; 32] {
    let totals = &statement.totals;
    let mut form = Form::of("statement")
        .text(&statement.partner)
        .text(match statement.tier {
            Tier::Standard => "standard",
            Tier::Platinum => "platinum",
        })
        .integer(statement.suspended.into())
        .time(statement.as_of)
        .text(&statement.terms);
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
        form = form.integer(total);
    }
    form = form.count(statement.lines.len());
    form = statement.lines.iter().fold(form, |form, line| form.bytes(&hash_line(line)));
    form = form.count(statement.unmatched.len());
    for fact in &statement.unmatched {
        form = form.text(&fact.id).time(fact.at).text(&fact.fact_type);
        form = form.text(fact.missing.as_str()).text(&fact.missing_id);
    }
    form.finish()
}
