//! A write that was done and whose answer got lost, which is how D1 may fail: whoever tries again gets what there is, and
//! nothing is there twice.

#![expect(clippy::unwrap_used, reason = "What fails here fails the test.")]

#[expect(dead_code, reason = "Not every test needs all of it.")]
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use chrono::TimeDelta;
use common::World;
use common::database::database;
use referral::db::{BoxFut, Db, DbError, Rows, Stmt};
use serde_json::{Value, json};

/// Does what it is asked, and loses the answer of one write.
struct Forgetful {
    db: Arc<dyn Db>,
    /// Writes until then; none is lost at 0.
    lose: AtomicUsize,
    lost: AtomicUsize,
}

impl Forgetful {
    fn loses<A>(&self, writes: bool, done: Result<A, DbError>) -> Result<A, DbError> {
        let left = self.lose.load(Ordering::Relaxed);
        if !writes || left == 0 || done.is_err() {
            return done;
        }
        self.lose.store(left - 1, Ordering::Relaxed);
        if left > 1 {
            return done;
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        Err(DbError::Failed("the answer was lost".into()))
    }
}

fn writes(stmt: &Stmt) -> bool {
    let text = stmt.sql.trim_start();
    !text.starts_with("SELECT") && !text.starts_with("WITH")
}

impl Db for Forgetful {
    fn query(&self, stmt: Stmt) -> BoxFut<'_, Result<Rows, DbError>> {
        Box::pin(async move {
            let writes = writes(&stmt);
            let done = self.db.query(stmt).await;
            self.loses(writes, done)
        })
    }

    fn batch(&self, stmts: Vec<Stmt>) -> BoxFut<'_, Result<Vec<Rows>, DbError>> {
        Box::pin(async move {
            let writes = stmts.iter().any(writes);
            let done = self.db.batch(stmts).await;
            self.loses(writes, done)
        })
    }
}

/// One after the other, what leads to a payment. Each is what a client would send again.
const STEPS: [&str; 8] = ["link", "sign-up", "subscription", "invoice", "draft", "seal", "approve", "send"];

struct Path {
    world: World,
    db: Arc<Forgetful>,
    code: String,
    key: String,
    owner: String,
    finance: String,
}

impl Path {
    async fn begin() -> Path {
        let db = Arc::new(Forgetful { db: database(), lose: AtomicUsize::new(0), lost: AtomicUsize::new(0) });
        let world = World::over(db.clone(), |_| {});
        let code = world.join("agency.example", "acct_1").await;
        world.run(referral::sql!("UPDATE partner SET transfers = 'active' WHERE code = ?1", &code)).await;
        world
            .run(referral::sql!(
                "INSERT INTO person (id, email, role, added_ms) VALUES ('u_f', 'f@aikit.example', 'finance', 0)"
            ))
            .await;
        let key = referral::issue_key(&world.app, &referral::Actor::Operator, wire::KeyKind::Server, "")
            .await
            .unwrap()
            .secret;
        let (owner, finance) = (world.session("owner@agency.example").await, world.session("f@aikit.example").await);
        Path { world, db, code, key, owner, finance }
    }

