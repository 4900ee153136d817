//! At which readings the policy steps in; a profile may set its own.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of the power policy besides temperatures, `[power]` in a profile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PowerLimits {
    /// Share (0 to 1) of the processors that the work runs on; busier, and the strongest cores are left to others.
    pub busy: f32,
    /// A core whose highest allowed frequency is below this share (0 to 1) of what it can is being held back.
    pub held_back: f32,
    /// Waiting for a processor.
    pub cpu_pressure: PressureLimits,
    /// Waiting for memory.
    pub memory_pressure: PressureLimits,
    /// Charge of a battery that is being emptied.
    pub battery: BatteryLimits,
    /// Memory in MiB below which the assistant saves.
    pub available_mib: u64,
    /// Late steps between two readings from which it saves.
    pub late_steps: u32,
    /// Seconds without a break in which a gentler level would have held before it is taken.
    pub calm_s: u32,
}

/// Shares (0 to 1) of the last ten seconds in which something waited.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PressureLimits {
    /// From here on balanced.
    pub balanced: f32,
    /// From here on saver.
    pub saver: f32,
}

/// Per cent of charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatteryLimits {
    /// Below this saver.
    pub saver: u8,
    /// Below this critical.
    pub critical: u8,
}

impl Default for PowerLimits {
    fn default() -> Self {
        PowerLimits {
            busy: 0.85,
            held_back: 0.5,
            cpu_pressure: PressureLimits {
                balanced: 0.25,
                saver: 0.60,
            },
            memory_pressure: PressureLimits {
                balanced: 0.10,
                saver: 0.30,
            },
            battery: BatteryLimits {
                saver: 30,
                critical: 10,
            },
            available_mib: 64,
            late_steps: 5,
            calm_s: 30,
        }
    }
}

impl PowerLimits {
    pub(crate) fn calm(&self) -> Duration {
        Duration::from_secs(self.calm_s.into())
    }

    /// What makes no sense, if anything: field and problem.
    pub(crate) fn nonsense(&self) -> Option<(&'static str, String)> {
        let share = |value: f32| value > 0.0 && value <= 1.0;
        let ordered = |limits: PressureLimits| {
            share(limits.balanced) && share(limits.saver) && limits.balanced <= limits.saver
        };
        let rules = [
            ("power.busy", share(self.busy), "is a share, 0 to 1"),
            (
                "power.held_back",
                share(self.held_back),
                "is a share, 0 to 1",
            ),
            (
                "power.cpu_pressure",
                ordered(self.cpu_pressure),
                "needs 0 < balanced <= saver <= 1",
            ),
            (
                "power.memory_pressure",
                ordered(self.memory_pressure),
                "needs 0 < balanced <= saver <= 1",
            ),
            (
                "power.battery",
                self.battery.critical <= self.battery.saver && self.battery.saver <= 100,
                "needs critical <= saver <= 100",
            ),
            ("power.late_steps", self.late_steps > 0, "is at least 1"),
            (
                "power.calm_s",
                (1..=600).contains(&self.calm_s),
                "is within 1..=600",
            ),
        ];
        rules
            .into_iter()
            .find(|(_, holds, _)| !holds)
            .map(|(field, _, problem)| (field, problem.to_owned()))
    }
}
