//! Two agencies, their clients, and AIKit's people, who do everything that changes what an agency's app copies.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use chrono::TimeDelta;
use proptest::prelude::*;
use referral::{Actor, sql};
use serde_json::{Value, json};
use wire::{KeyKind, Role};

use crate::common::World;

/// What AIKit's people write beside their decisions.
pub(crate) const REASON: &str = "They told us so themselves.";

/// What AIKit's partner team does with what agencies work with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shelf {
    Write,
    Publish { on: bool },
    Change,
    File,
    Turn,
    Delete,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Click { agency: usize, link: Option<usize>, bot: bool },
    Link { agency: usize, n: usize },
    Rename { link: usize, archive: bool },
    SignUp { agency: usize, n: usize, own: bool },
    Pay { client: usize, amount_minor: i64 },
    Refund { client: usize },
    Cancel { client: usize },
    Move { client: usize, to: usize },
    Decide { client: usize, clear: bool },
    Adjust { agency: usize, amount_minor: i64 },
    Suspend { agency: usize, end: bool },
    Slug { agency: usize },
    SlugGone { agency: usize },
    Account { agency: usize, lacks: bool },
    Terms { agency: usize },
    Name { agency: usize },
    Seal,
    Unseal,
    Discard,
    Paid,
    Bank { fails: bool },
    BankGone,
    ReadAnew { client: usize },
    Resource { n: usize, what: Shelf },
    Wait { days: i64 },
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let (agency, some, one) = (0_usize..2, 0_usize..40, any::<bool>());
    prop_oneof![
        3 => (agency.clone(), prop::option::of(some.clone()), one).prop_map(|(agency, link, bot)| Step::Click { agency, link, bot }),
        2 => (agency.clone(), some.clone()).prop_map(|(agency, n)| Step::Link { agency, n }),
        1 => (some.clone(), one).prop_map(|(link, archive)| Step::Rename { link, archive }),
        4 => (agency.clone(), some.clone(), prop::bool::weighted(0.2)).prop_map(|(agency, n, own)| Step::SignUp { agency, n, own }),
        6 => (some.clone(), 100_i64..90_000).prop_map(|(client, amount_minor)| Step::Pay { client, amount_minor }),
        1 => some.clone().prop_map(|client| Step::Refund { client }),
        1 => some.clone().prop_map(|client| Step::Cancel { client }),
        2 => (some.clone(), agency.clone()).prop_map(|(client, to)| Step::Move { client, to }),
        1 => (some.clone(), one).prop_map(|(client, clear)| Step::Decide { client, clear }),
        1 => (agency.clone(), -9_000_i64..9_000).prop_map(|(agency, amount_minor)| Step::Adjust { agency, amount_minor }),
        1 => (agency.clone(), one).prop_map(|(agency, end)| Step::Suspend { agency, end }),
        1 => agency.clone().prop_map(|agency| Step::Slug { agency }),
        1 => agency.clone().prop_map(|agency| Step::SlugGone { agency }),
        1 => (agency.clone(), one).prop_map(|(agency, lacks)| Step::Account { agency, lacks }),
        1 => agency.clone().prop_map(|agency| Step::Terms { agency }),
        1 => agency.prop_map(|agency| Step::Name { agency }),
        2 => Just(Step::Seal),
        1 => Just(Step::Unseal),
        1 => Just(Step::Discard),
        2 => Just(Step::Paid),
        2 => one.prop_map(|fails| Step::Bank { fails }),
        1 => Just(Step::BankGone),
        1 => some.clone().prop_map(|client| Step::ReadAnew { client }),
        4 => (some, shelf()).prop_map(|(n, what)| Step::Resource { n, what }),
        3 => (1_i64..70).prop_map(|days| Step::Wait { days }),
    ]
}

fn shelf() -> impl Strategy<Value = Shelf> {
    prop_oneof![
        3 => Just(Shelf::Write),
        3 => prop::bool::weighted(0.7).prop_map(|on| Shelf::Publish { on }),
        2 => Just(Shelf::Change),
        1 => Just(Shelf::File),
        1 => Just(Shelf::Turn),
        1 => Just(Shelf::Delete),
    ]
}

pub(crate) struct Agency {
    pub(crate) name: &'static str,
    pub(crate) code: String,
    owner: String,
}

struct Client {
    name: String,
    referral: String,
    invoices: usize,
}

