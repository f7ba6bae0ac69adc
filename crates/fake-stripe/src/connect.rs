//! Connected accounts, and transfers to them.

use serde_json::{Value, json};

use crate::{
    bank,
    error::ApiError,
    form::Form,
    objects::{flag, int, items, list, set, template, text},
    store::{Booking, SETTLE_S, Tx},
};

/// Where Stripe can pay to, by its own accounts or across the border.
const COUNTRIES: &str = "AE AG AL AM AO AR AT AU AZ BA BD BE BG BH BJ BN BO BR BS BT BW CA CH CI CL CO CR CY CZ DE DK \
    DO DZ EC EE EG ES ET FI FR GA GB GH GI GM GR GT GY HK HR HU ID IE IL IN IS IT JM JO JP KE KH KR KW KZ LA LC LI \
    LK LT LU LV MA MC MD MG MK MN MO MT MU MX MY MZ NA NE NG NL NO NZ OM PA PE PH PK PL PT PY QA RO RS RW SA SE SG \
    SI SK SM SN SV TH TN TR TT TW TZ US UY UZ VN ZA";

const EURO: &str = "AT BE BG CY DE EE ES FI FR GR HR IE IT LT LU LV MC MT NL PT SI SK SM";

const ACCOUNT: &[&str] = &[
    "type",
    "country",
    "email",
    "business_type",
    "business_profile",
    "capabilities",
    "metadata",
    "tos_acceptance",
    "settings",
    "controller",
    "company",
    "individual",
    "default_currency",
    "groups",
];

/// What an Express account has to submit before it can be paid.
const REQUIREMENTS: [&str; 5] = [
    "business_profile.url",
    "external_account",
    "individual.first_name",
    "individual.verification.document",
    "tos_acceptance.date",
];

/// `POST /v1/accounts`: Express accounts only.
pub(crate) fn create_account(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(ACCOUNT)?;
    let dashboard = form.part("controller")?.part("stripe_dashboard")?;
    if form.text("type")? != Some("express") && dashboard.text("type")? != Some("express") {
        let message = "The stand-in makes Express accounts only: send `type=express`.";
        return Err(ApiError::parameter("parameter_invalid", "type", message));
    }
    let country = form.text("country")?.unwrap_or("US").to_ascii_uppercase();
    if !COUNTRIES.split_whitespace().any(|known| known == country) {
        let message = format!("{country} is not currently supported by Stripe.");
        return Err(ApiError::refused("country_unsupported", message).about("country"));
    }
    let id = tx.id("acct")?;
    let mut account = template("account", &id, tx.now);
    set(&mut account, json!({ "country": country, "default_currency": currency_of(&country), "type": "express" }));
    account["external_accounts"]["url"] = json!(format!("/v1/accounts/{id}/external_accounts"));
    set(
        &mut account["requirements"],
        json!({ "currently_due": REQUIREMENTS, "eventually_due": REQUIREMENTS, "past_due": REQUIREMENTS,
                "disabled_reason": "requirements.past_due" }),
    );
    write_account(form, &mut account)?;
    if let Some(agreement) = form.part("tos_acceptance")?.word("service_agreement", &["full", "recipient"])? {
        account["tos_acceptance"]["service_agreement"] = json!(agreement);
    }
    tx.insert(&account)?;
    Ok(account)
}

/// `POST /v1/accounts/{id}`.
pub(crate) fn update_account(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(ACCOUNT)?;
    let before = tx.read("account", id)?;
    let mut account = before.clone();
    write_account(form, &mut account)?;
    changed(tx, &before, &account)?;
    Ok(account)
}

fn write_account(form: &Form, account: &mut Value) -> Result<(), ApiError> {
    form.copy_texts(&["email", "business_type"], account)?;
    let profile = form.part("business_profile")?;
    profile.only(&["name", "url", "mcc", "product_description", "support_email", "support_phone", "support_url"])?;
    profile.copy_texts(
        &["name", "url", "mcc", "product_description", "support_email", "support_phone", "support_url"],
        &mut account["business_profile"],
    )?;
    let capabilities = form.part("capabilities")?;
    capabilities.only(&["transfers", "card_payments"])?;
    for name in ["transfers", "card_payments"] {
        match capabilities.part(name)?.flag("requested")? {
            Some(true) if account["capabilities"][name].is_null() => {
                let submitted = flag(account, "/details_submitted");
                account["capabilities"][name] = json!(if submitted { "active" } else { "inactive" });
            }
            Some(false) => {
                if let Some(all) = account["capabilities"].as_object_mut() {
                    all.remove(name);
                }
            }
            _ => {}
        }
    }
    account["metadata"] = form.merge_metadata(&account["metadata"])?;
    Ok(())
}

