//! All routes of the API, and the document that describes them.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::header;
use axum::routing::{get, post};
use axum::{Router, middleware};
use utoipa::openapi::path::{HttpMethod, ParameterIn, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder};
use wire::{Role, Session};

use crate::describe::{Describe, Described};
use crate::ports::Config;
use crate::{
    App, account, audit, auth, click, downloads, error, health, inbox, join, links, lock, members, notes, notices,
    origin, outbox, pages, partner_list, partner_page, partners, push, reconcile, resource_files, resources,
    review_queue, reviews, run_draft, run_resolve, run_seal, run_send, run_turn, runs, signup, slug, sync, what_if,
};

/// Largest request body, in bytes; webhooks have the same limit.
pub const BODY_LIMIT: usize = 256 * 1024;

/// Routes with their descriptions.
struct Routes {
    router: Router<App>,
    paths: PathsBuilder,
    components: ComponentsBuilder,
}

/// What the types of a handler do not say.
type Also = fn(&mut Described);

impl Routes {
    fn new() -> Self {
        Routes { router: Router::new(), paths: PathsBuilder::new(), components: ComponentsBuilder::new() }
    }

    fn get<H, A, D>(self, path: &str, handler: H, does: &str) -> Self
    where
        H: Handler<A, App> + Describe<D>,
        A: 'static,
    {
        self.get_also(path, handler, does, |_| {})
    }

    fn get_also<H, A, D>(self, path: &str, handler: H, does: &str, also: Also) -> Self
    where
        H: Handler<A, App> + Describe<D>,
        A: 'static,
    {
        self.described::<H, D>(HttpMethod::Get, path, does, also).routed(path, get(handler))
    }

    fn post<H, A, D>(self, path: &str, handler: H, does: &str) -> Self
    where
        H: Handler<A, App> + Describe<D>,
        A: 'static,
    {
        self.post_also(path, handler, does, |_| {})
    }

    fn post_also<H, A, D>(self, path: &str, handler: H, does: &str, also: Also) -> Self
    where
        H: Handler<A, App> + Describe<D>,
        A: 'static,
    {
        self.described::<H, D>(HttpMethod::Post, path, does, also).routed(path, post(handler))
    }

    fn routed(mut self, path: &str, method: axum::routing::MethodRouter<App>) -> Self {
        self.router = self.router.route(path, method);
        self
    }

    fn described<H: Describe<D>, D>(mut self, method: HttpMethod, path: &str, does: &str, also: Also) -> Self {
        let mut described = Described::default();
        for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            described.parameter(ParameterIn::Path, name, None);
        }
        H::describe(&mut described);
        also(&mut described);
        self.components = self.components.schemas_from_iter(described.schemas);
        self.paths = self.paths.path(path, PathItem::new(method, described.operation.summary(Some(does))));
        self
    }

    fn merge(mut self, others: Routes, layer: impl FnOnce(Router<App>) -> Router<App>) -> Self {
        // A layer answers for the methods that its routes do not have, too: what refuses those goes beneath it.
        self.router = self.router.merge(layer(others.router.method_not_allowed_fallback(error::wrong_method)));
        for (path, item) in others.paths.build().paths {
            self.paths = self.paths.path(path, item);
        }
        self.components = self.components.schemas_from_iter(others.components.build().schemas);
        self
    }
}

/// The one who is signed in, and the cookie that keeps them so.
const OPENS_SESSION: Also = |d| d.answers::<Session>("200", "A session; a browser's refresh token comes as a cookie.");
const LOCK: Also = |d| d.people(&[Role::Finance, Role::Admin], true);
/// A visitor goes on, whatever the address says.
const VISITOR: Also = |d| {
    for (name, what) in [
        ("l", "A link of the agency's."),
        ("to", "A path on the site."),
        ("utm_source", "Handed on, like the other four."),
        ("utm_medium", ""),
        ("utm_campaign", ""),
        ("utm_term", ""),
        ("utm_content", ""),
    ] {
        d.parameter(ParameterIn::Query, name, Some(what).filter(|what| !what.is_empty()));
    }
    LEADS_ON(d);
};
const LEADS_ON: Also = |d| d.ends("302", "Leads on.", None);

/// The same for a browser, which is shown a page where it cannot go on.
const BROWSER_LEADS_ON: Also = |d| {
    LEADS_ON(d);
    for status in ["4XX", "503"] {
        d.ends(status, "A page that says why not.", Some("text/html"));
    }
};

