//! Domains that somebody who is trusted vouches for: the hashes of their files stand in one file, and that is signed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vocar_inference::{Trust, sha256_hex};

use super::error::{DomainError, Place};
use super::load::{Folder, NoText, Source};

/// The file of the hashes, as `sha256sum` prints them.
const SUMS: &str = "domain.sha256";

/// A folder whose files are read only if they are those that were signed.
pub(crate) struct Signed<'a> {
    folder: Folder<'a>,
    /// SHA-256 by name.
    sums: BTreeMap<String, String>,
}

impl<'a> Signed<'a> {
    /// Checks the signature of the hashes in a folder.
    pub fn open(folder: &'a Path, trust: &Trust) -> Result<Self, DomainError> {
        let path = folder.join(SUMS);
        let place = |file: PathBuf, line, field: &str| Place {
            file,
            line,
            field: field.into(),
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            place(path.clone(), None, "file").error(
                format!("cannot be read ({error}), and trust.keys asks for signed domains"),
                format!("install the signed domain, or make one: sha256sum *.toml > {SUMS}, then minisign -S -m {SUMS}"),
            )
        })?;
        if let Err(error) = trust.check(&path, text.as_bytes()) {
            let (problem, mend) = (error.fault.to_string(), error.fault.mend());
            return Err(place(error.path, None, "signature").error(problem, mend));
        }
        let mut sums = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let Some((hash, name)) = sum(line) else {
                let place = place(path, Some(number + 1), "line");
                return Err(place.error(
                    "is no hash with a name behind it",
                    "write what sha256sum prints",
                ));
            };
            sums.insert(name.to_owned(), hash.to_owned());
        }
        Ok(Self {
            folder: Folder(folder),
            sums,
        })
    }
}

/// Hash and name of a line: between them a space, and another one or an asterisk.
fn sum(line: &str) -> Option<(&str, &str)> {
    let (hash, name) = line.split_once(' ')?;
    let name = name.strip_prefix([' ', '*'])?;
    let whole = hash.len() == 64 && hash.bytes().all(|c| c.is_ascii_hexdigit());
    (whole && !name.is_empty()).then_some((hash, name))
}

impl Source for Signed<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    fn read(&self, name: &str) -> Result<String, NoText> {
        let Some(expected) = self.sums.get(name) else {
            return Err(NoText {
                problem: format!("{SUMS} has no hash of it, so that it is not signed"),
                mend: Some("install the signed domain, or hash and sign all of its files".into()),
            });
        };
        let text = self.folder.read(name)?;
        let found = sha256_hex(text.as_bytes());
        if found.eq_ignore_ascii_case(expected) {
            return Ok(text);
        }
        Err(NoText {
            problem: format!("its SHA-256 is {found}, the signed {SUMS} says {expected}"),
            mend: Some(
                "install the domain again; whoever changed it on purpose hashes and signs it again"
                    .into(),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_sha256sum_are_read_and_no_others() {
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            sum(&format!("{hash}  domain.toml")),
            Some((hash, "domain.toml"))
        );
        assert_eq!(sum(&format!("{hash} *a b.toml")), Some((hash, "a b.toml")));
        for line in [
            "",
            hash,
            &format!("{hash}  "),
            &format!("{hash} a"),
            &format!("{}  a", &hash[1..]),
        ] {
            assert_eq!(sum(line), None, "{line}");
        }
    }
}
