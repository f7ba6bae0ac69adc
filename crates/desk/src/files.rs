//! Files that a person takes away.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// How many files of one name may lie beside each other.
const ALIKE: usize = 1_000;

/// Saves a file under its name, or one beside it where there is one of that name: nothing is written over. Answers where.
///
/// Of the name only letters, digits, `-`, `_` and `.` are taken, so that it stays within the folder.
pub(crate) fn save(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().take(120).map(plain).collect();
    let name = if name.is_empty() { "download" } else { &name };
    let (stem, ending) = name.rsplit_once('.').map_or((name, String::new()), |(stem, end)| (stem, format!(".{end}")));
    for n in 1..ALIKE {
        let path = folder.join(if n == 1 { name.to_owned() } else { format!("{stem} ({n}){ending}") });
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => return file.write_all(bytes).map(|()| path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("there are {ALIKE} files named {name} already")))
}

#[cfg(test)]
mod tests {
    use super::save;

    #[test]
    fn a_file_stays_in_its_folder_and_is_written_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let name = |given: &str| {
            let path = save(folder.path(), given, b"x").unwrap();
            assert_eq!(path.parent(), Some(folder.path()));
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(name("run-2026-10.1.csv"), "run-2026-10.1.csv");
        assert_eq!(name("run-2026-10.1.csv"), "run-2026-10.1 (2).csv");
        assert_eq!(name("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(name(".."), "download");
        assert_eq!(name("a\\b:c\u{202e}"), "a-b-c-");
    }
}
