//! What sealing a run posts: for each partner the lines that differ from what was posted before (docs/rules.md §9).
//!
//! What was posted is what counts before, never what would be computed for that month now. Loading all of it is avoided
//! where the digest of what is computed now shows that it is the same.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use commission::digest::lines_digest;
use commission::{Because, Change, Comparison, Difference, Line, Side, StatementDiff, Totals};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::db::{Stmt, guard};
use crate::error::{ApiError, changed, unavailable};
use crate::journal::Recorded;
use crate::runs::Head;
use crate::{App, slices, sql};

/// Rows of one statement: at most so many, of about so many bytes, which D1 takes.
const CHUNK_ROWS: usize = 500;
const CHUNK_BYTES: usize = 400_000;

/// What was posted before an instant.
pub(crate) struct Base {
    /// The newest run that was posted before it.
    run: Option<PostedRun>,
    /// The digest of each partner's lines as they were last posted.
    lines: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct PostedRun {
    id: String,
    as_of: DateTime<Utc>,
    cut: i64,
    posted: i64,
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Loads what was posted of some partners before `as_of`.
pub(crate) async fn base(app: &App, as_of: DateTime<Utc>, partners: &[&str]) -> Result<Base, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        partner: String,
        lines_digest: String,
    }
    let run = newest_before(app, as_of).await?;
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT partner, lines_digest FROM
                (SELECT p.partner, p.lines_digest, max(r.as_of) FROM posted_run r
                 JOIN posting p ON p.run = r.id AND p.version = r.posted AND p.partner IN (SELECT value FROM json_each(?2))
                 WHERE r.as_of < ?1 GROUP BY p.partner)",
            text(as_of),
            json!(partners).to_string(),
        ))
        .await?
        .all()?;
    Ok(Base { run, lines: rows.into_iter().map(|row| (row.partner, row.lines_digest)).collect() })
}

/// The newest run that was posted before an instant.
async fn newest_before(app: &App, as_of: DateTime<Utc>) -> Result<Option<PostedRun>, ApiError> {
    let newest =
        sql!("SELECT id, as_of, cut, posted FROM posted_run WHERE as_of < ?1 ORDER BY as_of DESC LIMIT 1", text(as_of));
    Ok(app.db.query(newest).await?.first()?)
}

impl Base {
    /// What was posted beside what is recorded now, at `as_of`.
    pub(crate) fn comparison<'a>(
        &self,
        app: &'a App,
        recorded: &'a Recorded,
        as_of: DateTime<Utc>,
    ) -> Result<Comparison<'a>, ApiError> {
        let terms = &app.config.terms;
        let before = match &self.run {
            Some(run) => Side { facts: recorded.up_to(run.cut), terms, as_of: run.as_of },
            None => Side { facts: &[], terms, as_of: DateTime::<Utc>::MIN_UTC },
        };
        let after = Side { facts: &recorded.facts, terms, as_of };
        Comparison::new(before, after).map_err(|error| cannot_post(&error))
    }

    /// What differs for each of some partners from what was posted of it. What was posted is read where it is not what is
    /// computed of that time now.
    pub(crate) async fn differences(
        &self,
        app: &App,
        comparison: &Comparison<'_>,
        partners: &[&str],
    ) -> Result<Vec<StatementDiff>, ApiError> {
        let nothing = lines_digest(&[]);
        let (mut differences, mut others) = (Vec::with_capacity(partners.len()), Vec::new());
        for partner in partners {
            let computed = comparison.of(partner).map_err(|error| cannot_post(&error))?;
            if computed.lines_digest_before == *self.lines.get(*partner).unwrap_or(&nothing) {
                differences.push(computed);
            } else {
                others.push(*partner);
            }
        }
        if others.is_empty() {
            return Ok(differences);
        }
        let until = self.run.as_ref().map(|run| text(run.as_of)).unwrap_or_default();
        let mut posted = stored_lines(app, &others, &until).await?;
        for partner in others {
            let lines: Vec<Line> = posted.remove(partner).unwrap_or_default().into_values().collect();
            differences.push(comparison.of_stored(partner, &lines).map_err(|error| cannot_post(&error))?);
        }
        Ok(differences)
    }
}

