use commission::Interval;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn event(kind: &str, object: Value) -> Value {
    json!({"id": "evt_1", "type": kind, "created": 1_700_000_000, "livemode": false, "data": {"object": object}})
}

fn one(event: &Value) -> Happening {
    let mut said = read(event).unwrap();
    assert_eq!(said.len(), 1, "{event}");
    said.remove(0)
}

fn paid(object: Value) -> Paid {
    match one(&event("invoice.paid", object)) {
        Happening::InvoicePaid(paid) => paid,
        other => panic!("{other:?}"),
    }
}

/// A line in the shape since 2025-03-31.
fn line(amount: i64) -> Value {
    json!({"amount": amount, "period": {"start": 1_700_000_000, "end": 1_702_592_000},
        "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription": "sub_1", "proration": false}}})
}

fn with(mut line: Value, extra: Value) -> Value {
    if let (Some(line), Some(extra)) = (line.as_object_mut(), extra.as_object()) {
        line.extend(extra.clone());
    }
    line
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
    assert_eq!((new.parts[0].amount_minor, new.payments.as_slice()), (50_000, ["pi_1".to_string()].as_slice()));
}

/// Name, fields of the invoice, lines -> what counts. docs/money-collected.md has the same rows in words.
#[test]
fn only_collected_money_for_subscriptions_without_tax_counts() {
    let proration = |amount: i64| {
        json!({"amount": amount, "parent": {"type": "invoice_item_details",
            "invoice_item_details": {"proration": true, "subscription": "sub_1"}}})
    };
    let one_off = |amount: i64| {
        json!({"amount": amount, "parent": {"type": "invoice_item_details",
            "invoice_item_details": {"proration": false, "subscription": "sub_1"}}})
    };
    let discount = json!({"discount_amounts": [{"amount": 2_000}]});
    let exclusive = json!({"taxes": [{"amount": 1_900, "tax_behavior": "exclusive"}]});
    let inclusive = json!({"taxes": [{"amount": 1_597, "tax_behavior": "inclusive"}]});
    let table = [
        ("plain", json!({"amount_paid": 10_000, "total": 10_000}), vec![line(10_000)], 10_000),
        (
            "a discount on the line",
            json!({"amount_paid": 8_000, "total": 8_000}),
            vec![with(line(10_000), discount)],
            8_000,
        ),
        (
            "a discount on the invoice, spread over its lines by Stripe",
            json!({"amount_paid": 12_000, "total": 12_000, "total_discount_amounts": [{"amount": 3_000}]}),
            vec![
                with(line(10_000), json!({"discount_amounts": [{"amount": 2_000}]})),
                with(one_off(5_000), json!({"discount_amounts": [{"amount": 1_000}]})),
            ],
            8_000,
        ),
        (
            "a discount on an old invoice as a whole",
            json!({"amount_paid": 12_000, "total": 12_000, "total_discount_amounts": [{"amount": 3_000}]}),
            vec![line(10_000), one_off(5_000)],
            8_000,
        ),
        (
            "tax on top",
            json!({"amount_paid": 11_900, "total": 11_900}),
            vec![with(line(10_000), exclusive.clone())],
            10_000,
        ),
        (
            "tax inside",
            json!({"amount_paid": 10_000, "total": 10_000}),
            vec![with(line(10_000), inclusive.clone())],
            8_403,
        ),
        (
            "tax inside, in the old shape",
            json!({"amount_paid": 10_000, "total": 10_000}),
            vec![with(line(10_000), json!({"tax_amounts": [{"amount": 1_597, "inclusive": true}]}))],
            8_403,
        ),
        (
            "tax inside, told of the invoice alone",
            json!({"amount_paid": 10_000, "total": 10_000, "total_tax_amounts": [{"amount": 1_597, "inclusive": true}]}),
            vec![line(10_000)],
            8_403,
        ),
        (
            "a change to a dearer plan",
            json!({"amount_paid": 14_000, "total": 14_000}),
            vec![line(12_000), proration(-4_000), proration(6_000)],
            14_000,
        ),
        (
            "a change to a cheaper plan",
            json!({"amount_paid": 7_000, "total": 7_000}),
            vec![line(8_000), proration(-4_000), proration(3_000)],
            7_000,
        ),
        (
            "prorations in the old shape",
            json!({"amount_paid": 7_000, "total": 7_000, "subscription": "sub_1"}),
            vec![
                json!({"type": "subscription", "amount": 8_000}),
                json!({"type": "invoiceitem", "proration": true, "subscription": "sub_1", "amount": -1_000}),
                json!({"type": "invoiceitem", "proration": false, "subscription": "sub_1", "amount": 0}),
            ],
            7_000,
        ),
        (
            "a credit that is larger than the plan",
            json!({"amount_paid": 0, "total": -1_000}),
            vec![line(3_000), proration(-4_000)],
            0,
        ),
        ("half from the customer's balance", json!({"amount_paid": 5_000, "total": 10_000}), vec![line(10_000)], 5_000),
        (
            "half from the balance, with tax on top",
            json!({"amount_paid": 5_950, "total": 11_900, "total_excluding_tax": 10_000}),
            vec![with(line(10_000), exclusive)],
            5_000,
        ),
        ("all from the balance", json!({"amount_paid": 0, "total": 10_000}), vec![line(10_000)], 0),
        ("an old debt collected with it", json!({"amount_paid": 10_040, "total": 10_000}), vec![line(10_000)], 10_000),
        (
            "a credit note before the payment",
            json!({"amount_paid": 7_500, "total": 10_000, "pre_payment_credit_notes_amount": 2_500}),
            vec![line(10_000)],
            7_500,
        ),
        (
            "a credit grant",
            json!({"amount_paid": 6_000, "total": 6_000}),
            vec![with(
                line(10_000),
                json!({"pretax_credit_amounts": [{"type": "credit_balance_transaction", "amount": 4_000}]}),
            )],
            6_000,
        ),
        (
            "a set-up fee beside it",
            json!({"amount_paid": 15_000, "total": 15_000}),
            vec![line(10_000), one_off(5_000)],
            10_000,
        ),
        (
            "a set-up fee, half paid from the balance",
            json!({"amount_paid": 7_500, "total": 15_000}),
            vec![line(10_000), one_off(5_000)],
            5_000,
        ),
        (
            "a one-off credit that lowers the whole",
            json!({"amount_paid": 7_000, "total": 7_000}),
            vec![line(10_000), one_off(-3_000)],
            7_000,
        ),
        (
            "paid outside Stripe, said by an old invoice",
            json!({"amount_paid": 0, "amount_due": 10_000, "total": 10_000, "paid_out_of_band": true}),
            vec![line(10_000)],
            10_000,
        ),
        (
            "paid outside Stripe",
            json!({"amount_paid": 10_000, "amount_due": 10_000, "total": 10_000}),
            vec![line(10_000)],
            10_000,
        ),
        ("a trial", json!({"amount_paid": 0, "total": 0}), vec![line(0)], 0),
        (
            "a discount of everything",
            json!({"amount_paid": 0, "total": 0}),
            vec![with(line(10_000), json!({"discount_amounts": [{"amount": 10_000}]}))],
            0,
        ),
        ("several lines", json!({"amount_paid": 17_001, "total": 17_001}), vec![line(10_000), line(7_001)], 17_001),
    ];
    for (name, fields, lines, expected) in table {
        let invoice = with(
            json!({"id": "in_1", "currency": "usd", "parent": {"subscription_details": {"subscription": "sub_1"}}, "lines": {"data": lines}}),
            fields,
        );
        let got = paid(invoice);
        assert_eq!(got.parts.len(), 1, "{name}");
        assert_eq!((got.parts[0].subscription.as_str(), got.parts[0].amount_minor), ("sub_1", expected), "{name}");
    }
}

