//! What finance does with a run before it is sent, while it is sent, and instead of sending it.

use commission::{Fact, TermsBook};
use futures::future::join_all;
use proptest::prelude::*;
use referral::{Actor, issue_key, sql, verify_audit};
use serde_json::{Value, json};
use wire::KeyKind;

use crate::books::Books;

/// Agencies A, B and C with a client each, who has paid $1,000, $2,000 and $3,000 a month since January.
async fn three(approvals: u32) -> Books {
    let books = Books::with(&["A", "B", "C"], TermsBook::default_book(), approvals).await;
    for (n, partner) in ["A", "B", "C"].into_iter().enumerate() {
        let (r, s, i) = (format!("r{partner}"), format!("s{partner}"), format!("i{partner}"));
        let amount_minor = 100_000 * (n as i64 + 1);
        let joined = json!({"id": format!("j{partner}"), "at": "2026-01-01T00:00:00Z", "type": "partner_joined", "partner": partner, "name": partner, "website": "agency.example"});
        let referred = json!({"id": r, "at": "2026-01-05T00:00:00Z", "type": "referral_created", "referral": r, "partner": partner});
        let began = json!({"id": s, "at": "2026-01-05T00:00:00Z", "type": "subscription_started", "subscription": s, "referral": r, "interval": "month", "amount_minor": amount_minor});
        let paid = json!({"id": i, "at": "2026-01-05T00:00:00Z", "type": "invoice_paid", "invoice": i, "subscription": s, "amount_minor": amount_minor});
        let facts: Vec<Fact> = [joined, referred, began, paid]
            .map(|fact| commission::parse_fact(&fact.to_string()).unwrap().unwrap())
            .into();
        books.record(&facts).await;
    }
    books
}

fn head<'a>(run: &'a Value, field: &str) -> &'a Value {
    &run["summary"][field]
}

fn total(run: &Value) -> i64 {
    head(run, "total_minor").as_i64().unwrap()
}

fn path(run: &Value, deed: &str) -> String {
    format!("/v1/runs/{}/{deed}", head(run, "run").as_str().unwrap())
}

/// Whom a run pays, and how much.
fn paid(run: &Value) -> Vec<(String, i64)> {
    let items = run["items"].as_array().unwrap().iter();
    let mut paid: Vec<_> =
        items.map(|i| (i["partner"].as_str().unwrap().to_owned(), i["amount_minor"].as_i64().unwrap())).collect();
    paid.sort();
    paid
}

/// Something that finance does with a draft that it might as well leave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    /// Holds out whom it pays most.
    Hold,
    /// Pays whom it held out.
    Release,
    /// Seals it, and unseals it.
    Unseal,
    /// Gives it up, sealed or not, and drafts the month anew.
    Discard { sealed: bool },
}

pub(crate) fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        Just(Turn::Hold),
        Just(Turn::Release),
        Just(Turn::Unseal),
        any::<bool>().prop_map(|sealed| Turn::Discard { sealed }),
    ];
    prop::collection::vec(turn, 0..4)
}

/// What leads from the run before to this one adds up to the difference of their totals.
pub(crate) fn assert_difference(run: &Value) {
    let causes = run["difference"].as_array().unwrap();
    let sum: i64 = causes.iter().map(|cause| cause["amount_minor"].as_i64().unwrap()).sum();
    match run["previous_total_minor"].as_i64() {
        Some(before) => assert_eq!(sum, total(run) - before, "{run}"),
        None => assert!(causes.is_empty(), "{run}"),
    }
}

