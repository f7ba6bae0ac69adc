use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{REPLAY_WINDOW_H, SealedItem};

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is on its way.
    Queued,
    /// An intent is recorded and its answer awaited.
    Sending,
    /// It was sent and the outcome is not known.
    Unknown,
    /// A person must look; never sent from here.
    Review,
    /// Stripe has the transfer.
    Paid,
    /// Closed without a payment.
    Void,
}

impl State {
    /// Nothing more will happen to it.
    pub fn is_final(self) -> bool {
        matches!(self, State::Paid | State::Void)
    }

    /// The name in the database and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Unknown => "unknown",
            State::Review => "review",
            State::Paid => "paid",
            State::Void => "void",
        }
    }
}

/// The record of one payment, as the API keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was approved.
    pub item: SealedItem,
    /// `test` or `live`.
    pub environment: String,
    /// What the transfer is called at Stripe.
    pub description: String,
    /// Where it stands.
    pub state: State,
    /// Every attempt, the oldest first.
    pub attempts: Vec<Attempt>,
    /// Stripe's transfer, once paid.
    pub transfer: Option<String>,
    /// When Stripe made it.
    pub paid_at: Option<DateTime<Utc>>,
    /// What Stripe or a check last said against it.
    pub problem: Option<String>,
    /// Not handed out until the problem is solved.
    pub held: bool,
}

/// One attempt: a key, frozen parameters, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub n: i64,
    /// First send.
    pub first_sent_at: DateTime<Utc>,
    /// Newest send.
    pub last_sent_at: DateTime<Utc>,
    /// What came of it, as far as it is known.
    pub outcome: Option<Outcome>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Stripe has the transfer.
    Accepted,
    /// A definite refusal: nothing moved for this key, and nothing ever will.
    Refused,
    /// No usable answer; the same key may be sent again within the window.
    Lost,
    /// A 5xx: it may still be carried out, and its key replays the failure.
    ServerError,
}

/// Parameters of a transfer; frozen with the seal, so that every resend of an attempt is the same request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TransferParams {
    /// Minor units.
    pub amount_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Connected account.
    pub destination: String,
    /// `aikit:{environment}:{item}`: how a transfer is found again.
    pub transfer_group: String,
    /// Shown in Stripe's dashboard.
    pub description: String,
    /// `metadata.item`.
    pub item: String,
}

/// A transfer as Stripe shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Transfer {
    /// `tr_…`.
    pub id: String,
    /// When Stripe made it.
    pub created: DateTime<Utc>,
    /// Minor units.
    pub amount_minor: i64,
    /// Of which reversed.
    pub amount_reversed_minor: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Connected account.
    pub destination: String,
    /// `metadata.item`.
    pub item: Option<String>,
}

/// What Stripe answered to a send, sorted by what it means for the money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// 2xx with a readable transfer.
    Accepted {
        /// The transfer.
        transfer: Transfer,
    },
    /// 400, 402, 403 or 404: nothing moved for this key.
    Refused {
        /// Stripe's error code, or its type where it has none.
        code: String,
        /// Stripe's message.
        message: String,
    },
    /// 401: the key is not accepted.
    Unauthorized,
    /// `idempotency_error`: this key was used with other parameters.
    KeyMisused,
    /// 409 or 429: try later with the same key.
    Busy,
    /// Timeout, reset, or a body that cannot be read.
    Lost,
    /// 5xx.
    ServerError {
        /// The status.
        status: u16,
    },
}

/// Something that was learned about a payment.
#[derive(Clone, Debug)]
pub enum Event {
    /// All transfers of its group, as Stripe lists them.
    Observed {
        /// They.
        transfers: Vec<Transfer>,
        /// The API's time.
        now: DateTime<Utc>,
    },
    /// The executor is about to send this attempt.
    Intent {
        /// Its number.
        attempt: i64,
        /// The API's time.
        now: DateTime<Utc>,
    },
    /// Stripe answered this attempt.
    Answered {
        /// Its number.
        attempt: i64,
        /// The answer.
        answer: Answer,
    },
}

/// What the caller must do beside storing the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Post the `payout_paid` fact in the same batch.
    PostPaid {
        /// Stripe's transfer.
        transfer: String,
        /// Its `created`.
        at: DateTime<Utc>,
    },
    /// Do not go on with the run: no further item can succeed.
    StopRun {
        /// Why.
        reason: String,
    },
}

