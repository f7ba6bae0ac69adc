//! E-mail to people: what is said, to whom, and that it is sent once. Each message is keyed by what it is about and who
//! reads it, written in the batch that finds the occasion, and sent by [`send_messages`].

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use commission::format_minor;
use hmac::{Hmac, KeyInit, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use url::Url;
use wire::{NotPaidReason, Preferences};

use crate::auth::Signed;
use crate::db::Stmt;
use crate::error::{ApiError, Body, invalid, not_found, unavailable};
use crate::events::BankPayout;
use crate::outbox::next_try;
use crate::ports::Letter;
use crate::tokens::{self, ms};
use crate::{App, landing, sql};
use partner::in_words;

/// Messages that are sent in one go.
const AT_ONCE: u32 = 50;
/// Stripe is given this long before its open requirements are written about: most are filled in at one sitting.
const SETTLE_MS: i64 = 60 * 60 * 1000;
/// Between two messages about what Stripe needs.
const REMIND_MS: i64 = 3 * 24 * 60 * 60 * 1000;

/// What sort of message it is: what can be switched off, apart from the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Milestones,
    Payouts,
    ActionNeeded,
    Finance,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Milestones => "milestones",
            Kind::Payouts => "payouts",
            Kind::ActionNeeded => "action_needed",
            Kind::Finance => "finance",
        }
    }

    fn optional(name: &str) -> Option<Kind> {
        [Kind::Milestones, Kind::Payouts].into_iter().find(|kind| kind.name() == name)
    }
}

/// Something to say, whoever reads it.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// What it is about.
    pub key: String,
    pub kind: Kind,
    pub subject: String,
    pub text: String,
}

impl Notice {
    /// The message to one person: once, and not where the person was removed or does not want it.
    pub(crate) fn to(&self, app: &App, person: &str) -> Stmt {
        sql!(
            "INSERT INTO message (key, person, kind, subject, text, made_ms, due_ms) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6
             WHERE EXISTS (SELECT 1 FROM person p WHERE p.id = ?2 AND p.removed_ms IS NULL)
             AND NOT EXISTS (SELECT 1 FROM message_off o WHERE o.person = ?2 AND o.kind = ?3)
             ON CONFLICT (key) DO NOTHING",
            format!("{}:{person}", self.key),
            person,
            self.kind.name(),
            &self.subject,
            &self.text,
            ms(app.host.now()),
        )
    }
}

fn page(app: &App, path: &str) -> String {
    let mut url = app.config.public_url.clone();
    url.set_path(path);
    url.into()
}

pub(crate) fn joined(app: &App, code: &str, name: &str) -> Notice {
    Notice {
        key: format!("joined:{code}"),
        kind: Kind::Milestones,
        subject: format!("Welcome to AIKit Partners, {name}"),
        text: format!(
            "Welcome aboard, {name}!\n\nThis is your link. Whoever follows it and subscribes within 30 days is your client:\n\n    {}\n\n\
             Two things make it pay:\n\n  1. Send the link to one client who would be glad of AIKit. One is enough to begin.\n  \
             2. Connect your Stripe account, so that we can pay you. It takes about five minutes:\n     {}\n\n\
             Your code, should somebody type it instead, is {code}.\n\nWe are glad that you are here.\nAIKit Partners\n",
            page(app, &format!("/r/{code}")),
            page(app, "/"),
        ),
    }
}

pub(crate) fn first_commission(app: &App, partner: &str, amount_minor: i64, why: &str) -> Notice {
    let amount = format_minor(amount_minor);
    Notice {
        key: format!("first_commission:{partner}"),
        kind: Kind::Milestones,
        subject: format!("Your first commission: {amount}"),
        text: format!(
            "Congratulations! A client of yours has paid, and {amount} of it is yours:\n\n    {why}\n\n\
             From now on this comes with every payment that the client makes. You can watch it grow, and read the reason of every cent:\n{}\n\nAIKit Partners\n",
            page(app, "/clients"),
        ),
    }
}

pub(crate) fn payout_sent(app: &App, item: &str, amount_minor: i64, month: &str, transfer: Option<&str>) -> Notice {
    let amount = format_minor(amount_minor);
    let transfer = transfer.map(|t| format!(" (Stripe calls it {t})")).unwrap_or_default();
    Notice {
        key: format!("payout_sent:{item}"),
        kind: Kind::Payouts,
        subject: format!("{amount} is on its way to you"),
        text: format!(
            "Your commission for {month} has been paid: {amount} is in your Stripe account{transfer}, and Stripe passes it on to your bank, \
             usually within a few days.\n\nWhat it is made of, line by line:\n{}\n\nThank you for recommending AIKit.\nAIKit Partners\n",
            page(app, &format!("/payouts/{item}")),
        ),
    }
}

