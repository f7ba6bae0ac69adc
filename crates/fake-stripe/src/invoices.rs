//! Invoices: made and paid in one go, since every customer's card pays.

use serde_json::{Value, json};

use crate::{
    error::ApiError,
    objects::{flag, int, items, list, maybe_int, percent_ppm, set, share, template, text},
    payments,
    store::Tx,
};

/// One line before discounts and tax; amounts in minor units, instants in seconds.
pub(crate) struct Line {
    pub(crate) description: String,
    pub(crate) amount: i64,
    pub(crate) quantity: i64,
    pub(crate) price: Value,
    pub(crate) period_start: i64,
    pub(crate) period_end: i64,
    pub(crate) item: String,
    pub(crate) proration: bool,
}

/// Makes the invoice of a subscription, pays it and emits what Stripe emits on the way. `period` is the
/// invoice's own period, which for a renewal is the one that has ended.
pub(crate) fn bill(
    tx: &Tx<'_>,
    subscription: &mut Value,
    lines: &[Line],
    reason: &str,
    period: (i64, i64),
) -> Result<Value, ApiError> {
    let mut customer = tx.read("customer", text(subscription, "/customer"))?;
    let id = tx.id("in")?;
    let mut invoice = template("invoice", &id, tx.now);
    let currency = text(subscription, "/currency").to_owned();
    let discounts = live_discounts(tx, subscription)?;
    let rates = items(subscription, "/default_tax_rates").to_vec();
    let mut documents = Vec::new();
    for line in lines {
        documents.push(line_document(tx, &id, subscription, line, &discounts, &rates)?);
    }
    let sum = |pointer: &str| documents.iter().map(|line| int(line, pointer)).sum::<i64>();
    let subtotal = sum("/amount");
    let discounted = totals(&documents, "/discount_amounts", "discount");
    let taxes = tax_totals(&documents);
    let less: i64 = discounted.iter().map(|discount| int(discount, "/amount")).sum();
    let exclusive: i64 =
        taxes.iter().filter(|tax| text(tax, "/tax_behavior") == "exclusive").map(|tax| int(tax, "/amount")).sum();
    let inclusive: i64 =
        taxes.iter().filter(|tax| text(tax, "/tax_behavior") == "inclusive").map(|tax| int(tax, "/amount")).sum();
    let total = subtotal - less + exclusive;
    let starting_balance = int(&customer, "/balance");
    let due = (total + starting_balance).max(0);
    let ending_balance = (total + starting_balance).min(0);
    let sequence = int(&customer, "/next_invoice_sequence");
    set(
        &mut invoice,
        json!({
            "number": format!("{}-{sequence:04}", text(&customer, "/invoice_prefix")),
            "customer": customer["id"], "customer_email": customer["email"], "customer_name": customer["name"],
            "customer_address": customer["address"], "customer_phone": customer["phone"],
            "currency": currency, "billing_reason": reason, "status": "open",
            "period_start": period.0, "period_end": period.1, "effective_at": tx.now,
            "subtotal": subtotal, "subtotal_excluding_tax": subtotal - inclusive,
            "total": total, "total_excluding_tax": total - exclusive - inclusive,
            "total_taxes": taxes, "total_discount_amounts": discounted,
            "discounts": discounts.iter().map(|discount| discount["id"].clone()).collect::<Vec<_>>(),
            "default_tax_rates": rates,
            "amount_due": due, "amount_paid": 0, "amount_remaining": due,
            "starting_balance": starting_balance, "ending_balance": ending_balance,
            "status_transitions": { "finalized_at": tx.now, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null },
            "parent": {
                "quote_details": null, "type": "subscription_details",
                "subscription_details": { "metadata": subscription["metadata"], "subscription": subscription["id"] },
            },
            "lines": list(format!("/v1/invoices/{id}/lines"), documents),
        }),
    );
    customer["next_invoice_sequence"] = json!(sequence + 1);
    customer["balance"] = json!(ending_balance);
    if customer["currency"].is_null() {
        customer["currency"] = json!(currency);
    }
    tx.save(&customer)?;
    subscription["latest_invoice"] = json!(id);
    tx.insert(&invoice)?;
    tx.emit("invoice.created", &invoice)?;
    let payment = if due > 0 { Some(collect(tx, &invoice)?) } else { None };
    set(
        &mut invoice,
        json!({
            "status": "paid", "attempted": true, "attempt_count": i64::from(due > 0),
            "amount_paid": due, "amount_remaining": 0,
            "status_transitions": { "finalized_at": tx.now, "marked_uncollectible_at": null, "paid_at": tx.now, "voided_at": null },
        }),
    );
    tx.save(&invoice)?;
    tx.emit("invoice.paid", &invoice)?;
    if let Some(payment) = payment {
        tx.emit("invoice_payment.paid", &payment)?;
    }
    end_used_discounts(tx, subscription, &discounts, subtotal)?;
    Ok(invoice)
}

