//! Sign-in at the issuer (OpenID Connect, code with PKCE), for a browser and for a program on the person's machine.
//!
//! A browser begins it, is led to the issuer, and comes back to [`callback`] with a code; what it carries is bound to a
//! cookie of the browser that began. A program begins it for itself: the browser ends at the program's own port with a
//! code of ours, which only the program can redeem, because only it knows what its PKCE challenge was made of.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use url::Url;
use wire::{BeginSignIn, Keep, ProgramSignIn, RedeemSignIn, SignInBegun};

use super::id_token::{Claims, challenge};
use super::issuer::{self, Asked, Failed, Issuer};
use super::people::{PersonRow, person_by_email, person_by_id, read_email};
use super::scope::FRESH;
use super::session::{self, Opening};
use crate::error::{ApiError, Body, conflict, forbidden, invalid, not_found, signed_out, step_up};
use crate::landing::notice;
use crate::limits::{self, Network};
use crate::ports::{Config, Oidc};
use crate::tokens::{self, at, ms};
use crate::{App, sql};

/// How long somebody may take at the issuer.
const GOOD: TimeDelta = TimeDelta::minutes(10);
/// How long a program may take to redeem what the browser brought.
const REDEEM: TimeDelta = TimeDelta::seconds(60);
/// The oldest sign-in at the issuer that opens a session; one that is older is asked for again there.
const MAX_AGE: TimeDelta = TimeDelta::days(14);
/// Binds what comes back to the browser that began.
const COOKIE: &str = "aikit_signin";

fn configured(app: &App) -> Result<&Oidc, ApiError> {
    app.config.oidc.as_ref().ok_or_else(|| not_found("No issuer is configured here: sign in by e-mail code."))
}

fn own_url(config: &Config, path: &str) -> Url {
    let mut url = config.public_url.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

fn redirect_uri(config: &Config) -> Url {
    own_url(config, "/v1/auth/oidc/callback")
}

/// A page of ours: the part of an address behind `#`, and nothing that a browser could take for another place.
fn read_return_to(given: Option<&str>) -> Result<&str, ApiError> {
    let page = given.unwrap_or_default();
    let plain = page.bytes().all(|b| b.is_ascii_graphic() && !b"\\<>\"'`".contains(&b));
    if page.is_empty() || (page.starts_with("#/") && page.len() <= 300 && plain) {
        Ok(page)
    } else {
        Err(invalid("return_to is a page of this app, for example #/runs."))
    }
}

/// What a program says about itself must fit into an address and into a verifier's hash.
fn read_program(program: &ProgramSignIn) -> Result<(), ApiError> {
    let url_safe = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let fits = program.port >= 1024
        && program.challenge.len() == 43
        && url_safe(&program.challenge)
        && (16..=128).contains(&program.state.len())
        && url_safe(&program.state);
    if fits {
        return Ok(());
    }
    Err(invalid(
        "program needs a port above 1023, a challenge of 43 characters (S256, base64url) and a state of 16 to 128 characters in base64url.",
    ))
}

/// `POST /v1/auth/oidc`.
pub(crate) async fn begin(
    network: Network,
    State(app): State<App>,
    headers: HeaderMap,
    Body(asked): Body<BeginSignIn>,
) -> Result<Response, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        person: String,
    }
    configured(&app)?;
    let return_to = read_return_to(asked.return_to.as_deref())?;
    if let Some(program) = &asked.program {
        read_program(program)?;
    }
    limits::TRIES_BY_CALLER.check(&app, network.as_str()).await?;
    let replaces = session::session_of(&app, &headers).await?;
    let signed_in: Option<Row> = app
        .db
        .query(sql!("SELECT person FROM session WHERE id = ?1 AND ended_ms IS NULL", replaces.clone()))
        .await?
        .first()?;
    let person = match (asked.confirm, signed_in) {
        (false, _) => None,
        (true, Some(row)) => Some(row.person),
        (true, None) => return Err(signed_out("Your session has ended. Sign in again.")),
    };
    let secret = || tokens::secret(&*app.host, "aik_sgn");
    let (state, now) = (secret(), app.host.now());
    // Sign-ins in several tabs share the cookie, so that none spoils another.
    let browser = match &asked.program {
        Some(_) => None,
        None => {
            let known = session::read_own_cookie(&app.config, &headers, COOKIE).filter(|c| tokens::is_well_formed(c));
            Some(known.map_or_else(secret, str::to_owned))
        }
    };
    let program = asked.program.as_ref();
    app.db
        .query(sql!(
            "INSERT INTO signin_attempt (state_hash, nonce, verifier, browser_hash, return_to, port, program_state, challenge, person, session, expires_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            tokens::hash(&state),
            secret(),
            // 43 characters at least (RFC 7636 §4.1).
            secret() + &secret(),
            browser.as_deref().map(tokens::hash),
            return_to,
            program.map(|p| u32::from(p.port)),
            program.map(|p| &p.state),
            program.map(|p| &p.challenge),
            person,
            replaces,
            ms(now + GOOD),
        ))
        .await?;
    let url = own_url(&app.config, &format!("/v1/auth/oidc/go/{state}")).into();
    let begun = Json(SignInBegun { url, expires_in_s: GOOD.num_seconds() as u32 });
    Ok(match browser {
        None => begun.into_response(),
        Some(browser) => {
            let cookie = session::own_cookie(&app.config, COOKIE, &browser, GOOD, "Lax");
            ([(header::SET_COOKIE, cookie)], begun).into_response()
        }
    })
}

