//! A subscription's life: creation, trial, renewals, changes of price, cancellation.

use serde_json::{Value, json};

use crate::{
    calendar::{DAY_S, add_months, boundary, day},
    catalog::item_price,
    error::ApiError,
    form::Form,
    invoices::{Line, bill},
    objects::{flag, int, items, maybe_int, set, share, template, text},
    store::Tx,
};

/// `POST /v1/subscriptions`.
pub(crate) fn create(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&[
        "customer",
        "items",
        "trial_end",
        "trial_period_days",
        "metadata",
        "cancel_at_period_end",
        "cancel_at",
        "discounts",
        "default_tax_rates",
        "description",
        "currency",
        "collection_method",
        "payment_behavior",
        "payment_settings",
        "proration_behavior",
        "default_payment_method",
        "off_session",
        "automatic_tax",
        "trial_settings",
        "billing_mode",
    ])?;
    let customer = form.need("customer")?;
    tx.read_param("customer", customer, "customer")?;
    let parts = form.parts("items")?;
    if parts.is_empty() {
        return Err(form.missing("items"));
    }
    let trial_end = trial_end(tx, form)?;
    let id = tx.id("sub")?;
    let mut subscription = template("subscription", &id, tx.now);
    set(&mut subscription, json!({ "customer": customer, "start_date": tx.now, "billing_cycle_anchor": tx.now }));
    subscription["metadata"] = form.merge_metadata(&json!({}))?;
    form.copy_texts(&["description", "default_payment_method"], &mut subscription)?;
    subscription["default_tax_rates"] = tax_rates(tx, form)?;
    subscription["items"]["url"] = json!(format!("/v1/subscription_items?subscription={id}"));
    for part in &parts {
        part.only(&["price", "price_data", "quantity", "metadata"])?;
        let price = item_price(tx, part)?;
        let first = subscription.pointer("/items/data/0/price/recurring").cloned();
        if first.is_some_and(|first| first != price["recurring"]) {
            let message =
                "All prices on a subscription must have the same `recurring.interval` and `recurring.interval_count`.";
            return Err(ApiError::refused("parameter_invalid", message).about("items"));
        }
        let mut item = template("subscription_item", &tx.id("si")?, tx.now);
        set(
            &mut item,
            json!({
                "subscription": id, "quantity": part.at_least("quantity", 0)?.unwrap_or(1), "price": price,
                "metadata": part.merge_metadata(&json!({}))?,
            }),
        );
        push(&mut subscription, item);
    }
    subscription["currency"] = subscription["items"]["data"][0]["price"]["currency"].clone();
    subscription["discounts"] = discounts(tx, form, &subscription)?;
    let (lines, period) = match trial_end {
        Some(end) => {
            set(
                &mut subscription,
                json!({ "status": "trialing", "trial_start": tx.now, "trial_end": end, "billing_cycle_anchor": end }),
            );
            set_period(&mut subscription, tx.now, end);
            (lines(tx, &subscription)?, (tx.now, tx.now))
        }
        None => {
            set(&mut subscription, json!({ "status": "active" }));
            let end = period_end(&subscription, tx.now)?;
            set_period(&mut subscription, tx.now, end);
            (lines(tx, &subscription)?, (tx.now, tx.now))
        }
    };
    cancellation(tx, form, &mut subscription)?;
    tx.insert(&subscription)?;
    tx.emit("customer.subscription.created", &subscription)?;
    bill(tx, &mut subscription, &lines, "subscription_create", period)?;
    keep(tx, &subscription)?;
    Ok(subscription)
}

