//! The plain-text scenarios: one event a line, as short as a person would write it, expanded to facts and terms.
//!
//! ```text
//! as_of 2026-07-01                         the instant of the statement
//! show lines | brief                       print every line, or sums by kind
//! terms volume.referrals_needed = 3        a deviation from the default terms
//! version 2026-06 from 2026-06-01          a later version, a copy of the one before; `terms` then deviates it
//! expect P vested $300.00                  worked out by hand from the rules
//! 2026-01-05 join P site=agency.example    an event: its time, a verb and the verb's arguments
//! for n in 1..5: 2026-01-{n} …             the same event several times; {n} has at least two digits
//! ```

use chrono::{DateTime, Utc};
use commission::{Fact, FactBody, Interval, Outcome, Terms, TermsBook, parse_time};

/// A scenario, ready to be evaluated.
pub(crate) struct Scenario {
    pub(crate) as_of: DateTime<Utc>,
    pub(crate) terms: TermsBook,
    pub(crate) facts: Vec<Fact>,
    pub(crate) expectations: Vec<String>,
    pub(crate) brief: bool,
}

/// Reads a scenario; the error names the line.
pub(crate) fn parse(text: &str) -> Result<Scenario, String> {
    let mut reader = Reader { as_of: None, versions: vec![Terms::default()], facts: Vec::new() };
    let (mut expectations, mut brief) = (Vec::new(), false);
    for (index, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or(line).trim();
        let result = match line.split_once(' ') {
            _ if line.is_empty() || line.starts_with('#') => Ok(()),
            Some(("as_of", rest)) => time(rest).map(|at| reader.as_of = Some(at)),
            Some(("show", rest)) => {
                brief = rest == "brief";
                Ok(())
            }
            Some(("terms", rest)) => reader.deviate(rest),
            Some(("version", rest)) => reader.add_version(rest),
            Some(("expect", rest)) => {
                expectations.push(rest.to_owned());
                Ok(())
            }
            Some(("for", rest)) => reader.repeat(rest),
            _ => reader.event(line),
        };
        result.map_err(|error| format!("line {}: {error}: {line}", index + 1))?;
    }
    Ok(Scenario {
        as_of: reader.as_of.ok_or("no `as_of`")?,
        terms: TermsBook::new(reader.versions).map_err(|error| error.to_string())?,
        facts: reader.facts,
        expectations,
        brief,
    })
}

/// Reads `$1,234.50` or `-$20` as minor units.
pub(crate) fn amount(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is no amount such as $1,234.50");
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let digits = rest.strip_prefix('$').ok_or_else(error)?.replace(',', "");
    let (whole, cents) = digits.split_once('.').unwrap_or((&digits, "00"));
    if cents.len() != 2 {
        return Err(error());
    }
    format!("{whole}{cents}").parse::<i64>().map(|minor| sign * minor).map_err(|_| error())
}

/// Reads a day or a time in UTC.
pub(crate) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        16 => format!("{text}:00Z"),
        _ => format!("{text}Z"),
    };
    parse_time(&full)
}

struct Reader {
    as_of: Option<DateTime<Utc>>,
    versions: Vec<Terms>,
    facts: Vec<Fact>,
}

impl Reader {
    /// `path = value` on the newest version.
    fn deviate(&mut self, rest: &str) -> Result<(), String> {
        let newest = self.versions.pop().ok_or("no version")?;
        let (path, value) = rest.split_once(" = ").ok_or("expected `path = value`")?;
        let assignment: toml::Table = format!("value = {value}").parse().map_err(|error| format!("{error}"))?;
        let mut root = toml::Value::try_from(&newest).map_err(|error| error.to_string())?;
        let mut place = &mut root;
        for key in path.split('.') {
            place = place.get_mut(key).ok_or_else(|| format!("no field `{key}`"))?;
        }
        *place = assignment["value"].clone();
        self.versions.push(root.try_into().map_err(|error| format!("{error}"))?);
        Ok(())
    }

    fn add_version(&mut self, rest: &str) -> Result<(), String> {
        let (id, from) = rest.split_once(" from ").ok_or("expected `version ID from DAY`")?;
        let newest = self.versions.last().ok_or("no version")?;
        let next = Terms { id: id.to_owned(), from: time(from)?, ..newest.clone() };
        self.versions.push(next);
        Ok(())
    }

    fn repeat(&mut self, rest: &str) -> Result<(), String> {
        let (head, event) = rest.split_once(": ").ok_or("expected `for n in 1..5: event`")?;
        let (name, range) = head.split_once(" in ").ok_or("expected `for n in 1..5`")?;
        let (first, last) = range.split_once("..").ok_or("expected a range such as 1..5")?;
        let number = |text: &str| text.parse::<u32>().map_err(|error| error.to_string());
        for n in number(first)?..=number(last)? {
            self.event(&event.replace(&format!("{{{name}}}"), &format!("{n:02}")))?;
        }
        Ok(())
    }

    fn push(&mut self, at: DateTime<Utc>, id: Option<&str>, body: FactBody) {
        let id = id.map_or_else(|| format!("f{:04}", self.facts.len() + 1), str::to_owned);
        self.facts.push(Fact { id, at, body });
    }

