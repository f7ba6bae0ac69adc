//! The records of an agency as the rows that the desktop app copies: what each kind is made of.

use std::collections::BTreeMap;

use commission::{FactBody, parse_fact, told};
use partner::{ClientRow, Kind, Profile, Program};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use wire::ErrorCode;

use crate::db::Stmt;
use crate::error::{ApiError, not_found, unavailable};
use crate::{App, journal, resources, runs, sql};

/// A row that a statement made.
#[derive(Deserialize)]
struct Made {
    id: String,
    body: String,
}

/// The agency ([`Profile`]).
fn profile_body(partner: &str) -> Stmt {
    sql!(
        "SELECT '' AS id, json_object('code', p.code, 'name', p.name, 'country', p.country,
            'slug', (SELECT s.slug FROM partner_slug s WHERE s.partner = p.code AND s.ended_ms IS NULL),
            'account', p.account, 'transfers', p.transfers, 'payouts_enabled', p.payouts_enabled,
            'requirements', json(p.requirements), 'frozen_until_ms', p.frozen_until_ms,
            'accepted', json((SELECT json_group_array(version) FROM (SELECT t.version FROM terms_acceptance t WHERE t.partner = p.code ORDER BY t.version)))) AS body
         FROM partner p WHERE p.code = ?1",
        partner
    )
}

/// How clients came ([`ClientRow`]).
fn client_bodies(partner: &str, ids: &str) -> Stmt {
    sql!(
        "SELECT r.id, json_object('referral', r.id, 'signed_up_ms', r.signed_up_ms, 'rule', r.rule, 'click_ms', c.at_ms,
            'link', CASE WHEN c.partner = r.partner THEN c.link END) AS body
         FROM referral r LEFT JOIN click c ON c.id = r.click WHERE r.partner = ?1 AND r.id IN (SELECT value FROM json_each(?2))",
        partner,
        ids
    )
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T, ApiError> {
    serde_json::from_str(body).map_err(|error| {
        tracing::error!(%error, "a stored record has another form");
        unavailable("A record of this agency cannot be read. Nothing was changed.")
    })
}

/// The agency's profile.
pub(crate) async fn profile(app: &App, partner: &str) -> Result<Profile, ApiError> {
    let row: Option<Made> = app.db.query(profile_body(partner)).await?.first()?;
    read(&row.ok_or_else(|| not_found("There is no such agency."))?.body)
}

/// How one of its clients came.
pub(crate) async fn client(app: &App, partner: &str, referral: &str) -> Result<Option<ClientRow>, ApiError> {
    let row: Option<Made> = app.db.query(client_bodies(partner, &json!([referral]).to_string())).await?.first()?;
    row.map(|row| read(&row.body)).transpose()
}

/// The row `program`, which is the same for everybody.
pub(crate) fn program(app: &App) -> String {
    let program = Program {
        public_url: app.config.public_url.clone(),
        sites: app.config.sites(),
        terms: app.config.terms.to_toml(),
    };
    json!(program).to_string()
}

/// Marks everything of an agency, of whom nothing was copied before.
pub(crate) fn mark_all(partner: &str) -> Vec<Stmt> {
    let each = [
        "SELECT ?1, 'profile', ''",
        "SELECT ?1, 'fact', f.id FROM fact f WHERE f.partner = ?1",
        "SELECT ?1, 'fact', f.id FROM referral r JOIN fact f ON f.referral = r.id WHERE r.partner = ?1",
        "SELECT ?1, 'link', l.id FROM link l WHERE l.partner = ?1",
        "SELECT ?1, 'clicks', d.link || '|' || d.day FROM click_day d WHERE d.partner = ?1",
        "SELECT ?1, 'client', r.id FROM referral r WHERE r.partner = ?1",
        "SELECT ?1, 'payout', i.id FROM run_item i WHERE i.partner = ?1 AND i.sealed = 1",
        "SELECT ?1, 'resource', r.id FROM resource r WHERE r.published_ms IS NOT NULL",
    ];
    let mark = |select| Stmt {
        sql: format!("INSERT OR IGNORE INTO sync_touch (scope, kind, id) {select}").into(),
        params: vec![partner.into()],
    };
    each.into_iter().map(mark).collect()
}

/// The bodies of some rows of one kind, by id, as the database has them now. What is not among them does not exist, or is not
/// this agency's.
pub(crate) async fn bodies(
    app: &App,
    partner: &str,
    kind: Kind,
    ids: &[&str],
) -> Result<BTreeMap<String, String>, ApiError> {
    let listed = json!(ids).to_string();
    let stmt = match kind {
        Kind::Program => return Ok(BTreeMap::from([(String::new(), program(app))])),
        Kind::Payout => return payouts(app, partner, ids).await,
        Kind::Resource => resources::published_bodies(&listed),
        Kind::Profile => profile_body(partner),
        Kind::Client => client_bodies(partner, &listed),
        Kind::Fact => sql!(
            "SELECT f.id, f.body FROM fact f WHERE f.id IN (SELECT value FROM json_each(?2))
                AND (f.partner = ?1 OR EXISTS (SELECT 1 FROM referral r WHERE r.id = f.referral AND r.partner = ?1))",
            partner,
            listed
        ),
        Kind::Link => sql!(
            "SELECT l.id, json_object('id', l.id, 'campaign', l.campaign, 'path', l.path, 'utm', json(l.utm),
                'created_ms', l.created_ms, 'archived_ms', l.archived_ms) AS body
             FROM link l WHERE l.partner = ?1 AND l.id IN (SELECT value FROM json_each(?2))",
            partner,
            listed
        ),
        Kind::Clicks => sql!(
            "SELECT j.value AS id, json_object('link', d.link, 'day', d.day, 'clicks', d.clicks) AS body FROM json_each(?2) j
             JOIN click_day d ON d.partner = ?1 AND d.link = substr(j.value, 1, instr(j.value, '|') - 1)
                AND d.day = CAST(substr(j.value, instr(j.value, '|') + 1) AS INTEGER)
             WHERE d.link = '' OR EXISTS (SELECT 1 FROM link l WHERE l.id = d.link AND l.partner = d.partner)",
            partner,
            listed
        ),
    };
    let made: Vec<Made> = app.db.query(stmt).await?.all()?;
    let told = made.into_iter().filter_map(|row| match kind {
        Kind::Fact => fact(&row.body, partner).map(|body| body.map(|body| (row.id, body))).transpose(),
        _ => Some(Ok((row.id, row.body))),
    });
    told.collect()
}

/// A fact as its agency may have it; none where it has nothing to tell: a correction of a credit is told by whose the
/// referral is.
fn fact(body: &str, partner: &str) -> Result<Option<String>, ApiError> {
    let fact = parse_fact(body).map_err(|error| journal::unreadable(0, &error))?;
    let fact = fact.filter(|fact| !matches!(fact.body, FactBody::ReferralMoved { .. }));
    Ok(fact.map(|fact| json!(told(&fact, partner)).to_string()))
}

async fn payouts(app: &App, partner: &str, ids: &[&str]) -> Result<BTreeMap<String, String>, ApiError> {
    let mut bodies = BTreeMap::new();
    for id in ids {
        match runs::detail(app, id, Some(partner)).await {
            Ok(detail) => drop(bodies.insert((*id).to_owned(), json!(detail).to_string())),
            Err(error) if error.code == ErrorCode::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bodies)
}