#[test]
fn each_subscription_of_an_invoice_has_its_share() {
    let of = |subscription: &str, amount: i64| {
        json!({"amount": amount, "parent": {"type": "subscription_item_details",
            "subscription_item_details": {"subscription": subscription}}})
    };
    let shares = |paid_minor: i64, lines: Vec<Value>| {
        let invoice = json!({"id": "in_1", "currency": "usd", "amount_paid": paid_minor, "total": 300,
            "parent": {"subscription_details": {"subscription": "sub_b"}}, "lines": {"data": lines}});
        paid(invoice).parts.into_iter().map(|p| (p.subscription, p.amount_minor)).collect::<Vec<_>>()
    };
    let named = |shares: &[(&str, i64)]| shares.iter().map(|(s, a)| (s.to_string(), *a)).collect::<Vec<_>>();
    let three = || vec![of("sub_c", 100), of("sub_a", 100), of("sub_b", 100)];
    assert_eq!(shares(300, three()), named(&[("sub_b", 100), ("sub_a", 100), ("sub_c", 100)]));
    assert_eq!(shares(200, three()), named(&[("sub_b", 67), ("sub_a", 66), ("sub_c", 67)]), "they add up");
    assert_eq!(shares(300, vec![of("sub_a", 400), of("sub_b", -100)]), named(&[("sub_b", 0), ("sub_a", 300)]));
    assert_eq!(part_of("in_1", 0, "sub_b"), "in_1");
    assert_eq!(part_of("re_1", 2, "sub_c"), "re_1/sub_c");
}

