//! The table of calls that a window can make, once, for every host.
//!
//! A browser turns an entry into a request of its own; the desktop app's `rpc` command looks the same entry up and asks
//! the API on the page's behalf. Path parameters (`{referral}`) are taken out of the arguments by name; what remains is
//! the query of a GET or the JSON body of a POST.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use commission::{Assumptions, Forecast};
use ts_rs::{Config, TS, TypeVisitor};

use crate::*;

/// HTTP method of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads; its answer may be kept and shown when the API is out of reach.
    Get,
    /// Acts.
    Post,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Name, as the page says it.
    pub name: &'static str,
    /// Method.
    pub method: Method,
    /// Path with parameters in braces.
    pub path: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
}

impl Call {
    /// The entry of that name.
    pub fn find(name: &str) -> Option<&'static Call> {
        CALLS.iter().find(|c| c.name == name)
    }

    /// The file of that name.
    pub fn find_download(name: &str) -> Option<&'static Call> {
        DOWNLOADS.iter().find(|c| c.name == name)
    }

    /// Names of the path parameters, in order.
    pub fn path_params(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }
}

macro_rules! calls {
    ($( #[doc = $doc:literal] $name:ident: $method:ident $path:literal ($args:ty) -> $answer:ty; )*) => {
        /// Every call, in the order of the product's pages.
        pub const CALLS: &[Call] = &[
            $( Call { name: stringify!($name), method: Method::$method, path: $path, doc: $doc.trim_ascii() }, )*
        ];

        fn collect(types: &mut Types<'_>) -> Vec<(String, String)> {
            vec![ $( {
                types.add::<$args>();
                types.add::<$answer>();
                (<$args as TS>::name(types.config), <$answer as TS>::name(types.config))
            }, )* ]
        }
    };
}

/// A call without arguments beside those of its path.
#[derive(serde::Serialize, serde::Deserialize, TS, ToSchema)]
pub struct Nothing {}

calls! {
    /// The demo's people; not found outside a demo.
    demo_people: Get "/v1/demo/people" (Nothing) -> Vec<DemoPerson>;
    /// How people sign in here.
    sign_in_methods: Get "/v1/auth/methods" (Nothing) -> SignInMethods;
    /// Send a sign-in code.
    request_code: Post "/v1/auth/codes" (RequestCode) -> CodeRequested;
    /// The terms in force.
    current_terms: Get "/v1/terms/current" (Nothing) -> CurrentTerms;
    /// An agency joins.
    join: Post "/v1/partners" (JoinPartner) -> Joined;
    /// An agency's first page.
    overview: Get "/v1/overview" (Nothing) -> Overview;
    /// A fresh address that leads on to Stripe.
    onboarding_link: Post "/v1/onboarding" (Nothing) -> OnboardingLink;
    /// The owner accepts the terms in force.
    accept_terms: Post "/v1/terms/accept" (AcceptTerms) -> Vec<AcceptedTerms>;
    /// The agency's links, the newest first.
    links: Get "/v1/links" (LinksQuery) -> Vec<Link>;
    /// Make a link.
    create_link: Post "/v1/links" (CreateLink) -> Link;
    /// Rename or archive a link.
    update_link: Post "/v1/links/{link}" (UpdateLink) -> Link;
    /// The agency's own name in its links.
    slug: Get "/v1/slug" (Nothing) -> Slug;
    /// Choose that name, change it, or give it up.
    set_slug: Post "/v1/slug" (SetSlug) -> Slug;
    /// Some of the agency's clients.
    clients: Get "/v1/clients" (ClientsQuery) -> ClientPage;
    /// One client with the reason of every cent.
    client: Get "/v1/clients/{referral}" (Nothing) -> ClientDetail;
    /// What the last half year suggests for a forecast.
    suggested_what_if: Get "/v1/what-if" (Nothing) -> Assumptions;
    /// What the agency would earn if the coming months went so.
    what_if: Post "/v1/what-if" (Assumptions) -> Forecast;
    /// Where the agency's payouts go.
    stripe_account: Get "/v1/stripe-account" (Nothing) -> ConnectedAccount;
    /// Leave the Stripe account for another.
    replace_account: Post "/v1/stripe-account/replace" (ReplaceAccount) -> ConnectedAccount;
    /// The agency's payouts, the newest first.
    payouts: Get "/v1/payouts" (Nothing) -> Vec<Payout>;
    /// What one payout is made of.
    payout: Get "/v1/payouts/{item}" (Nothing) -> PayoutDetail;
    /// What AIKit gives agencies to work with, in its order.
    resources: Get "/v1/resources" (Nothing) -> Vec<Resource>;
    /// The same for those who keep it, with what is not published.
    all_resources: Get "/v1/resources/all" (Nothing) -> Vec<Resource>;
    /// Write a resource.
    create_resource: Post "/v1/resources" (CreateResource) -> Resource;
    /// Change all of it but its file.
    change_resource: Post "/v1/resources/{resource}" (ChangeResource) -> Resource;
    /// Show it to agencies, or no longer.
    publish_resource: Post "/v1/resources/{resource}/publish" (PublishResource) -> Resource;
    /// Put all of them in order.
    order_resources: Post "/v1/resources/order" (OrderResources) -> Vec<Resource>;
    /// Send a part of its file.
    upload_part: Post "/v1/resources/{resource}/file" (UploadPart) -> Resource;
    /// Take its file away.
    remove_resource_file: Post "/v1/resources/{resource}/file/remove" (ResourceVersion) -> Resource;
    /// Delete it.
    delete_resource: Post "/v1/resources/{resource}/delete" (ResourceVersion) -> Vec<Resource>;
    /// All runs, the newest first.
    runs: Get "/v1/runs" (Nothing) -> Vec<RunSummary>;
    /// One run.
    run: Get "/v1/runs/{run}" (Nothing) -> Run;
    /// One partner's statement within a run.
    run_statement: Get "/v1/runs/{run}/items/{item}" (Nothing) -> PayoutDetail;
    /// Draft the run of a month, or compute its draft again.
    draft_run: Post "/v1/runs" (DraftRun) -> Run;
    /// Freeze a draft.
    seal_run: Post "/v1/runs/{run}/seal" (SealRun) -> Run;
    /// Approve a seal.
    approve_run: Post "/v1/runs/{run}/approve" (ApproveRun) -> Run;
    /// Let an executor send an approved run.
    send_run: Post "/v1/runs/{run}/send" (SendRun) -> Run;
    /// Hold a partner out of a draft.
    hold_partner: Post "/v1/runs/{run}/holds" (HoldPartner) -> Run;
    /// Pay a partner that was held out.
    release_partner: Post "/v1/runs/{run}/holds/{partner}/release" (ReleasePartner) -> Run;
    /// Write a note beside a run.
    add_note: Post "/v1/runs/{run}/notes" (AddNote) -> Run;
    /// Stop sending; the rest can be sent later.
    pause_run: Post "/v1/runs/{run}/pause" (Nothing) -> Run;
    /// Make a sealed run a draft again.
    unseal_run: Post "/v1/runs/{run}/unseal" (TurnBack) -> Run;
    /// Give a run up; its month can be drafted again.
    discard_run: Post "/v1/runs/{run}/discard" (TurnBack) -> Vec<RunSummary>;
    /// End a run without paying what is still queued.
    close_run: Post "/v1/runs/{run}/close" (CloseRun) -> Run;
    /// What is known of one payment of a sealed run.
    item_check: Get "/v1/items/{item}/check" (Nothing) -> ItemCheck;
    /// Look at Stripe now for one payment.
    look_at_item: Post "/v1/items/{item}/look" (Nothing) -> ItemCheck;
    /// Decide about a payment that is with a person.
    resolve_item: Post "/v1/items/{item}/resolution" (ResolveItem) -> ItemCheck;
    /// The brake on payouts.
    payouts_lock: Get "/v1/payouts-lock" (Nothing) -> PayoutLock;
    /// Put the brake on.
    lock_payouts: Post "/v1/payouts-lock/lock" (LockPayouts) -> PayoutLock;
    /// Agree to take it off.
    unlock_payouts: Post "/v1/payouts-lock/unlock" (UnlockPayouts) -> PayoutLock;
    /// The records held against Stripe, the newest first.
    reconciliations: Get "/v1/reconciliations" (Nothing) -> Vec<Reconciliation>;
    /// Hold the records against Stripe now.
    reconcile: Post "/v1/reconciliations" (Reconcile) -> Reconciliation;
    /// How much waits for a review.
    reviews_waiting: Get "/v1/reviews-waiting" (Nothing) -> ReviewsWaiting;
    /// Flagged referrals with their evidence.
    reviews: Get "/v1/reviews" (ReviewsQuery) -> Vec<Review>;
    /// What each decision about a referral would change in money.
    outcomes: Get "/v1/referrals/{referral}/decisions" (Nothing) -> Outcomes;
    /// Decide that a flagged referral counts.
    clear_referral: Post "/v1/reviews/{referral}/clear" (Because) -> Review;
    /// Decide that it does not count.
    reject_referral: Post "/v1/reviews/{referral}/reject" (Because) -> Review;
    /// Take the last decision back.
    reopen_referral: Post "/v1/reviews/{referral}/reopen" (Because) -> Review;
    /// Some of the agencies.
    partners: Get "/v1/partners" (PartnersQuery) -> PartnerPage;
    /// An agency and where it stands.
    partner: Get "/v1/partners/{partner}" (Nothing) -> PartnerStanding;
    /// What a decision about an agency would change in money.
    partner_effect: Get "/v1/partners/{partner}/effect" (EffectQuery) -> Effect;
    /// Some of an agency's referrals.
    partner_referrals: Get "/v1/partners/{partner}/referrals" (ClientsQuery) -> ClientPage;
    /// An agency's links, the newest first.
    partner_links: Get "/v1/partners/{partner}/links" (LinksQuery) -> Vec<Link>;
    /// An agency's payouts, the newest first.
    partner_payouts: Get "/v1/partners/{partner}/payouts" (Nothing) -> Vec<Payout>;
    /// An agency earns from now on and is not paid.
    suspend_partner: Post "/v1/partners/{partner}/suspend" (Because) -> PartnerStanding;
    /// End a suspension.
    reinstate_partner: Post "/v1/partners/{partner}/reinstate" (Because) -> PartnerStanding;
    /// Add to an agency's balance or take from it.
    adjust_partner: Post "/v1/partners/{partner}/adjustments" (Adjust) -> PartnerStanding;
    /// A page of the audit chain.
    audit: Get "/v1/audit" (AuditQuery) -> AuditPage;
}

macro_rules! downloads {
    ($( #[doc = $doc:literal] $name:ident: $path:literal ($args:ty); )*) => {
        /// Every file that a page can save: an entry is a call whose answer is not JSON. The answer names the file
        /// (`Content-Disposition`).
        pub const DOWNLOADS: &[Call] = &[
            $( Call { name: stringify!($name), method: Method::Get, path: $path, doc: $doc.trim_ascii() }, )*
        ];

        fn collect_downloads(types: &mut Types<'_>) -> Vec<String> {
            vec![ $( { types.add::<$args>(); <$args as TS>::name(types.config) }, )* ]
        }
    };
}

downloads! {
    /// The receipt of a paid payout (PDF).
    receipt: "/v1/payouts/{item}/receipt.pdf" (Nothing);
    /// The receipt of a paid item of a run (PDF).
    run_receipt: "/v1/runs/{run}/items/{item}/receipt.pdf" (Nothing);
    /// The file of a resource.
    resource_file: "/v1/resources/{resource}/file" (Nothing);
    /// A run for a spreadsheet (CSV).
    run_csv: "/v1/runs/{run}/export.csv" (Nothing);
    /// A run as a workbook (XLSX).
    run_xlsx: "/v1/runs/{run}/export.xlsx" (Nothing);
    /// The ledger export of a closed month (CSV).
    run_ledger: "/v1/runs/{run}/ledger.csv" (LedgerExport);
}

/// Declarations by name, each once.
struct Types<'a> {
    config: &'a Config,
    seen: Vec<TypeId>,
    by_name: BTreeMap<String, String>,
}

impl Types<'_> {
    fn add<T: TS + 'static + ?Sized>(&mut self) {
        if self.seen.contains(&TypeId::of::<T>()) {
            return;
        }
        self.seen.push(TypeId::of::<T>());
        // Only types with a file of their own have a declaration; numbers, lists and options have none.
        if T::output_path().is_some() {
            let docs = T::docs().unwrap_or_default();
            self.by_name.insert(T::ident(self.config), format!("{docs}export {}\n", T::decl(self.config)));
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

impl TypeVisitor for Types<'_> {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        self.add::<T>();
    }
}

