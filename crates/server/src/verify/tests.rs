//! Receipts that are right, that are wrong, and that are no receipts at all.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use commission::{Fact, FactBody, Line, LineStatus, RULES_VERSION, TermsBook, evaluate, read_journal};
use documents::receipt::{FORM, Payer, Receipt, pdf};
use documents::sources::Sources;
use lopdf::{Document, Object, Stream, dictionary};
use proptest::prelude::*;
use wire::{PartnerName, Payout, PayoutDetail, PayoutState};

use super::*;

const FACTS: &str = r#"{"id":"j","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"Bureau Meridian","website":"meridian.example"}
{"id":"r1","at":"2026-01-05T00:00:00Z","type":"referral_created","referral":"r1","partner":"P","client_email_domain":"acme.example"}
{"id":"s1","at":"2026-01-05T00:00:00Z","type":"subscription_started","subscription":"s1","referral":"r1","interval":"month","amount_minor":50000}
{"id":"i1","at":"2026-01-05T00:00:00Z","type":"invoice_paid","invoice":"i1","subscription":"s1","amount_minor":50000}
{"id":"i2","at":"2026-02-05T00:00:00Z","type":"invoice_paid","invoice":"i2","subscription":"s1","amount_minor":40000}
{"id":"re","at":"2026-03-20T00:00:00Z","type":"invoice_refunded","invoice":"i1","amount_minor":25000}
{"id":"i3","at":"2026-03-05T00:00:00Z","type":"invoice_paid","invoice":"i3","subscription":"s1","amount_minor":30000}
{"id":"p","at":"2026-04-02T00:00:00Z","type":"payout_paid","payout":"2026-02.1:P","partner":"P","amount_minor":10000}
"#;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// What March pays of these facts, when the first invoice's commission had been posted and paid before, and a line that is
/// not there any more had been.
fn march() -> Told {
    let (facts, terms, as_of) = (read_journal(FACTS).unwrap(), TermsBook::default_book(), at("2026-04-01T00:00:00Z"));
    let mut statement = evaluate(&facts, &terms, as_of).unwrap().statements.remove(0);
    // What was posted is read back from JSON, which does not have them.
    statement.lines.iter_mut().for_each(|line| line.parts = None);
    let posted = BTreeMap::from([("first_year:r1:i1".to_owned(), 10_000), ("first_year:r1:gone".to_owned(), 1_000)]);
    let mut lines: Vec<Line> =
        statement.lines.iter().filter(|line| line.status == LineStatus::Vested).cloned().collect();
    assert!(lines.iter().any(|line| line.id == "first_year:r1:i1"), "{lines:?}");
    lines.retain(|line| !posted.contains_key(&line.id));
    lines.push(Line { id: "first_year:r1:gone".into(), amount_minor: -1_000, ..lines[0].clone() });
    let amount_minor = statement.totals.vested - 10_000;
    let detail = PayoutDetail {
        payout: Payout {
            item: "2026-03.1:P".into(),
            period: "2026-03".into(),
            amount_minor,
            state: PayoutState::Paid,
            transfer: Some("tr_1".into()),
            paid_at: Some(at("2026-04-03T09:14:07Z")),
            digest: statement.digest,
            bank: None,
        },
        partner: PartnerName { code: "P".into(), name: "Bureau Meridian".into() },
        as_of,
        carried_minor: amount_minor - lines.iter().map(|line| line.amount_minor).sum::<i64>(),
        lines,
        totals: statement.totals,
    };
    let receipt = Receipt {
        form: FORM,
        rules: RULES_VERSION.into(),
        cut: 8,
        payer: Payer::default(),
        detail,
        transfer: "tr_1".into(),
        paid_at: at("2026-04-03T09:14:07Z"),
        account: "acct_1".into(),
        reversed_minor: 0,
        currency: "usd".into(),
        live: true,
        clients: BTreeMap::from([("r1".into(), "acme.example".into())]),
        disclosure: String::new(),
        letter: true,
    };
    Told { receipt, sources: Sources::new(facts, &terms, as_of, posted) }
}

fn file(told: &Told) -> Vec<u8> {
    pdf(&told.receipt, &told.sources).unwrap()
}

