//! Terms are data: a list of versions, each with every number of the program (docs/rules.md §8).

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::MAX_AMOUNT_MINOR;
use crate::journal::parse_time;

/// One version of the terms. A referral keeps the version that was in force when its client signed up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The name of the version, printed on every line that it priced.
    pub id: String,
    /// In force from this instant on.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    pub from: DateTime<Utc>,
    /// The share of an invoice in a referral's first year, as a fraction: 0.20 is 20 %.
    #[serde(deserialize_with = "read_rate")]
    pub first_year_rate: Decimal,
    /// The share after it.
    #[serde(deserialize_with = "read_rate")]
    pub recurring_rate: Decimal,
    /// How many calendar months the first year has.
    pub first_year_months: u32,
    /// For how many times 24 hours a client must have been paying before commission vests.
    pub vesting_days: u32,
    /// More sign-ups than this in one calendar month are looked at by a person.
    pub burst_per_month: u32,
    /// A smaller balance than this waits for the next month.
    pub minimum_payout_minor: i64,
    /// What the partner agreed to, in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<String>,
    /// What a partner tells a client about the commission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosure: Option<String>,
    /// The bonus for many referrals in a quarter.
    pub volume: VolumeTerms,
    /// The rates of a platinum partner.
    pub platinum: PlatinumTerms,
    /// The bonus for a large annual contract.
    pub high_value: HighValueTerms,
}

/// The volume bonus (docs/rules.md §4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeTerms {
    /// What is added to the rate, as a fraction.
    #[serde(deserialize_with = "read_rate")]
    pub bonus_rate: Decimal,
    /// How many referrals of one quarter must qualify.
    pub referrals_needed: u32,
    /// Which invoices get it.
    #[serde(default)]
    pub scope: VolumeScope,
}

/// Which invoices a reached quarter adds the bonus to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum VolumeScope {
    /// Every invoice, for life, of the referrals that first paid in the quarter.
    #[default]
    ReferralsOfQuarter,
    /// Every invoice that was paid in the quarter, whichever referral's it is.
    InvoicesOfQuarter,
}

/// When a partner is platinum, and what that is worth (docs/rules.md §4). One of the two thresholds is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatinumTerms {
    /// The share of an invoice in a referral's first year.
    #[serde(deserialize_with = "read_rate")]
    pub first_year_rate: Decimal,
    /// The share after it.
    #[serde(deserialize_with = "read_rate")]
    pub recurring_rate: Decimal,
    /// How many referrals must qualify.
    pub referrals_needed: u32,
    /// Which annualised price of live subscriptions must be reached.
    pub arr_minor_needed: i64,
}

/// The high-value bonus (docs/rules.md §4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HighValueTerms {
    /// What is paid, once per referral.
    pub bonus_minor: i64,
    /// The price of an annual subscription that earns it.
    pub annual_minor_needed: i64,
}

/// Why a book of terms cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The text is not TOML of the right shape.
    #[error("the terms cannot be read{}: {message}", .line.map(|line| format!(" at line {line}")).unwrap_or_default())]
    Unreadable {
        /// The line, counted from 1, where it is known.
        line: Option<usize>,
        /// What the reader of the format says.
        message: String,
    },
    /// There is no `[[terms]]`.
    #[error("the terms file has no `[[terms]]`; it needs at least one")]
    Empty,
    /// A number is impossible.
    #[error("terms `{terms}`, field `{field}`: {message}")]
    Field {
        /// The id of the version.
        terms: String,
        /// The path of the field, such as `volume.bonus_rate`.
        field: String,
        /// What is wrong with it.
        message: String,
    },
}

/// Every version of the terms, at least one, in the order in which they came into force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "BookFile", try_from = "BookFile")]
pub struct TermsBook {
    versions: Vec<Terms>,
}

/// The shape of a terms file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BookFile {
    #[serde(default)]
    terms: Vec<Terms>,
}

impl TryFrom<BookFile> for TermsBook {
    type Error = TermsError;
    fn try_from(file: BookFile) -> Result<Self, TermsError> {
        Self::new(file.terms)
    }
}

impl From<TermsBook> for BookFile {
    fn from(book: TermsBook) -> Self {
        Self { terms: book.versions }
    }
}

impl TermsBook {
    /// A book of these versions, in any order. Ids and dates must differ and every number must be possible.
    pub fn new(mut versions: Vec<Terms>) -> Result<Self, TermsError> {
        versions.sort_by(|a, b| (a.from, &a.id).cmp(&(b.from, &b.id)));
        for (index, terms) in versions.iter().enumerate() {
            check(terms)?;
            let earlier = &versions[..index];
            if earlier.iter().any(|other| other.id == terms.id) {
                return Err(field_error(terms, "id", "is used by two versions; give each its own"));
            }
            if earlier.iter().any(|other| other.from == terms.from) {
                return Err(field_error(terms, "from", "is the same as that of another version"));
            }
        }
        if versions.is_empty() { Err(TermsError::Empty) } else { Ok(Self { versions }) }
    }

