//! The demo's story as data: who refers whom, when, for how much, and what goes wrong.
//!
//! Every name is made up and every domain is under `.example`, which belongs to nobody; free mailboxes keep their real
//! domains, because the rules treat those differently. Nothing is ever mailed.

use crate::calendar::When::{self, Ago, Back, Story};

/// How far an agency has come with Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// It never opened the onboarding link.
    None,
    /// It opened Stripe's page and left before the end.
    Unfinished,
    /// It can receive transfers.
    Finished,
}

/// A link that an agency makes for a campaign.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// Name of the campaign.
    pub name: &'static str,
    /// Path on AIKit's site.
    pub path: &'static str,
    /// `utm_source`.
    pub source: &'static str,
    /// `utm_medium`.
    pub medium: &'static str,
}

/// An agency of the story.
#[derive(Clone, Copy, Debug)]
pub struct Agency {
    /// What the clients' table calls it; also the name of its domain.
    pub key: &'static str,
    /// Its name.
    pub name: &'static str,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// First name of the owner.
    pub owner: &'static str,
    /// When it joins.
    pub joined: When,
    /// How far it has come with Stripe.
    pub account: Account,
    /// Clicks on its links in a usual month.
    pub clicks_per_month: u32,
    /// Its campaigns.
    pub campaigns: &'static [Campaign],
    /// Its own name in links, which it chooses with its first campaign.
    pub slug: Option<&'static str>,
}

impl Agency {
    /// Its domain.
    pub fn domain(&self) -> String {
        format!("{}.example", self.key)
    }
}

/// How often a price is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Monthly.
    Month,
    /// Yearly.
    Year,
}

/// A price of AIKit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// Name of the product.
    pub product: &'static str,
    /// What is paid each time, in US cents.
    pub amount_minor: i64,
    /// How often.
    pub interval: Interval,
}

const fn monthly(product: &'static str, amount_minor: i64) -> Option<Price> {
    Some(Price { product, amount_minor, interval: Interval::Month })
}

const fn yearly(product: &'static str, amount_minor: i64) -> Option<Price> {
    Some(Price { product, amount_minor, interval: Interval::Year })
}

const GROWTH: Option<Price> = monthly("AIKit Growth", 25_000);
const BUSINESS: Option<Price> = monthly("AIKit Business", 50_000);
const ENTERPRISE: Option<Price> = monthly("AIKit Enterprise", 100_000);
const GROWTH_YEAR: Option<Price> = yearly("AIKit Growth", 250_000);
const BUSINESS_YEAR: Option<Price> = yearly("AIKit Business", 600_000);
const ENTERPRISE_YEAR: Option<Price> = yearly("AIKit Enterprise", 1_200_000);
/// Signed up and never subscribed.
const NO_PLAN: Option<Price> = None;

/// How a client found its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through a campaign of the agency, by its number.
    Campaign(usize),
    /// Through the agency's main link.
    MainLink,
    /// The agency typed its code into the client's project: no click.
    Code,
    /// Through another agency's link first, then through this one's: the last touch wins.
    AfterTouchOf(&'static str),
    /// Through a link that it had clicked too long before: nobody is credited.
    TooLate,
}

/// How a dispute ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money stays.
    Won,
    /// The money goes back.
    Lost,
}

/// What happens to a client beside paying on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// The subscription starts with so many days of trial.
    Trial(u32),
    /// It is cancelled so many days after it started.
    Cancels(u32),
    /// It moves to another price.
    Moves(When, Option<Price>),
    /// The newest invoice is refunded: this much, or all of it.
    Refund(When, Option<i64>),
    /// The newest invoice is disputed.
    Dispute(When),
    /// That dispute ends.
    DisputeEnds(When, Outcome),
}

/// A client of the story.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Key of the agency that is to be credited.
    pub agency: &'static str,
    /// Business address.
    pub email: &'static str,
    /// When it signs up.
    pub signs_up: When,
    /// What it pays.
    pub price: Option<Price>,
    /// How it came.
    pub way: Way,
    /// What happens later.
    pub twists: &'static [Twist],
}

