//! The commission engine for node, to be compared with the native one.
#![cfg(target_arch = "wasm32")]

use commission::{TermsBook, evaluate, parse_time, read_journal};
use wasm_bindgen::prelude::wasm_bindgen;

/// The digest of the statements that a journal (JSONL) comes to under terms (TOML) at an instant, or why there are none.
#[wasm_bindgen]
pub fn digest(journal: &str, terms: &str, as_of: &str) -> String {
    let answer = || {
        let facts = read_journal(journal).map_err(|e| e.to_string())?;
        let terms = TermsBook::from_toml(terms).map_err(|e| e.to_string())?;
        let as_of = parse_time(as_of).map_err(|e| e.to_string())?;
        evaluate(&facts, &terms, as_of).map(|evaluation| evaluation.digest).map_err(|e| e.to_string())
    };
    answer().unwrap_or_else(|refused: String| refused)
}