pub(crate) struct Life {
    pub(crate) world: World,
    pub(crate) agencies: [Agency; 2],
    server: String,
    clients: Vec<Client>,
    links: Vec<(usize, String)>,
    done: usize,
}

impl Life {
    pub(crate) async fn begin() -> Life {
        let world = World::new();
        let server = referral::issue_key(&world.app, &Actor::Operator, KeyKind::Server, "").await.unwrap().secret;
        for (name, role) in [("staff", Role::Staff), ("finance", Role::Finance)] {
            let email = format!("{name}@aikit.example");
            referral::add_person(&world.app, &Actor::Operator, &email, role).await.unwrap();
        }
        let mut agencies = Vec::new();
        for name in ["halcyon", "meridian"] {
            let code = world.join(&format!("{name}.example"), &format!("acct_{name}")).await;
            world.run(sql!("UPDATE partner SET transfers = 'active' WHERE code = ?1", &code)).await;
            let owner = world.session(&format!("owner@{name}.example")).await;
            agencies.push(Agency { name, code, owner });
        }
        let agencies = agencies.try_into().ok().unwrap();
        Life { world, agencies, server, clients: Vec::new(), links: Vec::new(), done: 0 }
    }

    pub(crate) async fn sign_in_again(&mut self) {
        for agency in &mut self.agencies {
            agency.owner = self.world.session(&format!("owner@{}.example", agency.name)).await;
        }
    }

    pub(crate) async fn ask(&self, agency: usize, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        self.world.call(method, path, &self.agencies[agency].owner, body).await
    }

    /// What somebody of AIKit does, which may be refused.
    async fn as_person(&self, name: &str, path: &str, body: Value) -> Value {
        let token = self.world.session(&format!("{name}@aikit.example")).await;
        let (status, answer) = self.world.call("POST", path, &token, body).await;
        assert!(!status.is_server_error(), "{path}: {answer}");
        answer
    }

