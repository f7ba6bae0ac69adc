//! `payouts status`, `lock` and `unlock`. Locking is done on the machine; for unlocking an admin and one of finance each
//! prove to the running API who they are.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use wire::{Account, ErrorBody, Keep, PayoutLock, RequestCode, Session, StartSession, UnlockPayouts};

use crate::serve;

/// Options of `payouts lock`.
#[derive(Args)]
pub(crate) struct Lock {
    /// Folder of the database.
    #[arg(long)]
    data: PathBuf,
    /// Why, for those who must unlock.
    #[arg(long)]
    reason: String,
}

/// Options of `payouts unlock`.
#[derive(Args)]
pub(crate) struct Unlock {
    /// Address of the Referral API.
    #[arg(long, default_value = "http://127.0.0.1:8787")]
    api: String,
    /// Your own address; a code is sent to it.
    #[arg(long)]
    email: String,
    /// Why payouts may be sent again.
    #[arg(long)]
    reason: String,
}

pub(crate) async fn lock(options: Lock) -> anyhow::Result<()> {
    let app = serve::existing_app(&options.data)?;
    referral::lock_payouts(&app, &referral::Actor::Operator, &options.reason).await?;
    println!("Payouts are locked: nothing is sent until an admin and one of finance unlock them.");
    Ok(())
}

pub(crate) async fn status(data: &std::path::Path) -> anyhow::Result<()> {
    let app = serve::existing_app(data)?;
    match referral::payout_lock(&app).await? {
        PayoutLock { locked: false, .. } => println!("Payouts are not locked."),
        PayoutLock { reason, since, admin, finance, .. } => {
            let since = since.map(|t| t.format("%-d %B %Y, %H:%M UTC").to_string()).unwrap_or_default();
            println!("Payouts are locked since {since}: {}", reason.unwrap_or_default());
            for (role, who) in [("An admin", admin), ("One of finance", finance)] {
                println!("{role}: {}", who.map_or("has not agreed yet".into(), |who| format!("{who} agreed")));
            }
        }
    }
    Ok(())
}

struct Client {
    http: reqwest::Client,
    api: String,
}

impl Client {
    async fn call<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> anyhow::Result<T> {
        let answer = request.send().await.with_context(|| format!("the API at {} cannot be reached", self.api))?;
        let status = answer.status();
        let body = answer.bytes().await.context("the API's answer broke off")?;
        if status.is_success() {
            return serde_json::from_slice(&body).context("the API answered something else than expected");
        }
        match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(refused) => bail!("{}", refused.message),
            Err(_) => bail!("the API answered {status}"),
        }
    }

    async fn post<T: DeserializeOwned>(&self, bearer: &str, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.call(self.http.post(format!("{}{path}", self.api)).bearer_auth(bearer).json(body)).await
    }
}

pub(crate) async fn unlock(options: Unlock) -> anyhow::Result<()> {
    let client = Client { http: reqwest::Client::new(), api: options.api.trim_end_matches('/').to_string() };
    let _sent: serde_json::Value =
        client.post("", "/v1/auth/codes", &RequestCode { email: options.email.clone() }).await?;
    eprint!("The code that was sent to {}: ", options.email);
    std::io::stderr().flush().ok();
    let mut code = String::new();
    std::io::stdin().read_line(&mut code).context("the code cannot be read")?;
    let ask = StartSession { email: options.email.clone(), code: code.trim().into(), keep: Keep::Token };
    let session: Session = client.post("", "/v1/auth/sessions", &ask).await?;
    let bearer = session.access_token.as_str();
    let agreed = agree(&client, bearer, &options.reason).await;
    let _ended =
        client.http.post(format!("{}/v1/auth/end", client.api)).bearer_auth(bearer).json(&json!({})).send().await;
    agreed.map(|now| println!("{}", in_words(&now, &session.account)))
}

async fn agree(client: &Client, bearer: &str, reason: &str) -> anyhow::Result<PayoutLock> {
    let seen: PayoutLock =
        client.call(client.http.get(format!("{}/v1/payouts-lock", client.api)).bearer_auth(bearer)).await?;
    let Some(lock) = seen.lock else { return Ok(seen) };
    eprintln!("Locked because: {}", seen.reason.unwrap_or_default());
    client.post(bearer, "/v1/payouts-lock/unlock", &UnlockPayouts { lock, reason: reason.into() }).await
}

fn in_words(now: &PayoutLock, account: &Account) -> String {
    match now.locked {
        false => "Payouts are not locked. Finance sends its runs again.".into(),
        true => {
            let missing = if now.admin.is_none() { "an admin" } else { "one of finance" };
            format!("{} agreed. Payouts stay locked until {missing} agrees too.", account.email)
        }
    }
}
