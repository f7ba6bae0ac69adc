//! Random cases.

/// How many of so many random cases are tried: D1 takes some milliseconds for a statement.
pub(crate) fn cases(on_sqlite: u32) -> u32 {
    if std::env::var_os("AIKIT_D1").is_some() { on_sqlite.div_ceil(50) } else { on_sqlite }
}
