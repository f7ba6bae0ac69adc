use chrono::{DateTime, Utc};
use commission::Tier;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::{IntoParams, ToSchema};

use crate::PayoutState;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Computed; can be computed again.
    Draft,
    /// Being frozen; resumable.
    Sealing,
    /// Frozen under its run hash.
    Sealed,
    /// Approved as the policy wants it.
    Approved,
    /// A send grant exists or did.
    Sending,
    /// Every item is paid or void.
    Done,
}

/// A month's run in the list of runs.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct RunSummary {
    /// Id of the run.
    pub run: String,
    /// Month that it closes, `2026-10`.
    pub period: String,
    /// Facts before this instant count.
    pub as_of: DateTime<Utc>,
    /// Where it stands.
    pub state: RunState,
    /// Rises with every change; an approval binds to it.
    pub version: u32,
    /// Hash over all that will be paid, from the seal on.
    pub run_hash: Option<String>,
    /// What the items add up to.
    pub total_minor: i64,
    /// Partners that are paid.
    pub items: u32,
    /// Partners that are not.
    pub not_paid: u32,
    /// What has been paid so far.
    pub paid_minor: i64,
    /// When it was drafted.
    pub drafted_at: DateTime<Utc>,
    /// When its last item was settled.
    pub done_at: Option<DateTime<Utc>>,
}

/// `GET /v1/runs/{run}`: one run.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Run {
    /// As in the list.
    pub summary: RunSummary,
    /// What the run before came to; `null` for the first.
    pub previous_total_minor: Option<i64>,
    /// Who is paid, the largest amount first.
    pub items: Vec<RunItem>,
    /// Who is not, and the first unmet condition of each.
    pub not_paid: Vec<NotPaid>,
    /// Who approved this seal.
    pub approvals: Vec<Approval>,
    /// How many approvals the policy wants.
    pub approvals_needed: u32,
    /// Items by state.
    pub progress: RunProgress,
    /// The send grant, while one is good.
    pub grant: Option<GrantState>,
    /// What leads from the run before to this one; adds up to the difference of their totals. Empty for the first.
    pub difference: Vec<RunDifference>,
    /// A transfer was recorded as about to be sent: from then on a run can only go on or be closed.
    pub begun: bool,
    /// Why nobody may send it now, where somebody or something ended the grant.
    pub halted: Option<String>,
    /// Who closed it with payouts unsent, and why.
    pub closed: Option<String>,
    /// What finance wrote beside it, the oldest first.
    pub notes: Vec<RunNote>,
}

/// A note of finance beside a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RunNote {
    /// UUID.
    pub id: String,
    /// Address of whoever wrote it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub text: String,
}

/// `POST /v1/runs/{run}/notes`: a note is never edited.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct AddNote {
    /// UUID made by the caller.
    pub id: String,
    /// 1 to 500 characters.
    pub text: String,
}

/// One reason why a run comes to another total than the run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RunDifference {
    /// The reason.
    pub cause: DifferenceCause,
    /// By how much, in minor units; never zero.
    pub amount_minor: i64,
    /// Partners whose payout differs for it.
    pub partners: u32,
}

/// Why a run comes to another total than the run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceCause {
    /// Partners that the run before did not pay.
    NewlyPaid,
    /// Partners that the run before paid and this one does not.
    NoLongerPaid,
    /// More, or less, commission vested, of partners that both pay; so for the next three.
    Commission,
    /// Bonuses.
    Bonus,
    /// Amounts added or taken by hand.
    Adjustment,
    /// Taken back after refunds, lost disputes and decisions.
    Reversed,
    /// Carried from months before: what was not paid then, or a debt.
    Carried,
}

/// One partner's payment within a run.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct RunItem {
    /// Id of the item; `payout` of the fact that it will post.
    pub item: String,
    /// Partner code.
    pub partner: String,
    /// Agency name.
    pub name: String,
    /// Tier at `as_of`.
    pub tier: Tier,
    /// What is paid.
    pub amount_minor: i64,
    /// What the run before paid to this partner.
    pub previous_minor: Option<i64>,
    /// Lines that the payout's run posts: vested since the posting before, or changed.
    pub lines: u32,
    /// Connected account, `acct_…`.
    pub destination: String,
    /// Digest of the statement.
    pub digest: String,
    /// Where it stands.
    pub state: PayoutState,
    /// Stripe's transfer.
    pub transfer: Option<String>,
    /// What Stripe said, when it refused.
    pub problem: Option<String>,
}

/// A partner that a run does not pay.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct NotPaid {
    /// Partner code.
    pub partner: String,
    /// Agency name.
    pub name: String,
    /// Vested and not paid; negative is a debt.
    pub balance_minor: i64,
    /// Held or pending beside it.
    pub waiting_minor: i64,
    /// The first unmet condition.
    pub reason: NotPaidReason,
    /// The same in words, with what to do.
    pub text: String,
    /// Of a debt: the month whose payout is the first that what waits now covers; `null` if it does not.
    pub recovered_in: Option<String>,
}