/// Fails a batch when another run was posted than the one that was the newest.
fn still_newest(run: Option<&PostedRun>, head: &Head) -> Stmt {
    let (id, version) = run.map(|run| (run.id.clone(), run.posted)).unzip();
    guard(
        "NOT EXISTS (SELECT 1 FROM posted_run WHERE as_of >= ?1)
         AND (SELECT max(as_of) FROM posted_run) IS (SELECT as_of FROM posted_run WHERE id = ?2 AND posted = ?3)",
        vec![text(head.as_of).into(), id.into(), version.into()],
    )
}

fn cannot_post(error: &dyn std::error::Error) -> ApiError {
    tracing::error!(%error, "the difference to what was posted cannot be computed");
    unavailable(format!("What this month changes cannot be computed: {error}."))
}

/// The lines of some partners as they were posted up to an instant, of each by id.
async fn stored_lines(
    app: &App,
    partners: &[&str],
    until: &str,
) -> Result<BTreeMap<String, BTreeMap<String, Line>>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        partner: String,
        line: String,
        change: Change,
        body: String,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT l.partner, l.line, l.change, l.body FROM posted_run r
             JOIN posting_line l ON l.run = r.id AND l.version = r.posted AND l.partner IN (SELECT value FROM json_each(?1))
             WHERE r.as_of <= ?2 ORDER BY r.as_of",
            json!(partners).to_string(),
            until,
        ))
        .await?
        .all()?;
    let mut lines: BTreeMap<String, BTreeMap<String, Line>> = BTreeMap::new();
    for row in rows {
        let of = lines.entry(row.partner).or_default();
        match row.change {
            Change::Gone => drop(of.remove(&row.line)),
            Change::New | Change::Changed => drop(of.insert(row.line, line(&row.body)?)),
        }
    }
    Ok(lines)
}

fn line(body: &str) -> Result<Line, ApiError> {
    serde_json::from_str(body).map_err(|error| {
        tracing::error!(%error, "a posted line cannot be read");
        unavailable("A posted line cannot be read; nothing is shown until that is solved.")
    })
}

#[derive(Serialize)]
struct HeadRow<'a> {
    partner: &'a str,
    digest: &'a str,
    totals: Totals,
    lines_digest: &'a str,
    opening_minor: i64,
    earned_minor: i64,
    reversed_minor: i64,
    closing_minor: i64,
}

#[derive(Serialize)]
struct LineRow<'a> {
    partner: &'a str,
    line: &'a str,
    change: Change,
    vested_minor: i64,
    body: &'a Line,
    causes: &'a [commission::Cause],
    why: Option<&'a str>,
}

/// The difference in words, unless the line's own say it: it is new, or whole, and nothing but the ordinary course led to it.
fn own_words(difference: &Difference) -> Option<&str> {
    let ordinary = |because: &Because| matches!(because, Because::Happened { .. } | Because::TimePassed);
    let whole = difference.after.as_ref().is_some_and(|after| {
        after.why == difference.why
            || (after.amount_minor == difference.vested_minor
                && difference.causes.iter().all(|cause| ordinary(&cause.because)))
    });
    (!whole).then_some(&*difference.why)
}

/// Rows that wait to be written, as JSON.
#[derive(Default)]
struct Rows {
    heads: Vec<String>,
    lines: Vec<String>,
    bytes: usize,
}

impl Rows {
    fn add<T: Serialize>(&mut self, row: &T, is_head: bool) -> Result<(), ApiError> {
        let row = serde_json::to_string(row).map_err(|error| cannot_post(&error))?;
        self.bytes += row.len();
        if is_head {
            self.heads.push(row)
        } else {
            self.lines.push(row)
        }
        Ok(())
    }

