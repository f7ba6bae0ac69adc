//! Walks the planned story: moves the stand-in's clock from act to act and carries each one out through the door that
//! it would come through in reality.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use wire::{
    ApproveRun, CreateLink, CurrentTerms, DraftRun, JoinPartner, Link, Resource, Role, Run, RunState, SealRun, SendRun,
    Session, SetSlug, SignUp, Slug, Utm,
};

use crate::api::{Api, Browser};
use crate::calendar::Month;
use crate::dice::Dice;
use crate::plan::{Act, Click, Deed, Plan};
use crate::resources::RESOURCES;
use crate::story::{AGENCIES, Account, CLIENTS, Price};
use crate::stripe_side::{StripeSide, Subscription};

/// What the platform has for transfers, at least, in US cents.
const BALANCE_MINOR: i64 = 6_120_418;

/// How long a webhook may take, with a second try or two.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the executor may take for one run.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// Said while the story is walked.
#[derive(Clone, Debug)]
pub enum Told<'a> {
    /// An act was carried out.
    Step {
        /// How many are done.
        done: usize,
        /// How many there are.
        total: usize,
        /// In which month.
        month: Month,
    },
    /// A month is over.
    Month(&'a MonthTold),
}

/// What happened in a month of the story.
#[derive(Clone, Debug)]
pub struct MonthTold {
    /// The month.
    pub month: Month,
    /// Agencies that joined.
    pub joined: u32,
    /// Clicks, those of programs included.
    pub clicks: u32,
    /// Sign-ups.
    pub sign_ups: u32,
    /// Events that Stripe reported by webhook.
    pub events: u32,
    /// What was paid out, in US cents.
    pub paid_minor: i64,
}

impl MonthTold {
    fn new(month: Month) -> Self {
        Self { month, joined: 0, clicks: 0, sign_ups: 0, events: 0, paid_minor: 0 }
    }
}

