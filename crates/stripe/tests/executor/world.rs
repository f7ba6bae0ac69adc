//! A ledger that decides with `payout::step`, and a Stripe with idempotency keys, both in memory and both able to fail
//! at every call. Time is tokio's, which the tests pause.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use payout::{
    Answer, Decision, Effect, Event, LEASE_S, Nothing, Outcome, Record, Resolution, Seal, SealedItem, State, Transfer,
    TransferParams, step,
};
use stripe::{Clock, Deadline, Ledger, LedgerError, NotSent, Standing, StripeError, Transfers};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use wire::{
    ClaimItems, Claimed, ClaimedItem, ErrorBody, ErrorCode, Grant, Intent, Observe, Observed, RecordIntent, Settle,
    Settled, StopSending,
};

use crate::faults::{Chooser, Fault};

pub(crate) const RUN: &str = "run_1";

/// How a ledger decides that is known to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Design {
    /// As it is.
    Ours,
    /// What was sent is not looked for, and sent anew unless an answer was recorded: "POST, then record".
    PostThenRecord,
    /// Whatever was not answered is sent again under one key, however old it is.
    OneKeyForEver,
    /// A 500 counts as a refusal: the next attempt has a key of its own.
    NewKeyOnServerError,
    /// A person says at once that it was not paid, after one look.
    NoQuarantine,
}

/// A call that arrived at Stripe.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) create: bool,
}

/// What a restored database knows.
#[derive(Clone)]
pub(crate) struct Backup {
    entries: BTreeMap<String, Entry>,
    posted: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    fence: i64,
    version: i64,
    leased_until: DateTime<Utc>,
}

pub(crate) struct Inner {
    pub(crate) seal: Seal,
    /// How often it was handed out.
    pub(crate) seals: u32,
    pub(crate) entries: BTreeMap<String, Entry>,
    pub(crate) transfers: Vec<(String, Transfer)>,
    pub(crate) keys: HashMap<String, (DateTime<Utc>, Answer)>,
    scheduled: Vec<(DateTime<Utc>, String, TransferParams)>,
    /// For the next calls of a name: claim, observe, intent, settle, list, create.
    pub(crate) planned: HashMap<&'static str, VecDeque<Fault>>,
    /// Says what goes wrong with every call, where it is there.
    pub(crate) chooser: Option<Chooser>,
    pub(crate) design: Design,
    /// A list that lags leaves out what is younger than this; without it, everything.
    lag: Option<TimeDelta>,
    /// For the next calls for which nothing is planned.
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) calls: Vec<Call>,
    pub(crate) in_flight: u32,
    pub(crate) most_in_flight: u32,
    pub(crate) posted: Vec<String>,
    pub(crate) intents: u32,
    /// Creates under a key that the ledger had no intent for.
    pub(crate) unrecorded: u32,
    /// A settlement ends the lease.
    pub(crate) frees_settled: bool,
    pub(crate) grant_calls: u32,
    /// What Stripe says of the platform's account.
    pub(crate) standing: Result<Standing, StripeError>,
    /// What finance was told.
    pub(crate) told: Vec<String>,
    pub(crate) stopped: bool,
    pub(crate) latency: Duration,
    pub(crate) intent_latency: Duration,
    /// Changes what the ledger hands out.
    pub(crate) tamper_claim: Option<fn(&mut Claimed)>,
    pub(crate) tamper_intent: Option<fn(&mut Intent)>,
    pub(crate) grants: Vec<Result<Vec<Grant>, LedgerError>>,
}

/// Clones are the same world.
#[derive(Clone)]
pub(crate) struct World {
    inner: Arc<Mutex<Inner>>,
    pub(crate) crashed: Arc<Notify>,
    begun: Instant,
}

