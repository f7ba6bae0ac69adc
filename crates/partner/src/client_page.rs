//! Which clients an agency is shown, in which order, and what is said of each. Pure: of a statement and a question.
//!
//! Invariant: what is said of a client does not depend on which others are shown beside it.

use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::{DateTime, Datelike as _, Utc};
use commission::{ClientStatus, Line, LineKind, LineStatus, ReferralState, Statement, TermsBook, is_free_mail};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use wire::{Client, ClientChoice, ClientOrder, ClientPage, ClientsQuery};

/// Rows where the question does not say how many.
const ROWS: u32 = 100;
/// The most rows of one answer.
const MOST_ROWS: u32 = 500;
/// Characters of a search that are looked at.
const FIND_LENGTH: usize = 100;

/// What a client is called: by its domain, unless that says nothing of it.
pub fn client_name(email_domain: Option<&str>, referral: &str) -> String {
    match email_domain {
        Some(domain) if !is_free_mail(domain) => domain.to_owned(),
        _ => format!("Client {}", referral.get(..8).unwrap_or(referral)),
    }
}

/// The rows that a question asks for, and how many there are in all. Of equals the newest is first, in either direction.
pub fn client_page(statement: &Statement, terms: &TermsBook, asked: &ClientsQuery, now: DateTime<Utc>) -> ClientPage {
    let all = &statement.referrals;
    let words = words(asked.find.as_deref().unwrap_or_default());
    let mut found: Vec<&ReferralState> =
        all.iter().rev().filter(|r| is_chosen(r, asked.status) && has_words(r, &words)).collect();
    let key = keys(statement, asked.sort, now);
    match asked.ascending {
        true => found.sort_by_cached_key(|r| key(r)),
        false => found.sort_by_cached_key(|r| Reverse(key(r))),
    }
    let limit = asked.limit.unwrap_or(ROWS).min(MOST_ROWS);
    let shown: Vec<&ReferralState> = found.iter().skip(size(asked.from)).take(size(limit)).copied().collect();
    ClientPage {
        total: count(all.len()),
        paying: count(all.iter().filter(|r| r.status == ClientStatus::Active).count()),
        found: count(found.len()),
        rows: clients(statement, terms, &shown, now),
    }
}

/// What is said of these clients, in their order, by one look through the statement's lines.
pub fn clients(statement: &Statement, terms: &TermsBook, of: &[&ReferralState], now: DateTime<Utc>) -> Vec<Client> {
    #[derive(Default)]
    struct Said<'a> {
        this_month_minor: i64,
        rate: Option<&'a str>,
    }
    let mut said: HashMap<&str, Said<'_>> = of.iter().map(|r| (r.referral.as_str(), Said::default())).collect();
    // Lines are in the order in which they were earned, so the last rate is the newest.
    for line in &statement.lines {
        let Some(of) = line.referral.as_deref().and_then(|referral| said.get_mut(referral)) else { continue };
        if earns_in_month_of(line, now) {
            of.this_month_minor += line.amount_minor;
        }
        if matches!(line.kind, LineKind::FirstYear | LineKind::Recurring) {
            of.rate = line.rate.as_deref();
        }
    }
    let first_year_months = |id: &str| terms.versions().iter().find(|t| t.id == id).map_or(0, |t| t.first_year_months);
    let client = |r: &&ReferralState| Client {
        referral: r.referral.clone(),
        name: client_name(r.client_email_domain.as_deref(), &r.referral),
        signed_up_at: r.signed_up_at,
        status: r.status,
        annual_price_minor: r.annual_price_minor,
        tenure_month: r.tenure_month,
        first_year_months: first_year_months(&r.terms),
        rate: said.get(r.referral.as_str()).and_then(|of| of.rate).map(str::to_owned),
        turns_recurring_at: r.turns_recurring_at,
        vests_at: r.streak_vests_at,
        flags: r.flags.clone(),
        under_review: r.under_review,
        this_month_minor: said.get(r.referral.as_str()).map_or(0, |of| of.this_month_minor),
        earned_minor: r.earned_minor,
    };
    of.iter().map(client).collect()
}

fn earns_in_month_of(line: &Line, now: DateTime<Utc>) -> bool {
    matches!(line.status, LineStatus::Vested | LineStatus::Pending | LineStatus::Held)
        && (line.earned_at.year(), line.earned_at.month()) == (now.year(), now.month())
}