/// `POST /v1/subscriptions/{id}`: price or quantity, cancellation, trial, discounts, metadata.
pub(crate) fn update(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&[
        "items",
        "metadata",
        "cancel_at_period_end",
        "cancel_at",
        "proration_behavior",
        "proration_date",
        "discounts",
        "default_tax_rates",
        "description",
        "trial_end",
        "payment_behavior",
        "payment_settings",
        "default_payment_method",
        "off_session",
        "collection_method",
        "automatic_tax",
        "cancellation_details",
    ])?;
    let before = tx.read("subscription", id)?;
    let mut subscription = before.clone();
    refuse_ended(&subscription)?;
    subscription["metadata"] = form.merge_metadata(&subscription["metadata"])?;
    form.copy_texts(&["description", "default_payment_method"], &mut subscription)?;
    if form.has("discounts") {
        subscription["discounts"] = discounts(tx, form, &subscription)?;
    }
    if form.has("default_tax_rates") {
        subscription["default_tax_rates"] = tax_rates(tx, form)?;
    }
    cancellation(tx, form, &mut subscription)?;
    let behavior = form.word("proration_behavior", &["create_prorations", "none", "always_invoice"])?;
    let behavior = behavior.unwrap_or("create_prorations");
    let mut to_bill = None;
    for part in form.parts("items")? {
        to_bill = change_item(tx, &mut subscription, &part, behavior)?.or(to_bill);
    }
    if form.has("trial_end") && text(&subscription, "/status") == "trialing" {
        match trial_end(tx, form)? {
            Some(end) => {
                set(&mut subscription, json!({ "trial_end": end, "billing_cycle_anchor": end }));
                set_period(&mut subscription, tx.now.min(end), end);
            }
            None => {
                set(
                    &mut subscription,
                    json!({ "trial_end": tx.now, "billing_cycle_anchor": tx.now, "status": "active" }),
                );
                let end = period_end(&subscription, tx.now)?;
                set_period(&mut subscription, tx.now, end);
                to_bill = Some(lines(tx, &subscription)?);
            }
        }
    }
    if let Some(lines) = to_bill {
        let mut all = take_pending(tx, id)?;
        all.extend(lines);
        bill(tx, &mut subscription, &all, "subscription_update", (tx.now, tx.now))?;
    }
    if subscription != before {
        tx.emit_change("customer.subscription.updated", &before, &subscription)?;
    }
    keep(tx, &subscription)?;
    Ok(subscription)
}

/// `DELETE /v1/subscriptions/{id}`: ends at once; nothing is given back.
pub(crate) fn cancel(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["invoice_now", "prorate", "cancellation_details"])?;
    let mut subscription = tx.read("subscription", id)?;
    refuse_ended(&subscription)?;
    subscription["canceled_at"] = json!(tx.now);
    end(tx, &mut subscription)?;
    Ok(subscription)
}

/// What the clock does when a subscription is due: it ends, its trial turns into the first paid period, or
/// it renews.
pub(crate) fn come_due(tx: &Tx<'_>, id: &str) -> Result<(), ApiError> {
    let Some(mut subscription) = tx.find("subscription", "", id)? else { return Ok(()) };
    if text(&subscription, "/status") == "canceled" {
        return Ok(());
    }
    if maybe_int(&subscription, "/cancel_at").is_some_and(|at| at <= tx.now) {
        return end(tx, &mut subscription);
    }
    let before = subscription.clone();
    let ended = (int(&subscription, "/items/data/0/current_period_start"), tx.now);
    subscription["status"] = json!("active");
    let end = period_end(&subscription, tx.now)?;
    set_period(&mut subscription, tx.now, end);
    let mut all = take_pending(tx, id)?;
    all.extend(lines(tx, &subscription)?);
    bill(tx, &mut subscription, &all, "subscription_cycle", ended)?;
    tx.emit_change("customer.subscription.updated", &before, &subscription)?;
    keep(tx, &subscription)
}

fn end(tx: &Tx<'_>, subscription: &mut Value) -> Result<(), ApiError> {
    set(subscription, json!({ "status": "canceled", "ended_at": tx.now }));
    if subscription["canceled_at"].is_null() {
        subscription["canceled_at"] = json!(tx.now);
    }
    subscription["cancellation_details"]["reason"] = json!("cancellation_requested");
    tx.save(subscription)?;
    tx.unschedule("subscription", text(subscription, "/id"))?;
    tx.emit("customer.subscription.deleted", subscription)
}

/// Stores the subscription and puts its next instant on the clock.
fn keep(tx: &Tx<'_>, subscription: &Value) -> Result<(), ApiError> {
    tx.save(subscription)?;
    let period_end = int(subscription, "/items/data/0/current_period_end");
    let at = maybe_int(subscription, "/cancel_at").map_or(period_end, |at| at.min(period_end));
    tx.schedule("subscription", text(subscription, "/id"), at)
}

fn refuse_ended(subscription: &Value) -> Result<(), ApiError> {
    if text(subscription, "/status") == "canceled" {
        let message = format!("A canceled subscription can no longer be changed: '{}'.", text(subscription, "/id"));
        return Err(ApiError::refused("resource_missing", message).about("id"));
    }
    Ok(())
}

/// Reads `cancel_at_period_end` and `cancel_at`.
fn cancellation(tx: &Tx<'_>, form: &Form, subscription: &mut Value) -> Result<(), ApiError> {
    if let Some(wanted) = form.flag("cancel_at_period_end")? {
        let period_end = subscription["items"]["data"][0]["current_period_end"].clone();
        let (at, canceled) = if wanted { (period_end, json!(tx.now)) } else { (Value::Null, Value::Null) };
        set(subscription, json!({ "cancel_at_period_end": wanted, "cancel_at": at, "canceled_at": canceled }));
        subscription["cancellation_details"]["reason"] =
            if wanted { json!("cancellation_requested") } else { Value::Null };
    }
    if form.has("cancel_at") {
        let at = form.integer("cancel_at")?;
        if at.is_some_and(|at| at <= tx.now) {
            let message = "`cancel_at` must be in the future.";
            return Err(ApiError::parameter("parameter_invalid", "cancel_at", message));
        }
        let canceled = if at.is_some() { json!(tx.now) } else { Value::Null };
        set(subscription, json!({ "cancel_at": at, "canceled_at": canceled, "cancel_at_period_end": false }));
    }
    Ok(())
}

