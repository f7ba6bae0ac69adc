//! An agency's records as rows that travel: their kinds, what they add up to, and the pages that are computed from them.
//!
//! A row's body is JSON and is kept byte for byte, because the sum is over its bytes (docs/sync.md).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use commission::{Fact, Statement, TermsBook, TermsError, evaluate, parse_fact};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;
use wire::{
    ClientDetail, ClientPage, ClientsQuery, ConnectedAccount, Link, Overview, Payout, PayoutDetail, PayoutState,
    Resource, ResourceFile, ResourceKind, Role, StatementProof,
};

use crate::client_page::{client_page, clients};
use crate::link::{Sites, Utm, share_url};
use crate::pages::{Overviewing, connected_account, day_number, funnel_since, overview, touches, until};
use crate::standing::next_month;

/// Form of the rows. An app that knows an older one must be updated.
pub const SCHEMA: u32 = 1;

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The program: its terms and its addresses ([`Program`]); one row.
    Program,
    /// The agency ([`Profile`]); one row.
    Profile,
    /// A fact of its journal ([`Fact`]), by the fact's id.
    Fact,
    /// A link ([`LinkRow`]).
    Link,
    /// The clicks of a link on a day ([`ClicksRow`]), by `{link}|{day}`.
    Clicks,
    /// How a client came ([`ClientRow`]), by its referral.
    Client,
    /// A payout with its lines ([`PayoutDetail`]), by its item.
    Payout,
    /// Something to work with that is published ([`ResourceRow`]), without the bytes of its file.
    Resource,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 8] = [
        Kind::Program,
        Kind::Profile,
        Kind::Fact,
        Kind::Link,
        Kind::Clicks,
        Kind::Client,
        Kind::Payout,
        Kind::Resource,
    ];

    /// Its name in rows.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Program => "program",
            Kind::Profile => "profile",
            Kind::Fact => "fact",
            Kind::Link => "link",
            Kind::Clicks => "clicks",
            Kind::Client => "client",
            Kind::Payout => "payout",
            Kind::Resource => "resource",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Body of the row `program`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where the API is reached from outside: links begin with it.
    pub public_url: Url,
    /// Where links may lead to.
    #[serde(flatten)]
    pub sites: Sites,
    /// Every version of the terms, as TOML.
    pub terms: String,
}

/// Body of the row `profile`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Partner code.
    pub code: String,
    /// Name of the agency.
    pub name: String,
    /// ISO 3166-1.
    pub country: String,
    /// Its own name in its links.
    pub slug: Option<String>,
    /// Connected account.
    pub account: Option<String>,
    /// What Stripe says of the account's transfers: `active` where it can be paid.
    pub transfers: String,
    /// Stripe passes on to the bank what the account receives; 0 or 1.
    pub payouts_enabled: u8,
    /// Stripe's names of what the account lacks.
    pub requirements: Vec<String>,
    /// Nothing is paid before, since an account was left; milliseconds since 1970.
    pub frozen_until_ms: Option<i64>,
    /// Versions of the terms that were accepted.
    pub accepted: Vec<String>,
}

/// Body of a row `link`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    /// UUID.
    pub id: String,
    /// Campaign name.
    pub campaign: String,
    /// Path on AIKit's site.
    pub path: String,
    /// Passed on.
    pub utm: Utm,
    /// When it was made; milliseconds since 1970.
    pub created_ms: i64,
    /// When it was put out of the list.
    pub archived_ms: Option<i64>,
}

impl LinkRow {
    /// The link as its agency sees it; `name` is the agency's code or its own name in links.
    pub fn shown(self, public: &Url, name: &str, clicks: u32, signups: u32) -> Link {
        Link {
            url: share_url(public, name, Some(&self.id)),
            archived: self.archived_ms.is_some(),
            id: self.id,
            campaign: self.campaign,
            path: self.path,
            utm: self.utm.into(),
            created_at: at(self.created_ms),
            clicks,
            signups,
            pending: false,
        }
    }
}

/// Body of a row `clicks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClicksRow {
    /// The link; empty for the main one. It may not be known yet.
    pub link: String,
    /// Day since 1970, in UTC.
    pub day: i64,
    /// Clicks by people.
    pub clicks: u32,
}