/// Every route, with what it does in a sentence.
fn routes(config: &Config) -> Routes {
    // The two that pages of other sites may use.
    let pixel = Routes::new().get_also(
        "/pixel.gif",
        click::pixel,
        "The same as a click, by an image on a page of the site.",
        |d| {
            d.parameter(ParameterIn::Query, "ref", Some("The code of an agency."));
            d.ends("200", "One transparent pixel; the cookie where `ref` names an agency.", Some("image/gif"));
        },
    );
    let form = Routes::new()
        .get("/v1/terms/current", join::current_terms, "The terms in force.")
        .get("/v1/partners", partner_list::list, "Some of the agencies, by name unless another order is asked for.")
        .post("/v1/partners", join::join, "An agency joins.");
    let demo = Routes::new().get("/v1/demo/people", auth::demo::people, "The demo's people.").post_also(
        "/v1/demo/sessions",
        auth::demo::start_session,
        "Sign in as one of them.",
        OPENS_SESSION,
    );
    let all = Routes::new()
        .get("/healthz", health::healthz, "Whether the database takes writes, and what is behind.")
        .get_also("/r/{code}", click::follow, "Record a click and lead on to the site.", VISITOR)
        .get_also("/onboard/{token}", account::onboard, "Lead the owner on to a fresh page of Stripe's.", LEADS_ON)
        .post("/v1/signups", signup::sign_up, "AIKit's backend tells of a customer that signed up.")
        .post("/v1/webhooks/stripe/account", inbox::account, "Stripe tells of AIKit's own account.")
        .post("/v1/webhooks/stripe/connect", inbox::connect, "Stripe tells of connected accounts.")
        .get("/v1/auth/methods", auth::codes::methods, "How people sign in here.")
        .post("/v1/auth/codes", auth::codes::request, "Send a sign-in code by e-mail.")
        .get("/v1/auth/sessions", auth::session::list, "The open sessions of whoever asks.")
        .post_also("/v1/auth/sessions", auth::codes::start_session, "Sign in with a code.", OPENS_SESSION)
        .post("/v1/auth/sessions/{session}/end", auth::session::end_one, "End one of one's own sessions.")
        .post_also("/v1/auth/oidc", auth::oidc::begin, "Begin a sign-in at the issuer.", |d| {
            d.answers::<wire::SignInBegun>("200", "Where to send the browser.");
        })
        .get_also("/v1/auth/oidc/go/{state}", auth::oidc::go, "Lead the browser to the issuer.", BROWSER_LEADS_ON)
        .get_also(
            "/v1/auth/oidc/callback",
            auth::oidc::callback,
            "Where the issuer leads the browser back to.",
            BROWSER_LEADS_ON,
        )
        .post_also(
            "/v1/auth/oidc/sessions",
            auth::oidc::redeem,
            "The desktop app ends a sign-in at the issuer.",
            OPENS_SESSION,
        )
        .post_also("/v1/auth/refresh", auth::session::refresh, "A new access token for a refresh token.", OPENS_SESSION)
        .post_also("/v1/auth/end", auth::session::end, "Sign out.", |d| d.ends("204", "Signed out.", None))
        .get("/v1/people", auth::people::list, "AIKit's own people.")
        .post("/v1/people", auth::people::add, "Let somebody of AIKit sign in.")
        .post("/v1/people/{person}/role", auth::people::set_role, "Give somebody of AIKit another role.")
        .post("/v1/people/{person}/remove", auth::people::remove, "Let somebody of AIKit sign in no longer.")
        .get("/v1/keys", auth::keys::list, "Keys of programs.")
        .post("/v1/keys", auth::keys::issue, "Issue a key; it is shown this once.")
        .post("/v1/keys/{key}/revoke", auth::keys::revoke, "Revoke a key.")
        .post("/v1/terms/accept", join::accept_terms, "The owner accepts the terms in force.")
        .get("/v1/terms/accepted", join::accepted_terms, "The versions that the agency accepted.")
        .get("/v1/members", members::list, "The agency's people.")
        .post("/v1/members", members::invite, "Invite somebody into the agency.")
        .post("/v1/members/{person}/remove", members::remove, "Take somebody out of the agency.")
        .post("/v1/members/{person}/owner", members::hand_over, "Make a member the owner.")
        .get("/v1/partners/{partner}", partner_page::one, "An agency and where it stands.")
        .get(
            "/v1/partners/{partner}/effect",
            partner_page::effect,
            "What a decision about an agency would change in money. Nothing is changed by asking.",
        )
        .get("/v1/partners/{partner}/referrals", partner_page::referrals, "Some of an agency's referrals.")
        .get("/v1/partners/{partner}/links", partner_page::links, "An agency's links, the newest first.")
        .get("/v1/partners/{partner}/payouts", partner_page::payouts, "An agency's payouts, the newest first.")
        .post("/v1/partners/{partner}/suspend", partners::suspend, "Suspend an agency: it earns and is not paid.")
        .post("/v1/partners/{partner}/reinstate", partners::reinstate, "End a suspension.")
        .post("/v1/partners/{partner}/adjustments", partners::adjust, "Add to an agency's balance or take from it.")
        .post(
            "/v1/partners/{partner}/promotion-codes",
            partners::add_promotion_code,
            "Give an agency a promotion code.",
        )
        .get("/v1/reviews", review_queue::list, "Flagged referrals.")
        .get("/v1/reviews-waiting", review_queue::waiting, "How much waits for a review.")
        .get("/v1/reviews/{referral}", review_queue::one, "One of them, with its evidence.")
        .post("/v1/reviews/{referral}/clear", reviews::clear, "Decide that a flagged referral counts.")
        .post("/v1/reviews/{referral}/reject", reviews::reject, "Decide that a flagged referral does not count.")
        .post("/v1/reviews/{referral}/reopen", reviews::reopen, "Take the last decision about a referral back.")
        .get(
            "/v1/referrals/{referral}/decisions",
            partner_page::outcomes,
            "What each decision about a referral would change in money. Nothing is changed by asking.",
        )
        .post("/v1/referrals/{referral}/move", reviews::move_referral, "Correct whom a client is credited to.")
        .post("/v1/credits", reviews::credit_customer, "Credit a customer that nobody was credited for.")
        .get("/v1/inbox", inbox::list, "Stripe's events and where they stand.")
        .get("/v1/overview", pages::overview, "An agency's first page.")
        .post("/v1/onboarding", account::onboarding_link, "A fresh address that leads on to Stripe.")
        .get("/v1/stripe-account", account::show, "The agency's account at Stripe.")
        .post("/v1/stripe-account/replace", account::replace, "Leave it for another; payouts rest for 72 hours.")
        .get("/v1/links", links::list, "The agency's links, the newest first.")
        .post("/v1/links", links::create, "Make a link.")
        .post("/v1/links/{link}", links::update, "Rename or archive a link.")
        .get("/v1/slug", slug::get, "The agency's own name in its links.")
        .post("/v1/slug", slug::set, "Choose that name, change it, or give it up.")
        .get(
            "/v1/clients",
            pages::clients,
            "Some of the agency's clients, the newest first unless another order is asked for.",
        )
        .get("/v1/clients/{referral}", pages::client, "One client with the reason of every cent.")
        .get("/v1/sync/pull", sync::pull, "What changed in an agency's records, for the copy that its app keeps.")
        .post("/v1/sync/push", push::push, "What was done in the app without a network.")
        .get("/v1/what-if", what_if::suggested, "What an agency's last half year suggests for a forecast.")
        .post("/v1/what-if", what_if::what_if, "What an agency would earn if the coming months went so.")
        .get("/v1/payouts", pages::payouts, "The agency's payouts, the newest first.")
        .get("/v1/payouts/{item}", pages::payout, "What one payout is made of.")
        .get_also("/v1/payouts/{item}/receipt.pdf", downloads::own_receipt, "The receipt of a paid payout.", |d| {
            d.ends("200", "A PDF with `statement.json` attached.", Some(downloads::PDF));
        })
        .get_also(
            "/v1/runs/{run}/items/{item}/receipt.pdf",
            downloads::run_receipt,
            "The receipt of a paid item of a run.",
            |d| d.ends("200", "A PDF with `statement.json` attached.", Some(downloads::PDF)),
        )
        .get_also("/v1/runs/{run}/export.csv", downloads::run_csv, "A run for a spreadsheet.", |d| {
            d.ends("200", "A row for each agency.", Some(downloads::CSV));
        })
        .get_also("/v1/runs/{run}/export.xlsx", downloads::run_xlsx, "A run as a workbook.", |d| {
            d.ends("200", "Who is paid, who is not, and a summary.", Some(downloads::XLSX));
        })
        .get_also("/v1/runs/{run}/ledger.csv", downloads::run_ledger, "The ledger export of a closed month.", |d| {
            d.ends("200", "Opening + earned − reversed − paid = closing.", Some(downloads::CSV));
        })
        .get("/v1/resources", resources::list, "What AIKit gives agencies to work with, in its order.")
        .post("/v1/resources", resources::create, "Write a resource; it is not published yet.")
        .get("/v1/resources/all", resources::all, "All of them, those that are not published included.")
        .post("/v1/resources/order", resources::order, "Put all of them in order.")
        .post("/v1/resources/{resource}", resources::change, "Change all of a resource but its file.")
        .post("/v1/resources/{resource}/publish", resources::publish, "Show a resource to agencies, or no longer.")
        .post("/v1/resources/{resource}/delete", resources::delete, "Delete a resource and its file.")
        .get_also("/v1/resources/{resource}/file", resource_files::download, "The file of a resource.", |d| {
            d.ends("200", "The file, to be saved.", Some("application/octet-stream"));
        })
        .post("/v1/resources/{resource}/file", resource_files::upload, "Send a part of a resource's file.")
        .post("/v1/resources/{resource}/file/remove", resource_files::remove, "Take a resource's file away.")
        .get("/v1/runs", runs::list, "All runs, the newest first.")
        .post("/v1/runs", run_draft::draft, "Draft the run of a month, or compute its draft again.")
        .get("/v1/runs/{run}", runs::one, "One run.")
        .get("/v1/runs/{run}/items/{item}", runs::statement, "One agency's statement within a run.")
        .post("/v1/runs/{run}/seal", run_seal::seal, "Freeze a draft.")
        .post("/v1/runs/{run}/approve", run_seal::approve, "Approve a seal.")
        .post("/v1/runs/{run}/send", run_turn::send, "Let an executor send an approved run.")
        .post("/v1/runs/{run}/holds", run_turn::hold, "Hold a partner out of a draft.")
        .post("/v1/runs/{run}/holds/{partner}/release", run_turn::release, "Pay a partner that was held out.")
        .post("/v1/runs/{run}/notes", notes::add, "Write a note beside a run.")
        .post("/v1/runs/{run}/pause", run_turn::pause, "Stop sending; the rest can be sent later.")
        .post("/v1/runs/{run}/unseal", run_turn::unseal, "Make a sealed run a draft again.")
        .post("/v1/runs/{run}/discard", run_turn::discard, "Give a run up; its month can be drafted again.")
        .post("/v1/runs/{run}/close", run_turn::close, "End a run without paying what is still queued.")
        .get("/v1/items/{item}/check", run_resolve::check, "What is known of one payment.")
        .post("/v1/items/{item}/look", run_resolve::look, "Look at Stripe now for one payment.")
        .post("/v1/items/{item}/resolution", run_resolve::resolve, "Decide about a payment that is with a person.")
        .get("/v1/reconciliations", reconcile::list, "The records held against Stripe, the newest first.")
        .post("/v1/reconciliations", reconcile::now, "Hold the records against Stripe now.")
        .get("/v1/audit", audit::list, "The audit chain, the newest first.")
        .get("/v1/executor/grants", run_send::grants, "Runs that may be sent now.")
        .post_also("/v1/executor/grants/{grant}/stop", run_send::stop, "Nothing more can be sent under a grant.", |d| {
            d.ends("204", "Finance is told.", None);
        })
        .post("/v1/runs/{run}/claims", run_send::claim, "Claim items of a run.")
        .post("/v1/items/{item}/observations", run_send::observe, "Tell what Stripe shows of an item.")
        .post("/v1/items/{item}/intents", run_send::intent, "Record that a transfer is about to be sent.")
        .post("/v1/items/{item}/settlements", run_send::settle, "Record what became of it.")
        .get("/v1/preferences", notices::preferences, "Which e-mails somebody gets.")
        .post("/v1/preferences", notices::set_preferences, "Choose which.")
        .get_also("/v1/unsubscribe", notices::ask_unsubscribe, "Ask whether to end a kind of e-mail.", |d| {
            d.ends("200", "A page with one button.", Some("text/html"));
        })
        .post_also("/v1/unsubscribe", notices::unsubscribe, "End a kind of e-mail (RFC 8058).", |d| {
            d.ends("200", "It has ended.", Some("text/html"));
        })
        .get("/v1/webhook-deliveries", outbox::list, "What AIKit was told by webhook.")
        .post("/v1/webhook-deliveries/{delivery}/resend", outbox::resend, "Tell it again.")
        .get("/v1/payouts-lock", lock::show, "The brake on payouts.")
        .post_also("/v1/payouts-lock/lock", lock::lock, "Lock payouts.", LOCK)
        .post_also("/v1/payouts-lock/unlock", lock::unlock, "Consent to unlocking them; two people do.", LOCK)
        .merge(pixel, |router| router.layer(origin::cors(config, true)))
        .merge(form, |router| router.layer(origin::cors(config, false)));
    if config.demo { all.merge(demo, |router| router) } else { all }
}

/// What `/openapi.json` says.
fn document(paths: PathsBuilder, components: ComponentsBuilder) -> OpenApi {
    let bearer = || SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let components = components
        .security_scheme("session", bearer())
        .security_scheme("server_key", bearer())
        .security_scheme("executor_key", bearer());
    let info = InfoBuilder::new()
        .title("AIKit Partners: Referral API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Amounts are integers in minor units of the program's currency, instants are RFC 3339 in UTC. `x-access` says which \
             roles may call an operation, and whether their sign-in must be at most five minutes old.",
        ));
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build()
}

/// The whole API.
pub fn router(app: App) -> Router {
    let Routes { router, paths, components } = routes(&app.config);
    let text: Arc<str> = document(paths, components).to_json().unwrap_or_default().into();
    let itself = get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text.to_string()) });
    router
        .route("/openapi.json", itself)
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), origin::check))
        .layer(middleware::from_fn_with_state(app.clone(), error::stamp))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(app)
}
