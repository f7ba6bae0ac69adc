//! Stripe's webhooks: verified, stored raw, and only then read. What an event needs and does not find yet it waits for.

use std::collections::VecDeque;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, TimeDelta, Utc};
use commission::{Fact, FactBody, Interval};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::db::{Stmt, Val};
use crate::error::{ApiError, invalid};
use crate::events::{self, Client, Happening, Paid, Price};
use crate::signup::known_partner;
use crate::tokens::ms;
use crate::{App, journal, promotion, sql};

/// How far a signature's time may be from ours.
const TOLERANCE: TimeDelta = TimeDelta::seconds(300);

/// Checks `Stripe-Signature: t=…,v1=…[,v1=…]`: HMAC-SHA256 over `t.body`; any `v1` may match (a secret that is rotated).
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn verify(header: &str, body: &[u8], secret: &str, now: DateTime<Utc>) -> Result<(), &'static str> {
    let field = |name: &'static str| {
        header.split(',').filter_map(move |part| part.trim().strip_prefix(name)?.strip_prefix('='))
    };
    let t = field("t").next().ok_or("it has no time")?;
    let sent = t.parse().ok().and_then(|s| DateTime::from_timestamp(s, 0)).ok_or("its time cannot be read")?;
    if (now - sent).abs() > TOLERANCE {
        return Err("its time is more than five minutes from ours");
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|_| "no secret is configured")?;
    mac.update(t.as_bytes());
    mac.update(b".");
    mac.update(body);
    let right = field("v1").filter_map(|v| hex::decode(v).ok()).any(|v| mac.clone().verify_slice(&v).is_ok());
    if right { Ok(()) } else { Err("it does not match the body") }
}