/// Body of a row `client`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRow {
    /// The referral.
    pub referral: String,
    /// When it signed up; milliseconds since 1970.
    pub signed_up_ms: i64,
    /// What decided to whom it is credited.
    pub rule: String,
    /// When the click was that led to it, where one did.
    pub click_ms: Option<i64>,
    /// The link that was clicked.
    pub link: Option<String>,
}

/// Body of a row `resource`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRow {
    /// UUID.
    pub id: String,
    /// What it is for.
    pub kind: ResourceKind,
    /// Title.
    pub title: String,
    /// A sentence or two.
    pub summary: String,
    /// Paragraphs.
    pub text: String,
    /// An https address.
    pub link: Option<String>,
    /// Its file.
    pub file: Option<ResourceFile>,
    /// Where it is in the order.
    pub place: i64,
    /// When it was changed last; milliseconds since 1970.
    pub changed_ms: i64,
    /// Since when agencies see it.
    pub published_ms: Option<i64>,
    /// Counts changes.
    pub version: u32,
}

impl ResourceRow {
    /// The resource as it is shown.
    pub fn shown(self) -> Resource {
        Resource {
            id: self.id,
            kind: self.kind,
            title: self.title,
            summary: self.summary,
            text: self.text,
            link: self.link,
            file: self.file,
            changed_at: at(self.changed_ms),
            published_at: self.published_ms.map(at),
            version: self.version,
        }
    }
}

