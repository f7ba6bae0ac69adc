//! Refunds and disputes.

use serde_json::{Value, json};

use crate::{
    error::ApiError,
    form::Form,
    invoices::charge_of,
    objects::{int, items, set, template, text},
    store::{Booking, Tx},
};

/// What a dispute costs, whatever its outcome, in minor units.
const DISPUTE_FEE_MINOR: i64 = 1_500;

/// `POST /v1/refunds` by `charge` or `payment_intent`, whole or in part.
pub(crate) fn create_refund(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&[
        "charge",
        "payment_intent",
        "amount",
        "reason",
        "metadata",
        "reverse_transfer",
        "refund_application_fee",
        "currency",
        "customer",
        "origin",
        "instructions_email",
    ])?;
    let wanted = form.at_least("amount", 1)?;
    let reason = form.word("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let before = match (form.text("charge")?, form.text("payment_intent")?) {
        (Some(id), _) => tx.read_param("charge", id, "charge")?,
        (None, Some(id)) => {
            let intent = tx.read_param("payment_intent", id, "payment_intent")?;
            tx.read_param("charge", text(&intent, "/latest_charge"), "payment_intent")?
        }
        (None, None) => {
            let message = "One of the following params should be provided for this request: payment_intent or charge.";
            return Err(ApiError::parameter("parameter_missing", "charge", message));
        }
    };
    let id = text(&before, "/id").to_owned();
    let left = int(&before, "/amount") - int(&before, "/amount_refunded");
    if left == 0 {
        return Err(ApiError::refused("charge_already_refunded", format!("Charge {id} has already been refunded.")));
    }
    if disputes(tx, &id, &["needs_response", "lost"])? {
        let message = format!("Charge {id} has been charged back; cannot issue a refund.");
        return Err(ApiError::refused("charge_disputed", message));
    }
    let amount = wanted.unwrap_or(left);
    if amount > left {
        let message =
            format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left}), in minor units.");
        return Err(ApiError::refused("amount_too_large", message).about("amount"));
    }
    let refund_id = tx.id("re")?;
    let booked = book(tx, "refund", &refund_id, &before, -amount, 0)?;
    let mut refund = template("refund", &refund_id, tx.now);
    set(
        &mut refund,
        json!({
            "amount": amount, "currency": before["currency"], "charge": id, "payment_intent": before["payment_intent"],
            "reason": reason, "balance_transaction": booked, "metadata": form.merge_metadata(&json!({}))?,
        }),
    );
    let mut charge = before.clone();
    let refunded = int(&before, "/amount_refunded") + amount;
    set(&mut charge, json!({ "amount_refunded": refunded, "refunded": refunded == int(&before, "/amount") }));
    tx.insert(&refund)?;
    tx.save(&charge)?;
    tx.emit("refund.created", &refund)?;
    tx.emit_change("charge.refunded", &before, &charge)?;
    Ok(refund)
}

/// `POST /v1/refunds/{id}`: metadata.
pub(crate) fn update_refund(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["metadata"])?;
    let before = tx.read("refund", id)?;
    let mut refund = before.clone();
    refund["metadata"] = form.merge_metadata(&refund["metadata"])?;
    if refund != before {
        tx.save(&refund)?;
        tx.emit_change("refund.updated", &before, &refund)?;
        tx.emit_change("charge.refund.updated", &before, &refund)?;
    }
    Ok(refund)
}

/// A refund that does not reach the customer: the money comes back and the charge counts less as refunded.
pub(crate) fn fail_refund(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let before = tx.read("refund", id)?;
    if text(&before, "/status") == "failed" {
        return Err(ApiError::refused("refund_failed", format!("Refund {id} has failed already.")));
    }
    let mut charge = tx.read("charge", text(&before, "/charge"))?;
    let mut refund = before.clone();
    let booked = book(tx, "refund_failure", id, &charge, int(&refund, "/amount"), 0)?;
    set(
        &mut refund,
        json!({ "status": "failed", "failure_reason": "expired_or_canceled_card", "failure_balance_transaction": booked }),
    );
    let refunded = int(&charge, "/amount_refunded") - int(&refund, "/amount");
    set(&mut charge, json!({ "amount_refunded": refunded, "refunded": false }));
    tx.save(&refund)?;
    tx.save(&charge)?;
    tx.emit_change("refund.updated", &before, &refund)?;
    tx.emit("refund.failed", &refund)?;
    Ok(refund)
}