    /// Reads a terms file. Rates are strings such as `"0.20"`, because a TOML number would be a float.
    pub fn from_toml(text: &str) -> Result<Self, TermsError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file: BookFile = toml::from_str(text).map_err(|error| TermsError::Unreadable {
            line: error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1),
            message: error.message().lines().collect::<Vec<_>>().join(" "),
        })?;
        Self::new(file.terms)
    }

    /// Writes the terms file that [`Self::from_toml`] reads back as the same book.
    #[expect(clippy::expect_used, reason = "A checked book holds only strings, small integers and tables.")]
    pub fn to_toml(&self) -> String {
        toml::to_string(&BookFile::from(self.clone())).expect("TOML can write strings, integers and tables")
    }

    /// The numbers of docs/rules.md, with the id `2026-01`.
    pub fn default_book() -> Self {
        Self { versions: vec![Terms::default()] }
    }

    /// The version in force at an instant: the latest that has begun, or the first before any has.
    pub fn in_force(&self, at: DateTime<Utc>) -> &Terms {
        let begun = self.versions.partition_point(|terms| terms.from <= at);
        &self.versions[begun.saturating_sub(1)]
    }

    /// The versions that have a say in statements at an instant: those that had begun, or the first.
    pub fn until(&self, as_of: DateTime<Utc>) -> Self {
        let begun = self.versions.partition_point(|terms| terms.from <= as_of);
        Self { versions: self.versions[..begun.max(1)].to_vec() }
    }

    /// All versions, the oldest first.
    pub fn versions(&self) -> &[Terms] {
        &self.versions
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            id: "2026-01".to_owned(),
            from: DateTime::UNIX_EPOCH + chrono::Days::new(20_454), // 2026-01-01
            first_year_rate: Decimal::new(20, 2),
            recurring_rate: Decimal::new(10, 2),
            first_year_months: 12,
            vesting_days: 60,
            burst_per_month: 10,
            minimum_payout_minor: 0,
            agreement: None,
            disclosure: None,
            volume: VolumeTerms {
                bonus_rate: Decimal::new(5, 2),
                referrals_needed: 5,
                scope: VolumeScope::ReferralsOfQuarter,
            },
            platinum: PlatinumTerms {
                first_year_rate: Decimal::new(25, 2),
                recurring_rate: Decimal::new(15, 2),
                referrals_needed: 20,
                arr_minor_needed: 5_000_000,
            },
            high_value: HighValueTerms { bonus_minor: 50_000, annual_minor_needed: 500_000 },
        }
    }
}

fn field_error(terms: &Terms, field: &str, message: impl Into<String>) -> TermsError {
    TermsError::Field { terms: terms.id.clone(), field: field.to_owned(), message: message.into() }
}

fn check(terms: &Terms) -> Result<(), TermsError> {
    let refuse = |field: &str, message: String| Err(field_error(terms, field, message));
    if terms.id.is_empty() {
        return refuse("id", "must not be empty".to_owned());
    }
    for (field, rate) in [
        ("first_year_rate", terms.first_year_rate),
        ("recurring_rate", terms.recurring_rate),
        ("volume.bonus_rate", terms.volume.bonus_rate),
        ("platinum.first_year_rate", terms.platinum.first_year_rate),
        ("platinum.recurring_rate", terms.platinum.recurring_rate),
    ] {
        if rate.is_sign_negative() && !rate.is_zero() || rate > Decimal::ONE || rate.normalize().scale() > 6 {
            return refuse(field, format!("must be from 0 to 1 with at most six decimals, not {rate}"));
        }
    }
    for (field, count, least, most) in [
        ("first_year_months", terms.first_year_months, 0, 1_200),
        ("vesting_days", terms.vesting_days, 0, 36_500),
        ("burst_per_month", terms.burst_per_month, 0, u32::MAX),
        ("volume.referrals_needed", terms.volume.referrals_needed, 1, u32::MAX),
        ("platinum.referrals_needed", terms.platinum.referrals_needed, 1, u32::MAX),
    ] {
        if !(least..=most).contains(&count) {
            return refuse(field, format!("must be from {least} to {most}, not {count}"));
        }
    }
    for (field, amount, least) in [
        ("minimum_payout_minor", terms.minimum_payout_minor, 0),
        ("platinum.arr_minor_needed", terms.platinum.arr_minor_needed, 1),
        ("high_value.bonus_minor", terms.high_value.bonus_minor, 0),
        ("high_value.annual_minor_needed", terms.high_value.annual_minor_needed, 0),
    ] {
        if !(least..=MAX_AMOUNT_MINOR).contains(&amount) {
            return refuse(field, format!("must be from {least} to {MAX_AMOUNT_MINOR} minor units, not {amount}"));
        }
    }
    Ok(())
}

fn write_time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
}

/// Reads a time that is written as a string or as a TOML date-time.
fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        toml::Value::Datetime(time) => time.to_string(),
        other => return Err(serde::de::Error::custom(format!("a time must be a string, not {}", other.type_str()))),
    };
    parse_time(&text).map_err(serde::de::Error::custom)
}

/// Reads a rate from a string. rust_decimal itself would also take a float, which is not what somebody wrote.
fn read_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        other => {
            let message = format!("a rate must be a string such as \"0.20\", not {} {other}", other.type_str());
            return Err(serde::de::Error::custom(message));
        }
    };
    Decimal::from_str_exact(&text).map_err(|error| serde::de::Error::custom(format!("`{text}` is no rate: {error}")))
}
