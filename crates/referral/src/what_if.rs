//! What an agency would earn if the coming months went as it supposes: the engine's forecast of its own facts.

use axum::Json;
use axum::extract::State;
use commission::{Assumptions, Forecast, ForecastError, forecast};
use partner::{until, usual};

use crate::auth::Partner;
use crate::error::{ApiError, Body, invalid};
use crate::{App, journal, limits};

/// As far as the API looks: what is computed grows with the square of it.
const MONTHS: u32 = 24;

/// `GET /v1/what-if`: what the agency's last half year suggests.
pub(crate) async fn suggested(State(app): State<App>, partner: Partner) -> Result<Json<Assumptions>, ApiError> {
    let now = app.host.now();
    let facts = journal::partner_facts(&app, &partner.code, None).await?;
    let statement = journal::statement(&app, &facts, &partner.code, until(now))?;
    Ok(Json(usual(&facts, &statement, now)))
}

/// `POST /v1/what-if`.
pub(crate) async fn what_if(
    State(app): State<App>,
    partner: Partner,
    Body(assumptions): Body<Assumptions>,
) -> Result<Json<Forecast>, ApiError> {
    if assumptions.months > MONTHS {
        return Err(invalid(format!("A forecast looks at most {MONTHS} months ahead.")));
    }
    limits::FORECASTS_BY_PARTNER.check(&app, &partner.code).await?;
    let facts = journal::partner_facts(&app, &partner.code, None).await?;
    match forecast(&facts, &app.config.terms, until(app.host.now()), &partner.code, &assumptions) {
        Ok(forecast) => Ok(Json(forecast)),
        Err(ForecastError::Evaluate(error)) => Err(journal::not_computed(&error)),
        Err(error) => Err(invalid(format!("There is no forecast: {error}."))),
    }
}
