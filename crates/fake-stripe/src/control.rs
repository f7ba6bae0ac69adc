//! The control endpoints, JSON in and out: clock, disputes, balance, accounts, webhooks, faults, events.
//! They answer after the events that they cause have been sent once.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    bank, clock, connect,
    error::ApiError,
    faults, money_back,
    store::{Booking, Cause, Tx},
    webhooks,
};

type Shared = State<Arc<App>>;

/// An answer of the control endpoints.
pub(crate) enum Control {
    /// It was done.
    Done(Value),
    /// It was not, and why.
    Refused(ApiError),
}

impl IntoResponse for Control {
    fn into_response(self) -> Response {
        match self {
            Control::Done(value) => Json(value).into_response(),
            Control::Refused(error) => {
                let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, Json(error.body())).into_response()
            }
        }
    }
}

impl From<Result<Value, ApiError>> for Control {
    fn from(result: Result<Value, ApiError>) -> Self {
        match result {
            Ok(value) => Control::Done(value),
            Err(error) => Control::Refused(error),
        }
    }
}

/// Reads a JSON object; an empty body counts as `{}`.
fn read<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, ApiError> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map_err(|error| {
        ApiError::parameter("parameter_invalid", "", format!("The JSON body cannot be used: {error}."))
    })
}

async fn act(app: &App, work: impl FnOnce(&mut Tx<'_>) -> Result<Value, ApiError>) -> Control {
    let done = app.transact(&Cause::default(), work);
    match webhooks::deliver(app).await {
        Err(error) if done.is_ok() => Control::Refused(error),
        _ => done.into(),
    }
}

/// `GET /_clock`.
pub(crate) async fn get_clock(State(app): Shared) -> Control {
    app.transact(&Cause::default(), |tx| clock::reading(tx)).into()
}

/// `POST /_clock {"now"?, "live"?}`.
pub(crate) async fn set_clock(State(app): Shared, body: Bytes) -> Control {
    match read::<Value>(&body) {
        Ok(wanted) => clock::set(&app, &wanted).await.into(),
        Err(error) => Control::Refused(error),
    }
}

#[derive(Deserialize)]
struct NewDispute {
    invoice: String,
    amount: Option<i64>,
}

/// `POST /_control/disputes {"invoice", "amount"?}`.
pub(crate) async fn open_dispute(State(app): Shared, body: Bytes) -> Control {
    act(&app, |tx| {
        let wanted: NewDispute = read(&body)?;
        money_back::open_dispute(tx, &wanted.invoice, wanted.amount)
    })
    .await
}

#[derive(Deserialize)]
struct Outcome {
    outcome: String,
}

/// `POST /_control/disputes/{id}/close {"outcome"}`.
pub(crate) async fn close_dispute(State(app): Shared, Path(id): Path<String>, body: Bytes) -> Control {
    act(&app, |tx| money_back::close_dispute(tx, &id, &read::<Outcome>(&body)?.outcome)).await
}

/// `POST /_control/refunds/{id}/fail`.
pub(crate) async fn fail_refund(State(app): Shared, Path(id): Path<String>) -> Control {
    act(&app, |tx| money_back::fail_refund(tx, &id)).await
}

#[derive(Deserialize)]
struct NewBalance {
    available_minor: i64,
    currency: Option<String>,
}

/// `POST /_control/rates {"currency", "rate_ppm"}`: from now on money in that currency is settled in US dollars at so many
/// millionths of one.
pub(crate) async fn set_rate(State(app): Shared, body: Bytes) -> Control {
    #[derive(Deserialize)]
    struct Wanted {
        currency: String,
        rate_ppm: i64,
    }
    let wanted: Wanted = match read(&body) {
        Ok(wanted) => wanted,
        Err(error) => return Control::Refused(error),
    };
    if wanted.rate_ppm <= 0 {
        let message = "A rate must be above zero.";
        return Control::Refused(ApiError::parameter("parameter_invalid", "rate_ppm", message));
    }
    act(&app, |tx| {
        tx.set_meta(&format!("rate_{}", wanted.currency.to_ascii_lowercase()), &wanted.rate_ppm.to_string())?;
        Ok(json!({ "currency": wanted.currency, "exchange_rate": crate::objects::decimal_ppm(wanted.rate_ppm) }))
    })
    .await
}

/// `POST /_control/balance {"available_minor", "currency"?}`: sets what the platform can transfer.
pub(crate) async fn set_balance(State(app): Shared, body: Bytes) -> Control {
    act(&app, |tx| {
        let wanted: NewBalance = read(&body)?;
        let currency = wanted.currency.unwrap_or_else(|| "usd".to_owned()).to_ascii_lowercase();
        let (available, _) = tx.balance("", &currency)?;
        let amount = wanted.available_minor - available;
        if amount != 0 {
            let (source, kind) = (tx.id("tu")?, if amount > 0 { "topup" } else { "topup_reversal" });
            tx.book(&Booking {
                account: "",
                kind,
                source: &source,
                currency: &currency,
                amount,
                fee: 0,
                pending: false,
            })?;
        }
        connect::balance(tx, "")
    })
    .await
}

#[derive(Deserialize)]
struct Steering {
    transfers: Option<String>,
    payouts_enabled: Option<bool>,
    requirements: Option<Vec<String>>,
    refuse_payout: Option<String>,
    #[serde(default)]
    refuse_after_days: u32,
}

/// `POST /_control/accounts/{id} {"transfers"?, "payouts_enabled"?, "requirements"?, "refuse_payout"?, "refuse_after_days"?}`:
/// `refuse_payout` is the code with which the bank refuses the next payout, at once, or so many days after it was paid.
pub(crate) async fn steer_account(State(app): Shared, Path(id): Path<String>, body: Bytes) -> Control {
    act(&app, |tx| {
        let wanted: Steering = read(&body)?;
        if let Some(code) = &wanted.refuse_payout {
            bank::refuse_next(tx, &id, code, wanted.refuse_after_days)?;
        }
        let (transfers, requirements) = (wanted.transfers.as_deref(), wanted.requirements.as_deref());
        connect::steer_account(tx, &id, transfers, wanted.payouts_enabled, requirements)
    })
    .await
}

/// `POST /_control/accounts/{id}/onboard`: what the person does on the onboarding page, in one call.
pub(crate) async fn onboard(State(app): Shared, Path(id): Path<String>) -> Control {
    act(&app, |tx| connect::finish_onboarding(tx, &id)).await
}

/// `POST /_control/webhooks {"account"?, "connect"?}`.
pub(crate) async fn set_webhooks(State(app): Shared, body: Bytes) -> Control {
    act(&app, |tx| webhooks::configure(tx, &read(&body)?)).await
}

/// `POST /_control/faults`.
pub(crate) async fn queue_faults(State(app): Shared, body: Bytes) -> Control {
    act(&app, |tx| faults::queue(tx, &read(&body)?)).await
}

/// `GET /_control/faults`.
pub(crate) async fn waiting_faults(State(app): Shared) -> Control {
    app.transact(&Cause::default(), |tx| faults::waiting(tx)).into()
}

#[derive(Deserialize)]
pub(crate) struct Latest {
    limit: Option<i64>,
}

/// `GET /_control/events?limit=`.
pub(crate) async fn events(State(app): Shared, Query(latest): Query<Latest>) -> Control {
    app.transact(&Cause::default(), |tx| webhooks::history(tx, latest.limit.unwrap_or(100))).into()
}

#[derive(Deserialize)]
struct Again {
    event: String,
}

/// `POST /_control/redeliver {"event"}`.
pub(crate) async fn redeliver(State(app): Shared, body: Bytes) -> Control {
    act(&app, |tx| webhooks::redeliver(tx, &read::<Again>(&body)?.event)).await
}

/// Every other address outside `/v1`.
pub(crate) async fn nothing_here() -> Control {
    let message = "The stand-in answers /v1/…, /_clock, /_control/… and /setup/….";
    Control::Refused(ApiError { status: 404, ..ApiError::refused("not_found", message) })
}

/// `GET /_health`.
pub(crate) async fn health() -> Control {
    Control::Done(json!({ "ok": true }))
}
