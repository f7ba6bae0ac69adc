//! What the server does by itself: months, events, e-mail, webhooks. Each duty is a loop of its own, so that one that
//! hangs holds up no other, and each ends between two rounds.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use referral::{ApiError, App};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::serve::Follow;

/// Between two looks at what others wait for.
const OFTEN: Duration = Duration::from_secs(1);
/// Between two looks for what a fault kept from being done.
const NOW_AND_THEN: Duration = Duration::from_secs(10);
/// Between two looks over all agencies.
const UNHURRIED: Duration = Duration::from_secs(30);
/// Between two tidyings.
const SELDOM: Duration = Duration::from_secs(3_600);

/// The running duties.
pub(crate) struct Duties {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// Starts every duty. In a demo each looks at the stand-in's clock first, so that a month that was walked over is closed.
pub(crate) fn start(app: &App, follow: Option<Arc<Follow>>) -> Duties {
    let mut duties = Duties { tasks: JoinSet::new(), stop: watch::Sender::new(false) };
    let clock = follow;
    // One that was killed while it read has left the rest.
    let reader = app.clone();
    duties.tasks.spawn(async move {
        if let Err(error) = referral::take_over_inbox(&reader).await {
            tracing::error!(%error, "stored events wait to be processed again");
        }
    });
    duties.every("the month", OFTEN, app, &clock, |app| async move {
        referral::draft_due_months(&app, usize::MAX).await.map(drop)
    });
    duties.every("the journal's followers", OFTEN, app, &clock, |app| async move {
        while referral::follow_journal(&app).await? > 0 {}
        Ok(())
    });
    duties.every("the board of agencies", NOW_AND_THEN, app, &clock, |app| async move {
        referral::keep_board(&app, usize::MAX).await.map(drop)
    });
    duties.every("e-mail", OFTEN, app, &clock, |app| async move { referral::send_messages(&app).await.map(drop) });
    duties.every("stored events", NOW_AND_THEN, app, &clock, |app| async move {
        referral::read_stored(&app).await;
        Ok(())
    });
    duties.every("payments that are not settled", UNHURRIED, app, &clock, |app| async move {
        referral::look_at_unsettled(&app).await.map(drop)
    });
    duties.every("the daily reconciliation", UNHURRIED, app, &clock, |app| async move {
        referral::reconcile_daily(&app).await.map(drop)
    });
    duties.every("old events", SELDOM, app, &clock, |app| async move {
        match referral::reduce_old(&app).await? {
            0 => {}
            n => tracing::info!(n, "events older than 90 days keep only what is read of them"),
        }
        Ok(())
    });
    duties.every("what agencies must do", UNHURRIED, app, &clock, |app| async move {
        referral::tell_what_is_needed(&app).await.map(drop)
    });
    duties.every(
        "old deliveries",
        SELDOM,
        app,
        &clock,
        |app| async move { referral::forget_old_deliveries(&app).await },
    );
    duties.every("old copies", SELDOM, app, &clock, |app| async move { referral::forget_old_rows(&app).await });
    for endpoint in app.config.webhooks.clone() {
        duties.every("webhooks", OFTEN, app, &clock, move |app| {
            let endpoint = endpoint.clone();
            async move { referral::deliver_webhooks(&app, &endpoint).await.map(drop) }
        });
    }
    duties
}

impl Duties {
    fn every<F>(
        &mut self,
        name: &'static str,
        pause: Duration,
        app: &App,
        follow: &Option<Arc<Follow>>,
        duty: impl Fn(App) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), ApiError>> + Send,
    {
        let (app, follow, mut stop) = (app.clone(), follow.clone(), self.stop.subscribe());
        self.tasks.spawn(async move {
            loop {
                let on_time = match &follow {
                    Some(follow) => follow.look().await.is_ok(),
                    None => true,
                };
                if on_time && let Err(error) = duty(app.clone()).await {
                    tracing::error!(%error, "{name}: tried again in {} s", pause.as_secs());
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
            }
        });
    }

    /// Lets every duty end its round, and waits for it.
    pub(crate) async fn end(mut self, within: Duration) {
        self.stop.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!(
                "something in the background took too long and was cut off; it goes on after the next start"
            );
        }
    }
}
