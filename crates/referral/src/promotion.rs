//! Stripe's promotion codes that are a partner's: a client who redeems one has named the partner.
//!
//! A code, its redemption and the sign-up may be reported in any order; each of them looks for the others.

use chrono::{DateTime, Utc};
use commission::{Fact, FactBody};
use serde::Deserialize;

use crate::attribution::{Rule, Source, Touch, decide_again};
use crate::db::{Stmt, guard};
use crate::error::ApiError;
use crate::partners::Decisions;
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

/// Whose a code is, as far as it is known.
pub(crate) async fn kept(app: &App, id: &str) -> Result<Option<Code>, ApiError> {
    let query = sql!("SELECT partner, code FROM promotion_code WHERE id = ?1", id);
    Ok(app.db.query(query).await?.first()?)
}

/// A promotion code that is known.
#[derive(Deserialize)]
pub(crate) struct Code {
    pub partner: String,
    pub code: String,
}

/// A client redeemed a code, whose ever it is. Of several reports the earliest time is kept.
pub(crate) fn keep_redemption(promotion_code: &str, stripe_customer: &str, at: DateTime<Utc>) -> Stmt {
    sql!(
        "INSERT INTO redemption (promotion_code, stripe_customer, at_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET at_ms = min(at_ms, excluded.at_ms)",
        promotion_code,
        stripe_customer,
        ms(at),
    )
}

/// Whether that is known already, with this time or an earlier one.
pub(crate) async fn is_redeemed(
    app: &App,
    promotion_code: &str,
    stripe_customer: &str,
    at: DateTime<Utc>,
) -> Result<bool, ApiError> {
    let rows = app
        .db
        .query(sql!(
            "SELECT 1 AS one FROM redemption WHERE promotion_code = ?1 AND stripe_customer = ?2 AND at_ms <= ?3",
            promotion_code,
            stripe_customer,
            ms(at),
        ))
        .await?;
    Ok(rows.first::<serde_json::Value>()?.is_some())
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
pub(crate) async fn reconsider_all(app: &App, promotion_code: &str) -> Result<(Vec<Stmt>, Vec<String>), ApiError> {
    #[derive(Deserialize)]
    struct Row {
        stripe_customer: String,
    }
    let query = sql!("SELECT stripe_customer FROM redemption WHERE promotion_code = ?1", promotion_code);
    let rows: Vec<Row> = app.db.query(query).await?.all()?;
    let (mut batch, mut names) = (Vec::new(), Vec::new());
    for row in rows {
        let (more, known) = reconsider(app, &row.stripe_customer, None, None).await?;
        batch.extend(more);
        names.extend(known);
    }
    Ok((batch, names))
}

#[derive(Deserialize)]
struct Customer {
    id: String,
    signed_up_ms: Option<i64>,
    email: Option<String>,
    referral: Option<String>,
    partner: Option<String>,
    rule: Option<String>,
    first_paid: Option<DateTime<Utc>>,
}

async fn load(app: &App, stripe_customer: &str, customer: Option<&str>) -> Result<Option<Customer>, ApiError> {
    let query = sql!(
        "SELECT c.id, c.signed_up_ms, c.email, c.referral, r.partner, r.rule,
            (SELECT min(f.body->>'at') FROM fact f
             WHERE f.referral = c.referral AND f.id LIKE 'invoice_paid:%' AND f.body->>'amount_minor' > 0) AS first_paid
         FROM customer c LEFT JOIN referral r ON r.id = c.referral
         WHERE c.id = coalesce(?2, (SELECT id FROM customer WHERE stripe_customer = ?1))",
        stripe_customer,
        customer,
    );
    Ok(app.db.query(query).await?.first()?)
}

/// A touch with its number among the customer's.
struct Numbered {
    n: usize,
    touch: Touch,
    decided: bool,
}

async fn touches_of(app: &App, customer: &str) -> Result<Vec<Numbered>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        n: usize,
        at_ms: Option<i64>,
        source: String,
        partner: String,
        click: Option<String>,
        given: Option<String>,
        counts: i64,
        decided: i64,
    }
    let query = sql!(
        "SELECT n, at_ms, source, partner, click, given, counts, decided FROM touch WHERE customer = ?1 ORDER BY n",
        customer,
    );
    let rows: Vec<Row> = app.db.query(query).await?.all()?;
    let numbered = |r: Row| {
        let source = Source::named(&r.source)?;
        let (at, counts) = (r.at_ms.map(at), r.counts != 0);
        let touch = Touch { at, source, partner: r.partner, click: r.click, given: r.given, counts };
        Some(Numbered { n: r.n, touch, decided: r.decided != 0 })
    };
    Ok(rows.into_iter().filter_map(numbered).collect())
}