impl Books {
    /// Does things with a draft, and leaves a draft of the same month.
    pub(crate) async fn turn(&self, mut draft: Value, turns: &[Turn]) -> Value {
        for turn in turns {
            let pays = !draft["items"].as_array().unwrap().is_empty();
            let held = draft["not_paid"].as_array().unwrap().iter().find(|n| n["reason"] == "held_out").cloned();
            draft = match turn {
                Turn::Hold if pays => {
                    let before = total(&draft);
                    let partner = json!({"partner": draft["items"][0]["partner"]});
                    let after = self.deed(&draft, "holds", partner).await.unwrap();
                    assert_eq!(total(&after) + draft["items"][0]["amount_minor"].as_i64().unwrap(), before);
                    after
                }
                Turn::Release if held.is_some() => {
                    let partner = held.unwrap()["partner"].as_str().unwrap().to_owned();
                    self.deed(&draft, &format!("holds/{partner}/release"), json!({})).await.unwrap()
                }
                Turn::Unseal if pays => {
                    let sealed = self.seal(&draft).await.unwrap();
                    self.assert_posted().await;
                    let back = self.deed(&sealed, "unseal", json!({})).await.unwrap();
                    assert_eq!((&back["items"], &back["not_paid"]), (&draft["items"], &draft["not_paid"]));
                    back
                }
                Turn::Discard { sealed } => {
                    let run = if *sealed && pays { self.seal(&draft).await.unwrap() } else { draft };
                    self.deed(&run, "discard", json!({})).await.unwrap();
                    self.draft(head(&run, "period").as_str().unwrap()).await.unwrap()
                }
                Turn::Hold | Turn::Release | Turn::Unseal => draft,
            };
            assert_difference(&draft);
        }
        draft
    }

    async fn deed(&self, run: &Value, deed: &str, more: Value) -> Result<Value, (u16, String)> {
        let mut body =
            json!({"version": head(run, "version"), "run_hash": head(run, "run_hash"), "reason": "It must be so."});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call(&path(run, deed), Some(body)).await
    }

    async fn approve(&self, run: &Value) -> Result<Value, (u16, String)> {
        self.deed(run, "approve", json!({"typed_total_minor": total(run)})).await
    }

    /// A run that an executor may send, and its first claim.
    async fn sending(&self, sealed: &Value) -> (Value, String, Value) {
        let approved = self.approve(sealed).await.unwrap();
        let run = self.deed(&approved, "send", json!({})).await.unwrap();
        let key = issue_key(&self.app, &Actor::Operator, KeyKind::Executor, "executor").await.unwrap().secret;
        let grants = self.send(&key, "/v1/executor/grants", None).await.unwrap();
        let claim = json!({"grant": grants[0]["grant"], "executor": "e", "limit": 1});
        let claimed = self.send(&key, &path(&run, "claims"), Some(claim)).await.unwrap();
        // The seal is megabytes where thousands are paid: whoever has it is not given it again.
        for (has, given) in [(head(&run, "run_hash").clone(), false), (json!("another"), true), (Value::Null, true)] {
            let more = json!({"grant": grants[0]["grant"], "executor": "e", "limit": 0, "has_seal": has});
            let seal = self.send(&key, &path(&run, "claims"), Some(more)).await.unwrap()["seal"].clone();
            assert_eq!(if given { &claimed["seal"] } else { &Value::Null }, &seal);
        }
        let item = &claimed["items"][0];
        let intent = json!({"grant": grants[0]["grant"], "item": item["item"], "fence": item["fence"], "version": item["version"], "attempt": 1});
        (run, key, intent)
    }

    async fn intend(&self, key: &str, intent: &Value) -> Result<Value, (u16, Value)> {
        self.send(key, &format!("/v1/items/{}/intents", intent["item"].as_str().unwrap()), Some(intent.clone())).await
    }
}

