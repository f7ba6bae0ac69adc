//! What an event comes to: facts, rows beside them, and the names that others may have waited for.

use chrono::{DateTime, Utc};
use commission::{Fact, FactBody};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect;
use super::fetch::{self, Fetched};
use crate::db::Stmt;
use crate::error::ApiError;
use crate::events::{self, About, Client, Happening, Paid, Price, part_of, share_of, spread};
use crate::promotion::{self, Payment};
use crate::signup::known_partner;
use crate::{App, journal, sql};

/// What one event comes to.
pub(super) enum Outcome {
    /// Statements to write, and names that others may have waited for.
    Do(Vec<Stmt>, Vec<String>),
    /// Something was learned, from Stripe or of a promotion code: keep it, make these names known, and decide again.
    Learn(Vec<Stmt>, Vec<String>),
    /// It needs one of these, which have not come yet; why, where that does not say itself.
    Wait(Vec<String>, Option<String>),
    /// It is not for the program.
    Ignore(String),
    /// It cannot be read.
    Fail(String),
}

pub(super) fn wait_for(name: String) -> Outcome {
    Outcome::Wait(vec![name], None)
}

/// An event that says several things does all of them at once, or waits.
pub(super) async fn decide(app: &App, event: &Value) -> Result<Outcome, ApiError> {
    let happenings = match events::read(event) {
        Ok(happenings) => happenings,
        Err(problem) => return Ok(Outcome::Fail(problem)),
    };
    let (mut batch, mut names, mut used, mut ignored) = (Vec::new(), Vec::new(), false, None);
    for happening in happenings {
        match one(app, happening, event).await? {
            Outcome::Do(more, known) => {
                batch.extend(more);
                names.extend(known);
                used = true;
            }
            Outcome::Ignore(why) => ignored = Some(why),
            other => return Ok(other),
        }
    }
    Ok(match ignored {
        Some(why) if !used => Outcome::Ignore(why),
        _ => Outcome::Do(batch, names),
    })
}

async fn one(app: &App, happening: Happening, event: &Value) -> Result<Outcome, ApiError> {
    match happening {
        Happening::Nothing(why) => Ok(Outcome::Ignore(why.into())),
        Happening::SubscriptionStarted { subscription, client, price, at } => {
            let Some(referral) = referral_of(app, &client).await? else { return Ok(wait_for_client(&client)) };
            let amount_minor = match in_our_currency(app, &subscription, &price).await? {
                Ok(amount_minor) => amount_minor,
                Err(wait) => return Ok(wait),
            };
            started(&subscription, &referral, &price, amount_minor, at)
        }
        Happening::SubscriptionChanged { subscription, client, price, at } => {
            if price.restated && is_ours(app, &price) {
                return Ok(Outcome::Ignore("the price is the same".into()));
            }
            let Some(referral) = referral_of_subscription(app, &subscription).await? else {
                return wait_for_subscription(app, &subscription, &client).await;
            };
            let amount_minor = match in_our_currency(app, &subscription, &price).await? {
                Ok(amount_minor) => amount_minor,
                Err(wait) => return Ok(wait),
            };
            changed(&subscription, &referral, &price, amount_minor, at)
        }
        Happening::SubscriptionCanceled { subscription, at } => {
            let Some(referral) = referral_of_subscription(app, &subscription).await? else {
                return Ok(wait_for(format!("subscription:{subscription}")));
            };
            let body = FactBody::SubscriptionCanceled { subscription: subscription.clone() };
            let fact = Fact { id: format!("subscription_canceled:{subscription}"), at, body };
            Ok(Outcome::Do(vec![journal::insert_for(&fact, &referral)?], Vec::new()))
        }
        Happening::InvoicePaid(paid) => invoice_paid(app, paid).await,
        Happening::MoreLines { invoice } => more_lines(app, &invoice, event).await,
        Happening::Payment { payments, invoice } => Ok(pays(&payments, &invoice)),
        Happening::Refunded { refund, about, amount_minor, at } => {
            about_invoice(app, &about, |part| {
                let amount_minor = share_of(amount_minor, part.paid_minor, part.amount_minor);
                let refund = part.name_of(&refund);
                let body = FactBody::InvoiceRefunded {
                    invoice: part.part.clone(),
                    amount_minor,
                    refund: Some(refund.clone()),
                };
                Fact { id: format!("invoice_refunded:{refund}"), at, body }
            })
            .await
        }
        Happening::RefundFailed { refund, about, at } => {
            about_invoice(app, &about, |part| {
                let refund = part.name_of(&refund);
                Fact { id: format!("refund_failed:{refund}"), at, body: FactBody::RefundFailed { refund } }
            })
            .await
        }
        Happening::DisputeOpened { dispute, about, amount_minor, at } => {
            about_invoice(app, &about, |part| {
                let amount_minor = share_of(amount_minor, part.paid_minor, part.amount_minor);
                let dispute = part.name_of(&dispute);
                let id = format!("dispute_opened:{dispute}");
                Fact { id, at, body: FactBody::DisputeOpened { dispute, invoice: part.part.clone(), amount_minor } }
            })
            .await
        }
        Happening::DisputeClosed { dispute, about, outcome, at } => {
            about_invoice(app, &about, |part| {
                let dispute = part.name_of(&dispute);
                let id = format!("dispute_closed:{dispute}");
                Fact { id, at, body: FactBody::DisputeClosed { dispute, outcome } }
            })
            .await
        }
        Happening::Account { account, transfers, payouts_enabled, requirements, created_s } => {
            let batch = vec![
                connect::transfers_of(&account, &transfers, created_s),
                connect::bank_of(&account, payouts_enabled, &requirements, created_s),
            ];
            connect::about_account(app, &account, batch).await
        }
        Happening::Transfers { account, status, created_s } => {
            let batch = vec![connect::transfers_of(&account, &status, created_s)];
            connect::about_account(app, &account, batch).await
        }
        Happening::Transferred { item, transfer } => connect::transferred(app, &item, transfer).await,
        Happening::TransferReversed(reversed) => connect::reversed(app, reversed).await,
        Happening::BankPayout(payout) => connect::bank_payout(app, &payout).await,
        Happening::ClientNamed { customer, source, referral } => {
            let name = format!("customer:{customer}");
            let keep = sql!(
                "INSERT INTO stripe_client (customer, source, referral) SELECT ?1, ?2, id FROM referral WHERE id = ?3
                 ON CONFLICT (customer, source) DO NOTHING",
                customer,
                source,
                referral,
            );
            Ok(Outcome::Do(vec![keep], vec![name]))
        }
        Happening::PromotionCode { id, code, partner } => promotion_code(app, &id, &code, &partner).await,
        Happening::Redeemed { promotion_code, customer, at } => {
            if !promotion::is_redeemed(app, &promotion_code, &customer, at).await? {
                let keep = promotion::keep_redemption(&promotion_code, &customer, at);
                return Ok(Outcome::Learn(vec![keep], Vec::new()));
            }
            let (batch, names) = promotion::reconsider(app, &customer, None, None).await?;
            Ok(Outcome::Do(batch, names))
        }
    }
}