/// The person has handed in everything: the account can receive and be paid.
pub(crate) fn finish_onboarding(tx: &Tx<'_>, id: &str) -> Result<Value, ApiError> {
    let before = tx.read("account", id)?;
    let mut account = before.clone();
    if let Some(capabilities) = account["capabilities"].as_object_mut() {
        capabilities.values_mut().for_each(|status| *status = json!("active"));
    }
    set(&mut account, json!({ "details_submitted": true, "payouts_enabled": true }));
    account["charges_enabled"] = json!(text(&account, "/capabilities/card_payments") == "active");
    account["tos_acceptance"]["date"] = json!(tx.now);
    clear_requirements(&mut account, &[]);
    if items(&account, "/external_accounts/data").is_empty() {
        let mut bank = template("bank_account", &tx.id("ba")?, tx.now);
        set(
            &mut bank,
            json!({ "account": id, "country": account["country"], "currency": account["default_currency"] }),
        );
        account["external_accounts"]["data"] = json!([bank]);
    }
    changed(tx, &before, &account)?;
    Ok(account)
}

/// What the control endpoint says about an account: `transfers`, `payouts_enabled` and `requirements`.
pub(crate) fn steer_account(
    tx: &Tx<'_>,
    id: &str,
    transfers: Option<&str>,
    payouts_enabled: Option<bool>,
    requirements: Option<&[String]>,
) -> Result<Value, ApiError> {
    let before = tx.read("account", id)?;
    let mut account = before.clone();
    if let Some(status) = transfers {
        if !["active", "inactive", "pending"].contains(&status) {
            let message = format!("`transfers` must be active, inactive or pending; it is '{status}'.");
            return Err(ApiError::parameter("parameter_invalid", "transfers", message));
        }
        account["capabilities"]["transfers"] = json!(status);
        if status == "active" {
            account["details_submitted"] = json!(true);
            clear_requirements(&mut account, &[]);
        }
    }
    if let Some(enabled) = payouts_enabled {
        account["payouts_enabled"] = json!(enabled);
    }
    if let Some(wanted) = requirements {
        clear_requirements(&mut account, wanted);
    }
    changed(tx, &before, &account)?;
    Ok(account)
}

fn clear_requirements(account: &mut Value, due: &[String]) {
    let disabled = if due.is_empty() { Value::Null } else { json!("requirements.past_due") };
    set(
        &mut account["requirements"],
        json!({ "currently_due": due, "eventually_due": due, "past_due": due, "disabled_reason": disabled }),
    );
}

/// Stores an account's new state and tells the platform; money that waited for payouts is paid out later.
fn changed(tx: &Tx<'_>, before: &Value, account: &Value) -> Result<(), ApiError> {
    if before == account {
        return Ok(());
    }
    tx.save(account)?;
    let id = text(account, "/id");
    for name in ["transfers", "card_payments"] {
        if before["capabilities"][name] != account["capabilities"][name] {
            tx.emit_event(id, "capability.updated", &capability(account, name), None)?;
        }
    }
    let waiting = items(&balance(tx, id)?, "/available").iter().any(|amount| int(amount, "/amount") > 0);
    if waiting && !flag(before, "/payouts_enabled") && flag(account, "/payouts_enabled") {
        tx.schedule("payout", id, tx.now + SETTLE_S)?;
    }
    tx.emit_event(id, "account.updated", account, Some(crate::objects::differences(before, account)))
}

/// An account's capability as an object of its own.
pub(crate) fn capability(account: &Value, name: &str) -> Value {
    let mut capability = template("capability", name, 0);
    let status = account["capabilities"][name].clone();
    set(
        &mut capability,
        json!({
            "account": account["id"], "requested": !status.is_null(), "requested_at": account["created"],
            "status": if status.is_null() { json!("unrequested") } else { status },
        }),
    );
    set(
        &mut capability["requirements"],
        json!({ "currently_due": account["requirements"]["currently_due"], "disabled_reason": account["requirements"]["disabled_reason"] }),
    );
    capability
}

