//! Payments without an invoice: payment intents, and the test cards that Stripe documents.

use serde_json::{Value, json};

use crate::{
    catalog::address,
    error::ApiError,
    form::Form,
    money_back,
    objects::{int, set, share, template, text},
    store::{Booking, Tx, letters},
};

/// What a card does beside paying.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Card {
    /// The money is pending for two days.
    Pays,
    /// The money is available at once.
    BypassesPending,
    /// The bank takes the money back at once.
    Disputes,
    /// The bank asks about the payment, and takes nothing.
    Inquires,
}

/// Stripe's names of test cards that the stand-in knows.
const CARDS: [(&str, Card); 4] = [
    ("pm_card_visa", Card::Pays),
    ("pm_card_bypassPending", Card::BypassesPending),
    ("pm_card_createDispute", Card::Disputes),
    ("pm_card_createDisputeInquiry", Card::Inquires),
];

/// The payment method that a parameter names, and what its card does. The name of a test card makes a new one.
fn method(tx: &Tx<'_>, given: &str) -> Result<(Value, Card), ApiError> {
    if !given.starts_with("pm_card_") {
        return Ok((tx.read_param("payment_method", given, "payment_method")?, Card::Pays));
    }
    let Some((_, card)) = CARDS.iter().find(|(name, _)| *name == given) else {
        let known: Vec<&str> = CARDS.iter().map(|(name, _)| *name).collect();
        let message = format!("The stand-in's cards pay. It knows {}, and not '{given}'.", known.join(", "));
        return Err(ApiError::parameter("parameter_invalid", "payment_method", message));
    };
    let mut method = template("payment_method", &tx.id("pm")?, tx.now);
    method["card"]["fingerprint"] = json!(letters(given, 16));
    tx.insert(&method)?;
    Ok((method, *card))
}

/// `POST /v1/payment_methods/{id}/attach`.
pub(crate) fn attach(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["customer"])?;
    let customer = form.need("customer")?;
    tx.read_param("customer", customer, "customer")?;
    let (mut method, _) = method(tx, id)?;
    if ![Value::Null, json!(customer)].contains(&method["customer"]) {
        let message = "The payment method you provided has already been attached to a customer.";
        return Err(ApiError::refused("resource_already_exists", message).about("payment_method"));
    }
    method["customer"] = json!(customer);
    tx.save(&method)?;
    tx.emit("payment_method.attached", &method)?;
    Ok(method)
}

/// `POST /v1/payment_methods/{id}/detach`.
pub(crate) fn detach(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&[])?;
    let before = tx.read("payment_method", id)?;
    if before["customer"].is_null() {
        let message = "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(ApiError::refused("payment_method_not_attached", message));
    }
    let mut method = before.clone();
    method["customer"] = Value::Null;
    tx.save(&method)?;
    tx.emit_change("payment_method.detached", &before, &method)?;
    Ok(method)
}

/// `POST /v1/payment_intents`: by card, captured at once.
pub(crate) fn create_intent(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&[
        "amount",
        "currency",
        "customer",
        "description",
        "metadata",
        "payment_method",
        "payment_method_types",
        "confirm",
        "off_session",
        "receipt_email",
        "shipping",
        "transfer_group",
    ])?;
    let amount = form.at_least("amount", 1)?.ok_or_else(|| form.missing("amount"))?;
    let currency = form.currency("currency")?.ok_or_else(|| form.missing("currency"))?;
    if form.texts("payment_method_types").iter().any(|kind| kind != "card") {
        let message = "The stand-in takes payments by card only.";
        return Err(ApiError::parameter("parameter_invalid", "payment_method_types", message));
    }
    if let Some(customer) = form.text("customer")? {
        tx.read_param("customer", customer, "customer")?;
    }
    let id = tx.id("pi")?;
    let mut intent = template("payment_intent", &id, tx.now);
    set(
        &mut intent,
        json!({
            "amount": amount, "currency": currency, "customer": form.text("customer")?, "setup_future_usage": null,
            "client_secret": format!("{id}_secret_{}", letters(&id, 25)), "status": "requires_payment_method",
            "metadata": form.merge_metadata(&json!({}))?, "shipping": shipping(form)?,
        }),
    );
    form.copy_texts(&["description", "receipt_email", "transfer_group"], &mut intent)?;
    let card = choose(tx, form, &mut intent)?;
    tx.insert(&intent)?;
    tx.emit("payment_intent.created", &intent)?;
    if form.flag("confirm")? == Some(true) {
        confirm(tx, &mut intent, card)?;
    }
    Ok(intent)
}

