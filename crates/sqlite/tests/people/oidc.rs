//! Sign-in at an issuer: what it proves, and all that it does not.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;
use wire::Role;

use crate::api::{Answer, Api, HERE, text};
use crate::issuer::{CLIENT, Forge, ISSUER, Issuer, jwk, part, signed};

const EMAIL: &str = "finance@aikit.example";
const VERIFIER: &str = "0123456789012345678901234567890123456789012";

/// A browser begins, and is led to the issuer: its cookie, and where it is led.
async fn begin(api: &Api, body: Value, bearer: &str) -> (String, String) {
    let begun = api.post("/v1/auth/oidc", body).bearer(bearer).send().await;
    let cookie = begun.cookie("__Host-aikit_signin");
    if let Some((line, _)) = &cookie {
        assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax") && line.contains("Secure"), "{line}");
    }
    let url = text(&begun.ok(), "url");
    let go = url.strip_prefix(HERE).unwrap_or_else(|| panic!("{url} is not here"));
    let led = api.get(go).send().await;
    assert_eq!(led.status, StatusCode::SEE_OTHER, "{led:?}");
    (cookie.map(|(_, value)| format!("__Host-aikit_signin={value}")).unwrap_or_default(), led.location().to_owned())
}

async fn come_back(api: &Api, cookie: &str, path: &str) -> Answer {
    api.get(path).header("cookie", cookie).send().await
}

async fn sign_in(api: &Api, issuer: &Issuer) -> Answer {
    let (cookie, led_to) = begin(api, json!({}), "").await;
    come_back(api, &cookie, &issuer.sign_in(&led_to, api.now())).await
}

fn is_in(answer: &Answer) -> bool {
    answer.status == StatusCode::SEE_OTHER && answer.cookie("__Host-aikit_refresh").is_some()
}

