//! The network between a computer and the API: requests and replies get lost or come twice, others write in between, and the
//! computer crashes.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use chrono::{DateTime, TimeDelta, Utc};
use wire::{PullQuery, Pulled, Push, Pushed, Pushing};

use super::{Records, World};
use crate::api::{Away, Failure};
use crate::sync::keeper::Keeper;
use crate::sync::pull::Remote;
use crate::sync::tests::town::OURS;

/// The way of one computer to the API.
pub(super) struct Line<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) devices: Vec<Arc<Keeper>>,
    pub(super) bad: bool,
    /// The records at each answer of a pull.
    pub(super) states: Mutex<Vec<(DateTime<Utc>, Records)>>,
}

fn away(perhaps_sent: bool) -> Failure {
    Failure::Away(Away { perhaps_sent, what: "no connection".into(), said: None })
}

enum Fate {
    Fine,
    LostOnTheWay,
    LostReply,
    Twice,
}

impl Line<'_> {
    /// Time passes, others write, and the computer may crash.
    async fn before(&self) -> Fate {
        self.world.town.pass(TimeDelta::milliseconds(1));
        if !self.bad {
            return Fate::Fine;
        }
        if self.world.percent(45) {
            self.world.write().await;
        }
        if self.world.percent(1) {
            self.world.restore(&self.devices).await;
        }
        match self.world.roll(100) {
            0..5 => self.crash().await,
            5..9 => Fate::LostOnTheWay,
            9..16 => Fate::LostReply,
            16..22 => Fate::Twice,
            _ => Fate::Fine,
        }
    }

    /// Nothing goes on after this.
    async fn crash(&self) -> Fate {
        std::future::pending().await
    }

    async fn after(&self) {
        if self.bad && self.world.percent(4) {
            self.crash().await;
        }
    }

    async fn pull_once(&self, asked: &PullQuery) -> Result<Pulled, Failure> {
        let town = self.world.town;
        let page = town.pull("ours", asked).await?;
        if !page.more || self.world.variant.copy.page_by_page {
            let records = town.rows(OURS).await;
            self.states.lock().unwrap().push((page.as_of, records));
        }
        Ok(page)
    }

    async fn push_once(&self, acts: &Push) -> Result<Pushed, Failure> {
        let mut sent = acts.clone();
        if self.world.variant.no_mutation_id {
            sent.mutations.iter_mut().for_each(|act| act.mid = self.world.uuid());
        }
        let mut pushed = self.world.town.push("ours", &sent).await?;
        for (outcome, act) in pushed.outcomes.iter_mut().zip(&acts.mutations) {
            let (Pushing::Applied { mid } | Pushing::Duplicate { mid } | Pushing::Rejected { mid, .. }) = outcome;
            mid.clone_from(&act.mid);
            self.world.done(act, outcome);
        }
        Ok(pushed)
    }
}

impl Remote for Line<'_> {
    async fn pull(&self, asked: &PullQuery) -> Result<Pulled, Failure> {
        let fate = self.before().await;
        let mut asked = asked.clone();
        // Small pages, so that there is something between them.
        asked.limit = Some(if self.bad { u32::try_from(2 + self.world.roll(9)).unwrap() } else { 500 });
        let variant = self.world.variant;
        if asked.cursor > 0 && (variant.no_floor || variant.no_epoch) {
            let (_, now) = self.world.town.records("ours").await;
            if variant.no_floor && asked.cursor <= now.head.seq {
                asked.start = Some(now.head.seq);
            }
            if variant.no_epoch {
                asked.epoch = Some(now.epoch);
            }
        }
        if matches!(fate, Fate::LostOnTheWay) {
            return Err(away(false));
        }
        let mut page = self.pull_once(&asked).await;
        if matches!(fate, Fate::Twice) {
            page = self.pull_once(&asked).await;
        }
        self.after().await;
        if matches!(fate, Fate::LostReply) { Err(away(true)) } else { page }
    }

    async fn push(&self, acts: &Push) -> Result<Pushed, Failure> {
        let fate = self.before().await;
        if matches!(fate, Fate::LostOnTheWay) {
            return Err(away(false));
        }
        let mut pushed = self.push_once(acts).await;
        if matches!(fate, Fate::Twice) {
            pushed = self.push_once(acts).await;
        }
        self.after().await;
        if matches!(fate, Fate::LostReply) { Err(away(true)) } else { pushed }
    }
}

/// What waits for nothing is done at one look; what does not end has crashed.
pub(in crate::sync::tests) fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    match pin!(tokio::task::unconstrained(work)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
