//! From the click to the credit.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use commission::{TermsBook, evaluate, parse_fact};
use serde_json::{Value, json};
use wire::Role;

use crate::api::{Api, Browser};

const LINK: &str = "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11";

fn link(id: &str, path: &str) -> Value {
    json!({"id": id, "campaign": "Spring relaunch", "path": path,
        "utm": {"source": "mail", "medium": "post", "campaign": "spring", "content": "top", "term": "a b"}})
}

#[tokio::test]
async fn a_link_leads_to_its_page_with_every_utm_and_can_be_renamed_and_archived() {
    let api = Api::new();
    let code = api.join("halcyon.example").await;
    api.join("cobalt.example").await;
    let (owner, other) = (api.sign_in("owner@halcyon.example").await, api.sign_in("owner@cobalt.example").await);
    let made = api.post(&owner, "/v1/links", link(LINK, "/pricing?plan=pro#faq")).await.ok();
    let utm = "utm_campaign=spring&utm_content=top&utm_medium=post&utm_source=mail&utm_term=a+b";
    let page = format!("https://aikit.example/pricing?plan=pro&ref={code}&{utm}#faq");
    let url = made["url"].as_str().unwrap().strip_prefix("https://partners.aikit.example").unwrap();
    // By code and link, by link alone, and with what a sentence leaves behind it.
    for path in [url.to_owned(), format!("/r/{LINK}"), format!("/r/{}).", LINK.to_uppercase())] {
        let answer = api.visit(&path, &mut Browser::default()).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (302, page.clone()), "{path}");
        assert_eq!(answer.cookie("ref"), Some(code.clone()));
    }
    // What the address says comes before what the link says.
    let over = api.visit(&format!("/r/{LINK}?utm_source=talk&to=/start&other=1"), &mut Browser::default()).await;
    assert!(over.location().starts_with(&format!("https://aikit.example/start?ref={code}&")), "{}", over.location());
    assert!(over.location().contains("utm_source=talk") && !over.location().contains("other"));
    // Another of AIKit's sites, and nobody else's.
    let docs = "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e12";
    api.post(&owner, "/v1/links", link(docs, "https://docs.aikit.example/guide")).await.ok();
    let leads = api.visit(&format!("/r/{docs}"), &mut Browser::default()).await.location();
    assert!(leads.starts_with(&format!("https://docs.aikit.example/guide?ref={code}&")), "{leads}");
    let elsewhere = link("0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e13", "https://evil.example/");
    assert_eq!(api.post(&owner, "/v1/links", elsewhere).await.refused(), (400, "invalid".into()));

    let update = format!("/v1/links/{LINK}");
    let renamed = api.post(&owner, &update, json!({"campaign": " Autumn "})).await.ok();
    assert_eq!((renamed["campaign"].as_str(), renamed["clicks"].as_i64()), (Some("Autumn"), Some(4)));
    assert_eq!(api.post(&owner, &update, json!({"archived": true})).await.ok()["archived"], true);
    let ids =
        |list: Value| list.as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(api.get(&owner, "/v1/links").await.ok()), [docs]);
    assert_eq!(ids(api.get(&owner, "/v1/links?archived=true").await.ok()), [LINK]);
    assert_eq!(api.visit(url, &mut Browser::default()).await.location(), page, "an archived link still leads");
    assert_eq!(api.post(&owner, &update, json!({"archived": false})).await.ok()["archived"], false);
    assert_eq!(ids(api.get(&owner, "/v1/links").await.ok()).len(), 2);
    // Somebody else's link does not exist.
    let foreign = api.post(&other, &update, json!({"archived": true})).await;
    let missing = api.post(&other, "/v1/links/0197b3c2-7b60-7c3e-9a54-000000000000", json!({"archived": true})).await;
    assert_eq!((foreign.status.as_u16(), &foreign.text), (404, &missing.text));
}