/// A page for a person: not in, in words, without a session and without what was sent.
fn is_out(answer: &Answer, says: &str) {
    assert!(answer.status.is_client_error() || answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.cookie("__Host-aikit_refresh").is_none() && answer.text.contains(says), "{says}: {answer:?}");
    assert!(answer.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
}

/// The session that a browser came in with.
async fn access(api: &Api, answer: &Answer) -> Value {
    let (_, value) = answer.cookie("__Host-aikit_refresh").unwrap();
    let cookie = format!("__Host-aikit_refresh={value}");
    api.post("/v1/auth/refresh", json!({})).header("cookie", &cookie).send().await.ok()
}

#[tokio::test]
async fn a_browser_comes_in_and_lands_on_the_page_that_it_wanted() {
    let issuer = Issuer::new();
    let api = issuer.api();
    api.add(EMAIL, Role::Finance).await;
    assert_eq!(api.get("/v1/auth/methods").send().await.ok(), json!({"email_codes": false, "issuer": "AIKit"}));
    assert_eq!(api.post("/v1/auth/codes", json!({"email": EMAIL})).send().await.refused().0, 403);
    let (cookie, led_to) = begin(&api, json!({"return_to": "#/runs/2026-10.1"}), "").await;
    let path = issuer.sign_in(&led_to, api.now());
    let answer = come_back(&api, &cookie, &path).await;
    assert!(is_in(&answer), "{answer:?}");
    assert_eq!(answer.location(), format!("{HERE}/#/runs/2026-10.1"));
    let session = access(&api, &answer).await;
    assert_eq!(
        (text(&session["account"], "email").as_str(), text(&session["account"], "role").as_str()),
        (EMAIL, "finance")
    );
    // The same address once more, by the same browser.
    is_out(&come_back(&api, &cookie, &path).await, "used already");
    // What is kept of it is good for nothing.
    let kept = api.rows("SELECT * FROM signin_attempt").await.to_string();
    assert!(
        !kept.contains("aik_sgn_") || api.rows("SELECT * FROM signin_attempt WHERE verifier <> ''").await == json!([])
    );
}

#[tokio::test]
async fn only_the_browser_that_began_may_come_back() {
    let issuer = Issuer::new();
    let api = issuer.api();
    api.add(EMAIL, Role::Finance).await;
    let (cookie, led_to) = begin(&api, json!({}), "").await;
    let path = issuer.sign_in(&led_to, api.now());
    let (other, _) = begin(&api, json!({}), "").await;
    for wrong in ["", "__Host-aikit_signin=", "aikit_signin=x", &other] {
        is_out(&come_back(&api, wrong, &path).await, "another browser");
    }
    assert!(is_in(&come_back(&api, &cookie, &path).await), "and it still may");
    for (path, says) in [
        ("/v1/auth/oidc/callback", "says of none"),
        ("/v1/auth/oidc/callback?code=x", "says of none"),
        ("/v1/auth/oidc/callback?code=x&state=", "says of none"),
        ("/v1/auth/oidc/callback?code=x&state=%3Cscript%3E", "says of none"),
        ("/v1/auth/oidc/callback?code=%ff&state=%ff&state=x&code", "says of none"),
        ("/v1/auth/oidc/go/%ff", "used already, or has expired"),
        ("/v1/auth/oidc/go/x", "used already, or has expired"),
        ("/v1/auth/oidc/callback?code=x&state=aik_sgn_000000000000000000000000000000", "says of none"),
    ] {
        is_out(&come_back(&api, &cookie, path).await, says);
    }
    // Too late.
    let (cookie, led_to) = begin(&api, json!({}), "").await;
    let path = issuer.sign_in(&led_to, api.now());
    api.wait(TimeDelta::minutes(10));
    is_out(&come_back(&api, &cookie, &path).await, "expired");
    // The person thought better of it, and another issuer answers.
    for (added, says) in
        [("&error=access_denied", "did not sign you in"), ("&iss=https%3A%2F%2Fevil.example", "could not be verified")]
    {
        let (cookie, led_to) = begin(&api, json!({}), "").await;
        let path = issuer.sign_in(&led_to, api.now()) + added;
        is_out(&come_back(&api, &cookie, &path).await, says);
        is_out(&come_back(&api, &cookie, &path).await, "used already");
    }
}

#[tokio::test]
async fn a_page_to_return_to_is_ours_or_refused() {
    let api = Issuer::new().api();
    for bad in
        ["https://evil.example", "//evil.example", "/\\evil.example", "#//evil\\", "/", "javascript:alert(1)", "#/\n"]
    {
        assert_eq!(api.post("/v1/auth/oidc", json!({"return_to": bad})).send().await.refused().0, 400, "{bad}");
    }
    let good = json!({"port": 4000, "state": "0123456789abcdef", "challenge": "A".repeat(43)});
    for (field, bad) in [
        ("port", json!(80)),
        ("port", json!(70_000)),
        ("port", json!("4000")),
        ("state", json!("short")),
        ("state", json!("0123456789abcdef&code=x")),
        ("challenge", json!("plain")),
        ("challenge", json!("!".repeat(43))),
    ] {
        let mut program = good.clone();
        program[field] = bad;
        assert_eq!(api.post("/v1/auth/oidc", json!({"program": program})).send().await.refused().0, 400, "{program}");
    }
    assert_eq!(api.post("/v1/auth/oidc", json!({"confirm": true})).send().await.refused().0, 401);
}

#[tokio::test]
async fn forged_tokens_prove_nothing() {
    let es256 = || json!({"alg": "ES256", "kid": "one"});
    let with = |field: &'static str, value: Value| -> Forge {
        Box::new(move |mut claims| {
            claims[field] = value.clone();
            signed(&json!({"alg": "ES256", "kid": "one"}), &claims, 1)
        })
    };
    let shifted = |field: &'static str, by: i64| -> Forge {
        Box::new(move |mut claims| {
            claims[field] = json!(claims["iat"].as_i64().unwrap() + by);
            signed(&json!({"alg": "ES256", "kid": "one"}), &claims, 1)
        })
    };
    let hs256 = |key: Vec<u8>| -> Forge {
        Box::new(move |claims| {
            let text = format!("{}.{}", part(&json!({"alg": "HS256", "kid": "one"})), part(&claims));
            let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(text.as_bytes()).finalize();
            format!("{text}.{}", B64.encode(mac.into_bytes()))
        })
    };
    let forgeries: Vec<(&str, Forge)> = vec![
        ("no algorithm", Box::new(|c| format!("{}.{}.", part(&json!({"alg": "none"})), part(&c)))),
        (
            "no algorithm, shouted",
            Box::new(|c| format!("{}.{}.", part(&json!({"alg": "NONE", "kid": "one"})), part(&c))),
        ),
        ("no signature", Box::new(move |c| format!("{}.{}.", part(&es256()), part(&c)))),
        ("HS256 with the public key", hs256(jwk("one", 1).to_string().into_bytes())),
        ("HS256 with its coordinates", hs256(B64.decode(jwk("one", 1)["x"].as_str().unwrap()).unwrap())),
        ("HS256 with the client's name", hs256(CLIENT.into())),
        ("RS256 in name", Box::new(|c| signed(&json!({"alg": "RS256", "kid": "one"}), &c, 1))),
        ("another key of that name", Box::new(|c| signed(&json!({"alg": "ES256", "kid": "one"}), &c, 2))),
        ("a key of its own", Box::new(|c| signed(&json!({"alg": "ES256", "jwk": jwk("x", 2)}), &c, 2))),
        (
            "a key from elsewhere",
            Box::new(|c| signed(&json!({"alg": "ES256", "jku": "https://evil.example/jwks"}), &c, 2)),
        ),
        ("a critical extension", Box::new(|c| signed(&json!({"alg": "ES256", "kid": "one", "crit": ["x"]}), &c, 1))),
        (
            "an altered payload",
            Box::new(|mut c| {
                let honest = signed(&json!({"alg": "ES256", "kid": "one"}), &c, 1);
                c["email"] = json!("root@aikit.example");
                let parts: Vec<&str> = honest.split('.').collect();
                format!("{}.{}.{}", parts[0], part(&c), parts[2])
            }),
        ),
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("the issuer with a slash", with("iss", json!(format!("{ISSUER}/")))),
        ("another audience", with("aud", json!("shop"))),
        ("several audiences", with("aud", json!([CLIENT, "shop"]))),
        ("no audience", with("aud", json!([]))),
        ("another party", with("azp", json!("shop"))),
        ("another nonce", with("nonce", json!("x"))),
        ("no nonce", with("nonce", Value::Null)),
        ("no subject", with("sub", Value::Null)),
        ("expired", shifted("exp", -61)),
        ("from the future", shifted("iat", 120)),
        ("a sign-in in the future", shifted("auth_time", 120)),
        ("not a token", Box::new(|_| "x".into())),
        ("three empty parts", Box::new(|_| "..".into())),
        ("a long one", Box::new(|c| signed(&json!({"alg": "ES256", "kid": "one", "x": "x".repeat(40_000)}), &c, 1))),
    ];
    for (what, forge) in forgeries {
        let issuer = Issuer::new();
        let api = issuer.api();
        api.add(EMAIL, Role::Finance).await;
        issuer.set(|s| s.forge = forge);
        let answer = sign_in(&api, &issuer).await;
        assert!(!is_in(&answer), "{what}");
        is_out(&answer, "could not be verified");
        assert_eq!(api.rows("SELECT 1 AS x FROM session").await, json!([]), "{what}");
    }
    // A clock that is a little off proves as much as before.
    for (field, by) in [("exp", -50), ("iat", 50)] {
        let issuer = Issuer::new();
        let api = issuer.api();
        api.add(EMAIL, Role::Finance).await;
        issuer.set(|s| s.forge = shifted(field, by));
        assert!(is_in(&sign_in(&api, &issuer).await), "{field} {by}");
    }
}

