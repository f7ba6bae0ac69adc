//! What an event does not carry and Stripe knows: the rate at which it converted an invoice, and the lines beyond the
//! tenth. Asked with a key that can only read, kept, and never asked again.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::db::Stmt;
use crate::error::{ApiError, unavailable};
use crate::events::{Paid, reduce_line};
use crate::ports::HttpRequest;
use crate::{App, sql};

/// Refused payouts, one upon the other, that are followed.
const REFUSED_BEFORE: usize = 20;

/// What is known of something that Stripe was or must be asked.
pub(super) enum Fetched<T> {
    /// It is kept.
    Kept(T),
    /// It has just been read: keep it.
    New(Vec<Stmt>),
    /// It cannot be known; why, and what to do.
    Not(String),
}

/// How Stripe converted the money of one invoice: so much of its currency became so much of the program's. An exact
/// fraction; the decimal rate that Stripe prints stands beside it for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rate {
    paid_minor: i64,
    settled_minor: i64,
    exchange_rate: Option<String>,
}

impl Rate {
    /// Half up, to a whole minor unit. An invoice on which nothing was paid converts everything to nothing.
    pub(super) fn convert(&self, amount_minor: i128) -> Result<i64, String> {
        let (paid, settled) = (i128::from(self.paid_minor), i128::from(self.settled_minor));
        if paid <= 0 || settled <= 0 || amount_minor <= 0 {
            return Ok(0);
        }
        let twice = amount_minor.checked_mul(settled * 2).and_then(|t| t.checked_add(paid));
        let amount = twice.and_then(|t| i64::try_from(t / (paid * 2)).ok());
        amount.filter(|a| *a <= 9_000_000_000_000_000).ok_or_else(|| "the amount is too large to be money".into())
    }
}

async fn kept<T: DeserializeOwned>(app: &App, name: &str) -> Result<Option<T>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        body: String,
    }
    let row: Option<Row> = app.db.query(sql!("SELECT body FROM stripe_answer WHERE name = ?1", name)).await?.first()?;
    Ok(row.and_then(|r| serde_json::from_str(&r.body).ok()))
}

fn keep(name: &str, value: &Value) -> Stmt {
    sql!(
        "INSERT INTO stripe_answer (name, body) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        name,
        value.to_string()
    )
}

/// The rate of an invoice, or the first of a subscription, if it has been learned.
pub(super) async fn kept_rate(app: &App, of: &str) -> Result<Option<Rate>, ApiError> {
    kept(app, &format!("rate:{of}")).await
}

/// The rate of an invoice in another currency: from the balance transactions of what paid it. Never guessed.
pub(super) async fn rate(app: &App, paid: &Paid) -> Result<Fetched<Rate>, ApiError> {
    if let Some(rate) = kept_rate(app, &paid.invoice).await? {
        return Ok(Fetched::Kept(rate));
    }
    let (currency, ours) = (&paid.currency, &app.config.currency);
    if paid.paid_minor == 0 {
        let nothing = Rate { paid_minor: 0, settled_minor: 0, exchange_rate: None };
        return Ok(Fetched::New(vec![keep(&format!("rate:{}", paid.invoice), &json!(nothing))]));
    }
    let mut payments = paid.payments.clone();
    if payments.is_empty() {
        let query = [("invoice", paid.invoice.as_str()), ("status", "paid"), ("limit", "100")];
        let list = match read(app, "invoice_payments", &query).await? {
            Ok(list) => list,
            Err(why) => return Ok(Fetched::Not(format!("the invoice is in {currency}: {why}"))),
        };
        for payment in data(&list) {
            let of = |pointer: &str| payment.pointer(pointer).and_then(Value::as_str).map(Into::into);
            payments.extend(of("/payment/payment_intent").or_else(|| of("/payment/charge")));
        }
    }
    let mut sum = Rate { paid_minor: 0, settled_minor: 0, exchange_rate: None };
    for payment in &payments {
        let is_charge = !payment.starts_with("pi_");
        let answer = if is_charge {
            read(app, &format!("charges/{payment}"), &[("expand[]", "balance_transaction")]).await?
        } else {
            let query =
                [("payment_intent", payment.as_str()), ("limit", "100"), ("expand[]", "data.balance_transaction")];
            read(app, "charges", &query).await?
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => return Ok(Fetched::Not(format!("the invoice is in {currency}: {why}"))),
        };
        let charges = if is_charge { std::slice::from_ref(&answer) } else { data(&answer) };
        for charge in charges {
            // A failed charge has no balance transaction.
            let Some(booked) = charge.get("balance_transaction").filter(|b| b.is_object()) else { continue };
            let settled_in = booked.get("currency").and_then(Value::as_str).unwrap_or_default();
            if settled_in != ours {
                return Ok(Fetched::Not(format!(
                    "the invoice is in {currency} and Stripe settled it in {settled_in}; the program settles in {ours}"
                )));
            }
            let amount = |v: &Value| v.get("amount").and_then(Value::as_i64).unwrap_or(0);
            sum.paid_minor = sum.paid_minor.saturating_add(amount(charge));
            sum.settled_minor = sum.settled_minor.saturating_add(amount(booked));
            sum.exchange_rate = booked.get("exchange_rate").filter(|r| r.is_number()).map(Value::to_string);
        }
    }
    if sum.paid_minor <= 0 || sum.settled_minor <= 0 {
        return Ok(Fetched::Not(format!(
            "the invoice is in {currency} and was not paid through Stripe, so no rate is known: credit it by an adjustment"
        )));
    }
    let of = paid.parts.iter().map(|p| &p.subscription).chain([&paid.invoice]);
    Ok(Fetched::New(of.map(|id| keep(&format!("rate:{id}"), &json!(sum))).collect()))
}

