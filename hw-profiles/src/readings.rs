//! Live readings for the power policy.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sysinfo::{MemoryRefreshKind, System};

use crate::choice::Choice;
use crate::power::Supply;
use crate::sysroot::Sysroot;
use crate::thermal::{ThermalZone, zones};

const SUPPLIES: &str = "/sys/class/power_supply";

/// What was measured at one moment; `None` where the machine does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// Hottest watched zone, °C.
    pub temperature_c: Option<f32>,
    /// Share of all processors that is busy, 0 to 1.
    pub load: Option<f32>,
    /// Share of the last ten seconds in which something waited for a processor, 0 to 1
    /// (`/proc/pressure/cpu`, some avg10).
    pub pressure: Option<f32>,
    /// Where the power comes from.
    pub supply: Supply,
    /// Memory that could be had without swapping, MiB.
    pub available_mib: Option<u64>,
    /// Steps of the recogniser that took longer than the audio they covered, since the last reading.
    pub missed_deadlines: u32,
}

/// Takes readings of the machine below a root. Load and memory come from the running system and are left
/// out when the root is a fixture's.
#[derive(Debug)]
pub struct Sampler {
    root: Sysroot,
    zones: Vec<ThermalZone>,
    live: Option<System>,
}

impl Sampler {
    /// A sampler for `root` that watches the zones of `choice`.
    pub fn new(root: &Path, choice: &Choice) -> Sampler {
        let sys = Sysroot::new(root);
        let watched = zones(&sys)
            .into_iter()
            .filter(|zone| choice.thermal_zones.contains(&zone.id))
            .collect();
        let live = (root == Path::new("/"))
            .then(|| System::new().ok())
            .flatten();
        Sampler {
            root: sys,
            zones: watched,
            live,
        }
    }

    /// Reads once. The load is that since the last call; the first call gives none.
    pub fn read(&mut self, missed_deadlines: u32) -> Readings {
        let (load, available_mib) = self.live.as_mut().map(load_and_memory).unwrap_or_default();
        Readings {
            temperature_c: self
                .zones
                .iter()
                .filter_map(|zone| zone.temperature(&self.root))
                .reduce(f32::max),
            load,
            pressure: pressure(&self.root),
            supply: supply(&self.root),
            available_mib,
            missed_deadlines,
        }
    }
}

fn load_and_memory(system: &mut System) -> (Option<f32>, Option<u64>) {
    let first = system.cpus().is_empty();
    system.refresh_cpu_usage();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let load = (!first).then(|| system.global_cpu_usage() / 100.0);
    (
        load.filter(|load| load.is_finite()),
        Some(system.available_memory() / (1024 * 1024)),
    )
}

/// `some avg10=1.77 avg60=1.35 avg300=12.38 total=841566173`
fn pressure(root: &Sysroot) -> Option<f32> {
    let text = root.text("/proc/pressure/cpu")?;
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let percent: f32 = some
        .split(' ')
        .find_map(|word| word.strip_prefix("avg10="))?
        .parse()
        .ok()?;
    Some(percent / 100.0)
}

/// A battery counts only while it is being emptied; a machine without any is on external power.
fn supply(root: &Sysroot) -> Supply {
    let field = |name: &str, field: &str| root.text(&format!("{SUPPLIES}/{name}/{field}"));
    let names = root.names(SUPPLIES);
    let system_battery = |name: &&String| {
        field(name, "type").as_deref() == Some("Battery")
            && field(name, "scope").as_deref() != Some("Device")
    };
    let Some(battery) = names.iter().find(system_battery) else {
        return Supply::External;
    };
    if field(battery, "status").as_deref() != Some("Discharging") {
        return Supply::External;
    }
    Supply::Battery {
        percent: field(battery, "capacity")
            .and_then(|text| text.parse().ok())
            .filter(|p| *p <= 100),
    }
}
