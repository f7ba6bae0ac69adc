//! Stripe's side of the story: the stand-in's API as AIKit's own shop uses it, its clock and its control calls.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use reqwest::{RequestBuilder, redirect::Policy};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::story::{Interval, Outcome, Price};

/// The shop's own key. The stand-in takes any test key.
const SHOP_KEY: &str = "sk_test_aikit_shop";

/// A client of the stand-in.
#[derive(Clone, Debug)]
pub struct StripeSide {
    address: String,
    http: reqwest::Client,
}

/// The stand-in's clock.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Clock {
    /// What it says.
    pub now: DateTime<Utc>,
    /// Whether it runs on by itself.
    pub live: bool,
}

/// Events so far.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Events {
    /// How many happened.
    pub total: u32,
    /// How many of them the API has not taken yet.
    pub pending: u32,
}

/// A subscription, as far as the story goes on with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `sub_…`.
    pub id: String,
    /// Its only item, `si_…`.
    pub item: String,
}

impl StripeSide {
    /// A client of the stand-in at an address.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(address: &str) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(120));
        Ok(Self { address: address.trim_end_matches('/').to_owned(), http: http.build()? })
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// What the clock says.
    ///
    /// # Errors
    /// The stand-in cannot be reached.
    pub async fn clock(&self) -> Result<Clock> {
        let clock = self.ask("the clock", self.http.get(self.url("/_clock"))).await?;
        serde_json::from_value(clock).context("the clock's answer has another shape")
    }

    /// Moves the clock on to an instant, where it stands still; all that is due in between happens first.
    ///
    /// # Errors
    /// The stand-in cannot be reached or refuses: the clock moves forward only.
    pub async fn move_clock(&self, now: DateTime<Utc>) -> Result<()> {
        self.set_clock(&json!({ "now": rfc3339(now), "live": false })).await
    }

    /// Moves the clock on to an instant and lets it run from there with the time of day.
    ///
    /// # Errors
    /// As for [`Self::move_clock`].
    pub async fn run_clock(&self, now: DateTime<Utc>) -> Result<()> {
        self.set_clock(&json!({ "now": rfc3339(now), "live": true })).await
    }

    async fn set_clock(&self, wanted: &Value) -> Result<()> {
        self.ask("moving the clock", self.http.post(self.url("/_clock")).json(wanted)).await.map(drop)
    }

    /// Events so far, and how many of them wait.
    ///
    /// # Errors
    /// The stand-in cannot be reached.
    pub async fn events(&self) -> Result<Events> {
        let events = self.ask("the events", self.http.get(self.url("/_control/events?limit=1"))).await?;
        serde_json::from_value(events).context("the events' answer has another shape")
    }

    /// Makes a product; answers its id.
    ///
    /// # Errors
    /// The stand-in cannot be reached or refuses; so for every method below.
    pub async fn create_product(&self, name: &str) -> Result<String> {
        id(&self.post("products", &[("name", name)]).await?)
    }

    /// Makes a customer; answers its id.
    ///
    /// # Errors
    /// See above.
    pub async fn create_customer(&self, name: &str, email: &str) -> Result<String> {
        id(&self.post("customers", &[("name", name), ("email", email)]).await?)
    }

    /// Starts a subscription. `referral` goes into its metadata, as AIKit's shop does it.
    ///
    /// # Errors
    /// See above.
    pub async fn subscribe(
        &self,
        customer: &str,
        product: &str,
        price: Price,
        trial_days: u32,
        referral: Option<&str>,
    ) -> Result<Subscription> {
        let trial_days = trial_days.to_string();
        let mut form = vec![("customer", customer)];
        let price = price_data(product, price);
        form.extend(price.iter().map(|(name, value)| (*name, value.as_str())));
        if trial_days != "0" {
            form.push(("trial_period_days", &trial_days));
        }
        if let Some(referral) = referral {
            form.push(("metadata[referral_id]", referral));
        }
        let made = self.post("subscriptions", &form).await?;
        let item = made.pointer("/items/data/0/id").and_then(Value::as_str).context("the subscription has no item")?;
        Ok(Subscription { id: id(&made)?, item: item.to_owned() })
    }

