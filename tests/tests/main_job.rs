//! The main job and what must not go wrong with it, over HTTP against the real processes.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "What fails here fails the test.")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use commission::LineKind;
use product_tests::plan::Visitor;
use product_tests::story::{Interval, Price};
use product_tests::{Api, Browser, Config, Refusal, World};
use serde_json::{Value, json};
use wire::{
    ClientDetail, ClientPage, CreateLink, DemoPerson, DraftRun, ErrorCode, JoinPartner, Joined, Link, Overview, Payout,
    PayoutDetail, PayoutState, Reconcile, Reconciliation, Role, Run, RunState, Session, SignUp, Utm,
};

const PERSON: Visitor = Visitor::Person("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0");

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A world of its own, and the folder that goes with it.
struct Stage {
    world: World,
    api: Api,
    folder: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

impl Stage {
    async fn set(name: &str, now: &str) -> Result<Stage> {
        let folder = std::env::temp_dir().join(format!("aikit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let world = World::start(Config { data: folder.clone(), port: None, ui: None, now: at(now) }).await?;
        let api = world.api()?;
        Ok(Stage { world, api, folder })
    }

    async fn clock(&self, now: &str) -> Result<()> {
        self.world.stripe().move_clock(at(now)).await
    }

    async fn person(&self, fits: impl Fn(&DemoPerson) -> bool) -> Result<Session> {
        let people = self.api.people().await?;
        let person = people.iter().find(|p| fits(p)).context("no such person")?;
        self.api.sign_in(&person.person).await
    }

    async fn finance(&self) -> Result<Session> {
        self.person(|p| p.role == Role::Finance).await
    }

    async fn owner(&self, agency: &str) -> Result<Session> {
        self.person(|p| p.name == agency).await
    }

    /// A client's page, once it is so, or as it is after ten seconds.
    async fn client_once(
        &self,
        owner: &Session,
        referral: &str,
        so: impl Fn(&ClientDetail) -> bool,
    ) -> Result<ClientDetail> {
        let mut tries = 0;
        loop {
            let client: ClientDetail = self.api.call(Some(owner), "client", &json!({ "referral": referral })).await?;
            if so(&client) || tries == 100 {
                return Ok(client);
            }
            tries += 1;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    async fn join(&self, name: &str, domain: &str, connect: bool) -> Result<Joined> {
        let terms: wire::CurrentTerms = self.api.call(None, "current_terms", &Value::Null).await?;
        let form = JoinPartner {
            agency_name: name.into(),
            email: format!("owner@{domain}"),
            website: format!("https://www.{domain}/"),
            country: "US".into(),
            accept_terms: terms.version,
        };
        let joined = self.api.join(&form).await?;
        if connect {
            let page = self.api.follow(&joined.onboarding_url).await?;
            let back = self.world.stripe().onboard(&page, true).await?.context("it leads nowhere")?;
            ensure!(back.starts_with(&joined.onboarding_url), "Stripe leads back to us: {back}");
        }
        Ok(joined)
    }

    /// A visitor of `link` signs up and subscribes at $500 a month; answers its referral.
    async fn client(&self, link: &str, domain: &str) -> Result<String> {
        let mut browser = Browser::default();
        self.api.click(link, PERSON, &mut browser).await?;
        let customer = self.world.stripe().create_customer(domain, &format!("it@{domain}")).await?;
        let form = SignUp {
            customer_id: domain.into(),
            email: format!("it@{domain}"),
            ref_code: browser.cookie("ref").map(Into::into),
            click_id: browser.cookie("ref_click").map(Into::into),
            stripe_customer_id: Some(customer.clone()),
            ..SignUp::default()
        };
        let signed_up = self.api.sign_up(&form).await?;
        let referral = signed_up.referral_id.clone().context("nobody is credited")?;
        ensure!(self.api.sign_up(&form).await? == signed_up, "the same sign-up twice is one sign-up");
        let product = self.world.stripe().create_product("AIKit").await?;
        self.world
            .stripe()
            .subscribe(
                &customer,
                &product,
                Price { product: "AIKit", amount_minor: 50_000, interval: Interval::Month },
                0,
                None,
            )
            .await?;
        Ok(referral)
    }

    async fn run_of(&self, finance: &Session, run: &str) -> Result<Run> {
        self.api.call(Some(finance), "run", &json!({ "run": run })).await
    }

    /// Seal, approve, send, and wait until an executor has done it.
    async fn pay(&self, period: &str) -> Result<Run> {
        let finance = self.finance().await?;
        let run: Run = self.api.call(Some(&finance), "draft_run", &DraftRun { period: period.into() }).await?;
        let id = run.summary.run.clone();
        let seal = json!({ "run": id, "version": run.summary.version });
        let sealed: Run = self.api.call(Some(&finance), "seal_run", &seal).await?;
        let hash = sealed.summary.run_hash.clone().context("no hash")?;
        let total = sealed.summary.total_minor;
        let approve =
            json!({ "run": id, "run_hash": hash, "version": sealed.summary.version, "typed_total_minor": total });
        self.api.call::<Run>(Some(&finance), "approve_run", &approve).await?;
        self.api.call::<Run>(Some(&finance), "send_run", &json!({ "run": id, "run_hash": hash })).await?;
        for _ in 0..300 {
            let run = self.run_of(&finance, &id).await?;
            if run.summary.state == RunState::Done {
                return Ok(run);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        anyhow::bail!("the run was not paid within 30 s")
    }

    async fn transfers(&self) -> Result<Vec<Value>> {
        let list = self.world.stripe().get("transfers", &[("limit", "100")]).await?;
        Ok(list["data"].as_array().cloned().unwrap_or_default())
    }
}

/// The folder of a database for the operator's commands: the API's own, or a copy of what D1 holds.
fn operator_data(stage: &Stage) -> Result<PathBuf> {
    let api = stage.folder.join("api");
    if !product_tests::world::on_the_edge() {
        return Ok(api);
    }
    let files = std::fs::read_dir(api.join("d1").join("miniflare-D1DatabaseObject"))?.flatten().map(|e| e.path());
    let d1 = files.filter(|f| f.extension().is_some_and(|e| e == "sqlite") && !f.ends_with("metadata.sqlite"));
    let (d1, folder) = (d1.last().context("there is no D1")?, stage.folder.join("from-d1"));
    std::fs::create_dir_all(&folder)?;
    let copy = folder.join("referral.db");
    rusqlite::Connection::open(d1)?.execute("VACUUM INTO ?1", [copy.display().to_string()])?;
    let copy = rusqlite::Connection::open(copy)?;
    let applied: u32 = copy.query_row("SELECT count(*) FROM d1_migrations", [], |row| row.get(0))?;
    copy.pragma_update(None, "user_version", applied)?;
    copy.execute_batch("DROP TABLE d1_migrations; DROP TABLE _cf_METADATA;")?;
    Ok(folder)
}

fn refusal<T: std::fmt::Debug>(result: Result<T>) -> (ErrorCode, String) {
    let error = result.expect_err("this had to be refused");
    let refusal = error.downcast_ref::<Refusal>().unwrap_or_else(|| panic!("not a refusal: {error:#}"));
    (refusal.body.code, refusal.body.message.clone())
}

#[tokio::test]
async fn one_commission_travels_end_to_end() -> Result<()> {
    let stage = Stage::set("travel", "2026-01-05T10:00:00Z").await?;
    let api = &stage.api;
    let joined = stage.join("Northlight Studio", "northlight.example", true).await?;
    let owner = stage.owner("Northlight Studio").await?;
    let link = CreateLink {
        id: "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11".into(),
        campaign: "Spring relaunch".into(),
        path: "/pricing".into(),
        utm: Utm { source: Some("newsletter".into()), ..Utm::default() },
    };
    let made: Link = api.call(Some(&owner), "create_link", &link).await?;
    let again: Link = api.call(Some(&owner), "create_link", &link).await?;
    ensure!(made == again, "the same id twice is one link");
    let lands = api.click(&made.url, PERSON, &mut Browser::default()).await?;
    ensure!(
        lands == format!("https://aikit.example/pricing?ref={}&utm_source=newsletter", joined.partner_code),
        "the link leads to {lands}"
    );
    let bot = Visitor::Bot("Mozilla/5.0 (compatible; Googlebot/2.1)");
    api.click(&made.url, bot, &mut Browser::default()).await?;
    let referral = stage.client(&made.url, "harbourpine.example").await?;

    // Three invoices later: the first 60 days have passed.
    stage.clock("2026-03-10T09:00:00Z").await?;
    let owner = stage.owner("Northlight Studio").await?;
    let overview: Overview = api.call(Some(&owner), "overview", &Value::Null).await?;
    ensure!(overview.totals.vested == 30_000 && overview.totals.paid == 0, "{:?}", overview.totals);
    ensure!(overview.estimate.vested_minor == 10_000, "{:?}", overview.estimate);
    ensure!(overview.next_payout.amount_minor == 30_000 && overview.next_payout.why_not.is_none());
    ensure!(
        (overview.funnel.clicks, overview.funnel.signups, overview.funnel.paying) == (2, 1, 1),
        "bots do not count"
    );
    let links: Vec<Link> = api.call(Some(&owner), "links", &Value::Null).await?;
    ensure!((links[0].clicks, links[0].signups) == (2, 1));
    let detail: ClientDetail = api.call(Some(&owner), "client", &json!({ "referral": referral })).await?;
    ensure!(detail.client.name == "harbourpine.example" && detail.touches.len() == 2);
    ensure!(detail.lines.len() == 3 && detail.lines.iter().all(|l| l.kind == LineKind::FirstYear));
    let why = &detail.lines[2].why;
    ensure!(why.contains("20 %") && why.contains("$500.00") && why.contains("5 Jan 2026"), "{why}");

    // The month is computed, approved and paid, once.
    stage.clock("2026-04-01T06:00:00Z").await?;
    let paid = stage.pay("2026-03").await?;
    ensure!(paid.summary.paid_minor == 30_000 && paid.items.len() == 1 && paid.not_paid.is_empty());
    let owner = stage.owner("Northlight Studio").await?;
    let payouts: Vec<Payout> = api.call(Some(&owner), "payouts", &Value::Null).await?;
    let transfers = stage.transfers().await?;
    ensure!(payouts.len() == 1 && transfers.len() == 1, "one payout, one transfer");
    ensure!(payouts[0].state == PayoutState::Paid && payouts[0].transfer.as_deref() == transfers[0]["id"].as_str());
    ensure!(transfers[0]["amount"] == 30_000 && transfers[0]["metadata"]["item"] == json!(payouts[0].item));
    ensure!(transfers[0]["transfer_group"] == json!(format!("aikit:test:{}", payouts[0].item)));
    let detail: PayoutDetail = api.call(Some(&owner), "payout", &json!({ "item": payouts[0].item })).await?;
    let lines: i64 = detail.lines.iter().map(|l| l.amount_minor).sum();
    ensure!(detail.carried_minor + lines == detail.payout.amount_minor, "a payout foots");

    // The next month pays the next invoice and not the first ones again.
    stage.clock("2026-05-01T06:00:00Z").await?;
    let next = stage.pay("2026-04").await?;
    ensure!(next.summary.paid_minor == 10_000 && next.items[0].previous_minor == Some(30_000), "{:?}", next.items);
    // A run that has nothing to pay lists nobody and cannot be sealed.
    let finance = stage.finance().await?;
    let (code, text) =
        refusal(api.call::<Run>(Some(&finance), "draft_run", &DraftRun { period: "2026-04".into() }).await);
    ensure!(code == ErrorCode::Conflict && text.contains("done"), "{text}");
    // The records, Stripe's transfers and its balance agree to the cent.
    let it: Reconciliation = api.call(Some(&finance), "reconcile", &Reconcile { days: 400 }).await?;
    ensure!((it.found, it.transfers, it.settled) == (0, 2, 0), "{it:?}");
    ensure!([it.recorded_minor, it.transferred_minor, it.booked_minor] == [40_000; 3], "{it:?}");
    Ok(())
}

#[tokio::test]
async fn money_that_comes_back_is_set_off_against_the_next_payout() -> Result<()> {
    let stage = Stage::set("back", "2026-01-05T10:00:00Z").await?;
    stage.join("Otter & Vale", "ottervale.example", true).await?;
    let owner = stage.owner("Otter & Vale").await?;
    let overview: Overview = stage.api.call(Some(&owner), "overview", &Value::Null).await?;
    let referral = stage.client(&overview.link_url, "kestrel.example").await?;
    stage.clock("2026-04-01T06:00:00Z").await?;
    stage.pay("2026-03").await?;

    let stripe = stage.world.stripe();
    let invoices = stripe.get("invoices", &[("limit", "10")]).await?;
    let newest = invoices["data"][0]["id"].as_str().context("no invoice")?.to_owned();
    stripe.refund(&newest, Some(20_000)).await?;
    stage.clock("2026-04-20T06:00:00Z").await?;
    let owner = stage.owner("Otter & Vale").await?;
    let detail: ClientDetail = stage.api.call(Some(&owner), "client", &json!({ "referral": referral })).await?;
    let reversed: Vec<i64> =
        detail.lines.iter().filter(|l| l.kind == LineKind::Reversal).map(|l| l.amount_minor).collect();
    ensure!(reversed == [-4_000], "20 % of the $200 that went back: {reversed:?}");
    stage.clock("2026-05-01T06:00:00Z").await?;
    let run = stage.pay("2026-04").await?;
    ensure!(run.summary.paid_minor == 6_000, "$100 of April less $40: {:?}", run.summary);

    // Everything comes back: the balance is a debt, nobody is paid, and the run says so.
    for invoice in stripe.get("invoices", &[("limit", "10")]).await?["data"].as_array().into_iter().flatten() {
        let id = invoice["id"].as_str().unwrap_or_default();
        let left = if id == newest { Some(30_000) } else { None };
        stripe.refund(id, left).await?;
    }
    stage.clock("2026-05-04T06:00:00Z").await?;
    stage.clock("2026-06-01T06:00:00Z").await?;
    let finance = stage.finance().await?;
    let draft: Run = stage.api.call(Some(&finance), "draft_run", &DraftRun { period: "2026-05".into() }).await?;
    ensure!(draft.items.is_empty() && draft.not_paid[0].reason == wire::NotPaidReason::Debt, "{:?}", draft.not_paid);
    let (_, text) = refusal(
        stage
            .api
            .call::<Run>(
                Some(&finance),
                "seal_run",
                &json!({ "run": draft.summary.run, "version": draft.summary.version }),
            )
            .await,
    );
    ensure!(text.contains("nothing to seal"), "{text}");
    Ok(())
}

#[tokio::test]
async fn an_approval_is_for_what_was_seen_by_who_just_proved_it() -> Result<()> {
    let stage = Stage::set("approve", "2026-01-05T10:00:00Z").await?;
    let api = &stage.api;
    let joined = stage.join("Cobalt", "cobalt.example", true).await?;
    stage.join("Unconnected", "unconnected.example", false).await?;
    for (agency, client) in [("Cobalt", "a.example"), ("Unconnected", "b.example")] {
        let owner = stage.owner(agency).await?;
        let overview: Overview = api.call(Some(&owner), "overview", &Value::Null).await?;
        stage.client(&overview.link_url, client).await?;
    }
    stage.clock("2026-04-01T06:00:00Z").await?;
    let finance = stage.finance().await?;
    let f = Some(&finance);
    let (_, text) = refusal(api.call::<Run>(f, "draft_run", &DraftRun { period: "2026-04".into() }).await);
    ensure!(text.contains("has not ended"), "{text}");
    let draft: Run = api.call(f, "draft_run", &DraftRun { period: "2026-03".into() }).await?;
    ensure!(draft.items.len() == 1 && draft.not_paid.len() == 1, "one without a Stripe account is not paid");
    ensure!(draft.not_paid[0].reason == wire::NotPaidReason::NoAccount && draft.not_paid[0].balance_minor == 30_000);
    let again: Run = api.call(f, "draft_run", &DraftRun { period: "2026-03".into() }).await?;
    let run = again.summary.run.clone();
    let seal = |version: u32| json!({ "run": run, "version": version });
    ensure!(refusal(api.call::<Run>(f, "seal_run", &seal(draft.summary.version)).await).0 == ErrorCode::Changed);
    let sealed: Run = api.call(f, "seal_run", &seal(again.summary.version)).await?;
    let hash = sealed.summary.run_hash.clone().context("no hash")?;
    let approve = |hash: &str, version: u32, total: i64| json!({ "run": run, "run_hash": hash, "version": version, "typed_total_minor": total });
    let version = sealed.summary.version;
    let (code, text) = refusal(api.call::<Run>(f, "approve_run", &approve(&hash, version, 29_999)).await);
    ensure!(code == ErrorCode::Invalid && text.contains("$299.99") && text.contains("$300.00"), "{text}");
    ensure!(
        refusal(api.call::<Run>(f, "approve_run", &approve(&hash, version - 1, 30_000)).await).0 == ErrorCode::Changed
    );
    ensure!(refusal(api.call::<Run>(f, "approve_run", &approve("0", version, 30_000)).await).0 == ErrorCode::Changed);
    let early = refusal(api.call::<Run>(f, "send_run", &json!({ "run": run, "run_hash": hash })).await);
    ensure!(early.0 == ErrorCode::Conflict, "not approved yet: {early:?}");

    // Six minutes later the sign-in is not fresh any more.
    stage.clock("2026-04-01T06:06:00Z").await?;
    ensure!(refusal(api.call::<Run>(f, "approve_run", &approve(&hash, version, 30_000)).await).0 == ErrorCode::StepUp);
    let fresh = stage.finance().await?;
    // Sixty-four approvals at once: the run is approved once, and who comes later is told so.
    let approval = approve(&hash, version, 30_000);
    let approvals = (0..64).map(|_| api.call::<Run>(Some(&fresh), "approve_run", &approval));
    for answer in futures::future::join_all(approvals).await {
        ensure!(answer.is_ok() || matches!(refusal(answer).0, ErrorCode::Conflict | ErrorCode::Changed));
    }
    let approved = stage.run_of(&fresh, &run).await?;
    ensure!(approved.summary.state == RunState::Approved && approved.approvals.len() == 1);

    // Sixty-four sends at once: one run, one transfer.
    let send = json!({ "run": run, "run_hash": hash });
    let sends = (0..64).map(|_| api.call::<Run>(Some(&fresh), "send_run", &send));
    for sent in futures::future::join_all(sends).await {
        // Whoever came after the executor is told that there is nothing left to send, or to look again.
        ensure!(sent.is_ok() || matches!(refusal(sent).0, ErrorCode::Conflict | ErrorCode::Changed));
    }
    for _ in 0..300 {
        if stage.run_of(&fresh, &run).await?.summary.state == RunState::Done {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    ensure!(stage.run_of(&fresh, &run).await?.summary.state == RunState::Done);
    ensure!(stage.transfers().await?.len() == 1, "sent once");

    // Whoever decided is in the chain, which the operator checks beside the running API.
    let audit: wire::AuditPage =
        api.http().get(api.url("/v1/audit")).bearer_auth(&fresh.access_token).send().await?.json().await?;
    // The daily reconciliation may have come in between.
    let decisions = audit.entries.iter().rev().map(|entry| entry.action.as_str());
    let actions: Vec<&str> = decisions.filter(|action| *action != "payouts.reconciled").collect();
    ensure!(actions.ends_with(&["run.send_granted"]), "{actions:?}");
    for action in ["key.issued", "person.added", "run.sealed", "run.approved"] {
        ensure!(actions.contains(&action), "{action} is not in {actions:?}");
    }
    let program = product_tests::world::programs_folder()?.join("aikit-partners-server");
    let data = operator_data(&stage)?;
    let verify = async |head: &str| {
        let mut command = tokio::process::Command::new(&program);
        command.args(["audit", "verify", "--head", head, "--data"]).arg(&data).output().await
    };
    let head = format!("{}:{}", audit.head.n, audit.head.hash);
    let good = verify(&head).await?;
    ensure!(good.status.success() && String::from_utf8_lossy(&good.stdout).trim() == head, "{good:?}");
    let other = verify(&format!("{}:{}", audit.head.n, "0".repeat(64))).await?;
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    ensure!(other.status.code() == Some(2) && said.contains("not the one that was kept"), "{said}");

    // Agencies see their own and nothing of runs; somebody else's does not exist.
    let owner = stage.owner("Unconnected").await?;
    let mut seen = Vec::new();
    for (call, args) in
        [("runs", json!({})), ("run", json!({ "run": run })), ("draft_run", json!({ "period": "2026-03" }))]
    {
        seen.push(refusal(api.call::<Value>(Some(&owner), call, &args).await).0);
    }
    ensure!(seen == [ErrorCode::Forbidden; 3]);
    let foreign = format!("{run}:{}", joined.partner_code);
    let missing = format!("{run}:PARTNER_00000000");
    let one = refusal(api.call::<Value>(Some(&owner), "payout", &json!({ "item": foreign })).await);
    let other = refusal(api.call::<Value>(Some(&owner), "payout", &json!({ "item": missing })).await);
    ensure!(one == other && one.0 == ErrorCode::NotFound, "{one:?} {other:?}");
    ensure!(refusal(api.call::<Value>(None, "overview", &json!({})).await).0 == ErrorCode::SignedOut);
    Ok(())
}

#[tokio::test]
async fn bad_input_gets_a_clear_answer_and_loses_nothing() -> Result<()> {
    let mut stage = Stage::set("bad", "2026-01-05T10:00:00Z").await?;
    stage.join("Studio Halcyon", "halcyon.example", true).await?;
    let api = stage.api.clone();
    let http = api.http().clone();
    let said = async |request: reqwest::RequestBuilder| -> Result<(u16, Value)> {
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), serde_json::from_str(&answer.text().await?).unwrap_or(Value::Null)))
    };

    // An unknown code goes to the home page, without a cookie.
    let mut browser = Browser::default();
    let lands = api.click(&api.url("/r/PARTNER_ZZZZZZZZ?to=/pricing"), PERSON, &mut browser).await?;
    ensure!(lands == "https://aikit.example/" && browser.cookie("ref").is_none());
    // Nowhere leads off the site.
    let owner = stage.owner("Studio Halcyon").await?;
    let overview: Overview = api.call(Some(&owner), "overview", &Value::Null).await?;
    for to in ["//evil.example", "https://evil.example/", "/\\evil.example", "/%2f%2fevil.example", "/x@evil.example"] {
        let lands = api.click(&format!("{}?to={to}", overview.link_url), PERSON, &mut Browser::default()).await?;
        ensure!(lands.starts_with("https://aikit.example/"), "{to} leads to {lands}");
    }
    // A code as people pass it on still credits.
    let code = overview.link_url.rsplit('/').next().unwrap_or_default().to_lowercase().replace('_', "-");
    api.click(&api.url(&format!("/r/{code}.")), PERSON, &mut browser).await?;
    ensure!(browser.cookie("ref").is_some_and(|c| c.eq_ignore_ascii_case(&code.replace('-', "_"))));

    // Malformed bodies are told what is wrong with them.
    let join = api.url("/v1/partners");
    for (body, says) in [
        ("{", "JSON"),
        ("{}", "agency_name"),
        (
            r#"{"agency_name":"","email":"a@b.example","website":"b.example","country":"US","accept_terms":"2026-01"}"#,
            "agency_name",
        ),
        (
            r#"{"agency_name":"A","email":"nobody","website":"b.example","country":"US","accept_terms":"2026-01"}"#,
            "e-mail",
        ),
        (
            r#"{"agency_name":"A","email":"a@b.example","website":"javascript:x","country":"US","accept_terms":"2026-01"}"#,
            "website",
        ),
        (
            r#"{"agency_name":"A","email":"a@b.example","website":"b.example","country":"USA","accept_terms":"2026-01"}"#,
            "country",
        ),
        (
            r#"{"agency_name":"A","email":"a@b.example","website":"b.example","country":"US","accept_terms":"1999"}"#,
            "terms",
        ),
    ] {
        let (status, answer) = said(http.post(&join).header("content-type", "application/json").body(body)).await?;
        let message = answer["message"].as_str().unwrap_or_default();
        ensure!(status == 400 && message.contains(says), "{body}: {status} {message}");
    }
    let twice = said(http.post(&join).json(&json!({"agency_name": "B", "email": "OWNER@halcyon.example", "website": "h.example", "country": "US", "accept_terms": "2026-01"}))).await?;
    ensure!(twice.0 == 409, "the same address again: {twice:?}");
    let large =
        said(http.post(&join).header("content-type", "application/json").body(format!("\"{}\"", "x".repeat(300_000))))
            .await?;
    ensure!((400..=413).contains(&large.0), "{large:?}");
    let keyless =
        said(http.post(api.url("/v1/signups")).json(&json!({"customer_id": "c", "email": "a@b.example"}))).await?;
    ensure!(keyless.0 == 401, "{keyless:?}");

    // A webhook without a good signature leaves no trace.
    let account = api.url("/v1/webhooks/stripe/account");
    let forged =
        json!({"id": "evt_forged", "type": "invoice.paid", "livemode": false, "data": {"object": {}}}).to_string();
    for header in [
        None,
        Some("t=1,v1=00"),
        Some("nonsense"),
        Some("t=1767607200,v1=0000000000000000000000000000000000000000000000000000000000000000"),
    ] {
        let mut request = http.post(&account).body(forged.clone());
        if let Some(header) = header {
            request = request.header("Stripe-Signature", header);
        }
        let (status, answer) = said(request).await?;
        ensure!(
            status == 400 && answer["message"].as_str().is_some_and(|m| m.contains("Signature")),
            "{header:?}: {answer}"
        );
    }

    // A true one that comes again changes nothing.
    let referral = stage.client(&overview.link_url, "fjord.example").await?;
    let events = http.get(stage.world.stripe().url("/_control/events?limit=100")).send().await?.json::<Value>().await?;
    let id = |e: &Value| e["event"]["id"].as_str().map(String::from);
    let ids: Vec<String> = events["events"].as_array().into_iter().flatten().filter_map(id).collect();
    ensure!(ids.len() >= 4, "the stand-in tells its events");
    for id in &ids {
        stage.world.stripe().control("redeliver", &json!({ "event": id })).await?;
    }
    stage.clock("2026-01-06T10:00:00Z").await?;
    let owner = stage.owner("Studio Halcyon").await?;
    let detail: ClientDetail = api.call(Some(&owner), "client", &json!({ "referral": referral })).await?;
    ensure!(detail.lines.len() == 1 && detail.lines[0].amount_minor == 10_000, "{:?}", detail.lines);

    // The API is killed and started again: nothing that was answered is lost.
    stage.world.kill_api();
    stage.world.start_api().await?;
    let clients: ClientPage = api.call(Some(&owner), "clients", &Value::Null).await?;
    ensure!(clients.total == 1 && clients.rows.len() == 1 && clients.rows[0].earned_minor == 10_000);
    Ok(())
}

/// The client never clicked; it types the agency's code at the checkout, after the sign-up.
#[tokio::test]
async fn a_promotion_code_at_the_checkout_credits_its_agency() -> Result<()> {
    let stage = Stage::set("coupon", "2026-01-05T10:00:00Z").await?;
    let (api, stripe) = (&stage.api, stage.world.stripe());
    let joined = stage.join("Northlight Studio", "northlight.example", true).await?;
    let code = stripe.create_promotion_code("NORTH10", &joined.partner_code).await?;
    let customer = stripe.create_customer("Fjord", "it@fjord.example").await?;
    let form = SignUp {
        customer_id: "fjord".into(),
        email: "it@fjord.example".into(),
        stripe_customer_id: Some(customer.clone()),
        ..SignUp::default()
    };
    ensure!(api.sign_up(&form).await?.referral_id.is_none(), "nobody is credited yet");
    let product = stripe.create_product("AIKit").await?;
    let subscription = [
        ("customer", customer.as_str()),
        ("items[0][price_data][product]", &product),
        ("items[0][price_data][currency]", "usd"),
        ("items[0][price_data][unit_amount]", "50000"),
        ("items[0][price_data][recurring][interval]", "month"),
        ("discounts[0][promotion_code]", &code),
    ];
    stripe.post("subscriptions", &subscription).await?;
    stage.clock("2026-01-05T10:05:00Z").await?;
    let signed_up = api.sign_up(&form).await?;
    ensure!(signed_up.partner_code.as_deref() == Some(joined.partner_code.as_str()), "{signed_up:?}");
    let owner = stage.owner("Northlight Studio").await?;
    let args = json!({ "referral": signed_up.referral_id });
    let detail: ClientDetail = api.call(Some(&owner), "client", &args).await?;
    // A fifth of what was collected: $500 less ten percent.
    ensure!(detail.lines.len() == 1 && detail.lines[0].amount_minor == 9_000, "{:?}", detail.lines);
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_said_so() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let folder = std::env::temp_dir().join(format!("aikit-port-{}", std::process::id()));
    let program = product_tests::world::programs_folder()?.join("aikit-partners-server");
    let out =
        tokio::process::Command::new(program).args(["serve", "--port", &port, "--data"]).arg(&folder).output().await?;
    let said = String::from_utf8_lossy(&out.stderr);
    let _gone = std::fs::remove_dir_all(&folder);
    ensure!(
        out.status.code() == Some(2) && said.contains(&format!("port {port}")) && said.contains("--port"),
        "{said}"
    );
    Ok(())
}

#[tokio::test]
async fn a_client_who_pays_in_euros_earns_what_stripe_made_of_them() -> Result<()> {
    let stage = Stage::set("euros", "2026-03-01T09:00:00Z").await?;
    let joined = stage.join("Bright Pixel", "brightpixel.example", true).await?;
    let stripe = stage.world.stripe();
    stripe.control("rates", &json!({ "currency": "eur", "rate_ppm": 1_084_200 })).await?;
    let customer = stripe.create_customer("Moulin", "it@moulin.example").await?;
    let form = SignUp {
        customer_id: "moulin".into(),
        email: "it@moulin.example".into(),
        partner_code: Some(joined.partner_code.clone()),
        stripe_customer_id: Some(customer.clone()),
        ..SignUp::default()
    };
    let referral = stage.api.sign_up(&form).await?.referral_id.context("nobody is credited")?;
    let product = stripe.create_product("AIKit").await?;
    let subscription = stripe
        .post(
            "subscriptions",
            &[
                ("customer", customer.as_str()),
                ("items[0][price_data][product]", product.as_str()),
                ("items[0][price_data][currency]", "eur"),
                ("items[0][price_data][unit_amount]", "49900"),
                ("items[0][price_data][recurring][interval]", "month"),
            ],
        )
        .await?;
    stage.clock("2026-03-01T09:01:00Z").await?;
    let owner = stage.owner("Bright Pixel").await?;
    // An event is answered first and read then, and for this one Stripe is asked for its rate.
    let client = stage.client_once(&owner, &referral, |client| !client.lines.is_empty()).await?;
    // 499.00 EUR at 1.0842 is 541.02 USD, of which a fifth is earned.
    assert_eq!(client.lines.iter().map(|l| (l.basis_minor, l.amount_minor)).collect::<Vec<_>>(), [(54_102, 10_820)]);
    assert_eq!(client.client.annual_price_minor, 54_102 * 12);
    stripe.refund(subscription["latest_invoice"].as_str().context("no invoice")?, None).await?;
    stage.clock("2026-03-01T09:02:00Z").await?;
    let client = stage.client_once(&owner, &referral, |client| client.lines.len() > 1).await?;
    assert_eq!(client.lines.iter().map(|l| l.amount_minor).sum::<i64>(), 0, "all of it goes back at the same rate");

    // The journal comes out the same when the whole inbox is read again.
    let program = product_tests::world::programs_folder()?.join("aikit-partners-server");
    let data = operator_data(&stage)?;
    let replay = tokio::process::Command::new(program).args(["inbox", "replay", "--data"]).arg(&data).output().await?;
    let said = String::from_utf8_lossy(&replay.stdout).into_owned();
    assert!(
        replay.status.success() && said.contains("the same 3 facts"),
        "{said}{}",
        String::from_utf8_lossy(&replay.stderr)
    );
    assert!(std::fs::read_dir(&data)?.flatten().all(|e| !e.file_name().to_string_lossy().starts_with("replay")));

    // What this host holds can be taken to an embedded server, table by table the same.
    let (file, elsewhere) = (stage.folder.join("moved.sql"), stage.folder.join("moved"));
    let operator = async |words: &[&str], folder: &Path| -> Result<String> {
        let program = product_tests::world::programs_folder()?.join("aikit-partners-server");
        let done = tokio::process::Command::new(program).args(words).arg("--data").arg(folder).output().await?;
        ensure!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let path = file.display().to_string();
    let (mut here, mut there) = (String::new(), "-".to_string());
    // The worker's trigger may write between two looks at it; at some time it rests.
    for _ in 0..20 {
        std::fs::remove_file(&file).ok();
        std::fs::remove_dir_all(&elsewhere).ok();
        if product_tests::world::on_the_edge() {
            let pid = stage.world.api_pid().context("the worker does not run")?.to_string();
            ensure!(Command::new("kill").args(["-USR2", &pid]).status()?.success());
            let written = data.with_file_name("api").join("from-d1.sql");
            while !written.exists() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            std::fs::rename(written, &file)?;
            std::fs::remove_dir_all(&data)?;
            here = operator(&["export"], &operator_data(&stage)?).await?;
        } else {
            here = operator(&["export", "--to", &path], &data).await?;
        }
        there = operator(&["import", "--from", &path], &elsewhere).await?;
        if there == here {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(there, here);
    let facts =
        here.lines().find_map(|line| line.strip_prefix("fact ")?.split_whitespace().next()?.parse::<u32>().ok());
    assert!(facts.is_some_and(|facts| facts >= 3), "{here}");
    Ok(())
}
