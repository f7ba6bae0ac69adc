use crate::PayoutState;
use chrono::{DateTime, NaiveDate, Utc};
use commission::{ClientStatus, Flag, Line, PlatinumProgress, Tier, Totals, VolumeProgress};
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::{IntoParams, ToSchema};

use crate::{PartnerName, Role};

/// `GET /v1/overview`: an agency's first page.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Overview {
    /// The agency.
    pub partner: PartnerName,
    /// The link without a campaign, ready to share.
    pub link_url: String,
    /// What to say to clients beside a link.
    pub disclosure: String,
    /// Tier under the terms in force.
    pub tier: Tier,
    /// The running month, `2026-11`, in UTC.
    pub month: String,
    /// What this month has brought so far.
    pub estimate: Estimate,
    /// What will be paid next, and when.
    pub next_payout: NextPayout,
    /// The newest payout that was sent.
    pub last_payout: Option<Payout>,
    /// Sums over all time.
    pub totals: Totals,
    /// Progress to the volume bonus of the running quarter.
    pub volume: VolumeProgress,
    /// The volume bonus as a decimal string, `0.05`.
    pub volume_rate: String,
    /// Progress to platinum.
    pub platinum: PlatinumProgress,
    /// The last twelve months, the oldest first, the running month last.
    pub months: Vec<MonthEarned>,
    /// From clicks to money, over the last 90 days.
    pub funnel: Funnel,
    /// The single next step, when there is one.
    pub action: Option<NextStep>,
}

/// What a month's lines add up to, by status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Estimate {
    /// Vested + pending + held.
    pub total_minor: i64,
    /// Already due.
    pub vested_minor: i64,
    /// Waits for the client's sixty days.
    pub pending_minor: i64,
    /// When the first of the pending lines vests.
    pub pending_from: Option<DateTime<Utc>>,
    /// Waits for a decision.
    pub held_minor: i64,
    /// For what, in words.
    pub held_reason: Option<String>,
}

/// The payout to come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct NextPayout {
    /// First day of the next month: the day it is computed.
    pub on: NaiveDate,
    /// What would be due on that day, as known now.
    pub amount_minor: i64,
    /// The first unmet condition, in words; absent when it will be paid.
    pub why_not: Option<String>,
}

/// What the lines earned in one month come to.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct MonthEarned {
    /// `2026-11`.
    pub month: String,
    /// Already due or paid.
    pub vested_minor: i64,
    /// Waits for the client's sixty days.
    pub pending_minor: i64,
    /// Waits for a decision.
    pub held_minor: i64,
    /// Lost, because the client left before its sixty days.
    pub forfeited_minor: i64,
}

/// From clicks to money.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct Funnel {
    /// Clicks by people, in the last 90 days.
    pub clicks: u32,
    /// Sign-ups in the last 90 days.
    pub signups: u32,
    /// Clients with a live subscription now.
    pub paying: u32,
}

/// What the agency should do next.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct NextStep {
    /// Which step.
    pub kind: NextStepKind,
    /// A short title.
    pub title: String,
    /// Why it matters.
    pub text: String,
}

/// Kinds of next steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextStepKind {
    /// Connect or finish the Stripe account: call `onboarding_link` and open it.
    Onboarding,
    /// Share the first link.
    FirstLink,
    /// Newer terms are in force: show them, and call `accept_terms` with their version.
    AcceptTerms,
    /// The agency is suspended; there is nothing to do here but to write to AIKit.
    Suspended,
}

/// `POST /v1/terms/accept`: the owner accepts the terms in force, and with them the disclosure.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct AcceptTerms {
    /// Version that was shown, from `GET /v1/terms/current`.
    pub version: String,
}

/// A version of the terms that the agency has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AcceptedTerms {
    /// Version of the agreement and the disclosure.
    pub version: String,
    /// When.
    pub accepted_at: DateTime<Utc>,
    /// Who, by id; absent for those that came with joining.
    pub person: Option<String>,
}

/// Somebody who signs in for an agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Member {
    /// Id of the person.
    pub person: String,
    /// Address that signs in.
    pub email: String,
    /// `owner` or `member`.
    pub role: Role,
    /// When the person was added.
    pub added_at: DateTime<Utc>,
    /// When the person last proved who they are, on a session that is still known; absent for who has never signed in.
    pub signed_in_at: Option<DateTime<Utc>>,
}