fn is_chosen(r: &ReferralState, status: Option<ClientChoice>) -> bool {
    match status {
        None => true,
        Some(ClientChoice::UnderReview) => r.under_review,
        Some(ClientChoice::SignedUp) => r.status == ClientStatus::SignedUp,
        Some(ClientChoice::Trial) => r.status == ClientStatus::Trial,
        Some(ClientChoice::Active) => r.status == ClientStatus::Active,
        Some(ClientChoice::Canceled) => r.status == ClientStatus::Canceled,
    }
}

/// What clients are put in order by: a number, or else a text.
fn keys<'a>(
    statement: &'a Statement,
    order: ClientOrder,
    now: DateTime<Utc>,
) -> impl Fn(&ReferralState) -> (i64, String) + 'a {
    let mut this_month: HashMap<&str, i64> = HashMap::new();
    if order == ClientOrder::ThisMonth {
        for line in statement.lines.iter().filter(|line| earns_in_month_of(line, now)) {
            *this_month.entry(line.referral.as_deref().unwrap_or_default()).or_default() += line.amount_minor;
        }
    }
    move |r| {
        let number = match order {
            ClientOrder::Name => 0,
            ClientOrder::SignedUp => r.signed_up_at.timestamp_millis(),
            ClientOrder::Status => rank(r),
            ClientOrder::AnnualPrice => r.annual_price_minor,
            ClientOrder::TenureMonth => i64::from(r.tenure_month.unwrap_or(0)),
            ClientOrder::ThisMonth => this_month.get(r.referral.as_str()).copied().unwrap_or(0),
            ClientOrder::Earned => r.earned_minor,
        };
        let text = match order {
            ClientOrder::Name => plain(&both_ways(&client_name(r.client_email_domain.as_deref(), &r.referral))),
            _ => String::new(),
        };
        (number, text)
    }
}

/// From what needs somebody's attention to what is over.
fn rank(r: &ReferralState) -> i64 {
    match r.status {
        _ if r.under_review => 0,
        ClientStatus::SignedUp => 1,
        ClientStatus::Trial => 2,
        ClientStatus::Active => 3,
        ClientStatus::Canceled => 4,
    }
}

/// The words that are looked for.
pub fn words(find: &str) -> Vec<String> {
    let find: String = find.chars().take(FIND_LENGTH).collect();
    plain(&find).split_whitespace().map(str::to_owned).collect()
}

/// Whether every word is in the client's name or in its id.
fn has_words(r: &ReferralState, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let name = client_name(r.client_email_domain.as_deref(), &r.referral);
    let text = plain(&format!("{} {}", both_ways(&name), r.referral));
    words.iter().all(|word| text.contains(word.as_str()))
}

/// A text as it is looked for: in lower case, without accents and dots.
pub fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    if lower.is_ascii() {
        return lower;
    }
    let mut out = String::with_capacity(lower.len());
    for char in lower.nfkd().filter(|char| !is_combining_mark(*char)) {
        match char {
            'ß' => out.push_str("ss"),
            'æ' => out.push_str("ae"),
            'œ' => out.push_str("oe"),
            'ø' => out.push('o'),
            'ł' => out.push('l'),
            'đ' => out.push('d'),
            'ı' => out.push('i'),
            _ => out.push(char),
        }
    }
    out
}

