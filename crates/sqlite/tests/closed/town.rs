//! Two agencies with everything that an agency can have, AIKit's people, and programs with keys.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use chrono::TimeDelta;
use http_body_util::BodyExt as _;
use referral::{Actor, sql};
use serde_json::{Value, json};
use wire::{KeyKind, Role};

use crate::common::World;

/// Who asks, in the order of the table.
pub(crate) const CALLERS: [&str; 9] =
    ["stranger", "server", "executor", "owner", "member", "staff", "finance", "admin", "auditor"];

/// Which id stands in an operation's path.
pub(crate) const IDS: [&str; 4] = ["malformed", "missing", "foreign", "own"];

pub(crate) struct Town {
    pub(crate) world: World,
    /// Tokens by caller; owner and member are of the first agency.
    tokens: BTreeMap<&'static str, String>,
    /// By name of the path's part: what is the first agency's, and what is the second's.
    ids: BTreeMap<&'static str, [String; 2]>,
    /// The draft that finance looks at.
    draft: Value,
    /// What lets an executor send the month before it.
    grant: String,
}

impl Town {
    pub(crate) async fn new() -> Town {
        let world = World::new();
        let mut tokens = BTreeMap::new();
        for (kind, name) in [(KeyKind::Server, "server"), (KeyKind::Executor, "executor")] {
            let issued = referral::issue_key(&world.app, &Actor::Operator, kind, name).await.unwrap();
            tokens.insert(name, issued.secret);
        }
        for (role, name) in
            [(Role::Staff, "staff"), (Role::Finance, "finance"), (Role::Admin, "admin"), (Role::Auditor, "auditor")]
        {
            let email = format!("{name}@aikit.example");
            referral::add_person(&world.app, &Actor::Operator, &email, role).await.unwrap();
        }
        let mut town = Town { world, tokens, ids: BTreeMap::new(), draft: Value::Null, grant: String::new() };
        let mut ids = [BTreeMap::new(), BTreeMap::new()];
        for (n, name) in ["first", "second"].into_iter().enumerate() {
            ids[n] = town.agency(n, name).await;
        }
        town.pay_and_draft(&mut ids).await;
        town.resources(&mut ids).await;
        let [first, mut second] = ids;
        town.ids = first.into_iter().map(|(name, id)| (name, [id, second.remove(name).unwrap_or_default()])).collect();
        for name in CALLERS.into_iter().skip(3) {
            let email = match name {
                "owner" => "owner@first.example".to_owned(),
                "member" => "member@first.example".to_owned(),
                staff => format!("{staff}@aikit.example"),
            };
            let token = town.world.session(&email).await;
            town.tokens.insert(name, token);
        }
        let sessions = town.ok("GET", "/v1/auth/sessions", "owner", Value::Null).await;
        let foreign = town.ids["session"][1].clone();
        town.ids.insert("session", [sessions[0]["session"].as_str().unwrap().into(), foreign]);
        town
    }

