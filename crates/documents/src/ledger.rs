//! The ledger export of a closed month: what was owed to each agency before, what changed it, and what is owed after.
//!
//! For each agency, and for all of them: opening + earned − reversed − paid = closing. A ledger that does not foot cannot be
//! made. As a journal for bookkeeping: commission is an expense, what is owed a liability, and a payout leaves the balance at
//! Stripe; debits and credits are the same.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use wire::LedgerSet;

use crate::DocumentError;
use crate::sheet::{decimal, guarded, table};

/// Where an agency stands at the end of a month. Amounts are minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// All that had vested and was posted.
    pub vested_minor: i64,
    /// All transfers less those that were reversed.
    pub paid_minor: i64,
}

impl Standing {
    /// What is owed; below zero the agency is in debt.
    fn owed_minor(self) -> Option<i64> {
        self.vested_minor.checked_sub(self.paid_minor)
    }
}

/// One agency's month. All amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// Partner code.
    pub partner: String,
    /// Agency name.
    pub name: String,
    /// Owed before: vested and not paid; below zero the agency is in debt.
    pub opening_minor: i64,
    /// What vested or grew. Never below zero.
    pub earned_minor: i64,
    /// What was taken back, without its sign. Never below zero.
    pub reversed_minor: i64,
    /// Transfers less those that were reversed; below zero where more came back than went out.
    pub paid_minor: i64,
    /// Owed after.
    pub closing_minor: i64,
}

impl Roll {
    /// The month between two standings, in which so much was earned and so much taken back.
    ///
    /// # Errors
    /// [`DocumentError::TooLarge`] where a sum does not fit.
    pub fn between(
        (partner, name): (String, String),
        before: Standing,
        after: Standing,
        (earned_minor, reversed_minor): (i64, i64),
    ) -> Result<Roll, DocumentError> {
        let too_large = || DocumentError::TooLarge { amount_minor: after.vested_minor };
        Ok(Roll {
            partner,
            name,
            opening_minor: before.owed_minor().ok_or_else(too_large)?,
            earned_minor,
            reversed_minor,
            paid_minor: after.paid_minor.checked_sub(before.paid_minor).ok_or_else(too_large)?,
            closing_minor: after.owed_minor().ok_or_else(too_large)?,
        })
    }

    fn is_nothing(&self) -> bool {
        [self.opening_minor, self.earned_minor, self.reversed_minor, self.paid_minor, self.closing_minor] == [0; 5]
    }
}

/// A month of all agencies, which foots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    period: String,
    day: NaiveDate,
    currency: String,
    rolls: Vec<Roll>,
    total: Roll,
}

/// What the books call the accounts, and which codes they have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    /// Name of the expense account, as QuickBooks has it.
    pub expense: String,
    /// Name of the liability: what is owed to agencies.
    pub payable: String,
    /// Name of the balance at Stripe.
    pub stripe: String,
    /// Code of the expense account, as Xero has it.
    pub expense_code: String,
    /// Code of the liability.
    pub payable_code: String,
    /// Code of the balance at Stripe.
    pub stripe_code: String,
    /// Name of the tax rate that commission has in Xero.
    pub tax_rate: String,
}

impl Default for Accounts {
    fn default() -> Self {
        Accounts {
            expense: "Partner commissions".into(),
            payable: "Partner commissions payable".into(),
            stripe: "Stripe balance".into(),
            expense_code: "6150".into(),
            payable_code: "2150".into(),
            stripe_code: "1150".into(),
            tax_rate: "Tax Exempt".into(),
        }
    }
}

/// An account of the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    Expense,
    Payable,
    Stripe,
}

