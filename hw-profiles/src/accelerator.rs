//! Whether an accelerator of the profile can be used on this machine, and if not, why.

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
    /// Whether it will be used.
    pub usable: bool,
    /// Device nodes of the profile that exist.
    pub devices_found: Vec<String>,
    /// Paths of the libraries that exist.
    pub libraries_found: Vec<String>,
    /// Why (not), a sentence.
    pub reason: String,
}

impl AcceleratorVerdict {
    /// Looks for device nodes and libraries. Finding them is needed, not enough: running a network on the
    /// accelerator takes a session of its runtime, and this build contains none.
    pub(crate) fn of(spec: &AcceleratorSpec, machine: &Machine) -> AcceleratorVerdict {
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
        let reason = reason(spec, &devices_found, &absent);
        let libraries_found = found.into_iter().flatten().collect();
        AcceleratorVerdict {
            name: spec.name.clone(),
            usable: false,
            devices_found,
            libraries_found,
            reason,
        }
    }
}

fn reason(spec: &AcceleratorSpec, devices_found: &[String], absent: &[&str]) -> String {
    if let Some(barred) = &spec.barred {
        return barred.clone();
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
    let missing: Vec<String> = [device, library].into_iter().flatten().collect();
    if missing.is_empty() {
        return "device and libraries are there, but this build has no session support for it"
            .into();
    }
    missing.join(", and ")
}

fn find_library(sys: &Sysroot, spec: &AcceleratorSpec, name: &str) -> Option<String> {
    let dirs = spec
        .library_dirs
        .iter()
        .map(String::as_str)
        .chain(LIBRARY_DIRS);
    dirs.map(|dir| format!("{dir}/{name}"))
        .find(|path| sys.exists(path))
}
