//! What one journal has of the things that the journals must reach, in the words of `coverage`.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use commission::{Decision, Fact, FactBody, Flag, LineKind, LineStatus, MAX_AMOUNT_MINOR, Outcome, Tier, VolumeScope};

use crate::answer::{Answer, LineAnswer, PartnerAnswer};
use crate::calendar::{calendar_month, whole_seconds};
use crate::journals::Case;
use crate::known::{Known, key, known};
use crate::referral::{Invoice, Referral, moment, referrals, terms_at};
use crate::standing::{Standing, standing};
use crate::streaks::streaks;

/// The things that one journal has.
type Seen = BTreeSet<String>;

/// Looks for each of the things that the journals must reach.
pub(crate) fn seen(case: &Case, answer: &Result<Answer, String>) -> Seen {
    let mut seen = Seen::new();
    let (Ok(answer), Ok(known)) = (answer, known(&case.facts, case.as_of)) else {
        seen.insert("a journal is refused".to_owned());
        return seen;
    };
    in_facts(&mut seen, case, &known);
    let referrals = referrals(&known, &case.book);
    for referral in &referrals {
        in_moves(&mut seen, &known, referral);
        in_invoices(&mut seen, referral);
        in_streaks(&mut seen, referral);
    }
    let times = known.all.iter().map(|fact| fact.at).collect();
    for fact in &known.effective {
        if let FactBody::PartnerJoined { partner: code, website, .. } = &fact.body {
            let partner = &answer.partners[code];
            let own = referrals.iter().filter(|referral| referral.partner == code).collect();
            let standing = standing(own, website, &case.book, &times);
            in_totals(&mut seen, case, partner);
            partner.lines.iter().for_each(|line| in_line(&mut seen, case, line));
            in_reviews(&mut seen, case, partner, &standing.referrals);
            in_tiers(&mut seen, case, partner, &standing);
        }
    }
    seen
}

fn see(seen: &mut Seen, what: &str, holds: bool) {
    if holds {
        seen.insert(what.to_owned());
    }
}

fn in_facts(seen: &mut Seen, case: &Case, known: &Known) {
    let is_among = |list: &[&Fact], fact: &Fact| list.iter().any(|other| other.id == fact.id);
    see(seen, "a fact is said twice", case.facts.iter().filter(|fact| fact.at < case.as_of).count() > known.all.len());
    for fact in &known.all {
        let name = fact.body.type_name();
        see(seen, &format!("effective {name}"), is_among(&known.effective, fact));
        see(seen, &format!("unmatched {name}"), is_among(&known.unmatched, fact));
        let is_empty = matches!(fact.body, FactBody::InvoicePaid { amount_minor: 0, .. });
        see(seen, "an invoice of 0", is_empty);
        see(seen, "a journal of long ago", fact.at.year() < 1900 && is_among(&known.effective, fact));
        see(seen, "a journal of a far year", fact.at.year() > 9900 && is_among(&known.effective, fact));
        let has_no_effect = !is_among(&known.effective, fact) && !is_among(&known.unmatched, fact);
        if let Some((sort, _)) = key(&fact.body).filter(|_| has_no_effect && !is_empty) {
            seen.insert(format!("second claim of a {sort}"));
        }
        in_returns(seen, known, &fact.body);
        in_payouts(seen, known, &fact.body);
    }
}

fn in_returns(seen: &mut Seen, known: &Known, body: &FactBody) {
    see(seen, "a refund that failed", matches!(body, FactBody::RefundFailed { .. }));
    if let FactBody::DisputeOpened { dispute: id, .. } = body {
        let opened = known.effective.iter().find(|fact| fact.body == *body);
        let closed = known.effective.iter().find_map(|fact| match &fact.body {
            FactBody::DisputeClosed { dispute, outcome } if dispute == id => Some((fact.at, *outcome)),
            _ => None,
        });
        let outcome = closed.map(|(_, outcome)| outcome);
        see(seen, "a dispute won", opened.is_some() && outcome == Some(Outcome::Won));
        see(seen, "a dispute lost", opened.is_some() && outcome == Some(Outcome::Lost));
        see(seen, "a dispute open", opened.is_some() && outcome.is_none());
        let is_early = opened.zip(closed).is_some_and(|(opened, (at, _))| at < opened.at);
        see(seen, "a dispute closed before it was opened", is_early);
    }
}

