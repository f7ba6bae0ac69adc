//! What of a paid invoice counts: the money collected for subscription lines, without tax. docs/money-collected.md says it
//! in words, rule by rule.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::json::{id_of, instant, items, number};

/// Beyond this nothing is money (docs/rules.md §1).
const LARGEST_MINOR: i128 = 9_000_000_000_000_000;

/// What an invoice collected for one subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub subscription: String,
    pub amount_minor: i64,
    pub period: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// The lines of one subscription, added up.
struct Lines {
    subscription: String,
    net_minor: i128,
    /// Of the newest line; a line that is no proration speaks for the invoice.
    period: Option<(bool, DateTime<Utc>, DateTime<Utc>)>,
}

/// Everything that was collected, and what of it counts by subscription, the invoice's own first. No part means that the
/// invoice is not for a subscription.
pub(super) fn collected(invoice: &Value) -> Result<(i64, Vec<Part>), String> {
    let own = id_of(invoice, "/parent/subscription_details/subscription").or_else(|| id_of(invoice, "/subscription"));
    let lines = items(invoice, "/lines/data");
    let paid = paid(invoice)?;
    let total = invoice.pointer("/total").and_then(Value::as_i64).map_or(paid, i128::from);

    let mut by_subscription: Vec<Lines> = Vec::new();
    let mut add = |subscription: &str, net_minor: i128, period| match by_subscription
        .iter_mut()
        .find(|l| l.subscription == subscription)
    {
        Some(known) => {
            known.net_minor += net_minor;
            known.period = known.period.max(period);
        }
        None => by_subscription.push(Lines { subscription: subscription.into(), net_minor, period }),
    };
    if let Some(own) = &own {
        add(own, 0, None);
    }
    let mut all_lines = 0;
    for line in lines {
        let net = net(line);
        all_lines += net;
        if let Some((subscription, proration)) = subscription_of(line, own.as_deref()) {
            add(&subscription, net, period(line).map(|(start, end)| (!proration, end, start)));
        }
    }
    let from = usize::from(own.is_some());
    by_subscription.get_mut(from..).unwrap_or_default().sort_by(|a, b| a.subscription.cmp(&b.subscription));

    let lines_minor: i128 = by_subscription.iter().map(|l| l.net_minor).sum();
    let off = off_as_a_whole(invoice, lines);
    if [paid, total, all_lines, lines_minor, off].iter().any(|a| a.abs() > LARGEST_MINOR) {
        return Err("its amounts are too large to be money".into());
    }
    // What an old invoice takes off as a whole falls on all lines alike.
    let lines_minor = less_share(lines_minor, all_lines, off);
    let counts = lines_minor.min(without_tax(invoice, total));
    let amount = if counts <= 0 || paid <= 0 || total <= 0 { 0 } else { divide(counts * paid.min(total), total) };

    let weights: Vec<i128> = by_subscription.iter().map(|l| l.net_minor.clamp(0, LARGEST_MINOR)).collect();
    let parts = by_subscription.into_iter().zip(spread(amount, &weights));
    let parts = parts.map(|(lines, amount_minor)| Part {
        subscription: lines.subscription,
        amount_minor,
        period: lines.period.map(|(_, end, start)| (start, end)),
    });
    Ok((i64::try_from(paid).map_err(|_| "amount_paid is too large")?, parts.collect()))
}

/// Collected by Stripe, or outside it and said so: an old invoice that was marked as paid has no amount of its own.
fn paid(invoice: &Value) -> Result<i128, String> {
    let paid = number(invoice, "amount_paid")?;
    let outside = invoice.pointer("/paid_out_of_band").and_then(Value::as_bool) == Some(true);
    let due = invoice.pointer("/amount_due").and_then(Value::as_i64).filter(|_| outside);
    Ok(i128::from(due.map_or(paid, |due| due.max(paid))))
}

/// The subscription that a line is for, and whether it is a proration. A one-off item is for none, though it may name one.
fn subscription_of(line: &Value, own: Option<&str>) -> Option<(String, bool)> {
    let flag = |pointer: &str| line.pointer(pointer).and_then(Value::as_bool).unwrap_or(false);
    let named = |pointer: &str| id_of(line, pointer).or_else(|| own.map(Into::into));
    let is_null = |pointer: &str| line.pointer(pointer).is_none_or(Value::is_null);
    match line.pointer("/parent/type").or_else(|| line.pointer("/type")).and_then(Value::as_str) {
        Some("subscription_item_details") => Some((
            named("/parent/subscription_item_details/subscription")?,
            flag("/parent/subscription_item_details/proration"),
        )),
        Some("invoice_item_details") => {
            let proration = flag("/parent/invoice_item_details/proration");
            proration.then(|| named("/parent/invoice_item_details/subscription")).flatten().map(|s| (s, true))
        }
        Some("subscription") => Some((named("/subscription")?, flag("/proration"))),
        Some("invoiceitem") => flag("/proration").then(|| named("/subscription")).flatten().map(|s| (s, true)),
        _ if !is_null("/parent/subscription_item_details") => {
            Some((named("/parent/subscription_item_details/subscription")?, false))
        }
        _ => None,
    }
}