#[tokio::test]
async fn new_keys_are_looked_for_and_not_too_often() {
    let issuer = Issuer::new();
    let api = issuer.api();
    api.add(EMAIL, Role::Finance).await;
    assert!(is_in(&sign_in(&api, &issuer).await));
    let looks = || issuer.set(|s| s.asked.iter().filter(|p| *p == "/jwks").count());
    assert!(is_in(&sign_in(&api, &issuer).await));
    assert_eq!(looks(), 1, "keys are kept");
    issuer.set(|s| {
        s.keys = vec![("two", 2)];
        s.forge = Box::new(|c| signed(&json!({"alg": "ES256", "kid": "two"}), &c, 2));
    });
    assert!(is_in(&sign_in(&api, &issuer).await), "rotated");
    assert_eq!(looks(), 2);
    // Whoever makes up names of keys does not make us ask each time.
    issuer.set(|s| s.forge = Box::new(|c| signed(&json!({"alg": "ES256", "kid": "made up"}), &c, 2)));
    for _ in 0..10 {
        is_out(&sign_in(&api, &issuer).await, "could not be verified");
    }
    assert!(looks() <= 4, "{}", looks());
    // The issuer is out of reach: what is known serves for a day.
    issuer.set(|s| {
        s.away = true;
        s.forge = Box::new(|c| signed(&json!({"alg": "ES256", "kid": "two"}), &c, 2));
    });
    api.wait(TimeDelta::hours(2));
    let (cookie, led_to) = begin(&api, json!({}), "").await;
    let path = issuer.sign_in(&led_to, api.now());
    is_out(&come_back(&api, &cookie, &path).await, "could not be asked just now");
    api.wait(TimeDelta::days(2));
    let url = text(&api.post("/v1/auth/oidc", json!({})).send().await.ok(), "url");
    is_out(&api.get(url.strip_prefix(HERE).unwrap()).send().await, "could not be asked just now");
}

