use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{State, Transfer};

/// For so long Stripe's lists may leave a transfer out that was made (hours).
const LISTS_LAG_H: i64 = 1;

/// What the records say of one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Id of the item.
    pub item: String,
    /// Partner code.
    pub partner: String,
    /// What was approved, in minor units.
    pub amount_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Connected account.
    pub destination: String,
    /// Where it stands.
    pub state: State,
    /// Stripe's transfer, once paid.
    pub transfer: Option<String>,
    /// When Stripe made it.
    pub paid_at: Option<DateTime<Utc>>,
    /// Of a payment: how much of it the journal has as reversed, in minor units.
    pub reversed_minor: i64,
}

/// A balance transaction of a transfer: what it took from the platform's balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The transfer.
    pub transfer: String,
    /// Minor units; below zero for money that left.
    pub amount_minor: i64,
}

/// What is wrong with a payment, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mismatch {
    /// More than one transfer pays it, and none of them is reversed whole.
    Double,
    /// Stripe has a transfer for an item that the records do not have.
    NoRecord,
    /// Stripe has its transfer, and it is not recorded as paid.
    NotRecorded,
    /// It is recorded as paid, and Stripe lists no transfer of it.
    NotListed,
    /// Amount, currency or account of the transfer, or the transfer itself, is another than recorded.
    Differs,
    /// Another part of it was reversed at Stripe than the journal says.
    Reversed,
    /// What its transfer took from the balance is not its amount.
    Balance,
}

/// A payment that the records and Stripe disagree about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub mismatch: Mismatch,
    /// Id of the item.
    pub item: String,
    /// Partner code, where the item is known.
    pub partner: Option<String>,
    /// Its transfers at Stripe, or the one that was recorded.
    pub transfers: Vec<String>,
    /// What the records say was paid and not reversed.
    pub recorded_minor: i64,
    /// What Stripe's transfers say.
    pub transferred_minor: i64,
}

/// The records beside Stripe's transfers and its balance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What the records say was paid and not reversed, in minor units; so the next two.
    pub recorded_minor: i64,
    /// What Stripe's transfers for items say.
    pub transferred_minor: i64,
    /// What they took from the balance, before reversals.
    pub booked_minor: i64,
    /// Transfers for items.
    pub transfers: u32,
    /// Transfers that are for no item: not this program's.
    pub others: u32,
    /// Payments that are recorded and so new that Stripe's lists may leave them out. They are not in the sums.
    pub too_new: u32,
    /// Every payment that is not explained, the worst first. Where there is none, the three sums agree.
    pub findings: Vec<Finding>,
}

/// Holds the records of payments against the transfers that Stripe lists and what was booked for them. `recorded` has every
/// payment made since the first of the listed transfers may have been made, and whatever the transfers name.
pub fn reconcile(recorded: &[Recorded], transfers: &[Transfer], booked: &[Booked], now: DateTime<Utc>) -> Comparison {
    let records: BTreeMap<&str, &Recorded> = recorded.iter().map(|r| (r.item.as_str(), r)).collect();
    // A person may have found a payment in a transfer that says of no item that it is for it.
    let found: BTreeMap<&str, &str> =
        recorded.iter().filter_map(|r| Some((r.transfer.as_deref()?, r.item.as_str()))).collect();
    let mut of_item: BTreeMap<&str, Vec<&Transfer>> = BTreeMap::new();
    let mut all = Comparison::default();
    for transfer in transfers {
        match transfer.item.as_deref().or_else(|| found.get(transfer.id.as_str()).copied()) {
            Some(item) => of_item.entry(item).or_default().push(transfer),
            None => all.others += 1,
        }
    }
    let mut taken: BTreeMap<&str, i64> = BTreeMap::new();
    for entry in booked {
        let sum = taken.entry(&entry.transfer).or_default();
        *sum = sum.saturating_sub(entry.amount_minor);
    }
    let items: BTreeSet<&str> = records.keys().chain(of_item.keys()).copied().collect();
    for item in items {
        let record = records.get(item).copied();
        let listed = of_item.get(item).map(Vec::as_slice).unwrap_or_default();
        let paid = record.filter(|r| r.state == State::Paid);
        let is_new = |at: DateTime<Utc>| now - at < TimeDelta::hours(LISTS_LAG_H);
        if listed.is_empty() && paid.is_some_and(|r| r.paid_at.is_some_and(is_new)) {
            all.too_new += 1;
            continue;
        }
        let recorded_minor = paid.map_or(0, |r| r.amount_minor.saturating_sub(r.reversed_minor));
        let left = |t: &Transfer| t.amount_minor.saturating_sub(t.amount_reversed_minor);
        let transferred_minor = listed.iter().fold(0_i64, |sum, t| sum.saturating_add(left(t)));
        let booked_minor =
            listed.iter().fold(0_i64, |sum, t| sum.saturating_add(taken.get(t.id.as_str()).copied().unwrap_or(0)));
        all.recorded_minor = all.recorded_minor.saturating_add(recorded_minor);
        all.transferred_minor = all.transferred_minor.saturating_add(transferred_minor);
        all.booked_minor = all.booked_minor.saturating_add(booked_minor);
        all.transfers = all.transfers.saturating_add(u32::try_from(listed.len()).unwrap_or(u32::MAX));
        if let Some(mismatch) = mismatch(record, listed, &taken) {
            let recorded_as = record.and_then(|r| r.transfer.clone()).filter(|_| listed.is_empty());
            all.findings.push(Finding {
                mismatch,
                item: item.to_owned(),
                partner: record.map(|r| r.partner.clone()),
                transfers: listed.iter().map(|t| t.id.clone()).chain(recorded_as).collect(),
                recorded_minor,
                transferred_minor,
            });
        }
    }
    all.findings.sort_by(|a, b| (a.mismatch, &a.item).cmp(&(b.mismatch, &b.item)));
    all
}