#[test]
fn the_period_is_that_of_the_plan_and_not_of_a_proration() {
    let late = json!({"amount": -1, "period": {"start": 1_699_000_000, "end": 1_800_000_000},
        "parent": {"type": "invoice_item_details", "invoice_item_details": {"proration": true, "subscription": "sub_1"}}});
    let invoice =
        json!({"id": "in_1", "currency": "usd", "amount_paid": 99, "total": 99, "lines": {"data": [late, line(100)]}});
    assert_eq!(paid(invoice).parts[0].period, instant(1_700_000_000).zip(instant(1_702_592_000)));
}

proptest! {
    /// However a payment is given back, in whatever order: no share is above what it stands for by a whole minor unit,
    /// and when all has gone back, the shares cover the part.
    #[test]
    fn shares_of_refunds_cover_the_part_when_all_is_refunded(
        part in 1_i64..2_000_000, tax in 0_i64..500_000, cuts in prop::collection::vec(1_i64..2_500_000, 0..6),
    ) {
        let paid = part + tax;
        let mut cuts: Vec<i64> = cuts.into_iter().map(|c| c % paid).filter(|c| *c > 0).chain([0, paid]).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut sum = 0;
        for pair in cuts.windows(2) {
            let back = pair[1] - pair[0];
            let share = share_of(back, paid, part);
            let exact = i128::from(part) * i128::from(back);
            prop_assert!(i128::from(share) * i128::from(paid) >= exact);
            prop_assert!(i128::from(share - 1) * i128::from(paid) < exact);
            sum += share;
        }
        prop_assert!((part..part + 7).contains(&sum), "{sum} of {part}");
        prop_assert_eq!(share_of(paid, paid, part), part);
        prop_assert_eq!(share_of(paid + 5, paid, part), part);
    }
}

fn items(entries: Value) -> Value {
    json!({"data": entries})
}

fn price_of(entries: Value) -> Result<(Interval, i64), String> {
    Price::of(&json!({"items": items(entries)})).map(|p| (p.interval, p.amount_minor))
}

#[test]
fn a_price_is_one_amount_per_month_or_year() {
    let item = |amount: i64, interval: &str, count: i64| json!({"quantity": 1, "price": {"unit_amount": amount, "recurring": {"interval": interval, "interval_count": count}}});
    let table = [
        (json!([item(50_000, "month", 1)]), (Interval::Month, 50_000)),
        (json!([item(600_000, "year", 1)]), (Interval::Year, 600_000)),
        (json!([item(30_000, "month", 3)]), (Interval::Month, 10_000)),
        (json!([item(10_000, "month", 1), item(5_000, "month", 1)]), (Interval::Month, 15_000)),
        (json!([item(120_000, "year", 1), item(1_000, "month", 1)]), (Interval::Month, 11_000)),
        (json!([item(100_000, "year", 2)]), (Interval::Year, 50_000)),
        (json!([item(1_000, "week", 1)]), (Interval::Month, 4_333)),
        (json!([item(100, "day", 1)]), (Interval::Month, 3_042)),
        (json!([{"quantity": 3, "plan": {"amount": 1_000, "interval": "month"}}]), (Interval::Month, 3_000)),
        (
            json!([{"quantity": 1_000, "price": {"unit_amount": null, "unit_amount_decimal": "0.25", "recurring": {"interval": "month"}}}]),
            (Interval::Month, 250),
        ),
        (
            json!([item(1_000, "month", 1), {"price": {"unit_amount": 5, "recurring": {"interval": "month", "usage_type": "metered"}}}]),
            (Interval::Month, 1_000),
        ),
        (
            json!([{"quantity": 2, "price": {"unit_amount": null, "billing_scheme": "tiered", "recurring": {"interval": "month"}}}]),
            (Interval::Month, 0),
        ),
    ];
    for (entries, expected) in table {
        assert_eq!(price_of(entries.clone()), Ok(expected), "{entries}");
    }
    for (entries, says) in [
        (json!([]), "items.data"),
        (json!([{"quantity": 1}]), "no price"),
        (json!([item(1, "fortnight", 1)]), "fortnight"),
        (json!([item(1, "month", 0)]), "interval of 0"),
        (json!([item(i64::MAX, "day", 1)]), "too large"),
    ] {
        let error = price_of(entries.clone()).unwrap_err();
        assert!(error.contains(says), "{entries}: {error}");
    }
}