#[tokio::test]
async fn a_person_is_bound_to_a_subject_by_a_verified_address() {
    let issuer = Issuer::new();
    let api = issuer.api();
    let id = api.add(EMAIL, Role::Finance).await;
    for (person, says) in [
        (("s1", EMAIL, false), "has not verified"),
        (("s1", "stranger@agency.example", true), "Nobody is known here as stranger@agency.example"),
        (("s1", "<script>alert(1)</script>@x.example", true), "&lt;script&gt;"),
    ] {
        issuer.set(|s| s.person = person);
        is_out(&sign_in(&api, &issuer).await, says);
    }
    // The address is in another case, and at userinfo alone.
    issuer.set(|s| (s.person, s.userinfo) = (("s1", "Finance@AIKit.example", true), Some("s1")));
    assert!(is_in(&sign_in(&api, &issuer).await));
    issuer.set(|s| s.userinfo = Some("somebody else"));
    is_out(&sign_in(&api, &issuer).await, "could not be verified");
    // The subject keeps the person, whatever address it has later; another subject does not get in by the address.
    issuer.set(|s| (s.person, s.userinfo) = (("s1", "new-name@aikit.example", true), None));
    assert_eq!(text(&access(&api, &sign_in(&api, &issuer).await).await["account"], "user"), id);
    issuer.set(|s| s.person = ("s2", EMAIL, true));
    is_out(&sign_in(&api, &issuer).await, "with another account at AIKit");
    // Removed is removed; added again, the address binds anew.
    referral::remove_person(&api.app, &referral::Actor::Operator, EMAIL).await.unwrap();
    issuer.set(|s| s.person = ("s1", EMAIL, true));
    is_out(&sign_in(&api, &issuer).await, "Nobody is known here");
    api.add(EMAIL, Role::Finance).await;
    issuer.set(|s| s.person = ("s2", EMAIL, true));
    assert!(is_in(&sign_in(&api, &issuer).await));
}

