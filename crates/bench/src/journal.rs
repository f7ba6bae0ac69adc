//! A journal that looks like two years of a program, the same every time.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// A small generator of numbers that look random (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Writes about so many facts, in the order of their times.
pub(crate) fn write(path: &Path, facts: usize, partners: usize) -> anyhow::Result<()> {
    let mut numbers = Numbers(1);
    let mut all: Vec<(i64, String)> = Vec::with_capacity(facts);
    for partner in 0..partners {
        let joined = JOINED_FROM_S + minutes(&mut numbers, 180 * 1_440);
        all.push((joined, format!(r#""type":"partner_joined","partner":"P{partner:05}","name":"Agency {partner}","website":"https://agency-{partner}.example","country":"US""#)));
    }
    let mut client = 0;
    while all.len() < facts {
        push_client(&mut numbers, client, partners, &mut all);
        client += 1;
    }
    all.truncate(facts);
    all.sort();
    let mut out = BufWriter::new(File::create(path)?);
    for (index, (at_s, rest)) in all.iter().enumerate() {
        let line = format!(r#"{{"id":"f_{index:07}","at":"{}",{rest}}}"#, time(*at_s));
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(())
}

/// A client that pays monthly or yearly; some leave, some ask for their money back.
fn push_client(numbers: &mut Numbers, client: usize, partners: usize, all: &mut Vec<(i64, String)>) {
    let partner = numbers.below(partners as u64);
    let mut at = SIGN_UPS_FROM_S + minutes(numbers, 480 * 1_440);
    all.push((at, format!(r#""type":"referral_created","referral":"r_{client:06}","partner":"P{partner:05}","client_email_domain":"client-{client}.example""#)));
    at += minutes(numbers, 14 * 1_440);
    let yearly = numbers.below(10) == 0;
    let price_minor = [4_900, 9_900, 29_900, 50_000][usize::try_from(numbers.below(4)).unwrap_or(0)];
    let (interval, amount_minor, step_s) =
        if yearly { ("year", price_minor * 10, 365 * 86_400) } else { ("month", price_minor, 2_629_800) };
    all.push((at, format!(r#""type":"subscription_started","subscription":"sub_{client:06}","referral":"r_{client:06}","interval":"{interval}","amount_minor":{amount_minor}"#)));
    let stays = 1 + numbers.below(20);
    for number in 0..stays {
        if at >= END_S {
            return;
        }
        let (start, end) = (time(at), time(at + step_s));
        all.push((at, format!(r#""type":"invoice_paid","invoice":"in_{client:06}_{number:02}","subscription":"sub_{client:06}","amount_minor":{amount_minor},"period_start":"{start}","period_end":"{end}""#)));
        if numbers.below(60) == 0 {
            let refunded_minor = 1 + numbers.below(amount_minor);
            all.push((at + minutes(numbers, 20_000), format!(r#""type":"invoice_refunded","invoice":"in_{client:06}_{number:02}","amount_minor":{refunded_minor},"refund":"re_{client:06}_{number:02}""#)));
        }
        at += step_s;
    }
    if numbers.below(3) == 0 {
        all.push((at, format!(r#""type":"subscription_canceled","subscription":"sub_{client:06}""#)));
    }
}

const JOINED_FROM_S: i64 = 1_751_328_000; // 2025-07-01
const SIGN_UPS_FROM_S: i64 = 1_767_225_600; // 2026-01-01
const END_S: i64 = 1_830_297_600; // 2028-01-01

fn minutes(numbers: &mut Numbers, limit: u64) -> i64 {
    i64::try_from(numbers.below(limit)).unwrap_or(0) * 60
}

fn time(at_s: i64) -> String {
    let time = chrono::DateTime::from_timestamp(at_s, 0).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