fn subscription(status: &str, amount: i64) -> Value {
    json!({"id": "sub_1", "customer": "cus_1", "status": status, "start_date": 1_690_000_000, "latest_invoice": "in_1",
        "items": items(json!([{"quantity": 1, "price": {"unit_amount": amount, "recurring": {"interval": "month"}}}]))})
}

/// What an update changed -> what it says.
#[test]
fn a_price_has_changed_only_where_the_update_says_so() {
    let updated = |object: Value, previous: Value| {
        let mut event = event("customer.subscription.updated", object);
        event["data"]["previous_attributes"] = previous;
        one(&event)
    };
    let earlier = |amount: i64| json!({"items": subscription("active", amount)["items"]});
    let says = |h: Happening| match h {
        Happening::Nothing(_) => "nothing",
        Happening::SubscriptionStarted { .. } => "started",
        Happening::SubscriptionChanged { price, .. } if price.restated => "restated",
        Happening::SubscriptionChanged { .. } => "changed",
        other => panic!("{other:?}"),
    };
    for (status, previous, expected) in [
        ("active", json!({"metadata": {"a": "b"}}), "nothing"),
        ("active", json!({"current_period_end": 1}), "nothing"),
        ("active", json!({"latest_invoice": "in_0"}), "restated"),
        ("active", earlier(1_000), "nothing"),
        ("active", earlier(900), "changed"),
        ("active", json!({"items": items(json!([]))}), "changed"),
        ("active", json!({"quantity": 1}), "changed"),
        ("trialing", earlier(900), "changed"),
        ("past_due", json!({"status": "active"}), "nothing"),
        ("unpaid", json!({"status": "past_due"}), "nothing"),
        ("paused", json!({"status": "trialing"}), "nothing"),
        ("active", json!({"pause_collection": null}), "nothing"),
        ("incomplete", json!({"latest_invoice": "in_0"}), "nothing"),
        ("incomplete_expired", json!({"status": "incomplete"}), "nothing"),
        ("active", json!({"status": "incomplete"}), "started"),
        ("trialing", json!({"status": "incomplete"}), "started"),
    ] {
        assert_eq!(says(updated(subscription(status, 1_000), previous.clone())), expected, "{status} {previous}");
    }
    assert_eq!(says(one(&event("customer.subscription.updated", subscription("active", 1_000)))), "changed");
    for (status, expected) in
        [("active", "started"), ("trialing", "started"), ("past_due", "started"), ("incomplete", "nothing")]
    {
        assert_eq!(
            says(one(&event("customer.subscription.created", subscription(status, 1_000)))),
            expected,
            "{status}"
        );
    }
}

#[test]
fn a_charge_of_the_old_shape_says_each_of_its_refunds() {
    let charge = json!({"id": "ch_1", "payment_intent": "pi_1", "invoice": "in_1", "amount_refunded": 600, "refunds": {"data": [
        {"id": "re_2", "amount": 400, "created": 1_700_000_002, "status": "succeeded", "charge": "ch_1"},
        {"id": "re_1", "amount": 200, "created": 1_700_000_001, "status": "failed", "charge": "ch_1"},
    ]}});
    let about = About { invoice: Some("in_1".into()), payments: vec!["ch_1".into(), "pi_1".into()] };
    assert_eq!(
        read(&event("charge.refunded", charge)).unwrap(),
        [
            Happening::Refunded {
                refund: "re_2".into(),
                about: about.clone(),
                amount_minor: 400,
                at: instant(1_700_000_002).unwrap()
            },
            Happening::RefundFailed { refund: "re_1".into(), about, at: instant(1_700_000_001).unwrap() },
        ]
    );
    assert!(matches!(one(&event("charge.refunded", json!({"id": "ch_1"}))), Happening::Nothing(_)));
}