/// Walks a plan on an empty API and an empty stand-in, and leaves the clock running from the plan's end.
///
/// # Errors
/// The API or the stand-in refuses an act; the message says which, and when.
pub async fn walk(plan: &Plan, api: &Api, stripe: &StripeSide, tell: &mut (dyn FnMut(Told<'_>) + Send)) -> Result<()> {
    let mut walk = Walk::new(api, stripe, Month::of(plan.starts_at));
    stripe.move_clock(plan.starts_at).await?;
    for (done, act) in plan.acts.iter().enumerate() {
        walk.advance(act.at, tell).await.with_context(|| format!("up to {}", act.at))?;
        walk.act(act).await.with_context(|| format!("{:?} at {}", act.deed, act.at))?;
        tell(Told::Step { done: done + 1, total: plan.acts.len(), month: walk.told.month });
    }
    walk.advance(plan.ends_at, tell).await?;
    walk.count_events().await?;
    walk.write_resources().await?;
    stripe.set_balance(BALANCE_MINOR).await?;
    stripe.run_clock(plan.ends_at).await?;
    if walk.told.events > 0 || walk.told.clicks > 0 {
        tell(Told::Month(&walk.told));
    }
    Ok(())
}

/// The state of a walk: what the API and Stripe called the things that were made.
struct Walk<'a> {
    api: &'a Api,
    stripe: &'a StripeSide,
    now: Option<DateTime<Utc>>,
    agencies: BTreeMap<usize, Partner>,
    clients: BTreeMap<usize, Referred>,
    products: BTreeMap<&'static str, String>,
    drafts: BTreeMap<Month, String>,
    events_before: u32,
    told: MonthTold,
}

/// An agency that joined.
struct Partner {
    code: String,
    onboarding_url: String,
    links: BTreeMap<usize, String>,
}

/// A client from its first click on.
#[derive(Default)]
struct Referred {
    browser: Browser,
    referral: Option<String>,
    subscription: Option<Subscription>,
    dispute: Option<String>,
}

impl<'a> Walk<'a> {
    fn new(api: &'a Api, stripe: &'a StripeSide, month: Month) -> Self {
        Self {
            api,
            stripe,
            now: None,
            agencies: BTreeMap::new(),
            clients: BTreeMap::new(),
            products: BTreeMap::new(),
            drafts: BTreeMap::new(),
            events_before: 0,
            told: MonthTold::new(month),
        }
    }

    /// Moves the clock to an instant, over the first instant of every month in between, so that each month tells its own.
    async fn advance(&mut self, to: DateTime<Utc>, tell: &mut (dyn FnMut(Told<'_>) + Send)) -> Result<()> {
        while self.told.month < Month::of(to) {
            let next = self.told.month.plus(1);
            self.move_clock(next.start()).await?;
            self.count_events().await?;
            tell(Told::Month(&self.told));
            self.told = MonthTold::new(next);
        }
        self.move_clock(to).await
    }

    async fn move_clock(&mut self, to: DateTime<Utc>) -> Result<()> {
        if self.now != Some(to) {
            self.stripe.move_clock(to).await?;
            self.now = Some(to);
        }
        Ok(())
    }

    /// Counts the month's events, once the API has taken all of them.
    async fn count_events(&mut self) -> Result<()> {
        let asked_at = Instant::now();
        loop {
            let events = self.stripe.events().await?;
            if events.pending == 0 {
                self.told.events = events.total - self.events_before;
                self.events_before = events.total;
                return Ok(());
            }
            if asked_at.elapsed() > WEBHOOK_TIMEOUT {
                bail!("the API does not take {} of Stripe's webhooks; its log says why", events.pending);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn act(&mut self, act: &Act) -> Result<()> {
        match act.deed {
            Deed::Join(agency) => self.join(agency).await,
            Deed::Onboard(agency) => self.onboard(agency).await,
            Deed::MakeLink(agency, campaign) => self.make_link(agency, campaign).await,
            Deed::Click(click) => self.click(click).await,
            Deed::SignUp(client) => self.sign_up(client).await,
            Deed::Subscribe(client, price) => self.subscribe(client, price).await,
            Deed::Move(client, price) => {
                let product = self.product(price.product).await?;
                self.stripe.change_price(self.subscription(client)?, &product, price).await
            }
            Deed::Cancel(client) => self.stripe.cancel(self.subscription(client)?).await,
            Deed::Refund(client, amount_minor) => {
                let invoice = self.stripe.newest_paid_invoice(self.subscription(client)?).await?;
                self.stripe.refund(&invoice, amount_minor).await
            }
            Deed::OpenDispute(client) => {
                let invoice = self.stripe.newest_paid_invoice(self.subscription(client)?).await?;
                let dispute = self.stripe.open_dispute(&invoice).await?;
                self.clients.entry(client).or_default().dispute = Some(dispute);
                Ok(())
            }
            Deed::CloseDispute(client, outcome) => {
                let dispute = self.clients.get(&client).and_then(|client| client.dispute.as_deref());
                self.stripe.close_dispute(dispute.context("there is no dispute")?, outcome).await
            }
            Deed::Draft(period) => self.draft(period).await,
            Deed::Pay(period) => self.pay(period).await,
        }
    }

    async fn join(&mut self, number: usize) -> Result<()> {
        let agency = &AGENCIES[number];
        let terms: CurrentTerms = self.api.call(None, "current_terms", &serde_json::Value::Null).await?;
        let form = JoinPartner {
            agency_name: agency.name.to_owned(),
            email: format!("{}@{}", agency.owner, agency.domain()),
            website: format!("https://www.{}", agency.domain()),
            country: agency.country.to_owned(),
            accept_terms: terms.version,
        };
        let joined = self.api.join(&form).await?;
        let partner =
            Partner { code: joined.partner_code, onboarding_url: joined.onboarding_url, links: BTreeMap::new() };
        self.agencies.insert(number, partner);
        self.told.joined += 1;
        Ok(())
    }

    async fn onboard(&self, number: usize) -> Result<()> {
        let page = self.api.follow(&self.partner(number)?.onboarding_url).await?;
        let back = self.stripe.onboard(&page, AGENCIES[number].account == Account::Finished).await?;
        if let Some(back) = back {
            // The owner's browser comes back to the dashboard; what it shows there is not the story's concern.
            self.api.http().get(&back).send().await.with_context(|| format!("{back} cannot be reached"))?;
        }
        Ok(())
    }

    async fn make_link(&mut self, number: usize, place: usize) -> Result<()> {
        let agency = &AGENCIES[number];
        let campaign = &agency.campaigns[place];
        let owner =
            self.sign_in(|person| person.role == Role::Owner && person.name == agency.name, agency.name).await?;
        if let Some(slug) = agency.slug.filter(|_| place == 0) {
            let _slug: Slug = self.api.call(Some(&owner), "set_slug", &SetSlug { slug: slug.to_owned() }).await?;
        }
        let form = CreateLink {
            id: Dice::of(&format!("{} {}", agency.key, campaign.name)).uuid(),
            campaign: campaign.name.to_owned(),
            path: campaign.path.to_owned(),
            utm: Utm {
                source: Some(campaign.source.to_owned()),
                medium: Some(campaign.medium.to_owned()),
                campaign: Some(campaign.name.to_lowercase().replace(' ', "-")),
                ..Utm::default()
            },
        };
        let link: Link = self.api.call(Some(&owner), "create_link", &form).await?;
        let partner = self.agencies.get_mut(&number).context("the agency has not joined")?;
        partner.links.insert(place, link.url);
        Ok(())
    }

    async fn click(&mut self, click: Click) -> Result<()> {
        let partner = self.partner(click.agency)?;
        let url = match click.campaign {
            Some(place) => partner.links.get(&place).context("the link is not made yet")?.clone(),
            None => self.api.url(&format!("/r/{}", partner.code)),
        };
        self.told.clicks += 1;
        let mut passing = Browser::default();
        let browser = match click.client {
            Some(client) => &mut self.clients.entry(client).or_default().browser,
            None => &mut passing,
        };
        self.api.click(&url, click.visitor, browser).await?;
        Ok(())
    }

    async fn sign_up(&mut self, number: usize) -> Result<()> {
        let client = &CLIENTS[number];
        let typed = match client.way {
            crate::story::Way::Code => {
                let agency = AGENCIES.iter().position(|agency| agency.key == client.agency);
                Some(self.partner(agency.context("the client has no agency")?)?.code.clone())
            }
            _ => None,
        };
        let referred = self.clients.entry(number).or_default();
        let cookie = |name: &str| referred.browser.cookie(name).map(str::to_owned);
        let form = SignUp {
            customer_id: format!("aikit-{:05}", 10_417 + number * 37),
            email: client.email.to_owned(),
            ref_code: cookie("ref"),
            click_id: cookie("ref_click"),
            partner_code: typed,
            ..SignUp::default()
        };
        referred.referral = self.api.sign_up(&form).await?.referral_id;
        let credited = client.way != crate::story::Way::TooLate;
        if referred.referral.is_some() != credited {
            bail!("{} is to be credited: {credited}; the API decided otherwise", client.email);
        }
        self.told.sign_ups += 1;
        Ok(())
    }

    async fn subscribe(&mut self, number: usize, price: Price) -> Result<()> {
        let client = &CLIENTS[number];
        let product = self.product(price.product).await?;
        let customer = self.stripe.create_customer(&company(client.email), client.email).await?;
        let referred = self.clients.entry(number).or_default();
        let referral = referred.referral.as_deref();
        let subscription = self.stripe.subscribe(&customer, &product, price, client.trial_days(), referral).await?;
        referred.subscription = Some(subscription);
        Ok(())
    }

    /// The API drafts the month by itself; finance computes it again, which is the same whichever comes first.
    async fn draft(&mut self, period: Month) -> Result<()> {
        let finance = self.finance().await?;
        let form = DraftRun { period: period.to_string() };
        let run: Run = self.api.call(Some(&finance), "draft_run", &form).await?;
        self.drafts.insert(period, run.summary.run);
        Ok(())
    }

    /// Seals, approves and sends a draft, and waits until the executor has paid all of it.
    async fn pay(&mut self, period: Month) -> Result<()> {
        let finance = self.finance().await?;
        let id = self.drafts.get(&period).context("the run is not drafted")?.clone();
        let path = serde_json::json!({ "run": id });
        let run: Run = self.api.call(Some(&finance), "run", &path).await?;
        self.stripe.set_balance(BALANCE_MINOR.max(run.summary.total_minor.saturating_mul(2))).await?;
        let run: Run =
            self.api.call(Some(&finance), "seal_run", &with(&path, &SealRun { version: run.summary.version })?).await?;
        let hash = run.summary.run_hash.clone().context("the sealed run has no hash")?;
        let total_minor = run.summary.total_minor;
        let approval =
            ApproveRun { run_hash: hash.clone(), version: run.summary.version, typed_total_minor: total_minor };
        let _run: Run = self.api.call(Some(&finance), "approve_run", &with(&path, &approval)?).await?;
        let mut run: Run =
            self.api.call(Some(&finance), "send_run", &with(&path, &SendRun { run_hash: hash })?).await?;
        let sent_at = Instant::now();
        while run.summary.state != RunState::Done {
            if sent_at.elapsed() > SEND_TIMEOUT {
                bail!("the run is not paid after {} s: {:?}", SEND_TIMEOUT.as_secs(), run.progress);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            run = self.api.call(Some(&finance), "run", &path).await?;
        }
        if run.summary.paid_minor != total_minor {
            bail!("approved were {total_minor} cents, paid {}", run.summary.paid_minor);
        }
        self.told.paid_minor += total_minor;
        Ok(())
    }

    /// The partner team writes what agencies work with, and publishes it.
    async fn write_resources(&self) -> Result<()> {
        let staff = self.sign_in(|person| person.role == Role::Staff, "somebody of the partner team").await?;
        for written in RESOURCES {
            let made: Resource = self.api.call(Some(&staff), "create_resource", &written.form()).await?;
            let publish = serde_json::json!({"resource": made.id, "version": made.version, "published": true});
            let _published: Resource = self.api.call(Some(&staff), "publish_resource", &publish).await?;
        }
        Ok(())
    }

    async fn finance(&self) -> Result<Session> {
        self.sign_in(|person| person.role == Role::Finance, "somebody from finance").await
    }

    async fn sign_in(&self, wanted: impl Fn(&wire::DemoPerson) -> bool, who: &str) -> Result<Session> {
        let people = self.api.people().await?;
        let person = people.iter().find(|person| wanted(person));
        self.api.sign_in(&person.with_context(|| format!("{who} is not among the demo's people"))?.person).await
    }

    /// Stripe's id of a product, made when it is first sold.
    async fn product(&mut self, name: &'static str) -> Result<String> {
        if let Some(id) = self.products.get(name) {
            return Ok(id.clone());
        }
        let id = self.stripe.create_product(name).await?;
        self.products.insert(name, id.clone());
        Ok(id)
    }

    fn partner(&self, number: usize) -> Result<&Partner> {
        self.agencies.get(&number).with_context(|| format!("{} has not joined", AGENCIES[number].name))
    }

    fn subscription(&self, number: usize) -> Result<&Subscription> {
        let client = self.clients.get(&number).and_then(|client| client.subscription.as_ref());
        client.with_context(|| format!("{} has no subscription", CLIENTS[number].email))
    }
}

/// The arguments of a call: those of its path and those of its body.
fn with(path: &serde_json::Value, body: &impl serde::Serialize) -> Result<serde_json::Value> {
    let mut args = serde_json::to_value(body)?;
    if let (Some(args), Some(path)) = (args.as_object_mut(), path.as_object()) {
        args.extend(path.clone());
    }
    Ok(args)
}

/// A company's name from an address: `it@polder-logistics.example` is Polder Logistics.
fn company(email: &str) -> String {
    let (name, domain) = email.split_once('@').unwrap_or((email, ""));
    let name = if domain.ends_with(".example") { domain.trim_end_matches(".example") } else { name };
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split(['-', '.']).map(capital).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn companies_are_called_after_their_domain() {
        assert_eq!(company("it@polder-logistics.example"), "Polder Logistics");
        assert_eq!(company("burren.pottery@outlook.com"), "Burren Pottery");
    }
}
