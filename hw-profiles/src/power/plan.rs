//! What a level means on a machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Level;
use crate::choice::Choice;
use crate::cpulist::CpuList;
use crate::precision::Precision;

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
    /// In none.
    Nothing,
}

/// How the kernel schedules the thread that computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulingClass {
    /// As any thread (`SCHED_OTHER`).
    Normal,
    /// Never before an interactive thread (`SCHED_BATCH`).
    Batch,
}

/// What a level means on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The level it belongs to.
    pub level: Level,
    /// Variant of the acoustic model.
    pub precision: Precision,
    /// Processors for the inference thread while a command is heard.
    pub cpus: CpuList,
    /// Processors for it in silence, and in talk that is looked through for a wake phrase: the weakest.
    pub quiet_cpus: CpuList,
    /// How it is scheduled.
    pub class: SchedulingClass,
    /// In which ways the assistant may be addressed.
    pub listening: Listening,
    /// Sound that is taken at a time while nobody speaks, milliseconds: fewer wake-ups for noticing a voice later.
    pub rest_ms: u32,
}

impl Plan {
    /// The plan of a level on the machine of `choice`.
    pub fn new(level: Level, choice: &Choice) -> Plan {
        let s = &choice.scheduling;
        let (cpus, class, listening, rest_ms) = match level {
            Level::Performance => (&s.performance, SchedulingClass::Normal, Listening::All, 60),
            Level::Balanced => (&s.balanced, SchedulingClass::Normal, Listening::All, 90),
            Level::Saver => (&s.saver, SchedulingClass::Batch, Listening::Wake, 180),
            Level::Critical => (&s.saver, SchedulingClass::Batch, Listening::PushToTalk, 180),
            Level::Paused => (&s.saver, SchedulingClass::Batch, Listening::Nothing, 180),
        };
        Plan {
            level,
            precision: choice.variant(level),
            cpus: cpus.clone(),
            quiet_cpus: s.saver.clone(),
            class,
            listening,
            rest_ms,
        }
    }

    /// [`Plan::rest_ms`] as a time.
    pub fn rest(&self) -> Duration {
        Duration::from_millis(self.rest_ms.into())
    }
}