fn stripe_needs(app: &App, partner: &str, requirements: &str) -> Notice {
    Notice {
        key: format!("stripe:{partner}:{requirements}"),
        kind: Kind::ActionNeeded,
        subject: "Stripe needs something from you before you can be paid".into(),
        text: format!(
            "{}\n\nYour commission is counted all the while and waits for you. To finish, sign in and choose «Finish your Stripe account»:\n{}\n\nAIKit Partners\n",
            partner::sentence(&serde_json::from_str::<Vec<String>>(requirements).unwrap_or_default(), 3),
            page(app, "/"),
        ),
    }
}

pub(crate) fn bank_refused(app: &App, payout: &BankPayout) -> Notice {
    let amount = format_amount(payout.amount_minor, &payout.currency);
    Notice {
        key: format!("bank_refused:{}", payout.id),
        kind: Kind::ActionNeeded,
        subject: format!("Your bank refused {amount}"),
        text: format!(
            "Stripe wanted to pass {amount} on to your bank, and {}.\n\nThe money is in your Stripe account. Correct the bank account there, and Stripe \
             sends it again by itself; we do not pay it a second time:\n{}\n\nAIKit Partners\n",
            partner::bank_refusal(payout.failure.as_deref()),
            page(app, "/payouts"),
        ),
    }
}

/// An amount of any currency that Stripe pays out in, as people write it: minor units are hundredths in nearly all of them.
fn format_amount(amount_minor: i64, currency: &str) -> String {
    match currency {
        "usd" => format_minor(amount_minor),
        "jpy" | "krw" | "vnd" | "clp" | "pyg" | "ugx" | "xaf" | "xof" | "xpf" | "bif" | "djf" | "gnf" | "kmf"
        | "mga" | "rwf" | "vuv" => {
            format!("{amount_minor} {}", currency.to_uppercase())
        }
        other => format!("{} {}", format_minor(amount_minor).replace('$', ""), other.to_uppercase()),
    }
}