/// `POST /v1/webhooks/stripe/account`.
pub(crate) async fn account(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Json<Value>, ApiError> {
    let secret = app.config.webhook_secret_account.clone();
    take_in(&app, &headers, &body, &secret).await
}

/// `POST /v1/webhooks/stripe/connect`.
pub(crate) async fn connect(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Result<Json<Value>, ApiError> {
    let secret = app.config.webhook_secret_connect.clone();
    take_in(&app, &headers, &body, &secret).await
}

async fn take_in(app: &App, headers: &HeaderMap, body: &Bytes, secret: &str) -> Result<Json<Value>, ApiError> {
    let now = app.host.now();
    let header = headers.get("stripe-signature").and_then(|v| v.to_str().ok());
    let header = header.ok_or_else(|| invalid("The Stripe-Signature header is missing."))?;
    verify(header, body, secret, now).map_err(|why| invalid(format!("The Stripe-Signature is not valid: {why}.")))?;
    let text = std::str::from_utf8(body).map_err(|_| invalid("The event is not UTF-8."))?;
    let event: Value = serde_json::from_str(text).map_err(|e| invalid(format!("The event is not JSON: {e}.")))?;
    let (Some(id), Some(kind)) = (event["id"].as_str().map(String::from), event["type"].as_str()) else {
        return Err(invalid("The event has no id or no type."));
    };
    if event["livemode"].as_bool() != Some(app.config.live) {
        return Err(invalid(
            "The event's livemode is not this program's: check which of Stripe's endpoints leads here.",
        ));
    }
    let stored = app
        .db
        .query(sql!(
            "INSERT INTO inbox (id, type, received_ms, body, state) VALUES (?1, ?2, ?3, ?4, 'received') ON CONFLICT (id) DO NOTHING",
            &id,
            kind,
            ms(now),
            text,
        ))
        .await?;
    if stored.changes == 0 {
        return Ok(Json(json!({"stored": true, "known": true})));
    }
    // From here on the event is ours: an error is our own affair and is tried again, not Stripe's.
    if let Err(error) = process(app, VecDeque::from([(id.clone(), event)])).await {
        tracing::error!(%error, event = id, "an event waits to be processed again");
    }
    Ok(Json(json!({"stored": true})))
}

#[derive(Deserialize)]
struct Stored {
    id: String,
    body: String,
}

fn parsed(rows: Vec<Stored>) -> VecDeque<(String, Value)> {
    rows.into_iter().map(|r| (r.id, serde_json::from_str(&r.body).unwrap_or(Value::Null))).collect()
}

/// Processes what a crash or a fault left behind. Answers how many there were.
///
/// # Errors
/// The database's.
pub async fn process_received(app: &App) -> Result<usize, ApiError> {
    let rows = app
        .db
        .query(sql!("SELECT id, body FROM inbox WHERE state = 'received' ORDER BY received_ms, id LIMIT 1000"))
        .await?;
    let queue = parsed(rows.all()?);
    let n = queue.len();
    process(app, queue).await?;
    Ok(n)
}

/// Processes the events that waited for one of these.
pub(crate) async fn wake(app: &App, known: Vec<String>) -> Result<(), ApiError> {
    let queue = waiting_for(app, &known).await?;
    process(app, queue).await
}

async fn waiting_for(app: &App, known: &[String]) -> Result<VecDeque<(String, Value)>, ApiError> {
    let names = json!(known).to_string();
    let text =
        "SELECT id, body FROM inbox WHERE waits_for IN (SELECT value FROM json_each(?1)) ORDER BY received_ms, id";
    Ok(parsed(app.db.query(sql!(text, names)).await?.all()?))
}

/// What one event comes to.
enum Outcome {
    /// Statements to write, and names that others may have waited for.
    Do(Vec<Stmt>, Vec<String>),
    /// It needs something that has not come yet.
    Wait(String),
    /// It is not for the program.
    Ignore(String),
    /// It cannot be read.
    Fail(String),
}

async fn process(app: &App, mut queue: VecDeque<(String, Value)>) -> Result<(), ApiError> {
    while let Some((id, event)) = queue.pop_front() {
        let mark = |state: &str, waits_for: Option<&str>, note: Option<&str>| {
            sql!("UPDATE inbox SET state = ?2, waits_for = ?3, note = ?4 WHERE id = ?1", &id, state, waits_for, note)
        };
        let mut outcome = read_and_decide(app, &event).await?;
        if let Outcome::Wait(key) = &outcome {
            app.db.query(mark("waiting", Some(key), None)).await?;
            // What it waits for may have come between the look and the mark; then nobody will wake it.
            outcome = read_and_decide(app, &event).await?;
        }
        match outcome {
            Outcome::Do(mut batch, known) => {
                batch.push(mark("done", None, None));
                app.db.batch(batch).await?;
                if !known.is_empty() {
                    queue.extend(waiting_for(app, &known).await?);
                }
            }
            Outcome::Wait(key) => drop(app.db.query(mark("waiting", Some(&key), None)).await?),
            Outcome::Ignore(why) => drop(app.db.query(mark("ignored", None, Some(&why))).await?),
            Outcome::Fail(why) => {
                tracing::warn!(event = %id, %why, "an event cannot be used");
                app.db.query(mark("failed", None, Some(&why))).await?;
            }
        }
    }
    Ok(())
}

async fn read_and_decide(app: &App, event: &Value) -> Result<Outcome, ApiError> {
    match events::read(event) {
        Ok(happening) => decide(app, happening, event).await,
        Err(problem) => Ok(Outcome::Fail(problem)),
    }
}

async fn decide(app: &App, happening: Happening, event: &Value) -> Result<Outcome, ApiError> {
    match happening {
        Happening::Nothing(why) => Ok(Outcome::Ignore(why.into())),
        Happening::SubscriptionStarted { subscription, client, price, at } => {
            let Some(referral) = referral_of(app, &client).await? else { return Ok(wait_for_client(&client)) };
            start(&subscription, &referral, price, at)
        }
        Happening::SubscriptionChanged { subscription, client, price, at } => {
            match known_subscription(app, &subscription).await? {
                Some(known) if known.price() == price => Ok(Outcome::Ignore("the price is the same".into())),
                Some(known) => {
                    let body = FactBody::SubscriptionChanged {
                        subscription: subscription.clone(),
                        interval: price.interval,
                        amount_minor: price.amount_minor,
                    };
                    let id = format!("subscription_changed:{}", event["id"].as_str().unwrap_or(&subscription));
                    Ok(Outcome::Do(
                        vec![
                            journal::insert_for(&Fact { id, at, body }, &known.referral)?,
                            sql!(
                                "UPDATE subscription SET interval = ?2, amount_minor = ?3 WHERE id = ?1",
                                &subscription,
                                interval_name(price.interval),
                                price.amount_minor,
                            ),
                        ],
                        Vec::new(),
                    ))
                }
                None if referral_of(app, &client).await?.is_some() => {
                    Ok(Outcome::Wait(format!("subscription:{subscription}")))
                }
                None => Ok(wait_for_client(&client)),
            }
        }
        Happening::SubscriptionCanceled { subscription, at } => match known_subscription(app, &subscription).await? {
            None => Ok(Outcome::Wait(format!("subscription:{subscription}"))),
            Some(known) => {
                let body = FactBody::SubscriptionCanceled { subscription: subscription.clone() };
                let fact = Fact { id: format!("subscription_canceled:{subscription}"), at, body };
                Ok(Outcome::Do(vec![journal::insert_for(&fact, &known.referral)?], Vec::new()))
            }
        },
        Happening::InvoicePaid(paid) => invoice_paid(app, paid).await,
        Happening::Payment { payments, invoice } => Ok(pays(&payments, &invoice)),
        Happening::Refunded { refund, payments, amount_minor, at } => {
            about_payment(app, &payments, |invoice| Fact {
                id: format!("invoice_refunded:{refund}"),
                at,
                body: FactBody::InvoiceRefunded { invoice, amount_minor, refund: Some(refund) },
            })
            .await
        }
        Happening::RefundFailed { refund, payments, at } => {
            let fact = |_| Fact { id: format!("refund_failed:{refund}"), at, body: FactBody::RefundFailed { refund } };
            about_payment(app, &payments, fact).await
        }
        Happening::DisputeOpened { dispute, payments, amount_minor, at } => {
            about_payment(app, &payments, |invoice| Fact {
                id: format!("dispute_opened:{dispute}"),
                at,
                body: FactBody::DisputeOpened { dispute, invoice, amount_minor },
            })
            .await
        }
        Happening::DisputeClosed { dispute, payments, outcome, at } => {
            let fact = |_| Fact {
                id: format!("dispute_closed:{dispute}"),
                at,
                body: FactBody::DisputeClosed { dispute, outcome },
            };
            about_payment(app, &payments, fact).await
        }
        Happening::PromotionCode { id, code, partner } => promotion_code(app, &id, &code, &partner).await,
        Happening::Redeemed { promotion_code, customer, at } => {
            app.db.query(promotion::keep_redemption(&promotion_code, &customer, at)).await?;
            Ok(Outcome::Do(Vec::new(), promotion::reconsider(app, &customer).await?))
        }
        Happening::Account { account, transfers, payouts_enabled, requirements, created_s } => Ok(Outcome::Do(
            vec![sql!(
                "UPDATE partner SET transfers = ?2, payouts_enabled = ?3, requirements = ?4, account_event_s = ?5
                 WHERE account = ?1 AND account_event_s <= ?5",
                account,
                transfers,
                payouts_enabled,
                json!(requirements).to_string(),
                created_s,
            )],
            Vec::new(),
        )),
    }
}

/// A partner's promotion code: whoever redeemed it before it was known is looked at again.
async fn promotion_code(app: &App, id: &str, code: &str, partner: &str) -> Result<Outcome, ApiError> {
    let Some(partner) = known_partner(app, Some(partner)).await? else {
        return Ok(Outcome::Fail(format!("the partner_code {partner} of its metadata is nobody's")));
    };
    app.db.query(promotion::keep(id, code, &partner, app.host.now())).await?;
    Ok(Outcome::Do(Vec::new(), promotion::reconsider_all(app, id).await?))
}

fn interval_name(interval: Interval) -> &'static str {
    match interval {
        Interval::Month => "month",
        Interval::Year => "year",
    }
}

fn start(subscription: &str, referral: &str, price: Price, at: DateTime<Utc>) -> Result<Outcome, ApiError> {
    let body = FactBody::SubscriptionStarted {
        subscription: subscription.into(),
        referral: referral.into(),
        interval: price.interval,
        amount_minor: price.amount_minor,
    };
    Ok(Outcome::Do(
        vec![
            sql!(
                "INSERT INTO subscription (id, referral, interval, amount_minor) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
                subscription,
                referral,
                interval_name(price.interval),
                price.amount_minor,
            ),
            journal::insert(&Fact { id: format!("subscription_started:{subscription}"), at, body })?,
        ],
        vec![format!("subscription:{subscription}")],
    ))
}

fn wait_for_client(client: &Client) -> Outcome {
    match &client.customer {
        Some(customer) => Outcome::Wait(format!("customer:{customer}")),
        None => Outcome::Ignore("it names no customer".into()),
    }
}

/// The referral that a Stripe customer or a subscription's metadata leads to: our own row first.
async fn referral_of(app: &App, client: &Client) -> Result<Option<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT r.id FROM referral r LEFT JOIN customer c ON c.referral = r.id
             WHERE c.stripe_customer = ?1 OR r.id = ?2 ORDER BY (c.stripe_customer = ?1) DESC LIMIT 1",
            client.customer.as_deref(),
            client.referral.as_deref(),
        ))
        .await?
        .first()?;
    Ok(row.map(|r| r.id))
}

