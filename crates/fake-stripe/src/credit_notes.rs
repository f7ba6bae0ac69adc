//! Credit notes: less to pay of an open invoice; of a paid one credit for later, or money that went back outside Stripe.

use serde_json::{Value, json};

use crate::{
    drafts,
    error::ApiError,
    form::Form,
    objects::{int, list, set, template, text},
    store::Tx,
};

/// `POST /v1/credit_notes` by `lines` of type `custom_line_item`.
pub(crate) fn create(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["invoice", "lines", "memo", "reason", "metadata", "credit_amount", "out_of_band_amount"])?;
    let before = drafts::in_state(tx, form.need("invoice")?, &["open", "paid"])?;
    let open = text(&before, "/status") == "open";
    let id = tx.id("cn")?;
    let lines: Vec<Value> = form.parts("lines")?.iter().map(|part| line(tx, part)).collect::<Result<_, _>>()?;
    let total: i64 = lines.iter().map(|line| int(line, "/amount")).sum();
    if lines.is_empty() {
        return Err(form.missing("lines"));
    }
    let credit = form.at_least("credit_amount", 0)?.unwrap_or(0);
    let outside = form.at_least("out_of_band_amount", 0)?;
    let left = match open {
        true => int(&before, "/amount_remaining"),
        false => {
            let noted = ["/pre_payment_credit_notes_amount", "/post_payment_credit_notes_amount"];
            int(&before, "/total") - noted.iter().map(|name| int(&before, name)).sum::<i64>()
        }
    };
    if total > left {
        let message = format!("The credit note comes to {total} minor units, and {left} of the invoice are left.");
        return Err(ApiError::refused("amount_too_large", message).about("lines"));
    }
    let after_payment = credit.saturating_add(outside.unwrap_or(0));
    if after_payment != if open { 0 } else { total } {
        let message = "Of a paid invoice, `credit_amount` and `out_of_band_amount` add up to the credit note; of an open one neither is sent.";
        return Err(ApiError::parameter("parameter_invalid", "credit_amount", message));
    }
    let mut invoice = before.clone();
    let so_far = tx.all("credit_note", "$.invoice", text(&before, "/id"))?.len();
    let mut note = template("credit_note", &id, tx.now);
    let reasons = ["duplicate", "fraudulent", "order_change", "product_unsatisfactory"];
    set(
        &mut note,
        json!({
            "amount": total, "subtotal": total, "subtotal_excluding_tax": total, "total": total,
            "total_excluding_tax": total, "currency": before["currency"], "customer": before["customer"],
            "invoice": before["id"], "number": format!("{}-CN-{:02}", text(&before, "/number"), so_far + 1),
            "effective_at": tx.now, "memo": form.text("memo")?, "reason": form.word("reason", &reasons)?,
            "metadata": form.merge_metadata(&json!({}))?, "out_of_band_amount": outside,
            "lines": list(format!("/v1/credit_notes/{id}/lines"), lines),
            "type": if open { "pre_payment" } else { "post_payment" },
            "pre_payment_amount": if open { total } else { 0 }, "post_payment_amount": if open { 0 } else { total },
        }),
    );
    tx.insert(&note)?;
    if open {
        owe(&mut invoice, -total);
    } else {
        let noted = int(&invoice, "/post_payment_credit_notes_amount") + total;
        invoice["post_payment_credit_notes_amount"] = json!(noted);
        let mut customer = tx.read("customer", text(&before, "/customer"))?;
        customer["balance"] = json!(int(&customer, "/balance") - credit);
        tx.save(&customer)?;
    }
    tx.save(&invoice)?;
    tx.emit("credit_note.created", &note)?;
    if open && int(&invoice, "/amount_remaining") == 0 {
        drafts::settle(tx, &invoice, 0)?;
    }
    Ok(note)
}

fn line(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["type", "description", "quantity", "unit_amount"])?;
    form.word("type", &["custom_line_item"])?.ok_or_else(|| form.missing("type"))?;
    let unit = form.at_least("unit_amount", 1)?.ok_or_else(|| form.missing("unit_amount"))?;
    let quantity = form.at_least("quantity", 1)?.unwrap_or(1);
    let mut line = template("credit_note_line_item", &tx.id("cnli")?, tx.now);
    set(
        &mut line,
        json!({
            "amount": unit.saturating_mul(quantity), "unit_amount": unit, "unit_amount_decimal": unit.to_string(),
            "quantity": quantity, "description": form.text("description")?,
        }),
    );
    Ok(line)
}

/// An open invoice is owed so much more, by a credit note.
fn owe(invoice: &mut Value, more: i64) {
    let sum = |name: &str, more: i64| int(invoice, name) + more;
    let fields = json!({
        "amount_due": sum("/amount_due", more), "amount_remaining": sum("/amount_remaining", more),
        "pre_payment_credit_notes_amount": sum("/pre_payment_credit_notes_amount", -more),
    });
    set(invoice, fields);
}

/// `POST /v1/credit_notes/{id}/void`, while its invoice is open.
pub(crate) fn void(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let before = tx.read("credit_note", id)?;
    if text(&before, "/status") == "void" {
        return Err(ApiError::refused("credit_note_void", format!("Credit note {id} is void already.")));
    }
    let mut invoice = drafts::in_state(tx, text(&before, "/invoice"), &["open"])?;
    let mut note = before.clone();
    set(&mut note, json!({ "status": "void", "voided_at": tx.now }));
    owe(&mut invoice, int(&note, "/pre_payment_amount"));
    tx.save(&invoice)?;
    tx.save(&note)?;
    tx.emit_change("credit_note.voided", &before, &note)?;
    Ok(note)
}