/// A partner's promotion code: whoever redeemed it before it was known is looked at again.
async fn promotion_code(app: &App, id: &str, code: &str, partner: &str) -> Result<Outcome, ApiError> {
    let Some(partner) = known_partner(app, Some(partner)).await? else {
        return Ok(Outcome::Fail(format!("the partner_code {partner} of its metadata is nobody's")));
    };
    match promotion::kept(app, id).await? {
        Some(known) if known.partner != partner => {
            Ok(Outcome::Ignore(format!("the promotion code is {}'s already, and stays so", known.partner)))
        }
        Some(known) if known.code == code => {
            let (batch, names) = promotion::reconsider_all(app, id).await?;
            Ok(Outcome::Do(batch, names))
        }
        _ => Ok(Outcome::Learn(vec![promotion::keep(id, code, &partner, app.host.now())], Vec::new())),
    }
}

fn started(
    subscription: &str,
    referral: &str,
    price: &Price,
    amount_minor: i64,
    at: DateTime<Utc>,
) -> Result<Outcome, ApiError> {
    let body = FactBody::SubscriptionStarted {
        subscription: subscription.into(),
        referral: referral.into(),
        interval: price.interval,
        amount_minor,
    };
    Ok(Outcome::Do(
        vec![
            sql!(
                "INSERT INTO subscription (id, referral) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING",
                subscription,
                referral
            ),
            journal::insert(&Fact { id: format!("subscription_started:{subscription}"), at, body })?,
        ],
        vec![format!("subscription:{subscription}")],
    ))
}

/// Its name is what it says, so that two events which say the same are one fact.
fn changed(
    subscription: &str,
    referral: &str,
    price: &Price,
    amount_minor: i64,
    at: DateTime<Utc>,
) -> Result<Outcome, ApiError> {
    let body =
        FactBody::SubscriptionChanged { subscription: subscription.into(), interval: price.interval, amount_minor };
    let every = json!(price.interval);
    let every = every.as_str().unwrap_or_default();
    let id = format!("subscription_changed:{subscription}:{}:{every}:{amount_minor}", at.timestamp());
    Ok(Outcome::Do(vec![journal::insert_for(&Fact { id, at, body }, referral)?], Vec::new()))
}

fn is_ours(app: &App, price: &Price) -> bool {
    price.currency.as_ref().is_none_or(|c| *c == app.config.currency)
}

