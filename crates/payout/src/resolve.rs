use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{Effect, LOOKS_APART_H, QUARANTINE_H, Record, Refusal, State, Transfer};

/// What a person decides about a payment that is with a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// This transfer pays it, as Stripe itself shows it.
    Found(Transfer),
    /// It was not paid: a new attempt, with a key of its own.
    Again,
    /// It was not paid, and is not paid by this run; who says so and why, in a sentence.
    Void(String),
}

impl Record {
    /// From when on a person may say that it was not paid, if the next look finds nothing either. `None` where nothing
    /// says yet that nothing is there.
    pub fn not_paid_from(&self) -> Option<DateTime<Utc>> {
        let nothing = self.nothing?;
        // Where no request is recorded the records may have forgotten one: the looks themselves wait that long.
        let apart_h = if self.attempts.is_empty() { QUARANTINE_H } else { LOOKS_APART_H };
        Some(nothing.since + TimeDelta::hours(apart_h))
    }

    /// Why nobody may say yet that it was not paid, and what to do; `None` where one may.
    pub fn not_yet(&self) -> Option<String> {
        let in_words = |at: DateTime<Utc>| at.format("%-d %B %Y, %H:%M UTC");
        match (self.nothing, self.not_paid_from(), self.quarantine_until()) {
            (Some(nothing), Some(from), _) if nothing.last >= from => None,
            (_, Some(from), _) => Some(format!(
                "Stripe had no transfer of it once. Look again after {}: it takes two looks.",
                in_words(from)
            )),
            (_, _, Some(until)) => Some(format!(
                "Until {} Stripe may still carry out what was sent; two looks at Stripe after that must find nothing.",
                in_words(until)
            )),
            (_, _, None) => Some("No look at Stripe has found nothing yet: look at it.".into()),
        }
    }

    /// Why a transfer is not the payment of this record; `None` where it is.
    fn is_another(&self, transfer: &Transfer) -> Option<String> {
        let item = &self.item;
        if transfer.item.as_ref().is_some_and(|of| *of != item.item) {
            Some("it is for another payment".into())
        } else if (transfer.amount_minor, &transfer.currency) != (item.amount_minor, &item.currency) {
            Some("its amount is not what was approved".into())
        } else if transfer.destination != item.destination {
            Some(format!("it went to {} and {} was approved", transfer.destination, item.destination))
        } else if transfer.amount_reversed_minor >= transfer.amount_minor {
            Some("it was reversed whole".into())
        } else if transfer.item.is_none() && transfer.amount_reversed_minor > 0 {
            Some("a part of it was reversed, and it does not say which payment it is for".into())
        } else {
            None
        }
    }
}