#[test]
fn a_credit_note_is_news_where_money_went_back_outside_stripe() {
    let note = |kind: &str, amount: Value| {
        one(&event(
            kind,
            json!({"id": "cn_1", "invoice": "in_1", "created": 1_700_000_001, "status": "issued", "out_of_band_amount": amount}),
        ))
    };
    assert!(matches!(note("credit_note.created", json!(null)), Happening::Nothing(_)));
    assert!(matches!(note("credit_note.created", json!(500)), Happening::Refunded { amount_minor: 500, .. }));
    assert!(matches!(note("credit_note.voided", json!(500)), Happening::RefundFailed { .. }));
}

#[test]
fn what_an_account_lacks_is_listed_once() {
    let account = |requirements: Value| match one(&event(
        "account.updated",
        json!({"id": "acct_1", "capabilities": {"transfers": "pending"}, "requirements": requirements}),
    )) {
        Happening::Account { requirements, .. } => requirements,
        other => panic!("{other:?}"),
    };
    assert_eq!(account(json!({"currently_due": ["a", "b"], "past_due": ["b", "c"]})), ["a", "b", "c"]);
    assert_eq!(account(json!({"currently_due": [], "pending_verification": ["a"]})), ["pending_verification"]);
    assert_eq!(account(json!({"disabled_reason": "rejected.fraud", "currently_due": ["a"]})), ["rejected.fraud", "a"]);
    assert!(account(json!({"disabled_reason": "requirements.past_due"})).is_empty());
}

#[test]
fn what_is_missing_is_named() {
    for (kind, object, says) in [
        ("invoice.paid", json!({"id": "in_1", "subscription": "sub_1"}), "amount_paid"),
        ("invoice.paid", json!({"subscription": "sub_1", "amount_paid": 1}), "id"),
        ("invoice.paid", json!({"id": "in_1", "subscription": "sub_1", "amount_paid": i64::MAX}), "too large"),
        ("customer.subscription.created", json!({"id": "sub_1"}), "items.data"),
        ("charge.dispute.created", json!({"id": "dp_1"}), "amount"),
        ("charge.dispute.closed", json!({"id": "dp_1", "status": "under_review"}), "neither won nor lost"),
        ("invoice_payment.paid", json!({}), "invoice"),
        ("refund.created", json!({"id": "re_1"}), "amount"),
        ("capability.updated", json!({"id": "transfers"}), "account"),
        ("transfer.reversed", json!({"id": "tr_1", "metadata": {"item": "i"}}), "reversals"),
    ] {
        let error = read(&event(kind, object)).unwrap_err();
        assert!(error.contains(says), "{kind}: {error}");
    }
    assert!(read(&json!({})).is_err());
    let not_ours = json!({"id": "in_1", "amount_paid": 5});
    assert_eq!(read(&event("invoice.paid", not_ours)), Ok(vec![Happening::Nothing("not for a subscription")]));
}

#[test]
fn a_promotion_code_is_read_from_whatever_names_it() {
    let said = |kind: &str, object: Value, account: Value| {
        read(&with(event(kind, object), json!({"account": account}))).unwrap().pop().unwrap()
    };
    let redeemed = |at: i64| Happening::Redeemed {
        promotion_code: "promo_1".into(),
        customer: "cus_1".into(),
        at: instant(at).unwrap(),
    };
    let discount = json!({"id": "di_1", "customer": "cus_1", "promotion_code": "promo_1", "start": 1_600_000_000, "subscription": "sub_1"});
    assert_eq!(said("customer.discount.created", discount.clone(), Value::Null), redeemed(1_600_000_000));
    let expanded = json!({"customer": {"id": "cus_1"}, "promotion_code": {"id": "promo_1", "code": "HALCYON20"}});
    assert_eq!(said("customer.discount.created", expanded, Value::Null), redeemed(1_700_000_000));
    let session =
        json!({"id": "cs_1", "customer": "cus_1", "discounts": [{"coupon": null, "promotion_code": "promo_1"}]});
    assert_eq!(said("checkout.session.completed", session.clone(), Value::Null), redeemed(1_700_000_000));
    let begun = with(session.clone(), json!({"created": 1_690_000_000}));
    assert_eq!(said("checkout.session.completed", begun, Value::Null), redeemed(1_690_000_000));
    let both =
        read(&event("checkout.session.completed", with(session, json!({"client_reference_id": "r_1"})))).unwrap();
    let names = matches!(both.as_slice(), [Happening::ClientNamed { .. }, Happening::Redeemed { .. }]);
    assert!(names, "a checkout may name a referral and a code: {both:?}");
    let code = json!({"id": "promo_1", "code": "HALCYON20", "metadata": {"partner_code": "PARTNER_7K3M9QXD"}});
    assert!(matches!(said("promotion_code.created", code.clone(), Value::Null), Happening::PromotionCode { .. }));
    for (kind, object, account) in [
        ("promotion_code.created", json!({"id": "promo_1", "code": "X", "metadata": {}}), Value::Null),
        ("promotion_code.updated", code, json!("acct_1")),
        ("customer.discount.created", discount, json!("acct_1")),
        ("customer.discount.created", json!({"customer": "cus_1", "promotion_code": null}), Value::Null),
        ("checkout.session.completed", json!({"id": "cs_1", "customer": "cus_1", "discounts": []}), Value::Null),
        ("checkout.session.completed", json!({"discounts": [{"promotion_code": "promo_1"}]}), Value::Null),
    ] {
        assert!(matches!(said(kind, object, account), Happening::Nothing(_)), "{kind}");
    }
}