/// `GET /v1/account`: the connected account that the request speaks for, or the platform, whose own payouts
/// are manual so that nothing drains its balance.
pub(crate) fn platform(tx: &Tx<'_>, account: &str) -> Result<Value, ApiError> {
    if !account.is_empty() {
        return tx.read("account", account);
    }
    let id = format!("acct_{}", crate::store::letters(&format!("{}/platform", tx.seed), 16));
    let mut platform = template("account", &id, 0);
    set(
        &mut platform,
        json!({
            "type": "standard", "country": "US", "default_currency": "usd", "email": "finance@aikit.example",
            "business_type": "company", "controller": { "type": "account" }, "details_submitted": true,
            "charges_enabled": true, "payouts_enabled": true,
            "capabilities": { "card_payments": "active", "transfers": "active" },
        }),
    );
    platform["business_profile"]["name"] = json!("AIKit");
    platform["external_accounts"]["url"] = json!(format!("/v1/accounts/{id}/external_accounts"));
    platform["settings"]["payouts"]["schedule"] = json!({ "delay_days": 2, "interval": "manual" });
    Ok(platform)
}

/// `POST /v1/account_links`: a page that works once and for five minutes.
pub(crate) fn create_link(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["account", "type", "refresh_url", "return_url", "collect", "collection_options"])?;
    let account = form.need("account")?;
    tx.read_param("account", account, "account")?;
    form.need("type")?;
    form.word("type", &["account_onboarding", "account_update"])?;
    let url = |name: &str| {
        let url = form.need(name)?;
        let web = url.starts_with("http://") || url.starts_with("https://");
        web.then_some(url).ok_or_else(|| ApiError::parameter("url_invalid", name, format!("Not a valid URL: {url}")))
    };
    let (refresh_url, return_url) = (url("refresh_url")?, url("return_url")?);
    let token = tx.id("link")?.trim_start_matches("link_").to_owned();
    let expires_at = tx.now + 300;
    tx.sql.execute(
        "INSERT INTO links (token, account, expires_at, return_url, refresh_url) VALUES (?1, ?2, ?3, ?4, ?5)",
        rusqlite::params![token, account, expires_at, return_url, refresh_url],
    )?;
    let url = format!("{}/setup/e/{account}/{token}", tx.base_url);
    Ok(json!({ "object": "account_link", "created": tx.now, "expires_at": expires_at, "url": url }))
}

/// `GET /v1/balance` of the platform or of a connected account.
pub(crate) fn balance(tx: &Tx<'_>, account: &str) -> Result<Value, ApiError> {
    let mut statement = tx.sql.prepare_cached(
        "SELECT currency, available_minor, pending_minor FROM balances WHERE account = ?1 ORDER BY currency",
    )?;
    let rows = statement.query_map([account], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut amounts: Vec<(String, i64, i64)> = rows.collect::<rusqlite::Result<_>>()?;
    if amounts.is_empty() {
        amounts.push(("usd".to_owned(), 0, 0));
    }
    let part = |amount: i64, currency: &str| json!({ "amount": amount, "currency": currency, "source_types": { "card": amount } });
    Ok(json!({
        "object": "balance", "livemode": false,
        "available": amounts.iter().map(|(currency, available, _)| part(*available, currency)).collect::<Vec<_>>(),
        "pending": amounts.iter().map(|(currency, _, pending)| part(*pending, currency)).collect::<Vec<_>>(),
        "connect_reserved": [{ "amount": 0, "currency": "usd" }],
    }))
}

/// `POST /v1/transfers`: out of the available balance, to an account whose transfers are active.
pub(crate) fn create_transfer(tx: &Tx<'_>, form: &Form) -> Result<Value, ApiError> {
    form.only(&["amount", "currency", "destination", "transfer_group", "description", "metadata", "source_type"])?;
    let amount = form.at_least("amount", 1)?.ok_or_else(|| form.missing("amount"))?;
    let currency = form.currency("currency")?.ok_or_else(|| form.missing("currency"))?;
    let destination = form.need("destination")?;
    let metadata = form.merge_metadata(&json!({}))?;
    let Some(account) = tx.find("account", "", destination)? else {
        return Err(ApiError::no_such_param("destination", destination, "destination"));
    };
    if text(&account, "/capabilities/transfers") != "active" {
        let message = "Your destination account needs to have at least one of the following capabilities enabled: transfers, crypto_transfers, legacy_payments";
        return Err(ApiError::refused("insufficient_capabilities_for_transfer", message));
    }
    let (available, _) = tx.balance("", &currency)?;
    if available < amount {
        let message = "You have insufficient available funds in your Stripe account. Try adding funds directly to your available balance by creating Charges using the 4000000000000077 test card. See: https://stripe.com/docs/testing#available-balance";
        return Err(ApiError::refused("balance_insufficient", message));
    }
    let (id, payment) = (tx.id("tr")?, tx.id("py")?);
    let booked = tx.book(&Booking {
        account: "",
        kind: "transfer",
        source: &id,
        currency: &currency,
        amount: -amount,
        fee: 0,
        pending: false,
    })?;
    let mut transfer = template("transfer", &id, tx.now);
    set(
        &mut transfer,
        json!({
            "amount": amount, "currency": currency, "destination": destination, "metadata": metadata,
            "transfer_group": form.text("transfer_group")?, "description": form.text("description")?,
            "balance_transaction": booked, "destination_payment": payment,
            "reversals": list(format!("/v1/transfers/{id}/reversals"), vec![]),
        }),
    );
    tx.insert(&transfer)?;
    bank::receive(tx, &transfer, &payment)?;
    tx.schedule("payout", &id, tx.now + SETTLE_S)?;
    tx.emit("transfer.created", &transfer)?;
    Ok(transfer)
}

/// `POST /v1/transfers/{id}`: description and metadata only.
pub(crate) fn update_transfer(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["description", "metadata"])?;
    let before = tx.read("transfer", id)?;
    let mut transfer = before.clone();
    form.copy_texts(&["description"], &mut transfer)?;
    transfer["metadata"] = form.merge_metadata(&transfer["metadata"])?;
    if transfer != before {
        tx.save(&transfer)?;
        tx.emit_change("transfer.updated", &before, &transfer)?;
    }
    Ok(transfer)
}