/// A payment of a referral that is about to be a fact.
#[derive(Clone, Copy)]
pub(crate) struct Payment<'a> {
    pub referral: &'a str,
    pub at: DateTime<Utc>,
}

/// Decides once more to whom a customer who redeemed codes is credited, with everything known by now: what it comes to
/// depends on what happened and not on the order in which it was told. What a person decided stays.
///
/// `customer` is AIKit's id where Stripe's is only being learned, `paid` a payment that is written in the same batch. Answers
/// what to write, and the names that events may wait for and that are known from then on.
pub(crate) async fn reconsider(
    app: &App,
    stripe_customer: &str,
    customer: Option<&str>,
    paid: Option<Payment<'_>>,
) -> Result<(Vec<Stmt>, Vec<String>), ApiError> {
    let nothing = (Vec::new(), Vec::new());
    let redeemed = redeemed_by(app, stripe_customer).await?;
    if redeemed.is_empty() {
        return Ok(nothing);
    }
    let Some(customer) = load(app, stripe_customer, customer).await? else { return Ok(nothing) };
    let Some(signed_up_at) = customer.signed_up_ms.map(at) else { return Ok(nothing) };
    let known = touches_of(app, &customer.id).await?;
    let next = known.iter().map(|k| k.n).max().unwrap_or(0) + 1;
    let before = known.iter().find(|k| k.decided).map(|k| k.n);
    let is_same = |k: &Numbered, t: &Touch| {
        k.touch.source == t.source && k.touch.partner == t.partner && k.touch.at == t.at && k.touch.given == t.given
    };
    let (told, fresh): (Vec<Touch>, Vec<Touch>) =
        redeemed.into_iter().partition(|t| known.iter().any(|k| is_same(k, t)));
    // A redemption that was told with a later time is evidence, and stands there with its earlier one too.
    let is_superseded = |t: &Touch| t.source == Source::PromotionCode && !told.contains(t);
    let numbered = known.into_iter().filter(|k| !is_superseded(&k.touch)).map(|k| (k.n, k.touch));
    let (ns, touches): (Vec<usize>, Vec<Touch>) =
        numbered.chain(fresh.iter().cloned().enumerate().map(|(n, t)| (next + n, t))).unzip();

    let paid = paid.filter(|p| Some(p.referral) == customer.referral.as_deref()).map(|p| p.at);
    let first_paid = customer.first_paid.into_iter().chain(paid).min();
    let by_staff = customer.rule.as_deref() == Some(Rule::Staff.name());
    let decision = if by_staff { None } else { decide_again(&touches, signed_up_at, first_paid) };
    let (mut batch, mut names) = (Vec::new(), Vec::new());
    if let Some((winner, rule)) = decision {
        let touch = &touches[winner];
        match (&customer.referral, &customer.email) {
            (Some(referral), _) if customer.partner.as_ref() != Some(&touch.partner) => {
                let from = customer.partner.as_deref().unwrap_or_default();
                let reason = match touch.source {
                    Source::PromotionCode => format!(
                        "The client redeemed the promotion code {}.",
                        touch.given.as_deref().unwrap_or_default()
                    ),
                    _ => "The promotion code was redeemed after the client's first payment.".into(),
                };
                let moves = Decisions::moves_of(app, referral).await?;
                let at = moves.next_at(touch.at.unwrap_or(signed_up_at));
                batch.extend(moved(referral, from, &touch.partner, rule, at, moves.n + 1, &reason)?);
            }
            (None, Some(email)) => {
                let referral = tokens::id(&*app.host, "r");
                let partner = &touch.partner;
                let credit =
                    Credit { referral: &referral, partner, email, signed_up_at, click: None, rule, reason: None };
                batch.extend(credited(&customer.id, &credit)?);
                names.push(format!("customer:{stripe_customer}"));
                tracing::info!(partner, "a promotion code is credited");
            }
            (Some(referral), _) if customer.rule.as_deref() != Some(rule.name()) => batch.push(sql!(
                "UPDATE referral SET rule = ?3 WHERE id = ?1 AND partner = ?2",
                referral,
                &touch.partner,
                rule.name(),
            )),
            _ => {}
        }
    }
    if !fresh.is_empty() {
        batch.push(keep_touches(&customer.id, next, &fresh, None));
    }
    match decision.map(|(winner, _)| ns[winner]) {
        Some(n) if before != Some(n) => {
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            batch.push(sql!("UPDATE touch SET decided = (n = ?2) WHERE customer = ?1", &customer.id, n));
        }
        _ => {}
    }
    Ok((batch, names))
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
