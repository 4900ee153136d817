//! What each reading demands, in words.

use super::{Demand, Level, Policy, PressureLimits};
use crate::readings::{CoreReading, LowVoltageState, Readings, Supply, SystemState};
use crate::thermal::ThermalLimits;

/// How much worse readings are supposed to be when asking whether a gentler level would hold.
pub(super) struct Margin {
    celsius: f32,
    share: f32,
    percent: u8,
    mib: u64,
}

impl Margin {
    pub const CAUTION: Margin = Margin {
        celsius: 5.0,
        share: 0.10,
        percent: 5,
        mib: 32,
    };
    pub const NONE: Margin = Margin {
        celsius: 0.0,
        share: 0.0,
        percent: 0,
        mib: 0,
    };
}

/// What vehicle and system order, the strictest order alone.
pub(super) fn ordered(readings: &Readings) -> Option<Demand> {
    let orders = [
        by_system(readings.system),
        by_ignition(readings.vehicle.low_voltage),
        by_optimisation(readings.vehicle.optimise),
    ];
    strictest(orders.into_iter().flatten())
}

fn strictest(demands: impl Iterator<Item = Demand>) -> Option<Demand> {
    demands.reduce(|most, demand| if demand.0 > most.0 { demand } else { most })
}

fn by_system(state: SystemState) -> Option<Demand> {
    let going = match state {
        SystemState::Running => return None,
        SystemState::Suspending => "the machine is being suspended",
        SystemState::ShuttingDown => "the machine is being shut down",
    };
    Some((Level::Paused, going.into()))
}

/// Locked, nobody is there to speak; off, somebody may still press the button; from accessory power the battery is
/// emptied; while the engine is cranked it has no volt to spare.
fn by_ignition(state: Option<LowVoltageState>) -> Option<Demand> {
    let state = state?;
    let level = match state {
        LowVoltageState::Lock => Level::Paused,
        LowVoltageState::Off => Level::Critical,
        LowVoltageState::Acc | LowVoltageState::Start => Level::Balanced,
        LowVoltageState::On | LowVoltageState::Undefined => return None,
    };
    let name = state.name();
    Some((
        level,
        format!("the vehicle says LowVoltageSystemState {name}"),
    ))
}

/// VSS: 0 is all functions, 10 essential ones only.
fn by_optimisation(level: Option<u8>) -> Option<Demand> {
    let asked = level?;
    let level = match asked {
        0 => return None,
        1..=3 => Level::Balanced,
        4..=6 => Level::Saver,
        7..=9 => Level::Critical,
        _ => Level::Paused,
    };
    Some((
        level,
        format!("the vehicle says PowerOptimizeLevel {asked} of 10"),
    ))
}

impl Policy {
    /// The strictest level any measurement demands, and that measurement in words.
    pub(super) fn demand(&self, readings: &Readings, margin: &Margin) -> Demand {
        let demands = [
            self.by_temperature(readings, margin),
            self.by_supply(readings, margin),
            pressed(
                readings.pressure.cpu,
                self.limits.cpu_pressure,
                margin,
                "a processor",
            ),
            pressed(
                readings.pressure.memory,
                self.limits.memory_pressure,
                margin,
                "memory",
            ),
            self.by_load(readings, margin),
            self.by_frequency(readings, margin),
            self.by_memory(readings, margin),
            self.by_deadlines(readings),
        ];
        strictest(demands.into_iter().flatten())
            .unwrap_or((Level::Performance, "nothing calls for restraint".to_owned()))
    }

    fn by_temperature(&self, readings: &Readings, margin: &Margin) -> Option<Demand> {
        let measured = readings.temperature_c?;
        let at = measured + margin.celsius;
        let ThermalLimits {
            passive_c,
            critical_c,
        } = self.thermal;
        let level = match () {
            () if at >= critical_c - 5.0 => Level::Critical,
            () if at >= passive_c => Level::Saver,
            () if at >= passive_c - 10.0 => Level::Balanced,
            () => return None,
        };
        Some((
            level,
            format!(
                "{measured:.0} °C, where the processor is slowed from {passive_c:.0} and the machine powers off at {critical_c:.0}"
            ),
        ))
    }

    fn by_supply(&self, readings: &Readings, margin: &Margin) -> Option<Demand> {
        let Supply::Battery { percent } = readings.supply else {
            return None;
        };
        let Some(percent) = percent else {
            return Some((Level::Balanced, "runs on a battery".into()));
        };
        let left = percent.saturating_sub(margin.percent);
        let level = match self.limits.battery {
            limits if left < limits.critical => Level::Critical,
            limits if left < limits.saver => Level::Saver,
            _ => Level::Balanced,
        };
        Some((level, format!("runs on a battery with {percent} % left")))
    }

    /// The cores that count, of those that were read.
    fn cores<'a>(&'a self, readings: &'a Readings) -> impl Iterator<Item = &'a CoreReading> {
        let counts = |core: &&CoreReading| self.cpus.is_empty() || self.cpus.contains(core.cpu);
        readings.cores.iter().filter(counts)
    }

    fn by_load(&self, readings: &Readings, margin: &Margin) -> Option<Demand> {
        let loads: Vec<f32> = self
            .cores(readings)
            .filter_map(|core| core.load.filter(|load| load.is_finite()))
            .collect();
        if loads.is_empty() {
            return None;
        }
        let measured = loads.iter().sum::<f32>() / loads.len() as f32;
        let busy = measured + margin.share >= self.limits.busy;
        busy.then(|| {
            (
                Level::Balanced,
                format!("the processors are {:.0} % busy", 100.0 * measured),
            )
        })
    }

    /// Somebody (the kernel's cooling, the platform, an administrator) holds the processors back: no time for the
    /// strongest ones.
    fn by_frequency(&self, readings: &Readings, margin: &Margin) -> Option<Demand> {
        let allowed = self.cores(readings).filter_map(|core| core.allowed);
        let measured = allowed.reduce(f32::min)?;
        let held_back = measured - margin.share < self.limits.held_back;
        held_back.then(|| {
            (
                Level::Balanced,
                format!(
                    "a processor may run at {:.0} % of its highest frequency",
                    100.0 * measured
                ),
            )
        })
    }

    fn by_memory(&self, readings: &Readings, margin: &Margin) -> Option<Demand> {
        let measured = readings.available_mib?;
        let scarce = measured < self.limits.available_mib + margin.mib;
        scarce.then(|| {
            (
                Level::Saver,
                format!("only {measured} MiB of memory are left"),
            )
        })
    }

    /// A single late step is bad luck; several since the last reading say that open listening cannot be kept up.
    fn by_deadlines(&self, readings: &Readings) -> Option<Demand> {
        let late = readings.missed_deadlines;
        (late >= self.limits.late_steps)
            .then(|| (Level::Saver, format!("{late} steps came too late")))
    }
}

fn pressed(
    measured: Option<f32>,
    limits: PressureLimits,
    margin: &Margin,
    what: &str,
) -> Option<Demand> {
    let measured = measured.filter(|share| share.is_finite())?;
    // Half of a low limit is margin enough.
    let over = |limit: f32| measured >= limit - margin.share.min(limit / 2.0);
    let level = match () {
        () if over(limits.saver) => Level::Saver,
        () if over(limits.balanced) => Level::Balanced,
        () => return None,
    };
    Some((
        level,
        format!(
            "something waited for {what} {:.0} % of the time",
            100.0 * measured
        ),
    ))
}
