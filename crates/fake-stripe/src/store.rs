//! Durable state in SQLite: objects, ids, the clock's instant, what is due, balances and events.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, params};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    error::ApiError,
    objects::{int, text},
};

/// The version of Stripe's API whose shapes the stand-in answers in.
pub(crate) const API_VERSION: &str = "2026-09-30.endive";

/// What a request brings along into the events that it causes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cause {
    /// The `Request-Id`; absent when the clock is the cause.
    pub(crate) request_id: Option<String>,
    /// The request's idempotency key.
    pub(crate) idempotency_key: Option<String>,
}

/// Opens or creates the state, ready to survive a kill at any instant.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.execute_batch(include_str!("schema.sql"))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// One transaction at one instant.
pub(crate) struct Tx<'a> {
    /// The transaction itself, for the modules that own a table.
    pub(crate) sql: &'a Transaction<'a>,
    /// The stand-in's instant, in seconds since 1970.
    pub(crate) now: i64,
    /// Whose request it is.
    pub(crate) cause: &'a Cause,
    /// What ids follow from.
    pub(crate) seed: &'a str,
    /// The stand-in's own address, such as `http://127.0.0.1:12111`.
    pub(crate) base_url: &'a str,
}

/// Which objects a list call asks for.
pub(crate) struct Selection<'a> {
    /// Stripe's object name, one of our own constants.
    pub(crate) kind: &'static str,
    /// The connected account, or empty.
    pub(crate) account: &'a str,
    /// JSON paths that must have a value; the paths are our own constants, never input.
    pub(crate) equal: Vec<(&'static str, String)>,
    /// A further condition, one of our own constants.
    pub(crate) condition: &'static str,
    /// The payout to a bank that must contain it.
    pub(crate) payout: Option<String>,
    /// Bounds on `created`: the comparison, one of our own constants, and the instant.
    pub(crate) created: Vec<(&'static str, i64)>,
    /// Id after or before which the page starts; true walks towards newer objects.
    pub(crate) cursor: Option<(String, bool)>,
    /// At most so many.
    pub(crate) limit: i64,
}

impl Tx<'_> {
    /// A fresh id that looks like Stripe's and follows from the seed and the count of ids so far.
    pub(crate) fn id(&self, prefix: &str) -> Result<String, ApiError> {
        let used: i64 = self
            .sql
            .prepare_cached(
                "INSERT INTO counters VALUES (?1, 1) ON CONFLICT DO UPDATE SET used = used + 1 RETURNING used",
            )?
            .query_row([prefix], |row| row.get(0))?;
        let length = match prefix {
            "cus" | "prod" | "si" | "req" => 14,
            "acct" => 16,
            _ => 24,
        };
        Ok(format!("{prefix}_{}", letters(&format!("{}/{prefix}/{used}", self.seed), length)))
    }

    /// A remembered setting.
    pub(crate) fn meta(&self, name: &str) -> Result<Option<String>, ApiError> {
        let mut statement = self.sql.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Remembers a setting.
    pub(crate) fn set_meta(&self, name: &str, value: &str) -> Result<(), ApiError> {
        let mut statement = self.sql.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        statement.execute([name, value])?;
        Ok(())
    }

    /// Moves the instant of this transaction and of everything after it.
    pub(crate) fn set_now(&mut self, now: i64) -> Result<(), ApiError> {
        self.now = now;
        self.set_meta("now", &now.to_string())
    }

    /// Stores a new object of the platform.
    pub(crate) fn insert(&self, object: &Value) -> Result<(), ApiError> {
        self.insert_for("", object)
    }

    /// Stores a new object of a connected account.
    pub(crate) fn insert_for(&self, account: &str, object: &Value) -> Result<(), ApiError> {
        let created = object.get("created").and_then(Value::as_i64).unwrap_or(self.now);
        let mut statement = self
            .sql
            .prepare_cached("INSERT INTO objects (id, kind, account, created, body) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        statement.execute(params![
            text(object, "/id"),
            text(object, "/object"),
            account,
            created,
            object.to_string()
        ])?;
        Ok(())
    }

    /// Stores an object's new state.
    pub(crate) fn save(&self, object: &Value) -> Result<(), ApiError> {
        let mut statement = self.sql.prepare_cached("UPDATE objects SET body = ?2 WHERE id = ?1")?;
        statement.execute(params![text(object, "/id"), object.to_string()])?;
        Ok(())
    }

    /// Forgets an object.
    pub(crate) fn remove(&self, id: &str) -> Result<(), ApiError> {
        self.sql.execute("DELETE FROM objects WHERE id = ?1", [id])?;
        Ok(())
    }

    /// The object of a kind with an id, on the platform or on a connected account.
    pub(crate) fn find(&self, kind: &str, account: &str, id: &str) -> Result<Option<Value>, ApiError> {
        let mut statement =
            self.sql.prepare_cached("SELECT body FROM objects WHERE id = ?1 AND kind = ?2 AND account = ?3")?;
        let body: Option<String> = statement.query_row([id, kind, account], |row| row.get(0)).optional()?;
        Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
    }

    /// The platform's object that a path names, or Stripe's "No such …".
    pub(crate) fn read(&self, kind: &str, id: &str) -> Result<Value, ApiError> {
        self.find(kind, "", id)?.ok_or_else(|| ApiError::no_such(kind, id))
    }

    /// The platform's object that a parameter names.
    pub(crate) fn read_param(&self, kind: &str, id: &str, param: &str) -> Result<Value, ApiError> {
        self.find(kind, "", id)?.ok_or_else(|| ApiError::no_such_param(kind, id, param))
    }

    /// Any object with an id, for `expand`.
    pub(crate) fn any(&self, id: &str) -> Result<Option<Value>, ApiError> {
        let mut statement = self.sql.prepare_cached("SELECT body FROM objects WHERE id = ?1")?;
        let body: Option<String> = statement.query_row([id], |row| row.get(0)).optional()?;
        Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
    }

    /// Objects newest first, and whether there are more.
    pub(crate) fn select(&self, selection: &Selection<'_>) -> Result<(Vec<Value>, bool), ApiError> {
        // The kind is spelled out, so that SQLite can use the indexes of one kind.
        let mut sql = format!("SELECT body FROM objects WHERE kind = '{}' AND account = ?", selection.kind);
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(selection.account.to_owned())];
        for (path, value) in &selection.equal {
            sql += &format!(" AND json_extract(body, '{path}') = ?");
            values.push(Box::new(value.clone()));
        }
        for (comparison, instant) in &selection.created {
            sql += &format!(" AND created {comparison} ?");
            values.push(Box::new(*instant));
        }
        if !selection.condition.is_empty() {
            sql += &format!(" AND {}", selection.condition);
        }
        if let Some(payout) = &selection.payout {
            sql += " AND id IN (SELECT entry FROM account_entries WHERE payout = ?)";
            values.push(Box::new(payout.clone()));
        }
        let newer = selection.cursor.as_ref().is_some_and(|(_, newer)| *newer);
        if let Some((id, newer)) = &selection.cursor {
            let place: Option<(i64, i64)> = self
                .sql
                .query_row(
                    "SELECT created, seq FROM objects WHERE id = ? AND kind = ?",
                    [id.as_str(), selection.kind],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?;
            let param = if *newer { "ending_before" } else { "starting_after" };
            let (created, seq) = place.ok_or_else(|| ApiError::no_such_param(selection.kind, id, param))?;
            sql += if *newer { " AND (created, seq) > (?, ?)" } else { " AND (created, seq) < (?, ?)" };
            values.push(Box::new(created));
            values.push(Box::new(seq));
        }
        // Where a field is asked for, its index finds the few; by the order of time all of the kind would be read.
        let created = if selection.equal.is_empty() { "created" } else { "+created" };
        let down = if newer { "" } else { " DESC" };
        sql += &format!(" ORDER BY {created}{down}, seq{down} LIMIT ?");
        values.push(Box::new(selection.limit + 1));
        let mut statement = self.sql.prepare_cached(&sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(values.iter()), |row| row.get::<_, String>(0))?;
        let mut objects = Vec::new();
        for body in rows {
            objects.push(serde_json::from_str(&body?)?);
        }
        let wanted = usize::try_from(selection.limit).unwrap_or_default();
        let more = objects.len() > wanted;
        objects.truncate(wanted);
        if newer {
            objects.reverse();
        }
        Ok((objects, more))
    }

    /// All objects of a kind that have a value at a path, oldest first.
    pub(crate) fn all(&self, kind: &'static str, path: &'static str, value: &str) -> Result<Vec<Value>, ApiError> {
        let equal = vec![(path, value.to_owned())];
        let selection = Selection {
            kind,
            account: "",
            equal,
            condition: "",
            payout: None,
            created: Vec::new(),
            cursor: None,
            limit: 10_000,
        };
        let (mut objects, _) = self.select(&selection)?;
        objects.reverse();
        Ok(objects)
    }

    /// Puts something on the clock, replacing what the same object had there.
    pub(crate) fn schedule(&self, kind: &str, object: &str, at: i64) -> Result<(), ApiError> {
        let mut statement =
            self.sql.prepare_cached("INSERT OR REPLACE INTO due (at, kind, object) VALUES (?1, ?2, ?3)")?;
        statement.execute(params![at, kind, object])?;
        Ok(())
    }

    /// Takes something off the clock.
    pub(crate) fn unschedule(&self, kind: &str, object: &str) -> Result<(), ApiError> {
        self.sql.execute("DELETE FROM due WHERE kind = ?1 AND object = ?2", [kind, object])?;
        Ok(())
    }

    /// The earliest instant up to `until` at which something is due.
    pub(crate) fn next_due(&self, until: i64) -> Result<Option<i64>, ApiError> {
        let mut statement = self.sql.prepare_cached("SELECT min(at) FROM due WHERE at <= ?1")?;
        Ok(statement.query_row([until], |row| row.get(0))?)
    }

    /// Takes the next thing that is due at this instant.
    pub(crate) fn take_due(&self) -> Result<Option<(String, String)>, ApiError> {
        let mut statement = self.sql.prepare_cached(
            "DELETE FROM due WHERE seq = (SELECT seq FROM due WHERE at <= ?1 ORDER BY at, seq LIMIT 1) RETURNING kind, object",
        )?;
        Ok(statement.query_row([self.now], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    /// Available and pending minor units.
    pub(crate) fn balance(&self, account: &str, currency: &str) -> Result<(i64, i64), ApiError> {
        let mut statement = self.sql.prepare_cached(
            "SELECT available_minor, pending_minor FROM balances WHERE account = ?1 AND currency = ?2",
        )?;
        let row = statement.query_row([account, currency], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(row.unwrap_or_default())
    }

    /// Adds to available and to pending minor units.
    pub(crate) fn move_money(
        &self,
        account: &str,
        currency: &str,
        available: i64,
        pending: i64,
    ) -> Result<(), ApiError> {
        let mut statement = self.sql.prepare_cached(
            "INSERT INTO balances VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET
             available_minor = available_minor + ?3, pending_minor = pending_minor + ?4",
        )?;
        statement.execute(params![account, currency, available, pending])?;
        Ok(())
    }

    /// Records an event about an object of the platform.
    pub(crate) fn emit(&self, kind: &str, object: &Value) -> Result<(), ApiError> {
        self.emit_event("", kind, object, None)
    }

    /// Records an event about a changed object, with the former values.
    pub(crate) fn emit_change(&self, kind: &str, before: &Value, after: &Value) -> Result<(), ApiError> {
        self.emit_event("", kind, after, Some(crate::objects::differences(before, after)))
    }

    /// Records an event; one of a connected account goes to the connect endpoint and names the account.
    pub(crate) fn emit_event(
        &self,
        account: &str,
        kind: &str,
        object: &Value,
        previous: Option<Value>,
    ) -> Result<(), ApiError> {
        let id = self.id("evt")?;
        let mut data = json!({ "object": object });
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        let mut event = json!({
            "id": id, "object": "event", "api_version": API_VERSION, "created": self.now, "data": data,
            "livemode": false, "pending_webhooks": 1, "type": kind,
            "request": { "id": self.cause.request_id, "idempotency_key": self.cause.idempotency_key },
        });
        let endpoint = if account.is_empty() { "account" } else { "connect" };
        if !account.is_empty() {
            event["account"] = json!(account);
        }
        let mut statement = self.sql.prepare_cached("INSERT INTO events (id, endpoint, type) VALUES (?1, ?2, ?3)")?;
        statement.execute(params![id, endpoint, kind])?;
        // Events are listed like every other object.
        self.insert_for(account, &event)
    }

    /// Books a movement of the platform's balance and answers the transaction's id. `fee` is taken from
    /// `amount`; a pending one becomes available when the clock settles it.
    pub(crate) fn book(&self, entry: &Booking<'_>) -> Result<String, ApiError> {
        let id = self.id("txn")?;
        // Money in another currency is settled in the platform's, where the stand-in has been told a rate.
        let rate_ppm: Option<i64> = self.meta(&format!("rate_{}", entry.currency))?.and_then(|ppm| ppm.parse().ok());
        let settled = |minor: i64| rate_ppm.map_or(minor, |ppm| crate::objects::share(minor, ppm, 1_000_000));
        let currency = if rate_ppm.is_some() { "usd" } else { entry.currency };
        let entry = &Booking { amount: settled(entry.amount), fee: settled(entry.fee), currency, ..*entry };
        let net = entry.amount - entry.fee;
        let available_on = if entry.pending { self.now + SETTLE_S } else { self.now };
        let mut transaction = crate::objects::template("balance_transaction", &id, self.now);
        crate::objects::set(
            &mut transaction,
            json!({
                "amount": entry.amount, "fee": entry.fee, "net": net, "currency": entry.currency,
                "exchange_rate": rate_ppm.map(crate::objects::decimal_ppm),
                "source": entry.source, "type": entry.kind, "reporting_category": entry.kind,
                "status": if entry.pending { "pending" } else { "available" }, "available_on": available_on,
                "created": self.now,
                "fee_details": if entry.fee == 0 { json!([]) } else { json!([{
                    "amount": entry.fee, "application": null, "currency": entry.currency,
                    "description": "Stripe processing fees", "type": "stripe_fee",
                }]) },
            }),
        );
        self.insert_for(entry.account, &transaction)?;
        if entry.pending {
            self.move_money(entry.account, entry.currency, 0, net)?;
            self.schedule("settle", &id, available_on)?;
        } else {
            self.move_money(entry.account, entry.currency, net, 0)?;
        }
        Ok(id)
    }

    /// Makes a pending balance transaction available.
    pub(crate) fn settle(&self, id: &str) -> Result<(), ApiError> {
        let Some(mut transaction) = self.any(id)? else { return Ok(()) };
        transaction["status"] = json!("available");
        let (net, currency) = (int(&transaction, "/net"), text(&transaction, "/currency").to_owned());
        self.save(&transaction)?;
        self.move_money("", &currency, net, -net)
    }
}

/// Seconds from a charge, or a received transfer, to money that can be used.
pub(crate) const SETTLE_S: i64 = 2 * 86_400;

/// A movement of a balance, in minor units, signed as the account sees it.
pub(crate) struct Booking<'a> {
    pub(crate) account: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) source: &'a str,
    pub(crate) currency: &'a str,
    pub(crate) amount: i64,
    pub(crate) fee: i64,
    pub(crate) pending: bool,
}

/// `length` letters and digits that follow from a text.
pub(crate) fn letters(from: &str, length: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha256::digest(from.as_bytes());
    digest.iter().cycle().take(length).map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])).collect()
}
