//! `diff`, as an operator runs it.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const MARCH: &str = r#"{"id":"j","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"P","website":"agency.example"}
{"id":"k","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"=Q","name":"Q","website":"other.example"}
{"id":"r1","at":"2026-01-05T00:00:00Z","type":"referral_created","referral":"r1","partner":"P"}
{"id":"s1","at":"2026-01-05T00:00:00Z","type":"subscription_started","subscription":"s1","referral":"r1","interval":"month","amount_minor":50000}
{"id":"i1","at":"2026-01-05T00:00:00Z","type":"invoice_paid","invoice":"i1","subscription":"s1","amount_minor":50000}
{"id":"r2","at":"2026-01-08T00:00:00Z","type":"referral_created","referral":"r2","partner":"=Q"}
{"id":"s2","at":"2026-01-08T00:00:00Z","type":"subscription_started","subscription":"s2","referral":"r2","interval":"month","amount_minor":30000}
{"id":"i2","at":"2026-01-08T00:00:00Z","type":"invoice_paid","invoice":"i2","subscription":"s2","amount_minor":30000}
"#;

const LATER: &str = r#"{"id":"re1","at":"2026-03-20T00:00:00Z","type":"invoice_refunded","invoice":"i1","amount_minor":25000}
{"id":"no2","at":"2026-04-10T00:00:00Z","type":"referral_rejected","referral":"r2"}
"#;

const PAGE: &str = "\
P  ·  from 1 Apr 2026, 00:00 UTC to 1 May 2026, 00:00 UTC
════════════════════════════════════════════════════════════════════════════════════════════════════════════════════════
Date        Kind      Client  Change  Status   Amount   Vested  Why
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
2026-03-20  reversal  r1      new     vested  -$50.00  -$50.00  The refund of 20 Mar 2026 (`re1`) arrived late: $250.00
                                                                of the $500.00 that client r1 paid on 5 Jan 2026 went
                                                                back on 20 Mar 2026 (a refund), and with it $50.00 of
                                                                the $100.00 first-year commission; it counts from 20 Mar
                                                                2026.
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
            all                               -$50.00  -$50.00

  Vested before  $100.00
  Earned           $0.00
  Reversed       -$50.00
                 ───────
  Vested now      $50.00

                 Before         Now  Difference
  Vested        $100.00      $50.00     -$50.00
  Pending         $0.00       $0.00       $0.00
  Held            $0.00       $0.00       $0.00
  Forfeited       $0.00       $0.00       $0.00
  Void            $0.00       $0.00       $0.00
  Paid            $0.00       $0.00       $0.00
  Balance       $100.00      $50.00     -$50.00
  Payable       $100.00      $50.00     -$50.00
";

/// A folder with the journal of March and that of April, which goes with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("aikit-diff-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("march.jsonl"), MARCH).unwrap();
        std::fs::write(folder.join("april.jsonl"), format!("{MARCH}{LATER}")).unwrap();
        Folder(folder)
    }

    /// Runs `diff` in the folder; answers the exit code, standard output and standard error.
    fn diff(&self, options: &str, input: &str) -> (Option<i32>, String, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aikit-partners-server"))
            .current_dir(&self.0)
            .arg("diff")
            .args(options.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What does not read its input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let out = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code(), text(out.stdout), text(out.stderr))
    }
}

const BOTH: &str = "--journal april.jsonl --as-of 2026-05-01T00:00:00Z --before-journal march.jsonl --before-as-of 2026-04-01T00:00:00Z";

#[test]
fn finance_reads_what_changed_by_how_much_and_why() {
    let folder = Folder::new("text");
    let (code, page, _) = folder.diff(&format!("{BOTH} --partner P --format text"), "");
    assert_eq!((code, page.as_str()), (Some(0), PAGE));
    let (code, pages, _) = folder.diff(&format!("{BOTH} --format text"), "");
    assert!(code == Some(0) && pages.contains(PAGE) && pages.contains("vested → void"), "{pages}");
    let end = "2 partners, 2 lines that differ\n".to_owned()
        + &"═".repeat(120)
        + "\n  Vested before   $160.00\n  Earned            $0.00\n  Reversed       -$110.00\n                 ────────\n  Vested now       $50.00\n";
    assert!(pages.ends_with(&end), "{pages}");
}