/// The price in the program's currency, by the rate at which Stripe converted the invoice beside it.
async fn in_our_currency(app: &App, subscription: &str, price: &Price) -> Result<Result<i64, Outcome>, ApiError> {
    if is_ours(app, price) || price.amount_minor == 0 {
        return Ok(Ok(price.amount_minor));
    }
    let currency = price.currency.as_deref().unwrap_or_default();
    // An event that names no invoice takes the first rate that was learned for the subscription.
    let of = price.latest_invoice.as_deref().unwrap_or(subscription);
    Ok(match fetch::kept_rate(app, of).await? {
        Some(rate) => rate.convert(price.amount_minor.into()).map_err(Outcome::Fail),
        None => {
            let why = format!("the price is in {currency}; the rate comes with the payment of an invoice");
            Err(Outcome::Wait(vec![format!("rate:{of}")], Some(why)))
        }
    })
}

fn wait_for_client(client: &Client) -> Outcome {
    match &client.customer {
        Some(customer) => wait_for(format!("customer:{customer}")),
        None => Outcome::Ignore("it names no customer".into()),
    }
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// The referral that a Stripe customer or a subscription's metadata leads to: our own row first, then what Stripe's
/// subscription, customer and checkout carry.
async fn referral_of(app: &App, client: &Client) -> Result<Option<String>, ApiError> {
    let row: Option<Id> = app
        .db
        .query(sql!(
            "SELECT id FROM (
                SELECT referral AS id, 1 AS place FROM customer WHERE stripe_customer = ?1 AND referral IS NOT NULL
                UNION ALL SELECT id, 2 FROM referral WHERE id = ?2
                UNION ALL SELECT referral, CASE source WHEN 'customer' THEN 3 ELSE 4 END FROM stripe_client WHERE customer = ?1
             ) ORDER BY place LIMIT 1",
            client.customer.as_deref(),
            client.referral.as_deref(),
        ))
        .await?
        .first()?;
    Ok(row.map(|r| r.id))
}

async fn referral_of_subscription(app: &App, subscription: &str) -> Result<Option<String>, ApiError> {
    let row: Option<Id> =
        app.db.query(sql!("SELECT referral AS id FROM subscription WHERE id = ?1", subscription)).await?.first()?;
    Ok(row.map(|r| r.id))
}

/// For the client first: most of AIKit's customers were referred by nobody, and their events wait for one name alone.
async fn wait_for_subscription(app: &App, subscription: &str, client: &Client) -> Result<Outcome, ApiError> {
    Ok(match referral_of(app, client).await? {
        Some(_) => wait_for(format!("subscription:{subscription}")),
        None => wait_for_client(client),
    })
}

async fn invoice_paid(app: &App, paid: Paid) -> Result<Outcome, ApiError> {
    // Whose it is comes first: nothing is asked of Stripe about clients that nobody referred.
    let mut referral = referral_of(app, &paid.client).await?;
    for part in &paid.parts {
        if referral.is_none() {
            referral = referral_of_subscription(app, &part.subscription).await?;
        }
    }
    let Some(mut referral) = referral else { return Ok(wait_for_client(&paid.client)) };
    let mut counts: Vec<i64> = paid.parts.iter().map(|p| p.amount_minor).collect();
    if paid.currency != app.config.currency {
        let rate = match fetch::rate(app, &paid).await? {
            Fetched::Kept(rate) => rate,
            Fetched::New(keep) => {
                let of = paid.parts.iter().map(|p| &p.subscription).chain([&paid.invoice]);
                return Ok(Outcome::Learn(keep, of.map(|id| format!("rate:{id}")).collect()));
            }
            Fetched::Not(why) => return Ok(Outcome::Wait(vec![format!("rate:{}", paid.invoice)], Some(why))),
        };
        let weights: Vec<i128> = counts.iter().copied().map(i128::from).collect();
        counts = match rate.convert(weights.iter().sum()) {
            Ok(all) => spread(all.into(), &weights),
            Err(why) => return Ok(Outcome::Fail(why)),
        };
    }
    for part in &paid.parts {
        match referral_of_subscription(app, &part.subscription).await? {
            Some(of) => referral = of,
            None => return Ok(wait_for(format!("subscription:{}", part.subscription))),
        }
    }
    let Paid { invoice, client, parts, payments, at, paid_minor, .. } = paid;
    let mut names = vec![format!("invoice:{invoice}")];
    let mut batch = vec![sql!(
        "INSERT INTO invoice (id, referral, paid_minor) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING",
        &invoice,
        &referral,
        paid_minor,
    )];
    // The first payment decides which promotion codes were redeemed too late.
    if let Some(customer) = client.customer.filter(|_| counts.iter().any(|c| *c > 0)) {
        let payment = Payment { referral: &referral, at };
        let (credit, known) = promotion::reconsider(app, &customer, None, Some(payment)).await?;
        batch.extend(credit);
        names.extend(known);
    }
    for (n, (part, amount_minor)) in parts.into_iter().zip(counts).enumerate() {
        let name = part_of(&invoice, n, &part.subscription);
        let (period_start, period_end) = part.period.unzip();
        batch.push(sql!(
            "INSERT INTO invoice_part (invoice, part, subscription, amount_minor) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (invoice, part) DO NOTHING",
            &invoice,
            &name,
            &part.subscription,
            amount_minor,
        ));
        let body = FactBody::InvoicePaid {
            invoice: name.clone(),
            subscription: part.subscription,
            amount_minor,
            period_start,
            period_end,
        };
        batch.push(journal::insert_for(&Fact { id: format!("invoice_paid:{name}"), at, body }, &referral)?);
    }
    if let Outcome::Do(stmts, known) = pays(&payments, &invoice) {
        batch.extend(stmts);
        names.extend(known);
    }
    Ok(Outcome::Do(batch, names))
}

