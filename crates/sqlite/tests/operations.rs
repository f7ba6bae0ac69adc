//! Two servers on one database, each cut off where it happens to be: what runs by itself is done, and once.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[path = "common/cases.rs"]
mod cases;
#[path = "common/database.rs"]
mod database;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use axum::body::Body;
use axum::http::Request;
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::BodyExt as _;
use proptest::prelude::*;
use referral::App;
use referral::db::{BoxFut, Db};
use referral::ports::{Config, Host, Http, HttpRequest, HttpResponse, Letter, Mail, Reach, WebhookEndpoint};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower::ServiceExt as _;

use cases::cases;
use database::database;

/// Everything around the API, under the test's hand.
#[derive(Default)]
struct Around {
    now: Mutex<DateTime<Utc>>,
    drawn: AtomicU64,
    /// What the endpoint and the mail server do next: take, refuse, or take and lose the answer.
    does: Mutex<Vec<u8>>,
    taken: Mutex<BTreeMap<String, u32>>,
    letters: Mutex<BTreeMap<String, u32>>,
}

impl Around {
    fn next(&self) -> u8 {
        self.does.lock().unwrap().pop().unwrap_or(0)
    }
}

impl Host for Around {
    fn now(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    fn random(&self, into: &mut [u8]) {
        for chunk in into.chunks_mut(32) {
            let block = Sha256::digest(self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn later(&self, work: BoxFut<'static, ()>) {
        futures::executor::block_on(tokio::task::unconstrained(work));
    }
}

impl Http for Around {
    fn send(&self, request: HttpRequest) -> BoxFut<'_, Result<HttpResponse, String>> {
        let event: Value = serde_json::from_str(&request.body).unwrap();
        let does = self.next();
        if does != 1 {
            *self.taken.lock().unwrap().entry(event["id"].as_str().unwrap().into()).or_default() += 1;
        }
        let status = if does == 1 { 503 } else { 200 };
        Box::pin(async move {
            if does == 2 {
                Err("the answer broke off".into())
            } else {
                Ok(HttpResponse { status, body: String::new() })
            }
        })
    }
}

impl Mail for Around {
    fn post(&self, letter: Letter) -> BoxFut<'_, Result<(), String>> {
        let does = self.next();
        if does != 1 {
            *self.letters.lock().unwrap().entry(format!("{}: {}", letter.to, letter.subject)).or_default() += 1;
        }
        Box::pin(async move { if does == 1 { Err("the mail server refused it (451)".into()) } else { Ok(()) } })
    }
}

fn app(db: &Arc<dyn Db>, around: &Arc<Around>) -> App {
    let config = Config {
        public_url: "https://partners.aikit.example/".parse().unwrap(),
        site: "https://aikit.example/".parse().unwrap(),
        more_sites: Vec::new(),
        cookie_domain: None,
        cookie_http_only: true,
        terms: referral::default_terms().unwrap(),
        platform_country: "US".into(),
        currency: "usd".into(),
        live: false,
        approvals_needed: 1,
        demo: false,
        payer: Default::default(),
        accounts: Default::default(),
        stripe_api: "http://127.0.0.1:9/".parse().unwrap(),
        stripe_connect_key: String::new(),
        stripe_read_key: String::new(),
        webhook_secret_account: "whsec_account".into(),
        webhook_secret_connect: "whsec_connect".into(),
        oidc: None,
        email_codes: true,
        cors_origins: Vec::new(),
        webhooks: vec![WebhookEndpoint {
            name: "crm".into(),
            url: "https://hooks.aikit.example/".parse().unwrap(),
            events: Vec::new(),
            secrets: vec!["whsec_crm_0123456789abcdef".into()],
            reach: Reach::Public,
        }],
    };
    App::new(db.clone(), around.clone(), around.clone(), around.clone(), Arc::new(config))
}

/// One duty of one server.
async fn duty(app: &App, which: u8) {
    // What another server did first is no error; anything else is tried again at the next look, as the server does.
    let _tried = match which % 5 {
        0 => referral::follow_journal(app).await.map(drop),
        1 => referral::draft_due_months(app, usize::MAX).await.map(drop),
        2 => referral::send_messages(app).await.map(drop),
        3 => referral::deliver_webhooks(app, &app.config.webhooks[0]).await.map(drop),
        _ => referral::tell_what_is_needed(app).await.map(drop),
    };
}

async fn join(app: &App, n: usize) {
    let form = json!({"agency_name": format!("Agency {n}"), "email": format!("owner@a{n}.example"), "website": format!("https://a{n}.example/"),
        "country": "US", "accept_terms": app.config.terms.in_force(app.host.now()).id});
    let request =
        Request::post("/v1/partners").header("content-type", "application/json").body(Body::from(form.to_string()));
    let answer = referral::router(app.clone()).oneshot(request.unwrap()).await.unwrap();
    let status = answer.status();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(status.is_success(), "{}", String::from_utf8_lossy(&text));
}

/// Two servers do their duties in any order and at once, some of them cut off in the middle.
async fn live(steps: &[(u8, u8, u8)], does: Vec<u8>) {
    let db = database();
    let around = Arc::new(Around { does: Mutex::new(does), ..Around::default() });
    *around.now.lock().unwrap() = "2026-01-05T10:00:00Z".parse().unwrap();
    let (one, two) = (app(&db, &around), app(&db, &around));
    let mut joined = 0;
    for (a, b, cut) in steps {
        if a % 3 == 0 {
            join(&one, joined).await;
            joined += 1;
        }
        // Cut off: polled a few times and dropped, as a process that is killed leaves it.
        let mut first = Box::pin(duty(&one, *a));
        for _ in 0..cut % 4 {
            let ready = std::future::poll_fn(|context| Poll::Ready(first.as_mut().poll(context).is_ready()));
            if ready.await {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(first);
        tokio::join!(duty(&one, *a), duty(&two, *b), duty(&two, *a));
        // Less than the three days after which a delivery is given up.
        *around.now.lock().unwrap() += TimeDelta::minutes(i64::from(*b % 8) * 7);
    }
    // All is well again, and a day passes.
    around.does.lock().unwrap().clear();
    for round in 0..60 {
        duty(&one, round).await;
        *around.now.lock().unwrap() += TimeDelta::minutes(40);
    }
    let (taken, letters) = (around.taken.lock().unwrap().clone(), around.letters.lock().unwrap().clone());
    assert_eq!(taken.len(), joined, "each agency's event was delivered: {taken:?}");
    assert_eq!(letters.len(), joined, "each owner was welcomed: {letters:?}");
    let left = "SELECT (SELECT count(*) FROM webhook_delivery WHERE state <> 'delivered') + (SELECT count(*) FROM message WHERE state <> 'sent')
                AS left, (SELECT count(*) FROM event) AS events, (SELECT count(*) FROM webhook_delivery) AS deliveries";
    let rows: Vec<Value> = db.query(referral::sql!(left)).await.unwrap().all().unwrap();
    assert_eq!(rows[0], json!({ "left": 0, "events": joined, "deliveries": joined }));
    // Ninety days later the log is empty, and nothing is told again.
    *around.now.lock().unwrap() += TimeDelta::days(91);
    referral::forget_old_deliveries(&one).await.unwrap();
    for which in 0..5 {
        duty(&one, which).await;
    }
    let rows: Vec<Value> = db.query(referral::sql!(left)).await.unwrap().all().unwrap();
    assert_eq!(rows[0], json!({ "left": 0, "events": 0, "deliveries": 0 }));
    assert_eq!(*around.taken.lock().unwrap(), taken);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(24), failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_lost_and_nothing_is_made_twice(
        steps in proptest::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 4..14),
        does in proptest::collection::vec(0_u8..3, 0..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(&steps, does));
    }
}