#[derive(Deserialize)]
struct KnownSubscription {
    referral: String,
    interval: Interval,
    amount_minor: i64,
}

impl KnownSubscription {
    fn price(&self) -> Price {
        Price { interval: self.interval, amount_minor: self.amount_minor }
    }
}

async fn known_subscription(app: &App, subscription: &str) -> Result<Option<KnownSubscription>, ApiError> {
    let rows = app
        .db
        .query(sql!("SELECT referral, interval, amount_minor FROM subscription WHERE id = ?1", subscription))
        .await?;
    Ok(rows.first()?)
}

async fn invoice_paid(app: &App, paid: Paid) -> Result<Outcome, ApiError> {
    if paid.currency != app.config.currency {
        return Ok(Outcome::Fail(format!(
            "the invoice is in {}, the program settles in {}",
            paid.currency, app.config.currency
        )));
    }
    let Some(known) = known_subscription(app, &paid.subscription).await? else {
        return Ok(match referral_of(app, &paid.client).await? {
            Some(_) => Outcome::Wait(format!("subscription:{}", paid.subscription)),
            None => wait_for_client(&paid.client),
        });
    };
    let Paid { invoice, subscription, amount_minor, period, payments, at, .. } = paid;
    let (period_start, period_end) = period.unzip();
    let body = FactBody::InvoicePaid { invoice: invoice.clone(), subscription, amount_minor, period_start, period_end };
    let mut batch = vec![
        sql!(
            "INSERT INTO invoice (id, referral) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING",
            &invoice,
            &known.referral
        ),
        journal::insert_for(&Fact { id: format!("invoice_paid:{invoice}"), at, body }, &known.referral)?,
    ];
    let mut names = vec![format!("invoice:{invoice}")];
    if let Outcome::Do(stmts, known) = pays(&payments, &invoice) {
        batch.extend(stmts);
        names.extend(known);
    }
    Ok(Outcome::Do(batch, names))
}

