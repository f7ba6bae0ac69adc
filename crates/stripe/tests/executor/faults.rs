//! What goes wrong with calls, and every way in which so many of them can.

use std::time::Duration;

use payout::Answer;

/// What goes wrong with one call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    None,
    /// It is not done, and the caller gets no answer.
    LostBefore,
    /// It is done, and the caller gets no answer.
    LostAfter,
    /// The caller's process ends before it is done.
    CrashBefore,
    /// The caller's process ends when it is done.
    CrashAfter,
    /// Stripe answers this, without doing anything, and keeps the answer under the key where it would.
    Answer(Answer),
    /// Stripe answers 500, and carries it out so much later.
    ServerErrorThenDone(Duration),
    /// The connection breaks, and Stripe carries it out so much later; until then the key is in use.
    LostThenDone(Duration),
    /// A list without anything; once a database was restored, without what is new.
    Lagging,
    /// No byte leaves the computer.
    NotSent,
    /// It is done, and the caller's process stands still for so long before it goes on.
    Frozen(Duration),
}

/// Goes through every way in which so many calls can fail: each history is a path of choices, and the next one differs from
/// it in the last choice that has another option.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chooser {
    path: Vec<(usize, usize)>,
    at: usize,
    /// Calls that fail in a history, at most.
    most: usize,
    failed: usize,
}

impl Chooser {
    /// The first history, in which nothing fails, of those in which at most so many calls do.
    pub(crate) fn first(most: usize) -> Chooser {
        Chooser { most, ..Chooser::default() }
    }

    /// One of so many options.
    pub(crate) fn choose(&mut self, options: usize) -> usize {
        if self.at == self.path.len() {
            self.path.push((0, options));
        }
        let (chosen, _) = self.path[self.at];
        self.at += 1;
        chosen
    }

    /// The next history, if there is one.
    pub(crate) fn next(mut self) -> Option<Chooser> {
        while self.path.last().is_some_and(|(chosen, options)| chosen + 1 == *options) {
            self.path.pop();
        }
        self.path.last_mut()?.0 += 1;
        Some(Chooser { at: 0, failed: 0, ..self })
    }

    pub(crate) fn fault(&mut self, call: &str) -> Fault {
        if self.failed == self.most {
            return Fault::None;
        }
        let options = faults_of(call);
        let chosen = self.choose(options.len());
        self.failed += usize::from(chosen > 0);
        options[chosen].clone()
    }

    /// Whether anything has failed so far.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed > 0
    }
}

/// Everything that can happen to a call; nothing first.
fn faults_of(call: &str) -> Vec<Fault> {
    let hour = Duration::from_secs(3_600);
    let refused = |code: &str| Fault::Answer(Answer::Refused { code: code.into(), message: "No.".into() });
    match call {
        "list" => vec![
            Fault::None,
            Fault::Lagging,
            Fault::CrashBefore,
            Fault::NotSent,
            Fault::Answer(Answer::Busy),
            Fault::Answer(Answer::Unauthorized),
        ],
        "create" => vec![
            Fault::None,
            Fault::CrashBefore,
            Fault::CrashAfter,
            Fault::LostBefore,
            Fault::LostAfter,
            Fault::NotSent,
            refused("account_invalid"),
            refused("balance_insufficient"),
            Fault::Answer(Answer::Busy),
            Fault::Answer(Answer::Unauthorized),
            Fault::Answer(Answer::KeyMisused),
            Fault::Answer(Answer::ServerError { status: 500 }),
            Fault::ServerErrorThenDone(hour / 60),
            Fault::ServerErrorThenDone(hour),
            Fault::ServerErrorThenDone(30 * hour),
            Fault::ServerErrorThenDone(90 * hour),
            Fault::LostThenDone(hour / 60),
            Fault::LostThenDone(hour),
        ],
        "intent" => vec![
            Fault::None,
            Fault::LostBefore,
            Fault::LostAfter,
            Fault::CrashBefore,
            Fault::CrashAfter,
            Fault::Frozen(Duration::from_secs(31)),
            Fault::Frozen(hour),
        ],
        _ => vec![Fault::None, Fault::LostBefore, Fault::LostAfter, Fault::CrashBefore, Fault::CrashAfter],
    }
}
