// Generated from crates/wire by `./dev gen`. Do not edit.

/**
 * `POST /v1/terms/accept`: the owner accepts the terms in force, and with them the disclosure.
 */
export type AcceptTerms = { 
/**
 * Version that was shown, from `GET /v1/terms/current`.
 */
version: string, };

/**
 * A version of the terms that the agency has accepted.
 */
export type AcceptedTerms = { 
/**
 * Version of the agreement and the disclosure.
 */
version: string, 
/**
 * When.
 */
accepted_at: string, 
/**
 * Who, by id; absent for those that came with joining.
 */
person: string | null, };

/**
 * Who is signed in.
 */
export type Account = { 
/**
 * Id of the person.
 */
user: string, 
/**
 * Address that signed in.
 */
email: string, 
/**
 * What the person may do.
 */
role: Role, 
/**
 * The agency, for owners and members.
 */
partner: PartnerName | null, 
/**
 * When the person last proved who they are.
 */
auth_at: string, };

/**
 * `POST /v1/runs/{run}/notes`: a note is never edited.
 */
export type AddNote = { 
/**
 * UUID made by the caller.
 */
id: string, 
/**
 * 1 to 500 characters.
 */
text: string, };

/**
 * `POST /v1/partners/{partner}/adjustments`. The id is the caller's (UUID), so that a repeated call is one adjustment.
 */
export type Adjust = { 
/**
 * UUID made by the caller.
 */
id: string, 
/**
 * What is added to the balance; negative takes from it.
 */
amount_minor: number, 
/**
 * Why, 1 to 500 characters; the partner reads it.
 */
reason: string, };

/**
 * One approval of a seal.
 */
export type Approval = { 
/**
 * Address of the approver.
 */
by: string, 
/**
 * When.
 */
at: string, };

/**
 * `POST /v1/runs/{run}/approve`: needs a fresh sign-in.
 */
export type ApproveRun = { 
/**
 * The seal that is approved.
 */
run_hash: string, 
/**
 * Its version.
 */
version: number, 
/**
 * The total, typed by the approver.
 */
typed_total_minor: number, };

/**
 * How the coming months are supposed to go.
 */
export type Assumptions = { 
/**
 * How many clients sign up a month, with at most three decimals: 1.5 is three in two months.
 */
new_clients_per_month: string, 
/**
 * What the new clients subscribe to. May be empty when there are none.
 */
plans: Array<Plan>, 
/**
 * The share of the clients with a payment due that leave instead, counted by the month: 0.02 is 2 %. A client that
 * pays by the year stays to the end of it. Everybody's first payment is made.
 */
monthly_churn: string, 
/**
 * How many times 24 hours a subscription is free before its first payment.
 */
trial_days: number, 
/**
 * How many calendar months to look ahead, that of `as_of` included.
 */
months: number, };

/**
 * Where the money of a payout is on its way from the agency's Stripe account to its bank.
 */
export type AtBank = { 
/**
 * How far it is.
 */
state: AtBankState, 
/**
 * When it is, or was, to arrive.
 */
arrives: string, 
/**
 * Stripe's payout, `po_…`.
 */
payout: string, 
/**
 * Why the bank refused it, and what to do, in a sentence.
 */
text: string | null, };

/**
 * How far money is on its way to a bank.
 */
export type AtBankState = "on_the_way" | "reached" | "refused";

/**
 * One entry of the audit chain: who decided what, when, and why.
 */
export type AuditEntry = { 
/**
 * Its number: 1, 2, 3, … without a gap.
 */
n: number, 
/**
 * When.
 */
at: string, 
/**
 * Id of a person, `key:…`, `operator` or `system`.
 */
actor: string, 
/**
 * Address of the person, while the person is known.
 */
email: string | null, 
/**
 * The actor's role at that time.
 */
role: string, 
/**
 * What was done, `run.approved`.
 */
action: string, 
/**
 * To what, `run:2026-10.1`.
 */
subject: string, 
/**
 * What it was before, where the decision changed something.
 */
before: unknown, 
/**
 * What it is from then on.
 */
after: unknown, 
/**
 * Why, in the words of whoever decided.
 */
reason: string | null, 
/**
 * SHA-256 over the hash of the entry before and this entry, in hex.
 */
hash: string, };

/**
 * Where the chain ends. Kept somewhere else, it shows later that nothing before it was changed or removed.
 */
export type AuditHead = { 
/**
 * Number of the newest entry; 0 for an empty chain.
 */
n: number, 
/**
 * Its hash; empty for an empty chain.
 */
hash: string, };

/**
 * `GET /v1/audit`: a page of the chain, the newest first.
 */
export type AuditPage = { 
/**
 * Where the chain ended when this was read.
 */
head: AuditHead, 
/**
 * The entries.
 */
entries: Array<AuditEntry>, 
/**
 * `before` of the next page; `null` on the last.
 */
next: number | null, };

/**
 * `GET /v1/audit`: which page of the chain.
 */
export type AuditQuery = { 
/**
 * Entries with a smaller number.
 */
before?: number, 
/**
 * Only those about this.
 */
subject?: string, };

/**
 * A decision that needs a reason: suspend, reinstate, clear, reject.
 */
export type Because = { 
/**
 * Why, 1 to 500 characters.
 */
reason: string, };

/**
 * `POST /v1/auth/oidc`: begin a sign-in at the issuer.
 */
export type BeginSignIn = { 
/**
 * The page to come back to, `#/runs/2026-10.1`; the first page without it.
 */
return_to: string | null, 
/**
 * A confirmation: the issuer asks again, and the same person must come back.
 */
confirm: boolean, 
/**
 * A program on the person's own machine, which the browser is sent back to.
 */
program: ProgramSignIn | null, };

/**
 * More sign-ups in a month than pass without a look.
 */
export type Burst = { 
/**
 * The month, `2026-10`.
 */
month: string, 
/**
 * Its sign-ups.
 */
signups: number, 
/**
 * How many of them are paying now.
 */
paying: number, 
/**
 * Domains of their addresses with how often each came, the most frequent first; at most eight.
 */
domains: Array<DomainCount>, };

/**
 * `POST /v1/resources/{resource}`: everything of it but its file.
 */
export type ChangeResource = { 
/**
 * The version that was looked at.
 */
version: number, 
/**
 * What it is for.
 */
kind: ResourceKind, 
/**
 * Title, 1 to 120 characters.
 */
title: string, 
/**
 * A sentence or two, at most 300 characters.
 */
summary: string, 
/**
 * Paragraphs of plain text, at most 20,000 characters.
 */
text: string, 
/**
 * An https address.
 */
link: string | null, };

/**
 * A referred client, as its agency sees it.
 */
export type Client = { 
/**
 * Id of the referral.
 */
referral: string, 
/**
 * Domain of the client's business address, or a neutral name where it is a free mailbox.
 */
name: string, 
/**
 * When it signed up.
 */
signed_up_at: string, 
/**
 * Where it stands.
 */
status: ClientStatus, 
/**
 * Annualised price of its live subscriptions.
 */
annual_price_minor: number, 
/**
 * Month of tenure, from 1.
 */
tenure_month: number | null, 
/**
 * How many months earn at the first-year rate.
 */
first_year_months: number, 
/**
 * Rate of its newest invoice as a decimal string, `0.20`, a volume bonus not included.
 */
rate: string | null, 
/**
 * When its commission turns from the first-year to the recurring rate.
 */
turns_recurring_at: string | null, 
/**
 * When its running streak vests, or did.
 */
vests_at: string | null, 
/**
 * Review flags.
 */
flags: Array<Flag>, 
/**
 * Waits for a person's decision.
 */
under_review: boolean, 
/**
 * Earned in the running month.
 */
this_month_minor: number, 
/**
 * Earned over all time.
 */
earned_minor: number, };

/**
 * At which point clients are.
 */
export type ClientChoice = "signed_up" | "trial" | "active" | "canceled" | "under_review";

/**
 * `GET /v1/clients/{referral}`: a client and the reason of every cent.
 */
export type ClientDetail = { 
/**
 * The client.
 */
client: Client, 
/**
 * Its lines, the newest first; each has a `why`.
 */
lines: Array<Line>, 
/**
 * What led to the credit, the oldest first.
 */
touches: Array<Touch>, };

/**
 * What clients are put in order by.
 */
export type ClientOrder = "signed_up" | "name" | "status" | "annual_price" | "tenure_month" | "this_month" | "earned";

/**
 * Some of an agency's clients.
 */
export type ClientPage = { 
/**
 * All clients of the agency.
 */
total: number, 
/**
 * Those of all that have a live subscription and have paid.
 */
paying: number, 
/**
 * Those of all that were asked for.
 */
found: number, 
/**
 * Those of the found that were asked for.
 */
rows: Array<Client>, };

/**
 * Where a client stands.
 */
export type ClientStatus = "signed_up" | "trial" | "active" | "canceled";

