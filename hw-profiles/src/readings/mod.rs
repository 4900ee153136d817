//! Live readings for the power policy.

mod cores;
mod supply;
pub mod trace;
mod vehicle;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::choice::Choice;
use crate::sysroot::Sysroot;
use crate::thermal::{ThermalZone, zones};
use cores::Cores;

pub use cores::CoreReading;
pub use supply::Supply;
pub use vehicle::{LowVoltageState, NoVehicleValue, VehicleState};

/// What was measured at one moment; `None` where the machine does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    /// Hottest watched zone, °C.
    pub temperature_c: Option<f32>,
    /// Each processor on line.
    pub cores: Vec<CoreReading>,
    /// What something waited for.
    pub pressure: Pressure,
    /// Where the power comes from.
    pub supply: Supply,
    /// Memory that could be had without swapping, MiB.
    pub available_mib: Option<u64>,
    /// Steps of the recogniser that took longer than the audio they covered, since the last reading.
    pub missed_deadlines: u32,
    /// What the vehicle says.
    pub vehicle: VehicleState,
    /// Where the system is going.
    pub system: SystemState,
}

/// Pressure stall information: shares of the last ten seconds in which some task waited, 0 to 1 (`some avg10` of
/// `/proc/pressure/…`, Linux `Documentation/accounting/psi.rst`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// For a processor.
    pub cpu: Option<f32>,
    /// For memory.
    pub memory: Option<f32>,
}

/// Whether the machine goes on running.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemState {
    /// It does.
    #[default]
    Running,
    /// It is about to be suspended.
    Suspending,
    /// It is about to be shut down.
    ShuttingDown,
}

/// Takes readings of the machine below a root.
#[derive(Debug)]
pub struct Sampler {
    root: Sysroot,
    zones: Vec<ThermalZone>,
    cores: Cores,
}

impl Sampler {
    /// A sampler for `root` that watches the zones of `choice`.
    pub fn new(root: &Path, choice: &Choice) -> Sampler {
        let sys = Sysroot::new(root);
        let watched = zones(&sys)
            .into_iter()
            .filter(|zone| choice.thermal_zones.contains(&zone.id))
            .collect();
        Sampler {
            root: sys,
            zones: watched,
            cores: Cores::default(),
        }
    }

    /// Reads everything that stands below the root once; what the bus tells keeps its default. Loads are those since
    /// the last call; the first call gives none.
    pub fn read(&mut self) -> Readings {
        Readings {
            temperature_c: self
                .zones
                .iter()
                .filter_map(|zone| zone.temperature(&self.root))
                .reduce(f32::max),
            cores: self.cores.read(&self.root),
            pressure: Pressure {
                cpu: pressure(&self.root, "cpu"),
                memory: pressure(&self.root, "memory"),
            },
            supply: Supply::read(&self.root),
            available_mib: available_mib(&self.root),
            ..Readings::default()
        }
    }
}

/// `some avg10=1.77 avg60=1.35 avg300=12.38 total=841566173`
fn pressure(root: &Sysroot, resource: &str) -> Option<f32> {
    let text = root.text(&format!("/proc/pressure/{resource}"))?;
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let percent: f32 = some
        .split(' ')
        .find_map(|word| word.strip_prefix("avg10="))?
        .parse()
        .ok()?;
    Some(percent / 100.0)
}

/// `MemAvailable:    8123340 kB`
fn available_mib(root: &Sysroot) -> Option<u64> {
    let text = root.text("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}