fn differences(told: &Told) -> Vec<Differs> {
    verify(&file(told)).unwrap().checked.differences
}

fn refusal(bytes: &[u8]) -> String {
    verify(bytes).unwrap_err().to_string()
}

#[test]
fn a_receipt_that_follows_from_its_facts_is_verified() {
    let verified = verify(&file(&march())).unwrap();
    assert_eq!(verified.checked.differences, []);
    assert_eq!(verified.pages, Pages::SameBytes);
    let said = in_words(&verified).replace('\n', " ");
    for part in [
        "Verified: the statement of Bureau Meridian (P) for 2026-03, computed again from 8 facts, has digest ",
        "and the 4 lines and the amount $90.00 of this receipt follow from it",
        "$110.00 that earlier runs had posted and $100.00 that had been paid",
        "to the byte",
        "tr_1",
    ] {
        assert!(said.contains(part), "«{part}» is not in\n{said}");
    }
}

/// Whoever changes the file makes everything else of it fit, but for the digest or a line.
#[test]
fn each_change_of_a_fact_a_posting_the_terms_or_a_line_is_found() {
    type Change = fn(&mut Told);
    let changes: [(&str, Change, &str); 10] = [
        ("an invoice", |told| invoice(told, "i3", 90_000), "first_year:r1:i3"),
        ("a payment", |told| told.sources.facts.retain(|fact| fact.id != "p"), "Amount"),
        ("a refund", |told| told.sources.facts.retain(|fact| fact.id != "re"), "reversal:first_year:r1:i1:re"),
        (
            "a posting",
            |told| *told.sources.posted.entry("first_year:r1:i2".into()).or_default() = 5,
            "first_year:r1:i2",
        ),
        (
            "a posting that is missing",
            |told| told.sources.posted.retain(|line, _| line != "first_year:r1:gone"),
            "first_year:r1:gone",
        ),
        ("the terms", |told| told.sources.terms = other_terms(), "first_year:r1:i2"),
        ("a line", |told| told.receipt.detail.lines[0].rate = Some("0.10".into()), "first_year:r1:i2"),
        ("a line twice", |told| twice(told), "first_year:r1:i2"),
        ("the totals", |told| told.receipt.detail.totals.pending += 1, "All pending"),
        ("the digest", |told| told.receipt.detail.payout.digest.replace_range(..1, "x"), "Statement digest"),
    ];
    for (what, change, found) in changes {
        let mut told = march();
        change(&mut told);
        let differences = differences(&told);
        assert!(differences.iter().any(|row| row.what == found), "{what}: {differences:#?}");
    }
}

fn invoice(told: &mut Told, id: &str, to_minor: i64) {
    for fact in &mut told.sources.facts {
        if let FactBody::InvoicePaid { invoice, amount_minor, .. } = &mut fact.body
            && invoice == id
        {
            *amount_minor = to_minor;
        }
    }
}

fn other_terms() -> TermsBook {
    let text = TermsBook::default_book().to_toml();
    TermsBook::from_toml(&text.replacen("first_year_rate = \"0.20\"", "first_year_rate = \"0.30\"", 1)).unwrap()
}

fn twice(told: &mut Told) {
    let detail = &mut told.receipt.detail;
    let line = detail.lines.iter().find(|line| line.id == "first_year:r1:i2").unwrap().clone();
    detail.carried_minor -= line.amount_minor;
    detail.lines.push(line);
}

#[test]
fn another_amount_is_refused_with_both_amounts() {
    let mut told = march();
    told.receipt.detail.payout.amount_minor += 100;
    told.receipt.detail.carried_minor += 100;
    let verified = verify(&file(&told)).unwrap();
    let said = in_words(&verified);
    assert!(said.starts_with("NOT verified: the statement of Bureau Meridian (P) for 2026-03"), "{said}");
    assert!(said.contains("Amount  $91.00            $90.00"), "{said}");
    assert_eq!(verified.checked.differences.len(), 1, "{said}");
}