/// `POST /v1/transfers/{id}/reversals`: takes money back while the account still has it.
pub(crate) fn reverse_transfer(tx: &Tx<'_>, id: &str, form: &Form) -> Result<Value, ApiError> {
    form.only(&["amount", "description", "metadata", "refund_application_fee"])?;
    let wanted = form.at_least("amount", 1)?;
    let before = tx.read("transfer", id)?;
    let left = int(&before, "/amount") - int(&before, "/amount_reversed");
    let amount = wanted.unwrap_or(left);
    if left == 0 || amount > left {
        let message = format!("Transfer {id} has {left} minor units left to reverse; {amount} were asked for.");
        return Err(ApiError::refused("transfer_reversal_too_large", message).about("amount"));
    }
    let (account, currency) = (text(&before, "/destination"), text(&before, "/currency"));
    if tx.balance(account, currency)?.0 < amount {
        let message =
            format!("The account {account} does not have enough available balance to reverse {amount} minor units.");
        return Err(ApiError::refused("balance_insufficient", message));
    }
    let reversal_id = tx.id("trr")?;
    let booked = tx.book(&Booking {
        account: "",
        kind: "transfer_refund",
        source: &reversal_id,
        currency,
        amount,
        fee: 0,
        pending: false,
    })?;
    let refund = bank::give_back(tx, &before, &reversal_id, amount)?;
    let mut reversal = template("transfer_reversal", &reversal_id, tx.now);
    set(
        &mut reversal,
        json!({
            "amount": amount, "currency": currency, "transfer": id, "balance_transaction": booked,
            "destination_payment_refund": refund,
            "metadata": form.merge_metadata(&json!({}))?,
        }),
    );
    tx.insert(&reversal)?;
    let mut transfer = before.clone();
    set(
        &mut transfer,
        json!({ "amount_reversed": int(&before, "/amount_reversed") + amount, "reversed": amount == left }),
    );
    let mut reversals = tx.all("transfer_reversal", "$.transfer", id)?;
    reversals.reverse();
    transfer["reversals"] = list(format!("/v1/transfers/{id}/reversals"), reversals);
    tx.save(&transfer)?;
    tx.emit_change("transfer.reversed", &before, &transfer)?;
    Ok(reversal)
}

fn currency_of(country: &str) -> &'static str {
    match country {
        "GB" => "gbp",
        "CA" => "cad",
        "AU" => "aud",
        "NZ" => "nzd",
        "CH" | "LI" => "chf",
        "SE" => "sek",
        "NO" => "nok",
        "DK" => "dkk",
        "PL" => "pln",
        "JP" => "jpy",
        "IN" => "inr",
        "BR" => "brl",
        "MX" => "mxn",
        "SG" => "sgd",
        country if EURO.split_whitespace().any(|known| known == country) => "eur",
        _ => "usd",
    }
}