/// All lines of an invoice, in order.
pub(super) async fn lines(app: &App, invoice: &str) -> Result<Fetched<Vec<Value>>, ApiError> {
    let name = format!("lines:{invoice}");
    if let Some(lines) = kept(app, &name).await? {
        return Ok(Fetched::Kept(lines));
    }
    match pages(app, &format!("invoices/{invoice}/lines"), &[]).await? {
        Err(why) => Ok(Fetched::Not(format!("the event carries only ten lines of the invoice: {why}"))),
        Ok(all) => {
            let lines: Vec<Value> = all.iter().map(reduce_line).collect();
            Ok(Fetched::New(vec![keep(&name, &json!(lines))]))
        }
    }
}

/// The transfers that a payout of a connected account to its bank contains. Where the bank had refused an earlier one, its money
/// comes back as one entry of this one: then the transfers of that are in this.
pub(super) async fn paid_out(app: &App, account: &str, payout: &str) -> Result<Fetched<Vec<String>>, ApiError> {
    let name = format!("bank:{payout}");
    if let Some(transfers) = kept(app, &name).await? {
        return Ok(Fetched::Kept(transfers));
    }
    let (mut transfers, mut seen, mut next) = (Vec::new(), Vec::new(), vec![payout.to_owned()]);
    while let Some(payout) = next.pop().filter(|_| seen.len() < REFUSED_BEFORE) {
        let query = [("payout", payout.as_str()), ("expand[]", "data.source")];
        let entries = match pages_of(app, Some(account), "balance_transactions", &query).await? {
            Ok(entries) => entries,
            Err(why) => return Ok(Fetched::Not(format!("what the payout contains is not known: {why}"))),
        };
        seen.push(payout);
        for entry in &entries {
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).map(String::from);
            transfers.extend(text("/source/source_transfer"));
            let came_back = text("/type").is_some_and(|kind| kind == "payout_failure" || kind == "payout_cancel");
            let of = text("/source/id").or_else(|| text("/source")).filter(|of| came_back && !seen.contains(of));
            next.extend(of);
        }
    }
    transfers.sort();
    transfers.dedup();
    Ok(Fetched::New(vec![keep(&name, &json!(transfers))]))
}

/// Every page of a list. The inner `Err` as of [`read`].
pub(crate) async fn pages(
    app: &App,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Result<Vec<Value>, String>, ApiError> {
    pages_of(app, None, path, query).await
}

/// The same of a connected account.
async fn pages_of(
    app: &App,
    account: Option<&str>,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Result<Vec<Value>, String>, ApiError> {
    let mut all: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut asked = vec![("limit", "100")];
        asked.extend_from_slice(query);
        asked.extend(after.as_deref().map(|id| ("starting_after", id)));
        let page = match read_of(app, account, path, &asked).await? {
            Ok(page) => page,
            Err(why) => return Ok(Err(why)),
        };
        all.extend_from_slice(data(&page));
        let last = data(&page).last().and_then(|l| l.get("id")).and_then(Value::as_str).map(String::from);
        after = last.filter(|_| page.get("has_more").and_then(Value::as_bool) == Some(true));
        if after.is_none() {
            return Ok(Ok(all));
        }
    }
}

fn data(list: &Value) -> &[Value] {
    list.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Reads from Stripe. The inner `Err` is a reason that waiting does not solve; a fault is tried again by itself.
pub(crate) async fn read(app: &App, path: &str, query: &[(&str, &str)]) -> Result<Result<Value, String>, ApiError> {
    read_of(app, None, path, query).await
}

/// The same of a connected account.
async fn read_of(
    app: &App,
    account: Option<&str>,
    path: &str,
    query: &[(&str, &str)],
) -> Result<Result<Value, String>, ApiError> {
    let key = app.config.stripe_read_key.clone();
    if key.is_empty() {
        return Ok(Err("set STRIPE_READ_KEY, so that Stripe can be asked, and start the server again".into()));
    }
    let mut url = app.config.stripe_api.clone();
    url.set_path(&format!("/v1/{path}"));
    url.query_pairs_mut().extend_pairs(query);
    let fault = |reason: &str| {
        tracing::warn!(%reason, path, "stripe");
        unavailable("Stripe could not be asked just now. Try again in a moment.")
    };
    let mut request = HttpRequest::read(url, &key);
    request.headers.extend(account.map(|account| ("stripe-account", account.to_owned())));
    let answer = app.http.send(request).await.map_err(|reason| fault(&reason))?;
    match answer.status {
        200 => serde_json::from_str(&answer.body).map(Ok).map_err(|_| fault("the answer cannot be read")),
        401 | 403 => {
            Ok(Err("STRIPE_READ_KEY may not read this: it needs invoices, charges, transfers and balance transactions, of connected accounts too"
                .into()))
        }
        status @ (400 | 404) => Ok(Err(format!("Stripe answered {status}: it does not know it"))),
        status => Err(fault(&format!("it answered {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn money_is_converted_as_stripe_converted_the_whole() {
        let rate = |paid_minor, settled_minor| Rate { paid_minor, settled_minor, exchange_rate: None };
        for (rate, amount, expected) in [
            (rate(11_900, 12_902), 11_900, 12_902),
            (rate(11_900, 12_902), 10_000, 10_842),
            (rate(5_000, 32), 2_500, 16),
            (rate(3, 2), 1, 1),
            (rate(0, 0), 5, 0),
            (rate(5, 5), -1, 0),
        ] {
            assert_eq!(rate.convert(amount), Ok(expected), "{rate:?} {amount}");
        }
        assert!(rate(1, i64::MAX).convert(i64::MAX.into()).is_err());
    }
}
