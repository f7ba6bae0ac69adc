//! Accounts, onboarding, transfers, reversals, payouts.

use serde_json::{Value, json};

use crate::support::{Bench, Receiver, id};

#[tokio::test]
async fn an_agency_onboards_and_is_paid_to_its_bank() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let receiver = Receiver::start().await;
    bench.deliver_to(&receiver).await;
    let form = "type=express&country=US&capabilities[transfers][requested]=true&metadata[partner]=AGENCY42";
    let account = bench.post("/v1/accounts", form).await;
    let acct = id(&account);
    assert_eq!(account["capabilities"]["transfers"], "inactive");
    assert!(!account["requirements"]["currently_due"].as_array().unwrap().is_empty());

    let form = format!(
        "account={acct}&type=account_onboarding&refresh_url=http://127.0.0.1/again&return_url=http://127.0.0.1/done"
    );
    let url = bench.post("/v1/account_links", &form).await["url"].as_str().unwrap().to_owned();
    let page = bench.http.get(&url).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("Finish onboarding"));
    let second = bench.http.get(&url).send().await.unwrap();
    assert_eq!(second.headers()["location"], "http://127.0.0.1/again", "a link opens once");
    let done = bench.http.post(&url).send().await.unwrap();
    assert_eq!((done.status().as_u16(), done.headers()["location"].to_str().unwrap()), (303, "http://127.0.0.1/done"));
    let again = bench.http.post(&url).send().await.unwrap();
    assert_eq!(again.headers()["location"], "http://127.0.0.1/again", "a link finishes once");
    let expired = bench.post("/v1/account_links", &form).await["url"].as_str().unwrap().to_owned();
    bench.clock("2026-01-01T00:10:00Z").await;
    let late = bench.http.get(&expired).send().await.unwrap();
    assert_eq!(late.headers()["location"], "http://127.0.0.1/again", "a link lives five minutes");

    let account = bench.get(&format!("/v1/accounts/{acct}")).await;
    assert_eq!(account["capabilities"]["transfers"], "active");
    assert_eq!(
        (account["payouts_enabled"].as_bool(), account["details_submitted"].as_bool()),
        (Some(true), Some(true))
    );
    assert_eq!(account["requirements"]["currently_due"], json!([]));

    bench.control("/_control/balance", json!({ "available_minor": 100_000 })).await;
    let form =
        format!("amount=40000&currency=usd&destination={acct}&transfer_group=g1&metadata[item]=i1&description=October");
    let transfer = bench.post("/v1/transfers", &form).await;
    assert_eq!(bench.get("/v1/balance").await["available"][0]["amount"], 60_000);
    let reversal = bench.post(&format!("/v1/transfers/{}/reversals", id(&transfer)), "amount=15000").await;
    assert_eq!(reversal["transfer"], transfer["id"]);
    assert_eq!(bench.get("/v1/balance").await["available"][0]["amount"], 75_000);
    let too_much =
        bench.call("POST", &format!("/v1/transfers/{}/reversals", id(&transfer)), "amount=25001", None).await;
    assert_eq!((too_much.status, too_much.body["error"]["param"].as_str()), (400, Some("amount")));

    bench.clock("2026-01-02T00:00:00Z").await;
    assert!(receiver.of("payout.paid").is_empty());
    bench.clock("2026-01-04T00:00:00Z").await;
    let landed = receiver.of("payout.paid");
    assert_eq!(landed.len(), 1);
    assert_eq!((landed[0]["data"]["object"]["amount"].as_i64(), &landed[0]["account"]), (Some(25_000), &json!(acct)));
    let gone = bench.call("POST", &format!("/v1/transfers/{}/reversals", id(&transfer)), "", None).await;
    assert_eq!(gone.code(), "balance_insufficient", "what has reached the bank cannot be taken back");

    for received in receiver.events() {
        let connected = received.event.get("account").is_some();
        assert_eq!(received.door == "connect", connected, "{}", received.kind());
    }
    assert_eq!(receiver.of("capability.updated")[0]["data"]["object"]["status"], "active");
    assert_eq!(receiver.of("account.updated").len(), 1);
    let payouts = bench.of_account(&acct, "/v1/payouts").await;
    assert_eq!(payouts["data"][0]["amount"], 25_000);
    let of = |id: &str| format!("/v1/balance_transactions?payout={id}&expand[]=data.source");
    let first = bench.of_account(&acct, &of(&id(&payouts["data"][0]))).await;
    let kinds = |list: &serde_json::Value| -> Vec<(String, i64)> {
        let mut all: Vec<_> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (e["type"].as_str().unwrap().to_owned(), e["amount"].as_i64().unwrap()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(
        kinds(&first),
        [("payment".into(), 40_000), ("payment_refund".into(), -15_000), ("payout".into(), -25_000)]
    );
    let payment = first["data"].as_array().unwrap().iter().find(|e| e["type"] == "payment").unwrap();
    assert_eq!(payment["source"]["source_transfer"], transfer["id"]);

    // The bank refuses the next one. The money is in the account again, and goes on when the bank account is corrected.
    bench.control(&format!("/_control/accounts/{acct}"), json!({"refuse_payout": "account_closed"})).await;
    let form = format!("amount=700&currency=usd&destination={acct}");
    let second = bench.post("/v1/transfers", &form).await;
    bench.clock("2026-01-07T00:00:00Z").await;
    let refused = receiver.of("payout.failed");
    assert_eq!(refused[0]["data"]["object"]["failure_code"], "account_closed");
    let account = bench.get(&format!("/v1/accounts/{acct}")).await;
    assert_eq!(
        (&account["payouts_enabled"], &account["requirements"]["currently_due"][0]),
        (&json!(false), &json!("external_account"))
    );
    assert_eq!(bench.of_account(&acct, "/v1/balance").await["available"][0]["amount"], 700);
    bench.control(&format!("/_control/accounts/{acct}"), json!({"payouts_enabled": true, "requirements": []})).await;
    bench.clock("2026-01-10T00:00:00Z").await;
    let payouts = bench.of_account(&acct, "/v1/payouts").await;
    assert_eq!((&payouts["data"][0]["status"], &payouts["data"][1]["status"]), (&json!("paid"), &json!("failed")));
    let again = bench.of_account(&acct, &of(&id(&payouts["data"][0]))).await;
    assert_eq!(kinds(&again), [("payout".into(), -700), ("payout_failure".into(), 700)]);
    let failed = bench.of_account(&acct, &of(&id(&payouts["data"][1]))).await;
    assert_eq!(
        failed["data"].as_array().unwrap().iter().find(|e| e["type"] == "payment").unwrap()["source"]["source_transfer"],
        second["id"]
    );
    assert_eq!(bench.get("/v1/payouts").await["data"], json!([]), "the platform itself has none");
}

#[tokio::test]
async fn a_transfer_is_a_payment_in_its_destination_and_a_reversal_a_refund_there() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let (acct, other) = (bench.payable_account().await, bench.payable_account().await);
    bench.control("/_control/balance", json!({ "available_minor": 10_000 })).await;
    let transfer = bench.post("/v1/transfers", &format!("amount=4000&currency=usd&destination={acct}")).await;
    let reversal = bench.post(&format!("/v1/transfers/{}/reversals", id(&transfer)), "amount=1500").await;

    let payment = transfer["destination_payment"].as_str().unwrap();
    let charge = bench.of_account(&acct, &format!("/v1/charges/{payment}")).await;
    assert_eq!((&charge["id"], &charge["source_transfer"]), (&json!(payment), &transfer["id"]));
    assert_eq!((&charge["amount"], &charge["amount_refunded"]), (&json!(4_000), &json!(1_500)));
    assert_eq!(charge["refunded"], json!(false));
    for (account, path) in [
        (&other, format!("/v1/charges/{payment}")),
        (&acct, format!("/v1/charges/{payment}x")),
        (&other, format!("/v1/balance_transactions/{}", charge["balance_transaction"].as_str().unwrap())),
    ] {
        let answer = bench.of_account(account, &path).await;
        assert_eq!(answer["error"]["code"], "resource_missing", "{path}");
    }
    let platform = bench.call("GET", &format!("/v1/charges/{payment}"), "", None).await;
    assert_eq!(platform.status, 404, "it is the destination's");
    let refund = reversal["destination_payment_refund"].as_str().unwrap();
    let refund = bench.of_account(&acct, &format!("/v1/refunds/{refund}")).await;
    assert_eq!((&refund["charge"], &refund["amount"]), (&json!(payment), &json!(1_500)));
    assert_eq!(refund["source_transfer_reversal"], reversal["id"]);

    let list = |query: &str| format!("/v1/balance_transactions?{query}");
    let types =
        |list: &Value| -> Vec<Value> { list["data"].as_array().unwrap().iter().map(|e| e["type"].clone()).collect() };
    for (query, wanted) in [
        ("limit=10".to_owned(), json!(["payment_refund", "payment"])),
        ("type=payment".to_owned(), json!(["payment"])),
        (format!("source={payment}"), json!(["payment"])),
        ("created[gte]=1767225600".to_owned(), json!(["payment_refund", "payment"])),
        ("created[gt]=1767225600".to_owned(), json!([])),
        (format!("starting_after={}", refund["balance_transaction"].as_str().unwrap()), json!(["payment"])),
        ("payout=po_none".to_owned(), json!([])),
    ] {
        assert_eq!(json!(types(&bench.of_account(&acct, &list(&query)).await)), wanted, "{query}");
    }
    assert_eq!(types(&bench.of_account(&other, &list("limit=10")).await), Vec::<Value>::new());
    let deep = bench.of_account(&acct, &list("expand[]=data.source.source_transfer")).await;
    assert_eq!(deep["data"][1]["source"]["source_transfer"]["id"], transfer["id"]);
    assert_eq!(deep["data"][0]["source"]["id"], refund["id"], "a refund has no such property, and is shown without");
}