/// Takes the money: a payment intent, its charge, and the invoice payment that ties them to the invoice.
pub(crate) fn collect(tx: &Tx<'_>, invoice: &Value) -> Result<Value, ApiError> {
    let (amount, currency) = (int(invoice, "/amount_due"), text(invoice, "/currency"));
    let (intent_id, payment_id) = (tx.id("pi")?, tx.id("inpay")?);
    let mut intent = template("payment_intent", &intent_id, tx.now);
    set(
        &mut intent,
        json!({
            "amount": amount, "currency": currency, "customer": invoice["customer"],
            "payment_method": format!("pm_{}", crate::store::letters(text(invoice, "/customer"), 24)),
            "description": match text(invoice, "/billing_reason") {
                "subscription_create" => "Subscription creation",
                "manual" => "Payment for Invoice",
                _ => "Subscription update",
            },
            "client_secret": format!("{intent_id}_secret_{}", crate::store::letters(&intent_id, 25)),
        }),
    );
    let mut charge = payments::pay(tx, &mut intent, true)?;
    charge["billing_details"]["email"] = invoice["customer_email"].clone();
    charge["billing_details"]["name"] = invoice["customer_name"].clone();
    let mut payment = template("invoice_payment", &payment_id, tx.now);
    set(
        &mut payment,
        json!({
            "amount_paid": amount, "amount_requested": amount, "currency": currency, "invoice": invoice["id"],
            "payment": { "payment_intent": intent_id, "type": "payment_intent" },
            "status_transitions": { "canceled_at": null, "paid_at": tx.now },
        }),
    );
    for object in [&intent, &charge, &payment] {
        tx.insert(object)?;
    }
    tracing::debug!(invoice = text(invoice, "/id"), amount, "invoice collected");
    tx.emit("charge.succeeded", &charge)?;
    tx.emit("payment_intent.succeeded", &intent)?;
    Ok(payment)
}

fn line_document(
    tx: &Tx<'_>,
    invoice: &str,
    subscription: &Value,
    line: &Line,
    discounts: &[Value],
    rates: &[Value],
) -> Result<Value, ApiError> {
    let mut document = template("line_item", &tx.id("il")?, tx.now);
    let mut remaining = line.amount;
    let mut discount_amounts = Vec::new();
    for discount in discounts {
        let coupon = tx.any(text(discount, "/source/coupon"))?.unwrap_or_default();
        let amount = match maybe_int(&coupon, "/amount_off") {
            Some(amount) => amount.min(remaining.max(0)),
            None => share(remaining, percent_of(&coupon["percent_off"]), 1_000_000),
        };
        remaining -= amount;
        discount_amounts.push(json!({ "amount": amount, "discount": discount["id"] }));
    }
    let mut taxes = Vec::new();
    for rate in rates {
        let ppm = percent_of(&rate["percentage"]);
        let inclusive = flag(rate, "/inclusive");
        let amount = if inclusive {
            remaining - share(remaining, 1_000_000, 1_000_000 + ppm)
        } else {
            share(remaining, ppm, 1_000_000)
        };
        taxes.push(json!({
            "amount": amount, "tax_behavior": if inclusive { "inclusive" } else { "exclusive" },
            "tax_rate_details": { "tax_rate": rate["id"] }, "taxability_reason": "standard_rated",
            "taxable_amount": if inclusive { remaining - amount } else { remaining }, "type": "tax_rate_details",
        }));
    }
    set(
        &mut document,
        json!({
            "invoice": invoice, "amount": line.amount, "subtotal": line.amount, "currency": subscription["currency"],
            "description": line.description, "quantity": line.quantity, "quantity_decimal": line.quantity.to_string(),
            "period": { "start": line.period_start, "end": line.period_end },
            "discount_amounts": discount_amounts,
            "discounts": discounts.iter().map(|discount| discount["id"].clone()).collect::<Vec<_>>(),
            "taxes": taxes, "metadata": subscription["metadata"], "subscription": subscription["id"],
            "pricing": {
                "price_details": { "price": line.price["id"], "product": line.price["product"] },
                "type": "price_details", "unit_amount_decimal": line.price["unit_amount_decimal"],
            },
            "parent": {
                "invoice_item_details": null, "type": "subscription_item_details",
                "subscription_item_details": {
                    "invoice_item": null, "proration": line.proration, "proration_details": { "credited_items": null },
                    "subscription": subscription["id"], "subscription_item": line.item,
                },
            },
        }),
    );
    Ok(document)
}

