//! Which domains there are: built-in ones, and those in the configured folders.

use crate::config::Domains;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vocar_inference::Trust;
use vocar_nlu::domain::built_in_names;
use vocar_nlu::{Domain, DomainError};

/// The file that makes a folder a domain.
const MAIN: &str = "domain.toml";

/// The configured domains.
///
/// # Errors
/// [`DomainError`] names the file and the field.
pub fn load(domains: &Domains, trust: &Trust) -> Result<Vec<Arc<Domain>>, DomainError> {
    let locale = domains.locale();
    let mut loaded = Vec::new();
    if domains.car {
        // Without a place the car is compiled once for everybody.
        loaded.push(match &locale {
            None => Domain::car()?,
            place => Arc::new(Domain::car_in(place.as_ref())?),
        });
    }
    for name in domains.built_in.iter().filter(|name| *name != "car") {
        if let Some(domain) = Domain::built_in(name, locale.as_ref()) {
            loaded.push(Arc::new(domain?));
        }
    }
    for folder in folders(&domains.dirs) {
        let domain = Domain::load_trusted(&folder, locale.as_ref(), trust)?;
        loaded.push(Arc::new(domain));
    }
    Ok(loaded)
}

/// The folders of domains: the configured ones that hold a `domain.toml` or nothing of the kind, and what is in the
/// others, by name.
#[must_use]
pub fn folders(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let is_domain = |folder: &Path| folder.join(MAIN).exists();
    let mut folders = Vec::new();
    for dir in dirs {
        let inner = std::fs::read_dir(dir).ok().filter(|_| !is_domain(dir));
        let Some(entries) = inner else {
            folders.push(dir.clone());
            continue;
        };
        let mut within: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_domain(path))
            .collect();
        within.sort();
        folders.extend(within);
    }
    folders
}

/// The domain of this name in a configured folder, read anew; `None` when there is none.
///
/// # Errors
/// When none is found and a folder that might have it cannot be loaded.
pub fn find_in_folders(
    domains: &Domains,
    name: &str,
    trust: &Trust,
) -> Result<Option<Domain>, DomainError> {
    let locale = domains.locale();
    let mut broken = None;
    for folder in folders(&domains.dirs) {
        match Domain::load_trusted(&folder, locale.as_ref(), trust) {
            Ok(domain) if domain.name() == name => return Ok(Some(domain)),
            Ok(_) => {}
            // The folder called like the domain is likelier to be the one that is meant.
            Err(error) if folder.ends_with(name) => broken = Some(error),
            Err(error) => broken = broken.or(Some(error)),
        }
    }
    broken.map_or(Ok(None), Err)
}

/// The built-in domain of this name.
///
/// # Errors
/// As [`Domain::built_in`].
pub fn find_built_in(domains: &Domains, name: &str) -> Result<Option<Domain>, DomainError> {
    Domain::built_in(name, domains.locale().as_ref()).transpose()
}

/// A domain that could be enabled.
#[derive(Debug)]
pub struct Listed {
    /// Its name; of one that cannot be loaded, the name of its folder.
    pub name: String,
    /// Where it lies; `None` for a built-in one.
    pub folder: Option<PathBuf>,
    /// Whether the configuration loads and enables it.
    pub enabled: bool,
    /// The domain, or why it cannot be loaded.
    pub domain: Result<Domain, DomainError>,
}

/// All domains that the configuration knows or that are built in.
#[must_use]
pub fn list(domains: &Domains, trust: &Trust) -> Vec<Listed> {
    let locale = domains.locale();
    let is_on = |name: &str| !domains.disabled.iter().any(|off| off == name);
    let mut all = Vec::new();
    for name in built_in_names() {
        let loaded = match name {
            "car" => domains.car,
            _ => domains.built_in.iter().any(|known| known == name),
        };
        if let Some(domain) = Domain::built_in(name, locale.as_ref()) {
            all.push(Listed {
                name: name.into(),
                folder: None,
                enabled: loaded && is_on(name),
                domain,
            });
        }
    }
    for folder in folders(&domains.dirs) {
        let domain = Domain::load_trusted(&folder, locale.as_ref(), trust);
        let called = folder.file_name().unwrap_or_default().to_string_lossy();
        let name = domain.as_ref().map_or(&*called, Domain::name).to_owned();
        all.push(Listed {
            enabled: domain.is_ok() && is_on(&name),
            name,
            folder: Some(folder),
            domain,
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(folder: &Path, name: &str, template: &str) {
        std::fs::create_dir_all(folder).unwrap();
        let text =
            format!("name = \"{name}\"\n[[intents]]\nname = \"a\"\ntemplates = [\"{template}\"]\n");
        std::fs::write(folder.join(MAIN), text).unwrap();
    }

    fn configured(dirs: &[&Path]) -> Domains {
        Domains {
            dirs: dirs.iter().map(|dir| dir.to_path_buf()).collect(),
            ..Domains::default()
        }
    }

    #[test]
    fn folders_of_domains_and_domains_are_found() {
        let root = tempfile::tempdir().unwrap();
        let (one, all) = (root.path().join("one"), root.path().join("all"));
        domain(&one, "lamp", "light the lamp");
        domain(&all.join("b"), "boat", "start the boat");
        domain(&all.join("a"), "awning", "unroll the awning");
        std::fs::create_dir(all.join("no-domain")).unwrap();
        let domains = configured(&[&one, &all]);
        let names: Vec<String> = load(&domains, &Trust::everybody())
            .unwrap()
            .iter()
            .map(|domain| domain.name().to_owned())
            .collect();
        assert_eq!(names, ["car", "lamp", "awning", "boat"]);
        let found = find_in_folders(&domains, "boat", &Trust::everybody())
            .unwrap()
            .unwrap();
        assert_eq!(found.name(), "boat");
        assert!(
            find_in_folders(&domains, "car", &Trust::everybody())
                .unwrap()
                .is_none()
        );
        assert!(
            load(
                &configured(&[&root.path().join("gone")]),
                &Trust::everybody()
            )
            .is_err()
        );
    }

    #[test]
    fn a_broken_domain_is_told_when_it_may_be_the_one_that_is_meant() {
        let root = tempfile::tempdir().unwrap();
        domain(&root.path().join("lamp"), "lamp", "light (the lamp");
        domain(&root.path().join("boat"), "boat", "start the boat");
        let domains = configured(&[root.path()]);
        let error = find_in_folders(&domains, "lamp", &Trust::everybody()).unwrap_err();
        assert_eq!(error.line, Some(4), "{error}");
        assert!(
            find_in_folders(&domains, "boat", &Trust::everybody())
                .unwrap()
                .is_some()
        );
        let listed = list(&domains, &Trust::everybody());
        let lamp = listed.iter().find(|listed| listed.name == "lamp").unwrap();
        assert!(lamp.domain.is_err() && !lamp.enabled);
        assert!(
            listed
                .iter()
                .any(|listed| listed.name == "home" && !listed.enabled)
        );
    }

    #[test]
    fn the_place_reaches_the_domains() {
        let domains = Domains {
            locale: "en-US".into(),
            built_in: vec!["home".into()],
            ..Domains::default()
        };
        let understander =
            vocar_nlu::Understander::new(load(&domains, &Trust::everybody()).unwrap());
        let context = vocar_nlu::Context::addressed();
        let found = understander.understand("heat the house to 65", &context);
        assert_eq!(found[0].slots["temperature"].to_string(), "65F");
    }
}
