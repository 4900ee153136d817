//! Whether an accelerator is there on this machine, and if not, what it lacks.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::profile::AcceleratorSpec;
use crate::sysroot::Sysroot;

/// Where vendors put libraries; folders of a profile come first.
const LIBRARY_DIRS: [&str; 7] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/vendor/lib64",
    "/opt/vocar/lib",
];

/// What became of an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceleratorVerdict {
    /// Name from the profile.
    pub name: String,
    /// Whether all it takes is there, so that it is worth a trial.
    pub present: bool,
    /// Whether it is used, which takes a trial that it passes.
    pub usable: bool,
    /// Device nodes of the profile that exist.
    pub devices_found: Vec<String>,
    /// Paths of the libraries that exist.
    pub libraries_found: Vec<String>,
    /// Why (not), a sentence.
    pub reason: String,
}

impl AcceleratorVerdict {
    /// Looks for device nodes and libraries. Finding them is needed, not enough: whether a network runs there, right and
    /// faster, takes a trial.
    #[must_use]
    pub fn of(spec: &AcceleratorSpec, machine: &Machine) -> AcceleratorVerdict {
        let sys = Sysroot::new(&machine.root);
        let devices_found: Vec<String> = spec
            .devices
            .iter()
            .filter(|d| sys.exists(d))
            .cloned()
            .collect();
        let found: Vec<Option<String>> = spec
            .libraries
            .iter()
            .map(|name| find_library(&sys, spec, name))
            .collect();
        let absent: Vec<&str> = spec
            .libraries
            .iter()
            .zip(&found)
            .filter_map(|(name, place)| place.is_none().then_some(name.as_str()))
            .collect();
        let lacking = lacking(spec, &devices_found, &absent);
        let libraries_found = found.into_iter().flatten().collect();
        AcceleratorVerdict {
            name: spec.name.clone(),
            present: lacking.is_none(),
            usable: false,
            devices_found,
            libraries_found,
            reason: lacking
                .unwrap_or_else(|| "device and libraries are there; it was not tried".into()),
        }
    }

    /// Where this library was found; as it is when it was not looked for.
    #[must_use]
    pub fn place<'a>(&'a self, library: &'a str) -> &'a str {
        let is_it = |path: &&String| path.rsplit('/').next() == Some(library);
        self.libraries_found
            .iter()
            .find(is_it)
            .map_or(library, String::as_str)
    }

    /// The outcome of a trial.
    pub fn tried(&mut self, passed: bool, reason: String) {
        self.usable = passed;
        self.reason = reason;
    }
}

/// What it lacks, a sentence.
fn lacking(spec: &AcceleratorSpec, devices_found: &[String], absent: &[&str]) -> Option<String> {
    if let Some(barred) = &spec.barred {
        return Some(barred.clone());
    }
    let no_device = devices_found.is_empty() && !spec.devices.is_empty();
    let device = no_device.then(|| {
        format!(
            "none of its device nodes exists ({})",
            spec.devices.join(", ")
        )
    });
    let library = (!absent.is_empty()).then(|| {
        format!(
            "its vendor's libraries are not installed ({})",
            absent.join(", ")
        )
    });
    let provider = spec.provider.is_none();
    let provider = provider.then(|| "no execution provider is named for it".to_owned());
    [device, library, provider]
        .into_iter()
        .flatten()
        .reduce(|a, b| format!("{a}, and {b}"))
}

fn find_library(sys: &Sysroot, spec: &AcceleratorSpec, name: &str) -> Option<String> {
    if name.starts_with('/') {
        return sys.exists(name).then(|| name.to_owned());
    }
    let dirs = spec
        .library_dirs
        .iter()
        .map(String::as_str)
        .chain(LIBRARY_DIRS);
    dirs.map(|dir| format!("{dir}/{name}"))
        .find(|path| sys.exists(path))
}
