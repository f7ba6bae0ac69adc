//! Stripe's events, read into what they mean for the journal. Pure and tolerant: both shapes of an invoice (before and
//! after API 2025-03-31) are understood, unknown fields are nothing, and a missing one is said by name.
//!
//! Invariant: what an event means depends on the event alone, never on what came before it. So events may come in any
//! order and any number of times, and lead to the same facts.

mod amount;
mod json;
mod price;
mod reduce;

use chrono::{DateTime, Utc};
use commission::Outcome;
use serde_json::Value;

pub(crate) use amount::{Part, part_of, share_of, spread};
pub(crate) use price::Price;
pub(crate) use reduce::{reduce, reduce_line};

use json::{id_of, ids, instant, items, list, number, text, time};

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A subscription exists, at this price.
    SubscriptionStarted { subscription: String, client: Client, price: Price, at: DateTime<Utc> },
    /// A subscription has another price.
    SubscriptionChanged { subscription: String, client: Client, price: Price, at: DateTime<Utc> },
    /// A subscription ended.
    SubscriptionCanceled { subscription: String, at: DateTime<Utc> },
    /// Money was collected for subscriptions.
    InvoicePaid(Paid),
    /// An invoice was paid whose event carries only the first of its lines.
    MoreLines { invoice: String },
    /// A payment intent or charge paid an invoice.
    Payment { payments: Vec<String>, invoice: String },
    /// Money went back to the client: with tax and everything, in the currency of the invoice.
    Refunded { refund: String, about: About, amount_minor: i64, at: DateTime<Utc> },
    /// A refund never happened.
    RefundFailed { refund: String, about: About, at: DateTime<Utc> },
    /// The client's bank asks for the money.
    DisputeOpened { dispute: String, about: About, amount_minor: i64, at: DateTime<Utc> },
    /// The bank decided.
    DisputeClosed { dispute: String, about: About, outcome: Outcome, at: DateTime<Utc> },
    /// A connected account can do more, or less.
    Account { account: String, transfers: String, payouts_enabled: bool, requirements: Vec<String>, created_s: i64 },
    /// A connected account may receive transfers, or no longer.
    Transfers { account: String, status: String, created_s: i64 },
    /// A transfer for a payment was made.
    Transferred { item: String, transfer: payout::Transfer },
    /// A transfer came back, all of it or a part.
    TransferReversed(Reversed),
    /// Stripe passes money of a connected account on to its bank.
    BankPayout(BankPayout),
    /// A customer or checkout of Stripe carries the id of a referral.
    ClientNamed { customer: String, source: &'static str, referral: String },
    /// A promotion code is a partner's, as its metadata says.
    PromotionCode { id: String, code: String, partner: String },
    /// A client redeemed a promotion code.
    Redeemed { promotion_code: String, customer: String, at: DateTime<Utc> },
    /// Nothing that the program needs; why.
    Nothing(&'static str),
}

/// How something of Stripe leads to a referral.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub customer: Option<String>,
    pub referral: Option<String>,
}

/// How a refund or dispute leads to an invoice: directly, or by what paid it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub invoice: Option<String>,
    pub payments: Vec<String>,
}

/// One reversal of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reversed {
    /// The payment that the transfer says it is for.
    pub item: Option<String>,
    pub transfer: String,
    pub reversal: String,
    pub amount_minor: i64,
    pub at: DateTime<Utc>,
}

/// A payout of a connected account to its bank, `po_…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BankPayout {
    pub id: String,
    pub account: String,
    pub amount_minor: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// `pending`, `in_transit`, `paid`, `failed` or `canceled`.
    pub status: String,
    /// Stripe's code of why the bank refused it.
    pub failure: Option<String>,
    /// When it is, or was, to arrive.
    pub arrives: DateTime<Utc>,
    pub made: DateTime<Utc>,
    pub event: DateTime<Utc>,
}

/// A paid invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paid {
    pub invoice: String,
    pub client: Client,
    /// ISO 4217, in lower case.
    pub currency: String,
    /// Everything that was collected, with tax; in `currency`.
    pub paid_minor: i64,
    /// What of it counts, by subscription, the invoice's own first; in `currency`.
    pub parts: Vec<Part>,
    pub payments: Vec<String>,
    pub at: DateTime<Utc>,
}