/// What an executor is told after it looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing to send: it is settled.
    Settled,
    /// Nothing to send: a person must look.
    Review,
    /// Send this attempt.
    Send {
        /// Its number.
        attempt: i64,
    },
    /// Nothing to decide (after an intent or an answer).
    None,
}

/// Why an event cannot happen to a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The intent is not for the attempt that was decided.
    #[error("attempt {attempt} of item {item} may not be sent: the next one is {expected}")]
    WrongAttempt {
        /// The item.
        item: String,
        /// What was asked.
        attempt: i64,
        /// What would be right; 0 when nothing may be sent.
        expected: i64,
    },
    /// The answer is for an attempt that was never sent.
    #[error("item {item} has no attempt {attempt}")]
    UnknownAttempt {
        /// The item.
        item: String,
        /// What was said.
        attempt: i64,
    },
}

/// What the record becomes, what must be done with it, and what the executor is told.
///
/// # Errors
/// An event that cannot happen to this record is refused, and nothing changes.
pub fn step(record: &Record, event: Event) -> Result<(Record, Vec<Effect>, Decision), Refusal> {
    match event {
        Event::Observed { transfers, now } => Ok(observed(record.clone(), &transfers, now)),
        Event::Intent { attempt, now } => intent(record.clone(), attempt, now),
        Event::Answered { attempt, answer } => answered(record.clone(), attempt, answer),
    }
}

impl Record {
    /// The request of every attempt of this item.
    pub fn params(&self) -> TransferParams {
        TransferParams {
            amount_minor: self.item.amount_minor,
            currency: self.item.currency.clone(),
            destination: self.item.destination.clone(),
            transfer_group: format!("aikit:{}:{}", self.environment, self.item.item),
            description: self.description.clone(),
            item: self.item.item.clone(),
        }
    }

    /// Idempotency key of an attempt.
    pub fn key(&self, attempt: i64) -> String {
        format!("aikit-{}-po-{}-{attempt}", self.environment, self.item.item)
    }

    fn is_ours(&self, t: &Transfer) -> bool {
        t.item.as_deref() == Some(&self.item.item)
            && t.amount_minor == self.item.amount_minor
            && t.currency == self.item.currency
            && t.destination == self.item.destination
            && t.amount_reversed_minor == 0
    }

    /// The attempt to send next, if nothing of this item is at Stripe.
    fn next_attempt(&self, now: DateTime<Utc>) -> Option<i64> {
        let last = self.attempts.last();
        match self.state {
            State::Queued => Some(last.map_or(1, |a| a.n + 1)),
            State::Sending | State::Unknown => last
                .filter(|a| a.outcome != Some(Outcome::ServerError))
                .filter(|a| now - a.first_sent_at < TimeDelta::hours(REPLAY_WINDOW_H))
                .map(|a| a.n),
            State::Review | State::Paid | State::Void => None,
        }
    }

    fn settle(mut self, transfer: &Transfer) -> (Record, Vec<Effect>) {
        self.state = State::Paid;
        self.transfer = Some(transfer.id.clone());
        self.paid_at = Some(transfer.created);
        self.problem = None;
        let effect = Effect::PostPaid { transfer: transfer.id.clone(), at: transfer.created };
        (self, vec![effect])
    }

    fn review(mut self, problem: String) -> Record {
        self.state = State::Review;
        self.problem = Some(problem);
        self
    }
}

fn observed(record: Record, transfers: &[Transfer], now: DateTime<Utc>) -> (Record, Vec<Effect>, Decision) {
    if record.state.is_final() {
        return (record, Vec::new(), Decision::Settled);
    }
    match transfers {
        [one] if record.is_ours(one) => {
            let (record, effects) = record.settle(one);
            (record, effects, Decision::Settled)
        }
        [] if record.state == State::Review => (record, Vec::new(), Decision::Review),
        [] => match record.next_attempt(now) {
            Some(attempt) => (record, Vec::new(), Decision::Send { attempt }),
            None => {
                let problem =
                    "It was sent, the outcome is not known, and sending the same request again is no longer safe.";
                (record.review(problem.into()), Vec::new(), Decision::Review)
            }
        },
        several => {
            let ids: Vec<&str> = several.iter().map(|t| t.id.as_str()).collect();
            let problem = format!("Stripe lists transfers that do not match this payment: {}.", ids.join(", "));
            (record.review(problem), Vec::new(), Decision::Review)
        }
    }
}

