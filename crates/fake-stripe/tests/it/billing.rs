//! Subscriptions, invoices, refunds and disputes.
#![expect(clippy::unwrap_used, reason = "test support: a failed step is a failed test")]

use serde_json::{Value, json};

use crate::support::{Bench, Receiver, at, id};

#[tokio::test]
async fn a_subscription_lives_month_by_month() {
    let bench = Bench::start("2026-01-31T10:00:00Z").await;
    let receiver = Receiver::start().await;
    bench.deliver_to(&receiver).await;
    let customer = bench.customer().await;
    let trial_end = at("2026-02-14T10:00:00Z");
    let more = format!("&trial_end={trial_end}&metadata[referral_id]=r_1");
    let subscription = bench.subscribe(&customer, 50_000, "month", &more).await;
    let sub = id(&subscription);
    assert_eq!(subscription["status"], "trialing");

    // The trial's invoice is paid without money.
    bench.clock("2026-02-01T00:00:00Z").await;
    let first = &receiver.of("invoice.paid")[0]["data"]["object"];
    assert_eq!(
        (first["amount_paid"].as_i64(), first["billing_reason"].as_str()),
        (Some(0), Some("subscription_create"))
    );
    assert!(receiver.of("charge.succeeded").is_empty());

    let walked = bench.clock("2026-05-20T00:00:00Z").await;
    assert_eq!(walked["failed"], 0);
    assert_eq!(walked["events"], walked["delivered"]);
    let paid = receiver.of("invoice.paid");
    let starts: Vec<i64> = paid[1..]
        .iter()
        .map(|event| event["data"]["object"]["lines"]["data"][0]["period"]["start"].as_i64().unwrap())
        .collect();
    let months = ["2026-02-14", "2026-03-14", "2026-04-14", "2026-05-14"].map(|day| at(&format!("{day}T10:00:00Z")));
    assert_eq!(starts, months);
    for (event, month) in paid[1..].iter().zip(months) {
        let invoice = &event["data"]["object"];
        assert_eq!(event["created"].as_i64(), Some(month), "an event's instant is the instant it happened");
        assert_eq!(invoice["amount_paid"], 50_000);
        assert_eq!(invoice["parent"]["subscription_details"]["subscription"], json!(sub));
        assert_eq!(invoice["parent"]["subscription_details"]["metadata"]["referral_id"], "r_1");
        assert!(
            invoice.get("charge").is_none()
                && invoice.get("subscription").is_none()
                && invoice.get("payments").is_none()
        );
    }

    // Each paid invoice leads over its payment to a charge.
    let invoice = id(&paid[1]["data"]["object"]);
    let full = bench.get(&format!("/v1/invoices/{invoice}?expand[]=payments")).await;
    let intent = full["payments"]["data"][0]["payment"]["payment_intent"].as_str().unwrap();
    let by_filter =
        bench.get(&format!("/v1/invoice_payments?payment[type]=payment_intent&payment[payment_intent]={intent}")).await;
    assert_eq!(by_filter["data"][0]["invoice"], json!(invoice));
    let intent = bench.get(&format!("/v1/payment_intents/{intent}?expand[]=latest_charge")).await;
    assert_eq!(intent["latest_charge"]["amount"], 50_000);

    // Cancelled at the period's end: still paid for, then gone, and no further invoice.
    let updated = bench.post(&format!("/v1/subscriptions/{sub}"), "cancel_at_period_end=true").await;
    assert_eq!(updated["cancel_at"].as_i64(), Some(at("2026-06-14T10:00:00Z")));
    bench.clock("2026-12-01T00:00:00Z").await;
    let deleted = receiver.of("customer.subscription.deleted");
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0]["created"].as_i64(), Some(at("2026-06-14T10:00:00Z")));
    assert_eq!(receiver.of("invoice.paid").len(), 5);
    assert_eq!(bench.get(&format!("/v1/subscriptions?customer={customer}")).await["data"], json!([]));
    assert_eq!(
        bench.get(&format!("/v1/subscriptions?customer={customer}&status=all")).await["data"][0]["id"],
        json!(sub)
    );

    // Everything left in order of time, at the account's door.
    let events = receiver.events();
    let created: Vec<i64> = events.iter().map(|received| received.event["created"].as_i64().unwrap()).collect();
    assert!(created.is_sorted());
    assert!(events.iter().all(|received| received.door == "account" && received.event["livemode"] == json!(false)));
}

