//! `vocar bundle check`: whether folders of models, adapters and domains are whole, and who vouches for them.

use super::{Common, Failure};
use crate::config::Trusted;
use clap::{Args, Subcommand};
use serde_json::json;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use vocar_inference::{Bundle, TextBundle, Trust, TrustedKey, signature_of};
use vocar_nlu::Domain;
use vocar_nlu::adapter::{AdapterManifest, MANIFEST as ADAPTER};

/// Options of `bundle`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check every hash and, where a key is given or configured, the signature. The exit code is 1 when one is wrong.
    ///
    /// To sign: `minisign -S -m manifest.toml` in the folder of a bundle, `minisign -S -m adapter.toml` in an adapter's, and in
    /// a domain's `sha256sum *.toml > domain.sha256`, then `minisign -S -m domain.sha256`.
    Check {
        /// Folders of bundles, adapters and domains.
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Public key (second line of minisign.pub) that must have signed all of them, in place of those of trust.keys; may be
        /// repeated.
        #[arg(long, value_name = "KEY")]
        key: Vec<TrustedKey>,
    },
}

/// What kind of files a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Speech,
    Understanding,
    Adapter,
    Domain,
}

impl Kind {
    /// Told by the file that each must have; what has none is called a bundle for speech, and said to be none.
    fn of(dir: &Path) -> Self {
        if dir.join("domain.toml").exists() {
            return Self::Domain;
        }
        if dir.join(ADAPTER).exists() {
            return Self::Adapter;
        }
        let manifest = std::fs::read_to_string(dir.join("manifest.toml")).unwrap_or_default();
        let table = manifest.parse::<toml::Table>().unwrap_or_default();
        if table.contains_key("text") {
            Self::Understanding
        } else {
            Self::Speech
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Speech => "bundle for speech",
            Self::Understanding => "bundle for understanding",
            Self::Adapter => "adapter",
            Self::Domain => "domain",
        }
    }

    /// The file that is signed.
    const fn signed(self) -> &'static str {
        match self {
            Self::Speech | Self::Understanding => "manifest.toml",
            Self::Adapter => ADAPTER,
            Self::Domain => "domain.sha256",
        }
    }

    fn trust(self, trusted: &Trusted) -> Trust {
        match self {
            Self::Speech | Self::Understanding => trusted.bundles(),
            Self::Adapter => trusted.adapters(),
            Self::Domain => trusted.domains(),
        }
    }

    /// Checks a folder as the service does; says what it is.
    fn check(self, dir: &Path, trust: &Trust) -> Result<String, String> {
        fn text(error: impl Display) -> String {
            error.to_string()
        }
        match self {
            Self::Speech => {
                let bundle = Bundle::open_trusted(dir, trust).map_err(text)?;
                let manifest = bundle.manifest();
                Ok(format!("{} {}", manifest.name, manifest.version))
            }
            Self::Understanding => {
                let bundle = TextBundle::open_trusted(dir, trust).map_err(text)?;
                let manifest = bundle.manifest();
                Ok(format!("{} {}", manifest.name, manifest.version))
            }
            Self::Adapter => {
                // The name of an adapter is its folder's, which `.` does not tell.
                let dir = dir.canonicalize().map_err(text)?;
                let manifest = AdapterManifest::read_trusted(&dir, trust).map_err(text)?;
                manifest.check_weights(&dir).map_err(text)?;
                Ok(format!("{} for {}", manifest.name, manifest.base))
            }
            Self::Domain => {
                let domain = Domain::load_trusted(dir, None, trust).map_err(text)?;
                Ok(domain.name().to_owned())
            }
        }
    }
}

/// What was found in one folder.
struct Finding {
    dir: PathBuf,
    kind: Kind,
    /// What it is, or what is wrong with it.
    name: Result<String, String>,
    /// The key that signed it, where it was checked.
    key: Option<String>,
    /// Whether there is a signature at all.
    is_signed: bool,
}

impl Finding {
    fn of(dir: &Path, kind: Kind, trust: &Trust) -> Self {
        let file = dir.join(kind.signed());
        let name = kind.check(dir, trust);
        let bytes = std::fs::read(&file).unwrap_or_default();
        let key = trust.check(&file, &bytes).ok().flatten();
        Self {
            dir: dir.to_owned(),
            kind,
            key: key.map(ToString::to_string).filter(|_| name.is_ok()),
            is_signed: signature_of(&file).exists(),
            name,
        }
    }

    fn line(&self) -> String {
        let (dir, kind) = (self.dir.display(), self.kind.name());
        match (&self.name, &self.key) {
            (Err(problem), _) => format!("FAULT {dir}: {kind}: {problem}"),
            (Ok(name), Some(key)) => {
                format!("ok    {dir}: {kind} {name}, whole, signed with {key}")
            }
            (Ok(name), None) if self.is_signed => {
                format!("ok    {dir}: {kind} {name}, whole; signed, and no key to check it with")
            }
            (Ok(name), None) => format!("ok    {dir}: {kind} {name}, whole, not signed"),
        }
    }

    fn object(&self) -> serde_json::Value {
        json!({
            "dir": self.dir, "kind": self.kind.name(), "ok": self.name.is_ok(), "name": self.name.as_ref().ok(),
            "error": self.name.as_ref().err(), "signed": self.is_signed, "key": self.key,
        })
    }
}

/// Does what is asked with folders.
///
/// # Errors
/// [`super::Code::No`] when one is damaged or nobody who is trusted vouches for it, [`super::Code::Usage`] for a wrong
/// configuration.
pub fn execute(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let Action::Check { dirs, key } = &arguments.action;
    let trusted = common.settings()?.trust;
    let finding = |dir: &PathBuf| {
        let kind = Kind::of(dir);
        let configured = key.is_empty().then(|| kind.trust(&trusted));
        Finding::of(dir, kind, &configured.unwrap_or_else(|| Trust::of(key)))
    };
    let findings: Vec<Finding> = dirs.iter().map(finding).collect();
    if common.json {
        tell!(
            "{}",
            json!(findings.iter().map(Finding::object).collect::<Vec<_>>())
        );
    } else {
        for finding in &findings {
            tell!("{}", finding.line());
        }
    }
    let well = findings.iter().all(|finding| finding.name.is_ok());
    if well { Ok(()) } else { Err(Failure::no()) }
}
