//! What a journal and a terms file may say, and how a refusal reads.

use chrono::NaiveDate;
use commission::{
    EvaluateError, Fact, FactBody, JournalReader, Terms, TermsBook, TermsError, evaluate, parse_fact, parse_time,
    read_journal,
};

/// A bad line, and what the refusal must name: the field, and a part of the message.
const BAD: &[(&str, Option<&str>, &str)] = &[
    ("nonsense", None, "not a JSON object"),
    (r#"["a","b"]"#, None, "not a JSON object"),
    (r#"{"id":"a""#, None, "not one JSON object"),
    (r#"{"id":"a"} {"id":"b"}"#, None, "not one JSON object"),
    (r#"{"at":"2026-01-01T00:00:00Z","type":"refund_failed","refund":"re"}"#, Some("id"), "missing"),
    (r#"{"id":"","at":"2026-01-01T00:00:00Z","type":"refund_failed","refund":"re"}"#, Some("id"), "empty"),
    (r#"{"id":7,"at":"2026-01-01T00:00:00Z","type":"refund_failed","refund":"re"}"#, Some("id"), "a string"),
    (r#"{"id":"a","id":"b","at":"2026-01-01T00:00:00Z","type":"refund_failed","refund":"re"}"#, Some("id"), "twice"),
    (r#"{"id":"a","type":"refund_failed","refund":"re"}"#, Some("at"), "missing"),
    (r#"{"id":"a","at":null,"type":"refund_failed","refund":"re"}"#, Some("at"), "missing"),
    (r#"{"id":"a","at":"2026-01-01T00:00:00+02:00","type":"refund_failed","refund":"re"}"#, Some("at"), "UTC"),
    (r#"{"id":"a","at":"2026-01-01T00:00:00-00:00","type":"refund_failed","refund":"re"}"#, Some("at"), "UTC"),
    (r#"{"id":"a","at":"2026-01-01T00:00:00","type":"refund_failed","refund":"re"}"#, Some("at"), "UTC"),
    (r#"{"id":"a","at":"2026-01-01T00:00:00.0000000001Z","type":"refund_failed","refund":"re"}"#, Some("at"), "nine"),
    (r#"{"id":"a","at":"2026-01-01T00:00:00.Z","type":"refund_failed","refund":"re"}"#, Some("at"), "RFC 3339"),
    (r#"{"id":"a","at":"2016-12-31T23:59:60Z","type":"refund_failed","refund":"re"}"#, Some("at"), "leap second"),
    (r#"{"id":"a","at":"2026-02-29T00:00:00Z","type":"refund_failed","refund":"re"}"#, Some("at"), "exist"),
    (r#"{"id":"a","at":"2026-01-01T24:00:00Z","type":"refund_failed","refund":"re"}"#, Some("at"), "exist"),
    (r#"{"id":"a","at":"2026-01-01","type":"refund_failed","refund":"re"}"#, Some("at"), "RFC 3339"),
    (r#"{"id":"a","at":"2026-01-01 00:00:00Z","type":"refund_failed","refund":"re"}"#, Some("at"), "RFC 3339"),
    (r#"{"id":"a","at":"2026/01-01T00:00:00Z","type":"refund_failed","refund":"re"}"#, Some("at"), "RFC 3339"),
    (r#"{"id":"a","at":"2026-01-01T00:00-00Z","type":"refund_failed","refund":"re"}"#, Some("at"), "RFC 3339"),
    (r#"{"id":"a","at":"2026-01-01T00:00:00Z","refund":"re"}"#, Some("type"), "missing"),
    (r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"payout_lost"}"#, Some("type"), "`payout_lost` is unknown"),
    (r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"refund_failed","refund":""}"#, Some("refund"), "empty"),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_refunded","invoice":"i","amount_minor":1,"refund":""}"#,
        Some("refund"),
        "empty",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_refunded","invoice":"i","amount_minor":0}"#,
        Some("amount_minor"),
        "above zero",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"dispute_opened","dispute":"d","invoice":"i","amount_minor":-1}"#,
        Some("amount_minor"),
        "above zero",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"payout_paid","payout":"p","partner":"P","amount_minor":0}"#,
        Some("amount_minor"),
        "above zero",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"payout_reversed","payout":"p","amount_minor":0}"#,
        Some("amount_minor"),
        "above zero",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":-1}"#,
        Some("amount_minor"),
        "negative",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":1.5}"#,
        Some("amount_minor"),
        "whole number",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":1e2}"#,
        Some("amount_minor"),
        "whole number",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":"5"}"#,
        Some("amount_minor"),
        "not a string",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":9000000000000001}"#,
        Some("amount_minor"),
        "at most 9000000000000000",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":99999999999999999999999}"#,
        Some("amount_minor"),
        "whole number",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"adjustment_made","partner":"P","reason":"r","amount_minor":-9000000000000001}"#,
        Some("amount_minor"),
        "at most 9000000000000000",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"subscription_started","subscription":"s","referral":"r","interval":"week","amount_minor":1}"#,
        Some("interval"),
        "`month` or `year`",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"subscription_changed","subscription":"s","interval":"year","amount_minor":-5}"#,
        Some("amount_minor"),
        "negative",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"dispute_closed","dispute":"d","outcome":"draw"}"#,
        Some("outcome"),
        "`won` or `lost`",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":1,"period_start":"2026-01-02T00:00:00Z","period_end":"2026-01-02T00:00:00Z"}"#,
        Some("period_end"),
        "later than",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":1,"period_start":"soon"}"#,
        Some("period_start"),
        "RFC 3339",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"n","website":"w","country":"USA"}"#,
        Some("country"),
        "two capital letters",
    ),
    (
        r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"n"}"#,
        Some("website"),
        "missing",
    ),
];

/// Lines that look unusual and are right.
const GOOD: &[&str] = &[
    r#"  {"id":"a","at":"2026-01-01T00:00:00Z","type":"refund_failed","refund":"re"}  "#,
    r#"{"id":"a","at":"2026-01-01T00:00:00+00:00","type":"refund_failed","refund":"re"}"#,
    r#"{"id":"a","at":"2026-01-01T00:00:00.123456789Z","type":"refund_failed","refund":"re"}"#,
    r#"{"id":"a","at":"2028-02-29T23:59:59Z","type":"refund_failed","refund":"re"}"#,
    r#"{"id":"a\u00e9\"","at":"2026-01-01T00:00:00Z","type":"refund_\u0066ailed","refund":"re"}"#,
    // Unknown fields are ignored, and so is a field of another type, whatever it holds.
    r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"refund_failed","refund":"re","seq":7,"note":{"by":["x"]}}"#,
    r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"refund_failed","refund":"re","amount_minor":"x","invoice":[]}"#,
    r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"","website":"","country":null}"#,
    r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":0}"#,
    r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":9000000000000000,"period_end":"2020-01-01T00:00:00Z"}"#,
    r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"adjustment_made","partner":"P","reason":"","amount_minor":-9000000000000000}"#,
    r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"payout_reversed","payout":"p"}"#,
];

#[test]
fn bad_lines_are_refused_by_line_and_field() {
    for (line, field, message) in BAD {
        let error = parse_fact(line).expect_err(line);
        assert_eq!(error.field.as_deref(), *field, "{line}: {error}");
        assert!(error.message.contains(message), "{line}: {error}");
        let journal = format!("{}\n\n{line}\nnever read", GOOD[0]);
        let error = read_journal(&journal).expect_err(line);
        assert_eq!((error.line, error.field.as_deref()), (3, *field), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

/// A line that is no JSON is told by the field that it was meant for.
#[test]
fn what_is_no_json_is_named_by_its_field() {
    let table = [
        (r#"{"id":"b","amount_minor":NaN}"#, "field `amount_minor` is not written as JSON: expected value (column 26)"),
        (r#"{"id":"b","amount_minor":-Infinity}"#, "field `amount_minor` is not written as JSON: invalid number"),
        (r#"{"id":"b","amount_minor":1e999}"#, "field `amount_minor` is not written as JSON: number out of range"),
        (r#"{"id":"b","amount_minor":1_000}"#, "field `amount_minor` is not written as JSON: expected `,` or `}`"),
        (r#"{"id":"b","at":"2026\q"}"#, "field `at` is not written as JSON: invalid escape"),
        (r#"{"id":"b","x":{"y":[1,"\"}"]},"at":'2026'}"#, "field `at` is not written as JSON: expected value"),
        ("{\"id\":\"b\",\n\"at\":'2026'}", "field `at` is not written as JSON: expected value (column 17)"),
        (
            r#"{"id":"b","at":"2026-0"#,
            "field `at` is not written as JSON: EOF while parsing a string (column 22); the line seems to be cut off here",
        ),
        (r#"{"id":"b","type":"partner_joi\"#, "field `type` is not written as JSON: EOF while parsing a string"),
        (r#"{"id":"b","note":{"by":NaN}}"#, "field `note` is not written as JSON: expected value"),
        (r#"{"id":"b","note":[1,NaN]}"#, "field `note` is not written as JSON: expected value"),
        (r#"{"id":"b","note":[[1,{"by":2,"of":NaN}]]}"#, "field `note` is not written as JSON: expected value"),
        (r#"{"amount_minor":5,NaN}"#, "is not one JSON object: key must be a string"),
        (r#"{"amount_minor":{"of":[]},NaN}"#, "is not one JSON object: key must be a string"),
        (r#"{"id":"b","amount_minor":12"#, "field `amount_minor` is not written as JSON: EOF while parsing"),
        (r#"{"id":"b","x":{"y":1}"#, "is not one JSON object: EOF while parsing an object"),
        (r#"{"id":"b","at"}"#, "is not one JSON object: expected `:`"),
        (r#"{"id":"b"} {"at":"2026"}"#, "is not one JSON object: trailing characters"),
        ("{", "is not one JSON object: EOF while parsing an object (column 1); the line seems to be cut off here"),
        ("null", "is not a JSON object"),
    ];
    for (line, expected) in table {
        let error = parse_fact(line).expect_err(line).to_string();
        assert!(error.starts_with(expected), "{line}\n{error}\n{expected}");
    }
    let mut reader = JournalReader::new();
    assert!(reader.push_line(b"\n") && !reader.push_line(b"{\"id\":\"\xff\xfe\"}\n"));
    assert_eq!(reader.finish().unwrap_err().to_string(), "line 2: is not UTF-8 text (byte 8 of the line)");
}

#[test]
fn a_byte_order_mark_belongs_to_the_first_line_of_a_journal() {
    let marked = format!("\u{feff}{}", GOOD[0]);
    for line in ["\u{feff}", "\u{feff}\r\n", &marked] {
        assert!(JournalReader::new().push_line(line.as_bytes()), "{line:?}");
        assert!(!JournalReader::of_later_part().push_line(line.as_bytes()), "{line:?}");
        let mut reader = JournalReader::new();
        assert!(reader.push_line(b"") && !reader.push_line(line.as_bytes()), "{line:?}");
    }
}

#[test]
fn unusual_lines_are_read() {
    for line in GOOD {
        assert!(parse_fact(line).unwrap_or_else(|error| panic!("{line}: {error}")).is_some());
    }
    for blank in ["", " ", "\t\r"] {
        assert_eq!(parse_fact(blank), Ok(None));
    }
}

/// Most lines are read without the JSON library (`plain`), which must not be noticed.
#[test]
fn the_quick_way_of_reading_takes_nothing_that_json_does_not() {
    let paid = r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":7}"#;
    assert!(parse_fact(paid).is_ok());
    for number in ["07", "007", "-07", "-0", "+7", "7.", "0x7"] {
        let line = paid.replace(":7}", &format!(":{number}}}"));
        assert!(parse_fact(&line).is_err(), "{number} is no whole number of JSON");
    }
    // An escape is one wherever it stands, and whatever white space stands beside it.
    for line in ["{\"id\":\"\\u0061\",\t", "{\t\"id\":\"\\u0061\",", "{\"id\":\"\\u0061\",\t\t"] {
        let fact = parse_fact(&paid.replace("{\"id\":\"a\",", line)).unwrap().unwrap();
        assert_eq!(fact.id, "a", "{line}");
    }
}

#[test]
fn one_id_is_one_fact() {
    let fact = |at: &str| format!(r#"{{"id":"a","at":"{at}","type":"refund_failed","refund":"re"}}"#);
    let same = format!("{}\n{}", fact("2026-01-01T00:00:00Z"), fact("2026-01-01T00:00:00.0+00:00"));
    assert_eq!(read_journal(&same).unwrap().len(), 2);
    // The conflict on line 3 comes before the nonsense on line 4.
    let different = format!("{same}\n{}\nnonsense", fact("2026-01-02T00:00:00Z"));
    let error = read_journal(&different).unwrap_err();
    assert_eq!((error.line, error.field.as_deref()), (3, Some("id")));
    assert!(error.to_string().contains("used on line 1"), "{error}");
    // Blank lines count, also where another reader has read them.
    let (first, second) = (fact("2026-01-01T00:00:00Z"), fact("2026-01-02T00:00:00Z"));
    let parts: [(&[&str], &[&str], usize); 3] =
        [(&[&first], &[&second, ""], 2), (&[&first], &["", &second], 3), (&["", &first, ""], &["", &second, ""], 5)];
    for (before, after, line) in parts {
        let (mut reader, mut later) = (JournalReader::new(), JournalReader::of_later_part());
        before.iter().for_each(|line| assert!(reader.push_line(line.as_bytes())));
        after.iter().for_each(|line| assert!(later.push_line(line.as_bytes())));
        reader.append(later);
        let error = reader.finish().unwrap_err();
        assert_eq!((error.line, error.field.as_deref()), (line, Some("id")), "{error}");
    }
}

#[test]
fn a_bad_line_of_a_later_part_says_its_line_and_its_field() {
    let good = r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"partner_joined","partner":"P","name":"N","website":"https://p.example/"}"#;
    let (mut reader, mut later) = (JournalReader::new(), JournalReader::of_later_part());
    assert!(reader.push_line(good.as_bytes()) && reader.push_line(b""));
    assert!(!later.push_line(good.replace("2026-01-01", "2026-13-01").as_bytes()));
    reader.append(later);
    let error = reader.finish().unwrap_err();
    assert_eq!((error.line, error.field.as_deref()), (3, Some("at")), "{error}");
}

/// A fact that was made in Rust can have a time that no line can say.
#[test]
fn a_time_that_no_line_can_say_is_refused() {
    let paid = r#"{"id":"a","at":"2026-01-01T00:00:00Z","type":"invoice_paid","invoice":"i","subscription":"s","amount_minor":1,"period_end":"2026-02-01T00:00:00Z"}"#;
    let paid = parse_fact(paid).unwrap().unwrap();
    let new_year = |year| NaiveDate::from_ymd_opt(year, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
    let leap = NaiveDate::from_ymd_opt(2016, 12, 31).unwrap().and_hms_nano_opt(23, 59, 59, 1_000_000_000).unwrap();
    let refused = |fact: Fact| match evaluate(&[fact], &TermsBook::default_book(), new_year(2026)) {
        Err(EvaluateError::Fact { id, error }) => Some((id, error.field.unwrap())),
        _ => None,
    };
    for at in [new_year(-1), new_year(10_000), leap.and_utc()] {
        assert_eq!(refused(Fact { at, ..paid.clone() }), Some(("a".to_owned(), "at".to_owned())), "{at}");
        let FactBody::InvoicePaid { invoice, subscription, amount_minor, period_start, .. } = paid.body.clone() else {
            panic!("an invoice was read");
        };
        let body = FactBody::InvoicePaid { invoice, subscription, amount_minor, period_start, period_end: Some(at) };
        assert_eq!(refused(Fact { body, ..paid.clone() }), Some(("a".to_owned(), "period_end".to_owned())), "{at}");
    }
    for at in [new_year(0), new_year(9_999)] {
        assert_eq!(refused(Fact { at, ..paid.clone() }), None, "{at}");
    }
}

#[test]
fn times_are_exact() {
    let nanos = |text: &str| parse_time(text).unwrap().timestamp_nanos_opt().unwrap();
    assert_eq!(nanos("1970-01-01T00:00:01.5Z"), 1_500_000_000);
    assert_eq!(nanos("1970-01-01T00:00:00.000000001+00:00"), 1);
    assert_eq!(nanos("1970-01-02t00:00:00z"), 86_400_000_000_000);
    assert!(parse_time("2026-01-01T00:00:00é").is_err());
}

#[test]
fn the_default_terms_are_those_of_the_rules() {
    let book = TermsBook::default_book();
    let [terms] = book.versions() else { panic!("one version") };
    let rates = [
        terms.first_year_rate,
        terms.recurring_rate,
        terms.volume.bonus_rate,
        terms.platinum.first_year_rate,
        terms.platinum.recurring_rate,
    ];
    assert_eq!(rates.map(|rate| rate.to_string()), ["0.20", "0.10", "0.05", "0.25", "0.15"]);
    assert_eq!((terms.first_year_months, terms.vesting_days, terms.burst_per_month), (12, 60, 10));
    assert_eq!((terms.volume.referrals_needed, terms.platinum.referrals_needed), (5, 20));
    assert_eq!((terms.platinum.arr_minor_needed, terms.minimum_payout_minor), (5_000_000, 0));
    assert_eq!((terms.high_value.bonus_minor, terms.high_value.annual_minor_needed), (50_000, 500_000));
    assert_eq!((terms.id.as_str(), terms.from), ("2026-01", parse_time("2026-01-01T00:00:00Z").unwrap()));
}

#[test]
fn a_book_survives_being_written_and_read() {
    let first = Terms { agreement: Some("First.\n\"Second\" — third.".to_owned()), ..Terms::default() };
    let second = Terms { id: "2026-06".to_owned(), from: parse_time("2026-06-01T00:00:00Z").unwrap(), ..first.clone() };
    let book = TermsBook::new(vec![second, first]).unwrap();
    assert_eq!(TermsBook::from_toml(&book.to_toml()).unwrap(), book);
    assert_eq!(serde_json::from_str::<TermsBook>(&serde_json::to_string(&book).unwrap()).unwrap(), book);
    // A TOML date-time says the same as a string.
    let bare = book.to_toml().replace("\"2026-06-01T00:00:00Z\"", "2026-06-01T00:00:00Z");
    assert_ne!(bare, book.to_toml());
    assert_eq!(TermsBook::from_toml(&bare).unwrap(), book);
}

#[test]
fn the_latest_terms_that_have_begun_are_in_force() {
    let second =
        Terms { id: "2026-06".to_owned(), from: parse_time("2026-06-01T00:00:00Z").unwrap(), ..Terms::default() };
    let book = TermsBook::new(vec![Terms::default(), second]).unwrap();
    let in_force = |text: &str| book.in_force(parse_time(text).unwrap()).id.as_str();
    assert_eq!(in_force("2020-01-01T00:00:00Z"), "2026-01");
    assert_eq!(in_force("2026-05-31T23:59:59.999999999Z"), "2026-01");
    assert_eq!(in_force("2026-06-01T00:00:00Z"), "2026-06");
}

#[test]
fn impossible_terms_are_refused_by_field() {
    let text = TermsBook::default_book().to_toml();
    for (from, to, field) in [
        ("first_year_rate = \"0.20\"", "first_year_rate = \"1.01\"", "first_year_rate"),
        ("bonus_rate = \"0.05\"", "bonus_rate = \"-0.05\"", "volume.bonus_rate"),
        ("recurring_rate = \"0.10\"", "recurring_rate = \"0.1234567\"", "recurring_rate"),
        ("id = \"2026-01\"", "id = \"\"", "id"),
        ("vesting_days = 60", "vesting_days = 40000", "vesting_days"),
        ("referrals_needed = 5\n", "referrals_needed = 0\n", "volume.referrals_needed"),
        ("minimum_payout_minor = 0", "minimum_payout_minor = -1", "minimum_payout_minor"),
    ] {
        assert!(text.contains(from), "{from} is not in\n{text}");
        match TermsBook::from_toml(&text.replacen(from, to, 1)) {
            Err(TermsError::Field { field: found, .. }) => assert_eq!(found, field),
            other => panic!("{to}: {other:?}"),
        }
    }
    for (from, to, part) in [
        ("first_year_rate = \"0.20\"", "first_year_rate = 0.20", "line"),
        ("vesting_days = 60", "vesting_day = 60", "vesting_day"),
        ("vesting_days = 60\n", "", "vesting_days"),
        ("from = \"2026-01-01T00:00:00Z\"", "from = \"2026-01-01\"", "RFC 3339"),
        ("from = \"2026-01-01T00:00:00Z\"", "from = 2026", "time"),
    ] {
        assert!(text.contains(from), "{from} is not in\n{text}");
        let error = TermsBook::from_toml(&text.replacen(from, to, 1)).expect_err(to).to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{to}: {error}");
    }
    for (text, line) in [("[[terms]]\nid = \"x\"\nfrom = 7\n", 3), ("\u{feff}id = 1", 1), ("[[terms]]\n\n\nid = ", 4)] {
        let error = TermsBook::from_toml(text).unwrap_err();
        assert!(matches!(error, TermsError::Unreadable { line: Some(found), .. } if found == line), "{text}: {error}");
    }
    assert_eq!(TermsBook::from_toml(""), Err(TermsError::Empty));
    let twice = format!("{text}\n{}", text.replace("from = \"2026-01-01", "from = \"2027-01-01"));
    assert!(matches!(TermsBook::from_toml(&twice), Err(TermsError::Field { field, .. }) if field == "id"));
    let same_day = format!("{text}\n{}", text.replace("id = \"2026-01\"", "id = \"other\""));
    assert!(matches!(TermsBook::from_toml(&same_day), Err(TermsError::Field { field, .. }) if field == "from"));
}

#[test]
fn the_rules_version_names_the_lists_in_use() {
    let manifest = include_str!("../Cargo.toml");
    let psl =
        manifest.lines().find_map(|line| line.strip_prefix("psl = \"=")?.split('"').next()).expect("psl is pinned");
    assert!(commission::RULES_VERSION.contains(&format!("psl {psl}")));
    let head = include_str!("../src/free_mail.txt").lines().next().unwrap();
    let list = head.split("npm package ").nth(1).unwrap().split(',').next().unwrap();
    assert!(commission::RULES_VERSION.contains(list), "{list}");
}