/// `POST /v1/payment_intents/{id}/confirm`.
pub(crate) fn confirm_intent(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["payment_method", "off_session", "return_url", "receipt_email", "shipping"])?;
    let mut intent = waiting(tx, id)?;
    let card = choose(tx, form, &mut intent)?;
    confirm(tx, &mut intent, card)?;
    Ok(intent)
}

/// `POST /v1/payment_intents/{id}/cancel`.
pub(crate) fn cancel_intent(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["cancellation_reason"])?;
    let reasons = ["abandoned", "duplicate", "fraudulent", "requested_by_customer"];
    let reason = form.word("cancellation_reason", &reasons)?;
    let before = waiting(tx, id)?;
    let mut intent = before.clone();
    set(&mut intent, json!({ "status": "canceled", "canceled_at": tx.now, "cancellation_reason": reason }));
    tx.save(&intent)?;
    tx.emit_change("payment_intent.canceled", &before, &intent)?;
    Ok(intent)
}

/// An intent that is neither paid nor canceled.
fn waiting(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let intent = tx.read("payment_intent", id)?;
    match text(&intent, "/status") {
        "requires_payment_method" | "requires_confirmation" => Ok(intent),
        status => {
            let message = format!("This PaymentIntent's status is {status}, in which it cannot be changed.");
            Err(ApiError::refused("payment_intent_unexpected_state", message))
        }
    }
}

/// Writes the payment method that was sent into an intent.
fn choose(tx: &Tx<'_>, form: &Form, intent: &mut Value) -> Result<Card, ApiError> {
    let Some(given) = form.text("payment_method")? else { return Ok(Card::Pays) };
    let (method, card) = method(tx, given)?;
    set(intent, json!({ "payment_method": method["id"], "status": "requires_confirmation" }));
    Ok(card)
}

fn confirm(tx: &Tx<'_>, intent: &mut Value, card: Card) -> Result<(), ApiError> {
    if intent["payment_method"].is_null() {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method.";
        return Err(ApiError::refused("payment_intent_unexpected_state", message));
    }
    let charge = pay(tx, intent, card != Card::BypassesPending)?;
    tx.save(intent)?;
    tx.insert(&charge)?;
    tx.emit("charge.succeeded", &charge)?;
    tx.emit("payment_intent.succeeded", intent)?;
    match card {
        Card::Pays | Card::BypassesPending => Ok(()),
        Card::Disputes | Card::Inquires => {
            money_back::dispute(tx, &charge, int(&charge, "/amount"), card == Card::Inquires).map(drop)
        }
    }
}

/// The card pays an intent: books the money and answers the charge. Neither is stored yet.
pub(crate) fn pay(tx: &Tx<'_>, intent: &mut Value, pending: bool) -> Result<Value, ApiError> {
    let (amount, id) = (int(intent, "/amount"), tx.id("ch")?);
    let fee = share(amount, 29_000, 1_000_000) + 30;
    let booked = tx.book(&Booking {
        account: "",
        kind: "charge",
        source: &id,
        currency: text(intent, "/currency"),
        amount,
        fee: fee.min(amount),
        pending,
    })?;
    set(intent, json!({ "amount_received": amount, "latest_charge": id, "status": "succeeded" }));
    let mut charge = template("charge", &id, tx.now);
    set(
        &mut charge,
        json!({ "amount": amount, "amount_captured": amount, "balance_transaction": booked, "payment_intent": intent["id"] }),
    );
    for name in [
        "currency",
        "customer",
        "description",
        "metadata",
        "payment_method",
        "receipt_email",
        "shipping",
        "transfer_group",
    ] {
        charge[name] = intent[name].clone();
    }
    charge["payment_method_details"]["card"]["amount_authorized"] = json!(amount);
    Ok(charge)
}

fn shipping(form: &Form) -> Result<Value, ApiError> {
    if !form.has("shipping") {
        return Ok(Value::Null);
    }
    let part = form.part("shipping")?;
    part.only(&["address", "carrier", "name", "phone", "tracking_number"])?;
    let mut shipping = json!({ "carrier": null, "phone": null, "tracking_number": null, "name": part.need("name")? });
    part.copy_texts(&["carrier", "phone", "tracking_number"], &mut shipping)?;
    shipping["address"] = address(&part)?;
    Ok(shipping)
}