/// `POST /v1/members`: the owner invites somebody.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct InviteMember {
    /// Address that will sign in.
    pub email: String,
}

/// `POST /v1/onboarding`: a one-time address that leads on to Stripe.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct OnboardingLink {
    /// Open it in a browser.
    pub url: String,
}

/// UTM parameters of a link. Empty ones are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Utm {
    /// `utm_source`.
    #[serde(default)]
    pub source: Option<String>,
    /// `utm_medium`.
    #[serde(default)]
    pub medium: Option<String>,
    /// `utm_campaign`.
    #[serde(default)]
    pub campaign: Option<String>,
    /// `utm_content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub content: Option<String>,
    /// `utm_term`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub term: Option<String>,
}

/// `POST /v1/links`: make a link. The id is the caller's (UUID), so that a repeated call makes one link.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct CreateLink {
    /// UUID made by the caller.
    pub id: String,
    /// Campaign name, for the partner's own order; may be empty.
    pub campaign: String,
    /// Path on AIKit's site, `/pricing`; `/` for the home page; or a whole address on another of AIKit's sites.
    pub path: String,
    /// UTM parameters to pass on.
    #[serde(default)]
    pub utm: Utm,
}

/// `GET /v1/links`: which links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema, IntoParams)]
pub struct LinksQuery {
    /// Those that were put out of the list, instead of those in it.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub archived: bool,
}

/// A referral link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Link {
    /// UUID.
    pub id: String,
    /// Campaign name.
    pub campaign: String,
    /// Path on AIKit's site.
    pub path: String,
    /// UTM parameters.
    pub utm: Utm,
    /// What to share.
    pub url: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Clicks by people.
    pub clicks: u32,
    /// Sign-ups that came through it.
    pub signups: u32,
    /// It was put out of the list; it still leads and credits.
    #[serde(default)]
    pub archived: bool,
    /// It was made on this computer and the API has not been told yet; it works already. The API never says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub pending: bool,
}

/// `GET /v1/clients`: which clients, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema, IntoParams)]
pub struct ClientsQuery {
    /// Words that must be in the client's name or its id; case, accents and dots do not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub find: Option<String>,
    /// Only those that are at this point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[param(inline)]
    pub status: Option<ClientChoice>,
    /// What they are put in order by; `signed_up` where it is left out.
    #[serde(default)]
    #[ts(as = "Option<ClientOrder>", optional)]
    #[param(inline)]
    pub sort: ClientOrder,
    /// The smallest first, instead of the largest.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub ascending: bool,
    /// How many are left out at the beginning.
    #[serde(default)]
    #[ts(as = "Option<u32>", optional)]
    pub from: u32,
    /// How many rows at most: 100 where it is left out, never more than 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub limit: Option<u32>,
}

/// At which point clients are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientChoice {
    /// Signed up, and no subscription yet.
    SignedUp,
    /// A live subscription, and nothing paid yet.
    Trial,
    /// Paying.
    Active,
    /// Had subscriptions and has none now.
    Canceled,
    /// A person is to decide about the referral, wherever the client stands.
    UnderReview,
}

/// What clients are put in order by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientOrder {
    /// When they signed up.
    #[default]
    SignedUp,
    /// Name.
    Name,
    /// Where they stand, those under review before the others.
    Status,
    /// Annualised price of the live subscriptions.
    AnnualPrice,
    /// Month of tenure.
    TenureMonth,
    /// What they earned in the running month.
    ThisMonth,
    /// What they earned over all time.
    Earned,
}

/// Some of an agency's clients.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct ClientPage {
    /// All clients of the agency.
    pub total: u32,
    /// Those of all that have a live subscription and have paid.
    pub paying: u32,
    /// Those of all that were asked for.
    pub found: u32,
    /// Those of the found that were asked for.
    pub rows: Vec<Client>,
}

