//! Transfers and the balance, in the terms of `payout`.

use std::future::Future;

use bytes::Bytes;
use chrono::DateTime;
use payout::{Answer, Transfer, TransferParams};
use stripe_client_core::{CustomizedStripeRequest, IdempotencyKey, RequestStrategy, StripeClient, StripeRequest};
use stripe_connect::account::RetrieveForMyAccountAccount;
use stripe_connect::transfer::{CreateTransfer, ListTransfer};
use stripe_core::balance::RetrieveForMyAccountBalance;
use stripe_types::Currency;

use crate::client::{StripeError, StripeHttp};
use crate::clock::Deadline;

/// Transfers that go together; one item has one, so a second page is already a sign of trouble.
const PAGE: i64 = 100;

/// It is certain that nothing was sent: the same attempt may be sent later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotSent {
    /// What was in the way.
    pub reason: String,
}

/// What the platform's own account says before anything is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The account that the key belongs to, `acct_…`.
    pub account: String,
    /// What it can transfer now, in minor units of the run's currency.
    pub available_minor: i64,
    /// How often Stripe pays its balance out to the bank by itself (`daily`, …); `None` for by hand only.
    pub automatic_payouts: Option<String>,
}

/// Where transfers are made and found.
pub trait Transfers: Send + Sync {
    /// Whether they move real money.
    fn is_live(&self) -> bool;

    /// The platform's account and its balance in a currency (ISO 4217, lower case).
    ///
    /// # Errors
    /// If Stripe gives no usable answer.
    fn standing(&self, currency: &str) -> impl Future<Output = Result<Standing, StripeError>> + Send;

    /// Every transfer of a group, all pages. An empty list is silence, not proof.
    ///
    /// # Errors
    /// If not all pages could be read.
    fn list(&self, transfer_group: &str) -> impl Future<Output = Result<Vec<Transfer>, StripeError>> + Send;

    /// Makes a transfer, and says what came of it. Whatever could have reached Stripe is an [`Answer`], never an error.
    /// The deadline is checked beside the write, after a connection is open: a request that is late is not written.
    ///
    /// # Errors
    /// Only if no byte of the request was written, the deadline among the reasons.
    fn create(
        &self,
        params: &TransferParams,
        key: &str,
        deadline: &Deadline,
    ) -> impl Future<Output = Result<Answer, NotSent>> + Send;
}

impl StripeHttp {
    /// What the platform can transfer now, in minor units of a currency (ISO 4217, lower case).
    ///
    /// # Errors
    /// If Stripe gives no usable answer.
    pub async fn available_minor(&self, currency: &str) -> Result<i64, StripeError> {
        let balance = RetrieveForMyAccountBalance::new().send(self).await?;
        let available = balance.available.iter().filter(|b| b.currency.to_string() == currency);
        Ok(available.fold(0, |sum, b| sum.saturating_add(b.amount)))
    }
}

impl Transfers for StripeHttp {
    fn is_live(&self) -> bool {
        StripeHttp::is_live(self)
    }

    async fn standing(&self, currency: &str) -> Result<Standing, StripeError> {
        let account = RetrieveForMyAccountAccount::new().send(self).await?;
        let schedule = account.settings.and_then(|s| s.payouts).map(|payouts| payouts.schedule.interval);
        Ok(Standing {
            account: account.id.to_string(),
            available_minor: self.available_minor(currency).await?,
            automatic_payouts: schedule.filter(|interval| interval != "manual"),
        })
    }

    async fn list(&self, transfer_group: &str) -> Result<Vec<Transfer>, StripeError> {
        let group = ListTransfer::new().transfer_group(transfer_group).limit(PAGE);
        let mut found = Vec::new();
        let mut page = group.send(self).await?;
        loop {
            let last = page.data.last().map(|t| t.id.to_string());
            for transfer in page.data {
                found.push(read(transfer)?);
            }
            match (page.has_more, last) {
                (false, _) => return Ok(found),
                (true, Some(last)) => page = group.clone().starting_after(last).send(self).await?,
                (true, None) => {
                    return Err(StripeError::Unreadable { reason: "an empty page that is not the last one".into() });
                }
            }
        }
    }

    async fn create(&self, params: &TransferParams, key: &str, deadline: &Deadline) -> Result<Answer, NotSent> {
        let key = IdempotencyKey::new(key).map_err(|e| NotSent { reason: e.to_string() })?;
        let made = request(params)
            .customize()
            .request_strategy(RequestStrategy::Idempotent(key))
            .send(&Until { stripe: self, deadline })
            .await;
        answer(made.and_then(read))
    }
}

/// The client, with a time after which it writes nothing more.
struct Until<'a> {
    stripe: &'a StripeHttp,
    deadline: &'a Deadline,
}

impl StripeClient for Until<'_> {
    type Err = StripeError;

    async fn execute(&self, req: CustomizedStripeRequest) -> Result<Bytes, StripeError> {
        self.stripe.call(req, Some(self.deadline)).await
    }
}

/// The same parameters give the same bytes: one entry of metadata, and fields in a fixed order.
fn request(params: &TransferParams) -> CreateTransfer {
    let currency = params.currency.parse().unwrap_or_else(|_| Currency::Unknown(params.currency.clone()));
    CreateTransfer::new(currency, params.destination.as_str())
        .amount(params.amount_minor)
        .transfer_group(params.transfer_group.as_str())
        .description(params.description.as_str())
        .metadata([("item".to_string(), params.item.clone())])
}

fn read(transfer: stripe_shared::Transfer) -> Result<Transfer, StripeError> {
    let created = DateTime::from_timestamp(transfer.created, 0)
        .ok_or_else(|| StripeError::Unreadable { reason: format!("{} was made at no real time", transfer.id) })?;
    Ok(Transfer {
        id: transfer.id.to_string(),
        created,
        amount_minor: transfer.amount,
        amount_reversed_minor: transfer.amount_reversed,
        currency: transfer.currency.to_string(),
        destination: transfer.destination.map(|d| d.into_id().to_string()).unwrap_or_default(),
        item: transfer.metadata.get("item").cloned(),
    })
}

/// What a send came to. Only a definite refusal by Stripe says that nothing moved.
fn answer(made: Result<Transfer, StripeError>) -> Result<Answer, NotSent> {
    Ok(match made {
        Ok(transfer) => Answer::Accepted { transfer },
        Err(StripeError::NotSent { reason }) => return Err(NotSent { reason }),
        Err(StripeError::Lost { .. } | StripeError::Unreadable { .. }) => Answer::Lost,
        Err(StripeError::Unauthorized) => Answer::Unauthorized,
        Err(StripeError::Busy { .. }) => Answer::Busy,
        Err(StripeError::KeyMisused { .. }) => Answer::KeyMisused,
        Err(StripeError::Refused { code, message, .. }) => Answer::Refused { code, message },
        Err(StripeError::Server { status }) => Answer::ServerError { status },
    })
}
