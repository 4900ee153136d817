//! Reading small kernel files below a root folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The root of the machine looked at: `/`, or a folder that impersonates one.
#[derive(Debug, Clone)]
pub(crate) struct Sysroot(PathBuf);

impl Sysroot {
    pub(crate) fn new(root: &Path) -> Sysroot {
        Sysroot(root.to_owned())
    }

    /// `path`, absolute as seen from inside, as a path of this process.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// The file's text without surrounding white space and NULs; `None` when absent, unreadable or empty.
    /// Bytes that are no UTF-8 are replaced: firmware writes what it likes into DMI strings.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.at(path)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
        (!text.is_empty()).then(|| text.to_owned())
    }

    pub(crate) fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// NUL-separated strings, the way a device tree holds them.
    pub(crate) fn strings(&self, path: &str) -> Vec<String> {
        let text = self.text(path).unwrap_or_default();
        text.split('\0')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Names in a folder that start with `prefix` and go on with a number, by that number.
    pub(crate) fn numbered(&self, dir: &str, prefix: &str) -> Vec<(usize, String)> {
        let entries = fs::read_dir(self.at(dir)).into_iter().flatten().flatten();
        let mut found: Vec<(usize, String)> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| Some((name.strip_prefix(prefix)?.parse().ok()?, name)))
            .collect();
        found.sort_unstable();
        found
    }

    /// Names in a folder, sorted.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(dir)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        names
    }
}