    /// The step once; its status.
    async fn take(&mut self, step: &str) -> StatusCode {
        let now = self.world.app.host.now().timestamp();
        let event = |id: &str, kind: &str, object: Value| json!({"id": id, "type": kind, "created": now, "livemode": false, "data": {"object": object}});
        let world = &self.world;
        let of_run = async || {
            let (_, runs) = world.call("GET", "/v1/runs", &self.finance, Value::Null).await;
            runs[0].clone()
        };
        match step {
            "link" => {
                let form =
                    json!({"id": "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11", "campaign": "Spring", "path": "/pricing"});
                world.call("POST", "/v1/links", &self.owner, form).await.0
            }
            "sign-up" => {
                let form = json!({"customer_id": "c1", "email": "it@client.example", "partner_code": self.code,
                    "stripe_customer_id": "cus_1", "signed_up_at": "2026-05-31T00:00:00Z"});
                world.call("POST", "/v1/signups", &self.key, form).await.0
            }
            "subscription" => {
                let object = json!({"id": "sub_1", "customer": "cus_1", "status": "active", "currency": "usd", "start_date": now,
                    "latest_invoice": "in_1", "items": {"data": [{"quantity": 1, "price": {"unit_amount": 50_000, "recurring": {"interval": "month"}}}]}});
                world.event(&event("evt_1", "customer.subscription.created", object)).await.0
            }
            "invoice" => {
                let object = json!({"id": "in_1", "customer": "cus_1", "currency": "usd", "amount_paid": 50_000, "total": 50_000,
                    "parent": {"subscription_details": {"subscription": "sub_1"}}, "lines": {"has_more": false, "data": [{"amount": 50_000,
                    "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription": "sub_1"}}}]}});
                world.event(&event("evt_2", "invoice.paid", object)).await.0
            }
            "draft" => world.call("POST", "/v1/runs", &self.finance, json!({"period": "2026-08"})).await.0,
            "seal" => {
                let run = of_run().await;
                let path = format!("/v1/runs/{}/seal", run["run"].as_str().unwrap());
                world.call("POST", &path, &self.finance, json!({"version": run["version"]})).await.0
            }
            "approve" => {
                let run = of_run().await;
                let path = format!("/v1/runs/{}/approve", run["run"].as_str().unwrap());
                let form = json!({"run_hash": run["run_hash"], "version": run["version"], "typed_total_minor": run["total_minor"]});
                world.call("POST", &path, &self.finance, form).await.0
            }
            _ => {
                let run = of_run().await;
                let path = format!("/v1/runs/{}/send", run["run"].as_str().unwrap());
                world.call("POST", &path, &self.finance, json!({"run_hash": run["run_hash"]})).await.0
            }
        }
    }

    /// The step until it is done; at most one of its writes loses its answer.
    async fn done(&mut self, step: &str, lose: usize) {
        if step == "draft" {
            self.world.pass(TimeDelta::days(95));
            self.finance = self.world.session("f@aikit.example").await;
        }
        self.db.lose.store(lose, Ordering::Relaxed);
        let first = self.take(step).await;
        self.db.lose.store(0, Ordering::Relaxed);
        if lose > 0 {
            // What is left for later is done by the next look.
            referral::take_over_inbox(&self.world.app).await.unwrap();
        }
        if first.is_success() {
            return;
        }
        assert!(lose > 0 && first.is_server_error(), "{step}: {first}");
        let again = self.take(step).await;
        // Where it was done already, whoever asks is told so.
        assert!(again.is_success() || again == StatusCode::CONFLICT, "{step}, again: {again}");
    }

    /// How many rows there are of everything that counts.
    async fn rows(&self) -> Value {
        let counted = "SELECT (SELECT count(*) FROM link) AS links, (SELECT count(*) FROM referral) AS referrals,
            (SELECT count(*) FROM customer) AS customers, (SELECT group_concat(body, ' ') FROM (SELECT body FROM fact ORDER BY id)) AS facts,
            (SELECT group_concat(id || state, ' ') FROM (SELECT id, state FROM inbox ORDER BY id)) AS inbox,
            (SELECT group_concat(state || total_minor, ' ') FROM run) AS runs, (SELECT count(*) FROM run_item) AS items,
            (SELECT count(*) FROM posting p JOIN posted_run r ON r.id = p.run AND r.posted = p.version) AS postings,
            (SELECT count(*) FROM posting_line p JOIN posted_run r ON r.id = p.run AND r.posted = p.version) AS lines,
            (SELECT count(*) FROM seal_part) AS parts, (SELECT count(*) FROM approval) AS approvals";
        self.world.rows(counted).await.remove(0)
    }
}

#[tokio::test]
async fn a_lost_answer_loses_nothing_and_doubles_nothing() {
    let mut whole = Path::begin().await;
    for step in STEPS {
        whole.done(step, 0).await;
    }
    let expected = whole.rows().await;
    assert_eq!((&expected["runs"], &expected["items"]), (&json!("sending10000"), &json!(1)), "{expected}");

    let mut lost = 0;
    for failing in STEPS {
        for write in 1.. {
            let mut path = Path::begin().await;
            for step in STEPS {
                path.done(step, if step == failing { write } else { 0 }).await;
            }
            assert_eq!(path.rows().await, expected, "the answer of write {write} of «{failing}» was lost");
            if path.db.lost.load(Ordering::Relaxed) == 0 {
                break;
            }
            lost += 1;
        }
    }
    println!("{lost} answers were lost, each once");
    assert!(lost > 2 * STEPS.len(), "{lost}");
}
