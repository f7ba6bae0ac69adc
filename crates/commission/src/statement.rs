//! What an evaluation says: statements and their lines (docs/rules.md §7, §9).

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::why::Why;

/// What one partner is owed at one instant, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Statement {
    /// The partner's code.
    pub partner: String,
    /// The tier under the terms in force at `as_of`.
    pub tier: Tier,
    /// A suspended partner earns and is not paid.
    pub suspended: bool,
    /// Only facts before this instant count.
    pub as_of: DateTime<Utc>,
    /// The id of the terms in force at `as_of`.
    pub terms: String,
    /// SHA-256 in lower-case hexadecimal, see [`crate::digest`].
    pub digest: String,
    /// The sums of the lines.
    pub totals: Totals,
    /// By `earned_at`, then by kind in the order of [`LineKind`], then by `id`.
    pub lines: Vec<Line>,
    /// Facts that lead to this partner and point at something unknown.
    pub unmatched: Vec<Unmatched>,
    /// The partner's referrals, in the order of their sign-up. Not part of the JSON.
    #[serde(skip)]
    pub referrals: Vec<ReferralState>,
    /// How near the next tiers are. Not part of the JSON.
    #[serde(skip)]
    pub progress: Progress,
}

/// A statement without its lines, with the same figures and the same digest: much quicker to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Summary {
    /// The partner's code.
    pub partner: String,
    /// The tier under the terms in force at `as_of`.
    pub tier: Tier,
    /// A suspended partner earns and is not paid.
    pub suspended: bool,
    /// Only facts before this instant count.
    pub as_of: DateTime<Utc>,
    /// The id of the terms in force at `as_of`.
    pub terms: String,
    /// That of the statement with its lines, see [`crate::digest`].
    pub digest: String,
    /// The sums of the lines.
    pub totals: Totals,
    /// Facts that lead to this partner and point at something unknown.
    pub unmatched: Vec<Unmatched>,
}

/// The tier of a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Tier {
    /// Where everybody begins.
    Standard,
    /// Kept once it is reached.
    Platinum,
}

/// The sums of a statement, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Totals {
    /// Lines that have not vested yet.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub pending: i64,
    /// Lines that have vested, adjustments included.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub vested: i64,
    /// Lines that wait for a review or a dispute.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub held: i64,
    /// Lines of clients that left before they vested.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub forfeited: i64,
    /// Lines of rejected referrals.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub void: i64,
    /// Payouts that were not reversed.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub paid: i64,
    /// `vested` − `paid`; below zero it is carried forward.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub balance: i64,
    /// What may be paid now.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub payable: i64,
}

/// One amount that was earned or taken back, with everything that says why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Line {
    /// Made of what the line is about, so that the same fact makes the same line on every machine.
    pub id: String,
    /// What sort of line it is.
    pub kind: LineKind,
    /// The client, absent for an adjustment.
    pub referral: Option<String>,
    /// The invoice, absent for an adjustment.
    pub invoice: Option<String>,
    /// The commission in minor units; negative for a reversal. Never 0.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub amount_minor: i64,
    /// What it is a share of, in minor units: of the invoice for a rate, the annual price for a high-value bonus, the
    /// money that went back for a reversal, the amount itself for an adjustment.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub basis_minor: i64,
    /// The rate as a decimal string such as `0.20`; absent where the amount is not a share.
    pub rate: Option<String>,
    /// The rule that gave the amount: `first_year`, `recurring`, `platinum_first_year`, `platinum_recurring`,
    /// `volume_bonus`, `high_value_bonus` or `adjustment`. A reversal has that of the line it reverses.
    pub rule: String,
    /// The id of the terms that the line was computed under.
    pub terms: String,
    /// The referral's month of tenure that the invoice is for, from 1.
    pub tenure_month: Option<u32>,
    /// Why the line is held, forfeited or void.
    pub reason: Option<Reason>,
    /// Exactly one, see docs/rules.md §7.
    pub status: LineStatus,
    /// When it was earned, or taken back.
    pub earned_at: DateTime<Utc>,
    /// When it vests or vested; absent for a line that never will.
    pub vests_at: Option<DateTime<Utc>>,
    /// The whole of it in a sentence.
    pub why: String,
    /// What the sentence is made of, part by part. Not part of the JSON, so absent in a line that was read.
    #[serde(skip)]
    pub parts: Option<Why>,
}

/// The sort of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LineKind {
    /// A share of an invoice of a referral's first year.
    FirstYear,
    /// A share of a later invoice.
    Recurring,
    /// What a reached quarter adds.
    VolumeBonus,
    /// The one-time bonus for a large annual contract.
    HighValueBonus,
    /// What a refund or a lost dispute takes back of another line.
    Reversal,
    /// What a person added or took.
    Adjustment,
}

impl LineKind {
    /// The name of the kind in JSON, in line ids and in digests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstYear => "first_year",
            Self::Recurring => "recurring",
            Self::VolumeBonus => "volume_bonus",
            Self::HighValueBonus => "high_value_bonus",
            Self::Reversal => "reversal",
            Self::Adjustment => "adjustment",
        }
    }
}

/// The standing of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LineStatus {
    /// The referral was rejected.
    Void,
    /// The client left before it had been paying for long enough.
    Forfeited,
    /// It waits for a review or a dispute.
    Held,
    /// It waits for its vesting instant.
    Pending,
    /// It is owed.
    Vested,
}

