//! What somebody does by hand: payments without an invoice, invoices, credit notes, inquiries, the platform's payouts.

use serde_json::{Value, json};

use crate::support::{Answer, Bench, Receiver, id};

/// A draft of $20.00 and -$5.00 for a customer.
async fn draft(bench: &Bench, customer: &str) -> Value {
    for amount in ["2000", "-500"] {
        bench.post("/v1/invoiceitems", &format!("customer={customer}&amount={amount}&currency=usd")).await;
    }
    bench.post("/v1/invoices", &format!("customer={customer}&pending_invoice_items_behavior=include")).await
}

async fn refused(bench: &Bench, path: &str, form: &str) -> (u16, String) {
    let answer: Answer = bench.call("POST", path, form, None).await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test]
async fn a_payment_is_pending_or_available_by_its_test_card() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let pay = async |card: &str| {
        let form = format!("amount=10000&currency=usd&confirm=true&payment_method={card}&payment_method_types[0]=card");
        bench.post("/v1/payment_intents", &form).await
    };
    let paid = pay("pm_card_visa").await;
    assert_eq!((&paid["status"], &paid["amount_received"]), (&json!("succeeded"), &json!(10_000)));
    assert_eq!(bench.cents().await, (0, 9_680));
    pay("pm_card_bypassPending").await;
    assert_eq!(bench.cents().await, (9_680, 9_680));
    bench.clock("2026-01-04T00:00:00Z").await;
    assert_eq!(bench.cents().await, (19_360, 0));
    let again = format!("/v1/payment_intents/{}", id(&paid));
    assert_eq!(refused(&bench, &format!("{again}/confirm"), "").await.1, "payment_intent_unexpected_state");
    assert_eq!(refused(&bench, &format!("{again}/cancel"), "").await.1, "payment_intent_unexpected_state");

    let open = bench.post("/v1/payment_intents", "amount=500&currency=usd").await;
    assert_eq!(open["status"], "requires_payment_method");
    let path = format!("/v1/payment_intents/{}", id(&open));
    assert_eq!(refused(&bench, &format!("{path}/confirm"), "").await.1, "payment_intent_unexpected_state");
    assert_eq!(
        refused(&bench, &format!("{path}/confirm"), "payment_method=pm_card_chargeDeclined").await,
        (400, "parameter_invalid".into())
    );
    let canceled = bench.post(&format!("{path}/cancel"), "cancellation_reason=abandoned").await;
    assert_eq!((&canceled["status"], &canceled["latest_charge"]), (&json!("canceled"), &Value::Null));
    assert_eq!(bench.cents().await, (19_360, 0), "what was not paid is not booked");
}

#[tokio::test]
async fn an_inquiry_takes_no_money_and_a_dispute_does() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    bench.control("/_control/balance", json!({ "available_minor": 50_000 })).await;
    for (card, status, taken, closed) in [
        ("pm_card_createDisputeInquiry", "warning_needs_response", 0, "warning_closed"),
        ("pm_card_createDispute", "needs_response", 11_500, "lost"),
    ] {
        let (before, _) = bench.cents().await;
        let form = format!("amount=10000&currency=usd&confirm=true&payment_method={card}");
        let intent = bench.post("/v1/payment_intents", &form).await;
        let dispute = bench.get(&format!("/v1/disputes?payment_intent={}", id(&intent))).await["data"][0].clone();
        assert_eq!((dispute["status"].as_str(), bench.cents().await.0), (Some(status), before - taken), "{card}");
        let charge = bench.get(&format!("/v1/charges/{}", dispute["charge"].as_str().unwrap())).await;
        assert_eq!(charge["disputed"], json!(true));
        let ended = bench.post(&format!("/v1/disputes/{}/close", id(&dispute)), "").await;
        assert_eq!((ended["status"].as_str(), bench.cents().await.0), (Some(closed), before - taken), "{card}");
        assert_eq!(
            refused(&bench, &format!("/v1/disputes/{}/close", id(&dispute)), "").await.1,
            "dispute_closed",
            "{card}"
        );
    }
}

#[tokio::test]
async fn an_invoice_by_hand_is_drafted_finalized_and_paid_once() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let receiver = Receiver::start().await;
    bench.deliver_to(&receiver).await;
    let customer = bench.customer().await;
    let invoice = draft(&bench, &customer).await;
    assert_eq!(
        (&invoice["status"], &invoice["total"], &invoice["number"]),
        (&json!("draft"), &json!(1_500), &Value::Null)
    );
    assert_eq!(invoice["lines"]["data"].as_array().unwrap().len(), 2);
    let second =
        bench.post("/v1/invoices", &format!("customer={customer}&pending_invoice_items_behavior=include")).await;
    assert_eq!(second["total"], 0, "an item is on one invoice only");

    let path = format!("/v1/invoices/{}", id(&invoice));
    assert_eq!(refused(&bench, &format!("{path}/void"), "").await.1, "invoice_not_editable");
    let paid = bench.post(&format!("{path}/pay"), "").await;
    assert_eq!(
        (&paid["status"], &paid["amount_paid"], &paid["amount_remaining"]),
        (&json!("paid"), &json!(1_500), &json!(0))
    );
    assert_eq!(refused(&bench, &format!("{path}/pay"), "").await.1, "invoice_not_editable");
    assert_eq!(bench.cents().await.1, 1_500 - 74, "once");
    let payments = bench.get(&format!("/v1/invoice_payments?invoice={}", id(&invoice))).await;
    assert_eq!(payments["data"][0]["amount_paid"], 1_500);
    bench.control("/_clock", json!({})).await;
    let kinds = receiver.kinds();
    let of_invoice: Vec<&String> = kinds.iter().filter(|kind| kind.starts_with("invoice.")).collect();
    assert_eq!(
        of_invoice,
        ["invoice.created", "invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"]
    );
    let nothing = bench.post(&format!("/v1/invoices/{}/finalize", id(&second)), "").await;
    assert_eq!((&nothing["status"], &nothing["amount_paid"]), (&json!("paid"), &json!(0)), "nothing is owed");
    assert_eq!(bench.cents().await.1, 1_500 - 74);
}