/// A row of a journal: a debit above zero, a credit below.
type Row = (Account, &'static str, i64);

impl Ledger {
    /// The ledger of a month that ends before `as_of`. Agencies of whom nothing is to say are left out.
    ///
    /// # Errors
    /// [`DocumentError::DoesNotAddUp`] where an agency's month does not foot, or the sums do not, or an amount has the wrong sign.
    pub fn new(
        period: &str,
        as_of: DateTime<Utc>,
        currency: &str,
        mut rolls: Vec<Roll>,
    ) -> Result<Ledger, DocumentError> {
        rolls.retain(|roll| !roll.is_nothing());
        rolls.sort_by(|a, b| (a.name.to_lowercase(), &a.partner).cmp(&(b.name.to_lowercase(), &b.partner)));
        for roll in &rolls {
            foots(roll)?;
        }
        let sum = |of: fn(&Roll) -> i64| {
            let sum: i128 = rolls.iter().map(|roll| i128::from(of(roll))).sum();
            i64::try_from(sum).map_err(|_| DocumentError::TooLarge { amount_minor: i64::MAX })
        };
        let total = Roll {
            partner: String::new(),
            name: "Total".into(),
            opening_minor: sum(|roll| roll.opening_minor)?,
            earned_minor: sum(|roll| roll.earned_minor)?,
            reversed_minor: sum(|roll| roll.reversed_minor)?,
            paid_minor: sum(|roll| roll.paid_minor)?,
            closing_minor: sum(|roll| roll.closing_minor)?,
        };
        foots(&total)?;
        let day = as_of.date_naive().pred_opt().unwrap_or_default();
        Ok(Ledger { period: period.to_owned(), day, currency: currency.to_uppercase(), rolls, total })
    }

    /// The agencies, by name.
    pub fn rolls(&self) -> &[Roll] {
        &self.rolls
    }

    /// All of them together.
    pub fn total(&self) -> &Roll {
        &self.total
    }

    /// The export as CSV.
    ///
    /// # Errors
    /// Only where it cannot be written.
    pub fn csv(&self, set: LedgerSet, accounts: &Accounts) -> Result<Vec<u8>, DocumentError> {
        match set {
            LedgerSet::Plain => self.plain(),
            LedgerSet::Quickbooks => self.quickbooks(accounts),
            LedgerSet::Xero => self.xero(accounts),
        }
        .map_err(|error| DocumentError::Format(error.to_string()))
    }

    fn plain(&self) -> csv::Result<Vec<u8>> {
        let columns = ["period", "partner", "name", "opening", "earned", "reversed", "paid", "closing", "currency"];
        let rows = self.rolls.iter().chain([&self.total]).map(|roll| {
            [
                self.period.clone(),
                guarded(&roll.partner).into_owned(),
                guarded(&roll.name).into_owned(),
                decimal(roll.opening_minor),
                decimal(roll.earned_minor),
                decimal(roll.reversed_minor),
                decimal(roll.paid_minor),
                decimal(roll.closing_minor),
                self.currency.clone(),
            ]
        });
        table(&columns, rows)
    }

    fn quickbooks(&self, accounts: &Accounts) -> csv::Result<Vec<u8>> {
        let columns =
            ["*JournalNo", "*JournalDate", "*AccountName", "*Debits", "*Credits", "Description", "Name", "Currency"];
        let day = self.day.format("%m/%d/%Y").to_string();
        let rows = (1..).zip(&self.rolls).flat_map(|(n, roll)| {
            journal(roll).into_iter().map(move |(account, what, amount_minor)| (n, roll, account, what, amount_minor))
        });
        let rows = rows.map(|(n, roll, account, what, amount_minor)| {
            let side = |is: bool| if is { decimal(magnitude(amount_minor)) } else { String::new() };
            [
                // At most 21 characters.
                format!("AK{}-{n}", self.period.replace('-', "")),
                day.clone(),
                guarded(name(account, accounts)).into_owned(),
                side(amount_minor > 0),
                side(amount_minor < 0),
                format!("{what}, {} ({})", self.period, roll.partner),
                guarded(&roll.name).into_owned(),
                self.currency.clone(),
            ]
        });
        table(&columns, rows)
    }

    fn xero(&self, accounts: &Accounts) -> csv::Result<Vec<u8>> {
        let columns = [
            "*Narration",
            "*Date",
            "Description",
            "*AccountCode",
            "*TaxRate",
            "*Amount",
            "TrackingName1",
            "TrackingOption1",
            "TrackingName2",
            "TrackingOption2",
        ];
        let narration = format!("Partner commissions {}", self.period);
        let rows = journal(&self.total).into_iter().map(|(account, what, amount_minor)| {
            [
                narration.clone(),
                self.day.format("%d/%m/%Y").to_string(),
                what.to_owned(),
                guarded(code(account, accounts)).into_owned(),
                guarded(&accounts.tax_rate).into_owned(),
                decimal(amount_minor),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ]
        });
        table(&columns, rows)
    }
}

fn foots(roll: &Roll) -> Result<(), DocumentError> {
    let wide = i128::from;
    let parts_minor =
        wide(roll.opening_minor) + wide(roll.earned_minor) - wide(roll.reversed_minor) - wide(roll.paid_minor);
    if parts_minor == wide(roll.closing_minor) && roll.earned_minor >= 0 && roll.reversed_minor >= 0 {
        return Ok(());
    }
    let what = format!("The month of {} {}", roll.name, roll.partner);
    Err(DocumentError::DoesNotAddUp { what, parts_minor, amount_minor: wide(roll.closing_minor) })
}

/// What a month is as debits and credits, which are the same. Rows of nothing are left out.
fn journal(roll: &Roll) -> Vec<Row> {
    let pair = |debit: Account, credit: Account, what: &'static str, amount_minor: i64| {
        [(debit, what, amount_minor), (credit, what, amount_minor.saturating_neg())]
    };
    let (expense, payable, stripe) = (Account::Expense, Account::Payable, Account::Stripe);
    let paid = if roll.paid_minor < 0 { "Payouts that came back" } else { "Payouts" };
    [
        pair(expense, payable, "Commission earned", roll.earned_minor),
        pair(payable, expense, "Commission taken back", roll.reversed_minor),
        pair(payable, stripe, paid, roll.paid_minor),
    ]
    .into_iter()
    .flatten()
    .filter(|(.., amount_minor)| *amount_minor != 0)
    .collect()
}

fn magnitude(amount_minor: i64) -> i64 {
    amount_minor.saturating_abs()
}

fn name(account: Account, accounts: &Accounts) -> &str {
    match account {
        Account::Expense => &accounts.expense,
        Account::Payable => &accounts.payable,
        Account::Stripe => &accounts.stripe,
    }
}

fn code(account: Account, accounts: &Accounts) -> &str {
    match account {
        Account::Expense => &accounts.expense_code,
        Account::Payable => &accounts.payable_code,
        Account::Stripe => &accounts.stripe_code,
    }
}
