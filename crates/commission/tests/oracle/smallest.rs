//! Makes a journal on which the two answers differ as small as it can be made by leaving things out.

use commission::TermsBook;

use crate::journals::Case;

/// The case after everything was left out without which `differs` still holds.
pub(crate) fn smallest(mut case: Case, differs: impl Fn(&Case) -> bool) -> Case {
    loop {
        let before = (case.facts.len(), case.book.versions().len());
        let mut size = case.facts.len().div_ceil(2);
        while size > 0 {
            leave_out_runs(&mut case, size, &differs);
            size /= 2;
        }
        leave_out_versions(&mut case, &differs);
        if before == (case.facts.len(), case.book.versions().len()) {
            case.facts.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
            return case;
        }
    }
}

fn leave_out_runs(case: &mut Case, size: usize, differs: &impl Fn(&Case) -> bool) {
    let mut start = 0;
    while start < case.facts.len() {
        let end = (start + size).min(case.facts.len());
        let mut smaller = case.clone();
        smaller.facts.drain(start..end);
        if differs(&smaller) {
            *case = smaller;
        } else {
            start = end;
        }
    }
}

fn leave_out_versions(case: &mut Case, differs: &impl Fn(&Case) -> bool) {
    for index in (0..case.book.versions().len()).rev() {
        let mut versions = case.book.versions().to_vec();
        versions.remove(index);
        if let Ok(book) = TermsBook::new(versions) {
            let smaller = Case { book, ..case.clone() };
            if differs(&smaller) {
                *case = smaller;
            }
        }
    }
}