/**
 * `GET /v1/clients`: which clients, in which order.
 */
export type ClientsQuery = { 
/**
 * Words that must be in the client's name or its id; case, accents and dots do not matter.
 */
find?: string, 
/**
 * Only those that are at this point.
 */
status?: ClientChoice, 
/**
 * What they are put in order by; `signed_up` where it is left out.
 */
sort?: ClientOrder, 
/**
 * The smallest first, instead of the largest.
 */
ascending?: boolean, 
/**
 * How many are left out at the beginning.
 */
from?: number, 
/**
 * How many rows at most: 100 where it is left out, never more than 500.
 */
limit?: number, };

/**
 * `POST /v1/runs/{run}/close`: needs a fresh sign-in; what is still queued is not paid by this run.
 */
export type CloseRun = { 
/**
 * The seal that is closed.
 */
run_hash: string, 
/**
 * Why, in 1 to 500 characters.
 */
reason: string, };

/**
 * The code is on its way, if the address is known.
 */
export type CodeRequested = { 
/**
 * Seconds for which the code is good.
 */
expires_in_s: number, };

/**
 * `GET /v1/stripe-account`: where an agency's payouts go.
 */
export type ConnectedAccount = { 
/**
 * `acct_…`; `null` until one is connected.
 */
account: string | null, 
/**
 * Stripe lets it receive transfers.
 */
transfers_active: boolean, 
/**
 * Stripe passes on to the bank what it receives.
 */
reaches_bank: boolean, 
/**
 * What Stripe still asks for, in a sentence.
 */
needs: string | null, 
/**
 * Another account was left a short time ago: nothing is paid before this.
 */
rests_until: string | null, };

/**
 * `POST /v1/links`: make a link. The id is the caller's (UUID), so that a repeated call makes one link.
 */
export type CreateLink = { 
/**
 * UUID made by the caller.
 */
id: string, 
/**
 * Campaign name, for the partner's own order; may be empty.
 */
campaign: string, 
/**
 * Path on AIKit's site, `/pricing`; `/` for the home page; or a whole address on another of AIKit's sites.
 */
path: string, 
/**
 * UTM parameters to pass on.
 */
utm: Utm, };

/**
 * `POST /v1/resources`: a new one, last in the order and not published. The id is the caller's (UUID), so that a repeated
 * call is one resource.
 */
export type CreateResource = { 
/**
 * UUID made by the caller.
 */
id: string, 
/**
 * What it is for.
 */
kind: ResourceKind, 
/**
 * Title, 1 to 120 characters.
 */
title: string, 
/**
 * A sentence or two, at most 300 characters.
 */
summary: string, 
/**
 * Paragraphs of plain text, at most 20,000 characters.
 */
text: string, 
/**
 * An https address.
 */
link: string | null, };

/**
 * `GET /v1/terms/current`.
 */
export type CurrentTerms = { 
/**
 * Version to send as `accept_terms`.
 */
version: string, 
/**
 * In force from.
 */
from: string, 
/**
 * The agreement.
 */
text: string, 
/**
 * What a partner says to clients, per the FTC's guides.
 */
disclosure: string, };

/**
 * What a person decided about a referral.
 */
export type Decision = "cleared" | "rejected";

/**
 * What one decision would change.
 */
export type DecisionOutcome = { 
/**
 * The decision; `null` is to take the last one back.
 */
decision: Decision | null, 
/**
 * As it would be.
 */
then: Footing, };

/**
 * One of the demo's people.
 */
export type DemoPerson = { 
/**
 * Id for `start_demo_session`.
 */
person: string, 
/**
 * Agency or department.
 */
name: string, 
/**
 * Role of this person.
 */
role: Role, 
/**
 * What there is to see, in a few words.
 */
about: string, };

/**
 * Why a run comes to another total than the run before.
 */
export type DifferenceCause = "newly_paid" | "no_longer_paid" | "commission" | "bonus" | "adjustment" | "reversed" | "carried";

/**
 * A domain and how often it came.
 */
export type DomainCount = { 
/**
 * The domain.
 */
domain: string, 
/**
 * How often.
 */
count: number, };

/**
 * `POST /v1/runs`: draft the run of a month.
 */
export type DraftRun = { 
/**
 * The month to close, `2026-10`; it must have ended.
 */
period: string, };

/**
 * What is earned, by its kind, in minor units.
 */
export type Earned = { 
/**
 * Shares of payments of a client's first year.
 */
first_year_minor: number, 
/**
 * Shares of later payments.
 */
recurring_minor: number, 
/**
 * What reached quarters add.
 */
volume_bonus_minor: number, 
/**
 * Bonuses for large annual contracts.
 */
high_value_bonus_minor: number, 
/**
 * What earlier refunds take back of it; never above zero.
 */
reversal_minor: number, 
/**
 * All of it.
 */
total_minor: number, };

/**
 * What a decision about an agency would change. Nothing is changed by asking.
 */
export type Effect = { 
/**
 * As it is.
 */
now: Footing, 
/**
 * As it would be.
 */
then: Footing, };

/**
 * `GET /v1/partners/{partner}/effect`: which decision is thought of. Exactly one of the two.
 */
export type EffectQuery = { 
/**
 * To suspend the agency, or to reinstate it.
 */
suspended?: boolean, 
/**
 * To add this to its balance, or take it from it.
 */
amount_minor?: number, };

/**
 * The body of every answer that is not a success.
 */
export type ErrorBody = { 
/**
 * What a program may branch on.
 */
code: ErrorCode, 
/**
 * What happened, to what, and what to do, for the person who reads it.
 */
message: string, 
/**
 * For an approval of a seal that is no more: what is different now.
 */
diff?: SealDiff, };

/**
 * Why a call was refused. A variant exists only where someone branches on it.
 */
export type ErrorCode = "invalid" | "signed_out" | "step_up" | "forbidden" | "not_found" | "changed" | "conflict" | "too_many" | "unavailable" | "reset" | "outdated" | "offline";

/**
 * What a month's lines add up to, by status.
 */
export type Estimate = { 
/**
 * Vested + pending + held.
 */
total_minor: number, 
/**
 * Already due.
 */
vested_minor: number, 
/**
 * Waits for the client's sixty days.
 */
pending_minor: number, 
/**
 * When the first of the pending lines vests.
 */
pending_from: string | null, 
/**
 * Waits for a decision.
 */
held_minor: number, 
/**
 * For what, in words.
 */
held_reason: string | null, };

/**
 * One touch of a client before its sign-up.
 */
export type Evidence = { 
/**
 * When; `null` where only the cookie's own age speaks for it.
 */
at: string | null, 
/**
 * `partner_code`, `promotion_code`, `click`, `ref` or `staff`.
 */
source: string, 
/**
 * Whom it speaks for.
 */
partner: string, 
/**
 * Campaign of the link that was clicked.
 */
campaign: string | null, 
/**
 * The code or the reason as it was written.
 */
given: string | null, 
/**
 * It can decide: a person's, not a program's.
 */
counts: boolean, 
/**
 * It decided.
 */
decided: boolean, };

/**
 * What makes a referral worth a look (docs/rules.md §3).
 */
export type Flag = "self_referral" | "burst";

/**
 * Where an agency stands in money at one instant.
 */
export type Footing = { 
/**
 * Sums over all time, by status.
 */
totals: Totals, 
/**
 * Vested and not paid, whenever it was paid; negative is a debt.
 */
balance_minor: number, 
/**
 * What would be paid next, as known now; 0 with the reason where nothing is.
 */
next_payout: NextPayout, };

/**
 * The coming months of one partner.
 */
export type Forecast = { 
/**
 * The partner's code.
 */
partner: string, 
/**
 * What is known before this instant is known; the rest is assumed.
 */
as_of: string, 
/**
 * What is assumed.
 */
assumptions: Assumptions, 
/**
 * The tier at `as_of`, under the terms in force then.
 */
tier: Tier, 
/**
 * The totals at `as_of`.
 */
opening: Totals, 
/**
 * What is paid at `as_of` itself, in minor units: `opening.payable` when that is the first instant of a month.
 */
due_now_minor: number, 
/**
 * One for each month, in order.
 */
months: Array<ForecastMonth>, 
/**
 * The sums over all months.
 */
totals: ForecastTotals, };

/**
 * What a month brings, in minor units. What was neither vested nor lost before, and what is earned, is at the end of the
 * month vested, pending, held or forfeited.
 */
