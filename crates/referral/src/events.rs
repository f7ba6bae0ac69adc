//! Stripe's events, read into what they mean for the journal. Pure and tolerant: both shapes of an invoice (before and
//! after API 2025-03-31) are understood, unknown fields are nothing, and a missing one is said by name.

use chrono::{DateTime, Utc};
use commission::{Interval, Outcome};
use serde_json::Value;

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// A subscription exists, at this price.
    SubscriptionStarted { subscription: String, client: Client, price: Price, at: DateTime<Utc> },
    /// A subscription may have another price.
    SubscriptionChanged { subscription: String, client: Client, price: Price, at: DateTime<Utc> },
    /// A subscription ended.
    SubscriptionCanceled { subscription: String, at: DateTime<Utc> },
    /// Money was collected for a subscription.
    InvoicePaid(Paid),
    /// A payment intent or charge paid an invoice.
    Payment { payments: Vec<String>, invoice: String },
    /// Money went back to the client.
    Refunded { refund: String, payments: Vec<String>, amount_minor: i64, at: DateTime<Utc> },
    /// A refund never happened.
    RefundFailed { refund: String, payments: Vec<String>, at: DateTime<Utc> },
    /// The client's bank asks for the money.
    DisputeOpened { dispute: String, payments: Vec<String>, amount_minor: i64, at: DateTime<Utc> },
    /// The bank decided.
    DisputeClosed { dispute: String, payments: Vec<String>, outcome: Outcome, at: DateTime<Utc> },
    /// A connected account can do more, or less.
    Account { account: String, transfers: String, payouts_enabled: bool, requirements: Vec<String>, created_s: i64 },
    /// A promotion code is a partner's, as its metadata says.
    PromotionCode { id: String, code: String, partner: String },
    /// A client redeemed a promotion code.
    Redeemed { promotion_code: String, customer: String, at: DateTime<Utc> },
    /// Nothing that the program needs; why.
    Nothing(&'static str),
}

/// How a subscription leads to a referral.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    pub customer: Option<String>,
    pub referral: Option<String>,
}

/// A price per interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Price {
    pub interval: Interval,
    pub amount_minor: i64,
}

/// A paid invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paid {
    pub invoice: String,
    pub subscription: String,
    pub client: Client,
    pub currency: String,
    pub amount_minor: i64,
    pub period: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub payments: Vec<String>,
    pub at: DateTime<Utc>,
}

/// Reads one event. `Err` names what is missing.
pub(crate) fn read(event: &Value) -> Result<Happening, String> {
    let kind = text(event, "type")?;
    let object = event.pointer("/data/object").ok_or("data.object is missing")?;
    let created = time(event, "created")?;
    match kind.as_str() {
        "customer.subscription.created" => Ok(Happening::SubscriptionStarted {
            subscription: text(object, "id")?,
            client: client(object),
            price: price(object)?,
            at: time(object, "start_date").or_else(|_| time(object, "created")).unwrap_or(created),
        }),
        "customer.subscription.updated" => Ok(Happening::SubscriptionChanged {
            subscription: text(object, "id")?,
            client: client(object),
            price: price(object)?,
            at: created,
        }),
        "customer.subscription.deleted" => Ok(Happening::SubscriptionCanceled {
            subscription: text(object, "id")?,
            at: time(object, "ended_at").or_else(|_| time(object, "canceled_at")).unwrap_or(created),
        }),
        "invoice.paid" => invoice_paid(object, created),
        "invoice_payment.paid" => Ok(Happening::Payment {
            payments: ids(object, &["/payment/payment_intent", "/payment/charge"]),
            invoice: id_of(object, "/invoice").ok_or("invoice is missing")?,
        }),
        "refund.created" => refund(object, created),
        "refund.failed" => Ok(failed(object, created)?),
        "refund.updated" => match text(object, "status").as_deref() {
            Ok("failed" | "canceled") => failed(object, created),
            Ok("succeeded") => refund(object, created),
            _ => Ok(Happening::Nothing("the refund has not failed")),
        },
        // Since 2022-11-15 a charge no longer lists its refunds: `refund.created` says it. Older ones do.
        "charge.refunded" => match object.pointer("/refunds/data").and_then(Value::as_array).and_then(|r| r.first()) {
            Some(newest) => {
                let mut happening = refund(newest, created)?;
                if let Happening::Refunded { payments, .. } = &mut happening {
                    payments.extend(id_of(object, "/id"));
                    payments.extend(id_of(object, "/payment_intent"));
                }
                Ok(happening)
            }
            None => Ok(Happening::Nothing("refund.created says it")),
        },
        "charge.dispute.created" => Ok(Happening::DisputeOpened {
            dispute: text(object, "id")?,
            payments: ids(object, &["/payment_intent", "/charge"]),
            amount_minor: number(object, "amount")?,
            at: time(object, "created").unwrap_or(created),
        }),
        "charge.dispute.closed" => Ok(Happening::DisputeClosed {
            dispute: text(object, "id")?,
            payments: ids(object, &["/payment_intent", "/charge"]),
            outcome: match text(object, "status")?.as_str() {
                "won" | "warning_closed" => Outcome::Won,
                "lost" => Outcome::Lost,
                other => return Err(format!("status is «{other}»: neither won nor lost")),
            },
            at: created,
        }),
        "account.updated" => Ok(Happening::Account {
            account: text(object, "id")?,
            transfers: id_of(object, "/capabilities/transfers").unwrap_or_else(|| "inactive".into()),
            payouts_enabled: object.pointer("/payouts_enabled").and_then(Value::as_bool).unwrap_or(false),
            requirements: list(object, "/requirements/currently_due"),
            created_s: created.timestamp(),
        }),
        "promotion_code.created"
        | "promotion_code.updated"
        | "customer.discount.created"
        | "checkout.session.completed" => redemption(&kind, event, object, created),
        _ => Ok(Happening::Nothing("the program does not need this type")),
    }
}