#[tokio::test]
async fn the_31st_and_a_yearly_price_keep_their_day() {
    let bench = Bench::start("2026-01-31T10:00:00Z").await;
    let customer = bench.customer().await;
    bench.subscribe(&customer, 10_000, "month", "").await;
    let yearly = id(&bench.subscribe(&customer, 1_000_000, "year", "").await);
    bench.clock("2027-02-01T00:00:00Z").await;
    let all = bench.get(&format!("/v1/invoices?customer={customer}&limit=100")).await;
    let days = |wanted: &dyn Fn(&Value) -> bool| {
        let mut days: Vec<String> = all["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|invoice| wanted(invoice))
            .map(|invoice| {
                chrono::DateTime::from_timestamp(invoice["created"].as_i64().unwrap(), 0)
                    .unwrap()
                    .date_naive()
                    .to_string()
            })
            .collect();
        days.reverse();
        days
    };
    let of_year = |invoice: &Value| invoice["parent"]["subscription_details"]["subscription"] == json!(yearly);
    assert_eq!(days(&of_year), ["2026-01-31", "2027-01-31"]);
    let monthly = days(&|invoice: &Value| !of_year(invoice));
    assert_eq!(monthly.len(), 13);
    assert_eq!(monthly[..4], ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]);
    let year = all["data"].as_array().unwrap().iter().find(|invoice| of_year(invoice)).unwrap();
    let period = &year["lines"]["data"][0]["period"];
    assert_eq!(period["end"].as_i64().unwrap() - period["start"].as_i64().unwrap(), 365 * 86_400);
}

#[tokio::test]
async fn coupons_taxes_and_prorations_foot() {
    let bench = Bench::start("2026-04-01T00:00:00Z").await;
    let customer = bench.customer().await;
    let coupon = id(&bench.post("/v1/coupons", "percent_off=12.5&duration=repeating&duration_in_months=2").await);
    let rate = id(&bench.post("/v1/tax_rates", "display_name=Sales+tax&percentage=8.25&inclusive=false").await);
    let more = format!("&discounts[0][coupon]={coupon}&default_tax_rates[0]={rate}");
    let sub = id(&bench.subscribe(&customer, 9_999, "month", &more).await);
    // Mid-month to twice the price: half of both counts, invoiced with the next renewal.
    bench.clock("2026-04-16T00:00:00Z").await;
    let product = id(&bench.post("/v1/products", "name=Scale").await);
    let change = format!(
        "items[0][price_data][currency]=usd&items[0][price_data][unit_amount]=19998\
         &items[0][price_data][recurring][interval]=month&items[0][price_data][product]={product}"
    );
    bench.post(&format!("/v1/subscriptions/{sub}"), &change).await;
    bench.clock("2026-07-02T00:00:00Z").await;
    let all = bench.get(&format!("/v1/invoices?subscription={sub}&limit=100")).await;
    let all = all["data"].as_array().unwrap();
    assert_eq!(all.len(), 4);
    let path = format!("/v1/subscriptions?customer={customer}&expand[]=data.discounts&expand[]=data.customer");
    let expanded = &bench.get(&path).await["data"][0];
    assert_eq!((&expanded["customer"]["email"], &expanded["discounts"]), (&json!("ada@client.example"), &json!([])));
    let sum =
        |values: &Value| values.as_array().unwrap().iter().map(|part| part["amount"].as_i64().unwrap()).sum::<i64>();
    for invoice in all {
        let number = |name: &str| invoice[name].as_i64().unwrap();
        assert_eq!(sum(&invoice["lines"]["data"]), number("subtotal"));
        assert_eq!(number("total_excluding_tax"), number("subtotal") - sum(&invoice["total_discount_amounts"]));
        assert_eq!(number("total"), number("total_excluding_tax") + sum(&invoice["total_taxes"]));
        assert_eq!(number("amount_paid"), number("total"));
    }
    let total = |index: usize| all[index]["total"].as_i64().unwrap();
    // 99.99 − 12.5 % = 87.49; + 8.25 % = 94.71.
    assert_eq!(total(3), 9_471);
    // In May the line of 199.98 and a net proration of 49.99 or 50.00; the discount still runs.
    let may = &all[2]["lines"]["data"];
    let amounts: Vec<i64> = may.as_array().unwrap().iter().map(|line| line["amount"].as_i64().unwrap()).collect();
    assert_eq!(amounts, [-5_000, 9_999, 19_998]);
    assert_eq!(may[0]["parent"]["subscription_item_details"]["proration"], true);
    // In July the two discounted months are over: 199.98 + 8.25 %.
    assert_eq!(total(0), 21_648);
    assert_eq!(all[0]["total_discount_amounts"], json!([]));
}

#[tokio::test]
async fn a_change_of_interval_starts_a_new_period_and_credit_is_kept() {
    let bench = Bench::start("2026-04-01T00:00:00Z").await;
    let customer = bench.customer().await;
    let sub = id(&bench.subscribe(&customer, 120_000, "year", "").await);
    bench.clock("2026-10-01T00:00:00Z").await;
    let product = id(&bench.post("/v1/products", "name=Monthly").await);
    let change = format!(
        "items[0][price_data][currency]=usd&items[0][price_data][unit_amount]=10000\
         &items[0][price_data][recurring][interval]=month&items[0][price_data][product]={product}"
    );
    let changed = bench.post(&format!("/v1/subscriptions/{sub}"), &change).await;
    assert_eq!(changed["items"]["data"][0]["current_period_end"].as_i64(), Some(at("2026-11-01T00:00:00Z")));
    // 182 of 365 days are unused: 598.36 back against 100.00; the rest is the customer's credit.
    let credit = bench.get(&format!("/v1/customers/{customer}")).await["balance"].as_i64().unwrap();
    assert_eq!(credit, 10_000 - 59_836);
    bench.clock("2026-11-02T00:00:00Z").await;
    let newest = &bench.get(&format!("/v1/invoices?subscription={sub}&limit=1")).await["data"][0];
    assert_eq!((newest["total"].as_i64(), newest["amount_paid"].as_i64()), (Some(10_000), Some(0)));
    assert_eq!(newest["ending_balance"].as_i64(), Some(credit + 10_000));
}