#[tokio::test]
async fn credit_notes_lower_an_open_invoice_and_credit_a_paid_one() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let customer = bench.customer().await;
    let note = |invoice: &str, unit: i64, more: &str| {
        format!(
            "invoice={invoice}&lines[0][type]=custom_line_item&lines[0][unit_amount]={unit}&lines[0][quantity]=2{more}"
        )
    };
    let open = id(&draft(&bench, &customer).await);
    assert_eq!(refused(&bench, "/v1/credit_notes", &note(&open, 1, "")).await.1, "invoice_not_editable", "a draft");
    bench.post(&format!("/v1/invoices/{open}/finalize"), "").await;
    assert_eq!(refused(&bench, "/v1/credit_notes", &note(&open, 751, "")).await.1, "amount_too_large");
    assert_eq!(refused(&bench, "/v1/credit_notes", &note(&open, 1, "&credit_amount=2")).await.1, "parameter_invalid");
    let first = bench.post("/v1/credit_notes", &note(&open, 100, "")).await;
    assert_eq!((&first["type"], &first["pre_payment_amount"]), (&json!("pre_payment"), &json!(200)));
    let owed = async || bench.get(&format!("/v1/invoices/{open}")).await["amount_remaining"].as_i64().unwrap();
    assert_eq!(owed().await, 1_300);
    bench.post(&format!("/v1/credit_notes/{}/void", id(&first)), "").await;
    assert_eq!(owed().await, 1_500);
    assert_eq!(refused(&bench, &format!("/v1/credit_notes/{}/void", id(&first)), "").await.1, "credit_note_void");
    bench.post("/v1/credit_notes", &note(&open, 750, "")).await;
    let settled = bench.get(&format!("/v1/invoices/{open}")).await;
    assert_eq!((&settled["status"], &settled["amount_paid"]), (&json!("paid"), &json!(0)), "nothing is left to pay");

    let paid = id(&draft(&bench, &customer).await);
    bench.post(&format!("/v1/invoices/{paid}/pay"), "").await;
    assert_eq!(refused(&bench, "/v1/credit_notes", &note(&paid, 100, "")).await.1, "parameter_invalid", "where to?");
    let both = bench.post("/v1/credit_notes", &note(&paid, 100, "&credit_amount=150&out_of_band_amount=50")).await;
    assert_eq!((&both["type"], &both["out_of_band_amount"]), (&json!("post_payment"), &json!(50)));
    assert_eq!(bench.get(&format!("/v1/customers/{customer}")).await["balance"], -150);
    assert_eq!(
        refused(&bench, "/v1/credit_notes", &note(&paid, 651, "&credit_amount=1302")).await.1,
        "amount_too_large"
    );

    let later = id(&draft(&bench, &customer).await);
    let finalized = bench.post(&format!("/v1/invoices/{later}/finalize"), "").await;
    assert_eq!((&finalized["starting_balance"], &finalized["amount_due"]), (&json!(-150), &json!(1_350)));
    bench.post(&format!("/v1/invoices/{later}/void"), "").await;
    assert_eq!(bench.get(&format!("/v1/customers/{customer}")).await["balance"], -150, "the credit comes back");
}

#[tokio::test]
async fn the_platforms_own_payout_leaves_its_balance_at_once_and_arrives_later() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let receiver = Receiver::start().await;
    bench.deliver_to(&receiver).await;
    bench.control("/_control/balance", json!({ "available_minor": 5_000 })).await;
    assert_eq!(refused(&bench, "/v1/payouts", "amount=5001&currency=usd").await.1, "balance_insufficient");
    let payout = bench.post("/v1/payouts", "amount=2000&currency=usd").await;
    assert_eq!((&payout["automatic"], &payout["status"]), (&json!(false), &json!("pending")));
    assert_eq!(bench.cents().await.0, 3_000);
    bench.clock("2026-01-04T00:00:00Z").await;
    let arrived = receiver.of("payout.paid");
    assert_eq!((&arrived[0]["data"]["object"]["id"], arrived[0].get("account")), (&payout["id"], None));
    assert_eq!(bench.cents().await.0, 3_000);
}