/// The end of the trial, from `trial_end` (an instant or `now`) or `trial_period_days`; `None` for no trial.
fn trial_end(tx: &Tx<'_>, form: &Form) -> Result<Option<i64>, ApiError> {
    if form.text("trial_end")? == Some("now") {
        return Ok(None);
    }
    let end = match form.integer("trial_end")? {
        Some(end) => Some(end),
        None => form.at_least("trial_period_days", 0)?.filter(|days| *days > 0).map(|days| tx.now + days * DAY_S),
    };
    match end {
        Some(end) if end <= tx.now => {
            let message = format!("`trial_end` must be in the future; the stand-in's clock says {}.", tx.now);
            Err(ApiError::parameter("parameter_invalid", "trial_end", message))
        }
        Some(end) if end > tx.now + 730 * DAY_S => {
            Err(ApiError::parameter("parameter_invalid", "trial_end", "A trial can last up to 730 days."))
        }
        end => Ok(end),
    }
}

fn tax_rates(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    let rates: Result<Vec<Value>, ApiError> =
        form.texts("default_tax_rates").iter().map(|id| tx.read_param("tax_rate", id, "default_tax_rates")).collect();
    Ok(json!(rates?))
}

/// Makes the discounts that `discounts[n][coupon]` and `[promotion_code]` ask for, or keeps those that `[discount]` names.
fn discounts(tx: &Tx<'_>, form: &Form, subscription: &Value) -> Result<Value, ApiError> {
    let mut ids = Vec::new();
    for part in form.parts("discounts")? {
        part.only(&["coupon", "discount", "promotion_code"])?;
        if let Some(id) = part.text("discount")? {
            ids.push(tx.read_param("discount", id, "discounts")?["id"].clone());
            continue;
        }
        let promotion_code = match part.text("promotion_code")? {
            Some(id) => Some(tx.read_param("promotion_code", id, "discounts[0][promotion_code]")?),
            None => None,
        };
        let coupon = match &promotion_code {
            Some(code) => text(code, "/promotion/coupon").to_owned(),
            None => part.need("coupon")?.to_owned(),
        };
        let coupon = tx.read_param("coupon", &coupon, "discounts[0][coupon]")?;
        let mut discount = template("discount", &tx.id("di")?, tx.now);
        let end = match maybe_int(&coupon, "/duration_in_months") {
            Some(months) => Some(add_months(tx.now, months)?),
            None => None,
        };
        set(
            &mut discount,
            json!({
                "customer": subscription["customer"], "subscription": subscription["id"], "start": tx.now, "end": end,
                "source": { "coupon": coupon["id"], "type": "coupon" },
                "promotion_code": promotion_code.map(|code| code["id"].clone()),
            }),
        );
        tx.insert(&discount)?;
        tx.emit("customer.discount.created", &discount)?;
        ids.push(discount["id"].clone());
    }
    Ok(json!(ids))
}