/// A sign-in under way.
#[derive(Deserialize)]
struct Attempt {
    nonce: String,
    verifier: String,
    browser_hash: Option<String>,
    return_to: String,
    port: Option<u16>,
    program_state: Option<String>,
    person: Option<String>,
    session: Option<String>,
}

async fn attempt(app: &App, state: &str) -> Result<Attempt, ApiError> {
    let found: Option<Attempt> = app
        .db
        .query(sql!(
            "SELECT nonce, verifier, browser_hash, return_to, port, program_state, person, session
             FROM signin_attempt WHERE state_hash = ?1 AND expires_ms > ?2 AND verifier <> ''",
            tokens::hash(state),
            ms(app.host.now()),
        ))
        .await?
        .first()?;
    found.ok_or_else(|| signed_out("That sign-in was used already, or has expired."))
}

/// A refusal, for somebody who looks at a browser.
fn refusal(config: &Config, error: &ApiError) -> Response {
    let mut sign_in = own_url(config, "/");
    sign_in.set_fragment(Some("/sign-in"));
    let status = error.clone().into_response().status();
    notice(status, "You are not signed in", &error.message, Some((&sign_in, "Back to the sign-in page")))
}

fn see_other(url: &Url) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, url.as_str())]).into_response()
}

/// `GET /v1/auth/oidc/go/{state}`: on to the issuer.
pub(crate) async fn go(
    network: Network,
    State(app): State<App>,
    state: Result<Path<String>, PathRejection>,
) -> Response {
    // What is not text is the name of no sign-in.
    let state = state.map(|Path(state)| state).unwrap_or_default();
    let on = async {
        limits::TRIES_BY_CALLER.check(&app, network.as_str()).await?;
        let config = configured(&app)?;
        let attempt = attempt(&app, &state).await?;
        let again = attempt.person.is_some();
        let asked = Asked {
            state: &state,
            nonce: &attempt.nonce,
            verifier: &attempt.verifier,
            max_age_s: if again { 0 } else { MAX_AGE.num_seconds() },
            again,
        };
        issuer::discover(&app, config).await?.authorization_url(&redirect_uri(&app.config), &asked)
    };
    match on.await {
        Ok(url) => see_other(&url),
        Err(error) => refusal(&app.config, &error),
    }
}