#[tokio::test]
async fn a_code_or_a_slug_credits_however_it_is_passed_on() {
    let api = Api::new();
    let code = api.join("halcyon.example").await;
    let owner = api.sign_in("owner@halcyon.example").await;
    api.post(&owner, "/v1/slug", json!({"slug": "studio-halcyon"})).await.ok();
    let key = api.server_key().await;
    let bare = code.strip_prefix("PARTNER_").unwrap();
    let ways = [
        code.clone(),
        code.to_lowercase().replace('_', "-"),
        format!("{code}."),
        format!("{code}),"),
        bare.to_owned(),
        code.replace('0', "O").replace('1', "l"),
        "studio-halcyon".into(),
        "Studio-Halcyon!".into(),
        "STUDIOHALCYON".into(),
        "stud1o-ha1cyon".into(),
    ];
    for (n, way) in ways.iter().enumerate() {
        let mut browser = Browser::default();
        let answer = api.visit(&format!("/r/{way}"), &mut browser).await;
        assert_eq!(answer.cookie("ref"), Some(code.clone()), "{way}");
        // The pixel of the page that it leads to is the same click.
        let pixel = api.visit(&format!("/pixel.gif?ref={way}"), &mut browser).await;
        assert_eq!((pixel.status.as_u16(), pixel.cookie("ref")), (200, None), "{way}");
        // By itself it is one.
        let pixel = api.visit(&format!("/pixel.gif?ref={way}"), &mut Browser::default()).await;
        assert_eq!(pixel.cookie("ref"), Some(code.clone()), "{way}");
        // As the parameter that AIKit's backend passes on, and as the code that the client types.
        for field in ["ref", "partner_code"] {
            let form = json!({"customer_id": format!("{field}{n}"), "email": "it@client.example", field: way});
            assert_eq!(api.post(&key, "/v1/signups", form).await.ok()["partner_code"], code.as_str(), "{field} {way}");
        }
    }
    let given = api.rows("SELECT count(*) AS n, count(DISTINCT given) AS ways FROM click").await;
    assert_eq!((given[0]["n"].as_u64(), given[0]["ways"].as_u64()), (Some(20), Some(10)), "each as it was given");
    for nobody in ["PARTNER_ZZZZZZZZ", "nobody", "-", "%20", "..", "0197b3c2-7b60-7c3e-9a54-2f1f0c8d7e11"] {
        let answer = api.visit(&format!("/r/{nobody}"), &mut Browser::default()).await;
        assert_eq!((answer.location().as_str(), answer.cookie("ref")), ("https://aikit.example/", None), "{nobody}");
    }
}

