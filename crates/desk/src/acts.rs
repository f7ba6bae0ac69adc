//! What a person does, where it can wait for the network: it is on disk before it is sent, and done once. And the commands
//! about the copy.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use wire::{Call, Client, ClientDetail, ClientPage, ClientsQuery, CreateLink, ErrorBody, ErrorCode, Link, UpdateLink};

use crate::api::Failure;
use crate::clock;
use crate::desk::{Answer, Desk};
use crate::natives::{DismissAct, Nothing, to_value};
use crate::request::Request;
use crate::session::{cannot_read, signed_out};
use crate::sync::{
    Act, CopyState, Keeper, LineDifference, Outcome, SessionRemote, Trouble, UNTRUSTED, archived, clients_that_differ,
    lines_that_differ, made, new_link, with_pending,
};

/// How long a window waits for the answer to an act before it is shown as one that waits.
const WAIT: Duration = Duration::from_secs(5);
/// Clients that are asked for at once, and how often.
const CLIENTS_OF_PAGE: usize = 500;
const MOST_PAGES: u32 = 400;
/// Clients whose lines are compared, at most.
const CLIENTS_COMPARED: usize = 20;

impl Desk {
    /// Does an act that can wait: it is written down, then sent if the API can be reached. `None` for any other call, and where
    /// this computer knows too little to do it by itself.
    pub(crate) async fn act(&self, call: &'static Call, args: &Value) -> Option<Result<Answer, ErrorBody>> {
        let keeper = self.keeper()?;
        let checked = match (call.name, keeper.of_agency()) {
            ("create_link" | "update_link", true) => check(&keeper, call.name, args)?,
            ("add_note" | "hold_partner" | "release_partner", false) => Ok(()),
            _ => return None,
        };
        Some(match checked {
            Ok(()) => self.act_durably(&keeper, call, args).await,
            Err(refused) => Err(refused),
        })
    }

    async fn act_durably(&self, keeper: &Arc<Keeper>, call: &Call, args: &Value) -> Result<Answer, ErrorBody> {
        let Some(mid) = clock::new_uuid() else {
            let message = "This computer gives no random numbers, so nothing can be done safely. Start it again.";
            return Err(ErrorBody::new(ErrorCode::Unavailable, message));
        };
        let (name, args) = (call.name.to_owned(), args.clone());
        let act = Act { mid, name, args, made_at: clock::now(), refused: None };
        keeper.put(&act).map_err(|trouble| not_kept(&trouble))?;
        let round = self.round(keeper);
        let ended = tokio::time::timeout(WAIT, round).await;
        match keeper.outcome(&act.mid).map_err(|trouble| not_kept(&trouble))? {
            Outcome::Refused(error) => {
                // The person sees it now, and need not see it again.
                keeper.dismiss(&act.mid).map_err(|trouble| not_kept(&trouble))?;
                Err(error)
            }
            Outcome::Done => self.done(keeper, &act).await,
            Outcome::Waiting => {
                if matches!(ended, Ok(Err(Trouble::Refused(error))) if error.code == ErrorCode::SignedOut) {
                    return Err(signed_out());
                }
                self.waiting(keeper, &act).await
            }
        }
    }

    /// One round, which goes on when nobody waits for it any more.
    async fn round(&self, keeper: &Arc<Keeper>) -> Result<(), Trouble> {
        let remote = SessionRemote { sessions: Arc::clone(&self.sessions), whose: keeper.name.clone() };
        let keeper = Arc::clone(keeper);
        let round = tokio::spawn(async move { keeper.round(&remote).await });
        round.await.unwrap_or(Err(Trouble::Closed))
    }

    /// The answer to an act that is done.
    async fn done(&self, keeper: &Keeper, act: &Act) -> Result<Answer, ErrorBody> {
        if !keeper.of_agency() {
            return self.run(act).await;
        }
        let Some(pages) = keeper.pages() else { return Err(ErrorBody::new(ErrorCode::Unavailable, UNTRUSTED)) };
        let id = link_of(act);
        let link = [false, true].into_iter().flat_map(|archived| pages.links(archived)).find(|link| link.id == id);
        let link = link.ok_or_else(|| ErrorBody::new(ErrorCode::NotFound, "There is no such link."))?;
        Ok(Answer { data: to_value(&link)?, as_of: pages.now(), saved: false })
    }