/// Reads one event: what it says, in order. `Err` names what is missing.
pub(crate) fn read(event: &Value) -> Result<Vec<Happening>, String> {
    let kind = text(event, "type")?;
    let object = event.pointer("/data/object").ok_or("data.object is missing")?;
    let created = time(event, "created")?;
    let happening = match kind.as_str() {
        "customer.subscription.created" => started(object, created)?,
        "customer.subscription.updated" => updated(object, event.pointer("/data/previous_attributes"), created)?,
        "customer.subscription.deleted" if status(object) == "incomplete_expired" => {
            Happening::Nothing("its first payment never came")
        }
        "customer.subscription.deleted" => Happening::SubscriptionCanceled {
            subscription: text(object, "id")?,
            at: time(object, "ended_at").or_else(|_| time(object, "canceled_at")).unwrap_or(created),
        },
        "invoice.paid" => invoice_paid(object, created)?,
        "invoice_payment.paid" => Happening::Payment {
            payments: ids(object, &["/payment/payment_intent", "/payment/charge"]),
            invoice: id_of(object, "/invoice").ok_or("invoice is missing")?,
        },
        "refund.created" | "refund.failed" => refund(object, kind == "refund.failed", &About::default(), created)?,
        // A refund that is only edited says nothing new, and says it again without harm.
        "refund.updated" | "charge.refund.updated" => refund(object, false, &About::default(), created)?,
        "charge.refunded" => return refunds(object, created),
        "credit_note.created" | "credit_note.voided" => credit_note(object, kind == "credit_note.voided", created)?,
        "charge.dispute.created" => Happening::DisputeOpened {
            dispute: text(object, "id")?,
            about: about(object),
            amount_minor: number(object, "amount")?,
            at: time(object, "created").unwrap_or(created),
        },
        "charge.dispute.closed" => Happening::DisputeClosed {
            dispute: text(object, "id")?,
            about: about(object),
            outcome: match status(object) {
                "won" | "warning_closed" => Outcome::Won,
                "lost" => Outcome::Lost,
                other => return Err(format!("status is «{other}»: neither won nor lost")),
            },
            at: created,
        },
        "account.updated" => Happening::Account {
            account: text(object, "id")?,
            transfers: id_of(object, "/capabilities/transfers").unwrap_or_else(|| "inactive".into()),
            payouts_enabled: object.pointer("/payouts_enabled").and_then(Value::as_bool).unwrap_or(false),
            requirements: requirements(object),
            created_s: created.timestamp(),
        },
        "capability.updated" if object.pointer("/id").and_then(Value::as_str) == Some("transfers") => {
            Happening::Transfers {
                account: id_of(object, "/account").ok_or("account is missing")?,
                status: text(object, "status")?,
                created_s: created.timestamp(),
            }
        }
        "transfer.created" | "transfer.updated" => transferred(object, created)?,
        "payout.created"
        | "payout.updated"
        | "payout.paid"
        | "payout.failed"
        | "payout.canceled"
        | "payout.reconciliation_completed" => bank_payout(event, object, created)?,
        "transfer.reversed" => return reversals(object, created),
        "customer.created" | "customer.updated" => {
            named(id_of(object, "/id"), "customer", id_of(object, "/metadata/referral_id"))
        }
        "checkout.session.completed" => {
            let named = named(id_of(object, "/customer"), "checkout", id_of(object, "/client_reference_id"));
            return Ok(vec![named, redeemed(event, object, created)]);
        }
        "customer.discount.created" => redeemed(event, object, created),
        "promotion_code.created" | "promotion_code.updated" => promotion_code(event, object)?,
        _ => Happening::Nothing("the program does not need this type"),
    };
    Ok(vec![happening])
}

fn status(object: &Value) -> &str {
    object.pointer("/status").and_then(Value::as_str).unwrap_or_default()
}

/// A subscription whose first payment has not come is none yet; it starts when that comes.
fn started(object: &Value, created: DateTime<Utc>) -> Result<Happening, String> {
    if matches!(status(object), "incomplete" | "incomplete_expired") {
        return Ok(Happening::Nothing("its first payment has not come yet"));
    }
    Ok(Happening::SubscriptionStarted {
        subscription: text(object, "id")?,
        client: client(object),
        price: Price::of(object)?,
        at: time(object, "start_date").or_else(|_| time(object, "created")).unwrap_or(created),
    })
}

/// An update says by `previous_attributes` what it changed. Paused, past due and unpaid subscriptions keep their price:
/// money counts when it is collected, and a price says only what a live plan is worth a year.
fn updated(object: &Value, previous: Option<&Value>, created: DateTime<Utc>) -> Result<Happening, String> {
    let before = |field: &str| previous.and_then(|p| p.get(field)).filter(|v| !v.is_null());
    if before("status").and_then(Value::as_str) == Some("incomplete") {
        return started(object, created);
    }
    if matches!(status(object), "incomplete" | "incomplete_expired") {
        return Ok(Happening::Nothing("its first payment has not come yet"));
    }
    let price = Price::of(object)?;
    let price_changed = match previous {
        None => true,
        Some(_) => match before("items") {
            // An earlier list that cannot be read may have had any price.
            Some(earlier) => Price::of_items(earlier, &price).as_ref() != Ok(&price),
            None => before("plan").is_some() || before("quantity").is_some(),
        },
    };
    // What a price in another currency is worth changes with the rate of each invoice.
    if !price_changed && before("latest_invoice").is_none() {
        return Ok(Happening::Nothing("the price is the same"));
    }
    Ok(Happening::SubscriptionChanged {
        subscription: text(object, "id")?,
        client: client(object),
        price: Price { restated: !price_changed, ..price },
        at: created,
    })
}