/// A domain as its owner writes it, then as it is sent: either may be looked for. `müller.example xn--mller-kva.example`.
fn both_ways(name: &str) -> String {
    if name.contains("xn--") { format!("{} {name}", idna::domain_to_unicode(name).0) } else { name.to_owned() }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use commission::{Progress, Reason, Tier, Totals};
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    fn terms() -> TermsBook {
        TermsBook::default_book()
    }

    fn referral(n: usize, domain: &str, status: ClientStatus, days: i64) -> ReferralState {
        ReferralState {
            referral: format!("r_{n:06}"),
            partner: "PARTNER_00000000".into(),
            signed_up_at: now() - chrono::TimeDelta::days(days),
            client_email_domain: (!domain.is_empty()).then(|| domain.to_owned()),
            flags: Vec::new(),
            decision: None,
            under_review: n.is_multiple_of(5),
            first_payment_at: None,
            clock: None,
            turns_recurring_at: None,
            eligible: true,
            streak_vests_at: None,
            status,
            annual_price_minor: i64::try_from(n % 3).unwrap(),
            tenure_month: None,
            earned_minor: i64::try_from(n * 7 % 11).unwrap(),
            terms: "t".into(),
        }
    }

    fn line(referral: usize, days: i64, amount_minor: i64, status: LineStatus) -> Line {
        let rate = if days < 30 { "0.20" } else { "0.10" };
        Line {
            id: String::new(),
            kind: if amount_minor < 0 { LineKind::Reversal } else { LineKind::FirstYear },
            referral: Some(format!("r_{referral:06}")),
            invoice: None,
            amount_minor,
            basis_minor: 0,
            rate: (amount_minor >= 0).then(|| rate.to_owned()),
            rule: String::new(),
            terms: "t".into(),
            tenure_month: None,
            reason: None::<Reason>,
            status,
            earned_at: now() - chrono::TimeDelta::days(days),
            vests_at: None,
            why: String::new(),
            parts: None,
        }
    }

    fn statement(referrals: Vec<ReferralState>, lines: Vec<Line>) -> Statement {
        Statement {
            partner: "PARTNER_00000000".into(),
            tier: Tier::Standard,
            suspended: false,
            as_of: now(),
            terms: "t".into(),
            digest: String::new(),
            totals: Totals::default(),
            lines,
            unmatched: Vec::new(),
            referrals,
            progress: Progress::default(),
        }
    }

    fn agencies_clients() -> impl Strategy<Value = Statement> {
        let status = prop::sample::select(vec![
            ClientStatus::SignedUp,
            ClientStatus::Trial,
            ClientStatus::Active,
            ClientStatus::Canceled,
        ]);
        let domain =
            prop::sample::select(vec!["fjord.example", "Ärger.example", "gmail.com", "", "xn--mller-kva.example"]);
        let client = (domain, status, 0i64..400);
        let of_line = (0usize..30, 0i64..60, -50i64..50, any::<bool>());
        (prop::collection::vec(client, 0..30), prop::collection::vec(of_line, 0..60)).prop_map(
            |(mut all, mut lines)| {
                all.sort_by_key(|(_, _, days)| Reverse(*days));
                lines.sort_by_key(|(_, days, _, _)| Reverse(*days));
                let all =
                    all.into_iter().enumerate().map(|(n, (domain, status, days))| referral(n, domain, status, days));
                let status = |counts| if counts { LineStatus::Vested } else { LineStatus::Forfeited };
                let lines = lines.into_iter().map(|(n, days, amount, counts)| line(n, days, amount, status(counts)));
                statement(all.collect(), lines.collect())
            },
        )
    }

    fn question() -> impl Strategy<Value = ClientsQuery> {
        let sort = prop::sample::select(vec![
            ClientOrder::SignedUp,
            ClientOrder::Name,
            ClientOrder::Status,
            ClientOrder::AnnualPrice,
            ClientOrder::TenureMonth,
            ClientOrder::ThisMonth,
            ClientOrder::Earned,
        ]);
        let status = prop::option::of(prop::sample::select(vec![
            ClientChoice::SignedUp,
            ClientChoice::Trial,
            ClientChoice::Active,
            ClientChoice::Canceled,
            ClientChoice::UnderReview,
        ]));
        let find =
            prop::option::of(prop::sample::select(vec!["", "FJORD", "arg exa", "client", "r_00000", "müller", "zz"]));
        (find, status, sort, any::<bool>()).prop_map(|(find, status, sort, ascending)| ClientsQuery {
            find: find.map(str::to_owned),
            status,
            sort,
            ascending,
            from: 0,
            limit: Some(500),
        })
    }

    fn ids(page: &ClientPage) -> Vec<String> {
        page.rows.iter().map(|c| c.referral.clone()).collect()
    }

    proptest! {
        #[test]
        fn pages_laid_end_to_end_are_the_whole_list(all in agencies_clients(), asked in question(), limit in 1u32..9) {
            let whole = client_page(&all, &terms(), &asked, now());
            prop_assert_eq!(size(whole.found), whole.rows.len());
            let mut laid = Vec::new();
            for from in (0..whole.found).step_by(size(limit)) {
                let page = client_page(&all, &terms(), &ClientsQuery { from, limit: Some(limit), ..asked.clone() }, now());
                prop_assert_eq!((page.total, page.paying, page.found), (whole.total, whole.paying, whole.found));
                laid.extend(ids(&page));
            }
            prop_assert_eq!(laid, ids(&whole));
        }

        #[test]
        fn a_choice_leaves_out_and_never_adds(all in agencies_clients(), asked in question()) {
            let everybody = ClientsQuery { find: None, status: None, ..asked.clone() };
            let (some, everybody) = [asked, everybody].map(|q| ids(&client_page(&all, &terms(), &q, now()))).into();
            let kept: Vec<String> = everybody.into_iter().filter(|id| some.contains(id)).collect();
            prop_assert_eq!(some, kept, "those that remain keep their order");
        }

        #[test]
        fn rows_are_in_order_and_of_equals_the_newest_is_first(all in agencies_clients(), asked in question()) {
            let page = client_page(&all, &terms(), &asked, now());
            let place = |c: &Client| all.referrals.iter().position(|r| r.referral == c.referral).unwrap();
            let number = |c: &Client| match asked.sort {
                ClientOrder::SignedUp => c.signed_up_at.timestamp_millis(),
                ClientOrder::AnnualPrice => c.annual_price_minor,
                ClientOrder::ThisMonth => c.this_month_minor,
                ClientOrder::Earned => c.earned_minor,
                ClientOrder::TenureMonth | ClientOrder::Name | ClientOrder::Status => 0,
            };
            if asked.sort == ClientOrder::Name || asked.sort == ClientOrder::Status {
                return Ok(());
            }
            for pair in page.rows.windows(2) {
                let (a, b) = (number(&pair[0]), number(&pair[1]));
                let in_order = if asked.ascending { a <= b } else { a >= b };
                prop_assert!(in_order, "{} before {}", a, b);
                prop_assert!(a != b || place(&pair[0]) > place(&pair[1]));
            }
        }

        #[test]
        fn a_client_is_the_same_whoever_is_beside_it(all in agencies_clients(), asked in question()) {
            for row in client_page(&all, &terms(), &asked, now()).rows {
                let r = all.referrals.iter().find(|r| r.referral == row.referral).unwrap();
                let alone = clients(&all, &terms(), &[r], now()).pop().unwrap();
                prop_assert_eq!(format!("{row:?}"), format!("{alone:?}"));
                let counted = all.lines.iter().filter(|l| l.referral.as_ref() == Some(&row.referral) && earns_in_month_of(l, now()));
                prop_assert_eq!(row.this_month_minor, counted.map(|l| l.amount_minor).sum::<i64>());
            }
        }
    }

    #[test]
    fn a_search_minds_neither_case_nor_accents() {
        for (name, found_by) in [
            ("Fjord.example", "fjord"),
            ("fjord.example", "FJO .ex"),
            ("Ärger-Øst.example", "arger ost"),
            ("arger.example", "ärger"),
            ("straße.example", "STRASSE"),
            ("xn--mller-kva.example", "muller"),
            ("xn--mller-kva.example", "MÜLLER"),
            ("xn--mller-kva.example", "xn--mller"),
            ("łódź.example", "lodz"),
            ("İstanbul.example", "istanbul"),
        ] {
            let r = referral(1, name, ClientStatus::Active, 1);
            assert!(has_words(&r, &words(found_by)), "«{found_by}» finds {name}");
            assert!(!has_words(&r, &words(&format!("{found_by} zz"))));
        }
    }

    #[test]
    fn names_are_in_the_order_of_a_telephone_book() {
        let names = ["zebra.example", "Ärger.example", "alpha.example", "arktis.example"];
        let all = names.iter().enumerate().map(|(n, name)| referral(n + 1, name, ClientStatus::Active, 9)).collect();
        let asked = ClientsQuery { sort: ClientOrder::Name, ascending: true, ..ClientsQuery::default() };
        let page = client_page(&statement(all, Vec::new()), &terms(), &asked, now());
        let shown: Vec<&str> = page.rows.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(shown, ["alpha.example", "Ärger.example", "arktis.example", "zebra.example"]);
    }

    #[test]
    fn no_answer_has_more_than_500_rows() {
        let all = statement((0..700).map(|n| referral(n, "", ClientStatus::Trial, 1)).collect(), Vec::new());
        let rows =
            |limit| client_page(&all, &terms(), &ClientsQuery { limit, ..ClientsQuery::default() }, now()).rows.len();
        assert_eq!([rows(None), rows(Some(0)), rows(Some(u32::MAX))], [100, 0, 500]);
    }
}
