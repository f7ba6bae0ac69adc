//! The table of Stripe's calls: from method and path to what carries it out, in one transaction.

use serde_json::{Value, json};

use crate::{
    bank, catalog, connect, credit_notes, drafts,
    error::ApiError,
    form::Form,
    invoices, money_back,
    objects::{list, text},
    payments,
    store::{Selection, Tx},
    subscriptions,
};

/// One call, after authentication.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `GET`, `POST` or `DELETE`.
    pub(crate) method: String,
    /// The path after `/v1/`.
    pub(crate) path: String,
    /// Body or query.
    pub(crate) form: Form,
    /// The `Stripe-Account` header, or empty.
    pub(crate) account: String,
}

/// A list endpoint: path, object name, and its filters as (parameter, JSON path).
type Listing = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const LISTINGS: &[Listing] = &[
    ("accounts", "account", &[]),
    (
        "balance_transactions",
        "balance_transaction",
        &[("source", "$.source"), ("type", "$.type"), ("currency", "$.currency")],
    ),
    ("charges", "charge", &[("customer", "$.customer"), ("payment_intent", "$.payment_intent")]),
    ("coupons", "coupon", &[]),
    ("promotion_codes", "promotion_code", &[("code", "$.code")]),
    ("customers", "customer", &[("email", "$.email")]),
    ("credit_notes", "credit_note", &[("invoice", "$.invoice"), ("customer", "$.customer")]),
    ("disputes", "dispute", &[("charge", "$.charge"), ("payment_intent", "$.payment_intent")]),
    ("events", "event", &[("type", "$.type")]),
    ("invoiceitems", "invoiceitem", &[("customer", "$.customer"), ("invoice", "$.invoice")]),
    ("invoice_payments", "invoice_payment", &[("invoice", "$.invoice"), ("status", "$.status")]),
    (
        "invoices",
        "invoice",
        &[
            ("customer", "$.customer"),
            ("status", "$.status"),
            ("subscription", "$.parent.subscription_details.subscription"),
        ],
    ),
    ("payment_methods", "payment_method", &[("customer", "$.customer"), ("type", "$.type")]),
    ("payment_intents", "payment_intent", &[("customer", "$.customer")]),
    ("payouts", "payout", &[("status", "$.status"), ("destination", "$.destination")]),
    ("prices", "price", &[("product", "$.product"), ("currency", "$.currency")]),
    ("products", "product", &[]),
    ("refunds", "refund", &[("charge", "$.charge"), ("payment_intent", "$.payment_intent")]),
    ("subscriptions", "subscription", &[("customer", "$.customer"), ("status", "$.status")]),
    ("tax_rates", "tax_rate", &[]),
    ("transfers", "transfer", &[("transfer_group", "$.transfer_group"), ("destination", "$.destination")]),
];

/// Carries a call out and answers the object, expanded as asked.
pub(crate) fn carry_out(tx: &Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let mut call = call.clone();
    let expand = call.form.take_list("expand");
    let mut answer = dispatch(tx, &call)?;
    for path in &expand {
        expand_into(tx, &mut answer, path)?;
    }
    Ok(answer)
}

