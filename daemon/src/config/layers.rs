//! Where the configuration comes from, in which order, and which of the sources is to blame.

use super::check::check;
use super::{ConfigError, Settings};
use config::{Config, Environment, File, FileFormat};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Prefix of every configuration variable in the environment.
const PREFIX: &str = "VOCAR";
/// Stands between section and key in a variable's name.
const SEPARATOR: &str = "__";
/// Keys that hold lists; in the environment their items are separated by commas.
const LISTS: [&str; 7] = [
    "adapters.active",
    "domains.built_in",
    "domains.dirs",
    "domains.disabled",
    "listen.wake_phrases",
    "trust.keys",
    "trust.unsigned",
];

/// Whom the daemon serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The vehicle: system bus, `/etc/vocar`.
    System,
    /// One user: session bus, `$XDG_CONFIG_HOME/vocar`.
    User,
}

/// The sources of one configuration, lowest first. Kept so that a reload reads the very same places.
#[derive(Debug, Clone)]
pub struct Layers {
    scope: Scope,
    /// A file that must exist (given by `--config`), or one that may.
    file: PathBuf,
    required: bool,
    /// Where adapters are unless the configuration says otherwise.
    adapters: PathBuf,
    variables: Vec<(String, String)>,
}

impl Layers {
    /// The sources of `scope`, with `explicit` in place of the usual file, and this process's environment.
    #[must_use]
    pub fn of_process(scope: Scope, explicit: Option<&Path>) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::new(scope, explicit, variables)
    }

    /// As [`Self::of_process`], with the given environment.
    #[must_use]
    pub fn new(scope: Scope, explicit: Option<&Path>, variables: Vec<(String, String)>) -> Self {
        let file = explicit.map_or_else(|| usual_file(scope, &variables), Path::to_path_buf);
        let adapters = usual_state(scope, &variables).join("adapters");
        let mut variables: Vec<_> = variables
            .into_iter()
            .filter(|(name, _)| is_setting(name))
            .collect();
        variables.sort();
        Self {
            scope,
            file,
            required: explicit.is_some(),
            adapters,
            variables,
        }
    }

    /// Reads, joins and checks all sources.
    ///
    /// # Errors
    /// [`ConfigError`] names the source and the field at fault.
    pub fn read(&self) -> Result<Settings, ConfigError> {
        let files = self.files()?;
        for file in &files {
            blame(
                &file.display().to_string(),
                self.base().add_source(toml_file(file)),
            )?;
        }
        for pair in &self.variables {
            blame(
                &format!("environment variable {}", pair.0),
                self.base().add_source(environment([pair])),
            )?;
        }
        let mut all = self.base();
        for file in &files {
            all = all.add_source(toml_file(file));
        }
        blame(
            "the configuration as a whole",
            all.add_source(environment(&self.variables)),
        )
    }

    /// The files that exist now: the main file, then its `conf.d/*.toml` by name.
    fn files(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let mut files = Vec::new();
        match std::fs::metadata(&self.file) {
            Ok(_) => files.push(self.file.clone()),
            Err(error) if self.required => {
                return Err(ConfigError::Unreadable {
                    source_name: self.file.display().to_string(),
                    problem: error.to_string(),
                });
            }
            Err(_) => {}
        }
        let drop_ins = self.file.parent().unwrap_or(Path::new(".")).join("conf.d");
        if let Ok(entries) = std::fs::read_dir(drop_ins) {
            let mut found: Vec<PathBuf> = entries
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .filter(|path| {
                    path.extension()
                        .is_some_and(|extension| extension == "toml")
                })
                .collect();
            found.sort();
            files.extend(found);
        }
        Ok(files)
    }

    /// Built-in values that depend on the scope; all others are the defaults of [`Settings`].
    fn base(&self) -> config::ConfigBuilder<config::builder::DefaultState> {
        let bus = match self.scope {
            Scope::System => "system",
            Scope::User => "session",
        };
        let adapters = self.adapters.to_string_lossy();
        let builder = Config::builder();
        let with_defaults = builder
            .clone()
            .set_default("bus.address", bus)
            .and_then(|builder| builder.set_default("adapters.folder", &*adapters));
        with_defaults.unwrap_or(builder)
    }
}

