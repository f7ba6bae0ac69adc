//! The answers decode with async-stripe's types, which fail on a single missing field.

use serde_json::json;
use stripe_client_core::{
    CustomizedStripeRequest, IdempotencyKey, RequestStrategy, StripeClient, StripeClientErr, StripeMethod,
    StripeRequest,
};
use stripe_connect::{
    account::{
        CreateAccount, CreateAccountCapabilities, CreateAccountCapabilitiesTransfers, CreateAccountType, ListAccount,
        RetrieveAccount,
    },
    transfer::{CreateTransfer, ListTransfer, RetrieveTransfer},
};
use stripe_core::balance::RetrieveForMyAccountBalance;
use stripe_types::Currency;

use crate::support::Bench;

#[derive(Debug)]
pub(crate) struct Failed(String);

impl StripeClientErr for Failed {
    fn deserialize_err(message: impl std::fmt::Display) -> Self {
        Failed(format!("The answer could not be decoded: {message}."))
    }
}

impl StripeClient for Bench {
    type Err = Failed;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<axum::body::Bytes, Failed> {
        let (request, config) = request.into_pieces();
        let method = match request.method {
            StripeMethod::Get => "GET",
            StripeMethod::Post => "POST",
            StripeMethod::Delete => "DELETE",
        };
        let query = request.query.map(|query| format!("?{query}")).unwrap_or_default();
        let mut call = self.request(method, &format!("/v1{}{query}", request.path));
        if let Some(body) = request.body {
            call = call.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        if let Some(RequestStrategy::Idempotent(key)) = config.request_strategy {
            call = call.header("idempotency-key", key.as_str());
        }
        let response = call.send().await.map_err(|error| Failed(error.to_string()))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| Failed(error.to_string()))?;
        if status.is_success() { Ok(bytes) } else { Err(Failed(String::from_utf8_lossy(&bytes).into_owned())) }
    }
}

#[tokio::test]
async fn async_stripe_reads_accounts_balances_and_transfers() {
    let bench = Bench::start("2026-01-01T00:00:00Z").await;
    let capabilities = CreateAccountCapabilities {
        transfers: Some(CreateAccountCapabilitiesTransfers { requested: Some(true) }),
        ..CreateAccountCapabilities::new()
    };
    let account = CreateAccount::new()
        .type_(CreateAccountType::Express)
        .country("US")
        .email("ops@agency.example")
        .capabilities(capabilities)
        .metadata([("partner".to_owned(), "AGENCY42".to_owned())])
        .customize()
        .request_strategy(RequestStrategy::Idempotent(IdempotencyKey::new("acct:AGENCY42").unwrap()))
        .send(&bench)
        .await
        .unwrap();
    assert_eq!(account.payouts_enabled, Some(false));
    bench.control(&format!("/_control/accounts/{}/onboard", account.id), json!({})).await;
    let account = RetrieveAccount::new(account.id).customize().send(&bench).await.unwrap();
    assert_eq!(account.payouts_enabled, Some(true));
    assert_eq!(account.external_accounts.unwrap().data.len(), 1);
    let platform = bench.get("/v1/account").await;
    assert_eq!(platform["settings"]["payouts"]["schedule"]["interval"], "manual");
    assert_eq!(ListAccount::new().customize().send(&bench).await.unwrap().data.len(), 1);

    bench.control("/_control/balance", json!({ "available_minor": 100_000 })).await;
    let balance = RetrieveForMyAccountBalance::new().customize().send(&bench).await.unwrap();
    assert_eq!((balance.available[0].amount, balance.available[0].currency.clone()), (100_000, Currency::USD));

    let transfer = CreateTransfer::new(Currency::USD, account.id.as_str())
        .amount(12_345)
        .transfer_group("aikit:test:item")
        .description("Commission of January")
        .metadata([("item".to_owned(), "item".to_owned())])
        .customize()
        .send(&bench)
        .await
        .unwrap();
    assert_eq!((transfer.amount, transfer.metadata["item"].as_str()), (12_345, "item"));
    bench.post(&format!("/v1/transfers/{}/reversals", transfer.id), "amount=45").await;
    let transfer = RetrieveTransfer::new(transfer.id).customize().send(&bench).await.unwrap();
    assert_eq!((transfer.amount_reversed, transfer.reversals.data.len()), (45, 1));
    let listed =
        ListTransfer::new().transfer_group("aikit:test:item").limit(100).customize().send(&bench).await.unwrap();
    assert_eq!((listed.data.len(), listed.data[0].id.as_str()), (1, transfer.id.as_str()));
    let refused =
        CreateTransfer::new(Currency::USD, account.id.as_str()).amount(1_000_000).customize().send(&bench).await;
    assert!(refused.unwrap_err().0.contains("balance_insufficient"));
}