fn intent(mut record: Record, attempt: i64, now: DateTime<Utc>) -> Result<(Record, Vec<Effect>, Decision), Refusal> {
    let expected = record.next_attempt(now).unwrap_or(0);
    if attempt != expected || expected == 0 {
        return Err(Refusal::WrongAttempt { item: record.item.item, attempt, expected });
    }
    match record.attempts.iter_mut().find(|a| a.n == attempt) {
        Some(again) => again.last_sent_at = now,
        None => record.attempts.push(Attempt { n: attempt, first_sent_at: now, last_sent_at: now, outcome: None }),
    }
    record.state = State::Sending;
    Ok((record, Vec::new(), Decision::None))
}

fn answered(mut record: Record, attempt: i64, answer: Answer) -> Result<(Record, Vec<Effect>, Decision), Refusal> {
    let Some(position) = record.attempts.iter().position(|a| a.n == attempt) else {
        return Err(Refusal::UnknownAttempt { item: record.item.item, attempt });
    };
    let newest = position + 1 == record.attempts.len();
    if record.state.is_final() || (!newest && !matches!(answer, Answer::Accepted { .. })) {
        return Ok((record, Vec::new(), Decision::None));
    }
    let mut effects = Vec::new();
    let (outcome, mut record) = match answer {
        Answer::Accepted { transfer } if record.is_ours(&transfer) => {
            let (record, posted) = record.settle(&transfer);
            effects = posted;
            (Outcome::Accepted, record)
        }
        Answer::Accepted { transfer } => {
            let problem = format!("Stripe made {} but it does not match what was approved.", transfer.id);
            (Outcome::Accepted, record.review(problem))
        }
        Answer::Refused { code, message } => {
            record.state = State::Queued;
            record.problem = Some(format!("Stripe refused it: {message}"));
            if code == "balance_insufficient" {
                effects.push(Effect::StopRun {
                    reason: "The balance at Stripe does not cover the rest of this run.".into(),
                });
            } else {
                record.held = true;
            }
            (Outcome::Refused, record)
        }
        Answer::Unauthorized => {
            record.state = State::Unknown;
            record.problem = Some("Stripe did not accept the key of the executor.".into());
            effects.push(Effect::StopRun { reason: "Stripe did not accept the key of the executor.".into() });
            (Outcome::Lost, record)
        }
        Answer::KeyMisused => {
            let problem = "Stripe knows this key with other parameters; nothing says what moved.";
            (Outcome::Lost, record.review(problem.into()))
        }
        Answer::Busy | Answer::Lost => {
            record.state = State::Unknown;
            record.problem = Some("No usable answer from Stripe yet.".into());
            (Outcome::Lost, record)
        }
        Answer::ServerError { status } => {
            record.state = State::Unknown;
            record.problem = Some(format!("Stripe answered {status}; it may still carry the transfer out."));
            (Outcome::ServerError, record)
        }
    };
    if let Some(a) = record.attempts.get_mut(position) {
        a.outcome = Some(outcome);
    }
    Ok((record, effects, Decision::None))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEM: &str = "run_1:PARTNER_A";

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn queued() -> Record {
        Record {
            item: SealedItem {
                item: ITEM.into(),
                partner: "PARTNER_A".into(),
                amount_minor: 12_300,
                currency: "usd".into(),
                destination: "acct_1".into(),
                digest: "d".into(),
            },
            environment: "test".into(),
            description: "AIKit partner commission 2026-10".into(),
            state: State::Queued,
            attempts: Vec::new(),
            transfer: None,
            paid_at: None,
            problem: None,
            held: false,
        }
    }

    fn transfer(id: &str) -> Transfer {
        Transfer {
            id: id.into(),
            created: at(1),
            amount_minor: 12_300,
            amount_reversed_minor: 0,
            currency: "usd".into(),
            destination: "acct_1".into(),
            item: Some(ITEM.into()),
        }
    }

    /// What the executor is told when it looks and Stripe lists nothing.
    fn look(record: &Record, now: DateTime<Utc>) -> (Record, Decision) {
        let (record, _, decision) = step(record, Event::Observed { transfers: Vec::new(), now }).unwrap();
        (record, decision)
    }

    fn sent_with(answer: Answer) -> (Record, Vec<Effect>) {
        let (record, _, _) = step(&queued(), Event::Intent { attempt: 1, now: at(0) }).unwrap();
        let (record, effects, _) = step(&record, Event::Answered { attempt: 1, answer }).unwrap();
        (record, effects)
    }

    /// The table of answers: state, attempt to send at the next look (0: none), does it stop the run.
    #[test]
    fn every_answer_has_its_place() {
        let refused = |code: &str| Answer::Refused { code: code.into(), message: "no".into() };
        let wrong = Transfer { amount_minor: 1, ..transfer("tr_x") };
        let table = [
            (Answer::Accepted { transfer: transfer("tr_1") }, State::Paid, 0, false),
            (Answer::Accepted { transfer: wrong }, State::Review, 0, false),
            (refused("account_invalid"), State::Queued, 2, false),
            (refused("balance_insufficient"), State::Queued, 2, true),
            (Answer::Unauthorized, State::Unknown, 1, true),
            (Answer::KeyMisused, State::Review, 0, false),
            (Answer::Busy, State::Unknown, 1, false),
            (Answer::Lost, State::Unknown, 1, false),
            (Answer::ServerError { status: 500 }, State::Unknown, 0, false),
        ];
        for (answer, state, next, stops) in table {
            let (record, effects) = sent_with(answer.clone());
            assert_eq!(record.state, state, "{answer:?}");
            assert_eq!(effects.iter().any(|e| matches!(e, Effect::StopRun { .. })), stops, "{answer:?}");
            let sends = match look(&record, at(5)).1 {
                Decision::Send { attempt } => attempt,
                _ => 0,
            };
            assert_eq!(sends, next, "{answer:?}");
        }
    }

    #[test]
    fn paid_once_posts_once() {
        let (paid, effects) = sent_with(Answer::Accepted { transfer: transfer("tr_1") });
        assert_eq!(effects, [Effect::PostPaid { transfer: "tr_1".into(), at: at(1) }]);
        let repeated = Event::Answered { attempt: 1, answer: Answer::Accepted { transfer: transfer("tr_1") } };
        let (again, effects, _) = step(&paid, repeated).unwrap();
        assert_eq!((again, effects), (paid.clone(), Vec::new()));
        assert!(step(&paid, Event::Intent { attempt: 2, now: at(9) }).is_err());
    }

    #[test]
    fn a_lost_answer_is_found_again_by_its_transfer() {
        let (record, _) = sent_with(Answer::Lost);
        let listed = Event::Observed { transfers: vec![transfer("tr_1")], now: at(5) };
        let (record, effects, decision) = step(&record, listed).unwrap();
        assert_eq!((record.state, decision), (State::Paid, Decision::Settled));
        assert_eq!(effects.len(), 1);
    }

    #[test]
    fn two_transfers_or_a_foreign_one_are_for_a_person() {
        let foreign = Transfer { item: None, ..transfer("tr_2") };
        let reversed = Transfer { amount_reversed_minor: 1, ..transfer("tr_3") };
        for transfers in [vec![transfer("tr_1"), transfer("tr_2")], vec![foreign], vec![reversed]] {
            let (record, effects, decision) = step(&queued(), Event::Observed { transfers, now: at(0) }).unwrap();
            assert_eq!((record.state, decision, effects.len()), (State::Review, Decision::Review, 0));
        }
    }

    #[test]
    fn past_the_replay_window_the_same_key_is_not_sent_again() {
        let (record, _) = sent_with(Answer::Lost);
        let edge = at(0) + TimeDelta::hours(REPLAY_WINDOW_H);
        assert_eq!(look(&record, edge - TimeDelta::seconds(1)).1, Decision::Send { attempt: 1 });
        let (record, decision) = look(&record, edge);
        assert_eq!((record.state, decision), (State::Review, Decision::Review));
        assert!(step(&record, Event::Intent { attempt: 1, now: edge }).is_err());
    }

    #[test]
    fn a_resend_has_the_same_key_and_request() {
        let (record, _) = sent_with(Answer::Busy);
        let (again, _, _) = step(&record, Event::Intent { attempt: 1, now: at(3) }).unwrap();
        assert_eq!(again.attempts.len(), 1);
        assert_eq!((again.key(1), again.params()), (record.key(1), record.params()));
        assert_eq!(again.key(1), "aikit-test-po-run_1:PARTNER_A-1");
    }
}