    /// A coupon of ten percent and the promotion code that a client types for it; its metadata says whose it is.
    ///
    /// # Errors
    /// See above.
    pub async fn create_promotion_code(&self, code: &str, partner_code: &str) -> Result<String> {
        let coupon = id(&self.post("coupons", &[("percent_off", "10"), ("duration", "forever")]).await?)?;
        let form = [
            ("promotion[type]", "coupon"),
            ("promotion[coupon]", &coupon),
            ("code", code),
            ("metadata[partner_code]", partner_code),
        ];
        id(&self.post("promotion_codes", &form).await?)
    }

    /// Moves a subscription to another price, from its next period on.
    ///
    /// # Errors
    /// See above.
    pub async fn change_price(&self, subscription: &Subscription, product: &str, price: Price) -> Result<()> {
        let mut form = vec![("items[0][id]", subscription.item.as_str()), ("proration_behavior", "none")];
        let price = price_data(product, price);
        form.extend(price.iter().map(|(name, value)| (*name, value.as_str())));
        self.post(&format!("subscriptions/{}", subscription.id), &form).await.map(drop)
    }

    /// Ends a subscription at once.
    ///
    /// # Errors
    /// See above.
    pub async fn cancel(&self, subscription: &Subscription) -> Result<()> {
        let url = self.url(&format!("/v1/subscriptions/{}", subscription.id));
        self.ask("cancelling", self.http.delete(url).bearer_auth(SHOP_KEY)).await.map(drop)
    }

    /// The newest invoice on which a subscription paid anything.
    ///
    /// # Errors
    /// See above; also when it has paid none.
    pub async fn newest_paid_invoice(&self, subscription: &Subscription) -> Result<String> {
        let query = [("subscription", subscription.id.as_str()), ("status", "paid"), ("limit", "12")];
        let list = self.get("invoices", &query).await?;
        let invoices = list["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        let paid = invoices.iter().find(|invoice| invoice["amount_paid"].as_i64().is_some_and(|amount| amount > 0));
        id(paid.with_context(|| format!("{} has paid no invoice", subscription.id))?)
    }

    /// Refunds an invoice: so much, or all of it.
    ///
    /// # Errors
    /// See above.
    pub async fn refund(&self, invoice: &str, amount_minor: Option<i64>) -> Result<()> {
        let payments = self.get("invoice_payments", &[("invoice", invoice)]).await?;
        let intent = payments.pointer("/data/0/payment/payment_intent").and_then(Value::as_str);
        let intent = intent.with_context(|| format!("{invoice} has no payment"))?;
        let amount = amount_minor.map(|amount| amount.to_string());
        let mut form = vec![("payment_intent", intent), ("reason", "requested_by_customer")];
        form.extend(amount.as_deref().map(|amount| ("amount", amount)));
        self.post("refunds", &form).await.map(drop)
    }

    /// The customer's bank disputes an invoice; answers the dispute's id.
    ///
    /// # Errors
    /// See above.
    pub async fn open_dispute(&self, invoice: &str) -> Result<String> {
        id(&self.control("disputes", &json!({ "invoice": invoice })).await?)
    }

    /// A dispute ends.
    ///
    /// # Errors
    /// See above.
    pub async fn close_dispute(&self, dispute: &str, outcome: Outcome) -> Result<()> {
        let outcome = match outcome {
            Outcome::Won => "won",
            Outcome::Lost => "lost",
        };
        self.control(&format!("disputes/{dispute}/close"), &json!({ "outcome": outcome })).await.map(drop)
    }

    /// Sets what the platform can transfer, in US cents.
    ///
    /// # Errors
    /// See above.
    pub async fn set_balance(&self, available_minor: i64) -> Result<()> {
        self.control("balance", &json!({ "available_minor": available_minor })).await.map(drop)
    }

    /// Opens Stripe's onboarding page, and with `finish` does what it asks for; answers where it leads back to.
    ///
    /// # Errors
    /// See above; also when the page has no form to finish.
    pub async fn onboard(&self, page: &str, finish: bool) -> Result<Option<String>> {
        let answer = self.http.get(page).send().await.with_context(|| format!("{page} cannot be reached"))?;
        let status = answer.status();
        let html = answer.text().await?;
        if !status.is_success() {
            bail!("Stripe's onboarding page answered {status}: {html}");
        }
        if !finish {
            return Ok(None);
        }
        let form = reqwest::Url::parse(page)?.join(form_action(&html).unwrap_or(page))?;
        let answer = self.http.post(form).send().await.context("the onboarding cannot be finished")?;
        let status = answer.status();
        let back = answer.headers().get("location").and_then(|location| location.to_str().ok()).map(str::to_owned);
        if !status.is_redirection() || back.is_none() {
            bail!("finishing the onboarding answered {status}: {}", answer.text().await?);
        }
        Ok(back)
    }

    /// A control call of the stand-in.
    ///
    /// # Errors
    /// See above.
    pub async fn control(&self, name: &str, body: &Value) -> Result<Value> {
        self.ask(name, self.http.post(self.url(&format!("/_control/{name}"))).json(body)).await
    }

    /// Reads from Stripe's API.
    ///
    /// # Errors
    /// See above.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value> {
        let url = self.url(&format!("/v1/{path}"));
        self.ask(path, self.http.get(url).bearer_auth(SHOP_KEY).query(query)).await
    }

