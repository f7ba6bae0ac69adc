//! The month by itself: when one has ended its run is drafted, once, and finance is told.

use chrono::{DateTime, Months, Utc};
use commission::format_minor;
use serde::Deserialize;

use crate::audit::Actor;
use crate::db::{DbError, Stmt};
use crate::error::ApiError;
use crate::notices::{self, Notice};
use crate::run_draft::{self, Figures};
use crate::tokens::{at, ms};
use crate::{App, sql};
use partner::{as_of, month};

/// Months that are looked at in one go; a server that was down for longer goes on at its next look.
const AT_ONCE: usize = 24;

/// The months that have ended and were not looked at, the oldest first: all after `newest`, the newest that was; without
/// one, all since the first agency joined.
///
/// A clock that goes back makes nothing due, and one that leaps makes every month in between due.
pub(crate) fn due(now: DateTime<Utc>, newest: Option<&str>, first_joined: Option<DateTime<Utc>>) -> Vec<String> {
    let begin = match newest {
        Some(period) => as_of(period),
        None => first_joined.and_then(|joined| joined.date_naive().and_hms_opt(0, 0, 0)).map(|t| t.and_utc()),
    };
    let Some(begin) = begin else { return Vec::new() };
    let months = (0..).map_while(|n| begin.checked_add_months(Months::new(n))).map(month);
    months.take_while(|period| as_of(period).is_some_and(|end| end <= now)).take(AT_ONCE).collect()
}

/// Drafts every month that is due, in at most so many slices of agencies: what is left then goes on at the next look.
/// Answers the runs that were made; a month in which nothing was due to anybody makes none.
///
/// # Errors
/// The database's, or a journal that cannot be evaluated. What is not done then is due at the next look.
pub async fn draft_due_months(app: &App, mut slices: usize) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        newest: Option<String>,
        first_ms: Option<i64>,
    }
    let row: Option<Row> = app
        .db
        .query(sql!(
            "SELECT newest, CASE WHEN newest IS NULL THEN (SELECT min(joined_ms) FROM partner) END AS first_ms FROM
             (SELECT nullif(max(coalesce((SELECT max(period) FROM run), ''), coalesce((SELECT max(period) FROM month_closed), '')), '') AS newest)"
        ))
        .await?
        .first()?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let mut runs = Vec::new();
    for period in due(app.host.now(), row.newest.as_deref(), row.first_ms.map(at)) {
        let readers = notices::finance(app).await?;
        match draft(app, &period, &mut slices, &readers).await {
            Ok(Drafted::Run(run)) => runs.push(run),
            Ok(Drafted::NothingDue) => match app.db.query(closed(app, &period, None)).await {
                Ok(_) | Err(DbError::Constraint(_)) => tracing::info!(period, "nothing is due: no run is drafted"),
                Err(other) => return Err(other.into()),
            },
            Ok(Drafted::Later) => break,
            // Finance, or another server, drafted it at the same moment.
            Err(error) if matches!(error.code, wire::ErrorCode::Changed | wire::ErrorCode::Conflict) => {
                tracing::info!(period, "somebody else drafted it meanwhile");
            }
            Err(other) => return Err(other),
        }
    }
    Ok(runs)
}

enum Drafted {
    Run(String),
    NothingDue,
    /// Slices are left for the next look.
    Later,
}

async fn draft(app: &App, period: &str, slices: &mut usize, readers: &[String]) -> Result<Drafted, ApiError> {
    let mut drafting = run_draft::begin(app, period, true).await?;
    loop {
        if *slices == 0 {
            return Ok(Drafted::Later);
        }
        *slices -= 1;
        if !run_draft::step(app, &mut drafting).await? {
            break;
        }
    }
    let run = drafting.run.clone();
    let beside = |figures: &Figures| {
        let due = figures.paid + figures.waiting > 0;
        let notice = drafted(app, period, &run, figures);
        due.then(|| -> Vec<Stmt> {
            let told = readers.iter().map(|person| notice.to(app, person));
            std::iter::once(closed(app, period, Some(&run))).chain(told).collect()
        })
    };
    let is_drafted = run_draft::finish(app, &Actor::System, &drafting, beside).await?;
    Ok(if is_drafted { Drafted::Run(run) } else { Drafted::NothingDue })
}