    /// An agency with a member, a link, a slug and a client; answers the ids of what it has.
    async fn agency(&mut self, n: usize, name: &str) -> BTreeMap<&'static str, String> {
        let code = self.world.join(&format!("{name}.example"), &format!("acct_{name}")).await;
        self.world.run(sql!("UPDATE partner SET transfers = 'active' WHERE code = ?1", &code)).await;
        let owner = self.world.session(&format!("owner@{name}.example")).await;
        self.tokens.insert("owner", owner);
        let member = json!({"email": format!("member@{name}.example")});
        let member = self.ok("POST", "/v1/members", "owner", member).await;
        let link = format!("0000000{n}-0000-4000-8000-000000000000");
        self.ok("POST", "/v1/links", "owner", json!({"id": link, "campaign": name, "path": "/"})).await;
        let sessions = self.ok("GET", "/v1/auth/sessions", "owner", Value::Null).await;
        // Its own domain, so that it must be reviewed.
        let client = json!({"customer_id": format!("c_{name}"), "email": format!("boss@{name}.example"), "partner_code": code,
            "stripe_customer_id": format!("cus_{name}")});
        let flagged = self.ok("POST", "/v1/signups", "server", client).await;
        let client = json!({"customer_id": format!("d_{name}"), "email": format!("it@of-{name}.example"), "partner_code": code,
            "stripe_customer_id": format!("cud_{name}")});
        self.ok("POST", "/v1/signups", "server", client).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        BTreeMap::from([
            ("partner", code.clone()),
            ("code", code),
            ("link", link),
            ("person", text(&member["person"])),
            ("session", text(&sessions[0]["session"])),
            ("referral", text(&flagged["referral_id"])),
        ])
    }

    /// Clients of both pay, their commission vests, and finance drafts the month.
    async fn pay_and_draft(&mut self, ids: &mut [BTreeMap<&'static str, String>; 2]) {
        let at = self.world.app.host.now().timestamp();
        for name in ["first", "second"] {
            let subscription = json!({"id": format!("sub_{name}"), "customer": format!("cud_{name}"), "status": "active",
                "currency": "usd", "start_date": at, "latest_invoice": format!("in_{name}"),
                "items": {"data": [{"quantity": 1, "price": {"unit_amount": 50_000, "recurring": {"interval": "month"}}}]}});
            let invoice = json!({"id": format!("in_{name}"), "customer": format!("cud_{name}"), "currency": "usd",
                "amount_paid": 50_000, "total": 50_000, "status_transitions": {"paid_at": at},
                "parent": {"subscription_details": {"subscription": format!("sub_{name}")}},
                "lines": {"has_more": false, "data": [{"amount": 50_000, "period": {"start": at, "end": at + 2_592_000},
                    "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription": format!("sub_{name}")}}}]}});
            for (kind, object) in [("customer.subscription.created", subscription), ("invoice.paid", invoice)] {
                let event = json!({"id": format!("evt_{kind}_{name}"), "object": "event", "livemode": false, "type": kind,
                    "created": at, "data": {"object": object}});
                let (status, answer) = self.world.event(&event).await;
                assert_eq!(status, StatusCode::OK, "{answer}");
            }
        }
        // August and September have ended.
        self.world.pass(TimeDelta::days(122));
        let finance = self.world.session("finance@aikit.example").await;
        self.tokens.insert("finance", finance);
        let run = self.ok("POST", "/v1/runs", "finance", json!({"period": "2026-08"})).await;
        let (id, version) = (run["summary"]["run"].as_str().unwrap(), &run["summary"]["version"]);
        let sealed = self.ok("POST", &format!("/v1/runs/{id}/seal"), "finance", json!({"version": version})).await;
        let hash = &sealed["summary"]["run_hash"];
        let approve = json!({"run_hash": hash, "version": sealed["summary"]["version"],
            "typed_total_minor": sealed["summary"]["total_minor"]});
        self.ok("POST", &format!("/v1/runs/{id}/approve"), "finance", approve).await;
        self.ok("POST", &format!("/v1/runs/{id}/send"), "finance", json!({"run_hash": hash})).await;
        let grants = self.ok("GET", "/v1/executor/grants", "executor", Value::Null).await;
        self.grant = grants[0]["grant"].as_str().unwrap().into();
        let draft = self.ok("POST", "/v1/runs", "finance", json!({"period": "2026-09"})).await;
        self.draft = draft["summary"].clone();
        let items = run["items"].as_array().unwrap();
        assert_eq!(items.len(), 2, "{run}");
        for (n, mine) in ids.iter_mut().enumerate() {
            let item = items.iter().find(|item| item["partner"] == mine["code"].as_str()).unwrap();
            mine.insert("item", item["item"].as_str().unwrap().into());
            // A run is AIKit's, and there is one.
            let ours = |id: &str| if n == 0 { id.to_owned() } else { String::new() };
            mine.insert("run", ours(id));
            mine.insert("draft", ours(self.draft["run"].as_str().unwrap()));
            mine.insert("colleague", String::new());
            mine.insert("key", String::new());
            mine.insert("delivery", String::new());
            mine.insert("token", String::new());
            mine.insert("state", String::new());
            mine.insert("grant", ours(&self.grant));
        }
        let people = self.world.rows("SELECT id FROM person WHERE role = 'auditor'").await;
        ids[0].insert("colleague", people[0]["id"].as_str().unwrap().into());
        let keys: Vec<Value> = self.world.rows("SELECT id FROM api_key WHERE kind = 'server'").await;
        ids[0].insert("key", keys[0]["id"].as_str().unwrap().into());
    }

    /// A resource that agencies see, with a file, and one that they do not see.
    async fn resources(&mut self, ids: &mut [BTreeMap<&'static str, String>; 2]) {
        let staff = self.world.session("staff@aikit.example").await;
        self.tokens.insert("staff", staff);
        for (n, mine) in ids.iter_mut().enumerate() {
            let id = format!("4000000{n}-0000-4000-8000-000000000000");
            let new = json!({"id": id, "kind": "case_study", "title": "A case", "text": "It went well."});
            self.ok("POST", "/v1/resources", "staff", new).await;
            self.ok(
                "POST",
                &format!("/v1/resources/{id}/file"),
                "staff",
                self.body("POST /v1/resources/{resource}/file"),
            )
            .await;
            if n == 0 {
                let publish = json!({"version": 2, "published": true});
                self.ok("POST", &format!("/v1/resources/{id}/publish"), "staff", publish).await;
            }
            mine.insert("resource", id);
        }
    }

    async fn ok(&self, method: &str, path: &str, caller: &str, body: Value) -> Value {
        let token = self.tokens.get(caller).map_or("", String::as_str);
        let (status, answer) = self.world.call(method, path, token, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// The path with ids of a kind in it; `None` where there is no such id.
    pub(crate) fn path(&self, template: &str, kind: &str) -> Option<String> {
        let mut path = template.to_owned();
        for name in template.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            let [own, foreign] =
                self.ids.get(whose(template, name)).unwrap_or_else(|| panic!("an id for {{{name}}} is needed"));
            let id = match kind {
                "own" => own.clone(),
                "foreign" => foreign.clone(),
                "missing" => missing(name, own),
                _ => "%00%ff'%3Cb%3E".to_owned(),
            };
            if id.is_empty() {
                return None;
            }
            path = path.replace(&format!("{{{name}}}"), &id);
        }
        if template == "/v1/sync/pull" {
            path += "?schema=1";
        }
        if template.ends_with("/effect") {
            path += "?suspended=true";
        }
        Some(path)
    }

    /// A body that would do, where the operation takes one.
    pub(crate) fn body(&self, operation: &str) -> Value {
        let because = json!({"reason": "It must be so."});
        match operation.split_once(' ').unwrap().1 {
            "/v1/partners" => {
                json!({"agency_name": "Third", "email": "owner@third.example", "website": "third.example",
                "country": "US", "accept_terms": "2026-01"})
            }
            "/v1/signups" => json!({"customer_id": "c9", "email": "it@c9.example"}),
            "/v1/auth/codes" => json!({"email": "owner@first.example"}),
            "/v1/auth/sessions" => json!({"email": "owner@first.example", "code": "000000", "keep": "token"}),
            "/v1/auth/oidc" => json!({}),
            "/v1/auth/oidc/sessions" => json!({"code": "x", "verifier": "y"}),
            "/v1/auth/refresh" => json!({"refresh_token": "aik_ref_x"}),
            "/v1/demo/sessions" => json!({"person": "u_nobody", "keep": "token"}),
            "/v1/people" => json!({"email": "new@aikit.example", "role": "auditor"}),
            "/v1/people/{person}/role" => json!({"role": "auditor"}),
            "/v1/keys" => json!({"kind": "server", "label": "x"}),
            "/v1/terms/accept" => json!({"version": "2026-01"}),
            "/v1/members" => json!({"email": "another@first.example"}),
            "/v1/partners/{partner}/adjustments" => {
                json!({"id": "10000000-0000-4000-8000-000000000000", "amount_minor": 100, "reason": "It must be so."})
            }
            "/v1/partners/{partner}/promotion-codes" => json!({"id": "promo_1", "code": "FIRST"}),
            "/v1/referrals/{referral}/move" => json!({"partner": self.ids["partner"][1], "reason": "It must be so."}),
            "/v1/credits" => {
                json!({"customer_id": "c_first", "partner": self.ids["partner"][0], "reason": "It must be so."})
            }
            "/v1/links" => json!({"id": "20000000-0000-4000-8000-000000000000", "campaign": "", "path": "/"}),
            "/v1/links/{link}" => json!({"archived": true}),
            "/v1/slug" => json!({"slug": "the-first"}),
            "/v1/runs" => json!({"period": "2026-09"}),
            "/v1/payouts-lock/unlock" => json!({"lock": "lock_1", "reason": "It may be so."}),
            "/v1/runs/{run}/seal" => json!({"version": self.draft["version"]}),
            "/v1/runs/{run}/approve" => json!({"run_hash": "00", "version": 1, "typed_total_minor": 20_000}),
            "/v1/runs/{run}/send" => json!({"run_hash": "00"}),
            "/v1/runs/{run}/holds" => {
                json!({"version": self.draft["version"], "partner": self.ids["partner"][0], "reason": "It must be so."})
            }
            "/v1/runs/{run}/holds/{partner}/release" => json!({"version": self.draft["version"]}),
            "/v1/runs/{run}/unseal" | "/v1/runs/{run}/discard" => {
                json!({"version": self.draft["version"], "reason": "It must be so."})
            }
            "/v1/executor/grants/{grant}/stop" => json!({"reason": "The balance is too low."}),
            "/v1/reconciliations" => json!({"days": 40}),
            "/v1/runs/{run}/notes" => json!({"id": "30000000-0000-4000-8000-000000000000", "text": "Seen."}),
            "/v1/what-if" => {
                json!({"new_clients_per_month": "1", "plans": [{"interval": "month", "amount_minor": 50_000, "share": "1"}],
                "monthly_churn": "0.02", "trial_days": 0, "months": 24})
            }
            "/v1/sync/push" => json!({"mutations": []}),
            "/v1/runs/{run}/pause" => Value::Null,
            "/v1/runs/{run}/close" => json!({"run_hash": "00", "reason": "It must be so."}),
            "/v1/runs/{run}/claims" => json!({"grant": self.grant, "executor": "e1", "limit": 1}),
            "/v1/items/{item}/observations" => json!({"grant": self.grant, "fence": 1, "transfers": []}),
            "/v1/items/{item}/intents" => json!({"grant": self.grant, "fence": 1, "version": 1, "attempt": 1}),
            "/v1/items/{item}/settlements" => json!({"attempt": 1, "answer": {"answer": "busy"}}),
            "/v1/stripe-account/replace" => json!({"reason": "It must be so."}),
            "/v1/items/{item}/look" => Value::Null,
            "/v1/items/{item}/resolution" => json!({"resolution": "again", "reason": "It must be so."}),
            "/v1/resources" => {
                json!({"id": "50000000-0000-4000-8000-000000000000", "kind": "material", "title": "Slides", "summary": "",
                "text": "", "link": "https://aikit.example/slides"})
            }
            "/v1/resources/order" => json!({"order": [self.ids["resource"][1], self.ids["resource"][0]]}),
            "/v1/resources/{resource}" => {
                json!({"version": 3, "kind": "case_study", "title": "A case", "summary": "Short.", "text": "It went well.", "link": null})
            }
            "/v1/resources/{resource}/publish" => json!({"version": 3, "published": false}),
            "/v1/resources/{resource}/delete" | "/v1/resources/{resource}/file/remove" => json!({"version": 3}),
            "/v1/resources/{resource}/file" => {
                json!({"upload": "60000000-0000-4000-8000-000000000000", "version": 1, "name": "a.txt", "bytes": 1, "part": 0,
                "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", "data": "eA=="})
            }
            "/v1/preferences" => json!({"milestones": true, "payouts": true}),
            _ => because,
        }
    }

    /// What a caller is answered.
    pub(crate) async fn ask(
        &self,
        caller: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> (StatusCode, HeaderMap, String) {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        let body = if method == "GET" { Body::empty() } else { Body::from(body.to_string()) };
        self.send(caller, request.body(body).unwrap()).await
    }

    /// What a caller is answered to a request of its own making.
    pub(crate) async fn send(&self, caller: &str, mut request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        if let Some(token) = self.tokens.get(caller) {
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        let (head, body) = self.world.answer(request).await.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, String::from_utf8_lossy(&text).into_owned())
    }
}

/// Which of the things that have a name of this kind an operation is for.
fn whose<'a>(template: &str, name: &'a str) -> &'a str {
    match name {
        "person" if template.starts_with("/v1/people/") => "colleague",
        "run" if ["/seal", "/holds", "/release", "/unseal", "/discard"].iter().any(|end| template.ends_with(end)) => {
            "draft"
        }
        name => name,
    }
}

/// An id of the same form that is nobody's.
fn missing(name: &str, own: &str) -> String {
    match name {
        "link" => "99999999-0000-4000-8000-000000000000".into(),
        "delivery" => "999".into(),
        "run" => "2020-01.1".into(),
        "partner" | "code" => "PARTNER_00000000".into(),
        _ if own.is_empty() => "nothing".into(),
        _ => {
            let cut = own.len() - 1;
            format!("{}{}", &own[..cut], if own.ends_with('0') { '1' } else { '0' })
        }
    }
}