    fn event(&mut self, line: &str) -> Result<(), String> {
        let (head, rest) = line.split_once(' ').ok_or("expected `TIME verb …`")?;
        let at = time(head)?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let option = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let text = |name: &str| option(name).map(str::to_owned);
        let plain: Vec<&str> = words.iter().filter(|word| !word.contains('=')).copied().collect();
        let word = |index: usize| plain.get(index).map(|word| (*word).to_owned()).ok_or("too few words".to_owned());
        let money = |index: usize| amount(&word(index)?);
        let when = |name: &str| option(name).map(time).transpose();
        let interval = |index: usize| match word(index)?.as_str() {
            "month" => Ok(Interval::Month),
            "year" => Ok(Interval::Year),
            other => Err(format!("`{other}` is no interval")),
        };
        let body = match *plain.first().ok_or("no verb")? {
            "join" => FactBody::PartnerJoined {
                partner: word(1)?,
                name: format!("Agency {}", word(1)?),
                website: text("site").unwrap_or_else(|| "agency.example".to_owned()),
                country: text("country"),
            },
            "suspend" => FactBody::PartnerSuspended { partner: word(1)? },
            "reinstate" => FactBody::PartnerReinstated { partner: word(1)? },
            "refer" => {
                FactBody::ReferralCreated { referral: word(1)?, partner: word(2)?, client_email_domain: text("domain") }
            }
            "clear" => FactBody::ReferralCleared { referral: word(1)?, reason: text("reason") },
            "reject" => FactBody::ReferralRejected { referral: word(1)?, reason: text("reason") },
            "reopen" => FactBody::ReferralReopened { referral: word(1)?, reason: text("reason") },
            "move" => FactBody::ReferralMoved { referral: word(1)?, partner: word(2)?, reason: "corrected".to_owned() },
            "start" => FactBody::SubscriptionStarted {
                subscription: word(1)?,
                referral: word(2)?,
                interval: interval(3)?,
                amount_minor: money(4)?,
            },
            "change" => FactBody::SubscriptionChanged {
                subscription: word(1)?,
                interval: interval(2)?,
                amount_minor: money(3)?,
            },
            "cancel" => FactBody::SubscriptionCanceled { subscription: word(1)? },
            "paid" => FactBody::InvoicePaid {
                invoice: word(1)?,
                subscription: word(2)?,
                amount_minor: money(3)?,
                period_start: when("start")?,
                period_end: when("end")?,
            },
            "refund" => {
                FactBody::InvoiceRefunded { invoice: word(1)?, amount_minor: money(2)?, refund: text("refund") }
            }
            "refund_failed" => FactBody::RefundFailed { refund: word(1)? },
            "dispute" => FactBody::DisputeOpened { dispute: word(1)?, invoice: word(2)?, amount_minor: money(3)? },
            "won" => FactBody::DisputeClosed { dispute: word(1)?, outcome: Outcome::Won },
            "lost" => FactBody::DisputeClosed { dispute: word(1)?, outcome: Outcome::Lost },
            "adjust" => {
                FactBody::AdjustmentMade { partner: word(1)?, amount_minor: money(2)?, reason: plain[3..].join(" ") }
            }
            "payout" => FactBody::PayoutPaid { payout: word(1)?, partner: word(2)?, amount_minor: money(3)? },
            "unpay" => FactBody::PayoutReversed {
                payout: word(1)?,
                amount_minor: plain.get(2).map(|text| amount(text)).transpose()?,
            },
            // `client r P $500 x3`: signs up, starts a monthly subscription and pays that many months, all in one line.
            "client" => return self.client(at, &plain, text("domain")),
            verb => return Err(format!("`{verb}` is no verb")),
        };
        self.push(at, option("id"), body);
        Ok(())
    }

    /// Invoices `r-1`, `r-2`, … are paid on the day of the month of the sign-up.
    fn client(&mut self, at: DateTime<Utc>, plain: &[&str], domain: Option<String>) -> Result<(), String> {
        let &[_, referral, partner, price, months] = plain else {
            return Err("expected `client r P $500 x3`".to_owned());
        };
        let price = amount(price)?;
        let months: u32 = months.trim_start_matches('x').parse().map_err(|error| format!("{error}"))?;
        let (referral, subscription) = (referral.to_owned(), format!("{referral}-s"));
        let partner = partner.to_owned();
        self.push(
            at,
            None,
            FactBody::ReferralCreated { referral: referral.clone(), partner, client_email_domain: domain },
        );
        let start = FactBody::SubscriptionStarted {
            subscription: subscription.clone(),
            referral: referral.clone(),
            interval: Interval::Month,
            amount_minor: price,
        };
        self.push(at, None, start);
        for month in 0..months {
            let paid = FactBody::InvoicePaid {
                invoice: format!("{referral}-{}", month + 1),
                subscription: subscription.clone(),
                amount_minor: price,
                period_start: None,
                period_end: None,
            };
            let paid_at = at.checked_add_months(chrono::Months::new(month)).ok_or("too late")?;
            self.push(paid_at, None, paid);
        }
        Ok(())
    }
}