/// What the issuer sends the browser back with.
struct CameBack {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

impl CameBack {
    /// Never fails, because a person looks at the answer; of what is there twice the first counts.
    fn read(query: &str) -> CameBack {
        let value = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        CameBack { state: value("state"), code: value("code"), error: value("error"), iss: value("iss") }
    }
}

/// `GET /v1/auth/oidc/callback`.
pub(crate) async fn callback(
    network: Network,
    State(app): State<App>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let back = CameBack::read(&query.unwrap_or_default());
    let arrived = async {
        limits::TRIES_BY_CALLER.check(&app, network.as_str()).await?;
        let state = back.state.as_deref().filter(|s| tokens::is_well_formed(s)).ok_or_else(|| {
            invalid("This address is for coming back from a sign-in, and it says of none. Begin at the sign-in page.")
        })?;
        let attempt = attempt(&app, state).await?;
        if let Some(bound) = &attempt.browser_hash {
            let here = session::read_own_cookie(&app.config, &headers, COOKIE).map(tokens::hash);
            if !here.is_some_and(|hash| tokens::same(&hash, bound)) {
                return Err(forbidden("This sign-in was begun in another browser. Begin it again in this one."));
            }
        }
        Ok((state, attempt))
    };
    let (state, attempt) = match arrived.await {
        Ok(both) => both,
        Err(error) => return refusal(&app.config, &error),
    };
    let finished = match finish(&app, state, &attempt, &back).await {
        Ok(proof) => match attempt.port {
            None => enter(&app, &headers, &attempt, proof).await,
            Some(port) => hand_over(&app, state, port, &attempt, proof).await,
        },
        Err(error) => Err(error),
    };
    match (finished, attempt.port) {
        (Ok(response), _) => response,
        (Err(error), None) => refusal(&app.config, &error),
        (Err(error), Some(port)) => to_program(port, &attempt, "error", &error.message)
            .map_or_else(|| refusal(&app.config, &error), |url| see_other(&url)),
    }
}

/// Somebody who has proved who they are.
struct Proof {
    person: PersonRow,
    auth_at: DateTime<Utc>,
}

/// Takes the attempt, which counts once, and asks the issuer whom its code stands for.
async fn finish(app: &App, state: &str, attempt: &Attempt, back: &CameBack) -> Result<Proof, ApiError> {
    let config = configured(app)?;
    let taken = app
        .db
        .query(sql!(
            "UPDATE signin_attempt SET verifier = '' WHERE state_hash = ?1 AND verifier <> ''",
            tokens::hash(state)
        ))
        .await?;
    if taken.changes == 0 {
        return Err(signed_out("That sign-in was used already, or has expired."));
    }
    if let Some(error) = &back.error {
        tracing::info!(error = %error.chars().filter(|c| c.is_ascii_graphic()).take(60).collect::<String>(), "the issuer signed nobody in");
        return Err(signed_out(format!("{} did not sign you in. Try again when you are ready.", config.name)));
    }
    let refused = |why: &str| {
        tracing::warn!(%why, "a sign-in at the issuer is refused");
        signed_out(format!("What {} sent back could not be verified, so nobody was signed in. Try again.", config.name))
    };
    // Who answers must be who was asked (RFC 9207).
    if back.iss.as_deref().is_some_and(|iss| iss != config.issuer) {
        return Err(refused("another issuer answered"));
    }
    let code = back.code.clone().filter(|c| c.len() <= 4096).ok_or_else(|| refused("there is no code"))?;
    let issuer: Issuer<'_> = issuer::discover(app, config).await?;
    let proved = issuer.prove(code, attempt.verifier.clone(), &redirect_uri(&app.config), &attempt.nonce).await;
    let claims = proved.map_err(|failed| match failed {
        Failed::Away(error) => error,
        Failed::Refused(why) => refused(&why),
    })?;
    let auth_at = claims.auth_at.unwrap_or(DateTime::UNIX_EPOCH);
    let person = known(app, config, &claims).await?;
    if let Some(wanted) = &attempt.person {
        if *wanted != person.id {
            return Err(conflict(format!(
                "You confirmed as {}, and are signed in here as somebody else. Sign out first, or confirm as yourself.",
                person.email
            )));
        }
        if app.host.now() - auth_at > FRESH {
            return Err(step_up());
        }
    }
    Ok(Proof { person, auth_at })
}

/// The person of these claims: by the subject that was bound before, else by a verified address, which binds it.
async fn known(app: &App, config: &Oidc, claims: &Claims) -> Result<PersonRow, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        person: String,
    }
    let bound: Option<Row> = app
        .db
        .query(sql!(
            "SELECT person FROM person_identity WHERE issuer = ?1 AND subject = ?2",
            &config.issuer,
            &claims.subject
        ))
        .await?
        .first()?;
    let name = &config.name;
    let verified = claims.email.as_deref().filter(|_| claims.email_verified);
    let Some(given) = verified else {
        return Err(forbidden(format!(
            "{name} has not verified your e-mail address, so it cannot say who you are here. Verify it there, then sign in again."
        )));
    };
    let email = read_email(given)?;
    if let Some(row) = bound {
        let gone = || {
            forbidden(format!("The access of {email} was ended. If that is a mistake, ask an admin of AIKit Partners."))
        };
        return person_by_id(app, &row.person).await?.ok_or_else(gone);
    }
    let person = person_by_email(app, &email).await?.ok_or_else(|| {
        forbidden(format!(
            "Nobody is known here as {email}. An agency that is new joins by the form; somebody who works for an agency \
             is invited by its owner; AIKit's own people are added by an admin."
        ))
    })?;
    let link = sql!(
        "INSERT INTO person_identity (issuer, subject, person, linked_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        &config.issuer,
        &claims.subject,
        &person.id,
        ms(app.host.now()),
    );
    match app.db.query(link).await?.changes {
        0 => Err(forbidden(format!(
            "{email} signed in here before with another account at {name}. Use that one, or have an admin remove and add you again."
        ))),
        _ => Ok(person),
    }
}

/// A browser comes in: its session, and the page that it wanted.
async fn enter(app: &App, headers: &HeaderMap, attempt: &Attempt, proof: Proof) -> Result<Response, ApiError> {
    let opening = Opening {
        person: proof.person,
        auth_at: proof.auth_at,
        replaces: attempt.session.clone(),
        agent: &session::agent(headers),
    };
    let tokens = session::open(app, opening).await?;
    let mut home = own_url(&app.config, "/");
    home.set_fragment(attempt.return_to.strip_prefix('#').filter(|page| !page.is_empty()));
    let mut response = see_other(&home);
    response.headers_mut().insert(header::SET_COOKIE, tokens.cookie(&app.config));
    Ok(response)
}

