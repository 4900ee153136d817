//! The level in force and what it means, on the thread that it is about.

use crate::command::Refusal;
use crate::config::{Hardware, ListenMode};
use crate::processors::{Processors, schedule};
use serde_json::{Value, json};
use std::time::Duration;
use vocar_hw::power::{Listening, PowerState};
use vocar_hw::{Choice, CpuList, Level, Plan};

/// Why a configured level is in force.
pub(super) const CONFIGURED: &str = "hardware.power_level names it";

/// The level in force and what it means, on the thread that it is about.
#[derive(Debug)]
pub struct Power {
    choice: Choice,
    plan: Plan,
    why: String,
    processors: Option<Processors>,
    /// A command is heard: the plan's processors rather than those for silence and talk.
    working: bool,
    /// What of the plan the system refused.
    refused: Vec<String>,
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
        let mut power = Self {
            plan: Plan::new(level, &choice),
            choice,
            why,
            processors,
            working: false,
            refused: Vec::new(),
        };
        power.apply();
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
        self.apply();
    }

    /// A command is being heard, or no longer: the strong processors are only for the former.
    pub fn work(&mut self, working: bool) {
        if working != self.working {
            self.working = working;
            if let Err(error) = self.confine() {
                tracing::debug!("processors: {error}");
            }
        }
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

    /// What the level means here.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What brought it.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// How long a listening thread may rest at a time while nobody speaks.
    #[must_use]
    pub fn rest(&self) -> Duration {
        self.plan.rest()
    }

    /// What Health says of it: well as long as every way of listening is open.
    #[must_use]
    pub fn health(&self) -> String {
        let open = match self.plan.listening {
            Listening::All => return crate::status::OK.into(),
            Listening::Wake => "wake phrase and push-to-talk only",
            Listening::PushToTalk => "push-to-talk only",
            Listening::Nothing => "no listening",
        };
        format!("{open} at power level {}: {}", self.plan.level, self.why)
    }

    /// The plan in force, and in `notes` what of it is as it is because nothing else ships or the system refused it.
    /// `variant`: that of the acoustic model that runs, and the output frames of a step of it.
    #[must_use]
    pub fn report(&self, variant: Option<(vocar_hw::Precision, usize)>) -> Value {
        let plan = &self.plan;
        let mut notes = self.refused.clone();
        if self.profile_prefers_none() {
            notes.push(format!(
                "any processor: profile {} prefers none",
                self.choice.profile.name
            ));
        }
        if let Some((running, frames)) = variant {
            if running != plan.precision {
                notes.push(format!(
                    "{running} rather than {}: model.precision names it, or the bundle has no other",
                    plan.precision
                ));
            } else if self.choice.profile.variants.is_empty() {
                notes.push(format!(
                    "{running} at every level: the profile knows no lighter or faster variant"
                ));
            }
            notes.push(format!(
                "a step of {frames} frames at every level: the bundle has no network of another length"
            ));
        }
        json!({
            "level": plan.level, "why": self.why, "listening": plan.listening, "class": plan.class,
            "variant": variant.map(|(running, _)| running), "chunk_frames": variant.map(|(_, frames)| frames),
            "cpus": plan.cpus, "quiet_cpus": plan.quiet_cpus, "rest_ms": plan.rest_ms, "notes": notes,
        })
    }

    /// Whether the level lets this way of listening be used.
    ///
    /// # Errors
    /// [`Refusal::PowerLimited`].
    pub fn allows(&self, mode: ListenMode) -> Result<(), Refusal> {
        let listening = self.plan.listening;
        let allowed = match mode {
            ListenMode::PushToTalk => listening != Listening::Nothing,
            ListenMode::Wake => matches!(listening, Listening::All | Listening::Wake),
            ListenMode::OpenMic => listening == Listening::All,
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

    /// A profile without a wish leaves the thread where it is.
    fn profile_prefers_none(&self) -> bool {
        self.choice.profile.scheduling.balanced.is_empty()
    }

    /// Runs the calling thread where and in the class that the plan wants.
    fn apply(&mut self) {
        self.refused.clear();
        match self.confine() {
            Ok(Some(cpus)) => tracing::debug!(%cpus, level = %self.plan.level, "processors"),
            Ok(None) => {}
            Err(error) => self.refuse(format!(
                "processors {} are not taken: {error}; the unit must allow sched_setaffinity",
                self.plan.cpus
            )),
        }
        if let Err(error) = schedule(self.plan.class) {
            self.refuse(format!(
                "the scheduling class is not taken: {error}; the unit must allow sched_setscheduler"
            ));
        }
    }

    fn refuse(&mut self, why: String) {
        tracing::warn!("{why}");
        self.refused.push(why);
    }

    fn confine(&self) -> std::io::Result<Option<CpuList>> {
        let Some(processors) = &self.processors else {
            return Ok(None);
        };
        if self.profile_prefers_none() {
            return Ok(None);
        }
        let wanted = if self.working {
            &self.plan.cpus
        } else {
            &self.plan.quiet_cpus
        };
        processors.confine(wanted).map(Some)
    }
}

fn initial(settings: &Hardware) -> (Level, String) {
    match settings.power_level.fixed() {
        Some(level) => (level, CONFIGURED.into()),
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
    use std::path::Path;

    fn settings(power_level: PowerChoice) -> Hardware {
        Hardware {
            power_level,
            ..Hardware::default()
        }
    }

    #[test]
    fn each_level_opens_its_ways_of_listening() {
        let modes = [
            ListenMode::PushToTalk,
            ListenMode::Wake,
            ListenMode::OpenMic,
        ];
        for (level, open) in Level::ALL.into_iter().zip([
            [true, true, true],
            [true, true, true],
            [true, true, false],
            [true, false, false],
            [false, false, false],
        ]) {
            let settings = settings(PowerChoice::Auto);
            let choice = crate::hardware::choose(&settings);
            let power = std::thread::spawn(move || {
                let mut power = Power::new(&settings, choice);
                power.enter(level, "test".into());
                power
            });
            let power = power.join().unwrap();
            assert_eq!(modes.map(|mode| power.allows(mode).is_ok()), open);
            assert_eq!(power.health() == "ok", open[2], "{}", power.health());
            assert!(power.report(None)["why"] == "test");
        }
    }

    /// Of two processors the second is the strong one.
    fn two_clusters() -> Choice {
        let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/machines/sa8155p");
        let mut choice = vocar_hw::choose(&vocar_hw::Machine::detect(&board));
        choice.scheduling.saver = [0].into_iter().collect();
        choice.scheduling.balanced = [1].into_iter().collect();
        choice
    }

    #[test]
    fn the_strong_processors_are_only_for_commands() {
        std::thread::spawn(|| {
            let mine = || Processors::of_this_thread().unwrap().list().to_string();
            let all = mine();
            if !all.starts_with("0-") {
                eprintln!(
                    "SKIPPED: processors of a thread: cpu 0 and 1 are wanted, {all} are there"
                );
                return;
            }
            let mut power = Power::new(&settings(PowerChoice::Balanced), two_clusters());
            assert_eq!(mine(), "0");
            power.work(true);
            assert_eq!(mine(), "1");
            power.enter(Level::Saver, "test".into());
            assert_eq!(
                mine(),
                "0",
                "at this level commands too are for the weak ones"
            );
            // SAFETY: it takes and returns integers; 0 is the calling thread.
            assert_eq!(unsafe { libc::sched_getscheduler(0) }, libc::SCHED_BATCH);
            power.enter(Level::Balanced, "test".into());
            assert_eq!(mine(), "1");
            power.work(false);
            assert_eq!(mine(), "0");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_cannot_be_otherwise_is_said() {
        let choice = two_clusters();
        let report = std::thread::spawn(move || {
            let precision = choice.precision;
            Power::new(&settings(PowerChoice::Saver), choice).report(Some((precision, 8)))
        });
        let report = report.join().unwrap();
        let notes = report["notes"].to_string();
        assert!(notes.contains("at every level"), "{notes}");
        assert!(notes.contains("step of 8 frames"), "{notes}");
        assert_eq!(report["class"], "batch");
        assert_eq!(report["listening"], "wake");
    }
}