#[test]
fn pages_that_say_something_else_than_the_attachments_are_refused() {
    let (told, mut other) = (march(), march());
    other.receipt.detail.partner.name = "Bureau Meridiam".into();
    // The pages of one receipt with the attachments of the other.
    let mut document = Document::load_mem(&file(&other)).unwrap();
    let mine = Document::load_mem(&file(&told)).unwrap();
    let statement = |document: &Document| {
        let of = |(id, object): (&lopdf::ObjectId, &Object)| {
            let name = object.as_stream().ok()?.dict.get(b"Subtype").ok()?.as_name().ok()?.to_vec();
            (name == b"application/json").then_some(*id)
        };
        document.objects.iter().find_map(of).unwrap()
    };
    let (to, from) = (statement(&document), statement(&mine));
    document.objects.insert(to, mine.objects[&from].clone());
    let mut mixed = Vec::new();
    document.save_to(&mut mixed).unwrap();
    let verified = verify(&mixed).unwrap();
    assert_eq!(verified.pages, Pages::Differ);
    let [row] = &verified.checked.differences[..] else { panic!("{:?}", verified.checked.differences) };
    assert_eq!((&*row.what, &*row.said, &*row.computed), ("The pages", "Bureau Meridiam", "Bureau Meridian"));
}

#[test]
fn a_receipt_that_was_saved_anew_says_the_same() {
    let mut document = Document::load_mem(&file(&march())).unwrap();
    let mut saved = Vec::new();
    document.save_to(&mut saved).unwrap();
    let verified = verify(&saved).unwrap();
    assert_eq!((verified.pages, &verified.checked.differences[..]), (Pages::SameText, &[][..]));
}

#[test]
fn what_cannot_be_compared_says_why() {
    let mut told = march();
    told.receipt.rules = "engine 0".into();
    assert!(refusal(&file(&told)).starts_with("was computed by other rules (engine 0)"));
    told = march();
    told.receipt.form = 7;
    assert!(refusal(&file(&told)).starts_with("is a receipt of form 7"));
    told = march();
    told.sources.facts.retain(|fact| fact.id != "j");
    assert!(refusal(&file(&told)).starts_with("carries no fact by which `P` joined"));
    told = march();
    told.sources.facts.push(Fact { at: told.receipt.paid_at, ..told.sources.facts[0].clone() });
    assert!(refusal(&file(&told)).contains("`j` was used on line 1 for a different fact"));
    for bytes in [&b""[..], b"%PDF-1.7", b"GIF89a", &[0; 4096]] {
        assert!(refusal(bytes).starts_with("is no PDF that can be read"));
    }
}

/// A PDF of one empty page with these attachments, each under its name.
fn carrying(files: &[(&str, Stream)]) -> Vec<u8> {
    let mut document = Document::with_version("1.7");
    let attached: Vec<Object> = files
        .iter()
        .map(|(name, stream)| {
            let stream = document.add_object(stream.clone());
            let file = dictionary! { "F" => Object::string_literal(*name), "EF" => dictionary! { "F" => stream } };
            document.add_object(file).into()
        })
        .collect();
    let pages = document.add_object(dictionary! { "Type" => "Pages", "Kids" => Vec::<Object>::new(), "Count" => 0 });
    let catalogue = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages, "AF" => attached });
    document.trailer.set("Root", catalogue);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn stream(bytes: &[u8]) -> Stream {
    let size = i64::try_from(bytes.len()).unwrap();
    let mut stream = Stream::new(dictionary! { "Params" => dictionary! { "Size" => size } }, bytes.to_vec());
    stream.compress().unwrap();
    stream
}

#[test]
fn other_files_and_older_receipts_are_told_apart() {
    assert!(refusal(&carrying(&[])).starts_with("is no payout receipt"));
    assert!(refusal(&carrying(&[("notes.txt", stream(b"x"))])).starts_with("is no payout receipt"));
    let older = carrying(&[("statement.json", stream(b"{}"))]);
    assert!(refusal(&older).starts_with("is a receipt without the facts"), "{}", refusal(&older));
    let twice = carrying(&[("statement.json", stream(b"{}")), ("statement.json", stream(b"{}"))]);
    assert!(refusal(&twice).contains("two files of the name"));
    let mut short = stream(b"{}");
    short.dict.set("Params", dictionary! { "Size" => 3 });
    assert!(refusal(&carrying(&[("statement.json", short)])).contains("has 2 bytes and should have 3"));
    let many: Vec<(String, Stream)> = (0..17).map(|n| (n.to_string(), stream(b""))).collect();
    let many: Vec<(&str, Stream)> = many.iter().map(|(name, stream)| (name.as_str(), stream.clone())).collect();
    assert!(refusal(&carrying(&many)).contains("it carries 17 files"));
}