/// Changes the price or quantity of one item. What is to be invoiced at once is answered; prorations
/// otherwise wait for the next invoice.
fn change_item(
    tx: &Tx<'_>,
    subscription: &mut Value,
    part: &Form,
    behavior: &str,
) -> Result<Option<Vec<Line>>, ApiError> {
    part.only(&["id", "price", "price_data", "quantity", "metadata"])?;
    let all = items(subscription, "/items/data");
    let index = match part.text("id")? {
        Some(id) => all.iter().position(|item| text(item, "/id") == id),
        None if all.len() == 1 => Some(0),
        None => return Err(part.missing("id")),
    };
    let Some(index) = index else {
        return Err(ApiError::no_such_param("subscription_item", part.need("id")?, "items[0][id]"));
    };
    let before = subscription["items"]["data"][index].clone();
    let mut item = before.clone();
    if part.has("price") || part.has("price_data") {
        item["price"] = item_price(tx, part)?;
    }
    if let Some(quantity) = part.at_least("quantity", 0)? {
        item["quantity"] = json!(quantity);
    }
    item["metadata"] = part.merge_metadata(&item["metadata"])?;
    let new_rhythm = before["price"]["recurring"] != item["price"]["recurring"];
    let same = before["price"]["id"] == item["price"]["id"] && before["quantity"] == item["quantity"];
    subscription["items"]["data"][index] = item.clone();
    if same || text(subscription, "/status") == "trialing" {
        return Ok(None);
    }
    let (start, end) = (int(&before, "/current_period_start"), int(&before, "/current_period_end"));
    let prorated = |item: &Value, sign: i64, what: &str| Line {
        description: format!("{what} {} after {}", name(tx, item), day(tx.now)),
        amount: sign * share(amount_of(item), end - tx.now, end - start),
        period_start: tx.now,
        period_end: end,
        proration: true,
        ..line_of(tx, item)
    };
    if new_rhythm {
        // Another interval starts its own period at once.
        subscription["billing_cycle_anchor"] = json!(tx.now);
        let next = period_end(subscription, tx.now)?;
        set_period(subscription, tx.now, next);
        let mut all = if behavior == "none" { vec![] } else { vec![prorated(&before, -1, "Unused time on")] };
        all.extend(lines(tx, subscription)?);
        return Ok(Some(all));
    }
    if behavior == "none" {
        return Ok(None);
    }
    let change = vec![prorated(&before, -1, "Unused time on"), prorated(&item, 1, "Remaining time on")];
    if behavior == "always_invoice" {
        return Ok(Some(change));
    }
    for line in change {
        let id = tx.id("ii")?;
        tx.insert(&json!({
            "id": id, "object": "pending_line", "subscription": subscription["id"], "description": line.description,
            "amount": line.amount, "quantity": line.quantity, "price": line.price, "start": line.period_start,
            "end": line.period_end, "item": line.item,
        }))?;
    }
    Ok(None)
}

/// Takes the prorations that wait for the subscription's next invoice.
fn take_pending(tx: &Tx<'_>, subscription: &str) -> Result<Vec<Line>, ApiError> {
    let mut lines = Vec::new();
    for pending in tx.all("pending_line", "$.subscription", subscription)? {
        tx.remove(text(&pending, "/id"))?;
        lines.push(Line {
            description: text(&pending, "/description").to_owned(),
            amount: int(&pending, "/amount"),
            quantity: int(&pending, "/quantity"),
            price: pending["price"].clone(),
            period_start: int(&pending, "/start"),
            period_end: int(&pending, "/end"),
            item: text(&pending, "/item").to_owned(),
            proration: true,
        });
    }
    Ok(lines)
}

/// The lines of the subscription's present period; nothing is charged in a trial.
fn lines(tx: &Tx<'_>, subscription: &Value) -> Result<Vec<Line>, ApiError> {
    let trial = text(subscription, "/status") == "trialing";
    let line = |item: &Value| {
        let mut line = line_of(tx, item);
        if trial {
            line.amount = 0;
            line.description = format!("Trial period for {}", name(tx, item));
        }
        line
    };
    Ok(items(subscription, "/items/data").iter().map(line).collect())
}

fn line_of(tx: &Tx<'_>, item: &Value) -> Line {
    Line {
        description: format!("{} × {}", int(item, "/quantity"), name(tx, item)),
        amount: amount_of(item),
        quantity: int(item, "/quantity"),
        price: item["price"].clone(),
        period_start: int(item, "/current_period_start"),
        period_end: int(item, "/current_period_end"),
        item: text(item, "/id").to_owned(),
        proration: false,
    }
}

fn amount_of(item: &Value) -> i64 {
    int(item, "/price/unit_amount").saturating_mul(int(item, "/quantity"))
}

fn name(tx: &Tx<'_>, item: &Value) -> String {
    let product = tx.find("product", "", text(item, "/price/product")).ok().flatten().unwrap_or_default();
    text(&product, "/name").to_owned()
}

fn push(subscription: &mut Value, item: Value) {
    if let Some(data) = subscription.pointer_mut("/items/data").and_then(Value::as_array_mut) {
        data.push(item);
    }
}

fn set_period(subscription: &mut Value, start: i64, end: i64) {
    if let Some(data) = subscription.pointer_mut("/items/data").and_then(Value::as_array_mut) {
        for item in data {
            set(item, json!({ "current_period_start": start, "current_period_end": end }));
        }
    }
    if flag(subscription, "/cancel_at_period_end") {
        subscription["cancel_at"] = json!(end);
    }
}

/// The first boundary after `start`, counted from the billing anchor so that the 31st stays the 31st.
fn period_end(subscription: &Value, start: i64) -> Result<i64, ApiError> {
    let anchor = int(subscription, "/billing_cycle_anchor");
    let recurring = &subscription["items"]["data"][0]["price"]["recurring"];
    boundary(anchor, start, text(recurring, "/interval"), int(recurring, "/interval_count").max(1))
}