/// Promotion codes and who redeemed them. A discount of a subscription is a discount of its customer too, and is reported
/// as `customer.discount.created`; subscriptions and invoices list their discounts by id alone.
fn redemption(kind: &str, event: &Value, object: &Value, created: DateTime<Utc>) -> Result<Happening, String> {
    // A connected account has codes of its own, which say nothing about ours.
    if event.get("account").is_some_and(|a| !a.is_null()) {
        return Ok(Happening::Nothing("it is a connected account's own"));
    }
    if kind.starts_with("promotion_code.") {
        return Ok(match id_of(object, "/metadata/partner_code") {
            Some(partner) => Happening::PromotionCode { id: text(object, "id")?, code: text(object, "code")?, partner },
            None => Happening::Nothing("its metadata names no partner_code"),
        });
    }
    let promotion_code =
        ids(object, &["/promotion_code", "/discounts/0/promotion_code", "/discount/promotion_code"]).into_iter().next();
    match (promotion_code, id_of(object, "/customer")) {
        (Some(promotion_code), Some(customer)) => {
            Ok(Happening::Redeemed { promotion_code, customer, at: time(object, "start").unwrap_or(created) })
        }
        (None, _) => Ok(Happening::Nothing("no promotion code was redeemed")),
        (_, None) => Ok(Happening::Nothing("it names no customer")),
    }
}

fn invoice_paid(object: &Value, created: DateTime<Utc>) -> Result<Happening, String> {
    let subscription =
        id_of(object, "/parent/subscription_details/subscription").or_else(|| id_of(object, "/subscription"));
    let Some(subscription) = subscription else { return Ok(Happening::Nothing("not for a subscription")) };
    let empty = Vec::new();
    let lines = object.pointer("/lines/data").and_then(Value::as_array).unwrap_or(&empty);
    let is_subscription_line = |l: &&Value| {
        l.pointer("/parent/type").and_then(Value::as_str) == Some("subscription_item_details")
            || l.pointer("/type").and_then(Value::as_str) == Some("subscription")
            || l.pointer("/parent/subscription_item_details").is_some_and(|d| !d.is_null())
    };
    let paid = number(object, "amount_paid")?;
    let total = number(object, "total").unwrap_or(paid);
    let net: i64 = lines.iter().filter(is_subscription_line).map(net_of_tax).sum();
    let period = lines
        .iter()
        .filter(is_subscription_line)
        .filter_map(|l| {
            Some((instant(l.pointer("/period/start")?.as_i64()?)?, instant(l.pointer("/period/end")?.as_i64()?)?))
        })
        .filter(|(start, end)| end > start)
        .max_by_key(|(_, end)| *end);
    let mut payments: Vec<String> = ids(object, &["/payment_intent", "/charge"]);
    for payment in object.pointer("/payments/data").and_then(Value::as_array).unwrap_or(&empty) {
        payments.extend(ids(payment, &["/payment/payment_intent", "/payment/charge"]));
    }
    let details = object.pointer("/parent/subscription_details").or_else(|| object.pointer("/subscription_details"));
    Ok(Happening::InvoicePaid(Paid {
        invoice: text(object, "id")?,
        subscription,
        client: Client {
            customer: id_of(object, "/customer"),
            referral: details.and_then(|d| id_of(d, "/metadata/referral_id")),
        },
        currency: text(object, "currency")?.to_lowercase(),
        amount_minor: collected(net, paid, total),
        period,
        payments,
        at: object.pointer("/status_transitions/paid_at").and_then(Value::as_i64).and_then(instant).unwrap_or(created),
    }))
}