#[tokio::test]
async fn a_bank_refuses_what_was_paid_five_days_ago() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let receiver = Receiver::start().await;
    bench.deliver_to(&receiver).await;
    let acct = bench.payable_account().await;
    let steer = format!("/_control/accounts/{acct}");
    bench.control("/_control/balance", json!({ "available_minor": 10_000 })).await;
    bench.control(&steer, json!({ "refuse_payout": "no_account", "refuse_after_days": 5 })).await;
    bench.post("/v1/transfers", &format!("amount=900&currency=usd&destination={acct}")).await;
    let seen = || -> Vec<String> { receiver.kinds().into_iter().filter(|kind| kind.starts_with("payout.")).collect() };
    bench.clock("2026-01-07T00:00:00Z").await;
    assert_eq!(seen(), ["payout.created", "payout.reconciliation_completed", "payout.paid"]);
    assert_eq!(bench.of_account(&acct, "/v1/balance").await["available"][0]["amount"], 0);

    bench.clock("2026-01-08T00:00:00Z").await;
    let failed = &receiver.of("payout.failed")[0];
    let payout = &failed["data"]["object"];
    assert_eq!(
        (&payout["status"], &payout["failure_code"], &failed["account"]),
        (&json!("failed"), &json!("no_account"), &json!(acct))
    );
    assert_eq!(failed["data"]["previous_attributes"]["status"], "paid");
    let back = payout["failure_balance_transaction"].as_str().unwrap();
    let back = bench.of_account(&acct, &format!("/v1/balance_transactions/{back}")).await;
    assert_eq!(
        (&back["type"], &back["amount"], &back["source"]),
        (&json!("payout_failure"), &json!(900), &payout["id"])
    );
    assert_eq!(bench.of_account(&acct, &format!("/v1/payouts/{}", id(payout))).await["status"], "failed");
    assert_eq!(bench.of_account(&acct, "/v1/balance").await["available"][0]["amount"], 900);

    bench.control(&format!("{steer}/onboard"), json!({})).await;
    bench.clock("2026-01-20T00:00:00Z").await;
    assert_eq!(receiver.of("payout.paid").len(), 2, "the money goes on, and is refused once");
    assert_eq!(bench.of_account(&acct, "/v1/balance").await["available"][0]["amount"], 0);
    let (status, _) = bench.try_control(&steer, json!({ "refuse_payout": "bad_mood" })).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn transfers_are_refused_for_the_reasons_that_stripe_gives() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let ready = bench.payable_account().await;
    let waiting =
        id(&bench.post("/v1/accounts", "type=express&country=DE&capabilities[transfers][requested]=true").await);
    bench.control("/_control/balance", json!({ "available_minor": 1_000 })).await;
    let table = [
        (format!("amount=1001&currency=usd&destination={ready}"), 400, "balance_insufficient", None),
        (format!("amount=1&currency=eur&destination={ready}"), 400, "balance_insufficient", None),
        (format!("amount=1&currency=usd&destination={waiting}"), 400, "insufficient_capabilities_for_transfer", None),
        ("amount=1&currency=usd&destination=acct_0".to_owned(), 400, "resource_missing", Some("destination")),
        (format!("currency=usd&destination={ready}"), 400, "parameter_missing", Some("amount")),
        (format!("amount=0&currency=usd&destination={ready}"), 400, "parameter_invalid_integer", Some("amount")),
        (format!("amount=-5&currency=usd&destination={ready}"), 400, "parameter_invalid_integer", Some("amount")),
        (format!("amount=1.5&currency=usd&destination={ready}"), 400, "parameter_invalid_integer", Some("amount")),
        (format!("amount=1&destination={ready}"), 400, "parameter_missing", Some("currency")),
        (format!("amount=1&currency=usd&destination={ready}&colour=red"), 400, "parameter_unknown", Some("colour")),
    ];
    for (form, status, code, param) in table {
        let answer = bench.call("POST", "/v1/transfers", &form, None).await;
        assert_eq!(
            (answer.status, answer.code(), answer.body["error"]["param"].as_str()),
            (status, code, param),
            "{form}"
        );
        assert!(answer.headers.contains_key("request-id"));
    }
    assert_eq!(bench.transfers().await, 0);
    let paused = bench
        .control(
            &format!("/_control/accounts/{ready}"),
            json!({ "transfers": "inactive", "requirements": ["individual.verification.document"] }),
        )
        .await;
    assert_eq!(paused["requirements"]["currently_due"], json!(["individual.verification.document"]));
    let answer = bench.call("POST", "/v1/transfers", &format!("amount=1&currency=usd&destination={ready}"), None).await;
    assert_eq!(answer.code(), "insufficient_capabilities_for_transfer");
}