fn in_payouts(seen: &mut Seen, known: &Known, body: &FactBody) {
    if let FactBody::PayoutPaid { payout: id, amount_minor: amount, .. } = body {
        let reversed = known.effective.iter().filter_map(|fact| match &fact.body {
            FactBody::PayoutReversed { payout, amount_minor } if payout == id => Some(amount_minor.unwrap_or(*amount)),
            _ => None,
        });
        let reversed: i64 = reversed.sum();
        see(seen, "a payout reversed beyond itself", reversed > *amount);
        see(seen, "a payout reversed in part", reversed > 0 && reversed < *amount);
    }
}

fn in_moves(seen: &mut Seen, known: &Known, referral: &Referral) {
    let moves = known
        .effective
        .iter()
        .filter(|fact| matches!(&fact.body, FactBody::ReferralMoved { referral: id, .. } if id == referral.id));
    let moves: Vec<_> = moves.collect();
    let first_partner = known.effective.iter().find_map(|fact| match &fact.body {
        FactBody::ReferralCreated { referral: id, partner, .. } if id == referral.id => Some(partner),
        _ => None,
    });
    let is_moved = first_partner.is_some_and(|partner| partner != referral.partner);
    see(seen, "a move to another partner with lines", is_moved && !referral.invoices.is_empty());
    see(seen, "a move back", !is_moved && moves.len() > 1);
    see(seen, "a move before the sign-up", is_moved && moves.iter().all(|fact| fact.at < referral.signed_up_at));
    for subscription in &referral.subscriptions {
        let start = subscription.started;
        let changes = known.effective.iter().filter(|fact| {
            matches!(&fact.body, FactBody::SubscriptionChanged { subscription: id, .. } if id == subscription.id)
        });
        for change in changes {
            let (at_instant, is_before) = (change.at == start.0, moment(change) < start);
            see(seen, "a change before its start", is_before && !at_instant);
            see(seen, "a change at the instant of its start, before it", is_before && at_instant);
            see(seen, "a change at the instant of its start, after it", !is_before && at_instant);
        }
        see(seen, "a cancellation before its start", subscription.canceled.is_some_and(|canceled| canceled < start));
        let early = referral.invoices.iter().any(|paid| paid.subscription == subscription.id && paid.paid < start);
        see(seen, "an invoice before its start", early);
    }
}

fn in_invoices(seen: &mut Seen, referral: &Referral) {
    let (Some(clock), Some(turn)) = (referral.clock(), referral.turn()) else { return };
    see(seen, "a clock on 29 February", (clock.month(), clock.day()) == (2, 29));
    see(seen, "a turn in a shorter month", clock.day() > turn.day());
    for invoice in &referral.invoices {
        let (start, end) = (invoice.start(), invoice.period_end);
        see(seen, "a period before the clock", start < clock);
        if let Some(end) = end.filter(|end| start < turn && *end > turn) {
            let (length, before) = (whole_seconds(start, end), whole_seconds(start, turn));
            see(seen, "a period across the turn of less than a second", length == 0);
            see(seen, "a split within a second of the turn", length > 0 && before == 0);
            let nanoseconds = [start, turn, end].map(|time| time.nanosecond());
            let has_part = nanoseconds.iter().any(|part| *part != nanoseconds[0]);
            see(seen, "a split with a part of a second", length > 0 && before > 0 && has_part);
        }
        in_money_back(seen, invoice);
    }
}

fn in_money_back(seen: &mut Seen, invoice: &Invoice) {
    let returns = &invoice.returns;
    let sum: i64 = returns.iter().map(|step| step.amount_minor).sum();
    see(seen, "returns beyond the invoice", sum > invoice.amount_minor);
    see(seen, "a return before its invoice", returns.iter().any(|step| step.moment < invoice.paid));
    let has = |is_dispute| returns.iter().any(|step| step.is_dispute == is_dispute);
    see(seen, "a refund and a lost dispute of one invoice", has(true) && has(false));
}

fn in_streaks(seen: &mut Seen, referral: &Referral) {
    let streaks = streaks(referral);
    let starts: BTreeSet<DateTime<Utc>> = streaks.values().map(|streak| streak.start).collect();
    see(seen, "a client that returns", starts.len() > 1);
    for streak in streaks.values() {
        see(seen, "a streak joined after its end", streak.is_joined_late);
        see(seen, "a streak that ends at once", streak.end == Some(streak.start));
        let left = streak.end.map(|end| streak.vests_at - end);
        see(seen, "a streak that ends just before it vests", left == Some(TimeDelta::nanoseconds(1)));
        see(seen, "a streak that ends as it vests", left == Some(TimeDelta::zero()));
    }
}