export type ForecastMonth = { 
/**
 * The first instant: that of the month, or `as_of` within the first.
 */
from: string, 
/**
 * The first instant that is no longer part of it.
 */
until: string, 
/**
 * The lines that are earned in it and not lost at its end.
 */
earned: Earned, 
/**
 * What was earned before it and is lost in it, because clients leave early.
 */
forfeited_minor: number, 
/**
 * What vests in it.
 */
vested_minor: number, 
/**
 * What is pending at its end.
 */
pending_minor: number, 
/**
 * What is held at its end.
 */
held_minor: number, 
/**
 * What has vested and was not paid, at its end and before its payout; below zero it is a debt.
 */
balance_minor: number, 
/**
 * What is payable at its end, and supposed to be paid then.
 */
payout_minor: number, 
/**
 * Clients at its end that have paid and have a live subscription, rejected ones left out.
 */
active_clients: number, 
/**
 * What the live subscriptions of these clients cost a month.
 */
mrr_minor: number, 
/**
 * The tier at its end, under the terms in force then.
 */
tier: Tier, 
/**
 * The quarter that it lies in, such as `2026-Q4`.
 */
quarter: string, 
/**
 * Whether the volume bonus of that quarter is reached at its end.
 */
quarter_reached: boolean, };

/**
 * The sums over all months, in minor units.
 */
export type ForecastTotals = { 
/**
 * What is earned.
 */
earned: Earned, 
/**
 * What is lost of what was earned in an earlier month.
 */
forfeited_minor: number, 
/**
 * What vests.
 */
vested_minor: number, 
/**
 * What is paid, with what is paid at `as_of`.
 */
payouts_minor: number, };

/**
 * From clicks to money.
 */
export type Funnel = { 
/**
 * Clicks by people, in the last 90 days.
 */
clicks: number, 
/**
 * Sign-ups in the last 90 days.
 */
signups: number, 
/**
 * Clients with a live subscription now.
 */
paying: number, };

/**
 * A send grant as finance sees it.
 */
export type GrantState = { 
/**
 * Until when it is good.
 */
expires_at: string, 
/**
 * When an executor last claimed under it; `null` while it waits for one.
 */
executor_seen_at: string | null, };

/**
 * `POST /v1/runs/{run}/holds`: holds a partner out of a draft. It stays out while the draft is computed again.
 */
export type HoldPartner = { 
/**
 * Version that was looked at.
 */
version: number, 
/**
 * Partner code; one that the draft pays.
 */
partner: string, 
/**
 * Why, in 1 to 500 characters.
 */
reason: string, };

/**
 * How often a subscription is paid.
 */
export type Interval = "month" | "year";

/**
 * One attempt to pay.
 */
export type ItemAttempt = { 
/**
 * From 1.
 */
n: number, 
/**
 * Its idempotency key: how Stripe's log finds it.
 */
key: string, 
/**
 * When it was first about to be sent.
 */
first_sent_at: string, 
/**
 * When it was last about to be sent.
 */
last_sent_at: string, 
/**
 * What came of it, as far as it is known.
 */
outcome: Outcome | null, };

/**
 * `GET /v1/items/{item}/check` and `POST …/look`: what is known of one payment of a sealed run.
 */
export type ItemCheck = { 
/**
 * Id of the item.
 */
item: string, 
/**
 * Where it stands.
 */
state: PayoutState, 
/**
 * What was said against it last.
 */
problem: string | null, 
/**
 * What was approved, in minor units.
 */
amount_minor: number, 
/**
 * The connected account that was approved.
 */
destination: string, 
/**
 * Stripe's transfer, once paid.
 */
transfer: string | null, 
/**
 * Every attempt, the oldest first.
 */
attempts: Array<ItemAttempt>, 
/**
 * Until when Stripe may still carry out what was sent; `null` where nothing was.
 */
quarantine_until: string | null, 
/**
 * When the server or finance last looked at Stripe.
 */
looked_at: string | null, 
/**
 * Why nobody may say yet that it was not paid, and what to do; `null` where one may.
 */
not_yet: string | null, 
/**
 * What Stripe lists for it, where this answers a look.
 */
listed: Array<ListedTransfer> | null, 
/**
 * What people said of it, the oldest first.
 */
decisions: Array<ItemDecision>, 
/**
 * How many must say the same.
 */
decisions_needed: number, };

/**
 * What one person said of a payment that was with a person.
 */
export type ItemDecision = { 
/**
 * What.
 */
resolution: ItemResolution, 
/**
 * Of one found: the transfer.
 */
transfer: string | null, 
/**
 * Address of who said so.
 */
by: string, 
/**
 * Why.
 */
reason: string, 
/**
 * When.
 */
at: string, 
/**
 * It was said of what stands now: it counts.
 */
counts: boolean, };

/**
 * How a payment that is with a person goes on.
 */
export type ItemResolution = "found" | "again" | "void";

/**
 * `POST /v1/partners`: an agency joins.
 */
export type JoinPartner = { 
/**
 * Name of the agency, 1 to 200 characters.
 */
agency_name: string, 
/**
 * Address of the owner; signs in with it.
 */
email: string, 
/**
 * The agency's website.
 */
website: string, 
/**
 * ISO 3166-1 alpha-2; fixed from here on.
 */
country: string, 
/**
 * Version of the terms that were shown and accepted.
 */
accept_terms: string, };

/**
 * The agency has joined.
 */
export type Joined = { 
/**
 * `PARTNER_XXXXXXXX`.
 */
partner_code: string, 
/**
 * Our own one-time address that leads on to Stripe.
 */
onboarding_url: string, 
/**
 * Said when the country cannot be paid yet.
 */
notice?: string, };

/**
 * Where the refresh token is kept.
 */
export type Keep = "cookie" | "token";

/**
 * `GET /v1/runs/{run}/ledger.csv`: the ledger export of a closed month.
 */
export type LedgerExport = { 
/**
 * Which columns; `plain` where it is left out.
 */
set: LedgerSet | null, };

/**
 * Which columns a ledger export has.
 */
export type LedgerSet = "plain" | "quickbooks" | "xero";

/**
 * One amount that was earned or taken back, with everything that says why.
 */
export type Line = { 
/**
 * Made of what the line is about, so that the same fact makes the same line on every machine.
 */
id: string, 
/**
 * What sort of line it is.
 */
kind: LineKind, 
/**
 * The client, absent for an adjustment.
 */
referral: string | null, 
/**
 * The invoice, absent for an adjustment.
 */
invoice: string | null, 
/**
 * The commission in minor units; negative for a reversal. Never 0.
 */
amount_minor: number, 
/**
 * What it is a share of, in minor units: of the invoice for a rate, the annual price for a high-value bonus, the
 * money that went back for a reversal, the amount itself for an adjustment.
 */
basis_minor: number, 
/**
 * The rate as a decimal string such as `0.20`; absent where the amount is not a share.
 */
rate: string | null, 
/**
 * The rule that gave the amount: `first_year`, `recurring`, `platinum_first_year`, `platinum_recurring`,
 * `volume_bonus`, `high_value_bonus` or `adjustment`. A reversal has that of the line it reverses.
 */
rule: string, 
/**
 * The id of the terms that the line was computed under.
 */
terms: string, 
/**
 * The referral's month of tenure that the invoice is for, from 1.
 */
tenure_month: number | null, 
/**
 * Why the line is held, forfeited or void.
 */
reason: Reason | null, 
/**
 * Exactly one, see docs/rules.md §7.
 */
status: LineStatus, 
/**
 * When it was earned, or taken back.
 */
earned_at: string, 
/**
 * When it vests or vested; absent for a line that never will.
 */
vests_at: string | null, 
/**
 * The whole of it in a sentence.
 */
why: string, };

/**
 * The sort of a line.
 */
export type LineKind = "first_year" | "recurring" | "volume_bonus" | "high_value_bonus" | "reversal" | "adjustment";

/**
 * The standing of a line.
 */
export type LineStatus = "void" | "forfeited" | "held" | "pending" | "vested";

/**
 * A referral link.
 */
export type Link = { 
/**
 * UUID.
 */
id: string, 
/**
 * Campaign name.
 */
campaign: string, 
/**
 * Path on AIKit's site.
 */
path: string, 
/**
 * UTM parameters.
 */
utm: Utm, 
/**
 * What to share.
 */
url: string, 
/**
 * When it was made.
 */
created_at: string, 
/**
 * Clicks by people.
 */
clicks: number, 
/**
 * Sign-ups that came through it.
 */
signups: number, 
/**
 * It was put out of the list; it still leads and credits.
 */
archived: boolean, 
/**
 * It was made on this computer and the API has not been told yet; it works already. The API never says so.
 */
pending?: boolean, };

/**
 * `GET /v1/links`: which links.
 */
export type LinksQuery = { 
/**
 * Those that were put out of the list, instead of those in it.
 */
archived?: boolean, };

/**
 * A transfer in Stripe's list of an item.
 */
export type ListedTransfer = { 
/**
 * `tr_…`.
 */
transfer: string, 
/**
 * When Stripe made it.
 */
created: string, 
/**
 * Minor units.
 */
amount_minor: number, 
/**
 * Of which reversed.
 */
reversed_minor: number, 
/**
 * ISO 4217, lower case.
 */
currency: string, 
/**
 * Connected account.
 */
destination: string, };

/**
 * `POST /v1/payouts-lock/lock`: needs a fresh sign-in of finance or an admin.
 */