    pub(crate) async fn step(&mut self, step: &Step) {
        self.done += 1;
        self.world.pass(TimeDelta::seconds(1));
        let because = json!({"reason": REASON});
        match *step {
            Step::Click { agency, link, bot } => self.click(agency, link, bot).await,
            Step::Link { agency, n } => self.link(agency, n).await,
            Step::Rename { link, archive } => {
                let Some((agency, id)) = self.links.get(link % self.links.len().max(1)).cloned() else { return };
                let change = json!({"campaign": format!("renamed {}", self.done), "archived": archive});
                let (status, answer) = self.ask(agency, "POST", &format!("/v1/links/{id}"), change).await;
                assert_eq!(status, StatusCode::OK, "{answer}");
            }
            Step::SignUp { agency, n, own } => self.sign_up(agency, n, own).await,
            Step::Pay { client, amount_minor } => self.pay(client, amount_minor).await,
            Step::Refund { client } => self.refund(client).await,
            Step::Cancel { client } => {
                let Some(client) = self.client(client) else { return };
                let gone = json!({"id": format!("sub_{}", client.name), "customer": format!("cus_{}", client.name),
                    "ended_at": self.now(), "status": "canceled", "currency": "usd"});
                self.event("customer.subscription.deleted", gone).await;
            }
            Step::Move { client, to } => {
                let Some(client) = self.client(client) else { return };
                let to = json!({"partner": self.agencies[to].code, "reason": REASON});
                self.as_person("staff", &format!("/v1/referrals/{}/move", client.referral), to).await;
            }
            Step::Decide { client, clear } => {
                let Some(client) = self.client(client) else { return };
                let how = if clear { "clear" } else { "reject" };
                self.as_person("staff", &format!("/v1/referrals/{}/{how}", client.referral), because).await;
            }
            Step::Adjust { agency, amount_minor } => {
                let id = format!("{:08}-0000-4000-8000-000000000000", self.done);
                let adjust = json!({"id": id, "amount_minor": amount_minor, "reason": "As agreed."});
                self.as_person("staff", &format!("/v1/partners/{}/adjustments", self.agencies[agency].code), adjust)
                    .await;
            }
            Step::Suspend { agency, end } => {
                let how = if end { "reinstate" } else { "suspend" };
                self.as_person("staff", &format!("/v1/partners/{}/{how}", self.agencies[agency].code), because).await;
            }
            Step::Slug { agency } => {
                let slug = json!({"slug": format!("the-{}-{}", self.agencies[agency].name, self.done % 7)});
                self.ask(agency, "POST", "/v1/slug", slug).await;
            }
            Step::SlugGone { agency } => {
                self.ask(agency, "POST", "/v1/slug", json!({"slug": ""})).await;
            }
            Step::Account { agency, lacks } => {
                let requirements = if lacks { json!(["external_account"]) } else { json!([]) }.to_string();
                let transfers = if lacks { "inactive" } else { "active" };
                let change =
                    "UPDATE partner SET requirements = ?2, transfers = ?3, payouts_enabled = 1 WHERE code = ?1";
                self.world.run(sql!(change, &self.agencies[agency].code, requirements, transfers)).await;
            }
            Step::Terms { agency } => {
                let accept =
                    "INSERT INTO terms_acceptance (partner, version, at_ms) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING";
                self.world.run(sql!(accept, &self.agencies[agency].code, format!("old-{}", self.done % 3))).await;
            }
            Step::Name { agency } => {
                let change = "UPDATE partner SET name = ?2 WHERE code = ?1";
                self.world.run(sql!(change, &self.agencies[agency].code, format!("Name {}", self.done))).await;
            }
            Step::Seal => self.seal().await,
            Step::Unseal | Step::Discard => {
                let how = if matches!(step, Step::Unseal) { "unseal" } else { "discard" };
                let newest = "SELECT id, version FROM run WHERE state = 'sealed' ORDER BY as_of DESC LIMIT 1";
                for run in self.world.rows(newest).await {
                    let back = json!({"version": run["version"], "reason": REASON});
                    self.as_person("finance", &format!("/v1/runs/{}/{how}", run["id"].as_str().unwrap()), back).await;
                }
            }
            Step::Paid => {
                let paid = "UPDATE run_item SET state = 'paid', transfer = 'tr_' || id, paid_at = ?1
                            WHERE id = (SELECT min(id) FROM run_item WHERE sealed = 1 AND state = 'queued')";
                self.world.run(sql!(paid, self.world.app.host.now().to_rfc3339())).await;
            }
            Step::Bank { fails } => self.bank(fails).await,
            Step::BankGone => {
                self.world
                    .run(sql!(
                        "DELETE FROM bank_payout_transfer WHERE payout = (SELECT min(payout) FROM bank_payout_transfer)"
                    ))
                    .await;
            }
            Step::ReadAnew { client } => {
                let Some(client) = self.client(client) else { return };
                let gone = "DELETE FROM fact WHERE id = (SELECT max(id) FROM fact WHERE referral = ?1 AND id LIKE 'invoice_refunded:%')";
                self.world.run(sql!(gone, &client.referral)).await;
            }
            Step::Resource { n, what } => self.shelf(n, what).await,
            Step::Wait { days } => {
                self.world.pass(TimeDelta::days(days));
                self.sign_in_again().await;
            }
        }
    }

    async fn shelf(&self, n: usize, what: Shelf) {
        let all = self.world.rows("SELECT id, version FROM resource ORDER BY place, id").await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (path, body) = match (what, all.get(n % all.len().max(1))) {
            (Shelf::Write, _) => {
                let new = json!({"id": uuid(9, self.done), "kind": "case_study", "title": format!("No. {n}"), "text": "«It» went \"well\"."});
                ("/v1/resources".to_owned(), new)
            }
            (Shelf::Turn, _) => {
                let turned: Vec<String> = all.iter().rev().map(|row| text(&row["id"])).collect();
                ("/v1/resources/order".to_owned(), json!({ "order": turned }))
            }
            (_, None) => return,
            (what, Some(row)) => {
                let mut body = json!({"version": row["version"]});
                let end = match what {
                    Shelf::Publish { on } => {
                        body["published"] = json!(on);
                        "/publish"
                    }
                    Shelf::Change => {
                        body["kind"] = json!("email_template");
                        body["title"] = json!(format!("Changed {}", self.done));
                        body["text"] = json!("Dear {agency}");
                        ""
                    }
                    Shelf::File => {
                        let sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
                        let file = json!({"upload": uuid(8, self.done), "name": format!("{n}.txt"), "bytes": 1, "part": 0,
                            "sha256": sha256, "data": "eA==", "version": row["version"]});
                        body = file;
                        "/file"
                    }
                    _ => "/delete",
                };
                (format!("/v1/resources/{}{end}", text(&row["id"])), body)
            }
        };
        let answer = self.as_person("staff", &path, body).await;
        assert_eq!(answer["code"], Value::Null, "{path}: {answer}");
    }