/// The TypeScript of this crate: every type that a page can meet, and the table of calls.
pub fn typescript() -> String {
    let config = Config::new().with_large_int("number");
    let mut types = Types { config: &config, seen: Vec::new(), by_name: BTreeMap::new() };
    let signatures = collect(&mut types);
    let downloads = collect_downloads(&mut types);
    types.add::<ErrorBody>();
    types.add::<StartSession>();
    types.add::<BeginSignIn>();
    types.add::<SignInBegun>();
    types.add::<StartDemoSession>();
    types.add::<RefreshSession>();
    types.add::<Session>();

    let mut out = String::from("// Generated from crates/wire by `./dev gen`. Do not edit.\n\n");
    for declaration in types.by_name.values() {
        out.push_str(declaration);
        out.push('\n');
    }
    out.push_str("/** Arguments and answer of every call. */\nexport type Calls = {\n");
    for (call, (args, answer)) in CALLS.iter().zip(&signatures) {
        let args = arguments(call, args);
        let _ = writeln!(out, "  /** {} */\n  {}: {{ args: {args}; answer: {answer} }};", call.doc, call.name);
    }
    out.push_str("};\n\n/** Arguments of every file that can be saved. */\nexport type Downloads = {\n");
    for (call, args) in DOWNLOADS.iter().zip(&downloads) {
        let _ = writeln!(out, "  /** {} */\n  {}: {};", call.doc, call.name, arguments(call, args));
    }
    out.push_str("};\n\n/** How each call travels. */\nexport const CALLS: { readonly [K in keyof Calls]: Way } = {\n");
    ways(&mut out, CALLS);
    out.push_str("/** Where each file is. */\nexport const DOWNLOADS: { readonly [K in keyof Downloads]: Way } = {\n");
    ways(&mut out, DOWNLOADS);
    out.push_str("/** A method and a path with parameters in braces. */\nexport type Way = { readonly method: 'GET' | 'POST'; readonly path: string };\n");
    out
}

/// The TypeScript of a call's arguments, those in its path included.
fn arguments(call: &Call, args: &str) -> String {
    let path: Vec<String> = call.path_params().map(|p| format!("{p}: string")).collect();
    match (path.is_empty(), args == "Nothing") {
        (true, _) => args.to_owned(),
        (false, true) => format!("{{ {} }}", path.join(", ")),
        (false, false) => format!("{{ {} }} & {args}", path.join(", ")),
    }
}

fn ways(out: &mut String, calls: &[Call]) {
    for call in calls {
        let method = match call.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let _ = writeln!(out, "  {}: {{ method: '{method}', path: '{}' }},", call.name, call.path);
    }
    out.push_str("};\n\n");
}
