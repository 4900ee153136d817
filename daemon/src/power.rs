//! How much may be asked of the machine: readings every few seconds, the policy's level, and what the worker makes of it.

use crate::command::Refusal;
use crate::config::{Hardware, ListenMode};
use crate::handle::Handle;
use crate::processors::Processors;
use crate::status::Board;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use vocar_hw::power::{Listening, Policy, PowerState};
use vocar_hw::{Choice, Level, Plan, Sampler};

/// Time between two readings.
const PERIOD: Duration = Duration::from_secs(3);

/// Takes readings and tells the worker of every other level, until dropped. A level that was configured is not watched.
pub async fn watch(settings: Hardware, board: Arc<Board>, worker: Handle) {
    if settings.power_level.fixed().is_some() {
        return;
    }
    let choice = crate::hardware::choose(&settings);
    let policy = Policy::new(&choice);
    let mut sampler = Sampler::new(&settings.sysroot, &choice);
    let mut state = PowerState::start();
    let mut told = state.level;
    let mut late = 0;
    let begin = Instant::now();
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        tick.tick().await;
        let total = board.counters.late.load(Ordering::Relaxed);
        let missed = u32::try_from(total - late).unwrap_or(u32::MAX);
        late = total;
        // A sensor behind a slow bus may take its time; the message bus must not wait for it.
        let reading = tokio::task::spawn_blocking(move || {
            let readings = sampler.read(missed);
            (sampler, readings)
        });
        let Ok((back, readings)) = reading.await else {
            tracing::error!("reading the temperature failed; the power level stays");
            return;
        };
        sampler = back;
        state = policy.step(&state, begin.elapsed(), &readings);
        if state.level != told && worker.power(state.level, state.why.clone()) {
            told = state.level;
        }
    }
}

/// The level in force and what it means, on the thread that it is about.
#[derive(Debug)]
pub struct Power {
    choice: Choice,
    plan: Plan,
    why: String,
    processors: Option<Processors>,
}

impl Power {
    /// The level at the start: the configured one, or the one before the first reading. To be made on the thread that
    /// computes: it is confined to the plan's processors.
    #[must_use]
    pub fn new(settings: &Hardware, choice: Choice) -> Self {
        let processors = Processors::of_this_thread()
            .inspect_err(|error| tracing::warn!("processors are not chosen: {error}"))
            .ok();
        let (level, why) = initial(settings);
        let power = Self {
            plan: Plan::new(level, &choice),
            choice,
            why,
            processors,
        };
        power.confine();
        power
    }

    /// Takes another machine or another configured level.
    pub fn replace(&mut self, settings: &Hardware, choice: Choice) {
        self.choice = choice;
        let (level, why) = initial(settings);
        self.enter(level, why);
    }

    /// Takes another level.
    pub fn enter(&mut self, level: Level, why: String) {
        self.plan = Plan::new(level, &self.choice);
        self.why = why;
        self.confine();
    }

    /// The machine.
    #[must_use]
    pub const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// The level in force.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.plan.level
    }

    /// What brought it.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What Health says of it: well as long as every way of listening is open.
    #[must_use]
    pub fn health(&self) -> String {
        let open = match self.plan.listening {
            Listening::All => return crate::status::OK.into(),
            Listening::Wake => "wake phrase and push-to-talk only",
            Listening::PushToTalk => "push-to-talk only",
        };
        format!("{open} at power level {}: {}", self.plan.level, self.why)
    }

    /// Whether the level lets this way of listening be used.
    ///
    /// # Errors
    /// [`Refusal::PowerLimited`].
    pub fn allows(&self, mode: ListenMode) -> Result<(), Refusal> {
        let allowed = match mode {
            ListenMode::PushToTalk => true,
            ListenMode::Wake => self.plan.listening != Listening::PushToTalk,
            ListenMode::OpenMic => self.plan.listening == Listening::All,
        };
        if allowed {
            return Ok(());
        }
        Err(Refusal::PowerLimited {
            mode: mode.name(),
            level: self.plan.level,
            why: self.why.clone(),
        })
    }

    /// Runs the calling thread where the profile wants it. A profile without a wish leaves the thread where it is.
    fn confine(&self) {
        let Some(processors) = &self.processors else {
            return;
        };
        if self.choice.profile.scheduling.balanced.is_empty() {
            return;
        }
        match processors.confine(&self.plan.cpus) {
            Ok(cpus) => tracing::debug!(%cpus, level = %self.plan.level, "processors"),
            Err(error) => {
                tracing::warn!(
                    "processors {} are not taken: {error}; the unit must allow sched_setaffinity",
                    self.plan.cpus
                );
            }
        }
    }
}

fn initial(settings: &Hardware) -> (Level, String) {
    match settings.power_level.fixed() {
        Some(level) => (level, "hardware.power_level names it".into()),
        None => {
            let start = PowerState::start();
            (start.level, start.why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PowerChoice;

    #[test]
    fn each_level_opens_its_ways_of_listening() {
        let modes = [
            ListenMode::PushToTalk,
            ListenMode::Wake,
            ListenMode::OpenMic,
        ];
        for (power_level, open) in [
            (PowerChoice::Auto, [true, true, true]),
            (PowerChoice::Performance, [true, true, true]),
            (PowerChoice::Balanced, [true, true, true]),
            (PowerChoice::Saver, [true, true, false]),
            (PowerChoice::Critical, [true, false, false]),
        ] {
            let settings = Hardware {
                power_level,
                ..Hardware::default()
            };
            let choice = crate::hardware::choose(&settings);
            let power = std::thread::spawn(move || Power::new(&settings, choice))
                .join()
                .unwrap();
            assert_eq!(modes.map(|mode| power.allows(mode).is_ok()), open);
            assert_eq!(
                power.health() == "ok",
                open == [true, true, true],
                "{}",
                power.health()
            );
        }
    }
}