/// The month was looked at.
fn closed(app: &App, period: &str, run: Option<&str>) -> Stmt {
    sql!("INSERT INTO month_closed (period, run, at_ms) VALUES (?1, ?2, ?3)", period, run, ms(app.host.now()))
}

/// What finance reads about a draft.
fn drafted(app: &App, period: &str, run: &str, figures: &Figures) -> Notice {
    let month = as_of(period).and_then(|end| end.checked_sub_months(Months::new(1)));
    let name = month.map_or_else(|| period.to_string(), |m| m.format("%B %Y").to_string());
    let agencies = |n: u32| if n == 1 { "1 agency".to_string() } else { format!("{n} agencies") };
    let total = format_minor(figures.total_minor);
    let waiting = match figures.waiting {
        0 => String::new(),
        n => format!("\n{} with something due cannot be paid yet; the run says why.", agencies(n)),
    };
    let mut page = app.config.public_url.clone();
    page.set_path(&format!("/runs/{run}"));
    Notice {
        key: format!("run_drafted:{period}"),
        kind: notices::Kind::Finance,
        subject: format!("{name} is drafted: {total} for {}", agencies(figures.paid)),
        text: format!(
            "The run of {name} is computed and waits for you.\n\n    {total} for {}\n{waiting}\n\
             Nothing is paid before you have looked at it, sealed it and approved it:\n{page}\n",
            agencies(figures.paid)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    fn day(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn a_month_is_due_from_its_end_until_it_was_looked_at() {
        let joined = Some(day("2026-01-20T10:00:00Z"));
        for (now, newest, first, expected) in [
            ("2026-01-31T23:59:59.999Z", None, joined, &[][..]),
            ("2026-02-01T00:00:00Z", None, joined, &["2026-01"]),
            ("2026-02-01T00:00:00Z", Some("2026-01"), joined, &[]),
            ("2026-02-28T23:59:59Z", Some("2026-01"), joined, &[]),
            ("2026-03-01T00:00:00Z", Some("2026-01"), joined, &["2026-02"]),
            ("2026-05-17T12:00:00Z", Some("2026-01"), joined, &["2026-02", "2026-03", "2026-04"]),
            ("2027-01-01T00:00:00Z", Some("2026-11"), joined, &["2026-12"]),
            ("2026-06-01T00:00:00Z", Some("2026-08"), joined, &[]),
            ("2026-06-01T00:00:00Z", None, None, &[]),
            ("2026-06-01T00:00:00Z", Some("not a month"), joined, &[]),
        ] {
            assert_eq!(due(day(now), newest, first), expected, "{now}, after {newest:?}");
        }
    }

    proptest! {
        /// However often the server looks, restarts, or has its clock moved: each ended month exactly once, in order.
        #[test]
        fn no_month_is_missed_and_none_comes_twice(leaps in proptest::collection::vec(-40_i64..200, 1..60)) {
            let first = day("2025-11-29T23:00:00Z");
            let (mut now, mut seen, mut latest) = (first, Vec::<String>::new(), first);
            for leap in leaps {
                now += TimeDelta::days(leap);
                latest = latest.max(now);
                let newest = seen.last().cloned();
                seen.extend(due(now, newest.as_deref(), Some(first)));
            }
            // A look that found more than a bunch goes on at the next one.
            loop {
                let newest = seen.last().cloned();
                let more = due(latest, newest.as_deref(), Some(first));
                if more.is_empty() { break }
                seen.extend(more);
            }
            let ended = (0..).map(|n| first.checked_add_months(Months::new(n)).map(month).unwrap());
            let expected: Vec<String> = ended.take_while(|p| as_of(p).unwrap() <= latest).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