fn period(line: &Value) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let at = |pointer: &str| line.pointer(pointer).and_then(Value::as_i64).and_then(instant);
    at("/period/start").zip(at("/period/end")).filter(|(start, end)| end > start)
}

/// The amounts of a list's entries that `keep` wants.
fn sum(object: &Value, pointer: &str, keep: fn(&Value) -> bool) -> i128 {
    let entries = items(object, pointer).iter().filter(|e| keep(e));
    entries.filter_map(|e| e.pointer("/amount")?.as_i64()).map(i128::from).sum()
}

fn any(_: &Value) -> bool {
    true
}

/// In both shapes: `taxes[].tax_behavior`, `tax_amounts[].inclusive`.
fn inclusive(tax: &Value) -> bool {
    tax.pointer("/tax_behavior").and_then(Value::as_str) == Some("inclusive")
        || tax.pointer("/inclusive").and_then(Value::as_bool) == Some(true)
}

/// A credit grant pays for usage in advance. Entries of the type `discount` repeat `discount_amounts`.
fn credit_grant(credit: &Value) -> bool {
    credit.pointer("/type").and_then(Value::as_str) == Some("credit_balance_transaction")
}

fn discounts_of(line: &Value) -> i128 {
    sum(line, "/discount_amounts", any)
}

fn inclusive_tax_of(line: &Value) -> i128 {
    sum(line, "/taxes", inclusive) + sum(line, "/tax_amounts", inclusive)
}

/// A line's amount after discounts and credit grants, without tax.
fn net(line: &Value) -> i128 {
    let amount = line.pointer("/amount").and_then(Value::as_i64).map_or(0, i128::from);
    amount - discounts_of(line) - sum(line, "/pretax_credit_amounts", credit_grant) - inclusive_tax_of(line)
}

/// Discounts and inclusive tax that an invoice has and its lines do not show.
fn off_as_a_whole(invoice: &Value, lines: &[Value]) -> i128 {
    let on_lines = |of: fn(&Value) -> i128| lines.iter().map(of).sum::<i128>();
    let discounts = sum(invoice, "/total_discount_amounts", any) - on_lines(discounts_of);
    let taxes = sum(invoice, "/total_taxes", inclusive) + sum(invoice, "/total_tax_amounts", inclusive);
    discounts.max(0) + (taxes - on_lines(inclusive_tax_of)).max(0)
}

fn less_share(part: i128, whole: i128, less: i128) -> i128 {
    if less <= 0 || part <= 0 || whole <= 0 { part } else { part - divide(less.min(whole) * part.min(whole), whole) }
}

/// What the invoice comes to without tax, inclusive or exclusive.
fn without_tax(invoice: &Value, total: i128) -> i128 {
    match invoice.pointer("/total_excluding_tax").and_then(Value::as_i64) {
        Some(amount) => i128::from(amount),
        None => total - sum(invoice, "/total_taxes", any) - sum(invoice, "/total_tax_amounts", any),
    }
}

/// Rounded to a whole minor unit, half up; both are above zero.
fn divide(numerator: i128, denominator: i128) -> i128 {
    (numerator.saturating_mul(2).saturating_add(denominator)) / (denominator.saturating_mul(2))
}

/// Spreads an amount over weights, in whole minor units that add up to it. Without any weight the first takes it.
pub(crate) fn spread(amount: i128, weights: &[i128]) -> Vec<i64> {
    let all: i128 = weights.iter().sum();
    let (mut so_far, mut given) = (0, 0);
    let mut each = Vec::with_capacity(weights.len());
    for (n, weight) in weights.iter().enumerate() {
        so_far += weight;
        let until = if all > 0 { divide(amount * so_far, all) } else { amount };
        let part = if all > 0 || n == 0 { until - given } else { 0 };
        given += part;
        each.push(i64::try_from(part).unwrap_or(i64::MAX));
    }
    each
}

/// What of money that went back belongs to a part of an invoice: its share, rounded up to a whole minor unit. So shares
/// need no order among themselves, and when everything has gone back they cover the part, which is all that the engine
/// takes back (docs/rules.md §6 caps their sum at the invoice's amount).
pub(crate) fn share_of(back_minor: i64, paid_minor: i64, part_minor: i64) -> i64 {
    if back_minor <= 0 || paid_minor <= 0 || part_minor <= 0 {
        return 0;
    }
    let (back, paid, part) = (i128::from(back_minor.min(paid_minor)), i128::from(paid_minor), i128::from(part_minor));
    i64::try_from((part * back + paid - 1) / paid).unwrap_or(part_minor)
}

/// The journal's name for what is about one subscription of an invoice: the plain id for the first, `id/sub_…` for others.
pub(crate) fn part_of(id: &str, n: usize, subscription: &str) -> String {
    if n == 0 { id.into() } else { format!("{id}/{subscription}") }
}
