//! Documents of payouts: receipts as PDF, a run as CSV and XLSX, the ledger export.
//!
//! Pure: no clock, no I/O. The same input gives the same bytes. Amounts are `i64` minor units throughout; the one place
//! where an amount becomes a floating-point number is a cell of a spreadsheet (`run_book`), because XLSX has no other kind.

pub mod ledger;
mod paper;
pub mod receipt;
pub mod run_book;
pub mod sheet;
pub mod sources;

/// Why a document cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Its parts do not add up to its amount: it would be wrong, so there is none.
    #[error(
        "{what} does not add up: {parts_minor} and {amount_minor} (minor units) should be the same. Tell AIKit's developers"
    )]
    DoesNotAddUp {
        /// Which document, or which agency of it.
        what: String,
        /// What the parts come to.
        parts_minor: i128,
        /// What they should come to.
        amount_minor: i128,
    },
    /// An amount that a document cannot say to the cent.
    #[error("{amount_minor} (minor units) is more than a spreadsheet can hold to the cent")]
    TooLarge {
        /// The amount.
        amount_minor: i64,
    },
    /// The library that writes the format refused.
    #[error("the file could not be written: {0}")]
    Format(String),
}