#[tokio::test]
async fn a_confirmation_proves_a_fresh_sign_in_of_the_same_person() {
    let issuer = Issuer::new();
    let api = issuer.api();
    api.add(EMAIL, Role::Admin).await;
    api.add("other@aikit.example", Role::Admin).await;
    // Signed in at the issuer for an hour: in, and not fresh. An issuer that does not say is never fresh.
    for age in [Some(3600), None] {
        issuer.set(|s| s.auth_age_s = age);
        let token = text(&access(&api, &sign_in(&api, &issuer).await).await, "access_token");
        let act = api.post("/v1/keys", json!({"kind": "server", "label": ""})).bearer(&token).send().await;
        assert_eq!(act.refused(), (403, "step_up".into()));
    }
    let token = text(&access(&api, &sign_in(&api, &issuer).await).await, "access_token");
    let confirm = async || {
        let (cookie, led_to) = begin(&api, json!({"confirm": true, "return_to": "#/confirmed"}), &token).await;
        let asked = Url::parse(&led_to).unwrap();
        let asked: std::collections::HashMap<_, _> = asked.query_pairs().into_owned().collect();
        assert_eq!((asked["prompt"].as_str(), asked["max_age"].as_str()), ("login", "0"));
        come_back(&api, &cookie, &issuer.sign_in(&led_to, api.now())).await
    };
    for age in [None, Some(301)] {
        issuer.set(|s| s.auth_age_s = age);
        is_out(&confirm().await, "five minutes");
    }
    issuer.set(|s| (s.auth_age_s, s.person) = (Some(1), ("sub-other", "other@aikit.example", true)));
    is_out(&confirm().await, "You confirmed as other@aikit.example");
    issuer.set(|s| s.person = ("sub-finance", EMAIL, true));
    let answer = confirm().await;
    assert!(is_in(&answer) && answer.location().ends_with("/#/confirmed"), "{answer:?}");
    assert_eq!(api.get("/v1/keys").bearer(&token).send().await.refused().0, 401, "the new session replaces the old");
    let token = text(&access(&api, &answer).await, "access_token");
    api.post("/v1/keys", json!({"kind": "server", "label": ""})).bearer(&token).send().await.ok();
}

#[tokio::test]
async fn a_program_gets_its_session_with_what_only_it_knows() {
    let issuer = Issuer::new();
    let api = issuer.api();
    api.add(EMAIL, Role::Finance).await;
    let challenge = B64.encode(Sha256::digest(VERIFIER));
    let program = json!({"program": {"port": 40123, "state": "0123456789abcdef", "challenge": challenge}});
    let through = async || {
        let (cookie, led_to) = begin(&api, program.clone(), "").await;
        assert_eq!(cookie, "", "the browser of a program keeps nothing");
        let answer = come_back(&api, "", &issuer.sign_in(&led_to, api.now())).await;
        assert!(answer.status == StatusCode::SEE_OTHER && answer.cookie("__Host-aikit_refresh").is_none());
        let back = Url::parse(answer.location()).unwrap();
        assert_eq!((back.host_str(), back.port(), back.path()), (Some("127.0.0.1"), Some(40123), "/"));
        let values: std::collections::HashMap<_, _> = back.query_pairs().into_owned().collect();
        assert_eq!(values["state"], "0123456789abcdef");
        values
    };
    let redeem = async |code: &str, verifier: &str| {
        api.post("/v1/auth/oidc/sessions", json!({"code": code, "verifier": verifier})).send().await
    };
    let code = through().await["code"].clone();
    let session = redeem(&code, VERIFIER).await.ok();
    assert!(session["refresh_token"].is_string() && session["account"]["email"] == EMAIL);
    assert_eq!(redeem(&code, VERIFIER).await.refused().0, 401, "once");
    // Caught on the way, it is worth nothing, and to its owner neither any more.
    let code = through().await["code"].clone();
    for verifier in ["", &challenge, &VERIFIER.replace('0', "1"), VERIFIER] {
        assert_eq!(redeem(&code, verifier).await.refused().0, 401);
    }
    let code = through().await["code"].clone();
    api.wait(TimeDelta::seconds(60));
    assert_eq!(redeem(&code, VERIFIER).await.refused().0, 401, "too late");
    assert_eq!(redeem("", VERIFIER).await.refused().0, 401);
    // A refusal reaches the program in words.
    issuer.set(|s| s.person = ("x", "stranger@x.example", true));
    let values = through().await;
    assert!(values["error"].contains("Nobody is known here as stranger@x.example") && !values.contains_key("code"));
}
