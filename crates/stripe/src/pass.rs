//! One pass over a granted run, item by item: look, record the intent, send, record the answer.
//!
//! An item goes through as many rounds as it takes, and every round begins with a new look at Stripe. Whatever ends a
//! round half-way, a crash included, leaves a record from which the next look continues.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use commission::format_minor;
use futures::{Stream, StreamExt, stream};
use payout::{Answer, Record, SEND_DEADLINE_S, Seal, SealedItem, State, Transfer};
use tokio::time::sleep;
use wire::{ClaimItems, ClaimedItem, Grant, Intent, Observe, Observed, RecordIntent, Settle, Settled, StopSending};

use crate::client::StripeError;
use crate::clock::{Clock, Deadline, backoff};
use crate::ledger::{Ledger, LedgerError};
use crate::pace::{Endpoint, Pace, Pacer};
use crate::report::{Cancel, Outcome, Progress, Report, SILENT_AFTER, Stop};
use crate::transfers::Transfers;

/// Items in one claim: four seconds of work at the usual pace, and well within a lease at the lowest.
const CLAIM_LIMIT: u32 = 60;
/// Looks at one item in one pass.
const ROUNDS: u32 = 4;
/// Tries of a claim, while the API does not answer.
const CLAIM_TRIES: u32 = 6;
/// Tries of a settlement: about a minute and a half, as long as a restart of the API takes.
const SETTLE_TRIES: u32 = 12;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// What a pass works with.
pub(crate) struct Means<L, T> {
    pub(crate) ledger: L,
    pub(crate) transfers: T,
    pub(crate) name: String,
    pub(crate) pace: Pace,
    pub(crate) clock: Arc<dyn Clock>,
    /// The Stripe account that payouts are made from, where it is pinned.
    pub(crate) account: Option<String>,
}

/// One pass over one run.
pub(crate) struct Pass<'a, L, T> {
    means: &'a Means<L, T>,
    grant: &'a Grant,
    cancel: &'a Cancel,
    pacer: Pacer,
    state: Mutex<PassState>,
}

#[derive(Default)]
struct PassState {
    open: Option<u32>,
    stop: Option<Stop>,
    looks_failed: u32,
    sends_failed: u32,
}

/// An item under lease, and what was approved for it.
struct Work {
    lease: ClaimedItem,
    sealed: SealedItem,
    environment: Arc<str>,
}

/// Where a round ends.
enum Round {
    /// Nothing more for this pass.
    Done(Outcome),
    /// It may be otherwise at another look.
    Again(Outcome),
}

/// A seal that is the approved one, as far as it is needed for its items.
struct Approved {
    items: HashMap<String, SealedItem>,
    environment: Arc<str>,
    currency: Option<String>,
}

/// What was approved, what was claimed of it and not begun, and how often each item was handed out in this pass.
#[derive(Default)]
struct Queue {
    approved: Option<Approved>,
    waiting: VecDeque<Work>,
    handed_out: HashMap<String, u32>,
}