fn dispatch(tx: &Tx<'_>, call: &Call) -> Result<Value, ApiError> {
    let form = &call.form;
    let segments: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    if !call.account.is_empty() {
        tx.find("account", "", &call.account)?.ok_or_else(|| unknown_account(&call.account))?;
        if call.method != "GET" {
            let message = "The stand-in reads on behalf of a connected account, and changes nothing there: leave out `Stripe-Account`.";
            return Err(ApiError::parameter("parameter_invalid", "Stripe-Account", message));
        }
    }
    match (call.method.as_str(), segments.as_slice()) {
        ("POST", ["customers"]) => catalog::create_customer(tx, form),
        ("POST", ["customers", id]) => catalog::update_customer(tx, id, form),
        ("POST", ["products"]) => catalog::create_product(tx, form),
        ("POST", ["prices"]) => catalog::create_price(tx, form),
        ("POST", ["coupons"]) => catalog::create_coupon(tx, form),
        ("POST", ["promotion_codes"]) => catalog::create_promotion_code(tx, form),
        ("POST", ["tax_rates"]) => catalog::create_tax_rate(tx, form),
        ("POST", ["subscriptions"]) => subscriptions::create(tx, form),
        ("POST", ["subscriptions", id]) => subscriptions::update(tx, id, form),
        ("DELETE", ["subscriptions", id]) => subscriptions::cancel(tx, id, form),
        ("POST", ["products", id]) => catalog::amend(tx, "product", id, form, &["name", "description", "url"]),
        ("POST", ["prices", id]) => catalog::amend(tx, "price", id, form, &["nickname", "lookup_key"]),
        ("POST", ["coupons", id]) => catalog::amend(tx, "coupon", id, form, &["name"]),
        ("POST", ["promotion_codes", id]) => catalog::amend(tx, "promotion_code", id, form, &[]),
        ("POST", ["tax_rates", id]) => catalog::amend(tx, "tax_rate", id, form, &["display_name", "description"]),
        ("POST", ["payment_methods", id, "attach"]) => payments::attach(tx, id, form),
        ("POST", ["payment_methods", id, "detach"]) => payments::detach(tx, id, form),
        ("POST", ["payment_intents"]) => payments::create_intent(tx, form),
        ("POST", ["payment_intents", id, "confirm"]) => payments::confirm_intent(tx, id, form),
        ("POST", ["payment_intents", id, "cancel"]) => payments::cancel_intent(tx, id, form),
        ("POST", ["invoiceitems"]) => drafts::create_item(tx, form),
        ("DELETE", ["invoiceitems", id]) => drafts::delete_item(tx, id),
        ("POST", ["invoices"]) => drafts::create(tx, form),
        ("POST", ["invoices", id]) => drafts::update(tx, id, form),
        ("POST", ["invoices", id, "pay"]) => drafts::pay(tx, id, form),
        ("POST", ["invoices", id, step @ ("finalize" | "void" | "mark_uncollectible")]) => {
            form.only(&[])?;
            match *step {
                "finalize" => drafts::finalize(tx, id),
                "void" => drafts::void(tx, id),
                _ => drafts::give_up(tx, id),
            }
        }
        ("POST", ["credit_notes"]) => credit_notes::create(tx, form),
        ("POST", ["credit_notes", id]) => catalog::amend(tx, "credit_note", id, form, &["memo"]),
        ("POST", ["credit_notes", id, "void"]) => credit_notes::void(tx, id),
        ("POST", ["disputes", id]) => money_back::update_dispute(tx, id, form),
        ("POST", ["disputes", id, "close"]) => money_back::give_in(tx, id, form),
        ("POST", ["refunds", id]) => money_back::update_refund(tx, id, form),
        ("POST", ["payouts"]) => bank::send(tx, form),
        ("POST", ["payouts", id]) => catalog::amend(tx, "payout", id, form, &[]),
        ("POST", ["refunds"]) => money_back::create_refund(tx, form),
        ("POST", ["accounts"]) => connect::create_account(tx, form),
        ("POST", ["accounts", id]) => connect::update_account(tx, id, form),
        ("GET", ["account"]) => connect::platform(tx, &call.account),
        ("GET", ["accounts", id, "capabilities"]) => {
            let account = tx.read("account", id)?;
            let known = account["capabilities"].as_object().cloned().unwrap_or_default();
            let all = known.keys().map(|name| connect::capability(&account, name)).collect();
            Ok(list(format!("/v1/accounts/{id}/capabilities"), all))
        }
        ("GET", ["accounts", id, "capabilities", name @ ("transfers" | "card_payments")]) => {
            Ok(connect::capability(&tx.read("account", id)?, name))
        }
        ("POST", ["account_links"]) => connect::create_link(tx, form),
        ("GET", ["balance"]) => connect::balance(tx, &call.account),
        ("POST", ["transfers"]) => connect::create_transfer(tx, form),
        ("POST", ["transfers", id]) => connect::update_transfer(tx, id, form),
        ("POST", ["transfers", id, "reversals"]) => connect::reverse_transfer(tx, id, form),
        ("GET", ["transfers", id, "reversals"]) => {
            tx.read("transfer", id)?;
            let equal = vec![("$.transfer", (*id).to_owned())];
            let of = Of { kind: "transfer_reversal", equal, ..Of::default() };
            page(tx, form, of, &format!("/v1/{}", call.path))
        }
        ("GET", ["transfers", id, "reversals", reversal]) => {
            let found = tx.read("transfer_reversal", reversal)?;
            let ours = text(&found, "/transfer") == *id;
            ours.then_some(found).ok_or_else(|| ApiError::no_such("transfer_reversal", reversal))
        }
        ("GET", ["invoices", id, "lines"]) => Ok(tx.read("invoice", id)?["lines"].clone()),
        ("GET", [collection]) => match LISTINGS.iter().find(|listing| listing.0 == *collection) {
            Some(listing) => listed(tx, call, listing),
            None => Err(unknown(call)),
        },
        ("GET", [collection, id]) => match LISTINGS.iter().find(|listing| listing.0 == *collection) {
            Some((_, kind, _)) => tx.find(kind, &call.account, id)?.ok_or_else(|| ApiError::no_such(kind, id)),
            None => Err(unknown(call)),
        },
        _ => Err(unknown(call)),
    }
}