impl Client {
    const fn came(self, way: Way) -> Self {
        Self { way, ..self }
    }

    const fn then(self, twists: &'static [Twist]) -> Self {
        Self { twists, ..self }
    }

    /// Days of trial; 0 without one.
    pub fn trial_days(&self) -> u32 {
        let trial = |twist: &Twist| if let Twist::Trial(days) = twist { Some(*days) } else { None };
        self.twists.iter().find_map(trial).unwrap_or_default()
    }
}

const fn campaign(name: &'static str, path: &'static str, source: &'static str, medium: &'static str) -> Campaign {
    Campaign { name, path, source, medium }
}

const NEWSLETTER: Campaign = campaign("Monthly newsletter", "/pricing", "newsletter", "email");
const CASE_STUDY: Campaign = campaign("Search case study", "/customers", "blog", "article");
const PROPOSALS: Campaign = campaign("Project proposals", "/enterprise", "proposal", "document");
const TALK: Campaign = campaign("Conference talk", "/demo", "talk", "slides");
const FOOTER: Campaign = campaign("Site footer", "/", "website", "footer");

/// The agencies, in the order in which they joined.
#[rustfmt::skip]
pub const AGENCIES: &[Agency] = &[
    // Platinum by the subscriptions that it brought.
    Agency { key: "bureau-meridian", name: "Bureau Meridian", country: "NL", owner: "femke", joined: Story(0, 3), account: Account::Finished, clicks_per_month: 12, campaigns: &[PROPOSALS, CASE_STUDY, TALK], slug: Some("meridian") },
    // Reached the volume bonus once, and is on the way to it again.
    Agency { key: "northlight-studio", name: "Northlight Studio", country: "US", owner: "dana", joined: Story(0, 8), account: Account::Finished, clicks_per_month: 10, campaigns: &[NEWSLETTER, CASE_STUDY], slug: None },
    Agency { key: "otter-vale", name: "Otter & Vale Digital", country: "GB", owner: "imogen", joined: Story(0, 20), account: Account::Finished, clicks_per_month: 7, campaigns: &[FOOTER, NEWSLETTER], slug: Some("otter-vale") },
    Agency { key: "cobalt-agentur", name: "Cobalt Agency GmbH", country: "DE", owner: "jonas", joined: Story(1, 5), account: Account::Finished, clicks_per_month: 6, campaigns: &[PROPOSALS], slug: None },
    // Owes money: a large invoice was charged back after it had been paid out.
    Agency { key: "studio-halcyon", name: "Studio Halcyon", country: "FR", owner: "camille", joined: Story(1, 14), account: Account::Finished, clicks_per_month: 4, campaigns: &[CASE_STUDY], slug: None },
    // Has an open dispute.
    Agency { key: "fathom-rowe", name: "Fathom & Rowe", country: "CA", owner: "priya", joined: Story(2, 3), account: Account::Finished, clicks_per_month: 6, campaigns: &[TALK, FOOTER], slug: None },
    // Brought a dozen clients in one month, which a person has to look at.
    Agency { key: "pixel-forge", name: "Pixel Forge", country: "US", owner: "marcus", joined: Story(3, 10), account: Account::Finished, clicks_per_month: 8, campaigns: &[campaign("Launch offer", "/pricing", "social", "post")], slug: Some("pixel-forge") },
    // Referred itself.
    Agency { key: "brightwater-labs", name: "Brightwater Labs", country: "PT", owner: "tess", joined: Story(3, 20), account: Account::Finished, clicks_per_month: 5, campaigns: &[NEWSLETTER], slug: None },
    Agency { key: "kite-compass", name: "Kite & Compass", country: "IE", owner: "aoife", joined: Story(4, 6), account: Account::Finished, clicks_per_month: 5, campaigns: &[FOOTER], slug: None },
    Agency { key: "atelier-rivage", name: "Atelier Rivage", country: "BE", owner: "lucas", joined: Story(4, 18), account: Account::Finished, clicks_per_month: 7, campaigns: &[PROPOSALS, NEWSLETTER], slug: None },
    Agency { key: "lumen-collective", name: "Lumen Collective", country: "US", owner: "rosa", joined: Story(5, 11), account: Account::None, clicks_per_month: 4, campaigns: &[CASE_STUDY], slug: None },
    Agency { key: "fieldnote-works", name: "Fieldnote Works", country: "ES", owner: "nuria", joined: Story(5, 25), account: Account::Unfinished, clicks_per_month: 3, campaigns: &[NEWSLETTER], slug: None },
    // Has only just joined.
    Agency { key: "tamarind-digital", name: "Tamarind Digital", country: "SE", owner: "elin", joined: Ago(6), account: Account::None, clicks_per_month: 0, campaigns: &[], slug: None },
];

