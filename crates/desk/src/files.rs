//! Files that a person takes away.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// How many files of one name may lie beside each other.
const ALIKE: usize = 1_000;

/// A name that any file system takes: of the given one only letters, digits, `-`, `_` and `.` stay, and it does not begin
/// with a dot.
pub(crate) fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().take(120).map(plain).collect();
    if name.is_empty() { "download".to_owned() } else { name }
}

/// Saves a file under its name, or one beside it where there is one of that name: nothing is written over. Answers where.
///
/// The name is made [`plain`], so that it stays within the folder.
pub(crate) fn save(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let name = plain(name);
    let (stem, ending) =
        name.rsplit_once('.').map_or((name.as_str(), String::new()), |(stem, end)| (stem, format!(".{end}")));
    for n in 1..ALIKE {
        let path = folder.join(if n == 1 { name.clone() } else { format!("{stem} ({n}){ending}") });
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => return file.write_all(bytes).map(|()| path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("there are {ALIKE} files named {name} already")))
}

/// Writes a file beside and renames it, so that a reader sees the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::{replace, save};

    #[test]
    fn a_file_that_is_replaced_is_the_new_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.csv");
        for bytes in ["long", "x"] {
            replace(&path, bytes.as_bytes()).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes.as_bytes());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

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
