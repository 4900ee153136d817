//! The power policy: readings in, level and plan out. Pure: time is an argument.
//!
//! Each reading demands a [`Level`]; the strictest demand counts. A stricter level is taken at once. Back to
//! a more generous one it goes a level at a time, and only when for [`Policy::calm`] without a break even
//! readings worse by a margin would have allowed it: that is what keeps the level from swinging.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::choice::Choice;
use crate::cpulist::CpuList;
use crate::precision::Precision;
use crate::readings::Readings;
use crate::thermal::ThermalLimits;

/// How much the assistant may ask of the machine, from most to least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything: the strongest cores.
    Performance,
    /// The ordinary level of a machine with other work to do.
    Balanced,
    /// Weak cores, listening for the wake phrase only.
    Saver,
    /// Only when the button is pushed.
    Critical,
}

impl Level {
    fn gentler(self) -> Level {
        match self {
            Level::Critical => Level::Saver,
            Level::Saver => Level::Balanced,
            Level::Balanced | Level::Performance => Level::Performance,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Performance => "performance",
            Level::Balanced => "balanced",
            Level::Saver => "saver",
            Level::Critical => "critical",
        })
    }
}

/// Where the power comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Supply {
    /// Generator or mains.
    #[default]
    External,
    /// A battery being emptied, and what is left of it where known (0 to 100).
    Battery {
        /// Charge left.
        percent: Option<u8>,
    },
}

/// In which ways the assistant may be addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listening {
    /// All: open microphone, wake phrase, button.
    All,
    /// Wake phrase and button.
    Wake,
    /// Button only.
    PushToTalk,
}

/// What a level means on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The level it belongs to.
    pub level: Level,
    /// Precision of the acoustic model.
    pub precision: Precision,
    /// Model steps that are gathered before they are run: fewer wake-ups for a later answer.
    pub steps_at_once: u32,
    /// Processors for the inference thread.
    pub cpus: CpuList,
    /// In which ways the assistant may be addressed.
    pub listening: Listening,
}

impl Plan {
    /// The plan of a level on the machine of `choice`.
    pub fn new(level: Level, choice: &Choice) -> Plan {
        let s = &choice.scheduling;
        let (cpus, steps_at_once, listening) = match level {
            Level::Performance => (&s.performance, 1, Listening::All),
            Level::Balanced => (&s.balanced, 1, Listening::All),
            Level::Saver => (&s.saver, 2, Listening::Wake),
            Level::Critical => (&s.saver, 2, Listening::PushToTalk),
        };
        Plan {
            level,
            precision: choice.precision,
            steps_at_once,
            cpus: cpus.clone(),
            listening,
        }
    }
}

/// Thresholds of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Trip points of the machine.
    pub thermal: ThermalLimits,
    /// How long it must have been calm before a gentler level is taken.
    pub calm: Duration,
}

/// How much worse readings are supposed to be when asking whether a gentler level would hold.
const MARGIN: Margin = Margin {
    celsius: 5.0,
    share: 0.10,
    percent: 5,
    mib: 32,
};

const NO_MARGIN: Margin = Margin {
    celsius: 0.0,
    share: 0.0,
    percent: 0,
    mib: 0,
};

struct Margin {
    celsius: f32,
    share: f32,
    percent: u8,
    mib: u64,
}

/// A level and why, kept from reading to reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PowerState {
    /// The level in force.
    pub level: Level,
    /// What brought it, a sentence.
    pub why: String,
    /// Since when a gentler level would have held, on the clock of the caller.
    calm_since: Option<Duration>,
}

impl PowerState {
    /// Where every machine starts.
    pub fn start() -> PowerState {
        PowerState {
            level: Level::Balanced,
            why: "start".into(),
            calm_since: None,
        }
    }
}

impl Policy {
    /// The policy for the machine of `choice`.
    pub fn new(choice: &Choice) -> Policy {
        Policy {
            thermal: choice.thermal,
            calm: Duration::from_secs(30),
        }
    }

    /// The state after `readings` taken at `now`, a clock that never goes back.
    pub fn step(&self, state: &PowerState, now: Duration, readings: &Readings) -> PowerState {
        let (demanded, why) = self.demand(readings, &NO_MARGIN);
        if demanded > state.level {
            return PowerState {
                level: demanded,
                why,
                calm_since: None,
            };
        }
        let (cautious, _) = self.demand(readings, &MARGIN);
        if cautious >= state.level {
            return PowerState {
                calm_since: None,
                ..state.clone()
            };
        }
        let since = state.calm_since.unwrap_or(now);
        if now.saturating_sub(since) < self.calm {
            return PowerState {
                calm_since: Some(since),
                ..state.clone()
            };
        }
        let why = format!(
            "nothing has called for {} for {} s",
            state.level,
            self.calm.as_secs()
        );
        PowerState {
            level: state.level.gentler(),
            why,
            calm_since: Some(now),
        }
    }

    /// The strictest level any reading demands, and that reading in words.
    fn demand(&self, readings: &Readings, margin: &Margin) -> (Level, String) {
        let demands = [
            self.by_temperature(readings, margin),
            by_supply(readings, margin),
            by_pressure(readings, margin),
            by_load(readings, margin),
            by_memory(readings, margin),
            by_deadlines(readings),
        ];
        let nothing = (Level::Performance, "nothing calls for restraint".to_owned());
        demands.into_iter().flatten().fold(
            nothing,
            |most, demand| if demand.0 > most.0 { demand } else { most },
        )
    }

    fn by_temperature(&self, readings: &Readings, margin: &Margin) -> Option<(Level, String)> {
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
}

fn by_supply(readings: &Readings, margin: &Margin) -> Option<(Level, String)> {
    let Supply::Battery { percent } = readings.supply else {
        return None;
    };
    let Some(percent) = percent else {
        return Some((Level::Balanced, "runs on a battery".into()));
    };
    let level = match percent.saturating_sub(margin.percent) {
        0..=9 => Level::Critical,
        10..=29 => Level::Saver,
        _ => Level::Balanced,
    };
    Some((level, format!("runs on a battery with {percent} % left")))
}

fn by_pressure(readings: &Readings, margin: &Margin) -> Option<(Level, String)> {
    let measured = readings.pressure.filter(|share| share.is_finite())?;
    let level = match measured + margin.share {
        share if share >= 0.60 => Level::Saver,
        share if share >= 0.25 => Level::Balanced,
        _ => return None,
    };
    Some((
        level,
        format!(
            "something waited for a processor {:.0} % of the time",
            100.0 * measured
        ),
    ))
}

fn by_load(readings: &Readings, margin: &Margin) -> Option<(Level, String)> {
    let measured = readings.load.filter(|share| share.is_finite())?;
    let busy = measured + margin.share >= 0.85;
    busy.then(|| {
        (
            Level::Balanced,
            format!("the processors are {:.0} % busy", 100.0 * measured),
        )
    })
}

fn by_memory(readings: &Readings, margin: &Margin) -> Option<(Level, String)> {
    let measured = readings.available_mib?;
    let scarce = measured < 64 + margin.mib;
    scarce.then(|| {
        (
            Level::Saver,
            format!("only {measured} MiB of memory are left"),
        )
    })
}

/// A single late step is bad luck; several since the last reading say that open listening cannot be kept up.
fn by_deadlines(readings: &Readings) -> Option<(Level, String)> {
    let late = readings.missed_deadlines;
    (late >= 5).then(|| (Level::Saver, format!("{late} steps came too late")))
}