#[tokio::test]
async fn lists_page_through_everything_once() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let account = bench.payable_account().await;
    bench.control("/_control/balance", json!({ "available_minor": 1_000_000 })).await;
    for number in 0..23 {
        let group = if number % 2 == 0 { "even" } else { "odd" };
        bench
            .post(
                "/v1/transfers",
                &format!("amount={}&currency=usd&destination={account}&transfer_group={group}", number + 1),
            )
            .await;
    }
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = bench.get(&format!("/v1/transfers?limit=5&transfer_group=even{after}")).await;
        for transfer in page["data"].as_array().unwrap() {
            seen.push(transfer["amount"].as_i64().unwrap());
            after = format!("&starting_after={}", id(transfer));
        }
        if page["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(seen, (0..12).map(|number| 23 - 2 * number).collect::<Vec<i64>>());
    assert_eq!(
        bench.get(&format!("/v1/transfers?destination={account}&limit=100")).await["data"].as_array().unwrap().len(),
        23
    );
    assert_eq!(bench.get("/v1/transfers?transfer_group=none").await["data"], json!([]));
    let future = bench.get("/v1/transfers?created[gt]=1767225600").await;
    assert_eq!(future["data"], json!([]), "nothing was created after the clock's instant");
    for (query, param) in
        [("limit=0", "limit"), ("limit=101", "limit"), ("starting_after=tr_0", "starting_after"), ("x=1", "x")]
    {
        let answer = bench.call("GET", &format!("/v1/transfers?{query}"), "", None).await;
        assert_eq!((answer.status, answer.body["error"]["param"].as_str()), (400, Some(param)), "{query}");
    }
}