#[tokio::test]
async fn money_goes_back_by_refund_and_by_dispute() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let receiver = Receiver::start().await;
    bench.deliver_to(&receiver).await;
    let customer = bench.customer().await;
    bench.subscribe(&customer, 50_000, "month", "").await;
    bench.clock("2026-03-02T00:00:00Z").await;
    let charges = bench.get(&format!("/v1/charges?customer={customer}")).await;
    let charge = id(&charges["data"][0]);
    let intent = charges["data"][0]["payment_intent"].as_str().unwrap();

    let part = bench.post("/v1/refunds", &format!("charge={charge}&amount=12000&reason=requested_by_customer")).await;
    assert_eq!((part["amount"].as_i64(), part["status"].as_str()), (Some(12_000), Some("succeeded")));
    let more = bench.call("POST", "/v1/refunds", &format!("payment_intent={intent}&amount=38001"), None).await;
    assert_eq!((more.status, more.body["error"]["param"].as_str()), (400, Some("amount")));
    let rest = bench.post("/v1/refunds", &format!("payment_intent={intent}")).await;
    assert_eq!(rest["amount"], 38_000);
    let again = bench.call("POST", "/v1/refunds", &format!("charge={charge}"), None).await;
    assert_eq!(again.code(), "charge_already_refunded");
    bench.control(&format!("/_control/refunds/{}/fail", id(&rest)), json!({})).await;
    let refunded: Vec<(i64, bool)> = receiver
        .of("charge.refunded")
        .iter()
        .map(|event| &event["data"]["object"])
        .map(|charge| (charge["amount_refunded"].as_i64().unwrap(), charge["refunded"].as_bool().unwrap()))
        .collect();
    assert_eq!(refunded, [(12_000, false), (50_000, true)]);
    assert_eq!(receiver.of("refund.created").len(), 2);
    assert_eq!(receiver.of("refund.failed").len(), 1);
    assert_eq!(bench.get(&format!("/v1/charges/{charge}")).await["amount_refunded"], 12_000);

    let invoices = bench.get(&format!("/v1/invoices?customer={customer}")).await;
    let before = available(&bench).await;
    let dispute = bench.control("/_control/disputes", json!({ "invoice": invoices["data"][1]["id"] })).await;
    assert_eq!((dispute["amount"].as_i64(), dispute["status"].as_str()), (Some(50_000), Some("needs_response")));
    assert_eq!(available(&bench).await, before - 50_000 - 1_500);
    let blocked =
        bench.call("POST", "/v1/refunds", &format!("charge={}", dispute["charge"].as_str().unwrap()), None).await;
    assert_eq!(blocked.code(), "charge_disputed");
    let path = format!("/_control/disputes/{}/close", id(&dispute));
    bench.control(&path, json!({ "outcome": "won" })).await;
    assert_eq!(available(&bench).await, before - 1_500);
    assert_eq!(bench.try_control(&path, json!({ "outcome": "lost" })).await.0, 400);
    let other =
        bench.control("/_control/disputes", json!({ "invoice": invoices["data"][2]["id"], "amount": 7_000 })).await;
    bench.control(&format!("/_control/disputes/{}/close", id(&other)), json!({ "outcome": "lost" })).await;
    let outcomes: Vec<Value> =
        receiver.of("charge.dispute.closed").iter().map(|event| event["data"]["object"]["status"].clone()).collect();
    assert_eq!(outcomes, [json!("won"), json!("lost")]);
    assert_eq!(receiver.of("charge.dispute.created").len(), 2);
    assert_eq!(available(&bench).await, before - 1_500 - 7_000 - 1_500);

    // The balance is the sum of its transactions, whatever happened.
    bench.control("/_control/balance", json!({ "available_minor": 30_000 })).await;
    let account = bench.payable_account().await;
    let transfer = id(&bench.post("/v1/transfers", &format!("amount=20000&currency=usd&destination={account}")).await);
    bench.post(&format!("/v1/transfers/{transfer}/reversals"), "amount=123").await;
    let booked = bench.get("/v1/balance_transactions?limit=100").await;
    let sum = booked["data"].as_array().unwrap().iter().map(|booked| booked["net"].as_i64().unwrap()).sum::<i64>();
    let balance = bench.get("/v1/balance").await;
    assert_eq!(sum, 10_123 + balance["pending"][0]["amount"].as_i64().unwrap());
    assert_eq!(balance["available"][0]["amount"], 10_123);
}

async fn available(bench: &Bench) -> i64 {
    bench.get("/v1/balance").await["available"][0]["amount"].as_i64().unwrap()
}