impl<'a, L: Ledger, T: Transfers> Pass<'a, L, T> {
    pub(crate) fn new(means: &'a Means<L, T>, grant: &'a Grant, cancel: &'a Cancel) -> Pass<'a, L, T> {
        Pass { means, grant, cancel, pacer: Pacer::new(means.pace), state: Mutex::default() }
    }

    /// Works through the run, and says what it came to.
    pub(crate) async fn run(self, progress: impl Fn(Progress<'_>) + Send) -> Report {
        progress(Progress::Started { grant: self.grant });
        let workers = usize::try_from(self.means.pace.in_flight.max(1)).unwrap_or(usize::MAX).saturating_mul(2);
        let mut report = Report::default();
        {
            // Twice as many as calls in flight: while one item is with the ledger, another is with Stripe.
            let worked = self.items().map(|work| self.work(work)).buffer_unordered(workers);
            let mut worked = std::pin::pin!(worked);
            while let Some((item, outcome)) = worked.next().await {
                report.open = self.open();
                report.count(outcome, item.amount_minor);
                progress(Progress::Item { item: &item.item, outcome, report: &report });
            }
        }
        report.open = self.open();
        report.stopped = self.stopped();
        progress(Progress::Finished { grant: self.grant, report: &report });
        report
    }

    fn state(&self) -> std::sync::MutexGuard<'_, PassState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self, stop: Stop) {
        self.state().stop.get_or_insert(stop);
    }

    /// Counts failures in a row, and ends the pass when they are an outage.
    fn heard(&self, row: fn(&mut PassState) -> &mut u32, answered: bool) {
        let mut state = self.state();
        let failures = row(&mut state);
        *failures = if answered { 0 } else { *failures + 1 };
        if *failures >= SILENT_AFTER {
            state.stop.get_or_insert(Stop::StripeSilent);
        }
    }

    fn has_ended(&self) -> bool {
        self.cancel.is_cancelled() || self.state().stop.is_some()
    }

    fn open(&self) -> u32 {
        self.state().open.unwrap_or(0)
    }

    fn stopped(&self) -> Option<Stop> {
        let stop = self.state().stop.clone();
        stop.or(self.cancel.is_cancelled().then_some(Stop::Cancelled))
    }

    async fn pause(&self, round: u32) {
        let wait = backoff(FIRST_WAIT, LONGEST_WAIT, round, self.means.clock.random());
        tokio::select! {
            () = sleep(wait) => {}
            () = self.cancel.cancelled() => {}
        }
    }

    /// The items of the run, claimed as they are needed, each once.
    fn items(&self) -> impl Stream<Item = Work> + Send + '_ {
        stream::unfold(Queue::default(), async |mut queue| {
            loop {
                if self.has_ended() {
                    return None;
                }
                if let Some(work) = queue.waiting.pop_front() {
                    return Some((work, queue));
                }
                if !self.fill(&mut queue).await {
                    return None;
                }
            }
        })
    }

    /// Claims more items. False when there is nothing left to claim.
    async fn fill(&self, queue: &mut Queue) -> bool {
        let claim = ClaimItems {
            grant: self.grant.grant.clone(),
            executor: self.means.name.clone(),
            limit: CLAIM_LIMIT,
            // Thousands of items are megabytes of seal: it is handed out, and its hash recomputed, once in a pass.
            has_seal: queue.approved.is_some().then(|| self.grant.run_hash.clone()),
        };
        let mut tries = 1;
        let claimed = loop {
            match self.means.ledger.claim(&self.grant.run, &claim).await {
                Ok(claimed) => break claimed,
                Err(error) if error.may_pass() && tries < CLAIM_TRIES && !self.has_ended() => self.pause(tries).await,
                Err(error) => {
                    self.stop(Stop::Ledger(error));
                    return false;
                }
            }
            tries += 1;
        };
        let is_first = self.state().open.is_none();
        self.state().open.get_or_insert(claimed.open);
        if let Some(seal) = claimed.seal {
            match approved(self.grant, seal, self.means.transfers.is_live()) {
                Ok(approved) => queue.approved = Some(approved),
                Err(stop) => {
                    self.stop(stop);
                    return false;
                }
            }
        }
        let Some(approved) = &queue.approved else {
            let reason = "it was handed out without its seal".into();
            self.stop(Stop::NotForHere { run: self.grant.run.clone(), reason });
            return false;
        };
        if let (true, Some(currency)) = (is_first, &approved.currency)
            && let Err(stop) = self.preflight(currency, claimed.open_minor).await
        {
            self.stop(stop);
            return false;
        }
        let mut some_are_new = false;
        for lease in claimed.items {
            let Some(sealed) = approved.items.get(&lease.item) else {
                self.stop(Stop::NotApproved { item: lease.item, what: "claim" });
                return false;
            };
            let times = queue.handed_out.entry(lease.item.clone()).or_default();
            *times += 1;
            // An item that comes back at once would be the only work, for ever: it has to wait for the next pass.
            some_are_new |= *times <= 2;
            if *times == 1 {
                let environment = approved.environment.clone();
                queue.waiting.push_back(Work { lease, sealed: sealed.clone(), environment });
            }
        }
        some_are_new
    }