    /// Adds what a partner's difference posts, and writes where there is enough. Answers whether the run pays it.
    async fn post(
        &mut self,
        app: &App,
        head: &Head,
        version: u32,
        items: &BTreeMap<String, String>,
        diff: StatementDiff,
    ) -> Result<bool, ApiError> {
        let partner = diff.partner.as_str();
        let Some(after) = &diff.after else { return Ok(false) };
        let item = items.get(partner);
        if item.is_some_and(|digest| *digest != after.digest) {
            return Err(changed(
                "This draft was computed under other terms or rules. Compute the draft again, look at it, then seal it.",
            ));
        }
        if item.is_none() && diff.differences.is_empty() {
            return Ok(false);
        }
        let head_row = HeadRow {
            partner,
            digest: &after.digest,
            totals: after.totals,
            lines_digest: &diff.lines_digest_after,
            opening_minor: diff.opening_minor,
            earned_minor: diff.earned_minor,
            reversed_minor: diff.reversed_minor,
            closing_minor: diff.closing_minor,
        };
        self.add(&head_row, true)?;
        for difference in &diff.differences {
            let Some(body) = difference.line() else { continue };
            let Difference { change, vested_minor, causes, .. } = difference;
            let why = own_words(difference);
            let row =
                LineRow { partner, line: &body.id, change: *change, vested_minor: *vested_minor, body, causes, why };
            self.add(&row, false)?;
            if self.is_full() {
                self.write(app, &head.run, version).await?;
            }
        }
        if self.is_full() {
            self.write(app, &head.run, version).await?;
        }
        Ok(item.is_some())
    }

    fn is_full(&self) -> bool {
        self.heads.len().max(self.lines.len()) >= CHUNK_ROWS || self.bytes >= CHUNK_BYTES
    }

    /// Writes what waits while the run is being sealed under this version.
    async fn write(&mut self, app: &App, run: &str, version: u32) -> Result<(), ApiError> {
        let Rows { heads, lines, .. } = std::mem::take(self);
        let list = |rows: Vec<String>| format!("[{}]", rows.join(","));
        let batch = vec![
            sealing(run, version),
            sql!(
                "INSERT INTO posting (run, version, partner, digest, totals, lines_digest, opening_minor, earned_minor, reversed_minor, closing_minor)
                 SELECT ?2, ?3, value->>'partner', value->>'digest', value->>'totals', value->>'lines_digest', value->>'opening_minor',
                        value->>'earned_minor', value->>'reversed_minor', value->>'closing_minor' FROM json_each(?1)",
                list(heads),
                run,
                version,
            ),
            sql!(
                "INSERT INTO posting_line (run, version, partner, line, change, vested_minor, body, causes, why)
                 SELECT ?2, ?3, value->>'partner', value->>'line', value->>'change', value->>'vested_minor', value->>'body', value->>'causes',
                        value->>'why' FROM json_each(?1)",
                list(lines),
                run,
                version,
            ),
        ];
        app.db.batch(batch).await?;
        Ok(())
    }
}

/// Fails a batch unless the run is being sealed under this version.
fn sealing(run: &str, version: u32) -> Stmt {
    guard(
        "EXISTS (SELECT 1 FROM run WHERE id = ?1 AND state = 'sealing' AND version = ?2)",
        vec![run.into(), version.into()],
    )
}

