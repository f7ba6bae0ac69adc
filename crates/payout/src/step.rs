use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::record::{Attempt, Outcome, Record, State, Transfer};
use crate::resolve::{Resolution, resolved};

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
    /// Stripe says by itself that it made a transfer; perhaps not the only one.
    Told {
        /// It.
        transfer: Transfer,
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
    /// A person has decided about a payment that is with a person.
    Resolved {
        /// How.
        resolution: Resolution,
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
    /// Nothing is with a person.
    #[error("item {item} is {state}: nothing waits for a person to decide")]
    NotWithAPerson {
        /// The item.
        item: String,
        /// Where it stands.
        state: &'static str,
    },
    /// Nobody can know yet that it was not paid.
    #[error("{why}")]
    TooEarly {
        /// The item.
        item: String,
        /// Why, and what to do, in sentences.
        why: String,
    },
    /// The transfer that is said to pay it does not.
    #[error("{transfer} does not pay item {item}: {why}")]
    AnotherTransfer {
        /// The item.
        item: String,
        /// The transfer.
        transfer: String,
        /// Why not.
        why: String,
    },
}

/// What the record becomes, what must be done with it, and what the executor is told.
///
/// # Errors
/// An event that cannot happen to this record is refused, and nothing changes.
pub fn step(record: &Record, event: Event) -> Result<(Record, Vec<Effect>, Decision), Refusal> {
    match event {
        Event::Observed { transfers, now } => Ok(observed(record.clone(), &transfers, now)),
        Event::Told { transfer } => Ok(told(record.clone(), &transfer)),
        Event::Intent { attempt, now } => intent(record.clone(), attempt, now),
        Event::Answered { attempt, answer } => answered(record.clone(), attempt, answer),
        Event::Resolved { resolution } => {
            resolved(record.clone(), resolution).map(|(record, effects)| (record, effects, Decision::None))
        }
    }
}

fn observed(mut record: Record, transfers: &[Transfer], now: DateTime<Utc>) -> (Record, Vec<Effect>, Decision) {
    if record.state.is_final() {
        return (record, Vec::new(), Decision::Settled);
    }
    let live: Vec<&Transfer> = transfers.iter().filter(|t| t.amount_reversed_minor < t.amount_minor).collect();
    if live.is_empty() {
        record.found_nothing(now);
    } else {
        record.nothing = None;
    }
    if let [one] = live.as_slice()
        && record.is_ours(one)
    {
        let (record, effects) = record.settle(one);
        return (record, effects, Decision::Settled);
    }
    if !transfers.is_empty() {
        let ids: Vec<&str> = transfers.iter().map(|t| t.id.as_str()).collect();
        let ids = ids.join(", ");
        let problem = if live.is_empty() {
            format!("What Stripe transferred for it was reversed whole: {ids}.")
        } else {
            format!("Stripe lists transfers that do not match this payment: {ids}.")
        };
        return (record.review(problem), Vec::new(), Decision::Review);
    }
    let decision = match (record.state, record.next_attempt(now)) {
        (State::Review, _) => Decision::Review,
        (_, Some(attempt)) => Decision::Send { attempt },
        (_, None) => {
            let problem =
                "It was sent, the outcome is not known, and sending the same request again is no longer safe.";
            record = record.review(problem.into());
            Decision::Review
        }
    };
    (record, Vec::new(), decision)
}

/// Settles what is open, if it is this payment; whatever else it may mean, the next look sees.
fn told(record: Record, transfer: &Transfer) -> (Record, Vec<Effect>, Decision) {
    if record.state.is_final() || !record.is_ours(transfer) {
        return (record, Vec::new(), Decision::None);
    }
    let (record, effects) = record.settle(transfer);
    (record, effects, Decision::Settled)
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
    record.nothing = None;
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
    use chrono::TimeDelta;

    use super::*;
    use crate::{REPLAY_WINDOW_H, SealedItem};

    const ITEM: &str = "run_1:PARTNER_A";

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn queued() -> Record {
        Record::new(
            SealedItem {
                item: ITEM.into(),
                partner: "PARTNER_A".into(),
                amount_minor: 12_300,
                currency: "usd".into(),
                destination: "acct_1".into(),
                digest: "d".into(),
            },
            "test".into(),
            "AIKit partner commission 2026-10".into(),
        )
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
    fn what_stripe_tells_settles_what_it_pays_and_changes_nothing_else() {
        let (record, _) = sent_with(Answer::ServerError { status: 500 });
        let told = |record: &Record, transfer| step(record, Event::Told { transfer }).unwrap();
        let (paid, effects, _) = told(&record, transfer("tr_1"));
        assert_eq!((paid.state, effects.len()), (State::Paid, 1));
        assert_eq!(told(&paid, transfer("tr_2")), (paid.clone(), Vec::new(), Decision::None));
        let other = Transfer { amount_minor: 1, ..transfer("tr_1") };
        assert_eq!(told(&record, other), (record.clone(), Vec::new(), Decision::None));
    }

    #[test]
    fn two_transfers_or_a_foreign_one_are_for_a_person() {
        let foreign = Transfer { item: None, ..transfer("tr_2") };
        let reversed = Transfer { amount_reversed_minor: 1, ..transfer("tr_3") };
        let whole = Transfer { amount_reversed_minor: 12_300, ..transfer("tr_4") };
        for transfers in [vec![transfer("tr_1"), transfer("tr_2")], vec![foreign], vec![reversed], vec![whole.clone()]]
        {
            let (record, effects, decision) = step(&queued(), Event::Observed { transfers, now: at(0) }).unwrap();
            assert_eq!((record.state, decision, effects.len()), (State::Review, Decision::Review, 0));
        }
        // What was reversed whole pays nothing, and does not stand in the way of the one that does.
        let observed = Event::Observed { transfers: vec![whole, transfer("tr_1")], now: at(0) };
        assert_eq!(step(&queued(), observed).unwrap().0.transfer.as_deref(), Some("tr_1"));
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