fn invoice_paid(object: &Value, created: DateTime<Utc>) -> Result<Happening, String> {
    let invoice = text(object, "id")?;
    if object.pointer("/lines/has_more").and_then(Value::as_bool) == Some(true) {
        return Ok(Happening::MoreLines { invoice });
    }
    let (paid_minor, parts) = amount::collected(object)?;
    if parts.is_empty() {
        return Ok(Happening::Nothing("not for a subscription"));
    }
    let mut payments = ids(object, &["/payment_intent", "/charge"]);
    for payment in items(object, "/payments/data") {
        payments.extend(ids(payment, &["/payment/payment_intent", "/payment/charge"]));
    }
    let details = object.pointer("/parent/subscription_details").or_else(|| object.pointer("/subscription_details"));
    Ok(Happening::InvoicePaid(Paid {
        invoice,
        client: Client {
            customer: id_of(object, "/customer"),
            referral: details.and_then(|d| id_of(d, "/metadata/referral_id")),
        },
        currency: text(object, "currency")?.to_lowercase(),
        paid_minor,
        parts,
        payments,
        at: object.pointer("/status_transitions/paid_at").and_then(Value::as_i64).and_then(instant).unwrap_or(created),
    }))
}

fn about(object: &Value) -> About {
    About { invoice: id_of(object, "/invoice"), payments: ids(object, &["/payment_intent", "/charge"]) }
}

/// A refund, or that it failed. A failure is dated like the refund: it never happened, whenever that is said.
fn refund(object: &Value, failed: bool, charge: &About, created: DateTime<Utc>) -> Result<Happening, String> {
    let mut about = about(object);
    about.invoice = about.invoice.or_else(|| charge.invoice.clone());
    about.payments.extend(charge.payments.iter().filter(|p| !about.payments.contains(p)).cloned().collect::<Vec<_>>());
    let (refund, at) = (text(object, "id")?, time(object, "created").unwrap_or(created));
    if failed || matches!(status(object), "failed" | "canceled") {
        return Ok(Happening::RefundFailed { refund, about, at });
    }
    Ok(Happening::Refunded { refund, about, amount_minor: number(object, "amount")?, at })
}

/// Before 2022-11-15 a charge lists its refunds; since then `refund.created` says it.
fn refunds(charge: &Value, created: DateTime<Utc>) -> Result<Vec<Happening>, String> {
    let listed = items(charge, "/refunds/data");
    if listed.is_empty() {
        return Ok(vec![Happening::Nothing("refund.created says it")]);
    }
    let of_charge = About { invoice: id_of(charge, "/invoice"), payments: ids(charge, &["/payment_intent", "/id"]) };
    listed.iter().map(|r| refund(r, false, &of_charge, created)).collect()
}

/// Of a credit note only what was given back outside Stripe is news: `refund.created` says the rest of the money, credit to
/// the customer's balance lowers a later invoice, and a note before the payment has lowered what was paid.
fn credit_note(object: &Value, voided: bool, created: DateTime<Utc>) -> Result<Happening, String> {
    let amount_minor = object.pointer("/out_of_band_amount").and_then(Value::as_i64).unwrap_or(0);
    if amount_minor <= 0 {
        return Ok(Happening::Nothing("nothing was given back outside Stripe"));
    }
    let about = About { invoice: Some(id_of(object, "/invoice").ok_or("invoice is missing")?), payments: Vec::new() };
    let (refund, at) = (text(object, "id")?, time(object, "created").unwrap_or(created));
    Ok(if voided || status(object) == "void" {
        Happening::RefundFailed { refund, about, at }
    } else {
        Happening::Refunded { refund, about, amount_minor, at }
    })
}

fn transferred(object: &Value, created: DateTime<Utc>) -> Result<Happening, String> {
    let Some(item) = id_of(object, "/metadata/item") else {
        return Ok(Happening::Nothing("not a transfer of this program"));
    };
    let transfer = payout::Transfer {
        id: text(object, "id")?,
        created: time(object, "created").unwrap_or(created),
        amount_minor: number(object, "amount")?,
        amount_reversed_minor: number(object, "amount_reversed")?,
        currency: text(object, "currency")?,
        destination: id_of(object, "/destination").ok_or("destination is missing")?,
        item: Some(item.clone()),
    };
    Ok(Happening::Transferred { item, transfer })
}