    fn client(&self, n: usize) -> Option<&Client> {
        self.clients.get(n % self.clients.len().max(1))
    }

    fn now(&self) -> i64 {
        self.world.app.host.now().timestamp()
    }

    async fn click(&self, agency: usize, link: Option<usize>, bot: bool) {
        let mine: Vec<&String> = self.links.iter().filter(|(of, _)| *of == agency).map(|(_, id)| id).collect();
        let link = link.map(|n| match n % 4 {
            // A link that comes later, if ever.
            0 => format!("?l={}", uuid(agency, n)),
            _ => mine.get(n % mine.len().max(1)).map(|id| format!("?l={id}")).unwrap_or_default(),
        });
        let path = format!("/r/{}{}", self.agencies[agency].code, link.unwrap_or_default());
        let visit = Request::get(path).header(header::USER_AGENT, if bot { "a bot" } else { "Mozilla/5.0" });
        assert_eq!(self.world.answer(visit.body(Body::empty()).unwrap()).await.status(), StatusCode::FOUND);
    }

    async fn link(&mut self, agency: usize, n: usize) {
        let id = uuid(agency, n);
        let utm = json!({"source": "mail", "term": "a&b"});
        let link = json!({"id": id, "campaign": format!("No. {n}"), "path": "/pricing", "utm": utm});
        let (status, answer) = self.ask(agency, "POST", "/v1/links", link).await;
        assert!(status.is_success(), "{answer}");
        if status == StatusCode::CREATED {
            self.links.push((agency, id));
        }
    }

    async fn sign_up(&mut self, agency: usize, n: usize, own: bool) {
        let (name, agency) = (format!("c{}", self.done), &self.agencies[agency]);
        let newest = sql!(
            "SELECT id FROM click WHERE partner = ?1 AND kind = 'person' ORDER BY at_ms DESC LIMIT 1",
            &agency.code
        );
        let click: Vec<Value> = self.world.app.db.query(newest).await.unwrap().all().unwrap();
        let domain = if own { format!("{}.example", agency.name) } else { format!("{name}.of-them.example") };
        let mut form =
            json!({"customer_id": name, "email": format!("it@{domain}"), "stripe_customer_id": format!("cus_{name}")});
        match click.first().filter(|_| n.is_multiple_of(2)) {
            Some(click) => {
                form["click_id"] = click["id"].clone();
                form["ref"] = json!(agency.code);
            }
            None => form["partner_code"] = json!(agency.code),
        }
        let (status, answer) = self.world.call("POST", "/v1/signups", &self.server, form).await;
        assert!(status.is_success(), "{answer}");
        if let Some(referral) = answer["referral_id"].as_str() {
            self.clients.push(Client { name, referral: referral.into(), invoices: 0 });
        }
    }

