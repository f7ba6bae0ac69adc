//! A database as text: whatever it holds, the text makes the same one, and a text that was touched makes none.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use rusqlite::{Connection, params};
use sqlite::{DumpError, Profile, Sqlite, Table, digests, export, import};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static N: AtomicU64 = AtomicU64::new(0);
        let n = N.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("aikit-dump-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// A database with these texts wherever a stranger's text may stand, and with rows that triggers guard.
fn filled(path: &Path, texts: &[String]) {
    drop(Sqlite::open(path, Profile::Native).unwrap());
    let database = Connection::open(path).unwrap();
    for (n, text) in texts.iter().enumerate() {
        let n = i64::try_from(n).unwrap();
        let run = |sql: &str| database.execute(sql, params![n, text]).unwrap();
        run(
            "INSERT INTO partner (code, name, email, website, country, joined_ms) VALUES ('P_' || ?1, ?2, ?1, '', 'US', ?1)",
        );
        run(
            "INSERT INTO referral (id, partner, email, signed_up_ms, rule) VALUES ('r_' || ?1, 'P_' || ?1, ?2, -?1, 'cookie')",
        );
        run("INSERT INTO fact (id, partner, body) VALUES ('f_' || ?1, 'P_' || ?1, ?2)");
        run(
            "INSERT INTO inbox (id, type, received_ms, body, state, note) VALUES ('e_' || ?1, 'x', 0, ?2, 'waiting', NULL)",
        );
        // A long text in a table without numbers of rows, and parts of a file.
        run("INSERT INTO sync_scope (scope, seq, floor, pulled_ms) VALUES ('P_' || ?1, 0, 0, ?2 IS NULL)");
        run("INSERT INTO sync_row (scope, kind, id, seq, body) VALUES ('P_' || ?1, 'it''s', ?1, ?1, ?2)");
        run(
            "INSERT INTO resource (id, kind, title, summary, text, place, created_ms, changed_ms) VALUES (?1, 'material', '', '', ?2, ?1, 0, 0)",
        );
        run("INSERT INTO resource_part (resource, upload, part, data) VALUES (?1, '', ?1, ?2)");
        run("INSERT INTO inbox_wait (name, event) VALUES (substr(?2, 1, 50), 'e_' || ?1)");
        run(
            "INSERT INTO audit (n, at_ms, actor, role, action, subject, reason, hash) VALUES (?1 + 1, 0, '', '', '', '', ?2, ?1)",
        );
    }
    // A number that was given once.
    database.execute_batch("DELETE FROM fact WHERE seq = (SELECT max(seq) FROM fact)").unwrap();
}

fn written(path: &Path) -> (Vec<Table>, String) {
    let mut text = Vec::new();
    let tables = export(path, &mut text).unwrap();
    (tables, String::from_utf8(text).unwrap())
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof![
        any::<String>(),
        "[\\r\\n\\x00'\";~0-9.-]{0,40}",
        ("[a-z'\\n]{1,12}", 1..12_000_usize).prop_map(|(part, times)| part.repeat(times)),
        ("(€|😀|é|a){1,5}", 1..20_000_usize).prop_map(|(part, times)| part.repeat(times)),
    ];
    proptest::collection::vec(text, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_text_of_a_database_makes_the_same_database(texts in texts()) {
        let folder = Folder::new();
        let (one, two) = (folder.file("one.db"), folder.file("two.db"));
        filled(&one, &texts);
        let (tables, text) = written(&one);
        prop_assert!(text.lines().all(|line| line.len() < 100_000 && !line.contains('\0')), "what D1 takes");
        prop_assert_eq!(import(&mut text.as_bytes(), &two).unwrap(), tables.clone());
        prop_assert_eq!(digests(&two).unwrap(), tables);
        prop_assert_eq!(written(&two).1, text, "to the byte");
        let next = |path: &Path| -> i64 {
            let database = Connection::open(path).unwrap();
            database.query_row("INSERT INTO fact (id, body) VALUES ('next', '') RETURNING seq", [], |row| row.get(0)).unwrap()
        };
        prop_assert_eq!(next(&one), next(&two), "no number is given twice");
        let changed = Connection::open(&two).unwrap().execute("UPDATE audit SET reason = 'x'", []);
        prop_assert!(texts.is_empty() || changed.is_err(), "the guards are back");
    }
}

#[test]
fn a_text_that_was_touched_makes_no_database() {
    let folder = Folder::new();
    let one = folder.file("one.db");
    filled(&one, &["Northlight".to_owned(), "Südwind; it's \"us\"\n".to_owned()]);
    let text = written(&one).1;
    let lines: Vec<&str> = text.lines().collect();
    let without =
        |gone: &str| lines.iter().filter(|l| !l.starts_with(gone)).map(|l| format!("{l}\n")).collect::<String>();
    let cut = text.len() / 2;
    for (n, (touched, why)) in [
        (text[..text.floor_char_boundary(cut)].to_owned(), ""),
        (without("-- end"), "cut off"),
        (without("CREATE TRIGGER"), "made of"),
        (without("INSERT INTO \"referral\""), "referral is not as the file says"),
        (without("-- table fact "), "fact is not as the file says"),
        (text.replacen("Northlight", "Southlight", 1), "is not as the file says"),
        (text.replacen("migrations ", "migrations 9", 1), "migrations"),
        (text.replacen("-- AIKit", "-- Another", 1), "line 1 is not the first line of an export"),
        (text.replacen("DELETE FROM", "PRAGMA writable_schema = ON; DELETE FROM", 1), "is not one that an export has"),
        (text.replacen("DELETE FROM \"audit\";", "DELETE FROM \"audit\"; DROP TABLE audit;", 1), ""),
        (text.clone() + "DELETE FROM fact;\n", "comes after the end"),
        (text.replacen("-- end", "INSERT INTO nothing VALUES (1);\n-- end", 1), "is refused"),
        (text.replacen("-- end", "-- table ghost 0 00\n-- end", 1), "not there"),
        (String::new(), "cut off"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_ne!(touched, text, "{n}: {why}");
        let into = folder.file(&format!("{n}.db"));
        let refused = import(&mut touched.as_bytes(), &into).unwrap_err();
        assert!(refused.to_string().contains(why), "{n}: {refused}");
        assert!(digests(&into).unwrap().iter().all(|t| t.rows <= 1), "{n}: nothing of it is there");
    }
    let known = import(&mut text.as_bytes(), &folder.file("good.db"));
    assert!(known.is_ok(), "{known:?}");
}

#[test]
fn a_database_of_another_version_is_not_written() {
    let folder = Folder::new();
    let one = folder.file("one.db");
    filled(&one, &[]);
    Connection::open(&one).unwrap().pragma_update(None, "user_version", 3).unwrap();
    let refused = export(&one, &mut Vec::new()).unwrap_err();
    assert!(matches!(refused, DumpError::Version { found: 3, .. }), "{refused}");
    assert!(export(&folder.file("none.db"), &mut Vec::new()).is_err() && !folder.file("none.db").exists());
}