pub(crate) fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Hash of a row: the first 128 bits of SHA-256 over its kind, id and body, in four parts.
pub fn row_hash(kind: &str, id: &str, body: &str) -> [u32; 4] {
    let mut sha = Sha256::new();
    for part in [kind, id, body] {
        sha.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(part);
    }
    let digest = sha.finalize();
    let mut parts = [0; 4];
    for (part, bytes) in parts.iter_mut().zip(digest.chunks_exact(4)) {
        *part = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    parts
}

/// What rows add up to, in whatever order: the sum of their hashes, part by part modulo 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum(pub [u32; 4]);

impl Sum {
    /// With one row more.
    pub fn add(&mut self, hash: [u32; 4]) {
        for (part, more) in self.0.iter_mut().zip(hash) {
            *part = part.wrapping_add(more);
        }
    }

    /// With one row less.
    pub fn remove(&mut self, hash: [u32; 4]) {
        for (part, less) in self.0.iter_mut().zip(hash) {
            *part = part.wrapping_sub(less);
        }
    }
}

/// Why rows are no copy of an agency's records.
#[derive(Debug, thiserror::Error)]
pub enum SliceError {
    /// A row that every copy has is missing.
    #[error("the copy has no row `{0}`")]
    Missing(&'static str),
    /// A body is not what its kind says.
    #[error("the row {kind} {id} cannot be read: {problem}")]
    Row {
        /// Kind of the row.
        kind: &'static str,
        /// Its id.
        id: String,
        /// What is wrong.
        problem: String,
    },
    /// The terms of the copy.
    #[error("the terms cannot be read: {0}")]
    Terms(#[from] TermsError),
    /// The facts of the copy.
    #[error("the statement cannot be computed: {0}")]
    Facts(#[from] commission::EvaluateError),
}

/// An agency's records, read.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The program.
    pub program: Program,
    /// Its terms.
    pub terms: TermsBook,
    /// The agency.
    pub profile: Profile,
    /// Its journal.
    pub facts: Vec<Fact>,
    /// Its links, the newest first.
    pub links: Vec<LinkRow>,
    clicks: Vec<ClicksRow>,
    clients: BTreeMap<String, ClientRow>,
    /// Its payouts, the newest first.
    payouts: Vec<PayoutDetail>,
    /// In their order.
    resources: Vec<ResourceRow>,
}

impl Slice {
    /// Reads rows: kind, id and body of each. Rows of a kind that is not known are left out.
    ///
    /// # Errors
    /// A row that cannot be read, or one that is missing.
    pub fn read<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Result<Slice, SliceError> {
        let (mut program, mut profile) = (None, None);
        let (mut facts, mut links, mut clicks) = (Vec::new(), Vec::new(), Vec::new());
        let (mut clients, mut payouts, mut resources) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (kind, id, body) in rows {
            match Kind::named(kind) {
                Some(Kind::Program) => program = Some(json::<Program>(Kind::Program, id, body)?),
                Some(Kind::Profile) => profile = Some(json::<Profile>(Kind::Profile, id, body)?),
                Some(Kind::Fact) => {
                    let wrong = |problem| SliceError::Row { kind: "fact", id: id.into(), problem };
                    let fact = parse_fact(body).map_err(|error| wrong(error.to_string()))?;
                    facts.push(fact.ok_or_else(|| wrong("it is empty".into()))?);
                }
                Some(Kind::Link) => links.push(json::<LinkRow>(Kind::Link, id, body)?),
                Some(Kind::Clicks) => clicks.push(json(Kind::Clicks, id, body)?),
                Some(Kind::Client) => drop(clients.insert(id.to_owned(), json(Kind::Client, id, body)?)),
                Some(Kind::Payout) => payouts.push(json::<PayoutDetail>(Kind::Payout, id, body)?),
                Some(Kind::Resource) => resources.push(json::<ResourceRow>(Kind::Resource, id, body)?),
                None => {}
            }
        }
        let program = program.ok_or(SliceError::Missing("program"))?;
        let profile = profile.ok_or(SliceError::Missing("profile"))?;
        links.sort_by(|a, b| b.created_ms.cmp(&a.created_ms).then_with(|| a.id.cmp(&b.id)));
        payouts.sort_by_key(|p| std::cmp::Reverse(p.as_of));
        resources.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.id.cmp(&b.id)));
        let terms = TermsBook::from_toml(&program.terms)?;
        Ok(Slice { program, terms, profile, facts, links, clicks, clients, payouts, resources })
    }

    /// The agency's statement of an instant.
    ///
    /// # Errors
    /// The facts cannot be evaluated, or do not say that the agency joined.
    pub fn statement(&self, as_of: DateTime<Utc>) -> Result<Statement, SliceError> {
        let statements = evaluate(&self.facts, &self.terms, as_of)?.statements;
        statements.into_iter().find(|s| s.partner == self.profile.code).ok_or(SliceError::Missing("partner_joined"))
    }

    /// What this engine makes of the facts, beside what the API says.
    ///
    /// # Errors
    /// As [`Self::statement`].
    pub fn proof(&self, as_of: DateTime<Utc>) -> Result<StatementProof, SliceError> {
        let digest = self.statement(as_of)?.digest;
        Ok(StatementProof { as_of, digest, rules: commission::RULES_VERSION.into() })
    }

    /// What links are called in addresses: the agency's own name, or its code.
    pub fn link_name(&self) -> &str {
        self.profile.slug.as_ref().unwrap_or(&self.profile.code)
    }

    /// The agency's first page, as of `now`.
    ///
    /// # Errors
    /// As [`Self::statement`].
    pub fn overview(&self, role: Role, now: DateTime<Utc>) -> Result<Overview, SliceError> {
        let (statement, then) = (self.statement(until(now))?, self.statement(next_month(now))?);
        Ok(self.overview_of(role, now, &statement, &then))
    }

    /// As [`Self::overview`], of its statements of now and of the next month.
    pub(crate) fn overview_of(
        &self,
        role: Role,
        now: DateTime<Utc>,
        statement: &Statement,
        then: &Statement,
    ) -> Overview {
        let since = funnel_since(now);
        overview(Overviewing {
            profile: &self.profile,
            public_url: &self.program.public_url,
            terms: &self.terms,
            role,
            facts: &self.facts,
            statement,
            then,
            open_item: self.payouts.iter().any(|p| !matches!(p.payout.state, PayoutState::Paid | PayoutState::Void)),
            clicks: self.clicks.iter().filter(|c| c.day >= since).map(|c| c.clicks).sum(),
            signups: count(self.clients.values().filter(|c| day_number(at(c.signed_up_ms)) >= since).count()),
            links: count(self.links.len()),
            last_payout: self.payouts.iter().map(|p| &p.payout).find(|p| p.state == PayoutState::Paid).cloned(),
            now,
        })
    }

    /// Its links, the newest first: those in the list, or those that were put out of it.
    pub fn links(&self, archived: bool) -> Vec<Link> {
        let mut clicks: BTreeMap<&str, u32> = BTreeMap::new();
        for row in &self.clicks {
            let sum = clicks.entry(&row.link).or_default();
            *sum = sum.saturating_add(row.clicks);
        }
        let mut signups: BTreeMap<&str, u32> = BTreeMap::new();
        for link in self.clients.values().filter_map(|c| c.link.as_deref()) {
            *signups.entry(link).or_default() += 1;
        }
        let of = |counts: &BTreeMap<&str, u32>, id: &str| counts.get(id).copied().unwrap_or(0);
        let listed = self.links.iter().filter(|l| l.archived_ms.is_some() == archived);
        listed
            .map(|l| {
                let (clicks, signups) = (of(&clicks, &l.id), of(&signups, &l.id));
                l.clone().shown(&self.program.public_url, self.link_name(), clicks, signups)
            })
            .collect()
    }

    /// Those of its clients that are asked for, as of `now`.
    ///
    /// # Errors
    /// As [`Self::statement`].
    pub fn clients(&self, asked: &ClientsQuery, now: DateTime<Utc>) -> Result<ClientPage, SliceError> {
        Ok(client_page(&self.statement(until(now))?, &self.terms, asked, now))
    }

    /// One of them, with the reason of every cent; `None` where there is no such client.
    ///
    /// # Errors
    /// As [`Self::statement`].
    pub fn client(&self, referral: &str, now: DateTime<Utc>) -> Result<Option<ClientDetail>, SliceError> {
        Ok(self.client_of(referral, &self.statement(until(now))?, now))
    }

    /// As [`Self::client`], of its statement of now.
    pub(crate) fn client_of(&self, referral: &str, statement: &Statement, now: DateTime<Utc>) -> Option<ClientDetail> {
        let found = statement.referrals.iter().find(|r| r.referral == referral)?;
        let client = clients(statement, &self.terms, &[found], now).pop()?;
        let of_it = |l: &&commission::Line| l.referral.as_deref() == Some(referral);
        let lines = statement.lines.iter().rev().filter(of_it).cloned().collect();
        let touches = self.clients.get(referral).map(|row| {
            let link = row.link.as_deref().and_then(|id| self.links.iter().find(|l| l.id == id));
            touches(row, link.map(|l| l.campaign.as_str()))
        });
        Some(ClientDetail { client, lines, touches: touches.unwrap_or_default() })
    }

    /// Its payouts, the newest first.
    pub fn payouts(&self) -> Vec<Payout> {
        self.payouts.iter().map(|p| p.payout.clone()).collect()
    }

    /// One of them.
    pub fn payout(&self, item: &str) -> Option<&PayoutDetail> {
        self.payouts.iter().find(|p| p.payout.item == item)
    }

    /// What AIKit gives agencies to work with, in its order.
    pub fn resources(&self) -> Vec<Resource> {
        self.resources.iter().cloned().map(ResourceRow::shown).collect()
    }

    /// Where its payouts go.
    pub fn connected_account(&self, now: DateTime<Utc>) -> ConnectedAccount {
        connected_account(&self.profile, now)
    }

    /// Ids of its links.
    pub fn link_ids(&self) -> BTreeSet<&str> {
        self.links.iter().map(|l| l.id.as_str()).collect()
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn json<'a, T: Deserialize<'a>>(kind: Kind, id: &str, body: &'a str) -> Result<T, SliceError> {
    serde_json::from_str(body).map_err(|error| SliceError::Row {
        kind: kind.name(),
        id: id.into(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_sum_does_not_depend_on_the_order_and_forgets_what_is_taken_out(
            rows in prop::collection::vec(("[a-c]", "[a-c]{0,2}", "[a-c]{0,2}"), 1..8), gone in any::<prop::sample::Index>(),
        ) {
            let sum_of = |rows: &[(String, String, String)]| {
                let mut sum = Sum::default();
                rows.iter().for_each(|(kind, id, body)| sum.add(row_hash(kind, id, body)));
                sum
            };
            let mut others = rows.clone();
            let (kind, id, body) = others.remove(gone.index(rows.len()));
            others.reverse();
            let mut sum = sum_of(&rows);
            sum.remove(row_hash(&kind, &id, &body));
            prop_assert_eq!(sum, sum_of(&others));
            prop_assert_ne!(sum_of(&rows), sum_of(&others));
        }
    }

    #[test]
    fn where_a_row_is_split_matters() {
        assert_ne!(row_hash("a", "b", "c"), row_hash("ab", "", "c"));
        assert_ne!(row_hash("a", "b", "c"), row_hash("a", "bc", ""));
    }

    #[test]
    fn kinds_have_names_of_their_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("note"), None);
    }
}