fn percent_of(number: &Value) -> i64 {
    percent_ppm(&number.to_string())
        .or_else(|| percent_ppm(number.to_string().trim_end_matches(".0")))
        .unwrap_or_default()
}

/// Sums the lines' amounts by discount.
fn totals(lines: &[Value], pointer: &str, key: &str) -> Vec<Value> {
    let mut sums: Vec<Value> = Vec::new();
    for part in lines.iter().flat_map(|line| items(line, pointer)) {
        match sums.iter_mut().find(|sum| sum[key] == part[key]) {
            Some(sum) => sum["amount"] = json!(int(sum, "/amount") + int(part, "/amount")),
            None => sums.push(part.clone()),
        }
    }
    sums
}

/// Sums the lines' taxes by tax rate.
fn tax_totals(lines: &[Value]) -> Vec<Value> {
    let mut sums: Vec<Value> = Vec::new();
    for part in lines.iter().flat_map(|line| items(line, "/taxes")) {
        match sums.iter_mut().find(|sum| sum["tax_rate_details"] == part["tax_rate_details"]) {
            Some(sum) => {
                sum["amount"] = json!(int(sum, "/amount") + int(part, "/amount"));
                sum["taxable_amount"] = json!(int(sum, "/taxable_amount") + int(part, "/taxable_amount"));
            }
            None => sums.push(part.clone()),
        }
    }
    sums
}

/// The subscription's discounts that have not ended.
fn live_discounts(tx: &Tx<'_>, subscription: &Value) -> Result<Vec<Value>, ApiError> {
    let mut live = Vec::new();
    for id in items(subscription, "/discounts").iter().filter_map(Value::as_str) {
        if let Some(discount) = tx.any(id)?.filter(|found| maybe_int(found, "/end").is_none_or(|end| end > tx.now)) {
            live.push(discount);
        }
    }
    Ok(live)
}

/// A coupon of duration `once` leaves the subscription after the first invoice that has an amount.
fn end_used_discounts(tx: &Tx<'_>, subscription: &mut Value, used: &[Value], subtotal: i64) -> Result<(), ApiError> {
    let mut keep = Vec::new();
    for discount in used {
        let coupon = tx.any(text(discount, "/source/coupon"))?.unwrap_or_default();
        if text(&coupon, "/duration") != "once" || subtotal <= 0 {
            keep.push(discount["id"].clone());
        }
    }
    subscription["discounts"] = json!(keep);
    Ok(())
}

/// The invoice's payments, which Stripe includes only when `expand` asks for them.
pub(crate) fn payments(tx: &Tx<'_>, invoice: &str) -> Result<Value, ApiError> {
    Ok(list("/v1/invoice_payments".to_owned(), tx.all("invoice_payment", "$.invoice", invoice)?))
}

/// The payment of an invoice's charge, as refunds and disputes name it.
pub(crate) fn charge_of(tx: &Tx<'_>, invoice: &str) -> Result<Option<Value>, ApiError> {
    let Some(payment) = tx.all("invoice_payment", "$.invoice", invoice)?.pop() else { return Ok(None) };
    let Some(intent) = tx.any(text(&payment, "/payment/payment_intent"))? else { return Ok(None) };
    tx.any(text(&intent, "/latest_charge"))
}