/// To everybody of an agency, whoever did it: for whoever did not.
pub(crate) fn account_left(
    app: &App,
    partner: &str,
    account: &str,
    by: &str,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Notice {
    let when = |at: DateTime<Utc>| at.format("%-d %B %Y, %H:%M UTC");
    Notice {
        key: format!("account_left:{partner}:{account}"),
        kind: Kind::ActionNeeded,
        subject: "Your payouts will go to another Stripe account".into(),
        text: format!(
            "{by} has removed the Stripe account {account} from your agency on {}, to connect another one. Nothing is paid before {}.\n\n\
             If none of you did this, somebody else has access to that sign-in: end all sessions and write to us at once, before that time.\n\n\
             What you earn is counted all the while. To connect the other account:\n{}\n\nAIKit Partners\n",
            when(now),
            when(until),
            page(app, "/payouts"),
        ),
    }
}

fn new_terms(app: &App, partner: &str, version: &str) -> Notice {
    Notice {
        key: format!("terms:{partner}:{version}"),
        kind: Kind::ActionNeeded,
        subject: "The program's terms have a new version".into(),
        text: format!(
            "The terms of AIKit Partners have a new version, {version}. Clients that you brought before keep the numbers of the terms \
             under which they signed up.\n\nPlease read and accept them before the next payout:\n{}\n\nAIKit Partners\n",
            page(app, "/"),
        ),
    }
}

fn not_paid(app: &App, run: &str, partner: &str, month: &str, reason: NotPaidReason, balance_minor: i64) -> Notice {
    let subject = match reason {
        NotPaidReason::Debt => format!("About your payout for {month}"),
        _ => format!("{} waits for you: one step is missing", format_minor(balance_minor)),
    };
    let next = match reason {
        NotPaidReason::Debt => "There is nothing that you have to do; your statement shows every step of it:",
        _ => "It will be paid with the next run once this is done:",
    };
    Notice {
        key: format!("not_paid:{run}:{partner}"),
        kind: Kind::ActionNeeded,
        subject,
        text: format!(
            "{month} has been paid out, and you were not in it. {}\n\n{next}\n{}\n\nAIKit Partners\n",
            in_words(reason, balance_minor, None),
            page(app, "/"),
        ),
    }
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// Everybody of finance.
pub(crate) async fn finance(app: &App) -> Result<Vec<String>, ApiError> {
    let rows: Vec<Id> = app
        .db
        .query(sql!("SELECT id FROM person WHERE role = 'finance' AND removed_ms IS NULL ORDER BY id"))
        .await?
        .all()?;
    Ok(rows.into_iter().map(|r| r.id).collect())
}

/// The people of an agency.
pub(crate) async fn people_of(app: &App, partner: &str) -> Result<Vec<String>, ApiError> {
    let rows: Vec<Id> = app
        .db
        .query(sql!("SELECT id FROM person WHERE partner = ?1 AND removed_ms IS NULL ORDER BY id", partner))
        .await?
        .all()?;
    Ok(rows.into_iter().map(|r| r.id).collect())
}

/// Writes to owners whose agency needs to do something before it can be paid: Stripe's requirements, new terms, and
/// what kept them out of a run. Answers how many messages were made.
///
/// # Errors
/// The database's.
pub async fn tell_what_is_needed(app: &App) -> Result<u64, ApiError> {
    #[derive(Deserialize)]
    struct Needs {
        person: String,
        partner: String,
        #[serde(default)]
        requirements: String,
    }
    #[derive(Deserialize)]
    struct Unpaid {
        person: String,
        partner: String,
        run: String,
        as_of: chrono::DateTime<chrono::Utc>,
        reason: NotPaidReason,
        balance_minor: i64,
    }
    let now = ms(app.host.now());
    let stripe: Vec<Needs> = app
        .db
        .query(sql!(
            "SELECT o.id AS person, p.code AS partner, p.requirements FROM partner p JOIN person o ON o.partner = p.code AND o.role = 'owner' AND o.removed_ms IS NULL
             WHERE p.account IS NOT NULL AND p.transfers <> 'active' AND p.requirements <> '[]' AND p.account_event_s * 1000 <= ?1
             AND NOT EXISTS (SELECT 1 FROM message m WHERE m.key = 'stripe:' || p.code || ':' || p.requirements || ':' || o.id)
             AND NOT EXISTS (SELECT 1 FROM message m WHERE m.person = o.id AND m.kind = 'action_needed' AND m.made_ms > ?2
                             AND m.key LIKE 'stripe:%')
             ORDER BY p.code LIMIT 500",
            now - SETTLE_MS,
            now - REMIND_MS,
        ))
        .await?
        .all()?;
    let version = app.config.terms.in_force(app.host.now()).id.clone();
    let terms: Vec<Needs> = app
        .db
        .query(sql!(
            "SELECT o.id AS person, p.code AS partner FROM partner p JOIN person o ON o.partner = p.code AND o.role = 'owner' AND o.removed_ms IS NULL
             WHERE NOT EXISTS (SELECT 1 FROM terms_acceptance t WHERE t.partner = p.code AND t.version = ?1)
             AND NOT EXISTS (SELECT 1 FROM message m WHERE m.key = 'terms:' || p.code || ':' || ?1 || ':' || o.id)
             ORDER BY p.code LIMIT 500",
            &version,
        ))
        .await?
        .all()?;
    // Of the newest run that is paid: before that it may still be undone.
    let unpaid: Vec<Unpaid> = app
        .db
        .query(sql!(
            "SELECT o.id AS person, n.partner, n.run, r.as_of, n.reason, n.balance_minor
             FROM run_not_paid n JOIN run r ON r.id = n.run AND r.id = (SELECT id FROM run WHERE state = 'done' ORDER BY as_of DESC LIMIT 1)
             JOIN person o ON o.partner = n.partner AND o.role = 'owner' AND o.removed_ms IS NULL
             WHERE n.reason IN ('no_account', 'transfers_inactive', 'terms_not_accepted', 'debt')
             AND NOT EXISTS (SELECT 1 FROM message m WHERE m.key = 'not_paid:' || n.run || ':' || n.partner || ':' || o.id)
             ORDER BY n.partner LIMIT 500"
        ))
        .await?
        .all()?;
    let stripe = stripe.iter().map(|n| stripe_needs(app, &n.partner, &n.requirements).to(app, &n.person));
    let terms = terms.iter().map(|n| new_terms(app, &n.partner, &version).to(app, &n.person));
    let unpaid = unpaid.iter().map(|n| {
        let month = month_before(n.as_of);
        not_paid(app, &n.run, &n.partner, &month, n.reason, n.balance_minor).to(app, &n.person)
    });
    let batch: Vec<Stmt> = stripe.chain(terms).chain(unpaid).collect();
    if batch.is_empty() {
        return Ok(0);
    }
    Ok(app.db.batch(batch).await?.iter().map(|rows| rows.changes).sum())
}

/// Messages that wait for somebody who was removed are not sent.
pub(crate) fn end_all(person: &str) -> Stmt {
    sql!(
        "UPDATE message SET state = 'failed', text = '', note = 'the person was removed' WHERE person = ?1 AND state = 'due'",
        person
    )
}

/// The month that a run closes, in words: the one before its `as_of`.
pub(crate) fn month_before(as_of: chrono::DateTime<chrono::Utc>) -> String {
    as_of.checked_sub_months(chrono::Months::new(1)).unwrap_or(as_of).format("%B %Y").to_string()
}

/// Sends the messages whose time has come. Answers how many were handed over. A crash between handing over and recording
/// it sends a message once more, under the same Message-ID.
///
/// # Errors
/// The database's. A message that is not taken is tried again for three days.
pub async fn send_messages(app: &App) -> Result<usize, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        id: i64,
        person: String,
        email: String,
        kind: String,
        subject: String,
        text: String,
        attempts: i64,
        made_ms: i64,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT m.id, m.person, p.email, m.kind, m.subject, m.text, m.attempts, m.made_ms FROM message m
             JOIN person p ON p.id = m.person WHERE m.state = 'due' AND m.due_ms <= ?1 ORDER BY m.due_ms, m.id LIMIT ?2",
            ms(app.host.now()),
            AT_ONCE,
        ))
        .await?
        .all()?;
    if rows.is_empty() {
        return Ok(0);
    }
    let secret = secret(app).await?;
    let host = app.config.public_url.host_str().unwrap_or("localhost").to_string();
    let mut sent = 0;
    for row in rows {
        let now = app.host.now();
        let next = next_try(row.made_ms, row.attempts + 1, ms(now));
        // Taken before it is sent: a second server finds nothing to do.
        let taken = app
            .db
            .query(sql!(
                "UPDATE message SET attempts = attempts + 1, due_ms = ?3 WHERE id = ?1 AND attempts = ?2 AND state = 'due'",
                row.id,
                row.attempts,
                next.unwrap_or(ms(now)),
            ))
            .await?;
        if taken.changes == 0 {
            continue;
        }
        let unsubscribe = Kind::optional(&row.kind).map(|kind| unsubscribe_url(app, &secret, &row.person, kind));
        let foot = match &unsubscribe {
            Some(url) => format!("\n--\nYou can end this kind of e-mail with one click: {url}\n"),
            None => String::new(),
        };
        let letter = Letter {
            to: row.email,
            subject: row.subject,
            text: row.text + &foot,
            message_id: Some(format!("<message.{}.{}@{host}>", row.id, row.made_ms)),
            unsubscribe,
        };
        let done = match app.mail.post(letter).await {
            Ok(()) => {
                sent += 1;
                sql!(
                    "UPDATE message SET state = 'sent', sent_ms = ?2, text = '', note = NULL WHERE id = ?1",
                    row.id,
                    ms(now)
                )
            }
            Err(reason) => {
                tracing::warn!(message = row.id, kind = row.kind, %reason, "an e-mail was not taken");
                sql!(
                    "UPDATE message SET note = ?2, state = CASE WHEN ?3 = 1 THEN 'failed' ELSE state END WHERE id = ?1",
                    row.id,
                    reason,
                    next.is_none(),
                )
            }
        };
        app.db.query(done).await?;
    }
    Ok(sent)
}