fn mismatch(record: Option<&Recorded>, listed: &[&Transfer], taken: &BTreeMap<&str, i64>) -> Option<Mismatch> {
    let live = listed.iter().filter(|t| t.amount_reversed_minor < t.amount_minor).count();
    let Some(record) = record else { return (!listed.is_empty()).then_some(Mismatch::NoRecord) };
    if live > 1 {
        return Some(Mismatch::Double);
    }
    let is_booked = listed.iter().all(|t| taken.get(t.id.as_str()) == Some(&t.amount_minor));
    let balance = (!is_booked).then_some(Mismatch::Balance);
    if record.state != State::Paid {
        return if live > 0 { Some(Mismatch::NotRecorded) } else { balance };
    }
    if listed.is_empty() {
        return Some(Mismatch::NotListed);
    }
    let Some(its_own) = listed.iter().find(|t| record.transfer.as_ref() == Some(&t.id)) else {
        return Some(Mismatch::Differs);
    };
    let as_approved = its_own.amount_minor == record.amount_minor
        && its_own.currency == record.currency
        && its_own.destination == record.destination;
    if !as_approved {
        return Some(Mismatch::Differs);
    }
    // Another transfer beside it was reversed whole, or this one was and the other pays.
    if live > 0 && its_own.amount_reversed_minor == its_own.amount_minor {
        return Some(Mismatch::Differs);
    }
    if its_own.amount_reversed_minor != record.reversed_minor {
        return Some(Mismatch::Reversed);
    }
    balance
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn paid(item: &str) -> Recorded {
        Recorded {
            item: item.into(),
            partner: format!("of {item}"),
            amount_minor: 500,
            currency: "usd".into(),
            destination: "acct".into(),
            state: State::Paid,
            transfer: Some(format!("tr_{item}")),
            paid_at: Some(at(0)),
            reversed_minor: 0,
        }
    }

    fn transfer(item: &str) -> Transfer {
        Transfer {
            id: format!("tr_{item}"),
            created: at(0),
            amount_minor: 500,
            amount_reversed_minor: 0,
            currency: "usd".into(),
            destination: "acct".into(),
            item: Some(item.into()),
        }
    }

    fn booked(transfers: &[Transfer]) -> Vec<Booked> {
        transfers.iter().map(|t| Booked { transfer: t.id.clone(), amount_minor: -t.amount_minor }).collect()
    }

    /// What is found of one record and its transfers.
    fn found(record: Option<Recorded>, transfers: &[Transfer], now: DateTime<Utc>) -> Option<Mismatch> {
        let records: Vec<Recorded> = record.into_iter().collect();
        let all = reconcile(&records, transfers, &booked(transfers), now);
        assert!(all.findings.len() <= 1);
        all.findings.first().map(|finding| finding.mismatch)
    }

    #[test]
    fn every_disagreement_has_its_name() {
        let (one, now) = (transfer("a"), at(9));
        let other = Transfer { id: "tr_b".into(), ..one.clone() };
        let back = |t: &Transfer, minor| Transfer { amount_reversed_minor: minor, ..t.clone() };
        let queued = || Recorded { state: State::Queued, transfer: None, paid_at: None, ..paid("a") };
        let table = [
            (Some(paid("a")), vec![one.clone()], None),
            (Some(queued()), vec![], None),
            (Some(queued()), vec![back(&one, 500)], None),
            (Some(Recorded { reversed_minor: 200, ..paid("a") }), vec![back(&one, 200)], None),
            (Some(paid("a")), vec![one.clone(), back(&other, 500)], None),
            (Some(paid("a")), vec![one.clone(), other.clone()], Some(Mismatch::Double)),
            (Some(paid("a")), vec![one.clone(), back(&other, 499)], Some(Mismatch::Double)),
            (Some(paid("a")), vec![back(&one, 500), other.clone()], Some(Mismatch::Differs)),
            (None, vec![one.clone()], Some(Mismatch::NoRecord)),
            (Some(queued()), vec![one.clone()], Some(Mismatch::NotRecorded)),
            (Some(Recorded { state: State::Void, ..paid("a") }), vec![one.clone()], Some(Mismatch::NotRecorded)),
            (Some(paid("a")), vec![], Some(Mismatch::NotListed)),
            (Some(paid("a")), vec![other.clone()], Some(Mismatch::Differs)),
            (Some(paid("a")), vec![Transfer { amount_minor: 501, ..one.clone() }], Some(Mismatch::Differs)),
            (Some(paid("a")), vec![Transfer { destination: "acct_2".into(), ..one.clone() }], Some(Mismatch::Differs)),
            (Some(paid("a")), vec![Transfer { item: None, ..one.clone() }], None),
            (Some(paid("a")), vec![Transfer { item: None, ..other.clone() }], Some(Mismatch::NotListed)),
            (Some(paid("a")), vec![back(&one, 1)], Some(Mismatch::Reversed)),
            (Some(Recorded { reversed_minor: 1, ..paid("a") }), vec![one.clone()], Some(Mismatch::Reversed)),
        ];
        for (record, transfers, expected) in table {
            assert_eq!(found(record.clone(), &transfers, now), expected, "{record:?} {transfers:?}");
        }
        assert_eq!(found(Some(paid("a")), &[], at(0) + TimeDelta::minutes(59)), None, "the list may lag");
        for amounts in [&[][..], &[-499], &[-500, -500], &[500]] {
            let entries: Vec<Booked> = amounts
                .iter()
                .map(|amount_minor| Booked { transfer: "tr_a".into(), amount_minor: *amount_minor })
                .collect();
            let all = reconcile(&[paid("a")], std::slice::from_ref(&one), &entries, now);
            assert_eq!(all.findings.first().map(|f| f.mismatch), Some(Mismatch::Balance), "{amounts:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The findings explain the difference of the sums to the cent; without any, the three sums agree.
        #[test]
        fn whatever_differs_is_found(
            records in prop::collection::vec((0..5usize, 0i64..3, any::<bool>(), 0i64..3), 0..5),
            transfers in prop::collection::vec((0..6usize, 0..8usize, 0i64..3, 0i64..3), 0..8),
            lost in 0..9usize,
        ) {
            let names = ["a", "b", "c", "d", "e", "f"];
            let mut seen = BTreeSet::new();
            let records: Vec<Recorded> = records.into_iter().filter(|r| seen.insert(r.0)).map(|(item, minor, is_paid, back)| Recorded {
                amount_minor: minor + 1,
                reversed_minor: back.min(minor + 1),
                state: if is_paid { State::Paid } else { State::Queued },
                ..paid(names[item])
            }).collect();
            let mut ids = BTreeSet::new();
            let transfers: Vec<Transfer> = transfers.into_iter().filter(|t| ids.insert(t.1)).map(|(item, id, minor, back)| Transfer {
                id: names.get(id).map_or("tr_x".to_owned(), |name| format!("tr_{name}")),
                amount_minor: minor + 1,
                amount_reversed_minor: back.min(minor + 1),
                item: names.get(item).filter(|_| item < 5).map(|name| (*name).to_owned()),
                ..transfer("a")
            }).filter(|t| t.id != "tr_x").collect();
            let mut entries = booked(&transfers);
            if lost < entries.len() { entries.remove(lost); }
            let all = reconcile(&records, &transfers, &entries, at(9));
            let explained: i64 = all.findings.iter().map(|f| f.recorded_minor - f.transferred_minor).sum();
            prop_assert_eq!(explained, all.recorded_minor - all.transferred_minor);
            if all.findings.is_empty() {
                prop_assert_eq!(all.recorded_minor, all.transferred_minor);
                // A transfer is a payment's by what it says, or because a person found it.
                let is_payment = |t: &&Transfer| t.item.is_some() || records.iter().any(|r| r.transfer.as_ref() == Some(&t.id));
                let back: i64 = transfers.iter().filter(is_payment).map(|t| t.amount_reversed_minor).sum();
                prop_assert_eq!(all.booked_minor - back, all.transferred_minor);
            }
            prop_assert!(all.findings.iter().all(|f| f.recorded_minor == f.transferred_minor || f.mismatch != Mismatch::Balance));
        }
    }
}
