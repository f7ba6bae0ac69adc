//! How long evaluation takes, and how much memory: `bench generate FILE`, then `bench parse FILE` and
//! `bench summary FILE`, with a number of threads behind it where it is not one.
//!
//! `generate` writes the same journal every time. `parse` reads it into facts and does nothing with them, which is the
//! floor that `summary` is measured against. `summary` makes every partner's summary and prints one digest over all.
//! Each is a process of its own, so that its peak memory is its own too.

#![expect(clippy::print_stdout, reason = "It is a program for a terminal.")]

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Error, Read, Seek, SeekFrom, Write};
use std::thread;
use std::time::Instant;

use commission::{
    EvaluateError, Fact, Journal, JournalReader, Program, Summary, TermsBook, parse_fact, parse_time,
    set_digest_of_summaries,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const AS_OF: &str = "2028-01-01T00:00:00Z";

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (mode, path, threads) = match words[..] {
        [mode, path] => (mode, path, 1),
        [mode, path, threads] => (mode, path, threads.parse()?),
        _ => return Err("usage: bench generate|parse|keep|summary|statements FILE [THREADS]".into()),
    };
    let begun = Instant::now();
    match mode {
        "generate" => journal::write(path, 1_000_000, 20_000)?,
        "parse" => println!("{} facts", count(path)?),
        "keep" => println!("{} facts", read(path, threads)?.facts().len()),
        "summary" => summarise(path, threads)?,
        "statements" => write_out(path)?,
        _ => return Err(format!("there is no `{mode}`").into()),
    }
    println!("{mode}, {threads} thread(s): {} ms in all{}", begun.elapsed().as_millis(), peak_memory());
    Ok(())
}

/// The floor: every line becomes a fact, which is dropped.
fn count(path: &str) -> Result<usize, Failure> {
    let mut reader = BufReader::with_capacity(1 << 16, File::open(path)?);
    let (mut line, mut facts) = (String::new(), 0);
    while reader.read_line(&mut line)? > 0 {
        let fact: Fact = serde_json::from_str(&line)?;
        std::hint::black_box(fact);
        facts += 1;
        line.clear();
    }
    Ok(facts)
}

/// Reads a journal, each thread a part of the file.
fn read(path: &str, threads: u64) -> Result<Journal, Failure> {
    let size = File::open(path)?.metadata()?.len();
    let part = |number: u64| read_part(path, size * number / threads, size * (number + 1) / threads);
    let parts: Vec<_> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|number| scope.spawn(move || part(number))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(|_| Err(Error::other("a thread died")))).collect()
    });
    let mut whole = JournalReader::new();
    for part in parts {
        whole.append(part?);
    }
    Ok(whole.finish()?)
}

/// Reads the lines that begin between two places of a file.
fn read_part(path: &str, start: u64, end: u64) -> std::io::Result<JournalReader> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut line = Vec::new();
    let mut at = start;
    let mut reader = if start == 0 { JournalReader::new() } else { JournalReader::of_later_part() };
    if start > 0 {
        // The line that the byte before belongs to is another part's, even if it ends just there.
        file.seek(SeekFrom::Start(start - 1))?;
        at = start - 1 + file.read_until(b'\n', &mut line)? as u64;
    }
    while at < end {
        line.clear();
        at += file.read_until(b'\n', &mut line)? as u64;
        if !reader.push_line(&line) {
            break;
        }
    }
    Ok(reader)
}

fn summarise(path: &str, threads: u64) -> Result<(), Failure> {
    let begun = Instant::now();
    let journal = read(path, threads)?;
    println!("  read after {} ms", begun.elapsed().as_millis());
    let book = TermsBook::default_book();
    let program = Program::of_journal(&journal, &book, parse_time(AS_OF)?);
    println!("  matched after {} ms", begun.elapsed().as_millis());
    let summaries = on_threads(threads, program.len(), |index| program.summary(index))?;
    let payable: i64 = summaries.iter().map(|summary| summary.totals.payable).sum();
    let digest = set_digest_of_summaries(&summaries).unwrap_or_default();
    println!("  {} partners, payable {payable}, digest {digest}", summaries.len());
    Ok(())
}

/// Work per partner is independent, so each thread takes a range of them.
fn on_threads(
    threads: u64,
    count: usize,
    work: impl Fn(usize) -> Result<Summary, EvaluateError> + Sync,
) -> Result<Vec<Summary>, Failure> {
    let threads = usize::try_from(threads)?;
    let work = &work;
    let ranges = (0..threads).map(|number| count * number / threads..count * (number + 1) / threads);
    thread::scope(|scope| {
        let handles: Vec<_> =
            ranges.map(|range| scope.spawn(move || range.map(work).collect::<Result<Vec<_>, _>>())).collect();
        let mut all = Vec::with_capacity(count);
        for handle in handles {
            all.extend(handle.join().map_err(|_| "a thread died")??);
        }
        Ok(all)
    })
}

/// What summaries save: every line of every statement, in words.
fn write_out(path: &str) -> Result<(), Failure> {
    let journal = read(path, 1)?;
    let book = TermsBook::default_book();
    let program = Program::of_journal(&journal, &book, parse_time(AS_OF)?);
    let (mut lines, mut letters) = (0, 0);
    for index in 0..program.len() {
        let statement = program.statement(index)?;
        lines += statement.lines.len();
        letters += statement.lines.iter().map(|line| line.why.len()).sum::<usize>();
    }
    println!("  {lines} lines, {letters} bytes of explanation");
    Ok(())
}

/// The most memory that this process has had, where the system says so.
fn peak_memory() -> String {
    let mut status = String::new();
    let read = File::open("/proc/self/status").and_then(|mut file| file.read_to_string(&mut status));
    let peak = read.ok().and_then(|_| status.lines().find_map(|line| line.strip_prefix("VmHWM:")));
    peak.map_or_else(String::new, |peak| format!(", peak memory {}", peak.trim()))
}

mod journal {
    //! A journal that looks like two years of a program, the same every time.

    use super::{BufWriter, Failure, File, Write, parse_fact};

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
    pub(crate) fn write(path: &str, facts: usize, partners: usize) -> Result<(), Failure> {
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
            if index % 10_000 == 0 {
                parse_fact(&line)?;
            }
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
}