#[test]
fn a_small_file_that_inflates_without_end_is_refused() {
    let bomb = carrying(&[("statement.json", stream(&vec![b' '; (32 << 20) + 1]))]);
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    assert!(refusal(&bomb).contains("an attachment cannot be read"), "{}", refusal(&bomb));
}

/// How many cases each property is tried on; `PROPERTY_CASES` says another number.
fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPERTY_CASES").map_or(48, |text| text.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A damaged receipt is refused, or says what the whole one says.
fn assert_harmless(whole: &[u8], damaged: &[u8]) {
    let Ok(verified) = verify(damaged) else { return };
    if !verified.is_verified() {
        assert!(in_words(&verified).starts_with("NOT verified"));
        return;
    }
    let (mut now, mut was) = (verified.told.receipt.detail, march().receipt.detail);
    assert_eq!(verified.checked.amount_minor, was.payout.amount_minor);
    // Words beside the figures are held by the pages.
    assert_eq!(reading::text(damaged).unwrap(), reading::text(whole).unwrap());
    for detail in [&mut now, &mut was] {
        detail.lines.sort_by(|a, b| a.id.cmp(&b.id));
        // Of what is not in the statement any more the amount is all that can be computed.
        let amounts = detail.lines.iter_mut().filter(|line| line.id == "first_year:r1:gone");
        amounts.for_each(|line| {
            *line = Line { amount_minor: line.amount_minor, ..march().receipt.detail.lines[0].clone() }
        });
    }
    assert_eq!((now.payout.digest, now.totals, now.carried_minor), (was.payout.digest, was.totals, was.carried_minor));
    assert_eq!(now.lines, was.lines);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_flipped_byte_is_taken_for_another_amount(at in any::<prop::sample::Index>(), by in 1u8..) {
        let whole = file(&march());
        let mut damaged = whole.clone();
        *at.get_mut(&mut damaged) ^= by;
        assert_harmless(&whole, &damaged);
    }

    #[test]
    fn no_damage_is_taken_for_another_amount(
        from in any::<prop::sample::Index>(),
        length in 0usize..400,
        instead in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let whole = file(&march());
        let from = from.index(whole.len());
        let mut damaged = whole.clone();
        damaged.splice(from..(from + length).min(whole.len()), instead);
        assert_harmless(&whole, &damaged);
    }

    /// Damage in what is attached, which no compression hides.
    #[test]
    fn no_flipped_byte_of_an_attachment_is_taken_for_another_amount(
        name in prop::sample::select(vec!["statement.json", "facts.jsonl", "terms.toml", "posted.jsonl"]),
        at in any::<prop::sample::Index>(),
        by in 1u8..,
    ) {
        let whole = file(&march());
        let mut document = Document::load_mem(&whole).unwrap();
        let is_it = |object: &Object| {
            object.as_dict().is_ok_and(|dict| dict.get(b"F").and_then(Object::as_str).is_ok_and(|text| text == name.as_bytes()))
        };
        let spec = document.objects.values().find(|object| is_it(object)).unwrap().as_dict().unwrap();
        let id = spec.get(b"EF").unwrap().as_dict().unwrap().get(b"F").unwrap().as_reference().unwrap();
        let attached = document.objects.get_mut(&id).unwrap().as_stream_mut().unwrap();
        let mut bytes = attached.decompressed_content().unwrap();
        *at.get_mut(&mut bytes) ^= by;
        attached.set_plain_content(bytes);
        let mut damaged = Vec::new();
        document.save_to(&mut damaged).unwrap();
        assert_harmless(&whole, &damaged);
    }

    #[test]
    fn anything_at_all_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(verify(&bytes).is_err());
    }
}