export type LockPayouts = { 
/**
 * Why, for those who must lift it.
 */
reason: string, };

/**
 * What is wrong with a payment, the worst first.
 */
export type Mismatch = "double" | "no_record" | "not_recorded" | "not_listed" | "differs" | "reversed" | "balance";

/**
 * What the lines earned in one month come to.
 */
export type MonthEarned = { 
/**
 * `2026-11`.
 */
month: string, 
/**
 * Already due or paid.
 */
vested_minor: number, 
/**
 * Waits for the client's sixty days.
 */
pending_minor: number, 
/**
 * Waits for a decision.
 */
held_minor: number, 
/**
 * Lost, because the client left before its sixty days.
 */
forfeited_minor: number, };

/**
 * The payout to come.
 */
export type NextPayout = { 
/**
 * First day of the next month: the day it is computed.
 */
on: string, 
/**
 * What would be due on that day, as known now.
 */
amount_minor: number, 
/**
 * The first unmet condition, in words; absent when it will be paid.
 */
why_not: string | null, };

/**
 * What the agency should do next.
 */
export type NextStep = { 
/**
 * Which step.
 */
kind: NextStepKind, 
/**
 * A short title.
 */
title: string, 
/**
 * Why it matters.
 */
text: string, };

/**
 * Kinds of next steps.
 */
export type NextStepKind = "onboarding" | "first_link" | "accept_terms" | "suspended";

/**
 * A partner that a run does not pay.
 */
export type NotPaid = { 
/**
 * Partner code.
 */
partner: string, 
/**
 * Agency name.
 */
name: string, 
/**
 * Vested and not paid; negative is a debt.
 */
balance_minor: number, 
/**
 * Held or pending beside it.
 */
waiting_minor: number, 
/**
 * The first unmet condition.
 */
reason: NotPaidReason, 
/**
 * The same in words, with what to do.
 */
text: string, 
/**
 * Of a debt: the month whose payout is the first that what waits now covers; `null` if it does not.
 */
recovered_in: string | null, };

/**
 * Conditions of a payment, in the order in which they are checked.
 */
export type NotPaidReason = "suspended" | "debt" | "under_review" | "held" | "pending" | "below_minimum" | "open_item" | "terms_not_accepted" | "no_account" | "transfers_inactive" | "account_replaced" | "held_out";

/**
 * A call without arguments beside those of its path.
 */
export type Nothing = Record<symbol, never>;

/**
 * `POST /v1/onboarding`: a one-time address that leads on to Stripe.
 */
export type OnboardingLink = { 
/**
 * Open it in a browser.
 */
url: string, };

/**
 * `POST /v1/resources/order`.
 */
export type OrderResources = { 
/**
 * Every resource, once, in the order in which they are shown.
 */
order: Array<string>, };

/**
 * What came of an attempt.
 */
export type Outcome = "accepted" | "refused" | "lost" | "server_error";

/**
 * `GET /v1/referrals/{referral}/decisions`: what each decision about a referral would change for its agency. Nothing is
 * changed by asking.
 */
export type Outcomes = { 
/**
 * As it is.
 */
now: Footing, 
/**
 * After each decision that is not the one in force.
 */
outcomes: Array<DecisionOutcome>, };

/**
 * `GET /v1/overview`: an agency's first page.
 */
export type Overview = { 
/**
 * The agency.
 */
partner: PartnerName, 
/**
 * The link without a campaign, ready to share.
 */
link_url: string, 
/**
 * What to say to clients beside a link.
 */
disclosure: string, 
/**
 * Tier under the terms in force.
 */
tier: Tier, 
/**
 * The running month, `2026-11`, in UTC.
 */
month: string, 
/**
 * What this month has brought so far.
 */
estimate: Estimate, 
/**
 * What will be paid next, and when.
 */
next_payout: NextPayout, 
/**
 * The newest payout that was sent.
 */
last_payout: Payout | null, 
/**
 * Sums over all time.
 */
totals: Totals, 
/**
 * Progress to the volume bonus of the running quarter.
 */
volume: VolumeProgress, 
/**
 * The volume bonus as a decimal string, `0.05`.
 */
volume_rate: string, 
/**
 * Progress to platinum.
 */
platinum: PlatinumProgress, 
/**
 * The last twelve months, the oldest first, the running month last.
 */
months: Array<MonthEarned>, 
/**
 * From clicks to money, over the last 90 days.
 */
funnel: Funnel, 
/**
 * The single next step, when there is one.
 */
action: NextStep | null, };

/**
 * An agency as it is named everywhere.
 */
export type PartnerName = { 
/**
 * Partner code, `PARTNER_XXXXXXXX`.
 */
code: string, 
/**
 * Agency name.
 */
name: string, };

/**
 * What agencies are put in order by.
 */
export type PartnerOrder = "name" | "joined" | "referrals" | "balance" | "waiting" | "to_review";

/**
 * Some of the agencies.
 */
export type PartnerPage = { 
/**
 * All agencies.
 */
total: number, 
/**
 * Those of all that were asked for.
 */
found: number, 
/**
 * Agencies whose figures are being computed anew: what the list says of them may be old for a moment.
 */
behind: number, 
/**
 * Those of the found that were asked for.
 */
partners: Array<PartnerRow>, };

/**
 * An agency in the list.
 */
export type PartnerRow = { 
/**
 * Partner code.
 */
code: string, 
/**
 * Agency name.
 */
name: string, 
/**
 * Address of the owner.
 */
email: string, 
/**
 * Website.
 */
website: string, 
/**
 * ISO 3166-1 alpha-2.
 */
country: string, 
/**
 * Its own name in links.
 */
slug: string | null, 
/**
 * When it joined.
 */
joined_at: string, 
/**
 * It earns and is not paid.
 */
suspended: boolean, 
/**
 * It has a connected account.
 */
has_account: boolean, 
/**
 * Stripe lets that account receive transfers.
 */
transfers_active: boolean, 
/**
 * It has accepted the terms in force.
 */
terms_accepted: boolean, 
/**
 * Clients that are credited to it.
 */
referrals: number, 
/**
 * Vested and not paid; negative is a debt. `null` until it was computed.
 */
balance_minor: number | null, 
/**
 * Pending and held; `null` until it was computed.
 */
waiting_minor: number | null, 
/**
 * Referrals that wait for a decision.
 */
under_review: number, };

/**
 * `GET /v1/partners/{partner}`: an agency and where it stands.
 */
export type PartnerStanding = { 
/**
 * As in the list.
 */
partner: PartnerRow, 
/**
 * Tier under the terms in force.
 */
tier: Tier, 
/**
 * Sums over all time.
 */
totals: Totals, 
/**
 * Vested and not paid; negative is a debt.
 */
balance_minor: number, 
/**
 * Why it would not be paid now, in words; absent when it would be.
 */
why_not: string | null, 
/**
 * What is paid next, and why nothing is.
 */
next_payout: NextPayout, 
/**
 * It has accepted the terms in force.
 */
terms_accepted: boolean, 
/**
 * Every version that it has accepted, the newest first.
 */
accepted: Array<AcceptedTerms>, 
/**
 * Where its payouts go.
 */
account: ConnectedAccount, 
/**
 * Referrals that wait for a decision.
 */
under_review: number, 
/**
 * Its promotion codes at Stripe.
 */
promotion_codes: Array<PromotionCode>, };

/**
 * `GET /v1/partners`: which agencies, in which order.
 */
export type PartnersQuery = { 
/**
 * Words that must be in its name, address, website, code or own name; case, accents and dots do not matter.
 */
q?: string, 
/**
 * Only those that are suspended, or only those that are not.
 */
suspended?: boolean, 
/**
 * Only those that Stripe does not let receive transfers yet, or that have no account.
 */
no_account?: boolean, 
/**
 * Only those that have not accepted the terms in force.
 */
terms_open?: boolean, 
/**
 * Only those that were paid more than is theirs now.
 */
in_debt?: boolean, 
/**
 * Only those with a referral that waits for review.
 */
to_review?: boolean, 
/**
 * What they are put in order by; `name` where it is left out.
 */
sort?: PartnerOrder, 
/**
 * The largest, newest or last first, instead of the smallest.
 */
descending?: boolean, 
/**
 * How many are left out at the beginning.
 */
from?: number, 
/**
 * How many rows at most: 50 where it is left out, never more than 200.
 */
limit?: number, };

/**
 * A decision that somebody took about a referral.
 */
export type PastDecision = { 
/**
 * When.
 */
at: string, 
/**
 * `referral.cleared`, `referral.rejected`, `referral.reopened`, `referral.moved` or `referral.credited`.
 */
action: string, 
/**
 * Address of whoever decided, while the person is known.
 */
email: string | null, 
/**
 * Why.
 */
reason: string | null, };

/**
 * A payout: our transfer to an agency.
 */
