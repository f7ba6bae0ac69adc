//! What an ID token proves. Pure: keys, time and what was expected are arguments.

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{
    ClaimsVerificationError, ClientId, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    SignatureVerificationError,
};

/// How far the issuer's clock and ours may be apart.
pub(crate) const SKEW: TimeDelta = TimeDelta::seconds(60);
/// Bytes of a token that are looked at: no honest one comes near.
const LENGTH: usize = 32 * 1024;
/// RSA and elliptic curves alone: a secret that both sides have proves nothing to a third, and `none` nothing at all.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 2] =
    [CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, CoreJwsSigningAlgorithm::EcdsaP256Sha256];

/// What a token must be about.
pub(crate) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub now: DateTime<Utc>,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub subject: String,
    pub email: Option<String>,
    pub email_verified: bool,
    /// When the person last proved who they are there.
    pub auth_at: Option<DateTime<Utc>>,
}

/// Why a token proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The issuer may have new keys.
    #[error("it is signed with a key that is not among the issuer's")]
    UnknownKey,
    /// Anything else, for the log.
    #[error("{0}")]
    Invalid(String),
}

/// Checks signature, issuer, audience, times and nonce (OpenID Connect Core §3.1.3.7).
pub(crate) fn verify(token: &str, keys: &CoreJsonWebKeySet, expected: &Expected<'_>) -> Result<Claims, Refused> {
    let invalid = |text: &str| Refused::Invalid(text.into());
    if token.len() > LENGTH {
        return Err(invalid("it is too long"));
    }
    // The parser's own message would quote the token.
    let token: CoreIdToken = token.parse().map_err(|_| invalid("it is not an ID token"))?;
    let issuer = IssuerUrl::new(expected.issuer.into()).map_err(|e| Refused::Invalid(e.to_string()))?;
    let now = expected.now;
    let verifier =
        CoreIdTokenVerifier::new_public_client(ClientId::new(expected.client_id.into()), issuer, keys.clone())
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || now - SKEW)
            .set_issue_time_verifier_fn(move |issued| {
                if issued > now + SKEW { Err("it was issued in the future".into()) } else { Ok(()) }
            })
            .set_auth_time_verifier_fn(move |at| match at {
                Some(at) if at > now + SKEW => Err("the person signed in in the future".into()),
                _ => Ok(()),
            });
    let claims = token.claims(&verifier, &Nonce::new(expected.nonce.into())).map_err(|error| match error {
        ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            Refused::UnknownKey
        }
        other => Refused::Invalid(other.to_string()),
    })?;
    if claims.authorized_party().is_some_and(|party| party.as_str() != expected.client_id) {
        return Err(invalid("it was issued to another client"));
    }
    Ok(Claims {
        subject: claims.subject().as_str().into(),
        email: claims.email().map(|e| e.as_str().into()),
        email_verified: claims.email_verified() == Some(true),
        auth_at: claims.auth_time().map(|at| at.min(now)),
    })
}

/// What a PKCE verifier must hash to (S256).
pub(crate) fn challenge(verifier: &str) -> String {
    PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.into())).as_str().into()
}