/// The customer's bank takes the money of an invoice back; `amount` defaults to the whole charge.
pub(crate) fn open_dispute(tx: &Tx<'_>, invoice: &str, amount: Option<i64>) -> Result<Value, ApiError> {
    tx.read("invoice", invoice)?;
    let Some(charge) = charge_of(tx, invoice)? else {
        let message = format!("Invoice {invoice} was settled without a charge, so there is nothing to dispute.");
        return Err(ApiError::refused("invoice_without_charge", message));
    };
    let (charged, refunded) = (int(&charge, "/amount"), int(&charge, "/amount_refunded"));
    let amount = amount.unwrap_or(charged - refunded);
    if !(1..=charged).contains(&amount) {
        let message = format!("A dispute's amount must lie between 1 and {charged} minor units; it is {amount}.");
        return Err(ApiError::parameter("parameter_invalid", "amount", message));
    }
    dispute(tx, &charge, amount, false)
}

/// A charge is disputed. An inquiry only asks: it takes no money, and what it asks about can be refunded.
pub(crate) fn dispute(tx: &Tx<'_>, before: &Value, amount: i64, inquiry: bool) -> Result<Value, ApiError> {
    if disputes(tx, text(before, "/id"), &["needs_response", "lost"])? {
        let message = format!("Charge {} is disputed already.", text(before, "/id"));
        return Err(ApiError::refused("charge_disputed", message));
    }
    let mut charge = before.clone();
    charge["disputed"] = json!(true);
    tx.save(&charge)?;
    let id = tx.id("du")?;
    let mut dispute = template("dispute", &id, tx.now);
    set(
        &mut dispute,
        json!({
            "amount": amount, "currency": charge["currency"], "charge": charge["id"],
            "payment_intent": charge["payment_intent"],
        }),
    );
    if inquiry {
        set(&mut dispute, json!({ "status": "warning_needs_response", "is_charge_refundable": true }));
        dispute["payment_method_details"]["card"]["case_type"] = json!("inquiry");
    } else {
        let booked = book(tx, "adjustment", &id, &charge, -amount, DISPUTE_FEE_MINOR)?;
        dispute["balance_transactions"] = json!([tx.any(&booked)?]);
    }
    dispute["evidence_details"]["due_by"] = json!(tx.now + 7 * 86_400);
    tx.insert(&dispute)?;
    tx.emit("charge.dispute.created", &dispute)?;
    Ok(dispute)
}

/// `POST /v1/disputes/{id}`: metadata.
pub(crate) fn update_dispute(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["metadata"])?;
    let before = tx.read("dispute", id)?;
    let mut dispute = before.clone();
    dispute["metadata"] = form.merge_metadata(&dispute["metadata"])?;
    if dispute != before {
        tx.save(&dispute)?;
        tx.emit_change("charge.dispute.updated", &before, &dispute)?;
    }
    Ok(dispute)
}

/// `POST /v1/disputes/{id}/close`: nothing is said against it. An inquiry ends with that, a dispute is lost.
pub(crate) fn give_in(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&[])?;
    let inquiry = text(&tx.read("dispute", id)?, "/status") == "warning_needs_response";
    close_dispute(tx, id, if inquiry { "warning_closed" } else { "lost" })
}

/// Ends a dispute: `won` gives the money back, `lost` keeps it away, `warning_closed` ends an inquiry.
pub(crate) fn close_dispute(tx: &Tx<'_>, id: &str, outcome: &str) -> Result<Value, ApiError> {
    if !["won", "lost", "warning_closed"].contains(&outcome) {
        let message = format!("The outcome '{outcome}' is not one of won, lost, warning_closed.");
        return Err(ApiError::parameter("parameter_invalid", "outcome", message));
    }
    let before = tx.read("dispute", id)?;
    if !["needs_response", "warning_needs_response"].contains(&text(&before, "/status")) {
        let message = format!("Dispute {id} was closed already: {}.", text(&before, "/status"));
        return Err(ApiError::refused("dispute_closed", message));
    }
    let mut dispute = before.clone();
    dispute["status"] = json!(outcome);
    let took_money = !items(&before, "/balance_transactions").is_empty();
    if outcome != "lost" && took_money {
        let charge = tx.read("charge", text(&dispute, "/charge"))?;
        let booked = book(tx, "adjustment", id, &charge, int(&dispute, "/amount"), 0)?;
        let transaction = tx.any(&booked)?;
        if let Some(transactions) = dispute["balance_transactions"].as_array_mut() {
            transactions.push(json!(transaction));
        }
    }
    tx.save(&dispute)?;
    tx.emit_event("", "charge.dispute.closed", &dispute, Some(crate::objects::differences(&before, &dispute)))?;
    Ok(dispute)
}

/// Whether the charge has a dispute in one of these states.
fn disputes(tx: &Tx<'_>, charge: &str, states: &[&str]) -> Result<bool, ApiError> {
    Ok(tx.all("dispute", "$.charge", charge)?.iter().any(|dispute| states.contains(&text(dispute, "/status"))))
}

fn book(tx: &Tx<'_>, kind: &str, source: &str, charge: &Value, amount: i64, fee: i64) -> Result<String, ApiError> {
    tx.book(&Booking { account: "", kind, source, currency: text(charge, "/currency"), amount, fee, pending: false })
}