    /// The answer to an act that waits: the thing as it will be.
    async fn waiting(&self, keeper: &Keeper, act: &Act) -> Result<Answer, ErrorBody> {
        if !keeper.of_agency() {
            let call = Call::find("run").ok_or_else(|| kept_for_later(act))?;
            let saved = self.read_saved(call, &json!({ "run": act.text("run") })).await;
            return saved.ok_or_else(|| kept_for_later(act));
        }
        let pages = keeper.pages().ok_or_else(|| kept_for_later(act))?;
        let acts = keeper.acts();
        let id = link_of(act);
        let all = [false, true].into_iter().flat_map(|put| with_pending(pages.links(put), &pages, &acts, put));
        let link = all.into_iter().find(|link| link.id == id).or_else(|| made(&pages, act));
        let link = link.ok_or_else(|| kept_for_later(act))?;
        Ok(Answer { data: to_value(&link)?, as_of: pages.now(), saved: true })
    }

    /// The run that an act of finance was about.
    async fn run(&self, act: &Act) -> Result<Answer, ErrorBody> {
        let args = json!({ "run": act.text("run") });
        let call = Call::find("run").ok_or_else(|| kept_for_later(act))?;
        Box::pin(self.read_call(call, &args)).await
    }

    /// What is pending beside what the API says.
    pub(crate) fn with_pending(&self, call: &Call, args: &Value, answer: Answer) -> Answer {
        let Some(keeper) = self.keeper().filter(|keeper| keeper.of_agency() && call.name == "links") else {
            return answer;
        };
        let acts = keeper.acts();
        if acts.iter().all(|act| act.refused.is_some()) {
            return answer;
        }
        let (Some(pages), Ok(links)) = (keeper.pages(), serde_json::from_value::<Vec<Link>>(answer.data.clone()))
        else {
            return answer;
        };
        let data = json!(with_pending(links, &pages, &acts, archived(args)));
        Answer { data, ..answer }
    }

    pub(crate) async fn copy_state(&self, _: Nothing) -> Result<CopyState, ErrorBody> {
        Ok(self.keeper().map(|keeper| keeper.state()).unwrap_or_default())
    }

    pub(crate) async fn sync_now(&self, _: Nothing) -> Result<CopyState, ErrorBody> {
        let Some(keeper) = self.keeper() else { return Ok(CopyState::default()) };
        match self.round(&keeper).await {
            Err(Trouble::Refused(error)) if error.code == ErrorCode::SignedOut => Err(error),
            // The state says what went wrong.
            _ => Ok(keeper.state()),
        }
    }

    pub(crate) async fn focused(&self, _: Nothing) -> Result<(), ErrorBody> {
        if let Some(keeper) = self.keeper() {
            keeper.ask();
        }
        Ok(())
    }

    pub(crate) async fn cancel_sync(&self, nothing: Nothing) -> Result<CopyState, ErrorBody> {
        if let Some(keeper) = self.keeper() {
            keeper.cancel();
        }
        self.copy_state(nothing).await
    }

    pub(crate) async fn dismiss_act(&self, what: DismissAct) -> Result<CopyState, ErrorBody> {
        let Some(keeper) = self.keeper() else { return Ok(CopyState::default()) };
        keeper.dismiss(&what.mid).map_err(|trouble| not_kept(&trouble))?;
        Ok(keeper.state())
    }

    /// Compares the clients of the copy with the API's, and the lines of those that differ. What belongs to no client, a bonus
    /// or an adjustment, has no page of its own and is not among them.
    pub(crate) async fn statement_differences(&self, _: Nothing) -> Result<Vec<LineDifference>, ErrorBody> {
        let Some(keeper) = self.keeper().filter(|keeper| keeper.of_agency()) else { return Ok(Vec::new()) };
        let (there, as_of) = self.clients_of_api().await?;
        let pages = keeper.pages().ok_or_else(|| ErrorBody::new(ErrorCode::Unavailable, UNTRUSTED))?;
        let here = partner::Evaluated::new(Arc::clone(pages.slice()), as_of)
            .map_err(|error| ErrorBody::new(ErrorCode::Unavailable, error.to_string()))?;
        let ours: Vec<Client> =
            (0..).map_while(|page| some(here.clients(&page_of_clients(page)).rows)).flatten().collect();
        let mut differences = Vec::new();
        for referral in clients_that_differ(&ours, &there).into_iter().take(CLIENTS_COMPARED) {
            let theirs: Option<ClientDetail> = match self.of_api("client", json!({ "referral": referral })).await {
                Ok((detail, _)) => Some(detail),
                Err(error) if error.code == ErrorCode::NotFound => None,
                Err(error) => return Err(error),
            };
            differences.extend(lines_that_differ(&referral, here.client(&referral).as_ref(), theirs.as_ref()));
        }
        Ok(differences)
    }

