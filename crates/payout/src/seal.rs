use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a run will pay, frozen. Approvals bind to its [hash](Seal::run_hash).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Seal {
    /// Which money: `test` or `live`.
    pub environment: String,
    /// Id of the run.
    pub run: String,
    /// Month that it closes, `2026-10`.
    pub period: String,
    /// Facts before this instant count.
    pub as_of: DateTime<Utc>,
    /// Facts recorded up to this number count.
    pub cut: i64,
    /// Ids of the terms in the book, in order.
    pub terms: Vec<String>,
    /// Who is paid, by item id.
    pub items: Vec<SealedItem>,
    /// Who is not, by partner.
    pub not_paid: Vec<SealedNotPaid>,
}

/// One payment of a seal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SealedItem {
    /// Id of the item.
    pub item: String,
    /// Partner code.
    pub partner: String,
    /// Minor units, above zero.
    pub amount_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Connected account.
    pub destination: String,
    /// Digest of the statement that it pays.
    pub digest: String,
}

/// One partner that a seal does not pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SealedNotPaid {
    /// Partner code.
    pub partner: String,
    /// The first unmet condition.
    pub reason: String,
}

impl Seal {
    /// SHA-256, in hexadecimal, over every field in order. Each field is written as its length in bytes, a colon, its
    /// text and a line feed, so that no two seals are written alike; lists begin with their length.
    ///
    /// Items and partners are ordered first: two machines that drafted the same run give the same hash.
    pub fn run_hash(&self) -> String {
        let mut hash = Sha256::new();
        let mut field = |text: &str| hash.update(format!("{}:{text}\n", text.len()));
        field("aikit-run-1");
        field(&self.environment);
        field(&self.run);
        field(&self.period);
        field(&self.as_of.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
        field(&self.cut.to_string());
        field(&self.terms.len().to_string());
        self.terms.iter().for_each(|id| field(id));
        let mut items: Vec<&SealedItem> = self.items.iter().collect();
        items.sort_by(|a, b| a.item.cmp(&b.item));
        field(&items.len().to_string());
        for i in items {
            field(&i.item);
            field(&i.partner);
            field(&i.amount_minor.to_string());
            field(&i.currency);
            field(&i.destination);
            field(&i.digest);
        }
        let mut not_paid: Vec<&SealedNotPaid> = self.not_paid.iter().collect();
        not_paid.sort_by(|a, b| a.partner.cmp(&b.partner));
        field(&not_paid.len().to_string());
        for n in not_paid {
            field(&n.partner);
            field(&n.reason);
        }
        hex::encode(hash.finalize())
    }

    /// Total of the items in minor units.
    pub fn total_minor(&self) -> i128 {
        self.items.iter().map(|i| i128::from(i.amount_minor)).sum()
    }
}

/// One partner of whom two seals say different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed<'a> {
    /// Partner code.
    pub partner: &'a str,
    /// What the first seal pays it.
    pub before: Option<&'a SealedItem>,
    /// What the second does.
    pub after: Option<&'a SealedItem>,
}

impl Seal {
    /// The partners whose payment differs in `after`: its amount, its account or the statement that it pays. By code.
    pub fn changes<'a>(&'a self, after: &'a Seal) -> Vec<Changed<'a>> {
        let by_partner = |seal: &'a Seal| -> BTreeMap<&'a str, &'a SealedItem> {
            seal.items.iter().map(|item| (item.partner.as_str(), item)).collect()
        };
        let (before, after) = (by_partner(self), by_partner(after));
        let partners: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        let of =
            |partner| Changed { partner, before: before.get(partner).copied(), after: after.get(partner).copied() };
        partners.into_iter().map(of).filter(|change| change.before != change.after).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        let item = |n: &str, amount_minor| SealedItem {
            item: format!("run:{n}"),
            partner: n.into(),
            amount_minor,
            currency: "usd".into(),
            destination: format!("acct_{n}"),
            digest: "d".repeat(64),
        };
        Seal {
            environment: "test".into(),
            run: "run".into(),
            period: "2026-10".into(),
            as_of: DateTime::UNIX_EPOCH,
            cut: 7,
            terms: vec!["2026-01".into()],
            items: vec![item("A", 100), item("B", 200)],
            not_paid: vec![SealedNotPaid { partner: "C".into(), reason: "debt".into() }],
        }
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let base = seal();
        let mut turned = base.clone();
        turned.items.reverse();
        assert_eq!(base.run_hash(), turned.run_hash());

        let changes: [fn(&mut Seal); 11] = [
            |s| s.environment = "live".into(),
            |s| s.run.push('x'),
            |s| s.period = "2026-09".into(),
            |s| s.as_of += chrono::TimeDelta::nanoseconds(1),
            |s| s.cut += 1,
            |s| s.terms.push("2027-01".into()),
            |s| s.items[0].amount_minor += 1,
            |s| s.items[0].destination.push('x'),
            |s| s.items[0].digest.push('x'),
            |s| drop(s.items.pop()),
            |s| s.not_paid[0].reason = "held".into(),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut other = seal();
            change(&mut other);
            assert_ne!(base.run_hash(), other.run_hash(), "change {n} went unnoticed");
        }
    }

    #[test]
    fn two_seals_differ_by_partner() {
        let (before, mut after) = (seal(), seal());
        assert!(before.changes(&after).is_empty());
        after.items.reverse();
        assert!(before.changes(&after).is_empty(), "order says nothing");
        after.items[0].amount_minor += 1;
        after.items.pop();
        after.items.push(SealedItem { partner: "D".into(), ..before.items[0].clone() });
        let changes = before.changes(&after);
        let told: Vec<_> = changes.iter().map(|c| (c.partner, c.before.is_some(), c.after.is_some())).collect();
        assert_eq!(told, [("A", true, false), ("B", true, true), ("D", false, true)]);
    }

    #[test]
    fn fields_cannot_run_into_each_other() {
        let (mut a, mut b) = (seal(), seal());
        (a.run, a.period) = ("x".into(), "yz".into());
        (b.run, b.period) = ("xy".into(), "z".into());
        assert_ne!(a.run_hash(), b.run_hash());
    }
}