    /// Looks, before the first item, whether the account at Stripe can pay the rest of the run. Where it cannot, finance is
    /// told, and nothing of the run is begun.
    async fn preflight(&self, currency: &str, needed_minor: i64) -> Result<(), Stop> {
        let standing = match self.means.transfers.standing(currency).await {
            Ok(standing) => standing,
            Err(error @ (StripeError::Unauthorized | StripeError::Refused { .. })) => {
                let reason = format!("The account at Stripe cannot be looked at before the run is sent. {error}");
                return Err(self.not_ready(reason).await);
            }
            // An outage: every look at an item would fail, too.
            Err(error) => {
                tracing::warn!(run = self.grant.run, "the balance at Stripe could not be read: {error}");
                return Err(Stop::StripeSilent);
            }
        };
        if let Some(pinned) = self.means.account.as_ref().filter(|pinned| **pinned != standing.account) {
            let reason =
                format!("The key is of the Stripe account {}, and payouts are made from {pinned}.", standing.account);
            return Err(self.not_ready(reason).await);
        }
        if standing.available_minor < needed_minor {
            let (there, needed) = (format_minor(standing.available_minor), format_minor(needed_minor));
            let reason = format!(
                "{there} is available at Stripe, and the rest of this run needs {needed}. Top the balance up, then send it."
            );
            return Err(self.not_ready(reason).await);
        }
        if let Some(interval) = standing.automatic_payouts {
            tracing::warn!(
                run = self.grant.run,
                interval,
                "Stripe pays the balance out to the bank by itself: set payouts to manual in Stripe's dashboard, or the next run may find too little"
            );
        }
        Ok(())
    }

    async fn not_ready(&self, reason: String) -> Stop {
        let stop = StopSending { reason: reason.chars().take(500).collect() };
        if let Err(error) = self.means.ledger.stop(&self.grant.grant, &stop).await {
            tracing::warn!(run = self.grant.run, "finance could not be told: {error}");
        }
        Stop::NotReady { reason }
    }

    /// As many rounds as it takes, but not more than a pass has time for.
    async fn work(&self, work: Work) -> (SealedItem, Outcome) {
        let mut so_far = Outcome::Left;
        for round in 1..=ROUNDS {
            if self.has_ended() {
                break;
            }
            match self.round(&work).await {
                Round::Done(Outcome::Left) => break,
                Round::Done(outcome) => return (work.sealed, outcome),
                // What was sent stays unknown, although a later look failed before it came to anything.
                Round::Again(outcome) if so_far != Outcome::Unknown => so_far = outcome,
                Round::Again(_) => {}
            }
            if round < ROUNDS {
                self.pause(round).await;
            }
        }
        (work.sealed, so_far)
    }

    /// Look, decide, and send if the ledger says so.
    async fn round(&self, work: &Work) -> Round {
        let group = record(work, "").params().transfer_group;
        let turn = self.pacer.turn(Endpoint::List).await;
        if self.has_ended() {
            return Round::Done(Outcome::Left);
        }
        let listed = self.means.transfers.list(&group).await;
        drop(turn);
        let transfers = match listed {
            Ok(transfers) => transfers,
            Err(error) => return self.not_seen(error),
        };
        self.pacer.calm();
        self.heard(|state| &mut state.looks_failed, true);
        let seen = Observe { grant: self.grant.grant.clone(), fence: work.lease.fence, transfers: transfers.clone() };
        let (attempt, version) = match self.means.ledger.observe(&work.lease.item, &seen).await {
            Ok(Observed::Settled) if transfers.is_empty() => return Round::Done(Outcome::SettledBefore),
            Ok(Observed::Settled) => return Round::Done(Outcome::Paid),
            Ok(Observed::Review) => return Round::Done(Outcome::Review),
            Ok(Observed::Send { attempt, version }) => (attempt, version),
            Err(error) => return self.refused(error),
        };
        self.send(work, attempt, version, &transfers).await
    }

