//! What is kept of an event once nobody needs the rest: the fields that are read, and no person's data.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

const EVENT: &[&str] = &["id", "type", "created", "livemode", "account"];

/// Fields of `data.object`, of whatever type it is.
const OBJECT: &[&str] = &[
    "id",
    "status",
    "created",
    "amount",
    "currency",
    "customer",
    "invoice",
    "payment_intent",
    "charge",
    "payment.payment_intent",
    "payment.charge",
    "metadata.referral_id",
    "metadata.item",
    // Subscriptions.
    "start_date",
    "ended_at",
    "canceled_at",
    "latest_invoice",
    // Invoices.
    "amount_paid",
    "amount_due",
    "paid_out_of_band",
    "total",
    "total_excluding_tax",
    "subscription",
    "subscription_details.metadata.referral_id",
    "parent.subscription_details.subscription",
    "parent.subscription_details.metadata.referral_id",
    "status_transitions.paid_at",
    "lines.has_more",
    "payments.data.*.payment.payment_intent",
    "payments.data.*.payment.charge",
    "total_discount_amounts.*.amount",
    "total_taxes.*.amount",
    "total_taxes.*.tax_behavior",
    "total_taxes.*.inclusive",
    "total_tax_amounts.*.amount",
    "total_tax_amounts.*.inclusive",
    "total_tax_amounts.*.tax_behavior",
    // Charges, credit notes, transfers.
    "refunds.data.*.id",
    "refunds.data.*.status",
    "refunds.data.*.created",
    "refunds.data.*.amount",
    "refunds.data.*.invoice",
    "refunds.data.*.payment_intent",
    "refunds.data.*.charge",
    "out_of_band_amount",
    "amount_reversed",
    "destination",
    "reversals.data.*.id",
    "reversals.data.*.amount",
    "reversals.data.*.created",
    // Accounts and capabilities.
    "account",
    "capabilities.transfers",
    "payouts_enabled",
    "requirements.currently_due.*",
    "requirements.past_due.*",
    "requirements.pending_verification.*",
    "requirements.disabled_reason",
    // Payouts to a bank.
    "automatic",
    "arrival_date",
    "failure_code",
    "reconciliation_status",
    // Checkouts, promotion codes, discounts.
    "client_reference_id",
    "metadata.partner_code",
    "code",
    "promotion_code",
    "discounts.*.promotion_code",
    "discount.promotion_code",
    "start",
];

const LINE: &[&str] = &[
    "amount",
    "type",
    "proration",
    "subscription",
    "period.start",
    "period.end",
    "discount_amounts.*.amount",
    "pretax_credit_amounts.*.amount",
    "pretax_credit_amounts.*.type",
    "taxes.*.amount",
    "taxes.*.tax_behavior",
    "taxes.*.inclusive",
    "tax_amounts.*.amount",
    "tax_amounts.*.inclusive",
    "tax_amounts.*.tax_behavior",
    "parent.type",
    "parent.subscription_item_details.subscription",
    "parent.subscription_item_details.proration",
    "parent.invoice_item_details.subscription",
    "parent.invoice_item_details.proration",
];

const PREVIOUS: &[&str] = &["status", "latest_invoice", "plan", "quantity"];

/// Of an item's `price`, or its `plan` in the old shape.
const PRICE: &[&str] = &[
    "unit_amount",
    "unit_amount_decimal",
    "amount",
    "amount_decimal",
    "currency",
    "interval",
    "interval_count",
    "usage_type",
    "recurring.interval",
    "recurring.interval_count",
    "recurring.usage_type",
];

/// Paths by their first name; `*` stands for each entry of a list.
#[derive(Default)]
struct Paths {
    ends: bool,
    below: BTreeMap<&'static str, Paths>,
}

impl Paths {
    fn at(&mut self, path: &'static str) -> &mut Paths {
        path.split('.').fold(self, |paths, name| paths.below.entry(name).or_default())
    }

    fn add(&mut self, fields: &[&'static str]) {
        for field in fields {
            self.at(field).ends = true;
        }
    }
}

static EVENTS: LazyLock<Paths> = LazyLock::new(|| {
    let mut paths = Paths::default();
    paths.add(EVENT);
    paths.at("data.object").add(OBJECT);
    paths.at("data.object.lines.data.*").add(LINE);
    paths.at("data.previous_attributes").add(PREVIOUS);
    for of in ["data.object.items.data.*", "data.previous_attributes.items.data.*"] {
        let item = paths.at(of);
        item.add(&["quantity"]);
        item.at("price").add(PRICE);
        item.at("plan").add(PRICE);
    }
    paths
});

static LINES: LazyLock<Paths> = LazyLock::new(|| {
    let mut paths = Paths::default();
    paths.add(LINE);
    paths
});

/// The event with the fields that [`read`](super::read) reads, and no other. Expanded objects become their ids.
pub(crate) fn reduce(event: &Value) -> Value {
    keep(event, &EVENTS)
}

/// A line of an invoice, likewise.
pub(crate) fn reduce_line(line: &Value) -> Value {
    keep(line, &LINES)
}

/// The value with what these paths lead to. What is null, absent or of an unexpected type reads as before.
fn keep(value: &Value, paths: &Paths) -> Value {
    match value {
        Value::Array(entries) => match paths.below.get("*") {
            Some(each) => Value::Array(entries.iter().map(|e| keep(e, each)).collect()),
            None => Value::Array(Vec::new()),
        },
        Value::Object(fields) if paths.ends => {
            let id = fields.get("id").filter(|id| id.is_string());
            Value::Object(id.map(|id| ("id".to_string(), id.clone())).into_iter().collect())
        }
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter_map(|(name, field)| Some((name.clone(), keep(field, paths.below.get(name.as_str())?))));
            Value::Object(kept.collect())
        }
        Value::Null => Value::Null,
        scalar if paths.ends => scalar.clone(),
        // An object or list was expected: whatever stands there instead has no fields.
        _ => Value::Object(Map::new()),
    }
}
