//! A receipt to change, and what a reader finds in a PDF.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commission::{Line, LineKind, LineStatus, RULES_VERSION, TermsBook, Totals, read_journal};
use documents::receipt::{FORM, Payer, Receipt};
use documents::sources::Sources;
use wire::{PartnerName, Payout, PayoutDetail, PayoutState};

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

pub(crate) fn line(n: usize, amount_minor: i64, invoice: &str) -> Line {
    let reversal = amount_minor < 0;
    Line {
        id: format!("l{n}"),
        kind: if reversal { LineKind::Reversal } else { LineKind::FirstYear },
        referral: Some(format!("r_{:08x}", n * 7_919)),
        invoice: Some(invoice.into()),
        amount_minor,
        basis_minor: amount_minor * 5,
        rate: Some("0.20".into()),
        rule: "first_year".into(),
        terms: "2026-01".into(),
        tenure_month: Some(3),
        reason: None,
        status: LineStatus::Vested,
        earned_at: at("2026-08-14T10:00:00Z"),
        vests_at: None,
        why: "20 % of $1,250.00 that the client paid on 14 August 2026, in the third month of its first year; vested on 13 October 2026, when it had been paying for 60 days.".into(),
        parts: None,
    }
}

/// A receipt with so many lines, the third of which takes something back, and a debt that was carried.
pub(crate) fn receipt(lines: usize) -> Receipt {
    let lines: Vec<Line> = (0..lines)
        .map(|n| {
            line(
                n,
                if n == 2 { -12_345 } else { 25_000 + i64::try_from(n).unwrap() * 137 },
                &format!("in_1QxYzAbCdEf{n}"),
            )
        })
        .collect();
    let sum: i64 = lines.iter().map(|line| line.amount_minor).sum();
    Receipt {
        form: FORM,
        rules: RULES_VERSION.into(),
        cut: 48_210,
        payer: Payer {
            name: "AIKit, Inc.".into(),
            address: vec!["1 Market Street".into(), "San Francisco, CA 94105".into(), "United States".into()],
            email: Some("partners@aikit.example".into()),
        },
        detail: PayoutDetail {
            payout: Payout {
                item: "2026-10.1:PARTNER_7K3M9QXD".into(),
                period: "2026-10".into(),
                amount_minor: sum - 1_999,
                state: PayoutState::Paid,
                transfer: Some("tr_1Q2w3E4r5T6y7U8i9O".into()),
                paid_at: Some(at("2026-11-03T09:14:07Z")),
                digest: "sha256:6f1d0c6b8a7e4f3d2c1b0a9f8e7d6c5b4a3f2e1d0c9b8a7f6e5d4c3b2a1f0e9d".into(),
                bank: None,
            },
            partner: PartnerName {
                code: "PARTNER_7K3M9QXD".into(), name: "Northwind Ágency Ωμέγα Волна".into()
            },
            as_of: at("2026-11-01T00:00:00Z"),
            carried_minor: -1_999,
            lines,
            totals: Totals::default(),
        },
        transfer: "tr_1Q2w3E4r5T6y7U8i9O".into(),
        paid_at: at("2026-11-03T09:14:07Z"),
        account: "acct_1NorthWind".into(),
        reversed_minor: 0,
        currency: "usd".into(),
        live: true,
        clients: BTreeMap::from([("r_00000000".into(), "acme.example".into())]),
        disclosure: "We are an AIKit partner and may receive a commission.".into(),
        letter: false,
    }
}

/// What a receipt carries: the agency joined, and had been paid for a line before.
pub(crate) fn sources() -> Sources {
    let joined = r#"{"id":"partner_joined:PARTNER_7K3M9QXD","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"PARTNER_7K3M9QXD","name":"Northwind","website":"northwind.example"}"#;
    let posted = BTreeMap::from([("first_year:in_0".to_owned(), 12_000)]);
    Sources::new(read_journal(joined).unwrap(), &TermsBook::default_book(), at("2026-11-01T00:00:00Z"), posted)
}

/// All text of a PDF.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    let document = lopdf::Document::load_mem(bytes).unwrap();
    let pages: Vec<u32> = document.get_pages().keys().copied().collect();
    document.extract_text(&pages).unwrap()
}

/// Every amount that stands alone on a line, in minor units.
pub(crate) fn amounts_of(text: &str) -> Vec<i64> {
    let amount = |line: &str| {
        let digits = line.trim().replace(['$', ','], "");
        let (whole, cents) = digits.split_once('.').filter(|_| line.contains('$'))?;
        format!("{whole}{cents}").parse().ok()
    };
    text.lines().filter_map(amount).collect()
}
