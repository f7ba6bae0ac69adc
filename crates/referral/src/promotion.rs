//! Stripe's promotion codes that are a partner's: a client who redeems one has named the partner.
//!
//! A code, its redemption and the sign-up may be reported in any order; each of them looks for the others.

use chrono::{DateTime, Utc};
use commission::{Fact, FactBody};
use serde::Deserialize;

use crate::attribution::{Rule, Source, Touch, WINDOW};
use crate::db::{Stmt, guard};
use crate::error::ApiError;
use crate::signup::{Credit, keep_touches};
use crate::tokens::{self, at, ms};
use crate::{App, journal, sql};

/// A code of a partner. A repeated report changes what the client types, and never whose it is.
pub(crate) fn keep(id: &str, code: &str, partner: &str, now: DateTime<Utc>) -> Stmt {
    sql!(
        "INSERT INTO promotion_code (id, code, partner, added_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET code = excluded.code WHERE partner = excluded.partner",
        id,
        code,
        partner,
        ms(now),
    )
}

/// A client redeemed a code, whose ever it is.
pub(crate) fn keep_redemption(promotion_code: &str, stripe_customer: &str, at: DateTime<Utc>) -> Stmt {
    sql!(
        "INSERT INTO redemption (promotion_code, stripe_customer, at_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        promotion_code,
        stripe_customer,
        ms(at),
    )
}

/// What a Stripe customer redeemed of partners' codes, as touches.
pub(crate) async fn redeemed_by(app: &App, stripe_customer: &str) -> Result<Vec<Touch>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        at_ms: i64,
        partner: String,
        code: String,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT r.at_ms, p.partner, p.code FROM redemption r JOIN promotion_code p ON p.id = r.promotion_code
             WHERE r.stripe_customer = ?1 ORDER BY r.at_ms DESC, p.id LIMIT 20",
            stripe_customer,
        ))
        .await?
        .all()?;
    let touch = |r: Row| Touch {
        at: Some(at(r.at_ms)),
        source: Source::PromotionCode,
        partner: r.partner,
        click: None,
        given: Some(r.code),
        counts: true,
    };
    Ok(rows.into_iter().map(touch).collect())
}

/// Looks again at everybody who redeemed a code that has become a partner's.
pub(crate) async fn reconsider_all(app: &App, promotion_code: &str) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        stripe_customer: String,
    }
    let query = sql!("SELECT stripe_customer FROM redemption WHERE promotion_code = ?1", promotion_code);
    let rows: Vec<Row> = app.db.query(query).await?.all()?;
    let mut known = Vec::new();
    for row in rows {
        known.extend(reconsider(app, &row.stripe_customer).await?);
    }
    Ok(known)
}

#[derive(Deserialize)]
struct Customer {
    id: String,
    signed_up_ms: Option<i64>,
    email: Option<String>,
    referral: Option<String>,
    partner: Option<String>,
    rule: Option<String>,
    /// When the touch that decided was; absent for a cookie that only its age speaks for.
    decided_ms: Option<i64>,
    first_paid: Option<DateTime<Utc>>,
    touches: i64,
    /// The redemption is among the evidence already.
    known: i64,
    moves: i64,
}

