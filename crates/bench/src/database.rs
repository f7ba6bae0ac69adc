//! The product's database with a journal in it, and the tables of the first proposal with the same clients.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use commission::{Fact, FactBody, Interval, parse_fact};
use rusqlite::{CachedStatement, Connection, Transaction, params};
use sqlite::{Profile, Sqlite};

use crate::drafting::FINANCE;

/// The tables that the first proposal names, with the columns that its loop uses.
const SEED_TABLES: &str = "
CREATE TABLE seed_partners (code TEXT PRIMARY KEY, status TEXT);
CREATE TABLE seed_customers (stripe_customer_id TEXT PRIMARY KEY, referral_code TEXT);
CREATE TABLE seed_subscriptions (id TEXT PRIMARY KEY, customer_id TEXT, amount INTEGER, status TEXT);
CREATE TABLE seed_payouts (partner_code TEXT, amount INTEGER, period_start TEXT, period_end TEXT, status TEXT);";

/// Writes a journal into a new database.
pub(crate) fn write(path: &Path, journal: &Path) -> anyhow::Result<()> {
    // The product itself makes its tables.
    drop(Sqlite::open(path, Profile::Native)?);
    let mut database = Connection::open(path)?;
    database.execute_batch(SEED_TABLES)?;
    let transaction = database.transaction()?;
    transaction.execute_batch(&format!(
        "INSERT INTO person (id, email, role, added_ms) VALUES ('{FINANCE}', 'finance@aikit.example', 'finance', 0);"
    ))?;
    for line in BufReader::new(File::open(journal)?).lines() {
        let line = line?;
        let fact = parse_fact(&line)?.context("a blank line")?;
        store(&transaction, &fact, &line)?;
    }
    transaction.execute_batch(&format!(
        "INSERT INTO terms_acceptance (partner, version, at_ms) SELECT code, '{}', 0 FROM partner;
         INSERT INTO seed_partners SELECT code, 'active' FROM partner;
         INSERT INTO seed_customers SELECT id, partner FROM referral;
         INSERT INTO seed_subscriptions SELECT id, referral, amount_minor, 'active' FROM subscription;",
        referral::default_terms()?.versions().last().context("no terms")?.id
    ))?;
    transaction.commit()?;
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE;")?;
    Ok(())
}

/// A copy in which the loop finds what it looks for.
pub(crate) fn index_copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to)?;
    Connection::open(to)?.execute_batch(
        "CREATE INDEX seed_customers_by_code ON seed_customers (referral_code);
         CREATE INDEX seed_subscriptions_by_customer ON seed_subscriptions (customer_id); ANALYZE;",
    )?;
    Ok(())
}

/// A fact, and the rows that the product keeps of what it is about.
fn store(into: &Transaction, fact: &Fact, line: &str) -> anyhow::Result<()> {
    let sql = |text: &str| -> rusqlite::Result<CachedStatement<'_>> { into.prepare_cached(text) };
    let at_ms = fact.at.timestamp_millis();
    let (partner, referral) = match &fact.body {
        FactBody::PartnerJoined { partner, name, website, .. } => {
            sql("INSERT INTO partner (code, name, email, website, country, joined_ms, account, transfers)
                 VALUES (?1, ?2, ?1 || '@agency.example', ?3, 'US', ?4, 'acct_' || ?1, 'active')")?
            .execute(params![partner, name, website, at_ms])?;
            (Some(partner.clone()), None)
        }
        FactBody::ReferralCreated { referral, partner, .. } => {
            sql("INSERT INTO referral (id, partner, email, signed_up_ms, rule) VALUES (?1, ?2, ?1 || '@client.example', ?3, 'cookie')")?
                .execute(params![referral, partner, at_ms])?;
            (None, Some(referral.clone()))
        }
        FactBody::SubscriptionStarted { subscription, referral, interval, amount_minor } => {
            let interval = if *interval == Interval::Year { "year" } else { "month" };
            sql("INSERT INTO subscription (id, referral, interval, amount_minor) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![subscription, referral, interval, amount_minor])?;
            (None, Some(referral.clone()))
        }
        FactBody::InvoicePaid { subscription, invoice, .. } => {
            let referral: String =
                sql("SELECT referral FROM subscription WHERE id = ?1")?.query_row([subscription], |row| row.get(0))?;
            sql("INSERT INTO invoice (id, referral) VALUES (?1, ?2)")?.execute(params![invoice, referral])?;
            (None, Some(referral))
        }
        FactBody::SubscriptionCanceled { subscription } => (
            None,
            Some(sql("SELECT referral FROM subscription WHERE id = ?1")?.query_row([subscription], |row| row.get(0))?),
        ),
        FactBody::InvoiceRefunded { invoice, .. } => {
            (None, Some(sql("SELECT referral FROM invoice WHERE id = ?1")?.query_row([invoice], |row| row.get(0))?))
        }
        _ => (None, None),
    };
    sql("INSERT INTO fact (id, partner, referral, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![fact.id, partner, referral, line])?;
    Ok(())
}