export type Payout = { 
/**
 * Id of the run's item.
 */
item: string, 
/**
 * Month that it closes, `2026-10`.
 */
period: string, 
/**
 * What is, or was, sent.
 */
amount_minor: number, 
/**
 * Where it stands.
 */
state: PayoutState, 
/**
 * Stripe's transfer, `tr_…`.
 */
transfer: string | null, 
/**
 * When Stripe made it.
 */
paid_at: string | null, 
/**
 * Digest of the statement that it pays.
 */
digest: string, 
/**
 * What Stripe has passed on to the agency's bank of it; `null` while nobody knows.
 */
bank: AtBank | null, };

/**
 * `GET /v1/payouts/{item}` and a run's statement: what a payout is made of.
 */
export type PayoutDetail = { 
/**
 * The payout.
 */
payout: Payout, 
/**
 * The agency.
 */
partner: PartnerName, 
/**
 * The statement is everything recorded up to here (exclusive).
 */
as_of: string, 
/**
 * Balance carried from before these lines; negative is a debt.
 */
carried_minor: number, 
/**
 * What its run posted, the newest first: lines that vested since the posting before, and those that changed, each
 * with the amount by which it differs and why. Carried + these = the amount.
 */
lines: Array<Line>, 
/**
 * Sums of the whole statement.
 */
totals: Totals, };

/**
 * `GET /v1/payouts-lock`: the brake on payouts.
 */
export type PayoutLock = { 
/**
 * Nothing is claimed and no intent is recorded.
 */
locked: boolean, 
/**
 * Id of the lock.
 */
lock: string | null, 
/**
 * Why.
 */
reason: string | null, 
/**
 * Since when.
 */
since: string | null, 
/**
 * The admin who agreed to lift it.
 */
admin: string | null, 
/**
 * The person of finance who agreed to lift it.
 */
finance: string | null, };

/**
 * Where a payment stands.
 */
export type PayoutState = "queued" | "sending" | "unknown" | "review" | "paid" | "void";

/**
 * A plan of the mix that new clients choose from.
 */
export type Plan = { 
/**
 * How often it is paid.
 */
interval: Interval, 
/**
 * Its price per interval, in minor units.
 */
amount_minor: number, 
/**
 * The share of the new clients that choose it, as a fraction with at most six decimals. All shares add up to 1.
 */
share: string, };

/**
 * Towards platinum.
 */
export type PlatinumProgress = { 
/**
 * Since when the partner is platinum.
 */
since: string | null, 
/**
 * How many referrals qualify now.
 */
referrals: number, 
/**
 * How many are needed.
 */
referrals_needed: number, 
/**
 * The annualised price of the live subscriptions of qualifying referrals now, in minor units.
 */
arr_minor: number, 
/**
 * How much is needed.
 */
arr_minor_needed: number, 
/**
 * What the platinum rates are or would be worth a month, in minor units, on the live subscriptions of eligible
 * referrals: on top of the standard rates and of the volume bonuses that they replace.
 */
worth_minor_per_month: number, };

/**
 * A program that waits on loopback for the browser to come back (RFC 8252).
 */
export type ProgramSignIn = { 
/**
 * Port on 127.0.0.1.
 */
port: number, 
/**
 * Comes back unchanged, so that the program knows its own.
 */
state: string, 
/**
 * PKCE: SHA-256 of the verifier, in base64url without padding.
 */
challenge: string, };

/**
 * A promotion code that credits a partner.
 */
export type PromotionCode = { 
/**
 * Stripe's id, `promo_…`.
 */
id: string, 
/**
 * What the client types.
 */
code: string, };

/**
 * `POST /v1/resources/{resource}/publish`.
 */
export type PublishResource = { 
/**
 * The version that was looked at.
 */
version: number, 
/**
 * Agencies see it from now on, or no longer.
 */
published: boolean, };

/**
 * Why a line is void, forfeited or held.
 */
export type Reason = "rejected" | "left_early" | "under_review" | "open_dispute";

/**
 * `POST /v1/reconciliations`: hold the records against Stripe now.
 */
export type Reconcile = { 
/**
 * Transfers of so many days, 1 to 400.
 */
days: number, };

/**
 * The records of payouts beside Stripe's transfers and its balance. Amounts are minor units.
 */
export type Reconciliation = { 
/**
 * Its id.
 */
reconciliation: string, 
/**
 * When it was made.
 */
at: string, 
/**
 * Transfers from this instant on; `null` for all.
 */
since: string | null, 
/**
 * Who asked for it; `null` for the daily one.
 */
by: string | null, 
/**
 * What the records say was paid and not reversed.
 */
recorded_minor: number, 
/**
 * What Stripe's transfers say.
 */
transferred_minor: number, 
/**
 * What those transfers took from the balance, before reversals.
 */
booked_minor: number, 
/**
 * Transfers of this program.
 */
transfers: number, 
/**
 * Transfers of the same Stripe account that are for no payout.
 */
others: number, 
/**
 * Payouts that are so new that Stripe's lists may leave them out; not in the sums.
 */
too_new: number, 
/**
 * Payouts whose transfer was found by this, and which are recorded as paid since.
 */
settled: number, 
/**
 * Payouts that are not explained.
 */
found: number, 
/**
 * They, the worst first; the first two hundred.
 */
findings: Array<ReconciliationFinding>, };

/**
 * A payout that the records and Stripe disagree about.
 */
export type ReconciliationFinding = { 
/**
 * What is wrong.
 */
mismatch: Mismatch, 
/**
 * Id of the payout's item.
 */
item: string, 
/**
 * Partner code, where the item is known.
 */
partner: string | null, 
/**
 * Agency name.
 */
name: string | null, 
/**
 * Its transfers at Stripe, or the one that was recorded.
 */
transfers: Array<string>, 
/**
 * What the records say was paid and not reversed.
 */
recorded_minor: number, 
/**
 * What Stripe's transfers say.
 */
transferred_minor: number, 
/**
 * The same in words, with what to do.
 */
text: string, };

/**
 * `POST /v1/auth/refresh`: rotate. Browsers send the cookie and no token.
 */
export type RefreshSession = { 
/**
 * The refresh token of a program.
 */
refresh_token: string | null, };

/**
 * `POST /v1/runs/{run}/holds/{partner}/release`: pays it after all.
 */
export type ReleasePartner = { 
/**
 * Version that was looked at.
 */
version: number, };

/**
 * `POST /v1/stripe-account/replace`: needs the owner, freshly signed in.
 */
export type ReplaceAccount = { 
/**
 * Why, in 1 to 500 characters.
 */
reason: string, };

/**
 * `POST /v1/auth/codes`: send a sign-in code. The answer is the same for unknown addresses.
 */
export type RequestCode = { 
/**
 * Address of the person.
 */
email: string, };

/**
 * `POST /v1/items/{item}/resolution`: needs a fresh sign-in, and as many people as an approval.
 */
export type ResolveItem = { 
/**
 * How it goes on.
 */
resolution: ItemResolution, 
/**
 * Of one found: `tr_…`.
 */
transfer: string | null, 
/**
 * Why, in 1 to 500 characters.
 */
reason: string, };

/**
 * `GET /v1/resources`: something to work with.
 */
export type Resource = { 
/**
 * UUID.
 */
id: string, 
/**
 * What it is for.
 */
kind: ResourceKind, 
/**
 * Title.
 */
title: string, 
/**
 * A sentence or two.
 */
summary: string, 
/**
 * Paragraphs of plain text; may be empty. In an e-mail template `{link}` is the agency's link and `{agency}` its name.
 */
text: string, 
/**
 * An https address of something larger.
 */
link: string | null, 
/**
 * Its file.
 */
file: ResourceFile | null, 
/**
 * When it was changed last.
 */
changed_at: string, 
/**
 * Since when agencies see it.
 */
published_at: string | null, 
/**
 * A change names it.
 */
version: number, };

/**
 * The file of a resource, without its bytes.
 */
export type ResourceFile = { 
/**
 * Name to save it under.
 */
name: string, 
/**
 * What it is.
 */
mime: string, 
/**
 * How long it is.
 */
bytes: number, };

/**
 * What a resource is for.
 */
export type ResourceKind = "material" | "case_study" | "email_template" | "best_practice";

/**
 * A decision about a resource that was looked at: its end, or that of its file.
 */
export type ResourceVersion = { 
/**
 * The version that was looked at.
 */
version: number, };

/**
 * `GET /v1/reviews`: a referral that was flagged, with everything that is known about it.
 */
