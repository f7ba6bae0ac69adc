//! The engine compiled to WebAssembly must come to the same as the one here, to the digest.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use commission::{evaluate, read_journal};
use serde_json::json;

use crate::random::Random;
use crate::{journals, setting};

const JOURNALS: u64 = 200;

#[test]
#[ignore = "needs the engine as WebAssembly, in ENGINE_WASM: ./dev test edge"]
fn webassembly_comes_to_the_same_digests() {
    let (count, seed) = (setting("WASM_JOURNALS", JOURNALS), setting("ORACLE_SEED", 1));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/edge/digests.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .arg(std::env::var_os("ENGINE_WASM").unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut ask, mut answers) = (node.stdin.take().unwrap(), BufReader::new(node.stdout.take().unwrap()).lines());
    let mut digests = std::collections::BTreeSet::new();
    for number in 0..count {
        let case = journals::case(&mut Random::new(seed.wrapping_add(2_000_003), number));
        let lines: Vec<String> = case.facts.iter().map(|fact| serde_json::to_string(fact).unwrap()).collect();
        let (journal, terms) = (lines.join("\n"), case.book.to_toml());
        let as_of = case.as_of.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        writeln!(ask, "{}", json!({ "journal": journal, "terms": terms, "as_of": as_of })).unwrap();
        let there: String = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
        let facts = read_journal(&journal).map_err(|e| e.to_string());
        let here = facts.and_then(|facts| {
            evaluate(&facts, &case.book, case.as_of).map(|evaluation| evaluation.digest).map_err(|e| e.to_string())
        });
        let here = here.unwrap_or_else(|refused| refused);
        assert_eq!(there, here, "journal {number} of seed {seed}");
        digests.insert(here);
    }
    drop(ask);
    assert!(node.wait().unwrap().success());
    println!("{count} journals, {} different digests, the same in both", digests.len());
    assert!(digests.len() as u64 > count / 2, "too few of the journals say something of their own");
}