fn unknown(call: &Call) -> ApiError {
    ApiError::unknown_url(&call.method, &format!("/v1/{}", call.path))
}

fn unknown_account(id: &str) -> ApiError {
    let message = format!("The provided key does not have access to account '{id}' (or that account does not exist).");
    ApiError { status: 403, stored: false, ..ApiError::refused("account_invalid", message) }
}

fn listed(tx: &Tx<'_>, call: &Call, (_, kind, filters): &Listing) -> Result<Value, ApiError> {
    let form = &call.form;
    let mut allowed: Vec<&str> = filters.iter().map(|filter| filter.0).collect();
    allowed.extend(["limit", "starting_after", "ending_before", "created", "payment", "types", "active"]);
    let payout = match *kind {
        "balance_transaction" => {
            allowed.push("payout");
            form.text("payout")?.map(str::to_owned)
        }
        _ => None,
    };
    form.only(&allowed)?;
    let mut equal = Vec::new();
    for (param, path) in *filters {
        if let Some(value) = form.text(param)? {
            equal.push((*path, value.to_owned()));
        }
    }
    if let Some(intent) = form.part("payment")?.text("payment_intent")? {
        equal.push(("$.payment.payment_intent", intent.to_owned()));
    }
    let mut condition = "";
    if *kind == "subscription" {
        // Without a status Stripe leaves canceled subscriptions out.
        match form.text("status")? {
            None => condition = "json_extract(body, '$.status') <> 'canceled'",
            Some("all") => equal.retain(|(path, _)| *path != "$.status"),
            Some(_) => {}
        }
    }
    let of = Of { kind, account: &call.account, equal, condition, payout };
    page(tx, form, of, &format!("/v1/{}", call.path))
}

/// What a list is of.
#[derive(Default)]
struct Of<'a> {
    kind: &'static str,
    account: &'a str,
    equal: Vec<(&'static str, String)>,
    condition: &'static str,
    payout: Option<String>,
}

fn page(tx: &Tx<'_>, form: &Form, of: Of<'_>, url: &str) -> Result<Value, ApiError> {
    let limit = form.at_least("limit", 1)?.unwrap_or(10);
    if limit > 100 {
        let message = "This value must be less than or equal to 100.";
        return Err(ApiError::parameter("parameter_invalid_integer", "limit", message));
    }
    let mut created = Vec::new();
    if let Ok(Some(exactly)) = form.integer("created") {
        created.push(("=", exactly));
    } else {
        let bounds = form.part("created")?;
        bounds.only(&["gt", "gte", "lt", "lte"])?;
        for (name, comparison) in [("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")] {
            if let Some(instant) = bounds.integer(name)? {
                created.push((comparison, instant));
            }
        }
    }
    let after = form.text("starting_after")?.map(|id| (id.to_owned(), false));
    let before = form.text("ending_before")?.map(|id| (id.to_owned(), true));
    let Of { kind, account, equal, condition, payout } = of;
    let selection = Selection { kind, account, equal, condition, payout, created, cursor: after.or(before), limit };
    let (data, has_more) = tx.select(&selection)?;
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": data }))
}

/// Replaces the id at a path such as `latest_invoice.payments` or `data.customer` by the object, and adds
/// what Stripe includes only on request.
fn expand_into(tx: &Tx<'_>, value: &mut Value, path: &str) -> Result<(), ApiError> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    if let Value::Array(items) = value {
        // The items may be of several kinds (the sources of balance transactions): one that has the property is enough.
        let done: Vec<_> = items.iter_mut().map(|item| expand_into(tx, item, path)).collect();
        return if done.iter().any(Result::is_ok) { Ok(()) } else { done.into_iter().collect() };
    }
    if name == "payments" && text(value, "/object") == "invoice" {
        value["payments"] = invoices::payments(tx, text(value, "/id"))?;
    }
    let Some(field) = value.get_mut(name) else {
        let message = format!("This property cannot be expanded ({name}).");
        return Err(ApiError::parameter("parameter_invalid", "expand", message));
    };
    let replace = |field: &mut Value| {
        if let Some(found) = field.as_str().map(|id| tx.any(id)).transpose()?.flatten() {
            *field = found;
        }
        Ok::<(), ApiError>(())
    };
    replace(field)?;
    if let Value::Array(ids) = field {
        ids.iter_mut().try_for_each(replace)?;
    }
    match rest {
        Some(rest) if !field.is_null() => expand_into(tx, field, rest),
        _ => Ok(()),
    }
}
