//! `GET /v1/partners`: all agencies, searched, filtered and in an order, out of their rows on the board.

use std::borrow::Cow;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use wire::{PartnerOrder, PartnerPage, PartnerRow, PartnersQuery};

use crate::App;
use crate::auth::Staff;
use crate::board;
use crate::db::{Stmt, Val};
use crate::error::{ApiError, Params};
use crate::tokens::{at, read_partner_code};
use partner::words;

/// Agencies on a page.
const PAGE: u32 = 50;
const MOST: u32 = 200;
/// Words of a search that are looked for.
const WORDS: usize = 6;
/// Slices of agencies that are computed before the list is answered.
const SLICES: usize = 1;

/// An agency as a statement reads it.
#[derive(Deserialize)]
pub(crate) struct Row {
    pub code: String,
    pub name: String,
    email: String,
    website: String,
    country: String,
    slug: Option<String>,
    joined_ms: i64,
    pub suspended: i64,
    pub has_account: i64,
    pub transfers: String,
    pub frozen_until_ms: Option<i64>,
    referrals: u32,
    pub accepted: i64,
    pub open: i64,
    balance_minor: Option<i64>,
    waiting_minor: Option<i64>,
    under_review: Option<u32>,
}

impl Row {
    pub(crate) fn partner(self) -> PartnerRow {
        PartnerRow {
            code: self.code,
            name: self.name,
            email: self.email,
            website: self.website,
            country: self.country,
            slug: self.slug,
            joined_at: at(self.joined_ms),
            suspended: self.suspended != 0,
            has_account: self.has_account != 0,
            transfers_active: self.transfers == "active",
            terms_accepted: self.accepted != 0,
            referrals: self.referrals,
            balance_minor: self.balance_minor,
            waiting_minor: self.waiting_minor,
            under_review: self.under_review.unwrap_or(0),
        }
    }
}

/// Everything that a row shows, of the agencies in `page`.
const SHOWN: &str = "SELECT p.code, p.name, p.email, p.website, p.country, s.slug, p.joined_ms, p.suspended,
        p.account IS NOT NULL AS has_account, p.transfers, p.frozen_until_ms,
        (SELECT count(*) FROM referral r WHERE r.partner = p.code) AS referrals,
        EXISTS (SELECT 1 FROM terms_acceptance t WHERE t.partner = p.code AND t.version = ?1) AS accepted,
        EXISTS (SELECT 1 FROM run_item i WHERE i.partner = p.code AND i.sealed = 1 AND i.state NOT IN ('paid', 'void')) AS open,
        b.balance_minor, b.waiting_minor, b.under_review
     FROM page JOIN partner p ON p.code = page.code LEFT JOIN board b ON b.partner = p.code
          LEFT JOIN partner_slug s ON s.partner = p.code AND s.ended_ms IS NULL";

/// The agency of that code.
pub(crate) async fn find(app: &App, code: &str) -> Result<Option<Row>, ApiError> {
    let terms = &app.config.terms.in_force(app.host.now()).id;
    let text = format!("WITH page AS (SELECT ?2 AS code) {SHOWN}");
    let stmt = Stmt { sql: Cow::Owned(text), params: vec![terms.into(), code.into()] };
    Ok(app.db.query(stmt).await?.first()?)
}

/// What is asked for, as SQL over `partner p LEFT JOIN board b`. `?1` is the version of the terms in force.
struct Question {
    conditions: Vec<String>,
    params: Vec<Val>,
}

