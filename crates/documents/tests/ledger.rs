//! A ledger foots, month after month, and its journals balance.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use documents::ledger::{Accounts, Ledger, Roll, Standing};
use proptest::prelude::*;
use wire::LedgerSet;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// The ledgers of some months, in each of which each agency earns, loses and is paid something.
fn ledgers(months: &[Vec<(i64, i64, i64)>]) -> Vec<Ledger> {
    let mut standings: BTreeMap<usize, Standing> = BTreeMap::new();
    let mut ledgers = Vec::new();
    for (month, moves) in months.iter().enumerate() {
        let rolls = moves.iter().enumerate().map(|(n, &(earned, reversed, paid))| {
            let before = standings.get(&n).copied().unwrap_or_default();
            let after = Standing {
                vested_minor: before.vested_minor + earned - reversed,
                paid_minor: before.paid_minor + paid,
            };
            standings.insert(n, after);
            let agency = (format!("P{n}"), format!("Agency {n}"));
            Roll::between(agency, before, after, (earned, reversed)).unwrap()
        });
        let rolls: Vec<Roll> = rolls.collect();
        ledgers.push(Ledger::new(&format!("2026-{:02}", month + 1), at("2026-11-01T00:00:00Z"), "usd", rolls).unwrap());
    }
    ledgers
}

fn rows(bytes: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(bytes);
    reader.deserialize().map(Result::unwrap).collect()
}

fn minor(text: &str) -> i64 {
    if text.is_empty() { 0 } else { text.replace('.', "").parse().unwrap() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_month_foots_and_the_next_begins_where_it_ends(
        months in prop::collection::vec(prop::collection::vec((0..9_000_000_000i64, 0..9_000_000_000i64, -5_000_000_000..9_000_000_000i64), 4), 1..6)
    ) {
        let ledgers = ledgers(&months);
        for ledger in &ledgers {
            let plain = rows(&ledger.csv(LedgerSet::Plain, &Accounts::default()).unwrap());
            for row in &plain {
                let of = |column: &str| minor(&row[column]);
                prop_assert_eq!(of("opening") + of("earned") - of("reversed") - of("paid"), of("closing"));
            }
            let (total, agencies) = plain.split_last().unwrap();
            for column in ["opening", "earned", "reversed", "paid", "closing"] {
                prop_assert_eq!(minor(&total[column]), agencies.iter().map(|row| minor(&row[column])).sum::<i64>());
            }
            let quickbooks = rows(&ledger.csv(LedgerSet::Quickbooks, &Accounts::default()).unwrap());
            let mut entries: BTreeMap<&str, i64> = BTreeMap::new();
            let mut payable = 0;
            for row in &quickbooks {
                let amount = minor(&row["*Debits"]) - minor(&row["*Credits"]);
                *entries.entry(&row["*JournalNo"]).or_default() += amount;
                prop_assert!(minor(&row["*Debits"]) >= 0 && minor(&row["*Credits"]) >= 0 && row["*JournalNo"].len() <= 21);
                payable -= if row["*AccountName"] == "Partner commissions payable" { amount } else { 0 };
            }
            prop_assert!(entries.values().all(|sum| *sum == 0));
            prop_assert_eq!(payable, ledger.total().closing_minor - ledger.total().opening_minor);
            let xero = rows(&ledger.csv(LedgerSet::Xero, &Accounts::default()).unwrap());
            prop_assert_eq!(xero.iter().map(|row| minor(&row["*Amount"])).sum::<i64>(), 0);
            prop_assert!(xero.len() <= 6);
        }
        for pair in ledgers.windows(2) {
            prop_assert_eq!(pair[0].total().closing_minor, pair[1].total().opening_minor);
        }
    }
}

#[test]
fn a_month_that_does_not_foot_is_no_ledger() {
    let good = Roll {
        partner: "P1".into(),
        name: "=1+1".into(),
        opening_minor: -500,
        earned_minor: 2_000,
        reversed_minor: 300,
        paid_minor: 700,
        closing_minor: 500,
    };
    let make = |roll: Roll| Ledger::new("2026-10", at("2026-11-01T00:00:00Z"), "usd", vec![roll]);
    for wrong in [
        Roll { closing_minor: 501, ..good.clone() },
        Roll { earned_minor: -1, reversed_minor: -2_301, ..good.clone() },
        Roll { opening_minor: i64::MAX, ..good.clone() },
    ] {
        assert!(make(wrong).unwrap_err().to_string().contains("P1"));
    }
    let ledger = make(good).unwrap();
    let accounts = Accounts { payable: "-Payable".into(), ..Accounts::default() };
    let text = |set| String::from_utf8(ledger.csv(set, &accounts).unwrap()).unwrap();
    assert_eq!(
        text(LedgerSet::Plain),
        "period,partner,name,opening,earned,reversed,paid,closing,currency\r\n\
         2026-10,P1,'=1+1,-5.00,20.00,3.00,7.00,5.00,USD\r\n\
         2026-10,,Total,-5.00,20.00,3.00,7.00,5.00,USD\r\n"
    );
    assert_eq!(
        text(LedgerSet::Quickbooks),
        "*JournalNo,*JournalDate,*AccountName,*Debits,*Credits,Description,Name,Currency\r\n\
         AK202610-1,10/31/2026,Partner commissions,20.00,,\"Commission earned, 2026-10 (P1)\",'=1+1,USD\r\n\
         AK202610-1,10/31/2026,'-Payable,,20.00,\"Commission earned, 2026-10 (P1)\",'=1+1,USD\r\n\
         AK202610-1,10/31/2026,'-Payable,3.00,,\"Commission taken back, 2026-10 (P1)\",'=1+1,USD\r\n\
         AK202610-1,10/31/2026,Partner commissions,,3.00,\"Commission taken back, 2026-10 (P1)\",'=1+1,USD\r\n\
         AK202610-1,10/31/2026,'-Payable,7.00,,\"Payouts, 2026-10 (P1)\",'=1+1,USD\r\n\
         AK202610-1,10/31/2026,Stripe balance,,7.00,\"Payouts, 2026-10 (P1)\",'=1+1,USD\r\n"
    );
    assert!(
        text(LedgerSet::Xero).contains("Partner commissions 2026-10,31/10/2026,Payouts,1150,Tax Exempt,-7.00,,,,\r\n")
    );
}