/// A referred client, as its agency sees it.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Client {
    /// Id of the referral.
    pub referral: String,
    /// Domain of the client's business address, or a neutral name where it is a free mailbox.
    pub name: String,
    /// When it signed up.
    pub signed_up_at: DateTime<Utc>,
    /// Where it stands.
    pub status: ClientStatus,
    /// Annualised price of its live subscriptions.
    pub annual_price_minor: i64,
    /// Month of tenure, from 1.
    pub tenure_month: Option<u32>,
    /// How many months earn at the first-year rate.
    pub first_year_months: u32,
    /// Rate of its newest invoice as a decimal string, `0.20`, a volume bonus not included.
    pub rate: Option<String>,
    /// When its commission turns from the first-year to the recurring rate.
    pub turns_recurring_at: Option<DateTime<Utc>>,
    /// When its running streak vests, or did.
    pub vests_at: Option<DateTime<Utc>>,
    /// Review flags.
    pub flags: Vec<Flag>,
    /// Waits for a person's decision.
    pub under_review: bool,
    /// Earned in the running month.
    pub this_month_minor: i64,
    /// Earned over all time.
    pub earned_minor: i64,
}

/// `GET /v1/clients/{referral}`: a client and the reason of every cent.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ClientDetail {
    /// The client.
    pub client: Client,
    /// Its lines, the newest first; each has a `why`.
    pub lines: Vec<Line>,
    /// What led to the credit, the oldest first.
    pub touches: Vec<Touch>,
}

/// One thing that led to a credit.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct Touch {
    /// When.
    pub at: DateTime<Utc>,
    /// What happened, in words.
    pub what: String,
}

/// A payout: our transfer to an agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Payout {
    /// Id of the run's item.
    pub item: String,
    /// Month that it closes, `2026-10`.
    pub period: String,
    /// What is, or was, sent.
    pub amount_minor: i64,
    /// Where it stands.
    pub state: PayoutState,
    /// Stripe's transfer, `tr_…`.
    pub transfer: Option<String>,
    /// When Stripe made it.
    pub paid_at: Option<DateTime<Utc>>,
    /// Digest of the statement that it pays.
    pub digest: String,
    /// What Stripe has passed on to the agency's bank of it; `null` while nobody knows.
    pub bank: Option<AtBank>,
}

/// Where the money of a payout is on its way from the agency's Stripe account to its bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AtBank {
    /// How far it is.
    pub state: AtBankState,
    /// When it is, or was, to arrive.
    pub arrives: DateTime<Utc>,
    /// Stripe's payout, `po_…`.
    pub payout: String,
    /// Why the bank refused it, and what to do, in a sentence.
    pub text: Option<String>,
}

/// How far money is on its way to a bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtBankState {
    /// Stripe has sent it.
    OnTheWay,
    /// Stripe expects that it is there.
    Reached,
    /// The bank sent it back; it is in the agency's Stripe account.
    Refused,
}

/// `GET /v1/payouts/{item}` and a run's statement: what a payout is made of.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct PayoutDetail {
    /// The payout.
    pub payout: Payout,
    /// The agency.
    pub partner: PartnerName,
    /// The statement is everything recorded up to here (exclusive).
    pub as_of: DateTime<Utc>,
    /// Balance carried from before these lines; negative is a debt.
    pub carried_minor: i64,
    /// What its run posted, the newest first: lines that vested since the posting before, and those that changed, each
    /// with the amount by which it differs and why. Carried + these = the amount.
    pub lines: Vec<Line>,
    /// Sums of the whole statement.
    pub totals: Totals,
}

/// `GET /v1/stripe-account`: where an agency's payouts go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ConnectedAccount {
    /// `acct_…`; `null` until one is connected.
    pub account: Option<String>,
    /// Stripe lets it receive transfers.
    pub transfers_active: bool,
    /// Stripe passes on to the bank what it receives.
    pub reaches_bank: bool,
    /// What Stripe still asks for, in a sentence.
    pub needs: Option<String>,
    /// Another account was left a short time ago: nothing is paid before this.
    pub rests_until: Option<DateTime<Utc>>,
}

/// `POST /v1/stripe-account/replace`: needs the owner, freshly signed in.
#[derive(Clone, Debug, Serialize, Deserialize, TS, ToSchema)]
pub struct ReplaceAccount {
    /// Why, in 1 to 500 characters.
    pub reason: String,
}