impl Question {
    fn of(asked: &PartnersQuery, terms: &str) -> Question {
        let mut question = Question { conditions: Vec::new(), params: vec![terms.into()] };
        let given = asked.q.as_deref().unwrap_or_default();
        // A code is read as people write it; anything else is words.
        match read_partner_code(given.trim()) {
            Some(code) => {
                let n = question.bind(code.into());
                question.conditions.push(format!("p.code = ?{n}"));
            }
            None => {
                for word in words(given).into_iter().take(WORDS) {
                    let n = question.bind(word.into());
                    question
                        .conditions
                        .push(format!("instr(coalesce(b.words, lower(p.name || ' ' || p.email)), ?{n})"));
                }
            }
        }
        match asked.suspended {
            Some(true) => question.conditions.push("p.suspended = 1".into()),
            Some(false) => question.conditions.push("p.suspended = 0".into()),
            None => {}
        }
        for (wanted, condition) in [
            (asked.no_account, "p.transfers <> 'active'"),
            (
                asked.terms_open,
                "NOT EXISTS (SELECT 1 FROM terms_acceptance t WHERE t.partner = p.code AND t.version = ?1)",
            ),
            (asked.in_debt, "b.balance_minor < 0"),
            (asked.to_review, "b.under_review > 0"),
        ] {
            if wanted {
                question.conditions.push(condition.into());
            }
        }
        question
    }

    fn bind(&mut self, value: Val) -> usize {
        self.params.push(value);
        self.params.len()
    }

    fn is_everybody(&self) -> bool {
        self.conditions.is_empty()
    }

    fn filter(&self) -> String {
        let all = if self.is_everybody() { "true".to_owned() } else { self.conditions.join(" AND ") };
        // The terms are named even where nothing asks for them, so that every parameter is used.
        format!("{all} AND ?1 IS NOT NULL")
    }

    fn count(&self) -> Stmt {
        let text = format!(
            "SELECT count(*) AS n FROM partner p LEFT JOIN board b ON b.partner = p.code WHERE {}",
            self.filter()
        );
        Stmt { sql: Cow::Owned(text), params: self.params.clone() }
    }

    fn page(mut self, order: PartnerOrder, descending: bool, from: u32, limit: u32) -> Stmt {
        let by = match order {
            PartnerOrder::Name => "coalesce(b.name, lower(p.name))",
            PartnerOrder::Joined => "p.joined_ms",
            PartnerOrder::Referrals => "b.referrals",
            PartnerOrder::Balance => "b.balance_minor",
            PartnerOrder::Waiting => "b.waiting_minor",
            PartnerOrder::ToReview => "b.under_review",
        };
        let way = if descending { "DESC" } else { "ASC" };
        let filter = self.filter();
        let (limit, from) = (self.bind(limit.into()), self.bind(from.into()));
        let order = format!("ORDER BY {by} {way}, p.code {way}");
        let text = format!(
            "WITH page AS MATERIALIZED (
                SELECT p.code FROM partner p LEFT JOIN board b ON b.partner = p.code WHERE {filter}
                {order} LIMIT ?{limit} OFFSET ?{from})
             {SHOWN} {order}"
        );
        Stmt { sql: Cow::Owned(text), params: self.params }
    }
}

/// `GET /v1/partners`.
pub(crate) async fn list(
    _: Staff,
    State(app): State<App>,
    Params(asked): Params<PartnersQuery>,
) -> Result<Json<PartnerPage>, ApiError> {
    #[derive(Deserialize)]
    struct Count {
        n: u32,
    }
    let behind = board::keep_board(&app, SLICES).await?;
    let question = Question::of(&asked, &app.config.terms.in_force(app.host.now()).id);
    let everybody = question.is_everybody();
    let limit = asked.limit.unwrap_or(PAGE).min(MOST);
    let mut batch = vec![crate::sql!("SELECT count(*) AS n FROM partner")];
    if !everybody {
        batch.push(question.count());
    }
    batch.push(question.page(asked.sort, asked.descending, asked.from, limit));
    let read = app.db.batch(batch).await?;
    let count = |at: usize| Ok::<_, ApiError>(read.get(at).map(|r| r.first::<Count>()).transpose()?.flatten());
    let total = count(0)?.map_or(0, |c| c.n);
    let found = if everybody { total } else { count(1)?.map_or(0, |c| c.n) };
    let rows: Vec<Row> = read.last().map(|r| r.all()).transpose()?.unwrap_or_default();
    Ok(Json(PartnerPage { total, found, behind, partners: rows.into_iter().map(Row::partner).collect() }))
}