/// Lets the newest redemption of a customer count, if it came before the first payment and within thirty days of the
/// sign-up, and after the touch that decided so far. What a person decided stays.
/// Answers the names that events may wait for and that are known from now on.
pub(crate) async fn reconsider(app: &App, stripe_customer: &str) -> Result<Vec<String>, ApiError> {
    let Some(touch) = redeemed_by(app, stripe_customer).await?.into_iter().next() else { return Ok(Vec::new()) };
    let redeemed_at = touch.at.unwrap_or_default();
    let customer: Option<Customer> = app
        .db
        .query(sql!(
            "SELECT c.id, c.signed_up_ms, c.email, c.referral, r.partner, r.rule,
                (SELECT max(t.at_ms) FROM touch t WHERE t.customer = c.id AND t.decided = 1) AS decided_ms,
                (SELECT min(f.body->>'at') FROM fact f WHERE f.referral = c.referral AND f.id LIKE 'invoice_paid:%') AS first_paid,
                (SELECT count(*) FROM touch t WHERE t.customer = c.id) AS touches,
                EXISTS (SELECT 1 FROM touch t WHERE t.customer = c.id AND t.source = 'promotion_code' AND t.at_ms = ?2) AS known,
                (SELECT count(*) FROM fact f WHERE f.referral = c.referral AND f.id LIKE 'referral_moved:%') AS moves
             FROM customer c LEFT JOIN referral r ON r.id = c.referral WHERE c.stripe_customer = ?1",
            stripe_customer,
            ms(redeemed_at),
        ))
        .await?
        .first()?;
    let Some(customer) = customer.filter(|c| c.known == 0) else { return Ok(Vec::new()) };
    let Some(signed_up_at) = customer.signed_up_ms.map(at) else { return Ok(Vec::new()) };
    let counts = (redeemed_at - signed_up_at).abs() <= WINDOW
        && customer.decided_ms.is_none_or(|decided| decided < ms(redeemed_at))
        && customer.first_paid.is_none_or(|paid| redeemed_at <= paid)
        && customer.rule.as_deref() != Some(Rule::Staff.name());
    let mut batch = Vec::new();
    match (&customer.referral, &customer.email) {
        (Some(referral), _) if counts && customer.partner.as_ref() != Some(&touch.partner) => {
            let reason =
                format!("The client redeemed the promotion code {}.", touch.given.as_deref().unwrap_or_default());
            let from = customer.partner.as_deref().unwrap_or_default();
            batch.extend(moved(
                referral,
                from,
                &touch.partner,
                Rule::PromotionCode,
                redeemed_at,
                customer.moves + 1,
                &reason,
            )?);
        }
        (None, Some(email)) if counts => {
            let referral = tokens::id(&*app.host, "r");
            let credit = Credit {
                referral: &referral,
                partner: &touch.partner,
                email,
                signed_up_at,
                click: None,
                rule: Rule::PromotionCode,
                reason: None,
            };
            batch.extend(credited(&customer.id, &credit)?);
        }
        _ => {}
    }
    if counts {
        batch.push(sql!("UPDATE touch SET decided = 0 WHERE customer = ?1", &customer.id));
    }
    let from = usize::try_from(customer.touches).unwrap_or_default() + 1;
    batch.push(keep_touches(&customer.id, from, std::slice::from_ref(&touch), counts.then_some(0)));
    app.db.batch(batch).await?;
    if customer.referral.is_some() || !counts {
        return Ok(Vec::new());
    }
    tracing::info!(partner = touch.partner, "a promotion code is credited");
    Ok(vec![format!("customer:{stripe_customer}")])
}

/// Statements that credit a customer whom nobody was credited for, if that is still so.
pub(crate) fn credited(customer: &str, credit: &Credit<'_>) -> Result<Vec<Stmt>, ApiError> {
    let mut batch =
        vec![guard("EXISTS (SELECT 1 FROM customer WHERE id = ?1 AND referral IS NULL)", vec![customer.into()])];
    batch.extend(credit.statements()?);
    batch.push(sql!(
        "UPDATE customer SET referral = ?2, reason = NULL, email = NULL WHERE id = ?1",
        customer,
        credit.referral,
    ));
    Ok(batch)
}

/// Statements that credit a referral to another partner from its sign-up on, if it is still `from`'s. `n` counts the moves
/// of this referral.
pub(crate) fn moved(
    referral: &str,
    from: &str,
    to: &str,
    rule: Rule,
    at: DateTime<Utc>,
    n: i64,
    reason: &str,
) -> Result<Vec<Stmt>, ApiError> {
    let body = FactBody::ReferralMoved { referral: referral.into(), partner: to.into(), reason: reason.into() };
    Ok(vec![
        guard(
            "EXISTS (SELECT 1 FROM referral WHERE id = ?1 AND partner = ?2)
             AND (SELECT count(*) FROM fact WHERE referral = ?1 AND id LIKE 'referral_moved:%') = ?3",
            vec![referral.into(), from.into(), (n - 1).into()],
        ),
        sql!("INSERT INTO referral_was (referral, partner) VALUES (?1, ?2) ON CONFLICT DO NOTHING", referral, from),
        sql!("UPDATE referral SET partner = ?2, rule = ?3 WHERE id = ?1", referral, to, rule.name()),
        journal::insert(&Fact { id: format!("referral_moved:{referral}:{n}"), at, body })?,
    ])
}