export type Review = { 
/**
 * Id of the referral.
 */
referral: string, 
/**
 * Whom it is credited to.
 */
partner: PartnerName, 
/**
 * That agency's website.
 */
website: string, 
/**
 * Address of that agency's owner.
 */
partner_email: string, 
/**
 * When that agency joined.
 */
partner_joined_at: string, 
/**
 * When the client signed up.
 */
signed_up_at: string, 
/**
 * Domain of the client's address.
 */
client_domain: string | null, 
/**
 * The client's address, while it is kept.
 */
client_email: string | null, 
/**
 * Where the client stands.
 */
status: ClientStatus, 
/**
 * Annualised price of its live subscriptions.
 */
annual_price_minor: number, 
/**
 * When it paid first.
 */
first_paid_at: string | null, 
/**
 * Why it was flagged.
 */
flags: Array<Flag>, 
/**
 * The same in words, with the figures.
 */
why: Array<string>, 
/**
 * The other sign-ups of the month that were flagged with it, where there were too many.
 */
burst: Burst | null, 
/**
 * It waits for a decision.
 */
under_review: boolean, 
/**
 * What was decided last.
 */
decision: Decision | null, 
/**
 * What waits for the decision.
 */
held_minor: number, 
/**
 * What decided the credit.
 */
rule: string, 
/**
 * Every touch that was known at the sign-up, the oldest first.
 */
touches: Array<Evidence>, 
/**
 * What people have decided about it, the newest first.
 */
decided: Array<PastDecision>, };

/**
 * `GET /v1/reviews`: which referrals.
 */
export type ReviewsQuery = { 
/**
 * Those that are decided, and not those that wait.
 */
decided?: boolean, 
/**
 * Only those with this flag.
 */
flag?: Flag, 
/**
 * Only those of this agency, by its code.
 */
partner?: string, };

/**
 * `GET /v1/reviews-waiting`: how much waits for a review.
 */
export type ReviewsWaiting = { 
/**
 * Referrals that wait.
 */
referrals: number, 
/**
 * Agencies that they are credited to.
 */
agencies: number, };

/**
 * What a person may do.
 */
export type Role = "owner" | "member" | "staff" | "finance" | "admin" | "auditor";

/**
 * `GET /v1/runs/{run}`: one run.
 */
export type Run = { 
/**
 * As in the list.
 */
summary: RunSummary, 
/**
 * What the run before came to; `null` for the first.
 */
previous_total_minor: number | null, 
/**
 * Who is paid, the largest amount first.
 */
items: Array<RunItem>, 
/**
 * Who is not, and the first unmet condition of each.
 */
not_paid: Array<NotPaid>, 
/**
 * Who approved this seal.
 */
approvals: Array<Approval>, 
/**
 * How many approvals the policy wants.
 */
approvals_needed: number, 
/**
 * Items by state.
 */
progress: RunProgress, 
/**
 * The send grant, while one is good.
 */
grant: GrantState | null, 
/**
 * What leads from the run before to this one; adds up to the difference of their totals. Empty for the first.
 */
difference: Array<RunDifference>, 
/**
 * A transfer was recorded as about to be sent: from then on a run can only go on or be closed.
 */
begun: boolean, 
/**
 * Why nobody may send it now, where somebody or something ended the grant.
 */
halted: string | null, 
/**
 * Who closed it with payouts unsent, and why.
 */
closed: string | null, 
/**
 * What finance wrote beside it, the oldest first.
 */
notes: Array<RunNote>, };

/**
 * One reason why a run comes to another total than the run before.
 */
export type RunDifference = { 
/**
 * The reason.
 */
cause: DifferenceCause, 
/**
 * By how much, in minor units; never zero.
 */
amount_minor: number, 
/**
 * Partners whose payout differs for it.
 */
partners: number, };

/**
 * One partner's payment within a run.
 */
export type RunItem = { 
/**
 * Id of the item; `payout` of the fact that it will post.
 */
item: string, 
/**
 * Partner code.
 */
partner: string, 
/**
 * Agency name.
 */
name: string, 
/**
 * Tier at `as_of`.
 */
tier: Tier, 
/**
 * What is paid.
 */
amount_minor: number, 
/**
 * What the run before paid to this partner.
 */
previous_minor: number | null, 
/**
 * Lines that the payout's run posts: vested since the posting before, or changed.
 */
lines: number, 
/**
 * Connected account, `acct_…`.
 */
destination: string, 
/**
 * Digest of the statement.
 */
digest: string, 
/**
 * Where it stands.
 */
state: PayoutState, 
/**
 * Stripe's transfer.
 */
transfer: string | null, 
/**
 * What Stripe said, when it refused.
 */
problem: string | null, };

/**
 * A note of finance beside a run.
 */
export type RunNote = { 
/**
 * UUID.
 */
id: string, 
/**
 * Address of whoever wrote it.
 */
by: string, 
/**
 * When.
 */
at: string, 
/**
 * What.
 */
text: string, };

/**
 * Items of a run, by state.
 */
export type RunProgress = { 
/**
 * Wait to be sent.
 */
queued: number, 
/**
 * On the way.
 */
sending: number, 
/**
 * Sent, outcome not known.
 */
unknown: number, 
/**
 * A person must look.
 */
review: number, 
/**
 * Paid.
 */
paid: number, 
/**
 * Closed without a payment.
 */
void: number, };

/**
 * Where a run stands.
 */
export type RunState = "draft" | "sealing" | "sealed" | "approved" | "sending" | "done";

/**
 * A month's run in the list of runs.
 */
export type RunSummary = { 
/**
 * Id of the run.
 */
run: string, 
/**
 * Month that it closes, `2026-10`.
 */
period: string, 
/**
 * Facts before this instant count.
 */
as_of: string, 
/**
 * Where it stands.
 */
state: RunState, 
/**
 * Rises with every change; an approval binds to it.
 */
version: number, 
/**
 * Hash over all that will be paid, from the seal on.
 */
run_hash: string | null, 
/**
 * What the items add up to.
 */
total_minor: number, 
/**
 * Partners that are paid.
 */
items: number, 
/**
 * Partners that are not.
 */
not_paid: number, 
/**
 * What has been paid so far.
 */
paid_minor: number, 
/**
 * When it was drafted.
 */
drafted_at: string, 
/**
 * When its last item was settled.
 */
done_at: string | null, };

/**
 * One partner of whom two seals say different things.
 */
export type SealChange = { 
/**
 * Partner code.
 */
partner: string, 
/**
 * Agency name.
 */
name: string, 
/**
 * What the first seal pays it; `null` where it does not.
 */
before_minor: number | null, 
/**
 * What it is paid now; `null` where it is not.
 */
after_minor: number | null, 
/**
 * It is paid to another Stripe account.
 */
other_account: boolean, };

/**
 * How the seal that somebody looked at differs from what the run is now.
 */
export type SealDiff = { 
/**
 * Hash of the seal that was looked at.
 */
from: string, 
/**
 * Hash of the one that there is now; `null` while there is none.
 */
to: string | null, 
/**
 * What the two come to, in minor units.
 */
total_before_minor: number, 
/**
 * The one that there is now.
 */
total_after_minor: number, 
/**
 * Partners that differ, by name; the first hundred.
 */
changes: Array<SealChange>, 
/**
 * How many more there are.
 */
more: number, };

/**
 * `POST /v1/runs/{run}/seal`: freeze what was seen.
 */
export type SealRun = { 
/**
 * Version that was looked at.
 */
version: number, };

/**
 * `POST /v1/runs/{run}/send`: needs a fresh sign-in; issues a send grant.
 */
export type SendRun = { 
/**
 * The seal that is sent.
 */
run_hash: string, };

/**
 * A session: a short access token and, for programs, the token that renews it.
 */
export type Session = { 
/**
 * Goes into `Authorization: Bearer`.
 */
access_token: string, 
/**
 * Seconds until it ends.
 */
access_expires_in_s: number, 
/**
 * The next refresh token; absent when it went into a cookie.
 */
refresh_token: string | null, 
/**
 * Who is signed in.
 */
account: Account, };

/**
 * `POST /v1/slug`: choose it, change it, or give it up.
 */
export type SetSlug = { 
/**
 * 3 to 40 letters, digits and single hyphens; empty to give it up.
 */
slug: string, };

/**
 * Where the person's browser goes.
 */
export type SignInBegun = { 
/**
 * An address of this API, which leads on to the issuer.
 */
url: string, 
/**
 * Seconds for which it is good.
 */
expires_in_s: number, };

/**
 * `GET /v1/auth/methods`: how people sign in here.
 */
export type SignInMethods = { 
/**
 * By a code that comes by e-mail.
 */
email_codes: boolean, 
/**
 * Name of the issuer that vouches for people (OpenID Connect), where one is configured.
 */
issuer: string | null, };

/**
 * `GET /v1/slug`: the agency's own name in its links.
 */
export type Slug = { 
/**
 * The name; `null` for none.
 */
slug: string | null, };

/**
 * `POST /v1/demo/sessions`: sign in as one of the demo's people. Exists under `serve --demo` alone.
 */
export type StartDemoSession = { 
/**
 * Id from `GET /v1/demo/people`.
 */
person: string, 
/**
 * Where the refresh token is kept.
 */
keep: Keep, };

/**
 * `POST /v1/auth/sessions`: exchange a code for a session.
 */
