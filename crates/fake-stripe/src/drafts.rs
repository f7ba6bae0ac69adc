//! Invoices that somebody writes: items wait for them, they are drafts, then open, then paid, void or given up.

use serde_json::{Value, json};

use crate::{
    error::ApiError,
    form::Form,
    invoices,
    objects::{int, list, set, template, text},
    store::Tx,
};

/// `POST /v1/invoiceitems`: an amount that waits for the customer's next invoice by hand.
pub(crate) fn create_item(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["customer", "amount", "currency", "description", "metadata"])?;
    let customer = form.need("customer")?;
    tx.read_param("customer", customer, "customer")?;
    let amount = form.integer("amount")?.ok_or_else(|| form.missing("amount"))?;
    let currency = form.currency("currency")?.ok_or_else(|| form.missing("currency"))?;
    let mut item = template("invoiceitem", &tx.id("ii")?, tx.now);
    set(
        &mut item,
        json!({
            "amount": amount, "net_amount": amount, "currency": currency, "customer": customer, "date": tx.now,
            "discountable": amount > 0, "period": { "start": tx.now, "end": tx.now },
            "description": form.text("description")?, "metadata": form.merge_metadata(&json!({}))?,
        }),
    );
    tx.insert(&item)?;
    tx.emit("invoiceitem.created", &item)?;
    Ok(item)
}

/// `DELETE /v1/invoiceitems/{id}`, while it is on no invoice.
pub(crate) fn delete_item(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let item = tx.read("invoiceitem", id)?;
    if !item["invoice"].is_null() {
        return Err(ApiError::refused("invoice_not_editable", format!("The item {id} is on an invoice already.")));
    }
    tx.remove(id)?;
    tx.emit("invoiceitem.deleted", &item)?;
    Ok(json!({ "id": id, "object": "invoiceitem", "deleted": true }))
}

/// `POST /v1/invoices`: a draft, with what waits for it where `pending_invoice_items_behavior` is `include`.
pub(crate) fn create(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["customer", "description", "metadata", "pending_invoice_items_behavior", "currency", "auto_advance"])?;
    let customer = tx.read_param("customer", form.need("customer")?, "customer")?;
    let include = form.word("pending_invoice_items_behavior", &["include", "exclude"])? == Some("include");
    let mut waiting = match include {
        true => tx.all("invoiceitem", "$.customer", text(&customer, "/id"))?,
        false => Vec::new(),
    };
    waiting.retain(|item| item["invoice"].is_null());
    let of_items = waiting.first().map(|item| text(item, "/currency").to_owned());
    let currency = form.currency("currency")?.or(of_items).unwrap_or_else(|| "usd".to_owned());
    waiting.retain(|item| text(item, "/currency") == currency);
    let id = tx.id("in")?;
    let mut lines = Vec::new();
    for item in &mut waiting {
        lines.push(line(tx, &id, item)?);
        item["invoice"] = json!(id);
        tx.save(item)?;
    }
    let total: i64 = waiting.iter().map(|item| int(item, "/amount")).sum();
    let mut invoice = template("invoice", &id, tx.now);
    set(
        &mut invoice,
        json!({
            "customer": customer["id"], "customer_email": customer["email"], "customer_name": customer["name"],
            "customer_address": customer["address"], "customer_phone": customer["phone"], "currency": currency,
            "description": form.text("description")?, "metadata": form.merge_metadata(&json!({}))?,
            "period_start": tx.now, "period_end": tx.now, "subtotal": total, "subtotal_excluding_tax": total,
            "total": total, "total_excluding_tax": total, "amount_due": total.max(0), "amount_remaining": total.max(0),
            "lines": list(format!("/v1/invoices/{id}/lines"), lines),
        }),
    );
    tx.insert(&invoice)?;
    tx.emit("invoice.created", &invoice)?;
    Ok(invoice)
}

fn line(tx: &Tx<'_>, invoice: &str, item: &Value) -> Result<Value, ApiError> {
    let mut line = template("line_item", &tx.id("il")?, tx.now);
    set(
        &mut line,
        json!({
            "invoice": invoice, "subtotal": item["amount"], "pricing": null,
            "parent": {
                "subscription_item_details": null, "type": "invoice_item_details",
                "invoice_item_details": {
                    "invoice_item": item["id"], "proration": false, "proration_details": { "credited_items": null },
                    "subscription": null,
                },
            },
        }),
    );
    for name in ["amount", "currency", "description", "discountable", "metadata", "period"] {
        line[name] = item[name].clone();
    }
    Ok(line)
}

/// `POST /v1/invoices/{id}`: description and metadata.
pub(crate) fn update(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["description", "metadata"])?;
    let before = tx.read("invoice", id)?;
    let mut invoice = before.clone();
    form.copy_texts(&["description"], &mut invoice)?;
    invoice["metadata"] = form.merge_metadata(&invoice["metadata"])?;
    change(tx, &before, &invoice, &["invoice.updated"])?;
    Ok(invoice)
}