fn in_totals(seen: &mut Seen, case: &Case, partner: &PartnerAnswer) {
    let totals = &partner.totals;
    see(seen, "tier platinum", partner.tier == Tier::Platinum);
    see(seen, "tier standard", partner.tier == Tier::Standard);
    see(seen, "suspended with a balance", partner.suspended && totals.balance > 0);
    see(seen, "below the minimum payout", !partner.suspended && totals.balance > 0 && totals.payable == 0);
    see(seen, "payable", totals.payable > 0);
    see(seen, "a balance below 0", totals.balance < 0);
    let terms: BTreeSet<&String> = partner.lines.iter().filter_map(|line| line.terms.as_ref()).collect();
    see(seen, "lines under several terms", terms.len() > 1);
    let first = case.book.versions()[0].from;
    let is_early = |line: &LineAnswer| line.terms.is_some() && line.earned_at < first;
    see(seen, "terms before the first version", partner.lines.iter().any(is_early));
}

fn in_line(seen: &mut Seen, case: &Case, line: &LineAnswer) {
    let (kind, status) = (line.kind.as_str(), line.status.as_str());
    see(seen, &format!("{kind} is {status}"), line.kind != LineKind::Adjustment);
    see(seen, "an adjustment is vested", line.kind == LineKind::Adjustment && line.status == LineStatus::Vested);
    let is_reversal = line.kind == LineKind::Reversal;
    see(seen, &format!("reversal of {}", line.rule), is_reversal);
    see(seen, &format!("rule {}", line.rule), !is_reversal);
    see(seen, &format!("reason {}", line.reason.unwrap_or_default()), line.reason.is_some());
    see(seen, "a line vests at as_of", line.vests_at == Some(case.as_of));
    let just_now = line.vests_at.map(|at| at + TimeDelta::nanoseconds(1)) == Some(case.as_of);
    see(seen, "a line has vested for a nanosecond", just_now && line.status == LineStatus::Vested);
    see(seen, "a month of tenure after the twelfth", line.tenure_month > Some(12));
    let is_large = line.basis_minor >= MAX_AMOUNT_MINOR - 2 && line.amount_minor > MAX_AMOUNT_MINOR / 100;
    see(seen, "a line as large as a share of the largest amount", is_large);
    if let Some(rate) = line.rate.filter(|_| !is_reversal) {
        let doubled = 2 * i128::from(line.basis_minor) * rate.mantissa();
        let scale = 10_i128.pow(rate.scale());
        see(seen, "a share that ends in a half", doubled % scale == 0 && doubled / scale % 2 == 1);
    }
}

fn in_reviews(seen: &mut Seen, case: &Case, partner: &PartnerAnswer, own: &[&Referral]) {
    for state in partner.referrals.values() {
        see(seen, "a self-referral", state.flags.contains(&Flag::SelfReferral));
        see(seen, "a burst", state.flags.contains(&Flag::Burst));
        let is_flagged = !state.flags.is_empty();
        see(seen, "a flag settled by clearing", is_flagged && state.decision == Some(Decision::Cleared));
        see(seen, "a flag settled by rejecting", is_flagged && state.decision == Some(Decision::Rejected));
    }
    for referral in own {
        let month = calendar_month(referral.signed_up_at);
        let count = own.iter().filter(|other| calendar_month(other.signed_up_at) == month).count();
        let limit = terms_at(&case.book, referral.signed_up_at).burst_per_month;
        see(seen, "a month one below the burst limit of 10", limit == 10 && count == 9);
        see(seen, "a month at the burst limit of 10", limit == 10 && count == 10);
        see(seen, "a month one above the burst limit of 10", limit == 10 && count == 11);
        let is_self = partner.referrals[referral.id].flags.contains(&Flag::SelfReferral);
        let named_another = case.facts.iter().any(|fact| {
            matches!(&fact.body, FactBody::ReferralCreated { referral: id, partner, .. }
                if id == referral.id && partner != referral.partner)
        });
        see(seen, "a self-referral through a move", is_self && named_another);
    }
}