export type StartSession = { 
/**
 * Address of the person.
 */
email: string, 
/**
 * The six digits.
 */
code: string, 
/**
 * Where the refresh token is kept.
 */
keep: Keep, };

/**
 * The tier of a partner.
 */
export type Tier = "standard" | "platinum";

/**
 * The sums of a statement, in minor units.
 */
export type Totals = { 
/**
 * Lines that have not vested yet.
 */
pending: number, 
/**
 * Lines that have vested, adjustments included.
 */
vested: number, 
/**
 * Lines that wait for a review or a dispute.
 */
held: number, 
/**
 * Lines of clients that left before they vested.
 */
forfeited: number, 
/**
 * Lines of rejected referrals.
 */
void: number, 
/**
 * Payouts that were not reversed.
 */
paid: number, 
/**
 * `vested` − `paid`; below zero it is carried forward.
 */
balance: number, 
/**
 * What may be paid now.
 */
payable: number, };

/**
 * One thing that led to a credit.
 */
export type Touch = { 
/**
 * When.
 */
at: string, 
/**
 * What happened, in words.
 */
what: string, };

/**
 * `POST /v1/runs/{run}/unseal` and `…/discard`: before the first transfer was recorded as about to be sent.
 */
export type TurnBack = { 
/**
 * Version that was looked at.
 */
version: number, 
/**
 * Why, in 1 to 500 characters.
 */
reason: string, };

/**
 * `POST /v1/payouts-lock/unlock`: one of the two consents. Needs a fresh sign-in of finance or an admin.
 */
export type UnlockPayouts = { 
/**
 * The lock that was looked at.
 */
lock: string, 
/**
 * Why it may be lifted.
 */
reason: string, };

/**
 * `POST /v1/links/{link}`: rename or archive a link. What is absent stays.
 */
export type UpdateLink = { 
/**
 * New campaign name.
 */
campaign: string | null, 
/**
 * Out of the list, or back in it. An archived link still leads and credits.
 */
archived: boolean | null, };

/**
 * `POST /v1/resources/{resource}/file`: one part of a file, beginning with part 0. The file is there once its last part is
 * and all of them are what was announced. A part that is sent again is the same part.
 */
export type UploadPart = { 
/**
 * UUID made by the caller, for all parts of a file.
 */
upload: string, 
/**
 * The version of the resource that was looked at.
 */
version: number, 
/**
 * Name of the file; what it ends in says what it is.
 */
name: string, 
/**
 * How long the whole file is: at most 1,500,000.
 */
bytes: number, 
/**
 * SHA-256 of the whole file, in hex.
 */
sha256: string, 
/**
 * Number of this part. Each has 150,000 bytes, the last one what is left.
 */
part: number, 
/**
 * Its bytes in base64.
 */
data: string, };

/**
 * UTM parameters of a link. Empty ones are left out.
 */
export type Utm = { 
/**
 * `utm_source`.
 */
source: string | null, 
/**
 * `utm_medium`.
 */
medium: string | null, 
/**
 * `utm_campaign`.
 */
campaign: string | null, 
/**
 * `utm_content`.
 */
content?: string, 
/**
 * `utm_term`.
 */
term?: string, };

/**
 * Towards the volume bonus of the running quarter.
 */
export type VolumeProgress = { 
/**
 * The quarter, such as `2026-Q4`.
 */
quarter: string, 
/**
 * Its last day.
 */
ends_on: string, 
/**
 * How many referrals of the quarter qualify.
 */
qualified: number, 
/**
 * How many are needed.
 */
needed: number, 
/**
 * When the quarter was reached.
 */
reached_at: string | null, 
/**
 * What the bonus is or would be worth a month, in minor units, on the live subscriptions that it applies to; 0 for
 * a platinum partner, who has better rates instead.
 */
worth_minor_per_month: number, };

/** Arguments and answer of every call. */
export type Calls = {
  /** The demo's people; not found outside a demo. */
  demo_people: { args: Nothing; answer: Array<DemoPerson> };
  /** How people sign in here. */
  sign_in_methods: { args: Nothing; answer: SignInMethods };
  /** Send a sign-in code. */
  request_code: { args: RequestCode; answer: CodeRequested };
  /** The terms in force. */
  current_terms: { args: Nothing; answer: CurrentTerms };
  /** An agency joins. */
  join: { args: JoinPartner; answer: Joined };
  /** An agency's first page. */
  overview: { args: Nothing; answer: Overview };
  /** A fresh address that leads on to Stripe. */
  onboarding_link: { args: Nothing; answer: OnboardingLink };
  /** The owner accepts the terms in force. */
  accept_terms: { args: AcceptTerms; answer: Array<AcceptedTerms> };
  /** The agency's links, the newest first. */
  links: { args: LinksQuery; answer: Array<Link> };
  /** Make a link. */
  create_link: { args: CreateLink; answer: Link };
  /** Rename or archive a link. */
  update_link: { args: { link: string } & UpdateLink; answer: Link };
  /** The agency's own name in its links. */
  slug: { args: Nothing; answer: Slug };
  /** Choose that name, change it, or give it up. */
  set_slug: { args: SetSlug; answer: Slug };
  /** Some of the agency's clients. */
  clients: { args: ClientsQuery; answer: ClientPage };
  /** One client with the reason of every cent. */
  client: { args: { referral: string }; answer: ClientDetail };
  /** What the last half year suggests for a forecast. */
  suggested_what_if: { args: Nothing; answer: Assumptions };
  /** What the agency would earn if the coming months went so. */
  what_if: { args: Assumptions; answer: Forecast };
  /** Where the agency's payouts go. */
  stripe_account: { args: Nothing; answer: ConnectedAccount };
  /** Leave the Stripe account for another. */
  replace_account: { args: ReplaceAccount; answer: ConnectedAccount };
  /** The agency's payouts, the newest first. */
  payouts: { args: Nothing; answer: Array<Payout> };
  /** What one payout is made of. */
  payout: { args: { item: string }; answer: PayoutDetail };
  /** What AIKit gives agencies to work with, in its order. */
  resources: { args: Nothing; answer: Array<Resource> };
  /** The same for those who keep it, with what is not published. */
  all_resources: { args: Nothing; answer: Array<Resource> };
  /** Write a resource. */
  create_resource: { args: CreateResource; answer: Resource };
  /** Change all of it but its file. */
  change_resource: { args: { resource: string } & ChangeResource; answer: Resource };
  /** Show it to agencies, or no longer. */
  publish_resource: { args: { resource: string } & PublishResource; answer: Resource };
  /** Put all of them in order. */
  order_resources: { args: OrderResources; answer: Array<Resource> };
  /** Send a part of its file. */
  upload_part: { args: { resource: string } & UploadPart; answer: Resource };
  /** Take its file away. */
  remove_resource_file: { args: { resource: string } & ResourceVersion; answer: Resource };
  /** Delete it. */
  delete_resource: { args: { resource: string } & ResourceVersion; answer: Array<Resource> };
  /** All runs, the newest first. */
  runs: { args: Nothing; answer: Array<RunSummary> };
  /** One run. */
  run: { args: { run: string }; answer: Run };
  /** One partner's statement within a run. */
  run_statement: { args: { run: string, item: string }; answer: PayoutDetail };
  /** Draft the run of a month, or compute its draft again. */
  draft_run: { args: DraftRun; answer: Run };
  /** Freeze a draft. */
  seal_run: { args: { run: string } & SealRun; answer: Run };
  /** Approve a seal. */
  approve_run: { args: { run: string } & ApproveRun; answer: Run };
  /** Let an executor send an approved run. */
  send_run: { args: { run: string } & SendRun; answer: Run };
  /** Hold a partner out of a draft. */
  hold_partner: { args: { run: string } & HoldPartner; answer: Run };
  /** Pay a partner that was held out. */
  release_partner: { args: { run: string, partner: string } & ReleasePartner; answer: Run };
  /** Write a note beside a run. */
  add_note: { args: { run: string } & AddNote; answer: Run };
  /** Stop sending; the rest can be sent later. */
  pause_run: { args: { run: string }; answer: Run };
  /** Make a sealed run a draft again. */
  unseal_run: { args: { run: string } & TurnBack; answer: Run };
  /** Give a run up; its month can be drafted again. */
  discard_run: { args: { run: string } & TurnBack; answer: Array<RunSummary> };
  /** End a run without paying what is still queued. */
  close_run: { args: { run: string } & CloseRun; answer: Run };
  /** What is known of one payment of a sealed run. */
  item_check: { args: { item: string }; answer: ItemCheck };
  /** Look at Stripe now for one payment. */
  look_at_item: { args: { item: string }; answer: ItemCheck };
  /** Decide about a payment that is with a person. */
  resolve_item: { args: { item: string } & ResolveItem; answer: ItemCheck };
  /** The brake on payouts. */
  payouts_lock: { args: Nothing; answer: PayoutLock };
  /** Put the brake on. */
  lock_payouts: { args: LockPayouts; answer: PayoutLock };
  /** Agree to take it off. */
  unlock_payouts: { args: UnlockPayouts; answer: PayoutLock };
  /** The records held against Stripe, the newest first. */
  reconciliations: { args: Nothing; answer: Array<Reconciliation> };
  /** Hold the records against Stripe now. */
  reconcile: { args: Reconcile; answer: Reconciliation };
  /** How much waits for a review. */
  reviews_waiting: { args: Nothing; answer: ReviewsWaiting };
  /** Flagged referrals with their evidence. */
  reviews: { args: ReviewsQuery; answer: Array<Review> };
  /** What each decision about a referral would change in money. */
  outcomes: { args: { referral: string }; answer: Outcomes };
  /** Decide that a flagged referral counts. */
  clear_referral: { args: { referral: string } & Because; answer: Review };
  /** Decide that it does not count. */
  reject_referral: { args: { referral: string } & Because; answer: Review };
  /** Take the last decision back. */
  reopen_referral: { args: { referral: string } & Because; answer: Review };
  /** Some of the agencies. */
  partners: { args: PartnersQuery; answer: PartnerPage };
  /** An agency and where it stands. */
  partner: { args: { partner: string }; answer: PartnerStanding };
  /** What a decision about an agency would change in money. */
  partner_effect: { args: { partner: string } & EffectQuery; answer: Effect };
  /** Some of an agency's referrals. */
  partner_referrals: { args: { partner: string } & ClientsQuery; answer: ClientPage };
  /** An agency's links, the newest first. */
  partner_links: { args: { partner: string } & LinksQuery; answer: Array<Link> };
  /** An agency's payouts, the newest first. */
  partner_payouts: { args: { partner: string }; answer: Array<Payout> };
  /** An agency earns from now on and is not paid. */
  suspend_partner: { args: { partner: string } & Because; answer: PartnerStanding };
  /** End a suspension. */
  reinstate_partner: { args: { partner: string } & Because; answer: PartnerStanding };
  /** Add to an agency's balance or take from it. */
  adjust_partner: { args: { partner: string } & Adjust; answer: PartnerStanding };
  /** A page of the audit chain. */
  audit: { args: AuditQuery; answer: AuditPage };
};