/// Reads one set of sources; whatever is wrong in it is `source_name`'s fault.
fn blame(
    source_name: &str,
    builder: config::ConfigBuilder<config::builder::DefaultState>,
) -> Result<Settings, ConfigError> {
    let settings: Settings =
        builder
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|error| ConfigError::Malformed {
                source_name: source_name.to_owned(),
                problem: error.to_string().trim_end().to_owned(),
            })?;
    check(&settings).map_err(|broken| ConfigError::OutOfRule {
        source_name: source_name.to_owned(),
        field: broken.field.to_owned(),
        problem: broken.message,
    })?;
    Ok(settings)
}

fn toml_file(path: &Path) -> File<config::FileSourceFile, FileFormat> {
    File::from(path).format(FileFormat::Toml)
}

fn environment<'a>(pairs: impl IntoIterator<Item = &'a (String, String)>) -> Environment {
    let variables: HashMap<String, String> = pairs.into_iter().cloned().collect();
    let mut source = Environment::with_prefix(PREFIX)
        .prefix_separator("_")
        .separator(SEPARATOR)
        .try_parsing(true)
        .list_separator(",");
    for key in LISTS {
        source = source.with_list_parse_key(key);
    }
    source.source(Some(variables.into_iter().collect()))
}

/// Other programs of the product use `VOCAR_…` variables too; a setting is one with a section.
fn is_setting(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| rest.contains(SEPARATOR))
}

fn usual_file(scope: Scope, variables: &[(String, String)]) -> PathBuf {
    let folder = match scope {
        Scope::System => None,
        Scope::User => users_folder(variables, "XDG_CONFIG_HOME", ".config"),
    };
    folder
        .unwrap_or_else(|| PathBuf::from("/etc"))
        .join("vocar/vocar.toml")
}

/// Where the service keeps what it learns.
fn usual_state(scope: Scope, variables: &[(String, String)]) -> PathBuf {
    let folder = match scope {
        Scope::System => None,
        Scope::User => users_folder(variables, "XDG_STATE_HOME", ".local/state"),
    };
    folder
        .unwrap_or_else(|| PathBuf::from("/var/lib"))
        .join("vocar")
}

/// A folder of the user's: what the variable says, else this one at home.
fn users_folder(variables: &[(String, String)], variable: &str, at_home: &str) -> Option<PathBuf> {
    let value = |name: &str| {
        variables
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    };
    value(variable).or_else(|| value("HOME").map(|home| home.join(at_home)))
}

#[cfg(test)]
mod tests {
    use super::super::ListenMode;
    use super::*;
    use proptest::prelude::*;

    fn layers(dir: &Path, variables: &[(&str, &str)]) -> Layers {
        let variables = variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Layers::new(Scope::System, Some(&dir.join("vocar.toml")), variables)
    }

    fn write(dir: &Path, name: &str, text: &str) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn later_sources_win() {
        let dir = tempfile::tempdir().unwrap();
        write(
            dir.path(),
            "vocar.toml",
            "[listen]\nmode = \"wake\"\ntimeout_s = 3\n[audio]\nzone = \"a\"\n",
        );
        write(dir.path(), "conf.d/20.toml", "[audio]\nzone = \"c\"\n");
        write(
            dir.path(),
            "conf.d/10.toml",
            "[audio]\nzone = \"b\"\n[log]\nlevel = \"debug\"\n",
        );
        write(dir.path(), "conf.d/30.toml.bak", "not toml at all [");
        let settings = layers(
            dir.path(),
            &[
                ("VOCAR_LISTEN__MODE", "open-mic"),
                ("VOCAR_LISTEN__WAKE_PHRASES", "hello car,ok car"),
                ("VOCAR_PRIVACY__PRIVATE", "true"),
                ("VOCAR_AUDIO__DEVICE", "7"),
                ("VOCAR_SHARED", "/elsewhere"),
            ],
        )
        .read()
        .unwrap();
        assert_eq!(settings.listen.mode, ListenMode::OpenMic);
        assert!((settings.listen.timeout_s - 3.0).abs() < 1e-9);
        assert_eq!(settings.listen.wake_phrases, ["hello car", "ok car"]);
        assert_eq!(settings.audio.zone, "c");
        assert_eq!(settings.audio.device, "7");
        assert_eq!(settings.log.level, "debug");
        assert!(settings.privacy.private);
    }