/// What signs links in e-mail; made when it is first needed.
async fn secret(app: &App) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        secret: Option<String>,
    }
    let fresh = tokens::secret(&*app.host, "aik_lnk");
    let answers = app
        .db
        .batch(vec![
            sql!("UPDATE program SET secret = ?1 WHERE secret IS NULL", fresh),
            sql!("SELECT secret FROM program"),
        ])
        .await?;
    let row: Option<Row> = answers.last().map(|rows| rows.first()).transpose()?.flatten();
    row.and_then(|r| r.secret).ok_or_else(|| unavailable("This database has no secret for links. Try again."))
}

fn signature(secret: &str, person: &str, kind: Kind) -> Result<Hmac<Sha256>, ApiError> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.map_err(|_| unavailable("The link cannot be checked just now."))?;
    mac.update(format!("unsubscribe\n{person}\n{}", kind.name()).as_bytes());
    Ok(mac)
}

fn unsubscribe_url(app: &App, secret: &str, person: &str, kind: Kind) -> Url {
    let mut url = app.config.public_url.clone();
    let signed = signature(secret, person, kind).map(|mac| hex::encode(mac.finalize().into_bytes()));
    url.set_path("/v1/unsubscribe");
    url.query_pairs_mut()
        .append_pair("person", person)
        .append_pair("kind", kind.name())
        .append_pair("s", &signed.unwrap_or_default());
    url
}