/// An event carries ten lines of an invoice; the others are read from Stripe, once.
async fn more_lines(app: &App, invoice: &str, event: &Value) -> Result<Outcome, ApiError> {
    let lines = match fetch::lines(app, invoice).await? {
        Fetched::Kept(lines) => lines,
        Fetched::New(keep) => return Ok(Outcome::Learn(keep, vec![format!("lines:{invoice}")])),
        Fetched::Not(why) => return Ok(Outcome::Wait(vec![format!("lines:{invoice}")], Some(why))),
    };
    let mut whole = event.clone();
    if let Some(list) = whole.pointer_mut("/data/object/lines") {
        *list = json!({"data": lines, "has_more": false});
    }
    match events::read(&whole) {
        Ok(happenings) => match happenings.into_iter().next() {
            Some(Happening::InvoicePaid(paid)) => invoice_paid(app, paid).await,
            _ => Ok(Outcome::Ignore("not for a subscription".into())),
        },
        Err(problem) => Ok(Outcome::Fail(problem)),
    }
}

/// Keeps which invoice a payment paid, and wakes what waited for the payment.
fn pays(payments: &[String], invoice: &str) -> Outcome {
    let keep =
        |p: &String| sql!("INSERT INTO payment (id, invoice) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING", p, invoice);
    Outcome::Do(payments.iter().map(keep).collect(), payments.iter().map(|p| format!("payment:{p}")).collect())
}

/// A part of an invoice that something else is about.
#[derive(Deserialize)]
struct KnownPart {
    invoice: String,
    referral: String,
    paid_minor: i64,
    part: String,
    amount_minor: i64,
}

impl KnownPart {
    /// The name of a refund or dispute within this part.
    fn name_of(&self, id: &str) -> String {
        format!("{id}{}", self.part.strip_prefix(&self.invoice).unwrap_or_default())
    }
}

/// Facts about the parts of an invoice that count; waits for the payment, then for the invoice.
async fn about_invoice(app: &App, about: &About, fact: impl Fn(&KnownPart) -> Fact) -> Result<Outcome, ApiError> {
    let payments = json!(about.payments).to_string();
    let parts: Vec<KnownPart> = app
        .db
        .query(sql!(
            "SELECT i.id AS invoice, i.referral, i.paid_minor, p.part, p.amount_minor
             FROM invoice i JOIN invoice_part p ON p.invoice = i.id
             WHERE i.id = ?1 OR i.id IN (SELECT invoice FROM payment WHERE id IN (SELECT value FROM json_each(?2)))
             ORDER BY i.id, p.part",
            about.invoice.as_deref(),
            &payments,
        ))
        .await?
        .all()?;
    let Some(first) = parts.first() else {
        let known: Vec<Id> = app
            .db
            .query(sql!(
                "SELECT DISTINCT invoice AS id FROM payment WHERE id IN (SELECT value FROM json_each(?1))",
                payments
            ))
            .await?
            .all()?;
        let invoices = known.into_iter().map(|k| k.id).chain(about.invoice.clone()).map(|i| format!("invoice:{i}"));
        let names: Vec<String> = invoices.chain(about.payments.iter().map(|p| format!("payment:{p}"))).collect();
        return Ok(match names.is_empty() {
            true => Outcome::Ignore("it names no payment".into()),
            false => Outcome::Wait(names, None),
        });
    };
    let counting = parts.iter().filter(|p| p.invoice == first.invoice && p.amount_minor > 0 && p.paid_minor > 0);
    let batch: Result<Vec<Stmt>, ApiError> =
        counting.map(|part| journal::insert_for(&fact(part), &part.referral)).collect();
    let batch = batch?;
    Ok(match batch.is_empty() {
        true => Outcome::Ignore("nothing of that invoice counted".into()),
        false => Outcome::Do(batch, Vec::new()),
    })
}
