//! A domain to begin with.

/// Whether this can be the name of a domain: a-z, 0-9 and `_`, a letter first.
#[must_use]
pub fn is_domain_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// File names and texts of a small domain of this name that passes its tests, to be changed into what is wanted.
#[must_use]
pub fn starter(name: &str) -> [(&'static str, String); 2] {
    let filled = |text: &str| text.replace("NAME", name);
    [
        ("domain.toml", filled(include_str!("starter/domain.toml"))),
        ("tests.toml", filled(include_str!("starter/tests.toml"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Domain, trial::Trials};
    use std::sync::Arc;

    #[test]
    fn what_one_begins_with_works() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in starter("boat") {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let domain = Arc::new(Domain::load(folder.path()).unwrap());
        assert_eq!(domain.name(), "boat");
        let report = crate::check(&domain, &crate::Entities::new(), 1, 1000);
        assert!(report.conflicts.is_empty(), "{:?}", report.conflicts);
        let outcome = Trials::of_folder(folder.path())
            .unwrap()
            .unwrap()
            .run(&domain)
            .unwrap();
        assert!(
            outcome.failures.is_empty() && outcome.passed > 3,
            "{outcome:?}"
        );
    }

    #[test]
    fn names_are_plain() {
        assert!(is_domain_name("camper_2"));
        for name in ["", "2x", "Boat", "my-boat", "a/b", "..", "é"] {
            assert!(!is_domain_name(name), "{name}");
        }
    }
}