    /// Posts a form to Stripe's API.
    ///
    /// # Errors
    /// See above.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Value> {
        let url = self.url(&format!("/v1/{path}"));
        self.ask(path, self.http.post(url).bearer_auth(SHOP_KEY).form(form)).await
    }

    async fn ask(&self, what: &str, request: RequestBuilder) -> Result<Value> {
        let answer = request.send().await.with_context(|| format!("{what}: the stand-in cannot be reached"))?;
        let status = answer.status();
        let body = answer.text().await.with_context(|| format!("{what}: the stand-in's answer broke off"))?;
        if !status.is_success() {
            bail!("{what}: the stand-in refused ({status}): {body}");
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&body).with_context(|| format!("{what}: the stand-in's answer is no JSON: {body}"))
    }
}

fn price_data(product: &str, price: Price) -> [(&'static str, String); 4] {
    let interval = match price.interval {
        Interval::Month => "month",
        Interval::Year => "year",
    };
    [
        ("items[0][price_data][product]", product.to_owned()),
        ("items[0][price_data][currency]", "usd".to_owned()),
        ("items[0][price_data][unit_amount]", price.amount_minor.to_string()),
        ("items[0][price_data][recurring][interval]", interval.to_owned()),
    ]
}

fn id(object: &Value) -> Result<String> {
    Ok(object["id"].as_str().with_context(|| format!("an object without an id: {object}"))?.to_owned())
}

/// Where the page's form goes; `None` when it goes to the page itself.
fn form_action(html: &str) -> Option<&str> {
    let form = &html[html.find("<form")?..];
    let form = &form[..form.find('>')?];
    let action = form.split_once("action=\"")?.1;
    Some(action.split_once('"')?.0).filter(|action| !action.is_empty())
}

fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_says_where_it_goes() {
        assert_eq!(form_action("<p><form method=\"post\" action=\"/x/finish\"><button>"), Some("/x/finish"));
        assert_eq!(form_action("<form method=\"post\"><a action=\"/no\">"), None);
        assert_eq!(form_action("<p>Nothing here."), None);
    }
}