/// The program's own address, with what it is told.
fn to_program(port: u16, attempt: &Attempt, name: &str, value: &str) -> Option<Url> {
    let mut url = Url::parse(&format!("http://127.0.0.1:{port}/")).ok()?;
    url.query_pairs_mut()
        .append_pair("state", attempt.program_state.as_deref().unwrap_or_default())
        .append_pair(name, value);
    Some(url)
}

/// A program is told a code that it may redeem.
async fn hand_over(app: &App, state: &str, port: u16, attempt: &Attempt, proof: Proof) -> Result<Response, ApiError> {
    let code = tokens::secret(&*app.host, "aik_sgn");
    app.db
        .query(sql!(
            "UPDATE signin_attempt SET code_hash = ?2, proved = ?3, auth_ms = ?4, expires_ms = ?5 WHERE state_hash = ?1",
            tokens::hash(state),
            tokens::hash(&code),
            &proof.person.id,
            ms(proof.auth_at),
            ms(app.host.now() + REDEEM),
        ))
        .await?;
    let url = to_program(port, attempt, "code", &code).ok_or_else(|| invalid("The program's port cannot be used."))?;
    Ok(see_other(&url))
}

/// `POST /v1/auth/oidc/sessions`: a program's session.
pub(crate) async fn redeem(
    network: Network,
    State(app): State<App>,
    headers: HeaderMap,
    Body(asked): Body<RedeemSignIn>,
) -> Result<Response, ApiError> {
    #[derive(Deserialize)]
    struct Row {
        challenge: String,
        proved: String,
        auth_ms: i64,
        session: Option<String>,
    }
    configured(&app)?;
    limits::TRIES_BY_CALLER.check(&app, network.as_str()).await?;
    let wrong = || signed_out("That sign-in was used already, or has expired. Begin again.");
    // Taken before it is looked at: a code that was tried with a wrong verifier is in the wrong hands.
    let row: Option<Row> = app
        .db
        .query(sql!(
            "DELETE FROM signin_attempt WHERE code_hash = ?1 AND expires_ms > ?2 RETURNING challenge, proved, auth_ms, session",
            tokens::hash(&asked.code),
            ms(app.host.now()),
        ))
        .await?
        .first()?;
    let row = row.ok_or_else(wrong)?;
    let fits = (43..=128).contains(&asked.verifier.len()) && tokens::same(&challenge(&asked.verifier), &row.challenge);
    let person = person_by_id(&app, &row.proved).await?.filter(|_| fits).ok_or_else(wrong)?;
    let agent = session::agent(&headers);
    let opening = Opening { person, auth_at: at(row.auth_ms), replaces: row.session, agent: &agent };
    let opened = session::open(&app, opening).await?;
    Ok(opened.answer(&app.config, Keep::Token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_to_return_to_is_one_of_ours() {
        for good in ["", "#/", "#/runs/2026-10.1", "#/clients/r_8K2?x=1&y=%2F"] {
            assert!(read_return_to(Some(good)).is_ok(), "{good}");
        }
        for bad in [
            "/",
            "//evil.example",
            "https://evil.example",
            "#evil",
            "/\\evil.example",
            "#/\\evil",
            "#/a b",
            "#/\r\nSet-Cookie: x=1",
            "javascript:alert(1)",
            "#/<script>",
            " #/runs",
            "\u{2028}#/",
        ] {
            assert!(read_return_to(Some(bad)).is_err(), "{bad}");
        }
        assert!(read_return_to(Some(&format!("#/{}", "a".repeat(300)))).is_err());
    }

    proptest! {
        #[test]
        fn wherever_a_browser_returns_is_here(page in prop_oneof![any::<String>(), "#/[ -~]{0,40}", "[#/\\\\:@.a-z]{0,20}"]) {
            if let Ok(page) = read_return_to(Some(&page)) {
                let mut home = Url::parse("https://partners.example/").unwrap();
                home.set_fragment(page.strip_prefix('#').filter(|p| !p.is_empty()));
                let seen = Url::parse(home.as_str()).unwrap();
                prop_assert_eq!(seen.origin(), Url::parse("https://partners.example/").unwrap().origin());
                prop_assert_eq!(seen.path(), "/");
            }
        }

        #[test]
        fn only_a_program_on_this_machine_is_told(port in any::<u16>(), state in any::<String>(), challenge in any::<String>()) {
            let program = ProgramSignIn { port, state: state.clone(), challenge };
            if read_program(&program).is_ok() {
                prop_assert!(port >= 1024 && !state.contains(['&', '=', '#', '%', '/']));
            }
        }
    }
}
