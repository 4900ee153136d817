//! How much may be asked of the machine: readings every few seconds and whatever vehicle and system say in between, the
//! policy's level, and what the worker makes of it.

mod drive;
mod logind;
mod neighbours;
mod upower;
mod vehicle;

pub use drive::Power;
pub use neighbours::Neighbours;
pub use vehicle::Vehicle;

use crate::config::Hardware;
use crate::handle::Handle;
use crate::status::Board;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use vocar_hw::power::{Policy, PowerState};
use vocar_hw::{Level, Readings, Sampler, Supply, SystemState, VehicleState};

/// Time between two readings.
const PERIOD: Duration = Duration::from_secs(3);

/// What others tell about power, each the newest word.
#[derive(Debug, Clone)]
pub struct Told {
    /// The vehicle.
    pub vehicle: watch::Receiver<VehicleState>,
    /// The system, by logind.
    pub system: watch::Receiver<SystemState>,
    /// Its supply, by `UPower`.
    pub supply: watch::Receiver<Supply>,
}

impl Told {
    /// Adds what was told to what was measured.
    fn complete(&mut self, readings: &mut Readings) {
        readings.vehicle = *self.vehicle.borrow_and_update();
        readings.system = *self.system.borrow_and_update();
        let supply = *self.supply.borrow_and_update();
        readings.supply = readings.supply.scarcer(supply);
    }

    /// Waits for news.
    async fn changed(&mut self) {
        tokio::select! {
            Ok(()) = self.vehicle.changed() => {}
            Ok(()) = self.system.changed() => {}
            Ok(()) = self.supply.changed() => {}
            else => std::future::pending().await,
        }
    }
}

/// Takes readings and tells the worker of every other level, until dropped. Of a level that was configured only the
/// system's going to sleep or ending makes another.
pub async fn watch(settings: Hardware, board: Arc<Board>, worker: Handle, mut told: Told) {
    let fixed = settings.power_level.fixed();
    let mut watcher = Watcher::new(&settings, board);
    let mut shown = fixed.unwrap_or(watcher.state.level);
    let mut tick = tokio::time::interval(PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => if fixed.is_none() && watcher.measure().await.is_err() {
                tracing::error!("reading the temperature failed; the power level stays");
                return;
            },
            () = told.changed() => watcher.readings.missed_deadlines = 0,
        }
        let (level, why) = watcher.weigh(fixed, &mut told);
        if level != shown && worker.power(level, why) {
            shown = level;
        }
    }
}

/// Readings and the policy that weighs them.
struct Watcher {
    policy: Policy,
    sampler: Option<Sampler>,
    board: Arc<Board>,
    /// The newest.
    readings: Readings,
    state: PowerState,
    late: u64,
    begin: Instant,
}

impl Watcher {
    fn new(settings: &Hardware, board: Arc<Board>) -> Self {
        let choice = crate::hardware::choose(settings);
        Self {
            policy: Policy::new(&choice),
            sampler: Some(Sampler::new(&settings.sysroot, &choice)),
            board,
            readings: Readings::default(),
            state: PowerState::start(),
            late: 0,
            begin: Instant::now(),
        }
    }

    /// Takes readings. A sensor behind a slow bus may take its time; the message bus must not wait for it.
    async fn measure(&mut self) -> Result<(), ()> {
        let mut sampler = self.sampler.take().ok_or(())?;
        let reading = tokio::task::spawn_blocking(move || {
            let readings = sampler.read();
            (sampler, readings)
        });
        let (sampler, readings) = reading.await.map_err(|_| ())?;
        self.sampler = Some(sampler);
        self.readings = readings;
        let total = self.board.counters.late.load(Ordering::Relaxed);
        self.readings.missed_deadlines = u32::try_from(total - self.late).unwrap_or(u32::MAX);
        self.late = total;
        Ok(())
    }

    /// The level for the newest readings and what was told.
    fn weigh(&mut self, fixed: Option<Level>, told: &mut Told) -> (Level, String) {
        let mut readings = self.readings.clone();
        told.complete(&mut readings);
        if let Some(level) = fixed {
            return match readings.system {
                SystemState::Running => (level, drive::CONFIGURED.into()),
                SystemState::Suspending | SystemState::ShuttingDown => {
                    let going = Readings {
                        system: readings.system,
                        ..Readings::default()
                    };
                    let state = PowerState::start();
                    let paused = self.policy.step(&state, Duration::ZERO, &going);
                    (paused.level, paused.why)
                }
            };
        }
        self.state = self
            .policy
            .step(&self.state, self.begin.elapsed(), &readings);
        (self.state.level, self.state.why.clone())
    }
}