impl World {
    pub(crate) fn new(items: usize) -> World {
        let items: Vec<SealedItem> = (0..items)
            .map(|n| SealedItem {
                item: format!("{RUN}:P{n:05}"),
                partner: format!("P{n:05}"),
                amount_minor: 10_000 + i64::try_from(n).unwrap(),
                currency: "usd".into(),
                destination: format!("acct_{n}"),
                digest: "d".repeat(64),
            })
            .collect();
        let seal = Seal {
            environment: "test".into(),
            run: RUN.into(),
            period: "2026-10".into(),
            as_of: DateTime::UNIX_EPOCH,
            cut: 7,
            terms: vec!["2026-01".into()],
            items,
            not_paid: Vec::new(),
        };
        let entries = seal.items.iter().map(|item| (item.item.clone(), Entry::new(item))).collect();
        let inner = Inner {
            seal,
            seals: 0,
            entries,
            transfers: Vec::new(),
            keys: HashMap::new(),
            scheduled: Vec::new(),
            planned: HashMap::new(),
            chooser: None,
            design: Design::Ours,
            lag: None,
            faults: VecDeque::new(),
            calls: Vec::new(),
            in_flight: 0,
            most_in_flight: 0,
            posted: Vec::new(),
            intents: 0,
            unrecorded: 0,
            frees_settled: false,
            grant_calls: 0,
            standing: Ok(Standing {
                account: "acct_platform".into(),
                available_minor: i64::MAX,
                automatic_payouts: None,
            }),
            told: Vec::new(),
            stopped: false,
            latency: Duration::from_millis(20),
            intent_latency: Duration::ZERO,
            tamper_claim: None,
            tamper_intent: None,
            grants: Vec::new(),
        };
        World { inner: Arc::new(Mutex::new(inner)), crashed: Arc::new(Notify::new()), begun: Instant::now() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn grant(&self) -> Grant {
        let run_hash = self.lock().seal.run_hash();
        Grant { grant: "grant_1".into(), run: RUN.into(), run_hash, expires_at: DateTime::UNIX_EPOCH }
    }

    pub(crate) fn item(n: usize) -> String {
        format!("{RUN}:P{n:05}")
    }

    pub(crate) fn state(&self, n: usize) -> State {
        self.lock().entries[&World::item(n)].record.state
    }

    pub(crate) fn creates(&self) -> usize {
        self.lock().calls.iter().filter(|c| c.create).count()
    }

    fn time(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::from_std(self.begun.elapsed()).unwrap()
    }

    /// Carries out what Stripe still has to do.
    pub(crate) fn catch_up(&self, inner: &mut Inner) {
        let now = self.time();
        let (due, later) = std::mem::take(&mut inner.scheduled).into_iter().partition(|(at, ..)| *at <= now);
        inner.scheduled = later;
        for (at, key, params) in due {
            let transfer = inner.carry_out(&params, at);
            if let Some((_, answer @ Answer::Busy)) = inner.keys.get_mut(&key) {
                *answer = Answer::Accepted { transfer };
            }
        }
    }

    /// Does a ledger's work between the faults that are planned for it.
    async fn ledger<A>(
        &self,
        call: &'static str,
        act: impl FnOnce(&mut Inner, DateTime<Utc>) -> Result<A, LedgerError>,
    ) -> Result<A, LedgerError> {
        let lost = || LedgerError::Unreachable { reason: "it was planned".into() };
        let fault = self.fault(call);
        match fault {
            Fault::LostBefore => return Err(lost()),
            Fault::CrashBefore => return self.crash().await,
            _ => {}
        }
        let done = act(&mut self.lock(), self.time());
        match fault {
            Fault::LostAfter => Err(lost()),
            Fault::CrashAfter => self.crash().await,
            Fault::Frozen(long) => {
                sleep(long).await;
                done
            }
            _ => done,
        }
    }

    fn fault(&self, call: &'static str) -> Fault {
        let mut inner = self.lock();
        if let Some(chooser) = &mut inner.chooser {
            return chooser.fault(call);
        }
        let planned = inner.planned.get_mut(call).and_then(VecDeque::pop_front);
        planned.or_else(|| inner.faults.pop_front()).unwrap_or(Fault::None)
    }

    /// Plans faults for the next calls of a name.
    pub(crate) fn plan(&self, call: &'static str, faults: impl IntoIterator<Item = Fault>) {
        self.lock().planned.entry(call).or_default().extend(faults);
    }

    async fn crash<A>(&self) -> A {
        self.crashed.notify_one();
        std::future::pending().await
    }

    /// A call at Stripe, from its arrival to its end.
    async fn arrive(&self, create: bool) -> Arrived {
        let latency = {
            let mut inner = self.lock();
            inner.calls.push(Call { at: Instant::now(), create });
            inner.in_flight += 1;
            inner.most_in_flight = inner.most_in_flight.max(inner.in_flight);
            inner.latency
        };
        let arrived = Arrived(self.clone());
        sleep(latency).await;
        arrived
    }
}

struct Arrived(World);

impl Drop for Arrived {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}

impl Entry {
    fn new(item: &SealedItem) -> Entry {
        let record = Record::new(item.clone(), "test".into(), "AIKit partner commission 2026-10".into());
        Entry { record, fence: 0, version: 1, leased_until: DateTime::UNIX_EPOCH }
    }
}

impl Inner {
    fn carry_out(&mut self, params: &TransferParams, at: DateTime<Utc>) -> Transfer {
        let transfer = Transfer {
            id: format!("tr_{}", self.transfers.len() + 1),
            created: at,
            amount_minor: params.amount_minor,
            amount_reversed_minor: 0,
            currency: params.currency.clone(),
            destination: params.destination.clone(),
            item: Some(params.item.clone()),
        };
        self.transfers.push((params.transfer_group.clone(), transfer.clone()));
        transfer
    }

    /// One decision about a record, stored.
    fn decide(&mut self, item: &str, mut event: Event) -> Result<(Decision, bool), LedgerError> {
        let entry = self.entries.get_mut(item).ok_or_else(|| refused(ErrorCode::NotFound))?;
        if let Event::Observed { transfers, .. } = &mut event {
            let open = matches!(entry.record.state, State::Sending | State::Unknown);
            let failed = entry.record.attempts.last().is_some_and(|a| a.outcome == Some(Outcome::ServerError));
            let anew = match self.design {
                Design::Ours | Design::NoQuarantine => false,
                Design::PostThenRecord => {
                    transfers.clear();
                    open
                }
                Design::OneKeyForEver => open,
                Design::NewKeyOnServerError => open && failed,
            };
            if anew {
                entry.record.state = State::Queued;
            }
        }
        let (record, effects, decision) = step(&entry.record, event).map_err(|_| refused(ErrorCode::Conflict))?;
        entry.record = record;
        entry.version += 1;
        let mut stop = false;
        for effect in effects {
            match effect {
                Effect::PostPaid { transfer, .. } => self.posted.push(transfer),
                Effect::StopRun { .. } => stop = true,
            }
        }
        self.stopped |= stop;
        Ok((decision, stop))
    }

    fn leased(&self, item: &str, fence: i64, now: DateTime<Utc>) -> Result<&Entry, LedgerError> {
        let entry = self.entries.get(item).ok_or_else(|| refused(ErrorCode::NotFound))?;
        let ours = entry.fence == fence && now < entry.leased_until;
        if ours { Ok(entry) } else { Err(refused(ErrorCode::Changed)) }
    }
}

pub(crate) fn refused(code: ErrorCode) -> LedgerError {
    LedgerError::Refused(ErrorBody::new(code, format!("{code:?}")))
}

impl Ledger for World {
    async fn grants(&self) -> Result<Vec<Grant>, LedgerError> {
        let mut inner = self.lock();
        inner.grant_calls += 1;
        if inner.grants.len() > 1 { inner.grants.remove(0) } else { inner.grants[0].clone() }
    }

    async fn claim(&self, _: &str, claim: &ClaimItems) -> Result<Claimed, LedgerError> {
        self.ledger("claim", |inner, now| {
            if inner.stopped {
                return Err(refused(ErrorCode::Conflict));
            }
            let open = inner.entries.values().filter(|e| !e.record.state.is_final()).count();
            let items = inner
                .entries
                .iter_mut()
                .filter(|(_, e)| matches!(e.record.state, State::Queued | State::Sending | State::Unknown))
                .filter(|(_, e)| !e.record.held && e.leased_until <= now)
                .take(claim.limit as usize)
                .map(|(item, e)| {
                    e.fence += 1;
                    e.leased_until = now + TimeDelta::seconds(LEASE_S);
                    ClaimedItem { item: item.clone(), fence: e.fence, version: e.version }
                })
                .collect();
            let queued = inner.entries.values().filter(|e| e.record.state == State::Queued && !e.record.held);
            let open_minor = queued.map(|e| e.record.item.amount_minor).sum();
            let (seal, open) = (Some(inner.seal.clone()), u32::try_from(open).unwrap());
            let mut claimed = Claimed { seal, items, open, open_minor };
            inner.tamper_claim.inspect(|tamper| tamper(&mut claimed));
            claimed.seal.take_if(|seal| claim.has_seal == Some(seal.run_hash()));
            inner.seals += u32::from(claimed.seal.is_some());
            Ok(claimed)
        })
        .await
    }

    async fn observe(&self, item: &str, seen: &Observe) -> Result<Observed, LedgerError> {
        self.ledger("observe", |inner, now| {
            inner.leased(item, seen.fence, now)?;
            let (decision, _) = inner.decide(item, Event::Observed { transfers: seen.transfers.clone(), now })?;
            let version = inner.entries[item].version;
            Ok(match decision {
                Decision::Settled | Decision::None => Observed::Settled,
                Decision::Review => Observed::Review,
                Decision::Send { attempt } => Observed::Send { attempt, version },
            })
        })
        .await
    }

    async fn intent(&self, item: &str, intent: &RecordIntent) -> Result<Intent, LedgerError> {
        let latency = self.lock().intent_latency;
        sleep(latency).await;
        self.ledger("intent", |inner, now| {
            if inner.leased(item, intent.fence, now)?.version != intent.version {
                return Err(refused(ErrorCode::Changed));
            }
            inner.decide(item, Event::Intent { attempt: intent.attempt, now })?;
            inner.intents += 1;
            let record = &inner.entries[item].record;
            let mut recorded =
                Intent { attempt: intent.attempt, key: record.key(intent.attempt), params: record.params() };
            inner.tamper_intent.inspect(|tamper| tamper(&mut recorded));
            Ok(recorded)
        })
        .await
    }

    async fn settle(&self, item: &str, settle: &Settle) -> Result<Settled, LedgerError> {
        self.ledger("settle", |inner, now| {
            let event = Event::Answered { attempt: settle.attempt, answer: settle.answer.clone() };
            let (_, stop) = inner.decide(item, event)?;
            let frees_settled = inner.frees_settled;
            inner.entries.get_mut(item).filter(|_| frees_settled).into_iter().for_each(|e| e.leased_until = now);
            Ok(Settled { state: inner.entries[item].record.state, stop })
        })
        .await
    }

    async fn stop(&self, _: &str, stop: &StopSending) -> Result<(), LedgerError> {
        self.lock().told.push(stop.reason.clone());
        Ok(())
    }
}

impl Transfers for World {
    fn is_live(&self) -> bool {
        false
    }

    async fn standing(&self, _: &str) -> Result<Standing, StripeError> {
        self.lock().standing.clone()
    }

    async fn list(&self, transfer_group: &str) -> Result<Vec<Transfer>, StripeError> {
        let _arrived = self.arrive(false).await;
        let fault = self.fault("list");
        match fault {
            Fault::CrashBefore | Fault::CrashAfter => self.crash().await,
            Fault::LostBefore | Fault::LostAfter | Fault::NotSent | Fault::Frozen(_) => {
                Err(StripeError::Lost { reason: "it was planned".into() })
            }
            Fault::Answer(Answer::Busy) => Err(StripeError::Busy { status: 429 }),
            Fault::Answer(Answer::Unauthorized) => Err(StripeError::Unauthorized),
            Fault::Answer(_) => Err(StripeError::Server { status: 500 }),
            Fault::None | Fault::Lagging | Fault::ServerErrorThenDone(_) | Fault::LostThenDone(_) => {
                let mut inner = self.lock();
                self.catch_up(&mut inner);
                let until = match (fault, inner.lag) {
                    (Fault::Lagging, None) => return Ok(Vec::new()),
                    (Fault::Lagging, Some(lag)) => self.time() - lag,
                    _ => self.time(),
                };
                let group = inner.transfers.iter().filter(|(group, t)| group == transfer_group && t.created <= until);
                Ok(group.map(|(_, transfer)| transfer.clone()).collect())
            }
        }
    }

    async fn create(&self, params: &TransferParams, key: &str, deadline: &Deadline) -> Result<Answer, NotSent> {
        let late = || NotSent { reason: "it is too late".into() };
        if deadline.has_passed() {
            return Err(late());
        }
        let _arrived = self.arrive(true).await;
        let fault = self.fault("create");
        match fault {
            Fault::CrashBefore => return self.crash().await,
            Fault::NotSent => return Err(late()),
            Fault::LostBefore => return Ok(Answer::Lost),
            _ => {}
        }
        let answer = self.execute(params, key, &fault);
        match fault {
            Fault::CrashAfter => self.crash().await,
            Fault::LostAfter | Fault::LostThenDone(_) => Ok(Answer::Lost),
            _ => Ok(answer),
        }
    }
}

impl World {
    /// Stripe's own part: the first answer under a key is kept for 24 hours.
    fn execute(&self, params: &TransferParams, key: &str, fault: &Fault) -> Answer {
        let now = self.time();
        let mut inner = self.lock();
        self.catch_up(&mut inner);
        let key = if inner.design == Design::OneKeyForEver { params.item.as_str() } else { key };
        let record = &inner.entries[&params.item].record;
        let recorded = record.attempts.iter().any(|a| record.key(a.n) == key);
        inner.unrecorded += u32::from(!recorded && inner.design != Design::OneKeyForEver);
        inner.keys.retain(|_, (since, _)| now - *since < TimeDelta::hours(24));
        if let Some((_, kept)) = inner.keys.get(key) {
            return kept.clone();
        }
        let later = |wait: &Duration| now + TimeDelta::from_std(*wait).unwrap();
        let answer = match fault {
            // These come before or beside the layer that keeps answers.
            Fault::Answer(answer @ (Answer::Busy | Answer::Unauthorized | Answer::Lost)) => return answer.clone(),
            Fault::Answer(answer) => answer.clone(),
            Fault::ServerErrorThenDone(wait) => {
                inner.scheduled.push((later(wait), key.into(), params.clone()));
                Answer::ServerError { status: 500 }
            }
            Fault::LostThenDone(wait) => {
                inner.scheduled.push((later(wait), key.into(), params.clone()));
                Answer::Busy
            }
            _ => Answer::Accepted { transfer: inner.carry_out(params, now) },
        };
        inner.keys.insert(key.into(), (now, answer.clone()));
        answer
    }

    /// The server looks at Stripe for an item, as it does once an hour.
    pub(crate) fn look(&self, item: &str) {
        let mut inner = self.lock();
        self.catch_up(&mut inner);
        let its_own = inner.transfers.iter().map(|(_, t)| t).filter(|t| t.item.as_deref() == Some(item));
        let transfers = its_own.cloned().collect();
        let known = inner.decide(item, Event::Observed { transfers, now: self.time() });
        assert!(known.is_ok());
    }

    /// A person says that an item that is with a person was not paid, if that may be said.
    pub(crate) fn says_not_paid(&self, item: &str) -> bool {
        let (mut inner, now) = (self.lock(), self.time());
        if inner.design == Design::NoQuarantine {
            let long_ago = now - TimeDelta::hours(1_000);
            let entry = inner.entries.get_mut(item).unwrap();
            entry.record.nothing = Some(Nothing { since: long_ago, last: now });
        }
        inner.decide(item, Event::Resolved { resolution: Resolution::Again }).is_ok()
    }

    /// The ledger as a backup keeps it.
    pub(crate) fn backup(&self) -> Backup {
        let inner = self.lock();
        Backup { entries: inner.entries.clone(), posted: inner.posted.clone() }
    }

    /// The ledger is what it was; Stripe is what it is. What the ledger has forgotten can only be seen in Stripe's lists, so
    /// from then on they are taken to tell what is older than six hours.
    pub(crate) fn restore(&self, backup: Backup) {
        let mut inner = self.lock();
        (inner.entries, inner.posted) = (backup.entries, backup.posted);
        inner.lag = Some(TimeDelta::hours(6));
    }

    /// Says what must hold at any time, in words when it does not.
    pub(crate) fn broken(&self) -> Option<String> {
        let inner = self.lock();
        if inner.unrecorded > 0 {
            return Some(format!("{} creates without a recorded intent", inner.unrecorded));
        }
        for (item, entry) in &inner.entries {
            let made: Vec<&Transfer> =
                inner.transfers.iter().map(|(_, t)| t).filter(|t| t.item.as_ref() == Some(item)).collect();
            let posted = made.iter().filter(|t| inner.posted.contains(&t.id)).count();
            if made.len() > 1 {
                return Some(format!("{item} was paid {} times: {:?}", made.len(), entry.record));
            }
            let accepted = entry.record.attempts.iter().any(|a| a.outcome == Some(Outcome::Accepted));
            if (entry.record.state == State::Paid || accepted) && (made.is_empty() || posted != 1) {
                return Some(format!("{item} is recorded as paid: {made:?}, {posted} posted, {:?}", entry.record));
            }
        }
        None
    }
}

/// The world's time, and chance that is always the same.
pub(crate) struct WorldClock {
    pub(crate) world: World,
    /// How much the clock of this computer is ahead.
    pub(crate) ahead: TimeDelta,
}

impl Clock for WorldClock {
    fn now(&self) -> DateTime<Utc> {
        self.world.time() + self.ahead
    }

    fn random(&self) -> u64 {
        4_711
    }
}