#[test]
fn programs_read_the_same_as_json_and_as_a_sheet() {
    let folder = Folder::new("json");
    let from_stdin = BOTH.replace("april.jsonl", "-");
    let (code, json, _) = folder.diff(&from_stdin, &format!("{MARCH}{LATER}"));
    let diffs: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, diffs.as_array().unwrap().len()), (Some(0), 2));
    let cause = &diffs[1]["differences"][0]["causes"][0];
    assert_eq!(
        (&cause["because"]["type"], &cause["because"]["facts"][0]["id"]),
        (&"arrived_late".into(), &"re1".into())
    );
    assert_eq!((&diffs[0]["opening_minor"], &diffs[0]["reversed_minor"]), (&6_000.into(), &6_000.into()));

    let (code, sheet, _) = folder.diff(&format!("{BOTH} --format csv"), "");
    let rows: Vec<&str> = sheet.lines().collect();
    assert_eq!((code, rows.len()), (Some(0), 3));
    let starts = "'=Q,first_year:r2:i2,changed,2026-01-08T00:00:00Z,first_year,r2,i2,60.00,60.00,0.00,-60.00,vested,void,2026-03-09T00:00:00Z,,no2,";
    assert!(rows[1].starts_with(starts), "{}", rows[1]);

    let (code, none, _) =
        folder.diff("--journal march.jsonl --as-of 2026-05-01T00:00:00Z --before-as-of 2026-04-01T00:00:00Z", "");
    assert_eq!((code, none.as_str()), (Some(0), "[]\n"), "nothing happened in April");
}

#[test]
fn other_terms_are_compared_with_the_present_ones() {
    let folder = Folder::new("terms");
    let text = commission::TermsBook::default_book().to_toml();
    let other = text.replacen("first_year_rate = \"0.20\"", "first_year_rate = \"0.30\"", 1);
    std::fs::write(folder.0.join("old.toml"), other).unwrap();
    let options = "--journal march.jsonl --as-of 2026-04-01T00:00:00Z --before-as-of 2026-04-01T00:00:00Z --before-terms old.toml --format csv";
    let (code, sheet, _) = folder.diff(options, "");
    assert_eq!((code, sheet.lines().count()), (Some(0), 3));
    assert!(sheet.contains(",150.00,100.00,-50.00,-50.00,vested,vested,"), "{sheet}");
    assert!(sheet.contains("Other terms apply"), "{sheet}");
}

#[test]
fn what_cannot_be_compared_is_said_in_one_line() {
    let folder = Folder::new("errors");
    std::fs::write(folder.0.join("bad.jsonl"), format!("{MARCH}{{\"id\":")).unwrap();
    let table = [
        (BOTH.replace("2026-05", "2026-02"), "exchange them"),
        (BOTH.replace("april.jsonl", "-").replace("march.jsonl", "-"), "standard input can be one of the journals"),
        (BOTH.replace("march", "bad"), "bad.jsonl: line 9: "),
        (BOTH.replace("march", "missing"), "missing.jsonl: "),
        (BOTH.replace("T00:00:00Z --before-journal", " --before-journal"), "--as-of must be an RFC 3339 time"),
        (format!("{BOTH} --partner X"), "no partner `X` joined before 2026-05-01T00:00:00Z"),
        (format!("{BOTH} --terms ."), "is a folder"),
    ];
    for (options, expected) in table {
        let (code, out, error) = folder.diff(&options, "");
        assert_eq!((code, out.as_str()), (Some(2), ""), "{options}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{options}: {error}");
    }
}
