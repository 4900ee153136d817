//! The domains that come with the program, compiled into it.

use std::path::Path;

use super::load::{self, Embedded};
use super::trial::{FILE, Trials};
use super::{Domain, DomainError};
use crate::locale::Locale;

macro_rules! files {
    ($domain:literal: $($file:literal),+) => {
        Embedded {
            root: concat!("(built-in domain ", $domain, ")"),
            files: &[$(($file, include_str!(concat!("../../domains/", $domain, "/", $file)))),+],
        }
    };
}

static CAR: Embedded = files!(
    "car": "domain.toml", "climate.toml", "body.toml", "media.toml", "phone.toml", "navigation.toml", "driving.toml",
    "dialogue.toml", "devices.toml", "tests.toml"
);
static HOME: Embedded = files!("home": "domain.toml", "tests.toml");
static CHARGING: Embedded = files!("charging": "domain.toml", "tests.toml");

static ALL: [(&str, &Embedded); 3] = [("car", &CAR), ("home", &HOME), ("charging", &CHARGING)];
fn of(name: &str) -> Option<&'static Embedded> {
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, files)| *files)
}

/// The car, which cannot be missing.
pub(super) fn car(locale: Option<&Locale>) -> Result<Domain, DomainError> {
    load::load(&CAR, locale)
}

/// Names of the built-in domains, the car first.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

impl Domain {
    /// The built-in domain of this name, if there is one, for a place, which goes before the one the domain names.
    ///
    /// # Errors
    /// None in a released build; tests load them all.
    pub fn built_in(name: &str, locale: Option<&Locale>) -> Option<Result<Self, DomainError>> {
        of(name).map(|files| load::load(files, locale))
    }

    /// The domain of a folder or, when there is no such folder, the built-in one of this name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn find(folder: &Path, locale: Option<&Locale>) -> Result<Self, DomainError> {
        let built_in = folder.to_str().filter(|_| !folder.exists());
        built_in
            .and_then(|name| Self::built_in(name, locale))
            .unwrap_or_else(|| Self::load_in(folder, locale))
    }
}

impl Trials {
    /// The tests of what [`Domain::find`] finds, if it has any.
    ///
    /// # Errors
    /// As [`Self::of_folder`].
    pub fn find(folder: &Path) -> Result<Option<Self>, DomainError> {
        let built_in = folder.to_str().filter(|_| !folder.exists()).and_then(of);
        match built_in {
            Some(files) if files.files.iter().any(|(file, _)| *file == FILE) => {
                Self::read(files).map(Some)
            }
            Some(_) => Ok(None),
            None => Self::of_folder(folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn every_built_in_domain_loads_holds_no_contradiction_and_passes_its_tests() {
        for name in built_in_names() {
            let domain = Arc::new(Domain::built_in(name, None).unwrap().unwrap());
            assert_eq!(domain.name(), name);
            // Names that a host injects may sound like other commands; the car has its own test with them.
            let report = crate::check(&domain, &crate::Entities::new(), 1, 3000);
            assert!(
                report.conflicts.is_empty(),
                "{name}: {:?}",
                report.conflicts
            );
            let outcome = Trials::find(Path::new(name))
                .unwrap()
                .unwrap()
                .run(&domain)
                .unwrap();
            assert_eq!(outcome.failures, [], "{name}");
            assert!(outcome.passed > 15, "{name} is hardly tested");
        }
        assert!(Domain::built_in("boat", None).is_none());
    }

    #[test]
    fn built_in_domains_do_not_take_each_others_sentences() {
        let domains: Vec<_> = built_in_names()
            .map(|name| Arc::new(Domain::built_in(name, None).unwrap().unwrap()))
            .collect();
        let all = crate::Understander::new(domains.clone());
        for domain in &domains {
            for sample in crate::sample(domain, &crate::Entities::new(), 7, 500) {
                let found = all.understand(&sample.text, &crate::Context::addressed());
                assert_eq!(found[0].name, sample.intent, "{}", sample.text);
            }
        }
    }
}