fn bank_payout(event: &Value, object: &Value, created: DateTime<Utc>) -> Result<Happening, String> {
    let Some(account) = id_of(event, "/account") else {
        return Ok(Happening::Nothing("it is the platform's own"));
    };
    if object.pointer("/automatic").and_then(Value::as_bool) != Some(true) {
        return Ok(Happening::Nothing("Stripe does not say which transfers a payout contains that was made by hand"));
    }
    if id_of(object, "/reconciliation_status").is_some_and(|status| status == "in_progress") {
        return Ok(Happening::Nothing("Stripe has not worked out yet which transfers it contains"));
    }
    Ok(Happening::BankPayout(BankPayout {
        id: text(object, "id")?,
        account,
        amount_minor: number(object, "amount")?,
        currency: text(object, "currency")?,
        status: text(object, "status")?,
        failure: id_of(object, "/failure_code"),
        arrives: time(object, "arrival_date")?,
        made: time(object, "created").unwrap_or(created),
        event: created,
    }))
}

/// Each reversal of a transfer by itself.
fn reversals(transfer: &Value, created: DateTime<Utc>) -> Result<Vec<Happening>, String> {
    let (id, item) = (text(transfer, "id")?, id_of(transfer, "/metadata/item"));
    let listed = items(transfer, "/reversals/data");
    if listed.is_empty() {
        return Err("reversals.data is missing".into());
    }
    let each = |r: &Value| {
        Ok(Happening::TransferReversed(Reversed {
            item: item.clone(),
            transfer: id.clone(),
            reversal: text(r, "id")?,
            amount_minor: number(r, "amount")?,
            at: time(r, "created").unwrap_or(created),
        }))
    };
    listed.iter().map(each).collect()
}

/// What Stripe asks for now, by its names; what it is still checking, or why it refuses, where it asks for nothing.
fn requirements(account: &Value) -> Vec<String> {
    let refused = id_of(account, "/requirements/disabled_reason").filter(|r| r.starts_with("rejected"));
    let mut names: Vec<String> = refused.into_iter().collect();
    for due in ["/requirements/currently_due", "/requirements/past_due"] {
        for name in list(account, due) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    if names.is_empty() && !list(account, "/requirements/pending_verification").is_empty() {
        names.push("pending_verification".into());
    }
    names
}

fn named(customer: Option<String>, source: &'static str, referral: Option<String>) -> Happening {
    match (customer, referral) {
        (Some(customer), Some(referral)) => Happening::ClientNamed { customer, source, referral },
        _ => Happening::Nothing("it names no referral"),
    }
}

/// A connected account has codes and clients of its own, which say nothing about ours.
const NOT_OURS: Happening = Happening::Nothing("it is a connected account's own");

fn is_connected(event: &Value) -> bool {
    event.get("account").is_some_and(|a| !a.is_null())
}

fn promotion_code(event: &Value, object: &Value) -> Result<Happening, String> {
    if is_connected(event) {
        return Ok(NOT_OURS);
    }
    Ok(match id_of(object, "/metadata/partner_code") {
        Some(partner) => Happening::PromotionCode { id: text(object, "id")?, code: text(object, "code")?, partner },
        None => Happening::Nothing("its metadata names no partner_code"),
    })
}

/// Who redeemed a code. A discount of a subscription is a discount of its customer too, and is reported as
/// `customer.discount.created`; subscriptions and invoices list their discounts by id alone. A checkout is completed after
/// its payment: its beginning is nearer to the redemption.
fn redeemed(event: &Value, object: &Value, created: DateTime<Utc>) -> Happening {
    if is_connected(event) {
        return NOT_OURS;
    }
    let listed = items(object, "/discounts").iter().find_map(|d| id_of(d, "/promotion_code"));
    let of = |pointer| id_of(object, pointer);
    match (of("/promotion_code").or(listed).or_else(|| of("/discount/promotion_code")), of("/customer")) {
        (Some(promotion_code), Some(customer)) => {
            let at = time(object, "start").or_else(|_| time(object, "created")).unwrap_or(created);
            Happening::Redeemed { promotion_code, customer, at }
        }
        (None, _) => Happening::Nothing("no promotion code was redeemed"),
        (_, None) => Happening::Nothing("it names no customer"),
    }
}

fn client(subscription: &Value) -> Client {
    Client { customer: id_of(subscription, "/customer"), referral: id_of(subscription, "/metadata/referral_id") }
}

#[cfg(test)]
mod tests;