/// What a person's decision makes of a record.
pub(crate) fn resolved(record: Record, resolution: Resolution) -> Result<(Record, Vec<Effect>), Refusal> {
    let item = record.item.item.clone();
    if record.state != State::Review {
        return Err(Refusal::NotWithAPerson { item, state: record.state.name() });
    }
    let not_paid = |to: State, problem: Option<String>| {
        if let Some(why) = record.not_yet() {
            return Err(Refusal::TooEarly { item: item.clone(), why });
        }
        Ok((Record { state: to, problem, held: false, nothing: None, ..record.clone() }, Vec::new()))
    };
    match resolution {
        Resolution::Found(transfer) => match record.is_another(&transfer) {
            Some(why) => Err(Refusal::AnotherTransfer { item, transfer: transfer.id, why }),
            None => Ok(record.settle(&transfer)),
        },
        Resolution::Again => not_paid(State::Queued, None),
        Resolution::Void(why) => not_paid(State::Void, Some(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Event, SealedItem, step};

    const HOUR: TimeDelta = TimeDelta::hours(1);

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + HOUR * i32::try_from(hours).unwrap()
    }

    fn transfer() -> Transfer {
        Transfer {
            id: "tr_1".into(),
            created: at(1),
            amount_minor: 12_300,
            amount_reversed_minor: 0,
            currency: "usd".into(),
            destination: "acct_1".into(),
            item: None,
        }
    }

    fn queued() -> Record {
        Record::new(
            SealedItem {
                item: "run_1:A".into(),
                partner: "A".into(),
                amount_minor: 12_300,
                currency: "usd".into(),
                destination: "acct_1".into(),
                digest: "d".into(),
            },
            "test".into(),
            "AIKit partner commission 2026-10".into(),
        )
    }

    fn learn(record: &Record, event: Event) -> Record {
        step(record, event).unwrap().0
    }

    fn look(record: &Record, hours: i64, transfers: &[Transfer]) -> Record {
        learn(record, Event::Observed { transfers: transfers.to_vec(), now: at(hours) })
    }

    /// Sent at the hour 0, answered by a 500, and with a person since the hour 1.
    fn with_a_person() -> Record {
        let sent = learn(&queued(), Event::Intent { attempt: 1, now: at(0) });
        let failed = learn(&sent, Event::Answered { attempt: 1, answer: Answer::ServerError { status: 500 } });
        let record = look(&failed, 1, &[]);
        assert_eq!(record.state, State::Review);
        record
    }

    fn resolve(record: &Record, resolution: Resolution) -> Result<Record, Refusal> {
        step(record, Event::Resolved { resolution }).map(|(record, ..)| record)
    }

    #[test]
    fn not_paid_takes_the_quarantine_and_two_looks_an_hour_apart() {
        // The hours of looks that find nothing, and whether a person may say that it was not paid then.
        let table: [(&[i64], bool); 7] = [
            (&[], false),
            (&[2, 50, 95], false),
            (&[96], false),
            (&[95, 96], false),
            (&[96, 96], false),
            (&[96, 97], true),
            (&[2, 200, 300], true),
        ];
        for (hours, may) in table {
            let record = hours.iter().fold(with_a_person(), |record, hours| look(&record, *hours, &[]));
            assert_eq!(record.not_yet().is_none(), may, "{hours:?}: {:?}", record.not_yet());
            for (resolution, state) in
                [(Resolution::Again, State::Queued), (Resolution::Void("No.".into()), State::Void)]
            {
                match resolve(&record, resolution) {
                    Ok(after) => assert!(
                        may && after.state == state && after.problem.is_some() == (state == State::Void),
                        "{hours:?}"
                    ),
                    Err(refusal) => assert!(!may && matches!(refusal, Refusal::TooEarly { .. }), "{hours:?}"),
                }
            }
        }
    }

    #[test]
    fn a_transfer_that_is_seen_makes_the_looks_before_it_worthless() {
        let record = look(&look(&with_a_person(), 96, &[]), 97, &[Transfer { amount_minor: 1, ..transfer() }]);
        assert_eq!((record.state, record.nothing), (State::Review, None));
        assert!(resolve(&record, Resolution::Again).is_err());
        // It is reversed whole: nothing pays it any more.
        let reversed = Transfer { amount_minor: 1, amount_reversed_minor: 1, ..transfer() };
        let record = look(&look(&record, 98, std::slice::from_ref(&reversed)), 99, &[reversed]);
        assert_eq!(resolve(&record, Resolution::Void("No.".into())).unwrap().state, State::Void);
    }

    #[test]
    fn a_new_attempt_has_a_key_of_its_own_and_begins_the_quarantine_anew() {
        let record = look(&look(&with_a_person(), 96, &[]), 97, &[]);
        let again = resolve(&record, Resolution::Again).unwrap();
        let sent = learn(&again, Event::Intent { attempt: 2, now: at(98) });
        assert_ne!(sent.key(2), sent.key(1));
        assert_eq!((sent.quarantine_until(), sent.nothing), (Some(at(98 + QUARANTINE_H)), None));
        // The answer to the first attempt that comes after all is money that moved.
        let late = Transfer { item: Some("run_1:A".into()), ..transfer() };
        let paid = learn(&sent, Event::Answered { attempt: 1, answer: Answer::Accepted { transfer: late } });
        assert_eq!(paid.state, State::Paid);
    }

    #[test]
    fn where_no_request_is_recorded_the_looks_are_as_far_apart_as_the_quarantine() {
        let foreign = Transfer { destination: "acct_2".into(), ..transfer() };
        let reversed = Transfer { amount_reversed_minor: 12_300, ..foreign.clone() };
        let record = look(&look(&queued(), 0, &[foreign]), 5, std::slice::from_ref(&reversed));
        let near = look(&record, 5 + QUARANTINE_H - 1, std::slice::from_ref(&reversed));
        assert!(resolve(&near, Resolution::Again).is_err());
        let far = look(&near, 5 + QUARANTINE_H, &[reversed]);
        assert_eq!(resolve(&far, Resolution::Again).unwrap().state, State::Queued);
    }

    #[test]
    fn a_found_transfer_is_proof_at_any_time_if_it_is_what_was_approved() {
        let record = with_a_person();
        let (paid, effects, _) = step(&record, Event::Resolved { resolution: Resolution::Found(transfer()) }).unwrap();
        assert_eq!((paid.state, paid.transfer.as_deref()), (State::Paid, Some("tr_1")));
        assert_eq!(effects, [Effect::PostPaid { transfer: "tr_1".into(), at: at(1) }]);
        let wrong = [
            Transfer { item: Some("run_1:B".into()), ..transfer() },
            Transfer { amount_minor: 12_299, ..transfer() },
            Transfer { currency: "eur".into(), ..transfer() },
            Transfer { destination: "acct_2".into(), ..transfer() },
            Transfer { amount_reversed_minor: 12_300, ..transfer() },
            Transfer { amount_reversed_minor: 1, ..transfer() },
        ];
        for transfer in wrong {
            let refusal = resolve(&record, Resolution::Found(transfer.clone())).unwrap_err();
            assert!(matches!(refusal, Refusal::AnotherTransfer { .. }), "{transfer:?}");
        }
    }

    #[test]
    fn only_what_is_with_a_person_is_resolved() {
        let paid = resolve(&with_a_person(), Resolution::Found(transfer())).unwrap();
        for record in [queued(), learn(&queued(), Event::Intent { attempt: 1, now: at(0) }), paid] {
            for resolution in [Resolution::Found(transfer()), Resolution::Again, Resolution::Void("No.".into())] {
                let refusal = resolve(&record, resolution).unwrap_err();
                assert!(matches!(refusal, Refusal::NotWithAPerson { .. }), "{refusal}");
            }
        }
    }
}