/// Writes what a run posts, under the version that its seal will have; it counts from the end of the returned statements
/// on. `items` are the partners that are paid, with the digest that was seen.
pub(crate) async fn write(
    app: &App,
    head: &Head,
    version: u32,
    items: &BTreeMap<String, String>,
) -> Result<Vec<Stmt>, ApiError> {
    let newest = newest_before(app, head.as_of).await?;
    let (mut rows, mut seen, mut place) = (Rows::default(), 0, String::new());
    while let Some(slice) = slices::after(app, &place, head.as_of, head.cut).await? {
        let comparison = slice.comparison(app, head.as_of)?;
        let partners: Vec<&str> = slice.partners.iter().map(String::as_str).collect();
        for bunch in partners.chunks(slices::AT_ONCE) {
            for diff in slice.base.differences(app, &comparison, bunch).await? {
                seen += usize::from(rows.post(app, head, version, items, diff).await?);
            }
        }
        place = partners.last().map(|last| (*last).to_owned()).unwrap_or_default();
    }
    if seen != items.len() {
        return Err(changed("This draft pays a partner that is not in the journal any more. Compute the draft again."));
    }
    rows.write(app, &head.run, version).await?;
    Ok(vec![
        sealing(&head.run, version),
        still_newest(newest.as_ref(), head),
        sql!("UPDATE run SET posted = ?2 WHERE id = ?1", &head.run, version),
    ])
}

/// What a sealed run posted of a partner: the totals of its statement and the lines, the newest first, each with the
/// amount by which it differs.
pub(crate) async fn posted(app: &App, run: &str, partner: &str) -> Result<Option<(Totals, Vec<Line>)>, ApiError> {
    #[derive(Deserialize)]
    struct HeadRow {
        version: i64,
        totals: String,
    }
    #[derive(Deserialize)]
    struct LineRow {
        vested_minor: i64,
        body: String,
        why: Option<String>,
    }
    let head: Option<HeadRow> = app
        .db
        .query(sql!(
            "SELECT p.version, p.totals FROM posting p JOIN posted_run r ON r.id = p.run AND r.posted = p.version
             WHERE p.run = ?1 AND p.partner = ?2",
            run,
            partner,
        ))
        .await?
        .first()?;
    let Some(head) = head else { return Ok(None) };
    let rows: Vec<LineRow> = app
        .db
        .query(sql!(
            "SELECT vested_minor, body, why FROM posting_line WHERE run = ?1 AND version = ?2 AND partner = ?3 AND vested_minor <> 0",
            run,
            head.version,
            partner,
        ))
        .await?
        .all()?;
    let totals = serde_json::from_str(&head.totals).map_err(|error| cannot_post(&error))?;
    let lines = rows.into_iter().map(|row| Ok(entry(line(&row.body)?, row.vested_minor, row.why)));
    Ok(Some((totals, newest_first(lines.collect::<Result<_, ApiError>>()?))))
}

/// What had been posted of a partner before an instant: the vested amount of each line, by its id.
pub(crate) async fn vested_before(
    app: &App,
    partner: &str,
    as_of: DateTime<Utc>,
) -> Result<BTreeMap<String, i64>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        line: String,
        vested_minor: i64,
    }
    let rows: Vec<Row> = app
        .db
        .query(sql!(
            "SELECT l.line, sum(l.vested_minor) AS vested_minor FROM posted_run r
             JOIN posting_line l ON l.run = r.id AND l.version = r.posted AND l.partner = ?1
             WHERE r.as_of < ?2 GROUP BY l.line HAVING sum(l.vested_minor) <> 0",
            partner,
            text(as_of),
        ))
        .await?
        .all()?;
    Ok(rows.into_iter().map(|row| (row.line, row.vested_minor)).collect())
}

/// What [`posted`] says, of a difference that is not posted yet.
pub(crate) fn entries(diff: &StatementDiff) -> Vec<Line> {
    let vested = diff.differences.iter().filter(|difference| difference.vested_minor != 0);
    let entries = vested.filter_map(|difference| {
        let why = own_words(difference).map(str::to_owned);
        Some(entry(difference.line()?.clone(), difference.vested_minor, why))
    });
    newest_first(entries.collect())
}

/// A line with the amount by which it differs, and why it does.
fn entry(line: Line, vested_minor: i64, why: Option<String>) -> Line {
    Line { amount_minor: vested_minor, why: why.unwrap_or(line.why), ..line }
}

fn newest_first(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|a, b| b.earned_at.cmp(&a.earned_at).then_with(|| a.id.cmp(&b.id)));
    lines
}