impl LineStatus {
    /// The name of the status in JSON and in digests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::Forfeited => "forfeited",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Vested => "vested",
        }
    }
}

/// Why a line is void, forfeited or held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Reason {
    /// Void: a person rejected the referral.
    Rejected,
    /// Forfeited: the client left before its commission vested.
    LeftEarly,
    /// Held: the referral is flagged and nobody has decided yet.
    UnderReview,
    /// Held: the invoice is disputed.
    OpenDispute,
}

impl Reason {
    /// The name of the reason in JSON and in digests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::LeftEarly => "left_early",
            Self::UnderReview => "under_review",
            Self::OpenDispute => "open_dispute",
        }
    }
}

/// A fact without effect, because it points at something that no fact before `as_of` made known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Unmatched {
    /// The id of the fact.
    pub id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Its type, as in the journal.
    #[serde(rename = "type")]
    pub fact_type: String,
    /// What kind of thing is unknown.
    pub missing: Missing,
    /// The id of the unknown thing.
    pub missing_id: String,
}

/// The kinds of things that a fact can point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "Each is the thing that its name says.")]
pub enum Missing {
    Partner,
    Referral,
    Subscription,
    Invoice,
    Refund,
    Dispute,
    Payout,
}

impl Missing {
    /// The name of the kind in JSON and in digests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Referral => "referral",
            Self::Subscription => "subscription",
            Self::Invoice => "invoice",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::Payout => "payout",
        }
    }
}

/// What is known about one referral at `as_of` (docs/rules.md §3, §5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReferralState {
    /// The referral.
    pub referral: String,
    /// The partner that it is credited to, after any correction.
    pub partner: String,
    /// When the client signed up.
    pub signed_up_at: DateTime<Utc>,
    /// The domain of the client's e-mail address, as recorded.
    pub client_email_domain: Option<String>,
    /// What the engine found worth a look.
    pub flags: Vec<Flag>,
    /// What a person decided last.
    pub decision: Option<Decision>,
    /// Flagged, and nobody has decided yet.
    pub under_review: bool,
    /// When the first invoice that counts was paid.
    pub first_payment_at: Option<DateTime<Utc>>,
    /// From when the first year is counted.
    pub clock: Option<DateTime<Utc>>,
    /// When the first year ends.
    pub turns_recurring_at: Option<DateTime<Utc>>,
    /// It has paid and is neither rejected nor under review.
    pub eligible: bool,
    /// When the commission of the present or last streak of payments vests; absent when it was forfeited or nothing
    /// was paid yet.
    pub streak_vests_at: Option<DateTime<Utc>>,
    /// Where the client stands.
    pub status: ClientStatus,
    /// The price of its live subscriptions for a year, in minor units.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub annual_price_minor: i64,
    /// The month of tenure that `as_of` lies in, from 1.
    pub tenure_month: Option<u32>,
    /// The sum of its vested, pending and held lines, in minor units.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub earned_minor: i64,
    /// The id of the terms that it keeps.
    pub terms: String,
}

/// What makes a referral worth a look (docs/rules.md §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Flag {
    /// The client's company is the partner's own.
    SelfReferral,
    /// One of very many sign-ups in a month.
    Burst,
}

/// What a person decided about a referral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Decision {
    /// It counts.
    Cleared,
    /// It never counted.
    Rejected,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ClientStatus {
    /// It has had no subscription yet.
    SignedUp,
    /// It has a live subscription and has paid nothing yet.
    Trial,
    /// It has a live subscription and has paid.
    Active,
    /// It had subscriptions and has none now.
    Canceled,
}

/// How near a partner is to the next tiers, under the terms in force at `as_of`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Towards the volume bonus of the quarter that `as_of` lies in.
    pub volume: VolumeProgress,
    /// Towards platinum.
    pub platinum: PlatinumProgress,
}

/// Towards the volume bonus of the running quarter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VolumeProgress {
    /// The quarter, such as `2026-Q4`.
    pub quarter: String,
    /// Its last day.
    pub ends_on: NaiveDate,
    /// How many referrals of the quarter qualify.
    pub qualified: u32,
    /// How many are needed.
    pub needed: u32,
    /// When the quarter was reached.
    pub reached_at: Option<DateTime<Utc>>,
    /// What the bonus is or would be worth a month, in minor units, on the live subscriptions that it applies to; 0 for
    /// a platinum partner, who has better rates instead.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub worth_minor_per_month: i64,
}

/// Towards platinum.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlatinumProgress {
    /// Since when the partner is platinum.
    pub since: Option<DateTime<Utc>>,
    /// How many referrals qualify now.
    pub referrals: u32,
    /// How many are needed.
    pub referrals_needed: u32,
    /// The annualised price of the live subscriptions of qualifying referrals now, in minor units.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub arr_minor: i64,
    /// How much is needed.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub arr_minor_needed: i64,
    /// What the platinum rates are or would be worth a month, in minor units, on the live subscriptions of eligible
    /// referrals: on top of the standard rates and of the volume bonuses that they replace.
    #[cfg_attr(feature = "ts", ts(type = "number"))]
    pub worth_minor_per_month: i64,
}