    /// Records the intent, and sends only if it is certain that it is recorded, approved, and not too late.
    async fn send(&self, work: &Work, attempt: i64, version: i64, seen: &[Transfer]) -> Round {
        let item = &work.lease.item;
        if !seen.is_empty() {
            self.stop(Stop::NotApproved {
                item: item.clone(),
                what: "decision to send although Stripe lists a transfer",
            });
            return Round::Done(Outcome::Left);
        }
        let turn = self.pacer.turn(Endpoint::Create).await;
        if self.has_ended() {
            return Round::Done(Outcome::Left);
        }
        let deadline = Deadline::after(Duration::from_secs(SEND_DEADLINE_S), self.means.clock.clone());
        let ask = RecordIntent { grant: self.grant.grant.clone(), fence: work.lease.fence, version, attempt };
        let intent = match self.means.ledger.intent(item, &ask).await {
            Ok(intent) => intent,
            Err(error) => return self.refused(error),
        };
        if let Some(what) = differs(work, attempt, &intent) {
            self.stop(Stop::NotApproved { item: item.clone(), what });
            return Round::Done(Outcome::Left);
        }
        let answer = match self.means.transfers.create(&intent.params, &intent.key, &deadline).await {
            Ok(answer) => answer,
            Err(not_sent) => {
                tracing::info!(item, "Not sent yet: {not_sent}.");
                self.heard(|state| &mut state.sends_failed, false);
                return Round::Again(Outcome::Left);
            }
        };
        drop(turn);
        match answer {
            Answer::Busy => self.pacer.busy(),
            Answer::Lost | Answer::ServerError { .. } => self.heard(|state| &mut state.sends_failed, false),
            _ => {
                self.pacer.calm();
                self.heard(|state| &mut state.sends_failed, true);
            }
        }
        if let Some(reason) = ends_run(&answer) {
            self.stop(Stop::Stripe { reason });
        }
        let server_error = matches!(answer, Answer::ServerError { .. });
        let Some(settled) = self.settle(item, Settle { attempt, answer }).await else {
            return Round::Done(Outcome::Unknown);
        };
        if settled.stop {
            self.stop(Stop::Stripe { reason: "The API stopped the run after the last answer of Stripe.".into() });
        }
        match settled.state {
            State::Paid => Round::Done(Outcome::Paid),
            State::Review => Round::Done(Outcome::Review),
            State::Queued => Round::Done(Outcome::Refused),
            State::Void => Round::Done(Outcome::SettledBefore),
            // It may still be carried out: a look so soon would find nothing, and call a person too early.
            State::Sending | State::Unknown if server_error => Round::Done(Outcome::Unknown),
            State::Sending | State::Unknown => Round::Again(Outcome::Unknown),
        }
    }

    /// Records the answer, again and again if need be: it is idempotent. `None` when it is given up; the transfer, if
    /// there is one, is found by a later look.
    async fn settle(&self, item: &str, settle: Settle) -> Option<Settled> {
        for round in 1..=SETTLE_TRIES {
            match self.means.ledger.settle(item, &settle).await {
                Ok(settled) => return Some(settled),
                Err(error) if error.may_pass() && round < SETTLE_TRIES => {
                    // Not cut short by a cancel: what is known about money is worth the wait.
                    sleep(backoff(FIRST_WAIT, LONGEST_WAIT, round, self.means.clock.random())).await;
                }
                Err(error) => {
                    tracing::error!(item, attempt = settle.attempt, "Stripe's answer could not be recorded: {error}");
                    self.stop(Stop::Ledger(error));
                    break;
                }
            }
        }
        None
    }