#[tokio::test]
async fn a_partner_that_is_held_out_stays_out_until_it_is_released() {
    let books = three(1).await;
    let draft = books.draft("2026-03").await.unwrap();
    assert_eq!(paid(&draft), [("A".into(), 20_000), ("B".into(), 40_000), ("C".into(), 60_000)]);
    for (partner, reason, status) in [("B", " ", 400), ("nobody", "So.", 404)] {
        let refused = books.deed(&draft, "holds", json!({"partner": partner, "reason": reason})).await.unwrap_err();
        assert_eq!(refused.0, status, "{}", refused.1);
    }
    let held = books.deed(&draft, "holds", json!({"partner": "B", "reason": "Its W-9 is missing."})).await.unwrap();
    assert_eq!((paid(&held).len(), total(&held)), (2, 80_000));
    assert_eq!(held["not_paid"][0]["reason"], "held_out");
    assert_eq!(held["not_paid"][0]["balance_minor"], 40_000);
    assert_eq!(held["not_paid"][0]["text"], "Held out by f@aikit.example: Its W-9 is missing.");
    // What was looked at before is not what is there.
    assert_eq!(books.deed(&draft, "holds", json!({"partner": "A"})).await.unwrap_err().0, 409);
    assert_eq!(books.seal(&draft).await.unwrap_err().0, 409);

    let again = books.draft("2026-03").await.unwrap();
    assert_eq!((paid(&again), &again["not_paid"]), (paid(&held), &held["not_paid"]), "computing again keeps it out");
    let sealed = books.seal(&again).await.unwrap();
    let refused = books.deed(&sealed, "holds/B/release", json!({})).await.unwrap_err();
    assert!(refused.1.contains("is sealed: who is paid can be changed in a draft only"), "{}", refused.1);
    books.assert_posted().await;

    let back = books.deed(&sealed, "unseal", json!({})).await.unwrap();
    let released = books.deed(&back, "holds/B/release", json!({})).await.unwrap();
    let mut then = draft.clone();
    for field in ["version", "drafted_at"] {
        then["summary"][field] = released["summary"][field].clone();
    }
    assert_eq!(released, then, "everything is as it was before");
    let sealed = books.seal(&released).await.unwrap();
    books.assert_posted().await;
    books.settle(&sealed, true).await;
    assert!(books.draft("2026-04").await.unwrap()["items"].as_array().unwrap().is_empty());
}