/** Arguments of every file that can be saved. */
export type Downloads = {
  /** The receipt of a paid payout (PDF). */
  receipt: { item: string };
  /** The receipt of a paid item of a run (PDF). */
  run_receipt: { run: string, item: string };
  /** The file of a resource. */
  resource_file: { resource: string };
  /** A run for a spreadsheet (CSV). */
  run_csv: { run: string };
  /** A run as a workbook (XLSX). */
  run_xlsx: { run: string };
  /** The ledger export of a closed month (CSV). */
  run_ledger: { run: string } & LedgerExport;
};

/** How each call travels. */
export const CALLS: { readonly [K in keyof Calls]: Way } = {
  demo_people: { method: 'GET', path: '/v1/demo/people' },
  sign_in_methods: { method: 'GET', path: '/v1/auth/methods' },
  request_code: { method: 'POST', path: '/v1/auth/codes' },
  current_terms: { method: 'GET', path: '/v1/terms/current' },
  join: { method: 'POST', path: '/v1/partners' },
  overview: { method: 'GET', path: '/v1/overview' },
  onboarding_link: { method: 'POST', path: '/v1/onboarding' },
  accept_terms: { method: 'POST', path: '/v1/terms/accept' },
  links: { method: 'GET', path: '/v1/links' },
  create_link: { method: 'POST', path: '/v1/links' },
  update_link: { method: 'POST', path: '/v1/links/{link}' },
  slug: { method: 'GET', path: '/v1/slug' },
  set_slug: { method: 'POST', path: '/v1/slug' },
  clients: { method: 'GET', path: '/v1/clients' },
  client: { method: 'GET', path: '/v1/clients/{referral}' },
  suggested_what_if: { method: 'GET', path: '/v1/what-if' },
  what_if: { method: 'POST', path: '/v1/what-if' },
  stripe_account: { method: 'GET', path: '/v1/stripe-account' },
  replace_account: { method: 'POST', path: '/v1/stripe-account/replace' },
  payouts: { method: 'GET', path: '/v1/payouts' },
  payout: { method: 'GET', path: '/v1/payouts/{item}' },
  resources: { method: 'GET', path: '/v1/resources' },
  all_resources: { method: 'GET', path: '/v1/resources/all' },
  create_resource: { method: 'POST', path: '/v1/resources' },
  change_resource: { method: 'POST', path: '/v1/resources/{resource}' },
  publish_resource: { method: 'POST', path: '/v1/resources/{resource}/publish' },
  order_resources: { method: 'POST', path: '/v1/resources/order' },
  upload_part: { method: 'POST', path: '/v1/resources/{resource}/file' },
  remove_resource_file: { method: 'POST', path: '/v1/resources/{resource}/file/remove' },
  delete_resource: { method: 'POST', path: '/v1/resources/{resource}/delete' },
  runs: { method: 'GET', path: '/v1/runs' },
  run: { method: 'GET', path: '/v1/runs/{run}' },
  run_statement: { method: 'GET', path: '/v1/runs/{run}/items/{item}' },
  draft_run: { method: 'POST', path: '/v1/runs' },
  seal_run: { method: 'POST', path: '/v1/runs/{run}/seal' },
  approve_run: { method: 'POST', path: '/v1/runs/{run}/approve' },
  send_run: { method: 'POST', path: '/v1/runs/{run}/send' },
  hold_partner: { method: 'POST', path: '/v1/runs/{run}/holds' },
  release_partner: { method: 'POST', path: '/v1/runs/{run}/holds/{partner}/release' },
  add_note: { method: 'POST', path: '/v1/runs/{run}/notes' },
  pause_run: { method: 'POST', path: '/v1/runs/{run}/pause' },
  unseal_run: { method: 'POST', path: '/v1/runs/{run}/unseal' },
  discard_run: { method: 'POST', path: '/v1/runs/{run}/discard' },
  close_run: { method: 'POST', path: '/v1/runs/{run}/close' },
  item_check: { method: 'GET', path: '/v1/items/{item}/check' },
  look_at_item: { method: 'POST', path: '/v1/items/{item}/look' },
  resolve_item: { method: 'POST', path: '/v1/items/{item}/resolution' },
  payouts_lock: { method: 'GET', path: '/v1/payouts-lock' },
  lock_payouts: { method: 'POST', path: '/v1/payouts-lock/lock' },
  unlock_payouts: { method: 'POST', path: '/v1/payouts-lock/unlock' },
  reconciliations: { method: 'GET', path: '/v1/reconciliations' },
  reconcile: { method: 'POST', path: '/v1/reconciliations' },
  reviews_waiting: { method: 'GET', path: '/v1/reviews-waiting' },
  reviews: { method: 'GET', path: '/v1/reviews' },
  outcomes: { method: 'GET', path: '/v1/referrals/{referral}/decisions' },
  clear_referral: { method: 'POST', path: '/v1/reviews/{referral}/clear' },
  reject_referral: { method: 'POST', path: '/v1/reviews/{referral}/reject' },
  reopen_referral: { method: 'POST', path: '/v1/reviews/{referral}/reopen' },
  partners: { method: 'GET', path: '/v1/partners' },
  partner: { method: 'GET', path: '/v1/partners/{partner}' },
  partner_effect: { method: 'GET', path: '/v1/partners/{partner}/effect' },
  partner_referrals: { method: 'GET', path: '/v1/partners/{partner}/referrals' },
  partner_links: { method: 'GET', path: '/v1/partners/{partner}/links' },
  partner_payouts: { method: 'GET', path: '/v1/partners/{partner}/payouts' },
  suspend_partner: { method: 'POST', path: '/v1/partners/{partner}/suspend' },
  reinstate_partner: { method: 'POST', path: '/v1/partners/{partner}/reinstate' },
  adjust_partner: { method: 'POST', path: '/v1/partners/{partner}/adjustments' },
  audit: { method: 'GET', path: '/v1/audit' },
};

/** Where each file is. */
export const DOWNLOADS: { readonly [K in keyof Downloads]: Way } = {
  receipt: { method: 'GET', path: '/v1/payouts/{item}/receipt.pdf' },
  run_receipt: { method: 'GET', path: '/v1/runs/{run}/items/{item}/receipt.pdf' },
  resource_file: { method: 'GET', path: '/v1/resources/{resource}/file' },
  run_csv: { method: 'GET', path: '/v1/runs/{run}/export.csv' },
  run_xlsx: { method: 'GET', path: '/v1/runs/{run}/export.xlsx' },
  run_ledger: { method: 'GET', path: '/v1/runs/{run}/ledger.csv' },
};

/** A method and a path with parameters in braces. */
export type Way = { readonly method: 'GET' | 'POST'; readonly path: string };