#[tokio::test]
async fn the_latest_touch_of_a_browser_decides_and_every_touch_is_kept() {
    let api = Api::new();
    let (a, b, c) = (api.join("a.example").await, api.join("b.example").await, api.join("c.example").await);
    let key = api.server_key().await;
    let mut browser = Browser::default();
    for code in [&a, &b] {
        api.visit(&format!("/r/{code}"), &mut browser).await;
        api.wait(TimeDelta::days(2));
    }
    // Programs and prefetches are recorded, get no cookie, and change nothing.
    let before = browser.clone();
    for headers in [
        [("user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1)"), ("accept", "*/*")],
        [("user-agent", "Mozilla/5.0 Firefox/140.0"), ("sec-purpose", "prefetch;prerender")],
        [("user-agent", "Mozilla/5.0 Safari/605"), ("x-purpose", "preview")],
        [("user-agent", ""), ("accept", "*/*")],
    ] {
        let answer = api.visit_as(&format!("/r/{c}"), &mut browser, &headers).await;
        assert_eq!((answer.status.as_u16(), answer.cookie("ref")), (302, None), "{headers:?}");
    }
    assert_eq!(browser.click, before.click);
    let kinds = api.rows("SELECT kind, count(*) AS n FROM click GROUP BY kind ORDER BY kind").await;
    assert_eq!(kinds, json!([{"kind": "bot", "n": 2}, {"kind": "person", "n": 2}, {"kind": "prefetch", "n": 2}]));
    let credited = api.sign_up(&key, "client", &browser).await;
    assert_eq!(credited["partner_code"], b.as_str());
    let staff = api.colleague(Role::Staff).await;
    let path = format!("/v1/reviews/{}", credited["referral_id"].as_str().unwrap());
    let review = api.get(&staff, &path).await.ok();
    let told: Vec<_> =
        review["touches"].as_array().unwrap().iter().map(|t| (t["partner"].clone(), t["decided"].clone())).collect();
    assert_eq!(told, [(json!(a), json!(false)), (json!(b), json!(true))]);
    assert_eq!(review["rule"], "click");

    // The browser of the older click, thirty days later: the older one is past, the newer one is not.
    api.wait(TimeDelta::days(29) - TimeDelta::days(2) - TimeDelta::hours(1));
    assert_eq!(api.sign_up(&key, "late", &browser).await["partner_code"], b.as_str());
    api.wait(TimeDelta::days(3));
    let past = api.sign_up(&key, "later", &browser).await;
    assert_eq!(
        (past["referral_id"].clone(), past["reason"].as_str()),
        (Value::Null, Some("the click was more than 30 days before"))
    );
    // A click that was never recorded: the cookie speaks for itself, and the evidence says so.
    let lost = Browser { code: Some(a.clone()), click: Some("00000000-0000-4000-8000-000000000000".into()) };
    let credited = api.sign_up(&key, "lost", &lost).await;
    let review = api.get(&staff, &format!("/v1/reviews/{}", credited["referral_id"].as_str().unwrap())).await;
    assert_eq!(review.refused(), (401, "signed_out".into()), "the session is over after so long");
    let staff = api.colleague(Role::Staff).await;
    let review = api.get(&staff, &format!("/v1/reviews/{}", credited["referral_id"].as_str().unwrap())).await.ok();
    assert_eq!((review["rule"].as_str(), review["touches"][0]["at"].clone()), (Some("cookie"), Value::Null));
}

#[tokio::test]
async fn a_promotion_code_credits_in_whatever_order_it_is_reported() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        for clicked in [false, true] {
            let api = Api::new();
            let (a, b) = (api.join("a.example").await, api.join("b.example").await);
            let (key, mut browser) = (api.server_key().await, Browser::default());
            if clicked {
                api.visit(&format!("/r/{a}"), &mut browser).await;
            }
            api.wait(TimeDelta::hours(1));
            let signed_up = api.now();
            let redeemed = (signed_up + TimeDelta::minutes(3)).timestamp();
            api.wait(TimeDelta::minutes(10));
            for step in order {
                match step {
                    0 => {
                        let code = json!({"id": "promo_1", "code": "BEE20", "metadata": {"partner_code": b}});
                        api.stripe("promotion_code.created", code).await;
                    }
                    1 => {
                        let discount = json!({"id": "di_1", "customer": "cus_client", "promotion_code": "promo_1", "start": redeemed});
                        api.stripe("customer.discount.created", discount.clone()).await;
                        api.stripe("customer.discount.created", discount).await;
                    }
                    _ => {
                        let form = json!({"customer_id": "client", "email": "it@client.example", "ref": browser.code, "signed_up_at": signed_up,
                            "click_id": browser.click, "stripe_customer_id": "cus_client"});
                        api.post(&key, "/v1/signups", form).await.ok();
                    }
                }
            }
            api.pays("client").await;
            let told = api.rows("SELECT partner, rule, (SELECT count(*) FROM fact WHERE id LIKE 'invoice_paid:%') AS paid FROM referral").await;
            assert_eq!(told, json!([{"partner": b, "rule": "promotion_code", "paid": 1}]), "{order:?} {clicked}");
            let decided = api.rows("SELECT source FROM touch WHERE decided = 1").await;
            assert_eq!(decided, json!([{"source": "promotion_code"}]), "{order:?} {clicked}");
            assert_same_for_everybody(&api).await;
            // A client who pays already is not won by a code any more.
            api.wait(TimeDelta::days(1));
            api.stripe(
                "promotion_code.created",
                json!({"id": "promo_2", "code": "AYE20", "metadata": {"partner_code": a}}),
            )
            .await;
            let late = json!({"id": "cs_1", "customer": "cus_client", "discounts": [{"promotion_code": "promo_2"}]});
            api.stripe("checkout.session.completed", late).await;
            assert_eq!(api.rows("SELECT partner FROM referral").await, json!([{"partner": b}]));
        }
    }
}

