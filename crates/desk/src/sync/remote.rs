//! The API as a copy sees it: with the session of the account whose copy it is.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::json;
use wire::{ErrorBody, ErrorCode, Method, PullQuery, Pulled, Push, Pushed};

use super::pull::Remote;
use crate::api::{Away, Failure};
use crate::request::Request;
use crate::session::{Sessions, signed_out};

/// The session of one account. Another one's is not used.
#[derive(Clone)]
pub(crate) struct SessionRemote {
    pub(crate) sessions: Arc<Sessions>,
    /// Name of the account.
    pub(crate) whose: String,
}

impl SessionRemote {
    async fn send<A: DeserializeOwned>(&self, request: Request) -> Result<A, Failure> {
        let pass = self.sessions.pass().await.filter(|pass| pass.name == self.whose);
        let pass = pass.ok_or_else(|| Failure::Refused(signed_out()))?;
        let answered = self.sessions.send(&request, Some(&pass)).await?;
        serde_json::from_value(answered.data).map_err(|error| {
            Failure::Away(Away { perhaps_sent: true, what: format!("its answer cannot be read: {error}"), said: None })
        })
    }
}

impl Remote for SessionRemote {
    async fn pull(&self, asked: &PullQuery) -> Result<Pulled, Failure> {
        let mut request = Request::record(&self.sessions.api.config.api, Method::Get, &["sync", "pull"], None);
        let serde_json::Value::Object(query) = json!(asked) else {
            return Err(Failure::Refused(ErrorBody::new(ErrorCode::Invalid, "A pull is asked for by a query.")));
        };
        request.url.query_pairs_mut().extend_pairs(
            query
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))),
        );
        self.send(request).await
    }

    async fn push(&self, acts: &Push) -> Result<Pushed, Failure> {
        self.send(Request::record(&self.sessions.api.config.api, Method::Post, &["sync", "push"], Some(json!(acts))))
            .await
    }
}