    async fn pay(&mut self, client: usize, amount_minor: i64) {
        let at = self.now();
        let n = client % self.clients.len().max(1);
        let Some(client) = self.clients.get_mut(n) else { return };
        client.invoices += 1;
        let (name, number) = (client.name.clone(), client.invoices);
        let (sub, invoice) = (format!("sub_{name}"), format!("in_{name}_{number}"));
        if number == 1 {
            let subscription = json!({"id": sub, "customer": format!("cus_{name}"), "status": "active", "currency": "usd",
                "start_date": at, "latest_invoice": invoice,
                "items": {"data": [{"quantity": 1, "price": {"unit_amount": amount_minor, "recurring": {"interval": "month"}}}]}});
            self.event("customer.subscription.created", subscription).await;
        }
        let paid = json!({"id": invoice, "customer": format!("cus_{name}"), "currency": "usd", "amount_paid": amount_minor,
            "total": amount_minor, "status_transitions": {"paid_at": at}, "parent": {"subscription_details": {"subscription": sub}},
            "payments": {"data": [{"payment": {"type": "charge", "charge": format!("ch_{invoice}")}}]},
            "lines": {"has_more": false, "data": [{"amount": amount_minor, "period": {"start": at, "end": at + 2_592_000},
                "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription": sub}}}]}});
        self.event("invoice.paid", paid).await;
    }

    /// Part of the newest invoice goes back; as a fact, since what Stripe says of a refund is tested elsewhere.
    async fn refund(&self, client: usize) {
        let Some(client) = self.client(client).filter(|c| c.invoices > 0) else { return };
        let (id, invoice) =
            (format!("invoice_refunded:{}", self.done), format!("in_{}_{}", client.name, client.invoices));
        let at = self.world.app.host.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let fact = json!({"id": id, "at": at, "type": "invoice_refunded", "invoice": invoice, "amount_minor": 50});
        let insert = "INSERT INTO fact (id, referral, body) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING";
        for _ in 0..2 {
            self.world.run(sql!(insert, &id, &client.referral, fact.to_string())).await;
        }
    }

    async fn event(&self, kind: &str, object: Value) {
        let id = format!("evt_{kind}_{}_{}", self.done, object["id"].as_str().unwrap());
        let event = json!({"id": id, "object": "event", "livemode": false, "type": kind, "created": self.now(), "data": {"object": object}});
        assert_eq!(self.world.event(&event).await.0, StatusCode::OK);
    }

    /// The month that ended last is drafted and sealed.
    async fn seal(&self) {
        let last = self.world.app.host.now().date_naive() - chrono::Months::new(1);
        let run = self.as_person("finance", "/v1/runs", json!({"period": last.format("%Y-%m").to_string()})).await;
        if let Some(id) = run["summary"]["run"].as_str() {
            let version = json!({"version": run["summary"]["version"]});
            self.as_person("finance", &format!("/v1/runs/{id}/seal"), version).await;
        }
    }

    async fn bank(&self, fails: bool) {
        let unknown = "SELECT transfer FROM run_item WHERE transfer IS NOT NULL AND NOT EXISTS
            (SELECT 1 FROM bank_payout_transfer t WHERE t.transfer = run_item.transfer) ORDER BY id LIMIT 1";
        match self.world.rows(unknown).await.first().filter(|_| !fails) {
            Some(item) => {
                let po = format!("po_{}", self.done);
                let made = "INSERT INTO bank_payout (id, account, amount_minor, currency, status, rank, arrives_ms, made_ms, event_s)
                            VALUES (?1, 'acct_halcyon', 1, 'usd', 'in_transit', 1, 0, ?2, 0)";
                self.world.run(sql!(made, &po, self.now())).await;
                let holds = "INSERT INTO bank_payout_transfer (payout, transfer) VALUES (?1, ?2)";
                self.world.run(sql!(holds, &po, item["transfer"].as_str())).await;
            }
            None => {
                let refused =
                    "UPDATE bank_payout SET status = 'failed', failure = 'no_account' WHERE status = 'in_transit'";
                self.world.run(sql!(refused)).await;
            }
        }
    }

    /// What was made of an agency's records is put aside: the next pull makes it anew.
    pub(crate) async fn put_rows_aside(&self, agency: usize) {
        let code = &self.agencies[agency].code;
        let batch = vec![
            sql!("CREATE TABLE IF NOT EXISTS aside_scope AS SELECT * FROM sync_scope WHERE 0"),
            sql!("CREATE TABLE IF NOT EXISTS aside_row AS SELECT * FROM sync_row WHERE 0"),
            sql!("INSERT INTO aside_scope SELECT * FROM sync_scope WHERE scope = ?1", code),
            sql!("INSERT INTO aside_row SELECT * FROM sync_row WHERE scope = ?1", code),
            sql!("DELETE FROM sync_scope WHERE scope = ?1", code),
        ];
        self.world.app.db.batch(batch).await.unwrap();
    }

    pub(crate) async fn put_rows_back(&self, agency: usize) {
        let code = &self.agencies[agency].code;
        let batch = vec![
            sql!("DELETE FROM sync_scope WHERE scope = ?1", code),
            sql!("INSERT INTO sync_scope SELECT * FROM aside_scope WHERE scope = ?1", code),
            sql!("INSERT INTO sync_row SELECT * FROM aside_row WHERE scope = ?1", code),
            sql!("DELETE FROM aside_scope"),
            sql!("DELETE FROM aside_row"),
        ];
        self.world.app.db.batch(batch).await.unwrap();
    }
}

fn uuid(agency: usize, n: usize) -> String {
    format!("{n:08}-0000-4000-8000-{agency:012}")
}