/// A claim may refuse whom to pay, and never changes how much.
#[tokio::test]
async fn whom_it_became_impossible_to_pay_is_left_out_until_the_rest_is_sent() {
    let books = three(1).await;
    let sealed = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    let (run, key, intent) = books.sending(&sealed).await;
    assert!(intent["item"].as_str().unwrap().ends_with(":A"));
    let change = async |text: &'static str| books.db.query(sql!(text)).await.unwrap();
    // A was claimed already; what changes after that is seen when it is about to be sent.
    change("UPDATE partner SET suspended = 1 WHERE code = 'A'").await;
    assert_eq!(books.intend(&key, &intent).await.unwrap_err().0, 409);
    change("UPDATE partner SET account = 'acct_other' WHERE code = 'B'").await;
    change("UPDATE partner SET transfers = 'pending' WHERE code = 'C'").await;
    let claim = json!({"grant": intent["grant"], "executor": "e", "limit": 9});
    let claimed = books.send(&key, &path(&run, "claims"), Some(claim.clone())).await.unwrap();
    assert_eq!((&claimed["items"], &claimed["open_minor"]), (&json!([]), &json!(0)));
    let after = books.call(&format!("/v1/runs/{}", head(&run, "run").as_str().unwrap()), None).await.unwrap();
    let problem = |run: &Value, partner: &str| {
        let item = run["items"].as_array().unwrap().iter().find(|i| i["partner"] == partner).unwrap();
        item["problem"].as_str().map(|text| text.split('.').next().unwrap().to_owned())
    };
    let problems = ["A", "B", "C"].map(|partner| problem(&after, partner).unwrap());
    assert_eq!(
        problems,
        [
            "Not sent: the agency is suspended",
            "Not sent: its Stripe account is not the one that was approved",
            "Not sent: Stripe does not let its account receive transfers",
        ]
    );
    assert_eq!(
        (paid(&after), head(&after, "run_hash")),
        (paid(&run), head(&run, "run_hash")),
        "nobody is paid another amount"
    );

    change("UPDATE partner SET suspended = 0, transfers = 'active' WHERE code <> 'B'").await;
    let again = books.deed(&after, "send", json!({})).await.unwrap();
    assert_eq!([problem(&again, "A"), problem(&again, "C")], [None, None]);
    assert!(problem(&again, "B").is_some());
    let grants = books.send(&key, "/v1/executor/grants", None).await.unwrap();
    *books.host.now.lock().unwrap() += chrono::TimeDelta::minutes(3);
    let claim = json!({"grant": grants[0]["grant"], "executor": "e", "limit": 9});
    let claimed = books.send(&key, &path(&run, "claims"), Some(claim)).await.unwrap();
    let items: Vec<&str> = claimed["items"].as_array().unwrap().iter().map(|i| i["item"].as_str().unwrap()).collect();
    assert!(items.len() == 2 && items.iter().all(|item| !item.ends_with(":B")), "{items:?}");
    // What was sent once is looked for, whatever became of the agency.
    let sent = &claimed["items"][0];
    let intent = json!({"grant": grants[0]["grant"], "item": sent["item"], "fence": sent["fence"], "version": sent["version"], "attempt": 1});
    books.intend(&key, &intent).await.unwrap();
    change("UPDATE partner SET suspended = 1").await;
    *books.host.now.lock().unwrap() += chrono::TimeDelta::minutes(3);
    let claim = json!({"grant": grants[0]["grant"], "executor": "e", "limit": 9});
    let claimed = books.send(&key, &path(&run, "claims"), Some(claim)).await.unwrap();
    assert_eq!(claimed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_is_turned_back_until_a_transfer_may_have_been_sent() {
    let books = three(1).await;
    let sealed = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    let (run, key, intent) = books.sending(&sealed).await;
    let back = books.deed(&run, "unseal", json!({})).await.unwrap();
    assert_eq!((head(&back, "state"), head(&back, "run_hash")), (&json!("draft"), &Value::Null));
    assert!(back["approvals"].as_array().unwrap().is_empty() && back["grant"].is_null());
    assert!(books.posted().await.is_empty(), "a draft posts nothing");
    // The executor that had claimed an item holds nothing any more.
    assert_eq!(books.intend(&key, &intent).await.unwrap_err().0, 404);

    // Sealed again it is the same seal, and still nobody has approved it.
    let again = books.seal(&back).await.unwrap();
    assert_eq!(head(&again, "run_hash"), head(&sealed, "run_hash"));
    assert!(again["approvals"].as_array().unwrap().is_empty());
    let refused = books.approve(&sealed).await.unwrap_err();
    assert!(refused.0 == 409 && refused.1.contains("has been made a draft and sealed as it was"), "{}", refused.1);
    assert_eq!(books.intend(&key, &intent).await.unwrap_err().0, 403, "the grant was for what was approved then");

    let (run, key, intent) = books.sending(&again).await;
    books.intend(&key, &intent).await.unwrap();
    for deed in ["unseal", "discard"] {
        let refused = books.deed(&run, deed, json!({})).await.unwrap_err();
        assert!(refused.0 == 409 && refused.1.contains("has been begun"), "{}", refused.1);
    }
    let refused = books.deed(&run, "close", json!({})).await.unwrap_err();
    assert!(refused.0 == 409 && refused.1.contains("1 of the payouts of 2026-03 may have been made"), "{}", refused.1);

    // Stripe refuses it for good: nothing moved, and nothing ever will. Now the run can be closed.
    let item = intent["item"].as_str().unwrap();
    let answer = json!({"attempt": 1, "answer": {"answer": "refused", "code": "account_invalid", "message": "No."}});
    books.send(&key, &format!("/v1/items/{item}/settlements"), Some(answer)).await.unwrap();
    let closed = books.deed(&run, "close", json!({"reason": "Nobody is at the bank."})).await.unwrap();
    assert_eq!((head(&closed, "state"), &closed["progress"]["void"]), (&json!("done"), &json!(3)));
    assert_eq!(
        closed["closed"].as_str().unwrap(),
        "Closed by f@aikit.example on 1 April 2026, 06:00 UTC: Nobody is at the bank."
    );
    let answer = json!({"grant": intent["grant"], "fence": intent["fence"], "transfers": []});
    assert_eq!(books.send(&key, &format!("/v1/items/{item}/observations"), Some(answer)).await.unwrap_err().0, 403);
    let next = books.draft("2026-04").await.unwrap();
    assert_eq!(paid(&next), paid(&sealed), "what was not sent is due again");
    assert_eq!(
        next["difference"],
        json!([{"cause": "commission", "amount_minor": -120_000, "partners": 3},
        {"cause": "carried", "amount_minor": 120_000, "partners": 3}])
    );
    verify_audit(&books.app, None).await.unwrap();
}

#[tokio::test]
async fn who_approves_another_seal_is_told_what_is_different() {
    let books = three(1).await;
    let sealed = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    let back = books.deed(&sealed, "unseal", json!({})).await.unwrap();
    let token = books.sign_in("u").await;
    let approval = json!({"run_hash": head(&sealed, "run_hash"), "version": head(&sealed, "version"), "typed_total_minor": total(&sealed)});
    let refusal = async |path: String| {
        let (status, refusal) = books.send(&token, &path, Some(approval.clone())).await.unwrap_err();
        assert_eq!((status, &refusal["code"]), (409, &json!("changed")), "{refusal}");
        refusal
    };
    let refused = refusal(path(&back, "approve")).await;
    assert_eq!(refused["diff"]["changes"], json!([]), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("is a draft again"), "{refused}");

    let held = books.deed(&back, "holds", json!({"partner": "B"})).await.unwrap();
    let later = r#"{"id":"a1","at":"2026-03-10T00:00:00Z","type":"adjustment_made","partner":"C","amount_minor":-100,"reason":"a mistake"}"#;
    books.record_lines(&[later]).await;
    books.sql(sql!("UPDATE partner SET account = 'acct_other' WHERE code = 'A'")).await;
    drop(held);
    let anew = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    let refused = refusal(path(&anew, "approve")).await;
    let diff = &refused["diff"];
    assert_eq!(
        diff["changes"],
        json!([
            {"partner": "A", "name": "A", "before_minor": 20_000, "after_minor": 20_000, "other_account": true},
            {"partner": "B", "name": "B", "before_minor": 40_000, "after_minor": null, "other_account": false},
            {"partner": "C", "name": "C", "before_minor": 60_000, "after_minor": 59_900, "other_account": false},
        ])
    );
    assert_eq!((&diff["from"], &diff["to"]), (head(&sealed, "run_hash"), head(&anew, "run_hash")));
    assert_eq!(
        refused["message"],
        "The run of 2026-03 has been sealed anew since you looked at it. It comes to $799.00 instead of $1,200.00; 3 partners differ. Look at it again."
    );
    assert_eq!(refusal(path(&anew, "send")).await["diff"], *diff, "sending it is refused with the same");
    books.approve(&anew).await.unwrap();
}

#[tokio::test]
async fn a_run_that_is_given_up_frees_its_month() {
    let books = three(1).await;
    let sealed = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    let approved = books.approve(&sealed).await.unwrap();
    let left = books.deed(&approved, "discard", json!({"reason": "Wrong month."})).await.unwrap();
    assert_eq!(left, json!([]));
    let gone = books.call("/v1/runs/2026-03.1", None).await.unwrap_err();
    assert!(
        gone.0 == 404 && gone.1.ends_with("given up by f@aikit.example on 1 April 2026, 06:00 UTC: Wrong month."),
        "{}",
        gone.1
    );
    assert!(books.posted().await.is_empty());
    assert!(referral::draft_due_months(&books.app, 99).await.unwrap().is_empty(), "it does not come back by itself");

    let again = books.draft("2026-03").await.unwrap();
    assert_eq!((head(&again, "run"), paid(&again)), (&json!("2026-03.2"), paid(&sealed)));
    let march = books.seal(&again).await.unwrap();
    books.settle(&march, false).await;
    let extra = r#"{"id":"a1","at":"2026-04-10T00:00:00Z","type":"adjustment_made","partner":"A","amount_minor":100,"reason":"a thank-you"}"#;
    books.record_lines(&[extra]).await;
    let april = books.seal(&books.draft("2026-04").await.unwrap()).await.unwrap();
    // A month whose payouts are settled stays, whatever is done with the next.
    let settled = books.call("/v1/runs/2026-03.2", None).await.unwrap();
    assert_eq!(books.deed(&settled, "unseal", json!({})).await.unwrap_err().0, 409);
    let back = books.deed(&april, "unseal", json!({})).await.unwrap();
    books.assert_posted().await;
    books.deed(&back, "discard", json!({})).await.unwrap();
    let entries = books.rows("SELECT action, reason FROM audit WHERE action LIKE 'run.%discarded' ORDER BY n").await;
    assert_eq!(entries[0], json!({"action": "run.discarded", "reason": "Wrong month."}));
    verify_audit(&books.app, None).await.unwrap();
}

#[tokio::test]
async fn a_month_below_another_that_is_sealed_stays_until_that_one_is_unsealed() {
    let books = three(1).await;
    let hold = async |draft: Value| books.deed(&draft, "holds", json!({"partner": "A"})).await.unwrap();
    let march = books.seal(&hold(books.draft("2026-03").await.unwrap()).await).await.unwrap();
    let april = books.seal(&books.draft("2026-04").await.unwrap()).await.unwrap();
    assert_eq!(paid(&april), [("A".into(), 20_000)], "the others have a payout of March open");
    for deed in ["unseal", "discard"] {
        let refused = books.deed(&march, deed, json!({})).await.unwrap_err();
        assert!(refused.0 == 409 && refused.1.contains("Unseal 2026-04 first"), "{}", refused.1);
    }
    books.deed(&april, "unseal", json!({})).await.unwrap();
    books.deed(&march, "unseal", json!({})).await.unwrap();
}

#[tokio::test]
async fn a_run_that_is_paused_is_sent_on_by_a_new_grant() {
    let books = three(1).await;
    let sealed = books.seal(&books.draft("2026-03").await.unwrap()).await.unwrap();
    assert!(books.deed(&sealed, "pause", json!({})).await.unwrap_err().1.contains("there is nothing to pause"));
    let (run, key, intent) = books.sending(&sealed).await;
    let paused = books.deed(&run, "pause", json!({})).await.unwrap();
    assert_eq!(paused["halted"], "Paused by f@aikit.example on 1 April 2026, 06:00 UTC.");
    assert!(paused["grant"].is_null());
    assert_eq!(books.intend(&key, &intent).await.unwrap_err().0, 403);
    let resumed = books.deed(&paused, "send", json!({})).await.unwrap();
    assert!(resumed["halted"].is_null() && !resumed["grant"].is_null(), "{resumed}");
    // A lock says so, too.
    books.call("/v1/payouts-lock/lock", Some(json!({"reason": "An alarm"}))).await.unwrap();
    assert_eq!(books.call("/v1/runs/2026-03.1", None).await.unwrap()["halted"], "Payouts were locked: An alarm.");
}

#[tokio::test]
async fn where_two_must_approve_none_of_those_who_made_it_is_one_of_them() {
    let books = three(2).await;
    for person in ["computes", "holds", "seals"] {
        books
            .sql(sql!(
                "INSERT INTO person (id, email, role, added_ms) VALUES (?1, ?1 || '@aikit.example', 'finance', 0)",
                person
            ))
            .await;
    }
    for n in 0..64 {
        let person = format!("p{n}");
        books
            .sql(sql!(
                "INSERT INTO person (id, email, role, added_ms) VALUES (?1, ?1 || '@aikit.example', 'finance', 0)",
                person
            ))
            .await;
    }
    books.draft("2026-03").await.unwrap();
    let draft = books.call_as("computes", "/v1/runs", Some(json!({"period": "2026-03"}))).await.unwrap();
    let hold = json!({"version": head(&draft, "version"), "partner": "C", "reason": "So."});
    let held = books.call_as("holds", &path(&draft, "holds"), Some(hold)).await.unwrap();
    let seal = json!({"version": head(&held, "version")});
    let sealed = books.call_as("seals", &path(&held, "seal"), Some(seal)).await.unwrap();
    let approval = json!({"run_hash": head(&sealed, "run_hash"), "version": head(&sealed, "version"), "typed_total_minor": total(&sealed)});
    for person in ["computes", "holds", "seals"] {
        let refused = books.call_as(person, &path(&sealed, "approve"), Some(approval.clone())).await.unwrap_err();
        assert!(refused.0 == 403 && refused.1.contains("so others must approve it"), "{}", refused.1);
    }
    let approvers: Vec<String> = (0..64).map(|n| format!("p{n}")).collect();
    let path = path(&sealed, "approve");
    let answers = join_all(approvers.iter().map(|person| books.call_as(person, &path, Some(approval.clone())))).await;
    let consented = answers.iter().filter(|answer| answer.is_ok()).count();
    let stored = books.rows("SELECT count(*) AS n FROM approval").await[0]["n"].as_u64().unwrap() as usize;
    assert!(consented >= 2 && consented == stored, "{consented} were told so, {stored} are kept");
    assert!(answers.iter().flat_map(|answer| answer.as_ref().err()).all(|(status, _)| *status == 409));
    assert_eq!(head(&books.call("/v1/runs/2026-03.1", None).await.unwrap(), "state"), "approved");
}