/// Conditions of a payment, in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotPaidReason {
    /// The agency is suspended.
    Suspended,
    /// The balance is below zero.
    Debt,
    /// All that is due waits for the review of a referral.
    UnderReview,
    /// All that is due is held by an open dispute.
    Held,
    /// Nothing has vested yet.
    Pending,
    /// The balance is below the minimum payout.
    BelowMinimum,
    /// A payout of an earlier run is still open.
    OpenItem,
    /// The terms in force are not accepted.
    TermsNotAccepted,
    /// There is no Stripe account.
    NoAccount,
    /// Stripe does not let the account receive transfers.
    TransfersInactive,
    /// It left its Stripe account for another within the last 72 hours.
    AccountReplaced,
    /// Finance holds it out of this run.
    HeldOut,
}

/// One approval of a seal.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Approval {
    /// Address of the approver.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Items of a run, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RunProgress {
    /// Wait to be sent.
    pub queued: u32,
    /// On the way.
    pub sending: u32,
    /// Sent, outcome not known.
    pub unknown: u32,
    /// A person must look.
    pub review: u32,
    /// Paid.
    pub paid: u32,
    /// Closed without a payment.
    pub void: u32,
}

/// A send grant as finance sees it.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct GrantState {
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
    /// When an executor last claimed under it; `null` while it waits for one.
    pub executor_seen_at: Option<DateTime<Utc>>,
}

/// `POST /v1/runs`: draft the run of a month.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct DraftRun {
    /// The month to close, `2026-10`; it must have ended.
    pub period: String,
}

/// `POST /v1/runs/{run}/seal`: freeze what was seen.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct SealRun {
    /// Version that was looked at.
    pub version: u32,
}

/// `POST /v1/runs/{run}/approve`: needs a fresh sign-in.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ApproveRun {
    /// The seal that is approved.
    pub run_hash: String,
    /// Its version.
    pub version: u32,
    /// The total, typed by the approver.
    pub typed_total_minor: i64,
}

/// `POST /v1/runs/{run}/send`: needs a fresh sign-in; issues a send grant.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct SendRun {
    /// The seal that is sent.
    pub run_hash: String,
}

/// `POST /v1/runs/{run}/holds`: holds a partner out of a draft. It stays out while the draft is computed again.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct HoldPartner {
    /// Version that was looked at.
    pub version: u32,
    /// Partner code; one that the draft pays.
    pub partner: String,
    /// Why, in 1 to 500 characters.
    pub reason: String,
}

/// `POST /v1/runs/{run}/holds/{partner}/release`: pays it after all.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ReleasePartner {
    /// Version that was looked at.
    pub version: u32,
}

/// `POST /v1/runs/{run}/unseal` and `…/discard`: before the first transfer was recorded as about to be sent.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct TurnBack {
    /// Version that was looked at.
    pub version: u32,
    /// Why, in 1 to 500 characters.
    pub reason: String,
}

/// `POST /v1/runs/{run}/close`: needs a fresh sign-in; what is still queued is not paid by this run.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct CloseRun {
    /// The seal that is closed.
    pub run_hash: String,
    /// Why, in 1 to 500 characters.
    pub reason: String,
}

/// How the seal that somebody looked at differs from what the run is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct SealDiff {
    /// Hash of the seal that was looked at.
    pub from: String,
    /// Hash of the one that there is now; `null` while there is none.
    pub to: Option<String>,
    /// What the two come to, in minor units.
    pub total_before_minor: i64,
    /// The one that there is now.
    pub total_after_minor: i64,
    /// Partners that differ, by name; the first hundred.
    pub changes: Vec<SealChange>,
    /// How many more there are.
    pub more: u32,
}

/// One partner of whom two seals say different things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct SealChange {
    /// Partner code.
    pub partner: String,
    /// Agency name.
    pub name: String,
    /// What the first seal pays it; `null` where it does not.
    pub before_minor: Option<i64>,
    /// What it is paid now; `null` where it is not.
    pub after_minor: Option<i64>,
    /// It is paid to another Stripe account.
    pub other_account: bool,
}

/// Which columns a ledger export has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LedgerSet {
    /// A row for each agency, and their sum.
    #[default]
    Plain,
    /// A journal as QuickBooks Online imports it: an entry for each agency.
    Quickbooks,
    /// A manual journal as Xero imports it: one for all, because Xero takes 300 lines at a time.
    Xero,
}

/// `GET /v1/runs/{run}/ledger.csv`: the ledger export of a closed month.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, TS, ToSchema, IntoParams)]
pub struct LedgerExport {
    /// Which columns; `plain` where it is left out.
    #[param(inline)]
    pub set: Option<LedgerSet>,
}
