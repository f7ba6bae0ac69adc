//! An issuer in a few lines, that also lies: it signs whatever a test wants with real keys.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use chrono::{DateTime, Utc};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use referral::ports::{HttpRequest, HttpResponse, Oidc};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::api::{Api, HERE};

pub(crate) const ISSUER: &str = "https://id.aikit.example";
pub(crate) const CLIENT: &str = "partners";

/// A key pair, by a number.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub(crate) fn jwk(kid: &str, seed: u8) -> Value {
    let point = key(seed).verifying_key().to_sec1_point(false);
    let bytes = point.as_bytes();
    json!({"kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": kid,
        "x": B64.encode(&bytes[1..33]), "y": B64.encode(&bytes[33..65])})
}

pub(crate) fn part(value: &Value) -> String {
    B64.encode(value.to_string())
}

/// A token as an honest issuer signs it.
pub(crate) fn signed(header: &Value, claims: &Value, seed: u8) -> String {
    let text = format!("{}.{}", part(header), part(claims));
    let signature: Signature = key(seed).sign(text.as_bytes());
    format!("{text}.{}", B64.encode(signature.to_bytes()))
}

/// Makes the token out of what an honest issuer would say.
pub(crate) type Forge = Box<dyn Fn(Value) -> String + Send>;

pub(crate) struct State {
    /// Keys that are published: kid and number.
    pub(crate) keys: Vec<(&'static str, u8)>,
    pub(crate) forge: Forge,
    /// Who signs in: subject, address, whether that is verified.
    pub(crate) person: (&'static str, &'static str, bool),
    /// Seconds since the person proved it there; `None` when the issuer does not say.
    pub(crate) auth_age_s: Option<i64>,
    /// The address is at userinfo alone, of this subject.
    pub(crate) userinfo: Option<&'static str>,
    /// It cannot be reached.
    pub(crate) away: bool,
    /// Paths that were asked.
    pub(crate) asked: Vec<String>,
    codes: HashMap<String, (String, String)>,
    now: Option<DateTime<Utc>>,
}

#[derive(Clone)]
pub(crate) struct Issuer(Arc<Mutex<State>>);

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

impl Issuer {
    pub(crate) fn new() -> Issuer {
        let honest = |claims| signed(&json!({"alg": "ES256", "kid": "one"}), &claims, 1);
        Issuer(Arc::new(Mutex::new(State {
            keys: vec![("one", 1)],
            forge: Box::new(honest),
            person: ("sub-finance", "finance@aikit.example", true),
            auth_age_s: Some(5),
            userinfo: None,
            away: false,
            asked: Vec::new(),
            codes: HashMap::new(),
            now: None,
        })))
    }

    pub(crate) fn set<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// An API that trusts this issuer.
    pub(crate) fn api(&self) -> Api {
        let oidc = Oidc { issuer: ISSUER.into(), client_id: CLIENT.into(), client_secret: None, name: "AIKit".into() };
        let me = self.clone();
        Api::with(Some(oidc), Arc::new(move |request| me.answer(&request)))
    }

    /// The person signs in at the address that the browser was led to; answers the path that it comes back to.
    pub(crate) fn sign_in(&self, led_to: &str, now: DateTime<Utc>) -> String {
        let url = Url::parse(led_to).unwrap();
        let asked = query(&url);
        assert!(led_to.starts_with(&format!("{ISSUER}/authorize?")), "{led_to}");
        assert_eq!((asked["response_type"].as_str(), asked["code_challenge_method"].as_str()), ("code", "S256"));
        assert_eq!(asked["redirect_uri"], format!("{HERE}/v1/auth/oidc/callback"));
        self.set(|state| {
            state.now = Some(now);
            let code = format!("code{}", state.codes.len());
            state.codes.insert(code.clone(), (asked["nonce"].clone(), asked["code_challenge"].clone()));
            format!("/v1/auth/oidc/callback?code={code}&state={}", asked["state"])
        })
    }

    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, String> {
        self.set(|state| {
            let path = request.url.path().to_owned();
            state.asked.push(path.clone());
            if state.away {
                return Err("no connection".into());
            }
            let (status, body) = match path.as_str() {
                "/.well-known/openid-configuration" => (200, metadata()),
                "/jwks" => {
                    (200, json!({"keys": state.keys.iter().map(|(kid, seed)| jwk(kid, *seed)).collect::<Vec<_>>()}))
                }
                "/userinfo" => {
                    let (_, email, verified) = state.person;
                    (200, json!({"sub": state.userinfo, "email": email, "email_verified": verified}))
                }
                "/token" => state.token(&request.body),
                _ => (404, json!({})),
            };
            Ok(HttpResponse { status, body: body.to_string() })
        })
    }
}

impl State {
    fn token(&mut self, form: &str) -> (u16, Value) {
        let form: HashMap<String, String> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let refused = (400, json!({"error": "invalid_grant"}));
        let Some((nonce, challenge)) = self.codes.remove(&form["code"]) else { return refused };
        if B64.encode(Sha256::digest(&form["code_verifier"])) != challenge || form["client_id"] != CLIENT {
            return refused;
        }
        let now = self.now.unwrap().timestamp();
        let (subject, email, verified) = self.person;
        let mut claims =
            json!({"iss": ISSUER, "aud": CLIENT, "sub": subject, "nonce": nonce, "iat": now, "exp": now + 300});
        if let Some(age) = self.auth_age_s {
            claims["auth_time"] = json!(now - age);
        }
        if self.userinfo.is_none() {
            claims["email"] = json!(email);
            claims["email_verified"] = json!(verified);
        }
        (200, json!({"access_token": "at", "token_type": "Bearer", "id_token": (self.forge)(claims)}))
    }
}

fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/authorize"),
        "token_endpoint": format!("{ISSUER}/token"),
        "userinfo_endpoint": format!("{ISSUER}/userinfo"),
        "jwks_uri": format!("{ISSUER}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    })
}