fn in_tiers(seen: &mut Seen, case: &Case, partner: &PartnerAnswer, standing: &Standing) {
    let since = partner.platinum_since;
    for (index, referral) in standing.referrals.iter().enumerate() {
        let own_since = standing.platinum_since(referral.terms);
        see(seen, "a partner that is platinum since another time under other terms", own_since != since);
        for invoice in &referral.invoices {
            let is_platinum = own_since.is_some_and(|since| invoice.paid.0 >= since);
            let is_reached = standing.quarter_reached(invoice.paid.0, referral.terms).is_some();
            see(seen, "an invoice at the instant of platinum", own_since == Some(invoice.paid.0));
            see(seen, "a reached quarter at platinum rates", is_platinum && is_reached && standing.is_eligible(index));
            in_invoice_lines(seen, &partner.lines, referral, invoice);
        }
        let ever = standing.history.iter().any(|reached| reached.qualifying.contains(&index));
        let now = standing.history.last().is_some_and(|reached| reached.qualifying.contains(&index));
        see(seen, "a client that qualified and does no more", ever && !now);
    }
    if let (Some(_), Some(now)) = (since, standing.history.last()) {
        let today = &terms_at(&case.book, case.as_of).platinum;
        let has_few = now.qualifying.len() < today.referrals_needed as usize;
        let is_below = has_few && now.annual_minor < i128::from(today.arr_minor_needed);
        see(seen, "platinum kept below its thresholds", is_below);
    }
    in_edges(seen, case, standing);
}

fn in_invoice_lines(seen: &mut Seen, lines: &[LineAnswer], referral: &Referral, invoice: &Invoice) {
    let of = |kind| lines.iter().find(|line| line.invoice.as_deref() == Some(invoice.id) && line.kind == kind);
    let (first_year, recurring) = (of(LineKind::FirstYear), of(LineKind::Recurring));
    see(seen, "a split invoice", first_year.is_some() && recurring.is_some());
    if let Some(volume) = of(LineKind::VolumeBonus) {
        let scope = referral.terms.volume.scope;
        see(seen, "a volume bonus of the quarter's referrals", scope == VolumeScope::ReferralsOfQuarter);
        see(seen, "a volume bonus of the quarter's invoices", scope == VolumeScope::InvoicesOfQuarter);
        see(seen, "a volume bonus earned later than paid", volume.earned_at > invoice.paid.0);
        see(seen, "a volume bonus on a recurring invoice", first_year.is_none() && recurring.is_some());
        let is_early = invoice.returns.iter().any(|step| step.moment.0 < volume.earned_at);
        see(seen, "a return before its volume bonus is earned", is_early);
    }
    if of(LineKind::HighValueBonus).is_some() {
        see(seen, "a high-value bonus on a later invoice", referral.invoices[0].id != invoice.id);
        let first_price = referral.subscription(invoice.subscription).map(|subscription| subscription.prices[0].2);
        let needed = referral.terms.high_value.annual_minor_needed;
        see(seen, "a high-value bonus after a change", first_price.is_some_and(|minor| minor < needed));
    }
}

/// The most that a partner comes to under the default thresholds.
fn in_edges(seen: &mut Seen, case: &Case, standing: &Standing) {
    let terms = &case.book.versions()[0];
    let default = commission::Terms::default();
    if terms.platinum != default.platinum || terms.volume.referrals_needed != default.volume.referrals_needed {
        return;
    }
    let history = || standing.history.iter();
    let referrals = history().map(|reached| reached.qualifying.len()).max();
    see(seen, "nineteen of twenty referrals", referrals == Some(19));
    see(seen, "twenty of twenty referrals", referrals == Some(20));
    let annual_minor = history().map(|reached| reached.annual_minor).max();
    see(seen, "$49,999.99 of $50,000 a year", annual_minor == Some(4_999_999));
    see(seen, "$50,000.00 of $50,000 a year", annual_minor == Some(5_000_000));
    see(seen, "$50,000.01 of $50,000 a year", annual_minor == Some(5_000_001));
    for referral in &standing.referrals {
        let Some(first) = referral.first_payment() else { continue };
        let most = history().map(|reached| standing.qualify_in_quarter(reached, first.paid.0)).max();
        see(seen, "four of five referrals of a quarter", most == Some(4));
        see(seen, "five of five referrals of a quarter", most == Some(5));
        see(seen, "six of five referrals of a quarter", most == Some(6));
    }
}