/// What of a paid amount is for subscription lines without tax: their share of the total, rounded to a whole minor unit.
/// A credit balance lowers `paid` below `total`, and the share with it.
fn collected(net_minor: i64, paid_minor: i64, total_minor: i64) -> i64 {
    if net_minor <= 0 || paid_minor <= 0 || total_minor <= 0 {
        return 0;
    }
    if paid_minor >= total_minor {
        return net_minor.min(paid_minor);
    }
    let (net, paid, total) = (i128::from(net_minor), i128::from(paid_minor), i128::from(total_minor));
    i64::try_from((net * paid * 2 + total) / (total * 2)).unwrap_or(i64::MAX)
}

/// A line's amount after discounts and without tax, inclusive or exclusive.
fn net_of_tax(line: &Value) -> i64 {
    let amount = line.pointer("/amount").and_then(Value::as_i64).unwrap_or(0);
    let sum = |list: &str, keep: fn(&Value) -> bool| -> i64 {
        let entries = line.pointer(list).and_then(Value::as_array);
        entries.into_iter().flatten().filter(|e| keep(e)).filter_map(|e| e.pointer("/amount")?.as_i64()).sum()
    };
    let discounts = sum("/discount_amounts", |_| true);
    let inclusive = |e: &Value| {
        e.pointer("/tax_behavior").and_then(Value::as_str) == Some("inclusive")
            || e.pointer("/inclusive").and_then(Value::as_bool) == Some(true)
    };
    amount - discounts - sum("/taxes", inclusive) - sum("/tax_amounts", inclusive)
}

fn refund(object: &Value, created: DateTime<Utc>) -> Result<Happening, String> {
    if matches!(text(object, "status").as_deref(), Ok("failed" | "canceled")) {
        return failed(object, created);
    }
    Ok(Happening::Refunded {
        refund: text(object, "id")?,
        payments: ids(object, &["/payment_intent", "/charge"]),
        amount_minor: number(object, "amount")?,
        at: time(object, "created").unwrap_or(created),
    })
}

fn failed(object: &Value, created: DateTime<Utc>) -> Result<Happening, String> {
    Ok(Happening::RefundFailed {
        refund: text(object, "id")?,
        payments: ids(object, &["/payment_intent", "/charge"]),
        at: created,
    })
}

fn client(subscription: &Value) -> Client {
    Client { customer: id_of(subscription, "/customer"), referral: id_of(subscription, "/metadata/referral_id") }
}

/// The price of a subscription: its items' amounts added up, per interval of the first.
fn price(subscription: &Value) -> Result<Price, String> {
    let items = subscription.pointer("/items/data").and_then(Value::as_array).ok_or("items.data is missing")?;
    let mut interval = None;
    let mut amount_minor = 0_i64;
    for item in items {
        let price = item.pointer("/price").or_else(|| item.pointer("/plan")).ok_or("an item has no price")?;
        let unit =
            price.pointer("/unit_amount").or_else(|| price.pointer("/amount")).and_then(Value::as_i64).unwrap_or(0);
        let quantity = item.pointer("/quantity").and_then(Value::as_i64).unwrap_or(1);
        amount_minor =
            unit.checked_mul(quantity).and_then(|a| amount_minor.checked_add(a)).ok_or("the price is too large")?;
        let every = price.pointer("/recurring/interval").or_else(|| price.pointer("/interval")).and_then(Value::as_str);
        interval = interval.or(every);
    }
    match interval {
        Some("year") => Ok(Price { interval: Interval::Year, amount_minor }),
        Some("month") => Ok(Price { interval: Interval::Month, amount_minor }),
        other => Err(format!("the interval «{}» is neither month nor year", other.unwrap_or("none"))),
    }
}

