//! A run as a spreadsheet program reads it.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};
use chrono::{DateTime, Utc};
use documents::run_book::{csv, xlsx};
use wire::{Approval, NotPaid, NotPaidReason, PayoutState, Run, RunItem, RunProgress, RunState, RunSummary};

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn run(amounts: &[i64]) -> Run {
    let items = amounts.iter().enumerate().map(|(n, &amount_minor)| RunItem {
        item: format!("2026-10.1:P{n}"),
        partner: format!("P{n}"),
        name: if n == 0 { "=HYPERLINK(\"https://evil.example\",\"x\")".into() } else { format!("Agéncy {n} 株") },
        tier: commission::Tier::Standard,
        amount_minor,
        previous_minor: None,
        lines: 1,
        destination: format!("acct_{n}"),
        digest: "d".into(),
        state: if n == 0 { PayoutState::Paid } else { PayoutState::Queued },
        transfer: (n == 0).then(|| "tr_0".into()),
        problem: None,
    });
    let items: Vec<RunItem> = items.collect();
    let not_paid = NotPaid {
        partner: "Q".into(),
        name: "@cmd".into(),
        balance_minor: -1_999,
        waiting_minor: 5,
        reason: NotPaidReason::Debt,
        text: "+1 is owed".into(),
        recovered_in: None,
    };
    Run {
        summary: RunSummary {
            run: "2026-10.1".into(),
            period: "2026-10".into(),
            as_of: at("2026-11-01T00:00:00Z"),
            state: RunState::Sending,
            version: 3,
            run_hash: Some("h4sh".into()),
            total_minor: amounts.iter().sum(),
            items: 2,
            not_paid: 1,
            paid_minor: 0,
            drafted_at: at("2026-11-01T00:05:00Z"),
            done_at: None,
        },
        previous_total_minor: None,
        items,
        not_paid: vec![not_paid],
        approvals: vec![Approval { by: "finance@aikit.example".into(), at: at("2026-11-02T10:00:00Z") }],
        approvals_needed: 1,
        progress: RunProgress::default(),
        grant: None,
        difference: Vec::new(),
        begun: true,
        halted: None,
        closed: Some("Closed by finance.".into()),
        notes: Vec::new(),
    }
}

#[test]
fn a_workbook_has_the_cents_of_the_run_and_no_formula_of_anybody_else() {
    let amounts = [3_841_250, 1, 900_719_925_474_099, 110, 3_333];
    let run = run(&amounts);
    let bytes = xlsx(&run, "usd").unwrap();
    assert_eq!(bytes, xlsx(&run, "usd").unwrap(), "the same run is the same bytes");
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    assert_eq!(book.sheet_names(), ["Payouts", "Not paid", "Summary"]);
    let sheet = book.worksheet_range("Payouts").unwrap();
    let cents = |cell: Option<&Data>| match cell {
        Some(Data::Float(number)) => (number * 100.0).round() as i64,
        other => panic!("{other:?}"),
    };
    let sums: i64 = amounts.iter().sum();
    let read: Vec<i64> = (1..=amounts.len() as u32 + 1).map(|row| cents(sheet.get_value((row, 4)))).collect();
    assert_eq!(read[..amounts.len()], amounts);
    assert_eq!(read[amounts.len()], sums, "what the formula is known to come to");
    assert_eq!(sheet.get_value((1, 0)), Some(&Data::String("=HYPERLINK(\"https://evil.example\",\"x\")".into())));
    let formulas = book.worksheet_formula("Payouts").unwrap();
    let used: Vec<&String> = formulas.used_cells().map(|(.., formula)| formula).collect();
    assert_eq!(used, ["SUM(E2:E6)"]);
    let summary = book.worksheet_range("Summary").unwrap();
    let all: Vec<String> = summary.used_cells().map(|(.., cell)| cell.to_string()).collect();
    for said in ["h4sh", "finance@aikit.example at 2026-11-02T10:00:00Z", "Closed by finance.", "38412.5"] {
        assert!(all.iter().any(|cell| cell == said), "«{said}» in {all:?}");
    }
}

#[test]
fn an_empty_run_is_a_workbook_too_and_an_amount_that_no_cell_holds_is_refused() {
    let mut empty = run(&[]);
    empty.not_paid.clear();
    assert!(Xlsx::new(Cursor::new(xlsx(&empty, "usd").unwrap())).is_ok());
    assert!(xlsx(&run(&[i64::MAX]), "usd").unwrap_err().to_string().contains("more than a spreadsheet can hold"));
}

#[test]
fn a_csv_has_everybody_and_no_formula() {
    let text = String::from_utf8(csv(&run(&[3_841_250, 7]), "usd").unwrap()).unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        lines[1],
        "2026-10.1,2026-10,payout,P0,\"'=HYPERLINK(\"\"https://evil.example\"\",\"\"x\"\")\",standard,paid,38412.50,,,USD,acct_0,tr_0,d,"
    );
    assert_eq!(lines[3], "2026-10.1,2026-10,not_paid,Q,'@cmd,,debt,,-19.99,0.05,USD,,,,'+1 is owed");
}