const fn client(agency: &'static str, signs_up: When, email: &'static str, price: Option<Price>) -> Client {
    Client { agency, email, signs_up, price, way: Way::Campaign(0), twists: &[] }
}

/// The clients, agency by agency.
pub const CLIENTS: &[Client] = &[
    client("bureau-meridian", Story(0, 12), "maria@aurelia-clinics.example", BUSINESS_YEAR),
    client("bureau-meridian", Story(0, 25), "it@polder-logistics.example", BUSINESS).came(Way::Code),
    client("bureau-meridian", Story(1, 9), "hello@grachten-hotels.example", BUSINESS).came(Way::Campaign(1)),
    client("bureau-meridian", Story(1, 22), "digital@vestra-insurance.example", ENTERPRISE_YEAR),
    client("bureau-meridian", Story(2, 6), "web@noordzee-energie.example", ENTERPRISE),
    client("bureau-meridian", Story(2, 18), "sanne@tulipa-travel.example", BUSINESS)
        .came(Way::Campaign(2))
        .then(&[Twist::Cancels(131)]),
    client("bureau-meridian", Story(3, 5), "team@delta-museum.example", BUSINESS),
    client("bureau-meridian", Story(3, 23), "online@brandt-outdoor.example", ENTERPRISE).came(Way::Campaign(1)),
    client("bureau-meridian", Story(4, 14), "bas@kanaal-media.example", GROWTH)
        .then(&[Twist::Moves(Story(7, 10), BUSINESS)]),
    client("bureau-meridian", Story(5, 10), "ops@zuiderlicht-care.example", BUSINESS).came(Way::MainLink),
    client("bureau-meridian", Back(3, 12), "info@orchard-bank.example", BUSINESS_YEAR),
    client("bureau-meridian", Story(7, 5), "eva@havenwerk.example", BUSINESS).came(Way::Code),
    client("bureau-meridian", Story(8, 3), "anouk@stadslab.example", GROWTH).came(Way::Campaign(2)),
    client("bureau-meridian", Story(8, 20), "contact@meerzicht-resorts.example", BUSINESS),
    client("bureau-meridian", Story(9, 14), "hi@waterlelie-foods.example", BUSINESS).came(Way::Campaign(1)),
    client("bureau-meridian", Ago(11), "daan@lantaarn-legal.example", BUSINESS_YEAR),
    client("northlight-studio", Story(1, 15), "owner@harbour-pine.example", BUSINESS),
    client("northlight-studio", Story(2, 11), "office@kestrel-legal.example", BUSINESS).came(Way::Campaign(1)),
    client("northlight-studio", Story(3, 4), "growth@fjord-outfitters.example", BUSINESS),
    client("northlight-studio", Story(3, 17), "sam@redwood-dental.example", GROWTH),
    client("northlight-studio", Story(4, 8), "admin@bluebird-academy.example", GROWTH).came(Way::MainLink),
    client("northlight-studio", Story(4, 21), "marketing@summit-cycles.example", GROWTH).came(Way::Campaign(1)),
    client("northlight-studio", Story(5, 6), "nina@prairie-press.example", BUSINESS_YEAR),
    client("northlight-studio", Story(5, 19), "web@copper-kettle.example", GROWTH).then(&[Twist::Cancels(75)]),
    client("northlight-studio", Story(7, 12), "it@granite-supply.example", GROWTH).came(Way::Code),
    client("northlight-studio", Story(9, 3), "leo@juniper-health.example", GROWTH),
    client("northlight-studio", Story(9, 9), "hello@salt-and-fern.example", GROWTH).came(Way::Campaign(1)),
    client("northlight-studio", Story(9, 16), "team@quarry-robotics.example", GROWTH),
    client("northlight-studio", Ago(9), "june@meadowlark-yoga.example", GROWTH).then(&[Twist::Trial(14)]),
    client("northlight-studio", Ago(2), "press@longshore-news.example", NO_PLAN),
    client("otter-vale", Story(1, 6), "will@thistle-garden.example", BUSINESS),
    client("otter-vale", Story(2, 20), "shop@fenwick-ceramics.example", GROWTH).then(&[Twist::Cancels(45)]),
    client("otter-vale", Story(4, 10), "it@ravenscar-brewery.example", BUSINESS)
        .came(Way::Campaign(1))
        .then(&[Twist::Refund(Back(1, 15), Some(15_000))]),
    client("otter-vale", Story(6, 7), "kate@pembroke-tutors.example", GROWTH),
    client("otter-vale", Story(7, 26), "sales@moorland-tents.example", BUSINESS).came(Way::TooLate),
    client("otter-vale", Story(8, 15), "digital@severn-rail.example", BUSINESS).came(Way::AfterTouchOf("fathom-rowe")),
    client("otter-vale", Ago(33), "amy@copse-kitchens.example", GROWTH),
    client("cobalt-agentur", Story(2, 2), "web@falkenberg-werkzeuge.example", BUSINESS),
    client("cobalt-agentur", Story(3, 12), "lea@linde-optik.example", GROWTH)
        .then(&[Twist::Dispute(Back(3, 20)), Twist::DisputeEnds(Back(2, 9), Outcome::Won)]),
    client("cobalt-agentur", Story(5, 8), "it@rheinblick-hotels.example", ENTERPRISE).came(Way::Code),
    client("cobalt-agentur", Story(7, 3), "uwe@amsel-verlag.example", BUSINESS)
        .then(&[Twist::Refund(Back(1, 12), None)]),
    client("cobalt-agentur", Story(9, 21), "team@kupferhof.example", GROWTH),
    client("cobalt-agentur", Ago(12), "shop@birkenfeld-sport.example", BUSINESS).came(Way::MainLink),
    client("cobalt-agentur", Ago(41), "info@tannen-bau.example", NO_PLAN),
    client("studio-halcyon", Story(2, 9), "achats@maison-verlaine.example", BUSINESS_YEAR)
        .then(&[Twist::Dispute(Back(2, 20)), Twist::DisputeEnds(Back(1, 14), Outcome::Lost)]),
    client("studio-halcyon", Story(4, 16), "bonjour@atlas-librairie.example", GROWTH),
    client("studio-halcyon", Story(6, 22), "paul@cigale-events.example", GROWTH).then(&[Twist::Cancels(40)]),
    client("fathom-rowe", Story(3, 8), "ops@aspen-freight.example", ENTERPRISE).then(&[Twist::Dispute(Back(1, 21))]),
    client("fathom-rowe", Story(4, 20), "hello@maple-and-main.example", BUSINESS).came(Way::Campaign(1)),
    client("fathom-rowe", Story(6, 12), "joe@lakehead-canoes.example", GROWTH).then(&[Twist::Cancels(38)]),
    client("fathom-rowe", Story(8, 8), "digital@tundra-air.example", BUSINESS),
    client("fathom-rowe", Ago(20), "info@cedar-county.example", GROWTH).came(Way::Code),
    client("pixel-forge", Story(4, 4), "max@arcadia-toys.example", GROWTH),
    client("pixel-forge", Story(5, 13), "web@lowland-games.example", BUSINESS),
    client("pixel-forge", Story(6, 26), "ana@inkwell-studio.example", GROWTH),
    client("pixel-forge", Back(1, 3), "team@dovetail-labs.example", GROWTH),
    client("pixel-forge", Back(1, 4), "hi@orbit-coffee.example", GROWTH),
    client("pixel-forge", Back(1, 6), "sue@willow-vets.example", GROWTH),
    client("pixel-forge", Back(1, 9), "it@cascade-gyms.example", BUSINESS),
    client("pixel-forge", Back(1, 11), "kim@paperboat-kids.example", GROWTH),
    client("pixel-forge", Back(1, 12), "hello@sunroom-plants.example", GROWTH),
    client("pixel-forge", Back(1, 16), "ed@ironbark-tools.example", GROWTH),
    client("pixel-forge", Back(1, 17), "ops@stellar-movers.example", GROWTH).came(Way::Code),
    client("pixel-forge", Back(1, 18), "mo@velvet-cinema.example", GROWTH),
    client("pixel-forge", Back(1, 22), "web@pinecrest-school.example", BUSINESS),
    client("pixel-forge", Back(1, 24), "jo@harvest-box.example", NO_PLAN),
    client("pixel-forge", Back(1, 26), "ray@drift-surf.example", GROWTH),
    client("brightwater-labs", Story(4, 12), "accounts@brightwater-labs.example", BUSINESS).came(Way::MainLink),
    client("brightwater-labs", Story(5, 3), "liz@coral-bay-dive.example", BUSINESS),
    client("brightwater-labs", Story(7, 20), "admin@cork-and-tile.example", GROWTH),
    client("brightwater-labs", Ago(27), "it@miradouro-finance.example", GROWTH),
    client("kite-compass", Story(4, 28), "tinylantern.crafts@gmail.com", GROWTH),
    client("kite-compass", Story(5, 22), "niall@shannon-ferries.example", GROWTH).then(&[Twist::Trial(14)]),
    client("kite-compass", Story(7, 9), "office@claddagh-rings.example", GROWTH_YEAR).came(Way::Code),
    client("kite-compass", Story(8, 2), "burren.pottery@outlook.com", GROWTH),
    client("kite-compass", Ago(5), "ciara@skellig-tours.example", BUSINESS).then(&[Twist::Trial(14)]),
    client("atelier-rivage", Story(6, 3), "jan@grand-place-foods.example", BUSINESS),
    client("atelier-rivage", Story(6, 14), "it@ardenne-parks.example", GROWTH).came(Way::Campaign(1)),
    client("atelier-rivage", Story(7, 2), "web@cocoa-atelier.example", BUSINESS),
    client("atelier-rivage", Story(7, 16), "marc@meuse-pharma.example", ENTERPRISE),
    client("atelier-rivage", Story(8, 4), "info@belfry-books.example", GROWTH).came(Way::MainLink),
    client("atelier-rivage", Story(8, 11), "lotte@linen-house.example", BUSINESS),
    client("atelier-rivage", Story(10, 7), "team@quai-nord.example", GROWTH),
    client("lumen-collective", Story(6, 9), "dev@parallax-optics.example", BUSINESS),
    client("lumen-collective", Story(7, 21), "gil@foxglove-salon.example", GROWTH),
    client("lumen-collective", Story(8, 25), "hello@tideline-yachts.example", GROWTH).came(Way::Code),
    client("fieldnote-works", Story(6, 12), "clara@olivar-gourmet.example", BUSINESS),
    client("fieldnote-works", Story(8, 19), "it@sierra-cycling.example", GROWTH),
];