/// Keeps which invoice a payment paid, and wakes what waited for the payment.
fn pays(payments: &[String], invoice: &str) -> Outcome {
    let keep =
        |p: &String| sql!("INSERT INTO payment (id, invoice) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING", p, invoice);
    Outcome::Do(payments.iter().map(keep).collect(), payments.iter().map(|p| format!("payment:{p}")).collect())
}

/// A fact about the invoice that one of these payments paid; waits for the payment, then for the invoice.
async fn about_payment(app: &App, payments: &[String], fact: impl FnOnce(String) -> Fact) -> Result<Outcome, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        invoice: String,
        referral: Option<String>,
    }
    let Some(first) = payments.first() else { return Ok(Outcome::Ignore("it names no payment".into())) };
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT p.invoice, i.referral FROM payment p LEFT JOIN invoice i ON i.id = p.invoice
             WHERE p.id IN (SELECT value FROM json_each(?1)) ORDER BY i.referral IS NULL LIMIT 1",
            Val::Text(json!(payments).to_string()),
        ))
        .await?
        .first()?;
    match row {
        None => Ok(Outcome::Wait(format!("payment:{first}"))),
        Some(Row { invoice, referral: None }) => Ok(Outcome::Wait(format!("invoice:{invoice}"))),
        Some(Row { invoice, referral: Some(referral) }) => {
            Ok(Outcome::Do(vec![journal::insert_for(&fact(invoice), &referral)?], Vec::new()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(t: i64, body: &[u8], secret: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{t}.").as_bytes());
        mac.update(body);
        hex::encode(mac.finalize().into_bytes())
    }

    #[test]
    fn a_signature_is_for_this_body_this_secret_and_now() {
        let (body, now) = (b"{\"id\":\"evt_1\"}".as_slice(), DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let t = now.timestamp();
        let good = sign(t, body, "whsec_a");
        assert_eq!(verify(&format!("t={t},v1={good}"), body, "whsec_a", now), Ok(()));
        assert_eq!(
            verify(&format!("t={t},v1={},v0=x, v1={good}", "00".repeat(32)), body, "whsec_a", now),
            Ok(()),
            "rotation"
        );
        let late = now + TOLERANCE + TimeDelta::seconds(1);
        for (header, body, secret, now, why) in [
            (format!("t={t},v1={good}"), b"{}".as_slice(), "whsec_a", now, "another body"),
            (format!("t={t},v1={good}"), body, "whsec_b", now, "another secret"),
            (format!("t={t},v1={good}"), body, "whsec_a", late, "too old"),
            (format!("t={},v1={good}", t + 1), body, "whsec_a", now, "another time"),
            (format!("v1={good}"), body, "whsec_a", now, "no time"),
            (format!("t={t}"), body, "whsec_a", now, "no signature"),
            (format!("t=x,v1={good}"), body, "whsec_a", now, "an unreadable time"),
            (format!("t=99999999999999999,v1={good}"), body, "whsec_a", now, "an impossible time"),
        ] {
            assert!(verify(&header, body, secret, now).is_err(), "{why}");
        }
    }
}