/// One event of each kind that is read, with much that is not.
fn samples() -> Vec<Value> {
    let person = json!({"email": "ann@client.example", "name": "Ann", "address": {"city": "Paris"}});
    let mut invoice = json!({"id": "in_1", "customer": {"id": "cus_1", "email": "ann@client.example"}, "currency": "eur", "amount_paid": 9_000,
        "amount_due": 9_000, "total": 10_710, "total_excluding_tax": 9_000, "customer_email": "ann@client.example",
        "status_transitions": {"paid_at": 1_700_000_009}, "total_discount_amounts": [{"amount": 1_000, "discount": "di_1"}],
        "total_taxes": [{"amount": 1_710, "tax_behavior": "exclusive"}],
        "parent": {"subscription_details": {"subscription": "sub_1", "metadata": {"referral_id": "r_1", "note": "Ann"}}},
        "payments": {"data": [{"payment": {"payment_intent": "pi_1"}}]},
        "lines": {"has_more": false, "data": [with(line(10_000), json!({"description": "Ann", "taxes": [{"amount": 5, "tax_behavior": "inclusive"}]})), {"type": "invoiceitem", "proration": true, "amount": -3}]}});
    let mut changed = event("customer.subscription.updated", with(subscription("active", 5), person.clone()));
    changed["data"]["previous_attributes"] = json!({"items": subscription("active", 4)["items"], "latest_invoice": "in_0", "plan": {"nickname": "Ann"}, "description": "Ann"});
    let refund = json!({"id": "re_1", "amount": 5, "status": "succeeded", "created": 1_700_000_003, "payment_intent": "pi_1",
        "charge": {"id": "ch_1", "billing_details": person}});
    let mut all = vec![event("invoice.paid", invoice.clone()), changed];
    invoice["lines"]["has_more"] = json!(true);
    for (kind, object) in [
        ("invoice.paid", invoice),
        (
            "customer.subscription.created",
            with(subscription("trialing", 7), json!({"metadata": {"referral_id": "r_1"}})),
        ),
        ("customer.subscription.deleted", json!({"id": "sub_1", "ended_at": 1_700_000_004, "status": "canceled"})),
        ("invoice_payment.paid", json!({"invoice": "in_1", "payment": {"payment_intent": "pi_1"}})),
        ("refund.created", refund.clone()),
        ("refund.updated", with(refund.clone(), json!({"status": "failed"}))),
        (
            "charge.refunded",
            json!({"id": "ch_1", "invoice": "in_1", "receipt_email": "ann@client.example", "refunds": {"data": [refund]}}),
        ),
        ("credit_note.created", json!({"id": "cn_1", "invoice": "in_1", "out_of_band_amount": 5, "memo": "Ann"})),
        ("charge.dispute.created", json!({"id": "dp_1", "amount": 5, "charge": "ch_1", "evidence": person})),
        ("charge.dispute.closed", json!({"id": "dp_1", "status": "lost", "payment_intent": "pi_1"})),
        (
            "account.updated",
            json!({"id": "acct_1", "email": "ann@client.example", "capabilities": {"transfers": "active"}, "payouts_enabled": true,
            "requirements": {"currently_due": ["external_account"], "errors": [{"reason": "Ann"}]}}),
        ),
        ("capability.updated", json!({"id": "transfers", "account": "acct_1", "status": "active"})),
        (
            "transfer.reversed",
            json!({"id": "tr_1", "metadata": {"item": "i"}, "reversals": {"data": [{"id": "trr_1", "amount": 5}]}}),
        ),
        ("customer.created", json!({"id": "cus_1", "email": "ann@client.example", "metadata": {"referral_id": "r_1"}})),
        (
            "checkout.session.completed",
            json!({"customer": "cus_1", "client_reference_id": "r_1", "customer_details": person, "created": 1_690_000_000,
                "discounts": [{"coupon": {"name": "Ann"}, "promotion_code": {"id": "promo_1", "code": "ANN"}}]}),
        ),
        (
            "customer.discount.created",
            json!({"id": "di_1", "customer": {"id": "cus_1", "name": "Ann"}, "promotion_code": "promo_1", "start": 1_690_000_000,
                "coupon": {"name": "Ann"}}),
        ),
        (
            "promotion_code.created",
            json!({"id": "promo_1", "code": "HALCYON20", "customer": {"id": "cus_1", "name": "Ann"},
                "metadata": {"partner_code": "PARTNER_7K3M9QXD", "note": "Ann"}}),
        ),
        (
            "promotion_code.updated",
            json!({"id": "promo_2", "code": "B", "metadata": {"partner_code": "X"}, "active": false}),
        ),
        ("radar.early_fraud_warning.created", json!({"id": "issfr_1", "note": "Ann"})),
    ] {
        all.push(event(kind, object));
    }
    all
}

