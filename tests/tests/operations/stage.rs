//! A world of one test, and how a test asks it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chrono::{DateTime, Utc};
use product_tests::plan::Visitor;
use product_tests::story::{Interval, Price};
use product_tests::{Api, Browser, Config, Refusal, World};
use serde_json::{Value, json};
use wire::{ApproveRun, ErrorCode, JoinPartner, Joined, Role, Run, RunState, RunSummary, Session, SignUp};

pub(crate) const PERSON: Visitor = Visitor::Person("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0");

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A world of its own, and the folder that goes with it.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) api: Api,
    pub(crate) folder: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

impl Stage {
    pub(crate) async fn set(name: &str) -> Result<Stage> {
        let folder = std::env::temp_dir().join(format!("aikit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let now = at("2026-01-05T10:00:00Z");
        let world = World::start(Config { data: folder.clone(), port: None, ui: None, now }).await?;
        let api = world.api()?;
        Ok(Stage { world, api, folder })
    }

    pub(crate) async fn clock(&self, now: &str) -> Result<()> {
        self.world.stripe().move_clock(at(now)).await
    }

    pub(crate) async fn person(&self, role: Role, name: &str) -> Result<Session> {
        let people = self.api.people().await?;
        let person = people.iter().find(|p| p.role == role && p.name.contains(name)).context("no such person")?;
        self.api.sign_in(&person.person).await
    }

    pub(crate) async fn finance(&self) -> Result<Session> {
        self.person(Role::Finance, "").await
    }

    /// An agency with a Stripe account.
    pub(crate) async fn join(&self, name: &str, email: &str) -> Result<Joined> {
        let joined = self.fill_in(name, email).await?;
        let page = self.api.follow(&joined.onboarding_url).await?;
        self.world.stripe().onboard(&page, true).await?.context("it leads nowhere")?;
        Ok(joined)
    }

    /// An agency without one.
    pub(crate) async fn fill_in(&self, name: &str, email: &str) -> Result<Joined> {
        let terms: wire::CurrentTerms = self.api.call(None, "current_terms", &Value::Null).await?;
        let form = JoinPartner {
            agency_name: name.into(),
            email: email.into(),
            website: "https://www.northlight.example/".into(),
            country: "US".into(),
            accept_terms: terms.version,
        };
        self.api.join(&form).await
    }

    /// A client of an agency that pays $500 a month; answers its referral.
    pub(crate) async fn client(&self, code: &str, email: &str) -> Result<String> {
        let mut browser = Browser::default();
        self.api.click(&self.api.url(&format!("/r/{code}")), PERSON, &mut browser).await?;
        let customer = self.world.stripe().create_customer("Client", email).await?;
        let form = SignUp {
            customer_id: format!("aikit-{email}").replace('@', "-"),
            email: email.into(),
            ref_code: browser.cookie("ref").map(Into::into),
            click_id: browser.cookie("ref_click").map(Into::into),
            stripe_customer_id: Some(customer.clone()),
            ..SignUp::default()
        };
        let referral = self.api.sign_up(&form).await?.referral_id.context("nobody is credited")?;
        let product = self.world.stripe().create_product("AIKit").await?;
        let price = Price { product: "AIKit", amount_minor: 50_000, interval: Interval::Month };
        self.world.stripe().subscribe(&customer, &product, price, 0, None).await?;
        Ok(referral)
    }

    pub(crate) async fn runs(&self) -> Result<Vec<RunSummary>> {
        self.api.call(Some(&self.finance().await?), "runs", &Value::Null).await
    }

    /// Waits for the scheduler.
    pub(crate) async fn run_of(&self, period: &str) -> Result<RunSummary> {
        until(&format!("the run of {period}"), async || {
            Ok(self.runs().await?.into_iter().find(|run| run.period == period))
        })
        .await
    }

    /// Seals and approves a draft; answers it.
    pub(crate) async fn approve(&self, period: &str) -> Result<Run> {
        let draft = self.run_of(period).await?;
        let finance = self.finance().await?;
        let seal = json!({ "run": draft.run, "version": draft.version });
        let sealed: Run = self.api.call(Some(&finance), "seal_run", &seal).await?;
        let run_hash = sealed.summary.run_hash.clone().context("no hash")?;
        let total = sealed.summary.total_minor;
        let mut approval =
            serde_json::to_value(ApproveRun { run_hash, version: sealed.summary.version, typed_total_minor: total })?;
        approval["run"] = json!(draft.run);
        self.api.call(Some(&finance), "approve_run", &approval).await
    }

    pub(crate) async fn send(&self, run: &Run) -> Result<Run> {
        let form = json!({ "run": run.summary.run, "run_hash": run.summary.run_hash });
        self.api.call(Some(&self.finance().await?), "send_run", &form).await
    }

    pub(crate) async fn paid(&self, run: &Run) -> Result<()> {
        let path = json!({ "run": run.summary.run });
        until("the payouts", async || {
            let run: Run = self.api.call(Some(&self.finance().await?), "run", &path).await?;
            Ok((run.summary.state == RunState::Done).then_some(()))
        })
        .await
    }

    /// A call that no page makes.
    pub(crate) async fn get<T: serde::de::DeserializeOwned>(&self, session: Option<&Session>, path: &str) -> Result<T> {
        let request = self.api.http().get(self.api.url(path));
        answer(bearer(request, session)).await
    }

    pub(crate) async fn post<T: serde::de::DeserializeOwned>(
        &self,
        session: Option<&Session>,
        path: &str,
        body: &Value,
    ) -> Result<T> {
        let request = self.api.http().post(self.api.url(path)).json(body);
        answer(bearer(request, session)).await
    }

    /// Every e-mail so far, as it was handed over, unfolded.
    pub(crate) fn mail(&self) -> Vec<String> {
        let folder = self.world.api_data().join("outbox");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|f| f.path());
        let texts =
            files.filter(|f| f.extension().is_some_and(|e| e == "eml")).filter_map(|f| std::fs::read_to_string(f).ok());
        texts.map(|text| text.replace("=\r\n", "").replace("\r\n ", " ").replace("=3D", "=")).collect()
    }

    /// Waits for an e-mail to somebody with these words in it.
    pub(crate) async fn mail_with(&self, to: &str, words: &str) -> Result<String> {
        until(&format!("mail to {to} with {words:?}"), async || {
            Ok(self.mail().into_iter().find(|m| m.contains(&format!("To: {to}")) && m.contains(words)))
        })
        .await
    }

    /// Somebody of AIKit who signs in by the code in the mail.
    pub(crate) async fn colleague(&self, role: &str) -> Result<Session> {
        let email = format!("{role}@colleagues.example");
        let data = self.world.api_data();
        self.world.operator(&["staff", "add", "--data", &data.to_string_lossy(), "--role", role, &email])?;
        let _sent: Value = self.post(None, "/v1/auth/codes", &json!({ "email": email })).await?;
        let mail = self.mail_with(&email, "sign-in code").await?;
        let code = mail.lines().map(str::trim).find(|l| l.len() == 6 && l.chars().all(|c| c.is_ascii_digit()));
        let form = json!({ "email": email, "code": code.context("no code")?, "keep": "token" });
        self.post(None, "/v1/auth/sessions", &form).await
    }
}

fn bearer(request: reqwest::RequestBuilder, session: Option<&Session>) -> reqwest::RequestBuilder {
    match session {
        Some(session) => request.bearer_auth(&session.access_token),
        None => request,
    }
}

async fn answer<T: serde::de::DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).with_context(|| text)
}

/// Asks again until there is an answer, for at most a minute.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let began = std::time::Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(began.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn refusal<T>(result: Result<T>) -> (ErrorCode, String) {
    let Err(error) = result else { panic!("this had to be refused") };
    let refusal = error.downcast_ref::<Refusal>().unwrap_or_else(|| panic!("not a refusal: {error:#}"));
    (refusal.body.code, refusal.body.message.clone())
}
