//! The money of connected accounts: what transfers bring, and what goes on to a bank.
//!
//! Every entry of an account belongs to at most one payout, as Stripe's list of balance transactions of a payout has it. A
//! payout that a bank refuses keeps its entries; the money comes back as an entry of its own, for the next payout.

use rusqlite::params;
use serde_json::{Value, json};

use crate::{
    calendar::DAY_S,
    connect,
    error::ApiError,
    form::Form,
    objects::{differences, flag, int, items, set, template, text},
    store::{Booking, SETTLE_S, Tx},
};

/// A transfer arrives at its destination, as the payment `py_…`.
pub(crate) fn receive(tx: &Tx<'_>, transfer: &Value, payment: &str) -> Result<(), ApiError> {
    let (account, currency, amount) =
        (text(transfer, "/destination"), text(transfer, "/currency"), int(transfer, "/amount"));
    let booked = book(tx, account, "payment", payment, currency, amount, text(transfer, "/id"))?;
    let mut charge = template("charge", payment, tx.now);
    set(
        &mut charge,
        json!({
            "amount": amount, "amount_captured": amount, "currency": currency, "balance_transaction": booked,
            "source_transfer": transfer["id"], "payment_method": null, "outcome": null,
            "payment_method_details": { "type": "stripe_account", "stripe_account": {} },
        }),
    );
    tx.insert_for(account, &charge)
}

/// A part of a transfer goes back by a reversal; answers the refund `pyr_…` in the destination.
pub(crate) fn give_back(tx: &Tx<'_>, transfer: &Value, reversal: &str, amount: i64) -> Result<String, ApiError> {
    let id = tx.id("pyr")?;
    let (account, currency, payment) =
        (text(transfer, "/destination"), text(transfer, "/currency"), text(transfer, "/destination_payment"));
    let booked = book(tx, account, "payment_refund", &id, currency, -amount, text(transfer, "/id"))?;
    let mut refund = template("refund", &id, tx.now);
    set(
        &mut refund,
        json!({
            "amount": amount, "currency": currency, "charge": payment, "balance_transaction": booked,
            "source_transfer_reversal": reversal,
        }),
    );
    if let Some(fields) = refund.as_object_mut() {
        // It goes to no card.
        fields.remove("destination_details");
    }
    tx.insert_for(account, &refund)?;
    if let Some(mut charge) = tx.find("charge", account, payment)? {
        let refunded = int(&charge, "/amount_refunded") + amount;
        let whole = refunded == int(&charge, "/amount");
        set(&mut charge, json!({ "amount_refunded": refunded, "refunded": whole }));
        tx.save(&charge)?;
    }
    Ok(id)
}

/// An entry of an account; `transfer` is the one that it is of, or empty.
fn book(
    tx: &Tx<'_>,
    account: &str,
    kind: &str,
    source: &str,
    currency: &str,
    amount: i64,
    transfer: &str,
) -> Result<String, ApiError> {
    let booked = tx.book(&Booking { account, kind, source, currency, amount, fee: 0, pending: false })?;
    tx.sql.execute(
        "INSERT INTO account_entries (entry, account, currency, transfer) VALUES (?1, ?2, ?3, ?4)",
        params![booked, account, currency, transfer],
    )?;
    Ok(booked)
}

/// What the clock does two days after a transfer, or after payouts were enabled: the account's money goes
/// to its bank, as far as it is still there and payouts are enabled.
pub(crate) fn pay_out(tx: &Tx<'_>, source: &str) -> Result<(), ApiError> {
    let (id, only) = match tx.find("transfer", "", source)? {
        Some(transfer) => {
            let amount = int(&transfer, "/amount") - int(&transfer, "/amount_reversed");
            (text(&transfer, "/destination").to_owned(), Some((text(&transfer, "/currency").to_owned(), amount)))
        }
        None => (source.to_owned(), None),
    };
    let Some(account) = tx.find("account", "", &id)? else { return Ok(()) };
    if !flag(&account, "/payouts_enabled") {
        return Ok(());
    }
    for amount in items(&connect::balance(tx, &id)?, "/available") {
        let (available, currency) = (int(amount, "/amount"), text(amount, "/currency"));
        let wanted = match &only {
            Some((wanted_currency, amount)) if wanted_currency == currency => available.min(*amount),
            Some(_) => 0,
            None => available,
        };
        if wanted > 0 {
            pay_bank(tx, &account, wanted, currency, only.as_ref().map_or("", |_| source))?;
        }
    }
    Ok(())
}

/// The next payout of an account comes back from its bank, with one of Stripe's failure codes: at once, or
/// so many days after Stripe said that it was paid.
pub(crate) fn refuse_next(tx: &Tx<'_>, account: &str, code: &str, after_days: u32) -> Result<(), ApiError> {
    let known =
        ["account_closed", "account_frozen", "could_not_process", "declined", "invalid_account_number", "no_account"];
    if !known.contains(&code) {
        let message = format!("`refuse_payout` must be one of {}; it is '{code}'.", known.join(", "));
        return Err(ApiError::parameter("parameter_invalid", "refuse_payout", message));
    }
    tx.read("account", account)?;
    tx.set_meta(&refusal(account), &format!("{code} {after_days}"))
}

fn refusal(account: &str) -> String {
    format!("refuse_payout_{account}")
}

