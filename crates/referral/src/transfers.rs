//! Stripe's transfers, asked for with a key that can only read.

use std::collections::BTreeMap;

use chrono::DateTime;
use payout::Transfer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::App;
use crate::error::{ApiError, conflict, invalid, unavailable};
use crate::inbox;

/// Every transfer of a list; those that are for no item too.
///
/// # Errors
/// Without a key that may read them; Stripe's.
pub(crate) async fn all(app: &App, query: &[(&str, &str)]) -> Result<Vec<Transfer>, ApiError> {
    let group = format!("aikit:{}:", app.config.environment());
    let listed: Vec<Listed> = listed(app, "transfers", query).await?;
    Ok(listed.into_iter().filter_map(|listed| listed.transfer(&group)).collect())
}

/// One transfer, by its id.
///
/// # Errors
/// What is no such id; what Stripe does not know; as [`all`].
pub(crate) async fn one(app: &App, id: &str) -> Result<Transfer, ApiError> {
    if !(id.starts_with("tr_") && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')) {
        return Err(invalid("Give the transfer as Stripe's dashboard shows it: tr_…"));
    }
    let object = inbox::read(app, &format!("transfers/{id}"), &[]).await?;
    let object = object.map_err(|why| conflict(format!("{id} could not be read at Stripe: {why}.")))?;
    let group = format!("aikit:{}:", app.config.environment());
    readable::<Listed>(object, "transfers")?
        .transfer(&group)
        .ok_or_else(|| conflict(format!("{id} has no readable time.")))
}

/// Every page of a list.
///
/// # Errors
/// As [`all`].
pub(crate) async fn listed<T: DeserializeOwned>(
    app: &App,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Vec<T>, ApiError> {
    let all = inbox::pages(app, path, query).await?.map_err(|why| conflict(format!("Stripe was not asked: {why}.")))?;
    all.into_iter().map(|object| readable(object, path)).collect()
}

fn readable<T: DeserializeOwned>(object: Value, path: &str) -> Result<T, ApiError> {
    serde_json::from_value(object).map_err(|error| {
        tracing::error!(%error, path, "stripe");
        unavailable("Stripe's answer has something in it that cannot be read, so nothing was done with it.")
    })
}

/// A transfer in Stripe's list.
#[derive(Deserialize)]
struct Listed {
    id: String,
    created: i64,
    amount: i64,
    amount_reversed: i64,
    currency: String,
    #[serde(default)]
    destination: Value,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    transfer_group: Option<String>,
}

impl Listed {
    /// Of a group that begins so it is for a payout. Others are for something else.
    fn transfer(mut self, group: &str) -> Option<Transfer> {
        let of_group = self.transfer_group.as_deref().and_then(|of| of.strip_prefix(group)).map(str::to_owned);
        let destination = self.destination.as_str().or_else(|| self.destination.pointer("/id").and_then(Value::as_str));
        Some(Transfer {
            created: DateTime::from_timestamp(self.created, 0)?,
            amount_minor: self.amount,
            amount_reversed_minor: self.amount_reversed,
            currency: self.currency,
            destination: destination.unwrap_or_default().to_owned(),
            item: of_group.map(|item| self.metadata.remove("item").unwrap_or(item)),
            id: self.id,
        })
    }
}