/// `POST /v1/invoices/{id}/finalize`: it gets its number, and what the customer has to its credit is taken off.
pub(crate) fn finalize(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let before = in_state(tx, id, &["draft"])?;
    let mut customer = tx.read("customer", text(&before, "/customer"))?;
    let (sequence, credit) = (int(&customer, "/next_invoice_sequence"), int(&customer, "/balance"));
    let left = int(&before, "/total") + credit;
    let mut invoice = before.clone();
    set(
        &mut invoice,
        json!({
            "status": "open", "number": format!("{}-{sequence:04}", text(&customer, "/invoice_prefix")),
            "effective_at": tx.now, "starting_balance": credit, "ending_balance": left.min(0),
            "amount_due": left.max(0), "amount_remaining": left.max(0),
        }),
    );
    invoice["status_transitions"]["finalized_at"] = json!(tx.now);
    set(&mut customer, json!({ "next_invoice_sequence": sequence + 1, "balance": left.min(0) }));
    tx.save(&customer)?;
    change(tx, &before, &invoice, &["invoice.finalized"])?;
    if left <= 0 { settle(tx, &invoice, 0) } else { Ok(invoice) }
}

/// `POST /v1/invoices/{id}/pay`: by the customer's card, which pays; a draft is finalized first.
pub(crate) fn pay(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["payment_method", "off_session"])?;
    if let Some(method) = form.text("payment_method")? {
        tx.read_param("payment_method", method, "payment_method")?;
    }
    let mut invoice = in_state(tx, id, &["draft", "open", "uncollectible"])?;
    if text(&invoice, "/status") == "draft" {
        invoice = finalize(tx, id)?;
    }
    let due = int(&invoice, "/amount_due");
    if due == 0 {
        return Ok(invoice);
    }
    let payment = invoices::collect(tx, &invoice)?;
    let paid = settle(tx, &invoice, due)?;
    tx.emit("invoice_payment.paid", &payment)?;
    Ok(paid)
}

/// An open invoice of which nothing is left to pay.
pub(crate) fn settle(tx: &Tx<'_>, before: &Value, paid: i64) -> Result<Value, ApiError> {
    let mut invoice = before.clone();
    set(
        &mut invoice,
        json!({
            "status": "paid", "attempted": true, "attempt_count": i64::from(paid > 0), "amount_paid": paid,
            "amount_remaining": 0,
        }),
    );
    invoice["status_transitions"]["paid_at"] = json!(tx.now);
    change(tx, before, &invoice, &["invoice.paid", "invoice.payment_succeeded"])?;
    Ok(invoice)
}

/// `POST /v1/invoices/{id}/void`: it is not owed; what it took off the customer's credit comes back.
pub(crate) fn void(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let before = in_state(tx, id, &["open", "uncollectible"])?;
    let mut customer = tx.read("customer", text(&before, "/customer"))?;
    let used = int(&before, "/ending_balance") - int(&before, "/starting_balance");
    customer["balance"] = json!(int(&customer, "/balance") - used);
    tx.save(&customer)?;
    ended(tx, &before, "void", "voided_at", "invoice.voided")
}

/// `POST /v1/invoices/{id}/mark_uncollectible`: nobody expects to be paid any more.
pub(crate) fn give_up(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let before = in_state(tx, id, &["open"])?;
    ended(tx, &before, "uncollectible", "marked_uncollectible_at", "invoice.marked_uncollectible")
}

fn ended(tx: &Tx<'_>, before: &Value, status: &str, instant: &str, event: &str) -> Result<Value, ApiError> {
    let mut invoice = before.clone();
    invoice["status"] = json!(status);
    invoice["status_transitions"][instant] = json!(tx.now);
    change(tx, before, &invoice, &[event])?;
    Ok(invoice)
}

pub(crate) fn in_state(tx: &Tx<'_>, id: &str, states: &[&str]) -> Result<Value, ApiError> {
    let invoice = tx.read("invoice", id)?;
    let status = text(&invoice, "/status");
    if states.contains(&status) {
        return Ok(invoice);
    }
    let message = format!("The invoice {id} is {status}; this is for one that is {}.", states.join(" or "));
    Err(ApiError::refused("invoice_not_editable", message))
}

/// Saves what has changed, and tells of it.
fn change(tx: &Tx<'_>, before: &Value, invoice: &Value, events: &[&str]) -> Result<(), ApiError> {
    if before == invoice {
        return Ok(());
    }
    tx.save(invoice)?;
    events.iter().try_for_each(|event| tx.emit_change(event, before, invoice))
}