#[tokio::test]
async fn a_slug_is_its_owners_and_nobody_elses() {
    let api = Api::new();
    let code = api.join("halcyon.example").await;
    api.join("cobalt.example").await;
    let (owner, other) = (api.sign_in("owner@halcyon.example").await, api.sign_in("owner@cobalt.example").await);
    let set = async |who: &str, slug: Value| api.post(who, "/v1/slug", json!({"slug": slug})).await;
    assert_eq!(set(&owner, json!("halcyon")).await.ok()["slug"], "halcyon");
    assert_eq!(api.get(&owner, "/v1/slug").await.ok()["slug"], "halcyon");
    for looks_alike in ["halcyon", "HALCYON", "ha1cyon", "hal-cyon", "haicyon"] {
        assert_eq!(set(&other, json!(looks_alike)).await.refused(), (409, "conflict".into()), "{looks_alike}");
    }
    // Nor can it be another partner's code.
    let bare = code.strip_prefix("PARTNER_").unwrap().to_lowercase();
    assert_eq!(set(&other, json!(bare)).await.refused(), (409, "conflict".into()));
    for reserved in ["admin", "aikit", "partner-x", "a", "", "x y"] {
        let answer = set(&other, json!(reserved)).await;
        assert!(reserved.is_empty() || answer.status.as_u16() == 400, "{reserved}: {answer:?}");
    }
    // It is in what the owner shares, and an old one goes on leading to its partner.
    let overview = api.get(&owner, "/v1/overview").await.ok();
    assert_eq!(overview["link_url"], "https://partners.aikit.example/r/halcyon");
    set(&owner, json!("studio-halcyon")).await.ok();
    assert_eq!(set(&other, json!("halcyon")).await.refused().0, 409, "given up, and still not anybody's");
    for slug in ["halcyon", "studio-halcyon"] {
        assert_eq!(api.visit(&format!("/r/{slug}"), &mut Browser::default()).await.cookie("ref"), Some(code.clone()));
    }
    set(&owner, json!("halcyon")).await.ok();
    set(&owner, json!("")).await.ok();
    assert_eq!(api.get(&owner, "/v1/slug").await.ok()["slug"], Value::Null);
    let audit = api.rows("SELECT before, after FROM audit WHERE action = 'partner.slug_set' ORDER BY n").await;
    assert_eq!(audit.as_array().unwrap().len(), 4);
    assert_eq!(audit[1], json!({"before": "{\"slug\":\"halcyon\"}", "after": "{\"slug\":\"studio-halcyon\"}"}));
}

/// What each partner's own facts come to is what all facts together come to, at every cut.
pub(crate) async fn assert_same_for_everybody(api: &Api) {
    let terms = TermsBook::default_book();
    let head = referral::journal_head(&api.app).await.unwrap();
    let read = async |partner: Option<&str>, cut: i64| {
        let page = referral::journal_page(&api.app, partner, 0, cut).await.unwrap();
        let lines = page.map(|p| p.lines).unwrap_or_default();
        lines.iter().filter_map(|line| parse_fact(line).unwrap()).collect::<Vec<_>>()
    };
    let as_of = api.now() + TimeDelta::days(400);
    for cut in 1..=head {
        let all = evaluate(&read(None, cut).await, &terms, as_of).unwrap();
        let partners: BTreeSet<&str> = all.statements.iter().map(|s| s.partner.as_str()).collect();
        for partner in partners {
            let own = evaluate(&read(Some(partner), cut).await, &terms, as_of).unwrap();
            let digest = |e: &commission::Evaluation| {
                e.statements.iter().find(|s| s.partner == partner).map(|s| s.digest.clone()).unwrap()
            };
            assert_eq!(digest(&own), digest(&all), "{partner} at {cut}");
        }
    }
}