    /// Stripe could not be asked what there is, so nothing may be sent.
    fn not_seen(&self, error: StripeError) -> Round {
        match error {
            StripeError::Busy { .. } => self.pacer.busy(),
            StripeError::Unauthorized | StripeError::Refused { .. } | StripeError::KeyMisused { .. } => {
                self.stop(Stop::Stripe { reason: format!("The transfers at Stripe cannot be listed. {error}") });
                return Round::Done(Outcome::Left);
            }
            StripeError::NotSent { .. }
            | StripeError::Lost { .. }
            | StripeError::Unreadable { .. }
            | StripeError::Server { .. } => self.heard(|state| &mut state.looks_failed, false),
        }
        Round::Again(Outcome::Left)
    }

    /// The ledger did not do what was asked, as far as is known. Nothing may be sent.
    fn refused(&self, error: LedgerError) -> Round {
        if error.may_pass() {
            return Round::Again(Outcome::Left);
        }
        if error.ends_run() {
            self.stop(Stop::Ledger(error));
        }
        // Otherwise the item is somebody else's now, or was changed.
        Round::Done(Outcome::Left)
    }
}

/// What was approved, if what was handed out is what the grant names and this executor's key may send it.
fn approved(grant: &Grant, seal: Seal, live: bool) -> Result<Approved, Stop> {
    let computed = seal.run_hash();
    if computed != grant.run_hash {
        let (run, granted) = (grant.run.clone(), grant.run_hash.clone());
        return Err(Stop::SealMismatch { run, granted, computed });
    }
    let not_for_here = |reason: String| Stop::NotForHere { run: grant.run.clone(), reason };
    if seal.run != grant.run {
        return Err(not_for_here(format!("its seal is that of run {}", seal.run)));
    }
    let mode = if live { "live" } else { "test" };
    if seal.environment != mode {
        return Err(not_for_here(format!("it pays {} money and the Stripe key is a {mode} key", seal.environment)));
    }
    let currency = seal.items.first().map(|item| item.currency.clone());
    let mut items = HashMap::with_capacity(seal.items.len());
    for item in seal.items {
        if item.amount_minor <= 0 {
            return Err(not_for_here(format!("item {} pays {} minor units", item.item, item.amount_minor)));
        }
        if let Some(twice) = items.insert(item.item.clone(), item) {
            return Err(not_for_here(format!("item {} is in it twice", twice.item)));
        }
    }
    Ok(Approved { items, environment: seal.environment.into(), currency })
}

/// The record from which request and key follow. Only the description is not in the seal: it moves no money.
fn record(work: &Work, description: &str) -> Record {
    Record::new(work.sealed.clone(), work.environment.to_string(), description.into())
}

/// What of an intent is not what was approved.
fn differs(work: &Work, attempt: i64, intent: &Intent) -> Option<&'static str> {
    let approved = record(work, &intent.params.description);
    if intent.attempt != attempt {
        Some("attempt")
    } else if intent.params != approved.params() {
        Some("request")
    } else if intent.key != approved.key(attempt) {
        Some("idempotency key")
    } else {
        None
    }
}

/// Why no further item can succeed after this answer, as far as the sender can tell. A refusal without a code of its
/// own speaks of the request or of the key's rights and not of the partner, and would hold one partner after the other.
fn ends_run(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Unauthorized => Some(StripeError::Unauthorized.to_string()),
        Answer::Refused { code, message } if code == "balance_insufficient" => {
            Some(format!("The balance at Stripe does not cover the rest of this run. Stripe says: {message}"))
        }
        Answer::Refused { code, message } if code.ends_with("_error") => {
            Some(format!("Stripe refuses requests of this key, whoever is paid. Stripe says: {message}"))
        }
        _ => None,
    }
}