/// The query of an unsubscribe link.
#[derive(Deserialize, utoipa::IntoParams)]
pub(crate) struct Unsubscribe {
    person: String,
    kind: String,
    s: String,
}

async fn read_link(app: &App, link: Result<Query<Unsubscribe>, QueryRejection>) -> Result<(String, Kind), ApiError> {
    let wrong =
        || not_found("This link is not complete. Copy the whole of it, or change your preferences after signing in.");
    let Query(link) = link.map_err(|_| wrong())?;
    let kind = Kind::optional(&link.kind).ok_or_else(wrong)?;
    let given = hex::decode(&link.s).map_err(|_| wrong())?;
    let right = signature(&secret(app).await?, &link.person, kind)?.verify_slice(&given).is_ok();
    if right { Ok((link.person, kind)) } else { Err(wrong()) }
}

/// `GET /v1/unsubscribe`: asks once more, because mail scanners follow links too.
pub(crate) async fn ask_unsubscribe(
    State(app): State<App>,
    link: Result<Query<Unsubscribe>, QueryRejection>,
) -> Result<Response, ApiError> {
    let what = match read_link(&app, link).await?.1 {
        Kind::Payouts => "that a payout was sent",
        _ => "about milestones such as your first commission",
    };
    let button = "<button style='font:inherit;padding:.5rem 1rem'>Yes, end it</button>";
    let form = format!("<p>You will no longer be told {what}.</p><form method=post>{button}</form>");
    Ok(landing::page(StatusCode::OK, "End this kind of e-mail?", &form))
}

/// `POST /v1/unsubscribe`: the button of that page, or the mail program's own (RFC 8058).
pub(crate) async fn unsubscribe(
    State(app): State<App>,
    link: Result<Query<Unsubscribe>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (person, kind) = read_link(&app, link).await?;
    let off = switch(&person, kind, false);
    app.db.query(off).await.map_err(|_| not_found("This person is no longer known here."))?;
    let said = "This kind of e-mail has ended. You can switch it on again in your preferences.";
    Ok(landing::notice(StatusCode::OK, "Done", said, None))
}

fn switch(person: &str, kind: Kind, on: bool) -> Stmt {
    if on {
        sql!("DELETE FROM message_off WHERE person = ?1 AND kind = ?2", person, kind.name())
    } else {
        sql!("INSERT INTO message_off (person, kind) VALUES (?1, ?2) ON CONFLICT DO NOTHING", person, kind.name())
    }
}

/// `GET /v1/preferences`.
pub(crate) async fn preferences(
    Signed(account): Signed,
    State(app): State<App>,
) -> Result<Json<Preferences>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        kind: String,
    }
    let off: Vec<Row> =
        app.db.query(sql!("SELECT kind FROM message_off WHERE person = ?1", &account.user)).await?.all()?;
    let on = |kind: Kind| off.iter().all(|row| row.kind != kind.name());
    Ok(Json(Preferences { milestones: on(Kind::Milestones), payouts: on(Kind::Payouts), action_needed: true }))
}

/// `POST /v1/preferences`.
pub(crate) async fn set_preferences(
    signed: Signed,
    State(app): State<App>,
    Body(wanted): Body<Preferences>,
) -> Result<Json<Preferences>, ApiError> {
    if !wanted.action_needed {
        return Err(invalid("What keeps you from being paid is always written to you: action_needed stays true."));
    }
    let person = &signed.0.user;
    app.db
        .batch(vec![switch(person, Kind::Milestones, wanted.milestones), switch(person, Kind::Payouts, wanted.payouts)])
        .await?;
    preferences(signed, State(app)).await
}
