//! The product's database with a journal in it, and the tables of the first proposal with the same clients.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use commission::{Fact, FactBody, parse_fact};
use rusqlite::{Connection, Transaction, params};
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
        "INSERT INTO person (id, email, role, added_ms) VALUES ('{FINANCE}', 'month@aikit.example', 'finance', 0);"
    ))?;
    // A first invoice may stand before the start of its subscription, in the same second.
    each(journal, |fact, _| keep_subject(&transaction, fact))?;
    each(journal, |fact, line| keep_fact(&transaction, fact, line))?;
    transaction.execute_batch(&format!(
        "INSERT INTO terms_acceptance (partner, version, at_ms) SELECT code, '{}', 0 FROM partner;
         INSERT INTO seed_partners SELECT code, 'active' FROM partner;
         INSERT INTO seed_customers SELECT id, partner FROM referral;",
        referral::default_terms()?.versions().last().context("no terms")?.id
    ))?;
    transaction.commit()?;
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE;")?;
    Ok(())
}

/// Leaves nothing but the month itself to be done, and nothing but the product's tables.
pub(crate) fn only_one_month_is_due(database: &Path) -> anyhow::Result<()> {
    Connection::open(database)?.execute_batch(
        "INSERT INTO month_closed (period, run, at_ms) VALUES ('2027-11', NULL, 0);
         UPDATE follower SET seq = (SELECT max(seq) FROM fact);
         DROP TABLE seed_partners; DROP TABLE seed_customers; DROP TABLE seed_subscriptions; DROP TABLE seed_payouts;",
    )?;
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

fn each(journal: &Path, mut take: impl FnMut(&Fact, &str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for line in BufReader::new(File::open(journal)?).lines() {
        let line = line?;
        take(&parse_fact(&line)?.context("a blank line")?, &line)?;
    }
    Ok(())
}

/// The row of a partner, a referral or a subscription that a fact brings.
fn keep_subject(into: &Transaction, fact: &Fact) -> anyhow::Result<()> {
    let at_ms = fact.at.timestamp_millis();
    match &fact.body {
        FactBody::PartnerJoined { partner, name, website, .. } => into
            .prepare_cached(
                "INSERT INTO partner (code, name, email, website, country, joined_ms, account, transfers)
                 VALUES (?1, ?2, ?1 || '@agency.example', ?3, 'US', ?4, 'acct_' || ?1, 'active')",
            )?
            .execute(params![partner, name, website, at_ms])?,
        FactBody::ReferralCreated { referral, partner, .. } => into
            .prepare_cached(
                "INSERT INTO referral (id, partner, email, signed_up_ms, rule)
                 VALUES (?1, ?2, ?1 || '@client.example', ?3, 'cookie')",
            )?
            .execute(params![referral, partner, at_ms])?,
        FactBody::SubscriptionStarted { subscription, referral, amount_minor, .. } => {
            into.prepare_cached("INSERT INTO subscription (id, referral) VALUES (?1, ?2)")?
                .execute(params![subscription, referral])?;
            into.prepare_cached("INSERT INTO seed_subscriptions VALUES (?1, ?2, ?3, 'active')")?.execute(params![
                subscription,
                referral,
                amount_minor
            ])?
        }
        _ => 0,
    };
    Ok(())
}

/// The fact itself, under the partner or the referral that it leads to.
fn keep_fact(into: &Transaction, fact: &Fact, line: &str) -> anyhow::Result<()> {
    let found = |sql: &str, id: &str| -> rusqlite::Result<Option<String>> {
        into.prepare_cached(sql)?.query_row([id], |row| row.get(0))
    };
    let of_subscription = |id: &str| found("SELECT referral FROM subscription WHERE id = ?1", id);
    let (partner, referral) = match &fact.body {
        FactBody::PartnerJoined { partner, .. } => (Some(partner.clone()), None),
        FactBody::ReferralCreated { referral, .. } | FactBody::SubscriptionStarted { referral, .. } => {
            (None, Some(referral.clone()))
        }
        FactBody::InvoicePaid { subscription, invoice, amount_minor, .. } => {
            let referral = of_subscription(subscription)?;
            into.prepare_cached("INSERT INTO invoice (id, referral, paid_minor) VALUES (?1, ?2, ?3)")?
                .execute(params![invoice, referral, amount_minor])?;
            (None, referral)
        }
        FactBody::SubscriptionCanceled { subscription } => (None, of_subscription(subscription)?),
        FactBody::InvoiceRefunded { invoice, .. } => {
            (None, found("SELECT referral FROM invoice WHERE id = ?1", invoice)?)
        }
        _ => (None, None),
    };
    into.prepare_cached("INSERT INTO fact (id, partner, referral, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![fact.id, partner, referral, line])?;
    Ok(())
}