    #[test]
    fn the_scope_chooses_the_bus() {
        let none = |scope| {
            Layers::new(scope, None, vec![("HOME".into(), "/nonexistent".into())])
                .read()
                .unwrap()
        };
        assert_eq!(none(Scope::User).bus.address, "session");
        assert_eq!(
            usual_file(Scope::User, &[("HOME".into(), "/h".into())]),
            Path::new("/h/.config/vocar/vocar.toml")
        );
    }

    #[test]
    fn every_error_names_source_and_field() {
        let cases = [
            ("[listen]\nmodus = 1\n", &["vocar.toml", "modus"][..]),
            (
                "[listen]\nmode = \"shout\"\n",
                &["vocar.toml", "mode", "shout"],
            ),
            ("[listen\n", &["vocar.toml"]),
            (
                "[listen]\ntimeout_s = \"soon\"\n",
                &["vocar.toml", "timeout_s"],
            ),
            (
                "[listen]\ntimeout_s = 900\n",
                &["vocar.toml", "listen.timeout_s", "1 to 60"],
            ),
            ("[lisen]\n", &["vocar.toml", "lisen"]),
        ];
        for (text, parts) in cases {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), "vocar.toml", text);
            let error = layers(dir.path(), &[]).read().unwrap_err().to_string();
            for part in parts {
                assert!(
                    error.contains(part),
                    "{text:?} gave {error:?}, which does not say {part:?}"
                );
            }
        }
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "vocar.toml", "");
        let error = layers(dir.path(), &[("VOCAR_LISTEN__TIMEOUT_S", "never")])
            .read()
            .unwrap_err()
            .to_string();
        assert!(error.contains("VOCAR_LISTEN__TIMEOUT_S"), "{error}");
        let error = layers(dir.path(), &[("VOCAR_LISTEN__TIMEOUT_S", "61")])
            .read()
            .unwrap_err()
            .to_string();
        assert!(error.contains("VOCAR_LISTEN__TIMEOUT_S"), "{error}");
    }

    #[test]
    fn a_named_file_must_exist() {
        let error = layers(Path::new("/nonexistent"), &[]).read().unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn the_shipped_file_states_the_built_in_values() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd/vocar.toml");
        assert_eq!(
            Layers::new(Scope::System, Some(&shipped), Vec::new())
                .read()
                .unwrap(),
            Settings::default()
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// The shipped file with a piece of it put elsewhere, or any text there.
        #[test]
        fn no_file_is_more_than_an_error(from in 0_usize..12_000, length in 0_usize..60, to in 0_usize..12_000, text in ".{0,20}") {
            let shipped = include_str!("../../../systemd/vocar.toml");
            let inside = |place: usize| shipped.floor_char_boundary(place % shipped.len());
            let (from, end, to) = (inside(from), inside(from + length), inside(to));
            let piece = shipped.get(from..end).unwrap_or(&text);
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), "vocar.toml", &[&shipped[..to], piece, &shipped[to..]].concat());
            if let Err(error) = layers(dir.path(), &[]).read() {
                prop_assert!(error.to_string().contains("vocar.toml"), "{error}");
            }
        }
    }
}
