//! Keys, idempotency and broken answers.

use serde_json::json;

use crate::support::{Bench, id};

async fn ready() -> (Bench, String) {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let account = bench.payable_account().await;
    bench.control("/_control/balance", json!({ "available_minor": 1_000 })).await;
    let form = format!("amount=100&currency=usd&destination={account}");
    (bench, form)
}

#[tokio::test]
async fn only_test_keys_are_taken() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    for (header, status) in [
        (None, 401),
        (Some("Bearer nonsense"), 401),
        (Some("Bearer sk_live_1"), 401),
        (Some("Bearer sk_test_1"), 200),
        (Some("Bearer rk_test_1"), 200),
    ] {
        let mut request = bench.http.get(format!("{}/v1/balance", bench.base));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{header:?}");
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body.get("error").is_some(), status == 401);
    }
    let foreign = bench.request("GET", "/v1/balance").header("host", "evil.example").send().await.unwrap();
    assert_eq!(foreign.status().as_u16(), 421);
    let unknown = bench.call("GET", "/v1/nonsense", "", None).await;
    assert_eq!((unknown.status, unknown.kind()), (404, "invalid_request_error"));
}

#[tokio::test]
async fn a_key_answers_as_it_first_did_for_a_day() {
    let (bench, form) = ready().await;
    let first = bench.call("POST", "/v1/transfers", &form, Some("k")).await;
    let second = bench.call("POST", "/v1/transfers", &form, Some("k")).await;
    assert_eq!((first.replayed(), second.replayed()), (false, true));
    assert_eq!(first.body, second.body);
    assert_eq!(second.headers["original-request"], first.headers["request-id"]);
    let other = bench.call("POST", "/v1/transfers", &form.replace("100", "101"), Some("k")).await;
    assert_eq!((other.status, other.kind()), (400, "idempotency_error"));
    assert_eq!(bench.transfers().await, 1);
    bench.clock("2026-01-01T23:59:59Z").await;
    assert!(bench.call("POST", "/v1/transfers", &form, Some("k")).await.replayed());
    bench.clock("2026-01-02T00:00:00Z").await;
    let pruned = bench.call("POST", "/v1/transfers", &form, Some("k")).await;
    assert!(!pruned.replayed() && pruned.status == 200, "after a day the same key pays again");
    assert_eq!(bench.transfers().await, 2);
}

#[tokio::test]
async fn refusals_are_remembered_and_bad_parameters_are_not() {
    let (bench, form) = ready().await;
    let dear = form.replace("amount=100", "amount=1001");
    assert_eq!(bench.call("POST", "/v1/transfers", &dear, Some("dear")).await.code(), "balance_insufficient");
    bench.control("/_control/balance", json!({ "available_minor": 5_000 })).await;
    let again = bench.call("POST", "/v1/transfers", &dear, Some("dear")).await;
    assert_eq!(
        (again.code(), again.replayed()),
        ("balance_insufficient", true),
        "a definite refusal stays under its key"
    );
    assert_eq!(bench.call("POST", "/v1/transfers", &dear, Some("fresh")).await.status, 200);
    let bad = bench.call("POST", "/v1/transfers", &form.replace("100", "x"), Some("bad")).await;
    assert_eq!(bad.code(), "parameter_invalid_integer");
    let corrected = bench.call("POST", "/v1/transfers", &form, Some("bad")).await;
    assert_eq!((corrected.status, corrected.replayed()), (200, false), "refused parameters leave the key free");
}

#[tokio::test]
async fn a_key_in_use_is_a_conflict() {
    let (bench, form) = ready().await;
    bench.control("/_control/faults", json!({ "next_transfer": "delay", "delay_ms": 600 })).await;
    let slow = bench.call("POST", "/v1/transfers", &form, Some("k"));
    let meanwhile = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        bench.call("POST", "/v1/transfers", &form, Some("k")).await
    };
    let (slow, meanwhile) = tokio::join!(slow, meanwhile);
    assert_eq!((slow.status, meanwhile.status, meanwhile.code()), (200, 409, "idempotency_key_in_use"));
    let after = bench.call("POST", "/v1/transfers", &form, Some("k")).await;
    assert_eq!((after.replayed(), id(&after.body)), (true, id(&slow.body)));
}

/// Each fault: what the client sees at first and on the same key again, and how many transfers there are after both.
#[tokio::test]
async fn every_fault_leaves_what_it_says() {
    let table = [
        ("error_500_before", Some(500), 500, 0),
        ("error_500_after", Some(500), 500, 1),
        ("rate_limit", Some(429), 200, 1),
        ("drop_before", None, 200, 1),
        ("drop_after", None, 200, 1),
        ("decode_garbage", Some(200), 200, 1),
        ("late_execution", Some(500), 500, 0),
    ];
    for (fault, first, second, transfers) in table {
        let (bench, form) = ready().await;
        bench.control("/_control/faults", json!({ "next_transfer": fault })).await;
        let form = format!("{form}&description=R\u{e9}f\u{e9}rences");
        let request = bench.request("POST", "/v1/transfers").header("idempotency-key", "k").body(form.clone());
        match (request.send().await, first) {
            (Ok(response), Some(status)) => {
                assert_eq!(response.status().as_u16(), status, "{fault}");
                let readable = response.json::<serde_json::Value>().await.is_ok();
                assert_eq!(readable, fault != "decode_garbage", "{fault}");
            }
            (Err(_), None) => {}
            (outcome, _) => panic!("{fault}: {outcome:?}"),
        }
        let again = bench.call("POST", "/v1/transfers", &form, Some("k")).await;
        assert_eq!(again.status, second, "{fault}");
        let replayed = !matches!(fault, "rate_limit" | "drop_before");
        assert_eq!(again.replayed(), replayed, "{fault}");
        assert_eq!(bench.transfers().await, transfers, "{fault}");
        if fault == "late_execution" {
            bench.clock("2026-01-01T01:00:00Z").await;
            assert_eq!(bench.transfers().await, 1, "it was carried out later");
        }
    }
}

#[tokio::test]
async fn lists_lag_when_told_to() {
    let (bench, form) = ready().await;
    bench.post("/v1/transfers", &format!("{form}&transfer_group=g")).await;
    bench.control("/_control/faults", json!({ "next_transfer_list": "list_lag", "count": 2 })).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(bench.get("/v1/transfers?transfer_group=g").await["data"].as_array().unwrap().len());
    }
    assert_eq!(seen, [0, 0, 1]);
    let (status, error) = bench.try_control("/_control/faults", json!({ "next_transfer": "meteor" })).await;
    assert_eq!((status, error["error"]["param"].as_str()), (400, Some("next_transfer")));
}
