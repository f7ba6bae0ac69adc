//! Customers, products, prices, coupons with their promotion codes, and tax rates.

use serde_json::{Value, json};

use crate::{
    error::ApiError,
    form::Form,
    objects::{percent_ppm, set, template, text},
    store::{Tx, letters},
};

const CUSTOMER: &[&str] = &[
    "name",
    "email",
    "phone",
    "description",
    "metadata",
    "address",
    "shipping",
    "tax",
    "tax_exempt",
    "source",
    "payment_method",
    "invoice_settings",
    "preferred_locales",
];

/// `POST /v1/customers`. Every customer has a card that pays; payment parameters are accepted and change nothing.
pub(crate) fn create_customer(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(CUSTOMER)?;
    let mut customer = template("customer", &tx.id("cus")?, tx.now);
    let prefix = text(&customer, "/id").trim_start_matches("cus_").to_ascii_uppercase();
    customer["invoice_prefix"] = json!(prefix.chars().take(8).collect::<String>());
    write_customer(form, &mut customer)?;
    tx.insert(&customer)?;
    tx.emit("customer.created", &customer)?;
    Ok(customer)
}

/// `POST /v1/customers/{id}`.
pub(crate) fn update_customer(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(CUSTOMER)?;
    let before = tx.read("customer", id)?;
    let mut customer = before.clone();
    write_customer(form, &mut customer)?;
    if customer != before {
        tx.save(&customer)?;
        tx.emit_change("customer.updated", &before, &customer)?;
    }
    Ok(customer)
}

fn write_customer(form: &Form, customer: &mut Value) -> Result<(), ApiError> {
    form.copy_texts(&["name", "email", "phone", "description"], customer)?;
    if form.has("address") {
        customer["address"] = address(form)?;
    }
    customer["metadata"] = form.merge_metadata(&customer["metadata"])?;
    Ok(())
}

/// The part `address` of a form.
pub(crate) fn address(form: &Form) -> Result<Value, ApiError> {
    let part = form.part("address")?;
    let mut address =
        json!({"city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null});
    part.only(&["city", "country", "line1", "line2", "postal_code", "state"])?;
    part.copy_texts(&["city", "country", "line1", "line2", "postal_code", "state"], &mut address)?;
    Ok(address)
}

/// `POST /v1/{collection}/{id}` of what can only be renamed: some texts, `active` where it has one, and metadata.
pub(crate) fn amend(tx: &Tx<'_>, kind: &str, id: &str, form: &Form, texts: &[&str]) -> Result<Value, ApiError> {
    let before = tx.read(kind, id)?;
    let mut allowed = [texts, &["metadata"]].concat();
    if before["active"].is_boolean() {
        allowed.push("active");
    }
    form.only(&allowed)?;
    let mut object = before.clone();
    form.copy_texts(texts, &mut object)?;
    if let Some(active) = form.flag("active")? {
        object["active"] = json!(active);
    }
    object["metadata"] = form.merge_metadata(&object["metadata"])?;
    if object != before {
        tx.save(&object)?;
        tx.emit_change(&format!("{kind}.updated"), &before, &object)?;
    }
    Ok(object)
}

/// `POST /v1/products`.
pub(crate) fn create_product(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["name", "description", "active", "metadata", "images", "url", "tax_code", "unit_label"])?;
    let name = form.need("name")?.to_owned();
    let mut product = template("product", &tx.id("prod")?, tx.now);
    set(&mut product, json!({ "name": name, "updated": tx.now, "active": form.flag("active")?.unwrap_or(true) }));
    form.copy_texts(&["description", "url", "unit_label"], &mut product)?;
    product["metadata"] = form.merge_metadata(&json!({}))?;
    tx.insert(&product)?;
    tx.emit("product.created", &product)?;
    Ok(product)
}

/// `POST /v1/prices`: recurring prices per unit.
pub(crate) fn create_price(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&[
        "currency",
        "unit_amount",
        "recurring",
        "product",
        "product_data",
        "metadata",
        "nickname",
        "lookup_key",
        "active",
        "tax_behavior",
        "billing_scheme",
    ])?;
    let mut price = inline_price(tx, form)?;
    form.copy_texts(&["nickname", "lookup_key"], &mut price)?;
    price["metadata"] = form.merge_metadata(&json!({}))?;
    tx.save(&price)?;
    tx.emit("price.created", &price)?;
    Ok(price)
}

/// The price of an `items[n]`: `price` names one, `price_data` makes one.
pub(crate) fn item_price(tx: &Tx<'_>, item: &Form) -> Result<Value, ApiError> {
    if let Some(id) = item.text("price")? {
        return tx.read_param("price", id, "items[0][price]");
    }
    if !item.has("price_data") {
        return Err(item.missing("price"));
    }
    let data = item.part("price_data")?;
    data.only(&["currency", "unit_amount", "recurring", "product", "tax_behavior"])?;
    data.need("product")?;
    inline_price(tx, &data)
}