/// What waits for the next payout of an account: the code, and after how many days.
fn take_refusal(tx: &Tx<'_>, account: &str) -> Result<Option<(String, i64)>, ApiError> {
    let Some(waiting) = tx.meta(&refusal(account))? else { return Ok(None) };
    tx.sql.execute("DELETE FROM meta WHERE name = ?1", [refusal(account)])?;
    let (code, days) = waiting.split_once(' ').unwrap_or((&waiting, "0"));
    Ok(Some((code.to_owned(), days.parse().unwrap_or_default())))
}

/// Of one transfer, or of everything that is there.
fn pay_bank(tx: &Tx<'_>, account: &Value, amount: i64, currency: &str, transfer: &str) -> Result<(), ApiError> {
    let (account_id, id) = (text(account, "/id"), tx.id("po")?);
    let booked = tx.book(&Booking {
        account: account_id,
        kind: "payout",
        source: &id,
        currency,
        amount: -amount,
        fee: 0,
        pending: false,
    })?;
    tx.sql.execute(
        "UPDATE account_entries SET payout = ?1 WHERE account = ?2 AND currency = ?3 AND payout = '' AND (?4 = '' OR transfer = ?4)",
        params![id, account_id, currency, transfer],
    )?;
    tx.sql.execute(
        "INSERT INTO account_entries (entry, account, currency, transfer, payout) VALUES (?1, ?2, ?3, '', ?4)",
        params![booked, account_id, currency, id],
    )?;
    let mut payout = template("payout", &id, tx.now);
    set(
        &mut payout,
        json!({
            "amount": amount, "currency": currency, "arrival_date": tx.now, "balance_transaction": booked,
            "destination": text(account, "/external_accounts/data/0/id"), "status": "in_transit",
        }),
    );
    tx.insert_for(account_id, &payout)?;
    tx.emit_event(account_id, "payout.created", &payout, None)?;
    changed(
        tx,
        account_id,
        &mut payout,
        "payout.reconciliation_completed",
        json!({ "reconciliation_status": "completed" }),
    )?;
    match take_refusal(tx, account_id)? {
        Some((code, 0)) => come_back(tx, account_id, &mut payout, &code),
        refused => {
            if let Some((code, days)) = refused {
                tx.schedule("refusal", &format!("{account_id} {id} {code}"), tx.now + days * DAY_S)?;
            }
            changed(tx, account_id, &mut payout, "payout.paid", json!({ "status": "paid" }))
        }
    }
}

/// What the clock does when a bank refuses what was said to be paid: `account payout code`.
pub(crate) fn refuse(tx: &Tx<'_>, refused: &str) -> Result<(), ApiError> {
    let mut words = refused.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (account, payout, code) = (word(), word(), word());
    let Some(mut payout) = tx.find("payout", account, payout)? else { return Ok(()) };
    come_back(tx, account, &mut payout, code)
}

/// A payout fails: its money is the account's again.
fn come_back(tx: &Tx<'_>, account: &str, payout: &mut Value, code: &str) -> Result<(), ApiError> {
    let back = book(
        tx,
        account,
        "payout_failure",
        text(payout, "/id"),
        text(payout, "/currency"),
        int(payout, "/amount"),
        "",
    )?;
    let failed = json!({
        "status": "failed", "failure_code": code, "failure_balance_transaction": back,
        "failure_message": "The bank returned the payout.",
    });
    changed(tx, account, payout, "payout.failed", failed)?;
    // Stripe pays nothing more to that bank account before it is corrected.
    connect::steer_account(tx, account, None, Some(false), Some(&["external_account".to_owned()])).map(drop)
}

/// `POST /v1/payouts`: the platform sends money of its own to its bank, by hand.
pub(crate) fn send(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["amount", "currency", "description", "metadata", "statement_descriptor"])?;
    let amount = form.at_least("amount", 1)?.ok_or_else(|| form.missing("amount"))?;
    let currency = form.currency("currency")?.ok_or_else(|| form.missing("currency"))?;
    if tx.balance("", &currency)?.0 < amount {
        let message = "You have insufficient funds in your Stripe account for this payout.";
        return Err(ApiError::refused("balance_insufficient", message));
    }
    let id = tx.id("po")?;
    let booked = tx.book(&Booking {
        account: "",
        kind: "payout",
        source: &id,
        currency: &currency,
        amount: -amount,
        fee: 0,
        pending: false,
    })?;
    let mut payout = template("payout", &id, tx.now);
    set(
        &mut payout,
        json!({
            "amount": amount, "currency": currency, "automatic": false, "arrival_date": tx.now + SETTLE_S,
            "balance_transaction": booked, "destination": null, "reconciliation_status": "not_applicable",
            "status": "pending", "metadata": form.merge_metadata(&json!({}))?, "description": null,
        }),
    );
    form.copy_texts(&["description", "statement_descriptor"], &mut payout)?;
    tx.insert(&payout)?;
    tx.emit("payout.created", &payout)?;
    tx.schedule("sent", &id, tx.now + SETTLE_S)?;
    Ok(payout)
}

/// What the clock does when the platform's bank has received a payout.
pub(crate) fn arrive(tx: &Tx<'_>, id: &str) -> Result<(), ApiError> {
    let Some(mut payout) = tx.find("payout", "", id)? else { return Ok(()) };
    changed(tx, "", &mut payout, "payout.paid", json!({ "status": "paid" }))
}

/// Saves a payout with other values, and tells of it.
fn changed(tx: &Tx<'_>, account: &str, payout: &mut Value, kind: &str, values: Value) -> Result<(), ApiError> {
    let before = payout.clone();
    set(payout, values);
    tx.save(payout)?;
    tx.emit_event(account, kind, payout, Some(differences(&before, payout)))
}
