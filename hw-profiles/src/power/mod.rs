//! The power policy: readings in, level and plan out. Pure: time is an argument.
//!
//! Each reading demands a [`Level`]; the strictest demand counts. What was measured is noisy: a stricter level is taken
//! at once, but back to a more generous one it goes a level at a time, and only when for [`PowerState::calm`] without a
//! break even readings worse by a margin would have allowed it. A level that had to be taken again soon after it was
//! left is left later the next time. What the vehicle or the system orders is no noise and is obeyed at once both ways.

mod demand;
mod limits;
mod plan;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::choice::Choice;
use crate::cpulist::CpuList;
use crate::readings::Readings;
use crate::thermal::ThermalLimits;
use demand::Margin;

pub use limits::{BatteryLimits, PowerLimits, PressureLimits};
pub use plan::{Listening, Plan, SchedulingClass};

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
    /// Nothing: the microphone is closed. Never from what was measured, only by order.
    Paused,
}

impl Level {
    /// All levels, from most to least.
    pub const ALL: [Level; 5] = [
        Level::Performance,
        Level::Balanced,
        Level::Saver,
        Level::Critical,
        Level::Paused,
    ];

    fn gentler(self) -> Level {
        match self {
            Level::Paused => Level::Critical,
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
            Level::Paused => "paused",
        })
    }
}

/// A level and the sentence that says what brought it.
type Demand = (Level, String);

/// Thresholds of the policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Trip points of the machine.
    pub thermal: ThermalLimits,
    /// Everything else, from the profile.
    pub limits: PowerLimits,
    /// Processors whose load and frequency count: those that the work runs on. None: all.
    pub cpus: CpuList,
}

/// A level taken again within so long after it was left is left later the next time; so long without that, and it is
/// left as early as ever.
const RELAPSE: Duration = Duration::from_secs(300);
/// How many times the ordinary calm is the longest that is ever asked for.
const LONGEST_CALM: u32 = 8;

/// A level and why, kept from reading to reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PowerState {
    /// The level in force.
    pub level: Level,
    /// What brought it, a sentence.
    pub why: String,
    /// What was measured alone would bring this level, and why.
    measured: Demand,
    /// How long it must have been calm before a gentler level is taken.
    calm: Option<Duration>,
    /// Since when a gentler level would have held, on the clock of the caller.
    calm_since: Option<Duration>,
    /// Which level was last left for a gentler one, and when; nothing once it was taken again.
    left: Option<(Level, Duration)>,
    /// When a level was last taken again too soon.
    relapsed_at: Option<Duration>,
}

impl PowerState {
    /// Where every machine starts.
    pub fn start() -> PowerState {
        let measured = (Level::Balanced, "the level to start from".to_owned());
        PowerState {
            level: measured.0,
            why: measured.1.clone(),
            measured,
            calm: None,
            calm_since: None,
            left: None,
            relapsed_at: None,
        }
    }

    /// How long it must have been calm before a gentler level is taken; `None` before there was anything to calm down
    /// from, when the profile's time counts.
    pub fn calm(&self) -> Option<Duration> {
        self.calm
    }
}

impl Policy {
    /// The policy for the machine of `choice`.
    pub fn new(choice: &Choice) -> Policy {
        Policy {
            thermal: choice.thermal,
            limits: choice.profile.power,
            cpus: choice.scheduling.balanced.clone(),
        }
    }

    /// The state after `readings` taken at `now`, a clock that never goes back.
    pub fn step(&self, state: &PowerState, now: Duration, readings: &Readings) -> PowerState {
        let mut next = self.weigh(state, now, readings);
        let (level, why) = match demand::ordered(readings) {
            Some(order) if order.0 > next.measured.0 => order,
            _ => next.measured.clone(),
        };
        next.level = level;
        next.why = why;
        next
    }

    /// The measured level after readings; `level` and `why` are still the old ones.
    fn weigh(&self, state: &PowerState, now: Duration, readings: &Readings) -> PowerState {
        let level = state.measured.0;
        let demanded = self.demand(readings, &Margin::NONE);
        if demanded.0 > level {
            return self.restrained(state, now, demanded);
        }
        let (cautious, _) = self.demand(readings, &Margin::CAUTION);
        if cautious >= level {
            return PowerState {
                calm_since: None,
                ..state.clone()
            };
        }
        let since = state.calm_since.unwrap_or(now);
        let calm = state.calm.unwrap_or(self.limits.calm());
        if now.saturating_sub(since) < calm {
            return PowerState {
                calm_since: Some(since),
                ..state.clone()
            };
        }
        let why = format!("nothing has called for {level} for {} s", calm.as_secs());
        PowerState {
            measured: (level.gentler(), why),
            calm_since: Some(now),
            left: Some((level, now)),
            ..state.clone()
        }
    }

    /// A stricter level at once. If it was left not long ago, that was too early: the next time it takes longer.
    fn restrained(&self, state: &PowerState, now: Duration, demanded: Demand) -> PowerState {
        let ordinary = self.limits.calm();
        let relapse = state
            .left
            .is_some_and(|(level, at)| demanded.0 >= level && now.saturating_sub(at) < RELAPSE);
        let recent = state
            .relapsed_at
            .is_some_and(|at| now.saturating_sub(at) < RELAPSE + LONGEST_CALM * ordinary);
        let known = state.calm.filter(|_| recent).unwrap_or(ordinary);
        let calm = if relapse { 2 * known } else { known };
        PowerState {
            measured: demanded,
            calm: Some(calm.min(LONGEST_CALM * ordinary)),
            calm_since: None,
            left: state.left.filter(|_| !relapse),
            relapsed_at: if relapse {
                Some(now)
            } else {
                state.relapsed_at
            },
            ..state.clone()
        }
    }
}
