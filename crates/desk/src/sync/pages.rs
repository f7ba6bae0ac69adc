//! What a window is shown out of the copy, with what was done here and is not in it yet.

use chrono::{DateTime, Utc};
use commission::Assumptions;
use partner::{Evaluated, NewLink, read_campaign};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;
use wire::{ClientsQuery, CreateLink, ErrorBody, ErrorCode, Link, Role, UpdateLink};

use super::outbox::Act;

/// What the copy says to a call.
pub(crate) type Answered = Result<Value, ErrorBody>;

/// The answer of a call, as of the time of the copy; `None` for a call that the copy knows nothing of.
pub(crate) fn answer(pages: &Evaluated, acts: &[Act], role: Role, call: &str, args: &Value) -> Option<Answered> {
    let text = |name: &str| args.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(match call {
        "overview" => json(&pages.overview(role)),
        "links" => {
            let archived = archived(args);
            json(&with_pending(pages.links(archived), pages, acts, archived))
        }
        "clients" => read::<ClientsQuery>(call, args).and_then(|asked| json(&pages.clients(&asked))),
        "client" => found(pages.client(text("referral")).as_ref(), "client"),
        "payouts" => json(&pages.payouts()),
        "payout" => found(pages.payout(text("item")), "payout"),
        "stripe_account" => json(&pages.connected_account()),
        "resources" => json(&pages.resources()),
        "slug" => json(&pages.slug()),
        "current_terms" => json(&pages.current_terms()),
        "suggested_what_if" => json(&pages.usual()),
        "what_if" => read::<Assumptions>(call, args).and_then(|assumptions| {
            let invalid = |error| ErrorBody::new(ErrorCode::Invalid, format!("There is no forecast: {error}."));
            json(&pages.what_if(&assumptions).map_err(invalid)?)
        }),
        _ => return None,
    })
}

/// Whether a call is one that the copy answers.
pub(crate) fn is_of_copy(call: &str) -> bool {
    matches!(
        call,
        "overview"
            | "links"
            | "clients"
            | "client"
            | "payouts"
            | "payout"
            | "stripe_account"
            | "resources"
            | "slug"
            | "current_terms"
            | "suggested_what_if"
            | "what_if"
    )
}

/// Arguments as the call takes them; what is null is left out.
fn read<T: DeserializeOwned>(call: &str, args: &Value) -> Result<T, ErrorBody> {
    let given = args.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let given: Map<String, Value> = given.map(|(name, value)| (name.clone(), value.clone())).collect();
    serde_json::from_value(Value::Object(given)).map_err(|_| {
        ErrorBody::new(ErrorCode::Invalid, format!("The page asked for `{call}` with arguments that it does not take."))
    })
}

/// Whether a call of the links asks for those that were put out of the list.
pub(crate) fn archived(args: &Value) -> bool {
    args.get("archived").and_then(Value::as_bool).unwrap_or(false)
}

fn json<T: Serialize>(answer: &T) -> Answered {
    serde_json::to_value(answer).map_err(|error| ErrorBody::new(ErrorCode::Unavailable, error.to_string()))
}

fn found<T: Serialize>(answer: Option<&T>, what: &str) -> Answered {
    let message = || format!("There is no such {what} in the copy on this computer, and AIKit cannot be reached now.");
    answer.map_or_else(|| Err(ErrorBody::new(ErrorCode::NotFound, message())), json)
}

/// A list of links as it will be when everything that was done here is done there.
pub(crate) fn with_pending(mut links: Vec<Link>, pages: &Evaluated, acts: &[Act], archived: bool) -> Vec<Link> {
    // A link may have been put out of the list, or back in it, by what is pending: all are looked at.
    let mut others = pages.links(!archived);
    others.retain(|other| links.iter().all(|link| link.id != other.id));
    links.append(&mut others);
    for act in acts.iter().filter(|act| act.refused.is_none()) {
        match act.name.as_str() {
            "create_link" => {
                if let Some(link) = made(pages, act).filter(|made| links.iter().all(|link| link.id != made.id)) {
                    links.push(link);
                }
            }
            "update_link" => {
                let id = act.text("link").to_ascii_lowercase();
                let link = links.iter_mut().find(|link| link.id == id);
                if let (Some(link), Ok(change)) = (link, serde_json::from_value::<UpdateLink>(act.args.clone())) {
                    apply(link, &change);
                }
            }
            _ => {}
        }
    }
    links.retain(|link| link.archived == archived);
    links.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
    links
}

fn apply(link: &mut Link, change: &UpdateLink) {
    if let Some(Ok(campaign)) = change.campaign.as_deref().map(read_campaign) {
        campaign.clone_into(&mut link.campaign);
    }
    link.archived = change.archived.unwrap_or(link.archived);
    link.pending = true;
}

/// A link that the API has not been told of. Its address works already: it says itself where it leads.
pub(crate) fn made(pages: &Evaluated, act: &Act) -> Option<Link> {
    let given: CreateLink = serde_json::from_value(act.args.clone()).ok()?;
    new_link(pages, given, act.made_at).ok()
}

/// As [`made`], or why it can be none.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(crate) fn new_link(pages: &Evaluated, given: CreateLink, at: DateTime<Utc>) -> Result<Link, String> {
    let slice = pages.slice();
    let link = NewLink::read(given, &slice.program.sites, &slice.profile.code)?;
    let share = partner::share_url(&slice.program.public_url, slice.link_name(), Some(&link.id));
    let mut url = Url::parse(&share).map_err(|error| error.to_string())?;
    url.query_pairs_mut().append_pair("to", &link.path).extend_pairs(link.utm.pairs());
    Ok(Link {
        id: link.id,
        campaign: link.campaign,
        path: link.path,
        utm: link.utm.into(),
        url: url.into(),
        created_at: at,
        clicks: 0,
        signups: 0,
        archived: false,
        pending: true,
    })
}

/// An act in words, for a list: «Make the link «Spring»».
pub(crate) fn what(act: &Act, campaigns: &[(String, String)]) -> String {
    let quoted = |name: &str| if name.is_empty() { "a link".to_owned() } else { format!("the link «{name}»") };
    let link = || {
        let id = act.text("link").to_ascii_lowercase();
        quoted(campaigns.iter().find(|(known, _)| *known == id).map_or("", |(_, campaign)| campaign))
    };
    let archived = act.args.get("archived").and_then(Value::as_bool);
    match (act.name.as_str(), archived) {
        ("create_link", _) => format!("Make {}", quoted(act.text("campaign"))),
        ("update_link", Some(true)) => format!("Archive {}", link()),
        ("update_link", Some(false)) => format!("Put {} back in the list", link()),
        ("update_link", None) => format!("Rename {} to «{}»", link(), act.text("campaign")),
        ("add_note", _) => format!("Write a note beside run {}", act.text("run")),
        ("hold_partner", _) => format!("Hold {} out of run {}", act.text("partner"), act.text("run")),
        ("release_partner", _) => format!("Pay {} in run {} after all", act.text("partner"), act.text("run")),
        (other, _) => other.to_owned(),
    }
}