fn text(object: &Value, field: &str) -> Result<String, String> {
    object
        .get(field)
        .and_then(Value::as_str)
        .filter(|t| !t.is_empty())
        .map(Into::into)
        .ok_or_else(|| format!("{field} is missing"))
}

fn number(object: &Value, field: &str) -> Result<i64, String> {
    object.get(field).and_then(Value::as_i64).ok_or_else(|| format!("{field} is missing"))
}

fn instant(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

fn time(object: &Value, field: &str) -> Result<DateTime<Utc>, String> {
    object.get(field).and_then(Value::as_i64).and_then(instant).ok_or_else(|| format!("{field} is missing"))
}

/// An id, or the id of an expanded object.
fn id_of(object: &Value, pointer: &str) -> Option<String> {
    let found = object.pointer(pointer)?;
    found.as_str().or_else(|| found.get("id")?.as_str()).filter(|t| !t.is_empty()).map(Into::into)
}

fn ids(object: &Value, pointers: &[&str]) -> Vec<String> {
    pointers.iter().filter_map(|p| id_of(object, p)).collect()
}

fn list(object: &Value, pointer: &str) -> Vec<String> {
    let entries = object.pointer(pointer).and_then(Value::as_array);
    entries.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paid(object: Value) -> Paid {
        match read(
            &json!({"id": "evt_1", "type": "invoice.paid", "created": 1_700_000_000, "data": {"object": object}}),
        ) {
            Ok(Happening::InvoicePaid(paid)) => paid,
            other => panic!("{other:?}"),
        }
    }

    fn line(amount: i64) -> Value {
        json!({"amount": amount, "parent": {"type": "subscription_item_details"}, "period": {"start": 1_700_000_000, "end": 1_702_592_000}})
    }

    #[test]
    fn a_promotion_code_is_read_from_whatever_names_it() {
        let said = |kind: &str, object: Value, account: Value| {
            read(
                &json!({"id": "evt_1", "type": kind, "created": 1_700_000_000, "account": account, "data": {"object": object}}),
            )
        };
        let redeemed = |at: i64| {
            Ok(Happening::Redeemed {
                promotion_code: "promo_1".into(),
                customer: "cus_1".into(),
                at: DateTime::from_timestamp(at, 0).unwrap(),
            })
        };
        let discount = json!({"id": "di_1", "customer": "cus_1", "promotion_code": "promo_1", "start": 1_600_000_000, "subscription": "sub_1"});
        assert_eq!(said("customer.discount.created", discount.clone(), Value::Null), redeemed(1_600_000_000));
        let expanded = json!({"customer": {"id": "cus_1"}, "promotion_code": {"id": "promo_1", "code": "HALCYON20"}});
        assert_eq!(said("customer.discount.created", expanded, Value::Null), redeemed(1_700_000_000));
        let session =
            json!({"id": "cs_1", "customer": "cus_1", "discounts": [{"coupon": null, "promotion_code": "promo_1"}]});
        assert_eq!(said("checkout.session.completed", session, Value::Null), redeemed(1_700_000_000));
        let code = json!({"id": "promo_1", "code": "HALCYON20", "metadata": {"partner_code": "PARTNER_7K3M9QXD"}});
        let is_code =
            matches!(said("promotion_code.created", code.clone(), Value::Null), Ok(Happening::PromotionCode { .. }));
        assert!(is_code);
        for (kind, object, account) in [
            ("promotion_code.created", json!({"id": "promo_1", "code": "X", "metadata": {}}), Value::Null),
            ("promotion_code.updated", code, json!("acct_1")),
            ("customer.discount.created", discount, json!("acct_1")),
            ("customer.discount.created", json!({"customer": "cus_1", "promotion_code": null}), Value::Null),
            ("checkout.session.completed", json!({"id": "cs_1", "customer": "cus_1", "discounts": []}), Value::Null),
            ("checkout.session.completed", json!({"discounts": [{"promotion_code": "promo_1"}]}), Value::Null),
        ] {
            assert!(matches!(said(kind, object, account), Ok(Happening::Nothing(_))), "{kind}");
        }
    }

    #[test]
    fn both_shapes_of_an_invoice_say_the_same() {
        let new = paid(
            json!({"id": "in_1", "customer": "cus_1", "currency": "usd", "amount_paid": 50_000, "total": 50_000,
            "parent": {"subscription_details": {"subscription": "sub_1", "metadata": {"referral_id": "r_1"}}},
            "payments": {"data": [{"payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]}, "lines": {"data": [line(50_000)]}}),
        );
        let old = paid(
            json!({"id": "in_1", "customer": {"id": "cus_1"}, "currency": "USD", "amount_paid": 50_000, "total": 50_000,
            "subscription": "sub_1", "subscription_details": {"metadata": {"referral_id": "r_1"}}, "payment_intent": "pi_1",
            "lines": {"data": [{"type": "subscription", "amount": 50_000, "period": {"start": 1_700_000_000, "end": 1_702_592_000}}]}}),
        );
        assert_eq!(new, old);
        assert_eq!((new.amount_minor, new.payments.as_slice()), (50_000, ["pi_1".to_string()].as_slice()));
    }

    /// lines, paid, total -> what counts.
    #[test]
    fn only_collected_money_for_subscriptions_without_tax_counts() {
        let with = |extra: Value| {
            let mut l = line(10_000);
            if let (Some(l), Some(extra)) = (l.as_object_mut(), extra.as_object()) {
                l.extend(extra.clone());
            }
            l
        };
        let table = [
            ("plain", vec![line(10_000)], 10_000, 10_000, 10_000),
            ("discount of 20 %", vec![with(json!({"discount_amounts": [{"amount": 2_000}]}))], 8_000, 8_000, 8_000),
            (
                "tax on top",
                vec![with(json!({"taxes": [{"amount": 1_900, "tax_behavior": "exclusive"}]}))],
                11_900,
                11_900,
                10_000,
            ),
            (
                "tax inside",
                vec![with(json!({"taxes": [{"amount": 1_597, "tax_behavior": "inclusive"}]}))],
                10_000,
                10_000,
                8_403,
            ),
            ("half from a credit balance", vec![line(10_000)], 5_000, 10_000, 5_000),
            (
                "a set-up fee beside it",
                vec![line(10_000), json!({"amount": 5_000, "parent": {"type": "invoice_item_details"}})],
                15_000,
                15_000,
                10_000,
            ),
            ("up- and downgrade", vec![line(12_000), line(-4_000)], 8_000, 8_000, 8_000),
            ("a trial", vec![line(0)], 0, 0, 0),
            ("all from credit", vec![line(10_000)], 0, 10_000, 0),
        ];
        for (name, lines, paid_minor, total, expected) in table {
            let got = paid(json!({"id": "in_1", "currency": "usd", "amount_paid": paid_minor, "total": total,
                "parent": {"subscription_details": {"subscription": "sub_1"}}, "lines": {"data": lines}}));
            assert_eq!(got.amount_minor, expected, "{name}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let event = |kind: &str, object: Value| json!({"type": kind, "created": 1, "data": {"object": object}});
        for (kind, object, says) in [
            ("invoice.paid", json!({"subscription": "sub_1"}), "amount_paid"),
            ("customer.subscription.created", json!({"id": "sub_1"}), "items.data"),
            ("charge.dispute.created", json!({"id": "dp_1"}), "amount"),
            ("charge.dispute.closed", json!({"id": "dp_1", "status": "under_review"}), "neither won nor lost"),
        ] {
            let error = read(&event(kind, object)).unwrap_err();
            assert!(error.contains(says), "{kind}: {error}");
        }
        assert!(read(&json!({})).is_err());
        assert_eq!(
            read(&event("invoice.paid", json!({"id": "in_1"}))),
            Ok(Happening::Nothing("not for a subscription"))
        );
    }
}