    /// All clients as the API says, and when it said so.
    async fn clients_of_api(&self) -> Result<(Vec<Client>, DateTime<Utc>), ErrorBody> {
        let mut all = Vec::new();
        for page in 0.. {
            let (found, as_of): (ClientPage, _) = self.of_api("clients", json!(page_of_clients(page))).await?;
            let ends = found.rows.len() < CLIENTS_OF_PAGE || page > MOST_PAGES;
            all.extend(found.rows);
            if ends {
                return Ok((all, as_of));
            }
        }
        Ok((all, clock::now()))
    }

    /// What the API says to a call, and when it said so.
    async fn of_api<A: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        args: Value,
    ) -> Result<(A, DateTime<Utc>), ErrorBody> {
        let unreadable =
            || ErrorBody::new(ErrorCode::Unavailable, "The API answered in a form that this app does not know.");
        let call = Call::find(name).ok_or_else(unreadable)?;
        let request = Request::of(&self.sessions.api.config.api, call, &args)?;
        match self.sessions.send(&request, self.sessions.pass().await.as_ref()).await {
            Ok(answered) => {
                let as_of = answered.as_of.ok_or_else(unreadable)?;
                Ok((serde_json::from_value(answered.data).map_err(|_| unreadable())?, as_of))
            }
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Away(away)) => Err(cannot_read(&self.sessions.api, &away)),
        }
    }
}

/// One page of all clients.
fn page_of_clients(page: u32) -> ClientsQuery {
    let limit = u32::try_from(CLIENTS_OF_PAGE).unwrap_or(u32::MAX);
    ClientsQuery { from: page.saturating_mul(limit), limit: Some(limit), ..ClientsQuery::default() }
}

/// A page that has something.
fn some<T>(rows: Vec<T>) -> Option<Vec<T>> {
    (!rows.is_empty()).then_some(rows)
}

/// Whether an act of an agency may be written down. `None` where this computer cannot say.
fn check(keeper: &Keeper, name: &str, args: &Value) -> Option<Result<(), ErrorBody>> {
    let pages = keeper.pages()?;
    let invalid = |message: String| ErrorBody::new(ErrorCode::Invalid, message);
    if name == "create_link" {
        let given: CreateLink = serde_json::from_value(args.clone()).ok()?;
        return Some(new_link(&pages, given, pages.now()).map(drop).map_err(invalid));
    }
    let change: UpdateLink = serde_json::from_value(args.clone()).ok()?;
    let id = partner::read_uuid(args.get("link")?.as_str()?)?;
    let is_pending = || keeper.acts().iter().any(|act| act.name == "create_link" && link_of(act) == id);
    // A link that another computer has just made is not in the copy yet.
    if !pages.slice().link_ids().contains(id.as_str()) && !is_pending() {
        return None;
    }
    Some(change.campaign.as_deref().map_or(Ok(()), |name| partner::read_campaign(name).map(drop).map_err(invalid)))
}

/// The link that an act is about.
fn link_of(act: &Act) -> String {
    act.text(if act.name == "create_link" { "id" } else { "link" }).to_ascii_lowercase()
}

fn kept_for_later(act: &Act) -> ErrorBody {
    let run = act.text("run");
    let message = format!(
        "AIKit cannot be reached, and run {run} is not saved on this computer. What you did is kept and is sent as soon as the connection is back."
    );
    ErrorBody::new(ErrorCode::Offline, message)
}

fn not_kept(trouble: &Trouble) -> ErrorBody {
    match trouble {
        Trouble::Closed => signed_out(),
        Trouble::Outbox(error) => {
            let message = format!(
                "This could not be kept on this computer ({error}), so nothing was done. Check the free space and the rights of the data folder."
            );
            ErrorBody::new(ErrorCode::Unavailable, message)
        }
        _ => ErrorBody::new(ErrorCode::Unavailable, "This could not be kept on this computer, so nothing was done."),
    }
}