/// Reads, makes and stores a price. `product` or `product_data[name]` is wanted, as for `POST /v1/prices`.
fn inline_price(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    let currency = form.currency("currency")?.ok_or_else(|| form.missing("currency"))?;
    let unit_amount = form.at_least("unit_amount", 0)?.ok_or_else(|| form.missing("unit_amount"))?;
    let recurring = form.part("recurring")?;
    recurring.only(&["interval", "interval_count", "usage_type"])?;
    let interval = recurring.word("interval", &["day", "week", "month", "year"])?;
    let interval = interval.ok_or_else(|| recurring.missing("interval"))?.to_owned();
    let interval_count = recurring.at_least("interval_count", 1)?.unwrap_or(1);
    let product = match form.text("product")? {
        Some(id) => text(&tx.read_param("product", id, "product")?, "/id").to_owned(),
        None => {
            let mut data = Form::default();
            if form.has("product_data") {
                data = form.part("product_data")?;
            }
            text(&create_product(tx, &data)?, "/id").to_owned()
        }
    };
    let mut price = template("price", &tx.id("price")?, tx.now);
    set(
        &mut price,
        json!({
            "currency": currency, "unit_amount": unit_amount, "unit_amount_decimal": unit_amount.to_string(),
            "product": product,
            "tax_behavior": form.word("tax_behavior", &["exclusive", "inclusive", "unspecified"])?.unwrap_or("unspecified"),
        }),
    );
    set(&mut price["recurring"], json!({ "interval": interval, "interval_count": interval_count }));
    tx.insert(&price)?;
    Ok(price)
}

/// `POST /v1/coupons`.
pub(crate) fn create_coupon(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["id", "percent_off", "amount_off", "currency", "duration", "duration_in_months", "name", "metadata"])?;
    let id = match form.text("id")? {
        Some(id) if tx.any(id)?.is_some() => {
            return Err(ApiError::refused("resource_already_exists", "Coupon already exists.").about("id"));
        }
        Some(id) => id.to_owned(),
        None => tx.id("coupon")?.trim_start_matches("coupon_").chars().take(8).collect(),
    };
    let percent = match form.text("percent_off")? {
        Some(text) => Some(percent_number(text).ok_or_else(|| bad_percent("percent_off"))?),
        None => None,
    };
    let amount = form.at_least("amount_off", 1)?;
    if percent.is_some() == amount.is_some() {
        let message = "Send exactly one of `percent_off` and `amount_off`.";
        return Err(ApiError::parameter("parameter_missing", "percent_off", message));
    }
    let duration = form.word("duration", &["forever", "once", "repeating"])?.unwrap_or("once");
    let months = form.at_least("duration_in_months", 1)?;
    if (duration == "repeating") != months.is_some() {
        let message = "`duration_in_months` belongs to the duration `repeating`, and to no other.";
        return Err(ApiError::parameter("parameter_invalid", "duration_in_months", message));
    }
    let currency = form.currency("currency")?;
    if amount.is_some() && currency.is_none() {
        return Err(form.missing("currency"));
    }
    let mut coupon = template("coupon", &id, tx.now);
    set(
        &mut coupon,
        json!({
            "percent_off": percent, "amount_off": amount, "currency": currency, "duration": duration,
            "duration_in_months": months, "name": form.text("name")?, "metadata": form.merge_metadata(&json!({}))?,
        }),
    );
    tx.insert(&coupon)?;
    tx.emit("coupon.created", &coupon)?;
    Ok(coupon)
}

/// `POST /v1/promotion_codes`: what a client types for a coupon.
pub(crate) fn create_promotion_code(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["promotion", "code", "metadata", "active"])?;
    let promotion = form.part("promotion")?;
    promotion.only(&["type", "coupon"])?;
    let coupon = tx.read_param("coupon", promotion.need("coupon")?, "promotion[coupon]")?;
    let mut code = template("promotion_code", &tx.id("promo")?, tx.now);
    let made = letters(text(&code, "/id"), 8).to_uppercase();
    set(
        &mut code,
        json!({
            "code": form.text("code")?.map_or(made, str::to_owned),
            "active": form.flag("active")?.unwrap_or(true),
            "promotion": { "coupon": coupon["id"], "type": "coupon" },
        }),
    );
    code["metadata"] = form.merge_metadata(&json!({}))?;
    tx.insert(&code)?;
    tx.emit("promotion_code.created", &code)?;
    Ok(code)
}

/// `POST /v1/tax_rates`.
pub(crate) fn create_tax_rate(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&[
        "display_name",
        "percentage",
        "inclusive",
        "country",
        "state",
        "jurisdiction",
        "description",
        "metadata",
        "tax_type",
    ])?;
    let percentage = form.need("percentage")?;
    let percentage = percent_number(percentage).ok_or_else(|| bad_percent("percentage"))?;
    let inclusive = form.flag("inclusive")?.ok_or_else(|| form.missing("inclusive"))?;
    let mut rate = template("tax_rate", &tx.id("txr")?, tx.now);
    set(
        &mut rate,
        json!({
            "display_name": form.need("display_name")?, "percentage": percentage, "effective_percentage": percentage,
            "inclusive": inclusive, "country": null, "description": null, "jurisdiction": null, "state": null,
            "tax_type": null, "flat_amount": null, "rate_type": "percentage",
            "metadata": form.merge_metadata(&json!({}))?,
        }),
    );
    form.copy_texts(&["country", "state", "jurisdiction", "description", "tax_type"], &mut rate)?;
    tx.insert(&rate)?;
    tx.emit("tax_rate.created", &rate)?;
    Ok(rate)
}

/// A percentage as the JSON number that was written.
fn percent_number(percent: &str) -> Option<Value> {
    percent_ppm(percent)?;
    serde_json::from_str(percent).ok()
}

fn bad_percent(param: &str) -> ApiError {
    let message = format!("Invalid {param}: it must be between 0 and 100, with at most four decimals.");
    ApiError::parameter("parameter_invalid", param, message)
}