#[test]
fn a_reduced_event_says_the_same_and_names_nobody() {
    for event in samples() {
        let reduced = reduce(&event);
        assert_eq!(read(&reduced), read(&event), "{event}");
        assert_eq!(reduce(&reduced), reduced, "{event}");
        let text = reduced.to_string();
        assert!(!text.contains("Ann") && !text.contains("client.example") && !text.contains("Paris"), "{text}");
    }
}

/// Something at a place of a value replaced by something else.
fn spoil(value: &mut Value, mut place: usize, with: &Value) -> bool {
    fn walk(value: &mut Value, place: &mut usize, with: &Value) -> bool {
        if *place == 0 {
            *value = with.clone();
            return true;
        }
        *place -= 1;
        match value {
            Value::Array(entries) => entries.iter_mut().any(|e| walk(e, place, with)),
            Value::Object(fields) => fields.values_mut().any(|f| walk(f, place, with)),
            _ => false,
        }
    }
    walk(value, &mut place, with)
}

fn anything() -> impl Strategy<Value = Value> {
    let odd = vec![
        Value::Null,
        json!(true),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(-1),
        json!(0),
        json!(9_000_000_000_000_000_i64),
        serde_json::from_str("1e30").unwrap(),
        serde_json::from_str("-0.5").unwrap(),
        json!(""),
        json!("sub_1"),
        json!("incomplete"),
        json!("year"),
        json!("é\u{0}«\u{10ffff}"),
        json!([]),
        json!({}),
        json!([{"amount": i64::MAX}, {"amount": i64::MAX, "tax_behavior": "inclusive"}, 5, null]),
        json!({"id": "x", "data": [{"amount": i64::MIN}]}),
    ];
    prop_oneof![prop::sample::select(odd), any::<i64>().prop_map(Value::from)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50_000, ..ProptestConfig::default() })]

    /// Whatever an event contains, reading it ends, and its reduction says the same.
    #[test]
    fn a_mutated_event_is_read_or_refused(
        which in 0_usize..21,
        changes in prop::collection::vec((0_usize..90, anything()), 0..4),
        kind in 0_usize..72,
    ) {
        let all = {
            use std::sync::OnceLock;
            static ALL: OnceLock<Vec<Value>> = OnceLock::new();
            ALL.get_or_init(samples)
        };
        let mut event = all[which % all.len()].clone();
        for (place, value) in changes {
            spoil(&mut event, place, &value);
        }
        // One event's object under another one's type.
        if let (Some(other), Some(event)) = (all.get(kind), event.as_object_mut()) {
            event.insert("type".into(), other["type"].clone());
        }
        let said = read(&event);
        prop_assert_eq!(read(&reduce(&event)), said);
    }
}
