//! How long a first copy takes, beside the least that it could.

use std::time::Instant;

use partner::{Sum, row_hash};
use rusqlite::Connection;
use serde_json::json;
use wire::{Pulled, SyncHead, SyncRow};

use super::town::first_day;
use crate::clock::uuid_v7;
use crate::sync::copy::{Copy, Settled};

const ROWS: usize = 100_000;
const PAGE: usize = 2_000;

fn rows() -> Vec<SyncRow> {
    let row = |n: usize| {
        let mut random = [0; 10];
        random[2..].copy_from_slice(&u64::try_from(n).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        let id = uuid_v7(first_day(), random);
        let body = json!({"id": format!("invoice_paid:{id}"), "at": "2026-03-01T00:00:00Z", "type": "invoice_paid", "invoice": id,
            "subscription": format!("sub_{n:08}"), "amount_minor": 50_000 + n, "period_start": "2026-03-01T00:00:00Z",
            "period_end": "2026-04-01T00:00:00Z"});
        SyncRow { kind: "fact".into(), id, seq: i64::try_from(n + 1).unwrap(), body: Some(body.to_string()) }
    };
    (0..ROWS).map(row).collect()
}

/// The answers as they come over the network.
fn pages(rows: &[SyncRow]) -> Vec<String> {
    let mut sum = Sum::default();
    rows.iter().for_each(|row| sum.add(row_hash(&row.kind, &row.id, row.body.as_deref().unwrap())));
    let seq = i64::try_from(ROWS).unwrap();
    let head = SyncHead { seq, rows: seq, sum: sum.0 };
    let page = |rows: &[SyncRow]| {
        let next = rows.last().unwrap().seq;
        let (epoch, rows, as_of) = ("first.P".to_owned(), rows.to_vec(), first_day());
        let page = Pulled { epoch, start: seq, rows, next, more: next < seq, head, as_of, statement: None };
        serde_json::to_string(&page).unwrap()
    };
    rows.chunks(PAGE).map(page).collect()
}

/// The same rows from one SQLite file to another.
fn floor(folder: &std::path::Path, rows: &[SyncRow]) -> f64 {
    let table = "CREATE TABLE row (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT, PRIMARY KEY (kind, id)) STRICT;";
    let mut from = Connection::open(folder.join("from.db")).unwrap();
    from.execute_batch(&format!("PRAGMA journal_mode = WAL; {table}")).unwrap();
    let transaction = from.transaction().unwrap();
    for row in rows {
        let insert = "INSERT INTO row (kind, id, body) VALUES (?1, ?2, ?3)";
        transaction.prepare_cached(insert).unwrap().execute((&row.kind, &row.id, &row.body)).unwrap();
    }
    transaction.commit().unwrap();
    drop(from);
    let to = Connection::open(folder.join("to.db")).unwrap();
    to.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536; {table}"
    ))
    .unwrap();
    to.execute("ATTACH ?1 AS other", [folder.join("from.db").to_str().unwrap()]).unwrap();
    let begun = Instant::now();
    to.execute_batch("INSERT INTO row SELECT kind, id, body FROM other.row;").unwrap();
    begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "it measures: ./dev soak sync"]
fn a_first_copy_takes_at_most_four_times_what_copying_the_rows_takes() {
    let rows = rows();
    let pages = pages(&rows);
    let mut ratios: Vec<f64> = Vec::new();
    for turn in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let floor = floor(folder.path(), &rows);
        let (mut copy, _) = Copy::open(&folder.path().join("copy.db"), first_day()).unwrap();
        let begun = Instant::now();
        let mut settled = None;
        for text in &pages {
            let asked = copy.query(false);
            let page: Pulled = serde_json::from_str(text).unwrap();
            copy.stage(&asked, &page).unwrap();
            if !page.more {
                settled = Some(copy.settle(&page).unwrap());
            }
        }
        let took = begun.elapsed().as_secs_f64();
        assert_eq!(settled, Some(Settled::Swapped(ROWS)));
        eprintln!("turn {turn}: a first copy of {ROWS} rows in {took:.3} s, the rows alone in {floor:.3} s");
        ratios.push(ratio(took, floor));
    }
    ratios.sort_by(f64::total_cmp);
    assert!(ratios[2] <= 4.0, "{ratios:.1?}");
}

#[expect(clippy::float_arithmetic, reason = "seconds are no money")]
fn ratio(took: f64, floor: f64) -> f64 {
    took / floor
}
